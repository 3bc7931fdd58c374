// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where things are on the disk: pure arithmetic (Documentation/on-disk-format.rst, section 2).
 *
 * Divisions of 64-bit numbers go through math64.h, for 32-bit kernels. What comes from a superblock
 * or a table may be any number that its type holds; each step either bounds it or refuses it before
 * the next one uses it.
 */
#include "format.h"
#include "layout.h"

/*
 * Tag areas are padded to 4 KiB. Without fix_padding they are padded to 512 << 8 bytes, a
 * mistake of the first versions that volumes made then must keep (2.3).
 */
#define TAG_AREA_PADDING	4096u
#define TAG_AREA_PADDING_OLD	131072u

#define DEFAULT_INTERLEAVE	32768u
#define DEFAULT_JOURNAL_MAX	(BITS_PER_LONG == 32 ? 8192u : 131072u)
#define DEFAULT_JOURNAL_SHIFT	7

/* provided_sectors of the layouts with one device is a multiple of this (2.7). */
#define PROVIDED_UNIT		8u

/* Entries, sizes and places inside a journal section; nothing here depends on the devices. */
static int derive_section(struct integrity_layout *l)
{
	u32 spb, usable;

	if (!l->tag_size || l->tag_size > INTEGRITY_MAX_TAG_SIZE)
		return -EINVAL;
	if (l->log2_sectors_per_block > INTEGRITY_MAX_LOG2_SPB)
		return -EINVAL;

	spb = integrity_block_sectors(l);
	usable = l->journal_mac ? INTEGRITY_JOURNAL_MAC_OFFSET : INTEGRITY_COMMIT_ID_OFFSET;
	l->journal_entry_size = round_up(8 + 8 * spb + l->tag_size, 8);
	l->journal_entries_per_sector = usable / l->journal_entry_size;
	if (!l->journal_entries_per_sector)
		return -EINVAL;
	l->journal_section_entries = INTEGRITY_JOURNAL_META_SECTORS * l->journal_entries_per_sector;
	l->journal_section_sectors = INTEGRITY_JOURNAL_META_SECTORS +
				     l->journal_section_entries * spb;
	return 0;
}

int integrity_layout_derive(struct integrity_layout *l)
{
	u64 raw;
	int r;

	r = derive_section(l);
	if (r)
		return r;

	if (l->separate) {
		if (l->inline_mode || l->log2_interleave)
			return -EINVAL;
	} else if (l->log2_interleave < INTEGRITY_MIN_LOG2_INTERLEAVE ||
		   l->log2_interleave > INTEGRITY_MAX_LOG2_INTERLEAVE) {
		return -EINVAL;
	}

	/* An inline volume has no journal, every other one has. */
	if (l->inline_mode != !l->journal_sections)
		return -EINVAL;

	l->initial_sectors = INTEGRITY_SB_SECTORS +
			     (u64)l->journal_sections * l->journal_section_sectors;
	if (l->initial_sectors > U32_MAX)
		return -EINVAL;

	l->metadata_run = 0;
	if (!l->separate && !l->inline_mode) {
		/* One tag for each block of a full run: at most 255 << 31 bytes. */
		raw = (u64)l->tag_size << (l->log2_interleave - l->log2_sectors_per_block);
		raw = round_up(raw, (u64)(l->fix_padding ? TAG_AREA_PADDING :
							   TAG_AREA_PADDING_OLD));
		l->metadata_run = raw >> INTEGRITY_SECTOR_SHIFT;
	}
	return 0;
}

/* The size of the tag buffers before the layout has a say in it. */
static u8 wanted_log2_buffer(const struct integrity_layout *l)
{
	u8 log2 = l->log2_buffer;

	if (log2 < l->min_log2_buffer)
		log2 = l->min_log2_buffer;
	if (log2 > INTEGRITY_MAX_LOG2_BUFFER)
		log2 = INTEGRITY_MAX_LOG2_BUFFER;
	return log2;
}

/*
 * Sectors between the first tag area and the end of the device, 0 when it starts behind it.
 *
 * start is counted, so that nothing that is computed from the result can lie beyond the device.
 */
static u64 sectors_behind_journal(const struct integrity_layout *l, u64 device_sectors)
{
	if (l->start > device_sectors || l->initial_sectors > device_sectors - l->start)
		return 0;
	return device_sectors - l->start - l->initial_sectors;
}

/* The first rule of 2.7, for all layouts. */
static bool has_room(const struct integrity_layout *l, u64 device_sectors)
{
	return l->initial_sectors + 8 < device_sectors;
}

