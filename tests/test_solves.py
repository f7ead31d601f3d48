"""The solvers against other solvers: dense matrices, bands, transforms, and themselves on other numbers of threads."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
from scipy.linalg import solve_banded
from test_heat import BOUNDARIES

import pde_video as pv
from pde_video.kernels.intrinsics import transpose
from pde_video.solvers import implicit
from pde_video.solvers.implicit import conjugate_gradients, spectral_solve, tridiagonal_solve

# More than one block of lines each way and a rest, more rows than a thread takes at a time, and thin ones.
SHAPES = [(150, 83), (67, 300), (130, 1), (1, 130), (5, 70, 20), (70, 3, 33), (90,)]


def along_lines(g, y, axis, dt, boundary):
    """Solve by LAPACK, line by line, for conductances `g` after the cells of the grid with its rim."""
    lines = np.moveaxis(y, axis + 1, -1)
    if boundary == "neumann":
        g = np.concatenate([np.zeros_like(np.take(g, [0], axis)), g], axis=axis)
    else:
        g = g[tuple(slice(None, -1) if a == axis else slice(1, -1) for a in range(g.ndim))]
    faces = dt * np.moveaxis(g, axis, -1)
    out = np.empty_like(lines)
    for index in np.ndindex(lines.shape[1:-1]):
        f = faces[index]
        band = np.zeros((3, lines.shape[-1]))
        band[0, 1:], band[2, :-1], band[1] = -f[1:-1], -f[1:-1], 1 + f[:-1] + f[1:]
        out[(slice(None), *index)] = solve_banded((1, 1), band, lines[(slice(None), *index)].T).T
    return np.moveaxis(out, -1, axis + 1)


@pytest.mark.parametrize("boundary", ["neumann", "dirichlet"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "close"), [(np.float64, 1e-12), (np.float32, 3e-6)])
def test_lines_are_solved_as_by_lapack(shape, boundary, dtype, close, rng):
    y = rng.random((2, *shape)).astype(dtype)
    term = pv.PeronaMalik(0.4, "rational", spacing=(1.0, 2.0, 0.5)[: len(shape)], boundary=boundary)
    frozen = term.frozen(0.0, y)
    for dt in (0.3, 30.0):
        expected = np.zeros(y.shape)
        for axis in range(len(shape)):
            faces = frozen.faces[3 - len(shape) + axis].astype(np.float64)
            faces = faces.reshape([n + (0 if boundary == "neumann" else 2) for n in shape])
            scale = float(frozen.scale[3 - len(shape) + axis])
            solved = along_lines(faces, y.astype(np.float64), axis, len(shape) * dt * scale, boundary)
            single = frozen.solve_axis(0.0, y, len(shape) * dt, axis)
            assert single.dtype == dtype
            np.testing.assert_allclose(single, solved, rtol=0, atol=close)
            expected += solved
        found = pv.aos(term, 0.0, dt, y)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, expected / len(shape), rtol=0, atol=close)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "close"), [(np.float64, 1e-12), (np.float32, 3e-6)])
def test_lines_of_the_heat_equation_are_solved_as_by_transforms(shape, boundary, dtype, close, rng):
    y = rng.random((2, *shape)).astype(dtype)
    heat = pv.Heat(1.7, spacing=(1.0, 2.0, 0.5)[: len(shape)], boundary=boundary)
    total = np.zeros(y.shape)
    for axis in range(len(shape)):
        along = [1.7 / h**2 if a == axis else 0.0 for a, h in zip(range(len(shape)), (1.0, 2.0, 0.5), strict=False)]
        expected = spectral_solve(y.astype(np.float64), len(shape) * 4.0, along, boundary)
        solved = heat.solve_axis(0.0, y, len(shape) * 4.0, axis)
        np.testing.assert_allclose(solved, expected, rtol=0, atol=close)
        total += expected
    np.testing.assert_allclose(pv.aos(heat, 0.0, 4.0, y), total / len(shape), rtol=0, atol=close)


def test_lines_that_would_fill_no_block_are_solved_too(rng):
    y = rng.random((1, 5000))
    g = rng.random(5000)
    g[-1] = 0
    expected = along_lines(g, y, 0, 3.0, "neumann")
    np.testing.assert_allclose(tridiagonal_solve(g, 3.0, y, 0, boundary="neumann"), expected, rtol=0, atol=1e-13)
    constant = np.append(np.ones(4999), 0)
    found = tridiagonal_solve(None, 3.0, y, 0, boundary="neumann")
    np.testing.assert_allclose(found, along_lines(constant, y, 0, 3.0, "neumann"), rtol=0, atol=1e-13)


def test_long_lines_between_zeros_are_solved_too(rng):
    y, g = rng.random((1, 5000)), rng.random(5002)
    expected = along_lines(g, y, 0, 3.0, "dirichlet")
    np.testing.assert_allclose(tridiagonal_solve(g, 3.0, y, 0, boundary="dirichlet"), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dt", [1.0, 1e3, 1e6, 1e9, 1e15, 1e37])
@pytest.mark.parametrize("term", [pv.Heat(), pv.PeronaMalik(5.0)], ids=["heat", "perona-malik"])
def test_aos_in_single_precision_keeps_mean_and_extrema_at_any_step(dt, term, rng):
    y = rng.random((160, 170)).astype(np.float32)
    z = pv.evolve(term, y, [0, dt], step=pv.aos)
    assert abs(z.mean(dtype=float) - y.mean(dtype=float)) < 1e-5
    assert y.min() - 1e-5 <= z.min()
    assert z.max() <= y.max() + 1e-5
    exact = pv.evolve(term, y.astype(np.float64), [0, dt], step=pv.aos)
    np.testing.assert_allclose(z, exact, rtol=0, atol=2e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("term", [pv.Heat(), pv.PeronaMalik(0.3)], ids=["heat", "perona-malik"])
def test_an_endless_step_makes_each_line_its_mean(term, dtype, rng):
    y = rng.random((1, 40, 90)).astype(dtype)
    term = term.frozen(0.0, y) if hasattr(term, "frozen") else term
    for axis in (0, 1):
        z = term.solve_axis(0.0, y, 1e37, axis)
        mean = np.broadcast_to(y.mean(axis=axis + 1, keepdims=True, dtype=float), y.shape)
        np.testing.assert_allclose(z, mean, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("step", [pv.aos, pv.implicit_euler])
@pytest.mark.parametrize("term", [pv.Heat(), pv.PeronaMalik(0.3)], ids=["heat", "perona-malik"])
@pytest.mark.parametrize("shape", [(300, 150), (6, 40, 150)])
def test_implicit_steps_do_not_depend_on_the_number_of_threads(step, term, shape, threads, rng):
    y = rng.random(shape).astype(np.float32)
    states = []
    for n in (1, 2, 3):
        threads(n)
        states.append(pv.evolve(term, y, pv.uniform(4.0, steps=2), step=step))
    np.testing.assert_array_equal(states[1], states[0])
    np.testing.assert_array_equal(states[2], states[0])


@pytest.mark.parametrize("shape", [(300, 41), (7, 60, 40)])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_the_spectral_solve_divides_every_row_by_its_symbol(shape, boundary, rng):
    # Applying the operator to the solution gives the data back.
    y = rng.random((2, *shape))
    spacing = (1.0, 2.0, 0.5)[: len(shape)]
    heat = pv.Heat(0.7, spacing=spacing, boundary=boundary)
    z = heat.solve(0.0, y, 5.0)
    np.testing.assert_allclose(z - 5.0 * heat.rate(0.0, z), y, rtol=0, atol=1e-12)
    single = heat.solve(0.0, y.astype(np.float32), 5.0)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, z, rtol=0, atol=2e-6)


def test_the_spectral_solve_leaves_its_right_hand_side_alone(rng):
    y = rng.random((1, 32, 48)).astype(np.float32)
    before = y.copy()
    for boundary in BOUNDARIES:
        pv.Heat(boundary=boundary).solve(0.0, y, 3.0)
    np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(64, 64), (16, 33), (5, 40), (31, 7), (1, 1)])
def test_transposition(shape, dtype, rng):
    rows, columns = shape
    source = rng.random((rows + 3, columns + 5)).astype(dtype)
    target = np.zeros((columns + 1, rows + 2), dtype)
    numbers = (source.shape[1] + 2, source.shape[1], rows, columns)
    transpose(source.ravel(), *map(np.uint64, numbers), target.ravel(), np.uint64(1), np.uint64(target.shape[1]))
    np.testing.assert_array_equal(target[:columns, 1 : rows + 1], source[1 : rows + 1, 2 : columns + 2].T)
    outside = np.ones(target.shape, bool)
    outside[:columns, 1 : rows + 1] = False
    assert not target[outside].any()


def test_the_transforms_use_one_thread_inside_a_piece_of_work(threads, monkeypatch, rng):
    threads(3)
    seen = []
    dctn = scipy.fft.dctn
    monkeypatch.setattr(scipy.fft, "dctn", lambda *a, **k: (seen.append(k["workers"]), dctn(*a, **k))[1])
    y = rng.random((1, 8, 8))
    pv.Heat().solve(0.0, y, 1.0)
    from pde_video.threads import ordered

    list(ordered(lambda _: pv.Heat().solve(0.0, y, 1.0), range(2)))
    assert seen == [3, 1, 1]


def with_eigenvalues(values, rng):
    """A symmetric matrix with these eigenvalues."""
    vectors, _ = np.linalg.qr(rng.normal(size=(len(values), len(values))))
    return (vectors * values) @ vectors.T


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("options", [{}, {"tolerance": 1e-4}], ids=str)
def test_conjugate_gradients_meet_their_tolerance(unit, options, rng):
    matrix, b = with_eigenvalues(np.geomspace(1, 1000, 61), rng), unit * rng.normal(size=(1, 61))
    z = conjugate_gradients(lambda v: v @ matrix, np.diag(matrix)[np.newaxis], b, **options)
    assert np.linalg.norm(z @ matrix - b) <= options.get("tolerance", 1e-10) * np.linalg.norm(b)


@pytest.mark.parametrize("piece", [1 << 17, 16])
def test_conjugate_gradients_end_after_as_many_steps_as_there_are_eigenvalues(piece, monkeypatch, rng):
    monkeypatch.setattr(implicit, "_PIECE", piece)
    preconditioner = rng.uniform(0.1, 10, 41)
    root = np.sqrt(preconditioner)
    matrix = root[:, np.newaxis] * with_eigenvalues(np.repeat([1.0, 2.0, 5.0], (10, 20, 11)), rng) * root
    b = rng.normal(size=(1, 41))
    z = conjugate_gradients(lambda v: v @ matrix, preconditioner[np.newaxis], b, iterations=3)
    np.testing.assert_allclose(z @ matrix, b, rtol=0, atol=1e-8)


def test_conjugate_gradients_refuse_what_is_not_solved(rng):
    matrix, b = with_eigenvalues(np.linspace(1, 3, 41), rng), rng.normal(size=(1, 41))
    for diagonal in (1.0, 1e12):  # Of so large an operator, rounding alone leaves 1e-2; beyond 1e-6 that is no excuse.
        with pytest.raises(pv.SolverError, match="after at most 5 iterations"):
            conjugate_gradients(lambda v: v @ matrix, np.full((1, 41), diagonal), b, iterations=5)
    with pytest.raises(pv.SolverError, match="linear and symmetric"):
        conjugate_gradients(lambda v: 2 * v + 0.1, np.full((1, 41), 2.0), b)


def test_large_steps_are_solved_as_far_as_rounding_allows(rng):
    # Eigenvalues from 1 to 1e9, as for a step of 1e9: a residual of 1e-10 is more than double precision can hold.
    matrix, b = with_eigenvalues(np.concatenate([[1.0], np.full(40, 1e9)]), rng), rng.normal(size=(1, 41))
    z = conjugate_gradients(lambda v: v @ matrix, np.full((1, 41), 1e9), b)
    assert np.linalg.norm(z @ matrix - b) <= 1e-6 * np.linalg.norm(b)
