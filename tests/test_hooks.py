"""Hooks on the estimate, against linear algebra and against mixtures whose parts are known."""

from __future__ import annotations

import numpy as np
import pytest
from test_reverse import CENTRES, SPREAD, Gaussian, log_density, mixture

import pde_video as pv


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipping_derives_the_noise_anew(dtype, rng):
    y = rng.normal(0.5, 2, (1, 6, 7)).astype(dtype)
    rate = pv.Reverse(lambda y, sigma: y * 1.0, [pv.clip_estimate(-0.2, 0.9)]).rate(0.5, y)
    assert rate.dtype == dtype
    np.testing.assert_allclose(rate, (y - np.minimum(np.maximum(y, -0.2), 0.9)) / 0.5, rtol=1e-6)


def test_dynamic_threshold_scales_by_the_quantile_and_only_then(rng):
    x = rng.normal(0.5, 0.6, (20, 30, 3))
    out = pv.dynamic_threshold(0.9)(x, x, 1.0)
    s = np.sort(np.abs(2 * x - 1).ravel())[int(0.9 * (x.size - 1)) : int(0.9 * (x.size - 1)) + 2]
    s = s[0] + (0.9 * (x.size - 1) % 1) * (s[1] - s[0])
    assert s > 1
    np.testing.assert_allclose(2 * out - 1, np.clip((2 * x - 1) / s, -1, 1), rtol=0, atol=1e-12)
    inside = 0.5 + 0.4 * (x - 0.5) / np.abs(x - 0.5).max()
    np.testing.assert_allclose(pv.dynamic_threshold(0.9)(inside, x, 1.0), inside, rtol=1e-15)
    np.testing.assert_allclose(pv.dynamic_threshold(0.9, -1, 1)(2 * x - 1, x, 1.0), 2 * out - 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("rows", [5, 30])
def test_data_consistency_is_the_proximal_step_of_dense_algebra(noise, rows, rng):
    shape, sigma, spread = (3, 4, 2), 0.3, 1.5
    matrix = rng.normal(size=(rows, 24))
    observed = rng.normal(size=rows)
    estimate = rng.normal(size=shape)
    hook = pv.data_consistency(
        observed.reshape(rows, 1),
        lambda z: (matrix @ z.ravel()).reshape(rows, 1),
        lambda v: (matrix.T @ v.ravel()).reshape(shape),
        noise=noise,
        spread=spread,
        tolerance=1e-12,
    )
    # Gaussian conditioning: x + r² Aᵀ (r² A Aᵀ + s²)⁻¹ (b − A x); least squares where that is singular.
    r2 = (spread * sigma) ** 2
    gap = observed - matrix @ estimate.ravel()
    gain = r2 * matrix.T @ np.linalg.pinv(r2 * matrix @ matrix.T + noise**2 * np.eye(rows), rcond=1e-10, hermitian=True)
    expected = estimate.ravel() + gain @ gap
    np.testing.assert_allclose(hook(estimate, None, sigma).ravel(), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_data_consistency_with_a_mask_is_that_with_the_operator_that_picks(noise, rng):
    estimate, observed, mask = rng.random((4, 5, 3)), rng.random((4, 5, 3)), rng.random((4, 5, 1)) > 0.5
    by_mask = pv.data_consistency(observed, mask=mask, noise=noise)(estimate, None, 0.2)
    picked = pv.data_consistency(observed * mask, lambda z: z * mask, lambda v: v * mask, noise=noise, tolerance=1e-12)
    np.testing.assert_allclose(by_mask, picked(estimate, None, 0.2), rtol=0, atol=1e-9)
    if noise == 0:
        np.testing.assert_array_equal(by_mask, np.where(mask, observed, estimate))
    single = pv.data_consistency(observed, mask=mask, noise=noise)(estimate.astype(np.float32), None, 0.2)
    assert single.dtype == np.float32


def test_a_reverse_process_with_observations_ends_on_them(rng):
    clean = rng.random((8, 8, 1))

    def means(z):
        return z.reshape(4, 2, 4, 2, 1).mean(axis=(1, 3))

    def spread(v):
        return np.kron(v[..., 0], np.ones((2, 2)))[..., None] / 4

    term = pv.Reverse(Gaussian(0.5, 0.08), [pv.data_consistency(means(clean), means, spread, tolerance=1e-10)])
    noise = 5.0 * rng.standard_normal((8, 8, 1))
    found = pv.evolve(term, noise, pv.karras(8, sigma_max=5.0), step=pv.ancestral(0), channel_axis=-1)
    np.testing.assert_allclose(means(found), means(clean), rtol=0, atol=1e-8)


def of_part(k):
    return Gaussian(CENTRES[k], SPREAD**2)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 2.0])
