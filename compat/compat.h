/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between the kernels that this module is built for, and nothing else.
 *
 * COMPAT_* macros come from compat/Makefile.probe, each from the probe of that name, which says
 * which change caused it. To support another difference: add a probe, name it in compat-names,
 * and give both sides one name here.
 */
#ifndef DM_INTEGRITY_COMPAT_H
#define DM_INTEGRITY_COMPAT_H

#include <linux/audit.h>
#include <linux/blk-integrity.h>
#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/dm-io.h>
#include <linux/fs.h>
#include <linux/ioprio.h>
#include <linux/sched/mm.h>

#ifndef COMPAT_BASELINE
#error "compat/Makefile.probe could not compile its baseline: the probes say nothing on this kernel"
#endif

static inline int compat_dm_io(struct dm_io_request *req, struct dm_io_region *region)
{
#ifdef COMPAT_DM_IO_IOPRIO
	return dm_io(req, 1, region, NULL, IOPRIO_DEFAULT);
#else
	return dm_io(req, 1, region, NULL);
#endif
}

/*
 * A bio_set's cache for each CPU, whose bios may end in interrupt context: not before 6.2, which
 * nothing that compiles tells; what does came with 6.5.
 */
#ifdef COMPAT_BLK_MODE
#define COMPAT_BIOSET_CACHE	BIOSET_PERCPU_CACHE
#define COMPAT_REQ_CACHE	REQ_ALLOC_CACHE
#else
#define COMPAT_BIOSET_CACHE	0
#define COMPAT_REQ_CACHE	0
#endif

static inline bool compat_table_writable(struct dm_table *t)
{
#ifdef COMPAT_BLK_MODE
	return dm_table_get_mode(t) & BLK_OPEN_WRITE;
#else
	return dm_table_get_mode(t) & FMODE_WRITE;
#endif
}

/*
 * Ask the page cache not to change pages under write: in the limits where the kernel has it
 * there ...
 */
static inline void compat_limits_stable_writes(struct queue_limits *limits)
{
#ifdef COMPAT_BLK_FEAT_STABLE_WRITES
	limits->features |= BLK_FEAT_STABLE_WRITES;
#endif
}

/*
 * ... and on the mapped device's queue, after the core has set its flags from the devices below,
 * where it is a flag.
 */
static inline void compat_queue_stable_writes(struct request_queue *q)
{
#ifndef COMPAT_BLK_FEAT_STABLE_WRITES
	blk_queue_flag_set(QUEUE_FLAG_STABLE_WRITES, q);
#endif
}

/*
 * Say that each block has @tag_size bytes of integrity data that come with the bio, made by
 * whoever is above: in the limits where the kernel has it there ...
 */
static inline void compat_limits_integrity(struct queue_limits *limits, unsigned int tag_size,
					   unsigned int interval_exp)
{
#ifdef COMPAT_LIMITS_INTEGRITY
	limits->integrity.tuple_size = tag_size;
	limits->integrity.tag_size = tag_size;
	limits->integrity.interval_exp = interval_exp;
	limits->max_integrity_segments = USHRT_MAX;
#endif
}

/* ... and in the disk's profile, by the name that dm-crypt looks for, where it is there. */
static inline void compat_register_integrity(struct gendisk *disk, unsigned int tag_size,
					     unsigned int interval_exp)
{
#ifndef COMPAT_LIMITS_INTEGRITY
	static const struct blk_integrity_profile profile = { .name = "DM-DIF-EXT-TAG" };
	struct blk_integrity integrity = {
		.profile = &profile,
		.tuple_size = tag_size,
		.tag_size = tag_size,
		.interval_exp = interval_exp,
	};

	blk_integrity_register(disk, &integrity);
	blk_queue_max_integrity_segments(disk->queue, USHRT_MAX);
#endif
}

/* Bios come with payloads: the core's copies of those are from a pool, where it has one. */
static inline void compat_payload_pool(struct dm_target *ti)
{
#ifdef COMPAT_MEMPOOL_NEEDS_INTEGRITY
	ti->mempool_needs_integrity = true;
#endif
}

/*
 * Version of the target, 1.x: that of the in-tree target which knows the same words, because tools
 * conclude from it what they may use.
 */
