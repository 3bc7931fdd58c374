# SPDX-License-Identifier: GPL-2.0-only
"""Helpers for the tests that make and open many volumes in a guest.

On an emulated CPU starting a program takes as long as formatting a volume, so these tests are one
program: they speak to device-mapper through libdevmapper, read the kernel's log and the disks
themselves, and run the oracle in the same process. A test of that kind is, below its header,

    . "$DMI_TOP/tests/vm/lib.sh"
    PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
    from volume import *
    ...
    END

Section numbers are those of Documentation/on-disk-format.rst.
"""

import contextlib
import ctypes
import errno
import fcntl
import functools
import hashlib
import hmac
import io
import mmap
import os
import pathlib
import random
import re
import runpy
import struct
import subprocess
import sys
import threading
import time
import traceback
import zlib
from concurrent.futures import ThreadPoolExecutor

TOP = pathlib.Path(os.environ["DMI_TOP"])
KERNEL = os.environ["DMI_KERNEL"]
KO = os.environ["DMI_KO"]
DEBUG = KERNEL in ("debug", "kcsan")     # slow
TRACING = pathlib.Path("/sys/kernel/tracing")   # where nothing is traced when a test begins
SECTOR = 512
BLKDISCARD = 0x1277     # two numbers, in bytes: offset and length
KEY = "000102030405060708090a0b0c0d0e0f"


class Failed(Exception):
    """The promise is broken."""


def _report(kind, value, trace):
    traceback.print_exception(kind, value, trace)
    print(f"FAILED: {value}" if kind is Failed else f"FAILED: {kind.__name__}: {value}", flush=True)


sys.excepthook = _report


def fail(text):
    raise Failed(text)


def say(*words):
    print(*words, flush=True)


def expect_eq(got, want, what="value"):
    if got != want:
        fail(f"{what}: is {got!r}, expected {want!r}")


def expect_match(text, regex, what="text"):
    if not re.search(regex, text):
        fail(f"{what}: {text!r} does not match {regex!r}")


def run(*command):
    """Runs a program that must succeed; what it printed."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        fail(f"{' '.join(map(str, command))}: status {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def wait_for(what, test, seconds=30):
    end = time.monotonic() + seconds
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > end:
            fail(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Watch:
    """Ends the test when a step takes too long; who waits where is on the console then."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.step("begin")
        threading.Thread(target=self.run, daemon=True).start()

    def step(self, what):
        self.what, self.since = what, time.monotonic()

    def run(self):
        while time.monotonic() < self.since + self.seconds:
            time.sleep(1)
        hangs(f"for {self.seconds} s: {self.what}")


def hangs(what):
    pathlib.Path("/proc/sysrq-trigger").write_text("w")
    say(f"FAILED: {what}")
    os._exit(1)


def settled_events(dev):
    """The event counter. A work item raises it: that of what was done just now may still be to come."""
    before = None
    while before != dev.events:
        before = dev.events
        time.sleep(0.1)
    return before


def expect_events(dev, what, number, action):
    """The action raises the event counter by so much."""
    before = settled_events(dev)
    action()
    deadline = time.monotonic() + 5
    while dev.events < before + number and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.05)
    expect_eq(dev.events - before, number, f"events of {what}")


# --- the kernel's log ---

# With audit on the stock kernels print twenty lines for each table on the emulated serial port, which takes
# longer than all the rest. Warnings and worse are still printed, and everything is in the log.
ctypes.CDLL(None).klogctl(8, None, 5)


