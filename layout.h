/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where things are on the disk: pure arithmetic (Documentation/on-disk-format.rst, section 2).
 *
 * No function here trusts its input to be in range unless it says so; none overflows on any
 * input. Those that take a logical sector, section or entry expect a layout that
 * integrity_layout_fit() accepted and a number inside it; with another number the result is
 * meaningless.
 */
#ifndef DM_INTEGRITY_LAYOUT_H
#define DM_INTEGRITY_LAYOUT_H

#include "format.h"

/*
 * No block device has more: its size in bytes is a loff_t. Larger sizes are refused, so 512 *
 * sector is a u64.
 */
#define INTEGRITY_MAX_DEVICE_SECTORS	((1ULL << 54) - 1)

/**
 * struct integrity_layout - the geometry of a volume; all sizes in 512-byte sectors unless said
 *
 * The first group is given, from the table when formatting or from a validated superblock; the
 * rest is computed by integrity_layout_derive() and integrity_layout_fit().
 */
struct integrity_layout {
	/* given */
	u64 start;			/* reserved sectors before the superblock */
	u64 data_sectors;		/* size of the data device */
	u64 meta_sectors;		/* of the superblock's device */
	u32 tag_size;			/* bytes, 1..255 */
	u32 journal_sections;
	u8 log2_sectors_per_block;	/* 0..3 */
	u8 log2_interleave;		/* 3..31; 0 when @separate */
	u8 log2_buffer;			/* sectors of a tag buffer, 0..22: wanted, then fitting */
	u8 min_log2_buffer; /* logical block of the metadata device, not to be gone below */
	bool separate;
	bool journal_mac;
	bool fix_padding;
	bool inline_mode;

	/* derived */
	u32 journal_entry_size;		/* bytes */
	u32 journal_entries_per_sector;
	u32 journal_section_entries;
	u32 journal_section_sectors;
	u64 initial_sectors;		/* from start to the first tag area */
	u64 metadata_run;		/* sectors in one tag area; 0 when @separate or inline */
	u64 provided_sectors;		/* size offered to the user */
};

/**
 * integrity_layout_derive - compute the journal geometry, the first tag area and the length of
 * tag areas
 *
 * Return: 0; -EINVAL when the given values do not make a volume (a journal entry that fits no
 * sector, initial_sectors of 2^32 or more).
 */
int integrity_layout_derive(struct integrity_layout *l);

/**
 * integrity_layout_fit - compute provided_sectors for the devices' sizes and the effective
 * log2_buffer (2.5, 2.7)
 *
 * Calls integrity_layout_derive() first. log2_buffer is lowered so that B <= IL, B divides the
 * metadata run, and, with a metadata device, so that the tags fit; never below min_log2_buffer,
 * to which a smaller one is raised. Unlike the in-tree target this one counts start when it
 * decides whether what was computed really lies on the device, and with a metadata device it
 * goes below 8 sectors before it gives up.
 *
 * Return: 0; -EINVAL as integrity_layout_derive(), for a device of more than
 * INTEGRITY_MAX_DEVICE_SECTORS, or when min_log2_buffer does not divide a metadata run; -ENOSPC
 * when the devices are too small. provided_sectors is 0 on failure.
 */
int integrity_layout_fit(struct integrity_layout *l);

/**
 * integrity_layout_format - choose journal_sections, log2_interleave and provided_sectors for a
 * new volume (2.6)
 * @l: the given fields but journal_sections and log2_interleave
 * @journal_sectors: wanted by the table; @have_journal_sectors false for the default
 * @interleave_sectors: wanted by the table, 0 for the default of 32768
 *
 * Return: as integrity_layout_fit().
 */
int integrity_layout_format(struct integrity_layout *l, u32 journal_sectors,
			    bool have_journal_sectors, u32 interleave_sectors);

/* Default of the table's journal_sectors for a data device of @data_sectors (2.6). */
u32 integrity_default_journal_sectors(u64 data_sectors);

/**
 * integrity_bitmap_log2 - log2 of the blocks under one bitmap bit, to be stored while formatting
 * (5.1)
 * @l: after integrity_layout_fit()
 * @sectors_per_bit: wanted by the table, 0 counts as 1
 */
u8 integrity_bitmap_log2(const struct integrity_layout *l, u64 sectors_per_bit);

/* Absolute sector on the data device of logical sector @sector (2.4). */
u64 integrity_data_sector(const struct integrity_layout *l, u64 sector);

/*
 * Byte offset of the tag of logical sector @sector, counted from sector start + initial_sectors
 * (2.4).
 */
u64 integrity_tag_offset(const struct integrity_layout *l, u64 sector);

/*
 * Logical sectors from @sector to the end of its interleaved area, or to provided_sectors when
 * that comes first.
 */
u64 integrity_area_remaining(const struct integrity_layout *l, u64 sector);

/*
 * The journal_watermark in effect, in percent: free entries are counted whole (8.4).
 */
u32 integrity_journal_watermark(const struct integrity_layout *l, u32 wanted);

/* First sector of journal section @section, absolute on the metadata device (4.1). */
u64 integrity_journal_section_sector(const struct integrity_layout *l, u32 section);

/* Metadata sector within the section and byte within that sector of journal entry @entry (4.1). */
static inline void integrity_journal_entry_place(const struct integrity_layout *l, u32 entry,
						 u32 *meta_sector, u32 *byte)
{
	*meta_sector = entry % INTEGRITY_JOURNAL_META_SECTORS;
	*byte = entry / INTEGRITY_JOURNAL_META_SECTORS * l->journal_entry_size;
}

static inline u32 integrity_block_bytes(const struct integrity_layout *l)
{
	return 512u << l->log2_sectors_per_block;
}

static inline u32 integrity_block_sectors(const struct integrity_layout *l)
{
	return 1u << l->log2_sectors_per_block;
}

#endif
