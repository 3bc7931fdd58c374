// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any words as a table line, or, after a first byte of 'm', as a message: refused with a reason, or
 * understood, and then the line that is printed means the same.
 */
#include <stdlib.h>

#include "../../table.h"
#include "unit.h"

#define MAX_WORDS	40
#define WHY_SIZE	128
#define TEXT_SIZE	8192

#define MUST(cond) do {								\
	if (!(cond)) {								\
		fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
		abort();							\
	}									\
} while (0)

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* Words of their exact size, so that reading behind one is seen. */
static unsigned int split(const char *text, size_t size, char **argv)
{
	unsigned int argc = 0;
	size_t i = 0, n;

	while (argc < MAX_WORDS) {
		while (i < size && text[i] == ' ')
			i++;
		for (n = 0; i + n < size && text[i + n] != ' ' && text[i + n]; n++)
			;
		if (!n)
			break;
		argv[argc] = malloc(n + 1);
		memcpy(argv[argc], text + i, n);
		argv[argc++][n] = 0;
		i += n;
	}
	return argc;
}

static void check_why(int r, const char *why)
{
	MUST(r == 0 || r == -EINVAL);
	if (r)
		MUST(memchr(why, 0, WHY_SIZE) && strlen(why) > 10);
	for (; r && *why; why++)
		MUST(*why >= ' ' && *why <= '~');
}

static void check_key(const struct integrity_alg_param *a)
{
	u8 *key;

	MUST(!a->spec == !a->name_len);
	MUST(!a->hexkey == !a->key_len);
	if (!a->hexkey)
		return;
	MUST(a->hexkey == a->spec + a->name_len + 1);
	MUST(strlen(a->hexkey) == 2 * a->key_len);
	key = malloc(a->key_len);
	MUST(!integrity_alg_key(a, key));
	free(key);
}

static size_t print(const struct integrity_params *p, char *buf, size_t size)
{
	struct integrity_table_view v = {
		.device = p->device,
		.meta_device = p->meta_device,
		.start = p->start,
		.tag_size = p->tag_size ? p->tag_size : 32,
		.mode = p->mode,
		.block_size = p->block_size,
		.recalculate = p->recalculate,
		.reset_recalculate = p->reset_recalculate,
		.no_recalculate = p->no_recalculate,
		.allow_discards = p->allow_discards,
		.allow_discards_keyed = p->allow_discards_keyed,
		.journal_sectors = p->have_journal_sectors ? p->journal_sectors : 880,
		.interleave_sectors = p->interleave_sectors,
		.buffer_sectors = p->buffer_sectors,
		.journal_watermark = p->journal_watermark,
		.commit_time = p->commit_time,
		.sectors_per_bit = p->sectors_per_bit,
		.bitmap_flush_interval = p->bitmap_flush_interval,
		.fix_padding = p->fix_padding,
		.fix_hmac = p->fix_hmac,
		.legacy_recalculate = p->legacy_recalculate,
		.internal_hash = p->internal_hash.spec,
		.journal_crypt = p->journal_crypt.spec,
		.journal_mac = p->journal_mac.spec,
	};
	size_t len = integrity_table_text(&v, buf, size);
	char *small = malloc(len / 2 + 1);

	MUST(integrity_table_text(&v, small, len / 2) == len);
	MUST(!len || strlen(small) < len);
	free(small);
	return len;
}

static void table(unsigned int argc, char **argv)
{
	struct integrity_params p, again;
	char why[WHY_SIZE], text[TEXT_SIZE], text2[TEXT_SIZE];
	char *words[MAX_WORDS];
	unsigned int count;
	size_t len;
	int r;

	memset(why, '~', sizeof(why));
	r = integrity_params_parse(&p, argc, argv, why, sizeof(why));
	check_why(r, why);
	if (r)
		return;

	check_key(&p.internal_hash);
	check_key(&p.journal_crypt);
	check_key(&p.journal_mac);
	MUST(p.tag_size || p.internal_hash.spec);
	MUST(!p.recalculate || p.internal_hash.spec);
	MUST(p.tag_size <= 255 && p.journal_watermark <= 100);
	MUST(p.buffer_sectors && p.buffer_sectors <= 1u << 22 && p.sectors_per_bit);

	len = print(&p, text, sizeof(text));
	if (len >= sizeof(text))
		return;
	count = split(text, len, words);
	MUST(integrity_params_parse(&again, count, words, why, sizeof(why)) == 0);
	MUST(strtoul(words[4], NULL, 10) == count - 5);
	print(&again, text2, sizeof(text2));
	MUST(!strcmp(text, text2));
	while (count)
		free(words[--count]);
}

static void message(unsigned int argc, char **argv)
{
	struct integrity_message m;
	char why[WHY_SIZE];
	int r;

	memset(why, '~', sizeof(why));
	r = integrity_message_parse(&m, argc, argv, why, sizeof(why));
	check_why(r, why);
	if (r)
		return;
	MUST(m.type <= INTEGRITY_MSG_BAD_BLOCKS);
	MUST(m.value <= U32_MAX);
	if (m.type == INTEGRITY_MSG_SPEED_MIN || m.type == INTEGRITY_MSG_SPEED_MAX)
		MUST(argc == 2);
	else if (m.type == INTEGRITY_MSG_CHECK)
		MUST(argc == (m.have_range ? 3 : 1) && !m.value);
	else
		MUST(argc == 1 && !m.value);
	MUST(m.have_range || (!m.start && !m.sectors));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char *argv[MAX_WORDS];
	unsigned int argc;

	if (!size)
		return 0;
	argc = split((const char *)data + 1, size - 1, argv);
	if (*data == 'm')
		message(argc, argv);
	else
		table(argc, argv);
	while (argc)
		free(argv[--argc]);
	return 0;
}
