# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# After a crash at any moment of mode B's life - activation, writes, discards, flushes of the bitmap, suspend -
# with writes that were not flushed there, missing or torn, each block whose bit is 0 has the tag that belongs
# to it, or one that says that it is discarded. Opened after that, by ours or by in-tree, all of it can be read.
# kernels: 6.12
# long-kernels: 6.1 debug
# timeout: 300

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm:$DMI_TOP/tests/oracle exec /usr/bin/python3 - << 'END'
import argparse
import fcntl
import threading

from logwrites import Recording
from oracle.bitmap import Bitmap
from oracle.check import check
from oracle.volume import Volume as Image
from volume import *

STATES = int(os.environ.get("DMI_STATES", "400" if os.environ.get("DMI_LONG") else "100"))
SEED = int(os.environ.get("DMI_SEED", time.time_ns() % 1000000))
SECTORS = 3 << 10
REGION = 64
say(f"seed {SEED}")

run("modprobe", "dm-log-writes")
disk, journal = ramdisks(16, 2)
ZEROES = pathlib.Path("/sys/block/ram0/queue/discard_max_bytes").read_text().strip() != "0"


def tracing(name, value):
    (TRACING / name).write_text(f"{value}\n")


tracing("tracing_on", 0)
tracing("trace_clock", "counter")
tracing("buffer_size_kb", 6144)
for event in ("block_bio_queue", "block_bio_complete"):
    tracing(f"events/block/{event}/enable", 1)


def volume(path):
    return Volume(path, f"internal_hash:crc32c block_size:512 sectors_per_bit:{REGION} interleave_sectors:256 "
                  "journal_sectors:200 allow_discards", mode="B")


def workload(dev, number):
    """Writes, discards and flushes."""
    rng = random.Random(f"{SEED} {number}")
    with direct(dev.path, os.O_RDWR) as (fd, size):
        for step in range(40):
            at = rng.randrange(size // SECTOR - 16) // 2 * 2 + number
            length = rng.choice((1, 1, 3, 9))
            if rng.random() < 0.2:  # of whole pages: a RAM disk leaves the rest as it is
                fcntl.ioctl(fd, BLKDISCARD, struct.pack("QQ", at // 8 * 8 * SECTOR, rng.choice((1, 1, 2)) * 8 * SECTOR))
            else:
                os.pwrite(fd, memoryview(aligned(rng.randbytes(length * SECTOR)))[:length * SECTOR], at * SECTOR)
            if rng.random() < 0.15:
                os.fsync(fd)
            if rng.random() < 0.1:
                time.sleep(0.04)


def record(pending):
    for d in (disk, journal):
        clear(d, 16 << 20)
    plain = Device("plain").create(SECTORS, f"linear {disk} 0")
    v = volume(plain.path).format()
    with v.open(mode="D") as dev:
        write_all(dev.path, SEED, 512)
    if pending:
        # None of the rest has a tag.
        half = v.sb.provided // 2 // 8 * 8
        set_field(plain.path, "flags", v.sb.flags | RECALC)
        set_field(plain.path, "recalc_sector", half)
    plain.remove()
    base = peek(disk, 0, SECTORS * SECTOR)
    logged = Device("logged").create(SECTORS, f"log-writes {disk} {journal}")
    number = os.stat(logged.path).st_rdev
    tracing("trace", "")
    tracing("tracing_on", 1)
    v = volume(logged.path)
    with v.open("bitmap_flush_interval:50 commit_time:30 no_recalculate") as dev:
        if pending:
            dev.message("speed_max 2048")
            dev.message("speed_min 2048")
            dev.message("idle")
        threads = [threading.Thread(target=workload, args=(dev, n)) for n in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        dev.suspend()
        dev.resume()
        workload(dev, 2)
    tracing("tracing_on", 0)
    wanted = f": {os.major(number)},{os.minor(number)} "
    with open(TRACING / "trace") as f:
        trace = "".join(line for line in f if wanted in line or "LOST" in line)
    logged.remove()
    return Recording(base, contents(journal), trace, f"{os.major(number)}:{os.minor(number)}", ZEROES)


ARGS = argparse.Namespace(replay=False, first=None, upto=None, exclude=None, all=False, ignore_dirty=True,
                          allow_discards=True, count_only=False)
states_seen = dirty_seen = bitmaps = pending_seen = discarded_seen = opened = closed = 0
# Of the states of a recording.
OPENED = 60 if os.environ.get("DMI_LONG") else 12
image_file = pathlib.Path("/tmp/state")
load("ours")
for pending in (False, True):
    recording = record(pending)
    loose, settled = recording.loose_moments()
    rng = random.Random(SEED)
    # And what was there before the first write, when there is no bitmap yet: chance may leave it out.
    wanted = sorted([(recording.moments[0], "durable")] + [
        (m, rng.choice(recording.POLICIES)) for m in
        rng.sample(loose, min(len(loose), STATES)) + rng.sample(settled, min(len(settled), STATES // 4))])
    to_open = []
    for n, state in enumerate(recording.states(wanted, SEED)):
        image_file.write_bytes(state.image)
        where = f"seed {SEED}, pending {pending}: crash at {state.when}, {state.policy}"
        v = Image(str(image_file), None, 0, "crc32c")
        sb = Superblock(image_file)
        try:
            if sb.flags & DIRTY:
                bitmaps += 1
                # With a bitmap it alone says what is good.
                trusted = v.sb.log2_blocks_per_bitmap_bit == 6
                if trusted:
                    dirty_seen += bool(Bitmap(v).dirty)
                    args = argparse.Namespace(**{**vars(ARGS), "all": True})
                    result = check(v, args)
                else:
                    result = {"bad": 0}
                    pending_seen += 1
            else:
                closed += 1
                args = argparse.Namespace(**{**vars(ARGS), "ignore_dirty": False, "replay": True})
                result = check(v, args)
        finally:
            for fd in {v.data.fd, v.meta.fd}:
                os.close(fd)
        if result["bad"]:
            pathlib.Path("/results/failed-state").write_bytes(state.image)
            fail(f"{where}: {result['bad']} bad blocks of {result['blocks']}, flags {sb.flags:#x}: {result['bad_sectors'][:8]}")
        states_seen += 1
        discarded_seen += bool(result.get("discarded"))
        if n % (len(wanted) // OPENED + 1) == 0:
            to_open.append((where, bytes(state.image)))
    for module in ("ours", "intree"):
        load(module)
        for where, image in to_open:
            poke(disk, 0, image)
            plain = Device("plain").create(SECTORS, f"linear {disk} 0")
            v = volume(plain.path)
            with v.open() as dev:
                if dev.field(2) != "-":
                    wait_for(f"{where}: recovery by {module}", lambda: dev.field(2) == dev.field(1))
                contents(dev.path)
                expect_eq(dev.field(0), "0", f"{where}: mismatches, {module}")
            v.check("--allow-discards")
            plain.remove()
            opened += 1
    load("ours")
say(f"{states_seen} states: {bitmaps} with a bitmap, {dirty_seen} of them dirty, {pending_seen} between bitmap and journal, "
    f"{closed} without; {discarded_seen} with discarded blocks; {opened} opened and read")
if dirty_seen * 3 < states_seen or not closed:
    fail("too few states with dirty bits: this tests nothing")
if discarded_seen * 4 < states_seen:
    fail("too few states with discarded blocks: this tests nothing")
END
