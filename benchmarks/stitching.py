"""How often `stitch` finds the place of the other video: the table of docs/blending.md.

Run as ``python -m benchmarks.stitching`` with the extra `bench`. Six parts of each grey clip, the whole, its middle and
its quarters, are cut in two from left to right and from top to bottom. The second piece shares some of itself with the
first, has gain 1.2 and offset 10 of 255, and is turned by 0°, 2° or −5°, without noise and with some of 2 of 255 in
both. Right are corners within a pixel, near within five; a gap leaves nothing that both see.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from benchmarks.quality import real_clips
from pde_video.bench.tables import table
from pde_video.errors import InputError
from pde_video.protocols import Array
from pde_video.restoration.stitch import _fit

_BOTH = {"gap": -0.2, "6 %": 0.06, "10 %": 0.1, "20 %": 0.2, "40 %": 0.4}
_TURNS, _NOISES = (0, 2, -5), (0.0, 2 / 255)
_FRAMES = 4
_OUTCOMES = ("right", "near", "wrong", "refused")


def parts(film: Array) -> Iterator[Array]:
    """Yield the whole of a film (T, H, W), its middle, and its quarters, and all of them with sides exchanged."""
    for one in (film, film.swapaxes(1, 2)):
        high, wide = (n // 2 for n in one.shape[1:])
        yield one
        yield one[:, high // 2 : high // 2 + high, wide // 2 : wide // 2 + wide]
        yield from (one[:, i : i + high, j : j + wide] for i in (0, high) for j in (0, wide))


def cut(film: Array, both: float, turn: float) -> tuple[Array, Array, Array]:
    """Return two pieces, of which the second shares so much with the first, and the places of its corners in that."""
    height, width = film.shape[1:]
    c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    margin = math.ceil(abs(s) * max(height, width / 2) / 2) + 1  # So that no corner is empty.
    size = (height - 2 * margin, width // 2 - 2 * margin)
    ends = width - 2 * margin - round((1 - both) * size[1])
    y, x = np.mgrid[: size[0], : size[1]] - (np.array(size).reshape(2, 1, 1) - 1) / 2
    middle = ((height - 1) / 2, width - margin - (size[1] + 1) / 2)
    places = np.stack([middle[0] + c * y - s * x, middle[1] + s * y + c * x])
    second = np.stack([ndimage.map_coordinates(one.astype(float), places, order=3) for one in film])
    return film[:, :, : ends + margin], second * 1.2 + 10 / 255, places[:, :: size[0] - 1, :: size[1] - 1]


def outcome(film: Array, both: float, turn: float, sigma: float) -> str:
    """Return whether the place of the other piece is right, near, wrong, or refused."""
    first, second, corners = cut(film, both, turn)
    rng = np.random.default_rng(0)
    first, second = (one + sigma * rng.standard_normal(one.shape) for one in (first, second))
    try:
        fit = _fit(list(zip(first[:, np.newaxis], second[:, np.newaxis], strict=True)), "other")
    except InputError:
        return "refused"
    ends = np.meshgrid(*((0.0, n - 1.0) for n in second.shape[1:]), indexing="ij")
    error = np.hypot(*(np.stack(fit.homography.back(*ends)) - corners)).max()
    return "wrong" if both < 0 or error > 5 else "near" if error > 1 else "right"


def main() -> None:
    parser = argparse.ArgumentParser(description="How often `stitch` finds the place of the other video.")
    parser.add_argument("--clip", default="", metavar="TEXT", help="only those with TEXT in the name")
    chosen, rows = parser.parse_args().clip, []
    for clip in real_clips(part=(0, _FRAMES)):
        for label, both in _BOTH.items():
            tried = [(one, turn, sigma) for one in parts(clip.frames) for turn in _TURNS for sigma in _NOISES]
            counts = Counter(outcome(one, both, turn, sigma) for one, turn, sigma in tried if chosen in clip.name)
            rows += [[clip.name, label, *(str(counts[key]) for key in _OUTCOMES)]] if counts else []
    print(table(["clip", "in both", *_OUTCOMES], rows))


if __name__ == "__main__":
    main()
