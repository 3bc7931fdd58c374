// SPDX-License-Identifier: GPL-2.0-only
/*
 * bitmap-format.c against Documentation/on-disk-format.rst, section 5: bits one by one, the geometry
 * by its definition, and the table of activation row by row.
 */
#include <stdlib.h>

#include "../../bitmap-format.h"
#include "../../format.h"
#include "unit.h"

#define BITS	(2 * INTEGRITY_BITMAP_BLOCK_BITS)

/* --- bits --- */

static __le64 map[BITS / 64], other[BITS / 64], third[BITS / 64];

static bool ref_bit(const __le64 *m, u64 bit)
{
	return ((const u8 *)m)[bit >> 3] >> (bit & 7) & 1;
}

static void randomize(__le64 *m)
{
	u64 i, kind = unit_below(4);

	for (i = 0; i < BITS / 64; i++)
		m[i] = kind == 0 ? 0 : kind == 1 ? ~0ull : kind == 2 ? unit_random() :
		       unit_random() & unit_random() & unit_random() & unit_random();
}

static void some_range(u64 *first, u64 *end)
{
	*first = unit_below(BITS);
	*end = unit_below(3) ? min(*first + unit_below(200), (u64)BITS) :
			       *first + unit_below(BITS - *first + 1);
}

static void test_set_clear_count(void)
{
	static __le64 before[BITS / 64];
	u64 first, end, i, ones;
	int round;

	for (round = 0; round < 600; round++) {
		bool set = unit_below(2);

		randomize(map);
		memcpy(before, map, sizeof(map));
		some_range(&first, &end);
		for (ones = 0, i = first; i < end; i++)
			ones += ref_bit(before, i);
		CHECK_EQ(integrity_bits_count(map, first, end), ones);
		if (set)
			CHECK_EQ(integrity_bits_set(map, first, end), end - first - ones);
		else
			CHECK_EQ(integrity_bits_clear(map, first, end), ones);
		for (i = 0; i < BITS; i++)
			CHECK(ref_bit(map, i) == (i >= first && i < end ? set : ref_bit(before, i)));
	}
}

static void test_next(void)
{
	u64 first, end, i;
	int round;

	for (round = 0; round < 3000; round++) {
		bool value = unit_below(2);

		randomize(map);
		some_range(&first, &end);
		for (i = first; i < end && ref_bit(map, i) != value; i++)
			;
		CHECK_EQ(integrity_bits_next(map, first, end, value), i);
	}
}

static void test_retire(void)
{
	static __le64 m[INTEGRITY_BITMAP_BLOCK_WORDS], stable[INTEGRITY_BITMAP_BLOCK_WORDS];
	int round;

	for (round = 0; round < 200; round++) {
		bool touched = unit_below(2);
		u64 i, cleared = 0;

		randomize(map);
		randomize(other);
		randomize(third);
		memcpy(m, map, sizeof(m));
		memcpy(stable, map, sizeof(m));
		for (i = 0; i < INTEGRITY_BITMAP_BLOCK_WORDS; i++)
			stable[i] &= unit_random();
		i = integrity_bits_retire(m, stable, touched ? other : NULL, third);
		for (u64 bit = 0; bit < INTEGRITY_BITMAP_BLOCK_BITS; bit++) {
			bool keep = ref_bit(third, bit) || (touched && ref_bit(other, bit));

			CHECK(ref_bit(m, bit) == (ref_bit(map, bit) && keep));
			CHECK(!ref_bit(stable, bit) || ref_bit(m, bit));
			cleared += ref_bit(map, bit) && !keep;
		}
		CHECK_EQ(i, cleared);
	}
}

/* --- geometry --- */

static bool some_layout(struct integrity_layout *l)
{
	memset(l, 0, sizeof(*l));
	l->data_sectors = unit_magnitude(44);
	l->separate = unit_below(2);
	l->meta_sectors = l->separate ? unit_magnitude(44) : l->data_sectors;
	l->start = unit_below(3) ? 0 : unit_magnitude(20) * 8;
	l->tag_size = 1 + unit_below(64);
	l->log2_sectors_per_block = unit_below(4);
	l->log2_buffer = 7;
	l->fix_padding = unit_below(2);
	return !integrity_layout_format(l, unit_magnitude(20), true, 0);
}

