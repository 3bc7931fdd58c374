# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Mode I and the in-tree target of the same kernel: each reads what the other formatted and wrote, the
# disks are the same, metadata included; a recalculation that one begins the other ends; the line that
# one prints the other loads; what one calls a mismatch is one for the other.
# kernels: 6.12
# long-kernels: debug
# long: yes
# cpus: 1
# timeout: 300
# nvme: 2M,bs=4096,ms=16 1M,bs=512,ms=64 2M,bs=4096,ms=16 1M,bs=512,ms=64

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *
from inline import *

load("ours")
for module in ("sha512_generic", "sha256_generic"):
    subprocess.run(["modprobe", "-q", module])
nva, nvc, nvb, nvd = (Nvme(f"nv{x}") for x in "abcd")
VOLUMES = [
    ((nva, nvb), "internal_hash:crc32c", "-"),
    ((nva, nvb), "internal_hash:crc32c fix_padding interleave_sectors:512", 16),
    ((nva, nvb), f"internal_hash:hmac(sha256):{KEY} fix_hmac fix_padding", 16),
    ((nvc, nvd), "internal_hash:sha512 sectors_per_bit:1024", "-"),
    ((nvc, nvd), "internal_hash:sha256 journal_sectors:700 fix_hmac", 33),
]


def over(dev):
    words = dev.status().split()
    return words[2] == words[1] and (len(words) == 3 or words[3] == "idle")


def head(v):
    raw = bytearray(v.disk.read(0, max(1, 4096 // v.disk.bs))[0])
    raw[48:64] = bytes(16)
    return bytes(raw)


for disks, options, tag in VOLUMES:
    what = f"{disks[0].bs}+{disks[0].ms}, {options}, tag {tag}"
    # One formatted by ours, the other by in-tree.
    v, w = (Inline(disk, options, 0, tag) for disk in disks)
    lines, heads = [], []
    for x, which in ((v, "ours"), (w, "intree")):
        x.disk.clear()
        load(which)
        x.format()
        heads.append(head(x))
        with x.open() as dev:
            write_all(dev.path, 1, x.disk.bs)
            lines.append(dev.table())
        x.check()
    expect_eq(heads[0], heads[1], f"{what}: superblocks, without salt")
    if "fix_hmac" not in options:
        for kind, mine, theirs in zip(("data", "metadata"), *(d.contents() for d in disks)):
            expect_eq(mine == theirs, True, f"{what}: {kind} of both disks is the same")
    # Each opens the other's, by its own line and by the other's, and writes to it.
    for x, line, which in ((v, lines[0], "intree"), (w, lines[1], "ours")):
        load(which)
        with Device("v").create(x.sb.provided, f"integrity {line}") as dev:
            read_all(dev.path, 1, x.disk.bs)
            expect_eq(dev.field(0), "0", f"{what}: mismatches")
            write_all(dev.path, 2, x.disk.bs)
        x.check()
    for x, which in ((v, "ours"), (w, "intree")):
        load(which)
        with x.open() as dev:
            read_all(dev.path, 2, x.disk.bs)
            expect_eq(dev.field(0), "0", f"{what}: mismatches")
    say(f"{what}: ours prints {lines[0]}; in-tree {lines[1]}")

    # Mismatches: in data, in the tag, in what pads it.
    x, sb = v, v.sb
    digest_size = {"crc32c": 4, "sha256": 32, "sha512": 64}.get(options.split()[0].split(":")[1], 32)
    changes = [dict(data=0), dict(data=x.disk.bs - 1), dict(tag=0), dict(tag=min(digest_size, sb.tag_size) - 1)]
    if sb.tag_size > digest_size:
        changes.append(dict(tag=sb.tag_size - 1))
    if x.disk.ms > sb.tag_size:
        changes.append(dict(tag=x.disk.ms - 1))
    verdict = {}
    for i, change in enumerate(changes):
        x.change(i * 16, **change)
    for which in ("ours", "intree"):
        load(which)
        with x.open() as dev:
            for i in range(len(changes)):
                try:
                    read_at(dev.path, i * 16 * SECTOR, x.disk.bs)
                    got = 0
                except OSError as error:
                    got = error.errno
                verdict.setdefault(which, []).append(got)
            verdict[which].append(dev.field(0))
    expect_eq(verdict["ours"], verdict["intree"], f"{what}: what reads of changed blocks give")
    expect_eq(verdict["ours"][:4], [errno.EILSEQ] * 4, f"{what}: reads of changed blocks")
    for i, change in enumerate(changes):
        x.change(i * 16, **change)

    # A recalculation that ours begins in-tree ends, and the reverse.
    extra = "legacy_recalculate" if "hmac(" in options else ""
    data, _ = x.disk.contents()
    first = x.block(0)
    x.disk.write(first, data[first * x.disk.bs:])
    load("ours")
    with x.open(f"recalculate no_recalculate {extra}") as dev:
        dev.message("speed_max 512")
        dev.message("idle")
        wait_for("a part is done", lambda: int(dev.field(2)) > x.sb.provided // 8, 60)
        dev.message("frozen")
        at = int(dev.field(2))
    expect_eq(x.bad(0, at), [], f"{what}: below the position")
    if at >= x.sb.provided:
        fail(f"{what}: nothing was left for in-tree")
    load("intree")
    with x.open(extra) as dev:
        wait_for("in-tree ends it", lambda: over(dev), 60)
        read_all(dev.path, 2, x.disk.bs)
    x.check()
    # In-tree left it half way, as far as the superblock says.
    x.disk.write(x.block(x.sb.provided // 2 // 8 * 8), data[(first + x.sb.provided // 2 // 8 * 8 // x.spb) * x.disk.bs:])
    set_field(x.data, "recalc_sector", x.sb.provided // 2 // 8 * 8)
    load("ours")
    with x.open(extra) as dev:
        wait_for("ours ends it", lambda: over(dev), 60)
        read_all(dev.path, 2, x.disk.bs)
        expect_eq(dev.field(0), "0", f"{what}: mismatches")
    x.check()
END
