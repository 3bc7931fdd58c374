// SPDX-License-Identifier: GPL-2.0-only
/*
 * Table lines and messages (Documentation/on-disk-format.rst, section 8;
 * Documentation/status-and-messages.rst).
 */
#include "words.h"

static void accepts(const char *text)
{
	struct integrity_params p;
	struct line l;

	if (parse(&l, &p, text))
		unit_fail(__FILE__, __LINE__, "'%s' is refused: %s", text, l.why);
	line_free(&l);
}

static void refuses(const char *text, const char *why)
{
	struct integrity_params p;
	struct line l;

	if (!parse(&l, &p, text))
		unit_fail(__FILE__, __LINE__, "'%s' is accepted", text);
	if (strcmp(l.why, why))
		unit_fail(__FILE__, __LINE__, "'%s' is refused with \"%s\", not \"%s\"", text,
			  l.why, why);
	line_free(&l);
}

/* --- table line --- */

static void test_defaults(void)
{
	struct integrity_params p;
	struct line l;

	CHECK_EQ(parse(&l, &p, "8:16 0 4 D 0"), 0);
	CHECK_STR(p.device, "8:16");
	CHECK_EQ(p.start, 0);
	CHECK_EQ(p.tag_size, 4);
	CHECK_EQ(p.mode, 'D');
	CHECK(!p.meta_device);
	CHECK_EQ(p.journal_sectors, 0);
	CHECK_EQ(p.interleave_sectors, 32768);
	CHECK_EQ(p.buffer_sectors, 128);
	CHECK_EQ(p.journal_watermark, 50);
	CHECK_EQ(p.commit_time, 10000);
	CHECK_EQ(p.block_size, 512);
	CHECK_EQ(p.sectors_per_bit, 32768);
	CHECK_EQ(p.bitmap_flush_interval, 10000);
	CHECK(!p.have_journal_sectors && !p.have_interleave_sectors && !p.have_buffer_sectors);
	CHECK(!p.have_journal_watermark && !p.have_commit_time && !p.have_block_size);
	CHECK(!p.have_sectors_per_bit && !p.have_bitmap_flush_interval);
	CHECK(!p.internal_hash.spec && !p.journal_crypt.spec && !p.journal_mac.spec);
	CHECK(!p.internal_hash.hexkey && !p.internal_hash.name_len && !p.internal_hash.key_len);
	CHECK(!p.recalculate && !p.reset_recalculate && !p.no_recalculate && !p.legacy_recalculate);
	CHECK(!p.allow_discards && !p.allow_discards_keyed && !p.fix_padding && !p.fix_hmac);
	line_free(&l);
}

static void test_fixed_arguments(void)
{
	struct integrity_params p;
	struct line l;
	const char *m;

	for (m = "JBDRI"; *m; m++) {
		char text[80];

		snprintf(text, sizeof(text), "/dev/sdb 18446744073709551615 - %c 1 internal_hash:sha256",
			 *m);
		CHECK_EQ(parse(&l, &p, text), 0);
		CHECK_STR(p.device, "/dev/sdb");
		CHECK_EQ(p.start, U64_MAX);
		CHECK_EQ(p.tag_size, 0);
		CHECK_EQ(p.mode, *m);
		line_free(&l);
	}
	accepts("d 0 1 J 0");
	accepts("d 0 255 J 0");
	accepts("d 007 004 J 00");

	refuses("", "0 arguments are less than 5: device, start, tag size, mode, number of options");
	refuses("d 0 4 J", "4 arguments are less than 5: device, start, tag size, mode, number of options");
	refuses("d x 4 J 0", "start 'x' is not a number of sectors");
	refuses("d -1 4 J 0", "start '-1' is not a number of sectors");
	refuses("d +1 4 J 0", "start '+1' is not a number of sectors");
	refuses("d 8s 4 J 0", "start '8s' is not a number of sectors");
	refuses("d 0x8 4 J 0", "start '0x8' is not a number of sectors");
	refuses("d 8\n 4 J 0", "start '8' is not a number of sectors");
	refuses("d \033[2J 4 J 0", "start '' is not a number of sectors");
	refuses("d ~x\177 4 J 0", "start '~x' is not a number of sectors");
}

