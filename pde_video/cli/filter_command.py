"""The commands that filter from file to file, each built from its filter's declaration on first use."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pde_video.cli.options import EXISTING, one_of, open_range, seconds, show, show_lost
from pde_video.cli.progress import no_progress, shown_progress
from pde_video.cli.text import echo, put
from pde_video.jobs.registry import filter_called, summary_of

if TYPE_CHECKING:
    from pde_video.filters.declarations import Declared
    from pde_video.jobs.run import Plan, Progress

_CODECS = ("h264", "hevc", "vp9", "av1", "ffv1")
_SHARED = (
    click.Option(["--start"], type=seconds, metavar="TIME", help="Start time: seconds, or [HH:]MM:SS[.fraction]."),
    click.Option(["--end"], type=seconds, metavar="TIME", help="End time, exclusive."),
    click.Option(["--frames"], type=open_range, metavar="START:END", help="Frames START to END − 1, counted from 0."),
    click.Option(["--stream"], type=int, metavar="N", help="Video stream, of several, counted from 0."),
    click.Option(["--keep-partial"], is_flag=True, help="Keep the frames before the damage of an input."),
    click.Option(["--max-pixels"], type=int, metavar="N", help="Refuse larger frames.  [default: 268435456]"),
    click.Option(["--isolated"], is_flag=True, help="Decode an untrusted input in a sandboxed process; no sound."),
    click.Option(["--nan"], default="refuse", metavar="WHAT", help="NaN: refuse or mask.  [default: refuse]"),
    click.Option(["--raw"], metavar="WxH:LAYOUT[:RATE]", help="Standard input is raw frames: 640x480:gray16le:25."),
    click.Option(["--raw-output"], is_flag=True, help="Write raw frames, not y4m, to standard output."),
    click.Option(["--codec"], metavar="NAME", shell_complete=one_of(*_CODECS), help=", ".join(_CODECS) + "."),
    click.Option(["--crf"], type=int, metavar="N", help="Quality of a lossy codec; lower is better."),
    click.Option(["--lossless"], is_flag=True, help="Keep every value, or refuse."),
    click.Option(["--sidecar"], is_flag=True, help="Also record in OUT.json how OUT was made."),
    click.Option(["--resume"], is_flag=True, help="Keep finished segments; continue an interrupted run from them."),
    click.Option(["--dry-run"], is_flag=True, help="Process the first frames only; estimate time, size and memory."),
    click.Option(["--threads"], type=int, metavar="N", help="Use N threads.  [default: one for each CPU]"),
    click.Option(["--quiet"], is_flag=True, help="Print errors only (and JSON, if requested)."),
    click.Option(["--force"], is_flag=True, help="Overwrite existing outputs."),
    click.Option(["--json", "as_json"], is_flag=True, help="Print the result as JSON."),
)


class FilterCommand(click.Command):
    """A command from file to file; its filter is loaded on first use."""

    def __init__(self, name: str) -> None:
        super().__init__(name, short_help=summary_of(name))

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Load the filter, and parse the arguments."""
        from pde_video.filters.declarations import declared

        name = str(self.name)
        a_filter = filter_called(name)
        options = {one.name: one for one in declared(a_filter.function).values()}
        self.params = [
            click.Argument(["paths"], nargs=-1, required=True, metavar="IN... OUT", type=EXISTING),
            *map(_click_option, options.values()),
            *_SHARED,
        ]
        text = inspect.cleandoc(a_filter.__doc__ or "").partition("\n\nParameters\n")[0].replace("`", "")
        calls = "\n         ".join(f"pde-video {name} {arguments}" for arguments in a_filter.examples)
        self.help = f"{text}\n\n\b\nExample: {calls}"

        def callback(paths: tuple[str, ...], **given: Any) -> None:
            chosen = {key: given.pop(key) for key in options}
            recipe = {
                key: value for key, value in chosen.items() if value is not None and value is not options[key].default
            }
            for key in recipe.keys() & {key for key, one in options.items() if one.option.file}:
                named = isinstance(recipe[key], str) and recipe[key] not in options[key].option.choices
                if named and (os.path.exists(recipe[key]) or not options[key].option.choices):
                    recipe[key] = os.path.abspath(recipe[key])  # So that it can be repeated from another folder.
            _carry_out(paths, [{"filter": name, **recipe}], **given)

        self.callback = callback
        return super().make_context(*args, **kwargs)


