"""Chunks of PNG and segments of JPEG: counted before a library reads them, since each costs it time."""

import math
import re
import struct
from pathlib import Path

from pde_video.errors import InputError
from pde_video.video.regular import open_regular

_FREE, _PART = 10_000, 1024  # Parts that a file of any size may have, and bytes of the file for each further one.
_FEW_SCANS, _WORK = 20, 2**30  # Scans of a JPEG of any size; samples that all scans may go over.
_LONGEST = 2**27  # Bytes of a JPEG that are looked at.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # Within a scan; 0 stands for a byte 255, D0 to D7 for restarts.
_SCAN, _END, _ALONE = 0xDA, 0xD9, (0x01, 0xD8)  # The last without a length.
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # Height and width.


def check_png(path: Path) -> int:
    """Refuse a PNG of far too many chunks; return where the last one ends."""
    size, end, count = path.stat().st_size, 8, 0
    with open_regular(path) as file:
        file.seek(end)
        while len(head := file.read(8)) == 8:
            count += 1
            _check_count(path, count, size, "chunks")
            end = min(size, end + 12 + int.from_bytes(head[:4], "big"))
            if head[4:] == b"IEND":
                break
            file.seek(end)
    return end


def check_jpeg(path: Path) -> int:
    """Refuse a JPEG of far too many segments or scans; return the size of the file."""
    with open_regular(path) as file:
        data = file.read(_LONGEST)
    at, count, scans, pixels = 2, 0, 0, 0
    while (marker := _MARKER.search(data, at)) and (kind := data[marker.start() + 1]) != _END:
        count += 1
        _check_count(path, count, len(data), "segments")
        scans += kind == _SCAN
        if kind in _FRAMES:
            pixels = math.prod(struct.unpack(">HH", data[marker.end() + 3 : marker.end() + 7].ljust(4, b"\0")))
        if scans > _FEW_SCANS and scans * pixels > _WORK:
            raise InputError(
                f"{path}: over {scans - 1} scans, each of which may change all of {pixels} pixels; it is damaged, or "
                "made to take long: save it again with fewer"
            )
        at = marker.end() + (0 if kind in _ALONE else int.from_bytes(data[marker.end() : marker.end() + 2], "big"))
    return path.stat().st_size


def _check_count(path: Path, count: int, size: int, parts: str) -> None:
    if count > _FREE + size // _PART:
        raise InputError(f"{path}: over {count - 1} {parts} in {size} bytes; it is damaged, or made to take long")
