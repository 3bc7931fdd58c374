// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recalculation, which makes the tags of data that has none yet: the first action of the background
 * pass; and the control of the pass: suspend, resume, reboot, messages, status.
 *
 * The mark is the start of the first chunk that is not done: blocks below it have a valid tag, and
 * reads of them are verified.
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
 * A recalculation and a check never run at the same time: each is refused while the other does,
 * and a recalculation while a check is paused, too.
 *
 * suspend: the workers finish their chunks, the position is saved. Removal goes through suspend.
 * A reload makes a new device, which reads the position from the superblock when it is resumed,
 * after the old one was suspended.
 */
#include "dm-integrity.h"
#include "trace.h"

static void set_mark(struct integrity_recalc *r, u64 mark)
{
	/* Pairs with the acquire in integrity_recalc_mark(). */
	atomic64_set_release(&r->mark, mark);
}

/* What is below has valid tags. recalc.lock is held. */
static void mark_moved(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	u64 from = integrity_recalc_mark(r), to = r->low;

	set_mark(r, to);
	if (to > from && ic->mode->pass_moved)
		ic->mode->pass_moved(ic, from, to);
}

/* --- checkpoints --- */

static bool checkpoint_due(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	u64 mark = integrity_recalc_mark(r);

	if (r->saving || mark == r->saved)
		return false;
	if (mark - r->saved < (u64)INTEGRITY_PASS_CHUNK * INTEGRITY_PASS_CHECKPOINT &&
	    !time_after(jiffies, r->saved_at + msecs_to_jiffies(INTEGRITY_PASS_CHECKPOINT_MS)))
		return false;
	r->saving = true;
	return true;
}

/* Save the mark, if it is not; everything below it is done. Other workers go on meanwhile. */
static int checkpoint(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	u64 mark = integrity_recalc_mark(r);
	int err;

	if (mark == r->saved)
		return 0;
	err = integrity_flush(ic);
	if (!err)
		err = integrity_sb_store(ic, true, mark);
	trace_dm_integrity_checkpoint(ic, mark, err);

	spin_lock(&r->lock);
	if (!err)
		r->saved = mark;
	r->saved_at = jiffies;
	r->saving = false;
	spin_unlock(&r->lock);
	return err;
}

/* --- one chunk --- */

static void begin_chunk(struct integrity_pass_worker *w)
{
	integrity_tag_prefetch_edges(w->ic, w->start, w->sectors);
}

static void skip_blocks(struct integrity_pass_worker *w, u64 sector, u64 sectors, const char *verb,
			const char *what, unsigned int weight, int error)
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

	DMERR_LIMIT("%s: recalculation skips %llu sectors at 0x%llx: cannot %s their %s (error %d)",
		    integrity_name(ic), sectors, sector, verb, what, error);
	if (errors >= INTEGRITY_PASS_MAX_ERRORS)
		integrity_pass_fail(ic, "too many unreadable places", error);
}

static void skip_unreadable(struct integrity_pass_worker *w, u64 sector, u64 sectors,
			    const char *what, int error)
{
	skip_blocks(w, sector, sectors, "read", what, 1, error);
}

/*
 * Mode I: of [base, base + sectors), as it was read, write back what got another tag, data and
 * tags; the range is held since. What cannot be written is halved down to a block, which is counted
 * and passed over. Return: 0, or -EINTR when the pass stops meanwhile.
 */
static int write_back(struct integrity_pass_worker *w, const struct integrity_tag_cursor *cur,
		      u64 base, u64 sectors)
{
	struct dm_integrity_c *ic = w->ic;
	u64 step = integrity_block_sectors(&ic->layout);
	u64 pos = base + cur->dirty_from / ic->inl.tuple_size * step;
	u64 end = base + cur->dirty_to / ic->inl.tuple_size * step, len = end - pos;

	/* Before and behind, all tags are what they have to be. */
	if (pos > base)
		integrity_check_stored(ic, base, pos - base);
	if (base + sectors > end)
		integrity_check_stored(ic, end, base + sectors - end);
	while (pos < end) {
		int r;

		len = min(len, end - pos);
		r = ic->mode->pass_write(w, base, pos, len);
		if (!r) {
			integrity_check_stored(ic, pos, len);
			pos += len;
			len *= 2;
			continue;
		}
		if (len > step) {
			len = max(round_down(len / 2, step), step);
		} else {
			skip_blocks(w, pos, len, "write", "data and tags", 1, r);
			pos += len;
		}
		if (!integrity_pass_running(&ic->recalc))
			return -EINTR;
	}
	return 0;
}

