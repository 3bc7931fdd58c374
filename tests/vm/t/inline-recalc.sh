# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Recalculation in mode I, beside I/O: afterwards each block has what was written last, or what was there
# before, and its metadata is its tag and zeros. Behind the position nothing is verified, before it
# everything. The position outlives suspend, reload and removal; blocks that have their tags are not
# written again; a keyed hash needs legacy_recalculate.
# kernels: 6.12
# long-kernels: debug
# timeout: 300
# nvme: 2M,bs=4096,ms=16 1M,bs=512,ms=64 2M,bs=4096,ms=16 1M,bs=512,ms=64

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *
from inline import *

load("ours")
subprocess.run(["modprobe", "-q", "sha256_generic"])


def old_data(v, disk):
    """A disk that holds data, and metadata that is none of ours."""
    disk.write(0, bytes((8 + v.start) * SECTOR + 4095 & ~4095))
    data = random.Random(5).randbytes(disk.sectors * SECTOR)
    first = v.block(0)
    disk.write(first, data[first * disk.bs:], random.Random(6).randbytes((disk.blocks - first) * disk.ms))
    return bytearray(data[first * disk.bs:])


class Foreground(Beside):
    """Random reads and writes; knows what each block must have."""

    def __init__(self, path, model, bs):
        super().__init__(path, 1, self.work)
        self.model, self.bs, self.size = model, bs, size_of(path)
        self.rng, self.buffer = random.Random(8), mmap.mmap(-1, 256 << 10)

    def work(self, fd, _):
        rng, buffer = self.rng, self.buffer
        n = self.bs * rng.choice((1, 1, 2, 7, (256 << 10) // self.bs))
        at = rng.randrange(0, (self.size - n) // self.bs + 1) * self.bs
        if rng.randrange(2):
            buffer[:n] = rng.randbytes(n)
            os.pwrite(fd, memoryview(buffer)[:n], at)
            self.model[at:at + n] = buffer[:n]
        else:
            os.preadv(fd, [memoryview(buffer)[:n]], at)
            if buffer[:n] != self.model[at:at + n]:
                fail(f"read of {n} bytes at {at}: not what was there")


def over(dev):
    words = dev.status().split()
    return words[2] == words[1] and words[3] == "idle"


for disk, options, start in ((Nvme("nva"), "internal_hash:crc32c", 0), (Nvme("nvb"), "internal_hash:sha256 fix_hmac", 64)):
    v = Inline(disk, options, start)
    what = f"{disk.bs}+{disk.ms}, {options}"
    model = old_data(v, disk)
    v.format()
    P, bs = v.sb.provided, disk.bs

    # No tags, no recalculation: nothing can be read.
    with v.open() as dev:
        expect_refused(errno.EILSEQ, "a block without a tag", read_at, dev.path, 0, bs)

    # Half way, in steps.
    dev = v.open("recalculate no_recalculate")
    expect_eq(dev.status().split()[2:4], ["0", "frozen"], f"{what}: position and action")
    for s in (0, P // 2 // v.spb * v.spb, P - v.spb):
        expect_eq(read_at(dev.path, s * SECTOR, bs), model[s * SECTOR:s * SECTOR + bs], "read without a tag")
    dev.message("speed_max 1024")
    dev.message("idle")
    wait_for("a part is done", lambda: int(dev.field(2)) > P // 6, 120)
    dev.message("frozen")
    at = int(dev.field(2))
    expect_eq((v.sb.flags & RECALC, v.sb.recalc_sector), (RECALC, at), f"{what}: position on the disk")
    expect_eq(v.bad(0, at), [], f"{what}: blocks below the position with wrong tags")
    if len(v.bad(at, P)) < (P - at) // v.spb - 2:
        fail(f"{what}: there are tags behind the position")
    # Verified before it, not behind, and of a read over it the first part.
    v.change(at - v.spb, data=1)
    expect_refused(errno.EILSEQ, "below the position", read_at, dev.path, (at - v.spb) * SECTOR, bs)
    expect_refused(errno.EILSEQ, "over the position", read_at, dev.path, (at - v.spb) * SECTOR, 2 * bs)
    read_at(dev.path, at * SECTOR, bs)
    v.change(at - v.spb, data=1)
    expect_eq(read_at(dev.path, (at - v.spb) * SECTOR, 4 * bs),
              model[(at - v.spb) * SECTOR:(at + 3 * v.spb) * SECTOR], "read over the position")
    dev.remove()

    # It goes on by itself, beside I/O, over suspend and reload.
    dev = v.open()
    dev.message("speed_max 2048")
    if int(dev.field(2)) < at:
        fail(f"{what}: position {dev.field(2)} after {at}")
    with Foreground(dev.path, model, bs) as io:
        for _ in range(3):
            before = int(dev.field(2))
            dev.suspend()
            expect_match(dev.field(3), "suspended|idle", "action")
            expect_eq(v.sb.recalc_sector, int(dev.field(2)), f"{what}: position saved at suspend")
            dev.resume()
            dev.load(P, v.table())
            dev.suspend()
            dev.resume()
            dev.message("speed_max 2048")
            if int(dev.field(2)) < before:
                fail(f"{what}: position {dev.field(2)} after {before}")
        dev.message("speed_min 1000000")
        dev.message("speed_max 0")
        wait_for("recalculation ends", lambda: over(dev), 180)
        done = io.done[0]
        wait_for("I/O after it", lambda: io.done[0] > done + 20 or io.error, 60)
    expect_eq(dev.field(0), "0", f"{what}: mismatches")
    with direct(dev.path, os.O_RDONLY) as (fd, size):
        into = mmap.mmap(-1, size)
        for offset in range(0, size, 1 << 20):
            os.preadv(fd, [memoryview(into)[offset:offset + (1 << 20)]], offset)
        if into[:] != model[:size]:
            fail(f"{what}: not what was written")
    v.check()
    say(f"{what}: {io.done[0]} requests beside the recalculation")

    # Again: what is right is not written, and what is not is.
    changed = [7 * v.spb, P - v.spb]        # not in the same chunk, of which all between is written
    for s in changed:
        v.change(s, tag=1)
    writes, sectors = disk.written()
    dev.message("reset_recalculate")
    wait_for("recalculation ends", lambda: over(dev), 180)
    sectors = disk.written()[1] - sectors - sum(8 for _ in range(disk.written()[0] - writes))
    if sectors > len(changed) * v.spb:
        fail(f"{what}: {sectors} sectors written for {len(changed)} blocks")
    v.check()
    expect_match(dev.table(), " recalculate ", "table")
    dev.message("check")
    wait_for("check ends", lambda: dev.field(3) == "idle", 120)
    expect_eq(dev.field(6), "0", "bad blocks")
    dev.remove()

# A key protects nothing here that says "recalculate".
disk = Nvme("nvb")
v = Inline(disk, f"internal_hash:hmac(sha256):{KEY} fix_hmac")
model = old_data(v, disk)
v.format()
log.mark()
expect_refused(errno.EOPNOTSUPP, "keyed", v.open, "recalculate")
log.expect("recalculate: a keyed hash needs")
with v.open() as dev:
    expect_refused(errno.EOPNOTSUPP, "keyed, by message", dev.message, "recalculate")
with v.open("recalculate legacy_recalculate") as dev:
    wait_for("recalculation ends", lambda: over(dev), 120)
    expect_match(dev.table(), "legacy_recalculate", "table")
v.check()
say("keyed: refused, and done with legacy_recalculate")

# --- a block that cannot be read costs that block
v = Inline(disk, "internal_hash:sha256")
model = old_data(v, disk)
bad = 1234 // v.spb * v.spb
at = 8 + bad


piecewise("lower", f"0 {at} linear {disk.path} 0", f"{at} {v.spb} error {disk.path} {at}",
          f"{at + v.spb} {disk.sectors - at - v.spb} linear {disk.path} {at + v.spb}")
expect_eq(profile_of("/dev/mapper/lower"), "nop", "profile of the lower device")
v.data = "/dev/mapper/lower"
v.format()
log.mark()
dev = v.open("recalculate")
wait_for("recalculation ends", lambda: over(dev), 120)
expect_eq(dev.status().split()[6:8], ["1", str(bad)], "unreadable blocks, and the first")
log.expect(rf"recalculation skips {v.spb} sectors at 0x{bad:x}: cannot read their data")
expect_refused(errno.EIO, "a block that cannot be read", read_at, dev.path, bad * SECTOR, disk.bs)
read_at(dev.path, (bad - v.spb) * SECTOR, disk.bs)
read_at(dev.path, (bad + v.spb) * SECTOR, disk.bs)
expect_refused(errno.EIO, "a block that cannot be written", write_at, dev.path, bad * SECTOR, bytes(disk.bs))
expect_eq(dev.field(0), "0", "mismatches of reads that failed")
dev.message("check")
wait_for("check ends", lambda: dev.field(3) == "idle", 120)
expect_eq(dev.message("bad_blocks"), f"{bad} {v.spb}\n", "list of bad blocks")
dev.suspend()
piecewise("lower", f"0 {disk.sectors} linear {disk.path} 0")
dev.resume()
expect_eq(v.bad(), [bad], "blocks without their tag")
expect_refused(errno.EILSEQ, "a block that was passed over", read_at, dev.path, bad * SECTOR, disk.bs)
dev.message("reset_recalculate")
wait_for("recalculation ends", lambda: over(dev), 120)
expect_eq(dev.message("bad_blocks") or "", "", "list of bad blocks")
expect_eq(read_at(dev.path, bad * SECTOR, disk.bs), model[bad * SECTOR:bad * SECTOR + disk.bs], "the block in the end")
dev.remove()
v.check()
Device("lower").remove()
say("an unreadable block was counted, passed over and listed")
END
