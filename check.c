// SPDX-License-Identifier: GPL-2.0-only
/*
 * Check: the second action of the background pass. Compares every block with its tag and writes
 * nothing.
 *
 * Blocks that do not match, and those whose data or tags cannot be read, are bad: they are counted,
 * and their ranges kept in a bounded list, until they are written again or the next check begins.
 * Nothing that is found stops the check, or fails the device.
 *
 * A chunk's range is held, shared, from before its data is read until its tags are compared: reads
 * go on, a write comes before or after. In mode J that is the write-back; what is still in the
 * journal only is not looked at, but what is on the disk, where data and tag belong together as
 * well.
 *
 * check.lock guards the list. Who writes a block holds its range until it has taken it out of the
 * list, so what a check finds later is not lost. The rest of struct integrity_check is guarded by
 * recalc.lock, and changed by who holds recalc.control, but for what a running check counts, and
 * its end.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "dm-integrity.h"
#include "trace.h"

/* --- what is found --- */

/* Return: how many of the sectors were not in the list already. */
static u64 add_to_list(struct integrity_check *c, u64 sector, u64 sectors)
{
	unsigned long flags;
	u64 added;

	spin_lock_irqsave(&c->lock, flags);
	added = integrity_bad_list_add(&c->list, sector, sectors);
	WRITE_ONCE(c->listed, c->list.count);
	spin_unlock_irqrestore(&c->lock, flags);
	return added;
}

void integrity_check_forget(struct dm_integrity_c *ic, u64 sector, u64 sectors)
{
	struct integrity_check *c = &ic->check;
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	integrity_bad_list_cut(&c->list, sector, sectors);
	WRITE_ONCE(c->listed, c->list.count);
	spin_unlock_irqrestore(&c->lock, flags);
}

/*
 * The blocks are bad. After a pause a part of the device may be checked twice: what is in the list
 * already was counted.
 */
static void count_bad(struct dm_integrity_c *ic, u64 sector, u64 sectors)
{
	struct integrity_recalc *r = &ic->recalc;
	struct integrity_check *c = &ic->check;
	u64 added = add_to_list(c, sector, sectors);
	bool first;

	spin_lock(&r->lock);
	first = c->first_bad == U64_MAX;
	c->bad += added >> ic->layout.log2_sectors_per_block;
	c->first_bad = min(c->first_bad, sector);
	spin_unlock(&r->lock);
	if (first)
		integrity_event(ic);
}

static void found_unreadable(struct integrity_pass_worker *w, u64 sector, u64 sectors,
			     const char *what, int error)
{
	DMERR_LIMIT("%s: check: cannot read the %s of %llu sectors at 0x%llx (error %d)",
		    integrity_name(w->ic), what, sectors, sector, error);
	count_bad(w->ic, sector, sectors);
}

/* Return: 0, or an error when it is not known whether the block is bad. */
static int found_mismatch(struct integrity_pass_worker *w, u64 sector)
{
	struct dm_integrity_c *ic = w->ic;
	int r;

	/*
	 * dm-bufio writes tags on its own, too, and says only at the next flush that it could not:
	 * what came back from the disk then is an old tag, and no mismatch.
	 */
	if (!w->flushed) {
		r = integrity_tags_flush(ic);
		if (r) {
			integrity_pass_fail(ic, "writing tags", r);
			return r;
		}
		w->flushed = true;
	}
	DMERR_LIMIT("%s: check: data and tag do not match at sector 0x%llx", integrity_name(ic),
		    sector);
	trace_dm_integrity_mismatch(ic, sector, true);
	count_bad(ic, sector, integrity_block_sectors(&ic->layout));
	return 0;
}

/* --- one chunk --- */

static void begin_chunk(struct integrity_pass_worker *w)
{
	integrity_tag_prefetch(w->ic, w->start, w->sectors);
}

/*
 * The tag of the block at @sector cannot be read: count it and those whose tags are in the same
 * buffer, as far as @end. Return: their sectors.
 */
static u64 tags_unreadable(struct integrity_pass_worker *w, const struct integrity_tag_cursor *cur,
			   u64 sector, u64 end, int error)
{
	u64 lost = integrity_pass_tags_lost(cur, sector, end);

	found_unreadable(w, sector, lost, "tags", error);
	return lost;
}

/*
 * Compare the stored tag of the block at @sector with @tag; *@todo becomes the sectors that are
 * lost where it cannot be read. Return: 0 when nothing more is to be done, 1 when it does not
 * match.
 */
static int compare(struct integrity_pass_worker *w, struct integrity_tag_cursor *cur, u64 sector,
		   u64 end, const u8 *tag, u64 *todo)
{
	int r = integrity_tag_compare(cur, sector, tag);

	if (r < 0) {
		*todo = tags_unreadable(w, cur, sector, end, r);
		r = 0;
	}
	return r;
}