static void test_geometry(void)
{
	unsigned int done = 0, raised = 0;
	int round;

	for (round = 0; round < 20000; round++) {
		struct integrity_bitmap_geometry g;
		struct integrity_layout l;
		u64 wanted = unit_magnitude(40), cap, sectors;
		u32 log2 = 0;

		if (!some_layout(&l))
			continue;
		integrity_bitmap_geometry(&l, wanted, &g);

		/* 5.1, word by word. */
		while (wanted >> (log2 + 1))
			log2++;
		if (log2 < l.log2_sectors_per_block)
			log2 = l.log2_sectors_per_block;
		cap = (u64)l.journal_sections * l.journal_section_sectors * 4096;
		if (cap > U32_MAX)
			cap = U32_MAX;
		raised += cap < ((l.provided_sectors + (1ull << log2) - 1) >> log2);
		while (cap < ((l.provided_sectors + (1ull << log2) - 1) >> log2))
			log2++;
		CHECK_EQ(g.log2_sectors_per_bit, log2);
		CHECK_EQ(g.log2_blocks_per_bit, log2 - l.log2_sectors_per_block);
		sectors = 1ull << log2;
		CHECK_EQ(g.bits, (l.provided_sectors + sectors - 1) / sectors);
		CHECK_EQ(g.blocks, (g.bits + 32767ull) / 32768);

		CHECK(g.bits >= 1);
		CHECK(g.blocks * 8ull <= l.initial_sectors - INTEGRITY_SB_SECTORS);
		CHECK_EQ(integrity_bit(&g, l.provided_sectors - 1), g.bits - 1);
		CHECK_EQ(integrity_bit_end(&g, l.provided_sectors), g.bits);
		CHECK_EQ(integrity_bit_end(&g, 0), 0);
		CHECK_EQ(integrity_bit_end(&g, 1), 1);
		CHECK_EQ(integrity_bitmap_sector(&l, 0), l.start + 8);
		CHECK_EQ(integrity_bitmap_sector(&l, 3), l.start + 32);
		CHECK(integrity_bitmap_no_granularity(&l) > g.log2_blocks_per_bit);
		done++;
	}
	CHECK(done > 1000 && raised > 10);
	unit_note("geometries: %u, of which the journal area limits %u", done, raised);
}

/* --- activation (5.3) --- */

#define SIZE	1000000ull
#define NONE	U64_MAX

static const struct {
	const char *row;
	/* given */
	char mode;
	bool in_use, same, requested;
	u64 dirty;
	bool flag;
	u64 sector;
	/* wanted */
	enum integrity_bitmap_start bitmap;
	bool replay, journal, cover, by_bitmap, flag_after;
	u64 sector_after;
} rows[] = {
#define NO	INTEGRITY_BITMAP_NONE
#define NEW	INTEGRITY_BITMAP_NEW
#define ADOPT	INTEGRITY_BITMAP_ADOPT
#define FILL	INTEGRITY_BITMAP_FILL
	{ "0 J", 'J', 0, 1, 0, NONE, 0, 0, NO, 1, 0, 0, 0, 0, 0 },
	{ "0 D, any granularity", 'D', 0, 0, 0, NONE, 0, 0, NO, 1, 0, 0, 0, 0, 0 },
	{ "0 D pending", 'D', 0, 1, 0, NONE, 1, 4096, NO, 1, 0, 0, 0, 1, 4096 },
	{ "0 J requested", 'J', 0, 1, 1, NONE, 1, 4096, NO, 1, 0, 0, 0, 1, 0 },
	{ "0 B", 'B', 0, 0, 0, NONE, 0, 0, NEW, 1, 0, 0, 0, 0, 0 },
	{ "0 B complete", 'B', 0, 1, 0, NONE, 1, SIZE, NEW, 1, 0, 0, 0, 1, SIZE },
	{ "0 B pending", 'B', 0, 1, 0, NONE, 1, 4096, NEW, 1, 0, 1, 0, 1, 4096 },
	{ "0 B requested", 'B', 0, 1, 1, NONE, 1, 4096, NEW, 1, 0, 1, 0, 1, 0 },
	{ "1 B clean", 'B', 1, 1, 0, NONE, 0, 0, ADOPT, 0, 0, 0, 0, 0, 0 },
	{ "1 B clean complete", 'B', 1, 1, 0, NONE, 1, SIZE, ADOPT, 0, 0, 0, 0, 1, SIZE },
	{ "1 B dirty", 'B', 1, 1, 0, 8192, 0, 0, ADOPT, 0, 0, 0, 1, 1, 0 },
	{ "1 B dirty pending", 'B', 1, 1, 0, 8192, 1, 4096, ADOPT, 0, 0, 0, 1, 1, 0 },
	{ "1 B other", 'B', 1, 0, 0, NONE, 0, 0, FILL, 0, 0, 1, 1, 1, 0 },
	{ "1 B requested", 'B', 1, 1, 1, NONE, 0, 0, FILL, 0, 0, 1, 0, 1, 0 },
	{ "1 D clean", 'D', 1, 1, 0, NONE, 0, 0, NO, 0, 1, 0, 0, 0, 0 },
	{ "1 D clean pending", 'D', 1, 1, 0, NONE, 1, 4096, NO, 0, 1, 1, 0, 1, 4096 },
	{ "1 J dirty", 'J', 1, 1, 0, 8192, 0, 0, NO, 0, 1, 1, 1, 1, 8192 },
	{ "1 J dirty complete", 'J', 1, 1, 0, 8192, 1, SIZE, NO, 0, 1, 1, 1, 1, 8192 },
	{ "1 D dirty pending", 'D', 1, 1, 0, 8192, 1, 4096, NO, 0, 1, 1, 1, 1, 4096 },
	{ "1 J other", 'J', 1, 0, 0, NONE, 0, 0, NO, 0, 1, 1, 1, 1, 0 },
	{ "1 D requested", 'D', 1, 1, 1, NONE, 0, 0, NO, 0, 1, 1, 0, 1, 0 },
};

