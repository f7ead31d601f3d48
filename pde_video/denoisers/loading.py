"""Denoisers from files: the network of the library, and networks that users trained or exported."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from pde_video.arrays.values import made_by
from pde_video.denoisers.network import Network
from pde_video.denoisers.validation import PICKLED
from pde_video.errors import InputError
from pde_video.protocols import Denoiser


@cache
def shipped() -> Network:
    """Return the network of the library; docs/learned.md describes its training."""
    data = resources.files("pde_video.denoisers").joinpath("shipped.safetensors").read_bytes()
    return made_by(Network.from_bytes(data, "the network that comes with the library"), "load_denoiser")


def load_denoiser(path: str | Path | None = None) -> Denoiser:
    """Read a denoiser that ``pde-video train`` or ``pde-video export`` wrote, or the network of the library.

    (y, σ) → estimate; causal, with a state along a stream of frames.

    Parameters
    ----------
    path : path, optional
        A ``.safetensors`` file, which is run by compiled kernels, or an ``.onnx`` file, run by onnxruntime (extra
        `onnx`). Neither format can hold code. Default: the network of the library, which
        ``denoise(method="learned")`` uses.

    Returns
    -------
    Denoiser

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another kind.
    ParameterError
        If onnxruntime is needed and not installed.

    Examples
    --------
    >>> load_denoiser()
    load_denoiser()
    >>> load_denoiser("model.safetensors")  # doctest: +SKIP
    load_denoiser('model.safetensors')
    """
    if path is None:
        return shipped()
    path = Path(path)
    if path.suffix.lower() == ".onnx":
        if not path.exists():  # Checked first: installing onnxruntime would not help.
            raise InputError(f"{path} cannot be read: No such file or directory")
        from pde_video.denoisers.onnx_cell import OnnxNetwork

        return OnnxNetwork.load(path)
    if path.suffix.lower() == ".safetensors" or path.suffix.lower() in PICKLED:
        return Network.load(path)
    raise InputError(f"{path.name} is neither .safetensors nor .onnx; use from_torch or from_onnx for other models")
