# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Whatever fails, wherever it is on the disks and whenever it does, costs what RULES says and no more: nothing hangs,
# the log says what it was, no read gives wrong data, nothing that a flush acknowledged is lost once the fault is gone.
# kernels: 6.12
# long-kernels: 6.1 debug
# long: yes
# cpus: 1
# disks: 1M
# timeout: 1200

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from collections import Counter

from faulty import *
from volume import *

MODES = os.environ.get("DMI_MODES", "D J B R").split()
SEED = int(os.environ.get("DMI_SEED", time.time_ns()))
OPTIONS = f"internal_hash:sha256 block_size:{BS} journal_sectors:1056 buffer_sectors:1 sectors_per_bit:64"
SECTION, INIT = 264, 8 + 4 * 264
LIMIT = 90 if DEBUG else 30     # seconds, of each step

# name: (device, sector, sectors). The sector of tags has those of blocks 80 to 95. The second block that is written
# has entry 1 of the journal: its sectors are these.
PLACES = {
    "superblock": ("meta", 0, 1), "bitmap": ("meta", 8, 1), "unused": ("meta", 8 + 2 * SECTION + 99, 1),
    "jmeta": ("meta", 8 + 1, 1), "jdata": ("meta", 8 + 8 + 8 + 3, 1), "tag": ("meta", INIT + 5, 1),
    "data": ("data", 40 * 8 + 3, 1), "metadev": ("meta", 0, LENGTH), "datadev": ("data", 0, LENGTH),
}
WRITTEN = [8, 40, 41, 80, 87, 200]
PROBED = [39, 40, 41, 79, 80, 95, 96]
FAULTS = "rwnd" if DEBUG else "rwn"     # of a sector; of a device n and f. See class Low.

