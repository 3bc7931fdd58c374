# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# What was acknowledged as durable is on the disks, data and tags, each on its own device:
# after a flush all writes that were acknowledged before it, after a write with FUA (or
# O_DSYNC) that write. Devices that keep only what was flushed have it after a loss of power.
# kernels: 6.12
# long-kernels: 6.1 debug
# timeout: 300

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm:$DMI_TOP/tests/oracle exec /usr/bin/python3 - << 'END'
from logwrites import FLUSH, MARK, parse_log
from oracle.volume import Volume as Image
from volume import *
import threading

MODES = os.environ.get("DMI_MODES", "D J").split()
MODULE = os.environ.get("DMI_MODULE", "ours")   # intree is another witness
SEED = int(os.environ.get("DMI_SEED", time.time_ns()))
RWF_DSYNC = 2
SECTORS = 1400      # of each disk
libc = ctypes.CDLL(None, use_errno=True)


class Aio:
    """One asynchronous write at a time. The kernel adds no flush of its own to one with RWF_DSYNC, so
    it comes down as a write with FUA and nothing else. (After a synchronous one it sends a flush.)"""

    SETUP, DESTROY, GETEVENTS, SUBMIT, PWRITE = 206, 207, 208, 209, 1

    def __init__(self):
        self.context = ctypes.c_ulong(0)
        self.call(self.SETUP, 4, ctypes.byref(self.context))

    @staticmethod
    def call(*args):
        done = libc.syscall(*args)
        if done < 0:
            raise OSError(ctypes.get_errno(), f"system call {args[0]}")
        return done

    def write(self, fd, buffer, offset, flags):
        address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
        block = ctypes.create_string_buffer(struct.pack("<QIiHhIQQqQII", 0, 0, flags, self.PWRITE, 0, fd, address,
                                                        len(buffer), offset, 0, 0, 0))
        pointers = (ctypes.c_void_p * 1)(ctypes.addressof(block))
        if self.call(self.SUBMIT, self.context, 1, pointers) != 1:
            fail("io_submit took nothing")
        event = ctypes.create_string_buffer(32)
        if self.call(self.GETEVENTS, self.context, 1, 1, event, None) != 1:
            fail("io_getevents gave nothing")
        done = struct.unpack_from("<q", event, 16)[0]
        if done < 0:
            raise OSError(-done, "asynchronous write")
        return done

    def end(self):
        self.call(self.DESTROY, self.context)


