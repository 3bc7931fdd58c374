// SPDX-License-Identifier: GPL-2.0-only
/*
 * The background pass: makes the tags of data that has none yet.
 *
 * Workers, as many as CPUs and one more, take chunks in ascending order; for each chunk a worker
 * locks its range, reads the data, hashes and stores the tags, and unlocks. The mark is the
 * start of the first chunk that is not done: blocks below it have a valid tag, and reads of them
 * are verified.
 *
 * recalc.control: one change of state at a time, by who may have to wait for the workers:
 * messages, suspend, resume, reboot. Workers never take it. recalc.lock: everything that the
 * workers share.
 *
 * Order of writes at a checkpoint: data device flushed and tags written, metadata device
 * flushed, then the superblock with FUA. A crash before the last leaves the older, lower
 * position: those chunks are done again, from the same data. Their tags may already be the new
 * ones, and nobody compares them before they are made again.
 *
 * Foreground I/O meanwhile: a write takes the range lock, so it comes before or after the chunk,
 * and stores its tag in either case. A read beyond the mark compares nothing and takes no lock;
 * one that straddles it is verified below it.
 *
 * suspend: the workers finish their chunks, the position is saved. Removal goes through suspend.
 * A reload makes a new device, which reads the position from the superblock when it is resumed,
 * after the old one was suspended.
 */
#include <linux/cpumask.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "dm-integrity.h"

#define BUSY_MS		250u	/* after its last bio, foreground I/O counts as going on */
#define PACE_MS		50u	/* how often a waiting worker looks again, at least */

/* --- the state, under recalc.lock --- */

static void set_mark(struct integrity_recalc *r, u64 mark)
{
	/* Pairs with the acquire in integrity_recalc_mark(). */
	atomic64_set_release(&r->mark, mark);
}

/* The start of what is not done: the first chunk in work, or what comes next. */
static void move_mark(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	u64 from = integrity_recalc_mark(r), to = r->next;
	const struct integrity_pass_worker *w;

	w = list_first_entry_or_null(&r->in_flight, struct integrity_pass_worker, in_flight);
	if (w)
		to = w->start;
	to = min(to, r->unfinished);
	set_mark(r, to);
	if (to > from && ic->mode->pass_moved)
		ic->mode->pass_moved(ic, from, to);
}

/* Move if the table allows it; who waits looks again. */
static bool move(struct integrity_recalc *r, enum integrity_pass_event event)
{
	int state = integrity_pass_move(r->state, event);

	if (state < 0)
		return false;
	WRITE_ONCE(r->state, state);
	r->kick++;
	wake_up_all(&r->wait);
	return true;
}

static bool move_locked(struct integrity_recalc *r, enum integrity_pass_event event)
{
	bool moved;

	spin_lock(&r->lock);
	moved = move(r, event);
	spin_unlock(&r->lock);
	return moved;
}

static bool running(struct integrity_recalc *r)
{
	return integrity_pass_is_running(READ_ONCE(r->state));
}

/* The pass cannot go on; what is done stays done. */
static void pass_fail(struct dm_integrity_c *ic, const char *what, int error)
{
	if (!move_locked(&ic->recalc, INTEGRITY_PASS_ERROR))
		return;
	DMERR("%s: recalculation failed: %s (error %d), position %llu of %llu sectors",
	      integrity_name(ic), what, error, integrity_recalc_mark(&ic->recalc), ic->recalc.end);
	integrity_event(ic);
}

/* --- rate --- */

static u64 kib_per_s(u64 sectors, u64 ns)
{
	/* Milliseconds keep this in range for any device and any time. */
	u64 ms = max_t(u64, div_u64(ns, NSEC_PER_MSEC), 1);

	return div64_u64(sectors * 500, ms);
}

static void count_work(struct integrity_recalc *r, u64 sectors)
{
	u64 now = ktime_get_ns();

	r->worked += sectors;
	if (now - r->window_at >= NSEC_PER_SEC) {
		r->rate = kib_per_s(r->worked - r->window_worked, now - r->window_at);
		r->window_at = now;
		r->window_worked = r->worked;
	}
}

