// SPDX-License-Identifier: GPL-2.0-only
/*
 * The superblock's bytes, its validation and its version
 * (Documentation/on-disk-format.rst, sections 1 and 8.3).
 */
#include <stdlib.h>

#include "../../format.h"
#include "../../layout.h"
#include "unit.h"

/* A volume of the in-tree target with 4 KiB blocks, crc32c and fix_padding, on one device. */
static struct integrity_superblock good_sb(void)
{
	struct integrity_superblock sb = {
		.magic = INTEGRITY_SB_MAGIC,
		.version = 4,
		.log2_interleave_sectors = 15,
		.tag_size = cpu_to_le16(4),
		.journal_sections = cpu_to_le32(2),
		.provided_data_sectors = cpu_to_le64(130152),
		.flags = cpu_to_le32(INTEGRITY_SB_FIXED_PADDING),
		.log2_sectors_per_block = 3,
		.log2_blocks_per_bitmap_bit = 12,
	};

	return sb;
}

static struct integrity_sb_expect good_expect(void)
{
	struct integrity_sb_expect expect = {
		.tag_size = 4,
		.log2_sectors_per_block = 3,
		.max_version = INTEGRITY_SB_VERSION_5,
	};

	return expect;
}

static const char *refusal(const struct integrity_superblock *sb,
			   const struct integrity_sb_expect *expect)
{
	static char why[256];
	int r;

	memset(why, 'x', sizeof(why));
	why[0] = 0;
	r = integrity_sb_validate(sb, expect, why, sizeof(why));
	if (!r)
		return "";
	CHECK_EQ(r, -EINVAL);
	CHECK(memchr(why, 0, sizeof(why)));
	CHECK(!strncmp(why, "superblock: ", 12));
	CHECK(!strchr(why, '\n'));
	return why;
}

/* Offsets and byte order, against the table of section 1.2 written out as bytes. */
static void test_bytes(void)
{
	static const u8 bytes[64] = {
		0x69, 0x6e, 0x74, 0x65, 0x67, 0x72, 0x74, 0x00,		/* magic */
		0x05,							/* version */
		0x0f,						/* log2_interleave_sectors */
		0x20, 0x01,						/* tag_size 0x120 */
		0x04, 0x03, 0x02, 0x01,					/* journal_sections */
		0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11,		/* provided_data_sectors */
		0x24, 0x23, 0x22, 0x21,					/* flags */
		0x03,							/* log2_sectors_per_block */
		0x0c,						/* log2_blocks_per_bitmap_bit */
		0, 0,
		0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31,		/* recalc_sector */
		0, 0, 0, 0, 0, 0, 0, 0,
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,	/* salt */
	};
	struct integrity_superblock sb = {
		.magic = INTEGRITY_SB_MAGIC,
		.version = 5,
		.log2_interleave_sectors = 15,
		.tag_size = cpu_to_le16(0x120),
		.journal_sections = cpu_to_le32(0x01020304),
		.provided_data_sectors = cpu_to_le64(0x1112131415161718ull),
		.flags = cpu_to_le32(0x21222324),
		.log2_sectors_per_block = 3,
		.log2_blocks_per_bitmap_bit = 12,
		.recalc_sector = cpu_to_le64(0x3132333435363738ull),
		.salt = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
	};
	size_t i;

	CHECK_EQ(sizeof(sb), 64);
	CHECK_EQ(INTEGRITY_SB_BYTES, 4096);
	for (i = 0; i < sizeof(bytes); i++)
		if (((u8 *)&sb)[i] != bytes[i])
			unit_fail(__FILE__, __LINE__, "byte %zu is 0x%02x, not 0x%02x", i,
				  ((u8 *)&sb)[i], bytes[i]);
	CHECK(integrity_sb_has_magic(&sb));
	for (i = 0; i < 8; i++) {
		((u8 *)&sb)[i] ^= 1;
		CHECK(!integrity_sb_has_magic(&sb));
		((u8 *)&sb)[i] ^= 1;
	}
}

