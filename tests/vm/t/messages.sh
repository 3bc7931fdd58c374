# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Every message does what it says, as the status, the superblock, the log and the event
# counter show: recalculate, reset_recalculate, cancel_recalculate, frozen, idle,
# speed_min, speed_max, reset_mismatches; and the table's no_recalculate. A message that
# is unknown, has too few or too many words, no number, or comes to a suspended or a
# read-only device is refused, with a line in the log that says why.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

load("ours")
disk, = ramdisks(24, 1)
v = Volume(disk, "internal_hash:crc32c block_size:4096 fix_padding interleave_sectors:65536").format()
P = v.sb.provided
EINVAL = errno.EINVAL


class Seen:
    """Status as words with names."""

    def __init__(self, dev):
        words = dev.status().split()
        expect_eq(len(words), 9, "words in the status")
        self.text = " ".join(words)
        self.mismatches, self.provided = int(words[0]), int(words[1])
        self.position = None if words[2] == "-" else int(words[2])
        self.action = words[3]
        self.done, self.total = map(int, words[4].split("/"))
        self.rate, self.bad = int(words[5]), int(words[6])
        self.first_bad = None if words[7] == "-" else int(words[7])
        expect_eq(words[8], "0", f"entries lost of a journal that was not damaged, in {self.text}")
        if self.position is not None:
            expect_eq((self.done, self.total), (self.position, P), f"done/total of {self.text}")


def expect_state(dev, action, position="any"):
    seen = Seen(dev)
    expect_eq(seen.action, action, f"action in '{seen.text}'")
    if position == "part":
        if not 0 < seen.position < P:
            fail(f"position in '{seen.text}' is not between start and end")
    elif position != "any":
        expect_eq(seen.position, position, f"position in '{seen.text}'")
    return seen


def end(dev):
    wait_for("the pass ends", lambda: Seen(dev).action == "idle" and Seen(dev).position == P, 60)
    # The event follows the state, from a work item.
    time.sleep(0.1)


def part(dev):
    """Lets a pass run until something is done, but not all."""
    dev.message("speed_max 4096")
    wait_for("a part is done", lambda: (Seen(dev).position or 0) > 0)
    expect_state(dev, "recalculate", "part")


def on_disk(flag, position=None):
    sb = v.sb
    expect_eq(bool(sb.flags & RECALC), flag, "flag on the disk")
    if position is not None:
        expect_eq(sb.recalc_sector, position, "position on the disk")


# --- a device with nothing to do ---