static int fit_interleaved(struct integrity_layout *l)
{
	const u64 run = 1ULL << l->log2_interleave;
	const u64 device_sectors = min(l->data_sectors, l->meta_sectors);
	u64 runs, rest, provided;
	u8 log2;

	if (!has_room(l, device_sectors))
		return -ENOSPC;

	/*
	 * Whole runs, and of the last one what remains behind its tag area, which has full length
	 * even when the run is short. Rounded down, this is the largest multiple of 8 whose last
	 * sector lies on the device.
	 */
	runs = div64_u64_rem(sectors_behind_journal(l, device_sectors), l->metadata_run + run,
			     &rest);
	provided = runs << l->log2_interleave;
	if (rest > l->metadata_run)
		provided += rest - l->metadata_run;
	provided = round_down(provided, (u64)PROVIDED_UNIT);
	if (!provided)
		return -ENOSPC;

	/*
	 * A buffer must not reach from a tag area into data, and never be longer than a run (2.5):
	 * with the old padding and short runs the in-tree target overwrites data otherwise.
	 */
	log2 = wanted_log2_buffer(l);
	if (log2 > l->log2_interleave)
		log2 = l->log2_interleave;
	while (l->metadata_run & ((1u << log2) - 1))
		log2--;
	if (log2 < l->min_log2_buffer)
		return -EINVAL;
	l->provided_sectors = provided;
	l->log2_buffer = log2;
	return 0;
}

/* Sectors of all tags on a metadata device, without rounding to buffers. */
static u64 separate_tag_sectors(const struct integrity_layout *l)
{
	u64 blocks = l->data_sectors >> l->log2_sectors_per_block;
	u32 rest = blocks & (INTEGRITY_SECTOR_SIZE - 1);

	/* blocks * tag_size / 512, rounded up; the plain product does not fit 64 bits. */
	return (blocks >> INTEGRITY_SECTOR_SHIFT) * l->tag_size +
	       DIV_ROUND_UP(rest * l->tag_size, INTEGRITY_SECTOR_SIZE);
}

/* Do the tags, in whole buffers of 1 << @log2 sectors, lie on the metadata device. */
static bool separate_fits(const struct integrity_layout *l, u8 log2)
{
	u64 tags = round_up(separate_tag_sectors(l), 1ULL << log2);

	return has_room(l, l->meta_sectors) && tags <= sectors_behind_journal(l, l->meta_sectors);
}

static int fit_separate(struct integrity_layout *l)
{
	const u64 provided = round_down(l->data_sectors, (u64)integrity_block_sectors(l));
	u8 log2 = wanted_log2_buffer(l);

	if (!provided)
		return -ENOSPC;

	while (!separate_fits(l, log2)) {
		if (log2 <= l->min_log2_buffer)
			return -ENOSPC;
		log2--;
	}
	l->provided_sectors = provided;
	l->log2_buffer = log2;
	return 0;
}

static int fit_inline(struct integrity_layout *l)
{
	const u64 device_sectors = min(l->data_sectors, l->meta_sectors);

	if (!has_room(l, device_sectors))
		return -ENOSPC;
	l->provided_sectors = round_down(sectors_behind_journal(l, device_sectors),
					 (u64)PROVIDED_UNIT);
	return l->provided_sectors ? 0 : -ENOSPC;
}

static bool possible_devices(const struct integrity_layout *l)
{
	return l->data_sectors <= INTEGRITY_MAX_DEVICE_SECTORS &&
	       l->meta_sectors <= INTEGRITY_MAX_DEVICE_SECTORS &&
	       l->min_log2_buffer <= INTEGRITY_MAX_LOG2_BUFFER;
}

int integrity_layout_fit(struct integrity_layout *l)
{
	int r;

	l->provided_sectors = 0;
	if (!possible_devices(l))
		return -EINVAL;
	r = integrity_layout_derive(l);
	if (r)
		return r;
	if (l->inline_mode)
		return fit_inline(l);
	return l->separate ? fit_separate(l) : fit_interleaved(l);
}

/* The largest number of sections, at most @want, that leaves room for the tags; 0 for none. */
static u32 separate_sections(struct integrity_layout *l, u32 want, u8 log2)
{
	u32 sections = 0, bit;

	for (bit = 1u << ilog2(want); bit; bit >>= 1) {
		if ((sections | bit) > want)
			continue;
		l->journal_sections = sections | bit;
		if (!integrity_layout_derive(l) && separate_fits(l, log2))
			sections |= bit;
	}
	return sections;
}

