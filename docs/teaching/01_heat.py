"""01 The heat equation, three times.

    ∂u/∂t = ∇²u,    no flux through the border.

On a grid with spacing 1 the flux between two neighbours is their difference, so

    du_ij/dt = Σ over the four neighbours (u_neighbour − u_ij),

where a neighbour outside is the pixel itself: nothing flows there. Explicit Euler takes u ← u + τ du/dt.

What is known exactly, and checked below:

* The sum of all pixels stays.
* The cosines cos(πk(i + ½)/N) cos(πl(j + ½)/N) are eigenvectors, with
  λ = −4 sin²(πk/2N) − 4 sin²(πl/2N). A step multiplies them by 1 + τλ and does nothing else.
* Until it meets the border, an impulse gains the variance 2τ per axis in every step: after the time t it is nearly a
  Gaussian of variance 2t.

The same step is written as plain loops, as array slices, and as the library's compiled kernel. The three add in the
same order, so they agree in the last bit.

Exercises
---------
1. Let the picture be periodic in `step_slices` (`mode="wrap"`). What are the eigenvectors now? Check against
   `pv.Heat(boundary="periodic")`.
2. Replace the stencil by the nine-point one, (4 · edge neighbours + diagonal ones − 20 u)/6. The variance still grows
   by 2τ; which property of the Gaussian improves?
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import pde_video as pv


def step_loops(u, tau):
    """One step, pixel by pixel."""
    rows, columns = len(u), len(u[0])
    new = [[0.0] * columns for _ in range(rows)]
    for i in range(rows):
        for j in range(columns):
            here = u[i][j]
            left, right = u[i][max(j - 1, 0)], u[i][min(j + 1, columns - 1)]
            above, below = u[max(i - 1, 0)][j], u[min(i + 1, rows - 1)][j]
            laplacian = ((left + right) - (here + here)) + ((above + below) - (here + here))
            new[i][j] = here + tau * laplacian
    return new


def step_slices(u, tau):
    """One step, all pixels at once."""
    p = np.pad(u, 1, mode="edge")
    along_rows = (p[1:-1, :-2] + p[1:-1, 2:]) - (u + u)
    along_columns = (p[:-2, 1:-1] + p[2:, 1:-1]) - (u + u)
    return u + tau * (along_rows + along_columns)


def step_kernel(u, tau):
    """One step by the library."""
    return pv.evolve(pv.Heat(), u, [0, tau])


def variance(u):
    """Variance along the rows of a picture read as a distribution."""
    j, weight = np.arange(u.shape[1]), u.sum(axis=0) / u.sum()
    return (weight * j**2).sum() - (weight * j).sum() ** 2


def main(folder):
    """Check every rung against the last, draw an impulse, return the figures."""
    tau, n = 0.2, 65
    noise = np.random.default_rng(1).random((24, 31))
    slices = step_slices(noise, tau)
    assert np.array_equal(step_loops(noise.tolist(), tau), slices)
    assert np.array_equal(slices, step_kernel(noise, tau))

    # The eigenvector (k, l) = (3, 5): one number says what a step does to it.
    i = np.arange(32) + 0.5
    cosine = np.cos(np.pi * 3 * i / 32)[:, None] * np.cos(np.pi * 5 * i / 32)
    factor = 1 - 4 * tau * (np.sin(np.pi * 3 / 64) ** 2 + np.sin(np.pi * 5 / 64) ** 2)
    cosine_error = float(np.abs(step_kernel(cosine, tau) - factor * cosine).max())
    assert cosine_error < 1e-14

    impulse = np.zeros((n, n))
    impulse[n // 2, n // 2] = 1
    states = dict(pv.evolution(pv.Heat(), impulse, pv.uniform(5.0, dt=tau)))
    growth = float(variance(states[5.0])) / 25  # 25 steps.
    assert abs(growth - 2 * tau) < 1e-12

    figure = Figure(figsize=(8.4, 3.0), layout="constrained")
    profile, *pictures = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    x, fine = np.arange(n) - n // 2, np.linspace(-12, 12, 241)
    for t, colour in ((1.0, "C0"), (5.0, "C1")):
        profile.plot(x, states[t][n // 2], "o", color=colour, markersize=4, label=f"scheme, t = {t:g}")
        profile.plot(fine, np.exp(-(fine**2) / (4 * t)) / (4 * np.pi * t), color=colour, label="Gaussian")
    profile.set(xlim=(-12, 12), ylim=(-0.004, 0.115), xlabel="pixel", ylabel="u on the middle row")
    profile.legend(fontsize="small", ncols=2)
    for axes, t in zip(pictures, (1.0, 5.0), strict=True):
        axes.imshow(states[t][20:45, 20:45], cmap="gray")
        axes.set_title(f"t = {t:g}")
        axes.set_axis_off()
    figure.savefig(Path(folder, "01_heat.png"), dpi=100)
    return {
        "variance gained per step": growth,
        "2τ": 2 * tau,
        "sum of all pixels": float(states[5.0].sum()),
        "largest error of a cosine's factor": cosine_error,
    }


if __name__ == "__main__":
    from printing import run

    run(main, __file__)
