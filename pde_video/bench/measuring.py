"""Measurement of every method on every clip with every noise."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np

from pde_video import __version__
from pde_video.bench import ffmpeg
from pde_video.bench.clips import Clip
from pde_video.bench.methods import METHODS, Method, first_call
from pde_video.bench.scenarios import Noise
from pde_video.errors import in_short
from pde_video.filters.conversion import to_gray
from pde_video.metrics.quality import psnr, ssim
from pde_video.motion.noisy_flow import flow_between, pyramid
from pde_video.motion.optical_flow import occluded, warp
from pde_video.protocols import Array
from pde_video.tools.doctor import examine

_MIDDLE = 128  # Side in pixels of the part on which the strength of a slow method is chosen.
_FIRST = 4  # Frames of a call that loads and compiles.
MEASURES = ("psnr", "ssim", "warped_error", "vmaf", "ms_per_frame", "processor_ms_per_frame")


@dataclass(frozen=True)
class Row:
    """The measurements of a method on a clip; None where one is impossible or has no meaning."""

    noise: str
    clip: str
    method: str
    kind: str  # "reference", "pde-video" or "peer".
    psnr: float | None = None  # Mean of the frames' values, in dB.
    ssim: float | None = None
    warped_error: float | None = None  # Of 255.
    vmaf: float | None = None
    ms_per_frame: float | None = None
    processor_ms_per_frame: float | None = None  # Of all processors, child processes included.
    strength: str = ""
    held_out: float | None = None  # Mean squares of 255, of `blind`.
    masked: float | None = None


@dataclass
class Benchmark:
    """All rows, the seconds of first calls by method, notes for the reader, conditions, and the measures of rows."""

    rows: list[Row] = field(default_factory=list)
    first_calls: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    measures: tuple[str, ...] = MEASURES


def begun(
    clips: list[Clip], noise: dict[str, str], methods: list[Method], seed: int, measures: tuple[str, ...] = MEASURES
) -> tuple[Benchmark, list[Method]]:
    """Return a benchmark without rows, and the methods that are there; the others are named in the notes."""
    absent = {method.name: reason for method in methods if (reason := method.missing())}
    present = [method for method in methods if method.name not in absent]
    found = Benchmark(notes=[f"{name}: not measured, {reason}" for name, reason in absent.items()], measures=measures)
    if unasked := [method.name for method in METHODS if method not in methods]:
        found.notes.append(f"not selected: {'; '.join(unasked)}")
    found.facts = _facts(clips, noise, present, seed)
    return found, present


def add_row(found: Benchmark, noise: str, clip: str, method: Method, measured: Callable[[], dict[str, Any]]) -> None:
    """Add what is measured of a method; if one of others fails, a note."""
    try:
        figures = measured()
    except Exception as fault:
        if method.ours:
            raise
        found.notes.append(f"{method.name}: failed on {clip}, {noise}: {in_short(fault)}")
    else:
        found.rows.append(Row(noise, clip, method.name, "pde-video" if method.ours else "peer", **figures))


def run(
    clips: list[Clip],
    noises: list[Noise],
    methods: list[Method],
    *,
    seed: int = 1,
    wanted: Callable[[Method, Noise], bool] = lambda method, noise: True,
    progress: Callable[[str], None] = lambda text: None,
) -> Benchmark:
    """Return the benchmark; methods of others that are missing or fail are named in the notes."""
    for noise in noises:
        for clip in clips:
            noise.on(clip.frames[:2], seed)  # Refuses, before anything is measured, clips for which there is none.
    found, present = begun(clips, {noise.label: noise.meaning for noise in noises}, methods, seed)
    if no_vmaf := ffmpeg.lacks("libvmaf"):
        found.notes.append(f"VMAF: not measured, {no_vmaf}")
    for method in (method for method in present if method.ours):
        progress(f"{method.name}: the first call, in a fresh process")
        found.first_calls[method.name] = first_call(method, noises[0].on(clips[0].frames, seed)[0][:_FIRST])
    for clip in clips:
        unchanged = _meter(clip.frames, clip.name, found.notes, with_vmaf=not no_vmaf)
        for noise in noises:
            noisy, clean = noise.on(clip.frames, seed)
            same = clean is clip.frames
            measured = unchanged if same else _meter(clean, clip.name, found.notes, with_vmaf=not no_vmaf)
            row = partial(Row, noise.label, clip.name)
            found.rows.append(row("clean clip", "reference", **measured(clean)))
            found.rows.append(row("noisy clip", "reference", **measured(noisy)))
            for method in (method for method in present if wanted(method, noise)):
                progress(f"{clip.name}, {noise.label}: {method.name}")
                add_row(found, noise.label, clip.name, method, partial(_measured, method, clean, noisy, measured))
    return found


def lasting_flow(first: Array, second: Array) -> Array:
    """Return the flow that measures are made with: the same in every version, so that figures can be compared."""
    unit = 0.25 * first.std(dtype=np.float64)
    there, back = (pyramid(frame / np.float32(unit or 1)) for frame in (first, second))
    return flow_between(there, back, smoothness=5.0)


_USUAL = SimpleNamespace(optical_flow=lasting_flow, warp=warp, occluded=occluded)


class Motion:
    """The flow from each frame of a clean clip to the next, and which pixels stay visible.

    `using` has ``optical_flow``, ``warp`` and ``occluded``.
    """

    def __init__(self, clean: Array, using: Any = _USUAL) -> None:
        luma = to_gray(clean)
        self._warp = using.warp
        self._steps = []
        for first, second in pairwise(luma):
            forward, backward = using.optical_flow(first, second), using.optical_flow(second, first)
            self._steps.append((forward, ~using.occluded(forward, backward)))

    def warped_error(self, video: Array) -> float:
        """Return the root mean square of frame k − (frame k + 1 warped to k) over visible pixels, of 255.

        Noise and flicker raise it. Far below the clean clip's own error, moving details are blurred.
        """
        squares = [
            np.square(np.subtract(first, self._warp(second, flow), dtype=np.float64))[seen].ravel()
            for first, second, (flow, seen) in zip(video[:-1], video[1:], self._steps, strict=True)
        ]
        every = np.concatenate(squares)
        return 255 * math.sqrt(every.mean()) if every.size else math.nan


def _meter(clean: Array, name: str, notes: list[str], with_vmaf: bool) -> Callable[[Array], dict[str, Any]]:
    """Return a function that measures a video against a clean clip, whose motion is estimated once."""
    motion = Motion(clean)

    def vmaf(video: Array) -> float | None:
        try:
            return ffmpeg.vmaf(clean, video)
        except RuntimeError as fault:  # VMAF refuses very small frames.
            note = f"VMAF: failed on {name}: {in_short(fault)}"
            if note not in notes:
                notes.append(note)
            return None

    def measured(video: Array) -> dict[str, Any]:
        pairs = list(zip(clean, video, strict=True))
        return {
            "psnr": finite(np.mean([psnr(*pair) for pair in pairs])),
            "ssim": finite(np.mean([ssim(*pair) for pair in pairs])),
            "warped_error": finite(motion.warped_error(video)),
            "vmaf": vmaf(video) if with_vmaf else None,
        }

    return measured


def finite(value: Any) -> float | None:
    """Return the number, or None."""
    return float(value) if math.isfinite(value) else None


def _measured(method: Method, clean: Array, noisy: Array, meter: Callable[[Array], dict[str, Any]]) -> dict[str, Any]:
    result, others = _run(method, clean, noisy)
    return meter(result) | others


def _run(method: Method, clean: Array, noisy: Array) -> tuple[Array, dict[str, Any]]:
    """Return the result, its times, and the strength with the least error."""
    if method.ours:
        method.run(noisy[:_FIRST])  # Loads the compiled kernels.
        return timed(method, noisy)
    sigma = method.white * math.sqrt(_error(clean, noisy))
    strengths = sorted({min(factor * sigma, method.most) for factor in method.factors})
    if not method.slow:
        timed(method, middle(noisy), strengths[0])  # Imports and loads.
        tried = [(*timed(method, noisy, strength), strength) for strength in strengths]
        result, times, strength = min(tried, key=lambda one: _error(clean, one[0]))
    else:
        truth, part = middle(clean), middle(noisy)
        strength = min(strengths, key=lambda one: _error(truth, timed(method, part, one)[0]))
        result, times = timed(method, noisy, strength)
    return result, {**times, "strength": f"{method.parameter} = {strength:.3g}"}


def timed(method: Method, video: Array, *strength: float) -> tuple[Array, dict[str, Any]]:
    """Return the result, checked, and its times."""
    used, begun = processor_time(), time.perf_counter()
    result = np.asarray(method.run(video, *strength), np.float32)
    taken, busy = time.perf_counter() - begun, processor_time() - used
    if result.shape != video.shape or not np.isfinite(result).all():
        raise RuntimeError(
            f"the result has shape {result.shape} or values that are not finite; the video is {video.shape}"
        )
    per_frame = 1000 / len(video)
    return result, {"ms_per_frame": per_frame * taken, "processor_ms_per_frame": per_frame * busy}


def processor_time() -> float:
    """Return the seconds of all processors together, child processes included."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def _error(clean: Array, video: Array) -> float:
    """Return the mean squared error."""
    return float(np.mean(np.square(video - clean, dtype=np.float64)))


def middle(video: Array) -> Array:
    """Return the part on which the strength of a slow method is chosen."""
    top, left = (max(0, (n - _MIDDLE) // 2) for n in video.shape[1:3])
    return np.ascontiguousarray(video[:, top : top + _MIDDLE, left : left + _MIDDLE])


def _facts(clips: list[Clip], noise: dict[str, str], methods: list[Method], seed: int) -> dict[str, Any]:
    machine = {name: value for name, value in examine().items() if name not in ("cache", "threads_from")}
    return {
        "pde-video": __version__,
        "seed": seed,
        "noise": noise,
        "clips": {clip.name: clip.described for clip in clips},
        "peers": {method.package: method.version() for method in methods if not method.ours},
        "machine": machine,
    }
