/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The integrity device in memory, and every interface between the files of the module.
 *
 * What each file owns:
 *   dm-integrity.c  the target: constructor and destructor, suspend and resume, limits, status
 *   superblock.c    the superblock's image; its only reader and writer
 *   tags.c          computing a block's tag; the tag area through dm-bufio
 *   range.c         range locks
 *   io.c            a bio's way: checks, verification, recheck, flush, completion
 *   payload.c       tags that come with a bio, for volumes without internal_hash
 *   direct.c        mode D
 *   journal*.c      mode J and every replay, see journal.h
 *   bitmap*.c       mode B, see bitmap.h
 *   inline.c        mode I
 *   recovery.c      mode R
 *   activate.c      what a resume makes of what is on the disk
 *   workers.c       the engine of the background pass: workers, chunks, pace, buffers
 *   recalc.c        recalculation, its first action; control of the pass, messages, status
 *   check.c         check, its second action; the list of bad blocks
 *
 * Lock order, outermost first: recalc.control, then journal.commit_lock, sb.lock or
 * tags.flush_lock, of which no two are ever held together, then the spinlocks recalc.lock,
 * check.lock, ranges.lock, flush.lock, journal.lock, likewise; but bitmap.lock may be taken under
 * recalc.lock. A worker of the pass never takes recalc.control, because who holds it may be waiting
 * for the workers to stop.
 *
 * Workqueues, and why none can wait for itself:
 *   io_wq     steps of foreground I/O. They sleep for metadata I/O (dm-bufio), for a recheck's
 *             read, and at a mismatch for tags.flush_lock, never for a range or for other work.
 *   large_wq  the same of ios that are not small; unbound, a few for each CPU.
 *   flush_wq  flushes, commits of the journal and the commit timer. They sleep for device I/O,
 *             for each other (journal.commit_lock, tags.flush_lock), and a commit for a write that
 *             is copying into the journal, which sleeps for nothing.
 *   journal.writeback_wq  commit for room in the journal, and write-back. It sleeps as a commit
 *             does, for ranges, for device I/O, and for a reader that is copying from the journal.
 *             Nothing that holds a range waits for it.
 *   bitmap.wq the periodic flush of the bitmap. It sleeps for device I/O, and for writes in flight,
 *             which never wait for it; but at reboot, when they hold and count for nothing any
 *             more.
 *   inline.wq waits for the memory that a bio of mode I needs for its tags. It sleeps until one of
 *             those that have it ends, which is up to the device and to the first two.
 *   pass_wq   workers of the background pass. They sleep for ranges, which foreground I/O holds
 *             and releases from the first two or from interrupts.
 */
#ifndef DM_INTEGRITY_H
#define DM_INTEGRITY_H

#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <linux/bio.h>
#include <linux/blk-integrity.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/device-mapper.h>
#include <linux/dm-bufio.h>
#include <linux/dm-io.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "badlist.h"
#include "compat/compat.h"
#include "bitmap.h"
#include "format.h"
#include "journal.h"
#include "layout.h"
#include "pass.h"
#include "range.h"
#include "table.h"
#include "tags.h"

#define DM_MSG_PREFIX "integrity"

struct dm_integrity_c;
struct integrity_io;
struct integrity_pass_worker;

/* --- superblock.c --- */

struct integrity_sb {
	struct mutex lock;		/* guards both and orders writes */
	struct integrity_superblock *image;	/* flags may be read without the lock */
	void *scratch;			/* what was read, or is to be written */
	/* What the next store says; changed only while no pass runs. */
	bool bitmap_in_use;		/* SB_FLAG_DIRTY_BITMAP */
	bool discard_keyed;		/* SB_FLAG_DISCARD_KEYED */
	u8 log2_blocks_per_bit;
};

int integrity_sb_init(struct dm_integrity_c *ic);
void integrity_sb_exit(struct dm_integrity_c *ic);

/**
 * integrity_sb_load - read the superblock in the constructor
 * @blank: set when all of its 4096 bytes are zero, that is when the volume is to be formatted; in
 * mode R when there is none, also none that can be read, and one has to be made up (section 1.6)
 * @why: a sentence, on error
 *
 * Checks the MAC when there is one (section 1.5), before anything else of the superblock is
 * believed; in mode R not.
 *
 * Context: may sleep. Return: 0; -EILSEQ for a wrong MAC; -EINVAL for neither magic nor zeros;
 * an I/O error.
 */
int integrity_sb_load(struct dm_integrity_c *ic, bool *blank, char *why, size_t why_size);

