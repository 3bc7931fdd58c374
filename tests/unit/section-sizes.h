/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of Documentation/on-disk-format.rst, 2.2: what a section of the journal consists of. */
#ifndef SECTION_SIZES_H
#define SECTION_SIZES_H

static const struct {
	u32 tag_size, block_size;
	int mac;		/* -1: with and without */
	u32 entry, per_sector, entries, sectors;
} section_sizes[] = {
	{ 4, 512, 0, 24, 21, 168, 176 },	{ 8, 512, 0, 24, 21, 168, 176 },
	{ 4, 512, 1, 24, 20, 160, 168 },	{ 8, 512, 1, 24, 20, 160, 168 },
	{ 16, 512, -1, 32, 15, 120, 128 },	{ 20, 512, -1, 40, 12, 96, 104 },
	{ 28, 512, -1, 48, 10, 80, 88 },	{ 32, 512, -1, 48, 10, 80, 88 },
	{ 64, 512, -1, 80, 6, 48, 56 },		{ 4, 4096, -1, 80, 6, 48, 392 },
	{ 8, 4096, -1, 80, 6, 48, 392 },	{ 16, 4096, -1, 88, 5, 40, 328 },
	{ 20, 4096, -1, 96, 5, 40, 328 },	{ 28, 4096, -1, 104, 4, 32, 264 },
	{ 32, 4096, -1, 104, 4, 32, 264 },	{ 64, 4096, -1, 136, 3, 24, 200 },
};

#endif