def _pair(text: str) -> list[float]:
    one, other = text.split(",")
    return [float(one), float(other)]


_READERS: dict[str, Any] = {"pair of numbers": _pair, "whole number": int, "number": float, "text": str, "file": str}


def _plain(kinds: tuple[str, ...]) -> Callable[[str], Any]:
    """Return a parser of text as a value of the first of several kinds that fits."""

    def read(text: str) -> Any:
        for kind, reader in _READERS.items():
            if kind in kinds:
                with contextlib.suppress(ValueError):
                    return reader(text)
        raise click.BadParameter(f"{text!r} is not a {' or '.join(kinds)}")

    return read


def _click_option(one: Declared) -> click.Option:
    name = "--" + one.name.replace("_", "-")
    if one.kinds == ("true or false",):
        both = f"{name}/--no-{name[2:]}" if one.default else name
        return click.Option([both, one.name], is_flag=True, default=one.default, help=one.help)
    standard = one.standard if one.default is None else f" [default: {one.default}]"
    text = f"{one.help.rstrip('.')}: {', '.join(one.option.choices)}." if one.option.choices else one.help
    options: dict[str, Any] = {"type": EXISTING if one.kinds == ("file",) else _plain(one.kinds)}
    if one.option.choices:
        options["shell_complete"] = one_of(*one.option.choices)
    options |= {"required": one.required, "help": f"{text} {standard}".strip(), "metavar": _metavar(one)}
    return click.Option([name, one.name], **options)


def _metavar(one: Declared) -> str:
    if one.kinds == ("file",):
        return "FILE"
    if "text" in one.kinds and "number" not in one.kinds:
        return "NAME"
    units = {"pixels": "PIXELS", "pixels²": "T", "frames": "N"}
    return units.get(one.option.unit, "N" if one.kinds == ("whole number",) else "X")


@click.command("pipeline")
@click.argument("recipe", metavar="FILE.toml", type=EXISTING)
@click.argument("paths", nargs=-1, required=True, metavar="IN... OUT", type=EXISTING)
def pipeline(recipe: str, paths: tuple[str, ...], **shared: Any) -> None:
    """Apply the filters listed in FILE.toml to IN and write OUT, in one pass.

    \b
    FILE.toml:  [[filter]]
                name = "denoise"
                preset = "best"
                [[filter]]
                name = "resize"
                height = 360
                width = 640
    \b
    Example: pde-video pipeline FILE.toml in.mp4 out.mp4
             pde-video pipeline FILE.toml in.mp4 out.mkv --lossless
             pde-video schema > filters.schema.json
    """
    from pde_video.jobs.recipes import recipe_in

    _carry_out(paths, recipe_in(recipe), besides=[recipe], **shared)


pipeline.params += _SHARED


@click.command("schema")
def schema() -> None:
    """Print the JSON Schema of the recipe files that `pipeline` takes.

    \b
    Example: pde-video schema > filters.schema.json
    """
    import json

    from pde_video.jobs.recipes import json_schema

    put(json.dumps(json_schema(), indent=1, ensure_ascii=False))


