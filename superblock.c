// SPDX-License-Identifier: GPL-2.0-only
/*
 * The superblock: its image in memory, and the only code that reads or writes it.
 *
 * sb->lock guards the image and orders the writes. Flags may be read without it: they are one
 * aligned word, changed as one. What was read is checked (MAC, then every field,
 * integrity_sb_validate()) before anything uses it.
 *
 * Order of writes: integrity_sb_store() writes with FUA, and its caller has made stable what the
 * superblock promises. A crash before the write leaves the old superblock, a crash after it the
 * new one; the fields in use lie in one sector.
 */
#include <linux/slab.h>

#include "dm-integrity.h"

int integrity_sb_init(struct dm_integrity_c *ic)
{
	mutex_init(&ic->sb.lock);
	ic->sb.image = kzalloc(INTEGRITY_SB_BYTES, GFP_KERNEL);
	ic->sb.scratch = kzalloc(INTEGRITY_SB_BYTES, GFP_KERNEL);
	return ic->sb.image && ic->sb.scratch ? 0 : -ENOMEM;
}

void integrity_sb_exit(struct dm_integrity_c *ic)
{
	kfree(ic->sb.image);
	kfree(ic->sb.scratch);
}

u32 integrity_sb_flags(struct dm_integrity_c *ic)
{
	return le32_to_cpu(READ_ONCE(ic->sb.image->flags));
}

u64 integrity_sb_recalc_sector(struct dm_integrity_c *ic)
{
	u64 sector;

	mutex_lock(&ic->sb.lock);
	sector = le64_to_cpu(ic->sb.image->recalc_sector);
	mutex_unlock(&ic->sb.lock);
	return sector;
}

/* What the next store says, unless somebody changes it. */
static void take_fields(struct dm_integrity_c *ic)
{
	const struct integrity_superblock *sb = ic->sb.image;

	ic->sb.bitmap_in_use = le32_to_cpu(sb->flags) & INTEGRITY_SB_DIRTY_BITMAP;
	ic->sb.log2_blocks_per_bit = sb->log2_blocks_per_bitmap_bit;
	/* Once set it stays (section 3.4). */
	ic->sb.discard_keyed = ic->params.allow_discards_keyed;
}

/* Flags are read without the lock: they change as one word. */
static void set_image(struct dm_integrity_c *ic, const struct integrity_superblock *sb)
{
	__le32 flags = sb->flags;

	WRITE_ONCE(ic->sb.image->flags, flags);
	memcpy(ic->sb.image, sb, INTEGRITY_SB_BYTES);
}

/*
 * Has this superblock a MAC: only with a journal MAC in the table and fix_hmac on the disk
 * (section 1.5).
 */
static bool sb_has_mac(struct dm_integrity_c *ic, const struct integrity_superblock *sb)
{
	return ic->mac && (le32_to_cpu(sb->flags) & INTEGRITY_SB_FIXED_HMAC);
}

/*
 * Compute the MAC over all of the first sector but the MAC's own place at its end; *@place is
 * that place.
 */
static int sb_mac(struct dm_integrity_c *ic, void *sb, u8 *digest, u8 **place, unsigned int *size)
{
	SHASH_DESC_ON_STACK(desc, ic->mac);
	int r;

	*size = crypto_shash_digestsize(ic->mac);
	if (sizeof(struct integrity_superblock) + *size > INTEGRITY_SECTOR_SIZE)
		return -EINVAL;
	*place = (u8 *)sb + INTEGRITY_SECTOR_SIZE - *size;

	desc->tfm = ic->mac;
	r = crypto_shash_digest(desc, sb, INTEGRITY_SECTOR_SIZE - *size, digest);
	shash_desc_zero(desc);
	return r;
}

static int sb_check_mac(struct dm_integrity_c *ic, void *sb, char *why, size_t why_size)
{
	u8 digest[HASH_MAX_DIGESTSIZE];
	unsigned int size;
	u8 *place;
	int r;

	if (ic->mode->as_it_is || !sb_has_mac(ic, sb))
		return 0;
	r = sb_mac(ic, sb, digest, &place, &size);
	if (r) {
		snprintf(why, why_size, "cannot compute the superblock's MAC (error %d)", r);
		return r;
	}
	if (crypto_memneq(place, digest, size)) {
		snprintf(why, why_size,
			 "the superblock's MAC does not match: wrong journal_mac key, or changed by others");
		compat_audit_event(DM_MSG_PREFIX, "mac-superblock", ic->ti, 0);
		return -EILSEQ;
	}
	return 0;
}

static int sb_validate(struct dm_integrity_c *ic, const struct integrity_superblock *sb, char *why,
		       size_t why_size)
{
	const struct integrity_sb_expect expect = {
		.tag_size = ic->layout.tag_size,
		.log2_sectors_per_block = ic->layout.log2_sectors_per_block,
		.separate = ic->layout.separate,
		.journal_mac = ic->mac,
		.inline_mode = ic->layout.inline_mode,
		.discard_keyed = ic->params.allow_discards_keyed,
		.max_version = INTEGRITY_SB_VERSION_7,
	};

	return integrity_sb_validate(sb, &expect, why, why_size);
}

