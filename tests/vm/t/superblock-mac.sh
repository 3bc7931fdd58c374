# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# With journal_mac and fix_hmac the superblock has a MAC that is made as the in-tree
# target makes it: each opens what the other wrote, a wrong key or a changed byte is
# refused with EILSEQ; without fix_hmac there is none. A keyed hash allows recalculation
# in the same cases as in-tree, and never to start a finished one again, which that does.
# Whoever can change the superblock but has no key cannot have tags made for what the
# disk holds, nor reads left unverified, by flags of a bitmap or of a recalculation.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

MKEY, OTHER = "a1" * 32, "a2" * 32
KEYED_HASH = f"internal_hash:hmac(sha256):{KEY}"
PLAIN = "internal_hash:sha256"
KEYED_MAC = f"journal_mac:hmac(sha256):{MKEY}"
disks = iter(ramdisks(2, 40))


def volume(options, meta=False):
    data, metadata = next(disks), next(disks)
    return Volume(data, options, metadata if meta else None)


def settled(dev):
    words = dev.status().split()
    return words[2] in ("-", words[1])


# --- the MAC (1.5) ---

made = {}
for which in ("ours", "intree"):
    load(which)
    made[which] = [volume(f"{KEYED_HASH} {KEYED_MAC} fix_hmac block_size:4096", meta) for meta in (False, True)]
    # A digest of 64 bytes; and a MAC without a key.
    made[which].append(volume(f"{PLAIN} journal_mac:hmac(sha512):{MKEY} fix_hmac fix_padding"))
    made[which].append(volume(f"{PLAIN} journal_mac:sha256 fix_hmac"))
    for v in made[which]:
        v.format()
        with v.open() as dev:
            write_all(dev.path, 1, v.block_size)

SIZE = {"hmac(sha256)": ("sha256", 32), "hmac(sha512)": ("sha512", 64)}
for which, volumes in made.items():
    for v in volumes:
        sb, name = v.sb, v.option("journal_mac").split(":")[0]
        expect_eq(sb.version, 5, f"{which}: version")
        expect_eq(sb.flags & (MAC | HMAC), MAC | HMAC, f"{which}: flags")
        if name in SIZE:
            algorithm, size = SIZE[name]
            want = sb_mac(sb.raw, bytes.fromhex(MKEY), algorithm)
        else:
            size = 32
            want = hashlib.sha256(sb.raw[:480]).digest()
        expect_eq(sb.raw[512 - size:512].hex(), want.hex(), f"{which}: MAC by {name}")
        expect_eq(sb.raw[64:512 - size], bytes(448 - size), f"{which}: between superblock and MAC")
        v.check()

# Each opens the other's, has it recalculated - that writes the superblock - and hands it back.
for one, other in (("ours", "intree"), ("intree", "ours")):
    load(other)
    for v in made[one]:
        with v.open("recalculate") as dev:
            read_all(dev.path, 1, v.block_size)
            wait_for("recalculation ends", lambda: settled(dev))
        expect_eq(v.sb.flags & RECALC, RECALC, f"{other}: recalculation on {one}'s volume")
        v.check()
load("ours")
for v in made["intree"] + made["ours"]:
    with v.open() as dev:
        read_all(dev.path, 1, v.block_size)

# --- wrong key, changed superblock ---

v = made["ours"][0]
wrong = Volume(v.data, f"{KEYED_HASH} journal_mac:hmac(sha256):{OTHER} block_size:4096")
bare = Volume(v.data, f"{KEYED_HASH} block_size:4096")
for which in ("ours", "intree"):
    load(which)
    before = Contents(v.data)
    log.mark()
    expect_refused(errno.EILSEQ, f"{which}: wrong key", wrong.open, length=8)
    expect_refused(errno.EINVAL, f"{which}: table without journal_mac", bare.open, length=8)
    # Bytes that mean something, bytes that mean nothing, and the MAC itself. The other sectors are not covered.
    for at in (16, 24, 32, 40, 50, 64, 479, 480, 511):
        old = peek(v.data, at, 1)
        poke(v.data, at, bytes([old[0] ^ 1]))
        expect_refused(errno.EILSEQ, f"{which}: byte {at} changed", v.open, length=8)
        poke(v.data, at, old)
    if which == "ours":
        log.expect("integrity: .*superblock's MAC does not match: wrong journal_mac key")
        log.expect("say journal MAC, the table has no journal_mac")
        if OTHER in log.text() or MKEY in log.text():
            fail("a key is in the log")
    poke(v.data, 512, b"\1")
    with v.open() as dev:
        read_all(dev.path, 1, v.block_size)
    poke(v.data, 512, b"\0")
    expect_eq(Contents(v.data), before, f"{which}: disk after refused tables")

