/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * On-disk structures of a dm-integrity volume, and what can be said of them without I/O.
 *
 * Everything here is described in Documentation/on-disk-format.rst; the sections named below are
 * its sections. All integers on the disk are little-endian; a sector is always 512 bytes.
 */
#ifndef DM_INTEGRITY_FORMAT_H
#define DM_INTEGRITY_FORMAT_H

#include "portable.h"

#define INTEGRITY_SECTOR_SHIFT		9
#define INTEGRITY_SECTOR_SIZE		512u

/* --- superblock, section 1 --- */

#define INTEGRITY_SB_MAGIC		"integrt"	/* 8 bytes with the terminating NUL */
#define INTEGRITY_SB_SECTORS		8u		/* always read and written whole */
#define INTEGRITY_SB_BYTES		(INTEGRITY_SB_SECTORS * INTEGRITY_SECTOR_SIZE)
#define INTEGRITY_SALT_SIZE		16u

#define INTEGRITY_SB_VERSION_1		1
#define INTEGRITY_SB_VERSION_2		2		/* meta_device or recalculation */
#define INTEGRITY_SB_VERSION_3		3		/* bitmap */
#define INTEGRITY_SB_VERSION_4		4		/* fix_padding */
#define INTEGRITY_SB_VERSION_5		5		/* fix_hmac */
#define INTEGRITY_SB_VERSION_6		6		/* inline */
#define INTEGRITY_SB_VERSION_7		7		/* keyed discards */

#define INTEGRITY_SB_HAVE_JOURNAL_MAC	0x01u
#define INTEGRITY_SB_RECALCULATING	0x02u
#define INTEGRITY_SB_DIRTY_BITMAP	0x04u
#define INTEGRITY_SB_FIXED_PADDING	0x08u
#define INTEGRITY_SB_FIXED_HMAC		0x10u
#define INTEGRITY_SB_INLINE		0x20u
#define INTEGRITY_SB_DISCARD_KEYED	0x40u

/* What no table may change between its load and its activation. */
#define INTEGRITY_SB_FIXED_FLAGS						\
	(INTEGRITY_SB_HAVE_JOURNAL_MAC | INTEGRITY_SB_FIXED_PADDING |		\
	 INTEGRITY_SB_FIXED_HMAC | INTEGRITY_SB_INLINE)

struct integrity_superblock {
	u8 magic[8];
	u8 version;
	u8 log2_interleave_sectors;	/* 0 with a metadata device */
	__le16 tag_size;		/* bytes, 1..255 */
	__le32 journal_sections;
	__le64 provided_data_sectors;	/* sectors */
	__le32 flags;
	u8 log2_sectors_per_block;	/* 0..3 */
	u8 log2_blocks_per_bitmap_bit;
	u8 pad[2];
	__le64 recalc_sector;		/* sectors; with INTEGRITY_SB_RECALCULATING */
	u8 pad2[8];
	u8 salt[INTEGRITY_SALT_SIZE];
} __packed;

/* --- limits, section 8 --- */

#define INTEGRITY_MAX_TAG_SIZE		255u
#define INTEGRITY_DISCARD_FILLER	0xf6		/* all of a discarded block's tag */
#define INTEGRITY_MIN_LOG2_INTERLEAVE	3u
#define INTEGRITY_MAX_LOG2_INTERLEAVE	31u
#define INTEGRITY_MAX_LOG2_SPB		3u
#define INTEGRITY_MAX_LOG2_BUFFER	22u		/* sectors */

/* --- journal, section 4 --- */

#define INTEGRITY_JOURNAL_META_SECTORS	8u		/* metadata sectors of a section */
#define INTEGRITY_COMMIT_ID_OFFSET	504u		/* in every sector of the journal */
#define INTEGRITY_JOURNAL_MAC_OFFSET	496u		/* with a journal MAC */
#define INTEGRITY_JOURNAL_MAC_BYTES	8u		/* a metadata sector's share */
#define INTEGRITY_ENTRY_UNUSED		0xffffffffu	/* high word of an entry's sector */

/**
 * struct integrity_sb_expect - what the table says of a volume, to be compared with its superblock
 * @tag_size: bytes; 0 when the table leaves it open
 * @log2_sectors_per_block: of the table's block_size
 * @separate: the table names a meta_device
 * @journal_mac: the table names a journal_mac
 * @inline_mode: the table's mode is I
 * @discard_keyed: the table has allow_discards_keyed
 * @max_version: highest superblock version that the running module implements
 */
struct integrity_sb_expect {
	u32 tag_size;
	u8 log2_sectors_per_block;
	bool separate;
	bool journal_mac;
	bool inline_mode;
	bool discard_keyed;
	u8 max_version;
};

/**
 * integrity_sb_has_magic - does this look like a superblock at all (section 1.6)
 */
bool integrity_sb_has_magic(const struct integrity_superblock *sb);

/**
 * integrity_sb_validate - check every field of a superblock before anything is computed from it
 * (sections 1.2-1.4, 8.3)
 * @sb: as read from the disk
 * @expect: what the table says
 * @why: receives a sentence without a newline that names the field and its value when the
 * superblock is refused
 * @why_size: bytes at @why
 *
 * Return: 0; -EINVAL with @why filled in.
 */
int integrity_sb_validate(const struct integrity_superblock *sb,
			  const struct integrity_sb_expect *expect, char *why, size_t why_size);

/**
 * integrity_sb_same_volume - is @now still the volume that @then was (section 1.7)
 *
 * Compares what never changes in the life of a volume: magic, interleave, tag size, journal
 * sections, block size, salt and the flags of INTEGRITY_SB_FIXED_FLAGS.
 *
 * Return: NULL when it is, or the name of the first field that differs.
 */
const char *integrity_sb_same_volume(const struct integrity_superblock *then,
				     const struct integrity_superblock *now);

/**
 * integrity_sb_version - the version number to store, from the flags and the mode (section 1.3)
 * @flags: superblock flags
 * @separate: there is a metadata device
 * @bitmap_mode: currently opened in mode B
 */
u8 integrity_sb_version(u32 flags, bool separate, bool bitmap_mode);

#endif
