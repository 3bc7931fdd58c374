// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target "integrity": constructor and destructor, suspend and resume, limits, status, module.
 *
 * The constructor opens the devices, reads and validates the superblock (or formats a volume),
 * and allocates; it starts nothing. Another table may be live on the same disk until the resume,
 * so preresume reads the superblock again, checks that it is still the same volume, computes the
 * size anew from the devices and stores what changed. It can refuse, so that a failed activation
 * is seen as one. The destructor takes down in the reverse order what the constructor built,
 * also when that was only a part.
 */
#include <linux/module.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/slab.h>

#include "dm-integrity.h"

#define DEFAULT_LOG2_BUFFER	7	/* sectors */

/* --- failure and events --- */

static void event_work(struct work_struct *work)
{
	struct dm_integrity_c *ic = container_of(work, struct dm_integrity_c, event_work);

	dm_table_event(ic->ti->table);
}

void integrity_event(struct dm_integrity_c *ic)
{
	schedule_work(&ic->event_work);
}

void integrity_fail(struct dm_integrity_c *ic, const char *what, int error)
{
	if (atomic_cmpxchg(&ic->failed, 0, error))
		return;
	DMERR("%s: Error on %s: %d; the device serves no more I/O until a table is loaded again",
	      integrity_name(ic), what, error);
	if (ic->mode->failed)
		ic->mode->failed(ic);
	integrity_event(ic);
}

#define REBOOT_SECONDS	30	/* that saving may keep the machine waiting */

static void reboot_work(struct work_struct *work)
{
	struct dm_integrity_c *ic = container_of(work, struct dm_integrity_c, reboot_work);

	integrity_recalc_reboot(ic);
	complete(&ic->reboot_done);
}

static int reboot_notify(struct notifier_block *nb, unsigned long code, void *data)
{
	struct dm_integrity_c *ic = container_of(nb, struct dm_integrity_c, reboot);

	/* Nobody suspends us on the way down. But a disk that does not answer must not stop it. */
	reinit_completion(&ic->reboot_done);
	schedule_work(&ic->reboot_work);
	if (!wait_for_completion_timeout(&ic->reboot_done, REBOOT_SECONDS * HZ))
		DMERR("%s: gave up saving position and tags at reboot", integrity_name(ic));
	return NOTIFY_DONE;
}

/* --- constructor --- */

/*
 * The core prints ti->error when the constructor has returned, so the text must outlive the
 * device. A few are kept; who fails so often at the same time sees another failure's text.
 */
#define NR_ERRORS	16
#define ERROR_SIZE	200

static char *error_text(void)
{
	static char texts[NR_ERRORS][ERROR_SIZE];
	static atomic_t next = ATOMIC_INIT(0);

	return texts[(unsigned int)atomic_inc_return(&next) % NR_ERRORS];
}

static __printf(2, 3) void explain(char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, ERROR_SIZE, format, args);
	va_end(args);
}

static int open_devices(struct dm_integrity_c *ic, const struct integrity_params *p, char *why)
{
	unsigned int lbs;
	int r;

	r = dm_get_device(ic->ti, p->device, dm_table_get_mode(ic->ti->table), &ic->data_dev);
	if (r) {
		explain(why, "cannot open device '%s' (error %d)", p->device, r);
		return r;
	}
	if (p->meta_device) {
		r = dm_get_device(ic->ti, p->meta_device, dm_table_get_mode(ic->ti->table),
				  &ic->meta_dev);
		if (r) {
			explain(why, "meta_device: cannot open '%s' (error %d)",
				p->meta_device, r);
			return r;
		}
	}
	lbs = max(bdev_logical_block_size(ic->data_dev->bdev),
		  bdev_logical_block_size(integrity_meta_bdev(ic)));
	if (lbs > INTEGRITY_SB_BYTES) {
		explain(why, "devices with logical blocks above %u bytes are not supported",
			INTEGRITY_SB_BYTES);
		return -EINVAL;
	}
	/* Or no read of one device block would be one of whole blocks. */
	lbs = bdev_logical_block_size(integrity_meta_bdev(ic));
	if (p->start & ((lbs >> SECTOR_SHIFT) - 1)) {
		explain(why, "start: %llu is not a multiple of the device's logical block of %u bytes",
			p->start, lbs);
		return -EINVAL;
	}
	ic->read_only = !compat_table_writable(ic->ti->table) ||
			bdev_read_only(ic->data_dev->bdev) ||
			bdev_read_only(integrity_meta_bdev(ic)) || ic->mode->as_it_is;
	return 0;
}

