// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bitmap as a whole: its memory, from the disk and to it. Only while nothing is in flight: at
 * activation and at suspend; so without the lock.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/vmalloc.h>

#include "dm-integrity.h"

#define BLOCKS_AT_ONCE	256u

static u64 words(u32 blocks)
{
	return (u64)blocks * INTEGRITY_BITMAP_BLOCK_WORDS;
}

void integrity_bitmap_free(struct dm_integrity_c *ic)
{
	struct integrity_bitmap *b = &ic->bitmap;

	vfree(b->map);
	vfree(b->stable);
	vfree(b->touched);
	vfree(b->recovery);
	vfree(b->block);
	b->map = NULL;
	b->stable = NULL;
	b->touched = NULL;
	b->recovery = NULL;
	b->block = NULL;
	b->allocated = 0;
}

static void clear(struct integrity_bitmap *b)
{
	size_t bytes = words(b->g.blocks) * sizeof(__le64);
	u32 i;

	memset(b->map, 0, bytes);
	memset(b->stable, 0, bytes);
	memset(b->touched, 0, bytes);
	memset(b->recovery, 0, bytes);
	memset(b->block, 0, b->g.blocks * sizeof(*b->block));
	for (i = 0; i < b->g.blocks; i++) {
		INIT_LIST_HEAD(&b->block[i].waiting);
		INIT_LIST_HEAD(&b->block[i].link);
	}
	b->set = 0;
	b->unrecovered = 0;
	b->epoch = 1;
}

int integrity_bitmap_alloc(struct dm_integrity_c *ic, char *why, size_t why_size)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u64 bytes = words(b->g.blocks) * sizeof(__le64);
	unsigned int flags;

	if (b->allocated >= b->g.blocks) {
		clear(b);
		return 0;
	}
	integrity_bitmap_free(ic);
	/* Four maps. sectors_per_bit and the device may make them any size. */
	if (bytes >> PAGE_SHIFT >= totalram_pages() / 16 || bytes > SIZE_MAX / 8) {
		snprintf(why, why_size, "four bitmaps of %llu bytes do not fit in memory", bytes);
		return -ENOMEM;
	}
	/* The device is suspended, and reclaim might wait for it. */
	flags = memalloc_noio_save();
	b->map = vmalloc(bytes);
	b->stable = vmalloc(bytes);
	b->touched = vmalloc(bytes);
	b->recovery = vmalloc(bytes);
	b->block = vmalloc(array_size(b->g.blocks, sizeof(*b->block)));
	memalloc_noio_restore(flags);
	if (!b->map || !b->stable || !b->touched || !b->recovery || !b->block) {
		integrity_bitmap_free(ic);
		snprintf(why, why_size, "out of memory for the bitmap");
		return -ENOMEM;
	}
	b->allocated = b->g.blocks;
	clear(b);
	return 0;
}

static int transfer(struct dm_integrity_c *ic, blk_opf_t opf, u32 block, u32 count)
{
	return integrity_sync_io(ic, integrity_meta_bdev(ic), opf,
				 integrity_bitmap_sector(&ic->layout, block),
				 (u64)count * INTEGRITY_BITMAP_BLOCK_SECTORS,
				 ic->bitmap.map + words(block));
}

/* Count again what is 1. */
static void count(struct integrity_bitmap *b)
{
	u32 i;

	b->set = 0;
	for (i = 0; i < b->g.blocks; i++) {
		u64 first = (u64)i * INTEGRITY_BITMAP_BLOCK_BITS;

		b->block[i].set = integrity_bits_count(b->map, first,
						       first + INTEGRITY_BITMAP_BLOCK_BITS);
		b->set += b->block[i].set;
	}
}

/* What cannot be read may have been dirty. */
static void read_blocks(struct dm_integrity_c *ic, u32 blocks)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u32 at, n, i;

	for (at = 0; at < blocks; at += n) {
		n = min(blocks - at, BLOCKS_AT_ONCE);
		if (!transfer(ic, REQ_OP_READ, at, n))
			continue;
		for (i = at; i < at + n; i++) {
			if (!transfer(ic, REQ_OP_READ, i, 1))
				continue;
			DMERR("%s: cannot read block %u of the bitmap, all that it stands for counts as dirty",
			      integrity_name(ic), i);
			memset(b->map + words(i), 0xff, INTEGRITY_BITMAP_BLOCK_BYTES);
			b->block[i].unreadable = true;
		}
	}
}

