"""Diffusion in space and time, run along a stream."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import groupby, islice, pairwise
from operator import itemgetter
from typing import Any

import numpy as np

from pde_video.errors import ParameterError
from pde_video.estimate.scene import is_scene_cut
from pde_video.filters import Extent, Frames, FrozenFilter
from pde_video.filters.framewise import frozen_times
from pde_video.integrators.loop import checked_times, evolve
from pde_video.protocols import Array, Reaching, satisfies

_BLOCK = 8  # Frames that a level hands on at a time; the frames around them are computed again.


@dataclass(frozen=True, eq=False, repr=False)
class spacetime(FrozenFilter):
    """Filter that evolves the whole video by a three-dimensional term, explicitly, in one pass.

    volume ← evolve(term, volume, times), on the axes (time, row, column) of each scene.

    An explicit step of a frame looks at few frames before and after it, so n steps are a chain of n windows: a frame
    comes out as soon as the frames it depends on have come in, and O(n) frames are held whatever the length. The
    result equals ``evolve`` on the array bit for bit.

    Parameters
    ----------
    term : Term
        With ``stable_dt(3)`` and ``reach(3)``: `Heat`, `PeronaMalik`, `TotalVariation` with the boundary "neumann".
        `spacing` of three values sets the distance between frames, ``temporal_kappa`` their own edge contrast.
        It sees integer video as floats in [0, 1].
    times : sequence of float, or the rule made by ``uniform(t_end)``
        As for `evolve`; steps are explicit Euler's.
    cuts : "detect", or sequence of int
        Numbers of the frames that begin a new scene; nothing flows across the border between scenes. By default a cut
        is where a frame's coarse picture has nothing in common with that of the frame before.
    report : dict, optional
        (Of the filter.) Receives ``cuts``, the numbers of the frames at which scenes began.

    Raises
    ------
    UnstableStepError, ParameterError
        By the filter, before the first frame, as `evolve` does.

    References
    ----------
    Perona & Malik (1990), doi:10.1109/34.56205.

    Examples
    --------
    >>> video = np.random.default_rng(0).random((20, 8, 9)).astype(np.float32)
    >>> heat, times = pv.Heat(spacing=(2.0, 1.0, 1.0)), pv.uniform(1.0)
    >>> bool((pv.spacetime(heat, times, cuts=[])(video) == pv.evolve(heat, video, times)).all())
    True
    """

    term: Reaching
    times: Any
    _: KW_ONLY
    cuts: str | Sequence[int] = "detect"

    def __post_init__(self) -> None:
        term, cuts = self.term, self.cuts
        if not satisfies(term, Reaching):
            raise ParameterError(f"{term} has no reach(ndim), the number of cells it looks at, which a stream needs")
        boundary = getattr(term, "boundary", "neumann")
        if boundary != "neumann":
            raise ParameterError(
                f"{term} has the boundary {boundary!r}; along a stream, whose last frame is not known in advance, it "
                "must be 'neumann'"
            )
        if cuts != "detect" if isinstance(cuts, str) else any(c != int(c) or c < 1 for c in cuts):
            raise ParameterError(f"cuts is {cuts!r}; it must be 'detect' or numbers of frames, each at least 1")
        object.__setattr__(self, "cuts", cuts if isinstance(cuts, str) else tuple(cuts))
        object.__setattr__(self, "times", frozen_times(self.times))

    def _apply(self, frames: Frames) -> Iterable[Array]:
        grid = checked_times(self.term, self.times, 3)

        def evolved() -> Iterator[Array]:
            for _, scene in groupby(_numbered(frames, self.cuts), key=itemgetter(0)):
                level: Iterator[Array] = (frame for _, frame in scene)
                for t0, t1 in pairwise(grid):
                    level = _stepped(level, self.term, t0, t1)
                yield from level

        return evolved()

    @property
    def extent(self) -> Extent:
        """How far it looks: as far as each of its steps does, in time and in space."""
        reach = (len(checked_times(self.term, self.times, 3)) - 1) * self.term.reach(3)
        if not isinstance(self.cuts, str):  # Numbers of frames in the whole video.
            return Extent(None, reach, 1, reach)
        return Extent(reach, reach, 1, None)  # Scene cuts are detected on whole frames.


def _numbered(frames: Frames, cuts: str | Sequence[int]) -> Iterator[tuple[int, Array]]:
    """Yield each frame with the number of its scene."""
    found: list[int] = frames.report.setdefault("cuts", [])
    given = None if isinstance(cuts, str) else set(cuts)
    previous: Array | None = None
    for i, frame in enumerate(frames):
        if previous is not None and (is_scene_cut(previous, frame) if given is None else i in given):
            found.append(i)
        yield len(found), frame
        previous = frame


def _stepped(frames: Iterable[Array], term: Any, t0: float, t1: float) -> Iterator[Array]:
    """Yield the frames (H, W, C) of one explicit step, from windows that reach as far as the term looks."""
    reach, stream = term.reach(3), iter(frames)
    window: list[Array] = []
    done = 0  # Frames at the front of the window that are kept for their neighbours only.
    while True:
        arrived = list(islice(stream, _BLOCK + reach - max(0, len(window) - done)))
        window += arrived
        last = len(window) - done < _BLOCK + reach
        ready = len(window) - done if last else _BLOCK
        if ready == 0:
            return
        state = np.ascontiguousarray(np.stack(window).transpose(3, 0, 1, 2))
        stepped = evolve(term, state, [t0, t1], channel_axis=0)
        for k in range(done, done + ready):
            yield np.ascontiguousarray(stepped[:, k].transpose(1, 2, 0))
        if last:
            return
        keep = max(0, done + ready - reach)
        window, done = window[keep:], done + ready - keep
