"""The fused iterations of Chambolle and Pock against the same algorithm spelled out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from cases import slow

import pde_video as pv

CASES = [((23,), None, 1.5), ((90, 31), None, 1.0), ((3, 40, 37), 0, (1.0, 2.0)), ((40, 18, 21), None, (1.0, 0.5, 2.0))]
CASES += [((50, 2), 1, 1.0), ((2, 33, 6, 9), 0, 1.0), ((1, 40), None, 1.0), ((40, 1), None, 1.0)]


def gradient(u, h):
    """Forward differences over h, zero across the border: shape (axes, C, *grid)."""
    return np.stack([np.diff(u, axis=a + 1, append=np.take(u, [-1], a + 1)) / h[a] for a in range(len(h))])


def divergence(p, h):
    total = np.zeros(p.shape[1:])
    for a, spacing in enumerate(h):
        q = np.moveaxis(p[a], a + 1, 0).copy()
        q[-1] = 0
        total += np.moveaxis(np.diff(q, axis=0, prepend=0 * q[:1]), 0, a + 1) / spacing
    return total


def energy(u, y, weight, h):
    return 0.5 * ((u - y) ** 2).sum() + weight * np.sqrt((gradient(u, h) ** 2).sum(axis=(0, 1))).sum()


def chambolle_pock(y, weight, h, iterations):
    """Algorithm 2 of the paper: u after so many iterations, and the gap between its energy and the dual bound."""
    u, leading, p = y, y, np.zeros((len(h), *y.shape))
    tau = sigma = 1 / np.sqrt(4 * sum(1 / s**2 for s in h))
    for _ in range(iterations):
        p = p + sigma * gradient(leading, h)
        p = p / np.maximum(1, np.sqrt((p**2).sum(axis=(0, 1))) / weight)
        before, u = u, (u + tau * (divergence(p, h) + y)) / (1 + tau)
        theta = 1 / np.sqrt(1 + 2 * tau)
        tau, sigma = theta * tau, sigma / theta
        leading = u + theta * (u - before)
    flow = divergence(p, h)
    return u, energy(u, y, weight, h) + (flow * y).sum() + 0.5 * (flow**2).sum()


def scaled(y, channel_axis):
    """Return `y` as tv_minimize sees it: channels first, centred, of contrast 1; and the contrast."""
    planes = y[np.newaxis] if channel_axis is None else np.moveaxis(y, channel_axis, 0)
    planes = planes.astype(float) - planes.mean(dtype=float)
    return planes / np.abs(planes).max(), np.abs(planes).max()


@pytest.mark.parametrize(("shape", "channel_axis", "spacing"), CASES)
@pytest.mark.parametrize("count", [1, 3, *slow(2)])
@pytest.mark.parametrize(
    ("dtype", "close"), [(np.float64, 1e-13), pytest.param(np.float32, 2e-6, marks=pytest.mark.slow)]
)
def test_it_is_the_algorithm_of_the_paper(shape, channel_axis, spacing, count, dtype, close, threads, rng):
    threads(count)
    y = (100 + 7 * rng.random(shape)).astype(dtype)
    data, contrast = scaled(y, channel_axis)
    h = np.broadcast_to(spacing, data.ndim - 1)
    found = pv.tv_minimize(y, 0.9, tolerance=1e-3, channel_axis=channel_axis, spacing=spacing)
    u, gap = chambolle_pock(data, 0.9 / contrast, h, found.iterations)
    result = found.solution[np.newaxis] if channel_axis is None else np.moveaxis(found.solution, channel_axis, 0)
    middle = y.mean(dtype=float)
    assert found.solution.dtype == dtype
    np.testing.assert_allclose(result, middle + contrast * u, rtol=close, atol=0)
    total = energy(data, data, 0.9 / contrast, h)
    assert abs(found.gap / contrast**2 - gap) < close * total
    assert gap <= (1e-3 + close) * total


@pytest.mark.parametrize(("shape", "channel_axis", "spacing"), CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_does_not_depend_on_the_number_of_threads(shape, channel_axis, spacing, dtype, threads, rng):
    y = rng.random(shape).astype(dtype)
    found = []
    for count in (1, 2, 3, 5):
        threads(count)
        found.append(pv.tv_minimize(y, 0.2, tolerance=1e-4, channel_axis=channel_axis, spacing=spacing))
    for other in found[1:]:
        np.testing.assert_array_equal(other.solution, found[0].solution)
        assert other[1:] == found[0][1:]


def test_a_limit_that_is_no_multiple_of_the_pause_between_gaps(rng):
    y = rng.random((40, 30))
    data, contrast = scaled(y, None)
    u, gap = chambolle_pock(data, 0.1 / contrast, (1.0, 1.0), 17)
    tolerance = 1.001 * gap / energy(data, data, 0.1 / contrast, (1.0, 1.0))
    found = pv.tv_minimize(y, 0.1, tolerance=tolerance, iterations=17)
    assert found.iterations == 17
    np.testing.assert_allclose(found.solution, y.mean() + contrast * u[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("weight", [0.02, 0.3])
def test_the_gap_bounds_the_distance_from_the_minimum_in_single_precision(weight, rng):
    y = (rng.random((60, 70)) + np.kron([[0, 3], [5, 1]], np.ones((30, 35)))).astype(np.float32)
    best = energy(
        pv.tv_minimize(y.astype(float), weight, tolerance=1e-7, iterations=9000).solution[None], y, weight, (1, 1)
    )
    for tolerance in (1e-2, 1e-3, 1e-4, 1e-5):
        found = pv.tv_minimize(y, weight, tolerance=tolerance)
        above = energy(found.solution[None].astype(float), y, weight, (1, 1)) - best
        assert above <= found.gap * (1 + 1e-3) + 1e-6 * best
        assert found.gap <= tolerance * energy(y[None].astype(float), y, weight, (1, 1)) * (1 + 1e-6)


def test_a_tolerance_beyond_single_precision_is_met_in_double(rng):
    y = rng.random((30, 40)).astype(np.float32)
    found = pv.tv_minimize(y, 0.05, tolerance=1e-8, iterations=20000)
    assert found.solution.dtype == np.float32
    double = pv.tv_minimize(y.astype(float), 0.05, tolerance=1e-8, iterations=20000)
    np.testing.assert_array_equal(found.solution, double.solution.astype(np.float32))


def test_by_default_the_gap_is_a_ten_thousandth_of_the_energy(rng):
    y = rng.random((20, 21))
    found = pv.tv_minimize(y, 0.3)
    assert 1e-6 < found.gap / energy((y - y.mean())[None], (y - y.mean())[None], 0.3, (1, 1)) <= 1e-4
