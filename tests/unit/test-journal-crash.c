// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a replay makes of a journal whose writer crashed, or that was damaged: the writer is
 * simulated and knows what it wrote.
 */
#include "journal-model.h"

static struct integrity_commit_ids ids;

/* --- a writer that crashes --- */

#define MAX_SECTIONS	6u
#define SMALL_SECTORS	16u
#define SMALL_BYTES	(SMALL_SECTORS * 512)
#define SMALL_ENTRIES	8u

/*
 * A journal on a disk, and what a table in mode J knows of it. A section written has a generation,
 * in each of its sectors and entries, so that it can be told which one a replay found; 0 for an
 * empty one.
 */
struct sim {
	struct integrity_layout l;
	u8 disk[MAX_SECTIONS][SMALL_BYTES];
	u64 generation[MAX_SECTIONS];	/* of what was last written whole */
	u64 newest;
	u32 position;
	u8 sequence;
};

/* A write of several sections around the ring, as one request whose sectors go in any order. */
struct batch {
	u32 section[MAX_SECTIONS];
	u64 generation[MAX_SECTIONS];
	u8 raw[MAX_SECTIONS][SMALL_BYTES];
	u32 count;
	u32 written[MAX_SECTIONS];	/* sectors of each that reached the disk */
};

static void make_section(const struct sim *s, u8 *raw, u32 section, u8 sequence, u64 generation)
{
	u32 n, used = generation ? 1 + unit_below(SMALL_ENTRIES) : 0, i;

	/* What is left of older generations is not cleared. */
	if (generation)
		for (i = 0; i < SMALL_BYTES; i++)
			raw[i] = generation + i;
	else
		integrity_section_clear(&s->l, raw);
	for (n = 0; n < used; n++) {
		u8 *data = raw + integrity_entry_data_offset(&s->l, n);

		put64(data, generation);
		put64(data + 504, ~generation);
		put64(raw + integrity_entry_tag_offset(&s->l, n), generation * 3);
		integrity_entry_fill(&s->l, raw, n, generation);
	}
	integrity_section_pad(&s->l, raw, used);
	integrity_section_set_ids(&s->l, &ids, raw, section, sequence);
}

/* Which of @b's sectors are on the disk when the power goes: all, none, or anything. */
static void write_batch(struct sim *s, struct batch *b, bool crash)
{
	u32 i, j, how = unit_below(6), stop = unit_below(b->count * SMALL_SECTORS + 1);

	for (i = 0; i < b->count; i++) {
		u8 *to = s->disk[b->section[i]];
		u32 odds = unit_below(5);

		b->written[i] = 0;
		for (j = 0; j < SMALL_SECTORS; j++) {
			if (crash && how == 0 && i * SMALL_SECTORS + j >= stop)
				continue;	/* in order */
			if (crash && how == 1 && i * SMALL_SECTORS + j < stop)
				continue;	/* last ones first */
			if (crash && how == 2 && unit_below(2))
				continue;
			if (crash && how > 2 && unit_below(4) >= odds)
				continue;	/* some sections whole, some not at all */
			memcpy(to + 512 * j, b->raw[i] + 512 * j, 512);
			b->written[i]++;
		}
		if (b->written[i] == SMALL_SECTORS)
			s->generation[b->section[i]] = b->generation[i];
		}
}

/* The next @count sections, with contents, or empty ones as at a suspend. */
static void make_batch(struct sim *s, struct batch *b, u32 count, bool empty)
{
	u32 i;

	memset(b, 0, sizeof(*b));
	b->count = count;
	for (i = 0; i < count; i++) {
		b->section[i] = s->position;
		b->generation[i] = empty ? 0 : ++s->newest;
		make_section(s, b->raw[i], s->position, s->sequence, b->generation[i]);
		if (++s->position == s->l.journal_sections) {
			s->position = 0;
			s->sequence = (s->sequence + 1) % 4;
		}
	}
}

static int plan_sim(const struct sim *s, struct integrity_replay_plan *plan)
{
	struct integrity_section_state states[MAX_SECTIONS];
	struct seen seen[MAX_SECTIONS];
	u32 i;

	for (i = 0; i < s->l.journal_sections; i++) {
		integrity_section_scan(&s->l, &ids, s->disk[i], i, NULL, &states[i]);
		CHECK_EQ(states[i].unknown, 0);
		seen[i] = (struct seen){ states[i].sequences, false, states[i].used };
	}
	check_plan(&s->l, states, seen, true);
	return integrity_replay_plan(&s->l, states, true, plan);
}

