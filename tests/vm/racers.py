# SPDX-License-Identifier: GPL-2.0-only
"""Who races.py sets upon a device: processes that do things to it, and threads that use it meanwhile."""

import multiprocessing
import multiprocessing.sharedctypes as shared_memory

from dm import Dm
from volume import *

CONTROLLERS, THREADS = 3, 4
NAMES, UUID = ("v", "w"), "dmi-races"
LIMIT = 8 << 11                 # sectors that the data device may grow to
STRIPE = 16                     # blocks that belong to the same thread
PATIENCE = 60 if DEBUG else 30
# The core of device-mapper frees memory twice where it reports to IMA, as Debian's kernels are built to do: when
# two of these meet, for dm-ima.c has no lock; and when a name is changed after a table was taken away.
ONE_AT_A_TIME = ("load", "resume", "clear", "rename", "remove")
IMA = "dm_ima_measure" in pathlib.Path("/proc/kallsyms").read_text()
MESSAGES = ["recalculate", "reset_recalculate", "cancel_recalculate", "frozen", "frozen", "idle", "idle", "check",
            "check 0 2048", "bad_blocks", "reset_mismatches", "speed_max 0", "speed_max 20000", "speed_max 2000",
            "speed_min 0", "speed_min 1000000"]


class Shared:
    """What the processes of a round know of each other."""

    def __init__(self):
        self.stop = multiprocessing.Event()     # for the controllers
        self.last = multiprocessing.Event()     # for the threads: read all, and end
        self.closing = shared_memory.RawArray("b", CONTROLLERS)     # asks the threads to close the device
        self.opened = shared_memory.RawArray("b", THREADS)
        self.since = shared_memory.RawArray("d", CONTROLLERS + THREADS)
        self.doing = [shared_memory.RawArray("c", 80) for _ in self.since]
        self.ended = multiprocessing.SimpleQueue()      # (who, trouble or "", counts)
        self.ima = multiprocessing.Lock()

    @contextlib.contextmanager
    def step(self, who, what):
        """What must not take longer than PATIENCE."""
        self.doing[who].value = what.encode()[:79]
        self.since[who] = time.monotonic()
        try:
            yield
        finally:
            self.since[who] = 0

    def watch(self):
        for who, since in enumerate(self.since):
            if since and time.monotonic() > since + PATIENCE:
                hangs(f"for {PATIENCE} s: {self.doing[who].value.decode()}")


class Actor:
    """A process: work() does things and counts them."""

    def __init__(self, round_, name):
        self.round, self.shared, self.name = round_, round_.shared, name
        self.rng = random.Random(f"{round_.seed} {round_.number} {name}")
        self.counts = {}

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def process(self):
        trouble = ""
        try:
            self.work()
        except Exception:
            trouble = traceback.format_exc()
        self.shared.ended.put((self.name, trouble, self.counts))


class Controller(Actor):
    """Does to the device what it likes. Others may have removed, suspended or renamed it just now."""

    def __init__(self, round_, who):
        super().__init__(round_, f"controller {who}")
        self.who, self.length = who, round_.length

    def attempt(self, what, call, *args, allowed=()):
        """Did it; or it may be that it could not."""
        alone = self.shared.ima if IMA and what in ONE_AT_A_TIME else contextlib.nullcontext()
        with alone, self.shared.step(self.who, f"{self.name}: {what}"):
            try:
                call(*args)
            except OSError as error:
                if error.errno not in (errno.ENXIO, *allowed):
                    raise
                self.count(f"{what} refused")
                return False
        self.count(what)
        return True

    def work(self):
        self.dev = Dm(self.rng.choice(NAMES), UUID)
        self.create()
        kinds = [self.suspend] * 3 + [self.reload] * 4 + [self.remove] * 2 + [self.message] * 5 + [self.status] * 3
        kinds += [self.create]
        kinds += [(self.rename, self.clear)[self.round.number % 2]] if IMA else [self.rename, self.clear]
        # Only one may do that.
        kinds += [self.grow] if self.who == 0 else []
        while not self.shared.stop.is_set():
            self.rng.choice(kinds)()
            time.sleep(self.rng.random() ** 3 * 0.1)

    def create(self):
        if self.attempt("create", self.dev.create, allowed=(errno.EBUSY,)):
            self.load()
            self.resume()

    def load(self):
        length = self.rng.choice((self.round.length, self.length))
        return self.attempt("load", self.dev.load, self.round.line(self.rng, length))

    def resume(self):
        # Where there is no table, not even a suspended device has one.
        self.attempt("resume", self.dev.resume, self.rng.randrange(3) == 0, allowed=(errno.EINVAL,))

    def suspend(self):
        noflush = self.rng.randrange(2) == 0
        what = "suspend noflush" if noflush else "suspend"
        self.attempt(what, self.dev.suspend, noflush, allowed=(errno.EINVAL,))
        time.sleep(self.rng.random() * 0.05)
        if self.rng.randrange(3) == 0:
            self.message()
        self.resume()

    def reload(self):
        self.load()
        if self.rng.randrange(2):
            time.sleep(self.rng.random() * 0.05)
        self.resume()

    def clear(self):
        self.load()
        self.attempt("clear", self.dev.clear)

    def remove(self):
        closing = self.rng.randrange(3) > 0
        if closing:
            self.shared.closing[self.who] = 1
            end = time.monotonic() + 2
            while any(self.shared.opened) and time.monotonic() < end:
                time.sleep(0.005)
        self.attempt("remove", self.dev.remove, allowed=(errno.EBUSY,))
        self.create()
        self.shared.closing[self.who] = 0

    def rename(self):
        old, new = self.rng.sample(NAMES, 2)
        self.attempt("rename", Dm(old).rename, new, allowed=(errno.EBUSY,))

    def message(self):
        text = self.rng.choice(MESSAGES)
        # Suspended; something else is under way; no table.
        self.attempt(text.split()[0], self.dev.message, text, allowed=(errno.EBUSY, errno.EINVAL))

    def status(self):
        for _ in range(self.rng.randrange(1, 10)):
            self.attempt("table", self.dev.table)
            self.attempt("status", self.look)

    def look(self):
        words = self.dev.status().split()
        if words and (words[0] != "0" or words[3] in ("Fail", "failed")):
            fail(f"status: {' '.join(words)}")
        if words:
            self.length = int(words[1]) // 8 * 8

    def grow(self):
        now = size_of("/dev/mapper/below0") // SECTOR
        if now < LIMIT:
            with self.shared.step(self.who, f"{self.name}: growth"):
                self.round.below(0, min(LIMIT, now + 8 * self.rng.randrange(1, 100)), self.round.late)
            self.count("growth")


