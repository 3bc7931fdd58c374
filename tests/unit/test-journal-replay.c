// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a replay has to do with the sections and entries that it finds, against the model.
 */
#include "journal-model.h"

static struct integrity_commit_ids ids;

/* --- the plan --- */

/* Every journal of up to four sections that there can be, as far as a plan asks. */
static void test_plan_all(void)
{
	u32 sections, i;
	unsigned long tried = 0;

	for (sections = 1; sections <= 4; sections++) {
		struct integrity_layout l = small_layout(sections);
		unsigned int kind[4] = {};

		do {
			struct integrity_section_state states[4] = {};
			struct seen seen[4] = {};
			u32 used = unit_below(3) ? unit_below(sections) : sections;

			/* Kinds: 0 nothing known; 1..15 all known; 16..30 some not. */
			for (i = 0; i < sections; i++) {
				seen[i].mask = kind[i] > 15 ? kind[i] - 15 : kind[i];
				seen[i].unknown = !kind[i] || kind[i] > 15;
				seen[i].used = i == used;
				states[i].sequences = seen[i].mask;
				states[i].unknown = seen[i].unknown ?
					seen[i].mask ? 1 + unit_below(15) : 16 : 0;
				states[i].used = seen[i].used;
			}
			check_plan(&l, states, seen, unit_below(2));
			tried++;
			for (i = 0; i < sections && ++kind[i] > 30; i++)
				kind[i] = 0;
		} while (i < sections);
	}
	unit_note("%lu journals", tried);
}

/* From the bytes on: sections of N = 1..6 with sequences in them as they may come to be. */
static void test_plan_random(void)
{
	unsigned int damaged = 0, errors = 0, i;

	integrity_commit_ids_init(&ids, NULL);
	for (i = 0; i < 20000; i++) {
		struct integrity_layout l = small_layout(1 + unit_below(6));
		const u32 size = integrity_section_bytes(&l), last = l.journal_section_sectors;
		unsigned int pool = 1 + unit_below(4), base = unit_below(4);
		unsigned int torn = unit_below(6), broken = unit_below(2) ? 0 : 1 + unit_below(8);
		struct integrity_section_state states[6];
		struct seen seen[6] = {};
		u32 s, j, n;

		for (s = 0; s < l.journal_sections; s++) {
			unsigned long unreadable[BITMAP_LONGS] = {};
			unsigned int q = (base + unit_below(pool)) % 4;
			bool lost = broken && !unit_below(4), is_torn = !unit_below(torn + 1);
			u8 *raw = random_bytes(size);
			bool any, bad[16] = {};

			/* Mostly around the ring in order. */
			if (pool == 2 && unit_below(8))
				q = (base + (s < i % 7)) % 4;
			for (j = 0; j < last; j++) {
				unsigned int now = is_torn && unit_below(2) ? (q + 1) % 4 : q;

				put64(raw + 512 * j + 504, ref_id(s, j, now));
				if (!lost && (!broken || unit_below(8 * broken))) {
					seen[s].mask |= 1u << now;
					continue;
				}
				bad[j] = true;
				/* A place's ids differ in all bytes: no bit makes one another. */
				if (unit_below(2))
					set_bit_of(unreadable, j);
				else
					raw[512 * j + 504 + unit_below(8)] ^= 1 << unit_below(8);
			}
			any = false;
			for (j = 0; j < last; j++)
				any |= bad[j];
			seen[s].unknown = any;
			integrity_section_pad(&l, raw, 0);
			for (n = 0; n < 8; n++)
				if (!unit_below(20)) {
					put64(raw + 512 * n, unit_magnitude(24));
					seen[s].used |= !bad[n];
				}
			integrity_section_scan(&l, &ids, raw, s,
					       any || unit_below(2) ? unreadable : NULL,
					       &states[s]);
			n = 0;
			for (j = 0; j < last; j++)
				n += bad[j];
			CHECK_EQ(states[s].unknown, n);
			for (j = 0; j < 8; j++)
				CHECK_EQ(states[s].unknown_metadata >> j & 1, bad[j]);
			CHECK_EQ(states[s].sequences, seen[s].mask);
			CHECK_EQ(states[s].used, seen[s].used);
			/* What cannot be known may have been in use. */
			seen[s].used |= !!states[s].unknown_metadata;
			damaged += any;
			free(raw);
		}
		errors += model(l.journal_sections, seen, true).error != 0;
		check_plan(&l, states, seen, unit_below(2));
	}
	unit_note("%u sections with unknown sectors, %u journals without an order",
		  damaged, errors);
	CHECK(damaged > 10000 && errors > 100);
}

