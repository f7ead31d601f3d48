"""MPEG-TS, whose programs are counted as FFmpeg reads them: its time grows with the cube of their number.

FFmpeg resumes anywhere after damage. So every position is taken for a packet that looks like one with a table of
programs (ISO/IEC 13818-1, 2.4.4) or of services (ETSI EN 300 468, 5.2.3).
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pde_video.access.opening import reading
from pde_video.errors import InputError

_PROGRAMS, _SERVICES = 0x00, 0x11  # Packet identifiers.
_HEAD = re.compile(rb"\x47[\x00\x20\x40\x60\x80\xa0\xc0\xe0][\x00\x11]")
_PACKET = 188
_STUFFING, _LONGEST = 0xFF, 4096  # Byte after the last section; bytes of sections that begin in one packet.
_SERVICES_HERE = 0x42  # Table of the services of this transport stream.
_MOST, _BYTES = 256, 2**20  # Programs, and bytes of the file for each further one: damaged tables name some.
_FORGOTTEN, _MOST_UNFINISHED = 2**22, 64  # Bytes without the rest of a section; sections that wait for theirs.
_FREE_STEPS, _STEP = 1000, 64  # Packets times sections in them, and bytes of the file for each further one.


@dataclass
class _Sections:
    """Sections that begin in one packet and go on in others."""

    place: int  # In the file, of the last packet.
    data: bytearray
    start: int = 0  # Of the first section that is not complete.


@dataclass
class Transport:
    """A file for FFmpeg to read; reading raises InputError after far too many programs."""

    path: Path
    _file: BinaryIO
    _rest: bytes = b""  # Read before, which may be the beginning of a packet.
    _end: int = 0  # Of what was read before.
    _steps: int = 0
    _furthest: int = 0  # Place that was reached.
    _programs: set[bytes] = field(default_factory=set)
    _unfinished: dict[int, list[_Sections]] = field(default_factory=lambda: {_PROGRAMS: [], _SERVICES: []})

    def __post_init__(self) -> None:
        self.name = f"file:{self.path}"

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the file and return it."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, after the programs in them are counted."""
        rest = self._rest if self._file.tell() == self._end else b""
        with reading(self.path):
            data = self._file.read(size)
        self._end = self._file.tell()
        window, start = rest + data, self._end - len(data) - len(rest)
        self._rest = window[-2:]
        for head in _HEAD.finditer(window):
            packet = window[head.start() : head.start() + _PACKET]
            if len(packet) < _PACKET:
                self._rest = window[head.start() :]
                break
            self._packet(packet, start + head.start())
        return data

    def _packet(self, packet: bytes, place: int) -> None:
        starts, has_field, has_payload = packet[1] & 0x40, packet[3] & 0x20, packet[3] & 0x10
        payload = packet[5 + packet[4] if has_field else 4 :] if has_payload else b""
        if not payload:
            return
        sections = [one for one in self._unfinished[packet[2]] if abs(place - one.place) < _FORGOTTEN]
        rest = payload[1 : 1 + payload[0]] if starts else payload
        for one in sections if rest else ():
            one.place, one.data = place, (one.data + rest)[:_LONGEST]
        if starts and len(payload) > 1 + payload[0]:
            sections.append(_Sections(place, bytearray(payload[1 + payload[0] :])))
        unfinished = [one for one in sections if not self._complete(packet[2], one, place)]
        # Of those that wait for the same, the one that may go on for longest is enough.
        each = {bytes(one.data[one.start :]): one for one in sorted(unfinished, key=lambda one: -len(one.data))}
        self._unfinished[packet[2]] = [*each.values()]
        self._steps += len(sections) * (place >= self._furthest)
        self._furthest = max(self._furthest, place)
        if len(each) > _MOST_UNFINISHED or self._steps > _FREE_STEPS + self._furthest // _STEP:
            raise InputError(f"{self.path}: its tables of programs overlap; it is damaged or malicious")

    def _complete(self, pid: int, sections: _Sections, place: int) -> bool:
        """Count the programs of what is complete by now; tell whether all is."""
        data = sections.data
        while sections.start < len(data) and data[sections.start] != _STUFFING:
            end = sections.start + 3 + (int.from_bytes(data[sections.start + 1 : sections.start + 3], "big") & 0xFFF)
            if len(data) < sections.start + 3 or end > len(data):
                return len(data) >= _LONGEST
            section = bytes(data[sections.start : end])
            self._programs.update(_programs(section) if pid == _PROGRAMS else _services(section))
            sections.start = end
        most = _MOST + place // _BYTES
        if len(self._programs) > most:
            raise InputError(
                f"{self.path}: it has over {most} programs, which take FFmpeg too long; it is damaged or malicious"
            )
        return sections.start < len(data)


def _programs(section: bytes) -> set[bytes]:
    """Return the numbers of the programs in a section."""
    return {section[at : at + 2] for at in range(8, len(section) - 7, 4)} if section[0] == 0 else set()


def _services(section: bytes) -> set[bytes]:
    """Return the numbers of the services in a section, which FFmpeg takes for those of programs."""
    found, at = set(), 11
    while section[0] == _SERVICES_HERE and at + 5 <= len(section) - 4:
        found.add(section[at : at + 2])
        at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF)
    return found
