// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tags that come with a bio, for volumes without internal_hash (section 3.2).
 *
 * The upper layer, dm-crypt, sends each bio with a payload of tag_size bytes a block. A write's
 * tags are stored as they are; a read's payload is filled with what is stored. Nothing is verified
 * here. A bio may come without a payload: a read is then one of data alone.
 *
 * The payload is the bio's own, and nobody else touches it while the bio is ours: no lock.
 */
#include <linux/highmem.h>

#include "dm-integrity.h"

bool integrity_payload_fits(struct integrity_io *io)
{
	const struct integrity_layout *l = &io->ic->layout;
	struct bio_integrity_payload *bip = bio_integrity(integrity_io_bio(io));

	return bip->bip_iter.bi_size == (io->sectors >> l->log2_sectors_per_block) * l->tag_size;
}

/* The tag's bytes may lie in several pages. */
static void copy(struct integrity_io *io, u64 sector, u8 *to, const u8 *from)
{
	const struct integrity_layout *l = &io->ic->layout;
	struct bio_integrity_payload *bip = io->saved.integrity;
	struct bvec_iter iter = bip->bip_iter;
	unsigned int left = l->tag_size, len;

	bvec_iter_advance(bip->bip_vec, &iter,
			  ((sector - io->sector) >> l->log2_sectors_per_block) * l->tag_size);
	for (; left; left -= len, bvec_iter_advance(bip->bip_vec, &iter, len)) {
		struct bio_vec bv = bvec_iter_bvec(bip->bip_vec, iter);

		len = min(bv.bv_len, left);
		bv.bv_len = len;
		if (to) {
			memcpy_from_bvec(to, &bv);
			to += len;
		} else {
			memcpy_to_bvec(&bv, from);
			from += len;
		}
	}
}

void integrity_payload_get(struct integrity_io *io, u64 sector, u8 *tag)
{
	copy(io, sector, tag, NULL);
}

void integrity_payload_put(struct integrity_io *io, u64 sector, const u8 *tag)
{
	copy(io, sector, NULL, tag);
}
