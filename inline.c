// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mode I: a block's tag is in the integrity metadata that the device itself keeps for the block,
 * and travels with its data (section 7).
 *
 * Such metadata means nothing to device and kernel; each block has a tuple of it, which begins with
 * the tag, and the rest is zero. A bio takes the tuples of its blocks along in a payload, which is
 * in our per-bio data. Nobody else knows of it, so it is taken off again before the bio ends.
 *
 * A payload's bytes are one piece of memory within a page. So no device has too small a limit of
 * segments for it, and one page in reserve is enough to make progress without memory. A bio with
 * more blocks than that is cut in the map function.
 *
 * A read holds its verified part shared until the tags are compared, a write its range exclusively,
 * although a device should keep each block and its tuple together: not all do while both are on
 * their way.
 *
 * Memory is had in the map function, without waiting, or else on inline.wq, by one io at a time,
 * which holds its range by then. Who has it waits only for the device, and for a worker's turn.
 *
 * Order of writes: the device's own. It has a block and its tuple, or neither, so there is nothing
 * to be done after a crash; flush and FUA are passed on.
 */
#include <linux/slab.h>

#include "dm-integrity.h"

static unsigned int tuple_bytes(struct dm_integrity_c *ic, u64 sectors)
{
	return (sectors >> ic->layout.log2_sectors_per_block) * ic->inl.tuple_size;
}

/* --- the device's metadata --- */

int integrity_inline_check(struct dm_integrity_c *ic, char *why, size_t why_size)
{
	u32 bs = integrity_block_bytes(&ic->layout), tag_size = ic->layout.tag_size;
	struct compat_profile p;

	compat_get_profile(ic->data_dev->bdev, &p);
	if (!p.tuple_size) {
		snprintf(why, why_size, "mode I: the device has no integrity metadata");
		return -EOPNOTSUPP;
	}
	if (p.protection) {
		snprintf(why, why_size,
			 "mode I: the device's integrity metadata is protection information, not free for tags");
	} else if (p.interval != bs) {
		snprintf(why, why_size,
			 "mode I: the device has integrity metadata for blocks of %u bytes, block_size is %u",
			 p.interval, bs);
	} else if (bdev_logical_block_size(ic->data_dev->bdev) != bs) {
		snprintf(why, why_size,
			 "mode I: the device has logical blocks of %u bytes, block_size is %u",
			 bdev_logical_block_size(ic->data_dev->bdev), bs);
	} else if (p.tuple_size < tag_size) {
		snprintf(why, why_size,
			 "mode I: the device has %u bytes of integrity metadata for a block, the tag has %u",
			 p.tuple_size, tag_size);
	} else if (p.tuple_size > PAGE_SIZE / 2) {
		snprintf(why, why_size,
			 "mode I: %u bytes of integrity metadata for a block are more than %lu",
			 p.tuple_size, PAGE_SIZE / 2);
	} else if (ic->inl.tuple_size && p.tuple_size != ic->inl.tuple_size) {
		snprintf(why, why_size,
			 "mode I: the device had %u bytes of integrity metadata for a block, now it has %u",
			 ic->inl.tuple_size, p.tuple_size);
	} else {
		ic->inl.tuple_size = p.tuple_size;
		return 0;
	}
	return -EINVAL;
}

/*
 * A device can be formatted anew while it is in use. It would then write tuples of another size
 * over the end of ours.
 */
static bool profile_changed(struct dm_integrity_c *ic)
{
	struct compat_profile p;

	compat_get_profile(ic->data_dev->bdev, &p);
	return p.tuple_size != ic->inl.tuple_size || p.protection ||
	       p.interval != integrity_block_bytes(&ic->layout);
}

/*
 * Transfer blocks and their tuples between the device and [@at, ...) of @pages, and wait. @tuples
 * is within one page. Return: 0 or an error, never -EILSEQ.
 */
static int transfer(struct dm_integrity_c *ic, blk_opf_t opf, u64 sector, u64 sectors,
		    struct page_list *pages, size_t at, u8 *tuples)
{
	u64 from = integrity_data_sector(&ic->layout, sector);
	unsigned int left = sectors << SECTOR_SHIFT;
	unsigned int nr = DIV_ROUND_UP(offset_in_page(at) + left, PAGE_SIZE);
	struct compat_payload payload;
	struct bio *bio;
	int r;

	if (profile_changed(ic))
		return -EIO;
	/* As in inline_go(). */
	if (!op_is_write(opf))
		memset(tuples, 0, tuple_bytes(ic, sectors));
	bio = bio_alloc_bioset(ic->data_dev->bdev, nr, opf, GFP_NOIO, &ic->inl.bios);
	bio->bi_iter.bi_sector = from;
	while (left) {
		unsigned int len = min_t(unsigned int, left, PAGE_SIZE - offset_in_page(at));

		__bio_add_page(bio, pages[at >> PAGE_SHIFT].page, len, offset_in_page(at));
		at += len;
		left -= len;
	}
	compat_payload_attach(bio, &payload, tuples, tuple_bytes(ic, sectors), from);
	r = submit_bio_wait(bio);
	compat_payload_detach(bio);
	bio_put(bio);
	return integrity_no_mismatch(r);
}

