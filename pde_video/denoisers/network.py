"""The recurrent network of the library, run by compiled kernels, and its files of weights."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cache, cached_property
from importlib import resources
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.access.opening import content_of
from pde_video.arrays.values import made_by
from pde_video.denoisers.planewise import MIDDLE, Planewise
from pde_video.denoisers.tensor_files import unpacked
from pde_video.denoisers.validation import refuse_pickled
from pde_video.errors import InputError, ParameterError
from pde_video.kernels.convolve import blended, gated, tanh
from pde_video.protocols import Array, Denoiser
from pde_video.solvers.convolution import Convolution, Rows, blank, inner, spread

FORMAT = "pde_video denoiser 1"
_LARGEST = 2**28  # Bytes of a model's file.
_PIXELS = 4  # In a 2 × 2 square; the first channels of a GRU's state are running means of them.


def layers_of(config: Mapping[str, Any]) -> dict[str, tuple[int, int, int, int]]:
    """Return the convolutions of a network, by name, with the shapes (outputs, inputs, rows, columns) of weights."""
    w = config["width"]
    encoder, decoder = (
        {f"{part}.{k}.{which}": (w, w, 3, 3) for k in range(config[part]) for which in ("first", "second")}
        for part in ("encoder", "decoder")
    )
    gates = {"cell.gates": (2 * w, 2 * w, 3, 3)} if config["cell"] == "gru" else {}
    cell = gates | {"cell.candidate": (w, 2 * w, 3, 3)}
    return {"entry": (w, 9, 3, 3), **encoder, **cell, "fusion": (2 * w, 2 * w, 1, 1), **decoder, "head": (4, w, 3, 3)}


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the weights of a network with this configuration."""
    weights: dict[str, tuple[int, ...]] = {}
    for name, shape in layers_of(config).items():
        weights |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return weights


