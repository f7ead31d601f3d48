"""The filter `fuse`: a coarse video refined by a fine one of the same scene, its guide."""

import math
from collections.abc import Iterator
from functools import reduce
from typing import Annotated, Any

import numpy as np
from scipy import ndimage

from pde_video.arrays.dtypes import scale_of
from pde_video.arrays.grid import to_planes
from pde_video.errors import InputError
from pde_video.estimate.contrast import estimate_kappa
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.motion.averaging import doubled, halved
from pde_video.protocols import Array
from pde_video.restoration.beside import beside, planes_of
from pde_video.terms.frozen import FrozenDiffusion
from pde_video.threads import ordered

_CONTRAST = 0.6  # κ, relative to the median contrast of the guide.
_TIME, _ROUNDS = 8.0, 6  # Of each implicit step, in pixels²; steps at each size.
# Error with the guide, relative to that without it, up to which it counts wholly, and from which on not at all.
_CERTAIN, _CHANCE = 1.0, 1.1
_FEWEST = 8  # Pixels on a side of a frame below which the guide is not tried on it.
_SPLINE = 3
_SMALLEST = np.finfo(np.float32).tiny
_APART = 16  # Rows, on which contrast is estimated.


@video_filter(extent=Extent(None, 0, 1, None), examples=("depth.tif fine.tif --guide colour.mp4",))
def fuse(
    frames: Frames,
    guide: Annotated[Any, Option(file=True)],
    *,
    kappa: Annotated[float | None, Option(above=0)] = None,
) -> Iterator[Array]:
    """Refine a coarse video by a finer one of the same scene: depth, heat or a weak channel by colour.

    ∂u/∂t = div(g(|∇guide|²) ∇u), g(s²) = (1 + s²/κ²)^(−3/2), while the mean of u over the pixels of the guide that a
    coarse pixel covers stays the value of that pixel. Edges come from the guide alone, so first the guide is tried: it
    refines means over 2 × 2 pixels of the frame, and counts only if it predicts the frame better than a spline does.
    See docs/fusion.md.

    Parameters
    ----------
    guide : array, video or path
        (H, W), (T, H, W), (T, H, W, C), or a file: one picture for all frames, as (1, H, W, C) if in colour, or one for
        each.
        Its sides are a whole multiple of those of the video, the same along both.
    kappa : float, optional
        κ > 0, the contrast of an edge, in units of the guide per pixel, in the channel that has most. Default: 0.6 of
        `estimate_kappa` of each picture.
    report : dict, optional
        Receives ``guided``, the share that the guide had in the result, from 0 to 1, the mean of the frames;
        ``warnings``, if that is less than half.

    Returns
    -------
    Video of the same kind and dtype, of the size of the guide. Its means are exact but for rounding.

    Raises
    ------
    InputError
        If the sizes or the numbers of frames do not fit.

    References
    ----------
    Perona & Malik (1990), doi:10.1109/34.56205. Weickert, Romeny & Viergever (1998), doi:10.1109/83.661190, for
    steps along one axis after the other. Metzger, Daudt & Schindler (2023), arXiv:2211.11592, for diffusion between
    adjustments to the coarse values.

    Examples
    --------
    >>> colour = np.zeros((24, 32)); colour[:, 14:] = 1.0
    >>> depth = 2.0 + 3.0 * colour
    >>> coarse = depth.reshape(1, 6, 4, 8, 4).mean(axis=(2, 4))
    >>> bool(abs(fuse(coarse, colour) - depth).max() < 0.05)
    True
    """
    total = seen = 0.0

    def made(picture: Array, name: str) -> _Guide:
        return _Guide(picture, name, kappa)

    for fine, share in ordered(lambda pair: _fused(*pair), beside(frames, guide, "guide", made)):
        total, seen = total + share, seen + 1
        frames.report["guided"] = total / seen
        yield fine
    if seen and total < seen / 2:
        frames.report.setdefault("warnings", []).append(
            f"the guide had a share of {total / seen:.0%} in the result: its edges do not predict those of the video "
            "better than interpolation does; is it of the same scene, at the same time, and does it lie upon it?"
        )


