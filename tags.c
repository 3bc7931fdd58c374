// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tags: computing a block's tag, and the tag area through dm-bufio.
 *
 * tag = first tag_size bytes of H([salt] || le64(logical sector) || data), zero-padded
 * (on-disk-format.rst, section 3.1).
 *
 * Locking: a tag's bytes are guarded by the range lock of its block. Different blocks' tags
 * share a buffer; they are different bytes of it, so their owners may store at the same time. A
 * buffer is marked dirty after the bytes were stored: a write-out that began in between is
 * followed by another.
 *
 * Order of writes: none of its own. Tags reach the disk at integrity_tags_flush() or earlier.
 */
#include <linux/slab.h>

#include "dm-integrity.h"

int integrity_alloc_hash(struct crypto_shash **hash, const struct integrity_alg_param *alg,
			 const char *what, char *why, size_t why_size)
{
	struct crypto_shash *tfm;
	char *name;
	u8 *key;
	int r;

	name = kmemdup_nul(alg->spec, alg->name_len, GFP_KERNEL);
	if (!name) {
		snprintf(why, why_size, "%s: out of memory", what);
		return -ENOMEM;
	}

	/* A driver that allocates memory for each request could not be used to swap on. */
	tfm = crypto_alloc_shash(name, 0, CRYPTO_ALG_ALLOCATES_MEMORY);
	if (IS_ERR(tfm)) {
		r = PTR_ERR(tfm);
		snprintf(why, why_size, "%s: cannot use hash algorithm '%s' (error %d)", what, name,
			 r);
		goto out;
	}

	if (alg->hexkey) {
		key = kmalloc(max_t(size_t, alg->key_len, 1), GFP_KERNEL);
		if (!key) {
			r = -ENOMEM;
			snprintf(why, why_size, "%s: out of memory", what);
			goto bad;
		}
		r = integrity_alg_key(alg, key);
		if (!r)
			r = crypto_shash_setkey(tfm, key, alg->key_len);
		kfree_sensitive(key);
		if (r) {
			snprintf(why, why_size,
				 "%s: '%s' does not take a key of %zu bytes (error %d)", what, name,
				 alg->key_len, r);
			goto bad;
		}
	} else if (crypto_shash_get_flags(tfm) & CRYPTO_TFM_NEED_KEY) {
		r = -ENOKEY;
		snprintf(why, why_size, "%s: '%s' needs a key", what, name);
		goto bad;
	}

	*hash = tfm;
	r = 0;
	goto out;
bad:
	crypto_free_shash(tfm);
out:
	kfree(name);
	return r;
}

#define MOST_AT_ONCE	256u	/* sectors to be hashed before others may run */

int integrity_tags_init(struct dm_integrity_c *ic)
{
	struct integrity_layout *l = &ic->layout;
	struct dm_bufio_client *c;
	u32 blocks;

	mutex_init(&ic->tags.flush_lock);
	/* A digest may reach beyond its tag. */
	BUILD_BUG_ON(INTEGRITY_TAG_BYTES < 2 * HASH_MAX_DIGESTSIZE);
	blocks = (INTEGRITY_TAG_BYTES - HASH_MAX_DIGESTSIZE) / l->tag_size;
	ic->tags.at_once = clamp(blocks << l->log2_sectors_per_block, integrity_block_sectors(l),
				 MOST_AT_ONCE);
	if (ic->mode->inline_tags)
		return 0;
	ic->tags.buffer_shift = l->log2_buffer + SECTOR_SHIFT;
	c = dm_bufio_client_create(integrity_meta_bdev(ic), 1U << ic->tags.buffer_shift, 1, 0, NULL,
				   NULL, 0);
	if (IS_ERR(c))
		return PTR_ERR(c);
	dm_bufio_set_sector_offset(c, l->start + l->initial_sectors);
	ic->tags.bufio = c;
	return 0;
}

void integrity_tags_exit(struct dm_integrity_c *ic)
{
	if (ic->tags.bufio)
		dm_bufio_client_destroy(ic->tags.bufio);
	if (ic->tags.hash)
		crypto_free_shash(ic->tags.hash);
}

