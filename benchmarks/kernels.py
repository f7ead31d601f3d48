"""Time per step against a copy of the same array: ``python -m benchmarks.kernels [--json FILE]``.

A video of 64 frames of 720 × 1280 in single precision goes through the public functions, into an array that is there
already. A copy of the same array, with the same threads, is timed in the same rounds. Each figure is the median over
the rounds of a time divided by the copy's in that round.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

import numpy as np

import pde_video as pv
from benchmarks.report import arguments, machine, table, write_json
from pde_video.threads import each

FRAMES, HEIGHT, WIDTH = 64, 720, 1280
ROUNDS = 7
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
    ("Perona-Malik rational, 1 step", per_frame(RATIONAL, 1, 0.2), 1, FRAMES, float("nan")),
    ("Perona-Malik rational, 8 steps fused", per_frame(RATIONAL, 8, 0.2), 8, FRAMES, 0.65),
    ("Perona-Malik exponential, 8 steps fused", per_frame(pv.PeronaMalik(0.1), 8, 0.2), 8, FRAMES, 1.3),
    ("2D+t Perona-Malik rational, 4 steps fused", along_time(RATIONAL, 4, 0.15), 4, FRAMES, 1.0),
    ("edge-enhancing (EED), 1 step", per_frame(pv.EdgeEnhancing(0.1), 1, 0.2), 1, FRAMES // 4, 4.0),
    ("AOS, Perona-Malik rational, 1 step", per_frame(RATIONAL, 1, 5.0, pv.aos), 1, FRAMES // 4, 6.0),
]


def copy(video: Any, out: Any) -> None:
    pieces = pv.num_threads()
    parts = [slice(len(video) * i // pieces, len(video) * (i + 1) // pieces) for i in range(pieces)]
    each(lambda part: np.copyto(out[part], video[part]), parts)


def seconds(run: Run, video: Any, out: Any) -> float:
    start = time.perf_counter()
    run(video, out)
    return time.perf_counter() - start


def ratios(run: Run, steps: int, video: Any, out: Any, against: Run = copy) -> list[float]:
    """Time of a step over time of `against`, in each of the rounds, after one that is not counted."""
    found = []
    for i in range(ROUNDS + 1):
        reference = min(seconds(against, video, out) for _ in range(2))
        found.append(seconds(run, video, out) / steps / reference)
    return found[1:]


def kernels(video: Any, out: Any) -> list[dict[str, Any]]:
    rows = []
    for name, run, steps, frames, goal in CASES:
        found = ratios(run, steps, video[:frames], out[:frames])
        low, _, high = quantiles(found, n=4)
        rows.append({"kernel": name, "ratio to copy": median(found), "quartiles": [low, high], "goal": goal})
    return rows


def implicit(video: Any, out: Any) -> list[dict[str, Any]]:
    import scipy.fft

    def transforms(video: Any, out: Any) -> None:
        for frame in video:
            scipy.fft.idctn(scipy.fft.dctn(frame, workers=pv.num_threads()), overwrite_x=True, workers=pv.num_threads())

    def one_at_a_time(video: Any, out: Any) -> None:
        for frame, to in zip(video, out, strict=True):
            pv.evolve(pv.Heat(), frame, [0.0, 10.0], step=pv.implicit_euler, out=to)

    found = ratios(one_at_a_time, 1, video[:8], out[:8], transforms)
    low, _, high = quantiles(found, n=4)
    return [
        {"kernel": "implicit heat", "ratio to its transforms": median(found), "quartiles": [low, high], "goal": 1.1}
    ]


def two_threads_over_one(video: Any, out: Any) -> list[dict[str, Any]]:
    before, rows = pv.num_threads(), []

    def alone(run: Run) -> Run:
        def serial(video: Any, out: Any) -> None:
            pv.set_num_threads(1)
            try:
                run(video, out)
            finally:
                pv.set_num_threads(before)

        return serial

    for name, run, _, _, _ in CASES[1:6]:
        found = ratios(alone(run), 1, video[:32], out[:32], run)
        rows.append({"kernel": name, f"1 thread over {before}": median(found), "goal": 1.85})
    return rows


def sizes() -> list[dict[str, Any]]:
    """Time per pixel and step on one frame after the other, as much of them as fits 64 MB."""
    rows = []
    for height, width in SIZES:
        frames = max(2, 16_000_000 // (height * width))
        video = np.random.default_rng(0).random((frames, height, width), np.float32)
        out = np.zeros_like(video)
        row: dict[str, Any] = {"frame": f"{height} x {width}"}
        for name, run in (
            ("1 step", per_frame(RATIONAL, 1, 0.2)),
            ("8 steps", per_frame(RATIONAL, 8, 0.2)),
            ("32 steps", per_frame(RATIONAL, 32, 0.2)),
        ):
            steps = int(name.split()[0])
            run(video[:2], out[:2])
            row[f"ns per pixel and step, {name}"] = (
                median(seconds(run, video, out) for _ in range(5)) / video.size / steps * 1e9
            )
        rows.append(row)
    return rows


def main() -> None:
    options = arguments(__doc__)
    video = np.random.default_rng(0).random((FRAMES, HEIGHT, WIDTH), np.float32)
    out = np.zeros_like(video)
    tables = {
        "steps": kernels(video, out),
        "implicit": implicit(video, out),
        "threads": two_threads_over_one(video, out),
        "sizes (Perona-Malik rational)": sizes(),
    }
    about = machine()
    print("\n".join(f"{key}: {value}" for key, value in about.items()))
    for name, rows in tables.items():
        print(f"\n{name}\n{table(rows)}")
    write_json(options.json, {"machine": about, "tables": tables})


if __name__ == "__main__":
    main()