class Log:
    """What the kernel logs from the last mark on."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        self.mark()

    def mark(self):
        os.lseek(self.fd, 0, os.SEEK_END)
        self.lines = []

    def rested(self, since=None):
        """Device-mapper prints ten lines from one place in five seconds. Waits until those that were printed
        until @since, by time.monotonic(), count no more, and marks."""
        if since is None:
            since = time.monotonic()
        time.sleep(max(0, since + 5.5 - time.monotonic()))
        self.mark()

    def text(self):
        while True:
            try:
                record = os.read(self.fd, 8192).decode(errors="replace")
            except BlockingIOError:
                return "\n".join(self.lines)
            except BrokenPipeError:     # records were overwritten
                continue
            head, _, line = record.partition(";")
            # Facility 0 is the kernel itself; audit's lines repeat what was printed.
            if int(head.split(",")[0]) < 8 and not line.startswith("audit:"):
                self.lines.append(line.split("\n")[0])

    def expect(self, regex):
        text = self.text()
        if not re.search(regex, text, re.MULTILINE):
            fail(f"not in the log: {regex!r}; there is: {text!r}")
        return text

    def expect_none(self, regex):
        text = self.text()
        if re.search(regex, text, re.MULTILINE):
            fail(f"in the log: {regex!r}: {text!r}")


log = Log()


# --- modules and disks ---

def unload():
    if os.path.exists("/sys/module/dm_integrity"):
        run("rmmod", "dm_integrity")


def load(which):
    """Loads ours or intree."""
    unload()
    if which == "intree":
        run("modprobe", "dm-integrity")
        return
    if not hasattr(load, "needed"):
        load.needed = run("modinfo", "-F", "depends", KO).strip().replace(",", " ").split()
    for name in load.needed:
        if not os.path.exists(f"/sys/module/{name.replace('-', '_')}"):
            run("modprobe", name)
    run("insmod", KO)
    if not re.search(r"^dm_integrity .*\(OE?\)", pathlib.Path("/proc/modules").read_text(), re.MULTILINE):
        fail("what is loaded is not ours")


def ramdisks(mib, count):
    """Fresh RAM disks, all zero; their memory is taken as they are written."""
    if os.path.exists("/sys/module/brd"):
        run("rmmod", "brd")
    run("modprobe", "brd", f"rd_nr={count}", f"rd_size={int(mib * 1024)}", "max_part=0")
    return [f"/dev/ram{n}" for n in range(count)]


def peek(dev, offset, length):
    fd = os.open(dev, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.pread(fd, length, offset)
    finally:
        os.close(fd)


def poke(dev, offset, data):
    fd = os.open(dev, os.O_RDWR)
    try:
        if os.pwrite(fd, data, offset) != len(data):
            fail(f"short write to {dev}")
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def size_of(dev):
    fd = os.open(dev, os.O_RDONLY)
    try:
        return os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)


def contents(dev):
    return peek(dev, 0, size_of(dev))


class Contents:
    """What is on whole disks, to be compared. (A digest would take an emulated CPU far longer.)"""

    def __init__(self, *devs):
        self.data = [contents(dev) for dev in devs]

    def __eq__(self, other):
        return self.data == other.data

    def __repr__(self):
        return f"<{' '.join(f'{zlib.crc32(d):08x}' for d in self.data)}>"


def copy(source, target):
    """A disk onto a blank or used one of the same size."""
    poke(target, 0, contents(source))


def clear(dev, length=1 << 20):
    poke(dev, 0, bytes(min(length, size_of(dev))))


def same(a, b, what):
    x, y = contents(a), contents(b)
    if x != y:
        at = next(i for i in range(min(len(x), len(y))) if x[i] != y[i])
        fail(f"{what}: {a} and {b} differ, first at byte {at} (sector {at // SECTOR}): "
             f"{x[at:at + 16].hex()} and {y[at:at + 16].hex()}")


def counted(disks):
    """A linear device above each disk, for written(): a RAM disk itself counts nothing."""
    found = []
    for disk in disks:
        name = f"counted-{os.path.basename(disk)}"
        Device(name).create(size_of(disk) // SECTOR, f"linear {disk} 0")
        found.append(f"/dev/mapper/{name}")
        before = written(found[-1])
        poke(found[-1], 0, bytes(SECTOR))
        after = written(found[-1])
        if after[0] <= before[0] or after[1] <= before[1]:
            fail(f"{disk}: a write is not counted: {before} before, {after} after")
    return found


def io_counts(dev):
    """The words of the statistics of a mapped device, as one of counted(), since it exists."""
    number = os.stat(dev).st_rdev
    stat = pathlib.Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve() / "stat"
    if not stat.parent.name.startswith("dm-"):
        fail(f"{dev}: not a mapped device, nothing may be counted")
    return list(map(int, stat.read_text().split()))


def written(dev):
    """(writes and flushes, sectors written) so far."""
    words = io_counts(dev)
    return words[4] + words[15], words[6]


def reads(dev):
    """How many so far."""
    return io_counts(dev)[0]


def in_flight(dev):
    """How many reads and writes now."""
    return io_counts(dev)[8]


# --- superblocks (1.2) ---

FIELDS = {
    "magic": (0, "8s"), "version": (8, "B"), "log2_interleave": (9, "B"), "tag_size": (10, "<H"),
    "journal_sections": (12, "<I"), "provided": (16, "<Q"), "flags": (24, "<I"), "log2_spb": (28, "B"),
    "log2_bitmap": (29, "B"), "pad": (30, "2s"), "recalc_sector": (32, "<Q"), "pad2": (40, "8s"),
    "salt": (48, "16s"),
}
MAC, RECALC, DIRTY, PADDING, HMAC, INLINE, KEYED = 1, 2, 4, 8, 16, 32, 64


class Superblock:
    def __init__(self, dev, start=0):
        self.raw = peek(dev, start * SECTOR, 4096)

    def __getattr__(self, name):
        if name not in FIELDS:
            raise AttributeError(name)
        at, form = FIELDS[name]
        return struct.unpack_from(form, self.raw, at)[0]


def set_field(dev, name, value, start=0):
    at, form = FIELDS[name]
    poke(dev, start * SECTOR + at, struct.pack(form, value))


def sb_mac(raw, key, algorithm="sha256"):
    """The superblock's MAC as it should be, hmac (1.5)."""
    size = hashlib.new(algorithm).digest_size
    return hmac.new(key, raw[:SECTOR - size], algorithm).digest()


