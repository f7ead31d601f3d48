"""Do measures without truth rank denoisers as the truth does? The table of docs/scenarios.md.

Run as ``python -m benchmarks.blind [--noise NAME:key=value] [--clip NAME] [--crop N]`` with the extra `bench`.
Kendall's τ is 1 if two rankings agree, −1 if one is the other reversed. What is lost is how far the method with the
least measure is below the best. Means over the clips, the worst in brackets.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import kendalltau

import pde_video as pv
from benchmarks.quality import real_clips
from benchmarks.scenarios import cropped
from pde_video.bench.blind import Footage
from pde_video.bench.clips import Clip
from pde_video.bench.methods import METHODS
from pde_video.bench.scenarios import Noise
from pde_video.bench.tables import table
from pde_video.denoising.denoise import PRESETS
from pde_video.denoising.other_methods import BY_EVOLUTION

SCENARIOS = (
    *("white", "poisson:peak=5", "impulse", "rows", "columns"),
    *("duplicates", "blurred", "demosaiced", "h264:crf=23", "h264:crf=28"),
)
TOLD = (0.35, 0.5, 0.7, 0.85, 1.2, 1.5, 2.0, 3.0)  # Of the true σ.


def methods(rms: float) -> dict[str, Callable[[Any], Any]]:
    """Return methods of all kinds, and one that is told a σ which is too low or too high."""
    plain: dict[str, Callable[[Any], Any]] = {f"told {one} σ": partial(pv.denoise, sigma=one * rms) for one in TOLD}
    plain |= {preset: partial(pv.denoise, preset=preset) for preset in PRESETS}
    plain |= {method: partial(pv.denoise, method=method) for method in BY_EVOLUTION}
    plain |= {f"radius {radius}": partial(pv.denoise, radius=radius) for radius in (0, 1, 3)}
    peer = next(method for method in METHODS if method.name == "ffmpeg nlmeans")
    if not peer.missing():
        strengths = [min(255 * factor * rms, peer.most) for factor in (0.3, 0.5, 0.7)]
        plain |= {f"nlmeans {one}": lambda video, one=one: peer.run(video, one) for one in strengths}
    return plain


def figures(clip: Clip, noise: Noise) -> list[float]:
    """Return τ against the truth and what is lost in dB, for both measures."""
    noisy, clean = noise.on(clip.frames, 1)
    rms = float(np.sqrt(np.mean(np.square(noisy - clean, dtype=np.float64))))
    footage, found = Footage(noisy), []
    for run in methods(rms).values():
        asked = lambda video, run=run: np.asarray(run(video), np.float32)  # noqa: E731
        error = float(np.mean(np.square(asked(noisy) - clean, dtype=np.float64)))
        found.append((error, footage.held_out(asked), footage.masked(asked)))
    truth, *measures = np.array(found).T
    return [
        figure
        for one in measures
        for figure in (kendalltau(truth, one).statistic, 10 * np.log10(truth[one.argmin()] / truth.min()))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Do measures without truth rank denoisers as the truth does?")
    parser.add_argument("--noise", action="append", metavar="NAME[:KEY=VALUE,...]", help="default: several scenarios")
    parser.add_argument("--clip", default="", metavar="NAME", help="only clips with NAME in their name")
    parser.add_argument("--crop", type=int, metavar="N", help="only the middle N × N pixels")
    arguments = parser.parse_args()
    rows = []
    for text in arguments.noise or SCENARIOS:
        noise = Noise(text, clipped=True)
        clips = [clip for clip in real_clips(gray=noise.name != "demosaiced") if arguments.clip in clip.name]
        every = np.array([figures(cropped(clip, arguments.crop), noise) for clip in clips])
        worst = np.where([True, False, True, False], every.min(axis=0), every.max(axis=0))
        told = [f"{mean:.2f} ({one:.2f})" for mean, one in zip(every.mean(axis=0), worst, strict=True)]
        print(noise.label, every.round(2).tolist(), file=sys.stderr, flush=True)
        rows.append([noise.label, *told])
    names = [f"{measure}: {what}" for measure in ("held-out frames", "masked pixels") for what in ("τ", "lost, dB")]
    print(table(["noise", *names], rows))


if __name__ == "__main__":
    main()
