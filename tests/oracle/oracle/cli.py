# SPDX-License-Identifier: GPL-2.0-only
"""The command line."""

import argparse
import json
import sys

from . import Refused
from .bitmap import Bitmap
from .check import check
from .corrupt import corrupt
from .geometry import RECALCULATING
from .journal import Journal
from .selftest import selftest
from .volume import Volume

# The names that flags go by in a table line, where they have one.
FLAG_WORDS = {0x01: "journal_mac", 0x02: "recalculating", 0x04: "dirty_bitmap", 0x08: "fix_padding",
              0x10: "fix_hmac", 0x20: "inline", 0x40: "discard_keyed"}


def number(text):
    value = int(text, 0)
    if value < 0:
        raise ValueError
    return value


def parser():
    top = argparse.ArgumentParser(
        prog="integrity-oracle", allow_abbrev=False,
        description="Reads, checks and damages dm-integrity volumes without the target.",
        epilog="Exit status: 0; 1 if something is bad; 2 if there is no such volume or the "
               "request makes no sense.")
    commands = top.add_subparsers(dest="command", required=True)

    def command(name, text):
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.add_argument("--json", action="store_true")
        if name != "selftest":
            sub.add_argument("image", metavar="IMAGE", help="raw file or inactive block device")
            sub.add_argument("--meta", metavar="FILE", help="metadata device")
            sub.add_argument("--start", type=number, default=0, metavar="N",
                             help="sectors before the superblock")
            sub.add_argument("--hash", metavar="ALG[:HEXKEY]", help="internal_hash")
            sub.add_argument("--journal-mac", metavar="ALG[:HEXKEY]")
            sub.add_argument("--journal-crypt", metavar="ALG:HEXKEY")
            sub.add_argument("--limit", type=number, default=20, metavar="N",
                             help="how many sectors or entries to list, 0 for all (20)")
        return sub

    command("info", "the superblock and the layout, validated as at table load")
    sub = command("check", "make every tag below the recalculation position again and compare")
    sub.add_argument("--from", dest="first", type=number, metavar="SECTOR",
                     help="check the sectors from here on")
    sub.add_argument("--upto", type=number, metavar="SECTOR", help="check the sectors below")
    sub.add_argument("--exclude", metavar="FILE", help="'START LEN' a line: sectors not to check")
    sub.add_argument("--all", action="store_true", help="ignore the recalculation position")
    sub.add_argument("--ignore-dirty", action="store_true",
                     help="leave out blocks whose bit in the bitmap is set")
    sub.add_argument("--allow-discards", action="store_true", help="accept the discard filler")
    sub.add_argument("--replay", action="store_true", help="replay the journal in memory first")
    sub.add_argument("--count-only", action="store_true",
                     help="print the number of bad blocks and nothing else")
    sub = command("journal", "the journal's sections and entries, and what a replay would change")
    sub.add_argument("--apply", action="store_true",
                     help="write the replayed blocks and tags into the image")
    command("bitmap", "dirty ranges")
    sub = command("corrupt", "flip bits of one byte")
    sub.add_argument("what", choices=["data", "tag", "superblock", "journal"])
    sub.add_argument("where", help="SECTOR; FIELD or BYTE; SECTION:SECTOR")
    sub.add_argument("--byte", type=number, metavar="N", help="which byte of it (0)")
    sub.add_argument("--xor", type=lambda x: int(x, 16), default=1, metavar="HEX",
                     help="bits to flip (01)")
    command("selftest", "test vectors, tables and worked sizes of the format's description")
    return top


def open_volume(args, **how):
    return Volume(args.image, args.meta, args.start, args.hash, args.journal_mac,
                  args.journal_crypt, **how)


def limited(args, items):
    return items[:args.limit] if args.limit else items


