// SPDX-License-Identifier: GPL-2.0-only
/*
 * The journal's memory, and the way of its sections to the disk and back: cipher (section 4.7) and
 * MAC (4.4).
 *
 * The area in memory is always plain. A section that is written goes through one buffer where
 * there is a cipher. So only who holds journal.commit_lock, or is alone with the device yet,
 * may write.
 *
 * A stream cipher has one keystream for the whole area, which is kept; and it makes the commit
 * ids. A block cipher takes each section as one message, with an IV of its own that never changes.
 */
#include <crypto/skcipher.h>
#include <linux/crypto.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "dm-integrity.h"

/* --- cipher --- */

/* Of sizes that a superblock names: rather fail than have others killed for it. */
#define GFP_LARGE	(GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* An array of entries, one a page of vmalloc memory. NULL when there is no memory. */
static struct scatterlist *sg_of(void *address, size_t bytes)
{
	unsigned int n = DIV_ROUND_UP(bytes, PAGE_SIZE), i;
	struct scatterlist *sg = kvmalloc_array(n, sizeof(*sg), GFP_LARGE);

	if (!sg)
		return NULL;
	sg_init_table(sg, n);
	for (i = 0; i < n; i++)
		sg_set_page(&sg[i], vmalloc_to_page((u8 *)address + i * PAGE_SIZE),
			    min_t(size_t, bytes - i * PAGE_SIZE, PAGE_SIZE), 0);
	return sg;
}

/* Encrypt or decrypt in place, and wait for a driver that is asynchronous. */
static int crypt(struct integrity_journal *j, struct scatterlist *sg, unsigned int bytes, u8 *iv,
		 bool encrypt)
{
	struct skcipher_request *req = j->request;
	DECLARE_CRYPTO_WAIT(wait);
	unsigned int noio;
	int r;

	/* What the driver allocates must not wait for I/O to this device. */
	noio = memalloc_noio_save();
	skcipher_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG | CRYPTO_TFM_REQ_MAY_SLEEP,
				      crypto_req_done, &wait);
	skcipher_request_set_crypt(req, sg, sg, bytes, iv);
	r = crypto_wait_req(encrypt ? crypto_skcipher_encrypt(req) :
				      crypto_skcipher_decrypt(req), &wait);
	memalloc_noio_restore(noio);
	return r;
}

/* The keystream of the whole area, and the commit ids. */
static int make_stream(struct dm_integrity_c *ic)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	size_t area = (size_t)l->journal_sections * integrity_section_bytes(l);
	size_t ids = round_up(area, PAGE_SIZE), bytes = ids + INTEGRITY_COMMIT_IDS_BYTES;
	struct scatterlist *sg;
	int r;

	j->stream_bytes = bytes;
	/* What a request can say of its length. */
	if (bytes > INT_MAX)
		return -EFBIG;
	j->stream = __vmalloc(bytes, GFP_LARGE | __GFP_ZERO);
	if (!j->stream)
		return -ENOMEM;
	sg = sg_of(j->stream, bytes);
	if (!sg)
		return -ENOMEM;
	integrity_commit_ids_plain(j->stream + ids);
	memset(j->iv, 0, crypto_skcipher_ivsize(j->cipher));
	r = crypt(j, sg, bytes, j->iv, true);
	kvfree(sg);
	if (!r)
		integrity_commit_ids_init(&j->ids, j->stream + ids);
	return r;
}

/* The IV of a section: its number, encrypted; in j->iv. */
static int make_iv(struct integrity_journal *j, u32 section)
{
	unsigned int iv_size = crypto_skcipher_ivsize(j->cipher);
	unsigned int bytes = round_up(iv_size, crypto_skcipher_blocksize(j->cipher));
	__le32 number = cpu_to_le32(section);
	struct scatterlist sg;

	if (!iv_size)
		return 0;
	/* The first half is the IV of this, zero, and then the section's. */
	memset(j->iv, 0, 2 * bytes);
	memcpy(j->iv + bytes, &number, sizeof(number));
	sg_init_one(&sg, j->iv + bytes, bytes);
	return crypt(j, &sg, bytes, j->iv, true);
}

static u8 *section_iv(struct integrity_journal *j)
{
	return j->iv + round_up(crypto_skcipher_ivsize(j->cipher),
				crypto_skcipher_blocksize(j->cipher));
}

