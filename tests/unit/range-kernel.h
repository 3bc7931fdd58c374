/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What range.c takes from the kernel, for userspace: a lock that knows whether it is held, lists,
 * and in place of the interval tree a list of all that is in it.
 */
#ifndef UNIT_RANGE_KERNEL_H
#define UNIT_RANGE_KERNEL_H

#include <stdlib.h>

#include "kernel.h"

#define likely(x)	(x)
#ifndef __always_inline
#define __always_inline	inline __attribute__((__always_inline__))
#endif
#ifndef BIT
#define BIT(n)		(1UL << (n))
#endif
#define container_of(p, type, member)	((type *)((char *)(p) - offsetof(type, member)))

typedef struct {
	int held;
} spinlock_t;

static inline void spin_lock_init(spinlock_t *lock)
{
	lock->held = 0;
}

/* Nobody else is there: to find it held is a mistake. */
static inline void test_lock(spinlock_t *lock, int from)
{
	if (lock->held != from)
		abort();
	lock->held = !from;
}

#define spin_lock_irqsave(lock, flags)		(test_lock(lock, 0), (flags) = 0)
#define spin_unlock_irqrestore(lock, flags)	(test_lock(lock, 1), (void)(flags))

struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

#define INIT_HLIST_HEAD(head)	((head)->first = NULL)
#define hlist_for_each_entry(pos, head, member)						\
	for (struct hlist_node *n_ = (head)->first;					\
	     n_ && (pos = container_of(n_, __typeof__(*pos), member)); n_ = n_->next)

static inline void hlist_add_head(struct hlist_node *node, struct hlist_head *head)
{
	node->next = head->first;
	if (node->next)
		node->next->pprev = &node->next;
	head->first = node;
	node->pprev = &head->first;
}

static inline void __hlist_del(struct hlist_node *node)
{
	*node->pprev = node->next;
	if (node->next)
		node->next->pprev = node->pprev;
}

static inline u32 hash_64(u64 value, unsigned int bits)
{
	return value * 0x61C8864680B583EBull >> (64 - bits);
}

struct rb_node {
	struct rb_node *next, *previous;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
};

#define RB_ROOT_CACHED		((struct rb_root_cached) { .rb_root.rb_node = NULL })
#define RB_EMPTY_ROOT(root)	(!(root)->rb_node)

#define INTERVAL_TREE_DEFINE(type, member, value, subtree, first, final, scope, name)		\
scope void name##_insert(type *one, struct rb_root_cached *root)				\
{												\
	one->member.next = root->rb_root.rb_node;						\
	one->member.previous = NULL;								\
	if (one->member.next)									\
		one->member.next->previous = &one->member;					\
	root->rb_root.rb_node = &one->member;							\
}												\
scope void name##_remove(type *one, struct rb_root_cached *root)				\
{												\
	if (one->member.previous)								\
		one->member.previous->next = one->member.next;					\
	else											\
		root->rb_root.rb_node = one->member.next;					\
	if (one->member.next)									\
		one->member.next->previous = one->member.previous;				\
}												\
scope type *name##_look(struct rb_node *node, value start, value last)				\
{												\
	for (; node; node = node->next) {							\
		type *one = container_of(node, type, member);					\
												\
		if (first(one) <= last && start <= final(one))					\
			return one;								\
	}											\
	return NULL;										\
}												\
scope type *name##_iter_first(struct rb_root_cached *root, value start, value last)		\
{												\
	return name##_look(root->rb_root.rb_node, start, last);					\
}												\
scope type *name##_iter_next(type *one, value start, value last)				\
{												\
	return name##_look(one->member.next, start, last);					\
}

#endif
