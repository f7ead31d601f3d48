"""From file to file, in one pass."""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from pde_video import __version__
from pde_video.checks import check_path
from pde_video.errors import InputError, ParameterError
from pde_video.filters.declarations import declared
from pde_video.filters.filter import Configured, as_filter, check_filter, pipeline, retimed
from pde_video.filters.masked import masking
from pde_video.jobs.segment_folder import finished_frames, folder_of, is_complete
from pde_video.protocols import Array
from pde_video.video.confinement import UNFILTERED, confining
from pde_video.video.files import read, with_source, write_checked
from pde_video.video.formats import Output, checked_output
from pde_video.video.outputs import check_count, check_distinct, check_output, reported, warning_if_killed, whole
from pde_video.video.pipes import is_standard
from pde_video.video.provenance import fingerprint, fingerprint_of_input, plain
from pde_video.video.sequences import is_pattern
from pde_video.video.source import FileVideo
from pde_video.video.timing import Timed, Timing

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
        Provenance to record in the output's metadata, besides the input's name and SHA-256, the names of the filters,
        and what these estimate before their first frame.

    **options
        Refused: options of a filter go to the filter, as in ``run(src, dst, denoise(preset="fast"))``.

    Returns
    -------
    dict
        What the filters estimated and did; the number of ``frames`` written; under ``not_copied`` what of the input is
        missing in the output; ``warnings``; and under ``lost`` the damage of an input of which a part was kept.

    Raises
    ------
    TypeError
        If there is an option.
    FileNotFoundError, InputError
        If the input cannot be read.
    FileExistsError
        If the output exists and `force` is not given, or is a file that the run reads.
    ParameterError, OutputError
        As for `write`.

    Examples
    --------
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
    sidecar: bool = False
    beforehand: tuple[str, ...] = ()  # Warnings that are of use before the run.

    @property
    def timing(self) -> Timing:
        """When the frames of the output are shown, and how many are expected."""
        return self._blamed([]).retimed(self.video.timing)

    @property
    def count(self) -> int | None:
        """The number of frames of the output; None if it is not certain."""
        return self.timing.count if self.timing.is_sure else None

    @property
    def like(self) -> FileVideo:
        """The source, for a writer of what the filters make of its frames."""
        return self.video.shown_at(self.timing)

    def run(self, progress: Progress | None = None) -> dict[str, Any]:
        """Filter the source into the output, and return the report."""
        report: dict[str, Any] = {}
        facts = self.facts() | {"report": report}
        with contextlib.closing(iter(self.video)) as source_frames:  # Filters that fail may hold on to it.
            frames: Iterable[Array] = self.filtered(source_frames, report)
            if progress is not None:
                frames = progress(frames, self.timing.count)
            written = write_checked(self.output, frames, like=self.like, made=facts, report=report)
        report = self.full_report(report, written)
        self.write_sidecar(report, facts["sha256"])
        return report

    def filtered(self, frames: Iterable[Array], report: dict[str, Any]) -> Iterator[Array]:
        """Return the frames filtered; a fault of a filter begins with the name of the source and that of the filter."""
        known: list[Exception] = []  # Faults that say already of what they are.
        source, every = Timed(_unblamed(known, frames), self.video.timing), self._blamed(known)
        return with_source(self.video, lambda: every(source, report=report))

    def _blamed(self, known: list[Exception]) -> "_Blamed":
        """Return all filters as one, each and all with their names."""
        of_source, *names = str(self.video.path), *map(_name, self.filters)
        each = [_Blamed(known, f"{of_source}: {name}: ", one) for name, one in zip(names, self.filters, strict=True)]
        return _Blamed(known, f"{of_source}: {', '.join(names) or 'no filter'}: ", pipeline(*each))

    def facts(self) -> dict[str, Any]:
        """Return what the output's metadata say before anything is known of the frames."""
        self.video.check_unchanged()  # The fingerprint is of what was opened, and is read.
        digest, filters = self._fingerprint(), list(map(_name, self.filters))
        return {"input": self.video.path.name, "sha256": digest, "filters": filters, **self.made}

    def _fingerprint(self) -> str | None:
        """Return the SHA-256 of a source that is a file or folder; None if a part is wanted and the rest unreadable."""
        source, choice, details = self.video.path, self.video.choice, self.video.details
        if self.video.watch is None or is_pattern(source):  # The first is standard input.
            return None
        try:
            return fingerprint_of_input(source)
        except InputError as fault:
            if choice.is_everything and not choice.keep_partial:
                raise
            details["warnings"] = [*details.get("warnings", ()), f"{fault}; so its SHA-256 is not recorded"]
            return None

    def full_report(self, report: dict[str, Any], frames: int) -> dict[str, Any]:
        """Return the report with the number of frames written, and what the source has to say."""
        report["frames"] = frames
        if self.video.lost is not None:
            report["lost"] = self.video.lost
        warnings = [*self.video.details.get("warnings", ())]
        if self.video.isolated and not confining():
            warnings.append(UNFILTERED)
        if all_of_them := [*self.beforehand, *warnings, *report.get("warnings", [])]:
            report["warnings"] = all_of_them
        return report

    def write_sidecar(self, report: dict[str, Any], digest: str | None) -> None:
        """Write beside the output how it was made, if that was asked for and is not there already."""
        if not self.sidecar:
            return
        target = self.output.path
        with reported(target):
            output = {"output": target.name, "output_sha256": fingerprint(target) if target.exists() else None}
        facts = {"version": __version__, **self.made, "sha256": digest, **output, "report": report}
        text = json.dumps(plain(facts), indent=1, default=str, allow_nan=False) + "\n"
        path = sidecar_of(target)
        if path.is_file() and path.read_bytes() == text.encode():  # Killed after that, the run is resumed here.
            return
        with whole(path, self.output.force) as temporary, reported(path):
            temporary.write_text(text)


