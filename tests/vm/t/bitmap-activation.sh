# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# The table of activation (on-disk-format.rst, 5.3), row by row: whatever an earlier life left - closed, or
# with a bitmap that is clean, dirty, of another granularity, with a recalculation pending, of a device that
# grew or shrank - ours makes the same of it in modes J, D and B as the kernel's own target, byte for byte.
# kernels: 6.12
# long: yes
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 300

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

MIB = 1
SIZE, GROWN = (MIB << 11) - 256, MIB << 11      # of the data device
REGION = 64
NEVER = "bitmap_flush_interval:3600000"
disks = ramdisks(MIB, 2)
size = [SIZE]


class Case:
    def __init__(self, layout):
        self.layout = layout

    def up(self, sectors):
        self.under = Device("under").create(sectors, f"linear {disks[0]} 0")
        options = "internal_hash:crc32c block_size:512 journal_sectors:200"
        if self.layout == "interleaved":
            options += " interleave_sectors:256 fix_padding"
        return Volume("/dev/mapper/under", options, disks[1] if self.layout == "meta" else None, mode="B")

    def down(self):
        self.under.remove()


def images():
    return [contents(d) for d in disks]


def restore(image):
    for d, i in zip(disks, image):
        poke(d, 0, i)


def put(dev, region):
    write_at(dev.path, region * REGION * SECTOR, bytes([region & 255]) * 2048)


def prepare(case):
    """What may be found: name -> image of the disks."""
    found = {}
    load("ours")
    for d in disks:
        clear(d, MIB << 20)
    v = case.up(SIZE)
    with Device("format").create(8, v.table(f"sectors_per_bit:{REGION}")):
        pass
    with v.open(mode="D") as dev:
        write_all(dev.path, 1, 512)
    found["closed"] = images()
    P = v.sb.provided

    # With a part of the tags still to be made: none of them is there.
    set_field(v.sb_dev, "flags", v.sb.flags | RECALC)
    set_field(v.sb_dev, "recalc_sector", P // 2 // 8 * 8)
    found["closed, pending"] = images()
    restore(found["closed"])
    set_field(v.sb_dev, "flags", v.sb.flags | RECALC)
    set_field(v.sb_dev, "recalc_sector", P)
    found["closed, complete"] = images()

    for name, start, regions in (("clean bitmap", "closed", ()), ("dirty", "closed", (2, 9, 15)),
                                 ("dirty, complete", "closed, complete", (4,)),
                                 ("dirty, pending", "closed, pending", (1, 19))):
        restore(found[start])
        dev = v.open(f"sectors_per_bit:{REGION} {NEVER} no_recalculate")
        for region in regions:
            put(dev, region)
        found[name] = images()
        dev.remove()
    case.down()
    return found


def activate(case, module, image, sectors, mode, extra):
    """Opens it, waits, closes it: the disks afterwards."""
    restore(image)
    v = case.up(sectors)
    # A new size is what the first table of the new size stores.
    with v.open(f"{extra} {NEVER}", mode=mode, length=8) as dev:
        status = dev.status().split()
        if status[2] != "-":
            wait_for(f"recalculation by {module}", lambda: dev.field(2) == dev.field(1))
        if module == "ours":
            wait_for("idle", lambda: dev.field(3) == "idle")
        expect_eq(dev.field(0), "0", "mismatches")
    sb = v.sb
    case.down()
    return images(), sb


rows = compared = 0
for layout in ("meta", "interleaved"):
    case = Case(layout)
    found = prepare(case)
    wanted = []
    for name in found:
        for mode in "JDB" if layout == "meta" else "B":
            for granularity in (REGION, 2 * REGION):
                wanted.append((name, SIZE, mode, f"sectors_per_bit:{granularity}"))
            wanted.append((name, SIZE, mode, f"sectors_per_bit:{REGION} reset_recalculate"))
            if "dirty" in name or "complete" in name:
                wanted.append((name, GROWN, mode, f"sectors_per_bit:{REGION}"))
                wanted.append((name, SIZE - 384, mode, f"sectors_per_bit:{REGION}"))
    # Half of them at a time, another half each time.
    if not os.environ.get("DMI_LONG"):
        wanted = wanted[time.time_ns() // 1000 % 2::2]
    results = {}
    for module in ("ours", "intree"):
        load(module)
        for row in wanted:
            name, sectors, mode, extra = row
            try:
                results[module, row] = activate(case, module, found[name], sectors, mode, extra)
            except Failed as error:
                fail(f"{layout}: {row}: {module}: {error}")
    for row in wanted:
        (a, sb), (b, other) = results["ours", row], results["intree", row]
        for field in FIELDS:
            expect_eq(getattr(sb, field), getattr(other, field), f"{layout}: {row}: {field} of the superblock")
        for n in range(2):
            if a[n] != b[n]:
                at = next(i for i in range(len(a[n])) if a[n][i] != b[n][i])
                fail(f"{layout}: {row}: disk {n} differs at byte {at} (sector {at // SECTOR}): "
                     f"{a[n][at:at + 16].hex()} and {b[n][at:at + 16].hex()}")
            compared += 1
        rows += 1
say(f"{rows} activations by both, {compared} disks are the same")
END
