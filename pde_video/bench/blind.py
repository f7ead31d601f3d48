"""Measures of denoisers without truth, on footage as it is: what they predict of noisy values that they do not see."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pde_video.bench.clips import Clip
from pde_video.bench.measuring import Benchmark, Row, add_row, begun, finite, lasting_flow, middle, timed
from pde_video.bench.methods import Method
from pde_video.denoising.denoise import denoise, measure_noise
from pde_video.errors import ParameterError
from pde_video.filters.conversion import to_gray
from pde_video.motion.optical_flow import occluded, warp
from pde_video.protocols import Array

MEASURES = ("held_out", "masked", "ms_per_frame", "processor_ms_per_frame")
AS_IT_IS = "footage as it is"
_EVERY = 4  # One frame in so many is held out,
_SIDE = 4  # and one pixel in squares of this side is masked.
Run = Callable[[Array], Array]


class Footage:
    """A noisy clip, float32 in [0, 1], and what of it is kept from denoisers."""

    def __init__(self, noisy: Array, seed: int = 1) -> None:
        held = range(_EVERY // 2, len(noisy) - 1, _EVERY)
        if not held:
            raise ParameterError(f"the clip has {len(noisy)} frames; measures without truth need at least {_EVERY}")
        self._noisy = noisy
        self._kept = np.setdiff1d(np.arange(len(noisy)), held)
        # All methods get the flow of one denoised version. The held-out frame is warped, not the result: interpolation
        # would remove noise that a method has left.
        guide = to_gray(np.asarray(denoise(noisy)))
        self._targets: list[tuple[int, Array, Array]] = []
        for frame in held:
            for beside in (frame - 1, frame + 1):
                there, back = lasting_flow(guide[beside], guide[frame]), lasting_flow(guide[frame], guide[beside])
                place = int(np.searchsorted(self._kept, beside))
                self._targets.append((place, warp(noisy[frame], there), ~occluded(there, back)))
        row, column = np.ogrid[: noisy.shape[1], : noisy.shape[2]]
        # In each frame another pixel of the square, so that the frames before and after show what is masked.
        order = np.random.default_rng(seed).permutation(_SIDE**2)[np.arange(len(noisy)) % _SIDE**2]
        self._mask = row % _SIDE * _SIDE + column % _SIDE == order[:, np.newaxis, np.newaxis]

    def held_out(self, run: Run) -> float:
        """Return the mean square, of 255, of a result less the noisy frame beside it, which the method was not given.

        One frame in four is taken away. Its neighbours as denoised without it are compared, where both show the same,
        with it, warped along the motion: error + noise of the frame + error of the motion, of which the last two are
        the same for all methods, and independent of the first if noise is new in every frame.
        """
        result = run(np.ascontiguousarray(self._noisy[self._kept]))
        squares = [np.square(result[k] - target, dtype=np.float64)[seen].ravel() for k, target, seen in self._targets]
        values = np.concatenate(squares)
        return 255**2 * float(values.mean()) if values.size else math.nan

    def masked(self, run: Run) -> float:
        """Return the mean square, of 255, of a result less the noisy values of pixels that the method was not given.

        J-invariant loss (Batson & Royer 2019, arXiv:1901.11365): one pixel in sixteen, of all channels, is replaced by
        the mean of its four neighbours. Error of what is predicted from the other pixels + noise, if the noise of
        neighbours and of frames is independent.
        """
        around = [(0, 0), (1, 1), (1, 1), (0, 0)][: self._noisy.ndim]
        padded = np.pad(self._noisy, around, mode="reflect")
        beside = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
        given = self._noisy.copy()
        given[self._mask] = beside[self._mask] / 4
        return 255**2 * float(np.mean(np.square((run(given) - self._noisy)[self._mask], dtype=np.float64)))


def run(
    clips: list[Clip], methods: list[Method], *, seed: int = 1, progress: Callable[[str], None] = lambda text: None
) -> Benchmark:
    """Return the benchmark of clips to which no noise is added; the strength of a peer has the least `held_out`."""
    footage = {clip.name: Footage(clip.frames, seed) for clip in clips}
    found, present = begun(clips, {AS_IT_IS: "No noise is added, and no truth is known."}, methods, seed, MEASURES)
    for clip in clips:
        kept = footage[clip.name]
        found.rows.append(Row(AS_IT_IS, clip.name, "noisy clip", "reference", **_figures(kept, lambda video: video)))
        for method in present:
            progress(f"{clip.name}: {method.name}")
            add_row(found, AS_IT_IS, clip.name, method, partial(_measured, method, clip.frames, kept))
    return found


def _figures(footage: Footage, run: Run) -> dict[str, Any]:
    return {"masked": finite(footage.masked(run)), "held_out": finite(footage.held_out(run))}


def _measured(method: Method, noisy: Array, footage: Footage) -> dict[str, Any]:
    times: dict[str, Any] = {}

    def at(*strength: float) -> Run:
        def run(video: Array) -> Array:
            result, taken = timed(method, video, *strength)
            times.update(taken)  # In the end, those of the frames that are not held out.
            return result

        return run

    if not method.factors:
        return _figures(footage, at()) | times
    part = Footage(middle(noisy)) if method.slow else footage
    level = method.white * _level(noisy)
    strengths = sorted({min(factor * level, method.most) for factor in method.factors})
    best = min(strengths, key=lambda strength: part.held_out(at(strength)))
    return _figures(footage, at(best)) | times | {"strength": f"{method.parameter} = {best:.3g}"}


def _level(noisy: Array) -> float:
    """Return the root-mean-square noise, as `measure_noise` finds it."""
    noise = measure_noise(noisy)
    return math.sqrt(max(0.0, noise.slope * float(noisy.mean()) + noise.offset))
