#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""fsload.py load DIR LOG SEED THREADS | verify DIR LOG

load: until it is killed or gets an error, threads create, write, append to, truncate, rename and remove
files, each in a folder of its own, and flush some. LOG says what is durable: `D PATH SEED SIZE` after an
fsync was acknowledged, `X PATH` before anything is done to the file after that.

verify: files of which a D is the last word must be just that; all others must be readable.
"""

import os
import random
import sys
import threading


def content(seed, size):
    return random.Random(seed).randbytes(size)


class Worker(threading.Thread):
    def __init__(self, top, log, seed):
        super().__init__(daemon=True)
        self.dir, self.log, self.rng = f"{top}/{seed}", log, random.Random(seed)
        self.files, self.count, self.seed = [], 0, seed
        self.error = None

    def say(self, line):
        os.write(self.log, f"{line}\n".encode())

    def path(self):
        self.count += 1
        folder = f"{self.dir}/{self.rng.randrange(6)}"
        os.makedirs(folder, exist_ok=True)
        return f"{folder}/{self.count}"

    def write(self, path, durable):
        """All of a file; what it is to hold follows from a number."""
        number = f"{self.seed} {self.count} {self.rng.random()}".replace(" ", ".")
        size = self.rng.choice((0, 1, 100, 4096, 5000, 65536, self.rng.randrange(1, 200000)))
        data = content(number, size)
        self.say(f"X {path}")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            for at in range(0, size, 65536):
                os.pwrite(fd, data[at:at + 65536], at)
            if durable:
                os.fsync(fd)
                self.say(f"D {path} {number} {size}")
                return number, size
        finally:
            os.close(fd)
        return None

    def step(self):
        rng, files = self.rng, self.files
        kind = rng.random()
        if not files or kind < 0.45:
            path = self.path()
            files.append((path, self.write(path, rng.random() < 0.5)))
            return
        at = rng.randrange(len(files))
        path, state = files[at]
        if kind < 0.6:
            files[at] = path, self.write(path, rng.random() < 0.5)
        elif kind < 0.7:
            # Flushed under its old name, so it must be there under either; the new one is flushed as well.
            new = self.path()
            self.say(f"X {path}")
            os.rename(path, new)
            fd = os.open(new, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
            if state:
                self.say(f"D {new} {state[0]} {state[1]}")
            files[at] = new, state
        elif kind < 0.85:
            self.say(f"X {path}")
            os.unlink(path)
            files.pop(at)
        else:
            self.say(f"X {path}")
            files[at] = path, None
            fd = os.open(path, os.O_RDWR)
            try:
                if rng.random() < 0.5:
                    os.ftruncate(fd, rng.randrange(100000))
                else:
                    os.pwrite(fd, rng.randbytes(rng.randrange(1, 30000)), rng.randrange(200000))
            finally:
                os.close(fd)

    def run(self):
        try:
            while True:
                self.step()
        except BaseException as error:      # the disk was cut off
            self.error = error


def load(top, log, seed, threads):
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    workers = [Worker(top, fd, f"{seed}.{n}") for n in range(int(threads))]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
        print(w.error, flush=True)


def verify(top, log):
    last = {}
    for line in open(log):
        words = line.split()
        last[words[1]] = words
    durable = bad = 0
    for path, words in last.items():
        if words[0] != "D":
            continue
        durable += 1
        try:
            with open(path, "rb") as f:
                data = f.read()
        except OSError as error:
            print(f"FAILED: {path}, which was flushed: {error}")
            bad += 1
            continue
        if data != content(words[2], int(words[3])):
            print(f"FAILED: {path}, which was flushed, is not what was written: {len(data)} bytes of {words[3]}")
            bad += 1
    files = size = 0
    for folder, _, names in os.walk(top, onerror=lambda e: sys.exit(f"FAILED: {e}")):
        for name in names:
            with open(f"{folder}/{name}", "rb") as f:
                size += len(f.read())
            files += 1
    print(f"{durable} files that were flushed are there, {files} can be read, {size >> 10} KiB")
    if bad or durable < 10:
        sys.exit(f"FAILED: {bad} of {durable} files that were flushed are wrong; at least 10 are to be looked at")


if sys.argv[1] == "load":
    load(*sys.argv[2:])
else:
    verify(*sys.argv[2:])