# Between load and resume as well: in-tree calls that a success, and fails all I/O.
load("ours")
with Device("v").create() as dev:
    dev.load(v.sb.provided, v.table())
    old = v.sb.raw
    set_field(v.data, "recalc_sector", 8)
    log.mark()
    expect_refused(errno.EILSEQ, "resume with a changed superblock", dev.resume)
    log.expect("cannot resume: .*MAC does not match")
    sign(v.data, bytes.fromhex(MKEY))
    dev.load(v.sb.provided, v.table())
    dev.resume()
    wait_for("recalculation ends", lambda: settled(dev))
v.check()

# Without fix_hmac there is none, and the version stays low.
for options, version in ((f"{PLAIN} {KEYED_MAC}", 1), (f"{PLAIN} {KEYED_MAC} fix_padding", 4)):
    heads = []
    for which in ("ours", "intree"):
        load(which)
        w = volume(options).format()
        heads.append(w.head())
        expect_eq(w.sb.version, version, f"{which}: version of {options}")
        expect_eq(w.sb.raw[64:512], bytes(448), f"{which}: superblock without a MAC")
    expect_eq(heads[0].hex(), heads[1].hex(), f"superblock and journal, section MACs included, of {options}")

# --- recalculation with a keyed hash (6.2) ---

load("ours")
CASES = [(h, m, f) for h in (PLAIN, KEYED_HASH) for m in ("", "journal_mac:crc32c", KEYED_MAC)
         for f in ("", "fix_hmac")]
ram = next(disks)
blank = contents(ram)
results = {}
for which in ("ours", "intree"):
    load(which)
    for case in CASES:
        w = Volume(ram, " ".join(case))
        poke(ram, 0, blank)
        w.format()
        fresh = contents(ram)
        for extra in ("recalculate", "recalculate legacy_recalculate", "reset_recalculate"):
            # The target must not have the flag from before: begin anew each time.
            poke(ram, 0, fresh)
            try:
                with w.open(extra) as dev:
                    wait_for("recalculation ends", lambda: settled(dev))
                # Finished on the disk: then the word changes nothing and is not refused. Starting again is, while
                # in-tree lets that through.
                again = []
                for more in ("recalculate", "reset_recalculate") if "legacy" in extra else ():
                    try:
                        with w.open(more) as dev:
                            wait_for("recalculation ends", lambda: settled(dev))
                        again.append(0)
                    except DMError as error:
                        again.append(error.errno)
                results.setdefault((case, extra), []).append((0, *again))
            except DMError as error:
                results.setdefault((case, extra), []).append((error.errno,))
allowed = refused = 0
for (case, extra), (ours, intree) in results.items():
    h, m, f = case
    keyed_hash, keyed_mac = h == KEYED_HASH, m == KEYED_MAC
    forbidden = errno.EOPNOTSUPP if (keyed_hash and not keyed_mac if f else keyed_hash or keyed_mac) else 0
    if "legacy" in extra:
        expect_eq((ours, intree), ((0, 0, forbidden), (0, 0, 0)), f"{case} {extra}, then again without legacy")
    else:
        expect_eq((ours, intree), ((forbidden,), (forbidden,)), f"{case} {extra}")
    allowed, refused = allowed + (ours[0] == 0), refused + (ours[0] != 0)

# A flag on the disk that is pending is refused at load like the word, and the message likewise.
load("ours")
w = Volume(ram, KEYED_HASH)
poke(ram, 0, blank)
w.format()
with w.open() as dev:
    log.mark()
    expect_refused(errno.EOPNOTSUPP, "message recalculate with a keyed hash", dev.message, "recalculate")
    expect_refused(errno.EOPNOTSUPP, "message reset_recalculate with a keyed hash", dev.message, "reset_recalculate")
    log.expect("keyed hash .* not allowed without legacy_recalculate")
    expect_eq(w.sb.flags & RECALC, 0, "flag after refused messages")
set_field(ram, "flags", RECALC)
for which in ("ours", "intree"):
    load(which)
    expect_refused(errno.EOPNOTSUPP, f"{which}: pending recalculation with a keyed hash", w.open)

# --- flags that somebody without the key has set ---

load("ours")
w = Volume(ram, f"{KEYED_HASH} block_size:4096", mode="J")
poke(ram, 0, blank)
w.format()
with w.open() as dev:
    write_all(dev.path, 1, 4096)
