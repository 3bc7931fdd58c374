# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# The table line that the kernel prints loads again as it is and prints the same, its
# count is that of its words, and it is word for word the in-tree target's line for the
# same volume and options. The status begins with the three words that libdm and LVM
# scan, and has as many as documented.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

MKEY = "ff" * 32
# how it is formatted, whether with a metadata device, start, tag size; then what each table adds
VOLUMES = [
    ("internal_hash:crc32c", False, 0, "-",
     ["", "buffer_sectors:8", "recalculate", "commit_time:77 journal_watermark:33", "recalculate legacy_recalculate",
      "fix_padding fix_hmac", "reset_recalculate", "journal_sectors:5 interleave_sectors:8"]),
    (f"internal_hash:hmac(sha256):{KEY} fix_padding block_size:4096", False, 64, 20,
     ["", "legacy_recalculate", "legacy_recalculate recalculate buffer_sectors:1"]),
    ("internal_hash:sha256 fix_hmac fix_padding block_size:1024 interleave_sectors:100", False, 0, "-",
     ["buffer_sectors:1", "", "recalculate"]),
    (f"internal_hash:hmac(sha256):{KEY} journal_mac:hmac(sha256):{MKEY} fix_hmac block_size:512", True, 8, 33,
     ["", "recalculate", "buffer_sectors:1000 fix_padding"]),
    ("internal_hash:xxhash64 journal_mac:crc32c journal_sectors:700", True, 0, "-",
     ["", "sectors_per_bit:7 bitmap_flush_interval:5", "recalculate reset_recalculate"]),
    # As long a key as tools use.
    (f"internal_hash:hmac(sha256):{'5a' * 4096}", False, 0, 4, ["", "legacy_recalculate recalculate"]),
]
subprocess.run(["modprobe", "-q", "xxhash_generic"])
disks = iter(ramdisks(4, 2 * len(VOLUMES)))
volumes = []
for options, meta, start, tag, extras in VOLUMES:
    data, metadata = next(disks), next(disks)
    volumes.append((Volume(data, options, metadata if meta else None, start, tag), extras))


def well_formed(line, what):
    words = line.split()
    expect_eq(len(words) - 5, int(words[4]), f"{what}: words counted in {line}")
    expect_eq(len(set(words[5:])), len(words[5:]), f"{what}: different words in {line}")


def settled(dev):
    """The position has come to the end, if there is one."""
    words = dev.status().split()
    return words[2] in ("-", words[1]) and (len(words) == 3 or words[3] == "idle")


def tables(which):
    load(which)
    found = []
    for v, extras in volumes:
        for extra in extras:
            with v.open(extra) as dev:
                wait_for("recalculation ends", lambda: settled(dev))
                line = dev.table()
                well_formed(line, which)
                found.append((v.table(extra), line))
                if which == "ours":
                    dev.load(dev.length, f"integrity {line}")
                    dev.resume()
                    wait_for("recalculation ends", lambda: settled(dev))
                    expect_eq(dev.table(), line, "table loaded again")
    return found


load("ours")
for v, _ in volumes:
    v.format()
    with v.open() as dev:
        write_all(dev.path, 1, v.block_size)
# Each target begins with the same disks: in the end the recalculation's flag stays.
before = [[contents(d) for d in v.disks] for v, _ in volumes]
ours = tables("ours")
after = [v.sb for v, _ in volumes]
for (v, _), disk in zip(volumes, before):
    for name, data in zip(v.disks, disk):
        poke(name, 0, data)
intree = tables("intree")
for (asked, mine), (_, theirs) in zip(ours, intree):
    expect_eq(mine, theirs, f"table printed after {asked[:200]}")
for (v, _), sb in zip(volumes, after):
    expect_eq((sb.flags, sb.recalc_sector, sb.provided, sb.version),
              (v.sb.flags, v.sb.recalc_sector, v.sb.provided, v.sb.version), "superblock left by both")

# Mode J, while formatting. With few journal entries the watermark in effect is not the one given.
for v, extra in ((volumes[0][0], ""), (volumes[0][0], "journal_watermark:0"),
                 (volumes[0][0], "journal_watermark:100 commit_time:4000000000"),
                 (volumes[1][0], "journal_watermark:37 commit_time:0")):
    lines = []
    for which in ("ours", "intree"):
        load(which)
        poke(v.sb_dev, v.start * SECTOR, bytes(4096))
        with Device("j").create(8, v.table(extra, mode="J")) as dev:
            lines.append(dev.table())
            well_formed(lines[-1], f"{which}, mode J")
    expect_eq(lines[0], lines[1], f"table printed in mode J with {extra}")

# What is ours alone is printed only when it was given, and its line loads again.
load("ours")
v = volumes[2][0]
with v.open() as dev:
    if "no_recalculate" in dev.table():
        fail("no_recalculate is printed, but was not given")
with v.open("no_recalculate") as dev:
    line = dev.table()
    well_formed(line, "no_recalculate")
    expect_match(line, r" no_recalculate( |$)", "table with no_recalculate")
    dev.load(dev.length, f"integrity {line}")
    dev.resume()
    expect_eq(dev.table(), line, "table loaded again")

# Status by LVM's scan: two numbers and a word of at most 15 characters, then what we add.
checked = 0
for v, extras in volumes:
    for extra in ("", extras[-1]):
        with v.open(extra) as dev:
            status = dev.status()
            expect_match(status, r"^\d+ \d+ (-|\d{1,15}) (idle|recalculate) \d+/\d+ \d+ \d+ (-|\d+) 0$", "status")
            words = status.split()
            expect_eq(int(words[1]), v.sb.provided, "sectors provided")
            expect_eq(words[2] == "-", not v.sb.flags & RECALC, "position is printed with the flag, else -")
            # And dmsetup agrees with what we ask libdevmapper.
            shown = run("dmsetup", "status", "v").split()
            expect_eq(shown[3:5], words[:2], "dmsetup status")
            checked += 1
            expect_match(run("dmsetup", "table", "--showkeys", "v"), "^0 \\d+ integrity ", "dmsetup table")
say(f"{len(ours)} lines are those of in-tree and load again; {checked} statuses parsed")
END