with v.open() as dev:
    expect_state(dev, "idle", None)
    expect_eq(dev.status(), f"0 {P} - idle 0/0 0 0 - 0", "status of a device with nothing to do")
    expect_eq(run("dmsetup", "info", "-c", "--noheadings", "-o", "events", "v").strip(), "0", "events at first")
    for text in ("idle", "speed_min 0", "speed_max 4294967295", "speed_max 0", "reset_mismatches"):
        expect_events(dev, text, 0, lambda: dev.message(text))
        expect_state(dev, "idle", None)
    expect_events(dev, "frozen with nothing to do", 1, lambda: dev.message("frozen"))
    expect_state(dev, "frozen", None)
    dev.message("idle")
    expect_state(dev, "idle", None)
    on_disk(False)
    write_all(dev.path, 1, 4096)

    # --- recalculate ---
    log.mark()
    before = settled_events(dev)
    dev.message("speed_max 4096")
    dev.message("recalculate")
    on_disk(True)
    expect_match(dev.table(), " recalculate ", "table while recalculating")
    part(dev)
    log.expect(f"recalculation starts at sector 0 of {P}")
    # Again is no news.
    dev.message("recalculate")
    dev.message("idle")
    expect_state(dev, "recalculate", "part")
    expect_eq(dev.events - before, 0, "events of a start")

    # --- frozen, idle ---
    expect_events(dev, "frozen", 1, lambda: dev.message("frozen"))
    at = expect_state(dev, "frozen", "part").position
    time.sleep(0.5)
    expect_state(dev, "frozen", at)
    on_disk(True, at)
    dev.message("frozen")
    expect_state(dev, "frozen", at)
    # It stays so over a suspend, and the suspended device can be asked and told.
    dev.suspend()
    expect_state(dev, "frozen", at)
    dev.resume()
    time.sleep(0.2)
    expect_state(dev, "frozen", at)
    log.mark()
    dev.message("idle")
    wait_for("it goes on", lambda: Seen(dev).position > at)
    log.expect(f"recalculation continues at sector {at} of {P}")

    # --- suspended ---
    dev.suspend()
    at = expect_state(dev, "suspended", "part").position
    on_disk(True, at)
    for text in ("recalculate", "reset_recalculate", "cancel_recalculate"):
        log.mark()
        expect_refused(errno.EBUSY, f"{text}, suspended", dev.message, text)
        log.expect("integrity: dm-\\d+: the device is suspended, resume it first")
    for text in ("speed_min 5", "speed_max 4096", "reset_mismatches", "idle"):
        dev.message(text)
    expect_state(dev, "suspended", at)
    dev.message("frozen")
    expect_state(dev, "frozen", at)
    dev.resume()
    time.sleep(0.2)
    expect_state(dev, "frozen", at)
    on_disk(True, at)

    # --- speed ---
    dev.message("speed_max 8192")
    began = time.monotonic()
    dev.message("recalculate")
    end(dev)
    took = time.monotonic() - began
    least = (P - at) / 2 / 8192
    say(f"{(P - at) // 2} KiB at speed_max 8192: {took:.2f} s, at least {least:.2f}")
    if took < least * 0.8:
        fail(f"faster than speed_max: {took:.2f} s, {least:.2f} s at that speed")
    seen = expect_state(dev, "idle", P)
    if not 100 < seen.rate < 12000:
        fail(f"rate in the status: {seen.text}")
    on_disk(True, P)

    # --- finished: recalculate and idle change nothing, reset_recalculate begins again ---
    dev.message("speed_max 0")
    for text in ("recalculate", "idle"):
        expect_events(dev, f"{text} when finished", 0, lambda: dev.message(text))
        expect_state(dev, "idle", P)
        # Who waits until it is idle hears of it.
        expect_events(dev, "frozen when finished", 1, lambda: dev.message("frozen"))
        expect_state(dev, "frozen", P)
        expect_events(dev, f"{text} when frozen at the end", 1, lambda: dev.message(text))
        expect_state(dev, "idle", P)
    log.mark()

    def again():
        dev.message("reset_recalculate")
        end(dev)

    expect_events(dev, "a whole pass", 1, again)
    log.expect(f"recalculation starts at sector 0 of {P}")
    log.expect(f"recalculation finished: {P} sectors in \\d+ s, \\d+ KiB/s, 0 blocks unreadable")

    # In the middle: from 0 again.
    dev.message("speed_max 4096")
    dev.message("reset_recalculate")
    part(dev)
    dev.message("frozen")
    log.mark()
    dev.message("reset_recalculate")
    log.expect(f"recalculation starts at sector 0 of {P}")
    expect_state(dev, "recalculate")

    # --- cancel_recalculate ---
    part(dev)
    log.mark()
    expect_events(dev, "cancel_recalculate", 1, lambda: dev.message("cancel_recalculate"))
    expect_state(dev, "idle", None)
    log.expect("recalculation given up, all blocks are verified from now on")
    on_disk(False)
    if " recalculate" in dev.table():
        fail(f"table after cancel_recalculate: {dev.table()}")
    dev.suspend()
    dev.resume()
    expect_state(dev, "idle", None)
    # Written before, so every tag was right all the time.
    read_all(dev.path, 1, 4096)
    dev.message("cancel_recalculate")
    expect_state(dev, "idle", None)

    # While recalculating the tags count below the position only, and again everywhere when it is given up.
    initial = int(re.search(" journal_sectors:(\\d+)", dev.table())[1]) + 8

# --- mismatches, and their event ---

