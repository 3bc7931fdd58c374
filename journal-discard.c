// SPDX-License-Identifier: GPL-2.0-only
/*
 * Discards in mode J (section 3.4).
 *
 * A discard is not journaled. It waits until no block of it has a copy that was in the journal when
 * it came, which would go over it later; what comes into the journal from then on is concurrent
 * with it, and may. Sections go in their order, so those that were there are gone when as many have
 * been: it waits for no more than these, whoever goes on writing the same blocks. Then it takes its
 * range, makes its tags, has them flushed, and only then lets the data device discard: a crash
 * leaves the old data with the old tag, or with a tag that fits any data. What is still in sections
 * that were written back may be replayed by a crash, data and tag together.
 *
 * Nobody sleeps for it. A discard that waits for the journal holds nothing and is called again at
 * the end of the next write-back. One that waits for the flush holds its range; the flush, on
 * flush_wq, waits for no range, and serves all that came meanwhile.
 */
#include "dm-integrity.h"

static bool within(const struct integrity_io *io, u64 sector)
{
	return sector >= io->sector && sector - io->sector < io->sectors;
}

/* Does the section hold a copy of a block of the io. */
static bool section_has_copy(struct integrity_io *io, u32 section)
{
	struct dm_integrity_c *ic = io->ic;
	u32 entries = ic->layout.journal_section_entries, n;
	struct integrity_journal *j = &ic->journal;
	const struct integrity_journal_node *node = &j->node[(u64)section * entries];
	bool found = false;
	unsigned long flags;

	spin_lock_irqsave(&j->lock, flags);
	for (n = 0; n < entries && !found; n++, node++)
		found = !hlist_unhashed(&node->link) && within(io, integrity_node_sector(node));
	spin_unlock_irqrestore(&j->lock, flags);
	return found;
}

static bool block_has_copy(struct dm_integrity_c *ic, u64 sector)
{
	struct integrity_journal *j = &ic->journal;
	const struct integrity_journal_node *node;
	bool found = false;
	unsigned long flags;

	spin_lock_irqsave(&j->lock, flags);
	hlist_for_each_entry(node, integrity_journal_bucket(&ic->layout, j, sector), link)
		found |= integrity_node_sector(node) == sector;
	spin_unlock_irqrestore(&j->lock, flags);
	return found;
}

/* Whichever is less to look at: the blocks of the io, or all entries. */
static bool has_copy(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	const struct integrity_layout *l = &ic->layout;
	u64 entries = (u64)l->journal_sections * l->journal_section_entries;
	bool found = false;
	u32 i;

	if (!READ_ONCE(ic->journal.nodes))
		return false;
	if (io->sectors >> l->log2_sectors_per_block > entries / 8) {
		for (i = 0; i < l->journal_sections && !found; i++) {
			found = section_has_copy(io, i);
			cond_resched();
		}
	} else {
		for (i = 0; i < io->sectors && !found; i += integrity_block_sectors(l)) {
			found = block_has_copy(ic, io->sector + i);
			cond_resched();
		}
	}
	return found;
}

/* Is there a copy of a block of the io that was there when it came. */
static bool has_older_copy(struct integrity_io *io)
{
	struct integrity_journal *j = &io->ic->journal;
	unsigned long flags;
	bool gone;

	spin_lock_irqsave(&j->lock, flags);
	gone = j->retired >= io->until;
	spin_unlock_irqrestore(&j->lock, flags);
	return !gone && has_copy(io);
}

static void discard_endio(struct bio *bio)
{
	struct integrity_io *io = integrity_io_of(bio);

	integrity_io_restore(io);
	integrity_io_complete(io);
}

/* Flush the tags of all that wait, then let the device discard. */
static void discard_flush(struct work_struct *work)
{
	struct integrity_journal *j = container_of(work, struct integrity_journal, discard_work);
	struct dm_integrity_c *ic = container_of(j, struct dm_integrity_c, journal);
	struct integrity_io *io, *next;
	LIST_HEAD(list);
	int r;

	spin_lock_irq(&j->lock);
	list_splice_init(&j->discards_unflushed, &list);
	spin_unlock_irq(&j->lock);
	if (list_empty(&list))
		return;

	r = integrity_no_mismatch(integrity_tags_flush(ic));
	list_for_each_entry_safe(io, next, &list, flush_list) {
		integrity_io_error(io, r);
		if (r) {
			integrity_io_complete(io);
		} else {
			integrity_io_record(io);
			integrity_io_submit(io, discard_endio);
		}
	}
}

static void discard_tags(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	struct integrity_journal *j = &ic->journal;
	unsigned long flags;

	integrity_io_discard_tags(io);
	if (io->error || !bdev_max_discard_sectors(ic->data_dev->bdev)) {
		integrity_io_complete(io);
		return;
	}
	spin_lock_irqsave(&j->lock, flags);
	list_add_tail(&io->flush_list, &j->discards_unflushed);
	/* Under the lock: once it is free the io may end, and the device go. */
	queue_work(ic->flush_wq, &j->discard_work);
	spin_unlock_irqrestore(&j->lock, flags);
}

/* The range is held. */
static void discard_go(struct integrity_io *io)
{
	integrity_io_queue(io, discard_tags);
}

static void discard_try(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	struct integrity_journal *j = &ic->journal;
	unsigned long flags;

	if (unlikely(atomic_read(&ic->failed))) {
		integrity_io_error(io, -EIO);
		integrity_io_end(io);
		return;
	}
	if (has_older_copy(io)) {
		spin_lock_irqsave(&j->lock, flags);
		list_add_tail(&io->flush_list, &j->discards_waiting);
		integrity_journal_reclaim(ic);
		spin_unlock_irqrestore(&j->lock, flags);
		return;
	}
	io->step = discard_go;
	if (integrity_range_lock(&ic->ranges, &io->range, io->sector, io->sectors, false))
		discard_go(io);
}

/* journal.lock is held; all that waited for it are called again. */
void integrity_journal_wake_discards(struct dm_integrity_c *ic)
{
	struct integrity_io *io, *next;

	list_for_each_entry_safe(io, next, &ic->journal.discards_waiting, flush_list) {
		list_del(&io->flush_list);
		integrity_io_queue(io, discard_try);
	}
}

int integrity_journal_discard(struct integrity_io *io)
{
	struct integrity_journal *j = &io->ic->journal;
	const struct integrity_journal_ring *ring = &j->ring;
	unsigned long flags;

	spin_lock_irqsave(&j->lock, flags);
	io->until = j->retired + ring->committed + ring->filled + !!ring->fill_entry;
	spin_unlock_irqrestore(&j->lock, flags);
	integrity_io_queue(io, discard_try);
	return DM_MAPIO_SUBMITTED;
}

void integrity_journal_discard_setup(struct dm_integrity_c *ic)
{
	INIT_LIST_HEAD(&ic->journal.discards_waiting);
	INIT_LIST_HEAD(&ic->journal.discards_unflushed);
	INIT_WORK(&ic->journal.discard_work, discard_flush);
}
