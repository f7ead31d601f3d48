"""07 Choosing parameters: noise level, contrast, stopping time.

A diffusion has two parameters that matter, κ and the time t. Both follow from the noise level σ.

**σ** is measured where the picture has least: in the finest diagonal wavelet coefficients of flat blocks.

**κ** must be large against what noise leaves in the gradient and small against edges. Noise scales with σ, so κ = c σ:
the best c is nearly the same for weak and strong noise. That is why `denoise` asks for a multiple and not for κ.

**t**: the mean squared error E(t) = ‖u(t) − clean‖²/N falls, then rises. Nobody knows the clean picture, but for
Gaussian noise Stein's estimate has the same mean:

    SURE(t) = ‖y − u‖²/N − σ² + 2σ²/N · Σ ∂u_i/∂y_i.

The sum of derivatives is found by one more evolution, of the noisy picture plus a small random disturbance ε b with
b = ±1 (Ramani, Blu & Unser 2008):  Σ ∂u_i/∂y_i ≈ b · (v(t) − u(t))/ε,  v the evolution of y + ε b. All times come out
of the same two evolutions. The noise at hand has not just the variance σ²; that shifts the curve as a whole and leaves
its lowest point where it is. The first rung does this in a loop; the library's `stopping_time` must find the same.

Exercises
---------
1. Give SURE a σ that is 20 % wrong, up and down. How far does the time move, and what does it cost in dB?
2. Without σ: stop where y − u and u are least correlated (`stopping_time` without `sigma`). Compare on a picture of
   fine texture; when does it stop too late?
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import pde_video as pv

BEST = 0.2  # κ/σ for the term below.


def scene(n=128):
    """A slope, discs of falling contrast, fine waves."""
    i, j = np.mgrid[:n, :n] / n
    u = 60 + 60 * i
    for k, contrast in enumerate((100, 60, 30)):
        u = u + contrast * (np.hypot(i - 0.25 - 0.25 * k, j - 0.3) < 0.1)
    return u + 20 * np.sin(40 * j**2) * (j > 0.5)


def term(sigma, multiple=BEST):
    """The equation under test, with κ in units of the noise."""
    return pv.PeronaMalik(multiple * sigma, "rational", smoothing=0.7)


def sure(equation, noisy, times, sigma, rng=0):
    """SURE at every time, from two evolutions side by side."""
    epsilon = 0.1 * sigma
    b = np.random.default_rng(rng).choice([-1.0, 1.0], noisy.shape)
    pairs = zip(pv.evolution(equation, noisy, times), pv.evolution(equation, noisy + epsilon * b, times), strict=True)
    return np.array(
        [
            np.mean((noisy - u) ** 2) - sigma**2 + 2 * sigma**2 / epsilon * np.mean(b * (v - u))
            for (_, u), (_, v) in pairs
        ]
    )


def main(folder):
    """Estimate σ, search κ, find the time, each against the known truth."""
    clean, rng = scene(), np.random.default_rng(7)
    sigmas = (5.0, 10.0, 20.0, 40.0)
    noisy = {sigma: clean + rng.normal(0, sigma, clean.shape) for sigma in sigmas}
    estimated = {sigma: pv.estimate_sigma(noisy[sigma][None]) for sigma in sigmas}

    times = np.linspace(0, 12, 61)
    multiples = np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6])
    errors = {}  # The mean squared error over time, for every σ and every κ/σ.
    for sigma in sigmas:
        for c in multiples:
            states = pv.evolution(term(sigma, c), noisy[sigma], times)
            errors[sigma, c] = np.array([np.mean((u - clean) ** 2) for _, u in states])
    best_multiple = {s: float(min(multiples, key=lambda c, s=s: errors[s, c].min())) for s in sigmas}

    loss, curves = {}, {}
    for sigma in sigmas:
        known = estimated[sigma]  # All that a user has.
        curves[sigma] = sure(term(sigma), noisy[sigma], times, known)
        found = pv.stopping_time(term(sigma), noisy[sigma], times, sigma=known)
        assert found.time == times[curves[sigma].argmin()]
        error = errors[sigma, BEST]
        loss[sigma] = float(10 * np.log10(error[curves[sigma].argmin()] / error.min()))  # dB below the best time.

    figure = Figure(figsize=(10.5, 3.2), layout="constrained")
    level, contrast, stop = figure.subplots(1, 3)
    level.loglog(sigmas, sigmas, color="0.6", label="truth")
    level.loglog(sigmas, list(estimated.values()), "o", label="estimate_sigma")
    level.set(xlabel="noise σ added", ylabel="noise σ found")
    for axis in (level.xaxis, level.yaxis):
        axis.set_ticks(sigmas, labels=[f"{sigma:g}" for sigma in sigmas])
    level.minorticks_off()
    level.legend(fontsize="small")
    for k, sigma in enumerate(sigmas):
        gain = [10 * np.log10(sigma**2 / errors[sigma, c].min()) for c in multiples]
        contrast.plot(multiples, gain, ".-", color=f"C{k}", label=f"σ = {sigma:g}")
    contrast.set(xlabel="κ/σ", ylabel="gain at the best time, dB")
    contrast.legend(fontsize="small")
    for k, sigma in ((1, 10.0), (2, 20.0)):
        stop.plot(times, errors[sigma, BEST], color=f"C{k}", label=f"true error, σ = {sigma:g}")
        stop.plot(times, curves[sigma], "k:", label="SURE" if k == 1 else None)
        stop.plot(times[curves[sigma].argmin()], curves[sigma].min(), "kv", markersize=6)
    stop.set(xlabel="time t", ylabel="mean squared error", yscale="log")
    stop.legend(fontsize="small")
    figure.savefig(Path(folder, "07_parameters.png"), dpi=90)
    return {"noise found for σ": estimated, "best κ/σ for σ": best_multiple, "dB below the best time for σ": loss}


if __name__ == "__main__":
    from printing import run

    run(main, __file__)
