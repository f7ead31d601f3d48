"""(I − dt·A)⁻¹: by transforms for constant coefficients, by conjugate gradients for variable ones."""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pde_video.arrays.grid import as_volume
from pde_video.errors import SolverError
from pde_video.protocols import Array
from pde_video.threads import available, each

_log = logging.getLogger(__name__)
_MOST = 100_000  # Iterations beyond the first 2,000.
_COARSEST = 1e-6  # The largest relative residual that counts as a solution.
_ROWS = 256  # Rows of a transform that one thread divides at a time.
_PIECE = 1 << 17  # Values of a vector that one thread takes at a time.
_BAND = 128  # Lines that one thread takes at a time.
_LONG = 4096  # The longest lines, in cells, that are solved in blocks: blocks of longer ones exceed the cache.

Operator = Callable[[Array], Array]


def eigenvalues(n: int, boundary: str) -> Array:
    """Return the eigenvalues of the second difference on `n` points, in the order of the boundary's transform.

    λ_k = −4 sin²(θ_k / 2), θ = πk/n (Neumann, DCT-II), 2πk/n (periodic, FFT), π(k+1)/(n+1) (Dirichlet, DST-I).
    """
    k = np.arange(n)
    theta = {"neumann": np.pi * k / n, "periodic": 2 * np.pi * k / n, "dirichlet": np.pi * (k + 1) / (n + 1)}
    return -4.0 * np.sin(theta[boundary] / 2) ** 2


def spectral_solve(y: Array, dt: float, scale: Sequence[float], boundary: str) -> Array:
    """Return z with z − dt Σ_axis scale·δ²z = y, for the state `y` (C, *grid), exactly."""
    import scipy.fft

    from pde_video.kernels.linear_systems import divide_by_sums

    forth, back, options = {
        "neumann": (scipy.fft.dctn, scipy.fft.idctn, {"type": 2}),
        "dirichlet": (scipy.fft.dstn, scipy.fft.idstn, {"type": 1}),
        "periodic": (scipy.fft.rfftn, scipy.fft.irfftn, {"s": y.shape[1:]}),
    }[boundary]
    options |= {"axes": tuple(range(1, y.ndim)), "workers": available()}
    modes = forth(y, **options)
    # The modes are divided by 1 − dt Σ scale·λ, in place and without an array of the divisors.
    parts = [-dt * s * eigenvalues(n, boundary) for s, n in zip(scale, y.shape[1:], strict=True)]
    columns = parts[-1][: modes.shape[-1]]
    if np.iscomplexobj(modes):
        columns = np.repeat(columns, 2)  # For the real and the imaginary part.
    rows: Array = np.ones(())
    for part in parts[:-1]:
        rows = np.add.outer(rows, part)
    numbers = modes.view(y.dtype).reshape(len(y), rows.size, -1)
    pieces = [slice(first, first + _ROWS) for first in range(0, rows.size, _ROWS)]
    rows, columns = rows.ravel().astype(y.dtype), columns.astype(y.dtype)
    each(lambda piece: divide_by_sums(numbers[:, piece], rows[piece], columns), pieces)
    return back(modes, **options, overwrite_x=True)


def conjugate_gradients(
    operator: Operator, diagonal: Array, rhs: Array, *, tolerance: float = 1e-10, iterations: int | None = None
) -> Array:
    """Return z with ‖operator(z) − rhs‖ ≤ tolerance·‖rhs‖, in the dtype of `rhs`, or raise SolverError.

    Where rounding does not allow that, as for steps above 10⁵, the tolerance is 64 times the rounding error of the
    operator, at most 1e-6. The operator is symmetric and positive on states (C, *grid), the same for all channels.
    Jacobi-preconditioned, in double precision, starting from rhs / diagonal.
    """
    if iterations is None:
        # Grows like the root of the condition; where more would be needed, rounding leaves no solution.
        iterations = 2000 + int(min(20 * math.sqrt(float(np.max(diagonal))), _MOST))
    rhs_double = np.ascontiguousarray(rhs, np.float64)
    # Rounding limits the residual relative to ‖operator‖ ‖z‖, with ‖z‖ ≤ ‖rhs‖. The limit grows with the step, so it is
    # capped: otherwise it would accept anything in the end.
    tolerance = max(tolerance, min(64 * np.finfo(np.float64).eps * float(np.max(diagonal)), _COARSEST))
    # A tenth of the tolerance, as the residual of the recursion drifts from the true one.
    z = _iterated(operator, diagonal, rhs_double, 0.1 * tolerance, iterations)
    norm = math.sqrt(_dot(rhs_double, rhs_double))
    difference = operator(z) - rhs_double
    residual = math.sqrt(_dot(difference, difference)) / norm if norm else 0.0
    if not residual <= tolerance:
        raise SolverError(
            f"the linear solve stopped after at most {iterations} iterations at a relative residual of "
            f"{residual:.1e}, above {tolerance:.0e}; take smaller time steps, or check that the term is "
            "linear and symmetric"
        )
    _log.info("conjugate gradients: relative residual %.1e on %d unknowns", residual, rhs.size)
    return z.astype(rhs.dtype)


