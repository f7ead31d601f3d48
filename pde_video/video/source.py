"""What a reader hands out and a writer takes in."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.protocols import Array


@dataclass
class FileVideo:
    """A video in a file, decoded frame by frame each time it is iterated over.

    Attributes
    ----------
    path : Path
        Where it is.
    size : (int, int)
        Height and width in pixels.
    channels : int
        1 for frames (H, W), otherwise C for frames (H, W, C).
    dtype : dtype
        Of the frames.
    rate : Fraction or None
        Frames per second, exact; None for stacks and stills, which have none.
    count : int or None
        Number of frames, if the file declares it.
    timestamps : list of Fraction
        Seconds on the file's clock, one for each frame that has been decoded so far.
    details : dict
        What else the file says: codec, pixel format, bits, colour matrix and range.
    """

    path: Path
    size: tuple[int, int]
    channels: int
    dtype: np.dtype[Any]
    decode: Callable[[FileVideo], Generator[Array, None, None]] = field(repr=False)
    rate: Fraction | None = None
    count: int | None = None
    timestamps: list[Fraction] = field(default_factory=list, repr=False)
    details: dict[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Generator[Array, None, None]:
        return self.decode(self)


@dataclass(frozen=True)
class Target:
    """What a writer needs to know besides the frames."""

    path: Path
    first: Array
    count: int | None
    rate: Fraction
    like: FileVideo | None

    @property
    def suffix(self) -> str:
        """The file name's ending, in small letters."""
        return self.path.suffix.lower()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.first.shape[0], self.first.shape[1]

    @property
    def channels(self) -> int:
        """1 for frames (H, W), otherwise C."""
        return 1 if self.first.ndim == 2 else self.first.shape[2]