class _Guide:
    """A picture at all the sizes from that of the frames, (C, h, w), to its own, and its contrast of edges."""

    def __init__(self, picture: Array, name: str, kappa: float | None) -> None:
        self.name, self._planes = name, planes_of(picture, name).astype(np.float32, copy=False)
        frame, scale = np.moveaxis(self._planes, 0, -1), scale_of(picture.dtype)
        rows = [frame[k : k + 2] for k in range(0, max(1, len(frame) - 1), _APART)]  # Some tell as much as all.
        self._kappa = kappa / scale if kappa is not None else _CONTRAST * estimate_kappa(rows)
        self.steps: list[int] = []

    def for_frames(self, height: int, width: int) -> None:
        """Make the diffusions for frames of a size, if they have not been made; refuse frames that do not fit."""
        if self.steps:
            return
        rows, columns = self._planes.shape[1:]
        factor = rows // height
        if factor < 2 or (height * factor, width * factor) != (rows, columns):
            raise InputError(
                f"{self.name} has {rows} × {columns} pixels, the video {height} × {width}; both sides must be the same "
                "whole multiple, at least 2: crop or resize one of them"
            )
        steps, pictures = _prime_factors(factor), [self._planes]
        for step in steps[:0:-1]:
            pictures.append(_means(pictures[-1], step))
        self.diffusions = [self._diffusion(one) for one in reversed(pictures)]
        self.coarse = self._diffusion(_means(pictures[-1], steps[0])[:, : height - height % 2, : width - width % 2])
        self.steps = steps

    def _diffusion(self, planes: Array) -> FrozenDiffusion:
        """Return the diffusion that edges of a picture stop."""
        faces = np.zeros((3, 1, *planes.shape[1:]), np.float32)
        for axis, inside in ((0, faces[1, 0, :-1]), (1, faces[2, 0, :, :-1])):
            contrast = reduce(np.maximum, (np.square(np.diff(plane, axis=axis)) for plane in planes))
            if self._kappa > 0:
                with np.errstate(over="ignore"):
                    contrast = 1 + np.square(np.sqrt(contrast) / max(np.float32(self._kappa), _SMALLEST))
                    np.divide(1, contrast * np.sqrt(contrast), out=inside)
            else:  # Most of the guide is constant.
                inside[...] = contrast == 0
        return FrozenDiffusion(faces, np.ones(3), "neumann", 0.25)


def _prime_factors(number: int) -> list[int]:
    """Return the prime factors, the largest first."""
    for factor in range(2, math.isqrt(number) + 1):
        if number % factor == 0:
            return [*_prime_factors(number // factor), factor]
    return [number]


def _fused(frame: Array, guide: _Guide) -> tuple[Array, float]:
    """Return a frame at the size of its guide, and the share that the guide has in it."""
    planes = to_planes(frame, -1)
    base = planes[:, :1, :1].copy()  # Relative to it, so that constants have no rounding errors.
    planes = planes - base
    guide.for_frames(*planes.shape[1:])
    share = _share(planes, guide.coarse)
    fine = planes.dtype.type(0)
    if share > 0:
        fine = planes.dtype.type(share) * _guided(planes, guide.steps, guide.diffusions)
    if share < 1:
        fine = fine + planes.dtype.type(1 - share) * _unguided(planes, guide.steps)
    return np.moveaxis(fine + base, 0, -1), share


def _share(planes: Array, diffusion: FrozenDiffusion) -> float:
    """Return the share that a guide deserves, by what it makes of means over 2 × 2 pixels of a frame."""
    rows, columns = diffusion.faces.shape[2:]
    if min(rows, columns) < _FEWEST:
        return 1.0
    truth = planes[:, :rows, :columns]
    coarse = halved(truth)
    guided, without = (
        math.fsum(np.square(one - truth).ravel()) for one in (_guided(coarse, [2], [diffusion]), _unguided(coarse, [2]))
    )
    return min(max((_CHANCE * without - guided) / ((_CHANCE - _CERTAIN) * without), 0.0), 1.0) if without else 1.0


def _guided(planes: Array, steps: list[int], diffusions: list[FrozenDiffusion]) -> Array:
    """Return planes (C, H, W) enlarged in steps, at each size with its diffusion."""
    fine = planes
    for at, (step, diffusion) in enumerate(zip(steps, diffusions, strict=True), 1):
        fine = _adjusted(_enlarged(fine, step, 1), planes, steps[:at])
        for k in range(_ROUNDS):
            for axis in (k % 2, 1 - k % 2):
                fine = diffusion.solve_axis(0.0, fine, _TIME, axis)
            fine = _adjusted(fine, planes, steps[:at])
    return fine


def _unguided(planes: Array, steps: list[int]) -> Array:
    """Return planes enlarged by a spline."""
    return _adjusted(_enlarged(planes, math.prod(steps), _SPLINE), planes, steps)


def _adjusted(fine: Array, planes: Array, steps: list[int]) -> Array:
    """Return planes with the means that the coarse ones have, by one number for each of their pixels."""
    means = fine
    for step in reversed(steps):
        means = _means(means, step)
    factor = math.prod(steps)
    channels, height, width = planes.shape
    blocks = fine.reshape(channels, height, factor, width, factor)
    return (blocks + (planes - means)[:, :, np.newaxis, :, np.newaxis]).reshape(fine.shape)


def _means(planes: Array, step: int) -> Array:
    """Return the means over step × step pixels of planes (C, H, W)."""
    if step == 2:
        return halved(planes)
    rows = reduce(np.add, (planes[:, k::step] for k in range(step)))
    total = reduce(np.add, (rows[..., k::step] for k in range(step)))
    return np.asarray(total / planes.dtype.type(step * step))


def _enlarged(planes: Array, factor: int, order: int) -> Array:
    """Return planes (C, H, W) interpolated by splines."""
    if factor == 2 and order == 1:
        return np.stack([doubled(one, 2 * planes.shape[1], 2 * planes.shape[2]) for one in planes])
    return np.stack([ndimage.zoom(one, factor, order=order, mode="nearest", grid_mode=True) for one in planes])
