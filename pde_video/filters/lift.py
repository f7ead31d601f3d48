"""Arrays, videos and streams of any dtype in, the same kind out; floating-point frames in between."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np

from pde_video.errors import DtypeError, InputError
from pde_video.filters.dtypes import as_dtype, as_float, scale_of
from pde_video.protocols import Array


class Frames:
    """What a filter sees: an iterator of float frames (H, W, C), and what it needs to know about them.

    Attributes
    ----------
    scale : float
        What 1.0 inside the filter stands for in the units of the input: 255 for uint8, 1 for floats.
    report : dict
        What filters estimated and did, in the units of the input; they add to it.
    """

    def __init__(self, frames: Iterable[Array], scale: float = 1.0, report: dict[str, Any] | None = None) -> None:
        self._frames = iter(frames)
        self.scale = scale
        self.report = {} if report is None else report

    def __iter__(self) -> Iterator[Array]:
        return self

    def __next__(self) -> Array:
        return next(self._frames)

    def peek(self, n: int) -> list[Array]:
        """Return the next `n` frames (fewer at the end) without consuming them."""
        head = list(islice(self._frames, n))
        self._frames = chain(head, self._frames)
        return head


def video_filter(function: Callable[..., Iterable[Array]]) -> Callable[..., Any]:
    """Let ``function(frames, ...)``, which maps `Frames` to float frames (H, W, C), answer in kind.

    The filter then accepts an array (T, H, W) or (T, H, W, C), a video, or any iterable of frames (H, W) or
    (H, W, C), and returns an array for an array and an iterator for everything else, with dtype and range kept.
    Integers become float32 in [0, 1] (signed ones in [−1, 1]) once on the way in and are rounded and saturated
    once on the way out. Keyword ``report``: a dict that receives what was estimated and done, among it
    ``saturated``, the number of values that had to be saturated.

    Parameters
    ----------
    function : callable (Frames, ...) -> iterable of frames
        Usually a generator function.

    Returns
    -------
    Filter

    Raises
    ------
    InputError, TypeError
        By the filter, for a video that cannot be used as it is: empty, not finite, of another dtype or shape.

    References
    ----------
    None: it is bookkeeping.

    Examples
    --------
    >>> import numpy as np
    >>> @video_filter
    ... def brighten(frames, *, by):
    ...     for frame in frames:
    ...         yield frame + by / frames.scale
    >>> brighten(np.full((2, 1, 3), 200, np.uint8), by=100).tolist()
    [[[255, 255, 255]], [[255, 255, 255]]]
    """

    @functools.wraps(function)
    def lifted(video: Any, *args: Any, report: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        if isinstance(video, Frames):  # Inside a pipeline: converted already.
            return Frames(function(video, *args, **kwargs), video.scale, video.report)
        if isinstance(video, np.ndarray):
            _check_array(video)
        elif not isinstance(video, Iterable) or isinstance(video, (str, bytes)):
            raise DtypeError(
                f"got {type(video).__name__}; give an array (T, H, W) or (T, H, W, C), an iterable of frames, "
                "or read(path)"
            )
        head, frames = first_frame(video)
        scale = scale_of(head.dtype)
        floats = Frames(_to_float(frames, head, scale), scale, report)
        filtered = _from_float(function(floats, *args, **kwargs), head, scale, floats.report)
        return _collect(filtered, len(video)) if isinstance(video, np.ndarray) else filtered

    return lifted


@video_filter
def _chained(frames: Frames, *filters: Callable[..., Any]) -> Iterator[Array]:
    for a_filter in filters:
        frames = Frames(a_filter(frames), frames.scale, frames.report)
    return frames


def pipeline(*filters: Callable[..., Any]) -> Callable[..., Any]:
    """Return the filter that applies `filters` one after the other, frame by frame, in one pass.

    pipeline(f, g)(video) = g(f(video)), with dtype converted once on the way in and once on the way out.

    Parameters
    ----------
    *filters : Filter
        Filters of this library, or any function from an iterable of float frames (H, W, C) to an iterator of such.

    Returns
    -------
    Filter

    Raises
    ------
    TypeError
        If one of `filters` is not callable.

    References
    ----------
    None: it is composition.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> from functools import partial
    >>> both = pv.pipeline(pv.denoise, partial(pv.extrapolate, frames=2))
    >>> both(np.zeros((3, 8, 8), np.uint8)).shape
    (5, 8, 8)
    """
    for a_filter in filters:
        if not callable(a_filter):
            raise TypeError(f"{a_filter!r} is not a filter: a filter is a callable from frames to frames")
    return lambda video, *, report=None: _chained(video, *filters, report=report)


def _check_array(video: Array) -> None:
    if video.ndim not in (3, 4):
        raise InputError(
            f"the array has {video.ndim} dimensions, shape {video.shape}; a video is (T, H, W) or (T, H, W, C): "
            "a single frame is frame[None]"
        )


def first_frame(video: Iterable[Array]) -> tuple[Array, Iterator[Array]]:
    """Return the first frame, checked, and an iterator over all frames."""
    frames = iter(video)
    head = next(frames, None)
    if head is None:
        raise InputError("the video is empty: it has no frame")
    head = np.asarray(head)
    if head.ndim not in (2, 3) or head.size == 0:
        raise InputError(f"frame 0 has shape {head.shape}; a frame is (H, W) or (H, W, C), none of them 0")
    return head, chain([head], frames)


def alike(frames: Iterable[Array], head: Array) -> Iterator[Array]:
    """Yield the frames as arrays, as long as they have the shape and dtype of `head`."""
    for i, frame in enumerate(frames):
        frame = np.asarray(frame)
        if frame.shape != head.shape or frame.dtype != head.dtype:
            raise InputError(
                f"frame {i} has shape {frame.shape} and dtype {frame.dtype}; frame 0 has {head.shape} and {head.dtype}"
            )
        yield frame


def _to_float(frames: Iterable[Array], head: Array, scale: float) -> Iterator[Array]:
    work: Any = np.float64 if head.dtype == np.float64 else np.float32
    for i, frame in enumerate(alike(frames, head)):
        if frame.dtype.kind == "f" and not np.isfinite(frame).all():
            raise InputError(f"frame {i} holds NaN or infinite values; replace them first")
        yield as_float(frame, work, scale)


def _from_float(frames: Iterable[Array], head: Array, scale: float, report: dict[str, Any]) -> Iterator[Array]:
    channels = 1 if head.ndim == 2 else head.shape[2]
    for frame in frames:
        if frame.ndim != 3:
            raise InputError(f"a filter returned a frame of shape {frame.shape}; it must be (H, W, C)")
        keep = head.ndim == 3 and frame.shape[2] == channels
        frame = frame if keep or frame.shape[2] != 1 else frame[..., 0]
        yield as_dtype(frame, head.dtype, scale, report)


def _collect(frames: Iterator[Array], expected: int) -> Array:
    first = next(frames, None)
    if first is None:
        raise InputError("the filter returned no frame")
    # Filled in place, so that the result is held once, not once as a list and once as an array.
    result = np.empty((expected, *first.shape), first.dtype)
    result[0] = first
    count, surplus = 1, []
    for frame in frames:
        if count < expected:
            result[count] = frame
        else:
            surplus.append(frame)
        count += 1
    return np.concatenate([result, np.stack(surplus)]) if surplus else result[:count]
