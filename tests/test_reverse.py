"""The reverse process on data whose law is known, where the best denoiser is a formula."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from cases import slow

import pde_video as pv

LINEAR, COSINE = pv.Schedule.linear(), pv.Schedule.cosine()
TIMES = {
    "linear 1000": pv.ddpm(LINEAR),
    "linear 10": pv.ddpm(LINEAR, 10),
    "cosine 50, started": pv.ddpm(COSINE, 50, start=2.0),
    "of [-1, 1]": pv.ddpm(LINEAR, 30, value_range=(-1, 1)),
    "karras": pv.karras(18, sigma_max=10.0),
}
CHAINS = pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)


@dataclass
class Gaussian:
    """The exact denoiser of data N(mean, variance) in every value, and of what is left to be known of it."""

    mean: float
    variance: float
    times: np.ndarray | None = None  # With them, it knows the step that it is asked for.

    def __call__(self, y, sigma):
        return (self.variance * y + sigma**2 * self.mean) / (self.variance + sigma**2)

    def left(self, sigma):
        return self.variance * sigma**2 / (self.variance + sigma**2)

    def with_fraction(self, y, sigma):
        """The fraction with which the step has the variance of x_{t-1} given x_t alone, not x0."""
        times = self.times.tolist()
        t0, t1 = sigma, times[times.index(sigma) + 1]
        if t1 == 0:
            return self(y, t0), np.zeros_like(y)
        share = 1 - t1**2 / t0**2
        small, large = t1**2 * share, (t0**2 - t1**2) * (1 + t1**2) / (1 + t0**2)
        wanted = small + share**2 * self.left(t0)
        return self(y, t0), np.full_like(y, math.log(wanted / small) / math.log(large / small))


class Given:
    """A generator that gives the same number for every draw."""

    def __init__(self, value):
        self.value = value

    def standard_normal(self, shape, dtype):
        return np.full(shape, self.value, dtype)


def law_of_the_chain(term, times, make_step, mean, variance):
    """Mean and variance at every time, by the affine maps y ↦ a y + b + s z that the steps are."""
    laws = [(mean, variance)]
    still, moved = make_step(Given(0.0)), make_step(Given(1.0))
    for t0, t1 in pairwise(times.tolist()):
        b = still(term, t0, t1, np.zeros((1, 1))).item()
        a = still(term, t0, t1, np.ones((1, 1))).item() - b
        s = moved(term, t0, t1, np.zeros((1, 1))).item() - b
        mean, variance = a * mean + b, a**2 * variance + s**2
        laws.append((mean, variance))
    return np.array(laws).T


@CHAINS
@pytest.mark.parametrize(("mu", "c"), [(0.0, 1.0), (0.5, 0.04), (-0.3, 2.5)])
def test_the_whole_chain_returns_the_variance_of_gaussian_data(times, mu, c):
    data = Gaussian(mu, c, times)
    means, variances = law_of_the_chain(
        pv.Reverse(data), times, lambda z: pv.ancestral(z, "learned"), mu, c + times[0] ** 2
    )
    np.testing.assert_allclose(means, mu, rtol=0, atol=1e-10)
    np.testing.assert_allclose(variances[:-1], c + times[:-1] ** 2, rtol=1e-10)
    # The last step is the estimate itself, without the noise that would make a sample of it.
    assert variances[-1] + data.left(times[-2]) == pytest.approx(c, abs=1e-10)


@CHAINS
def test_of_standard_data_the_large_variance_is_the_right_one(times):
    _, variances = law_of_the_chain(
        pv.Reverse(Gaussian(0.2, 1.0)), times, lambda z: pv.ancestral(z, "large"), 0.2, 1 + times[0] ** 2
    )
    np.testing.assert_allclose(variances[:-1], 1 + times[:-1] ** 2, rtol=1e-10)
    # In units in which the same data are twice as large, so that their variance of 1 is that of a width of 2.
    _, halved = law_of_the_chain(
        pv.Reverse(Gaussian(0.2, 0.25)),
        times / 2,
        lambda z: pv.ancestral(z, "large", value_range=(-1, 1)),
        0.2,
        (1 + times[0] ** 2) / 4,
    )
    np.testing.assert_allclose(halved[:-1], (1 + times[:-1] ** 2) / 4, rtol=1e-10)


@CHAINS
def test_the_small_variance_is_that_of_data_known_to_a_point(times):
    _, variances = law_of_the_chain(
        pv.Reverse(Gaussian(0.2, 0.0)), times, lambda z: pv.ancestral(z, "small"), 0.2, times[0] ** 2
    )
    np.testing.assert_allclose(variances, times**2, rtol=1e-10, atol=1e-30)


@pytest.mark.parametrize(
    "make_step",
    [
        lambda rng: pv.ancestral(rng, "small"),
        lambda rng: pv.ancestral(rng, "large"),
        lambda rng: pv.ancestral(rng, "learned"),
        lambda rng: pv.ddim(0.5, rng),
        lambda rng: pv.ddim(1.0, rng),
        lambda rng: pv.ddim(0.0, rng),
    ],
    ids=["small", "large", "learned", "ddim half", "ddim full", "ddim none"],
)
@pytest.mark.parametrize("chain", ["linear 10", "karras"])
def test_simulated_chains_have_the_law_that_was_propagated(make_step, chain, rng):
    times, mu, c, n = TIMES[chain], 0.4, 0.3, 60_000
    term = pv.Reverse(Gaussian(mu, c, times))
    noisy = mu + math.sqrt(c + times[0] ** 2) * rng.standard_normal((200, 100, 3))
    means, variances = law_of_the_chain(term, times, make_step, mu, c + times[0] ** 2)
    states = pv.evolution(term, noisy, times, step=make_step(7), channel_axis=-1)
    for (_, state), mean, variance in zip(states, means, variances, strict=True):
        assert abs(state.mean() - mean) < 4 * math.sqrt(variance / n)
        assert abs(state.var() / variance - 1) < 4 * math.sqrt(2 / n)
        beside = np.corrcoef(state[:-1].ravel(), state[1:].ravel())[0, 1]
        assert abs(beside) < 4 / math.sqrt(n)  # Noise is of each value alone.


@pytest.mark.parametrize("steps", [1, 2, 5, 100])
@pytest.mark.parametrize("sigma", [0.05, 0.5, 3.0])
def test_posterior_means_are_the_best_estimate_with_any_number_of_steps(steps, sigma, rng):
    data = Gaussian(0.4, 0.3)
    y = rng.normal(0.4, math.sqrt(0.3 + sigma**2), (20, 20))
    times = pv.ddpm(LINEAR, steps, start=sigma)
    found = pv.evolve(pv.Reverse(data), y, times, step=pv.posterior_mean)
    np.testing.assert_allclose(found, data(y, sigma), rtol=0, atol=1e-12)


@pytest.mark.parametrize("sigma", slow(math.sqrt(0.3), 0.2, 2.0))
def test_means_beat_flow_and_samples_by_what_theory_says(sigma, rng):
    c, n = 0.3, 400_000
    clean = rng.normal(0.4, math.sqrt(c), n)
    y = clean + sigma * rng.standard_normal(n)
    times, term = pv.ddpm(COSINE, 200, start=sigma), pv.Reverse(Gaussian(0.4, c))
    best = c * sigma**2 / (c + sigma**2)
    shrink = math.sqrt(c / (c + sigma**2))
    for step, factor in (
        (pv.posterior_mean, 1.0),
        (pv.heun, 2 / (1 + shrink)),  # The flow in the limit: it keeps the variance of the data.
        (pv.ancestral(3), 2.0),  # A sample of the posterior is as far from its mean as the truth is.
    ):
        error = np.mean((pv.evolve(term, y, times, step=step) - clean) ** 2)
        assert error / best == pytest.approx(factor, rel=0.015 if step is not pv.posterior_mean else 0.01)


@pytest.mark.parametrize("end", [0.0, 0.2])
@pytest.mark.parametrize(("step", "order"), [(pv.explicit_euler, 1), (pv.ddim(0.0), 1), (pv.heun, 2)])
def test_order_of_the_flow(step, order, end, rng):
    mu, c = 0.4, 0.3
    y = rng.normal(size=(5, 6))
    exact = mu + (y - mu) * math.sqrt((c + end**2) / (c + 4.0))
    steps, term = np.array([32, 64, 128, 256]), pv.Reverse(Gaussian(mu, c))
    errors = [np.abs(pv.evolve(term, y, np.linspace(2.0, end, n + 1), step=step) - exact).max() for n in steps]
    slope = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert abs(slope - order) < 0.1


def test_heun_needs_two_estimates_a_step_but_none_at_zero():
    asked = []

    def denoiser(y, sigma):
        asked.append(sigma)
        return 0 * y

    pv.evolve(pv.Reverse(denoiser), np.ones((2, 2)), [2.0, 1.0, 0.0], step=pv.heun)
    assert asked == [2.0, 1.0, 1.0]


CENTRES, WEIGHTS, SPREAD = np.array([-0.5, 0.1, 0.9]), np.array([0.2, 0.5, 0.3]), 0.05


def log_density(y, sigma):
    """Of every value, of a mixture of three Gaussians with noise on it."""
    v = SPREAD**2 + sigma**2
    parts = np.log(WEIGHTS) - (y[..., None] - CENTRES) ** 2 / (2 * v) - np.log(2 * np.pi * v) / 2
    return np.logaddexp.reduce(parts, axis=-1), parts


def mixture(y, sigma):
    total, parts = log_density(y, sigma)
    of_parts = (SPREAD**2 * y[..., None] + sigma**2 * CENTRES) / (SPREAD**2 + sigma**2)
    return (np.exp(parts - total[..., None]) * of_parts).sum(axis=-1)


@pytest.mark.parametrize("sigma", [0.05, 0.3, 2.0])
def test_the_rate_is_minus_sigma_times_the_score_of_a_mixture(sigma):
    y, h = np.linspace(-1, 1.5, 60).reshape(1, 6, 10), 1e-5
    score = (log_density(y + h, sigma)[0] - log_density(y - h, sigma)[0]) / (2 * h)
    np.testing.assert_allclose(pv.Reverse(mixture).rate(sigma, y), -sigma * score, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("step", [pv.ancestral(5), *slow(pv.heun, pv.ddim(0.5, 5))], ids=["ancestral", "heun", "ddim"])
def test_samples_of_a_mixture_have_its_weights(step, rng):
    n = 20_000
    noise = 20.0 * rng.standard_normal((n, 1, 1))
    drawn = pv.evolve(pv.Reverse(mixture), noise, pv.karras(200, sigma_max=20.0), step=step, channel_axis=-1).ravel()
    shares = np.bincount(np.abs(drawn[:, None] - CENTRES).argmin(axis=1), minlength=3) / n
    # Noise of 20 in place of the noisy mixture, and 200 steps, move the shares by less than this.
    np.testing.assert_allclose(shares, WEIGHTS, rtol=0, atol=4 * math.sqrt(0.25 / n) + 0.005)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "axis", "seen"),
    [
        ((4, 5), None, (4, 5, 1)),
        ((4, 5, 3), -1, (4, 5, 3)),
        ((3, 4, 5), 0, (4, 5, 3)),
        ((2, 4, 5, 3), -1, (2, 4, 5, 3)),
        ((2, 4, 5), None, (2, 4, 5, 1)),
    ],
)
@pytest.mark.parametrize(
    "make_step",
    [
        lambda: pv.explicit_euler,
        lambda: pv.heun,
        lambda: pv.posterior_mean,
        lambda: pv.ancestral(0),
        lambda: pv.ancestral(0, "learned"),
        lambda: pv.ddim(0.5, 0),
    ],
)
def test_denoisers_see_channels_last_and_states_keep_layout_and_dtype(dtype, shape, axis, seen, make_step, rng):
    y, times = rng.random(shape).astype(dtype), pv.karras(4, sigma_max=1.0)
    weights = np.linspace(0.5, 1, seen[-1])

    class Estimate(Gaussian):
        def __call__(self, y, sigma):
            assert (y.shape, y.dtype) == (seen, dtype)
            return (weights * y).astype(np.float64)

    out = pv.evolve(pv.Reverse(Estimate(0.0, 1.0, times)), y, times, step=make_step(), channel_axis=axis)
    assert (out.shape, out.dtype) == (shape, dtype)
    if axis is not None and make_step() is pv.posterior_mean:
        expected = np.moveaxis(y, axis, -1).astype(float)
        for t0, t1 in pairwise(times):
            share = 1 - t1**2 / t0**2
            expected = share * weights * expected + (1 - share) * expected
        np.testing.assert_allclose(np.moveaxis(out, axis, -1), expected, rtol=1e-5)


def test_hooks_are_called_in_order_with_what_the_denoiser_saw():
    calls = []

    def hook(name, factor):
        def called(estimate, y, sigma):
            calls.append((name, float(estimate.flat[0]), float(y.flat[0]), sigma))
            return estimate * factor

        return called

    term = pv.Reverse(lambda y, sigma: y + 1, [hook("first", 2), hook("second", 3)])
    rate = term.rate(0.5, np.full((1, 2, 2), 4.0))
    assert calls == [("first", 5.0, 4.0, 0.5), ("second", 10.0, 4.0, 0.5)]
    np.testing.assert_array_equal(rate, np.full((1, 2, 2), (4 - 30) / 0.5))


def test_what_is_no_denoiser_or_noise_level_is_refused():
    y = np.ones((3, 4, 5))
    with pytest.raises(pv.InputError, match=r"shape \(4, 5\); it was given \(4, 5, 3\)"):
        pv.Reverse(lambda y, sigma: y[..., 0]).rate(1.0, y)
    with pytest.raises(pv.InputError, match="NoneType"):
        pv.Reverse(lambda y, sigma: None).rate(1.0, y)
    with pytest.raises(pv.ParameterError, match="noise level is 0"):
        pv.Reverse(mixture).rate(0.0, y)
    with pytest.raises(TypeError, match="with_fraction"):
        pv.ancestral(0, "learned")(pv.Reverse(mixture), 1.0, 0.5, y)
    with pytest.raises(pv.ParameterError, match="became NaN"):
        pv.evolve(pv.Reverse(lambda y, sigma: y * np.nan), y, [1.0, 0.5])


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan])
def test_there_is_no_rate_without_noise(sigma):
    asked = []
    term = pv.Reverse(lambda y, level: asked.append(level) or y)
    for method in (term.rate, term.estimate):
        with pytest.raises(pv.ParameterError, match=f"noise level is {sigma}"):
            method(sigma, np.ones((1, 2, 2)))
    assert not asked
