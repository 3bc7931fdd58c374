# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A read-only table, and any table on a read-only device, writes nothing at all, neither
# when it is activated nor while it is used, suspended, resumed, removed or asked to
# recalculate; reads are verified as ever. A blank disk is not formatted by it.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

load("ours")
data, sdata, smeta, blank = counted(ramdisks(4, 4))
volumes = [Volume(data, "internal_hash:crc32c fix_padding interleave_sectors:512").format(),
           Volume(sdata, "internal_hash:sha256 block_size:4096", smeta).format()]
for v in volumes:
    with v.open() as dev:
        write_all(dev.path, 1, v.block_size)
    # A position half way, a stored size that is not that of the device: what an activation would put right.
    set_field(v.sb_dev, "flags", v.sb.flags | RECALC)
    set_field(v.sb_dev, "recalc_sector", v.sb.provided // 16 * 8)
    set_field(v.sb_dev, "provided", v.sb.provided - 8)
LENGTH = {v: v.sb.provided for v in volumes}
ALL = (data, sdata, smeta, blank)


def setro(dev, on):
    run("blockdev", "--setro" if on else "--setrw", dev)


def bad_block(v):
    """A tag below the position that is wrong: found out all the same."""
    with v.open("no_recalculate", length=LENGTH[v], readonly=True) as dev:
        initial = int(re.search(" journal_sectors:(\\d+)", dev.table())[1]) + 8
    at = initial * SECTOR
    poke(v.sb_dev, at, bytes(b ^ 1 for b in peek(v.sb_dev, at, 1)))


for v in volumes:
    bad_block(v)

before = Contents(*ALL)
counts = [written(d) for d in ALL]


def untouched(what):
    expect_eq([written(d) for d in ALL], counts, f"writes and sectors: {what}")
    expect_eq(Contents(*ALL), before, f"disks: {what}")


def used(dev, v, what):
    """All that can be done with it."""
    block = v.block_size
    expect_refused(errno.EILSEQ, f"{what}: read of a wrong block", read_at, dev.path, 0, block)
    for at in (block, 5 * block, LENGTH[v] * SECTOR - block):
        want = pattern(1, (LENGTH[v] + 8) * SECTOR)[at:at + block]
        if read_at(dev.path, at, block) != want:
            fail(f"{what}: read at {at}: not what was written")
    expect_eq(dev.field(0), "1", f"{what}: mismatches")
    expect_eq(int(dev.field(1)), LENGTH[v] + 8, f"{what}: sectors provided")
    # Nothing runs, and what is pending stays so.
    position = dev.field(2)
    expect_eq(dev.field(3), "frozen", f"{what}: action")
    expect_refused((errno.EROFS, errno.EPERM, errno.EACCES), f"{what}: write", write_at, dev.path, 0, bytes(block))
    for message in ("recalculate", "reset_recalculate", "cancel_recalculate"):
        expect_refused(errno.EROFS, f"{what}: {message}", dev.message, message)
    for message in ("idle", "frozen", "idle", "reset_mismatches"):
        dev.message(message)
    # Something is pending, and cannot be done.
    expect_eq(dev.field(3), "frozen", f"{what}: action after idle")
    fd = os.open(dev.path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    dev.suspend()
    dev.resume()
    time.sleep(0.2)
    expect_eq(dev.field(2), position, f"{what}: position")
    read_at(dev.path, block, block)


uses = 0
for v in volumes:
    for extra in ("", "recalculate", "reset_recalculate", "no_recalculate", "buffer_sectors:1 commit_time:1"):
        what = f"read-only table, {extra or 'plain'}"
        with v.open(extra, length=LENGTH[v], readonly=True) as dev:
            used(dev, v, what)
        untouched(what)
        uses += 1
    # Each device read-only in turn, and all of them.
    for disks in [(d,) for d in v.disks] + [v.disks] * (len(v.disks) > 1):
        for d in disks:
            setro(d, True)
        what = f"read-only table on read-only {disks}"
        with v.open("recalculate", length=LENGTH[v], readonly=True) as dev:
            used(dev, v, what)
        untouched(what)
        # The table may ask to write: what the kernel makes of it differs, but nothing is written.
        what = f"writable table on read-only {disks}"
        try:
            dev = v.open("recalculate", length=LENGTH[v])
        except DMError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                fail(f"{what}: {error}")
        else:
            with dev:
                expect_eq(dev.field(3), "frozen", f"{what}: action")
                read_at(dev.path, v.block_size, v.block_size)
        untouched(what)
        for d in disks:
            setro(d, False)
        uses += 2

# Format, or put a damaged superblock right: not read-only.
log.mark()
b = Volume(blank, "internal_hash:crc32c")
expect_refused(errno.EROFS, "read-only table on a blank disk", Device("v").create, 8, b.table(), True)
log.expect("integrity: .*the superblock is blank, and a read-only device cannot be formatted")
untouched("blank disk")

# dmsetup's own way.
run("dmsetup", "create", "--readonly", "v", "--table", f"0 {LENGTH[volumes[0]]} {volumes[0].table()}")
expect_match(run("dmsetup", "info", "v"), r"State: +ACTIVE \(READ-ONLY\)", "dmsetup info")
run("dmsetup", "remove", "v")
untouched("dmsetup create --readonly")

# And writable again: it is put right, recalculated, written.
for v in volumes:
    with v.open(length=LENGTH[v]) as dev:
        wait_for("recalculation ends", lambda: dev.field(2) == str(LENGTH[v] + 8) and dev.field(3) == "idle")
    expect_eq(v.sb.provided, LENGTH[v] + 8, "provided sectors stored by a writable table")
    with v.open() as dev:
        write_all(dev.path, 2, v.block_size)
        read_all(dev.path, 2, v.block_size)
    v.check()
# What was counted above counts.
for d, count in zip((data, sdata, smeta), counts):
    if written(d)[1] <= count[1]:
        fail(f"no sector was written to {d} by the writable tables")
# A volume with a keyed hash was complete, and its disk has grown: what it had is read, and nothing is made.
v = Volume(sdata, f"internal_hash:hmac(sha256):{KEY} block_size:4096", smeta)
clear(smeta)
v.format()
with v.open("recalculate legacy_recalculate") as dev:
    wait_for("recalculation ends", lambda: dev.field(2) == dev.field(1) and dev.field(3) == "idle")
    write_all(dev.path, 3, v.block_size)
small = v.sb.provided - 64
for name in "provided", "recalc_sector":
    set_field(smeta, name, small)
expect_refused(errno.EOPNOTSUPP, "a keyed volume that has grown", v.open)
before = Contents(sdata, smeta)
log.mark()
with v.open(readonly=True) as dev:
    expect_eq(dev.length, small, "length")
    expect_eq(dev.field(1), str(small + 64), "sectors provided")
    if contents(dev.path) != pattern(3, (small + 64) * SECTOR)[:small * SECTOR]:
        fail("a keyed volume that has grown: not what was written")
log.expect("has grown, but the keyed hash does not allow")
expect_eq(Contents(sdata, smeta), before, "disks of a keyed volume that has grown")

for d in ALL:
    Device(os.path.basename(d)).remove()
say(f"used read-only {uses} times: no sector was written")
END
