// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mode R: what is on the disk, as it is. Nothing is replayed, recalculated or verified, and nothing
 * is written, also not the superblock (sections 1.6, 5.3, 6.5, 9): for volumes that cannot be used
 * in any other way, to take from them what can be had.
 *
 * The device is read-only, which io.c, tags.c and superblock.c keep to. Reads take no lock: there
 * is nobody who writes.
 */
#include "dm-integrity.h"

static int recovery_read(struct integrity_io *io)
{
	struct bio *bio = integrity_io_bio(io);

	/* Tags from above are for who is above to verify; here they are only fetched. */
	if (!io->ic->tags.hash)
		return integrity_direct_read(io);
	bio_set_dev(bio, io->ic->data_dev->bdev);
	bio->bi_iter.bi_sector = integrity_data_sector(&io->ic->layout, io->sector);
	return DM_MAPIO_REMAPPED;
}

static int recovery_write(struct integrity_io *io)
{
	/* io.c refuses it before. */
	return DM_MAPIO_KILL;
}

const struct integrity_mode integrity_mode_recovery = {
	.letter = 'R',
	.as_it_is = true,
	.read = recovery_read,
	.write = recovery_write,
	.flush = integrity_flush,
	.commit = integrity_tags_flush,
	.stop = integrity_flush,
};
