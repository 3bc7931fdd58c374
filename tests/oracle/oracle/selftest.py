# SPDX-License-Identifier: GPL-2.0-only
"""selftest: test vectors (section 14), the tables of 2.2 and 2.9, and this code against itself."""

import hashlib
import hmac
import os
import struct

from . import native
from .ciphers import COMMIT_IDS, JournalCipher, aes_cbc, aes_ctr, chacha20, distinct
from .geometry import (DISCARD_KEYED, FIXED_HMAC, INLINE, Layout, Superblock, section_geometry)
from .hashes import Hash

SALT = bytes(range(16))
KEY = bytes(range(16)).hex()

TAGS = [  # hash, sector, unsalted, salted: tags of 512 zero bytes
    ("crc32c", 0, "c740e882", "26f19857"),
    ("crc32c", 1, "db256d70", "3a941da5"),
    ("crc32c", 8, "f028460f", "119936da"),
    ("crc32c", 2**33 + 8, "58603de4", "b9d14d31"),
    ("sha256", 0, "20aa497d9bd4c19e851e3df6e386700faada213db38acf7679f6365832830b3d",
     "a3dc0f7303ea7e089cac0a17d8731e3837147f66bd209a5053854c813ae267a0"),
    ("sha256", 1, "ddfbbfa5d9353b8db387edfb6f570daec6a431e769b6d0af0ab4977db062cddb",
     "cb276a4ce90eb86ca8641c3f587e611ec7b83ed6be6fd806c2b84a094529deaa"),
]

# T, block size, journal MAC (None: either), E, EPS, SE, SS
SECTIONS = [
    (4, 512, False, 24, 21, 168, 176), (8, 512, False, 24, 21, 168, 176),
    (4, 512, True, 24, 20, 160, 168), (8, 512, True, 24, 20, 160, 168),
    (16, 512, None, 32, 15, 120, 128), (20, 512, None, 40, 12, 96, 104),
    (28, 512, None, 48, 10, 80, 88), (32, 512, None, 48, 10, 80, 88),
    (64, 512, None, 80, 6, 48, 56),
    (4, 4096, None, 80, 6, 48, 392), (8, 4096, None, 80, 6, 48, 392),
    (16, 4096, None, 88, 5, 40, 328), (20, 4096, None, 96, 5, 40, 328),
    (28, 4096, None, 104, 4, 32, 264), (32, 4096, None, 104, 4, 32, 264),
    (64, 4096, None, 136, 3, 24, 200),
]

# device(s), T, block size, options; N, INIT, R, B, P (None: none)
SIZES = [
    ((131072,), 4, 512, {}, 5, 888, 256, 128, 129160),
    ((131072,), 4, 512, {"fix_padding": True}, 5, 888, 256, 128, 129160),
    ((131072,), 4, 4096, {"fix_padding": True}, 2, 792, 32, 32, 130152),
    ((131072,), 32, 512, {"fix_padding": True, "interleave_sectors": 1024, "start": 64,
                          "buffer_sectors": 32}, 11, 976, 64, 32, 122352),
    ((131072, 131072), 20, 4096, {"start": 16}, 3, 992, None, 128, 131072),
    ((131072,), 40, 512, {}, 12, 968, 2560, 128, 119864),
    ((131072,), 32, 512, {"mac": True, "fix_padding": True}, 11, 976, 2048, 128, 121904),
    ((131072,), 4, 1024, {"mac": True}, 4, 1000, 256, 128, 129048),
    ((65536,), 4, 512, {}, 2, 360, 256, 128, 64664),
    ((65536,), 32, 512, {}, 5, 448, 2048, 128, 60992),
    ((65536,), 16, 4096, {}, 1, 336, 256, 128, 64688),
    ((65536,), 4, 4096, {"fix_padding": True}, 1, 400, 32, 32, 65072),
    ((32768,), 4, 4096, {"kind": "inline"}, 0, 8, None, None, 32760),
    ((2**31,), 4, 512, {}, 744, 130952, 256, 128, 2130706432),
    ((2**31,), 4, 4096, {"fix_padding": True}, 334, 130936, 32, 32, 2145257704),
    ((2**31, 33554432), 4, 4096, {}, 334, 130936, None, 128, 2147483648),
]