static void test_fixed_errors(void)
{
	refuses("d 18446744073709551616 4 J 0", "start '18446744073709551616' is not a number of sectors");
	refuses("d 0 0 J 0", "tag size '0' is not 1..255 or '-'");
	refuses("d 0 256 J 0", "tag size '256' is not 1..255 or '-'");
	refuses("d 0 -4 J 0", "tag size '-4' is not 1..255 or '-'");
	refuses("d 0 -- J 0", "tag size '--' is not 1..255 or '-'");
	refuses("d 0 4294967300 J 0", "tag size '4294967300' is not 1..255 or '-'");
	refuses("d 0 18446744073709551620 J 0", "tag size '18446744073709551620' is not 1..255 or '-'");
	refuses("d 0 - J 0", "tag size '-' needs internal_hash");
	refuses("d 0 4 X 0", "mode 'X' is not J, B, D, R or I");
	refuses("d 0 4 j 0", "mode 'j' is not J, B, D, R or I");
	refuses("d 0 4 JB 0", "mode 'JB' is not J, B, D, R or I");
	refuses("d 0 4 J x", "number of options 'x' is not 0..19");
	refuses("d 0 4 J -1", "number of options '-1' is not 0..19");
	refuses("d 0 4 J 20", "number of options '20' is not 0..19");
	refuses("d 0 4 J 1", "number of options 1, but only 0 follow");
	refuses("d 0 4 J 3 fix_padding fix_hmac", "number of options 3, but only 2 follow");

	/* 20 follow, 20 are too many all the same. */
	refuses("d 0 4 J 20 a a a a a a a a a a a a a a a a a a a a", "number of options '20' is not 0..19");
}

/* Words that no split line has but a caller may. */
static void test_odd_words(void)
{
	char *good[] = { "d", "0", "4", "D", "1", "fix_padding" };
	char why[WHY_SIZE];
	struct integrity_params p;
	unsigned int i;

	CHECK_EQ(integrity_params_parse(&p, 6, good, why, sizeof(why)), 0);
	for (i = 0; i < 6; i++) {
		char *argv[6];

		memcpy(argv, good, sizeof(good));
		argv[i] = "";
		CHECK_EQ(integrity_params_parse(&p, 6, argv, why, sizeof(why)), -EINVAL);
	}
	CHECK_STR(why, "unknown option ''");

	/* And words with a space in them, which dmsetup takes with a backslash. */
	good[5] = "fix padding";
	CHECK_EQ(integrity_params_parse(&p, 6, good, why, sizeof(why)), -EINVAL);
	CHECK_STR(why, "unknown option 'fix padding'");
}

static void test_every_option(void)
{
	struct integrity_params p;
	struct line l;
	u8 key[8];

	CHECK_EQ(parse(&l, &p, "8:16 64 - J 18 journal_sectors:1000 interleave_sectors:2048 buffer_sectors:64 "
			       "journal_watermark:75 commit_time:500 meta_device:8:32 block_size:4096 "
			       "sectors_per_bit:8589934592 bitmap_flush_interval:4294967294 "
			       "internal_hash:hmac(sha256):00112233445566Ff journal_crypt:ctr(aes):AB "
			       "journal_mac:crc32c reset_recalculate no_recalculate legacy_recalculate "
			       "allow_discards_keyed fix_padding fix_hmac"), 0);
	CHECK_EQ(p.start, 64);
	CHECK_EQ(p.journal_sectors, 1000);
	CHECK_EQ(p.interleave_sectors, 2048);
	CHECK_EQ(p.buffer_sectors, 64);
	CHECK_EQ(p.journal_watermark, 75);
	CHECK_EQ(p.commit_time, 500);
	CHECK_STR(p.meta_device, "8:32");
	CHECK_EQ(p.block_size, 4096);
	CHECK_EQ(p.sectors_per_bit, 8589934592ull);
	CHECK_EQ(p.bitmap_flush_interval, 4294967294u);
	CHECK(p.have_journal_sectors && p.have_interleave_sectors && p.have_buffer_sectors);
	CHECK(p.have_journal_watermark && p.have_commit_time && p.have_block_size);
	CHECK(p.have_sectors_per_bit && p.have_bitmap_flush_interval);
	CHECK_STR(p.internal_hash.spec, "hmac(sha256):00112233445566Ff");
	CHECK_EQ(p.internal_hash.name_len, strlen("hmac(sha256)"));
	CHECK_STR(p.internal_hash.hexkey, "00112233445566Ff");
	CHECK_EQ(p.internal_hash.key_len, 8);
	CHECK_EQ(integrity_alg_key(&p.internal_hash, key), 0);
	CHECK(!memcmp(key, "\x00\x11\x22\x33\x44\x55\x66\xff", 8));
	CHECK_STR(p.journal_crypt.spec, "ctr(aes):AB");
	CHECK_EQ(p.journal_crypt.name_len, strlen("ctr(aes)"));
	CHECK_EQ(p.journal_crypt.key_len, 1);
	CHECK_EQ(integrity_alg_key(&p.journal_crypt, key), 0);
	CHECK_EQ(key[0], 0xab);
	CHECK_STR(p.journal_mac.spec, "crc32c");
	CHECK_EQ(p.journal_mac.name_len, 6);
	CHECK(!p.journal_mac.hexkey);
	CHECK_EQ(p.journal_mac.key_len, 0);
	CHECK_EQ(integrity_alg_key(&p.journal_mac, key), 0);
	CHECK(p.recalculate && p.reset_recalculate && p.no_recalculate && p.legacy_recalculate);
	CHECK(p.allow_discards && p.allow_discards_keyed && p.fix_padding && p.fix_hmac);
	line_free(&l);
}

