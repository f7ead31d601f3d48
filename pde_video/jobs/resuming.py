"""Long jobs in segments that are kept: what was done before an interruption is not done again.

Segments hold filtered frames without loss. When all are there, they are encoded in one go, so that the output is that
of a run that was never interrupted, byte for byte.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import json
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.errors import OutputError, ParameterError
from pde_video.filters.extent import Extent
from pde_video.filters.filter import pipeline
from pde_video.jobs.job import Job, write_sidecar
from pde_video.jobs.run import Plan, Progress, completed
from pde_video.protocols import Array
from pde_video.video.files import read, write, write_checked
from pde_video.video.formats import Output
from pde_video.video.outputs import whole
from pde_video.video.pipes import is_standard
from pde_video.video.provenance import as_text, plain
from pde_video.video.source import FileVideo

_NOTES = "notes.json"
LENGTH = 50  # Frames in a segment: what is lost at most.
_COUNTED = ("saturated", "missing")  # What reports add up over the frames.


def folder_of(target: Path) -> Path:
    """Return where the segments of an output are kept until it is whole."""
    return target.with_name(f"{target.name}.segments")


def finished_frames(target: Path) -> int:
    """Return how many frames of an output are in finished segments."""
    notes = folder_of(target) / _NOTES
    return sum(json.loads(notes.read_text())["lengths"]) if notes.exists() else 0


def run_resumable(
    job: Job,
    *,
    force: bool = False,
    progress: Progress | None = None,
    sidecar: bool = False,
    plan: Plan | None = None,
) -> dict[str, Any]:
    """Do what `run_job` does, going on from the segments that an interrupted call with the same job has left."""
    if is_standard(job.source) or is_standard(job.target):
        raise ParameterError("standard input and output cannot be gone on with; name files, or leave out --resume")
    plan = plan or job.prepare(force, sidecar)
    same = {key: plan.made[key] for key in ("recipe", "files", "reading", "nan")}  # Segments are not encoded yet.
    report = run_in_segments(plan, same, progress)
    if sidecar:
        write_sidecar(job, report, plan.made.get("sha256"), force)
    return report


def run_in_segments(plan: Plan, same: Mapping[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Do what `plan.run` does, in segments.

    `same` is what must be the same for segments to be of use, besides the input: as JSON has it.
    """
    facts, video, target = plan.facts(), plan.video, plan.output.path
    folder = folder_of(target)
    with _opened(folder, {"input": facts["sha256"], "parameters": plain(same)}) as kept:
        report = _filtered(plan, kept, progress)
        facts["report"] = kept.notes["first"]
        written = write_checked(plan.output, kept.frames(), like=video, made=facts, report=report)
    shutil.rmtree(folder)
    return completed(report, video, written)