/* --- pace --- */

static bool foreground_busy(struct integrity_recalc *r)
{
	return atomic_read(&r->foreground) ||
	       time_before(jiffies, READ_ONCE(r->last_io) + msecs_to_jiffies(BUSY_MS));
}

/*
 * May a chunk be taken now: 0, or the nanoseconds to wait. *@sectors is lowered so that a slow
 * pass takes small chunks, which hold up a write that meets one for a short time only. *@at is the
 * time that the chunk counts as taken: a worker that wakes up late makes up for it, but for no
 * more than one chunk, so that a pause is not saved up for a burst.
 */
static u64 pace(struct integrity_recalc *r, u64 *sectors, u64 *at)
{
	u64 limit = r->speed_max, interval, due, now = ktime_get_ns();

	*at = now;
	if (foreground_busy(r) && (!limit || r->speed_min < limit)) {
		limit = r->speed_min;
		if (!limit)
			return PACE_MS * NSEC_PER_MSEC;
	}
	if (!limit)
		return 0;

	/* A sixteenth of a second's work: limit KiB/s are limit * 2 sectors a second. */
	*sectors = min(*sectors, clamp_t(u64, round_down(limit / 8, 8), 128, INTEGRITY_PASS_CHUNK));
	interval = div64_u64((u64)r->pace_sectors * (NSEC_PER_SEC / 2), limit);
	due = r->pace_at + interval;
	if (now < due)
		return due - now;
	*at = max(due, now - min(now, interval));
	return 0;
}

/* --- checkpoints --- */

static bool checkpoint_due(struct integrity_recalc *r)
{
	u64 mark = integrity_recalc_mark(r);

	if (r->saving || mark == r->saved)
		return false;
	return mark - r->saved >= (u64)INTEGRITY_PASS_CHUNK * INTEGRITY_PASS_CHECKPOINT ||
	       time_after(jiffies, r->saved_at + msecs_to_jiffies(INTEGRITY_PASS_CHECKPOINT_MS));
}

/* Save @mark; everything below it is done. Other workers go on meanwhile. */
static int checkpoint(struct dm_integrity_c *ic, u64 mark)
{
	struct integrity_recalc *r = &ic->recalc;
	int err;

	err = integrity_flush(ic);
	if (!err)
		err = integrity_sb_store(ic, true, mark);

	spin_lock(&r->lock);
	if (!err)
		r->saved = mark;
	r->saved_at = jiffies;
	r->saving = false;
	spin_unlock(&r->lock);
	return err;
}

/* --- a worker's buffer --- */

static void worker_free(struct integrity_pass_worker *w)
{
	while (w->nr_pages)
		__free_page(w->pages[--w->nr_pages].page);
	kvfree(w->pages);
	w->pages = NULL;
}

/*
 * As many pages as a chunk, halved until memory allows, at least one. Not from reclaim that
 * could wait for I/O to this device: suspend waits for the workers, and I/O waits for resume.
 */
static bool worker_alloc(struct integrity_pass_worker *w)
{
	const gfp_t gfp = GFP_NOIO | __GFP_NOWARN | __GFP_NORETRY;
	unsigned int want = INTEGRITY_PASS_CHUNK >> (PAGE_SHIFT - SECTOR_SHIFT);
	unsigned int i, have;

	w->pages = kvcalloc(want, sizeof(*w->pages), gfp);
	if (!w->pages) {
		want = 1;
		w->pages = kcalloc(want, sizeof(*w->pages), gfp);
		if (!w->pages)
			return false;
	}
	for (have = 0; have < want; have++) {
		w->pages[have].page = alloc_page(gfp);
		if (!w->pages[have].page)
			break;
		cond_resched();
	}
	w->nr_pages = have;
	if (!have) {
		worker_free(w);
		return false;
	}
	/*
	 * Give the surplus back, so that a device short of memory is not the one that keeps it
	 * short.
	 */
	have = rounddown_pow_of_two(have);
	while (w->nr_pages > have)
		__free_page(w->pages[--w->nr_pages].page);
	for (i = 0; i + 1 < have; i++)
		w->pages[i].next = &w->pages[i + 1];
	w->pages[have - 1].next = NULL;
	return true;
}

