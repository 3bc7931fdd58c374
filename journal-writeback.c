// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write-back: what is committed goes to its place on the disk.
 *
 * The entries of a section that are to be written are sorted by their place. Blocks that follow
 * each other there make a run, one bio. A run holds its blocks' range, exclusively, from before its
 * tags are stored until its data is written. Runs are gathered in a batch, whose tags are stored
 * together, each tag buffer held once.
 *
 * Who waits for a range while holding others could wait for ever: an I/O that came in between may
 * wait for one of those. So the batch is sent before a range is waited for, and its ranges are
 * released where its I/O ends. Likewise for the memory of a bio. Nobody who holds a range waits for
 * write-back, so no cycle can form.
 *
 * A copy is passed over when a newer one of the same block is committed. One that is only newer
 * does not count: a crash might lose it, and then this one, which a flush may have promised.
 *
 * An error fails the device, and leaves the journal on the disk as it is: what could not be
 * written is still in it, for a replay when the disk is repaired. To go on would lose writes that
 * were acknowledged.
 */
#include <linux/highmem.h>

#include "dm-integrity.h"
#include "trace.h"

/* --- runs --- */

static void run_granted(struct integrity_range *range)
{
	struct integrity_writeback_run *run =
		container_of(range, struct integrity_writeback_run, range);

	complete(&run->wb->granted);
}

static void put_pending(struct integrity_writeback *wb)
{
	if (atomic_dec_and_test(&wb->pending))
		complete(&wb->done);
}

static void run_endio(struct bio *bio)
{
	struct integrity_writeback_run *run =
		container_of(bio, struct integrity_writeback_run, bio);
	struct integrity_writeback *wb = run->wb;

	if (bio->bi_status)
		cmpxchg(&wb->error, 0, blk_status_to_errno(bio->bi_status));
	else
		integrity_check_stored(wb->ic, run->range.start,
				       run->range.last - run->range.start + 1);
	integrity_range_unlock(&wb->ic->ranges, &run->range);
	bio_put(bio);
	put_pending(wb);
}

/*
 * A block of the journal's memory lies in one page: sections begin at multiples of 4 KiB, and
 * blocks at multiples of their size. There is room for a vector for each.
 */
static void add_to_bio(struct bio *bio, const struct integrity_journal *j, u8 *block,
		       unsigned int bytes)
{
	struct page *page = integrity_journal_vec(j, block)->bv_page;

	/* Small blocks next to each other make one vector, so that no device splits them. */
	if (bytes == PAGE_SIZE)
		__bio_add_page(bio, page, bytes, 0);
	else if (bio_add_page(bio, page, bytes, offset_in_page(block)) != bytes)
		bio->bi_status = BLK_STS_IOERR;
}

/* More than one: they do not lie together in the section, but are stored together. */
static noinline int store_many_tags(struct integrity_writeback *wb,
				    struct integrity_tag_cursor *cur,
				    const struct integrity_writeback_run *run)
{
	const struct integrity_layout *l = &wb->ic->layout;
	u32 at_once = wb->ic->tags.at_once >> l->log2_sectors_per_block, done, n, i;
	u8 *raw = integrity_journal_raw(l, &wb->ic->journal, wb->section);
	u8 tags[INTEGRITY_TAG_BYTES] INTEGRITY_UNCLEARED;
	int r = 0;

	for (done = 0; done < run->count && !r; done += n) {
		u64 sector = integrity_writeback_sector(run->key[done]);

		n = min(run->count - done, at_once);
		for (i = 0; i < n; i++) {
			u32 entry = integrity_writeback_entry(run->key[done + i]);

			memcpy(tags + i * l->tag_size, raw + integrity_entry_tag_offset(l, entry),
			       l->tag_size);
		}
		r = integrity_tags_store(cur, &sector, n << l->log2_sectors_per_block, tags);
	}
	return r;
}

static int store_run_tags(struct integrity_writeback *wb, struct integrity_tag_cursor *cur,
			  const struct integrity_writeback_run *run)
{
	const struct integrity_layout *l = &wb->ic->layout;
	u8 *raw = integrity_journal_raw(l, &wb->ic->journal, wb->section);

	if (run->count > 1)
		return store_many_tags(wb, cur, run);
	return integrity_tag_store(cur, integrity_writeback_sector(*run->key),
				   raw + integrity_entry_tag_offset(l,
						integrity_writeback_entry(*run->key)));
}

