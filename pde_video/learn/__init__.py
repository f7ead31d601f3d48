"""Training of the spatio-temporal denoiser with PyTorch (extra `torch`); the trained model runs without it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pde_video.errors import ParameterError, not_installed
from pde_video.threads import set_num_threads

_VALIDATED = 16  # Frames of a clip for validation.


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
    threads: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train a denoiser on clean clips and pictures in files, in grey, and write it; return its record.

    `options` are those of `pde_video.learn.training.train`; the other parameters are described in its `Settings`. The
    result is measured on the first 16 frames of the clips `validation`; by default on the last 16 frames of each clip
    that has twice as many, which are then not trained on. `threads` are those of PyTorch and of this library; with one,
    a busy machine trains two to three times as fast.

    Raises
    ------
    ParameterError, InputError, FileExistsError
        If PyTorch is missing, a clip cannot be used, or the output exists.

    Examples
    --------
    >>> train_on_files(["clip.mp4"], "model.safetensors")  # doctest: +SKIP
    """
    if Path(output).suffix != ".safetensors":
        raise ParameterError(f"{output}: the name of a model must end in .safetensors")
    _need_torch()
    from pde_video.learn.footage import Footage, load
    from pde_video.learn.training import Settings, train
    from pde_video.video.outputs import check_output

    check_output(Path(output), bool(options.get("force")))
    if threads is not None:
        import torch

        set_num_threads(threads)
        torch.set_num_threads(threads)
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
