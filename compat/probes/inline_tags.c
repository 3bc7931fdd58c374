// SPDX-License-Identifier: GPL-2.0-only
/*
 * 6.11: integrity metadata of a device that is not protection information is for whoever sends the
 * bio, and the profile in the queue limits says that it is none. Before, drivers gave such metadata
 * a profile of their own, or none.
 */
#include <linux/bio.h>
#include <linux/blk-integrity.h>
#include <linux/blkdev.h>

bool probe(struct block_device *bdev, struct bio *bio, struct bio_integrity_payload *bip,
	   struct bio_vec *vec);
bool probe(struct block_device *bdev, struct bio *bio, struct bio_integrity_payload *bip,
	   struct bio_vec *vec)
{
	struct blk_integrity *bi = bdev_get_integrity(bdev);

	bip->bip_bio = bio;
	bip->bip_vec = vec;
	bip->bip_vcnt = 1;
	bip->bip_max_vcnt = 1;
	bip->bip_iter.bi_size = bi->tuple_size << bi->interval_exp;
	return bi->csum_type == BLK_INTEGRITY_CSUM_NONE;
}
