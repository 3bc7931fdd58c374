# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Mode B: a region's bit is on the disk before its data or tags are, and stays while it is written to; it
# is cleared after bitmap_flush_interval, with no other I/O held up and data and tags on the disk; first
# writes to many regions share writes of the bitmap; one of those that fails costs the writes that wait for
# it and no others; a clean end leaves an empty journal, or the bitmap where that cannot be written. After
# a crash only dirty regions are made again, damage elsewhere is still found, and a recovery that is interrupted by a clean end goes on where it is
# needed, also under in-tree.
# kernels: 6.12
# long-kernels: 6.1 debug
# timeout: 240

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
import json
import threading

from volume import *

MIB = 4
REGION = 64             # sectors
NEVER = "bitmap_flush_interval:3600000"
COMMON = f"internal_hash:crc32c block_size:4096 sectors_per_bit:{REGION} journal_sectors:800"
disks = ramdisks(MIB, 4)
LAYOUTS = {"meta": disks[1], "interleaved": None}


def volume(layout, copied=False, options=COMMON):
    data, meta = disks[2:] if copied else disks[:2]
    if layout == "interleaved":
        options += " interleave_sectors:512 fix_padding"
    return Volume(data, options, meta if layout == "meta" else None, mode="B")


def fresh(layout, options=COMMON):
    for d in disks:
        clear(d, MIB << 20)
    v = volume(layout, options=options).format()
    with v.open(mode="D") as dev:
        write_all(dev.path, 1, v.block_size)
    return v


def crash(v, layout, options=COMMON):
    """The disks as they are now, on the others."""
    c = volume(layout, True, options)
    for a, b in zip(v.disks, c.disks):
        copy(a, b)
    return c


