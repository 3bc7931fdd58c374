# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A volume whose journal is dirty - the disk is copied while it is in use - is taken over by the other
# module: what ours left is replayed by the kernel's own target and the other way round, in turns over
# several rounds, for hashes, ciphers, MACs, block sizes and layouts; after each every block is what was
# written, and the oracle says so as well, in memory and with `journal --apply`.
# kernels: 6.12
# long-kernels: 6.1
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
# DMI_PAIR: the two modules; DMI_FULL=yes: every combination (long).
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
import itertools

from volume import *

PAIR = os.environ.get("DMI_PAIR", "ours intree").split()
ROUNDS = 3 if os.environ.get("DMI_LONG") else 2
HASHES = ["crc32c", "sha256", f"hmac(sha256):{KEY}"]
CIPHERS = ["", f"ctr(aes):{KEY}", f"cbc(aes):{KEY}", f"chacha20:{KEY * 2}"]
MACS = ["", f"hmac(sha256):{KEY}", "crc32c"]
MIB = 2
rng = random.Random(KERNEL)

for module in ("chacha_generic", "chacha20", "ctr", "cbc"):
    subprocess.run(["modprobe", "-q", module], check=False)
crypto = pathlib.Path("/proc/crypto").read_text()
if "chacha20" not in crypto:
    say("no chacha20 here")
    CIPHERS.pop()


def pairs(choices):
    """Combinations such that any two values of different choices meet."""
    every = [(one, set(itertools.combinations(enumerate(one), 2))) for one in itertools.product(*choices)]
    rng.shuffle(every)
    missing, found = set.union(*(met for _, met in every)), []
    while missing:
        one, met = max(every, key=lambda e: len(e[1] & missing))
        missing -= met
        found.append(one)
    return found


CHOICES = (HASHES, CIPHERS, MACS, ("", "fix_hmac"), (512, 4096), ("meta", "interleaved"))
if os.environ.get("DMI_FULL"):
    wanted = list(itertools.product(*CHOICES))
else:
    wanted = pairs(CHOICES)
data_disk, meta_disk, data_copy, meta_copy = ramdisks(MIB, 4)