/* --- one chunk --- */

/*
 * What reads and errors come in: a block, or a logical block of the data device when that is
 * larger.
 */
static u64 smallest_read(struct dm_integrity_c *ic)
{
	return max_t(u64, integrity_block_sectors(&ic->layout),
		     bdev_logical_block_size(ic->data_dev->bdev) >> SECTOR_SHIFT);
}

/*
 * Blocks count as bad when their chunk is done: one that is given up half way will be taken, and
 * its bad blocks met, again.
 */
static void count_bad(struct integrity_pass_worker *w, u64 sector, u64 sectors, const char *what,
		      unsigned int weight, int error)
{
	struct dm_integrity_c *ic = w->ic;
	struct integrity_recalc *r = &ic->recalc;
	u64 errors;

	w->bad += sectors >> ic->layout.log2_sectors_per_block;

	spin_lock(&r->lock);
	r->errors += weight;
	errors = r->errors;
	r->first_bad = min(r->first_bad, sector);
	spin_unlock(&r->lock);

	DMERR_LIMIT("%s: recalculation skips %llu sectors at 0x%llx: cannot read their %s (error %d)",
		    integrity_name(ic), sectors, sector, what, error);
	if (errors >= INTEGRITY_PASS_MAX_ERRORS)
		pass_fail(ic, "too many unreadable places", error);
}

/*
 * Hash what was read of [sector, sector + sectors) and store the tags. Where a tag buffer cannot
 * be read, its blocks are counted and passed over. Return: 0, or an error of the hash.
 */
static int make_tags(struct integrity_pass_worker *w, u64 sector, u64 sectors, unsigned int skip)
{
	struct dm_integrity_c *ic = w->ic;
	const struct integrity_layout *l = &ic->layout;
	u64 step = integrity_block_sectors(l), end = sector + sectors;
	struct integrity_tag_cursor cur;
	u8 tag[INTEGRITY_TAG_BYTES];
	size_t at = skip;
	int r = 0;

	integrity_tag_cursor_init(&cur, ic);
	integrity_tag_cursor_overwrite(&cur, sector, sectors);
	while (sector < end) {
		const u8 *data = page_address(w->pages[at >> PAGE_SHIFT].page);
		u64 todo = step;

		r = integrity_tag_of_data(ic, sector, data + offset_in_page(at), tag);
		if (r)
			break;
		r = integrity_tag_store(&cur, sector, tag);
		if (r) {
			u64 good = (cur.index + 1) << ic->tags.buffer_shift;
			u64 lost = DIV_ROUND_UP_ULL(good - integrity_tag_offset(l, sector),
						    l->tag_size);

			todo = min(lost << l->log2_sectors_per_block, end - sector);
			count_bad(w, sector, todo, "tags", INTEGRITY_PASS_TAG_ERROR, r);
			r = 0;
		}
		sector += todo;
		at += todo << SECTOR_SHIFT;
		cond_resched();
	}
	integrity_tag_cursor_done(&cur);
	return r;
}

/*
 * Do the chunk in hand; its range is held. A read that fails is halved down to the smallest one
 * that fails alone, which is counted and passed over. Return: false when it was given up half
 * way.
 */
