"""Many explicit steps at once, on all threads: cuts a state into boxes for `kernels.fused.march`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pde_video.arrays.grid import as_volume, unlocked
from pde_video.protocols import Array
from pde_video.threads import each, pieces

_HALO_COST = 8  # The least ratio of the thickness of a box to its halo, which its neighbours compute too.
_AT_ONCE = {2: 32, 3: 12}  # Stages of a picture or a volume in one call: more take memory, and cannot be interrupted.
_ROWS = 48  # Rows of a volume in a box: their levels stay in the cache.

Box = tuple[int, int, int, int]  # First slab, last, first row, last.


class Walk:
    """Stages of explicit steps for states of `ndim` axes, as `kernels.fused.march` takes them.

    `scale` (stages, 3), `dt` and `back` belong to the stages; `back` is 0 for the heat equation, otherwise it tells how
    many stages before it the state is that the stage steps. `factor` (3,) multiplies differences before they are
    squared, and `g` is the conductance of the squares.
    """

    def __init__(
        self, ndim: int, dtype: Any, scale: Array, dt: Sequence[float], back: Sequence[int], factor: Array, g: Any
    ) -> None:
        # The slabs of a picture are its rows.
        order = [0, 1, 2] if ndim == 3 else [1, 0, 2]
        self._g = None if g is None else type(g)(tuple(g.inverse_kappa[axis] for axis in order))
        self._scale, self._factor = np.asarray(scale[:, order], dtype, "C"), np.asarray(factor[order], dtype, "C")
        self._dt, self._back = np.asarray(dt, dtype), np.asarray(back, np.int64)
        step = max(1, *back)  # Stages that belong together.
        n = max(1, _AT_ONCE[max(ndim, 2)] // step) * step
        self._parts = [slice(i, i + n) for i in range(0, len(dt), n)]

    def __call__(self, y: Array, out: Array) -> bool:
        """Write the state after all stages of `y` (C, *grid) to `out`, and return whether it is finite."""
        from pde_video.kernels.fused import march

        if not (y.flags.c_contiguous and out.flags.c_contiguous):  # The kernel takes contiguous arrays only.
            planes = np.empty(out.shape, out.dtype)
            finite = self(np.ascontiguousarray(y), planes)
            for channel, plane in zip(out, planes, strict=True):  # Four times as fast as all at once.
                channel[...] = plane
            return finite
        source, results = unlocked(_as_slabs(y)), []
        between = [np.empty_like(source) for _ in self._parts[1:3]]  # Two arrays that take turns.
        for i, part in enumerate(self._parts):
            target = _as_slabs(out) if i == len(self._parts) - 1 else between[i % len(between)]
            scale, dt, back = self._scale[part], self._dt[part], self._back[part]

            def walk(box: Box, source: Array = source, target: Array = target, stages: Any = (scale, dt, back)) -> None:
                results.append(march(source, target, box, *stages, self._factor, self._g))

            each(walk, _boxes(source.shape[1], source.shape[2], len(dt)))
            source = target
        return all(results)


def _as_slabs(y: Array) -> Array:
    """Return a view (C, slabs, rows, width): of a picture, slabs of one row."""
    if y.ndim == 3:
        return y[:, :, np.newaxis]
    return as_volume(y)


def _boxes(slabs: int, rows: int, stages: int) -> list[Box]:
    """Return the boxes of a picture, one for each thread, or of a volume, which fit the cache."""
    if rows == 1:
        return [(*piece, 0, 1) for piece in pieces(slabs, _HALO_COST * stages)]
    parts = max(1, rows // max(_ROWS, 2 * stages))
    return [(0, slabs, rows * i // parts, rows * (i + 1) // parts) for i in range(parts)]
