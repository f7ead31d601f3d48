"""The extent of a filter: which neighbouring frames and cells a result depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Extent:
    """Which frames before and after its own, and which cells around its own, a result of a filter depends on.

    A piece of a video that is filtered with `before` more frames in front and `after` more behind, beginning at a
    multiple of `period`, equals that part of the filtered video bit for bit, if nothing has to be estimated
    (`first` is 0). So does a part of every frame with `cells` more rows and columns on each side.

    Parameters
    ----------
    before, after : int or None
        Frames. None: all of them.
    period : int
        Number of frames after which the filter makes its choices anew, counted from the first.
    cells : int or None
        Rows and columns. None: the whole frame.
    first : int
        Frames at the start of the video from which the filter estimates what is not given; 0 if nothing.

    Examples
    --------
    >>> smooth = pv.framewise(pv.Heat(), pv.uniform(1.0, dt=0.25))
    >>> pv.extent(pv.pipeline(smooth, pv.frame_difference))
    Extent(before=1, after=0, period=1, cells=4, first=0)
    """

    before: int | None = 0
    after: int | None = 0
    period: int = 1
    cells: int | None = 0
    first: int = 0

    def then(self, following: Extent) -> Extent:
        """Return the extent of a filter followed by another.

        The second makes its choices at multiples of its period, from frames that the first must have right. If the
        first looks back, a piece starts up to a period earlier, so that such a multiple follows its first frames.
        """
        ahead = following.first + (self.after or 0) if following.first else 0
        return Extent(
            _sum(self.before, following.before, following.period - 1 if self.before else 0),
            _sum(self.after, following.after),
            math.lcm(self.period, following.period),
            _sum(self.cells, following.cells),
            max(self.first, ahead),
        )


EVERYTHING = Extent(None, None, 1, None)  # Of callables without an extent.


def _sum(*numbers: int | None) -> int | None:
    return None if None in numbers else sum(n for n in numbers if n is not None)
