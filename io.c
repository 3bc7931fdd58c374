// SPDX-License-Identifier: GPL-2.0-only
/*
 * A bio's way through the target: the parts that all modes share.
 *
 * map checks the bio and hands its struct integrity_io to the mode. No thread waits for a bio:
 * each step queues the next (io_wq, large_wq) or is called by the end of the bio below. Between
 * integrity_io_record() and integrity_io_restore() the bio itself travels to the data device;
 * what it was is kept in io->saved.
 *
 * A mismatch is declared only after the block was read again into a page of our own: the caller
 * may have changed its buffer while the read was under way.
 *
 * flush.lock guards the list of ios that wait for a flush. One flush serves all that were
 * waiting when it began; who comes later waits for the next, because its write may have come too
 * late for this one.
 */
#include <linux/slab.h>

#include "dm-integrity.h"
#include "trace.h"

int integrity_sync_io(struct dm_integrity_c *ic, struct block_device *bdev, blk_opf_t opf,
		      u64 sector, u64 sectors, void *buffer)
{
	struct dm_io_request req = {
		.bi_opf = opf,
		.mem.type = DM_IO_KMEM,
		.mem.ptr.addr = buffer,
		.client = ic->io,
	};
	struct dm_io_region region = {
		.bdev = bdev,
		.sector = sector,
		.count = sectors,
	};

	if (is_vmalloc_addr(buffer)) {
		req.mem.type = DM_IO_VMA;
		req.mem.ptr.vma = buffer;
	}
	return compat_dm_io(&req, &region);
}

int integrity_read_data(struct dm_integrity_c *ic, u64 sector, u64 sectors, struct page_list *pl,
			unsigned int nr_pages, unsigned int *skip)
{
	u64 unit = bdev_logical_block_size(ic->data_dev->bdev) >> SECTOR_SHIFT;
	u64 from = integrity_data_sector(&ic->layout, sector);
	struct dm_io_request req = {
		.bi_opf = REQ_OP_READ,
		.mem.type = DM_IO_PAGE_LIST,
		.mem.ptr.pl = pl,
		.client = ic->io,
	};
	struct dm_io_region region = {
		.bdev = ic->data_dev->bdev,
		.sector = round_down(from, unit),
	};

	*skip = (from - region.sector) << SECTOR_SHIFT;
	region.count = round_up(from + sectors, unit) - region.sector;
	if (WARN_ON_ONCE(region.count > (u64)nr_pages << (PAGE_SHIFT - SECTOR_SHIFT)))
		return -EIO;
	return compat_dm_io(&req, &region);
}

int integrity_read_again(struct integrity_tag_cursor *cur, u64 sector, u64 sectors,
			 struct page_list *pl, unsigned int *skip)
{
	struct dm_integrity_c *ic = cur->ic;

	if (!ic->mode->read_again)
		return integrity_read_data(ic, sector, sectors, pl, 1, skip);
	*skip = 0;
	return ic->mode->read_again(cur, sector, pl->page);
}

/* --- steps --- */

static void io_work(struct work_struct *work)
{
	struct integrity_io *io = container_of(work, struct integrity_io, work);

	io->step(io);
}

void integrity_io_queue_on(struct integrity_io *io, struct workqueue_struct *wq,
			   void (*step)(struct integrity_io *io))
{
	io->step = step;
	INIT_WORK(&io->work, io_work);
	queue_work(wq, &io->work);
}

void integrity_io_queue(struct integrity_io *io, void (*step)(struct integrity_io *io))
{
	struct dm_integrity_c *ic = io->ic;

	integrity_io_queue_on(io, io->sectors > ic->small_sectors ? ic->large_wq : ic->io_wq, step);
}

void integrity_io_granted(struct integrity_range *range)
{
	struct integrity_io *io = container_of(range, struct integrity_io, range);

	integrity_io_queue(io, io->step);
}

void integrity_io_error(struct integrity_io *io, int error)
{
	if (error)
		cmpxchg(&io->error, 0, error);
}

