/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The journal's format, and what can be said of a journal without I/O and without a key: entries,
 * commit ids, and what a replay has to do (Documentation/on-disk-format.rst, section 4).
 *
 * @l is always a layout that integrity_layout_derive() accepted and that has a journal. @raw is
 * one whole section, journal_section_sectors * 512 bytes, decrypted; its content may be anything:
 * no function here reads or writes outside of it for whatever it holds. Numbers of sections and
 * entries are below journal_sections and journal_section_entries, sequences below
 * INTEGRITY_SEQUENCES.
 *
 * Nothing here sleeps or locks, so all of it may be called from any context; who calls it keeps
 * others off the section or the entry.
 */
#ifndef DM_INTEGRITY_JOURNAL_FORMAT_H
#define DM_INTEGRITY_JOURNAL_FORMAT_H

#include "format.h"
#include "layout.h"

#define INTEGRITY_SEQUENCES		4u
#define INTEGRITY_LAST_BYTES		8u	/* of a sector, what its commit id displaces */
#define INTEGRITY_ENTRY_LAST		8u	/* byte of an entry that they are kept from */
#define INTEGRITY_COMMIT_IDS_BYTES	32u	/* of a cipher's output that make the ids (4.7) */
#define INTEGRITY_SECTION_MAC_BYTES	\
	(INTEGRITY_JOURNAL_META_SECTORS * INTEGRITY_JOURNAL_MAC_BYTES)

/* The sequence @by (of either sign) after @sequence; they count modulo 4. */
static inline u8 integrity_sequence_add(u8 sequence, int by)
{
	return (sequence + (unsigned int)by) % INTEGRITY_SEQUENCES;
}

/* The section that is written after @section. */
static inline u32 integrity_next_section(const struct integrity_layout *l, u32 section)
{
	return section + 1 < l->journal_sections ? section + 1 : 0;
}

static inline u32 integrity_section_bytes(const struct integrity_layout *l)
{
	return l->journal_section_sectors << INTEGRITY_SECTOR_SHIFT;
}

/* --- commit ids, 4.3 --- */

/**
 * struct integrity_commit_ids - what each sequence's commit ids are made of
 * @base: of sequence 0..3, all different; as numbers
 */
struct integrity_commit_ids {
	u64 base[INTEGRITY_SEQUENCES];
};

/**
 * integrity_commit_ids_init - the base ids of a journal
 * @ids: receives them
 * @stream: INTEGRITY_COMMIT_IDS_BYTES that a stream cipher made of the plain ids, which
 * integrity_commit_ids_plain() gives (4.7); NULL without a stream cipher
 */
void integrity_commit_ids_init(struct integrity_commit_ids *ids, const u8 *stream);

/**
 * integrity_commit_ids_plain - the bytes that a stream cipher is to encrypt (4.7)
 * @bytes: receives INTEGRITY_COMMIT_IDS_BYTES
 */
void integrity_commit_ids_plain(u8 *bytes);

/**
 * integrity_commit_id - the id in sector @sector of section @section with sequence @sequence
 *
 * Return: as it is on the disk.
 */
__le64 integrity_commit_id(const struct integrity_commit_ids *ids, u32 section, u32 sector,
			   u8 sequence);

/**
 * integrity_commit_id_sequence - whose id is this
 * @id: as it is on the disk, in sector @sector of section @section
 *
 * Return: 0..3; -1 when it is the id of no sequence at that place.
 */
int integrity_commit_id_sequence(const struct integrity_commit_ids *ids, u32 section, u32 sector,
				 __le64 id);

/**
 * integrity_sector_sequence - the sequence of sector @sector of a section in memory
 * @unreadable: a bit for each sector of the section, set where it could not be read; or NULL
 *
 * Return: 0..3; -1 when the sector could not be read or its id is unknown.
 */
int integrity_sector_sequence(const struct integrity_commit_ids *ids, const u8 *raw, u32 section,
			      u32 sector, const unsigned long *unreadable);

/**
 * integrity_section_set_ids - put the commit id into every sector of a section
 *
 * Overwrites the last 8 bytes of each sector: of blocks in it these must be in their entries
 * already, see integrity_entry_fill().
 */
void integrity_section_set_ids(const struct integrity_layout *l,
			       const struct integrity_commit_ids *ids, u8 *raw, u32 section,
			       u8 sequence);

/* --- sections and entries, 4.1, 4.2, 4.5 --- */

/**
 * integrity_section_clear - make an empty section: zeros and unused entries (4.5)
 *
 * Commit ids and MAC are left to be set.
 */
void integrity_section_clear(const struct integrity_layout *l, u8 *raw);

/**
 * integrity_section_pad - mark the entries from @from to the section's last one unused
 *
 * Nothing else of them changes.
 */
void integrity_section_pad(const struct integrity_layout *l, u8 *raw, u32 from);

/**
 * integrity_section_put_mac - store a section's MAC, 8 bytes in each metadata sector (4.4)
 * @mac: INTEGRITY_SECTION_MAC_BYTES, padded with zeros or cut
 *
 * Only with a journal MAC; without one entries may lie there.
 */
