"""Checksums of FFV1. FFmpeg's decoder compares them, but does not report a mismatch."""

from __future__ import annotations

import zlib

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_WITH, _WITHOUT = 8, 3  # Bytes at the end of a slice: three of its size; with checksums one of status and four more.
_STARTS = (0, 0x7A8C4079)  # Start values by version of the format; an undamaged slice also ends at its start value.


def is_whole(packet: bytes) -> bool:
    """Tell whether the slices of an FFV1 frame (version 3 or later) have the sizes and checksums they declare."""
    slices = _slices(packet, _WITH)
    if slices is None:
        return _slices(packet, _WITHOUT) is not None  # A file without checksums.
    return all(any(_checksum(part, start) == start for start in _STARTS) for part in slices)


def _slices(packet: bytes, tail: int) -> list[bytes] | None:
    """Return the slices of a frame, found from its end, or None if their sizes do not add up."""
    found, end = [], len(packet)
    while end > 0:
        size = int.from_bytes(packet[end - tail : end - tail + 3], "big") + tail
        if end < tail or size > end:
            return None
        found.append(packet[end - size : end])
        end -= size
    return found


def _checksum(data: bytes, start: int) -> int:
    """Return the CRC with the polynomial 0x04C11DB7, highest bit first: zlib's with all bits reversed."""
    return _mirrored(~zlib.crc32(data.translate(_REVERSED), ~_mirrored(start) & 0xFFFFFFFF) & 0xFFFFFFFF)


def _mirrored(word: int) -> int:
    return int(f"{word:032b}"[::-1], 2)
