// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mode B: data and tags are written in place, and a bitmap on the disk says where they may disagree
 * (section 5). bitmap.h describes the maps; bitmap.lock guards them.
 *
 * A write: all its bits are stable, or made so: they are set, and the io waits for a write of their
 * 4 KiB block, with all others that came meanwhile. Then it is a write as in mode D. Nobody sleeps
 * for it. A discard goes the same way, so the tags of a crashed one are made again like others.
 *
 * A flush, bitmap_flush_interval after a bit was set: a new epoch begins, with nothing touched; the
 * writes of the old one are waited for; data and tags are flushed; what was not touched in the new
 * epoch is cleared. New writes go on all the time: those to other regions set their bits, those to
 * a region about to be cleared keep it from that.
 *
 * Order: bit on the disk (FUA) before data or tag; data and tag stable before the bit is cleared. A
 * crash anywhere leaves each region clean with tags that match, or dirty. At the next activation
 * the tags of dirty regions are made from what data there is (recovery).
 *
 * What can meet what:
 *
 *   a write and the clearing of its bit  both are decided under the lock. The write finds the bit
 *     stable and touches it, so it stays; or it finds it cleared, sets it, and waits for a write of
 *     the block that begins later than the one that cleared it.
 *   a write that waits for its block and a flush  the write counts in its epoch; the flush waits
 *     for it, and it for the block's write, which waits for nothing but the disk.
 *   a bit set while its block is being written  what is written is a copy; the bit is not stable
 *     when that ends, and the block is written again.
 *   a bitmap block that cannot be written  costs the writes that wait for it, but not those that
 *     came when it had begun, which wait for the next. None of its bits is stable then, so the
 *     next write to any of its regions tries again. The device goes on.
 *   recovery and foreground writes  a chunk and a write meet in the range lock. A region stays in
 *     recovery until all of it is below the mark; leaving that touches it, so that its bit is
 *     cleared only after a flush that covers its new tags.
 *   suspend  nothing is in flight, the pass has stopped. The flush is stopped, all is made stable,
 *     and the bitmap gives way to an empty journal. But what is left of a recovery stays: the flag
 *     and the bits of it, and no others, because the superblock's position alone would have
 *     everything behind it made again, also where tags are good and protect data. In-tree takes
 *     that for a crash, which in mode B comes to the same. A journal that cannot be written gives
 *     way to the bitmap again.
 *   resume  reads superblock and bitmap again, as after a load.
 *   reload  the old table closes the bitmap at its suspend; the new one reads what that left.
 *   remove  goes through suspend. The flush is stopped there, and again in the destructor.
 *   reboot  from the notifier on, a write ends only after a flush that cleared its bits.
 *   crash while the area changes from journal to bitmap or back  the superblock says "bitmap" from
 *     before the first bit until after the last, so neither is taken for a journal. Where tags are
 *     still to be made it also has a granularity that no table has, so that bits that are none
 *     count as all dirty.
 */
#include <linux/highmem.h>

#include "dm-integrity.h"
#include "trace.h"

#define SYNCHRONOUS_MS	10u	/* between two flushes while the machine goes down; never less */

/* In front of the bio that writes a block. */
struct block_write {
	struct dm_integrity_c *ic;
	u32 index;
	struct page *page;		/* copy of the block */
	struct bio bio;
};

static __le64 *words_of(__le64 *map, u32 index)
{
	return map + (u64)index * INTEGRITY_BITMAP_BLOCK_WORDS;
}

/* --- the maps: bitmap.lock is held --- */

static void arm_flush(struct dm_integrity_c *ic)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u32 ms = b->synchronous ? SYNCHRONOUS_MS :
				  max(ic->params.bitmap_flush_interval, SYNCHRONOUS_MS);

	if (!delayed_work_pending(&b->flush_work))
		queue_delayed_work(b->wq, &b->flush_work, msecs_to_jiffies(ms));
}

static void queue_block(struct dm_integrity_c *ic, struct integrity_bitmap_block *block)
{
	list_add_tail(&block->link, &ic->bitmap.dirty);
	queue_work(ic->io_wq, &ic->bitmap.write_work);
}

/* See to it that a write of the block begins from now on. */
static void want_write(struct dm_integrity_c *ic, struct integrity_bitmap_block *block)
{
	if (block->wanted != block->begun)
		return;
	block->wanted++;
	/* Else it is queued when the one under way is over. */
	if (block->begun == block->over)
		queue_block(ic, block);
}

