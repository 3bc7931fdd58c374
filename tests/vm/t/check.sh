# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A check finds exactly the blocks whose data or tag was damaged, in both layouts, modes D and J,
# with blocks of 512 and 4096 bytes, while other I/O goes on, and writes nothing. bad_blocks lists
# them; one that is overwritten leaves the list. A check can be paused, suspended, continued, given
# up, and its device removed; it can be of a part; it and a recalculation exclude each other; blocks
# that are still to be recalculated are left out; what cannot be read is bad, too; a list that
# overflows says so. Events come at the first bad block and at the end.
# kernels: 6.12
# long-kernels: 6.1 debug
# timeout: 240

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
import itertools
import json

from volume import *

SEED = int(os.environ.get("DMI_SEED") or time.time())
say(f"seed {SEED}")
began = time.monotonic()
rng = random.Random(SEED)
load("ours")
data, meta = ramdisks(3, 2)


class Seen:
    """Status as words with names."""

    def __init__(self, dev):
        words = dev.status().split()
        self.text = " ".join(words)
        self.mismatches, self.provided, self.position = int(words[0]), int(words[1]), words[2]
        self.action = words[3]
        self.done, self.total = map(int, words[4].split("/"))
        self.rate, self.bad, self.first_bad = int(words[5]), int(words[6]), words[7]


def expect_action(dev, action):
    seen = Seen(dev)
    expect_eq(seen.action, action, f"action in '{seen.text}'")
    return seen


def over(dev, seconds=60):
    wait_for("the check ends", lambda: Seen(dev).action not in ("check", "recalculate"), seconds)
    return Seen(dev)


def listed(dev):
    """The ranges that bad_blocks prints, and whether there are more."""
    lines = (dev.message("bad_blocks") or "").splitlines()
    more = lines[-1:] == ["overflow"]
    return [tuple(map(int, line.split())) for line in lines[:len(lines) - more]], more


def ranges(sectors, spb):
    """(start, length) of blocks, those that follow each other as one."""
    found = []
    for s in sorted(sectors):
        if found and sum(found[-1]) == s:
            found[-1] = (found[-1][0], found[-1][1] + spb)
        else:
            found.append((s, spb))
    return found


def expect_found(dev, sectors, spb, what):
    seen = over(dev)
    expect_eq(seen.bad, len(sectors), f"bad blocks, {what}: '{seen.text}'")
    expect_eq(seen.first_bad, str(min(sectors)) if sectors else "-", f"first bad, {what}")
    expect_eq(seen.mismatches, 0, f"mismatches, {what}")
    expect_eq(listed(dev), (ranges(sectors, spb), False), f"bad_blocks, {what}")
    return seen


def begin(dev, text="check"):
    """A check that does not end by itself soon."""
    dev.message("speed_max 512")
    dev.message(text)
    wait_for("a part is checked", lambda: Seen(dev).done > 0)
    return expect_action(dev, "check")


def damage(v, sector, what):
    """One byte, past what the page cache has of the disk: the device may be there."""
    disk, at = v.place(sector, what)
    at += rng.randrange(v.block_size if what == "data" else v.sb.tag_size)
    poke(disk, at, bytes([peek(disk, at, 1)[0] ^ rng.randrange(1, 256)]))


