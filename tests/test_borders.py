"""Noise is measured within black bars and masks, as if they were cut off."""

from __future__ import annotations

import numpy as np
import pytest
from cases import slow
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.estimate.borders import _largest, within_borders

SIGMA = 15.0


def scene(rng, frames=6, size=(160, 192)):
    """A texture that moves, and the same with noise."""
    ground = 128 + 250 * gaussian_filter(rng.standard_normal((size[0] + 30, size[1] + 30)), 4)
    clean = np.stack([ground[k : k + size[0], 2 * k : 2 * k + size[1]] for k in range(frames)])
    noisy = np.clip(np.rint(clean + SIGMA * rng.standard_normal(clean.shape)), 1, 255)
    return clean, noisy.astype(np.uint8)


def masked(kind, size=(160, 192)):
    """Where a picture is black."""
    y, x = np.mgrid[: size[0], : size[1]]
    return {
        "bars": (y < 24) | (y >= 136),
        "pillars": (x < 40) | (x >= 152),
        "wide": (y < 56) | (y >= 112),
        "round": (y - 79.5) ** 2 + (x - 95.5) ** 2 > 68**2,
    }[kind]


@pytest.mark.parametrize("kind", ["pillars", "round", *slow("bars", "wide")])
def test_noise_is_that_within_the_borders(kind, rng):
    clean, noisy = scene(rng)
    inside = ~masked(kind)
    video = noisy * inside.astype(np.uint8)
    noise = pv.measure_noise(video)
    assert (noise.slope, noise.fixed) == (0, 0)
    assert noise.sigma == pytest.approx(SIGMA, rel=0.05)
    denoised = pv.denoise(video)
    errors = [np.square(one.astype(float) - clean)[:, inside].mean() for one in (noisy, denoised)]
    assert errors[1] < errors[0] / 8


def test_the_picture_is_cut_to_what_no_border_touches(rng):
    _, noisy = scene(rng)
    frames = list(noisy[..., np.newaxis].astype(np.float32))

    def found(kind):
        rows, columns = within_borders([np.where(masked(kind)[..., np.newaxis], 0, one) for one in frames])
        return rows.start, rows.stop, columns.start, columns.stop

    whole = (slice(0, 160), slice(0, 192))
    assert within_borders(frames) == whole
    assert found("bars") == (24, 136, 0, 192)
    assert found("pillars") == (0, 160, 40, 152)
    top, bottom, left, right = found("round")
    assert (bottom - top) * (right - left) > 0.5 * np.count_nonzero(~masked("round"))
    assert within_borders([np.zeros((160, 192, 1))] * 3) == whole
    assert within_borders([]) == (slice(0, 0), slice(0, 0))
    moving = [np.where(np.arange(160)[:, None, None] < 24, k, one) for k, one in enumerate(frames)]
    assert within_borders(moving) == whole  # What changes is no border.
    specks = np.zeros((160, 192, 1))
    for y, x in np.ndindex(4, 5):
        specks[16 + 32 * y : 24 + 32 * y, 16 + 32 * x : 24 + 32 * x] = 1
    assert within_borders([specks] * 3) == whole  # As rare photons: what is left is in many parts.


def test_the_largest_rectangle_is_as_large_as_by_trying_all(rng):
    for share in (0.2, 0.5, 0.9):
        free = rng.random((7, 9)) < share
        areas = [
            (b - t) * (r - left)
            for t in range(7)
            for b in range(t + 1, 8)
            for left in range(9)
            for r in range(left + 1, 10)
            if free[t:b, left:r].all()
        ]
        top, bottom, left, right = _largest(free)
        assert free[top:bottom, left:right].all()
        assert (bottom - top) * (right - left) == max(areas, default=0)