def dirty(v):
    """Regions whose bit is 1 on the disk; None without a bitmap."""
    sb = v.sb
    if not sb.flags & DIRTY:
        return None
    expect_eq(8 << sb.log2_bitmap, REGION, "granularity in the superblock")
    count = -(-sb.provided // REGION)
    raw = peek(v.sb_dev, 4096, -(-count // 8))
    return {n for n in range(count) if raw[n >> 3] >> (n & 7) & 1}


def put(dev, region, byte=7, offset=4096):
    write_at(dev.path, region * REGION * SECTOR + offset, bytes([byte]) * 4096)


def bad_blocks(v):
    status, text = oracle("check", *v.oracle_args(), "--json", "--limit", "0")
    return sorted({s // REGION for s in json.loads(text)["bad_sectors"]})


def damage(v, region):
    status, text = oracle("corrupt", v.data, *v.oracle_args()[1:], "data", str(region * REGION + 24))
    if status:
        fail(f"oracle corrupt: {text}")


def bits(layout):
    v = fresh(layout)
    journal = v.head()[4096:]
    dev = v.open(NEVER)
    expect_match(dev.table(), f" sectors_per_bit:{REGION} bitmap_flush_interval:3600000", "table")
    expect_eq((v.sb.flags & DIRTY, dirty(v)), (DIRTY, set()), f"{layout}: flag and bits before a write")
    expect_eq(v.sb.version, 3 if layout == "meta" else 4, "version")
    wrote = set()
    rng = random.Random(layout)
    for region in rng.sample(range(v.sb.provided // REGION), 20):
        put(dev, region)
        wrote.add(region)
        expect_eq(dirty(v), wrote, f"{layout}: dirty regions")
    sync(dev.path)
    expect_eq(dirty(v), wrote, f"{layout}: a flush of the user clears nothing")
    # Reads leave no trace, and what lies over a border dirties both sides.
    read_at(dev.path, 0, 1 << 20)
    write_at(dev.path, 50 * REGION * SECTOR - 4096, bytes(8192))
    wrote |= {49, 50}
    expect_eq(dirty(v), wrote, f"{layout}: dirty regions after a read and a write over a border")
    # Suspended it is clean, and resumed it goes on.
    dev.suspend()
    expect_eq((v.sb.flags & DIRTY, v.head()[4096:] == journal), (0, True), f"{layout}: suspended: flag, empty journal")
    v.check()
    dev.resume()
    expect_eq(dirty(v), set(), f"{layout}: resumed")
    put(dev, 3)
    expect_eq(dirty(v), {3}, f"{layout}: dirty regions after a resume")
    dev.remove()
    expect_eq((v.sb.flags & (DIRTY | RECALC), v.head()[4096:] == journal), (0, True), f"{layout}: removed")
    expect_eq(v.sb.recalc_sector, 0, f"{layout}: a position that means nothing")
    v.check()


def flush(layout):
    v = fresh(layout)
    with v.open("bitmap_flush_interval:300 commit_time:3600000") as dev:
        stop, worst, count = threading.Event(), [0], [0]

        def keep_writing():
            while not stop.is_set():
                began = time.monotonic()
                put(dev, 9, count[0] & 255)
                worst[0] = max(worst[0], time.monotonic() - began)
                count[0] += 1

        thread = threading.Thread(target=keep_writing)
        thread.start()
        put(dev, 2)
        put(dev, 30)
        wait_for("some writes", lambda: count[0] > 10)
        wait_for(f"{layout}: idle regions are cleared", lambda: dirty(v) == {9}, 20)
        # Without a flush of ours: data and tags were stable before.
        c = crash(v, layout)
        stop.set()
        thread.join()
        # Not before: the oracle closes what was opened while it ran.
        # Region 9 changed while its disk was copied, and its bit with it where writes are slow.
        busy = pathlib.Path(os.environ["TMPDIR"], "busy")
        busy.write_text(f"{9 * REGION} {REGION}\n")
        status, text = oracle("check", *c.oracle_args(), "--ignore-dirty", "--exclude", str(busy))
        if status:
            fail(f"{layout}: cleared regions: {text}")
        wait_for(f"{layout}: the last region is cleared", lambda: dirty(v) == set(), 20)
        c = crash(v, layout)
        with c.open(name="c") as copied:
            expect_eq((copied.field(2), copied.field(3)), ("-", "idle"), "after a crash with nothing dirty")
    v.check()
    return count[0], worst[0]


def held():
    """A region keeps its bit while a write to it is under way, however many flushes come meanwhile. (Where
    the bitmap is on the slow disk as well, a bit that is cleared too soon is seen too late.)"""
    v = fresh("meta")
    run("modprobe", "dm-delay")
    data, sectors = v.data, size_of(v.data) // SECTOR
    below = Device("below").create(sectors, f"linear {data} 0")
    v.data = below.path
    with v.open("bitmap_flush_interval:100 commit_time:3600000") as dev, ThreadPoolExecutor(1) as pool:
        swap(below, sectors, f"delay {data} 0 0 {data} 0 1500")
        v.data = data
        write = pool.submit(put, dev, 9)
        wait_for("the bit", lambda: dirty(v) == {9})
        wait_for("the write", lambda: in_flight(dev.path))
        seen = 0
        while True:
            found = dirty(v)
            if not in_flight(dev.path):
                break
            expect_eq(found, {9}, "a region that is being written to")
            seen += 1
        write.result()
        # Several times the interval of flushes, in which an idle region is cleared.
        if seen < 5:
            fail(f"the bit of a write under way was looked at {seen} times")
        swap(below, sectors, f"linear {data} 0")
        wait_for("the bit is cleared after the write", lambda: dirty(v) == set())
    below.remove()
    v.check()


def batches():
    v = fresh("meta")
    run("modprobe", "dm-delay")
    meta = v.meta
    slow = Device("slow").create(size_of(meta) // SECTOR, f"delay {meta} 0 0 {meta} 0 150")
    v.meta = slow.path
    with v.open(NEVER) as dev, ThreadPoolExecutor(16) as pool:
        before = written("/dev/mapper/slow")[0]
        list(pool.map(lambda region: put(dev, region), range(96)))
        v.meta = meta
        expect_eq(dirty(v), set(range(96)), "dirty regions of many writers")
        writes = written("/dev/mapper/slow")[0] - before
    slow.remove()
    v.check()
    # How many come together depends on how fast the writers are, beside a disk that takes 150 ms.
    if writes > (72 if os.environ["DMI_KERNEL"] == "debug" else 40):
        fail(f"{writes} writes to the metadata device for 96 regions by 16 writers")
    return writes


def failing():
    """A write of the bitmap fails, and the next, which was asked for meanwhile, does not."""
    v = fresh("meta")
    run("modprobe", "dm-delay")
    run("modprobe", "dm-flakey")
    meta, sectors = v.meta, size_of(v.meta) // SECTOR
    below = Device("below").create(sectors, f"linear {meta} 0")
    slow = Device("slow").create(sectors, f"delay {below.path} 0 0 {below.path} 0 1500")
    v.meta = slow.path
    with v.open(NEVER) as dev, ThreadPoolExecutor(2) as pool:
        swap(below, sectors, f"flakey {meta} 0 0 1000000 1 error_writes")
        first = pool.submit(put, dev, 3)
        time.sleep(0.5)
        second = pool.submit(put, dev, 40)
        expect_refused(errno.EIO, "a write whose bit cannot be written", first.result)
        swap(below, sectors, f"linear {meta} 0")
        second.result()
        v.meta = meta
        found = dirty(v)
        # The bit of the one that failed is set as well, and written with the other.
        expect_eq(found, {3, 40}, "dirty regions after a write of the bitmap that failed")
        put(dev, 3)
    slow.remove()
    below.remove()
    v.check()


def swap(dev, sectors, table):
    dev.load(sectors, table)
    dev.suspend()
    dev.resume()


def recovery(layout):
    v = fresh(layout)
    dev = v.open(NEVER)
    for region in (3, 17, 40):
        put(dev, region)
    c = crash(v, layout)
    dev.remove()
    P = c.sb.provided
    for region in (1, 3, 20, 33, 60):
        damage(c, region)
    images = [contents(d) for d in c.disks]

    # Frozen, and closed: nothing is made, nothing forgotten, nothing else is made in its place.
    with c.open("no_recalculate") as dev:
        expect_eq(dev.status().split()[2:4], ["0", "frozen"], f"{layout}: before recovery")
        at = lambda region: (region * REGION + 24) * SECTOR
        read_at(dev.path, at(3), 4096)
        for region in (1, 20, 33, 60):
            expect_refused(errno.EILSEQ, f"{layout}: damage in a clean region", read_at, dev.path, at(region), 4096)
        read_at(dev.path, 2 * REGION * SECTOR, 18 * REGION * SECTOR)
        expect_refused(errno.EILSEQ, f"{layout}: damage in a clean region behind a dirty one", read_at, dev.path,
                       17 * REGION * SECTOR, 4 * REGION * SECTOR)
        put(dev, 50)
    expect_eq((c.sb.flags & (DIRTY | RECALC), dirty(c)), (DIRTY | RECALC, {3, 17, 40}), f"{layout}: closed before recovery")
    expect_eq(bad_blocks(c), [], "below the position")
    kept = [contents(d) for d in c.disks]

    # In the middle: what is done is done.
    with c.open("no_recalculate") as dev:
        dev.message("speed_max 16")
        dev.message("speed_min 16")
        dev.message("recalculate")
        wait_for("half of the recovery", lambda: int(dev.field(2)) > 4 * REGION)
    left = dirty(c)
    if not left or not left < {3, 17, 40}:
        fail(f"{layout}: left after a part of the recovery: {left}")

    # In-tree leaves out clean regions only before the first and behind the last dirty one of a chunk.
    for module, bad in (("ours", [1, 20, 33, 60]), ("intree", [1, 60])):
        for what, start in (("after a crash", images), ("after a clean end", kept)):
            load(module)
            for d, image in zip(c.disks, start):
                poke(d, 0, image)
            with c.open() as dev:
                wait_for(f"{layout}: {module}: recovery {what}", lambda: dev.field(2) == str(P))
                if module == "ours":
                    wait_for("idle", lambda: dev.field(3) == "idle")
                read_at(dev.path, at(3), 4096)
                for region in bad:
                    expect_refused(errno.EILSEQ, f"{layout}: {module} {what}: damage in a clean region", read_at,
                                   dev.path, at(region), 4096)
            expect_eq((c.sb.flags & (DIRTY | RECALC), c.sb.recalc_sector), (RECALC, P), f"{layout}: {module} {what}: closed")
            found = bad_blocks(c)
            if not set(bad) <= set(found) <= {1, 20, 33, 60}:
                fail(f"{layout}: {module} {what}: bad regions: {found}, expected {bad}")
    load("ours")


def last_at_once():
    """The device is closed while the workers are at the last dirty regions, and none has come by what is
    clean behind them: that is not made again."""
    v = fresh("meta")
    with v.open(NEVER) as dev:
        for region in (3, 17, 40):
            put(dev, region)
        c = crash(v, "meta")
    for region in (3, 60):
        damage(c, region)
    run("modprobe", "dm-delay")
    slow = piecewise("slow", f"0 {MIB << 11} delay {c.data} 0 1000 {c.data} 0 0")
    s = Volume(slow, COMMON, c.meta, mode="B")
    log.mark()
    with s.open() as dev:
        time.sleep(0.3)
        expect_events(dev, "a recovery that is over at a suspend", 1, dev.suspend)
        log.expect("recalculation finished")
        expect_eq(dev.status().split()[2:4], [dev.field(1), "idle"], "status of a recovery that is over")
        dev.resume()
        expect_eq(dev.status().split()[2:4], [dev.field(1), "idle"], "status when it is resumed")
    with s.open("no_recalculate") as dev:
        expect_eq(dev.field(2), dev.field(1), "position of a recovery that is over")
        expect_refused(errno.EILSEQ, "damage in a clean region behind all", read_at, dev.path,
                       (60 * REGION + 24) * SECTOR, 4096)
        read_at(dev.path, (3 * REGION + 24) * SECTOR, 4096)
    Device("slow").remove()


def nothing_left():
    """The machine went down when the last bit was cleared, and the position was not on the disk yet: whatever the
    next table is, that recovery is over when it has been closed."""
    for options in (COMMON, COMMON.replace("crc32c", f"hmac(sha256):{KEY}")):
        v = fresh("meta", options)
        with v.open(NEVER):
            c = crash(v, "meta", options)
        damage(c, 3)
        set_field(c.meta, "flags", c.sb.flags | RECALC)
        set_field(c.meta, "recalc_sector", 0)
        expect_eq(dirty(c), set(), "dirty regions")
        with c.open("no_recalculate"):
            pass
        expect_eq((c.sb.flags & (DIRTY | RECALC), c.sb.recalc_sector), (RECALC, c.sb.provided), "closed with nothing left")
        with c.open() as dev:
            wait_for("idle", lambda: dev.status().split()[2:4] == [dev.field(1), "idle"])
            expect_refused(errno.EILSEQ, "damage in a clean region", read_at, dev.path, (3 * REGION + 24) * SECTOR, 4096)


def messages():
    """Passes that a message starts, and one given up."""
    v = fresh("meta")
    dev = v.open(NEVER)
    dev.message("speed_max 16")
    dev.message("speed_min 16")
    dev.message("reset_recalculate")
    everything = set(range(-(-v.sb.provided // REGION)))
    expect_eq(dirty(v), everything, "dirty regions with a pass over all")
    c = crash(v, "meta")
    with c.open("no_recalculate", name="c") as copied:
        expect_eq(copied.status().split()[2:4], ["0", "frozen"], "a crash right after the begin of a pass")
    dev.message("cancel_recalculate")
    expect_eq(v.sb.flags & RECALC, 0, "flag after cancel_recalculate")
    dev.remove()
    expect_eq(v.sb.flags & DIRTY, 0, "flag after the end")
    # A pass from the begin is no recovery: the position alone says where it stands.
    with v.open(f"recalculate no_recalculate {NEVER}") as dev:
        expect_eq(dirty(v), everything, "dirty regions with all to be made")
        dev.message("speed_max 64")
        dev.message("speed_min 64")
        dev.message("idle")
        wait_for("some of it", lambda: int(dev.field(2)) > 4 * REGION)
        put(dev, 100)
    position = v.sb.recalc_sector
    expect_eq((v.sb.flags & (DIRTY | RECALC), 0 < position < v.sb.provided), (RECALC, True), "closed within a pass")
    with v.open() as dev:
        wait_for("the rest", lambda: dev.field(2) == str(v.sb.provided) and dev.field(3) == "idle")
    v.check()


def keyed():
    """Recovery works with a key as well; what the table asks for is refused as ever."""
    options = COMMON.replace("crc32c", f"hmac(sha256):{KEY}")
    v = fresh("meta", options)
    with v.open(NEVER) as dev:
        put(dev, 5)
        c = crash(v, "meta", options)
    damage(c, 5)
    for _ in range(2):
        with c.open(name="c") as dev:
            wait_for("recovery", lambda: dev.field(2) == str(c.sb.provided) and dev.field(3) == "idle")
            read_at(dev.path, 5 * REGION * SECTOR, REGION * SECTOR)
    c.check()
    expect_refused(errno.EOPNOTSUPP, "a keyed recalculation", c.open, "reset_recalculate")

    # All of it is to be made again, so position and flag would say it as well, but not with a key: it stays
    # a recovery, whatever interrupts it.
    options = options.replace(f"sectors_per_bit:{REGION}", f"sectors_per_bit:{MIB << 11}")
    v = fresh("meta", options)
    with v.open(NEVER) as dev:
        put(dev, 5)
        c = crash(v, "meta", options)
    damage(c, 5)
    log.mark()
    for _ in range(2):
        with c.open("no_recalculate") as dev:
            dev.suspend()
            dev.resume()
            expect_eq(dev.status().split()[2:4], ["0", "frozen"], "an interrupted recovery with a key")
            read_at(dev.path, 5 * REGION * SECTOR, REGION * SECTOR)
        expect_eq(c.sb.flags & (DIRTY | RECALC), DIRTY | RECALC, "flags of an interrupted recovery with a key")
    log.expect_none("finished")
    with c.open() as dev:
        wait_for("recovery", lambda: dev.field(2) == str(c.sb.provided) and dev.field(3) == "idle")
        read_at(dev.path, 5 * REGION * SECTOR, REGION * SECTOR)
    expect_eq(c.sb.flags & (DIRTY | RECALC), RECALC, "flags after the recovery with a key")
    c.check()


def refused():
    v = fresh("meta")
    log.mark()
    expect_refused(errno.EINVAL, "B with journal_crypt", v.open, f"journal_crypt:ctr(aes):{KEY}")
    log.expect("mode B cannot have option 'journal_crypt'")


def no_journal():
    """An empty journal that cannot take the bitmap's place: the bitmap comes back, with the bits it had to have."""
    for pending in (False, True):
        v = fresh("meta")
        meta, sectors = v.meta, size_of(v.meta) // SECTOR
        below = Device("below").create(sectors, f"linear {meta} 0")
        dead = (8 + v.section_sectors() + 100, 1)
        damage(v, 33)
        v.meta = below.path
        dev = v.open(f"{NEVER} recalculate no_recalculate" if pending else NEVER)
        if pending:
            dev.message("speed_max 64")
            dev.message("speed_min 64")
            dev.message("idle")
            wait_for("some of it", lambda: int(dev.field(2)) > 2 * REGION)
            dev.message("frozen")
        else:
            put(dev, 9)
        holes("below", meta, dead)
        log.mark()
        dev.suspend()
        log.expect("cannot write an empty journal .*, the bitmap stays in its place")
        log.expect_none("not everything")
        v.meta = meta
        position, regions = v.sb.recalc_sector, range(-(-v.sb.provided // REGION))
        flags, left = (DIRTY | RECALC, set(regions[position // REGION:])) if pending else (DIRTY, set())
        expect_eq((v.sb.flags & (DIRTY | RECALC), dirty(v)), (flags, left), "a bitmap that stays: flags, dirty regions")
        dev.resume()
        put(dev, 2)
        dev.remove()
        expect_eq((v.sb.flags & (DIRTY | RECALC), dirty(v)), (flags, left), "it stays again: flags, dirty regions")
        kept = v.head()[:8192]
        for mode in "JD":
            v.meta = below.path
            log.mark()
            expect_refused(errno.EIO, f"a journal that cannot be written, mode {mode}", v.open, mode=mode)
            log.expect("cannot resume: cannot write superblock, bitmap or journal")
            v.meta = meta
            expect_eq(v.head()[:8192] == kept, True, f"superblock and bitmap after mode {mode} was refused")
        v.meta = below.path
        with v.open() as dev:
            if pending:
                wait_for("the rest", lambda: dev.field(2) == str(v.sb.provided) and dev.field(3) == "idle")
            else:
                expect_eq((dev.field(2), dev.field(3)), ("-", "idle"), "opened again")
                expect_refused(errno.EILSEQ, "damage in a clean region", read_at, dev.path, (33 * REGION + 24) * SECTOR, 4096)
        swap(below, sectors, f"linear {meta} 0")
        for mode in "BJ":
            with v.open(mode=mode):
                pass
            expect_eq(v.sb.flags & DIRTY, 0, f"flag after mode {mode}, with a journal that can be written")
        v.meta = meta
        expect_eq(bad_blocks(v), [] if pending else [33], "bad regions")
        below.remove()


def no_bitmap():
    """A bitmap that cannot take the place of an empty journal: mode B is refused, and nothing has changed."""
    for pending in (False, True):
        v = fresh("meta")
        meta = v.meta
        if pending:
            set_field(meta, "flags", v.sb.flags | RECALC)
            set_field(meta, "recalc_sector", 20 * REGION)
        before = v.head()
        # Read it can be.
        v.meta = holes("below", meta, (9, 1), kind=f"flakey {meta} 9 0 1000000 1 error_writes")
        for _ in range(2):
            log.mark()
            expect_refused(errno.EIO, "a bitmap that cannot be written", v.open)
            log.expect("cannot resume: cannot write superblock, bitmap or journal")
            expect_eq(v.head() == before, True, "superblock and journal after it was refused")
        with v.open(mode="D") as dev:
            if pending:
                wait_for("recalculation", lambda: dev.field(2) == str(v.sb.provided) and dev.field(3) == "idle")
            read_all(dev.path, 1, v.block_size)
        v.meta = meta
        Device("below").remove()
        v.check()


def dead_block():
    """After a crash a block of the bitmap can neither be read nor written: all that it stands for is recovered and
    can be read, also with a suspend meanwhile, and what is written fails. Where all would have to be written anew,
    the table is refused, and nothing has changed."""
    v = fresh("meta")
    with v.open(NEVER) as dev:
        put(dev, 9)
        c = crash(v, "meta")
    meta = c.meta
    c.meta = holes("below", meta, (10, 1))
    for other, mode in ((COMMON.replace(f"bit:{REGION}", f"bit:{2 * REGION}"), "B"), (COMMON + " reset_recalculate", "B"),
                        (COMMON, "J"), (COMMON, "D")):
        log.mark()
        expect_refused(errno.EIO, "an area that cannot be written", Volume(c.data, other, c.meta, mode=mode).open)
        log.expect("cannot resume: cannot write superblock, bitmap or journal")
    log.mark()
    with c.open("no_recalculate") as dev:
        log.expect("cannot read block 0 of the bitmap, all that it stands for counts as dirty")
        log.expect("cannot write block 0 of the bitmap")
        dev.message("speed_max 64")
        dev.message("speed_min 64")
        dev.message("idle")
        wait_for("some of it", lambda: int(dev.field(2)) > 2 * REGION)
        dev.message("frozen")
        dev.suspend()
        dev.resume()
    with c.open() as dev:
        wait_for("recovery", lambda: dev.field(2) == str(c.sb.provided) and dev.field(3) == "idle")
        read_at(dev.path, 0, MIB << 19)
        expect_refused(errno.EIO, "a write whose bit cannot be written", put, dev, 3)
        expect_refused(errno.EIO, "a pass over all that cannot be told the disk", dev.message, "reset_recalculate")
        expect_eq(dev.field(2), dev.field(1), "position after a message that failed")
        holes("below", meta)
        put(dev, 3)
        holes("below", meta, (10, 1))
    log.expect("not everything could be written at suspend")
    c.meta = meta
    expect_eq(c.sb.flags & DIRTY, DIRTY, "flag after the end")
    Device("below").remove()
    with c.open() as dev:
        wait_for("recovery", lambda: dev.field(3) == "idle")
    c.check()


load("ours")
for name in LAYOUTS:
    bits(name)
    recovery(name)
    number, longest = flush(name)
    say(f"{name}: {number} writes beside the flushes, the longest took {longest * 1000:.0f} ms")
held()
say(f"{batches()} writes to the metadata device for 96 regions by 16 writers")
last_at_once()
nothing_left()
messages()
keyed()
failing()
no_journal()
no_bitmap()
dead_block()
refused()
END
