# SPDX-License-Identifier: GPL-2.0-only
"""Hashes by the names of the kernel's crypto API, and tags made with them (3.1).

A Hash is made from the text of a table option, "ALG" or "ALG:HEXKEY". The
checksums have two implementations, this file's and native.c's.
"""

import ctypes
import functools
import hashlib
import hmac
import re

from . import Refused, native

MASK = (1 << 64) - 1


def crc_reflected(poly, register, data):
    """CRC over `data`, no inversions."""
    table = _crc_table(poly)
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register


@functools.cache
def _crc_table(poly):
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (poly if value & 1 else 0)
        table.append(value)
    return table


def xxh64(data, seed=0):
    p1, p2, p3, p4, p5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
                          0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)

    def rotl(value, n):
        return (value << n | value >> (64 - n)) & MASK

    def step(acc, word):
        return rotl((acc + word * p2) & MASK, 31) * p1 & MASK

    def word(at, size=8):
        return int.from_bytes(data[at:at + size], "little")

    at, end = 0, len(data)
    if end >= 32:
        lanes = [(seed + p1 + p2) & MASK, (seed + p2) & MASK, seed, (seed - p1) & MASK]
        while at + 32 <= end:
            lanes = [step(lane, word(at + 8 * i)) for i, lane in enumerate(lanes)]
            at += 32
        h = sum(rotl(lane, n) for lane, n in zip(lanes, (1, 7, 12, 18))) & MASK
        for lane in lanes:
            h = ((h ^ step(0, lane)) * p1 + p4) & MASK
    else:
        h = (seed + p5) & MASK
    h = (h + end) & MASK
    while at + 8 <= end:
        h = (rotl(h ^ step(0, word(at)), 27) * p1 + p4) & MASK
        at += 8
    if at + 4 <= end:
        h = (rotl(h ^ word(at, 4) * p1 & MASK, 23) * p2 + p3) & MASK
        at += 4
    while at < end:
        h = rotl(h ^ data[at] * p5 & MASK, 11) * p1 & MASK
        at += 1
    h = (h ^ h >> 33) * p2 & MASK
    h = (h ^ h >> 29) * p3 & MASK
    return h ^ h >> 32


# name: (number in native.c, digest size, start value, bytes of a key)
_CHECKSUMS = {"crc32c": (0, 4, 0xFFFFFFFF, 4), "crc32": (1, 4, 0, 4), "xxhash64": (2, 8, 0, 8)}

# The kernel's names that hashlib spells differently.
_ALIASES = {"rmd160": "ripemd160"}
_BLAKE = re.compile(r"blake2([bs])-(\d+)$")


def _constructor(name, key=b""):
    """What begins a hash that the kernel calls `name`, or None."""
    blake = _BLAKE.match(name)
    if blake:
        make, bits = (hashlib.blake2s if blake[1] == "s" else hashlib.blake2b), int(blake[2])
        if bits % 8 or not 0 < bits // 8 <= make().digest_size:
            return None
        return functools.partial(make, key=key, digest_size=bits // 8)
    name = _ALIASES.get(name, name)
    if re.match(r"sha3-\d+$", name):
        name = name.replace("-", "_")
    if name.startswith(("shake", "blake2")) or name not in hashlib.algorithms_available:
        return None
    return functools.partial(hashlib.new, name, usedforsecurity=False)


def _hmac_mode(name, make):
    """What to give to hmac: a name is much faster, if it may be one."""
    return name if name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512") else \
        lambda data=b"": make(data)


class Hash:
    """One hash with its key.

    name, keyed, size (bytes of a digest);
    digest(message); tags(...) for many blocks at once.
    """

    def __init__(self, text):
        self.name, colon, hexkey = text.partition(":")
        try:
            key = bytes.fromhex(hexkey) if re.fullmatch("[0-9a-fA-F]*", hexkey) else None
        except ValueError:
            key = None
        if key is None:
            raise Refused(f"{self.name}: the key is not an even number of hexadecimal digits")
        self.keyed = bool(key)
        self._checksum = _CHECKSUMS.get(self.name)
        inner = re.fullmatch(r"hmac\(([^()]+)\)", self.name)
        if self._checksum:
            _, self.size, self._start, want = self._checksum
            if key and len(key) != want:
                raise Refused(f"{self.name}: a key has {want} bytes, this one has {len(key)}")
            if key:
                self._start = int.from_bytes(key, "little")
            return
        if inner:
            make = _constructor(inner[1])
            if make and not key:
                raise Refused(f"{self.name} needs a key")
            self._begin = make and hmac.new(key, digestmod=_hmac_mode(inner[1], make)).copy
        else:
            self._begin = make = _constructor(self.name, key)
            if make and key and not _BLAKE.match(self.name):
                raise Refused(f"{self.name} takes no key")
        if not make:
            raise Refused(f"hash {self.name} is not known here")
        self.size = make().digest_size

    def digest(self, message):
        if not self._checksum:
            state = self._begin()
            state.update(message)
            return state.digest()
        if self.name == "xxhash64":
            return xxh64(message, self._start).to_bytes(8, "little")
        if self.name == "crc32c":
            value = crc_reflected(0x82F63B78, self._start, message) ^ 0xFFFFFFFF
        else:
            value = crc_reflected(0xEDB88320, self._start, message)
        return value.to_bytes(4, "little")

    def tags(self, salt, sector, step, data, bs, tag_size):
        """Tags of consecutive blocks (3.1), one after the other in one byte string.

        salt: 16 bytes or none; sector: logical sector of the first block; step:
        sectors a block; data: whole blocks of bs bytes.
        """
        count = len(data) // bs
        library = native.lib() if self._checksum else None
        if library:
            out = ctypes.create_string_buffer(count * tag_size)
            where = (ctypes.c_char * len(data)).from_buffer(data) if isinstance(data, bytearray) \
                else bytes(data)
            library.oracle_tags(self._checksum[0], self._start, salt, len(salt), sector, step,
                                where, bs, count, out, tag_size)
            return out.raw
        if self._checksum:
            return b"".join(
                self._cut(self.digest(salt + (sector + i * step).to_bytes(8, "little") +
                                      data[i * bs:(i + 1) * bs]), tag_size)
                for i in range(count))
        start = self._begin()
        start.update(salt)
        view = memoryview(data)
        out = []
        for at in range(0, count * bs, bs):
            state = start.copy()
            state.update(sector.to_bytes(8, "little"))
            state.update(view[at:at + bs])
            out.append(self._cut(state.digest(), tag_size))
            sector += step
        return b"".join(out)

    def tag(self, salt, sector, block, tag_size):
        """The tag of one block, by way of digest()."""
        return self._cut(self.digest(salt + sector.to_bytes(8, "little") + bytes(block)), tag_size)

    @staticmethod
    def _cut(digest, size):
        return digest[:size].ljust(size, b"\0")
