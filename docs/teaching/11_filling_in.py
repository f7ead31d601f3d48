"""11 Boundary value problems: filling in.

So far a state evolved. Let it come to rest where pixels are unknown, and hold the known ones:

    div(D ∇u) = 0    where the mask is true,    u = the picture elsewhere.

With D = I the solutions are **harmonic**: each value is the mean of its neighbours. So none is larger than all of them,
and what is filled in lies between the least and the largest value around the hole: the maximum principle. 1, x, y, xy
and x² − y² are harmonic on the grid too, and come back exactly from any hole.

*Jacobi's method* replaces every value by the mean of its neighbours, again and again: it is an explicit step of the
heat equation. On a line of n unknown values a sweep with weight ω multiplies the wave sin(kπj/(n + 1)) by

    1 − ω (1 − cos(kπ/(n + 1))).

Short waves vanish at once. The longest loses about ω π²/(2n²): sweeps grow in number with n². *Multigrid* sees that
what is long on this grid is short on one with half of the points: smooth, restrict what is left to every other point,
solve there in the same way, interpolate the correction, smooth again. The factor of such a V-cycle does not depend on
n. `equilibrium` has one in the plane, with known pixels as points that do not change, in each conjugate gradient.

*Edges.* A harmonic function forgets an edge that runs into the hole. Edge-enhancing diffusion (05) has D small across
edges and 1 along them, from the gradient of u itself. D is frozen, the linear problem solved, D made anew, from the
harmonic solution on. Edges that meet across the hole join.

Exercises
---------
1. Leave out the second smoothing, then the first. How does the factor of a V-cycle change?
2. Widen the hole in the disc until its edge is not continued. Does the start matter: the harmonic solution or noise?
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import pde_video as pv


def jacobi(u, f):
    """One sweep for −u'' = f on a line: −u_{j−1} + 2 u_j − u_{j+1} = f_j, with 0 beyond both ends, and ω = ⅔."""
    beside = np.pad(u, 1)
    return u + 2 / 3 * ((beside[:-2] + beside[2:] + f) / 2 - u)


def v_cycle(u, f):
    """One cycle of multigrid for the same equation, for 2^k − 1 unknowns."""
    if len(u) == 1:
        return f / 2
    u = jacobi(u, f)
    beside = np.pad(u, 1)
    left = f - (2 * u - beside[:-2] - beside[2:])
    # Means with weights ¼, ½, ¼ at every other point, times 4, as h² is there.
    coarse = v_cycle(np.zeros(len(u) // 2), left[:-2:2] + 2 * left[1::2] + left[2::2])
    correction = np.zeros_like(u)
    correction[1::2], correction[::2] = coarse, (np.pad(coarse, (1, 0)) + np.pad(coarse, (0, 1))) / 2
    return jacobi(u + correction, f)


def errors_of(step, n, count):
    """Largest value after each of so many steps towards 0, from the longest wave and the shortest together."""
    j = np.arange(1, n + 1) * np.pi / (n + 1)
    u, found = np.sin(j) + np.sin(n * j), []
    for _ in range(count):
        u = step(u, np.zeros(n))
        found.append(float(np.abs(u).max()))
    return found


def main(folder):
    """Measure both methods, check what harmonic functions promise, and fill in a hole in an edge."""
    figure, factors = Figure(figsize=(10.5, 2.9), layout="constrained"), {}
    curves, *rest = figure.subplots(1, 4, width_ratios=[1.3, 1, 1, 1])
    for k, n in enumerate((31, 127, 511)):
        sweeps, cycles = errors_of(jacobi, n, 3000), errors_of(v_cycle, n, 12)
        factors[n] = {"Jacobi": sweeps[-1] / sweeps[-2], "V-cycle": cycles[-1] / cycles[-2]}
        curves.loglog(np.arange(1, 3001), sweeps, color=f"C{k}", label=f"{n} unknowns")
        curves.loglog(np.arange(1, 13), cycles, ".--", color=f"C{k}")
    curves.set(xlabel="Jacobi's sweeps; V-cycles (dots)", ylabel="largest error", ylim=(1e-10, 3))
    curves.legend(fontsize="small")

    rng, (y, x), worst, iterations = np.random.default_rng(11), np.mgrid[-1:1:64j, -1:1:64j], 0.0, {}
    unknown = rng.random(x.shape) < 0.9
    # At the border of the picture nothing flows, as if it went on in a mirror; these functions do not, so it is known.
    unknown[[0, -1]] = unknown[:, [0, -1]] = False
    for u in (np.ones_like(x), x, y, x * y, x**2 - y**2):
        worst = max(
            worst, float(np.abs(pv.equilibrium(pv.Masked(pv.Heat(), unknown, u), 0 * u, tolerance=1e-9) - u).max())
        )
    noise, hole = rng.random((64, 64)), np.hypot(x, y) < 0.5
    filled = pv.equilibrium(pv.Masked(pv.Heat(), hole, noise), noise)[hole]
    assert noise[~hole].min() <= filled.min() < filled.max() <= noise[~hole].max()
    for n in (64, 256, 1024):
        ramp, wide, report = np.tile(np.arange(n) / n, (n, 1)), np.zeros((n, n), bool), {}
        wide[n // 8 : -n // 8, n // 8 : -n // 8] = True
        pv.equilibrium(pv.Masked(pv.Heat(), wide, ramp), 0 * ramp, report=report)
        iterations[n] = report["iterations"]

    i, j = np.mgrid[:96, :96]
    disc = 0.2 + 0.6 * np.clip(30.5 - np.hypot(i - 47.5, j - 47.5), 0, 1)
    gap = (abs(i - 47) < 7) | (abs(i - j) < 5)
    start = pv.equilibrium(pv.Masked(pv.Heat(), gap, disc), disc)
    edges = pv.EdgeEnhancing(0.02, smoothing=1.0, conductance="charbonnier", least=0.05)
    joined = pv.equilibrium(pv.Masked(edges, gap, disc), start, tolerance=1e-2)
    shown = {"two bands are missing": np.where(gap, 0.0, disc), "harmonic": start, "edge-enhancing": joined}
    missed = {name: float(np.sqrt(np.square(u - disc)[gap].mean())) for name, u in list(shown.items())[1:]}
    for axes, (name, picture) in zip(rest, shown.items(), strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
        axes.set_title(name, fontsize="medium")
        axes.set_axis_off()
    figure.savefig(Path(folder, "11_filling_in.png"), dpi=80)
    found = {"factor of n unknowns": factors, "harmonic polynomials, largest error": worst}
    return found | {"iterations for holes of ¾ of n": iterations, "error in the hole": missed}


if __name__ == "__main__":
    from printing import run

    run(main, __file__)
