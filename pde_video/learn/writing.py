"""Tensors into files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from pde_video.video.outputs import whole


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], force: bool) -> None:
    """Write tensors in format safetensors; refuse, without `force`, what has come to be there in the meantime."""
    with whole(path, force) as part:
        part.touch()
        mode = part.stat().st_mode & 0o777  # As the umask has it; safetensors lets nobody else read what it writes.
        save_file({name: value.contiguous() for name, value in tensors.items()}, part, metadata)
        part.chmod(mode)