place = initial * SECTOR + (P // 8 - 1) * 4
tag = peek(disk, place, 4)
poke(disk, place, bytes(b ^ 1 for b in tag))
last = (P - 8) * SECTOR
with v.open() as dev:
    log.mark()
    for n in range(3):
        expect_events(dev, "a mismatch", 1 if n == 0 else 0, lambda: expect_refused(
            errno.EILSEQ, "read of a wrong block", read_at, dev.path, last, 4096))
    expect_eq(Seen(dev).mismatches, 3, "mismatches")
    log.expect(f"integrity: dm-\\d+: Checksum failed at sector 0x{P - 8:x}")
    dev.message("reset_mismatches")
    expect_eq(Seen(dev).mismatches, 0, "mismatches after reset_mismatches")
    expect_events(dev, "the first mismatch after a reset", 1, lambda: expect_refused(
        errno.EILSEQ, "read of a wrong block", read_at, dev.path, last, 4096))
    expect_eq(Seen(dev).mismatches, 1, "mismatches")
    # Beyond the position nothing is verified; when it is given up, it is.
    dev.message("speed_max 64")
    dev.message("recalculate")
    read_at(dev.path, last, 4096)
    dev.message("cancel_recalculate")
    expect_refused(errno.EILSEQ, "read of a wrong block", read_at, dev.path, last, 4096)
    dev.message("speed_max 0")
    dev.message("recalculate")
    end(dev)
    read_all(dev.path, 1, 4096)
v.check()

# --- no_recalculate ---

with v.open("reset_recalculate no_recalculate") as dev:
    time.sleep(0.3)
    expect_state(dev, "frozen", 0)
    on_disk(True, 0)
    dev.suspend()
    dev.resume()
    expect_state(dev, "frozen", 0)
    dev.message("speed_max 4096")
    dev.message("idle")
    part(dev)
    # It is about the activation: what was let go goes on after a suspend.
    dev.suspend()
    dev.resume()
    expect_state(dev, "recalculate", "part")
with v.open("no_recalculate") as dev:
    at = expect_state(dev, "frozen", "part").position
    dev.message("recalculate")
    end(dev)
with v.open("no_recalculate") as dev:
    expect_state(dev, "idle", P)

# --- refused ---

REFUSED = [
    *((w, f"unknown message '{re.escape(w[:40])}'") for w in
      ("junk", "recalculat", "recalculatee", "checks", "bad_block", "-", "speed", "x" * 300)),
    *((f"{w} {a}", f"message '{w}' takes no argument, '{a}' given") for a in ("now", "1")
      for w in ("recalculate", "reset_recalculate", "cancel_recalculate", "frozen", "idle", "reset_mismatches", "bad_blocks")),
    *((w, f"message '{w}' needs a number") for w in ("speed_min", "speed_max")),
    *((f"{w} 1 2", f"message '{w}' takes one argument, '2' is too much") for w in ("speed_min", "speed_max")),
    *((f"{w} {n}", f"message '{w}': '{re.escape(n)}' is not a number from 0 to 4294967295")
      for w in ("speed_min", "speed_max")
      for n in ("x", "-1", "+1", "1k", "1.5", "0x10", "4294967296", "18446744073709551616")),
]
with v.open() as dev:
    before = dev.status(), dev.table(), dev.events, v.sb.raw
    for text, regex in REFUSED:
        log.mark()
        expect_refused(EINVAL, f"message '{text[:60]}'", dev.message, text)
        log.expect(f"integrity: dm-\\d+: {regex}")
    expect_eq((dev.status(), dev.table(), dev.events, v.sb.raw), before, "all that can be seen after refused messages")
with v.open("no_recalculate", readonly=True) as dev:
    before = Contents(disk)
    for text in ("recalculate", "reset_recalculate", "cancel_recalculate"):
        log.mark()
        expect_refused(errno.EROFS, f"{text}, read-only", dev.message, text)
        log.expect("integrity: dm-\\d+: the device is read-only, nothing can be recalculated")
    for text in ("frozen", "idle", "speed_max 5", "reset_mismatches"):
        dev.message(text)
    expect_eq(Contents(disk), before, "disk after messages to a read-only device")

# dmsetup says the same, and shows the reason as a failure.
with v.open() as dev:
    done = subprocess.run(["dmsetup", "message", "v", "0", "speed_max", "fast"], stderr=subprocess.PIPE, text=True)
    expect_eq(done.returncode != 0, True, "dmsetup message fails")
    run("dmsetup", "message", "v", "0", "speed_max", "100")
say(f"{len(REFUSED)} messages refused")
END
