"""What `stabilize` leaves of a known shake, against ffmpeg's vidstab: the table of docs/stabilization.md.

Run as ``python -m benchmarks.shake`` with the extra `bench`. Of grey clips, and of their first frames alone, a window
is shown that is shifted and turned about its middle in every frame. Each result is registered to the frame of the clip,
and its jitter is how far the corners and the middle are from their mean over 9 frames: root mean square, and the 95 %
quantile. Of clips that move by themselves, what a method does to the clip without the shake is subtracted before. Both
move frames onto black; vidstab has the same length of smoothing, and neither zooms.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

import pde_video as pv
from benchmarks.quality import real_clips
from pde_video.bench.ffmpeg import Filter
from pde_video.bench.tables import table
from pde_video.protocols import Array
from pde_video.restoration.camera_motion import Similarity, camera_motion

FRAMES = (77, 120)  # No cut in any of the clips.
MARGIN = 24  # Pixels around the window.
CASES = [("jitter", 0.5, 0.1), ("jitter", 2.0, 0.3), ("jitter", 6.0, 1.0), ("walk", 2.0, 0.3)]  # Pixels, degrees.


def path(kind: str, shift: float, turn: float, count: int) -> list[Similarity]:
    """Return where the window is in every frame: by independent normal numbers, or by half of their sums."""
    drawn = np.random.default_rng(0).standard_normal((count, 3))
    drawn = np.cumsum(drawn, axis=0) / 2 if kind == "walk" else drawn
    return [Similarity(np.exp(1j * np.radians(turn) * c), shift * complex(a, b)) for a, b, c in drawn]


def shown(film: Array, ways: list[Similarity]) -> Array:
    """Return the window of each frame, by splines of degree 5, rounded to 8 bits."""
    size = film.shape[1] - 2 * MARGIN, film.shape[2] - 2 * MARGIN
    places = (np.indices(size) + MARGIN + way.flow(size) for way in ways)
    found = [ndimage.map_coordinates(one, at, order=5) for one, at in zip(film, places, strict=True)]
    return np.rint(255 * np.clip(found, 0, 1)).astype(np.uint8)


def vidstab(film: Array) -> Array:
    with tempfile.TemporaryDirectory() as folder:
        moves = Path(folder, "moves.trf")
        detect = f"vidstabdetect=shakiness=8:accuracy=15:result={moves}"
        move = f"vidstabtransform=input={moves}:smoothing={{0}}:crop=black:optzoom=0:interpol=bicubic"
        for text in (detect, move):
            found = Filter("vidstab", text, 8, False)(film / 255, 15)
    return np.rint(255 * found).astype(np.uint8)


def ours(film: Array) -> Array:
    found: Array = pv.stabilize(film, borders="black")
    return found


def places(film: Array, clean: Array) -> Array:
    """Return where the corners and the middle of every frame are in the clip, as complex numbers (T, 5)."""
    (height, width), found = film.shape[1:], []
    points = [0j, *(complex(s * width / 2, t * height / 2) for s in (-1, 1) for t in (-1, 1))]
    rim = np.s_[MARGIN // 2 : -(MARGIN // 2), MARGIN // 2 : -(MARGIN // 2)]  # Without most of what is black.
    for one, whole in zip(film, clean[:, MARGIN:-MARGIN, MARGIN:-MARGIN], strict=True):
        way = camera_motion((one / 255)[rim], whole.astype(float)[rim]) or Similarity()
        found.append([way.turn * z + way.shift for z in points])
    return np.array(found)


def jitter(at: Array) -> str:
    """Return the root-mean-square jitter, and that of 95 % of places."""
    smooth = ndimage.uniform_filter1d(at.real, 9, axis=0) + 1j * ndimage.uniform_filter1d(at.imag, 9, axis=0)
    apart = np.abs(at - smooth)[4:-4]
    return f"{np.sqrt(np.square(apart).mean()):.3f} ({np.quantile(apart, 0.95):.3f})"


def main() -> None:
    rows = []
    methods: list[Callable[[Array], Array]] = [lambda film: film, vidstab, ours]
    for clip in real_clips(part=FRAMES):
        still = np.stack([clip.frames[0]] * len(clip.frames))
        for name, film in ((f"{clip.name}, one frame", still), (clip.name, clip.frames)):
            steady = [Similarity()] * len(film)
            alone = [places(method(shown(film, steady)), film) for method in methods]
            for kind, shift, turn in CASES:
                shaken, left, spent = shown(film, path(kind, shift, turn, len(film))), [], 0.0
                for method, own in zip(methods, alone, strict=True):
                    begun = time.perf_counter()
                    found = method(shaken)
                    spent = time.perf_counter() - begun
                    left.append(jitter(places(found, film) - own))
                rows.append([name, f"{kind}, {shift:g} px, {turn:g}°", *left, f"{1e3 * spent / len(film):.0f}"])
    print(table(["clip", "shake", "with it", "vidstab", "stabilize", "ms per frame"], rows))


if __name__ == "__main__":
    main()
