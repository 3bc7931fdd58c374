// SPDX-License-Identifier: GPL-2.0-only
/* Writing JSON. */
#include <inttypes.h>
#include <string.h>

#include "json.h"

/* Bytes of the UTF-8 sequence at @s, 0 when it is none (RFC 3629). */
static int utf8_len(const unsigned char *s)
{
	int len, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		len = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		len = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		len = 4;
	else
		return 0;
	for (i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Too long for their number, surrogates, beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

static void quoted(struct json *j, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	int len;

	fputc('"', j->file);
	while (*s) {
		len = utf8_len(s);
		if (!len) {
			fputs("\\ufffd", j->file);
			len = 1;
		} else if (*s == '"' || *s == '\\') {
			fprintf(j->file, "\\%c", *s);
		} else if (*s < ' ' || *s == 0x7f) {
			fprintf(j->file, "\\u%04x", *s);
		} else {
			fwrite(s, 1, len, j->file);
		}
		s += len;
	}
	fputc('"', j->file);
}

static void begin(struct json *j, const char *key)
{
	if (j->comma)
		fputc(',', j->file);
	j->comma = true;
	if (key) {
		quoted(j, key);
		fputc(':', j->file);
	}
}

void json_object(struct json *j, const char *key)
{
	begin(j, key);
	fputc('{', j->file);
	j->comma = false;
}

void json_array(struct json *j, const char *key)
{
	begin(j, key);
	fputc('[', j->file);
	j->comma = false;
}

void json_end_object(struct json *j)
{
	fputc('}', j->file);
	j->comma = true;
}

void json_end_array(struct json *j)
{
	fputc(']', j->file);
	j->comma = true;
}

void json_string(struct json *j, const char *key, const char *value)
{
	if (!value) {
		json_null(j, key);
		return;
	}
	begin(j, key);
	quoted(j, value);
}

void json_number(struct json *j, const char *key, uint64_t value)
{
	begin(j, key);
	fprintf(j->file, "%" PRIu64, value);
}

void json_real(struct json *j, const char *key, double value, int decimals)
{
	begin(j, key);
	fprintf(j->file, "%.*f", decimals, value);
}

void json_bool(struct json *j, const char *key, bool value)
{
	begin(j, key);
	fputs(value ? "true" : "false", j->file);
}

void json_null(struct json *j, const char *key)
{
	begin(j, key);
	fputs("null", j->file);
}

void json_maybe(struct json *j, const char *key, bool have, uint64_t value)
{
	if (have)
		json_number(j, key, value);
	else
		json_null(j, key);
}
