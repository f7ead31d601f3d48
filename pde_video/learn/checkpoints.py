"""Files of models and checkpoints. A checkpoint must have the same settings and clips, and valid tensors."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pde_video.access.opening import content_of
from pde_video.denoisers.network import checked_tensors, shapes
from pde_video.denoisers.tensor_files import unpacked
from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array
from pde_video.video.outputs import whole

_LARGEST = 2**30  # Bytes of a checkpoint: four networks.


def read(
    path: Path, config: Mapping[str, Any], steps: int, settings: str, clips: Sequence[str]
) -> tuple[int, dict[str, Tensor]]:
    """Return the number of steps done, and the tensors of the network, of their average and of AdamW, checked."""
    try:
        try:
            arrays, found = unpacked(content_of(path, _LARGEST))
        except (InputError, OSError) as fault:
            raise InputError(f"it cannot be read: {getattr(fault, 'strerror', None) or fault}") from fault
        _check_origin(found, settings, clips)
        if found.get("done") not in {str(number) for number in range(steps + 1)}:
            what = f"the number of steps done is {found.get('done')!r}"
            raise InputError(f"{what}; it must be a whole number from 0 to {steps}")
        done = int(found["done"])
        _check_tensors(arrays, shapes(config), done)
    except (InputError, ParameterError) as fault:
        remedy = "restore it" if isinstance(fault, InputError) else "give the same ones"
        raise type(fault)(f"{path}: {fault}; {remedy}, or move the file away to start again") from fault
    return done, {name: torch.tensor(value) for name, value in arrays.items()}


def _check_origin(found: Mapping[str, str], settings: str, clips: Sequence[str]) -> None:
    if "settings" not in found:
        raise InputError("it has no settings in its metadata, so it is not a checkpoint")
    if found["settings"] != settings:
        raise ParameterError(f"it was written with other settings, {found['settings']}")
    try:
        before = json.loads(found["clips"])
    except (KeyError, ValueError, RecursionError):
        before = None
    if not isinstance(before, list) or not all(isinstance(one, str) for one in before):
        raise InputError("it does not name the clips of the training")
    if before != list(clips):
        gone, new = ([one for one in a if one not in b] for a, b in ((before, clips), (clips, before)))
        what = f"with [{', '.join(gone)}], now given are [{', '.join(new)}]" if gone or new else "in another order"
        raise ParameterError(f"it was written with other clips, {what}")


def _check_tensors(arrays: Mapping[str, Array], weights: Mapping[str, tuple[int, ...]], done: int) -> None:
    wanted = {f"{part}.{name}": shape for part in ("net", "average") for name, shape in weights.items()}
    if done:
        for number, shape in enumerate(weights.values()):
            of_adam = {"step": (), "exp_avg": shape, "exp_avg_sq": shape}
            wanted |= {f"optimiser.{number}.{name}": shape for name, shape in of_adam.items()}
    for name, array in checked_tensors(arrays, wanted).items():
        if (name.endswith(".step") and array != done) or (name.endswith(".exp_avg_sq") and array.min() < 0):
            raise InputError(f"{name} has values that training cannot produce")


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], force: bool) -> None:
    """Write tensors as safetensors, atomically; an existing file only with `force`."""
    with whole(path, force) as part:
        part.touch()
        mode = part.stat().st_mode & 0o777  # By the umask; safetensors would make the file readable by its owner only.
        save_file({name: value.contiguous() for name, value in tensors.items()}, part, metadata)
        part.chmod(mode)
