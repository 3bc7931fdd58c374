// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mode D: data and tags are written in place, with nothing that ties them together over a crash.
 *
 * A read holds its verified part shared until the tags are compared; a write holds its range
 * exclusively until both data and tags are stored. Hashing and the tag update run beside the
 * data write.
 *
 * Order of writes: none between data and tag. A crash may leave either without the other, for
 * any write that was not yet followed by a completed flush; later reads of that block then fail
 * with EILSEQ until it is written again.
 */
#include "dm-integrity.h"

/* The last of a read's two halves: data read, tags on their way into memory. */
static void read_half_done(struct integrity_io *io)
{
	if (!atomic_dec_and_test(&io->pending))
		return;
	integrity_io_verify(io);
	integrity_io_complete(io);
}

static void read_verify(struct integrity_io *io)
{
	integrity_io_verify(io);
	integrity_io_complete(io);
}

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
	read_half_done(io);
}

/* The range is held. */
static void read_go(struct integrity_io *io)
{
	/*
	 * Until both halves are done the work item belongs to read_tags; read_endio queues it
	 * again only when it is the second, that is when read_tags has run.
	 */
	integrity_io_record(io);
	atomic_set(&io->pending, 2);
	integrity_io_queue(io, read_tags);
	integrity_io_submit(io, read_endio);
}

static int direct_read(struct integrity_io *io)
{
	u64 mark = integrity_recalc_mark(&io->ic->recalc);
	struct bio *bio = integrity_io_bio(io);

	/*
	 * What lies beyond the mark has no tag yet and is returned as it is. No lock is needed
	 * for it: nothing is compared, and who reads what is being written may get either.
	 */
	if (io->sector >= mark) {
		bio_set_dev(bio, io->ic->data_dev->bdev);
		bio->bi_iter.bi_sector = integrity_data_sector(&io->ic->layout, io->sector);
		return DM_MAPIO_REMAPPED;
	}

	io->verify = min_t(u64, io->sectors, mark - io->sector);
	io->step = read_go;
	if (integrity_range_lock(&io->ic->ranges, &io->range, io->sector, io->verify, true))
		read_go(io);
	return DM_MAPIO_SUBMITTED;
}

static void write_half_done(struct integrity_io *io)
{
	if (atomic_dec_and_test(&io->pending))
		integrity_io_complete(io);
}

static void write_endio(struct bio *bio)
{
	struct integrity_io *io = integrity_io_of(bio);

	integrity_io_restore(io);
	write_half_done(io);
}

static void write_tags(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	struct bvec_iter iter = io->saved.iter;
	struct bio *bio = integrity_io_bio(io);
	u32 step = integrity_block_sectors(&ic->layout);
	struct integrity_tag_cursor cur;
	u8 tag[INTEGRITY_TAG_BYTES];
	u32 done;
	int r = 0;

	integrity_tag_prefetch(ic, io->sector, io->sectors);
	integrity_tag_cursor_init(&cur, ic);
	for (done = 0; done < io->sectors && !r; done += step) {
		r = integrity_tag_of_bio(ic, io->sector + done, bio, &iter, tag);
		if (!r)
			r = integrity_tag_store(&cur, io->sector + done, tag);
	}
	integrity_tag_cursor_done(&cur);
	if (r) {
		DMERR_LIMIT("%s: cannot store the tag of sector 0x%llx (error %d)",
			    integrity_name(ic), io->sector + done - step, r);
		integrity_io_error(io, integrity_no_mismatch(r));
	}
	integrity_commit_soon(ic);
	write_half_done(io);
}

/* The range is held. */
static void write_go(struct integrity_io *io)
{
	integrity_io_record(io);
	atomic_set(&io->pending, 2);
	integrity_io_queue(io, write_tags);
	integrity_io_submit(io, write_endio);
}

static int direct_write(struct integrity_io *io)
{
	io->step = write_go;
	if (integrity_range_lock(&io->ic->ranges, &io->range, io->sector, io->sectors, false))
		write_go(io);
	return DM_MAPIO_SUBMITTED;
}

const struct integrity_mode integrity_mode_direct = {
	.letter = 'D',
	.read = direct_read,
	.write = direct_write,
};