void integrity_io_record(struct integrity_io *io)
{
	struct bio *bio = integrity_io_bio(io);

	io->saved.bdev = bio->bi_bdev;
	io->saved.iter = bio->bi_iter;
	io->saved.end_io = bio->bi_end_io;
	io->saved.opf = bio->bi_opf;
	io->saved.integrity = bio_integrity(bio);
}

void integrity_io_submit(struct integrity_io *io, bio_end_io_t *end_io)
{
	struct bio *bio = integrity_io_bio(io);

	/*
	 * FUA is kept by a flush of data and tags after the write, if it is up to us. And nobody
	 * polls for the end of what holds a range: who should may be waiting for that range.
	 */
	bio->bi_opf &= io->fua ? ~(REQ_FUA | REQ_POLLED) : ~REQ_POLLED;
	/* The payload is for us, not for the device. */
	if (io->saved.integrity) {
		bio->bi_integrity = NULL;
		bio->bi_opf &= ~REQ_INTEGRITY;
	}
	bio->bi_end_io = end_io;
	bio_set_dev(bio, io->ic->data_dev->bdev);
	bio->bi_iter.bi_sector = integrity_data_sector(&io->ic->layout, io->sector);
	submit_bio_noacct(bio);
}

struct integrity_io *integrity_io_of(struct bio *bio)
{
	return dm_per_bio_data(bio, sizeof(struct integrity_io));
}

void integrity_io_restore(struct integrity_io *io)
{
	struct bio *bio = integrity_io_bio(io);

	/*
	 * A device whose own device was changed may refuse to discard. Its tags say that the blocks
	 * are discarded, and where no device discards that is all there is to it.
	 */
	if (bio->bi_status == BLK_STS_NOTSUPP && bio_op(bio) == REQ_OP_DISCARD)
		bio->bi_status = BLK_STS_OK;
	if (unlikely(bio->bi_status))
		integrity_io_error(io, blk_status_to_errno(bio->bi_status));
	bio->bi_bdev = io->saved.bdev;
	bio->bi_iter = io->saved.iter;
	bio->bi_end_io = io->saved.end_io;
	bio->bi_opf = io->saved.opf;
	if (io->saved.integrity)
		bio->bi_integrity = io->saved.integrity;
	/*
	 * The device below may have split it: chained completions count __bi_remaining down to
	 * 0.
	 */
	atomic_set(&bio->__bi_remaining, 1);
}

/* --- verification --- */

u32 integrity_io_to_verify(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	u64 mark, known;

	if (!ic->tags.hash)
		return bio_integrity(integrity_io_bio(io)) ? io->sectors : 0;
	mark = integrity_recalc_mark(&ic->recalc);
	known = io->sector < mark ? min_t(u64, io->sectors, mark - io->sector) : 0;
	if (known < io->sectors && ic->mode->known)
		known += ic->mode->known(ic, io->sector + known, io->sectors - known);
	return known;
}

void integrity_bio_read_block(struct dm_integrity_c *ic, struct bio *bio, struct bvec_iter *iter,
			      u8 *data)
{
	unsigned int left = integrity_block_bytes(&ic->layout);

	while (left) {
		struct bio_vec bv = bio_iter_iovec(bio, *iter);

		bv.bv_len = min(bv.bv_len, left);
		memcpy_from_bvec(data, &bv);
		data += bv.bv_len;
		left -= bv.bv_len;
		bio_advance_iter_single(bio, iter, bv.bv_len);
	}
}

void integrity_bio_write(struct bio *bio, struct bvec_iter iter, const u8 *from, unsigned int len)
{
	while (len) {
		struct bio_vec bv = bio_iter_iovec(bio, iter);

		bv.bv_len = min(bv.bv_len, len);
		memcpy_to_bvec(&bv, from);
		from += bv.bv_len;
		len -= bv.bv_len;
		bio_advance_iter_single(bio, &iter, bv.bv_len);
	}
}