void integrity_tags_set_salt(struct dm_integrity_c *ic)
{
	ic->tags.salted = integrity_sb_flags(ic) & INTEGRITY_SB_FIXED_HMAC;
	memcpy(ic->tags.salt, ic->sb.image->salt, INTEGRITY_SALT_SIZE);
}

/* --- computing --- */

/* Room for what crypto_shash_init() fills in. */
union digest {
	struct shash_desc desc;
	u8 room[sizeof(struct shash_desc) + HASH_MAX_DESCSIZE];
};

/* Begin a block's digest with its salt and place. */
static __always_inline int digest_begin(struct integrity_tags *t, struct shash_desc *desc,
					u64 sector)
{
	u8 prefix[INTEGRITY_SALT_SIZE + sizeof(__le64)] INTEGRITY_UNCLEARED;
	__le64 place = cpu_to_le64(sector);
	unsigned int len = 0;
	int r;

	if (t->salted) {
		memcpy(prefix, t->salt, INTEGRITY_SALT_SIZE);
		len = INTEGRITY_SALT_SIZE;
	}
	memcpy(prefix + len, &place, sizeof(place));
	len += sizeof(place);

	desc->tfm = t->hash;
	r = crypto_shash_init(desc);
	if (!r)
		r = crypto_shash_update(desc, prefix, len);
	return r;
}

/* What the digest does not fill of a tag is zero. */
static __always_inline void pad_tag(struct dm_integrity_c *ic, u8 *tag)
{
	if (ic->layout.tag_size > ic->tags.digest_size)
		memset(tag + ic->tags.digest_size, 0, ic->layout.tag_size - ic->tags.digest_size);
}

int integrity_tag_of_data(struct dm_integrity_c *ic, u64 sector, const void *data, u8 *tag)
{
	union digest d INTEGRITY_UNCLEARED;
	int r;

	r = digest_begin(&ic->tags, &d.desc, sector);
	if (!r)
		r = crypto_shash_finup(&d.desc, data, integrity_block_bytes(&ic->layout), tag);
	pad_tag(ic, tag);
	return r;
}

/* The tag of no data at all: with a key, what says "discarded" (section 3.3). */
static int discard_marker(struct dm_integrity_c *ic, u64 sector, u8 *tag)
{
	union digest d INTEGRITY_UNCLEARED;
	int r;

	r = digest_begin(&ic->tags, &d.desc, sector);
	if (!r)
		r = crypto_shash_final(&d.desc, tag);
	pad_tag(ic, tag);
	return r;
}

bool integrity_tag_is_discarded(struct dm_integrity_c *ic, u64 sector, const u8 *tag)
{
	u8 marker[INTEGRITY_TAG_BYTES] INTEGRITY_UNCLEARED;

	if (!ic->tags.discards)
		return false;
	if (!ic->tags.discards_keyed)
		return !memchr_inv(tag, INTEGRITY_DISCARD_FILLER, ic->layout.tag_size);
	return !discard_marker(ic, sector, marker) &&
	       !crypto_memneq(tag, marker, ic->layout.tag_size);
}

/* Of the block of @bio at @iter, in however many segments; advances @iter past the block. */
static int tag_of_block(struct dm_integrity_c *ic, struct shash_desc *desc, u64 sector,
			struct bio *bio, struct bvec_iter *iter, unsigned int left, u8 *tag)
{
	int r;

	r = digest_begin(&ic->tags, desc, sector);
	while (!r && left) {
		struct bio_vec bv = bio_iter_iovec(bio, *iter);
		unsigned int len = min(left, bv.bv_len);
		void *p = bvec_kmap_local(&bv);

		left -= len;
		if (left)
			r = crypto_shash_update(desc, p, len);
		else
			r = crypto_shash_finup(desc, p, len, tag);
		kunmap_local(p);
		bio_advance_iter_single(bio, iter, len);
	}
	return r;
}

int integrity_tags_of_bio(struct dm_integrity_c *ic, u64 sector, u32 sectors, struct bio *bio,
			  struct bvec_iter *iter, u8 *tags)
{
	u32 step = integrity_block_sectors(&ic->layout), size = ic->layout.tag_size;
	unsigned int bytes = integrity_block_bytes(&ic->layout);
	u64 end = sector + sectors;
	union digest d INTEGRITY_UNCLEARED;
	int r = 0;

