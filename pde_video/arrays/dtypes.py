"""Conversion of frames of any dtype to floating point and back."""

from typing import Any

import numpy as np

from pde_video.errors import DtypeError, InputError
from pde_video.protocols import Array

_EXACT = ("uint8", "uint16", "int8", "int16", "float16", "float32", "float64")
_COMPILED = ("float32", "float64")  # The dtypes that the kernels round.


def scale_of(dtype: np.dtype[Any]) -> float:
    """Return the value that 1.0 stands for: the largest integer, or 1 for floats; raise DtypeError for other dtypes."""
    if dtype.name not in _EXACT:
        raise DtypeError(
            f"frames have dtype {dtype}; convert them to one of {', '.join(_EXACT)}, for "
            "example frames.astype(np.float32)"
        )
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def as_float(frame: Array, work_dtype: Any, scale: float) -> Array:
    """Return frame / scale as (H, W, C), always a copy; in memory it is (C, H, W), the layout of a state."""
    from pde_video.kernels.pixels import to_planes  # Here, so that opening a file does not import numba.

    frame = frame[..., np.newaxis] if frame.ndim == 2 else frame
    planes = np.empty((frame.shape[2], *frame.shape[:2]), work_dtype)
    if work_dtype == np.float32 and frame.dtype.name != "float16":  # Numba does not support float16.
        to_planes(_pixels(frame), planes.reshape(len(planes), -1), np.float32(scale))
    else:
        planes[...] = np.moveaxis(frame, -1, 0)  # The scale of floats is 1.
    return np.moveaxis(planes, 0, -1)


def as_dtype(frame: Array, dtype: np.dtype[Any], scale: float, report: dict[str, Any]) -> Array:
    """Return frame · scale in `dtype`, C-contiguous; integers are rounded and saturated, and `report` counts these."""
    if dtype.kind == "f":
        return np.ascontiguousarray(frame, dtype)
    from pde_video.kernels.pixels import round_planes, round_values

    limits, kind = np.iinfo(dtype), frame.dtype.type
    if frame.dtype.name not in _COMPILED:
        frame, kind = (frame * kind(scale)).astype(np.float64), np.float64
        scale = 1.0
    rounded = np.empty(frame.shape, dtype.newbyteorder("="))
    parameters = kind(scale), kind(limits.min), kind(limits.max)
    planes = np.moveaxis(frame, -1, 0)
    if frame.ndim == 3 and planes.flags.c_contiguous and planes.flags.writeable and frame.dtype.isnative:
        saturated, infinite = round_planes(planes.reshape(len(planes), -1), rounded.reshape(-1), *parameters)
    else:
        saturated, infinite = round_values(_pixels(frame), rounded.reshape(-1), *parameters)
    if infinite:
        raise InputError("a filter returned NaN or infinite values, which integers cannot hold")
    report["saturated"] = report.get("saturated", 0) + saturated
    return rounded.astype(dtype, copy=False)


def _pixels(frame: Array) -> Array:
    """Return the values of a frame as a writeable one-dimensional array in native byte order, as kernels take them."""
    frame = np.ascontiguousarray(frame, frame.dtype.newbyteorder("="))
    return (frame if frame.flags.writeable else frame.copy()).reshape(-1)
