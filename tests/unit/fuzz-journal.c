// SPDX-License-Identifier: GPL-2.0-only
/*
 * Any bytes as a journal of a few small sections: scanned, planned, every entry judged and read
 * out, nothing outside of the sections touched; and an erase that is cut off anywhere leaves
 * nothing to be replayed.
 */
#include <stdlib.h>

#include "../../journal-format.h"
#include "unit.h"

#define MUST(cond) do {								\
	if (!(cond)) {								\
		fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
		abort();							\
	}									\
} while (0)

#define MAX_SECTIONS	6u
#define MAX_SECTORS	392u	/* of a section */
#define BITMAP_LONGS	((MAX_SECTORS + BITS_PER_LONG - 1) / BITS_PER_LONG)

/*
 * What a fuzzed input begins with; little-endian, 48 bytes. With FLAG_MAP a byte follows for each
 * sector of each section, see put_map(). The rest are the sections, one after the other, as many
 * zeros as are missing.
 */
struct input {
	u8 tag_size;		/* less one */
	u8 log2_sectors_per_block;
	u8 sections;		/* less one */
	u8 flags;
	u32 erase_cut;		/* sectors written by an erase before it is cut off */
	u64 provided_sectors;
	u8 stream[32];
} __packed;

#define FLAG_MAC	0x01
#define FLAG_STREAM	0x02	/* ids made of @stream */
#define FLAG_MAP	0x04
#define FLAG_MODE_J	0x08

/* A sector's byte in the map: the sequence of its id, unless that is to stay what it is. */
#define MAP_AS_IT_IS	0x04
#define MAP_UNREADABLE	0x08

struct journal {
	struct integrity_layout l;
	struct integrity_commit_ids ids;
	u32 size;		/* bytes of a section */
	u8 *raw[MAX_SECTIONS];	/* each in memory of its own, guarded by ASan */
	unsigned long unreadable[MAX_SECTIONS][BITMAP_LONGS];
	struct integrity_section_state states[MAX_SECTIONS];
	bool journal_mode;
	u8 *block;
};

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void put_map(struct journal *j, u32 section, u32 sector, u8 map)
{
	__le64 id = integrity_commit_id(&j->ids, section, sector, map & 3);

	if (!(map & MAP_AS_IT_IS))
		memcpy(j->raw[section] + sector * 512 + 504, &id, sizeof(id));
	if (map & MAP_UNREADABLE)
		j->unreadable[section][sector / BITS_PER_LONG] |= 1ul << sector % BITS_PER_LONG;
}

static bool load(struct journal *j, const u8 *data, size_t size)
{
	struct input in;
	u32 section, sector;
	size_t part;

	if (size < sizeof(in))
		return false;
	memcpy(&in, data, sizeof(in));
	data += sizeof(in);
	size -= sizeof(in);

	memset(j, 0, sizeof(*j));
	j->l.tag_size = 1 + in.tag_size % 255;
	j->l.log2_sectors_per_block = in.log2_sectors_per_block & 3;
	j->l.journal_sections = 1 + in.sections % MAX_SECTIONS;
	j->l.journal_mac = in.flags & FLAG_MAC;
	j->l.log2_interleave = 3;
	MUST(integrity_layout_derive(&j->l) == 0);
	j->l.provided_sectors = le64_to_cpu(in.provided_sectors) & ~7ull;
	j->journal_mode = in.flags & FLAG_MODE_J;
	integrity_commit_ids_init(&j->ids, in.flags & FLAG_STREAM ? in.stream : NULL);
	j->size = integrity_section_bytes(&j->l);
	MUST(j->l.journal_section_sectors <= MAX_SECTORS);

	part = 0;
	if (in.flags & FLAG_MAP)
		part = j->l.journal_sections * j->l.journal_section_sectors;
	if (size < part)
		return false;
	size -= part;
	for (section = 0; section < j->l.journal_sections; section++) {
		size_t skip = (size_t)section * j->size;
		size_t here = size > skip ? min(size - skip, (size_t)j->size) : 0;

		j->raw[section] = calloc(1, j->size);
		memcpy(j->raw[section], data + part + (here ? skip : 0), here);
		if (!part)
			continue;
		for (sector = 0; sector < j->l.journal_section_sectors; sector++)
			put_map(j, section, sector,
				data[section * j->l.journal_section_sectors + sector]);
	}
	j->block = malloc(integrity_block_bytes(&j->l));
	return true;
}

