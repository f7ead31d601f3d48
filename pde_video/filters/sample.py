"""Videos drawn from noise: unconditionally, from a video, or after its last frame."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import numpy as np

from pde_video.arrays.grid import from_planes, to_planes
from pde_video.checks import check_whole
from pde_video.denoisers.pde import SmoothPrior
from pde_video.errors import ParameterError
from pde_video.filters import Frames, Option, video_filter
from pde_video.filters.reverse import reverse
from pde_video.filters.synthetic_noise import gaussian_noise
from pde_video.integrators.loop import evolve
from pde_video.protocols import Array, Denoiser, Drawing, Step, satisfies
from pde_video.reverse_process.hooks import Hook
from pde_video.reverse_process.reverse_term import Reverse
from pde_video.reverse_process.samplers import ancestral, replacement
from pde_video.reverse_process.schedules import Schedule, ddpm, range_width

_MOST_VALUES = 2**48  # No machine has the memory; NumPy counts little further.


def sample(
    shape: Sequence[int],
    denoiser: Denoiser | None = None,
    schedule: Schedule | None = None,
    rng: int | np.random.Generator = 0,
    *,
    steps: int = 100,
    step: Step | None = None,
    value_range: tuple[float, float] = (0, 1),
    known: Array | None = None,
    mask: Array | None = None,
    resample: int = 1,
    hooks: Sequence[Hook] = (),
    callback: Callable[[float, Array], object] | None = None,
) -> Array:
    """Draw a video from the distribution that a denoiser implies: the reverse process from pure noise.

    y ← evolve(Reverse(denoiser), σ_max z, ddpm(schedule, steps), step=ancestral(rng)), z ~ N(0, I). A schedule with
    infinite noise at its end (zero terminal SNR) begins with D(z, ∞) + σ₁ z, with a new z for steps that draw.

    Parameters
    ----------
    shape : (T, H, W, C) or (H, W, C)
        Shape of the video or picture to draw.
    denoiser : Denoiser, optional
        (y, σ) → estimate. Default: `SmoothPrior`, which draws smooth clouds.
    schedule : Schedule, optional
        The noise levels that the denoiser's model was trained with. Default: ``Schedule.linear()``.
    rng : int or numpy.random.Generator
        Seed, or generator to draw from.
    steps : int
        Number of levels visited, from 1 to that of the schedule.
    step : Step, optional
        Default: ``ancestral(rng)``, which is DDPM; ``ddim(...)``, ``explicit_euler`` or ``heun`` are others.
    value_range : (float, float)
        What 0 and 1 of the frames are in the units of the schedule's model.
    known, mask : ndarray, optional
        Known clean values, and a bool mask of where they are (with or without channels); the rest is drawn to match.
    resample : int
        With `known`, repetitions of each level, ≥ 1; more of them match both parts better.
    hooks : sequence of callable
        Applied to each estimate, as for `Reverse`: `clip_estimate`, `dynamic_threshold`, `guidance`, …
    callback : callable (σ, state), optional
        As for `evolve`.

    Returns
    -------
    ndarray of float32, of that shape.

    Raises
    ------
    ParameterError, InputError
        If a value is out of range, only one of `known` and `mask` is given, they do not fit, or the denoiser fails.

    References
    ----------
    Ho, Jain & Abbeel (2020), arXiv:2006.11239. Lugmayr et al. (2022), arXiv:2201.09865, on `known`.

    Examples
    --------
    >>> clouds = pv.sample((4, 16, 16, 1), rng=1, steps=20)
    >>> clouds.shape, clouds.dtype, bool(0.2 < clouds.mean() < 0.8)
    ((4, 16, 16, 1), dtype('float32'), True)
    """
    shape = tuple(shape)
    if len(shape) not in (3, 4):
        raise ParameterError(f"shape is {shape}; it must be (T, H, W, C), or (H, W, C) for a picture")
    check_whole(1, **{f"shape[{axis}]": n for axis, n in enumerate(shape)})
    if math.prod(map(int, shape)) > _MOST_VALUES:
        raise ParameterError(f"shape is {shape}, more values than any memory holds; draw a smaller video")
    if (known is None) != (mask is None):
        raise ParameterError("known (the values) and mask (where they are) go together; give both or neither")
    denoiser, generator = denoiser or SmoothPrior(), np.random.default_rng(rng)
    times = ddpm(schedule or Schedule.linear(), steps, value_range=value_range)
    step = step or ancestral(generator)
    if known is not None and mask is not None:
        if np.shape(known) != shape:
            raise ParameterError(f"known has shape {np.shape(known)}; it must be that of the video, {shape}")
        step = replacement(known, mask, generator, step=step, resample=resample, channel_axis=-1)
    z = generator.standard_normal(shape, np.float32)
    zero = np.float32(-value_range[0] / range_width(value_range))  # Where the model has its 0, in units of the frames.
    term, start = Reverse(denoiser, tuple(hooks)), zero + np.float32(times[0]) * z
    if math.isinf(times[0]):  # Zero terminal SNR: there the state is the noise alone, in units of the noise.
        estimate = from_planes(term.estimate(math.inf, to_planes(z, -1)), -1)
        if satisfies(step, Drawing):  # A step that draws forgets noise that was infinite.
            z = generator.standard_normal(shape, np.float32)
        times = times[1:]
        start = estimate + np.float32(times[0]) * z
        if known is not None and mask is not None:
            there = np.asarray(mask)[..., np.newaxis] if np.ndim(mask) < len(shape) else mask
            start = np.where(there, np.asarray(known, np.float32) + np.float32(times[0]) * z, start)
    return evolve(term, start, times, step=step, channel_axis=-1, callback=callback)


@video_filter
def refine(
    frames: Frames,
    strength: Annotated[float, Option(least=0, most=1)],
    *,
    denoiser: Denoiser | None = None,
    schedule: Schedule | None = None,
    rng: Annotated[int, Option(least=0, name="seed")] = 0,
    steps: Annotated[int, Option(least=1)] = 20,
    step: Step | None = None,
    value_range: tuple[float, float] = (0, 1),
    hooks: Sequence[Hook] = (),
) -> Iterator[Array]:
    """Add noise to a video and remove it by the reverse process, which draws details finer than the noise anew.

    y = frame + σ z with σ = σ(strength · (T − 1)) of the schedule; frame ← evolve(Reverse(denoiser), y, ddpm(...))

    Parameters
    ----------
    strength : float
        0 (nothing is changed) to 1 (nothing is kept).
    denoiser, schedule, rng, steps, step, value_range, hooks
        As for `sample`; `rng` is a seed that gives every frame different random numbers.

    Raises
    ------
    ParameterError
        If a value is out of range, or the schedule ends in infinite noise and `strength` is 1.

    References
    ----------
    Meng et al. (2022), SDEdit, arXiv:2108.01073.

    Examples
    --------
    >>> video = np.full((2, 16, 16), 0.5)
    >>> float(abs(pv.refine(video, 0.02, steps=5) - video).max()) < 0.2
    True
    """
    schedule = schedule or Schedule.linear()
    if strength == 0:
        return frames
    sigma = float(schedule.sigma(strength * (len(schedule) - 1))) / range_width(value_range)
    if math.isinf(sigma):
        raise ParameterError("the schedule ends in infinite noise, which leaves no frame; give a strength below 1")
    times = ddpm(schedule, steps, start=sigma, value_range=value_range)
    noisy = gaussian_noise(frames, sigma * frames.scale, rng=rng)
    return reverse(denoiser or SmoothPrior(), times, step or ancestral(rng + 1), hooks=hooks)(noisy)


@video_filter
def predict(
    frames: Frames,
    *,
    count: Annotated[int, Option(unit="frames", least=0)] = 1,
    given: Annotated[int, Option(unit="frames", least=1)] = 4,
    denoiser: Denoiser | None = None,
    schedule: Schedule | None = None,
    rng: int | np.random.Generator = 0,
    steps: Annotated[int, Option(least=1)] = 100,
    step: Step | None = None,
    value_range: tuple[float, float] = (0, 1),
    resample: Annotated[int, Option(least=1)] = 1,
    hooks: Sequence[Hook] = (),
) -> Iterator[Array]:
    """Append frames that a denoiser predicts after the last ones.

    sample((given + count, H, W, C), known=the last frames, mask=where they are)

    Parameters
    ----------
    count : int
        Frames to append, ≥ 0.
    given : int
        Last frames to start from, ≥ 1; all if there are fewer.
    denoiser : Denoiser, optional
        One that sees several frames at once, or runs along them. Default: `SmoothPrior`, which has no model of motion
        and continues with blurred clouds.
    schedule, rng, steps, step, value_range, resample, hooks
        As for `sample`.

    Returns
    -------
    Video of the same kind and dtype, with T + `count` frames.

    Raises
    ------
    ParameterError, InputError
        As for `sample`.

    References
    ----------
    Ho et al. (2022), Video diffusion models, arXiv:2204.03458. Lugmayr et al. (2022), arXiv:2201.09865.

    Examples
    --------
    >>> pv.predict(np.full((3, 8, 8), 0.5), count=2, steps=20).shape
    (5, 8, 8)
    """
    last: deque[Array] = deque(maxlen=given)
    for frame in frames:
        last.append(frame)
        yield frame
    if not count:
        return
    known = np.stack([*last, *[np.zeros_like(last[0])] * count])
    mask = np.zeros(known.shape[:-1], bool)
    mask[: len(last)] = True
    options: dict[str, Any] = {"steps": steps, "step": step, "value_range": value_range, "resample": resample}
    drawn = sample(known.shape, denoiser, schedule, rng, known=known, mask=mask, hooks=hooks, **options)
    yield from drawn[len(last) :].astype(last[0].dtype)
