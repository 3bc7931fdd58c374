# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Where things are on the disk, and how much the volume offers, is what the kernel's own
# target chooses on the same devices: superblock, empty journal and table line are the
# same for random sizes, start, tag and block size, interleave, journal and buffer
# sizes, journal MAC, padding, bitmap granularity and metadata devices.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

COUNT = 18
rng = random.Random(20)


def geometry():
    bs = rng.choice((512, 512, 1024, 2048, 4096))
    spb = bs // SECTOR
    options = [f"internal_hash:{rng.choice(('crc32c', 'sha256'))}"]
    if bs > 512:
        options.append(f"block_size:{bs}")

    def maybe(chance, name, *values):
        if rng.random() < chance:
            options.append(f"{name}:{rng.choice(values)}")

    maybe(.5, "interleave_sectors", 0, 1, 8, 64, 1000, 4096, 32768, 1 << 20)
    maybe(.5, "buffer_sectors", 0, 1, 3, 8, 64, 128, 1024, 4096)
    maybe(.5, "journal_sectors", 0, 1, 500, 1000, 4096, 9999)
    maybe(.3, "sectors_per_bit", 0, 1, 7, 512, 65536, 1 << 40)
    maybe(.3, "journal_mac", "crc32c", f"hmac(sha256):{KEY}")
    for word in ("fix_padding", "fix_hmac"):
        if rng.random() < .5:
            options.append(word)
    rng.shuffle(options)
    size = rng.choice((rng.randrange(4096, 500000), rng.randrange(8000, 60000)))
    meta = None if rng.random() < .6 else rng.randrange(60000, 500000)
    # A start must be a multiple of the block (2.8).
    start = rng.choice((0, 0, 8, 64, rng.randrange(0, 300) // spb * spb))
    return options, size // spb * spb, meta, start, rng.choice(("-", 1, 4, 16, 20, 32, 40, 64, 255))


def made_by(which):
    """What the target makes of each geometry."""
    load(which)
    found = []
    for options, size, meta, start, tag in wanted:
        data = Device("data").create(size, f"linear {rams[0]} 0")
        metadata = Device("meta").create(meta, f"linear {rams[1]} 0") if meta else None
        v = Volume(data.path, " ".join(options), metadata.path if meta else None, start, tag)
        try:
            v.format()
        except DMError as error:
            found.append(errno.errorcode[error.errno])
        else:
            sb = v.sb
            head = bytearray(v.head())
            if sb.flags & MAC and sb.flags & HMAC:
                # Both MACs are salted. superblock-mac looks at them.
                head[256:512] = bytes(256)
                for section in range(sb.journal_sections):
                    for j in range(8):
                        at = (8 + section * v.section_sectors() + j) * SECTOR
                        head[at + 496:at + 504] = bytes(8)
            with v.open() as dev:
                found.append((bytes(head), dev.table(), dev.status().split()[1]))
            poke(v.sb_dev, start * SECTOR, bytes(len(head)))
        for dev in (data, metadata):
            if dev:
                dev.remove()
    return found


rams = ramdisks(256, 2)
wanted = [geometry() for _ in range(COUNT)]
H = "internal_hash:crc32c"
wanted += [
    # Runs shorter than the default buffer.
    ([H, "interleave_sectors:8"], 20000, None, 0, "-"),
    ([H, "interleave_sectors:64", "block_size:4096"], 20000, None, 8, 20),
    ([H, "interleave_sectors:8", "fix_padding"], 20000, None, 0, "-"),
    # Just enough, and a block too few.
    *(([H, "journal_sectors:1", "interleave_sectors:8", "fix_padding"], 192 + n, None, 0, "-")
      for n in (0, 7, 8, 16)),
    *(([H, "journal_sectors:1"], 512, 184 + n, 0, "-") for n in (0, 8, 9, 16)),
    # The metadata device decides how long the journal may be, then the buffers.
    *(([H], 200000, n, 0, "-") for n in (2000, 2500, 1800, 1760, 1700)),
    ([H, "journal_mac:crc32c", "block_size:4096"], 400000, 1500, 0, 64),
]
ours, intree = made_by("ours"), made_by("intree")
refused = clamped = 0
for what, a, b in zip(wanted, ours, intree):
    options, size, meta, start, tag = what
    if isinstance(a, str) or isinstance(b, str):
        if not (isinstance(a, str) and isinstance(b, str)):
            fail(f"{what}: ours says {a if isinstance(a, str) else a[1:]}, "
                 f"in-tree {b if isinstance(b, str) else b[1:]}")
        refused += 1
        continue
    if a[0] != b[0]:
        at = next(i for i in range(len(a[0])) if a[0][i] != b[0][i])
        fail(f"{what}: heads differ at byte {at}: ours {a[0][at:at + 16].hex()}, in-tree {b[0][at:at + 16].hex()}")
    expect_eq(a[2], b[2], f"{what}: sectors provided")
    mine, theirs = a[1], b[1]
    # Buffers longer than a run make in-tree write tags over data, so ours are shorter (2.5).
    run = int(re.search(r" interleave_sectors:(\d+)", mine)[1])
    buffer = int(re.search(r" buffer_sectors:(\d+)", theirs)[1])
    if not meta and buffer > run:
        clamped += 1
        theirs = theirs.replace(f"buffer_sectors:{buffer}", f"buffer_sectors:{run}")
    expect_eq(mine, theirs, f"{what}: table")
if len(wanted) - refused < 24 or not refused or not clamped:
    fail(f"{refused} of {len(wanted)} are refused, {clamped} have shorter buffers")
say(f"{len(wanted)} geometries: {len(wanted) - refused} the same, {refused} refused by both, "
    f"{clamped} with shorter buffers")
END