# Published elsewhere: CRC-32C and XXH64 check values, FIPS 197, SP 800-38A, RFC 8439, RFC 4231.
PUBLISHED = [
    ("crc32c of 123456789", lambda: Hash("crc32c").digest(b"123456789").hex(), "839206e3"),
    ("xxhash64 of nothing", lambda: Hash("xxhash64").digest(b"").hex(), "99e9d85137db46ef"),
    ("xxhash64 of 'abc'", lambda: Hash("xxhash64").digest(b"abc").hex(), "990977adf52cbc44"),
    ("hmac(sha256) RFC 4231 case 2",
     lambda: Hash("hmac(sha256):" + b"Jefe".hex()).digest(b"what do ya want for nothing?").hex(),
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
    ("aes-128 FIPS 197", lambda: aes_cbc(bytes(range(16)), bytes(16), bytes.fromhex(
        "00112233445566778899aabbccddeeff")).hex(), "69c4e0d86a7b0430d8cdb78070b4c55a"),
    ("aes-192 FIPS 197", lambda: aes_cbc(bytes(range(24)), bytes(16), bytes.fromhex(
        "00112233445566778899aabbccddeeff")).hex(), "dda97ca4864cdfe06eaf70a0ec0d7191"),
    ("aes-256 FIPS 197", lambda: aes_cbc(bytes(range(32)), bytes(16), bytes.fromhex(
        "00112233445566778899aabbccddeeff")).hex(), "8ea2b7ca516745bfeafc49904b496089"),
    ("aes-128 decryption", lambda: aes_cbc(bytes(range(16)), bytes(16), bytes.fromhex(
        "69c4e0d86a7b0430d8cdb78070b4c55a"), decrypt=True).hex(),
     "00112233445566778899aabbccddeeff"),
    ("ctr(aes) SP 800-38A F.5.1", lambda: aes_ctr(
        bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"),
        bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
        bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")).hex(),
     "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"),
    ("chacha20 RFC 8439 2.3.2", lambda: chacha20(
        bytes(range(32)), bytes.fromhex("01000000000000090000004a00000000"), bytes(16)).hex(),
     "10f1e7e4d13b5915500fdd1fa32071c4"),
]


def selftest(report):
    """Returns (number passed, names that failed); report(line) for each vector."""
    passed, failed = 0, []

    def expect(name, got, want):
        nonlocal passed
        good = got == want
        if good:
            passed += 1
        else:
            failed.append(name)
        if report:
            report(f"ok   {name}" if good else f"FAIL {name}: is {got}, should be {want}")

    for name, run, want in PUBLISHED:
        expect(name, run(), want)
    _vectors(expect)
    _geometry(expect)
    _superblock(expect)
    _twice(expect)
    return passed, failed


def _vectors(expect):
    zero = bytes(512)
    for name, s, plain, salted in TAGS:
        for salt, want in ((b"", plain), (SALT, salted)):
            tag = Hash(name).tags(salt, s, 1, zero, 512, len(want) // 2).hex()
            expect(f"tag {name} sector {s}{' salted' if salt else ''}", tag, want)
    expect("tag longer than the digest is filled with zeros",
           Hash("crc32c").tags(b"", 1, 1, zero, 512, 6).hex(), "db256d700000")
    expect("tag shorter than the digest is its beginning",
           Hash("crc32c").tags(b"", 1, 1, zero, 512, 3).hex(), "db256d")
    expect("crc32 of zeros at sector 0 is zero", Hash("crc32").tags(b"", 0, 1, zero, 512, 4).hex(),
           "00000000")
    expect("keyed discard marker",
           Hash(f"hmac(sha256):{KEY}").tag(SALT, 8, b"", 32).hex(),
           "066a3184c7fa1ca931f8c265d6903271b3dc13f081ff541fa47eb501d29786b2")

    class Shape:  # 5 sections of 176 sectors
        SS = 176

        @staticmethod
        def journal_sectors():
            return 5 * 176

    ctr = JournalCipher(f"ctr(aes):{KEY}", Shape)
    expect("ctr(aes) keystream", ctr.keystream[:16].hex(), "c6a13b37878f5b826f4f8162a1c8d879")
    for q, want in enumerate((0x02253a2eddd78638, 0x2fc765f42a4e9a2a, 0x1ed10c2badf9d3b3,
                              0x07bef11641484c86)):
        expect(f"ctr(aes) commit id base {q}", f"{ctr.ids[q]:#018x}", f"{want:#018x}")
    cbc = JournalCipher(f"cbc(aes):{KEY}", Shape)
    for i, want in enumerate(("c6a13b37878f5b826f4f8162a1c8d879",
                              "e37cd363dd7c87a09aff0e3e60e09c82",
                              "fb8ae31ba5db9cad97364d8722d47326")):
        expect(f"cbc(aes) IV of section {i}", cbc.section_iv(i).hex(), want)
    expect("cbc(aes) leaves the commit id bases", cbc.ids, COMMIT_IDS)
    expect("equal commit ids are told apart", distinct([5, 5, 6, 5]), (5, 6, 7, 8))
    for section, sector, want in ((0, 0, "1111111111111111"), (1, 3, "1211111110111111")):
        value = COMMIT_IDS[0] ^ (section << 32 ^ sector)
        expect(f"commit id of section {section} sector {sector}",
               value.to_bytes(8, "little").hex(), want)
    expect("empty entry", struct.pack("<II", 0, 0xFFFFFFFF).hex(), "00000000ffffffff")


def _geometry(expect):
    for tag, bs, mac, *want in SECTIONS:
        for with_mac in (False, True) if mac is None else (mac,):
            expect(f"section T {tag} bs {bs}{' mac' if with_mac else ''}",
                   list(section_geometry(tag, bs // 512, with_mac)), want)
    for devices, tag, bs, options, *want in SIZES:
        options = dict(options)
        kind = options.pop("kind", "separate" if len(devices) > 1 else "interleaved")
        lay = Layout.for_format(kind, tag, bs, *devices, **options)
        got = [lay.N, lay.INIT, lay.R, lay.B, lay.P]
        got = [g if w is not None else None for g, w in zip(got, want)]
        words = " ".join(k if v is True else f"{k} {v}" for k, v in options.items())
        expect(f"sizes {'/'.join(map(str, devices))} {kind} T {tag} bs {bs} {words}".strip(),
               got, want)


def _superblock(expect):
    fields = dict(version=5, log2_interleave_sectors=15, integrity_tag_size=4, journal_sections=3,
                  provided_data_sectors=64512, flags=0x13, log2_sectors_per_block=0,
                  log2_blocks_per_bitmap_bit=15, recalc_sector=77, salt=SALT)
    sb = Superblock(**fields, raw=b"")
    want = ("696e746567727400" "05" "0f" "0400" "03000000" "00fc000000000000" "13000000" "00" "0f"
            "0000" "4d00000000000000" "0000000000000000") + SALT.hex()
    expect("superblock, its bytes", sb.pack().hex(), want)
    back = Superblock.parse(bytes.fromhex(want).ljust(4096, b"\0"))
    expect("superblock, read back", {k: getattr(back, k) for k in fields}, fields)
    expect("superblock, accepted", back.check(False), None)

    def refused(name, separate=False, **changes):
        bad = Superblock(**{**fields, **changes}, raw=b"").check(separate)
        expect(f"superblock refused: {name}", bool(bad), True)

    refused("version 0", version=0)
    refused("version 8", version=8)
    refused("no tag", integrity_tag_size=0)
    refused("tag of 256", integrity_tag_size=256)
    refused("block of 8192", log2_sectors_per_block=4)
    refused("no journal", journal_sections=0)
    refused("inline with a journal", flags=INLINE)
    refused("interleave 4", log2_interleave_sectors=2)
    refused("interleave 2^32", log2_interleave_sectors=32)
    refused("interleave with a metadata device", separate=True)
    expect("flags by name", Superblock(**{**fields, "flags": 0x50}, raw=b"").flag_names(),
           ["FIXED_HMAC", "DISCARD_KEYED"])
    expect("flags by bit", (FIXED_HMAC, DISCARD_KEYED), (0x10, 0x40))


def _twice(expect):
    """native.c against the Python of the same; nothing to do if it could not be compiled."""
    if not native.lib():
        return
    data, key = os.urandom(8192), os.urandom(32)
    iv = b"\xff" * 15 + b"\xfe"
    names = ["crc32c", "crc32", "xxhash64", "crc32c:01020304", "crc32:01020304",
             "xxhash64:0102030405060708"]
    jobs = []
    for name in names:
        hash_ = Hash(name)
        for bs in (512, 4096):
            step = bs // 512
            want = b"".join(hash_.tag(SALT, 2**40 + i * step, data[i * bs:(i + 1) * bs], 8)
                            for i in range(len(data) // bs))
            jobs.append((f"{name} {bs}", hash_.tags(SALT, 2**40, step, data, bs, 8), want))
    sha = hashlib.sha256(SALT + (8).to_bytes(8, "little") + data[:4096]).digest()
    jobs.append(("sha256 in one piece", Hash("sha256").tags(SALT, 8, 8, data[:4096], 4096, 32), sha))
    mac = hmac.digest(key, SALT + (8).to_bytes(8, "little") + data[:4096], "sha512")
    jobs.append(("hmac(sha512) in one piece", Hash(f"hmac(sha512):{key.hex()}").tags(
        SALT, 8, 8, data[:4096], 4096, 64), mac))
    ciphers = {
        "ctr(aes)": lambda: aes_ctr(key, iv, data[:1000]),
        "cbc(aes)": lambda: aes_cbc(key[:16], iv, data[:1024]),
        "cbc(aes) back": lambda: aes_cbc(key[:24], iv, data[:1024], decrypt=True),
        "chacha20": lambda: chacha20(key, b"\xff\xff\xff\xff" + iv[:12], data[:1000]),
    }
    with_native = {name: run() for name, run in ciphers.items()}
    library, native.lib = native.lib, lambda: None
    try:
        for name, run in ciphers.items():
            jobs.append((name, with_native[name], run()))
    finally:
        native.lib = library
    for name, fast, slow in jobs:
        expect(f"fast and slow agree: {name}", fast.hex(), slow.hex())
