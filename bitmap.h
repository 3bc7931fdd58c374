/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bitmap of mode B in memory (Documentation/on-disk-format.rst, section 5).
 *
 *   bitmap.c         mode B: bits before writes, their periodic flush, recovery
 *   bitmap-area.c    memory; the bitmap as a whole from the disk and to it
 *   bitmap-format.c  geometry, bits, what an activation does. Pure
 *   activate.c       carries that out
 *
 * Four maps of the same geometry, guarded by bitmap.lock:
 *
 *   map       what the disk is to hold, and holds when no write of the block is wanted or under way
 *   stable    bits that are 1 on the disk for certain, and stay so until they are cleared here
 *   touched   bits that a write asked for since the last flush began (see @epoch)
 *   recovery  bits of which tags are still to be made; their reads are not verified. Always 1 in
 *             map as well
 *
 * A write may begin when all its bits are stable. A bit is cleared when it is neither touched nor
 * in recovery, after a flush of data and tags that began when all writes that had come before
 * @touched was emptied were over.
 */
#ifndef DM_INTEGRITY_BITMAP_H
#define DM_INTEGRITY_BITMAP_H

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "bitmap-format.h"

struct dm_integrity_c;
struct integrity_mode;

/* 4 KiB of the bitmap. Writes of a block are numbered, and follow each other. */
struct integrity_bitmap_block {
	struct list_head waiting;	/* ios that need bits of it to become stable */
	struct list_head link;		/* in bitmap.dirty, from asked for to begun */
	u32 set;			/* bits that are 1 in map */
	u32 epoch;			/* what its part of @touched belongs to */
	u32 wanted;			/* the last write asked for */
	u32 begun;			/* ... whose contents were taken */
	u32 over;			/* ... that ended, with @error */
	int error;
	bool unreadable;		/* at the activation */
};

struct integrity_bitmap {
	struct integrity_bitmap_geometry g;
	u32 allocated;			/* blocks that there is memory for */
	bool live;			/* activated, and not closed since */

	spinlock_t lock;		/* guards all below; taken with interrupts off */
	__le64 *map;
	__le64 *stable;
	__le64 *touched;
	__le64 *recovery;
	struct integrity_bitmap_block *block;
	u64 set;			/* bits that are 1 in map */
	u64 unrecovered;		/* ... in recovery */
	u32 epoch;			/* of @touched; a flush begins a new one */
	bool synchronous;		/* the machine goes down: no write ends with its bit set */
	struct list_head deferred;	/* ios that wait for a flush, because of that */
	struct list_head dirty;		/* blocks to be written */

	atomic_t writes[2];		/* in flight, by the low bit of the epoch they came in */
	wait_queue_head_t wait;		/* for @writes to become 0, and for @over */
	struct work_struct write_work;	/* on io_wq: writes what is dirty */
	struct delayed_work flush_work;
	struct workqueue_struct *wq;	/* @flush_work only */
	struct bio_set bios;
	mempool_t pages;
};

/* Before anything can fail. */
void integrity_bitmap_setup(struct dm_integrity_c *ic);

/* For a mode that keeps a bitmap, in the constructor. Return: 0 or an error. */
int integrity_bitmap_init(struct dm_integrity_c *ic);
void integrity_bitmap_exit(struct dm_integrity_c *ic);

/* --- bitmap-area.c: nothing is in flight --- */

/**
 * integrity_bitmap_alloc - memory for a bitmap of the volume's present size, all 0
 *
 * Context: may sleep. Return: 0; -ENOMEM with a sentence in @why.
 */
int integrity_bitmap_alloc(struct dm_integrity_c *ic, char *why, size_t why_size);
void integrity_bitmap_free(struct dm_integrity_c *ic);

/**
 * integrity_bitmap_load - read the bitmap of the disk
 * @provided_sectors: of the volume when it was in use: what was added since counts as dirty
 *
 * A block that cannot be read counts as dirty. Context: may sleep.
 */
void integrity_bitmap_load(struct dm_integrity_c *ic, u64 provided_sectors);

/* Recovery of all that is 1 in the map. */
void integrity_bitmap_recover(struct dm_integrity_c *ic);

/* Make the bits from logical @sector on 1, to be recovered. */
void integrity_bitmap_mark_from(struct dm_integrity_c *ic, u64 sector);

/*
 * Will the disk take a bitmap: what is in its place is read, and written back; where it cannot be
 * read, bytes @unreadable are. The map is clear afterwards. Context: may sleep. Return: 0 or an
 * error.
 */
int integrity_bitmap_probe(struct dm_integrity_c *ic, u8 unreadable);

/*
 * Write all of it from block @first on, past errors; durable on return. Context: may sleep. Return:
 * 0 or the first error.
 */
int integrity_bitmap_store(struct dm_integrity_c *ic, u32 first);

/*
 * Write what could not be read. A block that cannot be written, either, costs the writes that need
 * a bit of it, and it stays dirty, as at the load: should it have its old bits again some day, they
 * are those of all that has no tags. Context: may sleep.
 */
void integrity_bitmap_store_unread(struct dm_integrity_c *ic);

extern const struct integrity_mode integrity_mode_bitmap;

#endif
