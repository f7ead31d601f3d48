"""JSON and TOML files, which may come from anywhere: regular files of bounded size, nesting and numbers."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pde_video.access.opening import content_of
from pde_video.video.provenance import DEEPEST, check_plain

_LARGEST_JSON, _LARGEST_TOML = 2**22, 2**18  # Bytes.
_DOTS = 1000  # In a TOML file: a key a.b.c takes tomllib the square of its parts in memory.


def json_in(path: Path) -> Any:
    """Return the values in a JSON file; raise ValueError, with the reason, if it holds none that are taken."""
    return _values_in(path, _LARGEST_JSON, json.loads)


def toml_in(path: Path) -> dict[str, Any]:
    """Return the tables in a TOML file; raise ValueError, with the reason, if it holds none that are taken."""
    tables: dict[str, Any] = _values_in(path, _LARGEST_TOML, _toml)
    return tables


def _values_in(path: Path, largest: int, parse: Callable[[str], Any]) -> Any:
    content = content_of(path, largest).decode()
    try:
        values = parse(content)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    check_plain(values)
    return values


def _toml(content: str) -> dict[str, Any]:
    if content.count(".") > _DOTS:
        raise ValueError(f"more than {_DOTS} dots")
    return tomllib.loads(content)
