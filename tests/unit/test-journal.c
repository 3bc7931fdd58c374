// SPDX-License-Identifier: GPL-2.0-only
/*
 * The journal's format and the plan of a replay, against Documentation/on-disk-format.rst,
 * section 4, written down a second time, and against a simulated writer that knows what it wrote.
 */
#include <stdlib.h>

#include "../../journal-format.h"
#include "unit.h"

#define BITMAP_LONGS	((392 + BITS_PER_LONG - 1) / BITS_PER_LONG)

static struct integrity_commit_ids ids;

static struct integrity_layout layout_of(u32 tag_size, u8 lspb, bool mac, u32 sections)
{
	struct integrity_layout l = {
		.tag_size = tag_size,
		.log2_sectors_per_block = lspb,
		.journal_mac = mac,
		.journal_sections = sections,
		.log2_interleave = 15,
	};

	CHECK_EQ(integrity_layout_derive(&l), 0);
	l.provided_sectors = 1 << 20;
	return l;
}

/* The smallest sections there are: 8 metadata sectors of one entry each, 16 sectors. */
static struct integrity_layout small_layout(u32 sections)
{
	return layout_of(255, 0, false, sections);
}

static struct integrity_layout any_layout(void)
{
	return layout_of(1 + unit_below(255), unit_below(4), unit_below(2), 7);
}

/* Memory that ASan guards byte by byte. */
static u8 *random_bytes(size_t size)
{
	u8 *p = malloc(size);
	size_t i;

	CHECK(p);
	for (i = 0; i < size; i++)
		p[i] = unit_random();
	return p;
}

static u64 get64(const u8 *p)
{
	u64 value = 0;
	int i;

	for (i = 7; i >= 0; i--)
		value = value << 8 | p[i];
	return value;
}

static void put64(u8 *p, u64 value)
{
	int i;

	for (i = 0; i < 8; i++, value >>= 8)
		p[i] = value;
}

static void set_bit_of(unsigned long *map, u32 bit)
{
	map[bit / BITS_PER_LONG] |= 1ul << bit % BITS_PER_LONG;
}

static void clear_bit_of(unsigned long *map, u32 bit)
{
	map[bit / BITS_PER_LONG] &= ~(1ul << bit % BITS_PER_LONG);
}

static bool bit_of(const unsigned long *map, u32 bit)
{
	return map[bit / BITS_PER_LONG] >> bit % BITS_PER_LONG & 1;
}

/* 4.3 without the functions of journal-format.c, for ids without a stream cipher. */
static u64 ref_id(u32 section, u32 sector, unsigned int sequence)
{
	return 0x1111111111111111ull * (sequence + 1) ^ (u64)section << 32 ^ sector;
}

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
	static const struct {
		u32 tag_size, block_size;
		int mac;		/* -1: with and without */
		u32 entry, per_sector, entries, sectors;
	} rows[] = {
		{ 4, 512, 0, 24, 21, 168, 176 },	{ 8, 512, 0, 24, 21, 168, 176 },
		{ 4, 512, 1, 24, 20, 160, 168 },	{ 8, 512, 1, 24, 20, 160, 168 },
		{ 16, 512, -1, 32, 15, 120, 128 },	{ 20, 512, -1, 40, 12, 96, 104 },
		{ 28, 512, -1, 48, 10, 80, 88 },	{ 32, 512, -1, 48, 10, 80, 88 },
		{ 64, 512, -1, 80, 6, 48, 56 },		{ 4, 4096, -1, 80, 6, 48, 392 },
		{ 8, 4096, -1, 80, 6, 48, 392 },	{ 16, 4096, -1, 88, 5, 40, 328 },
		{ 20, 4096, -1, 96, 5, 40, 328 },	{ 28, 4096, -1, 104, 4, 32, 264 },
		{ 32, 4096, -1, 104, 4, 32, 264 },	{ 64, 4096, -1, 136, 3, 24, 200 },
	};
	unsigned int i;
	int mac;
	u32 n;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		for (mac = 0; mac < 2; mac++) {
			u32 spb = rows[i].block_size / 512;
			struct integrity_layout l = layout_of(rows[i].tag_size, ilog2(spb), mac, 1);

			if (rows[i].mac >= 0 && rows[i].mac != mac)
				continue;
			CHECK_EQ(integrity_section_bytes(&l), 512 * rows[i].sectors);
			CHECK_EQ(l.journal_section_entries, rows[i].entries);
			for (n = 0; n < rows[i].entries; n++) {
				CHECK_EQ(integrity_entry_offset(&l, n),
					 n % 8 * 512 + n / 8 * rows[i].entry);
				CHECK_EQ(integrity_entry_tag_offset(&l, n),
					 integrity_entry_offset(&l, n) + 8 + 8 * spb);
				CHECK_EQ(integrity_entry_data_offset(&l, n), 512 * (8 + n * spb));
			}
			CHECK_EQ(integrity_entry_data_offset(&l, n), 512 * rows[i].sectors);
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

/* --- the plan against 4.8 --- */

/* Of a section: the sequences that occur in it, unknown sectors, an entry in use. */
struct seen {
	unsigned int mask;
	bool unknown, used;
};

struct result {
	int error;
	bool empty, damaged, erase;
	u32 first, count, next_section;
	unsigned int want, erase_sequence, next_sequence;
};

/* Step 3's u for each set of sequences, by hand; -1: none, or all four. */
static const int unused_of[16] = {
	[0x0] = -1, [0x1] = 1, [0x2] = 2, [0x3] = 2, [0x4] = 3, [0x5] = 3, [0x6] = 3, [0x7] = 3,
	[0x8] = 0, [0x9] = 1, [0xa] = 0, [0xb] = 2, [0xc] = 0, [0xd] = 1, [0xe] = 0, [0xf] = -1,
};

/* Are the @count sections from @first on a run, with something known in the last one. */
static bool is_run(u32 sections, const struct seen *s, u32 first, unsigned int want, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		u32 at = (first + i) % sections;
		unsigned int wanted = (want + (first + i) / sections) % 4;

		if (s[at].mask & ~(1u << wanted))
			return false;
	}
	return !count || s[(first + count - 1) % sections].mask;
}

