"""Training of a spatio-temporal denoiser by PyTorch (extra `torch`); what it makes needs no PyTorch to run."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pde_video.errors import ParameterError, not_installed

_VALIDATED = 16  # Frames of a clip that are kept for validation.


def train_on_files(
    clips: Sequence[str | Path],
    output: str | Path,
    *,
    validation: Sequence[str | Path] = (),
    steps: int = 600,
    width: int = 32,
    cell: str = "gru",
    size: int = 64,
    seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """Train a denoiser on clips in files, in grey, and write it; return its record.

    As `pde_video.learn.training.train`, whose options it passes on. Without `validation`, the last 16 frames of each
    clip that has twice as many are not trained on, and measured at the end.

    Parameters
    ----------
    clips : sequence of path
        Clean clips, and pictures.
    output : path
        Where to write the model, a ``.safetensors`` file.
    validation : sequence of path
        Clips on whose first 16 frames the result is measured.
    steps, width, cell, size, seed
        Steps to train for, channels inside the network, "gru" or "rnn", side of the pieces in pixels, and the seed.

    Returns
    -------
    dict
        The record.

    Raises
    ------
    ParameterError, InputError, FileExistsError
        If PyTorch is missing, a clip cannot be used, or the output exists.

    References
    ----------
    Karras et al. (2022), arXiv:2206.00364.

    Examples
    --------
    >>> train_on_files(["clip.mp4"], "model.safetensors")  # doctest: +SKIP
    """
    if Path(output).suffix != ".safetensors":
        raise ParameterError(f"{output} must end in .safetensors: that is what the weights are written as")
    _need_torch()
    from pde_video.learn.footage import Footage, load
    from pde_video.learn.training import Settings, train
    from pde_video.video.outputs import check_output

    check_output(Path(output), bool(options.get("force")))
    settings = Settings(steps=steps, width=width, cell=cell, size=size, seed=seed)
    footage = [load(clip) for clip in clips]
    held = [load(clip, end=_VALIDATED) for clip in validation]
    if not held:
        long = [one for one in footage if len(one.frames) >= 2 * _VALIDATED]
        held = [Footage(one.name, one.frames[-_VALIDATED:]) for one in long]
        footage = [Footage(one.name, one.frames[:-_VALIDATED]) if one in long else one for one in footage]
    return train(footage, output, validation=held, settings=settings, **options)


def export_onnx(model: str | Path, output: str | Path, *, force: bool = False) -> None:
    """Write a model as ONNX; see `pde_video.learn.export.export_onnx`."""
    _need_torch()
    from pde_video.learn.export import export_onnx as export

    export(model, output, force=force)


def _need_torch() -> None:
    for package in ("torch", "safetensors"):
        if importlib.util.find_spec(package) is None:
            raise ParameterError(not_installed("training and export", package, "torch"))
