"""Read and write: formats by file name."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.checks import alike, first_frame
from pde_video.errors import InputError, OutputError, ParameterError
from pde_video.protocols import Array
from pde_video.video import containers, encoder, npy, pipes, provenance, stills, tiff, y4m, zarrays
from pde_video.video.omitted import tell_omitted
from pde_video.video.outputs import check_output, whole
from pde_video.video.overlap import all_behind
from pde_video.video.source import MOST_PIXELS, Choice, Encoding, FileVideo, Seconds, Target, choice_of

_DEFAULT_RATE = Fraction(25)


@dataclass(frozen=True)
class _Format:
    """What is done with files of some endings: opened, written, and counted when they were written."""

    suffixes: tuple[str, ...]
    read: Callable[[Path, Choice], FileVideo]
    write: Callable[[Target, Iterator[Array], Path], int]
    count: Callable[[Path], int]
    holds: Collection[str] = ()  # Of what `omitted` looks for in sources.


_FORMATS = (
    _Format(
        containers.SUFFIXES,
        containers.read_container,
        encoder.write_container,
        containers.count_frames,
        ("rate", "times", "streams", "side_data", "comment"),
    ),
    _Format(stills.SUFFIXES, stills.read_stills, stills.write_stills, stills.count_frames, stills.HOLDS),
    _Format(tiff.SUFFIXES, tiff.read_tiff, tiff.write_tiff, tiff.count_pages, ("rate", *tiff.HOLDS)),
    _Format(npy.SUFFIXES, npy.read_npy, npy.write_npy, npy.count_rows),
    _Format(zarrays.SUFFIXES, zarrays.read_zarr, zarrays.write_zarr, zarrays.count_frames, ("rate",)),
    _Format(y4m.SUFFIXES, y4m.read_y4m, y4m.write_y4m, y4m.count_frames, ("rate",)),
)


def format_of(path: Path) -> _Format:
    """Return the format of files that end so and can be written, or refuse it."""
    for known in _FORMATS:
        if path.suffix.lower() in known.suffixes:
            return known
    if path.suffix.lower() in containers.READ_ONLY:
        raise ParameterError(f"{path}: files ending in {path.suffix} are read, but not written; write .mkv or .mp4")
    names = ", ".join(suffix for known in _FORMATS for suffix in known.suffixes)
    raise ParameterError(f"{path}: files ending in {path.suffix!r} are not known; known are {names}")


def read(
    path: str | os.PathLike[str],
    *,
    start: Seconds | None = None,
    end: Seconds | None = None,
    frames: tuple[int, int | None] | None = None,
    stream: int | None = None,
    keep_partial: bool = False,
    max_pixels: int = MOST_PIXELS,
    raw: str | None = None,
) -> FileVideo:
    """Open a video file; its frames are decoded one by one, when iterated over.

    frames = iter(read(path))

    Parameters
    ----------
    path : path
        mp4, mkv, mov, avi, webm, gif, y4m; for reading only ts, m2ts, mpg, vob, wmv, flv, 3gp, mxf; png, jpg, or a
        numbered sequence of them such as ``frame_%04d.png``; a multi-page tiff; npy; or a folder with a zarr 3 array
        (extra `zarr`). GIF frames come as RGB. The text ``"-"`` is standard input, in y4m or raw.
    start, end : number or Fraction, optional
        Seconds after the first frame, ≥ 0: frames shown from `start` on, before `end`. Refused where frames have no
        times.
    frames : (int, int or None), optional
        The number of the first frame wanted, from 0, and of the first after it that is not.
    stream : int, optional
        Which video stream, from 0, of a container that has several.
    keep_partial : bool
        Where a file is found to be damaged after some frames, end there (and say so in ``lost``).
    max_pixels : int
        Frames that have, or claim to have, more pixels than this are refused before there is memory for them.
    raw : str, optional
        What standard input holds, if frames without a header: ``"WIDTHxHEIGHT:LAYOUT"`` or, with a rate,
        ``"640x480:gray16le:30000/1001"``; the layout is gray, gray16le, rgb24 or rgb48le.

    Returns
    -------
    Video
        Iterable as often as wanted (standard input once), with ``size``, ``channels``, ``dtype``, ``rate``, ``count``,
        ``timestamps``. Frames are (H, W) or (H, W, C), uint8 or uint16 from containers (more than 8 bits are scaled
        to 16), and as stored from stacks.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If it is not a video, now, or is found to be damaged, while iterating.
    ParameterError
        If the name's ending is not known, or `start` or `end` is given and the frames have no times.

    Examples
    --------
    >>> import pde_video as pv
    >>> for frame in pv.read("in.mp4"):  # doctest: +SKIP
    ...     print(frame.shape)
    """
    choice = choice_of(start, end, frames, stream, keep_partial, max_pixels)
    if pipes.is_standard(path):
        return pipes.read_standard(choice, raw).only(choice)
    if raw is not None:
        raise ParameterError(f"{path}: only standard input, named -, holds raw frames; read it with: ... - < {path}")
    path = Path(path)
    opened = containers.read_container if path.suffix.lower() in containers.READ_ONLY else format_of(path).read
    if not stills.is_pattern(path):
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        if not path.is_file() and path.suffix.lower() != ".zarr":
            raise InputError(f"{path}: not a file")
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
    video = opened(path, choice)
    if min(*video.size, video.channels) < 1:
        raise InputError(f"{path}: frames of {video.size[0]} × {video.size[1]} (height × width) hold no pixel")
    return video.only(choice)


def write(
    path: str | os.PathLike[str],
    frames: Iterable[Array],
    *,
    like: FileVideo | None = None,
    fps: float | Fraction | None = None,
    force: bool = False,
    codec: str | None = None,
    crf: int | None = None,
    lossless: bool = False,
    made: dict[str, Any] | None = None,
    report: dict[str, Any] | None = None,
    raw: bool = False,
) -> int:
    """Write frames to a file, whole or not at all: under a temporary name beside it, then renamed.

    file = frame 0, frame 1, ...

    Parameters
    ----------
    path : path
        As for `read`; the ending chooses the format. The text ``"-"`` is standard output, where frames appear as they
        come, in y4m with the source's chroma and depth, until nobody reads them any more. H.264 in
        mp4, mov and mkv, VP9 in webm; lossless FFV1 in avi, and in mkv for uint16. A format that would not keep the
        frames' dtype refuses them.
    frames : array or iterable of frames
        Frames (H, W) or (H, W, C) of one shape and dtype.
    like : Video, optional
        The source, whose rate, timestamps, depth and colour tags are kept, and whose sound and subtitles are copied.
    fps : number or Fraction, optional
        Frames per second, > 0, instead of those of `like`. Default without either: 25.
    force : bool
        Overwrite an existing file.
    codec : {"h264", "hevc", "vp9", "av1", "ffv1"}, optional
        Of containers. Default: by the ending.
    crf : int, optional
        Quality of a codec that loses some, less is better, within what that codec takes.
    lossless : bool
        Keep every value of the frames as it is, or refuse.
    made : dict, optional
        How the frames were made, for the file's metadata where the format has room. It is read when the first frame
        has come.
    report : dict, optional
        Receives what the writer could not keep.
    raw : bool
        Write plain frames to standard output, without a header; the report then tells how to read them.

    Returns
    -------
    int
        The number of frames written.

    Raises
    ------
    FileExistsError
        If the output exists and `force` is not given.
    ParameterError
        If the format does not hold such frames, or `fps` is out of range.
    InputError
        If there is no frame, or frames differ.
    OutputError
        If the file cannot be written.

    Examples
    --------
    >>> import numpy as np, pde_video as pv, tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "video.npy")
    ...     pv.write(path, np.zeros((3, 45, 61), np.uint16))
    3
    """
    encoding = Encoding(codec, crf, lossless)
    if pipes.is_standard(path):
        pipes.check_standard_output()
        target, stream = _target(pipes.OUTPUT, frames, like, fps, encoding, made or {}, report)
        count = pipes.write_standard(target, stream, raw)
        tell_omitted(target, like, ("rate",))
        return count
    if raw:
        raise ParameterError(f"{path}: raw frames are written to standard output, named -, only")
    path = Path(path)
    format_of(path)
    _checked_rate(fps, like)
    check_output(path, force)
    with whole(path, force) as temporary:
        return _fill(temporary, path, frames, like, fps, encoding, made or {}, report)


def write_together(
    paths: Sequence[Path], rows: Iterable[Sequence[Array | None]], *, like: FileVideo | None = None, force: bool = False
) -> list[int]:
    """Write several files in one pass, all of them or none: a row holds for each path its next frame, or None.

    The numbers of frames written are returned.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise ParameterError(f"two outputs have one name: {', '.join(map(str, paths))}")
    for path in paths:
        format_of(path)
        check_output(path, force)

    def consumer(temporary: Path, path: Path) -> Callable[[Iterator[Array | None]], int]:
        return lambda column: _fill(temporary, path, (frame for frame in column if frame is not None), like, None)

    with contextlib.ExitStack() as stack:
        temporaries = [stack.enter_context(whole(path, force)) for path in paths]
        consumers = [consumer(*pair) for pair in zip(temporaries, paths, strict=True)]
        counts = all_behind(consumers, rows, containers.WAITING)
        for path in paths:  # Before the first of them is given its name.
            check_output(path, force)
    return counts


