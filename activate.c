// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a resume makes of what is on the disk: the size (section 1.7), the journal (4.8) or the
 * bitmap (5.3) that an earlier life left, and what is to be recalculated (6.1).
 *
 * recalc.control is held and no I/O is let in, so nothing here takes a lock of its own. Another
 * table may have been live since the constructor, so everything is read again.
 *
 * integrity_activation_plan() decides; the order of writes is here. Flag 0x04 says whether the area
 * behind the superblock holds a bitmap. It is set before the first byte of a bitmap is written, and
 * cleared after the last one of the journal that replaces it, so that half a bitmap is never taken
 * for a journal. A crash in between leaves an area that is read as bits although it has none. That
 * loses nothing when all tags are valid: some are made again, and what was damaged there is no
 * longer found. Where some are not valid, a granularity that no table has is stored for that time,
 * which makes all of it dirty. A journal that the disk does not take gives way to the bits again;
 * whether it will take a bitmap is tried before.
 */
#include "dm-integrity.h"

/*
 * Compute the size anew: a device may have grown or shrunk. The rest of the layout cannot
 * change.
 */
static int fit_again(struct dm_integrity_c *ic, char *why, size_t why_size)
{
	struct integrity_layout now = ic->layout;
	int r;

	now.data_sectors = bdev_nr_sectors(ic->data_dev->bdev);
	now.meta_sectors = bdev_nr_sectors(integrity_meta_bdev(ic));
	r = integrity_layout_fit(&now);
	/* Grown beyond what there is room for tags of: what was provided so far still can be. */
	if ((r || now.log2_buffer < ic->layout.log2_buffer) &&
	    now.data_sectors >= ic->layout.data_sectors &&
	    now.meta_sectors >= ic->layout.meta_sectors)
		return 0;
	if (r || now.log2_buffer < ic->layout.log2_buffer || now.provided_sectors < ic->ti->len) {
		snprintf(why, why_size,
			 "the device is too small now: %llu sectors, metadata on %llu",
			 now.data_sectors, now.meta_sectors);
		return r ?: -ENOSPC;
	}
	ic->layout.data_sectors = now.data_sectors;
	ic->layout.meta_sectors = now.meta_sectors;
	ic->layout.provided_sectors = now.provided_sectors;
	return 0;
}

/* What was found, and what became of it. */
struct activation {
	struct integrity_activation plan;
	u64 stored_sectors;		/* provided_data_sectors of the superblock */
	u64 stored_position;		/* recalc_sector, as it is used */
	bool stored_flag;		/* SB_FLAG_RECALCULATING */
	bool stored_keyed;		/* SB_FLAG_DISCARD_KEYED */
	bool moved;			/* the position was not within the volume */
};

static void find_position(struct dm_integrity_c *ic, struct activation *a)
{
	u64 provided = ic->layout.provided_sectors;

	a->stored_flag = integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING;
	a->stored_keyed = integrity_sb_flags(ic) & INTEGRITY_SB_DISCARD_KEYED;
	a->stored_position = integrity_sb_recalc_sector(ic);
	a->moved = a->stored_flag && a->stored_position > provided;
	if (a->moved)
		a->stored_position = provided;
	/* No implementation stores a position within a block, but a disk can hold anything. */
	if (a->stored_position < provided)
		a->stored_position = round_down(a->stored_position, INTEGRITY_SB_SECTORS);
}

static int find(struct dm_integrity_c *ic, struct activation *a, char *why, size_t why_size)
{
	struct integrity_activation *plan = &a->plan;
	struct integrity_bitmap *b = &ic->bitmap;
	u64 first;
	int r;

	find_position(ic, a);
	a->stored_sectors = le64_to_cpu(ic->sb.image->provided_data_sectors);
	integrity_bitmap_geometry(&ic->layout, ic->params.sectors_per_bit, &b->g);

	plan->bitmap_mode = ic->mode->keeps_bitmap;
	plan->in_use = ic->sb.bitmap_in_use;
	/* A table can ask for the one that is stored while the bits mean nothing. */
	plan->same_granularity = ic->sb.log2_blocks_per_bit == b->g.log2_blocks_per_bit &&
				 ic->sb.log2_blocks_per_bit !=
					 integrity_bitmap_no_granularity(&ic->layout);
	plan->requested = ic->recalc_pending && !ic->read_only &&
			  (!a->stored_flag || ic->params.reset_recalculate);
	plan->provided_sectors = ic->layout.provided_sectors;
	plan->first_dirty = U64_MAX;
	plan->recalculating = a->stored_flag;
	plan->recalc_sector = a->stored_position;

	if (!plan->bitmap_mode && !(plan->in_use && plan->same_granularity))
		return 0;
	r = integrity_bitmap_alloc(ic, why, why_size);
	if (r || !plan->in_use || !plan->same_granularity)
		return r;
	integrity_bitmap_load(ic, min(a->stored_sectors, ic->layout.provided_sectors));
	first = integrity_bits_next(b->map, 0, b->g.bits, true);
	if (first < b->g.bits)
		plan->first_dirty = first << b->g.log2_sectors_per_bit;
	return 0;
}