static bool do_chunk(struct integrity_pass_worker *w)
{
	struct dm_integrity_c *ic = w->ic;
	u64 unit = smallest_read(ic);
	u64 pos = w->start, end = w->start + w->sectors, len = w->sectors;

	integrity_tag_prefetch_edges(ic, w->start, w->sectors);
	while (pos < end) {
		unsigned int skip;
		int r;

		len = min(len, end - pos);
		r = integrity_read_data(ic, pos, len, w->pages, w->nr_pages, &skip);
		if (!r) {
			r = make_tags(w, pos, len, skip);
			if (r) {
				pass_fail(ic, "computing a tag", r);
				return false;
			}
			pos += len;
			len *= 2;
			continue;
		}
		if (len > unit) {
			len = max(round_down(len / 2, unit), unit);
		} else {
			count_bad(w, pos, len, "data", 1, r);
			pos += len;
		}
		/*
		 * A dying disk takes its time over each: do not let suspend wait for the whole
		 * chunk.
		 */
		if (!running(&ic->recalc))
			return pos >= end;
	}
	return true;
}

static void range_granted(struct integrity_range *range)
{
	struct integrity_pass_worker *w = container_of(range, struct integrity_pass_worker, range);

	complete(&w->granted);
}

/*
 * Take the next chunk; may sleep for the pace, and saves the position when that is due. Return:
 * false when the worker should end.
 */
static bool take_chunk(struct integrity_pass_worker *w)
{
	struct dm_integrity_c *ic = w->ic;
	struct integrity_recalc *r = &ic->recalc;

	for (;;) {
		u64 sectors, mark, wait, at, run;
		unsigned int seen;
		bool skip = false;
		int err;

		/* What a failed device stores would never be written. */
		err = atomic_read(&ic->failed);
		if (err) {
			pass_fail(ic, "the device has failed", err);
			return false;
		}
		spin_lock(&r->lock);
		if (!running(r) || r->next >= r->end) {
			spin_unlock(&r->lock);
			return false;
		}
		/* What has valid tags is passed over. */
		run = r->end - r->next;
		if (ic->mode->pass_run)
			run = ic->mode->pass_run(ic, r->next, &skip);
		if (skip) {
			r->next += run;
			move_mark(ic);
			spin_unlock(&r->lock);
			cond_resched();
			continue;
		}
		if (checkpoint_due(r)) {
			r->saving = true;
			mark = integrity_recalc_mark(r);
			spin_unlock(&r->lock);
			err = checkpoint(ic, mark);
			if (err)
				pass_fail(ic, "saving the position", err);
			continue;
		}

		sectors = min_t(u64, (u64)w->nr_pages << (PAGE_SHIFT - SECTOR_SHIFT),
				INTEGRITY_PASS_CHUNK);
		wait = pace(r, &sectors, &at);
		if (!wait) {
			/*
			 * Not across the end of an interleaved area: data and tags are
			 * contiguous only within one.
			 */
			sectors = min(sectors, integrity_area_remaining(&ic->layout, r->next));
			sectors = min(sectors, run);
			w->start = r->next;
			w->sectors = sectors;
			w->bad = 0;
			r->next += sectors;
			r->pace_at = at;
			r->pace_sectors = sectors;
			list_add_tail(&w->in_flight, &r->in_flight);
			spin_unlock(&r->lock);
			return true;
		}
		seen = r->kick;
		spin_unlock(&r->lock);

		/* Not longer than foreground I/O takes to count as over. */
		wait_event_timeout(r->wait, READ_ONCE(r->kick) != seen,
				   max(nsecs_to_jiffies(min_t(u64, wait, PACE_MS * NSEC_PER_MSEC)),
				       1UL));
	}
}

static void give_back_chunk(struct integrity_pass_worker *w, bool done)
{
	struct integrity_recalc *r = &w->ic->recalc;

	spin_lock(&r->lock);
	list_del(&w->in_flight);
	if (done) {
		count_work(r, w->sectors);
		r->bad += w->bad;
	} else {
		r->unfinished = min(r->unfinished, w->start);
	}
	move_mark(w->ic);
	spin_unlock(&r->lock);
}

/* --- workers --- */

static void log_end(struct dm_integrity_c *ic, u64 worked, u64 ns, u64 bad)
{
	DMINFO("%s: recalculation finished: %llu sectors in %llu s, %llu KiB/s, %llu blocks unreadable",
	       integrity_name(ic), worked, div64_u64(ns, NSEC_PER_SEC), kib_per_s(worked, ns), bad);
}

