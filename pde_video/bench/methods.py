"""The denoisers that are compared; each maps a noisy video, float32 in [0, 1], to a clean one."""

import importlib
import importlib.metadata
import importlib.util
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.bench import ffmpeg
from pde_video.denoising.denoise import PRESETS, denoise
from pde_video.denoising.other_methods import BY_DENOISER, BY_EVOLUTION
from pde_video.errors import ParameterError
from pde_video.estimate.noise import estimate_sigma
from pde_video.filters.spacetime import spacetime
from pde_video.integrators.loop import uniform
from pde_video.protocols import Array
from pde_video.terms.perona_malik import PeronaMalik

OURS = "pde-video"


@dataclass(frozen=True)
class Method:
    """A denoiser: ``run(video)`` for this library, which estimates the noise, and ``run(video, strength)`` for others.

    `strength` is each of ``factors`` times the true root-mean-square noise, in units in which white is ``white``.
    """

    name: str
    package: str  # The name under which it is installed.
    run: Callable[..., Array]
    factors: tuple[float, ...] = ()
    parameter: str = ""
    white: float = 1.0
    most: float = math.inf  # The largest strength that it accepts.
    slow: bool = False  # Choose the strength on the middle of the frames only.
    module: str = ""  # The module to import, where it is not called like the package.

    @property
    def ours(self) -> bool:
        """Whether it is a method of this library."""
        return self.package == OURS

    def missing(self) -> str | None:
        """Return what is missing, or None."""
        if isinstance(self.run, ffmpeg.Filter):
            return ffmpeg.lacks(self.run.name)
        if not self.ours and importlib.util.find_spec(self.module or self.package) is None:
            return f"the package {self.package} is not installed"
        return None

    def version(self) -> str:
        """Return the version of the package."""
        if isinstance(self.run, ffmpeg.Filter):
            return ffmpeg.version()
        try:
            return importlib.metadata.version(self.package)
        except importlib.metadata.PackageNotFoundError:  # OpenCV comes as several packages.
            return getattr(importlib.import_module(self.module or self.package), "__version__", "unknown")


def _spacetime(video: Array) -> Array:
    # The best contrast and time of a few, on the clips of docs/benchmark.md at σ = 20.
    sigma = estimate_sigma(video[:5])
    if sigma == 0:
        return video
    channels = video.shape[3] if video.ndim == 4 else 1
    term = PeronaMalik(0.2 * sigma * channels**0.5, "rational", smoothing=0.7)
    return np.asarray(spacetime(term, uniform(2.0))(video))


def _each_channel(function: Callable[[Array], Array], video: Array) -> Array:
    """Apply a function of (T, H, W) to every channel."""
    if video.ndim == 3:
        return function(video)
    return np.stack([function(np.ascontiguousarray(video[..., c])) for c in range(video.shape[3])], axis=-1)


def tv(video: Array, weight: float, *, volume: bool = False) -> Array:
    """Chambolle's total variation of every frame, or of the volume (time, row, column)."""
    from skimage.restoration import denoise_tv_chambolle

    denoised = partial(denoise_tv_chambolle, weight=weight, channel_axis=-1 if video.ndim == 4 else None)
    return np.asarray(denoised(video)) if volume else np.stack(list(map(denoised, video)))


def nl_means(video: Array, h: float) -> Array:
    """Fast non-local means of every frame."""
    from skimage.restoration import denoise_nl_means

    axis = -1 if video.ndim == 4 else None
    return np.stack([denoise_nl_means(frame, h=h, sigma=h, fast_mode=True, channel_axis=axis) for frame in video])


def opencv(video: Array, h: float) -> Array:
    """Non-local means over five 8-bit frames; the clip is mirrored at its ends."""
    import cv2

    def denoised(planes: Array) -> Array:
        frames = np.rint(255 * np.clip(planes, 0, 1)).astype(np.uint8)
        padded = list(np.pad(frames, ((2, 2), (0, 0), (0, 0)), mode="reflect"))
        return np.stack([cv2.fastNlMeansDenoisingMulti(padded, k + 2, 5, None, h) for k in range(len(frames))])

    return _each_channel(denoised, video).astype(np.float32) / 255


def bm3d(video: Array, sigma: float) -> Array:
    """BM3D of every frame (Dabov et al. 2007, doi:10.1109/TIP.2007.901238)."""
    import bm3d as package

    return _each_channel(lambda planes: np.stack([package.bm3d(plane, sigma) for plane in planes]), video)


