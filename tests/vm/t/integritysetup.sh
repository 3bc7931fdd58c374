# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# integritysetup works with ours as with the kernel's own target: format with and
# without --no-wipe, open, status, dump, close, --integrity-recalculate, --data-device,
# --integrity-recalculate-reset, keys; a volume formatted under either opens under the
# other; with the tool's defaults, that is in mode J with fix_padding and fix_hmac, in
# modes D and B; with an encrypted journal.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

a, b, c, d, e, f, g = ramdisks(8, 7)
key, mac = (pathlib.Path(os.environ["TMPDIR"]) / name for name in ("key", "mac"))
key.write_bytes(bytes.fromhex(KEY) * 2)
mac.write_bytes(b"m" * 32)
HMAC_KEY = ["--integrity", "hmac-sha256", "--integrity-key-file", key, "--integrity-key-size", 32]
MAC_KEY = ["--journal-integrity", "hmac-sha256", "--journal-integrity-key-file", mac,
           "--journal-integrity-key-size", 32]


def tool(*args):
    return run("integritysetup", *args)


def tool_fails(what, *args):
    done = subprocess.run(["integritysetup", *map(str, args)], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode == 0:
        fail(f"{what}: integritysetup {args} succeeded")
    if done.returncode > 100:
        fail(f"{what}: integritysetup {args}: status {done.returncode}")
    if Device("i").exists:
        fail(f"{what}: the device is there")
    return done.stdout


def pass_ends():
    dev = Device("i")
    wait_for("recalculation ends", lambda: dev.field(2) == dev.field(1), 60)


def status_of(name, **want):
    text = tool("status", name)
    expect_match(text, f"{name} is active", "integritysetup status")
    for field, value in want.items():
        expect_match(text, rf"{field.replace('_', ' ')}: +{value}\b", "integritysetup status")
    return text


load("ours")

# --- format with a wipe: every tag is right at once ---

tool("format", "-q", "--integrity", "crc32c", "--sector-size", 4096, a)
A = Volume(a, "internal_hash:crc32c block_size:4096")
A.check()
sb = A.sb
expect_eq((sb.version, sb.flags), (5, PADDING | HMAC), "version and flags by the tool's default")
dump = tool("dump", a)
for regex in (rf"superblock_version {sb.version}\b", r"integrity_tag_size 4\b",
              rf"journal_sections {sb.journal_sections}\b",
              rf"provided_data_sectors {sb.provided}\b", r"sector_size 4096\b", r"log2_interleave_sectors 15\b"):
    expect_match(dump, regex, "integritysetup dump")
tool("open", "-D", "--integrity", "crc32c", a, "i")
status_of("i", type="INTEGRITY", integrity="crc32c", tag_size=4, sector_size="4096 bytes", mode="read/write",
          size=f"{sb.provided} sectors", failures=0)
write_all("/dev/mapper/i", 1, 4096)
tool("close", "i")
A.check()
expect_match(tool_fails("status of a closed one", "status", "i"), "inactive", "integritysetup status")

# --- --no-wipe: no tag is right, until they are recalculated ---

before = pattern(7, size_of(b))
poke(b, 65536, before[65536:])
tool("format", "-q", "--no-wipe", "--integrity", "sha256", "--tag-size", 32, "--interleave-sectors", 1024, b)
B = Volume(b, "internal_hash:sha256")
expect_eq(oracle("check", *B.oracle_args())[0], 1, "the oracle on a volume that was not wiped")
tool("open", "-D", "--integrity", "sha256", b, "i")
expect_refused(errno.EILSEQ, "read of a volume that was not wiped", read_at, "/dev/mapper/i", 4096, 4096)
expect_match(tool("status", "i"), r"failures: [1-9]", "failures counted")
tool("close", "i")
tool("open", "-D", "--integrity-recalculate", "--integrity", "sha256", b, "i")
expect_match(Device("i").table(), r" recalculate ", "table with --integrity-recalculate")
pass_ends()
data = contents("/dev/mapper/i")
if data[-65536:-4096] not in before:
    fail("data changed by recalculation")
tool("close", "i")
B.check()
expect_match(tool("dump", b), rf"recalc_sector {B.sb.provided}\b", "integritysetup dump")
expect_match(tool("dump", b), r"flags .*recalculating", "integritysetup dump")
# The library asks for it each time from now on, and looks for the word in the table.
tool("open", "-D", "--integrity", "sha256", b, "i")
expect_match(Device("i").table(), r" recalculate ", "table of a finished volume")
expect_eq(Device("i").field(3), "idle", "a finished volume")
tool("close", "i")

# --- and begin anew ---

log.mark()
tool("open", "-D", "--integrity-recalculate-reset", "--integrity", "sha256", b, "i")
log.expect("recalculation starts at sector 0")
expect_match(Device("i").table(), r" reset_recalculate ", "table with --integrity-recalculate-reset")
pass_ends()
tool("close", "i")
B.check()

# --- in mode B, and in mode J, which it takes by itself ---

for letter, words in (("B", ["-B", "--bitmap-sectors-per-bit", 1024, "--bitmap-flush-time", 5000]), ("J", [])):
    tool("open", *words, "--integrity", "crc32c", a, "i")
    expect_match(Device("i").table(), rf"^\S+ 0 4 {letter} ", "table")
    if letter == "B":
        expect_match(Device("i").table(), r" sectors_per_bit:1024 bitmap_flush_interval:5000 ", "table")
    read_all("/dev/mapper/i", 1, 4096)
    write_all("/dev/mapper/i", 1, 4096)
    tool("close", "i")
    A.check()

# --- mode J, which the tool takes by itself ---

tool("open", "--integrity", "crc32c", a, "i")
expect_match(Device("i").table(), r"^\S+ 0 4 J .* journal_watermark:50 commit_time:10000 ", "table in mode J")
status_of("i", type="INTEGRITY", integrity="crc32c", tag_size=4, sector_size="4096 bytes", mode="read/write",
          size=f"{A.sb.provided} sectors", failures=0)
read_all("/dev/mapper/i", 1, 4096)
write_all("/dev/mapper/i", 5, 4096)
tool("close", "i")
A.check()
tool("open", "--journal-watermark", 80, "--journal-commit-time", 77, "--integrity", "crc32c", a, "i")
expect_match(Device("i").table(), r" journal_watermark:79 commit_time:77 ", "table in mode J, of 48 entries")
read_all("/dev/mapper/i", 5, 4096)
tool("close", "i")
for crypt in ("ctr-aes", "cbc-aes"):
    words = ["--journal-crypt", crypt, "--journal-crypt-key-file", key, "--journal-crypt-key-size", 32]
    tool("format", "-q", "--integrity", "crc32c", *MAC_KEY, *words, f)
    tool("open", "--integrity", "crc32c", *MAC_KEY, *words, f, "i")
    write_all("/dev/mapper/i", 6, 512)
    tool("close", "i")
    log.mark()
    tool_fails("without the key of the journal", "open", "--integrity", "crc32c", *MAC_KEY, f, "i")
    log.expect("cannot resume: the journal is damaged or not encrypted as the table says")
    load("intree")
    tool("open", "--integrity", "crc32c", *MAC_KEY, *words, f, "i")
    read_all("/dev/mapper/i", 6, 512)
    tool("close", "i")
    load("ours")
clear(f)

# --- wrong algorithm, key, device ---

tool_fails("no volume", "open", "-D", "--integrity", "crc32c", f, "i")
tool_fails("no volume", "dump", f)

# --- keys and a separate data device ---

tool("format", "-q", *HMAC_KEY, "--tag-size", 20, c)
C = Volume(c, f"internal_hash:hmac(sha256):{KEY * 2}", tag=20)
C.check()
text = tool_fails("keyed recalculation", "open", "-D", "--integrity-recalculate", *HMAC_KEY, c, "i")
expect_match(text, "Kernel refuses to activate insecure recalculate", "keyed recalculation")
tool("open", "-D", "--integrity-recalculate", "--integrity-legacy-recalculate", *HMAC_KEY, c, "i")
status_of("i", tag_size=20)
pass_ends()
tool("close", "i")
C.check()

tool("format", "-q", "--integrity", "xxhash64", "--tag-size", 8, "--data-device", d, e)
D = Volume(d, "internal_hash:xxhash64", e)
D.check()
expect_eq((D.sb.version, D.sb.provided), (5, size_of(d) // SECTOR), "version and size with --data-device")
tool("open", "-D", "--integrity", "xxhash64", "--data-device", d, e, "i")
write_all("/dev/mapper/i", 2, 512)
status_of("i", integrity="xxhash64")
tool("close", "i")
D.check()

# --- the same volumes under in-tree, in the mode that integritysetup takes by itself ---

load("intree")
tool("open", "--integrity", "crc32c", a, "i")
read_all("/dev/mapper/i", 5, 4096)
write_all("/dev/mapper/i", 3, 4096)
tool("close", "i")
tool("open", "--integrity", "sha256", b, "i")
expect_eq(contents("/dev/mapper/i") == data, True, "recalculated data read by in-tree")
tool("close", "i")
tool("open", *HMAC_KEY, "--integrity-legacy-recalculate", c, "i")
contents("/dev/mapper/i")
tool("close", "i")
tool("open", "--integrity", "xxhash64", "--data-device", d, e, "i")
read_all("/dev/mapper/i", 2, 512)
tool("close", "i")
# And what it formats: padding and salt, as new tools do with new kernels.
tool("format", "-q", "--integrity", "crc32c", "--sector-size", 512, f)
tool("format", "-q", "--no-wipe", *HMAC_KEY, *MAC_KEY, g)

load("ours")
F = Volume(f, "internal_hash:crc32c")
expect_eq((F.sb.version, F.sb.flags), (5, PADDING | HMAC), "version and flags by in-tree's default")
F.check()
tool("open", "-D", "--integrity", "crc32c", f, "i")
expect_match(Device("i").table(), " fix_padding fix_hmac ", "table")
write_all("/dev/mapper/i", 4, 512)
tool("close", "i")
F.check()
# Its superblock is protected: recalculation is no insecurity, and a wrong key is noticed.
log.mark()
tool_fails("wrong key", "open", "-D", *HMAC_KEY, *MAC_KEY[:3], key, *MAC_KEY[4:], g, "i")
log.expect("superblock's MAC does not match")
tool("open", "-D", "--integrity-recalculate", *HMAC_KEY, *MAC_KEY, g, "i")
pass_ends()
tool("close", "i")
Volume(g, f"internal_hash:hmac(sha256):{KEY * 2} journal_mac:hmac(sha256):{mac.read_bytes().hex()}").check()
tool("open", "-D", "--integrity", "crc32c", a, "i")
read_all("/dev/mapper/i", 3, 4096)
tool("close", "i")
for v in (A, B, C, D):
    v.check()
say("7 volumes by integritysetup, opened in turn by ours and in-tree")
END
