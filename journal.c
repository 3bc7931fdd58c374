// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mode J: writes go to the journal first, with their tags, so that a crash leaves every block
 * either old or new, with the tag that belongs to it (section 4.6). journal.h describes the whole.
 *
 * journal.lock guards the ring, the table of nodes and the ios that wait for room. Data is copied
 * without it: into entries that nobody else knows yet, and out of sections that are held.
 *
 * Order: nodes of a block are made in the order of the ring, the newest first in its list. One
 * whose entry is not filled yet has no sector, so nobody finds it; who reads meanwhile gets what
 * was there before, as it may: the write is not acknowledged.
 */
#include <linux/highmem.h>

#include "dm-integrity.h"
#include "trace.h"

/* --- the ring: journal.lock is held --- */

/* The section that is being filled takes no more. */
static void close_section(struct dm_integrity_c *ic)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal_ring *ring = &ic->journal.ring;

	ring->free -= l->journal_section_entries - ring->fill_entry;
	ring->fill_entry = 0;
	ring->filled++;
	ring->fill_section = integrity_next_section(l, ring->fill_section);
	if (!ring->fill_section)
		ring->fill_sequence = integrity_sequence_add(ring->fill_sequence, 1);
}

/* The sequence of one of the sections that are filled. */
static u8 filled_sequence(const struct integrity_journal_ring *ring, u32 section)
{
	return section < ring->fill_section ? ring->fill_sequence :
					      integrity_sequence_add(ring->fill_sequence, -1);
}

void integrity_journal_reclaim(struct dm_integrity_c *ic)
{
	if (ic->journal.reclaiming)
		return;
	ic->journal.reclaiming = true;
	queue_work(ic->journal.writeback_wq, &ic->journal.writeback_work);
}

/* Entries that were taken for blocks of a write. */
struct entries {
	u32 section;
	u32 first;
	u32 count;
};

/*
 * Take up to @blocks entries of one section for blocks from @sector on. Return: false when there
 * is no room.
 */
static bool take_entries(struct dm_integrity_c *ic, u64 sector, u32 blocks, struct entries *e)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	struct integrity_journal_ring *ring = &j->ring;
	struct integrity_journal_node *node;
	u32 i;

	if (!ring->free)
		return false;
	e->section = ring->fill_section;
	e->first = ring->fill_entry;
	e->count = min(blocks, l->journal_section_entries - ring->fill_entry);

	node = &j->node[(u64)e->section * l->journal_section_entries + e->first];
	for (i = 0; i < e->count; i++, node++, sector += integrity_block_sectors(l))
		hlist_add_head(&node->link, integrity_journal_bucket(l, j, sector));
	WRITE_ONCE(j->nodes, j->nodes + e->count);
	atomic_inc(&j->section[e->section].filling);

	ring->fill_entry += e->count;
	ring->free -= e->count;
	if (ring->fill_entry == l->journal_section_entries)
		close_section(ic);
	if (ring->free <= j->threshold)
		integrity_journal_reclaim(ic);
	return true;
}

/* --- write --- */

/* Fill entry @n with the next block of the bio. */
static int fill_entry(struct integrity_io *io, u32 section, u32 n, u64 sector)
{
	struct dm_integrity_c *ic = io->ic;
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	u8 *raw = integrity_journal_raw(l, j, section);
	u8 *data = raw + integrity_entry_data_offset(l, n);
	u8 *to = raw + integrity_entry_tag_offset(l, n);
	u8 tag[INTEGRITY_TAG_BYTES] INTEGRITY_UNCLEARED;
	int r = 0;

	integrity_bio_read_block(ic, integrity_io_bio(io), &io->saved.iter, data);
	if (ic->tags.hash) {
		/* Of the copy: the caller may change its pages while we compute. */
		r = integrity_tag_of_data(ic, sector, data, tag);
		if (!r)
			memcpy(to, tag, l->tag_size);
	} else if (io->saved.integrity) {
		integrity_payload_get(io, sector, to);
	} else {
		memset(to, 0, l->tag_size);
	}
	if (r) {
		integrity_entry_set_unused(l, raw, n);
		return r;
	}
	integrity_entry_fill(l, raw, n, sector);
	integrity_node_publish(&j->node[(u64)section * l->journal_section_entries + n], sector);
	return 0;
}

