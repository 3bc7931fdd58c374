// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where layout.c says that data, tags, journal entries and bits are, against the definitions of
 * Documentation/on-disk-format.rst, sections 2, 4.1 and 5.1.
 */
#include <stdlib.h>

#include "../../format.h"
#include "layout-model.h"

/* The whole device painted: nothing overlaps, whatever belongs to a volume is on it, once. */
static void paint(struct integrity_layout *l, u8 *sectors, u8 *tag_bytes)
{
	enum { FREE, SUPERBLOCK, JOURNAL, TAGS, DATA };
	u64 meta = l->meta_sectors, s, at, k, byte, first_tag = l->start + l->initial_sectors;
	u32 i;

	memset(sectors, FREE, meta);
	memset(tag_bytes, 0, 512 * meta);
	for (k = 0; k < 8; k++)
		sectors[l->start + k] = SUPERBLOCK;
	for (i = 0; i < l->journal_sections; i++)
		for (k = 0; k < l->journal_section_sectors; k++) {
			s = integrity_journal_section_sector(l, i) + k;
			CHECK_L(l, s < first_tag);
			CHECK_L(l, sectors[s] == FREE);
			sectors[s] = JOURNAL;
		}
	for (s = l->start; s < first_tag; s++)
		CHECK_L(l, sectors[s] != FREE);

	/* Without a metadata device data is on the same disk; with one it has the other. */
	for (s = 0; s < l->provided_sectors; s++) {
		at = integrity_data_sector(l, s);
		CHECK_L(l, at == ref_data(l, s));
		CHECK_L(l, at < l->data_sectors);
		if (l->separate)
			continue;
		CHECK_L(l, sectors[at] == FREE);
		sectors[at] = DATA;
	}
	if (l->inline_mode)
		return;
	for (s = 0; s < l->provided_sectors; s += integrity_block_sectors(l)) {
		byte = 512 * first_tag + integrity_tag_offset(l, s);
		CHECK_L(l, byte == ref_tag(l, s));
		CHECK_L(l, integrity_tag_offset(l, s + integrity_block_sectors(l) - 1) ==
			   integrity_tag_offset(l, s));
		for (k = 0; k < l->tag_size; k++) {
			CHECK_L(l, byte + k < 512 * meta);
			CHECK_L(l, !tag_bytes[byte + k]);
			tag_bytes[byte + k] = 1;
			at = (byte + k) / 512;
			CHECK_L(l, sectors[at] == FREE || sectors[at] == TAGS);
			sectors[at] = TAGS;
		}
	}
}

static void test_mapping_painted(void)
{
	const u64 max = 6000;
	u8 *sectors = malloc(max), *tag_bytes = malloc(512 * max);
	unsigned int painted[KINDS] = { }, i;

	CHECK(sectors && tag_bytes);
	for (i = 0; i < 3000; i++) {
		enum kind kind = unit_below(KINDS);
		struct integrity_layout l = random_layout(kind, 12);

		l.start = unit_below(100);
		l.data_sectors = unit_below(max);
		l.meta_sectors = kind == SEPARATE ? unit_below(max) : l.data_sectors;
		l.journal_sections = kind == INLINE ? 0 : 1 + unit_below(3);
		l.log2_interleave = kind == SEPARATE ? 0 : 3 + unit_below(9);
		if (integrity_layout_fit(&l))
			continue;
		paint(&l, sectors, tag_bytes);
		painted[kind]++;
	}
	unit_note("%u interleaved, %u separate, %u inline", painted[INTERLEAVED], painted[SEPARATE],
		  painted[INLINE]);
	CHECK(painted[INTERLEAVED] > 200 && painted[SEPARATE] > 200 && painted[INLINE] > 200);
	free(sectors);
	free(tag_bytes);
}

