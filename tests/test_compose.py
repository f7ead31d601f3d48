"""Terms made of terms, total variation, and what they must equal."""

from __future__ import annotations

import numpy as np
import pytest
from cases import slow
from oracles import laplacian_matrix
from scipy.optimize import minimize

import pde_video as pv

HALVES = pv.Sum(pv.Heat(0.5), pv.Heat(0.5))
IMPLICIT = [pv.implicit_euler, pv.crank_nicolson]


def step_by_step(term, y, times):
    """Evolve without fused steps, of the same bits: in double precision they would be compiled for this alone."""
    return pv.evolve(term, y, times, callback=lambda t, state: None)


@pytest.mark.parametrize("step", [pv.explicit_euler, pv.heun, pv.fed, pv.fsi, pv.rkl2, *IMPLICIT])
def test_two_halves_are_a_whole(step, rng):
    y = rng.random((7, 6))
    times = [0, 0.2] if step in (pv.explicit_euler, pv.heun) else [0, 3.0]
    whole = pv.evolve(pv.Heat(), y, times, step=step)
    np.testing.assert_allclose(pv.evolve(HALVES, y, times, step=step), whole, rtol=0, atol=1e-9)


def test_the_bound_of_a_sum_is_that_of_the_whole():
    assert HALVES.stable_dt(2) == pytest.approx(0.25)
    bound = pv.Sum(pv.Heat(), pv.Fidelity(np.zeros((4, 4)), weight=8.0)).stable_dt(2)
    assert bound == pytest.approx(1 / (4 + 4))
    with pytest.raises(pv.UnstableStepError):
        pv.evolve(HALVES, np.eye(4), [0, 0.2525])