/*
 * The worker is done. The last one of a pass that came to its end, or that failed, saves the
 * position before it counts itself out, so that nobody sees the pass over while its position is
 * not on the disk.
 */
static void worker_end(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	u64 worked = 0, ns = 0, bad = 0, mark;
	bool ended = false;
	int err = 0;

	spin_lock(&r->lock);
	if (r->workers == 1) {
		mark = integrity_recalc_mark(r);
		if (mark != r->saved && !atomic_read(&ic->failed) &&
		    (r->state == INTEGRITY_PASS_FAILED || (running(r) && mark == r->end))) {
			spin_unlock(&r->lock);
			err = checkpoint(ic, mark);
			if (err)
				pass_fail(ic, "saving the position", err);
			spin_lock(&r->lock);
		}
		if (!err && running(r) && mark == r->end && move(r, INTEGRITY_PASS_END)) {
			ended = true;
			worked = r->worked;
			ns = ktime_get_ns() - r->started;
			bad = r->bad;
			r->rate = kib_per_s(worked, ns);
		}
	}
	r->workers--;
	r->kick++;
	wake_up_all(&r->wait);
	spin_unlock(&r->lock);

	/* The workqueue is flushed before the device goes. */
	if (ended) {
		log_end(ic, worked, ns, bad);
		integrity_event(ic);
	}
}

static void worker_run(struct work_struct *work)
{
	struct integrity_pass_worker *w = container_of(work, struct integrity_pass_worker, work);
	struct dm_integrity_c *ic = w->ic;
	struct integrity_recalc *r = &ic->recalc;
	bool have;

	/* Without a page there is nothing to do but wait for one. */
	while (!(have = worker_alloc(w)) && running(r) && READ_ONCE(r->next) < r->end)
		wait_event_timeout(r->wait, !running(r), HZ / 10);

	while (have && take_chunk(w)) {
		bool done;

		reinit_completion(&w->granted);
		if (!integrity_range_lock(&ic->ranges, &w->range, w->start, w->sectors, false))
			wait_for_completion(&w->granted);
		done = do_chunk(w);
		integrity_range_unlock(&ic->ranges, &w->range);
		give_back_chunk(w, done);
	}
	if (have)
		worker_free(w);
	worker_end(ic);
}

/* --- control: recalc.control is held --- */

/* Let the workers go; the state is a running one, and none is left of before. */
static void start_workers(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	unsigned int n = clamp(num_online_cpus() + 1, 1U, r->max_workers), i;
	u64 now = ktime_get_ns();

	spin_lock(&r->lock);
	r->next = integrity_recalc_mark(r);
	r->unfinished = U64_MAX;
	r->workers = n;
	r->saved_at = jiffies;
	/* However old it is: jiffies wrap. */
	WRITE_ONCE(r->last_io, jiffies - msecs_to_jiffies(BUSY_MS));
	r->pace_at = 0;
	r->pace_sectors = 0;
	r->seen = true;
	r->errors = 0;
	r->worked = 0;
	r->started = now;
	r->window_at = now;
	r->window_worked = 0;
	r->rate = 0;
	spin_unlock(&r->lock);

	DMINFO("%s: recalculation %s at sector %llu of %llu", integrity_name(ic),
	       r->next ? "continues" : "starts", r->next, r->end);
	for (i = 0; i < n; i++)
		queue_work(r->wq, &r->worker[i].work);
}

/*
 * The state is no longer a running one: wait until the workers have seen that, and save where
 * they got to.
 */
static int stop_workers(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	u64 mark = integrity_recalc_mark(r);
	unsigned int i;

	for (i = 0; i < r->max_workers; i++) {
		/* Not even begun: for want of a thread it might take long to. */
		if (cancel_work(&r->worker[i].work)) {
			spin_lock(&r->lock);
			r->workers--;
			spin_unlock(&r->lock);
		}
	}
	wait_event(r->wait, !READ_ONCE(r->workers));

	mark = integrity_recalc_mark(r);
	if (mark == r->saved || ic->read_only || atomic_read(&ic->failed) ||
	    !(integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING))
		return 0;
	return checkpoint(ic, mark);
}

