"""Conductances g(s²) as types: a kernel is compiled for the one it is given, so that its loops vectorise.

Kernels square differences times `factor`, 1/(hκ) over the `unit` of the conductance, and hand them to `conductance`.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba.core import types
from numba.extending import overload

from pde_video.kernels.jit import kernel


class _Conductance(NamedTuple):
    inverse_kappa: tuple[Any, Any, Any]  # 1/κ along each axis of the volume.


class Exponential(_Conductance):
    """g = exp(−s²)."""


class Rational(_Conductance):
    """g = 1 / (1 + s²)."""


class Charbonnier(_Conductance):
    """g = 1 / √(1 + s²)."""


class Weickert(_Conductance):
    """g = 1 − exp(−3.31488 / s⁸)."""


class Tukey(_Conductance):
    """g = max(1 − s², 0)²."""


class TotalVariation(_Conductance):
    """g = 1 / (κ √(1 + s²))."""


_BY_NAME: dict[str, Callable[..., Any]] = {
    "exponential": Exponential,
    "rational": Rational,
    "charbonnier": Charbonnier,
    "weickert": Weickert,
    "tukey": Tukey,
    "tv": TotalVariation,
}
NAMES = tuple(_BY_NAME)


def named(name: str, inverse_kappa: Any, dtype: Any) -> Any:
    """Return the conductance called `name`, for kernels on arrays of `dtype`."""
    real = np.dtype(dtype).type
    return _BY_NAME[name](tuple(real(k) for k in inverse_kappa))


def unit(name: str) -> float:
    """Return the unit of s in κ, chosen so that the polynomial of the exponential needs no scaling."""
    return 4.0 if name == "exponential" else 1.0


# p with p(x)¹⁶ ≈ e^{−16x} on [0, 1], lowest power first: the minimax fit of degree 4 with p(0) = 1 of the error after
# four squarings, at most 2e-7, and 1e-6 in single precision (the tests scan it).
_P0, _P1, _P2 = np.float32(1.0), np.float32(-0.9999979174812085), np.float32(0.4998984169725573)
_P3, _P4 = np.float32(-0.16536689562382054), np.float32(0.03587684484271793)


@kernel
def _square(x):
    return x * x


@kernel
def _exp_single(x):
    x = min(x, _P0)  # e^{−16} is 1e-7: nothing to single precision.
    p = _P0 + x * (_P1 + x * (_P2 + x * (_P3 + x * _P4)))
    return _square(_square(_square(_square(p))))


@kernel
def _exp_double(x):
    return math.exp(-16.0 * x)


def conductance(g: Any, s2: Any, inverse_kappa: Any) -> Any:
    """Return g of a squared gradient, in kernels."""
    raise NotImplementedError("conductance is for compiled code; apply `conduct` to a row")


@overload(conductance)
def _conductance(g, s2, inverse_kappa):
    real: Any = np.float32 if s2 == types.float32 else np.float64
    exp = _exp_single if real is np.float32 else _exp_double
    # Literals would widen single precision.
    zero, one, tiny, weickert = real(0), real(1), real(1e-8), real(3.31488 / 16)

    formulas: dict[type, Callable[..., Any]] = {
        Exponential: lambda g, s2, inverse_kappa: exp(s2),
        Rational: lambda g, s2, inverse_kappa: one / (one + s2),
        Charbonnier: lambda g, s2, inverse_kappa: one / math.sqrt(one + s2),
        Weickert: lambda g, s2, inverse_kappa: one - exp(weickert * _square(_square(one / max(s2, tiny)))),
        Tukey: lambda g, s2, inverse_kappa: _square(max(one - s2, zero)),
        TotalVariation: lambda g, s2, inverse_kappa: inverse_kappa / math.sqrt(one + s2),
    }
    return formulas[g.instance_class]


@kernel
def conduct(row, g, axis):
    """Replace squared gradients by conductances, in place, on a row."""
    inverse_kappa = g.inverse_kappa[axis]
    for j in range(row.shape[0]):
        row[j] = conductance(g, row[j], inverse_kappa)


def evaluate(name: str, s2: Any, kappa: float) -> Any:
    """Return g for squared gradients `s2`, an array in the units of κ², as the kernels compute it."""
    scaled = (s2 / kappa / kappa / unit(name) ** 2).ravel()
    conduct(scaled, named(name, (1.0 / kappa,) * 3, scaled.dtype), 0)
    return scaled.reshape(s2.shape)