	for (; sector < end && !r; sector += step, tags += size) {
		r = tag_of_block(ic, &d.desc, sector, bio, iter, bytes, tags);
		pad_tag(ic, tags);
	}
	return r;
}

/* --- the tag area --- */

void integrity_tag_cursor_init(struct integrity_tag_cursor *cur, struct dm_integrity_c *ic)
{
	memset(cur, 0, sizeof(*cur));
	cur->ic = ic;
}

void integrity_tag_cursor_overwrite(struct integrity_tag_cursor *cur, u64 sector, u64 sectors)
{
	const struct integrity_layout *l = &cur->ic->layout;

	cur->whole_from = integrity_tag_offset(l, sector);
	cur->whole_to = cur->whole_from + (sectors >> l->log2_sectors_per_block) * l->tag_size;
}

void integrity_tag_cursor_inline(struct integrity_tag_cursor *cur, u8 *tuples, u64 sector)
{
	cur->in_tuples = true;
	cur->data = tuples;
	cur->first = sector;
}

u8 *integrity_tag_tuple(const struct integrity_tag_cursor *cur, u64 sector)
{
	const struct dm_integrity_c *ic = cur->ic;
	u64 block = (sector - cur->first) >> ic->layout.log2_sectors_per_block;

	return cur->data + block * ic->inl.tuple_size;
}

void integrity_tag_cursor_nowait(struct integrity_tag_cursor *cur)
{
	cur->nowait = true;
}

void integrity_tag_cursor_done(struct integrity_tag_cursor *cur)
{
	if (!cur->buffer)
		return;
	if (cur->dirty_to > cur->dirty_from) {
		dm_bufio_mark_partial_buffer_dirty(cur->buffer, cur->dirty_from, cur->dirty_to);
		cur->dirty_from = 0;
		cur->dirty_to = 0;
	}
	dm_bufio_release(cur->buffer);
	cur->buffer = NULL;
	cur->left = 0;
}

/* Hold buffer @index instead of what was held. Return: 0 or an error. */
static noinline int cursor_move(struct integrity_tag_cursor *cur, u64 index)
{
	struct integrity_tags *t = &cur->ic->tags;
	u32 size = 1U << t->buffer_shift;
	u64 begin = index << t->buffer_shift;
	struct dm_buffer *b;
	void *data;

	integrity_tag_cursor_done(cur);
	cur->index = index;
	if (cur->nowait) {
		data = dm_bufio_get(t->bufio, index, &b);
		/* What could not be read is tried again, and reported, by who may wait. */
		if (IS_ERR_OR_NULL(data))
			return -EAGAIN;
	} else if (begin >= cur->whole_from && begin + size <= cur->whole_to) {
		data = dm_bufio_new(t->bufio, index, &b);
		/*
		 * Somebody's read of it may have failed before; that buffer is gone now, and what
		 * cannot be read can perhaps be written.
		 */
		if (IS_ERR(data))
			data = dm_bufio_new(t->bufio, index, &b);
		/* If the caller stops half way, the rest is no leftover of memory. */
		if (!IS_ERR(data))
			memset(data, 0, size);
	} else {
		data = dm_bufio_read(t->bufio, index, &b);
	}
	if (IS_ERR(data))
		return PTR_ERR(data);
	cur->buffer = b;
	cur->data = data;
	return 0;
}

/*
 * Hold the buffer of tag byte @offset; *@len is how many bytes from there are in it, at most as
 * many as it was.
 */
static __always_inline u8 *cursor_at(struct integrity_tag_cursor *cur, u64 offset,
				     unsigned int *len)
{
	u64 index = offset >> cur->ic->tags.buffer_shift;
	u32 size = 1U << cur->ic->tags.buffer_shift;
	u32 in = offset & (size - 1);

	if (!cur->buffer || cur->index != index) {
		int r = cursor_move(cur, index);

		if (r)
			return ERR_PTR(r);
	}
	*len = min(*len, size - in);
	return cur->data + in;
}