/* The section, found in a run, is whole and of the generation that it should be. */
static void check_generation(const struct sim *s, u32 section, u8 sequence, u64 generation)
{
	const u8 *raw = s->disk[section];
	u32 n, used = 0;
	u8 block[512];
	u64 sector;

	for (n = 0; n < SMALL_ENTRIES; n++) {
		enum integrity_entry_verdict v;

		v = integrity_entry_verdict(&s->l, &ids, raw, section, sequence, NULL, n, &sector);
		if (v == INTEGRITY_ENTRY_IS_UNUSED)
			continue;
		CHECK_EQ(v, INTEGRITY_ENTRY_REPLAY);
		CHECK_EQ(sector, generation);
		CHECK(generation);
		integrity_entry_copy(&s->l, raw, n, block);
		CHECK_EQ(get64(block), generation);
		CHECK_EQ(get64(block + 504), ~generation);
		used++;
	}
	CHECK_EQ(!used, !generation);
}

/* Nothing is replayed: there is no run, or nothing in it. */
static void check_nothing(const struct sim *s, const struct integrity_replay_plan *plan)
{
	u32 n, section;
	u8 q;

	for (n = 0; n < plan->count && !plan->empty; n++) {
		section = integrity_replay_section(&s->l, plan, n, &q);
		check_generation(s, section, q, 0);
	}
}

/*
 * Carries out the erase of a plan, crashing in step @crash_step, or not at all. As written, and
 * with sectors in any order within a step.
 */
static void erase_sim(struct sim *s, const struct integrity_replay_plan *plan, u32 crash_step)
{
	struct batch b;
	u32 step, n, at;

	for (step = 0; step < INTEGRITY_ERASE_STEPS && step <= crash_step; step++) {
		memset(&b, 0, sizeof(b));
		b.count = integrity_erase_step(&s->l, plan->first, step, &at);
		CHECK(b.count <= s->l.journal_sections);
		for (n = 0; n < b.count; n++) {
			b.section[n] = at;
			make_section(s, b.raw[n], at, plan->erase_sequence, 0);
			at = integrity_next_section(&s->l, at);
		}
		write_batch(s, &b, step == crash_step);
	}
}

/* A whole erase leaves a journal of empty sections that is continued where the plan says. */
static void recover(struct sim *s, const struct integrity_replay_plan *plan)
{
	struct integrity_replay_plan after;

	if (plan->erase) {
		erase_sim(s, plan, U32_MAX);
		CHECK_EQ(plan_sim(s, &after), 0);
		CHECK(after.empty && !after.erase);
		CHECK_EQ(after.count, s->l.journal_sections);
		CHECK_EQ(after.next_section, plan->next_section);
		CHECK_EQ(after.next_sequence, plan->next_sequence);
	}
	s->position = plan->next_section;
	s->sequence = plan->next_sequence;
}

/* After a batch of which only some came to the disk: just what was committed and is still there. */
static void check_after_crash(const struct sim *s, const struct batch *b, u32 begin,
			      const u64 *before, const struct integrity_replay_plan *plan)
{
	u32 sections = s->l.journal_sections, behind = 0, whole = 0, n, expect;
	u8 q;

	/* Sections up to the last one that was touched are new or torn, those behind it are old. */
	for (n = 0; n < b->count; n++)
		if (b->written[n])
			behind = n + 1;
	while (whole < behind && b->written[whole] == SMALL_SECTORS)
		whole++;
	expect = sections - behind + whole;
	if (plan->empty) {
		/* Said of what holds no entry, or of a run of no section. */
		for (n = 0; n < expect; n++) {
			u32 section = (begin + behind + n) % sections;

			CHECK(!(n < sections - behind ? before : s->generation)[section]);
		}
		return;
	}
	CHECK_EQ(plan->count, expect);
	for (n = 0; n < plan->count; n++) {
		u32 section = integrity_replay_section(&s->l, plan, n, &q);

		CHECK_EQ(section, (begin + behind + n) % sections);
		check_generation(s, section, q,
				 n < sections - behind ? before[section] : s->generation[section]);
	}
}

static void format_sim(struct sim *s)
{
	u32 i;

	memset(s, 0, sizeof(*s));
	s->l = small_layout(1 + unit_below(MAX_SECTIONS));
	for (i = 0; i < s->l.journal_sections; i++)
		make_section(s, s->disk[i], i, 0, 0);
	s->sequence = 1;
}

