"""Losses against quadrature and against the article's formulas in its own coordinates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

import pde_video as pv


@pytest.mark.parametrize(("m1", "v1", "m2", "v2"), [(0.0, 1.0, 0.5, 2.0), (-1.0, 0.3, 1.0, 0.2), (2.0, 4.0, 2.0, 4.0)])
def test_the_divergence_of_gaussians_is_its_integral(m1, v1, m2, v2):
    first, second = stats.norm(m1, math.sqrt(v1)), stats.norm(m2, math.sqrt(v2))
    integral, _ = integrate.quad(lambda x: first.pdf(x) * (first.logpdf(x) - second.logpdf(x)), -20, 20, epsabs=1e-12)
    assert pv.gaussian_kl(m1, v1, m2, v2) == pytest.approx(integral, abs=1e-9)


def test_the_simple_loss_is_a_mean_square(rng):
    noise, predicted = rng.random((3, 4)), rng.random((3, 4))
    assert pv.simple_loss(noise, predicted) == pytest.approx(sum((noise - predicted).ravel() ** 2) / 12)


def shrinking(y, sigma):
    return (0.04 * y + sigma**2 * 0.4) / (0.04 + sigma**2)


def bound_of_the_article(picture, denoiser, schedule, variance, low, high, rng):
    """Ho et al. (2020), in x_t and in the units of the model; draws are of levels 1, 2, …, then 0."""
    generator, width = np.random.default_rng(rng), high - low
    x0 = low + width * (picture.ravel() / 255)
    abar, bits = schedule.abar, math.log(2)

    def noised(t):
        z = generator.standard_normal(picture.shape).ravel()
        x_t = math.sqrt(abar[t]) * x0 + math.sqrt(1 - abar[t]) * z
        y = (x_t / math.sqrt(abar[t]) - low) / width  # In units of the frames.
        sigma = math.sqrt((1 - abar[t]) / abar[t]) / width
        return x_t, low + width * denoiser(y, sigma)

    def kl(m1, v1, m2, v2):
        return 0.5 * np.mean(np.log(v2 / v1) + (v1 + (m1 - m2) ** 2) / v2 - 1) / bits

    prior = kl(math.sqrt(abar[-1]) * x0, 1 - abar[-1], 0, 1)
    steps = []
    for t in range(1, len(abar)):
        x_t, estimate = noised(t)
        a, earlier = abar[t], abar[t - 1]
        alpha = a / earlier
        beta = 1 - alpha
        tilde = beta * (1 - earlier) / (1 - a)
        means = [
            math.sqrt(earlier) * beta / (1 - a) * x + math.sqrt(alpha) * (1 - earlier) / (1 - a) * x_t
            for x in (x0, estimate)
        ]
        steps.append(kl(means[0], tilde, means[1], tilde if variance == "small" else beta))
    _, estimate = noised(0)
    alpha = abar[1] / abar[0]
    law = stats.norm(estimate, math.sqrt((1 - alpha) * (1 - abar[0]) / (1 - abar[1])))
    half, k = width / 255 / 2, picture.ravel()
    upper = np.where(k == 255, 1.0, law.cdf(x0 + half))
    mass = np.where(k == 0, law.cdf(x0 + half), np.where(k == 255, law.sf(x0 - half), upper - law.cdf(x0 - half)))
    return prior, steps, -np.mean(np.log(mass)) / bits


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 1)])
@pytest.mark.parametrize("schedule", [pv.Schedule.linear(50), pv.Schedule.cosine(30)], ids=["linear", "cosine"])
def test_the_bound_is_that_of_the_article(variance, low, high, schedule, rng):
    picture = np.concatenate([rng.integers(0, 256, (6, 3, 1)), np.array([[[0], [255], [1]]])]).astype(np.uint8)
    bound = pv.variational_bound(picture, shrinking, schedule, variance=variance, value_range=(low, high), rng=4)
    prior, steps, decoder = bound_of_the_article(picture, shrinking, schedule, variance, low, high, rng=4)
    assert bound.prior == pytest.approx(prior, rel=1e-8)
    np.testing.assert_allclose(bound.steps, steps, rtol=1e-8)
    assert bound.decoder == pytest.approx(decoder, rel=1e-6)
    assert bound.total == pytest.approx(prior + sum(steps) + decoder, rel=1e-8)


def test_far_tails_are_counted_and_not_cut():
    # A confident denoiser that is wrong by 200 grey values: −log of a tail that underflows as a difference.
    wrong = pv.variational_bound(
        np.full((2, 2, 1), 228, np.uint8), lambda y, sigma: np.full_like(y, 28 / 255), pv.Schedule.linear()
    )
    v = pv.Schedule.linear().posterior(0.0, 0.0, 1)[1] / 4
    distance = 199.5 / 255
    tail = distance**2 / (2 * v) + math.log(distance / math.sqrt(v) * math.sqrt(2 * math.pi))
    assert wrong.decoder == pytest.approx(tail / math.log(2), rel=1e-4)


@pytest.mark.slow
def test_with_the_best_denoiser_the_bound_comes_near_the_entropy_and_stays_above(rng):
    # Independent values, 64 or 192 with even odds: one bit each.
    values = np.array([64, 192]) / 255

    def best(y, sigma):
        return values[0] + (values[1] - values[0]) / (1 + np.exp(-(y - values.mean()) * np.ptp(values) / sigma**2))

    schedule, n = pv.Schedule.linear(), 30
    with np.errstate(over="ignore"):
        totals = [
            pv.variational_bound(rng.choice([64, 192], (16, 16, 1)).astype(np.uint8), best, schedule, rng=k).total
            for k in range(n)
        ]
    error = np.std(totals) / math.sqrt(n)
    # The decoder alone, with the deviation that the article gives it, cannot be surer of a grey value than this.
    half, deviation = 0.5 / 255, math.sqrt(schedule.posterior(0.0, 0.0, 1)[1]) / 2
    decoder = -math.log2(stats.norm.cdf(half / deviation) - stats.norm.cdf(-half / deviation))
    assert 1 - 4 * error < np.mean(totals) - decoder < 1.05 + 4 * error


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: pv.simple_loss(np.zeros(2), np.zeros(3)), pv.ParameterError),
        (lambda: pv.gaussian_kl(0.0, 0.0, 0.0, 1.0), pv.ParameterError),
        (lambda: pv.variational_bound(np.zeros((2, 2, 1)), shrinking, pv.Schedule.linear()), TypeError),
        (
            lambda: pv.variational_bound(np.zeros((2, 2, 1), np.uint8), shrinking, pv.Schedule([0.5])),
            pv.ParameterError,
        ),
        (
            lambda: pv.variational_bound(
                np.zeros((2, 2, 1), np.uint8), shrinking, pv.Schedule.linear().zero_terminal_snr()
            ),
            pv.ParameterError,
        ),
        (
            lambda: pv.variational_bound(
                np.zeros((2, 2, 1), np.uint8), shrinking, pv.Schedule.linear(), variance="learned"
            ),
            pv.ParameterError,
        ),
    ],
)
def test_what_does_not_fit_is_refused(wrong, error):
    with pytest.raises(error):
        wrong()
