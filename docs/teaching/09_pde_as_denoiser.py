"""09 The PDE as a denoiser: the reverse process without a network.

Let pictures x be distributed as ∝ exp(−‖∇x‖²/2γ), and let y = x + σ ε be seen. The mean of x given y is the best
estimate in the mean square. Both densities are Gaussian, so it is the minimum of ‖∇x‖²/2γ + ‖x − y‖²/2σ²:

    x − τ ∇²x = y,    τ = σ²/γ:

*one implicit Euler step of the heat equation is the exact denoiser* of this prior. A cosine with the eigenvalue −l of
∇² has the variance c = γ/l; the step multiplies it by 1/(1 + τ l) = c/(c + σ²), Wiener's factor.

So a PDE takes the network's place, and every cosine can be computed. From the level t₀ to t₁ < t₀ it is multiplied

    posterior mean    by t₁²/t₀² + (1 − t₁²/t₀²) c/(c + t₀²) = (c + t₁²)/(c + t₀²),
    Euler (DDIM)      by t₁/t₀ + (1 − t₁/t₀) c/(c + t₀²),
    ancestral (DDPM)  as the mean, plus noise of variance t₁² (1 − t₁²/t₀²).

The first factors telescope: from σ down to 0 they make c/(c + σ²) *in any number of steps*. **Means are the best
estimate.** Many small Euler steps make √(c/(c + σ²)), which gives the result the variance of the data. Ancestral steps
draw a sample of p(x|y), as far from the mean as the truth is: twice the smallest mean squared error, 3 dB. To denoise,
take means (Fesl et al. 2024, arXiv:2403.02957).

The first rung is the reverse process as a loop on the cosines; the library's `Reverse` must find the same. The second
is a picture from no Gaussian: Perona–Malik with κ in proportion to the level, alone and inside the process.

Exercises
---------
1. Give the denoiser half and twice the γ of the prior. Which of the three processes suffers least, and why?
2. Run the process from pure noise at σ = 10 with 30 Euler steps. What does this prior hold for a picture?
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.fft import dctn, idctn

import pde_video as pv

N, GAMMA, SIGMA, STEPS = 96, 0.002, 0.15, 150
EIGENVALUE = np.add.outer(*[4 * np.sin(np.pi * np.arange(N) / (2 * N)) ** 2] * 2)


def by_cosine(kind, c, times):
    """Factor, and variance added, of all steps together, for cosines of variance `c` in the data."""
    factor, variance = np.ones_like(c), np.zeros_like(c)
    for t0, t1 in pairwise(times):
        kept = t1 / t0 if kind == "Euler" else (t1 / t0) ** 2
        one = kept + (1 - kept) * c / (c + t0**2)
        factor, variance = one * factor, one**2 * variance + (t1**2 * (1 - kept) if kind == "ancestral" else 0)
    return factor, variance


def psnr(u, clean):
    """Of frames whose white is 1."""
    return float(-10 * np.log10(np.mean((u - clean) ** 2)))


def scene():
    """A slope, discs of falling contrast."""
    i, j = np.mgrid[:N, :N] / N
    u = 0.25 + 0.25 * i
    for k, contrast in enumerate((0.4, 0.24, 0.12)):
        u = u + contrast * (np.hypot(i - 0.25 - 0.25 * k, j - 0.5) < 0.12)
    return u


def main(folder):
    """A picture drawn from the prior, the three processes on it, and a scene."""
    rng = np.random.default_rng(9)
    c = GAMMA / np.maximum(EIGENVALUE, 1e-15)
    coefficients = np.sqrt(c) * rng.normal(size=(N, N))
    coefficients[0, 0] = N / 2  # The mean brightness, of which the prior says nothing.
    clean = idctn(coefficients, norm="ortho")[..., None]
    y = clean + SIGMA * rng.normal(size=clean.shape)

    denoiser = pv.as_denoiser(pv.Heat(), gamma=GAMMA)
    seen, estimated = (dctn(u[..., 0], norm="ortho") for u in (y, denoiser(y, SIGMA)))
    found = {"Wiener's factors: error": float(np.abs(estimated - c / (c + SIGMA**2) * seen).max())}

    times = SIGMA * np.append(np.geomspace(1, 0.01, STEPS), 0)
    steps = {"posterior mean": pv.posterior_mean, "Euler": pv.explicit_euler, "ancestral": pv.ancestral(rng=1)}
    results, errors = {"seen": y, "one step": denoiser(y, SIGMA)}, {}
    for name, step in steps.items():
        results[name] = pv.evolve(pv.Reverse(denoiser), y, times, step=step, channel_axis=-1)
        factor, variance = by_cosine(name, c, times)
        errors[name] = c * (1 - factor) ** 2 + factor**2 * SIGMA**2 + variance
        if name != "ancestral":
            found[f"{name}: error"] = float(np.abs(results[name][..., 0] - idctn(factor * seen, norm="ortho")).max())
    found["posterior mean, one step: error"] = float(np.abs(results["posterior mean"] - results["one step"]).max())
    found["PSNR, dB"] = {name: psnr(u, clean) for name, u in results.items()}
    found["PSNR by theory, dB"] = {name: float(-10 * np.log10(e.mean())) for name, e in errors.items()}

    picture = scene()[..., None]
    noisy = picture + SIGMA * rng.normal(size=picture.shape)
    edges = pv.as_denoiser(lambda s: pv.PeronaMalik(1.5 * s + 0.01, smoothing=0.7), time=lambda s: 4 * s / SIGMA)
    inside = pv.evolve(pv.Reverse(edges), noisy, times, step=pv.posterior_mean, channel_axis=-1)
    found["Perona–Malik, dB"] = {"alone": psnr(edges(noisy, SIGMA), picture), "inside": psnr(inside, picture)}

    figure = Figure(figsize=(11.0, 3.0), layout="constrained")
    *panels, curves = figure.subplots(1, 5, width_ratios=[1, 1, 1, 1, 1.5])
    for axes, name in zip(panels, ("seen", "posterior mean", "Euler", "ancestral"), strict=True):
        axes.imshow(results[name][..., 0], cmap="gray", vmin=clean.min(), vmax=clean.max(), interpolation="nearest")
        axes.set(xticks=[], yticks=[])
        axes.set_title(f"{name}\n{found['PSNR, dB'][name]:.1f} dB", fontsize=9)
    order = np.argsort(EIGENVALUE, axis=None)[1:]
    for k, (name, error) in enumerate(errors.items()):
        curves.loglog(EIGENVALUE.flat[order], error.flat[order], color=f"C{k}", label=name)
    curves.axhline(SIGMA**2, color="0.6", linewidth=1, label="noise")
    curves.set(xlabel="eigenvalue l of the cosine", ylabel="mean squared error")
    curves.legend(fontsize="small")
    figure.savefig(Path(folder, "09_pde_as_denoiser.png"), dpi=90)
    return found


if __name__ == "__main__":
    from printing import run

    run(main, __file__)
