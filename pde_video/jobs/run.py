"""From file to file, in one pass."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pde_video.filters.filter import Bound, as_filter, pipeline
from pde_video.protocols import Array
from pde_video.video.files import format_of, read, write
from pde_video.video.outputs import check_distinct, check_output
from pde_video.video.pipes import check_standard_output, is_standard
from pde_video.video.provenance import fingerprint
from pde_video.video.source import FileVideo


def run(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *filters: Callable[..., Any],
    force: bool = False,
    progress: Callable[[Iterable[Array], int | None], Iterable[Array]] | None = None,
    reading: Mapping[str, Any] | None = None,
    encoding: Mapping[str, Any] | None = None,
    made: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Read a file, filter it and write a file, in one pass with bounded memory.

    dst = write(pipeline(*filters)(read(src)))

    Parameters
    ----------
    src, dst : path
        As for `read` and `write`; two different files, or ``"-"`` for standard input or output.
    *filters : Filter
        Applied one after the other; none copies the video.
    force : bool
        Overwrite an existing output.
    progress : callable (frames, count) -> frames, optional
        Wraps the stream of output frames, for example in a progress bar; `count` is None if not known.
    reading, encoding : dict, optional
        Keyword arguments for `read` and `write`: ``{"start": 2.5}``, ``{"lossless": True}``.
    made : dict, optional
        What the output's metadata are to say of how it was made, besides the input's name and SHA-256, the names of the
        filters, and what these have estimated by their first frame.

    Returns
    -------
    dict
        What the filters estimated and did, the number of ``frames`` written, under ``not_copied`` what of the
        input is not in the output, under ``warnings`` what else is to be known, and under ``lost`` what
        was wrong with an input of which a part was kept.

    Raises
    ------
    FileNotFoundError, InputError
        If the input cannot be read.
    FileExistsError
        If the output exists and `force` is not given, or is the input.
    ParameterError, OutputError
        As for `write`.

    Examples
    --------
    >>> import pde_video as pv
    >>> pv.run("in.mp4", "out.mp4", pv.denoise)  # doctest: +SKIP
    """
    if is_standard(dst):  # Before the input is waited for.
        check_standard_output()
    video = read(src, **(reading or {}))
    source = video.path
    if not is_standard(dst):
        target = Path(dst)
        format_of(target)
        check_distinct(source, target)
        check_output(target, force)
    report: dict[str, Any] = {}
    facts = facts_of(source, filters, made) | {"report": report}
    with contextlib.closing(iter(video)) as source_frames:  # Filters that fail may hold on to it.
        frames = pipeline(*filters)(source_frames, report=report)
        if progress is not None:
            frames = progress(frames, video.count)
        written = write(dst, frames, like=video, force=force, made=facts, report=report, **(encoding or {}))
    return completed(report, video, written)


def completed(report: dict[str, Any], video: FileVideo, frames: int) -> dict[str, Any]:
    """Return the report with the number of frames written, and what the source has to say."""
    report["frames"] = frames
    if video.lost is not None:
        report["lost"] = video.lost
    if video.details.get("warnings"):
        report["warnings"] = [*video.details["warnings"], *report.get("warnings", [])]
    return report


def facts_of(source: Path, filters: Iterable[Any], made: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what an output's metadata say before anything is known of the frames."""
    known = made is not None and "sha256" in made  # Large files are not read once more.
    return {
        "input": source.name,
        "sha256": fingerprint(source) if not known and source.exists() else None,  # Standard input has no such file.
        "filters": [_name(one) for one in filters],
        **(made or {}),
    }


def _name(a_filter: Any) -> str:
    known = as_filter(a_filter)
    return str(getattr(known.of if isinstance(known, Bound) else known, "__name__", repr(known)))
