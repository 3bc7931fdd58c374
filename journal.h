/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The journal in memory (Documentation/on-disk-format.rst, section 4).
 *
 *   journal.c            mode J: the ring, writes into it, reads from it, commit
 *   journal-discard.c    discards, which keep out of the journal
 *   journal-writeback.c  what is committed goes to its place, and its sections are free again
 *   journal-replay.c     what is left of an earlier life, at activation; the empty journal
 *   journal-area.c       memory, cipher, MAC; reading and writing sections
 *   journal-format.c     every byte of a section; what is to be replayed. Pure
 *
 * An entry's way: a write takes entries at the end of the ring under journal.lock, which makes
 * nodes for them that nobody finds yet; copies data and tag without a lock; and publishes the
 * nodes. The commit pads the last section, waits until all entries in the sections are filled,
 * and writes them with FUA. Write-back stores tags and data of the newest committed copy of each
 * block under the block's range lock, flushes both devices, takes the nodes out of the table,
 * waits for who still copies from the sections, and lets them go.
 *
 * Who writes to a block holds no range lock: it touches only memory that is its own, and nodes of
 * one block are in the order of the ring. A read that finds a block here holds its section; one
 * that reads the disk holds the range, so that write-back of the block comes before or after.
 *
 * Order of writes: sections (FUA) before a flush is acknowledged; data and tags, and a flush of
 * both devices, before a section is written again. A crash anywhere leaves each block's data and
 * tag either at their place or in a section that is whole.
 */
#ifndef DM_INTEGRITY_JOURNAL_H
#define DM_INTEGRITY_JOURNAL_H

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/completion.h>
#include <linux/dm-io.h>
#include <linux/hash.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "journal-format.h"
#include "range.h"
#include "table.h"

struct crypto_skcipher;
struct dm_integrity_c;
struct integrity_mode;
struct scatterlist;
struct skcipher_request;

#define INTEGRITY_NODE_EMPTY	U64_MAX

/* One for each entry: section * journal_section_entries + entry. */
struct integrity_journal_node {
	struct hlist_node link;		/* in journal.table, while the entry is in use */
	u32 sector_high;		/* all ones until the entry is filled */
	u32 sector_low;			/* logical */
};

/*
 * The entry is filled: who finds the sector finds all that was stored before. Two halves, so
 * that a machine of 32 bits can publish it.
 */
static inline void integrity_node_publish(struct integrity_journal_node *node, u64 sector)
{
	WRITE_ONCE(node->sector_low, lower_32_bits(sector));
	/* Pairs with the acquire in integrity_node_sector(). */
	smp_store_release(&node->sector_high, upper_32_bits(sector));
}

/* journal.lock is held, or nobody else is there. */
static inline void integrity_node_clear(struct integrity_journal_node *node)
{
	WRITE_ONCE(node->sector_high, U32_MAX);
}

/* The logical sector, or INTEGRITY_NODE_EMPTY; journal.lock is held. */
static inline u64 integrity_node_sector(const struct integrity_journal_node *node)
{
	/* Pairs with the release in integrity_node_publish(). */
	u32 high = smp_load_acquire(&node->sector_high);

	return high == U32_MAX ? INTEGRITY_NODE_EMPTY : (u64)high << 32 | node->sector_low;
}

struct integrity_journal_section {
	atomic_t filling;		/* writes that have entries here that are not filled */
	atomic_t readers;		/* that copy from here */
};

/*
 * Where the ring stands. From @tail on there are @committed sections that are on the disk, then
 * @filled ones that are not, which take no more entries; then, if @fill_entry is not 0, the one
 * that is being filled; the rest is free. What is free begins at entry @fill_entry of
 * @fill_section, which will be written with @fill_sequence.
 */
struct integrity_journal_ring {
	u32 tail;
	u32 committed;
	u32 filled;
	u32 fill_section;
	u32 fill_entry;
	u8 fill_sequence;
	u64 free;			/* entries */
};

