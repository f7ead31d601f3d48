"""Noise schedules against their formulas, and the forward process against its law."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pde_video as pv

SCHEDULES = {
    "linear": pv.Schedule.linear(),
    "linear 50": pv.Schedule.linear(50),
    "scaled": pv.Schedule.scaled_linear(),
    "cosine": pv.Schedule.cosine(),
    "cosine 20": pv.Schedule.cosine(20),
    "sigmoid": pv.Schedule.sigmoid(),
}
ALL = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def one_by_one(betas):
    """ᾱ by multiplication, in a loop."""
    product, table = 1.0, []
    for beta in betas:
        product *= 1 - beta
        table.append(product)
    return table


def test_linear_and_scaled_linear_are_their_betas():
    assert pv.Schedule.linear().abar == pytest.approx(one_by_one([1e-4 + k / 999 * 0.0199 for k in range(1000)]))
    few = one_by_one([20 * (1e-4 + k / 49 * 0.0199) for k in range(50)])
    assert pv.Schedule.linear(50).abar == pytest.approx(few)
    low, high = math.sqrt(0.00085), math.sqrt(0.012)
    scaled = one_by_one([(low + k / 999 * (high - low)) ** 2 for k in range(1000)])
    assert pv.Schedule.scaled_linear().abar == pytest.approx(scaled)


def test_the_scaling_by_steps_keeps_the_last_level():
    # -log ᾱ = Σ β + O(Σ β²): the sum is 1000 times the mean of the unscaled betas, for any number of steps.
    for steps in (100, 1000, 4000):
        assert -math.log(pv.Schedule.linear(steps).abar[-1]) == pytest.approx(1000 * 0.01005, rel=0.1)


def test_cosine_is_a_squared_cosine_until_beta_is_cut():
    u = (np.arange(1000) + 1) / 1000
    closed = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2 / math.cos(0.008 / 1.008 * np.pi / 2) ** 2
    table = pv.Schedule.cosine().abar
    np.testing.assert_allclose(table[:990], closed[:990], rtol=1e-10)
    assert table[-1] == pytest.approx(table[-2] * 0.001, rel=1e-10)  # β = 0.999, where the cosine would be 0.


def test_sigmoid_is_a_logistic_curve_until_beta_is_cut():
    # 1/(1 + e^-v) = (1 + tanh(v/2))/2, from 3 to -3 as u goes from 0 to 1.
    for tau in (1.0, 0.5):
        u = (np.arange(1000) + 1) / 1000
        closed = (1 - np.tanh((-3 + 6 * u) / (2 * tau)) / math.tanh(1.5 / tau)) / 2
        np.testing.assert_allclose(pv.Schedule.sigmoid(tau=tau).abar[:980], closed[:980], rtol=1e-9)


@ALL
def test_levels_and_noise_levels_are_each_others_inverse(schedule):
    last = len(schedule) - 1
    t = np.concatenate([np.arange(last + 1), np.linspace(0, last, 77)])
    np.testing.assert_allclose(schedule.timestep(schedule.sigma(t)), t, rtol=0, atol=1e-9 * last)
    np.testing.assert_array_equal(schedule.alpha_bar(np.arange(last + 1)), schedule.abar)
    assert schedule.sigma(-1) == 0
    assert schedule.alpha_bar(-1) == 1
    # Halfway between two levels the noise level is their geometric mean.
    assert schedule.sigma(2.5) == pytest.approx(math.sqrt(schedule.sigma(2) * schedule.sigma(3)), rel=1e-14)
    a = schedule.abar[3]
    assert schedule.sigma(3) == pytest.approx(math.sqrt((1 - a) / a), rel=1e-15)
    assert schedule.alpha_bar(2.5) == pytest.approx(1 / (1 + schedule.sigma(2.5) ** 2), rel=1e-15)


def test_noise_of_video_on_the_linear_schedule():
    levels = pv.Schedule.linear().timestep(2 * np.array([5, 15, 25, 50]) / 255)
    np.testing.assert_allclose(levels, [7.7, 31.9, 56.2, 114.4], rtol=0, atol=0.05)


def test_zero_terminal_snr_keeps_the_first_level_and_ends_in_noise_alone():
    before, after = pv.Schedule.scaled_linear(), pv.Schedule.scaled_linear().zero_terminal_snr()
    assert after.abar[-1] == 0
    assert after.abar[0] == pytest.approx(before.abar[0], rel=1e-14)
    assert after.sigma(999) == math.inf
    assert after.timestep(math.inf) == 999
    # √ᾱ is stretched: differences keep their ratios.
    old, new = np.diff(np.sqrt(before.abar)), np.diff(np.sqrt(after.abar))
    np.testing.assert_allclose(new / old, new[0] / old[0], rtol=1e-8)
    noise = np.ones(3)
    np.testing.assert_array_equal(after.add_noise(np.full(3, 7.0), 999, noise), noise)


@ALL
@pytest.mark.parametrize("levels", [3, 17])
def test_forward_step_by_step_and_at_once_have_one_law(schedule, levels):
    # Linear in x0 and every noise: the coefficients are what unit vectors give.
    unit = np.eye(levels + 2)
    x = unit[0]
    for t in range(levels + 1):
        x = schedule.forward_step(x, t, unit[t + 1])
    at_once = schedule.add_noise(unit[0], levels, unit[1])
    assert x[0] == pytest.approx(at_once[0], rel=1e-12)
    assert np.sum(x[1:] ** 2) == pytest.approx(at_once[1] ** 2, rel=1e-10)
    assert at_once[0] ** 2 + at_once[1] ** 2 == pytest.approx(1, rel=1e-14)


def test_the_forward_process_in_simulation(rng):
    schedule, n = pv.Schedule.cosine(20), 200_000
    x = np.full(n, 0.7)
    for t in range(10):
        x = schedule.forward_step(x, t, rng.standard_normal(n))
    a = schedule.abar[9]
    assert abs(x.mean() - math.sqrt(a) * 0.7) < 4 * math.sqrt((1 - a) / n)
    assert abs(x.var() / (1 - a) - 1) < 4 * math.sqrt(2 / n)


@ALL
@pytest.mark.parametrize(("t", "s"), [(1, 0), (5, 4), (19, 3), (7, -1), (0, -1)])
def test_the_posterior_is_that_of_gaussians(schedule, t, s):
    # Bayes: q(x_s|x_t, x0) ∝ q(x_t|x_s) q(x_s|x0), precisions add.
    a, b = schedule.alpha_bar(t), schedule.alpha_bar(s)
    alpha, x0, x_t = a / b, 0.3, -1.1
    mean, variance = schedule.posterior(x0, x_t, t, s)
    if s == -1:
        assert (mean, variance) == (pytest.approx(x0, abs=1e-12), 0)
        return
    precision = alpha / (1 - alpha) + 1 / (1 - b)
    assert variance == pytest.approx(1 / precision, rel=1e-8)
    assert mean == pytest.approx(
        (math.sqrt(alpha) * x_t / (1 - alpha) + math.sqrt(b) * x0 / (1 - b)) / precision, rel=1e-8
    )


@ALL
def test_the_posterior_in_noise_coordinates_is_the_articles(schedule):
    x0, x_t = 0.4, 1.3
    for t, s in ((1, 0), (9, 8), (19, 2)):
        a, b = schedule.alpha_bar(t), schedule.alpha_bar(s)
        y, t0, t1 = x_t / math.sqrt(a), schedule.sigma(t), schedule.sigma(s)
        mean, variance = schedule.posterior(x0, x_t, t, s)
        knows = pv.Reverse(lambda y, sigma: np.full_like(y, x0))
        stepped = pv.posterior_mean(knows, t0, t1, np.full((1, 1), y))[0, 0]
        # β from the two levels loses digits where they are close: what is left of double precision.
        slack = 1e-15 / (1 - a / b)
        assert math.sqrt(b) * stepped == pytest.approx(mean, rel=1e-13 + 30 * slack)
        assert b * t1**2 * (1 - t1**2 / t0**2) == pytest.approx(variance, rel=1e-13 + 30 * slack)


def test_float32_pictures_stay_float32(rng):
    schedule, x = pv.Schedule.linear(), rng.random((4, 5), np.float32)
    assert schedule.add_noise(x, 3, x).dtype == np.float32
    assert schedule.forward_step(x, 3, x).dtype == np.float32
    assert schedule.posterior(x, x, 3)[0].dtype == np.float32
    assert type(schedule.sigma(3)) is type(schedule.timestep(1.0)) is float


def test_a_schedule_cannot_be_changed():
    schedule = pv.Schedule(np.array([0.9, 0.5]))
    with pytest.raises(ValueError, match="read-only"):
        schedule.abar[0] = 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: pv.Schedule([0.5, 0.5]),
        lambda: pv.Schedule([1.0, 0.5]),
        lambda: pv.Schedule([0.5, -0.1]),
        lambda: pv.Schedule([]),
        lambda: pv.Schedule([0.5, np.nan]),
        lambda: pv.Schedule.from_betas([0.1, 0.0]),
        lambda: pv.Schedule.from_betas([[0.1]]),
        lambda: pv.Schedule.linear(10),  # β = 2 at the end.
        lambda: pv.Schedule.linear(2.5),
        lambda: pv.Schedule.cosine(0),
        lambda: pv.Schedule([0.5]).zero_terminal_snr(),
        lambda: SCHEDULES["linear"].sigma(1000),
        lambda: SCHEDULES["linear"].sigma(-0.5),
        lambda: SCHEDULES["linear"].posterior(0.0, 0.0, 3, 3),
    ],
)
def test_what_is_no_schedule_or_level_is_refused(wrong):
    with pytest.raises(pv.ParameterError):
        wrong()


@pytest.mark.parametrize("sigma", [0.0, 0.009, 158.0, math.inf, math.nan])
def test_a_noise_level_outside_the_table_names_its_range(sigma):
    with pytest.raises(pv.ParameterError, match=r"from 0\.0100005 to 157\.407"):
        pv.Schedule.linear().timestep(sigma)


@ALL
def test_the_ends_of_the_table_are_noise_levels_and_nothing_beyond(schedule):
    last = len(schedule) - 1
    low, high = schedule.sigma(0), schedule.sigma(last)
    assert schedule.timestep(low) == 0
    assert schedule.timestep(high) == last
    for sigma in (low * (1 - 1e-9), high * (1 + 1e-9)):
        with pytest.raises(pv.ParameterError, match="the schedule has noise levels from"):
            schedule.timestep(sigma)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: pv.Schedule.linear(10), "steps is 10"),
        (lambda: pv.Schedule.scaled_linear(beta_start=-1.0), "beta_start is -1"),
        (lambda: pv.Schedule.cosine(s=-1.0), "s is -1"),
        (lambda: pv.Schedule.sigmoid(tau=0.0), "tau is 0"),
        (lambda: pv.Schedule.sigmoid(start=3, end=-3), "start is 3"),
    ],
)
def test_parameters_out_of_range_are_named(make, says):
    with pytest.raises(pv.ParameterError, match=says):
        make()