/* Volumes too large to paint: sectors at random, at the ends of areas and of the volume. */
static void test_mapping_random(void)
{
	unsigned int volumes = 0, i, j;

	for (i = 0; i < 20000; i++) {
		struct integrity_layout l = random_layout(unit_below(KINDS), 54);
		u64 spb = integrity_block_sectors(&l), s, area, remaining, first;

		if (integrity_layout_fit(&l))
			continue;
		volumes++;
		check_on_device(&l);
		first = l.start + l.initial_sectors;
		for (j = 0; j < 12; j++) {
			s = unit_below(2) ? unit_below(l.provided_sectors) : unit_magnitude(54);
			if (!l.separate && j & 1)	/* about the border of two areas */
				s = round_down(s, 1ull << l.log2_interleave) + (j & 2 ? 0 : ~0ull);
			if (!j)
				s = 0;
			if (j == 1 || s >= l.provided_sectors)
				s = l.provided_sectors - 1;

			CHECK_L(&l, integrity_data_sector(&l, s) == ref_data(&l, s));
			remaining = integrity_area_remaining(&l, s);
			CHECK_L(&l, remaining && remaining <= l.provided_sectors - s);
			if (remaining > 1)
				CHECK_L(&l, integrity_data_sector(&l, s + remaining - 1) ==
					    integrity_data_sector(&l, s) + remaining - 1);
			if (s + remaining < l.provided_sectors) {
				CHECK_L(&l, !l.separate && !l.inline_mode);
				CHECK_L(&l, (s + remaining) % (1ull << l.log2_interleave) == 0);
				CHECK_L(&l, integrity_data_sector(&l, s + remaining) ==
					    integrity_data_sector(&l, s) + l.metadata_run +
					    remaining);
			}
			if (l.inline_mode)
				continue;

			CHECK_L(&l, integrity_tag_offset(&l, s) ==
				    ref_tag(&l, s) - (u128)512 * first);
			if (s + spb < l.provided_sectors && remaining > spb)
				CHECK_L(&l, integrity_tag_offset(&l, s + spb) ==
					    integrity_tag_offset(&l, s) + l.tag_size);
			if (l.separate)
				continue;
			/* All of the tag lies in the tag area in front of its data. */
			area = integrity_data_sector(&l, round_down(s, 1ull << l.log2_interleave)) -
			       l.metadata_run;
			CHECK_L(&l, ref_tag(&l, s) >= (u128)512 * area);
			CHECK_L(&l, ref_tag(&l, s) + l.tag_size <=
				    (u128)512 * (area + l.metadata_run));
		}
		CHECK_L(&l, integrity_area_remaining(&l, l.provided_sectors) == 0);
		CHECK_L(&l, integrity_area_remaining(&l, U64_MAX) == 0);
	}
	unit_note("%u volumes", volumes);
	CHECK(volumes > 2000);
}

/* Section 4.1: entries do not overlap, nor reach the MAC or the commit id. */
static void test_journal_places(void)
{
	u32 tag_size, lspb, mac, n, sector, byte, k;

	for (tag_size = 1; tag_size <= 255; tag_size++)
		for (lspb = 0; lspb < 4; lspb++)
			for (mac = 0; mac < 2; mac++) {
				struct integrity_layout l = {
					.start = 1000,
					.tag_size = tag_size,
					.log2_sectors_per_block = lspb,
					.log2_interleave = 15,
					.journal_sections = 7,
					.journal_mac = mac,
				};
				u8 used[8][512] = { };

				CHECK_EQ(integrity_layout_derive(&l), 0);
				for (n = 0; n < l.journal_section_entries; n++) {
					integrity_journal_entry_place(&l, n, &sector, &byte);
					CHECK_EQ(sector, n % 8);
					CHECK_EQ(byte, n / 8 * ref_entry(&l));
					CHECK(8 + 8 * ref_spb(&l) + tag_size <=
					      l.journal_entry_size);
					CHECK(byte + l.journal_entry_size <= (mac ? 496 : 504));
					for (k = 0; k < l.journal_entry_size; k++) {
						CHECK(!used[sector][byte + k]);
						used[sector][byte + k] = 1;
					}
				}
				/* One entry more would not fit. */
				CHECK(l.journal_entry_size * (n / 8 + 1) > (mac ? 496u : 504u));
				CHECK_EQ(integrity_journal_section_sector(&l, 0), 1008);
				CHECK_EQ(integrity_journal_section_sector(&l, 6) +
					 l.journal_section_sectors, 1000 + l.initial_sectors);
			}
}

