# SPDX-License-Identifier: GPL-2.0-only
"""Volumes of mode I, on NVMe disks with metadata (the header's `nvme`), after volume.py:

    from volume import *
    from inline import *

What the disk has is read and written by commands to it, past block layer and page cache, so also below
a mapping. Tags are made again with the oracle's hashes.
"""

import ctypes
import fcntl
import mmap
import os
import pathlib
import struct
import subprocess
import sys

from volume import SECTOR, TOP, Volume, fail, wait_for

sys.path.append(str(TOP / "tests" / "oracle"))
hashes = __import__("oracle.hashes", fromlist=["Hash"])

SUBMIT_IO = 0x40304E42      # NVME_IOCTL_SUBMIT_IO
USER_IO = struct.Struct("<BBHHHQQQIIHH4x")
WRITE, READ = 1, 2
# QEMU 7.2 loses metadata of a request with more than 512 bytes of it, unless they are a multiple of that.
LARGEST = 512


def address(buffer):
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


class Nvme:
    """A disk by the name that the guest's command line gave it: nva, nvb ..."""

    def __init__(self, serial):
        if not pathlib.Path("/sys/module/nvme").exists():
            subprocess.run(["modprobe", "nvme"], check=False)
        self.name = wait_for(f"NVMe disk {serial}", lambda: self._find(serial))
        self.path = f"/dev/{self.name}"
        queue = pathlib.Path(f"/sys/block/{self.name}")
        self.sectors = int((queue / "size").read_text())
        self.bs = int((queue / "queue/logical_block_size").read_text())
        # Older kernels do not tell.
        ms = queue / "metadata_bytes"
        self.ms = int(ms.read_text()) if ms.exists() else 0
        self.blocks = self.sectors * SECTOR // self.bs
        self.at_once = min((64 << 10) // self.bs, LARGEST // max(self.ms, 1))
        if self.ms:
            limit = queue / "queue/max_sectors_kb"
            limit.write_text(str(min(self.at_once * self.bs >> 10, int(limit.read_text()))))
            if int(limit.read_text()) << 10 > self.at_once * self.bs:
                fail(f"{self.path}: requests of {self.at_once} blocks are not possible")
        self.file = open(self.path, "rb+", buffering=0)

    @staticmethod
    def _find(serial):
        for disk in pathlib.Path("/sys/block").glob("nvme*"):
            file = disk / "device/serial"
            if file.exists() and file.read_text().strip() == serial:
                return disk.name
        return None

    def _command(self, opcode, block, data, meta):
        fcntl.ioctl(self.file, SUBMIT_IO, USER_IO.pack(
            opcode, 0, 0, len(data) // self.bs - 1, 0, address(meta) if self.ms else 0, address(data),
            block, 0, 0, 0, 0))

    def read(self, block, count):
        """(data, metadata) of so many blocks."""
        data, meta = bytearray(), bytearray()
        while count:
            n = min(count, self.at_once)
            d, m = mmap.mmap(-1, n * self.bs), mmap.mmap(-1, max(n * self.ms, 1))
            self._command(READ, block, d, m)
            data += d[:]
            meta += m[:n * self.ms]
            block, count = block + n, count - n
        return bytes(data), bytes(meta)

    def write(self, block, data, meta=None):
        """Blocks and their metadata, zero if none is given."""
        if meta is None:
            meta = bytes(len(data) // self.bs * self.ms)
        step = self.at_once
        for at in range(0, len(data) // self.bs, step):
            part, tuples = data[at * self.bs:(at + step) * self.bs], meta[at * self.ms:(at + step) * self.ms]
            d, m = mmap.mmap(-1, len(part)), mmap.mmap(-1, max(len(tuples), 1))
            d[:] = part
            m[:len(tuples)] = tuples
            self._command(WRITE, block + at, d, m)

    def clear(self):
        """All of it zero, metadata too."""
        for block in range(0, self.blocks, 256):
            self.write(block, bytes(min(256, self.blocks - block) * self.bs))

    def contents(self):
        return self.read(0, self.blocks)

    def written(self):
        """(writes and flushes, sectors) that the block layer sent so far."""
        words = list(map(int, pathlib.Path(f"/sys/block/{self.name}/stat").read_text().split()))
        return words[4] + words[15], words[6]


class Inline(Volume):
    """A volume of mode I on a disk."""

    def __init__(self, disk, options, start=0, tag="-"):
        super().__init__(disk.path, f"{options} block_size:{disk.bs}", start=start, tag=tag, mode="I")
        self.disk = disk
        self.spb = disk.bs // SECTOR

    def block(self, sector):
        """Where on the disk a logical sector is, in its blocks (2.4)."""
        return (self.start + 8 + sector) // self.spb

    def tuples(self, data, sector):
        """What the metadata of this data has to be, beginning at a logical sector."""
        sb = self.sb
        h = hashes.Hash(self.option("internal_hash"))
        size = sb.tag_size
        tags = h.tags(sb.salt if sb.flags & 0x10 else b"", sector, self.spb, bytearray(data), self.disk.bs, size)
        rest = bytes(self.disk.ms - size)
        return b"".join(tags[i:i + size] + rest for i in range(0, len(tags), size))

    def bad(self, begin=0, end=None):
        """Logical sectors of the blocks whose metadata is not exactly what it has to be."""
        end = self.sb.provided if end is None else end
        found = []
        for at in range(begin, end, 2048):
            n = min(2048, end - at)
            data, meta = self.disk.read(self.block(at), n // self.spb)
            want = self.tuples(data, at)
            if want != meta:
                ms = self.disk.ms
                found += [at + i * self.spb for i in range(n // self.spb)
                          if want[i * ms:(i + 1) * ms] != meta[i * ms:(i + 1) * ms]]
        return found

    def check(self, *_):
        found = self.bad()
        if found:
            fail(f"{self.table()}: {len(found)} blocks have wrong tags, first {found[:8]}")

    def change(self, sector, data=0, tag=None):
        """Inverts a byte of a block's data, or of its metadata if tag is given."""
        block = self.block(sector)
        d, m = map(bytearray, self.disk.read(block, 1))
        if tag is None:
            d[data] ^= 0xff
        else:
            m[tag] ^= 0xff
        self.disk.write(block, bytes(d), bytes(m))


def profile_of(dev):
    """The word for the integrity metadata of a device: nop when it is free, none when there is none."""
    number = os.stat(dev).st_rdev
    return pathlib.Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/integrity/format").read_text().strip()
