# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Discards in modes D, B and J: the tags of exactly the blocks that were discarded become filler (or markers
# made with the key), the data device discards, and reads of them are not verified; without the word in the
# table they fail. What is written before and after a discard comes in that order, also over the journal.
# Filler that is there is not written again. What a device refuses to discard is discarded by its tags alone. The
# disks are what the kernel's own target makes of the same, and discarding is faster than there.
# kernels: 6.12
# long-kernels: 6.1 debug
# timeout: 240

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
import json

from volume import *

MIB = 1
run("modprobe", "null_blk", "nr_devices=3", "gb=2", "memory_backed=1", "discard=1", "bs=512", "queue_mode=2")
DATA = Device("data").create(MIB << 11, "linear /dev/nullb0 0").path
META = Device("meta").create(MIB << 11, "linear /dev/nullb1 0").path
KEYED_HASH = f"hmac(sha256):{KEY}"


def volume(layout, bs, h, mode):
    options = f"internal_hash:{h} block_size:{bs} journal_sectors:400"
    if layout == "interleaved":
        options += " interleave_sectors:256 fix_padding"
    return Volume(DATA, options, META if layout == "meta" else None, mode=mode)


def ranges(rng, blocks, count):
    found = []
    for _ in range(count):
        length = rng.choice((1, 1, 2, 7, 30, 60))
        first = rng.randrange(blocks - length)
        found.append((first, length))
    return found


def check_exact(v, gone, blocks):
    """By the oracle: exactly these are discarded, and nothing is bad."""
    status, text = oracle("check", *v.oracle_args(), "--allow-discards", "--json")
    result = json.loads(text)
    expect_eq((result["bad"], result["discarded"]), (0, len(gone)), f"{v.table()}: bad and discarded blocks")
    expect_eq(result["blocks"], blocks, "blocks")