/*
 * 4.8, steps 2-6 and 8. With an unknown sector anywhere it is what journal-format.h promises; then
 * the sets of sequences may be empty.
 */
static struct result model(u32 sections, const struct seen *s, bool journal_mode)
{
	struct result r = { .empty = true };
	unsigned int all = 0, last;
	int highest = -1;
	u32 i;

	for (i = 0; i < sections; i++) {
		all |= s[i].mask;
		r.damaged |= s[i].unknown;
		r.empty &= !s[i].used;
	}
	if (unused_of[all] < 0) {
		r.error = -EIO;
		return r;
	}
	last = (unused_of[all] + 3) % 4;
	r.want = (last + 3) % 4;
	if (!(all & 1u << r.want) && all & 1u << (r.want + 3) % 4)
		r.empty = true;
	for (i = 0; i < sections; i++)
		if (s[i].mask & 1u << last)
			highest = i;
	CHECK(highest >= 0);
	r.first = highest + 1;
	if (r.first == sections) {
		r.first = 0;
		r.want = (r.want + 1) % 4;
	}
	for (r.count = sections; !is_run(sections, s, r.first, r.want, r.count); )
		r.count--;

	if (r.count == sections && !r.damaged && (journal_mode || r.empty)) {
		r.next_section = r.first;
		/* Once around the ring. */
		r.next_sequence = (r.want + 1) % 4;
	} else {
		r.erase = true;
		r.erase_sequence = (last + 2) % 4;
		r.next_sequence = (last + 3) % 4;
	}
	return r;
}

static void check_plan(const struct integrity_layout *l,
		       const struct integrity_section_state *states, const struct seen *seen,
		       bool journal_mode)
{
	struct result want = model(l->journal_sections, seen, journal_mode);
	struct integrity_replay_plan plan;
	u32 n;
	u8 q;

	memset(&plan, 0x5a, sizeof(plan));
	CHECK_EQ(integrity_replay_plan(l, states, journal_mode, &plan), want.error);
	CHECK_EQ(plan.damaged, want.damaged);
	if (want.error)
		return;
	CHECK_EQ(plan.empty, want.empty);
	CHECK_EQ(plan.first, want.first);
	CHECK_EQ(plan.count, want.count);
	CHECK(plan.count <= l->journal_sections);
	if (plan.count)
		CHECK_EQ(plan.first_sequence, want.want);
	for (n = 0; n < plan.count; n++) {
		CHECK_EQ(integrity_replay_section(l, &plan, n, &q),
			 (want.first + n) % l->journal_sections);
		CHECK_EQ(q, (want.want + (want.first + n) / l->journal_sections) % 4);
	}
	CHECK_EQ(plan.erase, want.erase);
	if (plan.erase)
		CHECK_EQ(plan.erase_sequence, want.erase_sequence);
	CHECK_EQ(plan.next_section, want.next_section);
	CHECK_EQ(plan.next_sequence, want.next_sequence);
}

