// SPDX-License-Identifier: GPL-2.0-only
/*
 * Table, status and IMA text (Documentation/on-disk-format.rst, sections 8.4 to 8.6;
 * Documentation/status-and-messages.rst).
 */
#include "words.h"

static struct integrity_table_view full_view(char mode)
{
	struct integrity_table_view v = {
		.device = "8:16",
		.meta_device = "8:32",
		.start = 64,
		.tag_size = 32,
		.mode = mode,
		.block_size = 4096,
		.recalculate = true,
		.reset_recalculate = true,
		.no_recalculate = true,
		.allow_discards = true,
		.journal_sectors = 984,
		.interleave_sectors = 1,
		.buffer_sectors = 128,
		.journal_watermark = 50,
		.commit_time = 10000,
		.sectors_per_bit = 32768,
		.bitmap_flush_interval = 10001,
		.fix_padding = true,
		.fix_hmac = true,
		.legacy_recalculate = true,
		.internal_hash = "hmac(sha256):0011",
		.journal_crypt = "ctr(aes):22",
		.journal_mac = "hmac(md5):33",
	};

	return v;
}

static void text_is(const struct integrity_table_view *v, const char *want)
{
	char buf[1000];

	memset(buf, '~', sizeof(buf));
	CHECK_EQ(integrity_table_text(v, buf, sizeof(buf)), strlen(want));
	CHECK_STR(buf, want);
}

static void test_table_text(void)
{
	struct integrity_table_view v = full_view('J');

	text_is(&v, "8:16 64 32 J 17 meta_device:8:32 block_size:4096 recalculate reset_recalculate "
		"no_recalculate allow_discards journal_sectors:984 interleave_sectors:1 buffer_sectors:128 "
		"journal_watermark:50 commit_time:10000 fix_padding fix_hmac legacy_recalculate "
		"internal_hash:hmac(sha256):0011 journal_crypt:ctr(aes):22 journal_mac:hmac(md5):33");
	v = full_view('B');
	v.allow_discards_keyed = true;
	v.journal_crypt = NULL;
	text_is(&v, "8:16 64 32 B 16 meta_device:8:32 block_size:4096 recalculate reset_recalculate "
		"no_recalculate allow_discards_keyed journal_sectors:984 interleave_sectors:1 buffer_sectors:128 "
		"sectors_per_bit:32768 bitmap_flush_interval:10001 fix_padding fix_hmac legacy_recalculate "
		"internal_hash:hmac(sha256):0011 journal_mac:hmac(md5):33");
	v = full_view('D');
	text_is(&v, "8:16 64 32 D 15 meta_device:8:32 block_size:4096 recalculate reset_recalculate "
		"no_recalculate allow_discards journal_sectors:984 interleave_sectors:1 buffer_sectors:128 "
		"fix_padding fix_hmac legacy_recalculate "
		"internal_hash:hmac(sha256):0011 journal_crypt:ctr(aes):22 journal_mac:hmac(md5):33");

	/* No word that was not given; block_size only when it is not 512. */
	v = (struct integrity_table_view){
		.device = "8:16", .tag_size = 4, .mode = 'D', .block_size = 512,
		.journal_sectors = 880, .interleave_sectors = 32768, .buffer_sectors = 128,
		.internal_hash = "crc32c",
	};
	text_is(&v, "8:16 0 4 D 4 journal_sectors:880 interleave_sectors:32768 buffer_sectors:128 "
		"internal_hash:crc32c");
	v.mode = 'R';
	v.internal_hash = NULL;
	v.start = U64_MAX;
	text_is(&v, "8:16 18446744073709551615 4 R 3 journal_sectors:880 interleave_sectors:32768 "
		"buffer_sectors:128");
	v.mode = 'I';
	v.start = 0;
	v.internal_hash = "crc32c";
	v.block_size = 4096;
	v.recalculate = true;
	text_is(&v, "8:16 0 4 I 3 block_size:4096 recalculate internal_hash:crc32c");

	/* The keyed word stands for both. */
	v = full_view('D');
	v.allow_discards = false;
	v.allow_discards_keyed = true;
	v.meta_device = NULL;
	v.internal_hash = NULL;
	v.journal_crypt = NULL;
	v.journal_mac = NULL;
	text_is(&v, "8:16 64 32 D 11 block_size:4096 recalculate reset_recalculate no_recalculate "
		"allow_discards_keyed journal_sectors:984 interleave_sectors:1 buffer_sectors:128 "
		"fix_padding fix_hmac legacy_recalculate");
}

