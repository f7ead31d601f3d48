"""Repeating and verifying runs."""

import os
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from pde_video import __version__
from pde_video.errors import InputError, ParameterError
from pde_video.jobs.recipes import planned
from pde_video.jobs.recorded import check_files, check_inside, in_sidecar, recorded
from pde_video.jobs.run import Plan, Progress, sidecar_of
from pde_video.video.files import read
from pde_video.video.formats import checked_output
from pde_video.video.inputs import check_input
from pde_video.video.outputs import check_distinct
from pde_video.video.pipes import DASH
from pde_video.video.provenance import fingerprint_of_input
from pde_video.video.sequences import is_pattern

_NAMED = "name it with --input (source=), or trust the file with --trust (trust=True)"


@dataclass(frozen=True)
class Repetition:
    """A run that is ready to be done again."""

    out: Path
    plan: Plan
    made_by: str | None  # The version that made `out`, if it was another.

    def __str__(self) -> str:
        return ", ".join(map(str, (self.plan.video.path, *self.plan.filters)))

    def run(self, progress: Progress | None = None) -> dict[str, Any]:
        """Do it again, and return the report, with whether the result is that of before."""
        report = self.plan.run(progress)
        if self.made_by is not None:
            report["made_by"] = self.made_by
        return {
            "input": str(self.plan.video.path),
            **report,
            "identical": _identical(self.out, self.plan.output.path),
        }


def repetition(
    out: str | Path, *, target: str | Path, source: str | Path | None = None, force: bool = False, trust: bool = False
) -> Repetition:
    """Return the run that made the file `out`, by its metadata or the sidecar beside it, ready to begin into `target`.

    `source` is where the input is now, if not where it was as seen from the folder of `out`. Anyone may have written
    what the file says. So, unless you `trust` it, nothing outside its folder is read but a `source` that you name, and
    numbers that would make a run endless are refused.
    """
    out, target = Path(out), Path(target)
    check_distinct(target, [out])  # There would be nothing left to compare with.
    found = recorded(out, trust=trust)
    if source is None:
        if found.input in (None, DASH):
            raise InputError(f"{out}: it was made from standard input; name a file with the same content (--input)")
        source = out.parent / str(found.input)
        if not trust:
            check_inside(out, source, "its input", _NAMED)
    source = Path(source)
    if is_pattern(source):
        raise InputError(f"{out}: it was made from a sequence of pictures, {source.name}, which cannot be repeated")
    try:
        check_input(source)
    except FileNotFoundError:
        said = "the input no longer exists; say where it is now (--input)"
        raise FileNotFoundError(2, said, str(source)) from None
    if found.sha256 is None:
        raise InputError(f"{out}: the SHA-256 of its input was not recorded, so it cannot be repeated")
    if found.sha256 != fingerprint_of_input(source):
        raise InputError(f"{source}: it has changed since {out} was made from it; its SHA-256 differs")
    check_files(out, found, trust=trust)
    checked_output(target, sources=[source], force=force)  # A fault of the target is not one of what the file says.
    made: dict[str, Any] = {name: getattr(found, name) for name in ("reading", "encoding", "nan", "command")}
    try:
        plan = planned(source, target, found.recipe, **made, force=force)
    except ParameterError as fault:
        raise InputError(f"{out}: its recorded run cannot be repeated ({fault})") from None
    version = None if found.version is None else str(found.version)
    return Repetition(out, plan, None if version == __version__ else version)


def rerun(
    out: str | Path,
    *,
    target: str | Path,
    source: str | Path | None = None,
    force: bool = False,
    trust: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Do again, into `target`, what made the file `out`; the parameters are those of `repetition`.

    Returns the report of `run`, with ``identical``, whether all frames and timestamps are those of `out`, and
    ``made_by``, the version that made `out`, if it was another.
    """
    return repetition(out, target=target, source=source, force=force, trust=trust).run(progress)


def verify(path: str | Path, *, isolated: bool = False) -> dict[str, Any]:
    """Decode a whole file, check it against what it declares and against its sidecar; return the results.

    `isolated` is that of `read`. Raises InputError, which names the first fault.
    """
    path = Path(path)
    video = read(path, isolated=isolated)
    video.check_unchanged()
    digest = fingerprint_of_input(path) if path.exists() else None  # First: what is read then must be the same.
    frames = sum(1 for _ in video)
    # Matroska declares no number of frames; reading has compared its duration.
    unnumbered = video.count is None and "duration" in video.details
    declared = {"declared_seconds": video.details["duration"]} if unnumbered else {"declared": video.count}
    facts = {"frames": frames, **declared, "sha256": digest, "sidecar": "none"}
    beside = sidecar_of(path)
    if os.path.lexists(beside):
        told = in_sidecar(beside)
        written = told["report"].get("frames") if isinstance(told.get("report"), dict) else None
        if written not in (None, frames):
            raise InputError(f"{path}: {beside.name} says that {written} frames were written, but it has {frames}")
        if told.get("output_sha256") not in (None, digest):
            raise InputError(f"{path}: it has changed since it was written; {beside.name} has another SHA-256")
        facts["sidecar"] = "agrees"
    return facts


def _identical(one: Path, other: Path) -> bool:
    """Tell whether two files hold the same video; encoders need not write the same bytes for it."""
    videos = read(one), read(other)
    same = all(
        a is not None and b is not None and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip_longest(*videos)
    )
    return same and videos[0].timestamps == videos[1].timestamps