@pytest.mark.parametrize("channel_axis", [None, 0, -1])
def test_an_implicit_step_with_data_solves_the_screened_equation(channel_axis, rng):
    y, data, weight = rng.random((3, 6, 7))
    shape = (6, 7)
    if channel_axis is not None:
        y, data, weight = (np.stack([a, a[::-1]], axis=channel_axis) for a in (y, data, weight))
    term = pv.Sum(pv.Heat(), pv.Fidelity(data, weight), pv.Source(data))
    z = pv.evolve(term, y, [0, 2.0], step=pv.implicit_euler, channel_axis=channel_axis)
    matrix = laplacian_matrix(shape, (1.0, 1.0), "neumann").toarray()
    pick = (lambda a: a) if channel_axis is None else (lambda a: np.take(a, 1, channel_axis))
    w, d = pick(weight).ravel(), pick(data).ravel()
    expected = np.linalg.solve(np.eye(42) * (1 + 2 * w) - 2 * matrix, pick(y).ravel() + 2 * w * d + 2 * d)
    np.testing.assert_allclose(pick(z).ravel(), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("boundary", ["neumann", "periodic", "dirichlet"])
@pytest.mark.parametrize("term", [pv.Heat, lambda **k: pv.PeronaMalik(0.4, "rational", **k)], ids=["heat", "pm"])
def test_a_mask_holds_what_is_known_and_fills_the_rest(boundary, term, rng):
    y = rng.random((6, 7))
    mask = rng.random((6, 7)) < 0.5
    inner = term(boundary=boundary)
    masked = pv.Masked(inner, mask, np.where(mask, np.nan, y))
    explicit = pv.evolve(masked, y, [0, 0.25])
    np.testing.assert_array_equal(explicit, np.where(mask, step_by_step(inner, y, [0, 0.25]), y))
    implicit = pv.evolve(masked, y, [0, 4.0], step=pv.implicit_euler)
    np.testing.assert_array_equal(implicit[~mask], y[~mask])
    frozen = inner.frozen(0.0, y[None]) if hasattr(inner, "frozen") else inner
    residual = implicit - 4.0 * frozen.rate(0.0, implicit[None])[0] - y
    assert np.abs(residual[mask]).max() < 1e-8


@pytest.mark.parametrize("step", [pv.explicit_euler, *IMPLICIT, pv.fsi])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masks_work_in_both_precisions_and_start_from_what_is_known(step, dtype, rng):
    y = rng.random((9, 8)).astype(dtype)
    mask = rng.random((9, 8)) < 0.5
    elsewhere = np.where(mask, y, dtype(7))  # The state disagrees with the values where they are known.
    times = [0, 0.2] if step is pv.explicit_euler else [0, 2.0]
    expected = pv.evolve(pv.Masked(pv.PeronaMalik(0.4), mask, y.astype(float)), y.astype(float), times, step=step)
    z = pv.evolve(pv.Masked(pv.PeronaMalik(0.4), mask, y), elsewhere, times, step=step)
    assert z.dtype == dtype
    np.testing.assert_allclose(z, expected, rtol=0, atol=2e-6 if dtype == np.float32 else 1e-9)
    inside_sum = pv.evolve(pv.Sum(pv.Masked(pv.PeronaMalik(0.4), mask, y)), elsewhere, times, step=step)
    np.testing.assert_allclose(inside_sum, z, rtol=0, atol=2e-6)


@pytest.mark.parametrize("term", [pv.Shock(), pv.Sum(pv.Heat(), pv.Shock())], ids=["alone", "in a sum"])
@pytest.mark.parametrize("step", [pv.fed, pv.fsi, pv.rkl2, pv.aos, *IMPLICIT])
def test_what_is_not_near_anything_linear_is_refused_by_steps_that_need_it(term, step, rng):
    with pytest.raises(TypeError, match="nonlinear and has no frozen"):
        pv.evolve(term, rng.random((8, 8)), [0, 1.0], step=step)
    assert np.isfinite(pv.evolve(term, rng.random((8, 8)), [0, 0.1])).all()


def test_a_masked_term_sees_the_known_values_whatever_the_state_holds_there(rng):
    y = rng.random((1, 6, 7))
    mask = rng.random((6, 7)) < 0.5
    masked = pv.Masked(pv.PeronaMalik(0.4), mask, y[0])
    elsewhere = np.where(mask, y, 7.0)
    np.testing.assert_array_equal(masked.rate(0.0, elsewhere), masked.rate(0.0, y))
    for seen in (y, elsewhere):
        np.testing.assert_array_equal(masked.frozen(0.0, seen).rate(0.0, y), masked.rate(0.0, y))


def test_the_bound_of_a_pull_is_that_of_its_strongest_place():
    data, weight = np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 4.0])
    pull = pv.Fidelity(data, weight)
    np.testing.assert_allclose(pv.evolve(pull, data + 1, [0, pull.stable_dt(1)])[2], data[2] - 1)  # As far as it was.
    with pytest.raises(pv.UnstableStepError):
        pv.evolve(pull, data + 1, [0, 1.01 * pull.stable_dt(1)])


@pytest.mark.parametrize("weight", [2.0, np.arange(12.0).reshape(1, 3, 4)], ids=["number", "field"])
def test_the_diagonal_of_a_sum_is_that_of_its_operator(weight, rng):
    term = pv.Sum(pv.Heat(), pv.Fidelity(rng.random((1, 3, 4)), weight), pv.Source(np.ones((3, 4))))
    zero = np.zeros((1, 3, 4))
    rates = [(term.rate(0.0, e.reshape(zero.shape)) - term.rate(0.0, zero)).ravel() for e in np.eye(12)]
    found = np.broadcast_to(term.diagonal(zero), zero.shape).ravel()
    np.testing.assert_allclose(found, -np.diag(rates), rtol=0, atol=1e-14)


@pytest.mark.parametrize("kappa", [0.5, 0.15])  # Conductances differ by factors of up to 50 and of 10¹⁹.
def test_large_steps_of_variable_coefficients_converge(kappa, rng):
    y = rng.random((64, 64))
    term = pv.PeronaMalik(kappa)
    z = pv.evolve(term, y, [0, 1e5], step=pv.implicit_euler)
    residual = z - 1e5 * term.frozen(0.0, y[None]).rate(0.0, z[None])[0] - y
    assert np.linalg.norm(residual) <= 1e-9 * np.linalg.norm(y)


def test_inpainting_by_heat_reaches_the_harmonic_surface():
    rows, columns = np.mgrid[:12, :12] / 11.0
    harmonic = rows * columns + 0.3 * (rows - columns)
    mask = np.zeros((12, 12), bool)
    mask[1:-1, 1:-1] = True
    damaged = np.where(mask, 0.0, harmonic)
    filled = pv.evolve(pv.Masked(pv.Heat(), mask, damaged), damaged, [0, 1e7], step=pv.implicit_euler)
    np.testing.assert_allclose(filled, harmonic, rtol=0, atol=1e-4)