def _iterated(operator: Operator, diagonal: Array, rhs: Array, tolerance: float, iterations: int) -> Array:
    """Return the first iterate of conjugate gradients whose recursive residual is within the tolerance."""
    from pde_video.kernels.linear_systems import advance, redirect

    inverse = np.ascontiguousarray(np.broadcast_to(1.0 / diagonal, rhs.shape))
    z = rhs * inverse  # Of the size of the solution, at small and at large steps.
    r = rhs - operator(z)
    p = r * inverse
    square, weighted, enough = _dot(r, r), _dot(r, p), tolerance * math.sqrt(_dot(rhs, rhs))
    for _ in range(iterations):
        if not math.sqrt(square) > enough:
            break
        q = np.ascontiguousarray(operator(p), np.float64)
        curvature = _dot(p, q)
        alpha = weighted / curvature if curvature else math.nan
        sums = _by_pieces(advance, z, r, p, q, inverse, alpha=alpha)
        before, (square, weighted) = weighted, sums.sum(axis=0).tolist()
        _by_pieces(redirect, p, r, inverse, beta=weighted / before if before else math.nan)
    return z


def _dot(a: Array, b: Array) -> float:
    from pde_video.kernels.linear_systems import product

    return float(_by_pieces(product, a, b).sum())


def _by_pieces(kernel: Callable[..., Any], *vectors: Array, **numbers: float) -> Array:
    """Return what a kernel returns for each piece of vectors: the same pieces for any number of threads."""
    flat = [v.reshape(-1) for v in vectors]
    starts = range(0, flat[0].size, _PIECE)
    found: list[Any] = [None] * len(starts)

    def apply(k: int) -> None:
        found[k] = kernel(*(v[starts[k] : starts[k] + _PIECE] for v in flat), **numbers)

    each(apply, range(len(starts)))
    return np.array(found)


def mean_over_axes(y: Array, solve: Callable[..., Array]) -> Array:
    """Return the mean over the grid axes of solve(axis), which takes `out` and `weight` as `tridiagonal_solve`."""
    out, axes = np.empty_like(y), y.ndim - 1
    solve(axes - 1, out=out)
    for axis in range(axes - 2, -1, -1):
        solve(axis, out=out, weight=1.0 if axis else 1.0 / axes)
    return out


def tridiagonal_solve(
    g: Array | None, scale: float, y: Array, axis: int, *, boundary: str, out: Array | None = None, weight: float = 0.0
) -> Array:
    """Return z with z_i − s g_i (z_{i+1} − z_i) + s g_{i-1} (z_i − z_{i−1}) = y_i along a grid axis.

    s = dt/h² is the `scale`, g ≥ 0 the conductances of the faces after the cells of the padded grid (see
    `grid.extended`), None if all are 1, and `y` (C, *grid) the right-hand sides. `out` receives the result; with a
    `weight` other than 0, it becomes (out + z) · weight.
    """
    out = np.empty_like(y) if out is None else out
    if boundary != "periodic" and y.shape[axis + 1] <= _LONG:
        _by_blocks(g, scale, y, axis, boundary, out, weight)
        return out
    if g is None:
        z = spectral_solve(y, 1.0, [scale if a == axis else 0.0 for a in range(y.ndim - 1)], boundary)
    else:
        z = _in_double(g, scale, y, axis, boundary)
    out[...] = (out + z) * y.dtype.type(weight) if weight else z
    return out


