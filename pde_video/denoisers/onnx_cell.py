"""The recurrent network as `pde-video export` writes it, run by onnxruntime (extra `onnx`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.arrays.values import made_by
from pde_video.denoisers.models import session
from pde_video.denoisers.planewise import Planewise
from pde_video.errors import InputError, ParameterError, not_installed
from pde_video.protocols import Array

_INPUTS, _OUTPUTS = ["frame", "guide", "state", "sigma"], ["estimate", "next_state"]


@dataclass(frozen=True, eq=False, repr=False)
class OnnxNetwork(Planewise):
    """A causal cell in ONNX, looped over frames: (frame, guide, state, sigma) → (estimate, next_state)."""

    most = 60 / 255  # The limit of `train`; ONNX files have no record.
    model: Any  # A session with inputs and outputs of these names, as pde_video.learn.export_onnx writes them.
    name: str = "network"
    width: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        inputs, outputs = self.model.get_inputs(), [one.name for one in self.model.get_outputs()]
        if [one.name for one in inputs] != _INPUTS or outputs != _OUTPUTS:
            found = f"{[one.name for one in inputs]} to {outputs}"
            raise InputError(f"the model maps {found}, not {_INPUTS} to {_OUTPUTS}; use from_onnx for other models")
        object.__setattr__(self, "width", int(inputs[2].shape[1]))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> OnnxNetwork:
        """Return the network in a file; raise InputError if it holds none."""
        if importlib.util.find_spec("onnxruntime") is None:
            raise ParameterError(not_installed("an .onnx file", "onnxruntime", "onnx"))
        path = Path(path)
        return made_by(cls(session(path), path.name), "load_denoiser", str(path))

    def cell(self, planes: Array, state: Any, sigma: float | Sequence[float]) -> tuple[Array, Any]:
        """Return the estimate of planes (P, H, W), and the state for the next ones."""
        count, height, width = planes.shape
        even, guides = (
            np.pad(x, [(0, 0), (0, height % 2), (0, width % 2)], mode="edge")[:, np.newaxis]
            for x in (planes, self.guides(planes, sigma))
        )
        if state is None:
            state = np.zeros((count, self.width, even.shape[2] // 2, even.shape[3] // 2), np.float32)
        levels = np.ascontiguousarray(np.broadcast_to(np.asarray(sigma, np.float32), count))
        estimate, state = self.model.run(_OUTPUTS, dict(zip(_INPUTS, (even, guides, state, levels), strict=True)))
        return estimate[:, 0, :height, :width], state
