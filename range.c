// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range locks.
 *
 * Ranges that are held and those that wait are kept alike. A new range counts the conflicting
 * ranges that it overlaps, all of which came before it, and is granted when they are gone; a range
 * that is released takes one off the count of every conflicting range that it overlaps, all of
 * which came after it. So the order of arrival is kept among ranges that overlap, nobody starves,
 * no cycle can form, and nobody searches a list of waiters.
 *
 * Most ranges are small, and overlap nothing. One that lies within a chunk is in a hash table, by
 * the chunk: it can only meet what is in the same list, and what is in the interval tree, where
 * all that lie in several chunks are, and those that came to a list that was long already.
 *
 * ranges->lock guards all of it. No callback is called under it.
 */
#include "range.h"

#define BUCKETS			BIT(INTEGRITY_RANGE_BUCKET_BITS)
#define RANGE_START(range)	((range)->start)
#define RANGE_LAST(range)	((range)->last)

INTERVAL_TREE_DEFINE(struct integrity_range, node, u64, subtree_last, RANGE_START, RANGE_LAST,
		     static, range_tree)

void integrity_ranges_init(struct integrity_ranges *ranges)
{
	unsigned long i;

	spin_lock_init(&ranges->lock);
	ranges->root = RB_ROOT_CACHED;
	for (i = 0; i < BUCKETS; i++)
		INIT_HLIST_HEAD(&ranges->bucket[i]);
}

static u64 chunk_of(u64 sector)
{
	return sector >> INTEGRITY_RANGE_CHUNK_SHIFT;
}

static bool is_small(const struct integrity_range *range)
{
	return chunk_of(range->start) == chunk_of(range->last);
}

static struct hlist_head *bucket_of(struct integrity_ranges *ranges, u64 chunk)
{
	return &ranges->bucket[hash_64(chunk, INTEGRITY_RANGE_BUCKET_BITS)];
}

typedef void (*meet_fn)(struct integrity_range *range, struct integrity_range *other);

static __always_inline void meet(struct integrity_range *range, struct integrity_range *other,
				 meet_fn fn)
{
	if (!(range->shared && other->shared))
		fn(range, other);
}

/* Those of one list, of whatever chunks. Return: how many there are. */
static __always_inline unsigned int meet_bucket(struct hlist_head *bucket,
						struct integrity_range *range, meet_fn fn)
{
	struct integrity_range *other;
	unsigned int count = 0;

	hlist_for_each_entry(other, bucket, link) {
		if (other->start <= range->last && range->start <= other->last)
			meet(range, other, fn);
		count++;
	}
	return count;
}

/* Those of all lists, for a range that lies in several chunks. */
static __always_inline void meet_small(struct integrity_ranges *ranges,
				       struct integrity_range *range, meet_fn fn)
{
	u64 chunk = chunk_of(range->start), last = chunk_of(range->last);
	struct integrity_range *other;
	unsigned long i;

	if (last - chunk >= BUCKETS) {
		for (i = 0; i < BUCKETS; i++)
			meet_bucket(&ranges->bucket[i], range, fn);
		return;
	}
	/* Two chunks may have the same list: each takes only its own. */
	for (; chunk <= last; chunk++)
		hlist_for_each_entry(other, bucket_of(ranges, chunk), link)
			if (chunk_of(other->start) == chunk && other->start <= range->last &&
			    range->start <= other->last)
				meet(range, other, fn);
}

/*
 * Call @fn for each range that conflicts with @range, which itself is not among them. Return: may
 * it be put in the list of its chunk.
 */
static __always_inline bool meet_all(struct integrity_ranges *ranges,
				     struct integrity_range *range, meet_fn fn)
{
	struct integrity_range *other;
	bool may = false;

	if (likely(is_small(range)))
		may = meet_bucket(bucket_of(ranges, chunk_of(range->start)), range, fn) <
		      INTEGRITY_RANGE_BUCKET_MOST;
	else
		meet_small(ranges, range, fn);
	if (RB_EMPTY_ROOT(&ranges->root.rb_root))
		return may;
	for (other = range_tree_iter_first(&ranges->root, range->start, range->last); other;
	     other = range_tree_iter_next(other, range->start, range->last))
		meet(range, other, fn);
	return may;
}

static void came_earlier(struct integrity_range *range, struct integrity_range *other)
{
	range->blockers++;
}

bool integrity_range_lock(struct integrity_ranges *ranges, struct integrity_range *range, u64 start,
			  u64 sectors, bool shared)
{
	unsigned long flags;
	bool held;

	range->start = start;
	range->last = start + sectors - 1;
	range->shared = shared;
	range->blockers = 0;

	spin_lock_irqsave(&ranges->lock, flags);
	range->in_tree = !meet_all(ranges, range, came_earlier);
	if (likely(!range->in_tree))
		hlist_add_head(&range->link, bucket_of(ranges, chunk_of(start)));
	else
		range_tree_insert(range, &ranges->root);
	held = !range->blockers;
	spin_unlock_irqrestore(&ranges->lock, flags);
	return held;
}

/* One that is ready is granted from here on, but stays ours until its callback is called. */
static void came_later(struct integrity_range *range, struct integrity_range *other)
{
	if (--other->blockers)
		return;
	other->next_granted = range->next_granted;
	range->next_granted = other;
}

void integrity_range_unlock(struct integrity_ranges *ranges, struct integrity_range *range)
{
	struct integrity_range *ready, *next;
	unsigned long flags;

	/* Nobody else looks at that of one that is held. */
	range->next_granted = NULL;
	spin_lock_irqsave(&ranges->lock, flags);
	if (likely(!range->in_tree))
		__hlist_del(&range->link);
	else
		range_tree_remove(range, &ranges->root);
	meet_all(ranges, range, came_later);
	ready = range->next_granted;
	spin_unlock_irqrestore(&ranges->lock, flags);

	for (; ready; ready = next) {
		next = ready->next_granted;
		ready->granted(ready);
	}
}