static const struct integrity_mode *mode_of(char letter)
{
	static const struct integrity_mode * const modes[] = {
		&integrity_mode_journal, &integrity_mode_bitmap, &integrity_mode_direct,
		&integrity_mode_recovery, &integrity_mode_inline,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		if (modes[i]->letter == letter)
			return modes[i];
	return NULL;
}

/* What cannot be done on this kernel. */
static int check_supported(const struct integrity_mode *mode, char *why)
{
	if (!mode->inline_tags || compat_have_inline_tags())
		return 0;
	explain(why,
		"mode I is not possible on this kernel: only from Linux 6.11 on can tags be in a device's own integrity metadata");
	return -EOPNOTSUPP;
}

/* What the table said, key included, to be printed. */
static int keep_word(char **word, const struct integrity_alg_param *alg)
{
	if (!alg->spec)
		return 0;
	*word = kstrdup(alg->spec, GFP_KERNEL);
	return *word ? 0 : -ENOMEM;
}

static int setup_hashes(struct dm_integrity_c *ic, const struct integrity_params *p, char *why)
{
	int r;

	if (p->internal_hash.spec) {
		r = integrity_alloc_hash(&ic->tags.hash, &p->internal_hash, "internal_hash", why,
					 ERROR_SIZE);
		if (r)
			return r;
		ic->tags.digest_size = crypto_shash_digestsize(ic->tags.hash);
	}
	ic->layout.tag_size = p->tag_size ?: ic->tags.digest_size;
	if (!ic->layout.tag_size) {
		explain(why, "internal_hash: '%.*s' has no digest, so tag_size '-' means nothing",
			(int)p->internal_hash.name_len, p->internal_hash.spec);
		return -EINVAL;
	}

	if (p->journal_mac.spec) {
		r = integrity_alloc_hash(&ic->mac, &p->journal_mac, "journal_mac", why, ERROR_SIZE);
		if (r)
			return r;
	}
	r = keep_word(&ic->internal_hash, &p->internal_hash);
	if (!r)
		r = keep_word(&ic->journal_mac, &p->journal_mac);
	if (!r)
		r = keep_word(&ic->journal_crypt, &p->journal_crypt);
	if (r)
		explain(why, "out of memory");
	return r;
}

/* What is known of the layout before the superblock is read. */
static void begin_layout(struct dm_integrity_c *ic, const struct integrity_params *p)
{
	struct integrity_layout *l = &ic->layout;
	unsigned int lbs = bdev_logical_block_size(integrity_meta_bdev(ic));

	l->start = p->start;
	l->data_sectors = bdev_nr_sectors(ic->data_dev->bdev);
	l->meta_sectors = bdev_nr_sectors(integrity_meta_bdev(ic));
	l->log2_sectors_per_block = ilog2(p->block_size >> SECTOR_SHIFT);
	l->log2_buffer = p->have_buffer_sectors ? ilog2(p->buffer_sectors) : DEFAULT_LOG2_BUFFER;
	l->log2_buffer = min_t(u8, l->log2_buffer, INTEGRITY_MAX_LOG2_BUFFER);
	l->min_log2_buffer = ilog2(lbs >> SECTOR_SHIFT);
	l->log2_buffer = max(l->log2_buffer, l->min_log2_buffer);
	l->separate = ic->meta_dev;
	l->journal_mac = ic->mac;
	l->inline_mode = ic->mode->inline_tags;
}

static int layout_error(struct dm_integrity_c *ic, int r, char *why)
{
	const struct integrity_layout *l = &ic->layout;

	if (r == -ENOSPC)
		explain(why, "the device is too small: %llu sectors, metadata on %llu, start %llu",
			l->data_sectors, l->meta_sectors, l->start);
	else if (r)
		explain(why,
			"no layout is possible with tag_size %u, block_size %u, %u journal sections, start %llu",
			l->tag_size, integrity_block_bytes(l), l->journal_sections, l->start);
	return r;
}

/*
 * A new volume: its geometry and superblock, in memory. Nothing is written before the table has
 * passed every check: what lies there is not ours yet.
 */
static int plan_format(struct dm_integrity_c *ic, const struct integrity_params *p, char *why)
{
	struct integrity_superblock *sb = ic->sb.image;
	struct integrity_layout *l = &ic->layout;
	u32 flags = 0;
	int r;

	if (ic->read_only && !ic->mode->as_it_is) {
		explain(why, "the superblock is blank, and a read-only device cannot be formatted");
		return -EROFS;
	}
	l->fix_padding = p->fix_padding && !l->separate;
	r = integrity_layout_format(l, p->journal_sectors, p->have_journal_sectors,
				    p->interleave_sectors);
	if (r)
		return layout_error(ic, r, why);

	if (ic->mac)
		flags |= INTEGRITY_SB_HAVE_JOURNAL_MAC;
	if (l->inline_mode)
		flags |= INTEGRITY_SB_INLINE;
	if (l->fix_padding)
		flags |= INTEGRITY_SB_FIXED_PADDING;
	if (p->fix_hmac && (ic->tags.hash || ic->mac)) {
		flags |= INTEGRITY_SB_FIXED_HMAC;
		get_random_bytes(sb->salt, sizeof(sb->salt));
	}
	memcpy(sb->magic, INTEGRITY_SB_MAGIC, sizeof(sb->magic));
	sb->log2_interleave_sectors = l->log2_interleave;
	sb->tag_size = cpu_to_le16(l->tag_size);
	sb->journal_sections = cpu_to_le32(l->journal_sections);
	sb->flags = cpu_to_le32(flags);
	sb->log2_sectors_per_block = l->log2_sectors_per_block;
	ic->sb.log2_blocks_per_bit = integrity_bitmap_log2(l, p->sectors_per_bit);
	ic->sb.discard_keyed = p->allow_discards_keyed;

	if (ic->mac && p->fix_hmac &&
	    sizeof(*sb) + crypto_shash_digestsize(ic->mac) > INTEGRITY_SECTOR_SIZE) {
		explain(why, "journal_mac: a MAC of %u bytes does not fit the superblock",
			crypto_shash_digestsize(ic->mac));
		return -EINVAL;
	}
	if (ic->mode->as_it_is) {
		ic->made_up = true;
		DMWARN("%s: there is no superblock: going by the table alone, %llu sectors",
		       integrity_name(ic), l->provided_sectors);
		return 0;
	}
	if (!l->journal_sections)
		return 0;
	return integrity_journal_init(ic, &p->journal_crypt, why, ERROR_SIZE);
}

/* Write what was planned: an empty journal, then the superblock (section 1.6). */
static int format(struct dm_integrity_c *ic, char *why)
{
	const struct integrity_layout *l = &ic->layout;
	int r;

	if (l->journal_sections) {
		r = integrity_journal_format(ic);
		if (r) {
			explain(why, "cannot write the journal while formatting (error %d)", r);
			return r;
		}
	}
	r = integrity_sb_store(ic, false, 0);
	if (r) {
		explain(why, "cannot write the superblock while formatting (error %d)",
			r);
		return r;
	}
	ic->formatted = true;
	DMINFO("%s: formatted: %llu sectors, tag size %u, block size %u", integrity_name(ic),
	       l->provided_sectors, l->tag_size, integrity_block_bytes(l));
	return 0;
}

/* An existing volume: its superblock is read and valid. */
static int open_volume(struct dm_integrity_c *ic, const struct integrity_params *p, char *why)
{
	const struct integrity_superblock *sb = ic->sb.image;
	struct integrity_layout *l = &ic->layout;
	u32 flags = le32_to_cpu(sb->flags);
	int r;

	l->journal_sections = le32_to_cpu(sb->journal_sections);
	l->log2_interleave = sb->log2_interleave_sectors;
	l->fix_padding = flags & INTEGRITY_SB_FIXED_PADDING;
	if ((flags & INTEGRITY_SB_RECALCULATING) && !ic->tags.hash && !ic->mode->as_it_is) {
		explain(why,
			"the superblock says that tags are to be recalculated, which needs internal_hash");
		return -EINVAL;
	}
	r = integrity_layout_fit(l);
	if (r)
		return layout_error(ic, r, why);
	if (ic->mode->as_it_is || !l->journal_sections)
		return 0;
	return integrity_journal_init(ic, &p->journal_crypt, why, ERROR_SIZE);
}

static int check_table(struct dm_integrity_c *ic, const struct integrity_params *p, char *why)
{
	bool flag = integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING;
	u64 sector = flag ? le64_to_cpu(ic->sb.image->recalc_sector) : 0;
	const struct integrity_layout *l = &ic->layout;
	u64 unit = integrity_pass_unit(ic);
	int r;

	if (ic->ti->begin) {
		explain(why, "the target must begin at sector 0, not %llu",
			(u64)ic->ti->begin);
		return -EINVAL;
	}
	if (ic->ti->len > l->provided_sectors) {
		explain(why,
			"the table's length of %llu sectors is more than the %llu that the volume provides",
			(u64)ic->ti->len, l->provided_sectors);
		return -EINVAL;
	}
	/* The core would say so only when all is written. */
	if (ic->ti->len & (unit - 1)) {
		explain(why, "the table's length of %llu sectors is not a multiple of a block's %llu",
			(u64)ic->ti->len, unit);
		return -EINVAL;
	}
	if (integrity_data_sector(l, 0) & (unit - 1)) {
		explain(why, "start: data would begin at sector %llu, not a multiple of a block's %llu",
			integrity_data_sector(l, 0), unit);
		return -EINVAL;
	}
	if (l->separate && ic->meta_dev->bdev == ic->data_dev->bdev && ic->ti->len > l->start) {
		explain(why,
			"meta_device: '%s' is the data device itself, and its sectors from %llu on would be data and metadata",
			p->meta_device, l->start);
		return -EINVAL;
	}
	/* Nothing will be recalculated. */
	if (ic->mode->as_it_is)
		return 0;
	if (p->reset_recalculate)
		sector = 0;
	if (flag && ic->sb.bitmap_in_use && !p->reset_recalculate &&
	    integrity_recovery_permitted(ic))
		return 0;
	/* Nobody will write the new end of what was complete: it is verified like the rest. */
	if (ic->read_only && flag && !p->reset_recalculate &&
	    sector >= le64_to_cpu(ic->sb.image->provided_data_sectors))
		return 0;
	if ((flag || p->recalculate) && sector < l->provided_sectors) {
		r = integrity_recalc_permitted(ic);
		if (r) {
			explain(why,
				"recalculate: a keyed hash needs a protected superblock (journal_mac with a key, and fix_hmac) or legacy_recalculate");
			return r;
		}
	}
	return 0;
}

static void integrity_dtr(struct dm_target *ti)
{
	struct dm_integrity_c *ic = ti->private;

	if (!ic)
		return;
	if (ic->reboot.notifier_call)
		unregister_reboot_notifier(&ic->reboot);
	cancel_work_sync(&ic->reboot_work);
	/* Workers and the last of them may still be about to announce something. */
	integrity_recalc_exit(ic);
	integrity_bitmap_exit(ic);
	integrity_inline_exit(ic);
	integrity_io_exit(ic);
	integrity_journal_exit(ic);
	/* Who waits for the event is told: the device may go on with another table. */
	flush_work(&ic->event_work);
	integrity_tags_exit(ic);
	integrity_sb_exit(ic);
	if (ic->mac)
		crypto_free_shash(ic->mac);
	if (ic->io)
		dm_io_client_destroy(ic->io);
	if (ic->meta_dev)
		dm_put_device(ti, ic->meta_dev);
	if (ic->data_dev)
		dm_put_device(ti, ic->data_dev);
	kfree_sensitive(ic->internal_hash);
	kfree_sensitive(ic->journal_mac);
	kfree_sensitive(ic->journal_crypt);
	ti->private = NULL;
	kfree_sensitive(ic);
}

static void integrity_target_dtr(struct dm_target *ti)
{
	compat_audit_control(DM_MSG_PREFIX, "dtr", ti, 1);
	integrity_dtr(ti);
}

static int allocate(struct dm_integrity_c *ic, char *why)
{
	int r;

	r = integrity_io_init(ic);
	if (!r)
		r = integrity_recalc_init(ic);
	if (!r)
		r = integrity_sb_init(ic);
	if (!r) {
		ic->io = dm_io_client_create();
		if (IS_ERR(ic->io)) {
			r = PTR_ERR(ic->io);
			ic->io = NULL;
		}
	}
	if (r)
		explain(why, "out of memory");
	return r;
}

static void set_target(struct dm_integrity_c *ic)
{
	struct dm_target *ti = ic->ti;

	ti->num_flush_bios = 1;
	ti->flush_supported = true;
	ti->per_io_data_size = sizeof(struct integrity_io);
	if (!ic->tags.hash)
		compat_payload_pool(ti);
	/* And the core asks whether the data device can. */
	if (ic->tags.discards && ic->mode->discard)
		ti->num_discard_bios = 1;
}

static int construct(struct dm_integrity_c *ic, struct integrity_params *p, char *why)
{
	bool blank;
	int r;

	ic->mode = mode_of(p->mode);
	r = check_supported(ic->mode, why);
	if (!r)
		r = allocate(ic, why);
	if (!r)
		r = open_devices(ic, p, why);
	if (!r)
		r = setup_hashes(ic, p, why);
	if (r)
		return r;

	begin_layout(ic, p);
	ic->params = *p;
	ic->tags.discards = p->allow_discards;
	ic->tags.discards_keyed = p->allow_discards_keyed;
	ic->commit_time = p->commit_time;
	ic->recalc_pending = p->recalculate;

	if (ic->mode->inline_tags) {
		r = integrity_inline_init(ic, why, ERROR_SIZE);
		if (r)
			return r;
	}
	if (ic->mode->keeps_bitmap) {
		r = integrity_bitmap_init(ic);
		if (r) {
			explain(why, "out of memory for the bitmap");
			return r;
		}
	}
	r = integrity_sb_load(ic, &blank, why, ERROR_SIZE);
	if (!r)
		r = blank ? plan_format(ic, p, why) : open_volume(ic, p, why);
	if (!r)
		r = check_table(ic, p, why);
	if (r)
		return r;
	integrity_tags_set_salt(ic);
	integrity_bitmap_geometry(&ic->layout, p->sectors_per_bit, &ic->bitmap.g);

	/*
	 * Only now, when the arguments are gone soon: what points into them is not to be used
	 * any more.
	 */
	ic->params.device = NULL;
	ic->params.meta_device = NULL;
	ic->params.internal_hash.spec = NULL;
	ic->params.internal_hash.hexkey = NULL;
	ic->params.journal_mac.spec = NULL;
	ic->params.journal_mac.hexkey = NULL;
	ic->params.journal_crypt.spec = NULL;
	ic->params.journal_crypt.hexkey = NULL;

	r = integrity_tags_init(ic);
	if (r) {
		explain(why, "cannot create the buffers of the tags (error %d)", r);
		return r;
	}
	if (ic->layout.metadata_run) {
		r = dm_set_target_max_io_len(ic->ti, 1ULL << ic->layout.log2_interleave);
		if (r) {
			explain(why, "cannot split I/O at 2^%u sectors",
				ic->layout.log2_interleave);
			return r;
		}
	}
	ic->copied_sectors = INTEGRITY_IO_TAG_BYTES / ic->layout.tag_size *
			     integrity_block_sectors(&ic->layout);
	ic->small_sectors = ic->copied_sectors;
	if (ic->tags.hash)
		ic->small_sectors = min(ic->small_sectors, INTEGRITY_SMALL_SECTORS);
	set_target(ic);

	ic->reboot.notifier_call = reboot_notify;
	r = register_reboot_notifier(&ic->reboot);
	if (r) {
		ic->reboot.notifier_call = NULL;
		explain(why, "cannot register for reboot (error %d)", r);
		return r;
	}
	return blank && !ic->made_up ? format(ic, why) : 0;
}

static int integrity_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct integrity_params params;
	struct dm_integrity_c *ic;
	char *why = error_text();
	int r;

	ti->error = why;
	strscpy(why, "out of memory", ERROR_SIZE);
	r = integrity_params_parse(&params, argc, argv, why, ERROR_SIZE);
	if (r)
		goto out;

	r = -ENOMEM;
	ic = kzalloc(sizeof(*ic), GFP_KERNEL);
	if (!ic)
		goto out;
	ic->ti = ti;
	ti->private = ic;
	/* Before anything can fail: the destructor cancels them. */
	INIT_WORK(&ic->event_work, event_work);
	INIT_WORK(&ic->reboot_work, reboot_work);
	init_completion(&ic->reboot_done);
	integrity_journal_setup(ic);
	integrity_bitmap_setup(ic);
	r = construct(ic, &params, why);
	if (r)
		integrity_dtr(ti);
	else
		ti->error = NULL;
out:
	compat_audit_control(DM_MSG_PREFIX, "ctr", ti, !r);
	return r;
}

