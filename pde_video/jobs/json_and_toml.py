"""JSON and TOML files, which may come from anywhere: regular files of bounded size, nesting and numbers."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pde_video.access.opening import content_of, reading
from pde_video.video.provenance import DEEPEST, check_plain, values_in

_LARGEST_JSON, _LARGEST_TOML = 2**22, 2**18  # Bytes.
_PLACE = re.compile(r"\(at (line \d+, column \d+|end of document)\)$")
_DOTS = 1000  # In a TOML file: a key a.b.c takes tomllib the square of its parts in memory.


def json_in(path: Path) -> Any:
    """Return the values in a JSON file; raise ValueError, with the reason, if it holds none that are taken."""
    return _values_in(path, _LARGEST_JSON, values_in)


def toml_in(path: Path) -> dict[str, Any]:
    """Return the tables in a TOML file; raise ValueError, with the reason, if it holds none that are taken."""
    tables: dict[str, Any] = _values_in(path, _LARGEST_TOML, _toml)
    return tables


def _values_in(path: Path, largest: int, parse: Callable[[bytes], Any]) -> Any:
    with reading(path):
        content = content_of(path, largest)
    values = parse(content)
    check_plain(values)
    return values


def _toml(content: bytes) -> dict[str, Any]:
    if content.count(b".") > _DOTS:
        raise ValueError(f"more than {_DOTS} dots")
    try:
        return tomllib.loads(content.decode())
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    except tomllib.TOMLDecodeError as fault:
        place = _PLACE.search(str(fault))
        raise ValueError(f"it is no TOML{' at ' + place[1] if place else ''}") from None
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    except ValueError:
        raise ValueError("a number has too many digits, or a date is none") from None
