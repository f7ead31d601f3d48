"""What the library makes of a folder of real files: a block of lines for each, as FFmpeg's FATE keeps them.

Run as ``python -m tests.corpus FOLDER > tests/corpus.txt`` after a change that is meant; `tests/test_corpus.py`
compares. The folder has files of public projects, which are read where they are and belong to none of this project's.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

import pde_video as pv
from pde_video.errors import OutputError
from pde_video.jobs.again import verify

EXPECTED = Path(__file__).with_suffix(".txt")
_FAULTS = (pv.InputError, pv.ParameterError, OutputError, OSError, ImportError)
_KEYS = ("codec", "pixel_format", "axes", "warnings", "not_kept", "side_data", "other_streams")


def described(path: Path) -> str:
    """Return lines on a file, below its name: what `info` and `verify` say, and a hash of the first frame."""
    parts = {"info": _info, "verify": _verified, "first": _first}
    said = {name: _said(part, path) for name, part in parts.items()}
    if len(set(said.values())) == 1:
        said = {"all": said["info"]}
    return "\n".join([path.name, *(f"  {name:<6}  {text}" for name, text in said.items())])


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix != ".md")


def expected() -> dict[str, str]:
    """Return the committed blocks by the name of their file."""
    blocks = EXPECTED.read_text(encoding="utf-8").split("\n\n")
    return {block.splitlines()[0]: block.rstrip() for block in blocks}


def _said(part: Callable[[Path], str], path: Path) -> str:
    """Return what `part` does, or its error without the file's folder, in one line."""
    try:
        said = part(path)
    except _FAULTS as fault:
        said = f"{type(fault).__name__}: {fault}"
    return " ".join(said.replace(str(path), "FILE").split())


def _info(path: Path) -> str:
    video = pv.read(path)
    words = [f"{video.size[0]} × {video.size[1]} × {video.channels} {video.dtype}", f"rate {video.rate}"]
    words += [f"frames {video.count}"]
    return ", ".join([*words, *(f"{key} {video.details[key]}" for key in _KEYS if key in video.details)])


def _verified(path: Path) -> str:
    return f"{verify(path)['frames']} frames"


def _first(path: Path) -> str:
    frame = np.ascontiguousarray(next(iter(pv.read(path))))
    return hashlib.sha256(frame.data).hexdigest()[:16]


if __name__ == "__main__":
    print("\n\n".join(map(described, files(Path(sys.argv[1])))))