def test_masks_and_colour(rng):
    y = rng.random((5, 6, 3)).astype(np.float32)
    mask = rng.random((5, 6)) < 0.5
    together = pv.evolve(pv.Masked(pv.Heat(), mask, y), y, [0, 0.2], channel_axis=-1)
    for c in range(3):
        alone = pv.evolve(pv.Masked(pv.Heat(), mask, y[..., c]), y[..., c], [0, 0.2])
        np.testing.assert_array_equal(together[..., c], alone)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y: pv.Sum(), "at least one term"),
        (lambda y: pv.Fidelity(y, 0.0), "weight is 0.0"),
        (lambda y: pv.Fidelity(y, np.zeros((4, 5))), "not 0 everywhere"),
        (lambda y: pv.Fidelity(y, np.full((4, 5), np.nan)), "weight must be finite"),
        (lambda y: pv.Fidelity(y * np.nan), "data hold NaN"),
        (lambda y: pv.Source(y * np.nan), "the source holds NaN"),
        (lambda y: pv.Masked(pv.Heat(), np.ones((4, 5), bool), y), "20 of 20 true"),
        (lambda y: pv.Masked(pv.Heat(), np.zeros((4, 5), bool), y), "0 of 20 true"),
        (lambda y: pv.Masked(pv.Heat(), np.eye(4), y), "dtype float64"),
        (lambda y: pv.evolve(pv.Masked(pv.Heat(), np.eye(4, 4) > 0, y), y, [0, 1]), r"mask has shape \(4, 4\)"),
        (lambda y: pv.evolve(pv.Masked(pv.Heat(), np.eye(4, 5) > 0, y * np.nan), y, [0, 1]), "not finite outside"),
        (lambda y: pv.evolve(pv.Fidelity(y.T), y, [0, 1]), r"data has shape \(5, 4\)"),
        (lambda y: pv.evolve(pv.Source(y.T), y, [0, 1]), r"the source has shape \(5, 4\)"),
        (lambda y: pv.TotalVariation(0.0), "epsilon is 0"),
        (lambda y: pv.tv_minimize(y, -1.0), "weight is -1"),
        (lambda y: pv.PeronaMalik(1.0, temporal_kappa=0.0), "temporal_kappa is 0"),
        (
            lambda y: pv.evolve(pv.PeronaMalik(1.0, temporal_kappa=1.0), y, [0, 0.1]),
            "temporal_kappa needs a grid of 3 axes",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(pv.ParameterError, match=message):
        call(np.ones((4, 5)))


def test_source_drives_heat_to_a_manufactured_solution_at_second_order():
    # u = cos(pi x) exp(-t) on cells of width h solves u_t = u_xx + f with f = (pi^2 - 1) u; Neumann at both ends.
    errors = []
    for n in (8, 16, 32, 64):
        x = (np.arange(n) + 0.5) / n
        exact = [np.cos(np.pi * x) * np.exp(-t) for t in (0.0, 0.2)]
        source = pv.Source(lambda t, x=x: (np.pi**2 - 1) * np.cos(np.pi * x) * np.exp(-t))
        term = pv.Sum(pv.Heat(spacing=1 / n), source)
        u = pv.evolve(term, exact[0], pv.uniform(0.2, steps=4 * n), step=pv.crank_nicolson)
        errors.append(np.abs(u - exact[1]).max())
    assert abs(-np.polyfit(np.log([8, 16, 32, 64]), np.log(errors), 1)[0] - 2.0) < 0.1


@pytest.mark.parametrize(
    ("step", "order"),
    [(pv.explicit_euler, 1), (pv.implicit_euler, 1), (pv.crank_nicolson, 2), (pv.heun, 2), (pv.rkl2, 2)],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_order_in_time_with_a_source_that_changes(step, order):
    # y' = -2 (y - d) + cos t, whose solution is known; the reference is exact, so only the step's error remains.
    d, steps = 0.7, np.array([20, 40, 80, 160])
    term = pv.Sum(pv.Fidelity(np.array([d]), weight=2.0), pv.Source(lambda t: np.array([np.cos(t)])))
    exact = d + (2 * np.cos(1.0) + np.sin(1.0)) / 5 + (0.0 - d - 2 / 5) * np.exp(-2.0)
    errors = [abs(pv.evolve(term, np.zeros(1), pv.uniform(1.0, steps=n), step=step)[0] - exact) for n in steps]
    assert abs(-np.polyfit(np.log(steps), np.log(errors), 1)[0] - order) < 0.1


@pytest.mark.parametrize("step", [pv.fed, pv.fsi])
def test_inner_steps_of_a_cycle_know_their_time(step):
    # y' = t on a constant. Cycles that stay at their first time would give 1200, a third below the exact 1800.
    term = pv.Sum(pv.Heat(), pv.Source(lambda t: np.full(4, t)))
    y = pv.evolve(term, np.zeros(4), pv.uniform(60.0, steps=3), step=step)
    np.testing.assert_allclose(y, 60.0**2 / 2, rtol=0.2)


@pytest.mark.parametrize("boundary", ["neumann", "periodic"])
def test_implicit_steps_ask_for_the_rate_at_their_end(boundary, rng):
    y, field = rng.random((2, 6, 7))
    mask = rng.random((6, 7)) < 0.5
    driven = pv.Sum(pv.Heat(boundary=boundary), pv.Source(lambda t: t * field))
    for term, where in ((driven, ...), (pv.Masked(driven, mask, y), mask)):
        z = pv.evolve(term, y, [2.0, 5.0], step=pv.implicit_euler)
        residual = z - 3.0 * driven.rate(5.0, z[None])[0] - y
        assert np.abs(residual[where]).max() < 1e-8


def test_data_and_source_alone_have_their_own_implicit_steps():
    pull = pv.evolve(pv.Fidelity(np.array([4.0]), 0.5), np.array([1.0]), [0, 2.0], step=pv.implicit_euler)
    np.testing.assert_allclose(pull, (1 + 2 * 0.5 * 4) / (1 + 2 * 0.5))
    source = pv.Source(lambda t: np.array([t]))
    np.testing.assert_allclose(pv.evolve(source, np.zeros(1), [1.0, 3.0], step=pv.implicit_euler), 2 * 3.0)


def test_spacing_is_a_grid_resampled_accordingly(rng):
    # A function that varies along one axis only: on a grid twice as coarse with spacing 2 it has the same samples.
    wave = np.cos(np.pi * (np.arange(16) + 0.5) / 16)
    for axis, h in enumerate((1.0, 2.0, 0.5)):
        shape = [3, 3, 3]
        shape[axis] = 16
        y = np.broadcast_to(wave.reshape([-1 if a == axis else 1 for a in range(3)]), shape).copy()
        term = pv.PeronaMalik(0.3, "rational", spacing=(1.0, 2.0, 0.5))
        line = step_by_step(pv.PeronaMalik(0.3 * h, "rational"), wave, [0, 0.04 / h**2, 0.08 / h**2])
        box = step_by_step(term, y, [0, 0.04, 0.08])
        np.testing.assert_allclose(np.moveaxis(box, axis, 0)[:, 1, 1], line, rtol=0, atol=1e-13)
    bound = pv.Heat(spacing=(1.0, 2.0, 0.5)).stable_dt(3)
    checkers = (np.indices((8, 8, 8)).sum(axis=0) % 2 - 0.5) * 1.0
    for factor, grows in ((1.0, False), (1.01, True)):
        state = pv.evolve(
            pv.Heat(spacing=(1.0, 2.0, 0.5), boundary="periodic"),
            checkers,
            pv.uniform(300 * factor * bound, steps=300),
            check=False,
        )
        assert (np.abs(state).max() > 0.6) == grows


@pytest.mark.parametrize("names", [("rational", "rational"), *slow(("exponential", "tv"), ("tukey", "tv"))])
def test_temporal_kappa_closes_and_opens_the_flux_between_frames(names, rng):
    name, other = names
    y = rng.random((4, 5, 6))
    flat = np.stack([step_by_step(pv.PeronaMalik(0.3, name), frame, [0, 0.1, 0.2]) for frame in y])
    closed = step_by_step(pv.PeronaMalik(0.3, name, temporal_kappa=1e-9), y, [0, 0.1, 0.2])
    np.testing.assert_allclose(closed, flat, rtol=0, atol=1e-14)
    same = step_by_step(pv.PeronaMalik(0.3, other, temporal_kappa=0.3), y, [0, 0.01])
    np.testing.assert_array_equal(same, step_by_step(pv.PeronaMalik(0.3, other), y, [0, 0.01]))


@pytest.mark.parametrize("unit", [1e-26, 1e25])
def test_total_variation_flow_works_in_any_unit(unit, rng):
    y = rng.random((6, 7)).astype(np.float32)
    expected = pv.evolve(pv.TotalVariation(0.1), y, pv.uniform(0.2))
    scaled = pv.evolve(pv.TotalVariation(0.1 * unit), y * np.float32(unit), pv.uniform(0.2 * unit))
    np.testing.assert_allclose(scaled / np.float32(unit), expected, rtol=1e-4)


@pytest.mark.parametrize("shape", [(17,), (9, 8), (5, 6, 4)])
def test_total_variation_flow_follows_its_formula_and_descends(shape, rng):
    y, eps, h = rng.random(shape), 0.05, (1.0, 2.0, 0.5)[: len(shape)]
    term = pv.TotalVariation(eps, spacing=h)
    g = np.zeros_like(y)
    for axis in range(len(shape)):
        central = [
            np.gradient(np.pad(y, 1, mode="edge"), axis=a)[(slice(1, -1),) * len(shape)] for a in range(len(shape))
        ]
        d = np.diff(y, axis=axis)
        s2 = (d / h[axis]) ** 2
        for other in range(len(shape)):
            if other != axis:
                c = central[other]
                before, after = (np.take(c, range(k, c.shape[axis] - 1 + k), axis) for k in (0, 1))
                s2 = s2 + ((before + after) / 2 / h[other]) ** 2
        width = [(1, 1) if a == axis else (0, 0) for a in range(len(shape))]
        g += np.diff(np.pad(d / h[axis] ** 2 / np.sqrt(s2 + eps**2), width), axis=axis)
    np.testing.assert_allclose(term.rate(0.0, y[None])[0], g, rtol=0, atol=1e-12)
    history = pv.History()
    pv.evolve(term, y, pv.uniform(0.3), callback=history)
    assert pv.certificate(history).holds


def test_chambolle_pock_finds_the_minimum_and_proves_it(rng):
    y = rng.random((4, 5))

    def energy(u):
        u = u.reshape(4, 5)
        dx, dy = np.zeros((4, 5)), np.zeros((4, 5))
        dx[:, :-1], dy[:-1] = np.diff(u, axis=1), np.diff(u, axis=0)
        return 0.5 * ((u - y) ** 2).sum() + 0.2 * np.sqrt(dx**2 + dy**2 + 1e-12).sum()

    found = pv.tv_minimize(y, 0.2, tolerance=1e-6)
    best = minimize(energy, y.ravel(), method="L-BFGS-B", options={"maxiter": 5000, "maxfun": 200000, "ftol": 1e-14})
    assert energy(found.solution) <= best.fun + 1e-4
    assert 0 <= found.gap <= 1e-6 * energy(y)
    assert energy(found.solution) - found.gap <= best.fun + 1e-9  # The gap bounds how far the minimum can be.
    assert abs(found.solution.mean() - y.mean()) < 1e-12
    with pytest.raises(pv.SolverError, match="duality gap"):
        pv.tv_minimize(y, 0.2, tolerance=1e-12, iterations=5)


@pytest.mark.parametrize("unit", [1e-170, 1e-3, 1e150])
def test_chambolle_pock_works_in_any_unit(unit, rng):
    y = rng.random((5, 6))
    expected, found = pv.tv_minimize(y, 0.2), pv.tv_minimize(y * unit, 0.2 * unit)
    np.testing.assert_allclose(found.solution / unit, expected.solution, rtol=1e-9)
    assert np.isfinite(found.gap)
    assert found.iterations == expected.iterations


def test_chambolle_pock_is_the_accelerated_algorithm(rng):
    # The gap of algorithm 2 falls as 1/k²; without the acceleration it falls as 1/k at best in theory.
    y = rng.random((24, 24))
    counts = [pv.tv_minimize(y, 0.3, tolerance=t).iterations for t in (1e-3, 1e-5)]
    assert counts[1] <= 12 * counts[0]
    assert counts[1] <= 500  # Measured: 350; 1670 without.


def test_chambolle_pock_wants_floats_and_keeps_a_constant():
    with pytest.raises(TypeError, match="float32 or float64"):
        pv.tv_minimize(np.array([0, 0, 1, 1]), 0.25)
    with pytest.raises(pv.InputError, match="NaN"):
        pv.tv_minimize(np.array([0.0, np.nan]), 0.25)
    with pytest.raises(pv.ParameterError, match=r"4 axes"):
        pv.tv_minimize(np.zeros((2, 2, 2, 2)), 0.25)
    constant = pv.tv_minimize(np.full((3, 4), 0.7, np.float32), 0.25)
    assert constant.gap == 0
    np.testing.assert_array_equal(constant.solution, np.full((3, 4), 0.7, np.float32))


def test_chambolle_pock_of_one_edge_is_known_in_closed_form():
    y = np.repeat([0.0, 1.0], 8)
    u = pv.tv_minimize(np.tile(y, (3, 1)), 0.4, tolerance=1e-7).solution
    np.testing.assert_allclose(u, np.tile(np.repeat([0.05, 0.95], 8), (3, 1)), atol=2e-3)
    colour = pv.tv_minimize(np.stack([y, y], axis=-1), 0.4, tolerance=1e-7, channel_axis=-1).solution
    np.testing.assert_allclose(colour[:8], 0.4 / 8 / np.sqrt(2), atol=2e-3)


@pytest.mark.parametrize("dt", [1e20, 1e300])
def test_a_step_that_rounding_leaves_no_solution_to_ends_soon(dt, rng):
    for term, shape in ((pv.PeronaMalik(0.5), (3, 8, 8)), (pv.EdgeEnhancing(0.5), (8, 8))):
        with pytest.raises(pv.SolverError, match="stopped after"):
            pv.evolve(term, rng.random(shape), [0, dt], step=pv.implicit_euler)
    found = pv.evolve(pv.Heat(), rng.random((8, 8)), [0, dt], step=pv.implicit_euler)
    assert np.ptp(found) < 1e-12


def test_a_sum_of_one_masked_term_is_that_term(rng):
    y, mask = rng.random((24, 24)), rng.random((24, 24)) < 0.5
    masked = pv.Masked(pv.Heat(), mask, y)
    for step, times in ((pv.implicit_euler, [0, 1e7]), (pv.aos, [0, 3.0]), (pv.explicit_euler, pv.uniform(1.0))):
        both = [pv.evolve(term, y, times, step=step) for term in (masked, pv.Sum(masked))]
        np.testing.assert_allclose(both[0], both[1], atol=1e-9)


def test_a_term_that_is_nonlinear_and_cannot_be_frozen_says_so(rng):
    y = rng.random((8, 8))
    edges = pv.FrameDifference(y[::-1], kappa=0.1)
    assert pv.FrameDifference(y).linear
    for term in (edges, pv.Sum(pv.Heat(), edges)):
        with pytest.raises(TypeError, match="nonlinear and has no frozen"):
            pv.evolve(term, y, [0, 0.5], step=pv.implicit_euler)


def test_a_sum_has_the_bound_and_the_time_without_a_rate_of_its_terms(rng):
    y = rng.random((6, 6))
    reverse = pv.Reverse(lambda z, sigma: z / (1 + sigma**2))
    masked = pv.Masked(reverse, np.arange(36).reshape(6, 6) % 2 == 0, y)
    for term in (pv.Sum(reverse), pv.Sum(reverse, pv.Source(np.zeros_like(y))), masked):
        assert not hasattr(term, "stable_dt")
        found = pv.evolve(term, y, [1.0, 0.5, 0.0], step=pv.heun)
        expected = pv.evolve(reverse, y, [1.0, 0.5, 0.0], step=pv.heun)
        where = masked.mask if term is masked else ...
        np.testing.assert_allclose(found[where], expected[where])
    assert pv.Sum(reverse, pv.Heat()).stable_dt(2) == 0.25
    with pytest.raises(pv.UnstableStepError, match="cannot be run backwards"):
        pv.evolve(pv.Sum(reverse, pv.Heat()), y, [1.0, 0.5])


@pytest.mark.parametrize("boundary", ["neumann", "dirichlet"])
def test_additive_splitting_of_masks_and_sums_is_that_of_matrices(boundary, rng):
    shape, dt, w = (5, 7), 3.0, 0.4
    y, data, f = rng.random((3, *shape))
    mask = rng.random(shape) < 0.7
    inside = pv.Sum(pv.Heat(boundary=boundary), pv.Fidelity(data, weight=w), pv.Source(f))
    for term, acts in ((inside, np.ones(shape, bool)), (pv.Masked(inside, mask, y), mask)):
        expected = np.zeros(y.size)
        for axis, n in enumerate(shape):
            line = np.diag(np.full(n, -2.0)) + np.eye(n, k=1) + np.eye(n, k=-1)
            if boundary == "neumann":
                line[0, 0] = line[-1, -1] = -1
            parts = [line if a == axis else np.eye(m) for a, m in enumerate(shape)]
            rate = acts.ravel()[:, np.newaxis] * (np.kron(*parts) - w / 2 * np.eye(y.size))
            right = y.ravel() + 2 * dt * acts.ravel() * (w * data + f).ravel() / 2
            expected += np.linalg.solve(np.eye(y.size) - 2 * dt * rate, right) / 2
        found = pv.evolve(term, y, [0, dt], step=pv.aos)
        np.testing.assert_allclose(found.ravel(), expected, atol=1e-12)
    with pytest.raises(TypeError, match="cannot be solved along one axis of a grid of 3 axes"):
        pv.evolve(pv.Sum(pv.Heat()), rng.random((3, 3, 3)), [0, 1], step=pv.aos)


def test_a_mask_within_a_mask_holds_what_both_know(rng):
    y = rng.random((9, 10))
    one, other = rng.random((2, 9, 10)) < 0.7
    for times in ([0, 5.0], [0, 1e3]):
        both = pv.evolve(pv.Masked(pv.Masked(pv.Heat(), one, y), other, y), y, times, step=pv.implicit_euler)
        expected = pv.evolve(pv.Masked(pv.Heat(), one & other, y), y, times, step=pv.implicit_euler)
        np.testing.assert_allclose(both, expected, atol=1e-8)


def test_a_sum_of_terms_with_different_masks_is_no_stencil(rng):
    y, first = rng.random((2, 6, 7))
    one, other = (pv.Masked(pv.Heat(), mask, y) for mask in (first < 0.5, first >= 0.5))
    z = pv.evolve(pv.Sum(one, one), y, [0, 0.7], step=pv.implicit_euler)
    np.testing.assert_allclose(z, pv.evolve(one, y, [0, 1.4], step=pv.implicit_euler), atol=1e-9)
    with pytest.raises(TypeError, match="cannot be solved along one axis"):
        pv.evolve(pv.Sum(one, other), y, [0, 0.7], step=pv.aos)


@pytest.mark.parametrize(("dtype", "epsilon"), [(np.float32, 1e-25), (np.float64, 1e-149), (np.float64, 5e-324)])
def test_an_epsilon_that_cannot_be_held_is_refused(dtype, epsilon, rng):
    y = rng.random((8, 8)).astype(dtype) * 1e5
    for step in (pv.implicit_euler, pv.fed, pv.aos):
        with pytest.raises(pv.ParameterError, match="epsilon is"):
            pv.evolve(pv.TotalVariation(epsilon), y, [0, 0.1], step=step)
    scaled = pv.evolve(pv.TotalVariation(1e-27), y * dtype(1e-30), [0, 1e-26], step=pv.implicit_euler)
    np.testing.assert_allclose(
        scaled / dtype(1e-30), pv.evolve(pv.TotalVariation(1e3), y, [0, 1e4], step=pv.implicit_euler), rtol=1e-4
    )


def test_messages_do_not_print_arrays():
    with pytest.raises(TypeError) as caught:
        pv.evolve(np.arange(900.0), pv.Heat(), [0, 1])
    assert len(str(caught.value)) < 200
