"""Small containers that would take gigabytes, or minutes, to open or to decode a frame of; BOMBS has them too."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
from bombs import avi, bomb, box, chunk, file_of, full, header, jpeg, numbers, png, riff, track, zeros
from matroska import attachment, block, element, number, write
from matroska import track as entry
from PIL import Image

SIZE = element("E0", number("B0", 64), number("BA", 48))
LARGE = element("E0", number("B0", 7680), number("BA", 4320))
TEXT, AVC = b"S_TEXT/UTF8", b"V_MPEG4/ISO/AVC"


def matroska(name: str, **parts):
    """Register a Matroska file made of these parts, which are functions."""
    bomb(name)(lambda path: write(path, **{key: part() for key, part in parts.items()}).read_bytes())


# --- Matroska ---


def compression(algorithm: int, scope: int = 1, settings: bytes = b"") -> bytes:
    chosen = number("4254", algorithm), element("4255", settings)
    return element("6D80", element("6240", number("5032", scope), element("5034", *chosen)))


def laced(index: int, data: bytes, count: int) -> bytes:
    """A block of several frames of one size."""
    return element("A3", bytes([0x80 | index]) + b"\0\0\4", bytes([count - 1]), data * count)


def tag(index: int, *more: bytes) -> bytes:
    return element("67C8", element("45A3", b"T%d" % index), element("4487", b"v"), *more)


def tags(*groups: bytes) -> bytes:
    return element("1254C367", *(element("7373", group) for group in groups))


def private(kind: int, codec: bytes) -> bytes:
    data = zeros(29)
    return b"".join(entry(2 + k, kind, codec, SIZE, element("63A2", data), compression(0, 3)) for k in range(30))


GERMAN = element("447A", b"ger")
COMPRESSED = entry(2, 17, TEXT, compression(0))
matroska("private.mkv", tracks=lambda: private(1, AVC))
matroska("private_of_subtitles.mkv", tracks=lambda: private(17, b"S_VOBSUB"))
matroska("pictures.mkv", tracks=lambda: entry(2, 1, b"V_UNCOMPRESSED", SIZE, compression(0)))
matroska("laced.mkv", tracks=lambda: COMPRESSED, blocks=lambda: laced(2, zeros(29), 30))
matroska("bzip.mkv", tracks=lambda: entry(2, 2, b"A_PCM/INT/LIT", compression(1)))
matroska(
    "prefix.mkv",
    tracks=lambda: entry(2, 17, TEXT, compression(3, settings=bytes(10**6))),
    blocks=lambda: laced(2, b"x", 255),
)
matroska("tags.mkv", tags=lambda: tags(b"".join(map(tag, range(20_000)))))
matroska("groups.mkv", tags=lambda: tags(*(tag(index, GERMAN) for index in range(2_000))))
matroska("within.mkv", tags=lambda: tags(tag(0, *(tag(index, tag(index)) for index in range(1_000)))))
matroska("entries.mkv", tracks=lambda: b"\xae\x80" * 150_000)
matroska("decoders.mkv", tracks=lambda: b"".join(entry(2 + k, 1, b"V_AV1", SIZE) for k in range(990)))
matroska("index.mkv", tags=lambda: element("1C53BB6B", b"\xbb\x80" * 15_000_000))
matroska("large.mkv", tracks=lambda: b"".join(entry(2 + k, 1, b"V_MJPEG", LARGE) for k in range(9)))


@bomb("attached.mkv")
def _(path: Path):
    """200 MB that take no room on the disk, of which FFmpeg makes copies."""
    length = 200 << 20
    content = bytearray(write(path, attachments=attachment(b"a", b"")).read_bytes())
    for ident in ("18538067", "1941A469", "61A7", "465C"):  # Each within the one before.
        at = content.index(bytes.fromhex(ident)) + len(ident) // 2
        content[at : at + 8] = (int.from_bytes(content[at : at + 8], "big") + length).to_bytes(8, "big")
    with path.open("wb") as file:
        file.write(content[: at + 8])
        file.seek(length, 1)
        file.write(content[at + 8 :])


@bomb("pointed.mkv")
def _(path: Path):
    """Tags within a frame, to which a seek head points."""
    hidden = tags(b"".join(map(tag, range(20_000))))
    place = element("53AB", bytes.fromhex("1254C367")), number("53AC", 0)
    write(path, blocks=block(1, 200, hidden), tags=element("114D9B74", element("4DBB", *place)))
    content = bytearray(path.read_bytes())
    segment = content.index(bytes.fromhex("18538067")) + 12
    at = content.index(bytes.fromhex("53AC")) + 10
    content[at : at + 8] = (content.index(hidden) - segment).to_bytes(8, "big")
    path.write_bytes(content)


@bomb("resynchronised.mkv")
def _(path: Path):
    """Tags in an element that is skipped, after a number that FFmpeg cannot read, so that it looks for the next one."""
    hidden = tags(b"".join(map(tag, range(20_000))))
    write(path, tracks=entry(2, 17, TEXT, element("88", bytes(9))), tags=element("EC", hidden))


@bomb("short_segment.mkv")
def _(path: Path):
    """The same, after a segment that ends at once."""
    write(path, tags=element("EC", tags(b"".join(map(tag, range(20_000))))))
    content = bytearray(path.read_bytes())
    start = content.index(bytes.fromhex("18538067")) + 4
    content[start : start + 8] = (1 << 56).to_bytes(8, "big")
    path.write_bytes(content)


# --- mp4, mov and AVI ---


def tagged(*boxes: bytes) -> bytes:
    return file_of(box(b"moov", header(), track(1, len(jpeg())), *boxes))


def named(index: int) -> bytes:
    return box(b"----", full(b"mean", b"x"), full(b"name", b"T%d" % index), box(b"data", numbers(1, 0), b"v"))


def listed(*boxes: bytes, kind: bytes = b"mdir") -> bytes:
    return full(b"meta", full(b"hdlr", bytes(4), kind, bytes(13)), *boxes)


bomb("tags.mp4")(lambda path: tagged(box(b"udta", listed(box(b"ilst", *map(named, range(50_000)))))))
bomb("keys.mov")(lambda path: tagged(listed(full(b"keys", numbers(2**28)), kind=b"mdta")))
bomb("tracks.mov")(lambda path: file_of(box(b"moov", header(), *[track(1, len(jpeg()))] * 990)))


@bomb("values.mov")
def _(path: Path):
    count = range(50_000)
    keys = full(b"keys", numbers(len(count)), *(box(b"mdta", b"k%d" % index) for index in count))
    values = (box(numbers(index + 1), box(b"data", numbers(1, 0), b"v")) for index in count)
    return tagged(listed(keys, box(b"ilst", *values), kind=b"mdta"))


@bomb("tags.avi")
def _(path: Path):
    names = (bytes([65 + k // 26**3, 65 + k // 26**2 % 26, 65 + k // 26 % 26, 65 + k % 26]) for k in range(60_000))
    return riff(b"RIFF", avi(32, 24, jpeg())[8:], riff(b"LIST", b"INFO", *(riff(name, b"v\0") for name in names)))


bomb("chunks.avi")(lambda path: avi(32, 24, jpeg())[:12] + riff(b"JUNK") * 200_000)


# --- what decoders would do with one frame ---


@bomb("slices.mkv")
def _(path: Path):
    with av.open(path, "w") as file:
        options = {"level": "3", "slices": "1024", "context": "1", "coder": "range_def"}
        stream = file.add_stream("ffv1", rate=25, options=options)
        stream.width = stream.height = 1024
        stream.pix_fmt = "gbrp16le"
        frame = av.VideoFrame.from_ndarray(np.zeros((1024, 1024, 3), np.uint16), format="rgb48le")
        for packet in [*stream.encode(frame.reformat(format="gbrp16le")), *stream.encode()]:
            file.mux(packet)


def scans(count: int) -> bytes:
    """A picture with its last scan many times."""
    file = io.BytesIO()
    Image.new("L", (2048, 2048)).save(file, "jpeg", progressive=True)
    data = file.getvalue()
    scan = data[data.rfind(b"\xff\xc4", 0, data.rfind(b"\xff\xda")) : -2]  # With its table.
    return data[:-2] + scan * count + b"\xff\xd9"


bomb("scans.avi")(lambda path: avi(2048, 2048, scans(5_000)))
bomb("second_scans.avi")(lambda path: avi(2048, 2048, scans(1), scans(5_000)))


@bomb("second_field.avi")
def _(path: Path):
    """Interlaced, with two pictures in a packet."""
    first, second = ((b"\xff\xe0\0\x10AVI1" + bytes([field]) + bytes(9)) for field in (1, 2))
    return avi(2048, 4096, b"\xff\xd8" + first + scans(1)[2:] + b"\xff\xd8" + second + scans(5_000)[2:])


# Bombs of which nothing explodes: what would is left out.
TEXTS = {
    "text.avi": lambda: png(32, 24, more=chunk(b"zTXt", b"x\0\0" + zeros(800))),
    "international.avi": lambda: png(32, 24, more=chunk(b"iTXt", b"x\0\1\0\0\0" + zeros(800))),
    "profile.avi": lambda: png(32, 24, more=chunk(b"iCCP", b"x\0\0" + zeros(800))),
}
for name, make in TEXTS.items():
    bomb(name)(lambda path, make=make: avi(32, 24, png(32, 24), make()))
