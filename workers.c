// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine of the background pass: states, workers, chunks, pace, buffers. What is done with a
 * chunk is its action's: recalc.c makes tags, check.c compares them.
 *
 * Workers, as many as CPUs and one more, take chunks in ascending order; for each chunk a worker
 * locks its range, reads the data, hands it to the action, and unlocks. recalc.low is the start of
 * the first chunk that is not done.
 *
 * recalc.lock: everything that the workers share. Who starts and stops them holds recalc.control,
 * which they never take.
 */
#include <linux/cpumask.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "dm-integrity.h"
#include "trace.h"

#define BUSY_MS		250u	/* after its last bio, foreground I/O counts as going on */
#define PACE_MS		50u	/* how often a waiting worker looks again, at least */

/* --- the state --- */

bool integrity_pass_do_locked(struct integrity_recalc *r, enum integrity_pass_event event)
{
	int state = integrity_pass_move(r->state, event);

	if (state < 0)
		return false;
	WRITE_ONCE(r->state, state);
	r->kick++;
	wake_up_all(&r->wait);
	return true;
}

bool integrity_pass_do(struct integrity_recalc *r, enum integrity_pass_event event)
{
	bool moved;

	spin_lock(&r->lock);
	moved = integrity_pass_do_locked(r, event);
	spin_unlock(&r->lock);
	return moved;
}

