"""Hooks of `Reverse`, functions (estimate, y, sigma) -> estimate that change a denoiser's estimate; and guidance."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import TypeAlias

import numpy as np

from pde_video.arrays.values import Value
from pde_video.checks import check_positive
from pde_video.errors import InputError, ParameterError, SolverError
from pde_video.protocols import Array, Denoiser

Hook: TypeAlias = Callable[[Array, Array, float], Array]


@dataclass(frozen=True, repr=False)
class clip_estimate(Value):
    """Hook that clips estimates to a range.

    x ← min(max(x, low), high). The noise that the step then sees is ε = (y − x)/σ.

    Parameters
    ----------
    low, high : float
        Smallest and largest value, in units of the frames, low < high.

    References
    ----------
    Ho, Jain & Abbeel (2020), arXiv:2006.11239.

    Examples
    --------
    >>> clip_estimate()(np.array([-0.5, 0.5, 1.5]), np.zeros(3), 1.0)
    array([0. , 0.5, 1. ])
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _check_range(self.low, self.high)

    def __call__(self, estimate: Array, y: Array, sigma: float) -> Array:
        """Return the clipped estimate."""
        return np.clip(estimate, self.low, self.high)


@dataclass(frozen=True, repr=False)
class dynamic_threshold(Value):
    """Hook that scales estimates towards the middle of the range where too many values lie outside it.

    x ← c + clip(x − c, −s h, s h)/s, s = max(1, quantile of |x − c|/h), c and h middle and half width of the range.

    Parameters
    ----------
    quantile : float
        The quantile over the whole estimate, above 0, at most 1.
    low, high : float
        As for `clip_estimate`.

    References
    ----------
    Saharia et al. (2022), arXiv:2205.11487, section 2.3.

    Examples
    --------
    >>> dynamic_threshold(1.0)(np.array([0.0, 0.5, 1.5]), np.zeros(3), 1.0)
    array([0.25, 0.5 , 1.  ])
    """

    quantile: float = 0.995
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        _check_range(self.low, self.high)
        if not 0 < self.quantile <= 1:
            raise ParameterError(f"quantile is {self.quantile}; it must be above 0 and at most 1")

    def __call__(self, estimate: Array, y: Array, sigma: float) -> Array:
        """Return the scaled and clipped estimate."""
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        away = estimate - middle
        s = max(1.0, float(np.quantile(np.abs(away), self.quantile)) / half)
        return middle + np.clip(away, -s * half, s * half) / s


@dataclass(frozen=True, eq=False, repr=False)
class data_consistency(Value):
    """Hook that fits estimates to linear observations b = A x + noise.

    x ← argmin_z |z − x|²/r² + |A z − b|²/s², r = spread · σ, s = noise. With w = s²/r² it is x + d, where d solves
    (AᵀA + w) d = Aᵀ(b − A x), by conjugate gradients. With a mask it is x + (b − x)/(1 + w) where the mask is true.

    Parameters
    ----------
    observed : ndarray
        b: of the shape that `operator` returns, or with a mask of the shape (H, W, C) or (T, H, W, C) of estimates.
    operator, adjoint : callable (ndarray) -> ndarray
        z ↦ A z on pictures and v ↦ Aᵀ v back, with ⟨A z, v⟩ = ⟨z, Aᵀ v⟩.
    mask : ndarray of bool
        True where `observed` is known, instead of operator and adjoint; its shape broadcasts to that of the estimate.
    noise : float
        s ≥ 0, the standard deviation of the observations, in units of the frames; with 0 they are kept exactly.
    spread : float
        r/σ > 0: the assumed error of an estimate, in noise levels.
    tolerance : float
        Relative residual at which the conjugate gradients end, > 0.

    Raises
    ------
    SolverError, InputError
        By the hook, if the conjugate gradients do not converge, or shapes do not fit.

    References
    ----------
    Zhu et al. (2023), DiffPIR, arXiv:2305.08995; Parikh & Boyd (2014), Proximal Algorithms, doi:10.1561/2400000003.

    Examples
    --------
    >>> mean_is_one = data_consistency(np.array([1.0]), lambda z: z.mean(keepdims=True), lambda v: np.full(4, v / 4))
    >>> mean_is_one(np.array([0.0, 0.0, 1.0, 1.0]), np.zeros(4), 0.5)
    array([0.5, 0.5, 1.5, 1.5])
    """

    observed: Array
    operator: Callable[[Array], Array] | None = None
    adjoint: Callable[[Array], Array] | None = None
    _: KW_ONLY
    mask: Array | None = None
    noise: float = 0.0
    spread: float = 1.0
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        check_positive(spread=self.spread, tolerance=self.tolerance)
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise ParameterError(f"noise is {self.noise}; it must be 0 or a positive, finite standard deviation")
        if (self.mask is None) == (self.operator is None) or (self.operator is None) != (self.adjoint is None):
            raise ParameterError("give either a mask, or both operator and adjoint")
        object.__setattr__(self, "observed", np.asarray(self.observed))
        if self.mask is not None:
            object.__setattr__(self, "mask", np.asarray(self.mask))
            if self.mask.dtype != bool:
                raise ParameterError(f"mask has dtype {self.mask.dtype}; it must be bool, true where values are known")

    def __call__(self, estimate: Array, y: Array, sigma: float) -> Array:
        """Return the estimate that fits the observations."""
        w = (self.noise / (self.spread * sigma)) ** 2
        observed, operator, adjoint = self.observed, self.operator, self.adjoint
        if operator is None or adjoint is None:
            _check_shape(observed, estimate.shape)
            filled = np.where(self.mask, estimate + (observed - estimate) / (1 + w), estimate)  # type: ignore[arg-type]
            return filled.astype(estimate.dtype)
        seen = operator(estimate)
        _check_shape(observed, np.shape(seen))
        towards = np.asarray(adjoint(observed - seen), np.float64)
        _check_shape(towards, estimate.shape)

        def normal(flat: Array) -> Array:
            change = np.asarray(adjoint(operator(flat.reshape(towards.shape))), np.float64)
            return change.ravel() + w * flat.ravel()

        from scipy.sparse.linalg import LinearOperator, cg

        system = LinearOperator((towards.size, towards.size), matvec=normal, dtype=np.float64)
        d, failed = cg(system, towards.ravel(), rtol=self.tolerance, atol=0.0)  # The shortest d if there are many.
        if failed:
            raise SolverError(
                f"data_consistency did not reach a relative residual of {self.tolerance:g} in {failed} iterations; "
                "check that adjoint is the adjoint of operator, or give noise above 0 or a larger tolerance"
            )
        return (estimate + d.reshape(towards.shape)).astype(estimate.dtype)


