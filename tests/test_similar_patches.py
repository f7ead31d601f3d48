"""Wiener filters of similar patches, held to NumPy, group by group, in double precision."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from scipy.fft import dctn, idctn

from pde_video.kernels.tiles import products, squares
from pde_video.solvers.similar_patches import refined

GROUP, TREATED, SOUGHT, STEP = 32, 16, 16, 4


def starts(length):
    return sorted({*range(0, length - 8, STEP), length - 8})


def by_hand(planes, pilot, variance, spectra=None):
    """Every group gathered, filtered in coefficients with noise of variance 1, and all changes averaged."""
    height, width = variance.shape
    scale = np.ones((len(planes), 8, 8)) if spectra is None else np.sqrt(spectra)
    total, count = np.zeros_like(planes), np.zeros((height, width))
    every = np.lib.stride_tricks.sliding_window_view(pilot, (8, 8), (1, 2))
    for y in starts(height):
        for x in starts(width):
            top, left = (max(0, min(a - SOUGHT // 2, n - 23)) for a, n in ((y, height), (x, width)))
            near = every[:, top : top + SOUGHT, left : left + SOUGHT]
            distances = ((near - every[:, y : y + 1, x : x + 1]) ** 2).sum(axis=(0, 3, 4))
            places = np.argsort(distances, axis=None, kind="stable")[:GROUP]
            corners = [(top + k // SOUGHT, left + k % SOUGHT) for k in places]
            for c, plane in enumerate(planes):
                p, u = (
                    np.stack([dctn(a[i : i + 8, j : j + 8], norm="ortho") / scale[c] for i, j in corners]).reshape(
                        -1, 64
                    )
                    for a in (pilot[c], plane)
                )
                mean = p.mean(axis=0)
                covariance = (p - mean).T @ (p - mean) / GROUP
                noise = variance[y : y + 8, x : x + 8].mean()
                wiener = np.linalg.solve(covariance + noise * np.eye(64), covariance)
                change = ((u - mean) @ wiener + mean - p)[:TREATED].reshape(-1, 8, 8) * scale[c]
                for (i, j), z in zip(corners, change, strict=False):
                    total[c, i : i + 8, j : j + 8] += idctn(z, norm="ortho")
                    if c == 0:
                        count[i : i + 8, j : j + 8] += 1
    return pilot + total / count


def case(shape, rng, channels=1, dtype=np.float64):
    rows, columns = np.indices(shape)
    clean = np.stack([5 * np.sin(rows / (2 + c)) * np.cos(columns / 3) + 0.2 * columns for c in range(channels)])
    variance = 0.2 + rng.random(shape)
    planes = clean + np.sqrt(variance) * rng.normal(size=clean.shape)
    pilot = clean + 0.2 * rng.normal(size=clean.shape)
    return planes.astype(dtype), pilot.astype(dtype), variance.astype(dtype)


@pytest.mark.parametrize(("shape", "channels"), [((23, 23), 1), ((41, 27), 2)], ids=str)
def test_it_is_the_wiener_filter_of_every_group(shape, channels, rng):
    planes, pilot, variance = case(shape, rng, channels)
    wanted = by_hand(planes, pilot, variance)
    np.testing.assert_allclose(refined(planes, pilot, variance), wanted, atol=1e-10)
    assert np.abs(wanted - pilot).max() > 0.1


def test_a_spectrum_is_the_variance_in_each_coefficient(rng):
    planes, pilot, variance = case((24, 30), rng, 2)
    spectra = rng.uniform(0.1, 3, (2, 8, 8))
    wanted = by_hand(planes, pilot, variance, spectra)
    np.testing.assert_allclose(refined(planes, pilot, variance, spectra=spectra), wanted, atol=1e-10)
    flat = refined(planes, pilot, variance, spectra=np.ones((2, 8, 8)))
    np.testing.assert_allclose(flat, refined(planes, pilot, variance), atol=1e-10)


def test_the_result_is_the_pilot_of_the_next_time(rng):
    planes, pilot, variance = case((24, 30), rng)
    assert refined(planes, pilot, variance, times=0) is pilot
    once = refined(planes, pilot, variance)
    np.testing.assert_array_equal(refined(planes, pilot, variance, times=2), refined(planes, once, variance))


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (22, 9)], ids=str)
def test_small_frames_are_reflected(shape, rng):
    planes, pilot, variance = case(shape, rng)
    most = [(0, max(0, 23 - n)) for n in shape]
    around = [np.pad(a, [(0, 0)] * (a.ndim - 2) + most, "symmetric") for a in (planes, pilot, variance)]
    out = refined(planes, pilot, variance)
    np.testing.assert_array_equal(out, refined(*around)[:, : shape[0], : shape[1]])
    assert np.isfinite(out).all()
    assert out.shape == planes.shape


def test_what_the_pilot_has_not_is_not_added(rng):
    noise, flat = rng.normal(size=(2, 40, 40)), np.full((2, 40, 40), 0.3)
    np.testing.assert_array_equal(refined(flat + noise, flat, np.ones((40, 40))), flat)


@pytest.mark.parametrize("variance", [1e-30, 1e-8, 1e8])
def test_any_variance_leaves_finite_values_near_the_data(variance, rng):
    planes, pilot, _ = case((40, 40), rng, dtype=np.float32)
    planes, pilot = 100 * planes, 100 * pilot
    out = refined(planes, pilot, np.full((40, 40), variance, np.float32), times=3)
    assert np.abs(out - pilot).max() < 3 * np.abs(planes - pilot).max()
    assert np.abs(out - planes).mean() < 2 * np.abs(pilot - planes).mean() or variance > 1


def test_threads_change_nothing(threads, rng):
    planes, pilot, variance = case((203, 40), rng, 2, np.float32)
    results = []
    for n in (1, 2, 3, 5):
        threads(n)
        results.append(refined(planes, pilot, variance, times=2))
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@numba.njit
def multiplied(out, a, b, count, less):
    one = np.uint64(1)
    products(out, np.uint64(2), np.uint64(17), a, one, np.uint64(3), np.uint64(2), b, one, np.uint64(18), count, less)


@numba.njit
def compared(out, a, b, count):
    squares(out, np.uint64(2), np.uint64(17), a, np.uint64(1), b, np.uint64(3), np.uint64(30), count)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_tiles_are_sums_in_their_order(count, dtype, rng):
    out, a, b = (rng.normal(size=n).astype(dtype) for n in (2 + 3 * 17 + 16, 24, 130))
    there, products_, squares_ = out.copy(), np.zeros((4, 16), dtype), np.zeros((4, 16), dtype)
    for k in range(count):
        products_ += a[[1 + 3 * r + 2 * k for r in range(4)], np.newaxis] * b[1 + 18 * k : 17 + 18 * k]
        squares_ += (np.stack([b[3 + 30 * r + k : 19 + 30 * r + k] for r in range(4)]) - a[1 + k]) ** 2
    for less, function, sums in (
        (False, multiplied, products_),
        (True, multiplied, products_),
        (None, compared, squares_),
    ):
        out[:] = there
        function(out, a, b, np.uint64(count), *([] if less is None else [less]))
        for r in range(4):
            at = np.s_[2 + 17 * r : 18 + 17 * r]
            wanted = sums[r] if less is False else there[at] - sums[r] if less else there[at] + sums[r]
            np.testing.assert_array_equal(out[at], wanted)
            np.testing.assert_array_equal(out[18 + 17 * r : 19 + 17 * r], there[18 + 17 * r : 19 + 17 * r])