static bool pending(struct dm_integrity_c *ic)
{
	return (integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING) &&
	       integrity_recalc_mark(&ic->recalc) < ic->layout.provided_sectors;
}

/* Is there a position that could not be saved: a pass that finds nothing to do saves it. */
static bool unsaved(struct dm_integrity_c *ic)
{
	return (integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING) &&
	       integrity_recalc_mark(&ic->recalc) != ic->recalc.saved;
}

void integrity_recalc_load(struct dm_integrity_c *ic, bool flag, u64 sector)
{
	struct integrity_recalc *r = &ic->recalc;
	u64 provided = ic->layout.provided_sectors;

	spin_lock(&r->lock);
	r->end = provided;
	r->saved = flag ? sector : provided;
	r->seen = r->seen || flag;
	set_mark(r, r->saved);
	spin_unlock(&r->lock);
}

void integrity_recalc_resume(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	bool start;

	mutex_lock(&r->control);
	spin_lock(&r->lock);
	if (pending(ic) && !atomic_read(&ic->failed)) {
		if (ic->read_only || (ic->params.no_recalculate && !ic->activated))
			move(r, INTEGRITY_PASS_FREEZE);
		else if (r->state == INTEGRITY_PASS_SUSPENDED_IDLE)
			move(r, INTEGRITY_PASS_START);
	}
	start = move(r, INTEGRITY_PASS_RESUME) && running(r);
	spin_unlock(&r->lock);
	if (start && !r->workers)
		start_workers(ic);
	mutex_unlock(&r->control);
}

void integrity_recalc_suspend(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	int err;

	mutex_lock(&r->control);
	move_locked(r, INTEGRITY_PASS_SUSPEND);
	err = stop_workers(ic);
	if (err)
		DMERR("%s: the position of the recalculation was not saved (error %d)",
		      integrity_name(ic), err);
	mutex_unlock(&r->control);
}

int integrity_recalc_permitted(struct dm_integrity_c *ic)
{
	bool hash_keyed = ic->params.internal_hash.key_len,
	     mac_keyed = ic->params.journal_mac.key_len;
	bool refused;

	if (ic->params.legacy_recalculate)
		return 0;
	/*
	 * With fix_hmac a keyed MAC protects the superblock, and with it the flag that starts
	 * all this.
	 */
	if (integrity_sb_flags(ic) & INTEGRITY_SB_FIXED_HMAC)
		refused = hash_keyed && !mac_keyed;
	else
		refused = hash_keyed || mac_keyed;
	return refused ? -EOPNOTSUPP : 0;
}

/* Set flag and position on the disk, then in memory. Nothing runs. */
static int set_position(struct dm_integrity_c *ic, bool flag, u64 sector)
{
	struct integrity_recalc *r = &ic->recalc;
	int err = integrity_sb_store(ic, flag, sector);

	if (err)
		return err;
	integrity_recalc_load(ic, flag, sector);
	spin_lock(&r->lock);
	r->bad = 0;
	r->first_bad = U64_MAX;
	spin_unlock(&r->lock);
	return 0;
}

static int set_position_zero(struct dm_integrity_c *ic)
{
	int err = 0;

	if (ic->mode->pass_reset)
		err = ic->mode->pass_reset(ic);
	return err ?: set_position(ic, true, 0);
}

static void start_pass(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;

	/* A pass that failed lately may have workers that have not ended yet. */
	wait_event(r->wait, !READ_ONCE(r->workers));
	if (move_locked(r, INTEGRITY_PASS_START) && running(r))
		start_workers(ic);
}

static int msg_recalculate(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	int err = 0;

	if (running(r))
		return 0;
	if (!(integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING)) {
		err = set_position_zero(ic);
		if (err)
			return err;
	}
	if (pending(ic) || unsaved(ic))
		start_pass(ic);
	else
		move_locked(r, INTEGRITY_PASS_CANCEL);
	return 0;
}

