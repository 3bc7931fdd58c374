// SPDX-License-Identifier: GPL-2.0-only
/*
 * The arithmetic of layout.c against the definitions of Documentation/on-disk-format.rst,
 * section 2, wherever that is possible by searching for the answer instead of computing it: sizes,
 * what fits on a device, what is refused. test-places.c has where things are.
 */
#include "../../format.h"
#include "layout-model.h"
#include "section-sizes.h"

static void test_sections(void)
{
	size_t i;
	int mac;

	for (i = 0; i < ARRAY_SIZE(section_sizes); i++)
		for (mac = 0; mac < 2; mac++) {
			struct integrity_layout l = {
				.tag_size = section_sizes[i].tag_size,
				.log2_sectors_per_block = ilog2(section_sizes[i].block_size / 512),
				.log2_interleave = 15,
				.journal_sections = 3,
				.journal_mac = mac,
			};

			if (section_sizes[i].mac >= 0 && section_sizes[i].mac != mac)
				continue;
			CHECK_EQ(integrity_layout_derive(&l), 0);
			CHECK_EQ(l.journal_entry_size, section_sizes[i].entry);
			CHECK_EQ(l.journal_entries_per_sector, section_sizes[i].per_sector);
			CHECK_EQ(l.journal_section_entries, section_sizes[i].entries);
			CHECK_EQ(l.journal_section_sectors, section_sizes[i].sectors);
			CHECK_EQ(l.initial_sectors, 8 + 3 * section_sizes[i].sectors);
			CHECK_EQ(integrity_block_bytes(&l), section_sizes[i].block_size);
		}
}

