// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mode D: data and tags are written in place, with nothing that ties them together over a crash.
 *
 * A read holds its verified part shared until the tags are compared; a write holds its range
 * exclusively until both data and tags are stored.
 *
 * The short way: when the tags of a small io are in memory, it needs no work item. A read takes
 * a copy of its stored tags along - they cannot change, because its range is held - and is
 * compared with them where the data read ends, or, when it is not so small, in a work item. A write
 * makes and stores its tags before the data is sent. Everything else takes the long way: tags are
 * read in a work item beside the data, and the rest is done there.
 *
 * A discard holds its range as a write does, while its tags are made to say so in a work item, and
 * the data device discards.
 *
 * Order of writes: none between data and tag. A crash may leave either without the other, for
 * any write that was not yet followed by a completed flush; later reads of that block then fail
 * with EILSEQ until it is written again.
 */
#include "dm-integrity.h"

/* --- read --- */

static void read_verify(struct integrity_io *io)
{
	integrity_io_verify(io);
	integrity_io_complete(io);
}

/* The stored tags came along. */
static void read_compare(struct integrity_io *io)
{
	if (integrity_io_matches(io))
		integrity_io_complete(io);
	else
		read_verify(io);
}

static void read_copied_endio(struct bio *bio)
{
	struct integrity_io *io = integrity_io_of(bio);

	integrity_io_restore(io);
	if (io->error || (io->verify <= io->ic->small_sectors && integrity_may_hash() &&
			  integrity_io_matches(io)))
		integrity_io_complete(io);
	else
		integrity_io_queue(io, read_compare);
}

/* The last of a read's two halves: data read, tags on their way into memory. */
static void read_endio(struct bio *bio)
{
	struct integrity_io *io = integrity_io_of(bio);

	integrity_io_restore(io);
	if (atomic_dec_and_test(&io->pending))
		integrity_io_queue(io, read_verify);
}

static void read_tags(struct integrity_io *io)
{
	integrity_tag_prefetch(io->ic, io->sector, io->verify);
	if (atomic_dec_and_test(&io->pending))
		read_verify(io);
}

/* Copy the tags to io->tags if none has to be waited for. */
static bool load_tags(struct integrity_io *io)
{
	struct integrity_tag_cursor cur;
	int r;

	integrity_tag_cursor_init(&cur, io->ic);
	integrity_tag_cursor_nowait(&cur);
	r = integrity_tags_load(&cur, io->sector, io->verify, io->tags);
	integrity_tag_cursor_done(&cur);
	return !r;
}

/* The range is held. */
static void read_go(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;

	integrity_io_record(io);
	if (io->verify <= ic->copied_sectors) {
		if (load_tags(io)) {
			integrity_io_submit(io, read_copied_endio);
			return;
		}
	} else if (integrity_tags_cached(ic, io->sector, io->verify)) {
		atomic_set(&io->pending, 1);
		integrity_io_submit(io, read_endio);
		return;
	}
	/*
	 * Until both halves are done the work item belongs to read_tags; read_endio queues it
	 * again only when it is the second, that is when read_tags has run.
	 */
	atomic_set(&io->pending, 2);
	integrity_io_queue(io, read_tags);
	integrity_io_submit(io, read_endio);
}

/* What is not verified, and only passes through. */
static void read_plain_endio(struct bio *bio)
{
	struct integrity_io *io = integrity_io_of(bio);

	integrity_io_restore(io);
	integrity_io_end(io);
}

int integrity_direct_read(struct integrity_io *io)
{
	struct bio *bio = integrity_io_bio(io);

	io->verify = integrity_io_to_verify(io);
	/*
	 * What lies beyond the mark has no tag yet and is returned as it is. No lock is needed
	 * for it: nothing is compared, and who reads what is being written may get either.
	 */
	if (!io->verify) {
		if (io->counted) {
			integrity_io_record(io);
			integrity_io_submit(io, read_plain_endio);
			return DM_MAPIO_SUBMITTED;
		}
		bio_set_dev(bio, io->ic->data_dev->bdev);
		bio->bi_iter.bi_sector = integrity_data_sector(&io->ic->layout, io->sector);
		return DM_MAPIO_REMAPPED;
	}

	io->step = read_go;
	if (integrity_range_lock(&io->ic->ranges, &io->range, io->sector, io->verify, true))
		read_go(io);
	return DM_MAPIO_SUBMITTED;
}

/* --- write --- */

static void write_half_done(struct integrity_io *io)
{
	if (atomic_dec_and_test(&io->pending))
		io->written(io);
}

