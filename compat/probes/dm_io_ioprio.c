// SPDX-License-Identifier: GPL-2.0-only
/* 6.9, and stable kernels it was ported to: dm_io() takes an I/O priority. */
#include <linux/dm-io.h>

int probe(struct dm_io_request *req, struct dm_io_region *region);
int probe(struct dm_io_request *req, struct dm_io_region *region)
{
	return dm_io(req, 1, region, NULL, 0);
}
