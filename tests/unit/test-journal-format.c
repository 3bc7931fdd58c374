// SPDX-License-Identifier: GPL-2.0-only
/*
 * The journal's entries and commit ids, against Documentation/on-disk-format.rst, section 4,
 * written down a second time.
 */
#include "journal-sections.h"
#include "section-sizes.h"

static struct integrity_commit_ids ids;

/* --- vectors --- */

/* Section 14. */
static void test_vectors(void)
{
	static const u64 ctr_aes[] = {
		0x02253a2eddd78638, 0x2fc765f42a4e9a2a, 0x1ed10c2badf9d3b3, 0x07bef11641484c86,
	};
	struct integrity_layout l = layout_of(4, 0, false, 5);
	u8 *raw = random_bytes(integrity_section_bytes(&l)), stream[32];
	unsigned int i;
	__le64 id;

	CHECK_EQ(integrity_section_bytes(&l), 176 * 512);
	integrity_section_clear(&l, raw);
	CHECK(!memcmp(raw, "\0\0\0\0\xff\xff\xff\xff\0\0\0", 11));

	integrity_commit_ids_init(&ids, NULL);
	id = integrity_commit_id(&ids, 0, 0, 0);
	CHECK(!memcmp(&id, "\x11\x11\x11\x11\x11\x11\x11\x11", 8));
	id = integrity_commit_id(&ids, 1, 3, 0);
	CHECK(!memcmp(&id, "\x12\x11\x11\x11\x10\x11\x11\x11", 8));
	integrity_section_set_ids(&l, &ids, raw, 1, 0);
	CHECK(!memcmp(raw + 3 * 512 + 504, "\x12\x11\x11\x11\x10\x11\x11\x11", 8));

	integrity_commit_ids_plain(stream);
	for (i = 0; i < 32; i++)
		CHECK_EQ(stream[i], 0x11 * (i / 8 + 1));

	for (i = 0; i < 4; i++)
		put64(stream + 8 * i, ctr_aes[i]);
	integrity_commit_ids_init(&ids, stream);
	for (i = 0; i < 4; i++) {
		CHECK_EQ(ids.base[i], ctr_aes[i]);
		id = integrity_commit_id(&ids, 4, 175, i);
		CHECK_EQ(get64((u8 *)&id), ctr_aes[i] ^ 0x4000000afull);
		CHECK_EQ(integrity_commit_id_sequence(&ids, 4, 175, id), i);
		CHECK_EQ(integrity_commit_id_sequence(&ids, 4, 174, id), -1);
	}
	free(raw);
}

/* 4.3: equal ones are counted up, and carry from byte to byte as a little-endian number. */
static void test_equal_ids(void)
{
	static const struct {
		u64 in[4], out[4];
	} rows[] = {
		{ { 7, 7, 7, 7 }, { 7, 8, 9, 10 } },
		{ { 7, 8, 7, 8 }, { 7, 8, 9, 10 } },
		{ { 8, 7, 7, 7 }, { 8, 7, 9, 10 } },
		{ { 1, 2, 3, 1 }, { 1, 2, 3, 4 } },
		{ { 0xff, 0xff, 0, 0 }, { 0xff, 0x100, 0, 1 } },
		{ { U64_MAX, U64_MAX, U64_MAX, 0 }, { U64_MAX, 0, 1, 2 } },
	};
	u8 stream[32];
	unsigned int i, j, k;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		for (j = 0; j < 4; j++)
			put64(stream + 8 * j, rows[i].in[j]);
		integrity_commit_ids_init(&ids, stream);
		for (j = 0; j < 4; j++)
			CHECK_EQ(ids.base[j], rows[i].out[j]);
	}

	for (i = 0; i < 10000; i++) {
		for (j = 0; j < 32; j++)
			stream[j] = unit_below(2) ? 0 : unit_below(8) ? 0xff : unit_random();
		integrity_commit_ids_init(&ids, stream);
		for (j = 0; j < 4; j++)
			for (k = 0; k < j; k++)
				CHECK(ids.base[j] != ids.base[k]);
	}
}