static void write_endio(struct bio *bio)
{
	struct integrity_io *io = integrity_io_of(bio);

	integrity_io_restore(io);
	write_half_done(io);
}

/* Tags that came with the bio: of @sectors sectors from @sector on. */
static void take_payload(struct integrity_io *io, u64 sector, u32 sectors, u8 *tags)
{
	const struct integrity_layout *l = &io->ic->layout;
	u64 end = sector + sectors;

	for (; sector < end; sector += integrity_block_sectors(l), tags += l->tag_size)
		integrity_payload_get(io, sector, tags);
}

/*
 * Make the tags of the bio, or take those that came with it, and store them. Return: 0 or an error;
 * *@at is where, or the first of the blocks that could not be hashed.
 */
static int store_tags(struct integrity_io *io, struct integrity_tag_cursor *cur, u64 *at)
{
	struct dm_integrity_c *ic = io->ic;
	u8 tags[INTEGRITY_TAG_BYTES] INTEGRITY_UNCLEARED;
	struct bvec_iter iter = io->saved.iter;
	struct bio *bio = integrity_io_bio(io);
	u32 done, n;
	int r = 0;

	/* Without either, the tags stay what they were. */
	if (!ic->tags.hash && !io->saved.integrity)
		return 0;
	for (done = 0; done < io->sectors; done += n) {
		n = min(io->sectors - done, ic->tags.at_once);
		*at = io->sector + done;
		if (ic->tags.hash)
			r = integrity_tags_of_bio(ic, *at, n, bio, &iter, tags);
		else
			take_payload(io, *at, n, tags);
		if (!r)
			r = integrity_tags_store(cur, at, n, tags);
		if (r)
			break;
		cond_resched();
	}
	integrity_tag_cursor_done(cur);
	return r;
}

static void write_tags(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	struct integrity_tag_cursor cur;
	u64 at;
	int r;

	integrity_tag_prefetch(ic, io->sector, io->sectors);
	integrity_tag_cursor_init(&cur, ic);
	r = store_tags(io, &cur, &at);
	if (r) {
		DMERR_LIMIT("%s: cannot store the tag of sector 0x%llx (error %d)",
			    integrity_name(ic), at, r);
		integrity_io_error(io, integrity_no_mismatch(r));
	}
	integrity_commit_soon(ic);
	write_half_done(io);
}

/* The range is held. */
static void write_go(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;

	integrity_io_record(io);
	if (io->sectors <= ic->small_sectors) {
		struct integrity_tag_cursor cur;
		u64 at;

		integrity_tag_cursor_init(&cur, ic);
		integrity_tag_cursor_nowait(&cur);
		/* What was stored before one had to be waited for is stored again. */
		if (!store_tags(io, &cur, &at)) {
			integrity_commit_soon(ic);
			atomic_set(&io->pending, 1);
			integrity_io_submit(io, write_endio);
			return;
		}
	}
	atomic_set(&io->pending, 2);
	integrity_io_queue(io, write_tags);
	integrity_io_submit(io, write_endio);
}

void integrity_direct_write(struct integrity_io *io)
{
	io->step = write_go;
	if (integrity_range_lock(&io->ic->ranges, &io->range, io->sector, io->sectors, false))
		write_go(io);
}

/* --- discard --- */

static void discard_tags(struct integrity_io *io)
{
	integrity_io_discard_tags(io);
	integrity_commit_soon(io->ic);
	write_half_done(io);
}

/* The range is held. */
static void discard_go(struct integrity_io *io)
{
	bool device = bdev_max_discard_sectors(io->ic->data_dev->bdev);

	integrity_io_record(io);
	atomic_set(&io->pending, device ? 2 : 1);
	integrity_io_queue(io, discard_tags);
	if (device)
		integrity_io_submit(io, write_endio);
}

void integrity_direct_discard(struct integrity_io *io)
{
	io->step = discard_go;
	if (integrity_range_lock(&io->ic->ranges, &io->range, io->sector, io->sectors, false))
		discard_go(io);
}

static int direct_discard(struct integrity_io *io)
{
	io->written = integrity_io_complete;
	integrity_direct_discard(io);
	return DM_MAPIO_SUBMITTED;
}

static int direct_write(struct integrity_io *io)
{
	io->written = integrity_io_complete;
	integrity_direct_write(io);
	return DM_MAPIO_SUBMITTED;
}

const struct integrity_mode integrity_mode_direct = {
	.letter = 'D',
	.read = integrity_direct_read,
	.write = direct_write,
	.discard = direct_discard,
	.flush = integrity_flush,
	.commit = integrity_tags_flush,
	.stop = integrity_flush,
};