static int make_plan(struct journal *j, struct integrity_replay_plan *plan)
{
	const u32 sections = j->l.journal_sections;
	struct integrity_section_state *state = j->states;
	bool unknown = false, used = false;
	unsigned int sequences = 0;
	u32 i, n;
	int r;
	u8 q;

	for (i = 0; i < sections; i++, state++) {
		integrity_section_scan(&j->l, &j->ids, j->raw[i], i, j->unreadable[i], state);
		MUST(state->unknown <= j->l.journal_section_sectors);
		MUST(!state->unknown_metadata || state->unknown);
		MUST(state->sequences < 16);
		MUST(!state->sequences == (state->unknown == j->l.journal_section_sectors));
		MUST(!state->used || state->unknown_metadata != 0xff);
		sequences |= state->sequences;
		unknown |= state->unknown;
		used |= state->used || state->unknown_metadata;
	}

	r = integrity_replay_plan(&j->l, j->states, j->journal_mode, plan);
	MUST(r == (!sequences || sequences == 15 ? -EIO : 0));
	MUST(plan->damaged == unknown);
	if (r)
		return r;
	MUST(plan->count <= sections && plan->first < sections && plan->next_section < sections);
	MUST(plan->first_sequence < 4 && plan->erase_sequence < 4 && plan->next_sequence < 4);
	MUST(plan->empty || used);
	MUST(plan->erase || (!unknown && plan->count == sections));
	for (n = 0; n < plan->count; n++) {
		enum integrity_section_fit fit;

		i = integrity_replay_section(&j->l, plan, n, &q);
		MUST(i == (plan->first + n) % sections && q < 4);
		fit = integrity_section_fit(&j->states[i], q);
		MUST(fit != INTEGRITY_FIT_OTHER);
		MUST(fit == INTEGRITY_FIT_WHOLE || unknown);
		MUST(fit != INTEGRITY_FIT_LOST || n + 1 < plan->count);
	}
	return 0;
}

/* How many entries of the run would be replayed. Reads all of them out, whatever their verdict. */
static u32 judge(struct journal *j, const struct integrity_replay_plan *plan)
{
	u32 replayed = 0, i, n, e;
	u8 mac[INTEGRITY_SECTION_MAC_BYTES];
	u64 sector;
	u8 q;

	for (n = 0; n < plan->count && !plan->empty; n++) {
		i = integrity_replay_section(&j->l, plan, n, &q);
		integrity_section_get_mac(j->raw[i], mac);
		for (e = 0; e < j->l.journal_section_entries; e++) {
			integrity_entry_copy(&j->l, j->raw[i], e, j->block);
			switch (integrity_entry_verdict(&j->l, &j->ids, j->raw[i], i, q,
							j->unreadable[i], e, &sector)) {
			case INTEGRITY_ENTRY_REPLAY:
				replayed++;
				MUST(sector < j->l.provided_sectors);
				MUST(!(sector & (integrity_block_sectors(&j->l) - 1)));
				MUST(sector == integrity_entry_sector(&j->l, j->raw[i], e));
				break;
			case INTEGRITY_ENTRY_DAMAGED:
				MUST(sector < j->l.provided_sectors);
				MUST(j->states[i].unknown);
				break;
			case INTEGRITY_ENTRY_UNKNOWN:
				MUST(!sector && j->states[i].unknown_metadata);
				break;
			case INTEGRITY_ENTRY_BEYOND:
				MUST(sector >= j->l.provided_sectors);
				break;
			case INTEGRITY_ENTRY_UNALIGNED:
				MUST(sector & (integrity_block_sectors(&j->l) - 1));
				break;
			case INTEGRITY_ENTRY_IS_UNUSED:
				MUST(!sector);
				break;
			}
		}
	}
	return replayed;
}