class _Kept:
    """A folder of finished segments, and notes on them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._notes_file = folder / _NOTES
        self.notes: dict[str, Any] = {"lengths": [], "first": {}, "report": {}, "ended": False}
        if self._notes_file.exists():
            self.notes = json.loads(self._notes_file.read_text())

    @property
    def done(self) -> int:
        """The number of frames in finished segments."""
        return sum(self.notes["lengths"])

    def try_as(self, output: Output, head: list[Array], like: FileVideo) -> None:
        """Write a first frame as the output would be, so that what cannot be is refused before all the work."""
        silent = {key: value for key, value in like.details.items() if key != "stream_index"}  # No sound for one frame.
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            once = replace(output, path=Path(folder, output.path.name))
            write_checked(once, head, like=replace(like, details=silent))

    def add(self, frames: Iterable[Array], report: Callable[[], dict[str, Any]]) -> int:
        """Write one more segment, and then what `report` returns; return its length."""
        frames = iter(frames)
        head = next(frames, None)
        if head is None:
            return 0
        name = self._name(len(self.notes["lengths"]), head)
        length = write(name, chain([head], frames), force=True)
        self.notes["lengths"].append(length)
        self._note(report=report())
        return length

    def end(self, report: dict[str, Any]) -> None:
        """Note that no more segments come."""
        self._note(report=report, ended=True)

    def begin(self, report: dict[str, Any]) -> None:
        """Note what was known when the first frame came."""
        self._note(first=copy.deepcopy(plain(report)))

    def frames(self) -> Iterator[Array]:
        """Yield the frames of all segments."""
        for number in range(len(self.notes["lengths"])):
            yield from read(next(self._folder.glob(f"{number:06d}.*")))

    def _name(self, number: int, head: Array) -> Path:
        compressed = head.dtype in (np.uint8, np.uint16) and (head.ndim == 2 or head.shape[2] == 3)  # By FFV1.
        return self._folder / f"{number:06d}{'.avi' if compressed else '.npy'}"

    def _note(self, **facts: Any) -> None:
        self.notes.update(plain(facts))
        with whole(self._notes_file, force=True) as part:
            part.write_text(json.dumps(self.notes, default=str))


@contextlib.contextmanager
def _opened(folder: Path, job: dict[str, Any]) -> Iterator[_Kept]:
    """Give the segments of this job; refuse those of another one, or of one that another process is at."""
    text = as_text(job)
    try:
        folder.mkdir(exist_ok=True)
        description = folder / "job.json"
        if not description.exists():
            with whole(description, force=True) as part:
                part.write_text(text)
        with _locked(description):
            _refuse_another(folder, json.loads(description.read_text()), json.loads(text))
            yield _Kept(folder)
    except OSError as fault:
        if isinstance(fault, FileExistsError | FileNotFoundError | OutputError):
            raise
        raise OutputError(fault.errno, f"{folder} could not be written: {fault.strerror or fault}") from fault


def _refuse_another(folder: Path, kept: dict[str, Any], wanted: dict[str, Any]) -> None:
    if kept == wanted:
        return
    names = {"input": "another input", "parameters": "other parameters", "version": "another version"}
    what = [said for name, said in names.items() if kept.get(name) != wanted[name]]
    raise FileExistsError(
        errno.EEXIST,
        f"its segments are of {' and '.join(what)}; give the same command as before, or remove that folder",
        str(folder),
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Not on Windows.
        yield
        return
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # It goes with the process, however that ends.
        except OSError as fault:
            raise FileExistsError(
                errno.EEXIST, "another process is at work on these segments; wait for it", str(path.parent)
            ) from fault
        yield


def _filtered(plan: Plan, kept: _Kept, progress: Progress | None) -> dict[str, Any]:
    """Filter what is not in segments yet, and return the report on all frames; the source is read to its end.

    The first result is tried as the output, which may refuse it.
    """
    video, filters = plan.video, pipeline(*plan.filters)
    before = kept.notes["report"]
    with contextlib.closing(iter(video)) as source:
        if kept.notes["ended"]:
            for _ in source:  # When its frames are shown is wanted still, and whether it is whole.
                pass
            return dict(before)
        skipped, surplus = _skipped(kept.done, filters.extent)
        report: dict[str, Any] = {}
        results = filters(_passed_on(source, skipped), report=report)
        for _ in islice(results, surplus):
            pass
        again = {name: report.get(name, 0) for name in _COUNTED}
        if progress is not None:
            results = iter(progress(results, None if video.count is None else max(0, video.count - kept.done)))
        head = list(islice(results, 1))
        if not kept.done:
            kept.begin(report)
            kept.try_as(plan.output, head, video)
        results = chain(head, results)

        def so_far() -> dict[str, Any]:
            return _joined(before, report, again, skipped)

        while kept.add(islice(results, LENGTH), so_far):
            pass
        kept.end(so_far())
        return so_far()


def _skipped(done: int, looked: Extent) -> tuple[range, int]:
    """Return which frames are not to be filtered again, and how many results are there already of those that are.

    The first frames are, for what is estimated on them, and so many before the first result that is missing as that
    depends on. In between, whole periods are left out.
    """
    if looked.before is None:
        return range(0), done
    first = -(-looked.first // looked.period) * looked.period
    again = max(0, done - looked.before) // looked.period * looked.period
    skipped = range(first, again) if again > first else range(0)
    return skipped, done - len(skipped)


def _passed_on(frames: Iterable[Array], skipped: range) -> Generator[Array, None, None]:
    return (frame for index, frame in enumerate(frames) if index not in skipped)


def _joined(before: dict[str, Any], now: dict[str, Any], again: dict[str, int], skipped: range) -> dict[str, Any]:
    """Return a report on all frames, of one on the finished segments and one on what was filtered now."""
    total = {**before, **copy.deepcopy(now)}
    for name in _COUNTED:
        if name in now:
            total[name] = before.get(name, 0) + now[name] - again[name]
    if "cuts" in now:
        true = [cut if not skipped or cut < skipped.start else cut + len(skipped) for cut in now["cuts"]]
        seam = {skipped.stop} if skipped else set()  # There the jump may have seemed a cut.
        total["cuts"] = sorted({*before.get("cuts", ()), *(set(true) - seam)})
    return total
