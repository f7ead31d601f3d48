"""08 Forward and reverse: noise as time, with a denoiser that is a formula.

A diffusion process mixes a picture with noise, level by level: x_t = √ᾱ_t x + √(1 − ᾱ_t) ε. Divided by √ᾱ_t it is

    y = x + σ ε,   σ = √((1 − ᾱ)/ᾱ),

and the level is nothing but a noise level. **Forward**, ᾱ falls to 0 and σ grows. **Reverse**, from σ₀ down to σ₁, if
the picture x were known, the article's q(x_s | x_t, x) says

    y₁ = y₀ + (σ₁²/σ₀ − σ₀) (y₀ − x)/σ₀ + σ₁ √(1 − σ₁²/σ₀²) z:

an Euler step of dy/dσ = (y − x)/σ, somewhat too far, and then noise. A **denoiser** D(y, σ) puts its estimate for x.
So the loop of the first rung runs it: the term is `Reverse(D)`, the times are noise levels, and the step says what is
wanted: `explicit_euler` and `heun` follow the flow, `ancestral` draws a sample, `posterior_mean` leaves the noise out.

**The oracle.** Of values with mean μ and variance c, all Gaussian, the best denoiser is

    D(y, σ) = (c y + σ² μ)/(c + σ²),   which leaves the error c σ²/(c + σ²).

Everything can then be computed by hand. The flow is y − μ ∝ √(c + σ²), so Euler's and Heun's errors and orders are
known; the chain's variance is c + σ² at each level if each step adds what is not known of x, too: that is what the
large variance does where c = 1. And **to denoise, take means**: started from a noisy picture, posterior means end at
the best estimate whatever the number of steps; the flow ends √(c/(c + σ²)) (y − μ) from μ, with the variance of data
but 2/(1 + √(c/(c + σ²))) times the error; a sample lies as far from the mean as the truth does: twice the error, 3 dB.

Exercises
---------
1. Give the oracle a wrong c, half and twice the true one. Which of the three steps minds most?
2. Take data that are 0 or 1 with even odds. What is the best denoiser, and what do means and samples look like?
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import pde_video as pv

MEAN, VARIANCE = 0.5, 1.0


def oracle(y, sigma):
    """The best estimate of Gaussian values behind noise of the level `sigma`."""
    return (VARIANCE * y + sigma**2 * MEAN) / (VARIANCE + sigma**2)


def by_hand(y, times, rng):
    """The chain with the small variance, as the formula above says."""
    for s0, s1 in pairwise(times.tolist()):
        y = y + (s1**2 / s0 - s0) * (y - oracle(y, s0)) / s0
        y = y + s1 * np.sqrt(1 - s1**2 / s0**2) * rng.standard_normal(y.shape)
    return y


def main(folder):
    """Go forward, come back in four ways, and denoise."""
    schedule, reverse, rng = pv.Schedule.linear(), pv.Reverse(oracle), np.random.default_rng(8)
    clean = rng.normal(MEAN, np.sqrt(VARIANCE), (200, 200))
    levels = np.arange(0, 1000, 111)
    forward = np.array([schedule.add_noise(clean, t, rng.standard_normal(clean.shape)).var() for t in levels])

    times = pv.ddpm(schedule, 50)
    start = rng.normal(MEAN, np.sqrt(VARIANCE + times[0] ** 2), clean.shape)
    same = [by_hand(start, times, np.random.default_rng(1))]
    same += [pv.evolve(reverse, start, times, step=pv.ancestral(np.random.default_rng(1)))]
    steps = {"ancestral, large": pv.ancestral(1, "large"), "ancestral, small": pv.ancestral(1), "heun": pv.heun}
    chains = {
        name: np.array([y.var() for _, y in pv.evolution(reverse, start, times, step=step)])
        for name, step in steps.items()
    }

    numbers, orders, errors = np.array([8, 16, 32, 64, 128]), {}, {}
    exact = MEAN + (start - MEAN) * np.sqrt((VARIANCE + 0.01) / (VARIANCE + times[0] ** 2))
    begin = MEAN + (start - MEAN) * np.sqrt((VARIANCE + 4) / (VARIANCE + times[0] ** 2))  # The flow at σ = 2.
    for step in (pv.explicit_euler, pv.heun):
        found = [pv.evolve(reverse, begin, np.linspace(2, 0.1, n + 1), step=step) for n in numbers]
        errors[step.__name__] = [np.abs(y - exact).max() for y in found]
        orders[step.__name__] = float(-np.polyfit(np.log(numbers), np.log(errors[step.__name__]), 1)[0])

    noisy = clean + rng.standard_normal(clean.shape)  # σ = 1.
    best = np.mean((oracle(noisy, 1.0) - clean) ** 2)
    counts, loss = (1, 2, 5, 20, 100), {}
    for name, step in {"posterior_mean": pv.posterior_mean, "heun": pv.heun, "ancestral": pv.ancestral(2)}.items():
        found = [pv.evolve(reverse, noisy, pv.ddpm(schedule, n, start=1.0), step=step) for n in counts]
        loss[name] = [float(10 * np.log10(np.mean((x - clean) ** 2) / best)) for x in found]

    figure = Figure(figsize=(10.5, 3.2), layout="constrained")
    chain, order, denoised = figure.subplots(1, 3)
    for (name, variances), style in zip(chains.items(), ("o-", "s-", "^-"), strict=True):
        chain.semilogx(times[:-1], variances[:-1] / (VARIANCE + times[:-1] ** 2), style, label=name, markersize=3)
    chain.axhline(1, color="0.6", linewidth=1)
    chain.invert_xaxis()
    chain.set(xlabel="noise level σ", ylabel="variance of the chain / (c + σ²)")
    chain.legend(fontsize="small")
    for name, found in errors.items():
        order.loglog(numbers, found, "o-", label=f"{name}: order {orders[name]:.2f}")
    order.set(xlabel="steps", ylabel="largest error")
    order.legend(fontsize="small")
    for name, found in loss.items():
        denoised.semilogx(counts, found, "o-", label=name)
    denoised.set(xlabel="steps", ylabel="dB short of the best, σ² = c")
    denoised.legend(fontsize="small")
    figure.savefig(Path(folder, "08_forward_and_reverse.png"), dpi=90)
    return {
        "level": levels,
        "variance there, of data of variance 1": forward,
        "variance along the chain": chains,
        "order": orders,
        "dB short of the best, 1 to 100 steps": loss,
        "the chain by hand and by the library": same,
    }


if __name__ == "__main__":
    from printing import run

    run(main, __file__)