static void test_accepts(void)
{
	struct integrity_superblock sb = good_sb();
	struct integrity_sb_expect expect = good_expect();

	CHECK_STR(refusal(&sb, &expect), "");

	/* An open tag size, and what is only advice, padding or unknown. */
	expect.tag_size = 0;
	sb.provided_data_sectors = cpu_to_le64(U64_MAX);
	sb.recalc_sector = cpu_to_le64(U64_MAX);
	sb.flags |= cpu_to_le32(0xffffff80u | INTEGRITY_SB_RECALCULATING |
				INTEGRITY_SB_DIRTY_BITMAP | INTEGRITY_SB_FIXED_HMAC);
	memset(sb.pad, 0xff, sizeof(sb.pad));
	memset(sb.pad2, 0xff, sizeof(sb.pad2));
	memset(sb.salt, 0xff, sizeof(sb.salt));
	CHECK_STR(refusal(&sb, &expect), "");

	/* As LVM makes it: metadata device, no interleave. */
	sb = good_sb();
	expect = good_expect();
	sb.version = 2;
	sb.flags = cpu_to_le32(INTEGRITY_SB_RECALCULATING);
	sb.log2_interleave_sectors = 0;
	expect.separate = true;
	CHECK_STR(refusal(&sb, &expect), "");

	/* Inline. */
	sb = good_sb();
	expect = good_expect();
	sb.version = 6;
	expect.max_version = 6;
	sb.flags = cpu_to_le32(INTEGRITY_SB_INLINE);
	sb.journal_sections = 0;
	expect.inline_mode = true;
	CHECK_STR(refusal(&sb, &expect), "");

	/* Journal MAC; keyed discards, also when the table asks for what the volume has not yet. */
	sb = good_sb();
	expect = good_expect();
	sb.flags |= cpu_to_le32(INTEGRITY_SB_HAVE_JOURNAL_MAC);
	expect.journal_mac = true;
	expect.discard_keyed = true;
	CHECK_STR(refusal(&sb, &expect), "");
	sb.flags |= cpu_to_le32(INTEGRITY_SB_DISCARD_KEYED);
	CHECK_STR(refusal(&sb, &expect), "");
}

