"""The filter `extrapolate`: frames beyond the last of a video."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from pde_video.errors import ParameterError
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.filters.inter_frame import appended, ended, update
from pde_video.motion.passage import Passage
from pde_video.protocols import Array
from pde_video.resampling.scenes import in_one_unit, of_two_scenes
from pde_video.video.timing import Timing

_FARTHEST = 1000  # Times the last motion: all has left the picture.


def _timing(timing: Timing, alpha: float, frames: int, method: str) -> Timing:
    return timing if timing.count is None else replace(timing, count=timing.count + frames)


@video_filter(
    extent=lambda alpha, frames, method: Extent(None, None, 1, 0 if method == "change" else None),
    timing=_timing,
    examples=("in.mp4 out.mp4 --count 5", "in.mp4 out.mp4 --method motion --count 2"),
)
def extrapolate(
    video: Frames,
    *,
    alpha: float = 1.0,
    frames: Annotated[int, Option(unit="frames", least=0, name="count")] = 1,
    method: Annotated[str, Option(choices=("change", "motion"))] = "change",
) -> Iterator[Array]:
    """Append frames that continue the last change, or the last motion.

    F_new = F1 + α (F1 − F2), with F1 the last frame and F2 the one before it, once for each new frame. By motion, the
    n-th new frame is F1(x − n α w), with the motion w from F2 to F1, carried along by itself. The video needs two
    frames or more.

    Parameters
    ----------
    alpha : float
        Any finite number, by motion from 0 to 1000; 1 continues at the same pace, 0 repeats the last frame.
    frames : int
        How many frames to append, ≥ 0.
    method : {"change", "motion"}
        What is continued: that of each pixel's value, or that of what is seen, which holds for a few frames.
    report : dict, optional
        By motion, receives ``reliable``, the share of pixels where it was found; ``warnings``.

    Returns
    -------
    Video of the same kind and dtype, with T + `frames` frames.

    Raises
    ------
    InputError
        If the video has one frame.
    ParameterError
        If an option is out of range.

    Examples
    --------
    >>> pv.extrapolate(np.array([[[10.0]], [[20.0]]]), frames=2).ravel()
    array([10., 20., 30., 40.])
    """
    if method == "change":
        return appended(video, frames, lambda older, newer: update(newer, older, alpha))
    if not 0 <= alpha <= _FARTHEST:
        raise ParameterError(f"alpha is {alpha:g}; a motion is continued by 0 to {_FARTHEST} times what it was")
    return _moved_on(video, frames, alpha)


def _moved_on(video: Frames, number: int, alpha: float) -> Iterator[Array]:
    """Yield the frames of a video, and then others that continue its motion."""
    older, newer = yield from ended(video)
    if of_two_scenes(older, newer):
        said = "the last frame is of another scene than the one before it, so that no motion is known: it is repeated"
        video.report.setdefault("warnings", []).append(said)
        alpha = 0.0
    unit, both = in_one_unit(older, newer)
    passage = Passage(*both) if alpha and number else None
    if passage is not None:
        video.report["reliable"] = passage.reliable
    for n in range(1, number + 1):
        yield newer.copy() if passage is None else passage.beyond(n * alpha) * newer.dtype.type(unit)
