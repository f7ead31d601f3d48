"""Read and write video files."""

import contextlib
import errno
import os
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextvars import ContextVar, copy_context
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.access.opening import reading
from pde_video.checks import alike, check_path, first_frame
from pde_video.errors import DtypeError, InputError, OutputError, ParameterError
from pde_video.protocols import Array
from pde_video.video import containers, isolation, pipes, provenance
from pde_video.video.formats import Format, Output, checked_output, format_of, reader_of
from pde_video.video.inputs import check_input
from pde_video.video.leftovers import refuse_unfinished
from pde_video.video.outputs import check_count, check_output, reported, warning_if_killed, whole
from pde_video.video.overlap import all_behind
from pde_video.video.sequences import is_pattern, member_name, numbered
from pde_video.video.signals import held_back
from pde_video.video.source import MOST_PIXELS, Choice, FileVideo, Seconds, Target
from pde_video.video.timing import Timed, beyond_stamps, timing_of
from pde_video.video.watch import Watch, watch_file

_DEFAULT_RATE = Fraction(25)
_WHOLE = "; its frames are counted as those of the whole video: give all of them, or cut the video beforehand"
_SOURCE: ContextVar[FileVideo | None] = ContextVar("source", default=None)


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
    isolated: bool = False,
) -> FileVideo:
    """Open a video file; its frames are decoded one by one, when iterated over.

    Parameters
    ----------
    path : path
        mp4, mkv, mov, avi, webm, gif, y4m; for reading only ts, m2ts, mpg, vob, wmv, flv, 3gp, mxf; png, jpg, or a
        numbered sequence of them such as ``frame_%04d.png``; a multi-page tiff (compressed ones may need the extra
        `tiff`); npy; or a folder with a zarr 3 array (extra `zarr`). GIF frames are RGB. ``"-"`` is standard input, in
        y4m or raw.
    start, end : number or Fraction, optional
        Seconds after the first frame, ≥ 0: only frames from `start` on and before `end`. An error for frames without
        times.
    frames : (int, int or None), optional
        Only the frames from the first number (from 0) to before the second.
    stream : int, optional
        The number, from 0, of the video stream in a container with several.
    keep_partial : bool
        End at the first damaged frame instead of raising (and say so in ``lost``).
    max_pixels : int
        Larger frames are refused before memory is allocated for them.
    raw : str, optional
        The format of frames without a header on standard input: ``"WIDTHxHEIGHT:LAYOUT"`` or, with a rate,
        ``"640x480:gray16le:30000/1001"``; the layout is gray, gray16le, rgb24 or rgb48le.
    isolated : bool
        Decode in a sandboxed process, with limits on memory and time: for untrusted files. Frames and errors are the
        same; `write` copies no sound, subtitles, chapters or tags then, and reports that. Not for standard input, nor
        on Windows.

    Returns
    -------
    Video
        An iterable of frames, any number of times (standard input once), with ``size``, ``channels``, ``dtype``,
        ``rate``, ``count``, ``timestamps`` and ``details``. Frames are (H, W) or (H, W, C); from containers uint8 or
        uint16 (more than 8 bits are scaled to 16), from stacks as stored.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If it is not a video or, while iterating, if it is damaged or changes.
    ParameterError
        If the name's ending is not known, or `start` or `end` is given and frames have no times.
    DtypeError
        If `path` is not a path.

    Examples
    --------
    >>> for frame in pv.read("in.mp4"):  # doctest: +SKIP
    ...     print(frame.shape)
    """
    check_path("an array is a video already, and is given to filters as it is", path=path)
    first, last = (0, None) if frames is None else frames
    choice = Choice(start, end, first, last, stream, keep_partial, max_pixels)
    if pipes.is_standard(path):
        if isolated:
            raise ParameterError(
                "standard input cannot be read in isolation; it has uncompressed frames, which need no decoder"
            )
        return pipes.read_standard(choice, raw).only(choice)
    if raw is not None:
        raise ParameterError(f"{path}: only standard input, named -, holds raw frames; read it with: ... - < {path}")
    path = Path(path)
    refuse_unfinished(path)
    if not is_pattern(path):
        check_input(path)
    opened = reader_of(path)
    with reading(path):
        watch = _watch_sequence(path, last) if is_pattern(path) else watch_file(path)
        video = None if isolated else opened(path, choice)
    if video is None:
        video = isolation.read(path, choice)
    video.watch = watch
    refuse_unfinished(path)  # A commit may have begun just before.
    if isolated:  # The rest was done there.
        return video
    if video.rate and video.count:
        video.details.setdefault("duration", float(video.count / video.rate))
    if min(*video.size, video.channels) < 1:
        raise InputError(f"{path}: frames of {video.size[0]} × {video.size[1]} (height × width) hold no pixel")
    return video.only(choice)


