"""The inter-frame update along a video."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pde_video.filters.declarations import Option
from pde_video.filters.extent import Extent
from pde_video.filters.filter import video_filter
from pde_video.filters.frames import Frames
from pde_video.integrators.loop import evolve
from pde_video.protocols import Array
from pde_video.terms.frame_difference import FrameDifference


def update(newer: Array, older: Array, alpha: float, kappa: float | None = None) -> Array:
    """Return F1 + α g (F1 − F2) for frames F1 = `newer` and F2 = `older`: one explicit step."""
    if alpha == 0:
        return newer
    return evolve(FrameDifference(older, kappa=kappa), newer, [0.0, alpha], channel_axis=-1, check=False)


def _extent(alpha: float, kappa: float | None) -> Extent:
    return Extent(before=1) if kappa is None else Extent(before=None)


@video_filter(extent=_extent, examples=("in.mp4 out.mp4", "in.mp4 out.mp4 --alpha -0.7 --kappa 20"))
def frame_difference(
    frames: Frames, alpha: float = -0.5, *, kappa: Annotated[float | None, Option(unit="input", above=0)] = None
) -> Iterator[Array]:
    """Update every frame by its difference to the frame before it.

    F_new = F1 + α (F1 − F2), with F1 the frame and F2 its predecessor; the first frame stays.

    α > 0 sharpens in time and amplifies noise: independent noise of variance 1 leaves with (1 + α)² + α².
    −1 < α < 0 averages; α = −½ halves the variance. With `kappa` the update is F1 + α exp(−|F1−F2|²/κ²) (F1 − F2),
    and F2 is the *filtered* predecessor: the causal, recursive denoiser that leaves moving edges alone.

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
    >>> import numpy as np, pde_video as pv
    >>> pv.frame_difference(np.array([[[10]], [[20]], [[40]]], np.uint8), -0.5).ravel().tolist()
    [10, 15, 30]
    """
    if kappa is not None:
        kappa = kappa / frames.scale

    def updated() -> Iterator[Array]:
        older: Array | None = None
        for frame in frames:
            result = frame if older is None else update(frame, older, alpha, kappa)
            yield result
            older = frame if kappa is None else result

    return updated()