/* --- an io's payload --- */

/* In a power of two bytes, which kmalloc() does not let cross a page. Return: was there memory. */
static bool payload_alloc(struct integrity_io *io)
{
	unsigned int bytes = roundup_pow_of_two(tuple_bytes(io->ic, io->sectors));

	io->in.reserved = false;
	io->in.tuples = kmalloc(bytes, GFP_NOWAIT | __GFP_NOMEMALLOC | __GFP_NOWARN);
	return io->in.tuples;
}

static void payload_free(struct integrity_io *io)
{
	if (io->in.reserved)
		mempool_free(virt_to_page(io->in.tuples), &io->ic->inl.reserve);
	else
		kfree(io->in.tuples);
}

static bool is_read(struct integrity_io *io)
{
	return bio_op(integrity_io_bio(io)) == REQ_OP_READ;
}

static void inline_complete(struct integrity_io *io)
{
	payload_free(io);
	if (is_read(io) && !io->verify)
		integrity_io_end(io);
	else
		integrity_io_complete(io);
}

static void inline_submit(struct integrity_io *io, bio_end_io_t *end_io)
{
	struct dm_integrity_c *ic = io->ic;

	if (unlikely(profile_changed(ic))) {
		DMERR_LIMIT("%s: the device's integrity metadata has changed", integrity_name(ic));
		integrity_io_error(io, -EIO);
		inline_complete(io);
		return;
	}
	compat_payload_attach(integrity_io_bio(io), &io->in.payload, io->in.tuples,
			      tuple_bytes(ic, io->sectors),
			      integrity_data_sector(&ic->layout, io->sector));
	integrity_io_submit(io, end_io);
}

/* The bio is ours again. */
static struct integrity_io *inline_ended(struct bio *bio)
{
	struct integrity_io *io = integrity_io_of(bio);

	compat_payload_detach(bio);
	integrity_io_restore(io);
	return io;
}

/* --- read --- */

static void read_verify(struct integrity_io *io)
{
	integrity_io_verify(io);
	inline_complete(io);
}

/* False says nothing yet: integrity_io_verify() decides. */
static bool matches(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	u32 step = integrity_block_sectors(&ic->layout);
	struct bio *bio = integrity_io_bio(io);
	struct bvec_iter iter = io->saved.iter;
	struct integrity_tag_cursor cur;
	u8 tag[INTEGRITY_TAG_BYTES] INTEGRITY_UNCLEARED;
	u32 done;

	integrity_tag_cursor_init(&cur, ic);
	integrity_tag_cursor_inline(&cur, io->in.tuples, io->sector);
	for (done = 0; done < io->verify; done += step)
		if (integrity_tags_of_bio(ic, io->sector + done, step, bio, &iter, tag) ||
		    integrity_tag_compare(&cur, io->sector + done, tag))
			return false;
	return true;
}

static void read_endio(struct bio *bio)
{
	struct integrity_io *io = inline_ended(bio);

	if (io->error || !io->verify ||
	    (io->verify <= io->ic->small_sectors && integrity_may_hash() && matches(io)))
		inline_complete(io);
	else
		integrity_io_queue(io, read_verify);
}

/* --- write --- */

static void write_endio(struct bio *bio)
{
	inline_complete(inline_ended(bio));
}

static void write_tags(struct integrity_io *io)
{
	struct dm_integrity_c *ic = io->ic;
	u32 step = integrity_block_sectors(&ic->layout);
	struct bio *bio = integrity_io_bio(io);
	struct bvec_iter iter = io->saved.iter;
	struct integrity_tag_cursor cur;
	u8 tag[INTEGRITY_TAG_BYTES] INTEGRITY_UNCLEARED;
	u32 done;
	int r;

	integrity_tag_cursor_init(&cur, ic);
	integrity_tag_cursor_inline(&cur, io->in.tuples, io->sector);
	for (done = 0; done < io->sectors; done += step) {
		r = integrity_tags_of_bio(ic, io->sector + done, step, bio, &iter, tag);
		if (!r)
			r = integrity_tag_store(&cur, io->sector + done, tag);
		if (r) {
			DMERR_LIMIT("%s: cannot compute the tag of sector 0x%llx (error %d)",
				    integrity_name(ic), io->sector + done, r);
			integrity_io_error(io, integrity_no_mismatch(r));
			inline_complete(io);
			return;
		}
	}
	inline_submit(io, write_endio);
}

