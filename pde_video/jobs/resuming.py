"""Resumable runs: filtered frames are kept in segments, so that an interrupted run continues from them.

Segments hold filtered frames without loss. When all are there, they are encoded in one go, so that the output is that
of a run that was never interrupted, byte for byte.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pde_video import __version__
from pde_video.errors import InputError
from pde_video.filters.extent import Extent
from pde_video.filters.filter import pipeline
from pde_video.jobs.notes import COUNTED, Notes
from pde_video.jobs.run import Plan, Progress
from pde_video.jobs.segment_folder import Segments, folder_of, is_that_of, opened, refused
from pde_video.protocols import Array
from pde_video.video.files import write_checked
from pde_video.video.leftovers import remove_dead
from pde_video.video.outputs import reported
from pde_video.video.provenance import fingerprint, fingerprint_of_input, plain

LENGTH = 50  # Frames in a segment: what is lost at most.
_MAY_DIFFER = ("input", "encoding", "command")  # The input is known by its hash, and segments are not encoded yet.


def run_in_segments(plan: Plan, progress: Progress | None = None) -> dict[str, Any]:
    """Do what `plan.run` does, going on from the segments that an interrupted call with the same plan has left."""
    facts, source, target = plan.facts(), plan.video.path, plan.output.path
    parameters = {name: value for name, value in plan.made.items() if name not in _MAY_DIFFER}
    source_print = facts["sha256"] or _fingerprint(source)
    job = {"version": __version__, "input": source_print, "parameters": plain(parameters)}
    with opened(folder_of(target), job) as kept:
        if is_that_of(kept.notes, target):
            report = dict(kept.notes.full_report)
            said = ["the output was already complete: an earlier run was killed before it removed its segments"]
            remove_dead(target.parent)  # Nothing is written, which would do this.
        else:
            said = [line] if (line := kept.verify()) else []
            done = kept.notes.done
            report = _filtered(plan, kept, progress)
            if done:
                report["continued"] = f"after frame {done} of {kept.notes.done}"
            facts["report"] = kept.notes.first

            def note_output(temporary: Path) -> None:
                full = plain(plan.full_report(dict(report), kept.notes.done))
                with reported(target):
                    output = fingerprint(temporary)
                kept.note(replace(kept.notes, output=output, full_report=full))

            frames = kept.frames()
            written = write_checked(
                plan.output, frames, like=plan.like, made=facts, report=report, before_commit=note_output
            )
            report = plan.full_report(report, written)
        plan.write_sidecar(report, facts["sha256"])
        if said := [*said, *kept.remove()]:
            report["warnings"] = [*report.get("warnings", []), *said]
    return report


def _fingerprint(source: Path) -> str:
    """Return the SHA-256 of a source by which segments know it, however much of it is wanted."""
    try:
        return fingerprint_of_input(source)
    except InputError as fault:
        remedy = "leave it out, or restore the file"
        raise InputError(f"{fault}; --resume knows the input by its SHA-256: {remedy}") from fault


def _filtered(plan: Plan, kept: Segments, progress: Progress | None) -> dict[str, Any]:
    """Filter what is not in segments yet, and return the report on all frames; the source is read to its end.

    The first result is tried as the output, which may refuse it.
    """
    count, filters, done = plan.timing.count, pipeline(*plan.filters), kept.notes.done
    before = kept.notes.report
    with contextlib.closing(iter(plan.video)) as source:
        if kept.notes.ended:
            deque(source, maxlen=0)  # When its frames are shown is wanted still, and whether it is whole.
            return dict(before)
        skipped, surplus = _skipped(done, filters.extent)
        report: dict[str, Any] = {}
        results = plan.filtered(_without(source, skipped, kept), report)
        if sum(1 for _ in islice(results, surplus)) < surplus:
            raise _too_many(kept)
        again = {name: report.get(name, 0) for name in COUNTED}
        if progress is not None:
            results = iter(progress(results, None if count is None else max(0, count - done)))
        head = next(results, None)
        if not done:
            kept.note(Notes(kept.notes.job, first=plain(report)))  # Before further frames add to it.
            _try_as_output(plan, kept, [] if head is None else [head])
        elif head is None:
            raise _too_many(kept)

        def so_far() -> dict[str, Any]:
            return _joined(before, report, again, skipped)

        while head is not None:
            head = _add_segment(kept, head, results, so_far)
        return so_far()


def _try_as_output(plan: Plan, kept: Segments, head: list[Array]) -> None:
    """Write a first frame as the output would be, so that what cannot be is refused before all the work."""
    details = {key: value for key, value in plan.video.details.items() if key != "stream_index"}  # Without sound.
    tried = replace(plan.output, path=kept.folder / plan.output.path.name)

    def give_up(temporary: Path) -> None:
        raise _Tried

    with contextlib.suppress(_Tried):
        write_checked(tried, head, like=replace(plan.like, details=details), before_commit=give_up)


class _Tried(Exception):
    """A trial is complete, and is not put in place."""


def _add_segment(
    kept: Segments, head: Array, results: Iterator[Array], so_far: Callable[[], dict[str, Any]]
) -> Array | None:
    """Write and note a segment that begins with `head`; return the first frame after it."""
    segment = kept.write(chain([head], islice(results, LENGTH - 1)))
    report, ended = plain(so_far()), False
    try:
        following = next(results, None)
        if following is None:  # Noted together with the segment: the filters would refuse to be given no frame.
            report, ended = plain(so_far()), True
    finally:
        kept.note(kept.notes.with_segment(segment, report, ended))
    return following


def _without(source: Iterable[Array], skipped: range, kept: Segments) -> Iterator[Array]:
    """Yield the frames but those skipped, of which there must be as many as segments say."""
    count = 0
    for count, frame in enumerate(source, 1):
        if count - 1 not in skipped:
            yield frame
    if count < skipped.stop:
        raise _too_many(kept)


def _too_many(kept: Segments) -> FileExistsError:
    more = f"its segments hold {kept.notes.done} frames, more than this run produces"
    return refused(kept.folder, f"{more}; remove that folder")


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
    for name in COUNTED:
        if name in now:
            total[name] = before.get(name, 0) + now[name] - again[name]
    if "cuts" in now:
        true = [cut if not skipped or cut < skipped.start else cut + len(skipped) for cut in now["cuts"]]
        seam = {skipped.stop} if skipped else set()  # There the jump may have seemed a cut.
        total["cuts"] = sorted({*before.get("cuts", ()), *(set(true) - seam)})
    if said := list(dict.fromkeys([*before.get("warnings", ()), *now.get("warnings", ())])):
        total["warnings"] = said
    return total
