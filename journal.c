// SPDX-License-Identifier: GPL-2.0-only
/*
 * The journal's area on the disk (Documentation/on-disk-format.rst, section 4).
 *
 * This version makes the empty journal of a new volume, so that every implementation can open it
 * in every mode, and finds out whether an existing journal holds writes that were never
 * replayed. It does not journal writes: a table in mode J is accepted only to format a volume,
 * as integritysetup does it, and refuses writes.
 *
 * Order of writes: all sections, then a flush; the caller writes the superblock after that. A
 * crash before leaves a volume without a superblock, which is formatted again.
 */
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "dm-integrity.h"

#define FIRST_COMMIT_ID		0x1111111111111111ULL	/* of sequence 0, not encrypted */

static void put_commit_id(u8 *sector, u32 section, u32 index)
{
	__le64 id = cpu_to_le64(FIRST_COMMIT_ID ^ (((u64)section << 32) ^ index));

	memcpy(sector + INTEGRITY_COMMIT_ID_OFFSET, &id, sizeof(id));
}

/*
 * The section's MAC: over the sector field of all its entries, spread over the metadata sectors
 * (section 4.4).
 */
static int put_section_mac(struct dm_integrity_c *ic, u8 *section, u32 index)
{
	const struct integrity_layout *l = &ic->layout;
	u8 mac[HASH_MAX_DIGESTSIZE] = {};
	SHASH_DESC_ON_STACK(desc, ic->mac);
	unsigned int j;
	u32 n;
	int r;

	desc->tfm = ic->mac;
	r = crypto_shash_init(desc);
	if (!r && (integrity_sb_flags(ic) & INTEGRITY_SB_FIXED_HMAC)) {
		__le64 place = cpu_to_le64(index);

		r = crypto_shash_update(desc, ic->sb.image->salt, INTEGRITY_SALT_SIZE);
		if (!r)
			r = crypto_shash_update(desc, (u8 *)&place, sizeof(place));
	}
	for (n = 0; n < l->journal_section_entries && !r; n++) {
		u32 sector, byte;

		integrity_journal_entry_place(l, n, &sector, &byte);
		r = crypto_shash_update(desc, section + sector * INTEGRITY_SECTOR_SIZE + byte,
					sizeof(__le64));
	}
	if (!r)
		r = crypto_shash_final(desc, mac);
	shash_desc_zero(desc);
	if (r)
		return r;

	for (j = 0; j < INTEGRITY_JOURNAL_META_SECTORS; j++)
		memcpy(section + j * INTEGRITY_SECTOR_SIZE + INTEGRITY_JOURNAL_MAC_OFFSET,
		       mac + j * INTEGRITY_JOURNAL_MAC_BYTES, INTEGRITY_JOURNAL_MAC_BYTES);
	return 0;
}

/* A superblock may name millions of sections: who loads the table can always give up. */
static int give_way(void)
{
	cond_resched();
	return fatal_signal_pending(current) ? -EINTR : 0;
}

int integrity_journal_format(struct dm_integrity_c *ic)
{
	const struct integrity_layout *l = &ic->layout;
	struct block_device *bdev = integrity_meta_bdev(ic);
	u32 section, j, n;
	u8 *buffer;
	int r = 0;

	BUILD_BUG_ON(INTEGRITY_JOURNAL_META_SECTORS * INTEGRITY_JOURNAL_MAC_BYTES !=
		     HASH_MAX_DIGESTSIZE);

	buffer = kvzalloc((size_t)l->journal_section_sectors << SECTOR_SHIFT, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;

	for (n = 0; n < l->journal_section_entries; n++) {
		__le32 unused = cpu_to_le32(INTEGRITY_ENTRY_UNUSED);
		u32 sector, byte;

		integrity_journal_entry_place(l, n, &sector, &byte);
		memcpy(buffer + sector * INTEGRITY_SECTOR_SIZE + byte + 4, &unused, sizeof(unused));
	}

	for (section = 0; section < l->journal_sections && !r; section++) {
		for (j = 0; j < l->journal_section_sectors; j++)
			put_commit_id(buffer + j * INTEGRITY_SECTOR_SIZE, section, j);
		if (ic->mac)
			r = put_section_mac(ic, buffer, section);
		if (!r)
			r = integrity_sync_io(ic, bdev, REQ_OP_WRITE,
					      integrity_journal_section_sector(l, section),
					      l->journal_section_sectors, buffer);
		if (!r)
			r = give_way();
	}
	if (!r)
		r = blkdev_issue_flush(bdev);
	kvfree(buffer);
	return r;
}

int integrity_journal_check_empty(struct dm_integrity_c *ic)
{
	const struct integrity_layout *l = &ic->layout;
	u32 section, n;
	u8 *buffer;
	int r = 0;

	buffer = kmalloc(INTEGRITY_JOURNAL_META_SECTORS << SECTOR_SHIFT, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;

	for (section = 0; section < l->journal_sections && !r; section++) {
		r = integrity_sync_io(ic, integrity_meta_bdev(ic), REQ_OP_READ,
				      integrity_journal_section_sector(l, section),
				      INTEGRITY_JOURNAL_META_SECTORS, buffer);
		for (n = 0; n < l->journal_section_entries && !r; n++) {
			u32 sector, byte;
			__le32 high;

			integrity_journal_entry_place(l, n, &sector, &byte);
			memcpy(&high, buffer + sector * INTEGRITY_SECTOR_SIZE + byte + 4,
			       sizeof(high));
			if (high != cpu_to_le32(INTEGRITY_ENTRY_UNUSED))
				r = -EUCLEAN;
		}
		if (!r)
			r = give_way();
	}
	kfree(buffer);
	return r;
}

static int journal_write(struct integrity_io *io)
{
	struct bio *bio = integrity_io_bio(io);

	DMERR_LIMIT("%s: a table in mode J only formats, it takes no writes: load it with mode D",
		    integrity_name(io->ic));
	bio->bi_status = BLK_STS_NOTSUPP;
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

static int journal_read(struct integrity_io *io)
{
	return integrity_mode_direct.read(io);
}

const struct integrity_mode integrity_mode_journal = {
	.letter = 'J',
	.read = journal_read,
	.write = journal_write,
};
