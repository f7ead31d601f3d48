"""YUV4MPEG2 (y4m): a line of text and then uncompressed frames, the common format of pipes."""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np

from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array
from pde_video.video.source import Choice, Decoded, FileVideo, Target
from pde_video.video.untrusted import refuse_huge
from pde_video.video.yuv_planes import FULL, LIMITED, UNKNOWN, from_rgb, known_matrix, lines, to_rgb

MAGIC = b"YUV4MPEG2 "
_FRAME = b"FRAME"
_LONGEST = 1024  # Bytes of a line of text; ffmpeg takes 96.
_SHIFTS = {"420": (1, 1), "422": (0, 1), "444": (0, 0), "mono": (0, 0)}  # Of chroma rows, columns.
_DEEPER = (9, 10, 12, 14, 16)
_LAYOUT = re.compile("(420|422|444|mono)p?(9|10|12|14|16)?")
_SITED = ("420jpeg", "420mpeg2", "420paldv")  # 4:2:0 with the position of a chroma sample.


@dataclass(frozen=True)
class Header:
    """The content of the first line."""

    size: tuple[int, int]
    rate: Fraction | None
    kind: str  # Chroma subsampling 420, 422, 444, or mono.
    bits: int
    layout: str  # Both as written: 420mpeg2, 422p10, mono16.
    full: bool = False
    interlacing: str = "p"
    aspect: str = "0:0"

    @property
    def pixel(self) -> str:
        """The pixel format's name in FFmpeg."""
        name = "gray" if self.kind == "mono" else f"yuv{self.kind}p"
        return name if self.bits == 8 else f"{name}{self.bits}le"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values as stored."""
        return np.dtype(np.uint8 if self.bits == 8 else "<u2")

    @property
    def planes(self) -> list[tuple[int, int]]:
        """Rows and columns of each plane."""
        (rows, columns), shifts = self.size, _SHIFTS[self.kind]
        chroma = (-(-rows >> shifts[0]), -(-columns >> shifts[1]))
        return [self.size] if self.kind == "mono" else [self.size, chroma, chroma]

    @property
    def nbytes(self) -> int:
        """Bytes of a frame."""
        return sum(rows * columns for rows, columns in self.planes) * self.dtype.itemsize

    def __str__(self) -> str:
        rate = self.rate or Fraction(25)
        words = [f"W{self.size[1]}", f"H{self.size[0]}", f"F{rate.numerator}:{rate.denominator}"]
        ends = "FULL" if self.full else "LIMITED"
        words += [f"I{self.interlacing}", f"A{self.aspect}", f"C{self.layout}", f"XCOLORRANGE={ends}"]
        return MAGIC.decode() + " ".join(words)


def parsed(line: bytes, name: object, most_pixels: int) -> Header:
    """Return the content of the first line, or refuse it."""
    if not line.startswith(MAGIC) or not line.endswith(b"\n"):
        raise InputError(f"{name}: not a y4m video: it does not begin with a complete YUV4MPEG2 line")
    words = line[len(MAGIC) : -1].decode("ascii", "replace").split(" ")
    said = {word[0]: word[1:] for word in words if word and word[0] != "X"}
    ranges = {word[12:] for word in words if word.startswith("XCOLORRANGE=")}
    sides = [said.get(side, "") for side in "HW"]
    if not all(re.fullmatch("[0-9]{1,9}", side) and int(side) for side in sides):
        raise InputError(f"{name}: its header has height {sides[0]!r} and width {sides[1]!r}; they must be positive")
    height, width = map(int, sides)
    refuse_huge(name, (height, width), most_pixels)
    layout = said.get("C", "420jpeg")
    match = _LAYOUT.fullmatch("420" if layout in _SITED else layout)
    if match is None:
        raise InputError(
            f"{name}: its pixel format is C{layout}; 420, 422, 444 and mono of 8 to 16 bits are read: convert it with "
            "ffmpeg -pix_fmt yuv420p"
        )
    rate = re.fullmatch("([0-9]{1,9}):([0-9]{1,9})", said.get("F", "0:0"))
    if rate is None:
        raise InputError(f"{name}: its header has the rate {said['F']!r}; it must be two numbers, as in F25:1")
    exact = Fraction(int(rate[1]), int(rate[2])) if int(rate[2]) else Fraction(0)
    aspect = said.get("A", "0:0")
    if not re.fullmatch("[0-9]{1,9}:[0-9]{1,9}", aspect):
        raise InputError(f"{name}: its header has the pixel aspect {aspect!r}; it must be two numbers, as in A1:1")
    kind, bits = match[1], int(match[2] or 8)
    interlacing = said.get("I", "p")[:1]
    return Header((height, width), exact or None, kind, bits, layout, ranges == {"FULL"}, interlacing, aspect)


def read(path: Path, choice: Choice) -> FileVideo:
    """Return a y4m file as a video."""
    with path.open("rb") as file:
        line = file.readline(_LONGEST)
        header, word, size = parsed(line, path, choice.max_pixels), _FRAME + b"\n", path.stat().st_size
        starts = range(len(line), size, len(word) + header.nbytes)
        found, rest = divmod(size - len(line), starts.step)
        if not found:
            raise InputError(f"{path}: the file ends in the middle of frame 0")
        # The number of frames follows from the size if no frame has parameters.
        plain = rest == 0 and _all_begin(file, word, starts)

    def decode(video: FileVideo) -> Decoded:
        with path.open("rb") as file:
            file.readline()
            yield from decoded(file, header, video)

    return described(header, path, decode, found if plain else None)


def _all_begin(file: BinaryIO, word: bytes, starts: Iterable[int]) -> bool:
    """Tell whether a file has a word at all these places; not if one cannot be read, which is told with the frame."""
    try:
        return all(file.seek(start) and file.read(len(word)) == word for start in starts)
    except OSError:
        return False


def described(header: Header, name: Path, decode: Any, count: int | None = None) -> FileVideo:
    """Return the video with this header."""
    wide, high = map(int, header.aspect.split(":"))  # Of a pixel.
    details = {
        "codec": "rawvideo",
        "pixel_format": header.pixel,
        "bits": header.bits,
        "matrix": UNKNOWN,
        "range": FULL if header.full else LIMITED,
        "aspect": Fraction(wide, high) if wide and high and wide != high else None,
        "time_base": 1 / header.rate if header.rate else None,
        "y4m": header,
    }
    if header.interlacing in ("t", "b", "m"):
        details["warnings"] = ["the video is interlaced: deinterlace it first, with ffmpeg -vf bwdif"]
    channels, dtype = 1 if header.kind == "mono" else 3, header.dtype.newbyteorder("=")
    return FileVideo(name, header.size, channels, dtype, decode, header.rate, count, details=details)


def decoded(file: BinaryIO, header: Header, video: FileVideo) -> Decoded:
    """Yield the frames that follow the first line, to the last byte."""
    for index in itertools.count():
        time = video.time(index)
        if video.choice.is_past(index, time):  # A live source: do not wait for more.
            return
        line = file.readline(_LONGEST)
        if not line:
            break
        if not _FRAME.startswith(line[:5]) or line[5:6] not in (b"\n", b" ", b""):
            raise InputError(f"{video.path}: frame {index} does not begin with the word FRAME; the data are damaged")
        if not line.endswith(b"\n"):
            raise InputError(f"{video.path}: the data end in the middle of frame {index}")
        content = taken(file, header.nbytes, index, video.path)
        yield _array(content, header) if video.choice.wants(index, time) else None, time
    if index == 0:
        raise InputError(f"{video.path}: no frame follows the header")


def taken(file: BinaryIO, nbytes: int, index: int, name: object) -> Array:
    """Return the next `nbytes` bytes or raise; memory is touched only as they arrive."""
    content = np.empty(nbytes, np.uint8)
    rest = content.data
    while rest and (got := file.readinto(rest)):  # type: ignore[attr-defined]
        rest = rest[got:]
    if rest:
        raise InputError(
            f"{name}: the data end in the middle of frame {index}, after {nbytes - len(rest)} of {nbytes} bytes; the "
            "program that wrote them may have failed"
        )
    return content


def _array(content: Array, header: Header) -> Array:
    """Return a frame in grey or RGB, with more than 8 bits scaled to 16."""
    values, top = content.view(header.dtype), 2**header.bits - 1
    if header.bits not in (8, 16):
        values = np.minimum(values, top)  # The other bits should be zero.
    if header.kind == "mono":
        deep = values.reshape(header.size)
        return deep if header.bits in (8, 16) else ((deep * np.uint32(65535) + top // 2) // top).astype(np.uint16)
    picture: Any = av.VideoFrame(header.size[1], header.size[0], header.pixel)
    start = 0
    for plane, (rows, columns) in zip(picture.planes, header.planes, strict=True):
        lines(plane, header.dtype)[:, :columns] = values[start : start + rows * columns].reshape(rows, columns)
        start += rows * columns
    return to_rgb(picture, known_matrix(-1, header.size[0]), header.full)


def write(target: Target, frames: Iterator[Array], temporary: Path) -> int:
    """Write the frames; return their number."""
    count = 0
    with temporary.open("wb") as file:
        for count, piece in enumerate(pieces(target, frames), 1):
            file.write(piece)
    return count


def pieces(target: Target, frames: Iterator[Array]) -> Iterator[bytes]:
    """Return the bytes of each frame, the first with the header before it, or refuse such frames."""
    target.check_uncompressed("y4m")
    header = header_for(target)
    if target.encoding.lossless and header.kind != "mono":
        raise ParameterError("y4m stores colours as YUV, which rounds them; raw frames, .mkv or .tiff are lossless")
    for index, frame in enumerate(frames):
        first_line = b"" if index else f"{header}\n".encode()
        yield b"".join([first_line, _FRAME, b"\n", *_content(frame, header)])


def header_for(target: Target) -> Header:
    """Return the header for such frames, with chroma, depth, range and aspect of the source where they are known."""
    dtype, channels = target.first.dtype, target.channels
    target.check_frames("y4m", ("uint8", "uint16"), (1, 3))
    details = target.details
    source: Header | None = details.get("y4m")
    bits = 8 if dtype == np.uint8 else details["bits"] if details.get("bits") in _DEEPER else 16
    shared = re.match("yuvj?(420|422|444)p", details.get("pixel_format") or "")
    kind = "mono" if channels == 1 else shared[1] if shared else "444"
    told = shared is not None if kind != "mono" else source is not None and source.kind == "mono"
    full = details.get("range") == FULL if told else kind == "mono"
    layout = kind if bits == 8 else f"{kind}{bits}" if kind == "mono" else f"{kind}p{bits}"
    if source is None:
        aspect = details.get("aspect")
        pixel = f"{aspect.numerator}:{aspect.denominator}" if aspect else "0:0"
        return Header(target.size, target.rate, kind, bits, "420mpeg2" if layout == "420" else layout, full, "p", pixel)
    layout = source.layout if (kind, bits) == (source.kind, source.bits) else layout
    return Header(target.size, target.rate, kind, bits, layout, full, source.interlacing, source.aspect)


def _content(frame: Array, header: Header) -> Iterator[bytes]:
    if header.kind == "mono":
        top = 2**header.bits - 1
        grey = frame if header.bits in (8, 16) else (frame * np.uint32(top) + 32767) // 65535
        return iter([grey.astype(header.dtype, copy=False).tobytes()])
    picture = from_rgb(np.ascontiguousarray(frame), header.pixel, known_matrix(-1, header.size[0]), header.full)
    planes = zip(picture.planes, header.planes, strict=True)
    return (lines(plane, header.dtype)[:, :columns].tobytes() for plane, (_, columns) in planes)
