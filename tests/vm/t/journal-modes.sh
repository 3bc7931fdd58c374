# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Mode J keeps all that was written with any journal: of one section, with the watermark at 0 and at 100,
# committed at once and never by itself, with more writers than fit into it; it changes to mode D and back
# under load, and suspends and resumes; what is closed has an empty journal and right tags and opens under
# the kernel's own target; and a flush with nothing to commit does no I/O.
# kernels: 6.12
# long-kernels: 6.1 debug
# timeout: 300

. "$DMI_TOP/tests/vm/lib.sh"
# DMI_MODULE: whose
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
import threading

from volume import *

MODULE = os.environ.get("DMI_MODULE", "ours")
disk, spare = ramdisks(6, 2)
load(MODULE)


def used_entries(v):
    """Entries of the journal as it is on the disk now."""
    for d in v.disks:
        peek(d, 0, 512)
    with journal_of(v) as journal:
        return sum(len(s.used()) for s in journal.sections)


def volume(sections, bs, options="", hash_="crc32c", data=disk):
    clear(disk, 6 << 20)
    clear(spare, 6 << 20)
    v = Volume(data, f"internal_hash:{hash_} block_size:{bs} {options}", mode="J")
    ss = {("crc32c", 512): 176, ("crc32c", 4096): 392, ("sha256", 512): 88, ("sha256", 4096): 264}[hash_, bs]
    with Device("format").create(8, v.table(f"journal_sectors:{sections * ss} interleave_sectors:2048 fix_padding")):
        pass
    expect_eq(v.sb.journal_sections, sections, "sections")
    return v


def closed(v, what):
    """The journal is empty, the tags are right."""
    with journal_of(v) as journal:
        plan = journal.replay()
        if plan.error or not plan.empty:
            fail(f"{what}: the journal is not empty after closing: {plan.error}, {used_entries(v)} entries")
    v.check()


# --- sizes, watermarks, commit times ---

tested = []
opened_by_intree = []
for sections, bs, hash_, watermark, commit in (
        (1, 512, "crc32c", 50, 10000), (1, 4096, "sha256", 0, 0), (1, 512, "sha256", 100, 3600000),
        (2, 4096, "crc32c", 100, 0), (3, 512, "crc32c", 0, 3600000), (5, 512, "sha256", 100, 1)):
    v = volume(sections, bs, f"journal_watermark:{watermark} commit_time:{commit}", hash_)
    with v.open() as dev:
        expect_match(dev.table(), f" commit_time:{commit} ", "table")
        seed = len(tested)
        write_all(dev.path, seed, bs)
        read_all(dev.path, seed, bs)
        # More writers than there is room, each in a share of its own, and flushes beside them.
        size = dev.length * SECTOR
        share = size // 12 // bs * bs
        data = pattern(seed + 100, size)

        def writer(i):
            with direct(dev.path, os.O_RDWR) as (fd, _):
                view = memoryview(aligned(data[i * share:(i + 1) * share]))
                longest = min(share, 64 << 10) // bs * bs
                for at in range(0, share, longest):
                    length = min(longest, share - at)
                    if os.pwrite(fd, view[at:at + length], i * share + at) != length:
                        fail("short write")
                if i % 3 == 0:
                    os.fsync(fd)

        with ThreadPoolExecutor(12) as pool:
            list(pool.map(writer, range(12)))
        if contents(dev.path)[:12 * share] != data[:12 * share]:
            fail(f"{v.table()}: not what 12 writers left")
        expect_eq(dev.field(0), "0", "mismatches")
    closed(v, v.table())
    tested.append(v.table())
    if MODULE == "ours" and seed % 2 == 0:
        load("intree")
        with v.open() as dev:
            if contents(dev.path)[:12 * share] != data[:12 * share]:
                fail(f"{v.table()}: not what was written, for in-tree")
        load("ours")
        opened_by_intree.append(seed)

# --- when it is on the disk ---

v = volume(4, 4096, "commit_time:3600000 journal_watermark:100")
with v.open() as dev:
    write_all(dev.path, 1, 4096)
