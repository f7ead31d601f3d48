"""What was done, done again, and looked at again."""

import json
from collections.abc import Callable
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from pde_video import __version__
from pde_video.errors import InputError
from pde_video.jobs.recipes import planned
from pde_video.jobs.registry import names
from pde_video.jobs.run import Progress, sidecar_of
from pde_video.video.files import read
from pde_video.video.outputs import check_distinct
from pde_video.video.pipes import DASH
from pde_video.video.provenance import fingerprint

# What a file may say of how it was made; it may come from anywhere, so nothing else is passed on.
_READING: dict[str, Callable[[Any], Any]] = {
    "start": Fraction,
    "end": Fraction,
    "frames": lambda pair: (int(pair[0]), None if pair[1] is None else int(pair[1])),
    "stream": int,
    "keep_partial": bool,
    "max_pixels": int,
}
_ENCODING: dict[str, Callable[[Any], Any]] = {"codec": str, "crf": int, "lossless": bool}


def rerun(
    out: str | Path,
    *,
    target: str | Path,
    source: str | Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Do again, into `target`, what made the file `out`, by its metadata or the sidecar beside it.

    `source` is where the input is now, if not where it was as seen from the folder of `out`. Returns the report of
    `run`, with ``identical``, whether all frames and timestamps are those of `out`, and ``made_by``, the version that
    made `out`, if it was another.
    """
    out = Path(out)
    check_distinct(out, Path(target))  # There would be nothing left to compare with.
    made = _made(out)
    asked = _asked(out, made)
    if source is None and made.get("input") in (None, DASH):
        raise InputError(f"{out}: it was made from standard input; tell where that is now (--input)")
    source = Path(source or out.parent / str(made["input"]))
    if not source.exists():
        raise FileNotFoundError(2, "the input is not there any more; tell where it is now (--input)", str(source))
    if made.get("sha256") != fingerprint(source):
        raise InputError(f"{source}: it has changed since {out} was made from it; its SHA-256 is another")
    for name, digest in dict(made.get("files") or {}).items():
        if not Path(name).exists():
            raise FileNotFoundError(2, f"{out} was made with this file, which is not there any more", name)
        if digest != fingerprint(Path(name)):
            raise InputError(f"{name}: it has changed since {out} was made with it; its SHA-256 is another")
    report = planned(source, target, **asked, force=force).run(progress)
    if made.get("version") != __version__:
        report["made_by"] = made.get("version")
    return {"input": str(source), **report, "identical": _identical(out, Path(target))}


def verify(path: str | Path) -> dict[str, Any]:
    """Decode a whole file, count its frames, and compare it with what it and its sidecar say; return what was found.

    Raises InputError, which names the first fault.
    """
    path = Path(path)
    video = read(path)
    video.check_unchanged()
    digest = fingerprint(path) if path.exists() else None  # First: what is read then must be the same.
    frames = sum(1 for _ in video)
    if video.count not in (None, frames):
        raise InputError(f"{path}: it declares {video.count} frames, but {frames} can be decoded")
    # Matroska declares no number of frames; reading has compared its duration.
    unnumbered = video.count is None and "duration" in video.details
    declared = {"declared_seconds": video.details["duration"]} if unnumbered else {"declared": video.count}
    facts = {"frames": frames, **declared, "sha256": digest, "sidecar": "none"}
    beside = sidecar_of(path)
    if beside.exists():
        told = _in_sidecar(beside)
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


def _made(out: Path) -> dict[str, Any]:
    made = read(out).details.get("made")
    if not (isinstance(made, dict) and "recipe" in made) and sidecar_of(out).exists():
        made = _in_sidecar(sidecar_of(out))
    if not (isinstance(made, dict) and "recipe" in made):
        raise InputError(f"{out}: neither it nor {sidecar_of(out).name} says how it was made")
    return made


def _in_sidecar(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise InputError(f"{path}: not JSON ({fault})") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: it does not say how a file was made")
    return found


def _asked(out: Path, made: dict[str, Any]) -> dict[str, Any]:
    """Return what a file says of how it was made as parameters of `planned`."""
    try:
        recipe = [dict(one) for one in made["recipe"]]
        if any(one.get("filter") not in names() for one in recipe):
            raise ValueError("a filter that is not known")
        reading = {key: _READING[key](value) for key, value in dict(made.get("reading") or {}).items()}
        encoding = {key: _ENCODING[key](value) for key, value in dict(made.get("encoding") or {}).items()}
    except (ValueError, TypeError, KeyError, IndexError, ArithmeticError) as fault:
        raise InputError(f"{out}: what it says of how it was made cannot be understood ({fault})") from None
    nan, command = str(made.get("nan", "refuse")), made.get("command")
    return {"recipe": recipe, "reading": reading, "encoding": encoding, "nan": nan, "command": command}