/* The sentence for each way to be wrong. */
static void test_sentences(void)
{
	struct integrity_superblock sb;
	struct integrity_sb_expect expect;

#define REFUSED(sentence, ...) do {						\
	sb = good_sb();								\
	expect = good_expect();							\
	__VA_ARGS__;								\
	CHECK_STR(refusal(&sb, &expect), sentence);				\
} while (0)

	REFUSED("superblock: magic not found", sb.magic[7] = 1);
	REFUSED("superblock: version 0 is not known (1..5 are)", sb.version = 0);
	REFUSED("superblock: version 9 is not known (1..5 are)", sb.version = 9);
	REFUSED("superblock: version 6 is not known (1..5 are)", sb.version = 6);
	REFUSED("superblock: tag size 0 is not 1..255", sb.tag_size = 0);
	REFUSED("superblock: tag size 256 is not 1..255", sb.tag_size = cpu_to_le16(256));
	REFUSED("superblock: tag size 256 is not 1..255", sb.tag_size = cpu_to_le16(256),
		expect.tag_size = 0);
	REFUSED("superblock: tag size 4 differs from the table's 8", expect.tag_size = 8);
	REFUSED("superblock: log2_sectors_per_block 4 is not 0..3", sb.log2_sectors_per_block = 4,
		expect.log2_sectors_per_block = 4);
	REFUSED("superblock: log2_sectors_per_block 3 (block_size 4096) differs from the table's block_size 512",
		expect.log2_sectors_per_block = 0);
	REFUSED("superblock: log2_sectors_per_block 0 (block_size 512) differs from the table's block_size 2048",
		sb.log2_sectors_per_block = 0, expect.log2_sectors_per_block = 2);
	REFUSED("superblock: journal_sections 0, there is no journal", sb.journal_sections = 0);
	REFUSED("superblock: log2_interleave_sectors 2 is not 3..31",
		sb.log2_interleave_sectors = 2);
	REFUSED("superblock: log2_interleave_sectors 32 is not 3..31",
		sb.log2_interleave_sectors = 32);
	REFUSED("superblock: log2_interleave_sectors 0 is not 3..31",
		sb.log2_interleave_sectors = 0);
	REFUSED("superblock: log2_interleave_sectors 15 is not 0, as a meta_device needs",
		expect.separate = true);
	REFUSED("superblock: log2_blocks_per_bitmap_bit 61 is not 0..60",
		sb.log2_blocks_per_bitmap_bit = 61);
	REFUSED("superblock: flags 0x28 say inline tags, only mode I can open it",
		sb.flags |= cpu_to_le32(INTEGRITY_SB_INLINE));
	REFUSED("superblock: flags 0x8 say no inline tags, mode I cannot open it",
		expect.inline_mode = true);
	REFUSED("superblock: journal_sections 2 is not 0, as inline tags need",
		sb.flags |= cpu_to_le32(INTEGRITY_SB_INLINE), expect.inline_mode = true);
	REFUSED("superblock: flags 0x24 say both inline tags and a bitmap",
		sb.flags = cpu_to_le32(0x24), sb.journal_sections = 0, expect.inline_mode = true);
	REFUSED("superblock: flags 0x9 say journal MAC, the table has no journal_mac",
		sb.flags |= cpu_to_le32(INTEGRITY_SB_HAVE_JOURNAL_MAC));
	REFUSED("superblock: flags 0x8 say no journal MAC, the table has journal_mac",
		expect.journal_mac = true);
	REFUSED("superblock: flags 0x48 need allow_discards_keyed in the table",
		sb.flags |= cpu_to_le32(INTEGRITY_SB_DISCARD_KEYED));
#undef REFUSED
}

static bool accepted(const struct integrity_superblock *sb,
		     const struct integrity_sb_expect *expect)
{
	return !*refusal(sb, expect);
}

/* Every value of every field that has few enough of them. */
static void test_every_value(void)
{
	struct integrity_superblock sb = good_sb();
	struct integrity_sb_expect expect = good_expect();
	unsigned int i, lspb, max;

	for (max = 1; max <= 7; max++) {
		expect.max_version = max;
		for (i = 0; i < 256; i++) {
			sb.version = i;
			CHECK_EQ(accepted(&sb, &expect), i >= 1 && i <= max);
		}
	}

	sb = good_sb();
	expect = good_expect();
	for (i = 0; i < 256; i++) {
		sb.log2_interleave_sectors = i;
		expect.separate = false;
		CHECK_EQ(accepted(&sb, &expect), i >= 3 && i <= 31);
		expect.separate = true;
		CHECK_EQ(accepted(&sb, &expect), i == 0);
	}

	sb = good_sb();
	expect = good_expect();
	for (i = 0; i < 65536; i++) {
		sb.tag_size = cpu_to_le16(i);
		expect.tag_size = 0;
		CHECK_EQ(accepted(&sb, &expect), i >= 1 && i <= 255);
		expect.tag_size = 4;
		CHECK_EQ(accepted(&sb, &expect), i == 4);
	}

	sb = good_sb();
	expect = good_expect();
	for (lspb = 0; lspb < 256; lspb++) {
		sb.log2_sectors_per_block = lspb;
		for (i = 0; i < 4; i++) {
			expect.log2_sectors_per_block = i;
			CHECK_EQ(accepted(&sb, &expect), lspb == i);
		}
		expect.log2_sectors_per_block = lspb;
		CHECK_EQ(accepted(&sb, &expect), lspb <= 3);
		if (lspb > 3)
			continue;
		for (i = 0; i < 256; i++) {
			sb.log2_blocks_per_bitmap_bit = i;
			CHECK_EQ(accepted(&sb, &expect), i + lspb <= 63);
		}
		sb.log2_blocks_per_bitmap_bit = 0;
	}

	sb = good_sb();
	expect = good_expect();
	for (i = 0; i < 32; i++) {
		sb.journal_sections = cpu_to_le32(1u << i);
		CHECK(accepted(&sb, &expect));
	}
}