/* The section in j->scratch, from plain to encrypted or back. */
static int crypt_scratch(struct dm_integrity_c *ic, u32 section, bool encrypt)
{
	struct integrity_journal *j = &ic->journal;
	size_t bytes = integrity_section_bytes(&ic->layout);
	int r;

	if (j->stream) {
		crypto_xor(j->scratch, j->stream + section * bytes, bytes);
		return 0;
	}
	r = make_iv(j, section);
	return r ?: crypt(j, j->sg, bytes, section_iv(j), encrypt);
}

static int set_key(struct integrity_journal *j, const struct integrity_alg_param *alg)
{
	u8 *key;
	int r;

	if (!alg->hexkey)
		return 0;
	key = kmalloc(max_t(size_t, alg->key_len, 1), GFP_KERNEL);
	if (!key)
		return -ENOMEM;
	r = integrity_alg_key(alg, key);
	if (!r)
		r = crypto_skcipher_setkey(j->cipher, key, alg->key_len);
	kfree_sensitive(key);
	return r;
}

static int init_cipher(struct dm_integrity_c *ic, const struct integrity_alg_param *alg, char *why,
		       size_t why_size)
{
	struct integrity_journal *j = &ic->journal;
	size_t bytes = integrity_section_bytes(&ic->layout);
	unsigned int block, iv_bytes;
	char *name;
	int r;

	name = kmemdup_nul(alg->spec, alg->name_len, GFP_KERNEL);
	if (!name)
		goto no_memory;
	/* A driver that allocates memory for each request could not be used to swap on. */
	j->cipher = crypto_alloc_skcipher(name, 0, CRYPTO_ALG_ALLOCATES_MEMORY);
	if (IS_ERR(j->cipher)) {
		r = PTR_ERR(j->cipher);
		j->cipher = NULL;
		snprintf(why, why_size, "journal_crypt: cannot use cipher '%s' (error %d)", name,
			 r);
		goto out;
	}
	r = set_key(j, alg);
	if (r) {
		snprintf(why, why_size,
			 "journal_crypt: '%s' does not take a key of %zu bytes (error %d)", name,
			 alg->key_len, r);
		goto out;
	}
	block = crypto_skcipher_blocksize(j->cipher);
	if (bytes % block) {
		r = -EINVAL;
		snprintf(why, why_size,
			 "journal_crypt: blocks of %u bytes of '%s' do not fill a section", block,
			 name);
		goto out;
	}
	iv_bytes = round_up(crypto_skcipher_ivsize(j->cipher), block);
	j->request = skcipher_request_alloc(j->cipher, GFP_KERNEL);
	j->iv = kzalloc(max(2 * iv_bytes, 1U), GFP_KERNEL);
	j->scratch = vzalloc(bytes);
	if (!j->request || !j->iv || !j->scratch)
		goto no_memory;
	j->sg = sg_of(j->scratch, bytes);
	if (!j->sg)
		goto no_memory;

	r = block == 1 ? make_stream(ic) : 0;
	if (r == -ENOMEM)
		goto no_memory;
	if (!r && block > 1)
		r = make_iv(j, 0);
	if (r == -ENOKEY)
		snprintf(why, why_size, "journal_crypt: '%s' needs a key", name);
	else if (r)
		snprintf(why, why_size, "journal_crypt: '%s' does not encrypt (error %d)", name, r);
	goto out;

no_memory:
	r = -ENOMEM;
	snprintf(why, why_size, "journal_crypt: out of memory");
out:
	kfree(name);
	return r;
}

/* --- MAC --- */

static int section_mac(struct dm_integrity_c *ic, const u8 *raw, u32 section, u8 *mac)
{
	const struct integrity_layout *l = &ic->layout;
	SHASH_DESC_ON_STACK(desc, ic->mac);
	u32 n;
	int r;

	BUILD_BUG_ON(INTEGRITY_SECTION_MAC_BYTES != HASH_MAX_DIGESTSIZE);

	memset(mac, 0, INTEGRITY_SECTION_MAC_BYTES);
	desc->tfm = ic->mac;
	r = crypto_shash_init(desc);
	if (!r && (integrity_sb_flags(ic) & INTEGRITY_SB_FIXED_HMAC)) {
		__le64 place = cpu_to_le64(section);

		r = crypto_shash_update(desc, ic->sb.image->salt, INTEGRITY_SALT_SIZE);
		if (!r)
			r = crypto_shash_update(desc, (u8 *)&place, sizeof(place));
	}
	for (n = 0; n < l->journal_section_entries && !r; n++)
		r = crypto_shash_update(desc, raw + integrity_entry_offset(l, n), sizeof(__le64));
	if (!r)
		r = crypto_shash_final(desc, mac);
	shash_desc_zero(desc);
	return r;
}

