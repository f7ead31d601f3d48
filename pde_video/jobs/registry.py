"""The filters that have a command: those whose line in ``__init__.pyi`` says so, and its name if it has another."""

from __future__ import annotations

import importlib
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pde_video.errors import ParameterError

if TYPE_CHECKING:
    from pde_video.filters.filter import VideoFilter

_STUB = Path(__file__).parents[1] / "__init__.pyi"
_LINE = re.compile(r"^from (\S+) import (\w+) as \w+  # command(?: (\S+))?$", re.MULTILINE)


@cache
def _places() -> dict[str, tuple[str, str]]:
    found = _LINE.findall(_STUB.read_text(encoding="utf-8"))
    return {command or name.replace("_", "-"): (module, name) for module, name, command in found}


def names() -> tuple[str, ...]:
    """Return the names of the commands that filter, as the command line and recipes have them."""
    return tuple(sorted(_places()))


def filter_called(name: object) -> VideoFilter:
    """Return the filter of a command."""
    if name not in _places():
        raise ParameterError(f"there is no filter {name!r}; there are {', '.join(names())}")
    module, attribute = _places()[str(name)]
    found: VideoFilter = getattr(importlib.import_module(module), attribute)
    return found


def summary_of(name: str) -> str:
    """Return the first line of a filter's docstring, from its source, so that a list of commands loads none of them."""
    module, attribute = _places()[name]
    source = _STUB.parent.joinpath(*module.split(".")[1:]).with_suffix(".py").read_text(encoding="utf-8")
    found = re.search(rf'^def {attribute}\(.*?"""(.*?)$', source, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""