/* Some that can be told by looking at them. */
static void test_plan_examples(void)
{
	/* One character a section: a digit for a whole one, T torn 0/1, L lost. */
	static const struct {
		const char *journal;
		bool used;
		int error;
		u32 first, count;
		bool empty, erase;
		u32 next_section;
		unsigned int next_sequence;
	} rows[] = {
		/* As formatted: all is continued at section 0. */
		{ "000", false, 0, 0, 3, true, false, 0, 1 },
		{ "0", false, 0, 0, 1, true, false, 0, 1 },
		/* The write position is the place where the sequence changes. */
		{ "110", true, 0, 2, 3, false, false, 2, 1 },
		{ "033", true, 0, 1, 3, false, false, 1, 0 },
		{ "333", true, 0, 0, 3, false, false, 0, 0 },
		/* A write that was torn ends the run before it. */
		{ "1T0", true, 0, 2, 2, false, true, 0, 0 },
		{ "T00", true, 0, 1, 2, false, true, 0, 0 },
		{ "11T", true, 0, 0, 2, false, true, 0, 0 },
		/* Traces of an erase. */
		{ "133", true, 0, 0, 0, true, true, 0, 2 },
		{ "311", true, 0, 1, 0, true, true, 0, 2 },
		{ "220", true, 0, 2, 0, true, true, 0, 1 },
		/* No order. */
		{ "0123", true, -EIO, 0, 0, true, false, 0, 0 },
		{ "LLL", true, -EIO, 0, 0, true, false, 0, 0 },
		/* Lost sections count only in front of others. */
		{ "1L0", true, 0, 1, 3, false, true, 0, 0 },
		{ "11L", true, 0, 2, 3, false, true, 0, 0 },
		{ "L00", true, 0, 0, 3, false, true, 0, 3 },
		{ "0LL", true, 0, 1, 3, false, true, 0, 3 },
		{ "L1L", true, 0, 2, 3, false, true, 0, 0 },
		{ "1L00T0", true, 0, 5, 2, false, true, 0, 0 },
	};
	unsigned int i;
	u32 s;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct integrity_layout l = small_layout(strlen(rows[i].journal));
		struct integrity_section_state states[8] = {};
		struct integrity_replay_plan plan;

		for (s = 0; s < l.journal_sections; s++) {
			char c = rows[i].journal[s];

			states[s].unknown = c == 'L' ? 16 : 0;
			states[s].sequences = c == 'L' ? 0 : c == 'T' ? 3 : 1 << (c - '0');
			states[s].used = rows[i].used && c != 'L';
		}
		CHECK_EQ(integrity_replay_plan(&l, states, true, &plan), rows[i].error);
		if (rows[i].error)
			continue;
		if (plan.first != rows[i].first || plan.count != rows[i].count ||
		    plan.empty != rows[i].empty || plan.erase != rows[i].erase ||
		    plan.next_section != rows[i].next_section ||
		    plan.next_sequence != rows[i].next_sequence)
			unit_fail(__FILE__, __LINE__, "%s: first %u count %u empty %u erase %u next %u/%u",
				  rows[i].journal, plan.first, plan.count, plan.empty, plan.erase,
				  plan.next_section, plan.next_sequence);
		/* In another mode than J only an empty journal can stay. */
		CHECK_EQ(integrity_replay_plan(&l, states, false, &plan), 0);
		CHECK_EQ(plan.erase, rows[i].erase || rows[i].used);
	}
}