/* How many of the blocks behind that at @sector, whose tag is at @p, have theirs in the buffer. */
static noinline u32 count_behind(const struct integrity_tag_cursor *cur, u64 sector, const u8 *p)
{
	const struct integrity_layout *l = &cur->ic->layout;
	u64 area = integrity_area_remaining(l, sector) >> l->log2_sectors_per_block;
	u32 bytes = (1U << cur->ic->tags.buffer_shift) - (p - cur->data);
	u32 blocks = min_t(u64, area, bytes / l->tag_size);

	return blocks ? blocks - 1 : 0;
}

/* @len bytes at @p were stored to. */
static void cursor_changed(struct integrity_tag_cursor *cur, const u8 *p, u32 len)
{
	u32 in = p - cur->data;

	if (cur->dirty_to == cur->dirty_from) {
		cur->dirty_from = in;
		cur->dirty_to = in + len;
	} else {
		cur->dirty_from = min(cur->dirty_from, in);
		cur->dirty_to = max(cur->dirty_to, in + len);
	}
}

/* What is left of a tuple is zero. One that is right already does not count as changed. */
static void store_tuple(struct integrity_tag_cursor *cur, u64 sector, const u8 *tag)
{
	const struct dm_integrity_c *ic = cur->ic;
	u8 *tuple = integrity_tag_tuple(cur, sector);
	u32 size = ic->layout.tag_size, rest = ic->inl.tuple_size - size;

	if (!memcmp(tuple, tag, size) && !memchr_inv(tuple + size, 0, rest))
		return;
	memcpy(tuple, tag, size);
	memset(tuple + size, 0, rest);
	cursor_changed(cur, tuple, ic->inl.tuple_size);
}

/*
 * The tag of the block at @sector where it lies whole in a buffer; NULL where it lies in two. Of
 * blocks that follow each other so do the tags, within an area and a buffer: their places are
 * worked out once. But not behind a block that came after none: of blocks here and there none is
 * followed.
 */
static __always_inline u8 *cursor_tag(struct integrity_tag_cursor *cur, u64 sector)
{
	const struct integrity_layout *l = &cur->ic->layout;
	bool follows = sector == cur->next;
	unsigned int len = l->tag_size;
	u8 *p;

	if (follows && cur->left) {
		p = cur->tag;
		cur->left--;
	} else {
		p = cursor_at(cur, integrity_tag_offset(l, sector), &len);
		if (IS_ERR(p))
			return p;
		cur->left = 0;
		if (len < l->tag_size)
			return NULL;
		if (follows)
			cur->left = count_behind(cur, sector, p);
	}
	cur->tag = p + l->tag_size;
	cur->next = sector + integrity_block_sectors(l);
	return p;
}

/* Copy a tag, from or to a buffer. The one of crc32c takes no call. */
static __always_inline void copy_tag(u8 *to, const u8 *from, u32 size)
{
	if (size == sizeof(u32))
		memcpy(to, from, sizeof(u32));
	else
		memcpy(to, from, size);
}

/* Copy a tag that lies in two buffers, to the caller's @to or from his @from. */
static noinline int copy_in_pieces(struct integrity_tag_cursor *cur, u64 sector, u8 *to,
				   const u8 *from)
{
	u64 offset = integrity_tag_offset(&cur->ic->layout, sector);
	u32 size = cur->ic->layout.tag_size, done;
	unsigned int len;

	for (done = 0; done < size; done += len) {
		u8 *p;

		len = size - done;
		p = cursor_at(cur, offset + done, &len);
		if (IS_ERR(p))
			return PTR_ERR(p);
		if (to) {
			memcpy(to + done, p, len);
		} else {
			memcpy(p, from + done, len);
			cursor_changed(cur, p, len);
		}
	}
	return 0;
}

/* Fetch @bytes of tags from @p; the tag of @sector where that is NULL, see cursor_tag(). */
static __always_inline int load_from(struct integrity_tag_cursor *cur, u64 sector, u8 *p, u8 *tags,
				     u32 bytes)
{
	if (unlikely(!p))
		return copy_in_pieces(cur, sector, tags, NULL);
	copy_tag(tags, p, bytes);
	return 0;
}

