"""From file to file, in one pass."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pde_video.checks import check_path
from pde_video.filters.filter import Bound, as_filter, check_filter, pipeline
from pde_video.protocols import Array
from pde_video.video.files import read, write_checked
from pde_video.video.formats import Output, checked_output
from pde_video.video.provenance import fingerprint
from pde_video.video.source import FileVideo

Progress: TypeAlias = Callable[[Iterable[Array], int | None], Iterable[Array]]


def run(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *filters: Callable[..., Any],
    force: bool = False,
    progress: Progress | None = None,
    reading: Mapping[str, Any] | None = None,
    encoding: Mapping[str, Any] | None = None,
    made: Mapping[str, Any] | None = None,
    **options: Any,
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

    **options
        Refused: options of a filter go to the filter, as in ``run(src, dst, denoise(preset="fast"))``.

    Returns
    -------
    dict
        What the filters estimated and did, the number of ``frames`` written, under ``not_copied`` what of the
        input is not in the output, under ``warnings`` what else is to be known, and under ``lost`` what
        was wrong with an input of which a part was kept.

    Raises
    ------
    TypeError
        If there is an option.
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
    if options:
        given = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise TypeError(
            f"run has no option {given}; give options of a filter to the filter: run(src, dst, denoise({given}))"
        )
    return prepared(src, dst, *filters, force=force, reading=reading, encoding=encoding, made=made).run(progress)


@dataclass(frozen=True)
class Plan:
    """A run that is ready to begin: the output is checked, the source is open, and the filters are built."""

    output: Output
    video: FileVideo
    filters: tuple[Callable[..., Any], ...] = ()
    made: Mapping[str, Any] = field(default_factory=dict)

    def run(self, progress: Progress | None = None) -> dict[str, Any]:
        """Filter the source into the output, and return the report."""
        report: dict[str, Any] = {}
        facts = self.facts() | {"report": report}
        with contextlib.closing(iter(self.video)) as source_frames:  # Filters that fail may hold on to it.
            frames = pipeline(*self.filters)(source_frames, report=report)
            if progress is not None:
                frames = progress(frames, self.video.count)
            written = write_checked(self.output, frames, like=self.video, made=facts, report=report)
        return completed(report, self.video, written)

    def facts(self) -> dict[str, Any]:
        """Return what the output's metadata say before anything is known of the frames."""
        source = self.video.path
        facts = {"input": source.name, "sha256": None, "filters": [_name(one) for one in self.filters], **self.made}
        if "sha256" not in self.made and source.exists():  # Standard input has no such file.
            facts["sha256"] = fingerprint(source)
        return facts


def prepared(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *filters: Callable[..., Any],
    force: bool = False,
    reading: Mapping[str, Any] | None = None,
    encoding: Mapping[str, Any] | None = None,
    made: Mapping[str, Any] | None = None,
) -> Plan:
    """Return what `run` does, ready to begin; whatever is known to fail beforehand has failed by then."""
    check_path("run goes from file to file; for arrays and streams call the filter: denoise(video)", src=src, dst=dst)
    output = checked_output(dst, source=src, force=force, **(encoding or {}))  # Before the input is waited for.
    return Plan(output, read(src, **(reading or {})), tuple(map(check_filter, filters)), made or {})


def completed(report: dict[str, Any], video: FileVideo, frames: int) -> dict[str, Any]:
    """Return the report with the number of frames written, and what the source has to say."""
    report["frames"] = frames
    if video.lost is not None:
        report["lost"] = video.lost
    if video.details.get("warnings"):
        report["warnings"] = [*video.details["warnings"], *report.get("warnings", [])]
    return report


def _name(a_filter: Any) -> str:
    known = as_filter(a_filter)
    return str(getattr(known.of if isinstance(known, Bound) else known, "__name__", repr(known)))