def info(args):
    volume = open_volume(args)
    sb, lay = volume.sb, volume.layout
    warnings = list(volume.notes)
    if sb.provided_data_sectors != lay.P:
        warnings.append(f"provided_data_sectors is {sb.provided_data_sectors}, "
                        f"the device gives {lay.P}")
    if sb.has(RECALCULATING) and sb.recalc_sector > lay.P:
        warnings.append(f"recalc_sector is {sb.recalc_sector}, behind the end")
    if sb.flags & ~sum(FLAG_WORDS):
        warnings.append(f"unknown flags {sb.flags & ~sum(FLAG_WORDS):#x}")
    return 0, {
        "superblock": {
            "version": sb.version,
            "log2_interleave_sectors": sb.log2_interleave_sectors,
            "integrity_tag_size": sb.integrity_tag_size,
            "journal_sections": sb.journal_sections,
            "provided_data_sectors": sb.provided_data_sectors,
            "log2_sectors_per_block": sb.log2_sectors_per_block,
            "log2_blocks_per_bitmap_bit": sb.log2_blocks_per_bitmap_bit,
            "recalc_sector": sb.recalc_sector,
            "salt": sb.salt.hex(),
            "flags": [word for bit, word in FLAG_WORDS.items() if sb.flags & bit],
        },
        "superblock_mac_ok": volume.sb_mac,
        "layout": {
            "kind": lay.kind,
            "block_size": lay.bs,
            "entry_size": lay.E,
            "entries_per_sector": lay.EPS,
            "section_entries": lay.SE,
            "section_sectors": lay.SS,
            "init_sectors": lay.INIT,
            "interleave": lay.IL,
            "run_sectors": lay.R or None,
            "buffer_sectors": lay.B,
            "provided_data_sectors": lay.P,
            "sectors_per_bitmap_bit": 1 << sb.log2_blocks_per_bitmap_bit + lay.lspb,
            "bitmap_bits": lay.bitmap_bits(sb.log2_blocks_per_bitmap_bit),
        },
        "warnings": warnings,
    }


def run_check(args):
    volume = open_volume(args)
    result = check(volume, args)
    bad = result.pop("bad_sectors")
    result["notes"] = volume.notes
    if not args.count_only:
        result["bad_sectors"] = limited(args, bad)
    return int(bool(result["bad"])), result


def run_journal(args):
    volume = open_volume(args, writable=args.apply)
    journal = Journal(volume)
    plan = journal.replay()
    changed = journal.changed(plan)
    sections = []
    for section in journal.sections:
        sections.append({
            "section": section.index,
            "sectors_of_sequence": [section.sequence.count(q) for q in range(4)],
            "unknown": section.sequence.count(None),
            "used": len(section.used()),
            "mac_ok": journal.mac_ok(section),
        })
    if args.apply:
        for sector in changed:
            data, tag = plan.blocks[sector]
            volume.data.write(volume.layout.data_sector(sector) * 512, data)
            volume.meta.write(volume.layout.tag_byte(sector), tag)
    return int(bool(plan.error)), {
        "sections": sections,
        "replay_ok": not plan.error,
        "error": plan.error,
        "empty": plan.empty,
        "torn": plan.torn,
        "replay_order": plan.order,
        "next_section": plan.next_section,
        "next_sequence": plan.next_sequence,
        "entries": [{"section": e.section, "entry": e.number, "sector": e.sector,
                     "tag": e.tag.hex(), "effect": e.effect}
                    for e in limited(args, plan.entries)],
        "entry_count": len(plan.entries),
        "changed_sectors": limited(args, changed),
        "changed_count": len(changed),
        "notes": volume.notes,
    }


def run_bitmap(args):
    volume = open_volume(args)
    bitmap = Bitmap(volume)
    return 0, {
        "in_use": bitmap.in_use,
        "grown": bitmap.grown,
        "bits": bitmap.bits,
        "sectors_per_bit": bitmap.sectors_per_bit,
        "dirty": [{"sector": a, "sectors": b - a} for a, b in limited(args, bitmap.dirty)],
        "notes": volume.notes,
    }


def run_corrupt(args):
    return 0, corrupt(lambda **how: open_volume(args, **how), args)


def run_selftest(args):
    passed, failed = selftest(None if args.json else print)
    return int(bool(failed)), {"passed": passed, "failed": failed}


def show(result, indent=""):
    """A result as text, one value a line."""
    for key, value in result.items():
        if isinstance(value, dict):
            print(f"{indent}{key}:")
            show(value, indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            print(f"{indent}{key}:")
            for item in value:
                print(indent + "  " + ", ".join(f"{k} {v}" for k, v in item.items()))
        elif isinstance(value, list) and key in ("notes", "warnings"):
            for item in value:
                print(f"{indent}note: {item}")
        elif isinstance(value, list):
            print(f"{indent}{key}: {' '.join(map(str, value)) or '-'}")
        else:
            print(f"{indent}{key}: {'-' if value is None else value}")


COMMANDS = {"info": info, "check": run_check, "journal": run_journal, "bitmap": run_bitmap,
            "corrupt": run_corrupt, "selftest": run_selftest}


def main():
    args = parser().parse_args()
    try:
        status, result = COMMANDS[args.command](args)
    except (Refused, OSError) as error:
        print(f"integrity-oracle: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(result))
    elif args.command == "check" and args.count_only:
        print(result["bad"])
    elif args.command == "selftest":
        print(f"{result['passed']} passed, {len(result['failed'])} failed")
    else:
        show(result)
    return status
