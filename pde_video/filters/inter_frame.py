"""Filters of change: the inter-frame update along a video, and the loop of the article."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Annotated

from pde_video.errors import InputError
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.integrators.loop import evolve
from pde_video.protocols import Array
from pde_video.terms.frame_difference import FrameDifference


def update(newer: Array, older: Array, alpha: float, kappa: float | None = None) -> Array:
    """Return F1 + α g (F1 − F2) for frames F1 = `newer` and F2 = `older`: one explicit step."""
    if alpha == 0:
        return newer
    return evolve(FrameDifference(older, kappa=kappa), newer, [0.0, alpha], channel_axis=-1, check=False)


@video_filter(
    extent=lambda alpha, kappa: Extent(before=1 if kappa is None else None),
    examples=("in.mp4 out.mp4", "in.mp4 out.mp4 --alpha -0.7 --kappa 20"),
)
def frame_difference(
    frames: Frames, alpha: float = -0.5, *, kappa: Annotated[float | None, Option(unit="input", above=0)] = None
) -> Iterator[Array]:
    """Update every frame by its difference from the frame before it.

    F_new = F1 + α (F1 − F2), with F1 the frame and F2 its predecessor; the first frame is unchanged.

    α > 0 sharpens in time and amplifies noise: independent noise of variance 1 gets the variance (1 + α)² + α².
    −1 < α < 0 averages; α = −½ halves the variance. With `kappa` the update is F1 + α exp(−|F1−F2|²/κ²) (F1 − F2),
    and F2 is the *filtered* predecessor: a causal, recursive denoiser that preserves moving edges.

    Parameters
    ----------
    alpha : float
        Strength: above 0 sharpens in time, from −1 to 0 smooths, 0 changes nothing.
    kappa : float, optional
        Change that counts as motion, > 0, in units of the input.

    References
    ----------
    Perona & Malik (1990), doi:10.1109/34.56205, for the conductance.

    Examples
    --------
    >>> pv.frame_difference(np.array([[[10]], [[20]], [[40]]], np.uint8), -0.5).ravel().tolist()
    [10, 15, 30]
    """
    kappa = None if kappa is None else kappa / frames.scale
    older: Array | None = None
    for frame in frames:
        result = frame if older is None else update(frame, older, alpha, kappa)
        yield result
        older = frame if kappa is None else result


_APPENDING = Extent(before=None, after=None)  # What is appended depends on the last frames.


@video_filter(extent=_APPENDING)
def video_diffusion(
    video: Frames, alpha: float, num_iterations: Annotated[int, Option(unit="frames", least=0)]
) -> Iterator[Array]:
    """Append frames by the loop of the well-known article, which starts from the frame before the last.

    F_new = F1 + α (F1 − F2), with F1 = v[−2] and F2 = v[−1] at every iteration; T ≥ 2 frames become T + num_iterations.

    Since F1 is the *older* of the two, α > 0 goes back in time: α = −1 repeats the last frame, and α = −2 is
    what ``extrapolate(video, alpha=1)`` does.

    Parameters
    ----------
    alpha : float
        Any finite number.
    num_iterations : int
        How many frames to append, ≥ 0.

    Returns
    -------
    Video of the same kind and dtype, with T + `num_iterations` frames.

    Examples
    --------
    >>> pv.video_diffusion(np.array([[[10.0]], [[20.0]]]), 0.5, 2).ravel()
    array([10. , 20. ,  5. , 27.5])
    """
    return appended(video, num_iterations, lambda older, newer: update(older, newer, alpha))


def appended(frames: Frames, number: int, following: Callable[[Array, Array], Array]) -> Iterator[Array]:
    """Yield the frames of a video, and then a number of others, each of which follows the last two."""
    older, newer = yield from ended(frames)
    for _ in range(number):
        older, newer = newer, following(older, newer)
        yield newer


def ended(frames: Frames) -> Generator[Array, None, tuple[Array, Array]]:
    """Yield the frames of a video, and return the last two."""
    last: deque[Array] = deque(maxlen=2)
    for frame in frames:
        yield frame
        last.append(frame)
    if len(last) < 2:
        raise InputError("the video has one frame; a change to continue needs two")
    return last[0], last[1]