/* Every journal of up to four sections that there can be, as far as a plan asks. */
static void test_plan_all(void)
{
	u32 sections, i;
	unsigned long tried = 0;

	for (sections = 1; sections <= 4; sections++) {
		struct integrity_layout l = small_layout(sections);
		unsigned int kind[4] = {};

		do {
			struct integrity_section_state states[4] = {};
			struct seen seen[4] = {};
			u32 used = unit_below(3) ? unit_below(sections) : sections;

			/* Kinds: 0 nothing known; 1..15 all known; 16..30 some not. */
			for (i = 0; i < sections; i++) {
				seen[i].mask = kind[i] > 15 ? kind[i] - 15 : kind[i];
				seen[i].unknown = !kind[i] || kind[i] > 15;
				seen[i].used = i == used;
				states[i].sequences = seen[i].mask;
				states[i].unknown = seen[i].unknown ?
					seen[i].mask ? 1 + unit_below(15) : 16 : 0;
				states[i].used = seen[i].used;
			}
			check_plan(&l, states, seen, unit_below(2));
			tried++;
			for (i = 0; i < sections && ++kind[i] > 30; i++)
				kind[i] = 0;
		} while (i < sections);
	}
	unit_note("%lu journals", tried);
}

/* From the bytes on: sections of N = 1..6 with sequences in them as they may come to be. */
static void test_plan_random(void)
{
	unsigned int damaged = 0, errors = 0, i;

	integrity_commit_ids_init(&ids, NULL);
	for (i = 0; i < 20000; i++) {
		struct integrity_layout l = small_layout(1 + unit_below(6));
		const u32 size = integrity_section_bytes(&l), last = l.journal_section_sectors;
		unsigned int pool = 1 + unit_below(4), base = unit_below(4);
		unsigned int torn = unit_below(6), broken = unit_below(2) ? 0 : 1 + unit_below(8);
		struct integrity_section_state states[6];
		struct seen seen[6] = {};
		u32 s, j, n;

		for (s = 0; s < l.journal_sections; s++) {
			unsigned long unreadable[BITMAP_LONGS] = {};
			unsigned int q = (base + unit_below(pool)) % 4;
			bool lost = broken && !unit_below(4), is_torn = !unit_below(torn + 1);
			u8 *raw = random_bytes(size);
			bool any, bad[16] = {};

			/* Mostly around the ring in order. */
			if (pool == 2 && unit_below(8))
				q = (base + (s < i % 7)) % 4;
			for (j = 0; j < last; j++) {
				unsigned int now = is_torn && unit_below(2) ? (q + 1) % 4 : q;

				put64(raw + 512 * j + 504, ref_id(s, j, now));
				if (!lost && (!broken || unit_below(8 * broken))) {
					seen[s].mask |= 1u << now;
					continue;
				}
				bad[j] = true;
				/* A place's ids differ in all bytes: no bit makes one another. */
				if (unit_below(2))
					set_bit_of(unreadable, j);
				else
					raw[512 * j + 504 + unit_below(8)] ^= 1 << unit_below(8);
			}
			any = false;
			for (j = 0; j < last; j++)
				any |= bad[j];
			seen[s].unknown = any;
			integrity_section_pad(&l, raw, 0);
			for (n = 0; n < 8; n++)
				if (!unit_below(20)) {
					put64(raw + 512 * n, unit_magnitude(24));
					seen[s].used |= !bad[n];
				}
			integrity_section_scan(&l, &ids, raw, s,
					       any || unit_below(2) ? unreadable : NULL,
					       &states[s]);
			n = 0;
			for (j = 0; j < last; j++)
				n += bad[j];
			CHECK_EQ(states[s].unknown, n);
			for (j = 0; j < 8; j++)
				CHECK_EQ(states[s].unknown_metadata >> j & 1, bad[j]);
			CHECK_EQ(states[s].sequences, seen[s].mask);
			CHECK_EQ(states[s].used, seen[s].used);
			/* What cannot be known may have been in use. */
			seen[s].used |= !!states[s].unknown_metadata;
			damaged += any;
			free(raw);
		}
		errors += model(l.journal_sections, seen, true).error != 0;
		check_plan(&l, states, seen, unit_below(2));
	}
	unit_note("%u sections with unknown sectors, %u journals without an order",
		  damaged, errors);
	CHECK(damaged > 10000 && errors > 100);
}

