"""What `stitch` makes of cameras that turn: a table of docs/blending.md.

Run as ``python -m benchmarks.panning`` with the extra `bench`. Two cameras, whose focal length is 1.2 times the width
of a grey clip, turn before each of its frames as before a wall, the first steadily to the right, the other to the left,
both with some tilt and roll. The other has gain 1.2, offset 10 of 255 and vignetting of 20 % in the corners. What both
together see is compared with what the first would see if it saw more.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
from scipy import ndimage

import pde_video as pv
from benchmarks.quality import real_clips
from pde_video.bench.tables import table
from pde_video.errors import InputError
from pde_video.protocols import Array

_FOCAL = 1.2  # In widths of the clip.
_HIGH, _WIDE = 0.8, 0.6  # Shares of the clip that a camera sees.
_CASES = [  # Degrees per frame, noise in 255ths, rise of the gain per frame.
    ("0.15° a frame", 0.15, 0, 0.0),
    ("0.6° a frame", 0.6, 0, 0.0),
    ("0.15° a frame, noise 2 of 255", 0.15, 2, 0.0),
    ("0.3° a frame, 2 % lighter with each", 0.3, 0, 0.02),
]


def turned(pan: float, tilt: float, roll: float) -> Array:
    """Return the rotation of a camera by angles in degrees."""
    (a, b, c), (x, y, z) = (np.radians([pan, tilt, roll]), np.zeros((3, 3, 3)))
    for axis, angle, (i, j) in ((y, a, (2, 0)), (x, b, (1, 2)), (z, c, (0, 1))):
        axis[:] = np.eye(3)
        axis[[i, j], [i, j]] = math.cos(angle)
        axis[j, i], axis[i, j] = math.sin(angle), -math.sin(angle)
    return np.asarray(y @ x @ z)


def view(picture: Array, rotation: Array, size: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> Array:
    """Return what a turned camera with the same middle and focal length sees, from a corner relative to its picture."""
    focal = _FOCAL * picture.shape[1]
    seen = round(_HIGH * picture.shape[0]), round(_WIDE * picture.shape[1])
    begins = [at - (n - 1) / 2 for at, n in zip(corner, seen, strict=True)]
    rows, columns = np.indices(size) + np.reshape(begins, (2, 1, 1))
    x, y, z = np.tensordot(rotation, np.stack([columns, rows, np.full(size, focal)]), 1)
    middle = [(n - 1) / 2 for n in picture.shape]
    places = [middle[0] + focal * y / z, middle[1] + focal * x / z]
    return ndimage.map_coordinates(picture, places, order=3, mode="nearest")


def rotations(width: int, speed: float, frames: int) -> Iterator[tuple[Array, Array]]:
    """Yield the rotations of both cameras in every frame."""
    apart = math.degrees(math.atan((1 - _WIDE) / 2 / _FOCAL)) - 1
    for t in range(frames):
        first = turned(speed * t - apart, 0.3 * math.sin(t / 3), 0.5 * math.sin(t / 4))
        yield first, turned(apart - speed * t / 2, -0.3 * math.sin(t / 2), 1 - 0.3 * math.sin(t / 5))


def stitched(film: Array, speed: float, noise: float, rise: float) -> list[str]:
    """Return the median and the least PSNR of a frame, and the time per frame."""
    size = round(_HIGH * film.shape[1]), round(_WIDE * film.shape[2])
    y, x = (np.linspace(-1, 1, n) for n in size)
    corners = 1 - 0.2 * (y[:, np.newaxis] ** 2 + x**2) / 2
    rng, ways = np.random.default_rng(0), list(rotations(film.shape[2], speed, len(film)))
    first, second = (np.stack([view(one, way[k], size) for one, way in zip(film, ways, strict=True)]) for k in (0, 1))
    gain = 1.2 * (1 + rise * np.arange(len(film))[:, np.newaxis, np.newaxis])
    first, second = (
        one + noise / 255 * rng.standard_normal(one.shape) for one in (first, (gain * second + 10 / 255) * corners)
    )
    report: dict[str, float] = {}
    begun = time.perf_counter()
    try:
        found = pv.stitch(first, second, report=report)
    except InputError:
        return ["refused", "", ""]
    spent, quality = time.perf_counter() - begun, []
    corner = -int(report["row"]), -int(report["column"])
    for one, frame, (way, _) in zip(film, found, ways, strict=True):
        shown = frame != 0
        quality.append(pv.psnr(view(one, way, frame.shape, corner)[shown], frame[shown]))
    return [f"{np.median(quality):.1f}", f"{min(quality):.1f}", f"{1e3 * spent / len(film):.0f}"]


def main() -> None:
    clips = [(clip.name, clip.frames.astype(float)) for clip in real_clips()]
    rows = [[name, case, *stitched(film, *numbers)] for name, film in clips for case, *numbers in _CASES]
    print(table(["turning", "case", "PSNR, dB", "least", "ms per frame"], rows))


if __name__ == "__main__":
    main()
