"""States at rest, against harmonic functions, sparse direct solvers and what holds for all of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import spsolve

import pde_video as pv
from pde_video.solvers.stencil import Stencil

HARMONIC = {
    "1": lambda x, y: np.ones_like(x),
    "x": lambda x, y: x,
    "y": lambda x, y: y,
    "xy": lambda x, y: x * y,
    "x² − y²": lambda x, y: x * x - y * y,
}


def harmonic(values, known, **options):
    """The harmonic function with some known values."""
    return pv.equilibrium(pv.Masked(pv.Heat(), ~known, values), np.where(known, values, 0.0), **options)


def laplacian(down, across, c):
    """The matrix of c u + Σ g (u − u of a neighbour), with faces after each cell."""
    height, width = down.shape
    cells = np.arange(height * width).reshape(height, width)
    total = sp.diags_array(c.ravel().astype(float))
    for g, one, other in (
        (down[:-1], cells[:-1], cells[1:]),
        (across[:, :-1], cells[:, :-1], cells[:, 1:]),
    ):
        g, one, other = g.ravel(), one.ravel(), other.ravel()
        ends = sp.coo_array((g, (one, one)), (cells.size,) * 2) + sp.coo_array((g, (other, other)), (cells.size,) * 2)
        total = total + ends - sp.coo_array((np.tile(g, 2), (np.r_[one, other], np.r_[other, one])), (cells.size,) * 2)
    return total.tocsr()


@pytest.mark.parametrize("name", HARMONIC)
@pytest.mark.parametrize("shape", [(33, 46), (64, 64), (5, 90)])
def test_harmonic_polynomials_come_back_from_their_border(name, shape, rng):
    x, y = np.meshgrid(np.linspace(-1, 1, shape[1]), (np.arange(shape[0]) - shape[0] // 2) * 2 / (shape[1] - 1))
    truth = HARMONIC[name](x, y)
    known = rng.random(shape) < 0.02
    known[[0, -1]] = known[:, [0, -1]] = True  # Without flux through the border, only constants could be free there.
    np.testing.assert_allclose(harmonic(truth, known, tolerance=1e-8), truth, atol=1e-6)


def test_a_ring_around_a_charge_is_solved_to_order_two():
    errors = []
    for n in (32, 64, 128):
        y, x = np.mgrid[-n : n + 1, -n : n + 1] / n
        r = np.hypot(x, y)
        truth = np.log(np.maximum(r, 1e-3))
        ring = (r > 0.25) & (r < 0.9)
        errors.append(np.abs(harmonic(truth, ~ring, tolerance=1e-9) - truth)[ring].max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.35)
    assert np.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.35)


@pytest.mark.parametrize(("shape", "c"), [((32, 32), 0.0), ((33, 18), 0.3), ((1, 40), 0.0), ((40, 1), 0.01)])
def test_it_is_what_a_direct_solver_finds(shape, c, rng):
    known = rng.random(shape) < (0.06 if c == 0 else 0)
    known.flat[3] = c == 0
    down, across = rng.random((2, *shape)) + 0.05
    down[-1], across[:, -1] = 0, 0
    y, b = rng.normal(size=(2, 2, *shape))
    found = Stencil(np.stack([down, across]), np.full((1, *shape), c), b, known[np.newaxis]).rest(y, 1e-12)
    matrix, unknown = laplacian(down, across, np.full(shape, c)), ~known.ravel()
    for k in range(2):
        expected = y[k].ravel().copy()
        right = b[k].ravel()[unknown] - matrix[unknown][:, ~unknown] @ expected[~unknown]
        expected[unknown] = spsolve(matrix[unknown][:, unknown].tocsc(), right)
        np.testing.assert_allclose(found.state[k].ravel(), expected, atol=1e-8 * np.abs(expected).max())


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(-3, -0.05),
    st.tuples(st.integers(3, 130), st.integers(3, 130)),
    st.sampled_from([np.float32, np.float64]),
)
def test_few_iterations_suffice_for_masks_of_any_density_and_no_value_leaves_the_range(seed, density, shape, dtype):
    rng = np.random.default_rng(seed)
    known = rng.random(shape) < 10**density
    known.flat[rng.integers(known.size)] = True
    if known.all():
        known.flat[0] = False
    values, report = rng.random(shape).astype(dtype), {}
    found = harmonic(values, known, report=report)
    assert report["iterations"] <= 12
    assert report["residual"] <= 1e-3
    assert found.dtype == dtype
    np.testing.assert_array_equal(found[known], values[known])
    exact = harmonic(values.astype(float), known, tolerance=1e-10)
    assert values[known].min() - 1e-9 <= exact.min() <= exact.max() <= values[known].max() + 1e-9


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-30, 1e30, 1e170, 1e300])
def test_data_of_any_unit_are_solved_alike(scale, rng):
    known, values = rng.random((30, 33)) < 0.1, rng.random((30, 33))
    found = harmonic(scale * values, known, tolerance=1e-9)
    np.testing.assert_allclose(found / scale, harmonic(values, known, tolerance=1e-9), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.1, 255.0, -1e-20, 3e30])
def test_constants_are_kept_bit_for_bit(value, dtype, rng):
    known = rng.random((40, 50)) < 0.05
    constant = np.full(known.shape, value, dtype)
    np.testing.assert_array_equal(harmonic(constant, known), constant)


def test_it_turns_with_the_picture(rng):
    known, values = rng.random((40, 57)) < 0.05, rng.random((40, 57))
    found = harmonic(values, known, tolerance=1e-9)
    for turn in (np.flipud, np.fliplr, np.transpose):
        turned = harmonic(np.ascontiguousarray(turn(values)), np.ascontiguousarray(turn(known)), tolerance=1e-9)
        np.testing.assert_allclose(turned, turn(found), atol=1e-7)


def test_a_hole_is_solved_in_its_box(rng):
    known, values = np.ones((60, 70), bool), rng.random((60, 70))
    known[20:31, 40:66] = rng.random((11, 26)) < 0.1
    found = harmonic(values, known, tolerance=1e-10)
    inside = np.s_[19:32, 39:67]
    np.testing.assert_array_equal(found[inside], harmonic(values[inside], known[inside], tolerance=1e-10))
    left = pv.Heat().rate(0.0, found[np.newaxis])[0]
    assert np.abs(left[~known]).max() < 1e-8


def test_threads_change_no_bit(threads, rng):
    known, values = rng.random((400, 300)) < 0.04, rng.random((400, 300)).astype(np.float32)
    found = []
    for n in (1, 2, 3):
        threads(n)
        found.append(harmonic(values, known))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_what_nothing_reaches_is_refused_and_never_filled_by_accident():
    values, known = np.arange(64.0).reshape(8, 8), np.zeros((8, 8), bool)
    known[:, 0] = True
    wall = pv.Masked(pv.PeronaMalik(0.1, "tukey"), ~known, values)  # Closed wherever values differ by more.
    start = np.where(np.arange(8) < 5, 0.0, 9.0) * np.ones((8, 1))
    values[:, 0] = 0
    with pytest.raises(pv.ParameterError, match="nothing fixes 24 of 64 values"):
        pv.equilibrium(wall, start)
    with pytest.raises(pv.ParameterError, match="nothing fixes 64 of 64 values"):
        pv.equilibrium(pv.Heat(), values)


def test_a_nonlinear_term_comes_to_rest(rng):
    known, values = rng.random((48, 48)) < 0.3, np.add.outer(np.arange(48.0), np.arange(48) > 20) * 10
    for term in (pv.PeronaMalik(30.0, "charbonnier"), pv.EdgeEnhancing(30.0, conductance="charbonnier")):
        masked, report, seen = pv.Masked(term, ~known, values), {}, []
        start = harmonic(values, known)
        found = pv.equilibrium(
            masked, start, tolerance=1e-5, report=report, callback=lambda k, y, seen=seen: seen.append(k)
        )
        assert seen == list(range(1, report["solves"] + 1))
        rates = [np.abs(term.rate(0.0, y[np.newaxis]))[0][~known].max() for y in (start, found)]
        assert rates[1] < 1e-2 * rates[0]


def test_sums_with_sources_and_data_rest_where_they_balance(rng):
    data = rng.random((24, 31))
    term = pv.Sum(pv.Heat(3.0), pv.Fidelity(data, weight=0.5), pv.Source(data**2))
    found = pv.equilibrium(term, np.zeros_like(data), tolerance=1e-10)
    residual = 3 * pv.Heat().rate(0, found[np.newaxis])[0] + 0.5 * (data - found) + data**2
    assert np.abs(residual).max() < 1e-8
    colour = np.stack([data, 2 * data], axis=-1)
    both = pv.equilibrium(pv.Sum(pv.Heat(), pv.Fidelity(colour)), colour, channel_axis=-1, tolerance=1e-10)
    np.testing.assert_allclose(both[..., 1], 2 * both[..., 0], atol=1e-8)


@pytest.mark.parametrize("boundary", ["neumann", "periodic", "dirichlet"])
@pytest.mark.parametrize("shape", [(12,), (9, 11), (4, 5, 6)])
def test_any_grid_and_boundary_has_a_state_at_rest(shape, boundary, rng):
    known = rng.random(shape) < 0.3
    known.flat[0], known.flat[1] = True, False
    values = rng.random(shape)
    term = pv.Masked(pv.Heat(boundary=boundary), ~known, values)
    report = {}
    found = pv.equilibrium(term, values, tolerance=1e-9, report=report)
    assert (report["iterations"] is None) == (boundary == "periodic" or len(shape) == 3)
    assert np.abs(pv.Heat(boundary=boundary).rate(0.0, found[np.newaxis])[0][~known]).max() < 1e-6
    np.testing.assert_array_equal(found[known], values[known])


def test_bad_input_is_refused():
    y = np.zeros((4, 4))
    for tolerance, term in itertools.product((0, 1, -1, np.nan), (pv.Heat(),)):
        with pytest.raises(pv.ParameterError, match="tolerance is"):
            pv.equilibrium(term, y, tolerance=tolerance)
    with pytest.raises(TypeError, match="is no term"):
        pv.equilibrium("heat", y)
    with pytest.raises(TypeError, match="nonlinear and has no frozen"):
        pv.equilibrium(pv.Shock(), y)
