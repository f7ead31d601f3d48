"""What a reader hands out and a writer takes in."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.errors import InputError
from pde_video.protocols import Array

MOST_PIXELS = 2**28  # Of a frame: what no camera has is more likely a broken header, and would fill the memory.
Decoded = Generator[tuple[Array | None, Fraction | None], None, None]


@dataclass(frozen=True)
class Choice:
    """What of a file is wanted, and how far the file is trusted; times in seconds after the first frame."""

    start: Fraction | None = None
    end: Fraction | None = None
    first: int = 0
    last: int | None = None  # One past it.
    stream: int | None = None  # Which of several video streams.
    keep_partial: bool = False
    max_pixels: int = MOST_PIXELS

    @property
    def is_everything(self) -> bool:
        """Whether no frame is left out."""
        return self.start is None and self.end is None and not self.first and self.last is None

    def wants(self, index: int, after: Fraction | None) -> bool:
        """Tell whether a frame is wanted, by its number and its time after the first frame."""
        late = index >= self.first and (self.start is None or (after is not None and after >= self.start))
        return late and not self.is_past(index, after)

    def is_past(self, index: int, after: Fraction | None) -> bool:
        """Tell whether neither this frame nor any after it is wanted."""
        ended = self.end is not None and after is not None and after >= self.end
        return ended or (self.last is not None and index >= self.last)


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
    choice : Choice
        Which frames of it are wanted.
    lost : str or None
        What was wrong with the file, if iterating ended there because a part was asked to be kept.
    """

    path: Path
    size: tuple[int, int]
    channels: int
    dtype: np.dtype[Any]
    decode: Callable[[FileVideo], Decoded] = field(repr=False)
    rate: Fraction | None = None
    count: int | None = None
    timestamps: list[Fraction] = field(default_factory=list, repr=False)
    details: dict[str, Any] = field(default_factory=dict)
    choice: Choice = field(default_factory=Choice, repr=False)
    lost: str | None = None

    def __iter__(self) -> Generator[Array, None, None]:
        return self._chosen()

    def _chosen(self) -> Generator[Array, None, None]:
        """Yield the frames that are wanted; `decode` yields all up to the last of those, with times if it has any.

        It may yield None in place of a frame of which it knows that it is not wanted.
        """
        begun: Fraction | None = None
        given = 0
        with contextlib.closing(self.decode(self)) as decoded:
            for index, (frame, time) in enumerate(self._whole_part(decoded)):
                begun = time if begun is None else begun
                after = None if time is None or begun is None else time - begun
                if self.choice.is_past(index, after):
                    break
                if frame is None or not self.choice.wants(index, after):
                    continue
                if time is not None and given == len(self.timestamps):  # Not yet known from another iteration.
                    self.timestamps.append(time)
                given += 1
                yield frame
        if not given and self.lost is None:
            raise InputError(f"{self.path}: no frame is within what was asked for")

    def _whole_part(self, decoded: Decoded) -> Decoded:
        """Pass frames on; where the file is damaged, end there, if that was asked for and something came before."""
        some = False
        try:
            for pair in decoded:
                some = True
                yield pair
        except InputError as fault:
            if not (some and self.choice.keep_partial):
                raise
            self.lost = str(fault)


@dataclass(frozen=True)
class Encoding:
    """How frames are to be encoded, where the format leaves a choice."""

    codec: str | None = None
    crf: int | None = None
    lossless: bool = False

    @property
    def is_default(self) -> bool:
        """Whether nothing was chosen."""
        return self == Encoding()


@dataclass(frozen=True)
class Target:
    """What a writer needs to know besides the frames."""

    path: Path
    first: Array
    count: int | None
    rate: Fraction
    like: FileVideo | None
    encoding: Encoding = field(default_factory=Encoding)
    made: str = ""  # How it was made, as JSON, for the file's metadata.
    told: dict[str, Any] = field(default_factory=dict)  # What the writer has to report.

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
