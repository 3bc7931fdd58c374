# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# After a crash in mode J, a table with another hash, key or journal_mac than the volume's is refused in
# every mode, says why, and writes nothing: with the right one all that was written is there. One entry that
# is damaged is lost for once: the journal that is left is good for the kernel's own target as well.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 180

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

OTHER = KEY[::-1]
disk, = ramdisks(4, 1)
load("ours")


def crashed(hash_, options="", tag="-", block=512, writes=100, journal=400, discard=False):
    """A volume that was written to and flushed, its disk in the middle of that, and what was written."""
    clear(disk, 4 << 20)
    v = Volume(disk, f"internal_hash:{hash_} block_size:{block} {options}", tag=tag, mode="J")
    with Device("format").create(8, v.table(f"journal_sectors:{journal} interleave_sectors:1024 fix_padding")):
        pass
    with v.open() as dev:
        write_all(dev.path, 1, block)
        want = bytearray(pattern(1, dev.length * SECTOR))
    if discard:     # as it leaves the tags, on kernels whose RAM disks cannot as well
        for s in range(0, v.sb.provided, 1024):
            poke(*v.place(s, "tag"), b"\xf6" * (4 * min(1024, v.sb.provided - s)))
    with v.open("journal_watermark:100 commit_time:3600000") as dev:
        for n in range(writes):
            at = random.randrange(dev.length * SECTOR // block) * block
            want[at:at + block] = random.randbytes(block)
            write_at(dev.path, at, want[at:at + block])
            if n % 20 == 0:
                sync(dev.path)
        sync(dev.path)
        image = contents(disk)
    return v, image, bytes(want)


def expect_kept(v, image, want, hash_, options, message, modes=("J", "D", "B")):
    """With that hash and options it is refused, and then there is all with its own."""
    for mode in modes:
        poke(disk, 0, image)
        wrong = Volume(disk, f"internal_hash:{hash_} block_size:{v.block_size} {options}", tag=v.tag, mode=mode)
        log.mark()
        expect_refused(errno.EILSEQ, f"{wrong.table()} on a volume of {v.table()}", wrong.open, length=v.sb.provided)
        log.expect(f"cannot resume: {message}")
        if contents(disk) != image:
            fail(f"{wrong.table()}: refused, but something was written")
    with v.open() as dev:
        if contents(dev.path) != want:
            fail(f"{v.table()}: not what was written")
        expect_eq(dev.field(-1), "0", "lost entries")
    v.check(*(["--allow-discards"] if v.option("allow_discards") else []))
    say(f"{v.table()}: {' '.join(modes)} with {hash_} {options}")


tag = "no block in the journal matches its tag: internal_hash or its key is not the volume's"
mac = "no section of the journal matches its MAC: journal_mac or its key is not the volume's"
expect_kept(*crashed("crc32c"), "crc32", "", tag)
# Some of so short tags match by chance.
expect_kept(*crashed("crc32c", tag=1), "sha256", "", tag, ("J",))
# What was discarded matches any hash, and says nothing.
expect_kept(*crashed("crc32c", "allow_discards", discard=True), "crc32", "allow_discards", tag, ("J", "D"))
expect_kept(*crashed("sha256", block=4096), f"hmac(sha256):{KEY}", "", tag, ("J", "B"))
expect_kept(*crashed(f"hmac(sha256):{KEY}"), f"hmac(sha256):{OTHER}", "", tag)
signed = f"journal_mac:hmac(sha256):{KEY}"
expect_kept(*crashed("crc32c", signed), "crc32c", f"journal_mac:hmac(sha256):{OTHER}", mac)
expect_kept(*crashed("crc32c", signed), "crc32", signed, tag, ("D",))

# --- one that is damaged, in a ring that is full; the only one; the MAC of the only section ---

def flip(at, size):
    poke(disk, at, bytes(b ^ 255 for b in peek(disk, at, size)))


for options, writes, journal, what in (("", 600, 400, "tag"), (signed, 600, 400, "tag"), ("", 1, 400, "tag"),
                                       (f"{signed} fix_hmac", 3, 100, "MAC")):
    v, image, want = crashed("crc32c", options, writes=writes, journal=journal)
    poke(disk, 0, image)
    with journal_of(v) as journal:
        plan, length = journal.replay(), journal.volume.layout.E
    spb, size = v.block_size // SECTOR, 4
    entry = plan.entries[-1]
    section = (8 + entry.section * v.section_sectors()) * SECTOR
    lost = {entry.sector} if what == "tag" else {e.sector for e in plan.entries}
    if what == "tag":
        flip(section + 512 * (entry.number % 8) + entry.number // 8 * length + 8 + 8 * spb, size)
    else:
        expect_eq(v.sb.journal_sections, 1, "sections")
        flip(section + 512 - 16, 8)
    log.mark()
    with v.open() as dev:
        log.expect(f"{len(lost)} lost")
        expect_eq(dev.field(-1), str(len(lost)), "lost entries")
        left = contents(disk)
    poke(disk, 0, left)
    load("intree")
    with v.open() as dev:
        now = contents(dev.path)
    load("ours")
    differ = {n for n in range(len(want) // 512) if now[n * 512:n * 512 + 512] != want[n * 512:n * 512 + 512]}
    if differ - lost:
        fail(f"the {what} of the entry of sector {entry.sector} was damaged, different are {differ}")
    say(f"{v.table()}: of {len(plan.entries)} entries in {len(plan.order)} sections {len(lost)} lost, for in-tree, too")
END
