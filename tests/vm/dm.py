# SPDX-License-Identifier: GPL-2.0-only
"""Device-mapper's ioctls, for tests that need many of them fast, or one in this very thread.

    from dm import Dm
    d = Dm("name")
    d.create(); d.load("0 1000 linear /dev/ram0 0"); d.resume(); d.status()
"""

import errno
import fcntl
import os
import struct

HEADER = struct.Struct("=3IIIIiIIIQ128s129s7x")
SPEC = struct.Struct("=QQiI16s")
CREATE, REMOVE, RENAME, SUSPEND, STATUS, LOAD, CLEAR, TABLE_STATUS, MESSAGE = 3, 4, 5, 6, 7, 9, 10, 12, 14
READONLY, SUSPENDED, STATUS_TABLE, FULL, SKIP_LOCKFS, NOFLUSH = 1, 2, 0x10, 0x100, 0x400, 0x800


def control():
    """The file to talk to; its node may have to be made where there is no udev."""
    path = "/dev/mapper/control"
    if not os.path.exists(path):
        os.makedirs("/dev/mapper", exist_ok=True)
        os.mknod(path, 0o600 | 0o020000, os.makedev(10, 236))
    return os.open(path, os.O_RDWR)


class Dm:
    """One mapped device. One with a uuid is found by that, whatever its name is by now."""

    _control = None

    def __init__(self, name, uuid=""):
        self.name, self.uuid = name, uuid
        if Dm._control is None:
            Dm._control = control()

    def call(self, number, payload=b"", flags=0, targets=0, size=4096):
        """One ioctl; returns the header's fields and what follows it."""
        size = max(size, HEADER.size + len(payload))
        buffer = bytearray(size)
        name = "" if self.uuid and number != CREATE else self.name
        HEADER.pack_into(buffer, 0, 4, 0, 0, size, HEADER.size, targets, 0, flags, 0, 0, 0,
                         name.encode(), self.uuid.encode())
        buffer[HEADER.size:HEADER.size + len(payload)] = payload
        fcntl.ioctl(Dm._control, 3 << 30 | HEADER.size << 16 | 0xFD << 8 | number, buffer)
        fields = HEADER.unpack_from(buffer)
        return fields, buffer

    def create(self):
        self.call(CREATE)

    def prepare(self, *lines):
        """The bytes of a table of lines as dmsetup takes them."""
        payload = b""
        for line in lines:
            start, length, target, params = line.split(" ", 3)
            params = params.encode() + b"\0"
            params += bytes(-(SPEC.size + len(params)) % 8)
            payload += SPEC.pack(int(start), int(length), 0, SPEC.size + len(params),
                                 target.encode()) + params
        return payload, len(lines)

    def load(self, *lines, readonly=False):
        payload, count = self.prepare(*lines)
        self.call(LOAD, payload, READONLY if readonly else 0, count)

    def clear(self):
        self.call(CLEAR)

    def resume(self, noflush=False):
        self.call(SUSPEND, flags=(NOFLUSH if noflush else 0) | SKIP_LOCKFS)

    def suspend(self, noflush=False):
        self.call(SUSPEND, flags=SUSPENDED | SKIP_LOCKFS | (NOFLUSH if noflush else 0))

    def remove(self):
        self.call(REMOVE)

    def rename(self, name):
        self.call(RENAME, name.encode() + b"\0")

    def remove_retry(self):
        """Something (a probe of the disk) may still be closing it."""
        import time
        for _ in range(200):
            try:
                return self.remove()
            except OSError as e:
                if e.errno != errno.EBUSY:
                    raise
            time.sleep(0.02)
        raise OSError(errno.EBUSY, f"{self.name} stays in use")

    def _status(self, flags):
        fields, buffer = self.call(TABLE_STATUS, flags=flags | NOFLUSH, size=16384)
        start = fields[4] + SPEC.size
        return bytes(buffer[start:buffer.index(0, start)]).decode()

    def status(self):
        return self._status(0)

    def table(self):
        return self._status(STATUS_TABLE)

    def message(self, text):
        self.call(MESSAGE, struct.pack("=Q", 0) + text.encode() + b"\0")

    def node(self):
        """A path to open the device by, made by the kernel itself."""
        fields, _ = self.call(STATUS)
        return f"/dev/dm-{fields[10] & 0xFF | fields[10] >> 12 & 0xFFF00}"
