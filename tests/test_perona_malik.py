"""Edge-stopping diffusion against an independent NumPy version and assembled matrices."""

from __future__ import annotations

import numpy as np
import pytest
from cases import marked_slow, slow
from oracles import CONDUCTANCES, frozen_matrix, perona_malik_rate
from scipy import ndimage
from scipy.sparse import eye_array
from scipy.sparse.linalg import spsolve

import pde_video as pv
from pde_video.terms.heat import narrowly_smoothed

SHAPES = [(1, 23), (1, 14, 17), (3, 14, 17), (2, 5, 6, 7), (1, 1, 1), (1, 1, 9), (1, 9, 1)]


# Each conductance is compiled anew, and once more into the fused steps, for each dtype: half of them in the fast tests.
SOME = marked_slow(CONDUCTANCES, "charbonnier", "weickert", "tukey")


def two_steps_are_those_of_numpy(shape, conductance, dtype, tolerance, rng, **options):
    y = rng.random(shape).astype(dtype)
    spacing = (1.0, 2.0, 0.5)[: len(shape) - 1]
    term = pv.PeronaMalik(0.3, conductance, spacing=spacing)
    dt = term.stable_dt(len(shape) - 1)
    ours = pv.evolve(term, y, [0.0, dt, 2 * dt], channel_axis=0, **options)
    theirs = y.astype(np.float64)
    for _ in range(2):
        theirs = theirs + dt * perona_malik_rate(theirs, 0.3, conductance, spacing)
    assert ours.dtype == dtype
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("conductance", SOME)
def test_explicit_steps_agree_with_numpy(shape, conductance, rng):
    # With a callback one by one; that fused steps are the same bits, `test_march.py` shows.
    two_steps_are_those_of_numpy(shape, conductance, np.float64, 1e-13, rng, callback=lambda t, state: None)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("conductance", SOME)
def test_explicit_steps_in_single_precision_agree_with_numpy(shape, conductance, rng):
    two_steps_are_those_of_numpy(shape, conductance, np.float32, 1e-6, rng)


def test_the_table_covers_every_conductance():
    from pde_video.terms.perona_malik import CONDUCTANCES as OURS

    assert set(OURS) == set(CONDUCTANCES)


@pytest.mark.parametrize("conductance", SOME)
def test_single_precision_conductances_are_accurate_for_all_gradients(conductance):
    # Two pixels: the change in one step is dt · g(d²) · d, so g can be read off.
    d = np.concatenate([[0.0], np.logspace(-4, 1, 400)]).astype(np.float32)
    pairs = np.stack([np.zeros_like(d), d], axis=-1)[:, None, :]
    kappa, g = 0.3, []
    term = pv.PeronaMalik(kappa, conductance)
    for pair in pairs[1:]:
        g.append(term.rate(0.0, pair)[0, 0] / pair[0, 1])
    expected = CONDUCTANCES[conductance](d[1:].astype(float) ** 2, kappa)
    largest = 1 / kappa if conductance == "tv" else 1.0
    assert np.abs(np.array(g) - expected).max() < 5e-6 * largest


@pytest.mark.parametrize("shape", SHAPES)
def test_smoothing_takes_the_gradient_from_a_smoothed_picture(shape, rng):
    y = rng.random(shape)
    ndim = len(shape) - 1
    term = pv.PeronaMalik(0.1, "rational", smoothing=0.8)
    steps = int(np.ceil(0.8**2 / pv.Heat().stable_dt(ndim)))
    smoothed = pv.evolve(pv.Heat(), y, pv.uniform(0.8**2 / 2, steps=steps), channel_axis=0)
    expected = perona_malik_rate(y, 0.1, "rational", (1.0,) * ndim, smoothed)
    np.testing.assert_allclose(term.rate(0.0, y), expected, rtol=0, atol=1e-12)


def test_smoothing_is_close_to_a_gaussian():
    impulse = np.zeros((1, 41, 41))
    impulse[0, 20, 20] = 1.0
    smoothed = narrowly_smoothed(impulse, 3.0, "neumann")[0]
    gaussian = ndimage.gaussian_filter(impulse[0], 3.0)
    assert np.abs(smoothed - gaussian).max() < 0.02 * gaussian.max()


@pytest.mark.parametrize("conductance", CONDUCTANCES)
def test_the_semi_implicit_step_solves_its_linear_system(conductance, rng):
    y = rng.random((9, 8))
    spacing = (1.0, 0.7)
    term = pv.PeronaMalik(0.3, conductance, spacing=spacing)
    ours = pv.evolve(term, y, [0, 5.0], step=pv.implicit_euler)
    matrix = eye_array(y.size) - 5.0 * frozen_matrix(y, 0.3, conductance, spacing)
    np.testing.assert_allclose(ours.ravel(), spsolve(matrix.tocsc(), y.ravel()), rtol=0, atol=1e-8)


@pytest.mark.parametrize("shape", [(16,), (7, 9), (4, 5, 6)])
def test_the_semi_implicit_step_keeps_mean_and_extrema_at_any_length(shape, rng):
    y = rng.random(shape)
    for dt in (0.1, 10.0, 1000.0):
        z = pv.evolve(pv.PeronaMalik(0.5), y, [0, dt], step=pv.implicit_euler)
        assert abs(z.mean() - y.mean()) < 1e-9
        assert z.max() <= y.max() + 1e-9
        assert z.min() >= y.min() - 1e-9


