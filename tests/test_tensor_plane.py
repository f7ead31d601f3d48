"""The walk over a plane against the general kernels, which `test_tensor` checks against assembled matrices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cases import slow
from scipy.ndimage import gaussian_filter1d

from pde_video.kernels.plane_rows import entries
from pde_video.terms.frozen import decomposed
from pde_video.terms.plane import half_gaussian, rate_in_plane
from pde_video.terms.tensor import CoherenceEnhancing, EdgeEnhancing

BOUNDARIES = ("neumann", "periodic", "dirichlet")
EDGES = EdgeEnhancing(0.05)
WIDE = EdgeEnhancing(0.1, conductance="exponential", integration=1.5)
COHERENCE = CoherenceEnhancing(1e-6, alpha=0.01)
TERMS = [
    EDGES,
    WIDE,
    COHERENCE,
    EdgeEnhancing(0.2, least=0.1, smoothing=0.0),
    EdgeEnhancing(0.05, smoothing=0.5, conductance="exponential"),
    CoherenceEnhancing(1e-2, integration=0.0),
]
OTHERS = [
    EdgeEnhancing(0.05, smoothing=2.0, conductance="charbonnier"),
    EdgeEnhancing(0.1, conductance="tukey", integration=1.5),
    EdgeEnhancing(0.1, conductance="weickert"),
    EdgeEnhancing(0.5, conductance="tv"),
]
DTYPES = [np.float32, *slow(np.float64)]
# Each conductance, and each dtype, is another walk to compile, for many seconds.
WALKS = [(term, np.float32) for term in TERMS]
WALKS += slow(*((term, np.float32) for term in OTHERS), *((term, np.float64) for term in TERMS))
TOLERANCE = {np.float32: 3e-5, np.float64: 1e-9}


def picture(shape, rng, dtype):
    """A tilted wave with noise: long offsets along its flanks, short ones elsewhere, extrema without a direction."""
    wave = np.sin(np.tensordot([0.5, 0.31], np.indices(shape[1:]), 1))
    return (wave + 0.05 * rng.random(shape)).astype(dtype)


def walked(term, y):
    rate = rate_in_plane(y, term, term._recipe(), 1 / term.stable_dt(2))
    assert rate is not None
    return rate


@pytest.mark.parametrize("walk", WALKS, ids=str)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("spacing", [0.7, (1.0, 2.0), *slow(1.0)])
@pytest.mark.parametrize(
    "shape", [(1, 60, 91), (3, 17, 40), (2, 9, 1), (1, 2, 3), *slow((1, 1, 9), (1, 3, 2), (1, 1, 1))]
)
def test_the_walk_is_the_frozen_operator(walk, boundary, spacing, shape, rng):
    term, dtype = replace(walk[0], boundary=boundary, spacing=spacing), walk[1]
    y = picture(shape, rng, dtype)
    rate = walked(term, y)
    assert rate.dtype == dtype
    np.testing.assert_allclose(rate, term.frozen(0.0, y).rate(0.0, y), rtol=0, atol=TOLERANCE[dtype])
    np.testing.assert_array_equal(rate, term.rate(0.0, y))


@pytest.mark.parametrize(("coherence", "across", "along"), [(False, 1.0, 0.3), (True, 0.1 + 0.9 * 0.3, 0.1)])
def test_where_no_direction_stands_out_the_last_axis_is_the_normal(coherence, across, along):
    tensor, g = np.array([0.5, 0.0, 0.5], np.float32), np.array([0.3], np.float32)  # Entries 11, 12 and 22.
    a, b, c = np.empty((3, 1), np.float32)
    entries(tensor, g, a, b, c, (np.float32(2), np.float32(3), np.float32(4)), coherence, np.float32(0.1), 1)
    np.testing.assert_allclose([a[0], b[0], c[0]], [2 * across, 0, 4 * along], rtol=1e-6)


def test_the_pictures_have_long_offsets_and_short_ones(rng):
    frozen = EdgeEnhancing(0.05).frozen(0.0, picture((1, 60, 91), rng, np.float64))
    reach = (np.abs(frozen.offsets) * (frozen.weights[:, None] > 0)).max(axis=(0, 1))
    assert 0.1 < (reach > 1).mean() < 0.9
    assert reach.max() == 4


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("term", [EDGES, WIDE, COHERENCE])
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_and_bands_change_no_bit(term, boundary, dtype, threads, rng):
    y = picture((2 if term is WIDE else 1, 301, 60), rng, dtype)
    term = replace(term, boundary=boundary)
    threads(1)
    alone = walked(term, y)
    for n in (2, 3, 4):
        threads(n)
        np.testing.assert_array_equal(walked(term, y), alone)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_walk_limits_weights_that_meet_in_a_pixel(boundary, dtype, threads, rng):
    # Few pictures come near the cap of 4, so that here it is 1.9: some weights of most rows are limited.
    term, cap = EdgeEnhancing(0.05, boundary=boundary), 1.9
    y = picture((2, 301, 60), rng, dtype)
    a, b, w = term._parts(y)
    entries = np.stack([(p == q) * a + b * w[p] * w[q] for p in range(2) for q in range(p, 2)])
    free = decomposed(entries, 1.0, boundary, np.inf, np.dtype(dtype))
    limited = decomposed(entries, 1.0, boundary, cap, np.dtype(dtype))
    changed = (limited.weights < free.weights * (1 - 1e-5)).any(axis=0)
    assert 0.05 < changed.mean() < 0.95
    reach = np.where(limited.weights[:, None] > 0, np.abs(limited.offsets), 0).max(axis=(0, 1))
    assert (changed & (reach > 1)).any()
    assert (changed & (reach == 1)).any()
    rates = []
    for n in (1, 3):
        threads(n)
        rates.append(rate_in_plane(y, term, term._recipe(), cap))
    np.testing.assert_allclose(rates[0], limited.rate(0.0, y), rtol=0, atol=TOLERANCE[dtype])
    np.testing.assert_array_equal(*rates)
    z, rounding = y + rates[0] / dtype(cap), 1e-6 if dtype is np.float32 else 1e-14
    assert z.max() <= y.max() + rounding
    assert z.min() >= y.min() - rounding  # Which is below zero, what Dirichlet's border has.


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_where_one_pixel_is_above_the_cap_only_its_neighbourhood_is_walked_again(boundary, dtype, rng):
    term, y = EdgeEnhancing(0.05, boundary=boundary), picture((1, 401, 60), rng, dtype)
    a, b, w = term._parts(y)
    entries = np.stack([(p == q) * a + b * w[p] * w[q] for p in range(2) for q in range(p, 2)])
    free = decomposed(entries, 1.0, boundary, np.inf, np.dtype(dtype))
    cap = 0.999 / free.stable_dt(2)
    limited = decomposed(entries, 1.0, boundary, cap, np.dtype(dtype))
    changed = (limited.weights != free.weights).any(axis=(0, 1, 3))
    assert 0 < changed.mean() < 0.2
    np.testing.assert_allclose(
        rate_in_plane(y, term, term._recipe(), cap), limited.rate(0.0, y), rtol=0, atol=TOLERANCE[dtype]
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_limits_change_rates_ten_rows_from_the_pixels_above_the_cap(boundary, dtype):
    """A flat strip, whose pixels have the largest weights, between edges whose offsets lead five rows down."""
    term, cap = EdgeEnhancing(0.05, boundary=boundary), 3.6
    rows, columns = np.indices((401, 50))
    y = np.where(np.abs(rows - 200) <= 4, 0, np.sin(0.06 * (10 * columns - rows)))[np.newaxis].astype(dtype)
    a, b, w = term._parts(y)
    entries = np.stack([(p == q) * a + b * w[p] * w[q] for p in range(2) for q in range(p, 2)])
    free, limited = (decomposed(entries, 1.0, boundary, most, np.dtype(dtype)) for most in (np.inf, cap))
    above = np.flatnonzero((free.diagonal(y)[0] > cap)[100:300].any(axis=1))
    changed = np.flatnonzero((limited.rate(0.0, y) != free.rate(0.0, y))[0, 100:300].any(axis=1))
    assert above.min() - changed.min() >= 10
    rate = rate_in_plane(y, term, term._recipe(), cap)
    np.testing.assert_allclose(rate, limited.rate(0.0, y), rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("term", [EDGES, COHERENCE])
def test_the_walk_keeps_the_mean_and_the_extrema(term, dtype, rng):
    y = picture((1, 70, 80), rng, dtype)
    rounding = 3e-7 if dtype is np.float32 else 1e-14
    for _ in range(10):
        z = y + dtype(term.stable_dt(2)) * walked(term, y)
        assert abs(z.mean(dtype=float) - y.mean(dtype=float)) < rounding
        assert z.max() <= y.max() + rounding
        assert z.min() >= y.min() - rounding
        y = z


@pytest.mark.parametrize("width", [0.3, 1.0, 4.0])
def test_half_a_bell_is_the_kernel_of_scipy(width):
    impulse = np.zeros(101)
    impulse[50] = 1.0
    bell = gaussian_filter1d(impulse, width)[50:]
    half = half_gaussian(width)
    np.testing.assert_allclose(half, bell[: len(half)], rtol=0, atol=1e-15)
    assert not bell[len(half) :].any()


def test_what_takes_more_than_a_walk_is_left_to_the_general_kernels(rng):
    y = picture((1, 12, 13), rng, np.float64)
    for term in (EdgeEnhancing(0.1, integration=0.5), CoherenceEnhancing(1e-4, alpha=1e-6)):
        assert rate_in_plane(y, term, term._recipe(), 4.0) is None
        np.testing.assert_array_equal(term.rate(0.0, y), term.frozen(0.0, y).rate(0.0, y))


@pytest.mark.parametrize("layout", ["transposed", "read-only"])
def test_any_layout_will_do(layout, rng):
    term, y = EDGES, picture((1, 30, 40), rng, np.float32)
    other = np.asfortranarray(y) if layout == "transposed" else y.copy()
    other.flags.writeable = layout == "transposed"
    np.testing.assert_array_equal(term.rate(0.0, other), term.rate(0.0, y))
