// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write-back: what is committed goes to its place on the disk.
 *
 * Entries are written as runs: blocks that follow each other in the section and on the disk. A
 * run holds its blocks' range, exclusively, from before its tags are stored until its data is
 * written. Ranges are waited for here while other runs' data is on its way; those ranges are
 * released where that I/O ends, and nobody who holds a range waits for write-back, so no cycle
 * can form.
 *
 * A copy is passed over when a newer one of the same block is committed. One that is only newer
 * does not count: a crash might lose it, and then this one, which a flush may have promised.
 *
 * An error fails the device, and leaves the journal on the disk as it is: what could not be
 * written is still in it, for a replay when the disk is repaired. To go on would lose writes that
 * were acknowledged.
 */
#include <linux/highmem.h>
#include <linux/vmalloc.h>

#include "dm-integrity.h"

/* --- runs --- */

static void run_granted(struct integrity_range *range)
{
	struct integrity_writeback_run *run =
		container_of(range, struct integrity_writeback_run, range);

	complete(&run->granted);
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
	integrity_range_unlock(&wb->ic->ranges, &run->range);
	bio_put(bio);
	put_pending(wb);
}

static int store_run_tags(struct dm_integrity_c *ic, u8 *raw, u32 n, u32 count, u64 sector)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_tag_cursor cur;
	int r = 0;

	integrity_tag_cursor_init(&cur, ic);
	for (; count && !r; count--, n++, sector += integrity_block_sectors(l))
		r = integrity_tag_store(&cur, sector, raw + integrity_entry_tag_offset(l, n));
	integrity_tag_cursor_done(&cur);
	return r;
}

static void add_to_bio(struct bio *bio, u8 *from, unsigned int bytes)
{
	flush_kernel_vmap_range(from, bytes);
	while (bytes) {
		unsigned int in = offset_in_page(from);
		unsigned int len = min_t(unsigned int, bytes, PAGE_SIZE - in);

		/* There is a vector for each page. */
		__bio_add_page(bio, vmalloc_to_page(from), len, in);
		from += len;
		bytes -= len;
	}
}

/* Write @count entries from @n on; they are blocks from @sector on. */
static void write_run(struct integrity_writeback *wb, u32 section, u32 n, u32 count, u64 sector)
{
	struct dm_integrity_c *ic = wb->ic;
	const struct integrity_layout *l = &ic->layout;
	u8 *raw = integrity_journal_raw(l, &ic->journal, section);
	u8 *data = raw + integrity_entry_data_offset(l, n);
	unsigned int bytes = count * integrity_block_bytes(l);
	struct integrity_writeback_run *run;
	struct bio *bio;
	u32 i;
	int r;

	bio = bio_alloc_bioset(ic->data_dev->bdev, DIV_ROUND_UP(bytes, PAGE_SIZE) + 1, REQ_OP_WRITE,
			       GFP_NOIO, &ic->journal.bios);
	run = container_of(bio, struct integrity_writeback_run, bio);
	run->wb = wb;
	run->range.granted = run_granted;
	init_completion(&run->granted);
	bio->bi_end_io = run_endio;
	bio->bi_iter.bi_sector = integrity_data_sector(l, sector);

	atomic_inc(&wb->pending);
	if (!integrity_range_lock(&ic->ranges, &run->range, sector,
				  (u64)count << l->log2_sectors_per_block, false))
		wait_for_completion(&run->granted);

	r = store_run_tags(ic, raw, n, count, sector);
	if (r) {
		DMERR_LIMIT("%s: cannot store the tags of journaled sector 0x%llx (error %d)",
			    integrity_name(ic), sector, r);
		bio->bi_status = errno_to_blk_status(r);
		bio_endio(bio);
		return;
	}
	for (i = 0; i < count; i++)
		integrity_entry_restore_data(l, raw, n + i);
	add_to_bio(bio, data, bytes);
	wb->entries += count;
	submit_bio(bio);
}

/* --- sections --- */

void integrity_writeback_begin(struct integrity_writeback *wb, struct dm_integrity_c *ic)
{
	wb->ic = ic;
	wb->entries = 0;
	wb->error = 0;
	/* One for who waits. */
	atomic_set(&wb->pending, 1);
	init_completion(&wb->done);
}

