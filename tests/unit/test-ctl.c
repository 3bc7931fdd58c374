// SPDX-License-Identifier: GPL-2.0-only
/* The words that integrityctl reads and writes (tools/parse.c, tools/json.c). */
#include <stdlib.h>

#include "../../tools/json.h"
#include "../../tools/parse.h"
#include "unit.h"

/* --- status --- */

static void test_status_full(void)
{
	struct status s;

	CHECK_EQ(parse_status("3 1048576 524288 recalculate 524288/1048576 103424 2 4096 7", &s), 0);
	CHECK_EQ(s.mismatches, 3);
	CHECK_EQ(s.provided, 1048576);
	CHECK(s.have_mark);
	CHECK_EQ(s.mark, 524288);
	CHECK(s.have_action);
	CHECK_STR(s.action, "recalculate");
	CHECK_EQ(s.state, STATE_RECALCULATE);
	CHECK(s.have_pass);
	CHECK_EQ(s.done, 524288);
	CHECK_EQ(s.total, 1048576);
	CHECK(s.have_rate);
	CHECK_EQ(s.rate, 103424);
	CHECK(s.have_bad);
	CHECK_EQ(s.bad, 2);
	CHECK(s.have_first_bad);
	CHECK_EQ(s.first_bad, 4096);
	CHECK(s.have_lost);
	CHECK_EQ(s.lost, 7);

	CHECK_EQ(parse_status("0 8 - idle 0/0 0 0 - 0", &s), 0);
	CHECK(!s.have_mark);
	CHECK_EQ(s.state, STATE_IDLE);
	CHECK(s.have_pass && s.have_rate && s.have_bad && s.have_lost);
	CHECK(!s.have_first_bad);
}

/* Every shorter line that is cut behind a word tells what it has; more words are ignored. */
static void test_status_fields(void)
{
	static const char * const words[] = {
		"18446744073709551615", "2", "-", "check", "4/5", "6", "7", "-", "9", "new", "10/x",
	};
	char text[200] = "";
	struct status s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "",
			 words[i]);
		if (i < 2) {
			CHECK_EQ(parse_status(text, &s), -EINVAL);
			continue;
		}
		CHECK_EQ(parse_status(text, &s), 0);
		CHECK_EQ(s.mismatches, U64_MAX);
		CHECK_EQ(s.have_action, i >= 3);
		CHECK_EQ(s.have_pass, i >= 4);
		CHECK_EQ(s.have_rate, i >= 5);
		CHECK_EQ(s.have_bad, i >= 6);
		CHECK_EQ(s.have_lost, i >= 8);
		CHECK_EQ(s.state, i >= 3 ? STATE_CHECK : STATE_UNKNOWN);
	}
}

static void test_status_states(void)
{
	static const char * const words[] = {
		"idle", "recalculate", "check", "frozen", "suspended", "failed", "Fail",
	};
	char text[300], word[200];
	struct status s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++) {
		snprintf(text, sizeof(text), "0 1 1 %s 1/1 0 0 -", words[i]);
		CHECK_EQ(parse_status(text, &s), 0);
		CHECK_EQ(s.state, i);
		CHECK_STR(s.action, words[i]);
	}
	/* Of a later version: kept as it is. */
	CHECK_EQ(parse_status("0 1 1 repair 1/1 0 0 -", &s), 0);
	CHECK_EQ(s.state, STATE_UNKNOWN);
	CHECK_STR(s.action, "repair");
	/* Case is part of the word. */
	CHECK_EQ(parse_status("0 1 1 fail 1/1 0 0 -", &s), 0);
	CHECK_EQ(s.state, STATE_UNKNOWN);
	/* Too long a word is cut, not overrun. */
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	snprintf(text, sizeof(text), "0 1 1 %s 1/2 3 4 5", word);
	CHECK_EQ(parse_status(text, &s), 0);
	CHECK_EQ(strlen(s.action), sizeof(s.action) - 1);
	CHECK_EQ(s.total, 2);
}

