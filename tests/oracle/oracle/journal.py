# SPDX-License-Identifier: GPL-2.0-only
"""The journal (section 4): decoding it, and what a replay of it would do."""

import struct

from . import Refused
from .ciphers import COMMIT_IDS
from .geometry import DIRTY_BITMAP, FIXED_HMAC, HAVE_JOURNAL_MAC

UNUSED = 0xFFFFFFFF


class Entry:
    """A used entry: the block at logical `sector`, its data and tag."""

    def __init__(self, section, number, sector, data, tag):
        self.section, self.number, self.sector, self.data, self.tag = \
            section, number, sector, data, tag
        self.effect = None


class Section:
    """sequence[j]: which sequence the commit id of sector j belongs to, or None."""

    def __init__(self, index, raw, layout, ids):
        self.index, self.raw, self.layout = index, raw, layout
        self.sequence = []
        for j in range(layout.SS):
            value = int.from_bytes(raw[512 * j + 504:512 * j + 512], "little") ^ (index << 32 ^ j)
            self.sequence.append(ids.index(value) if value in ids else None)

    def sector_field(self, n):
        """The 8 bytes of entry n that tell its sector (4.1)."""
        at = 512 * (n % 8) + n // 8 * self.layout.E
        return self.raw[at:at + 8]

    def used(self):
        return [n for n in range(self.layout.SE)
                if struct.unpack("<II", self.sector_field(n))[1] != UNUSED]

    def entry(self, n):
        lay = self.layout
        at = 512 * (n % 8) + n // 8 * lay.E
        data = bytearray()
        for k in range(lay.spb):
            sector = 512 * (8 + n * lay.spb + k)
            data += self.raw[sector:sector + 504] + self.raw[at + 8 + 8 * k:at + 16 + 8 * k]
        tag_at = at + 8 + 8 * lay.spb
        return Entry(self.index, n, int.from_bytes(self.sector_field(n), "little"), bytes(data),
                     self.raw[tag_at:tag_at + lay.T])

    def stored_mac(self):
        return b"".join(self.raw[512 * j + 496:512 * j + 504] for j in range(8))

    def made_mac(self, mac, salt):
        message = (salt + self.index.to_bytes(8, "little")) if salt else b""
        message += b"".join(self.sector_field(n) for n in range(self.layout.SE))
        return mac.digest(message)[:64].ljust(64, b"\0")


class Plan:
    """What a replay does. blocks: {sector: (data, tag)} as they are afterwards."""

    def __init__(self):
        self.error = None
        self.empty = self.torn = False
        self.order = []
        self.next_section = self.next_sequence = None
        self.entries = []
        self.blocks = {}