struct integrity_journal {
	u8 *area;			/* all sections, decrypted; NULL without a journal in use */
	struct bio_vec *vecs;		/* of @area, one a page */
	struct integrity_commit_ids ids;
	struct integrity_section_state *state;	/* of each section, for the replay only */
	struct integrity_journal_section *section;
	struct integrity_journal_node *node;
	struct hlist_head *table;	/* nodes by block, the newest first */
	unsigned int table_bits;
	u64 threshold;			/* with so few free entries, write back */

	spinlock_t lock;		/* guards all below; taken with interrupts off */
	struct integrity_journal_ring ring;
	u64 nodes;			/* in @table */
	u64 retired;			/* sections that were written back, ever */
	bool reclaiming;		/* commit and write-back for room are under way */
	struct list_head waiting[2];	/* for room, oldest first: small ios, large ones */
	bool large_next;		/* whose turn it is */
	bool called;			/* the first was, and has not taken its room */
	struct list_head discards_waiting;	/* for their blocks' copies to be written back */
	struct list_head discards_unflushed;	/* whose tags are to be flushed */

	struct mutex commit_lock;	/* who writes sections; guards @written and the cipher */
	bool written;			/* since the journal on the disk was last made empty */
	u64 lost;			/* entries that could not be replayed */
	wait_queue_head_t wait;		/* for @filling and @readers to become 0 */
	struct work_struct discard_work;	/* on flush_wq */
	struct work_struct writeback_work;
	struct workqueue_struct *writeback_wq;
	struct bio_set bios;		/* runs; what has ended may stay in a cache of a CPU */
	struct bio_set reserve;		/* runs that were not to be had there, and sections */
	u64 *key;			/* room for those of one section */
	u8 *spare;			/* a section, for a mode that only leaves a journal */

	/* journal_crypt */
	struct crypto_skcipher *cipher;	/* or NULL */
	struct skcipher_request *request;
	u8 *stream;			/* keystream for the area, of a stream cipher */
	size_t stream_bytes;
	u8 *scratch;			/* one section as it is on the disk */
	u8 *iv;				/* room to make a section's IV in */
	struct scatterlist *sg;		/* of @scratch */
};

/* The list of nodes that the block at @sector is in. */
static inline struct hlist_head *integrity_journal_bucket(const struct integrity_layout *l,
							  const struct integrity_journal *j,
							  u64 sector)
{
	return &j->table[hash_64(sector >> l->log2_sectors_per_block, j->table_bits)];
}

/* Before anything can fail. */
void integrity_journal_setup(struct dm_integrity_c *ic);

/**
 * integrity_journal_init - allocate the journal's memory and cipher, in the constructor
 * @crypt: journal_crypt of the table
 *
 * Needs the layout and the salt of the volume. Context: may sleep. Return: 0; an error with a
 * sentence in @why.
 */
int integrity_journal_init(struct dm_integrity_c *ic, const struct integrity_alg_param *crypt,
			   char *why, size_t why_size);
void integrity_journal_exit(struct dm_integrity_c *ic);

/* Free the memory, when the replay is through and the mode has no journal. */
void integrity_journal_release(struct dm_integrity_c *ic);

/**
 * integrity_journal_format - write the complete empty journal of a new volume (section 4.5), or
 * one in place of a bitmap; durable on return
 *
 * Context: may sleep; nobody uses the journal. Return: 0 or an error.
 */
int integrity_journal_format(struct dm_integrity_c *ic);

/**
 * integrity_journal_restart - the same, and go on with it if the mode keeps a journal
 */
int integrity_journal_restart(struct dm_integrity_c *ic);

/**
 * integrity_journal_replay - bring what the journal holds to its place (section 4.8), at the
 * first resume of a table
 *
 * Damage costs what is damaged: that is logged and counted in journal.lost. Context: may sleep.
 * Return: 0; an error with a sentence in @why when the volume cannot be used.
 */
