/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Range locks (range.c).
 */
#ifndef DM_INTEGRITY_RANGE_H
#define DM_INTEGRITY_RANGE_H

/* Like the files that portable.h is for, range.c also compiles for tests/unit. */
#ifdef __KERNEL__
#include <linux/bits.h>
#include <linux/hash.h>
#include <linux/interval_tree_generic.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#else
#include "range-kernel.h"
#endif

/**
 * struct integrity_range - a lock on logical sectors [start, last]
 *
 * Ranges are granted strictly in the order of arrival among those that overlap, so a large one
 * cannot starve. Readers share. A range that overlaps an earlier one waits by being counted, not
 * by sleeping: @granted is called when the last of its blockers is gone, in whatever context
 * that one was released (perhaps an interrupt), so it may only queue work or complete a
 * completion.
 */
struct integrity_range {
	union {
		struct rb_node node;	/* @in_tree */
		struct hlist_node link;	/* in the list of its chunk */
	};
	u64 start;
	u64 last;
	u64 subtree_last;
	unsigned int blockers;		/* conflicting ones that came earlier */
	bool shared;
	bool in_tree;
	void (*granted)(struct integrity_range *range);
	/* for who is granting it; for who releases one: the first that is to be granted */
	struct integrity_range *next_granted;
};

#define INTEGRITY_RANGE_CHUNK_SHIFT	7	/* sectors */
#define INTEGRITY_RANGE_BUCKET_BITS	9
#define INTEGRITY_RANGE_BUCKET_MOST	32	/* ranges in a list, more are in the tree */

struct integrity_ranges {
	spinlock_t lock;		/* guards all below and every @blockers */
	struct rb_root_cached root;	/* of those that lie in several chunks, and some others */
	/* of those that lie in one, by chunk */
	struct hlist_head bucket[BIT(INTEGRITY_RANGE_BUCKET_BITS)];
};

void integrity_ranges_init(struct integrity_ranges *ranges);

/**
 * integrity_range_lock - ask for a range
 * @range: with @granted set
 * @start: logical sector
 * @sectors: at least 1
 * @shared: several such may overlap
 *
 * Context: any.
 * Return: true when it is held now; false when @range->granted will be called.
 */
bool integrity_range_lock(struct integrity_ranges *ranges, struct integrity_range *range, u64 start,
			  u64 sectors, bool shared);

/* Release a held range and grant what waited only for it. Context: any. */
void integrity_range_unlock(struct integrity_ranges *ranges, struct integrity_range *range);

#endif