class Load(Beside):
    """Reads and writes of blocks that are not damaged, in threads."""

    def __init__(self, dev, bs, keep_off, P):
        super().__init__(dev.path, 2, self.work)
        self.free = [s for s in range(0, P, bs // SECTOR) if s not in keep_off]
        self.bs = bs
        self.rng = [random.Random(f"{SEED} {n}") for n in range(2)]
        self.buffer = [mmap.mmap(-1, bs) for _ in range(2)]

    def work(self, fd, n):
        mine, buffer = self.rng[n], self.buffer[n]
        at = mine.choice(self.free) * SECTOR
        if mine.randrange(2):
            os.preadv(fd, [buffer], at)
        else:
            buffer[:] = mine.randbytes(8) * (self.bs // 8)
            os.pwrite(fd, buffer, at)
        if not mine.randrange(100):
            os.fsync(fd)


# --- what is damaged is found, no more and no less ---

def exactly(layout, mode, bs, hash_name):
    what = f"{layout}, mode {mode}, {bs}, {hash_name}"
    spb = bs // SECTOR
    for disk in (data, meta):
        clear(disk)
    options = f"internal_hash:{hash_name} block_size:{bs} journal_sectors:1000 interleave_sectors:2048"
    v = Volume(data, options + " fix_padding fix_hmac", meta if layout == "separate" else None, mode=mode).format()
    P = v.sb.provided
    with v.open() as dev:
        write_all(dev.path, SEED, bs)

    # Some alone, some beside each other, the first and the last one.
    bad = {0, P - spb} | {rng.randrange(P // spb) * spb for _ in range(10)}
    near = rng.randrange(P // spb - 20) * spb
    bad |= {near + i * spb for i in range(5)}
    for i, s in enumerate(sorted(bad)):
        damage(v, s, "tag" if i % 2 else "data")
    status, text = oracle("check", *v.oracle_args(), "--json", "--limit", 0)
    expect_eq(sorted(json.loads(text)["bad_sectors"]), sorted(bad), f"what the oracle finds, {what}")

    with v.open() as dev:
        with Load(dev, bs, bad, P) as load:
            log.mark()
            expect_events(dev, "a check that finds something", 2, lambda: (dev.message("check"), over(dev)))
            expect_found(dev, bad, spb, what)
            done = sum(load.done)
        expect_eq(Seen(dev).done, P, f"sectors checked, {what}")
        log.expect(f"check finished: {P} sectors in \\d+ s, \\d+ KiB/s, {len(bad)} blocks bad")
        # As many as the limit of the rate lets through.
        if not exactly.seen:
            log.expect("check: data and tag do not match at sector 0x")
        exactly.seen = True

        # Overwritten blocks leave the list, and reads of them are good.
        repaired = set(rng.sample(sorted(bad), len(bad) // 2)) | {near, near + 2 * spb}
        for s in sorted(repaired):
            write_at(dev.path, s * SECTOR, random.randbytes(bs))
        left = bad - repaired
        expect_eq(listed(dev), (ranges(left, spb), False), f"bad_blocks after writes, {what}")
        for s in sorted(repaired):
            read_at(dev.path, s * SECTOR, bs)
        # What was found does not change; what is bad now a new check says. In mode J the blocks are at
        # their places after a suspend.
        expect_eq(Seen(dev).bad, len(bad), f"bad after writes, {what}")
        dev.suspend()
        dev.resume()
        dev.message("check")
        expect_found(dev, left, spb, f"second, {what}")
        # All of it, in one piece.
        for at in range(0, P, 512):
            write_at(dev.path, at * SECTOR, random.randbytes(min(512, P - at) * SECTOR))
        expect_eq(listed(dev), ([], False), f"bad_blocks after all was written, {what}")
        dev.suspend()
        dev.resume()
        expect_events(dev, "a check that finds nothing", 1, lambda: (dev.message("check"), over(dev)))
        expect_found(dev, set(), spb, f"third, {what}")
    v.check()
    say(f"{what}: {len(bad)} of {P // spb} blocks, {done} I/Os meanwhile; {time.monotonic() - began:.0f} s")


exactly.seen = False
hashes = itertools.cycle(("crc32c", "sha256"))
for layout in ("interleaved", "separate"):
    for mode in "DJ":
        for bs in (512, 4096):
            exactly(layout, mode, bs, next(hashes))
        next(hashes)

# --- one volume for the rest: 4096, separate, tags in buffers of 4 KiB ---

data, meta = ramdisks(6, 2)
low = Device("low").create(size_of(data) // SECTOR, f"linear {data} 0")
low_meta = Device("low-meta").create(size_of(meta) // SECTOR, f"linear {meta} 0")
v = Volume("/dev/mapper/low", "internal_hash:crc32c block_size:4096 buffer_sectors:8 journal_sectors:1000",
           "/dev/mapper/low-meta").format()
P, EBUSY, EINVAL = v.sb.provided, errno.EBUSY, errno.EINVAL
with v.open() as dev:
    write_all(dev.path, SEED, 4096)
    expect_eq(listed(dev), ([], False), "bad_blocks before any check")
low.remove()
low_meta.remove()
v.data, v.meta = data, meta
bad = {800, 1600, P - 8}
for s in bad:
    damage(v, s, "data")

# --- pause, suspend, give up ---

with v.open() as dev:
    seen = begin(dev)
    expect_eq((seen.position, seen.total), ("-", P), f"mark and total in '{seen.text}'")
    dev.message("check")
    expect_action(dev, "check")
    expect_events(dev, "frozen", 1, lambda: dev.message("frozen"))
    at = expect_action(dev, "frozen").done
    time.sleep(0.3)
    expect_eq(expect_action(dev, "frozen").done, at, "position while frozen")
    dev.suspend()
    expect_eq(expect_action(dev, "frozen").done, at, "position of a suspended frozen check")
    log.mark()
    expect_refused(EBUSY, "check, suspended", dev.message, "check")
    log.expect("the device is suspended, resume it first")
    dev.resume()
    expect_eq(expect_action(dev, "frozen").done, at, "position after suspend and resume")
    log.mark()
    dev.message("check")
    log.expect(f"check continues at sector {at}, to end at {P}")
    dev.suspend()
    seen = expect_action(dev, "suspended")
    if not at <= seen.done < P:
        fail(f"position of a suspended check: {seen.text}, was at {at}")
    at = seen.done
    dev.resume()
    seen = expect_action(dev, "check")
    if not at <= seen.done < P:
        fail(f"position of a resumed check: {seen.text}, was at {at}")

    # Others have to wait.
    for state in ("check", "frozen"):
        for text in ("recalculate", "reset_recalculate", "cancel_recalculate", "check 0 8"):
            log.mark()
            expect_refused(EBUSY, f"{text} while {state}", dev.message, text)
            log.expect("a check is under way: let it come to its end, or end it with idle first")
        expect_action(dev, state)
        dev.message("frozen")
    log.mark()
    expect_events(dev, "giving up a check", 1, lambda: dev.message("idle"))
    log.expect("check given up at sector \\d+, by request: \\d+ blocks bad")
    expect_action(dev, "idle")
    # The next begins at 0, and counts anew.
    dev.message("speed_max 0")
    dev.message("check")
    seen = expect_found(dev, bad, 8, "after one that was given up")
    expect_eq((seen.position, seen.done), ("-", P), f"mark and done in '{seen.text}'")
    # A suspend keeps what was found.
    dev.suspend()
    dev.resume()
    expect_found(dev, bad, 8, "after a suspend")
    # Paused again and again in the middle, a block is counted once.
    dev.message("speed_max 16384")
    dev.message("check")
    while Seen(dev).action == "check":
        # Or no worker would ever have begun, now and then for minutes.
        time.sleep(rng.random() * 0.04)
        dev.message("frozen")
        if Seen(dev).action == "frozen" and Seen(dev).done < P:
            dev.message("check")
    if Seen(dev).action == "frozen":
        dev.message("check")
    expect_found(dev, bad, 8, "after many pauses")

    # --- a part ---
    dev.message("speed_max 0")
    log.mark()
    for text, found in (("check 0 800", set()), ("check 0 808", {800}), ("check 800 8", {800}),
                        ("check 808 792", set()), (f"check 1000 {P - 1000}", {1600, P - 8}),
                        (f"check {P - 8} 8", {P - 8})):
        dev.message(text)
        seen = expect_found(dev, found, 8, text)
        expect_eq((seen.done, seen.total), (int(text.split()[2]),) * 2, f"done/total of {text}")
    log.expect("check starts at sector 0, to end at 800")
    for text, regex in ((f"check 0 {P + 8}", f"{P + 8} sectors at 0 are not within the {P}"),
                        (f"check {P} 8", f"8 sectors at {P} are not within"), ("check 0 0", "0 sectors at 0 are not"),
                        (f"check 8 {2**64 - 8}", "are not within"), (f"check {2**64 - 8} 16", "are not within"),
                        ("check 1 8", "8 sectors at 1 are not whole blocks of 8"), ("check 8 9", "not whole blocks"),
                        ("check 8", "takes no argument, or two"), ("check 1 2 3", "takes no argument, or two"),
                        ("check x 8", "'x' is not a number of sectors"), ("check 8 -8", "'-8' is not a number"),
                        ("bad_blocks 1", "takes no argument")):
        log.mark()
        expect_refused(EINVAL, text, dev.message, text)
        log.expect(regex)
    expect_found(dev, {P - 8}, 8, "after messages that were refused")

    # --- dmsetup wait, as users do ---
    dev.message("speed_max 2048")
    dev.message("check 0 4096")
    number, deadline = dev.events, time.monotonic() + 20
    while Seen(dev).action == "check" and time.monotonic() < deadline:
        run("timeout", "20", "dmsetup", "wait", "v", number)
        number = dev.events
    expect_found(dev, {800, 1600}, 8, "after dmsetup wait")
    expect_eq(run("dmsetup", "message", "v", "0", "bad_blocks"), "800 8\n1600 8\n", "dmsetup message v 0 bad_blocks")

    # --- removed in the middle ---
    begin(dev)
log.expect_none("WARNING")

# --- damage below a live device: what is in memory does not hide it ---

with v.open() as dev:
    read_at(dev.path, 2400 * SECTOR, 4096)
    damage(v, 2400, "tag")
    read_at(dev.path, 2400 * SECTOR, 4096)
    dev.message("check")
    expect_found(dev, bad | {2400}, 8, "a tag damaged below")
    expect_refused(errno.EILSEQ, "read of that block", read_at, dev.path, 2400 * SECTOR, 4096)
    write_at(dev.path, 2400 * SECTOR, bytes(4096))

# --- read-only: nothing is written ---

before = Contents(data, meta)
with v.open(readonly=True) as dev:
    dev.message("check")
    expect_found(dev, bad, 8, "read-only")
expect_eq(Contents(data, meta), before, "disks after a check of a read-only device")

# --- a recalculation that is pending ---

with v.open("reset_recalculate no_recalculate") as dev:
    dev.message("speed_max 1024")
    dev.message("recalculate")
    wait_for("a part has tags", lambda: int(Seen(dev).position) > 0)
    log.mark()
    expect_refused(EBUSY, "check while recalculating", dev.message, "check")
    log.expect("a recalculation is under way: let it come to its end, or pause it with frozen first")
    wait_for("one of the blocks has a tag", lambda: int(Seen(dev).position) > 808)
    dev.message("frozen")
    mark = int(Seen(dev).position)
    if mark >= P - 8:
        fail("the recalculation was too fast")
    dev.message("speed_max 0")
    damage(v, 0, "tag")
    # Not of ours: a block beyond the mark.
    damage(v, P - 16, "tag")
    log.mark()
    dev.message("check")
    seen = expect_found(dev, {0}, 8, "below the mark")
    log.expect(f"check: blocks from sector {mark} on are left out, they are to be recalculated first")
    expect_eq((seen.action, seen.position, seen.done, seen.total), ("frozen", str(mark), mark, mark),
              f"after a check below the mark: '{seen.text}'")
    dev.message(f"check {P - 8} 8")
    seen = over(dev)
    expect_eq((seen.action, seen.done, seen.total, seen.bad), ("frozen", 0, 0, 0), "a check beyond the mark")
    # idle ends a check, and lets what is pending run.
    begin(dev, f"check 0 {mark}")
    dev.message("speed_max 0")
    dev.message("idle")
    seen = over(dev)
    expect_eq((seen.action, seen.position, seen.total), ("idle", str(P), P), "the recalculation went on")
    dev.message("check")
    expect_found(dev, {0}, 8, "after the recalculation")
    # Made anew, its tag matches again.
    dev.message("reset_recalculate")
    over(dev)
    expect_eq(listed(dev), ([], False), "bad_blocks after a recalculation")
v.check()

# --- what cannot be read ---

first_tag = v.place(0, "tag")[1] // SECTOR
v.data = holes("low", data, (80, 16), (P - 8, 8))
v.meta = holes("low-meta", meta, (first_tag + 8, 1))
with v.open() as dev:
    log.mark()
    dev.message("check")
    # The tags of blocks 1024 to 2047 of 1536 are in the buffer that cannot be read.
    lost = range(8192, min(16384, P), 8)
    expect_found(dev, {80, 88, P - 8, *lost}, 8, "what cannot be read")
    # Only so many lines are logged in a while, and which worker comes first nobody knows.
    log.expect("check: cannot read the (data|tags) of \\d+ sectors at 0x[0-9a-f]+ \\(error -5\\)")
    read_at(dev.path, 0, 4096)
    expect_action(dev, "idle")
for name in ("low", "low-meta"):
    Device(name).remove()

# --- a list that overflows ---

for disk in (data, meta):
    clear(disk)
v = Volume(data, "internal_hash:crc32c journal_sectors:1000", meta).format()
P = v.sb.provided
with v.open("recalculate") as dev:
    over(dev)
image = bytearray(contents(data))
for s in range(0, 2200, 2):
    image[s * SECTOR] ^= 1
poke(data, 0, bytes(image))
with v.open() as dev:
    dev.message("check")
    seen = over(dev)
    expect_eq((seen.bad, seen.first_bad), (1100, "0"), "bad blocks, more than fit")
    found, more = listed(dev)
    expect_eq((len(found), more), (1024, True), "ranges listed, more than fit")
    if not set(found) <= {(s, 1) for s in range(0, 2200, 2)}:
        fail("bad_blocks lists what is not bad")
    # A new list is complete again.
    for s in range(0, 2200, 128):
        write_at(dev.path, s * SECTOR, bytes(128 * SECTOR))
    dev.message("check")
    expect_found(dev, set(), 1, "after an overflow")

# --- without internal_hash there is nothing to compare ---

clear(meta)
with Volume(data, "", meta, tag=4).format().open() as dev:
    for text in ("check", "recalculate", "reset_recalculate"):
        log.mark()
        expect_refused(errno.EOPNOTSUPP, f"{text} without internal_hash", dev.message, text)
        log.expect("without internal_hash")

# --- tracepoints ---

clear(meta)
v = Volume(data, "internal_hash:crc32c journal_sectors:1000", meta, mode="J").format()
(TRACING / "events/dm_integrity/enable").write_text("1")
with v.open("recalculate") as dev:
    over(dev)
    write_at(dev.path, 0, bytes(4096))
    dev.suspend()
    damage(v, 8, "data")
    dev.resume()
    dev.message("check")
    over(dev)
    expect_refused(errno.EILSEQ, "read of a damaged block", read_at, dev.path, 8 * SECTOR, SECTOR)
with v.open("sectors_per_bit:128 bitmap_flush_interval:10", mode="B") as dev:
    write_at(dev.path, 0, bytes(4096))
    wait_for("a flush of the bitmap", lambda: "bitmap_flush" in (TRACING / "trace").read_text())
(TRACING / "events/dm_integrity/enable").write_text("0")
text = (TRACING / "trace").read_text()
for regex in ("pass_start: \\d+,\\d+ recalculate 0 to \\d+", "pass_chunk: .* recalculate 0 \\+ \\d+",
              "checkpoint: \\d+,\\d+ \\d+ error 0", "pass_end: .* recalculate finished at",
              "journal_commit: .* sections 0 \\+ 1 at sector 8 error 0",
              "journal_writeback: .* sections 0 \\+ 1: 8 blocks, 8 sectors, error 0",
              "pass_start: .* check 0 to", "mismatch: .* check 8", "pass_end: .* check finished at",
              "mismatch: .* read 8", "bitmap_flush: \\d+,\\d+ cleared 1 bits, 128 sectors, 0 left, error 0"):
    expect_match(text, f"dm_integrity_{regex}", "trace")
say("tracepoints seen")
END
