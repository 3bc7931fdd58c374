// SPDX-License-Identifier: GPL-2.0-only
/*
 * The journal at activation: what an earlier life left in it is written to its place (section
 * 4.8). And the empty journal: of a new volume, after a replay, at a clean suspend.
 *
 * A sector that cannot be read, has a commit id that is none, or an entry whose tag does not match
 * its data costs what is in it and no more. What cannot be trusted is not replayed: a block is
 * written with a tag that belongs to it, or not at all. What is lost is logged and counted. Only
 * when the order of the sections cannot be told, or not even how many there are, or when nothing
 * matches, as with another hash or key, is nothing replayed, and the volume refused.
 *
 * Order of writes: data and tags of all entries; a flush of both devices; only then is the
 * journal changed. So a crash repeats the replay, which gives the same. An erase then goes in
 * steps (integrity_erase_step()), so that one that was interrupted is not taken for a journal.
 */
#include <linux/rbtree.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "dm-integrity.h"

/* --- the empty journal --- */

/* Make @count sections empty, in memory and on the disk; durable on return. */
static int write_empty(struct dm_integrity_c *ic, u32 first, u32 count, u8 sequence)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	u32 section = first, i;
	int r = 0;

	for (i = 0; i < count && !r; i++) {
		u8 *raw = integrity_journal_raw(l, j, section);

		integrity_section_clear(l, raw);
		r = integrity_section_seal(ic, raw, section, sequence);
		section = integrity_next_section(l, section);
		cond_resched();
	}
	return r ?: integrity_sections_write(ic, first, count);
}

/* The same of all sections, one after the other in the same memory. There is no cipher. */
static int write_empty_with_spare(struct dm_integrity_c *ic)
{
	const struct integrity_layout *l = &ic->layout;
	u8 *raw = ic->journal.spare;
	u32 section;
	int r = 0;

	/* The area of a mode without either is gone after the first activation. */
	if (!raw)
		return -EINVAL;
	for (section = 0; section < l->journal_sections && !r; section++) {
		integrity_section_clear(l, raw);
		r = integrity_section_seal(ic, raw, section, 0);
		if (!r)
			r = integrity_sync_io(ic, integrity_meta_bdev(ic), REQ_OP_WRITE,
					      integrity_journal_section_sector(l, section),
					      l->journal_section_sectors, raw);
		cond_resched();
	}
	/* One flush for all of them: no tag is dirty by now. */
	return r ?: integrity_tags_flush(ic);
}

int integrity_journal_format(struct dm_integrity_c *ic)
{
	if (!ic->journal.area)
		return write_empty_with_spare(ic);
	return write_empty(ic, 0, ic->layout.journal_sections, 0);
}

/*
 * As if the next round of the ring were already written, with nothing in it: a replay that comes
 * on it goes around all of it and continues where we would.
 */
int integrity_journal_clear(struct dm_integrity_c *ic)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	const struct integrity_journal_ring *ring = &j->ring;
	u32 at = ring->fill_section;
	int r;

	mutex_lock(&j->commit_lock);
	r = write_empty(ic, at, l->journal_sections - at, ring->fill_sequence);
	if (!r)
		r = write_empty(ic, 0, at, integrity_sequence_add(ring->fill_sequence, 1));
	if (!r) {
		j->written = false;
		/* If this table is resumed, what it writes next is the round after that. */
		j->ring.fill_sequence = integrity_sequence_add(j->ring.fill_sequence, 1);
	}
	mutex_unlock(&j->commit_lock);
	return r;
}

static int erase(struct dm_integrity_c *ic, const struct integrity_replay_plan *plan)
{
	u32 step, section, count;
	int r = 0;

	for (step = 0; step < INTEGRITY_ERASE_STEPS && !r; step++) {
		count = integrity_erase_step(&ic->layout, plan->first, step, &section);
		r = write_empty(ic, section, count, plan->erase_sequence);
	}
	return r;
}