/*
 * Read a block into a page of our own, @compare it with its tag, and copy it to the bio. The range
 * is still held, so nobody wrote in between. A second reader must not wait for a tag buffer that
 * is held over this read.
 *
 * Return: as integrity_tag_compare(), or the read's error.
 */
static int read_again(struct integrity_io *io, struct integrity_tag_cursor *cur, u64 sector,
		      struct bvec_iter iter, bool compare)
{
	struct dm_integrity_c *ic = io->ic;
	struct page_list pl = { };
	u8 tag[INTEGRITY_TAG_BYTES] INTEGRITY_UNCLEARED;
	unsigned int skip;
	u8 *data;
	int r;

	integrity_tag_cursor_done(cur);
	pl.page = mempool_alloc(&ic->recheck_pool, GFP_NOIO);
	r = integrity_read_again(cur, sector, integrity_block_sectors(&ic->layout), &pl, &skip);
	if (r)
		goto out;
	data = (u8 *)page_address(pl.page) + skip;
	if (compare) {
		r = integrity_tag_of_data(ic, sector, data, tag);
		if (!r)
			r = integrity_tag_compare(cur, sector, tag);
	}
	if (!r)
		integrity_bio_write(integrity_io_bio(io), iter, data,
				    integrity_block_bytes(&ic->layout));
out:
	mempool_free(pl.page, &ic->recheck_pool);
	return r;
}

void integrity_count_mismatch(struct dm_integrity_c *ic)
{
	if (atomic64_inc_return(&ic->mismatches) == 1)
		integrity_event(ic);
}

static void report_mismatch(struct integrity_io *io, u64 sector)
{
	struct dm_integrity_c *ic = io->ic;

	DMERR_LIMIT("%s: Checksum failed at sector 0x%llx", integrity_name(ic), sector);
	compat_audit_bio(DM_MSG_PREFIX, "integrity-checksum", integrity_io_bio(io), sector, 0);
	trace_dm_integrity_mismatch(ic, sector, false);
	integrity_count_mismatch(ic);
}

/* Those that came along, each by itself. */
static bool matches_or_discarded(struct dm_integrity_c *ic, u64 sector, const u8 *stored,
				 const u8 *tags, u32 sectors)
{
	u32 step = integrity_block_sectors(&ic->layout), size = ic->layout.tag_size, done;

	for (done = 0; done < sectors; done += step, tags += size, stored += size)
		if (integrity_tags_differ(tags, stored, size) &&
		    !integrity_tag_is_discarded(ic, sector + done, stored))
			return false;
	return true;
}

bool integrity_io_matches(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	struct bio *bio = integrity_io_bio(io);
	u32 step = integrity_block_sectors(&ic->layout), done, n;
	u8 tags[INTEGRITY_TAG_BYTES] INTEGRITY_UNCLEARED;
	struct bvec_iter iter = io->saved.iter;
	const u8 *stored = io->tags;

	if (!ic->tags.hash) {
		for (done = 0; done < io->verify; done += step, stored += ic->layout.tag_size)
			integrity_payload_put(io, io->sector + done, stored);
		return true;
	}
	for (done = 0; done < io->verify; done += n) {
		u32 bytes;

		n = min(io->verify - done, ic->tags.at_once);
		bytes = (n >> ic->layout.log2_sectors_per_block) * ic->layout.tag_size;
		if (integrity_tags_of_bio(ic, io->sector + done, n, bio, &iter, tags) ||
		    (integrity_tags_differ(tags, stored, bytes) &&
		     !matches_or_discarded(ic, io->sector + done, stored, tags, n)))
			return false;
		stored += bytes;
	}
	return true;
}

/* The caller's copy of the block, or what is on the disk now. Return: as read_again(). */
static int verify_block(struct integrity_io *io, struct integrity_tag_cursor *cur, u64 sector,
			struct bvec_iter iter)
{
	struct dm_integrity_c *ic = io->ic;
	struct bvec_iter end = iter;
	u8 tag[INTEGRITY_TAG_BYTES] INTEGRITY_UNCLEARED;
	int r;