int integrity_journal_replay(struct dm_integrity_c *ic, char *why, size_t why_size);

/**
 * integrity_journal_activated - free what only the first activation needs, which has succeeded
 *
 * Until then another try may have to replay again. At later ones it finds nothing to do.
 */
void integrity_journal_activated(struct dm_integrity_c *ic);

/**
 * integrity_journal_may_go_on - may what looks at all sections go on, asked between two of them
 *
 * A superblock may name millions: who activates can give up, and the next activation begins anew.
 * Context: may sleep. Return: 0 or -EINTR.
 */
int integrity_journal_may_go_on(void);

/**
 * integrity_journal_check_keys - is the journal of the table's hash and keys (journal-keys.c)
 * @plan: gets an erase where a section's MAC does not match
 *
 * Changes nothing. Context: may sleep. Return: 0; -EILSEQ, or another error, with a sentence in
 * @why when nothing may be replayed.
 */
int integrity_journal_check_keys(struct dm_integrity_c *ic, struct integrity_replay_plan *plan,
				 char *why, size_t why_size);

/**
 * integrity_journal_compare_entry - does the tag of entry @n match its block
 * @sector: that the entry names
 * @block: the block, whole, see integrity_entry_copy()
 *
 * Context: any that may use the hash. Return: 0, -EILSEQ or the hash's error.
 */
int integrity_journal_compare_entry(struct dm_integrity_c *ic, const u8 *raw, u32 n, u64 sector,
				    const u8 *block);

/* Make the journal on the disk empty; nothing is in it in memory. Return: 0 or an error. */
int integrity_journal_clear(struct dm_integrity_c *ic);

/**
 * integrity_journal_commit - make all writes durable that were acknowledged so far
 *
 * Context: may sleep for journal I/O. Return: 0 or an error.
 */
int integrity_journal_commit(struct dm_integrity_c *ic);

/* Room is wanted: commit and write back. Context: journal.lock is held. */
void integrity_journal_reclaim(struct dm_integrity_c *ic);

/* Does an io wait for room. Context: journal.lock is held. */
static inline bool integrity_journal_waited_for(const struct integrity_journal *j)
{
	return !list_empty(&j->waiting[false]) || !list_empty(&j->waiting[true]);
}

/* Let the ios that wait for room have it, in their order. Context: journal.lock is held. */
void integrity_journal_wake(struct dm_integrity_c *ic);

/* --- journal-discard.c --- */

struct integrity_io;

/* Mode J's way of a discard. Context: as integrity_mode.discard. */
int integrity_journal_discard(struct integrity_io *io);

/* A write-back has ended. Context: journal.lock is held. */
void integrity_journal_wake_discards(struct dm_integrity_c *ic);

void integrity_journal_discard_setup(struct dm_integrity_c *ic);

/* --- journal-writeback.c --- */

/*
 * An entry of the section in work, to be written to a logical sector: sorts by place, and by age
 * for one place. Both fit: see INTEGRITY_MAX_DEVICE_SECTORS; and of entries a sector of metadata
 * holds at most 21.
 */
#define INTEGRITY_KEY_ENTRY_BITS	8

static inline u64 integrity_writeback_key(u64 sector, u32 n)
{
	return sector << INTEGRITY_KEY_ENTRY_BITS | n;
}

static inline u64 integrity_writeback_sector(u64 key)
{
	return key >> INTEGRITY_KEY_ENTRY_BITS;
}

static inline u32 integrity_writeback_entry(u64 key)
{
	return key & ((1u << INTEGRITY_KEY_ENTRY_BITS) - 1);
}

struct integrity_writeback {
	struct dm_integrity_c *ic;
	u32 section;			/* in work */
	struct bio_list batch;		/* of runs whose ranges are held, not yet sent */
	u64 entries;			/* that were written */
	atomic_t pending;
	struct completion done;
	struct completion granted;	/* of the one range that is waited for */
	int error;
};

