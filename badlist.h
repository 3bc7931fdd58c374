/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A sorted, bounded list of ranges of sectors: what a check found bad.
 *
 * Pure: the memory is the caller's, who also sees to it that one at a time changes the list.
 * Ranges in the list neither overlap nor touch: those that would are one range. No range may end
 * beyond 2^64 - 1.
 */
#ifndef DM_INTEGRITY_BADLIST_H
#define DM_INTEGRITY_BADLIST_H

#include "portable.h"

#define INTEGRITY_BAD_RANGES	1024u

/* Logical sectors [start, end). */
struct integrity_bad_range {
	u64 start;
	u64 end;
};

struct integrity_bad_list {
	struct integrity_bad_range *range;	/* room for @max, ascending */
	u32 count;
	u32 max;
	bool overflow;				/* something found no room */
};

/* Make the list an empty one of at most @max ranges at @range. */
void integrity_bad_list_init(struct integrity_bad_list *list, struct integrity_bad_range *range,
			     u32 max);

/**
 * integrity_bad_list_add - add the sectors [@start, @start + @sectors), at least 1
 *
 * When a new range is needed and there is no room for it, nothing is added, and @list->overflow is
 * set. Return: how many of the sectors were not in the list before; all that are not, also when
 * there was no room.
 */
u64 integrity_bad_list_add(struct integrity_bad_list *list, u64 start, u64 sectors);

/*
 * Take the sectors [@start, @start + @sectors), at least 1, out of the list. When that makes two
 * ranges of one and there is no room for the second, that one is lost, and @list->overflow is set.
 */
void integrity_bad_list_cut(struct integrity_bad_list *list, u64 start, u64 sectors);

/**
 * integrity_bad_list_text - print the list: a line "START SECTORS" for each range, ascending, and
 * a last line "overflow" when it is not complete
 * @buf: destination
 * @size: its bytes
 *
 * Return: the bytes that the whole text needs, without the NUL, as snprintf() does; what does not
 * fit is cut off.
 */
size_t integrity_bad_list_text(const struct integrity_bad_list *list, char *buf, size_t size);

#endif
