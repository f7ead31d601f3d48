"""What a filter takes: options read from its signature, the annotations there, and its docstring."""

from __future__ import annotations

import functools
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pde_video.errors import ParameterError

# Plain values, as a command line or a TOML file has them, by the annotation that allows them.
_PLAIN: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    tuple[float, float]: "pair of numbers",
}


@dataclass(frozen=True)
class Option:
    """What an annotation says of an option besides its type: ``Annotated[float, Option(unit="input", above=0)]``.

    Parameters
    ----------
    unit : str
        "input" for units of the input's values; "pixels", "pixels²", "frames".
    above, least, most : float, optional
        Bounds of a number: more than `above`, at least `least`, at most `most`.
    choices : tuple of str
        The names allowed.
    name : str
        Its name on the command line and in recipes, where that is another.
    load : callable, optional
        Makes the argument of the plain value that a command line or a recipe has; of a file's name if `file`.
    file : bool
        Whether its plain value names a file.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> from typing import Annotated
    >>> @pv.video_filter
    ... def brighten(frames, *, by: Annotated[float, pv.Option(unit="input", least=0)] = 1.0):
    ...     yield from (frame + by / frames.scale for frame in frames)
    >>> brighten(np.array([[[10]], [[20]]], np.uint8), by=5.0).ravel()
    array([15, 25], dtype=uint8)
    """

    unit: str = ""
    above: float | None = None
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    name: str = ""
    load: Callable[[Any], Any] | None = None
    file: bool = False


@dataclass(frozen=True)
class Declared:
    """An option of a filter, as its signature, annotation and docstring declare it."""

    parameter: str
    kinds: tuple[str, ...]  # What a plain value may be, of `_PLAIN`, or "file".
    option: Option
    default: Any
    required: bool
    help: str = field(repr=False)  # One sentence,
    standard: str = field(default="", repr=False)  # and that on its default, if the signature does not say it.

    @property
    def name(self) -> str:
        """Its name on the command line and in recipes, with underscores."""
        return self.option.name or self.parameter

    def check(self, value: Any) -> None:
        """Raise ParameterError if a number or a name is out of range; other values are the filter's to judge."""
        told, option = f"{self.parameter} is {value!r}", self.option
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
        if isinstance(value, str):
            if option.choices and value not in option.choices:
                or_number = "a number, or " if "number" in self.kinds else ""
                raise ParameterError(f"{told}; it must be {or_number}one of {', '.join(option.choices)}")
            if not {"text", "file"} & set(self.kinds) and not option.choices:
                raise ParameterError(f"{told}; it must be a {' or '.join(self.kinds)}")
        elif number and ("number" in self.kinds or "whole number" in self.kinds):
            if "number" not in self.kinds and value != int(value if math.isfinite(value) else 0):
                raise ParameterError(f"{told}; it must be a {self._range()}")
            if not self._in_range(float(value)):
                raise ParameterError(f"{told}; it must be a {self._range()}")
        elif isinstance(value, bool) and "true or false" not in self.kinds:
            raise ParameterError(f"{told}; it must be a {self._range()}")

    def _in_range(self, value: float) -> bool:
        option = self.option
        return (
            math.isfinite(value)
            and (option.above is None or value > option.above)
            and (option.least is None or value >= option.least)
            and (option.most is None or value <= option.most)
        )

    def _range(self) -> str:
        option = self.option
        bounds = (("above", option.above), ("of at least", option.least), ("of at most", option.most))
        said = [f"{word} {bound:g}" for word, bound in bounds if bound is not None]
        kind = "finite number" if "number" in self.kinds else "whole number"
        return f"{kind} {' and '.join(said)}".strip()

    def argument(self, value: Any, of: str) -> Any:
        """Return the argument that a plain value stands for; raise ParameterError if it is of another type."""
        if not any(_is(value, kind) for kind in self.kinds):
            wanted = " or ".join(self.kinds)
            raise ParameterError(f"{self.name} of {of} is {value!r}; it must be of type {wanted}")
        if self.option.load is not None:
            return self.option.load(value)
        return tuple(value) if isinstance(value, list) else value


@functools.cache
def declared(function: Callable[..., Any]) -> dict[str, Declared]:
    """Return the options of a filter that have plain values, by parameter, in the order of its signature."""
    hints = typing.get_type_hints(function, include_extras=True)
    helps = _described(function.__doc__ or "")
    found = {}
    for one in list(inspect.signature(function).parameters.values())[1:]:
        hint, *extra = _arguments(hints.get(one.name, Any))
        option = next((part for part in extra if isinstance(part, Option)), Option())
        kinds = tuple(_PLAIN[part] for part in _parts(hint) if part in _PLAIN) + (("file",) if option.file else ())
        if kinds:
            required = one.default is one.empty
            default = None if required else one.default
            found[one.name] = Declared(one.name, kinds, option, default, required, *helps.get(one.name, ("", "")))
    return found


