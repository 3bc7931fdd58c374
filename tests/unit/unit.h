/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small test harness.
 *
 * Each test runs in a process of its own, so that a sanitizer that aborts it costs that test only
 * and is reported under its name. Output is one line a test, `ok NAME` or `FAIL NAME reason`, and
 * lines that begin with '#' for what was measured.
 */
#ifndef UNIT_H
#define UNIT_H

#include "kernel.h"

struct unit_test {
	const char *name;
	void (*run)(void);
};

/* Ends the running test; does not return. */
__noreturn __printf(3, 4)
void unit_fail(const char *file, int line, const char *fmt, ...);

/* Prints what a test measured. */
__printf(1, 2)
void unit_note(const char *fmt, ...);

/* Runs all tests, or those named on the command line. Returns main()'s exit status. */
int unit_main(const struct unit_test *tests, size_t count, int argc, char **argv);

#define UNIT_MAIN(tests)							\
int main(int argc, char **argv)							\
{										\
	return unit_main(tests, ARRAY_SIZE(tests), argc, argv);			\
}

#define CHECK(cond) do {							\
	if (!(cond))								\
		unit_fail(__FILE__, __LINE__, "%s", #cond);			\
} while (0)

#define CHECK_EQ(a, b) do {							\
	unsigned long long a_ = (a), b_ = (b);					\
	if (a_ != b_)								\
		unit_fail(__FILE__, __LINE__, "%s is %lld (0x%llx), not %s = %lld (0x%llx)", \
			  #a, (long long)a_, a_, #b, (long long)b_, b_);	\
} while (0)

#define CHECK_STR(a, b) do {							\
	const char *a_ = (a), *b_ = (b);					\
	if (strcmp(a_, b_))							\
		unit_fail(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #a, a_, b_); \
} while (0)

/* The same numbers at every run; UNIT_SEED in the environment gives others. */
u64 unit_random(void);

/* 0 .. n-1 */
static inline u64 unit_below(u64 n)
{
	return unit_random() % n;
}

/* Every magnitude up to 2^bits alike likely, so small and huge numbers both come up. */
static inline u64 unit_magnitude(unsigned int bits)
{
	unsigned int width = unit_below(bits + 1);

	return width ? unit_random() >> (64 - width) : 0;
}

#endif
