"""Equations as filters with plain options, for recipes: numbers in units of the input, integrators by name."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pde_video.checks import check_positive
from pde_video.errors import ParameterError
from pde_video.estimate import estimate_kappa
from pde_video.filters.frames import Frames
from pde_video.filters.framewise import framewise
from pde_video.filters.lift import video_filter
from pde_video.filters.spacetime import spacetime as along_time
from pde_video.integrators import cycles, steps
from pde_video.integrators.times import uniform
from pde_video.protocols import Array
from pde_video.terms.heat import Heat
from pde_video.terms.perona_malik import PeronaMalik
from pde_video.terms.tensor import CoherenceEnhancing, EdgeEnhancing
from pde_video.terms.total_variation import TotalVariation

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
_WITHIN = 40  # Frames among which to look for one that is not of one flat colour: films fade in from black.


@video_filter
def heat(
    frames: Frames, *, time: float = 1.0, dt: float | None = None, step: str = "explicit-euler", spacetime: bool = False
) -> Iterator[Array]:
    """Blur: ∂I/∂t = ∇²I, up to `time`, in pixels², in steps of at most `dt`."""
    return _evolved(frames, Heat(), time, dt, step, spacetime)


@video_filter
def perona_malik(
    frames: Frames,
    *,
    kappa: float | None = None,
    time: float = 2.0,
    dt: float | None = None,
    conductance: str = "exponential",
    smoothing: float = 0.7,
    step: str = "explicit-euler",
    spacetime: bool = False,
) -> Iterator[Array]:
    """Smooth what differs by less than `kappa`, in units of the input, from pixel to pixel: see `PeronaMalik`."""
    contrast = _contrast(frames, kappa)
    if contrast == 0:
        return frames
    return _evolved(frames, PeronaMalik(contrast, conductance, smoothing=smoothing), time, dt, step, spacetime)


@video_filter
def tv(
    frames: Frames,
    *,
    time: float | None = None,
    epsilon: float | None = None,
    dt: float | None = None,
    step: str = "explicit-euler",
    spacetime: bool = False,
) -> Iterator[Array]:
    """Total variation flow, which lowers a bump of contrast c and radius r within time c·r/2: see `TotalVariation`.

    Times are in units of the input, times pixels. By default `time` is the contrast that `estimate_kappa` finds, and
    `epsilon` a tenth of it.
    """
    for name, value in {"time": time, "epsilon": epsilon, "dt": dt}.items():
        if value is not None:
            check_positive(**{name: value})
    scale = frames.scale
    contrast = _estimated(frames) if time is None or epsilon is None else 0.0
    time = contrast if time is None else time / scale
    epsilon = 0.1 * contrast if epsilon is None else epsilon / scale
    frames.report.update(time=time * scale, epsilon=epsilon * scale)
    if time == 0 or epsilon == 0:
        _tell_unchanged(frames, "time and epsilon (--time, --epsilon) tell how far to go")
        return frames
    return _evolved(frames, TotalVariation(epsilon), time, None if dt is None else dt / scale, step, spacetime)


@video_filter
def eed(
    frames: Frames,
    *,
    kappa: float | None = None,
    time: float = 5.0,
    dt: float | None = None,
    smoothing: float = 1.0,
    integration: float = 0.0,
    conductance: str = "rational",
    least: float = 0.01,
    step: str = "explicit-euler",
) -> Iterator[Array]:
    """Smooth along edges, and across them where they are fainter than `kappa`: see `EdgeEnhancing`."""
    contrast = _contrast(frames, kappa)
    if contrast == 0:
        return frames
    options: dict[str, Any] = {"smoothing": smoothing, "integration": integration, "least": least}
    return _evolved(frames, EdgeEnhancing(contrast, conductance=conductance, **options), time, dt, step)


@video_filter
def ced(
    frames: Frames,
    *,
    kappa: float | None = None,
    time: float = 5.0,
    dt: float | None = None,
    smoothing: float = 0.5,
    integration: float = 4.0,
    alpha: float = 0.001,
    step: str = "explicit-euler",
) -> Iterator[Array]:
    """Smooth along lines that are steeper than `kappa`, in units of the input per pixel: see `CoherenceEnhancing`."""
    contrast = _contrast(frames, kappa)
    if contrast == 0:
        return frames
    options: dict[str, Any] = {"smoothing": smoothing, "integration": integration, "alpha": alpha}
    return _evolved(frames, CoherenceEnhancing(contrast**4, **options), time, dt, step)


def _evolved(
    frames: Frames, term: Any, time: float, dt: float | None, step: str, spacetime: bool = False
) -> Iterator[Array]:
    fitting = [name for name in STEPS if name != "aos" or not isinstance(term, (EdgeEnhancing, CoherenceEnhancing))]
    if step not in fitting:
        raise ParameterError(f"step is {step!r}; for this equation it must be one of {', '.join(fitting)}")
    check_positive(time=time)
    unbounded = dt is None and math.isinf(STEPS[step].stable_multiple)
    times = uniform(time, steps=_LARGE_STEPS) if unbounded else uniform(time, dt)
    if not spacetime:
        return framewise(term, times, STEPS[step])(frames)
    if step != "explicit-euler":
        raise ParameterError(f"step is {step!r}; along time (spacetime) it must be explicit-euler")
    return along_time(term, times)(frames)


def _contrast(frames: Frames, kappa: float | None) -> float:
    """Return kappa in units of the frames, estimated if it is not given; 0 if there is nothing but one flat colour."""
    if kappa is not None:
        check_positive(kappa=kappa)
    contrast = _estimated(frames) if kappa is None else kappa / frames.scale
    frames.report["kappa"] = contrast * frames.scale
    if contrast == 0:
        _tell_unchanged(frames, "kappa (--kappa) tells what is an edge")
    return contrast


def _estimated(frames: Frames) -> float:
    """Return the contrast of the first frame that is not flat."""
    ahead = 1
    while not (lively := [frame for frame in frames.peek(ahead) if frame.min() < frame.max()]):
        if ahead == _WITHIN or len(frames.peek(ahead)) < ahead:
            return 0.0
        ahead = min(2 * ahead, _WITHIN)
    # Where most of a picture is flat, a drawing say, the median of its contrasts is 0, and its edges are the few above.
    return estimate_kappa(lively[:1]) or estimate_kappa(lively[:1], method="quantile") or _largest(lively[0])


def _tell_unchanged(frames: Frames, remedy: str) -> None:
    frames.report.setdefault("warnings", []).append(
        f"the first frames (of which {_WITHIN} are looked at) are of one flat colour, so nothing was changed; {remedy}"
    )


def _largest(frame: Array) -> float:
    return 0.1 * float(frame.max() - frame.min())
