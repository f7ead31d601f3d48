"""06 Space and time.

Two ways to use the frames before and after.

**The inter-frame update** F_new = F1 + α (F1 − F2) of a frame F1 and the one before it, F2. It is one explicit step of
dy/dt = y − F2 over the time α. With independent noise of variance 1 in both frames,

    Var F_new = (1 + α)² + α²:   1 at α = 0 and α = −1,   ½ at α = −½,   5 at α = 1.

So α > 0 extrapolates, sharpens in time, and amplifies noise; −1 < α < 0 smooths, never better than by a half.

**Diffusion in three dimensions**, the video being a picture with the axes (time, row, column):

    ∂u/∂t = Σ_axis ∂/∂x (g(s²/κ²) ∂u/∂x),    κ_t instead of κ between frames.

Where nothing moves, time is the best axis to average along: it costs no sharpness. Where something moves, neighbouring
frames differ as at an edge, and g with κ_t closes the flux. An explicit step sees only the next frames, so the library
runs the whole evolution along a stream; that must equal the evolution of the array bit for bit, and no flux may cross
a cut from one scene to the next.

Exercises
---------
1. `frame_difference` with `kappa` uses the *filtered* predecessor: F ← F1 + α g (F1 − F). For a still scene and α = −½,
   g = 1, what variance remains after many frames? (⅓.) And for general α? Check by experiment.
2. Let the disc move by 4 pixels per frame instead of 1. What does a wrong κ_t now look like in the x–t picture?
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import pde_video as pv


def scene(frames=24, height=48, width=72):
    """A disc that crosses a still, chequered ground."""
    i, j = np.mgrid[:height, :width]
    ground = 0.35 + 0.1 * np.sign(np.sin(j / 3.0) * np.sin(i / 3.0))
    discs = [np.clip(10.5 - np.hypot(i - height / 2, j - 24 - k), 0, 1) for k in range(frames)]
    return np.array([ground + (0.9 - ground) * disc for disc in discs], np.float32)


def noise_gains(rng, alphas):
    """Variance that the update leaves of independent noise of variance 1."""
    noise = rng.normal(size=(40, 64, 64))
    expected = noise[1:] + 0.7 * (noise[1:] - noise[:-1])
    assert np.abs(pv.frame_difference(noise, 0.7)[1:] - expected).max() < 1e-5  # The first rung, in NumPy.
    return np.array([pv.frame_difference(noise, alpha)[1:].var() for alpha in alphas])


def main(folder):
    """Measure the gain of noise, check stream against array, compare space with space and time."""
    rng = np.random.default_rng(6)
    alphas = np.linspace(-1.5, 1.0, 11)
    gains = noise_gains(rng, alphas)
    theory = (1 + alphas) ** 2 + alphas**2
    assert np.abs(gains / theory - 1).max() < 0.02

    clean = scene()
    noisy = clean + rng.normal(0, 0.08, clean.shape).astype(np.float32)
    times = pv.uniform(2.0)
    plane = pv.PeronaMalik(0.04, smoothing=0.7)
    volume = pv.PeronaMalik(0.04, smoothing=0.7, temporal_kappa=0.06)
    results = {
        "noisy": noisy,
        "space": np.array([pv.evolve(plane, frame, times) for frame in noisy]),
        "space and time": pv.spacetime(volume, times, cuts=[])(noisy),
        "κ_t far too large": pv.evolve(pv.PeronaMalik(0.04, smoothing=0.7, temporal_kappa=10.0), noisy, times),
    }
    assert np.array_equal(results["space and time"], pv.evolve(volume, noisy, times))
    psnr = {name: pv.psnr(clean, video) for name, video in results.items()}

    # Two scenes in one video: what flows in one must not know the other.
    other = np.ascontiguousarray(1 - noisy[:, ::-1])
    report = {}
    cut = pv.spacetime(volume, times)(np.concatenate([noisy, other]), report=report)
    alone = [pv.evolve(volume, part, times) for part in (noisy, other)]
    leak = float(np.abs(cut - np.concatenate(alone)).max())
    assert report["cuts"] == [24]
    assert leak == 0

    figure = Figure(figsize=(10.5, 3.3), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 2.6))
    axes = left.subplots()
    fine = np.linspace(-1.5, 1, 101)
    axes.plot(fine, (1 + fine) ** 2 + fine**2, color="0.5", label="(1 + α)² + α²")
    axes.plot(alphas, gains, "o", label="measured")
    axes.set(xlabel="α", ylabel="noise gain (variance)", ylim=(0, 5.5))
    axes.legend(fontsize="small")
    panels = right.subplots(2, 4)
    for (frame, slice_xt), (name, video) in zip(panels.T, results.items(), strict=True):
        frame.imshow(video[12], cmap="gray", vmin=0.1, vmax=1)
        frame.set_title(f"{name}\n{psnr[name]:.1f} dB", fontsize="small")
        frame.set_axis_off()
        slice_xt.imshow(video[:, 24], cmap="gray", vmin=0.1, vmax=1, aspect=2)
        slice_xt.set(xlabel="column", xticks=[], yticks=[])
    panels[1, 0].set_ylabel("frame, row 24")
    figure.savefig(Path(folder, "06_space_and_time.png"), dpi=90)
    return {
        "α": alphas,
        "noise gain": gains,
        "PSNR, dB": psnr,
        "cuts at frame": report["cuts"],
        "leak across the cut": leak,
    }


if __name__ == "__main__":
    from printing import run

    run(main, __file__)
