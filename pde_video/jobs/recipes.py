"""Recipes: filters by name with plain options, as the command line, TOML files and outputs tell them."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pde_video.errors import ParameterError
from pde_video.filters.declarations import declared, from_plain, schema
from pde_video.filters.filter import Bound
from pde_video.jobs.registry import filter_called, names

Recipe = Sequence[Mapping[str, Any]]


def build(recipe: Recipe) -> list[Bound]:
    """Return the filters of a recipe: of each {"filter": "heat", "time": 2.0} one; of an empty recipe none.

    Raises ParameterError, which names what is allowed, for a filter or option that is not known, an option of another
    type or out of range, or one that is missing.
    """
    if isinstance(recipe, (str, Mapping)) or not all(isinstance(one, Mapping) for one in recipe):
        raise ParameterError(f"a recipe is a list of filters, each with its options by name; got {recipe!r}")
    return [_built(one) for one in recipe]


def _built(one: Mapping[str, Any]) -> Bound:
    a_filter = filter_called(one.get("filter"))
    options = {name: value for name, value in one.items() if name != "filter"}
    built: Bound = a_filter(**from_plain(a_filter.function, options, str(one["filter"])))
    return built


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

    Its filters and options are not yet checked; `build` does.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ParameterError(f"{path}: not a TOML file ({fault})") from None
    except IsADirectoryError:
        raise ParameterError(f"{path}: a folder; name a TOML file in it") from None
    tables = content.pop("filter", [])
    if content or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        named = ", ".join(content) or "filter"
        raise ParameterError(f"{path}: {named} is not understood; write one table [[filter]] for each filter")
    for number, table in enumerate(tables, 1):
        if not isinstance(table.get("name"), str):
            raise ParameterError(f'{path}: filter {number} has no name; write name = "denoise" or another filter')
    return [{"filter": table.pop("name"), **table} for table in tables]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of recipe files, for editors and other programs."""
    filters = []
    for name in names():
        options = declared(filter_called(name).function).values()
        filters.append(
            {
                "type": "object",
                "properties": {"name": {"const": name}, **{one.name: schema(one) for one in options}},
                "required": ["name", *(one.name for one in options if one.required)],
                "additionalProperties": False,
            }
        )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Recipe of pde-video",
        "type": "object",
        "properties": {"filter": {"type": "array", "items": {"oneOf": filters}}},
        "additionalProperties": False,
    }