class Work:
    """Writes to a volume, what is known of each block, and a mark in the logs at each acknowledgement.
    Several threads, each with blocks of its own."""

    def __init__(self, path, block, logs, seed, threads, steps):
        self.block, self.logs, self.seed, self.steps, self.threads = block, logs, seed, steps, threads
        self.fd = os.open(path, os.O_RDWR | os.O_DIRECT)
        self.blocks = os.lseek(self.fd, 0, os.SEEK_END) // block
        self.lock = threading.Lock()
        self.durable = [0] * self.blocks        # version of each block that must be there
        self.later = {}                         # block: versions that may be there as well
        self.version = 0
        self.marks = []                         # (what, durable, later) at each
        self.error = None

    @functools.lru_cache(None)
    def content(self, version, block):
        return random.Random(f"{self.seed} {version} {block}").randbytes(self.block)

    def write(self, rng, mine, how):
        """how: a function of (buffer, offset). Returns (blocks, version)."""
        count = rng.choice((1, 1, 2, 3, 9))
        first = rng.randrange(mine.start, mine.stop - count + 1)
        blocks = range(first, first + count)
        with self.lock:
            self.version += 1
            version = self.version
            for b in blocks:
                self.later.setdefault(b, []).append(version)
        buffer = aligned(b"".join(self.content(version, b) for b in blocks))
        if len(buffer) != count * self.block:
            fail("a buffer of the wrong size")
        if how(buffer, first * self.block) != len(buffer):
            fail("short write")
        return blocks, version

    def acknowledged(self, what, settled):
        """settled: (block, version) that are durable from now on."""
        with self.lock:
            for b, version in settled:
                self.durable[b] = version
                kept = [v for v in self.later.get(b, ()) if v > version]
                if kept:
                    self.later[b] = kept
                else:
                    self.later.pop(b, None)
            for dev in self.logs:
                dev.message(f"mark {len(self.marks)}")
            self.marks.append((what, list(self.durable), {b: list(v) for b, v in self.later.items()}))

    def thread(self, number):
        rng = random.Random(f"{self.seed} {number}")
        share = self.blocks // self.threads
        mine = range(number * share, (number + 1) * share)
        plain = lambda buffer, at: os.pwritev(self.fd, [buffer], at)
        dsync = lambda buffer, at: os.pwritev(self.fd, [buffer], at, RWF_DSYNC)
        aio = Aio()
        try:
            waiting = {}
            # Each kind at least once and each after each other kind, then at random.
            kinds = ["fsync", "dsync", "fua", "fua", "none", "fsync", "fua", "dsync", "none", "fua"]
            for step in range(self.steps):
                for _ in range(rng.randrange(1, 5)):
                    blocks, version = self.write(rng, mine, plain)
                    waiting.update((b, version) for b in blocks)
                kind = kinds[step] if step < len(kinds) else rng.choice(kinds)
                if kind == "fsync":
                    os.fsync(self.fd)
                    self.acknowledged(kind, list(waiting.items()))
                    waiting = {}
                elif kind == "none":
                    self.acknowledged(kind, [])
                else:
                    blocks, version = self.write(rng, mine, dsync if kind == "dsync" else
                                                 lambda buffer, at: aio.write(self.fd, buffer, at, RWF_DSYNC))
                    for b in blocks:
                        waiting.pop(b, None)
                    self.acknowledged(kind, [(b, version) for b in blocks])
        except BaseException as error:
            self.error = error
        finally:
            aio.end()

    def run(self):
        pool = [threading.Thread(target=self.thread, args=(n,)) for n in range(self.threads)]
        for t in pool:
            t.start()
        for t in pool:
            t.join()
        os.close(self.fd)
        if self.error:
            raise self.error


class Disk:
    """A device below the volume: a RAM disk, as it was at first, and the log of what was flushed since."""

    def __init__(self, name, disk, store):
        self.name, self.disk, self.store = name, disk, store
        self.device = Device(name)
        self.path = self.device.path

    def plain(self):
        self.device.create(SECTORS, f"linear {self.disk} 0")

    def logged(self):
        self.base = bytearray(peek(self.disk, 0, SECTORS * SECTOR))
        clear(self.store, 4096)
        self.device.create(SECTORS, f"log-writes {self.disk} {self.store}")

    def read_log(self):
        """Ends the logging."""
        status = self.device.status().split()
        self.device.remove()
        if len(status) != 2:
            fail(f"{self.name}: the log is not complete: {status}")
        self.entries = parse_log(contents(self.store))
        self.at = 0
        self.flushes = sum(bool(e[2] & FLUSH) for e in self.entries)

    def up_to(self, mark):
        """The image at that mark: the target logs a write when it had FUA, or at the first flush that was
        sent after its end; so what the log has before the mark is what was durable then."""
        while True:
            sector, count, flags, data = self.entries[self.at]
            self.at += 1
            if flags & MARK:
                if data.decode() != str(mark):
                    fail(f"{self.name}: mark {data.decode()} where {mark} should be")
                return self.base
            self.base[sector * SECTOR:(sector + count) * SECTOR] = data


