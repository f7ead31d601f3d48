"""What is left of noise that neighbouring pixels share, by `denoise` told nothing, and by others at their best.

Run as ``python -m benchmarks.scenarios [--gray] [--noise NAME:key=value] [--method NAME] [--clip NAME] [--crop N]``
with the extra `bench`, and with bm3d where its licence allows. Every scenario of `pde-video bench` can be given; the
default are the correlated ones. `balanced` is also told the true spectrum, and the best σ of several. Others too have
the best strength for each clip and noise, by comparison with the reference. Slow ones are measured on every fourth
frame, and their strength is chosen on the middle 128 × 128 pixels of these.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy.fft import dctn

import pde_video as pv
from benchmarks.quality import real_clips
from pde_video.arrays.colours import opponent
from pde_video.bench.clips import Clip
from pde_video.bench.measuring import middle
from pde_video.bench.methods import METHODS, OURS, Method
from pde_video.bench.scenarios import Noise
from pde_video.bench.tables import table
from pde_video.denoising.denoise import PRESETS
from pde_video.protocols import Array

CORRELATED = (
    *(f"blurred:radius={radius}" for radius in (0.5, 0.7, 1.0)),
    "enlarged:factor=1.5",
    "demosaiced",
    "jpeg:quality=75",
    *(f"h264:crf={crf}" for crf in (18, 23, 28)),
)
_MULTIPLES = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8)  # Of σ told, and of what is best on white noise.
_PEERS = ("ffmpeg nlmeans", "BM3D, frame by frame")
_EVERY = 4  # Frames of which slow methods, which work frame by frame, are given one.


def psnr(clean: Array, video: Any) -> float:
    return float(np.mean([pv.psnr(*pair) for pair in zip(clean, np.asarray(video, np.float32), strict=True)]))


def told(video: Array, sigma: float) -> Any:
    return pv.denoise(video, sigma=sigma)


def true_noise(noisy: Array, clean: Array) -> pv.NoiseEstimate:
    """Return what denoisers have to estimate: the level of the noise, in colour planes also, and its spectrum."""
    planes = np.stack([opponent(np.atleast_3d(frame)) for frame in noisy.astype(np.float64) - clean])
    frames, channels, height, width = planes.shape
    cut = planes[:, :, : height // 8 * 8, : width // 8 * 8].reshape(frames, channels, height // 8, 8, width // 8, 8)
    variances = np.square(dctn(cut, norm="ortho", axes=(3, 5))).mean(axis=(0, 2, 4)).reshape(channels, 64)
    levels = variances.mean(axis=1)
    return pv.NoiseEstimate(
        slope=0.0,
        offset=float(levels.mean()),
        colours=tuple(np.sqrt(levels / levels.mean()).tolist()) if channels == 3 else None,
        spectra=(variances / levels[:, np.newaxis]).tolist(),
    )


def methods(more: list[Method], names: list[str]) -> list[Method]:
    """Return the presets, `balanced` told σ, more of ours, and peers with a wider range of strengths than usual."""
    found = [Method(preset, OURS, partial(pv.denoise, preset=preset)) for preset in PRESETS]
    found.append(Method("balanced, σ told", OURS, told, _MULTIPLES))
    found += more
    for peer in METHODS:
        if peer.name in _PEERS and not peer.missing():
            usual = peer.factors[len(peer.factors) // 2]
            found.append(replace(peer, factors=tuple(usual * multiple for multiple in _MULTIPLES[2:6])))
    return [method for method in found if not names or any(part in method.name for part in names)]


def cropped(clip: Clip, side: int | None) -> Clip:
    if side is None:
        return clip
    top, left = (max(0, (n - side) // 2) for n in clip.frames.shape[1:3])
    return replace(clip, frames=np.ascontiguousarray(clip.frames[:, top : top + side, left : left + side]))


def reached(method: Method, noisy: Array, clean: Array, rms: float) -> tuple[float, float]:
    """Return the best PSNR, and the strength as a multiple of the noise; slow methods find it on the middle."""
    if not method.factors:
        return psnr(clean, method.run(noisy)), 0.0
    if method.slow:
        noisy, clean = noisy[::_EVERY], clean[::_EVERY]
    part, truth = (middle(noisy), middle(clean)) if method.slow else (noisy, clean)
    strengths = {min(method.white * factor * rms, method.most) for factor in method.factors}
    tried = {strength: psnr(truth, method.run(part, strength)) for strength in strengths}
    best = max(tried, key=lambda strength: tried[strength])
    return psnr(clean, method.run(noisy, best)) if method.slow else tried[best], best / (method.white * rms)


def row(noise: Noise, clip: Clip, names: list[str]) -> dict[str, str]:
    noisy, clean = noise.on(clip.frames, 1)
    rms = float(np.sqrt(np.mean(np.square(noisy - clean, dtype=np.float64))))
    cells = {"noisy": f"{psnr(clean, noisy):.2f}"}
    spectrum = Method("balanced, spectrum told", OURS, partial(pv.denoise, noise=true_noise(noisy, clean)))
    for method in methods([spectrum], names):
        value, multiple = reached(method, noisy, clean, rms)
        cells[method.name] = f"{value:.2f}" + f" ({multiple:.2g} σ)" * (method.run is told)
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description="What is left of noise that neighbouring pixels share.")
    several = partial(parser.add_argument, action="append", default=[])
    several("--noise", metavar="NAME[:KEY=VALUE,...]", help="scenarios (default: the correlated ones)")
    several("--method", metavar="NAME", help="only methods with NAME in their name")
    several("--clip", metavar="NAME", help="only clips with NAME in their name")
    parser.add_argument("--crop", type=int, metavar="N", help="only the middle N × N pixels")
    parser.add_argument("--gray", action="store_true", help="grey clips, without scenarios that need colour")
    arguments = parser.parse_args()
    clips = [
        cropped(clip, arguments.crop)
        for clip in real_clips(gray=arguments.gray)
        if not arguments.clip or any(part in clip.name for part in arguments.clip)
    ]
    for text in arguments.noise or CORRELATED:
        noise = Noise(text, clipped=True)
        if arguments.gray and noise.name == "demosaiced":
            continue
        rows = {clip.name: row(noise, clip, arguments.method) for clip in clips}
        header = list(next(iter(rows.values())))
        print(f"{noise.label}, {'grey' if arguments.gray else 'colour'}\n")
        lines = [[name, *cells.values()] for name, cells in rows.items()]
        print(table(["clip", *header], lines), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
