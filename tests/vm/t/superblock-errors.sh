# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A superblock that is wrong in any field is refused with a sentence that names the
# field, at load and, when it changes between load and resume, at resume; nothing is
# then written. Fields that are only advice are put right. No value of any byte harms
# the kernel.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

load("ours")
data, sdata, smeta, spare = ramdisks(2, 4)
H = "internal_hash:crc32c"
inter = Volume(data, f"{H} interleave_sectors:512").format()
separate = Volume(sdata, f"{H} block_size:4096", smeta).format()
for v in (inter, separate):
    with v.open() as dev:
        write_all(dev.path, 1, v.block_size)
LENGTH = {v: v.sb.provided for v in (inter, separate)}
good = {v: v.sb.raw for v in (inter, separate)}
EINVAL = errno.EINVAL

# field, value, what the log says; of the interleaved volume
WRONG = [
    ("magic", b"integrT\0", "no integrity superblock at sector 0"),
    ("magic", b"integrt1", "no integrity superblock"),
    ("magic", bytes(8), "no integrity superblock.*to format, clear its 4096 bytes"),
    *(("version", n, f"version {n} is not known") for n in (0, 8, 255)),
    *(("log2_interleave", n, f"log2_interleave_sectors {n} is not 3..31") for n in (0, 1, 2, 32, 63, 64, 255)),
    *(("tag_size", n, f"tag size {n} ") for n in (0, 1, 3, 5, 255, 256, 260, 65535)),
    ("journal_sections", 0, "journal_sections 0"),
    *(("journal_sections", n, "too small|no layout is possible") for n in (1000, 0x7fffffff, 0x80000000, 0xffffffff)),
    # Tags and data are no journal, and are not made an empty one.
    *(("journal_sections", n, "cannot resume: the journal is damaged, and may be another size") for n in (2, 3, 16)),
    *(("log2_spb", n, f"log2_sectors_per_block {n} ") for n in (1, 2, 3, 4, 31, 32, 255)),
    ("flags", MAC, "flags 0x1 say journal MAC"),
    ("flags", INLINE, "flags 0x20 say inline"),
    ("flags", KEYED, "flags 0x40 need allow_discards_keyed"),
    ("flags", 0xffffffff, "flags 0xffffffff"),
    *(("log2_bitmap", n, f"log2_blocks_per_bitmap_bit {n} ") for n in (64, 128, 255)),
]
WRONG_SEPARATE = [
    *(("log2_interleave", n, f"log2_interleave_sectors {n} is not 0") for n in (1, 3, 15, 31, 255)),
    *(("log2_spb", n, f"log2_sectors_per_block {n} ") for n in (0, 2, 4, 255)),
    *(("journal_sections", n, "journal_sections 0|too small|no layout") for n in (0, 100, 0xffffffff)),
    *(("journal_sections", n, "cannot resume: the journal is damaged, and may be another size") for n in (2, 8)),
    *(("log2_bitmap", n, f"log2_blocks_per_bitmap_bit {n} ") for n in (61, 64)),
]
# What is only advice: it loads, reads, and the superblock is right afterwards.
ADVICE = [
    *(("provided", n) for n in (0, 1, 8, 7, 1 << 40, (1 << 64) - 1)),
    *(("recalc_sector", n) for n in (1, 1 << 40, (1 << 64) - 1)),   # without the flag
    *(("log2_bitmap", n) for n in (0, 1, 20, 40, 63)),
    ("version", 2), ("version", 5),
    ("flags", 0x80), ("flags", 0x80000000),                         # bits that mean nothing yet (1.4)
    ("pad", b"\xff\xff"), ("pad2", b"\xff" * 8),
]


def restore(v):
    poke(v.sb_dev, 0, good[v])


def opens(v, extra=""):
    with v.open(extra, length=LENGTH[v]) as dev:
        spot_check(dev.path, 1, v.block_size)


# --- at load ---

count = 0
for v, wrong in ((inter, WRONG), (separate, WRONG_SEPARATE)):
    for field, value, regex in wrong:
        set_field(v.sb_dev, field, value)
        before = Contents(*v.disks)
        log.mark()
        expect_refused((EINVAL, errno.ENOSPC, errno.EIO), f"{field} = {value}", v.open, length=8)
        log.expect(f"integrity: .*({regex})")
        expect_eq(Contents(*v.disks), before, f"disk after {field} = {value}")
        restore(v)
        count += 1
    opens(v)

# Other tables than the one it was made with.
for args, regex in ((Volume(data, H, smeta).table(), "log2_interleave_sectors 0|tag size|log2_sectors_per_block"),
                    (Volume(data, "internal_hash:sha256").table(), "tag size 4 differs from the table's 32"),
                    (Volume(data, H, start=8).table(), "no integrity superblock at sector 8"),
                    (Volume(smeta, H).table(), "log2_sectors_per_block|log2_interleave")):
    before = Contents(data, smeta)
    log.mark()
    expect_refused(EINVAL, args, Device("v").create, 8, args)
    log.expect(f"integrity: .*({regex})")
    expect_eq(Contents(data, smeta), before, "disks after another table")
    count += 1

# Every byte behind the 64 that have a meaning is carried along (1.1).
poke(data, 64, b"\xa5" * (4096 - 64))
opens(inter, "recalculate")
expect_eq(peek(data, 64, 4096 - 64), b"\xa5" * (4096 - 64), "rest of the superblock after it was written")
restore(inter)

