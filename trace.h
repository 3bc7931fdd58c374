/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: /sys/kernel/tracing/events/dm_integrity. Devices are major,minor of the mapped
 * device, sectors are logical ones unless said. Each costs a jump that is patched in while nobody
 * looks.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dm_integrity

#if !defined(DM_INTEGRITY_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DM_INTEGRITY_TRACE_H

#include <linux/tracepoint.h>

#include "dm-integrity.h"

#ifndef DM_INTEGRITY_TRACE_ONCE
#define DM_INTEGRITY_TRACE_ONCE

static inline dev_t integrity_trace_dev(struct dm_integrity_c *ic)
{
	return disk_devt(dm_disk(dm_table_get_md(ic->ti->table)));
}
#endif

#define integrity_trace_action(check)	((check) ? "check" : "recalculate")

/* A pass starts, or continues, at @from; @end is where it is to end. */
TRACE_EVENT(dm_integrity_pass_start,
	    TP_PROTO(struct dm_integrity_c *ic, u64 from, u64 end),
	    TP_ARGS(ic, from, end),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(bool, check)
			     __field(u64, from)
			     __field(u64, end)),
	    TP_fast_assign(__entry->dev = integrity_trace_dev(ic);
			   __entry->check = ic->recalc.action == &integrity_pass_check;
			   __entry->from = from;
			   __entry->end = end;),
	    TP_printk("%d,%d %s %llu to %llu", MAJOR(__entry->dev), MINOR(__entry->dev),
		      integrity_trace_action(__entry->check), __entry->from, __entry->end));

/*
 * The last worker of a pass has ended: at the end when @position is @end, else paused or failed.
 */
TRACE_EVENT(dm_integrity_pass_end,
	    TP_PROTO(struct dm_integrity_c *ic, u64 position, u64 end),
	    TP_ARGS(ic, position, end),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(bool, check)
			     __field(bool, failed)
			     __field(u64, position)
			     __field(u64, end)),
	    TP_fast_assign(__entry->dev = integrity_trace_dev(ic);
			   __entry->check = ic->recalc.action == &integrity_pass_check;
			   __entry->failed = ic->recalc.state == INTEGRITY_PASS_FAILED;
			   __entry->position = position;
			   __entry->end = end;),
	    TP_printk("%d,%d %s %s at %llu of %llu", MAJOR(__entry->dev), MINOR(__entry->dev),
		      integrity_trace_action(__entry->check),
		      __entry->failed ? "failed" :
		      __entry->position == __entry->end ? "finished" : "stopped",
		      __entry->position, __entry->end));

/* A worker has done a chunk. */
TRACE_EVENT(dm_integrity_pass_chunk,
	    TP_PROTO(struct integrity_pass_worker *w),
	    TP_ARGS(w),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(bool, check)
			     __field(u64, sector)
			     __field(u64, sectors)),
	    TP_fast_assign(__entry->dev = integrity_trace_dev(w->ic);
			   __entry->check = w->action == &integrity_pass_check;
			   __entry->sector = w->start;
			   __entry->sectors = w->sectors;),
	    TP_printk("%d,%d %s %llu + %llu", MAJOR(__entry->dev), MINOR(__entry->dev),
		      integrity_trace_action(__entry->check), __entry->sector, __entry->sectors));

/* The position of the recalculation was, or with @error was not, saved. */
TRACE_EVENT(dm_integrity_checkpoint,
	    TP_PROTO(struct dm_integrity_c *ic, u64 position, int error),
	    TP_ARGS(ic, position, error),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(u64, position)
			     __field(int, error)),
	    TP_fast_assign(__entry->dev = integrity_trace_dev(ic);
			   __entry->position = position;
			   __entry->error = error;),
	    TP_printk("%d,%d %llu error %d", MAJOR(__entry->dev), MINOR(__entry->dev),
		      __entry->position, __entry->error));

/* The block at @sector does not match its tag; found by a check, or by a read. */
TRACE_EVENT(dm_integrity_mismatch,
	    TP_PROTO(struct dm_integrity_c *ic, u64 sector, bool check),
	    TP_ARGS(ic, sector, check),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(u64, sector)
			     __field(bool, check)),
	    TP_fast_assign(__entry->dev = integrity_trace_dev(ic);
			   __entry->sector = sector;
			   __entry->check = check;),
	    TP_printk("%d,%d %s %llu", MAJOR(__entry->dev), MINOR(__entry->dev),
		      __entry->check ? "check" : "read", __entry->sector));

/*
 * @sections from @section on, both of the journal, are on the disk. What they hold follows on
 * @sector of the superblock's device.
 */
TRACE_EVENT(dm_integrity_journal_commit,
	    TP_PROTO(struct dm_integrity_c *ic, u32 section, u32 sections, int error),
	    TP_ARGS(ic, section, sections, error),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(u64, sector)
			     __field(u32, section)
			     __field(u32, sections)
			     __field(int, error)),
	    TP_fast_assign(__entry->dev = integrity_trace_dev(ic);
			   __entry->sector = integrity_journal_section_sector(&ic->layout, section);
			   __entry->section = section;
			   __entry->sections = sections;
			   __entry->error = error;),
	    TP_printk("%d,%d sections %u + %u at sector %llu error %d", MAJOR(__entry->dev),
		      MINOR(__entry->dev), __entry->section, __entry->sections, __entry->sector,
		      __entry->error));

/* @entries blocks of @sections from @section on, both of the journal, are at their places. */
TRACE_EVENT(dm_integrity_journal_writeback,
	    TP_PROTO(struct dm_integrity_c *ic, u32 section, u32 sections, u64 entries, int error),
	    TP_ARGS(ic, section, sections, entries, error),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(u32, section)
			     __field(u32, sections)
			     __field(u64, entries)
			     __field(u64, sectors)
			     __field(int, error)),
	    TP_fast_assign(__entry->dev = integrity_trace_dev(ic);
			   __entry->section = section;
			   __entry->sections = sections;
			   __entry->entries = entries;
			   __entry->sectors = entries << ic->layout.log2_sectors_per_block;
			   __entry->error = error;),
	    TP_printk("%d,%d sections %u + %u: %llu blocks, %llu sectors, error %d",
		      MAJOR(__entry->dev), MINOR(__entry->dev), __entry->section,
		      __entry->sections, __entry->entries, __entry->sectors, __entry->error));

/*
 * Data and tags that were written before are on the disk, and @bits of the bitmap, which stand for
 * @sectors, were cleared; @left are dirty now. With @error none was.
 */
TRACE_EVENT(dm_integrity_bitmap_flush,
	    TP_PROTO(struct dm_integrity_c *ic, u64 bits, int error),
	    TP_ARGS(ic, bits, error),
	    TP_STRUCT__entry(__field(dev_t, dev)
			     __field(u64, bits)
			     __field(u64, sectors)
			     __field(u64, left)
			     __field(int, error)),
	    TP_fast_assign(__entry->dev = integrity_trace_dev(ic);
			   __entry->bits = bits;
			   __entry->sectors = bits << ic->bitmap.g.log2_sectors_per_bit;
			   __entry->left = READ_ONCE(ic->bitmap.set);
			   __entry->error = error;),
	    TP_printk("%d,%d cleared %llu bits, %llu sectors, %llu left, error %d",
		      MAJOR(__entry->dev), MINOR(__entry->dev), __entry->bits, __entry->sectors,
		      __entry->left, __entry->error));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