	if (!ic->tags.hash) {
		r = integrity_tag_load(cur, sector, tag);
		if (!r)
			integrity_payload_put(io, sector, tag);
		return r;
	}
	r = integrity_tags_of_bio(ic, sector, integrity_block_sectors(&ic->layout),
				  integrity_io_bio(io), &end, tag);
	if (!r)
		r = integrity_tag_compare(cur, sector, tag);
	/* The caller may have changed its buffer under us. */
	return r > 0 ? read_again(io, cur, sector, iter, true) : r;
}

/* The same of a block that could not be read together with its neighbours. */
static int reread_block(struct integrity_io *io, struct integrity_tag_cursor *cur, u64 sector,
			struct bvec_iter iter, bool verify)
{
	bool hash = io->ic->tags.hash;
	int r;

	r = read_again(io, cur, sector, iter, verify && hash);
	return r || !verify || hash ? r : verify_block(io, cur, sector, iter);
}

/* Verify block by block as far as @end; *@done is where it ended. Return: as read_again(). */
static int verify_each(struct integrity_io *io, struct integrity_tag_cursor *cur, u32 end,
		       bool again, u32 *done)
{
	struct dm_integrity_c *ic = io->ic;
	struct bvec_iter iter = io->saved.iter;
	int r = 0;

	for (; *done < end; *done += integrity_block_sectors(&ic->layout)) {
		u64 sector = io->sector + *done;
		bool verify = *done < io->verify;

		if (!io->mixed || !ic->mode->overlay(io, sector, iter)) {
			if (io->mixed && again)
				r = reread_block(io, cur, sector, iter, verify);
			else if (verify)
				r = verify_block(io, cur, sector, iter);
			if (r)
				break;
		}
		bio_advance_iter(integrity_io_bio(io), &iter, integrity_block_bytes(&ic->layout));
		cond_resched();
	}
	return r;
}

/* The next @sectors, whose tags are made together. */
static int verify_group(struct integrity_io *io, struct integrity_tag_cursor *cur, u32 sectors,
			struct bvec_iter *iter, u32 *done)
{
	struct dm_integrity_c *ic = io->ic;
	u32 step = integrity_block_sectors(&ic->layout), end = *done + sectors;
	u8 tags[INTEGRITY_TAG_BYTES] INTEGRITY_UNCLEARED;
	struct bio *bio = integrity_io_bio(io);
	u64 sector = io->sector + *done;
	struct bvec_iter block = *iter;
	const u8 *tag = tags;
	int r;

	r = integrity_tags_of_bio(ic, sector, sectors, bio, iter, tags);
	if (r)
		return r;
	r = integrity_tags_compare(cur, &sector, sectors, tags);
	if (r <= 0) {
		*done = r ? sector - io->sector : end;
		return r;
	}
	for (; *done < end; *done += step, tag += ic->layout.tag_size) {
		r = integrity_tag_compare(cur, io->sector + *done, tag);
		if (r > 0)
			r = read_again(io, cur, io->sector + *done, block, true);
		if (r)
			return r;
		bio_advance_iter(bio, &block, integrity_block_bytes(&ic->layout));
	}
	return 0;
}

/* What is on the disk, all of it, with a hash. */
static int verify_groups(struct integrity_io *io, struct integrity_tag_cursor *cur, u32 *done)
{
	struct bvec_iter iter = io->saved.iter;
	int r = 0;

	while (*done < io->verify && !r) {
		r = verify_group(io, cur, min(io->verify - *done, io->ic->tags.at_once), &iter,
				 done);
		cond_resched();
	}
	return r;
}

