# SPDX-License-Identifier: GPL-2.0-only
"""check: makes every tag again and compares (3.1, 3.3)."""

from . import Refused
from .bitmap import Bitmap, merge, subtract, total
from .geometry import DISCARD_KEYED, RECALCULATING
from .journal import Journal

CHUNK_BYTES = 4 << 20


def read_ranges(path, spb):
    """A file of 'START LEN' lines, in sectors, as ranges of whole blocks."""
    ranges = []
    try:
        lines = open(path, encoding="ascii").read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}") from error
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            start, length = map(int, words)
        except ValueError:
            raise Refused(f"{path}:{number}: not 'START LEN': {line}") from None
        if start < 0 or length < 0:
            raise Refused(f"{path}:{number}: negative: {line}")
        if length:
            ranges.append((start - start % spb, -(-(start + length) // spb) * spb))
    return merge(ranges)


def check(volume, args):
    """Returns the result as it is printed; args are the command's options.

    blocks = checked + excluded + beyond_recalc_sector + dirty, and
    checked = ok + bad + discarded. outside counts the blocks that are none of these: cut off
    by --from and --upto, or added by a device that grew.
    """
    lay, sb, hash_ = volume.layout, volume.sb, volume.need_hash()
    if lay.kind == "inline":
        raise Refused("the tags of an inline volume are not in the image")
    spb, size = lay.spb, lay.T
    result = {"blocks": 0, "checked": 0, "ok": 0, "bad": 0, "bad_filler": 0, "discarded": 0, "dirty": 0,
              "replayed": 0, "beyond_recalc_sector": 0, "excluded": 0, "outside": 0,
              "from": 0, "upto": 0, "bad_sectors": []}
    if args.replay:
        journal = Journal(volume)
        plan = journal.replay()
        if plan.error:
            raise Refused(f"the replay fails: {plan.error}")
        volume.overlay = plan.blocks
        result["replayed"] = len(plan.blocks)

    first = args.first or 0
    # What the device grew by has no tags before the next activation.
    known = min(lay.P, sb.provided_data_sectors)
    if known < lay.P:
        volume.notes.append(f"the device grew: sectors from {known} on have no tags yet"
                            + (", not checked" if args.upto is None else ""))
    end = known - known % spb if args.upto is None else min(args.upto, lay.P)
    first, end = first - first % spb, -(-end // spb) * spb
    if args.upto is not None and args.upto > lay.P:
        volume.notes.append(f"--upto {args.upto} is behind the end, {lay.P}")
    if first > end:
        raise Refused(f"nothing to check: from {first} up to {end}")
    result["from"], result["upto"] = first, end
    result["blocks"] = (end - first) // spb
    result["outside"] = (lay.P - (end - first)) // spb
    todo = [(first, end)] if first < end else []

    def leave_out(ranges, what):
        nonlocal todo
        left = subtract(todo, merge(ranges))
        result[what] = (total(todo) - total(left)) // spb
        todo = left

    if args.exclude:
        leave_out(read_ranges(args.exclude, spb), "excluded")
    if sb.has(RECALCULATING) and not args.all:
        position = min(sb.recalc_sector, lay.P)
        leave_out([(position - position % spb, lay.P)], "beyond_recalc_sector")
    if args.ignore_dirty:
        leave_out([(a - a % spb, -(-b // spb) * spb) for a, b in Bitmap(volume).dirty], "dirty")

    keyed = sb.has(DISCARD_KEYED)
    filler = b"\xf6" * size
    bad = result["bad_sectors"]
    step = max(CHUNK_BYTES // 512, spb)
    for start, stop in todo:
        while start < stop:
            length = min(stop - start, lay.run(start), step)
            data = volume.read_data(start, length)
            stored = volume.read_tags(start, length // spb)
            made = volume.made_tags(start, data)
            result["checked"] += length // spb
            if stored != made:
                for at in range(0, len(made), size):
                    tag = stored[at:at + size]
                    if tag == made[at:at + size]:
                        continue
                    s = start + at // size * spb
                    if keyed and tag == hash_.tag(volume.salt, s, b"", size) or \
                            not keyed and args.allow_discards and tag == filler:
                        result["discarded"] += 1
                        continue
                    result["bad"] += 1
                    result["bad_filler"] += tag == filler
                    if not args.count_only:
                        bad.append(s)
            start += length
    result["ok"] = result["checked"] - result["bad"] - result["discarded"]
    return result
