"""Values: frozen objects that print as the call that makes them and compare by content, arrays included."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cached_property, partial
from typing import Any, TypeAlias, TypeVar

import numpy as np

from pde_video.protocols import Array, Times

Call: TypeAlias = tuple[str, Sequence[Any], Mapping[str, Any]]
V = TypeVar("V", bound="Value")
_FEW = 8  # The largest number of array elements in messages.


@dataclass(frozen=True, eq=False, repr=False)
class Value:
    """Base of frozen dataclasses, which are declared with ``repr=False``, and with ``eq=False`` where they hold arrays.

    The repr is the call, without arguments that have their default, from which ``eval`` makes an equal value; str
    leaves out the numbers of large arrays.
    """

    def _call(self) -> Call:
        """Return the call that makes this value: name, arguments, keywords."""
        if "_made" in vars(self):
            return vars(self)["_made"]
        in_order = sorted(fields(self), key=lambda f: f.kw_only is True)
        given = [(f.name, getattr(self, f.name), f.default) for f in in_order if f.repr]
        keywords = {name: value for name, value, default in given if default is MISSING or not _same(value, default)}
        return type(self).__name__, (), keywords

    def __repr__(self) -> str:
        return _called(*self._call(), short=False)

    def __str__(self) -> str:
        return _called(*self._call(), short=True)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self) if f.compare)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds, without the values of cached properties."""
        cached = [name for name in vars(self) if isinstance(getattr(type(self), name, None), cached_property)]
        return {name: value for name, value in vars(self).items() if name not in cached}

    def __hash__(self) -> int:
        return hash((type(self), *(_hashable(getattr(self, f.name)) for f in fields(self) if f.compare)))


def made_by(value: V, name: str, *args: Any, **kwargs: Any) -> V:
    """Return `value`, which from now on prints as ``name(*args, **kwargs)``."""
    object.__setattr__(value, "_made", (name, args, kwargs))
    return value


def call_repr(name: str, *args: Any, **kwargs: Any) -> str:
    """Return the call ``name(*args, **kwargs)`` as text that ``eval`` reads, given the public names and np."""
    return _called(name, args, kwargs, short=False)


class Code(str):
    """Text that stands in a call without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def times_as_code(times: Times) -> Code:
    """Return times as an argument for `call_repr`: ``uniform(…)`` if that gives the same bits, else a list."""
    if callable(times):
        return Code(_written(times, short=False))
    grid = np.asarray(times, float).tolist()
    steps = len(grid) - 1
    if steps > 1 and grid == np.linspace(0.0, grid[-1], steps + 1).tolist():
        return Code(call_repr("uniform", grid[-1], steps=steps))
    return Code(_written(grid, short=False))


def _called(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], *, short: bool) -> str:
    given = [_written(value, short) for value in args]
    given += [f"{keyword}={_written(value, short)}" for keyword, value in kwargs.items()]
    return f"{name}({', '.join(given)})"


def _written(value: Any, short: bool) -> str:
    match value:
        case Value():
            return str(value) if short else repr(value)
        case np.ndarray():
            return _array(value, short)
        case float() | np.floating() if not math.isfinite(value):
            return f"np.{value}" if value > 0 or math.isnan(value) else f"-np.{-value}"
        case tuple() | list():
            items = ", ".join(_written(item, short) for item in value)
            return f"[{items}]" if isinstance(value, list) else f"({items},)" if len(value) == 1 else f"({items})"
        case dict():
            return "{" + ", ".join(f"{key!r}: {_written(item, short)}" for key, item in value.items()) + "}"
        case partial():
            return _called("partial", (value.func, *value.args), value.keywords, short=short)
    name = getattr(value, "__qualname__", "").rpartition("<locals>.")[2] or getattr(value, "__name__", "")
    return (f"np.{name}" if getattr(np, name, None) is value else name) if name else repr(value)


def _array(array: Array, short: bool) -> str:
    if short and array.size > _FEW:
        return f"<{array.dtype} array of shape {array.shape}>"
    if not array.size:
        return f"np.empty({array.shape}, dtype={array.dtype.str!r})"
    dtype = array.dtype
    numbers = _written(array.tolist(), short)
    if dtype in (np.float64, np.int64, np.bool_) and dtype.isnative:  # The dtypes that NumPy infers.
        return f"np.array({numbers})"
    return f"np.array({numbers}, dtype={dtype.name if dtype.isnative else dtype.str!r})"


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return False
    if isinstance(a, (tuple, list)) and type(a) is type(b):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(value, b[key]) for key, value in a.items())
    return a is b or bool(a == b)


def _hashable(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str
    if isinstance(value, tuple):
        return tuple(map(_hashable, value))
    return len(value) if isinstance(value, (list, dict)) else value
