"""Exchange between pairs of cells in a mask, held to a sparse direct solver and to conjugate gradients on the grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

import pde_video as pv
from pde_video.integrators.steps import freeze
from pde_video.solvers import rest as room
from pde_video.solvers.rest import implicit_solve, rest

SIZE = (31, 38)


@pytest.fixture
def scene(rng):
    """An edge with noise, what is unknown of it (holes and single cells), and two channels."""
    y = np.add.outer(np.arange(31.0), 20.0 * (np.arange(38) > 17)) + rng.normal(0, 1, SIZE)
    mask = rng.random(SIZE) < 0.2
    mask[8:14, 10:25] = True
    return np.stack([y, 3 - 2 * y]), mask


def filled(y, mask, *others):
    term = pv.Sum(pv.EdgeEnhancing(5.0, conductance="charbonnier"), *others)
    return freeze(pv.Masked(term, mask[np.newaxis], y), 0.0, y)


def matrix(linear, y, mask):
    """The operator on the masked cells as a matrix, column by column, and the right side."""
    cells, zero = np.argwhere(mask), np.where(mask, 0.0, y[:1])
    b = linear.term.rate(0.0, zero)[0, mask]
    columns = []
    for i, j in cells:
        one = zero.copy()
        one[0, i, j] += 1
        columns.append(b - linear.term.rate(0.0, one)[0, mask])
    return coo_array(np.array(columns).T).tocsc(), b


def test_it_is_the_solution_of_a_direct_solver(scene):
    y, mask = scene
    linear = filled(y[:1], mask)
    found = rest(linear, y[:1], 1e-11, warm=True)
    a, b = matrix(linear, y[:1], mask)
    np.testing.assert_allclose(found.state[0, mask], spsolve(a, b), atol=1e-8)
    np.testing.assert_array_equal(found.state[0, ~mask], y[0, ~mask])
    assert found.residual <= 1e-11
    assert found.afloat == 0


@pytest.mark.parametrize("pulled", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_it_is_what_conjugate_gradients_on_the_grid_find(scene, pulled, dtype, monkeypatch):
    y, mask = scene[0].astype(dtype), scene[1]
    weight = np.linspace(0, 2, y.size).reshape(y.shape)[:1]
    others = [pv.Fidelity(0.5 * y, weight=weight), pv.Source(y**2 / 100)] if pulled else []
    linear = filled(y, mask, *others)
    listed = rest(linear, y, 1e-11, warm=True).state, implicit_solve(linear, 0.0, y, 50.0)
    monkeypatch.setattr(room, "pairs_of", lambda *_: None)
    plain = rest(linear, y, 1e-12, warm=True).state, implicit_solve(linear, 0.0, y, 50.0)
    for one, other in zip(listed, plain, strict=True):
        assert one.dtype == dtype
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 if dtype == np.float64 else 2e-4)


def test_terms_with_masks_of_their_own_are_not_listed_together(scene, monkeypatch):
    y, mask = scene
    other = np.roll(mask, 5, axis=1)
    tensor = pv.EdgeEnhancing(5.0, conductance="charbonnier")
    both = pv.Sum(pv.Masked(tensor, mask[np.newaxis], y), pv.Masked(tensor, other[np.newaxis], y))
    within = pv.Masked(pv.Sum(pv.Masked(tensor, mask[np.newaxis], y), tensor), other[np.newaxis], y)
    for term in (both, within):
        linear = freeze(term, 0.0, y)
        found = implicit_solve(linear, 0.0, y, 20.0)
        with monkeypatch.context() as patched:
            patched.setattr(room, "pairs_of", lambda *_: None)
            np.testing.assert_array_equal(found, implicit_solve(linear, 0.0, y, 20.0))


def test_constants_stay_bit_for_bit_and_no_value_leaves_the_range(scene, rng):
    y, mask = scene
    constant = np.full_like(y, 1 / 3)
    start = np.where(mask, rng.random(y.shape), constant)
    np.testing.assert_array_equal(rest(filled(start, mask), start, 1e-6, warm=True).state, constant)
    found = rest(filled(y, mask), y, 1e-9, warm=True).state
    for values, known in zip(found, y[:, ~mask], strict=True):
        assert known.min() - 1e-6 <= values.min()
        assert values.max() <= known.max() + 1e-6


def test_cells_that_nothing_fixes_stay_as_they_are(rng):
    from pde_video.solvers.pairs import Pairs

    mask = np.ones((1, 5), bool)
    first, second, w = np.array([0, 2], np.int32), np.array([1, 5], np.int32), np.array([1.0, 2.0])
    weights, b = np.array([1.0, 1.0, 2.0, 0.0, 0.0]), np.array([[0.0, 0.0, 8.0, 0.0, 3.0]])
    pull = np.array([[0.0, 0.0, 0.0, 0.0, 1.0]])
    pairs = Pairs(mask, first, second, w, weights, pull, b, np.zeros((1, 1)))
    found = pairs.rest(np.array([[[7.0, 9.0, 0.0, 5.0, 0.0]]]), 1e-12)
    np.testing.assert_allclose(found.state, [[[7, 9, 4, 5, 3]]])
    assert found.afloat == 3


def test_what_is_at_rest_is_at_rest(scene):
    y, mask = scene
    report = {}
    term = pv.Masked(pv.EdgeEnhancing(5.0, conductance="charbonnier"), mask, np.moveaxis(y, 0, -1))
    found = pv.equilibrium(term, np.moveaxis(y, 0, -1), tolerance=1e-4, channel_axis=-1, report=report)
    again = pv.equilibrium(term, found, tolerance=1e-4, channel_axis=-1)
    assert report["residual"] <= 1e-4
    np.testing.assert_allclose(again, found, atol=1e-3 * np.ptp(y))


def test_mirrored_and_transposed_pictures_are_filled_alike(scene):
    y, mask = scene
    found = rest(filled(y, mask), y, 1e-11, warm=True).state
    for turn in (lambda x: x[..., ::-1], lambda x: x[..., ::-1, :], lambda x: np.swapaxes(x, -1, -2)):
        turned = np.ascontiguousarray(turn(y)), np.ascontiguousarray(turn(mask))
        np.testing.assert_allclose(rest(filled(*turned), turned[0], 1e-11, warm=True).state, turn(found), atol=1e-6)
