"""Conversion between frames and the layout, size and channels of a network."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from pde_video.checks import check_whole
from pde_video.denoisers.validation import as_estimate, as_frames, naming
from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array
from pde_video.reverse_process.levels import Range

LAYOUTS = ("BCHW", "BCTHW", "B(TC)HW")


@dataclass(frozen=True)
class Network:
    """A function of arrays in a network's layout, as a model of frames: (H, W, C) or (T, H, W, C) in and out."""

    run: Callable[[Array, float], Array]
    name: str
    layout: str
    multiple: int
    channels: int | None
    batch: int
    groups: int

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ParameterError(f"layout is {self.layout!r}; it must be one of {', '.join(LAYOUTS)}")
        channels = 1 if self.channels is None else self.channels
        check_whole(1, multiple=self.multiple, batch=self.batch, channels=channels)
        object.__setattr__(self, "multiple", int(self.multiple))
        object.__setattr__(self, "batch", int(self.batch))

    @property
    def sees_several(self) -> bool:
        """Whether it uses several frames at once."""
        return self.layout != "BCHW"

    def __call__(self, x: Array, level: float) -> Array:
        """Return the output of the network for the frames `x` at `level`."""
        video = x if x.ndim == 4 else x[np.newaxis]
        entries = self._entries(video)
        # The number of consecutive entries of the same frames, and the number of these frames.
        passes, frames = (len(entries) // len(video), 1) if self.layout == "BCHW" else (len(entries), len(video))
        results = []
        for k in range(0, len(entries), self.batch):
            some = entries[k : k + self.batch]
            seen = (k // passes * frames, (k + len(some) - 1) // passes * frames + frames - 1)
            results.append(self._checked(some, level, seen, len(video) > 1))
        estimates = self._frames(np.concatenate(results), video.shape)
        return estimates if x.ndim == 4 and self.layout != "B(TC)HW" else estimates[0]

    def _entries(self, video: Array) -> Array:
        """Return the video in the layout of the network, all entries of all batches."""
        _, h, w, c = video.shape
        channels = self.channels or c
        if c != channels and 1 not in (c, channels):
            raise InputError(f"the frames have {c} channels, but the network takes {channels}; convert them first")
        planes = video.transpose(0, 3, 1, 2)
        planes = np.pad(planes, [(0, 0), (0, 0), (0, -h % self.multiple), (0, -w % self.multiple)], mode="reflect")
        if c == 1:
            planes = np.repeat(planes, channels, axis=1)
        # (T, passes, channels, H, W): a network of one channel takes the channels one by one.
        passes = planes.reshape(len(planes), -1, channels, *planes.shape[2:])
        if self.layout == "BCTHW":
            return passes.transpose(1, 2, 0, 3, 4)
        if self.layout == "B(TC)HW":
            return passes.swapaxes(0, 1).reshape(passes.shape[1], -1, *planes.shape[2:])
        return passes.reshape(-1, channels, *planes.shape[2:])

    def _frames(self, out: Array, shape: tuple[int, ...]) -> Array:
        """Return the output for a video of the shape (T, H, W, C) as frames (T, H, W, groups · C)."""
        _, h, w, c = shape
        channels = self.channels or c
        if self.layout == "BCTHW":
            out = out.transpose(2, 0, 1, 3, 4)
        n_passes = c // channels or 1
        out = out.reshape(-1, n_passes, self.groups, channels, *out.shape[-2:])[..., :h, :w]
        if c < channels:
            out = out.mean(axis=3, keepdims=True)
        return out.transpose(0, 4, 5, 2, 1, 3).reshape(-1, h, w, self.groups * c)

    def _checked(self, entries: Array, level: float, frames: tuple[int, int], several: bool) -> Array:
        channels = entries.shape[1] // (frames[1] - frames[0] + 1 if self.layout == "B(TC)HW" else 1)
        shape = (len(entries), self.groups * channels, *entries.shape[2:])
        name = f"frame {frames[0]}" if frames[0] == frames[1] else f"frames {frames[0]} to {frames[1]}"
        with naming(name) if several else nullcontext():  # The caller numbers a single frame.
            return as_estimate(self.run(entries, level), shape, entries.dtype, finite=False)


@dataclass(frozen=True)
class Direct:
    """A network that is a denoiser, for frames in their own range."""

    network: Network
    value_range: Range

    @property
    def name(self) -> str:
        """The name in errors."""
        return self.network.name

    @property
    def sees_several(self) -> bool:
        """Whether it uses several frames at once."""
        return self.network.sees_several

    def __call__(self, y: Array, sigma: float) -> Array:
        """Return the estimate."""
        y, (low, high) = as_frames(y, sigma), self.value_range
        one = self.network.layout == "B(TC)HW" and y.ndim == 4
        with naming(f"{self.name} at sigma = {sigma:g}"):
            result = self.network(low + (high - low) * y, float(sigma) * (high - low))
            result = as_estimate(result, y.shape[1:] if one else y.shape, y.dtype)
        return (result - low) / (high - low)