# What must come of it, the first line that fits: modes, faults, places, moments.
#   ok      nothing fails                   EIO     what was asked for is refused, and can be had without the fault
#   block   it costs that block             lost    it costs that entry of the journal
#   buffer  the blocks of that sector       pass    the pass fails, the device goes on
#   all     all blocks                      Fail    the device fails
# The log must say so; where there is nothing to look for, it says of no error. The moment flush comes after write, and
# is about what was not refused there. suspend and remove come after writes, flushed and not. A sector jmeta that cannot
# be read may have entries that are replayed once it can be, over what was written in mode D meanwhile.
RULES = """
DJB  rnd superblock,metadev  format,load     EIO    cannot read the superblock
DJB  w   superblock          format          EIO    cannot write the superblock while formatting
DJB  wn  jmeta,jdata,bitmap,unused format    EIO    cannot write the journal while formatting
DJB  f   metadev             format          ok     Error on writing tags
DJB  f   datadev             format          ok     Error on flushing data
DJB  rnd superblock,metadev  resume,replay   EIO    cannot resume: cannot read the superblock
B    w   superblock          resume,replay   EIO    cannot resume: cannot write superblock, bitmap or journal
B    w   bitmap              resume          EIO    cannot resume: cannot write superblock, bitmap or journal
B    n   bitmap              resume          EIO    cannot resume: cannot write
B    n   bitmap              replay          ok     cannot write block 0 of the bitmap
JB   n   jmeta,jdata,unused  resume          EIO    cannot resume: cannot write the journal
D    n   jmeta               resume          EIO    cannot resume: cannot write the journal
D    n   jdata               resume          ok     cannot write the journal .*in which nothing is
DJB  rd  jmeta,bitmap        resume          lost   cannot read sector [01] of journal section 0
DJB  rd  jmeta,jdata,bitmap,unused format,resume ok cannot read sector [0-9]+ of journal section
B    rd  bitmap              replay          ok     cannot read block 0 of the bitmap
DJ   rd  jmeta,jdata         replay          lost   cannot read sector [0-9]+ of journal section 0
DJ   n   jmeta,jdata         replay          EIO    cannot resume: cannot write the journal
D    w   jmeta,jdata         replay          EIO    cannot resume: cannot write the journal
DJ   rwndf tag,metadev       replay          EIO    cannot resume: cannot replay the journal
DJ   wnf data,datadev        replay          EIO    cannot resume: cannot replay the journal
B    rnd data                replay          block  recalculation skips 8 sectors at 0x140: cannot read their data
B    rnd tag                 replay          buffer recalculation skips 64 sectors at 0x280: cannot read their tags
B    n   datadev             replay          all    recalculation skips
B    f   datadev             replay,recalc   Fail   Error on flushing data
B    f   metadev             replay          EIO    cannot resume: cannot write superblock, bitmap or journal
B    wf  tag,metadev         replay          Fail   Error on writing tags
R    rnd superblock,metadev  load            ok     there is no superblock: going by the table alone
R    rnd superblock,metadev  resume          ok     going on with the superblock in memory
DJBR rnd data                read            block  .*
DJBR n   datadev             read            all    .*
DJB  rnd tag                 read            buffer cannot verify sector
DJB  n   metadev             read            all    cannot verify sector
DB   wn  data                write           block  .*
DB   n   datadev             write           all    .*
DB   rnd tag                 write           buffer cannot store the tag of sector
D    n   metadev             write           all    cannot store the tag of sector
B    wn  bitmap,metadev      write           all    cannot write block 0 of the bitmap
DB   wn  data,datadev        timer           ok     .*
DB   rnd tag                 timer           ok     cannot store the tag of sector
D    n   metadev             timer           ok     cannot store the tag of sector
B    wn  bitmap,metadev      timer           ok     cannot write block 0 of the bitmap
DB   f   datadev             flush           Fail   Error on flushing data
B    f   datadev             timer           Fail   Error on flushing data
DB   wf  tag,metadev         flush,timer     Fail   Error on writing tags
J    wn  jmeta,jdata,metadev flush,timer     Fail   Error on writing the journal
J    wn  data,datadev        timer           Fail   Error on writing back the journal
J    rnd tag                 timer           Fail   cannot store the tags of journaled sector
J    wf  tag,metadev,datadev timer           Fail   Error on (flushing data|writing tags)
DJB  wn  superblock          recalc          pass   recalculation failed: saving the position
DJB  rnd data                recalc          block  recalculation skips 8 sectors at 0x140: cannot read their data
DJB  n   datadev             recalc          all    recalculation skips
DJB  wnf tag,metadev         recalc          Fail   Error on writing tags
DJ   f   datadev             recalc          Fail   Error on flushing data
DJB  rnd data                check           block  check: cannot read the data of 8 sectors at 0x140
DJB  n   datadev             check           all    check: cannot read the data
DJB  rnd tag                 check           buffer check: cannot read the tags of 128 sectors at 0x280
DJB  n   metadev             check           all    check: cannot read the tags
DB   wnf tag,metadev         suspend,remove  Fail   Error on writing tags
DB   f   datadev             suspend,remove  Fail   Error on flushing data
J    wn  jmeta,jdata,metadev suspend,remove  Fail   Error on (writing|clearing) the journal
J    wn  data,datadev        suspend,remove  Fail   Error on writing back the journal
J    rnd tag                 suspend,remove  Fail   cannot store the tags of journaled sector
J    wf  tag,metadev,datadev suspend,remove  Fail   Error on (flushing data|writing tags)
B    wn  superblock          suspend,remove  ok     cannot write the superblock
B    wn  bitmap              suspend,remove  ok     not everything could be written at suspend
B    wn  unused              suspend,remove  ok     cannot write an empty journal .*, the bitmap stays
B    wn  superblock,bitmap,metadev again     Fail   Error on .*cannot write superblock, bitmap or journal
*    rnd superblock,metadev  again           ok     going on with the superblock in memory
*    *   *                   *               ok
"""
RULES = [(line.split(None, 5) + [None])[:6] for line in RULES.strip().splitlines()]


