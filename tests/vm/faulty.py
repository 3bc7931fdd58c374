# SPDX-License-Identifier: GPL-2.0-only
"""Disks that fail at one place, and what a volume's blocks may hold meanwhile."""

import contextlib
import errno
import functools
import random

from dm import Dm
from volume import SECTOR, Device, DMError, expect_eq, fail, pattern, read_at, write_at

BS, BLOCKS = 4096, 256
LENGTH = BLOCKS * BS // SECTOR
TORN = -1       # a "version" of a block: it does not match its tag


class Low:
    """A RAM disk of LENGTH sectors, with a device above it of which something can fail.

    Faults: r: cannot be read, w: cannot be written, n: neither, d: cannot be read until it is written, f: cannot be
    flushed. The disk has nothing to flush. For f the last 8 sectors are on another one that has."""

    def __init__(self, name, disk, end):
        self.name, self.disk, self.path, self.end = name, disk, f"/dev/mapper/{name}", end
        Device(name).create(LENGTH, f"linear {disk} 0")

    def map(self, *pieces):
        """Pieces (sector, sectors, target)."""
        Dm(self.name).load(*(f"{first} {count} {target}" for first, count, target in pieces if count))
        Dm(self.name).resume()

    def whole(self, fault=None):
        last = 8 if fault == "f" else 0
        self.map((0, LENGTH - last, f"linear {self.disk} 0"), (LENGTH - last, last, f"linear {self.end}"))

    def spoil(self, fault, at, count):
        if fault == "f":
            # A flush goes to every piece.
            at, count, kind = LENGTH - 8, 8, f"flakey {self.end} 0 100000 1 error_writes"
        elif fault == "d":
            self.map((0, LENGTH, f"dust {self.disk} 0 512"))
            Device(self.name).message(f"addbadblock {at}")
            return Device(self.name).message("enable")
        else:
            bad, good = "/dev/mapper/bad 0 0", f"{self.disk} {at} 0"
            kind = {"n": "error ", "r": f"delay {bad} {good}", "w": f"delay {good} {bad}"}[fault]
        return self.map((0, at, f"linear {self.disk} 0"), (at, count, kind),
                        (at + count, LENGTH - at - count, f"linear {self.disk} {at + count}"))

    def flap(self):
        """Every other second nothing can be read or written."""
        self.map((0, LENGTH, f"flakey {self.disk} 0 1 1"))


@functools.lru_cache(None)
def content(block, version):
    return random.Random(f"{block} {version}").randbytes(BS) if version else pattern(1, BLOCKS * BS)[block * BS:][:BS]


class Blocks:
    """Which versions of each block a read may give now, and which after a crash. 0 is pattern(1)."""

    def __init__(self, mode, known):
        self.mode, self.version = mode, 100
        self.now = [set(known.get(b, {0})) for b in range(BLOCKS)]
        self.flushed()

    def may_be(self, block, *versions):
        self.now[block] |= set(versions)
        self.kept[block] |= set(versions)

    def write(self, path, *blocks):
        """Those that could not be written. They may be what they were, or what they were to be."""
        failed = []
        for block in blocks:
            self.version += 1
            try:
                write_at(path, block * BS, content(block, self.version))
            except OSError as error:
                expect_eq(error.errno, errno.EIO, f"error of a write of block {block}")
                self.may_be(block, self.version, *([] if self.mode == "J" else [TORN]))
                failed.append(block)
            else:
                self.now[block] = {self.version}
                self.kept[block] |= {self.version, TORN} if self.mode == "D" else {self.version}
        return failed

    def flushed(self):
        self.kept = [set(v) for v in self.now]

    def crashed(self):
        self.now = [set(v) for v in self.kept]

    def read(self, path, block, may_fail=()):
        """Its version, which it keeps; None when it cannot be read."""
        try:
            data = read_at(path, block * BS, BS)
        except OSError as error:
            if error.errno in may_fail:
                return None
            seen = TORN if error.errno == errno.EILSEQ else f"unreadable: {error.strerror}"
        else:
            seen = next((v for v in self.now[block] if v != TORN and content(block, v) == data), "something else")
        if seen not in self.now[block]:
            fail(f"block {block} is {seen}, and may be {self.now[block]}")
        self.now[block] = {seen}
        return seen

    def read_all(self, path):
        """The blocks that do not match."""
        torn, step = [], 32
        for first in range(0, BLOCKS, step):
            blocks = range(first, first + step)
            if all(len(self.now[b]) == 1 and TORN not in self.now[b] for b in blocks):
                with contextlib.suppress(OSError):
                    if read_at(path, first * BS, step * BS) == b"".join(content(b, *self.now[b]) for b in blocks):
                        continue
            torn += [b for b in blocks if self.read(path, b) == TORN]
        return torn


def attempt(action, *args):
    """ok, or the name of the error."""
    try:
        action(*args)
    except (DMError, OSError) as error:
        return errno.errorcode[error.errno]
    return "ok"
