/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The definitions of Documentation/on-disk-format.rst, section 2, written out again in 128-bit
 * arithmetic, layouts at random, and what holds for each that was accepted.
 */
#ifndef UNIT_LAYOUT_MODEL_H
#define UNIT_LAYOUT_MODEL_H

#include "../../layout.h"
#include "unit.h"

typedef unsigned __int128 u128;

/* --- the definitions --- */

static inline u128 up(u128 x, u128 unit)
{
	return (x + unit - 1) / unit * unit;
}

static inline u32 ref_spb(const struct integrity_layout *l)
{
	return l->log2_sectors_per_block == 0 ? 1 :
	       l->log2_sectors_per_block == 1 ? 2 :
	       l->log2_sectors_per_block == 2 ? 4 : 8;
}

static inline u128 ref_entry(const struct integrity_layout *l)
{
	return up(8 + 8 * ref_spb(l) + l->tag_size, 8);
}

static inline u128 ref_section(const struct integrity_layout *l)
{
	u128 per_sector = (504 - (l->journal_mac ? 8 : 0)) / ref_entry(l);

	return 8 + 8 * per_sector * ref_spb(l);
}

static inline u128 ref_init(const struct integrity_layout *l)
{
	return 8 + l->journal_sections * ref_section(l);
}

static inline u128 ref_run(const struct integrity_layout *l)
{
	u128 blocks = ((u128)1 << l->log2_interleave) / ref_spb(l);

	return up(blocks * l->tag_size, l->fix_padding ? 4096 : 131072) / 512;
}

/* Absolute, on the data device. */
static inline u128 ref_data(const struct integrity_layout *l, u128 s)
{
	u128 run = (u128)1 << l->log2_interleave;

	if (l->separate)
		return s;
	if (l->inline_mode)
		return l->start + (u128)8 + s;
	return l->start + ref_init(l) + s / run * run + (s / run + 1) * ref_run(l) + s % run;
}

/* Absolute byte, on the device with the metadata. */
static inline u128 ref_tag(const struct integrity_layout *l, u128 s)
{
	u128 run = (u128)1 << l->log2_interleave;

	if (l->separate)
		return 512 * (l->start + ref_init(l)) + s / ref_spb(l) * l->tag_size;
	return 512 * (l->start + ref_init(l) + s / run * (run + ref_run(l))) +
	       s % run / ref_spb(l) * l->tag_size;
}

/* Section 2.7; @start is what the in-tree target forgets with two devices and inline. */
static inline bool ref_fits(const struct integrity_layout *l, u128 provided, u128 buffer, u128 start)
{
	u128 init = ref_init(l), tags;

	if (init + 8 >= l->meta_sectors || init >> 32)
		return false;
	if (l->separate) {
		tags = provided / ref_spb(l) * l->tag_size;
		return start + init + buffer * ((tags + 512 * buffer - 1) / (512 * buffer)) <=
		       l->meta_sectors;
	}
	if (l->inline_mode)
		return start + init + provided <= l->meta_sectors;
	return ref_data(l, provided - 1) < l->meta_sectors;
}

/* --- layouts to try --- */

enum kind { INTERLEAVED, SEPARATE, INLINE, KINDS };

static inline struct integrity_layout random_layout(enum kind kind, unsigned int device_bits)
{
	struct integrity_layout l = {
		.start = unit_below(3) ? 8 * unit_below(20) : unit_magnitude(device_bits),
		.data_sectors = unit_magnitude(device_bits),
		.tag_size = unit_below(2) ? 1 + unit_below(255) : 1u << unit_below(8),
		.journal_sections = kind == INLINE ? 0 : 1 + unit_magnitude(8),
		.log2_sectors_per_block = unit_below(4),
		.log2_interleave = kind == SEPARATE ? 0 : 3 + unit_below(29),
		.log2_buffer = unit_below(23),
		.min_log2_buffer = unit_below(4),
		.separate = kind == SEPARATE,
		.inline_mode = kind == INLINE,
		.journal_mac = unit_below(2),
		.fix_padding = unit_below(2),
	};

	l.meta_sectors = kind == SEPARATE ? unit_magnitude(device_bits) : l.data_sectors;
	return l;
}

static inline void dump(const struct integrity_layout *l)
{
	unit_note("start %llu data %llu meta %llu T %u N %u lspb %u il %u buffer %u min %u%s%s%s%s: INIT %llu R %llu P %llu",
		  l->start, l->data_sectors, l->meta_sectors, l->tag_size, l->journal_sections,
		  l->log2_sectors_per_block, l->log2_interleave, l->log2_buffer, l->min_log2_buffer,
		  l->separate ? " separate" : "", l->journal_mac ? " mac" : "",
		  l->fix_padding ? " fix_padding" : "", l->inline_mode ? " inline" : "",
		  l->initial_sectors, l->metadata_run, l->provided_sectors);
}

#define CHECK_L(l, cond) do {							\
	if (!(cond)) {								\
		dump(l);							\
		unit_fail(__FILE__, __LINE__, "%s", #cond);			\
	}									\
} while (0)

/* What holds for every layout that was accepted. */
static inline void check_on_device(const struct integrity_layout *l)
{
	u64 last = l->provided_sectors - 1;

	CHECK_L(l, l->provided_sectors);
	CHECK_L(l, l->provided_sectors % ref_spb(l) == 0);
	CHECK_L(l, ref_data(l, last) < l->data_sectors);
	CHECK_L(l, (u128)l->start + ref_init(l) <= l->meta_sectors);
	CHECK_L(l, l->log2_buffer <= 22 || l->inline_mode);
	if (l->inline_mode)
		return;
	CHECK_L(l, ref_tag(l, last) + l->tag_size <= (u128)512 * l->meta_sectors);
	CHECK_L(l, l->log2_buffer >= l->min_log2_buffer);
	if (l->separate) {
		u128 b = (u128)1 << l->log2_buffer;
		u128 tags = (u128)l->provided_sectors / ref_spb(l) * l->tag_size;

		CHECK_L(l, l->start + ref_init(l) + up(tags, 512 * b) / 512 <= l->meta_sectors);
	} else {
		CHECK_L(l, l->log2_buffer <= l->log2_interleave);
		CHECK_L(l, ref_run(l) % (1u << l->log2_buffer) == 0);
	}
}

#endif
