# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# A table with any argument wrong in any way is refused with an error, and the kernel's
# log names the argument and says what is wrong with it; no key gets into the log;
# nothing is written to the disks, and a right table loads afterwards.
# kernels: 6.12
# long-kernels: 6.1 debug
# cpus: 1
# timeout: 420

. "$DMI_TOP/tests/vm/lib.sh"
PYTHONPATH=$DMI_TOP/tests/vm exec /usr/bin/python3 - << 'END'
from volume import *

load("ours")
DISKS = data, meta, blank, tiny, foreign = counted(ramdisks(2, 5))
# Somebody's file system, perhaps: it has nothing in its first blocks.
poke(foreign, 8192, random.Random(1).randbytes((2 << 20) - 8192))
small = Device("small").create(64, f"linear {tiny} 0")
SECRET = "c0ffee"
H = "internal_hash:crc32c"
SPECIAL = f"journal_mac:hmac(sha256):{KEY}"

v = Volume(data, f"{H} block_size:1024").format()
m = Volume(blank, H, meta).format()
with v.open() as dev:
    write_all(dev.path, 1, 1024)
P = v.sb.provided
EINVAL, ENOENT, ENOKEY = errno.EINVAL, errno.ENOENT, errno.ENOKEY


def opts(*words):
    return f"{len(words)} {' '.join(words)}".strip()


def with_option(word, rest=(H, "block_size:1024")):
    return f"{data} 0 - D {opts(*rest, word)}"


