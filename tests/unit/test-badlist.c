// SPDX-License-Identifier: GPL-2.0-only
/* The list of bad ranges against a map with one byte for each sector. */
#include <stdlib.h>

#include "../../badlist.h"
#include "unit.h"

#define SPACE	512u	/* sectors of the model */

struct model {
	u8 bad[SPACE];
};

static void fresh(struct integrity_bad_list *list, u32 max)
{
	/* Of its exact size, so that a step too far is seen. */
	integrity_bad_list_init(list, malloc(max * sizeof(*list->range)), max);
	CHECK(list->range);
}

/* Sorted, nothing empty, nothing that overlaps or touches. */
static void check_shape(const struct integrity_bad_list *list)
{
	u32 i;

	CHECK(list->count <= list->max);
	for (i = 0; i < list->count; i++) {
		CHECK(list->range[i].start < list->range[i].end);
		if (i)
			CHECK(list->range[i - 1].end < list->range[i].start);
	}
}

static bool listed(const struct integrity_bad_list *list, u64 sector)
{
	u32 i;

	for (i = 0; i < list->count; i++)
		if (sector >= list->range[i].start && sector < list->range[i].end)
			return true;
	return false;
}

static void check_same(const struct integrity_bad_list *list, const struct model *m)
{
	u32 i;

	check_shape(list);
	for (i = 0; i < SPACE; i++)
		if (listed(list, i) != m->bad[i])
			unit_fail(__FILE__, __LINE__, "sector %u: listed %d, expected %d", i,
				  listed(list, i), m->bad[i]);
}

static void check_text(const struct integrity_bad_list *list, const char *text)
{
	char buf[256];
	size_t len = strlen(text), size;

	CHECK_EQ(integrity_bad_list_text(list, buf, sizeof(buf)), len);
	CHECK_STR(buf, text);
	/* Whatever the room, the whole length is returned, and nothing is written behind it. */
	for (size = 0; size <= len; size++) {
		memset(buf, '~', sizeof(buf));
		CHECK_EQ(integrity_bad_list_text(list, buf, size), len);
		CHECK(buf[size] == '~');
		if (size) {
			CHECK_EQ(strlen(buf), size - 1);
			CHECK(!memcmp(buf, text, size - 1));
		}
	}
}

static void test_by_hand(void)
{
	struct integrity_bad_list list;

	fresh(&list, 3);
	check_text(&list, "");
	CHECK_EQ(integrity_bad_list_add(&list, 16, 8), 8);
	CHECK_EQ(integrity_bad_list_add(&list, 16, 8), 0);
	CHECK_EQ(integrity_bad_list_add(&list, 8, 8), 8);
	check_text(&list, "8 16\n");
	CHECK_EQ(integrity_bad_list_add(&list, 32, 8), 8);
	CHECK_EQ(integrity_bad_list_add(&list, 0, 64), 40);
	check_text(&list, "0 64\n");
	integrity_bad_list_cut(&list, 8, 8);
	integrity_bad_list_cut(&list, 24, 8);
	check_text(&list, "0 8\n16 8\n32 32\n");
	integrity_bad_list_cut(&list, 60, 100);
	integrity_bad_list_cut(&list, 0, 20);
	check_text(&list, "20 4\n32 28\n");
	integrity_bad_list_cut(&list, 24, 8);
	check_text(&list, "20 4\n32 28\n");
	integrity_bad_list_cut(&list, 0, U64_MAX);
	check_text(&list, "");
	free(list.range);
}

static void test_overflow(void)
{
	struct integrity_bad_list list;

	fresh(&list, 2);
	integrity_bad_list_add(&list, 0, 1);
	integrity_bad_list_add(&list, 10, 5);
	CHECK(!list.overflow);
	/* What needs no new range has room still. */
	CHECK_EQ(integrity_bad_list_add(&list, 15, 1), 1);
	CHECK(!list.overflow);
	CHECK_EQ(integrity_bad_list_add(&list, 5, 3), 3);
	CHECK(list.overflow);
	check_text(&list, "0 1\n10 6\noverflow\n");
	/* It does not become complete again. */
	integrity_bad_list_cut(&list, 0, 1);
	CHECK_EQ(integrity_bad_list_add(&list, 5, 3), 3);
	check_text(&list, "5 3\n10 6\noverflow\n");
	free(list.range);

	/* A cut that makes two of one. */
	fresh(&list, 1);
	integrity_bad_list_add(&list, 0, 10);
	integrity_bad_list_cut(&list, 4, 2);
	check_text(&list, "0 4\noverflow\n");
	free(list.range);
}

static void test_large(void)
{
	struct integrity_bad_list list;

	fresh(&list, 2);
	CHECK_EQ(integrity_bad_list_add(&list, U64_MAX - 8, 8), 8);
	CHECK_EQ(integrity_bad_list_add(&list, 0, 1), 1);
	check_text(&list, "0 1\n18446744073709551607 8\n");
	integrity_bad_list_cut(&list, U64_MAX - 1, 1);
	check_text(&list, "0 1\n18446744073709551607 7\n");
	free(list.range);
}

/* Random adds and cuts, with room for all. */
static void test_model(void)
{
	struct integrity_bad_list list;
	unsigned int round, i, j;
	struct model m;
	u64 fresh_ones;

	for (round = 0; round < 200; round++) {
		fresh(&list, SPACE / 2 + 1);
		memset(&m, 0, sizeof(m));
		for (i = 0; i < 400; i++) {
			u64 start = unit_below(SPACE);
			u64 sectors = 1 + unit_below(unit_below(4) ? 6 : SPACE);
			bool add = unit_below(2);

			sectors = min(sectors, SPACE - start);
			fresh_ones = 0;
			for (j = start; j < start + sectors; j++) {
				fresh_ones += !m.bad[j];
				m.bad[j] = add;
			}
			if (add)
				CHECK_EQ(integrity_bad_list_add(&list, start, sectors), fresh_ones);
			else
				integrity_bad_list_cut(&list, start, sectors);
			check_same(&list, &m);
		}
		CHECK(!list.overflow);
		free(list.range);
	}
}

/* With too little room: nothing is listed that is not bad, and what is missing is said to be. */
static void test_model_overflow(void)
{
	struct integrity_bad_list list;
	unsigned int round, i, j, overflows = 0;
	struct model m;

	for (round = 0; round < 200; round++) {
		fresh(&list, 1 + unit_below(20));
		memset(&m, 0, sizeof(m));
		for (i = 0; i < 200; i++) {
			u64 start = unit_below(SPACE), sectors = 1 + unit_below(8);
			bool add = unit_below(3);

			sectors = min(sectors, SPACE - start);
			memset(m.bad + start, add, sectors);
			if (add)
				integrity_bad_list_add(&list, start, sectors);
			else
				integrity_bad_list_cut(&list, start, sectors);
			check_shape(&list);
			for (j = 0; j < SPACE; j++) {
				CHECK(m.bad[j] || !listed(&list, j));
				CHECK(!m.bad[j] || listed(&list, j) || list.overflow);
			}
		}
		overflows += list.overflow;
		free(list.range);
	}
	CHECK(overflows > 50);
}

static const struct unit_test tests[] = {
	{ "badlist-by-hand", test_by_hand },
	{ "badlist-overflow", test_overflow },
	{ "badlist-large", test_large },
	{ "badlist-model", test_model },
	{ "badlist-model-overflow", test_model_overflow },
};

UNIT_MAIN(tests)
