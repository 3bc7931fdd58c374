# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Disks with logical blocks of 4096 bytes, for data, tags or both, with blocks of the volume
# of 512 and of 4096 bytes: as the kernel's own target takes or refuses them; passes, writes,
# mismatches and the second look at a block work, and the oracle finds every tag right. A bitmap
# whose dirty regions begin and end within a block of the disk is recovered, as written elsewhere.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 300
# disks: 24M,bs=4096 24M,bs=4096 24M 24M

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *
import threading

MIB = 2


def logical(dev):
    return int(run("blockdev", "--getss", dev))


for dev, size in (("/dev/vda", 4096), ("/dev/vdb", 4096), ("/dev/vdc", 512), ("/dev/vdd", 512)):
    expect_eq(logical(dev), size, f"logical block size of {dev}")


class Below:
    """A piece of a disk of its own for each volume; its I/O is counted."""

    def __init__(self, name, disk, number):
        self.device = Device(name).create(MIB * 2048, f"linear {disk} {number * MIB * 2048}")
        self.path = self.device.path
        expect_eq(logical(self.path), logical(disk), f"logical block size of {name}")

    def reads(self):
        return reads(self.path)


class Changing(threading.Thread):
    """Somebody who writes into the buffer of a read."""

    def __init__(self, buffer):
        super().__init__()
        self.buffer, self.over = buffer, False

    def run(self):
        junk = b"\x55" * len(self.buffer)
        while not self.over:
            self.buffer[:] = junk


def second_look(dev, below):
    """Reads into a buffer that changes: blocks are read again, and no read fails. How many were."""
    with direct(dev.path, os.O_RDONLY) as (fd, _):
        length = 128 << 10
        buffer = mmap.mmap(-1, length)
        os.preadv(fd, [buffer], 0)
        begin = below.reads()
        os.preadv(fd, [buffer], 0)
        plain = below.reads() - begin
        threads = [Changing(buffer) for _ in range(2)]
        for t in threads:
            t.start()
        try:
            begin, n, end = below.reads(), 0, time.monotonic() + 20
            while below.reads() - begin - n * plain < 8:
                if time.monotonic() > end:
                    fail("the buffer never changed in time: nothing was shown")
                os.preadv(fd, [buffer], n % 8 * length)
                n += 1
            return below.reads() - begin - n * plain
        finally:
            for t in threads:
                t.over = True
            for t in threads:
                t.join()


def works(data, meta, block, number):
    """All that a volume is for; returns it with what it was filled with."""
    seed = 1
    # What the volume cannot be asked for less than: the disk of the tags does not matter.
    least = max(logical(data), block)
    disks = {"low": Below(f"low{number}", data, number)}
    if meta:
        disks["low-meta"] = Below(f"low-meta{number}", meta, number)
    v = Volume(disks["low"].path, f"internal_hash:crc32c block_size:{block}",
               disks["low-meta"].path if meta else None)
    noise = pattern(seed, MIB << 20)
    for below in disks.values():
        poke(below.path, 0, noise)
        clear(below.path, 64 << 10)
    v.format()
    length = v.sb.provided

    # A pass over what was there before.
    with v.open("recalculate") as dev:
        wait_for("recalculation ends", lambda: dev.field(2) == dev.field(1) and dev.field(3) == "idle", 60)
        expect_eq(logical(dev.path), least, "logical block size of the volume")
        size = dev.length * SECTOR
        expect_eq(dev.field(6), "0", "bad blocks")
    v.check("--all")

    with v.open() as dev:
        write_all(dev.path, seed + 1, least)
        read_all(dev.path, seed + 1, least)
        looks = second_look(dev, disks["low"])
        read_all(dev.path, seed + 1, least)
        expect_eq(dev.field(0), "0", "mismatches of buffers that change")
    v.check("--all")

    # One block is not what its tag says: first, last, and within a larger block of the disk.
    spb = block // SECTOR
    sectors = [0, length - spb, 808 + 3 * spb % 8]

    for s in sectors:
        disk, at = v.place(s)
        poke(disk, at, bytes(b ^ 1 for b in peek(disk, at, 1)))
    with v.open() as dev:
        log.rested()    # after the lines of the last volume
        for s in sectors:
            at = s * SECTOR // least * least
            # EILSEQ is what it is only after the second look: that went well, too. The second
            # time the tags are in memory, the read and the second look are all that is left.
            for wanted in (None, 2):
                before = disks["low"].reads()
                expect_refused(errno.EILSEQ, f"read at {at} of a block that is wrong", read_at, dev.path, at, least)
                if wanted:
                    expect_eq(disks["low"].reads() - before, wanted, "reads of the data disk")
            log.expect(f"integrity: dm-[0-9]+: Checksum failed at sector 0x{s:x}$")
            for near in (at - least, at + least):
                if 0 <= near < size:
                    read_at(dev.path, near, least)
        expect_eq(dev.field(0), str(2 * len(sectors)), "mismatches")
        for s in sectors:
            at = s * SECTOR // least * least
            write_at(dev.path, at, pattern(seed + 1, size)[at:at + least])
        read_all(dev.path, seed + 1, least)
    v.check("--all")

    say(f"block size {block}, data on blocks of {logical(data)}{f', tags on {logical(meta)}' if meta else ''}: "
        f"{length} sectors, {looks} second looks at changing buffers")
    return v, seed + 1, least


