"""Filters made of equations: options of the evolution, and a contrast that is estimated."""

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np

from pde_video.errors import ParameterError, UnstableStepError
from pde_video.estimate.contrast import estimate_kappa
from pde_video.filters import Extent, Frames, FrozenFilter, Option
from pde_video.filters.declarations import declared
from pde_video.filters.filter import VideoFilter
from pde_video.filters.frames import WITHIN
from pde_video.filters.framewise import framewise
from pde_video.filters.spacetime import spacetime as along_time
from pde_video.integrators.cycles import fed, fsi, rkl2
from pde_video.integrators.loop import ROUNDING, uniform
from pde_video.integrators.steps import aos, crank_nicolson, explicit_euler, heun, implicit_euler
from pde_video.protocols import Array, bound_of, multiple_of

STEPS: dict[str, Any] = {
    step.__name__.replace("_", "-"): step
    for step in (explicit_euler, heun, implicit_euler, crank_nicolson, aos, fed, fsi, rkl2)
}
_SHARE = 0.8  # Of the largest stable step: at that itself a chessboard changes its sign with every step, and stays.
_LARGE_STEPS = 5  # Of unconditionally stable integrators, which could take one: AOS and cycles need several.

_FRAMES = inspect.Parameter("frames", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Frames)
_LONGEST = (
    "Longest step in pixels², > 0; an unstable one is refused. "
    "Default: 0.8 of the largest stable step, or a fifth of the time for unconditionally stable steps."
)
_SEE_ALSO = "\n\nSee Also\n--------\n{} : The equation as a term.\n"


def equation(
    *,
    time: float | None,
    examples: Sequence[str],
    tensor: bool = False,
    unit: str = "pixels²",
    estimated: Mapping[str, float] = MappingProxyType({"kappa": 1.0}),
    remedy: str = "set kappa (--kappa), the contrast of edges",
) -> Callable[[Callable[..., Any]], VideoFilter]:
    """Make a filter, and so a command, of a function that returns the term for its options.

    Options of the evolution (time and dt in `unit`, step, spacetime) are added. Diffusion by a `tensor` is planar and
    does not split along the axes, so it has neither spacetime nor AOS. `estimated` has the options whose default is a
    multiple of the video's contrast. The function gets values in units of the frames.
    """
    steps = tuple(name for name in STEPS if not (tensor and name == "aos"))

    def decorate(term_of: Callable[..., Any]) -> VideoFilter:
        common: dict[str, tuple[Any, Any]] = {  # Annotation and default.
            "time": (Annotated[float, Option(unit=unit, above=0, text="Diffusion time in pixels², > 0.")], time),
            "dt": (Annotated[float | None, Option(unit=unit, above=0, text=_LONGEST)], None),
            "step": (Annotated[str, Option(choices=steps, text="Integrator.")], "explicit-euler"),
        }
        if not tensor:
            common["spacetime"] = (Annotated[bool, Option(text="Diffuse in time as well, but not across cuts.")], False)
        signature = inspect.signature(term_of, eval_str=True)
        own, term_name = signature.parameters, signature.return_annotation.__name__
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for name, (kind, default) in common.items()
        ]
        parameters = [*own.values(), *added]
        defaults = {one.name: one.default for one in parameters}
        multiples = {name: multiple for name, multiple in estimated.items() if name in defaults}

        @functools.wraps(term_of)
        def evolved(frames: Frames, **given: Any) -> Iterable[Array]:
            options, scale = defaults | given, frames.scale
            for name, one in declared(evolved).items():
                if one.option.unit.startswith("input") and options[name] is not None:
                    options[name] = options[name] / scale
            missing = [name for name in multiples if options[name] is None]
            contrast = _contrast(frames) if missing else 0.0
            options |= {name: multiples[name] * contrast for name in missing}
            frames.report.update({name: options[name] * scale for name in multiples})
            if all(options[name] > 0 for name in multiples):
                return evolution(options, scale if unit.startswith("input") else 1.0)(frames)
            frames.report.setdefault("warnings", []).append(
                f"the first frames (up to {WITHIN} are examined) are constant, so the contrast is unknown and nothing "
                f"was changed; {remedy}"
            )
            return frames

        def evolution(options: dict[str, Any], scale: float = 1.0) -> FrozenFilter:
            term = term_of(**{name: options[name] for name in own})
            return evolving(term, **{name: options[name] for name in common}, unit=scale)

        def extent(**options: Any) -> Extent:
            missing = [name for name in multiples if options[name] is None]
            first = WITHIN if missing else 0
            if missing in ([], ["kappa"]) and options.get("conductance") != "tv":
                return Extent(first=first).then(evolution(options | dict.fromkeys(missing, 1.0)).extent)
            frames = None if options.get("spacetime") else 0  # The number of steps depends on the contrast.
            return Extent(frames, frames, 1, None, first)

        evolved.__doc__ = inspect.cleandoc(term_of.__doc__ or "") + _SEE_ALSO.format(term_name)
        evolved.__signature__ = inspect.Signature([_FRAMES, *parameters])  # type: ignore[attr-defined]
        return VideoFilter(evolved, extent, examples)

    return decorate


def evolving(
    term: Any, time: float, dt: float | None, step: str, spacetime: bool = False, unit: float = 1.0
) -> FrozenFilter:
    """Return the filter that evolves frames, or with `spacetime` the volume, by a term up to `time`.

    `unit` converts times to the user's units in errors.
    """
    bound = multiple_of(STEPS[step]) * bound_of(term, 3 if spacetime else 2)
    unbounded = dt is None and math.isinf(bound)
    times = uniform(time, steps=_LARGE_STEPS) if unbounded else uniform(time, _SHARE * bound if dt is None else dt)
    if dt is not None and times[1] - times[0] > bound * (1 + ROUNDING):  # type: ignore[index]
        raise UnstableStepError(
            f"dt is {dt * unit:g}; the largest stable one for {step} is {bound * unit:g}: give at most that, leave dt "
            "out, or use the step implicit-euler (on the command line --dt, --step)"
        )
    if not spacetime:
        return framewise(term, times, STEPS[step])
    if step != "explicit-euler":
        raise ParameterError(f"step is {step!r}; with spacetime it must be explicit-euler")
    return along_time(term, times)


def _contrast(frames: Frames) -> float:
    """Return the contrast of the first frame that is not flat, 0 if there is none."""
    lively = frames.lively(1)
    if not lively:
        return 0.0
    # In a mostly flat picture, such as a drawing, the median contrast is 0, and only the few values above are edges.
    return estimate_kappa(lively) or estimate_kappa(lively, method="quantile") or 0.1 * float(np.ptp(lively[0]))