/**
 * integrity_sb_reload - read the superblock again at resume; another table may have been live
 * since the constructor
 *
 * Validates it again and demands that it is still the same volume. Context: may sleep.
 * Return: as integrity_sb_load(), or -EINVAL when the volume changed; @why says what.
 */
int integrity_sb_reload(struct dm_integrity_c *ic, char *why, size_t why_size);

/**
 * integrity_sb_store - bring the image up to date and write it, with version, MAC and FUA
 * (sections 1.3, 1.5, 1.7)
 * @recalculating: SB_FLAG_RECALCULATING
 * @recalc_sector: logical sector
 *
 * provided_data_sectors is taken from ic->layout, what concerns the bitmap from ic->sb. The caller
 * has seen to it that what the superblock promises is stable on the disk. Context: may sleep.
 * Return: 0 or the write's error.
 */
int integrity_sb_store(struct dm_integrity_c *ic, bool recalculating, u64 recalc_sector);

u32 integrity_sb_flags(struct dm_integrity_c *ic);
u64 integrity_sb_recalc_sector(struct dm_integrity_c *ic);

/* --- io.c --- */

/* What a bio was before it was sent on to the data device. */
struct integrity_bio_details {
	struct block_device *bdev;
	struct bvec_iter iter;
	bio_end_io_t *end_io;
	blk_opf_t opf;
	struct bio_integrity_payload *integrity;
};

/* What an io has in mode I. */
struct integrity_inline_io {
	u8 *tuples;			/* its blocks' metadata */
	bool reserved;			/* a page of the reserve */
	struct compat_payload payload;	/* ends with an array: last */
};

/* A read whose tags fit in here takes a copy of them along. */
#define INTEGRITY_IO_TAG_BYTES	128

/*
 * Small ios take the short way: no work item, no second hop. They are not larger than this where
 * there is something to hash. A worker hashes what is, and meanwhile the submitter sends the next
 * one, from another CPU; less is hashed before a worker would have begun.
 */
#define INTEGRITY_SMALL_SECTORS	32u

/**
 * struct integrity_io - a bio on its way through the target; device-mapper's per-bio data
 */
struct integrity_io {
	/* zero at first */
	u32 done;			/* sectors that are in the journal */
	u32 verify;			/* sectors from @sector on to be verified */
	u32 bitmap_write;		/* of a block of it, that a write waits for */
	int error;			/* 0, or the first errno; -EILSEQ is a mismatch */
	bool fua;
	bool counted;			/* in recalc.foreground, until it ends or is passed on */
	bool mixed;			/* a read, part of which is in the journal */
	u8 epoch;			/* of the bitmap, that a write counts in */
	u32 sectors;

	struct dm_integrity_c *ic;
	struct bio *bio;		/* that this is the data of */
	u64 sector;			/* logical */
	struct integrity_range range;
	struct work_struct work;	/* runs @step on io_wq or large_wq */
	void (*step)(struct integrity_io *io);
	/* data and tags are; the range is held */
	void (*written)(struct integrity_io *io);
	atomic_t pending;		/* parts of the current step still to come */
	struct integrity_bio_details saved;
	struct list_head flush_list;
	union {
		/* of a small io: stored (read) or made (write) */
		u8 tags[INTEGRITY_IO_TAG_BYTES];
		struct integrity_inline_io in;	/* mode I */
		u64 until;			/* of a discard in mode J: journal.retired */
	};
};

static inline struct bio *integrity_io_bio(struct integrity_io *io)
{
	return io->bio;
}

