"""Frames that were never filmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

from pde_video.errors import InputError
from pde_video.filters.declarations import Option
from pde_video.filters.extent import Extent
from pde_video.filters.filter import video_filter
from pde_video.filters.frames import Frames
from pde_video.filters.inter_frame import update
from pde_video.protocols import Array

_APPENDING = Extent(before=None, after=None)  # What is appended depends on the last frames.
Count = Annotated[int, Option(unit="frames", least=0, name="count")]


@video_filter(extent=_APPENDING, examples=("in.mp4 out.mp4 --count 5",))
def extrapolate(video: Frames, *, alpha: float = 1.0, frames: Count = 1) -> Iterator[Array]:
    """Append frames that continue the last change.

    F_new = F1 + α (F1 − F2), with F1 the last frame and F2 the one before it, repeated `frames` times.

    Parameters
    ----------
    video : video
        Array (T, H, W) or (T, H, W, C), or an iterable of frames; at least two frames.
    alpha : float
        Any finite number; 1 continues the change at the same pace, 0 repeats the last frame.
    frames : int
        How many frames to append, ≥ 0.

    Returns
    -------
    Video of the same kind and dtype, with T + `frames` frames.

    Raises
    ------
    ParameterError
        If a parameter is out of range.
    InputError
        If there are fewer than two frames.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> pv.extrapolate(np.array([[[10.0]], [[20.0]]]), frames=2).ravel()
    array([10., 20., 30., 40.])
    """
    return _appended(video, frames, lambda older, newer: update(newer, older, alpha))


@video_filter(extent=_APPENDING)
def video_diffusion(
    video: Frames, alpha: float, num_iterations: Annotated[int, Option(unit="frames", least=0)]
) -> Iterator[Array]:
    """Append frames by the loop of the well-known article, which starts from the frame before the last.

    F_new = F1 + α (F1 − F2), with F1 = v[−2] and F2 = v[−1] at every iteration; T frames become T + num_iterations.

    Since F1 is the *older* of the two, α > 0 goes back in time: α = −1 repeats the last frame, and α = −2 is
    what ``extrapolate(video, alpha=1)`` does.

    Parameters
    ----------
    video : video
        Array (T, H, W) or (T, H, W, C), or an iterable of frames; at least two frames.
    alpha : float
        Any finite number.
    num_iterations : int
        How many frames to append, ≥ 0.

    Returns
    -------
    Video of the same kind and dtype, with T + `num_iterations` frames.

    Raises
    ------
    ParameterError
        If a parameter is out of range.
    InputError
        If there are fewer than two frames.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> pv.video_diffusion(np.array([[[10.0]], [[20.0]]]), 0.5, 2).ravel()
    array([10. , 20. ,  5. , 27.5])
    """
    return _appended(video, num_iterations, lambda older, newer: update(older, newer, alpha))


def _appended(frames: Frames, number: int, following: Callable[[Array, Array], Array]) -> Iterator[Array]:
    older: Array | None = None
    newer: Array | None = None
    for frame in frames:
        yield frame
        older, newer = newer, frame
    if older is None or newer is None:
        raise InputError("the video has one frame; two are needed to see a change to continue")
    for _ in range(int(number)):
        older, newer = newer, following(older, newer)
        yield newer