def _carry_out(
    paths: Sequence[str],
    recipe: list[dict[str, Any]],
    *,
    besides: Sequence[str] = (),
    nan: str,
    raw_output: bool,
    sidecar: bool,
    resume: bool,
    dry_run: bool,
    threads: int | None,
    quiet: bool,
    force: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Apply a recipe to each input, and print the reports."""
    from pde_video.errors import ParameterError
    from pde_video.jobs.recipes import planned
    from pde_video.jobs.trial import dry_run as tried
    from pde_video.threads import set_num_threads
    from pde_video.video.pipes import is_standard

    if dry_run and "-" in paths:
        raise ParameterError("a dry run reads the input twice and measures a file; name files instead of '-'")
    if resume and "-" in paths:
        raise ParameterError("a run on standard input or output cannot be continued; name files, or leave out --resume")
    if threads is not None:
        set_num_threads(threads)
    reading = {key: value for key, value in choices.items() if value is not None and value is not False}
    encoding: dict[str, Any] = {key: reading.pop(key) for key in ("codec", "crf", "lossless") if key in reading}
    encoding |= {"raw": True} if raw_output else {}
    told = {"nan": nan, "command": click.get_current_context().find_root().obj["command"]}
    asked: dict[str, Any] = {"reading": reading, "encoding": encoding, **told, "force": force, "sidecar": sidecar}
    asked |= {"resume": resume and not dry_run, "settle": not dry_run}
    pairs, folder = _pairs(paths)
    asked["besides"] = [*besides, *(source for source, _ in pairs)]  # No output may replace any of these.
    progress: Progress = no_progress if quiet else shown_progress
    with _created(folder):
        plans = [planned(*pair, recipe, **asked) for pair in pairs]  # All are checked before the first begins.
        for (source, target), plan in zip(pairs, plans, strict=True):
            for line in () if quiet else plan.beforehand:
                echo(line, err=True)
            if dry_run:
                report = tried(plan)
            elif resume:
                report = _resumed(plan, progress)
            else:
                report = plan.run(progress)
            if report.get("closed_early"):
                continue  # The reader has closed the pipe.
            if report.get("lost"):
                show_lost(report["lost"])
            if not quiet:
                for note in _notes(report):
                    if note not in plan.beforehand:
                        echo(note, err=True)
            if not as_json:  # These were told.
                report = {name: report[name] for name in report if name not in ("lost", "not_copied", "warnings")}
            if as_json or not quiet:
                show({"input": str(source), "output": str(target), **report}, as_json, err=is_standard(target))


def _resumed(plan: Plan, progress: Progress) -> dict[str, Any]:
    from pde_video.jobs.resuming import run_in_segments
    from pde_video.jobs.segment_folder import finished_frames, folder_of

    try:
        return run_in_segments(plan, progress)
    except FileExistsError:
        raise
    except BaseException:
        target = plan.output.path
        if frames := finished_frames(target):
            kept = f"{frames} finished frames are in {folder_of(target)}"
            echo(f"{kept}; run the same command again to continue", err=True)
        raise


def _pairs(paths: Sequence[str]) -> tuple[list[tuple[str | Path, str | Path]], Path | None]:
    """Return each input with its output, and the folder of the outputs, if a folder was named."""
    from pde_video.errors import ParameterError
    from pde_video.video.files import format_of

    *sources, out = paths
    if out.rstrip("/").lower().endswith(".zarr"):  # A folder, but one output.
        out = out.rstrip("/")
    if not sources:
        raise click.UsageError("Missing argument 'OUT': name one or more inputs, then the output.")
    known = False
    with contextlib.suppress(ParameterError):
        known = bool(format_of(Path(out)))
    if len(sources) == 1 and not out.endswith(("/", os.sep)) and (known or not os.path.isdir(out)):
        source, target = (text if text == "-" else Path(text) for text in (sources[0], out))
        return [(source, target)], None
    if "-" in paths:
        raise ParameterError("standard input and output carry one video; name files")
    names = [Path(source).name for source in sources]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ParameterError(f"several inputs are called {', '.join(sorted(twice))}; write them to separate folders")
    if len(sources) > 1 and not out.endswith(("/", os.sep)) and not os.path.isdir(out):
        raise ParameterError(f"{out} is not a folder, which several inputs need; write {out}/ to create it")
    return [(Path(source), Path(out, name)) for source, name in zip(sources, names, strict=True)], Path(out)


@contextlib.contextmanager
def _created(folder: Path | None) -> Iterator[None]:
    """Create the folder for outputs, and remove it again if it stays empty."""
    from pde_video.errors import OutputError

    if folder is None or os.path.isdir(folder):
        yield
        return
    try:
        folder.mkdir()
    except OSError as fault:
        raise OutputError(fault.errno, f"the folder {folder} cannot be created: {fault.strerror}") from fault
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # Fails if there is an output in it.


def _notes(report: dict[str, Any]) -> Iterator[str]:
    """Yield what the user should know, line by line."""
    if report.get("sigma") == 0:
        yield "no noise was found in the first frames, so nothing was changed; give --sigma if there is noise"
    if report.get("not_copied"):
        yield f"not in the output: {', '.join(map(str, report['not_copied']))}"
    yield from report.get("warnings", ())
