"""05 Tensors: a direction for the diffusion.

    ∂u/∂t = div(D ∇u),    D symmetric, positive definite, one for every pixel.

Perona–Malik stops at an edge altogether, so noise *on* the edge stays. A tensor may stop across the edge and go on
along it. Directions come from the structure tensor J = K_ρ ∗ (∇u_σ ∇u_σᵀ), with eigenvalues μ₁ ≥ μ₂: the eigenvector
of μ₁ points across the structure, that of μ₂ along it.

    edge-enhancing (EED)        across: g(|∇u_σ|²)    along: 1
    coherence-enhancing (CED)   across: α ≪ 1         along: α + (1 − α) exp(−C/(μ₁ − μ₂)²)

EED removes noise up to the edge; CED follows lines and closes their gaps. On the grid, D is split into directions with
integer offsets (Selling), D = Σ_e w_e e eᵀ with w_e ≥ 0, so every new value is an average of old ones as before.

First rung: for κ → ∞ EED has D = I, its offsets are the four neighbours, and it must be the heat equation of 01. And
Selling's decomposition itself, in ten lines: it must give back D.

Exercises
---------
1. Print the offsets of `selling` for an eigenvalue ratio of 1, 10, 100 at 30°. How far do they reach? (At most √ratio.)
2. Turn the stripes by 90° with `np.rot90` and evolve: is the result the turned result, and how exactly?
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import pde_video as pv


def selling(d):
    """Weights ≥ 0 and integer offsets with D = Σ w e eᵀ, for one symmetric positive definite 2 × 2 matrix."""
    # A superbase: three integer vectors that sum to zero. It is obtuse when all products b_i·D b_j are ≤ 0.
    b = [np.array([1, 0]), np.array([0, 1]), np.array([-1, -1])]
    while True:
        acute = [(i, j) for i, j in ((0, 1), (0, 2), (1, 2)) if b[i] @ d @ b[j] > 1e-12]
        if not acute:
            break
        i, j = acute[0]
        b = [-b[i], b[j], b[i] - b[j]]
    # Each offset is at right angles to one base vector; its weight is the product of the other two, negated.
    return [(-(b[i] @ d @ b[j]), np.array([-b[k][1], b[k][0]])) for i, j, k in ((0, 1, 2), (0, 2, 1), (1, 2, 0))]


def stripes(n=96):
    """Slanted lines, and the same with a broken band across them."""
    i, j = np.mgrid[:n, :n]
    whole = 0.5 + 0.5 * np.cos(2 * np.pi * (j * np.cos(0.5) + i * np.sin(0.5)) / 9)
    broken = np.where(abs(i - n // 2) < 3, 0.5, whole)
    return whole, broken


def main(folder):
    """Check the decomposition, then compare EED and CED with Perona–Malik."""
    rng = np.random.default_rng(5)
    for angle in np.linspace(0, np.pi, 13):
        along = np.array([np.cos(angle), np.sin(angle)])
        d = np.outer(along, along) + 0.01 * (np.eye(2) - np.outer(along, along))
        weights = selling(d)
        assert min(w for w, _ in weights) >= -1e-12
        assert np.abs(sum(w * np.outer(e, e) for w, e in weights) - d).max() < 1e-12

    i, j = np.mgrid[:96, :96]
    distance = 30 - np.hypot(i - 47.5, j - 47.5)  # From the edge of a disc.
    clean = 0.2 + 0.6 * np.clip(distance + 0.5, 0, 1)
    noisy = clean + rng.normal(0, 0.1, clean.shape)
    as_heat = pv.evolve(pv.EdgeEnhancing(1e6), noisy, pv.uniform(2.0, dt=0.1))
    heat = pv.evolve(pv.Heat(), noisy, pv.uniform(2.0, dt=0.1))
    heat_error = float(np.abs(as_heat - heat).max())
    assert heat_error < 1e-12

    # The same κ, conductance and smoothing for both: what differs is the direction.
    terms = {
        "Perona–Malik": pv.PeronaMalik(0.06, "weickert", smoothing=1.0),
        "EED": pv.EdgeEnhancing(0.06, conductance="weickert"),
    }
    near, errors, gaps = abs(distance) < 3, {}, {}
    panels = [("noisy disc", noisy)]
    for name, term in terms.items():
        smooth = pv.evolve(term, noisy, pv.uniform(4.0, dt=0.1))
        assert noisy.min() <= smooth.min()
        assert smooth.max() <= noisy.max()
        panels.append((name, smooth))
        errors[name] = float(np.sqrt(np.mean((smooth - clean)[near] ** 2)))

    whole, broken = stripes()
    panels.append(("broken stripes", broken))
    gap = abs(i - 48) < 3
    gap[:, :12] = gap[:, -12:] = False
    for name, term in {"Perona–Malik": terms["Perona–Malik"], "CED": pv.CoherenceEnhancing(1e-6)}.items():
        closed = pv.evolve(term, broken, pv.uniform(20.0, dt=0.1))
        panels.append((name, closed))
        # How much of the stripes' contrast is there in the gap: 0 before, 1 if it were closed.
        gaps[name] = float(np.sum((closed - 0.5)[gap] * (whole - 0.5)[gap]) / np.sum((whole - 0.5)[gap] ** 2))

    figure = Figure(figsize=(7.0, 4.8), layout="constrained")
    for axes, (title, picture) in zip(figure.subplots(2, 3).flat, panels, strict=True):
        axes.imshow(picture[8:-8, 8:-8], cmap="gray", vmin=0, vmax=1)
        axes.set_title(title, fontsize="medium")
        axes.set_axis_off()
    figure.savefig(Path(folder, "05_tensors.png"), dpi=72)
    return {
        "EED with κ → ∞ against heat, largest difference": heat_error,
        "error near the edge": errors,
        "contrast in the gap (1: closed)": gaps,
    }


if __name__ == "__main__":
    from printing import run

    run(main, __file__)
