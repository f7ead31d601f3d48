"""What a reader returns and a writer takes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array

MOST_PIXELS = 2**28  # Of a frame. No camera has more; a header that claims more is probably damaged.
Seconds = float | Fraction
Decoded = Generator[tuple[Array | None, Fraction | None], None, None]


@dataclass(frozen=True)
class Choice:
    """The frames of a file that are wanted, and the limits on it; times are seconds after the first frame."""

    start: Fraction | None = None
    end: Fraction | None = None
    first: int = 0
    last: int | None = None  # Exclusive.
    stream: int | None = None  # Among several video streams.
    keep_partial: bool = False
    max_pixels: int = MOST_PIXELS

    @property
    def is_everything(self) -> bool:
        """Whether all frames are wanted."""
        return self.start is None and not self.first and self.is_to_the_end

    @property
    def is_to_the_end(self) -> bool:
        """Whether the last frame is wanted."""
        return self.end is None and self.last is None

    def wants(self, index: int, after: Fraction | None) -> bool:
        """Tell whether a frame with this number and time after the first frame is wanted."""
        late = index >= self.first and (self.start is None or (after is not None and after >= self.start))
        return late and not self.is_past(index, after)

    def is_past(self, index: int, after: Fraction | None) -> bool:
        """Tell whether neither this frame nor any after it is wanted."""
        ended = self.end is not None and after is not None and after >= self.end
        return ended or (self.last is not None and index >= self.last)


def choice_of(
    start: Seconds | None,
    end: Seconds | None,
    frames: tuple[int, int | None] | None,
    stream: int | None,
    keep_partial: bool,
    max_pixels: int,
) -> Choice:
    """Return the checked choice."""
    for name, seconds in {"start": start, "end": end}.items():
        if seconds is not None and not (np.isfinite(float(seconds)) and seconds >= 0):
            raise ParameterError(f"{name} is {seconds}; it must be seconds after the first frame, 0 or more")
    if start is not None and end is not None and end <= start:
        raise ParameterError(f"end is {end} and start {start}; end must be after start")
    first, last = (0, None) if frames is None else frames
    if first < 0 or (last is not None and last <= first):
        raise ParameterError(f"frames are {frames}; they must be (first, one past the last), counted from 0")
    if stream is not None and stream < 0:
        raise ParameterError(f"stream is {stream}; video streams are counted from 0")
    if max_pixels < 1:
        raise ParameterError(f"max_pixels is {max_pixels}; it must be at least 1")
    exact = [None if seconds is None else Fraction(seconds).limit_denominator(10**9) for seconds in (start, end)]
    return Choice(exact[0], exact[1], first, last, stream, keep_partial, max_pixels)


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
        1 for frames (H, W), C for frames (H, W, C).
    dtype : dtype
        Of the frames.
    rate : Fraction or None
        Frames per second, exact; None for stacks and stills, which have none.
    count : int or None
        Number of frames, if the file declares it.
    timestamps : list of Fraction
        Seconds on the file's clock, one for each frame decoded so far.
    details : dict
        Further metadata: codec, pixel format, bits, colour matrix and range, duration in seconds.
    choice : Choice
        Which frames of it are wanted.
    lost : str or None
        With ``keep_partial``: the fault at which iterating ended.
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

    @property
    def is_timed(self) -> bool:
        """Whether frames have times: by a rate, or one for each packet of a container."""
        return self.rate is not None or "stream_index" in self.details

    def only(self, choice: Choice) -> FileVideo:
        """Restrict the video to the chosen frames and return it; refuse times where frames have none."""
        if not self.is_timed and (choice.start is not None or choice.end is not None):
            raise ParameterError(f"{self.path}: its frames have no times; choose them by number, with frames")
        self.choice = choice
        if self.count is not None and choice.last is not None:
            self.count = max(0, min(choice.last, self.count) - choice.first)
        elif self.count is not None and not choice.is_everything:
            self.count = None if choice.end or choice.start else self.count - choice.first
        return self

    def __iter__(self) -> Generator[Array, None, None]:
        """Yield the frames that are wanted; `decode` yields all up to the last of them, None for unwanted ones."""
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
                if time is not None and given == len(self.timestamps):  # Not known from an earlier iteration.
                    self.timestamps.append(time)
                given += 1
                yield frame
        if not given and self.lost is None:
            raise InputError(f"{self.path}: no frame is within what was asked for")

    def _whole_part(self, decoded: Decoded) -> Decoded:
        """Yield the frames; with ``keep_partial``, end at the first fault unless there is no frame before it."""
        any_frame = False
        try:
            for pair in decoded:
                any_frame = True
                yield pair
        except InputError as fault:
            if not (any_frame and self.choice.keep_partial):
                raise
            self.lost = str(fault)


def size_and_channels(shape: Sequence[int]) -> tuple[tuple[int, int], int]:
    """Return (H, W) and the number of channels for the shape (H, W) or (H, W, C) of a frame."""
    return (shape[0], shape[1]), shape[2] if len(shape) == 3 else 1


@dataclass(frozen=True)
class Encoding:
    """How to encode frames, where the format leaves a choice."""

    codec: str | None = None
    crf: int | None = None
    lossless: bool = False


@dataclass(frozen=True)
class Target:
    """What a writer needs besides the frames."""

    path: Path
    first: Array
    count: int | None
    rate: Fraction
    like: FileVideo | None
    encoding: Encoding = field(default_factory=Encoding)
    made: str = ""  # Provenance as JSON, for the file's metadata.
    told: dict[str, Any] = field(default_factory=dict)  # The writer's report.
    known_rate: Fraction | None = None  # None where `rate` is only assumed.

    @property
    def suffix(self) -> str:
        """The file name's ending in lower case."""
        return self.path.suffix.lower()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return size_and_channels(self.first.shape)[0]

    @property
    def channels(self) -> int:
        """1 for frames (H, W), C for frames (H, W, C)."""
        return size_and_channels(self.first.shape)[1]

    @property
    def details(self) -> dict[str, Any]:
        """The metadata of the source, if there is one."""
        return self.like.details if self.like else {}

    def check_frames(self, name: str, dtypes: Sequence[str], channels: Sequence[int]) -> None:
        """Raise unless the format called `name` holds frames of this dtype and number of channels."""
        if self.first.dtype not in dtypes or self.channels not in channels:
            allowed = f"{' or '.join(dtypes)} frames with {' or '.join(map(str, channels))} channels"
            raise ParameterError(
                f"{name} holds {allowed}; these are {self.first.dtype} with {self.channels}: write .tiff or .npy, "
                "which hold them as they are"
            )

    def check_uncompressed(self, name: str) -> None:
        """Raise if a codec or its quality is chosen for a format without compression."""
        if self.encoding.codec is not None or self.encoding.crf is not None:
            raise ParameterError(f"{name} is not compressed and takes no codec or crf")

    def warn(self, text: str) -> None:
        """Add a warning to the report."""
        self.told.setdefault("warnings", []).append(text)

    def omit(self, *names: str) -> None:
        """Report metadata of the source that are not in the output."""
        self.told.setdefault("not_copied", []).extend(names)
