"""03 Large steps: implicit Euler, Crank–Nicolson's ringing, AOS's stripe.

All three are stable at any step τ. What they do to an eigenvector with eigenvalue λ < 0, z = τ|λ|:

    exact            e^{−z}
    explicit Euler   1 − z                     unstable for z > 2
    implicit Euler   1/(1 + z)                 always in (0, 1): damps everything, order 1
    Crank–Nicolson   (1 − z/2)/(1 + z/2)       order 2, but tends to −1: sharp edges ring

The ringing in one number: Crank–Nicolson is 2 (I − τA/2)⁻¹ − I, and the middle of (I − τA)⁻¹ on an impulse is
1/√(1 + 4τ). So after a step of 10 the middle is 0.156 with implicit Euler, and −1 + 2/√21 = −0.564 with
Crank–Nicolson, which breaks the extremum principle.

AOS replaces the linear system on the grid by one tridiagonal system per axis:

    u₁ = (1/d) Σ_axis (I − d τ A_axis)⁻¹ u₀.

Each system averages, so extrema are kept at any τ. But a stripe along one axis is not changed by that axis' own system:
in d dimensions at least (d − 1)/d of it is left after one step, however long. Several steps are needed.

First rung: the system (I − τA) u₁ = u₀ is solved in one dimension as a dense matrix. The library solves it by a cosine
transform; both must agree.

Exercises
---------
1. Two implicit steps of τ/2 and one of τ: extrapolate 2·u_{τ/2} − u_τ. Measure its order. Does it keep the extrema?
2. Where is the error of AOS against implicit Euler largest, for a disc? Explain it by the formula.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import pde_video as pv

STEPS = {"explicit Euler": pv.explicit_euler, "implicit Euler": pv.implicit_euler, "Crank–Nicolson": pv.crank_nicolson}


def implicit_dense(u, tau):
    """Implicit Euler in one dimension, by Gaussian elimination on the full matrix."""
    second_difference = np.diag(np.ones(len(u) - 1), 1) + np.diag(np.ones(len(u) - 1), -1)
    second_difference -= np.diag(second_difference.sum(axis=1))  # No flux: every row sums to 0.
    return np.linalg.solve(np.eye(len(u)) - tau * second_difference, u)


def fitted_order(dt, errors):
    """Slope of the error over the step, both as logarithms."""
    return float(np.polyfit(np.log(dt), np.log(errors), 1)[0])


def main(folder):
    """Measure factors, orders, ringing and stripe, and draw them."""
    noise = np.random.default_rng(3).random(40)
    solved = pv.evolve(pv.Heat(), noise, [0, 7.0], step=pv.implicit_euler)
    assert np.abs(solved - implicit_dense(noise, 7.0)).max() < 1e-13

    figure = Figure(figsize=(11.0, 3.2), layout="constrained")
    factors, ringing, stripes = figure.subplots(1, 3)
    k, n = 8, 32
    cosine = np.cos(np.pi * k * (np.arange(n) + 0.5) / n)
    rate = 4 * np.sin(np.pi * k / (2 * n)) ** 2  # |λ|
    z, orders, centres, left_of_stripe = np.linspace(0, 8, 33), {}, {}, {}
    exact = {"explicit Euler": 1 - z, "implicit Euler": 1 / (1 + z), "Crank–Nicolson": (1 - z / 2) / (1 + z / 2)}
    for name, step in STEPS.items():
        ends = [pv.evolve(pv.Heat(), cosine, [0, x / rate], step=step, check=False) for x in z[1:]]
        measured = np.array([(end @ cosine) / (cosine @ cosine) for end in ends])
        assert np.abs(measured - exact[name][1:]).max() < 1e-12
        (line,) = factors.plot(z, exact[name], label=name)
        factors.plot(z[1::2], measured[::2], ".", color=line.get_color())
        # The order: errors at t = 2 against e^{−t|λ|}, the exact answer on this grid.
        dt = 2.0 / np.array([8, 16, 32, 64])
        final = [pv.evolve(pv.Heat(), cosine, pv.uniform(2.0, h), step=step) for h in dt]
        orders[name] = fitted_order(dt, [np.abs(u - np.exp(-2 * rate) * cosine).max() for u in final])
    factors.plot(z, np.exp(-z), "k--", label="exact", linewidth=1)
    factors.set(ylim=(-1.5, 1.1), xlabel="z = τ|λ|", ylabel="factor per step (dots: measured)")
    factors.legend(fontsize="small")

    impulse = (np.arange(81) == 40).astype(float)
    for i, name in enumerate(("implicit Euler", "Crank–Nicolson")):
        once = pv.evolve(pv.Heat(), impulse, [0, 10.0], step=STEPS[name])
        centres[name] = float(once[40])
        ringing.plot(np.arange(81) - 40, once, ".-", color=f"C{i + 1}", label=name)
    ringing.set(xlim=(-12, 12), xlabel="pixel", ylabel="an impulse after one step τ = 10")
    ringing.legend(fontsize="small", loc="lower right")

    stripe = np.tile([0.0, 1.0], (16, 8))
    counts = np.arange(1, 9)
    for name, step, colour in (("AOS", pv.aos, "C4"), ("implicit Euler", pv.implicit_euler, "C1")):
        left = [np.ptp(pv.evolve(pv.Heat(), stripe, pv.uniform(1e4, steps=m), step=step)) for m in counts]
        left_of_stripe[name] = [float(x) for x in left]
        stripes.semilogy(counts, np.maximum(left, 1e-12), "o", color=colour, label=name)
    stripes.semilogy(counts, 0.5**counts, "--", color="C4", linewidth=1, label="(½)ⁿ")
    stripes.set(xlabel="steps n taken to t = 10⁴", ylabel="stripe left", ylim=(1e-13, 3))
    stripes.legend(fontsize="small")
    figure.savefig(Path(folder, "03_implicit.png"), dpi=90)
    return {
        "order": orders,
        "centre of an impulse after a step of 10": centres,
        "stripe left after 1 to 8 steps": left_of_stripe,
    }


if __name__ == "__main__":
    from printing import run

    run(main, __file__)