/* Every combination of flags with every table that may meet it. */
static void test_every_flag(void)
{
	struct integrity_superblock sb = good_sb();
	struct integrity_sb_expect expect = good_expect();
	unsigned int flags, table;
	bool want;

	expect.max_version = 7;
	for (flags = 0; flags < 256; flags++)
		for (table = 0; table < 8; table++) {
			sb.flags = cpu_to_le32(flags);
			expect.inline_mode = table & 1;
			expect.journal_mac = table & 2;
			expect.discard_keyed = table & 4;
			sb.journal_sections = cpu_to_le32(expect.inline_mode ? 0 : 2);

			want = !(flags & 0x20) == !expect.inline_mode &&
			       !(flags & 0x01) == !expect.journal_mac &&
			       (!(flags & 0x40) || expect.discard_keyed) &&
			       (flags & 0x24) != 0x24;
			if (accepted(&sb, &expect) != want)
				unit_fail(__FILE__, __LINE__, "flags 0x%x, table %u: %s", flags,
					  table, want ? "refused" : "accepted");
		}
}

/* What no table may change is told by name, what may change is not noticed. */
static void test_same_volume(void)
{
	const struct integrity_superblock then = good_sb();
	struct integrity_superblock now;
	unsigned int bit;

#define DIFFERS(name, change) do {						\
	now = then;								\
	change;									\
	CHECK(integrity_sb_same_volume(&then, &now));				\
	CHECK_STR(integrity_sb_same_volume(&then, &now), name);			\
} while (0)
	DIFFERS("magic", now.magic[0] = 0);
	DIFFERS("magic", now.magic[7] = 1);
	DIFFERS("log2_interleave_sectors", now.log2_interleave_sectors = 14);
	DIFFERS("tag_size", now.tag_size = cpu_to_le16(0x104));
	DIFFERS("journal_sections", now.journal_sections = cpu_to_le32(0x1000002));
	DIFFERS("log2_sectors_per_block", now.log2_sectors_per_block = 2);
	DIFFERS("salt", now.salt[0] = 1);
	DIFFERS("salt", now.salt[15] = 1);
#undef DIFFERS

	for (bit = 0; bit < 32; bit++) {
		const char *field;

		now = then;
		now.flags ^= cpu_to_le32(1u << bit);
		field = integrity_sb_same_volume(&then, &now);
		if ((1u << bit) & 0x39)
			CHECK(field && !strcmp(field, "flags"));
		else
			CHECK(!field);
	}

	now = then;
	CHECK(!integrity_sb_same_volume(&then, &now));
	now.version = 5;
	now.provided_data_sectors = 0;
	now.recalc_sector = cpu_to_le64(8);
	now.log2_blocks_per_bitmap_bit = 0;
	now.pad[0] = 1;
	now.pad2[7] = 1;
	CHECK(!integrity_sb_same_volume(&then, &now));
}

/* The table of section 1.3, first match wins. */
static void test_version(void)
{
	static const struct {
		u32 flag;
		u8 version;
	} rules[] = {
		{ 0x40, 7 }, { 0x20, 6 }, { 0x10, 5 }, { 0x08, 4 },
	};
	unsigned int flags, other, i;
	u8 want;

	for (flags = 0; flags < 256; flags++)
		for (other = 0; other < 4; other++) {
			bool separate = other & 1, bitmap = other & 2;

			want = 0;
			for (i = 0; i < ARRAY_SIZE(rules) && !want; i++)
				if (flags & rules[i].flag)
					want = rules[i].version;
			if (!want && (bitmap || (flags & 0x04)))
				want = 3;
			if (!want && (separate || (flags & 0x02)))
				want = 2;
			if (!want)
				want = 1;
			CHECK_EQ(integrity_sb_version(flags, separate, bitmap), want);
		}

	/* Seen in practice. */
	CHECK_EQ(integrity_sb_version(0x18, false, false), 5);	/* integritysetup's default */
	CHECK_EQ(integrity_sb_version(0x02, true, false), 2);	/* LVM */
	CHECK_EQ(integrity_sb_version(0x02, true, true), 3);	/* LVM, bitmap */
	CHECK_EQ(integrity_sb_version(0x08, false, false), 4);	/* LUKS2 */
	CHECK_EQ(integrity_sb_version(0x01, false, false), 1);	/* journal_mac alone */
}

