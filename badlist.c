// SPDX-License-Identifier: GPL-2.0-only
/*
 * A sorted, bounded list of ranges of sectors. An array: it is small, most of what is added comes
 * in ascending order, and what is asked most often, whether there is anything in it at all, is its
 * count.
 */
#include "badlist.h"

void integrity_bad_list_init(struct integrity_bad_list *list, struct integrity_bad_range *range,
			     u32 max)
{
	list->range = range;
	list->count = 0;
	list->max = max;
	list->overflow = false;
}

/* Index of the first range that ends at @sector or behind it. */
static u32 find(const struct integrity_bad_list *list, u64 sector)
{
	u32 low = 0, high = list->count;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (list->range[middle].end < sector)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Make room for a range at @at. Return: false when there is none. */
static bool open_gap(struct integrity_bad_list *list, u32 at)
{
	if (list->count == list->max) {
		list->overflow = true;
		return false;
	}
	memmove(&list->range[at + 1], &list->range[at], (list->count - at) * sizeof(*list->range));
	list->count++;
	return true;
}

/* Remove the ranges [@from, @to). */
static void close_gap(struct integrity_bad_list *list, u32 from, u32 to)
{
	memmove(&list->range[from], &list->range[to], (list->count - to) * sizeof(*list->range));
	list->count -= to - from;
}

u64 integrity_bad_list_add(struct integrity_bad_list *list, u64 start, u64 sectors)
{
	u64 end = start + sectors, added = sectors;
	u32 first = find(list, start), last;
	struct integrity_bad_range whole = { .start = start, .end = end };

	/* Those that overlap or touch become one. */
	for (last = first; last < list->count && list->range[last].start <= end; last++) {
		const struct integrity_bad_range *r = &list->range[last];

		added -= min(r->end, end) - max(r->start, start);
		whole.start = min(whole.start, r->start);
		whole.end = max(whole.end, r->end);
	}
	if (first == last) {
		if (!open_gap(list, first))
			return added;
	} else {
		close_gap(list, first + 1, last);
	}
	list->range[first] = whole;
	return added;
}

void integrity_bad_list_cut(struct integrity_bad_list *list, u64 start, u64 sectors)
{
	u64 end = start + sectors;
	u32 first = find(list, start), last;

	if (first < list->count && list->range[first].start < start) {
		struct integrity_bad_range *r = &list->range[first];
		u64 rest = r->end;

		r->end = min(r->end, start);
		first++;
		if (rest > end) {
			if (open_gap(list, first))
				list->range[first] = (struct integrity_bad_range){ end, rest };
			return;
		}
	}
	for (last = first; last < list->count && list->range[last].end <= end; last++)
		;
	close_gap(list, first, last);
	if (first < list->count)
		list->range[first].start = max(list->range[first].start, end);
}

size_t integrity_bad_list_text(const struct integrity_bad_list *list, char *buf, size_t size)
{
	size_t len = 0;
	u32 i;

	if (size)
		buf[0] = 0;
	for (i = 0; i < list->count; i++) {
		const struct integrity_bad_range *r = &list->range[i];
		bool room = len < size;

		len += snprintf(room ? buf + len : NULL, room ? size - len : 0, "%llu %llu\n",
				r->start, r->end - r->start);
	}
	if (list->overflow) {
		bool room = len < size;

		len += snprintf(room ? buf + len : NULL, room ? size - len : 0, "overflow\n");
	}
	return len;
}
