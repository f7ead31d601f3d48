"""Missing values: filled for a filter, and missing again in its results."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pde_video.errors import InputError
from pde_video.filters import Extent, Frames, FrozenFilter
from pde_video.filters.filter import check_filter, extent
from pde_video.protocols import Array

_KEEP = "; with missing values, a filter must return one frame of the same size for each"


@dataclass(frozen=True, eq=False, repr=False)
class masking(FrozenFilter):
    """Filter that fills values that are not finite for `a_filter`, and writes NaN in their place afterwards.

    out[i, j] = NaN where in[i, j] is NaN or infinite, elsewhere f(filled)[i, j] with filled[i, j] = in at the place
    nearest to (i, j) whose value is finite

    Parameters
    ----------
    a_filter : Filter
        It must return one frame for each, of the same size and channels. A channel without any finite value is filled
        from that of the frame before, as filled, or with zeros in the first frame.
    report : dict, optional
        (Of the filter.) Receives ``missing``, the number of filled values, besides what `a_filter` reports.

    Raises
    ------
    TypeError
        If `a_filter` is not callable.
    InputError
        By the filter, if `a_filter` does not return one frame of the same shape for each.

    References
    ----------
    Maurer, Qi & Raghavan (2003), exact Euclidean distance transforms, doi:10.1109/TPAMI.2003.1177156.

    Examples
    --------
    >>> video = np.full((2, 3, 3), 0.5)
    >>> video[0, 1, 1] = np.nan
    >>> smooth = pv.masking(pv.framewise(pv.Heat(), pv.uniform(1.0)))
    >>> smooth(video)[0].tolist()
    [[0.5, 0.5, 0.5], [0.5, nan, 0.5], [0.5, 0.5, 0.5]]
    """

    a_filter: Callable[..., Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "a_filter", check_filter(self.a_filter))

    def _apply(self, frames: Frames) -> Iterator[Array]:
        source = frames.numbered()
        masks: deque[Array] = deque()  # Of frames that went in and have not come out.

        def filled() -> Iterator[Array]:
            previous: Array | None = None
            for _, frame in source:
                missing = ~np.isfinite(frame)
                count = int(np.count_nonzero(missing))
                frames.report["missing"] = frames.report.get("missing", 0) + count
                masks.append(missing)
                previous = _filled(frame, missing, previous) if count else np.array(frame)
                yield previous.copy()  # The filter may write to its own.

        whole = Frames(filled(), frames.scale, frames.report, timing=frames.timing)
        for number, frame in enumerate(self.a_filter(whole)):
            if not masks or frame.shape != masks[0].shape:
                wanted = f"(H, W, C) = {masks[0].shape}" if masks else "nothing: no frame is left that went in"
                raise InputError(f"frame {number} of the filter has shape {frame.shape}; wanted is {wanted}{_KEEP}")
            missing = masks.popleft()
            yield np.where(missing, frame.dtype.type(np.nan), frame) if missing.any() else frame
        if masks or next(source, None) is not None:
            raise InputError(f"the filter returned fewer frames than there are{_KEEP}")

    @property
    def extent(self) -> Extent:
        """How far it looks: to all frames before, for a channel without any finite value."""
        return Extent(before=None, cells=None).then(extent(self.a_filter))


def _filled(frame: Array, missing: Array, previous: Array | None) -> Array:
    """Return the frame with each missing value taken from the nearest place where its channel has one."""
    from scipy.ndimage import distance_transform_edt  # Here, so that filters load without it.

    whole = np.array(frame)
    for c in range(frame.shape[2]):
        holes = missing[..., c]
        if holes.all():
            whole[..., c] = 0 if previous is None else previous[..., c]
        elif holes.any():
            nearest = distance_transform_edt(holes, return_distances=False, return_indices=True)
            whole[..., c] = frame[..., c][tuple(nearest)]
    return whole
