"""What is to be done with which file, and doing it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pde_video import __version__
from pde_video.errors import OutputError, ParameterError
from pde_video.filters.filter import pipeline
from pde_video.jobs.recipes import build, files_of
from pde_video.jobs.run import Plan, Progress, prepared
from pde_video.video.outputs import check_output, whole
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

    def prepare(self, force: bool = False, sidecar: bool = False) -> Plan:
        """Return the run, ready to begin: the recipe is built, the outputs are checked, the input is open."""
        filters = self.filters()
        if sidecar:
            if is_standard(self.target):
                raise ParameterError("standard output has no file beside it; name an output, or leave out --sidecar")
            check_output(sidecar_of(Path(self.target)), force)
        plan = prepared(self.source, self.target, *filters, force=force, reading=self.reading, encoding=self.encoding)
        source = Path(self.source)
        digest = {"sha256": fingerprint(source)} if sidecar and source.exists() else {}
        return replace(plan, made=self.made() | digest)


def run_job(
    job: Job,
    *,
    force: bool = False,
    progress: Progress | None = None,
    sidecar: bool = False,
    plan: Plan | None = None,
) -> dict[str, Any]:
    """Do it; return the report of `run`. With `sidecar`, write how it was made to OUT.json as well.

    A `plan` is what `job.prepare` returned, if it was called before.
    """
    plan = plan or job.prepare(force, sidecar)
    report = plan.run(progress)
    if sidecar:
        write_sidecar(job, report, plan.made.get("sha256"), force)
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
