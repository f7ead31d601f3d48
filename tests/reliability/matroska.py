"""Matroska files put together by hand, with what no muxer would write."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

from PIL import Image

SIZE = (64, 48)  # Width and height.
TICK = 40  # Milliseconds from frame to frame.


def element(ident: str, *parts: bytes) -> bytes:
    """Return an element of EBML: its identifier in hexadecimal digits, its length, and its contents."""
    body = b"".join(parts)
    return bytes.fromhex(ident) + (len(body) | 1 << 56).to_bytes(8, "big") + body


def number(ident: str, value: int) -> bytes:
    """Return an element that holds a number of 64 bits."""
    return element(ident, (value % 2**64).to_bytes(8, "big"))


def track(index: int, kind: int, codec: bytes, *parts: bytes) -> bytes:
    """Return the entry of a track; `kind` is 1 for video, 2 for audio, 17 for subtitles."""
    head = number("D7", index), number("73C5", index), number("83", kind), element("86", codec)
    return element("AE", *head, *parts)


def block(index: int, time: int, data: bytes, duration: int | None = None) -> bytes:
    """Return a group with one block, `time` milliseconds after its cluster."""
    header = bytes([0x80 | index]) + time.to_bytes(2, "big", signed=True) + b"\0"
    return element("A0", element("A1", header, data), *([] if duration is None else [number("9B", duration)]))


_NUMBERS = itertools.count(1)  # Chapters of one number would be one chapter.


def chapter(start: int, end: int | None, title: bytes = b"A chapter") -> bytes:
    """Return a chapter between two times in nanoseconds."""
    parts = [number("73C4", next(_NUMBERS)), number("91", start)] + ([] if end is None else [number("92", end)])
    return element("B6", *parts, element("80", element("85", title), element("437C", b"eng")))


def attachment(name: bytes, data: bytes, kind: bytes = b"font/ttf") -> bytes:
    """Return an attached file."""
    return element("61A7", number("46AE", 1), element("466E", name), element("4660", kind), element("465C", data))


def write(
    path: Path,
    tracks: bytes = b"",
    blocks: bytes = b"",
    *,
    frames: int = 5,
    picture: bytes | None = None,
    chapters: bytes = b"",
    attachments: bytes = b"",
    tags: bytes = b"",
    clusters: bytes = b"",
) -> Path:
    """Write MJPEG frames, ever brighter or one JPEG, as track 1, and whatever else is given."""
    pictures = []
    for index in range(frames):
        memory = io.BytesIO()
        Image.new("RGB", SIZE, (40 * index,) * 3).save(memory, "JPEG")
        pictures.append(block(1, TICK * index, picture or memory.getvalue()))
    size = element("E0", number("B0", SIZE[0]), number("BA", SIZE[1]))
    video = track(1, 1, b"V_MJPEG", number("23E383", TICK * 10**6), size)
    segment = element("1549A966", number("2AD7B1", 10**6)), element("1654AE6B", video, tracks)
    more = (element("1043A770", element("45B9", chapters)),) if chapters else ()
    more += (element("1941A469", attachments),) if attachments else ()
    head = element("1A45DFA3", element("4282", b"matroska"), number("4287", 4), number("4285", 2))
    cluster = element("1F43B675", number("E7", 0), *pictures, blocks)
    path.write_bytes(head + element("18538067", *segment, *more, tags, cluster, clusters))
    return path