/*
 * Hash what was read of [sector, sector + sectors) and store the tags. Where a tag buffer cannot
 * be read, its blocks are counted and passed over. Return: 0, an error of the hash, or -EINTR.
 */
static int make_tags(struct integrity_pass_worker *w, u64 sector, u64 sectors, unsigned int skip)
{
	struct dm_integrity_c *ic = w->ic;
	u64 base = sector, end = sector + sectors, lost;
	u8 tags[INTEGRITY_TAG_BYTES] INTEGRITY_UNCLEARED;
	struct integrity_tag_cursor cur;
	int r = 0;

	integrity_tag_cursor_init(&cur, ic);
	if (w->tuples)
		integrity_tag_cursor_inline(&cur, w->tuples, sector);
	else
		integrity_tag_cursor_overwrite(&cur, sector, sectors);
	while (sector < end) {
		u32 n = min_t(u64, end - sector, ic->tags.at_once);
		size_t at = skip + ((sector - base) << SECTOR_SHIFT);
		u64 stored = sector;

		r = integrity_pass_hash(w, sector, n, at, tags);
		if (r)
			break;
		r = integrity_tags_store(&cur, &stored, n, tags);
		if (!w->tuples && stored > sector)
			integrity_check_stored(ic, sector, stored - sector);
		sector = stored;
		if (r) {
			lost = integrity_pass_tags_lost(&cur, sector, end);
			skip_blocks(w, sector, lost, "read", "tags", INTEGRITY_PASS_TAG_ERROR, r);
			sector += lost;
			r = 0;
		}
		cond_resched();
	}
	integrity_tag_cursor_done(&cur);
	return r || !w->tuples ? r : write_back(w, &cur, base, sectors);
}

/* What has valid tags is passed over. */
static u64 run_to_make(struct dm_integrity_c *ic, u64 sector, bool *skip)
{
	return ic->mode->pass_run ? ic->mode->pass_run(ic, sector, skip) : U64_MAX;
}

static u64 recalculated(struct dm_integrity_c *ic)
{
	return ic->recalc.bad;
}

const struct integrity_pass_action integrity_pass_recalculate = {
	.word = "recalculate",
	.noun = "recalculation",
	.bad = "unreadable",
	.run = run_to_make,
	.low_moved = mark_moved,
	.begin = begin_chunk,
	.blocks = make_tags,
	.unreadable = skip_unreadable,
	.save_due = checkpoint_due,
	.save = checkpoint,
	.ended = recalculated,
};

/* --- control: recalc.control is held --- */

/* Let the workers go; the state is a running one, and none is left of before. */
static void start_workers(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	u64 mark = integrity_recalc_mark(r), end = ic->layout.provided_sectors;

	if (integrity_check_open(ic)) {
		integrity_check_run(ic);
		return;
	}
	r->saved_at = jiffies;
	r->errors = 0;
	DMINFO("%s: recalculation %s at sector %llu of %llu", integrity_name(ic),
	       mark ? "continues" : "starts", mark, end);
	integrity_workers_start(ic, &integrity_pass_recalculate, mark, end);
}

/*
 * The state is no longer a running one: wait until the workers have seen that, and save where
 * they got to.
 */
static int stop_workers(struct dm_integrity_c *ic)
{
	integrity_workers_stop(ic);
	if (ic->read_only || atomic_read(&ic->failed) ||
	    !(integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING))
		return 0;
	return checkpoint(ic);
}

bool integrity_recalc_pending(struct dm_integrity_c *ic)
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
	r->saved = flag ? sector : provided;
	set_mark(r, r->saved);
	spin_unlock(&r->lock);
}

