"""The filter `inpaint`: what is masked is filled, along the motion and in space."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.errors import InputError, ParameterError
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.protocols import Array
from pde_video.restoration.detectors import DETECTORS, detected, looked
from pde_video.restoration.fill import along_edges, harmonic, written
from pde_video.restoration.masks import NAN, Marked, found, in_units, marked
from pde_video.restoration.trajectories import along_motion
from pde_video.threads import ordered

_IN_SPACE: dict[str, Callable[[Array, Array], Array]] = {
    "eed": lambda planes, mask: along_edges(harmonic(planes, mask), mask),
    "heat": harmonic,
}
METHODS = ("auto", "motion", *_IN_SPACE)


def _extent(mask: Any, method: str, radius: int, causal: bool, detect: str | None, **others: Any) -> Extent:
    """Return how far a result looks: to all frames before, which may be the last that showed what is hidden.

    Masks are counted with the frames, from the first.
    """
    looks = looked(detect or "")
    if method in _IN_SPACE:
        numbered = mask is not None and not (isinstance(mask, str) and mask == NAN)
        return replace(looks, before=None) if numbered else looks
    return replace(looks, before=None, after=(looks.after or 0) + (0 if causal else radius))


@video_filter(
    extent=_extent,
    examples=(
        "film.mp4 whole.mkv --mask dust.mkv",
        "stack.tiff whole.tiff --mask dead.png",
        "titled.mp4 clean.mkv --mask-key ff00ff --mask-tolerance 40",
        "stack.npy whole.npy --mask nan --method eed",
        "film.mp4 whole.mkv --detect dust,scratches",
    ),
)
def inpaint(
    frames: Frames,
    mask: Annotated[Any, Option(file=True, choices=(NAN,))] = None,
    *,
    mask_key: str | None = None,
    mask_tolerance: Annotated[float, Option(unit="input", least=0)] = 0.0,
    detect: Annotated[str | None, Option(choices=DETECTORS, several=True)] = None,
    method: Annotated[str, Option(choices=METHODS)] = "auto",
    radius: Annotated[int, Option(unit="frames", least=1, most=1000)] = 6,
    causal: bool = False,
) -> Iterator[Array]:
    """Fill what is masked: from other frames along the motion, where they show it, and along edges.

    c (m − u) + div(D(u) ∇u) = 0 where the mask is true, with the mean m of what other frames show along the optical
    flow, and c = 0.35 (e / e_m)², for the squared errors that are expected of the diffusion and of m; elsewhere u is as
    it was, bit for bit. See docs/inpainting.md.

    Parameters
    ----------
    mask : array, video or path, optional
        True or white where to fill: (H, W) or a picture for all frames, (T, H, W) or a video for each its own; or "nan"
        to fill what is NaN or infinite. `data_consistency` has it the other way round.
    mask_key : str, optional
        Instead of a mask, the colour that marks what is to be filled, as RRGGBB in hexadecimal, or two digits of grey.
    mask_tolerance : float
        Largest difference from that colour, in any channel, in units of the input, ≥ 0.
    detect : str, optional
        Instead of a mask, what detectors mark, as in `mask`; look at that first.
    method : {"auto", "motion", "eed", "heat"}
        "auto" weighs the motion against the diffusion; "motion" takes what other frames show wherever they do; "eed"
        fills each frame on its own along edges (edge-enhancing diffusion), "heat" by the heat equation.
    radius : int
        Frames to look at on each side, 1 to 1000. What was seen earlier is carried on from frame to frame.
    causal : bool
        Use no look-ahead.
    report : dict, optional
        Receives ``masked``, the share of all pixels that was filled; with motion, ``along_motion``, the share of these
        that other frames show, ``cuts``, where scenes begin, and ``relit``, the number of frames that differ from the
        one before by a gain and an offset of their rows, as in flicker and fades; ``marked`` by a detector;
        ``warnings``, if the mask looks wrong.

    References
    ----------
    Lauze & Nielsen (2018), arXiv:1809.07983, for inpainting along the motion. Weickert & Welk (2006),
    doi:10.1007/3-540-31272-2_19, for edge-enhancing diffusion. Schmaltz, Peter, Mainberger, Ebel, Weickert & Bruhn
    (2014), doi:10.1007/s11263-014-0702-z.

    Examples
    --------
    >>> rows, columns = np.mgrid[:32, :48]
    >>> clean = np.stack([np.sin((columns - t) / 4) * np.cos(rows / 5) for t in range(5)])
    >>> scratch = np.zeros(clean.shape, bool); scratch[:, :, 20:23] = True
    >>> whole = inpaint(np.where(scratch, 9.0, clean), scratch)
    >>> bool(abs(whole - clean)[scratch].mean() < 0.05)
    True
    """
    if detect is not None and causal:
        raise ParameterError("a detector looks at the frames after each; leave out one of detect and causal")
    seen = None if detect is None else found(partial(detected, detect=detect), frames)
    pairs = marked(frames, mask, mask_key, mask_tolerance, seen)

    def filled(pairs: Iterator[Marked]) -> Iterator[Array]:
        if method in _IN_SPACE:
            return (map if causal else ordered)(partial(_alone, fill=_IN_SPACE[method]), enumerate(pairs))
        return along_motion(pairs, frames.report, radius, causal=causal, screened=method == "auto")

    return (
        one if unit == 1 else np.where(mask[..., np.newaxis], one * one.dtype.type(unit), frame)
        for frame, mask, unit, one in in_units(pairs, filled)
    )


def _alone(numbered: tuple[int, Marked], fill: Callable[[Array, Array], Array]) -> Array:
    number, (frame, mask) = numbered
    if mask.all():
        raise InputError(
            f"frame {number} is masked as a whole, and eed and heat fill each frame from itself; use the method auto "
            "or motion, which fill it from others"
        )
    return written(frame, mask, fill(to_planes(frame, -1), mask))