void integrity_section_put_mac(u8 *raw, const u8 *mac);

/* integrity_section_get_mac - fetch what integrity_section_put_mac() stored */
void integrity_section_get_mac(const u8 *raw, u8 *mac);

/**
 * integrity_entry_offset - where entry @n begins, in bytes from the section's begin
 *
 * The 8 bytes there tell its sector; they are what the section's MAC covers (4.4).
 */
static inline u32 integrity_entry_offset(const struct integrity_layout *l, u32 n)
{
	u32 meta_sector, byte;

	integrity_journal_entry_place(l, n, &meta_sector, &byte);
	return meta_sector * INTEGRITY_SECTOR_SIZE + byte;
}

/*
 * Where entry @n keeps the last 8 bytes of each sector of its block, in bytes from the section's
 * begin.
 */
static inline u32 integrity_entry_last_offset(const struct integrity_layout *l, u32 n)
{
	return integrity_entry_offset(l, n) + INTEGRITY_ENTRY_LAST;
}

/* Where the tag of entry @n begins, in bytes from the section's begin; tag_size bytes. */
static inline u32 integrity_entry_tag_offset(const struct integrity_layout *l, u32 n)
{
	return integrity_entry_last_offset(l, n) +
	       INTEGRITY_LAST_BYTES * integrity_block_sectors(l);
}

/* Where the block of entry @n begins, in bytes from the section's begin. */
static inline u32 integrity_entry_data_offset(const struct integrity_layout *l, u32 n)
{
	return (INTEGRITY_JOURNAL_META_SECTORS + n * integrity_block_sectors(l)) *
	       INTEGRITY_SECTOR_SIZE;
}

/* Is entry @n in use; what its metadata sector's commit id says of it is not asked. */
bool integrity_entry_used(const struct integrity_layout *l, const u8 *raw, u32 n);

/* The logical sector of entry @n; meaningless when the entry is not in use. */
u64 integrity_entry_sector(const struct integrity_layout *l, const u8 *raw, u32 n);

void integrity_entry_set_sector(const struct integrity_layout *l, u8 *raw, u32 n, u64 sector);

/* Marks entry @n unused; its low word and the rest of it stay. */
void integrity_entry_set_unused(const struct integrity_layout *l, u8 *raw, u32 n);

/**
 * integrity_entry_fill - make entry @n one of the block that lies at its place in the section
 * @sector: logical sector of the block
 *
 * Copies the last 8 bytes of each sector of the block into the entry, and after that sets the
 * sector. The tag is the caller's.
 */
void integrity_entry_fill(const struct integrity_layout *l, u8 *raw, u32 n, u64 sector);

/**
 * integrity_entry_restore_data - put the last 8 bytes of each sector of block @n back where they
 * belong
 *
 * The block is contiguous plain data after that; its sectors' commit ids are gone.
 */
void integrity_entry_restore_data(const struct integrity_layout *l, u8 *raw, u32 n);

/**
 * integrity_entry_restore - the same for a copy of block @n that was taken out of the section
 * @block: block_size bytes
 */
void integrity_entry_restore(const struct integrity_layout *l, const u8 *raw, u32 n, u8 *block);

/**
 * integrity_entry_copy - copy block @n out of the section
 * @to: receives block_size bytes
 *
 * The section does not change, and it is all the same whether commit ids are already in it: what
 * the entry holds counts.
 */
void integrity_entry_copy(const struct integrity_layout *l, const u8 *raw, u32 n, void *to);

/* --- replay, 4.8 --- */

/**
 * struct integrity_section_state - what integrity_section_scan() found in a section
 * @unknown: sectors that could not be read or whose id belongs to no sequence
 * @sequences: a bit for each sequence that occurs
 * @unknown_metadata: a bit for each metadata sector that is one of @unknown. With any, the
 * section's MAC cannot be checked.
 * @used: an entry in a known metadata sector is in use
 */
struct integrity_section_state {
	u16 unknown;
	u8 sequences;
	u8 unknown_metadata;
	bool used;
};

/**
 * integrity_section_scan - look at every sector's commit id and at the entries (step 1 and 2)
 * @unreadable: a bit for each sector of the section, set where it could not be read, whatever
 * @raw holds there; or NULL
 * @state: receives the result
 */
void integrity_section_scan(const struct integrity_layout *l,
			    const struct integrity_commit_ids *ids, const u8 *raw, u32 section,
			    const unsigned long *unreadable,
			    struct integrity_section_state *state);

/**
 * enum integrity_section_fit - is this the section that a sequence of writes has at its place
 * @INTEGRITY_FIT_OTHER: no: a sector is of another sequence
 * @INTEGRITY_FIT_WHOLE: all sectors are of the sequence
 * @INTEGRITY_FIT_DAMAGED: all that are known are of the sequence, some are unknown
 * @INTEGRITY_FIT_LOST: no sector is known
 */