void integrity_recalc_resume(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	bool start, pending, given_up = false;

	mutex_lock(&r->control);
	/* The volume has grown: a recalculation that nobody paused does not wait. */
	pending = integrity_recalc_pending(ic) && !atomic_read(&ic->failed);
	if (integrity_check_open(ic) && pending &&
	    (!ic->check.held || integrity_recalc_mark(r) < ic->check.end)) {
		given_up = integrity_check_give_up(ic, "the volume has changed");
		integrity_pass_do(r, INTEGRITY_PASS_CANCEL);
	}
	spin_lock(&r->lock);
	if (pending && !integrity_check_open(ic)) {
		if (ic->read_only || (ic->params.no_recalculate && !ic->activated))
			integrity_pass_do_locked(r, INTEGRITY_PASS_FREEZE);
		else if (r->state == INTEGRITY_PASS_SUSPENDED_IDLE)
			integrity_pass_do_locked(r, INTEGRITY_PASS_START);
	}
	start = integrity_pass_do_locked(r, INTEGRITY_PASS_RESUME) && integrity_pass_running(r);
	spin_unlock(&r->lock);
	if (start && !r->workers)
		start_workers(ic);
	r->live = true;
	mutex_unlock(&r->control);
	if (given_up)
		integrity_event(ic);
}

/* Wait for the workers that were told to stop, and save the position. */
static void stop_suspended(struct dm_integrity_c *ic)
{
	int err = stop_workers(ic);

	if (err)
		DMERR("%s: the position of the recalculation was not saved (error %d)",
		      integrity_name(ic), err);
}

void integrity_recalc_presuspend(struct dm_integrity_c *ic)
{
	mutex_lock(&ic->recalc.control);
	integrity_pass_do(&ic->recalc, INTEGRITY_PASS_SUSPEND);
	mutex_unlock(&ic->recalc.control);
}

void integrity_recalc_presuspend_undo(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;

	mutex_lock(&r->control);
	/* Some may have seen the suspend, and gone, and some not. */
	stop_suspended(ic);
	if (integrity_pass_do(r, INTEGRITY_PASS_RESUME) && integrity_pass_running(r))
		start_workers(ic);
	mutex_unlock(&r->control);
}