/* A reason longer than its buffer is cut, never written behind it. */
static void test_short_buffer(void)
{
	struct integrity_superblock sb = good_sb();
	struct integrity_sb_expect expect = good_expect();
	static const char full[] = "superblock: version 9 is not known (1..5 are)";
	size_t size;
	char *why;

	sb.version = 9;
	for (size = 0; size <= sizeof(full); size++) {
		why = malloc(size + !size);
		CHECK(why);
		CHECK_EQ(integrity_sb_validate(&sb, &expect, why, size), -EINVAL);
		if (size) {
			CHECK_EQ(strlen(why), min_t(size_t, size - 1, sizeof(full) - 1));
			CHECK(!strncmp(why, full, size - 1));
		}
		free(why);
	}
}

/*
 * Damaged superblocks: whatever gets through makes a layout that is refused, or one that lies on
 * the device. The layout's own tests look closer; this one is about what validation lets through.
 */
static void test_damaged(void)
{
	unsigned int accepts = 0, fits = 0, i, j;

	for (i = 0; i < 200000; i++) {
		struct integrity_superblock sb = good_sb();
		struct integrity_sb_expect expect = good_expect();
		struct integrity_layout l;

		expect.tag_size = 0;
		expect.separate = unit_below(2);
		if (expect.separate)
			sb.log2_interleave_sectors = 0;
		for (j = unit_below(4); j; j--)
			((u8 *)&sb)[8 + unit_below(sizeof(sb) - 8)] = unit_random();
		if (integrity_sb_validate(&sb, &expect, NULL, 0))
			continue;
		accepts++;
		l = (struct integrity_layout){
			.start = unit_below(100),
			.data_sectors = unit_magnitude(50),
			.tag_size = le16_to_cpu(sb.tag_size),
			.journal_sections = le32_to_cpu(sb.journal_sections),
			.log2_sectors_per_block = sb.log2_sectors_per_block,
			.log2_interleave = sb.log2_interleave_sectors,
			.log2_buffer = 7,
			.separate = expect.separate,
			.fix_padding = le32_to_cpu(sb.flags) & INTEGRITY_SB_FIXED_PADDING,
		};
		l.meta_sectors = l.separate ? unit_magnitude(50) : l.data_sectors;
		if (integrity_layout_fit(&l))
			continue;
		fits++;
		CHECK(l.provided_sectors);
		CHECK(integrity_data_sector(&l, l.provided_sectors - 1) < l.data_sectors);
		CHECK(l.start + l.initial_sectors +
		      (integrity_tag_offset(&l, l.provided_sectors - 1) + l.tag_size - 1) / 512 <
		      l.meta_sectors);
	}
	unit_note("%u of 200000 damaged superblocks accepted, %u of these fitted their device",
		  accepts, fits);
	CHECK(accepts > 10000 && fits > 1000);
}

static const struct unit_test tests[] = {
	{ "superblock-bytes", test_bytes },
	{ "superblock-accepts", test_accepts },
	{ "superblock-sentences", test_sentences },
	{ "superblock-every-value", test_every_value },
	{ "superblock-every-flag", test_every_flag },
	{ "superblock-same-volume", test_same_volume },
	{ "superblock-version", test_version },
	{ "superblock-short-buffer", test_short_buffer },
	{ "superblock-damaged", test_damaged },
};

UNIT_MAIN(tests)
