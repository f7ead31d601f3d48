"""pde_video: video frames diffused by partial differential equations.

Names are loaded when first used, so that ``import pde_video`` costs no more than it must. What the package
offers is listed once, in ``__init__.pyi``, for type checkers and for this module alike.
"""

import importlib
import re
import warnings
from pathlib import Path

__version__ = "0.1.0"

_STUB = Path(__file__).with_name("__init__.pyi").read_text(encoding="utf-8")
_ROOMS = {name: room for room, name in re.findall(r"^from (\S+) import (\w+) as", _STUB, re.MULTILINE)}
_FORMER = {"Stabiliser": "VarianceStabilizer"}  # Names that are deprecated, and those of today.
__all__ = sorted(_ROOMS)


def __getattr__(name: str) -> object:
    if name in _FORMER:
        warnings.warn(f"{name} is now called {_FORMER[name]}", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(__name__), _FORMER[name])
    if name not in _ROOMS:
        raise AttributeError(f"module 'pde_video' has no attribute {name!r}")
    value = getattr(importlib.import_module(_ROOMS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
