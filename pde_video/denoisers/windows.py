"""Denoisers that use neighbouring frames or a state, along a stream or an array."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import KW_ONLY, dataclass
from itertools import count, islice
from typing import Any

import numpy as np

from pde_video.arrays.values import Value
from pde_video.checks import check_whole
from pde_video.denoisers.validation import as_estimate, as_frames, check_callable, naming
from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array, name_of

PADS = ("repeat", "reflect")


class StreamDenoiser(Value, ABC):
    """Base of denoisers along a stream: an array is treated as a stream."""

    @abstractmethod
    def along(self, frames: Iterable[Array], sigma: float) -> Iterator[Array]:
        """Yield the estimate of every frame (H, W, C), in order."""

    def __call__(self, y: Array, sigma: float) -> Array:
        """Return the estimate of a frame (H, W, C) or frames (T, H, W, C)."""
        y = as_frames(y, sigma)
        out = np.empty_like(y)
        frames, places = (y, out) if y.ndim == 4 else (y[np.newaxis], out[np.newaxis])
        for place, estimate in zip(places, self.along(frames, sigma), strict=True):
            place[...] = estimate
        return out


def numbered(frames: Iterable[Array], sigma: float) -> Iterator[tuple[int, Array]]:
    """Yield number and frame, checked, all of the same shape."""
    shape = None
    for k, frame in enumerate(frames):
        with naming(f"frame {k}"):
            frame = as_frames(frame, sigma)
            shape = shape or frame.shape
            if frame.ndim != 3 or frame.shape != shape:
                raise InputError(f"the shape is {frame.shape}; every frame must be (H, W, C), as large as the first")
        yield k, frame


@dataclass(frozen=True, repr=False)
class windowed(StreamDenoiser):
    """Denoiser made of a model that estimates the middle frame of a window of frames.

    D(y, σ)_k = model((y_{k−before}, …, y_{k+after}), σ), the same along a stream and on an array (T, H, W, C).

    Parameters
    ----------
    model : callable (window, sigma) -> estimate
        From frames (before + 1 + after, H, W, C) to the estimate (H, W, C) of the one after the first `before`.
    before, after : int
        Number of frames it sees on each side, ≥ 0.
    pad : {"repeat", "reflect"}
        Padding before the first and after the last frame: repeat these, or mirror their neighbours.

    References
    ----------
    Tassano, Delon & Veit (2020), FastDVDnet, arXiv:1907.01361.

    Examples
    --------
    >>> mean = pv.windowed(lambda window, sigma: window.mean(axis=0), before=1, after=1)
    >>> mean(np.arange(4.0).reshape(4, 1, 1, 1), 0.1).ravel().round(2)
    array([0.33, 1.  , 2.  , 2.67])
    """

    model: Callable[[Array, float], Array]
    before: int = 2
    after: int = 2
    _: KW_ONLY
    pad: str = "repeat"

    def __post_init__(self) -> None:
        check_callable(model=self.model)
        check_whole(0, before=self.before, after=self.after)
        object.__setattr__(self, "before", int(self.before))
        object.__setattr__(self, "after", int(self.after))
        if self.pad not in PADS:
            raise ParameterError(f"pad is {self.pad!r}; it must be one of {', '.join(PADS)}")

    def along(self, frames: Iterable[Array], sigma: float) -> Iterator[Array]:
        """Yield the estimate of every frame (H, W, C), in order; hold one window of frames."""
        source = numbered(frames, sigma)
        held: deque[Array] = deque(maxlen=self.before + 1 + self.after)  # The last one is frame given − 1.
        given = 0
        for k in count():
            furthest = max(k + self.after, self.before - k if self.pad == "reflect" else 0)
            for _, frame in islice(source, max(furthest + 1 - given, 0)):
                held.append(frame)
                given += 1
            if k >= given:
                return
            places = [self._place(j, given) for j in range(k - self.before, k + self.after + 1)]
            window = np.stack([held[j - given] for j in places])  # Negative indices count from the last frame.
            with naming(f"frame {k} at sigma = {sigma:g}: {name_of(self.model)}"):
                estimate = as_estimate(self.model(window, sigma), window.shape[1:], window.dtype)
            yield estimate

    def _place(self, j: int, given: int) -> int:
        """Return the number of the frame at place j, which may be before the first or after the last."""
        last = given - 1
        if self.pad == "repeat" or last == 0:
            return min(max(j, 0), last)
        j %= 2 * last
        return min(j, 2 * last - j)


@dataclass(frozen=True, eq=False, repr=False)
class recurrent(StreamDenoiser):
    """Denoiser made of a cell that carries a state from frame to frame.

    (D(y, σ)_k, h_k) = cell(y_k, h_{k−1}, σ), the same along a stream and on an array (T, H, W, C).

    Parameters
    ----------
    cell : callable (frame, state, sigma) -> (estimate, state)
        From a frame (H, W, C) to its estimate, and to the state for the next frame, which may be any object.
    start : object, optional
        The state at the first frame; every stream gets a copy.

    References
    ----------
    Cho et al. (2014), arXiv:1406.1078.

    Examples
    --------
    >>> def halved(frame, state, sigma):
    ...     estimate = frame if state is None else (frame + state) / 2
    ...     return estimate, estimate
    >>> pv.recurrent(halved)(np.array([0.0, 4.0, 4.0]).reshape(3, 1, 1, 1), 0.1).ravel()
    array([0., 2., 3.])
    """

    cell: Callable[[Array, Any, float], tuple[Array, Any]]
    start: Any = None

    def __post_init__(self) -> None:
        check_callable(cell=self.cell)

    def along(self, frames: Iterable[Array], sigma: float) -> Iterator[Array]:
        """Yield the estimate of every frame (H, W, C), in order."""
        state = deepcopy(self.start)  # A cell may write to its state.
        for k, frame in numbered(frames, sigma):
            with naming(f"frame {k} at sigma = {sigma:g}: {name_of(self.cell)}"):
                result = self.cell(frame, state, sigma)
                if not (isinstance(result, tuple) and len(result) == 2):
                    raise InputError(f"it returned a {type(result).__name__}; it must return a pair (estimate, state)")
                state = result[1]
                estimate = as_estimate(result[0], frame.shape, frame.dtype)
            yield estimate
