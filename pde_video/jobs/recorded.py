"""Recorded provenance of a file: untrusted input, of which every part is checked before use."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pde_video.errors import InputError
from pde_video.filters.declarations import declared
from pde_video.jobs.json_and_toml import json_in
from pde_video.jobs.recipes import files_of
from pde_video.jobs.registry import filter_called, names
from pde_video.jobs.run import sidecar_of
from pde_video.video.files import read
from pde_video.video.inputs import check_input
from pde_video.video.pipes import DASH
from pde_video.video.provenance import check_plain, fingerprint_of_input
from pde_video.video.source import MOST_PIXELS

# What is done without trust. Larger values multiply the time or the memory of a run.
_MOST_FILTERS = 20
_MOST_INTERPOLATIONS = 2  # Each makes up to 8 frames of one.
_MOST = {
    "time": 1000,
    "smoothing": 100,
    "integration": 100,
    "radius": 16,
    "over": 100,
    "factor": 8,
    "first": 1000,
    "steps": 1000,
    "count": 1000,
    "height": 2**13,
    "width": 2**13,
    "room": 1000,
}
_MOST_STEPS = 10_000  # Of an evolution: its time over dt or epsilon.
_MOST_IN_TIME = 20  # Diffusion time along time, where each step looks a frame further.
_REMEDY = "if you trust the file, pass --trust (trust=True)"
_SECONDS = re.compile(r"\d{1,18}(/\d{1,18}|\.\d{1,18})?", re.ASCII)


@dataclass(frozen=True)
class Recorded:
    """What a file says of how it was made, in the types of `planned`."""

    input: str | None
    sha256: Any
    recipe: list[dict[str, Any]]
    reading: dict[str, Any]
    encoding: dict[str, Any]
    nan: str
    command: str | None
    files: dict[str, Any]  # SHA-256 by name.
    version: Any


def recorded(out: Path, *, trust: bool = False) -> Recorded:
    """Return what `out` or its sidecar says; raise InputError unless it is understood and, without trust, modest."""
    made = _made(out, trust)
    try:
        check_plain(made)
        found = _parsed(made)
    except (ValueError, TypeError) as fault:
        raise InputError(f"{out}: its recorded provenance is malformed ({fault})") from None
    if not trust:
        _check_work(out, found)
    return found


def in_sidecar(path: Path) -> dict[str, Any]:
    """Return what a sidecar says."""
    try:
        found = json_in(path)
    except InputError:
        raise
    except ValueError as fault:
        raise InputError(f"{path}: not JSON that can be used ({fault})") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: it does not say how a file was made")
    return found


def check_inside(out: Path, name: Path, what: str, remedy: str = _REMEDY) -> None:
    """Raise unless `name` is in the folder of `out`, whatever links it goes by; what is outside is not touched."""
    folder = os.path.realpath(out.parent)
    told = os.path.normpath(os.path.join(os.getcwd(), name))
    homes = {folder, os.path.normpath(os.path.join(os.getcwd(), out.parent))}
    try:
        inside = any(_is_below(told, home) for home in homes) and _is_below(os.path.realpath(name), folder)
    except ValueError:  # A NUL in the name.
        raise InputError(f"{out}: {what} is called {str(name)!r}, which no file can be") from None
    if not inside:
        raise InputError(f"{out}: {what}, {name}, is outside its folder and is not read: {remedy}")


def check_files(out: Path, found: Recorded, *, trust: bool = False) -> None:
    """Raise unless the files that the recipe reads besides the input are those that it was made with."""
    for path in files_of(found.recipe):
        if not trust:
            check_inside(out, path, "a file that its recipe reads")
        if str(path) == DASH:
            raise InputError(f"{out}: its recipe reads standard input besides the video, which cannot be repeated")
        try:
            check_input(path)
        except FileNotFoundError:
            said = f"{out} was made with this file, which is not there any more"
            raise FileNotFoundError(2, said, str(path)) from None
        if found.files.get(str(path)) != fingerprint_of_input(path):
            raise InputError(f"{path}: it has changed since {out} was made with it; its SHA-256 is another")


def _is_below(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


def _made(out: Path, trust: bool) -> dict[str, Any]:
    made, beside = read(out).details.get("made"), sidecar_of(out)
    if not (isinstance(made, dict) and "recipe" in made) and os.path.lexists(beside):
        if not trust:
            check_inside(out, beside, "its sidecar")
        made = in_sidecar(beside)
    if not (isinstance(made, dict) and "recipe" in made):
        raise InputError(f"{out}: neither it nor {beside.name} says how it was made")
    return made


def _parsed(made: Mapping[str, Any]) -> Recorded:
    recipe = [dict(_table(one, "a filter")) for one in _list(made.get("recipe"))]
    if any(one.get("filter") not in names() for one in recipe):
        raise ValueError("a filter that is not known")
    reading, encoding = _options(made, "reading", _READING), _options(made, "encoding", _ENCODING)
    texts = {key: None if made.get(key) is None else _text(made[key]) for key in ("input", "command", "nan")}
    files = dict(_table(made.get("files") or {}, "files"))
    nan = texts.pop("nan") or "refuse"
    told = {key: made.get(key) for key in ("sha256", "version")}
    return Recorded(recipe=recipe, reading=reading, encoding=encoding, nan=nan, files=files, **texts, **told)


def _options(made: Mapping[str, Any], name: str, known: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    given = _table(made.get(name) or {}, name)
    if unknown := [key for key in given if key not in known]:
        raise ValueError(f"{name} has {unknown[0]!r:.80}, which is not known")
    return {key: known[key](value) for key, value in given.items()}


def _table(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is {value!r:.80}, and no table")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"its recipe is {value!r:.80}, and no list")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{value!r:.80} is not a whole number")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(f"{value!r:.80} is neither true nor false")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r:.80} is not text")
    return value


def _seconds(value: Any) -> Fraction:
    """Return an exact time; not of a text such as 1e999999999, which takes the memory of that many digits."""
    try:
        if type(value) is str and not _SECONDS.fullmatch(value):
            raise ValueError
        return Fraction(value)
    except (ValueError, TypeError, ArithmeticError):
        raise ValueError(f"{value!r:.80} is not a time in seconds") from None


def _range(pair: Any) -> tuple[int, int | None]:
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise TypeError(f"{pair!r:.80} is not a range of frames")
    first, last = pair
    return _whole(first), None if last is None else _whole(last)


_READING: dict[str, Callable[[Any], Any]] = {
    "start": _seconds,
    "end": _seconds,
    "frames": _range,
    "stream": _whole,
    "keep_partial": _flag,
    "max_pixels": _whole,
    "isolated": _flag,
}
_ENCODING: dict[str, Callable[[Any], Any]] = {"codec": _text, "crf": _whole, "lossless": _flag}


def _check_work(out: Path, found: Recorded) -> None:
    """Raise for numbers that make a run take much longer, or more memory, than those of ordinary recipes."""

    def at_most(value: Any, most: float, what: str) -> None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and not value <= most:
            raise InputError(f"{out}: {what} is {value:g}, and the limit without --trust is {most:,}: {_REMEDY}")

    at_most(found.reading.get("max_pixels"), MOST_PIXELS, "max_pixels of its recipe")
    at_most(len(found.recipe), _MOST_FILTERS, "the number of filters in its recipe")
    interpolations = sum(one["filter"] == "interpolate" for one in found.recipe)
    at_most(interpolations, _MOST_INTERPOLATIONS, "the number of interpolations in its recipe")
    for one in found.recipe:
        name = one["filter"]
        known = declared(filter_called(name).function).values()
        called = {option.parameter: option.name for option in known}  # Options may also go by their parameters.
        options = {option.name: option.default for option in known}
        options |= {called.get(option, option): value for option, value in one.items()}
        for option, most in _MOST.items():
            at_most(options.get(option), most, f"{option} of {name} in its recipe")
        time = options.get("time", 0.0)
        time = time if isinstance(time, int | float) else _MOST["time"]  # Estimated from the video.
        for divisor in ("dt", "epsilon", *(["kappa"] if options.get("conductance") == "tv" else [])):
            length = options.get(divisor)
            if isinstance(length, int | float) and length > 0:
                at_most(time / length, _MOST_STEPS, f"the number of steps by {divisor} of {name} in its recipe")
        if options.get("spacetime"):
            at_most(time, _MOST_IN_TIME, f"time of {name} with spacetime in its recipe")
