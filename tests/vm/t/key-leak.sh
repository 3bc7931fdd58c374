# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# Keys do not stay behind: when a volume with keys for its hash, its journal's MAC and its journal's cipher was made,
# used, checked and removed, and tables with the key were refused at each of several steps, neither the key nor its
# digits are anywhere in memory, or in the log. While such a volume is there they are found, so who looks can see.
# kernels: 6.12
# long-kernels: 6.1
# long: yes
# cpus: 1
# mem: 512
# append: init_on_free=0 init_on_alloc=0
# timeout: 300

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
import dm
from volume import *

SECURE_DATA = 1 << 15   # the kernel wipes its copy of what is handed in
LOAD = 1 << 20          # bytes of memory looked at at a time


class Key:
    """32 bytes that are nowhere in this program's memory in one piece, nor their digits: 8, and 24 below a mask."""

    def __init__(self):
        self.head, self.mask, self.masked = os.urandom(8), os.urandom(24), os.urandom(24)

    def put_digits(self, buffer, at):
        for i in range(32):
            byte = self.head[i] if i < 8 else self.mask[i - 8] ^ self.masked[i - 8]
            buffer[at + 2 * i] = b"0123456789abcdef"[byte >> 4]
            buffer[at + 2 * i + 1] = b"0123456789abcdef"[byte & 15]

    def follows(self, buffer, at, digits):
        for i in range(24):
            byte = self.mask[i] ^ self.masked[i]
            if digits:
                if buffer[at + 2 * i] != b"0123456789abcdef"[byte >> 4]:
                    return False
            elif buffer[at + i] != byte:
                return False
        return True


def load_table(name, length, table, key):
    """Each KEY in the table becomes the digits of the key, and nothing of that stays in this program."""
    line = table.replace("KEY", "0" * 64).encode()
    buffer = bytearray(8192)
    size = dm.SPEC.size + len(line) + 1
    dm.HEADER.pack_into(buffer, 0, 4, 0, 0, len(buffer), dm.HEADER.size, 1, 0, SECURE_DATA, 0, 0, 0, name.encode(), b"")
    dm.SPEC.pack_into(buffer, dm.HEADER.size, 0, length, 0, size + -size % 8, b"integrity")
    begin = dm.HEADER.size + dm.SPEC.size
    buffer[begin:begin + len(line)] = line
    at = begin
    while (at := buffer.find(b"0" * 64, at)) >= 0:
        key.put_digits(buffer, at)
    try:
        fcntl.ioctl(dm.control(), 3 << 30 | dm.HEADER.size << 16 | 0xFD << 8 | dm.LOAD, buffer)
    finally:
        buffer[:] = bytes(len(buffer))


def found(key):
    """How often the key is in memory: (bytes, digits)."""
    count = [0, 0]
    buffer = bytearray(LOAD + 256)
    with open("/proc/kcore", "rb", buffering=0) as core:
        head = core.read(64)
        at, size, number = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
        core.seek(at)
        table = core.read(size * number)
        for n in range(number):
            kind, _, offset, _, physical, length = struct.unpack_from("<IIQQQQ", table, n * size)
            if kind != 1 or physical == (1 << 64) - 1 or length > 1 << 40:
                continue
            for piece in range(0, length, LOAD):
                core.seek(offset + piece)
                got = core.readinto(memoryview(buffer)[:min(len(buffer), length - piece)])
                for digits, needle in enumerate((key.head, key.head.hex().encode())):
                    i = buffer.find(needle, 0, got)
                    while i >= 0:
                        if i < LOAD and i + 64 < got:
                            count[digits] += key.follows(buffer, i + len(needle), digits)
                        i = buffer.find(needle, i + 1, got)
    buffer[:] = bytes(len(buffer))
    return tuple(count)


OPTIONS = ("block_size:4096 internal_hash:hmac(sha256):KEY journal_mac:hmac(sha256):KEY journal_crypt:cbc(aes):KEY "
           "fix_hmac").split()


def table(disk, options=OPTIONS, mode="J"):
    return f"{disk} 0 - {mode} {len(options)} {' '.join(options)}"


def volume(disk, key):
    """A new one, open."""
    clear(disk)
    with Device("format").create() as d:
        load_table("format", 8, table(disk), key)
        d.resume()
    d = Device("v").create()
    load_table("v", Superblock(disk).provided, table(disk), key)
    d.resume()
    return d


disk, small = ramdisks(8, 2)
load("ours")
run("modprobe", "-a", "aes_generic", "cbc", "hmac", "sha256_generic")
log.mark()
key = Key()
dev = volume(disk, key)
write_all(dev.path, 7, 4096)
sync(dev.path)
dev.message("check")
wait_for("the check", lambda: dev.field(3) == "idle")
dev.remove()
refused = Device("r").create()
clear(small)
for what, number, line in (
        ("another hash than the volume's", (errno.EILSEQ, errno.EINVAL), table(disk, ["internal_hash:hmac(sha1):KEY"] + OPTIONS[2:] + OPTIONS[:1])),
        ("a hash without keys", errno.ENOSYS, table(disk, ["internal_hash:sha256:KEY"])),
        ("no such hash", errno.ENOENT, table(disk, ["internal_hash:hmac(sha257):KEY"])),
        ("a cipher of other keys", errno.EINVAL, table(small, OPTIONS[:3] + ["journal_crypt:cbc(aes):KEYKEY"])),
        ("no such device", (errno.ENOENT, errno.ENODEV, errno.EINVAL), table("/dev/nothing")),
        ("an unknown word", errno.EINVAL, table(disk, OPTIONS + ["nothing"])),
        ("digits that are none", errno.EINVAL, table(disk, OPTIONS + ["internal_hash:hmac(sha256):KEYx"]))):
    expect_refused(number, what, load_table, "r", 8, line, key)
refused.remove()
unload()
wait_for("what is freed later is freed", lambda: found(key) == (0, 0), 20)
text = log.text()
if key.head.hex() in text:
    fail("the key is in the log")
say(f"nothing of a key is left after a volume's life and tables that were refused: {found(key)}")

load("ours")
another = Key()
dev = volume(disk, another)
there = found(another)
say(f"of a volume that is there: its bytes {there[0]} times, its digits {there[1]} times")
if not all(there):
    fail(f"who looks for keys does not find those of a volume that is there: {there}")
dev.remove()
END