static int msg_reset_recalculate(struct dm_integrity_c *ic)
{
	int err;

	move_locked(&ic->recalc, INTEGRITY_PASS_FREEZE);
	err = stop_workers(ic);
	if (!err)
		err = set_position_zero(ic);
	if (!err)
		start_pass(ic);
	else
		integrity_event(ic);	/* it is frozen now */
	return err;
}

static int msg_cancel_recalculate(struct dm_integrity_c *ic)
{
	int err;

	move_locked(&ic->recalc, INTEGRITY_PASS_FREEZE);
	err = stop_workers(ic);
	if (!err && (integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING)) {
		err = set_position(ic, false, 0);
		if (!err && ic->mode->pass_given_up)
			ic->mode->pass_given_up(ic);
		if (!err)
			DMINFO("%s: recalculation given up, all blocks are verified from now on",
			       integrity_name(ic));
	}
	if (err) {
		integrity_event(ic);	/* it is frozen now */
		return err;
	}
	/* Or the line that `dmsetup table` prints would start it again when it is loaded. */
	ic->params.recalculate = false;
	ic->params.reset_recalculate = false;
	move_locked(&ic->recalc, INTEGRITY_PASS_CANCEL);
	integrity_event(ic);
	return 0;
}

static int msg_frozen(struct dm_integrity_c *ic)
{
	int err;

	move_locked(&ic->recalc, INTEGRITY_PASS_FREEZE);
	/* Suspended, there is nothing to stop, and the superblock may be another table's by now. */
	if (integrity_pass_is_suspended(ic->recalc.state))
		return 0;
	err = stop_workers(ic);
	integrity_event(ic);
	return err;
}

static int msg_idle(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;

	if (running(r) || r->state == INTEGRITY_PASS_SUSPENDED_RUNNING)
		return 0;
	if ((pending(ic) || unsaved(ic)) && !ic->read_only && !atomic_read(&ic->failed))
		start_pass(ic);
	else
		move_locked(r, INTEGRITY_PASS_CANCEL);
	return 0;
}

static void set_speed(struct dm_integrity_c *ic, const struct integrity_message *m)
{
	struct integrity_recalc *r = &ic->recalc;

	spin_lock(&r->lock);
	if (m->type == INTEGRITY_MSG_SPEED_MIN)
		r->speed_min = m->value;
	else
		r->speed_max = m->value;
	r->kick++;
	wake_up_all(&r->wait);
	spin_unlock(&r->lock);
}

/* Does the message write to the disk. "idle" lets only what is pending go on. */
static bool changes_disk(enum integrity_message_type type)
{
	return type == INTEGRITY_MSG_RECALCULATE || type == INTEGRITY_MSG_RESET_RECALCULATE ||
	       type == INTEGRITY_MSG_CANCEL_RECALCULATE;
}

void integrity_recalc_reboot(struct dm_integrity_c *ic)
{
	mutex_lock(&ic->recalc.control);
	/* A table that is not live saved all it had when it was suspended. */
	if (!integrity_pass_is_suspended(ic->recalc.state)) {
		msg_frozen(ic);
		if (ic->mode->reboot)
			ic->mode->reboot(ic);
		else
			ic->mode->flush(ic);
	}
	mutex_unlock(&ic->recalc.control);
}