static void test_status_wrong(void)
{
	static const char * const wrong[] = {
		"", " ", "0", "0 1", "x 1 -", "0 x -", "0 1 x", "-1 1 -", "+1 1 -", "1 - 1", "0x1 1 1",
		"18446744073709551616 1 1", "0 18446744073709551616 1", "0 1 18446744073709551616",
		"1.5 1 1", "Error", "1 1 -1",
	};
	struct status s;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		if (!parse_status(wrong[i], &s))
			unit_fail(__FILE__, __LINE__, "taken: '%s'", wrong[i]);
	/* A wrong field costs itself and what follows. */
	CHECK_EQ(parse_status("0 1 1 idle 1 2 3 4 5", &s), 0);
	CHECK(s.have_action && !s.have_pass && !s.have_rate && !s.have_bad && !s.have_lost);
	CHECK_EQ(parse_status("0 1 1 idle /1 2 3 4 5", &s), 0);
	CHECK(!s.have_pass);
	CHECK_EQ(parse_status("0 1 1 idle 1/ 2 3 4 5", &s), 0);
	CHECK(!s.have_pass);
	CHECK_EQ(parse_status("0 1 1 idle 1/2 x 3 4 5", &s), 0);
	CHECK(s.have_pass && !s.have_rate && !s.have_bad);
	CHECK_EQ(parse_status("0 1 1 idle 1/2 3 4 x 5", &s), 0);
	CHECK(s.have_bad && !s.have_first_bad && !s.have_lost);
}

/* --- table --- */

static void test_table(void)
{
	struct table t;

	CHECK_EQ(parse_table("8:16 64 32 J 17 meta_device:8:32 block_size:4096 recalculate reset_recalculate no_recalculate allow_discards journal_sectors:984 interleave_sectors:1 buffer_sectors:128 journal_watermark:50 commit_time:10000 fix_padding fix_hmac legacy_recalculate internal_hash:hmac(sha256):0011 journal_crypt:ctr(aes):22 journal_mac:hmac(md5):33", &t), 0);
	CHECK_STR(t.device, "8:16");
	CHECK_STR(t.meta_device, "8:32");
	CHECK_EQ(t.start, 64);
	CHECK_EQ(t.tag_size, 32);
	CHECK_EQ(t.mode, 'J');
	CHECK_EQ(t.block_size, 4096);
	CHECK(t.recalculate && t.no_recalculate && t.allow_discards && t.keyed);
	CHECK_STR(t.hash, "hmac(sha256)");
	CHECK_STR(t.journal_crypt, "ctr(aes)");
	CHECK_STR(t.journal_mac, "hmac(md5)");

	CHECK_EQ(parse_table("254:0 0 - D 1 internal_hash:crc32c", &t), 0);
	CHECK_EQ(t.block_size, 512);
	CHECK_EQ(t.tag_size, 0);
	CHECK_STR(t.hash, "crc32c");
	CHECK_STR(t.meta_device, "");
	CHECK(!t.keyed && !t.recalculate && !t.no_recalculate && !t.allow_discards);

	/* Of an upper layer; of a later version; what is not counted does not count. */
	CHECK_EQ(parse_table("254:0 0 28 I 0", &t), 0);
	CHECK_STR(t.hash, "");
	CHECK_EQ(parse_table("254:0 0 4 X 3 new new:1:2 block_size:1024 recalculate", &t), 0);
	CHECK_EQ(t.mode, 'X');
	CHECK_EQ(t.block_size, 1024);
	CHECK(!t.recalculate);
}

static void test_table_wrong(void)
{
	static const char * const wrong[] = {
		"", "8:16", "8:16 0", "8:16 0 4", "8:16 0 4 D", "8:16 0 4 DD 0", "8:16 x 4 D 0",
		"8:16 0 x D 0", "8:16 0 4 D x", "8:16 0 4 D 1", "8:16 0 4 D 2 recalculate",
		"8:16 0 4 D 1 block_size:x", "8:16 0 4 D 1 block_size:", "8:16 0 4 D 1 block_size",
		"8:16 0 4294967296 D 0", "8:16 0 4 D 18446744073709551615",
		"8:16 0 4 D 18446744073709551616",
	};
	struct table t;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		if (!parse_table(wrong[i], &t))
			unit_fail(__FILE__, __LINE__, "taken: '%s'", wrong[i]);
}