static void touch(struct integrity_bitmap *b, u64 first, u64 end)
{
	u32 index = first / INTEGRITY_BITMAP_BLOCK_BITS;

	for (; first < end; index++) {
		u64 stop = min(end, (u64)(index + 1) * INTEGRITY_BITMAP_BLOCK_BITS);

		if (b->block[index].epoch != b->epoch) {
			memset(words_of(b->touched, index), 0, INTEGRITY_BITMAP_BLOCK_BYTES);
			b->block[index].epoch = b->epoch;
		}
		integrity_bits_set(b->touched, first, stop);
		first = stop;
	}
}

/* Set bits and have them written. */
static void set_bits(struct dm_integrity_c *ic, u64 first, u64 end)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u32 index = first / INTEGRITY_BITMAP_BLOCK_BITS;

	for (; first < end; index++) {
		u64 stop = min(end, (u64)(index + 1) * INTEGRITY_BITMAP_BLOCK_BITS);
		struct integrity_bitmap_block *block = &b->block[index];
		u64 added = integrity_bits_set(b->map, first, stop);

		block->set += added;
		b->set += added;
		/* Set but not stable, and nobody at it: writing it has failed before. */
		if (added || (block->wanted == block->over &&
			      integrity_bits_next(b->stable, first, stop, false) != stop))
			want_write(ic, block);
		first = stop;
	}
	arm_flush(ic);
}

/* --- writing blocks --- */

/* A write of the block has ended. */
static void block_endio(struct bio *bio)
{
	struct block_write *w = container_of(bio, struct block_write, bio);
	int r = integrity_no_mismatch(blk_status_to_errno(bio->bi_status)), i;
	struct dm_integrity_c *ic = w->ic;
	struct integrity_bitmap *b = &ic->bitmap;
	struct integrity_bitmap_block *block = &b->block[w->index];
	__le64 *map = words_of(b->map, w->index), *stable = words_of(b->stable, w->index);
	const __le64 *copy = page_address(w->page);
	struct integrity_io *io, *next;
	unsigned long flags;
	LIST_HEAD(list);

	if (r)
		DMERR_LIMIT("%s: cannot write block %u of the bitmap (error %d)",
			    integrity_name(ic), w->index, r);

	spin_lock_irqsave(&b->lock, flags);
	/*
	 * The disk has what was copied. Of that, bits that were cleared since are no longer
	 * counted on; if one was set again, the next write of the block has it as well.
	 */
	for (i = 0; i < INTEGRITY_BITMAP_BLOCK_WORDS; i++)
		stable[i] = r ? 0 : copy[i] & map[i];
	block->over = block->begun;
	block->error = r;
	list_for_each_entry_safe(io, next, &block->waiting, flush_list)
		if (!r || (s32)(io->bitmap_write - block->over) <= 0)
			list_move_tail(&io->flush_list, &list);
	if (block->wanted != block->begun)
		queue_block(ic, block);
	mempool_free(w->page, &b->pages);
	bio_put(bio);
	/* Under the lock: who sees that it is over may let the device go. */
	wake_up_all(&b->wait);
	spin_unlock_irqrestore(&b->lock, flags);

	list_for_each_entry_safe(io, next, &list, flush_list) {
		integrity_io_error(io, r);
		integrity_io_queue(io, io->step);
	}
}

static struct block_write *alloc_write(struct dm_integrity_c *ic)
{
	struct integrity_bitmap *b = &ic->bitmap;
	struct block_write *w;
	struct bio *bio;

	bio = bio_alloc_bioset(integrity_meta_bdev(ic), 1,
			       REQ_OP_WRITE | REQ_FUA | REQ_SYNC | REQ_META, GFP_NOIO, &b->bios);
	w = container_of(bio, struct block_write, bio);
	w->ic = ic;
	w->page = mempool_alloc(&b->pages, GFP_NOIO);
	bio->bi_end_io = block_endio;
	__bio_add_page(bio, w->page, INTEGRITY_BITMAP_BLOCK_BYTES, 0);
	return w;
}

/* Take the first block that is to be written. */
static bool take_block(struct integrity_bitmap *b, struct block_write *w)
{
	struct integrity_bitmap_block *block;

	spin_lock_irq(&b->lock);
	block = list_first_entry_or_null(&b->dirty, struct integrity_bitmap_block, link);
	if (block) {
		list_del_init(&block->link);
		block->begun = block->wanted;
		w->index = block - b->block;
		memcpy(page_address(w->page), words_of(b->map, w->index),
		       INTEGRITY_BITMAP_BLOCK_BYTES);
	}
	spin_unlock_irq(&b->lock);
	return block;
}

