"""Checks of frames and of model outputs, with errors that name the model, the frame and the level."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.arrays.grid import all_finite
from pde_video.errors import DtypeError, InputError, ParameterError, SolverError, in_short
from pde_video.protocols import Array

_PICKLED = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin")


def check_callable(**models: Any) -> None:
    """Raise ParameterError unless every model can be called."""
    for name, model in models.items():
        if not callable(model):
            raise ParameterError(f"{name} is {model!r}; it must be a function, or an object that can be called")


def as_frames(y: Any, sigma: float, *, infinite: bool = False) -> Array:
    """Return `y` as a frame (H, W, C) or frames (T, H, W, C) of floats; check `y` and `sigma`."""
    if np.ndim(sigma) or not (0 <= sigma < np.inf or (infinite and sigma == np.inf)):
        raise ParameterError(f"sigma is {sigma}; it must be one number, the noise level: 0 or more, and finite")
    y = np.asarray(y)
    if y.dtype not in (np.float32, np.float64):
        raise DtypeError(f"the frames have dtype {y.dtype}; a denoiser takes float32 or float64")
    if y.ndim not in (3, 4) or y.size == 0:
        raise InputError(f"the shape is {y.shape}; a denoiser takes a frame (H, W, C) or frames (T, H, W, C)")
    if not all_finite(y):
        raise InputError(f"{_first_bad(y)} holds NaN or infinite values; replace them first")
    return y


def as_estimate(result: Any, shape: tuple[int, ...], dtype: np.dtype[Any], *, finite: bool = True) -> Array:
    """Return the output of a model as an array of `dtype`, checked."""
    if not isinstance(result, np.ndarray):
        raise DtypeError(f"it returned a {type(result).__name__}; it must return a NumPy array of floats")
    if result.dtype.kind != "f":
        raise DtypeError(f"it returned dtype {result.dtype}; it must return floats")
    if result.shape != shape:
        raise InputError(f"it returned the shape {result.shape}; it must return {shape}")
    if finite and not all_finite(result):
        raise InputError(f"it returned NaN or infinite values in {_first_bad(result)}")
    return result.astype(dtype, copy=False)


def refuse_pickled(path: str | PathLike[str]) -> None:
    """Raise InputError for a file with the suffix of a pickle: reading it could execute arbitrary code."""
    if Path(path).suffix.lower() in _PICKLED:
        raise InputError(
            f"{fspath(path)} is a pickled file, which could execute arbitrary code, so it is refused; if you "
            "trust it, convert it once: safetensors.torch.save_file(torch.load(PATH, weights_only=True), "
            "'model.safetensors'), or torch.onnx.export(module, inputs, 'model.onnx')"
        )


def _first_bad(frames: Array) -> str:
    if frames.ndim < 4:
        return "the frame"
    return f"frame {next(k for k, frame in enumerate(frames) if not all_finite(frame))}"


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Prefix every error inside with `where`; errors of a model itself become SolverError."""
    try:
        yield
    except (InputError, ParameterError, SolverError) as error:
        raise type(error)(f"{where}: {error}") from error
    except Exception as error:
        raise SolverError(f"{where}: the model failed ({type(error).__name__}: {in_short(error)})") from error
