"""Standard input and output, in y4m or as raw frames without a header.

Everything happens in the caller's thread, so that a signal also interrupts waiting for another program.
"""

import errno
import itertools
import math
import os
import re
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pde_video.errors import InputError, OutputError, ParameterError
from pde_video.protocols import Array
from pde_video.video import y4m
from pde_video.video.outputs import reported
from pde_video.video.source import Choice, Decoded, FileVideo, Target
from pde_video.video.untrusted import refuse_huge
from pde_video.video.yuv_planes import PACKED

DASH = "-"
INPUT, OUTPUT = Path("standard input"), Path("standard output")  # Their names in messages.
_NOTHING = f"{INPUT} is empty; the program that writes to the pipe may have failed"
_LAYOUTS = {PACKED[size, channels]: (f"<u{size}", channels) for channels in (1, 3) for size in (1, 2)}
_RAW = re.compile(r"(\d{1,9})x(\d{1,9}):(\w+)(?::(\d{1,9}(?:/\d{1,9}|\.\d{1,9})?))?", re.ASCII)


def is_standard(path: Any) -> bool:
    """Tell whether a name means standard input or output; the Path of the same name is a file."""
    return isinstance(path, str) and path == DASH


def read_standard(choice: Choice, raw: str | None) -> FileVideo:
    """Return standard input as a video that can be iterated over once."""
    video = _y4m_video(choice) if raw is None else _raw_video(raw, choice)
    video.decode = _once(video.decode)
    return video


def _y4m_video(choice: Choice) -> FileVideo:
    file = _standard_input()
    start = file.readline(1024)
    if not start:
        raise InputError(_NOTHING)
    if not y4m.MAGIC.startswith(start[: len(y4m.MAGIC)]):
        raise InputError(
            f"{INPUT}: it is not y4m, which begins with YUV4MPEG2; have ffmpeg write -f yuv4mpegpipe, or describe "
            "the raw frames (--raw, raw=)"
        )
    header = y4m.parsed(start, INPUT, choice.max_pixels)
    return y4m.described(header, INPUT, partial(y4m.decoded, file, header))


def _raw_video(text: str, choice: Choice) -> FileVideo:
    """Return frames without a header, described by a text such as 640x480:gray16le:30000/1001."""
    match = _RAW.fullmatch(text)
    if match is None or match[3] not in _LAYOUTS or not int(match[1]) * int(match[2]):
        raise ParameterError(
            f"raw frames are described as {text!r}; they must be WIDTHxHEIGHT:LAYOUT or WIDTHxHEIGHT:LAYOUT:RATE, as "
            f"640x480:gray16le:25, with a layout of {', '.join(_LAYOUTS)}"
        )
    try:
        rate = Fraction(match[4]) if match[4] else None
    except ZeroDivisionError:
        rate = Fraction(0)
    if rate == 0:
        raise ParameterError(f"raw frames are described as {text!r}; the rate must be positive")
    size, (stored, channels) = (int(match[2]), int(match[1])), _LAYOUTS[match[3]]
    refuse_huge(INPUT, size, choice.max_pixels)
    shape, dtype = size if channels == 1 else (*size, channels), np.dtype(stored)
    file: Any = _standard_input()

    def decode(video: FileVideo) -> Decoded:
        for index in itertools.count():
            time = video.time(index)
            if video.choice.is_past(index, time):
                return
            if not file.peek(1):
                break
            pixels = y4m.taken(file, math.prod(shape) * dtype.itemsize, index, INPUT).view(dtype).reshape(shape)
            yield pixels.astype(dtype.newbyteorder("="), copy=False), time
        if index == 0:
            raise InputError(_NOTHING)

    details = {"codec": "rawvideo", "bits": 8 * dtype.itemsize}
    return FileVideo(INPUT, size, channels, dtype.newbyteorder("="), decode, rate, details=details)


def _standard_input() -> BinaryIO:
    if sys.__stdin__ is None:  # Closed: the next file that is opened would get its number.
        raise InputError(f"{INPUT} is closed")
    if os.isatty(0):
        raise ParameterError(
            f"{INPUT} is a terminal; pipe a program into it: ffmpeg -i IN -f yuv4mpegpipe - | ..., or name a file"
        )
    return open(0, "rb", closefd=False)


def _once(decode: Any) -> Any:
    began: list[bool] = []

    def first_time(video: FileVideo) -> Decoded:
        if began:
            raise InputError(f"{INPUT} can be read only once; save it to a file to read it again")
        began.append(True)
        yield from decode(video)

    return first_time


def check_standard_output() -> None:
    """Raise if standard output cannot take a video."""
    if sys.__stdout__ is None:
        raise OutputError(errno.EBADF, f"{OUTPUT} is closed")
    if os.isatty(1):
        raise ParameterError(f"{OUTPUT} is a terminal, which cannot show a video; pipe it to a program, or name a file")


def write_standard(target: Target, frames: Iterator[Array], raw: bool) -> int:
    """Write the frames as they come, until they end or the reader closes the pipe; return their number."""
    pieces = _raw_pieces(target, frames) if raw else y4m.pieces(target, frames)
    if sys.stdout is not None:
        sys.stdout.flush()  # Text printed before comes first.
    count = 0
    for piece in pieces:
        rest = memoryview(piece)
        try:
            with reported(OUTPUT):
                while rest:
                    rest = rest[os.write(1, rest) :]
        except OutputError as fault:
            if fault.errno != errno.EPIPE:
                raise
            target.report["closed_early"] = True  # By a reader that needs no more, such as head.
            break
        count += 1
    return count


def _raw_pieces(target: Target, frames: Iterator[Array]) -> Iterator[bytes]:
    dtype = target.first.dtype
    layout = PACKED.get((dtype.itemsize, target.channels))
    if dtype.kind != "u" or layout not in _LAYOUTS:
        raise ParameterError(
            f"raw frames are {', '.join(_LAYOUTS)}; these are {dtype} with {target.channels} channels: "
            "write .tiff or .npy, which hold them as they are"
        )
    target.check_uncompressed("raw output")
    target.report["raw"] = f"{target.size[1]}x{target.size[0]}:{layout}:{target.rate}"
    return (frame.astype(_LAYOUTS[layout][0], copy=False).tobytes() for frame in frames)
