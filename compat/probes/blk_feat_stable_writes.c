// SPDX-License-Identifier: GPL-2.0-only
/* 6.11: stable pages are a feature in the queue limits instead of a queue flag. */
#include <linux/blkdev.h>

void probe(struct queue_limits *limits);
void probe(struct queue_limits *limits)
{
	limits->features |= BLK_FEAT_STABLE_WRITES;
}
