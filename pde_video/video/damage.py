"""Damage that FFmpeg does not report: a file that ends before its declared end, wrong checksums of FFV1."""

import zlib
from pathlib import Path
from typing import BinaryIO

from pde_video.video.boxes import boxes
from pde_video.video.matroska import MAGIC, SEGMENT, read_head

_MOST_ELEMENTS = 16
# Boxes that must be complete, and those that may come before them.
_HOLD, _PRECEDE = (b"moov", b"moof", b"mdat", b"mfra", b"sidx"), (b"ftyp", b"styp", b"free", b"skip", b"wide", b"pnot")
_RIFF_SLACK = 8  # Bytes: some writers of AVI include the header's eight.
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_WITH, _WITHOUT = 8, 3  # Bytes at the end of a slice: three of its size; with checksums one of status and four more.
_STARTS = (0, 0x7A8C4079)  # Start values by version of the format; an undamaged slice also ends at its start value.


def cut_off(path: Path) -> str | None:
    """Return an error message if a file ends before its declared end."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(0)
        if head[:4] == MAGIC:
            end = _end_of_segment(file, size)
        elif head[:4] == b"RIFF":
            end = _end_of_riff(file, size) - _RIFF_SLACK
        elif head[4:] in (*_HOLD, *_PRECEDE):
            end = _end_of_boxes(file, size)
        else:
            return None
    return None if end <= size else f"{path}: it declares {end} bytes or more, but has {size}: the file is truncated"


def _end_of_segment(file: BinaryIO, size: int) -> int:
    """Return where Matroska's segment ends, or an element before it that is truncated; 0 if that is not declared."""
    end = 0
    for _ in range(_MOST_ELEMENTS):
        ident, start, length = read_head(file, end) or (0, 0, None)
        if length is None:
            return 0  # As in live recordings.
        end = start + length
        if ident == SEGMENT or end > size:
            return end
    return 0


def _end_of_riff(file: BinaryIO, size: int) -> int:
    """Return where the last chunk ends; files larger than 1 GB have several."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF" or not 0 < length < 2**32 - 1:
            break
        end += 8 + length
    return end


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    end = 0
    for kind, _, end in boxes(file, 0, size):
        if end > size:
            return end if kind in _HOLD else 0
    file.seek(end)
    rest = file.read(8)
    return end + 8 if len(rest) < 8 and any(rest) else 0  # Zeros after the last box are common.


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
        size = _size_before(packet, end, tail)
        if end < tail or size > end:
            return None
        found.append(packet[end - size : end])
        end -= size
    return found


def count_slices(packet: bytes) -> int:
    """Return the number of slices of an FFV1 frame, at most, as far as their sizes tell."""
    return max(_count(packet, tail) for tail in (_WITH, _WITHOUT))


def _count(packet: bytes, tail: int) -> int:
    count, end = 0, len(packet)
    while end >= tail and (size := _size_before(packet, end, tail)) <= end:
        count, end = count + 1, end - size
    return count


def _size_before(packet: bytes, end: int, tail: int) -> int:
    """Return the bytes of the slice that ends there."""
    return int.from_bytes(packet[end - tail : end - tail + 3], "big") + tail


def _checksum(data: bytes, start: int) -> int:
    """Return the CRC with the polynomial 0x04C11DB7, highest bit first: zlib's with all bits reversed."""
    return _mirrored(~zlib.crc32(data.translate(_REVERSED), ~_mirrored(start) & 0xFFFFFFFF) & 0xFFFFFFFF)


def _mirrored(word: int) -> int:
    return int(f"{word:032b}"[::-1], 2)