static void test_erase_order(void)
{
	u32 sections, first, step, n, i;

	for (sections = 1; sections <= 9; sections++)
		for (first = 0; first < sections; first++) {
			struct integrity_layout l = small_layout(sections);
			u32 at, counts[3], expect = first;

			for (step = 0; step < INTEGRITY_ERASE_STEPS; step++) {
				counts[step] = integrity_erase_step(&l, first, step, &at);
				CHECK(at < sections);
				for (n = 0; n < counts[step]; n++) {
					CHECK_EQ(at, expect);
					at = integrity_next_section(&l, at);
					expect = (expect + 1) % sections;
				}
			}
			CHECK_EQ(expect, first);
			CHECK_EQ(counts[0], 1);
			CHECK_EQ(counts[1], sections > 2 ? sections - 2 : 0);
			CHECK_EQ(counts[2], sections > 1);
			i = counts[0] + counts[1] + counts[2];
			CHECK_EQ(i, sections);
		}
}

/* --- verdicts --- */

static void test_verdicts(void)
{
	unsigned int seen[6] = {}, i;

	integrity_commit_ids_init(&ids, NULL);
	for (i = 0; i < 2000; i++) {
		struct integrity_layout l = any_layout();
		const u32 size = integrity_section_bytes(&l), spb = integrity_block_sectors(&l);
		const u32 section = unit_below(7), sequence = unit_below(4);
		unsigned long unreadable[BITMAP_LONGS] = {};
		bool bad[392] = {};
		u8 *raw = random_bytes(size);
		u32 n, j;

		l.provided_sectors = 1000 * spb;
		integrity_section_set_ids(&l, &ids, raw, section, sequence);
		for (j = 0; j < l.journal_section_sectors; j++) {
			if (unit_below(12))
				continue;
			bad[j] = true;
			switch (unit_below(4)) {
			case 0:
				set_bit_of(unreadable, j);
				break;
			case 1:
				put64(raw + 512 * j + 504, ref_id(section, j, sequence ^ 2));
				break;
			case 2:
				put64(raw + 512 * j + 504, ref_id(section + 1, j, sequence));
				break;
			default:
				put64(raw + 512 * j + 504, ref_id(section, j ^ 1, sequence));
			}
		}
		for (n = 0; n < l.journal_section_entries; n++) {
			enum integrity_entry_verdict v;
			u64 sector = unit_magnitude(12), got = 77;
			bool data_bad = false;
			u8 *entry = raw + n % 8 * 512 + n / 8 * l.journal_entry_size;

			if (unit_below(2))
				sector &= ~7ull;
			if (!unit_below(8))
				sector = (u64)0xfffffffe << 32;
			if (!unit_below(8))
				sector |= (u64)0xffffffff << 32;
			put64(entry, sector);
			for (j = 0; j < spb; j++)
				data_bad |= bad[8 + n * spb + j];
			v = integrity_entry_verdict(&l, &ids, raw, section, sequence, unreadable,
						    n, &got);
			if (bad[n % 8]) {
				CHECK_EQ(v, INTEGRITY_ENTRY_UNKNOWN);
				CHECK_EQ(got, 0);
			} else if (sector >> 32 == 0xffffffff) {
				CHECK_EQ(v, INTEGRITY_ENTRY_IS_UNUSED);
				CHECK_EQ(got, 0);
			} else {
				CHECK_EQ(got, sector);
				CHECK_EQ(v, sector % spb ? INTEGRITY_ENTRY_UNALIGNED :
					    sector >= 1000 * spb ? INTEGRITY_ENTRY_BEYOND :
					    data_bad ? INTEGRITY_ENTRY_DAMAGED :
					    INTEGRITY_ENTRY_REPLAY);
			}
			seen[v]++;
		}
		free(raw);
	}
	for (i = 0; i < ARRAY_SIZE(seen); i++)
		CHECK(seen[i] > 1000);
	unit_note("unused %u, replay %u, beyond %u, unaligned %u, damaged %u, unknown %u",
		  seen[0], seen[1], seen[2], seen[3], seen[4], seen[5]);
}

static const struct unit_test tests[] = {
	{ "journal-plan-all", test_plan_all },
	{ "journal-plan-random", test_plan_random },
	{ "journal-plan-examples", test_plan_examples },
	{ "journal-erase-order", test_erase_order },
	{ "journal-verdicts", test_verdicts },
};

UNIT_MAIN(tests)