def accepted(data, meta, options):
    for dev in {data, meta or data}:
        clear(dev, 64 << 10)
    try:
        Volume(data, options, meta).format()
    except DMError as error:
        return errno.errorcode[error.errno]
    return "yes"


CASES = [(data, meta, block) for block in (512, 4096) for data, meta in
         (("/dev/vda", None), ("/dev/vda", "/dev/vdb"), ("/dev/vdc", "/dev/vdb"), ("/dev/vda", "/dev/vdd"))]
verdicts = {}
for module in ("intree", "ours"):
    load(module)
    for case in CASES:
        data, meta, block = case
        verdict = accepted(data, meta, f"internal_hash:crc32c block_size:{block}")
        if module == "intree":
            verdicts[case] = verdict
        else:
            expect_eq(verdict, verdicts[case], f"accepted, {case}; the kernel's own target")
say("taken:", ", ".join(f"{c[0]}+{c[1]} {c[2]}: {v}" for c, v in verdicts.items()))

# A start within a block of the disk: no read of the superblock would be possible.
log.mark()
expect_refused(errno.EINVAL, "start within a block of the disk",
               Volume("/dev/vda", "internal_hash:crc32c", start=9).format)
log.expect("integrity: start: 9 is not a multiple of the device's logical block of 4096 bytes")

# Tags on a disk of another kind, with the larger blocks of the volume, differ in nothing else.
volumes = [works(*case, number) for number, case in enumerate(CASES)
           if verdicts[case] == "yes" and case not in (CASES[1], CASES[5], CASES[7])]
expect_eq(len(volumes), 5, "volumes that both targets take")
# A crashed volume that comes from a disk of smaller blocks, dirty from within one to within another.
big = Device("big").create(8 << 11, f"linear /dev/vda {16 << 11}")
odd = Volume(big.path, "internal_hash:crc32c sectors_per_bit:1 journal_sectors:400 interleave_sectors:65536", mode="B")
clear(odd.data, 64 << 10)
odd.format()
with odd.open(mode="D") as dev:
    write_all(dev.path, 9, 4096)
with odd.open("bitmap_flush_interval:3600000") as dev:
    tags = (int(re.search(r" journal_sectors:(\d+)", dev.table())[1]) + 8) * SECTOR
    write_at(dev.path, 0, pattern(9, size_of(dev.path))[:4096])
    image = bytearray(contents(odd.data))
size = 16384 // 8
expect_eq(int.from_bytes(image[4096:4096 + size], "little"), 0xff, "bits of a write of 4096 bytes")
dirty = [range(3, 3 + 9001), range(9101, 9102), range(9111, 9130), range(9141, 9148)]
bits = sum(1 << s for r in dirty for s in r)
image[4096:4096 + size] = bits.to_bytes(size, "little")
# Tags of all that is dirty are wrong, and one of what is clean.
clean = 9105
for s in (clean, *(s for r in dirty for s in r)):
    image[tags + 4 * s] ^= 1
poke(odd.data, 0, image)
with odd.open() as dev:
    wait_for("recovery", lambda: dev.field(2) == dev.field(1) and dev.field(3) == "idle")
    expect_eq(dev.field(6), "0", "bad blocks of a recovery within blocks of the disk")
    expect_refused(errno.EILSEQ, "a clean block with a wrong tag", read_at, dev.path, clean // 8 * 4096, 4096)
    write_at(dev.path, clean // 8 * 4096, pattern(9, size_of(dev.path))[clean // 8 * 4096:][:4096])
    read_all(dev.path, 9, 4096)
    expect_eq(dev.field(0), "1", "mismatches after it")
odd.check("--all")
big.remove()
say(f"{len(dirty)} dirty regions that begin and end within blocks of the disk: recovered")

# The other target finds what ours left right.
load("intree")
for v, seed, least in volumes:
    with v.open() as dev:
        read_all(dev.path, seed, least)
        expect_eq(logical(dev.path), least, "logical block size, in-tree")
        expect_eq(dev.field(0), "0", "mismatches, in-tree")
    for disk in v.disks:
        Device(os.path.basename(disk)).remove()
say(f"{len(volumes)} volumes: the kernel's own target reads the same")
END