def read_besides(path: str | os.PathLike[str], *, together: bool = False) -> FileVideo:
    """Open a further file for a filter, with the limits and the isolation of the source of the run, if there is one.

    With `together`, its frames are those beside the frames that are wanted of the source; a single one is for all.
    """
    source = _SOURCE.get()
    if source is None:
        return read(path)
    choice, like_it = source.choice, partial(read, max_pixels=source.choice.max_pixels, isolated=source.isolated)
    video = like_it(path)
    if not together or video.count == 1 or choice.is_everything:
        return video
    if choice.start is not None or choice.end is not None:  # By their own times, frames might not be those beside.
        raise InputError(f"{path} has several frames, and a part is wanted by times; give --frames (frames=) instead")
    video = like_it(path, frames=(choice.first, choice.last))
    video.remedy = _WHOLE if choice.first else ""
    return video


def with_source(source: FileVideo, filtered: Callable[[], Iterator[Array]]) -> Iterator[Array]:
    """Yield the frames that filters make of a source, which `read_besides` then knows."""
    context = copy_context()
    context.run(_SOURCE.set, source)
    frames = context.run(filtered)
    try:
        while (frame := context.run(next, frames, None)) is not None:
            yield frame
    finally:
        if isinstance(frames, Generator):
            frames.close()


def _watch_sequence(pattern: Path, last: int | None) -> Watch:
    """Return the state of the pictures before number `last`, and of the one that would follow if more were added."""
    found = numbered(pattern)
    following = [pattern.with_name(member_name(pattern, number + 1)) for number in list(found)[-1:]]
    files = [str(file) for file in [*found.values(), *following][:last]]
    return Watch(lambda: files)


def write(
    path: str | os.PathLike[str],
    frames: Iterable[Array],
    *,
    like: FileVideo | None = None,
    rate: float | Fraction | None = None,
    force: bool = False,
    codec: str | None = None,
    crf: int | None = None,
    lossless: bool = False,
    made: dict[str, Any] | None = None,
    report: dict[str, Any] | None = None,
    raw: bool = False,
    fps: float | Fraction | None = None,
) -> int:
    """Write frames to a file atomically: complete, or not at all.

    Parameters
    ----------
    path : path
        As for `read`; the ending chooses the format: H.264 in mp4, mov and mkv, VP9 in webm; lossless FFV1 in avi, and
        in mkv for uint16. A format that would not keep the frames' dtype refuses them. ``"-"`` is standard output, in
        y4m with the source's chroma and depth, until the reader closes the pipe.
    frames : array or iterable of frames
        Frames (H, W) or (H, W, C) of one shape and dtype.
    like : Video, optional
        The source whose rate, timestamps, depth and colour tags are kept, and whose sound and subtitles are copied.
    rate : number or Fraction, optional
        Frames per second, > 0, instead of those of `like`. Default without either: those of the frames, if they were
        read from a file or made of such, else 25.
    force : bool
        Overwrite an existing file.
    codec : {"h264", "hevc", "vp9", "av1", "ffv1"}, optional
        For containers. Default: by the ending.
    crf : int, optional
        Quality of a lossy codec, lower is better; the range depends on the codec.
    lossless : bool
        Keep every value of the frames, or refuse.
    made : dict, optional
        Provenance for the file's metadata, if the format has any. It is read after the first frame.
    report : dict, optional
        Receives the metadata that could not be kept, and warnings.
    raw : bool
        Write frames without a header to standard output; the report then says how to read them.
    fps : number or Fraction, optional
        The former name of `rate`; deprecated.

    Returns
    -------
    int
        The number of frames written.

    Raises
    ------
    FileExistsError
        If the output exists and `force` is not given.
    ParameterError
        If the format does not support such frames, or `rate` is out of range.
    DtypeError
        If `path` is not a path, or `frames` are no frames.
    InputError
        If there is no frame, or frames differ.
    OutputError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "video.npy")
    ...     pv.write(path, np.zeros((3, 45, 61), np.uint16))
    3
    """
    if fps is not None:
        warnings.warn("fps is now called rate: write(..., rate=25)", DeprecationWarning, stacklevel=2)
        rate = fps
    output = checked_output(path, force=force, rate=rate, codec=codec, crf=crf, lossless=lossless, raw=raw)
    if report is not None and output.format and (warning := warning_if_killed(output.path, force)):
        report.setdefault("warnings", []).append(warning)
    count = write_checked(output, frames, like=like, made=made, report=report)
    if report is not None and like is not None and (warning := beyond_stamps(frames, count, like.timing)):
        report.setdefault("warnings", []).append(warning)
    return count


