"""What a filter takes: options read from its signature, the annotations there, and its docstring."""

import functools
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pde_video.arrays.values import Value
from pde_video.errors import ParameterError

# Plain values, as a command line or a TOML file has them, by the annotation that allows them.
_PLAIN: dict[Any, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    tuple[float, float]: "pair of numbers",
}
_SCHEMAS: dict[str, dict[str, Any]] = {
    "true or false": {"type": "boolean"},
    "whole number": {"type": "integer"},
    "number": {"type": "number"},
    "text": {"type": "string"},
    "file": {"type": "string"},
    "pair of numbers": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
}
_NUMBERS = {"number", "whole number"}


@dataclass(frozen=True, eq=False, repr=False)
class Option(Value):
    """What an annotation says of an option besides its type: ``Annotated[float, Option(unit="input", above=0)]``.

    Parameters
    ----------
    unit : str
        "input" for units of the input's values; "pixels", "pixels²", "frames".
    above, least, most : float, optional
        Bounds of a number: more than `above`, at least `least`, at most `most`.
    choices : tuple of str
        The names allowed.
    several : bool
        Whether a text may be several of them, separated by commas.
    name : str
        Its name on the command line and in recipes, where that is another.
    load : callable, optional
        Makes the argument of the plain value that a command line or a recipe has; of a file's name if `file`.
    file : bool
        Whether its plain value names a file.
    infinite : bool
        Whether a number may be infinite.
    text : str
        Its description, where the docstring of the filter has none.
    remedy : str
        What to do instead of a value that is refused, at the end of that message.

    Examples
    --------
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
    several: bool = False
    name: str = ""
    load: Callable[[Any], Any] | None = None
    file: bool = False
    infinite: bool = False
    text: str = field(default="", repr=False)
    remedy: str = field(default="", repr=False)


@dataclass(frozen=True)
class Declared:
    """An option of a filter, as its signature, annotation and docstring declare it."""

    parameter: str
    kinds: tuple[str, ...]  # What a plain value may be, of `_PLAIN`, or "file".
    others: tuple[Any, ...]  # What an argument may be besides.
    optional: bool  # Whether it may be None.
    option: Option
    default: Any
    required: bool
    help: str = field(repr=False)  # One sentence,
    standard: str = field(default="", repr=False)  # and that on its default, if the signature does not say it.

    @property
    def name(self) -> str:
        """Its name on the command line and in recipes, with underscores."""
        return self.option.name or self.parameter

    def checked(self, value: Any) -> Any:
        """Return an argument, a whole number as int; raise ParameterError if it is of another type or out of range."""
        if not (self.optional if value is None else self._allows(value)):
            remedy = self.option.remedy and f": {self.option.remedy}"
            raise ParameterError(f"{self.parameter} is {value!r}; it must be {self._allowed()}{remedy}")
        return int(value) if _is_number(value) and "number" not in self.kinds else value

    def _allows(self, value: Any) -> bool:
        option, kinds = self.option, set(self.kinds)
        if isinstance(value, str) and kinds & {"text", "file"}:
            free = ("text" in kinds and not option.choices) or ("file" in kinds and option.load is None)
            named = value.split(",") if option.several else [value]
            return free or set(named) <= set(option.choices)
        if _is_number(value) and kinds & _NUMBERS:
            return self._in_range(_as_float(value))
        others = (
            one is Any or not isinstance(one, type) or getattr(one, "_is_protocol", False) or isinstance(value, one)
            for one in self.others
        )
        return any(_is(value, kind) for kind in kinds) or any(others)

    def _in_range(self, value: float) -> bool:
        option = self.option
        return (
            (math.isfinite(value) or (option.infinite and not math.isnan(value)))
            and ("number" in self.kinds or value.is_integer())
            and (option.above is None or value > option.above)
            and (option.least is None or value >= option.least)
            and (option.most is None or value <= option.most)
        )

    def _allowed(self) -> str:
        """Return what an argument must be, in words."""
        option = self.option
        bounds = (("above", option.above), ("of at least", option.least), ("of at most", option.most))
        said = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
        finite = "" if option.infinite else "finite "
        words = {"number": f"a {finite}number {said}", "whole number": f"a whole number {said}"}
        words |= {"pair of numbers": "a pair of numbers", "true or false": "True or False", "text": "text"}
        if option.choices:
            how = "one of " if len(option.choices) > 1 else ""
            how = "one or several, separated by commas, of " if option.several else how
            words["text"] = f"{how}{', '.join(option.choices)}"
        if option.load is None:
            words["file"] = "the name of a file"
        told = [words[kind].rstrip() for kind in self.kinds if kind in words]
        return ", or ".join([*told, *map(_named, self.others)])

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
    entries = _descriptions(function)
    found = {}
    for one in list(inspect.signature(function, eval_str=True).parameters.values())[1:]:
        allowed, option = _annotated(one)
        kinds = tuple(_PLAIN[kind] for kind in allowed if kind in _PLAIN) + (("file",) if option.file else ())
        if kinds:
            others = tuple(kind for kind in allowed if kind not in _PLAIN and kind is not types.NoneType)
            optional = one.default is None or types.NoneType in allowed
            required = one.default is one.empty
            default = None if required else one.default
            told = _summary(entries[one.name])
            found[one.name] = Declared(one.name, kinds, others, optional, option, default, required, *told)
        elif option != Option():
            raise TypeError(f"{one.name} of {function.__name__} has an Option, but no plain value: {allowed}")
    return found


def checked(function: Callable[..., Any], options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the options of a filter; raise ParameterError for one that is unknown, missing or out of range."""
    known, parameters = declared(function), list(inspect.signature(function).parameters.values())[1:]
    required = [one.name for one in parameters if one.default is one.empty]
    _check_names(name, options, [one.name for one in parameters], required)
    return {option: known[option].checked(value) if option in known else value for option, value in options.items()}


