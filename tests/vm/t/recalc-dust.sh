# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Sectors that cannot be read until they are written, as those of real disks: the pass skips
# their blocks and ends, reads of them are EIO and no mismatch; writing such a block repairs
# it, data and tag, while the device stays as it is. (dm-dust, which only the debug kernel has.)
# kernels: debug
# append: slub_debug=U
# cpus: 1
# timeout: 180

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

MIB = 6


def dust(block, separate):
    spb = block // SECTOR
    disk, meta = ramdisks(MIB, 2)
    for seed, d in enumerate((disk, meta)):
        poke(d, 0, bytes(4096) + pattern(seed, (MIB << 20) - 4096))
    below = Device("dust").create(size_of(disk) // SECTOR, f"dust {disk} 0 512")
    v = Volume(below.path, f"internal_hash:crc32c block_size:{block}", meta if separate else None).format()
    with v.open("recalculate no_recalculate") as dev:
        # In two blocks one sector each, in a third two of them; 8 sectors are one block or many.
        for s in (803, 4000, 4003, 8010):
            at = v.place(s // spb * spb)[1] // SECTOR + s % spb
            below.message(f"addbadblock {at}")
        below.message("enable")
        dev.message("idle")
        wait_for("the end of the pass", lambda: dev.field(3) == "idle" and dev.field(1) == dev.field(2), 150)
        expect_eq(dev.status().split()[6:8], ["3", "800"] if spb == 8 else ["4", "803"], "bad blocks, and the first")

        def read(sector, count=8):
            return read_at(dev.path, sector * SECTOR, count * SECTOR)

        def write(sector, count=8):
            write_at(dev.path, sector * SECTOR, os.urandom(count * SECTOR))

        for s in (800, 4000, 8008):
            expect_refused(errno.EIO, f"a read of the bad sector at {s}", read, s)
        read(792)
        read(808)
        expect_match(below.message("countbadblocks"), "countbadblocks: 4 ", "bad sectors before the writes")
        # Writing the block makes the disk replace the sector; data and tag are good from then on.
        write(800)
        read(800)
        write(4000, 16)
        write(8008)
        read(3968, 128)
        read(8008)
        expect_match(below.message("countbadblocks"), "countbadblocks: 0 ", "bad sectors after the writes")
        expect_eq(dev.field(0), "0", "mismatches")
    below.remove()
    v.data = disk
    v.check("--all")
    say(f"block size {block}, {'meta_device' if separate else 'interleaved'}: done")


run("modprobe", "dm-dust")
load("ours")
if os.environ.get("DMI_LONG"):
    dust(4096, False)
dust(512, True)
END
