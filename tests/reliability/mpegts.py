"""MPEG-TS put together by hand, with what no muxer would write."""

from __future__ import annotations

import itertools
from collections import defaultdict

SERVICES, TABLE, VIDEO = 0x11, 0x20, 0x100  # Packet identifiers.
NULL = b"\x47\x1f\xff\x10" + bytes([0xFF]) * 184


def checksum(data: bytes, rest: int = 0xFFFFFFFF) -> bytes:
    """CRC-32 of MPEG, and with another start of Ogg."""
    for byte in data:
        rest ^= byte << 24
        for _ in range(8):
            rest = (rest << 1) ^ 0x104C11DB7 if rest >> 31 else rest << 1
    return rest.to_bytes(4, "big")


def section(table: int, ident: int, body: bytes, version: int = 0) -> bytes:
    """Return a section of a table."""
    rest = ident.to_bytes(2, "big") + bytes([0xC1 | version << 1, 0, 0]) + body
    whole = bytes([table]) + (0xB000 | len(rest) + 4).to_bytes(2, "big") + rest
    return whole + checksum(whole)


def services_section(numbers, table: int = 0x42, version: int = 0) -> bytes:
    """Return a section of services without names."""
    said = b"\x48\x03\x01\0\0"
    each = (one.to_bytes(2, "big") + b"\0" + len(said).to_bytes(2, "big") + said for one in numbers)
    return section(table, 1, b"\0\1\0" + b"".join(each), version)


class Stream:
    """Numbers packets."""

    def __init__(self):
        self._counts = defaultdict(itertools.count)

    def packets(self, pid: int, data: bytes, is_section: bool = False) -> bytes:
        """Return data in packets of 188 bytes; the last is filled up."""
        data, written = b"\0" * is_section + data, b""
        for start in range(0, len(data), 184):
            part, first = data[start : start + 184], 0x4000 if start == 0 else 0
            count, room = next(self._counts[pid]) % 16, 184 - len(part)
            if is_section:
                part += b"\xff" * room
            field = b"" if is_section or not room else bytes([room - 1]) + (b"\0" + b"\xff" * (room - 2))[: room - 1]
            head = b"\x47" + (first | pid).to_bytes(2, "big") + bytes([0x10 | bool(field) << 5 | count])
            written += head + field + part
        return written

    def programs(self, numbers, pid: int = TABLE, version: int = 0) -> bytes:
        """Return a table of programs that share a packet identifier."""
        body = b"".join(one.to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big") for one in numbers)
        return self.packets(0, section(0, 1, body, version), is_section=True)

    def streams(self, kind: int, pid: int = VIDEO) -> bytes:
        """Return the table of program 1, with one stream."""
        own = (0xE000 | pid).to_bytes(2, "big")
        body = own + b"\xf0\0" + bytes([kind]) + own + b"\xf0\0"
        return self.packets(TABLE, section(2, 1, body), is_section=True)

    def services(self, numbers, version: int = 0) -> bytes:
        """Return a table of services."""
        return self.packets(SERVICES, services_section(numbers, version=version), is_section=True)

    def frame(self, data: bytes, index: int = 0, pid: int = VIDEO) -> bytes:
        """Return a frame that is shown at a twenty-fifth of a second times its index."""
        time = 90_000 + 3_600 * index
        clock = bytes([0x21 | time >> 29 & 0xE]) + ((time >> 15 & 0x7FFF) << 1 | 1).to_bytes(2, "big")
        clock += ((time & 0x7FFF) << 1 | 1).to_bytes(2, "big")
        length = len(data) + 8 if len(data) < 60_000 else 0
        return self.packets(pid, b"\0\0\1\xe0" + length.to_bytes(2, "big") + b"\x80\x80\5" + clock + data)
