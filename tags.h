/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tags: computing them, and the tag area in dm-bufio's buffers (tags.c).
 */
#ifndef DM_INTEGRITY_TAGS_H
#define DM_INTEGRITY_TAGS_H

#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <linux/bio.h>
#include <linux/dm-bufio.h>
#include <linux/mutex.h>

#include "format.h"
#include "table.h"

struct dm_integrity_c;

/*
 * Behind an array of a function that is called for each block, and that writes what it reads of
 * it: a kernel with CONFIG_INIT_STACK_ALL_ZERO would clear it first, at every call.
 */
#if __has_attribute(uninitialized)
#define INTEGRITY_UNCLEARED	__attribute__((__uninitialized__))
#else
#define INTEGRITY_UNCLEARED
#endif

/* Enough for a tag of any size and for any digest; or for tags.at_once and a digest. */
#define INTEGRITY_TAG_BYTES	256

struct integrity_tags {
	struct crypto_shash *hash;	/* internal_hash */
	unsigned int digest_size;
	bool salted;
	u8 salt[INTEGRITY_SALT_SIZE];
	bool discards;			/* a tag may say that its block was discarded ... */
	bool discards_keyed;		/* ... with a marker of its own instead of filler */
	struct dm_bufio_client *bufio;	/* block 0 is the first tag area */
	unsigned int buffer_shift;	/* log2 of a buffer's bytes */
	u32 at_once;			/* sectors whose tags are made one after the other */
	struct mutex flush_lock;	/* one write-out at a time, see integrity_tags_flush() */
};

int integrity_tags_init(struct dm_integrity_c *ic);
void integrity_tags_exit(struct dm_integrity_c *ic);

/* Take the salt from the superblock (section 3.1). */
void integrity_tags_set_salt(struct dm_integrity_c *ic);

/**
 * integrity_tag_of_data - compute the tag of one block that lies in one piece of memory (section
 * 3.1)
 * @sector: the block's first logical sector
 * @data: block_size bytes
 * @tag: INTEGRITY_TAG_BYTES; tag_size bytes of it are the result
 *
 * Context: any that may use the hash. Return: 0 or the hash's error.
 */
int integrity_tag_of_data(struct dm_integrity_c *ic, u64 sector, const void *data, u8 *tag);

/**
 * integrity_tags_of_bio - the same for the blocks of a bio, in however many segments
 * @sectors: at most tags.at_once
 * @iter: where they are in @bio; becomes what is behind them
 * @tags: INTEGRITY_TAG_BYTES; tag_size bytes of it for each block are the result
 *
 * Context: any that may use the hash. Return: 0 or the hash's error.
 */
int integrity_tags_of_bio(struct dm_integrity_c *ic, u64 sector, u32 sectors, struct bio *bio,
			  struct bvec_iter *iter, u8 *tags);

/* Do tags of @size bytes differ; in constant time, as one word or by the library. */
static inline bool integrity_tags_differ(const u8 *a, const u8 *b, u32 size)
{
	u32 word, other;

	if (size != sizeof(word))
		return crypto_memneq(a, b, size);
	memcpy(&word, a, sizeof(word));
	memcpy(&other, b, sizeof(other));
	return word != other;
}

/**
 * struct integrity_tag_cursor - walks over the tags of ascending blocks, holding one tag buffer
 * at a time
 *
 * Holds no lock: who stores or compares a block's tag holds the range of that block.
 */
struct integrity_tag_cursor {
	struct dm_integrity_c *ic;
	struct dm_buffer *buffer;
	u8 *data;			/* of the buffer, or the tuples of mode I ... */
	u64 first;			/* ... from that of this sector on */
	u64 index;			/* of the buffer held, or not to be had */
	u32 dirty_from, dirty_to;	/* bytes of @data that were changed */
	u64 whole_from, whole_to;	/* tag bytes that will all be stored to */
	u64 next;			/* the block behind the last one that was looked for ... */
	u8 *tag;			/* ... and its tag, if it is in @buffer: ... */
	u32 left;			/* ... it and those behind it that are */
	bool in_tuples;
	bool nowait;
};

void integrity_tag_cursor_init(struct integrity_tag_cursor *cur, struct dm_integrity_c *ic);

/*
 * Promise that all tags of [sector, sector + sectors) will be stored through @cur: whole buffers
 * are then not read.
 */
void integrity_tag_cursor_overwrite(struct integrity_tag_cursor *cur, u64 sector, u64 sectors);

/* Walk over tags that came with their data, from that of the block at @sector on (mode I). */
void integrity_tag_cursor_inline(struct integrity_tag_cursor *cur, u8 *tuples, u64 sector);

