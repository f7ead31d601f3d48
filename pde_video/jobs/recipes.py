"""Recipes: filters by name with plain options, as the command line, TOML files and outputs tell them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pde_video.errors import InputError, ParameterError
from pde_video.filters.declarations import declared, from_plain, schema
from pde_video.filters.filter import Configured, pipeline
from pde_video.filters.masked import masking
from pde_video.jobs.json_and_toml import toml_in
from pde_video.jobs.registry import filter_called, names
from pde_video.jobs.run import Plan, prepared
from pde_video.video.inputs import check_input
from pde_video.video.pipes import DASH, is_standard
from pde_video.video.provenance import fingerprint_of_input
from pde_video.video.stills import is_pattern

Recipe = Sequence[Mapping[str, Any]]
ON_MISSING = ("refuse", "mask")


def build(recipe: Recipe) -> list[Configured]:
    """Return the filters of a recipe: of each {"filter": "heat", "time": 2.0} one; of an empty recipe none.

    Raises ParameterError, which names what is allowed, for a filter or option that is not known, an option of another
    type or out of range, or one that is missing.
    """
    if isinstance(recipe, (str, Mapping)) or not all(isinstance(one, Mapping) for one in recipe):
        raise ParameterError(f"a recipe is a list of filters, each with its options by name; got {recipe!r}")
    filters = []
    for one in recipe:
        a_filter = filter_called(one.get("filter"))
        options = {name: value for name, value in one.items() if name != "filter"}
        filters.append(a_filter(**from_plain(a_filter.function, options, str(one["filter"]))))
    return filters


def planned(
    source: str | Path,
    target: str | Path,
    recipe: Recipe = (),
    *,
    reading: Mapping[str, Any] | None = None,
    encoding: Mapping[str, Any] | None = None,
    nan: str = "refuse",
    command: str | None = None,
    besides: Iterable[str | Path] = (),
    **outputs: bool,
) -> Plan:
    """Return the run of a recipe, ready to begin, whose metadata will say all that `rerun` needs to do it again.

    `nan` is "refuse" or "mask": what to do with values that are not finite. `command` is how it was asked for. No
    output may replace a file that the recipe reads, or that is read `besides`. The other parameters are those of
    `prepared`; `outputs` are ``force``, ``sidecar``, ``resume`` and ``settle``.
    """
    filters: list[Any] = [*build(recipe)]
    if nan not in ON_MISSING:
        raise ParameterError(f"nan is {nan!r}; it must be one of {', '.join(ON_MISSING)}")
    if nan == "mask":
        filters = [masking(filters[0] if len(filters) == 1 else pipeline(*filters))]
    read_besides = files_of(recipe)
    for path in read_besides:
        if not is_pattern(path):
            check_input(path)
    made = {
        "input": _as_seen(source, target),
        "recipe": list(map(dict, recipe)),
        "reading": dict(reading or {}),
        "encoding": dict(encoding or {}),
        "files": {str(path): fingerprint_of_input(path) for path in read_besides},
        "nan": nan,
        "command": command,
    }
    asked: dict[str, Any] = {"reading": reading, "encoding": encoding, "besides": [*read_besides, *besides], **outputs}
    return prepared(source, target, *filters, made=made, **asked)


def _as_seen(source: str | Path, target: str | Path) -> str:
    """Return the source's name as seen from the target's folder, so that both may be moved together."""
    if is_standard(source):
        return DASH
    folder = Path() if is_standard(target) else Path(target).parent
    try:
        return Path(os.path.relpath(source, folder)).as_posix()
    except ValueError:  # On another drive.
        return str(Path(source).absolute())


def files_of(recipe: Recipe) -> list[Path]:
    """Return the files besides the input that a recipe reads."""
    found = []
    for one in recipe:
        options = declared(filter_called(one.get("filter")).function).values()
        values = [(one.get(option.name), option.option.choices) for option in options if option.option.file]
        found += [Path(value) for value, names in values if isinstance(value, str) and value not in names]
    return found


def from_toml(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the recipe in a TOML file: tables [[filter]] with `name = "denoise"` and options, or none of them.

    Its filters and options are not yet checked; `build` and `recipe_in` do.
    """
    try:
        content = toml_in(Path(path))
    except InputError:
        raise
    except ValueError as fault:
        raise ParameterError(f"{path}: not a TOML file that can be used ({fault})") from None
    tables = content.pop("filter", [])
    if content or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        named = ", ".join(content) or "filter"
        raise ParameterError(f"{path}: {named} is not understood; write one table [[filter]] for each filter")
    for number, table in enumerate(tables, 1):
        if not isinstance(table.get("name"), str):
            raise ParameterError(f'{path}: filter {number} has no name; write name = "denoise" or another filter')
    return [{"filter": table.pop("name"), **table} for table in tables]


def recipe_in(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the recipe in a TOML file, checked; a fault in a filter of it names the file and the filter."""
    recipe = from_toml(path)
    for number, one in enumerate(recipe, 1):
        try:
            build([one])
        except ParameterError as fault:
            raise ParameterError(f"{path}: filter {number}, {one['filter']}: {fault}") from None
    return recipe


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of recipe files, for editors and other programs."""
    filters = []
    for name in names():
        options = declared(filter_called(name).function).values()
        known = {"name": {"const": name}, **{one.name: schema(one) for one in options}}
        required = ["name", *(one.name for one in options if one.required)]
        filters.append({"type": "object", "properties": known, "required": required, "additionalProperties": False})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Recipe of pde-video",
        "type": "object",
        "properties": {"filter": {"type": "array", "items": {"oneOf": filters}}},
        "additionalProperties": False,
    }
