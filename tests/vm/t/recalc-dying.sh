# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A disk that is dying: a pass that meets more bad places than it may gives up, and gets on each time it is
# told to go on, until it is through. While it looks for the good blocks among bad ones that take their time,
# a write beside them does not wait for it, nor does a suspend, or a check that does the same.
# kernels: 6.12
# long-kernels: 6.1 debug
# timeout: 240

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

load("ours")
for name in ("delay", "flakey"):
    run("modprobe", f"dm-{name}")
data, meta = ramdisks(12, 2)
H = "internal_hash:crc32c"


def volume(block_size):
    """Never recalculated, of noise."""
    for disk in (data, meta):
        poke(disk, 0, bytes(4096) + random.Random(1).randbytes((12 << 20) - 4096))
    v = Volume(holes("low", data), f"{H} block_size:{block_size}", meta)
    return v.format()


def over(dev):
    return dev.field(3) not in ("recalculate", "check")


# --- more than 4096 bad places in one chunk of 8192 sectors ---

v = volume(512)
first, count = 8500, 7000
holes("low", data, (first, count))
with v.open("recalculate") as dev:
    marks = []
    for n in range(9):
        wait_for("the pass stops", lambda: over(dev), 120)
        marks.append(int(dev.field(2)))
        if dev.field(3) == "idle":
            break
        expect_eq(dev.field(3), "failed", "action")
        log.expect("recalculation failed: too many unreadable places")
        dev.message("recalculate")
    expect_eq((dev.field(1), dev.field(3)), (dev.field(2), "idle"), "the end")
    if len(marks) < 2 or not all(a < b for a, b in zip(marks, marks[1:])):
        fail(f"the pass stood at {marks} each time it stopped")
    if not first < marks[0] < first + count:
        fail(f"the pass first stopped at {marks[0]}, not among the bad places")
    expect_eq(dev.status().split()[6:8], [str(count), str(first)], "bad blocks, and the first")
    read_at(dev.path, (first - 1) * SECTOR, SECTOR)
    read_at(dev.path, (first + count) * SECTOR, SECTOR)
    expect_refused(errno.EIO, "a bad block", read_at, dev.path, first * SECTOR, SECTOR)
    expect_eq(dev.field(0), "0", "mismatches")
say(f"a pass over {count} bad places stopped at {marks}")

# --- bad places that answer late ---

LATE = 0.15     # each read of one
bad, blocks = 9000, 48


def slow():
    """The places answer late, then with an error."""
    piecewise("bad", f"0 {blocks * 8} error")
    Device("late").create(blocks * 8, f"delay /dev/mapper/bad 0 {int(LATE * 1000)} /dev/mapper/bad 0 0")
    holes("low", data, (bad, blocks * 8), kind="linear /dev/mapper/late 0")


def beside(dev, word):
    """While the pass is among the bad places: a write to the same chunk, and a suspend with another."""
    mark = int(dev.field(2 if word == "recalculate" else 4).split("/")[0])
    if not 8192 <= mark <= bad + blocks * 8:
        fail(f"{word}: the position is {mark}, not where the bad places are")
    begin = time.monotonic()
    write_at(dev.path, 16000 * SECTOR, os.urandom(4096))
    one = time.monotonic() - begin
    expect_eq(dev.field(3), word, "action after the write")
    with ThreadPoolExecutor(1) as pool:
        begin = time.monotonic()
        other = pool.submit(write_at, dev.path, 16008 * SECTOR, os.urandom(4096))
        time.sleep(0.05)
        dev.suspend()
        two = time.monotonic() - begin
        dev.resume()
        other.result()
    say(f"{word}: a write took {one:.2f} s, one with a suspend {two:.2f} s; all of the places take at least "
        f"{blocks * LATE:.0f} s")
    # A read that is under way, perhaps one more of each worker, and what the emulated CPUs take.
    for seconds in (one, two):
        if seconds > blocks * LATE / 3:
            fail(f"{word}: a write beside it took {seconds:.1f} s")
    expect_eq(dev.field(3), word, "action after the resume")


v = volume(4096)
slow()
with v.open("recalculate") as dev:
    # It gives way to writes: not entirely.
    dev.message("speed_min 100000")
    wait_for("the bad places", lambda: int(dev.field(2)) >= 8192)
    time.sleep(2 * LATE)
    beside(dev, "recalculate")
    wait_for("the end of the pass", lambda: over(dev), 120)
    expect_eq(dev.status().split()[6:8], [str(blocks), str(bad)], "bad blocks, and the first")
    dev.message("check")
    wait_for("the bad places", lambda: int(dev.field(4).split("/")[0]) >= 8192)
    time.sleep(2 * LATE)
    beside(dev, "check")
    wait_for("the end of the check", lambda: over(dev), 120)
    expect_eq(dev.status().split()[6:8], [str(blocks), str(bad)], "blocks found bad, and the first")
    read_at(dev.path, 16000 * SECTOR, 8192)
    expect_eq(dev.field(0), "0", "mismatches")
for name in ("low", "late", "bad"):
    Device(name).remove()
END
