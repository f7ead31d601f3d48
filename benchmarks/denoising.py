"""What each part of `denoise` is worth, and what its presets cost: the tables of docs/denoising.md.

Also that of docs/noise.md on noise that is not white.

Run as ``python -m benchmarks.denoising`` with the extra `bench`, on a machine with nothing else to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np

import pde_video as pv
from benchmarks.measuring import interleaved, machine, median, spread
from benchmarks.quality import real_clips
from pde_video.bench.scenarios import Noise
from pde_video.bench.tables import table
from pde_video.denoising import along_motion, first_frames
from pde_video.denoising.along_motion import PASSES
from pde_video.denoising.denoise import PRESETS
from pde_video.solvers import shrinkage

_SIGMAS = (10, 20, 40)
_REPEATS = 5

Diffuse = Callable[..., Any]


def _psnr(clean: Any, result: Any) -> float:
    return float(np.mean([pv.psnr(*pair) for pair in zip(clean, result, strict=True)]))


@contextmanager
def _replaced(room: Any = along_motion, **parts: Any) -> Iterator[None]:
    """Put other functions in place of parts of a room."""
    kept = {name: getattr(room, name) for name in parts}
    try:
        for name, part in parts.items():
            setattr(room, name, part)
        yield
    finally:
        for name, part in kept.items():
            setattr(room, name, part)


def _means(clips: list[Any], sigma: float, **parts: Any) -> float:
    """Return the mean PSNR of `balanced`, told nothing, with some parts replaced."""
    noise, arguments = Noise(f"white:sigma={sigma}"), parts.pop("arguments", {})
    with _replaced(**parts):
        return float(np.mean([_psnr(c.frames, pv.denoise(noise.on(c.frames, 1)[0], **arguments)) for c in clips]))


def _evolved(term: Callable[[float], Any], time: float) -> Diffuse:
    def diffuse(mean: Any, variance: Any, **_: Any) -> Any:
        deviation = float(np.sqrt(variance.mean()))
        built = term(deviation)
        times = np.linspace(0, time, max(2, int(np.ceil(time / built.stable_dt(2))) + 1))
        return np.stack([pv.evolve(built, plane, times) for plane in mean])

    return diffuse


def _tv(weight: float) -> Diffuse:
    def diffuse(mean: Any, variance: Any, **_: Any) -> Any:
        amount = weight * float(np.sqrt(variance.mean()))
        return np.stack([pv.tv_minimize(plane, amount, tolerance=1e-3).solution for plane in mean])

    return diffuse


def _nothing(mean: Any, variance: Any, **_: Any) -> Any:
    return mean


def _once(mean: Any, variance: Any, step: int, **_: Any) -> Any:
    return shrinkage.shrink(mean, variance, step=step)


def spatial(clips: list[Any]) -> str:
    """Return the table of what can be done in space after the same average along motion, at σ = 20."""
    kappas, times = (0.3, 0.6, 1.2), (1.0, 3.0)
    rivals: dict[str, list[Diffuse]] = {
        "none": [_nothing],
        "Perona–Malik, rational": [
            _evolved(lambda s, k=k: pv.PeronaMalik(k * s, "rational", smoothing=0.7), t)
            for k, t in product(kappas, times)
        ],
        "edge-enhancing diffusion": [
            _evolved(lambda s, k=k: pv.EdgeEnhancing(k * s), t) for k, t in product(kappas, times)
        ],
        "total variation (minimised)": [_tv(w) for w in (0.4, 0.6, 0.8)],
        "cosine filters, once": [_once],
        "cosine filters, twice": [shrinkage.diffuse],
    }
    rows = []
    for name, choices in rivals.items():
        best = max(_means(clips, 20, diffuse=choice) for choice in choices)
        chosen = f"best of {len(choices)}, by the clean clip" if len(choices) > 1 else "–"
        rows.append([name, chosen, f"{best:.2f}"])
    return table(["in space", "parameters", "PSNR, dB"], rows)


def parts(clips: list[Any]) -> str:
    """Return the table of what is lost without a part."""

    def still(first: Any, second: Any, smoothness: float) -> Any:
        return np.zeros((2, *first[0].shape), np.float32)

    def found(flow: Any, back: Any) -> Any:
        return np.zeros(flow.shape[1:], np.bool_)

    def jittering(flow: Any, first: Any, second: Any) -> Any:
        return flow

    changes: dict[str, dict[str, Any]] = {
        "`balanced`": {},
        "without the occlusion test (forward and backward flow)": {"inconsistent": found},
        "without the stillness test": {"zero_where_static": jittering},
        "without flow": {"flow_between": still},
        **{f"radius {n}": {"arguments": {"radius": n}} for n in (0, 1, 2, 4, 8)},
        "`fast`": {"arguments": {"preset": "fast"}},
        "`best`": {"arguments": {"preset": "best"}},
    }
    rows = [[name, *(f"{_means(clips, s, **dict(change)):.2f}" for s in _SIGMAS)] for name, change in changes.items()]
    return table(["", *(f"σ = {s}" for s in _SIGMAS)], rows)


_COLOURED = ("jpeg", "h264")  # Scenarios that store colour at half the size.
_OTHER = [
    Noise(text, clipped=True)
    for text in (
        "white",
        *(f"blurred:radius={radius}" for radius in (0.5, 0.7, 1.0)),
        "enlarged:factor=1.5",
        *(f"h264:crf={crf}" for crf in (18, 23, 28)),
    )
]


def other_noise() -> str:
    """Return the means for noise that is not white, and what `balanced` reaches by what is seen within frames."""
    rows = []
    within = first_frames, {"along_time": lambda estimate, *_, **__: estimate}
    for noise in _OTHER:
        gray, reached = noise.name not in _COLOURED, []
        for clip in real_clips(gray=gray):
            noisy, clean = noise.on(clip.frames, 1)
            noisy = np.rint(255 * noisy).astype(np.uint8)
            with _replaced(within[0], **within[1]):
                before = pv.denoise(noisy)
            results = [pv.denoise(noisy, preset=preset) for preset in PRESETS]
            reached.append([_psnr(clean, np.float32(one / 255)) for one in (noisy, before, *results)])
        rows.append([noise.label, *(f"{value:.2f}" for value in np.mean(reached, axis=0))])
    return table(["noise", "noisy", "`balanced`, within frames", *(f"`{preset}`" for preset in PRESETS)], rows)


def times(clip: Any) -> str:
    """Return the table of times against scikit-image's total variation in 3-D, which is 1."""
    from skimage.restoration import denoise_tv_chambolle

    noisy = Noise("white:sigma=20").on(clip.frames, 1)[0]
    runs: dict[str, Callable[[], object]] = {
        "scikit-image TV in 3-D": lambda: denoise_tv_chambolle(noisy, weight=0.6 * 20 / 255)
    }
    for preset in PRESETS:
        runs[f"`{preset}`"] = lambda preset=preset: pv.denoise(noisy, preset=preset)  # type: ignore[misc]
    for run in runs.values():
        run()  # Compiled and loaded.
    wall, busy = interleaved(runs, _REPEATS)
    unit, frames = median(wall["scikit-image TV in 3-D"]), len(noisy)
    rows = [
        [
            name,
            f"{1e3 * median(wall[name]) / frames:.1f}",
            f"{1e3 * median(busy[name]) / frames:.1f}",
            f"{median(wall[name]) / unit:.2f} ({spread(wall[name], unit)})",
        ]
        for name in runs
    ]
    return table(["", "ms/frame", "processor ms/frame", "against TV in 3-D"], rows)


def main() -> None:
    clips = real_clips()
    print(f"{machine('numpy', 'numba', 'scikit-image')}\n\nPasses: {PASSES}\n")
    print(times(clips[0]), parts(clips), spatial(clips), other_noise(), sep="\n\n")


if __name__ == "__main__":
    main()