int integrity_journal_may_go_on(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

/* --- what is lost --- */

/*
 * Blocks whose copy in the journal is lost, while it is known whose copy it was. The block may be
 * at its place already, so an older copy is not to be put over it. How many there are, and which,
 * the disk says: so a tree.
 */
struct lost_block {
	struct rb_node node;
	u64 sector;
	u64 age;			/* of its newest lost copy, see entry_age() */
};

static u64 entry_age(const struct integrity_layout *l, u32 nth, u32 n)
{
	return (u64)nth * l->journal_section_entries + n;
}

static struct lost_block *find_lost(const struct rb_root *lost, u64 sector)
{
	struct rb_node *node = lost->rb_node;

	while (node) {
		struct lost_block *b = rb_entry(node, struct lost_block, node);

		if (sector == b->sector)
			return b;
		node = sector < b->sector ? node->rb_left : node->rb_right;
	}
	return NULL;
}

/* Copies are told of from the oldest to the newest. Return: 0 or -ENOMEM. */
static int remember_lost(struct rb_root *lost, u64 sector, u64 age)
{
	struct rb_node **link = &lost->rb_node, *parent = NULL;
	struct lost_block *b;

	while (*link) {
		parent = *link;
		b = rb_entry(parent, struct lost_block, node);
		if (sector == b->sector) {
			b->age = age;
			return 0;
		}
		link = sector < b->sector ? &parent->rb_left : &parent->rb_right;
	}
	b = kmalloc(sizeof(*b), GFP_NOIO);
	if (!b)
		return -ENOMEM;
	b->sector = sector;
	b->age = age;
	rb_link_node(&b->node, parent, link);
	rb_insert_color(&b->node, lost);
	return 0;
}

static void forget_lost(struct rb_root *lost)
{
	struct lost_block *b, *next;

	rbtree_postorder_for_each_entry_safe(b, next, lost, node)
		kfree(b);
	*lost = RB_ROOT;
}

/* --- replay --- */

struct replay {
	struct integrity_writeback wb;
	struct rb_root lost;		/* of struct lost_block */
	u32 nth;			/* section of the run */
	u8 sequence;			/* that it has */
};

static void lose(struct dm_integrity_c *ic, u32 section, u32 n, const char *why)
{
	ic->journal.lost++;
	DMERR_LIMIT("%s: journal entry %u of section %u is lost: %s", integrity_name(ic), n,
		    section, why);
}

static void lose_for_mismatch(struct dm_integrity_c *ic, u32 section, u32 n, const char *why)
{
	lose(ic, section, n, why);
	integrity_count_mismatch(ic);
}

/* Is the entry to be replayed, and to which logical sector. */
static bool is_valid(struct integrity_writeback *wb, u32 n, u64 *sector)
{
	struct replay *replay = container_of(wb, struct replay, wb);
	struct dm_integrity_c *ic = wb->ic;
	struct integrity_journal *j = &ic->journal;
	u32 section = wb->section;
	u8 *raw = integrity_journal_raw(&ic->layout, j, section);
	const struct lost_block *lost;
	int r;

	switch (integrity_entry_verdict(&ic->layout, &j->ids, raw, section, replay->sequence, NULL,
					n, sector)) {
	case INTEGRITY_ENTRY_REPLAY:
		break;
	case INTEGRITY_ENTRY_UNALIGNED:
		lose(ic, section, n, "it names a sector within a block");
		return false;
	case INTEGRITY_ENTRY_DAMAGED:
		lose(ic, section, n, "a sector of its data is damaged");
		return false;
	case INTEGRITY_ENTRY_UNKNOWN:
		lose(ic, section, n, "its metadata sector is damaged");
		return false;
	case INTEGRITY_ENTRY_BEYOND:
	case INTEGRITY_ENTRY_IS_UNUSED:
	default:
		return false;
	}

	lost = find_lost(&replay->lost, *sector);
	if (lost && lost->age > entry_age(&ic->layout, replay->nth, n))
		return false;
	integrity_entry_restore_data(&ic->layout, raw, n);
	r = integrity_journal_compare_entry(ic, raw, n, *sector,
					    raw + integrity_entry_data_offset(&ic->layout, n));
	if (r == -EILSEQ) {
		lose_for_mismatch(ic, section, n, "its tag does not match its data");
		compat_audit_event(DM_MSG_PREFIX, "integrity-replay-journal", ic->ti, 0);
	} else if (r) {
		cmpxchg(&wb->error, 0, r);
	}
	return !r;
}

static u32 take_valid(struct integrity_writeback *wb, u64 *key)
{
	u32 count = 0, n;
	u64 sector;

	for (n = 0; n < wb->ic->layout.journal_section_entries; n++)
		if (is_valid(wb, n, &sector))
			key[count++] = integrity_writeback_key(sector, n);
	return count;
}

static const struct integrity_writeback_source valid_entries = {
	.take = take_valid,
};

/* A section whose MAC does not match may hold anything. */
static void lose_section(struct dm_integrity_c *ic, u32 section)
{
	const struct integrity_layout *l = &ic->layout;
	const u8 *raw = integrity_journal_raw(l, &ic->journal, section);
	u32 n;

	for (n = 0; n < l->journal_section_entries; n++)
		if (integrity_entry_used(l, raw, n))
			lose_for_mismatch(ic, section, n, "the section's MAC does not match");
	compat_audit_event(DM_MSG_PREFIX, "mac-journal", ic->ti, 0);
}

/*
 * Find the blocks whose copies are lost, before any older one is written. Of a section whose MAC
 * does not match nothing is believed, so none of its entries names a block; nor does one whose tag
 * does not match, for its sector may be what is damaged.
 */
static int find_damage(struct replay *replay, const struct integrity_replay_plan *plan)
{
	struct dm_integrity_c *ic = replay->wb.ic;
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	u32 i, n, section;
	const u8 *raw;
	u64 sector;
	u8 sequence;
	int r = 0;

	for (i = 0; i < plan->count && !r; i++) {
		r = integrity_journal_may_go_on();
		if (r)
			break;
		section = integrity_replay_section(l, plan, i, &sequence);
		raw = integrity_journal_raw(l, j, section);
		if (!j->state[section].unknown)
			continue;
		r = integrity_section_check_mac(ic, section);
		if (r == -EILSEQ) {
			r = 0;
			continue;
		}
		for (n = 0; n < l->journal_section_entries && !r; n++)
			if (integrity_entry_verdict(l, &j->ids, raw, section, sequence, NULL, n,
						    &sector) == INTEGRITY_ENTRY_DAMAGED)
				r = remember_lost(&replay->lost, sector, entry_age(l, i, n));
	}
	return r;
}

static int replay_sections(struct dm_integrity_c *ic, const struct integrity_replay_plan *plan)
{
	struct replay replay = { .lost = RB_ROOT };
	struct integrity_writeback *wb = &replay.wb;
	u32 section;
	int r;

	integrity_writeback_begin(wb, ic);
	wb->error = find_damage(&replay, plan);
	for (; replay.nth < plan->count && !READ_ONCE(wb->error); replay.nth++) {
		section = integrity_replay_section(&ic->layout, plan, replay.nth, &replay.sequence);
		r = integrity_journal_may_go_on() ?: integrity_section_check_mac(ic, section);
		if (r == -EILSEQ) {
			lose_section(ic, section);
			continue;
		}
		if (r) {
			cmpxchg(&wb->error, 0, r);
			break;
		}
		integrity_writeback_section(wb, section, &valid_entries);
	}
	r = integrity_writeback_end(wb);
	forget_lost(&replay.lost);
	if (!r && (wb->entries || ic->journal.lost))
		DMINFO("%s: journal: replayed %llu blocks of %u sections, %llu lost",
		       integrity_name(ic), wb->entries, plan->count, ic->journal.lost);
	return r;
}

static int read_sections(struct dm_integrity_c *ic, char *why, size_t why_size)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	u32 section;
	int r = 0;

	for (section = 0; section < l->journal_sections && !r; section++) {
		r = integrity_section_read(ic, section);
		if (!r)
			integrity_section_scan(l, &j->ids, integrity_journal_raw(l, j, section),
					       section, NULL, &j->state[section]);
		r = r ?: integrity_journal_may_go_on();
	}
	if (r)
		snprintf(why, why_size, "cannot read the journal (error %d)", r);
	return r;
}

