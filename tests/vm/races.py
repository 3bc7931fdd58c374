#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""races.py SECONDS SEED: rounds on volumes of several kinds, in each of which some processes do to one
mapped device what they like, while threads read and write it and know what they must find.

There is one device at most, with a uuid, which no other may have; its name changes. Who removes it asks the
threads to close it before. As long as they have it open nothing that they do to it may fail.
"""

from dm import Dm
from racers import CONTROLLERS, NAMES, PATIENCE, UUID, Controller, Shared, Threads, multiprocessing
from volume import *

SECTORS = 6 << 11               # of the data device, before it grows
MAC = f"journal_mac:hmac(sha256):{KEY} fix_hmac"
KINDS = [       # options, is there a meta_device, modes
    ("internal_hash:crc32c block_size:512 interleave_sectors:2048 fix_padding", False, "JDB"),
    ("internal_hash:sha256 block_size:4096", True, "JDB"),
    (f"internal_hash:crc32c block_size:4096 interleave_sectors:512 fix_padding {MAC}", False, "JDB"),
    (f"internal_hash:hmac(sha256):{KEY} block_size:512 journal_crypt:ctr(aes):{KEY} {MAC}", True, "JD"),
    (f"internal_hash:crc32c block_size:512 journal_crypt:cbc(aes):{KEY}", True, "JD"),
    ("internal_hash:xxhash64 block_size:1024 interleave_sectors:1024", False, "JDB"),
]


class Round:
    """A volume, and the devices that it is on."""

    def __init__(self, number, seed, disks):
        self.rng = random.Random(f"{seed} {number}")
        options, separate, self.modes = KINDS[self.rng.randrange(len(KINDS))]
        self.seed, self.number, self.disks, self.shared = seed, number, disks, Shared()
        self.late = self.rng.randrange(1, 20) if number % 2 else 0      # milliseconds of dm-delay
        for n, disk in enumerate(disks):
            clear(disk, size_of(disk))
            Device(f"below{n}").create(SECTORS, f"linear {disk} 0")
        options += " journal_sectors:1000"
        self.v = Volume("/dev/mapper/below0", options, "/dev/mapper/below1" if separate else None)
        self.v.format()
        self.length = self.v.sb.provided
        self.blocks = self.length * SECTOR // self.v.block_size
        with self.v.open("recalculate") as dev:
            wait_for("recalculation", lambda: dev.field(2) == dev.field(1), 60)
        self.what = f"round {number}: {options}, {f'disks {self.late} ms late' if self.late else 'fast disks'}"

    def below(self, n, sectors, late):
        """The table of a disk from now on."""
        dev = Dm(f"below{n}")
        disk = self.disks[n]
        dev.load(f"0 {sectors} delay {disk} 0 {late}" if late else f"0 {sectors} linear {disk} 0")
        dev.resume()

    def line(self, rng, length):
        mode = rng.choice(self.modes)
        words = rng.choice(("", "", "recalculate", "reset_recalculate", "no_recalculate"))
        words += rng.choice(("", " buffer_sectors:8", " buffer_sectors:32"))
        words += rng.choice(("", " commit_time:0", " commit_time:50"))
        if mode == "J":
            words += rng.choice(("", " journal_watermark:0", " journal_watermark:100"))
        if mode == "B":
            words += rng.choice(("", " sectors_per_bit:64", " sectors_per_bit:512"))
            words += rng.choice(("", " bitmap_flush_interval:20", " bitmap_flush_interval:200"))
        return f"0 {length} {self.v.table(words, mode)}"

    def run(self, seconds):
        say(self.what)
        for n in range(len(self.disks)):
            self.below(n, SECTORS, self.late)
        controllers = [Controller(self, who) for who in range(CONTROLLERS)]
        workers = Threads(self)
        processes = [multiprocessing.Process(target=who.process, daemon=True) for who in (*controllers, workers)]
        for p in processes:
            p.start()
        end, waiting, counts = time.monotonic() + seconds, len(processes), {}
        while waiting:
            self.shared.watch()
            if time.monotonic() > end:
                self.shared.stop.set()
            if waiting == 1 and not self.shared.last.is_set():
                self.settle()
                self.shared.last.set()
            while not self.shared.ended.empty():
                who, trouble, done = self.shared.ended.get()
                if trouble:
                    fail(f"{self.what}: {who}: {trouble}")
                for what, n in done.items():
                    counts[what] = counts.get(what, 0) + n
                waiting -= 1
            time.sleep(0.1)
        for p in processes:
            p.join()
        self.close()
        return counts

    def settle(self):
        """Whatever the others left: it is there, it is live, and what is below is fast."""
        for n in range(len(self.disks)):
            self.below(n, size_of(f"/dev/mapper/below{n}") // SECTOR, 0)
        dev = Dm(NAMES[0], UUID)
        try:
            dev.create()
        except OSError as error:
            expect_eq(error.errno, errno.EBUSY, "creation of what may be there")
        if not dev.status():
            dev.load(f"0 {self.length} {self.v.table()}")
        dev.resume()

    def close(self):
        """Every tag is right, say ours and the oracle, but for what was added, which may never have had any."""
        dev = Dm(NAMES[0], UUID)
        for message in ("idle", "speed_max 0", "speed_min 1000000"):
            dev.message(message)
        wait_for(f"{self.what}: passes end", lambda: dev.status().split()[3] == "idle", 2 * PATIENCE)
        dev.message(f"check 0 {self.length}")
        wait_for(f"{self.what}: the check ends", lambda: dev.status().split()[3] == "idle", 2 * PATIENCE)
        words = dev.status().split()
        expect_eq((words[0], words[6]), ("0", "0"), f"{self.what}: mismatches and bad blocks")
        dev.remove_retry()
        args = self.v.oracle_args()
        if self.v.option("journal_crypt"):
            args += ["--journal-crypt", self.v.option("journal_crypt")]
        status, text = oracle("check", *args, "--all", "--upto", self.length)
        if status:
            fail(f"{self.what}: oracle: {text}")
        for n in range(len(self.disks)):
            Device(f"below{n}").remove()


def main():
    seconds, seed = int(sys.argv[1]), sys.argv[2]
    disks, total, number = ramdisks(10, 2), {}, 0
    run("modprobe", "dm-delay")
    for number in range(max(2, seconds // 20)):
        for what, n in Round(number, seed, disks).run(20).items():
            total[what] = total.get(what, 0) + n
    say(f"{number + 1} rounds: " + ", ".join(f"{n} {what}" for what, n in sorted(total.items())))
    missing = [what for what in ("I/Os", "suspend", "suspend noflush", "load", "remove", "create", "rename", "clear",
                                 "growth", "check", "frozen", "cancel_recalculate") if not total.get(what)]
    if missing:
        fail(f"not everything was done: {missing}")


main()
