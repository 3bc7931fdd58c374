// SPDX-License-Identifier: GPL-2.0-only
/*
 * The journal's format (Documentation/on-disk-format.rst, section 4), in memory only.
 *
 * Offsets inside a section come from the layout and from the numbers that the caller gives, never
 * from what the section holds.
 */
#include "journal-format.h"

#define ALL_SEQUENCES	((1u << INTEGRITY_SEQUENCES) - 1)
#define ENTRY_HIGH_WORD	4u	/* byte of an entry's sector that the high word begins at */

static const u64 plain_ids[INTEGRITY_SEQUENCES] = {
	0x1111111111111111ULL, 0x2222222222222222ULL, 0x3333333333333333ULL, 0x4444444444444444ULL,
};

/* --- commit ids --- */

static bool is_among(const u64 *ids, unsigned int count, u64 id)
{
	while (count--)
		if (ids[count] == id)
			return true;
	return false;
}

void integrity_commit_ids_init(struct integrity_commit_ids *ids, const u8 *stream)
{
	unsigned int i;

	for (i = 0; i < INTEGRITY_SEQUENCES; i++) {
		u64 id = plain_ids[i];
		__le64 disk;

		if (stream) {
			memcpy(&disk, stream + i * sizeof(disk), sizeof(disk));
			id = le64_to_cpu(disk);
		}
		/* At most three times: there are no more to be equal to. */
		while (is_among(ids->base, i, id))
			id++;
		ids->base[i] = id;
	}
}

void integrity_commit_ids_plain(u8 *bytes)
{
	unsigned int i;

	for (i = 0; i < INTEGRITY_SEQUENCES; i++) {
		__le64 disk = cpu_to_le64(plain_ids[i]);

		memcpy(bytes + i * sizeof(disk), &disk, sizeof(disk));
	}
}

/* What makes the ids of different places different. */
static u64 place_bits(u32 section, u32 sector)
{
	return ((u64)section << 32) ^ sector;
}

static __le64 id_of(u64 base, u32 section, u32 sector)
{
	return cpu_to_le64(base ^ place_bits(section, sector));
}

__le64 integrity_commit_id(const struct integrity_commit_ids *ids, u32 section, u32 sector,
			   u8 sequence)
{
	return id_of(ids->base[sequence % INTEGRITY_SEQUENCES], section, sector);
}

int integrity_commit_id_sequence(const struct integrity_commit_ids *ids, u32 section, u32 sector,
				 __le64 id)
{
	u64 base = le64_to_cpu(id) ^ place_bits(section, sector);
	unsigned int i;

	for (i = 0; i < INTEGRITY_SEQUENCES; i++)
		if (ids->base[i] == base)
			return i;
	return -1;
}

static bool is_unreadable(const unsigned long *unreadable, u32 sector)
{
	return unreadable && (unreadable[sector / BITS_PER_LONG] >> sector % BITS_PER_LONG & 1);
}

int integrity_sector_sequence(const struct integrity_commit_ids *ids, const u8 *raw, u32 section,
			      u32 sector, const unsigned long *unreadable)
{
	__le64 id;

	if (is_unreadable(unreadable, sector))
		return -1;
	memcpy(&id, raw + sector * INTEGRITY_SECTOR_SIZE + INTEGRITY_COMMIT_ID_OFFSET, sizeof(id));
	return integrity_commit_id_sequence(ids, section, sector, id);
}

void integrity_section_set_ids(const struct integrity_layout *l,
			       const struct integrity_commit_ids *ids, u8 *raw, u32 section,
			       u8 sequence)
{
	u32 sector, sectors = l->journal_section_sectors;
	u64 base = ids->base[sequence % INTEGRITY_SEQUENCES];

	raw += INTEGRITY_COMMIT_ID_OFFSET;
	for (sector = 0; sector < sectors; sector++) {
		__le64 id = id_of(base, section, sector);

		memcpy(raw, &id, sizeof(id));
		raw += INTEGRITY_SECTOR_SIZE;
	}
}

/* --- sections and entries --- */

bool integrity_entry_used(const struct integrity_layout *l, const u8 *raw, u32 n)
{
	__le32 high;

	memcpy(&high, raw + integrity_entry_offset(l, n) + ENTRY_HIGH_WORD, sizeof(high));
	return le32_to_cpu(high) != INTEGRITY_ENTRY_UNUSED;
}

u64 integrity_entry_sector(const struct integrity_layout *l, const u8 *raw, u32 n)
{
	__le64 sector;

	memcpy(&sector, raw + integrity_entry_offset(l, n), sizeof(sector));
	return le64_to_cpu(sector);
}

void integrity_entry_set_sector(const struct integrity_layout *l, u8 *raw, u32 n, u64 sector)
{
	__le64 disk = cpu_to_le64(sector);

	memcpy(raw + integrity_entry_offset(l, n), &disk, sizeof(disk));
}

