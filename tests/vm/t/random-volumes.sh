# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Random valid tables and random I/O against a model that knows what each block must hold. Volumes of every
# block size, layout and hash, with and without keys, encryption of the journal and discards, go between modes
# D, J and B, between ours and the kernel's own target, through suspends, reloads, recalculations, checks and
# crashes; each read gives what was last written, after a crash what was flushed or is newer, and in the end
# the oracle finds every tag right.
# kernels: 6.12
# long-kernels: 6.1 debug
# long: yes
# cpus: 1
# timeout: 900

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
import collections

from volume import *

SEED = int(os.environ.get("DMI_SEED") or time.time())
VOLUMES = int(os.environ.get("DMI_ROUNDS") or 60)
MIB = 2
disks = ramdisks(MIB, 4)
SECTORS = MIB << 11
counts = collections.Counter()
ANY = -1        # what a discarded block holds


class Random:
    """A volume, and what is known of its blocks."""

    def __init__(self, number):
        self.rng = rng = random.Random(f"{SEED} {number}")
        self.steps = []
        for d in disks:
            clear(d, MIB << 20)
        # Below the volume, so that its I/O can be held while the disks are copied.
        self.below = [Device(f"below{n}").create(SECTORS, f"linear {disks[n]} 0") for n in range(2)]
        meta = self.below[1].path if rng.randrange(2) else None
        self.keyed = rng.randrange(4) == 0
        hash_ = f"hmac(sha256):{KEY}" if self.keyed else rng.choice(("crc32c", "crc32c", "xxhash64", "sha256"))
        self.size = rng.choice((512, 1024, 2048, 4096))
        words = [f"internal_hash:{hash_}", f"block_size:{self.size}", f"journal_sectors:{rng.randrange(80, 600)}"]
        if not meta:
            words += [f"interleave_sectors:{rng.choice((256, 512, 1024, 4096))}"]
            words += ["fix_padding"] if rng.randrange(2) else []
        self.mac = rng.randrange(3) == 0
        self.crypt = rng.randrange(4) == 0
        words += [f"journal_mac:hmac(sha256):{KEY}"] if self.mac else []
        words += [f"journal_crypt:{rng.choice(('ctr', 'cbc'))}(aes):{KEY}"] if self.crypt else []
        words += ["fix_hmac"] if rng.randrange(2) else []
        # Who may have tags made anew, see legacy_recalculate.
        self.recalculates = not self.keyed or self.mac if "fix_hmac" in words else not self.keyed and not self.mac
        # B has no journal to encrypt, and there recovery after a crash is refused, see differences.rst.
        self.modes = "DJ" if self.crypt or self.mac and not self.recalculates else "DJB"
        self.discards = rng.randrange(2) == 0
        words += ["allow_discards"] if self.discards else []
        words += [f"buffer_sectors:{rng.choice((8, 32, 128, 256))}"] if rng.randrange(2) else []
        tag = rng.choice(("-", "-", 4)) if hash_ != "xxhash64" else "-"
        self.v = Volume(self.below[0].path, " ".join(words), meta, tag=tag)
        self.say("table", self.v.table())

    def format(self):
        load("ours")
        self.v.format()
        self.blocks = self.v.sb.provided * SECTOR // self.size
        self.now = [0] * self.blocks
        self.older = {}         # what else a block may hold after a crash, since the last flush
        self.id = 0
        self.where = "ours"
        self.dev = None
        # Where no tags can be made, all is written.
        if self.recalculates and self.rng.randrange(2):
            self.open("recalculate")
            self.idle()
        else:
            self.open()
            self.put(0, self.blocks)
        self.flush()

    def say(self, *words):
        self.steps.append(" ".join(map(str, words)))
        counts[words[0]] += 1

    # --- I/O ---

    def content(self, n):
        return n.to_bytes(8, "little") * (self.size // 8)

    def put(self, at, count):
        self.id += 1
        data = b"".join(self.content(self.id + i) for i in range(count))
        write_at(self.dev.path, at * self.size, data)
        for block in range(at, at + count):
            self.older.setdefault(block, []).append(self.now[block])
            self.now[block] = self.id + block - at
        self.id += count

    def discard(self, at, count):
        discard_at(self.dev.path, at * self.size, count * self.size)
        for block in range(at, at + count):
            self.older.setdefault(block, []).append(self.now[block])
            self.now[block] = ANY

    def flush(self):
        sync(self.dev.path)
        self.older = {}

    def get(self, at, count):
        try:
            data = read_at(self.dev.path, at * self.size, count * self.size)
        except OSError as error:
            fail(f"reading {count} blocks at {at}: {error.strerror}")
        for i in range(count):
            want = self.now[at + i]
            if want != ANY and data[i * self.size:(i + 1) * self.size] != self.content(want):
                fail(f"block {at + i} holds {data[i * self.size:i * self.size + 16].hex()}, not {want:x}")

    def extent(self, most=64):
        at = self.rng.randrange(self.blocks)
        return at, self.rng.randrange(1, 1 + min(most, self.blocks - at))

    def io(self):
        for _ in range(self.rng.randrange(1, 20)):
            what = self.rng.randrange(10)
            if what < 5:
                self.put(*self.extent())
            elif what == 5 and self.discards:
                self.discard(*self.extent(300))
            elif what == 6:
                self.flush()
            else:
                self.get(*self.extent())
        self.say("io")

    def verify(self):
        for at in range(0, self.blocks, 256):
            self.get(at, min(256, self.blocks - at))
        expect_eq(self.dev.field(0), "0", "mismatches")
        self.say("verify")

    # --- tables ---

    def words(self, mode=None):
        rng = self.rng
        mode = mode or rng.choice(self.modes)
        words = []
        if mode == "J":
            words += [f"journal_watermark:{rng.randrange(101)}", f"commit_time:{rng.choice((0, 1, 50, 100000))}"]
        if mode == "B":
            # With another granularity all is to be made again.
            if self.recalculates and rng.randrange(2):
                words.append(f"sectors_per_bit:{rng.choice((8, 64, 512, 32768))}")
            words += [f"bitmap_flush_interval:{rng.choice((1, 100, 100000))}"]
        return mode, words

    def open(self, *more, mode=None):
        self.mode, words = self.words(mode)
        words += more
        self.say("open", self.where, self.mode, *words)
        self.dev = self.v.open(" ".join(words), mode=self.mode)

    def idle(self):
        """Until no pass runs."""
        if self.where == "ours":
            wait_for("the pass", lambda: self.dev.field(3) == "idle", 60)
        else:
            wait_for("the pass", lambda: self.dev.field(2) in ("-", self.dev.field(1)), 60)

    def close(self):
        self.idle()
        self.dev.remove()
        self.older = {}
        self.dev = None

    def reopen(self):
        self.close()
        if self.rng.randrange(2):
            # In-tree wants a permission for the recovery of keyed volumes.
            self.where = self.rng.choice(("ours", "ours", "intree")) if self.recalculates else "ours"
            load(self.where)
        self.open()

    def reload(self):
        self.idle()
        self.mode, words = self.words()
        self.say("reload", self.mode, *words)
        self.dev.load(self.v.sb.provided, self.v.table(" ".join(words), self.mode))
        self.dev.suspend()
        if self.rng.randrange(2):
            self.get_while_suspended()
        else:
            self.dev.resume()
        self.older = {}

    def get_while_suspended(self):
        """A read that waits for the resume."""
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(self.get, *self.extent())
            time.sleep(0.05)
            self.dev.resume()
            reading.result()

    def suspend(self):
        self.say("suspend")
        self.dev.suspend(*(("noflush",) if self.rng.randrange(2) else ()))
        self.get_while_suspended()

    def write_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.put(*self.extent())

    def crash(self):
        """What is on the disks now is all that is left."""
        busy = self.rng.randrange(2) == 0
        self.say("crash", *(["within writes"] if busy else []))
        if self.recalculates and self.where == "ours" and self.rng.randrange(3) == 0:
            self.say("recalculate")
            self.dev.message("speed_max 2000")
            self.dev.message("reset_recalculate")
        pool = ThreadPoolExecutor(1)
        writes = pool.submit(self.write_for, 0.5) if busy else None
        if busy:
            time.sleep(self.rng.uniform(0, 0.3))
        for d in self.below:
            d.suspend("noflush")
        for n in range(2):
            copy(disks[n], disks[n + 2])
        for d in self.below:
            d.resume()
        if busy:
            writes.result()
        pool.shutdown()
        self.dev.remove()
        for n in range(2):
            copy(disks[n + 2], disks[n])
        mode, older = self.mode, self.older
        self.older = {}
        if self.rng.randrange(2) and self.recalculates:
            self.where = self.rng.choice(("ours", "intree"))
            load(self.where)
        # Where no tags can be made, only what B has to recover is.
        self.open(mode=None if self.recalculates or mode != "B" else "B")
        self.idle()
        for block, before in older.items():
            allowed = {*before, self.now[block]}
            try:
                data = read_at(self.dev.path, block * self.size, self.size)
            except OSError as error:
                # In mode D what was not flushed may be anything.
                if mode != "D" or error.errno != errno.EILSEQ:
                    fail(f"after a crash in mode {mode}: block {block}: {error.strerror}; allowed: {allowed}")
                self.put(block, 1)
                continue
            held = next((n for n in allowed if n != ANY and data == self.content(n)), ANY)
            if held not in allowed and mode != "D":
                fail(f"after a crash in mode {mode}: block {block} holds {data[:16].hex()}, allowed: {allowed}")
            self.now[block] = held
        if self.where == "ours":
            self.dev.message("reset_mismatches")
        else:
            self.close()
            self.open()
        self.verify()

    # --- passes ---

    def recalculate(self):
        if self.where == "intree":
            self.close()
            self.open("reset_recalculate")
        else:
            self.say("recalculate")
            self.dev.message("reset_recalculate")
        self.io()
        self.idle()

    def check(self):
        if self.where == "ours":
            self.say("check")
            self.dev.message("check")
            self.io()
            if self.rng.randrange(2):
                self.dev.message("frozen")
                self.io()
                self.dev.message("check")
            self.idle()
            expect_eq(self.dev.field(6), "0", "bad blocks")

    def run(self):
        for _ in range(self.rng.randrange(8, 16)):
            what = [self.io] * 5 + [self.reopen] * 3 + [self.reload] * 2 + [self.suspend, self.verify, self.check]
            what += [self.crash] * 3
            if self.recalculates:
                what.append(self.recalculate)
            self.rng.choice(what)()
        self.verify()
        self.close()
        self.v.check(*(["--allow-discards"] if self.discards else []))
        for d in self.below:
            d.remove()


say(f"seed {SEED}")
for number in range(VOLUMES):
    subject = Random(number)
    try:
        subject.format()
        subject.run()
    except BaseException:
        say(f"volume {number}:", *(f"\n{step}" for step in subject.steps))
        raise
say(f"{VOLUMES} volumes: " + ", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
if min(counts[what] for what in ("io", "open", "reload", "crash", "check", "recalculate", "suspend")) == 0:
    fail("not everything was tried")
END
