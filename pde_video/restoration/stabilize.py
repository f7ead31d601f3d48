"""The filter `stabilize`: the path of a shaky camera is diffused along time, and frames are moved onto it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Annotated, NamedTuple

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.estimate.scene import is_cut_not_motion
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.kernels.motion_averages import EDGE
from pde_video.motion.averaging import EXACT, halved, padded, warped, warped_at
from pde_video.motion.noisy_flow import pyramid
from pde_video.protocols import Array
from pde_video.restoration.along_time import heat_kernel, pairs, windows
from pde_video.restoration.camera_motion import Similarity, camera_motion
from pde_video.restoration.fill import along_edges, harmonic
from pde_video.threads import ordered

BORDERS = ("fill", "crop", "black")
_UNIT = 0.25  # Of pictures between which a cut is looked for, in standard deviations.
_UNSEEN = 0.05  # Pixels up to which frames stay where they are.
_RIM = 0.5  # Pixels by which places may be outside of a frame.


class Look(NamedTuple):
    """A frame, what tells its motion, and the motion since the frame before it."""

    seen: Array  # Planes (C, H, W) with padding.
    luma: Array  # (H, W)
    levels: list[Array]
    scene: int = 0
    since: Similarity = Similarity()

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.seen.shape[1] - 2 * EDGE, self.seen.shape[2] - 2 * EDGE


class Moved(NamedTuple):
    """A frame on the steady path, and what was done."""

    frame: Array
    farthest: float  # Pixels by which a corner is moved,
    bare: float  # and shares of the picture that the frame does not show,
    shown: float  # and that others do.


@video_filter(
    extent=lambda smoothing, **others: Extent(2 * smoothing, 2 * smoothing, 1, None),
    examples=("shaky.mp4 steady.mkv", "shaky.mp4 steady.mkv --borders crop --margin 0.05"),
)
def stabilize(
    frames: Frames,
    *,
    smoothing: Annotated[int, Option(unit="frames", least=1, most=100)] = 15,
    borders: Annotated[str, Option(choices=BORDERS)] = "fill",
    margin: Annotated[float, Option(above=0, most=0.4)] = 0.1,
) -> Iterator[Array]:
    """Steady shaky video: the path of the camera is diffused along time, ∂p/∂s = ∂²p/∂t², and frames moved onto it.

    u_t ← u_t(R_t⁻¹(x)), log R_t = Σ_s a_ts log R_ts, with the similarity R_ts that most of the picture follows from
    frame t to frame s: those from each frame to the next, found by optical flow and then by details, set one behind the
    other. a_ts is a heat kernel, closed at cuts, and near to the ends of scenes that of the straight line with the
    least squares. So a camera that moves at a steady speed keeps it. Frames that are right to 0.05 pixels stay as they
    are, bit for bit; others are interpolated once, by Keys's cubic convolution. See docs/stabilization.md.

    Parameters
    ----------
    smoothing : int
        Standard deviation of the kernel, about, in frames, 1 to 100. Twice as many on each side count.
    borders : {"fill", "crop", "black"}
        What is beside a frame that is moved: "fill" takes what up to `smoothing` frames on each side show there, the
        nearest first, and fills along edges what none shows; "crop" takes the `margin` off every frame; "black" is 0.
    margin : float
        Most by which a corner is moved, as a share of height and width, 0 to 0.4.
    report : dict, optional
        Receives ``largest_correction``, the farthest that a corner was moved, in pixels; ``cuts``, where scenes begin;
        and with "fill", ``filled``, the share of all pixels that was filled, and ``along_motion``, the share of these
        that other frames show.

    References
    ----------
    Matsushita, Ofek, Ge, Tang & Shum (2006), doi:10.1109/TPAMI.2006.141. Keys (1981), doi:10.1109/TASSP.1981.1163711.

    Examples
    --------
    >>> rows, columns = np.mgrid[:48, :64]
    >>> shaky = np.stack([np.sin((columns + d) / 4) * np.cos(rows / 5) for d in (0, 1, 0, 1, 0, 1, 0, 1)])
    >>> steady = stabilize(shaky, smoothing=3)
    >>> float(abs(np.diff(steady, axis=0)).mean() / abs(np.diff(shaky, axis=0)).mean()) < 0.3
    True
    """
    linked = ordered(_linked, pairs(ordered(_looked, frames), _is_cut, frames.report))
    near = windows(linked, 2 * smoothing, lambda one: one._replace(seen=one.seen[:0]), kept=smoothing)
    moved = ordered(partial(_moved, smoothing=smoothing, borders=borders, margin=margin), near)
    farthest = bare = shown = 0.0
    for number, one in enumerate(moved, 1):
        farthest, bare, shown = max(farthest, one.farthest), bare + one.bare, shown + one.shown
        frames.report["largest_correction"] = farthest
        if borders == "fill":
            frames.report["filled"] = bare / number
            frames.report["along_motion"] = shown / bare if bare else 0.0
        yield one.frame


def _looked(frame: Array) -> Look:
    planes = to_planes(frame, -1)
    luma = np.ascontiguousarray(planes.mean(axis=0))
    return Look(padded(planes), luma, _pyramid(luma))


def _is_cut(before: Look, here: Look) -> bool:
    """Tell whether two frames are of different scenes, also if the second is moved as the camera would have."""
    if not _unlike(before.levels, here.levels):
        return False
    motion = camera_motion(before.luma, here.luma)
    if motion is None:
        return True
    flow = motion.flow(here.size).astype(here.luma.dtype)
    return _unlike(before.levels, _pyramid(warped(padded(here.luma[np.newaxis]), flow, EXACT)[0]))


def _unlike(before: list[Array], here: list[Array]) -> bool:
    unit = 1 / (_UNIT * float(before[0].std(dtype=np.float64)) or 1.0)
    return is_cut_not_motion(*([np.float32(unit) * level for level in levels] for levels in (before, here)), sigma=0.0)


def _pyramid(luma: Array) -> list[Array]:
    return pyramid(halved(luma[np.newaxis])[0])


def _linked(pair: tuple[Look | None, Look]) -> Look:
    before, here = pair
    since = None if before is None else camera_motion(before.luma, here.luma)
    return here._replace(since=since or Similarity(), luma=here.luma[:0], levels=[])


@lru_cache(maxsize=256)
def _weights(before: int, after: int, width: int) -> Array:
    """Return the weights of the straight line that fits a path best near to a frame, by the heat kernel there.

    In the middle of a scene they are that kernel.
    """
    w, time = heat_kernel(before, after, width), np.arange(-before, after + 1)
    first, second = (w * time).sum(), (w * time**2).sum()
    spread = second - first**2
    found: Array = w * (second - first * time) / spread if spread else w
    return found


def _moved(window: tuple[int, list[Look]], smoothing: int, borders: str, margin: float) -> Moved:
    """Return the frame, moved from where it is to where its path is steady."""
    at, looks = window
    to = [Similarity()] * len(looks)  # Where what is here is in each of the frames.
    for k in range(at + 1, len(looks)):
        to[k] = to[k - 1].then(looks[k].since)
    for k in range(at, 0, -1):
        to[k - 1] = to[k].then(looks[k].since.inverse())
    path, weights = np.stack([one.numbers() for one in to]), _weights(at, len(looks) - 1 - at, smoothing)
    back = Similarity.of((weights[:, np.newaxis] * path).sum(axis=0)).inverse()
    seen, size = looks[at].seen, looks[at].size
    room = [min(max(math.floor(margin * n), 1), (n - 1) // 2) for n in size]
    share = min(most / max(far, most, 1) for most, far in zip(room, back.farthest(size), strict=True))
    back = Similarity.of(share * back.numbers())
    farthest = math.hypot(*back.farthest(size))
    planes, bare, shown = seen[:, EDGE:-EDGE, EDGE:-EDGE], 0, 0
    if farthest < _UNSEEN:
        farthest = 0.0
    else:
        flow = back.flow(size)
        planes, outside = warped(seen, flow.astype(seen.dtype), EXACT), ~_inside(flow)
        bare = int(np.count_nonzero(outside))
        if borders == "black":
            planes[:, outside] = 0
        elif borders == "fill" and bare:
            planes, missing = _filled(planes, outside, back, at, looks, to)
            shown = bare - missing
    if borders == "crop":
        planes = planes[:, room[0] : size[0] - room[0], room[1] : size[1] - room[1]]
    return Moved(np.moveaxis(planes, 0, -1).copy(), farthest, bare / math.prod(size), shown / math.prod(size))


def _filled(
    planes: Array, outside: Array, back: Similarity, at: int, looks: list[Look], to: list[Similarity]
) -> tuple[Array, int]:
    """Return planes with what the nearest other frames show outside of this, and how many pixels none shows.

    These are filled in space.
    """
    missing = outside.copy()
    for k in sorted(range(len(looks)), key=lambda k: abs(k - at)):
        if k != at and looks[k].seen.size and missing.any():
            flow = back.then(to[k]).flow(looks[at].size)
            visible = missing & _inside(flow)
            planes[:, visible] = warped_at(visible, looks[k].seen, flow.astype(planes.dtype), EXACT)
            missing &= ~visible
    return along_edges(harmonic(planes, missing), missing), int(np.count_nonzero(missing))


def _inside(flow: Array) -> Array:
    """Tell where x + w lies in the frame, or less than half a pixel beside it."""
    inside = (
        (at >= -_RIM) & (at <= n - 1 + _RIM)
        for at, n in zip(flow + np.indices(flow.shape[1:]), flow.shape[1:], strict=True)
    )
    return np.logical_and(*inside)
