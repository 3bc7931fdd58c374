/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The plan of a replay, written down a second time, from section 4.8 of
 * Documentation/on-disk-format.rst.
 */
#ifndef UNIT_JOURNAL_MODEL_H
#define UNIT_JOURNAL_MODEL_H

#include "journal-sections.h"

/* Of a section: the sequences that occur in it, unknown sectors, an entry in use. */
struct seen {
	unsigned int mask;
	bool unknown, used;
};

struct result {
	int error;
	bool empty, damaged, erase;
	u32 first, count, next_section;
	unsigned int want, erase_sequence, next_sequence;
};

/* Step 3's u for each set of sequences, by hand; -1: none, or all four. */
static const int unused_of[16] = {
	[0x0] = -1, [0x1] = 1, [0x2] = 2, [0x3] = 2, [0x4] = 3, [0x5] = 3, [0x6] = 3, [0x7] = 3,
	[0x8] = 0, [0x9] = 1, [0xa] = 0, [0xb] = 2, [0xc] = 0, [0xd] = 1, [0xe] = 0, [0xf] = -1,
};

/* Are the @count sections from @first on a run, with something known in the last one. */
static inline bool is_run(u32 sections, const struct seen *s, u32 first, unsigned int want,
			  u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		u32 at = (first + i) % sections;
		unsigned int wanted = (want + (first + i) / sections) % 4;

		if (s[at].mask & ~(1u << wanted))
			return false;
	}
	return !count || s[(first + count - 1) % sections].mask;
}

/*
 * 4.8, steps 2-6 and 8. With an unknown sector anywhere it is what journal-format.h promises; then
 * the sets of sequences may be empty.
 */
static inline struct result model(u32 sections, const struct seen *s, bool journal_mode)
{
	struct result r = { .empty = true };
	unsigned int all = 0, last;
	int highest = -1;
	u32 i;

	for (i = 0; i < sections; i++) {
		all |= s[i].mask;
		r.damaged |= s[i].unknown;
		r.empty &= !s[i].used;
	}
	if (unused_of[all] < 0) {
		r.error = -EIO;
		return r;
	}
	last = (unused_of[all] + 3) % 4;
	r.want = (last + 3) % 4;
	if (!(all & 1u << r.want) && all & 1u << (r.want + 3) % 4)
		r.empty = true;
	for (i = 0; i < sections; i++)
		if (s[i].mask & 1u << last)
			highest = i;
	CHECK(highest >= 0);
	r.first = highest + 1;
	if (r.first == sections) {
		r.first = 0;
		r.want = (r.want + 1) % 4;
	}
	for (r.count = sections; !is_run(sections, s, r.first, r.want, r.count); )
		r.count--;

	if (r.count == sections && !r.damaged && (journal_mode || r.empty)) {
		r.next_section = r.first;
		/* Once around the ring. */
		r.next_sequence = (r.want + 1) % 4;
	} else {
		r.erase = true;
		r.erase_sequence = (last + 2) % 4;
		r.next_sequence = (last + 3) % 4;
	}
	return r;
}

static inline void check_plan(const struct integrity_layout *l,
			      const struct integrity_section_state *states,
			      const struct seen *seen, bool journal_mode)
{
	struct result want = model(l->journal_sections, seen, journal_mode);
	struct integrity_replay_plan plan;
	u32 n;
	u8 q;

	memset(&plan, 0x5a, sizeof(plan));
	CHECK_EQ(integrity_replay_plan(l, states, journal_mode, &plan), want.error);
	CHECK_EQ(plan.damaged, want.damaged);
	if (want.error)
		return;
	CHECK_EQ(plan.empty, want.empty);
	CHECK_EQ(plan.first, want.first);
	CHECK_EQ(plan.count, want.count);
	CHECK(plan.count <= l->journal_sections);
	if (plan.count)
		CHECK_EQ(plan.first_sequence, want.want);
	for (n = 0; n < plan.count; n++) {
		CHECK_EQ(integrity_replay_section(l, &plan, n, &q),
			 (want.first + n) % l->journal_sections);
		CHECK_EQ(q, (want.want + (want.first + n) / l->journal_sections) % 4);
	}
	CHECK_EQ(plan.erase, want.erase);
	if (plan.erase)
		CHECK_EQ(plan.erase_sequence, want.erase_sequence);
	CHECK_EQ(plan.next_section, want.next_section);
	CHECK_EQ(plan.next_sequence, want.next_sequence);
}

#endif