/* The tuple of the block at @sector; with integrity_tag_cursor_inline(). */
u8 *integrity_tag_tuple(const struct integrity_tag_cursor *cur, u64 sector);

/*
 * Never wait for metadata I/O through @cur: a buffer that is not in memory is -EAGAIN. With this,
 * tags may be stored and compared in the map function.
 */
void integrity_tag_cursor_nowait(struct integrity_tag_cursor *cur);

/* Let go of the buffer. The cursor can be used again. */
void integrity_tag_cursor_done(struct integrity_tag_cursor *cur);

/**
 * integrity_tag_store - put a block's tag into the tag area's buffers; durable after
 * integrity_tags_flush()
 *
 * Context: may sleep for a metadata read. Return: 0 or the read's error.
 */
int integrity_tag_store(struct integrity_tag_cursor *cur, u64 sector, const u8 *tag);

/**
 * integrity_tag_compare - compare a computed tag with the stored one, in constant time
 *
 * Context: may sleep for a metadata read. Return: 0 when equal, or when the block was discarded; 1
 * when different, or the read's error.
 */
int integrity_tag_compare(struct integrity_tag_cursor *cur, u64 sector, const u8 *tag);

/**
 * integrity_tag_load - fetch a block's stored tag
 * @tag: tag_size bytes
 *
 * Context: may sleep for a metadata read. Return: 0 or the read's error.
 */
int integrity_tag_load(struct integrity_tag_cursor *cur, u64 sector, u8 *tag);

/*
 * The same for blocks that follow each other, of @sectors sectors in all. Not for tags in tuples.
 */
int integrity_tags_load(struct integrity_tag_cursor *cur, u64 sector, u32 sectors, u8 *tags);

/*
 * integrity_tag_store() for such blocks; *@sector becomes their end, or after an error the block
 * that it is about.
 */
int integrity_tags_store(struct integrity_tag_cursor *cur, u64 *sector, u32 sectors,
			 const u8 *tags);

/*
 * Are the stored tags of such blocks the same as @tags, in constant time. 1 says nothing yet: each
 * block is to be looked at by itself, see integrity_tag_compare(). After an error *@sector is the
 * block that it is about. Not for tags in tuples.
 */
int integrity_tags_compare(struct integrity_tag_cursor *cur, u64 *sector, u32 sectors,
			   const u8 *tags);

/**
 * integrity_tag_is_discarded - does a stored tag say that the block's data is not to be verified
 * (section 3.3)
 *
 * Context: any that may use the hash. Always false when the table does not allow discards.
 */
bool integrity_tag_is_discarded(struct dm_integrity_c *ic, u64 sector, const u8 *tag);

/**
 * integrity_tags_discard - make the tags of [sector, sector + sectors) say that their blocks were
 * discarded; those that say so are not written again
 *
 * Within one interleaved area. Context: may sleep. Return: 0 or an error.
 */
int integrity_tags_discard(struct dm_integrity_c *ic, u64 sector, u64 sectors);

/* Are all tags of [sector, sector + sectors) in memory now. Context: process, also in map. */
bool integrity_tags_cached(struct dm_integrity_c *ic, u64 sector, u64 sectors);

/*
 * Start reading the tags of [sector, sector + sectors). Context: may sleep, but not for the
 * reads.
 */
void integrity_tag_prefetch(struct dm_integrity_c *ic, u64 sector, u64 sectors);

/*
 * The same for tags that are about to be overwritten: only of buffers that are not so as a
 * whole.
 */
void integrity_tag_prefetch_edges(struct dm_integrity_c *ic, u64 sector, u64 sectors);

/*
 * Let the next look at each tag be one at the disk: forget all buffers that are neither changed nor
 * in use. Context: may sleep.
 */
void integrity_tags_forget(struct dm_integrity_c *ic);

/**
 * integrity_tags_flush - write all changed tags and flush the metadata device's cache
 *
 * An error means that a tag is lost, so it fails the device (rule 10). Context: may sleep.
 * Return: 0 or that error.
 */
int integrity_tags_flush(struct dm_integrity_c *ic);

/*
 * Leave no changed tag in memory, also of a device that failed: the buffers are destroyed only
 * after another table took over, and what they wrote then would go over its tags. Context: may
 * sleep.
 */
void integrity_tags_drain(struct dm_integrity_c *ic);

/**
 * integrity_alloc_hash - set up a hash of the table: internal_hash or journal_mac
 * @what: the option's name, for @why
 *
 * Return: 0, or an error with @why filled in (-ENOKEY when the key is missing, the crypto API's
 * otherwise).
 */
int integrity_alloc_hash(struct crypto_shash **hash, const struct integrity_alg_param *alg,
			 const char *what, char *why, size_t why_size);

#endif