/* Each flag alone sets what it should and nothing else. */
static void test_flags_alone(void)
{
	static const struct {
		const char *word;
		bool recalculate, reset, no, legacy, discards, keyed, padding, hmac;
	} rows[] = {
		{ "recalculate",	  1, 0, 0, 0, 0, 0, 0, 0 },
		{ "reset_recalculate",	  1, 1, 0, 0, 0, 0, 0, 0 },
		{ "no_recalculate",	  0, 0, 1, 0, 0, 0, 0, 0 },
		{ "legacy_recalculate",	  0, 0, 0, 1, 0, 0, 0, 0 },
		{ "allow_discards",	  0, 0, 0, 0, 1, 0, 0, 0 },
		{ "allow_discards_keyed", 0, 0, 0, 0, 1, 1, 0, 0 },
		{ "fix_padding",	  0, 0, 0, 0, 0, 0, 1, 0 },
		{ "fix_hmac",		  0, 0, 0, 0, 0, 0, 0, 1 },
	};
	struct integrity_params p;
	struct line l;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[100];

		snprintf(text, sizeof(text), "d 0 4 D 2 %s internal_hash:x:00", rows[i].word);
		CHECK_EQ(parse(&l, &p, text), 0);
		CHECK_EQ(p.recalculate, rows[i].recalculate);
		CHECK_EQ(p.reset_recalculate, rows[i].reset);
		CHECK_EQ(p.no_recalculate, rows[i].no);
		CHECK_EQ(p.legacy_recalculate, rows[i].legacy);
		CHECK_EQ(p.allow_discards, rows[i].discards);
		CHECK_EQ(p.allow_discards_keyed, rows[i].keyed);
		CHECK_EQ(p.fix_padding, rows[i].padding);
		CHECK_EQ(p.fix_hmac, rows[i].hmac);
		line_free(&l);
	}
}

static void test_repeats_and_surplus(void)
{
	struct integrity_params p;
	struct line l;

	/* The last one counts, in full: the key of the first is gone. */
	CHECK_EQ(parse(&l, &p, "d 0 4 D 5 block_size:512 internal_hash:hmac(md5):00 block_size:4096 "
			       "internal_hash:crc32c block_size:1024"), 0);
	CHECK_EQ(p.block_size, 1024);
	CHECK_STR(p.internal_hash.spec, "crc32c");
	CHECK_EQ(p.internal_hash.name_len, 6);
	CHECK(!p.internal_hash.hexkey);
	CHECK_EQ(p.internal_hash.key_len, 0);
	line_free(&l);

	/* Words behind the counted ones are not looked at. */
	CHECK_EQ(parse(&l, &p, "d 0 4 D 1 block_size:2048 block_size:4096 nonsense"), 0);
	CHECK_EQ(p.block_size, 2048);
	line_free(&l);
	CHECK_EQ(parse(&l, &p, "d 0 4 D 0 fix_padding"), 0);
	CHECK(!p.fix_padding);
	line_free(&l);

	/* 19 are allowed. */
	accepts("d 0 4 D 19 fix_padding fix_padding fix_padding fix_padding fix_padding fix_padding fix_padding "
		"fix_padding fix_padding fix_padding fix_padding fix_padding fix_padding fix_padding fix_padding "
		"fix_padding fix_padding fix_padding fix_padding");
}