/* Store the tags of all runs in the batch: what is in memory first, while the rest is read. */
static void store_batch_tags(struct integrity_writeback *wb)
{
	struct dm_integrity_c *ic = wb->ic;
	struct integrity_writeback_run *run;
	struct integrity_tag_cursor cur;
	struct bio *bio;

	integrity_tag_cursor_init(&cur, ic);
	integrity_tag_cursor_nowait(&cur);
	bio_list_for_each(bio, &wb->batch) {
		run = container_of(bio, struct integrity_writeback_run, bio);
		run->error = blk_status_to_errno(bio->bi_status) ?: store_run_tags(wb, &cur, run);
		if (run->error == -EAGAIN)
			integrity_tag_prefetch(ic, run->range.start,
					       run->range.last + 1 - run->range.start);
	}
	integrity_tag_cursor_done(&cur);

	integrity_tag_cursor_init(&cur, ic);
	bio_list_for_each(bio, &wb->batch) {
		run = container_of(bio, struct integrity_writeback_run, bio);
		if (run->error == -EAGAIN)
			run->error = store_run_tags(wb, &cur, run);
		if (run->error)
			DMERR_LIMIT("%s: cannot store the tags of journaled sector 0x%llx (error %d)",
				    integrity_name(ic), run->range.start, run->error);
	}
	integrity_tag_cursor_done(&cur);
}

/* Store the tags of all runs in the batch, and send their data on its way. */
static void send_batch(struct integrity_writeback *wb)
{
	struct integrity_writeback_run *run;
	struct bio *bio;

	store_batch_tags(wb);
	while ((bio = bio_list_pop(&wb->batch))) {
		run = container_of(bio, struct integrity_writeback_run, bio);
		if (run->error) {
			bio->bi_status = errno_to_blk_status(run->error);
			bio_endio(bio);
		} else {
			wb->entries += run->count;
			/* Nobody's I/O: it was counted when it came. */
			submit_bio_noacct(bio);
		}
	}
}

static struct bio *alloc_run(struct integrity_writeback *wb, unsigned int vecs)
{
	struct integrity_journal *j = &wb->ic->journal;
	struct block_device *bdev = wb->ic->data_dev->bdev;
	const blk_opf_t opf = REQ_OP_WRITE;
	struct bio *bio;

	bio = bio_alloc_bioset(bdev, vecs, opf | COMPAT_REQ_CACHE, GFP_NOWAIT | __GFP_NOWARN,
			       &j->bios);
	if (bio)
		return bio;
	/*
	 * There may be no more before those that we hold have ended. Of the reserve one at most is
	 * held by a run that waits for its range; all others are on their way to the device.
	 */
	send_batch(wb);
	return bio_alloc_bioset(bdev, vecs, opf, GFP_NOIO, &j->reserve);
}

/* Do the blocks lie in the section as they will on the disk. */
static bool lie_in_order(const u64 *key, u32 count)
{
	u32 n = integrity_writeback_entry(*key), i;

	for (i = 1; i < count; i++)
		if (integrity_writeback_entry(key[i]) != n + i)
			return false;
	return true;
}

/* Put @count entries of the section into the batch: consecutive blocks in one area. */
static void add_run(struct integrity_writeback *wb, const u64 *key, u32 count)
{
	struct dm_integrity_c *ic = wb->ic;
	u64 sector = integrity_writeback_sector(*key);
	const struct integrity_layout *l = &ic->layout;
	u8 *raw = integrity_journal_raw(l, &ic->journal, wb->section);
	unsigned int block = integrity_block_bytes(l);
	u8 *first = raw + integrity_entry_data_offset(l, integrity_writeback_entry(*key));
	bool in_order = lie_in_order(key, count);
	struct integrity_writeback_run *run;
	struct bio *bio;
	u32 i;

	bio = alloc_run(wb, in_order ? 0 : count);
	run = container_of(bio, struct integrity_writeback_run, bio);
	run->wb = wb;
	run->key = key;
	run->count = count;
	run->range.granted = run_granted;
	bio->bi_end_io = run_endio;
	bio->bi_iter.bi_sector = integrity_data_sector(l, sector);

	atomic_inc(&wb->pending);
	if (!integrity_range_lock(&ic->ranges, &run->range, sector,
				  (u64)count << l->log2_sectors_per_block, false)) {
		send_batch(wb);
		wait_for_completion(&wb->granted);
	}
	for (i = 0; i < count; i++) {
		u32 n = integrity_writeback_entry(key[i]);

		integrity_entry_restore_data(l, raw, n);
		flush_kernel_vmap_range(raw + integrity_entry_data_offset(l, n), block);
		if (!in_order)
			add_to_bio(bio, &ic->journal, raw + integrity_entry_data_offset(l, n),
				   block);
	}
	if (in_order)
		integrity_journal_set_vecs(&ic->journal, bio, first, count * block);
	bio_list_add(&wb->batch, bio);
}