/**
 * struct integrity_mode - what the modes do differently; no other file asks which mode it is
 * @letter: J D B I R
 * @keeps_journal: the journal goes on being used after the replay
 * @read: takes over an io whose range and alignment were checked; in the map function's context:
 * never waits for a range, for I/O or for other work (a mutex of dm-bufio it may meet). Returns a
 * DM_MAPIO_* code.
 * @write: likewise
 * @discard: likewise; the bio has no data. NULL where the mode has none
 * @flush: makes everything durable that was acknowledged so far (section 9). May sleep. Return: 0
 * or an error
 * @commit: the time of commit_time is over. On flush_wq. Return: 0 or an error, which has failed
 * the device
 * @stop: the device is suspended, nothing is in flight: leave the disk clean. Return: 0 or an
 * error
 * @failed: the device has failed, end what is waiting. Any context. May be NULL
 * @overlay: a mixed read (see io->mixed): copy the block at @sector from where it is newer than on
 * the disk to the bio at @iter, and say whether it was there. May be NULL
 * @as_it_is: nothing on the disk is to be believed, put right or written
 * @inline_tags: and the next three: tags come and go with the data, and there is neither a tag area
 * nor a journal
 * @pass_read: read data of the pass to the worker's pages, from the first on, and its tuples. May
 * sleep. Return: 0 or an error
 * @pass_write: write what was read from @base on, [sector, sector + sectors) of it. May sleep.
 * Return: 0 or an error
 * @read_again: read a block once more, its data to @page, its tuple to where @cur finds it. May
 * sleep. Return: 0 or an error
 * @keeps_bitmap: and all of the following, with which the pass has only to do what is dirty. Any
 * context
 * @reboot: the machine goes down: as @flush, and leave as little dirty as can be. May sleep
 * @known: how many of the sectors from @sector on, beyond the mark of the pass, have valid tags all
 * the same
 * @pass_run: how many sectors from @sector on are alike; sets @skip when their tags are valid
 * @pass_moved: all tags of [from, to) are valid now
 * @pass_reset: a pass is to make all tags again; durable on return. May sleep. Return: 0 or an
 * error
 * @pass_given_up: the tags are as good as they will be
 */
struct integrity_mode {
	char letter;
	bool keeps_journal;
	bool keeps_bitmap;
	bool as_it_is;
	bool inline_tags;
	int (*read)(struct integrity_io *io);
	int (*write)(struct integrity_io *io);
	int (*discard)(struct integrity_io *io);
	int (*flush)(struct dm_integrity_c *ic);
	int (*commit)(struct dm_integrity_c *ic);
	int (*stop)(struct dm_integrity_c *ic);
	void (*failed)(struct dm_integrity_c *ic);
	bool (*overlay)(struct integrity_io *io, u64 sector, struct bvec_iter iter);
	void (*reboot)(struct dm_integrity_c *ic);
	u64 (*known)(struct dm_integrity_c *ic, u64 sector, u64 sectors);
	u64 (*pass_run)(struct dm_integrity_c *ic, u64 sector, bool *skip);
	void (*pass_moved)(struct dm_integrity_c *ic, u64 from, u64 to);
	int (*pass_reset)(struct dm_integrity_c *ic);
	void (*pass_given_up)(struct dm_integrity_c *ic);
	int (*pass_read)(struct integrity_pass_worker *w, u64 sector, u64 sectors);
	int (*pass_write)(struct integrity_pass_worker *w, u64 base, u64 sector, u64 sectors);
	int (*read_again)(struct integrity_tag_cursor *cur, u64 sector, struct page *page);
};

extern const struct integrity_mode integrity_mode_direct;
extern const struct integrity_mode integrity_mode_recovery;
extern const struct integrity_mode integrity_mode_inline;

/* --- direct.c --- */

/* Mode D's way of a read. Context: as integrity_mode.read. */
int integrity_direct_read(struct integrity_io *io);

/*
 * Mode D's way of a write: takes the range, stores data and tags, and calls io->written. Context:
 * as integrity_mode.write, or a work item.
 */
void integrity_direct_write(struct integrity_io *io);

/* The same of a discard. */
void integrity_direct_discard(struct integrity_io *io);

/* --- inline.c --- */

struct integrity_inline {
	u32 tuple_size;			/* bytes of metadata that the device has for a block */
	u32 max_sectors;		/* whose tuples fit one page, all that an io gets */
	mempool_t reserve;		/* such pages */
	struct bio_set bios;		/* of the pass, and for reading again */
	struct workqueue_struct *wq;	/* waits for the reserve */
};

/**
 * integrity_inline_init - make ready for mode I, in the constructor
 *
 * Tag size and block size are known. Context: may sleep. Return: as integrity_inline_check(), or
 * -ENOMEM.
 */
int integrity_inline_init(struct dm_integrity_c *ic, char *why, size_t why_size);
void integrity_inline_exit(struct dm_integrity_c *ic);

/**
 * integrity_inline_check - does the device have metadata that can hold the tags (section 7)
 *
 * Return: 0; -EINVAL, or -EOPNOTSUPP when it has none, with a sentence in @why.
 */
int integrity_inline_check(struct dm_integrity_c *ic, char *why, size_t why_size);

/* --- io.c --- */

int integrity_io_init(struct dm_integrity_c *ic);
void integrity_io_exit(struct dm_integrity_c *ic);
int integrity_io_map(struct dm_integrity_c *ic, struct bio *bio);

