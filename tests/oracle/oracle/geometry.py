# SPDX-License-Identifier: GPL-2.0-only
"""The superblock's fields and the arithmetic of the layout: sections 1 and 2.

Pure computation, nothing is read or written here. All positions are in sectors of
512 bytes unless a name says bytes.
"""

import struct
from dataclasses import dataclass

from . import Refused

MAGIC = b"integrt\0"
SB_SECTORS = 8
SB_BYTES = SB_SECTORS * 512
HIGHEST_VERSION = 7

FLAGS = {
    0x01: "HAVE_JOURNAL_MAC",
    0x02: "RECALCULATING",
    0x04: "DIRTY_BITMAP",
    0x08: "FIXED_PADDING",
    0x10: "FIXED_HMAC",
    0x20: "INLINE",
    0x40: "DISCARD_KEYED",
}
HAVE_JOURNAL_MAC, RECALCULATING, DIRTY_BITMAP, FIXED_PADDING, FIXED_HMAC, INLINE, DISCARD_KEYED = FLAGS

# name: (byte offset, size in bytes) of every field (1.2)
FIELDS = {
    "magic": (0, 8),
    "version": (8, 1),
    "log2_interleave_sectors": (9, 1),
    "integrity_tag_size": (10, 2),
    "journal_sections": (12, 4),
    "provided_data_sectors": (16, 8),
    "flags": (24, 4),
    "log2_sectors_per_block": (28, 1),
    "log2_blocks_per_bitmap_bit": (29, 1),
    "pad": (30, 2),
    "recalc_sector": (32, 8),
    "pad2": (40, 8),
    "salt": (48, 16),
}