static int store(struct dm_integrity_c *ic, const struct activation *a, bool in_use, u8 granularity)
{
	ic->sb.bitmap_in_use = in_use;
	ic->sb.log2_blocks_per_bit = granularity;
	return integrity_sb_store(ic, a->plan.recalculating, a->plan.recalc_sector);
}

/* A bitmap takes the place of an empty journal, or of bits of another granularity. */
static int begin_bitmap(struct dm_integrity_c *ic, const struct activation *a)
{
	u8 granularity = ic->bitmap.g.log2_blocks_per_bit;
	int r;

	r = store(ic, a, true, a->plan.cover ? integrity_bitmap_no_granularity(&ic->layout) :
					       granularity);
	if (!r)
		r = integrity_bitmap_store(ic, 0);
	if (!r && a->plan.cover)
		r = store(ic, a, true, granularity);
	return r;
}

/* The bitmap that is on the disk is used on. */
static int adopt_bitmap(struct dm_integrity_c *ic, const struct activation *a)
{
	u64 added = integrity_bit(&ic->bitmap.g, a->stored_sectors);
	int r = 0;

	/* Of a volume that is smaller now the map has less than the superblock still counts. */
	if (a->stored_sectors <= ic->layout.provided_sectors)
		integrity_bitmap_store_unread(ic);
	/* Bits of what was added are there before the size is. */
	if (a->stored_sectors < ic->layout.provided_sectors)
		r = integrity_bitmap_store(ic, added / INTEGRITY_BITMAP_BLOCK_BITS);
	/* What was read counts as stable, and may have come from the disk's cache. */
	return r ?: blkdev_issue_flush(integrity_meta_bdev(ic));
}

/* From bitmap to journal. */
static int end_bitmap(struct dm_integrity_c *ic, const struct activation *a)
{
	u8 granularity = ic->sb.log2_blocks_per_bit;
	int r = 0;

	/* A crash half way through the last such change may have left that one. */
	if (granularity == integrity_bitmap_no_granularity(&ic->layout))
		granularity = ic->bitmap.g.log2_blocks_per_bit;
	/* Who cannot have the bits again keeps them; see adopt_bitmap() for the size. */
	if (a->plan.cover && a->plan.same_granularity &&
	    a->stored_sectors <= ic->layout.provided_sectors)
		r = integrity_bitmap_store(ic, 0);
	if (!r && a->plan.cover)
		r = store(ic, a, true, integrity_bitmap_no_granularity(&ic->layout));
	if (r)
		return r;
	r = integrity_journal_restart(ic);
	if (!r)
		return store(ic, a, false, granularity);
	/* Half of it would be read as bits. Those come back, and the superblock that was found. */
	if (a->plan.same_granularity && !atomic_read(&ic->failed) &&
	    !integrity_bitmap_store(ic, 0)) {
		ic->sb.log2_blocks_per_bit = granularity;
		integrity_sb_store(ic, a->stored_flag, a->stored_position);
	}
	return r;
}

/* What the bitmap is to be in memory; tags are made from @mark on. */
static void prepare_bitmap(struct dm_integrity_c *ic, const struct activation *a, u64 mark)
{
	switch (a->plan.bitmap) {
	case INTEGRITY_BITMAP_NEW:
		if (a->plan.recalculating)
			integrity_bitmap_mark_from(ic, mark);
		break;
	case INTEGRITY_BITMAP_ADOPT:
		integrity_bitmap_recover(ic);
		break;
	case INTEGRITY_BITMAP_FILL:
		integrity_bitmap_mark_from(ic, 0);
		break;
	case INTEGRITY_BITMAP_NONE:
		break;
	}
}