/* --- suspend and resume --- */

static int integrity_preresume(struct dm_target *ti)
{
	struct dm_integrity_c *ic = ti->private;
	char why[ERROR_SIZE / 2], what[ERROR_SIZE];
	int r;

	/*
	 * It stays failed until a table is loaded, and writes nothing; the I/O of who had it live
	 * ends with the error.
	 */
	r = atomic_read(&ic->failed);
	if (r) {
		if (ic->activated)
			return 0;
		DMERR("%s: cannot resume: the first resume of this table failed; load it again",
		      integrity_name(ic));
		return r;
	}

	/* No message may come between what is read here and what is made of it. */
	mutex_lock(&ic->recalc.control);
	r = integrity_activate(ic, why, sizeof(why));
	mutex_unlock(&ic->recalc.control);
	if (!r)
		return 0;
	/*
	 * Tags that a replay stored, and could not flush, are not to be written when this table
	 * goes: another may be live then, and have newer ones.
	 */
	integrity_tags_drain(ic);
	/* Nor are those that were read good for the next try. */
	integrity_tags_forget(ic);
	if (ic->activated) {
		/* Left suspended, all above would wait for ever instead of getting an error. */
		snprintf(what, sizeof(what), "resuming: %s", why);
		integrity_fail(ic, what, r);
		return 0;
	}
	DMERR("%s: cannot resume: %s", integrity_name(ic), why);
	return r;
}

