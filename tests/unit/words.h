/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of table.c share: lines split into words, and the words of the table. */
#ifndef UNIT_WORDS_H
#define UNIT_WORDS_H

#include <stdlib.h>

#include "../../format.h"
#include "../../table.h"
#include "unit.h"

#define MAX_WORDS	64
#define WHY_SIZE	128

/* A line split into words of their own, each of its exact size, so that a look too far is seen. */
struct line {
	unsigned int argc;
	char *argv[MAX_WORDS];
	char why[WHY_SIZE];
};

static inline void line_free(struct line *l)
{
	while (l->argc)
		free(l->argv[--l->argc]);
}

static inline void line_split(struct line *l, const char *text)
{
	size_t n;

	l->argc = 0;
	for (;;) {
		text += strspn(text, " ");
		n = strcspn(text, " ");
		if (!n)
			break;
		CHECK(l->argc < MAX_WORDS);
		l->argv[l->argc] = malloc(n + 1);
		CHECK(l->argv[l->argc]);
		memcpy(l->argv[l->argc], text, n);
		l->argv[l->argc++][n] = 0;
		text += n;
	}
	memset(l->why, '~', sizeof(l->why));
}

static inline void check_why(const struct line *l, int r)
{
	CHECK(r == 0 || r == -EINVAL);
	if (!r)
		return;
	CHECK(memchr(l->why, 0, sizeof(l->why)));
	CHECK(strlen(l->why) > 10);
	CHECK(!strchr(l->why, '\n'));
}

/* The words stay with @l, which the parameters point into. */
static inline int parse(struct line *l, struct integrity_params *p, const char *text)
{
	int r;

	line_split(l, text);
	memset(p, 0xa5, sizeof(*p));
	r = integrity_params_parse(p, l->argc, l->argv, l->why, sizeof(l->why));
	check_why(l, r);
	return r;
}

static const char * const option_words[] = {
	"journal_sectors", "interleave_sectors", "buffer_sectors", "journal_watermark", "commit_time",
	"meta_device", "block_size", "sectors_per_bit", "bitmap_flush_interval", "internal_hash",
	"journal_crypt", "journal_mac", "recalculate", "reset_recalculate", "no_recalculate",
	"legacy_recalculate", "allow_discards", "allow_discards_keyed", "fix_padding", "fix_hmac",
};

#endif