def write_checked(
    output: Output,
    frames: Iterable[Array],
    *,
    like: FileVideo | None = None,
    made: dict[str, Any] | None = None,
    report: dict[str, Any] | None = None,
    before_commit: Callable[[Path], None] = lambda temporary: None,
) -> int:
    """Write frames, as `write` does, to an output that has been checked.

    `before_commit` is called with what is complete, before it is put in place.
    """
    if isinstance(frames, str | os.PathLike) or not isinstance(frames, Iterable):
        raise DtypeError(
            f"frames are {frames!r:.200}; they must be an array (T, H, W) or (T, H, W, C), an iterable of frames, or a "
            "file that is opened: write('out.mp4', read('in.mp4'))"
        )
    like = like and like.shown_at(frames.timing) if isinstance(frames, Timed) else like
    if output.format is not None:
        if output.force and isinstance(frames, np.ndarray):
            check_count(output.path, len(frames))
        with whole(output.path, output.force) as temporary:
            count = _fill(temporary, output.format, like, *_target(output, frames, like, made, report))
            before_commit(temporary)
        return count
    target, stream = _target(output, frames, like, made, report)
    count = pipes.write_standard(target, stream, output.raw)
    target.report_omitted(("rate",), like)
    return count


def write_together(
    paths: Sequence[Path], rows: Iterable[Sequence[Array | None]], *, like: FileVideo | None = None, force: bool = False
) -> list[int]:
    """Write several files in one pass; return their numbers of frames.

    A row holds for each path its next frame, or None. All files are complete before the first is put in place, and no
    signal comes in between; if the disk fails there, each file is still either complete or as it was.
    """
    if len(set(map(os.path.realpath, paths))) < len(paths):
        raise ParameterError(f"two outputs have one name: {', '.join(map(str, paths))}")
    outputs = [checked_output(path, force=force) for path in paths]

    def fill(temporary: Path, output: Output, column: Iterator[Array | None]) -> int:
        frames = (frame for frame in column if frame is not None)
        return _fill(temporary, format_of(output.path), like, *_target(output, frames, like))

    with contextlib.ExitStack() as stack:
        temporaries = [stack.enter_context(whole(path, force)) for path in paths]
        consumers = [partial(fill, *each) for each in zip(temporaries, outputs, strict=True)]
        counts = all_behind(consumers, rows, containers.WAITING)
        for path in paths:  # All of them, before the first is renamed.
            check_output(path, force)
        with held_back():
            stack.pop_all().close()
    return counts


def _fill(temporary: Path, known: Format, like: FileVideo | None, target: Target, frames: Iterator[Array]) -> int:
    """Write the frames to `temporary`, and count what was written; return the number of frames."""
    try:
        with reported(target.path):
            written = known.write(target, frames, temporary)
            found = known.count(temporary)
    except InputError as fault:
        if temporary.exists() and str(temporary) in str(fault):
            raise OutputError(errno.EIO, f"{target.path} could not be read again after writing: {fault}") from fault
        raise
    if found != written:
        raise OutputError(errno.EIO, f"{target.path}: {written} frames were written, but {found} are in the file")
    target.report_omitted(known.holds, like)
    return written


def _target(
    output: Output,
    frames: Iterable[Array],
    like: FileVideo | None,
    made: dict[str, Any] | None = None,
    report: dict[str, Any] | None = None,
) -> tuple[Target, Iterator[Array]]:
    """Return what a writer needs to know besides the frames, and the frames, checked to be alike."""
    count = len(frames) if isinstance(frames, np.ndarray) else like.count if like else None
    head, stream = first_frame(frames)
    if head.shape[2:] == (1,) and output.path.suffix.lower() != ".npy":  # One channel is grey.
        head, stream = head[..., 0], (frame[..., 0] for frame in alike(stream, head))
    source = None if output.rate is not None else like
    rate = source.rate if source else output.rate or timing_of(frames).rate
    report, text = {} if report is None else report, provenance.as_text(made or {})
    target = Target(output.path, head, count, rate or _DEFAULT_RATE, source, output.encoding, text, report, rate)
    return target, alike(stream, head)
