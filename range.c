// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range locks.
 *
 * One interval tree holds the ranges that are held and those that wait alike. A new range counts
 * the conflicting ranges that it overlaps, all of which came before it, and is granted when they
 * are gone; a range that is released takes one off the count of every conflicting range that it
 * overlaps, all of which came after it. So the order of arrival is kept among ranges that
 * overlap, nobody starves, no cycle can form, and nobody searches a list of waiters.
 *
 * ranges->lock guards all of it. No callback is called under it.
 */
#include <linux/interval_tree_generic.h>

#include "dm-integrity.h"

#define RANGE_START(range)	((range)->start)
#define RANGE_LAST(range)	((range)->last)

INTERVAL_TREE_DEFINE(struct integrity_range, node, u64, subtree_last, RANGE_START, RANGE_LAST,
		     static, range_tree)

void integrity_ranges_init(struct integrity_ranges *ranges)
{
	spin_lock_init(&ranges->lock);
	ranges->root = RB_ROOT_CACHED;
}

static bool conflict(const struct integrity_range *a, const struct integrity_range *b)
{
	return !(a->shared && b->shared);
}

bool integrity_range_lock(struct integrity_ranges *ranges, struct integrity_range *range, u64 start,
			  u64 sectors, bool shared)
{
	struct integrity_range *other;
	unsigned long flags;
	bool held;

	range->start = start;
	range->last = start + sectors - 1;
	range->shared = shared;
	range->blockers = 0;

	spin_lock_irqsave(&ranges->lock, flags);
	for (other = range_tree_iter_first(&ranges->root, range->start, range->last); other;
	     other = range_tree_iter_next(other, range->start, range->last))
		if (conflict(range, other))
			range->blockers++;
	range_tree_insert(range, &ranges->root);
	held = !range->blockers;
	spin_unlock_irqrestore(&ranges->lock, flags);
	return held;
}

void integrity_range_unlock(struct integrity_ranges *ranges, struct integrity_range *range)
{
	u64 start = range->start, last = range->last;
	struct integrity_range *other, *ready = NULL;
	unsigned long flags;

	spin_lock_irqsave(&ranges->lock, flags);
	range_tree_remove(range, &ranges->root);
	for (other = range_tree_iter_first(&ranges->root, start, last); other;
	     other = range_tree_iter_next(other, start, last)) {
		if (!conflict(range, other) || --other->blockers)
			continue;
		/*
		 * Granted from here on, but it stays ours until its callback is called: chain
		 * it.
		 */
		other->next_granted = ready;
		ready = other;
	}
	spin_unlock_irqrestore(&ranges->lock, flags);

	while (ready) {
		other = ready;
		ready = other->next_granted;
		other->granted(other);
	}
}