static void test_writer(void)
{
	unsigned int crashes = 0, erases = 0, cut[3] = {}, traces = 0, i, round;
	struct integrity_replay_plan plan, again;
	struct sim *s = malloc(sizeof(*s));
	struct batch *b = malloc(sizeof(*b));
	u64 before[MAX_SECTIONS];
	u32 begin;

	integrity_commit_ids_init(&ids, NULL);
	for (i = 0; i < 2500; i++) {
		format_sim(s);
		for (round = 0; round < 12; round++) {
			bool crash = !unit_below(3);

			begin = s->position;
			memcpy(before, s->generation, sizeof(before));
			make_batch(s, b, 1 + unit_below(s->l.journal_sections), !unit_below(6));
			write_batch(s, b, crash);
			if (!crash && unit_below(2))
				continue;
			CHECK_EQ(plan_sim(s, &plan), 0);
			if (!crash) {
				/* Everything is there, and writing goes on as if nothing were. */
				CHECK_EQ(plan.count, s->l.journal_sections);
				CHECK(!plan.erase);
				CHECK_EQ(plan.next_section, s->position);
				CHECK_EQ(plan.next_sequence, s->sequence);
				check_after_crash(s, b, begin, before, &plan);
				continue;
			}
			crashes++;
			check_after_crash(s, b, begin, before, &plan);

			/* An erase that is cut off leaves nothing to be replayed. */
			if (plan.erase && unit_below(2)) {
				u32 step = unit_below(INTEGRITY_ERASE_STEPS);

				cut[step]++;
				erase_sim(s, &plan, step);
				if (step || s->l.journal_sections == 1) {
					CHECK_EQ(plan_sim(s, &again), 0);
					check_nothing(s, &again);
				} else {
					/* Unless it did not begin, and all is still there. */
					CHECK_EQ(plan_sim(s, &again), 0);
					if (again.count)
						check_after_crash(s, b, begin, before, &again);
				}
				traces += again.empty;
				plan = again;
			}
			erases += plan.erase;
			recover(s, &plan);
			if (plan.erase)
				memset(s->generation, 0, sizeof(s->generation));
		}
	}
	unit_note("%u crashes, %u erases, cut off in step 1 %u, 2 %u, 3 %u, then found empty %u",
		  crashes, erases, cut[0], cut[1], cut[2], traces);
	CHECK(crashes > 5000 && erases > 2000 && traces > 100);
	CHECK(cut[0] > 500 && cut[1] > 500 && cut[2] > 500);
	free(s);
	free(b);
}

/* --- damage --- */

struct damage {
	unsigned long unreadable[MAX_SECTIONS][BITMAP_LONGS];
	bool bad[MAX_SECTIONS][SMALL_SECTORS];
	u32 count;
};

/* Some sectors, at times a whole section, but never sector @keep of section @newest. */
static void damage_sim(struct sim *s, struct damage *d, u32 newest, u32 keep)
{
	unsigned int odds = 1 + unit_below(40);
	u32 i, j;

	memset(d, 0, sizeof(*d));
	for (i = 0; i < s->l.journal_sections; i++) {
		bool lost = !unit_below(6);

		for (j = 0; j < SMALL_SECTORS; j++) {
			if ((!lost && unit_below(odds)) || (i == newest && j == keep))
				continue;
			d->bad[i][j] = true;
			d->count++;
			/* A sector that could not be read may hold anything in memory. */
			if (unit_below(2))
				set_bit_of(d->unreadable[i], j);
			else
				s->disk[i][512 * j + 504 + unit_below(8)] ^= 0x88;
		}
	}
}

static void plan_damaged(const struct sim *s, const struct damage *d,
			 struct integrity_replay_plan *plan)
{
	struct integrity_section_state states[MAX_SECTIONS];
	u32 i;

	for (i = 0; i < s->l.journal_sections; i++)
		integrity_section_scan(&s->l, &ids, s->disk[i], i, d->unreadable[i], &states[i]);
	CHECK_EQ(integrity_replay_plan(&s->l, states, true, plan), 0);
}

static enum integrity_entry_verdict verdict_of(const struct sim *s, const struct damage *d,
					       u32 section, u8 sequence, u32 n, u64 *sector)
{
	return integrity_entry_verdict(&s->l, &ids, s->disk[section], section, sequence,
				       d->unreadable[section], n, sector);
}