static int carry_out(struct dm_integrity_c *ic, const struct activation *a)
{
	const struct integrity_activation *plan = &a->plan;
	int r = 0;

	switch (plan->bitmap) {
	case INTEGRITY_BITMAP_NEW:
	case INTEGRITY_BITMAP_FILL:
		return begin_bitmap(ic, a);
	case INTEGRITY_BITMAP_ADOPT:
		r = adopt_bitmap(ic, a);
		return r ?: store(ic, a, true, ic->bitmap.g.log2_blocks_per_bit);
	case INTEGRITY_BITMAP_NONE:
		break;
	}
	if (plan->new_journal)
		return end_bitmap(ic, a);
	if (a->moved || ic->sb.discard_keyed != a->stored_keyed ||
	    a->stored_sectors != ic->layout.provided_sectors ||
	    plan->recalculating != a->stored_flag || plan->recalc_sector != a->stored_position)
		r = integrity_sb_store(ic, plan->recalculating, plan->recalc_sector);
	return r;
}

/* Has all that there was before the volume has grown its tags, by the disk or the last resume. */
static bool has_only_grown(struct dm_integrity_c *ic, const struct activation *a)
{
	if (!a->stored_flag || a->plan.in_use || a->plan.requested)
		return false;
	return a->stored_position >= round_down(a->stored_sectors, INTEGRITY_SB_SECTORS) ||
	       (ic->activated && integrity_recalc_mark(&ic->recalc) >= a->stored_sectors);
}

/*
 * May what is pending be made; *@mark is what is verified from now on. Where the key does not
 * allow it and the volume has only grown, under a table that was live already or that is
 * read-only, the new end is verified like the rest: it cannot be read before it is written.
 */
static int may_recalculate(struct dm_integrity_c *ic, const struct activation *a, u64 *mark,
			   char *why, size_t why_size)
{
	const struct integrity_activation *plan = &a->plan;
	int r;

	*mark = plan->recalc_sector;
	if (plan->recalculating && !ic->tags.hash) {
		snprintf(why, why_size, "tags are to be recalculated, which needs internal_hash");
		return -EINVAL;
	}
	if (!plan->recalculating || plan->recalc_sector >= plan->provided_sectors ||
	    (plan->in_use && !plan->requested && integrity_recovery_permitted(ic)))
		return 0;
	r = integrity_recalc_permitted(ic);
	if (r && has_only_grown(ic, a) && (ic->activated || ic->read_only)) {
		DMWARN("%s: has grown, but the keyed hash does not allow to recalculate the new end",
		       integrity_name(ic));
		*mark = plan->provided_sectors;
		r = 0;
	}
	if (r)
		snprintf(why, why_size, "a keyed hash does not allow the pending recalculation");
	return r;
}

int integrity_activate(struct dm_integrity_c *ic, char *why, size_t why_size)
{
	struct activation a = { };
	u64 mark;
	int r;

	if (ic->mode->inline_tags) {
		r = integrity_inline_check(ic, why, why_size);
		if (r)
			return r;
	}
	r = integrity_sb_reload(ic, why, why_size);
	if (r && r != -EINVAL && r != -EILSEQ && (ic->activated || ic->mode->as_it_is)) {
		/*
		 * While this table was live nobody else wrote: it has what was stored last. And
		 * mode R takes what there is.
		 */
		DMERR("%s: %s; going on with the superblock in memory", integrity_name(ic), why);
		r = 0;
	}
	if (!r)
		r = fit_again(ic, why, why_size);
	if (!r && ic->mode->as_it_is) {
		find_position(ic, &a);
		ic->recalc_pending = false;
		integrity_recalc_load(ic, a.stored_flag, a.stored_position);
		return 0;
	}
	if (!r)
		r = find(ic, &a, why, why_size);
	if (r)
		return r;

	integrity_activation_plan(&a.plan);
	/* Once. But another table may have left a journal since an activation that failed. */
	if (a.plan.replay && !ic->activated && ic->layout.journal_sections)
		r = integrity_journal_replay(ic, why, why_size);
	if (!r)
		r = may_recalculate(ic, &a, &mark, why, why_size);
	if (r)
		return r;

	/* Before anything is changed. */
	if (!ic->read_only && a.plan.bitmap == INTEGRITY_BITMAP_NEW)
		r = integrity_bitmap_probe(ic, 0);
	else if (!ic->read_only && a.plan.bitmap == INTEGRITY_BITMAP_FILL)
		r = integrity_bitmap_probe(ic, 0xff);
	prepare_bitmap(ic, &a, mark);
	if (!ic->read_only) {
		r = r ?: carry_out(ic, &a);
		if (r) {
			snprintf(why, why_size,
				 "cannot write superblock, bitmap or journal (error %d)", r);
			return r;
		}
		ic->bitmap.live = ic->mode->keeps_bitmap;
	}
	integrity_journal_activated(ic);
	if (!ic->mode->keeps_bitmap)
		integrity_bitmap_free(ic);
	ic->recalc_pending = false;
	integrity_recalc_load(ic, a.plan.recalculating, mark);
	return 0;
}