@dataclass(frozen=True, eq=False, repr=False)
class Network(Planewise):
    """A recurrent convolutional network that estimates the clean picture behind y = clean + sigma · noise.

    x̂ = P + ½ σ · F((y − ½)/s, (y − P)/σ, log σ, h), s² = σ² + d², with P the result of diffusion by cosine filters: the
    network corrects the equation.

    F works at half the resolution, with 2 × 2 pixels as four channels, one plane at a time, and carries a state h from
    frame to frame, so it is causal. With three channels the planes are the mean and the two orthonormal differences of
    red, green and blue, each with its own state; with any other number, each channel is a grey picture. Frames may have
    any size; values should lie in [0, 1]. Results do not depend on the number of threads.

    Parameters
    ----------
    config : mapping
        ``format`` ("pde_video denoiser 1"), ``cell`` ("gru" or "rnn"), ``width`` (channels inside), ``encoder`` and
        ``decoder`` (numbers of residual blocks), ``deviation`` (d, the standard deviation of clean pictures).
    tensors : mapping of str to ndarray
        The weights, float32, with the names and shapes of `shapes`.
    record : mapping, optional
        How it was trained.
    name : str
        The name in reports and errors.

    References
    ----------
    Karras et al. (2022), arXiv:2206.00364, for the scaling; Ballas et al. (2016), arXiv:1511.06432, for the cell.

    Examples
    --------
    >>> config = {"format": FORMAT, "cell": "gru", "width": 4, "encoder": 0, "decoder": 0, "deviation": 0.25}
    >>> network = Network(config, {name: np.zeros(shape, np.float32) for name, shape in shapes(config).items()})
    >>> noisy = np.random.default_rng(0).normal(0.5, 0.1, (16, 16, 1))
    >>> bool(network(noisy, sigma=0.1).std() < 0.03)  # An F of zeros corrects nothing.
    True
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, Array]
    record: Mapping[str, Any] = field(default_factory=dict)
    _: KW_ONLY
    name: str = "network"

    def __post_init__(self) -> None:
        config, record = checked_config(self.config), dict(self.record or {})
        tensors, most = checked_tensors(self.tensors, shapes(config)), _most(record, self.most)
        for name, value in {"config": config, "record": record, "tensors": tensors, "most": most}.items():
            object.__setattr__(self, name, value)

    @cached_property
    def _layers(self) -> dict[str, Convolution]:
        layers, state_first = {}, {"cell.gates", "fusion"}  # The order in memory is state, input, reset state.
        if self.config["cell"] == "rnn":
            state_first.add("cell.candidate")
        for name in layers_of(self.config):
            weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
            weight = np.roll(weight, self.config["width"], axis=1) if name in state_first else weight
            layers[name] = Convolution(weight, bias)
        return layers

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Network:
        """Return the network in a safetensors file; raise InputError if it holds none."""
        refuse_pickled(path)
        path = Path(path)
        try:
            data = content_of(path, _LARGEST)
        except OSError as fault:
            raise InputError(f"{path} cannot be read: {fault.strerror or fault}") from fault
        try:
            network = cls.from_bytes(data, path.name)
        except InputError as fault:
            raise InputError(f"{path.name}: {fault}") from fault
        return made_by(network, "load_denoiser", str(path))

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "network") -> Network:
        """Return the network in the content of a safetensors file, with its ``config`` in the metadata."""
        tensors, metadata = unpacked(data)
        try:
            config = json.loads(metadata["config"])
            record = dict(json.loads(metadata.get("record", "{}")))
        except (KeyError, ValueError, TypeError, RecursionError) as fault:
            raise InputError("no network of pde_video: the metadata has no config and record in JSON") from fault
        return cls(config, tensors, record, name=name)

    def cell(self, planes: Array, state: Array | None, sigma: float | Sequence[float]) -> tuple[Array, Array]:
        """Return the estimate of float32 planes (P, H, W), and the state for the next ones.

        `sigma`, above 0, is one for all planes or one for each. The state, None at first, is an array
        (P, ⌈H/2⌉, width, ⌈W/2⌉), which is not overwritten.
        """
        count, height, width = planes.shape
        shape = (count, (height + 1) // 2, self.config["width"], (width + 1) // 2)
        if state is not None and state.shape != shape:
            raise InputError(
                f"frames must keep their size: planes {planes.shape} need a state {shape}, not {state.shape}"
            )
        planes = planes.astype(np.float32, copy=False)
        estimates, states = np.empty(planes.shape, np.float32), np.empty(shape, np.float32)
        levels = np.broadcast_to(np.asarray(sigma, np.float64), count).tolist()
        for one in levels:
            if not 0 < one < math.inf:
                raise ParameterError(f"sigma is {one}; a cell needs a finite number above 0")
        guides = self.guides(planes, levels)
        for k, one in enumerate(levels):  # One by one, to save memory.
            before = None if state is None else state[k]
            estimates[k], states[k] = self._plane(planes[k], guides[k], before, one)
        return estimates, states

    def _plane(self, y: Array, guide: Array, state: Array | None, sigma: float) -> tuple[Array, Array]:
        spread = math.hypot(sigma, float(self.config["deviation"]))
        even, smooth = (np.pad(x, [(0, n % 2) for n in y.shape], mode="edge") for x in (y, guide))
        height, width = even.shape[0] // 2, even.shape[1] // 2
        quarters = blank(2 * _PIXELS + 1, height, width)
        seen = inner(quarters, width)
        for k in range(_PIXELS):
            there = (slice(k // 2, None, 2), slice(k % 2, None, 2))
            seen[:, k] = (even[there] - np.float32(MIDDLE)) * np.float32(1 / spread)
            seen[:, _PIXELS + k] = (even[there] - smooth[there]) * np.float32(1 / sigma)
        seen[:, 2 * _PIXELS] = math.log(sigma) / 4
        remembered = self._through(quarters, state, height, width)
        for k in range(_PIXELS):
            smooth[k // 2 :: 2, k % 2 :: 2] += np.float32(sigma / 2) * seen[:, k]
        return smooth[: y.shape[0], : y.shape[1]], remembered

    def _through(self, quarters: Array, state: Array | None, height: int, width: int) -> Array:
        """Replace the first four channels by the output of the head; return the new state.

        `near` holds the state, the input and the reset state side by side; `far` holds intermediate results. A
        convolution reads rows around its own, so no step writes what another thread still reads.
        """
        w, gru, layers = self.config["width"], self.config["cell"] == "gru", self._layers
        near, far = blank((3 if gru else 2) * w, height, width), blank(2 * w, height, width)
        h, e, reset = 0, w, 2 * w
        if state is not None:
            inner(near, width)[:, :w] = state

        def blocks(part: str) -> None:
            for k in range(self.config[part]):
                block(f"{part}.{k}", last=part == "decoder" and k == self.config[part] - 1)

        def block(name: str, last: bool) -> None:
            first, second = layers[f"{name}.first"], layers[f"{name}.second"]
            spread(lambda rows: first(near, e, far, 0, width, rows, rectified=True), height)
            spread(lambda rows: second(far, 0, near, e, width, rows, added=True, rectified=last), height)

        def gates(rows: Rows) -> None:
            layers["cell.gates"](near, h, far, 0, width, rows)
            gated(far, w, near, h, near, reset, w, width, rows, False, False)

        def candidate(rows: Rows) -> None:
            layers["cell.candidate"](near, e if gru else h, far, w, width, rows)
            if gru:
                blended(far, 0, quarters, 0, near, h, _PIXELS, width, rows)
                tanh(far, w + _PIXELS, far, w + _PIXELS, w - _PIXELS, width, rows)
                blended(far, _PIXELS, far, w + _PIXELS, near, h + _PIXELS, w - _PIXELS, width, rows)

        def fusion(rows: Rows) -> None:
            if not gru:
                tanh(far, w, near, h, w, width, rows)
            layers["fusion"](near, h, far, 0, width, rows)
            gated(far, w, far, 0, near, e, w, width, rows, True, not self.config["decoder"])

        spread(lambda rows: layers["entry"](quarters, 0, near, e, width, rows, rectified=True), height)
        blocks("encoder")
        if gru:
            spread(gates, height)
        spread(candidate, height)
        spread(fusion, height)
        blocks("decoder")
        spread(lambda rows: layers["head"](near, e, quarters, 0, width, rows), height)
        return inner(near, width)[:, :w].copy()


def _most(record: Mapping[str, Any], otherwise: float) -> float:
    """Return the highest noise level of the training."""
    if "settings" not in record:
        return otherwise
    try:
        most = float(record["settings"]["sigma"][1]) / 255
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as fault:
        raise InputError("the record does not give the noise levels of the training") from fault
    if not 0 < most < math.inf:
        raise InputError(f"the record says that the network was trained with noise up to {most}")
    return most


def checked_config(config: Any) -> dict[str, Any]:
    """Return the configuration of a network, or raise InputError."""
    if not isinstance(config, Mapping) or config.get("format") != FORMAT:
        found = config.get("format") if isinstance(config, Mapping) else config
        raise InputError(f"the format is {found!r:.100}; what can be read is {FORMAT!r}")
    allowed = {
        "cell": ("gru or rnn", lambda value: value in ("gru", "rnn")),
        "width": ("a whole number from 4 to 1024", lambda value: type(value) is int and 4 <= value <= 1024),
        "encoder": ("a whole number from 0 to 64", lambda value: type(value) is int and 0 <= value <= 64),
        "decoder": ("a whole number from 0 to 64", lambda value: type(value) is int and 0 <= value <= 64),
        "deviation": ("a number from 0 to 1000", lambda value: type(value) in (int, float) and 0 < value <= 1000),
    }
    for key, (what, fits) in allowed.items():
        if not fits(config.get(key)):
            raise InputError(f"the configuration says {key} = {config.get(key)!r:.100}; it must be {what}")
    if unknown := set(config) - set(allowed) - {"format"}:
        raise InputError(f"the configuration has {', '.join(sorted(map(str, unknown))):.200}, unknown to this version")
    return dict(config)


def checked_tensors(tensors: Mapping[str, Array], wanted: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """Return the tensors in the order of `wanted`, or raise InputError unless they have its names and shapes."""
    if missing := sorted(wanted.keys() - tensors.keys()):
        raise InputError(f"tensors are missing: {', '.join(missing):.200}")
    if extra := sorted(tensors.keys() - wanted.keys()):
        raise InputError(f"tensors that do not belong there: {', '.join(extra):.200}")
    for name, shape in wanted.items():
        found = tensors[name]
        if found.shape != shape or found.dtype != np.float32:
            raise InputError(f"{name} is {found.shape} of {found.dtype}; it must be {shape} of float32")
        if not np.isfinite(found).all():
            raise InputError(f"{name} has values that are not finite")
    return {name: tensors[name] for name in wanted}


@cache
def shipped() -> Network:
    """Return the network of the library; docs/learned.md describes its training."""
    data = resources.files("pde_video.denoisers").joinpath("shipped.safetensors").read_bytes()
    return made_by(Network.from_bytes(data, "the network that comes with the library"), "load_denoiser")


def load_denoiser(path: str | Path | None = None) -> Denoiser:
    """Load a denoiser that ``pde-video train`` or ``pde-video export`` wrote, or the network of the library.

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
        if not os.path.exists(path):  # Checked first: installing onnxruntime would not help.
            raise InputError(f"{path} cannot be read: No such file or directory")
        from pde_video.denoisers.onnx_files import OnnxNetwork

        return made_by(OnnxNetwork(str(path)), "load_denoiser", str(path))
    refuse_pickled(path)
    if path.suffix.lower() != ".safetensors":
        raise InputError(f"{path.name} is neither .safetensors nor .onnx; use from_torch or from_onnx for other models")
    return Network.load(path)