static void fill_entries(struct integrity_io *io, const struct entries *e)
{
	struct dm_integrity_c *ic = io->ic;
	struct integrity_journal *j = &ic->journal;
	u32 step = integrity_block_sectors(&ic->layout), i;

	for (i = 0; i < e->count; i++) {
		integrity_io_error(io, fill_entry(io, e->section, e->first + i,
						  io->sector + io->done));
		io->done += step;
	}
	/* Pairs with the barrier in wait_event() of the commit. */
	if (atomic_dec_and_test(&j->section[e->section].filling) && wq_has_sleeper(&j->wait))
		wake_up_all(&j->wait);
}

static void write_called(struct integrity_io *io);

/*
 * The first in line, if there is any, may take its room; when it has, it calls the next. So a line
 * is served in its order, whoever comes meanwhile. There are two, which are served in turn: a small
 * write does not stand behind all that a deep queue of large ones holds. journal.lock is held.
 */
static void call_next(struct integrity_journal *j)
{
	bool large = list_empty(&j->waiting[j->large_next]) ? !j->large_next : j->large_next;
	struct integrity_io *io;

	io = list_first_entry_or_null(&j->waiting[large], struct integrity_io, flush_list);
	j->called = io;
	if (io) {
		j->large_next = !large;
		list_del(&io->flush_list);
		integrity_io_queue(io, write_called);
	}
}

void integrity_journal_wake(struct dm_integrity_c *ic)
{
	if (!ic->journal.called)
		call_next(&ic->journal);
}

/*
 * Copy what there is room for, and wait in line for the rest. Holds nothing meanwhile: what is
 * already in the journal is committed and written back as any other. @called: it was in line.
 */
static void write_some(struct integrity_io *io, bool called)
{
	struct dm_integrity_c *ic = io->ic;
	struct integrity_journal *j = &ic->journal;
	struct list_head *line = &j->waiting[io->sectors > ic->small_sectors];
	u32 lspb = ic->layout.log2_sectors_per_block, left;
	unsigned long flags;
	struct entries e;

	while (io->done < io->sectors) {
		bool first = !called && !io->done, wait;

		if (unlikely(atomic_read(&ic->failed))) {
			integrity_io_error(io, -EIO);
			break;
		}
		left = io->sectors - io->done;
		spin_lock_irqsave(&j->lock, flags);
		/* Nobody who comes later overtakes those that wait. */
		wait = first && (j->called || integrity_journal_waited_for(j));
		if (!wait && !take_entries(ic, io->sector + io->done, left >> lspb, &e)) {
			wait = true;
			integrity_journal_reclaim(ic);
		}
		if (wait) {
			if (first)
				list_add_tail(&io->flush_list, line);
			else
				list_add(&io->flush_list, line);
			if (called)
				j->called = false;
			spin_unlock_irqrestore(&j->lock, flags);
			return;
		}
		if (called && e.count == left >> lspb) {
			call_next(j);
			called = false;
		}
		spin_unlock_irqrestore(&j->lock, flags);
		fill_entries(io, &e);
		cond_resched();
	}
	if (called) {
		spin_lock_irqsave(&j->lock, flags);
		call_next(j);
		spin_unlock_irqrestore(&j->lock, flags);
	}
	if (io->done)
		integrity_commit_soon(ic);
	/* Who reads it gets this copy. What is on the disk is stored anew at write-back. */
	if (!io->error)
		integrity_check_stored(ic, io->sector, io->sectors);
	integrity_io_end(io);
}

static void write_called(struct integrity_io *io)
{
	write_some(io, true);
}

static void write_now(struct integrity_io *io)
{
	write_some(io, false);
}

static int journal_write(struct integrity_io *io)
{
	integrity_io_record(io);
	/* What is large is copied and hashed by a worker, while the next one comes. */
	if (io->sectors <= io->ic->small_sectors)
		write_now(io);
	else
		integrity_io_queue(io, write_now);
	return DM_MAPIO_SUBMITTED;
}

/* --- read --- */

/*
 * Find the newest copy of the block at @sector, and hold its section. Return: the node, or NULL.
 */
