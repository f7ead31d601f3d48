"""Small containers of many programs, or of streams that are not what they declare; BOMBS has them too."""

from __future__ import annotations

import functools
import io
import struct
from pathlib import Path

import av
from bombs import bomb
from matroska import element, number, write
from matroska import track as entry
from mpegts import NULL, SERVICES, Stream, checksum, services_section

H264, MPEG2 = 0x1B, 0x02  # Kinds of streams in MPEG-TS.
LARGE, SMALL = (1920, 1080), (16, 16)  # Width and height.


@functools.cache
def encoded(codec: str, size: tuple[int, int], form: str) -> bytes:
    """Return black frames in a file of this format."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast", "x264-params": "info=0"} if codec == "libx264" else {}
        frame = av.VideoFrame(*size, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux([*stream.encode(frame), *stream.encode()])
    return file.getvalue()


def playing(stream: Stream, start: int = 0) -> bytes:
    picture = encoded("mpeg2video", (64, 64), "mpeg2video")
    return b"".join(stream.frame(picture, index) for index in range(start, start + 10))


def begun(stream: Stream) -> bytes:
    return stream.programs([1]) + stream.streams(MPEG2) + playing(stream)


def in_sections(count: int, most: int) -> list[range]:
    return [range(start, min(start + most, count)) for start in range(2, count, most)]


# --- MPEG-TS of many programs ---


def many(stream: Stream, count: int = 12_000) -> bytes:
    return b"".join(stream.programs(part, 0x21, k % 32) for k, part in enumerate(in_sections(count, 250)))


@bomb("programs.ts")
def _(path: Path):
    stream = Stream()
    return stream.programs([1, 2]) + many(stream) + begun(stream)


@bomb("programs.m2ts")
def _(path: Path):
    """Packets with a time before each."""
    stream = Stream()
    content = stream.programs([1, 2]) + many(stream) + begun(stream)
    return b"".join(b"\0\0\0\0" + content[start : start + 188] for start in range(0, len(content), 188))


@bomb("programs_after_damage.ts")
def _(path: Path):
    """A byte too many before each table, so that FFmpeg looks for the next packet."""
    stream = Stream()
    tables = (b"\0" + stream.programs(part, 0x21, k % 32) for k, part in enumerate(in_sections(12_000, 250)))
    return b"\0" * 100 + begun(stream) + b"".join(tables) + playing(stream, 10)


@bomb("later_programs.ts")
def _(path: Path):
    """After what FFmpeg looks at when it opens a file, and before its end."""
    stream = Stream()
    return begun(stream) + NULL * 30_000 + many(stream) + NULL * 30_000 + playing(stream, 10)


@bomb("services.ts")
def _(path: Path):
    """Their names would be names of programs, through all of which each table of programs is searched."""
    stream = Stream()
    services = (stream.services(part, version=k % 32) for k, part in enumerate(in_sections(12_000, 100)))
    programs = (stream.programs([1, 2], version=k % 32) for k in range(100))
    return b"".join([*services, *programs]) + begun(stream)


@bomb("services_behind_others.ts")
def _(path: Path):
    """Each table follows one of another transport stream, from one packet to the next."""
    stream, tables = Stream(), b""
    for part in in_sections(12_000, 100):
        joined = services_section(range(20), 0x46) + services_section(part)
        tables += stream.packets(SERVICES, joined, is_section=True)
    return tables + b"".join(stream.programs([1, 2], version=k % 32) for k in range(100)) + begun(stream)


# --- Ogg, of which FFmpeg compares each tag with all before ---


def pages(number: int, data: bytes, flags: int = 0) -> tuple[int, bytes]:
    """Return the number of the next page, and pages of a packet."""
    written = b""
    lengths = [255] * (len(data) // 255) + [len(data) % 255]
    for start in range(0, len(lengths), 255):
        part, place = lengths[start : start + 255], 255 * start
        head = b"OggS\0" + bytes([flags if start == 0 else 1]) + bytes(8) + struct.pack("<II", 1, number)
        rest = bytes([len(part), *part]) + data[place : place + sum(part)]
        written += head + checksum(head + bytes(4) + rest, 0)[::-1] + rest
        number += 1
    return number, written


@bomb("tags_of_ogg.mkv")
def _(path: Path):
    size = struct.pack(">HH", 4, 3) + (64).to_bytes(3, "big") + (48).to_bytes(3, "big") + bytes(2)
    first = b"\x80theora\3\2\1" + size + struct.pack(">II", 25, 1) + b"\0\0\1\0\0\1" + bytes(8)
    tags = [b"T%d=v" % index for index in range(25_000)]
    second = b"".join(struct.pack("<I", len(tag)) + tag for tag in tags)
    number, content = 0, b""
    packets = first, b"\x81theora" + struct.pack("<II", 0, len(tags)) + second, b"\x82theora" + bytes(100), bytes(50)
    for packet in packets:
        number, written = pages(number, packet, 0 if content else 2)
        content += written
    return content


# --- streams that are not declared, or not as they are ---


def undeclared(count: int) -> bytes:
    """Frames of one declared stream and many others."""
    stream, picture = Stream(), encoded("libx264", LARGE, "h264")
    own = b"".join(stream.frame(picture, index) for index in range(10))
    others = b"".join(stream.frame(picture, pid=0x101 + index) for index in range(count))
    last = b"".join(stream.frame(picture, index) for index in range(10, 20))
    return stream.programs([1]) + stream.streams(H264) + own + others + last


bomb("undeclared.ts")(lambda path: undeclared(300))


@functools.cache
def tracks(form: str, count: int = 200) -> bytes:
    """One stream many times."""
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(encoded("libx264", LARGE, form))) as source,
        av.open(file, "w", format=form) as target,
    ):
        added = [target.add_stream_from_template(source.streams.video[0]) for _ in range(count)]
        (packet,) = (packet for packet in source.demux() if packet.size)
        for stream in added:
            copy = av.Packet(bytes(packet))
            copy.pts, copy.dts, copy.time_base, copy.is_keyframe = 0, 0, packet.time_base, True
            copy.stream = stream
            target.mux(copy)
    return file.getvalue()


def replaced(data: bytes, after: bytes, skipped: int, old: bytes, new: bytes) -> bytes:
    """Replace bytes so many after each mark."""
    content, place = bytearray(data), -1
    while (place := data.find(after, place + 1)) >= 0:
        start = place + skipped
        if content[start : start + len(old)] == old:
            content[start : start + len(old)] = new
    assert content != data
    return bytes(content)


# Of these, nothing explodes: streams beside the one that is read are not decoded.
def lying_mp4() -> bytes:
    old, new = struct.pack(">HH", *LARGE), struct.pack(">HH", *SMALL)
    wide = struct.pack(">II", *(pixels << 16 for pixels in LARGE)), struct.pack(">II", *(p << 16 for p in SMALL))
    return replaced(replaced(tracks("mp4"), b"avc1", 28, old, new), b"tkhd", 80, *wide)


def lying_mkv() -> bytes:
    data = replaced(tracks("matroska"), b"\xb0\x82", 2, struct.pack(">H", LARGE[0]), struct.pack(">H", SMALL[0]))
    return replaced(data, b"\xba\x82", 2, struct.pack(">H", LARGE[1]), struct.pack(">H", SMALL[1]))


def sound() -> bytes:
    """Opus of 255 channels, 250 times."""
    head = b"OpusHead\x01\xff\0\0" + struct.pack("<I", 48_000) + b"\0\0\xff\xff\0" + bytes(range(255))
    channels = element("E1", number("9F", 255), element("B5", struct.pack(">d", 48_000)))
    parts = (entry(2 + k, 2, b"A_OPUS", channels, element("63A2", head)) for k in range(250))
    return b"".join(parts)


NOT_DECODED = {
    "undeclared_few.ts": lambda path: undeclared(200),
    "lying.mp4": lambda path: lying_mp4(),
    "lying.mkv": lambda path: lying_mkv(),
    "sound.mkv": lambda path: write(path, tracks=sound()).read_bytes(),
}
for name, make in NOT_DECODED.items():
    bomb(name)(make)