forged, at = w.place(64)
poke(forged, at, bytes(4096))
signed = w.place(64, "tag")
tag = peek(*signed, 32)


def no_use(volume, what, **how):
    """It is refused, and the forged block gets no tag."""
    log.mark()
    expect_refused(errno.EOPNOTSUPP, what, volume.open, **how)
    log.expect("keyed hash does not allow|a keyed hash needs a protected superblock")
    expect_eq(peek(*signed, 32), tag, f"{what}: the forged block's tag")


head = contents(ram)[:8192]
old = head[:4096]
set_field(ram, "flags", w.sb.flags | DIRTY)
poke(ram, 4096, b"\xff" * 4096)
for log2 in (w.sb.log2_bitmap, w.sb.log2_bitmap ^ 1):
    set_field(ram, "log2_bitmap", log2)
    for mode in "JD":
        no_use(w, f"a bitmap out of nothing, mode {mode}, 2^{log2} blocks a bit", mode=mode)
poke(ram, 0, head)
with w.open() as dev:
    expect_refused(errno.EILSEQ, "the forged block", read_at, dev.path, 64 * SECTOR, 4096)
    # A table that is live remembers.
    for flags, position in ((RECALC, 0), (DIRTY, 0), (RECALC | DIRTY, 8)):
        log.mark()
        dev.suspend()
        before = w.sb
        set_field(ram, "flags", before.flags | flags)
        set_field(ram, "recalc_sector", position)
        set_field(ram, "log2_bitmap", before.log2_bitmap ^ 1)
        dev.resume()
        log.expect("the superblock is not what was written to it")
        expect_eq(dev.status().split()[2:4], ["-", "idle"], f"status with flags {flags} from the disk")
        expect_refused(errno.EILSEQ, "the forged block after a resume", read_at, dev.path, 64 * SECTOR, 4096)
        poke(ram, 0, old)
# Read-only: refused when it is loaded, and when it comes after that.
set_field(ram, "flags", w.sb.flags | RECALC)
no_use(w, "a read-only table and a recalculation", readonly=True)
poke(ram, 0, old)
for flags in (RECALC, RECALC | DIRTY):
    with Device("v").create() as dev:
        dev.load(w.sb.provided, w.table(), True)
        set_field(ram, "flags", w.sb.flags | flags)
        log.mark()
        expect_refused(errno.EOPNOTSUPP, "a resume of a read-only table", dev.resume)
        log.expect("cannot resume: a keyed hash does not allow")
        poke(ram, 0, old)

# A superblock with a MAC that denies it has one: mode B recovers for nobody, then.
w = Volume(ram, f"{KEYED_HASH} {KEYED_MAC} fix_hmac block_size:4096")
poke(ram, 0, blank)
w.format()
with w.open() as dev:
    write_all(dev.path, 1, 4096)
signed = w.place(64, "tag")
tag = peek(*signed, 32)
poke(*w.place(64), bytes(4096))
old = w.sb
for flags in (DIRTY, DIRTY | RECALC):
    set_field(ram, "flags", old.flags & ~HMAC | flags)
    set_field(ram, "log2_bitmap", old.log2_bitmap ^ 1)
    for mode in "BJD":
        no_use(w, f"a MAC taken away, flags {flags}, mode {mode}", mode=mode)
poke(ram, 0, old.raw)
with w.open(mode="B") as dev:
    expect_refused(errno.EILSEQ, "the forged block", read_at, dev.path, 64 * SECTOR, 4096)
say(f"8 volumes with a MAC; recalculation {allowed} times allowed, {refused} times refused, as in-tree")

# --- a keyed volume that grows while it is live: what is new cannot be made, and costs nothing else ---

load("ours")
below, meta = next(disks), next(disks)
low = piecewise("low", f"0 4091 linear {below} 0")
v = Volume(low, KEYED_HASH, meta).format()
with v.open("recalculate legacy_recalculate") as dev:
    wait_for("recalculation ends", lambda: dev.field(2) == dev.field(1) and dev.field(3) == "idle")
with v.open() as dev:
    log.mark()
    for n in range(3):
        dev.suspend()
        if n == 0:
            piecewise("low", f"0 4096 linear {below} 0")
        dev.resume()
        expect_eq(dev.field(1), "4096", "sectors provided")
        read_at(dev.path, 4090 * SECTOR, SECTOR)
    log.expect("has grown, but the keyed hash does not allow")
Device("low").remove()
END
