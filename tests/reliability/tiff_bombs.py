"""Small TIFF files that would take much memory or time, and what becomes of them; started by test_tiff_bombs.py."""

from __future__ import annotations

import json
import lzma
import resource
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import pde_video as pv
from pde_video.cli import main
from pde_video.jobs.trial import peak_memory

BYTE, TEXT, SHORT, LONG, LONG8 = 1, 2, 3, 4, 16
HEAVY = ("strips of 300 MB in the file", "offsets of 256 MB", "pages of one tag", "OME elements", "OME pictures")
HEAVY += ("the most strips, read",)  # These take about a second each.
Tags = dict[int, tuple[int, int, int]]  # Type, number of values, and the value or where it is.


def page(height: int = 8, width: int = 8, bits: int = 8, **changed: tuple[int, int, int]) -> Tags:
    """Tags of a grey page whose one strip lies at the end of the header; `changed` by names such as t259."""
    tags = {256: (LONG, 1, width), 257: (LONG, 1, height), 258: (SHORT, 1, bits), 259: (SHORT, 1, 1)}
    tags |= {262: (SHORT, 1, 1), 273: (LONG, 1, 8), 277: (SHORT, 1, 1), 278: (LONG, 1, height)}
    tags |= {279: (LONG, 1, height * width * bits // 8)}
    return tags | {int(name[1:]): one for name, one in changed.items()}


def tiff(path: Path, tags: Tags, data: bytes = bytes(64), following: int = 0, size: int | None = None) -> None:
    """Write a classic TIFF: header, data, one directory; as sparse as `size` demands."""
    entries = b"".join(struct.pack("<HHII", code, *tags[code]) for code in sorted(tags))
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", following)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory)
    if size is not None:
        with path.open("r+b") as file:
            file.truncate(size)


def compressed(path: Path, code: int, data: bytes, height: int = 1000, width: int = 1000, **changed) -> None:
    counts = {"t259": (SHORT, 1, code), "t279": (LONG, 1, len(data))}
    tiff(path, page(height, width, **counts | changed), data)


def palette(path: Path, data: bytes, height: int, width: int) -> None:
    """Write numbers of colours, each of which takes 6 bytes."""
    colours = np.arange(768, dtype="<u2").tobytes()
    compressed(path, 8, data + colours, height, width, t262=(SHORT, 1, 3), t320=(SHORT, 768, 8 + len(data)))


def described(path: Path, text: str) -> None:
    data = bytes(64) + text.encode()
    tiff(path, page(t270=(TEXT, len(data) - 64, 72)), data)


def deflated() -> bytes:
    """A gigabyte of zeros, of which every megabyte is stored in the same way."""
    stream = zlib.compressobj(9)
    first, again = (stream.compress(bytes(2**20)) + stream.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * 1023 + stream.flush()


def chain(path: Path, tags: int, pages: int) -> None:
    entry = struct.pack("<HHII", 256, LONG, 1, 8)
    length = 6 + 12 * tags
    places = 8 + length * (1 + np.arange(pages, dtype="<u4"))
    parts = np.zeros((pages, length), np.uint8)
    parts[:, :2] = np.frombuffer(struct.pack("<H", tags), np.uint8)
    parts[:, 2 : 2 + 12 * tags] = np.frombuffer(entry * tags, np.uint8)
    parts[:, -4:] = places.view(np.uint8).reshape(-1, 4)
    path.write_bytes(b"II*\0\x08\0\0\0" + parts.tobytes())


def overlapping(path: Path) -> None:
    """Directories of 4,000 tags each, two bytes apart."""
    count, tags = 20_000, 4000
    data = bytearray(struct.pack("<H", tags) * (count + 6 * tags + 10))
    for index in range(count):
        struct.pack_into("<I", data, 8 + 2 * index + 2 + 12 * tags - 8, 8 + 2 * (index + 1))
    path.write_bytes(b"II*\0\x08\0\0\0" + data)


def jpeg(height: int, width: int, scans: int = 1) -> bytes:
    """A JPEG of one component whose scans hold nothing."""
    table = b"\xff\xdb\0\x43\0" + bytes([1] * 64)
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + bytes([1, 0x11, 0])
    codes = b"\xff\xc4" + struct.pack(">HB", 20, 0) + bytes([1] + [0] * 15) + b"\0"
    scan = b"\xff\xda" + struct.pack(">HB", 8, 1) + bytes([1, 0, 0, 0, 0]) + b"\0"
    return b"\xff\xd8" + table + frame + codes + scan * scans + b"\xff\xd9"


def ome(inside: str, attributes: str = 'SizeT="1"') -> str:
    return f'<OME xmlns="x"><Image><Pixels {attributes}>{inside}</Pixels></Image></OME>'


def strips(path: Path, data: bytes, count: int = 2**17, height: int = 1, width: int = 64, code: int = 8) -> None:
    """Strips, by default the most that are read, which all are the same bytes."""
    values = np.full(count, 8, "<u4").tobytes() + np.full(count, len(data), "<u4").tobytes()
    at = 8 + len(data)
    changed = {"t273": (LONG, count, at), "t279": (LONG, count, at + 4 * count), "t278": (LONG, 1, height)}
    tiff(path, page(count * height, width, **changed, t259=(SHORT, 1, code)), data + values)


def bombs() -> dict[str, Callable[[Path], None]]:
    """The files by name; those whose name ends in `read` are harmless and read."""
    gigabyte, million = deflated(), 60_000_000
    runs = bytes([129, 0]) * 2**16
    huge = {"t322": (LONG, 1, 2**17), "t323": (LONG, 1, 2**16), "t324": (LONG, 1, 8), "t325": (LONG, 1, 64)}
    many = {"t278": (LONG, 1, 1), "t273": (LONG, million, 2**20), "t279": (LONG, million, 2**20 + 4 * million)}
    sparse = {"t259": (SHORT, 1, 8), "t279": (LONG, 1, 3 * 10**8)}
    doubles = {"t258": (SHORT, 1, 64), "t339": (SHORT, 1, 3)}
    empty = b"\0\0\0\xff\xff" * 200_000  # Blocks of deflate.
    whole = {"t513": (LONG, 1, 8), "t514": (LONG, 1, 2**31)}
    dictionary = bytearray(lzma.compress(bytes(2**20), lzma.FORMAT_ALONE))
    dictionary[1:5] = b"\xff\xff\xff\xff"
    return {
        "60 million strips": lambda path: tiff(path, page(million, 1, **many), size=2**20 + 8 * million),
        "strips of 3 GB": lambda path: tiff(path, page(t279=(LONG, 1, 3 * 10**9))),
        "strips of 300 MB in the file": lambda path: tiff(path, page(**sparse), size=2**29),
        "offsets of 256 MB": lambda path: tiff(path, page(t273=(LONG, 2**26, 8)), size=2**29),
        "pages without tags": lambda path: chain(path, 0, 10**6),
        "pages of one tag": lambda path: chain(path, 1, 10**6),
        "pages on one another": overlapping,
        "a page that follows itself": lambda path: tiff(path, page(), following=72),
        "deflate": lambda path: compressed(path, 8, gigabyte),
        "deflate of the old number": lambda path: compressed(path, 32946, gigabyte),
        "a large picture in deflate": lambda path: compressed(path, 8, gigabyte, 16384, 16384),
        "a large picture of doubles": lambda path: compressed(path, 8, gigabyte, 8192, 8192, **doubles),
        "a palette of 16 bits": lambda path: palette(path, zlib.compress(bytes(2**25)), 2**12, 2**13),
        "pack bits, read": lambda path: compressed(path, 32773, runs),
        "lzma": lambda path: compressed(path, 34925, lzma.compress(bytes(2**26), preset=0)),
        "lzma with a large dictionary": lambda path: compressed(path, 34925, bytes(dictionary)),
        "jpeg": lambda path: compressed(path, 7, jpeg(65535, 65535)),
        "jpeg of many scans": lambda path: compressed(path, 7, jpeg(1000, 1000, 20_000)),
        "jpeg of large scans": lambda path: compressed(path, 7, jpeg(8192, 8192, 99), 8192, 8192),
        "jpeg of the old kind": lambda path: compressed(path, 6, jpeg(65535, 65535), **whole),
        "lzw": lambda path: compressed(path, 5, b"\x80\0" * 10**6, 60000, 60000),
        "fax": lambda path: compressed(path, 4, bytes(100), 2**14, 2**14, t258=(SHORT, 1, 1)),
        "a description of 1 GB": lambda path: tiff(path, page(t270=(TEXT, 2**30, 200)), size=2**31),
        "values of 4 billion": lambda path: tiff(path, page(t320=(SHORT, 2**32 - 1, 8), t262=(SHORT, 1, 3))),
        "deep JSON, read": lambda path: described(path, '{"shape":' + "[" * 10**6),
        "a long shape, read": lambda path: described(path, '{"shape":[' + "9," * 400_000 + "9]}"),
        "OME elements": lambda path: described(path, ome('<Plane DeltaT="1"/>' * 600_000)),
        "deep OME": lambda path: described(path, ome("<a>" * 10**6 + "</a>" * 10**6)),
        "a long OME element": lambda path: described(path, ome("", " ".join(f'a{k}="1"' for k in range(10**6)))),
        "OME files": lambda path: described(path, ome("".join(f'<UUID FileName="{k}"/>' for k in range(10**5)))),
        "OME pictures": lambda path: described(path, "<OME><Image>" + "<Pixels/>" * 600_000 + "</Image></OME>"),
        "a huge tile": lambda path: tiff(path, page(**huge)),
        "a large tile": lambda path: tiff(path, page(**huge | {"t322": (LONG, 1, 8192), "t323": (LONG, 1, 8192)})),
        "60,000 samples": lambda path: tiff(path, page(2000, 2000, t277=(SHORT, 1, 60_000))),
        "4,000 samples": lambda path: tiff(path, page(2000, 2000, t277=(SHORT, 1, 4000))),
        "2 billion frames": lambda path: described(path, "ImageJ=1.54f\nimages=2000000000\nframes=2000000000\n"),
        "the most strips, read": lambda path: strips(path, zlib.compress(bytes(64))),
        "strips of nothing": lambda path: strips(path, (row := zlib.compress(bytes(64)))[:2] + empty + row[2:], 2**13),
        "strips of many scans": lambda path: strips(path, jpeg(64, 8192, 1000), 128, 64, 8192, 7),
    }


def endings(path: Path, output: Path) -> Iterator[tuple[str, int]]:
    """Yield how `info`, `verify` and a run end."""
    for command in (["info", path], ["verify", path]):
        try:
            yield command[0], main([str(word) for word in command]) or 0
        except SystemExit as end:
            yield command[0], int(end.code or 0)
    try:
        pv.run(path, output, force=True)
        yield "run", 0
    except pv.InputError:
        yield "run", 4


def try_all(folder: Path, heavy: bool) -> dict[str, dict[str, tuple[int, float]]]:
    """Return for each file how each command ended, and after how many seconds."""
    found: dict[str, dict[str, tuple[int, float]]] = {}
    for name, make in bombs().items():
        if (name in HEAVY) != heavy:
            continue
        path = folder / "in.tif"
        make(path)
        begun = time.process_time()
        for command, code in endings(path, folder / "out.npy"):
            found.setdefault(name, {})[command] = code, time.process_time() - begun
            begun = time.process_time()
        path.unlink()
    return found


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
    results = try_all(Path(sys.argv[1]), sys.argv[3] == "heavy")
    print(json.dumps({"results": results, "peak": peak_memory()}))
