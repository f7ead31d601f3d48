"""c u + Σ g (u − u of a neighbour) = b in the plane, by conjugate gradients with a multigrid cycle before each step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from pde_video.errors import SolverError
from pde_video.protocols import Array
from pde_video.threads import each, pieces

_SMALL = 1e-60  # Squares of so small values are counted as they are.
_STRIP = 64  # Rows of a sum: the same for any number of threads.
_ROWS = 96  # The fewest rows that are worth a thread.
_VAIN = 100  # Iterations without a smaller residual, after which rounding allows none; some ten suffice in all.


class Rest(NamedTuple):
    """A state at rest, and how it was found: the most iterations, the largest residual, the cells that keep theirs."""

    state: Array
    iterations: int | None
    residual: float | None
    afloat: int


@dataclass(frozen=True, eq=False)
class Stencil:
    """rate(y) = b − c y + Σ g (y of a neighbour − y) in the plane, for the state y (C, H, W)."""

    faces: Array  # (2, H, W): g ≥ 0 of the face after each cell along both axes, 0 after the last.
    pull: Array  # c ≥ 0, (1, H, W), or (C, H, W) if channels differ.
    b: Array  # (C, H, W), or what broadcasts to it.
    known: Array | None = None  # (1, H, W): where y does not change.
    rim: Array | float = 0.0  # (2, H, W): the g of faces through the border along both axes, to values of 0.

    def __add__(self, other: Stencil) -> Stencil:
        faces, pull, b = self.faces + other.faces, self.pull + other.pull, self.b + other.b
        return Stencil(faces, pull, b, self.known, self.rim + other.rim)

    def implicit(self, y: Array, dt: float) -> Stencil:
        """Return what is at rest after an implicit step: z − dt · rate(z) = y."""
        return replace(self, faces=dt * self.faces, pull=1 + dt * self.pull, b=y + dt * self.b, rim=dt * self.rim)

    def solve_axis(self, y: Array, dt: float, axis: int) -> Array:
        """Return z with z − dt · (the part of the rate along an axis)(z) = y; c and b are halved between two axes."""
        from scipy.linalg import solve_banded

        axes = sum(n > 1 for n in y.shape[1:]) or 1
        faces = dt * np.moveaxis(self.faces[axis], axis, 1).astype(np.float64)
        known = np.zeros(y.shape[1:], bool) if self.known is None else self.known[0]
        unknown = np.moveaxis(~known, axis, 1).ravel()
        after = faces.ravel()  # All lines as one: the last face of each is closed.
        before = np.concatenate([[0.0], after[:-1]])
        out = np.empty_like(y)
        right, rim = np.broadcast_to(self.b, y.shape), np.broadcast_to(self.rim, self.faces.shape)[axis]
        for k, values in enumerate(y):
            pull = dt / axes * self.pull[min(k, len(self.pull) - 1)] + dt * rim
            pull = np.moveaxis(pull, axis, 1).ravel()
            b = np.moveaxis(values, axis, 1).ravel() + unknown * dt / axes * np.moveaxis(right[k], axis, 1).ravel()
            bands = np.stack([np.zeros_like(after), 1 + unknown * (pull + before + after), np.zeros_like(after)])
            bands[0, 1:], bands[2, :-1] = (-after * unknown)[:-1], (-before * unknown)[1:]
            z = solve_banded((1, 1), bands, b.astype(np.float64))
            out[k] = np.moveaxis(z.reshape(faces.shape), 1, axis)
        return out

    def rest(self, y: Array, tolerance: float, *, plain: bool = False, warm: bool = False) -> Rest:
        """Return the state at which the rate is 0 where it is not known, in the dtype of `y`, which holds what is.

        The residual r is measured as √(r·Mr), M being a cycle: an estimate of the error in the norm of the energy, to
        which smooth errors count as much as they do; or as √(r·r) if `plain`. Conjugate gradients with M, on the black
        cells, of which red ones follow, start from a constant, or if `warm` from `y`, and end when r is below the
        tolerance, relative to that of the constant; SolverError if they do not. Cells that nothing connects to what is
        known, or to c > 0, are as in `y`.
        """
        from pde_video.kernels.multigrid import hold

        rows, columns = self._box()
        if y[:, rows, columns].size < y.size:
            found = self._within(rows, columns).rest(y[:, rows, columns].copy(), tolerance, plain=plain, warm=warm)
            out = y.copy()
            out[:, rows, columns] = found.state
            return found._replace(state=out)
        real = y.dtype
        known = np.zeros(y.shape[1:], real) if self.known is None else self.known[0].astype(real)
        down, across = self.faces.astype(real, copy=False)
        right, through = np.broadcast_to(self.b, y.shape).astype(real), np.sum(self.rim, axis=0)
        out, longest, worst, floating = np.empty_like(y), 0, 0.0, 0
        for k, given in enumerate(y):
            if k < len(self.pull):
                pull, held = np.ascontiguousarray(self.pull[k] + through, real), known
                if not pull.all():
                    reached = np.empty(known.shape, np.bool_)
                    lost = int(hold(down, across, pull, known, reached))
                    held, floating = np.where(reached, known, real.type(1)) if lost else known, floating + lost
                levels = hierarchy(down, across, pull, held)
            # Relative to a known value, or to a mean, so that constants have no rounding errors.
            place = int(held.argmax())
            shift = given.flat[place] if held.flat[place] else real.type(right[k].sum() / pull.sum())
            values = (given - shift) * held
            values += (1 - held) * (values.sum() / max(held.sum(), real.type(1)))
            starts = [values, given - shift] if warm else [values]
            b = right[k] - pull * shift
            unit = real.type(_unit(b, *starts))
            starts = starts if unit == 1 else [one / unit for one in starts]
            u, count, residual = _plane(levels, b / unit, starts, tolerance, plain)
            out[k] = np.where(held, given, u * unit + shift)
            longest, worst = max(longest, count), max(worst, residual)
        return Rest(out, longest, worst, floating)

    def _box(self) -> tuple[slice, slice]:
        """Return the rows and columns of what is not known, and one more on each side."""
        every = slice(None), slice(None)
        if self.known is None or self.known.all():
            return every
        found = []
        for axis in (0, 1):
            places = np.flatnonzero(~self.known[0].all(axis=1 - axis))
            found.append(slice(max(0, int(places[0]) - 1), int(places[-1]) + 2))
        return found[0], found[1]

    def _within(self, rows: slice, columns: slice) -> Stencil:
        def cut(field: Array) -> Array:
            return field if field.ndim < 3 or field.shape[1:] == (1, 1) else field[:, rows, columns]

        parts = (cut(np.asarray(one)) for one in (self.faces, self.pull, self.b, self.known, self.rim))
        return Stencil(*parts)


def on_plane(faces: Array, y: Array) -> Stencil:
    """Return the stencil of conductances (2, H, W) for the state `y`, of grids with or without a rim of zeros."""
    height, width = as_plane(y).shape[1:]
    rim = np.zeros((2, height, width), faces.dtype)
    rows, columns = ((wide - n) // 2 for wide, n in zip(faces.shape[1:], (height, width), strict=True))
    inside = faces[:, rows : rows + height, columns : columns + width].copy()
    if rows:
        rim[0, 0] += faces[0, 0, columns : columns + width]
        rim[0, -1] += inside[0, -1]
    if columns:
        rim[1, :, 0] += faces[1, rows : rows + height, 0]
        rim[1, :, -1] += inside[1, :, -1]
    inside[0, -1], inside[1, :, -1] = 0, 0
    zero = np.zeros((1, height, width), faces.dtype)
    return Stencil(inside, zero, zero, rim=rim)


def pulled(y: Array, pull: Array, b: Array) -> Stencil | None:
    """Return the stencil b − c y for the state `y`; None on grids of three axes."""
    if y.ndim > 3:
        return None
    height, width = as_plane(y).shape[1:]
    c = as_plane(np.broadcast_to(pull, (len(pull), *y.shape[1:])))
    return Stencil(np.zeros((2, height, width), y.dtype), c, as_plane(np.broadcast_to(b, y.shape)))


def same_known(one: Stencil, other: Stencil) -> bool:
    """Tell whether the same values are known to both, so that they can be added."""
    if one.known is None or other.known is None:
        return one.known is other.known
    return np.array_equal(one.known, other.known)


def as_plane(y: Array) -> Array:
    """Return a state of one or two grid axes as (C, H, W)."""
    return y.reshape(len(y), -1, y.shape[-1])


class Level(NamedTuple):
    """One grid of the hierarchy, as colours; see `kernels.multigrid`."""

    rows: int
    diagonal: Array
    inverse: Array
    across: Array
    down: Array
    u: Array  # Room for the correction, and for what it is to be.
    b: Array


def hierarchy(down: Array, across: Array, pull: Array, known: Array) -> list[Level]:
    """Return the levels for conductances after each cell (H, W), c and known values, until nothing is unknown."""
    from pde_video.kernels.multigrid import assemble, coarsen

    levels: list[Level] = []
    while True:
        grids = (down, across, pull, known)
        height, width = down.shape
        rows, half = height + height % 2, (width + 1) // 2
        parts = np.zeros((6, 2, rows + 2, half + 2), down.dtype)
        _by_rows(height, assemble, *grids, out=parts)
        if levels and not parts[1].any():
            return levels
        levels.append(Level(rows, *parts))
        if max(height, width) == 1:
            return levels
        down, across, pull, known = _by_rows(rows // 2, coarsen, *grids, out=np.empty((4, rows // 2, half), down.dtype))


def _unit(*fields: Array) -> float:
    """Return a power of two in which squares of the fields can be held; 1 for all but very large and small values."""
    largest = max(max(abs(float(one.min())), abs(float(one.max()))) for one in fields)
    if largest == 0 or _SMALL < largest < 1 / _SMALL or not math.isfinite(largest):
        return 1.0
    return math.ldexp(1.0, math.frexp(largest)[1])


def _plane(
    levels: list[Level], b: Array, starts: list[Array], tolerance: float, plain: bool
) -> tuple[Array, int, float]:
    """Return the solution (H, W), where a level says that it is unknown, its iterations and its residual."""
    from pde_video.kernels import multigrid as kernels

    fine = levels[0]
    real, faces = b.dtype.type, (fine.across, fine.down)
    rhs = _by_rows(len(b), kernels.split, b, out=np.zeros_like(fine.u))
    unknown = fine.inverse[0] > 0
    u, red = np.zeros_like(fine.u), np.empty_like(fine.u[0])
    r, p, q = (np.zeros_like(red) for _ in range(3))

    def follow() -> None:
        _relaxed(fine, u[1], rhs, 0, red)
        np.copyto(u[0], red, where=unknown)

    def left() -> tuple[float, float]:
        """Return the squares of the residual in the norm of the energy, and in that which is asked for."""
        np.copyto(fine.b[1], r)
        _cycle(levels)
        energy = _added(fine.rows, kernels.weight, r, fine.u[1])
        return energy, _added(fine.rows, kernels.weight, r, r) if plain else energy

    beginning = before = residual = 0.0
    for start in starts:
        _by_rows(len(b), kernels.split, start, out=u)
        follow()
        _by_rows(fine.rows, kernels.residual, u, *faces, fine.diagonal, rhs[1], out=r)
        energy, square = left()
        beginning = beginning or square
    least, at = math.inf, 0
    for count in itertools.count():
        residual = math.sqrt(square / beginning) if beginning else 0.0
        if residual <= tolerance:
            break
        if residual < least:
            least, at = residual, count
        if count - at == _VAIN or not math.isfinite(residual):
            raise SolverError(
                f"the linear solve stopped after {count} iterations at a relative residual of {residual:.1e}, above "
                f"{tolerance:.0e}; allow a greater one, or take a shorter step, or values of a smaller range"
            )
        beta = real(energy / before if before else 0.0)
        curvature = _added(fine.rows, kernels.conjugate, fine.u, *faces, fine.diagonal, beta, p, q)
        alpha, before = real(energy / curvature), energy
        _by_rows(fine.rows, kernels.advance, p, q, alpha, r, out=u[1])
        energy, square = left()
    follow()
    return _by_rows(len(b), kernels.join, u, out=np.empty_like(b)), count, residual


def _cycle(levels: list[Level], at: int = 0) -> None:
    """Solve a level for its b approximately, and so symmetrically and linearly that it can precondition."""
    from pde_video.kernels import multigrid as kernels

    level = levels[at]
    red, black = level.u
    if at:
        _by_rows(level.rows, kernels.scale, level.inverse[0], level.b[0], out=red)
        _relaxed(level, red, level.b, 1, black)
    else:  # Conjugate gradients leave no residual on red.
        red[:] = 0
        _by_rows(level.rows, kernels.scale, level.inverse[1], level.b[1], out=black)
    if at + 1 < len(levels):
        coarse = levels[at + 1]
        faces = (level.across, level.down)
        _by_rows(level.rows // 2, kernels.restrict, black, *faces, level.inverse, out=coarse.b)
        _cycle(levels, at + 1)
        _by_rows(level.rows, kernels.prolong, coarse.u, level.inverse, out=red)
    _relaxed(level, red, level.b, 1, black)
    _relaxed(level, black, level.b, 0, red)


def _relaxed(level: Level, other: Array, b: Array, s: int, out: Array) -> None:
    from pde_video.kernels.multigrid import relax

    _by_rows(level.rows, relax, other, level.across, level.down, level.inverse, b, s, out=out)


def _by_rows(rows: int, kernel: Callable[..., Any], *arguments: Any, out: Array) -> Array:
    each(lambda piece: kernel(*arguments, *piece, out), pieces(rows, _ROWS))
    return out


def _added(rows: int, kernel: Callable[..., float], *arguments: Any) -> float:
    """Return the sum of what a kernel returns for strips of rows."""
    starts = range(0, rows, _STRIP)
    found = [0.0] * len(starts)

    def add(k: int) -> None:
        found[k] = kernel(*arguments, starts[k], min(starts[k] + _STRIP, rows))

    each(add, range(len(starts)))
    return math.fsum(found)
