"""Read, write, run: formats by file name, and outputs that are whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.errors import InputError, OutputError, ParameterError
from pde_video.filters.lift import alike, first_frame, pipeline
from pde_video.protocols import Array
from pde_video.video import containers, encoder, stacks, stills
from pde_video.video.overlap import all_behind
from pde_video.video.source import FileVideo, Target

_DEFAULT_RATE = Fraction(25)
_NPY = (".npy",)
_READERS: dict[tuple[str, ...], Callable[[Path], FileVideo]] = {
    containers.SUFFIXES: containers.read_container,
    stills.SUFFIXES: stills.read_stills,
    stacks.TIFF_SUFFIXES: stacks.read_tiff,
    _NPY: stacks.read_npy,
}
_WRITERS: dict[tuple[str, ...], Callable[[Target, Iterator[Array], Path], int]] = {
    containers.SUFFIXES: encoder.write_container,
    stills.SUFFIXES: stills.write_stills,
    stacks.TIFF_SUFFIXES: stacks.write_tiff,
    _NPY: stacks.write_npy,
}


def _by_suffix(table: dict[tuple[str, ...], Any], path: Path) -> Any:
    for suffixes, function in table.items():
        if path.suffix.lower() in suffixes:
            return function
    known = ", ".join(suffix for suffixes in table for suffix in suffixes)
    raise ParameterError(f"{path}: files ending in {path.suffix!r} are not known; known are {known}")


def read(path: str | os.PathLike[str]) -> FileVideo:
    """Open a video file; its frames are decoded one by one, when iterated over.

    frames = iter(read(path))

    Parameters
    ----------
    path : path
        mp4, mkv, mov, avi, webm, gif; png, jpg, or a numbered sequence of them such as ``frame_%04d.png``; a
        multi-page tiff; or npy. GIF frames come as RGB.

    Returns
    -------
    Video
        Iterable as often as wanted, with ``size``, ``channels``, ``dtype``, ``rate``, ``count``, ``timestamps``.
        Frames are (H, W) or (H, W, C), uint8 or uint16 from containers (more than 8 bits are scaled to 16), and
        as stored from stacks.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    InputError
        If it is not a video, now, or is found to be damaged, while iterating.
    ParameterError
        If the name's ending is not known.

    References
    ----------
    None.

    Examples
    --------
    >>> import pde_video as pv
    >>> for frame in pv.read("in.mp4"):  # doctest: +SKIP
    ...     print(frame.shape)
    """
    path = Path(path)
    reader = _by_suffix(_READERS, path)
    if not stills.is_pattern(path):
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        if not path.is_file():
            raise InputError(f"{path}: not a file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty")
    return reader(path)


def write(
    path: str | os.PathLike[str],
    frames: Iterable[Array],
    *,
    like: FileVideo | None = None,
    fps: float | Fraction | None = None,
    force: bool = False,
) -> int:
    """Write frames to a file, whole or not at all: under a temporary name beside it, then renamed.

    file = frame 0, frame 1, ...

    Parameters
    ----------
    path : path
        As for `read`; the ending chooses the format. H.264 in mp4, mov and mkv, VP9 in webm; lossless FFV1 in avi,
        and in mkv for uint16. A format that would not keep the frames' dtype refuses them.
    frames : array or iterable of frames
        Frames (H, W) or (H, W, C) of one shape and dtype.
    like : Video, optional
        The source, whose rate, timestamps and colour matrix are kept.
    fps : number or Fraction, optional
        Frames per second, > 0, instead of those of `like`. Default without either: 25.
    force : bool
        Overwrite an existing file.

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

    References
    ----------
    None.

    Examples
    --------
    >>> import numpy as np, pde_video as pv, tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "video.npy")
    ...     pv.write(path, np.zeros((3, 45, 61), np.uint16))
    3
    """
    path = Path(path)
    _by_suffix(_WRITERS, path)
    _checked_rate(fps, like)
    check_output(path, force)
    with whole(path, force) as temporary:
        return _fill(temporary, path, frames, like, fps)


def write_together(
    paths: Sequence[Path], rows: Iterable[Sequence[Array | None]], *, like: FileVideo | None = None, force: bool = False
) -> list[int]:
    """Write several files in one pass, all of them or none: a row holds for each path its next frame, or None.

    The numbers of frames written are returned.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise ParameterError(f"two outputs have one name: {', '.join(map(str, paths))}")
    for path in paths:
        _by_suffix(_WRITERS, path)
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
    temporary: Path, path: Path, frames: Iterable[Array], like: FileVideo | None, fps: float | Fraction | None
) -> int:
    """Write to `temporary` what is to be `path`; return the number of frames."""
    count = len(frames) if isinstance(frames, np.ndarray) else like.count if like else None
    head, stream = first_frame(frames)
    if head.shape[2:] == (1,) and path.suffix.lower() not in _NPY:  # A picture with one channel is a grey one.
        head, stream = head[..., 0], (frame[..., 0] for frame in alike(stream, head))
    target = Target(path, head, count, _checked_rate(fps, like), None if fps is not None else like)
    try:
        return _by_suffix(_WRITERS, path)(target, alike(stream, head), temporary)
    except OSError as fault:
        if isinstance(fault, FileNotFoundError | OutputError):
            raise
        raise OutputError(fault.errno, f"{path} could not be written: {fault.strerror or fault}") from fault