def from_plain(function: Callable[..., Any], values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the arguments that plain values stand for, by parameter."""
    known = {one.name: one for one in declared(function).values()}
    named_otherwise = {one.parameter: one.name for one in known.values() if one.option.load is None}
    given = {named_otherwise.get(option, option): value for option, value in values.items()}
    _check_names(name, given, known, [one.name for one in known.values() if one.required])
    return {known[option].parameter: known[option].argument(value, name) for option, value in given.items()}


def _check_names(name: str, given: Mapping[str, Any], known: Collection[str], required: Collection[str]) -> None:
    """Raise ParameterError for an option that there is not, and for one that is missing."""
    for option in given:
        if option not in known:
            raise ParameterError(f"{name} has no option {option!r}; it has {', '.join(known) or 'none'}")
    missing = [option for option in required if option not in given]
    if missing:
        raise ParameterError(f"{name} needs {' and '.join(missing)}")


def _as_float(value: Any) -> float:
    """Return a number as a float; infinity for a whole number that none holds."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def schema(one: Declared) -> dict[str, Any]:
    """Return the JSON Schema of an option's plain values."""
    option = one.option
    limits = {"exclusiveMinimum": option.above, "minimum": option.least, "maximum": option.most}
    bounds = {word: bound for word, bound in limits.items() if bound is not None}
    by_kind = _SCHEMAS | {kind: _SCHEMAS[kind] | bounds for kind in _NUMBERS}
    if option.choices:
        one_of = "|".join(map(re.escape, option.choices))
        several = {"type": "string", "pattern": f"^({one_of})(,({one_of}))*$"}
        by_kind["text"] = several if option.several else {"enum": list(option.choices)}
    kinds = [by_kind[kind] for kind in one.kinds]
    told = (kinds[0] if len(kinds) == 1 else {"anyOf": kinds}) | {"description": f"{one.help} {one.standard}".strip()}
    return told | ({"default": one.default} if isinstance(one.default, (bool, int, float, str)) else {})


_FRAMES = "{} : video\n    Array (T, H, W) or (T, H, W, C), or an iterable of frames."
_REPORT = "report : dict, optional\n    Receives what was estimated and done."
_ENDINGS = {
    "Returns": "Returns\n-------\nVideo of the same kind, shape and dtype.\n",
    "Raises": "Raises\n------\nParameterError\n    If an option is out of range, or two contradict each other.\n"
    "InputError, TypeError\n    If the video cannot be used as it is.\n",
    "See Also": "",
}


def documented(function: Callable[..., Any]) -> str:
    """Return the docstring of a filter with what it leaves out: shared parameters, Returns and Raises."""
    head, found = _sections(function)
    parameters = "\n".join(filter(None, dict.fromkeys(_descriptions(function).values())))
    ordered = {"Parameters": ""} | _ENDINGS | found | {"Parameters": f"Parameters\n----------\n{parameters}"}
    return "\n\n".join(part.strip("\n") for part in (head, *ordered.values()) if part) + "\n"


def _sections(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return what a docstring begins with, and its sections by their titles."""
    text = inspect.cleandoc(function.__doc__ or "") + "\n"
    head, *sections = re.split(r"\n(?=[A-Z]\w+(?: Also)?\n-{3,}\n)", text)
    return head, {section.partition("\n")[0]: section for section in sections}


def _descriptions(function: Callable[..., Any]) -> dict[str, str]:
    """Return the entry of each parameter in the docstring of a filter, in the order of the signature."""
    frames, *options = inspect.signature(function, eval_str=True).parameters.values()
    shared = {frames.name: _FRAMES.format(frames.name), **{one.name: _entry(one) for one in options}, "report": _REPORT}
    _, _, own = _sections(function)[1].get("Parameters", "").partition("-\n")
    for entry in re.split(r"\n(?=\S)", own.strip("\n")):
        names = entry.partition("\n")[0].partition(" : ")[0]
        shared |= {name.strip(): entry for name in names.split(",")}
    return shared


def _entry(one: inspect.Parameter) -> str:
    """Return what the annotation of a parameter says of it, as an entry of a docstring; nothing if it does not."""
    allowed, option = _annotated(one)
    choices = ", ".join(f'"{choice}"' for choice in option.choices)
    kinds = " or ".join(kind.__name__ for kind in allowed if kind is not types.NoneType)
    kind = "{" + choices + "}" if choices else kinds
    optional = ", optional" if one.default is None else ""
    return f"{one.name} : {kind}{optional}\n    {option.text}" if option.text else ""


def _annotated(one: inspect.Parameter) -> tuple[tuple[Any, ...], Option]:
    """Return the types that the annotation of a parameter allows, and what else it says."""
    allowed, said = _unfolded(one.annotation)
    return tuple(allowed), next((part for part in said if isinstance(part, Option)), Option())


def _unfolded(hint: Any) -> tuple[list[Any], list[Any]]:
    """Return the types of a union, and what is said of them by `Annotated`, outside of the union or within."""
    if typing.get_origin(hint) is typing.Annotated:
        allowed, said = _unfolded(hint.__origin__)
        return allowed, [*said, *hint.__metadata__]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = [_unfolded(part) for part in typing.get_args(hint)]
        return [kind for allowed, _ in parts for kind in allowed], [one for _, said in parts for one in said]
    return [hint], []


def _summary(entry: str) -> tuple[str, str]:
    """Return the first sentence of a parameter's entry in a docstring, and the one that tells its default."""
    text = " ".join(line.strip() for line in entry.splitlines()[1:]).replace("`", "")
    first, *others = re.split(r'(?<=\.) (?=["A-Z])', text)
    return first, next((one for one in others if one.startswith("Default")), "")


def _named(kind: Any) -> str:
    return "another object" if kind is Any else getattr(kind, "__name__", "another object")


def _is_number(value: Any) -> bool:
    return hasattr(value, "__float__") and np.ndim(value) == 0 and not isinstance(value, (bool, np.bool_))


def _is(value: Any, kind: str) -> bool:
    """Tell whether a plain value is of a kind."""
    if kind == "true or false":
        return isinstance(value, (bool, np.bool_))
    if kind == "pair of numbers":
        return isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_number, value))
    if kind in ("text", "file"):
        return isinstance(value, str)
    return _is_number(value) and (kind == "number" or _as_float(value).is_integer())
