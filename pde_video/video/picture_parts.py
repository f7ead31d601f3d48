"""Chunks of PNG and segments of JPEG: counted before a library reads them, since each costs it time."""

import re
import struct
from pathlib import Path

from pde_video.access.opening import open_regular
from pde_video.errors import InputError

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"  # How such files begin.
_FREE, _PART = 10_000, 1024  # Parts that a file of any size may have, and bytes of the file for each further one.
_FEW_SEGMENTS = 100  # The same of a JPEG that is one of very many pieces of a picture.
_FEW_SCANS, _WORK = 20, 2**30  # Scans of a JPEG of any size; pixels of a picture that all scans may go over.
_LONGEST = 2**27  # Bytes of a JPEG that are looked at.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # Within a scan; 0 stands for a byte 255, D0 to D7 for restarts.
_SCAN, _END, _ALONE = 0xDA, 0xD9, (0x01, 0xD8, 0xD9)  # The last without a length.
_TEXTS = (b"iCCP", b"zTXt", b"iTXt")  # Chunks of a PNG that are compressed, beside its pixels.
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # Height and width.


def check_png(path: Path) -> int:
    """Refuse a PNG of far too many chunks; return where the last one ends."""
    size, end, count = path.stat().st_size, len(PNG), 0
    with open_regular(path) as file:
        file.seek(end)
        while len(head := file.read(8)) == 8:
            count += 1
            if count > (most := _FREE + size // _PART):
                raise InputError(f"{path}: {_too_many(f'{most} chunks in {size} bytes')}")
            end = min(size, end + 12 + int.from_bytes(head[:4], "big"))
            if head[4:] == b"IEND":
                break
            file.seek(end)
    return end


def has_texts(png: bytes) -> bool:
    """Tell whether a PNG may have texts or a colour profile that are compressed."""
    return any(kind in png for kind in _TEXTS)


def without_texts(png: bytes) -> bytes:
    """Return a PNG without its texts and colour profile, which FFmpeg would decompress whatever their size."""
    kept, start = [png[:8]], 8
    while start < len(png):
        end = start + 12 + int.from_bytes(png[start : start + 4], "big")
        if png[start + 4 : start + 8] not in _TEXTS:
            kept.append(png[start:end])
        start = end
    return b"".join(kept)


def check_jpeg(path: Path) -> int:
    """Refuse a JPEG of far too many segments or scans; return the size of the file."""
    with open_regular(path) as file:
        data = file.read(_LONGEST)
    try:
        jpeg_size(data)
    except ValueError as fault:
        raise InputError(f"{path}: {fault}") from None
    return path.stat().st_size


def jpeg_size(data: bytes, pieces: int = 1, *, to_the_end: bool = False) -> tuple[int, int, int]:
    """Return height, width and components of a JPEG, one of several `pieces` of a picture; zeros if it has no header.

    Raise ValueError if it has far too many segments or scans; those of further pictures count `to_the_end` only.
    """
    at, count, scans, size = 2, 0, 0, (0, 0, 0)
    most = max(_FEW_SEGMENTS, _FREE // pieces) + len(data) // _PART
    while marker := _MARKER.search(data, at):
        kind = data[marker.start() + 1]
        if kind == _END and not to_the_end:
            break
        at, count, scans = marker.end(), count + 1, scans + (kind == _SCAN)
        if count > most:
            raise ValueError(_too_many(f"{most} segments in {len(data)} bytes"))
        if kind in _FRAMES:
            size = max(size, struct.unpack(">HHB", data[at + 3 : at + 8].ljust(5, b"\0")), key=_area)
        if scans > (enough := max(_FEW_SCANS, _WORK // pieces // max(1, _area(size)))):
            of = f"{enough} scans of {size[0]} × {size[1]} pixels"
            raise ValueError(f"{_too_many(of)}; save it with at most {enough} scans")
        at += 0 if kind in _ALONE else int.from_bytes(data[at : at + 2], "big")
    return size


def _area(size: tuple[int, int, int]) -> int:
    return size[0] * size[1]


def _too_many(found: str) -> str:
    return f"it has over {found}; it is damaged or malicious"
