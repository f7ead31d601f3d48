"""The filter `superresolve`: finer pixels, of which those of the video are the means."""

import contextlib
import math
import os
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from typing import Annotated, Any

import numpy as np

from pde_video.arrays.grid import from_planes, to_planes
from pde_video.denoising.denoise import denoise
from pde_video.errors import InputError, ParameterError
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.motion.neighbours import windows
from pde_video.motion.optical_flow import optical_flow
from pde_video.protocols import Array
from pde_video.resampling.other_frames import helpful, other_frame, refined
from pde_video.resampling.pixel_model import PixelModel, pixel_model
from pde_video.resampling.rates import Exact, exact
from pde_video.resampling.unseen import along_edges
from pde_video.restoration.in_scenes import Picture, numbered, prepared, seen_from
from pde_video.terms.structure import unit_of
from pde_video.threads import num_threads, ordered
from pde_video.video.source import MOST_PIXELS

BOX, AUTO = "box", "auto"
_LARGEST = 8  # Factor.
_FINE = 12  # Planes of the new size for each that is in progress.
_ELSE = "below, `resize` makes frames smaller; above, a picture says nothing of its details"
_NO_GUESS = "a wrong blur makes edges that are not there: measure it, or take the box of the pixels alone"
_Size = Annotated[int | None, Option(unit="pixels", least=1, most=1_000_000)]


@video_filter(
    extent=lambda **options: _extent(**options),
    examples=("in.mp4 out.mp4 --factor 2", "in.tif out.tif --factor 3/2 --blur 0.35"),
)
def superresolve(
    frames: Frames,
    factor: Annotated[float | str | Fraction | None, Option(above=1, most=_LARGEST, remedy=_ELSE)] = None,
    *,
    height: _Size = None,
    width: _Size = None,
    blur: Annotated[float | str, Option(least=0, most=0.7, choices=(BOX,), remedy=_NO_GUESS)] = BOX,
    radius: Annotated[int, Option(unit="frames", least=0, most=16)] = 4,
    noise: Annotated[float | str, Option(unit="input", least=0, choices=(AUTO,))] = 0.0,
) -> Iterator[Array]:
    """Raise the resolution: finer pixels, whose means are the pixels of the video, from other frames and along edges.

    u ← u + (1 − U K) (Σ g_k Wᵀ_k r_k / (γ + Σ g_k) + dt div(D(u) ∇u)), r_k = y_k − (K u)(x + w_k), u₀ = U y

    y are the given pixels, and K makes them of finer ones: a blur, then the mean over the area of each. U y is the
    picture of least second differences with K U y = y, along rows and along columns, so that K u = y at any time. r_k
    is what the pixels of another frame show that u does not, along the motion w_k, which is corrected by u; its weight
    g_k is smaller where r_k is larger around than the details of that frame are, and 0 where something is occluded. Of
    the frame, one in eight pixels is held out at first: a frame that does not tell them has no weight. The diffusion
    is edge-enhancing.

    Parameters
    ----------
    factor : number or text, optional
        Finer pixels along the side of a given one, above 1, at most 8: 2, "3/2". Give this or both sizes.
    height : int, optional
        Rows of the result, 1 to 8 times as many as those given.
    width : int, optional
        Columns of the result, 1 to 8 times as many as those given.
    blur : {"box"} or float
        What blurred the picture before it was given: "box", nothing but the area of the pixels; or a Gaussian besides,
        its standard deviation in pixels of the input, 0 to 0.7. It is sampled at the finer pixels, up to four standard
        deviations away, and the picture mirrored at its edges.
    radius : int
        Frames on each side that are used, of the same scene, 0 to 16.
    noise : {"auto"} or float
        Noise level in units of the input, by which `denoise` denoises frames before; "auto" if it is to be estimated, 0
        for frames that are believed as they are.
    report : dict, optional
        Receives ``other_frames``, the number of other frames that were used for a frame, the mean of all; ``cuts``,
        where scenes begin; ``relit``, frames in another light than the one before.

    Returns
    -------
    Video of the same kind and dtype, of the new size, rounded. K u = y, or the denoised y, up to rounding (integers
    to 0.5), unless integers saturate.

    Raises
    ------
    ParameterError
        If an option is out of range, both or neither of factor and sizes are given, or the sizes do not fit.
    InputError
        If the frames would be too large, or need more memory than there is.

    References
    ----------
    Roussos & Maragos (2009), doi:10.1007/s11263-008-0132-x, for diffusion that keeps the data. Farsiu, Robinson, Elad &
    Milanfar (2004), doi:10.1109/TIP.2004.834669, for several frames. Irani & Peleg (1991),
    doi:10.1016/1049-9652(91)90045-L, for back-projection.

    Examples
    --------
    >>> coarse = np.random.default_rng(0).random((1, 24, 32))
    >>> fine = superresolve(coarse, 2)
    >>> fine.shape, bool(np.allclose(fine.reshape(1, 24, 2, 32, 2).mean(axis=(2, 4)), coarse))
    ((1, 48, 64), True)
    """
    head = frames.peek(1)
    if not head:
        return
    sizes = _sizes(head[0], factor, height, width)
    _check_memory(*sizes, head[0], radius)
    model = pixel_model(*sizes, 0.0 if isinstance(blur, str) else float(blur), head[0].dtype)
    if noise:
        frames = denoise(frames, **_how(noise))
    if not radius:
        yield from ordered(partial(_alone, model), frames)
        return
    nothing = np.zeros(sizes[0], bool)
    unit = _unit(head[0]) if head[0].dtype == np.float64 else 1  # Scenes, light and motion are in single precision.
    pictures = numbered(ordered(prepared, ((frame / unit, nothing) for frame in frames)), frames.report)
    linked = ordered(_linked, windows(pictures, radius, 0))
    total = 0.0
    for count, (found, used) in enumerate(ordered(partial(_fused, model), windows(linked, radius, radius)), 1):
        total += used
        frames.report["other_frames"] = total / count
        yield found * unit