for field, value in ADVICE:
    set_field(data, field, value)
    opens(inter)
    sb = inter.sb
    expect_eq(sb.provided, LENGTH[inter], f"provided sectors after {field} = {value}")
    restore(inter)
    count += 1
# A position beyond the end counts as the end (6.1), whatever the version says.
for position in (LENGTH[inter] + 1, 1 << 40, (1 << 64) - 1):
    set_field(data, "flags", RECALC)
    set_field(data, "recalc_sector", position)
    with inter.open(length=LENGTH[inter]) as dev:
        expect_match(dev.status(), f"^0 {LENGTH[inter]} {LENGTH[inter]} idle ", f"position {position}")
        spot_check(dev.path, 1, inter.block_size)
    expect_eq((inter.sb.recalc_sector, inter.sb.version), (LENGTH[inter], 2), f"stored for position {position}")
    restore(inter)
    count += 1

# --- between load and resume ---

CHANGED = [
    ("magic", b"integrT\0", "magic changed"), ("magic", bytes(8), "magic changed"),
    ("version", 0, "version 0"), ("version", 8, "version 8"), ("version", 255, "version 255"),
    *(("log2_interleave", n, "log2_interleave_sectors changed") for n in (0, 10, 255)),
    ("tag_size", 0, "tag_size changed"), ("tag_size", 8, "tag_size changed"), ("tag_size", 65535, "tag_size changed"),
    ("journal_sections", 0, "journal_sections changed"), ("journal_sections", 0xffffffff, "journal_sections changed"),
    ("log2_spb", 3, "log2_sectors_per_block changed"), ("log2_spb", 255, "log2_sectors_per_block changed"),
    ("salt", b"\1" * 16, "salt changed"),
    ("flags", MAC, "flags changed"), ("flags", PADDING, "flags changed"), ("flags", HMAC, "flags changed"),
    ("flags", INLINE, "flags changed"), ("flags", KEYED, "allow_discards_keyed"),
    ("log2_bitmap", 255, "log2_blocks_per_bitmap_bit 255"),
]
for field, value, regex in CHANGED:
    with Device("v").create() as dev:
        dev.load(LENGTH[inter], inter.table())
        set_field(data, field, value)
        before = Contents(data)
        log.mark()
        expect_refused(EINVAL, f"resume after {field} = {value}", dev.resume)
        log.expect(f"cannot resume: .*{regex}")
        expect_eq(Contents(data), before, f"disk after {field} = {value} at resume")
        # It goes on where the disk is right again.
        restore(inter)
        dev.load(LENGTH[inter], inter.table())
        dev.resume()
        spot_check(dev.path, 1, inter.block_size)
        expect_eq(dev.field(0), "0", "mismatches")
    count += 1

# A live table, suspended; and one whose disk became zero. Left suspended, what is above it would
# wait for ever: it comes back, says that it has failed, serves and writes nothing.
for what, spoil in (("tag_size", lambda: set_field(data, "tag_size", 8)),
                    ("magic", lambda: poke(data, 0, bytes(4096)))):
    with inter.open() as dev:
        dev.suspend()
        spoil()
        before = Contents(data)
        log.mark()
        dev.resume()
        log.expect(f"Error on .*{what} changed")
        expect_eq(dev.field(3), "Fail", f"action after {what} changed under a live table")
        expect_refused(errno.EIO, "read of a device that has failed", read_at, dev.path, 0, 4096)
        expect_eq(Contents(data), before, f"disk after {what} changed under a live table")
        restore(inter)
        dev.load(LENGTH[inter], inter.table())
        dev.resume()
        spot_check(dev.path, 1, inter.block_size)

# What another table may have changed meanwhile is taken over: position and size.
with Device("v").create() as dev:
    dev.load(LENGTH[inter], inter.table())
    set_field(data, "flags", RECALC)
    set_field(data, "recalc_sector", 64)
    set_field(data, "provided", 1)
    dev.resume()
    wait_for("recalculation ends", lambda: dev.field(2) == str(LENGTH[inter]))
    wait_for("position saved", lambda: inter.sb.recalc_sector == LENGTH[inter])
    expect_eq(inter.sb.provided, LENGTH[inter], "provided sectors stored")
restore(inter)

# --- any value of any byte ---

rng = random.Random(1)
loaded = refused = 0
tries = [(at, n) for at in range(64) for n in rng.sample(range(256), 1 if at > 32 else 2)]
for at, n in tries:
    poke(data, at, bytes([n]))
    try:
        dev = inter.open(length=8)
    except DMError:
        refused += 1
    else:
        loaded += 1
        dev.remove()
    restore(inter)
for _ in range(30):
    poke(data, 8, rng.randbytes(40) if rng.randrange(2) else
         struct.pack("<BBHI", rng.randrange(1, 6), rng.randrange(3, 32), 4, 1 << rng.randrange(32)))
    try:
        inter.open(length=8).remove()
        loaded += 1
    except DMError:
        refused += 1
    restore(inter)
for v in (inter, separate):
    with v.open() as dev:
        read_all(dev.path, 1, v.block_size)
inter.check()
separate.check()
say(f"{count} wrong or odd superblocks; of {len(tries) + 30} random ones {refused} were refused, {loaded} loaded")
END
