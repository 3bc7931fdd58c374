// SPDX-License-Identifier: GPL-2.0-only
/* 6.11: the integrity profile is part of the queue limits instead of registered with the disk. */
#include <linux/blkdev.h>

void probe(struct queue_limits *limits);
void probe(struct queue_limits *limits)
{
	limits->integrity.tuple_size = 1;
}
