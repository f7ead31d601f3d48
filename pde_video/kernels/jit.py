"""How every kernel is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function`: serial, without the interpreter lock, cached on disk where a place can be written.

    There is no fast-math: additions and multiplications round as IEEE 754 says, so that a kernel equals the
    same expression in NumPy bit for bit, on every machine. Loops along rows vectorise all the same.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # Numba found no directory to cache in: a read-only installation without a home.
        return numba.njit(**options)(function)