static void start_ring(struct dm_integrity_c *ic, u32 section, u8 sequence)
{
	struct integrity_journal_ring *ring = &ic->journal.ring;

	memset(ring, 0, sizeof(*ring));
	ring->tail = section;
	ring->fill_section = section;
	ring->fill_sequence = sequence;
	ring->free = (u64)ic->layout.journal_sections * ic->layout.journal_section_entries;
}

/*
 * May the superblock name sections that there are none of? What is behind the journal, tags and
 * data, then looks like damaged sections, and to make them empty would destroy it.
 */
static bool size_in_doubt(struct dm_integrity_c *ic)
{
	const struct integrity_layout *l = &ic->layout;
	u64 unknown = 0;
	u32 section;

	for (section = 0; section < l->journal_sections; section++)
		unknown += ic->journal.state[section].unknown;
	return 2 * unknown >= (u64)l->journal_sections * l->journal_section_sectors ||
	       le64_to_cpu(ic->sb.image->provided_data_sectors) > l->provided_sectors;
}

/* Is there no entry in the journal, nor a place where one could be that is not known. */
static bool nothing_in_it(struct dm_integrity_c *ic)
{
	const struct integrity_section_state *state = ic->journal.state;
	u32 section;

	for (section = 0; section < ic->layout.journal_sections; section++)
		if (state[section].used || state[section].unknown_metadata)
			return false;
	return true;
}

