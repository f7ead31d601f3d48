"""What `deflicker` leaves of flicker, against ffmpeg's filter of that name: the table of docs/flicker.md.

Run as ``python -m benchmarks.flicker`` with the extra `bench`. Every frame of the grey clips gets another gain,
exponent and offset, rounded to 8 bits and cut off at black and white. Of ffmpeg's means and lengths, the best for each
line by the truth are taken besides its defaults; those of `deflicker` are the defaults.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage

import pde_video as pv
from benchmarks.quality import real_clips
from pde_video.bench.ffmpeg import Filter
from pde_video.bench.tables import table
from pde_video.protocols import Array

FRAMES = (77, 120)  # No cut in any of the clips.
MODES, LENGTHS = ("am", "gm", "pm", "median"), (5, 15, 31, 63)


def random(film: Array, size: float) -> Array:
    """Return the film with gains and exponents of 1 ± size and offsets of a third of that, drawn evenly."""
    return lit(film, *(size * np.random.default_rng(0).uniform(-1, 1, (3, len(film)))))


def slow(film: Array, size: float) -> Array:
    """Return the film with the same that come and go within 7 to 11 frames."""
    return lit(film, *(size * np.sin(2 * np.pi * np.arange(len(film)) / n + n) for n in (9, 7, 11)))


def flashes(film: Array, size: float) -> Array:
    """Return the film with two frames that are lighter."""
    return lit(film, size * np.isin(np.arange(len(film)), (12, 30)), *np.zeros((2, len(film))))


def lit(film: Array, gain: Array, power: Array, offset: Array) -> Array:
    numbers = zip(film, gain, power, offset, strict=True)
    return np.stack([(1 + a) * one ** (1 + b) + c / 3 for one, a, b, c in numbers])


def patches(film: Array, size: float) -> Array:
    """Return the film with gains that differ from place to place, linear between 3 × 4 points."""
    rng, (height, width) = np.random.default_rng(0), film.shape[1:]
    rows, columns = np.meshgrid(np.linspace(0, 2, height), np.linspace(0, 3, width), indexing="ij")
    gains = (ndimage.map_coordinates(rng.uniform(-1, 1, (3, 4)), [rows, columns], order=1) for _ in film)
    return np.stack([one * (1 + size * gain) for one, gain in zip(film, gains, strict=True)])


CASES: list[tuple[str, Callable[[Array, float], Array], float]] = [
    *((f"random ± {100 * size:.0f} %", random, size) for size in (0.02, 0.05, 0.1, 0.2)),
    ("slow ± 10 %", slow, 0.1),
    ("two flashes, + 60 %", flashes, 0.6),
    ("in patches ± 5 %", patches, 0.05),
    ("in patches ± 10 %", patches, 0.1),
]


def eight_bits(film: Array) -> Array:
    return np.rint(255 * np.clip(film, 0, 1)).astype(np.uint8)


def of_ffmpeg(film: Array, clean: Array) -> tuple[float, float]:
    """Return the PSNR of ffmpeg's filter with its defaults, and the best."""
    filters = (Filter("deflicker", f"deflicker=mode={mode}:size={{0}}", 8, True) for mode in MODES)
    found = [pv.psnr(clean, one(film / 255, n).astype(float)) for one in filters for n in LENGTHS]
    return found[0], max(found)


def main() -> None:
    rows = []
    for clip in real_clips(part=FRAMES):
        clean = eight_bits(clip.frames) / 255
        for name, made, size in CASES:
            film = eight_bits(made(clip.frames, size))
            begun = time.perf_counter()
            found = pv.deflicker(film) / 255
            spent = time.perf_counter() - begun
            tiles = pv.deflicker(film, local=True) / 255
            psnrs = (pv.psnr(clean, film / 255), *of_ffmpeg(film, clean), pv.psnr(clean, found), pv.psnr(clean, tiles))
            rows.append([clip.name, name, *(f"{one:.1f}" for one in psnrs), f"{1e3 * spent / len(film):.0f}"])
    print(table(["clip", "flicker", "with it", "ffmpeg", "ffmpeg, best", "deflicker", "local", "ms per frame"], rows))
    rows = []
    for gray in (True, False):
        for clip in real_clips(gray, part=(0, 120)):
            film = eight_bits(clip.frames)
            changed = [pv.psnr(film / 255, pv.deflicker(film, local=local) / 255) for local in (False, True)]
            rows.append([clip.name, "grey" if gray else "colour", *(f"{one:.1f}" for one in changed)])
    print(table(["clip without flicker", "channels", "deflicker", "local"], rows))


if __name__ == "__main__":
    main()
