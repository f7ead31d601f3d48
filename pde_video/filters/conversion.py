"""Filters of values: grey, range."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np

from pde_video.errors import InputError, ParameterError
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.protocols import Array

Level = Annotated[float, Option(unit="input")]
Limit = Annotated[float, Option(unit="input", infinite=True)]


@video_filter(extent=Extent(), examples=("in.mp4 out.mp4",))
def to_gray(frames: Frames) -> Iterator[Array]:
    """Convert colour frames to grey.

    Y = 0.299 R + 0.587 G + 0.114 B, the luma of the stored values; grey frames are unchanged.

    Returns
    -------
    Video of the same kind and dtype, with frames (H, W).

    Raises
    ------
    InputError
        If frames have neither one channel nor three.

    References
    ----------
    ITU-R Recommendation BT.601.

    Examples
    --------
    >>> pv.to_gray(np.full((2, 4, 5, 3), 100, np.uint8)).shape
    (2, 4, 5)
    """
    luma = np.array([0.299, 0.587, 0.114])
    for frame in frames:
        if frame.shape[2] not in (1, 3):
            raise InputError(f"frames have {frame.shape[2]} channels; to_gray takes 1 (grey) or 3 (red, green, blue)")
        if frame.shape[2] == 1:
            yield frame
        else:  # Not as a matrix product, whose rounding depends on the memory layout.
            red, green, blue = (frame[..., c : c + 1] * weight for c, weight in enumerate(luma.astype(frame.dtype)))
            yield red + green + blue


@video_filter(
    extent=lambda low, high: Extent(first=1, cells=None) if low is None or high is None else Extent(),
    examples=("in.tiff out.tiff", "in.tiff out.tiff --low 100 --high 4000"),
)
def normalize(frames: Frames, *, low: Level | None = None, high: Level | None = None) -> Iterator[Array]:
    """Stretch the range [low, high] to the full range: 0 to the largest value of an integer dtype, 0 to 1 for floats.

    out = (frame − low) / (high − low) · full

    Parameters
    ----------
    low, high : float, optional
        In units of the input, low < high. Default: minimum and maximum of the first frame, which must not be constant,
        one pair for the whole video, so that brightness does not flicker. Values outside are not clipped (integers
        saturate, and the report counts them).
    report : dict, optional
        Receives ``low`` and ``high``.

    Examples
    --------
    >>> pv.normalize(np.array([[[50, 60, 100]]], np.uint8)).tolist()
    [[[0, 51, 255]]]
    """
    first = frames.peek(1)[0]
    bottom = float(first.min()) if low is None else low / frames.scale
    top = float(first.max()) if high is None else high / frames.scale
    if not bottom < top:
        raise ParameterError(
            f"low is {bottom * frames.scale:g} and high {top * frames.scale:g}; low must be below high: give both"
        )
    frames.report.update(low=bottom * frames.scale, high=top * frames.scale)
    return ((frame - bottom) / (top - bottom) for frame in frames)


@video_filter(extent=Extent(), examples=("in.tiff out.tiff --low 0 --high 4000",))
def clip(frames: Frames, low: Limit, high: Limit) -> Iterator[Array]:
    """Clip values to the range from `low` to `high`.

    out = min(max(frame, low), high)

    Parameters
    ----------
    low, high : float
        In units of the input, low ≤ high.

    Examples
    --------
    >>> pv.clip(np.array([[[-0.5, 0.5, 1.5]]]), 0, 1).tolist()
    [[[0.0, 0.5, 1.0]]]
    """
    if not low <= high:
        raise ParameterError(f"low is {low} and high {high}; low must not be above high")
    return (np.clip(frame, low / frames.scale, high / frames.scale) for frame in frames)
