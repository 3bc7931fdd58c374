# SPDX-License-Identifier: GPL-2.0-only
"""What a superblock and a bitmap say that somebody damaged, and ways to damage them.

The sizes and places come from the oracle. Section numbers are those of Documentation/on-disk-format.rst.
"""

import struct

from volume import DIRTY, FIELDS, HMAC, INLINE, KEYED, MAC, PADDING, RECALC, SECTOR, TOP, sb_mac, sys

sys.path.insert(0, str(TOP / "tests/oracle"))
from oracle import Refused                                              # noqa: E402
from oracle.geometry import Layout, Superblock                          # noqa: E402

REGION = 64             # sectors under a bit, if the table says nothing else


class Meaning:
    """A superblock as the target has to understand it, on devices of that many sectors; Refused if it cannot."""

    def __init__(self, raw, separate, sizes):
        self.raw, self.sb = raw, Superblock.parse(raw)
        problem = self.sb.check(separate)
        if problem:
            raise Refused(problem)
        self.layout = Layout.of(self.sb, separate, 0, sizes[0], sizes[-1])
        self.layout.capacity()

    def volume(self):
        """What two superblocks must have in common, so that tags and data are at the same places and match."""
        sb = self.sb
        return (sb.integrity_tag_size, sb.log2_sectors_per_block, sb.log2_interleave_sectors, sb.journal_sections,
                sb.flags & (MAC | PADDING | HMAC | INLINE | KEYED), sb.salt if sb.flags & HMAC else b"")

    def acceptable(self, key):
        """No field is out of its range, and the MAC, if there is one, is right."""
        sb = self.sb
        signed = not key or not sb.flags & HMAC or self.raw[480:512] == sb_mac(self.raw, key)
        return signed and sb.version <= 7 and sb.log2_blocks_per_bitmap_bit <= 63 - sb.log2_sectors_per_block

    def pending(self):
        return bool(self.sb.flags & RECALC) and self.sb.recalc_sector < self.layout.P

    def unverified(self, mode, requested, sectors_per_bit, bitmap):
        """A test for sectors: may they be read although no tag fits (5.3, 5.5, 6.4)."""
        sb, lay = self.sb, self.layout
        first, dirty, shift = lay.P, set(), 0
        if mode == "R" or requested:
            first = 0
        elif self.pending():
            first = sb.recalc_sector // 8 * 8
        if sb.flags & DIRTY:
            shift = lay.bitmap_lb(sectors_per_bit)
            if sb.log2_blocks_per_bitmap_bit != shift - lay.lspb or shift == 63:
                first = 0
            bits = lay.bitmap_bits(shift - lay.lspb)
            # Of a device that grew, what was added counts as dirty.
            known = bits if sb.provided_data_sectors >= lay.P else sb.provided_data_sectors >> shift
            dirty = {n for n in range(bits) if n >= known or bitmap[n >> 3] >> (n & 7) & 1}
            if mode != "B" and dirty:
                first = min(first, min(dirty) << shift)
        return lambda s: s >= first or mode == "B" and s >> shift in dirty


# --- damage ---

EXTREMES = [0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 62, 63, 64, 127, 128, 255, 256, 65535, 65536, (1 << 31) - 1, 1 << 31,
            (1 << 32) - 1, 1 << 32, 1 << 40, (1 << 63) - 8, 1 << 63, (1 << 64) - 8, (1 << 64) - 1]
NUMBERS = [name for name, (_, form) in FIELDS.items() if "s" not in form]