static void write_blocks(struct work_struct *work)
{
	struct integrity_bitmap *b = container_of(work, struct integrity_bitmap, write_work);
	struct dm_integrity_c *ic = container_of(b, struct dm_integrity_c, bitmap);
	struct block_write *w;

	while (!list_empty_careful(&b->dirty)) {
		w = alloc_write(ic);
		if (!take_block(b, w)) {
			mempool_free(w->page, &b->pages);
			bio_put(&w->bio);
			break;
		}
		w->bio.bi_iter.bi_sector = integrity_bitmap_sector(&ic->layout, w->index);
		submit_bio(&w->bio);
	}
}

/* Wait for what was wanted of the block until now. Return: 0 or the error of the last write. */
static int wait_block(struct integrity_bitmap *b, u32 index)
{
	struct integrity_bitmap_block *block = &b->block[index];
	u32 wanted;
	int r;

	spin_lock_irq(&b->lock);
	wanted = block->wanted;
	spin_unlock_irq(&b->lock);
	wait_event(b->wait, (s32)(READ_ONCE(block->over) - wanted) >= 0);
	/* Not before who woke us has left. */
	spin_lock_irq(&b->lock);
	r = block->error;
	spin_unlock_irq(&b->lock);
	return r;
}

static int wait_blocks(struct integrity_bitmap *b)
{
	int r = 0, err;
	u32 i;

	for (i = 0; i < b->g.blocks; i++) {
		err = wait_block(b, i);
		r = r ?: err;
	}
	return r;
}

/* --- write --- */

/*
 * Are the io's bits on the disk; if not, it waits for them and will be called again. @first: it
 * comes to be counted.
 */
static bool bits_ready(struct integrity_io *io, bool first)
{
	struct dm_integrity_c *ic = io->ic;
	struct integrity_bitmap *b = &ic->bitmap;
	u64 begin = integrity_bit(&b->g, io->sector), at;
	u64 end = integrity_bit_end(&b->g, io->sector + io->sectors);
	struct integrity_bitmap_block *block;
	unsigned long flags;

	spin_lock_irqsave(&b->lock, flags);
	if (first) {
		io->epoch = b->epoch & 1;
		atomic_inc(&b->writes[io->epoch]);
		touch(b, begin, end);
	}
	at = integrity_bits_next(b->stable, begin, end, false);
	if (unlikely(at != end)) {
		block = &b->block[at / INTEGRITY_BITMAP_BLOCK_BITS];
		set_bits(ic, begin, end);
		io->bitmap_write = block->wanted;
		list_add_tail(&io->flush_list, &block->waiting);
	}
	spin_unlock_irqrestore(&b->lock, flags);
	return at == end;
}

/* The write is over, well or not; it no longer keeps a flush waiting. */
static void write_over(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	struct integrity_bitmap *b = &ic->bitmap;
	unsigned long flags;

	if (atomic_dec_and_test(&b->writes[io->epoch]) && wq_has_sleeper(&b->wait))
		wake_up_all(&b->wait);

	if (unlikely(READ_ONCE(b->synchronous)) && !io->error) {
		spin_lock_irqsave(&b->lock, flags);
		list_add_tail(&io->flush_list, &b->deferred);
		/* Under the lock: once it is free the io may end, and the device go. */
		arm_flush(ic);
		spin_unlock_irqrestore(&b->lock, flags);
		return;
	}
	integrity_io_end(io);
}

/* Data and tags are stored. */
static void regions_written(struct integrity_io *io)
{
	if (!io->error)
		integrity_check_stored(io->ic, io->sector, io->sectors);
	integrity_range_unlock(&io->ic->ranges, &io->range);
	write_over(io);
}

/* All bits are stable. */
static void go_on(struct integrity_io *io)
{
	if (bio_op(integrity_io_bio(io)) == REQ_OP_DISCARD)
		integrity_direct_discard(io);
	else
		integrity_direct_write(io);
}

static void write_again(struct integrity_io *io)
{
	if (unlikely(atomic_read(&io->ic->failed)))
		integrity_io_error(io, -EIO);
	if (unlikely(io->error)) {
		write_over(io);
		return;
	}
	io->step = write_again;
	if (bits_ready(io, false))
		go_on(io);
}

static int regions_write(struct integrity_io *io)
{
	io->written = regions_written;
	io->step = write_again;
	if (bits_ready(io, true))
		go_on(io);
	return DM_MAPIO_SUBMITTED;
}