/* Section 2.9: formats by the real target, but for the volumes of 1 TiB. */
static void test_worked_sizes(void)
{
	static const struct {
		u64 data, meta;			/* meta 0: one device */
		u32 tag_size, block_size;
		bool mac, fix_padding, inline_mode;
		u32 interleave, start, buffer;	/* buffer 0: the default, interleave likewise */
		u32 sections, init;
		u64 run;
		u32 effective_buffer;
		u64 provided;
	} rows[] = {
		{ 131072, 0, 4, 512, 0, 0, 0, 0, 0, 0, 5, 888, 256, 128, 129160 },
		{ 131072, 0, 4, 512, 0, 1, 0, 0, 0, 0, 5, 888, 256, 128, 129160 },
		{ 131072, 0, 4, 4096, 0, 1, 0, 0, 0, 0, 2, 792, 32, 32, 130152 },
		{ 131072, 0, 32, 512, 0, 1, 0, 1024, 64, 32, 11, 976, 64, 32, 122352 },
		{ 131072, 131072, 20, 4096, 0, 0, 0, 0, 16, 0, 3, 992, 0, 128, 131072 },
		{ 131072, 0, 40, 512, 0, 0, 0, 0, 0, 0, 12, 968, 2560, 128, 119864 },
		{ 131072, 0, 32, 512, 1, 1, 0, 0, 0, 0, 11, 976, 2048, 128, 121904 },
		{ 131072, 0, 4, 1024, 1, 0, 0, 0, 0, 0, 4, 1000, 256, 128, 129048 },
		{ 65536, 0, 4, 512, 0, 0, 0, 0, 0, 0, 2, 360, 256, 128, 64664 },
		{ 65536, 0, 32, 512, 0, 0, 0, 0, 0, 0, 5, 448, 2048, 128, 60992 },
		{ 65536, 0, 16, 4096, 0, 0, 0, 0, 0, 0, 1, 336, 256, 128, 64688 },
		{ 65536, 0, 4, 4096, 0, 1, 0, 0, 0, 0, 1, 400, 32, 32, 65072 },
		{ 32768, 0, 4, 4096, 0, 0, 1, 0, 0, 0, 0, 8, 0, 128, 32760 },
		{ 1ull << 31, 0, 4, 512, 0, 0, 0, 0, 0, 0, 744, 130952, 256, 128, 2130706432 },
		{ 1ull << 31, 0, 4, 4096, 0, 1, 0, 0, 0, 0, 334, 130936, 32, 32, 2145257704 },
		{ 1ull << 31, 33554432, 4, 4096, 0, 0, 0, 0, 0, 0, 334, 130936, 0, 128,
		  1ull << 31 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct integrity_layout l = {
			.start = rows[i].start,
			.data_sectors = rows[i].data,
			.meta_sectors = rows[i].meta ? rows[i].meta : rows[i].data,
			.tag_size = rows[i].tag_size,
			.log2_sectors_per_block = ilog2(rows[i].block_size / 512),
			.log2_buffer = ilog2(rows[i].buffer ? rows[i].buffer : 128),
			.separate = rows[i].meta,
			.journal_mac = rows[i].mac,
			.fix_padding = rows[i].fix_padding,
			.inline_mode = rows[i].inline_mode,
		}, loaded;

		CHECK_EQ(integrity_layout_format(&l, 0, false, rows[i].interleave), 0);
		CHECK_L(&l, l.journal_sections == rows[i].sections);
		CHECK_L(&l, l.initial_sectors == rows[i].init);
		CHECK_L(&l, l.metadata_run == rows[i].run);
		CHECK_L(&l, 1u << l.log2_buffer == rows[i].effective_buffer);
		CHECK_L(&l, l.provided_sectors == rows[i].provided);
		CHECK_L(&l, l.log2_interleave == (rows[i].meta ? 0 : rows[i].interleave ? 10 : 15));

		/* And again as at a load, from what the superblock stores. */
		loaded = l;
		loaded.provided_sectors = 0;
		CHECK_EQ(integrity_layout_fit(&loaded), 0);
		CHECK(!memcmp(&loaded, &l, sizeof(l)));
	}
}

/* Sizes of random volumes against the definitions. */
static void test_derive_random(void)
{
	unsigned int i;

	for (i = 0; i < 50000; i++) {
		struct integrity_layout l = random_layout(unit_below(KINDS), 54);

		if (!l.inline_mode)
			l.journal_sections = 1 + unit_magnitude(24);
		CHECK_L(&l, integrity_layout_derive(&l) == (ref_init(&l) >> 32 ? -EINVAL : 0));
		if (ref_init(&l) >> 32)
			continue;
		CHECK_L(&l, l.journal_entry_size == ref_entry(&l));
		CHECK_L(&l, l.journal_section_sectors == ref_section(&l));
		CHECK_L(&l, l.initial_sectors == ref_init(&l));
		CHECK_L(&l, l.initial_sectors % 8 == 0);
		CHECK_L(&l, l.metadata_run == (l.separate || l.inline_mode ? 0 : ref_run(&l)));
		CHECK_L(&l, l.metadata_run % 8 == 0);
	}
}

/* P on small devices: every candidate from the device's size down. */
static void test_provided_brute_force(void)
{
	unsigned int fits = 0, none = 0, i;

	for (i = 0; i < 60000; i++) {
		enum kind kind = unit_below(2) ? INTERLEAVED : INLINE;
		struct integrity_layout l = random_layout(kind, 13);
		u64 want;
		int r;

		l.journal_sections = kind == INLINE ? 0 : 1 + unit_below(4);
		l.log2_interleave = 3 + unit_below(11);
		l.min_log2_buffer = 0;
		for (want = round_down(l.meta_sectors, 8ull); want; want -= 8)
			if (ref_fits(&l, want, 1, l.start))
				break;
		r = integrity_layout_fit(&l);
		CHECK_L(&l, r == (want ? 0 : -ENOSPC));
		CHECK_L(&l, l.provided_sectors == want);
		if (want) {
			check_on_device(&l);
			fits++;
		} else {
			none++;
		}
	}
	unit_note("%u devices fit, %u are too small", fits, none);
	CHECK(fits > 5000 && none > 5000);
}

/* P on devices of any size: found from the highest bit down, as the definition says. */
static void test_provided_greedy(void)
{
	unsigned int fits = 0, i;

	for (i = 0; i < 60000; i++) {
		struct integrity_layout l = random_layout(unit_below(2) ? INTERLEAVED : INLINE, 54);
		u64 want = 0;
		int bit, r;

		l.min_log2_buffer = 0;
		for (bit = ilog2(l.meta_sectors); bit >= 3; bit--)
			if (ref_fits(&l, want | 1ull << bit, 1, l.start))
				want |= 1ull << bit;
		r = integrity_layout_fit(&l);
		CHECK_L(&l, r == (want ? 0 : -ENOSPC));
		CHECK_L(&l, l.provided_sectors == want);
		if (want) {
			check_on_device(&l);
			fits++;
		}
	}
	unit_note("%u of 60000 fit", fits);
	CHECK(fits > 10000);
}

/* With a metadata device: P is the data device, B the largest with which the tags fit. */
static void test_provided_separate(void)
{
	unsigned int fits = 0, lowered = 0, i;

	for (i = 0; i < 100000; i++) {
		struct integrity_layout l = random_layout(SEPARATE, 54);
		u64 provided = l.data_sectors - l.data_sectors % ref_spb(&l);
		int log2 = l.log2_buffer, r;

		/* Close calls: the metadata device ends about where the tags do. */
		if (unit_below(4)) {
			l.start = unit_below(300);
			l.data_sectors = unit_magnitude(40);
			provided = l.data_sectors - l.data_sectors % ref_spb(&l);
			l.meta_sectors = ref_tag(&l, provided) / 512;
			l.meta_sectors += unit_magnitude(unit_below(24));
		}
		if (log2 < l.min_log2_buffer)
			log2 = l.min_log2_buffer;
		while (log2 >= l.min_log2_buffer &&
		       !ref_fits(&l, provided, (u128)1 << log2, l.start))
			log2--;

		r = integrity_layout_fit(&l);
		if (!provided || log2 < l.min_log2_buffer) {
			CHECK_L(&l, r == -ENOSPC);
			continue;
		}
		CHECK_L(&l, r == 0);
		CHECK_L(&l, l.provided_sectors == provided);
		CHECK_L(&l, l.log2_buffer == log2);
		check_on_device(&l);
		fits++;
		lowered += log2 < 7;
	}
	unit_note("%u of 100000 fit, %u of them with B below 128", fits, lowered);
	CHECK(fits > 10000 && lowered > 1000);
}

/* Section 2.6: the journal beside a metadata device, searched from the wanted size down. */
static void test_format_separate(void)
{
	unsigned int fits = 0, shortened = 0, in_tree = 0, i;

	for (i = 0; i < 20000; i++) {
		struct integrity_layout l = random_layout(SEPARATE, 36), ref;
		bool given = unit_below(2);
		u32 journal_sectors = unit_magnitude(17), want, n = 0;
		u64 provided = l.data_sectors - l.data_sectors % ref_spb(&l);
		int log2, r;

		if (unit_below(2)) {
			ref = l;
			ref.journal_sections = 0;
			l.start = unit_below(4) * 8;
			ref.start = l.start;
			l.meta_sectors = ref_tag(&ref, provided) / 512 + unit_magnitude(17);
		}
		ref = l;
		want = given ? journal_sectors : min_t(u64, 131072, l.data_sectors / 128);
		want /= ref_section(&ref);
		if (!want)
			want = 1;
		log2 = max_t(int, l.log2_buffer, l.min_log2_buffer);
		for (; log2 >= l.min_log2_buffer; log2--) {
			for (n = want; n; n--) {
				ref.journal_sections = n;
				if (ref_fits(&ref, provided, (u128)1 << log2, l.start))
					break;
			}
			if (n)
				break;
		}

		/* Must be ignored. */
		l.journal_sections = unit_below(10);
		l.log2_interleave = unit_below(40);
		r = integrity_layout_format(&l, journal_sectors, given, unit_random());
		if (!n || !provided) {
			CHECK_L(&l, r == -ENOSPC);
			CHECK_L(&l, !l.provided_sectors);
			continue;
		}
		CHECK_L(&l, r == 0);
		CHECK_L(&l, l.journal_sections == n);
		CHECK_L(&l, l.log2_buffer == log2);
		CHECK_L(&l, l.log2_interleave == 0);
		CHECK_L(&l, l.provided_sectors == provided);
		check_on_device(&l);
		fits++;
		shortened += n < want;

		/*
		 * The in-tree target, which does not count start, chooses the same wherever that
		 * lies on the device.
		 */
		ref = l;
		ref.journal_sections = n + 1;
		if (n == want || !ref_fits(&ref, provided, (u128)1 << log2, 0))
			in_tree++;
		else
			CHECK_L(&l, !ref_fits(&ref, provided, (u128)1 << log2, l.start));
	}
	unit_note("%u of 20000 fit, %u with a shorter journal, %u as in-tree", fits, shortened,
		  in_tree);
	CHECK(fits > 5000 && shortened > 500 && in_tree > fits / 2);
}

/* The other layouts: sections and interleave come straight from what the table wants. */
static void test_format_one_device(void)
{
	unsigned int fits = 0, i;

	for (i = 0; i < 40000; i++) {
		enum kind kind = unit_below(4) ? INTERLEAVED : INLINE;
		struct integrity_layout l = random_layout(kind, 54), ref;
		bool given = unit_below(2);
		u32 journal_sectors = unit_magnitude(24);
		u32 interleave = unit_magnitude(32), il;
		int r, want;

		if (unit_below(2))
			l.start = 0;
		l.min_log2_buffer = 0;
		ref = l;
		if (given)
			ref.journal_sections = journal_sectors;
		else
			ref.journal_sections = min_t(u64, 131072, l.data_sectors / 128);
		ref.journal_sections /= ref_section(&ref);
		if (!ref.journal_sections)
			ref.journal_sections = 1;
		if (kind == INLINE)
			ref.journal_sections = 0;
		for (il = 31; il > 3 && (interleave ? interleave : 32768) < 1ull << il; il--)
			;
		ref.log2_interleave = il;
		want = integrity_layout_fit(&ref);

		l.journal_sections = unit_random();
		l.log2_interleave = unit_random();
		r = integrity_layout_format(&l, journal_sectors, given, interleave);
		CHECK_L(&l, r == want);
		CHECK_L(&l, l.journal_sections == ref.journal_sections);
		CHECK_L(&l, l.log2_interleave == il);
		CHECK_L(&l, l.provided_sectors == ref.provided_sectors);
		if (!r) {
			check_on_device(&l);
			fits++;
		}
	}
	unit_note("%u of 40000 fit", fits);
	CHECK(fits > 10000);
}

static void test_default_journal(void)
{
	u32 max = BITS_PER_LONG == 32 ? 8192 : 131072;

	CHECK_EQ(integrity_default_journal_sectors(0), 0);
	CHECK_EQ(integrity_default_journal_sectors(127), 0);
	CHECK_EQ(integrity_default_journal_sectors(128), 1);
	CHECK_EQ(integrity_default_journal_sectors(131072), 1024);
	CHECK_EQ(integrity_default_journal_sectors(max * 128ull - 1), max - 1);
	CHECK_EQ(integrity_default_journal_sectors(max * 128ull), max);
	CHECK_EQ(integrity_default_journal_sectors(U64_MAX), max);
}

/* Section 2.5. */
static void test_buffers(void)
{
	unsigned int i;
	int r, log2, c;

	for (i = 0; i < 50000; i++) {
		struct integrity_layout l = random_layout(INTERLEAVED, 1);
		u8 wanted = unit_below(256);

		l.start = 0;
		l.data_sectors = INTEGRITY_MAX_DEVICE_SECTORS;
		l.meta_sectors = l.data_sectors;
		l.log2_buffer = wanted;
		l.min_log2_buffer = unit_below(2) ? 0 : unit_below(8);

		/* The largest power of two that divides R and IL, not above what is wanted. */
		log2 = min_t(int, max_t(int, wanted, l.min_log2_buffer), 22);
		for (c = log2; c > 0; c--)
			if (!(ref_run(&l) % (1ull << c)) &&
			    !((1ull << l.log2_interleave) % (1ull << c)))
				break;
		r = integrity_layout_fit(&l);
		if (c < l.min_log2_buffer) {
			CHECK_L(&l, r == -EINVAL);
			continue;
		}
		CHECK_L(&l, r == 0);
		CHECK_L(&l, l.log2_buffer == c);
	}
}

static void test_boundaries(void)
{
	static const u8 ils[] = { 3, 31 };
	static const u32 tags[] = { 1, 255 };
	static const u64 starts[] = {
		1ull << 53, 1ull << 54, 1ull << 55, 1ull << 62, 1ull << 63,
		U64_MAX - 4096, U64_MAX - 8, U64_MAX - 7, U64_MAX - 1, U64_MAX,
	};
	struct integrity_layout l;
	unsigned int i, j, lspb, kind;

	/* The extremes of the interleave and of the tag on the largest device there can be. */
	for (i = 0; i < 2; i++)
		for (j = 0; j < 2; j++)
			for (lspb = 0; lspb < 4; lspb++) {
				l = random_layout(INTERLEAVED, 1);
				l.start = 0;
				l.tag_size = tags[j];
				l.log2_interleave = ils[i];
				l.log2_sectors_per_block = lspb;
				l.min_log2_buffer = 0;
				l.data_sectors = INTEGRITY_MAX_DEVICE_SECTORS;
				l.meta_sectors = INTEGRITY_MAX_DEVICE_SECTORS;
				CHECK_L(&l, integrity_layout_fit(&l) == 0);
				CHECK_L(&l, ref_fits(&l, l.provided_sectors, 1, 0));
				CHECK_L(&l, !ref_fits(&l, l.provided_sectors + 8, 1, 0));
				check_on_device(&l);
			}

	/* Larger ones cannot be addressed in bytes. */
	for (kind = 0; kind < KINDS; kind++)
		for (i = 54; i < 64; i++) {
			l = random_layout(kind, 1);
			l.start = 0;
			l.data_sectors = i == 63 ? U64_MAX : 1ull << i;
			l.meta_sectors = kind == SEPARATE ? 1 << 20 : l.data_sectors;
			CHECK_EQ(integrity_layout_fit(&l), -EINVAL);
			CHECK_EQ(l.provided_sectors, 0);
			CHECK_EQ(integrity_layout_format(&l, 0, false, 0), -EINVAL);
			if (kind != SEPARATE)
				continue;
			l.journal_sections = 1;
			l.meta_sectors = l.data_sectors;
			l.data_sectors = 1 << 20;
			CHECK_EQ(integrity_layout_fit(&l), -EINVAL);
		}

	/* A start that wraps, or lies behind the device, leaves no room for anything. */
	for (kind = 0; kind < KINDS; kind++)
		for (i = 0; i < ARRAY_SIZE(starts); i++) {
			l = random_layout(kind, 1);
			l.start = starts[i];
			l.data_sectors = 1ull << 40;
			l.meta_sectors = 1ull << 40;
			l.min_log2_buffer = 0;
			CHECK_L(&l, integrity_layout_fit(&l) == -ENOSPC);
			CHECK_L(&l, integrity_layout_format(&l, 0, false, 0) == -ENOSPC);
		}

	/* initial_sectors stays below 2^32: 176 * 24403223 + 8 is the last. */
	l = random_layout(INTERLEAVED, 1);
	l.tag_size = 4;
	l.log2_sectors_per_block = 0;
	l.journal_mac = false;
	l.journal_sections = (U32_MAX - 8) / 176;
	CHECK_EQ(integrity_layout_derive(&l), 0);
	CHECK_EQ(l.initial_sectors, 8 + 176ull * ((U32_MAX - 8) / 176));
	l.journal_sections++;
	CHECK_EQ(integrity_layout_derive(&l), -EINVAL);
	l.journal_sections = U32_MAX;
	CHECK_EQ(integrity_layout_derive(&l), -EINVAL);
}

static void test_refusals(void)
{
	struct integrity_layout l;

#define REFUSED(kind, change) do {						\
	l = random_layout(kind, 1);						\
	l.start = 0;								\
	l.data_sectors = 1 << 24;						\
	l.meta_sectors = 1 << 24;						\
	l.tag_size = 8;								\
	l.min_log2_buffer = 0;							\
	if (kind != SEPARATE)							\
		l.log2_interleave = 15;						\
	CHECK_L(&l, integrity_layout_fit(&l) == 0);				\
	change;									\
	CHECK_L(&l, integrity_layout_derive(&l) == -EINVAL);			\
	CHECK_L(&l, integrity_layout_fit(&l) == -EINVAL);			\
	CHECK_EQ(l.provided_sectors, 0);					\
} while (0)
	REFUSED(INTERLEAVED, l.tag_size = 0);
	REFUSED(INTERLEAVED, l.tag_size = 256);
	REFUSED(INTERLEAVED, l.tag_size = U32_MAX);
	REFUSED(INTERLEAVED, l.log2_sectors_per_block = 4);
	REFUSED(INTERLEAVED, l.log2_sectors_per_block = 255);
	REFUSED(INTERLEAVED, l.log2_interleave = 2);
	REFUSED(INTERLEAVED, l.log2_interleave = 32);
	REFUSED(INTERLEAVED, l.log2_interleave = 255);
	REFUSED(INTERLEAVED, l.journal_sections = 0);
	REFUSED(SEPARATE, l.log2_interleave = 3);
	REFUSED(SEPARATE, l.journal_sections = 0);
	REFUSED(SEPARATE, (l.inline_mode = true, l.journal_sections = 0));
	REFUSED(INLINE, l.journal_sections = 1);
	REFUSED(INLINE, l.log2_interleave = 0);
#undef REFUSED
}

