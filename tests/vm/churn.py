#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""churn.py NAME ROUNDS SEED DATA META BLOCKSIZE MODES OPTION...

Makes a volume, then does ROUNDS random things to it while a pass and I/O go on, lets the pass come
to its end and takes the volume down. Each table is in one of the MODES, as DJ. Says what was done. Any I/O that fails, any block that is not
what was last written, anything refused that should not be, ends it with status 1.
"""

import collections
import mmap
import os
import random
import struct
import sys
import threading
import time

from dm import Dm

name, rounds, seed, data, meta, block = *sys.argv[1:2], *map(int, sys.argv[2:4]), *sys.argv[4:6], int(sys.argv[6])
modes = sys.argv[7]
options = ["journal_sectors:1000"] + sys.argv[8:] + [f"block_size:{block}"]
if meta != data:
    options.append(f"meta_device:{meta}")
rng = random.Random(f"{seed} {name}")
dev = Dm(name)
trouble = []
counts = collections.Counter()


def direct(path, offset, length, write=None):
    """A piece of a disk, past the page cache."""
    fd = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_DIRECT)
    try:
        buffer = mmap.mmap(-1, length)
        if write:
            buffer[:] = write
            os.pwritev(fd, [buffer], offset)
            return write
        os.preadv(fd, [buffer], offset)
        return bytes(buffer)
    finally:
        os.close(fd)


def superblock():
    raw = direct(meta, 0, 4096)
    sb = {}
    sb["sections"], sb["provided"], sb["flags"] = struct.unpack_from("<IQI", raw, 12)
    sb["recalc_sector"], = struct.unpack_from("<Q", raw, 32)
    return sb


def table(length, *words):
    words = options + list(words)
    mode = rng.choice(modes)
    counts[mode] += 1
    return f"0 {length} integrity {data} 0 - {mode} {len(words)} {' '.join(words)}"


class Workers:
    """Threads that read and write, each in a share of its own, and remember what they wrote."""

    COUNT = 3

    def __init__(self, size):
        self.share = size // self.COUNT // 65536 * 65536
        self.open = threading.Event()
        self.running = [threading.Lock() for _ in range(self.COUNT)]
        self.stop = False
        self.done = [0] * self.COUNT
        self.threads = [threading.Thread(target=self.work, args=(i,), daemon=True) for i in range(self.COUNT)]
        for t in self.threads:
            t.start()

    def work(self, i):
        rnd = random.Random(f"{seed} {name} {i}")
        kept = {}
        try:
            while not self.stop:
                if not self.open.wait(0.1):
                    continue
                with self.running[i]:
                    if self.open.is_set():
                        self.session(i, rnd, kept)
        except OSError as e:
            trouble.append(f"worker {i}: {e}")
        except AssertionError as e:
            trouble.append(f"worker {i}: {e}")

    def session(self, i, rnd, kept):
        """While the device is there."""
        fd = os.open(dev.node(), os.O_RDWR | os.O_DIRECT)
        buffer = mmap.mmap(-1, 65536)
        try:
            while self.open.is_set() and not self.stop:
                length = block * rnd.randrange(1, 1 + 65536 // block)
                at = i * self.share + rnd.randrange((self.share - length) // block + 1) * block
                kind = rnd.random()
                if kind < 0.5:
                    fill = rnd.randbytes(8) * (length // 8)
                    buffer[:length] = fill
                    n = os.pwritev(fd, [memoryview(buffer)[:length]], at)
                    for b in range(at // block, (at + length) // block):
                        kept[b] = fill[:8]
                elif kind < 0.95:
                    n = os.preadv(fd, [memoryview(buffer)[:length]], at)
                    for b in range(at // block, (at + length) // block):
                        if b in kept:
                            got = buffer[b * block - at:b * block - at + block]
                            assert got == kept[b] * (block // 8), f"block {b} is not what was written"
                else:
                    os.fsync(fd)
                    n = length
                assert n == length, f"{n} bytes instead of {length} at {at}"
                self.done[i] += 1
        finally:
            buffer.close()
            os.close(fd)

    def pause(self):
        """Everybody has closed the device."""
        self.open.clear()
        for lock in self.running:
            lock.acquire()
        for lock in self.running:
            lock.release()


def status():
    return dev.status().split()


def over():
    s = status()
    return s[3] == "idle" and s[2] == s[1]


def wait_over(seconds):
    end = time.monotonic() + seconds
    while not over():
        if time.monotonic() > end:
            raise SystemExit(f"{name}: the pass does not end: {dev.status()}")
        time.sleep(0.01)


def slow():
    """Slow down what is freshly loaded, so that passes are met half way."""
    dev.message(f"speed_max {rng.choice([2000, 8000, 30000, 0])}")
    dev.message(f"speed_min {rng.choice([0, 500, 4000, 100000])}")


def scribble_tags():
    """On a volume that is down: spoil the tags beyond the position, which nobody may rely on."""
    sb = superblock()
    if not sb["flags"] & 2 or sb["recalc_sector"] >= sb["provided"] or meta == data:
        return False
    raw = direct(meta, 0, 4096)
    tag, = struct.unpack_from("<H", raw, 10)
    first = 512 * head + (sb["recalc_sector"] * 512 // block) * tag
    first = -(-first // 4096) * 4096
    end = 512 * head + (sb["provided"] * 512 // block) * tag // 4096 * 4096
    if first >= end:
        return False
    direct(meta, first, end - first, os.urandom(end - first))
    return True


dev.create()
direct(meta, 0, 4096, bytes(4096))
dev.load(table(8))
dev.resume()
dev.remove_retry()
length = superblock()["provided"]
dev.create()
dev.load(table(length, "recalculate"))
dev.resume()
head = 8 + int(next(w for w in dev.table().split() if w.startswith("journal_sectors:")).split(":")[1])
wait_over(60)
workers = Workers(length * 512)
workers.open.set()
spoilt = False          # there are tags beyond the position that must not be believed

for n in range(rounds):
    if over():
        spoilt = False
        dev.message("reset_recalculate")
    time.sleep(rng.random() ** 3 * 0.15)
    what = rng.choice(["suspend", "suspend", "reload", "reload", "reload", "remove", "remove", "frozen", "idle",
                       "reset", "cancel", "stale", "status", "speed", "finish"])
    counts[what] += 1
    noflush = rng.random() < 0.3
    if what == "suspend":
        dev.suspend(noflush)
        time.sleep(rng.random() * 0.03)
        if rng.random() < 0.3:
            dev.message(rng.choice(["frozen", "idle"]))
        dev.resume(noflush)
        if rng.random() < 0.5:
            dev.message("idle")
    elif what == "reload":
        words = rng.choice([[], [], ["recalculate"], ["reset_recalculate", "recalculate"], ["no_recalculate"],
                            ["buffer_sectors:8"], ["buffer_sectors:32", "recalculate"]])
        dev.load(table(length, *words))
        time.sleep(rng.random() * 0.03)
        if rng.random() < 0.5:
            dev.suspend(noflush)
            time.sleep(rng.random() * 0.02)
        dev.resume(noflush)
        slow()
        if rng.random() < 0.7:
            dev.message("idle")
    elif what == "remove":
        workers.pause()
        dev.remove_retry()
        spoilt = scribble_tags() or spoilt
        dev.create()
        dev.load(table(length))
        dev.resume()
        slow()
        workers.open.set()
    elif what == "stale":
        # A table that was loaded is thrown away, or replaced by another before it was ever live.
        dev.load(table(length, "recalculate"))
        if rng.random() < 0.5:
            dev.clear()
        else:
            dev.load(table(length, "buffer_sectors:16"))
            dev.resume()
            slow()
    elif what == "frozen":
        dev.message("frozen")
        if rng.random() < 0.5:
            dev.message("idle")
    elif what == "idle":
        dev.message("idle")
    elif what == "reset":
        dev.message("reset_recalculate")
    elif what == "cancel":
        # Only when all tags are right will nobody notice.
        if not spoilt:
            dev.message("cancel_recalculate")
            time.sleep(rng.random() * 0.02)
            dev.message("recalculate")
            slow()
    elif what == "status":
        for _ in range(20):
            dev.status()
            dev.table()
    elif what == "speed":
        slow()
    elif what == "finish":
        dev.message("speed_max 0")
        dev.message("speed_min 1000000")
        dev.message("idle")
        wait_over(60)
        spoilt = False
    if trouble:
        break

dev.message("speed_max 0")
dev.message("speed_min 1000000")
dev.message("idle")
if not trouble:
    wait_over(60)
workers.stop = True
workers.open.set()
for thread in workers.threads:
    thread.join(20)
    if thread.is_alive():
        trouble.append("a worker hangs")
if not trouble and status()[0] != "0":
    trouble.append(f"mismatches: {dev.status()}")
if trouble:
    sys.exit(f"FAILED: {name}: after {n + 1} rounds, the last a {what}: " + "; ".join(trouble))
dev.remove_retry()
print(f"{name}: {n + 1} rounds ({', '.join(f'{v} {k}' for k, v in sorted(counts.items()))}), "
      f"{sum(workers.done)} I/Os")
