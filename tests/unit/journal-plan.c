// SPDX-License-Identifier: GPL-2.0-only
/*
 * What journal-format.c makes of journals, a line each, for journal-oracle to compare with what
 * tests/oracle makes of the same bytes.
 *
 * Reads from stdin, again and again: five little-endian words (tag size, log2 of the sectors of a
 * block, journal MAC, sections, provided sectors) and the sections.
 */
#include <stdlib.h>

#include "../../journal-format.h"
#include "unit.h"

static u32 adler32(const u8 *p, size_t size)
{
	u32 a = 1, b = 0;

	while (size--) {
		a = (a + *p++) % 65521;
		b = (b + a) % 65521;
	}
	return b << 16 | a;
}

static void print_entry(const struct integrity_layout *l, const struct integrity_commit_ids *ids,
			const u8 *raw, u32 section, u8 sequence, u32 n)
{
	static const char * const words[] = {
		[INTEGRITY_ENTRY_REPLAY] = "write",
		[INTEGRITY_ENTRY_BEYOND] = "ignored",
		[INTEGRITY_ENTRY_UNALIGNED] = "unaligned",
		[INTEGRITY_ENTRY_DAMAGED] = "damaged",
		[INTEGRITY_ENTRY_UNKNOWN] = "unknown",
	};
	enum integrity_entry_verdict v;
	u8 block[4096];
	u64 sector;

	v = integrity_entry_verdict(l, ids, raw, section, sequence, NULL, n, &sector);
	if (v == INTEGRITY_ENTRY_IS_UNUSED)
		return;
	integrity_entry_copy(l, raw, n, block);
	printf(" %u:%u:%llu:%s:%u:%u", section, n, sector, words[v],
	       adler32(block, integrity_block_bytes(l)),
	       adler32(raw + integrity_entry_tag_offset(l, n), l->tag_size));
}

int main(void)
{
	__le32 head[5];

	while (fread(head, sizeof(head), 1, stdin)) {
		struct integrity_layout l = {
			.tag_size = le32_to_cpu(head[0]),
			.log2_sectors_per_block = le32_to_cpu(head[1]),
			.journal_mac = le32_to_cpu(head[2]),
			.journal_sections = le32_to_cpu(head[3]),
			.log2_interleave = 15,
		};
		struct integrity_section_state *states;
		struct integrity_replay_plan plan;
		struct integrity_commit_ids ids;
		u32 size, i, n;
		u8 *raw, q;

		if (integrity_layout_derive(&l))
			return 1;
		l.provided_sectors = le32_to_cpu(head[4]);
		size = integrity_section_bytes(&l);
		raw = malloc((size_t)l.journal_sections * size);
		states = calloc(l.journal_sections, sizeof(*states));
		if (fread(raw, size, l.journal_sections, stdin) != l.journal_sections)
			return 1;

		integrity_commit_ids_init(&ids, NULL);
		for (i = 0; i < l.journal_sections; i++)
			integrity_section_scan(&l, &ids, raw + i * size, i, NULL, &states[i]);
		if (integrity_replay_plan(&l, states, true, &plan)) {
			printf("EIO\n");
		} else {
			printf("empty=%d order=", plan.empty);
			for (n = 0; n < plan.count; n++)
				printf("%s%u", n ? "," : "",
				       integrity_replay_section(&l, &plan, n, &q));
			printf(" next=%u,%u", plan.next_section, plan.next_sequence);
			for (n = 0; n < plan.count && !plan.empty; n++) {
				u32 section = integrity_replay_section(&l, &plan, n, &q);

				for (i = 0; i < l.journal_section_entries; i++)
					print_entry(&l, &ids, raw + section * size, section, q, i);
			}
			printf("\n");
		}
		free(raw);
		free(states);
	}
	return 0;
}