/* The smallest device of each kind, and the one that is a sector smaller. */
static void test_smallest(void)
{
	struct integrity_layout l = {
		.tag_size = 4, .journal_sections = 1, .log2_interleave = 15, .fix_padding = true,
	};
	u64 size;

	/* 8 superblock, 176 journal, 256 tags, 8 data. */
	for (size = 0; size <= 448; size++) {
		l.data_sectors = size;
		l.meta_sectors = size;
		CHECK_EQ(integrity_layout_fit(&l), size < 448 ? -ENOSPC : 0);
	}
	CHECK_EQ(l.provided_sectors, 8);

	/* 8 superblock, 8 data: the in-tree target wants a sector more than that. */
	l = (struct integrity_layout){ .tag_size = 4, .inline_mode = true, .log2_interleave = 15 };
	for (size = 0; size <= 17; size++) {
		l.data_sectors = size;
		l.meta_sectors = size;
		CHECK_EQ(integrity_layout_fit(&l), size < 17 ? -ENOSPC : 0);
	}
	CHECK_EQ(l.provided_sectors, 8);

	/* One tag; likewise more than 8 sectors behind the journal. */
	l = (struct integrity_layout){
		.tag_size = 4, .journal_sections = 1, .separate = true, .data_sectors = 1,
	};
	for (size = 0; size <= 193; size++) {
		l.meta_sectors = size;
		CHECK_EQ(integrity_layout_fit(&l), size < 193 ? -ENOSPC : 0);
	}
	CHECK_EQ(l.provided_sectors, 1);
	l.log2_sectors_per_block = 3;
	l.meta_sectors = 1000;
	CHECK_EQ(integrity_layout_fit(&l), -ENOSPC);
	l.data_sectors = 15;
	CHECK_EQ(integrity_layout_fit(&l), 0);
	CHECK_EQ(l.provided_sectors, 8);
}

