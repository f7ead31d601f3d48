"""The commands that filter, each made of the filter's declaration when it is used."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from pde_video.cli.options import EXISTING, one_of
from pde_video.cli.running import SHARED, carry_out
from pde_video.jobs.registry import filter_called, summary_of

if TYPE_CHECKING:
    from pde_video.filters.declarations import Declared


class FilterCommand(click.Command):
    """A command that goes from file to file; nothing of its filter is loaded before it is used."""

    def __init__(self, name: str) -> None:
        super().__init__(name, short_help=summary_of(name))

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Load the filter, and parse."""
        if not self.params:
            self._load()
        return super().make_context(*args, **kwargs)

    def _load(self) -> None:
        from pde_video.filters.declarations import declared

        name = str(self.name)
        a_filter = filter_called(name)
        options = {one.name: one for one in declared(a_filter.function).values()}
        self.params = [
            click.Argument(["paths"], nargs=-1, required=True, metavar="IN... OUT", type=EXISTING),
            *map(_click_option, options.values()),
            *SHARED,
        ]
        text = inspect.cleandoc(a_filter.__doc__ or "").partition("\n\nParameters\n")[0].replace("`", "")
        calls = "\n         ".join(f"pde-video {name} {arguments}" for arguments in a_filter.examples)
        self.help = f"{text}\n\n\b\nExample: {calls}"

        def callback(paths: tuple[str, ...], **given: Any) -> None:
            chosen = {key: given.pop(key) for key in options}
            recipe = {key: value for key, value in chosen.items() if value is not None and value is not False}
            for key in recipe.keys() & {key for key, one in options.items() if one.option.file}:
                if isinstance(recipe[key], str) and recipe[key] not in options[key].option.choices:
                    recipe[key] = os.path.abspath(recipe[key])  # For whoever repeats it from somewhere else.
            carry_out(paths, [{"filter": name, **recipe}], **given)

        self.callback = callback


def _pair(text: str) -> list[float]:
    one, other = text.split(",")
    return [float(one), float(other)]


_READERS: dict[str, Any] = {"pair of numbers": _pair, "whole number": int, "number": float, "text": str, "file": str}


def _plain(kinds: tuple[str, ...]) -> Callable[[str], Any]:
    """Return what reads a text as a value of the first of several kinds that it can be."""

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
        return click.Option([name, one.name], is_flag=True, help=one.help)
    standard = one.standard if one.default is None else f" [default: {one.default}]"
    text = f"{one.help.rstrip('.')}: {', '.join(one.option.choices)}." if one.option.choices else one.help
    options: dict[str, Any] = {"type": EXISTING} if one.kinds == ("file",) else {"type": _plain(one.kinds)}
    if one.option.choices:
        options["shell_complete"] = one_of(*one.option.choices)
    help_text = f"{text} {standard}".strip()
    return click.Option([name, one.name], required=one.required, help=help_text, metavar=_metavar(one), **options)


def _metavar(one: Declared) -> str:
    if one.kinds == ("file",):
        return "FILE"
    if "text" in one.kinds and "number" not in one.kinds:
        return "NAME"
    return {"pixels": "PIXELS", "pixels²": "T", "frames": "N"}.get(
        one.option.unit, "N" if one.kinds == ("whole number",) else "X"
    )


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
    from pde_video.jobs.recipes import from_toml

    carry_out(paths, from_toml(recipe), **shared)


pipeline.params += SHARED


@click.command("schema")
def schema() -> None:
    """Print the JSON Schema of the recipe files that `pipeline` takes.

    \b
    Example: pde-video schema > filters.schema.json
    """
    import json

    from pde_video.jobs.recipes import json_schema

    click.echo(json.dumps(json_schema(), indent=1, ensure_ascii=False))
