"""How every kernel is compiled."""

from collections.abc import Callable
from typing import Any

import numba

from pde_video.kernels.cache import KernelCache


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile `function` when it is first called: serial, without the interpreter lock, cached on disk (see `cache`).

    Without fast-math: additions and multiplications round as IEEE 754 specifies, so that a kernel equals the same
    expression in NumPy bit for bit, on every machine. Loops along rows vectorise all the same.
    """
    # A private kernel is never called from Python and needs no wrapper for that, a good part of its compilation.
    inner = function.__name__.startswith("_")
    options: dict[str, Any] = {"no_cpython_wrapper": inner, "no_cfunc_wrapper": inner}
    dispatcher: Any = numba.njit(nogil=True, error_model="numpy", **options)(function)
    # With NUMBA_DISABLE_JIT=1 this is the function itself; and the digest covers this package only.
    if hasattr(dispatcher, "py_func") and function.__module__.startswith(f"{__package__}."):
        dispatcher._cache = KernelCache(function)  # As Numba's own cache=True does with its own class.
    return dispatcher
