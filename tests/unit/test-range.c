// SPDX-License-Identifier: GPL-2.0-only
/*
 * Range locks against a list of all ranges in the order in which they came: who is granted, and
 * when, and that nobody is granted twice.
 */
#include <string.h>

#include "../../range.h"
#include "unit.h"

#define MOST	160u	/* ranges at a time: more than a list takes */

struct one {
	struct integrity_range range;
	u64 start, last;	/* what was asked for */
	bool shared;
	bool used;
	bool granted;
	u64 came;
};

static struct one ones[MOST];
static struct integrity_ranges ranges;
static u64 clock;

static void granted(struct integrity_range *range)
{
	struct one *one = container_of(range, struct one, range);

	/* Callbacks may lock others: not under the lock. */
	CHECK(!ranges.lock.held);
	CHECK(one->used);
	CHECK(!one->granted);
	one->granted = true;
}

static bool must_wait(const struct one *one)
{
	unsigned int i;

	for (i = 0; i < MOST; i++) {
		const struct one *other = &ones[i];

		if (other->used && other->came < one->came && other->start <= one->last &&
		    one->start <= other->last && !(other->shared && one->shared))
			return true;
	}
	return false;
}

static void check_all(void)
{
	unsigned int i;

	for (i = 0; i < MOST; i++)
		if (ones[i].used)
			CHECK_EQ(ones[i].granted, !must_wait(&ones[i]));
}

static void lock_one(struct one *one, u64 start, u64 sectors, bool shared)
{
	/* Whatever was there before. */
	memset(&one->range, 0xa5, sizeof(one->range));
	one->range.granted = granted;
	one->start = start;
	one->last = start + sectors - 1;
	one->shared = shared;
	one->came = ++clock;
	one->used = true;
	one->granted = false;
	if (integrity_range_lock(&ranges, &one->range, start, sectors, shared)) {
		CHECK(!one->granted);
		one->granted = true;
	}
}

static void unlock_one(struct one *one)
{
	one->used = false;
	integrity_range_unlock(&ranges, &one->range);
}

static void fresh(void)
{
	integrity_ranges_init(&ranges);
	memset(ones, 0, sizeof(ones));
}

/* Nothing is left, and all can be had. */
static void check_empty(u64 space)
{
	unsigned int i;
	bool some;

	do {
		some = false;
		for (i = 0; i < MOST; i++)
			if (ones[i].used && ones[i].granted) {
				unlock_one(&ones[i]);
				some = true;
			}
		check_all();
	} while (some);
	for (i = 0; i < MOST; i++)
		CHECK(!ones[i].used);
	for (i = 0; i < BIT(INTEGRITY_RANGE_BUCKET_BITS); i++)
		CHECK(!ranges.bucket[i].first);
	CHECK(!ranges.root.rb_root.rb_node);
	lock_one(&ones[0], 0, space, false);
	CHECK(ones[0].granted);
	unlock_one(&ones[0]);
}

/* How many are in the tree though they are small. */
static unsigned int moved(void)
{
	unsigned int n = 0, i;

	for (i = 0; i < MOST; i++)
		n += ones[i].used && ones[i].range.in_tree &&
		     ones[i].start >> INTEGRITY_RANGE_CHUNK_SHIFT ==
		     ones[i].last >> INTEGRITY_RANGE_CHUNK_SHIFT;
	return n;
}

/* Ranges of up to @most sectors in @space sectors, @rounds times one comes or goes. */
static void play(u64 space, u64 most, unsigned int rounds)
{
	u64 chunk = 1ull << INTEGRITY_RANGE_CHUNK_SHIFT;
	unsigned int waited = 0, i;

	fresh();
	for (i = 0; i < rounds; i++) {
		struct one *one = &ones[unit_below(MOST)];
		u64 start, sectors;

		if (one->used) {
			if (one->granted)
				unlock_one(one);
		} else {
			start = unit_below(space);
			sectors = 1 + unit_below(unit_below(4) ? 16 : most);
			/* At the edges of chunks, too. */
			if (!unit_below(3))
				start = start / chunk * chunk;
			if (!unit_below(4))
				sectors = chunk;
			lock_one(one, start, sectors < space - start ? sectors : space - start,
				 unit_below(2));
			waited += !one->granted;
		}
		check_all();
	}
	/* Or nothing was tried. */
	CHECK(waited > rounds / 1000);
	check_empty(space);
}

static void small_ranges(void)
{
	play(256, 128, 20000);
}

/* Many in one chunk, and some that lie across its ends. */
static void crowded_chunk(void)
{
	unsigned int i;

	play(160, 4, 20000);
	fresh();
	for (i = 0; i < MOST; i++)
		lock_one(&ones[i], i % 100, 1, i & 1);
	check_all();
	CHECK(moved());
	check_empty(160);
}

static void large_ranges(void)
{
	play(4096, 2048, 20000);
}

/* Longer than there are buckets, and chunks that share one. */
static void huge_ranges(void)
{
	u64 all = 1ull << (INTEGRITY_RANGE_CHUNK_SHIFT + INTEGRITY_RANGE_BUCKET_BITS);

	play(3 * all, all + 1000, 20000);
	play(16 * all, 16 * all, 20000);
}

/* At the end of the largest device. */
static void last_sectors(void)
{
	u64 end = 1ull << 55;

	fresh();
	lock_one(&ones[0], end - 8, 8, false);
	lock_one(&ones[1], 0, end, false);
	lock_one(&ones[2], end - 1, 1, true);
	check_all();
	unlock_one(&ones[0]);
	check_all();
	unlock_one(&ones[1]);
	check_all();
	unlock_one(&ones[2]);
	check_empty(end);
}

static const struct unit_test tests[] = {
	{ "range-small", small_ranges },
	{ "range-crowded-chunk", crowded_chunk },
	{ "range-large", large_ranges },
	{ "range-huge", huge_ranges },
	{ "range-last-sectors", last_sectors },
};

UNIT_MAIN(tests)