def rule(mode, fault, place, moment):
    return next(n for n, (modes, faults, places, moments, *_) in enumerate(RULES) if all(
        what in words or "*" in words for what, words in
        ((mode, modes), (fault, faults), (place, places.split(",")), (moment, moments.split(",")))))


def cost(failed, tried):
    return "ok" if not failed else "block" if failed == [40] else "all" if failed == tried else \
        "buffer" if failed == [b for b in tried if 80 <= b < 96] else f"blocks {failed}"


class Trial:
    """One volume, and one fault at one moment of its life."""

    def __init__(self, mode, fault, place):
        self.mode, self.fault, self.place = mode, fault, PLACES[place]
        self.v = Volume(lows["data"].path, OPTIONS, lows["meta"].path, mode=mode)
        self.dev, self.seen, self.path = Device("v"), {}, Device("v").path
        self.table = (LENGTH, self.v.table(), mode == "R")

    def disk(self, image):
        data, known = IMAGES[image]
        for low, raw in zip(lows.values(), data):
            low.whole(self.fault)
            poke(low.path, 0, raw)
        self.blocks = Blocks(self.mode, known)

    def open(self, extra=""):
        self.v.open(extra, length=LENGTH, readonly=self.mode == "R")

    def begin(self, image="clean", extra=""):
        self.disk(image)
        self.open(extra)

    def under(self, moment, action, *args):
        """What comes of an action with the fault."""
        low = lows[self.place[0]]
        log.mark()
        low.spoil(self.fault, *self.place[1:])
        outcome = action(*args)
        self.seen[moment] = (outcome, log.text())
        low.whole(self.fault)
        return outcome

    def state(self):
        return "Fail" if self.dev.field(3) == "Fail" else "ok"

    def write(self, *blocks):
        return self.blocks.write(self.path, *blocks)

    def sync(self):
        outcome = attempt(sync, self.path)
        if outcome == "ok":
            self.blocks.flushed()
        expect_eq(outcome, {"ok": "ok", "Fail": "EIO"}[self.state()], "flush")
        return self.state()

    def run_pass(self, message=None):
        if message:
            self.dev.message(message)
        wait_for("the end of the pass", lambda: self.dev.field(3) not in ("recalculate", "check"), LIMIT)
        words = self.dev.status().split()
        # 32 blocks are all that is to be recovered, 8 of them in that buffer.
        return {"Fail": "Fail", "failed": "pass"}.get(words[3]) or {
            "0": "ok", "1": "block", "8": "buffer", "16": "buffer", "32": "all", "256": "all"}.get(words[6], words[6])

    def left_out(self, outcome):
        """A pass made no tags of some blocks."""
        for block in {"block": [40], "buffer": range(80, 96), "all": range(BLOCKS)}.get(outcome, ()):
            self.blocks.may_be(block, TORN)

    def at_format(self):
        self.disk("blank")
        if self.under("format", attempt, self.v.format) != "ok":
            self.v.format()
        self.open()
        write_all(self.path, 1, BS)

    def at_load(self):
        self.disk("clean")
        self.dev.create()
        if self.under("load", attempt, self.dev.load, *self.table) != "ok":
            self.dev.load(*self.table)
        self.dev.resume()

    def first_resume(self):
        outcome = attempt(self.dev.resume)
        if outcome == "ok" and self.mode != "R":
            outcome = self.run_pass()
            if self.dev.field(8) != "0":
                outcome = "lost"
        return outcome

    def at_resume(self, moment="resume", image="clean"):
        self.disk(image)
        self.dev.create()
        self.dev.load(*self.table)
        outcome = self.under(moment, self.first_resume)
        if re.search(" [1-9][0-9]* lost", self.seen[moment][1]):
            self.blocks.may_be(40, 0)
        self.left_out(outcome)
        if outcome == "EIO":
            self.dev.remove()

    def at_replay(self):
        self.at_resume("replay", "bitmap" if self.mode == "B" else "journal")

    def at_read(self):
        self.begin()
        self.under("read", lambda: cost([b for b in PROBED if self.blocks.read(self.path, b, (errno.EIO,)) is None],
                                        PROBED))

    def at_write(self):
        self.begin()
        self.under("write", lambda: cost(self.write(*WRITTEN), WRITTEN))
        self.under("flush", self.sync)

    def at_timer(self):
        """What goes to the disk without being asked for."""
        self.begin("clean", "commit_time:50 journal_watermark:0 bitmap_flush_interval:50")
        self.under("timer", lambda: (self.write(*WRITTEN), time.sleep(1.5 if DEBUG else 0.5), self.state())[-1])

    def at_recalc(self):
        self.begin("tagless", "recalculate no_recalculate")
        outcome = self.under("recalc", self.run_pass, "idle")
        self.left_out(outcome)
        if outcome == "pass":
            expect_eq(self.run_pass("recalculate"), "ok", "the pass, continued without the fault")

    def at_check(self):
        self.begin()
        self.under("check", self.run_pass, "check")

    def in_use(self):
        self.begin()
        if self.mode != "R":
            self.write(*WRITTEN)
            expect_eq(self.sync(), "ok", "flush")
            self.write(40, 80, 41)

    def ended(self, action):
        action()
        return "Fail" if "serves no more I/O" in log.text() else "ok"

    def at_suspend(self):
        self.in_use()
        outcome = self.under("suspend", self.ended, self.dev.suspend)
        self.dev.resume()
        expect_eq(self.state(), outcome, "resumed")

    def at_again(self):
        self.in_use()
        self.dev.suspend()
        self.under("again", lambda: (self.dev.resume(), self.state())[-1])

    def at_remove(self):
        self.in_use()
        self.under("remove", self.ended, self.dev.remove)
        if re.search(ERROR, self.seen["remove"][1]):
            self.blocks.crashed()

    def settle(self):
        """The fault is gone. What is live goes on if it has not failed; opened again all is there, and is good."""
        if self.dev.exists and self.state() == "Fail":
            self.blocks.crashed()
            for what, action in (("read", read_at), ("write", lambda *_: write_at(self.path, 0, bytes(BS))),
                                 ("flush", lambda *_: sync(self.path))):
                expect_eq(attempt(action, self.path, 0, BS), "EIO", f"{what} of a device that has failed")
            self.dev.remove()
        elif self.dev.exists:
            self.mend()
        self.open()
        expect_eq(self.run_pass(), "ok", "the pass after it was opened again")
        self.mend()
        self.v.check()

    def mend(self):
        torn = self.blocks.read_all(self.path)
        expect_eq(self.dev.field(0), str(len(torn)), "mismatches")
        if self.mode != "R":
            expect_eq(self.write(*torn, *WRITTEN), [], "blocks that cannot be written")
            expect_eq(self.sync(), "ok", "flush")
            expect_eq(self.blocks.read_all(self.path), [], "blocks that do not match")
        self.dev.remove()

    def flap(self):
        """The device comes and goes."""
        self.begin()
        low, rng = lows[self.place[0]], random.Random(f"{SEED} {self.mode}")
        done, end = Counter(), time.monotonic() + 6
        while time.monotonic() < end:
            low.flap()
            while self.state() == "ok" and time.monotonic() < end:
                watch.step(f"flap {self.mode}")
                done["reads failed"] += self.blocks.read(self.path, rng.randrange(BLOCKS), (errno.EIO,)) is None
                done["writes failed"] += len(self.write(rng.randrange(BLOCKS)))
                done["rounds"] += 1
                done["flushes"] += rng.randrange(4) == 0 and self.sync() == "ok"
            low.whole()
            if self.state() == "Fail":
                done["times the device failed"] += 1
                self.blocks.crashed()
                self.dev.remove()
                self.open()
        self.dev.message("reset_mismatches")
        return ", ".join(f"{n} {what}" for what, n in done.items() if n)