/* May a tag be computed here: not for so long with interrupts off. */
static inline bool integrity_may_hash(void)
{
	return !in_hardirq() && !irqs_disabled();
}

/* Run @step on io_wq, of what is not small on large_wq; or on another one. Context: any. */
void integrity_io_queue(struct integrity_io *io, void (*step)(struct integrity_io *io));
void integrity_io_queue_on(struct integrity_io *io, struct workqueue_struct *wq,
			   void (*step)(struct integrity_io *io));

/* integrity_range's granted callback for an io: runs io->step. */
void integrity_io_granted(struct integrity_range *range);

/*
 * Remember what the bio is, point it at the data device, and send it; @end_io finds its io by
 * integrity_io_of() and calls integrity_io_restore(), which also takes over the bio's status.
 * Between record and submit other work may use io->saved.iter to walk over the bio's pages, then
 * and while it is under way.
 */
void integrity_io_record(struct integrity_io *io);
void integrity_io_submit(struct integrity_io *io, bio_end_io_t *end_io);
struct integrity_io *integrity_io_of(struct bio *bio);
void integrity_io_restore(struct integrity_io *io);

/*
 * Keep the first error, a negative errno. One of our own device I/O, where -EILSEQ is not a
 * mismatch found by us, goes through integrity_no_mismatch(). Context: any, also concurrently.
 */
void integrity_io_error(struct integrity_io *io, int error);

/* Only a mismatch that we found ourselves may be -EILSEQ (rule 6 of design.rst). */
static inline int integrity_no_mismatch(int error)
{
	return error == -EILSEQ ? -EIO : error;
}

/*
 * Make the tags of a discard; an error is logged and kept. Context: may sleep; the range is held.
 */
void integrity_io_discard_tags(struct integrity_io *io);

/*
 * How many sectors of a read have tags that are to be looked at: those below the mark of the pass;
 * without internal_hash all, if the bio has room for them.
 */
u32 integrity_io_to_verify(struct integrity_io *io);

/*
 * Verify the first io->verify sectors, or fetch their tags to the payload; of a mixed io take the
 * blocks that are newer elsewhere from there. Sets io->error. Context: may sleep; the range is
 * held.
 */
void integrity_io_verify(struct integrity_io *io);

/* One more block whose tag does not match its data; the first is an event. Context: any. */
void integrity_count_mismatch(struct dm_integrity_c *ic);

/*
 * Compare the first io->verify sectors with io->tags. Context: any. Return: true when all match;
 * false says nothing yet: integrity_io_verify() decides.
 */
bool integrity_io_matches(struct integrity_io *io);

/*
 * Complete the io with io->error, after a flush when it is FUA. Context: any. The io is gone on
 * return. integrity_io_complete() releases its range before that.
 */
void integrity_io_end(struct integrity_io *io);
void integrity_io_complete(struct integrity_io *io);

/*
 * Copy a block from the bio at @iter, which goes on to its end, to @data; @len bytes from @from to
 * the bio at @iter. Context: any.
 */
void integrity_bio_read_block(struct dm_integrity_c *ic, struct bio *bio, struct bvec_iter *iter,
			      u8 *data);
void integrity_bio_write(struct bio *bio, struct bvec_iter iter, const u8 *from, unsigned int len);

/* --- payload.c: tags that come with a bio, for volumes without internal_hash (section 3.2) --- */

/* Is the length of the bio's payload what its data needs. */
bool integrity_payload_fits(struct integrity_io *io);

/*
 * Copy the tag of the block at logical @sector between the io's payload and @tag, tag_size bytes.
 * Only with a payload. Context: any.
 */
void integrity_payload_get(struct integrity_io *io, u64 sector, u8 *tag);
void integrity_payload_put(struct integrity_io *io, u64 sector, const u8 *tag);

/**
 * integrity_flush - make everything acknowledged so far durable: data and tags (section 9)
 *
 * Context: may sleep. Return: 0 or the first error.
 */
int integrity_flush(struct dm_integrity_c *ic);

/* Something was written: see to it that mode->commit is called in commit_time. Context: any. */
void integrity_commit_soon(struct dm_integrity_c *ic);

/* Stop the commit timer. Context: may sleep; no I/O is in flight. */
void integrity_commit_stop(struct dm_integrity_c *ic);