def prepared(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *filters: Callable[..., Any],
    force: bool = False,
    reading: Mapping[str, Any] | None = None,
    encoding: Mapping[str, Any] | None = None,
    made: Mapping[str, Any] | None = None,
    besides: Iterable[str | os.PathLike[str]] = (),
    sidecar: bool = False,
    resume: bool = False,
    settle: bool = True,
) -> Plan:
    """Return the run, ready to begin: whatever can be checked beforehand has been checked.

    With `sidecar`, how it was made is also written to a file beside the output. With `resume`, the output may be there
    if it is complete and its segments have not been removed yet. Unless `settle` is False, what a dead run has begun
    with the output is finished or undone first. No output may replace the source, or a file read `besides`.
    """
    check_path("run goes from file to file; for arrays and streams call the filter: denoise(video)", src=src, dst=dst)
    if sidecar and is_standard(dst):
        raise ParameterError("standard output has no file beside it; name an output, or leave out --sidecar")
    checked = tuple(map(check_filter, filters))
    sources = [Path(one) for one in (src, *besides, *chain(*map(_read_by, checked))) if not is_standard(one)]
    complete, asked = False, {**(encoding or {}), "settle": settle, "sources": sources}
    try:
        output = checked_output(dst, force=force, **asked)  # Before the input is waited for.
    except FileExistsError:
        complete = resume and is_complete(Path(dst))
        if not complete:
            raise
        output = replace(checked_output(dst, force=True, **asked), force=force)
    if sidecar:
        check_distinct(sidecar_of(output.path), sources)
        check_output(sidecar_of(output.path), force or complete)
    source, beforehand = read(src, **(reading or {})), tuple(_beforehand(output, resume))
    plan = Plan(output, source, checked, made or {}, sidecar, beforehand)
    count = plan.count  # What filters cannot make of its times is refused here.
    if force and count is not None:
        check_count(output.path, count)
    return plan


def _read_by(a_filter: Any) -> Iterator[str | os.PathLike[str]]:
    """Yield the files that a filter reads, which its options name."""
    if isinstance(a_filter, Configured):
        known = declared(a_filter.of.function)
        files = {name for name, one in known.items() if one.option.file and one.option.load is None}
        yield from (value for name, value in a_filter.options if name in files and isinstance(value, str | os.PathLike))
    parts = a_filter.filters if isinstance(a_filter, pipeline) else ()
    for part in (a_filter.a_filter,) if isinstance(a_filter, masking) else parts:
        yield from _read_by(part)


def _unblamed(known: list[Exception], frames: Iterable[Array]) -> Iterator[Array]:
    """Yield the frames of a source; its faults are its own."""
    try:
        yield from frames
    except Exception as fault:
        known.append(fault)
        raise


@dataclass(frozen=True)
class _Blamed:
    """A filter whose faults begin with a name, if they are not known yet."""

    known: list[Exception]
    name: str
    of: Callable[..., Any]

    def __call__(self, frames: Iterable[Array], **options: Any) -> Iterator[Array]:
        with self._named():
            return self._results(self.of(frames, **options))

    def retimed(self, timing: Timing) -> Timing:
        """Return when the frames of a video are shown after it."""
        with self._named():
            return retimed(self.of, timing)

    def _results(self, filtered: Iterable[Array]) -> Iterator[Array]:
        with self._named():
            yield from filtered

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (InputError, ParameterError) as fault:
            if any(fault is one for one in self.known):
                raise
            self.known.append(type(fault)(f"{self.name}{fault}"))
            raise self.known[-1] from fault


def _beforehand(output: Output, resume: bool) -> Iterator[str]:
    """Yield what is to be known before a run writes this output."""
    if output.format is None:
        return
    if not resume and (frames := finished_frames(output.path)):
        kept = f"{frames} finished frames of an interrupted run are in {folder_of(output.path)}"
        yield f"{kept}; the same command with --resume continues from there"
    if warning := warning_if_killed(output.path, output.force):
        yield warning


def sidecar_of(target: Path) -> Path:
    """Return the name of the file that says how another was made."""
    return target.with_name(f"{target.name}.json")


def _name(a_filter: Any) -> str:
    known = as_filter(a_filter)
    return str(getattr(known.of if isinstance(known, Configured) else known, "__name__", repr(known)))
