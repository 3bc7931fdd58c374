// SPDX-License-Identifier: GPL-2.0-only
/* 6.5: block devices are opened with a blk_mode_t instead of an fmode_t. */
#include <linux/blkdev.h>
#include <linux/device-mapper.h>

bool probe(struct dm_table *t);
bool probe(struct dm_table *t)
{
	blk_mode_t mode = dm_table_get_mode(t);

	return mode & BLK_OPEN_WRITE;
}