class Threads(Actor):
    """Read and write; every block belongs to one of them, which knows what it holds."""

    def __init__(self, round_):
        super().__init__(round_, "threads")
        self.size = round_.v.block_size
        self.wrote = [{} for _ in range(THREADS)]       # block -> number that its bytes are made of

    def work(self):
        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(self.thread, n) for n in range(THREADS)]:
                done.result()

    def thread(self, n):
        rng = random.Random(f"{self.round.seed} {self.round.number} thread {n}")
        buffer = mmap.mmap(-1, STRIPE * self.size)
        while not self.shared.last.is_set():
            # In this order, so that who asks for closing sees it.
            self.shared.opened[n] = 1
            fd = None if any(self.shared.closing) else self.open()
            for _ in range(rng.randrange(1, 60) if fd is not None else 0):
                if any(self.shared.closing) or self.shared.last.is_set():
                    break
                self.io(n, rng, fd, buffer)
            if fd is not None:
                os.close(fd)
            self.shared.opened[n] = 0
            time.sleep(0.002 if fd is not None else 0.02)
        fd = self.open()
        for stripe in range(n, self.round.blocks // STRIPE, THREADS):
            self.read(n, fd, buffer, stripe * STRIPE, STRIPE)
        os.close(fd)

    def open(self):
        """The device, or None where there is none or it has no table."""
        try:
            fd = os.open(Dm(NAMES[0], UUID).node(), os.O_RDWR | os.O_DIRECT)
        except OSError as error:
            if error.errno not in (errno.ENXIO, errno.ENOENT, errno.ENODEV):
                raise
            return None
        if os.lseek(fd, 0, os.SEEK_END) >= self.round.length * SECTOR:
            return fd
        os.close(fd)
        return None

    def io(self, n, rng, fd, buffer):
        stripe = rng.randrange(self.round.blocks // STRIPE // THREADS) * THREADS + n
        first = rng.randrange(STRIPE)
        count = rng.randrange(1, STRIPE - first + 1)
        first += stripe * STRIPE
        kind = rng.randrange(20)
        if kind == 0:
            with self.shared.step(CONTROLLERS + n, f"thread {n}: flush"):
                os.fsync(fd)
        elif kind < 11:
            number = rng.getrandbits(64)
            buffer[:count * self.size] = self.content(number) * count
            with self.shared.step(CONTROLLERS + n, f"thread {n}: write of {count} blocks at {first}"):
                done = os.pwritev(fd, [memoryview(buffer)[:count * self.size]], first * self.size)
            expect_eq(done, count * self.size, "bytes written")
            self.wrote[n].update(dict.fromkeys(range(first, first + count), number))
        else:
            self.read(n, fd, buffer, first, count)

    def content(self, number):
        return number.to_bytes(8, "little") * (self.size // 8)

    def read(self, n, fd, buffer, first, count):
        with self.shared.step(CONTROLLERS + n, f"thread {n}: read of {count} blocks at {first}"):
            done = os.preadv(fd, [memoryview(buffer)[:count * self.size]], first * self.size)
        expect_eq(done, count * self.size, "bytes read")
        for i in range(count):
            want = self.content(self.wrote[n].get(first + i, 0))
            if buffer[i * self.size:(i + 1) * self.size] != want:
                fail(f"block {first + i} holds {buffer[i * self.size:][:16].hex()}, not {want[:16].hex()}")
        self.counts["I/Os"] = self.counts.get("I/Os", 0) + 1
