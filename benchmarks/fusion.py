"""What `fuse` reaches, and others at their best: the tables of docs/fusion.md.

Run as ``python -m benchmarks.fusion`` with the extra `bench`. The disparity of scikit-image's stereo pair, by its left
picture, and the blue channel of the clips by their green one, of which the means over 4 × 4 or 8 × 8 pixels are given.
Peers have the best of several settings for each row, by comparison with the truth. Disparity is known in 93 % of the
pixels, on which errors are measured; means are over those, and blocks without any get the nearest. Then, what is
reached where 2 to 50 % of the pixels are given, by chance. Then the same in the first frames of the clips, and in a
depth video in which something approaches, with what is known in the frames around (`radius`) and without.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

import pde_video as pv
from benchmarks.quality import real_clips
from pde_video.bench.tables import table
from pde_video.protocols import Array

FACTORS = (4, 8)
KNOWN = (0.02, 0.05, 0.2, 0.5)
RADII = (0, 2, 4)
FRAMES = 12
NOISE = 5.0  # Of what is given, of 255.
Refine = Callable[..., Array]


class Scene(NamedTuple):
    """A picture to be refined (h, w), its guide (H, W, C) of 255, the truth (H, W), and where that is known."""

    name: str
    coarse: Array
    guide: Array
    truth: Array
    known: Array


def block_means(picture: Array, factor: int) -> Array:
    height, width = (n // factor for n in picture.shape)
    return picture.reshape(height, factor, width, factor).mean(axis=(1, 3))


def scenes(factor: int) -> Iterator[Scene]:
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    guide = next(iter(pv.read(folder / "motorcycle_left.png"))).astype(np.float32)
    with np.load(folder / "motorcycle_disp.npz") as file:
        disparity = file["arr_0"].astype(np.float32)
    known = np.isfinite(disparity)
    yield _scene("disparity", np.where(known, disparity, 0), guide, known, factor)
    for clip in real_clips(gray=False):
        frame = 255 * clip.frames[0]
        everywhere = np.ones(frame.shape[:2], bool)
        yield _scene(f"{clip.name}, blue", frame[..., 2], frame[..., 1:2], everywhere, factor)


def _scene(name: str, truth: Array, guide: Array, known: Array, factor: int) -> Scene:
    height, width = (n // factor * factor for n in truth.shape)
    truth, guide, known = (one[:height, :width] for one in (truth, guide, known))
    share = block_means(known.astype(np.float32), factor)
    coarse = block_means(truth * known, factor) / np.maximum(share, 1 / factor**2)
    nearest = ndimage.distance_transform_edt(share == 0, return_distances=False, return_indices=True)
    return Scene(name, coarse[tuple(nearest)].astype(np.float32), guide, truth, known)


def enlarged(order: int) -> Refine:
    import cv2

    def refine(scene: Scene) -> Array:
        return np.asarray(cv2.resize(scene.coarse, scene.truth.shape[::-1], interpolation=order))

    return refine


def guided_filter(scene: Scene, radius: int, eps: float) -> Array:
    import cv2

    bicubic = enlarged(cv2.INTER_CUBIC)(scene)
    return np.asarray(cv2.ximgproc.guidedFilter(scene.guide, bicubic, radius, eps))


def joint_bilateral(scene: Scene, sigma: float, width: float) -> Array:
    import cv2

    bicubic = enlarged(cv2.INTER_CUBIC)(scene)
    guide = scene.guide if scene.guide.shape[2] == 3 else scene.guide[..., 0]
    return np.asarray(cv2.ximgproc.jointBilateralFilter(guide, bicubic, -1, sigma, width))


def fused(scene: Scene) -> Array:
    return np.asarray(pv.fuse(scene.coarse[np.newaxis], scene.guide[np.newaxis])[0])


def methods() -> dict[str, tuple[Refine, list[dict[str, Any]]]]:
    """Return the methods with their settings to choose from."""
    import cv2

    def settings(**some: tuple[float, ...]) -> list[dict[str, Any]]:
        return [dict(zip(some, values, strict=True)) for values in itertools.product(*some.values())]

    return {
        "nearest": (enlarged(cv2.INTER_NEAREST), [{}]),
        "bilinear": (enlarged(cv2.INTER_LINEAR), [{}]),
        "bicubic": (enlarged(cv2.INTER_CUBIC), [{}]),
        "guided filter": (guided_filter, settings(radius=(2, 3, 4, 6, 8), eps=(1.0, 10.0, 50.0, 200.0, 1000.0))),
        "joint bilateral": (joint_bilateral, settings(sigma=(3.0, 6.0, 10.0, 16.0, 25.0), width=(2.0, 3.0, 4.0, 6.0))),
        "`fuse`": (fused, [{}]),
    }


def completions() -> list[list[str]]:
    """Return rows of errors where a share of the pixels is given, by the heat equation, along edges, and by `fuse`."""
    rows = []
    for scene in scenes(1):
        for share in KNOWN:
            mask = (np.random.default_rng(1).random(scene.truth.shape) >= share) | ~scene.known
            video = np.where(mask, np.float32(0), scene.truth)[np.newaxis]
            filled = [pv.inpaint(video, mask, method=method)[0] for method in ("heat", "eed")]
            filled.append(pv.fuse(video, scene.guide[np.newaxis], mask=mask)[0])
            errors = [np.sqrt(np.square(one - scene.truth)[mask & scene.known].mean()) for one in filled]
            rows.append([f"{scene.name}, {share:.0%}", *(f"{one:.2f}" for one in errors)])
    return rows


def approaching() -> tuple[Array, Array]:
    """Return depth (T, H, W) in which a slanted plane comes nearer by 3 % a frame, and a guide with texture."""
    rng = np.random.default_rng(5)
    near, far = (ndimage.gaussian_filter(rng.standard_normal((544, 800)), 2.5) for _ in range(2))
    rows, columns = np.mgrid[:272, :400].astype(float)
    depth, guide = [], []
    for k in range(FRAMES):
        y, x = (rows - 136) * 0.97**k, (columns - 200) * 0.97**k
        inside = (np.abs(y) < 60) & (np.abs(x) < 80)
        texture = ndimage.map_coordinates(near, [1.5 * y + 272, 1.5 * x + 400], order=3)
        depth.append(np.where(inside, 100 * 0.97**k + 0.15 * x, 200 + 0.1 * columns))
        guide.append(np.where(inside, 150 + 12 / near.std() * texture, 90 + 12 / far.std() * far[:272, :400]))
    return np.stack(depth).astype(np.float32), np.stack(guide).astype(np.float32)


def along_motion() -> Iterator[list[str]]:
    """Yield rows of errors where other pixels are given in each frame, without other frames and with them."""
    videos = {"approaching plane": approaching()}
    for clip in real_clips(gray=False):
        frames = 255 * clip.frames[:FRAMES]
        videos[f"{clip.name}, blue"] = frames[..., 2], frames[..., 1]
    for (name, (truth, guide)), noise, share in itertools.product(videos.items(), (0.0, NOISE), KNOWN[:3]):
        rng = np.random.default_rng(1)
        mask = rng.random(truth.shape) >= share
        given = np.where(mask, 0, truth + noise * rng.standard_normal(truth.shape)).astype(np.float32)
        row = [f"{name}{', σ = 5' * bool(noise)}, {share:.0%}"]
        for radius in RADII:
            began = time.perf_counter()
            found = pv.fuse(given, guide, mask=mask, radius=radius)
            spent = 1e3 * (time.perf_counter() - began) / len(truth)
            row.append(f"{np.sqrt(np.square(found - truth)[mask].mean()):.2f}, {spent:.0f} ms")
        yield row


def error(found: Array, scene: Scene) -> float:
    return float(np.sqrt(np.square(found - scene.truth)[scene.known].mean()))


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    ours = methods()
    rows = []
    for factor in FACTORS:
        for scene in scenes(factor):
            row = [f"{scene.name}, × {factor}"]
            for refine, settings in ours.values():
                least, best = min(((error(refine(scene, **one), scene), one) for one in settings), key=lambda x: x[0])
                began = time.perf_counter()
                refine(scene, **best)
                spent = 1e3 * (time.perf_counter() - began)
                chosen = f" ({', '.join(f'{value:g}' for value in best.values())})" if best else ""
                row.append(f"{least:.2f}{chosen}, {spent:.0f} ms")
            rows.append(row)
            print(*row, sep=" | ", flush=True)
    print(f"\nRoot-mean-square error, of 255 for channels; in brackets the settings.\n\n{table(['', *ours], rows)}")
    print(f"\n{table(['given', 'heat', 'eed', '`fuse`'], completions())}")
    print(f"\n{table(['given', *(f'radius {n}' for n in RADII)], list(along_motion()))}")


if __name__ == "__main__":
    main()