int integrity_journal_restart(struct dm_integrity_c *ic)
{
	int r = integrity_journal_format(ic);

	/* All sections have sequence 0: the round is over, and the next begins. */
	if (!r && ic->mode->keeps_journal)
		start_ring(ic, 0, 1);
	return r;
}

int integrity_journal_replay(struct dm_integrity_c *ic, char *why, size_t why_size)
{
	struct integrity_journal *j = &ic->journal;
	struct integrity_replay_plan plan;
	int r;

	r = read_sections(ic, why, why_size);
	if (r)
		return r;
	r = integrity_replay_plan(&ic->layout, j->state, ic->mode->keeps_journal, &plan);
	if (r) {
		snprintf(why, why_size, "the journal is damaged or not encrypted as the table says: the order of its sections cannot be told");
		return r;
	}
	if (ic->read_only) {
		if (!plan.empty) {
			snprintf(why, why_size, "the journal holds writes that are to be replayed, and the device is read-only");
			return -EROFS;
		}
		return 0;
	}
	if (plan.damaged && size_in_doubt(ic)) {
		snprintf(why, why_size, "the journal is damaged, and may be another size than the superblock says");
		return -EIO;
	}
	if (plan.damaged)
		DMERR("%s: the journal is damaged: what is in its damaged sectors is lost",
		      integrity_name(ic));

	if (!plan.empty) {
		r = integrity_journal_check_keys(ic, &plan, why, why_size);
		if (r)
			return r;
		/* What an earlier try lost has been erased since, and counts. */
		j->lost = 0;
		r = replay_sections(ic, &plan);
		if (r) {
			snprintf(why, why_size, "cannot replay the journal (error %d)", r);
			return r;
		}
		/* What is lost would be so again, and make another kernel refuse the volume. */
		if (j->lost)
			integrity_replay_plan_erase(&plan);
	}
	if (plan.erase) {
		r = erase(ic, &plan);
		/*
		 * No replay could find anything in it, however much of it was erased. A bitmap that
		 * takes its place would have to give way to it again.
		 */
		if (r && !ic->mode->keeps_journal && !ic->mode->keeps_bitmap && nothing_in_it(ic)) {
			DMWARN("%s: cannot write the journal (error %d), in which nothing is",
			       integrity_name(ic), r);
			r = 0;
		}
		if (r) {
			snprintf(why, why_size, "cannot write the journal (error %d)", r);
			return r;
		}
	}
	if (ic->mode->keeps_journal) {
		start_ring(ic, plan.next_section, plan.next_sequence);
		/* What was replayed and not erased goes at the next clean suspend. */
		j->written = !plan.empty && !plan.erase;
	}
	return 0;
}

void integrity_journal_activated(struct dm_integrity_c *ic)
{
	kvfree(ic->journal.state);
	ic->journal.state = NULL;
	if (!ic->mode->keeps_journal)
		integrity_journal_release(ic);
}