/* Numbers at the ends of what is allowed, and one further. */
static void test_numbers(void)
{
	static const struct {
		const char *name;
		u64 max;
	} rows[] = {
		{ "journal_sectors", U32_MAX },
		{ "interleave_sectors", U32_MAX },
		{ "buffer_sectors", U32_MAX },
		{ "journal_watermark", 100 },
		{ "commit_time", U32_MAX },
		{ "sectors_per_bit", U64_MAX },
		{ "bitmap_flush_interval", U32_MAX - 1 },
	};
	static const char * const bad[] = {
		"", "+1", "-1", "1x", "x1", "0x1", "1.0", "1k", "1:", ":1", "1\n", "\n", "1\t",
		"18446744073709551616", "99999999999999999999999", "\xff", "٣",
	};
	char text[200], why[200];
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(text, sizeof(text), "d 0 4 D 1 %s:0", rows[i].name);
		accepts(text);
		snprintf(text, sizeof(text), "d 0 4 D 1 %s:%llu", rows[i].name, rows[i].max);
		accepts(text);
		if (rows[i].max != U64_MAX) {
			snprintf(text, sizeof(text), "d 0 4 D 1 %s:%llu", rows[i].name,
				 rows[i].max + 1);
			snprintf(why, sizeof(why), "option '%s': '%llu' is not a number from 0 to %llu",
				 rows[i].name, rows[i].max + 1, rows[i].max);
			refuses(text, why);
		}
		for (j = 0; j < ARRAY_SIZE(bad); j++) {
			struct integrity_params p;
			struct line l;

			snprintf(text, sizeof(text), "d 0 4 D 1 %s:%s", rows[i].name, bad[j]);
			line_split(&l, text);
			if (!integrity_params_parse(&p, l.argc, l.argv, l.why, sizeof(l.why)))
				unit_fail(__FILE__, __LINE__, "'%s' is accepted", text);
			snprintf(why, sizeof(why), "option '%s': '%.*s' is not a number from 0 to %llu",
				 rows[i].name, (int)strcspn(bad[j], ":\n\t\xff\xd9"), bad[j],
				 rows[i].max);
			CHECK_STR(l.why, why);
			line_free(&l);
		}
		snprintf(text, sizeof(text), "d 0 4 D 1 %s", rows[i].name);
		snprintf(why, sizeof(why), "option '%s' needs a value after a colon", rows[i].name);
		refuses(text, why);
	}
}

static void test_number_values(void)
{
	static const u32 sizes[] = { 512, 1024, 2048, 4096 };
	struct integrity_params p;
	struct line l;
	char text[80], why[80];
	u32 i, n;

	for (n = 0; n <= 8192; n++) {
		snprintf(text, sizeof(text), "d 0 4 D 1 block_size:%u", n);
		for (i = 0; i < 4; i++)
			if (sizes[i] == n)
				break;
		if (i < 4) {
			CHECK_EQ(parse(&l, &p, text), 0);
			CHECK_EQ(p.block_size, n);
			line_free(&l);
		} else {
			snprintf(why, sizeof(why),
				 "option 'block_size': '%u' is not 512, 1024, 2048 or 4096", n);
			refuses(text, why);
		}
	}
	refuses("d 0 4 D 1 block_size:4294967808",
		"option 'block_size': '4294967808' is not 512, 1024, 2048 or 4096");
	refuses("d 0 4 D 1 block_size:512b", "option 'block_size': '512b' is not 512, 1024, 2048 or 4096");

	/* Zeros that mean one, and the largest buffer. */
	CHECK_EQ(parse(&l, &p, "d 0 4 D 4 journal_sectors:0 buffer_sectors:0 sectors_per_bit:0 "
			       "interleave_sectors:0"), 0);
	CHECK_EQ(p.journal_sectors, 1);
	CHECK_EQ(p.buffer_sectors, 1);
	CHECK_EQ(p.sectors_per_bit, 1);
	CHECK_EQ(p.interleave_sectors, 0);
	CHECK(p.have_journal_sectors && p.have_interleave_sectors);
	line_free(&l);
	CHECK_EQ(parse(&l, &p, "d 0 4 D 1 buffer_sectors:4194304"), 0);
	CHECK_EQ(p.buffer_sectors, 4194304);
	line_free(&l);
	CHECK_EQ(parse(&l, &p, "d 0 4 D 1 buffer_sectors:4294967295"), 0);
	CHECK_EQ(p.buffer_sectors, 4194304);
	line_free(&l);
}

