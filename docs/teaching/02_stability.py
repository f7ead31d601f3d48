"""02 The stability limit, just below and just above.

An explicit step multiplies the eigenvector with eigenvalue λ by 1 + τλ. Nothing grows as long as |1 + τλ| ≤ 1 for all
of them, that is τ ≤ 2/|λ|. On a large d-dimensional grid the most negative λ tends to −4d (the chessboard), hence

    τ ≤ 1/(2d):  ½ in one dimension, ¼ in two, 1/6 in three.

This is also the limit at which the new value stays an average of old ones: its own weight is 1 − 2dτ ≥ 0. Below it
the extrema never expand. Above it the chessboard flips its sign in every step and grows as |1 + τλ|ⁿ: soon
from noise, later from a smooth picture, which holds it as rounding only.

The library refuses such a step; `check=False` lets it happen.

Exercises
---------
1. Start from a smooth picture instead of noise, in float32 and in float64. After how many steps does the chessboard
   show, and why does the smoother picture not help?
2. With `spacing=(1, 2)` the bound is 1/(2(1 + ¼)). Derive it, and find the pattern that grows first above it.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import pde_video as pv

N = 48
BELOW, ABOVE = 0.245, 0.255


def chessboard():
    """The eigenvector with the most negative eigenvalue, of norm 1, and that eigenvalue."""
    wave = np.cos(np.pi * (N - 1) * (np.arange(N) + 0.5) / N)
    pattern = np.outer(wave, wave)
    return pattern / np.linalg.norm(pattern), float(-8 * np.sin(np.pi * (N - 1) / (2 * N)) ** 2)


def main(folder):
    """Run both steps from the same noise and compare what grows with the theory."""
    pattern, eigenvalue = chessboard()
    noise = np.random.default_rng(2).random((N, N))
    try:
        pv.evolve(pv.Heat(), noise, [0, ABOVE])
        refused = False
    except pv.UnstableStepError:
        refused = True
    assert refused
    assert pv.Heat().stable_dt(2) == 0.25

    steps, found, states = 150, {}, {}
    figure = Figure(figsize=(9.4, 3.0), layout="constrained")
    factor, growth, *pictures = figure.subplots(1, 4, width_ratios=(1.2, 1.4, 1, 1))
    for tau, name, colour in ((BELOW, "below", "C0"), (ABOVE, "above", "C3")):
        amplitude, spread = [], []
        for _, state in pv.evolution(pv.Heat(), noise, np.arange(steps + 1) * tau, check=False):
            amplitude.append(abs((pattern * state).sum()))
            spread.append(np.ptp(state))
        # Projected on the chessboard, the state is multiplied by |1 + τλ| in every step, whatever else it holds.
        # Over 30 steps, before the shrinking one drowns in rounding.
        measured = float(amplitude[30] / amplitude[0]) ** (1 / 30)
        assert abs(measured - abs(1 + tau * eigenvalue)) < 1e-10
        found[f"growth per step {name} the limit"], states[name] = measured, state
        found[f"range after {steps} steps {name}"] = float(spread[-1])
        factor.plot(tau, measured, "o", color=colour)
        growth.semilogy(amplitude, color=colour, label=f"τ = {tau}")
    assert found["range after 150 steps below"] < np.ptp(noise) < found["range after 150 steps above"]

    tau = np.linspace(0, 0.3, 61)
    factor.plot(tau, np.abs(1 + tau * eigenvalue), color="0.4", zorder=0)
    factor.axhline(1, color="0.8", linewidth=0.8, zorder=0)
    factor.set(xlabel="step τ", ylabel="|1 + τλ| of the chessboard")
    growth.set(xlabel="step number", ylabel="amplitude of the chessboard")
    growth.legend(fontsize="small")
    for axes, name, tau in zip(pictures, ("below", "above"), (BELOW, ABOVE), strict=True):
        axes.imshow(states[name], cmap="gray", vmin=0, vmax=1)
        axes.set_title(f"τ = {tau}, {steps} steps", fontsize="medium")
        axes.set_axis_off()
    figure.savefig(Path(folder, "02_stability.png"), dpi=100)
    return {**found, "eigenvalue of the chessboard": eigenvalue, "a step above the limit is refused": refused}


if __name__ == "__main__":
    from printing import run

    run(main, __file__)