/**
 * integrity_read_data - read logical sectors into pages, bypassing range locks (the caller holds
 * one)
 * @pl: pages
 * @nr_pages: how many; -EIO when they are too few
 * @skip: receives the bytes to skip at the first page (the data device's logical block may be
 * larger than ours)
 *
 * Context: may sleep. Return: 0 or -EIO.
 */
int integrity_read_data(struct dm_integrity_c *ic, u64 sector, u64 sectors, struct page_list *pl,
			unsigned int nr_pages, unsigned int *skip);

/*
 * The same of a block that did not match the tag that @cur found, to one page; in mode I its tag is
 * read with it.
 */
int integrity_read_again(struct integrity_tag_cursor *cur, u64 sector, u64 sectors,
			 struct page_list *pl, unsigned int *skip);

/* --- workers.c: the engine of the background pass --- */

#define INTEGRITY_PASS_CHUNK		8192u	/* sectors a worker takes at a time, at most */
#define INTEGRITY_PASS_CHECKPOINT	16u	/* chunks between two checkpoints */
#define INTEGRITY_PASS_CHECKPOINT_MS	5000u	/* or this long */
#define INTEGRITY_PASS_MAX_WORKERS	32u
#define INTEGRITY_PASS_MAX_ERRORS	4096u	/* unreadable places before a pass gives up ... */
#define INTEGRITY_PASS_TAG_ERROR	64u	/* ... of which a tag buffer counts as so many */
#define INTEGRITY_PASS_SPEED_MIN	10240u	/* KiB/s, default */

/**
 * struct integrity_pass_action - what a pass does with the blocks
 * @word: for the status
 * @noun: for the log
 * @bad: what the blocks are that it counts, for the log
 * @shared: how the range of a chunk is held
 * @run: how many sectors from @sector on are to be treated alike, and are they to be left out. NULL
 * when nothing is
 * @begin: the range of the chunk in hand is held, its data will be read: fetch what else is needed
 * @blocks: the data of [sector, sector + sectors), logical sectors, is in the worker's pages, from
 * byte @skip of the first on. Return: 0; -EINTR when it was given up half way, because the pass
 * stops; or an error that the pass fails with
 * @unreadable: data of these could not be read, not even alone. @what is "data"
 * @low_moved: recalc.low was moved: a chunk was given back, or some were left out. May be NULL
 * @save_due: is the position to be saved now; a claim that only one worker gets. May be NULL
 * @save: save it, if it is not. When @save_due said so, and when the pass ends or fails. Return: 0
 * or an error that the pass fails with. May be NULL
 * @ended: the pass came to its end. Return: how many blocks it counted
 *
 * Those that get a worker are called by it; they may sleep. @run, @low_moved, @save_due and @ended
 * are called with recalc.lock held.
 */
struct integrity_pass_action {
	const char *word;
	const char *noun;
	const char *bad;
	bool shared;
	u64 (*run)(struct dm_integrity_c *ic, u64 sector, bool *skip);
	void (*begin)(struct integrity_pass_worker *w);
	int (*blocks)(struct integrity_pass_worker *w, u64 sector, u64 sectors, unsigned int skip);
	void (*unreadable)(struct integrity_pass_worker *w, u64 sector, u64 sectors,
			   const char *what, int error);
	void (*low_moved)(struct dm_integrity_c *ic);
	bool (*save_due)(struct dm_integrity_c *ic);
	int (*save)(struct dm_integrity_c *ic);
	u64 (*ended)(struct dm_integrity_c *ic);
};

extern const struct integrity_pass_action integrity_pass_recalculate;
extern const struct integrity_pass_action integrity_pass_check;

struct integrity_pass_worker {
	struct work_struct work;
	struct dm_integrity_c *ic;
	const struct integrity_pass_action *action;
	struct integrity_range range;
	struct completion granted;
	struct page_list *pages;	/* array, linked in order */
	unsigned int nr_pages;
	u8 *tuples;			/* mode I: a page, for those of the data in @pages */
	struct list_head in_flight;
	u64 start;			/* of the chunk in hand */
	u64 sectors;
	u64 bad;			/* recalculation: blocks of it that could not be read */
	bool given_up;			/* half way: @sectors are done, @bad is not counted */
	bool flushed;			/* check: tags, since it took the chunk */
};

/* What is said of a pass at its end. */
struct integrity_pass_summary {
	u64 sectors;			/* since it was started or continued */
	u64 ns;
	u64 rate;			/* KiB/s */
	u64 bad;			/* blocks */
};

