"""Many explicit steps at once, on all threads: which boxes of a state go through `kernels.march`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pde_video.grid import as_volume
from pde_video.protocols import Array
from pde_video.threads import available, each

_HALO_COST = 8  # A box is at least so many times as thick as what it computes beside itself.
_ROWS = 48  # Rows of a volume that are walked through all frames together: their levels stay in the cache.


def march(y: Array, out: Array, scale: Array, dt: Sequence[float], back: Sequence[int], factor: Any, g: Any) -> bool:
    """Take all stages from the state `y` (C, *grid) to `out`, and return whether the result is finite.

    The arguments from `scale` (stages, 3) on are those of `kernels.march.march`; axes are those of a volume.
    """
    from pde_video.kernels.march import march as walk

    if y.flags.c_contiguous != out.flags.c_contiguous:
        # The kernel is compiled for contiguous rows and for strided ones, but not for every mixture.
        contiguous = np.empty(out.shape, out.dtype)
        finite = march(np.ascontiguousarray(y), contiguous, scale, dt, back, factor, g)
        out[...] = contiguous
        return finite
    source, target, order = _as_slabs(y), _as_slabs(out), [0, 1, 2]
    if y.ndim < 4:
        order = [1, 0, 2]  # A picture is walked row by row: its rows are the slabs.
        g = g and type(g)(tuple(g.inverse_kappa[axis] for axis in order))
    factor = np.ones(3, y.dtype) if factor is None else factor
    scale, factor = np.ascontiguousarray(scale[:, order]), np.ascontiguousarray(factor[order])
    steps, backs, source = np.asarray(dt, y.dtype), np.asarray(back, np.int64), _unlocked(source)
    results: list[bool] = []

    def box(bounds: tuple[int, int, int, int]) -> None:
        results.append(walk(source, target, bounds, scale, steps, backs, factor, g))

    each(box, _boxes(source.shape[1], source.shape[2], len(steps)))
    return all(results)


def _as_slabs(y: Array) -> Array:
    """Return a view (C, slabs, rows, width): of a picture, slabs of one row."""
    volume = as_volume(y)
    return volume if y.ndim == 4 else np.swapaxes(volume, 1, 2)


def _boxes(slabs: int, rows: int, stages: int) -> list[tuple[int, int, int, int]]:
    """Return (first slab, last, first row, last) for each box: pictures are cut for threads, volumes for the cache."""
    if rows == 1:
        parts = min(available(), max(1, slabs // (_HALO_COST * stages)))
        return [(*_part(slabs, i, parts), 0, 1) for i in range(parts)]
    parts = max(1, rows // max(_ROWS, 2 * stages))
    return [(0, slabs, *_part(rows, i, parts)) for i in range(parts)]


def _part(n: int, i: int, parts: int) -> tuple[int, int]:
    return n * i // parts, n * (i + 1) // parts


class _Alias:
    """The memory of an array that must not be written to, as an array that kernels accept: they only read it."""

    def __init__(self, array: Array) -> None:
        self.array = array
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}


def _unlocked(y: Array) -> Array:
    return y if y.flags.writeable else np.asarray(_Alias(y))
