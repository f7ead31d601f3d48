"""Long jobs in segments that are kept: what was done before an interruption is not done again.

Segments hold filtered frames without loss. When all are there, they are encoded in one go, so that the output is that
of a run that was never interrupted, byte for byte.
"""

import contextlib
import errno
import json
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.filters.extent import Extent
from pde_video.filters.filter import pipeline
from pde_video.jobs.run import Plan, Progress
from pde_video.protocols import Array
from pde_video.video.files import read, write, write_checked
from pde_video.video.outputs import reported, whole
from pde_video.video.provenance import as_text, plain

LENGTH = 50  # Frames in a segment: what is lost at most.
_COUNTED = ("saturated", "missing")  # What reports add up over the frames.
_MAY_DIFFER = ("input", "encoding", "command")  # The input is known by its hash, and segments are not encoded yet.


def folder_of(target: Path) -> Path:
    """Return where the segments of an output are kept until it is whole."""
    return target.with_name(f"{target.name}.segments")


def finished_frames(target: Path) -> int:
    """Return how many frames of an output are in finished segments."""
    return _Kept(folder_of(target)).done


def run_in_segments(plan: Plan, progress: Progress | None = None) -> dict[str, Any]:
    """Do what `plan.run` does, going on from the segments that an interrupted call with the same plan has left."""
    facts = plan.facts()
    folder = folder_of(plan.output.path)
    parameters = {name: value for name, value in plan.made.items() if name not in _MAY_DIFFER}
    with _opened(folder, {"input": facts["sha256"], "parameters": plain(parameters)}) as kept:
        report = _filtered(plan, kept, progress)
        facts["report"] = kept.notes["first"]
        written = write_checked(plan.output, kept.frames(), like=plan.video, made=facts, report=report)
    shutil.rmtree(folder)
    return plan.completed(report, written, facts["sha256"])


class _Kept:
    """A folder of finished segments, and notes on them."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._notes_file = folder, folder / "notes.json"
        self.notes: dict[str, Any] = {"lengths": [], "first": {}, "report": {}, "ended": False}
        if self._notes_file.exists():
            self.notes = json.loads(self._notes_file.read_text())

    @property
    def done(self) -> int:
        """The number of frames in finished segments."""
        return sum(self.notes["lengths"])

    def try_as_output(self, plan: Plan, head: list[Array]) -> None:
        """Write a first frame as the output would be, so that what cannot be is refused before all the work."""
        details = {key: value for key, value in plan.video.details.items() if key != "stream_index"}
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            once = replace(plan.output, path=Path(folder, plan.output.path.name))
            write_checked(once, head, like=replace(plan.video, details=details))  # One frame, without sound.

    def add(self, frames: Iterator[Array], report: Callable[[], dict[str, Any]]) -> int:
        """Write one more segment, and then what `report` returns; return its length."""
        head = next(frames, None)
        if head is None:
            return 0
        by_ffv1 = head.dtype in (np.uint8, np.uint16) and (head.ndim == 2 or head.shape[2] == 3)
        name = f"{len(self.notes['lengths']):06d}{'.avi' if by_ffv1 else '.npy'}"
        self.notes["lengths"].append(write(self._folder / name, chain([head], frames), force=True))
        self.note(report=report())
        return self.notes["lengths"][-1]

    def frames(self) -> Iterator[Array]:
        """Yield the frames of all segments."""
        for number in range(len(self.notes["lengths"])):
            yield from read(next(self._folder.glob(f"{number:06d}.*")))

    def note(self, **facts: Any) -> None:
        """Write down how things are."""
        self.notes.update(plain(facts))
        with whole(self._notes_file, force=True) as part:
            part.write_text(json.dumps(self.notes, default=str))


@contextlib.contextmanager
def _opened(folder: Path, job: dict[str, Any]) -> Iterator[_Kept]:
    """Give the segments of this job; refuse those of another one, or of one that another process is at."""
    description, text = folder / "job.json", as_text(job)
    with reported(folder):
        folder.mkdir(exist_ok=True)
        if not description.exists():
            with whole(description, force=True) as part:
                part.write_text(text)
        with _locked(description):
            kept, wanted = json.loads(description.read_text()), json.loads(text)
            names = {"input": "another input", "parameters": "other parameters", "version": "another version"}
            if another := " and ".join(said for name, said in names.items() if kept.get(name) != wanted[name]):
                advice = "give the same command as before, or remove that folder"
                raise FileExistsError(errno.EEXIST, f"its segments are of {another}; {advice}", str(folder))
            yield _Kept(folder)


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
    count, filters = plan.video.count, pipeline(*plan.filters)
    before = kept.notes["report"]
    with contextlib.closing(iter(plan.video)) as source:
        if kept.notes["ended"]:
            deque(source, maxlen=0)  # When its frames are shown is wanted still, and whether it is whole.
            return dict(before)
        skipped, surplus = _skipped(kept.done, filters.extent)
        report: dict[str, Any] = {}
        wanted = (frame for index, frame in enumerate(source) if index not in skipped)
        results = filters(wanted, report=report)
        deque(islice(results, surplus), maxlen=0)
        again = {name: report.get(name, 0) for name in _COUNTED}
        if progress is not None:
            results = iter(progress(results, None if count is None else max(0, count - kept.done)))
        head = list(islice(results, 1))
        if not kept.done:
            kept.note(first=report)  # Before further frames add to it.
            kept.try_as_output(plan, head)
        results = chain(head, results)

        def so_far() -> dict[str, Any]:
            return _joined(before, report, again, skipped)

        while kept.add(islice(results, LENGTH), so_far):
            pass
        kept.note(report=so_far(), ended=True)
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


def _joined(before: dict[str, Any], now: dict[str, Any], again: dict[str, int], skipped: range) -> dict[str, Any]:
    """Return a report on all frames, of one on the finished segments and one on what was filtered now."""
    total = {**before, **now}
    for name in _COUNTED:
        if name in now:
            total[name] = before.get(name, 0) + now[name] - again[name]
    if "cuts" in now:
        true = [cut if not skipped or cut < skipped.start else cut + len(skipped) for cut in now["cuts"]]
        seam = {skipped.stop} if skipped else set()  # There the jump may have seemed a cut.
        total["cuts"] = sorted({*before.get("cuts", ()), *(set(true) - seam)})
    return total