/* --- the way of both --- */

/* The range is held, or not needed, and there is memory. */
static void inline_go(struct integrity_io *io)
{
	/*
	 * Nothing but tags and zeros goes to the device; and what it does not fill is no tag, and
	 * not what was in memory.
	 */
	memset(io->in.tuples, 0, tuple_bytes(io->ic, io->sectors));
	if (is_read(io))
		inline_submit(io, read_endio);
	else if (io->sectors <= io->ic->small_sectors)
		write_tags(io);
	else
		integrity_io_queue(io, write_tags);
}

static void wait_for_payload(struct integrity_io *io)
{
	io->in.tuples = page_address(mempool_alloc(&io->ic->inl.reserve, GFP_NOIO));
	io->in.reserved = true;
	inline_go(io);
}

static void inline_begin(struct integrity_io *io)
{
	integrity_io_record(io);
	if (likely(payload_alloc(io)))
		inline_go(io);
	else
		integrity_io_queue_on(io, io->ic->inl.wq, wait_for_payload);
}

/* The rest comes as a bio of its own. */
static void cut(struct integrity_io *io)
{
	if (io->sectors <= io->ic->inl.max_sectors)
		return;
	io->sectors = io->ic->inl.max_sectors;
	dm_accept_partial_bio(integrity_io_bio(io), io->sectors);
}

static int inline_read(struct integrity_io *io)
{
	cut(io);
	io->verify = integrity_io_to_verify(io);
	/* See integrity_direct_read(). */
	io->step = inline_begin;
	if (!io->verify ||
	    integrity_range_lock(&io->ic->ranges, &io->range, io->sector, io->verify, true))
		inline_begin(io);
	return DM_MAPIO_SUBMITTED;
}

static int inline_write(struct integrity_io *io)
{
	cut(io);
	/* The device keeps it, for data and tags. */
	io->fua = false;
	io->step = inline_begin;
	if (integrity_range_lock(&io->ic->ranges, &io->range, io->sector, io->sectors, false))
		inline_begin(io);
	return DM_MAPIO_SUBMITTED;
}

/* --- the pass, and reading again --- */

static int inline_pass_read(struct integrity_pass_worker *w, u64 sector, u64 sectors)
{
	return transfer(w->ic, REQ_OP_READ, sector, sectors, w->pages, 0, w->tuples);
}

static int inline_pass_write(struct integrity_pass_worker *w, u64 base, u64 sector, u64 sectors)
{
	u64 skip = sector - base;

	return transfer(w->ic, REQ_OP_WRITE, sector, sectors, w->pages, skip << SECTOR_SHIFT,
			w->tuples + tuple_bytes(w->ic, skip));
}

static int inline_read_again(struct integrity_tag_cursor *cur, u64 sector, struct page *page)
{
	u32 step = integrity_block_sectors(&cur->ic->layout);
	struct page_list pl = { .page = page };

	return transfer(cur->ic, REQ_OP_READ, sector, step, &pl, 0,
			integrity_tag_tuple(cur, sector));
}

/* --- constructor and destructor --- */

int integrity_inline_init(struct dm_integrity_c *ic, char *why, size_t why_size)
{
	struct integrity_inline *in = &ic->inl;
	u32 step = integrity_block_sectors(&ic->layout);
	int r;

	r = integrity_inline_check(ic, why, why_size);
	if (r)
		return r;
	in->max_sectors = PAGE_SIZE / in->tuple_size * step;
	/* One bio for each chunk. */
	ic->recalc.max_chunk = min3(INTEGRITY_PASS_CHUNK, in->max_sectors,
				    (u32)(BIO_MAX_VECS * PAGE_SECTORS));

	r = mempool_init_page_pool(&in->reserve, 1, 0);
	if (!r)
		r = bioset_init(&in->bios, BIO_POOL_SIZE, 0, BIOSET_NEED_BVECS);
	if (!r) {
		in->wq = alloc_ordered_workqueue("dm-integrity-inline", WQ_MEM_RECLAIM);
		if (!in->wq)
			r = -ENOMEM;
	}
	if (r)
		snprintf(why, why_size, "out of memory");
	return r;
}

void integrity_inline_exit(struct dm_integrity_c *ic)
{
	struct integrity_inline *in = &ic->inl;

	/* Nothing is in flight. */
	if (in->wq)
		destroy_workqueue(in->wq);
	bioset_exit(&in->bios);
	mempool_exit(&in->reserve);
}

const struct integrity_mode integrity_mode_inline = {
	.letter = 'I',
	.inline_tags = true,
	.read = inline_read,
	.write = inline_write,
	.flush = integrity_flush,
	.commit = integrity_flush,
	.stop = integrity_flush,
	.pass_read = inline_pass_read,
	.pass_write = inline_pass_write,
	.read_again = inline_read_again,
};