class Case:
    """A volume that goes from one module to the other as an image of its disks."""

    def __init__(self, number, words):
        h, crypt, mac, self.fix, self.bs, layout = words
        self.name = " ".join(str(w).split(":")[0] for w in words if w)
        self.number = number
        self.options = f"internal_hash:{h} block_size:{self.bs}"
        if crypt:
            self.options += f" journal_crypt:{crypt}"
        if mac:
            self.options += f" journal_mac:{mac}"
        self.crypt = crypt
        self.meta = meta_disk if layout == "meta" else None
        self.rng = random.Random(f"{number} {KERNEL}")
        self.images = None
        self.expected = None
        # Blocks written after the last flush may be there or not.
        self.doubt = {}

    def volume(self, copy=False):
        if copy:
            return Volume(data_copy, self.options, meta_copy if self.meta else None, mode="J")
        return Volume(data_disk, self.options, self.meta, mode="J")

    def put(self, data=data_disk, meta=meta_disk):
        poke(data, 0, self.images[0])
        if self.meta:
            poke(meta, 0, self.images[1])

    def take(self):
        v = self.volume()
        self.images = [contents(d) for d in v.disks]

    def format(self):
        for d in (data_disk, meta_disk):
            clear(d, MIB << 20)
        v = self.volume()
        extra = f"journal_sectors:{self.rng.choice((900, 1300, 2000))} interleave_sectors:1024 fix_padding {self.fix}"
        with Device("format").create(8, v.table(extra)):
            pass
        if self.number % 2:     # as integritysetup does it
            with v.open(mode="D") as dev:
                write_all(dev.path, self.number, self.bs)
        else:
            with v.open() as dev:
                write_all(dev.path, self.number, self.bs)
        self.expected = bytearray(pattern(self.number, v.sb.provided * SECTOR))
        self.take()

    def compare(self, path, who):
        with direct(path, os.O_RDONLY) as (fd, size):
            expect_eq(size, len(self.expected), f"{who}: size")
            buffer = mmap.mmap(-1, size)
            view = memoryview(buffer)
            for at in range(0, size, 1 << 18):
                length = min(1 << 18, size - at)
                if os.preadv(fd, [view[at:at + length]], at) != length:
                    fail(f"{who}: short read at {at}")
        self.compare_bytes(buffer[:], who)

    def compare_bytes(self, found, who):
        if found == self.expected:
            return
        for at in range(0, len(found), self.bs):
            block = found[at:at + self.bs]
            if block == self.expected[at:at + self.bs]:
                continue
            if block not in self.doubt.get(at, ()):
                fail(f"{who}: block {at // self.bs} is not what was written")
            self.expected[at:at + self.bs] = block

    def write(self, path):
        """Overlapping writes, a flush, and some more that nobody waits for."""
        self.doubt = {}
        with direct(path, os.O_RDWR) as (fd, size):
            def one():
                count = self.rng.choice((1, 1, 2, 5, 17)) * self.bs
                at = self.rng.randrange(0, min(size, 40 * self.bs) if self.rng.random() < 0.5 else size - count, self.bs)
                count = min(count, size - at)
                data = self.rng.randbytes(count)
                if os.pwrite(fd, memoryview(aligned(data))[:count], at) != count:
                    fail(f"{path}: short write")
                return at, data
            for _ in range(self.rng.choice((12, 25, 60))):
                at, data = one()
                self.expected[at:at + len(data)] = data
            os.fsync(fd)
            for _ in range(3):
                at, data = one()
                for b in range(0, len(data), self.bs):
                    self.doubt.setdefault(at + b, []).append(data[b:b + self.bs])

    def oracle_says(self):
        """Of the disks as they were copied; how many blocks a replay changes."""
        from oracle.journal import Journal
        from oracle.volume import Volume as Image
        self.put(data_copy, meta_copy)
        v = self.volume(copy=True)
        args = v.oracle_args() + (["--journal-crypt", self.crypt] if self.crypt else [])
        status, text = oracle("check", *args, "--replay")
        if status:
            fail(f"{self.name}: oracle check --replay: status {status}: {text}")
        image = Image(v.data, v.meta, 0, v.option("internal_hash"), v.option("journal_mac") or None, self.crypt or None)
        journal = Journal(image)
        plan = journal.replay()
        changed = len(journal.changed(plan)) if not plan.error else 0
        for fd in {image.data.fd, image.meta.fd}:
            os.close(fd)
        if self.number % 4 == 0:
            status, text = oracle("journal", *args, "--apply")
            if status:
                fail(f"{self.name}: oracle journal --apply: status {status}: {text}")
            status, text = oracle("check", *args)
            if status:
                fail(f"{self.name}: oracle check after journal --apply: status {status}: {text}")
        return changed


sys.path.insert(0, str(TOP / "tests/oracle"))
cases = [Case(n, words) for n, words in enumerate(wanted)]
replayed = blocks = 0
taken = {}
# Half of the volumes begin with the one, half with the other.
for step in range(ROUNDS + 2):
    for parity in (0, 1):
        module = PAIR[(step + parity) % 2]
        load(module)
        for case in cases[parity::2]:
            who = f"round {step}: {case.name}: {module}"
            if step == 0:
                case.format()
            case.put()
            v = case.volume()
            # In the last two rounds nothing is written any more.
            dev = v.open("journal_watermark:100 commit_time:1000000")
            case.compare(dev.path, who)
            if step <= ROUNDS - 1:
                case.write(dev.path)
                case.take()
                dev.remove()
                changed = case.oracle_says()
                # It may have been written back just before the copy.
                replayed += changed > 0
                blocks += changed
            else:
                expect_eq(dev.field(0), "0", f"{who}: mismatches")
                dev.remove()
                case.take()
                v.check()
            taken[module] = taken.get(module, 0) + 1
say(f"{len(cases)} volumes; {replayed} dirty journals taken over, {blocks} blocks changed by their replay; opened: {taken}")
if replayed < ROUNDS * len(cases) * 3 / 4:
    fail("too many copies had nothing to replay: this tests nothing")
END
