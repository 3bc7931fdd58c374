// SPDX-License-Identifier: GPL-2.0-only
/*
 * The arithmetic of layout.c against the definitions of Documentation/on-disk-format.rst,
 * section 2. They are written out again here in 128-bit arithmetic and, wherever that is possible,
 * by searching for the answer instead of computing it.
 */
#include <stdlib.h>

#include "../../format.h"
#include "../../layout.h"
#include "section-sizes.h"
#include "unit.h"

typedef unsigned __int128 u128;

/* --- the definitions --- */

static u128 up(u128 x, u128 unit)
{
	return (x + unit - 1) / unit * unit;
}

static u32 ref_spb(const struct integrity_layout *l)
{
	return l->log2_sectors_per_block == 0 ? 1 :
	       l->log2_sectors_per_block == 1 ? 2 :
	       l->log2_sectors_per_block == 2 ? 4 : 8;
}

static u128 ref_entry(const struct integrity_layout *l)
{
	return up(8 + 8 * ref_spb(l) + l->tag_size, 8);
}

static u128 ref_section(const struct integrity_layout *l)
{
	u128 per_sector = (504 - (l->journal_mac ? 8 : 0)) / ref_entry(l);

	return 8 + 8 * per_sector * ref_spb(l);
}

static u128 ref_init(const struct integrity_layout *l)
{
	return 8 + l->journal_sections * ref_section(l);
}

static u128 ref_run(const struct integrity_layout *l)
{
	u128 blocks = ((u128)1 << l->log2_interleave) / ref_spb(l);

	return up(blocks * l->tag_size, l->fix_padding ? 4096 : 131072) / 512;
}

/* Absolute, on the data device. */
static u128 ref_data(const struct integrity_layout *l, u128 s)
{
	u128 run = (u128)1 << l->log2_interleave;

	if (l->separate)
		return s;
	if (l->inline_mode)
		return l->start + (u128)8 + s;
	return l->start + ref_init(l) + s / run * run + (s / run + 1) * ref_run(l) + s % run;
}

/* Absolute byte, on the device with the metadata. */
static u128 ref_tag(const struct integrity_layout *l, u128 s)
{
	u128 run = (u128)1 << l->log2_interleave;

	if (l->separate)
		return 512 * (l->start + ref_init(l)) + s / ref_spb(l) * l->tag_size;
	return 512 * (l->start + ref_init(l) + s / run * (run + ref_run(l))) +
	       s % run / ref_spb(l) * l->tag_size;
}

/* Section 2.7; @start is what the in-tree target forgets with two devices and inline. */
static bool ref_fits(const struct integrity_layout *l, u128 provided, u128 buffer, u128 start)
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

static struct integrity_layout random_layout(enum kind kind, unsigned int device_bits)
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

static void dump(const struct integrity_layout *l)
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
static void check_on_device(const struct integrity_layout *l)
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

/* --- tests --- */

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

