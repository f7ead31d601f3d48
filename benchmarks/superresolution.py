"""What `superresolve` reaches beside bicubic and Lanczos enlargement: the tables of docs/superresolution.md.

Run as ``python -m benchmarks.superresolution`` with the extra `bench`. The clips are those of `benchmarks.quality`, in
grey, made coarse by the means over blocks, without a blur and after a Gaussian of 0.35 coarse pixels (by SciPy, not by
this library). Errors are those of all frames of a clip. Then frames on each side, a blur that is taken for another one,
noise, and time: that of the processor for each frame of the result.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from scipy import ndimage

import pde_video as pv
from benchmarks.quality import real_clips
from pde_video.bench.measuring import processor_time
from pde_video.bench.tables import table
from pde_video.protocols import Array

BLUR = 0.35  # In coarse pixels.
FACTORS = (2, 3, 4)
RADII = (0, 1, 2, 4, 8)
NOISES = (2, 5, 10)  # Of 255.
Enlarge = Callable[[Array, int], Array]


def coarse(fine: Array, factor: int, blur: float) -> tuple[Array, Array]:
    """Return a video (T, H, W) without the rest of a division of its sides, and what is given of it."""
    height, width = (n // factor for n in fine.shape[1:])
    fine = fine[:, : factor * height, : factor * width].astype(np.float64)
    blurred = ndimage.gaussian_filter(fine, (0, factor * blur, factor * blur), mode="reflect") if blur else fine
    given = blurred.reshape(len(fine), height, factor, width, factor).mean(axis=(2, 4))
    return fine, given.astype(np.float32)


def by_opencv(interpolation: int, given: Array, factor: int) -> Array:
    import cv2

    size = (given.shape[2] * factor, given.shape[1] * factor)
    return np.stack([cv2.resize(frame, size, interpolation=interpolation) for frame in given])


def spline(given: Array, factor: int) -> Array:
    return np.stack([ndimage.zoom(frame, factor, order=3, mode="nearest", grid_mode=True) for frame in given])


def psnr(found: Array, truth: Array) -> float:
    return -10 * math.log10(float(np.square(found - truth).mean()))


def ways(blur: float | str) -> dict[str, Enlarge]:
    import cv2

    def ours(given: Array, factor: int, radius: int) -> Array:
        return np.asarray(pv.superresolve(given, factor, blur=blur, radius=radius))

    return {
        "bicubic": partial(by_opencv, cv2.INTER_CUBIC),
        "Lanczos": partial(by_opencv, cv2.INTER_LANCZOS4),
        "cubic spline": spline,
        "one frame": partial(ours, radius=0),
        "nine frames": partial(ours, radius=4),
    }


def main_table(factor: int, blur: float) -> Iterator[list[str]]:
    """Yield rows of PSNR, and their means."""
    known = blur or "box"
    rows = []
    for clip in real_clips():
        truth, given = coarse(clip.frames, factor, blur)
        rows.append([psnr(way(given, factor), truth) for way in ways(known).values()])
        yield [f"× {factor}, {known}, {clip.name}", *(f"{value:.2f}" for value in rows[-1])]
    yield [f"× {factor}, {known}, mean", *(f"{value:.2f}" for value in np.mean(rows, axis=0))]


def by_radius() -> Iterator[list[str]]:
    for clip in real_clips():
        truth, given = coarse(clip.frames, 2, BLUR)
        row = [clip.name]
        for radius in RADII:
            began = processor_time()
            found = pv.superresolve(given, 2, blur=BLUR, radius=radius)
            spent = 1e3 * (processor_time() - began) / len(given)
            row.append(f"{psnr(found, truth):.2f}, {spent:.0f} ms")
        yield row


def by_wrong_blur() -> Iterator[list[str]]:
    assumed: tuple[float | str, ...] = ("box", 0.2, 0.35, 0.5)
    for blur in (0.0, BLUR):
        for clip in real_clips():
            truth, given = coarse(clip.frames, 2, blur)
            found = (psnr(pv.superresolve(given, 2, blur=one), truth) for one in assumed)
            bicubic = psnr(ways("box")["bicubic"](given, 2), truth)
            yield [f"{blur or 'box'}, {clip.name}", f"{bicubic:.2f}", *(f"{value:.2f}" for value in found)]


def by_noise() -> Iterator[list[str]]:
    for noise in NOISES:
        for clip in real_clips():
            truth, given = coarse(clip.frames, 2, BLUR)
            given += np.random.default_rng(1).normal(0, noise / 255, given.shape).astype(np.float32)
            found = [psnr(ways("box")["bicubic"](given, 2), truth)]
            for options in ({}, {"radius": 0, "noise": "auto"}, {"noise": "auto"}):
                found.append(psnr(pv.superresolve(given, 2, blur=BLUR, **options), truth))
            yield [f"σ = {noise}, {clip.name}", *(f"{value:.2f}" for value in found)]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for factor in FACTORS:
        for blur in (0.0, BLUR):
            print(f"\n{table(['PSNR in dB', *ways('box')], main_table(factor, blur))}", flush=True)
    print(f"\n{table(['× 2, 0.35', *(f'radius {n}' for n in RADII)], by_radius())}", flush=True)
    print(f"\n{table(['× 2, made by', 'bicubic', 'box', '0.2', '0.35', '0.5'], by_wrong_blur())}", flush=True)
    noisy = ["× 2, 0.35", "bicubic", "noise 0", 'one frame, noise "auto"', 'nine frames, noise "auto"']
    print(f"\n{table(noisy, by_noise())}", flush=True)


if __name__ == "__main__":
    main()