#ifdef COMPAT_INLINE_TAGS
#define COMPAT_TARGET_MINOR	13	/* mode I, with recalculation */
#else
#define COMPAT_TARGET_MINOR	10
#endif

/* What a device's integrity metadata is. */
struct compat_profile {
	unsigned int tuple_size;	/* bytes an interval; 0 for none */
	unsigned int interval;		/* bytes */
	bool protection;		/* has a meaning of its own, to the device or the kernel */
};

/* A payload and its only segment, to be embedded in something that lives as long as the I/O. */
struct compat_payload {
	struct bio_vec vec;
#ifdef COMPAT_INLINE_TAGS
	struct bio_integrity_payload bip;	/* ends with an array: last */
#endif
};

/* Can a bio bring tags of ours to the metadata of a device: mode I. */
#ifdef COMPAT_INLINE_TAGS
static inline bool compat_have_inline_tags(void)
{
	return true;
}

static inline void compat_get_profile(struct block_device *bdev, struct compat_profile *p)
{
	struct blk_integrity *bi = bdev_get_integrity(bdev);

	memset(p, 0, sizeof(*p));
	if (bi) {
		p->tuple_size = bi->tuple_size;
		p->interval = 1U << bi->interval_exp;
		p->protection = bi->csum_type != BLK_INTEGRITY_CSUM_NONE;
	}
}

/*
 * Let @len bytes at @data, within one page, be the metadata of @bio, which begins at @sector of the
 * device. It must not be freed, nor end for who sent it to us, before compat_payload_detach().
 */
static inline void compat_payload_attach(struct bio *bio, struct compat_payload *p, void *data,
					 unsigned int len, sector_t sector)
{
	memset(p, 0, sizeof(*p));
	bvec_set_virt(&p->vec, data, len);
	p->bip.bip_bio = bio;
	p->bip.bip_vec = &p->vec;
	p->bip.bip_vcnt = 1;
	p->bip.bip_max_vcnt = 1;
	p->bip.bip_iter.bi_size = len;
	p->bip.bip_iter.bi_sector = sector;
	bio->bi_integrity = &p->bip;
	bio->bi_opf |= REQ_INTEGRITY;
}

static inline void compat_payload_detach(struct bio *bio)
{
	bio->bi_integrity = NULL;
	bio->bi_opf &= ~REQ_INTEGRITY;
}
#else
static inline bool compat_have_inline_tags(void)
{
	return false;
}

static inline void compat_get_profile(struct block_device *bdev, struct compat_profile *p)
{
	memset(p, 0, sizeof(*p));
}

static inline void compat_payload_attach(struct bio *bio, struct compat_payload *p, void *data,
					 unsigned int len, sector_t sector)
{
}

static inline void compat_payload_detach(struct bio *bio)
{
}
#endif

/*
 * dm-mod exports these, but their header (drivers/md/dm-audit.h) is not installed with the
 * kernel's headers.
 */
#ifdef CONFIG_DM_AUDIT
void dm_audit_log_bio(const char *dm_msg_prefix, const char *op, struct bio *bio, sector_t sector,
		      int result);
void dm_audit_log_ti(int audit_type, const char *dm_msg_prefix, const char *op,
		     struct dm_target *ti, int result);

static inline void compat_audit_bio(const char *prefix, const char *op, struct bio *bio,
				    sector_t sector, int result)
{
	/* It allocates, and the caller may hold a range that reclaim would wait for. */
	unsigned int flags = memalloc_noio_save();

	dm_audit_log_bio(prefix, op, bio, sector, result);
	memalloc_noio_restore(flags);
}

static inline void compat_audit_control(const char *prefix, const char *op, struct dm_target *ti,
					int result)
{
	dm_audit_log_ti(AUDIT_DM_CTRL, prefix, op, ti, result);
}

static inline void compat_audit_event(const char *prefix, const char *op, struct dm_target *ti,
				      int result)
{
	dm_audit_log_ti(AUDIT_DM_EVENT, prefix, op, ti, result);
}
#else
static inline void compat_audit_bio(const char *prefix, const char *op, struct bio *bio,
				    sector_t sector, int result)
{
}

static inline void compat_audit_control(const char *prefix, const char *op, struct dm_target *ti,
					int result)
{
}

static inline void compat_audit_event(const char *prefix, const char *op, struct dm_target *ti,
				      int result)
{
}
#endif

#endif
