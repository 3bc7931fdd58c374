# SPDX-License-Identifier: GPL-2.0-only
"""What the tests of the journal write, and which versions of a block may be read after a crash.

A version of a block is named by the operation that wrote it; 0 is what was there at first. Its bytes
follow from operation and block. Used in guests and on the host.
"""

import functools
import random
import sys
import zlib
from pathlib import Path

KEY = "000102030405060708090a0b0c0d0e0f"
NEVER = 1 << 62

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "oracle"))


def content(op, block, size):
    return random.Random(op << 32 | block).randbytes(size)


@functools.lru_cache(1 << 18)
def crc(op, block, size):
    return zlib.crc32(content(op, block, size))


def crcs(data, size):
    view = memoryview(data)
    return [zlib.crc32(view[at:at + size]) for at in range(0, len(data), size)]


class Config:
    """A volume, its workload and how it is mapped: the same words for guest, host and oracle."""

    def __init__(self, **words):
        # Sections of the journal; sectors of the data; options for the table that count for each module.
        self.bs, self.hash, self.mac, self.crypt, self.tag = 512, "crc32c", "", "", "-"
        self.separate = self.recalc = self.discards = False
        self.options, self.runtime = "", ""
        self.sections, self.sectors, self.ops, self.threads, self.seed = 3, 2048, 200, 3, 0
        self.length = self.data_length = 0
        for word, value in words.items():
            getattr(self, word)
            setattr(self, word, value)

    @property
    def name(self):
        words = [self.hash.split(":")[0], self.bs, f"{self.sections} sections", "meta" if self.separate else "",
                 f"mac {self.mac.split(':')[0]}" if self.mac else "", f"crypt {self.crypt.split(':')[0]}" if self.crypt else "",
                 "recalc" if self.recalc else "", "discards" if self.discards else "", self.options, self.runtime]
        return " ".join(str(w) for w in words if w)

    def geometry(self):
        """(sectors of the journal, length of the data disk, of the whole)."""
        from oracle.geometry import section_geometry
        from oracle.hashes import Hash
        tag = Hash(self.hash).size if self.tag == "-" else int(self.tag)
        spb = self.bs // 512
        ss = section_geometry(tag, spb, bool(self.mac))[3]
        blocks = self.sectors // spb
        tags = -(-blocks * tag // 512)
        head = 8 + self.sections * ss
        if self.separate:
            return self.sections * ss, self.sectors, self.sectors + head + tags + 256
        runs = -(-self.sectors // 512)
        return self.sections * ss, 0, head + self.sectors + runs * (-(-(512 // spb) * tag // 4096) * 8) + 8

    def prepare(self):
        self.journal, self.data_length, self.length = self.geometry()
        return self

    def words(self):
        """Options of the table, without those that only count when formatting."""
        found = [f"internal_hash:{self.hash}", f"block_size:{self.bs}", *self.runtime.split()]
        if self.mac:
            found.append(f"journal_mac:{self.mac}")
        if self.crypt:
            found.append(f"journal_crypt:{self.crypt}")
        if self.discards:
            found.append("allow_discards")
        return found

    def format_words(self):
        found = [f"journal_sectors:{self.journal}", *self.options.split()]
        if not self.separate:
            found += ["interleave_sectors:512", "fix_padding"]
        return found

    def to_json(self):
        return dict(vars(self))

    @classmethod
    def from_json(cls, words):
        made = cls()
        vars(made).update(words)
        return made


class Operation:
    def __init__(self, number, kind, block, count, seen=None):
        self.number, self.kind, self.block, self.count, self.seen = number, kind, block, count, seen
        self.begun, self.done = NEVER, NEVER
        self.durable = NEVER

    def to_json(self):
        return [self.number, self.kind, self.block, self.count, self.seen]


class History:
    """What was written when. Operations: w write, W write with FUA and a flush behind it, f flush, r read
    (seen: checksums of the blocks), d discard.

    A discarded block may hold anything. A crash may take a discard back, flushed or not: to the version
    that was there before, whole. Over a later write it does not come."""

    def __init__(self, operations, marks, size, blocks):
        self.size, self.blocks = size, blocks
        by_number = {op.number: op for op in operations}
        for when, mark in marks:
            word, _, number = mark.strip().partition(" ")
            if word == "s":
                by_number[int(number)].begun = when
            elif word == "d":
                by_number[int(number)].done = when
        self.operations = [op for op in operations if op.begun != NEVER]
        flushes = [op for op in self.operations if op.kind in "fW" and op.done != NEVER]
        self.of = {}
        for op in self.operations:
            if op.kind not in "wWd":
                continue
            if op.kind != "d":
                op.durable = op.done if op.kind == "W" else NEVER
                op.durable = min([op.durable] + [f.done for f in flushes if f.begun > op.done])
            for block in range(op.block, op.block + op.count):
                self.of.setdefault(block, []).append(op)

    def left(self, block, when):
        """What may be there after a crash right after that moment: (versions, may it be discarded)."""
        begun = [op for op in self.of.get(block, ()) if op.begun <= when]
        bound = max((op.begun for op in begun if op.durable <= when), default=-1)
        recent = [op for op in begun if op.done > bound]
        versions = [op.number for op in recent if op.kind != "d"]
        return ([] if bound >= 0 else [0]) + versions, len(versions) < len(recent)

    def allowed(self, block, when):
        """Versions that may be there after a crash right after that moment."""
        return self.left(block, when)[0]

    def readable(self, block, begun, done):
        """Versions that a read may give that was begun and done then; discards among them."""
        writes = [op for op in self.of.get(block, ()) if op.begun < done]
        bound = max((op.begun for op in writes if op.done < begun), default=-1)
        return ([] if bound >= 0 else [0]) + [op.number for op in writes if op.done > bound]

    def check_reads(self):
        """What the workload itself read; the number of blocks compared."""
        compared = 0
        discards = {op.number for op in self.operations if op.kind == "d"}
        for op in self.operations:
            if op.kind != "r":
                continue
            for k, seen in enumerate(op.seen):
                block = op.block + k
                may = self.readable(block, op.begun, op.done)
                if not discards.isdisjoint(may):
                    continue
                if seen not in [crc(v, block, self.size) for v in may]:
                    raise AssertionError(f"operation {op.number} read of block {block} what no write of {may} left")
                compared += 1
        return compared