/* No byte of a key is anywhere in what is kept, however long name and key are. */
static void test_table_keys(void)
{
	static const char key[] = "c0ffee";
	struct table t;
	char text[9000];
	size_t i, names;

	for (names = 1; names < 300; names += 7) {
		int len = snprintf(text, sizeof(text), "8:16 0 4 D 3 internal_hash:%0*d:",
				   (int)names, 0);
		static const char * const rest[] = { " journal_mac:x:", " journal_crypt::" };
		unsigned int k;

		for (i = 0; i < 400; i++)
			len += snprintf(text + len, sizeof(text) - len, "%s", key);
		for (k = 0; k < 2; k++) {
			len += snprintf(text + len, sizeof(text) - len, "%s", rest[k]);
			for (i = 0; i < 200; i++)
				len += snprintf(text + len, sizeof(text) - len, "%s", key);
		}
		memset(&t, 0, sizeof(t));
		CHECK_EQ(parse_table(text, &t), 0);
		CHECK(t.keyed);
		CHECK(!memmem(&t, sizeof(t), key, 3));
	}
}

/* --- bad blocks --- */

static void ranges_are(const char *text, const char *want, bool complete)
{
	char got[4000] = "";
	struct ranges r;
	size_t i, len = 0;

	CHECK_EQ(parse_ranges(text, &r), 0);
	for (i = 0; i < r.count; i++)
		len += snprintf(got + len, sizeof(got) - len, "%llu+%llu ",
				(u64)r.range[i].start, (u64)r.range[i].length);
	CHECK_STR(got, want);
	CHECK_EQ(r.complete, complete);
	free_ranges(&r);
}

static void test_ranges(void)
{
	char text[4000] = "", want[4000] = "";
	int i, n = 0, m = 0;

	ranges_are("", "", true);
	ranges_are("-", "", true);
	ranges_are("\n", "", true);
	ranges_are("8 16", "8+16 ", true);
	ranges_are("8 16\n64 8\n", "8+16 64+8 ", true);
	ranges_are("8+16 64+8", "8+16 64+8 ", true);
	ranges_are("8 16\noverflow\n", "8+16 ", false);
	ranges_are("8+16 ... 3 more", "8+16 ", false);
	ranges_are("more 5\n8 16", "8+16 ", false);
	for (i = 0; i < 130; i++) {
		n += snprintf(text + n, sizeof(text) - n, "%d 8\n", i * 16);
		m += snprintf(want + m, sizeof(want) - m, "%d+8 ", i * 16);
	}
	ranges_are(text, want, true);
}

static void test_ranges_wrong(void)
{
	static const char * const wrong[] = {
		"8", "8 16 24", "8 x", "8+", "8+x", "8 0", "8+0", "8x", "8-16", "1 18446744073709551615",
		"18446744073709551616 1",
	};
	struct ranges r;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		if (!parse_ranges(wrong[i], &r))
			unit_fail(__FILE__, __LINE__, "taken: '%s'", wrong[i]);
}

/* --- numbers of the command line --- */

static void test_sectors(void)
{
	static const struct {
		const char *text;
		u64 sectors;
	} good[] = {
		{ "0", 0 }, { "8", 8 }, { "1k", 2 }, { "1K", 2 }, { "3M", 6144 }, { "1g", 2097152 },
		{ "2T", 4294967296 }, { "18446744073709551615", U64_MAX }, { "007", 7 },
		{ "9223372036854775807k", U64_MAX - 1 },
	};
	static const char * const wrong[] = {
		"", "k", " 8", "8 ", "-8", "+8", "8s", "8kk", "8b", "1.5M", "0x8", "18446744073709551616",
		"9223372036854775808k", "18014398509481984m", "8P",
	};
	uint64_t n;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_EQ(parse_sectors(good[i].text, &n), 0);
		CHECK_EQ(n, good[i].sectors);
	}
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		if (!parse_sectors(wrong[i], &n))
			unit_fail(__FILE__, __LINE__, "taken: '%s'", wrong[i]);
	CHECK_EQ(parse_number("4294967295", U32_MAX, &n), 0);
	CHECK_EQ(n, U32_MAX);
	CHECK_EQ(parse_number("4294967296", U32_MAX, &n), -ERANGE);
	CHECK_EQ(parse_number("1k", U32_MAX, &n), -EINVAL);
}