def round_up(value, to):
    return -(-value // to) * to


def ceil_div(a, b):
    return -(-a // b)


def floor_log2(value):
    return value.bit_length() - 1


def ctz(value):
    return (value & -value).bit_length() - 1


@dataclass
class Superblock:
    """The first 64 bytes as written, with `raw` all 4096."""
    version: int
    log2_interleave_sectors: int
    integrity_tag_size: int
    journal_sections: int
    provided_data_sectors: int
    flags: int
    log2_sectors_per_block: int
    log2_blocks_per_bitmap_bit: int
    recalc_sector: int
    salt: bytes
    raw: bytes

    _FORMAT = struct.Struct("<8sBBHIQIBB2xQ8x16s")

    @classmethod
    def parse(cls, raw):
        magic, *fields = cls._FORMAT.unpack_from(raw)
        if magic != MAGIC:
            if not any(raw):
                raise Refused("no superblock: all zero, a table would format this")
            raise Refused("no superblock: wrong magic")
        return cls(*fields, bytes(raw))

    def pack(self):
        """The 64 bytes that these fields make."""
        return self._FORMAT.pack(
            MAGIC, self.version, self.log2_interleave_sectors, self.integrity_tag_size,
            self.journal_sections, self.provided_data_sectors, self.flags,
            self.log2_sectors_per_block, self.log2_blocks_per_bitmap_bit, self.recalc_sector,
            self.salt)

    def has(self, flag):
        return bool(self.flags & flag)

    def flag_names(self):
        names = [name for bit, name in FLAGS.items() if self.flags & bit]
        rest = self.flags & ~sum(FLAGS)
        return names + ([f"{rest:#x}"] if rest else [])

    def check(self, separate):
        """What makes a table load refuse these fields (1.3, 1.4), or None."""
        if not 1 <= self.version <= HIGHEST_VERSION:
            return f"unknown version {self.version}"
        if self.log2_sectors_per_block > 3:
            return f"log2_sectors_per_block is {self.log2_sectors_per_block}, more than 3"
        if not 1 <= self.integrity_tag_size <= 255:
            return f"integrity_tag_size is {self.integrity_tag_size}, not 1 to 255"
        inline = self.has(INLINE)
        if inline and separate:
            return "an inline volume has no metadata device"
        if inline != (self.journal_sections == 0):
            return f"journal_sections is {self.journal_sections}, inline is {inline}"
        il = self.log2_interleave_sectors
        if separate and il:
            return f"log2_interleave_sectors is {il}, with a metadata device it is 0"
        if not separate and not 3 <= il <= 31:
            return f"log2_interleave_sectors is {il}, not 3 to 31" + \
                (" (is there a metadata device?)" if il == 0 else "")
        return None


def section_geometry(tag_size, spb, mac):
    """(E, EPS, SE, SS) of a journal section (2.2)."""
    entry = round_up(8 + 8 * spb + tag_size, 8)
    per_sector = (504 - (8 if mac else 0)) // entry
    entries = 8 * per_sector
    return entry, per_sector, entries, 8 + entries * spb


class Layout:
    """Where everything is (2.2 to 2.7), from the superblock's fields.

    kind is "interleaved", "separate" or "inline"; dd and md are the sizes of the
    data device and of the one with the metadata. capacity() must be called (or P
    be set) before what depends on P.
    """

    def __init__(self, kind, tag_size, lspb, il, sections, mac, fix_padding, start, dd, md,
                 buffer_sectors=128):
        self.kind, self.T, self.lspb, self.il = kind, tag_size, lspb, il
        self.start, self.dd, self.md = start, dd, md
        self.spb, self.bs, self.IL = 1 << lspb, 512 << lspb, 1 << il
        self.E, self.EPS, self.SE, self.SS = section_geometry(tag_size, self.spb, mac)
        self.N = sections
        self.INIT = SB_SECTORS + sections * self.SS
        self.R = 0
        self.B = 1 << floor_log2(min(max(buffer_sectors, 1), 1 << 22))
        if kind == "interleaved":
            raw = tag_size << (il - lspb)
            self.R = round_up(raw, 4096 if fix_padding else 131072) // 512
            self.B = min(self.B, 1 << ctz(self.R))
        self.P = 0

    @classmethod
    def of(cls, sb, separate, start, dd, md):
        kind = "inline" if sb.has(INLINE) else "separate" if separate else "interleaved"
        return cls(kind, sb.integrity_tag_size, sb.log2_sectors_per_block,
                   sb.log2_interleave_sectors, sb.journal_sections, sb.has(HAVE_JOURNAL_MAC),
                   sb.has(FIXED_PADDING), start, dd, md)

    # -- positions (2.4) --

    def data_sector(self, s):
        """Sector of the data device that holds logical sector s."""
        if self.kind == "separate":
            return s
        if self.kind == "inline":
            return self.start + SB_SECTORS + s
        area, offset = s >> self.il, s & (self.IL - 1)
        return self.start + self.INIT + area * self.IL + (area + 1) * self.R + offset

    def tag_byte(self, s):
        """Byte of the metadata-holding device where the tag of s's block begins."""
        if self.kind == "inline":
            raise Refused("tags of an inline volume are not in the image")
        base = self.start + self.INIT
        if self.kind == "separate":
            return 512 * base + (s >> self.lspb) * self.T
        area, offset = s >> self.il, s & (self.IL - 1)
        return 512 * (base + area * (self.IL + self.R)) + (offset >> self.lspb) * self.T

    def run(self, s):
        """How many sectors from s on are contiguous, both as data and as tags."""
        if self.kind != "interleaved":
            return 1 << 62
        return self.IL - (s & (self.IL - 1))

    def section_sector(self, section):
        """First sector of a journal section (4.1)."""
        return self.start + SB_SECTORS + section * self.SS

    def journal_sectors(self):
        return self.N * self.SS

    # -- sizes (2.6, 2.7) --

    def fits(self, p):
        """Does a volume of p provided sectors fit?"""
        if self.INIT + SB_SECTORS >= self.md or self.INIT >= 1 << 32:
            return False
        if self.kind == "interleaved":
            return self.data_sector(p - 1) < self.md
        if self.kind == "inline":
            return self.INIT + p <= self.md
        buffers = ceil_div((p >> self.lspb) * self.T, 512 * self.B)
        return self.INIT + self.B * buffers <= self.md

    def capacity(self):
        """P as the device is now; sets and returns it, refuses what is too small."""
        if self.kind == "separate":
            p = self.dd - self.dd % self.spb
            while not self.fits(p) and self.B > 8:
                self.B >>= 1
            if not p or not self.fits(p):
                raise Refused(f"the metadata device is too small: {self.md} sectors")
        else:
            p = 0
            for bit in range(floor_log2(max(self.md, 8)), 2, -1):
                if self.fits(p | 1 << bit):
                    p |= 1 << bit
            if not p:
                raise Refused(f"the device is too small: {self.md} sectors")
        self.P = p
        return p

    @classmethod
    def for_format(cls, kind, tag_size, bs, dd, md=None, start=0, mac=False, fix_padding=False,
                   journal_sectors=None, interleave_sectors=0, buffer_sectors=128):
        """What formatting chooses (2.6)."""
        md = dd if md is None else md
        lspb = floor_log2(bs // 512)
        if kind == "separate":
            il = 0
        else:
            il = min(max(floor_log2(interleave_sectors or 32768), 3), 31)
        journal = min(131072, dd >> 7) if journal_sectors is None else max(journal_sectors, 1)
        want = max(1, journal // section_geometry(tag_size, 1 << lspb, mac)[3])

        def layout(sections, buffers):
            return cls(kind, tag_size, lspb, il, sections, mac, fix_padding and kind != "separate",
                       start, dd, md, buffers)

        if kind == "inline":
            made = layout(0, buffer_sectors)
        elif kind == "interleaved":
            made = layout(want, buffer_sectors)
        else:
            p = dd - dd % (1 << lspb)
            buffers = layout(1, buffer_sectors).B
            while True:
                sections = 0
                for bit in range(floor_log2(want), -1, -1):
                    trial = sections | 1 << bit
                    if trial <= want and layout(trial, buffers).fits(p):
                        sections = trial
                if sections or buffers <= 8:
                    break
                buffers >>= 1
            if not sections:
                raise Refused(f"the metadata device is too small: {md} sectors")
            made = layout(sections, buffers)
        made.capacity()
        return made

    # -- bitmap (5.1) --

    def bitmap_lb(self, sectors_per_bit):
        """log2 of the sectors that a bit covers, for a wanted number."""
        lb = max(floor_log2(sectors_per_bit) if sectors_per_bit else 0, self.lspb)
        cap = min(self.journal_sectors() * 4096, (1 << 32) - 1)
        while cap < ceil_div(self.P, 1 << lb):
            lb += 1
        return lb

    def bitmap_bits(self, log2_blocks_per_bit):
        return ceil_div(self.P >> self.lspb, 1 << log2_blocks_per_bit)