with v.open() as dev:
    write_at(dev.path, 8192, b"x" * 8192)
    time.sleep(1)
    expect_eq(used_entries(v), 0, "entries on the disk with commit_time of an hour, without a flush")
    sync(dev.path)
    expect_eq(used_entries(v), 2, "entries on the disk after a flush")
    expect_eq(read_at(dev.path, 8192, 8192), b"x" * 8192, "what is in the journal")
    copy(disk, spare)
closed(v, "closed after a flush")

# --- the same disk as after a crash: not read-only before the replay, read-only after it ---

crashed = Volume(spare, " ".join(v.options), mode="J")
if MODULE == "ours":
    before = Contents(spare)
    for mode in "JD":
        log.mark()
        expect_refused(errno.EROFS, f"read-only with a journal to be replayed, mode {mode}", crashed.open, readonly=True, mode=mode)
        log.expect("cannot resume: the journal holds writes that are to be replayed, and the device is read-only")
        expect_eq(Contents(spare), before, "disk after it was refused read-only")
    # Nothing is written to the journal by this table, yet it is empty afterwards.
    with crashed.open() as dev:
        expect_eq(read_at(dev.path, 8192, 8192), b"x" * 8192, "what was in the journal, after a replay")
        expect_match(dev.status(), " 0$", "nothing is lost")
    closed(crashed, "closed after a replay, with no write")
    for mode in "JD":
        with crashed.open(readonly=True, mode=mode) as dev:
            expect_eq(read_at(dev.path, 8192, 8192), b"x" * 8192, "what was in the journal, read-only")
with v.open("commit_time:0") as dev:
    write_at(dev.path, 8192, b"y" * 4096)
    wait_for("commit_time 0 commits by itself", lambda: used_entries(v) == 1, 5)
closed(v, "closed after commit_time 0")
# Watermark 0: in place without waiting for anything else.
with v.open("journal_watermark:0 commit_time:100") as dev:
    write_at(dev.path, 8192, b"z" * 4096)
    _, where = v.place(16)
    wait_for("watermark 0 writes back by itself", lambda: peek(v.data, where, 4096) == b"z" * 4096, 5)

# --- a flush with nothing to commit ---