/* The whole device painted: nothing overlaps, whatever belongs to a volume is on it, once. */
static void paint(struct integrity_layout *l, u8 *sectors, u8 *tag_bytes)
{
	enum { FREE, SUPERBLOCK, JOURNAL, TAGS, DATA };
	u64 meta = l->meta_sectors, s, at, k, byte, first_tag = l->start + l->initial_sectors;
	u32 i;

	memset(sectors, FREE, meta);
	memset(tag_bytes, 0, 512 * meta);
	for (k = 0; k < 8; k++)
		sectors[l->start + k] = SUPERBLOCK;
	for (i = 0; i < l->journal_sections; i++)
		for (k = 0; k < l->journal_section_sectors; k++) {
			s = integrity_journal_section_sector(l, i) + k;
			CHECK_L(l, s < first_tag);
			CHECK_L(l, sectors[s] == FREE);
			sectors[s] = JOURNAL;
		}
	for (s = l->start; s < first_tag; s++)
		CHECK_L(l, sectors[s] != FREE);

	/* Without a metadata device data is on the same disk; with one it has the other. */
	for (s = 0; s < l->provided_sectors; s++) {
		at = integrity_data_sector(l, s);
		CHECK_L(l, at == ref_data(l, s));
		CHECK_L(l, at < l->data_sectors);
		if (l->separate)
			continue;
		CHECK_L(l, sectors[at] == FREE);
		sectors[at] = DATA;
	}
	if (l->inline_mode)
		return;
	for (s = 0; s < l->provided_sectors; s += integrity_block_sectors(l)) {
		byte = 512 * first_tag + integrity_tag_offset(l, s);
		CHECK_L(l, byte == ref_tag(l, s));
		CHECK_L(l, integrity_tag_offset(l, s + integrity_block_sectors(l) - 1) ==
			   integrity_tag_offset(l, s));
		for (k = 0; k < l->tag_size; k++) {
			CHECK_L(l, byte + k < 512 * meta);
			CHECK_L(l, !tag_bytes[byte + k]);
			tag_bytes[byte + k] = 1;
			at = (byte + k) / 512;
			CHECK_L(l, sectors[at] == FREE || sectors[at] == TAGS);
			sectors[at] = TAGS;
		}
	}
}

static void test_mapping_painted(void)
{
	const u64 max = 6000;
	u8 *sectors = malloc(max), *tag_bytes = malloc(512 * max);
	unsigned int painted[KINDS] = { }, i;

	CHECK(sectors && tag_bytes);
	for (i = 0; i < 3000; i++) {
		enum kind kind = unit_below(KINDS);
		struct integrity_layout l = random_layout(kind, 12);

		l.start = unit_below(100);
		l.data_sectors = unit_below(max);
		l.meta_sectors = kind == SEPARATE ? unit_below(max) : l.data_sectors;
		l.journal_sections = kind == INLINE ? 0 : 1 + unit_below(3);
		l.log2_interleave = kind == SEPARATE ? 0 : 3 + unit_below(9);
		if (integrity_layout_fit(&l))
			continue;
		paint(&l, sectors, tag_bytes);
		painted[kind]++;
	}
	unit_note("%u interleaved, %u separate, %u inline", painted[INTERLEAVED], painted[SEPARATE],
		  painted[INLINE]);
	CHECK(painted[INTERLEAVED] > 200 && painted[SEPARATE] > 200 && painted[INLINE] > 200);
	free(sectors);
	free(tag_bytes);
}

/* Volumes too large to paint: sectors at random, at the ends of areas and of the volume. */
static void test_mapping_random(void)
{
	unsigned int volumes = 0, i, j;

	for (i = 0; i < 20000; i++) {
		struct integrity_layout l = random_layout(unit_below(KINDS), 54);
		u64 spb = integrity_block_sectors(&l), s, area, remaining, first;

		if (integrity_layout_fit(&l))
			continue;
		volumes++;
		check_on_device(&l);
		first = l.start + l.initial_sectors;
		for (j = 0; j < 12; j++) {
			s = unit_below(2) ? unit_below(l.provided_sectors) : unit_magnitude(54);
			if (!l.separate && j & 1)	/* about the border of two areas */
				s = round_down(s, 1ull << l.log2_interleave) + (j & 2 ? 0 : ~0ull);
			if (!j)
				s = 0;
			if (j == 1 || s >= l.provided_sectors)
				s = l.provided_sectors - 1;

			CHECK_L(&l, integrity_data_sector(&l, s) == ref_data(&l, s));
			remaining = integrity_area_remaining(&l, s);
			CHECK_L(&l, remaining && remaining <= l.provided_sectors - s);
			if (remaining > 1)
				CHECK_L(&l, integrity_data_sector(&l, s + remaining - 1) ==
					    integrity_data_sector(&l, s) + remaining - 1);
			if (s + remaining < l.provided_sectors) {
				CHECK_L(&l, !l.separate && !l.inline_mode);
				CHECK_L(&l, (s + remaining) % (1ull << l.log2_interleave) == 0);
				CHECK_L(&l, integrity_data_sector(&l, s + remaining) ==
					    integrity_data_sector(&l, s) + l.metadata_run +
					    remaining);
			}
			if (l.inline_mode)
				continue;

			CHECK_L(&l, integrity_tag_offset(&l, s) ==
				    ref_tag(&l, s) - (u128)512 * first);
			if (s + spb < l.provided_sectors && remaining > spb)
				CHECK_L(&l, integrity_tag_offset(&l, s + spb) ==
					    integrity_tag_offset(&l, s) + l.tag_size);
			if (l.separate)
				continue;
			/* All of the tag lies in the tag area in front of its data. */
			area = integrity_data_sector(&l, round_down(s, 1ull << l.log2_interleave)) -
			       l.metadata_run;
			CHECK_L(&l, ref_tag(&l, s) >= (u128)512 * area);
			CHECK_L(&l, ref_tag(&l, s) + l.tag_size <=
				    (u128)512 * (area + l.metadata_run));
		}
		CHECK_L(&l, integrity_area_remaining(&l, l.provided_sectors) == 0);
		CHECK_L(&l, integrity_area_remaining(&l, U64_MAX) == 0);
	}
	unit_note("%u volumes", volumes);
	CHECK(volumes > 2000);
}