static void test_ids(void)
{
	unsigned long unreadable[BITMAP_LONGS] = {};
	struct integrity_layout l = layout_of(1, 3, true, 1);
	u8 *raw = random_bytes(integrity_section_bytes(&l));
	u32 i, j;

	integrity_commit_ids_init(&ids, NULL);
	CHECK_EQ(integrity_sequence_add(0, -1), 3);
	CHECK_EQ(integrity_sequence_add(1, -2), 3);
	CHECK_EQ(integrity_sequence_add(3, 1), 0);
	CHECK_EQ(integrity_sequence_add(2, 1), 3);

	for (i = 0; i < 100; i++) {
		u32 section = unit_magnitude(32), sequence = unit_below(4);
		u8 *before = malloc(integrity_section_bytes(&l));

		memcpy(before, raw, integrity_section_bytes(&l));
		integrity_section_set_ids(&l, &ids, raw, section, sequence);
		for (j = 0; j < l.journal_section_sectors; j++) {
			CHECK(!memcmp(before + 512 * j, raw + 512 * j, 504));
			CHECK_EQ(get64(raw + 512 * j + 504), ref_id(section, j, sequence));
			CHECK_EQ(integrity_sector_sequence(&ids, raw, section, j, NULL), sequence);
			CHECK_EQ(integrity_sector_sequence(&ids, raw, section ^ 1, j, NULL), -1);
		}
		free(before);

		j = unit_below(l.journal_section_sectors);
		set_bit_of(unreadable, j);
		CHECK_EQ(integrity_sector_sequence(&ids, raw, section, j, unreadable), -1);
		for (j = 0; j < l.journal_section_sectors; j++)
			CHECK_EQ(integrity_sector_sequence(&ids, raw, section, j, unreadable),
				 bit_of(unreadable, j) ? -1ull : sequence);
	}
	free(raw);
}

/* --- entries --- */

/* The table of 2.2: what it says of a section is what the places of its entries fill. */
static void test_sections(void)
{
	unsigned int i;
	int mac;
	u32 n;

	for (i = 0; i < ARRAY_SIZE(section_sizes); i++)
		for (mac = 0; mac < 2; mac++) {
			u32 spb = section_sizes[i].block_size / 512;
			struct integrity_layout l = layout_of(section_sizes[i].tag_size, ilog2(spb), mac, 1);

			if (section_sizes[i].mac >= 0 && section_sizes[i].mac != mac)
				continue;
			CHECK_EQ(integrity_section_bytes(&l), 512 * section_sizes[i].sectors);
			CHECK_EQ(l.journal_section_entries, section_sizes[i].entries);
			for (n = 0; n < section_sizes[i].entries; n++) {
				CHECK_EQ(integrity_entry_offset(&l, n),
					 n % 8 * 512 + n / 8 * section_sizes[i].entry);
				CHECK_EQ(integrity_entry_tag_offset(&l, n),
					 integrity_entry_offset(&l, n) + 8 + 8 * spb);
				CHECK_EQ(integrity_entry_data_offset(&l, n), 512 * (8 + n * spb));
			}
			CHECK_EQ(integrity_entry_data_offset(&l, n), 512 * section_sizes[i].sectors);
		}
}