/* --- sections --- */

void integrity_writeback_begin(struct integrity_writeback *wb, struct dm_integrity_c *ic)
{
	wb->ic = ic;
	wb->entries = 0;
	wb->error = 0;
	bio_list_init(&wb->batch);
	/* One for who waits. */
	atomic_set(&wb->pending, 1);
	init_completion(&wb->done);
	init_completion(&wb->granted);
}

static __always_inline void sort_with_gap(u64 *key, const u64 *end, size_t gap)
{
	const u64 *first = key + gap;
	u64 *p, *to, moved;

	for (p = key + gap; p < end; p++) {
		moved = *p;
		for (to = p; to >= first && to[-gap] > moved; to -= gap)
			*to = to[-gap];
		*to = moved;
	}
}

/* A few dozens, often in order: Shell's sort. */
static void sort_keys(u64 *key, u32 count)
{
	sort_with_gap(key, key + count, 10);
	sort_with_gap(key, key + count, 4);
	sort_with_gap(key, key + count, 1);
}

/* Of copies of one block in the section the last one. Return: how many are left. */
static u32 drop_older(u64 *key, u32 count)
{
	u32 kept = 0, i;

	for (i = 0; i < count; i++)
		if (i + 1 == count ||
		    integrity_writeback_sector(key[i]) != integrity_writeback_sector(key[i + 1]))
			key[kept++] = key[i];
	return kept;
}

void integrity_writeback_section(struct integrity_writeback *wb, u32 section,
				 const struct integrity_writeback_source *source)
{
	const struct integrity_layout *l = &wb->ic->layout;
	u64 *key = wb->ic->journal.key;
	u32 spb = integrity_block_sectors(l), count, n, i;

	wb->section = section;
	count = source->take(wb, key);
	sort_keys(key, count);
	count = drop_older(key, count);
	if (source->drop)
		count = source->drop(wb, key, count);
	for (i = 0; i < count; i += n) {
		u64 sector = integrity_writeback_sector(key[i]);
		u32 most = min_t(u32, count - i, BIO_MAX_VECS);

		for (n = 1; n < most; n++)
			if (integrity_writeback_sector(key[i + n]) != sector + (u64)n * spb)
				break;
		/* In one area. */
		if (n > 1)
			n = clamp_t(u64, integrity_area_remaining(l, sector) >>
					 l->log2_sectors_per_block, 1, n);
		add_run(wb, key + i, n);
	}
	send_batch(wb);
	cond_resched();
}

int integrity_writeback_end(struct integrity_writeback *wb)
{
	put_pending(wb);
	wait_for_completion_io(&wb->done);
	/* Of a failed write nothing is known, and the journal still has it: no flush. */
	return wb->error ?: integrity_flush(wb->ic);
}

/* --- write-back of the live journal --- */

static u64 node_index(const struct integrity_layout *l, u32 section, u32 n)
{
	return (u64)section * l->journal_section_entries + n;
}

/* Is the node's section committed. journal.lock is held. */
static bool is_committed(struct dm_integrity_c *ic, const struct integrity_journal_node *node)
{
	const struct integrity_layout *l = &ic->layout;
	const struct integrity_journal_ring *ring = &ic->journal.ring;
	u32 section = div_u64(node - ic->journal.node, l->journal_section_entries);
	u32 behind = section >= ring->tail ? section - ring->tail :
					     section + (l->journal_sections - ring->tail);

	return behind < ring->committed;
}

/* Is a newer copy of the block at @sector committed. journal.lock is held. */
static bool is_outdated(struct dm_integrity_c *ic, const struct integrity_journal_node *node,
			u64 sector)
{
	const struct integrity_journal_node *other;

	/* The table has newer ones first. */
	hlist_for_each_entry(other, integrity_journal_bucket(&ic->layout, &ic->journal, sector),
			     link) {
		if (other == node)
			break;
		if (integrity_node_sector(other) == sector && is_committed(ic, other))
			return true;
	}
	return false;
}

/* Those that are used. */
static u32 take_used(struct integrity_writeback *wb, u64 *key)
{
	const struct integrity_layout *l = &wb->ic->layout;
	struct integrity_journal *j = &wb->ic->journal;
	const struct integrity_journal_node *node = &j->node[node_index(l, wb->section, 0)];
	u32 count = 0, n;

	spin_lock_irq(&j->lock);
	for (n = 0; n < l->journal_section_entries; n++, node++) {
		u64 sector = integrity_node_sector(node);

		if (sector != INTEGRITY_NODE_EMPTY)
			key[count++] = integrity_writeback_key(sector, n);
	}
	spin_unlock_irq(&j->lock);
	return count;
}

