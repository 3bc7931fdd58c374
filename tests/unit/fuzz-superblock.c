// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any bytes as a superblock, with any table and any devices: refused with a reason, or a layout of
 * which every sector lies on its device.
 */
#include <stdlib.h>

#include "../../format.h"
#include "../../layout.h"
#include "unit.h"

#define MUST(cond) do {								\
	if (!(cond)) {								\
		fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
		abort();							\
	}									\
} while (0)

/* What a fuzzed input is; little-endian, 104 bytes. */
struct input {
	u64 start;
	u64 data_sectors;
	u64 meta_sectors;
	u64 sector;
	u8 table;		/* bits: separate, journal_mac, inline, discard_keyed */
	u8 tag_size;		/* of the table */
	u8 log2_sectors_per_block;
	u8 max_version;
	u8 log2_buffer;
	u8 min_log2_buffer;
	u8 pad[2];
	struct integrity_superblock sb;
} __packed;

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void check_layout(const struct integrity_layout *l, u64 sector)
{
	const u64 first = l->start + l->initial_sectors;
	u64 last = l->provided_sectors - 1, remaining;
	u32 meta_sector, byte;

	MUST(l->provided_sectors);
	MUST(first > l->start && first <= l->meta_sectors);
	MUST(integrity_data_sector(l, last) < l->data_sectors);
	MUST(integrity_bitmap_log2(l, sector) + l->log2_sectors_per_block <= 63);
	if (l->inline_mode)
		return;

	MUST(first + (integrity_tag_offset(l, last) + l->tag_size + 511) / 512 <= l->meta_sectors);
	MUST(integrity_journal_section_sector(l, l->journal_sections - 1) +
	     l->journal_section_sectors == first);
	integrity_journal_entry_place(l, l->journal_section_entries - 1, &meta_sector, &byte);
	MUST(meta_sector == 7 && byte + l->journal_entry_size <= (l->journal_mac ? 496 : 504));

	sector %= l->provided_sectors;
	MUST(integrity_data_sector(l, sector) <= integrity_data_sector(l, last));
	MUST(integrity_tag_offset(l, sector) <= integrity_tag_offset(l, last));
	remaining = integrity_area_remaining(l, sector);
	MUST(remaining && remaining <= l->provided_sectors - sector);
	MUST(integrity_data_sector(l, sector + remaining - 1) ==
	     integrity_data_sector(l, sector) + remaining - 1);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct integrity_sb_expect expect;
	struct integrity_layout l;
	char why[160];
	struct input in;
	u32 flags;
	int r;

	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	expect = (struct integrity_sb_expect){
		.tag_size = in.tag_size,
		.log2_sectors_per_block = in.log2_sectors_per_block & 3,
		.separate = in.table & 1,
		.journal_mac = in.table & 2,
		.inline_mode = in.table & 4,
		.discard_keyed = in.table & 8,
		.max_version = 1 + in.max_version % 7,
	};

	memset(why, '~', sizeof(why));
	r = integrity_sb_validate(&in.sb, &expect, why, sizeof(why));
	if (r) {
		MUST(r == -EINVAL);
		MUST(memchr(why, 0, sizeof(why)) && strlen(why) > 12 && !strchr(why, '\n'));
		return 0;
	}
	MUST(!integrity_sb_same_volume(&in.sb, &in.sb));
	MUST(in.sb.log2_blocks_per_bitmap_bit + in.sb.log2_sectors_per_block <= 63);
	flags = le32_to_cpu(in.sb.flags);
	MUST(integrity_sb_version(flags, expect.separate, false) <= 7);

	l = (struct integrity_layout){
		.start = in.start,
		.data_sectors = in.data_sectors,
		.meta_sectors = expect.separate ? in.meta_sectors : in.data_sectors,
		.tag_size = le16_to_cpu(in.sb.tag_size),
		.journal_sections = le32_to_cpu(in.sb.journal_sections),
		.log2_sectors_per_block = in.sb.log2_sectors_per_block,
		.log2_interleave = in.sb.log2_interleave_sectors,
		.log2_buffer = in.log2_buffer,
		.min_log2_buffer = in.min_log2_buffer,
		.separate = expect.separate,
		.journal_mac = flags & INTEGRITY_SB_HAVE_JOURNAL_MAC,
		.fix_padding = flags & INTEGRITY_SB_FIXED_PADDING,
		.inline_mode = flags & INTEGRITY_SB_INLINE,
	};
	r = integrity_layout_fit(&l);
	MUST(r == 0 || r == -EINVAL || r == -ENOSPC);
	if (!r)
		check_layout(&l, in.sector);
	else
		MUST(!l.provided_sectors);
	return 0;
}
