"""Endpoint errors of optical flows where the motion is known: a table of docs/motion.md.

Run as ``python -m benchmarks.endpoints [--repeats N] [--json FILE]`` with the extra `bench`. Frames of 180 × 240
pixels, textures of waves of 6 to 50 pixels; means over all points that both frames show, in pixels, and for discs over
the disc as well. OpenCV gets 8 bits. Then milliseconds of processor time on one thread, the least, between frames of
bigbuckbunny of 360 × 640.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import pde_video as pv
from benchmarks import measuring
from benchmarks.quality import real_clips
from benchmarks.synthetic_motion import Flow, affine, dis, disc, farneback, places
from pde_video.bench.tables import table
from pde_video.protocols import Array

SIZE = 180, 240
NOISES = (0, 5, 20)  # In 255ths.
STILL = np.zeros((2, 2))
TURN, ZOOM = np.array([[0.0, -1.0], [1.0, 0.0]]), np.eye(2)
AFFINE: dict[str, tuple[Array, tuple[float, float]]] = {
    "shift by 0.25, −0.4": (STILL, (0.25, -0.4)),
    "shift by 3.3, −5.6": (STILL, (3.3, -5.6)),
    "shift by 30, −50": (STILL, (30, -50)),
    "turn by 2°": (0.035 * TURN, (0, 0)),
    "turn by 8°": (0.14 * TURN, (0, 0)),
    "zoom by 3 %": (0.03 * ZOOM, (0, 0)),
    "zoom by 15 %": (0.15 * ZOOM, (0, 0)),
}
DISCS = {
    "disc of 30, 3, 6 further": (30, (3, 6)),
    "disc of 30, 12, 24 further": (30, (12, 24)),
    "disc of 8, 12, 24 further": (8, (12, 24)),
}
FLOWS: dict[str, Flow] = {"optical_flow": pv.optical_flow, "DIS": dis, "Farnebäck": farneback}


def scenes() -> dict[str, tuple[Array, Array, Array, Array, Array]]:
    """Return by name: two frames, the motion, which points both show, and which are those of a disc."""
    found = {}
    for name, motion in AFFINE.items():
        first, second, w = affine(*motion, SIZE, 1)
        found[name] = first, second, w, _inside(w), np.zeros(SIZE, bool)
    for name, (radius, shift) in DISCS.items():
        first, second = (disc(time, shift, radius, SIZE, 1) for time in (-0.5, 0.5))
        y, x = places(*SIZE)
        before, after = (np.hypot(y - t * shift[0], x - t * shift[1]) for t in (-0.5, 0.5))
        moving = before < radius
        w = np.where(moving, np.reshape(shift, (2, 1, 1)), 0.0)
        found[name] = first, second, w, moving | (after > radius + 0.5), moving
    return found


def _inside(w: Array) -> Array:
    rows, columns = np.indices(SIZE) + w
    return (rows >= 0) & (rows <= SIZE[0] - 1) & (columns >= 0) & (columns <= SIZE[1] - 1)


def main() -> None:
    arguments = measuring.parser("Endpoint errors where the motion is known.").parse_args()
    pv.set_num_threads(1)
    figures: dict[str, Any] = {}
    rows = []
    for name, (first, second, w, seen, moving) in scenes().items():
        for noise in NOISES:
            rng = np.random.default_rng(3)
            pair = [(frame + rng.normal(0, noise / 255, SIZE)).astype(np.float32) for frame in (first, second)]
            cells = []
            for method, find in FLOWS.items():
                off = np.hypot(*(find(*pair) - w))
                errors = [float(off[part].mean()) for part in (seen, moving) if part.any()]
                figures[f"{name}, noise {noise}, {method}"] = errors
                cells.append(", ".join(f"{error:.3f}" for error in errors))
            rows.append([name, str(noise), *cells])
    text = table(["motion", "noise, of 255", *FLOWS], rows)
    clip = next(iter(real_clips(part=(0, 8)))).frames
    runs: dict[str, Any] = {name: partial(find, clip[0], clip[2]) for name, find in FLOWS.items()}
    runs["optical_flow, still frames"] = partial(pv.optical_flow, clip[0], clip[0])
    for run in runs.values():
        run()
    _, busy = measuring.interleaved(runs, max(arguments.repeats, 5))
    figures["ms"] = {name: 1e3 * min(times) for name, times in busy.items()}
    text += "\n\n" + table(["flow", "ms"], [[name, f"{ms:.1f}"] for name, ms in figures["ms"].items()])
    figures["machine"] = measuring.machine("numpy", "numba", "opencv-contrib-python-headless")
    measuring.report(text, figures, arguments.json)


if __name__ == "__main__":
    main()