/* --- read, and the pass: what has no tags yet --- */

static u64 regions_known(struct dm_integrity_c *ic, u64 sector, u64 sectors)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u64 begin = integrity_bit(&b->g, sector), end = integrity_bit_end(&b->g, sector + sectors);
	unsigned long flags;
	u64 at;

	spin_lock_irqsave(&b->lock, flags);
	at = integrity_bits_next(b->recovery, begin, end, true);
	spin_unlock_irqrestore(&b->lock, flags);
	if (at == end)
		return sectors;
	return at == begin ? 0 : (at << b->g.log2_sectors_per_bit) - sector;
}

/* How far are the regions from @sector on like the first; is that one to be left out. */
static u64 regions_pass_run(struct dm_integrity_c *ic, u64 sector, bool *skip)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u64 begin = integrity_bit(&b->g, sector), at;
	/* Not so long with interrupts off. */
	u64 end = min_t(u64, b->g.bits, begin + INTEGRITY_BITMAP_BLOCK_BITS);
	unsigned long flags;

	spin_lock_irqsave(&b->lock, flags);
	*skip = integrity_bits_next(b->recovery, begin, begin + 1, true) != begin;
	at = integrity_bits_next(b->recovery, begin, end, *skip);
	spin_unlock_irqrestore(&b->lock, flags);
	return min(at << b->g.log2_sectors_per_bit, ic->layout.provided_sectors) - sector;
}

/*
 * Of a read only its begin can be verified. So that nothing is skipped that has a tag, it ends
 * where its regions change; what is behind is a read of its own.
 */
static int regions_read(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	u64 run = io->sectors;
	bool known;

	if (READ_ONCE(ic->bitmap.unrecovered))
		run = round_up(regions_pass_run(ic, io->sector, &known), integrity_pass_unit(ic));
	if (run < io->sectors) {
		dm_accept_partial_bio(integrity_io_bio(io), run);
		io->sectors = run;
	}
	return integrity_direct_read(io);
}

/* Bits [first, end) need no recovery any more. */
static void recovered(struct dm_integrity_c *ic, u64 first, u64 end)
{
	struct integrity_bitmap *b = &ic->bitmap;
	unsigned long flags;
	u64 at, stop;

	spin_lock_irqsave(&b->lock, flags);
	for (at = first; at < end; at = stop) {
		at = integrity_bits_next(b->recovery, at, end, true);
		/* Not so long with interrupts off. */
		stop = min3(integrity_bits_next(b->recovery, at, end, false), end,
			    at + INTEGRITY_BITMAP_BLOCK_BITS);
		if (at >= stop)
			break;
		b->unrecovered -= integrity_bits_clear(b->recovery, at, stop);
		/* Their tags are not stable yet: not in a flush that has begun. */
		touch(b, at, stop);
		arm_flush(ic);
		spin_unlock_irqrestore(&b->lock, flags);
		spin_lock_irqsave(&b->lock, flags);
	}
	spin_unlock_irqrestore(&b->lock, flags);
}

static void regions_pass_moved(struct dm_integrity_c *ic, u64 from, u64 to)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u64 end = to < ic->layout.provided_sectors ? integrity_bit(&b->g, to) : b->g.bits;

	recovered(ic, integrity_bit(&b->g, from), end);
}

static void regions_pass_given_up(struct dm_integrity_c *ic)
{
	recovered(ic, 0, ic->bitmap.g.bits);
}

/*
 * Tags are to be made again from the begin: all is dirty on the disk before the superblock says
 * so.
 */
static int regions_pass_reset(struct dm_integrity_c *ic)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u64 first, end;

	for (first = 0; first < b->g.bits; first = end) {
		end = min_t(u64, first + INTEGRITY_BITMAP_BLOCK_BITS, b->g.bits);
		spin_lock_irq(&b->lock);
		b->unrecovered += integrity_bits_set(b->recovery, first, end);
		set_bits(ic, first, end);
		spin_unlock_irq(&b->lock);
	}
	return wait_blocks(b);
}

/* --- flush --- */

/*
 * Clear what was not touched since the new epoch began; data and tags of before are stable. Return:
 * how many bits.
 */