def image(known=None):
    return [contents(data_disk), contents(meta_disk)], known or {}


def live(case):
    """What is wrong with it, or None."""
    trial = Trial(*case[:3])
    watch.step(" ".join(case))
    getattr(trial, f"at_{case[3]}")()
    watch.step(" ".join(case) + ", afterwards")
    trial.settle()
    missing = None
    for at, (outcome, text) in trial.seen.items():
        number = rule(*case[:3], at)
        *_, want, regex = RULES[number]
        if outcome != want:
            fail(f"at {at}: {outcome}, expected {want}; log: {text!r}")
        if bool(re.search(regex or ERROR, text)) != bool(regex):
            missing = f"at {at}: {outcome}, expected in the log {regex}, there is {text!r}"
        used.add(number)
    if not missing:
        counts.update((case[0], at, outcome) for at, (outcome, _) in trial.seen.items())
    return missing


watch = Watch(LIMIT)
load("ours")
for name in ("delay", "flakey", *(["dust"] if DEBUG else [])):
    run("modprobe", f"dm-{name}")
expect_eq(pathlib.Path("/sys/block/vda/queue/write_cache").read_text().strip(), "write back", "cache of /dev/vda")
data_disk, meta_disk = ramdisks(1, 2)
Device("bad").create(LENGTH, "error")
lows = {"data": Low("data", data_disk, "/dev/vda 0"), "meta": Low("meta", meta_disk, "/dev/vda 8")}
ERROR = r"integrity: .*([Ee]rror|cannot|failed|not everything|is lost)"