/* Switching off one field of the view removes its word and nothing else. */
static void test_text_words_alone(void)
{
	static const char modes[] = "JBDR";
	char with[1000], without[1000], want[1000], *at;
	size_t i, m;

	for (m = 0; m < 4; m++) {
		static const char * const words[] = {
			" meta_device:8:32", " block_size:4096", " recalculate", " reset_recalculate",
			" no_recalculate", " allow_discards", " fix_padding", " fix_hmac",
			" legacy_recalculate", " internal_hash:hmac(sha256):0011",
			" journal_crypt:ctr(aes):22", " journal_mac:hmac(md5):33",
		};

		for (i = 0; i < ARRAY_SIZE(words); i++) {
			struct integrity_table_view v = full_view(modes[m]);
			unsigned int count;

			integrity_table_text(&v, with, sizeof(with));
			v.meta_device = i == 0 ? NULL : v.meta_device;
			v.block_size = i == 1 ? 512 : v.block_size;
			v.recalculate &= i != 2;
			v.reset_recalculate &= i != 3;
			v.no_recalculate &= i != 4;
			v.allow_discards &= i != 5;
			v.fix_padding &= i != 6;
			v.fix_hmac &= i != 7;
			v.legacy_recalculate &= i != 8;
			v.internal_hash = i == 9 ? NULL : v.internal_hash;
			v.journal_crypt = i == 10 ? NULL : v.journal_crypt;
			v.journal_mac = i == 11 ? NULL : v.journal_mac;
			integrity_table_text(&v, without, sizeof(without));

			CHECK_EQ(sscanf(with, "8:16 64 32 %*c %u", &count), 1);
			at = strstr(with, words[i]);
			CHECK(at);
			snprintf(want, sizeof(want), "8:16 64 32 %c %u%.*s%s", modes[m], count - 1,
				 (int)(at - with - strlen("8:16 64 32 D 10")),
				 with + strlen("8:16 64 32 D 10"), at + strlen(words[i]));
			CHECK_STR(without, want);
		}
	}
}

/* Too small a buffer, of every size: cut, terminated, and the length told all the same. */
static void test_short_buffers(void)
{
	struct integrity_table_view v = full_view('J');
	struct integrity_status_view s = { .action = "idle" };
	char full[3][1000];
	size_t len[3], size, n;
	int i;

	len[0] = integrity_table_text(&v, full[0], 1000);
	len[1] = integrity_status_text(&s, full[1], 1000);
	len[2] = integrity_ima_text(&v, full[2], 1000);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(strlen(full[i]), len[i]);
		for (size = 0; size <= len[i] + 2; size++) {
			char *buf = malloc(size + !size);

			CHECK(buf);
			n = i == 0 ? integrity_table_text(&v, buf, size) :
			    i == 1 ? integrity_status_text(&s, buf, size) :
				     integrity_ima_text(&v, buf, size);
			CHECK_EQ(n, len[i]);
			if (size) {
				CHECK_EQ(strlen(buf), min_t(size_t, size - 1, len[i]));
				CHECK(!strncmp(buf, full[i], size - 1));
			}
			free(buf);
		}
	}
	CHECK_EQ(integrity_table_text(&v, NULL, 0), len[0]);
}

/* What a table with these parameters would show of itself. */
static struct integrity_table_view view_of(const struct integrity_params *p)
{
	struct integrity_table_view v = {
		.device = p->device,
		.meta_device = p->meta_device,
		.start = p->start,
		.tag_size = p->tag_size,
		.mode = p->mode,
		.block_size = p->block_size,
		.recalculate = p->recalculate,
		.reset_recalculate = p->reset_recalculate,
		.no_recalculate = p->no_recalculate,
		.allow_discards = p->allow_discards,
		.allow_discards_keyed = p->allow_discards_keyed,
		.journal_sectors = p->journal_sectors,
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

