# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Mode I: tags in the device's own integrity metadata. A volume is formatted, written and read, and
# each block's metadata on the disk is its tag and zeros; whatever was changed on the disk is a mismatch,
# exactly, counted and logged, until it is written again; a check finds the same. What cannot be mode I
# is refused with the reason, and nothing is written. On 6.1 that is all of it.
# kernels: 6.1 6.12
# long-kernels: debug
# cpus: 1
# timeout: 300
# nvme: 4M,bs=4096,ms=16 2M,bs=512,ms=64 2M,bs=512,ms=8 4M,bs=4096,ms=255 4M,bs=512,ms=8,pi=1 4M,bs=4096

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *
from inline import *

load("ours")
for module in ("sha512_generic", "sha256_generic", "nvme"):
    subprocess.run(["modprobe", "-q", module])
if KERNEL == "6.1":
    disk = Nvme("nva")
    before = contents(disk.path)
    log.mark()
    expect_refused(errno.EOPNOTSUPP, "mode I on 6.1", Inline(disk, "internal_hash:crc32c").format)
    log.expect("mode I is not possible on this kernel: only from Linux 6.11 on")
    expect_eq(contents(disk.path) == before, True, "the disk of a refused table is as it was")
    expect_match(run("dmsetup", "targets"), r"integrity +v1\.10\.0", "version of the target")
    say("refused, with the reason")
    sys.exit(0)

expect_match(run("dmsetup", "targets"), r"integrity +v1\.13\.0", "version of the target")
a, b, c, d, pi, none = (Nvme(f"nv{x}") for x in "abcdef")
for disk in (a, b, c, d):
    expect_eq(profile_of(disk.path), "nop", f"profile of {disk.path}")
RAM = ramdisks(4, 1)[0]
EINVAL, EOPNOTSUPP = errno.EINVAL, errno.EOPNOTSUPP

# --- what is refused

H = "internal_hash:crc32c"


def table(disk, options, tag="-", mode="I"):
    words = options.split()
    return f"integrity {disk.path} 0 {tag} {mode} {len(words)} {' '.join(words)}"


REFUSED = [
    (table(none, f"{H} block_size:4096"), "mode I: the device has no integrity metadata", EOPNOTSUPP),
    (table(pi, H), "mode I: the device's integrity metadata is protection information", EINVAL),
    (table(a, H), "metadata for blocks of 4096 bytes, block_size is 512", EINVAL),
    (table(b, f"{H} block_size:4096"), "metadata for blocks of 512 bytes, block_size is 4096", EINVAL),
    (table(c, "internal_hash:sha256"), "has 8 bytes of integrity metadata for a block, the tag has 32", EINVAL),
    (table(c, H, 9), "has 8 bytes of integrity metadata for a block, the tag has 9", EINVAL),
    (table(a, "block_size:4096", 4), "mode I needs internal_hash", EINVAL),
    *((table(a, f"{H} block_size:4096 {word}"), f"mode I cannot have option '{word.split(':')[0]}'", EINVAL)
      for word in (f"meta_device:{RAM}", "journal_mac:crc32c", f"journal_crypt:ctr(aes):{KEY}", "allow_discards")),
    (table(a, f"internal_hash:hmac(sha256):{KEY} block_size:4096 allow_discards_keyed", 16),
     "mode I cannot have option 'allow_discards_keyed'", EINVAL),
    (table(a, f"internal_hash:hmac(sha256):{KEY} block_size:4096 recalculate", 16),
     "recalculate: a keyed hash needs .* legacy_recalculate", EOPNOTSUPP),
]
for disk in (a, b, c, pi, none):
    disk.clear()
# The last one formats before it is refused, as in every mode.
for words, regex, number in REFUSED:
    counts = {disk: disk.written() for disk in (a, b, c, d, pi, none)}
    log.mark()
    expect_refused(number, words, Device("wrong").create, 8, words)
    log.expect(regex)
    if "recalculate" not in words:
        for disk, count in counts.items():
            expect_eq(disk.written()[1], count[1], f"{words}: sectors written to {disk.path}")
a.clear()
say(f"{len(REFUSED)} tables refused with a sentence")

# --- volumes

VOLUMES = [
    (a, "internal_hash:crc32c", 0, "-"),
    (a, f"internal_hash:hmac(sha256):{KEY} fix_hmac", 64, 16),
    (a, "internal_hash:crc32c fix_hmac fix_padding", 0, 16),    # a tag longer than its digest
    (b, "internal_hash:sha512", 0, "-"),
    (b, "internal_hash:sha256 interleave_sectors:1024", 8, 20),
    (c, "internal_hash:crc32c", 0, "-"),
    (c, "internal_hash:crc32c", 0, 8),
    (d, "internal_hash:sha512 fix_hmac", 0, 255),               # the largest tag, the largest tuple: 16 blocks a bio
]