/* The pass, whatever its action, and the position of recalculation. */
struct integrity_recalc {
	struct mutex control;		/* one change of state at a time; guards @live */
	bool live;			/* since its resume, and not stopped by a suspend */
	struct workqueue_struct *wq;
	struct integrity_pass_worker *worker;
	unsigned int max_workers;
	u32 max_chunk;			/* sectors that a worker takes at a time */
	wait_queue_head_t wait;		/* state or pace changed, a worker ended */
	atomic64_t mark;		/* blocks below have a valid tag */
	atomic_t foreground;		/* bios in flight, counted while a pass runs */
	unsigned long last_io;		/* jiffies when the latest one came or ended */

	spinlock_t lock;		/* guards all below */
	enum integrity_pass_state state;
	const struct integrity_pass_action *action;	/* of the current or last pass */
	unsigned int workers;		/* that have not ended */
	struct list_head in_flight;	/* chunks being worked on, ascending */
	unsigned int kick;		/* counts what waiting workers should look at again */
	u64 next;			/* first sector that no worker has taken */
	u64 unfinished;			/* lowest chunk that was given up half way */
	u64 low;			/* all of the pass below is done */
	u64 end;			/* of the pass */
	u64 saved;			/* mark of the last checkpoint */
	unsigned long saved_at;		/* jiffies */
	bool saving;			/* a worker is at it */
	unsigned int speed_min;		/* KiB/s, the floor while there is foreground I/O */
	unsigned int speed_max;		/* KiB/s, 0 for none */
	u64 pace_at;			/* ns, when the last chunk was taken */
	u32 pace_sectors;		/* its size */
	u64 bad;			/* recalculation: blocks that could not be read */
	u64 errors;			/* failed reads of this run, weighed */
	u64 first_bad;			/* logical sector; U64_MAX for none */
	u64 worked;			/* sectors done since @started */
	u64 started;			/* ns */
	u64 window_at;			/* ns, begin of the rate's window */
	u64 window_worked;
	u64 rate;			/* KiB/s, last window; at the end, whole pass */
};

int integrity_workers_init(struct dm_integrity_c *ic);
void integrity_workers_exit(struct dm_integrity_c *ic);

/* Does a pass run. Context: any; without recalc.lock it may be over the next moment. */
static inline bool integrity_pass_running(const struct integrity_recalc *r)
{
	return integrity_pass_is_running(READ_ONCE(r->state));
}

/*
 * Move to the state after @event, if that is allowed (pass.h); who waits looks again. Context: any
 * that may take recalc.lock, or holds it. Return: was it allowed.
 */
bool integrity_pass_do(struct integrity_recalc *r, enum integrity_pass_event event);
bool integrity_pass_do_locked(struct integrity_recalc *r, enum integrity_pass_event event);

/*
 * The pass cannot go on; what is done stays done. @what was being done, for the log; only the first
 * call counts. Context: process.
 */
void integrity_pass_fail(struct dm_integrity_c *ic, const char *what, int error);

/*
 * What reads and errors of a pass come in, sectors: a block, or a logical block of the data device
 * when that is larger.
 */
u64 integrity_pass_unit(struct dm_integrity_c *ic);

/**
 * integrity_pass_hash - compute the tags of the blocks at @sector, of @sectors sectors in all
 * @at: where they begin in the worker's pages, bytes
 * @tags: INTEGRITY_TAG_BYTES; @sectors is at most tags.at_once
 *
 * Context: any that may use the hash. Return: 0 or its error.
 */
int integrity_pass_hash(struct integrity_pass_worker *w, u64 sector, u32 sectors, size_t at,
			u8 *tags);

/*
 * The tag of the block at @sector could not be had with @cur: how many sectors from there on, below
 * @end, have theirs in the same buffer.
 */
u64 integrity_pass_tags_lost(const struct integrity_tag_cursor *cur, u64 sector, u64 end);

/**
 * integrity_workers_start - let the workers go
 * @from: logical sector to begin with
 * @end: the first one that is not to be done; at most @from when there is nothing to do but to
 * come to the end
 *
 * The state is a running one, no worker is left of before, and recalc.control is held.
 */
void integrity_workers_start(struct dm_integrity_c *ic, const struct integrity_pass_action *action,
			     u64 from, u64 end);

/*
 * Wait until no worker is left. _stop() when the state is no longer a running one; workers finish
 * the chunks that they have. Context: may sleep; recalc.control is held.
 */
void integrity_workers_wait(struct dm_integrity_c *ic);
void integrity_workers_stop(struct dm_integrity_c *ic);