linear = Device("below").create(size_of(disk) // SECTOR, f"linear {disk} 0")
w = volume(4, 4096, "commit_time:3600000", data=linear.path)
with w.open() as dev:
    write_at(dev.path, 0, b"f" * 4096)
    stat = pathlib.Path(f"/sys/block/dm-{linear.info.minor}/stat")
    with direct(dev.path, os.O_RDWR) as (fd, _):
        os.fsync(fd)
        time.sleep(0.3)
        before = stat.read_text().split()
        for _ in range(20):
            os.fsync(fd)
        after = stat.read_text().split()
expect_eq((after[4], after[6]), (before[4], before[6]), "writes and their sectors during 20 flushes of nothing")
if int(before[6]) == 0:
    fail("no write was counted: this tests nothing")
linear.remove()

# --- J to D and back, suspended and resumed, under load ---

v = volume(3, 512, "commit_time:20")
dev = v.open()
write_all(dev.path, 5, 512)
length = dev.length
stop, errors = threading.Event(), []
seen = [0] * 4


def load_of(i):
    """Writes its own share and reads it back."""
    r = random.Random(i)
    try:
        with direct(dev.path, os.O_RDWR) as (fd, size):
            part = size // 4 // 65536 * 65536
            kept = {}
            while not stop.is_set():
                count = r.choice((512, 1024, 4096, 32768))
                at = i * part + r.randrange((part - count) // 512) * 512
                data = r.randbytes(count)
                if os.pwrite(fd, memoryview(aligned(data))[:count], at) != count:
                    raise OSError(0, "short write")
                for b in range(0, count, 512):
                    kept[at + b] = data[b:b + 512]
                for b in r.sample(sorted(kept), min(4, len(kept))):
                    buffer = mmap.mmap(-1, 512)
                    os.preadv(fd, [buffer], b)
                    if buffer[:] != kept[b]:
                        raise OSError(0, f"block {b // 512} is not what was written")
                if r.random() < 0.1:
                    os.fsync(fd)
                seen[i] += 1
            for b, want in kept.items():
                buffer = mmap.mmap(-1, 512)
                os.preadv(fd, [buffer], b)
                if buffer[:] != want:
                    raise OSError(0, f"block {b // 512} is not what was written, at the end")
    except OSError as error:
        errors.append(error)


threads = [threading.Thread(target=load_of, args=(i,)) for i in range(4)]
for t in threads:
    t.start()
mode, changes = "J", {"reload": 0, "suspend": 0}
end = time.monotonic() + (20 if DEBUG else 8)
while time.monotonic() < end and not errors:
    if random.random() < 0.6:
        mode = random.choice("JD") if random.random() < 0.3 else "D" if mode == "J" else "J"
        dev.load(length, v.table(random.choice(("", "journal_watermark:0", "journal_watermark:100 commit_time:0")), mode))
        changes["reload"] += 1
    else:
        changes["suspend"] += 1
    dev.suspend(*random.choice(((), ("noflush",))))
    time.sleep(random.random() * 0.02)
    dev.resume()
    time.sleep(random.random() * 0.1)
stop.set()
for t in threads:
    t.join()
if errors:
    fail(f"under load: {errors[0]}; {dev.status()}")
expect_eq(dev.field(0), "0", "mismatches")
dev.remove()
with v.open() as dev:
    pass
with journal_of(v) as journal:
    expect_eq(journal.replay().error, None, "the journal at the end")
v.check()
if min(seen) < 5 or changes["reload"] < 10:
    fail(f"too little was done: {seen} operations, {changes}")
say(f"{len(tested)} journals; {len(opened_by_intree)} opened by in-tree; {sum(seen)} operations under {changes}")

# --- a first resume that fails behind the replay, and is tried again after another table was live ---

v = volume(5, 512, "commit_time:3600000 journal_watermark:100")
with v.open() as dev:
    write_at(dev.path, 0, b"a" * 512)
    sync(dev.path)
    copy(disk, spare)
below = f"/dev/mapper/{Device('below').create(size_of(spare) // SECTOR, f'linear {spare} 0').name}"
c = Volume(below, " ".join(v.options), mode="J")
run("modprobe", "dm-flakey")
a = Device("a").create()
a.load(c.sb.provided, c.table("reset_recalculate"))
whole = f"0 {size_of(spare) // SECTOR} linear {spare} 0"
piecewise("below", f"0 8 flakey {spare} 0 0 1000000 1 error_writes", f"8 {size_of(spare) // SECTOR - 8} linear {spare} 8")
expect_refused(errno.EIO, "a resume that cannot write the superblock", a.resume)
piecewise("below", whole)
with c.open(name="b") as dev:
    write_at(dev.path, 512, b"b" * 512)
    sync(dev.path)
    # This one does not end well, either: its journal stays.
    piecewise("below", f"0 {size_of(spare) // SECTOR} error")
    write_at(dev.path, 2048, bytes(512))
    expect_refused(errno.EIO, "a flush of a disk that is gone", sync, dev.path)
piecewise("below", whole)
a.resume()
wait_for("the recalculation", lambda: a.field(3) == "idle")
write_at(a.path, 1024, b"c" * 512)
sync(a.path)
clear(disk, 6 << 20)
copy(spare, disk)
a.remove()
with v.open() as dev:
    expect_eq(read_at(dev.path, 0, 1536), b"a" * 512 + b"b" * 512 + b"c" * 512, "what was flushed by three tables")
closed(v, "after a second try")

# --- a sector of the journal that can neither be read nor written, with nothing in the journal ---

dead = 8 + 5 * 176 - 1
holes("below", spare, (dead, 1))
for mode in "JB":
    b = Device("b").create()
    b.load(c.sb.provided, c.table(mode=mode))
    log.mark()
    expect_refused(errno.EIO, f"mode {mode} with a dead sector in the journal", b.resume)
    log.expect("cannot write the journal")
    b.remove()
log.mark()
with c.open(mode="D") as dev:
    log.expect("cannot write the journal .*, in which nothing is")
    expect_eq(read_at(dev.path, 0, 512), b"a" * 512, "what was flushed, in mode D")
    write_at(dev.path, 0, b"A" * 512)
log.expect_none("Checksum failed|could be written at suspend")
holes("below", spare)
with c.open() as dev:
    expect_eq(read_at(dev.path, 0, 1536), b"A" * 512 + b"b" * 512 + b"c" * 512, "what was written, with a whole disk")
Device("below").remove()
say("an empty journal with a dead sector does not keep mode D from coming up")
END