def sign(dev, key, start=0, algorithm="sha256"):
    """Puts the right MAC into a superblock that was changed."""
    raw = peek(dev, start * SECTOR, SECTOR)
    mac = sb_mac(raw, key, algorithm)
    poke(dev, (start + 1) * SECTOR - len(mac), mac)


# --- device-mapper ---

class DMError(Exception):
    def __init__(self, what, number):
        super().__init__(f"{what}: {errno.errorcode.get(number, number)}")
        self.errno = number


class DM:
    CREATE, RELOAD, REMOVE, SUSPEND, RESUME, INFO, STATUS, TABLE, CLEAR, MESSAGE = \
        0, 1, 2, 4, 5, 6, 10, 11, 14, 17

    class Info(ctypes.Structure):
        _fields_ = [("exists", ctypes.c_int), ("suspended", ctypes.c_int), ("live_table", ctypes.c_int),
                    ("inactive_table", ctypes.c_int), ("open_count", ctypes.c_int32),
                    ("event_nr", ctypes.c_uint32), ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32),
                    ("read_only", ctypes.c_int), ("target_count", ctypes.c_int32),
                    ("deferred_remove", ctypes.c_int), ("internal_suspend", ctypes.c_int)]

    def __init__(self):
        self.lib = ctypes.CDLL("libdevmapper.so.1.02.1")
        self.lib.dm_task_create.restype = ctypes.c_void_p
        self.lib.dm_get_next_target.restype = ctypes.c_void_p
        self.lib.dm_task_get_message_response.restype = ctypes.c_char_p
        # What it says of a failure the kernel said already, and failures are often expected here.
        self.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)(
            lambda *_: None)
        self.lib.dm_log_init(self.quiet)
        self.lib.dm_set_uuid_prefix(b"")

    def task(self, kind, name, table=None, length=0, message=None, readonly=False, flags=()):
        """Does one thing; what the kernel answered: (Info, target's text or None, target's type)."""
        lib = self.lib
        task = ctypes.c_void_p(lib.dm_task_create(kind))
        try:
            lib.dm_task_set_name(task, name.encode())
            if table is not None:
                word, _, rest = table.partition(" ")
                lib.dm_task_add_target(task, ctypes.c_uint64(0), ctypes.c_uint64(length), word.encode(),
                                       rest.encode())
            if message is not None:
                lib.dm_task_set_sector(task, ctypes.c_uint64(0))
                lib.dm_task_set_message(task, message.encode())
            if readonly:
                lib.dm_task_set_ro(task)
            if "secure" in flags:
                lib.dm_task_secure_data(task)
            if "noflush" in flags:
                lib.dm_task_no_flush(task)
            if not lib.dm_task_run(task):
                raise DMError(f"{name}: task {kind}", lib.dm_task_get_errno(task))
            info = DM.Info()
            lib.dm_task_get_info(task, ctypes.byref(info))
            start, length = ctypes.c_uint64(), ctypes.c_uint64()
            kind_, params = ctypes.c_char_p(), ctypes.c_char_p()
            lib.dm_get_next_target(task, None, ctypes.byref(start), ctypes.byref(length),
                                   ctypes.byref(kind_), ctypes.byref(params))
            text = lib.dm_task_get_message_response(task) if message is not None else params.value
            text = text.decode() if text is not None else None
            return info, text, length.value
        finally:
            lib.dm_task_destroy(task)
            lib.dm_task_update_nodes()