def _checked_rate(fps: float | Fraction | None, like: FileVideo | None) -> Fraction:
    if fps is None:
        return (like.rate if like else None) or _DEFAULT_RATE
    if not isinstance(fps, (int, float, Fraction)) or not (np.isfinite(float(fps)) and fps > 0):
        raise ParameterError(f"fps is {fps}; it must be a positive, finite number of frames per second")
    return Fraction(fps).limit_denominator(1_000_000)


def check_output(path: Path, force: bool) -> None:
    """Raise, before any work, if `path` cannot be written or would be overwritten without `force`."""
    if not path.parent.is_dir():
        raise OutputError(errno.ENOENT, f"the folder {path.parent} does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(errno.EACCES, f"the folder {path.parent} cannot be written to")
    if path.is_dir():
        raise OutputError(errno.EISDIR, f"{path} is a folder; name a file in it")
    existing = _existing(path)
    if existing and not force:
        raise FileExistsError(
            errno.EEXIST, "the output exists; pass --force (force=True) to overwrite", str(existing[0])
        )


def check_distinct(source: Path, target: Path) -> None:
    """Raise if writing `target` would overwrite a file of `source`, by whatever name, even with ``force``."""
    sources = _existing(source)
    for file in _existing(target):
        if any(file.samefile(other) for other in sources):
            raise FileExistsError(errno.EEXIST, "input and output are the same file; name another output", str(file))


def _existing(path: Path) -> list[Path]:
    return stills.members(path) if stills.is_pattern(path) else [path] if path.exists() else []


@contextlib.contextmanager
def whole(path: Path, force: bool) -> Iterator[Path]:
    """Give a name beside `path`; on success it becomes `path`, on any fault it disappears."""
    temporary = path.with_name(f".pde-video-{secrets.token_hex(8)}{path.suffix}")
    try:
        if stills.is_pattern(path):
            replaced = set(_existing(path))
            temporary.mkdir()
            yield temporary
            check_output(path, force)  # It may have come to be in the meantime.
            for file in sorted(temporary.iterdir()):
                file.replace(path.with_name(file.name))
                replaced.discard(path.with_name(file.name))
            for surplus in replaced:  # What a longer sequence leaves would be read as part of this one.
                surplus.unlink()
        else:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            check_output(path, force)  # It may have come to be in the meantime.
            temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def run(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *filters: Callable[..., Any],
    force: bool = False,
    progress: Callable[[Iterable[Array], int | None], Iterable[Array]] | None = None,
) -> dict[str, Any]:
    """Read a file, filter it and write a file, in one pass with bounded memory.

    dst = write(pipeline(*filters)(read(src)))

    Parameters
    ----------
    src, dst : path
        As for `read` and `write`; two different files.
    *filters : Filter
        Applied one after the other; none copies the video.
    force : bool
        Overwrite an existing output.
    progress : callable (frames, count) -> frames, optional
        Wraps the stream of output frames, for example in a progress bar; `count` is None if not known.

    Returns
    -------
    dict
        What the filters estimated and did, the number of ``frames`` written, and under ``not_copied`` the streams of
        the input (sound, subtitles) that are not in the output.

    Raises
    ------
    FileNotFoundError, InputError
        If the input cannot be read.
    FileExistsError
        If the output exists and `force` is not given, or is the input.
    ParameterError, OutputError
        As for `write`.

    References
    ----------
    None.

    Examples
    --------
    >>> import pde_video as pv
    >>> pv.run("in.mp4", "out.mp4", pv.denoise)  # doctest: +SKIP
    """
    source, target = Path(src), Path(dst)
    video = read(source)
    _by_suffix(_WRITERS, target)
    check_distinct(source, target)
    check_output(target, force)
    report: dict[str, Any] = {}
    if video.details.get("other_streams"):
        report["not_copied"] = video.details["other_streams"]
    with contextlib.closing(iter(video)) as source_frames:  # Filters that fail may hold on to it.
        frames = pipeline(*filters)(source_frames, report=report)
        if progress is not None:
            frames = progress(frames, video.count)
        report["frames"] = write(target, frames, like=video, force=force)
    return report
