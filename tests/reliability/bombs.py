"""Small files that would take gigabytes, or minutes, to read; each is made by one function in a few lines."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

BOMBS: dict[str, Callable[[Path], None]] = {}


def bomb(name: str):
    """Register a function that returns the content of a file, or makes it."""

    def register(make):
        def write(path: Path) -> None:
            if (content := make(path)) is not None:
                path.write_bytes(content)

        BOMBS[name] = write
        return make

    return register


# --- mp4 and mov ---


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return numbers(8 + len(content)) + kind + content


def full(kind: bytes, *parts: bytes) -> bytes:
    """A box with version and flags."""
    return box(kind, bytes(4), *parts)


def jpeg(columns: int = 32, rows: int = 24) -> bytes:
    """A grey picture, made without drawing it: of each block it says that nothing changes, in six bits."""
    file = io.BytesIO()
    Image.new("L", (8, 8), 128).save(file, "jpeg")
    data, blocks = file.getvalue(), -(-columns // 8) * -(-rows // 8)
    size, start = data.index(b"\xff\xc0") + 5, data.index(b"\xff\xda") + 10
    head = data[:size] + struct.pack(">HH", rows, columns) + data[size + 4 : start]
    return head + b"\x28\xa2\x8a" * -(-blocks // 4) + b"\xff\xd9"


def zeros(megabytes: int) -> bytes:
    """Compressed zeros, of which a piece is repeated."""
    coder = zlib.compressobj(9, wbits=-15)
    piece = coder.compress(bytes(2**20)) + coder.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\xda" + piece * megabytes + coder.flush() + numbers((megabytes << 20) % 65521 << 16 | 1)


def track(
    samples: int, size: int = 1, edits: int = 0, per_chunk: int | None = None, chunks: int = 1, sound=False, more=b""
):
    """A track of samples that are all of one size and duration, and so take no room."""
    matrix = numbers(65536, 0, 0, 0, 65536, 0, 0, 0, 2**30)
    picture = bytes(6) + b"\0\1" + bytes(16) + struct.pack(">HHII", 32, 24, 72 << 16, 72 << 16)
    picture += bytes(4) + b"\0\1" + bytes(32) + b"\0\x18\xff\xff"
    tone = bytes(6) + b"\0\1" + bytes(8) + struct.pack(">HHI", 1, 16, 0) + numbers(8000 << 16)
    table = box(
        b"stbl",
        full(b"stsd", numbers(1), box(b"sowt", tone) if sound else box(b"jpeg", picture, more)),
        full(b"stts", numbers(1, 1 if sound else samples, 1)),
        full(b"stsc", numbers(1, 1, samples if per_chunk is None else per_chunk, 1)),
        full(b"stsz", numbers(size, samples)),
        full(b"stco", numbers(chunks, *[48] * chunks)),
    )
    media = box(b"smhd", bytes(8)) if sound else full(b"vmhd", bytes(8))
    information = box(b"minf", media, box(b"dinf", full(b"dref", numbers(1), full(b"url "))), table)
    handler = full(b"hdlr", bytes(4), b"soun" if sound else b"vide", bytes(13))
    content = box(b"mdia", full(b"mdhd", numbers(0, 0, 1000, samples, 0)), handler, information)
    header = box(b"tkhd", numbers(7, 0, 0, 1, 0, samples), bytes(16), matrix, numbers(32 << 16, 24 << 16))
    listed = box(b"edts", full(b"elst", numbers(edits), numbers(samples, 0, 65536) * edits)) if edits else b""
    return box(b"trak", header, listed, content)


def header() -> bytes:
    return full(b"mvhd", numbers(0, 0, 1000, 0, 65536), bytes(76), numbers(2))


def movie(*tracks: bytes) -> bytes:
    return file_of(box(b"moov", header(), *tracks))


def file_of(moov: bytes, *more: bytes) -> bytes:
    return box(b"ftyp", b"isom", bytes(4), b"isom") + box(b"mdat", bytes(20), jpeg()) + moov + b"".join(more)


def fragment(samples: int, runs: int = 1, more: bytes = b"") -> bytes:
    run = full(b"trun", numbers(samples)) * runs
    return box(b"moof", full(b"mfhd", numbers(1)), box(b"traf", full(b"tfhd", numbers(1)), more, run))


def compressed(size: int, data: bytes) -> bytes:
    content = box(b"cmvd", numbers(size), data)
    return box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), content))


FRAGMENTED = box(b"moov", header(), track(0), box(b"mvex", full(b"trex", numbers(1, 1, 1, 1, 0))))

bomb("samples.mp4")(lambda path: movie(track(60_000_000)))
bomb("tracks.mp4")(lambda path: movie(*[track(5_000_000)] * 10))
bomb("keys.mp4")(lambda path: movie(track(1, more=full(b"senc", numbers(230_000_000)))))
bomb("edits.mp4")(lambda path: movie(track(900_000, edits=60)))
bomb("sound.mov")(lambda path: movie(track(1, len(jpeg())), track(1, sound=True, per_chunk=2**31 - 1, chunks=30)))
bomb("run.mp4")(lambda path: file_of(FRAGMENTED, fragment(60_000_000)))
bomb("runs.mp4")(lambda path: file_of(FRAGMENTED, fragment(500_000, 100)))
bomb("fragments.mp4")(lambda path: file_of(FRAGMENTED, *[fragment(500_000)] * 100))
bomb("zeros.mov")(lambda path: file_of(compressed(800 << 20, zeros(800))))
bomb("free.mp4")(lambda path: file_of(box(b"free", header(), track(60_000_000))))
bomb("description.mp4")(lambda path: movie(track(0, per_chunk=60_000_000, more=full(b"stsz", numbers(1, 60_000_000)))))
bomb("boxes.mp4")(lambda path: file_of(box(b"moov", header(), track(1), box(b"free") * 400_000)))
bomb("names.mp4")(lambda path: movie(track(1, more=b"stsz" * 3_000_000)))


def with_items(items: bytes) -> bytes:
    """A movie that is a collection of pictures too."""
    listed = box(b"meta", bytes(4), full(b"hdlr", bytes(4), b"pict", bytes(13)), items)
    return file_of(box(b"moov", header(), track(1, len(jpeg()))), listed)


bomb("items.mp4")(lambda path: with_items(box(b"iinf", numbers(1 << 24, 2**27))))
bomb("places.mp4")(lambda path: with_items(box(b"iloc", numbers(2 << 24), b"\x44\x40", numbers(2**27))))


@bomb("nested.mp4")
def _(path):
    """Boxes of 120 MB within one another, which take no room on the disk."""
    kinds = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsc")
    length, lead = 120 << 20, box(b"ftyp", b"isom") + box(b"mdat")
    path.write_bytes(lead + b"".join(numbers(length - 8 * depth) + kind for depth, kind in enumerate(kinds)))
    with path.open("r+b") as file:
        file.seek(0, 2)
        file.write(numbers(0, 10**7))
        file.truncate(len(lead) + length)


@bomb("compressed.mov")
def _(path):
    moov = box(b"moov", header(), track(60_000_000))
    return file_of(compressed(len(moov), zlib.compress(moov)))


# --- pictures ---


def chunk(kind: bytes, content: bytes) -> bytes:
    return numbers(len(content)) + kind + content + numbers(zlib.crc32(kind + content))


def png(columns: int, rows: int, depth: int = 8, colour: int = 0, more: bytes = b"") -> bytes:
    """A picture of zeros."""
    size = rows * (1 + columns * depth * {0: 1, 2: 3, 6: 4}[colour] // 8)
    start = chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + more + chunk(b"IDAT", zeros(1 + (size >> 20))) + chunk(b"IEND", b"")


bomb("zeros.png")(lambda path: png(16384, 16384))
bomb("bits.png")(lambda path: png(16384, 16384, depth=1))
bomb("deep.png")(lambda path: png(6000, 6000, depth=16, colour=2))
bomb("alpha.png")(lambda path: png(8192, 8192, colour=6))
bomb("profile.png")(lambda path: png(32, 24, more=chunk(b"iCCP", b"x\0\0" + zeros(800))))
bomb("late.png")(
    lambda path: png(32, 24, depth=16, colour=2)[:-12] + chunk(b"zTXt", b"x\0\0" + zeros(800)) + chunk(b"IEND", b"")
)
bomb("chunks.png")(lambda path: png(32, 24, more=chunk(b"prVt", b"") * 300_000))
bomb("zeros.jpg")(lambda path: jpeg(65500, 4096))
bomb("segments.jpg")(lambda path: jpeg()[:2] + b"\xff\xe5\0\2" * 1_000_000 + jpeg()[2:])


@bomb("scans.jpg")
def _(path):
    file = io.BytesIO()
    Image.new("L", (4096, 4096)).save(file, "jpeg", progressive=True)
    data = file.getvalue()
    scan = data[data.rfind(b"\xff\xc4", 0, data.rfind(b"\xff\xda")) : -2]  # The last one, with its table.
    return data[:-2] + scan * 700 + b"\xff\xd9"


# --- containers with one picture that is large ---


def gif(side: int) -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + frame * 3 + b";"


bomb("canvas.gif")(lambda path: gif(9000))
bomb("canvas_of_four_bytes.gif")(lambda path: gif(6600))


def riff(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def avi(columns: int, rows: int, *pictures: bytes) -> bytes:
    count, codec = len(pictures), b"MPNG" if pictures[0].startswith(b"\x89PNG") else b"MJPG"
    main = riff(b"avih", struct.pack("<14I", 40000, 0, 0, 16, count, 0, 1, 0, columns, rows, 0, 0, 0, 0))
    times = struct.pack("<10I4H", 0, 0, 0, 1, 25, 0, count, 0, 0, 0, 0, 0, columns, rows)
    head = riff(b"strh", b"vids" + codec + times)
    form = riff(b"strf", struct.pack("<IiiHH4s5I", 40, columns, rows, 1, 24, codec, *[0] * 5))
    lists = riff(b"LIST", b"hdrl", main, riff(b"LIST", b"strl", head, form))
    chunks = [riff(b"00dc", picture) for picture in pictures]
    places = [4 + sum(map(len, chunks[:number])) for number in range(count)]
    entries = [b"00dc" + struct.pack("<III", 16, *each) for each in zip(places, map(len, pictures), strict=True)]
    return riff(b"RIFF", b"AVI ", lists, riff(b"LIST", b"movi", *chunks), riff(b"idx1", *entries))


bomb("large.avi")(lambda path: avi(16000, 8000, jpeg(16000, 8000)))
bomb("hidden.avi")(lambda path: avi(32, 24, jpeg(16000, 8000)))
bomb("deep.avi")(lambda path: avi(4200, 4200, png(4200, 4200, depth=16, colour=6)))
bomb("hidden_deep.avi")(lambda path: avi(32, 24, png(4200, 4200, depth=16, colour=6)))
bomb("second_deep.avi")(lambda path: avi(32, 24, png(32, 24, 16, 6), png(6600, 6600, depth=16, colour=6)))

# --- arrays ---


def npy(text: str, length: int | None = None) -> bytes:
    header = text.encode()
    return b"\x93NUMPY\2\0" + struct.pack("<I", len(header) if length is None else length) + header + bytes(100)


@bomb("header.npy")
def _(path):
    path.write_bytes(npy("{", 2**32 - 1))
    os.truncate(path, 2**32 + 100)


bomb("shape.npy")(lambda path: npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**63 - 1}, {2**63}, 2)}}"))
bomb("nested.npy")(lambda path: npy("(" * 5000 + ")" * 5000))
bomb("line.y4m")(lambda path: b"YUV4MPEG2 W1 H1 " + b"X" * 2**22)

# --- zarr, written without the library ---


def array(path: Path, chunks: dict[str, bytes], *codecs: str, shape=(3, 8, 8), sides=(1, 8, 8), text: str = "") -> None:
    """Write an array of bytes; `text` is further JSON in its attributes."""
    described = [{"name": name, "configuration": CONFIGURATION.get(name, {})} for name in codecs]
    grid = {"name": "regular", "configuration": {"chunk_shape": sides}}
    told = {"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "uint8", "chunk_grid": grid}
    told |= {"chunk_key_encoding": {"name": "default"}, "fill_value": 0, "attributes": {"x": "TEXT"}}
    told |= {"codecs": [{"name": "bytes"}, *described]}
    path.mkdir()
    (path / "zarr.json").write_text(json.dumps(told).replace('"TEXT"', text or "0"))
    for name, data in chunks.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)


CONFIGURATION = {
    "zstd": {"level": 0, "checksum": False},
    "gzip": {"level": 1},
    "blosc": {"cname": "zstd", "clevel": 5, "shuffle": "noshuffle", "typesize": 1, "blocksize": 0},
}
FIRST, LARGE = "c/0/0/0", (3, 2**14, 2**14)


def zstd(size: int, known: bool = True) -> bytes:
    """A frame of zeros, in blocks that repeat one byte."""
    head = b"\x28\xb5\x2f\xfd" + (b"\xe0" + struct.pack("<Q", size) if known else b"\x00\x38")
    blocks, rest = divmod(size, 2**17)
    repeated = [struct.pack("<I", 2**17 << 3 | 2)[:3] + b"\0"] * blocks
    return head + b"".join(repeated) + struct.pack("<I", rest << 3 | 3)[:3] + b"\0"


ZARR: dict[str, Callable[[Path], None]] = {
    "zstd.zarr": lambda path: array(path, {FIRST: zstd(2**31)}, "zstd"),
    "unknown.zarr": lambda path: array(path, {FIRST: zstd(2**30, known=False)}, "zstd"),
    "chain.zarr": lambda path: array(path, {FIRST: zstd(2**30)}, "zstd", "gzip", "zstd"),
    "gzip.zarr": lambda path: array(path, {FIRST: gzip.compress(bytes(2**20)) * 800}, "gzip"),
    "members.zarr": lambda path: array(
        path,
        {FIRST: gzip.compress(bytes(1500**2)) + gzip.compress(b"") * 110_000},
        "gzip",
        shape=(3, 1500, 1500),
        sides=(1, 1500, 1500),
    ),
    "blosc.zarr": lambda path: array(
        path, {FIRST: b"\2\1\0\1" + struct.pack("<3I", 2**31 - 17, 2**31 - 17, 17) + b"0"}, "blosc"
    ),
    "large.zarr": lambda path: array(
        path, {FIRST: zstd(2**28)}, "zstd", shape=(3, 2**14, 2**14), sides=(1, 2**14, 2**14)
    ),
    "beyond.zarr": lambda path: array(path, {FIRST: zstd(2**28)}, "zstd", shape=(1, 10, 10), sides=(1, 2**14, 2**14)),
    "absent.zarr": lambda path: array(path, {}, shape=LARGE, sides=(1, *LARGE[1:])),
    "frames.zarr": lambda path: array(path, {}, shape=(2**40, 8, 8)),
    "chunks.zarr": lambda path: array(path, {}, shape=(3, 10_000, 10_000), sides=(1, 1, 1)),
    "block.zarr": lambda path: array(path, {}, shape=(10_000, 1000, 1000), sides=(10_000, 1, 1000)),
    "text.zarr": lambda path: array(path, {FIRST: bytes(64)}, text="[" + "[]," * 4_000_000 + "0]"),
    "nested.zarr": lambda path: array(path, {FIRST: bytes(64)}, text="[" * 100_000 + "]" * 100_000),
    "number.zarr": lambda path: array(path, {FIRST: bytes(64)}, shape=(3, 8, 8), text="1" * 1_000_000),
}


def sparse(path: Path) -> None:
    array(path, {FIRST: bytes(64)})
    os.truncate(path / FIRST, 2**32)  # It takes no room on the disk.


ZARR["sparse.zarr"] = sparse