/* The same for storing. */
static __always_inline int store_to(struct integrity_tag_cursor *cur, u64 sector, u8 *p,
				    const u8 *tags, u32 bytes)
{
	if (unlikely(!p))
		return copy_in_pieces(cur, sector, NULL, tags);
	copy_tag(p, tags, bytes);
	cursor_changed(cur, p, bytes);
	return 0;
}

/* Blocks that follow each other are stored together: no tag here is looked for behind another. */
int integrity_tag_store(struct integrity_tag_cursor *cur, u64 sector, const u8 *tag)
{
	u32 size = cur->ic->layout.tag_size;
	unsigned int len = size;
	u8 *p;

	if (cur->in_tuples) {
		store_tuple(cur, sector, tag);
		return 0;
	}
	p = cursor_at(cur, integrity_tag_offset(&cur->ic->layout, sector), &len);
	if (IS_ERR(p))
		return PTR_ERR(p);
	return store_to(cur, sector, len < size ? NULL : p, tag, size);
}

int integrity_tag_load(struct integrity_tag_cursor *cur, u64 sector, u8 *tag)
{
	u8 *p;

	if (cur->in_tuples) {
		memcpy(tag, integrity_tag_tuple(cur, sector), cur->ic->layout.tag_size);
		return 0;
	}
	p = cursor_tag(cur, sector);
	if (IS_ERR(p))
		return PTR_ERR(p);
	return load_from(cur, sector, p, tag, cur->ic->layout.tag_size);
}

/* Tags of blocks that follow each other, as many at a time as lie together. */
struct tag_run {
	u64 sector;			/* of the first */
	u32 blocks;			/* that lie together; 1 when it lies in two buffers */
	u32 left;			/* blocks, these included */
	u32 bytes;
	u8 *p;				/* as cursor_tag() */
};

static void run_init(struct tag_run *run, const struct integrity_tag_cursor *cur, u64 sector,
		     u32 sectors)
{
	run->sector = sector;
	run->blocks = 0;
	run->left = sectors >> cur->ic->layout.log2_sectors_per_block;
}

/* Return: 1; 0 when there are no more; the error of a buffer, for the tag of run->sector. */
static __always_inline int next_run(struct tag_run *run, struct integrity_tag_cursor *cur)
{
	const struct integrity_layout *l = &cur->ic->layout;
	u32 more;

	run->sector += (u64)run->blocks << l->log2_sectors_per_block;
	run->left -= run->blocks;
	run->blocks = 0;
	if (!run->left)
		return 0;

	/* What follows it is wanted. */
	if (run->sector != cur->next)
		cur->left = 0;
	cur->next = run->sector;
	run->p = cursor_tag(cur, run->sector);
	if (IS_ERR(run->p))
		return PTR_ERR(run->p);
	if (run->p) {
		more = min(run->left - 1, cur->left);
		cur->left -= more;
		cur->tag += more * l->tag_size;
		cur->next += (u64)more << l->log2_sectors_per_block;
		run->blocks = more;
	}
	run->blocks++;
	run->bytes = run->blocks * l->tag_size;
	return 1;
}

int integrity_tags_load(struct integrity_tag_cursor *cur, u64 sector, u32 sectors, u8 *tags)
{
	struct tag_run run;
	int r;

	if (sectors == integrity_block_sectors(&cur->ic->layout))
		return integrity_tag_load(cur, sector, tags);
	run_init(&run, cur, sector, sectors);
	while ((r = next_run(&run, cur)) > 0) {
		r = load_from(cur, run.sector, run.p, tags, run.bytes);
		if (r)
			break;
		tags += run.bytes;
	}
	return r;
}

int integrity_tags_store(struct integrity_tag_cursor *cur, u64 *sector, u32 sectors,
			 const u8 *tags)
{
	const struct integrity_layout *l = &cur->ic->layout;
	u32 step = integrity_block_sectors(l);
	u64 end = *sector + sectors;
	struct tag_run run;
	int r = 0;

	if (sectors == step || cur->in_tuples) {
		for (; *sector < end && !r; tags += l->tag_size) {
			r = integrity_tag_store(cur, *sector, tags);
			*sector += r ? 0 : step;
		}
		return r;
	}
	run_init(&run, cur, *sector, sectors);
	while ((r = next_run(&run, cur)) > 0) {
		r = store_to(cur, run.sector, run.p, tags, run.bytes);
		if (r)
			break;
		tags += run.bytes;
	}
	*sector = run.sector;
	return r;
}