/* Some that can be told by looking at them. */
static void test_plan_examples(void)
{
	/* One character a section: a digit for a whole one, T torn 0/1, L lost. */
	static const struct {
		const char *journal;
		bool used;
		int error;
		u32 first, count;
		bool empty, erase;
		u32 next_section;
		unsigned int next_sequence;
	} rows[] = {
		/* As formatted: all is continued at section 0. */
		{ "000", false, 0, 0, 3, true, false, 0, 1 },
		{ "0", false, 0, 0, 1, true, false, 0, 1 },
		/* The write position is the place where the sequence changes. */
		{ "110", true, 0, 2, 3, false, false, 2, 1 },
		{ "033", true, 0, 1, 3, false, false, 1, 0 },
		{ "333", true, 0, 0, 3, false, false, 0, 0 },
		/* A write that was torn ends the run before it. */
		{ "1T0", true, 0, 2, 2, false, true, 0, 0 },
		{ "T00", true, 0, 1, 2, false, true, 0, 0 },
		{ "11T", true, 0, 0, 2, false, true, 0, 0 },
		/* Traces of an erase. */
		{ "133", true, 0, 0, 0, true, true, 0, 2 },
		{ "311", true, 0, 1, 0, true, true, 0, 2 },
		{ "220", true, 0, 2, 0, true, true, 0, 1 },
		/* No order. */
		{ "0123", true, -EIO, 0, 0, true, false, 0, 0 },
		{ "LLL", true, -EIO, 0, 0, true, false, 0, 0 },
		/* Lost sections count only in front of others. */
		{ "1L0", true, 0, 1, 3, false, true, 0, 0 },
		{ "11L", true, 0, 2, 3, false, true, 0, 0 },
		{ "L00", true, 0, 0, 3, false, true, 0, 3 },
		{ "0LL", true, 0, 1, 3, false, true, 0, 3 },
		{ "L1L", true, 0, 2, 3, false, true, 0, 0 },
		{ "1L00T0", true, 0, 5, 2, false, true, 0, 0 },
	};
	unsigned int i;
	u32 s;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct integrity_layout l = small_layout(strlen(rows[i].journal));
		struct integrity_section_state states[8] = {};
		struct integrity_replay_plan plan;

		for (s = 0; s < l.journal_sections; s++) {
			char c = rows[i].journal[s];

			states[s].unknown = c == 'L' ? 16 : 0;
			states[s].sequences = c == 'L' ? 0 : c == 'T' ? 3 : 1 << (c - '0');
			states[s].used = rows[i].used && c != 'L';
		}
		CHECK_EQ(integrity_replay_plan(&l, states, true, &plan), rows[i].error);
		if (rows[i].error)
			continue;
		if (plan.first != rows[i].first || plan.count != rows[i].count ||
		    plan.empty != rows[i].empty || plan.erase != rows[i].erase ||
		    plan.next_section != rows[i].next_section ||
		    plan.next_sequence != rows[i].next_sequence)
			unit_fail(__FILE__, __LINE__, "%s: first %u count %u empty %u erase %u next %u/%u",
				  rows[i].journal, plan.first, plan.count, plan.empty, plan.erase,
				  plan.next_section, plan.next_sequence);
		/* In another mode than J only an empty journal can stay. */
		CHECK_EQ(integrity_replay_plan(&l, states, false, &plan), 0);
		CHECK_EQ(plan.erase, rows[i].erase || rows[i].used);
	}
}

static void test_erase_order(void)
{
	u32 sections, first, step, n, i;

	for (sections = 1; sections <= 9; sections++)
		for (first = 0; first < sections; first++) {
			struct integrity_layout l = small_layout(sections);
			u32 at, counts[3], expect = first;

			for (step = 0; step < INTEGRITY_ERASE_STEPS; step++) {
				counts[step] = integrity_erase_step(&l, first, step, &at);
				CHECK(at < sections);
				for (n = 0; n < counts[step]; n++) {
					CHECK_EQ(at, expect);
					at = integrity_next_section(&l, at);
					expect = (expect + 1) % sections;
				}
			}
			CHECK_EQ(expect, first);
			CHECK_EQ(counts[0], 1);
			CHECK_EQ(counts[1], sections > 2 ? sections - 2 : 0);
			CHECK_EQ(counts[2], sections > 1);
			i = counts[0] + counts[1] + counts[2];
			CHECK_EQ(i, sections);
		}
}

/* --- verdicts --- */

