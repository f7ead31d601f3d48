"""What noise that is not white costs `denoise`, told nothing: against the same clips without what makes it so.

Run as ``python -m benchmarks.hardships [--preset NAME] [--noise NAME:key=value] [--colour] [--crop N]`` with the extra
`bench`. Differences of PSNR in dB, below 0 where it costs, of each clip in the order of its name; 8 bits except for
photon noise, seed 1. For fades it is the worst frame against the same frame with radius 0, for photon noise the lesser
of what radii 0 and 1 lose. Then the PSNR of a clip as a phone makes it: noise of 20 of 255, then H.264 at crf 26.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

import pde_video as pv
from benchmarks.quality import real_clips
from benchmarks.scenarios import cropped
from pde_video.bench.scenarios import Noise
from pde_video.bench.tables import table
from pde_video.denoising.denoise import PRESETS
from pde_video.protocols import Array

Costs = Callable[[Noise, Array, str], float]


def _denoised(noisy: Array, preset: str, rounded: bool = True, **options: int) -> Array:
    """Return a clip denoised, from 8 bits if it was `rounded` to them."""
    if not rounded:
        return pv.denoise(noisy, preset=preset, **options)
    return np.float32(pv.denoise(np.rint(255 * noisy).astype(np.uint8), preset=preset, **options) / 255)


def _frames(reference: Array, result: Array) -> Array:
    """Return the PSNR of each frame."""
    return np.array([pv.psnr(*pair) for pair in zip(reference, result, strict=True)])


def without(text: str) -> Costs:
    """Against the clip with other noise, to which nothing was added."""

    def costs(noise: Noise, clean: Array, preset: str) -> float:
        found = [one.on(clean, 1) for one in (noise, Noise(text, clipped=noise.clipped))]
        with_it, without_it = (_frames(truth, _denoised(noisy, preset)).mean() for noisy, truth in found)
        return float(with_it - without_it)

    return costs


def once(noise: Noise, clean: Array, preset: str) -> float:
    """Against the clip without the repetitions, on the frames of both."""
    noisy, truth = noise.on(clean, 1)
    step = int(noise.options["copies"])
    repeated = _frames(truth[::step], _denoised(noisy, preset)[::step]).mean()
    return float(repeated - _frames(truth[::step], _denoised(noisy[::step], preset)).mean())


def steady(noise: Noise, clean: Array, preset: str) -> float:
    """Against the clip divided by the known gain of each row."""
    noisy, truth = noise.on(clean, 1)
    with np.errstate(all="ignore"):
        gain = np.nanmedian(np.where(truth < 1, truth / clean, np.nan), axis=2, keepdims=True)
    told = gain * _denoised((noisy / gain).astype(np.float32), preset, rounded=False)
    return float((_frames(truth, _denoised(noisy, preset)) - _frames(truth, told)).mean())


def worst_frame(noise: Noise, clean: Array, preset: str) -> float:
    """Against each frame on its own, in the frame that loses most."""
    noisy, truth = noise.on(clean, 1)
    single = _frames(truth, _denoised(noisy, "balanced", radius=0))
    return float((_frames(truth, _denoised(noisy, preset)) - single).min())


def fewer_frames(noise: Noise, clean: Array, preset: str) -> float:
    """Against radii 0 and 1, the better of them."""
    noisy, truth = noise.on(clean, 1)
    alone = [_denoised(noisy, "balanced", noise.clipped, radius=radius) for radius in (0, 1)]
    least = max(_frames(truth, one).mean() for one in alone)
    return float(_frames(truth, _denoised(noisy, preset, noise.clipped)).mean() - least)


COSTS: dict[str, Costs] = {
    "impulse:share=0.01": without("white:sigma=5"),
    "impulse:share=0.05": without("white:sigma=5"),
    "hot": without("white:sigma=5"),
    "rows": without("white:sigma=10"),
    "columns": without("white:sigma=10"),
    "duplicates": once,
    **{f"flicker:amount={amount}": steady for amount in (0.02, 0.05)},
    "bands": steady,
    **{f"fade:sigma={sigma}": worst_frame for sigma in (5, 20)},
    **{f"poisson:peak={peak}": fewer_frames for peak in (1, 2, 5, 10, 30)},
}


def phone(preset: str) -> float:
    """Return the PSNR of the first 60 frames of bikes, with noise of 20 of 255, rounded, then H.264 at crf 26."""
    clean = next(clip for clip in real_clips(gray=False, part=(0, 60)) if "bikes" in clip.name).frames
    noisy, truth = Noise("h264:crf=26").on(clean, 1)
    return float(_frames(truth, _denoised(noisy, preset)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="What noise that is not white costs denoise, told nothing.")
    parser.add_argument("--preset", action="append", default=[], choices=PRESETS, help="default: all")
    parser.add_argument("--noise", action="append", default=[], choices=[*COSTS, "phone"], help="default: all")
    parser.add_argument("--colour", action="store_true", help="colour clips")
    parser.add_argument("--crop", type=int, default=0, metavar="N", help="only the middle N × N pixels")
    arguments = parser.parse_args()
    presets = arguments.preset or list(PRESETS)
    clips = sorted(real_clips(gray=not arguments.colour), key=lambda clip: clip.name)
    clips = [cropped(clip, arguments.crop) if arguments.crop else clip for clip in clips]
    rows = []
    for text in [one for one in arguments.noise or COSTS if one != "phone"]:
        noise = Noise(text, clipped=not text.startswith("poisson"))  # Of few photons, much would be clipped.
        found = [[COSTS[text](noise, clip.frames, preset) for clip in clips] for preset in presets]
        rows.append([noise.label, *(" / ".join(f"{value:+.2f}" for value in one) for one in found)])
        print(*rows[-1], sep=" | ", flush=True)
    heading = " / ".join(clip.name for clip in clips)
    print(f"\n{heading}\n\n{table(['noise', *presets], rows)}")
    if not arguments.noise or "phone" in arguments.noise:
        print("\nphone:", ", ".join(f"{preset} {phone(preset):.2f} dB" for preset in presets))


if __name__ == "__main__":
    main()
