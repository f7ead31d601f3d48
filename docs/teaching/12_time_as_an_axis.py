"""12 Time as an axis: transport, trajectories, quantile functions.

Along the rows and columns of a frame neighbours are alike. Along time they are alike only where nothing moves. What
moves with the speed w obeys the **transport equation**

    ∂I/∂t + w·∇I = 0,    solved by I(x, t) = f(x − w t):

values are constant along the *trajectories* x + w t. From two frames, one equation for a pixel tells the motion across
an edge only; means over windows tell both parts of it (05 has their tensor). For a wave sin(kx) that moves by w, the
difference of the frames is −2 sin(kw/2) cos(kx − kw/2). Divided by the gradient of the *first* frame, k cos(kx), by
least squares, and by the mean gradient of *both*, k cos(kw/2) cos(kx − kw/2), that is

    ŵ = sin(kw)/k ≈ w (1 − (kw)²/6),    ŵ = 2 tan(kw/2)/k ≈ w (1 + (kw)²/12).

So a flow is sought in the middle of both frames, where the error is half and the equation symmetric in time; and from
coarse to fine, with both frames warped by what is known, so that kw is small.

*Frames in between.* Their mean, a fade, has the wave cos(kw/2) sin(kx − kw/2) half-way: it fades by cos(kw/2), to
nothing where it moves by half of its length. The mean along trajectories keeps it.

*Flicker* moves nothing and changes every value: I_t = g_t(u). The **quantile function** q_t(p) is the value below which
a share p of a frame lies. Diffused along time alone, ∂q/∂s = ∂²q/∂t², it stays increasing in p, since means of
increasing functions increase; constants and linear fades do not change. The map u ↦ q̃_t(p) with q_t(p) = u takes the
flicker out. If g_t(u) = a_t u + b_t, then q̃_t = ã_t q + b̃_t: as if gain and offset had been diffused.

Exercises
---------
1. Add noise of one in ten to both frames of the wave. Which w and k does the estimate bear best, and why not small w?
2. Let a dark object enter a bright scene. What does the map by quantiles do to the pixels that have not changed?
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import pde_video as pv


def estimates(k, w, n=4096):
    """The motion of sin(kx) by w, from the gradient of the first frame and from the mean of both, over a period."""
    x = np.arange(n) * 2 * np.pi / (n * k)
    difference = np.sin(k * (x - w)) - np.sin(k * x)
    first, both = k * np.cos(k * x), k * (np.cos(k * x) + np.cos(k * (x - w))) / 2
    return [-float(difference @ g / (g @ g)) for g in (first, both)]


def amplitude(frame, k):
    """That of the wave with the wave number k, over the columns."""
    return float(2 * abs((frame @ np.exp(1j * k * np.arange(frame.shape[1]))).mean()) / frame.shape[1])


def scene(times, size=(48, 96), seed=3):
    """Waves of 12 to 40 pixels that move to the right by 6 pixels in a unit of time."""
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[: size[0], : size[1]]
    lengths, angles, phases = rng.uniform(12, 40, 30), rng.uniform(0, np.pi, 30), rng.uniform(0, 2 * np.pi, 30)
    along = [np.cos(a) * y[None] + np.sin(a) * (x[None] - 6 * np.reshape(times, (-1, 1, 1))) for a in angles]
    return 0.5 + 0.03 * sum(np.sin(2 * np.pi / s * u + p) for s, u, p in zip(lengths, along, phases, strict=True))


def diffused(states):
    """Quantile functions (T, P) diffused along time alone: the shares are channels."""
    return pv.evolve(pv.Heat(), states, pv.uniform(20.0, dt=0.4), channel_axis=-1)


def main(folder):
    """Check the errors of both estimates, compare frames in between, and diffuse quantile functions along time."""
    figure = Figure(figsize=(10.5, 2.9), layout="constrained")
    curves, *slices, quantiles = figure.subplots(1, 5, width_ratios=[1.4, 0.8, 0.8, 0.8, 1.4])

    phases = np.linspace(0.1, 2.6, 26)
    ratios = np.array([estimates(2 * np.pi / 16, kw * 16 / (2 * np.pi)) for kw in phases]).T / (phases * 16 / 2 / np.pi)
    theory = np.array([np.sin(phases), 2 * np.tan(phases / 2)]) / phases
    for name, ratio, expected in zip(("first frame", "both frames"), ratios, theory, strict=True):
        curves.plot(phases, expected, color="0.7", lw=4)
        curves.plot(phases, ratio, label=f"gradient of {name}")
    curves.set(xlabel="kw", ylabel="ŵ / w", ylim=(0, 2))
    curves.legend(fontsize="small")

    k, shift = 2 * np.pi / 16, 5
    wave = np.stack([np.tile(np.sin(k * (np.arange(96) - w)), (48, 1)) for w in (0, shift)])
    means = {"a fade": wave.mean(axis=0), "along the motion": pv.interpolate(wave, factor=2)[1]}
    kept = {name: amplitude(frame[:, 16:80], k) for name, frame in means.items()}

    true = scene(np.arange(0, 8.5, 0.5))
    found, faded = pv.interpolate(true[::2], factor=2), true.copy()
    faded[1::2] = (true[:-1:2] + true[2::2]) / 2
    shown = {"true": true, "a fade": faded, "along the motion": found}
    psnr = {name: float(pv.psnr(video[1::2], true[1::2])) for name, video in list(shown.items())[1:]}
    for axes, (name, video) in zip(slices, shown.items(), strict=True):
        axes.imshow(video[:, 24], cmap="gray", vmin=0.2, vmax=0.8, aspect="auto", interpolation="nearest")
        axes.set(title=name, xticks=[], yticks=[], xlabel="x", ylabel="t" if name == "true" else "")

    rng, shares = np.random.default_rng(12), (np.arange(128) + 0.5) / 128
    gains, offsets = 1 + 0.1 * rng.normal(size=40), 0.03 * rng.normal(size=40)
    film = scene(np.arange(40) / 6)
    q = np.quantile(gains[:, None, None] * film + offsets[:, None, None], shares, axis=(1, 2)).T
    smooth, even = diffused(q), np.quantile(film, shares, axis=(1, 2)).T
    flicker = {"before": float((q - even).mean(axis=1).std()), "after": float((smooth - even).mean(axis=1).std())}
    fade = np.linspace(0.2, 0.9, 80)[:, None] * shares
    quantiles.plot(shares, q[:12].T, color="C1", lw=0.7)
    quantiles.plot(shares, smooth[14:26].T, color="C0", lw=0.7)
    quantiles.set(xlabel="share p of the frame", title="q before, and diffused along t")
    figure.savefig(Path(folder, "12_time_as_an_axis.png"), dpi=80)
    return {
        "largest error of ŵ by theory": float(np.abs(ratios - theory).max()),
        "amplitude half-way": kept,
        "amplitude of a fade by theory": float(np.cos(k * shift / 2)),
        "PSNR of frames in between, dB": psnr,
        "deviation of the mean by flicker": flicker,
        "least step of q in p": float(np.diff(smooth, axis=1).min()),
        "change of a linear fade, far from its ends": float(np.abs(diffused(fade) - fade)[30:50].max()),
    }


if __name__ == "__main__":
    from printing import run

    run(main, __file__)