static u32 retire(struct dm_integrity_c *ic, u32 index)
{
	struct integrity_bitmap *b = &ic->bitmap;
	struct integrity_bitmap_block *block = &b->block[index];
	const __le64 *touched = NULL;
	u32 cleared = 0;

	spin_lock_irq(&b->lock);
	if (block->set) {
		if (block->epoch == b->epoch)
			touched = words_of(b->touched, index);
		cleared = integrity_bits_retire(words_of(b->map, index), words_of(b->stable, index),
						touched, words_of(b->recovery, index));
		block->set -= cleared;
		b->set -= cleared;
		if (cleared)
			want_write(ic, block);
	}
	spin_unlock_irq(&b->lock);
	return cleared;
}

static int flush_bits(struct dm_integrity_c *ic, u32 old)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u64 cleared = 0;
	u32 i;
	int r;

	wait_event(b->wait, !atomic_read(&b->writes[old]));
	r = atomic_read(&ic->failed);
	if (!r)
		r = integrity_flush(ic);
	for (i = 0; i < b->g.blocks && !r; i++)
		cleared += retire(ic, i);
	trace_dm_integrity_bitmap_flush(ic, cleared, r);
	return r;
}

static void flush_time_over(struct work_struct *work)
{
	struct integrity_bitmap *b =
		container_of(to_delayed_work(work), struct integrity_bitmap, flush_work);
	struct dm_integrity_c *ic = container_of(b, struct dm_integrity_c, bitmap);
	struct integrity_io *io, *next;
	LIST_HEAD(deferred);
	u32 old;
	int r;

	spin_lock_irq(&b->lock);
	list_splice_init(&b->deferred, &deferred);
	old = b->epoch & 1;
	b->epoch++;
	spin_unlock_irq(&b->lock);

	r = flush_bits(ic, old);
	/* Bits that cannot be cleared cost a recovery, not the write. */
	if (!r && READ_ONCE(b->synchronous))
		wait_blocks(b);
	list_for_each_entry_safe(io, next, &deferred, flush_list) {
		integrity_io_error(io, r);
		integrity_io_end(io);
	}

	spin_lock_irq(&b->lock);
	if (!list_empty(&b->deferred) || (!r && b->set > b->unrecovered))
		arm_flush(ic);
	spin_unlock_irq(&b->lock);
}

/* --- life --- */

/* Only what is still to be recovered stays in the bitmap. */
static int store_recovery(struct dm_integrity_c *ic)
{
	struct integrity_bitmap *b = &ic->bitmap;

	memcpy(b->map, b->recovery, (size_t)b->g.blocks * INTEGRITY_BITMAP_BLOCK_BYTES);
	return integrity_bitmap_store(ic, 0);
}

/*
 * The journal could not be written whole, and what is there now would be read as bits: those come
 * back. What of them cannot be written could not be read, or is as it was.
 */
static int reopen_bitmap(struct dm_integrity_c *ic, bool recalculating, u64 sector, int error)
{
	int r;

	/* Nothing more is written then. */
	if (atomic_read(&ic->failed))
		return error;
	r = store_recovery(ic);
	if (!r) {
		ic->sb.log2_blocks_per_bit = ic->bitmap.g.log2_blocks_per_bit;
		r = integrity_sb_store(ic, recalculating, sector);
	}
	if (!r)
		DMWARN("%s: cannot write an empty journal (error %d), the bitmap stays in its place",
		       integrity_name(ic), error);
	return r ? error : 0;
}

/* The bitmap gives way to an empty journal: all is stable. */
static int close_bitmap(struct dm_integrity_c *ic, bool recalculating, u64 sector)
{
	int r = 0;

	if (recalculating && sector < ic->layout.provided_sectors) {
		/* Who cannot have a bitmap again keeps the one there is. */
		r = store_recovery(ic);
		if (r)
			return r;
		/* Half a journal is no bitmap. */
		ic->sb.log2_blocks_per_bit = integrity_bitmap_no_granularity(&ic->layout);
		r = integrity_sb_store(ic, recalculating, sector);
	}
	if (r)
		return r;
	r = integrity_journal_format(ic);
	if (r)
		return reopen_bitmap(ic, recalculating, sector, r);
	ic->sb.bitmap_in_use = false;
	ic->sb.log2_blocks_per_bit = ic->bitmap.g.log2_blocks_per_bit;
	return integrity_sb_store(ic, recalculating, sector);
}

static int keep_recovery(struct dm_integrity_c *ic)
{
	DMINFO("%s: %llu regions are still to be recovered, the bitmap stays for them",
	       integrity_name(ic), ic->bitmap.unrecovered);
	return store_recovery(ic);
}

