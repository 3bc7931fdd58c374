/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What format.c, layout.c, table.c, pass.c, badlist.c, journal-format.c and bitmap-format.c may
 * use: integer types, byte order, bits, string and number helpers.
 *
 * These files hold no lock, allocate nothing and do no I/O, so that the same source also
 * compiles in userspace under sanitizers and fuzzers (tests/unit). There, tests/unit/kernel.h
 * supplies the names below with the kernel's meaning.
 */
#ifndef DM_INTEGRITY_PORTABLE_H
#define DM_INTEGRITY_PORTABLE_H

#ifdef __KERNEL__
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/byteorder.h>
#else
#include "kernel.h"
#endif

/* Say in @why, cut off at @why_size bytes, what is wrong. Return: -EINVAL, to be returned. */
static inline __printf(3, 4) int refuse(char *why, size_t why_size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, why_size, fmt, args);
	va_end(args);
	return -EINVAL;
}

#endif