#define NODES_AT_ONCE	16

/*
 * Keep those that are the newest committed copies. A block that is written again and again has
 * many, so the lock is not held for all of a section.
 */
static u32 drop_outdated(struct integrity_writeback *wb, u64 *key, u32 count)
{
	struct integrity_journal *j = &wb->ic->journal;
	u64 first = node_index(&wb->ic->layout, wb->section, 0);
	u32 kept = 0, i, end;

	for (i = 0; i < count;) {
		end = min(count, i + NODES_AT_ONCE);
		spin_lock_irq(&j->lock);
		for (; i < end; i++)
			if (!is_outdated(wb->ic,
					 &j->node[first + integrity_writeback_entry(key[i])],
					 integrity_writeback_sector(key[i])))
				key[kept++] = key[i];
		spin_unlock_irq(&j->lock);
	}
	return kept;
}

static const struct integrity_writeback_source live_journal = {
	.take = take_used,
	.drop = drop_outdated,
};

/* Nobody finds the section's entries any more; wait for who found one before. */
static void forget_section(struct dm_integrity_c *ic, u32 section)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	struct integrity_journal_node *node = &j->node[node_index(l, section, 0)];
	u32 n;

	spin_lock_irq(&j->lock);
	for (n = 0; n < l->journal_section_entries; n++, node++) {
		if (hlist_unhashed(&node->link))
			continue;
		hlist_del_init(&node->link);
		integrity_node_clear(node);
		WRITE_ONCE(j->nodes, j->nodes - 1);
	}
	spin_unlock_irq(&j->lock);
	wait_event(j->wait, !atomic_read_acquire(&j->section[section].readers));
}

/* Return: false when there was nothing to do, or the device has failed. */
static bool write_back_committed(struct dm_integrity_c *ic)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	struct integrity_writeback wb;
	u32 first, count, section, i;
	struct blk_plug plug;
	int r;

	spin_lock_irq(&j->lock);
	first = j->ring.tail;
	count = j->ring.committed;
	spin_unlock_irq(&j->lock);
	if (!count || atomic_read(&ic->failed))
		return false;

	integrity_writeback_begin(&wb, ic);
	blk_start_plug(&plug);
	for (i = 0, section = first; i < count && !atomic_read(&ic->failed); i++) {
		integrity_writeback_section(&wb, section, &live_journal);
		section = integrity_next_section(l, section);
	}
	blk_finish_plug(&plug);
	r = integrity_writeback_end(&wb);
	if (!r)
		r = atomic_read(&ic->failed);
	trace_dm_integrity_journal_writeback(ic, first, count, wb.entries, r);
	if (r) {
		integrity_fail(ic, "writing back the journal", integrity_no_mismatch(r));
		return false;
	}

	for (i = 0, section = first; i < count; i++, section = integrity_next_section(l, section))
		forget_section(ic, section);
	spin_lock_irq(&j->lock);
	j->ring.tail = section;
	j->ring.committed -= count;
	j->retired += count;
	j->ring.free += (u64)count * l->journal_section_entries;
	integrity_journal_wake(ic);
	/* Now, for there may be no end of this as long as others write and flush. */
	integrity_journal_wake_discards(ic);
	spin_unlock_irq(&j->lock);
	return true;
}

void integrity_journal_writeback(struct work_struct *work)
{
	struct integrity_journal *j = container_of(work, struct integrity_journal, writeback_work);
	struct dm_integrity_c *ic = container_of(j, struct dm_integrity_c, journal);
	struct integrity_journal_ring *ring = &j->ring;
	bool used;

	/* Here, and not where the writes are: they go on meanwhile, on other CPUs. */
	integrity_journal_commit(ic);
	while (write_back_committed(ic))
		;

	spin_lock_irq(&j->lock);
	j->reclaiming = false;
	integrity_journal_wake_discards(ic);
	/* None of them will ever find room in a journal that is not written back. */
	if (atomic_read(&ic->failed))
		integrity_journal_wake(ic);
	/*
	 * Somebody may have come to wait, or to fill what was freed, meanwhile. Who was called
	 * takes what he finds, and calls the next, or waits again and asks for room himself: until
	 * he runs there is nothing to be done here. A device that has failed gets none any more.
	 */
	used = ring->committed || ring->filled || ring->fill_entry;
	if (!atomic_read(&ic->failed) &&
	    ((integrity_journal_waited_for(j) && !j->called) ||
	     (used && ring->free <= j->threshold)))
		integrity_journal_reclaim(ic);
	spin_unlock_irq(&j->lock);
}