int integrity_tags_compare(struct integrity_tag_cursor *cur, u64 *sector, u32 sectors,
			   const u8 *tags)
{
	struct tag_run run;
	int r;

	run_init(&run, cur, *sector, sectors);
	while ((r = next_run(&run, cur)) > 0) {
		if (!run.p || integrity_tags_differ(run.p, tags, run.bytes))
			break;
		tags += run.bytes;
	}
	*sector = run.sector;
	return r;
}

/* The rare case: in two buffers, discarded, or different. Of a tag @size bytes count. */
static noinline int compare_copy(struct integrity_tag_cursor *cur, u64 sector, const u8 *tag,
				 u32 size)
{
	u8 stored[INTEGRITY_TAG_BYTES];
	int r;

	r = integrity_tag_load(cur, sector, stored);
	if (r)
		return r;
	return crypto_memneq(stored, tag, size) &&
	       !integrity_tag_is_discarded(cur->ic, sector, stored);
}

int integrity_tag_compare(struct integrity_tag_cursor *cur, u64 sector, const u8 *tag)
{
	struct dm_integrity_c *ic = cur->ic;
	u32 size = ic->layout.tag_size;
	const u8 *stored;

	if (cur->in_tuples) {
		/* What pads a digest is not looked at in mode I (section 7). */
		size = min(size, ic->tags.digest_size);
		stored = integrity_tag_tuple(cur, sector);
	} else {
		stored = cursor_tag(cur, sector);
		if (IS_ERR(stored))
			return PTR_ERR(stored);
	}
	if (likely(stored && !integrity_tags_differ(stored, tag, size)))
		return 0;
	return compare_copy(cur, sector, tag, size);
}

/* --- discards --- */

/* Tags that follow each other are one run of filler. */
static int fill_tags(struct integrity_tag_cursor *cur, u64 sector, u64 sectors)
{
	const struct integrity_layout *l = &cur->ic->layout;
	u64 offset = integrity_tag_offset(l, sector);
	u64 left = (sectors >> l->log2_sectors_per_block) * l->tag_size;

	while (left) {
		unsigned int len = min_t(u64, left, 1U << cur->ic->tags.buffer_shift);
		u8 *p = cursor_at(cur, offset, &len);

		if (IS_ERR(p))
			return PTR_ERR(p);
		if (memchr_inv(p, INTEGRITY_DISCARD_FILLER, len)) {
			memset(p, INTEGRITY_DISCARD_FILLER, len);
			cursor_changed(cur, p, len);
		}
		offset += len;
		left -= len;
		cond_resched();
	}
	return 0;
}

static int store_markers(struct integrity_tag_cursor *cur, u64 sector, u64 sectors)
{
	struct dm_integrity_c *ic = cur->ic;
	u64 step = integrity_block_sectors(&ic->layout), end = sector + sectors;
	u8 marker[INTEGRITY_TAG_BYTES], stored[INTEGRITY_TAG_BYTES];
	int r = 0;

	for (; sector < end && !r; sector += step) {
		r = discard_marker(ic, sector, marker);
		if (!r)
			r = integrity_tag_load(cur, sector, stored);
		if (!r && memcmp(stored, marker, ic->layout.tag_size))
			r = integrity_tag_store(cur, sector, marker);
		cond_resched();
	}
	return r;
}

#define PREFETCH_SECTORS	32768u	/* whose tags are asked for at a time */

int integrity_tags_discard(struct dm_integrity_c *ic, u64 sector, u64 sectors)
{
	struct integrity_tag_cursor cur;
	u64 n;
	int r = 0;

	integrity_tag_cursor_init(&cur, ic);
	for (; sectors && !r; sector += n, sectors -= n) {
		n = min_t(u64, sectors, PREFETCH_SECTORS);
		integrity_tag_prefetch(ic, sector, n);
		r = ic->tags.discards_keyed ? store_markers(&cur, sector, n) :
					      fill_tags(&cur, sector, n);
		/* Nobody should have to wait for a buffer that is held over a read. */
		integrity_tag_cursor_done(&cur);
	}
	return r;
}

