"""c u + Σ w (u − u of a partner) = b at the cells of a mask in the plane, by conjugate gradients on these alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from pde_video.errors import SolverError
from pde_video.protocols import Array
from pde_video.solvers.stencil import Rest

_MOST = 100_000  # Iterations.


@dataclass(frozen=True, eq=False)
class Pairs:
    """rate(y) = b − c y + Σ w (y of the partner − y) at the n cells of a mask, for values y relative to a base."""

    mask: Array  # (H, W), of whose grid the cells are numbered in order.
    first: Array  # Numbers of the cells of each pair; n stands for all cells outside of the mask.
    second: Array
    w: Array
    weights: Array  # (n,), Σ w of the pairs of each cell.
    pull: Array  # c ≥ 0, (C, n) or (1, n).
    b: Array  # (C, n), with w · y of partners outside of the mask.
    base: Array  # (C, 1): a value outside of the mask, so that constants have no rounding errors, or 0.

    def __add__(self, other: Pairs) -> Pairs:
        base = np.where(self.base == 0, other.base, self.base)
        first, second = np.append(self.first, other.first), np.append(self.second, other.second)
        b = sum(one.b - one.pull * (base - one.base) for one in (self, other))
        w, weights = np.append(self.w, other.w), self.weights + other.weights
        return Pairs(self.mask, first, second, w, weights, self.pull + other.pull, b, base)

    def implicit(self, y: Array, dt: float) -> Pairs:
        """Return what is at rest after an implicit step from the state `y` (C, H, W): z − dt · rate(z) = y."""
        values = y[:, self.mask] - self.base
        scaled = {"w": dt * self.w, "weights": dt * self.weights}
        return replace(self, **scaled, pull=1 + dt * self.pull, b=values + dt * self.b)

    def rest(self, y: Array, tolerance: float) -> Rest:
        """Return the state (C, H, W) at which the rate is 0 in the mask, from `y` on, which holds what is known.

        The residual r is measured as √(Σ r² / diagonal), relative to that of the base. Cells that nothing connects to
        those outside of the mask, or to c > 0, are as in `y`.
        """
        from pde_video.kernels import pair_lists as kernels

        found, longest, worst, floating = y[:, self.mask] - self.base, 0, 0.0, 0
        held = np.empty(found.shape[1], bool)
        for c, values in enumerate(found):
            pull = self.pull[min(c, len(self.pull) - 1)]
            kernels.connect(self.first, self.second, pull, held)
            floating += int(np.count_nonzero(held))
            w = np.where(np.append(held, False)[self.first] | np.append(held, False)[self.second], 0.0, self.w)
            pull, b = np.where(held, 1.0, pull), np.where(held, values, self.b[c])
            diagonal = np.where(held, 1.0, self.weights + pull)
            u, r = np.append(values, 0.0), np.empty(len(values) + 1)
            lists = self.first, self.second, w, pull, diagonal, b
            unit = math.sqrt(kernels.residual(*lists, np.where(np.append(held, False), u, 0.0), r))
            if unit == 0:
                found[c] = np.where(held, values, 0.0)
                continue
            # A tenth of the tolerance, as the rate is not measured in this norm.
            count, left = kernels.solve(*lists, u, 0.1 * tolerance * unit, _MOST)
            if not left <= tolerance * unit:
                raise SolverError(
                    f"the linear solve stopped after {count} iterations at a relative residual of {left / unit:.1e}, "
                    f"above {tolerance:.0e}; allow a greater one, or take a shorter step, or values of a smaller range"
                )
            found[c], longest, worst = u[:-1], max(longest, count), max(worst, left / unit)
        out = y.copy()
        out[:, self.mask] = found + self.base
        return Rest(out, longest, worst, floating)


def among(weights: Array, offsets: Array, y: Array, mask: Array) -> Pairs:
    """Return the pairs of `FrozenTensor` for the state `y` (C, H, W) of which a cell is in the mask."""
    from pde_video.kernels.pair_lists import collect, count

    n = int(np.count_nonzero(mask))
    number = np.full(mask.shape, -1, np.int32)
    number[mask] = np.arange(n, dtype=np.int32)
    base = y[:, ~mask][:, :1].astype(np.float64) if n < mask.size else np.zeros((len(y), 1))
    found = count(weights, offsets, number)
    first, second, w = np.empty(found, np.int32), np.empty(found, np.int32), np.empty(found)
    diagonal, b = np.zeros(n), np.zeros((len(y), n))
    collect(weights, offsets, number, y - base[..., np.newaxis], first, second, w, diagonal, b)
    return Pairs(mask, first, second, w, diagonal, np.zeros((1, n)), b, base)


def alone(y: Array, pull: Array, b: Array, mask: Array) -> Pairs:
    """Return b − c y in the mask, of fields that broadcast to the state `y` (C, H, W)."""
    n, none = int(np.count_nonzero(mask)), np.zeros(0, np.int32)
    c, right = (np.broadcast_to(one, y.shape)[:, mask].astype(np.float64) for one in (pull, b))
    return Pairs(mask, none, none, np.zeros(0), np.zeros(n), c, right, np.zeros((len(y), 1)))
