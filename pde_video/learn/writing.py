"""Tensors into files."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from pde_video.video.outputs import whole


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], force: bool) -> None:
    """Write tensors as safetensors, completely or not at all; an existing file only with `force`."""
    with whole(path, force) as part:
        part.touch()
        mode = part.stat().st_mode & 0o777  # By the umask; safetensors would make the file readable by its owner only.
        save_file({name: value.contiguous() for name, value in tensors.items()}, part, metadata)
        part.chmod(mode)