static struct integrity_journal_node *find_copy(struct dm_integrity_c *ic, u64 sector,
						u32 *section)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	struct hlist_head *bucket = integrity_journal_bucket(l, j, sector);
	struct integrity_journal_node *node, *found = NULL;
	unsigned long flags;

	spin_lock_irqsave(&j->lock, flags);
	hlist_for_each_entry(node, bucket, link) {
		if (integrity_node_sector(node) != sector)
			continue;
		found = node;
		*section = div_u64(node - j->node, l->journal_section_entries);
		atomic_inc(&j->section[*section].readers);
		break;
	}
	spin_unlock_irqrestore(&j->lock, flags);
	return found;
}

/* There may be a copy of the block. As with an empty table, see journal_read(). */
static bool may_have_copy(struct dm_integrity_c *ic, u64 sector)
{
	return !hlist_empty(integrity_journal_bucket(&ic->layout, &ic->journal, sector));
}

/* Copy the block at @sector from the journal to the bio at @iter. Return: is it there. */
static bool copy_block(struct integrity_io *io, u64 sector, struct bvec_iter iter)
{
	struct dm_integrity_c *ic = io->ic;
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	struct integrity_journal_node *node;
	struct bio *bio = integrity_io_bio(io);
	const u8 *raw, *last;
	u32 section, n, k;

	node = find_copy(ic, sector, &section);
	if (!node)
		return false;

	raw = integrity_journal_raw(l, j, section);
	n = node - j->node - (u64)section * l->journal_section_entries;
	integrity_bio_write(bio, iter, raw + integrity_entry_data_offset(l, n),
			    integrity_block_bytes(l));
	/* The ends of the sectors may be commit ids already: the entry has what was there. */
	last = raw + integrity_entry_last_offset(l, n);
	for (k = 0; k < integrity_block_sectors(l); k++, last += INTEGRITY_LAST_BYTES) {
		bio_advance_iter(bio, &iter, INTEGRITY_COMMIT_ID_OFFSET);
		integrity_bio_write(bio, iter, last, INTEGRITY_LAST_BYTES);
		bio_advance_iter(bio, &iter, INTEGRITY_LAST_BYTES);
	}
	if (io->saved.integrity)
		integrity_payload_put(io, sector, raw + integrity_entry_tag_offset(l, n));

	/* Pairs with the barrier in wait_event() of the write-back. */
	if (atomic_dec_and_test(&j->section[section].readers) && wq_has_sleeper(&j->wait))
		wake_up_all(&j->wait);
	return true;
}

static bool overlay_block(struct integrity_io *io, u64 sector, struct bvec_iter iter)
{
	return may_have_copy(io->ic, sector) && copy_block(io, sector, iter);
}

static void mixed_verify(struct integrity_io *io)
{
	integrity_io_verify(io);
	integrity_io_complete(io);
}

static void mixed_endio(struct bio *bio)
{
	struct integrity_io *io = integrity_io_of(bio);

	integrity_io_restore(io);
	integrity_io_queue(io, mixed_verify);
}

/* The range of all blocks is held: none of them is written back. */
static void read_mixed(struct integrity_io *io)
{
	integrity_io_submit(io, mixed_endio);
}

static int journal_read(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	u32 step = integrity_block_sectors(&ic->layout), found = 0, done;
	struct bio *bio = integrity_io_bio(io);
	struct bvec_iter iter;

	/*
	 * What was acknowledged before this read began is in the table or on the disk, so an empty
	 * table needs no second look.
	 */
	if (!READ_ONCE(ic->journal.nodes))
		return integrity_direct_read(io);

	integrity_io_record(io);
	iter = io->saved.iter;
	for (done = 0; done < io->sectors; done += step) {
		found += overlay_block(io, io->sector + done, iter);
		bio_advance_iter(bio, &iter, integrity_block_bytes(&ic->layout));
	}
	if (!found)
		return integrity_direct_read(io);
	if (found == io->sectors >> ic->layout.log2_sectors_per_block) {
		integrity_io_end(io);
		return DM_MAPIO_SUBMITTED;
	}

	/*
	 * Read all of it from the disk, then look again: a block that was here may have been
	 * written back before the range was granted, and is on the disk now.
	 */
	io->mixed = true;
	io->verify = integrity_io_to_verify(io);
	io->step = read_mixed;
	if (integrity_range_lock(&ic->ranges, &io->range, io->sector, io->sectors, true))
		read_mixed(io);
	return DM_MAPIO_SUBMITTED;
}

