/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The names that portable.h promises, for userspace, with the kernel's meaning.
 *
 * With UNIT_FREESTANDING defined it does without a C library and only declares the division
 * helpers, so that an object compiled for any 32-bit machine shows whether it divides 64-bit
 * numbers itself.
 */
#ifndef UNIT_KERNEL_H
#define UNIT_KERNEL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef UNIT_FREESTANDING
#define EIO		5
#define EBUSY		16
#define EINVAL		22
#define ENOSPC		28
#define ERANGE		34

__attribute__((__format__(__printf__, 3, 4)))
int snprintf(char *buf, size_t size, const char *fmt, ...);
int vsnprintf(char *buf, size_t size, const char *fmt, va_list args);
int memcmp(const void *a, const void *b, size_t size);
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *p, int c, size_t size);
char *strchr(const char *s, int c);
int strcmp(const char *a, const char *b);
int strcasecmp(const char *a, const char *b);
size_t strcspn(const char *s, const char *reject);
size_t strlen(const char *s);
#else
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#endif

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef int8_t s8;
typedef u16 __le16;
typedef u32 __le32;
typedef u64 __le64;

#define U32_MAX			((u32)~0u)
#define U64_MAX			((u64)~0ull)
#define BITS_PER_LONG		(8 * (int)sizeof(long))

#define __packed		__attribute__((__packed__))
#define __printf(a, b)		__attribute__((__format__(__printf__, a, b)))
#define __noreturn		__attribute__((__noreturn__))
#define fallthrough		__attribute__((__fallthrough__))

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define __round_mask(x, y)	((__typeof__(x))((y) - 1))
#define round_up(x, y)		((((x) - 1) | __round_mask(x, y)) + 1)
#define round_down(x, y)	((x) & ~__round_mask(x, y))

#define min_t(type, a, b)	((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#define max_t(type, a, b)	((type)(a) > (type)(b) ? (type)(a) : (type)(b))
#define clamp_t(type, x, a, b)	min_t(type, max_t(type, x, a), b)

/* As in the kernel, operands of different types are an error. */
#define same_type(a, b)		((void)sizeof(char[1 - 2 * !__builtin_types_compatible_p(	\
					__typeof__((a) + 0), __typeof__((b) + 0))]))
#define min(a, b)		(same_type(a, b), (a) < (b) ? (a) : (b))
#define max(a, b)		(same_type(a, b), (a) > (b) ? (a) : (b))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define le16_to_cpu(x)		((u16)(x))
#define le32_to_cpu(x)		((u32)(x))
#define le64_to_cpu(x)		((u64)(x))
#else
#define le16_to_cpu(x)		__builtin_bswap16(x)
#define le32_to_cpu(x)		__builtin_bswap32(x)
#define le64_to_cpu(x)		((u64)__builtin_bswap64(x))
#endif
#define cpu_to_le16(x)		le16_to_cpu(x)
#define cpu_to_le32(x)		le32_to_cpu(x)
#define cpu_to_le64(x)		le64_to_cpu(x)

/* -1 for 0, as the kernel's for a number that is no constant. */
static inline int ilog2(u64 n)
{
	return n ? 63 - __builtin_clzll(n) : -1;
}

#define hweight64(x)		((u32)__builtin_popcountll(x))
/* Not of 0. */
#define __ffs64(x)		((u32)__builtin_ctzll(x))

#ifdef UNIT_FREESTANDING
u64 div64_u64_rem(u64 dividend, u64 divisor, u64 *remainder);
#else
static inline u64 div64_u64_rem(u64 dividend, u64 divisor, u64 *remainder)
{
	*remainder = dividend % divisor;
	return dividend / divisor;
}
#endif

/* A '+' in front and a newline at the end are taken, as in lib/kstrtox.c; base 10 only. */
static inline int kstrtoull(const char *s, unsigned int base, unsigned long long *res)
{
	unsigned long long value = 0;

	if (base != 10)
		return -EINVAL;
	if (*s == '+')
		s++;
	if (*s < '0' || *s > '9')
		return -EINVAL;
	for (; *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(value, 10ull, &value) ||
		    __builtin_add_overflow(value, (unsigned long long)(*s - '0'), &value))
			return -ERANGE;
	if (*s == '\n')
		s++;
	if (*s)
		return -EINVAL;
	*res = value;
	return 0;
}

static inline int hex_to_bin(unsigned char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if (ch >= 'a' && ch <= 'f')
		return ch - 'a' + 10;
	if (ch >= 'A' && ch <= 'F')
		return ch - 'A' + 10;
	return -1;
}

#endif