static bool is_option(const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(option_words); i++)
		if (strlen(option_words[i]) == len && !strncmp(option_words[i], word, len))
			return true;
	return false;
}

/* Every prefix and a longer word of each option, with and without a value, is refused by name. */
static void test_exact_words(void)
{
	char text[100], why[100], word[50];
	size_t i, n;
	int value;

	for (i = 0; i < ARRAY_SIZE(option_words); i++)
		for (n = 1; n <= strlen(option_words[i]) + 1; n++)
			for (value = 0; value < 2; value++) {
				snprintf(word, sizeof(word), "%sx", option_words[i]);
				if (n <= strlen(option_words[i]))
					word[n] = 0;
				if (is_option(word, strlen(word)))
					continue;
				snprintf(text, sizeof(text), "d 0 4 D 1 %s%s", word,
					 value ? ":1" : "");
				snprintf(why, sizeof(why), "unknown option '%s'", word);
				refuses(text, why);
			}
	refuses("d 0 4 D 1 recalculatex", "unknown option 'recalculatex'");
	refuses("d 0 4 D 1 Recalculate", "unknown option 'Recalculate'");
	refuses("d 0 4 D 1 :", "unknown option ''");
	refuses("d 0 4 D 2 fix_padding 7", "unknown option '7'");
	refuses("d 0 4 D 1 0123456789012345678901234567890123456789abc",
		"unknown option '0123456789012345678901234567890123456789'");
}

static void test_option_errors(void)
{
	size_t i;
	char text[100], why[100];

	/* Flags take no value; the others do not do without. */
	for (i = 12; i < ARRAY_SIZE(option_words); i++) {
		snprintf(text, sizeof(text), "d 0 4 D 1 %s:", option_words[i]);
		snprintf(why, sizeof(why), "option '%s' takes no value", option_words[i]);
		refuses(text, why);
		snprintf(text, sizeof(text), "d 0 4 D 1 %s:1", option_words[i]);
		refuses(text, why);
	}
	for (i = 0; i < 12; i++) {
		snprintf(text, sizeof(text), "d 0 4 D 1 %s", option_words[i]);
		snprintf(why, sizeof(why), "option '%s' needs a value after a colon",
			 option_words[i]);
		refuses(text, why);
	}
	refuses("d 0 4 D 1 meta_device:", "option 'meta_device' names no device");

	for (i = 9; i < 12; i++) {
		snprintf(text, sizeof(text), "d 0 4 D 1 %s:", option_words[i]);
		snprintf(why, sizeof(why), "option '%s' has no algorithm", option_words[i]);
		refuses(text, why);
		snprintf(text, sizeof(text), "d 0 4 D 1 %s::00", option_words[i]);
		refuses(text, why);
		snprintf(text, sizeof(text), "d 0 4 D 1 %s:md5:", option_words[i]);
		snprintf(why, sizeof(why), "option '%s': the key is empty", option_words[i]);
		refuses(text, why);
		snprintf(text, sizeof(text), "d 0 4 D 1 %s:md5:001", option_words[i]);
		snprintf(why, sizeof(why), "option '%s': the key has an odd number of hex digits",
			 option_words[i]);
		refuses(text, why);
		snprintf(text, sizeof(text), "d 0 4 D 1 %s:md5:0g", option_words[i]);
		snprintf(why, sizeof(why), "option '%s': the key has a character that is no hex digit",
			 option_words[i]);
		refuses(text, why);
		snprintf(text, sizeof(text), "d 0 4 D 1 %s:md5:00:00", option_words[i]);
		refuses(text, why);
	}
}

