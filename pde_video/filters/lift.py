"""Arrays, videos and streams of any dtype in, the same kind out; floating-point frames in between."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from pde_video.arrays.dtypes import as_dtype, as_float, scale_of
from pde_video.checks import alike, first_frame
from pde_video.errors import DtypeError, InputError, ParameterError
from pde_video.filters.frames import Frames, Mapped, Report
from pde_video.protocols import Array
from pde_video.video.timing import Timed, Timing, timing_of


def lifted(
    function: Callable[[Frames], Iterable[Array]],
    video: Any,
    report: Report = None,
    out: Array | None = None,
    retimed: Callable[[Timing], Timing] = lambda timing: timing,
) -> Any:
    """Return function(frames) in kind, with frames converted once on the way in and once on the way out."""
    if isinstance(video, Frames):  # Inside a pipeline: converted already.
        timing = retimed(video.timing)
        return Frames(function(video), video.scale, video.report, timing=timing)
    if isinstance(video, np.ndarray) and video.ndim not in (3, 4):
        raise InputError(
            f"the array has {video.ndim} dimensions, shape {video.shape}; a video is (T, H, W) or (T, H, W, C): "
            "a single frame is frame[None]"
        )
    if not isinstance(video, Iterable) or isinstance(video, (str, bytes)):
        raise DtypeError(
            f"got {type(video).__name__}; give an array (T, H, W) or (T, H, W, C), an iterable of frames, or read(path)"
        )
    timing = timing_of(video)
    after = retimed(timing)  # What cannot be is refused before any work.
    video, result = _with_result(video, out)
    head, frames = first_frame(video)
    scale = scale_of(head.dtype)
    converted = _to_float(frames, head, scale, copy=result is None)
    borrowed = result is not None and head.dtype in (np.float32, np.float64)
    if report is not None:
        report.pop("warnings", None)  # Of another video, for which the same report was used before.
    floats = Frames(converted, scale, report, unchecked=head.dtype.kind == "f", borrowed=borrowed, timing=timing)
    results = function(floats)
    if isinstance(results, Mapped):
        results.outputs = _outputs(result, video)
    filtered = _from_float(results, head, scale, floats.report)
    if result is None:
        return filtered if after.rate is None else Timed(filtered, after)
    return _collect(filtered, result, fixed=out is not None)


def _with_result(video: Any, out: Array | None) -> tuple[Any, Array | None]:
    """Return the video, and the array for its result if it is an array: `out`, if that was given and fits."""
    if out is None:
        return video, np.empty_like(video, order="C") if isinstance(video, np.ndarray) else None
    if not isinstance(video, np.ndarray):
        raise ParameterError("out is for arrays; a stream yields its frames one by one")
    if not isinstance(out, np.ndarray) or out.dtype != video.dtype or out.ndim != video.ndim:
        raise ParameterError(f"out is {_described(out)}; it must be like the video, {_described(video)}")
    if not out.flags.writeable:
        raise ParameterError("out is read-only; give an array that may be written to")
    return video.copy() if np.may_share_memory(out, video) else video, out


def _described(array: Any) -> str:
    return f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else repr(array)


def _outputs(result: Array | None, video: Any) -> Iterable[Array] | None:
    """Return for each frame the buffer of its result, (H, W, C), where the result needs no conversion."""
    if result is None or result.shape != video.shape:
        return None
    if result.dtype not in (np.float32, np.float64) or not result.dtype.isnative:
        return None
    return iter(result if result.ndim == 4 else result[..., np.newaxis])


def _to_float(frames: Iterable[Array], head: Array, scale: float, copy: bool) -> Iterator[Array]:
    """Yield float frames (H, W, C): copies, or read-only views of the caller's frames."""
    work: Any = np.float64 if head.dtype == np.float64 else np.float32
    for frame in alike(frames, head):
        if copy or frame.dtype != work:  # A stream may hand out the same array again and again.
            yield as_float(frame, work, scale)
        else:
            frame = frame.view() if frame.ndim == 3 else frame[..., np.newaxis]
            frame.flags.writeable = False
            yield frame


def _from_float(frames: Iterable[Array], head: Array, scale: float, report: dict[str, Any]) -> Iterator[Array]:
    channels = 1 if head.ndim == 2 else head.shape[2]
    for frame in frames:
        if frame.ndim != 3:
            raise InputError(f"a filter returned a frame of shape {frame.shape}; it must be (H, W, C)")
        keep = head.ndim == 3 and frame.shape[2] == channels
        frame = frame if keep or frame.shape[2] != 1 else frame[..., 0]
        yield as_dtype(frame, head.dtype, scale, report)


def _collect(frames: Iterator[Array], result: Array, fixed: bool) -> Array:
    """Return the frames as one array: `result` if they fit, filled in place to save memory."""
    first = next(frames, None)
    if first is None:
        raise InputError("the filter returned no frame")
    expected = len(result)
    if fixed and first.shape != result.shape[1:]:
        raise ParameterError(f"out has frames of shape {result.shape[1:]}; those of the filter have {first.shape}")
    if not fixed and (first.shape, first.dtype) != (result.shape[1:], result.dtype):
        result = np.empty((expected, *first.shape), first.dtype)
    surplus = []
    for count, frame in enumerate(chain([first], frames), 1):
        if count > expected:
            surplus.append(frame)
        elif not np.may_share_memory(frame, result[count - 1]):
            result[count - 1] = frame
    if fixed and count != expected:
        raise ParameterError(f"out has {expected} frames; the filter returned {count}")
    return np.concatenate([result, np.stack(surplus)]) if surplus else result if count == expected else result[:count]
