# SPDX-License-Identifier: GPL-2.0-only
"""The ciphers of an encrypted journal (4.7): ctr(aes), cbc(aes), ecb(aes), chacha20.

AES and ChaCha20 are here in Python and a second time in native.c, which does the
work when it could be compiled.
"""

import ctypes
import functools

from . import Refused, native
from .geometry import round_up

PAGE_SIZE = 4096


@functools.cache
def _sbox():
    box, p, q = [0] * 256, 1, 1
    while True:
        p = _mul(p, 3)
        q = _mul(q, 0xF6)
        x = q
        for n in range(1, 5):
            x ^= (q << n | q >> (8 - n)) & 0xFF
        box[p] = x ^ 0x63
        if p == 1:
            break
    box[0] = 0x63
    return box, [box.index(i) for i in range(256)]


@functools.cache
def _mul(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


class Aes:
    """AES of one block, slow."""

    def __init__(self, key):
        box = _sbox()[0]
        words = [key[i:i + 4] for i in range(0, len(key), 4)]
        n, rcon = len(words), 1
        self.rounds = n + 6
        for i in range(n, 4 * (self.rounds + 1)):
            t = words[-1]
            if i % n == 0:
                t = bytes([box[t[1]] ^ rcon, box[t[2]], box[t[3]], box[t[0]]])
                rcon = _mul(rcon, 2)
            elif n > 6 and i % n == 4:
                t = bytes(box[x] for x in t)
            words.append(bytes(a ^ b for a, b in zip(words[i - n], t)))
        self.keys = [b"".join(words[i:i + 4]) for i in range(0, len(words), 4)]

    @staticmethod
    def _mix(s, factors):
        return bytes(
            _mul(s[c + r], factors[0]) ^ _mul(s[c + (r + 1) % 4], factors[1]) ^
            _mul(s[c + (r + 2) % 4], factors[2]) ^ _mul(s[c + (r + 3) % 4], factors[3])
            for c in range(0, 16, 4) for r in range(4))

    def encrypt(self, block):
        box = _sbox()[0]
        s = _xor(block, self.keys[0])
        for r in range(1, self.rounds + 1):
            s = bytes(box[s[(i + 4 * (i % 4)) % 16]] for i in range(16))
            if r < self.rounds:
                s = self._mix(s, (2, 3, 1, 1))
            s = _xor(s, self.keys[r])
        return s

    def decrypt(self, block):
        box = _sbox()[1]
        s = block
        for r in range(self.rounds, 0, -1):
            s = _xor(s, self.keys[r])
            if r < self.rounds:
                s = self._mix(s, (14, 11, 13, 9))
            s = bytes(box[s[(i - 4 * (i % 4)) % 16]] for i in range(16))
        return _xor(s, self.keys[0])


def _xor(a, b):
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")


def _native(call, *args, data):
    """Runs a function of native.c that changes `data` in place."""
    buffer = ctypes.create_string_buffer(bytes(data), len(data))
    call(*args, buffer, len(data))
    return buffer.raw


def aes_ctr(key, iv, data):
    library = native.lib()
    if library:
        return _native(library.oracle_aes, 0, key, len(key), ctypes.create_string_buffer(iv, 16),
                       data=data)
    aes, counter, out = Aes(key), int.from_bytes(iv, "big"), []
    for at in range(0, len(data), 16):
        out.append(aes.encrypt(((counter + at // 16) % (1 << 128)).to_bytes(16, "big")))
    return _xor(data, b"".join(out)[:len(data)])


def aes_cbc(key, iv, data, decrypt=False):
    library = native.lib()
    if library:
        return _native(library.oracle_aes, 2 if decrypt else 1, key, len(key),
                       ctypes.create_string_buffer(iv, 16), data=data)
    aes, out = Aes(key), []
    for at in range(0, len(data), 16):
        block = data[at:at + 16]
        if decrypt:
            out.append(_xor(aes.decrypt(block), iv))
            iv = block
        else:
            iv = aes.encrypt(_xor(block, iv))
            out.append(iv)
    return b"".join(out)


def chacha20(key, iv, data):
    library = native.lib()
    if library:
        return _native(library.oracle_chacha20, key, iv, data=data)

    def word(b, i):
        return int.from_bytes(b[4 * i:4 * i + 4], "little")

    def quarter(x, a, b, c, d):
        for p, q, r, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[p] = (x[p] + x[q]) & 0xFFFFFFFF
            v = x[r] ^ x[p]
            x[r] = (v << n | v >> (32 - n)) & 0xFFFFFFFF

    state = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574] + \
        [word(key, i) for i in range(8)] + [word(iv, i) for i in range(4)]
    out = []
    for _ in range(0, len(data), 64):
        x = state[:]
        for _ in range(10):
            for i in range(4):
                quarter(x, i, 4 + i, 8 + i, 12 + i)
            for i in range(4):
                quarter(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
        out += [((a + b) & 0xFFFFFFFF).to_bytes(4, "little") for a, b in zip(x, state)]
        state[12] = (state[12] + 1) & 0xFFFFFFFF
    return _xor(data, b"".join(out)[:len(data)])


COMMIT_IDS = tuple(int(f"{digit}" * 16, 16) for digit in range(1, 5))


def distinct(ids):
    """Of equal ids the later one counts up until it is new (4.3)."""
    out = []
    for value in ids:
        while value in out:
            value = (value + 1) % (1 << 64)
        out.append(value)
    return tuple(out)


class JournalCipher:
    """Decrypts and encrypts the journal area; ids are the commit id bases that follow."""

    def __init__(self, text, layout):
        self.name, _, hexkey = text.partition(":")
        try:
            self.key = bytes.fromhex(hexkey)
        except ValueError:
            raise Refused(f"{self.name}: the key is not hexadecimal") from None
        sizes = {"ctr(aes)": (16, 24, 32), "cbc(aes)": (16, 24, 32), "ecb(aes)": (16, 24, 32),
                 "chacha20": (32,)}
        if self.name not in sizes:
            raise Refused(f"journal cipher {self.name} is not known here")
        if len(self.key) not in sizes[self.name]:
            raise Refused(f"{self.name}: a key of {len(self.key)} bytes")
        self.section_bytes = layout.SS * 512
        self.ids = COMMIT_IDS
        self.stream = self.name in ("ctr(aes)", "chacha20")
        if self.stream:
            length = layout.journal_sectors() * 512
            padded = round_up(length, PAGE_SIZE)
            text = bytes(padded) + b"".join(i.to_bytes(8, "little") for i in COMMIT_IDS)
            run = aes_ctr if self.name == "ctr(aes)" else chacha20
            out = run(self.key, bytes(16), text)
            self.keystream = out[:length]
            self.ids = distinct(int.from_bytes(out[at:at + 8], "little")
                                for at in range(padded, padded + 32, 8))

    def section_iv(self, section):
        """IV of a section, of a block cipher."""
        return aes_cbc(self.key, bytes(16), section.to_bytes(4, "little").ljust(16, b"\0"))

    def _ecb(self, data, decrypt):
        one = functools.partial(aes_cbc, self.key, bytes(16), decrypt=decrypt)
        return b"".join(one(data[at:at + 16]) for at in range(0, len(data), 16))

    def _section(self, section, data, decrypt):
        if self.stream:
            at = section * self.section_bytes
            return _xor(data, self.keystream[at:at + len(data)])
        if self.name == "ecb(aes)":
            return self._ecb(data, decrypt)
        return aes_cbc(self.key, self.section_iv(section), data, decrypt)

    def decrypt(self, section, data):
        return self._section(section, data, True)

    def encrypt(self, section, data):
        return self._section(section, data, False)