void integrity_pass_fail(struct dm_integrity_c *ic, const char *what, int error)
{
	struct integrity_recalc *r = &ic->recalc;
	const struct integrity_pass_action *action;
	u64 low, end;

	spin_lock(&r->lock);
	if (!integrity_pass_do_locked(r, INTEGRITY_PASS_ERROR)) {
		spin_unlock(&r->lock);
		return;
	}
	action = r->action;
	low = r->low;
	end = r->end;
	spin_unlock(&r->lock);
	DMERR("%s: %s failed: %s (error %d), position %llu of %llu sectors", integrity_name(ic),
	      action->noun, what, error, low, end);
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

/* --- a worker's buffer --- */

static void worker_free(struct integrity_pass_worker *w)
{
	while (w->nr_pages)
		__free_page(w->pages[--w->nr_pages].page);
	kvfree(w->pages);
	w->pages = NULL;
	free_page((unsigned long)w->tuples);
	w->tuples = NULL;
}

/*
 * As many pages as a chunk, halved until memory allows, at least one. Not from reclaim that
 * could wait for I/O to this device: suspend waits for the workers, and I/O waits for resume.
 */
static bool worker_alloc(struct integrity_pass_worker *w)
{
	const gfp_t gfp = GFP_NOIO | __GFP_NOWARN | __GFP_NORETRY;
	unsigned int want = DIV_ROUND_UP(w->ic->recalc.max_chunk, PAGE_SECTORS);
	unsigned int i, have;

	if (w->ic->mode->inline_tags) {
		w->tuples = (u8 *)__get_free_page(gfp);
		if (!w->tuples)
			return false;
	}
	w->pages = kvcalloc(want, sizeof(*w->pages), gfp);
	if (!w->pages) {
		want = 1;
		w->pages = kcalloc(want, sizeof(*w->pages), gfp);
		if (!w->pages) {
			worker_free(w);
			return false;
		}
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

u64 integrity_pass_unit(struct dm_integrity_c *ic)
{
	return max_t(u64, integrity_block_sectors(&ic->layout),
		     bdev_logical_block_size(ic->data_dev->bdev) >> SECTOR_SHIFT);
}

static int read_chunk(struct integrity_pass_worker *w, u64 sector, u64 sectors, unsigned int *skip)
{
	if (!w->ic->mode->pass_read)
		return integrity_read_data(w->ic, sector, sectors, w->pages, w->nr_pages, skip);
	*skip = 0;
	return w->ic->mode->pass_read(w, sector, sectors);
}

static void lock_range(struct integrity_pass_worker *w, u64 start, u64 sectors)
{
	reinit_completion(&w->granted);
	if (!integrity_range_lock(&w->ic->ranges, &w->range, start, sectors, w->action->shared))
		wait_for_completion(&w->granted);
	/* Whoever had it before us may have stored tags. */
	w->flushed = false;
}

/*
 * Do the chunk in hand; its range is held. A read that fails is halved down to the smallest one
 * that fails alone, which is passed over. When it is given up half way, @sectors becomes what is
 * done of it: a pass gets on even where each run of it meets too many bad places.
 */
static void do_chunk(struct integrity_pass_worker *w)
{
	struct dm_integrity_c *ic = w->ic;
	u64 unit = integrity_pass_unit(ic);
	u64 pos = w->start, end = w->start + w->sectors, len = w->sectors;
	u64 done = pos, bad = 0;
	bool failed = false;

	w->action->begin(w);
	for (;;) {
		unsigned int skip;
		u64 least;
		int r;

		/* No position is stored that is not a multiple of this (section 6.1). */
		if (pos >= end || !(pos & (INTEGRITY_SB_SECTORS - 1))) {
			done = pos;
			bad = w->bad;
		}
		if (pos >= end)
			break;
		if (failed) {
			/*
			 * A dying disk takes its time over each: do not let suspend wait for the
			 * whole chunk, nor users' I/O.
			 */
			if (!integrity_pass_running(&ic->recalc))
				break;
			integrity_range_unlock(&ic->ranges, &w->range);
			lock_range(w, pos, end - pos);
			failed = false;
		}

		len = min(len, end - pos);
		r = read_chunk(w, pos, len, &skip);
		if (!r) {
			r = w->action->blocks(w, pos, len, skip);
			if (r) {
				if (r != -EINTR)
					integrity_pass_fail(ic, "computing a tag", r);
				break;
			}
			pos += len;
			len *= 2;
			continue;
		}
		failed = true;
		/* From the middle of a block of the device only to its end. */
		least = unit - (pos & (unit - 1));
		if (len > least) {
			len = max(round_down(len / 2, unit), least);
		} else {
			w->action->unreadable(w, pos, len, "data", r);
			pos += len;
		}
	}
	w->sectors = done - w->start;
	w->bad = bad;
}

int integrity_pass_hash(struct integrity_pass_worker *w, u64 sector, u32 sectors, size_t at,
			u8 *tags)
{
	struct dm_integrity_c *ic = w->ic;
	u32 step = integrity_block_sectors(&ic->layout);
	u64 end = sector + sectors;
	int r = 0;

	for (; sector < end && !r; sector += step) {
		const u8 *data = page_address(w->pages[at >> PAGE_SHIFT].page);

		r = integrity_tag_of_data(ic, sector, data + offset_in_page(at), tags);
		tags += ic->layout.tag_size;
		at += step << SECTOR_SHIFT;
	}
	return r;
}

u64 integrity_pass_tags_lost(const struct integrity_tag_cursor *cur, u64 sector, u64 end)
{
	const struct integrity_layout *l = &cur->ic->layout;
	u64 good = (cur->index + 1) << cur->ic->tags.buffer_shift;
	u64 lost = DIV_ROUND_UP_ULL(good - integrity_tag_offset(l, sector), l->tag_size);

	return min(lost << l->log2_sectors_per_block, end - sector);
}

static void range_granted(struct integrity_range *range)
{
	struct integrity_pass_worker *w = container_of(range, struct integrity_pass_worker, range);

	complete(&w->granted);
}

/* recalc.lock is held. */
static void move_low(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	const struct integrity_pass_worker *w;
	u64 low = r->next;

	w = list_first_entry_or_null(&r->in_flight, struct integrity_pass_worker, in_flight);
	if (w)
		low = w->start;
	r->low = min(low, r->unfinished);
	if (r->action->low_moved)
		r->action->low_moved(ic);
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
		u64 sectors, wait, at, run;
		unsigned int seen;
		bool skip = false;
		int err;

		/* What a failed device stores would never be written. */
		err = atomic_read(&ic->failed);
		if (err) {
			integrity_pass_fail(ic, "the device has failed", err);
			return false;
		}
		spin_lock(&r->lock);
		run = r->end - r->next;
		if (run && w->action->run)
			run = min(run, w->action->run(ic, r->next, &skip));
		/* Also when told to stop: what is only left out is not left to be done. */
		if (skip) {
			r->next += run;
			move_low(ic);
			spin_unlock(&r->lock);
			cond_resched();
			continue;
		}
		if (!run || !integrity_pass_running(r)) {
			spin_unlock(&r->lock);
			return false;
		}
		if (w->action->save_due && w->action->save_due(ic)) {
			spin_unlock(&r->lock);
			err = w->action->save(ic);
			if (err)
				integrity_pass_fail(ic, "saving the position", err);
			continue;
		}

		sectors = min_t(u64, (u64)w->nr_pages << (PAGE_SHIFT - SECTOR_SHIFT), r->max_chunk);
		/* What is read begins at a block of the device, and is to fit the buffer. */
		sectors -= r->next & (integrity_pass_unit(ic) - 1);
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

/* Of the @taken sectors of the chunk in hand, @sectors are done. */
static void give_back_chunk(struct integrity_pass_worker *w, u64 taken)
{
	struct dm_integrity_c *ic = w->ic;
	struct integrity_recalc *r = &ic->recalc;

	if (w->sectors)
		trace_dm_integrity_pass_chunk(w);
	spin_lock(&r->lock);
	list_del(&w->in_flight);
	count_work(r, w->sectors);
	w->given_up = w->sectors < taken;
	if (w->given_up)
		r->unfinished = min(r->unfinished, w->start + w->sectors);
	else
		r->bad += w->bad;
	move_low(ic);
	spin_unlock(&r->lock);
}

/* --- workers --- */

/* Count what is bad in chunks that were given up, where it will not be met again. */
static void count_given_up(struct integrity_recalc *r)
{
	unsigned int i;

	for (i = 0; i < r->max_workers; i++) {
		struct integrity_pass_worker *w = &r->worker[i];

		if (w->given_up && w->start + w->sectors <= r->low)
			r->bad += w->bad;
		w->given_up = false;
	}
}

/* recalc.lock is held. */
static void count_out(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;

	if (!--r->workers) {
		count_given_up(r);
		trace_dm_integrity_pass_end(ic, r->low, r->end);
	}
	r->kick++;
	wake_up_all(&r->wait);
}

/*
 * Is all done, and does the pass end. Also when the device is about to suspend, and waits for us:
 * another table would find nothing left to do, and have nothing to announce.
 */
static bool is_done(const struct integrity_recalc *r)
{
	return (integrity_pass_running(r) || r->state == INTEGRITY_PASS_SUSPENDED_RUNNING) &&
	       r->low >= r->end;
}

/*
 * The worker is done. The last one of a pass that came to its end, or that failed, saves the
 * position before it counts itself out, so that nobody sees the pass over while its position is
 * not on the disk.
 */
static void worker_end(struct integrity_pass_worker *w)
{
	struct dm_integrity_c *ic = w->ic;
	const struct integrity_pass_action *action = w->action;
	struct integrity_recalc *r = &ic->recalc;
	struct integrity_pass_summary done;
	bool ended = false;
	int err = 0;

	spin_lock(&r->lock);
	if (r->workers == 1) {
		if (action->save && !atomic_read(&ic->failed) &&
		    (r->state == INTEGRITY_PASS_FAILED || is_done(r))) {
			spin_unlock(&r->lock);
			err = action->save(ic);
			if (err)
				integrity_pass_fail(ic, "saving the position", err);
			spin_lock(&r->lock);
		}
		/* What a device that failed meanwhile did not keep is not done. */
		if (!err && is_done(r) && !(action->save && atomic_read(&ic->failed))) {
			integrity_pass_do_locked(r, INTEGRITY_PASS_END);
			ended = true;
			done.sectors = r->worked;
			done.ns = ktime_get_ns() - r->started;
			done.rate = kib_per_s(done.sectors, done.ns);
			r->rate = done.rate;
			done.bad = action->ended(ic);
		}
	}
	count_out(ic);
	spin_unlock(&r->lock);

	/* The workqueue is flushed before the device goes. */
	if (ended) {
		DMINFO("%s: %s finished: %llu sectors in %llu s, %llu KiB/s, %llu blocks %s",
		       integrity_name(ic), action->noun, done.sectors,
		       div_u64(done.ns, NSEC_PER_SEC), done.rate, done.bad, action->bad);
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
	while (!(have = worker_alloc(w)) && integrity_pass_running(r) &&
	       READ_ONCE(r->next) < r->end)
		wait_event_timeout(r->wait, !integrity_pass_running(r), HZ / 10);

	while (have && take_chunk(w)) {
		u64 taken = w->sectors;

		lock_range(w, w->start, taken);
		do_chunk(w);
		integrity_range_unlock(&ic->ranges, &w->range);
		give_back_chunk(w, taken);
	}
	if (have)
		worker_free(w);
	worker_end(w);
}

void integrity_workers_start(struct dm_integrity_c *ic, const struct integrity_pass_action *action,
			     u64 from, u64 end)
{
	struct integrity_recalc *r = &ic->recalc;
	unsigned int n = clamp(num_online_cpus() + 1, 1U, r->max_workers), i;
	u64 now = ktime_get_ns();

	spin_lock(&r->lock);
	r->action = action;
	r->next = from;
	r->low = from;
	r->end = end;
	r->unfinished = U64_MAX;
	r->workers = n;
	/* However old it is: jiffies wrap. */
	WRITE_ONCE(r->last_io, jiffies - msecs_to_jiffies(BUSY_MS));
	r->pace_at = 0;
	r->pace_sectors = 0;
	r->worked = 0;
	r->started = now;
	r->window_at = now;
	r->window_worked = 0;
	r->rate = 0;
	trace_dm_integrity_pass_start(ic, from, end);
	spin_unlock(&r->lock);

	for (i = 0; i < n; i++) {
		r->worker[i].action = action;
		queue_work(r->wq, &r->worker[i].work);
	}
}

void integrity_workers_wait(struct dm_integrity_c *ic)
{
	wait_event(ic->recalc.wait, !READ_ONCE(ic->recalc.workers));
}

void integrity_workers_stop(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	unsigned int i;

	for (i = 0; i < r->max_workers; i++) {
		/* Not even begun: for want of a thread it might take long to. */
		if (cancel_work(&r->worker[i].work))
			worker_end(&r->worker[i]);
	}
	integrity_workers_wait(ic);
}

u64 integrity_workers_rate(struct integrity_recalc *r)
{
	u64 now = ktime_get_ns();

	/* The first window is not over yet, or nothing was done for longer than one. */
	if (integrity_pass_running(r) && (!r->rate || now - r->window_at >= 2 * NSEC_PER_SEC))
		return kib_per_s(r->worked - r->window_worked, now - r->window_at);
	return r->rate;
}

int integrity_workers_init(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	unsigned int i;

	mutex_init(&r->control);
	spin_lock_init(&r->lock);
	init_waitqueue_head(&r->wait);
	INIT_LIST_HEAD(&r->in_flight);
	r->state = INTEGRITY_PASS_SUSPENDED_IDLE;
	r->action = &integrity_pass_recalculate;
	r->speed_min = INTEGRITY_PASS_SPEED_MIN;
	r->max_chunk = INTEGRITY_PASS_CHUNK;
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

void integrity_workers_exit(struct dm_integrity_c *ic)
{
	if (ic->recalc.wq)
		destroy_workqueue(ic->recalc.wq);
	kfree(ic->recalc.worker);
}
