# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Whatever is in the superblock and in the bitmap, and whatever the sizes of the devices became, never makes
# the kernel complain or wait for ever. A volume that is refused says why in the log, and is left as it is. One
# that comes up gives for each block something that was once written to it, or an error; only where superblock
# or bitmap say that the tags are still to be made, it gives what is on the disk. Blocks that the damage has
# nothing to do with can be read. What is only advice keeps no volume from coming up, and through a read-only
# table, and in mode R, not a byte is written. 1000 damaged volumes; DMI_ROUNDS says how many, DMI_SEED which.
# kernels: debug
# long-kernels: 6.1 6.12
# long: yes
# cpus: 1
# timeout: 1200

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
import collections

from damaged import DAMAGES, REGION, Disks, Meaning, Refused
from volume import *

SEED = int(os.environ.get("DMI_SEED") or time.time())
ROUNDS = int(os.environ.get("DMI_ROUNDS") or 1000)
SIGNED = f"journal_mac:hmac(sha256):{KEY} fix_hmac"
# Sectors of the data device, of the one for metadata or 0, options.
KINDS = [
    (600, 0, "internal_hash:crc32c block_size:512 journal_sectors:176 interleave_sectors:128 fix_padding"),
    (512, 320, "internal_hash:sha256 block_size:4096 journal_sectors:264"),
    (256, 256, f"internal_hash:hmac(sha256):{KEY} block_size:512 journal_sectors:176 {SIGNED}"),
    (1400, 0, "internal_hash:sha256 block_size:4096 journal_sectors:264 interleave_sectors:256"),
    (1000, 0, f"internal_hash:crc32c block_size:4096 journal_sectors:392 interleave_sectors:256 fix_padding {SIGNED}"),
    (256, 256, f"internal_hash:hmac(sha256):{KEY} block_size:512 journal_sectors:88"),
]
# What a refusal says; each sentence names what is wrong.
WHY = re.compile(r"integrity: .*?(no integrity superblock|superblock: magic|superblock: version|superblock: flags|"
                 r"superblock: tag size|superblock: log2_sectors_per_block|superblock: log2_interleave_sectors|"
                 r"superblock: log2_blocks_per_bitmap_bit|superblock: journal_sections|"
                 r"the superblock's MAC does not match|the superblock is blank, and a read-only|"
                 r"recalculate: a keyed hash needs a protected superblock|a keyed hash does not allow|"
                 r"the device is too small|no layout is possible|the table's length of|the journal of \d+ bytes|"
                 r"the journal is damaged|the journal holds writes|no (?:section|block) .* matches its (?:MAC|tag))")
load("ours")
disks = ramdisks(1, 2)
counts = collections.Counter()
reasons = collections.Counter()
watch = Watch(90 if DEBUG else 30)


@functools.lru_cache(1 << 14)
def written(block, version, size):
    return random.Random(version << 32 | block).randbytes(size)