void integrity_entry_set_unused(const struct integrity_layout *l, u8 *raw, u32 n)
{
	__le32 high = cpu_to_le32(INTEGRITY_ENTRY_UNUSED);

	memcpy(raw + integrity_entry_offset(l, n) + ENTRY_HIGH_WORD, &high, sizeof(high));
}

void integrity_section_pad(const struct integrity_layout *l, u8 *raw, u32 from)
{
	for (; from < l->journal_section_entries; from++)
		integrity_entry_set_unused(l, raw, from);
}

void integrity_section_clear(const struct integrity_layout *l, u8 *raw)
{
	memset(raw, 0, integrity_section_bytes(l));
	integrity_section_pad(l, raw, 0);
}

void integrity_section_put_mac(u8 *raw, const u8 *mac)
{
	u32 j;

	for (j = 0; j < INTEGRITY_JOURNAL_META_SECTORS; j++)
		memcpy(raw + j * INTEGRITY_SECTOR_SIZE + INTEGRITY_JOURNAL_MAC_OFFSET,
		       mac + j * INTEGRITY_JOURNAL_MAC_BYTES, INTEGRITY_JOURNAL_MAC_BYTES);
}

void integrity_section_get_mac(const u8 *raw, u8 *mac)
{
	u32 j;

	for (j = 0; j < INTEGRITY_JOURNAL_META_SECTORS; j++)
		memcpy(mac + j * INTEGRITY_JOURNAL_MAC_BYTES,
		       raw + j * INTEGRITY_SECTOR_SIZE + INTEGRITY_JOURNAL_MAC_OFFSET,
		       INTEGRITY_JOURNAL_MAC_BYTES);
}

void integrity_entry_fill(const struct integrity_layout *l, u8 *raw, u32 n, u64 sector)
{
	const u8 *last = raw + integrity_entry_data_offset(l, n) + INTEGRITY_COMMIT_ID_OFFSET;
	u8 *kept = raw + integrity_entry_last_offset(l, n);
	u32 k, sectors = integrity_block_sectors(l);

	for (k = 0; k < sectors; k++) {
		memcpy(kept, last, INTEGRITY_LAST_BYTES);
		kept += INTEGRITY_LAST_BYTES;
		last += INTEGRITY_SECTOR_SIZE;
	}
	integrity_entry_set_sector(l, raw, n, sector);
}

void integrity_entry_restore(const struct integrity_layout *l, const u8 *raw, u32 n, u8 *block)
{
	const u8 *kept = raw + integrity_entry_last_offset(l, n);
	u32 k, sectors = integrity_block_sectors(l);

	block += INTEGRITY_COMMIT_ID_OFFSET;
	for (k = 0; k < sectors; k++) {
		memcpy(block, kept, INTEGRITY_LAST_BYTES);
		kept += INTEGRITY_LAST_BYTES;
		block += INTEGRITY_SECTOR_SIZE;
	}
}

void integrity_entry_restore_data(const struct integrity_layout *l, u8 *raw, u32 n)
{
	integrity_entry_restore(l, raw, n, raw + integrity_entry_data_offset(l, n));
}

void integrity_entry_copy(const struct integrity_layout *l, const u8 *raw, u32 n, void *to)
{
	memcpy(to, raw + integrity_entry_data_offset(l, n), integrity_block_bytes(l));
	integrity_entry_restore(l, raw, n, to);
}

/* --- replay --- */

void integrity_section_scan(const struct integrity_layout *l,
			    const struct integrity_commit_ids *ids, const u8 *raw, u32 section,
			    const unsigned long *unreadable, struct integrity_section_state *state)
{
	u32 sector, n;

	memset(state, 0, sizeof(*state));
	for (sector = 0; sector < l->journal_section_sectors; sector++) {
		int sequence = integrity_sector_sequence(ids, raw, section, sector, unreadable);

		if (sequence >= 0) {
			state->sequences |= 1u << sequence;
			continue;
		}
		state->unknown++;
		if (sector < INTEGRITY_JOURNAL_META_SECTORS)
			state->unknown_metadata |= 1u << sector;
	}
	for (n = 0; n < l->journal_section_entries && !state->used; n++) {
		sector = integrity_entry_offset(l, n) / INTEGRITY_SECTOR_SIZE;
		if (!(state->unknown_metadata >> sector & 1))
			state->used = integrity_entry_used(l, raw, n);
	}
}

enum integrity_section_fit integrity_section_fit(const struct integrity_section_state *state,
						 u8 sequence)
{
	if (!state->sequences)
		return INTEGRITY_FIT_LOST;
	if (state->sequences != 1u << sequence)
		return INTEGRITY_FIT_OTHER;
	return state->unknown ? INTEGRITY_FIT_DAMAGED : INTEGRITY_FIT_WHOLE;
}

/* Step 3: of the sequences that occur, some but not all of the four, the one written last. */
static u8 newest_sequence(unsigned int sequences)
{
	u8 unused = 0;

	if (sequences >> 3 & 1) {
		while (sequences >> unused & 1)
			unused++;
	} else {
		unused = 3;
		while (unused && !(sequences >> (unused - 1) & 1))
			unused--;
	}
	return integrity_sequence_add(unused, -1);
}

