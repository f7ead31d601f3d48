"""What a reader returns and a writer takes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array
from pde_video.video.timing import Timing
from pde_video.video.watch import Watch

MOST_PIXELS = 2**28  # Of a frame. No camera has more; a header that claims more is probably damaged.
Seconds = float | Fraction
_WHILE = "while it was read"
Decoded = Generator[tuple[Array | None, Fraction | None], None, None]


# Metadata of sources, by their keys in `details`, in the words of users.
_CALLED = {
    "comment": "comment",
    "side_data": "side data",
    "dpi": "resolution",
    "resolution": "resolution",
    "icc_profile": "ICC profile",
    "pixel_size": "pixel size and units",
    "spacing": "pixel size and units",
    "description": "description",
    "artist": "artist",
    "date_time": "date",
    "copyright": "copyright",
    "document_name": "name of the document",
    "page_name": "name of the page",
    "make": "make of the device",
    "model": "model of the device",
    "host_computer": "host computer",
    "geotiff": "GeoTIFF tags",
    "gdal_metadata": "metadata of GDAL",
    "no_data": "value for no data (GDAL)",
}


@dataclass(frozen=True)
class Choice:
    """The frames of a file that are wanted, and the limits on it; times are seconds after the first frame."""

    start: Seconds | None = None
    end: Seconds | None = None
    first: int = 0
    last: int | None = None  # Exclusive.
    stream: int | None = None  # Among several video streams.
    keep_partial: bool = False
    max_pixels: int = MOST_PIXELS

    def __post_init__(self) -> None:
        times = {"start": self.start, "end": self.end}
        for name, seconds in times.items():
            if seconds is not None and not (np.isfinite(float(seconds)) and seconds >= 0):
                raise ParameterError(f"{name} is {seconds}; it must be seconds after the first frame, 0 or more")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ParameterError(f"end is {self.end} and start {self.start}; end must be after start")
        if self.first < 0 or (self.last is not None and self.last <= self.first):
            given = (self.first, self.last)
            raise ParameterError(f"frames are {given}; they must be (first, one past the last), counted from 0")
        if self.stream is not None and self.stream < 0:
            raise ParameterError(f"stream is {self.stream}; video streams are counted from 0")
        if self.max_pixels < 1:
            raise ParameterError(f"max_pixels is {self.max_pixels}; it must be at least 1")
        for name, seconds in times.items():
            exact = None if seconds is None else Fraction(seconds).limit_denominator(10**9)
            object.__setattr__(self, name, exact)

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


@dataclass
class FileVideo:
    """A video in a file, decoded frame by frame each time it is iterated over."""

    path: Path
    size: tuple[int, int]  # Height and width in pixels.
    channels: int  # 1 for frames (H, W), C for frames (H, W, C).
    dtype: np.dtype[Any]  # Of the frames.
    decode: Callable[[FileVideo], Decoded] = field(repr=False)
    rate: Fraction | None = None  # Frames per second, exact; None for stacks and stills, which have none.
    count: int | None = None  # Number of frames, if the file declares it.
    # Seconds on the file's clock, one for each frame decoded so far.
    timestamps: list[Fraction] = field(default_factory=list, repr=False)
    # Further metadata: codec, pixel format, bits, colour matrix and range, duration in seconds.
    details: dict[str, Any] = field(default_factory=dict)
    choice: Choice = field(default_factory=Choice, repr=False)  # Which frames of it are wanted.
    remedy: str = field(default="", repr=False)  # If it has no frame that is wanted.
    lost: str | None = None  # With `keep_partial`: the fault at which iterating ended.
    watch: Watch | None = field(default=None, repr=False)  # Standard input has none.
    isolated: bool = False  # Decoded elsewhere; this process does not open the file.
    shown: Timing | None = field(default=None, repr=False)  # Of the frames that a filter has made of it.

    @property
    def has_companions(self) -> bool:
        """Whether there is a container that this process may open, to copy more than the frames."""
        return "stream_index" in self.details and not self.isolated

    def time(self, index: int) -> Fraction | None:
        """Return when a frame is shown at the video's rate, if it has one."""
        return None if self.rate is None else index / self.rate

    @property
    def timing(self) -> Timing:
        """When its frames are shown."""
        tick = self.details.get("time_base")
        return self.shown or Timing(self.rate, self.count, stamps=self.timestamps, tick=tick)

    def shown_at(self, timing: Timing) -> FileVideo:
        """Return the video for a writer of frames that are made of its own, perhaps to be shown at other times."""
        return replace(self, rate=timing.rate, count=timing.count, shown=timing) if timing.is_made else self

    def uneven(self, rate: Fraction) -> Fraction:
        """Return by how many seconds frames decoded so far are off a constant rate; 0 where its clock may round so."""
        stamps, tick = self.timing.stamps, self.details.get("time_base") or Fraction(0)
        off = max((abs(stamp - stamps[0] - k / rate) for k, stamp in enumerate(stamps)), default=Fraction(0))
        return off if off > tick else Fraction(0)

    def wants(self, index: int) -> bool:
        """Tell whether a frame of a video without times, or with a constant rate, is wanted."""
        return self.choice.wants(index, self.time(index))

    def only(self, choice: Choice) -> FileVideo:
        """Restrict the video to the chosen frames and return it; refuse times where frames have none."""
        timed = self.rate is not None or "stream_index" in self.details  # Each packet of a container has a time.
        if not timed and (choice.start is not None or choice.end is not None):
            raise ParameterError(f"{self.path}: its frames have no times; choose them by number, with frames")
        self.choice = choice
        if self.count is not None and choice.last is not None:
            self.count = max(0, min(choice.last, self.count) - choice.first)
        elif self.count is not None and not choice.is_everything:
            self.count = None if choice.end or choice.start else max(0, self.count - choice.first)
        return self

    def check_unchanged(self, when: str = "after it was opened") -> None:
        """Raise if the input is no longer what it was when it was opened."""
        if self.watch is not None and (change := self.watch.change()):
            if astray := self.watch.astray():
                raise InputError(f"{self.path}: {astray}; open it by an absolute path")
            raise InputError(
                f"{self.path}: it changed {when} ({change}); read it again when no other program writes to it"
            )

    def __iter__(self) -> Generator[Array, None, None]:
        """Yield the frames that are wanted; `decode` yields all up to the last of them, None for unwanted ones."""
        self.check_unchanged()  # What its header says would no longer hold.
        begun: Fraction | None = None
        after: Fraction | None = None
        given, index = 0, -1
        try:
            with contextlib.closing(self.decode(self)) as decoded:
                for index, (frame, time) in enumerate(decoded):
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
            self.check_unchanged(_WHILE)
        except (InputError, OSError) as fault:
            reason = self._with_change(fault)
            if index < 0 or not self.choice.keep_partial:
                raise reason from (fault.__cause__ if reason is fault else fault)
            self.lost = str(reason)
        if not given and self.lost is None:
            to_the_end = self.choice.end is None and (self.choice.last is None or index + 1 < self.choice.last)
            there = f"; it has {_counted(index + 1, after)}" if to_the_end else ""
            raise InputError(f"{self.path}: no frame is within what was asked for{there}{self.remedy}")

    def _with_change(self, fault: InputError | OSError) -> InputError:
        """Return a fault of decoding, with the change of the input that explains it, if there is one."""
        known = (
            fault
            if isinstance(fault, InputError)
            else InputError(f"{self.path}: it cannot be read ({fault.strerror or fault})")
        )
        try:
            self.check_unchanged(_WHILE)
        except InputError as change:
            return change if str(known) == str(change) else InputError(f"{known}; {change}")
        return known