static int sb_read(struct dm_integrity_c *ic, void *to, char *why, size_t why_size)
{
	int r = integrity_sync_io(ic, integrity_meta_bdev(ic), REQ_OP_READ, ic->layout.start,
				  INTEGRITY_SB_SECTORS, to);

	if (r)
		snprintf(why, why_size, "cannot read the superblock at sector %llu (error %d)",
			 ic->layout.start, r);
	return r;
}

int integrity_sb_load(struct dm_integrity_c *ic, bool *blank, char *why, size_t why_size)
{
	struct integrity_superblock *sb = ic->sb.image;
	int r;

	*blank = false;
	r = sb_read(ic, sb, why, why_size);
	if (ic->mode->as_it_is && (r || !integrity_sb_has_magic(sb))) {
		memset(sb, 0, INTEGRITY_SB_BYTES);
		*blank = true;
		return 0;
	}
	if (r)
		return r;
	r = sb_check_mac(ic, sb, why, why_size);
	if (r)
		return r;
	if (integrity_sb_has_magic(sb)) {
		take_fields(ic);
		return sb_validate(ic, sb, why, why_size);
	}
	if (memchr_inv(sb, 0, INTEGRITY_SB_BYTES)) {
		snprintf(why, why_size,
			 "no integrity superblock at sector %llu, nor zeros: to format, clear its 4096 bytes",
			 ic->layout.start);
		return -EINVAL;
	}
	*blank = true;
	return 0;
}

int integrity_sb_reload(struct dm_integrity_c *ic, char *why, size_t why_size)
{
	struct integrity_superblock *now = ic->sb.scratch;
	const char *field;
	int r;

	if (ic->made_up)
		return 0;

	mutex_lock(&ic->sb.lock);
	r = sb_read(ic, now, why, why_size);
	if (r)
		goto out;
	r = sb_check_mac(ic, now, why, why_size);
	if (r)
		goto out;
	/*
	 * Which volume it is comes first: it says more than "no magic" to who replaced the disk
	 * under a loaded table.
	 */
	field = integrity_sb_same_volume(ic->sb.image, now);
	if (field) {
		snprintf(why, why_size,
			 "the superblock's %s changed between load and resume of the table", field);
		r = -EINVAL;
		goto out;
	}
	r = sb_validate(ic, now, why, why_size);
	if (r)
		goto out;
	/*
	 * A table that was live knows what is on the disk, for nobody else wrote meanwhile. What
	 * it finds instead, flags perhaps that would have tags made of what the disk holds, it
	 * does not believe.
	 */
	if (!ic->activated)
		set_image(ic, now);
	else if (memcmp(now, ic->sb.image, sizeof(*now)))
		DMWARN("%s: the superblock is not what was written to it; going on with that",
		       integrity_name(ic));
out:
	/* Not what a store that failed was to say. */
	if (!r || ic->activated)
		take_fields(ic);
	mutex_unlock(&ic->sb.lock);
	return r;
}

int integrity_sb_store(struct dm_integrity_c *ic, bool recalculating, u64 recalc_sector)
{
	struct integrity_superblock *sb = ic->sb.scratch;
	u8 digest[HASH_MAX_DIGESTSIZE];
	unsigned int size;
	u8 *place;
	u32 flags;
	int r = 0;

	if (ic->read_only)
		return -EROFS;

	mutex_lock(&ic->sb.lock);
	/* Made beside the image, which stays what it was should the write fail. */
	memcpy(sb, ic->sb.image, INTEGRITY_SB_BYTES);
	flags = le32_to_cpu(sb->flags) & ~(INTEGRITY_SB_RECALCULATING | INTEGRITY_SB_DIRTY_BITMAP);
	if (recalculating)
		flags |= INTEGRITY_SB_RECALCULATING;
	if (ic->sb.bitmap_in_use)
		flags |= INTEGRITY_SB_DIRTY_BITMAP;
	if (ic->sb.discard_keyed)
		flags |= INTEGRITY_SB_DISCARD_KEYED;
	sb->flags = cpu_to_le32(flags);
	sb->recalc_sector = cpu_to_le64(recalc_sector);
	sb->provided_data_sectors = cpu_to_le64(ic->layout.provided_sectors);
	sb->log2_blocks_per_bitmap_bit = ic->sb.log2_blocks_per_bit;
	sb->version = integrity_sb_version(flags, ic->layout.separate, ic->mode->keeps_bitmap);

	if (sb_has_mac(ic, sb)) {
		r = sb_mac(ic, sb, digest, &place, &size);
		if (!r)
			memcpy(place, digest, size);
	}
	if (!r)
		r = integrity_sync_io(ic, integrity_meta_bdev(ic),
				      REQ_OP_WRITE | REQ_FUA | REQ_SYNC, ic->layout.start,
				      INTEGRITY_SB_SECTORS, sb);
	if (!r)
		set_image(ic, sb);
	else
		DMERR("%s: cannot write the superblock at sector %llu (error %d)",
		      integrity_name(ic), ic->layout.start, r);
	mutex_unlock(&ic->sb.lock);
	return r;
}
