# SPDX-License-Identifier: GPL-2.0-only
"""corrupt: flips bits of one byte, told by what it means."""

from . import Refused
from .geometry import FIELDS, SB_BYTES
from .volume import Image, Volume


def corrupt(open_volume, args):
    """open_volume(writable=, lenient=) opens the volume; only if it is needed."""
    xor = args.xor
    if not 0 < xor < 256:
        raise Refused("--xor: 01 to ff")
    byte = args.byte or 0
    if args.what == "superblock":
        # Without looking at it: a superblock that is refused can be put right again.
        image = Image(args.meta or args.image, writable=True)
        offset, size = FIELDS.get(args.where) or (_number(args.where), 1)
        if args.where in FIELDS and byte >= size:
            raise Refused(f"{args.where} has {size} bytes")
        if not 0 <= offset + byte < SB_BYTES:
            raise Refused(f"the superblock has {SB_BYTES} bytes")
        at = args.start * 512 + offset + byte
    else:
        volume = open_volume(writable=True, lenient=True)
        image, at, size = _position(volume, args.what, args.where)
        if not 0 <= byte < size:
            raise Refused(f"--byte {byte}: there are {size}")
        at += byte
    was = image.read(at, 1)[0]
    image.write(at, bytes([was ^ xor]))
    return {"corrupted": f"{args.what} {args.where}", "device": image.path, "offset": at,
            "was": was, "now": was ^ xor}


def _number(text):
    try:
        return int(text, 0)
    except ValueError:
        raise Refused(f"not a number or a field of the superblock: {text}") from None


def _position(volume: Volume, what, where):
    """(image, byte, how many bytes from there belong to it)"""
    lay = volume.layout
    if what == "journal":
        section, colon, sector = where.partition(":")
        section, sector = _number(section), _number(sector) if colon else 0
        if not (0 <= section < lay.N and 0 <= sector < lay.SS):
            raise Refused(f"the journal has {lay.N} sections of {lay.SS} sectors")
        return volume.meta, (lay.section_sector(section) + sector) * 512, 512
    s = _number(where)
    if not 0 <= s < lay.P:
        raise Refused(f"the volume has {lay.P} sectors")
    if what == "tag":
        return volume.meta, lay.tag_byte(s), lay.T
    return volume.data, lay.data_sector(s) * 512, 512