_dm = DM()


class Device:
    """A mapped device of one target."""

    def __init__(self, name):
        self.name = name

    @property
    def path(self):
        return f"/dev/mapper/{self.name}"

    def create(self, length=None, table=None, readonly=False):
        """With a table it is made, loaded and resumed, or is not there; without it has none."""
        _dm.task(DM.CREATE, self.name)
        if table is None:
            return self
        # In steps: when libdevmapper does it all at once, the errno is lost.
        try:
            self.load(length, table, readonly)
            self.resume()
        except DMError:
            self.remove()
            raise
        return self

    def load(self, length, table, readonly=False):
        _dm.task(DM.RELOAD, self.name, table, length, readonly=readonly)

    def clear(self):
        _dm.task(DM.CLEAR, self.name)

    def suspend(self, *flags):
        _dm.task(DM.SUSPEND, self.name, flags=flags)

    def resume(self):
        _dm.task(DM.RESUME, self.name)

    def remove(self):
        end = time.monotonic() + 10
        while True:
            try:
                return _dm.task(DM.REMOVE, self.name)
            except DMError as error:
                if error.errno != errno.EBUSY or time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def status(self):
        """The target's words."""
        return _dm.task(DM.STATUS, self.name)[1]

    def field(self, number):
        return self.status().split()[number]

    def table(self):
        return _dm.task(DM.TABLE, self.name, flags=("secure",))[1]

    @property
    def length(self):
        return _dm.task(DM.TABLE, self.name)[2]

    def message(self, text):
        """What it answered, or None."""
        return _dm.task(DM.MESSAGE, self.name, message=text)[1]

    @property
    def info(self):
        return _dm.task(DM.INFO, self.name)[0]

    @property
    def events(self):
        return self.info.event_nr

    @property
    def exists(self):
        return bool(self.info.exists)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()


