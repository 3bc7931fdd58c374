# SPDX-License-Identifier: GPL-2.0-only
"""Disk states after a crash, from a recording of everything that was written.

A recording has three parts: the log of dm-log-writes, which knows the data; the trace of the events
block_bio_queue and block_bio_complete of the logged device, with the clock "counter", which knows the
order in which writes and flushes were sent and acknowledged; and in the same trace the marks of the
workload, `s N` when it began its operation N and `d N` when that was acknowledged.

    r = Recording(base, log, trace, device)
    for state in r.states(points, seed): state.image, state.when, state.policy

A crash may leave, of a write that was sent and is not yet durable, all sectors, none, or any. Durable is
a write with FUA that was acknowledged, and any that was acknowledged before a flush was sent that was
acknowledged.

A discard counts as a write of zeros, which may be lost like one, where the device below does so with
whole pages, and as nothing where it does not discard at all (zeroes).
"""

import random
import re
import struct

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
NEVER = 1 << 62
SECTOR = 512
LINE = re.compile(r"^\s*.+?-\d+\s+\[\d+\]\s+\S+\s+(\d+): (block_bio_queue|block_bio_complete|tracing_mark_write): (.*)$")
BIO = re.compile(r"(\d+),(\d+) (\w+) (\d+) \+ (\d+)")


class Bad(Exception):
    """The recording contradicts itself."""


class Bio:
    """A write or flush of the logged device; sent, acked: moments of the trace."""

    def __init__(self, sent, flags, sector, count):
        self.sent, self.acked = sent, NEVER
        self.discard = flags.startswith("D")
        self.sector, self.count = sector, count
        # F before the W is a flush, F behind it FUA.
        head, _, tail = flags.partition("W") if "W" in flags else (flags, "", "")
        self.flush, self.fua = "F" in head, "F" in tail
        self.data = bytearray(count * SECTOR)
        self.missing = count
        self.durable = NEVER    # from this moment on


def parse_log(raw):
    """Entries of a log of dm-log-writes: (sector, count, flags, data or mark)."""
    magic, version, entries, size = struct.unpack_from("<QQQI", raw)
    if magic != MAGIC or version != 1 or size != SECTOR:
        raise Bad("not a log of dm-log-writes")
    at, found = SECTOR, []
    for _ in range(entries):
        sector, count, flags, length = struct.unpack_from("<QQQQ", raw, at)
        if flags & DISCARD:     # takes no place
            found.append((sector, count, flags, b""))
            at += SECTOR
            continue
        if flags & MARK:
            data = raw[at + 32:at + 32 + length]
        else:
            data = raw[at + SECTOR:at + SECTOR + count * SECTOR]
            if len(data) != count * SECTOR:
                raise Bad("the log ends in the middle of an entry")
        found.append((sector, count, flags, data))
        at += SECTOR + count * SECTOR
    return found


class State:
    def __init__(self, image, when, policy, dropped, torn):
        self.image, self.when, self.policy, self.dropped, self.torn = image, when, policy, dropped, torn


