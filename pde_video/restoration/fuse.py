"""The filter `fuse`: a coarse video refined by a fine one of the same scene, its guide."""

import math
import threading
from collections.abc import Iterator
from functools import reduce
from typing import Annotated, Any, NamedTuple

import numpy as np
from scipy import ndimage

from pde_video.arrays.dtypes import scale_of
from pde_video.arrays.grid import to_planes
from pde_video.errors import InputError, ParameterError
from pde_video.estimate.contrast import estimate_kappa
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.motion.averaging import doubled, halved
from pde_video.protocols import Array
from pde_video.restoration.along_guide import Seen, Sight, along_guide, sight
from pde_video.restoration.beside import beside, hint_of_colour, planes_of
from pde_video.restoration.known_values import Completed, completed, power_of_two
from pde_video.restoration.masks import NAN, Marked, marked
from pde_video.restoration.trust import with_shares
from pde_video.terms.frozen import FrozenDiffusion
from pde_video.threads import ordered

_CONTRAST, _FAINTEST = 0.6, 0.01  # κ, relative to the usual contrast of the guide; at least, to the range of values.
_TIME, _ROUNDS = 8.0, 6  # Of each implicit step, in pixels²; steps at each size.
_FEWEST = 4  # Pixels on a side of the means of a frame below which the guide is not tested on them.
_SPLINE = 3
_SMALLEST = np.finfo(np.float32).tiny
_APART = 4  # Rows to one on which contrast is estimated.
_GOLDEN = (math.sqrt(5) - 1) / 2


@video_filter(
    extent=lambda radius, **others: Extent(None, radius, 1, None),
    examples=(
        "depth.tif fine.tif --guide colour.mp4",
        "sparse.tif full.tif --guide colour.mp4 --mask nan",
        "sparse.tif full.tif --guide colour.mp4 --mask nan --radius 4",
    ),
)
def fuse(
    frames: Frames,
    guide: Annotated[Any, Option(file=True)],
    *,
    mask: Annotated[Any, Option(file=True, choices=(NAN,))] = None,
    kappa: Annotated[float | None, Option(above=0)] = None,
    radius: Annotated[int, Option(unit="frames", least=0, most=32)] = 0,
) -> Iterator[Array]:
    """Refine a coarse video, or one with holes, by a finer one of the same scene: depth or heat by colour.

    ∂u/∂t = div(g(|∇guide|²) ∇u), g(s²) = (1 + s²/κ²)^(−3/2), while the mean of u over the pixels of the guide that a
    coarse pixel covers stays the value of that pixel; or with a `mask`, at rest, while what is not masked stays. Edges
    come from the guide alone, so it is tested first: it has to refine means over 2 × 2 and 4 × 4 pixels of the frame
    better than a spline does, or to tell known pixels better than the heat equation, or else it does not count. With a
    mask and a `radius`, div(g ∇u) + c (m − u) = 0 for the mean m of what is known in the frames around, along the
    optical flow of the guide, and with a weight c that is tested in the same way. See docs/fusion.md.

    Parameters
    ----------
    guide : array, video or path
        (H, W), (T, H, W), (T, H, W, C), or a file: one picture for all frames, as (1, H, W, C) if in colour, or one for
        each. Its sides are a whole multiple of those of the video, the same along both; with a mask they are equal.
    mask : array, video or path, optional
        True or white where the video is not known, as for `inpaint`; "nan" where it is NaN or infinite.
    kappa : float, optional
        κ > 0, the contrast of an edge, in units of the guide per pixel, in the channel that has most. Default: 0.6 of
        `estimate_kappa` of each picture, on a quarter of its rows, at least 1 % of the range of its values.
    radius : int
        Frames on each side whose known pixels are used along the motion of the guide, 0 to 32; with a mask. 4 is a
        good choice; its time is about twice that of 0. Frames of which nothing is known need one.
    report : dict, optional
        Receives ``guided``, the share that the guide had in the result, from 0 to 1, the mean of the frames; with a
        mask ``masked``, the share of all pixels that was filled; with a radius ``along_motion``, the share that other
        frames had, the mean of the frames with holes, and ``cuts``, where scenes of the guide begin; ``warnings``, if
        the guide had less than half.

    Returns
    -------
    Video of the same kind and dtype, of the size of the guide. Its means are exact but for rounding; what is not masked
    is as it was, bit for bit.

    Raises
    ------
    InputError
        If the sizes or the numbers of frames do not fit.
    ParameterError
        If there is a radius, but no mask.

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
    >>> sparse = np.where(np.random.default_rng(0).random((1, 24, 32)) < 0.1, depth, np.nan)
    >>> bool(abs(fuse(sparse, colour, mask="nan") - depth).max() < 0.2)
    True
    """

    def made(picture: Array, name: str) -> _Guide:
        return _Guide(picture, name, kappa)

    def filled(one: tuple[int, tuple[Marked, _Guide]]) -> Completed:
        number, ((frame, where), picture) = one
        if where.all() and not radius:
            raise InputError(
                f"frame {number} is masked as a whole, and nothing of it is known; leave it out, `inpaint` it first, "
                "or give a `radius`, within which other frames tell something of it"
            )
        return completed(frame, where, picture.whole(), picture.name)

    def seen(one: tuple[int, tuple[Marked, _Guide]]) -> Seen:
        return Seen(filled(one), one[1][1].sight(), one[1][1].whole())

    if radius and mask is None:
        raise ParameterError(
            f"radius is {radius}, but without a mask nothing is taken from other frames: give a `mask`, or leave "
            "radius at 0"
        )
    tried: Iterator[_Tried | Completed]
    if mask is None:
        tried = ordered(lambda pair: _tried(*pair), beside(frames, guide, "guide", made))
    else:
        pairs = enumerate(beside(marked(frames, mask, None, 0.0), guide, "guide", made))
        alone = radius == 0
        tried = ordered(filled, pairs) if alone else along_guide(ordered(seen, pairs), frames.report, radius)
    total = count = 0.0
    for fine, share in ordered(lambda one: (one[0].result(one[1]), one[1]), with_shares(tried)):
        total, count = total + share, count + 1
        frames.report["guided"] = total / count
        yield fine
    if total < count / 2:
        frames.report.setdefault("warnings", []).append(
            f"the guide had a share of {total / count:.0%} in the result: its edges do not predict those of the video "
            "better than interpolation does; is it of the same scene, at the same time, and aligned with it?"
        )