def piecewise(name, *lines):
    """A device made of these lines, or its lines from now on."""
    there = Device(name).exists
    done = subprocess.run(["dmsetup", "load" if there else "create", name], input="".join(f"{x}\n" for x in lines),
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        fail(f"{name}: {done.stdout}")
    if there:
        Device(name).resume()
    return f"/dev/mapper/{name}"


def holes(name, disk, *pieces, kind="error"):
    """The disk with pieces (sector, sectors), in ascending order, that fail, or are of another kind."""
    at, lines = 0, []
    for sector, count in (*pieces, (size_of(disk) // SECTOR, 0)):
        if sector > at:
            lines.append(f"{at} {sector - at} linear {disk} {at}")
        if count:
            lines.append(f"{sector} {count} {kind}")
        at = sector + count
    return piecewise(name, *lines)


def expect_refused(number, what, action, *args, **kwargs):
    """The action must fail with this errno (a number, or several)."""
    try:
        action(*args, **kwargs)
    except (DMError, OSError) as error:
        numbers = number if isinstance(number, tuple) else (number,)
        if error.errno not in numbers:
            fail(f"{what}: refused with {errno.errorcode.get(error.errno, error.errno)}, expected "
                 f"{'/'.join(errno.errorcode[n] for n in numbers)}; log: {log.text()!r}")
        return
    fail(f"{what}: accepted")


# --- volumes ---

class Volume:
    """How a table describes a volume; nothing is done on the disk before format() or open()."""

    def __init__(self, data, options="", meta=None, start=0, tag="-", mode="D"):
        self.data, self.meta, self.start, self.tag, self.mode = data, meta, start, tag, mode
        self.options = options.split()

    def option(self, name):
        for word in self.options:
            if word == name or word.startswith(name + ":"):
                return word.partition(":")[2] or True
        return None

    @property
    def block_size(self):
        return int(self.option("block_size") or 512)

    def table(self, extra="", mode=None):
        words = self.options + extra.split()
        if self.meta:
            words.append(f"meta_device:{self.meta}")
        return " ".join(["integrity", self.data, str(self.start), str(self.tag), mode or self.mode,
                         str(len(words))] + words)

    @property
    def sb_dev(self):
        return self.meta or self.data

    @property
    def sb(self):
        return Superblock(self.sb_dev, self.start)

    @property
    def disks(self):
        return [self.data, self.meta] if self.meta else [self.data]

    def format(self):
        """A table of 8 sectors on a blank superblock (1.6)."""
        with Device("format").create(8, self.table()):
            pass
        return self

    def open(self, extra="", name="v", length=None, readonly=False, mode=None):
        return Device(name).create(length or self.sb.provided, self.table(extra, mode), readonly)

    def section_sectors(self):
        """Of a journal section (2.2)."""
        sb = self.sb
        spb = 1 << sb.log2_spb
        entry = -(-(8 + 8 * spb + sb.tag_size) // 8) * 8
        return 8 + 8 * ((504 - (8 if sb.flags & MAC else 0)) // entry) * spb

    def place(self, sector, what="data"):
        """(disk, byte) of the data or the tag of a block (2.2 to 2.4)."""
        sb = self.sb
        spb, size, area = 1 << sb.log2_spb, sb.tag_size, 1 << sb.log2_interleave
        first = sb.journal_sections * self.section_sectors() + 8
        if self.meta:
            return (self.data, sector * SECTOR) if what == "data" else (self.meta, first * SECTOR + sector // spb * size)
        padding = 4096 if sb.flags & PADDING else 131072
        run = -(-size * area // spb // padding) * padding // SECTOR
        n, within = divmod(sector, area)
        if what == "tag":
            return self.data, (first + n * (area + run)) * SECTOR + within // spb * size
        return self.data, (first + n * area + (n + 1) * run + within) * SECTOR

    def head(self):
        """Superblock and journal, without what is random: salt and what is computed from it."""
        sb = self.sb
        length = (8 + sb.journal_sections * self.section_sectors()) * SECTOR
        raw = bytearray(peek(self.sb_dev, self.start * SECTOR, length))
        raw[48:64] = bytes(16)
        return bytes(raw)

    def oracle_args(self):
        args = [self.data, "--hash", self.option("internal_hash")]
        if self.meta:
            args += ["--meta", self.meta]
        if self.start:
            args += ["--start", str(self.start)]
        if self.option("journal_mac"):
            args += ["--journal-mac", self.option("journal_mac")]
        return args

    def check(self, *more):
        """Every tag below the recalculation's position is right, says the oracle."""
        status, text = oracle("check", *self.oracle_args(), *more)
        if status:
            fail(f"oracle check {self.table()}: status {status}: {text}")
        return text


@contextlib.contextmanager
def journal_of(v):
    """The oracle's view of a volume's journal, as it is on the disk now."""
    if str(TOP / "tests/oracle") not in sys.path:
        sys.path.insert(0, str(TOP / "tests/oracle"))
    from oracle.journal import Journal
    from oracle.volume import Volume as Image
    image = Image(v.data, v.meta, 0, v.option("internal_hash"), v.option("journal_mac") or None)
    try:
        yield Journal(image)
    finally:
        for fd in {image.data.fd, image.meta.fd}:
            # The page cache must not keep what the target writes below.
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def open_files():
    # That of the listing itself is gone when it is looked at again.
    return {int(fd) for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")}


def oracle(*args):
    """(exit status, output) of the oracle, run as the program it is but in this process."""
    path = TOP / "tests/oracle/integrity-oracle"
    out, argv, status = io.StringIO(), sys.argv, 0
    sys.argv = [str(path), *map(str, args)]
    before = open_files()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            runpy.run_path(str(path), run_name="__main__")
    except SystemExit as end:
        status = end.code or 0
    finally:
        sys.argv = argv
        # It leaves its disks open, as a program may. While they are, the page cache keeps what was read,
        # and the next run would not see what a target wrote below.
        for fd in open_files() - before:
            os.close(fd)
    return status, out.getvalue()


# --- data ---

LONGEST = 256 << 10


@functools.lru_cache(4)
def pattern(seed, size):
    """What write_all leaves: the same for the same seed and size."""
    return random.Random(seed).randbytes(size)


def pieces(rng, size, block):
    """(offset, length) of pieces that cover [0, size), shuffled: some of one block, some long."""
    found, at = [], 0
    while at < size:
        length = min(block * rng.choice((1, 1, 2, 3, 5, 8, 31)) if rng.randrange(4) else
                     block * rng.randrange(1, 1 + LONGEST // block), LONGEST, size - at)
        found.append((at, length))
        at += length
    rng.shuffle(found)
    return found


@contextlib.contextmanager
def direct(dev, flags):
    fd = os.open(dev, flags | os.O_DIRECT)
    try:
        yield fd, os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)


def aligned(data):
    buffer = mmap.mmap(-1, max(len(data), 1))
    buffer[:len(data)] = data
    return buffer


def write_all(dev, seed, block):
    """All of a device in pieces of random length and order, four at a time, past the page cache; a part
    of it is first written with something else. Ends with a flush."""
    with direct(dev, os.O_RDWR) as (fd, size), ThreadPoolExecutor(4) as pool:
        rng = random.Random(f"{seed} {block} {os.getpid()} order")
        view = memoryview(aligned(pattern(seed, size)))
        junk = memoryview(aligned(bytes(LONGEST)))

        def write(piece, source=None):
            at, length = piece
            done = os.pwrite(fd, source[:length] if source else view[at:at + length], at)
            if done != length:
                fail(f"{dev}: wrote {done} of {length} bytes at {at}")

        first = pieces(rng, size, block)
        list(pool.map(lambda p: write(p, junk), first[:len(first) // 4]))
        list(pool.map(write, pieces(rng, size, block)))
        os.fsync(fd)


def read_all(dev, seed, block):
    """The same way; it must be what write_all left."""
    with direct(dev, os.O_RDONLY) as (fd, size), ThreadPoolExecutor(4) as pool:
        rng = random.Random(f"{seed} {block} {os.getpid()} read order")
        want = pattern(seed, size)

        def read(piece):
            at, length = piece
            buffer = mmap.mmap(-1, length)
            try:
                done = os.preadv(fd, [buffer], at)
            except OSError as error:
                fail(f"{dev}: read of {length} bytes at {at}: {error.strerror}")
            if done != length or buffer[:] != want[at:at + length]:
                fail(f"{dev}: read of {length} bytes at {at}: not what was written")

        list(pool.map(read, pieces(rng, size, block)))


class Beside:
    """Threads that do something to a device, what(fd, thread), again and again, beside the test."""

    def __init__(self, path, number, what):
        self.path, self.what = path, what
        self.stop, self.error = False, None
        self.done = [0] * number    # how often each did it
        self.threads = [threading.Thread(target=self._run, args=(n,)) for n in range(number)]

    def _run(self, n):
        try:
            with direct(self.path, os.O_RDWR) as (fd, _):
                while not self.stop:
                    self.what(fd, n)
                    self.done[n] += 1
        except Exception as error:
            self.error = error

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        for t in self.threads:
            t.join()
        if self.error:
            raise self.error


def second_reads(dev, size, span, count):
    """Read for four seconds into a buffer of @size bytes that others change meanwhile, from places below
    @span: none may fail, and the disk must have had more reads than without that, as @count tells them."""
    with direct(dev, os.O_RDONLY) as (fd, _):
        buffer = mmap.mmap(-1, size)
        junk, stop = b"\x55" * size, False

        def scribble():
            while not stop:
                buffer[:] = junk

        os.preadv(fd, [buffer], 0)
        begin = count()
        os.preadv(fd, [buffer], 0)
        plain = count() - begin
        threads = [threading.Thread(target=scribble) for _ in range(2)]
        for t in threads:
            t.start()
        begin, n, end = count(), 0, time.monotonic() + 4
        while time.monotonic() < end:
            os.preadv(fd, [buffer], n * 65536 % span)
            n += 1
        more = count() - begin - n * plain
        stop = True
        for t in threads:
            t.join()
    if more <= 0:
        fail("the buffer never changed in time: nothing was shown")
    say(f"{n} reads into a buffer that changed, {more} blocks read again, no error")


def spot_check(dev, seed, block, count=6):
    """A few reads of what write_all left, first and last block among them."""
    with direct(dev, os.O_RDONLY) as (fd, size):
        want = pattern(seed, size)
        for at in (0, size - block, *(random.randrange(size // block) * block for _ in range(count - 2))):
            length = min(random.randrange(1, 9) * block, size - at)
            buffer = mmap.mmap(-1, length)
            try:
                done = os.preadv(fd, [buffer], at)
            except OSError as error:
                fail(f"{dev}: read of {length} bytes at {at}: {error.strerror}")
            if done != length or buffer[:] != want[at:at + length]:
                fail(f"{dev}: read of {length} bytes at {at}: not what was written")


def read_at(dev, offset, length):
    """One direct read; OSError when it fails."""
    with direct(dev, os.O_RDONLY) as (fd, _):
        buffer = mmap.mmap(-1, length)
        done = os.preadv(fd, [buffer], offset)
        return bytes(buffer[:done])


def discard_at(dev, offset, length):
    fd = os.open(dev, os.O_RDWR)
    try:
        fcntl.ioctl(fd, BLKDISCARD, struct.pack("QQ", offset, length))
    finally:
        os.close(fd)


def sync(dev):
    with direct(dev, os.O_RDWR) as (fd, _):
        os.fsync(fd)


def write_at(dev, offset, data):
    with direct(dev, os.O_RDWR) as (fd, _):
        done = os.pwrite(fd, memoryview(aligned(data))[:len(data)], offset)
        if done != len(data):
            fail(f"{dev}: wrote {done} of {len(data)} bytes at {offset}")