static void test_verdicts(void)
{
	unsigned int seen[6] = {}, i;

	integrity_commit_ids_init(&ids, NULL);
	for (i = 0; i < 2000; i++) {
		struct integrity_layout l = any_layout();
		const u32 size = integrity_section_bytes(&l), spb = integrity_block_sectors(&l);
		const u32 section = unit_below(7), sequence = unit_below(4);
		unsigned long unreadable[BITMAP_LONGS] = {};
		bool bad[392] = {};
		u8 *raw = random_bytes(size);
		u32 n, j;

		l.provided_sectors = 1000 * spb;
		integrity_section_set_ids(&l, &ids, raw, section, sequence);
		for (j = 0; j < l.journal_section_sectors; j++) {
			if (unit_below(12))
				continue;
			bad[j] = true;
			switch (unit_below(4)) {
			case 0:
				set_bit_of(unreadable, j);
				break;
			case 1:
				put64(raw + 512 * j + 504, ref_id(section, j, sequence ^ 2));
				break;
			case 2:
				put64(raw + 512 * j + 504, ref_id(section + 1, j, sequence));
				break;
			default:
				put64(raw + 512 * j + 504, ref_id(section, j ^ 1, sequence));
			}
		}
		for (n = 0; n < l.journal_section_entries; n++) {
			enum integrity_entry_verdict v;
			u64 sector = unit_magnitude(12), got = 77;
			bool data_bad = false;
			u8 *entry = raw + n % 8 * 512 + n / 8 * l.journal_entry_size;

			if (unit_below(2))
				sector &= ~7ull;
			if (!unit_below(8))
				sector = (u64)0xfffffffe << 32;
			if (!unit_below(8))
				sector |= (u64)0xffffffff << 32;
			put64(entry, sector);
			for (j = 0; j < spb; j++)
				data_bad |= bad[8 + n * spb + j];
			v = integrity_entry_verdict(&l, &ids, raw, section, sequence, unreadable,
						    n, &got);
			if (bad[n % 8]) {
				CHECK_EQ(v, INTEGRITY_ENTRY_UNKNOWN);
				CHECK_EQ(got, 0);
			} else if (sector >> 32 == 0xffffffff) {
				CHECK_EQ(v, INTEGRITY_ENTRY_IS_UNUSED);
				CHECK_EQ(got, 0);
			} else {
				CHECK_EQ(got, sector);
				CHECK_EQ(v, sector % spb ? INTEGRITY_ENTRY_UNALIGNED :
					    sector >= 1000 * spb ? INTEGRITY_ENTRY_BEYOND :
					    data_bad ? INTEGRITY_ENTRY_DAMAGED :
					    INTEGRITY_ENTRY_REPLAY);
			}
			seen[v]++;
		}
		free(raw);
	}
	for (i = 0; i < ARRAY_SIZE(seen); i++)
		CHECK(seen[i] > 1000);
	unit_note("unused %u, replay %u, beyond %u, unaligned %u, damaged %u, unknown %u",
		  seen[0], seen[1], seen[2], seen[3], seen[4], seen[5]);
}

/* --- a writer that crashes --- */

#define MAX_SECTIONS	6u
#define SMALL_SECTORS	16u
#define SMALL_BYTES	(SMALL_SECTORS * 512)
#define SMALL_ENTRIES	8u

/*
 * A journal on a disk, and what a table in mode J knows of it. A section written has a generation,
 * in each of its sectors and entries, so that it can be told which one a replay found; 0 for an
 * empty one.
 */
struct sim {
	struct integrity_layout l;
	u8 disk[MAX_SECTIONS][SMALL_BYTES];
	u64 generation[MAX_SECTIONS];	/* of what was last written whole */
	u64 newest;
	u32 position;
	u8 sequence;
};

/* A write of several sections around the ring, as one request whose sectors go in any order. */
struct batch {
	u32 section[MAX_SECTIONS];
	u64 generation[MAX_SECTIONS];
	u8 raw[MAX_SECTIONS][SMALL_BYTES];
	u32 count;
	u32 written[MAX_SECTIONS];	/* sectors of each that reached the disk */
};

static void make_section(const struct sim *s, u8 *raw, u32 section, u8 sequence, u64 generation)
{
	u32 n, used = generation ? 1 + unit_below(SMALL_ENTRIES) : 0, i;

	/* What is left of older generations is not cleared. */
	if (generation)
		for (i = 0; i < SMALL_BYTES; i++)
			raw[i] = generation + i;
	else
		integrity_section_clear(&s->l, raw);
	for (n = 0; n < used; n++) {
		u8 *data = raw + integrity_entry_data_offset(&s->l, n);

		put64(data, generation);
		put64(data + 504, ~generation);
		put64(raw + integrity_entry_tag_offset(&s->l, n), generation * 3);
		integrity_entry_fill(&s->l, raw, n, generation);
	}
	integrity_section_pad(&s->l, raw, used);
	integrity_section_set_ids(&s->l, &ids, raw, section, sequence);
}

/* Which of @b's sectors are on the disk when the power goes: all, none, or anything. */
static void write_batch(struct sim *s, struct batch *b, bool crash)
{
	u32 i, j, how = unit_below(6), stop = unit_below(b->count * SMALL_SECTORS + 1);

	for (i = 0; i < b->count; i++) {
		u8 *to = s->disk[b->section[i]];
		u32 odds = unit_below(5);

		b->written[i] = 0;
		for (j = 0; j < SMALL_SECTORS; j++) {
			if (crash && how == 0 && i * SMALL_SECTORS + j >= stop)
				continue;	/* in order */
			if (crash && how == 1 && i * SMALL_SECTORS + j < stop)
				continue;	/* last ones first */
			if (crash && how == 2 && unit_below(2))
				continue;
			if (crash && how > 2 && unit_below(4) >= odds)
				continue;	/* some sections whole, some not at all */
			memcpy(to + 512 * j, b->raw[i] + 512 * j, 512);
			b->written[i]++;
		}
		if (b->written[i] == SMALL_SECTORS)
			s->generation[b->section[i]] = b->generation[i];
		}
}