IMAGES = {"blank": image()}
t = Trial("D", "n", "data")
t.at_format()
t.dev.remove()
expect_eq((t.v.section_sectors(), t.v.sb.journal_sections), (SECTION, 4), "sectors of a section, and sections")
IMAGES["clean"] = image()
set_field(meta_disk, "flags", RECALC)
poke(meta_disk, INIT * SECTOR, bytes(BLOCKS * 32))
IMAGES["tagless"] = image()
for name, mode in (("journal", "J"), ("bitmap", "B")):
    t = Trial(mode, "n", "data")
    t.in_use()
    IMAGES[name] = image(dict(enumerate(t.blocks.kept)))
    t.dev.remove()

cases = []
for mode in MODES:
    own = ("bitmap", "unused") if mode == "B" else ("jmeta", "jdata")
    for moment in ("load resume read suspend again remove" if mode == "R" else
                   "format load resume replay read write timer recalc check suspend again remove").split():
        cases += [(mode, f, place, moment) for place in ("superblock", *own, "tag", "data") for f in FAULTS]
        cases += [(mode, f, place, moment) for place in ("metadev", "datadev") for f in "nf"]

wrong, counts, used, begin, again = [], Counter(), set(), time.monotonic(), 0
for case in cases:
    try:
        if live(case):
            # Perhaps the kernel had said it too often.
            again += 1
            log.rested()
            missing = live(case)
            if missing:
                fail(missing)
    except (Failed, DMError, OSError) as error:
        wrong.append(f"{' '.join(case)}: {error}")
        say(f"WRONG {wrong[-1]}")
        for low in lows.values():
            low.whole()
        if Device("v").exists:
            Device("v").resume()
            Device("v").remove()
for mode, at in dict.fromkeys((m, a) for m, a, _ in counts):
    found = {o: n for (m, a, o), n in counts.items() if (m, a) == (mode, at)}
    say(f"{mode} {at:8} {sum(found.values()):3}: " + ", ".join(f"{n} {o}" for o, n in sorted(found.items())))
say(f"{len(cases)} lives with a fault, {again} of them twice, {time.monotonic() - begin:.0f} s")
for mode, place in ((m, p) for m in MODES if m != "R" for p in ("datadev", "metadev")):
    t = Trial(mode, "n", place)
    say(f"{mode}, {place} comes and goes: {t.flap()}")
    t.settle()
if wrong:
    fail(f"{len(wrong)} of {len(cases)} lives: {wrong[0]}")
if set(MODES) == set("DJBR") and len(used) < len(RULES):
    fail(f"no life is of {[RULES[n][:4] for n in range(len(RULES)) if n not in used]}")
END