	return v;
}

static bool same_string(const char *a, const char *b)
{
	return !a == !b && (!a || !strcmp(a, b));
}

static bool same_alg(const struct integrity_alg_param *a, const struct integrity_alg_param *b)
{
	return same_string(a->spec, b->spec) && a->name_len == b->name_len &&
	       same_string(a->hexkey, b->hexkey) && a->key_len == b->key_len;
}

/* All that has a word in the table of this mode. */
static void check_same_params(const struct integrity_params *a, const struct integrity_params *b)
{
	CHECK_STR(a->device, b->device);
	CHECK(same_string(a->meta_device, b->meta_device));
	CHECK_EQ(a->start, b->start);
	CHECK_EQ(a->tag_size, b->tag_size);
	CHECK_EQ(a->mode, b->mode);
	CHECK_EQ(a->block_size, b->block_size);
	if (a->mode != 'I') {
		CHECK_EQ(a->journal_sectors, b->journal_sectors);
		CHECK_EQ(a->interleave_sectors, b->interleave_sectors);
		CHECK_EQ(a->buffer_sectors, b->buffer_sectors);
	}
	if (a->mode == 'J') {
		CHECK_EQ(a->journal_watermark, b->journal_watermark);
		CHECK_EQ(a->commit_time, b->commit_time);
	}
	if (a->mode == 'B') {
		CHECK_EQ(a->sectors_per_bit, b->sectors_per_bit);
		CHECK_EQ(a->bitmap_flush_interval, b->bitmap_flush_interval);
	}
	CHECK_EQ(a->recalculate, b->recalculate);
	CHECK_EQ(a->reset_recalculate, b->reset_recalculate);
	CHECK_EQ(a->no_recalculate, b->no_recalculate);
	CHECK_EQ(a->legacy_recalculate, b->legacy_recalculate);
	CHECK_EQ(a->allow_discards, b->allow_discards);
	CHECK_EQ(a->allow_discards_keyed, b->allow_discards_keyed);
	CHECK_EQ(a->fix_padding, b->fix_padding);
	CHECK_EQ(a->fix_hmac, b->fix_hmac);
	CHECK(same_alg(&a->internal_hash, &b->internal_hash));
	CHECK(same_alg(&a->journal_crypt, &b->journal_crypt));
	CHECK(same_alg(&a->journal_mac, &b->journal_mac));
}

static void random_option(char *text, size_t size)
{
	unsigned int i = unit_below(ARRAY_SIZE(option_words)), n;
	char key[60] = "";

	if (i == 5) {
		snprintf(text, size, "meta_device:%llu:%llu", unit_below(300), unit_below(300));
	} else if (i == 6) {
		snprintf(text, size, "block_size:%u", 512u << unit_below(4));
	} else if (i == 3) {
		snprintf(text, size, "journal_watermark:%llu", unit_below(101));
	} else if (i == 7) {
		snprintf(text, size, "sectors_per_bit:%llu", unit_magnitude(64));
	} else if (i < 9) {
		snprintf(text, size, "%s:%llu", option_words[i],
			 min_t(u64, unit_magnitude(32), U32_MAX - 1));
	} else if (i < 12) {
		if (unit_below(2)) {
			key[0] = ':';
			for (n = 2 * (1 + unit_below(20)); n; n--)
				key[n] = "0123456789abcdefABCDEF"[unit_below(22)];
		}
		snprintf(text, size, "%s:%s%s", option_words[i],
			 unit_below(2) ? "hmac(sha256)" : "crc32c", key);
	} else {
		snprintf(text, size, "%s", option_words[i]);
	}
}

/* text -> params -> view -> text -> params, for random sets of options in random order. */
static void test_round_trip(void)
{
	unsigned int accepted = 0, i, j, n;

	for (i = 0; i < 50000; i++) {
		struct integrity_params p, again;
		struct integrity_table_view v;
		struct line l, l2;
		char text[3000], text2[3000], text3[3000], option[200];
		size_t len;

		n = unit_below(12);
		snprintf(text, sizeof(text), "%llu:%llu %llu %llu %c %u", unit_below(300),
			 unit_below(300), unit_magnitude(64), 1 + unit_below(255),
			 "JBDRI"[unit_below(5)], n + 1);
		strcat(text, unit_below(4) ? " internal_hash:xxhash64:0011223344556677" : " fix_hmac");
		for (j = 0; j < n; j++) {
			random_option(option, sizeof(option));
			strcat(text, " ");
			strcat(text, option);
		}
		if (!parse(&l, &p, text)) {
			accepted++;
			/* What is left open, the volume decides. */
			if (!p.have_journal_sectors)
				p.journal_sectors = 880;
			v = view_of(&p);
			len = integrity_table_text(&v, text2, sizeof(text2));
			CHECK(len < sizeof(text2));
			if (parse(&l2, &again, text2))
				unit_fail(__FILE__, __LINE__, "'%s' is printed as '%s', which is refused: %s",
					  text, text2, l2.why);
			check_same_params(&p, &again);
			/* The number counts just the words. */
			CHECK_EQ(strtoul(l2.argv[4], NULL, 10), l2.argc - 5);
			v = view_of(&again);
			integrity_table_text(&v, text3, sizeof(text3));
			CHECK_STR(text3, text2);
			line_free(&l2);
		}
		line_free(&l);
	}
	unit_note("%u of 50000 lines are accepted", accepted);
	CHECK(accepted > 10000);
}

/* --- status --- */

static void test_status_text(void)
{
	struct integrity_status_view v = { .action = "idle" };
	char buf[300];

	integrity_status_text(&v, buf, sizeof(buf));
	CHECK_STR(buf, "0 0 - idle 0/0 0 0 - 0");

	v = (struct integrity_status_view){
		.mismatches = 3, .provided_sectors = 129160, .have_recalc = true,
		.recalc_sector = 8192, .action = "recalculate", .done = 8193, .total = 129160,
		.rate = 102400, .bad = 2, .have_first_bad = true, .first_bad = 77, .lost = 5,
	};
	integrity_status_text(&v, buf, sizeof(buf));
	CHECK_STR(buf, "3 129160 8192 recalculate 8193/129160 102400 2 77 5");

	/* Sector 0 is a position like any other. */
	v.recalc_sector = 0;
	v.first_bad = 0;
	v.action = "Fail";
	integrity_status_text(&v, buf, sizeof(buf));
	CHECK_STR(buf, "3 129160 0 Fail 8193/129160 102400 2 0 5");

	v = (struct integrity_status_view){
		U64_MAX, U64_MAX, true, U64_MAX, "suspended", U64_MAX, U64_MAX, U64_MAX, U64_MAX,
		true, U64_MAX, U64_MAX,
	};
	integrity_status_text(&v, buf, sizeof(buf));
	CHECK_STR(buf, "18446744073709551615 18446744073709551615 18446744073709551615 suspended "
		  "18446744073709551615/18446744073709551615 18446744073709551615 18446744073709551615 "
		  "18446744073709551615 18446744073709551615");
}

/* As libdm reads it: two numbers and a word of at most 15 characters, whatever follows. */
static void test_status_libdm(void)
{
	unsigned long long mismatches, provided;
	char buf[300], recalc[16];
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		struct integrity_status_view v = {
			.mismatches = unit_magnitude(64), .provided_sectors = unit_magnitude(49),
			.have_recalc = unit_below(2), .action = "check",
		};

		v.recalc_sector = unit_below(v.provided_sectors + 1);
		integrity_status_text(&v, buf, sizeof(buf));
		CHECK_EQ(sscanf(buf, "%llu %llu %15s", &mismatches, &provided, recalc), 3);
		CHECK_EQ(mismatches, v.mismatches);
		CHECK_EQ(provided, v.provided_sectors);
		if (v.have_recalc)
			CHECK_EQ(strtoull(recalc, NULL, 10), v.recalc_sector);
		else
			CHECK_STR(recalc, "-");
	}
}

