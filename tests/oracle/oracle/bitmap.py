# SPDX-License-Identifier: GPL-2.0-only
"""The bitmap of mode B (section 5)."""

from . import Refused
from .geometry import DIRTY_BITMAP, SB_SECTORS, ceil_div, round_up


class Bitmap:
    """in_use: does the journal area hold one; sectors_per_bit; bits; dirty ranges; grown: has the
    device grown since it was written."""

    def __init__(self, volume):
        lay, sb = volume.layout, volume.sb
        self.in_use = sb.has(DIRTY_BITMAP)
        self.sectors_per_bit = 1 << sb.log2_blocks_per_bitmap_bit + lay.lspb
        self.bits = lay.bitmap_bits(sb.log2_blocks_per_bitmap_bit)
        self.dirty = []
        self.grown = sb.provided_data_sectors < lay.P
        if not self.in_use:
            return
        size = round_up(ceil_div(self.bits, 8), 4096)
        if size > lay.journal_sectors() * 512:
            raise Refused(f"{self.bits} bits do not fit in the journal area")
        raw = volume.meta.read((lay.start + SB_SECTORS) * 512, size)
        self.dirty = self._ranges(raw, lay.P)
        # A device that grew: activation in mode B sets the bits of what was added (5.3).
        stored = sb.provided_data_sectors
        if self.grown:
            volume.notes.append(f"sectors from {stored} on were added since and count as dirty")
            self.dirty = merge(self.dirty + [(stored, lay.P)])

    def _ranges(self, raw, end):
        """Ranges (first, end) of sectors whose bit is 1. What follows the last bit is garbage."""
        ranges = []
        for byte in filter(raw.__getitem__, range(ceil_div(self.bits, 8))):
            for bit in range(8 * byte, min(8 * byte + 8, self.bits)):
                if raw[byte] >> (bit & 7) & 1:
                    first = bit * self.sectors_per_bit
                    ranges.append((first, min(first + self.sectors_per_bit, end)))
        return merge(ranges)


def merge(ranges):
    """Ranges in order, joined where they touch."""
    out = []
    for first, end in sorted(ranges):
        if first >= end:
            continue
        if out and first <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((first, end))
    return out


def subtract(ranges, minus):
    """What is left of ranges; both in order and without overlap."""
    out, minus, at = [], list(minus), 0
    for first, end in ranges:
        while at < len(minus) and minus[at][1] <= first:
            at += 1
        i = at
        while first < end and i < len(minus) and minus[i][0] < end:
            if first < minus[i][0]:
                out.append((first, minus[i][0]))
            first = minus[i][1]
            i += 1
        if first < end:
            out.append((first, end))
    return out


def total(ranges):
    return sum(end - first for first, end in ranges)
