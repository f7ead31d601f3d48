"""Frames that were never filmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pde_video.checks import check_whole
from pde_video.errors import InputError
from pde_video.filters.frames import Frames
from pde_video.filters.inter_frame import check_alpha, update
from pde_video.filters.lift import video_filter
from pde_video.protocols import Array


def extrapolate(video: Any, *, alpha: float = 1.0, frames: int = 1, report: dict[str, Any] | None = None) -> Any:
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
    report : dict, optional
        Receives what was done.

    Returns
    -------
    Video of the same kind and dtype, with T + `frames` frames.

    Raises
    ------
    ParameterError
        If a parameter is out of range.
    InputError
        If there are fewer than two frames.

    References
    ----------
    None: it is linear extrapolation.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> pv.extrapolate(np.array([[[10.0]], [[20.0]]]), frames=2).ravel()
    array([10., 20., 30., 40.])
    """
    check_alpha(alpha)
    return _appended(video, frames, lambda older, newer: update(newer, older, alpha), report=report)


def video_diffusion(video: Any, alpha: float, num_iterations: int, *, report: dict[str, Any] | None = None) -> Any:
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
    report : dict, optional
        Receives what was done.

    Returns
    -------
    Video of the same kind and dtype, with T + `num_iterations` frames.

    Raises
    ------
    ParameterError
        If a parameter is out of range.
    InputError
        If there are fewer than two frames.

    References
    ----------
    None with an identifier: the loop is known from tutorials.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> pv.video_diffusion(np.array([[[10.0]], [[20.0]]]), 0.5, 2).ravel()
    array([10. , 20. ,  5. , 27.5])
    """
    check_alpha(alpha)
    return _appended(video, num_iterations, lambda older, newer: update(older, newer, alpha), report=report)


@video_filter
def _appended(frames: Frames, number: int, following: Callable[[Array, Array], Array]) -> Iterator[Array]:
    check_whole(0, **{"the number of frames to append": number})

    def all_frames() -> Iterator[Array]:
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

    return all_frames()
