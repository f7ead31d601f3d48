"""The reverse process on video: a denoiser applied at decreasing noise levels."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pde_video.arrays.grid import from_planes, to_planes
from pde_video.checks import check_denoiser
from pde_video.denoisers.validation import as_estimate, naming
from pde_video.errors import ParameterError
from pde_video.filters import EVERYTHING, Extent, Frames, FrozenFilter
from pde_video.integrators.loop import check_finite, evolve
from pde_video.protocols import Along, Array, Denoiser, Drawing, Step, for_frames, name_of, satisfies, sees_several
from pde_video.reverse_process.hooks import Hook
from pde_video.reverse_process.reverse_term import Reverse
from pde_video.reverse_process.samplers import posterior_mean


@dataclass(frozen=True, eq=False, repr=False)
class reverse(FrozenFilter):
    """Filter that runs the reverse process from the noise level ``times[0]`` down to ``times[-1]``.

    frame ← evolve(Reverse(denoiser), frame, times, step=step). A denoiser that uses neighbouring frames or a state (it
    has ``along(frames, sigma)``) runs along the video once for each level. The levels are chained in one pass, and each
    holds as many frames as the denoiser does.

    Parameters
    ----------
    denoiser : Denoiser
        (y, σ) → estimate of the clean frames, in units of the frames: integers are seen as floats in [0, 1]. One
        without ``along`` is called for several frames at once, from several threads.
    times : sequence of float
        Noise levels σ, decreasing, ≥ 0, as `ddpm` and `karras` give them; the first is that of the video's noise.
    step : Step
        `posterior_mean` to denoise; `ancestral`, `ddim` or `explicit_euler` to sample. With a denoiser that runs along
        the video, a step may evaluate the rate only at its start, which excludes `heun`.
    hooks : sequence of callable
        Applied to each estimate, as for `Reverse`.

    Raises
    ------
    ParameterError
        If `times` are not finite and decreasing; by the filter, as for `evolve` and the denoiser.

    References
    ----------
    Ho, Jain & Abbeel (2020), arXiv:2006.11239. Fesl et al. (2025), arXiv:2403.02957, on posterior means.

    Examples
    --------
    >>> clean = np.zeros((3, 16, 16))
    >>> noisy = clean + np.random.default_rng(0).normal(0, 0.1, clean.shape)
    >>> means = pv.reverse(pv.as_denoiser(pv.Heat(), gamma=0.01), pv.karras(5, sigma_max=0.1))
    >>> bool(np.std(means(noisy)) < 0.05)
    True
    """

    denoiser: Denoiser
    times: Any
    step: Step = posterior_mean
    _: KW_ONLY
    hooks: Sequence[Hook] = ()

    def __post_init__(self) -> None:
        denoiser, times = self.denoiser, self.times
        check_denoiser(denoiser)
        levels = np.asarray(times, float)
        if levels.ndim != 1 or len(levels) < 2 or not (np.isfinite(levels).all() and (np.diff(levels) < 0).all()):
            told = f"times are {times!r}"
            raise ParameterError(f"{told}; they must be at least two finite noise levels, each below the last")
        if levels[-1] < 0:
            raise ParameterError(f"the last noise level is {levels[-1]:g}; it must be 0 or positive")
        if not satisfies(denoiser, Along) and sees_several(denoiser):
            raise ParameterError(
                f"{name_of(denoiser)} sees several frames at once, and a stream comes frame by frame; say how many: "
                "windowed(lambda window, sigma: denoiser(window, sigma)[2], before=2, after=2), or evolve a whole array"
            )
        object.__setattr__(self, "times", tuple(levels.tolist()))
        object.__setattr__(self, "hooks", tuple(self.hooks))

    def _apply(self, frames: Frames) -> Iterable[Array]:
        of_frame = for_frames(self.step)
        level: Iterable[tuple[Array, Step]] = ((frame, of_frame(number)) for number, frame in enumerate(frames))
        if satisfies(self.denoiser, Along):
            for t0, t1 in pairwise(self.times):
                level = _denoised_to(level, self.denoiser, self.hooks, t0, t1)
            return (frame for frame, _ in level)
        # Denoisers of this library have a name, and check what they return themselves.
        named = isinstance(getattr(self.denoiser, "name", None), str)
        term = Reverse(self.denoiser if named else _Checked(self.denoiser), tuple(self.hooks))

        def denoised(numbered: tuple[int, tuple[Array, Step]], out: Array | None) -> Array:
            number, (frame, step) = numbered
            with naming(f"frame {number}"):
                return evolve(term, frame, self.times, step=step, channel_axis=-1, out=out)

        return frames.mapped(denoised, enumerate(level))

    @property
    def extent(self) -> Extent:
        """How far it looks: nothing is known of a denoiser that sees other frames, or of a step that draws."""
        if satisfies(self.denoiser, Along):
            return EVERYTHING
        return Extent(before=None if satisfies(self.step, Drawing) else 0, cells=None)


@dataclass(frozen=True)
class _Checked:
    """A denoiser whose errors name it and the noise level."""

    denoiser: Denoiser

    def __call__(self, y: Array, sigma: float) -> Array:
        with naming(f"{name_of(self.denoiser)} at sigma = {sigma:g}"):
            return as_estimate(self.denoiser(y, sigma), y.shape, y.dtype)


@dataclass(frozen=True)
class _Made:
    """An estimate that is there already, as a denoiser."""

    estimate: Array
    level: float

    def __call__(self, y: Array, sigma: float) -> Array:
        if sigma != self.level:
            raise ParameterError(
                f"the step evaluates the denoiser at {sigma:g} on its way from {self.level:g}; this one runs along the "
                "video once for each level: use posterior_mean, ancestral, ddim or explicit_euler"
            )
        return self.estimate


def _denoised_to(
    frames: Iterable[tuple[Array, Step]], denoiser: Any, hooks: Sequence[Hook], t0: float, t1: float
) -> Iterator[tuple[Array, Step]]:
    """Yield the frames at the noise level `t1`, each with its own step, from those at `t0`."""
    waiting: deque[tuple[Array, Step]] = deque()

    def drawn() -> Iterator[Array]:
        for frame, step in frames:
            waiting.append((frame, step))
            yield frame

    for estimate in denoiser.along(drawn(), t0):
        frame, step = waiting.popleft()
        state = step(Reverse(_Made(estimate, t0), tuple(hooks)), t0, t1, to_planes(frame, -1))
        check_finite(state, t0, t1)
        yield np.ascontiguousarray(from_planes(state, -1)), step