static void integrity_resume(struct dm_target *ti)
{
	struct dm_integrity_c *ic = ti->private;

	compat_queue_stable_writes(dm_disk(dm_table_get_md(ti->table))->queue);
	if (!ic->tags.hash)
		compat_register_integrity(dm_disk(dm_table_get_md(ti->table)), ic->layout.tag_size,
					  ic->layout.log2_sectors_per_block + SECTOR_SHIFT);
	integrity_recalc_resume(ic);
	ic->activated = true;
}

/* Before the core waits for the I/O in flight, which may wait for what the pass holds. */
static void integrity_presuspend(struct dm_target *ti)
{
	integrity_recalc_presuspend(ti->private);
}

static void integrity_presuspend_undo(struct dm_target *ti)
{
	integrity_recalc_presuspend_undo(ti->private);
}

static void integrity_postsuspend(struct dm_target *ti)
{
	struct dm_integrity_c *ic = ti->private;

	integrity_recalc_suspend(ic);
	integrity_commit_stop(ic);
	if (ic->mode->stop(ic)) {
		DMERR("%s: not everything could be written at suspend", integrity_name(ic));
		integrity_tags_drain(ic);
	}
}

/* --- the rest of the target --- */

static int integrity_map(struct dm_target *ti, struct bio *bio)
{
	return integrity_io_map(ti->private, bio);
}