def judge(v, disks, work, mark, files):
    """Data and tags on the disks as they were at that mark; how many later writes were not there."""
    what, durable, later = work.marks[mark]
    for disk, file in zip(disks, files):
        file.write_bytes(disk.up_to(mark))
    here = (f"{v.mode} {' '.join(v.options)} {'separate' if v.meta else 'interleaved'}, mark {mark} "
            f"({what}, {work.threads} threads)")
    image = Volume(str(files[0]), " ".join(v.options), str(files[1]) if v.meta else None, mode=v.mode)
    if v.mode == "J":
        status, text = oracle("journal", *image.oracle_args(), "--apply")
        if status:
            fail(f"{here}: the journal cannot be replayed: {text}")
    exclude = files[0].with_suffix(".exclude")
    spb = work.block // SECTOR
    # In mode D a crash may leave one of data and tag of a write that was not flushed.
    exclude.write_text("".join(f"{b * spb} {spb}\n" for b in sorted(later)) if v.mode == "D" else "")
    seen = Image(image.data, image.meta, 0, v.option("internal_hash"))
    gone = 0
    for b, version in enumerate(durable):
        got = seen.read_data(b * spb, spb)
        if got == work.content(version, b):
            gone += b in later
        elif not any(got == work.content(other, b) for other in later.get(b, ())):
            fail(f"{here}: block {b} is not what was acknowledged, version {version}; later: {later.get(b)}")
    for fd in {seen.data.fd, seen.meta.fd}:
        os.close(fd)
    status, text = oracle("check", *image.oracle_args(), "--exclude", exclude)
    if status:
        fail(f"{here}: tags are not right: {text}")
    return gone


def trial(mode, options, separate, threads, steps, seed):
    names = ("low", "low-meta") if separate else ("low",)
    disks = [Disk(name, RAM[2 * i], RAM[2 * i + 1]) for i, name in enumerate(names)]
    for disk in disks:
        clear(disk.disk)
        disk.plain()
    v = Volume(disks[0].path, options, disks[1].path if separate else None, mode=mode)
    with Device("format").create(8, v.table("journal_sectors:64 interleave_sectors:256 fix_padding")):
        pass
    # Nothing but a flush brings tags to the disk.
    with v.open("commit_time:600000") as dev:
        with direct(dev.path, os.O_RDWR) as (fd, size):
            first = Work(dev.path, v.block_size, [], seed, 1, 0)
            os.pwritev(fd, [aligned(b"".join(first.content(0, b) for b in range(first.blocks)))], 0)
            os.close(first.fd)
            os.fsync(fd)
    for disk in disks:
        disk.device.remove()
        disk.logged()
    dev = v.open("commit_time:600000")
    work = Work(dev.path, v.block_size, [d.device for d in disks], seed, threads, steps)
    work.run()
    expect_eq(dev.field(0), "0", "mismatches")
    dev.remove()
    for disk in disks:
        disk.read_log()
    files = [pathlib.Path(os.environ["TMPDIR"]) / d.name for d in disks]
    gone = [judge(v, disks, work, mark, files) for mark in range(len(work.marks))]
    kinds = [what for what, _, _ in work.marks]
    say(f"{mode} {options} {'separate' if separate else 'interleaved'}, {threads} threads: "
        f"{', '.join(f'{kinds.count(k)} {k}' for k in sorted(set(kinds)))}; "
        f"{' and '.join(f'{d.flushes} flushes of {d.name}' for d in disks)}; "
        f"up to {max(gone)} blocks written and not there")
    # Or what a device keeps without a flush would not have been told from what it keeps with one.
    if not max(gone):
        fail("nothing was ever lost: the logs show nothing")


say(f"seed {SEED}")
load(MODULE)
run("modprobe", "dm-log-writes")
RAM = ramdisks(12, 4)
number = 0
for mode in MODES:
    # A mark is at one moment in the log of one device only: in mode J, where data goes from one device to
    # the other in the background, two logs say nothing of one moment.
    for options, separate, threads, steps in (
            ("internal_hash:crc32c block_size:4096", True, 1, 10),
            ("internal_hash:crc32c block_size:4096", True, 3, 4),
            ("internal_hash:sha256 block_size:512", False, 1, 10),
            ("internal_hash:sha256 block_size:512", False, 3, 4),
            ("internal_hash:sha256 block_size:512", True, 3, 4)):
        if mode == "J" and separate:
            continue
        trial(mode, options, separate, threads, steps, SEED + number)
        number += 1
END
