#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""fail-nth.py TABLE SUPERBLOCKDISK: makes allocations fail while a table is loaded.

For each step (format, load, resume, message) the first allocation that this thread makes in the
kernel fails, then the second, and so on until there is none left to fail.
"""

import errno
import mmap
import os
import random
import sys
import threading
import time

from dm import Dm

target, disk = sys.argv[1:]
dev = Dm("nth")
nth = os.open(f"/proc/self/task/{threading.get_native_id()}/fail-nth", os.O_RDWR)


def setting(file, value):
    for what in "failslab", "fail_page_alloc":
        with open(f"/sys/kernel/debug/{what}/{file}", "w") as f:
            f.write(str(value))


# Only where our module is on the stack: the rest of the system is not what this is about.
base = int(open("/sys/module/dm_integrity/sections/.text").read(), 16)
size = int(next(x for x in open("/proc/modules") if x.startswith("dm_integrity ")).split()[1])
for file, value in (("probability", 0), ("ignore-gfp-wait", "N"), ("verbose", 0), ("interval", 1), ("times", -1),
                    ("stacktrace-depth", 32), ("require-start", hex(base)), ("require-end", hex(base + size)), ("task-filter", "N")):
    setting(file, value)


def failing(n, function, *args):
    """(error, did an allocation fail) of one call whose n-th allocation fails."""
    error = 0
    os.pwrite(nth, b"%d" % n, 0)
    try:
        function(*args)
    except OSError as e:
        error = e.errno
    left = int(os.pread(nth, 16, 0))
    os.pwrite(nth, b"0", 0)
    return error, left == 0


def sweep(what, before, function, after, allowed=(errno.ENOMEM,), least=0, step=1):
    """One step with each (or each step-th) of its allocations failing; before and after set the stage."""
    refused = 0
    n = random.randrange(step) + 1 - step
    while True:
        n += step
        before()
        error, failed = failing(n, function)
        if error and error not in allowed:
            sys.exit(f"FAILED: {what} with allocation {n} failing: {errno.errorcode.get(error, error)}")
        if error and not failed:
            sys.exit(f"FAILED: {what} refused although no allocation failed: {errno.errorcode.get(error, error)}")
        refused += bool(error)
        after(error)
        if not failed:
            break
    print(f"{what}: {n - step} allocations, each {step}. failed, {refused} times so did the whole", flush=True)
    if n <= least:
        sys.exit(f"FAILED: {what}: only {n - 1} allocations failed, the injection does not work")


def blank():
    fd = os.open(disk, os.O_WRONLY | os.O_DIRECT)
    os.pwrite(fd, mmap.mmap(-1, 4096), 0)
    os.close(fd)


def superblock():
    fd = os.open(disk, os.O_RDONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, 4096)
    os.preadv(fd, [buffer], 0)
    os.close(fd)
    return bytes(buffer)


payload, lines = dev.prepare(f"0 8 {target}")
fixed, count, *words = target.split()[:5], *target.split()[5:]
length = 0


def load():
    dev.call(9, payload, 0, lines)


def rest(error):
    """After a failed step the device goes, as any would."""
    dev.remove_retry()


def table(*more):
    global payload, lines
    text = f"0 {length} {' '.join(fixed)} {int(count) + len(more)} {' '.join(words + list(more))}"
    payload, lines = dev.prepare(text)


# 1. Formatting: afterwards the disk is blank, or a volume.
def before_format():
    blank()
    dev.create()


def after_format(error):
    dev.remove_retry()
    sb = superblock()
    if error and any(sb) and not sb.startswith(b"integrt\0"):
        sys.exit("FAILED: a failed format leaves something else than nothing or a volume")


sweep("format", before_format, load, after_format, least=50)
blank()
dev.create()
load()
dev.resume()
dev.remove_retry()
length = int.from_bytes(superblock()[16:24], "little")

# 2. Loading what exists: for the most part the same allocations, so not all of them again.
table("recalculate", "legacy_recalculate")
sweep("load", dev.create, load, rest, least=50, step=5)


# 3. Its resume, which starts a pass.
def loaded():
    dev.create()
    load()


sweep("resume", loaded, dev.resume, rest, (errno.ENOMEM, errno.EIO))


# 4. Messages: freeze and go on, start again.
def live():
    loaded()
    dev.resume()


for text in "reset_recalculate", "frozen", "cancel_recalculate":
    sweep(text, live, lambda text=text: dev.message(text), rest, (errno.ENOMEM, errno.EIO))
sweep("suspend", live, dev.suspend, lambda error: (dev.resume(), dev.remove_retry()))

# 5. A pass and I/O while one allocation in 20 fails, of our workers and in the kernel's threads.
live()
node = dev.node()
fd = os.open(node, os.O_RDWR | os.O_DIRECT)
stop, failed_io, done = False, [0], [0]


def io():
    buffer, at = mmap.mmap(-1, 65536), 0
    buffer[:] = os.urandom(65536)
    while not stop:
        at = (at + 65536) % (length * 512 - 65536) // 65536 * 65536
        try:
            os.pwritev(fd, [buffer], at)
            os.preadv(fd, [buffer], at)
            done[0] += 1
        except OSError as e:
            # The block layer may fail the system call itself; a mismatch it may not be.
            if e.errno not in (errno.ENOMEM, errno.EIO, errno.EAGAIN):
                print(f"FAILED: I/O beside failing allocations: {e}")
                os._exit(1)
            failed_io[0] += 1


threads = [threading.Thread(target=io) for _ in range(2)]
for t in threads:
    t.start()
before = [int(open(f"/sys/kernel/debug/{w}/times").read()) for w in ("failslab", "fail_page_alloc")]
passes, begin = 0, time.monotonic()
dev.message("speed_min 1000000")
while time.monotonic() - begin < 12:
    setting("probability", 20)
    time.sleep(0.5)
    setting("probability", 0)
    s = dev.status().split()
    if s[3] == "Fail":
        sys.exit(f"FAILED: the device failed for want of memory: {dev.status()}")
    if s[3] == "failed":
        dev.message("recalculate")
    if s[3] == "idle" and s[1] == s[2]:
        passes += 1
        dev.message("reset_recalculate")
stop = True
for t in threads:
    t.join()
dev.message("idle")
end = time.monotonic() + 60
while (s := dev.status().split())[3] != "idle" or s[1] != s[2]:
    if s[3] == "failed":
        dev.message("recalculate")
    if time.monotonic() > end:
        sys.exit(f"FAILED: the pass does not end: {dev.status()}")
    time.sleep(0.05)
print(f"beside failing allocations: {passes} passes, {done[0]} I/Os, {failed_io[0]} failed I/Os, status {dev.status()}")

# 6. Now that there is memory again everything can be read.
buffer = mmap.mmap(-1, 65536)
for at in range(0, length * 512 - 65536, 65536):
    os.preadv(fd, [buffer], at)
os.close(fd)
if dev.status().split()[0] != "0":
    sys.exit(f"FAILED: mismatches: {dev.status()}")
dev.remove_retry()