# (arguments, what the log must say, errno)
WRONG = [
    # too few
    ("", "0 arguments", EINVAL),
    (f"{data}", "1 arguments", EINVAL),
    (f"{data} 0 - D", "4 arguments.*number of options", EINVAL),
    # device
    (f"/dev/nosuch 0 - D {opts(H)}", "device '/dev/nosuch'", (errno.ENODEV, ENOENT)),
    (f"250:250 0 - D {opts(H)}", "device '250:250'", (errno.ENODEV, errno.ENXIO)),
    (f"junk 0 - D {opts(H)}", "device 'junk'", (errno.ENODEV, ENOENT, EINVAL)),
    # start
    *((f"{data} {s} - D {opts(H)}", f"start '{re.escape(s)}' is not", EINVAL)
      for s in ("x", "-1", "+1", "8x", "1.5", "0x8", "18446744073709551616", "99999999999999999999999999")),
    (f"{data} 99999999 - D {opts(H)}", "superblock at sector 99999999", (errno.EIO, EINVAL)),
    (f"{data} 18446744073709551615 - D {opts(H)}", "sector 18446744073709551615|start", (errno.EIO, EINVAL)),
    (f"{data} 9223372036854775800 - D {opts(H)}", "sector 9223372036854775800|start", (errno.EIO, EINVAL)),
    (f"{data} {size_of(data) // SECTOR - 4} - D {opts(H)}", "superblock at sector", (errno.EIO, EINVAL)),
    # tag size
    *((f"{data} 0 {s} D {opts(H)}", f"tag size '{re.escape(s)}' is not", EINVAL)
      for s in ("0", "256", "65536", "4294967297", "-1", "--", "x", "4x", "+4")),
    (f"{data} 0 - D 0", "tag size '-' needs internal_hash", EINVAL),
    (f"{data} 0 5 D {opts(H, 'block_size:1024')}", "tag size 4 differs from the table's 5", EINVAL),
    # mode
    *((f"{data} 0 - {s} {opts(H)}", f"mode '{re.escape(s)}' is not", EINVAL) for s in ("X", "d", "DD", "1", "-")),
    (f"{data} 0 - I {opts(H)}", "mode I is not possible on this kernel: only from Linux 6.11 on" if KERNEL == "6.1" else
     "mode I: the device has no integrity metadata", errno.EOPNOTSUPP),
    (f"{data} 0 4 B 0", "mode B needs internal_hash", EINVAL),
    (f"{data} 0 4 I 0", "mode I needs internal_hash", EINVAL),
    # number of options
    *((f"{data} 0 - D {s} {H}", f"number of options '{re.escape(s)}' is not", EINVAL)
      for s in ("x", "-1", "20", "1x", "4294967297", "18446744073709551617")),
    (f"{data} 0 - D 1", "number of options 1, but only 0 follow", EINVAL),
    (f"{data} 0 - D 3 {H} block_size:1024", "number of options 3, but only 2 follow", EINVAL),
    # options: unknown, cut, glued, in the wrong case
    *((with_option(w), f"unknown option '{re.escape(w.split(':')[0])}'", EINVAL)
      for w in ("junk", "recalc", "recalculatex", "Recalculate", "internal_hashx:crc32c", "block_siz:512",
                f"nonsense:{SECRET}", ":", "block_size=512", "no_recalculat")),
    # flags take no value
    *((with_option(f"{w}:1"), f"option '{w}' takes no value", EINVAL)
      for w in ("recalculate", "reset_recalculate", "no_recalculate", "legacy_recalculate", "allow_discards",
                "allow_discards_keyed", "fix_padding", "fix_hmac")),
    # values are needed
    *((with_option(w), f"option '{w}' needs a value", EINVAL)
      for w in ("journal_sectors", "interleave_sectors", "buffer_sectors", "journal_watermark", "commit_time",
                "meta_device", "block_size", "sectors_per_bit", "bitmap_flush_interval", "internal_hash",
                "journal_crypt", "journal_mac")),
    # numbers
    *((with_option(f"{w}:{n}"), f"option '{w}': '{re.escape(n)}'", EINVAL)
      for w in ("journal_sectors", "interleave_sectors", "buffer_sectors", "journal_watermark", "commit_time",
                "block_size", "sectors_per_bit", "bitmap_flush_interval")
      for n in ("x", "-1", "1x", "18446744073709551616")),
    *((with_option(f"{w}:4294967296"), f"option '{w}': '4294967296' is not a number from 0 to 4294967295", EINVAL)
      for w in ("journal_sectors", "interleave_sectors", "buffer_sectors", "commit_time")),
    *((with_option(f"{w}:"), f"option '{w}'", EINVAL) for w in ("journal_sectors", "block_size", "commit_time")),
    (with_option("journal_watermark:101"), "option 'journal_watermark': '101' is not a number from 0 to 100", EINVAL),
    (with_option("bitmap_flush_interval:4294967295"), "option 'bitmap_flush_interval'", EINVAL),
    *((with_option(f"block_size:{n}"), f"option 'block_size': '{n}' is not 512, 1024, 2048 or 4096", EINVAL)
      for n in ("0", "1", "256", "513", "1536", "8192", "4294967808")),
    (f"{data} 0 - D {opts(H)}",
     "log2_sectors_per_block 1 .block_size 1024. differs from the table's block_size 512", EINVAL),
    # metadata device
    (with_option("meta_device:"), "option 'meta_device' names no device", EINVAL),
    (with_option("meta_device:/dev/nosuch"), "meta_device: cannot open '/dev/nosuch'", (errno.ENODEV, ENOENT)),
    (f"{data} 0 - D {opts(H, 'meta_device:' + data, 'block_size:1024')}",
     "log2_interleave_sectors 15 is not 0", EINVAL),
    (f"{meta} 0 - D {opts(H)}", "log2_interleave_sectors 0 is not 3..31", EINVAL),
    # algorithms and keys
    *((f"{data} 0 4 D {opts(w + ':')}", f"option '{w}' has no algorithm", EINVAL)
      for w in ("internal_hash", "journal_mac", "journal_crypt")),
    *((f"{data} 0 4 D {opts(H, w + '::' + SECRET)}", f"option '{w}' has no algorithm", EINVAL)
      for w in ("internal_hash", "journal_mac", "journal_crypt")),
    *((f"{data} 0 4 D {opts(H, f'{w}:hmac(sha256):{SECRET}{bad}')}", f"option '{w}': the key has {why}", EINVAL)
      for w in ("internal_hash", "journal_mac", "journal_crypt")
      for bad, why in (("1", "an odd number"), ("zz", "a character that is no hex"), (":", "a character that is no"))),
    (f"{data} 0 4 D {opts('internal_hash:hmac(sha256):')}", "option 'internal_hash': the key is empty", EINVAL),
    (f"{data} 0 - D {opts('internal_hash:nosuch')}", "internal_hash: cannot use hash algorithm 'nosuch'", ENOENT),
    (f"{data} 0 - D {opts('internal_hash:hmac(nosuch):00')}", "internal_hash: cannot use hash algorithm", ENOENT),
    (f"{data} 0 - D {opts('internal_hash:' + 'a' * 200)}",
     "internal_hash: cannot use", (ENOENT, EINVAL, errno.ENAMETOOLONG)),
    (f"{data} 0 - D {opts('internal_hash:cbc(aes):' + '00' * 16)}", "internal_hash: cannot use hash", (ENOENT, EINVAL)),
    (f"{data} 0 - D {opts('internal_hash:hmac(sha256)')}", r"internal_hash: 'hmac\(sha256\)' needs a key", ENOKEY),
    (f"{data} 0 - D {opts(f'internal_hash:sha256:{SECRET}')}",
     "internal_hash: 'sha256' does not take a key of 3", (EINVAL, errno.ENOSYS)),
    (f"{data} 0 - D {opts(f'internal_hash:crc32c:{SECRET}')}",
     "internal_hash: 'crc32c' does not take a key of 3", EINVAL),
    (f"{data} 0 - D {opts(H, 'journal_mac:nosuch')}", "journal_mac: cannot use hash algorithm 'nosuch'", ENOENT),
    (f"{data} 0 - D {opts(H, 'journal_mac:hmac(sha256)')}", "journal_mac: .* needs a key", ENOKEY),
    (with_option(SPECIAL), "no journal MAC, the table has journal_mac", EINVAL),
    # what needs what
    (f"{data} 0 4 D 1 recalculate", "option 'recalculate' needs internal_hash", EINVAL),
    (f"{data} 0 4 D 1 reset_recalculate", "option 'reset_recalculate' needs internal_hash", EINVAL),
    (f"{data} 0 4 D 1 allow_discards", "option 'allow_discards' needs internal_hash", EINVAL),
    (with_option("allow_discards_keyed"), "option 'allow_discards_keyed' needs internal_hash with a key", EINVAL),
    # the journal's cipher
    (with_option("journal_crypt:nosuch"), "journal_crypt: cannot use cipher 'nosuch'", ENOENT),
    (with_option("journal_crypt:sha256"), "journal_crypt: cannot use cipher 'sha256'", (ENOENT, EINVAL)),
    (with_option("journal_crypt:ctr(aes)"), r"journal_crypt: 'ctr\(aes\)' needs a key", ENOKEY),
    (with_option("journal_crypt:cbc(aes)"), r"journal_crypt: 'cbc\(aes\)' needs a key", ENOKEY),
    *((with_option(f"journal_crypt:{w}(aes):{SECRET}"), "journal_crypt: .* does not take a key of 3 bytes", EINVAL)
      for w in ("ctr", "cbc", "ecb")),
    # It loads, but the journal that is there is not encrypted: the resume refuses it.
    *((f"{data} 0 - {mode} {opts(H, 'block_size:1024', f'journal_crypt:{w}:{KEY}')}",
       "cannot resume: the journal is damaged or not encrypted as the table says", errno.EIO)
      for mode in "DJ" for w in ("ctr(aes)", "cbc(aes)")),
    # not yet there
    (f"{data} 0 - B {opts(H, 'block_size:1024', f'journal_crypt:ctr(aes):{KEY}')}", "mode B cannot have option 'journal_crypt'", EINVAL),
    # a keyed hash and an open superblock
    (f"{data} 0 4 D {opts(f'internal_hash:hmac(sha256):{KEY}', 'block_size:1024', 'recalculate')}",
     "recalculate: a keyed hash needs", errno.EOPNOTSUPP),
    # sizes
    (f"{small.path} 0 - D {opts(H)}", "too small", (errno.ENOSPC, EINVAL)),
    (f"{small.path} 0 - D {opts(H, 'meta_device:' + small.path)}",
     "too small|cannot open", (errno.ENOSPC, EINVAL, errno.EBUSY)),
]

