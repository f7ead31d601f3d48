"""04 Perona–Malik: diffusion that stops at edges.

    ∂u/∂t = Σ_axis ∂/∂x (g(s²) ∂u/∂x),    s = the difference across the face between two pixels,

with a conductance g that falls from 1 at s = 0: small differences are smoothed, large ones are not. What matters is
the flux Φ(s) = g(s²) s. Where it rises, neighbouring differences even out; where it falls, the larger of two takes
from the smaller: diffusion runs backwards and an edge steepens. The largest flux is at

    exponential  exp(−s²/κ²)       s = κ/√2
    rational     1/(1 + s²/κ²)     s = κ
    charbonnier  1/√(1 + s²/κ²)    nowhere: Φ rises to κ, edges are slowed down but never steepened.

As 0 ≤ g ≤ 1, the explicit step is stable up to 1/(2d), as for heat, and every new value is an average of old ones: the
extrema are kept even where diffusion runs backwards.

First rung: the scheme in a few lines of NumPy, against the library. With κ → ∞ it must be the heat equation of 01.

Exercises
---------
1. Use `smoothing=1.0` (s is then taken from a smoothed picture). Add ten single white pixels to the noise and compare:
   which of the two removes them, and why?
2. Evolve the edges for a long time with "charbonnier" and with "tukey". What is left when t → ∞?
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import pde_video as pv
from pde_video.tools.plots import plot_conductances


def rate_slices(u, kappa):
    """Σ_axis difference of the fluxes g(s²)·s with the exponential conductance; no flux at the border."""
    total = np.zeros_like(u)
    for axis in (0, 1):
        s = np.diff(u, axis=axis)
        flux = np.exp(-((s / kappa) ** 2)) * s
        rim = [(1, 1) if a == axis else (0, 0) for a in (0, 1)]
        total += np.diff(np.pad(flux, rim), axis=axis)
    return total


def scene(n=96):
    """A disc and a bar on a slope."""
    i, j = np.mgrid[:n, :n] / n
    u = 0.3 + 0.2 * i
    u[np.hypot(i - 0.4, j - 0.35) < 0.22] = 0.85
    u[(abs(j - 0.78) < 0.07) & (i > 0.15)] = 0.1
    return u


def main(folder):
    """Compare with NumPy, with heat, and the two regimes of an edge."""
    clean = scene()
    noisy = clean + np.random.default_rng(4).normal(0, 0.08, clean.shape)
    rate = pv.PeronaMalik(0.2).rate(0.0, noisy[None])[0]
    assert np.abs(rate - rate_slices(noisy, 0.2)).max() < 1e-13
    heat_rate = pv.Heat().rate(0.0, noisy[None])[0]
    assert np.abs(pv.PeronaMalik(1e8).rate(0.0, noisy[None])[0] - heat_rate).max() < 1e-13

    # Where is the largest flux? Read from the curves that the library draws.
    peaks = {}
    for line in plot_conductances(1.0).axes[1].get_lines():
        s, flux = line.get_data()
        if len(s) > 2:
            peaks[line.get_label()] = float(s[np.argmax(flux)])

    # Two ramps of five equal differences, one a little steeper in the middle. Below κ/√2 they even out, above it the
    # steepest grows: the same equation, both ways.
    bump = np.cumsum([0, 1, 1, 1.1, 1, 1])
    middle = {}
    for name, slope in (("gentle", 0.3), ("steep", 1.2)):
        after = pv.evolve(pv.PeronaMalik(1.0), slope * bump, [0, 0.01])
        middle[name] = float(np.diff(after)[2] / slope)
    assert middle["gentle"] < 1.1 < middle["steep"]

    # Heat is stopped at its best time for this picture; later it only loses edges.
    terms = {"heat": (pv.Heat(), 0.5), "Perona–Malik": (pv.PeronaMalik(0.06, smoothing=0.7), 8.0)}
    gain, states = {}, {}
    for name, (term, t) in terms.items():
        history = pv.History()
        states[name] = pv.evolve(term, noisy, pv.uniform(t, dt=0.2), callback=history)
        assert pv.certificate(history).mean_kept
        assert pv.certificate(history).extrema_kept
        gain[name] = pv.psnr(clean, states[name]) - pv.psnr(clean, noisy)

    figure = Figure(figsize=(10.5, 2.9), layout="constrained")
    curves, *pictures = figure.subplots(1, 4, width_ratios=(1.5, 1, 1, 1))
    s = np.linspace(0, 3, 200)
    for name, g in {
        "exponential": np.exp(-(s**2)),
        "rational": 1 / (1 + s**2),
        "charbonnier": 1 / np.sqrt(1 + s**2),
    }.items():
        curves.plot(s, g * s, label=name)
    curves.set(xlabel="s/κ", ylabel="flux g(s²)·s/κ")
    curves.legend(fontsize="small")
    shown = {"noisy": noisy} | {f"{name}, {gain[name]:+.1f} dB": state for name, state in states.items()}
    for axes, (title, picture) in zip(pictures, shown.items(), strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
        axes.set_title(title, fontsize="medium")
        axes.set_axis_off()
    figure.savefig(Path(folder, "04_perona_malik.png"), dpi=90)
    return {"s/κ of the largest flux": peaks, "middle difference of a ramp, before 1.1": middle, "gain, dB": gain}


if __name__ == "__main__":
    from printing import run

    run(main, __file__)