enum integrity_section_fit {
	INTEGRITY_FIT_OTHER,
	INTEGRITY_FIT_WHOLE,
	INTEGRITY_FIT_DAMAGED,
	INTEGRITY_FIT_LOST,
};

enum integrity_section_fit integrity_section_fit(const struct integrity_section_state *state,
						 u8 sequence);

/**
 * struct integrity_replay_plan - what a replay has to do
 * @first: the oldest section. An erase begins here too, see integrity_erase_step().
 * @count: sections in the run from @first on, see integrity_replay_section()
 * @first_sequence: of section @first, when @count is not 0
 * @empty: there is nothing to replay, nor lost, whatever @count is
 * @damaged: there is a sector in the journal that is unknown
 * @erase: when the replay is through and flushed, rewrite all sections empty with
 * @erase_sequence, in the order of integrity_erase_step()
 * @erase_sequence: with @erase
 * @next_section: where writing continues after all that
 * @next_sequence: with this sequence
 */
struct integrity_replay_plan {
	u32 first;
	u32 count;
	u32 next_section;
	u8 first_sequence;
	u8 erase_sequence;
	u8 next_sequence;
	bool empty;
	bool damaged;
	bool erase;
};

/**
 * integrity_replay_plan - find the run of sections to be replayed (steps 2-6 and 8)
 * @states: of all sections
 * @journal_mode: the device is about to be used in mode J: the journal need not be erased when
 * all of it was replayed
 * @plan: receives the plan
 *
 * A journal of which every sector is known gets what the in-tree target makes of it. Where that
 * one gives up for an unknown sector, this one loses what was in that sector: unknown sectors do
 * not count in steps 2-5. A section that is known in part belongs to the run if what is known of
 * it does. A section that is not known at all does if the run goes on behind it. After that the
 * whole journal is erased, so that it is known again.
 *
 * Return: 0; -EIO when the order cannot be told: all four sequences occur, or none. Then nothing
 * may be replayed and nothing written, and of @plan only @damaged is meaningful.
 */
int integrity_replay_plan(const struct integrity_layout *l,
			  const struct integrity_section_state *states, bool journal_mode,
			  struct integrity_replay_plan *plan);

/* Have the journal erased after all, and written from its begin. */
void integrity_replay_plan_erase(struct integrity_replay_plan *plan);

/**
 * integrity_replay_section - the @n-th section to be replayed, @n below plan->count
 * @sequence: receives the sequence that the section has in the run
 */
u32 integrity_replay_section(const struct integrity_layout *l,
			     const struct integrity_replay_plan *plan, u32 n, u8 *sequence);

#define INTEGRITY_ERASE_STEPS	3u

/**
 * integrity_erase_step - the sections of one step of an erase (step 8)
 * @first: of the plan
 * @step: 0 .. INTEGRITY_ERASE_STEPS - 1; all of a step must be durable before the next begins
 * @section: receives the first section of the step; the others follow it around the ring, see
 * integrity_next_section()
 *
 * An erase that was interrupted anywhere is found to hold nothing to be replayed. That is so once:
 * when the erase that follows is interrupted too, both times amid the same section, and the second
 * has overwritten all that the first wrote, what is left of that section may pass for whole.
 *
 * Return: the number of sections, which may be 0.
 */
u32 integrity_erase_step(const struct integrity_layout *l, u32 first, u32 step, u32 *section);

/**
 * enum integrity_entry_verdict - what a replay does with an entry (step 7)
 * @INTEGRITY_ENTRY_IS_UNUSED: nothing
 * @INTEGRITY_ENTRY_REPLAY: write it, if its tag is right
 * @INTEGRITY_ENTRY_BEYOND: ignore it, the device ends before it
 * @INTEGRITY_ENTRY_UNALIGNED: an error, beyond the end too: its sector is not a block's first
 * @INTEGRITY_ENTRY_DAMAGED: its block is lost: one of its data sectors is not of this sequence
 * @INTEGRITY_ENTRY_UNKNOWN: its metadata sector is not of this sequence, so that not even its
 * use can be known
 */
enum integrity_entry_verdict {
	INTEGRITY_ENTRY_IS_UNUSED,
	INTEGRITY_ENTRY_REPLAY,
	INTEGRITY_ENTRY_BEYOND,
	INTEGRITY_ENTRY_UNALIGNED,
	INTEGRITY_ENTRY_DAMAGED,
	INTEGRITY_ENTRY_UNKNOWN,
};

/**
 * integrity_entry_verdict - what to do with entry @n of a section of the run
 * @section: number of the section
 * @sequence: of the section in the run
 * @unreadable: as for integrity_section_scan()
 * @sector: receives the entry's logical sector; 0 when it is unused or unknown
 *
 * @l needs provided_sectors, as integrity_layout_fit() computed them for this activation. Must be
 * asked before integrity_entry_restore_data() overwrites the commit ids of the block.
 */
enum integrity_entry_verdict
integrity_entry_verdict(const struct integrity_layout *l, const struct integrity_commit_ids *ids,
			const u8 *raw, u32 section, u8 sequence, const unsigned long *unreadable,
			u32 n, u64 *sector);

#endif
