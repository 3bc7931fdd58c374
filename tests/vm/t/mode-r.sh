# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Mode R reads what is on the disk and writes nothing at all: volumes with a superblock that is blank, damaged
# or unreadable (the table says what it said), with wrong tags, a dirty bitmap, a journal that is dirty or
# garbage, a recalculation half way, a wrong MAC. The disks accept no write while it does, and there is none.
# kernels: 6.12
# long: yes
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 240

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

MIB = 1
disks = counted(ramdisks(MIB, 2))
# What an existing volume does not need in its table, but one without a superblock does.
GEOMETRY = "journal_sectors:700 interleave_sectors:512 fix_padding fix_hmac"


def setup(layout, bs):
    for d in disks:
        clear(d, MIB << 20)
    h = f"internal_hash:hmac(sha256):{KEY} journal_mac:hmac(sha256):{KEY}"
    v = Volume(disks[0], f"{h} block_size:{bs} {GEOMETRY}", disks[1] if layout == "meta" else None)
    v.format()
    with v.open() as dev:
        write_all(dev.path, 1, bs)
    return v


def dirty_journal(v):
    dev = v.open("commit_time:1000000 journal_watermark:100", mode="J")
    write_at(dev.path, 0, pattern(1, v.sb.provided * SECTOR)[:v.block_size])
    sync(dev.path)
    image = [contents(d) for d in v.disks]
    dev.remove()
    for d, i in zip(v.disks, image):
        poke(d, 0, i)


def dirty_bitmap(v):
    dev = v.open("bitmap_flush_interval:1000000", mode="B")
    write_at(dev.path, 0, pattern(1, v.sb.provided * SECTOR)[:v.block_size])
    image = [contents(d) for d in v.disks]
    dev.remove()
    for d, i in zip(v.disks, image):
        poke(d, 0, i)


def journal_garbage(v):
    poke(v.sb_dev, 4096, random.Random(1).randbytes(64 << 10))


def tags_gone(v):
    at = (8 + v.sb.journal_sections * v.section_sectors()) * SECTOR
    poke(v.sb_dev, at, bytes(4096))


def half_way(v):
    set_field(v.sb_dev, "flags", v.sb.flags | RECALC)
    set_field(v.sb_dev, "recalc_sector", 512)
    sign(v.sb_dev, bytes.fromhex(KEY))


DAMAGE = {
    "none": lambda v: None,
    "superblock blank": lambda v: clear(v.sb_dev, 4096),
    "superblock garbage": lambda v: poke(v.sb_dev, 0, random.Random(2).randbytes(4096)),
    "superblock's MAC": lambda v: poke(v.sb_dev, 500, b"wrong"),
    "size in the superblock": lambda v: set_field(v.sb_dev, "provided", 1 << 40),
    "dirty journal": dirty_journal,
    "dirty bitmap": dirty_bitmap,
    "journal garbage": journal_garbage,
    "tags gone": tags_gone,
    "recalculation half way": half_way,
}


def setro(on):
    for d in disks:
        run("blockdev", "--setro" if on else "--setrw", d)


load("ours")
opened = 0
for layout, bs in (("meta", 4096), ("interleaved", 512)):
    v = setup(layout, bs)
    P = v.sb.provided
    good = [contents(d) for d in v.disks]
    for name, damage in DAMAGE.items():
        for d, image in zip(v.disks, good):
            poke(d, 0, image)
        damage(v)
        before, counts = Contents(*v.disks), [written(d) for d in disks]
        where = f"{layout}, {bs}: {name}"
        # First a table that could write on disks that could be written, then neither.
        for ro, extra in ((False, "reset_recalculate legacy_recalculate"), (True, "")):
            setro(ro)
            try:
                dev = v.open(extra, length=P, mode="R", readonly=ro)
            except (DMError, Failed) as error:
                fail(f"{where}: {error}; {log.text()}")
            with dev:
                spot_check(dev.path, 1, bs)
                if not ro:
                    read_all(dev.path, 1, bs)
                status = dev.status().split()
                expect_eq(status[:2], ["0", str(P)], f"{where}: status")
                expect_eq(status[3], "frozen" if name == "recalculation half way" else "idle", f"{where}: action")
                expect_refused((errno.EIO, errno.EROFS, errno.EPERM, errno.EACCES), f"{where}: write", write_at,
                               dev.path, 0, bytes(bs))
                expect_refused(errno.EROFS, f"{where}: message", dev.message, "reset_recalculate")
                expect_match(dev.table(), " R [0-9]+ ", "table")
                dev.suspend()
                dev.resume()
                read_at(dev.path, 0, bs)
            opened += 1
        setro(False)
        expect_eq([written(d) for d in disks], counts, f"{where}: writes")
        expect_eq(Contents(*v.disks), before, f"{where}: disks")

# A superblock that cannot be read, but could be written.
v = setup("meta", 4096)
P = v.sb.provided
meta, sectors = v.meta, size_of(v.meta) // SECTOR
run("modprobe", "dm-delay")
none = Device("none").create(sectors, "error")
bad = Device("bad").create(sectors, f"delay {none.path} 0 0 {meta} 0 0")
v.meta = bad.path
counts, before = written(meta), Contents(meta)
with v.open(length=P, mode="R", readonly=True) as dev:
    read_all(dev.path, 1, 4096)
expect_eq((written(meta), Contents(meta) == before), (counts, True), "writes where the superblock cannot be read")
bad.remove()
none.remove()
v.meta = meta
# A check gives way to reads as long as there are any, and no longer.
with v.open(length=P, mode="R", readonly=True) as dev:
    for message in ("speed_max 200", "check"):
        dev.message(message)
    for i in range(50):
        read_at(dev.path, i * 4096, 4096)
    expect_eq(dev.status().split()[3], "check", "action while it is read")
    dev.message("speed_min 0")
    dev.message("speed_max 0")
    wait_for("the end of the check", lambda: dev.status().split()[3] == "idle", 20)

# And after all that it is a volume like any other.
with v.open() as dev:
    read_all(dev.path, 1, 4096)
v.check()
for d in disks:
    Device(os.path.basename(d)).remove()
say(f"opened {opened} times in mode R: all was read, no sector was written")
END