/* The next @count sections, with contents, or empty ones as at a suspend. */
static void make_batch(struct sim *s, struct batch *b, u32 count, bool empty)
{
	u32 i;

	memset(b, 0, sizeof(*b));
	b->count = count;
	for (i = 0; i < count; i++) {
		b->section[i] = s->position;
		b->generation[i] = empty ? 0 : ++s->newest;
		make_section(s, b->raw[i], s->position, s->sequence, b->generation[i]);
		if (++s->position == s->l.journal_sections) {
			s->position = 0;
			s->sequence = (s->sequence + 1) % 4;
		}
	}
}

static int plan_sim(const struct sim *s, struct integrity_replay_plan *plan)
{
	struct integrity_section_state states[MAX_SECTIONS];
	struct seen seen[MAX_SECTIONS];
	u32 i;

	for (i = 0; i < s->l.journal_sections; i++) {
		integrity_section_scan(&s->l, &ids, s->disk[i], i, NULL, &states[i]);
		CHECK_EQ(states[i].unknown, 0);
		seen[i] = (struct seen){ states[i].sequences, false, states[i].used };
	}
	check_plan(&s->l, states, seen, true);
	return integrity_replay_plan(&s->l, states, true, plan);
}

/* The section, found in a run, is whole and of the generation that it should be. */
static void check_generation(const struct sim *s, u32 section, u8 sequence, u64 generation)
{
	const u8 *raw = s->disk[section];
	u32 n, used = 0;
	u8 block[512];
	u64 sector;

	for (n = 0; n < SMALL_ENTRIES; n++) {
		enum integrity_entry_verdict v;

		v = integrity_entry_verdict(&s->l, &ids, raw, section, sequence, NULL, n, &sector);
		if (v == INTEGRITY_ENTRY_IS_UNUSED)
			continue;
		CHECK_EQ(v, INTEGRITY_ENTRY_REPLAY);
		CHECK_EQ(sector, generation);
		CHECK(generation);
		integrity_entry_copy(&s->l, raw, n, block);
		CHECK_EQ(get64(block), generation);
		CHECK_EQ(get64(block + 504), ~generation);
		used++;
	}
	CHECK_EQ(!used, !generation);
}

/* Nothing is replayed: there is no run, or nothing in it. */
static void check_nothing(const struct sim *s, const struct integrity_replay_plan *plan)
{
	u32 n, section;
	u8 q;

	for (n = 0; n < plan->count && !plan->empty; n++) {
		section = integrity_replay_section(&s->l, plan, n, &q);
		check_generation(s, section, q, 0);
	}
}

/*
 * Carries out the erase of a plan, crashing in step @crash_step, or not at all. As written, and
 * with sectors in any order within a step.
 */
static void erase_sim(struct sim *s, const struct integrity_replay_plan *plan, u32 crash_step)
{
	struct batch b;
	u32 step, n, at;

	for (step = 0; step < INTEGRITY_ERASE_STEPS && step <= crash_step; step++) {
		memset(&b, 0, sizeof(b));
		b.count = integrity_erase_step(&s->l, plan->first, step, &at);
		CHECK(b.count <= s->l.journal_sections);
		for (n = 0; n < b.count; n++) {
			b.section[n] = at;
			make_section(s, b.raw[n], at, plan->erase_sequence, 0);
			at = integrity_next_section(&s->l, at);
		}
		write_batch(s, &b, step == crash_step);
	}
}

/* A whole erase leaves a journal of empty sections that is continued where the plan says. */
static void recover(struct sim *s, const struct integrity_replay_plan *plan)
{
	struct integrity_replay_plan after;

	if (plan->erase) {
		erase_sim(s, plan, U32_MAX);
		CHECK_EQ(plan_sim(s, &after), 0);
		CHECK(after.empty && !after.erase);
		CHECK_EQ(after.count, s->l.journal_sections);
		CHECK_EQ(after.next_section, plan->next_section);
		CHECK_EQ(after.next_sequence, plan->next_sequence);
	}
	s->position = plan->next_section;
	s->sequence = plan->next_sequence;
}

/* After a batch of which only some came to the disk: just what was committed and is still there. */
static void check_after_crash(const struct sim *s, const struct batch *b, u32 begin,
			      const u64 *before, const struct integrity_replay_plan *plan)
{
	u32 sections = s->l.journal_sections, behind = 0, whole = 0, n, expect;
	u8 q;

	/* Sections up to the last one that was touched are new or torn, those behind it are old. */
	for (n = 0; n < b->count; n++)
		if (b->written[n])
			behind = n + 1;
	while (whole < behind && b->written[whole] == SMALL_SECTORS)
		whole++;
	expect = sections - behind + whole;
	if (plan->empty) {
		/* Said of what holds no entry, or of a run of no section. */
		for (n = 0; n < expect; n++) {
			u32 section = (begin + behind + n) % sections;

			CHECK(!(n < sections - behind ? before : s->generation)[section]);
		}
		return;
	}
	CHECK_EQ(plan->count, expect);
	for (n = 0; n < plan->count; n++) {
		u32 section = integrity_replay_section(&s->l, plan, n, &q);

		CHECK_EQ(section, (begin + behind + n) % sections);
		check_generation(s, section, q,
				 n < sections - behind ? before[section] : s->generation[section]);
	}
}

