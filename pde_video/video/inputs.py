"""What can be an input, told before it is opened."""

import stat
from pathlib import Path

from pde_video.access.opening import status_of
from pde_video.errors import InputError


def check_input(path: Path) -> None:
    """Raise unless `path` is a regular file that is not empty, or a folder called .zarr."""
    status = status_of(path)
    if stat.S_ISDIR(status.st_mode) and path.suffix.lower() == ".zarr":
        return
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: not a file")
    if status.st_size == 0:
        raise InputError(f"{path}: the file is empty")
