# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# What ours formats and writes the kernel's own target opens, reads and writes, and
# the other way round: superblock and journal of a fresh volume are the same bytes
# but for the salt, and after the same writes both disks are the same byte for byte,
# tags included. For 4 hashes, 2 block sizes, 3 layouts.
# kernels: 6.1 6.12
# long-kernels: debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

HASHES = ["crc32c", "xxhash64", "sha256", f"hmac(sha256):{KEY}"]
LAYOUTS = ["interleave_sectors:1024", "interleave_sectors:512 fix_padding fix_hmac", "meta"]
MIB = 1.5

# Each volume is there four times, on RAM disks of its own: A formatted and written by ours, B both
# by in-tree, C formatted by ours and written by in-tree, D the reverse.
wanted = [(h, bs, layout) for h in HASHES for bs in (512, 4096) for layout in LAYOUTS]
disks = iter(ramdisks(MIB, len(wanted) * 8))


def volume(h, bs, layout):
    data, meta = next(disks), next(disks)
    options = f"internal_hash:{h} block_size:{bs} "
    return Volume(data, options, meta) if layout == "meta" else Volume(data, options + layout)


A, B, C, D = ([volume(*w) for w in wanted] for _ in range(4))


def write(v, seed):
    with v.open() as dev:
        write_all(dev.path, seed, v.block_size)
        expect_eq(dev.field(0), "0", "mismatches")


def read(v, seed):
    with v.open() as dev:
        read_all(dev.path, seed, v.block_size)
        expect_eq(dev.field(0), "0", "mismatches")


def copies(sources, targets):
    for source, target in zip(sources, targets):
        for i, disk in enumerate(source.disks):
            copy(disk, target.disks[i])


load("ours")
for v in A:
    v.format()
copies(A, C)
for seed, v in enumerate(A):
    write(v, seed)

load("intree")
for v in B:
    v.format()
copies(B, D)
for seed, (a, b, c) in enumerate(zip(A, B, C)):
    expect_eq(c.head().hex(), b.head().hex(), f"{wanted[seed]}: superblock and journal of a fresh volume")
    write(b, seed)
    write(c, seed)
    read(a, seed)

load("ours")
for seed, (b, d) in enumerate(zip(B, D)):
    write(d, seed)
    read(b, seed)

compared = 0
for what, a, b, c, d in zip(wanted, A, B, C, D):
    for i, disk in enumerate(a.disks):
        same(disk, c.disks[i], f"{what}: formatted by ours, written by ours and by in-tree")
        same(b.disks[i], d.disks[i], f"{what}: formatted by in-tree, written by in-tree and by ours")
        compared += 2
    if "fix_hmac" in what[2]:
        if a.sb.salt == b.sb.salt or not any(a.sb.salt):
            fail(f"{what}: salts {a.sb.salt.hex()} and {b.sb.salt.hex()}")
    else:
        expect_eq(a.sb.salt, bytes(16), f"{what}: salt")
        for i, disk in enumerate(a.disks):
            same(disk, b.disks[i], f"{what}: by ours alone and by in-tree alone")
            compared += 1
    a.check()
    b.check()
say(f"{len(wanted)} volumes, four times each; {compared} pairs of disks are the same; {2 * len(wanted)} checked")
END
