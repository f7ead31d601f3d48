"""The pictures of five pages of docs/: ``python -m benchmarks.pictures [FOLDER]``.

They show frames of the clip bikes: with dust and scratches, what is found of these, and mended; with a plate set in as
it is, and blended, while a lorry passes; and its blue channel at an eighth of its size, enlarged by a spline, refined
by the green one, and as it is; and a detail of bigbuckbunny at half of its size, enlarged by a spline, by
`superresolve` from one frame and from nine, and as it is; and a detail of it half-way between two frames, as a fade, by
`interpolate`, and as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from scipy import ndimage

import pde_video as pv
from benchmarks.inpainting import damage
from benchmarks.quality import real_clips
from pde_video.protocols import Array
from pde_video.tools.pictures import labelled

QUALITY = 85
DETAIL = np.s_[95:215, 280:480]


def frames(first: int, count: int, name: str = "bikes") -> Array:
    clip = next(clip for clip in real_clips(gray=False, part=(first, first + count)) if name in clip.name)
    return np.rint(255 * clip.frames).astype(np.uint8)


def inpainting() -> list[tuple[str, Array]]:
    video = frames(100, 16)
    dust, scratches = damage(*video.shape[:3], scratches=0), damage(*video.shape[:3], seed=5, scratches=3, dust=False)
    video[scratches], video[dust] = 237, 12
    mask = pv.mask(video, detect="dust,scratches")
    return [("damaged", video[7]), ("found", mask[7]), ("mended", pv.inpaint(video, mask)[7])]


def blending() -> list[tuple[str, Array]]:
    video = frames(0, 24)
    rows, columns = np.mgrid[: video.shape[1], : video.shape[2]]
    mask = ((rows - 136) / 80) ** 2 + ((columns - 320) / 120) ** 2 < 1
    plate = np.full(video.shape[1:], 120, np.uint8)
    plate[100:160, 280:360] = 40, 60, 200
    return [
        ("set in as it is", np.where(mask[..., np.newaxis], plate, video[6])),
        ("blended", pv.blend(video, plate[np.newaxis], mask)[6]),
    ]


def fusion() -> list[tuple[str, Array]]:
    frame = frames(110, 2)[:1]
    blue, green = frame[..., 2].astype(np.float32), frame[..., 1:2]
    coarse = blue.reshape(1, 34, 8, 80, 8).mean(axis=(2, 4))
    spline = ndimage.zoom(coarse, (1, 8, 8), order=3, mode="nearest", grid_mode=True)
    shown = [("given", coarse.repeat(8, axis=1).repeat(8, axis=2)), ("spline", spline)]
    shown += [("fuse", pv.fuse(coarse, green)), ("as it is", blue)]
    return [(label, np.clip(np.rint(one[0]), 0, 255).astype(np.uint8)) for label, one in shown]


def superresolution() -> list[tuple[str, Array]]:
    truth = frames(60, 9, "bigbuckbunny").astype(np.float32)
    given = truth.reshape(9, 180, 2, 320, 2, 3).mean(axis=(2, 4))
    shown = [("spline", ndimage.zoom(given[4], (2, 2, 1), order=3, mode="nearest", grid_mode=True))]
    for label, radius in (("one frame", 0), ("nine frames", 4)):
        shown.append((label, pv.superresolve(given, 2, radius=radius)[4]))
    shown.append(("as it is", truth[4]))
    details = ((label, np.clip(np.rint(one[DETAIL]), 0, 255).astype(np.uint8)) for label, one in shown)
    return [(label, one.repeat(2, axis=0).repeat(2, axis=1)) for label, one in details]


def interpolation() -> list[tuple[str, Array]]:
    film = frames(14, 3, "bigbuckbunny")
    first, middle, second = film.astype(np.float32)
    shown = [("a fade", (first + second) / 2), ("interpolate", pv.interpolate(film[::2], factor=2)[1])]
    details = [(label, np.rint(one[50:240, 60:280]).astype(np.uint8)) for label, one in [*shown, ("as it is", middle)]]
    return [(label, one.repeat(2, axis=0).repeat(2, axis=1)) for label, one in details]


def sheet(shown: Sequence[tuple[str, Array]]) -> Array:
    """Return pictures with their labels, two beside each other if they are four."""
    panels = [labelled(np.stack([one] * 3, axis=-1) if one.ndim == 2 else one, label) for label, one in shown]
    rows = [panels] if len(panels) < 4 else [panels[:2], panels[2:]]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description="The pictures of some pages of the documentation.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs", "pictures"), metavar="FOLDER")
    folder = parser.parse_args().folder
    for made in (inpainting, blending, fusion, superresolution, interpolation):
        iio.imwrite(folder / f"{made.__name__}.jpg", sheet(made()), quality=QUALITY)


if __name__ == "__main__":
    main()