/* Consecutive blocks; in front of the bio that writes them. */
struct integrity_writeback_run {
	struct integrity_writeback *wb;
	const u64 *key;			/* as long as the run is in the batch */
	u32 count;
	int error;
	struct integrity_range range;
	struct bio bio;
};

void integrity_writeback_begin(struct integrity_writeback *wb, struct dm_integrity_c *ic);

/**
 * struct integrity_writeback_source - which entries of a section are to be written
 * @take: find them in wb->section, in order; their keys. Return: how many
 * @drop: when of several for one block only the last is left, and they are sorted, look again at
 * @count of them. Return: how many are left. May be NULL
 */
struct integrity_writeback_source {
	u32 (*take)(struct integrity_writeback *wb, u64 *key);
	u32 (*drop)(struct integrity_writeback *wb, u64 *key, u32 count);
};

/**
 * integrity_writeback_section - write entries of a section to their places
 * @source: says which. Of several entries for one block the last is written
 *
 * A block's data is contiguous in the section after integrity_entry_restore_data(), which is called
 * for each block that is written. Holds the ranges of the blocks while it writes. One caller at a
 * time. Context: may sleep.
 */
void integrity_writeback_section(struct integrity_writeback *wb, u32 section,
				 const struct integrity_writeback_source *source);

/* Wait for the data, then make data and tags durable. Return: 0 or the first error. */
int integrity_writeback_end(struct integrity_writeback *wb);

/* The work function of journal.writeback_work: commit, and write back what is committed. */
void integrity_journal_writeback(struct work_struct *work);

/* --- journal-area.c --- */

static inline u8 *integrity_journal_raw(const struct integrity_layout *l,
					const struct integrity_journal *j, u32 section)
{
	return j->area + (size_t)section * integrity_section_bytes(l);
}

/* Of the page that holds @p, which is in the area; those of the pages behind it follow. */
static inline struct bio_vec *integrity_journal_vec(const struct integrity_journal *j, const u8 *p)
{
	return &j->vecs[(p - j->area) >> PAGE_SHIFT];
}

/* Make @bytes at @p, which are in the area, what the bio has; it was allocated without vectors. */
static inline void integrity_journal_set_vecs(const struct integrity_journal *j, struct bio *bio,
					      const u8 *p, unsigned int bytes)
{
	bio->bi_io_vec = integrity_journal_vec(j, p);
	bio->bi_vcnt = DIV_ROUND_UP(offset_in_page(p) + bytes, PAGE_SIZE);
	bio->bi_iter.bi_bvec_done = offset_in_page(p);
	bio->bi_iter.bi_size = bytes;
}

/**
 * integrity_sections_write - write sections with FUA, encrypted where there is a cipher
 * @count: the ring is followed around its end
 *
 * Context: may sleep; journal.commit_lock is held, or nobody else is there yet. Return: 0 or an
 * error.
 */
int integrity_sections_write(struct dm_integrity_c *ic, u32 first, u32 count);

/**
 * integrity_section_read - read and decrypt a section
 *
 * A sector that cannot be read, and what its loss makes unreadable, gets a commit id that belongs
 * to no sequence. Context: may sleep. Return: 0; the error of the cipher.
 */
int integrity_section_read(struct dm_integrity_c *ic, u32 section);

/* Commit ids and MAC of a section that is complete at @raw. Return: 0 or the hash's error. */
int integrity_section_seal(struct dm_integrity_c *ic, u8 *raw, u32 section, u8 sequence);

/* Does the section's MAC match. Return: 0; -EILSEQ; an error of the hash. Without a MAC: 0. */
int integrity_section_check_mac(struct dm_integrity_c *ic, u32 section);

extern const struct integrity_mode integrity_mode_journal;

#endif