def _sizes(
    frame: Array, factor: Exact | None, height: int | None, width: int | None
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the sizes given and asked for."""
    if (factor is None) == (height is None) or (height is None) != (width is None):
        sizes = {"a factor": factor, "a height": height, "a width": width}
        given = " and ".join(name for name, size in sizes.items() if size is not None) or "nothing"
        raise ParameterError(f"of the new size, {given} is given; give the factor alone, or height and width")
    rows, columns = frame.shape[:2]
    if height is None or width is None:
        assert factor is not None
        number = exact(factor, "factor")
        if not 1 < number <= _LARGEST:
            raise ParameterError(f"factor is {factor}; it must be above 1 and at most {_LARGEST}: {_ELSE}")
        height, width = (math.floor(number * n + Fraction(1, 2)) for n in (rows, columns))
        if (rows, columns) == (height, width):
            raise ParameterError(f"factor {factor} changes no size of {rows} × {columns}: choose a larger one")
    inside = rows <= height <= _LARGEST * rows and columns <= width <= _LARGEST * columns
    if not inside or (rows, columns) == (height, width):
        raise ParameterError(
            f"height and width are {height} × {width}, those of the video {rows} × {columns}; each must be 1 to "
            f"{_LARGEST} times as many, and not both the same: {_ELSE}"
        )
    return (rows, columns), (height, width)


def _check_memory(coarse: tuple[int, int], fine: tuple[int, int], frame: Array, radius: int) -> None:
    """Raise InputError for frames that are too large for any reader, or for the memory of this machine."""
    size, channels, n = f"{fine[0]} × {fine[1]} pixels", frame.shape[2], num_threads()
    if math.prod(fine) > MOST_PIXELS:
        raise InputError(f"frames would have {size}, and the most is {MOST_PIXELS:,}: choose a smaller factor, or crop")
    held = (2 * radius + 1) * (4 * channels + 2) + 4 * radius * (radius + 1) + 16 * radius * n  # Coarse planes,
    needed = frame.itemsize * (_FINE * n * channels * math.prod(fine) + held * math.prod(coarse))
    if needed > (there := _memory()):
        raise InputError(
            f"frames of {size} would need about {needed / 1e9:.1f} GB with {n} threads, and this machine has "
            f"{there / 1e9:.1f}: choose a smaller factor, crop them, or take fewer threads"
        )


def _memory() -> float:
    """Return the memory of this machine in bytes; infinity where the system does not say."""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return math.inf


def _how(noise: float | str) -> dict[str, float]:
    """Return the options with which frames are denoised before."""
    return {} if isinstance(noise, str) else {"sigma": noise}


def _extent(radius: int, noise: float | str, **others: Any) -> Extent:
    own = Extent(radius, radius, 1, None)
    return denoise(**_how(noise)).extent.then(own) if noise else own


def _unit(*planes: Array) -> np.floating:
    """Return a power of two in which planes have fourth powers within the range of single precision."""
    ends = np.array([end(one) for one in planes for end in (np.min, np.max)])
    return ends.dtype.type(unit_of(ends, dtype=np.float32))


def _alone(model: PixelModel, frame: Array) -> Array:
    """Return a frame with finer pixels, of itself alone."""
    planes = to_planes(frame, -1)
    data = planes / (unit := _unit(planes))
    return from_planes(model.fitted(along_edges(model.up(data), model), data) * unit, -1)


def _linked(window: tuple[int, list[Picture]]) -> Picture:
    """Return the last picture of the window with the flows between it and the others."""
    *others, last = pictures = window[1]
    seen = [seen_from(pictures, k, len(others)) for k in range(len(others))]
    return last._replace(links={one.number: (_motion(last, one), _motion(one, last)) for one in seen})


def _motion(here: Picture, there: Picture) -> Array:
    """Return the flow between two pictures at their own size, without the offset that single precision would lose."""
    unit = _unit(here.planes, there.planes)
    first, second = ((one.planes / unit).mean(axis=0) for one in (here, there))
    mean = first.mean(dtype=np.float64).astype(first.dtype)
    return optical_flow(first - mean, second - mean)


def _fused(model: PixelModel, window: tuple[int, list[Picture]]) -> tuple[Array, int]:
    """Return the picture with finer pixels, and how many others were used."""
    at, pictures = window
    here = pictures[at]
    unit = _unit(*(one.planes for one in pictures))
    data = here.planes / unit
    others = []
    for k, there in enumerate(pictures):
        if k != at:
            back, flow = here.links[there.number] if k < at else there.links[here.number][::-1]
            others.append(other_frame(seen_from(pictures, k, at).planes / unit, flow, back, model))
    others = helpful(data, others, model)
    planes = refined(along_edges(model.up(data), model), others, model)
    return from_planes(model.fitted(planes, data) * unit, -1), len(others)
