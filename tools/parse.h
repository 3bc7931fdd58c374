/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The words of status, table, messages' answers and command line: text to structs.
 *
 * Pure C without device-mapper, so that it is tested under sanitizers (tests/unit). The words are
 * those of Documentation/status-and-messages.rst. Lines may have fewer fields, as those of the
 * target in the Linux tree do, or more, as those of later versions may.
 */
#ifndef INTEGRITYCTL_PARSE_H
#define INTEGRITYCTL_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the fourth field of a status says. */
enum state {
	STATE_IDLE,
	STATE_RECALCULATE,
	STATE_CHECK,
	STATE_FROZEN,
	STATE_SUSPENDED,
	STATE_FAILED,		/* the pass */
	STATE_DEAD,		/* the device: "Fail" */
	STATE_UNKNOWN,		/* a word of a later version, see status.action */
};

/**
 * struct status - a status line from its first field on; have_* false: not told
 * @mismatches: reads refused since the table was loaded or the counter was reset
 * @provided: sectors that the volume provides
 * @have_mark: the recalculation flag is set on the disk
 * @mark: sectors below this one have tags
 * @have_action: there are the fields of dm_integrity from here on
 * @state: what @action means
 * @action: the word itself
 * @done: sectors of the current or last pass
 * @total: likewise
 * @rate: KiB/s
 * @bad: blocks that could not be read or did not match
 * @first_bad: sector
 * @lost: journal entries that could not be replayed
 */
struct status {
	uint64_t mismatches;
	uint64_t provided;
	bool have_mark;
	uint64_t mark;
	bool have_action;
	enum state state;
	char action[32];
	bool have_pass;
	uint64_t done;
	uint64_t total;
	bool have_rate;
	uint64_t rate;
	bool have_bad;
	uint64_t bad;
	bool have_first_bad;
	uint64_t first_bad;
	bool have_lost;
	uint64_t lost;
};

/* Parse a status. Return 0, or -EINVAL when the first three fields are not what they must be. */
int parse_status(const char *text, struct status *s);

/**
 * struct table - what is shown of a table line; keys are never copied out of it
 * @mode: letter
 * @hash: algorithm of the tags, without a key; empty when the tags come from an upper layer
 * @keyed: a key was given with it
 */
struct table {
	char device[64];
	char meta_device[64];	/* or empty */
	uint64_t start;		/* sectors */
	uint32_t tag_size;	/* bytes; 0 for "-" */
	uint32_t block_size;	/* bytes */
	char mode;
	char hash[129];
	bool keyed;
	char journal_mac[129];
	char journal_crypt[129];
	bool recalculate;
	bool no_recalculate;
	bool allow_discards;
};

/* Parse a table line from the device on. Return 0 or -EINVAL. Unknown options are skipped. */
int parse_table(const char *text, struct table *t);

struct range {
	uint64_t start;		/* sectors */
	uint64_t length;
};

struct ranges {
	struct range *range;	/* to be freed */
	size_t count;
	bool complete;		/* false: there were more than could be remembered */
};

/**
 * parse_ranges - parse the answer to the message bad_blocks
 *
 * Ranges are "START LENGTH" or "START+LENGTH", one or more a line. A line, or the rest of one,
 * that begins with another word says that the list is not complete; "-" stands for no range.
 *
 * Return: 0, -EINVAL or -ENOMEM; @r is to be given to free_ranges() only after 0.
 */
int parse_ranges(const char *text, struct ranges *r);
void free_ranges(struct ranges *r);

/* Parse a decimal number, digits only. Return 0, -EINVAL or -ERANGE. */
int parse_number(const char *text, uint64_t max, uint64_t *value);

/*
 * Parse a size of the command line: sectors, or with one of the suffixes K, M, G, T of either
 * case, KiB and so on. Return 0, -EINVAL or -ERANGE.
 */
int parse_sectors(const char *text, uint64_t *sectors);

/**
 * parse_escaped - decode the \xNN that systemd writes in names of units
 * @text: name
 * @to: receives it decoded
 * @size: bytes at @to
 *
 * Return: whether there was something to decode, and @to holds it.
 */
bool parse_escaped(const char *text, char *to, size_t size);

/**
 * kernel_reason - find the target's words in a record of the kernel's log
 * @record: as read from /dev/kmsg
 * @minor: the device's
 * @reason: receives the sentence
 * @size: bytes at @reason
 *
 * Return: is it a line of device-mapper about this device.
 */
bool kernel_reason(const char *record, unsigned int minor, char *reason, size_t size);

#endif