before = Contents(*DISKS)
writes = [written(d) for d in DISKS]
known = 0
for args, regex, number in WRONG:
    log.mark()
    expect_refused(number, f"table '{args}'", Device("wrong").create, 8, f"integrity {args}".strip())
    text = log.expect(rf"integrity: .*({regex})")
    if SECRET in text or KEY in text:
        fail(f"table '{args}': a key is in the log: {text}")
    if Device("wrong").exists:
        fail(f"table '{args}': the device is there")
    known += 1

# Length and begin, which are not among the arguments.
log.mark()
expect_refused(EINVAL, "table longer than what is provided", v.open, length=P + 8)
log.expect(f"integrity: .*length of {P + 8} sectors is more than the {P} that the volume provides")
log.mark()
for length in (8, 16):
    done = subprocess.run(["dmsetup", "create", "wrong"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          input=f"0 {length} zero\n{length} 8 {v.table()}\n")
    if not done.returncode:
        fail("accepted as the second target of a table")
log.expect("singleton|must appear alone|must begin at sector 0")
log.mark()
expect_refused(EINVAL, "table that ends within a block", v.open, length=9)
log.expect("integrity: .*length of 9 sectors is not a multiple of a block's 2 ")

# Where there is no superblock a right table formats; of these nothing may get onto the disk.
KEYED_HASH = f"internal_hash:hmac(sha256):{KEY}"
for start, options, length, regex, number in (
        (0, (H,), size_of(foreign) // SECTOR, "length of 4096 sectors is more than", EINVAL),
        (0, (H, "block_size:4096"), 12, "length of 12 sectors is not a multiple of a block's 8", EINVAL),
        (3, (H, "block_size:4096"), 8, "start: data would begin at sector \\d+, not a multiple of a block's 8", EINVAL),
        (0, (KEYED_HASH, "recalculate"), 8, "recalculate: a keyed hash needs", errno.EOPNOTSUPP),
        (0, (H, f"meta_device:{foreign}"), 8, f"meta_device: '{foreign}' is the data device itself", EINVAL)):
    for mode in "DJB":
        log.mark()
        expect_refused(number, f"blank superblock, mode {mode}, {options}", Device("wrong").create, length,
                       f"integrity {foreign} {start} - {mode} {opts(*options)}")
        log.expect(f"integrity: .*({regex})")
        known += 1

expect_eq([written(d) for d in DISKS], writes, "writes and sectors of refused tables")
expect_eq(Contents(*DISKS), before, "disks after the refused tables")
# The metadata may lie on the data device where it is out of the way.
poke(foreign, 1024 * SECTOR, bytes(4096))
with Device("v").create(1024, f"integrity {foreign} 1024 - D {opts(H, f'meta_device:{foreign}')}") as dev:
    write_all(dev.path, 2, 512)
    read_all(dev.path, 2, 512)

# Without internal_hash nothing is verified, but it loads.
for mode in "DJ":
    NO_HASH = f"integrity {data} 0 4 {mode} 1 block_size:1024"
    with Device("v").create(P, NO_HASH) as dev:
        spot_check(dev.path, 1, 1024)
# A table that is wrong in nothing, with every word that may be there, a word twice and words too many.
for extra in ("", "recalculate", "journal_sectors:4294967295 interleave_sectors:4294967295 buffer_sectors:4294967295",
              "commit_time:4294967295 journal_watermark:100 sectors_per_bit:18446744073709551615 "
              "bitmap_flush_interval:4294967294",
              "block_size:512 block_size:1024", "legacy_recalculate no_recalculate fix_padding fix_hmac"):
    with v.open(extra) as dev:
        spot_check(dev.path, 1, 1024)
    with v.open(extra, mode="J") as dev:
        spot_check(dev.path, 1, 1024)
with Device("v").create(P, f"{v.table()} surplus words that:nobody counts") as dev:
    spot_check(dev.path, 1, 1024)
# Tags are to be recalculated, once that was asked for, and nobody would make them.
log.mark()
expect_refused(EINVAL, "no internal_hash, recalculation pending", Device("v").create, P, NO_HASH)
log.expect("recalculated, which needs internal_hash")
with m.open() as dev:
    write_all(dev.path, 1, 512)
# What was counted above counts.
for d, count in zip((data, meta, blank, foreign), [writes[n] for n in (0, 1, 2, 4)]):
    if written(d)[1] <= count[1]:
        fail(f"no sector was written to {d} by the right tables")
v.check()
m.check()
small.remove()
for d in DISKS:
    Device(os.path.basename(d)).remove()
say(f"{known + 3} wrong tables were refused with a sentence")
END
