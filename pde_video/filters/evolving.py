"""What makes a filter of an equation: options of the evolution, and a contrast that is estimated."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any

import numpy as np

from pde_video.errors import ParameterError, UnstableStepError
from pde_video.estimate.contrast import estimate_kappa
from pde_video.filters.declarations import Option
from pde_video.filters.extent import Extent
from pde_video.filters.filter import FrozenFilter, VideoFilter
from pde_video.filters.frames import WITHIN, Frames
from pde_video.filters.framewise import framewise
from pde_video.filters.spacetime import spacetime as along_time
from pde_video.integrators import cycles, steps
from pde_video.integrators.loop import uniform
from pde_video.protocols import Array, bound_of, multiple_of

STEPS: dict[str, Any] = {
    "explicit-euler": steps.explicit_euler,
    "heun": steps.heun,
    "implicit-euler": steps.implicit_euler,
    "crank-nicolson": steps.crank_nicolson,
    "aos": steps.aos,
    "fed": cycles.fed,
    "fsi": cycles.fsi,
    "rkl2": cycles.rkl2,
}
_LARGE_STEPS = 5  # Of integrators that no bound keeps from taking one: AOS and cycles want several.

# What every equation has besides its own options, in its signature and in its docstring.
_EVOLUTION = """\
time : float
    Diffusion time in pixels², > 0.
dt : float, optional
    Longest step in pixels², > 0. Default: the largest stable one, or a fifth of the time if any is stable.
step : {steps}
    Integrator.
"""
_SPACETIME = """\
spacetime : bool
    Diffuse in time as well, but not across cuts.
"""
_RAISES = """
Raises
------
ParameterError
    If an option is out of range, or a step is not stable.
"""


def equation(
    *, time: float, examples: Sequence[str], steps: Sequence[str] = tuple(STEPS), spacetime: bool = True
) -> Callable[[Callable[..., Any]], VideoFilter]:
    """Make a filter, and so a command, of a function that returns the term for its options.

    Options of the evolution (time, dt, step and, with `spacetime`, that) are added. An option called `kappa` that is
    not given is estimated; the function gets it in units of the frames.
    """

    def decorate(term_of: Callable[..., Any]) -> VideoFilter:
        common: dict[str, tuple[Any, Any]] = {
            "time": (Annotated[float, Option(unit="pixels²", above=0)], time),
            "dt": (Annotated[float | None, Option(unit="pixels²", above=0)], None),
            "step": (Annotated[str, Option(choices=tuple(steps))], "explicit-euler"),
            **({"spacetime": (bool, False)} if spacetime else {}),
        }
        own = inspect.signature(term_of, eval_str=True).parameters
        parameters = [
            inspect.Parameter("frames", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Frames),
            *own.values(),
            *(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
                for name, (kind, default) in common.items()
            ),
        ]
        defaults = {one.name: one.default for one in parameters[1:]}

        def evolved(frames: Frames, **given: Any) -> Iterable[Array]:
            options = defaults | given
            if "kappa" in own:
                options["kappa"] = _contrast(frames, options["kappa"])
                if options["kappa"] == 0:
                    return frames
            return evolution(options)(frames)

        def evolution(options: dict[str, Any]) -> FrozenFilter:
            term = term_of(**{name: options[name] for name in own})
            return evolving(term, **{name: options[name] for name in common})

        def extent(**options: Any) -> Extent:
            if "kappa" not in own or options["kappa"] is not None:
                return evolution(options).extent
            if options.get("conductance") == "tv":  # Its stable step depends on kappa.
                return unknown(options.get("spacetime", False))
            return Extent(first=WITHIN).then(evolution(options | {"kappa": 1.0}).extent)

        for name in ("__name__", "__qualname__", "__module__"):
            setattr(evolved, name, getattr(term_of, name))
        evolved.__doc__ = _documented(term_of, steps, spacetime)
        evolved.__annotations__ = {one.name: one.annotation for one in parameters}
        evolved.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return VideoFilter(evolved, extent, examples)

    return decorate


def evolving(
    term: Any, time: float, dt: float | None, step: str, spacetime: bool = False, unit: float = 1.0
) -> FrozenFilter:
    """Return the filter that evolves frames, or with `spacetime` the volume, by a term up to `time`.

    Times are in `unit`s of those that the user gave.
    """
    unbounded = dt is None and math.isinf(STEPS[step].stable_multiple)
    times = uniform(time, steps=_LARGE_STEPS) if unbounded else uniform(time, dt)
    bound = multiple_of(STEPS[step]) * bound_of(term, 3 if spacetime else 2)
    if dt is not None and times[1] - times[0] > bound * (1 + 1e-6):  # type: ignore[index]
        raise UnstableStepError(
            f"dt is {dt * unit:g}; the largest stable one for {step} is {bound * unit:g}: give at most that, leave dt "
            "out, or take the step implicit-euler (on the command line --dt, --step)"
        )
    if not spacetime:
        return framewise(term, times, STEPS[step])
    if step != "explicit-euler":
        raise ParameterError(f"step is {step!r}; along time (spacetime) it must be explicit-euler")
    return along_time(term, times)


def unknown(spacetime: bool) -> Extent:
    """Return the extent of an evolution whose number of steps is estimated."""
    return Extent(None, None, 1, None, WITHIN) if spacetime else Extent(cells=None, first=WITHIN)


def estimated_contrast(frames: Frames) -> float:
    """Return the contrast of the first frame that is not flat, 0 if there is none."""
    lively = frames.lively(1)
    if not lively:
        return 0.0
    # Where most of a picture is flat, a drawing say, the median of its contrasts is 0, and its edges are the few above.
    return estimate_kappa(lively) or estimate_kappa(lively, method="quantile") or 0.1 * float(np.ptp(lively[0]))


def tell_unchanged(frames: Frames, remedy: str) -> None:
    """Warn that a video is left as it is, since nothing was seen in it."""
    frames.report.setdefault("warnings", []).append(
        f"the first frames (of which {WITHIN} are looked at) are of one flat colour, so nothing was changed; {remedy}"
    )


def _contrast(frames: Frames, kappa: float | None) -> float:
    """Return kappa in units of the frames, estimated if it is not given; 0 if there is nothing but one flat colour."""
    contrast = estimated_contrast(frames) if kappa is None else kappa / frames.scale
    frames.report["kappa"] = contrast * frames.scale
    if contrast == 0:
        tell_unchanged(frames, "kappa (--kappa) tells what is an edge")
    return contrast


def _documented(term_of: Callable[..., Any], steps: Sequence[str], spacetime: bool) -> str:
    """Return the docstring with the options of the evolution, behind its own."""
    own = inspect.cleandoc(term_of.__doc__ or "")
    at = re.search(r"\n\n(?=See Also|References|Examples)", own)
    end = at.start() if at else len(own)
    named = "{" + ", ".join(f'"{name}"' for name in steps) + "}"
    shared = _EVOLUTION.replace("{steps}", named) + (_SPACETIME if spacetime else "") + _RAISES
    title = "" if "\nParameters\n" in own[:end] else "\nParameters\n----------\n"
    return f"{own[:end]}\n{title}{shared.rstrip()}{own[end:]}\n"
