/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Range locks (range.c).
 */
#ifndef DM_INTEGRITY_RANGE_H
#define DM_INTEGRITY_RANGE_H

#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/types.h>

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
	struct rb_node node;
	u64 start;
	u64 last;
	u64 subtree_last;
	unsigned int blockers;		/* conflicting ones that came earlier */
	bool shared;
	void (*granted)(struct integrity_range *range);
	struct integrity_range *next_granted;	/* for who is granting it */
};

struct integrity_ranges {
	spinlock_t lock;		/* guards the tree and every @blockers */
	struct rb_root_cached root;
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