def _by_blocks(g: Array | None, scale: float, y: Array, axis: int, boundary: str, out: Array, weight: float) -> None:
    """Solve in the precision of the state, in blocks of lines on all threads."""
    from pde_video.kernels.linear_systems import LANES, solve_lines

    volume = as_volume(y)
    along = axis + 4 - y.ndim  # Of the three axes of the kernels.
    contiguous = along == 2
    outer, across = ((1, 2), (0, 2), (0, 1))[along]
    steps = _steps(volume.shape)
    shape, y_steps = volume.shape[1:], steps[1:]
    if g is None:
        faces, g_steps, g_apart = np.ones((shape[along] + 1) * int(LANES), y.dtype), [0, 0, 0], int(LANES)
        g_start = g_apart
    else:
        wide = as_volume(g[np.newaxis])[0]
        faces = wide.reshape(-1)
        g_steps = _steps(wide.shape)
        g_start = sum((w - m) // 2 * step for w, m, step in zip(wide.shape, shape, g_steps, strict=True))
        g_apart = g_steps[across] if contiguous else g_steps[along]
    # From 1e30 on, the solution is the mean of the line, to any precision.
    inner = y.dtype.type(min(scale, 1e30))
    numbers = (y.dtype.type(1), inner, inner if boundary == "dirichlet" else y.dtype.type(0), y.dtype.type(weight))
    flat, target = y.reshape(-1), out.reshape(-1)

    def solve(piece: tuple[int, int]) -> None:
        index, first = piece
        sizes = (shape[along], first, min(first + _BAND, shape[across]), len(y), steps[0], index * y_steps[outer])
        between = y_steps[across] if contiguous else y_steps[along]
        where = np.array([*sizes, between, g_start + index * g_steps[outer], g_apart], np.uint64)
        solve_lines(flat, target, faces, numbers, g is None, contiguous, where)

    each(solve, ((index, first) for index in range(shape[outer]) for first in range(0, shape[across], _BAND)))


def _steps(shape: tuple[int, ...]) -> list[int]:
    """Return the strides of a contiguous array in values; `ndarray.strides` is arbitrary for axes of length 1."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _in_double(g: Array, scale: float, y: Array, axis: int, boundary: str) -> Array:
    """Solve in double precision: periodic lines, whose correction loses digits, and lines too long for blocks."""
    from pde_video.kernels.linear_systems import thomas

    ndim, n = y.ndim - 1, y.shape[axis + 1]
    if boundary == "neumann":
        g = np.concatenate([np.zeros_like(np.take(g, [0], axis)), g], axis=axis)
    else:
        g = g[tuple(slice(None, -1) if a == axis else slice(1, -1) for a in range(ndim))]
    faces = scale * np.moveaxis(g, axis, 0).astype(np.float64)
    lines = faces.shape[1:]
    faces = np.ascontiguousarray(faces.reshape(n + 1, -1))
    first, inside, last = faces[0], faces[1:-1], faces[-1]
    periodic = boundary == "periodic"
    if periodic and n > 2:
        # Sherman–Morrison: the matrix is a tridiagonal one minus g₀ (e_0 + e_n)(e_0 + e_n)ᵀ at its corners.
        corner, first, last = first, 2 * first, 2 * last
        ends = np.zeros((n, faces.shape[1]))
        ends[0] = ends[-1] = 1.0
        through = thomas(first, inside, last, ends)
    elif periodic:
        # Two cells meet through both faces; one cell meets itself.
        inside = (faces[0] + faces[1])[np.newaxis] if n == 2 else inside
        first = last = np.zeros_like(first)
    out = np.empty_like(y)
    for c, channel in enumerate(y):
        z = np.ascontiguousarray(np.moveaxis(channel, axis, 0).reshape(n, -1), np.float64)
        z = thomas(first, inside, last, z.copy())
        if periodic and n > 2:
            factor = corner * (z[0] + z[-1]) / (1.0 - corner * (through[0] + through[-1]))
            z = z + factor * through
        out[c] = np.moveaxis(z.reshape(n, *lines), 0, axis)
    return out
