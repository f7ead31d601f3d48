"""Every integrator: its factors on eigenvectors, its order, its limits."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from oracles import frozen_matrix, laplacian_matrix
from scipy.linalg import expm
from test_heat import BOUNDARIES, GRIDS, mode

import pde_video as pv
from pde_video.integrators.cycles import _leja

STEPS = [pv.explicit_euler, pv.implicit_euler, pv.crank_nicolson, pv.heun, pv.aos, pv.fed, pv.fsi, pv.rkl2]


def factor(step, parts, dt, bound):
    """What the step multiplies an eigenvector by, whose eigenvalue is the sum of `parts`, one for each axis."""
    z = dt * sum(parts)
    if step is pv.aos:
        return np.mean([1 / (1 - len(parts) * dt * part) for part in parts])
    closed = {
        pv.explicit_euler: 1 + z,
        pv.implicit_euler: 1 / (1 - z),
        pv.crank_nicolson: (1 + z / 2) / (1 - z / 2),
        pv.heun: 1 + z + z * z / 2,
    }
    if step in closed:
        return closed[step]
    if step is pv.rkl2:
        s = next(s for s in range(3, 999, 2) if (s * s + s - 2) / 4 * bound >= dt * (1 - 1e-12))
        b = (s * s + s - 2) / (2 * s * (s + 1))
        x = 1 + 4 / (s * s + s - 2) * z
        return 1 - b + b * np.polynomial.legendre.legval(x, [0] * s + [1])
    n = next(n for n in range(1, 999) if n * (n + 1) / 3 * bound >= dt * (1 - 1e-12))
    tau = dt / (n * (n + 1) / 3)
    inner = tau / (2 * np.cos(np.pi * (2 * np.arange(n) + 1) / (4 * n + 2)) ** 2)
    return np.prod(1 + inner * sum(parts))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", GRIDS)
@pytest.mark.parametrize("highest", [False, True])
def test_modes_are_damped_by_the_factor_of_the_scheme(step, boundary, shape, highest):
    spacing = (1.0, 2.0, 0.5)[: len(shape)]
    wave = [(n // 2 if boundary == "periodic" else n - 1) if highest else min(1, n - 1) for n in shape]
    u, angles = mode(shape, wave, boundary)
    parts = [-1.7 * 4 / h**2 * np.sin(theta / 2) ** 2 for h, theta in zip(spacing, angles, strict=True)]
    heat = pv.Heat(1.7, spacing=spacing, boundary=boundary)
    bound = heat.stable_dt(len(shape))
    lengths = [0.9 * bound] if step.stable_multiple == 1 else [0.9 * bound, 7.3 * bound, 100 * bound]
    for dt in lengths:
        z = pv.evolve(heat, u, [0, dt], step=step)
        np.testing.assert_allclose(z, factor(step, parts, dt, bound) * u, rtol=0, atol=1e-12)


@pytest.mark.parametrize("step", [pv.explicit_euler, pv.heun])
def test_the_bound_of_an_explicit_step_is_sharp(step):
    heat, checkers = pv.Heat(boundary="periodic"), np.indices((8, 8)).sum(axis=0) % 2 - 0.5
    bound = step.stable_multiple * heat.stable_dt(2)
    at, above = (
        np.abs(pv.evolve(heat, checkers, [0, dt], step=step, check=False)).max() for dt in (bound, 1.01 * bound)
    )
    assert at == pytest.approx(0.5)
    assert above > 0.5
    np.testing.assert_array_equal(np.abs(pv.evolve(heat, checkers, [0, bound], step=step)).max(), at)
    with pytest.raises(pv.UnstableStepError):
        pv.evolve(heat, checkers, [0, 1.01 * bound], step=step)


@pytest.mark.parametrize("step", [pv.explicit_euler, pv.heun, pv.fed, pv.fsi, pv.rkl2])
def test_a_clock_shows_the_time_at_which_its_rate_is_asked(step):
    asked = []

    class Clock:
        """dy/dt = 1."""

        def rate(self, t, y):
            asked.append((t, y.item()))
            return np.ones_like(y)

        def stable_dt(self, ndim):
            return 1.0

    end = pv.evolve(Clock(), np.array([3.0]), [3.0, 20.0], step=step, check=False)
    times, shown = np.transpose(asked)
    np.testing.assert_allclose(times, shown, rtol=1e-13)
    np.testing.assert_allclose(end, 20.0, rtol=1e-13)


@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize("step", [pv.fed, pv.fsi])
def test_one_cycle_in_one_dimension_is_a_box_filter(step, n):
    impulse = np.zeros(101)
    impulse[50] = 1.0
    box = np.zeros(101)
    box[50 - n : 51 + n] = 1 / (2 * n + 1)
    result = pv.evolve(pv.Heat(), impulse, [0, 0.5 * n * (n + 1) / 3], step=step)
    np.testing.assert_allclose(result, box, rtol=0, atol=1e-10)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_an_impulse_spreads_by_two_dt_per_axis(step, ndim):
    n = 41
    u = np.zeros((n,) * ndim)
    u[(n // 2,) * ndim] = 1
    dt = 0.9 * pv.Heat(boundary="periodic").stable_dt(ndim)
    result = pv.evolve(pv.Heat(), u, [0, dt, 2 * dt], step=step)
    x = np.arange(n) - n // 2
    for axis in range(ndim):
        profile = result.sum(axis=tuple(a for a in range(ndim) if a != axis))
        assert abs((profile * x**2).sum() - 4 * dt) < 1e-8  # Implicit tails reach the border, at 1e-10.


@pytest.mark.parametrize(
    ("step", "order"),
    [(pv.explicit_euler, 1), (pv.implicit_euler, 1), (pv.aos, 1), (pv.crank_nicolson, 2), (pv.heun, 2), (pv.rkl2, 2)],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_order_in_time(step, order, rng):
    # The semi-discrete equation solved exactly by the exponential of its matrix.
    u = rng.normal(size=(6, 5))
    exact = expm(0.5 * laplacian_matrix((6, 5), (1.0, 1.0), "neumann").toarray()) @ u.ravel()
    steps = np.array([16, 32, 64, 128])
    errors = [np.abs(pv.evolve(pv.Heat(), u, pv.uniform(0.5, steps=n), step=step).ravel() - exact).max() for n in steps]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.1


@pytest.mark.parametrize("step", [pv.implicit_euler, pv.aos])
@pytest.mark.parametrize("shape", [(16,), (7, 9), (4, 5, 6)])
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("term", [pv.Heat, lambda **k: pv.PeronaMalik(0.5, **k)], ids=["heat", "perona-malik"])
def test_implicit_schemes_keep_the_extrema_at_any_step(step, shape, boundary, term, rng):
    y = rng.normal(size=shape)
    low, high = (min(y.min(), 0), max(y.max(), 0)) if boundary == "dirichlet" else (y.min(), y.max())
    for dt in (0.1, 10.0, 1000.0):
        z = pv.evolve(term(boundary=boundary), y, [0, dt], step=step)
        assert z.max() <= high + 1e-9
        assert z.min() >= low - 1e-9
        if boundary != "dirichlet":
            assert abs(z.mean() - y.mean()) < 1e-9


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(8,), (1,), (2,), (3,), (5, 6), (1, 4), (2, 3), (3, 4, 2)])
def test_aos_solves_each_axis_with_the_frozen_conductance(boundary, shape, rng):
    y = rng.random((2, *shape))
    spacing = (1.0, 2.0, 0.5)[: len(shape)]
    term = pv.PeronaMalik(0.4, spacing=spacing, boundary=boundary)
    frozen = term.frozen(0.0, y)
    n, dt = int(np.prod(shape)), 3.0
    total = np.zeros_like(y)
    for axis in range(len(shape)):
        solved = frozen.solve_axis(0.0, y, dt, axis)
        # The part along one axis, read off column by column from the frozen rate of a term spaced far on the others.
        alone = np.zeros(3)
        alone[3 - len(shape) + axis] = frozen.scale[3 - len(shape) + axis]
        part = type(frozen)(frozen.faces, alone, boundary, 1.0)
        matrix = np.stack([part.rate(0.0, e.reshape(1, *shape)).ravel() for e in np.eye(n)], axis=1)
        expected = np.linalg.solve(np.eye(n) - dt * matrix, y.reshape(2, n).T).T.reshape(y.shape)
        np.testing.assert_allclose(solved, expected, rtol=0, atol=1e-12)
        total += frozen.solve_axis(0.0, y, len(shape) * dt, axis)
    np.testing.assert_allclose(
        pv.evolve(term, y, [0, dt], step=pv.aos, channel_axis=0), total / len(shape), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("shape", [(7,), (5, 6), (3, 4, 5)])
def test_aos_of_a_term_that_is_solved_one_axis_at_a_time(shape, rng):
    heat = pv.Heat(0.7, spacing=(1.0, 2.0, 0.5)[: len(shape)])

    class Lines:
        """Heat, by those of its methods that a term needs for this step."""

        rate, solve_axis = heat.rate, heat.solve_axis

    y = rng.random(shape)
    expected = pv.evolve(heat, y, [0, 4.0], step=pv.aos)
    np.testing.assert_allclose(pv.evolve(Lines(), y, [0, 4.0], step=pv.aos), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(8,), (5, 6), (3, 4, 2), (1, 3)])
def test_the_diagonal_is_that_of_the_operator(boundary, shape, rng):
    frozen = pv.PeronaMalik(0.4, boundary=boundary).frozen(0.0, rng.random((1, *shape)))
    n = int(np.prod(shape))
    matrix = np.stack([frozen.rate(0.0, e.reshape(1, *shape)).ravel() for e in np.eye(n)], axis=1)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-15)
    np.testing.assert_allclose(frozen.diagonal(np.zeros((1, *shape))).ravel(), -np.diag(matrix), atol=1e-14)


def test_boundaries_of_perona_malik_are_those_of_a_larger_picture(rng):
    evolve = partial(pv.evolve, callback=lambda t, state: None)  # No fused steps to compile for this alone.
    y = rng.random((6, 7))
    dt = [0, 0.25, 0.5]
    torus = evolve(pv.PeronaMalik(0.3, "rational", smoothing=0.7, boundary="periodic"), y, dt)
    tiled = evolve(pv.PeronaMalik(0.3, "rational", smoothing=0.7), np.tile(y, (5, 5)), dt)
    np.testing.assert_allclose(torus, tiled[12:18, 14:21], rtol=0, atol=1e-14)
    rolled = evolve(pv.PeronaMalik(0.3, "rational", boundary="periodic"), np.roll(y, (2, 3), (0, 1)), dt)
    np.testing.assert_array_equal(
        rolled, np.roll(evolve(pv.PeronaMalik(0.3, "rational", boundary="periodic"), y, dt), (2, 3), (0, 1))
    )
    zeros = evolve(pv.PeronaMalik(0.3, "rational", boundary="dirichlet"), y, [0, 0.25])
    framed = evolve(pv.PeronaMalik(0.3, "rational"), np.pad(y, 3), [0, 0.25])
    np.testing.assert_allclose(zeros, framed[3:-3, 3:-3], rtol=0, atol=1e-15)


@pytest.mark.parametrize("step", [pv.crank_nicolson, pv.fed, pv.fsi, pv.rkl2])
def test_the_conductance_stands_still_within_a_step(step, rng):
    y = rng.random((6, 5))
    matrix = frozen_matrix(y, 0.4, "rational", (1.0, 1.0)).toarray()
    term, dt = pv.PeronaMalik(0.4, "rational"), 2.0
    values, vectors = np.linalg.eigh(matrix)
    factors = [factor(step, [value], dt, term.stable_dt(2)) for value in values]
    expected = vectors @ (factors * (vectors.T @ y.ravel()))
    np.testing.assert_allclose(pv.evolve(term, y, [0, dt], step=step).ravel(), expected, rtol=0, atol=1e-9)


def test_aos_leaves_the_stripe_that_the_documentation_warns_of():
    stripe = np.tile([0.0, 1.0], (8, 4))
    contrast = [np.ptp(pv.evolve(pv.Heat(), stripe, pv.uniform(1e6, steps=n), step=pv.aos)) for n in (1, 2, 3)]
    np.testing.assert_allclose(contrast, [0.5, 0.25, 0.125], rtol=1e-3)


def test_crank_nicolson_flips_the_highest_frequency_above_the_bound_and_implicit_euler_does_not():
    checkers = np.indices((8, 8)).sum(axis=0) % 2 - 0.5
    crank = pv.evolve(pv.Heat(), checkers, [0, 5.0], step=pv.crank_nicolson)
    assert (crank * checkers < 0).all()
    implicit = pv.evolve(pv.Heat(), checkers, [0, 5.0], step=pv.implicit_euler)
    assert (implicit * checkers > 0).all()


@pytest.mark.parametrize("step", [pv.fed, pv.fsi, pv.rkl2])
def test_long_cycles_stay_finite_in_single_precision(step, rng):
    y = rng.random((40, 40)).astype(np.float32)
    exact = pv.evolve(pv.Heat(), y.astype(np.float64), [0, 100.0, 200.0], step=step)
    single = pv.evolve(pv.Heat(), y, [0, 100.0, 200.0], step=step)
    assert single.dtype == np.float32
    assert np.abs(single - exact).max() < 1e-5


@pytest.mark.parametrize("dt", [1.0, 1e4, 1e9, 1e15])
@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_aos_keeps_mean_and_extrema_at_any_step_however_large(dt, boundary, rng):
    y = rng.random((16, 17))
    z = pv.evolve(pv.PeronaMalik(5.0, boundary=boundary), y, [0, dt], step=pv.aos)
    slack = 1e-12 if boundary == "neumann" else 1e-12 * max(1.0, dt / 1e3)  # The torus divides by what is left of 1.
    assert abs(z.mean() - y.mean()) < slack
    assert y.min() - slack <= z.min()
    assert z.max() <= y.max() + slack


@pytest.mark.parametrize("step", [pv.fed, pv.fsi, pv.rkl2])
def test_a_cycle_that_would_never_end_is_refused(step):
    with pytest.raises(pv.ParameterError, match="over 10000 inner steps"):
        pv.evolve(pv.Heat(), np.eye(4), [0, 1e9], step=step)


def test_the_order_of_leja_is_a_permutation_that_starts_with_the_largest_node():
    for n in (1, 2, 3, 17):
        order = _leja(n)
        assert sorted(order) == list(range(n))
        assert order[0] == 0


def test_two_times_are_two_cycles(rng):
    y = rng.random((9, 9))
    term = pv.PeronaMalik(0.2)
    twice = pv.evolve(term, pv.evolve(term, y, [0, 5.0], step=pv.fsi), [0, 5.0], step=pv.fsi)
    np.testing.assert_array_equal(pv.evolve(term, y, [0, 5, 10], step=pv.fsi), twice)
    states = [state for _, state in pv.evolution(term, y, [0, 5, 10], step=pv.fsi)]
    for before, after in pairwise(states):
        assert after.std() < before.std()


class Bare:
    def rate(self, t, y):
        return -y


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (pv.implicit_euler, "has no solve"),
        (pv.crank_nicolson, "has no solve"),
        (pv.aos, "cannot be solved along one axis"),
        (pv.fed, "has no stable_dt"),
        (pv.fsi, "has no stable_dt"),
        (pv.rkl2, "has no stable_dt"),
    ],
)
def test_a_term_that_lacks_something_is_named(step, message):
    with pytest.raises(TypeError, match=f"Bare {message}"):
        pv.evolve(Bare(), np.ones(3), [0, 1], step=step)


def test_implicit_steps_of_perona_malik_agree_with_the_assembled_matrix(rng):
    y = rng.random((7, 8))
    matrix = frozen_matrix(y, 0.3, "exponential", (1.0, 1.0))
    identity = np.eye(56)
    expected = np.linalg.solve((identity - 2.0 * matrix.toarray()), (identity + 2.0 * matrix.toarray()) @ y.ravel())
    crank = pv.evolve(pv.PeronaMalik(0.3), y, [0, 4.0], step=pv.crank_nicolson)
    np.testing.assert_allclose(crank.ravel(), expected, rtol=0, atol=1e-9)


def test_a_rate_of_another_precision_or_shape_is_added_as_numpy_adds_it():
    class Odd:
        def __init__(self, value):
            self.value = value

        def rate(self, t, y):
            return self.value

    y = np.full((1, 3), 1.0 + 1e-12)
    for value in (np.ones((1, 3), np.float32), np.ones(1), 1.0):
        z = pv.explicit_euler(Odd(value), 0.0, 0.5, y)
        assert z.dtype == np.float64
        np.testing.assert_array_equal(z, y + 0.5 * np.asarray(value, np.float64))