int integrity_section_seal(struct dm_integrity_c *ic, u8 *raw, u32 section, u8 sequence)
{
	u8 mac[INTEGRITY_SECTION_MAC_BYTES];
	int r;

	integrity_section_set_ids(&ic->layout, &ic->journal.ids, raw, section, sequence);
	if (!ic->mac)
		return 0;
	r = section_mac(ic, raw, section, mac);
	if (!r)
		integrity_section_put_mac(raw, mac);
	return r;
}

int integrity_section_check_mac(struct dm_integrity_c *ic, u32 section)
{
	const u8 *raw = integrity_journal_raw(&ic->layout, &ic->journal, section);
	u8 mac[INTEGRITY_SECTION_MAC_BYTES], stored[INTEGRITY_SECTION_MAC_BYTES];
	int r;

	if (!ic->mac)
		return 0;
	r = section_mac(ic, raw, section, mac);
	if (r)
		return r;
	integrity_section_get_mac(raw, stored);
	return crypto_memneq(mac, stored, sizeof(mac)) ? -EILSEQ : 0;
}

/* --- sections to the disk and back --- */

struct area_write {
	atomic_t pending;		/* bios, and one for who sends them */
	int error;
	struct completion done;
};

static void put_area_write(struct area_write *w)
{
	if (atomic_dec_and_test(&w->pending))
		complete(&w->done);
}

static void area_write_endio(struct bio *bio)
{
	struct area_write *w = bio->bi_private;

	if (bio->bi_status)
		cmpxchg(&w->error, 0, blk_status_to_errno(bio->bi_status));
	bio_put(bio);
	put_area_write(w);
}

/*
 * Without a cipher sections are written from where they are, as many as lie next to each other at
 * once. The area's vectors are the bios', so that none is made page by page, as dm-io would.
 */
static int write_plain(struct dm_integrity_c *ic, u32 first, u32 count)
{
	const struct integrity_layout *l = &ic->layout;
	u8 *raw = integrity_journal_raw(l, &ic->journal, first);
	size_t left = (size_t)count * integrity_section_bytes(l);
	u64 sector = integrity_journal_section_sector(l, first);
	struct area_write w = { .pending = ATOMIC_INIT(1) };
	struct blk_plug plug;

	init_completion(&w.done);
	flush_kernel_vmap_range(raw, left);
	blk_start_plug(&plug);
	while (left) {
		size_t bytes = min_t(size_t, left, BIO_MAX_VECS * PAGE_SIZE - offset_in_page(raw));
		struct bio *bio;

		bio = bio_alloc_bioset(integrity_meta_bdev(ic), 0,
				       REQ_OP_WRITE | REQ_FUA | REQ_SYNC, GFP_NOIO,
				       &ic->journal.reserve);
		integrity_journal_set_vecs(&ic->journal, bio, raw, bytes);
		bio->bi_iter.bi_sector = sector;
		bio->bi_end_io = area_write_endio;
		bio->bi_private = &w;
		atomic_inc(&w.pending);
		submit_bio(bio);
		raw += bytes;
		sector += bytes >> SECTOR_SHIFT;
		left -= bytes;
		cond_resched();
	}
	blk_finish_plug(&plug);
	put_area_write(&w);
	wait_for_completion_io(&w.done);
	return integrity_no_mismatch(w.error);
}

static int write_encrypted(struct dm_integrity_c *ic, u32 section)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	int r;

	memcpy(j->scratch, integrity_journal_raw(l, j, section), integrity_section_bytes(l));
	r = crypt_scratch(ic, section, true);
	return r ?: integrity_sync_io(ic, integrity_meta_bdev(ic),
				      REQ_OP_WRITE | REQ_FUA | REQ_SYNC,
				      integrity_journal_section_sector(l, section),
				      l->journal_section_sectors, j->scratch);
}

int integrity_sections_write(struct dm_integrity_c *ic, u32 first, u32 count)
{
	const struct integrity_layout *l = &ic->layout;
	u32 n;
	int r = 0;

	for (; count && !r; count -= n, first = (first + n) % l->journal_sections) {
		if (ic->journal.cipher) {
			n = 1;
			r = write_encrypted(ic, first);
		} else {
			n = min(count, l->journal_sections - first);
			r = write_plain(ic, first, n);
		}
		cond_resched();
	}
	return r;
}