class Kind:
    """A volume, and the states that it is found in."""

    def __init__(self, number):
        *self.sizes, options = KINDS[number]
        self.sizes = [size for size in self.sizes if size]
        paths = [Device(f"disk{number}{n}").create(size, f"linear {disks[n]} 0").path
                 for n, size in enumerate(self.sizes)]
        self.v = Volume(*paths[:1], f"{options} sectors_per_bit:{REGION}", *paths[1:])
        self.name, self.size = options.partition(":")[2], self.v.block_size
        self.key = bytes.fromhex(KEY) if "fix_hmac" in options else None
        # Nobody may have tags made anew.
        self.keyed = "internal_hash:hmac" in options and not self.key
        for path in paths:
            clear(path)
        self.v.format()
        with self.v.open() as dev:
            for block in range(self.v.sb.provided * SECTOR // self.size):
                write_at(dev.path, block * self.size, written(block, 1, self.size))
        self.plain = Meaning(contents(self.v.sb_dev)[:4096], len(self.sizes) > 1, self.sizes)
        self.length = self.plain.layout.P
        self.blocks = self.length * SECTOR // self.size
        self.states = [State(self, "closed", [contents(path) for path in paths])]
        self.states += [self.pending(), self.live("journal", "J"), self.live("dirty", "B")]

    def pending(self):
        """Half of the tags are still to be made, and are none."""
        half = self.length // 16 * 8
        found = Disks(self.states[0].images, random.Random(self.name))
        found.position()
        found.set("recalc_sector", half)
        if self.key:
            found.sign(self.key)
        for s in range(half, self.length, self.size // SECTOR):
            at = self.plain.layout.tag_byte(s)
            found.meta[at] ^= 1
        return State(self, "pending", [bytes(image) for image in found.images],
                     lost=range(half * SECTOR // self.size, self.blocks))

    def live(self, name, mode):
        """As the disks are in the middle of its use."""
        changed = [random.Random(n).randrange(self.blocks) for n in range(6)]
        for path, image in zip(self.v.disks, self.states[0].images):
            poke(path, 0, image)
        with self.v.open("commit_time:3600000 bitmap_flush_interval:3600000", mode=mode) as dev:
            for block in changed:
                write_at(dev.path, block * self.size, written(block, 2, self.size))
            sync(dev.path)
            return State(self, name, [contents(path) for path in self.v.disks], lost=changed)


class State:
    """Disks as they were left. All blocks can be read that are not among the lost: those have any version."""

    def __init__(self, kind, name, images, lost=()):
        self.kind, self.name, self.images, self.lost = kind, name, images, set(lost)


class Case:
    """A state that is damaged, and opened."""

    def __init__(self, number, kinds):
        self.rng = random.Random(f"{SEED} {number}")
        self.kind = self.rng.choice(kinds)
        self.state = self.rng.choice(self.kind.states)
        damaged, kind = Disks(self.state.images, self.rng), self.kind
        damage = self.rng.choice(DAMAGES)
        done = damage(damaged)
        if kind.key and self.rng.randrange(4):
            damaged.sign(kind.key)
        self.images = [bytes(image) for image in damaged.images]
        self.sizes = [len(image) // SECTOR for image in self.images]
        self.what = f"case {number}: {kind.name}, {self.state.name}: {done}"
        self.damage = damage.__name__
        self.newer = {}         # what this case wrote
        self.made = []          # tests for sectors that may have been given tags

    def understand(self, mode, readonly):
        """What the superblock says, or None."""
        raw = self.images[-1][:4096]
        try:
            # In mode R the table says what is missing; zeros are formatted.
            if raw[:8] != b"integrt\0" and (mode == "R" or not any(raw) and not readonly):
                plain = bytearray(self.kind.plain.raw)
                if mode != "R":
                    plain[48:64] = bytes(16)
                return Meaning(bytes(plain), len(self.sizes) > 1, self.sizes), True
            return Meaning(raw, len(self.sizes) > 1, self.sizes), False
        except Refused:
            return None, False

    def run(self):
        self.below = [Device(f"odd{n}").create(size, f"linear {disks[n]} 0") if size != self.kind.sizes[n] else None
                      for n, size in enumerate(self.sizes)]
        paths = [odd.path if odd else path for odd, path in zip(self.below, self.kind.v.disks)]
        v = self.kind.v
        self.v = Volume(paths[0], " ".join(v.options), paths[1] if v.meta else None)
        try:
            for path, image in zip(paths, self.images):
                poke(path, 0, image)
            self.open(False)
            # What is left is sometimes opened once more.
            if self.open(True) and self.rng.randrange(3) == 0:
                self.images = [contents(path) for path in paths]
                self.what += "; again"
                self.open(True)
        finally:
            for odd in filter(None, self.below):
                odd.remove()

    def must_come_up(self, meaning, words, readonly):
        """Nothing is wrong but what is only advice."""
        kind, state = self.kind, self.state.name
        if not meaning or meaning.volume() != kind.plain.volume() or self.sizes != kind.sizes:
            return False
        if not meaning.acceptable(kind.key) or not self.images[-1][:8] == b"integrt\0":
            return False
        dirty = meaning.sb.flags & DIRTY
        if kind.keyed and (meaning.pending() or dirty or words in ("recalculate", "reset_recalculate")):
            return False
        if self.damage in ("bitmap", "granularity", "dirty") or state == "dirty":
            return bool(dirty)
        return not (readonly and state == "journal")

    def open(self, writable):
        """Opens it in some way; did it come up, and could be written."""
        rng, kind = self.rng, self.kind
        mode = rng.choice("DJB" if writable else "DJBR")
        readonly = not writable and (mode != "R" or rng.randrange(2) == 0)
        words = rng.choice(("", "", "", "recalculate", "reset_recalculate", "no_recalculate",
                            f"sectors_per_bit:{8 * REGION}"))
        meaning, made = self.understand(mode, readonly)
        flagged = meaning and not made and meaning.sb.flags & RECALC
        self.requested = not readonly and (words == "reset_recalculate" or words == "recalculate" and not flagged)
        provided = meaning.layout.P if meaning else kind.length
        length = rng.choice((min(provided, kind.length), provided, min(Superblock(self.v.sb_dev).provided, 1 << 50)))
        length = max(8, length // 8 * 8)
        opening = f"{self.what}; mode {mode} {words}{', read-only' if readonly else ''}, {length} sectors"
        watch.step(opening)
        log.mark()
        try:
            dev = self.v.open(words, "v", length, readonly, mode)
        except DMError as error:
            self.refused(opening, error)
            if self.must_come_up(meaning, words, readonly) and length <= provided:
                fail(f"{opening}: refused, though nothing vital is wrong: {log.text()!r}")
            writable = False
        else:
            with dev:
                if not meaning:
                    fail(f"{opening}: comes up")
                expect_eq(dev.field(1), str(provided), f"{opening}: provided sectors")
                unverified = self.read(opening, dev, meaning, mode, words, length)
                if writable:
                    self.write(opening, dev, length)
                    self.made.append(unverified)
                if dev.field(3) == "Fail":
                    fail(f"{opening}: the device has failed: {log.text()!r}")
            counts[f"{self.damage} came up"] += 1
        watch.step(f"{opening}: removed")
        if not writable:
            after = [contents(path) for path in self.v.disks]
            if after != self.images:
                fail(f"{opening}: something was written")
        return writable

    def refused(self, opening, error):
        reason = WHY.search(log.text())
        if not reason:
            fail(f"{opening}: {error}, and the log does not say why: {log.text()!r}")
        counts[f"{self.damage} refused"] += 1
        reasons[reason[1]] += 1

    def read(self, opening, dev, meaning, mode, words, length):
        """Every block; the test for sectors that may be read without a tag."""
        kind, size, spb = self.kind, self.kind.size, self.kind.size // SECTOR
        bit = int(words.partition("sectors_per_bit:")[2] or REGION)
        unverified = [meaning.unverified(mode, self.requested, bit, self.images[-1][4096:]), *self.made]
        whole = meaning.volume() == kind.plain.volume()
        for block, data in self.blocks_of(opening, dev, length * SECTOR // size):
            versions = [self.newer[block]] if block in self.newer else \
                [written(block, n, size) for n in range(1, 2 + (block in self.state.lost)) if block < kind.blocks]
            counts["blocks" if data else "unreadable"] += 1
            if data is None:
                good = block in self.newer or block < kind.blocks and block not in self.state.lost
                if mode == "R" or whole and good:
                    fail(f"{opening}: block {block} cannot be read, though it was not damaged")
            elif data not in versions:
                at = meaning.layout.data_sector(block * spb) * SECTOR
                if not any(u(block * spb) for u in unverified) or data != self.images[0][at:at + size]:
                    fail(f"{opening}: block {block} is nothing that was ever written: {data[:16].hex()}")
        return unverified[0]

    def blocks_of(self, opening, dev, number):
        """(block, data or None)"""
        size, many = self.kind.size, 16
        with direct(dev.path, os.O_RDONLY) as (fd, _):
            buffer = mmap.mmap(-1, many * size)

            def read(block, count):
                try:
                    done = os.preadv(fd, [memoryview(buffer)[:count * size]], block * size)
                except OSError as error:
                    if error.errno != errno.EILSEQ:
                        fail(f"{opening}: reading {count} blocks at {block}: {error.strerror}")
                    return None
                expect_eq(done, count * size, f"{opening}: reading {count} blocks at {block}")
                return buffer[:done]

            for first in range(0, number, many):
                count = min(many, number - first)
                data = read(first, count)
                for block in range(first, first + count):
                    yield block, data[(block - first) * size:][:size] if data else read(block, 1)

    def write(self, opening, dev, length):
        """A block, that has to be there from now on."""
        block = self.rng.randrange(length * SECTOR // self.kind.size)
        self.newer[block] = written(block, 3, self.kind.size)
        write_at(dev.path, block * self.kind.size, self.newer[block])
        if read_at(dev.path, block * self.kind.size, self.kind.size) != self.newer[block]:
            fail(f"{opening}: block {block} is not what was just written")


say(f"seed {SEED}")
kinds = [Kind(number) for number in range(len(KINDS))]
began = time.monotonic()
for number in range(ROUNDS):
    Case(number, kinds).run()
took = time.monotonic() - began
for number in range(len(KINDS)):
    for n in range(len(kinds[number].sizes)):
        Device(f"disk{number}{n}").remove()
say(", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
say("refused: " + ", ".join(f"{n} {why}" for why, n in reasons.most_common()))
say(f"{ROUNDS} damaged volumes, {ROUNDS / took:.1f} a second")
if not (reasons and counts["blocks"] and counts["unreadable"]):
    fail("the damage does nothing")
END
