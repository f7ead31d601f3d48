"""The state of an installation: versions, compiled kernels, and speed relative to a copy of memory."""

import contextlib
import importlib
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.arrays.grid import BOUNDARIES
from pde_video.denoisers.network import FORMAT, Network, shapes
from pde_video.denoising.denoise import PRESETS, denoise
from pde_video.denoising.noise_estimate import NoiseEstimate
from pde_video.denoising.other_methods import BY_EVOLUTION
from pde_video.estimate.variance_stabilizer import VarianceStabilizer
from pde_video.filters.framewise import framewise
from pde_video.integrators.equilibrium import equilibrium
from pde_video.integrators.loop import evolve
from pde_video.integrators.steps import aos, explicit_euler, implicit_euler
from pde_video.kernels.cache import tally, writable_place
from pde_video.resampling.interpolate import interpolate
from pde_video.resampling.superresolve import superresolve
from pde_video.restoration.deflicker import deflicker
from pde_video.restoration.inpaint import inpaint
from pde_video.terms.compose import Masked
from pde_video.terms.heat import Heat
from pde_video.terms.perona_malik import PeronaMalik
from pde_video.terms.shock import Shock
from pde_video.terms.tensor import CoherenceEnhancing, EdgeEnhancing
from pde_video.terms.total_variation import TotalVariation, tv_minimize
from pde_video.threads import each, num_threads
from pde_video.video.confinement import confining

_PACKAGES = ("numpy", "scipy", "numba", "llvmlite", "av", "imageio", "tifffile", "safetensors")
_FRAMES = (16, 720, 1280)  # Float32: 59 MB, more than the caches of most machines hold.


def warm_up() -> dict[str, Any]:
    """Compile the kernels that are not cached yet, for float32 and the common conductances; return a report."""
    compiled, loaded, begun = tally.compiled, tally.loaded, time.perf_counter()
    _use_every_kernel()
    return {
        "compiled": tally.compiled - compiled,
        "loaded": tally.loaded - loaded,
        "seconds": time.perf_counter() - begun,
        "cache": _named(writable_place()),
    }


def _use_every_kernel() -> None:
    from pde_video.video.yuv_planes import from_rgb, to_rgb  # `examine` also works where PyAV does not.

    rng = np.random.default_rng(0)
    grey, colour = (rng.random((3, 24, 32, *channels), np.float32) for channels in ((), (3,)))
    picture = grey[0]
    for method in BY_EVOLUTION:
        denoise(grey, method=method)
    for preset in PRESETS:
        denoise(grey, preset=preset, sigma=0.1)
    for noise in ("gaussian", "poisson-gaussian"):
        denoise(grey, noise=noise)
    denoise((grey > 0.97).astype(np.float32), noise=NoiseEstimate(0.0, 0.01, impulses=0.1))
    scene = np.add.outer(np.arange(112), np.arange(160)).astype(np.float32) % 40
    denoise(np.stack([scene, 0.8 * scene]), sigma=1.0)  # A change of light.
    blocks = rng.random((16, 20), np.float32).repeat(8, axis=0).repeat(8, axis=1)
    far = np.stack([blocks, np.roll(blocks, (32, 40), (0, 1))])  # So far that it is searched for.
    interpolate(far, factor=2, cuts="ignore")
    deflicker(np.stack([scene, 0.8 * scene]))
    for change in (VarianceStabilizer(0.1, 0.0).forward, VarianceStabilizer(0.1, 0.0).inverse):
        change(picture)
    terms: list[Any] = [Heat(), TotalVariation(0.1), EdgeEnhancing(0.1), CoherenceEnhancing(0.1), Shock()]
    terms += [PeronaMalik(0.1, name, smoothing=0.5) for name in ("rational", "exponential", "tv")]
    for term in terms:
        for state in (picture, grey):
            dt = term.stable_dt(state.ndim)
            evolve(term, state, [0.0, dt, 2 * dt])
    for term in (PeronaMalik(0.1), PeronaMalik(0.1, boundary="periodic"), Heat()):
        evolve(term, picture, [0.0, 5.0], step=aos)
    for real in (np.float32, np.float64):
        known = picture.astype(real)
        equilibrium(Masked(PeronaMalik(0.1), known > 0.5, known), known)
    solved: list[Any] = [Heat(boundary=boundary) for boundary in BOUNDARIES]
    for term in (*solved, PeronaMalik(0.1), EdgeEnhancing(0.1)):
        evolve(term, picture, [0.0, 5.0], step=implicit_euler)
    for real in (np.float32, np.float64):
        inpaint(np.stack([picture, picture]).astype(real), picture > 0.9)
    superresolve(np.stack([scene, scene]), 2)  # Frames of one scene.
    tv_minimize(picture, 0.1, tolerance=1e-2)
    for dtype in (np.uint8, np.uint16):
        for video in (grey, colour):
            framewise(Heat(), [0.0, 0.2])((video * 255).astype(dtype))
    config = {"format": FORMAT, "cell": "gru", "width": 8, "encoder": 1, "decoder": 1, "deviation": 0.25}
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()}
    Network(config, weights)(picture[..., np.newaxis], 0.1)
    for layout, dtype in (("yuv420p", np.uint8), ("yuv420p10le", np.uint16)):
        to_rgb(from_rgb(np.zeros((24, 32, 3), dtype), layout, 1, False), 1, False)