/* The disk has these blocks as they are in the map. */
static void stored(struct integrity_bitmap *b, u32 first, u32 count)
{
	memcpy(b->stable + words(first), b->map + words(first), words(count) * sizeof(__le64));
}

void integrity_bitmap_load(struct dm_integrity_c *ic, u64 provided_sectors)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u64 known = min_t(u64, integrity_bit_end(&b->g, provided_sectors), b->g.bits);
	u32 i;

	read_blocks(ic, DIV_ROUND_UP(known, INTEGRITY_BITMAP_BLOCK_BITS));
	/* What follows the last bit is garbage (5.1). */
	integrity_bits_clear(b->map, known, (u64)b->g.blocks * INTEGRITY_BITMAP_BLOCK_BITS);
	for (i = 0; i < b->g.blocks; i++)
		if (!b->block[i].unreadable)
			stored(b, i, 1);
	if (provided_sectors < ic->layout.provided_sectors)
		integrity_bits_set(b->map, integrity_bit(&b->g, provided_sectors), b->g.bits);
	count(b);
}

void integrity_bitmap_recover(struct dm_integrity_c *ic)
{
	struct integrity_bitmap *b = &ic->bitmap;

	memcpy(b->recovery, b->map, words(b->g.blocks) * sizeof(__le64));
	b->unrecovered = b->set;
}

void integrity_bitmap_mark_from(struct dm_integrity_c *ic, u64 sector)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u64 first = integrity_bit(&b->g, sector);

	if (sector >= ic->layout.provided_sectors)
		return;
	integrity_bits_set(b->map, first, b->g.bits);
	b->unrecovered += integrity_bits_set(b->recovery, first, b->g.bits);
	count(b);
}

/* What cannot be read becomes @unreadable. */
static int rewrite_block(struct dm_integrity_c *ic, u32 index, u8 unreadable)
{
	struct block_device *bdev = integrity_meta_bdev(ic);
	u64 sector = integrity_bitmap_sector(&ic->layout, index);
	u32 step = bdev_logical_block_size(bdev) >> SECTOR_SHIFT, at;
	u8 *piece = (u8 *)(ic->bitmap.map + words(index));
	int r = 0;

	for (at = 0; at < INTEGRITY_BITMAP_BLOCK_SECTORS && !r; at += step) {
		if (integrity_sync_io(ic, bdev, REQ_OP_READ, sector + at, step, piece))
			memset(piece, unreadable, step << SECTOR_SHIFT);
		r = integrity_sync_io(ic, bdev, REQ_OP_WRITE | REQ_FUA | REQ_SYNC, sector + at,
				      step, piece);
		piece += step << SECTOR_SHIFT;
	}
	return r;
}

int integrity_bitmap_probe(struct dm_integrity_c *ic, u8 unreadable)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u32 at, n, i;
	int r = 0;

	for (at = 0; at < b->g.blocks && !r; at += n) {
		n = min(b->g.blocks - at, BLOCKS_AT_ONCE);
		if (!transfer(ic, REQ_OP_READ, at, n)) {
			r = transfer(ic, REQ_OP_WRITE | REQ_FUA | REQ_SYNC, at, n);
			continue;
		}
		for (i = at; i < at + n && !r; i++)
			r = rewrite_block(ic, i, unreadable);
	}
	memset(b->map, 0, words(b->g.blocks) * sizeof(__le64));
	return r;
}

static int write_block(struct dm_integrity_c *ic, u32 index)
{
	int r = transfer(ic, REQ_OP_WRITE | REQ_FUA | REQ_SYNC, index, 1);

	if (r)
		DMERR_LIMIT("%s: cannot write block %u of the bitmap (error %d)",
			    integrity_name(ic), index, r);
	else
		stored(&ic->bitmap, index, 1);
	return r;
}

int integrity_bitmap_store(struct dm_integrity_c *ic, u32 first)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u32 at, n, i;
	int r = 0, err;

	for (at = first; at < b->g.blocks; at += n) {
		n = min(b->g.blocks - at, BLOCKS_AT_ONCE);
		if (!transfer(ic, REQ_OP_WRITE | REQ_FUA | REQ_SYNC, at, n)) {
			stored(b, at, n);
			continue;
		}
		for (i = at; i < at + n; i++) {
			err = write_block(ic, i);
			r = r ?: err;
		}
	}
	return r;
}

void integrity_bitmap_store_unread(struct dm_integrity_c *ic)
{
	struct integrity_bitmap *b = &ic->bitmap;
	u32 i;

	for (i = 0; i < b->g.blocks; i++)
		if (b->block[i].unreadable)
			write_block(ic, i);
}