static void format_sim(struct sim *s)
{
	u32 i;

	memset(s, 0, sizeof(*s));
	s->l = small_layout(1 + unit_below(MAX_SECTIONS));
	for (i = 0; i < s->l.journal_sections; i++)
		make_section(s, s->disk[i], i, 0, 0);
	s->sequence = 1;
}

static void test_writer(void)
{
	unsigned int crashes = 0, erases = 0, cut[3] = {}, traces = 0, i, round;
	struct integrity_replay_plan plan, again;
	struct sim *s = malloc(sizeof(*s));
	struct batch *b = malloc(sizeof(*b));
	u64 before[MAX_SECTIONS];
	u32 begin;

	integrity_commit_ids_init(&ids, NULL);
	for (i = 0; i < 2500; i++) {
		format_sim(s);
		for (round = 0; round < 12; round++) {
			bool crash = !unit_below(3);

			begin = s->position;
			memcpy(before, s->generation, sizeof(before));
			make_batch(s, b, 1 + unit_below(s->l.journal_sections), !unit_below(6));
			write_batch(s, b, crash);
			if (!crash && unit_below(2))
				continue;
			CHECK_EQ(plan_sim(s, &plan), 0);
			if (!crash) {
				/* Everything is there, and writing goes on as if nothing were. */
				CHECK_EQ(plan.count, s->l.journal_sections);
				CHECK(!plan.erase);
				CHECK_EQ(plan.next_section, s->position);
				CHECK_EQ(plan.next_sequence, s->sequence);
				check_after_crash(s, b, begin, before, &plan);
				continue;
			}
			crashes++;
			check_after_crash(s, b, begin, before, &plan);

			/* An erase that is cut off leaves nothing to be replayed. */
			if (plan.erase && unit_below(2)) {
				u32 step = unit_below(INTEGRITY_ERASE_STEPS);

				cut[step]++;
				erase_sim(s, &plan, step);
				if (step || s->l.journal_sections == 1) {
					CHECK_EQ(plan_sim(s, &again), 0);
					check_nothing(s, &again);
				} else {
					/* Unless it did not begin, and all is still there. */
					CHECK_EQ(plan_sim(s, &again), 0);
					if (again.count)
						check_after_crash(s, b, begin, before, &again);
				}
				traces += again.empty;
				plan = again;
			}
			erases += plan.erase;
			recover(s, &plan);
			if (plan.erase)
				memset(s->generation, 0, sizeof(s->generation));
		}
	}
	unit_note("%u crashes, %u erases, cut off in step 1 %u, 2 %u, 3 %u, then found empty %u",
		  crashes, erases, cut[0], cut[1], cut[2], traces);
	CHECK(crashes > 5000 && erases > 2000 && traces > 100);
	CHECK(cut[0] > 500 && cut[1] > 500 && cut[2] > 500);
	free(s);
	free(b);
}

/* --- damage --- */

struct damage {
	unsigned long unreadable[MAX_SECTIONS][BITMAP_LONGS];
	bool bad[MAX_SECTIONS][SMALL_SECTORS];
	u32 count;
};

/* Some sectors, at times a whole section, but never sector @keep of section @newest. */
static void damage_sim(struct sim *s, struct damage *d, u32 newest, u32 keep)
{
	unsigned int odds = 1 + unit_below(40);
	u32 i, j;

	memset(d, 0, sizeof(*d));
	for (i = 0; i < s->l.journal_sections; i++) {
		bool lost = !unit_below(6);

		for (j = 0; j < SMALL_SECTORS; j++) {
			if ((!lost && unit_below(odds)) || (i == newest && j == keep))
				continue;
			d->bad[i][j] = true;
			d->count++;
			/* A sector that could not be read may hold anything in memory. */
			if (unit_below(2))
				set_bit_of(d->unreadable[i], j);
			else
				s->disk[i][512 * j + 504 + unit_below(8)] ^= 0x88;
		}
	}
}

static void plan_damaged(const struct sim *s, const struct damage *d,
			 struct integrity_replay_plan *plan)
{
	struct integrity_section_state states[MAX_SECTIONS];
	u32 i;

	for (i = 0; i < s->l.journal_sections; i++)
		integrity_section_scan(&s->l, &ids, s->disk[i], i, d->unreadable[i], &states[i]);
	CHECK_EQ(integrity_replay_plan(&s->l, states, true, plan), 0);
}

static enum integrity_entry_verdict verdict_of(const struct sim *s, const struct damage *d,
					       u32 section, u8 sequence, u32 n, u64 *sector)
{
	return integrity_entry_verdict(&s->l, &ids, s->disk[section], section, sequence,
				       d->unreadable[section], n, sector);
}