/* Step 6, from plan->first on. */
static u32 count_run(const struct integrity_layout *l,
		     const struct integrity_section_state *states,
		     const struct integrity_replay_plan *plan)
{
	u32 section = plan->first, count = 0, n;
	u8 want = plan->first_sequence;

	for (n = 1; n <= l->journal_sections; n++) {
		enum integrity_section_fit fit = integrity_section_fit(&states[section], want);

		if (fit == INTEGRITY_FIT_OTHER)
			break;
		/* Nothing tells whether a lost section is of the run but what comes after it. */
		if (fit != INTEGRITY_FIT_LOST)
			count = n;
		section = integrity_next_section(l, section);
		if (!section)
			want = integrity_sequence_add(want, 1);
	}
	return count;
}

int integrity_replay_plan(const struct integrity_layout *l,
			  const struct integrity_section_state *states, bool journal_mode,
			  struct integrity_replay_plan *plan)
{
	unsigned int sequences = 0;
	u8 last, want;
	u32 section;

	memset(plan, 0, sizeof(*plan));
	plan->empty = true;
	for (section = 0; section < l->journal_sections; section++) {
		sequences |= states[section].sequences;
		/* What is in metadata that is unknown nobody knows. */
		if (states[section].used || states[section].unknown_metadata)
			plan->empty = false;
		if (states[section].unknown)
			plan->damaged = true;
	}
	if (!sequences || sequences == ALL_SEQUENCES)
		return -EIO;

	last = newest_sequence(sequences);
	want = integrity_sequence_add(last, -1);

	/*
	 * Step 4. An erase writes the sequence before the wanted one, the oldest section first.
	 * Where that occurs and the wanted one does not, an erase was cut off.
	 */
	if (!(sequences >> want & 1) && (sequences >> integrity_sequence_add(want, -1) & 1))
		plan->empty = true;

	/* Step 5: the oldest section is behind the newest. */
	section = l->journal_sections - 1;
	while (!(states[section].sequences >> last & 1))
		section--;
	plan->first = integrity_next_section(l, section);
	plan->first_sequence = plan->first ? want : last;
	plan->count = count_run(l, states, plan);

	/* Step 8. What is continued has gone around the ring once, and so through its end. */
	plan->erase_sequence = integrity_sequence_add(last, -2);
	plan->next_section = plan->first;
	plan->next_sequence = integrity_sequence_add(plan->first_sequence, 1);
	if (plan->damaged || plan->count < l->journal_sections || !(journal_mode || plan->empty))
		integrity_replay_plan_erase(plan);
	return 0;
}

void integrity_replay_plan_erase(struct integrity_replay_plan *plan)
{
	plan->erase = true;
	plan->next_section = 0;
	plan->next_sequence = integrity_sequence_add(plan->erase_sequence, 1);
}

u32 integrity_replay_section(const struct integrity_layout *l,
			     const struct integrity_replay_plan *plan, u32 n, u8 *sequence)
{
	u32 behind_end = l->journal_sections - plan->first;	/* sections up to the ring's end */

	if (n < behind_end) {
		*sequence = plan->first_sequence;
		return plan->first + n;
	}
	*sequence = integrity_sequence_add(plan->first_sequence, 1);
	return n - behind_end;
}

u32 integrity_erase_step(const struct integrity_layout *l, u32 first, u32 step, u32 *section)
{
	u32 sections = l->journal_sections;

	switch (step) {
	case 0:
		*section = first;
		return 1;
	case 1:
		*section = integrity_next_section(l, first);
		return sections > 2 ? sections - 2 : 0;
	default:
		*section = first ? first - 1 : sections - 1;
		return sections > 1;
	}
}

enum integrity_entry_verdict
integrity_entry_verdict(const struct integrity_layout *l, const struct integrity_commit_ids *ids,
			const u8 *raw, u32 section, u8 sequence, const unsigned long *unreadable,
			u32 n, u64 *sector)
{
	const u32 spb = integrity_block_sectors(l);
	u32 at = integrity_entry_offset(l, n) / INTEGRITY_SECTOR_SIZE;
	u32 k;

	*sector = 0;
	if (integrity_sector_sequence(ids, raw, section, at, unreadable) != sequence)
		return INTEGRITY_ENTRY_UNKNOWN;
	if (!integrity_entry_used(l, raw, n))
		return INTEGRITY_ENTRY_IS_UNUSED;

	*sector = integrity_entry_sector(l, raw, n);
	if (*sector & (spb - 1))
		return INTEGRITY_ENTRY_UNALIGNED;
	if (*sector >= l->provided_sectors)
		return INTEGRITY_ENTRY_BEYOND;

	at = INTEGRITY_JOURNAL_META_SECTORS + n * spb;
	for (k = 0; k < spb; k++)
		if (integrity_sector_sequence(ids, raw, section, at + k, unreadable) != sequence)
			return INTEGRITY_ENTRY_DAMAGED;
	return INTEGRITY_ENTRY_REPLAY;
}