void integrity_recalc_suspend(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;

	mutex_lock(&r->control);
	stop_suspended(ic);
	r->live = false;
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

bool integrity_recovery_permitted(struct dm_integrity_c *ic)
{
	return ic->mode->keeps_bitmap && !ic->params.journal_mac.key_len;
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
	u64 valid = ic->bitmap.unrecovered ? integrity_recalc_mark(&ic->recalc) :
					     ic->layout.provided_sectors;
	int err = 0;

	if (ic->mode->pass_reset)
		err = ic->mode->pass_reset(ic);
	err = err ?: set_position(ic, true, 0);
	/*
	 * The position is where it was. What is below it is not made again for a message that
	 * failed; behind it, where the pass will come by, what was clean may be, if there was
	 * anything to be recovered.
	 */
	if (err && ic->mode->pass_moved)
		ic->mode->pass_moved(ic, 0, valid);
	return err;
}

static void start_pass(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;

	/* A pass that failed lately may have workers that have not ended yet. */
	integrity_workers_wait(ic);
	if (integrity_pass_do(r, INTEGRITY_PASS_START) && integrity_pass_running(r))
		start_workers(ic);
}

/*
 * Nothing is left to be done. Return: is there an event, since a recalculation ends here that was
 * paused, or had failed, when it had come to its end.
 */
static bool end_paused(struct dm_integrity_c *ic)
{
	enum integrity_pass_state was = ic->recalc.state;

	integrity_pass_do(&ic->recalc, INTEGRITY_PASS_CANCEL);
	return ic->recalc.state != was && (integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING);
}

static int msg_recalculate(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	int err = 0;

	if (integrity_pass_running(r))
		return 0;
	if (!(integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING)) {
		err = set_position_zero(ic);
		if (err)
			return err;
	}
	if (integrity_recalc_pending(ic) || unsaved(ic))
		start_pass(ic);
	else if (end_paused(ic))
		integrity_event(ic);
	return 0;
}

static int msg_reset_recalculate(struct dm_integrity_c *ic)
{
	int err;

	integrity_pass_do(&ic->recalc, INTEGRITY_PASS_FREEZE);
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

	integrity_pass_do(&ic->recalc, INTEGRITY_PASS_FREEZE);
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
	integrity_pass_do(&ic->recalc, INTEGRITY_PASS_CANCEL);
	integrity_event(ic);
	return 0;
}

static int msg_check(struct dm_integrity_c *ic, const struct integrity_message *m)
{
	/* Looked at first: if there is none now, what runs is none. */
	bool open = integrity_check_open(ic);
	int err;

	err = atomic_read(&ic->failed);
	if (err) {
		DMERR("%s: the device has failed, nothing can be checked", integrity_name(ic));
		return err;
	}
	if (!ic->tags.hash) {
		DMERR("%s: nothing can be checked without internal_hash", integrity_name(ic));
		return -EOPNOTSUPP;
	}
	if (integrity_pass_is_suspended(ic->recalc.state)) {
		DMERR("%s: the device is suspended, resume it first", integrity_name(ic));
		return -EBUSY;
	}
	if (open && m->have_range) {
		DMERR("%s: a check is under way: let it come to its end, or end it with idle first",
		      integrity_name(ic));
		return -EBUSY;
	}
	if (integrity_pass_running(&ic->recalc)) {
		if (open)
			return 0;
		DMERR("%s: a recalculation is under way: let it come to its end, or pause it with frozen first",
		      integrity_name(ic));
		return -EBUSY;
	}
	/* Of a pass that ended or failed just now. */
	integrity_workers_wait(ic);
	err = integrity_check_open(ic) ? 0 : integrity_check_begin(ic, m);
	if (!err)
		start_pass(ic);
	return err;
}

static int msg_frozen(struct dm_integrity_c *ic)
{
	int err;

	integrity_pass_do(&ic->recalc, INTEGRITY_PASS_FREEZE);
	/* Suspended, there is nothing to stop, and the superblock may be another table's by now. */
	if (!ic->recalc.live)
		return 0;
	err = stop_workers(ic);
	integrity_event(ic);
	return err;
}

static int msg_idle(struct dm_integrity_c *ic)
{
	struct integrity_recalc *r = &ic->recalc;
	bool event = integrity_check_open(ic) && integrity_check_give_up(ic, "by request");

	if (integrity_pass_running(r) || r->state == INTEGRITY_PASS_SUSPENDED_RUNNING)
		return 0;
	if (!integrity_recalc_pending(ic) && !unsaved(ic))
		event |= end_paused(ic);
	else if (!ic->read_only && !atomic_read(&ic->failed))
		start_pass(ic);
	/* Else it stays what it is: "idle" would say that nothing is to be done. */
	if (event)
		integrity_event(ic);
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
	if (ic->recalc.live) {
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
		if (integrity_check_open(ic)) {
			err = -EBUSY;
			DMERR("%s: a check is under way: let it come to its end, or end it with idle first",
			      integrity_name(ic));
			goto out;
		}
	}
	if (m->type == INTEGRITY_MSG_RECALCULATE || m->type == INTEGRITY_MSG_RESET_RECALCULATE) {
		if (!ic->tags.hash) {
			err = -EOPNOTSUPP;
			DMERR("%s: nothing can be recalculated without internal_hash",
			      integrity_name(ic));
			goto out;
		}
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
	case INTEGRITY_MSG_CHECK:
		err = msg_check(ic, m);
		break;
	case INTEGRITY_MSG_BAD_BLOCKS:
		/* Prints only; it does not come here. */
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
	struct integrity_check *c = &ic->check;
	const struct integrity_pass_action *doing;
	u64 first_bad;

	v->have_recalc = integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING;

	spin_lock(&r->lock);
	v->recalc_sector = integrity_recalc_mark(r);
	doing = c->open ? &integrity_pass_check : &integrity_pass_recalculate;
	v->action = atomic_read(&ic->failed) ? "Fail" :
					       integrity_pass_action(r->state, doing->word);
	v->rate = integrity_workers_rate(r);
	if (c->open || r->action == &integrity_pass_check) {
		v->done = r->low - c->start;
		v->total = c->end - c->start;
		v->bad = c->bad;
		first_bad = c->first_bad;
	} else {
		v->done = v->have_recalc ? v->recalc_sector : 0;
		v->total = v->have_recalc ? ic->layout.provided_sectors : 0;
		v->bad = r->bad;
		first_bad = r->first_bad;
	}
	spin_unlock(&r->lock);
	v->have_first_bad = first_bad != U64_MAX;
	v->first_bad = first_bad;
}

int integrity_recalc_init(struct dm_integrity_c *ic)
{
	ic->recalc.first_bad = U64_MAX;
	integrity_check_init(ic);
	return integrity_workers_init(ic);
}

void integrity_recalc_exit(struct dm_integrity_c *ic)
{
	integrity_workers_exit(ic);
	integrity_check_exit(ic);
}
