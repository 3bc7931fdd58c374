/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The words of the interface: table line and messages to structs, structs to table, status and
 * IMA text.
 *
 * Pure: works on strings that the caller owns. Documentation/status-and-messages.rst is the
 * reference.
 */
#ifndef DM_INTEGRITY_TABLE_H
#define DM_INTEGRITY_TABLE_H

#include "portable.h"

#define INTEGRITY_TABLE_FIXED_ARGS	5	/* dev start tag_size mode #opts */
#define INTEGRITY_TABLE_MAX_OPTS	19	/* the in-tree target's 18 and no_recalculate */

/* An algorithm of the table: "name" or "name:hexkey". */
struct integrity_alg_param {
	const char *spec;	/* all after the option's colon, as given; NULL when not given */
	size_t name_len;	/* bytes of the algorithm's name at @spec */
	const char *hexkey;	/* hex digits, or NULL */
	size_t key_len;		/* bytes of the decoded key */
};

/**
 * struct integrity_params - one parsed table line; strings point into the caller's argv
 *
 * Numbers are as given and already range-checked; have_* says whether the word was there.
 */
struct integrity_params {
	const char *device;
	u64 start;			/* sectors */
	u32 tag_size;			/* bytes; 0 for "-" */
	char mode;			/* J B D R I */

	const char *meta_device;	/* or NULL */
	u32 journal_sectors;		/* 0 was turned into 1 */
	u32 interleave_sectors;
	u32 buffer_sectors;		/* 1 .. 2^22: others were turned into these */
	u32 journal_watermark;		/* percent */
	u32 commit_time;		/* ms */
	u32 block_size;			/* bytes */
	u64 sectors_per_bit;
	u32 bitmap_flush_interval;	/* ms */
	bool have_journal_sectors;
	bool have_interleave_sectors;
	bool have_buffer_sectors;
	bool have_journal_watermark;
	bool have_commit_time;
	bool have_block_size;
	bool have_sectors_per_bit;
	bool have_bitmap_flush_interval;

	struct integrity_alg_param internal_hash;
	struct integrity_alg_param journal_crypt;
	struct integrity_alg_param journal_mac;

	bool recalculate;		/* also set by reset_recalculate */
	bool reset_recalculate;
	bool no_recalculate;
	bool legacy_recalculate;
	bool allow_discards;		/* also set by allow_discards_keyed */
	bool allow_discards_keyed;
	bool fix_padding;
	bool fix_hmac;
};

/**
 * integrity_params_parse - parse the arguments of a table line (after the target's name)
 * @p: result, filled with the defaults first
 * @argc: number of arguments
 * @argv: arguments; the parser does not change them
 * @why: receives, on failure, a sentence that says which word is wrong and why
 * @why_size: bytes at @why
 *
 * Checks syntax and ranges only, and the rules between words that need no device (a keyed
 * discard needs a key, allow_discards, recalculate and mode B need an internal_hash ...). Words
 * after the counted options are ignored, as the in-tree target does; a repeated word overrides
 * the earlier one.
 *
 * Return: 0 or -EINVAL.
 */
int integrity_params_parse(struct integrity_params *p, unsigned int argc, char **argv, char *why,
			   size_t why_size);

/*
 * Decode @a's hex key into @key (a->key_len bytes). Return 0, or -EINVAL on a character that is
 * no hex digit.
 */
int integrity_alg_key(const struct integrity_alg_param *a, u8 *key);

/**
 * struct integrity_table_view - everything that `dmsetup table` prints; numbers are those in effect
 *
 * Words whose field is NULL, false or "have_* false" are not printed.
 */
struct integrity_table_view {
	const char *device;		/* "maj:min" */
	const char *meta_device;	/* "maj:min" or NULL */
	u64 start;
	u32 tag_size;
	char mode;
	u32 block_size;			/* bytes; printed unless 512 */
	bool recalculate;		/* given, or the superblock flag is set */
	bool reset_recalculate;
	bool no_recalculate;
	bool allow_discards;
	bool allow_discards_keyed;
	u64 journal_sectors;		/* printed in every mode but I */
	u64 interleave_sectors;		/* likewise; 1 << il, so 1 with a metadata device */
	u64 buffer_sectors;		/* likewise */
	u32 journal_watermark;		/* mode J */
	u32 commit_time;		/* mode J */
	u64 sectors_per_bit;		/* mode B */
	u32 bitmap_flush_interval;	/* mode B */
	bool fix_padding;
	bool fix_hmac;
	bool legacy_recalculate;
	const char *internal_hash;	/* as given, with the key; or NULL */
	const char *journal_crypt;
	const char *journal_mac;
};

/**
 * integrity_table_text - print the table line that loads again as it is (section 8.4)
 * @v: what to print
 * @buf: destination
 * @size: its bytes
 *
 * Return: the bytes that the whole text needs, without the NUL, as snprintf() does; the caller
 * compares with @size.
 */
size_t integrity_table_text(const struct integrity_table_view *v, char *buf, size_t size);

/**
 * struct integrity_status_view - everything that `dmsetup status` prints
 */
struct integrity_status_view {
	u64 mismatches;
	u64 provided_sectors;
	bool have_recalc;		/* the superblock flag is set */
	u64 recalc_sector;
	const char *action;		/* idle recalculate check frozen suspended failed Fail */
	u64 done;			/* sectors of the current or last pass */
	u64 total;
	u64 rate;			/* KiB/s */
	u64 bad;			/* blocks */
	bool have_first_bad;
	u64 first_bad;			/* logical sector */
	u64 lost;			/* journal entries that could not be replayed */
};

/* Print the status line. Return as integrity_table_text(). */
size_t integrity_status_text(const struct integrity_status_view *v, char *buf, size_t size);

/**
 * integrity_ima_text - print the target's attributes for STATUSTYPE_IMA, from ",dev_name=" to
 * the final ";" (8.6)
 *
 * The caller prints the name/version prefix. Return as integrity_table_text().
 */
size_t integrity_ima_text(const struct integrity_table_view *v, char *buf, size_t size);

enum integrity_message_type {
	INTEGRITY_MSG_RECALCULATE,
	INTEGRITY_MSG_RESET_RECALCULATE,
	INTEGRITY_MSG_CANCEL_RECALCULATE,
	INTEGRITY_MSG_FROZEN,
	INTEGRITY_MSG_IDLE,
	INTEGRITY_MSG_SPEED_MIN,
	INTEGRITY_MSG_SPEED_MAX,
	INTEGRITY_MSG_RESET_MISMATCHES,
	INTEGRITY_MSG_CHECK,
	INTEGRITY_MSG_BAD_BLOCKS,
};

struct integrity_message {
	enum integrity_message_type type;
	u64 value;			/* KiB/s of speed_min and speed_max */
	bool have_range;		/* check: of a part of the device */
	u64 start;			/* sectors */
	u64 sectors;
};

/**
 * integrity_message_parse - parse a message
 *
 * Return: 0; -EINVAL with a sentence in @why that says what was wrong (unknown word, missing or
 * extra argument, not a number, out of range: speeds are at most U32_MAX). A range is checked by
 * who knows the device.
 */
int integrity_message_parse(struct integrity_message *m, unsigned int argc, char **argv, char *why,
			    size_t why_size);

#endif