/* What one word demands of another, in either order. */
static void test_rules(void)
{
	accepts("d 0 4 B 1 internal_hash:crc32c");
	refuses("d 0 4 B 0", "mode B needs internal_hash");
	refuses("d 0 4 B 1 recalculate", "mode B needs internal_hash");
	refuses("d 0 4 I 0", "mode I needs internal_hash");
	refuses("d 0 - B 0", "tag size '-' needs internal_hash");

	refuses("d 0 4 D 1 recalculate", "option 'recalculate' needs internal_hash");
	refuses("d 0 4 J 1 reset_recalculate", "option 'reset_recalculate' needs internal_hash");
	accepts("d 0 4 D 2 recalculate internal_hash:crc32c");
	accepts("d 0 4 D 2 internal_hash:crc32c recalculate");
	accepts("d 0 4 D 1 no_recalculate");
	accepts("d 0 4 D 3 internal_hash:crc32c recalculate no_recalculate");

	refuses("d 0 4 D 1 allow_discards", "option 'allow_discards' needs internal_hash");
	accepts("d 0 4 D 2 allow_discards internal_hash:crc32c");
	refuses("d 0 4 D 1 allow_discards_keyed",
		"option 'allow_discards_keyed' needs internal_hash with a key");
	refuses("d 0 4 D 2 allow_discards_keyed internal_hash:crc32c",
		"option 'allow_discards_keyed' needs internal_hash with a key");
	accepts("d 0 4 D 2 allow_discards_keyed internal_hash:crc32c:01020304");

	refuses("d 0 4 B 2 internal_hash:crc32c journal_crypt:ctr(aes):00",
		"mode B cannot have option 'journal_crypt'");
	accepts("d 0 4 J 2 internal_hash:crc32c journal_crypt:ctr(aes):00");
	accepts("d 0 4 B 2 internal_hash:crc32c journal_mac:crc32c");

	accepts("d 0 4 I 1 internal_hash:crc32c");
	refuses("d 0 4 I 2 internal_hash:crc32c meta_device:8:0",
		"mode I cannot have option 'meta_device'");
	refuses("d 0 4 I 2 internal_hash:crc32c journal_mac:crc32c",
		"mode I cannot have option 'journal_mac'");
	refuses("d 0 4 I 2 internal_hash:crc32c journal_crypt:ctr(aes)",
		"mode I cannot have option 'journal_crypt'");
	refuses("d 0 4 I 2 internal_hash:crc32c allow_discards",
		"mode I cannot have option 'allow_discards'");
	refuses("d 0 4 I 2 internal_hash:crc32c:00 allow_discards_keyed",
		"mode I cannot have option 'allow_discards_keyed'");
}

/* Lines that integritysetup, LVM and cryptsetup make. */
static void test_real_lines(void)
{
	accepts("7:0 0 4 J 5 block_size:512 internal_hash:crc32c fix_padding fix_hmac recalculate");
	accepts("7:0 0 32 D 4 block_size:4096 buffer_sectors:128 internal_hash:hmac(sha256):"
		"000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f fix_hmac");
	accepts("254:3 0 4 B 7 fix_padding block_size:512 internal_hash:crc32c meta_device:254:2 recalculate "
		"sectors_per_bit:32768 bitmap_flush_interval:10000");
	accepts("7:0 32768 28 J 4 block_size:4096 journal_sectors:1000 fix_padding fix_hmac");
	accepts("7:0 0 - R 1 internal_hash:sha1");
}

/* A key gets into no error text, however the line around it is broken. */
static void test_keys_stay_secret(void)
{
	static const char * const lines[] = {
		"d internal_hash:hmac(sha256):5ec2e75ec2e7 4 D 0",
		"d 0 internal_hash:hmac(sha256):5ec2e75ec2e7 D 0",
		"d 0 4 internal_hash:hmac(sha256):5ec2e75ec2e7 0",
		"d 0 4 D internal_hash:hmac(sha256):5ec2e75ec2e7",
		"d 0 4 D 1 internal_hashx:hmac(sha256):5ec2e75ec2e7",
		"d 0 4 D 1 internal_hash:hmac(sha256):5ec2e75ec2e",
		"d 0 4 D 1 internal_hash:hmac(sha256):5ec2e75ec2e7z",
		"d 0 4 D 1 internal_hash::5ec2e75ec2e7",
		"d 0 4 D 1 recalculate:hmac(sha256):5ec2e75ec2e7",
		"d 0 4 D 1 block_size:hmac(sha256):5ec2e75ec2e7",
		"d 0 4 D 1 commit_time:hmac(sha256):5ec2e75ec2e7",
		"d 0 4 I 2 internal_hash:hmac(sha256):5ec2e75ec2e7 journal_mac:hmac(md5):5ec2e7",
		"d 0 4 B 2 internal_hash:hmac(sha256):5ec2e75ec2e7 journal_crypt:ctr(aes):5ec2e7",
		"d 0 4 D 2 recalculate journal_mac:hmac(sha256):5ec2e75ec2e7",
	};
	struct integrity_params p;
	struct line l;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		if (!parse(&l, &p, lines[i]))
			unit_fail(__FILE__, __LINE__, "'%s' is accepted", lines[i]);
		if (strstr(l.why, "5ec2"))
			unit_fail(__FILE__, __LINE__, "'%s' is refused with \"%s\"", lines[i],
				  l.why);
		line_free(&l);
	}
}

