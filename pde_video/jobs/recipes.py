"""Filters by name with plain options, as the command line, TOML files and the metadata of outputs tell them."""

from __future__ import annotations

import inspect
import math
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Any, NamedTuple

from pde_video.denoising.along_motion import PASSES
from pde_video.denoising.denoise import denoise
from pde_video.errors import ParameterError
from pde_video.filters import conversion, equations, geometry, synthetic_noise
from pde_video.filters.extrapolate import extrapolate
from pde_video.filters.inter_frame import frame_difference

Recipe = Sequence[Mapping[str, Any]]


class Memory(NamedTuple):
    """What an output frame depends on besides its own input frame, and what is estimated from the first ones."""

    before: int | None = 0  # So many frames before it and, for what looks ahead, after it; None: all before it.
    every: int = 1  # Frames after which something is chosen anew, counted from the first.


_ALL = Memory(before=None)


@dataclass(frozen=True)
class _Entry:
    """A filter with the options that it takes here, and what it remembers, by its options."""

    function: Callable[..., Any]
    memory: Callable[[Mapping[str, Any]], Memory]
    hidden: tuple[str, ...] = ()


def _denoise_memory(options: Mapping[str, Any]) -> Memory:
    method, preset = options.get("method"), options.get("preset", "balanced")
    if options.get("model") or method in ("learned", "ddpm"):
        return _ALL
    if method is not None:
        return Memory(every=25)
    if preset not in PASSES:
        return _ALL
    radii = [options.get("radius", one.radius) for one in PASSES[preset]]
    return Memory(2 * sum(radii) + 2)


def _equation_memory(options: Mapping[str, Any]) -> Memory:
    return _ALL if options.get("spacetime") else Memory()


RECIPES: dict[str, _Entry] = {
    "denoise": _Entry(denoise, _denoise_memory, hidden=("denoiser", "hooks")),
    "heat": _Entry(equations.heat, _equation_memory),
    "perona-malik": _Entry(equations.perona_malik, _equation_memory),
    "tv": _Entry(equations.tv, _equation_memory),
    "eed": _Entry(equations.eed, _equation_memory),
    "ced": _Entry(equations.ced, _equation_memory),
    "frame-difference": _Entry(frame_difference, lambda options: _ALL if "kappa" in options else Memory(1)),
    "extrapolate": _Entry(extrapolate, lambda options: _ALL, hidden=("report",)),
    "crop": _Entry(geometry.crop, lambda options: Memory()),
    "resize": _Entry(geometry.resize, lambda options: Memory()),
    "to-gray": _Entry(conversion.to_gray, lambda options: Memory()),
    "normalize": _Entry(conversion.normalize, lambda options: Memory()),
    "clip": _Entry(conversion.clip, lambda options: Memory()),
    "gaussian-noise": _Entry(synthetic_noise.gaussian_noise, lambda options: _ALL),
}
_MODEL = {"model": "str | None"}  # What `denoise` has here besides: the name of a network's file.
# What a plain value may be where a signature says so; of any other type nothing plain can be.
_KINDS: dict[str, tuple[type, ...]] = {"float": (int, float), "int": (int,), "str": (str,), "bool": (bool,)}


def build(recipe: Recipe) -> list[Callable[..., Any]]:
    """Return the filters of a recipe: of each {"filter": "heat", "time": 2.0} one; of an empty recipe none.

    Raises ParameterError, which names what is allowed, for a filter or option that is not known, an option of another
    type, or one that is missing. Ranges are checked by the filters, when they are applied.
    """
    if isinstance(recipe, (str, Mapping)) or not all(isinstance(one, Mapping) for one in recipe):
        raise ParameterError(f"a recipe is a list of filters, each with its options by name; got {recipe!r}")
    return [_built(dict(one)) for one in recipe]


def memory(recipe: Recipe) -> Memory:
    """Return what an output of the filters of a recipe, one after the other, depends on."""
    found = [_entry(one).memory(_options(one)) for one in recipe]
    before = [one.before for one in found]
    return Memory(
        None if None in before else sum(filter(None, before)),
        reduce(math.lcm, (one.every for one in found), 1),
    )


def files_of(recipe: Recipe) -> list[Path]:
    """Return the files besides the input that a recipe reads."""
    return [Path(one["model"]) for one in recipe if isinstance(one.get("model"), str)]


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


def _built(one: dict[str, Any]) -> Callable[..., Any]:
    entry, options = _entry(one), _options(one)
    name, allowed = one["filter"], _allowed(entry)
    for option, value in options.items():
        if option not in allowed:
            raise ParameterError(f"{name} has no option {option!r}; it has {', '.join(allowed) or 'none'}")
        if not _fits(value, str(allowed[option])):
            raise ParameterError(f"{option} of {name} is {value!r}; it must be of type {_plainly(allowed[option])}")
    missing = [option for option, kind in allowed.items() if option in _required(entry) and option not in options]
    if missing:
        raise ParameterError(f"{name} needs {' and '.join(missing)}")
    if "model" in options:
        from pde_video.denoisers.loading import load_denoiser

        options = {"method": "learned", **options, "denoiser": load_denoiser(options["model"])}
        del options["model"]
    if isinstance(options.get("noise"), list):
        options["noise"] = tuple(options["noise"])
    if "seed" in options:
        options["rng"] = options.pop("seed")
    built = partial(entry.function, **options)
    built.__name__ = name  # type: ignore[attr-defined]
    return built


def _entry(one: Mapping[str, Any]) -> _Entry:
    name = one.get("filter")
    if name not in RECIPES:
        raise ParameterError(f"there is no filter {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]


def _options(one: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name != "filter"}


def _parameters(entry: _Entry) -> list[inspect.Parameter]:
    """Return the parameters of a filter that are options here: all but the video, and what has no plain value."""
    return [
        one for one in list(inspect.signature(entry.function).parameters.values())[1:] if one.name not in entry.hidden
    ]


def _allowed(entry: _Entry) -> dict[str, str]:
    """Return the options of a filter with their types."""
    found = {"seed" if one.name == "rng" else one.name: str(one.annotation) for one in _parameters(entry)}
    return found | (_MODEL if entry.function is denoise else {})


def _required(entry: _Entry) -> list[str]:
    return [one.name for one in _parameters(entry) if one.default is one.empty]


def _fits(value: Any, kind: str) -> bool:
    """Tell whether a plain value is of the type that an annotation names."""
    for part in kind.split(" | "):
        if part == "tuple[float, float]":
            if isinstance(value, (list, tuple)) and len(value) == 2 and all(_fits(one, "float") for one in value):
                return True
        elif part in _KINDS and isinstance(value, _KINDS[part]) and (part == "bool") == isinstance(value, bool):
            return True
    return False


def _plainly(kind: str) -> str:
    names = {"float": "number", "int": "whole number", "str": "text", "bool": "true or false"}
    pair = {"tuple[float, float]": "pair of numbers"}
    return " or ".join((names | pair)[part] for part in kind.split(" | ") if part in names | pair)
