"""What is to be done with which file, and doing it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pde_video import __version__
from pde_video.errors import OutputError, ParameterError
from pde_video.filters.filter import pipeline
from pde_video.jobs.recipes import build, files_of
from pde_video.jobs.run import run
from pde_video.video.files import format_of, read
from pde_video.video.outputs import check_distinct, check_output, whole
from pde_video.video.pipes import DASH, is_standard
from pde_video.video.provenance import fingerprint, plain

ON_MISSING = ("refuse", "mask")


@dataclass(frozen=True)
class Job:
    """A source, a target, and what is done in between.

    Attributes
    ----------
    source, target : str or Path
        As for `run`.
    recipe : sequence of dict
        As for `recipes.build`.
    reading, encoding : dict
        Keyword arguments for `read` and `write`.
    nan : {"refuse", "mask"}
        What to do with values that are not finite.
    command : str, optional
        How it was asked for, for the output's metadata.
    """

    source: str | Path
    target: str | Path
    recipe: Sequence[Mapping[str, Any]] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)
    encoding: Mapping[str, Any] = field(default_factory=dict)
    nan: str = "refuse"
    command: str | None = None

    def filters(self) -> list[Callable[..., Any]]:
        """Return the filters of the recipe."""
        filters: list[Callable[..., Any]] = [*build(self.recipe)]
        if self.nan not in ON_MISSING:
            raise ParameterError(f"nan is {self.nan!r}; it must be one of {', '.join(ON_MISSING)}")
        if self.nan == "refuse":
            return filters
        from pde_video.filters.masked import masking

        return [masking(filters[0] if len(filters) == 1 else pipeline(*filters))]

    def made(self) -> dict[str, Any]:
        """Return what the output's metadata are to say, from which `rerun` can do it again."""
        told = {"recipe": list(map(dict, self.recipe)), "reading": dict(self.reading), "encoding": dict(self.encoding)}
        files = {str(path): fingerprint(path) for path in files_of(self.recipe)}
        return {"input": self._input(), **told, "files": files, "nan": self.nan, "command": self.command}

    def _input(self) -> str:
        """Return the source's name as seen from the output's folder, so that both may be moved together."""
        if is_standard(self.source):
            return DASH
        folder = Path() if is_standard(self.target) else Path(self.target).parent
        try:
            return Path(os.path.relpath(self.source, folder)).as_posix()
        except ValueError:  # On another drive.
            return str(Path(self.source).absolute())

    def check(self, force: bool, sidecar: bool = False, *, opening: bool = False) -> None:
        """Raise what can be known beforehand: a recipe or output that will not do and, with `opening`, an input."""
        self.filters()
        if opening and not is_standard(self.source):
            read(self.source, **self.reading)
        if is_standard(self.target):
            if sidecar:
                raise ParameterError("standard output has no file beside it; name an output, or leave out --sidecar")
            return
        target = Path(self.target)
        format_of(target)
        if not is_standard(self.source):
            check_distinct(Path(self.source), target)
        check_output(target, force)
        if sidecar:
            check_output(sidecar_of(target), force)


def run_job(
    job: Job,
    *,
    force: bool = False,
    progress: Callable[..., Any] | None = None,
    sidecar: bool = False,
) -> dict[str, Any]:
    """Do it; return the report of `run`. With `sidecar`, write how it was made to OUT.json as well."""
    job.check(force, sidecar)
    digest = fingerprint(Path(job.source)) if sidecar and Path(job.source).exists() else None
    report = run(
        job.source,
        job.target,
        *job.filters(),
        force=force,
        progress=progress,
        reading=job.reading,
        encoding=job.encoding,
        made=job.made() | ({"sha256": digest} if sidecar else {}),
    )
    if sidecar:
        write_sidecar(job, report, digest, force)
    return report


def sidecar_of(target: Path) -> Path:
    """Return the name of the file that says how another was made."""
    return target.with_name(f"{target.name}.json")


def write_sidecar(job: Job, report: Mapping[str, Any], digest: str | None, force: bool) -> None:
    """Write how the output was made, with the SHA-256 of the input, which is `digest`, and of the output."""
    target = Path(job.target)
    facts = {
        "version": __version__,
        **job.made(),
        "sha256": digest,
        "output": target.name,
        "output_sha256": fingerprint(target) if target.exists() else None,
        "report": dict(report),
    }
    path = sidecar_of(target)
    with whole(path, force) as temporary:
        try:
            temporary.write_text(json.dumps(plain(facts), indent=1, default=str, allow_nan=False) + "\n")
        except OSError as fault:
            raise OutputError(fault.errno, f"{path} could not be written: {fault.strerror}") from fault
