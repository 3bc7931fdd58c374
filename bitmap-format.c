// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bitmap of mode B without I/O (Documentation/on-disk-format.rst, section 5).
 *
 * Bits are handled in words of 64, in the disk's byte order, so the same code serves every machine.
 */
#include "bitmap-format.h"
#include "format.h"

void integrity_bitmap_geometry(const struct integrity_layout *l, u64 sectors_per_bit,
			       struct integrity_bitmap_geometry *g)
{
	g->log2_blocks_per_bit = integrity_bitmap_log2(l, sectors_per_bit);
	g->log2_sectors_per_bit = g->log2_blocks_per_bit + l->log2_sectors_per_block;
	g->bits = integrity_bit_end(g, l->provided_sectors);
	g->blocks = DIV_ROUND_UP((u64)g->bits, INTEGRITY_BITMAP_BLOCK_BITS);
}

u64 integrity_bitmap_sector(const struct integrity_layout *l, u32 block)
{
	return l->start + INTEGRITY_SB_SECTORS + (u64)block * INTEGRITY_BITMAP_BLOCK_SECTORS;
}

u8 integrity_bitmap_no_granularity(const struct integrity_layout *l)
{
	/* Of the numbers that a superblock may hold the one that is used last. */
	return 63 - l->log2_sectors_per_block;
}

u64 integrity_bit_end(const struct integrity_bitmap_geometry *g, u64 end)
{
	return end ? ((end - 1) >> g->log2_sectors_per_bit) + 1 : 0;
}

/* --- bits --- */

/* Of the word of bit @first, the bits from @first on and below @end. */
static __le64 mask_of(u64 first, u64 end)
{
	u64 mask = ~0ULL << (first & 63);

	if ((first | 63) >= end)
		mask &= ~0ULL >> (63 - ((end - 1) & 63));
	return cpu_to_le64(mask);
}

/* The first bit of the next word. */
static u64 next_word(u64 bit)
{
	return (bit | 63) + 1;
}

static u32 weight(__le64 word)
{
	return hweight64(le64_to_cpu(word));
}

u64 integrity_bits_set(__le64 *map, u64 first, u64 end)
{
	u64 changed = 0, at;

	for (at = first; at < end; at = next_word(at)) {
		__le64 mask = mask_of(at, end);

		changed += weight(mask & ~map[at >> 6]);
		map[at >> 6] |= mask;
	}
	return changed;
}

u64 integrity_bits_clear(__le64 *map, u64 first, u64 end)
{
	u64 changed = 0, at;

	for (at = first; at < end; at = next_word(at)) {
		__le64 mask = mask_of(at, end);

		changed += weight(mask & map[at >> 6]);
		map[at >> 6] &= ~mask;
	}
	return changed;
}

u64 integrity_bits_count(const __le64 *map, u64 first, u64 end)
{
	u64 found = 0, at;

	for (at = first; at < end; at = next_word(at))
		found += weight(map[at >> 6] & mask_of(at, end));
	return found;
}

u64 integrity_bits_next(const __le64 *map, u64 first, u64 end, bool value)
{
	u64 at;

	for (at = first; at < end; at = next_word(at)) {
		__le64 word = value ? map[at >> 6] : ~map[at >> 6];

		word &= mask_of(at, end);
		if (word)
			return (at & ~63ULL) + __ffs64(le64_to_cpu(word));
	}
	return end;
}

u32 integrity_bits_retire(__le64 *map, __le64 *stable, const __le64 *touched,
			  const __le64 *recovery)
{
	u32 cleared = 0, i;

	for (i = 0; i < INTEGRITY_BITMAP_BLOCK_WORDS; i++) {
		__le64 keep = recovery[i];

		if (touched)
			keep |= touched[i];
		cleared += weight(map[i] & ~keep);
		map[i] &= keep;
		stable[i] &= keep;
	}
	return cleared;
}

/* --- activation --- */

static bool pending(const struct integrity_activation *a)
{
	return a->recalculating && a->recalc_sector < a->provided_sectors;
}

static void recalculate_from(struct integrity_activation *a, u64 sector)
{
	a->recalculating = true;
	a->recalc_sector = sector;
}

/* Flag clear: the area holds a journal. */
static void plan_journal(struct integrity_activation *a)
{
	a->replay = true;
	a->bitmap = a->bitmap_mode ? INTEGRITY_BITMAP_NEW : INTEGRITY_BITMAP_NONE;
}

static void plan_bitmap(struct integrity_activation *a)
{
	if (a->same_granularity && !a->requested) {
		a->bitmap = INTEGRITY_BITMAP_ADOPT;
		if (a->first_dirty == U64_MAX)
			return;
	} else {
		a->bitmap = INTEGRITY_BITMAP_FILL;
	}
	/* What is clean will be passed over. */
	recalculate_from(a, 0);
	a->by_bitmap = !a->requested;
}

static void plan_end_of_bitmap(struct integrity_activation *a)
{
	bool trusted = a->same_granularity && !a->requested;

	a->bitmap = INTEGRITY_BITMAP_NONE;
	a->new_journal = true;
	if (!trusted) {
		recalculate_from(a, 0);
		a->by_bitmap = !a->requested;
	} else if (a->first_dirty != U64_MAX) {
		/* All below the first bit is as good as it was. */
		recalculate_from(a, pending(a) ? min(a->first_dirty, a->recalc_sector) :
						 a->first_dirty);
		a->by_bitmap = true;
	}
}

void integrity_activation_plan(struct integrity_activation *a)
{
	a->bitmap = INTEGRITY_BITMAP_NONE;
	a->replay = false;
	a->new_journal = false;
	a->by_bitmap = false;

	if (a->requested)
		recalculate_from(a, 0);
	if (!a->in_use)
		plan_journal(a);
	else if (a->bitmap_mode)
		plan_bitmap(a);
	else
		plan_end_of_bitmap(a);

	/*
	 * The superblock says "bitmap" before there is one, or while there is no longer one. A
	 * journal read as bits, or bits of another granularity, is harmless as long as every tag is
	 * right, but not where some are still to be made.
	 */
	a->cover = pending(a) && (a->new_journal || a->bitmap == INTEGRITY_BITMAP_NEW ||
				  a->bitmap == INTEGRITY_BITMAP_FILL);
}

bool integrity_recovery_expressed(const struct integrity_bitmap_geometry *g,
				  const __le64 *recovery, u64 left, u64 recalc_sector,
				  u64 provided_sectors)
{
	u64 first;

	if (recalc_sector >= provided_sectors)
		return !left;
	first = integrity_bit(g, recalc_sector);
	return left == g->bits - first &&
	       integrity_bits_next(recovery, first, g->bits, false) == g->bits;
}
