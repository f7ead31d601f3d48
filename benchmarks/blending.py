"""Flicker and seams of `blend`, and of OpenCV's `seamlessClone` frame by frame: the tables of docs/blending.md.

Run as ``python -m benchmarks.blending`` with the extra `bench`. Frames of bikes in colour, and an ellipse of a sixth of
the picture. Flicker is the root mean square change from frame to frame in the insert, of a still scene with a still
foreground, its mirror image. Seams are the mean difference of neighbouring pixels across the rim, of 255, with a grey
plate as the foreground, in the first frames, through which a lorry passes. Then what `stitch` makes of grey clips that
were cut in two, the right part with gain 1.2, offset 10 of 255, vignetting of 20 % in the corners, and turned.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage

import pde_video as pv
from benchmarks.quality import real_clips
from pde_video.bench.tables import table
from pde_video.protocols import Array

Blend = Callable[[Array, Array, Array], Array]
_FRAMES, _SHOWN = 24, (5, 6, 7, 11, 15, 23)


def seamless_clone(video: Array, foreground: Array, mask: Array) -> Array:
    import cv2

    rows, columns = np.nonzero(mask)  # It is centred on the box of the mask.
    middle = (int(columns.min() + columns.max() + 1) // 2, int(rows.min() + rows.max() + 1) // 2)
    white = np.uint8(255 * mask)
    return np.stack([cv2.seamlessClone(foreground, one, white.copy(), middle, cv2.NORMAL_CLONE) for one in video])


METHODS: dict[str, Blend] = {
    "`seamlessClone`": seamless_clone,
    "`blend`": lambda video, foreground, mask: pv.blend(video, foreground[np.newaxis], mask),
    "`causal=True`": lambda video, foreground, mask: pv.blend(video, foreground[np.newaxis], mask, causal=True),
    "`radius=0`": lambda video, foreground, mask: pv.blend(video, foreground[np.newaxis], mask, radius=0),
}


def flicker(video: Array, mask: Array) -> float:
    return float(np.sqrt(np.square(np.diff(video.astype(float), axis=0))[:, mask].mean()))


def seams(video: Array, mask: Array) -> Array:
    """Return the mean difference across the rim in each frame."""
    luma = video.astype(float).mean(axis=3)
    steps = [np.abs(np.diff(luma, axis=axis))[:, np.diff(mask, axis=axis - 1)] for axis in (1, 2)]
    return np.concatenate(steps, axis=1).mean(axis=1)


def cut_in_two(film: Array, turn: float, both: float = 0.15) -> tuple[Array, Array]:
    """Return the left and the right part of a film (T, H, W), which share so much of the width, the latter spoiled."""
    height, width = film.shape[1:]
    first, last = int(width * (0.5 - both / 2)), int(width * (0.5 + both / 2))
    angle = math.radians(turn)
    margin = math.ceil(abs(math.sin(angle)) * max(height, width - first) / 2)  # So that no corner is empty.
    y, x = np.mgrid[margin : height - margin, margin : width - first - margin] - np.array(
        [[[(height - 1) / 2]], [[(width - first - 1) / 2]]]
    )
    places = [
        (height - 1) / 2 + math.cos(angle) * y - math.sin(angle) * x,
        (width + first - 1) / 2 + math.sin(angle) * y + math.cos(angle) * x,
    ]
    shade = 1 - 0.2 * (y * y + x * x) / (y.max() ** 2 + x.max() ** 2)
    right = [(1.2 * ndimage.map_coordinates(one.astype(float), places, order=3) + 10 / 255) * shade for one in film]
    return film[:, :, :last], np.stack(right).astype(np.float32)


def stitched(film: Array, turn: float) -> list[str]:
    """Return the PSNR of the whole that `stitch` makes of both parts, and the time per frame."""
    parts, report = cut_in_two(film, turn), {}
    start = time.perf_counter()
    found = pv.stitch(*parts, report=report)
    milliseconds = 1e3 * (time.perf_counter() - start) / len(film)
    found = found[:, report["row"] :, report["column"] :][:, : film.shape[1], : film.shape[2]]
    true = film[:, : found.shape[1], : found.shape[2]]
    return [f"{pv.psnr(true[found != 0], found[found != 0]):.1f}", f"{milliseconds:.0f}"]


def main() -> None:
    clip = next(clip for clip in real_clips(gray=False, part=(0, _FRAMES)) if "bikes" in clip.name)
    video = np.rint(255 * clip.frames).astype(np.uint8)
    height, width = video.shape[1:3]
    rows, columns = np.mgrid[:height, :width]
    mask = ((rows - height / 2) / 80) ** 2 + ((columns - width / 2) / 120) ** 2 < 1
    rng, still = np.random.default_rng(1), video[0]
    noise, light = (1 + 0.05 * rng.standard_normal((_FRAMES, *size, 1)) for size in ((height, width), (1, 1)))
    flickering = [np.clip(np.rint(still * one), 0, 255).astype(np.uint8) for one in (noise, light)]
    mirrored, plate = np.ascontiguousarray(still[:, ::-1]), np.full_like(still, 120)
    table_of_flicker, table_of_seams = [], []
    for name, method in METHODS.items():
        method(flickering[0][:4], mirrored, mask)
        start = time.perf_counter()
        found = [flicker(method(one, mirrored, mask), mask) for one in flickering]
        milliseconds = 1e3 * (time.perf_counter() - start) / (2 * _FRAMES)
        table_of_flicker.append([name, *(f"{one:.2f}" for one in found), f"{milliseconds:.0f}"])
        table_of_seams.append([name, *(f"{one:.1f}" for one in seams(method(video, plate, mask), mask)[list(_SHOWN)])])
    table_of_seams.append(["the scene", *(f"{one:.1f}" for one in seams(video, mask)[list(_SHOWN)])])
    print(table(["flicker, of 255", "noise of 5 %", "light of ± 5 %", "ms per frame"], table_of_flicker), end="\n\n")
    print(table(["seam in frame", *map(str, _SHOWN)], table_of_seams), end="\n\n")
    rows = [[one.name, f"{turn}°", *stitched(one.frames, turn)] for one in real_clips() for turn in (0, 3)]
    print(table(["stitched", "turn", "PSNR, dB", "ms per frame"], rows))


if __name__ == "__main__":
    main()
