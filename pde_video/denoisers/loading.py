"""Denoisers from files: the one that comes with the library, and what users trained or exported."""

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
    """Return the network that comes with the library; docs/learned.md tells how it was trained."""
    data = resources.files("pde_video.denoisers").joinpath("shipped.safetensors").read_bytes()
    return made_by(Network.from_bytes(data, "the network that comes with the library"), "load_denoiser")


def load_denoiser(path: str | Path | None = None) -> Denoiser:
    """Read a denoiser that ``pde-video train`` or ``pde-video export`` wrote, or the one that comes with the library.

    (y, σ) → estimate, along a stream with a state: frame by frame, from that frame and those before it.

    Parameters
    ----------
    path : path, optional
        A ``.safetensors`` file, which is run by compiled kernels, or an ``.onnx`` file, run by onnxruntime (extra
        `onnx`). Neither can hold anything but numbers and, of ONNX, the operations on them. Default: the network
        that comes with the library, which ``denoise(method="learned")`` uses.

    Returns
    -------
    Denoiser

    Raises
    ------
    InputError
        If the file is not there, of another kind, or damaged.
    ParameterError
        If onnxruntime is needed and missing.

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
        if not path.exists():  # Before onnxruntime is asked for, which would not help.
            raise InputError(f"{path} cannot be read: No such file or directory")
        from pde_video.denoisers.onnx_cell import OnnxNetwork

        return OnnxNetwork.load(path)
    if path.suffix.lower() == ".safetensors" or path.suffix.lower() in PICKLED:
        return Network.load(path)
    raise InputError(
        f"{path.name} is neither .safetensors nor .onnx; of other models make a denoiser with from_torch or from_onnx"
    )