static int integrity_message(struct dm_target *ti, unsigned int argc, char **argv, char *result,
			     unsigned int maxlen)
{
	struct dm_integrity_c *ic = ti->private;
	struct integrity_message m;
	char why[ERROR_SIZE / 2];
	int r;

	r = integrity_message_parse(&m, argc, argv, why, sizeof(why));
	if (r) {
		DMERR("%s: %s", integrity_name(ic), why);
		return r;
	}
	if (m.type == INTEGRITY_MSG_BAD_BLOCKS)
		return integrity_check_bad_blocks(ic, result, maxlen);
	return integrity_recalc_message(ic, &m);
}

static void table_view(struct dm_integrity_c *ic, struct integrity_table_view *v)
{
	const struct integrity_layout *l = &ic->layout;
	u32 flags = integrity_sb_flags(ic);

	memset(v, 0, sizeof(*v));
	v->device = ic->data_dev->name;
	v->meta_device = ic->meta_dev ? ic->meta_dev->name : NULL;
	v->start = l->start;
	v->tag_size = l->tag_size;
	v->mode = ic->mode->letter;
	v->block_size = integrity_block_bytes(l);
	v->recalculate = ic->params.recalculate || (flags & INTEGRITY_SB_RECALCULATING);
	v->reset_recalculate = ic->params.reset_recalculate;
	v->no_recalculate = ic->params.no_recalculate;
	v->allow_discards = ic->params.allow_discards;
	v->allow_discards_keyed = ic->params.allow_discards_keyed;
	v->journal_sectors = l->initial_sectors - INTEGRITY_SB_SECTORS;
	v->interleave_sectors = 1ULL << l->log2_interleave;
	v->buffer_sectors = 1ULL << l->log2_buffer;
	v->journal_watermark = integrity_journal_watermark(l, ic->params.journal_watermark);
	v->commit_time = ic->commit_time;
	v->sectors_per_bit = 1ULL << ic->bitmap.g.log2_sectors_per_bit;
	v->bitmap_flush_interval = ic->params.bitmap_flush_interval;
	v->fix_padding = flags & INTEGRITY_SB_FIXED_PADDING;
	v->fix_hmac = flags & INTEGRITY_SB_FIXED_HMAC;
	v->legacy_recalculate = ic->params.legacy_recalculate;
	v->internal_hash = ic->internal_hash;
	v->journal_mac = ic->journal_mac;
	v->journal_crypt = ic->journal_crypt;
}

