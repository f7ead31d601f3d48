"""Export of a trained network to ONNX: one step of the causal cell, to be called for each frame."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file

from pde_video.denoisers.network import Network
from pde_video.errors import ParameterError
from pde_video.learn.model import SpatioTemporal
from pde_video.video.outputs import check_output, whole


def export_onnx(model: str | Path, output: str | Path, *, force: bool = False) -> None:
    """Write a model as ONNX: (frame, guide, state, sigma) → (estimate, next_state), one frame of a stream.

    `model` is a ``.safetensors`` file that `train` wrote, `output` ends in ``.onnx``. Frames and guides (their
    `cosine_diffusion`) are planes (N, 1, H, W), H and W even; the state is (N, width, H/2, W/2), zeros before the first
    frame; sigma is (N,). `load_denoiser` runs it.

    Raises
    ------
    ParameterError, InputError, FileExistsError
        If the output does not end in .onnx or exists, or the model is not of this library.

    Examples
    --------
    >>> export_onnx("model.safetensors", "model.onnx")  # doctest: +SKIP
    """
    output = Path(output)
    if output.suffix != ".onnx":
        raise ParameterError(f"{output}: the name of an ONNX model must end in .onnx")
    check_output(output, force)
    net = load_model(model)
    width, n, side = net.config["width"], 2, 16
    frame, state = torch.zeros(n, 1, side, side), torch.zeros(n, width, side // 2, side // 2)
    planes, rows, columns = (torch.export.Dim(name, min=1) for name in ("planes", "half_rows", "half_columns"))
    with _silent(), whole(output, force) as part:
        torch.onnx.export(
            _Step(net).eval(),
            (frame, frame.clone(), state, torch.full((n,), 0.1)),
            str(part),
            input_names=["frame", "guide", "state", "sigma"],
            output_names=["estimate", "next_state"],
            dynamic_shapes=(
                {0: planes, 2: 2 * rows, 3: 2 * columns},
                {0: planes, 2: 2 * rows, 3: 2 * columns},
                {0: planes, 2: rows, 3: columns},
                {0: planes},
            ),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def load_model(path: str | Path) -> SpatioTemporal:
    """Return the network in a model's file for PyTorch."""
    network = Network.load(path)  # Checks the file.
    net = SpatioTemporal(dict(network.config))
    net.load_state_dict(load_file(path))
    return net


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Silence warnings of PyTorch about its own parts."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


class _Step(torch.nn.Module):
    def __init__(self, net: SpatioTemporal) -> None:
        super().__init__()
        self.net = net

    def forward(
        self, frame: torch.Tensor, guide: torch.Tensor, state: torch.Tensor, sigma: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.net.step(frame, guide, state, sigma)