/* Counts the entries of a section in the run by their verdicts. */
static void check_damaged_section(const struct sim *s, const struct damage *d, u32 at, u8 sequence,
				  unsigned int *seen)
{
	u32 n;

	for (n = 0; n < SMALL_ENTRIES; n++) {
		enum integrity_entry_verdict v;
		u64 sector;

		v = verdict_of(s, d, at, sequence, n, &sector);
		seen[v]++;
		if (d->bad[at][n]) {
			CHECK_EQ(v, INTEGRITY_ENTRY_UNKNOWN);
		} else if (!integrity_entry_used(&s->l, s->disk[at], n)) {
			CHECK_EQ(v, INTEGRITY_ENTRY_IS_UNUSED);
		} else {
			CHECK_EQ(v, d->bad[at][8 + n] ? INTEGRITY_ENTRY_DAMAGED :
				    INTEGRITY_ENTRY_REPLAY);
			CHECK_EQ(sector, s->generation[at]);
		}
	}
}

/* Cuts an erase off; what it wrote can be read again. Then nothing is left to be replayed. */
static void check_damaged_erase(struct sim *s, struct damage *d, struct integrity_replay_plan *plan)
{
	u32 i, j, n;
	u64 sector;
	u8 q;

	erase_sim(s, plan, 1 + unit_below(2));
	for (i = 0; i < s->l.journal_sections; i++)
		for (j = 0; j < SMALL_SECTORS; j++)
			if (integrity_sector_sequence(&ids, s->disk[i], i, j, NULL) ==
			    plan->erase_sequence)
				clear_bit_of(d->unreadable[i], j);
	plan_damaged(s, d, plan);
	for (n = 0; n < plan->count && !plan->empty; n++) {
		i = integrity_replay_section(&s->l, plan, n, &q);
		for (j = 0; j < SMALL_ENTRIES; j++)
			CHECK(verdict_of(s, d, i, q, j, &sector) != INTEGRITY_ENTRY_REPLAY);
	}
}

/*
 * Damage to a journal at rest costs what was damaged and nothing else, as long as a sector of the
 * section that was written last is known.
 */
static void test_damage(void)
{
	unsigned int seen[6] = {}, sectors = 0, cut = 0, i;
	struct integrity_replay_plan plan;
	struct sim *s = malloc(sizeof(*s));
	struct batch *b = malloc(sizeof(*b));
	struct damage d;

	integrity_commit_ids_init(&ids, NULL);
	for (i = 0; i < 4000; i++) {
		u32 sections, n, at;
		u8 q;

		format_sim(s);
		sections = s->l.journal_sections;
		for (n = 1 + unit_below(5); n; n--) {
			make_batch(s, b, 1 + unit_below(sections), false);
			write_batch(s, b, false);
		}
		damage_sim(s, &d, (s->position + sections - 1) % sections,
			   unit_below(SMALL_SECTORS));
		sectors += d.count;

		plan_damaged(s, &d, &plan);
		CHECK_EQ(plan.damaged, !!d.count);
		CHECK_EQ(plan.erase, !!d.count);
		CHECK_EQ(plan.first, s->position);
		CHECK_EQ(plan.count, sections);
		for (n = 0; n < sections; n++) {
			at = integrity_replay_section(&s->l, &plan, n, &q);
			CHECK_EQ(at, (s->position + n) % sections);
			CHECK_EQ(q, (s->sequence + (at < s->position ? 0 : 3)) % 4);
			check_damaged_section(s, &d, at, q, seen);
		}

		if (plan.erase && unit_below(2)) {
			check_damaged_erase(s, &d, &plan);
			cut++;
		}
		/* After a whole erase every sector is known. */
		if (plan.erase)
			recover(s, &plan);
	}
	unit_note("%u sectors, %u blocks lost, %u replayed, %u erases cut off", sectors,
		  seen[INTEGRITY_ENTRY_DAMAGED], seen[INTEGRITY_ENTRY_REPLAY], cut);
	CHECK(seen[INTEGRITY_ENTRY_DAMAGED] > 1000 && seen[INTEGRITY_ENTRY_REPLAY] > 10000);
	free(s);
	free(b);
}

static const struct unit_test tests[] = {
	{ "journal-writer", test_writer },
	{ "journal-damage", test_damage },
};

UNIT_MAIN(tests)