/* Section 4.1: entries do not overlap, nor reach the MAC or the commit id. */
static void test_journal_places(void)
{
	u32 tag_size, lspb, mac, n, sector, byte, k;

	for (tag_size = 1; tag_size <= 255; tag_size++)
		for (lspb = 0; lspb < 4; lspb++)
			for (mac = 0; mac < 2; mac++) {
				struct integrity_layout l = {
					.start = 1000,
					.tag_size = tag_size,
					.log2_sectors_per_block = lspb,
					.log2_interleave = 15,
					.journal_sections = 7,
					.journal_mac = mac,
				};
				u8 used[8][512] = { };

				CHECK_EQ(integrity_layout_derive(&l), 0);
				for (n = 0; n < l.journal_section_entries; n++) {
					integrity_journal_entry_place(&l, n, &sector, &byte);
					CHECK_EQ(sector, n % 8);
					CHECK_EQ(byte, n / 8 * ref_entry(&l));
					CHECK(8 + 8 * ref_spb(&l) + tag_size <=
					      l.journal_entry_size);
					CHECK(byte + l.journal_entry_size <= (mac ? 496 : 504));
					for (k = 0; k < l.journal_entry_size; k++) {
						CHECK(!used[sector][byte + k]);
						used[sector][byte + k] = 1;
					}
				}
				/* One entry more would not fit. */
				CHECK(l.journal_entry_size * (n / 8 + 1) > (mac ? 496u : 504u));
				CHECK_EQ(integrity_journal_section_sector(&l, 0), 1008);
				CHECK_EQ(integrity_journal_section_sector(&l, 6) +
					 l.journal_section_sectors, 1000 + l.initial_sectors);
			}
}

/* Section 5.1. */
static void test_bitmap(void)
{
	unsigned int i, raised = 0;

	for (i = 0; i < 50000; i++) {
		struct integrity_layout l = random_layout(unit_below(2), 54);
		u64 sectors_per_bit = unit_below(8) ? unit_magnitude(64) : 32768;
		u128 cap, bits;
		int lb = 0;

		if (integrity_layout_fit(&l))
			continue;
		while (lb < 63 && sectors_per_bit >> (lb + 1))
			lb++;
		if (lb < l.log2_sectors_per_block)
			lb = l.log2_sectors_per_block;
		cap = (u128)l.journal_sections * ref_section(&l) * 4096;
		if (cap > 0xffffffffu)
			cap = 0xffffffffu;
		for (;; lb++) {
			bits = (l.provided_sectors + ((u128)1 << lb) - 1) >> lb;
			if (cap >= bits)
				break;
			raised++;
		}
		CHECK_L(&l, integrity_bitmap_log2(&l, sectors_per_bit) ==
			    lb - l.log2_sectors_per_block);
	}
	CHECK(raised > 100);
}