void integrity_io_verify(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	struct integrity_tag_cursor cur;
	u32 end = io->verify, done = 0;
	bool again = io->error;
	int r;

	if (io->mixed) {
		/* A block that could not be read may be one that nobody needs from the disk. */
		io->error = 0;
		end = io->sectors;
	} else if (io->error) {
		/* What could not be read is not compared. */
		return;
	}

	integrity_tag_cursor_init(&cur, ic);
	if (ic->mode->inline_tags)
		integrity_tag_cursor_inline(&cur, io->in.tuples, io->sector);
	if (io->mixed || ic->mode->inline_tags || !ic->tags.hash)
		r = verify_each(io, &cur, end, again, &done);
	else
		r = verify_groups(io, &cur, &done);
	integrity_tag_cursor_done(&cur);
	/*
	 * dm-bufio writes tags on its own, too, and says only at the next flush that it could not:
	 * what came back from the disk then is an old tag, and no mismatch.
	 */
	if (r > 0)
		r = integrity_tags_flush(ic) ?: r;

	if (r > 0) {
		report_mismatch(io, io->sector + done);
		integrity_io_error(io, -EILSEQ);
	} else if (r < 0) {
		DMERR_LIMIT("%s: cannot verify sector 0x%llx (error %d)", integrity_name(ic),
			    io->sector + done, r);
		integrity_io_error(io, integrity_no_mismatch(r));
	}
}

void integrity_io_discard_tags(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	int r = integrity_tags_discard(ic, io->sector, io->sectors);

	if (r) {
		DMERR_LIMIT("%s: cannot store the tags of 0x%x discarded sectors at 0x%llx (error %d)",
			    integrity_name(ic), io->sectors, io->sector, r);
		integrity_io_error(io, integrity_no_mismatch(r));
	}
}

/* --- completion and flush --- */

static void count_ended(struct integrity_io *io)
{
	struct integrity_recalc *r = &io->ic->recalc;

	if (!io->counted)
		return;
	WRITE_ONCE(r->last_io, jiffies);
	atomic_dec(&r->foreground);
}

static void complete_bio(struct integrity_io *io)
{
	struct bio *bio = integrity_io_bio(io);

	count_ended(io);
	bio->bi_status = unlikely(io->error) ? errno_to_blk_status(io->error) : BLK_STS_OK;
	bio_endio(bio);
}

static void flush_queue(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	unsigned long flags;

	spin_lock_irqsave(&ic->flush.lock, flags);
	list_add_tail(&io->flush_list, &ic->flush.list);
	/* Under the lock: once it is free, another flush may end the io, and the device may go. */
	queue_work(ic->flush_wq, &ic->flush.work);
	spin_unlock_irqrestore(&ic->flush.lock, flags);
}

void integrity_io_end(struct integrity_io *io)
{
	if (io->fua && !io->error)
		flush_queue(io);
	else
		complete_bio(io);
}

void integrity_io_complete(struct integrity_io *io)
{
	if (!io->error && bio_op(integrity_io_bio(io)) != REQ_OP_READ)
		integrity_check_stored(io->ic, io->sector, io->sectors);
	integrity_range_unlock(&io->ic->ranges, &io->range);
	integrity_io_end(io);
}

struct data_flush {
	struct dm_integrity_c *ic;
	struct completion done;
	struct bio bio;
};

/*
 * What was acknowledged may be lost, and the device tells only once: it has failed before anybody
 * can begin a flush that succeeds.
 */
static void flush_endio(struct bio *bio)
{
	struct data_flush *flush = container_of(bio, struct data_flush, bio);

	if (bio->bi_status)
		integrity_fail(flush->ic, "flushing data",
			       integrity_no_mismatch(blk_status_to_errno(bio->bi_status)));
	complete(&flush->done);
}