/*
 * Read a block that does not match once more, alone, and compare that; the range is still held.
 * Return: 0, or an error that says nothing of the block.
 */
static int compare_again(struct integrity_pass_worker *w, struct integrity_tag_cursor *cur,
			 u64 sector, u64 end, u64 *todo)
{
	struct dm_integrity_c *ic = w->ic;
	u8 tag[INTEGRITY_TAG_BYTES] INTEGRITY_UNCLEARED;
	struct page_list pl = { };
	unsigned int skip;
	int r;

	/* Others may wait for the tag buffer. */
	integrity_tag_cursor_done(cur);
	pl.page = mempool_alloc(&ic->recheck_pool, GFP_NOIO);
	r = integrity_read_again(cur, sector, *todo, &pl, &skip);
	if (r) {
		found_unreadable(w, sector, *todo, "data", r);
		r = 0;
	} else {
		r = integrity_tag_of_data(ic, sector, (u8 *)page_address(pl.page) + skip, tag);
		if (!r)
			r = compare(w, cur, sector, end, tag, todo);
	}
	mempool_free(pl.page, &ic->recheck_pool);
	return r > 0 ? found_mismatch(w, sector) : r;
}

/*
 * The blocks of [sector, *@to), which begin at @at in the pages: all together, and each by itself
 * where that is not enough. *@to becomes where it ended, as far as @end. Return: 0, or an error
 * that says nothing of the blocks.
 */
static int compare_group(struct integrity_pass_worker *w, struct integrity_tag_cursor *cur,
			 u64 sector, u64 *to, u64 end, size_t at)
{
	const struct integrity_layout *l = &w->ic->layout;
	u8 tags[INTEGRITY_TAG_BYTES] INTEGRITY_UNCLEARED;
	u64 first = sector, todo;
	int r;

	r = integrity_pass_hash(w, sector, *to - sector, at, tags);
	if (r)
		return r;
	if (!w->tuples) {
		r = integrity_tags_compare(cur, &sector, *to - sector, tags);
		if (r < 0) {
			*to = sector + tags_unreadable(w, cur, sector, end, r);
			r = 0;
		}
		if (!r)
			return 0;
	}
	for (r = 0, sector = first; sector < *to && !r; sector += todo) {
		u32 n = (sector - first) >> l->log2_sectors_per_block;

		todo = integrity_block_sectors(l);
		r = compare(w, cur, sector, end, tags + n * l->tag_size, &todo);
		if (r > 0)
			r = compare_again(w, cur, sector, end, &todo);
		cond_resched();
	}
	*to = sector;
	return r;
}

static int compare_tags(struct integrity_pass_worker *w, u64 sector, u64 sectors,
			unsigned int skip)
{
	struct dm_integrity_c *ic = w->ic;
	u64 base = sector, end = sector + sectors, next;
	struct integrity_tag_cursor cur;
	int r = 0;

	integrity_tag_cursor_init(&cur, ic);
	if (w->tuples)
		integrity_tag_cursor_inline(&cur, w->tuples, sector);
	for (; sector < end && !r; sector = next) {
		size_t at = skip + ((sector - base) << SECTOR_SHIFT);
		u32 n = min_t(u64, end - sector, ic->tags.at_once);

		next = sector + n;
		r = compare_group(w, &cur, sector, &next, end, at);
		cond_resched();
	}
	integrity_tag_cursor_done(&cur);
	return r;
}

/* The check is over. A recalculation that waited goes on waiting. recalc.lock is held. */
static u64 check_ended(struct dm_integrity_c *ic)
{
	WRITE_ONCE(ic->check.open, false);
	if (integrity_recalc_pending(ic))
		integrity_pass_do_locked(&ic->recalc, INTEGRITY_PASS_FREEZE);
	return ic->check.bad;
}

const struct integrity_pass_action integrity_pass_check = {
	.word = "check",
	.noun = "check",
	.bad = "bad",
	.shared = true,
	.begin = begin_chunk,
	.blocks = compare_tags,
	.unreadable = found_unreadable,
	.ended = check_ended,
};

/* --- control: recalc.control is held --- */

/* Which sectors are to be checked. Return: 0, or an error, logged. */
static int check_range(struct dm_integrity_c *ic, const struct integrity_message *m, u64 *start,
		       u64 *end)
{
	u64 size = ic->ti->len, unit = integrity_pass_unit(ic), sectors = size;
	u64 mark = integrity_recalc_mark(&ic->recalc);

	*start = 0;
	if (m->have_range) {
		*start = m->start;
		sectors = m->sectors;
		if (!sectors || *start >= size || sectors > size - *start) {
			DMERR("%s: check: %llu sectors at %llu are not within the %llu of the device",
			      integrity_name(ic), sectors, *start, size);
			return -EINVAL;
		}
		if ((*start | sectors) & (unit - 1)) {
			DMERR("%s: check: %llu sectors at %llu are not whole blocks of %llu sectors",
			      integrity_name(ic), sectors, *start, unit);
			return -EINVAL;
		}
	}
	*end = *start + sectors;
	/* Those have no tags yet. */
	if (mark < *end) {
		DMWARN("%s: check: blocks from sector %llu on are left out, they are to be recalculated first",
		       integrity_name(ic), max(mark, *start));
		*end = max(mark, *start);
	}
	return 0;
}