/* Section 5.1. */
static void test_bitmap(void)
{
	unsigned int i, raised = 0;

	for (i = 0; i < 50000; i++) {
		struct integrity_layout l = random_layout(unit_below(2), 54);
		u64 sectors_per_bit = unit_below(8) ? unit_magnitude(64) : 32768;
		u128 cap, bits;
		int lb = 0;

		if (integrity_layout_fit(&l))
			continue;
		while (lb < 63 && sectors_per_bit >> (lb + 1))
			lb++;
		if (lb < l.log2_sectors_per_block)
			lb = l.log2_sectors_per_block;
		cap = (u128)l.journal_sections * ref_section(&l) * 4096;
		if (cap > 0xffffffffu)
			cap = 0xffffffffu;
		for (;; lb++) {
			bits = (l.provided_sectors + ((u128)1 << lb) - 1) >> lb;
			if (cap >= bits)
				break;
			raised++;
		}
		CHECK_L(&l, integrity_bitmap_log2(&l, sectors_per_bit) ==
			    lb - l.log2_sectors_per_block);
	}
	CHECK(raised > 100);
}

static void test_bitmap_boundaries(void)
{
	struct integrity_layout l = random_layout(INLINE, 40);

	/* No journal to hold a bitmap must not mean to look for room for ever. */
	l.start = 0;
	l.data_sectors = 1 << 20;
	l.meta_sectors = 1 << 20;
	l.log2_sectors_per_block = 3;
	CHECK_EQ(integrity_layout_fit(&l), 0);
	CHECK_EQ(integrity_bitmap_log2(&l, 32768), 12);
	CHECK_EQ(integrity_bitmap_log2(&l, 0), 0);
	CHECK_EQ(integrity_bitmap_log2(&l, 1), 0);
	CHECK_EQ(integrity_bitmap_log2(&l, U64_MAX), 60);

	/* What the in-tree target stores by default, and for the largest number that it takes. */
	l = random_layout(INTERLEAVED, 40);
	l.start = 0;
	l.data_sectors = 131072;
	l.meta_sectors = 131072;
	l.tag_size = 4;
	l.log2_sectors_per_block = 0;
	l.min_log2_buffer = 0;
	CHECK_EQ(integrity_layout_format(&l, 0, false, 0), 0);
	CHECK_EQ(integrity_bitmap_log2(&l, 32768), 15);
	CHECK_EQ(integrity_bitmap_log2(&l, 1ull << 63), 63);

	/* Just enough bits in one section's 176 sectors, and one sector more than they cover. */
	l.initial_sectors = 8 + 176;
	l.provided_sectors = 176 * 4096;
	CHECK_EQ(integrity_bitmap_log2(&l, 1), 0);
	l.provided_sectors++;
	CHECK_EQ(integrity_bitmap_log2(&l, 1), 1);
	l.provided_sectors = 176 * 4096 * 8;
	CHECK_EQ(integrity_bitmap_log2(&l, 8), 3);
	l.provided_sectors++;
	CHECK_EQ(integrity_bitmap_log2(&l, 8), 4);
	l.provided_sectors += 3;
	CHECK_EQ(integrity_bitmap_log2(&l, 8), 4);

	/* Never without a journal; but even then the search must end. */
	l.initial_sectors = 8;
	CHECK_EQ(integrity_bitmap_log2(&l, 1), 63);

	/* However long the journal, a bit's number is a u32. */
	l.initial_sectors = 8 + (1 << 21);
	l.provided_sectors = U32_MAX;
	CHECK_EQ(integrity_bitmap_log2(&l, 1), 0);
	l.provided_sectors++;
	CHECK_EQ(integrity_bitmap_log2(&l, 1), 1);
}

/* 8.4: what is printed is the threshold in effect, rounded to percent. */
static void test_watermark(void)
{
	struct integrity_layout l = { .journal_sections = 1, .journal_section_entries = 40 };

	CHECK(integrity_journal_watermark(&l, 37) == 38);
	CHECK(integrity_journal_watermark(&l, 0) == 0);
	CHECK(integrity_journal_watermark(&l, 50) == 50);
	CHECK(integrity_journal_watermark(&l, 100) == 100);
	l.journal_sections = 0xffffffff;
	l.journal_section_entries = 168;
	CHECK(integrity_journal_watermark(&l, 37) == 37);
	l.journal_sections = 0;
	CHECK(integrity_journal_watermark(&l, 37) == 37);
}

static const struct unit_test tests[] = {
	{ "layout-mapping-painted", test_mapping_painted },
	{ "layout-mapping-random", test_mapping_random },
	{ "layout-journal-places", test_journal_places },
	{ "layout-watermark", test_watermark },
	{ "layout-bitmap", test_bitmap },
	{ "layout-bitmap-boundaries", test_bitmap_boundaries },
};

UNIT_MAIN(tests)