int integrity_flush(struct dm_integrity_c *ic)
{
	struct data_flush flush = { .ic = ic };
	int r;

	if (ic->read_only)
		return 0;
	/*
	 * One device: the flush that follows the tags covers the data as well. Two: both at the
	 * same time.
	 */
	if (!ic->meta_dev && !ic->mode->inline_tags)
		return integrity_tags_flush(ic);

	init_completion(&flush.done);
	bio_init(&flush.bio, ic->data_dev->bdev, NULL, 0,
		 REQ_OP_WRITE | REQ_PREFLUSH | REQ_SYNC);
	flush.bio.bi_end_io = flush_endio;
	submit_bio(&flush.bio);
	r = integrity_tags_flush(ic);
	wait_for_completion_io(&flush.done);
	bio_uninit(&flush.bio);
	/* Also when it was another's flush that failed: what it lost is in front of this one. */
	return r ?: atomic_read(&ic->failed);
}

static void flush_waiting(struct work_struct *work)
{
	struct dm_integrity_c *ic = container_of(work, struct dm_integrity_c, flush.work);
	struct integrity_io *io, *next;
	LIST_HEAD(list);
	int r;

	spin_lock_irq(&ic->flush.lock);
	list_splice_init(&ic->flush.list, &list);
	spin_unlock_irq(&ic->flush.lock);
	if (list_empty(&list))
		return;

	r = integrity_no_mismatch(ic->mode->flush(ic));
	list_for_each_entry_safe(io, next, &list, flush_list) {
		integrity_io_error(io, r);
		complete_bio(io);
	}
}

static void commit_expired(struct work_struct *work)
{
	struct dm_integrity_c *ic =
		container_of(to_delayed_work(work), struct dm_integrity_c, commit_work);

	ic->mode->commit(ic);
}

void integrity_commit_soon(struct dm_integrity_c *ic)
{
	if (!delayed_work_pending(&ic->commit_work))
		queue_delayed_work(ic->flush_wq, &ic->commit_work,
				   msecs_to_jiffies(ic->commit_time));
}

void integrity_commit_stop(struct dm_integrity_c *ic)
{
	cancel_delayed_work_sync(&ic->commit_work);
	flush_workqueue(ic->flush_wq);
}

/* --- map --- */

int integrity_io_map(struct dm_integrity_c *ic, struct bio *bio)
{
	struct integrity_io *io = integrity_io_of(bio);
	struct dm_target *ti = ic->ti;
	u32 spb = integrity_block_sectors(&ic->layout);
	int r;

	memset(io, 0, offsetof(struct integrity_io, ic));
	io->ic = ic;
	io->bio = bio;
	io->range.granted = integrity_io_granted;

	if (unlikely(atomic_read(&ic->failed)))
		return DM_MAPIO_KILL;

	if (unlikely(bio->bi_opf & REQ_PREFLUSH)) {
		/* The core sends flushes without data, after splitting them off. */
		flush_queue(io);
		return DM_MAPIO_SUBMITTED;
	}

	io->sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	io->sectors = bio_sectors(bio);
	io->fua = (bio->bi_opf & REQ_FUA) && op_is_write(bio_op(bio));

	if (unlikely(io->sector >= ic->layout.provided_sectors ||
		     io->sectors > ic->layout.provided_sectors - io->sector)) {
		DMERR_LIMIT("%s: I/O of 0x%x sectors at 0x%llx goes beyond the end at 0x%llx",
			    integrity_name(ic), io->sectors, io->sector,
			    ic->layout.provided_sectors);
		return DM_MAPIO_KILL;
	}
	if (unlikely((io->sector | io->sectors) & (spb - 1)) || unlikely(!io->sectors)) {
		DMERR_LIMIT("%s: I/O of 0x%x sectors at 0x%llx is not aligned to blocks of 0x%x sectors",
			    integrity_name(ic), io->sectors, io->sector, spb);
		return DM_MAPIO_KILL;
	}
	/*
	 * The tags of internal_hash are ours: somebody who sends his own would believe that they
	 * are kept.
	 */
	if (unlikely(bio_integrity(bio)) && (ic->tags.hash || !integrity_payload_fits(io))) {
		DMERR_LIMIT("%s: I/O of 0x%x sectors at 0x%llx brings integrity data %s",
			    integrity_name(ic), io->sectors, io->sector,
			    ic->tags.hash ? "of its own" : "of another length");
		if (!ic->mode->inline_tags)
			return DM_MAPIO_KILL;
		bio->bi_status = BLK_STS_NOTSUPP;
		bio_endio(bio);
		return DM_MAPIO_SUBMITTED;
	}

	switch (bio_op(bio)) {
	case REQ_OP_READ:
		break;
	case REQ_OP_DISCARD:
		if (!ic->tags.discards || !ic->mode->discard)
			return DM_MAPIO_KILL;
		/* Tags and data are contiguous only within an interleaved area. */
		if (io->sectors > integrity_area_remaining(&ic->layout, io->sector)) {
			io->sectors = integrity_area_remaining(&ic->layout, io->sector);
			dm_accept_partial_bio(bio, io->sectors);
		}
		fallthrough;
	case REQ_OP_WRITE:
		/* The layers above only warn of a write to a read-only device. */
		if (!ic->read_only)
			break;
		DMERR_LIMIT("%s: write to a read-only device at 0x%llx", integrity_name(ic),
			    io->sector);
		return DM_MAPIO_KILL;
	default:
		return DM_MAPIO_KILL;
	}

	/* Which the pass asks before it takes more of the disk's time. */
	if (integrity_pass_is_running(READ_ONCE(ic->recalc.state))) {
		io->counted = true;
		atomic_inc(&ic->recalc.foreground);
		WRITE_ONCE(ic->recalc.last_io, jiffies);
	}

	switch (bio_op(bio)) {
	case REQ_OP_READ:
		r = ic->mode->read(io);
		break;
	case REQ_OP_DISCARD:
		r = ic->mode->discard(io);
		break;
	default:
		r = ic->mode->write(io);
	}
	/* One that was submitted may have ended, and be gone. Of the others nobody hears again. */
	if (r != DM_MAPIO_SUBMITTED)
		count_ended(io);
	return r;
}

