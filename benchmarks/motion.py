"""The optical flow against OpenCV's DIS, as `denoise` uses it: where it leads, in clean frames, and how long it takes.

Run as ``python -m benchmarks.motion [--repeats N] [--json FILE]`` with the extra `bench`. The clips are those of
`benchmarks.quality`, in grey, with Gaussian noise of σ = 20/255. Both flows see the same pictures: halved and
smoothed as the preset "balanced" does it, DIS (preset medium) rounded to 8 bits. Then the clean frame t + k, halved, is
warped by the flow and compared with the clean frame t. Times are those of the processor, one thread, the least.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

import pde_video as pv
from benchmarks import measuring
from benchmarks.quality import real_clips
from pde_video.bench.tables import table
from pde_video.denoising.along_motion import PASSES, Picture, flow, prepared
from pde_video.denoising.uniform_noise import Noise
from pde_video.motion import noisy_flow
from pde_video.motion.averaging import halved, padded, warped
from pde_video.motion.noisy_flow import flow_between, pyramid

SIGMA = 20 / 255
DISTANCES = (1, 2, 4)
SMOOTHNESS = PASSES["balanced"][0].smoothness

# What is changed in `pde_video.motion.noisy_flow` to leave out a piece.
WITHOUT: dict[str, dict[str, Any]] = {
    "nothing": {},
    "coarse-to-fine": {"_COARSEST": 10**6},
    "a second linearisation": {"_WARPS": 1},
    "more smoothness on fine levels": {"_RELAXED": 1.0},
    "windows": {"_WINDOW": np.ones(1)},
    "the robust data term": {"_C": 1e6},
    "flow edges": {"_LAMBDA": 1e6},
}

Flow = Callable[[Picture, Picture], np.ndarray]


def still(here: Picture, there: Picture) -> np.ndarray:
    return np.zeros((2, *here.levels[0].shape), np.float32)


def raw(here: Picture, there: Picture) -> np.ndarray:
    return flow_between(here.levels, there.levels, SMOOTHNESS)


def built(here: Picture, there: Picture) -> np.ndarray:
    """Return the flow, with pyramids built as they are now."""
    return flow_between(pyramid(here.levels[0]), pyramid(there.levels[0]), SMOOTHNESS)


def without_static(here: Picture, there: Picture) -> np.ndarray:
    return flow(here, there, SMOOTHNESS)


def dis() -> Flow:
    import cv2

    cv2.setNumThreads(1)
    found = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def run(here: Picture, there: Picture) -> np.ndarray:
        """Return the flow as rows, columns; OpenCV has them the other way round, and last."""
        return np.ascontiguousarray(np.moveaxis(found.calc(here.levels[0], there.levels[0], None)[..., ::-1], -1, 0))

    return run


def rounded(picture: Picture) -> Picture:
    return picture._replace(levels=[np.clip(np.rint(255 * SIGMA * picture.levels[0]), 0, 255).astype(np.uint8)])


def quality(clean: list[np.ndarray], pictures: list[Picture], distance: int, find: Flow) -> tuple[float, float]:
    """Return PSNR in dB and the mean absolute difference, cut off at σ, in percent of σ."""
    squares, differences = [], []
    for t in range(len(clean) - distance):
        back = warped(padded(clean[t + distance]), find(pictures[t], pictures[t + distance]))
        off = np.abs(back - clean[t]).astype(np.float64)
        squares.append((off**2).mean())
        differences.append(np.minimum(off / SIGMA, 1).mean())
    return -10 * math.log10(np.mean(squares)), 100 * float(np.mean(differences))


def main() -> None:
    arguments = measuring.parser("The optical flow against OpenCV's DIS.").parse_args()
    pv.set_num_threads(1)
    ways: dict[str, Flow] = {"no motion": still, "flow": raw, "flow, stillness test": without_static, "DIS": dis()}
    rows, seconds, figures = [], [], {}
    pieces: dict[str, list[float]] = {name: [] for name in WITHOUT}
    for clip in real_clips():
        rng = np.random.default_rng(0)
        clean = [halved(frame[np.newaxis]) for frame in clip.frames]
        noisy = [frame + rng.normal(0, SIGMA, frame.shape).astype(np.float32) for frame in clip.frames]
        pictures = [prepared(frame[..., np.newaxis], Noise(pv.VarianceStabilizer(0.0, SIGMA**2))) for frame in noisy]
        given = {name: [rounded(p) for p in pictures] if name == "DIS" else pictures for name in ways}
        for distance in DISTANCES:
            found = {name: quality(clean, given[name], distance, find) for name, find in ways.items()}
            figures[f"{clip.name}, {distance}"] = found
            cells = [f"{psnr:.2f}, {off:.1f}" for psnr, off in found.values()]
            rows.append([clip.name, str(distance), *cells])
            for name, changes in WITHOUT.items():
                with patch.dict(vars(noisy_flow), changes):
                    pieces[name].append(quality(clean, pictures, distance, built)[1])
        runs: dict[str, Any] = {"pyramid": partial(pyramid, pictures[0].levels[0])}
        runs.update({name: partial(ways[name], *given[name][:2]) for name in list(ways)[1:]})
        _, busy = measuring.interleaved(runs, arguments.repeats)
        least = {name: min(times) for name, times in busy.items()}
        figures[f"{clip.name}, seconds"] = least
        height, width = pictures[0].levels[0].shape
        seconds.append([f"{clip.name}, {height} × {width}", *(f"{1e3 * time:.2f}" for time in least.values())])
    text = table(["clip", "k", *ways], rows)
    text += "\n\n" + table(["ms for", "pyramid of a frame", *list(ways)[1:]], seconds)
    figures["without"] = {name: float(np.mean(found)) for name, found in pieces.items()}
    mean = [[name, f"{value:.2f}"] for name, value in figures["without"].items()]
    text += "\n\n" + table(["without", "mean difference, clipped"], mean)
    packages = ("numpy", "numba", "opencv-contrib-python-headless", "opencv-python-headless")
    figures["machine"] = measuring.machine(*(name for name in packages if measuring.version(name)))
    measuring.report(text, figures, arguments.json)


if __name__ == "__main__":
    main()
