// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can be said of a superblock without I/O (Documentation/on-disk-format.rst, sections 1 and
 * 8.3).
 *
 * integrity_sb_validate() is the gate: no other code computes with a number from a superblock that
 * has not passed it. Two fields are not judged there because they are only advice: the stored
 * provided_data_sectors is computed again from the device's size at every activation (2.7), and
 * recalc_sector is clamped to the result. Padding and unknown flag bits are carried along unread,
 * as in-tree: the version number is what keeps old code from new volumes.
 */
#include "format.h"

bool integrity_sb_has_magic(const struct integrity_superblock *sb)
{
	return !memcmp(sb->magic, INTEGRITY_SB_MAGIC, sizeof(sb->magic));
}

/* Flags that the table must agree with, and each other. */
static int validate_flags(const struct integrity_superblock *sb,
			  const struct integrity_sb_expect *expect, char *why, size_t why_size)
{
	const u32 flags = le32_to_cpu(sb->flags);

	if ((flags & INTEGRITY_SB_INLINE) && !expect->inline_mode)
		return refuse(why, why_size,
			      "superblock: flags 0x%x say inline tags, only mode I can open it",
			      flags);
	if (!(flags & INTEGRITY_SB_INLINE) && expect->inline_mode)
		return refuse(why, why_size,
			      "superblock: flags 0x%x say no inline tags, mode I cannot open it",
			      flags);
	if ((flags & INTEGRITY_SB_INLINE) && (flags & INTEGRITY_SB_DIRTY_BITMAP))
		return refuse(why, why_size,
			      "superblock: flags 0x%x say both inline tags and a bitmap", flags);
	if ((flags & INTEGRITY_SB_HAVE_JOURNAL_MAC) && !expect->journal_mac)
		return refuse(why, why_size,
			"superblock: flags 0x%x say journal MAC, the table has no journal_mac",
			flags);
	if (!(flags & INTEGRITY_SB_HAVE_JOURNAL_MAC) && expect->journal_mac)
		return refuse(why, why_size,
			"superblock: flags 0x%x say no journal MAC, the table has journal_mac",
			flags);
	if ((flags & INTEGRITY_SB_DISCARD_KEYED) && !expect->discard_keyed)
		return refuse(why, why_size,
			      "superblock: flags 0x%x need allow_discards_keyed in the table",
			      flags);
	return 0;
}

int integrity_sb_validate(const struct integrity_superblock *sb,
			  const struct integrity_sb_expect *expect, char *why, size_t why_size)
{
	const u32 tag_size = le16_to_cpu(sb->tag_size);
	const u32 sections = le32_to_cpu(sb->journal_sections);
	const u8 il = sb->log2_interleave_sectors;
	const u8 lspb = sb->log2_sectors_per_block;
	const u8 bitmap = sb->log2_blocks_per_bitmap_bit;
	int r;

	if (!integrity_sb_has_magic(sb))
		return refuse(why, why_size, "superblock: magic not found");
	if (!sb->version || sb->version > expect->max_version)
		return refuse(why, why_size, "superblock: version %u is not known (1..%u are)",
			      sb->version, expect->max_version);

	r = validate_flags(sb, expect, why, why_size);
	if (r)
		return r;

	if (!tag_size || tag_size > INTEGRITY_MAX_TAG_SIZE)
		return refuse(why, why_size, "superblock: tag size %u is not 1..%u", tag_size,
			      INTEGRITY_MAX_TAG_SIZE);
	if (expect->tag_size && tag_size != expect->tag_size)
		return refuse(why, why_size, "superblock: tag size %u differs from the table's %u",
			      tag_size, expect->tag_size);

	if (lspb > INTEGRITY_MAX_LOG2_SPB)
		return refuse(why, why_size, "superblock: log2_sectors_per_block %u is not 0..%u",
			      lspb, INTEGRITY_MAX_LOG2_SPB);
	if (lspb != expect->log2_sectors_per_block)
		return refuse(why, why_size,
			"superblock: log2_sectors_per_block %u (block_size %u) differs from the table's block_size %u",
			lspb, INTEGRITY_SECTOR_SIZE << lspb,
			INTEGRITY_SECTOR_SIZE << expect->log2_sectors_per_block);

	if (expect->inline_mode && sections)
		return refuse(why, why_size,
			      "superblock: journal_sections %u is not 0, as inline tags need",
			      sections);
	if (!expect->inline_mode && !sections)
		return refuse(why, why_size, "superblock: journal_sections 0, there is no journal");

	if (expect->separate && il)
		return refuse(why, why_size,
			"superblock: log2_interleave_sectors %u is not 0, as a meta_device needs",
			il);
	if (!expect->separate &&
	    (il < INTEGRITY_MIN_LOG2_INTERLEAVE || il > INTEGRITY_MAX_LOG2_INTERLEAVE))
		return refuse(why, why_size, "superblock: log2_interleave_sectors %u is not %u..%u",
			      il, INTEGRITY_MIN_LOG2_INTERLEAVE, INTEGRITY_MAX_LOG2_INTERLEAVE);

	/*
	 * Only a shift that a 64-bit sector can take; sectors_per_bit:9223372036854775808 really
	 * makes the in-tree target store 63 for a block size of 512.
	 */
	if (bitmap > 63 - lspb)
		return refuse(why, why_size,
			      "superblock: log2_blocks_per_bitmap_bit %u is not 0..%u", bitmap,
			      63 - lspb);
	return 0;
}

const char *integrity_sb_same_volume(const struct integrity_superblock *then,
				     const struct integrity_superblock *now)
{
	if (memcmp(then->magic, now->magic, sizeof(now->magic)))
		return "magic";
	if (then->log2_interleave_sectors != now->log2_interleave_sectors)
		return "log2_interleave_sectors";
	if (then->tag_size != now->tag_size)
		return "tag_size";
	if (then->journal_sections != now->journal_sections)
		return "journal_sections";
	if (then->log2_sectors_per_block != now->log2_sectors_per_block)
		return "log2_sectors_per_block";
	if (memcmp(then->salt, now->salt, sizeof(now->salt)))
		return "salt";
	if ((then->flags ^ now->flags) & cpu_to_le32(INTEGRITY_SB_FIXED_FLAGS))
		return "flags";
	return NULL;
}

u8 integrity_sb_version(u32 flags, bool separate, bool bitmap_mode)
{
	if (flags & INTEGRITY_SB_DISCARD_KEYED)
		return INTEGRITY_SB_VERSION_7;
	if (flags & INTEGRITY_SB_INLINE)
		return INTEGRITY_SB_VERSION_6;
	if (flags & INTEGRITY_SB_FIXED_HMAC)
		return INTEGRITY_SB_VERSION_5;
	if (flags & INTEGRITY_SB_FIXED_PADDING)
		return INTEGRITY_SB_VERSION_4;
	if (bitmap_mode || (flags & INTEGRITY_SB_DIRTY_BITMAP))
		return INTEGRITY_SB_VERSION_3;
	if (separate || (flags & INTEGRITY_SB_RECALCULATING))
		return INTEGRITY_SB_VERSION_2;
	return INTEGRITY_SB_VERSION_1;
}