/* KiB/s, for the status. recalc.lock is held. */
u64 integrity_workers_rate(struct integrity_recalc *r);

/* --- recalc.c --- */

int integrity_recalc_init(struct dm_integrity_c *ic);
void integrity_recalc_exit(struct dm_integrity_c *ic);

/* Are there blocks that have no tags yet, and are to get some. Context: any. */
bool integrity_recalc_pending(struct dm_integrity_c *ic);

/**
 * integrity_recalc_permitted - may tags be made from the data as it is (section 6.2)
 *
 * Return: 0; -EOPNOTSUPP for a keyed hash without a protected superblock, unless
 * legacy_recalculate was given.
 */
int integrity_recalc_permitted(struct dm_integrity_c *ic);

/*
 * May tags be made where a bitmap says that they are wrong. In mode B a key does not stop that: it
 * would never come back from a crash. It does where the table has a key for the superblock's MAC,
 * which the superblock may deny to have, and in other modes, which have no bitmap of their own:
 * there integrity_recalc_permitted() says it.
 */
bool integrity_recovery_permitted(struct dm_integrity_c *ic);

/**
 * integrity_recalc_load - take the position from the superblock just read, at resume, before any
 * I/O is let in
 * @flag: SB_FLAG_RECALCULATING
 * @sector: position, clamped to the device
 */
void integrity_recalc_load(struct dm_integrity_c *ic, bool flag, u64 sector);

/* Start what is pending. Context: may sleep. */
void integrity_recalc_resume(struct dm_integrity_c *ic);

/*
 * A suspend begins: tell the workers to stop, wait for none. Undo: it came to nothing. Context: may
 * sleep.
 */
void integrity_recalc_presuspend(struct dm_integrity_c *ic);
void integrity_recalc_presuspend_undo(struct dm_integrity_c *ic);

/* Wait for the workers, and save the position. Context: may sleep. */
void integrity_recalc_suspend(struct dm_integrity_c *ic);

/* The machine goes down: stop and save, if this table is live. Context: may sleep. */
void integrity_recalc_reboot(struct dm_integrity_c *ic);

/* Carry out a message. Context: may sleep. Return: 0 or an error, logged. */
int integrity_recalc_message(struct dm_integrity_c *ic, const struct integrity_message *m);

/* Fill in the pass's part of the status. Context: any process context. */
void integrity_recalc_status(struct dm_integrity_c *ic, struct integrity_status_view *v);

/* Blocks below this logical sector have valid tags; others are not verified. Context: any. */
static inline u64 integrity_recalc_mark(struct integrity_recalc *r)
{
	/*
	 * Pairs with the release in integrity_recalc's only writer: who sees the mark sees the
	 * tags below it.
	 */
	return atomic64_read_acquire(&r->mark);
}

/* --- check.c --- */

struct integrity_check {
	/* recalc.lock guards these; only who holds recalc.control begins or gives up a check */
	bool open;			/* begun, and neither at its end nor given up */
	bool held;			/* a recalculation was pending when it began */
	u64 start;			/* logical sectors */
	u64 end;
	u64 bad;			/* blocks that did not match, or could not be read */
	u64 first_bad;			/* logical sector; U64_MAX for none */

	spinlock_t lock;		/* guards @list; taken with interrupts off */
	struct integrity_bad_list list;	/* its memory comes with the first check */
	u32 listed;			/* ranges in it, to be read without the lock */
};

void integrity_check_init(struct dm_integrity_c *ic);
void integrity_check_exit(struct dm_integrity_c *ic);

/**
 * integrity_check_begin - make ready for a check; integrity_check_run() runs it
 * @m: the message: all of the device, or a range in logical sectors
 *
 * Nothing runs, no check is open, and recalc.control is held. Context: may sleep. Return: 0;
 * -EINVAL for a range that is not within the device or not of whole blocks, logged; -ENOMEM.
 */
int integrity_check_begin(struct dm_integrity_c *ic, const struct integrity_message *m);

/* Start or continue the open check. The state is a running one, recalc.control is held. */
void integrity_check_run(struct dm_integrity_c *ic);

/*
 * Stop the open check for good, if there is one; the state is frozen then. @why is for the log.
 * What it found stays listed. Context: may sleep; recalc.control is held. Return: was there one;
 * the caller sends the event, once the state is what it is going to be.
 */
bool integrity_check_give_up(struct dm_integrity_c *ic, const char *why);

/**
 * integrity_check_bad_blocks - the message bad_blocks: print the list (badlist.h)
 * @result: destination, @size bytes
 *
 * Context: may sleep. Return: 1, as device-mapper wants it; -ENOMEM, logged.
 */
