"""Files that are whole or not there, under a hidden name until they are done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Give a name beside `path`; on success it becomes `path`, on any fault it disappears."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.touch()
        mode = part.stat().st_mode & 0o777  # As the umask has it; safetensors lets nobody else read what it writes.
        yield part
        part.chmod(mode)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors in format safetensors."""
    with replaced(path) as part:
        save_file({name: value.contiguous() for name, value in tensors.items()}, part, metadata)
