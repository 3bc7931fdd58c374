/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of the journal have in common: layouts, and the bytes of a section.
 */
#ifndef UNIT_JOURNAL_SECTIONS_H
#define UNIT_JOURNAL_SECTIONS_H

#include <stdlib.h>

#include "../../journal-format.h"
#include "unit.h"

/* A map with a bit for each sector of a section, which has at most 392. */
#define BITMAP_LONGS	((392 + BITS_PER_LONG - 1) / BITS_PER_LONG)

static inline struct integrity_layout layout_of(u32 tag_size, u8 lspb, bool mac, u32 sections)
{
	struct integrity_layout l = {
		.tag_size = tag_size,
		.log2_sectors_per_block = lspb,
		.journal_mac = mac,
		.journal_sections = sections,
		.log2_interleave = 15,
	};

	CHECK_EQ(integrity_layout_derive(&l), 0);
	l.provided_sectors = 1 << 20;
	return l;
}

/* The smallest sections there are: 8 metadata sectors of one entry each, 16 sectors. */
static inline struct integrity_layout small_layout(u32 sections)
{
	return layout_of(255, 0, false, sections);
}

static inline struct integrity_layout any_layout(void)
{
	return layout_of(1 + unit_below(255), unit_below(4), unit_below(2), 7);
}

/* Memory that ASan guards byte by byte. */
static inline u8 *random_bytes(size_t size)
{
	u8 *p = malloc(size);
	size_t i;

	CHECK(p);
	for (i = 0; i < size; i++)
		p[i] = unit_random();
	return p;
}

static inline u64 get64(const u8 *p)
{
	u64 value = 0;
	int i;

	for (i = 7; i >= 0; i--)
		value = value << 8 | p[i];
	return value;
}

static inline void put64(u8 *p, u64 value)
{
	int i;

	for (i = 0; i < 8; i++, value >>= 8)
		p[i] = value;
}

static inline void set_bit_of(unsigned long *map, u32 bit)
{
	map[bit / BITS_PER_LONG] |= 1ul << bit % BITS_PER_LONG;
}

static inline void clear_bit_of(unsigned long *map, u32 bit)
{
	map[bit / BITS_PER_LONG] &= ~(1ul << bit % BITS_PER_LONG);
}

static inline bool bit_of(const unsigned long *map, u32 bit)
{
	return map[bit / BITS_PER_LONG] >> bit % BITS_PER_LONG & 1;
}

/* 4.3 without the functions of journal-format.c, for ids without a stream cipher. */
static inline u64 ref_id(u32 section, u32 sector, unsigned int sequence)
{
	return 0x1111111111111111ull * (sequence + 1) ^ (u64)section << 32 ^ sector;
}

#endif
