"""Training of the spatio-temporal denoiser with PyTorch (extra `torch`); the trained model runs without it."""

import importlib.util
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pde_video.errors import ParameterError, not_installed
from pde_video.threads import set_num_threads
from pde_video.video.outputs import check_output, whole

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
    result is validated on the first 16 frames of the clips `validation`; by default on the last 16 frames of each clip
    that has at least 32, which are held out. `threads` is the number for PyTorch and for this library; with one thread,
    a busy machine trains two to three times as fast.

    Raises
    ------
    ParameterError, InputError, FileExistsError
        If PyTorch is missing, a clip cannot be used, or the output exists.

    Examples
    --------
    >>> train_on_files(["clip.mp4"], "model.safetensors")  # doctest: +SKIP
    """
    check_target(output, ".safetensors", "a model", bool(options.get("force")))
    import torch

    from pde_video.learn.footage import Footage, load
    from pde_video.learn.training import Settings, train

    if threads is not None:
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
    """Write a model as ONNX: (frame, guide, state, sigma) → (estimate, next_state), one frame of a stream.

    `model` is a ``.safetensors`` file that `train` wrote, `output` ends in ``.onnx``. Frames and guides (their
    `cosine_diffusion`) are planes (N, 1, H, W), H and W even; the state is (N, width, H/2, W/2), zeros before the first
    frame; sigma is (N,). `load_denoiser` runs it.

    Raises
    ------
    ParameterError, InputError, FileExistsError
        If PyTorch is missing, the output does not end in .onnx or exists, or the model is not of this library.

    Examples
    --------
    >>> export_onnx("model.safetensors", "model.onnx")  # doctest: +SKIP
    """
    check_target(output, ".onnx", "an ONNX model", force)
    import torch

    from pde_video.learn.model import load_model

    net = load_model(model).eval()
    frame, state = torch.zeros(2, 1, 16, 16), torch.zeros(2, net.config["width"], 8, 8)
    planes, rows, columns = (torch.export.Dim(name, min=1) for name in ("planes", "half_rows", "half_columns"))
    whole_frame = {0: planes, 2: 2 * rows, 3: 2 * columns}
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings(), whole(Path(output), force) as part:
        warnings.simplefilter("ignore")  # PyTorch warns about its own parts.
        logger.setLevel(logging.ERROR)
        try:
            torch.onnx.export(
                net,
                (frame, frame.clone(), state, torch.full((2,), 0.1)),
                str(part),
                input_names=["frame", "guide", "state", "sigma"],
                output_names=["estimate", "next_state"],
                dynamic_shapes=(whole_frame, whole_frame, {0: planes, 2: rows, 3: columns}, {0: planes}),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        finally:
            logger.setLevel(level)


def check_target(output: str | Path, suffix: str, what: str, force: bool) -> None:
    """Raise before any work if the output cannot be written, or a package is missing."""
    if Path(output).suffix != suffix:
        raise ParameterError(f"{output}: the name of {what} must end in {suffix}")
    for package in ("torch", "safetensors"):
        if importlib.util.find_spec(package) is None:
            raise ParameterError(not_installed("training and export", package, "torch"))
    check_output(Path(output), force)
