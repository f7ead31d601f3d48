"""Motion of a camera between two frames: the similarity that most of the picture follows."""

from __future__ import annotations

import cmath
from typing import NamedTuple

import numpy as np
from scipy import fft

from pde_video.motion.averaging import halved
from pde_video.motion.noisy_flow import flow_between, pyramid
from pde_video.protocols import Array
from pde_video.restoration.homography import SIMILARITY, Details, details
from pde_video.restoration.tracking import levels as details_of

_SMALLEST = 16  # Pixels along the shorter side of frames whose motion is told.
_UNIT, _SMOOTHNESS = 0.25, 20.0  # Of the flow: standard deviations of a frame; weight.
_COARSE = 64  # Pixels along the shorter side from which on the flow is estimated at half the size.
_ROUNDS, _SHARP, _LEAST = 8, 2.0, 1e-3  # Of reweighting the flow; medians of the residual; pixels.
_SIZES, _REFINED = 2, 8  # Largest sizes at which details are compared; iterations.
_STEP = 2.0**-24  # Of both numbers, the second in units of half a side: rounding differs from machine to machine.


class Similarity(NamedTuple):
    """z ↦ turn · z + shift, for places z = column + i · row in pixels, relative to the middle of a frame."""

    turn: complex = 1.0 + 0.0j
    shift: complex = 0.0 + 0.0j

    def then(self, later: Similarity) -> Similarity:
        """Return both motions as one."""
        return Similarity(later.turn * self.turn, later.turn * self.shift + later.shift)

    def inverse(self) -> Similarity:
        """Return the motion back."""
        return Similarity(1 / self.turn, -self.shift / self.turn)

    def numbers(self) -> Array:
        """Return the logarithm of the scale, the angle, and the shift along columns and rows."""
        turned = cmath.log(self.turn)
        return np.array([turned.real, turned.imag, self.shift.real, self.shift.imag])

    @classmethod
    def of(cls, numbers: Array) -> Similarity:
        """Return the motion with these numbers."""
        scale, angle, right, down = map(float, numbers)
        return cls(cmath.exp(complex(scale, angle)), complex(right, down))

    def flow(self, size: tuple[int, int]) -> Array:
        """Return where the pixels of a frame (H, W) go, relative to where they are: (2, H, W)."""
        row, column = (np.arange(n) - (n - 1) / 2 for n in size)
        z = column + 1j * row[:, np.newaxis]
        moved = (self.turn - 1) * z + self.shift
        return np.stack([moved.imag, moved.real])

    def farthest(self, size: tuple[int, int]) -> tuple[float, float]:
        """Return how far a corner of a frame (H, W) moves at most, in rows and in columns."""
        corners = [complex(s * (size[1] - 1) / 2, t * (size[0] - 1) / 2) for s in (-1, 1) for t in (-1, 1)]
        moved = [(self.turn - 1) * z + self.shift for z in corners]
        return max(abs(one.imag) for one in moved), max(abs(one.real) for one in moved)


def camera_motion(before: Array, here: Array) -> Similarity | None:
    """Return where the pixels of a picture (H, W) are in the next; None if that is not told better than by no motion.

    It is that on which details agree, from no motion, that of the optical flow, or a shift on, as more parts favour.
    """
    if min(here.shape) < _SMALLEST or not (before.std() and here.std()):
        return None
    sizes: list[Details] = details_of(before, here)[:_SIZES]
    matrix, *others = (_refined(sizes[-1], start(before, here)) for start in (_still, _by_flow, _by_correlation))
    for other in others:
        matrix = other if sizes[-1].favours(other, matrix) > 0 else matrix
    for one in sizes[-2::-1]:
        matrix = _refined(one, matrix)
    if not np.isfinite(matrix).all() or sizes[0].favours(matrix, np.eye(3)) <= 0:
        return None
    rounded, unit = np.rint(matrix / matrix[2, 2] / _STEP) * _STEP, max(here.shape) / 2
    return Similarity(complex(rounded[0, 0], rounded[1, 0]), unit * complex(rounded[0, 2], rounded[1, 2]))


def _refined(compared: Details, matrix: Array) -> Array:
    return compared.refined(matrix, SIMILARITY, rounds=_REFINED).homography.matrix


def _still(before: Array, here: Array) -> Array:
    return np.eye(3)


def _by_correlation(before: Array, here: Array) -> Array:
    """Return the shift, as a matrix, at which the details of halved pictures have the largest product."""
    small = [details(halved(one[np.newaxis])[0].astype(np.float64)) for one in (before, here)]
    shape = [fft.next_fast_len(2 * n, real=True) for n in small[0].shape]
    first, second = (fft.rfft2(one, shape) for one in small)
    products = fft.irfft2(np.conj(first) * second, shape)
    peak = np.unravel_index(int(np.argmax(products)), products.shape)
    down, right = (
        (at if at < n // 2 else at - n) * 2 / (max(before.shape) / 2) for at, n in zip(peak, shape, strict=True)
    )
    return np.array([[1, 0, right], [0, 1, down], [0, 0, 1.0]])


def _by_flow(before: Array, here: Array) -> Array:
    """Return the similarity, as a matrix, that fits the flow best, in units of half the longer side."""
    small = [pyramid(halved(one[np.newaxis])[0]) for one in (before, here)]
    scale = np.float32(1 / (_UNIT * float(small[0][0].std(dtype=np.float64)) or 1.0))
    coarse = int(min(small[0][0].shape) >= _COARSE)
    first, second = ([scale * level for level in levels[coarse:]] for levels in small)
    flow = flow_between(first, second, _SMOOTHNESS)
    size, unit = 2 << coarse, max(before.shape) / 2
    row, column = (size / unit * (np.arange(n) - (n - 1) / 2) for n in flow.shape[1:])
    z, w = column + 1j * row[:, np.newaxis], size / unit * (flow[1].astype(np.float64) + 1j * flow[0])
    weight = np.ones(z.shape)
    for _ in range(_ROUNDS):
        weight /= weight.sum()
        middle, mean = (weight * z).sum(), (weight * w).sum()
        turn = (weight * (w - mean) * np.conj(z - middle)).sum() / (weight * np.abs(z - middle) ** 2).sum()
        apart = np.abs(w - mean - turn * (z - middle))
        weight = 1 / np.square(1 + np.square(apart / max(_SHARP * float(np.median(apart)), _LEAST / unit)))
    shift, turn = mean - turn * middle, 1 + turn
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag], [0, 0, 1]])