/* Give the sector a commit id that is none. */
static void spoil_id(struct integrity_journal *j, u8 *raw, u32 section, u32 sector)
{
	u8 *place = raw + sector * INTEGRITY_SECTOR_SIZE + INTEGRITY_COMMIT_ID_OFFSET;
	__le64 id;
	u64 v;

	/* Of five numbers one is not among four. */
	for (v = 0; v <= INTEGRITY_SEQUENCES; v++) {
		id = cpu_to_le64(v);
		if (integrity_commit_id_sequence(&j->ids, section, sector, id) < 0)
			break;
	}
	memcpy(place, &id, sizeof(id));
}

/*
 * Read a section of which something cannot be read, in units of the device's blocks; @bad gets a
 * bit for each sector that is lost.
 */
static bool read_piecewise(struct dm_integrity_c *ic, u32 section, u8 *raw, unsigned long *bad)
{
	const struct integrity_layout *l = &ic->layout;
	u32 unit = bdev_logical_block_size(integrity_meta_bdev(ic)) >> SECTOR_SHIFT, at;
	bool lost = false;

	for (at = 0; at < l->journal_section_sectors; at += unit) {
		int r = integrity_sync_io(ic, integrity_meta_bdev(ic), REQ_OP_READ,
					  integrity_journal_section_sector(l, section) + at, unit,
					  raw + at * INTEGRITY_SECTOR_SIZE);

		if (r) {
			DMERR_LIMIT("%s: cannot read sector %u of journal section %u (error %d)",
				    integrity_name(ic), at, section, r);
			bitmap_set(bad, at, unit);
			memset(raw + at * INTEGRITY_SECTOR_SIZE, 0, unit * INTEGRITY_SECTOR_SIZE);
			lost = true;
		}
		cond_resched();
	}
	return lost;
}

int integrity_section_read(struct dm_integrity_c *ic, u32 section)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	u8 *raw = integrity_journal_raw(l, j, section);
	unsigned long *bad = NULL;
	bool after = false;
	u32 sector;
	int r;

	r = integrity_sync_io(ic, integrity_meta_bdev(ic), REQ_OP_READ,
			      integrity_journal_section_sector(l, section),
			      l->journal_section_sectors, raw);
	if (r) {
		bad = bitmap_zalloc(l->journal_section_sectors, GFP_NOIO);
		if (!bad)
			return -ENOMEM;
		if (!read_piecewise(ic, section, raw, bad)) {
			bitmap_free(bad);
			bad = NULL;
		}
	}

	r = 0;
	if (j->cipher) {
		memcpy(j->scratch, raw, integrity_section_bytes(l));
		r = crypt_scratch(ic, section, false);
		memcpy(raw, j->scratch, integrity_section_bytes(l));
	}
	/*
	 * A block cipher chains: the begin of a sector needs the end of the one before, so a sector
	 * behind one that is lost is not what was written either.
	 */
	for (sector = 0; sector < l->journal_section_sectors; sector++) {
		bool lost = (bad && test_bit(sector, bad)) ||
			    (j->cipher && !j->stream &&
			     integrity_sector_sequence(&j->ids, raw, section, sector, NULL) < 0);

		if (lost || after)
			spoil_id(j, raw, section, sector);
		after = lost && j->cipher && !j->stream;
	}
	bitmap_free(bad);
	return r;
}

/* --- memory --- */

static u64 entries_of(const struct integrity_layout *l)
{
	return (u64)l->journal_sections * l->journal_section_entries;
}

static int alloc_area(struct dm_integrity_c *ic, char *why, size_t why_size)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	u64 bytes = (u64)l->journal_sections * integrity_section_bytes(l), pages, i;

	/* The superblock may name any number of sections. */
	if (bytes >> PAGE_SHIFT >= totalram_pages() / 2 || bytes > SIZE_MAX / 2) {
		snprintf(why, why_size,
			 "the journal of %llu bytes (%u sections) does not fit in memory", bytes,
			 l->journal_sections);
		return -ENOMEM;
	}
	j->area = __vmalloc(bytes, GFP_LARGE | __GFP_ZERO);
	j->state = kvcalloc(l->journal_sections, sizeof(*j->state), GFP_LARGE);
	j->key = kvcalloc(l->journal_section_entries, sizeof(*j->key), GFP_LARGE);
	pages = DIV_ROUND_UP(bytes, PAGE_SIZE);
	j->vecs = kvcalloc(pages, sizeof(*j->vecs), GFP_LARGE);
	if (!j->area || !j->state || !j->key || !j->vecs) {
		snprintf(why, why_size, "out of memory for a journal of %llu bytes", bytes);
		return -ENOMEM;
	}
	for (i = 0; i < pages; i++) {
		j->vecs[i].bv_page = vmalloc_to_page(j->area + i * PAGE_SIZE);
		j->vecs[i].bv_len = PAGE_SIZE;
	}
	return 0;
}

