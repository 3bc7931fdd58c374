# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A tag may have any size from 1 to 255 bytes, smaller or larger than the digest, with
# any block size and any size of the tag buffers that its tags straddle: data written
# at random is read back, by another buffer size as well, the oracle finds every tag
# right, and each byte of a tag counts, padding included. Sizes at random besides fixed
# ones; with --long more of both.
# kernels: 6.1
# long-kernels: debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

# tag size, hash, block size, buffer_sectors when writing and when reading, rest
VOLUMES = [
    (1, "sha256", 512, 1, 128, "interleave_sectors:256 fix_padding"),
    (1, "crc32c", 4096, 128, 1, "meta"),
    (3, "crc32c", 512, 1, 8, "meta"),
    (4, "sha256", 1024, 8, 1, "interleave_sectors:512"),
    (5, "crc32c", 512, 1, 128, "interleave_sectors:1024 fix_padding"),
    (20, "sha256", 2048, 2, 64, "interleave_sectors:128 fix_padding fix_hmac"),
    (31, "sha256", 512, 4, 1, "meta"),
    (33, "sha256", 4096, 1, 128, "meta"),
    (64, "sha512", 512, 128, 1, "interleave_sectors:512 fix_padding"),
    (100, "sha512", 1024, 1, 16, "meta"),
    (100, f"hmac(sha256):{KEY}", 512, 8, 2, "interleave_sectors:256"),
    (255, "crc32c", 512, 1, 32, "meta"),
    (255, "sha512", 4096, 16, 4, "interleave_sectors:64 fix_padding"),
    (255, "crc32c", 2048, 1, 1, "interleave_sectors:512"),
]
LONG = "DMI_LONG" in os.environ
MIB = 0.5 if not LONG else 0.75 if DEBUG else 1.5
SEED = int(os.environ.get("DMI_SEED", time.time_ns()))


def any_volume(rng):
    return (rng.randrange(1, 256), rng.choice(list(DIGEST)), rng.choice((512, 1024, 2048, 4096)),
            rng.choice((1, 2, 4, 8, 128)), rng.choice((1, 2, 4, 8, 128)),
            rng.choice(("meta", "interleave_sectors:512 fix_padding")))


DIGEST = {"crc32c": 4, "sha256": 32, "sha512": 64, f"hmac(sha256):{KEY}": 32}
if not LONG:
    # The smallest, an odd one, larger than the digest, the largest.
    VOLUMES = [VOLUMES[n] for n in (0, 4, 7, 11)]
VOLUMES += [any_volume(random.Random(SEED + n)) for n in range(6 if LONG else 2)]
say(f"seed {SEED}: tags of {', '.join(str(v[0]) for v in VOLUMES)} bytes")

load("ours")
disks = iter(ramdisks(MIB, 2 * len(VOLUMES)))
bad = 0
for seed, (tag, h, bs, wb, rb, rest) in enumerate(VOLUMES):
    data, meta = next(disks), next(disks)
    options = f"internal_hash:{h} block_size:{bs}"
    v = Volume(data, options, meta, tag=tag) if rest == "meta" else Volume(data, f"{options} {rest}", tag=tag)
    v.format()
    sb = v.sb
    expect_eq(sb.tag_size, tag, "tag size stored")
    with v.open(f"buffer_sectors:{wb}") as dev:
        write_all(dev.path, seed, bs)
        read_all(dev.path, seed, bs)
        table = dev.table()
    v.check()

    # The last byte of a tag near the end, and the first of the next: two blocks, no other, are refused.
    initial = int(re.search(r" journal_sectors:(\d+)", table)[1]) + 8
    spb = bs // SECTOR
    at = (sb.provided - 3 * spb) // spb * spb
    if v.meta:
        place = initial * SECTOR + at // spb * tag
    else:
        il = 1 << sb.log2_interleave
        pad = 4096 if sb.flags & PADDING else 131072
        run = -(-(tag * il // spb) // pad) * pad // SECTOR
        # Both in one area.
        at -= spb if at % il == il - spb else 0
        place = (initial + at // il * (il + run)) * SECTOR + at % il // spb * tag
    poke(v.sb_dev, place + tag - 1, bytes(b ^ 0x10 for b in peek(v.sb_dev, place + tag - 1, 2)))
    with v.open(f"buffer_sectors:{rb}") as dev:
        # What padding there is counts as well; a tag of one byte is both first and last.
        for sector, wrong in ((at - spb, False), (at, True), (at + spb, True), (at + 2 * spb, False)):
            try:
                got = read_at(dev.path, sector * SECTOR, bs)
            except OSError as error:
                expect_eq(error.errno, errno.EILSEQ, f"tag {tag}, sector {sector}: error")
                if not wrong:
                    fail(f"{v.table()}: sector {sector} is refused, its tag is right")
                bad += 1
                continue
            if wrong:
                fail(f"{v.table()}: sector {sector} has a wrong tag, and is read (digest of {DIGEST[h]})")
        expect_eq(dev.field(0), "2", "mismatches")
        write_all(dev.path, seed, bs)
        read_all(dev.path, seed, bs)
    v.check()
say(f"{len(VOLUMES)} volumes of {MIB} MiB; {bad} wrong tags found out")
END
