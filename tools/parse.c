// SPDX-License-Identifier: GPL-2.0-only
/*
 * The words of status, table, messages' answers and command line: text to structs.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

static const char blanks[] = " \t\r\n";

/* The next word at *@at, which moves behind it; its length in @len, 0 at the end. */
static const char *next_word(const char **at, size_t *len)
{
	const char *word = *at + strspn(*at, blanks);

	*len = strcspn(word, blanks);
	*at = word + *len;
	return word;
}

static bool word_is(const char *word, size_t len, const char *text)
{
	return strlen(text) == len && !memcmp(word, text, len);
}

/* Copies as much as fits, always terminated. */
static void copy_word(char *to, size_t size, const char *word, size_t len)
{
	if (len >= size)
		len = size - 1;
	memcpy(to, word, len);
	to[len] = '\0';
}

static int digits(const char *text, size_t len, uint64_t *value)
{
	uint64_t v = 0;
	size_t i;

	if (!len)
		return -EINVAL;
	for (i = 0; i < len; i++)
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
	for (i = 0; i < len; i++)
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
			return -ERANGE;
	*value = v;
	return 0;
}

int parse_number(const char *text, uint64_t max, uint64_t *value)
{
	uint64_t v;
	int r = digits(text, strlen(text), &v);

	if (r)
		return r;
	if (v > max)
		return -ERANGE;
	*value = v;
	return 0;
}

int parse_sectors(const char *text, uint64_t *sectors)
{
	static const char units[] = "kmgt";
	size_t len = strlen(text);
	unsigned int shift = 0;
	const char *unit;
	uint64_t v;
	int r;

	if (len) {
		unit = strchr(units, text[len - 1] | 0x20);
		if (unit && *unit) {
			/* KiB are two sectors. */
			shift = 1 + 10 * (unit - units);
			len--;
		}
	}
	r = digits(text, len, &v);
	if (r)
		return r;
	if (v > UINT64_MAX >> shift)
		return -ERANGE;
	*sectors = v << shift;
	return 0;
}

bool parse_escaped(const char *text, char *to, size_t size)
{
	bool found = false;
	char *end = to + size;

	while (*text && to < end) {
		if (text[0] == '\\' && text[1] == 'x' && isxdigit((unsigned char)text[2]) &&
		    isxdigit((unsigned char)text[3])) {
			const char digits[] = { text[2], text[3], '\0' };

			*to = strtoul(digits, NULL, 16);
			/* No name has that in it. */
			if (!*to++)
				return false;
			text += 4;
			found = true;
		} else {
			*to++ = *text++;
		}
	}
	if (to == end)
		return false;
	*to = '\0';
	return found;
}

/* --- status --- */

static enum state state_of(const char *word)
{
	static const char * const words[] = {
		[STATE_IDLE] = "idle",
		[STATE_RECALCULATE] = "recalculate",
		[STATE_CHECK] = "check",
		[STATE_FROZEN] = "frozen",
		[STATE_SUSPENDED] = "suspended",
		[STATE_FAILED] = "failed",
		[STATE_DEAD] = "Fail",
	};
	unsigned int i;

	for (i = 0; i < STATE_UNKNOWN; i++)
		if (!strcmp(word, words[i]))
			return i;
	return STATE_UNKNOWN;
}

/* A number, or "-" for none. */
static int number_or_none(const char *word, size_t len, bool *have, uint64_t *value)
{
	int r;

	if (word_is(word, len, "-")) {
		*have = false;
		return 0;
	}
	r = digits(word, len, value);
	*have = !r;
	return r;
}

/* The fields that only dm_integrity has; where one makes no sense, the rest is not looked at. */
static void parse_more_status(const char *at, struct status *s)
{
	const char *word, *slash;
	size_t len;

	word = next_word(&at, &len);
	if (!len)
		return;
	s->have_action = true;
	copy_word(s->action, sizeof(s->action), word, len);
	s->state = state_of(s->action);

	word = next_word(&at, &len);
	slash = memchr(word, '/', len);
	if (!slash || digits(word, slash - word, &s->done) ||
	    digits(slash + 1, word + len - slash - 1, &s->total))
		return;
	s->have_pass = true;

	word = next_word(&at, &len);
	if (digits(word, len, &s->rate))
		return;
	s->have_rate = true;

	word = next_word(&at, &len);
	if (digits(word, len, &s->bad))
		return;
	s->have_bad = true;

	word = next_word(&at, &len);
	if (number_or_none(word, len, &s->have_first_bad, &s->first_bad))
		return;

	word = next_word(&at, &len);
	s->have_lost = !digits(word, len, &s->lost);
}

int parse_status(const char *text, struct status *s)
{
	const char *at = text, *word;
	size_t len;

	*s = (struct status) { .state = STATE_UNKNOWN };
	word = next_word(&at, &len);
	if (digits(word, len, &s->mismatches))
		return -EINVAL;
	word = next_word(&at, &len);
	if (digits(word, len, &s->provided))
		return -EINVAL;
	word = next_word(&at, &len);
	if (number_or_none(word, len, &s->have_mark, &s->mark))
		return -EINVAL;
	parse_more_status(at, s);
	return 0;
}