/* An empty list; its memory is kept until the device goes. Return: 0 or -ENOMEM. */
static int clear_list(struct integrity_check *c)
{
	struct integrity_bad_range *range = c->list.range;

	/*
	 * Not from reclaim that could wait for I/O to this device: suspend waits for the message,
	 * and I/O waits for resume.
	 */
	if (!range)
		range = kvmalloc_array(INTEGRITY_BAD_RANGES, sizeof(*range),
				       GFP_NOIO | __GFP_NOWARN);
	if (!range)
		return -ENOMEM;
	spin_lock_irq(&c->lock);
	integrity_bad_list_init(&c->list, range, INTEGRITY_BAD_RANGES);
	WRITE_ONCE(c->listed, 0);
	spin_unlock_irq(&c->lock);
	return 0;
}

int integrity_check_begin(struct dm_integrity_c *ic, const struct integrity_message *m)
{
	struct integrity_recalc *r = &ic->recalc;
	struct integrity_check *c = &ic->check;
	u64 start, end;
	int err;

	err = check_range(ic, m, &start, &end);
	if (!err)
		err = clear_list(c);
	if (err)
		return err;

	spin_lock(&r->lock);
	WRITE_ONCE(c->open, true);
	c->held = integrity_recalc_mark(r) < ic->layout.provided_sectors;
	c->start = start;
	c->end = end;
	c->bad = 0;
	c->first_bad = U64_MAX;
	r->low = start;
	spin_unlock(&r->lock);
	return 0;
}

void integrity_check_run(struct dm_integrity_c *ic)
{
	struct integrity_check *c = &ic->check;
	u64 low = ic->recalc.low;

	DMINFO("%s: check %s at sector %llu, to end at %llu", integrity_name(ic),
	       low == c->start ? "starts" : "continues", low, c->end);
	/* What is in memory may be better than what is on the disk. */
	integrity_tags_forget(ic);
	integrity_workers_start(ic, &integrity_pass_check, low, c->end);
}

bool integrity_check_give_up(struct dm_integrity_c *ic, const char *why)
{
	struct integrity_recalc *r = &ic->recalc;
	struct integrity_check *c = &ic->check;
	u64 low, bad;
	bool open;

	spin_lock(&r->lock);
	open = c->open;
	if (open)
		integrity_pass_do_locked(r, INTEGRITY_PASS_FREEZE);
	spin_unlock(&r->lock);
	/* It came to its end just now. */
	if (!open)
		return false;

	integrity_workers_stop(ic);
	spin_lock(&r->lock);
	WRITE_ONCE(c->open, false);
	low = r->low;
	bad = c->bad;
	/* The status is that of what waits, or it would look like a check that is paused. */
	if (integrity_recalc_pending(ic))
		r->action = &integrity_pass_recalculate;
	spin_unlock(&r->lock);
	DMINFO("%s: check given up at sector %llu, %s: %llu blocks bad", integrity_name(ic), low,
	       why, bad);
	return true;
}

int integrity_check_bad_blocks(struct dm_integrity_c *ic, char *result, unsigned int size)
{
	const size_t bytes = INTEGRITY_BAD_RANGES * sizeof(struct integrity_bad_range);
	struct integrity_check *c = &ic->check;
	struct integrity_bad_list copy;

	/* Printing takes too long with interrupts off. */
	copy.range = kvmalloc(bytes, GFP_NOIO | __GFP_NOWARN);
	if (!copy.range) {
		DMERR("%s: no memory to print the bad blocks", integrity_name(ic));
		return -ENOMEM;
	}
	spin_lock_irq(&c->lock);
	copy.count = c->list.count;
	copy.overflow = c->list.overflow;
	if (copy.count)
		memcpy(copy.range, c->list.range, copy.count * sizeof(*copy.range));
	spin_unlock_irq(&c->lock);

	integrity_bad_list_text(&copy, result, size);
	kvfree(copy.range);
	/* There is a result; what did not fit the core sees by itself, and asks for more room. */
	return 1;
}

void integrity_check_init(struct dm_integrity_c *ic)
{
	spin_lock_init(&ic->check.lock);
	ic->check.first_bad = U64_MAX;
}

void integrity_check_exit(struct dm_integrity_c *ic)
{
	kvfree(ic->check.list.range);
}