@dataclass(frozen=True, repr=False)
class guidance(Value):
    """Hook that steers the process by a gradient, such as that of a classifier.

    x ← x + scale · σ² · gradient(y, σ), gradient = ∇_y log p(condition | y). By Tweedie's formula an estimate is
    y + σ² ∇ log p(y), so the result is the estimate under the condition.

    Parameters
    ----------
    gradient : callable (y, sigma) -> ndarray
        Of the shape of `y`, per unit of the frames.
    scale : float
        1 for the condition itself, more to amplify it.

    References
    ----------
    Dhariwal & Nichol (2021), arXiv:2105.05233.

    Examples
    --------
    >>> guidance(lambda y, sigma: 1 - y)(np.zeros(2), np.zeros(2), 0.5)
    array([0.25, 0.25])
    """

    gradient: Callable[[Array, float], Array]
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check_scale(self.scale)

    def __call__(self, estimate: Array, y: Array, sigma: float) -> Array:
        """Return the estimate under the condition."""
        return estimate + self.scale * sigma**2 * self.gradient(y, sigma)


@dataclass(frozen=True, repr=False)
class classifier_free(Value):
    """Denoiser that amplifies the effect of a condition.

    D = D_unconditional + scale · (D_conditional − D_unconditional)

    Parameters
    ----------
    conditional, unconditional : callable (y, sigma) -> estimate
        Denoisers with and without the condition.
    scale : float
        0 leaves the condition out, 1 takes it as it is, more amplifies it: 1 + w of articles that write w.

    References
    ----------
    Ho & Salimans (2022), arXiv:2207.12598.

    Examples
    --------
    >>> both = classifier_free(lambda y, sigma: y + 1, lambda y, sigma: y, scale=3)
    >>> both(np.zeros(2), 0.5)
    array([3., 3.])
    """

    conditional: Denoiser
    unconditional: Denoiser
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check_scale(self.scale)

    def __call__(self, y: Array, sigma: float) -> Array:
        """Return the estimate."""
        without = self.unconditional(y, sigma)
        return without + self.scale * (self.conditional(y, sigma) - without)


def _check_range(low: float, high: float) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ParameterError(f"the range is {low} to {high}; it must be two finite numbers, the lower one first")


def _check_scale(scale: float) -> None:
    if not math.isfinite(scale):
        raise ParameterError(f"scale is {scale}; it must be finite")


def _check_shape(array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise InputError(f"the observations have shape {array.shape}, what they are compared with has {shape}")
