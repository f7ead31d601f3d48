"""Other libraries against this one: the time of a step, on the same data, with the same equation where there is one.

Run as ``python -m benchmarks.peers [--json FILE]`` with the extra `bench`; a package that is not there is reported as
missing. Peers work on one 720 × 1280 frame. Ours work on a video of such frames through `framewise`, since a video is
what this library is for, and on a single frame through `evolve`. Time per frame and step, medians of interleaved
rounds; both may use two threads, though most peers use one. What is not equal is said in the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import pde_video as pv
from benchmarks import measuring
from pde_video.bench.tables import table

HEIGHT, WIDTH, THREADS = 720, 1280, 2
STEPS, DT, KAPPA = 8, 0.2, 0.05
TV_STEPS, TV_WEIGHT, TV_GAP = 20, 0.1, 1e-3
VARIANCE_TIME = 2.0  # Of heat; the Gaussian of variance 2 · 2.0 has a deviation of 2 pixels.
GOALS = {"ITK": 100, "DIPlib": 20, "MedPy": 20, "OpenCV": 3, "scikit-image": 10}


@dataclass
class Comparison:
    """A peer, ours on a video and on one frame, and what differs; each `seconds / steps` is compared."""

    peer: str
    package: str
    start: Callable[[], Callable[[], object]]  # Imports and prepares; returns what is timed.
    steps: int
    ours: str
    video: Callable[[], object] | None
    frames: int
    single: Callable[[], object]
    single_steps: int
    differences: str


def energy(u: np.ndarray, y: np.ndarray) -> float:
    """Return ½ ‖u − y‖² + weight · Σ |∇u|, which both libraries minimise."""
    steps = [np.diff(u.astype(float), axis=axis, append=u.take([-1], axis)) for axis in (0, 1)]
    return 0.5 * float(((u - y.astype(float)) ** 2).sum()) + TV_WEIGHT * float(np.hypot(*steps).sum())


def rounded(frames: np.ndarray) -> np.ndarray:
    return np.rint(255 * frames).astype(np.uint8)


def through_framewise(term: Any, steps: int, dt: float, video: np.ndarray) -> Callable[[], object]:
    """Return a call of our filter on a video, into an array at hand if the filter takes one."""
    apply = pv.framewise(term, pv.uniform(steps * dt, dt=dt))
    try:
        apply(video[:1], out=np.empty_like(video[:1]))
    except TypeError:
        return partial(apply, video)
    return partial(apply, video, out=np.empty_like(video))


def through_evolve(term: Any, steps: int, dt: float, frame: np.ndarray, **kwargs: Any) -> Callable[[], object]:
    return partial(pv.evolve, term, frame, pv.uniform(steps * dt, dt=dt), out=np.empty_like(frame), **kwargs)


def comparisons(frames: int) -> list[Comparison]:
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    scene = (0.5 + 0.3 * np.sin(column / 17) * np.cos(row / 13)).astype(np.float32)
    video = np.stack([scene + rng.normal(0, 0.03, scene.shape).astype(np.float32) for _ in range(frames)])
    frame = video[0].copy()
    few = max(1, frames // 4)
    colour = rounded(np.stack([video[:few]] * 3, axis=-1))

    def itk() -> Callable[[], object]:
        import SimpleITK as sitk

        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(THREADS)
        image = sitk.GetImageFromArray(frame)
        return lambda: sitk.GradientAnisotropicDiffusion(
            image, timeStep=0.125, conductanceParameter=1.0, numberOfIterations=4
        )

    def diplib(conductance: str) -> Callable[[], object]:
        import diplib as dip

        dip.SetNumberOfThreads(THREADS)
        image = dip.Image(frame)
        return partial(dip.PeronaMalikDiffusion, image, iterations=STEPS, K=KAPPA, stepSizeLambda=DT, g=conductance)

    def medpy() -> Callable[[], object]:
        from medpy.filter.smoothing import anisotropic_diffusion

        return partial(anisotropic_diffusion, frame, niter=STEPS, kappa=KAPPA, gamma=DT, option=1)

    def opencv() -> Callable[[], object]:
        import cv2

        cv2.setNumThreads(THREADS)
        return partial(cv2.ximgproc.anisotropicDiffusion, colour[0], alpha=0.1, K=KAPPA, niters=STEPS)

    def scikit_image() -> Callable[[], object]:
        from skimage.restoration import denoise_tv_chambolle

        return partial(denoise_tv_chambolle, frame, weight=TV_WEIGHT, eps=0.0, max_num_iter=TV_STEPS)

    def scikit_image_as_low() -> Callable[[], object]:
        from skimage.restoration import denoise_tv_chambolle

        enough, iterations = energy(pv.tv_minimize(frame, TV_WEIGHT, tolerance=TV_GAP).solution, frame), 5
        while True:
            solve = partial(denoise_tv_chambolle, frame, weight=TV_WEIGHT, eps=0.0, max_num_iter=iterations)
            if iterations > 2000 or energy(solve(), frame) <= enough:
                return solve
            iterations = math.ceil(1.2 * iterations)

    def gaussian() -> Callable[[], object]:
        from scipy import ndimage

        return partial(ndimage.gaussian_filter, frame, math.sqrt(2 * VARIANCE_TIME), mode="nearest")

    def convolution() -> Callable[[], object]:
        from scipy import ndimage

        weights = np.array([[0, DT, 0], [DT, 1 - 4 * DT, DT], [0, DT, 0]], np.float32)
        return partial(ndimage.convolve, frame, weights, mode="nearest")

    def total_variation() -> object:
        try:
            return pv.tv_minimize(frame, TV_WEIGHT, tolerance=1e-12, iterations=TV_STEPS)
        except pv.SolverError:  # As it must: nobody gets there in so few.
            return None

    exponential, rational = pv.PeronaMalik(KAPPA, "exponential"), pv.PeronaMalik(KAPPA, "rational")
    heat = pv.Heat()

    def diffused(peer: str, package: str, start: Any, steps: int, term: Any, ours: str, differences: str) -> Comparison:
        on_video, on_frame = through_framewise(term, STEPS, DT, video), through_evolve(term, STEPS, DT, frame)
        return Comparison(peer, package, start, steps, ours, on_video, frames, on_frame, STEPS, differences)

    at_once = round(VARIANCE_TIME / 0.25)
    return [
        diffused(
            "ITK GradientAnisotropicDiffusion",
            "SimpleITK",
            itk,
            4,
            exponential,
            "Perona–Malik, exponential",
            "its differences are central across the axis as well, its kappa follows the mean gradient; "
            "4 steps of 0.125 against 8 of 0.2",
        ),
        diffused(
            "DIPlib PeronaMalikDiffusion, Gauss",
            "diplib",
            partial(diplib, "Gauss"),
            STEPS,
            exponential,
            "Perona–Malik, exponential",
            "none but its border",
        ),
        diffused(
            "DIPlib PeronaMalikDiffusion, quadratic",
            "diplib",
            partial(diplib, "quadratic"),
            STEPS,
            rational,
            "Perona–Malik, rational",
            "none but its border",
        ),
        diffused(
            "MedPy anisotropic_diffusion",
            "medpy",
            medpy,
            STEPS,
            exponential,
            "Perona–Malik, exponential",
            "none; it is written in NumPy",
        ),
        Comparison(
            "OpenCV ximgproc.anisotropicDiffusion",
            "opencv-contrib-python-headless",
            opencv,
            STEPS,
            "Perona–Malik, exponential, on 8-bit colour",
            through_framewise(exponential, STEPS, DT, colour),
            len(colour),
            through_evolve(exponential, STEPS, DT, colour[0].astype(np.float32) / 255, channel_axis=-1),
            STEPS,
            "it has 8 neighbours and rounds to 8 bits after every step, ours has 4 and stays in float32; ours couples "
            "the channels; our single frame is float32",
        ),
        Comparison(
            "scikit-image denoise_tv_chambolle",
            "scikit-image",
            scikit_image,
            TV_STEPS,
            "tv_minimize",
            None,
            1,
            total_variation,
            TV_STEPS,
            "Chambolle's projection against accelerated primal–dual steps, which certify how near they are; equal "
            "numbers of iterations, not equal energies",
        ),
        Comparison(
            "scikit-image denoise_tv_chambolle, to our energy",
            "scikit-image",
            scikit_image_as_low,
            1,
            f"tv_minimize, whole, to a gap of {TV_GAP:g}",
            None,
            1,
            partial(pv.tv_minimize, frame, TV_WEIGHT, tolerance=TV_GAP),
            1,
            "the same energy, in the number of iterations that was found to do for it; ours finds out by itself",
        ),
        Comparison(
            "scipy.ndimage.convolve",
            "scipy",
            convolution,
            1,
            "heat, one step",
            through_framewise(heat, 1, DT, video),
            frames,
            through_evolve(heat, 1, DT, frame),
            1,
            "none",
        ),
        Comparison(
            "scipy.ndimage.gaussian_filter",
            "scipy",
            gaussian,
            1,
            f"heat, {at_once} steps to the same variance",
            through_framewise(heat, at_once, 0.25, video),
            frames,
            through_evolve(heat, at_once, 0.25, frame),
            1,
            "whole blur, not one step; its kernel is cut at 4 standard deviations, ours is an explicit scheme",
        ),
    ]


def measure(frames: int, repeats: int) -> list[dict[str, Any]]:
    rows = []
    for compared in comparisons(frames):
        row: dict[str, Any] = {
            "name": compared.peer,
            "version": measuring.version(compared.package),
            "ours": compared.ours,
            "differences": compared.differences,
        }
        rows.append(row)
        try:
            runs = {"peer": compared.start(), "single": compared.single}
        except (ImportError, AttributeError) as fault:  # OpenCV without its contributed modules lacks an attribute.
            row["missing"] = str(fault).splitlines()[0]
            continue
        if compared.video is not None:
            runs["video"] = compared.video
        for run in runs.values():
            run()  # Compiles, and touches its memory.
        wall, busy = measuring.interleaved(runs, repeats)
        divisor = {
            "peer": compared.steps,
            "single": compared.single_steps,
            "video": compared.single_steps * compared.frames,
        }
        row |= {
            name: {
                "milliseconds": [1e3 * s / divisor[name] for s in wall[name]],
                "processors": measuring.median(b / w for b, w in zip(busy[name], wall[name], strict=True)),
                "ratio": measuring.median(
                    p * divisor[name] / (s * divisor["peer"]) for p, s in zip(wall["peer"], wall[name], strict=True)
                ),
            }
            for name in runs
        }
    return rows


def cells(row: dict[str, Any]) -> list[str]:
    goal = next((f"{goal}" for name, goal in GOALS.items() if row["name"].startswith(name)), "")
    if "missing" in row:
        return [f"{row['name']}: missing ({row['missing']})", row["ours"], "", "", "", "", "", goal, ""]

    def time_of(name: str) -> str:
        if name not in row:
            return "–"
        return f"{measuring.median(row[name]['milliseconds']):.3g} ({row[name]['processors']:.1f})"

    ratios = [f"{row[name]['ratio']:.1f}×" if name in row else "–" for name in ("video", "single")]
    return [
        f"{row['name']} {row['version']}",
        row["ours"],
        time_of("peer"),
        time_of("video"),
        time_of("single"),
        *ratios,
        f"{goal}×" if goal else "",
        row["differences"],
    ]


def main() -> None:
    parser = measuring.parser("Other libraries against this one, per step.")
    parser.add_argument("--frames", type=int, default=64, help="of our video (default: 64)")
    arguments = parser.parse_args()
    rows = measure(arguments.frames, arguments.repeats)
    figures = {
        "frame": [HEIGHT, WIDTH],
        "frames": arguments.frames,
        "repeats": arguments.repeats,
        "rows": rows,
        "machine": measuring.machine("pde-video", "numpy", "numba", "scipy"),
    }
    header = ["peer", "ours", "ms a step: peer (CPUs used)", "ours, video", "ours, one frame"]
    header += ["ratio, video", "ratio, one frame", "goal", "what differs"]
    measuring.report(table(header, [cells(row) for row in rows]), figures, arguments.json)


if __name__ == "__main__":
    main()
