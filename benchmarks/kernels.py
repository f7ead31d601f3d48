"""Time per step against a copy of the same array: ``python -m benchmarks.kernels [--json FILE]``.

A video of 64 frames of 720 × 1280 in single precision goes through the public functions, into an array that is there
already. A copy of the same array, with the same threads, is timed in the same rounds. Each figure is the median over
the rounds of a time divided by the copy's in that round.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from statistics import median
from typing import Any

import numpy as np

import pde_video as pv
from benchmarks import measuring
from benchmarks.files import default_clip
from pde_video.bench.tables import table
from pde_video.threads import each

FRAMES, HEIGHT, WIDTH = 64, 720, 1280
STEPS = (1, 8, 32)
SIZES = [(64, 64), (256, 256), (480, 640), (720, 1280), (1080, 1920), (2160, 3840)]

Run = Callable[[Any, Any], object]


def per_frame(term: Any, n: int, dt: float, step: Any = pv.explicit_euler) -> Run:
    blur = pv.framewise(term, np.arange(n + 1) * dt, step)
    return lambda video, out: blur(video, out=out)


def along_time(term: Any, n: int, dt: float) -> Run:
    return lambda video, out: pv.evolve(term, video, np.arange(n + 1) * dt, out=out)


RATIONAL = pv.PeronaMalik(0.1, "rational")
# Name, what to run, steps, frames of the array, the goal.
CASES: list[tuple[str, Run, int, int, float]] = [
    ("heat, 1 step", per_frame(pv.Heat(), 1, 0.2), 1, FRAMES, 1.05),
    ("heat, 8 steps fused", per_frame(pv.Heat(), 8, 0.2), 8, FRAMES, 0.35),
    ("Perona-Malik rational, 1 step", per_frame(RATIONAL, 1, 0.2), 1, FRAMES, 0.0),
    ("Perona-Malik rational, 8 steps fused", per_frame(RATIONAL, 8, 0.2), 8, FRAMES, 0.65),
    ("Perona-Malik exponential, 8 steps fused", per_frame(pv.PeronaMalik(0.1), 8, 0.2), 8, FRAMES, 1.3),
    ("2D+t Perona-Malik rational, 4 steps fused", along_time(RATIONAL, 4, 0.15), 4, FRAMES, 1.0),
    ("edge-enhancing (EED), 1 step", per_frame(pv.EdgeEnhancing(0.1), 1, 0.2), 1, FRAMES // 4, 4.0),
    ("AOS, Perona-Malik rational, 1 step", per_frame(RATIONAL, 1, 5.0, pv.aos), 1, FRAMES // 4, 6.0),
]


def scene(frames: int, height: int, width: int) -> Any:
    """Frames of a real clip with noise of deviation 0.02: what a step of some terms costs depends on what it sees."""
    source = pv.to_gray(islice(pv.read(default_clip()), 60, 68))
    noise = np.random.default_rng(0).normal(0, 0.02, (8, height, width))
    sharp = np.stack([resized(frame / 255.0, height, width) for frame in source]) + noise
    return np.resize(sharp, (frames, height, width)).astype(np.float32)


def resized(picture: Any, height: int, width: int) -> Any:
    """Cut out or repeat a picture until it has the size, mirrored at its borders."""
    wide = np.pad(
        picture, [(0, max(0, n - m)) for n, m in zip((height, width), picture.shape, strict=True)], "symmetric"
    )
    return wide[:height, :width]


def copy(video: Any, out: Any) -> None:
    pieces = pv.num_threads()
    parts = [slice(len(video) * i // pieces, len(video) * (i + 1) // pieces) for i in range(pieces)]
    each(lambda part: np.copyto(out[part], video[part]), parts)


def seconds(run: Run, video: Any, out: Any) -> float:
    start = time.perf_counter()
    run(video, out)
    return time.perf_counter() - start


def ratios(run: Run, steps: int, video: Any, out: Any, against: Run, rounds: int) -> list[float]:
    """Time of a step over time of `against`, in each round, after one that is not counted."""
    found = []
    for _ in range(rounds + 1):
        before, taken, after = (seconds(one, video, out) for one in (against, run, against))
        found.append(taken / steps / ((before + after) / 2))
    return found[1:]


def row(name: str, what: str, found: list[float], goal: str) -> list[str]:
    return [name, what, f"{median(found):.3g}", measuring.spread(found, 1.0), goal]


def kernels(video: Any, out: Any, rounds: int) -> list[list[str]]:
    return [
        row(name, "copy", ratios(run, steps, video[:frames], out[:frames], copy, rounds), f"≤ {goal}" if goal else "")
        for name, run, steps, frames, goal in CASES
    ]


def in_cache(rounds: int) -> list[list[str]]:
    """The same on a frame that stays in the last cache, which is copied there as well."""
    video = scene(2, HEIGHT, WIDTH)
    out = np.zeros_like(video)
    again = [(name, lambda v, o, run=run: [run(v, o) for _ in range(8)], steps) for name, run, steps, _, _ in CASES[:5]]
    eight_copies: Run = lambda v, o: [copy(v, o) for _ in range(8)]  # noqa: E731
    return [row(name, "copy in cache", ratios(run, n, video, out, eight_copies, rounds), "") for name, run, n in again]


def implicit(video: Any, out: Any, rounds: int) -> list[list[str]]:
    import scipy.fft

    def transforms(video: Any, out: Any) -> None:
        for frame in video:
            scipy.fft.idctn(scipy.fft.dctn(frame, workers=pv.num_threads()), overwrite_x=True, workers=pv.num_threads())

    def one_at_a_time(video: Any, out: Any) -> None:
        for frame, to in zip(video, out, strict=True):
            pv.evolve(pv.Heat(), frame, [0.0, 10.0], step=pv.implicit_euler, out=to)

    found = ratios(one_at_a_time, 1, video[:8], out[:8], transforms, rounds)
    return [row("implicit heat, a frame", "its DCTs (scipy.fft)", found, "≤ 1.1")]


def threads(video: Any, out: Any, rounds: int) -> list[list[str]]:
    before = pv.num_threads()

    def alone(run: Run) -> Run:
        def serial(video: Any, out: Any) -> None:
            pv.set_num_threads(1)
            try:
                run(video, out)
            finally:
                pv.set_num_threads(before)

        return serial

    rows = [("copy", copy)] + [(name, run) for name, run, _, _, _ in CASES[:6]]
    return [
        row(
            f"{name}, 1 thread", f"{before} threads", ratios(alone(run), 1, video[:32], out[:32], run, rounds), "≥ 1.85"
        )
        for name, run in rows
    ]


def sizes() -> list[list[str]]:
    """Nanoseconds per pixel and step, on as many frames as make 64 MB."""
    rows = []
    for height, width in SIZES:
        video = scene(max(2, 16_000_000 // (height * width)), height, width)
        out, cells = np.zeros_like(video), [f"{height} × {width}"]
        for steps in STEPS:
            run = per_frame(RATIONAL, steps, 0.2)
            run(video[:2], out[:2])
            taken = median(seconds(run, video, out) for _ in range(5))
            cells.append(f"{taken / video.size / steps * 1e9:.3g}")
        rows.append(cells)
    return rows


def main() -> None:
    options = measuring.parser("Time per step against a copy of the same array.").parse_args()
    video = scene(FRAMES, HEIGHT, WIDTH)
    out = np.zeros_like(video)
    rows = [
        *kernels(video, out, options.repeats),
        *in_cache(options.repeats),
        *implicit(video, out, options.repeats),
        *threads(video, out, options.repeats),
    ]
    header = ["", "time of a step over that of", "median", "smallest to largest", "goal"]
    size_header = ["frame", *(f"{n} steps, ns per pixel and step" for n in STEPS)]
    size_rows = sizes()
    text = f"{table(header, rows)}\n\n{table(size_header, size_rows)}"
    figures = {
        "machine": measuring.machine("pde-video", "numpy", "numba", "scipy"),
        "ratios": [dict(zip(header, cells, strict=True)) for cells in rows],
        "sizes": [dict(zip(size_header, cells, strict=True)) for cells in size_rows],
    }
    measuring.report(text, figures, options.json)


if __name__ == "__main__":
    main()
