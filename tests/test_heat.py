"""The heat equation against its own eigenvectors, an assembled matrix, and mathematics."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from oracles import laplacian_matrix
from scipy import ndimage
from scipy.sparse import eye_array
from scipy.sparse.linalg import spsolve

import pde_video as pv

GRIDS = [(17,), (12, 9), (6, 7, 5), (1, 8), (2, 3)]
BOUNDARIES = ["neumann", "periodic", "dirichlet"]


def mode(shape, wave, boundary):
    """An eigenvector of the discrete Laplacian and the angles of its eigenvalue −4 sin²(θ/2)."""
    vector, angles = np.ones(()), []
    for n, k in zip(shape, wave, strict=True):
        i = np.arange(n)
        line, theta = {
            "neumann": (np.cos(np.pi * k * (i + 0.5) / n), np.pi * k / n),
            "periodic": (np.cos(2 * np.pi * k * i / n), 2 * np.pi * k / n),
            "dirichlet": (np.sin(np.pi * (k + 1) * (i + 1) / (n + 1)), np.pi * (k + 1) / (n + 1)),
        }[boundary]
        vector = np.multiply.outer(vector, line)
        angles.append(theta)
    return vector, angles


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", GRIDS)
@pytest.mark.parametrize("highest", [False, True])
def test_modes_are_damped_by_their_exact_factors(shape, boundary, highest):
    spacing = (1.0, 2.0, 0.5)[: len(shape)]
    wave = [n - 1 if highest else min(1, n - 1) for n in shape]
    if boundary == "periodic":
        wave = [n // 2 if highest else min(1, n - 1) for n in shape]
    u, angles = mode(shape, wave, boundary)
    eigenvalue = -sum(4 / h**2 * np.sin(theta / 2) ** 2 for h, theta in zip(spacing, angles, strict=True)) * 1.7
    heat = pv.Heat(1.7, spacing=spacing, boundary=boundary)
    dt = 0.9 * heat.stable_dt(len(shape))
    explicit = pv.evolve(heat, u, [0, dt])
    np.testing.assert_allclose(explicit, (1 + dt * eigenvalue) * u, rtol=0, atol=1e-12)
    for long in (dt, 1000 * dt):
        implicit = pv.evolve(heat, u, [0, long], step=pv.implicit_euler)
        np.testing.assert_allclose(implicit, u / (1 - long * eigenvalue), rtol=0, atol=1e-12)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", GRIDS)
def test_both_schemes_agree_with_the_assembled_matrix(shape, boundary, rng):
    spacing = (1.5, 1.0, 0.7)[: len(shape)]
    u, heat = rng.normal(size=shape), pv.Heat(0.8, spacing=spacing, boundary=boundary)
    matrix = 0.8 * laplacian_matrix(shape, spacing, boundary)
    dt = heat.stable_dt(len(shape))
    np.testing.assert_allclose(pv.evolve(heat, u, [0, dt]).ravel(), u.ravel() + dt * (matrix @ u.ravel()), atol=1e-12)
    solved = spsolve((eye_array(u.size) - 30.0 * matrix).tocsc(), u.ravel())
    implicit = pv.evolve(heat, u, [0, 30.0], step=pv.implicit_euler)
    np.testing.assert_allclose(implicit.ravel(), solved, rtol=0, atol=1e-10)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(1, 4, 5), (4, 1, 5), (4, 5, 1), (1, 1, 1)])
def test_volumes_that_are_one_cell_thin_agree_with_the_assembled_matrix(boundary, shape, rng):
    u, spacing = rng.normal(size=shape), (1.5, 1.0, 0.7)
    rate = pv.Heat(spacing=spacing, boundary=boundary).rate(0.0, u[None])
    np.testing.assert_allclose(rate.ravel(), laplacian_matrix(shape, spacing, boundary) @ u.ravel(), atol=1e-12)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(8,), (5, 6), (3, 4, 2), (1, 3)])
def test_the_diagonal_is_that_of_the_operator(boundary, shape):
    spacing = (1.5, 1.0, 0.7)[: len(shape)]
    found = pv.Heat(0.8, spacing=spacing, boundary=boundary).diagonal(np.zeros((1, *shape)))
    expected = -0.8 * laplacian_matrix(shape, spacing, boundary).diagonal()
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-14)


def test_the_rate_is_that_of_scipy(rng):
    u = rng.normal(size=(13, 11))
    np.testing.assert_allclose(pv.Heat().rate(0.0, u[None])[0], ndimage.laplace(u, mode="nearest"), atol=1e-13)
    periodic = pv.Heat(boundary="periodic").rate(0.0, u[None])[0]
    np.testing.assert_allclose(periodic, ndimage.laplace(u, mode="wrap"), atol=1e-13)


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_an_impulse_spreads_by_two_dt_per_axis_and_step(ndim):
    n, steps = 31, 10
    u = np.zeros((n,) * ndim)
    u[(n // 2,) * ndim] = 1
    dt = 0.8 * pv.Heat().stable_dt(ndim)
    result = pv.evolve(pv.Heat(), u, pv.uniform(steps * dt, steps=steps))
    for axis in range(ndim):
        x = np.arange(n) - n // 2
        profile = result.sum(axis=tuple(a for a in range(ndim) if a != axis))
        assert abs((profile * x**2).sum() - 2 * dt * steps) < 1e-12


@pytest.mark.parametrize("step", [pv.explicit_euler, pv.implicit_euler])
@pytest.mark.parametrize("shape", GRIDS)
def test_mean_and_extrema_are_kept(step, shape, rng):
    u, heat = rng.normal(size=shape), pv.Heat()
    dt = heat.stable_dt(len(shape)) if step is pv.explicit_euler else 50.0
    states = [state for _, state in pv.evolution(heat, u, pv.uniform(3 * dt, steps=3), step=step)]
    for before, after in pairwise(states):
        assert abs(after.mean() - u.mean()) < 1e-13
        assert after.max() <= before.max() + 1e-14
        assert after.min() >= before.min() - 1e-14
        assert (after**2).sum() <= (before**2).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_flips_and_quarter_turns_commute_exactly(dtype, boundary, rng):
    u = rng.normal(size=(12, 12)).astype(dtype)
    heat, times = pv.Heat(boundary=boundary), pv.uniform(2.0)
    result = pv.evolve(heat, u, times)
    for move in (np.flipud, np.fliplr, np.rot90, np.transpose):
        np.testing.assert_array_equal(pv.evolve(heat, np.ascontiguousarray(move(u)), times), move(result))


def test_a_constant_stays_exactly():
    u = np.full((9, 7), 0.1, np.float32)
    np.testing.assert_array_equal(pv.evolve(pv.Heat(), u, pv.uniform(20.0)), u)


def test_single_precision_stays_close_to_double(rng):
    u = rng.random((40, 50))
    double = pv.evolve(pv.Heat(), u, pv.uniform(10.0))
    single = pv.evolve(pv.Heat(), u.astype(np.float32), pv.uniform(10.0))
    assert single.dtype == np.float32
    assert np.abs(single - double).max() < 40 * 2**-24  # Forty steps, each rounded once or so.


def test_channels_do_not_mix(rng):
    u = rng.normal(size=(8, 9, 3))
    together = pv.evolve(pv.Heat(), u, [0, 0.2], channel_axis=-1)
    for c in range(3):
        np.testing.assert_array_equal(together[..., c], pv.evolve(pv.Heat(), u[..., c], [0, 0.2]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"diffusivity": 0}, "diffusivity is 0; it must be positive"),
        ({"diffusivity": float("nan")}, "diffusivity is nan"),
        ({"spacing": -1.0}, "spacing is -1.0"),
        ({"spacing": (1.0, 0.0)}, "spacing is 0.0"),
        ({"boundary": "wall"}, r"'wall'; it must be one of neumann, periodic, dirichlet"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    with pytest.raises(pv.ParameterError, match=message):
        pv.Heat(**arguments)


def test_a_spacing_for_other_axes_is_refused():
    with pytest.raises(pv.ParameterError, match=r"spacing has 2 values .* the grid has 3 axes"):
        pv.evolve(pv.Heat(spacing=(1.0, 2.0)), np.zeros((3, 3, 3)), [0, 0.1])