/* --- table --- */

/* NAME, or NAME:KEY of which only NAME is copied. Says whether there is a key. */
static bool algorithm(char *to, size_t size, const char *value, size_t len)
{
	const char *colon = memchr(value, ':', len);

	copy_word(to, size, value, colon ? (size_t)(colon - value) : len);
	return colon;
}

static int parse_option(struct table *t, const char *word, size_t len)
{
	const char *colon = memchr(word, ':', len);
	const char *value = colon ? colon + 1 : word + len;
	size_t value_len = word + len - value;
	size_t name_len = colon ? (size_t)(colon - word) : len;
	uint64_t v;

	if (word_is(word, len, "recalculate") || word_is(word, len, "reset_recalculate")) {
		t->recalculate = true;
	} else if (word_is(word, len, "no_recalculate")) {
		t->no_recalculate = true;
	} else if (word_is(word, len, "allow_discards") ||
		   word_is(word, len, "allow_discards_keyed")) {
		t->allow_discards = true;
	} else if (word_is(word, name_len, "meta_device")) {
		copy_word(t->meta_device, sizeof(t->meta_device), value, value_len);
	} else if (word_is(word, name_len, "block_size")) {
		if (digits(value, value_len, &v) || v > UINT32_MAX)
			return -EINVAL;
		t->block_size = v;
	} else if (word_is(word, name_len, "internal_hash")) {
		t->keyed = algorithm(t->hash, sizeof(t->hash), value, value_len);
	} else if (word_is(word, name_len, "journal_mac")) {
		algorithm(t->journal_mac, sizeof(t->journal_mac), value, value_len);
	} else if (word_is(word, name_len, "journal_crypt")) {
		algorithm(t->journal_crypt, sizeof(t->journal_crypt), value, value_len);
	}
	return 0;
}

int parse_table(const char *text, struct table *t)
{
	const char *at = text, *word;
	uint64_t v, count;
	size_t len;

	*t = (struct table) { .block_size = 512 };
	word = next_word(&at, &len);
	if (!len)
		return -EINVAL;
	copy_word(t->device, sizeof(t->device), word, len);
	word = next_word(&at, &len);
	if (digits(word, len, &t->start))
		return -EINVAL;
	word = next_word(&at, &len);
	if (!word_is(word, len, "-")) {
		if (digits(word, len, &v) || v > UINT32_MAX)
			return -EINVAL;
		t->tag_size = v;
	}
	word = next_word(&at, &len);
	if (len != 1)
		return -EINVAL;
	t->mode = *word;
	word = next_word(&at, &len);
	if (digits(word, len, &count))
		return -EINVAL;
	while (count--) {
		word = next_word(&at, &len);
		if (!len || parse_option(t, word, len))
			return -EINVAL;
	}
	return 0;
}

/* --- bad blocks --- */

static int add_range(struct ranges *r, uint64_t start, uint64_t length)
{
	struct range *more;

	/* Doubled whenever the count is a power of two. */
	if (!(r->count & (r->count - 1))) {
		more = reallocarray(r->range, r->count ? 2 * r->count : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		r->range = more;
	}
	r->range[r->count++] = (struct range) { start, length };
	return 0;
}

static int parse_range(struct ranges *r, const char **at, const char *word, size_t len)
{
	const char *plus = memchr(word, '+', len);
	uint64_t start, length;

	if (plus) {
		if (digits(word, plus - word, &start) ||
		    digits(plus + 1, word + len - plus - 1, &length))
			return -EINVAL;
	} else {
		if (digits(word, len, &start))
			return -EINVAL;
		word = next_word(at, &len);
		if (digits(word, len, &length))
			return -EINVAL;
	}
	if (!length || start + length < start)
		return -EINVAL;
	return add_range(r, start, length);
}

int parse_ranges(const char *text, struct ranges *r)
{
	const char *at = text, *word;
	size_t len;
	int ret;

	*r = (struct ranges) { .complete = true };
	for (;;) {
		word = next_word(&at, &len);
		if (!len)
			return 0;
		if (word_is(word, len, "-"))
			continue;
		if (*word < '0' || *word > '9') {
			r->complete = false;
			at += strcspn(at, "\n");
			continue;
		}
		ret = parse_range(r, &at, word, len);
		if (ret) {
			free_ranges(r);
			return ret;
		}
	}
}

void free_ranges(struct ranges *r)
{
	free(r->range);
	*r = (struct ranges) { };
}

/* --- the kernel's log --- */

bool kernel_reason(const char *record, unsigned int minor, char *reason, size_t size)
{
	char prefix[64];
	const char *text = strchr(record, ';');
	int len;

	if (!text)
		return false;
	len = snprintf(prefix, sizeof(prefix), "device-mapper: integrity: dm-%u: ", minor);
	if (strncmp(++text, prefix, len))
		return false;
	text += len;
	copy_word(reason, size, text, strcspn(text, "\n"));
	return true;
}
