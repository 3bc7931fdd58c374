# SPDX-License-Identifier: GPL-2.0-only
"""For the tests of crashes in mode J, on the host: volumes, guests, recordings, what may be after a crash.

$DMI_STATES: how many disk states; $DMI_SEED: another workload; $DMI_MODULE: whose module (ours).
"""

import array
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from blocks import KEY, Config, History, Operation, crc, crcs     # noqa: E402
from logwrites import Recording                             # noqa: E402
import oracle.volume                                        # noqa: E402
from oracle.geometry import RECALCULATING                   # noqa: E402
from oracle.journal import Journal                          # noqa: E402

TOP = Path(os.environ["DMI_TOP"])
RESULTS = Path(os.environ["RESULTS"])
MODULE = os.environ.get("DMI_MODULE", "ours")
STATES = int(os.environ.get("DMI_STATES", "200"))
SEED = int(os.environ.get("DMI_SEED", "1"))
MAC = f"hmac(sha256):{KEY}"
POLICIES = Recording.POLICIES
FILLER = b"\xf6"


class Failed(Exception):
    pass


class Memory:
    """Stands in for the oracle's image file."""

    def __init__(self, what, writable=False):
        self.what, self.path, self.sectors = what, "image", len(what) // 512

    def read(self, byte, size):
        return bytes(self.what[byte:byte + size])


oracle.volume.Image = Memory