int integrity_layout_format(struct integrity_layout *l, u32 journal_sectors,
			    bool have_journal_sectors, u32 interleave_sectors)
{
	u32 sections;
	u8 log2;
	int r;

	l->provided_sectors = 0;
	if (!possible_devices(l))
		return -EINVAL;
	r = derive_section(l);
	if (r)
		return r;

	if (!have_journal_sectors)
		journal_sectors = integrity_default_journal_sectors(l->data_sectors);
	sections = max(1u, journal_sectors / l->journal_section_sectors);

	if (l->separate) {
		/*
		 * A shorter journal before smaller buffers. Unlike the in-tree target this one
		 * counts start, and so chooses fewer sections where that one's journal would
		 * push the last tags behind the end of the device.
		 */
		l->log2_interleave = 0;
		for (log2 = wanted_log2_buffer(l); ; log2--) {
			l->journal_sections = separate_sections(l, sections, log2);
			if (l->journal_sections)
				break;
			if (log2 <= l->min_log2_buffer)
				return l->inline_mode ? -EINVAL : -ENOSPC;
		}
		l->log2_buffer = log2;
		return integrity_layout_fit(l);
	}

	if (!interleave_sectors)
		interleave_sectors = DEFAULT_INTERLEAVE;
	l->log2_interleave = max_t(u32, ilog2(interleave_sectors), INTEGRITY_MIN_LOG2_INTERLEAVE);
	l->journal_sections = l->inline_mode ? 0 : sections;
	return integrity_layout_fit(l);
}

u32 integrity_default_journal_sectors(u64 data_sectors)
{
	return min_t(u64, DEFAULT_JOURNAL_MAX, data_sectors >> DEFAULT_JOURNAL_SHIFT);
}

/* x / 2^shift, rounded up; never overflows. */
static u64 shift_round_up(u64 x, u8 shift)
{
	return (x >> shift) + !!(x & ((1ULL << shift) - 1));
}

u8 integrity_bitmap_log2(const struct integrity_layout *l, u64 sectors_per_bit)
{
	u8 log2 = sectors_per_bit ? ilog2(sectors_per_bit) : 0;
	u64 bits;

	if (log2 < l->log2_sectors_per_block)
		log2 = l->log2_sectors_per_block;

	/*
	 * An inline volume has no journal that could hold a bitmap; the number is stored all the
	 * same.
	 */
	if (!l->inline_mode) {
		bits = (l->initial_sectors - INTEGRITY_SB_SECTORS) << (INTEGRITY_SECTOR_SHIFT + 3);
		if (bits > U32_MAX)
			bits = U32_MAX;
		while (log2 < 63 && bits < shift_round_up(l->provided_sectors, log2))
			log2++;
	}
	return log2 - l->log2_sectors_per_block;
}

u64 integrity_data_sector(const struct integrity_layout *l, u64 sector)
{
	u64 area;

	if (l->separate)
		return sector;
	if (l->inline_mode)
		return l->start + l->initial_sectors + sector;
	area = sector >> l->log2_interleave;
	return l->start + l->initial_sectors + (area + 1) * l->metadata_run + sector;
}

u64 integrity_tag_offset(const struct integrity_layout *l, u64 sector)
{
	u64 run, area, offset;

	if (l->separate || l->inline_mode)
		return (sector >> l->log2_sectors_per_block) * l->tag_size;
	run = 1ULL << l->log2_interleave;
	area = (sector >> l->log2_interleave) * (run + l->metadata_run);
	offset = sector & (run - 1);
	return (area << INTEGRITY_SECTOR_SHIFT) +
	       (offset >> l->log2_sectors_per_block) * l->tag_size;
}

u64 integrity_area_remaining(const struct integrity_layout *l, u64 sector)
{
	u64 run, rest;

	if (sector >= l->provided_sectors)
		return 0;
	rest = l->provided_sectors - sector;
	if (l->separate || l->inline_mode)
		return rest;
	run = 1ULL << l->log2_interleave;
	return min(rest, run - (sector & (run - 1)));
}

u64 integrity_journal_section_sector(const struct integrity_layout *l, u32 section)
{
	return l->start + INTEGRITY_SB_SECTORS + (u64)section * l->journal_section_sectors;
}

u32 integrity_journal_watermark(const struct integrity_layout *l, u32 wanted)
{
	u64 entries = (u64)l->journal_sections * l->journal_section_entries;
	u64 threshold, rest;

	if (!entries)
		return wanted;
	threshold = div64_u64_rem(entries * (100 - min(wanted, 100u)) + 50, 100, &rest);
	return div64_u64_rem((entries - threshold) * 100 + (entries >> 1), entries, &rest);
}
