/* SPDX-License-Identifier: GPL-2.0-only */
/* Writing JSON on one line, by one call for each value. */
#ifndef INTEGRITYCTL_JSON_H
#define INTEGRITYCTL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
	FILE *file;
	bool comma;	/* the next value needs one before it */
};

/* @key is NULL for elements of an array and for the outermost value. */
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_end_object(struct json *j);
void json_end_array(struct json *j);

/* A NULL string is written as null. Bytes that are no UTF-8 become U+FFFD. */
void json_string(struct json *j, const char *key, const char *value);
void json_number(struct json *j, const char *key, uint64_t value);
void json_real(struct json *j, const char *key, double value, int decimals);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);

/* A number, or null. */
void json_maybe(struct json *j, const char *key, bool have, uint64_t value);

#endif