int integrity_check_bad_blocks(struct dm_integrity_c *ic, char *result, unsigned int size);

/* Take sectors out of the list of bad blocks. Context: any. */
void integrity_check_forget(struct dm_integrity_c *ic, u64 sector, u64 sectors);

/* --- activate.c --- */

/**
 * integrity_activate - at resume: read the superblock again, fit the volume to its devices, and
 * make of journal or bitmap what the mode needs (sections 1.7, 4.8, 5.3, 6.1)
 *
 * Context: may sleep; recalc.control is held, no I/O is let in yet. Return: 0; an error with a
 * sentence in @why.
 */
int integrity_activate(struct dm_integrity_c *ic, char *why, size_t why_size);

/* --- dm-integrity.c: the device --- */

struct dm_integrity_c {
	struct dm_target *ti;
	struct dm_dev *data_dev;
	struct dm_dev *meta_dev;	/* NULL when the tags are between the data */
	const struct integrity_mode *mode;
	struct integrity_layout layout;
	bool read_only;			/* the table or a device is: nothing is ever written */
	bool formatted;			/* by this table */
	bool made_up;			/* the superblock in memory is not that of the disk */
	bool activated;			/* was resumed at least once */
	bool recalc_pending;		/* recalculate or reset_recalculate, not yet carried out */

	/* the table's words, for printing; owned */
	struct integrity_params params;
	char *internal_hash;
	char *journal_mac;
	char *journal_crypt;
	u32 commit_time;		/* ms */
	u32 copied_sectors;		/* most of a read whose tags fit in io->tags */
	u32 small_sectors;		/* most of an io that takes the short way */

	struct dm_io_client *io;
	struct crypto_shash *mac;	/* journal_mac, or NULL */
	struct integrity_sb sb;
	struct integrity_tags tags;
	struct integrity_ranges ranges;
	struct integrity_recalc recalc;
	struct integrity_check check;
	struct integrity_journal journal;
	struct integrity_bitmap bitmap;
	struct integrity_inline inl;

	struct workqueue_struct *io_wq;
	struct workqueue_struct *large_wq;
	struct workqueue_struct *flush_wq;
	mempool_t recheck_pool;		/* pages for reading a block again */
	struct {
		spinlock_t lock;	/* guards @list; taken with interrupts off */
		struct list_head list;	/* ios that wait for a flush */
		struct work_struct work;
	} flush;
	struct delayed_work commit_work;

	atomic64_t mismatches;
	atomic_t failed;		/* 0, or why; every I/O ends with an error */
	struct work_struct event_work;
	struct notifier_block reboot;
	struct work_struct reboot_work;
	struct completion reboot_done;
};

static inline struct block_device *integrity_meta_bdev(struct dm_integrity_c *ic)
{
	return ic->meta_dev ? ic->meta_dev->bdev : ic->data_dev->bdev;
}

/*
 * Is there a check that runs, or is paused. Context: any; a running one may be over the next
 * moment.
 */
static inline bool integrity_check_open(struct dm_integrity_c *ic)
{
	return READ_ONCE(ic->check.open);
}

/*
 * Data and tag of these logical sectors were stored anew: no longer bad. The caller still holds
 * their range, or, in mode J, has put them into the journal. Context: any.
 */
static inline void integrity_check_stored(struct dm_integrity_c *ic, u64 sector, u64 sectors)
{
	if (unlikely(READ_ONCE(ic->check.listed)))
		integrity_check_forget(ic, sector, sectors);
}

/* The device's name in the log, such as dm-0. */
static inline const char *integrity_name(struct dm_integrity_c *ic)
{
	return dm_disk(dm_table_get_md(ic->ti->table))->disk_name;
}

/**
 * integrity_fail - stop serving I/O, because going on would lose or falsify data (rule 10)
 * @what: what was being done, for the log
 * @error: negative errno
 *
 * Only the first call counts. Context: any.
 */
void integrity_fail(struct dm_integrity_c *ic, const char *what, int error);

/* Wake `dmsetup wait` and dmeventd. Context: any. */
void integrity_event(struct dm_integrity_c *ic);

/* Read or write @sectors at @sector of @bdev from kernel memory, and wait. Return: 0 or -EIO. */
int integrity_sync_io(struct dm_integrity_c *ic, struct block_device *bdev, blk_opf_t opf,
		      u64 sector, u64 sectors, void *buffer);

#endif
