"""(I − dt·A)⁻¹: by transforms for constant coefficients, by conjugate gradients for variable ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pde_video.errors import SolverError
from pde_video.protocols import Array


def eigenvalues(n: int, boundary: str) -> Array:
    """Return those of the second difference on `n` points, in the order of the boundary's transform.

    λ_k = −4 sin²(θ_k / 2), θ = πk/n (Neumann, DCT-II), 2πk/n (periodic, FFT), π(k+1)/(n+1) (Dirichlet, DST-I).
    """
    k = np.arange(n)
    theta = {"neumann": np.pi * k / n, "periodic": 2 * np.pi * k / n, "dirichlet": np.pi * (k + 1) / (n + 1)}
    return -4.0 * np.sin(theta[boundary] / 2) ** 2


def spectral_solve(y: Array, dt: float, scale: Sequence[float], boundary: str) -> Array:
    """Return z with z − dt Σ_axis scale·δ²z = y, for the state `y` (C, *grid), exactly."""
    import scipy.fft

    axes = tuple(range(1, y.ndim))
    symbol = np.ones(y.shape[1:])
    for axis, s in enumerate(scale):
        shape = [1] * (y.ndim - 1)
        shape[axis] = -1
        symbol = symbol - dt * s * eigenvalues(y.shape[axis + 1], boundary).reshape(shape)
    symbol = symbol.astype(y.dtype)
    if boundary == "neumann":
        return scipy.fft.idctn(scipy.fft.dctn(y, axes=axes) / symbol, axes=axes, overwrite_x=True)
    if boundary == "dirichlet":
        return scipy.fft.idstn(scipy.fft.dstn(y, 1, axes=axes) / symbol, 1, axes=axes, overwrite_x=True)
    half = symbol[..., : y.shape[-1] // 2 + 1]
    return scipy.fft.irfftn(scipy.fft.rfftn(y, axes=axes) / half, y.shape[1:], axes=axes)


def conjugate_gradients(
    operator: Callable[[Array], Array],
    diagonal: Array,
    rhs: Array,
    start: Array,
    *,
    tolerance: float = 1e-10,
    iterations: int = 2000,
) -> Array:
    """Return z with operator(z) = rhs, to ‖operator(z) − rhs‖ ≤ tolerance·‖rhs‖, for a symmetric positive operator.

    Jacobi-preconditioned, in double precision, on flat vectors.

    Raises
    ------
    SolverError
        If the residual is not reached.
    """
    from scipy.sparse.linalg import LinearOperator, cg

    n = rhs.size
    matrix = LinearOperator((n, n), matvec=operator, dtype=np.float64)
    preconditioner = LinearOperator((n, n), matvec=lambda r: r.ravel() / diagonal, dtype=np.float64)
    z, _ = cg(matrix, rhs, x0=start, rtol=0.1 * tolerance, atol=0.0, maxiter=iterations, M=preconditioner)
    norm = float(np.linalg.norm(rhs))
    residual = float(np.linalg.norm(operator(z) - rhs)) / norm if norm else 0.0
    if not residual <= tolerance:
        raise SolverError(
            f"the linear solve stopped after at most {iterations} iterations at a relative residual of "
            f"{residual:.1e}, above {tolerance:.0e}; take smaller time steps"
        )
    return z