def bound(function: Callable[..., Any], options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the options, checked; raise ParameterError for one that is unknown, missing or out of range."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    known = [one.name for one in parameters]
    for option in options:
        if option not in known:
            raise ParameterError(f"{name} has no option {option!r}; it has {', '.join(known) or 'none'}")
    missing = [one.name for one in parameters if one.default is one.empty and one.name not in options]
    if missing:
        raise ParameterError(f"{name} needs {' and '.join(missing)}")
    check(function, options)
    return dict(options)


def check(function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise ParameterError if an option is out of the range that is declared for it."""
    known = declared(function)
    for name, value in options.items():
        if name in known and value is not None:
            known[name].check(value)


def from_plain(function: Callable[..., Any], values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the arguments that plain values stand for, by parameter."""
    known = declared(function)
    by_name = {name: one for name, one in known.items() if one.option.load is None} | {
        one.name: one for one in known.values()
    }
    for option in values:
        if option not in by_name:
            allowed = ", ".join(one.name for one in known.values())
            raise ParameterError(f"{name} has no option {option!r}; it has {allowed or 'none'}")
    missing = [one.name for one in known.values() if one.required and not {one.name, one.parameter} & set(values)]
    if missing:
        raise ParameterError(f"{name} needs {' and '.join(missing)}")
    return {by_name[key].parameter: by_name[key].argument(value, name) for key, value in values.items()}


def schema(one: Declared) -> dict[str, Any]:
    """Return the JSON Schema of an option's plain values."""
    kinds: list[dict[str, Any]] = []
    for kind in one.kinds:
        if kind in ("text", "file"):
            kinds.append(
                {"enum": list(one.option.choices)} if one.option.choices and kind == "text" else {"type": "string"}
            )
        elif kind == "pair of numbers":
            kinds.append({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2})
        elif kind == "true or false":
            kinds.append({"type": "boolean"})
        else:
            bounds = {"exclusiveMinimum": one.option.above, "minimum": one.option.least, "maximum": one.option.most}
            kinds.append(
                {"type": "number" if kind == "number" else "integer"}
                | {key: bound for key, bound in bounds.items() if bound is not None}
            )
    plain = isinstance(one.default, (bool, int, float, str))
    return (
        (kinds[0] if len(kinds) == 1 else {"anyOf": kinds})
        | {"description": f"{one.help} {one.standard}".strip()}
        | ({"default": one.default} if plain else {})
    )


_FRAMES = "frames : video\n    Array (T, H, W) or (T, H, W, C), or an iterable of frames.\n"
_REPORT = "report : dict, optional\n    Receives what was estimated and done.\n"
_ENDINGS = {
    "Returns": "Returns\n-------\nVideo of the same kind, shape and dtype.\n",
    "Raises": "Raises\n------\nParameterError\n    If an option is out of range.\nInputError, TypeError\n"
    "    If the video cannot be used as it is.\n",
}


def documented(function: Callable[..., Any]) -> str:
    """Return the docstring of a filter with what all filters share: frames, report, Returns and Raises."""
    head, *sections = re.split(r"\n(?=[A-Z]\w+(?: Also)?\n-{3,}\n)", inspect.cleandoc(function.__doc__ or "") + "\n")
    found = {section.partition("\n")[0]: section for section in sections}
    title = "Parameters\n----------\n"
    own = found.pop("Parameters", title).removeprefix(title).strip("\n")
    if not own.startswith(("frames :", "video :")):
        own = _FRAMES + own
    if "\nreport :" not in own:
        own = f"{own.rstrip()}\n{_REPORT}"
    ordered = {"Parameters": title + own, **{name: found.pop(name, text) for name, text in _ENDINGS.items()}, **found}
    return "\n\n".join(part.strip("\n") for part in (head, *ordered.values())) + "\n"


def _arguments(hint: Any) -> tuple[Any, ...]:
    return (hint.__origin__, *hint.__metadata__) if typing.get_origin(hint) is typing.Annotated else (hint,)


def _parts(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _is(value: Any, kind: str) -> bool:
    """Tell whether a plain value is of a kind."""
    if kind == "true or false":
        return isinstance(value, bool)
    if kind == "pair of numbers":
        return isinstance(value, (list, tuple)) and len(value) == 2 and all(_is(one, "number") for one in value)
    if kind in ("text", "file"):
        return isinstance(value, str)
    return isinstance(value, int if kind == "whole number" else (int, float)) and not isinstance(value, bool)


def _described(docstring: str) -> dict[str, tuple[str, str]]:
    """Return of each parameter in a docstring its first sentence, and the one that tells its default."""
    _, _, section = inspect.cleandoc(docstring).partition("\nParameters\n----------\n")
    section = re.split(r"\n\n?\w[\w ]*\n-{3,}\n", section)[0]
    found: dict[str, tuple[str, str]] = {}
    for block in re.split(r"\n(?=\S)", section):
        head, *lines = block.splitlines() or [""]
        text = " ".join(line.strip() for line in lines).replace("`", "")
        first, *others = re.split(r'(?<=\.) (?=["A-Z])', text)
        standard = next((one for one in others if one.startswith("Default")), "")
        found |= {name.strip(): (first, standard) for name in head.partition(" : ")[0].split(",")}
    return found