int integrity_recalc_message(struct dm_integrity_c *ic, const struct integrity_message *m)
{
	struct integrity_recalc *r = &ic->recalc;
	int err = 0;

	mutex_lock(&r->control);
	if (changes_disk(m->type)) {
		err = atomic_read(&ic->failed);
		if (err) {
			DMERR("%s: the device has failed, nothing can be recalculated",
			      integrity_name(ic));
			goto out;
		}
		if (ic->read_only) {
			err = -EROFS;
			DMERR("%s: the device is read-only, nothing can be recalculated",
			      integrity_name(ic));
			goto out;
		}
		if (integrity_pass_is_suspended(r->state)) {
			err = -EBUSY;
			DMERR("%s: the device is suspended, resume it first", integrity_name(ic));
			goto out;
		}
	}
	if (m->type == INTEGRITY_MSG_RECALCULATE || m->type == INTEGRITY_MSG_RESET_RECALCULATE) {
		err = integrity_recalc_permitted(ic);
		if (err) {
			DMERR("%s: recalculating with a keyed hash and an unprotected superblock is not allowed without legacy_recalculate",
			      integrity_name(ic));
			goto out;
		}
	}

	switch (m->type) {
	case INTEGRITY_MSG_RECALCULATE:
		err = msg_recalculate(ic);
		break;
	case INTEGRITY_MSG_RESET_RECALCULATE:
		err = msg_reset_recalculate(ic);
		break;
	case INTEGRITY_MSG_CANCEL_RECALCULATE:
		err = msg_cancel_recalculate(ic);
		break;
	case INTEGRITY_MSG_FROZEN:
		err = msg_frozen(ic);
		break;
	case INTEGRITY_MSG_IDLE:
		err = msg_idle(ic);
		break;
	case INTEGRITY_MSG_SPEED_MIN:
	case INTEGRITY_MSG_SPEED_MAX:
		set_speed(ic, m);
		break;
	case INTEGRITY_MSG_RESET_MISMATCHES:
		atomic64_set(&ic->mismatches, 0);
		break;
	}
	if (err)
		DMERR("%s: the message failed (error %d)", integrity_name(ic), err);
out:
	mutex_unlock(&r->control);
	return err;
}

void integrity_recalc_status(struct dm_integrity_c *ic, struct integrity_status_view *v)
{
	struct integrity_recalc *r = &ic->recalc;
	u64 now;

	v->have_recalc = integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING;

	spin_lock(&r->lock);
	now = ktime_get_ns();
	v->recalc_sector = integrity_recalc_mark(r);
	v->action = atomic_read(&ic->failed) ? "Fail" :
					       integrity_pass_action(r->state, "recalculate");
	v->done = v->have_recalc ? v->recalc_sector : 0;
	v->total = v->have_recalc ? r->end : 0;
	v->rate = r->rate;
	/* The first window is not over yet, or nothing was done for longer than one. */
	if (running(r) && (!r->rate || now - r->window_at >= 2 * NSEC_PER_SEC))
		v->rate = kib_per_s(r->worked - r->window_worked, now - r->window_at);
	v->bad = r->bad;
	v->have_first_bad = r->first_bad != U64_MAX;
	v->first_bad = r->first_bad;
	spin_unlock(&r->lock);
}

int integrity_recalc_init(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	unsigned int i;

	mutex_init(&r->control);
	spin_lock_init(&r->lock);
	init_waitqueue_head(&r->wait);
	INIT_LIST_HEAD(&r->in_flight);
	r->state = INTEGRITY_PASS_SUSPENDED_IDLE;
	r->first_bad = U64_MAX;
	r->speed_min = INTEGRITY_PASS_SPEED_MIN;
	r->last_io = jiffies - HZ;

	r->max_workers = min(num_possible_cpus() + 1, INTEGRITY_PASS_MAX_WORKERS);
	r->worker = kcalloc(r->max_workers, sizeof(*r->worker), GFP_KERNEL);
	if (!r->worker)
		return -ENOMEM;
	for (i = 0; i < r->max_workers; i++) {
		struct integrity_pass_worker *w = &r->worker[i];

		w->ic = ic;
		w->range.granted = range_granted;
		init_completion(&w->granted);
		INIT_WORK(&w->work, worker_run);
	}
	r->wq = alloc_workqueue("dm-integrity-pass", WQ_UNBOUND, r->max_workers);
	return r->wq ? 0 : -ENOMEM;
}

void integrity_recalc_exit(struct dm_integrity_c *ic)
{
	if (ic->recalc.wq)
		destroy_workqueue(ic->recalc.wq);
	kfree(ic->recalc.worker);
}