/* Blocks go into a section, it is committed, they come out again. */
static void check_round_trip(const struct integrity_layout *l)
{
	const u32 entries = l->journal_section_entries, block = integrity_block_bytes(l);
	const u32 spb = integrity_block_sectors(l), size = integrity_section_bytes(l);
	u8 *blocks = random_bytes((size_t)entries * block);
	u8 *tags = random_bytes((size_t)entries * l->tag_size);
	u8 *raw = random_bytes(size), *was = malloc(size), *out = malloc(block);
	u8 mac[64], got[64];
	const u32 section = unit_magnitude(32), sequence = unit_below(4);
	u64 *sectors = malloc(entries * sizeof(*sectors)), sector;
	struct integrity_section_state state;
	u32 n, k, i;

	for (n = 0; n < entries; n++)
		sectors[n] = unit_magnitude(20) / spb * spb;
	for (i = 0; i < sizeof(mac); i++)
		mac[i] = unit_random();

	/* In any order, some twice. */
	for (i = 0; i < 3 * entries; i++) {
		n = i < 2 * entries ? unit_below(entries) : i - 2 * entries;
		memcpy(raw + integrity_entry_data_offset(l, n), blocks + n * block, block);
		memcpy(raw + integrity_entry_tag_offset(l, n), tags + n * l->tag_size, l->tag_size);
		integrity_entry_fill(l, raw, n, sectors[n]);
		CHECK(!memcmp(raw + integrity_entry_data_offset(l, n), blocks + n * block, block));
	}
	if (l->journal_mac)
		integrity_section_put_mac(raw, mac);
	integrity_section_set_ids(l, &ids, raw, section, sequence);

	memcpy(was, raw, size);
	integrity_section_scan(l, &ids, raw, section, NULL, &state);
	CHECK_EQ(state.unknown, 0);
	CHECK_EQ(state.unknown_metadata, 0);
	CHECK_EQ(state.sequences, 1 << sequence);
	CHECK(state.used);
	CHECK_EQ(integrity_section_fit(&state, sequence), INTEGRITY_FIT_WHOLE);
	CHECK_EQ(integrity_section_fit(&state, sequence ^ 1), INTEGRITY_FIT_OTHER);
	if (l->journal_mac) {
		integrity_section_get_mac(raw, got);
		CHECK(!memcmp(mac, got, sizeof(mac)));
		for (i = 0; i < 8; i++)
			CHECK(!memcmp(raw + 512 * i + 496, mac + 8 * i, 8));
	}

	for (n = 0; n < entries; n++) {
		/* The entry, from 4.1 and 4.2. */
		u8 *entry = raw + n % 8 * 512 + n / 8 * l->journal_entry_size;

		CHECK(integrity_entry_used(l, raw, n));
		CHECK_EQ(integrity_entry_sector(l, raw, n), sectors[n]);
		CHECK_EQ(get64(entry), sectors[n]);
		CHECK(!memcmp(entry + 8 + 8 * spb, tags + n * l->tag_size, l->tag_size));
		for (k = 0; k < spb; k++) {
			const u8 *from = blocks + n * block + 512 * k;

			CHECK(!memcmp(entry + 8 + 8 * k, from + 504, 8));
			CHECK(!memcmp(raw + 512 * (8 + n * spb + k), from, 504));
		}
		CHECK_EQ(integrity_entry_verdict(l, &ids, raw, section, sequence, NULL, n, &sector),
			 INTEGRITY_ENTRY_REPLAY);
		CHECK_EQ(sector, sectors[n]);
		integrity_entry_copy(l, raw, n, out);
		CHECK(!memcmp(out, blocks + n * block, block));
	}
	CHECK(!memcmp(was, raw, size));

	/* Restoring all gives all blocks as one, and leaves the metadata as it was. */
	for (n = 0; n < entries; n++)
		integrity_entry_restore_data(l, raw, n);
	CHECK(!memcmp(raw + 4096, blocks, (size_t)entries * block));
	CHECK(!memcmp(raw, was, 4096));

	/* Padding changes high words only. */
	k = unit_below(entries + 1);
	integrity_section_pad(l, raw, k);
	for (n = 0; n < entries; n++) {
		u32 at = n % 8 * 512 + n / 8 * l->journal_entry_size + 4;

		CHECK_EQ(integrity_entry_used(l, raw, n), n < k);
		if (n >= k) {
			CHECK(!memcmp(raw + at, "\xff\xff\xff\xff", 4));
			memcpy(raw + at, was + at, 4);
		}
	}
	CHECK(!memcmp(raw, was, 4096));

	/* An empty section, byte by byte (4.5). */
	memset(was, 0, size);
	for (n = 0; n < entries; n++)
		memset(was + n % 8 * 512 + n / 8 * l->journal_entry_size + 4, 0xff, 4);
	integrity_section_clear(l, raw);
	CHECK(!memcmp(raw, was, size));
	integrity_section_set_ids(l, &ids, raw, section, sequence);
	integrity_section_scan(l, &ids, raw, section, NULL, &state);
	CHECK(!state.used && !state.unknown);

	free(blocks);
	free(tags);
	free(raw);
	free(was);
	free(out);
	free(sectors);
}

static void test_round_trip(void)
{
	unsigned int lspb, mac;
	u32 tag_size;

	integrity_commit_ids_init(&ids, NULL);
	for (lspb = 0; lspb < 4; lspb++)
		for (mac = 0; mac < 2; mac++)
			for (tag_size = 1; tag_size <= 255; tag_size += 1 + unit_below(7)) {
				struct integrity_layout l = layout_of(tag_size, lspb, mac, 1);

				check_round_trip(&l);
			}
}

/* Which bytes a filled entry may change, and that two entries share none. */
static void test_entry_bytes(void)
{
	unsigned int i;
	u32 n, at;

	integrity_commit_ids_init(&ids, NULL);
	for (i = 0; i < 60; i++) {
		struct integrity_layout l = any_layout();
		const u32 size = integrity_section_bytes(&l);
		u8 *owner = calloc(size, 1), mac[64];

		for (n = 0; n < l.journal_section_entries; n++) {
			u32 begin = integrity_entry_offset(&l, n);
			u32 end = integrity_entry_tag_offset(&l, n) + l.tag_size;

			for (at = begin; at < end; at++)
				CHECK(!owner[at]++);
			begin = integrity_entry_data_offset(&l, n);
			for (at = begin; at < begin + integrity_block_bytes(&l); at++)
				CHECK(!owner[at]++);
		}
		memset(mac, 0x55, sizeof(mac));
		for (at = 0; at < 8 * 512; at++)
			if (at % 512 >= (l.journal_mac ? 496 : 504))
				CHECK(!owner[at]);
		if (l.journal_mac) {
			integrity_section_put_mac(owner, mac);
			for (at = 0; at < size; at++)
				CHECK_EQ(owner[at] == 0x55,
					 at < 4096 && at % 512 >= 496 && at % 512 < 504);
		}
		free(owner);
	}
}

static const struct unit_test tests[] = {
	{ "journal-vectors", test_vectors },
	{ "journal-equal-ids", test_equal_ids },
	{ "journal-ids", test_ids },
	{ "journal-sections", test_sections },
	{ "journal-round-trip", test_round_trip },
	{ "journal-entry-bytes", test_entry_bytes },
};

UNIT_MAIN(tests)