def bm4d(video: Array, sigma: float) -> Array:
    """BM4D of the volume (Maggioni et al. 2013, doi:10.1109/TIP.2012.2210725)."""
    import bm4d as package

    return _each_channel(lambda planes: package.bm4d(planes, sigma), video)


def _ffmpeg(name: str, text: str, factors: tuple[float, ...], parameter: str, **kwargs: Any) -> Method:
    run = ffmpeg.Filter(name, text, kwargs.pop("depth", 16), gray=name != "hqdn3d")
    return Method(f"ffmpeg {name}", "imageio-ffmpeg", run, factors, parameter, **kwargs)


_PRESETS = {f"denoise, {name}": partial(denoise, preset=name) for name in PRESETS}
_ALONE = {f"denoise, {name}": partial(denoise, method=name) for name in (*BY_EVOLUTION, *BY_DENOISER)}
_SKIMAGE: dict[str, Any] = {"package": "scikit-image", "module": "skimage"}
_OPENCV: dict[str, Any] = {"package": "opencv-contrib-python-headless", "module": "cv2", "white": 255, "slow": True}
_TV_3D = partial(tv, volume=True)
_ATADENOISE = ":".join(f"{plane}a={{0}}:{plane}b=5" for plane in range(3))
# Options of ffmpeg's filters are those with the best results at σ = 20.
METHODS: list[Method] = [
    *(Method(name, OURS, run) for name, run in (_PRESETS | _ALONE).items()),
    Method("space-time Perona–Malik", OURS, _spacetime),
    _ffmpeg("hqdn3d", "hqdn3d={0}", (1.0, 1.5, 2.0, 2.5, 3.0), "strength", white=255),
    _ffmpeg("nlmeans", "nlmeans=s={0}", (0.4, 0.5, 0.6, 0.7, 0.8, 1.0), "s", white=255, most=30, depth=8),
    _ffmpeg("atadenoise", f"atadenoise={_ATADENOISE}:a=s", (2.0, 3.0, 4.0, 6.0), "a", most=0.3),
    _ffmpeg("bm3d", "bm3d=sigma={0}:bstep=4", (2.0, 2.5, 3.0, 3.5, 4.0, 5.0), "sigma", white=255),
    Method("OpenCV fastNlMeansDenoisingMulti", run=opencv, factors=(0.7, 0.8, 0.9, 1.0), parameter="h", **_OPENCV),
    Method("scikit-image TV", run=tv, factors=(0.5, 0.7, 0.9, 1.2, 1.5), parameter="weight", **_SKIMAGE),
    Method("scikit-image TV in 3-D", run=_TV_3D, factors=(0.4, 0.5, 0.6, 0.8), parameter="weight", **_SKIMAGE),
    Method("scikit-image NL means", run=nl_means, factors=(0.7, 0.8, 0.9), parameter="h", slow=True, **_SKIMAGE),
    Method("BM3D, frame by frame", "bm3d", bm3d, (0.9, 1.0, 1.15), "sigma", slow=True),
    Method("BM4D on the volume", "bm4d", bm4d, (0.9, 1.0, 1.15), "sigma", slow=True),
]


def chosen(names: Sequence[str]) -> list[Method]:
    """Return the methods with a word that begins with one of `names`, in any case; without names, all."""
    patterns = {name: re.compile(rf"\b{re.escape(name)}", re.IGNORECASE) for name in names}
    unknown = [name for name in names if not any(patterns[name].search(method.name) for method in METHODS)]
    if unknown:
        known = "; ".join(method.name for method in METHODS)
        raise ParameterError(f"there is no method {', '.join(unknown)}; choose from: {known}")
    return [one for one in METHODS if not names or any(pattern.search(one.name) for pattern in patterns.values())]


def first_call(method: Method, video: Array) -> float:
    """Return the seconds of the first call in a new process without compiled kernels."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "video.npy")
        np.save(path, video)
        code = f"from pde_video.bench import methods; methods.time_call({method.name!r}, {str(path)!r})"
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return float(said.stdout)


def time_call(name: str, path: str) -> None:
    """Print the seconds that a method takes for the video in a file."""
    method, video = next(method for method in METHODS if method.name == name), np.load(path)
    begun = time.perf_counter()
    method.run(video)
    print(time.perf_counter() - begun)