def exact(v, dev):
    """What is changed on the disk is a mismatch, that block and no other."""
    P, bs, spb = v.sb.provided, v.disk.bs, v.spb
    size = v.sb.tag_size
    digest_size = {"crc32c": 4, "sha256": 32, "sha512": 64, "hmac(sha256)": 32}[v.option("internal_hash").split(":")[0]]
    sectors = [0, P - spb, *random.sample(range(6 * spb, P - 4 * spb, 4 * spb), 6)]
    events, count = dev.events, 0
    dev.message("reset_mismatches")
    log.rested(exact.last)
    for i, s in enumerate(sectors):
        if i % 2:
            v.change(s, tag=min(size, digest_size) - 1)
        else:
            v.change(s, data=bs - 1)
    for s in sectors:
        for first, blocks in ((s, 1), (max(s - 2 * spb, 0), 4)):
            expect_refused(errno.EILSEQ, f"read of {s}", read_at, dev.path, min(first, P - 4 * spb) * SECTOR
                           if blocks > 1 else first * SECTOR, blocks * bs)
            count += 1
            expect_eq(dev.field(0), str(count), "mismatches")
        if count <= 10:     # more are not logged at once
            log.expect(rf"dm-\d+: Checksum failed at sector 0x{s:x}$")
        for neighbour in (s - spb, s + spb):
            if 0 <= neighbour < P:
                read_at(dev.path, neighbour * SECTOR, bs)
    wait_for("an event at the first mismatch", lambda: dev.events > events)
    # A check finds the same.
    dev.message("check")
    wait_for("check ends", lambda: dev.field(3) == "idle", 120)
    expect_eq(dev.status().split()[6:8], [str(len(sectors)), "0"], "bad blocks of the check, and the first")
    listed = [tuple(map(int, line.split())) for line in dev.message("bad_blocks").splitlines()]
    expect_eq(listed, [(s, spb) for s in sorted(sectors)], "list of bad blocks")
    expect_eq(dev.field(0), str(count), "mismatches after the check")
    # Written again they are good.
    data = pattern(7, P * SECTOR)
    for s in sectors:
        write_at(dev.path, s * SECTOR, data[s * SECTOR:s * SECTOR + bs])
        read_at(dev.path, s * SECTOR, bs)
    expect_eq(dev.message("bad_blocks") or "", "", "list of bad blocks when all were written")
    # A block with its tag at another place is none of that place.
    first, second = sectors[2:4]
    x, y = v.disk.read(v.block(first), 1), v.disk.read(v.block(second), 1)
    v.disk.write(v.block(first), *y)
    v.disk.write(v.block(second), *x)
    for s in (first, second):
        expect_refused(errno.EILSEQ, f"block {s} moved", read_at, dev.path, s * SECTOR, bs)
    v.disk.write(v.block(first), *x)
    v.disk.write(v.block(second), *y)
    # What is neither digest nor data is not compared (7).
    if v.disk.ms > min(size, digest_size):
        v.change(first, tag=v.disk.ms - 1)
        v.change(second, tag=min(size, digest_size))
        read_at(dev.path, first * SECTOR, bs)
        read_at(dev.path, second * SECTOR, bs)
        v.change(first, tag=v.disk.ms - 1)
        v.change(second, tag=min(size, digest_size))
    exact.last = time.monotonic()


