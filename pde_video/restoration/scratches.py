"""Scratches: upright lines through the frame that stay where they are while the scene moves."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter1d

from pde_video.estimate.noise import estimate_sigma
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.motion.neighbours import windows
from pde_video.protocols import Array
from pde_video.restoration.in_scenes import Picture, flow, numbered, prepared
from pde_video.restoration.masks import Marked, as_video
from pde_video.threads import ordered

THRESHOLD = 3.0
_REACH = 2  # Frames on each side in which a line must be seen again.
EXTENT = Extent(_REACH + 1, _REACH, 1, None)  # Whether a frame begins a scene, the one before it tells.
_ROWS, _EVERY = 7, 4  # Rows whose mean is taken, and to one that is looked at.
_FAR = 4  # Columns to those beside a line: half of the widest.
_RANGE = 0.5  # Weight of their difference, as an error.
_LEAST = 1 / 255  # The smallest noise, of white; of floats, of the range of a frame.
_TILT = 0.02  # Of lines, in columns per row.
_MOST, _SOME = 0.75, 0.4  # Share of its rows in which a line stands out, and of columns beside it that belong to it.
_STAYS = 3.0  # Columns from frame to frame, at most.
_SEEN = 0.5  # Share of the frames around in which the line is.
_MOVES = 0.5  # Columns by which it moves otherwise than the scene, at least.


class _Line(NamedTuple):
    """A line x = middle + tilt · (row − half of the height), its first and last column, and whether it is bright."""

    first: int
    last: int
    tilt: float
    bright: bool

    @property
    def middle(self) -> float:
        return (self.first + self.last) / 2

    def columns(self, height: int) -> Array:
        """Return how far its columns are shifted in each row."""
        return _shifts(height, self.tilt)


@video_filter(extent=EXTENT, examples=("film.mp4 lines.mkv --codec ffv1", "film.mp4 lines.tif --threshold 5"))
def detect_scratches(frames: Frames, *, threshold: Annotated[float, Option(least=1)] = THRESHOLD) -> Iterator[Array]:
    """Mark scratches that run through the frame from top to bottom: a mask for `inpaint`.

    They are columns x, tilted by up to 2 %, in which u − max(l, r), or min(l, r) − u, is above
    threshold · σ + |l − r| / 2 in three quarters of the rows, for means over 7 rows, and l and r at x ± 4; that are in
    half of the frames around, up to 3 columns away; and that do not move with the scene, nor stand still with it.

    Parameters
    ----------
    threshold : float
        How far lines stand out from what is beside them, in units of the noise that is left in the means, ≥ 1.
    report : dict, optional
        Receives ``marked``, the share of all pixels that is marked; ``warnings``, if it is more than 3 %.

    Returns
    -------
    Video of the same kind and dtype, with frames (H, W): white (the largest value of an integer dtype, 1 of floats)
    where scratches are, 0 elsewhere.

    References
    ----------
    Newson, Almansa, Gousseau & Pérez (2014), doi:10.1109/TIP.2014.2300824, for lines that do not move with the scene.

    Examples
    --------
    >>> rows, columns = np.mgrid[:48, :64]
    >>> film = np.stack([0.5 + 0.2 * np.sin((columns - 2 * t) / 5) * np.cos(rows / 7) for t in range(5)])
    >>> film[:, :, 40:42] = 1.0
    >>> mask = pv.detect_scratches(film)
    >>> bool(mask[:, :, 40:42].all()), bool(mask.mean() < 0.05)
    (True, True)
    """
    return as_video(partial(scratched, threshold=threshold), frames)


def scratched(frames: Frames, threshold: float = THRESHOLD) -> Iterator[Marked]:
    """Yield the frames with their scratches masked."""
    pictures = numbered(ordered(partial(_with_lines, threshold=threshold, floats=frames.scale == 1), frames), {})
    return ordered(_marked, windows(pictures, _REACH, _REACH))


def _with_lines(frame: Array, threshold: float, floats: bool) -> Picture:
    """Return a frame with the lines in it, which its motion is seen without."""
    luma = frame.mean(axis=2)
    white = float(np.ptp(luma)) if floats else 1.0
    sigma = max(estimate_sigma([luma[..., np.newaxis]]), _LEAST * white)
    both = [_lines(sign * luma, sigma, threshold, bright=sign > 0) for sign in (1, -1)]
    lines = [one for some, others in (both, both[::-1]) for one in some if not _is_between(one, others)]
    return prepared((frame, _drawn(lines, luma.shape)))._replace(found=lines)


def _is_between(line: _Line, others: list[_Line]) -> bool:
    """Tell whether a line is what two lines of the other kind leave between them."""
    before = any(0 < line.first - one.last <= _FAR for one in others)
    return before and any(0 < one.first - line.last <= _FAR for one in others)


def _marked(window: tuple[int, list[Picture]]) -> Marked:
    """Return a frame with the lines that stay while the scene moves."""
    at, pictures = window
    here, others = pictures[at], pictures[:at] + pictures[at + 1 :]
    across = [2 * flow(here, other)[1] for other in others] if here.found else []
    kept = []
    for line in here.found:
        again = [(near, moved) for other, moved in zip(others, across, strict=True) for near in _near(line, other)[:1]]
        if again and len(again) >= _SEEN * len(others):
            apart = [near.middle - line.middle - _along(line, moved) for near, moved in again]
            kept += [line] * bool(np.square(apart).mean() >= _MOVES**2)
    return here.frame, _drawn(kept, here.mask.shape)


def _near(line: _Line, picture: Picture) -> list[_Line]:
    """Return the lines of the same kind close by, the closest first."""
    found = [one for one in picture.found if one.bright == line.bright and abs(one.middle - line.middle) <= _STAYS]
    return sorted(found, key=lambda one: abs(one.middle - line.middle))


def _along(line: _Line, across: Array) -> float:
    """Return how far the scene moves across a line, by the motion along rows at half of the size."""
    height, width = across.shape
    columns = np.clip(np.rint(line.middle + line.columns(2 * height)[::2]).astype(int) // 2, 0, width - 1)
    return float(np.median(across[np.arange(height), columns]))


def _lines(luma: Array, sigma: float, threshold: float, *, bright: bool) -> list[_Line]:
    """Return the bright lines of a picture (H, W)."""
    height, width = luma.shape
    if width <= 2 * _FAR + 2 or height < _ROWS:
        return []
    means = uniform_filter1d(luma, _ROWS, axis=0)[_ROWS // 2 :: _EVERY]
    beside = uniform_filter1d(means, 3, axis=1)
    left, right, here = beside[:, 1 : -2 * _FAR - 1], beside[:, 2 * _FAR + 1 : -1], means[:, _FAR + 1 : -_FAR - 1]
    least = threshold * sigma / np.sqrt(_ROWS) + _RANGE * np.abs(left - right)
    out = np.zeros(means.shape, np.float32)
    out[:, _FAR + 1 : -_FAR - 1] = here - np.maximum(left, right) > least
    steps = int(np.ceil(_TILT * height / 2))
    tilts = [2 * step / height for step in sorted(range(-steps, steps + 1), key=abs)]
    rows, columns = np.arange(len(out)), np.arange(width)
    shares = np.zeros((len(tilts), width))
    for share, tilt in zip(shares, tilts, strict=True):
        places = columns + _shifts(height, tilt)[_ROWS // 2 :: _EVERY, np.newaxis]
        inside = (places >= 0) & (places < width)
        share[:] = (out[rows[:, np.newaxis], places.clip(0, width - 1)] * inside).mean(axis=0)
    found = []
    best = shares.max(axis=0)
    while best.max() >= _MOST:
        middle = int(best.argmax())
        sharpness = np.square(shares[:, max(0, middle - _FAR) : middle + _FAR + 1]).sum(axis=1)
        at = int(sharpness.argmax())
        share = shares[at]
        belongs = np.flatnonzero(share < _SOME)
        before, after = belongs[belongs < middle], belongs[belongs > middle]
        first, last = int(before[-1]) + 1 if len(before) else 0, int(after[0]) - 1 if len(after) else width - 1
        found.append(_Line(first, last, tilts[at], bright))
        best[max(0, first - _FAR) : last + 1 + _FAR] = 0
    return found


def _shifts(height: int, tilt: float) -> Array:
    return np.rint(tilt * (np.arange(height) - height / 2)).astype(int)


def _drawn(lines: list[_Line], shape: tuple[int, ...]) -> Array:
    """Return a mask of lines, (H, W)."""
    mask = np.zeros(shape, bool)
    columns = np.arange(shape[1])
    for line in lines:
        places = columns - line.columns(shape[0])[:, np.newaxis]
        mask |= (places >= line.first) & (places <= line.last)
    return mask
