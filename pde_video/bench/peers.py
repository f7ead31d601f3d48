"""Denoisers of other libraries: (noisy video in [0, 1], strength) -> denoised video."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pde_video.protocols import Array


def _each_frame(function: Callable[[Array], Array], video: Array) -> Array:
    return np.stack([function(frame) for frame in video])


def _each_channel(function: Callable[[Array], Array], video: Array) -> Array:
    """Apply a function of (T, H, W) to every channel."""
    if video.ndim == 3:
        return function(video)
    return np.stack([function(np.ascontiguousarray(video[..., c])) for c in range(video.shape[3])], axis=-1)


def tv(video: Array, weight: float) -> Array:
    """Chambolle's total variation of every frame."""
    from skimage.restoration import denoise_tv_chambolle

    axis = -1 if video.ndim == 4 else None
    return _each_frame(lambda frame: denoise_tv_chambolle(frame, weight, channel_axis=axis), video)


def tv_3d(video: Array, weight: float) -> Array:
    """Chambolle's total variation of the volume (time, row, column)."""
    from skimage.restoration import denoise_tv_chambolle

    return np.asarray(denoise_tv_chambolle(video, weight, channel_axis=-1 if video.ndim == 4 else None))


def nl_means(video: Array, h: float) -> Array:
    """Fast non-local means of every frame."""
    from skimage.restoration import denoise_nl_means

    axis = -1 if video.ndim == 4 else None
    return _each_frame(lambda frame: denoise_nl_means(frame, h=h, sigma=h, fast_mode=True, channel_axis=axis), video)


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

    return _each_channel(lambda planes: _each_frame(lambda frame: package.bm3d(frame, sigma), planes), video)


def bm4d(video: Array, sigma: float) -> Array:
    """BM4D of the volume (Maggioni et al. 2013, doi:10.1109/TIP.2012.2210725)."""
    import bm4d as package

    return _each_channel(lambda planes: package.bm4d(planes, sigma), video)
