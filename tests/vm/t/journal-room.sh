# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Mode J under pressure: writes that wait for room in the journal get it in their order, small ones in turn with large
# ones, and a discard gets done, whatever others write and flush meanwhile. A replay that failed leaves nothing behind that the tags of the next
# table would be overwritten with.
# kernels: 6.12
# long-kernels: 6.1 debug
# timeout: 300

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
import statistics

from volume import *

load("ours")
run("modprobe", "dm-delay")
run("modprobe", "null_blk", "nr_devices=1", "gb=1", "memory_backed=1", "discard=1", "bs=512", "queue_mode=2")
disk = Device("disk").create(12 << 11, "linear /dev/nullb0 0").path
meta, image, image_meta = ramdisks(12, 3)
BS, H = 4096, "internal_hash:crc32c block_size:4096"
ONE = 392       # sectors of a section


def fresh(options=f"journal_sectors:{2 * ONE}"):
    clear(disk, 12 << 20)
    clear(meta, 12 << 20)
    v = Volume(disk, f"{H} {options}", meta, mode="J").format()
    expect_eq(v.section_sectors(), ONE, "sectors of a section")
    with v.open() as dev:
        write_all(dev.path, 3, BS)
    return v


# --- room ---

v = fresh()
with v.open("commit_time:100000") as dev:
    # Each write takes a fifth of the journal, so of 24 that come only a few find room.
    noise = aligned(random.Random(2).randbytes(16 * BS))
    with Beside(dev.path, 24, lambda fd, n: os.pwrite(fd, noise, n * 16 * BS)) as others:
        wait_for("all have begun", lambda: min(others.done) >= 1, 60)
        before = list(others.done)
        wait_for("each writes a few times", lambda: min(map(int.__sub__, others.done, before)) >= 5, 60)
        done = list(map(int.__sub__, others.done, before))
    say(f"24 writers in a journal for 5 of them: {min(done)} to {max(done)} writes each")
    if max(done) > 3 * min(done):
        fail(f"some wait far longer than others: {done}")
    if read_at(dev.path, 7 * 16 * BS, 16 * BS) != noise[:]:
        fail("not what was written")
v.check()

# --- room for small writes beside many large ones ---

v = fresh()
with v.open("commit_time:100000") as dev:
    large = aligned(random.Random(3).randbytes(64 * BS))
    with Beside(dev.path, 24, lambda fd, n: os.pwrite(fd, large, n * 64 * BS)) as others:
        wait_for("all have begun", lambda: min(others.done) >= 1, 60)
        passed = []
        for n in range(25):
            before = sum(others.done)
            write_at(dev.path, (2000 + n) * BS, noise[:BS])
            passed.append(sum(others.done) - before)
    say(f"while a small write waits for room, of 24 large ones {statistics.median(passed)} get theirs ({sorted(passed)})")
    # In one line it would be all of them.
    if statistics.median(passed) > 12:
        fail(f"small writes stand behind large ones: {passed}")
v.check()

# --- a discard beside flushes ---

def flushed(fd, n):
    os.pwrite(fd, memoryview(noise)[n * BS:(n + 1) * BS], (100 + n) * BS)
    os.fsync(fd)


v = fresh(f"journal_sectors:{16 * ONE}")
# So that a round of write-back takes longer than a flush, which only the journal has to wait for.
v.data = Device("slow").create(12 << 11, f"delay {disk} 0 0 {disk} 0 30").path
with v.open("allow_discards") as dev:
    with Beside(dev.path, 3, flushed) as others:
        wait_for("flushes", lambda: min(others.done) > 3)
        longest = 0
        for n in range(10):
            write_at(dev.path, n * BS, noise[:BS])
            begin = time.monotonic()
            discard_at(dev.path, n * BS, BS)
            longest = max(longest, time.monotonic() - begin)
            if read_at(dev.path, n * BS, BS) == noise[:BS]:
                fail(f"block {n} is what was written before the discard")
    say(f"beside {sum(others.done)} flushes a discard took {longest:.2f} s at most")
    if longest > (24 if DEBUG else 8):
        fail(f"a discard waited {longest:.1f} s")
v.check("--allow-discards")

# --- a discard beside writes of its own blocks: it waits for what was there before it, not for them ---

def same_blocks(fd, n):
    os.pwrite(fd, memoryview(noise)[:4 * BS], 4 * n * BS)


v = fresh(f"journal_sectors:{16 * ONE}")
v.data = Device("slow").path
with v.open("allow_discards") as dev:
    with ThreadPoolExecutor(1) as thread, Beside(dev.path, 3, same_blocks) as others:
        wait_for("writes", lambda: min(others.done) > 3)
        # Few blocks, and so many that it is the entries of the journal that are looked at.
        for length in (50 * BS, 8 << 20):
            write_at(dev.path, 40 * BS, noise[:BS])
            begin, before = time.monotonic(), sum(others.done)
            discard = thread.submit(discard_at, dev.path, 0, length)
            wait_for(f"a discard of {length} bytes ends beside writes of its blocks", discard.done, 60 if DEBUG else 20)
            discard.result()
            say(f"beside {sum(others.done) - before} writes of its blocks a discard of {length >> 10} KiB took "
                f"{time.monotonic() - begin:.2f} s")
            # It came after this write, which nobody repeats.
            sync(dev.path)
            if read_at(dev.path, 40 * BS, BS) == noise[:BS]:
                fail(f"a block is what was written before the discard of {length} bytes")
v.check("--allow-discards")
Device("slow").remove()

# --- a replay that fails half way, and the next table ---

v = fresh(f"journal_sectors:{8 * ONE}")
with v.open("commit_time:100000 journal_watermark:100") as dev:
    # In the order of the blocks: their tags are next to each other, the sections they are in are not the same.
    new = random.Random(5).randbytes(200 * BS)
    for n in range(0, 200, 10):
        write_at(dev.path, n * BS, new[n * BS:(n + 10) * BS])
    sync(dev.path)
    copy(disk, image)
    copy(meta, image_meta)
low = holes("low", image, (10 * 8, 8))
v = Volume(low, f"{H} journal_sectors:{8 * ONE}", image_meta, mode="J")
dev = Device("v").create()
dev.load(v.sb.provided, v.table())
log.mark()
expect_refused(errno.EIO, "a replay to a block that cannot be written", dev.resume)
log.expect("cannot resume: cannot replay the journal")
# The disk is replaced; the name stays.
holes("low", image)
dev.load(v.sb.provided, v.table())
dev.resume()
log.expect("journal: replayed 200 blocks")
if read_at(dev.path, 0, 200 * BS) != new:
    fail("not what was in the journal")
dev.remove()
v.check()
with v.open() as dev:
    if read_at(dev.path, 0, 200 * BS) != new:
        fail("not what was in the journal, opened again")
Device("low").remove()
say("after a replay that failed, the next one is whole")
END