static int alloc_ring(struct dm_integrity_c *ic)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	u64 entries = entries_of(l), i;

	j->section = kvcalloc(l->journal_sections, sizeof(*j->section), GFP_LARGE);
	j->node = kvmalloc_array(entries, sizeof(*j->node), GFP_LARGE);
	/* Few of its lists have more than nobody: who reads looks into one for each block. */
	j->table_bits = clamp_t(unsigned int, ilog2(entries) + 2, 4, 24);
	j->table = kvcalloc(1UL << j->table_bits, sizeof(*j->table), GFP_LARGE);
	if (!j->section || !j->node || !j->table)
		return -ENOMEM;
	for (i = 0; i < entries; i++) {
		INIT_HLIST_NODE(&j->node[i].link);
		integrity_node_clear(&j->node[i]);
	}
	j->threshold = div_u64(entries * (100 - ic->params.journal_watermark) + 50, 100);
	return 0;
}

int integrity_journal_init(struct dm_integrity_c *ic, const struct integrity_alg_param *alg,
			   char *why, size_t why_size)
{
	struct integrity_journal *j = &ic->journal;
	int r;

	r = alloc_area(ic, why, why_size);
	if (r)
		return r;
	integrity_commit_ids_init(&j->ids, NULL);
	if (alg->spec) {
		r = init_cipher(ic, alg, why, why_size);
		if (r)
			return r;
	}
	r = bioset_init(&j->bios, BIO_POOL_SIZE, offsetof(struct integrity_writeback_run, bio),
			BIOSET_NEED_BVECS | COMPAT_BIOSET_CACHE);
	if (!r)
		r = bioset_init(&j->reserve, BIO_POOL_SIZE,
				offsetof(struct integrity_writeback_run, bio), BIOSET_NEED_BVECS);
	if (!r && ic->mode->keeps_journal)
		r = alloc_ring(ic);
	if (!r && ic->mode->keeps_journal) {
		j->writeback_wq = alloc_ordered_workqueue("dm-integrity-writeback",
							  WQ_MEM_RECLAIM);
		r = j->writeback_wq ? 0 : -ENOMEM;
	}
	if (!r && ic->mode->keeps_bitmap) {
		j->spare = vmalloc(integrity_section_bytes(&ic->layout));
		r = j->spare ? 0 : -ENOMEM;
	}
	if (r)
		snprintf(why, why_size, "out of memory for the journal");
	return r;
}

void integrity_journal_release(struct dm_integrity_c *ic)
{
	struct integrity_journal *j = &ic->journal;

	if (j->request)
		skcipher_request_free(j->request);
	if (j->cipher)
		crypto_free_skcipher(j->cipher);
	/* As good as the key, as far as it goes. */
	if (j->stream)
		memzero_explicit(j->stream, j->stream_bytes);
	vfree(j->stream);
	vfree(j->scratch);
	kvfree(j->sg);
	kfree_sensitive(j->iv);
	vfree(j->area);
	kvfree(j->state);
	kvfree(j->key);
	kvfree(j->vecs);
	kvfree(j->section);
	kvfree(j->node);
	kvfree(j->table);
	bioset_exit(&j->bios);
	bioset_exit(&j->reserve);
	j->request = NULL;
	j->cipher = NULL;
	j->stream = NULL;
	j->scratch = NULL;
	j->sg = NULL;
	j->iv = NULL;
	j->area = NULL;
	j->state = NULL;
	j->key = NULL;
	j->vecs = NULL;
	j->section = NULL;
	j->node = NULL;
	j->table = NULL;
}

void integrity_journal_exit(struct dm_integrity_c *ic)
{
	if (ic->journal.writeback_wq)
		destroy_workqueue(ic->journal.writeback_wq);
	integrity_journal_release(ic);
	vfree(ic->journal.spare);
}