def _counted(frames: int, after: Fraction | None) -> str:
    """Return how many frames there are, how they are numbered, and when the last is shown."""
    many = f"{frames} frames, 0 to {frames - 1}" if frames > 1 else ("1 frame, number 0" if frames else "no frame")
    return many if not after else f"{many}, the last {float(after):.6g} s after the first"


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
    report: dict[str, Any] = field(default_factory=dict)  # The writer's report.
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
        self.report.setdefault("warnings", []).append(text)

    def omit(self, *keys: str) -> None:
        """Report metadata of the source, by their keys in `details`, that are not in the output."""
        if keys:
            self.report.setdefault("not_copied", []).extend(_CALLED.get(key, key) for key in keys)

    def report_omitted(self, holds: Collection[str], like: FileVideo | None) -> None:
        """Report which metadata of `like` the output lacks; of what its format `holds`, the writer reports itself."""
        # With a rate of their own, frames are written without `like`, and the writer answers for the rate alone.
        holds = holds if self.like is like else [key for key in holds if key == "rate"]
        name, omitted = self.suffix or self.path, []
        reason = f"{name} gets frames alone"
        if like is not None and like.isolated and "stream_index" in like.details and "streams" in holds:
            holds = [key for key in holds if key not in ("streams", "side_data")]
            reason = "isolated reading gives frames only"
            omitted.append(f"tags and chapters, if it has any: {reason}")
        if self.known_rate is not None and "rate" not in holds:
            omitted.append(f"rate of {self.known_rate} frames/s")
        if like is not None:
            if "streams" not in holds:
                kinds = like.details.get("other_streams", ())
                omitted += [f"{kind} stream: {reason}" for kind in kinds]
            omitted += dict.fromkeys(_CALLED[key] for key in _CALLED if key not in holds and like.details.get(key))
            omitted += like.details.get("not_kept", ())
        self.omit(*omitted)
        if self.like is None or "times" in holds:
            return
        if off := self.like.uneven(self.rate):
            self.warn(
                f"{name} has no timestamps: those of the source, which differ from {self.rate} frames/s by up to "
                f"{float(off):.3g} s, are not in it"
            )
