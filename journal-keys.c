// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is the journal that is to be replayed of the table's hash and keys?
 *
 * Nothing but tags and MACs tells. With another hash or key the whole journal looks damaged, and
 * would be lost, acknowledged writes and all. Damage leaves something that matches; a wrong hash
 * next to nothing: of tags of one byte, one in 256.
 */
#include <linux/slab.h>

#include "dm-integrity.h"

#define LEAST_MATCHES	32	/* one in so many */

struct matches {
	u64 right;
	u64 wrong;
};

static bool is_another(const struct matches *m)
{
	return m->wrong && m->right <= m->wrong / LEAST_MATCHES;
}

/* @r of a comparison. Return: 0 or the error that it was. */
static int count_match(struct matches *m, int r)
{
	if (r && r != -EILSEQ)
		return r;
	m->right += !r;
	m->wrong += !!r;
	return 0;
}

int integrity_journal_compare_entry(struct dm_integrity_c *ic, const u8 *raw, u32 n, u64 sector,
				    const u8 *block)
{
	const struct integrity_layout *l = &ic->layout;
	u8 tag[INTEGRITY_TAG_BYTES];
	int r;

	if (!ic->tags.hash)
		return 0;
	r = integrity_tag_of_data(ic, sector, block, tag);
	if (!r && crypto_memneq(tag, raw + integrity_entry_tag_offset(l, n), l->tag_size))
		r = -EILSEQ;
	return r;
}

/* Compare the tags of a section's entries, until @enough were right. */
static int compare_entries(struct dm_integrity_c *ic, u32 section, u8 sequence, u8 *block,
			   u64 enough, struct matches *tags)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	const u8 *raw = integrity_journal_raw(l, j, section);
	u64 sector;
	u32 n;
	int r = 0;

	for (n = 0; n < l->journal_section_entries && !r && tags->right < enough; n++) {
		if (integrity_entry_verdict(l, &j->ids, raw, section, sequence, NULL, n,
					    &sector) != INTEGRITY_ENTRY_REPLAY)
			continue;
		integrity_entry_copy(l, raw, n, block);
		r = integrity_journal_compare_entry(ic, raw, n, sector, block);
		r = count_match(tags, r);
	}
	return r;
}

/* Compare what is to be replayed. Nothing is changed. */
static int compare_sections(struct dm_integrity_c *ic, const struct integrity_replay_plan *plan,
			    u8 *block, struct matches *macs, struct matches *tags)
{
	const struct integrity_layout *l = &ic->layout;
	u64 enough = (u64)plan->count * l->journal_section_entries / LEAST_MATCHES + 1;
	int r = 0, mac;
	u32 i, section;
	u8 sequence;

	for (i = 0; i < plan->count && !r; i++) {
		section = integrity_replay_section(l, plan, i, &sequence);
		/* Of such a one the MAC cannot match. */
		if (ic->mac && ic->journal.state[section].unknown_metadata)
			continue;
		mac = integrity_section_check_mac(ic, section);
		r = count_match(macs, mac);
		if (!mac)
			r = compare_entries(ic, section, sequence, block, enough, tags);
		r = r ?: integrity_journal_may_go_on();
	}
	return r;
}

/*
 * Does the block at @sector match its tag where both belong. What cannot be read, or was discarded,
 * says nothing.
 */
static int compare_in_place(struct dm_integrity_c *ic, u64 sector, struct page *page,
			    struct matches *tags)
{
	u8 tag[INTEGRITY_TAG_BYTES], stored[INTEGRITY_TAG_BYTES];
	const unsigned int size = ic->layout.tag_size;
	struct page_list pl = { .page = page };
	struct integrity_tag_cursor cur;
	unsigned int skip;
	int r;

	integrity_tag_cursor_init(&cur, ic);
	r = integrity_tag_load(&cur, sector, stored);
	integrity_tag_cursor_done(&cur);
	if (r || !memchr_inv(stored, INTEGRITY_DISCARD_FILLER, size) ||
	    integrity_tag_is_discarded(ic, sector, stored) ||
	    integrity_read_data(ic, sector, integrity_block_sectors(&ic->layout), &pl, 1, &skip))
		return 0;
	r = integrity_tag_of_data(ic, sector, page_address(page) + skip, tag);
	return r ?: count_match(tags, crypto_memneq(tag, stored, size) ? -EILSEQ : 0);
}

#define PLACES	64	/* looked at, at most */

/*
 * Nothing in the journal matches, which may be damage as well: is the hash right for the same
 * blocks where they belong? Those that were written back before the crash match.
 */
static int compare_places(struct dm_integrity_c *ic, const struct integrity_replay_plan *plan,
			  struct page *page, struct matches *tags)
{
	const struct integrity_layout *l = &ic->layout;
	struct integrity_journal *j = &ic->journal;
	u64 sector, mark = integrity_sb_flags(ic) & INTEGRITY_SB_RECALCULATING ?
				   integrity_sb_recalc_sector(ic) :
				   l->provided_sectors;
	u32 i, n, section, looks = 0;
	u8 sequence;
	int r = 0;

	for (i = 0; i < plan->count && !r && looks < PLACES; i++) {
		section = integrity_replay_section(l, plan, i, &sequence);
		for (n = 0; n < l->journal_section_entries && !r && looks < PLACES; n++) {
			if (integrity_entry_verdict(l, &j->ids,
						    integrity_journal_raw(l, j, section), section,
						    sequence, NULL, n,
						    &sector) != INTEGRITY_ENTRY_REPLAY ||
			    sector >= mark)
				continue;
			r = compare_in_place(ic, sector, page, tags);
			looks++;
		}
		r = r ?: integrity_journal_may_go_on();
	}
	return r;
}

int integrity_journal_check_keys(struct dm_integrity_c *ic, struct integrity_replay_plan *plan,
				 char *why, size_t why_size)
{
	/* A superblock with a MAC of the same key was checked already. */
	bool mac_is_right = integrity_sb_flags(ic) & INTEGRITY_SB_FIXED_HMAC;
	struct matches macs = { 0 }, tags = { 0 }, places = { 0 };
	struct page *page;
	int r = -ENOMEM;

	page = alloc_page(GFP_NOIO);
	if (page)
		r = compare_sections(ic, plan, page_address(page), &macs, &tags);
	if (!r && is_another(&tags))
		r = compare_places(ic, plan, page, &places);
	if (page)
		__free_page(page);
	if (r) {
		snprintf(why, why_size, "cannot check the journal (error %d)", r);
	} else if (is_another(&macs) && !mac_is_right) {
		snprintf(why, why_size, "no section of the journal matches its MAC: journal_mac or its key is not the volume's");
		r = -EILSEQ;
	} else if (is_another(&tags) && (!places.right || is_another(&places))) {
		snprintf(why, why_size, "no block in the journal matches its tag: internal_hash or its key is not the volume's");
		r = -EILSEQ;
	} else if (macs.wrong) {
		/* Also of a section that holds nothing, which another kernel refuses as well. */
		integrity_replay_plan_erase(plan);
	}
	return r;
}