/* Any bits at all: refused, or on the device. */
static void test_garbage(void)
{
	unsigned int fits = 0, i;

	for (i = 0; i < 300000; i++) {
		struct integrity_layout l = {
			.start = unit_below(2) ? unit_magnitude(64) : 0,
			.data_sectors = unit_magnitude(unit_below(4) ? 54 : 64),
			.meta_sectors = unit_magnitude(unit_below(4) ? 54 : 64),
			.tag_size = unit_magnitude(unit_below(4) ? 8 : 32),
			.journal_sections = unit_magnitude(32),
			.log2_sectors_per_block = unit_magnitude(unit_below(4) ? 2 : 8),
			.log2_interleave = unit_magnitude(unit_below(4) ? 5 : 8),
			.log2_buffer = unit_random(),
			.min_log2_buffer = unit_magnitude(unit_below(4) ? 3 : 8),
			.separate = unit_below(2),
			.journal_mac = unit_below(2),
			.fix_padding = unit_below(2),
			.inline_mode = !unit_below(8),
		};
		int r;

		if (!l.separate && unit_below(8))
			l.meta_sectors = l.data_sectors;
		if (unit_below(2))
			r = integrity_layout_fit(&l);
		else
			r = integrity_layout_format(&l, unit_magnitude(32), unit_below(2),
						    unit_magnitude(32));
		CHECK_L(&l, r == 0 || r == -EINVAL || r == -ENOSPC);
		CHECK_L(&l, !r == !!l.provided_sectors);
		if (r)
			continue;
		fits++;
		check_on_device(&l);
		CHECK_L(&l, integrity_bitmap_log2(&l, unit_magnitude(64)) +
			    l.log2_sectors_per_block <= 63);
		CHECK_L(&l, integrity_data_sector(&l, l.provided_sectors - 1) < l.data_sectors);
	}
	unit_note("%u of 300000 fit", fits);
	CHECK(fits > 10000);
}

static const struct unit_test tests[] = {
	{ "layout-sections", test_sections },
	{ "layout-worked-sizes", test_worked_sizes },
	{ "layout-derive-random", test_derive_random },
	{ "layout-provided-brute-force", test_provided_brute_force },
	{ "layout-provided-greedy", test_provided_greedy },
	{ "layout-provided-separate", test_provided_separate },
	{ "layout-format-separate", test_format_separate },
	{ "layout-format-one-device", test_format_one_device },
	{ "layout-default-journal", test_default_journal },
	{ "layout-buffers", test_buffers },
	{ "layout-boundaries", test_boundaries },
	{ "layout-refusals", test_refusals },
	{ "layout-smallest", test_smallest },
	{ "layout-garbage", test_garbage },
};

UNIT_MAIN(tests)