/* --- commit --- */

static int seal_section(struct dm_integrity_c *ic, u32 section, u8 sequence, u32 entries)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	u8 *raw = integrity_journal_raw(l, j, section);

	/*
	 * Writes fill their entries where they took them, a section's at most, without sleeping:
	 * not for long.
	 */
	wait_event(j->wait, !atomic_read_acquire(&j->section[section].filling));
	if (entries < l->journal_section_entries)
		integrity_section_pad(l, raw, entries);
	return integrity_section_seal(ic, raw, section, sequence);
}

static int commit_sections(struct dm_integrity_c *ic)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	struct integrity_journal_ring *ring = &j->ring, now;
	u32 first, count, section, entries = l->journal_section_entries, i;
	int r = 0;

	spin_lock_irq(&j->lock);
	if (ring->fill_entry) {
		entries = ring->fill_entry;
		close_section(ic);
	}
	now = *ring;
	spin_unlock_irq(&j->lock);
	count = now.filled;
	if (!count)
		return 0;

	first = now.tail + now.committed;
	if (first >= l->journal_sections)
		first -= l->journal_sections;
	for (i = 0, section = first; i < count && !r; i++) {
		/* Only the last one may be in part. */
		r = seal_section(ic, section, filled_sequence(&now, section),
				 i == count - 1 ? entries : l->journal_section_entries);
		section = integrity_next_section(l, section);
	}
	if (!r)
		r = integrity_sections_write(ic, first, count);
	trace_dm_integrity_journal_commit(ic, first, count, r);
	if (r)
		return r;
	j->written = true;

	spin_lock_irq(&j->lock);
	ring->committed += count;
	ring->filled -= count;
	spin_unlock_irq(&j->lock);
	return 0;
}

int integrity_journal_commit(struct dm_integrity_c *ic)
{
	struct integrity_journal *j = &ic->journal;
	int r;

	mutex_lock(&j->commit_lock);
	r = atomic_read(&ic->failed);
	if (!r) {
		r = commit_sections(ic);
		if (r)
			integrity_fail(ic, "writing the journal", integrity_no_mismatch(r));
	}
	mutex_unlock(&j->commit_lock);
	return r;
}

/* --- life --- */

/* Nothing is in flight. Leave an empty journal, and everything at its place. */
static int journal_stop(struct dm_integrity_c *ic)
{
	struct integrity_journal *j = &ic->journal;
	int r;

	queue_work(j->writeback_wq, &j->writeback_work);
	flush_workqueue(j->writeback_wq);
	/*
	 * One that fails has queued itself once more. Also of a device that failed nothing may go
	 * on: another table takes over now.
	 */
	flush_workqueue(j->writeback_wq);
	r = atomic_read(&ic->failed);
	if (!r)
		r = integrity_flush(ic);
	if (!r && j->written) {
		r = integrity_journal_clear(ic);
		if (r)
			integrity_fail(ic, "clearing the journal, in which nothing is needed",
				       integrity_no_mismatch(r));
	}
	return r;
}

/* Those that wait for room will get none. */
static void journal_failed(struct dm_integrity_c *ic)
{
	queue_work(ic->journal.writeback_wq, &ic->journal.writeback_work);
}

void integrity_journal_setup(struct dm_integrity_c *ic)
{
	struct integrity_journal *j = &ic->journal;

	spin_lock_init(&j->lock);
	mutex_init(&j->commit_lock);
	init_waitqueue_head(&j->wait);
	INIT_LIST_HEAD(&j->waiting[false]);
	INIT_LIST_HEAD(&j->waiting[true]);
	integrity_journal_discard_setup(ic);
	INIT_WORK(&j->writeback_work, integrity_journal_writeback);
}

const struct integrity_mode integrity_mode_journal = {
	.letter = 'J',
	.keeps_journal = true,
	.read = journal_read,
	.write = journal_write,
	.discard = integrity_journal_discard,
	.flush = integrity_journal_commit,
	.commit = integrity_journal_commit,
	.stop = journal_stop,
	.failed = journal_failed,
	.overlay = overlay_block,
};