def scenario(v, word, seed, module):
    """The same writes and discards whichever module; the disks after it."""
    for d in (DATA, META):
        clear(d, MIB << 20)
    v.format()
    rng = random.Random(seed)
    bs = v.block_size
    with v.open(mode="D") as dev:
        write_all(dev.path, seed, bs)
        size = size_of(dev.path)
    expected = bytearray(pattern(seed, size))
    blocks = size // bs
    gone = set()
    with v.open(f"{word} bitmap_flush_interval:1000000" if v.mode == "B" else word) as dev:
        for first, count in ranges(rng, blocks, 12):
            at, length = first * bs, count * bs
            what = rng.choice("dddwx")
            if what in "wx":    # written, and then not discarded or discarded at once
                data = rng.randbytes(min(length, 64 << 10))
                write_at(dev.path, at, data)
                expected[at:at + len(data)] = data
                gone -= set(range(first, first + len(data) // bs))
            if what in "dx":
                discard_at(dev.path, at, length)
                expected[at:at + length] = bytes(length)
                gone |= set(range(first, first + count))
        # Over one that was discarded.
        first = min(gone)
        write_at(dev.path, first * bs, b"\x5a" * bs)
        expected[first * bs:(first + 1) * bs] = b"\x5a" * bs
        gone.discard(first)
        found = contents(dev.path)
        if found != bytes(expected):
            bad = next(i for i in range(0, size, bs) if found[i:i + bs] != expected[i:i + bs])
            fail(f"{module}: {v.table()}: block {bad // bs} is not what it should be; discarded: {bad // bs in gone}")
        expect_eq(dev.field(0), "0", "mismatches")
    check_exact(v, gone, blocks)
    if module == "ours":
        # What a discarded block holds is not verified, and nothing but with the word.
        first = min(gone)
        if "keyed" not in word:
            with v.open() as dev:
                expect_refused(errno.EILSEQ, "a discarded block without the word", read_at, dev.path, first * bs, bs)
        else:
            expect_refused(errno.EINVAL, "a volume with keyed discards without the word", v.open)
            expect_eq((v.sb.flags & KEYED, v.sb.version), (KEYED, 7), "flag and version")
            with v.open("allow_discards_keyed", mode="J") as dev:
                read_at(dev.path, first * bs, bs)
    return [contents(d) for d in v.disks]


cases = compared = 0
for module in ("ours", "intree"):
    load(module)
    results = globals().setdefault("results", {})
    for layout in ("meta", "interleaved"):
        for mode in "DBJ":
            for bs, h, word in ((512, "crc32c", "allow_discards"), (4096, "sha256", "allow_discards"),
                                (4096, KEYED_HASH, "allow_discards_keyed")):
                if module == "intree" and "keyed" in word and KERNEL == "6.1":
                    continue
                if layout == "interleaved" and h != "crc32c":
                    continue
                v = volume(layout, bs, h, mode)
                key = layout, mode, bs, word
                images = scenario(v, word, str(key), module)
                cases += 1
                if module == "ours":
                    results[key] = images
                    continue
                journal = (8 + v.sb.journal_sections * v.section_sectors()) * SECTOR
                for disk, mine, other in zip(v.disks, results[key], images):
                    # The journal says how writes were grouped, which is not the same twice.
                    if mode == "J" and disk == v.sb_dev:
                        mine, other = mine[:4096] + mine[journal:], other[:4096] + other[journal:]
                    if mine != other:
                        at = next(i for i in range(len(mine)) if mine[i] != other[i])
                        fail(f"{key}: the disks differ, first at byte {at} (sector {at // SECTOR})")
                    compared += 1
say(f"{cases} volumes, {compared} disks are the same as in-tree's")

# Filler is not written twice, and nobody may discard without the word, or in mode R.
load("ours")
for mode in "DBJ":
    v = volume("meta", 512, "crc32c", mode)
    for d in (DATA, META):
        clear(d, MIB << 20)
    v.format()
    with v.open("allow_discards bitmap_flush_interval:1000000") as dev:
        size = size_of(dev.path)
        discard_at(dev.path, 0, size)
        sync(dev.path)
        before = written(META)[1]
        for _ in range(3):
            discard_at(dev.path, 0, size)
        sync(dev.path)
        expect_eq(written(META)[1], before, f"mode {mode}: sectors written to the metadata device by discarding again")
    for other in (v.mode, "R"):
        with v.open("allow_discards" if other == "R" else "", mode=other, length=8) as dev:
            expect_refused((errno.EOPNOTSUPP, errno.EROFS, errno.EPERM), f"mode {other}: discard", discard_at, dev.path, 0, 4096)

# Many at a time beside writes in J: neither waits for ever, and each block is one or the other.
v = volume("meta", 4096, "crc32c", "J")
for d in (DATA, META):
    clear(d, MIB << 20)
v.format()
with v.open("allow_discards") as dev, ThreadPoolExecutor(8) as pool:
    blocks = size_of(dev.path) // 4096
    rng = random.Random(1)

    def one(n):
        at = rng.randrange(blocks)
        if n % 3:
            write_at(dev.path, at * 4096, bytes([1 + n % 255]) * 4096)
        else:
            discard_at(dev.path, at * 4096, min(32, blocks - at) * 4096)

    discard_at(dev.path, 0, blocks * 4096)
    list(pool.map(one, range(600)))
    text = contents(dev.path)
    for at in range(0, len(text), 4096):
        if text[at:at + 4096] != bytes([text[at]]) * 4096:
            fail(f"block {at // 4096} is neither written nor discarded")
    expect_eq(dev.field(0), "0", "mismatches")
status, text = oracle("check", *v.oracle_args(), "--allow-discards")
expect_eq(status, 0, f"oracle check: {text}")

# A device that can no longer what it could when it was opened: the tags have to do.
sectors = MIB << 11
run("modprobe", "dm-crypt")
(TRACING / "events/block/block_bio_complete/enable").write_text("1\n")
for mode in "DBJ":
    below = Device("below").create(sectors, "linear /dev/nullb2 0")
    changed = Device("changed").create(sectors, f"linear {below.path} 0")
    for d in (changed.path, META):
        clear(d, MIB << 20)
    v = Volume(changed.path, "internal_hash:crc32c block_size:4096 journal_sectors:400", META, mode=mode).format()
    with v.open(mode="D") as dev:
        write_all(dev.path, 3, 4096)
    with v.open("allow_discards") as dev:
        below.load(sectors, "crypt cipher_null-ecb - 0 /dev/nullb2 0")
        below.suspend()
        below.resume()
        number = f"{dev.info.major},{dev.info.minor}"
        (TRACING / "trace").write_text("")
        discard_at(dev.path, 0, 1 << 16)
        ended = re.findall(rf"block_bio_complete: {number} D\S* .*\[(-?\d+)\]", (TRACING / "trace").read_text())
        expect_eq(set(ended), {"0"}, f"mode {mode}: errors of discards on a device that refuses them")
        read_all(dev.path, 3, 4096)
        expect_eq(dev.field(0), "0", "mismatches")
    check_exact(v, range(16), sectors // 8)
    changed.remove()
    below.remove()
(TRACING / "events/block/block_bio_complete/enable").write_text("0\n")

# How long.
Device("meta").remove()
Device("data").remove()
times = {}
BIG = Device("big").create(1 << 20, "linear /dev/nullb2 0").path
for module in ("ours", "intree"):
    load(module)
    for mode in "DBJ":
        v = Volume(BIG, "internal_hash:crc32c block_size:4096 fix_padding", mode=mode)
        clear(BIG, 4096)
        v.format()
        # Tags are there before it begins, so that both have something to change.
        with v.open("allow_discards") as dev:
            size = size_of(dev.path)
            began = time.monotonic()
            discard_at(dev.path, 0, size)
            times[module, mode] = time.monotonic() - began
        run("blkdiscard", BIG)
for mode in "DBJ":
    say(f"mode {mode}: discard of {size >> 20} MiB: {times['ours', mode]:.2f} s, in-tree {times['intree', mode]:.2f} s")
Device("big").remove()
END
