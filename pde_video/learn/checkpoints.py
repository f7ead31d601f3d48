"""Files of models and checkpoints. A checkpoint must have the same settings and clips, and undamaged tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pde_video.errors import InputError, ParameterError
from pde_video.video.outputs import whole

_ELSE = "or move the file away to start again"


def read(
    path: Path, net: nn.Module, steps: int, settings: str, clips: Sequence[str]
) -> tuple[int, dict[str, dict[str, Tensor]]]:
    """Return the number of steps done, and the tensors of the network, of their average and of AdamW, checked."""
    try:
        with safe_open(path, "pt") as file:
            found, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as fault:  # Each kind of damage raises its own error.
        raise InputError(f"{path} cannot be read: {fault}; restore it, {_ELSE}") from fault
    if "settings" not in found:
        raise InputError(f"{path} has no settings in its metadata, so it is not a checkpoint; restore it, {_ELSE}")
    if found["settings"] != settings:
        raise ParameterError(
            f"{path} was written with other settings, {found['settings']}; give the same ones, {_ELSE}"
        )
    _check_clips(path, found, clips)
    if found.get("done") not in {str(number) for number in range(steps + 1)}:
        raise InputError(
            f"{path}: the number of steps done is {found.get('done')!r}; it must be a whole number from 0 to {steps}: "
            f"restore it, {_ELSE}"
        )
    done = int(found["done"])
    _check_tensors(path, net, done, tensors)
    return done, {
        part: {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}
        for part in ("net", "average", "optimiser")
    }


def _check_clips(path: Path, found: Mapping[str, str], clips: Sequence[str]) -> None:
    try:
        before = json.loads(found["clips"])
    except (KeyError, ValueError, RecursionError):
        before = None
    if not isinstance(before, list) or not all(isinstance(one, str) for one in before):
        raise InputError(f"{path} does not name the clips of the training; restore it, {_ELSE}")
    if before != list(clips):
        gone, new = ([one for one in a if one not in b] for a, b in ((before, clips), (clips, before)))
        what = f"with [{', '.join(gone)}], now given are [{', '.join(new)}]" if gone or new else "in another order"
        raise ParameterError(f"{path} was written with other clips, {what}; give the same ones, {_ELSE}")


def _check_tensors(path: Path, net: nn.Module, done: int, tensors: Mapping[str, Tensor]) -> None:
    wanted = {f"{part}.{name}": value.shape for part in ("net", "average") for name, value in net.state_dict().items()}
    if done:
        for number, weights in enumerate(net.parameters()):
            shapes = {"step": torch.Size(), "exp_avg": weights.shape, "exp_avg_sq": weights.shape}
            wanted |= {f"optimiser.{number}.{name}": shape for name, shape in shapes.items()}
    if odd := sorted(wanted.keys() ^ tensors.keys()):
        raise InputError(f"{path} has tensors missing or left over: {', '.join(odd)}; restore it, {_ELSE}")
    for name, shape in wanted.items():
        found = tensors[name]
        if found.shape != shape or found.dtype != torch.float32:
            raise InputError(
                f"{path}: {name} is {tuple(found.shape)} of {found.dtype}; it must be {tuple(shape)} of torch.float32: "
                f"restore it, {_ELSE}"
            )
        if not torch.isfinite(found).all():
            raise InputError(f"{path}: {name} has values that are not finite; restore it, {_ELSE}")
        if (name.endswith(".step") and found != done) or (name.endswith(".exp_avg_sq") and found.min() < 0):
            raise InputError(f"{path}: {name} has values that training cannot produce; restore it, {_ELSE}")


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], force: bool) -> None:
    """Write tensors as safetensors, completely or not at all; an existing file only with `force`."""
    with whole(path, force) as part:
        part.touch()
        mode = part.stat().st_mode & 0o777  # By the umask; safetensors would make the file readable by its owner only.
        save_file({name: value.contiguous() for name, value in tensors.items()}, part, metadata)
        part.chmod(mode)