exact.last = 0
for disk, options, start, tag in VOLUMES:
    v = Inline(disk, options, start, tag)
    disk.write(0, bytes((start + 8) * SECTOR + 4096 & ~4095))
    v.format()
    sb = v.sb
    P = (disk.sectors - start - 8) // 8 * 8
    what = f"{disk.bs}+{disk.ms}, {options}, tag {tag}"
    flags = INLINE | (HMAC if "fix_hmac" in options else 0) | (PADDING if "fix_padding" in options else 0)
    expect_eq((sb.magic, sb.version, sb.flags, sb.journal_sections, sb.provided),
              (b"integrt\0", 6, flags, 0, P), f"{what}: superblock")
    expect_eq(sb.log2_interleave, 10 if "interleave" in options else 15, f"{what}: interleave")
    with v.open() as dev:
        expect_match(dev.status(), rf"^0 {P} - idle 0/0 0 0 - 0$", "status")
        expect_eq(profile_of(dev.path), "none", f"{what}: profile of the mapped device")
        write_all(dev.path, 7, disk.bs)
        read_all(dev.path, 7, disk.bs)
        # The largest bios that there are, and one call for all.
        with direct(dev.path, os.O_RDWR) as (fd, size):
            view = aligned(pattern(7, size))
            expect_eq(os.pwrite(fd, memoryview(view)[:min(size, 4 << 20)], 0), min(size, 4 << 20), "long write")
            into = mmap.mmap(-1, size)
            done = sum(os.preadv(fd, [memoryview(into)[at:at + (4 << 20)]], at) for at in range(0, size, 4 << 20))
            expect_eq((done, into[:size] == pattern(7, size)), (size, True), "long reads")
        v.check()
        exact(v, dev)
        v.check()
        line = dev.table()
        words = line.split()
        expect_eq(words[3:5], ["I", str(len(words) - 5)], "mode, and words counted")
        expect_match(line, r"^\d+:\d+ \d+ \d+ I \d+ .*internal_hash:", "table")
        for word in ("journal", "interleave", "buffer_sectors", "watermark", "commit_time", "sectors_per_bit"):
            if word in line:
                fail(f"{what}: {word} in {line}")
        # It loads again as it is, amid I/O.
        dev.load(dev.length, f"integrity {line}")
        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(read_all, dev.path, 7, disk.bs)
            dev.resume()
            dev.suspend()
            dev.resume()
            job.result()
        expect_eq(dev.table(), line, "table loaded again")
        # Other modes do not open it.
    for mode in "DJBR":
        log.mark()
        expect_refused(EINVAL, f"mode {mode}", v.open, mode=mode)
        log.expect("flags 0x[0-9a-f]+ say inline tags, only mode I can open it")
    log.mark()
    expect_refused(EINVAL, "too long a table", v.open, length=P + 8)
    log.expect(f"length of {P + 8} sectors is more than the {P}")
    with v.open(readonly=True) as dev:
        counts = disk.written()
        spot_check(dev.path, 7, disk.bs)
        expect_refused((errno.EIO, errno.EROFS, errno.EPERM, errno.EACCES), "write", write_at, dev.path, 0,
                       bytes(disk.bs))
    expect_eq(disk.written(), counts, f"{what}: writes of a read-only table")
    say(f"{what}: {P} sectors")

# And mode I does not open what another mode formatted.
none_inline = Volume(a.path, "internal_hash:crc32c block_size:4096")
a.write(0, bytes(1 << 20))
none_inline.format()
with none_inline.open() as dev:
    write_all(dev.path, 3, 4096)
    read_all(dev.path, 3, 4096)
log.mark()
expect_refused(EINVAL, "mode I", none_inline.open, mode="I")
log.expect("say no inline tags, mode I cannot open it")

# --- a buffer that changes while it is read is no mismatch
v = Inline(b, "internal_hash:sha256")
b.write(0, bytes(8192))
v.format()
with v.open() as dev:
    write_all(dev.path, 7, 512)
    count = lambda: int(pathlib.Path(f"/sys/block/{b.name}/stat").read_text().split()[0])
    second_reads(dev.path, 32 << 10, 2 << 20, count)
    expect_eq(dev.field(0), "0", "mismatches of changing buffers")

    # --- flush and FUA reach the device
    event = TRACING / "events/block/block_rq_issue/enable"
    event.write_text("1")
    (TRACING / "trace").write_text("")
    fd = os.open(dev.path, os.O_RDWR | os.O_DIRECT | os.O_DSYNC)
    os.pwrite(fd, memoryview(aligned(pattern(7, 512))), 0)
    os.close(fd)
    sync(dev.path)
    event.write_text("0")
    ops = re.findall(r"block_rq_issue: \d+,\d+ (\w+) ", (TRACING / "trace").read_text())
    if not any(o.startswith("F") or "F" in o.lstrip("F") for o in ops):
        fail(f"neither flush nor FUA in {ops}")
    say(f"O_DSYNC and fsync became {ops}")

    # --- without memory
    fault = pathlib.Path("/sys/kernel/debug/failslab")
    if fault.exists():
        for name, value in (("task-filter", "Y"), ("ignore-gfp-wait", "Y"), ("interval", "1"), ("times", "-1"),
                            ("verbose", "0"), ("probability", "100")):
            (fault / name).write_text(value)
        pathlib.Path("/proc/self/make-it-fail").write_text("1")
        with direct(dev.path, os.O_RDWR) as (fd, size):
            view, into = memoryview(aligned(pattern(9, size))), mmap.mmap(-1, size)
            for at in range(0, size, 1 << 20):
                n = min(1 << 20, size - at)
                os.pwrite(fd, view[at:at + n], at)
                os.preadv(fd, [memoryview(into)[at:at + n]], at)
        pathlib.Path("/proc/self/make-it-fail").write_text("0")
        (fault / "probability").write_text("0")
        expect_eq(into[:] == view[:], True, "what was read without memory")
        expect_eq(dev.field(0), "0", "mismatches")
        say("wrote and read with allocations failing")
v.check()

# --- below a device that passes the metadata on
lower = Device("lower").create(b.sectors - 64, f"linear {b.path} 64")
expect_eq(profile_of(lower.path), "nop", "profile of a linear device")
b.write(0, bytes(64 << 10))
v = Inline(b, "internal_hash:sha256")
v.data, v.start = lower.path, 0
v.format()
with v.open() as dev:
    write_all(dev.path, 7, 512)
    read_all(dev.path, 7, 512)
lower.remove()
END
