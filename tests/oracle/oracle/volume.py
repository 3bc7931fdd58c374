# SPDX-License-Identifier: GPL-2.0-only
"""An open volume: one or two image files, the superblock, the layout, the keys.

Reads go to the image, or, where something was put into the overlay (a replayed
journal), to that. Only corrupt and journal --apply write to the image.
"""

import hmac
import os
import stat

from . import Refused
from .ciphers import JournalCipher
from .geometry import FIXED_HMAC, HAVE_JOURNAL_MAC, SB_BYTES, Layout, Superblock
from .hashes import Hash


class Image:
    """A raw file or a block device."""

    def __init__(self, path, writable=False):
        self.path = path
        try:
            self.fd = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}") from error
        mode = os.fstat(self.fd).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
            raise Refused(f"{path}: neither a file nor a block device")
        self.sectors = os.lseek(self.fd, 0, os.SEEK_END) // 512

    def read(self, byte, size):
        parts = []
        while size:
            part = os.pread(self.fd, size, byte)
            if not part:
                raise Refused(f"{self.path}: ends at byte {byte}, {size} more expected")
            parts.append(part)
            byte += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, byte, data):
        if byte + len(data) > self.sectors * 512:
            raise Refused(f"{self.path}: byte {byte} is behind its end")
        while data:
            done = os.pwrite(self.fd, data, byte)
            byte, data = byte + done, data[done:]


class Volume:
    """See above. Attributes: sb, layout, data and meta (Image), hash, mac, cipher."""

    def __init__(self, image, meta=None, start=0, hash_=None, mac=None, cipher=None,
                 writable=False, lenient=False):
        """lenient: corrupt and the like take what cannot be activated, too."""
        self.data = Image(image, writable)
        self.meta = Image(meta, writable) if meta else self.data
        self.hash = Hash(hash_) if hash_ else None
        self.mac = Hash(mac) if mac else None
        self.start = start
        # Found out while looking, to be told to the user.
        self.notes = []
        self.overlay = {}
        if (start + 8) * 512 > self.meta.sectors * 512:
            raise Refused(f"{self.meta.path}: no room for a superblock at sector {start}")
        self.sb = Superblock.parse(self.meta.read(start * 512, SB_BYTES))
        problem = self.sb.check(bool(meta))
        if problem:
            raise Refused(problem)
        self.layout = Layout.of(self.sb, bool(meta), start, self.data.sectors, self.meta.sectors)
        if start % self.layout.spb:
            raise Refused(f"start {start} is not a multiple of the block size")
        self.layout.capacity()
        if not lenient:
            self._check_mac()
        self.cipher = JournalCipher(cipher, self.layout) if cipher else None

    @property
    def salt(self):
        """What every hashed message begins with."""
        return self.sb.salt if self.sb.has(FIXED_HMAC) else b""

    def _check_mac(self):
        """The table and flag 0x01 must agree (1.4), and the MAC of 1.5 must be right."""
        has = self.sb.has(HAVE_JOURNAL_MAC)
        if self.mac and not has:
            raise Refused("--journal-mac given, but the volume has none")
        self.sb_mac = None
        if not has:
            return
        if not self.mac:
            self.notes.append("the volume has a journal_mac; none was given, none was checked")
            return
        if self.sb.has(FIXED_HMAC):
            if 64 + self.mac.size > 512:
                raise Refused(f"{self.mac.name}: {self.mac.size} bytes, no room in the superblock")
            edge = 512 - self.mac.size
            self.sb_mac = hmac.compare_digest(self.mac.digest(self.sb.raw[:edge]),
                                              self.sb.raw[edge:512])
            if not self.sb_mac:
                raise Refused("superblock MAC mismatch")

    # -- blocks and tags --

    def read_data(self, s, sectors):
        """Data of logical sectors; they must be contiguous (Layout.run)."""
        data = self.data.read(self.layout.data_sector(s) * 512, sectors * 512)
        return self._overlaid(0, s, sectors, data, self.layout.bs)

    def read_tags(self, s, blocks):
        """Stored tags of contiguous blocks."""
        tags = self.meta.read(self.layout.tag_byte(s), blocks * self.layout.T)
        return self._overlaid(1, s, blocks << self.layout.lspb, tags, self.layout.T)

    def _overlaid(self, which, s, sectors, what, unit):
        if not self.overlay:
            return what
        spb = self.layout.spb
        # Look up by the smaller of the two sets.
        if len(self.overlay) < sectors // spb:
            hits = [b for b in self.overlay if s <= b < s + sectors]
        else:
            hits = [b for b in range(s, s + sectors, spb) if b in self.overlay]
        if hits:
            what = bytearray(what)
            for block in hits:
                at = (block - s) // spb * unit
                what[at:at + unit] = self.overlay[block][which]
        return what

    def made_tags(self, s, data):
        """The tags that these blocks should have."""
        lay = self.layout
        return self.hash.tags(self.salt, s, lay.spb, data, lay.bs, lay.T)

    def need_hash(self):
        if not self.hash:
            raise Refused("this needs --hash: the algorithm is not stored on the disk")
        return self.hash