def configs():
    """The volumes of the test, more of them with more states."""
    basic = [
        Config(hash="crc32c", bs=512, ops=220, discards=True),
        Config(hash="sha256", bs=4096, separate=True, sections=4, sectors=4096, ops=220, runtime="commit_time:30",
               discards=True),
        Config(hash="crc32c", bs=4096, mac=MAC, options="fix_hmac", crypt=f"ctr(aes):{KEY}", sectors=4096, ops=200,
               runtime="journal_watermark:20"),
        Config(hash="crc32c", bs=512, separate=True, recalc=True, sections=2, ops=200, discards=True),
        Config(hash="sha256", bs=512, mac=MAC, crypt=f"cbc(aes):{KEY}", sections=5, ops=200,
               runtime="journal_watermark:80 commit_time:0"),
        Config(hash="crc32c", bs=4096, sections=1, sectors=4096, recalc=True, ops=200),
    ]
    more = []
    if STATES > 1000:
        for n in range(STATES // 500):
            rng = random.Random(f"{SEED} {n}")
            bs = rng.choice((512, 1024, 2048, 4096))
            mac = rng.choice(("", MAC, "crc32c"))
            more.append(Config(
                hash=rng.choice(("crc32c", "sha256", "xxhash64", f"hmac(sha256):{KEY}")), bs=bs, mac=mac,
                crypt=rng.choice(("", f"ctr(aes):{KEY}", f"cbc(aes):{KEY}")), separate=rng.random() < 0.5,
                recalc=rng.random() < 0.3, sections=rng.choice((1, 2, 3, 5, 8)), sectors=rng.choice((1024, 2048, 4096)),
                ops=rng.choice((150, 300, 500)), threads=rng.choice((1, 3, 6)),
                options=rng.choice(("", "fix_hmac")), discards=rng.random() < 0.6,
                runtime=rng.choice(("", "journal_watermark:0", "journal_watermark:100", "journal_watermark:30")) +
                rng.choice(("", " commit_time:0", " commit_time:20", " commit_time:1000000"))))
    found = basic + more
    for n, c in enumerate(found):
        c.seed = SEED * 1000 + n
        # A keyed hash is recalculated only where the superblock is protected.
        if c.recalc and (":" in c.hash or ":" in c.mac):
            c.recalc = False
        c.prepare()
    return found


def guest(name, *command, disks=(), timeout=600, kernel=None, cpus=None):
    """Runs a program of journal-guest; its results are in the folder that is returned. cpus: another number
    of them than the test's."""
    out = RESULTS / name
    out.mkdir(exist_ok=True)
    args = [os.environ["DMI_VM"], "--kernel", kernel or os.environ["DMI_KERNEL"], "--results", out, "--console",
            RESULTS / f"console-{name}.log", "--timeout", timeout, "--mem", 2048, "--env",
            f"DMI_KO={os.environ['DMI_KO']}"]
    if cpus:
        args += ["--smp", cpus]
    for disk in disks:
        args += ["--disk", disk]
    args += ["--", TOP / "tests/vm/journal-guest", *command]
    done = subprocess.run([str(a) for a in args], check=False)
    if done.returncode:
        raise Failed(f"the guest {name} ended with status {done.returncode}")
    return out


class Verdict:
    """What the oracle makes of a disk state."""

    def __init__(self, image, c, apply=None):
        view = memoryview(image)
        parts = (view[:c.data_length * 512], view[c.data_length * 512:]) if c.separate else (view, None)
        volume = oracle.volume.Volume(parts[0], parts[1], 0, c.hash, c.mac or None, c.crypt or None)
        lay = volume.layout
        plan = Journal(volume).replay()
        if plan.error:
            raise Failed(f"the replay fails: {plan.error}")
        self.sections, self.entries = len(plan.order), len(plan.entries)
        before = None
        if apply is not None:
            before = crcs(self._read(volume), c.bs)
        volume.overlay = plan.blocks
        data = self._read(volume)
        self.crcs = array.array("I", crcs(data, c.bs))
        self.changed = sum(a != b for a, b in zip(before, self.crcs)) if before is not None else 0
        known = lay.P
        if volume.sb.has(RECALCULATING):
            known = min(volume.sb.recalc_sector, lay.P)
        self.known = known
        self.discarded = set()
        s = 0
        while s < known:
            length = min(lay.run(s), known - s)
            stored = volume.read_tags(s, length // lay.spb)
            made = volume.made_tags(s, data[s * 512:(s + length) * 512])
            for at in range(0, len(made) if stored != made else 0, lay.T):
                if stored[at:at + lay.T] == made[at:at + lay.T]:
                    continue
                block = s // lay.spb + at // lay.T
                if not c.discards or stored[at:at + lay.T] != FILLER * lay.T:
                    raise Failed(f"after the replay the tag of block {block} does not match")
                self.discarded.add(block)
            s += length

    @staticmethod
    def _read(volume):
        lay, s, data = volume.layout, 0, []
        while s < lay.P:
            length = min(lay.run(s), lay.P - s)
            data.append(volume.read_data(s, length))
            s += length
        return b"".join(data)


class Subject:
    """A recorded volume and what is known of it."""

    def __init__(self, n, c, folder):
        self.c = c
        facts = json.loads((folder / f"{n}.json").read_text())
        self.base = (folder / f"{n}.base").read_bytes()
        self.recording = Recording(self.base, (folder / f"{n}.log").read_bytes(), (folder / f"{n}.trace").read_text(),
                                   facts["device"], facts["zeroes"])
        self.blocks = facts["blocks"]
        self.history = History([Operation(*op) for op in facts["ops"]], self.recording.marks, c.bs, self.blocks)
        self.reads = self.history.check_reads()

    def wanted(self, count, rng):
        """Moments and policies: every moment in turn, as far as the number goes."""
        loose, settled = self.recording.loose_moments()
        if self.c.recalc:
            # Before the superblock says so, nobody knows that there are no tags yet.
            said = self.recording.bios[0].durable
            loose, settled = ([m for m in moments if m >= said] for moments in (loose, settled))
        wanted = []
        # Where nothing is in doubt all policies give the same.
        for moments, policies, number in ((settled, POLICIES[:1], count // 5), (loose, POLICIES, count - count // 5)):
            if not moments:
                continue
            step = max(1, len(moments) // max(1, number))
            chosen = moments[rng.randrange(step)::step][:number]
            chosen += rng.choices(moments, k=number - len(chosen))
            first = rng.randrange(len(policies))
            wanted += [(m, policies[(first + i) % len(policies)]) for i, m in enumerate(chosen)]
        return sorted(wanted)

    def check(self, found, when, who, bad=(), discarded=()):
        """The blocks that were found are what a crash right after that moment may leave; discarded: those
        whose tag says so."""
        if bad:
            raise Failed(f"{who}: {len(bad)} blocks cannot be read, first {bad[0]}")
        if len(found) != self.blocks:
            raise Failed(f"{who}: {len(found)} blocks, the volume had {self.blocks}")
        for block, value in enumerate(found):
            versions, gone = self.history.left(block, when)
            # A pass makes a tag also of what was discarded.
            if gone and (block in discarded or self.c.recalc):
                continue
            if block in discarded:
                raise Failed(f"{who}: block {block} is discarded, it must be of one of {versions}")
            if value not in [crc(v, block, self.c.bs) for v in versions]:
                whose = next((op.number for op in self.history.of.get(block, ())
                              if crc(op.number, block, self.c.bs) == value), None)
                if whose is None and crc(0, block, self.c.bs) == value:
                    whose = 0
                raise Failed(f"{who}: block {block} is of operation {whose}, it must be of one of {versions}")


def open_in_guest(name, volumes, steps, blocks, image, kernel=None, cpus=None):
    """Opens states in a guest, one after the other: steps are (module, [words of journal-guest]); image holds
    the states, and is deleted. An answer for each: crcs, bad, status, log, refused, device."""
    folder = RESULTS / name
    folder.mkdir(exist_ok=True)
    for _, states in steps:
        for words in states:
            words["blocks"] = blocks[words["config"]]
    (folder / "open.json").write_text(json.dumps({"configs": [c.to_json() for c in volumes], "steps": steps}))
    guest(name, "open", disks=[image], timeout=1800, kernel=kernel, cpus=cpus)
    os.unlink(image)
    found = []
    for step, (_, states) in enumerate(steps):
        answers = json.loads((folder / f"{step}.json").read_text())
        raw, at = (folder / f"{step}.crcs").read_bytes(), 0
        for words, answer in zip(states, answers):
            length = 4 * words["blocks"]
            answer["crcs"] = raw[at:at + length]
            at += length
        if at != len(raw) or len(answers) != len(states):
            raise Failed(f"{name}: the guest opened {len(answers)} states of {len(states)}")
        found.append(answers)
    return found


def record(volumes, module=MODULE, kernel=None):
    """Records the workloads of these volumes, of that module, in a guest; the folder with the recordings."""
    folder = RESULTS / "record"
    folder.mkdir(exist_ok=True)
    (folder / "plan.json").write_text(json.dumps([c.to_json() for c in volumes]))
    return guest("record", "record", module, timeout=900, kernel=kernel)


def show(began, text):
    print(f"{time.monotonic() - began:5.1f} s  {text}", flush=True)