/* --- the kernel's log --- */

static void test_escaped(void)
{
	static const struct {
		const char *text;
		const char *want;
	} tests[] = {
		{ "a\\x2bb", "a+b" }, { "\\x2D\\x2d", "--" }, { "\\xffff", "\xff""ff" },
		{ "\\\\x41", "\\A" }, { "123\\x34567", "1234567" },
		{ "", NULL }, { "a+b", NULL }, { "\\x", NULL }, { "\\x2", NULL }, { "\\X41", NULL },
		{ "\\xg1", NULL }, { "a\\x00b", NULL }, { "1234\\x35678", NULL },
	};
	char to[8];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		CHECK_EQ(parse_escaped(tests[i].text, to, sizeof(to)), tests[i].want != NULL);
		if (tests[i].want)
			CHECK_STR(to, tests[i].want);
	}
}

static void test_kernel_reason(void)
{
	char text[40];

	CHECK(kernel_reason("3,1,2,-;device-mapper: integrity: dm-7: no way\n SUBSYSTEM=block\n", 7,
			    text, sizeof(text)));
	CHECK_STR(text, "no way");
	CHECK(!kernel_reason("3,1,2,-;device-mapper: integrity: dm-7: no way\n", 70, text, 40));
	CHECK(!kernel_reason("3,1,2,-;device-mapper: integrity: dm-70: no way\n", 7, text, 40));
	CHECK(!kernel_reason("3,1,2,-;device-mapper: crypt: dm-7: no way\n", 7, text, 40));
	CHECK(!kernel_reason("", 7, text, 40));
	CHECK(!kernel_reason("device-mapper: integrity: dm-7: no way\n", 7, text, 40));
	CHECK(kernel_reason(";device-mapper: integrity: dm-7: 0123456789012345678901234567890123456789",
			    7, text, sizeof(text)));
	CHECK_EQ(strlen(text), 39);
}

/* --- JSON --- */

static void test_json(void)
{
	char *text = NULL;
	size_t size;
	struct json j = { .file = open_memstream(&text, &size) };

	json_object(&j, NULL);
	json_number(&j, "a", U64_MAX);
	json_string(&j, "s", "q\"b\\n\nt\t\x01\x7f \xc3\xa4 \xff \xc0\x80 \xed\xa0\x80 \xf0\x9f\x98\x80");
	json_array(&j, "l");
	json_object(&j, NULL);
	json_end_object(&j);
	json_bool(&j, NULL, true);
	json_array(&j, NULL);
	json_end_array(&j);
	json_null(&j, NULL);
	json_end_array(&j);
	json_real(&j, "r", 12.34, 1);
	json_string(&j, "n", NULL);
	json_maybe(&j, "m", false, 5);
	json_maybe(&j, "k", true, 5);
	json_end_object(&j);
	fclose(j.file);
	CHECK_STR(text, "{\"a\":18446744073709551615,\"s\":\"q\\\"b\\\\n\\u000at\\u0009\\u0001\\u007f \xc3\xa4 \\ufffd \\ufffd\\ufffd \\ufffd\\ufffd\\ufffd \xf0\x9f\x98\x80\",\"l\":[{},true,[],null],\"r\":12.3,\"n\":null,\"m\":null,\"k\":5}");
	free(text);
}

static const struct unit_test tests[] = {
	{ "ctl-status-full", test_status_full },
	{ "ctl-status-fields", test_status_fields },
	{ "ctl-status-states", test_status_states },
	{ "ctl-status-wrong", test_status_wrong },
	{ "ctl-table", test_table },
	{ "ctl-table-wrong", test_table_wrong },
	{ "ctl-table-keys", test_table_keys },
	{ "ctl-ranges", test_ranges },
	{ "ctl-ranges-wrong", test_ranges_wrong },
	{ "ctl-sectors", test_sectors },
	{ "ctl-escaped", test_escaped },
	{ "ctl-kernel-reason", test_kernel_reason },
	{ "ctl-json", test_json },
};

UNIT_MAIN(tests)