static void test_long_key(void)
{
	const size_t bytes = 4096;
	char *text = malloc(2 * bytes + 100), *end;
	struct integrity_alg_param bad;
	struct integrity_params p;
	u8 *key = malloc(bytes);
	struct line l;
	size_t i;

	CHECK(text && key);
	end = text + sprintf(text, "d 0 - J 1 internal_hash:hmac(sha512):");
	for (i = 0; i < bytes; i++)
		end += sprintf(end, i & 1 ? "%02X" : "%02x", (unsigned int)(i * 7 & 255));
	CHECK_EQ(parse(&l, &p, text), 0);
	CHECK_EQ(p.internal_hash.key_len, bytes);
	CHECK_EQ(integrity_alg_key(&p.internal_hash, key), 0);
	for (i = 0; i < bytes; i++)
		CHECK_EQ(key[i], i * 7 & 255);
	line_free(&l);

	/* Not through the parser: both digits of a byte are looked at. */
	bad = (struct integrity_alg_param){ .hexkey = "000x", .key_len = 2 };
	CHECK_EQ(integrity_alg_key(&bad, key), -EINVAL);
	bad.hexkey = "00x0";
	CHECK_EQ(integrity_alg_key(&bad, key), -EINVAL);
	free(text);
	free(key);
}

/* A reason longer than its buffer is cut. */
static void test_short_why(void)
{
	static const char full[] = "unknown option 'recalculatex'";
	char *argv[] = { "d", "0", "4", "D", "1", "recalculatex" };
	struct integrity_params p;
	size_t size;

	for (size = 0; size <= sizeof(full); size++) {
		char *why = malloc(size + !size);

		CHECK(why);
		CHECK_EQ(integrity_params_parse(&p, 6, argv, why, size), -EINVAL);
		if (size) {
			CHECK_EQ(strlen(why), min_t(size_t, size - 1, sizeof(full) - 1));
			CHECK(!strncmp(why, full, size - 1));
		}
		free(why);
	}
}

/* --- messages --- */

static int message(struct line *l, struct integrity_message *m, const char *text)
{
	int r;

	line_split(l, text);
	memset(m, 0xa5, sizeof(*m));
	r = integrity_message_parse(m, l->argc, l->argv, l->why, sizeof(l->why));
	check_why(l, r);
	return r;
}

static void test_messages(void)
{
	static const struct {
		const char *text;
		enum integrity_message_type type;
		u64 value;
	} rows[] = {
		{ "recalculate", INTEGRITY_MSG_RECALCULATE, 0 },
		{ "reset_recalculate", INTEGRITY_MSG_RESET_RECALCULATE, 0 },
		{ "cancel_recalculate", INTEGRITY_MSG_CANCEL_RECALCULATE, 0 },
		{ "frozen", INTEGRITY_MSG_FROZEN, 0 },
		{ "idle", INTEGRITY_MSG_IDLE, 0 },
		{ "speed_min 0", INTEGRITY_MSG_SPEED_MIN, 0 },
		{ "speed_min 1024", INTEGRITY_MSG_SPEED_MIN, 1024 },
		{ "speed_max 0", INTEGRITY_MSG_SPEED_MAX, 0 },
		{ "speed_max 4294967295", INTEGRITY_MSG_SPEED_MAX, U32_MAX },
		{ "reset_mismatches", INTEGRITY_MSG_RESET_MISMATCHES, 0 },
		{ "check", INTEGRITY_MSG_CHECK, 0 },
		{ "bad_blocks", INTEGRITY_MSG_BAD_BLOCKS, 0 },
		{ "FROZEN", INTEGRITY_MSG_FROZEN, 0 },
		{ "Speed_Max 7", INTEGRITY_MSG_SPEED_MAX, 7 },
	};
	struct integrity_message m;
	struct line l;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (message(&l, &m, rows[i].text))
			unit_fail(__FILE__, __LINE__, "'%s' is refused: %s", rows[i].text, l.why);
		CHECK_EQ(m.type, rows[i].type);
		CHECK_EQ(m.value, rows[i].value);
		line_free(&l);
	}
}