static int regions_stop(struct dm_integrity_c *ic)
{
	struct integrity_bitmap *b = &ic->bitmap;
	bool recalculating = integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING;
	u64 stored = integrity_sb_recalc_sector(ic), end = ic->layout.provided_sectors;
	bool over;
	int r;

	cancel_delayed_work_sync(&b->flush_work);
	/* What was not activated is not closed. */
	if (!b->live)
		return 0;
	wait_blocks(b);
	flush_work(&b->write_work);
	b->live = false;
	r = atomic_read(&ic->failed);
	if (r)
		return r;

	r = integrity_flush(ic);
	if (r)
		return r;
	/* A recovery is allowed where a recalculation is not, so it has to stay one. */
	if (b->unrecovered &&
	    (integrity_recalc_permitted(ic) ||
	     !integrity_recovery_expressed(&b->g, b->recovery, b->unrecovered,
					   recalculating ? min(stored, end) : end, end)))
		return keep_recovery(ic);
	/*
	 * Nothing is left to recover: another table would make again what is clean, or not be
	 * allowed to. So it is also when no worker ran that could have said so, or its position
	 * could not be saved. But not when the disk has a position that the pass never had, see
	 * may_recalculate().
	 */
	over = !b->unrecovered && recalculating && stored < end && stored == ic->recalc.saved;
	/* Without the flag the position means nothing, and stays what it was. */
	r = close_bitmap(ic, recalculating, over ? end : stored);
	if (r || !over)
		return r;
	/* Who is told of the end looks at the status, also while this table is still there. */
	integrity_recalc_load(ic, true, end);
	if (!integrity_check_open(ic) && integrity_pass_do(&ic->recalc, INTEGRITY_PASS_END))
		integrity_event(ic);
	return 0;
}

/* Nobody suspends us on the way down: leave as few bits as can be, and let no write leave one. */
static void regions_reboot(struct dm_integrity_c *ic)
{
	struct integrity_bitmap *b = &ic->bitmap;

	spin_lock_irq(&b->lock);
	WRITE_ONCE(b->synchronous, true);
	spin_unlock_irq(&b->lock);
	mod_delayed_work(b->wq, &b->flush_work, 0);
	flush_delayed_work(&b->flush_work);
}

/* Who waits for a flush gets an error. */
static void regions_failed(struct dm_integrity_c *ic)
{
	if (READ_ONCE(ic->bitmap.synchronous) && ic->bitmap.live)
		mod_delayed_work(ic->bitmap.wq, &ic->bitmap.flush_work, 0);
}

void integrity_bitmap_setup(struct dm_integrity_c *ic)
{
	struct integrity_bitmap *b = &ic->bitmap;

	spin_lock_init(&b->lock);
	init_waitqueue_head(&b->wait);
	INIT_LIST_HEAD(&b->dirty);
	INIT_LIST_HEAD(&b->deferred);
	INIT_WORK(&b->write_work, write_blocks);
	INIT_DELAYED_WORK(&b->flush_work, flush_time_over);
}

int integrity_bitmap_init(struct dm_integrity_c *ic)
{
	struct integrity_bitmap *b = &ic->bitmap;
	int r;

	r = bioset_init(&b->bios, BIO_POOL_SIZE, offsetof(struct block_write, bio),
			BIOSET_NEED_BVECS);
	if (!r)
		r = mempool_init_page_pool(&b->pages, BIO_POOL_SIZE, 0);
	if (r)
		return r;
	b->wq = alloc_ordered_workqueue("dm-integrity-bitmap", WQ_MEM_RECLAIM);
	return b->wq ? 0 : -ENOMEM;
}

void integrity_bitmap_exit(struct dm_integrity_c *ic)
{
	struct integrity_bitmap *b = &ic->bitmap;

	if (b->wq) {
		cancel_delayed_work_sync(&b->flush_work);
		destroy_workqueue(b->wq);
	}
	cancel_work_sync(&b->write_work);
	integrity_bitmap_free(ic);
	mempool_exit(&b->pages);
	bioset_exit(&b->bios);
}

const struct integrity_mode integrity_mode_bitmap = {
	.letter = 'B',
	.keeps_bitmap = true,
	.read = regions_read,
	.write = regions_write,
	.discard = regions_write,
	.flush = integrity_flush,
	.commit = integrity_tags_flush,
	.stop = regions_stop,
	.reboot = regions_reboot,
	.failed = regions_failed,
	.known = regions_known,
	.pass_run = regions_pass_run,
	.pass_moved = regions_pass_moved,
	.pass_reset = regions_pass_reset,
	.pass_given_up = regions_pass_given_up,
};
