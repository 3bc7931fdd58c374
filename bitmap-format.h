/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bitmap of mode B without I/O (Documentation/on-disk-format.rst, section 5): its geometry, its
 * bits, and what an activation makes of what it finds.
 *
 * A map is an array of whole 4 KiB blocks in the disk's order, which is little-endian on every
 * machine: bit b is bit b & 7 of byte b >> 3. Nothing here takes a lock; who shares a map does.
 */
#ifndef DM_INTEGRITY_BITMAP_FORMAT_H
#define DM_INTEGRITY_BITMAP_FORMAT_H

#include "layout.h"
#include "portable.h"

#define INTEGRITY_BITMAP_BLOCK_BYTES	4096u	/* what is read and written at a time */
#define INTEGRITY_BITMAP_BLOCK_SECTORS	8u
#define INTEGRITY_BITMAP_BLOCK_BITS	(8 * INTEGRITY_BITMAP_BLOCK_BYTES)
#define INTEGRITY_BITMAP_BLOCK_WORDS	(INTEGRITY_BITMAP_BLOCK_BYTES / 8)

struct integrity_bitmap_geometry {
	u32 bits;			/* at least 1 */
	u32 blocks;			/* of 4 KiB */
	u8 log2_sectors_per_bit;
	u8 log2_blocks_per_bit;		/* the same in blocks of the volume, as it is stored */
};

/**
 * integrity_bitmap_geometry - size and granularity of the bitmap (5.1)
 * @l: after integrity_layout_fit(), with a journal area
 * @sectors_per_bit: wanted by the table, 0 counts as 1
 * @g: result; @g->blocks fit in the journal area
 */
void integrity_bitmap_geometry(const struct integrity_layout *l, u64 sectors_per_bit,
			       struct integrity_bitmap_geometry *g);

/* First sector of bitmap block @block, absolute on the metadata device (5.1). */
u64 integrity_bitmap_sector(const struct integrity_layout *l, u32 block);

/* A granularity that no table computes: with it stored, nobody trusts the bits. */
u8 integrity_bitmap_no_granularity(const struct integrity_layout *l);

/* The bit that logical sector @sector belongs to. */
static inline u64 integrity_bit(const struct integrity_bitmap_geometry *g, u64 sector)
{
	return sector >> g->log2_sectors_per_bit;
}

/* One more than the last bit that has a sector below @end. */
u64 integrity_bit_end(const struct integrity_bitmap_geometry *g, u64 end);

/* --- bits [first, end) of a map --- */

/* Make them 1. Return: how many were 0. */
u64 integrity_bits_set(__le64 *map, u64 first, u64 end);

/* Make them 0. Return: how many were 1. */
u64 integrity_bits_clear(__le64 *map, u64 first, u64 end);

/* How many are 1. */
u64 integrity_bits_count(const __le64 *map, u64 first, u64 end);

/* The first that is @value; @end when none is. */
u64 integrity_bits_next(const __le64 *map, u64 first, u64 end, bool value);

/**
 * integrity_bits_retire - clear what needs no bit any more in a block
 * @map: the block's bits; those that are 0 in both @touched and @recovery are cleared
 * @stable: the same are cleared here
 * @touched: written to lately; NULL for none
 * @recovery: tags not made yet
 *
 * Return: how many of @map were cleared.
 */
u32 integrity_bits_retire(__le64 *map, __le64 *stable, const __le64 *touched,
			  const __le64 *recovery);

/* --- activation --- */

enum integrity_bitmap_start {
	INTEGRITY_BITMAP_NONE,		/* the mode has none */
	INTEGRITY_BITMAP_NEW,		/* only what has no tags yet is 1 */
	INTEGRITY_BITMAP_ADOPT,		/* the one on the disk */
	INTEGRITY_BITMAP_FILL,		/* all 1 */
};

/**
 * struct integrity_activation - what is found at activation, and what is to be done (5.3)
 *
 * @recalculating and @recalc_sector are both: the superblock's, then what is to be stored.
 */
struct integrity_activation {
	/* given */
	bool bitmap_mode;		/* the table's mode keeps a bitmap */
	bool in_use;			/* INTEGRITY_SB_DIRTY_BITMAP */
	bool same_granularity;		/* the stored one is the computed one */
	bool requested;			/* the table wants a recalculation from 0 */
	u64 provided_sectors;
	u64 first_dirty;		/* sector under the first bit that is 1; U64_MAX for none */

	/* given, and result */
	bool recalculating;		/* INTEGRITY_SB_RECALCULATING */
	u64 recalc_sector;		/* at most @provided_sectors */

	/* result */
	enum integrity_bitmap_start bitmap;
	bool replay;			/* the journal area holds a journal */
	bool new_journal;		/* the bitmap gives way to an empty journal */
	bool by_bitmap;			/* the bitmap is why there is something to recalculate */
	bool cover;			/* a crash half way must not let the area be read as bits */
};

/* Fill in the result. */
void integrity_activation_plan(struct integrity_activation *a);

/**
 * integrity_recovery_expressed - does the superblock's position alone say what is to be recovered
 * @recovery: 1 where tags are not made yet
 * @left: how many are
 * @recalc_sector: what the superblock says; provided_sectors for nothing pending
 *
 * True when exactly the bits from @recalc_sector on are 1: a bitmap would say no more.
 */
bool integrity_recovery_expressed(const struct integrity_bitmap_geometry *g,
				  const __le64 *recovery, u64 left, u64 recalc_sector,
				  u64 provided_sectors);

#endif