static void test_activation(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct integrity_activation a;

		memset(&a, 0xa5, sizeof(a));
		a.bitmap_mode = rows[i].mode == 'B';
		a.in_use = rows[i].in_use;
		a.same_granularity = rows[i].same;
		a.requested = rows[i].requested;
		a.provided_sectors = SIZE;
		a.first_dirty = rows[i].dirty;
		a.recalculating = rows[i].flag;
		a.recalc_sector = rows[i].sector;
		integrity_activation_plan(&a);
		if (a.bitmap != rows[i].bitmap || a.replay != rows[i].replay ||
		    a.new_journal != rows[i].journal || a.cover != rows[i].cover ||
		    a.by_bitmap != rows[i].by_bitmap || a.recalculating != rows[i].flag_after ||
		    a.recalc_sector != rows[i].sector_after)
			unit_fail(__FILE__, __LINE__, "%s: bitmap %d replay %d journal %d cover %d by %d flag %d at %llu",
				  rows[i].row, a.bitmap, a.replay, a.new_journal, a.cover,
				  a.by_bitmap, a.recalculating, a.recalc_sector);
	}
	unit_note("rows of the table of activation: %u", i);
}

/* What holds in whatever is found. */
static void test_activation_always(void)
{
	int round;

	for (round = 0; round < 20000; round++) {
		struct integrity_activation a, was;
		bool changes;

		memset(&a, 0, sizeof(a));
		a.bitmap_mode = unit_below(2);
		a.in_use = unit_below(2);
		a.same_granularity = unit_below(2);
		a.requested = unit_below(4) == 0;
		a.provided_sectors = 1 + unit_magnitude(50);
		a.first_dirty = unit_below(2) ? NONE : unit_below(a.provided_sectors);
		a.recalculating = unit_below(2);
		a.recalc_sector = unit_below(3) ? unit_below(a.provided_sectors + 1) :
						  a.provided_sectors;
		was = a;
		integrity_activation_plan(&a);

		/* Nothing pending is forgotten, and the flag stays. */
		CHECK(a.recalculating || !was.recalculating);
		CHECK(!was.recalculating || a.recalc_sector <= was.recalc_sector);
		CHECK(a.recalc_sector <= a.provided_sectors);
		/* The area holds one of the two, and becomes what the mode needs. */
		CHECK(a.replay == !a.in_use);
		CHECK(a.new_journal == (a.in_use && !a.bitmap_mode));
		CHECK((a.bitmap != INTEGRITY_BITMAP_NONE) == a.bitmap_mode);
		/* Only a bitmap that can be read is believed. */
		if (a.bitmap == INTEGRITY_BITMAP_ADOPT)
			CHECK(a.in_use && a.same_granularity && !a.requested);
		/* What is dirty is made again. */
		if (a.in_use && (!a.same_granularity || a.first_dirty != NONE))
			CHECK(a.recalculating &&
			      a.recalc_sector <= (a.same_granularity ? a.first_dirty : 0));
		/* While the area is neither, nobody may trust it with work left. */
		changes = a.new_journal || a.bitmap == INTEGRITY_BITMAP_NEW ||
			  a.bitmap == INTEGRITY_BITMAP_FILL;
		CHECK_EQ(a.cover, changes && a.recalculating &&
				  a.recalc_sector < a.provided_sectors);
	}
}

static void test_expressed(void)
{
	struct integrity_bitmap_geometry g = {
		.log2_sectors_per_bit = 4, .bits = 1000, .blocks = 1,
	};
	u64 size = 1000 * 16 - 3, at;

	memset(map, 0, sizeof(map));
	CHECK(integrity_recovery_expressed(&g, map, 0, size, size));
	CHECK(!integrity_recovery_expressed(&g, map, 0, 0, size));
	for (at = 0; at < size; at += 333) {
		u64 first = at / 16, left;

		memset(map, 0, sizeof(map));
		left = integrity_bits_set(map, first, g.bits);
		CHECK(integrity_recovery_expressed(&g, map, left, at, size));
		CHECK(!integrity_recovery_expressed(&g, map, left, size, size));
		if (first > 0) {
			CHECK(!integrity_recovery_expressed(&g, map, left, at - 16, size));
			map[0] |= cpu_to_le64(1);
			CHECK(!integrity_recovery_expressed(&g, map, left + 1, at, size));
		}
		if (first + 1 < g.bits) {
			map[0] &= cpu_to_le64(~1ull);
			left = integrity_bits_count(map, 0, g.bits);
			left -= integrity_bits_clear(map, g.bits - 1, g.bits);
			CHECK(!integrity_recovery_expressed(&g, map, left, at, size));
		}
	}
}

static const struct unit_test tests[] = {
	{ "bitmap-set-clear-count", test_set_clear_count },
	{ "bitmap-next", test_next },
	{ "bitmap-retire", test_retire },
	{ "bitmap-geometry", test_geometry },
	{ "bitmap-activation-table", test_activation },
	{ "bitmap-activation-always", test_activation_always },
	{ "bitmap-recovery-expressed", test_expressed },
};

UNIT_MAIN(tests)