/* Writes an erase's sectors until @cut of them are written; returns whether it came to its end. */
static bool erase(struct journal *j, const struct integrity_replay_plan *plan, u32 cut)
{
	u8 *empty = malloc(j->size);
	u32 step, n, at, sector, written = 0;

	integrity_section_clear(&j->l, empty);
	for (step = 0; step < INTEGRITY_ERASE_STEPS; step++) {
		n = integrity_erase_step(&j->l, plan->first, step, &at);
		for (; n; n--, at = integrity_next_section(&j->l, at)) {
			MUST(at < j->l.journal_sections);
			integrity_section_set_ids(&j->l, &j->ids, empty, at, plan->erase_sequence);
			for (sector = 0; sector < j->l.journal_section_sectors; sector++) {
				if (written++ >= cut) {
					free(empty);
					return false;
				}
				memcpy(j->raw[at] + 512 * sector, empty + 512 * sector, 512);
				j->unreadable[at][sector / BITS_PER_LONG] &=
					~(1ul << sector % BITS_PER_LONG);
			}
		}
	}
	free(empty);
	return true;
}

/* Sections are plain memory too: filled, restored, padded, cleared at its ends and nowhere else. */
static void handle(struct journal *j)
{
	const u32 last = j->l.journal_section_entries - 1;
	u8 mac[INTEGRITY_SECTION_MAC_BYTES] = {};
	u8 *raw = j->raw[0];

	integrity_entry_copy(&j->l, raw, last, j->block);
	integrity_entry_restore_data(&j->l, raw, last);
	MUST(!memcmp(j->block, raw + integrity_entry_data_offset(&j->l, last),
		     integrity_block_bytes(&j->l)));
	integrity_entry_fill(&j->l, raw, last, 8);
	MUST(integrity_entry_used(&j->l, raw, last));
	MUST(integrity_entry_sector(&j->l, raw, last) == 8);
	MUST(integrity_entry_tag_offset(&j->l, last) + j->l.tag_size <=
	     (j->l.journal_mac ? 8 * 512 - 16 : 8 * 512 - 8));
	integrity_section_put_mac(raw, mac);
	integrity_section_pad(&j->l, raw, last);
	MUST(!integrity_entry_used(&j->l, raw, last));
	integrity_section_set_ids(&j->l, &j->ids, raw, 0, 3);
	integrity_section_clear(&j->l, raw);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct integrity_replay_plan plan, after;
	struct journal j;
	struct input in;
	u32 i, newest;
	bool done;

	if (!load(&j, data, size))
		return 0;
	memcpy(&in, data, sizeof(in));
	if (make_plan(&j, &plan))
		goto out;
	judge(&j, &plan);

	/*
	 * What an erase promises when it is cut off holds for journals that a writer can leave: the
	 * section of the newest sequence, the last to be erased, has no sector of the erase's own.
	 */
	newest = plan.first ? plan.first - 1 : j.l.journal_sections - 1;
	done = j.states[newest].sequences >> plan.erase_sequence & 1;
	if (plan.erase && !done) {
		u32 total = j.l.journal_sections * j.l.journal_section_sectors;
		u32 cut = 1 + le32_to_cpu(in.erase_cut) % total;

		done = erase(&j, &plan, cut);
		MUST(done == (cut == total));
		MUST(!make_plan(&j, &after));
		MUST(!judge(&j, &after));
		if (done) {
			MUST(after.empty && !after.erase && !after.damaged);
			MUST(after.count == j.l.journal_sections);
			MUST(after.next_section == plan.next_section);
			MUST(after.next_sequence == plan.next_sequence);
		}
	}
out:
	handle(&j);
	for (i = 0; i < j.l.journal_sections; i++)
		free(j.raw[i]);
	free(j.block);
	return 0;
}