/* Buffers of the tags of [sector, sector + sectors), which lie in one interleaved area. */
static void tag_buffers(struct dm_integrity_c *ic, u64 sector, u64 sectors, u64 *first, u64 *last)
{
	const struct integrity_layout *l = &ic->layout;
	u64 begin = integrity_tag_offset(l, sector);
	u64 end = begin + (sectors >> l->log2_sectors_per_block) * l->tag_size;

	*first = begin >> ic->tags.buffer_shift;
	*last = (end - 1) >> ic->tags.buffer_shift;
}

bool integrity_tags_cached(struct dm_integrity_c *ic, u64 sector, u64 sectors)
{
	u64 n, first, last;
	struct dm_buffer *b;

	for (; sectors; sector += n, sectors -= n) {
		n = min(sectors, integrity_area_remaining(&ic->layout, sector));
		if (!n)
			return false;
		tag_buffers(ic, sector, n, &first, &last);
		for (; first <= last; first++) {
			if (IS_ERR_OR_NULL(dm_bufio_get(ic->tags.bufio, first, &b)))
				return false;
			dm_bufio_release(b);
		}
	}
	return true;
}

void integrity_tag_prefetch(struct dm_integrity_c *ic, u64 sector, u64 sectors)
{
	if (!ic->tags.bufio)
		return;
	/* Tags are contiguous only within an interleaved area. */
	while (sectors) {
		u64 n = min(sectors, integrity_area_remaining(&ic->layout, sector));
		u64 first, last;

		if (!n)
			return;
		tag_buffers(ic, sector, n, &first, &last);
		dm_bufio_prefetch(ic->tags.bufio, first, last - first + 1);
		sector += n;
		sectors -= n;
	}
}

void integrity_tag_prefetch_edges(struct dm_integrity_c *ic, u64 sector, u64 sectors)
{
	struct integrity_tag_cursor cur;
	u64 first, last, size = 1ULL << ic->tags.buffer_shift;

	if (!ic->tags.bufio)
		return;
	integrity_tag_cursor_init(&cur, ic);
	integrity_tag_cursor_overwrite(&cur, sector, sectors);
	tag_buffers(ic, sector, sectors, &first, &last);
	if (cur.whole_from > first * size || cur.whole_to < (first + 1) * size)
		dm_bufio_prefetch(ic->tags.bufio, first, 1);
	if (last != first && cur.whole_to < (last + 1) * size)
		dm_bufio_prefetch(ic->tags.bufio, last, 1);
}

void integrity_tags_forget(struct dm_integrity_c *ic)
{
	const struct integrity_layout *l = &ic->layout;

	if (ic->tags.bufio)
		dm_bufio_forget_buffers(ic->tags.bufio, 0, (l->meta_sectors >> l->log2_buffer) + 1);
}

int integrity_tags_flush(struct dm_integrity_c *ic)
{
	int r;

	if (ic->read_only || !ic->tags.bufio)
		return 0;
	/*
	 * dm-bufio tells of a failed write only once, and forgets what it could not write: the disk
	 * then holds old tags for new data. Whoever flushes next must find the device failed, or it
	 * would acknowledge, or save a position for, tags that are lost.
	 */
	mutex_lock(&ic->tags.flush_lock);
	r = atomic_read(&ic->failed);
	if (!r) {
		r = dm_bufio_write_dirty_buffers(ic->tags.bufio);
		if (r)
			integrity_fail(ic, "writing tags", r);
	}
	mutex_unlock(&ic->tags.flush_lock);
	return r;
}

void integrity_tags_drain(struct dm_integrity_c *ic)
{
	if (ic->read_only || !ic->tags.bufio)
		return;
	mutex_lock(&ic->tags.flush_lock);
	dm_bufio_write_dirty_buffers(ic->tags.bufio);
	mutex_unlock(&ic->tags.flush_lock);
}