@pytest.mark.parametrize("conductance", SOME)
def test_explicit_steps_keep_mean_and_extrema_up_to_the_bound(conductance, rng):
    y = rng.random((3, 15, 13))
    term = pv.PeronaMalik(0.2, conductance, smoothing=0.7)
    previous = y
    for _, state in pv.evolution(term, y, pv.uniform(20 * term.stable_dt(2)), channel_axis=0):
        assert np.abs(state.mean(axis=(1, 2)) - y.mean(axis=(1, 2))).max() < 1e-13
        assert (state.max(axis=(1, 2)) <= previous.max(axis=(1, 2)) + 1e-14).all()
        assert (state.min(axis=(1, 2)) >= previous.min(axis=(1, 2)) - 1e-14).all()
        previous = state


@pytest.mark.parametrize("conductance", SOME)
def test_flips_and_quarter_turns_commute_exactly(conductance, rng):
    y = rng.random((12, 12, 3)).astype(np.float32)
    term = pv.PeronaMalik(0.2, conductance, smoothing=0.7)
    times = pv.uniform(5 * term.stable_dt(2))
    result = pv.evolve(term, y, times, channel_axis=-1)
    for move in (np.flipud, np.fliplr, np.rot90):
        turned = pv.evolve(term, np.ascontiguousarray(move(y)), times, channel_axis=-1)
        np.testing.assert_array_equal(turned, move(result))


@pytest.mark.parametrize("dtype", [np.float64, *slow(np.float32)])
def test_colour_shares_one_edge(dtype, rng):
    # An edge in one channel alone must protect the others too.
    y = np.zeros((1, 10, 2), dtype)
    y[0, 5:, 0] = 1.0
    y[..., 1] = rng.normal(0, 0.001, (1, 10))
    y[0, 5:, 1] += 0.01
    # One by one, so that no fused steps are compiled for this alone.
    z = pv.evolve(pv.PeronaMalik(0.1, "tukey"), y, pv.uniform(50.0), channel_axis=-1, callback=lambda t, state: None)
    left, right = z[0, :5, 1], z[0, 5:, 1]
    assert np.ptp(left) < 1e-4
    assert np.ptp(right) < 1e-4
    np.testing.assert_allclose(
        [left.mean(), right.mean()], [y[0, :5, 1].mean(), y[0, 5:, 1].mean()], atol=20 * np.finfo(dtype).eps
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kappa": 0}, "kappa is 0; it must be positive"),
        ({"kappa": -1.0}, "kappa is -1.0"),
        ({"kappa": float("nan")}, "kappa is nan"),
        ({"kappa": "big"}, "kappa is 'big'; it must be a number"),
        ({"kappa": 1.0, "conductance": "gauss"}, "'gauss'; it must be one of exponential, rational"),
        ({"kappa": 1.0, "smoothing": -0.1}, "smoothing is -0.1"),
        ({"kappa": 1.0, "spacing": 0}, "spacing is 0"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    with pytest.raises(pv.ParameterError, match=message):
        pv.PeronaMalik(**arguments)


@pytest.mark.parametrize("conductance", CONDUCTANCES)
def test_order_in_space(conductance):
    # The rate of u = sin(2 pi x) on a torus against d/dx (g(u_x^2) u_x), differentiated finely by the chain rule.
    errors, sizes, kappa = [], [32, 64, 128, 256], 8.0
    for n in sizes:
        x = (np.arange(n) + 0.5) / n
        term = pv.PeronaMalik(kappa, conductance, spacing=1 / n, boundary="periodic")
        fine = 1e-5
        left, right = (2 * np.pi * np.cos(2 * np.pi * (x + d)) for d in (-fine, fine))
        g = CONDUCTANCES[conductance]
        exact = (g(right**2, kappa) * right - g(left**2, kappa) * left) / (2 * fine)
        errors.append(np.abs(term.rate(0.0, np.sin(2 * np.pi * x)[None])[0] - exact).max())
    assert abs(-np.polyfit(np.log(sizes), np.log(errors), 1)[0] - 2.0) < 0.1


@pytest.mark.parametrize("conductance", CONDUCTANCES)
def test_a_contrast_between_frames_holds_along_the_first_axis_alone(conductance, rng):
    y, inf = rng.random((2, 4, 5, 6)), np.inf
    term = pv.PeronaMalik(0.3, conductance, temporal_kappa=0.1, spacing=(2.0, 1.0, 0.5))
    between = perona_malik_rate(y, 0.1, conductance, (2.0, inf, inf))
    within = perona_malik_rate(y, 0.3, conductance, (inf, 1.0, 0.5))
    np.testing.assert_allclose(term.rate(0.0, y), between + within, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kappa", "temporal"), [(0.3, 0.03), (0.03, 0.3)])
def test_the_bound_holds_for_the_smaller_of_two_contrasts(kappa, temporal):
    term = pv.PeronaMalik(kappa, "tv", temporal_kappa=temporal)
    checkers = 1e-6 * (np.indices((6, 6, 6)).sum(axis=0) % 2 - 0.5)  # So flat that every conductance is at its height.
    stepped = term.rate(0.0, checkers[np.newaxis])[0] * term.stable_dt(3) + checkers
    assert np.abs(stepped).max() <= np.abs(checkers).max()
