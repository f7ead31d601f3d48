"""Formats by file name, and checks of outputs before any work."""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np

from pde_video.checks import check_path
from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array
from pde_video.video import containers, encoder, npy, pipes, sequences, stills, tiff, tiff_tags, y4m, zarrays
from pde_video.video.outputs import check_distinct, check_output
from pde_video.video.source import Choice, Encoding, FileVideo, Target


@dataclass(frozen=True)
class Format:
    """How files with some endings are opened, written, and counted after writing."""

    suffixes: tuple[str, ...]
    read: Callable[[Path, Choice], FileVideo]
    write: Callable[[Target, Iterator[Array], Path], int]
    count: Callable[[Path], int]
    holds: Collection[str] = ()  # What of a source it keeps, or reports itself, by keys of `details`.


def _counted(read: Callable[[Path, Choice], FileVideo], path: Path) -> int:
    """Return the number of frames of a file just written, as it is opened."""
    video = read(path, Choice(max_pixels=sys.maxsize))
    if video.count is None:
        raise InputError(f"{path}: the file is truncated")
    return video.count


_CONTAINERS = (".mp4", ".m4v", ".mov", ".mkv", ".avi", ".webm", ".gif")
_READ_ONLY = (".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob", ".wmv", ".asf", ".flv", ".3gp", ".mxf")
_FORMATS = (
    Format(
        _CONTAINERS,
        containers.read,
        encoder.write,
        containers.count,
        ("rate", "times", "streams", "side_data", "comment"),
    ),
    Format(sequences.SUFFIXES, stills.read, stills.write, stills.count, ("dpi", "icc_profile", "comment")),
    Format(
        (".tif", ".tiff"),
        tiff.read,
        tiff.write,
        partial(_counted, tiff.read),
        ("rate", "resolution", "dpi", "pixel_size", "spacing", "description", "date_time", *tiff_tags.KEYS),
    ),
    Format((".npy",), npy.read, npy.write, partial(_counted, npy.read)),
    Format((".zarr",), zarrays.read, zarrays.write, zarrays.count, ("rate",)),
    Format((".y4m",), y4m.read, y4m.write, partial(_counted, y4m.read), ("rate",)),
)


_BY_SUFFIX = {suffix: known for known in _FORMATS for suffix in known.suffixes}


def format_of(path: Path) -> Format:
    """Return the format for a file name that can be written, or refuse it."""
    if path.suffix.lower() in _READ_ONLY:
        raise ParameterError(f"{path}: {path.suffix} files can be read, but not written; write .mkv or .mp4")
    return _BY_SUFFIX.get(path.suffix.lower()) or _refuse(path, "written", _BY_SUFFIX)


def reader_of(path: Path) -> Callable[[Path, Choice], FileVideo]:
    """Return the reader for a file name, or refuse it."""
    if path.suffix.lower() in _READ_ONLY:
        return containers.read
    return (_BY_SUFFIX.get(path.suffix.lower()) or _refuse(path, "read", (*_BY_SUFFIX, *_READ_ONLY))).read


def _refuse(path: Path, done: str, known: Iterable[str]) -> NoReturn:
    raise ParameterError(f"{path}: files ending in {path.suffix!r} cannot be {done}; these can: {', '.join(known)}")


def _check_encoding(name: str, encoding: Encoding) -> None:
    """Raise for options that the format of a name does not have; codecs have limits of their own."""
    suffix = Path(name).suffix.lower()
    in_container = suffix in _CONTAINERS
    for option, value in (("codec", encoding.codec), ("crf", encoding.crf)):
        if value is not None and not in_container:
            raise ParameterError(f"{name}: {option} is {value!r}; it is for {', '.join(_CONTAINERS)} only")
    if encoding.lossless and suffix in (".jpg", ".jpeg"):
        raise ParameterError(f"{name}: JPEG changes values, so it is not lossless; write .png or .tiff")


@dataclass(frozen=True)
class Output:
    """An output that `checked_output` has checked, so that `write_checked` need not do it again."""

    path: Path
    format: Format | None  # None for standard output.
    force: bool = False
    rate: Fraction | None = None
    encoding: Encoding = field(default_factory=Encoding)
    raw: bool = False


def checked_output(
    path: str | os.PathLike[str],
    *,
    sources: Iterable[Path] = (),
    force: bool = False,
    rate: float | Fraction | None = None,
    codec: str | None = None,
    crf: int | None = None,
    lossless: bool = False,
    raw: bool = False,
    settle: bool = True,
) -> Output:
    """Check all that can be checked of an output before any work: options of `write`; that it is none of the `sources`.

    Unless `settle` is False, an interrupted commit of this output is finished or rolled back first.
    """
    check_path("give the path first, then the frames: write('out.mp4', frames)", path=path)
    if rate is not None and not (isinstance(rate, int | float | Fraction) and np.isfinite(float(rate)) and rate > 0):
        raise ParameterError(f"rate is {rate}; it must be a positive, finite number of frames per second")
    exact = None if rate is None else Fraction(rate).limit_denominator(1_000_000)
    encoding = Encoding(codec, crf, lossless)
    _check_encoding(os.fspath(path), encoding)
    if pipes.is_standard(path):
        pipes.check_standard_output()
        return Output(pipes.OUTPUT, None, force, exact, encoding, raw)
    if raw:
        raise ParameterError(f"{path}: raw frames can only be written to standard output, named -")
    path = Path(path)
    known = format_of(path)
    check_distinct(path, sources)
    check_output(path, force, settle)
    return Output(path, known, force, exact, encoding)