static void integrity_status(struct dm_target *ti, status_type_t type, unsigned int status_flags,
			     char *result, unsigned int maxlen)
{
	struct dm_integrity_c *ic = ti->private;
	struct integrity_status_view status;
	struct integrity_table_view view;
	size_t sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		memset(&status, 0, sizeof(status));
		status.mismatches = atomic64_read(&ic->mismatches);
		status.provided_sectors = ic->layout.provided_sectors;
		status.lost = ic->journal.lost;
		integrity_recalc_status(ic, &status);
		integrity_status_text(&status, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		table_view(ic, &view);
		integrity_table_text(&view, result, maxlen);
		break;
	case STATUSTYPE_IMA:
		table_view(ic, &view);
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		integrity_ima_text(&view, result + sz, maxlen - sz);
		break;
	}
}

static int integrity_iterate_devices(struct dm_target *ti, iterate_devices_callout_fn fn,
				     void *data)
{
	struct dm_integrity_c *ic = ti->private;

	return fn(ti, ic->data_dev, integrity_data_sector(&ic->layout, 0), ti->len, data);
}

static void integrity_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct dm_integrity_c *ic = ti->private;
	unsigned int bs = integrity_block_bytes(&ic->layout);

	if (bs > SECTOR_SIZE) {
		/* Not below what the devices underneath ask for. */
		limits->logical_block_size = max(limits->logical_block_size, bs);
		limits->physical_block_size = max(limits->physical_block_size, bs);
		limits->io_min = max(limits->io_min, bs);
		limits->dma_alignment = max(limits->dma_alignment, bs - 1);
		limits->discard_granularity = max(limits->discard_granularity, bs);
	}
	if (!ic->tags.hash)
		compat_limits_integrity(limits, ic->layout.tag_size,
					ic->layout.log2_sectors_per_block + SECTOR_SHIFT);
	/* A page that changes under a write would get a tag that does not match. */
	compat_limits_stable_writes(limits);
}

