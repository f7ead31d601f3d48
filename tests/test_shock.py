"""The shock filter: what it must keep, and that it sharpens."""

from __future__ import annotations

import numpy as np
import pytest

import pde_video as pv
from pde_video.terms.shock import Shock


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("shape", [(1, 14, 13), (3, 14, 13), (2, 6, 7, 8), (1, 1, 9), (1, 1, 1)])
@pytest.mark.parametrize("anisotropic", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extrema_hold_up_to_the_bound(shape, anisotropic, dtype, rng):
    y = rng.random(shape).astype(dtype)
    term = Shock(spacing=(1.0, 2.0, 0.5)[: y.ndim - 1] if anisotropic else 1.0)
    previous = y
    for _, state in pv.evolution(term, y, pv.uniform(10 * term.stable_dt(y.ndim - 1)), channel_axis=0):
        assert state.dtype == dtype
        assert state.max() <= previous.max() + 1e-6
        assert state.min() >= previous.min() - 1e-6
        previous = state


def test_the_sharp_bound_is_what_the_docstring_says():
    # A pit whose neighbours are all 1, dilated: the step 1 / √(Σ 1/h²) just fills it.
    from pde_video.kernels.shock_filter import shock

    spacing = np.array([2.0, 1.0, 0.5])
    u = np.ones((1, 3, 3, 3))
    u[0, 1, 1, 1] = 0.0
    rate = np.empty_like(u)
    shock(u, -np.ones_like(u), 1 / spacing, rate)
    sharp = 1 / np.sqrt((1 / spacing**2).sum())
    assert sharp * rate[0, 1, 1, 1] == pytest.approx(1.0)
    assert Shock(spacing=tuple(spacing)).stable_dt(3) <= sharp
    assert Shock().stable_dt(2) == 0.5


def test_rates_are_upwind_differences():
    # v = u without smoothing; on a convex slope the filter erodes with the steeper downward step of each axis.
    x = np.arange(9.0)
    u = (x[:, None] ** 2 + 3 * np.arange(8.0))[None]
    rate = Shock(smoothing=0.0, integration=0.0, spacing=(0.5, 2.0)).rate(0.0, u)[0, 2:-2, 2:-2]
    expected = -np.hypot((2 * x[2:-2] - 1) / 0.5, 3 / 2.0)
    np.testing.assert_allclose(rate, np.broadcast_to(expected[:, None], rate.shape), rtol=0, atol=1e-12)


@pytest.mark.parametrize("axes", [2, 3])
def test_second_derivatives_along_a_direction_are_exact_for_quadratics(axes, rng):
    from pde_video.kernels.shock_filter import second_along

    spacing = np.array([1.0, 2.0, 0.5])
    if axes == 2:
        spacing[0] = np.inf
    grid = (5 if axes == 3 else 1, 6, 7)
    hessian = rng.normal(size=(3, 3))
    hessian = hessian + hessian.T
    steps = np.where(np.isinf(spacing), 0.0, spacing)
    x = np.stack(np.indices(grid)) * steps.reshape(3, 1, 1, 1)
    v = 0.5 * np.einsum("a...,ab,b...->...", x, hessian, x)[None]
    w = rng.normal(size=(3, *grid))
    if axes == 2:
        w[0] = 0
    out = np.empty_like(v)
    second_along(v, w, 1 / spacing, out)
    expected = np.einsum("a...,ab,b...->...", w, hessian, w)
    inside = (slice(1, -1) if axes == 3 else slice(None), slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(out[0][inside], expected[inside], rtol=0, atol=1e-11)


@pytest.mark.parametrize("direction", [(1.0, 0.0), (0.0, 1.0), (0.6, 0.8), (0.6, -0.8)])
def test_a_blurred_step_becomes_sharp_without_overshoot(direction):
    x = np.indices((31, 31)) - 15.0
    distance = np.tensordot(direction, x, 1) + 0.3
    blurred = sigmoid(distance / 2)
    sharp = pv.evolve(Shock(), blurred, pv.uniform(12.0))
    assert sharp.min() >= blurred.min()
    assert sharp.max() <= blurred.max()
    middle = (np.abs(distance) > 1.5) & (np.abs(x) < 8).all(axis=0)
    clean = np.where(distance > 0, sharp.max(), sharp.min())
    assert np.abs(blurred - clean)[middle].max() > 0.25
    assert np.abs(sharp - clean)[middle].max() < 0.05


def test_channels_of_opposite_contrast_both_become_sharp():
    x = np.arange(24) - 11.5
    step = np.tile(sigmoid(x / 2), (9, 1))
    sharp = pv.evolve(Shock(), np.stack([step, 1 - step]), pv.uniform(8.0), channel_axis=0)
    for channel in sharp:
        assert np.abs(np.diff(channel, axis=1)).max() > 0.9
    np.testing.assert_allclose(sharp[0], 1 - sharp[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 6, 7), (2, 5, 6, 7)])
def test_a_constant_stays(shape):
    flat = np.full(shape, 3.7)
    np.testing.assert_array_equal(Shock().rate(0.0, flat), 0 * flat)


@pytest.mark.parametrize("shape", [(2, 11, 11), (1, 6, 6, 6)])
def test_flips_and_transposes_commute(shape, rng):
    y = rng.random(shape)
    rate = Shock().rate(0.0, y)
    for axis in range(1, y.ndim):
        flipped = Shock().rate(0.0, np.ascontiguousarray(np.flip(y, axis)))
        np.testing.assert_allclose(flipped, np.flip(rate, axis), rtol=0, atol=1e-12)
    turned = Shock().rate(0.0, np.ascontiguousarray(y.swapaxes(1, -1)))
    np.testing.assert_allclose(turned, rate.swapaxes(1, -1), rtol=0, atol=1e-12)


def test_single_precision_agrees_with_double(rng):
    x = np.indices((20, 20))
    y = np.sin(0.5 * x[0] + 0.31 * x[1])[None]
    single = Shock().rate(0.0, y.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, Shock().rate(0.0, y), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Shock(smoothing=-1.0), "smoothing is -1.0"),
        (lambda: Shock(integration=float("nan")), "integration is nan"),
        (lambda: Shock(spacing=0), "spacing is 0"),
        (lambda: Shock().rate(0.0, np.zeros((1, 5))), "Shock needs a grid of 2 or 3 axes"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(pv.ParameterError, match=message):
        make()