/* Counts the entries of a section in the run by their verdicts. */
static void check_damaged_section(const struct sim *s, const struct damage *d, u32 at, u8 sequence,
				  unsigned int *seen)
{
	u32 n;

	for (n = 0; n < SMALL_ENTRIES; n++) {
		enum integrity_entry_verdict v;
		u64 sector;

		v = verdict_of(s, d, at, sequence, n, &sector);
		seen[v]++;
		if (d->bad[at][n]) {
			CHECK_EQ(v, INTEGRITY_ENTRY_UNKNOWN);
		} else if (!integrity_entry_used(&s->l, s->disk[at], n)) {
			CHECK_EQ(v, INTEGRITY_ENTRY_IS_UNUSED);
		} else {
			CHECK_EQ(v, d->bad[at][8 + n] ? INTEGRITY_ENTRY_DAMAGED :
				    INTEGRITY_ENTRY_REPLAY);
			CHECK_EQ(sector, s->generation[at]);
		}
	}
}

/* Cuts an erase off; what it wrote can be read again. Then nothing is left to be replayed. */
static void check_damaged_erase(struct sim *s, struct damage *d, struct integrity_replay_plan *plan)
{
	u32 i, j, n;
	u64 sector;
	u8 q;

	erase_sim(s, plan, 1 + unit_below(2));
	for (i = 0; i < s->l.journal_sections; i++)
		for (j = 0; j < SMALL_SECTORS; j++)
			if (integrity_sector_sequence(&ids, s->disk[i], i, j, NULL) ==
			    plan->erase_sequence)
				clear_bit_of(d->unreadable[i], j);
	plan_damaged(s, d, plan);
	for (n = 0; n < plan->count && !plan->empty; n++) {
		i = integrity_replay_section(&s->l, plan, n, &q);
		for (j = 0; j < SMALL_ENTRIES; j++)
			CHECK(verdict_of(s, d, i, q, j, &sector) != INTEGRITY_ENTRY_REPLAY);
	}
}

/*
 * Damage to a journal at rest costs what was damaged and nothing else, as long as a sector of the
 * section that was written last is known.
 */
static void test_damage(void)
{
	unsigned int seen[6] = {}, sectors = 0, cut = 0, i;
	struct integrity_replay_plan plan;
	struct sim *s = malloc(sizeof(*s));
	struct batch *b = malloc(sizeof(*b));
	struct damage d;

	integrity_commit_ids_init(&ids, NULL);
	for (i = 0; i < 4000; i++) {
		u32 sections, n, at;
		u8 q;

		format_sim(s);
		sections = s->l.journal_sections;
		for (n = 1 + unit_below(5); n; n--) {
			make_batch(s, b, 1 + unit_below(sections), false);
			write_batch(s, b, false);
		}
		damage_sim(s, &d, (s->position + sections - 1) % sections,
			   unit_below(SMALL_SECTORS));
		sectors += d.count;

		plan_damaged(s, &d, &plan);
		CHECK_EQ(plan.damaged, !!d.count);
		CHECK_EQ(plan.erase, !!d.count);
		CHECK_EQ(plan.first, s->position);
		CHECK_EQ(plan.count, sections);
		for (n = 0; n < sections; n++) {
			at = integrity_replay_section(&s->l, &plan, n, &q);
			CHECK_EQ(at, (s->position + n) % sections);
			CHECK_EQ(q, (s->sequence + (at < s->position ? 0 : 3)) % 4);
			check_damaged_section(s, &d, at, q, seen);
		}

		if (plan.erase && unit_below(2)) {
			check_damaged_erase(s, &d, &plan);
			cut++;
		}
		/* After a whole erase every sector is known. */
		if (plan.erase)
			recover(s, &plan);
	}
	unit_note("%u sectors, %u blocks lost, %u replayed, %u erases cut off", sectors,
		  seen[INTEGRITY_ENTRY_DAMAGED], seen[INTEGRITY_ENTRY_REPLAY], cut);
	CHECK(seen[INTEGRITY_ENTRY_DAMAGED] > 1000 && seen[INTEGRITY_ENTRY_REPLAY] > 10000);
	free(s);
	free(b);
}

static const struct unit_test tests[] = {
	{ "journal-vectors", test_vectors },
	{ "journal-equal-ids", test_equal_ids },
	{ "journal-ids", test_ids },
	{ "journal-sections", test_sections },
	{ "journal-round-trip", test_round_trip },
	{ "journal-entry-bytes", test_entry_bytes },
	{ "journal-plan-all", test_plan_all },
	{ "journal-plan-random", test_plan_random },
	{ "journal-plan-examples", test_plan_examples },
	{ "journal-erase-order", test_erase_order },
	{ "journal-verdicts", test_verdicts },
	{ "journal-writer", test_writer },
	{ "journal-damage", test_damage },
};

UNIT_MAIN(tests)