void integrity_writeback_section(struct integrity_writeback *wb, u32 section,
				 bool (*take)(struct integrity_writeback *wb, u32 section, u32 n,
					      u64 *sector))
{
	const struct integrity_layout *l = &wb->ic->layout;
	/* A run fits one bio, wherever in a page it begins. */
	u32 most = (BIO_MAX_VECS - 1) * PAGE_SIZE / integrity_block_bytes(l);
	u32 spb = integrity_block_sectors(l), n, count = 0;
	u64 begin = 0, room = 0;

	for (n = 0; n < l->journal_section_entries; n++) {
		u64 sector;
		bool taken = take(wb, section, n, &sector);

		if (count && (!taken || sector != begin + (u64)count * spb || count == most ||
			      !room)) {
			write_run(wb, section, n - count, count, begin);
			count = 0;
		}
		if (taken) {
			if (!count) {
				begin = sector;
				room = integrity_area_remaining(l, sector);
			}
			count++;
			room -= spb;
		}
	}
	if (count)
		write_run(wb, section, n - count, count, begin);
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

/* Used, and the newest committed copy of its block. */
static bool take_newest(struct integrity_writeback *wb, u32 section, u32 n, u64 *sector)
{
	struct dm_integrity_c *ic = wb->ic;
	struct integrity_journal *j = &ic->journal;
	struct integrity_journal_node *node = &j->node[node_index(&ic->layout, section, n)], *other;
	bool newest = true;

	spin_lock_irq(&j->lock);
	*sector = node->sector;
	if (*sector == INTEGRITY_NODE_EMPTY) {
		spin_unlock_irq(&j->lock);
		return false;
	}
	/* The table has newer ones first. */
	hlist_for_each_entry(other, integrity_journal_bucket(&ic->layout, j, *sector), link) {
		if (other == node)
			break;
		if (other->sector == *sector && is_committed(ic, other)) {
			newest = false;
			break;
		}
	}
	spin_unlock_irq(&j->lock);
	return newest;
}

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
		node->sector = INTEGRITY_NODE_EMPTY;
		WRITE_ONCE(j->nodes, j->nodes - 1);
	}
	spin_unlock_irq(&j->lock);
	wait_event(j->wait, !atomic_read(&j->section[section].readers));
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
	for (i = 0, section = first; i < count; i++, section = integrity_next_section(l, section))
		integrity_writeback_section(&wb, section, take_newest);
	blk_finish_plug(&plug);
	r = integrity_writeback_end(&wb);
	if (r) {
		integrity_fail(ic, "writing back the journal", integrity_no_mismatch(r));
		return false;
	}

	for (i = 0, section = first; i < count; i++, section = integrity_next_section(l, section))
		forget_section(ic, section);
	spin_lock_irq(&j->lock);
	j->ring.tail = section;
	j->ring.committed -= count;
	j->ring.free += (u64)count * l->journal_section_entries;
	spin_unlock_irq(&j->lock);
	integrity_journal_wake(ic);
	return true;
}

void integrity_journal_writeback(struct work_struct *work)
{
	struct integrity_journal *j = container_of(work, struct integrity_journal, writeback_work);
	struct dm_integrity_c *ic = container_of(j, struct dm_integrity_c, journal);
	struct integrity_journal_ring *ring = &j->ring;
	bool used;

	while (write_back_committed(ic))
		;

	spin_lock_irq(&j->lock);
	j->reclaiming = false;
	/*
	 * Somebody may have come to wait, or to fill what was freed, meanwhile. A device that has
	 * failed gets no room any more.
	 */
	used = ring->committed || ring->filled || ring->fill_entry;
	if (!atomic_read(&ic->failed) &&
	    (!list_empty(&j->waiting) || (used && ring->free <= j->threshold)))
		integrity_journal_reclaim(ic);
	spin_unlock_irq(&j->lock);
	/* None of them will ever find room in a journal that is not written back. */
	if (atomic_read(&ic->failed))
		integrity_journal_wake(ic);
}