int integrity_io_init(struct dm_integrity_c *ic)
{
	int r;

	spin_lock_init(&ic->flush.lock);
	INIT_LIST_HEAD(&ic->flush.list);
	INIT_WORK(&ic->flush.work, flush_waiting);
	INIT_DELAYED_WORK(&ic->commit_work, commit_expired);
	integrity_ranges_init(&ic->ranges);

	r = mempool_init_page_pool(&ic->recheck_pool, 1, 0);
	if (r)
		return r;
	/*
	 * What is small is done where its data is. What takes long goes to any CPU that has time:
	 * one submitter keeps several busy, and nobody stands in line behind it. At most as many
	 * run as keep all of them busy while some sleep for tags, so that others get their turn.
	 */
	ic->io_wq = alloc_workqueue("dm-integrity-io", WQ_MEM_RECLAIM, 0);
	ic->large_wq = alloc_workqueue("dm-integrity-large", WQ_MEM_RECLAIM | WQ_UNBOUND,
				       min_t(int, 2 * num_online_cpus(), WQ_MAX_ACTIVE));
	/*
	 * Whoever waits for a flush does little else: where it was asked for its CPU is awake. It
	 * does not stand in line behind the hashes of others, nor they behind a journal that is
	 * being encrypted.
	 */
	ic->flush_wq = alloc_workqueue("dm-integrity-flush",
				       WQ_MEM_RECLAIM | WQ_HIGHPRI | WQ_CPU_INTENSIVE, 1);
	return ic->io_wq && ic->large_wq && ic->flush_wq ? 0 : -ENOMEM;
}

void integrity_io_exit(struct dm_integrity_c *ic)
{
	/* The first two feed flush_wq. */
	if (ic->io_wq)
		destroy_workqueue(ic->io_wq);
	if (ic->large_wq)
		destroy_workqueue(ic->large_wq);
	if (ic->flush_wq) {
		cancel_delayed_work_sync(&ic->commit_work);
		destroy_workqueue(ic->flush_wq);
	}
	mempool_exit(&ic->recheck_pool);
}