class Journal:
    """The decrypted sections of a volume's journal."""

    def __init__(self, volume):
        self.volume = volume
        lay = volume.layout
        if lay.kind == "inline":
            raise Refused("an inline volume has no journal")
        if volume.sb.has(DIRTY_BITMAP):
            raise Refused("there is no journal: a bitmap is in its place")
        self.ids = volume.cipher.ids if volume.cipher else COMMIT_IDS
        self.sections = []
        for i in range(lay.N):
            raw = volume.meta.read(lay.section_sector(i) * 512, lay.SS * 512)
            if volume.cipher:
                raw = volume.cipher.decrypt(i, raw)
            self.sections.append(Section(i, raw, lay, self.ids))

    def mac_ok(self, section):
        """True, False, or None if there is nothing to check it with."""
        volume = self.volume
        if not volume.sb.has(HAVE_JOURNAL_MAC) or not volume.mac:
            return None
        salt = volume.salt if volume.sb.has(FIXED_HMAC) else b""
        return section.made_mac(volume.mac, salt) == section.stored_mac()

    def replay(self):
        """4.8, as a table in mode J would do it."""
        plan, sections = Plan(), self.sections
        count = len(sections)
        highest = {}
        for section in sections:
            for j, sequence in enumerate(section.sequence):
                if sequence is None:
                    plan.error = f"EIO: section {section.index} sector {j}: unknown commit id"
                    return plan
                highest[sequence] = section.index
        plan.empty = not any(section.used() for section in sections)

        # Step 3: the first unused number behind the used ones.
        if len(highest) == 4:
            plan.error = "EIO: all four sequences occur"
            return plan
        if 3 not in highest:
            unused = 3
            while unused and unused - 1 not in highest:
                unused -= 1
        else:
            unused = next(q for q in range(3) if q not in highest)
        last = (unused - 1) % 4
        want = (last - 1) % 4
        # Step 4: the trace of an erase that was interrupted.
        if want not in highest and (want - 1) % 4 in highest:
            plan.torn = plan.empty = True
        # Step 5, 6: the ring, oldest section first.
        first = highest[last] + 1 if last in highest else 0
        if first == count:
            first, want = 0, (want + 1) % 4
        at = first
        for _ in range(count):
            if any(sequence != want for sequence in sections[at].sequence):
                break
            plan.order.append(at)
            at += 1
            if at == count:
                at, want = 0, (want + 1) % 4
        # Step 8.
        if len(plan.order) == count:
            plan.next_section, plan.next_sequence = first, want
        else:
            plan.next_section, plan.next_sequence = 0, (last - 1) % 4
        if not plan.empty:
            self._replay_sections(plan)
        return plan

    def _replay_sections(self, plan):
        """Step 7: applies entries in order up to the first error."""
        volume, lay = self.volume, self.volume.layout
        for section in (self.sections[i] for i in plan.order):
            if self.mac_ok(section) is False:
                if not plan.error:
                    plan.error = f"EILSEQ: section {section.index}: MAC mismatch"
            run = []
            for n in section.used():
                entry = section.entry(n)
                plan.entries.append(entry)
                if plan.error:
                    entry.effect = "not reached"
                    continue
                where = f"section {section.index} entry {n}"
                # A run is written as one: it ends where the place on the disk is not next to
                # the one before, so also at the end of an interleaved area [seen with 6.12].
                if run and (n != run[-1].number + 1 or entry.sector != run[-1].sector + lay.spb or
                            lay.run(run[-1].sector) == lay.spb):
                    run = []
                if entry.sector % lay.spb:
                    entry.effect = "unaligned"
                    plan.error = f"EIO: {where}: sector {entry.sector} is not aligned"
                elif entry.sector >= lay.P:
                    entry.effect = "ignored"
                    run = []
                    continue
                elif volume.hash and entry.tag != volume.made_tags(entry.sector, entry.data):
                    entry.effect = "mismatch"
                    plan.error = f"EILSEQ: {where}: the tag of sector {entry.sector} does not match"
                if plan.error:
                    # Of the run that it broke only the tags were written.
                    for earlier in run:
                        data = earlier.previous[0] if earlier.previous else \
                            volume.read_data(earlier.sector, lay.spb)
                        plan.blocks[earlier.sector] = (data, earlier.tag)
                        earlier.effect = "tag only"
                    continue
                entry.previous = plan.blocks.get(entry.sector)
                plan.blocks[entry.sector] = (entry.data, entry.tag)
                entry.effect = "write"
                run.append(entry)
        newest = {}
        for entry in plan.entries:
            if entry.effect in ("write", "tag only"):
                if entry.sector in newest and newest[entry.sector].effect == "write":
                    newest[entry.sector].effect = "superseded"
                newest[entry.sector] = entry

    def changed(self, plan):
        """Sectors of blocks whose data or tag a replay would change; settles the entries' effects."""
        volume = self.volume
        out = {}
        for sector, (data, tag) in sorted(plan.blocks.items()):
            if volume.read_data(sector, volume.layout.spb) != data or \
                    volume.read_tags(sector, 1) != tag:
                out[sector] = True
        for entry in plan.entries:
            if entry.effect == "write":
                entry.effect = "changes" if entry.sector in out else "none"
        return list(out)