def _fill(
    temporary: Path,
    path: Path,
    frames: Iterable[Array],
    like: FileVideo | None,
    fps: float | Fraction | None,
    encoding: Encoding | None = None,
    made: dict[str, Any] | None = None,
    report: dict[str, Any] | None = None,
) -> int:
    """Write to `temporary` what is to be `path`, and look at what was written; return the number of frames."""
    known = format_of(path)
    target, stream = _target(path, frames, like, fps, encoding, made, report)
    try:
        written = known.write(target, stream, temporary)
        found = known.count(temporary)
    except OSError as fault:
        if isinstance(fault, FileNotFoundError | OutputError):
            raise
        raise OutputError(fault.errno, f"{path} could not be written: {fault.strerror or fault}") from fault
    except InputError as fault:
        if temporary.exists() and str(temporary) in str(fault):
            raise OutputError(errno.EIO, f"{path} could not be read again after it was written: {fault}") from fault
        raise
    if found != written:
        raise OutputError(errno.EIO, f"{path}: {written} frames were written, but {found} are in the file")
    tell_omitted(target, like, known.holds)
    return written


def _target(
    path: Path,
    frames: Iterable[Array],
    like: FileVideo | None,
    fps: float | Fraction | None,
    encoding: Encoding | None,
    made: dict[str, Any] | None,
    report: dict[str, Any] | None,
) -> tuple[Target, Iterator[Array]]:
    """Return what a writer needs to know besides the frames, and these, held to be alike."""
    count = len(frames) if isinstance(frames, np.ndarray) else like.count if like else None
    head, stream = first_frame(frames)
    if head.shape[2:] == (1,) and path.suffix.lower() not in npy.SUFFIXES:  # A picture with one channel is a grey one.
        head, stream = head[..., 0], (frame[..., 0] for frame in alike(stream, head))
    rate, source = _checked_rate(fps, like), None if fps is not None else like
    told, text = {} if report is None else report, provenance.as_text(made or {})
    target = Target(path, head, count, rate or _DEFAULT_RATE, source, encoding or Encoding(), text, told, rate)
    return target, alike(stream, head)


def _checked_rate(fps: float | Fraction | None, like: FileVideo | None) -> Fraction | None:
    if fps is None:
        return like.rate if like else None
    if not isinstance(fps, (int, float, Fraction)) or not (np.isfinite(float(fps)) and fps > 0):
        raise ParameterError(f"fps is {fps}; it must be a positive, finite number of frames per second")
    return Fraction(fps).limit_denominator(1_000_000)