def test_guidance_by_the_right_classifier_is_the_denoiser_of_the_class(sigma):
    y, h = np.linspace(-0.8, 1.2, 24).reshape(4, 6), 1e-5

    def log_class(y, sigma):
        total, parts = log_density(y, sigma)
        return parts[..., 2] - total

    def gradient(y, sigma):
        return (log_class(y + h, sigma) - log_class(y - h, sigma)) / (2 * h)

    guided = pv.guidance(gradient)(mixture(y, sigma), y, sigma)
    np.testing.assert_allclose(guided, of_part(2)(y, sigma), rtol=0, atol=1e-6)
    twice = pv.guidance(gradient, 2.0)(mixture(y, sigma), y, sigma)
    # The same extrapolation as without a classifier.
    free = pv.classifier_free(of_part(2), mixture, 2.0)(y, sigma)
    np.testing.assert_allclose(twice, free, rtol=0, atol=1e-6)


def test_classifier_free_runs_from_without_to_with_and_beyond():
    y = np.linspace(0, 1, 5)
    for scale, expected in ((0.0, mixture(y, 0.3)), (1.0, of_part(0)(y, 0.3))):
        np.testing.assert_allclose(pv.classifier_free(of_part(0), mixture, scale)(y, 0.3), expected, rtol=1e-14)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: pv.clip_estimate(1.0, 0.0),
        lambda: pv.clip_estimate(0.0, np.inf),
        lambda: pv.dynamic_threshold(0.0),
        lambda: pv.dynamic_threshold(1.5),
        lambda: pv.dynamic_threshold(0.9, 1.0, 1.0),
        lambda: pv.data_consistency(np.zeros(3)),
        lambda: pv.data_consistency(np.zeros(3), np.asarray),
        lambda: pv.data_consistency(np.zeros(3), np.asarray, np.asarray, mask=np.ones(3, bool)),
        lambda: pv.data_consistency(np.zeros(3), mask=np.ones(3)),
        lambda: pv.data_consistency(np.zeros(3), np.asarray, np.asarray, noise=-1.0),
        lambda: pv.data_consistency(np.zeros(3), np.asarray, np.asarray, spread=0.0),
        lambda: pv.guidance(mixture, np.nan),
        lambda: pv.classifier_free(mixture, mixture, np.inf),
    ],
)
def test_what_is_out_of_range_is_refused(wrong):
    with pytest.raises(pv.ParameterError):
        wrong()


def test_observations_that_do_not_fit_or_are_not_adjoint_are_named(rng):
    x = rng.random((3, 3))
    with pytest.raises(pv.InputError, match="observations have shape"):
        pv.data_consistency(np.zeros(4), mask=np.ones((3, 3), bool))(x, x, 1.0)
    with pytest.raises(pv.InputError, match="observations have shape"):
        pv.data_consistency(np.zeros(4), np.ravel, np.ravel)(x, x, 1.0)
    matrix = np.array([[1.0, 5.0], [-5.0, 1.0]])  # Far from symmetric with the wrong adjoint.
    wrong = pv.data_consistency(np.ones(2), lambda z: matrix @ z, lambda v: v.copy(), tolerance=1e-14)
    with pytest.raises(pv.SolverError, match="check that adjoint is the adjoint of operator"):
        wrong(np.zeros(2), np.zeros(2), 1.0)
