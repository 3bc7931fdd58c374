// SPDX-License-Identifier: GPL-2.0-only
/* 6.11: a target says that its bios have payloads, whose copies get a pool. */
#include <linux/device-mapper.h>

void probe(struct dm_target *ti);
void probe(struct dm_target *ti)
{
	ti->mempool_needs_integrity = true;
}