static struct target_type integrity_target = {
	.name = "integrity",
	.version = { 1, COMPAT_TARGET_MINOR, 0 },
	.module = THIS_MODULE,
	.features = DM_TARGET_SINGLETON | DM_TARGET_INTEGRITY,
	.ctr = integrity_ctr,
	.dtr = integrity_target_dtr,
	.map = integrity_map,
	.preresume = integrity_preresume,
	.resume = integrity_resume,
	.presuspend = integrity_presuspend,
	.presuspend_undo = integrity_presuspend_undo,
	.postsuspend = integrity_postsuspend,
	.status = integrity_status,
	.message = integrity_message,
	.iterate_devices = integrity_iterate_devices,
	.io_hints = integrity_io_hints,
};

static int __init integrity_module_init(void)
{
	int r = dm_register_target(&integrity_target);

	if (r == -EEXIST)
		DMERR("another module already provides the target; unload it first");
	return r;
}

static void __exit integrity_module_exit(void)
{
	dm_unregister_target(&integrity_target);
}

module_init(integrity_module_init);
module_exit(integrity_module_exit);

MODULE_DESCRIPTION(DM_NAME " target for integrity tags, with parallel recalculation");
MODULE_LICENSE("GPL");
MODULE_ALIAS("dm-target-integrity");