class Recording:
    def __init__(self, base, log, trace, device, zeroes=False):
        self.base, self.zeroes = base, zeroes
        self.bios, self.marks = [], []
        self._read_trace(trace, device)
        self._read_log(parse_log(log))
        self._settle()
        self.moments = sorted({m for b in self.bios for m in (b.sent, b.acked) if m != NEVER} |
                              {when for when, _ in self.marks})

    def _read_trace(self, text, device):
        waiting, lines = {}, []
        for line in text.splitlines():
            if "LOST" in line and "EVENTS" in line:
                raise Bad("the trace lost events")
            match = LINE.match(line)
            if match:
                lines.append((int(match[1]), match[2], match[3]))
        for when, event, rest in sorted(lines):
            if event == "tracing_mark_write":
                self.marks.append((when, rest))
                continue
            match = BIO.match(rest)
            if not match or f"{match[1]}:{match[2]}" != device:
                continue
            flags, sector, count = match[3], int(match[4]), int(match[5])
            if flags.startswith("D"):
                if not self.zeroes:
                    continue
                if (sector | count) & 7:
                    raise Bad(f"a discard of parts of pages: {count} sectors at {sector}")
            elif not ("W" in flags or "F" in flags):
                continue
            key = flags, sector, count
            if event == "block_bio_queue":
                bio = Bio(when, flags, sector, count)
                self.bios.append(bio)
                waiting.setdefault(key, []).append(bio)
            elif waiting.get(key):
                # Of two flushes in flight the later: the other way a write could seem not yet durable that is.
                waiting[key].pop().acked = when
            else:
                raise Bad(f"a completion without a submission: {rest}")

    def _read_log(self, entries):
        """Gives each write its data. Writes to the same place are in the log as they were acknowledged."""
        starts = {}
        writes = sorted((b for b in self.bios if b.count), key=lambda b: b.acked)
        for bio in writes:
            starts.setdefault((bio.sector, bio.fua, bio.discard), []).append(bio)
        for sector, count, flags, data in entries:
            fua, discard = bool(flags & FUA), bool(flags & DISCARD)
            if flags & MARK or not count or discard and not self.zeroes:
                continue
            key = sector, fua, discard
            bio = next((b for b in starts.get(key, []) if b.missing and count <= b.missing), None)
            if bio is None:     # a part of a larger one
                bio = next((b for b in writes if b.missing and b.fua == fua and b.discard == discard and
                            b.sector <= sector and sector + count <= b.sector + b.count), None)
            if bio is None:
                raise Bad(f"in the log but not in the trace: {count} sectors at {sector}")
            at = (sector - bio.sector) * SECTOR
            bio.data[at:at + len(data)] = data
            bio.missing -= count
            if not bio.missing and bio in starts.get(key, []):
                starts[key].remove(bio)
        missing = [b for b in writes if b.missing]
        if missing:
            raise Bad(f"{len(missing)} writes are in the trace but not in the log, first at {missing[0].sector}")

    def _settle(self):
        """From when on each write is durable."""
        flushes = sorted((b for b in self.bios if b.flush and b.acked != NEVER), key=lambda b: b.sent)
        # best[i]: the earliest acknowledgement of a flush that was sent as the i-th or later.
        best, soonest = [NEVER] * (len(flushes) + 1), NEVER
        for i in range(len(flushes) - 1, -1, -1):
            soonest = min(soonest, flushes[i].acked)
            best[i] = soonest
        for bio in self.bios:
            if not bio.count:
                continue
            if bio.fua:
                bio.durable = bio.acked
            low, high = 0, len(flushes)
            while low < high:
                middle = (low + high) // 2
                if flushes[middle].sent > bio.acked:
                    high = middle
                else:
                    low = middle + 1
            bio.durable = min(bio.durable, best[low])

    def loose_moments(self):
        """Moments at which writes are sent but not durable, and those at which none is."""
        change = {}
        for bio in self.bios:
            if bio.count:
                change[bio.sent] = change.get(bio.sent, 0) + 1
                change[bio.durable] = change.get(bio.durable, 0) - 1
        loose, settled, now = [], [], 0
        for when in self.moments:
            now += change.get(when, 0)
            (loose if now else settled).append(when)
        return loose, settled

    POLICIES = ("durable", "all", "sent", "subset", "torn")

    def states(self, wanted, seed):
        """wanted: (moment, policy) pairs, sorted. The state right after that moment:
        durable: only what must be there; all: whatever was acknowledged; sent: whatever was sent; subset:
        of what is not durable any writes; torn: of it any sectors."""
        rng = random.Random(seed)
        writes = sorted((b for b in self.bios if b.count), key=lambda b: (b.acked, b.sent))
        order = {id(b): i + 1 for i, b in enumerate(writes)}
        solid, owner = bytearray(self.base), [0] * (len(self.base) // SECTOR)
        by_durable = sorted((b for b in writes if b.durable != NEVER), key=lambda b: b.durable)
        settled = 0

        def put(image, owner, bio, sectors=None):
            """Newer sectors stay."""
            mine = order[id(bio)]
            if sectors is None and max(owner[bio.sector:bio.sector + bio.count]) < mine:
                image[bio.sector * SECTOR:(bio.sector + bio.count) * SECTOR] = bio.data
                owner[bio.sector:bio.sector + bio.count] = [mine] * bio.count
                return
            for k in sectors if sectors is not None else range(bio.count):
                s = bio.sector + k
                if owner[s] < mine:
                    image[s * SECTOR:(s + 1) * SECTOR] = bio.data[k * SECTOR:(k + 1) * SECTOR]
                    owner[s] = mine

        for when, policy in wanted:
            while settled < len(by_durable) and by_durable[settled].durable <= when:
                put(solid, owner, by_durable[settled])
                settled += 1
            loose = [b for b in writes if b.sent <= when < b.durable]
            image, owners = bytearray(solid), list(owner)
            dropped = torn = 0
            floor = 0       # what was acknowledged before a flush whose data are there is there as well
            chosen = []
            for bio in loose:
                if policy == "durable":
                    choice = None
                elif policy == "all":
                    choice = range(bio.count) if bio.acked <= when else None
                elif policy == "sent":
                    choice = range(bio.count)
                elif policy == "subset":
                    choice = range(bio.count) if rng.random() < 0.5 else None
                else:
                    kind = min(rng.randrange(5), 2)
                    share = rng.random()
                    choice = (None, range(bio.count), [k for k in range(bio.count) if rng.random() < share])[kind]
                if choice and bio.flush:
                    floor = max(floor, bio.sent)
                chosen.append((bio, choice))
            for bio, choice in chosen:
                if bio.acked < floor:
                    choice = range(bio.count)
                if not choice:
                    dropped += 1
                    continue
                torn += len(choice) < bio.count
                put(image, owners, bio, None if len(choice) == bio.count else choice)
            yield State(image, when, policy, dropped, torn)
