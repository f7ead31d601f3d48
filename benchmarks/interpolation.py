"""Frames in between, and those of others: the tables of docs/interpolation.md.

Run as ``python -m benchmarks.interpolation [--json FILE]`` with the extra `bench`. The odd ones of the first 17 grey
frames of each clip are made of the even ones: mean of the PSNR of frames, in dB, and of the frames of other parts of
the clips. Then a disc that passes before a texture: root mean square within 8 pixels of its rim, of 255. DIS (preset
medium, both ways) is blended as `interpolate` blends its own flow, which was tuned on bikes, bigbuckbunny and these
discs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np

import pde_video as pv
from benchmarks.quality import CLIPS, real_clips
from benchmarks.synthetic_motion import dis, disc, places
from pde_video.bench import ffmpeg
from pde_video.bench.tables import table
from pde_video.motion import passage
from pde_video.motion.averaging import EXACT, padded, warped
from pde_video.protocols import Array

Between = Callable[[Array], Array]  # Of frames (T, H, W), T − 1 frames between them.
PARTS = {"first 17 frames": (0, 17), "frames of benchmark.md": None, "frames 60 to 92": (60, 93)}
SIZE, WIDTH = (180, 240), 8
DISCS = [  # Of several sizes, speeds and textures, and the first frame's seed.
    (30, (3, 6), 1),
    (24, (-4, 5), 3),
    (36, (6, -2), 7),
    (30, (6, 12), 9),
    (36, (-9, 8), 11),
    (28, (12, 3), 13),
    (30, (10, 20), 15),
    (36, (0, 22), 17),
    (40, (20, -12), 19),
]
MINTERPOLATE = "minterpolate=fps=2:mi_mode=mci:scd=none"


def repeated(frames: Array) -> Array:
    return frames[:-1]


def averaged(frames: Array) -> Array:
    return (frames[:-1] + frames[1:]) / 2


def along_motion(frames: Array) -> Array:
    """Return what `interpolate` makes."""
    pairs = zip(frames[:-1, ..., np.newaxis], frames[1:, ..., np.newaxis], strict=True)
    return np.stack([passage.Passage(*pair).at(0.5)[..., 0] for pair in pairs])


def with_dis(frames: Array) -> Array:
    """Return what `interpolate` would make with the flow of DIS."""
    with patch.object(passage, "optical_flow", _dis_in_the_middle):
        return along_motion(frames)


def _dis_in_the_middle(first: Array, second: Array, at: float) -> Array:
    """Return the mean of both flows, each as it is half-way."""
    there, back = dis(first[..., 0], second[..., 0]), dis(second[..., 0], first[..., 0])
    halves = []
    for flow in (there, back):
        half = flow
        for _ in range(4):
            half = warped(padded(flow), np.float32(-0.5) * half, EXACT)
        halves.append(half)
    return np.float32(0.5) * (halves[0] - halves[1])


def minterpolate(frames: Array) -> Array:
    """Return what ffmpeg makes; it repeats the first and last frames, so that it has what lies beyond them."""
    height, width = frames.shape[1:]
    held = np.concatenate([frames[:1], frames[:1], frames, frames[-1:], frames[-1:]])
    raw = np.clip(np.rint(255 * held), 0, 255).astype(np.uint8).tobytes()
    size = ["-f", "rawvideo", "-pix_fmt", "gray"]
    chain = f"format=yuv420p,{MINTERPOLATE},format=gray"
    said = ffmpeg.said(*size, "-s", f"{width}x{height}", "-r", "1", "-i", "-", "-vf", chain, *size, "-", given=raw)
    found = np.frombuffer(said, np.uint8).reshape(-1, height, width).astype(np.float32) / 255
    return found[5 : 5 + 2 * (len(frames) - 1) : 2]


METHODS: dict[str, Between] = {
    "repeat": repeated,
    "average": averaged,
    "minterpolate": minterpolate,
    "DIS, same blending": with_dis,
    "interpolate": along_motion,
}


def psnr(found: Array, true: Array) -> float:
    return float(np.mean([pv.psnr(np.clip(one, 0, 1), other) for one, other in zip(found, true, strict=True)]))


def at_the_rim(between: Between, radius: float, shift: tuple[float, float], seed: int) -> float:
    frames = np.stack([disc(time, shift, radius, SIZE, seed) for time in (-0.5, 0.5)]).astype(np.float32)
    off = between(frames)[0] - disc(0, shift, radius, SIZE, seed)
    rim = np.abs(np.hypot(*places(*SIZE)) - radius) < WIDTH
    return 255 * float(np.sqrt(np.square(off[rim]).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description="Frames in between.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    arguments = parser.parse_args()
    figures, rows = {}, []
    for part, numbers in PARTS.items():
        clips = [clip.frames[: len(clip.frames) - 1 + len(clip.frames) % 2] for clip in real_clips(part=numbers)]
        for name, between in METHODS.items():
            found = [psnr(between(frames[::2]), frames[1::2]) for frames in clips]
            figures[f"{part}, {name}"] = found
            rows.append([part, name, *(f"{value:.2f}" for value in found), f"{np.mean(found):.2f}"])
    text = table(["part", "method", *CLIPS, "mean"], rows)
    rims = []
    for name, between in METHODS.items():
        found = [at_the_rim(between, *one) for one in DISCS]
        figures[f"rim, {name}"] = found
        thirds = [f"{np.mean(found[k : k + 3]):.1f}" for k in (0, 3, 6)]
        rims.append([name, *thirds])
    text += "\n\n" + table(["rim of a disc", "5 to 7 pixels further", "12 to 13", "22 to 23"], rims)
    print(text)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