static void test_message_check(void)
{
	struct integrity_message m;
	struct line l;

	CHECK_EQ(message(&l, &m, "check"), 0);
	CHECK_EQ(m.type, INTEGRITY_MSG_CHECK);
	CHECK(!m.have_range);
	line_free(&l);

	CHECK_EQ(message(&l, &m, "Check 0 8"), 0);
	CHECK_EQ(m.type, INTEGRITY_MSG_CHECK);
	CHECK(m.have_range);
	CHECK_EQ(m.start, 0);
	CHECK_EQ(m.sectors, 8);
	line_free(&l);

	CHECK_EQ(message(&l, &m, "check 18446744073709551615 0"), 0);
	CHECK(m.have_range);
	CHECK_EQ(m.start, U64_MAX);
	CHECK_EQ(m.sectors, 0);
	line_free(&l);
}

static void test_message_errors(void)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "message is empty" },
		{ "nonsense", "unknown message 'nonsense'" },
		{ "recalculat", "unknown message 'recalculat'" },
		{ "recalculatex", "unknown message 'recalculatex'" },
		{ "recalculate:1", "unknown message 'recalculate'" },
		{ "speed_min:1", "unknown message 'speed_min'" },
		{ "recalculate 0", "message 'recalculate' takes no argument, '0' given" },
		{ "reset_recalculate x",
		  "message 'reset_recalculate' takes no argument, 'x' given" },
		{ "cancel_recalculate x",
		  "message 'cancel_recalculate' takes no argument, 'x' given" },
		{ "frozen x", "message 'frozen' takes no argument, 'x' given" },
		{ "idle x", "message 'idle' takes no argument, 'x' given" },
		{ "reset_mismatches 0", "message 'reset_mismatches' takes no argument, '0' given" },
		{ "bad_blocks 0", "message 'bad_blocks' takes no argument, '0' given" },
		{ "check 0",
		  "message 'check' takes no argument, or two: start and length in sectors" },
		{ "check 0 8 8",
		  "message 'check' takes no argument, or two: start and length in sectors" },
		{ "check x 8", "message 'check': 'x' is not a number of sectors" },
		{ "check 0 -8", "message 'check': '-8' is not a number of sectors" },
		{ "check 0 18446744073709551616",
		  "message 'check': '18446744073709551616' is not a number of sectors" },
		{ "speed_min", "message 'speed_min' needs a number of KiB/s" },
		{ "speed_max", "message 'speed_max' needs a number of KiB/s" },
		{ "speed_max 1 2", "message 'speed_max' takes one argument, '2' is too much" },
		{ "speed_max x", "message 'speed_max': 'x' is not a number from 0 to 4294967295" },
		{ "speed_max -1",
		  "message 'speed_max': '-1' is not a number from 0 to 4294967295" },
		{ "speed_max +1",
		  "message 'speed_max': '+1' is not a number from 0 to 4294967295" },
		{ "speed_min 1K",
		  "message 'speed_min': '1K' is not a number from 0 to 4294967295" },
		{ "speed_min 4294967296",
		  "message 'speed_min': '4294967296' is not a number from 0 to 4294967295" },
		{ "SPEED_MAX 18446744073709551616",
		  "message 'speed_max': '18446744073709551616' is not a number from 0 to 4294967295" },
	};
	struct integrity_message m;
	struct line l;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!message(&l, &m, rows[i].text))
			unit_fail(__FILE__, __LINE__, "'%s' is accepted", rows[i].text);
		if (strcmp(l.why, rows[i].why))
			unit_fail(__FILE__, __LINE__, "'%s' is refused with \"%s\", not \"%s\"",
				  rows[i].text, l.why, rows[i].why);
		line_free(&l);
	}
}

static const struct unit_test tests[] = {
	{ "table-defaults", test_defaults },
	{ "table-fixed-arguments", test_fixed_arguments },
	{ "table-fixed-errors", test_fixed_errors },
	{ "table-odd-words", test_odd_words },
	{ "table-every-option", test_every_option },
	{ "table-flags-alone", test_flags_alone },
	{ "table-repeats-and-surplus", test_repeats_and_surplus },
	{ "table-numbers", test_numbers },
	{ "table-number-values", test_number_values },
	{ "table-exact-words", test_exact_words },
	{ "table-option-errors", test_option_errors },
	{ "table-rules", test_rules },
	{ "table-real-lines", test_real_lines },
	{ "table-keys-stay-secret", test_keys_stay_secret },
	{ "table-long-key", test_long_key },
	{ "table-short-why", test_short_why },
	{ "message-words", test_messages },
	{ "message-check", test_message_check },
	{ "message-errors", test_message_errors },
};

UNIT_MAIN(tests)