def examine() -> dict[str, Any]:
    """Return versions, processor, threads and the cache."""
    chosen = os.environ.get("PDE_VIDEO_NUM_THREADS")
    return {
        "python": platform.python_version(),
        **{name: _imported(name, lambda module: str(module.__version__)) for name in _PACKAGES},
        "ffmpeg": _imported("av", _ffmpeg),
        "system": platform.platform(),
        **processor(),
        "threads": num_threads(),
        "threads_from": "PDE_VIDEO_NUM_THREADS" if chosen else "the CPUs that this process may use",
        "isolation": "seccomp filter" if confining() else "no seccomp filter (install the extra isolation, on Linux)",
        "cache": _named(writable_place()),
    }


def measure(seconds: float = 10.0) -> dict[str, float]:
    """Return the median speed of a copy in GB/s, and the median times of steps divided by that of a copy.

    Both read and write every value once with all threads, so 1 is the speed of memory. Fused steps can be faster: a
    value passes through memory once for several steps.
    """
    video = np.random.default_rng(0).random(_FRAMES, np.float32)
    out = np.empty_like(video)

    def copied() -> None:
        each(lambda k: np.copyto(out[k], video[k]), range(len(video)))

    runs: dict[str, tuple[int, Callable[[], object]]] = {"copy": (1, copied)}
    for name, term in (("heat", Heat()), ("perona_malik", PeronaMalik(0.1, "rational"))):
        for steps in (1, 8):
            times = 0.2 * np.arange(steps + 1)
            runs[f"{name}_{steps}"] = (steps, partial(framewise(term, times, explicit_euler), video, out=out))
    for _, run in runs.values():
        run()  # Loads kernels and touches memory.
    taken: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + seconds
    while not taken["copy"] or time.perf_counter() < end:
        for name, (steps, run) in runs.items():  # In turn, so that a disturbance affects all.
            begun = time.perf_counter()
            run()
            taken[name].append((time.perf_counter() - begun) / steps)
    copy = statistics.median(taken.pop("copy"))
    ratios = {f"{name}_per_step": statistics.median(times) / copy for name, times in taken.items()}
    return {"copy_gb_per_s": 2 * video.nbytes / copy / 1e9, **ratios}


def _imported(name: str, fact: Callable[[Any], str]) -> str:
    """Return a fact about a package, or why there is none; any fault of a broken installation is reported."""
    try:
        return fact(importlib.import_module(name))
    except Exception as fault:
        return f"cannot be imported: {fault}"


def _ffmpeg(av: Any) -> str:
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    return f"{getattr(av, 'ffmpeg_version_info', 'unknown')} (libavcodec {codec})"


def processor() -> dict[str, Any]:
    """Return the name of the CPU, LLVM's name for it, and the bits of its widest vectors."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    widths = {"avx512f": 512, "avx2": 256, "avx": 256, "sse2": 128, "neon": 128}
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):  # Not Linux, or a processor without a name.
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return {
        "cpu": f"{name} ({llvm.get_host_cpu_name()})",
        "simd_bits": max((width for feature, width in widths.items() if features.get(feature)), default=0),
    }


def _named(folder: Path | None) -> str:
    return str(folder) if folder else "none: no folder can be written, so every process compiles again"