static void test_ima_text(void)
{
	struct integrity_table_view v = full_view('J');
	char buf[1000];
	size_t len;

	len = integrity_ima_text(&v, buf, sizeof(buf));
	CHECK_STR(buf, ",dev_name=8:16,start=64,tag_size=32,mode=J,meta_device=8:32,block_size=4096,"
		  "recalculate=y,allow_discards=y,allow_discards_keyed=n,fix_padding=y,fix_hmac=y,"
		  "legacy_recalculate=y,journal_sectors=984,interleave_sectors=1,buffer_sectors=128;");
	CHECK_EQ(len, strlen(buf));

	v = (struct integrity_table_view){
		.device = "8:16", .tag_size = 4, .mode = 'D', .block_size = 512,
		.journal_sectors = 880, .interleave_sectors = 32768, .buffer_sectors = 64,
	};
	integrity_ima_text(&v, buf, sizeof(buf));
	CHECK_STR(buf, ",dev_name=8:16,start=0,tag_size=4,mode=D,recalculate=n,allow_discards=n,"
		  "allow_discards_keyed=n,fix_padding=n,fix_hmac=n,legacy_recalculate=n,"
		  "journal_sectors=880,interleave_sectors=32768,buffer_sectors=64;");

	v.allow_discards_keyed = true;
	v.fix_hmac = true;
	integrity_ima_text(&v, buf, sizeof(buf));
	CHECK_STR(buf, ",dev_name=8:16,start=0,tag_size=4,mode=D,recalculate=n,allow_discards=y,"
		  "allow_discards_keyed=y,fix_padding=n,fix_hmac=y,legacy_recalculate=n,"
		  "journal_sectors=880,interleave_sectors=32768,buffer_sectors=64;");

	/* A measured line never holds a key. */
	v = full_view('D');
	integrity_ima_text(&v, buf, sizeof(buf));
	CHECK(!strstr(buf, "sha256") && !strstr(buf, "0011"));
}

static const struct unit_test tests[] = {
	{ "table-text", test_table_text },
	{ "table-text-words-alone", test_text_words_alone },
	{ "table-short-buffers", test_short_buffers },
	{ "table-round-trip", test_round_trip },
	{ "status-text", test_status_text },
	{ "status-libdm", test_status_libdm },
	{ "ima-text", test_ima_text },
};

UNIT_MAIN(tests)