class Disks:
    """Images of the disks of a volume, the last of them with the superblock, to be damaged."""

    def __init__(self, images, rng):
        self.images, self.rng = [bytearray(image) for image in images], rng
        self.meta = self.images[-1]

    def put(self, at, data):
        self.meta[at:at + len(data)] = data

    def get(self, name):
        at, form = FIELDS[name]
        return struct.unpack_from(form, self.meta, at)[0]

    def set(self, name, value):
        at, form = FIELDS[name]
        struct.pack_into(form, self.meta, at, value)

    def sign(self, key):
        """The right MAC, as somebody who has the key makes it."""
        self.put(480, sb_mac(bytes(self.meta[:SECTOR]), key))

    # Each kind of damage is a method that says what it did.

    def field(self):
        rng, name = self.rng, self.rng.choice(("magic", "salt", "pad2", *NUMBERS * 4))
        size = struct.calcsize(FIELDS[name][1])
        now = self.get(name)
        if isinstance(now, bytes):
            value = bytearray(now)
            value[rng.randrange(size)] ^= 1 << rng.randrange(8)
            value = bytes(value)
        else:
            value = rng.choice((rng.choice(EXTREMES), now + rng.choice((-1, 1)), now ^ 1 << rng.randrange(8 * size),
                                rng.randrange(4 * now + 4), rng.getrandbits(8 * size))) % (1 << 8 * size)
        self.set(name, value)
        return f"{name} {value}"

    def fields(self):
        return ", ".join(self.field() for _ in range(self.rng.randrange(2, 5)))

    def flags(self):
        mask = 1 << self.rng.choice((*range(8), self.rng.randrange(32)))
        if self.rng.randrange(4) == 0:
            mask |= self.rng.getrandbits(self.rng.choice((8, 32)))
        self.set("flags", self.get("flags") ^ mask)
        return f"flags {self.get('flags'):#x}"

    def position(self):
        """A recalculation that is to go on somewhere."""
        self.set("flags", self.get("flags") | RECALC)
        value = self.rng.choice((self.rng.randrange(self.get("provided") + 1), self.rng.choice(EXTREMES)))
        self.set("recalc_sector", value)
        return f"recalculation at {value}"

    def elsewhere(self):
        """Other places for tags and data, or another salt; mostly with a recalculation, which verifies nothing."""
        rng, what = self.rng, ["journal_sections", "salt"]
        if self.get("log2_interleave"):
            what += ["log2_interleave", "padding"]
        kind = rng.choice(what)
        if kind == "salt":
            self.set("flags", self.get("flags") ^ HMAC)
        elif kind == "padding":
            self.set("flags", self.get("flags") ^ PADDING)
        elif kind == "log2_interleave":
            self.set(kind, rng.randrange(3, 12))
        else:
            self.set(kind, rng.randrange(1, 5))
        return f"other {kind}" + (f", {self.position()}" if rng.randrange(3) else "")

    def scattered(self):
        end = self.rng.choice((64, 64, SECTOR, 4096))
        places = [self.rng.randrange(end) for _ in range(self.rng.choice((1, 1, 2, 5, 40)))]
        for at in places:
            self.put(at, bytes([self.rng.randrange(256)]))
        return f"bytes {sorted(places)}"

    def erased(self):
        length = self.rng.choice((8, 64, SECTOR, 4096, 4096))
        fill = self.rng.choice((bytes(length), bytes(length), b"\xff" * length, self.rng.randbytes(length)))
        self.put(0, fill)
        return f"{length} bytes are {fill[:4].hex()}..."

    def size(self):
        """A device that is shorter, or longer."""
        n = self.rng.randrange(len(self.images))
        image, rng = self.images[n], self.rng
        now = len(image) // SECTOR
        new = rng.choice((now - rng.randrange(1, 20), rng.randrange(8, now), now + rng.randrange(1, 20),
                          rng.randrange(now, 2048)))
        image[:] = (image + bytes(2048 * SECTOR))[:new * SECTOR]
        return f"{('data', 'meta')[n]} of {new} sectors, not {now}"

    def bitmap(self):
        """Other bits, under the flag that says that there are some, or, seldom, not."""
        rng = self.rng
        self.set("flags", self.get("flags") & ~DIRTY | (DIRTY if rng.randrange(8) else 0))
        bits = rng.choice((bytes(512), b"\xff" * 512, rng.randbytes(512), rng.randbytes(3), b"\x01"))
        self.put(4096 + rng.choice((0, 0, 1, 7)), bits)
        return f"bits {bits[:4].hex()}..., flags {self.get('flags'):#x}"

    def dirty(self):
        self.set("flags", self.get("flags") ^ DIRTY)
        return f"flags {self.get('flags'):#x}"

    def granularity(self):
        value = self.rng.choice((*range(12), 54, 60, 63, 64, self.rng.randrange(256)))
        self.set("log2_bitmap", value)
        return f"log2_bitmap {value}; " + self.bitmap()


DAMAGES = [Disks.field, Disks.field, Disks.fields, Disks.flags, Disks.position, Disks.elsewhere,
           Disks.scattered, Disks.erased, Disks.size, Disks.bitmap, Disks.dirty, Disks.granularity]