class _Guide:
    """A picture at all the sizes from that of the frames, (C, h, w), to its own, and its contrast of edges."""

    def __init__(self, picture: Array, name: str, kappa: float | None) -> None:
        self.name, self._lock = name, threading.Lock()
        self.steps: list[int] = []
        self._sight: Sight | None = None
        self.diffusions: list[FrozenDiffusion] = []
        planes = planes_of(picture, name)
        least = planes.min()
        contrast = float(planes.max() - least) or 1.0
        self._range = float(least), contrast
        self._planes = ((planes - least) / planes.dtype.type(contrast)).astype(np.float32, copy=False)
        self._kappa = kappa / scale_of(picture.dtype) / contrast if kappa is not None else self._usual()

    def _usual(self) -> float:
        """Return κ by the contrast on some rows, which are spread irregularly."""
        frame = np.moveaxis(self._planes, 0, -1)
        last = max(0, len(frame) - 2)
        places = {int(k * _GOLDEN % 1 * (last + 1)) for k in range(last // _APART + 1)}
        return max(_CONTRAST * estimate_kappa([frame[k : k + 2] for k in sorted(places)]), _FAINTEST)

    def whole(self) -> FrozenDiffusion:
        """Return the diffusion at its own size."""
        with self._lock:
            self.diffusions = self.diffusions or [self._diffusion(self._planes)]
        return self.diffusions[-1]

    def sight(self) -> Sight:
        """Return what tells its motion."""
        with self._lock:
            self._sight = self._sight or sight(self._planes, *self._range)
        return self._sight

    def for_frames(self, height: int, width: int) -> None:
        """Make the diffusions for frames of a size, if they have not been made; refuse frames that do not fit."""
        with self._lock:  # One guide may serve several frames at once.
            if not self.steps:
                self._make(height, width)

    def _make(self, height: int, width: int) -> None:
        rows, columns = self._planes.shape[1:]
        factor = rows // height
        if factor < 2 or (height * factor, width * factor) != (rows, columns):
            alike = ", or say with `mask` what of the video is not known" * ((rows, columns) == (height, width))
            raise InputError(
                f"{self.name} has {rows} × {columns} pixels, the video {height} × {width}; both sides must be the same "
                f"whole multiple, at least 2: crop or resize one of them{alike}{hint_of_colour(columns)}"
            )
        steps, pictures = _prime_factors(factor), [self._planes]
        for step in steps[:0:-1]:
            pictures.append(_means(pictures[-1], step))
        self.diffusions = [self._diffusion(one) for one in reversed(pictures)]
        self.tests = []
        for halvings in (1, 2):
            apart = 2**halvings
            part = _means(pictures[-1], steps[0])[:, : height - height % apart, : width - width % apart]
            if min(part.shape[1:]) >= _FEWEST * apart:
                self.tests.append([self._diffusion(one) for one in ([part], [halved(part), part])[halvings - 1]])
        self.steps = steps

    def _diffusion(self, planes: Array) -> FrozenDiffusion:
        """Return the diffusion that edges of a picture stop."""
        faces = np.zeros((3, 1, *planes.shape[1:]), np.float32)
        for axis, inside in ((0, faces[1, 0, :-1]), (1, faces[2, 0, :, :-1])):
            contrast = reduce(np.maximum, (np.square(np.diff(plane, axis=axis)) for plane in planes))
            with np.errstate(over="ignore"):
                contrast = 1 + np.square(np.sqrt(contrast) / max(np.float32(self._kappa), _SMALLEST))
                np.divide(1, contrast * np.sqrt(contrast), out=inside)
        return FrozenDiffusion(faces, np.ones(3), "neumann", 0.25)


def _prime_factors(number: int) -> list[int]:
    """Return the prime factors, the largest first."""
    for factor in range(2, math.isqrt(number) + 1):
        if number % factor == 0:
            return [*_prime_factors(number // factor), factor]
    return [number]


class _Tried(NamedTuple):
    """A frame in units of itself, and what its guide made of means over some of its pixels."""

    planes: Array  # (C, h, w)
    base: Array
    unit: Array
    guide: _Guide
    errors: list[tuple[float, float]]  # With the guide, and without.

    def result(self, share: float) -> Array:
        """Return the frame at the size of its guide, with some share of the guide in it."""
        planes, guide = self.planes, self.guide
        parts = []
        if share > 0:
            parts.append(planes.dtype.type(share) * _guided(planes, guide.steps, guide.diffusions))
        if share < 1:
            parts.append(planes.dtype.type(1 - share) * _unguided(planes, guide.steps))
        return np.moveaxis(reduce(np.add, parts) * self.unit + self.base, 0, -1)


def _tried(frame: Array, guide: _Guide) -> _Tried:
    """Return a frame with the errors of tests of its guide."""
    planes = to_planes(frame, -1)
    base = planes[:, :1, :1].copy()  # Relative to it, so that constants have no rounding errors.
    planes = planes - base
    unit = power_of_two(planes)
    planes = planes / unit
    guide.for_frames(*planes.shape[1:])
    return _Tried(planes, base, unit, guide, [_errors(planes, diffusions) for diffusions in guide.tests])


def _errors(planes: Array, diffusions: list[FrozenDiffusion]) -> tuple[float, float]:
    """Return the squared errors of what a guide makes of means of planes, and of what a spline does."""
    rows, columns = diffusions[-1].faces.shape[2:]
    truth = planes[:, :rows, :columns]
    coarse, steps = reduce(lambda one, _: halved(one), diffusions, truth), [2] * len(diffusions)
    both = _guided(coarse, steps, diffusions), _unguided(coarse, steps)
    # Down the rows first: the same sums on every machine.
    guided, without = (math.fsum(np.square(one - truth, dtype=np.float64).sum(axis=1).ravel()) for one in both)
    return guided, without


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