static void test_bitmap_boundaries(void)
{
	struct integrity_layout l = random_layout(INLINE, 40);

	/* No journal to hold a bitmap must not mean to look for room for ever. */
	l.start = 0;
	l.data_sectors = 1 << 20;
	l.meta_sectors = 1 << 20;
	l.log2_sectors_per_block = 3;
	CHECK_EQ(integrity_layout_fit(&l), 0);
	CHECK_EQ(integrity_bitmap_log2(&l, 32768), 12);
	CHECK_EQ(integrity_bitmap_log2(&l, 0), 0);
	CHECK_EQ(integrity_bitmap_log2(&l, 1), 0);
	CHECK_EQ(integrity_bitmap_log2(&l, U64_MAX), 60);

	/* What the in-tree target stores by default, and for the largest number that it takes. */
	l = random_layout(INTERLEAVED, 40);
	l.start = 0;
	l.data_sectors = 131072;
	l.meta_sectors = 131072;
	l.tag_size = 4;
	l.log2_sectors_per_block = 0;
	l.min_log2_buffer = 0;
	CHECK_EQ(integrity_layout_format(&l, 0, false, 0), 0);
	CHECK_EQ(integrity_bitmap_log2(&l, 32768), 15);
	CHECK_EQ(integrity_bitmap_log2(&l, 1ull << 63), 63);

	/* Just enough bits in one section's 176 sectors, and one sector more than they cover. */
	l.initial_sectors = 8 + 176;
	l.provided_sectors = 176 * 4096;
	CHECK_EQ(integrity_bitmap_log2(&l, 1), 0);
	l.provided_sectors++;
	CHECK_EQ(integrity_bitmap_log2(&l, 1), 1);
	l.provided_sectors = 176 * 4096 * 8;
	CHECK_EQ(integrity_bitmap_log2(&l, 8), 3);
	l.provided_sectors++;
	CHECK_EQ(integrity_bitmap_log2(&l, 8), 4);
	l.provided_sectors += 3;
	CHECK_EQ(integrity_bitmap_log2(&l, 8), 4);

	/* Never without a journal; but even then the search must end. */
	l.initial_sectors = 8;
	CHECK_EQ(integrity_bitmap_log2(&l, 1), 63);

	/* However long the journal, a bit's number is a u32. */
	l.initial_sectors = 8 + (1 << 21);
	l.provided_sectors = U32_MAX;
	CHECK_EQ(integrity_bitmap_log2(&l, 1), 0);
	l.provided_sectors++;
	CHECK_EQ(integrity_bitmap_log2(&l, 1), 1);
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

/* 8.4: what is printed is the threshold in effect, rounded to percent. */
static void test_watermark(void)
{
	struct integrity_layout l = { .journal_sections = 1, .journal_section_entries = 40 };

	CHECK(integrity_journal_watermark(&l, 37) == 38);
	CHECK(integrity_journal_watermark(&l, 0) == 0);
	CHECK(integrity_journal_watermark(&l, 50) == 50);
	CHECK(integrity_journal_watermark(&l, 100) == 100);
	l.journal_sections = 0xffffffff;
	l.journal_section_entries = 168;
	CHECK(integrity_journal_watermark(&l, 37) == 37);
	l.journal_sections = 0;
	CHECK(integrity_journal_watermark(&l, 37) == 37);
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
	{ "layout-mapping-painted", test_mapping_painted },
	{ "layout-mapping-random", test_mapping_random },
	{ "layout-journal-places", test_journal_places },
	{ "layout-watermark", test_watermark },
	{ "layout-bitmap", test_bitmap },
	{ "layout-bitmap-boundaries", test_bitmap_boundaries },
	{ "layout-boundaries", test_boundaries },
	{ "layout-refusals", test_refusals },
	{ "layout-smallest", test_smallest },
	{ "layout-garbage", test_garbage },
};

UNIT_MAIN(tests)
