"""The filter `superresolve`: finer pixels, of which those of the video are the means."""

from collections.abc import Iterator
from functools import partial
from typing import Annotated

from pde_video.arrays.grid import from_planes, to_planes
from pde_video.errors import InputError, ParameterError
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.protocols import Array
from pde_video.resampling.pixel_model import PixelModel, pixel_model
from pde_video.resampling.unseen import along_edges
from pde_video.threads import ordered
from pde_video.video.source import MOST_PIXELS

BOX = "box"
_LARGEST = 8  # Factor.
_ELSE = "below, `resize` makes frames smaller; above, a picture says nothing of its details"
_NO_GUESS = "a wrong blur makes edges that are not there: measure it, or take the box of the pixels alone"
_Size = Annotated[int | None, Option(unit="pixels", least=1, most=1_000_000)]


@video_filter(
    extent=Extent(cells=None),
    examples=("in.mp4 out.mp4 --factor 2", "in.tif out.tif --factor 1.5 --blur 0.35"),
)
def superresolve(
    frames: Frames,
    factor: Annotated[float | None, Option(above=1, most=_LARGEST, remedy=_ELSE)] = None,
    *,
    height: _Size = None,
    width: _Size = None,
    blur: Annotated[float | str, Option(least=0, most=0.7, choices=(BOX,), remedy=_NO_GUESS)] = BOX,
) -> Iterator[Array]:
    """Raise the resolution: finer pixels, whose means are the pixels of the video, with edges along which they vary.

    ∂u/∂t = (1 − U K) div(D(u) ∇u), u(0) = U y, so that K u = y at any time

    y are the given pixels, and K makes them of finer ones: a blur, then the mean over the area of each. U y is the
    picture of least second differences of which K makes y, row by row and column by column. The diffusion is
    edge-enhancing.

    Parameters
    ----------
    factor : float, optional
        Finer pixels along the side of a given one, above 1, at most 8; sizes are rounded. Give this or both sizes.
    height : int, optional
        Rows of the result, 1 to 8 times as many as those given.
    width : int, optional
        Columns of the result, 1 to 8 times as many as those given.
    blur : {"box"} or float
        What blurred the picture before it was given: "box", nothing but the area of the pixels; or a Gaussian besides,
        its standard deviation in pixels of the input, 0 to 0.7. It is sampled at the finer pixels, up to four standard
        deviations away, and the picture mirrored at its edges.

    Returns
    -------
    Video of the same kind and dtype, of the new size. K u = y up to rounding, unless integers saturate.

    References
    ----------
    Roussos & Maragos (2009), doi:10.1007/s11263-008-0132-x, for diffusion that keeps the data. Weickert (1998),
    Anisotropic Diffusion in Image Processing, Teubner.

    Examples
    --------
    >>> coarse = np.random.default_rng(0).random((1, 24, 32))
    >>> fine = superresolve(coarse, 2)
    >>> fine.shape, bool(np.allclose(fine.reshape(1, 24, 2, 32, 2).mean(axis=(2, 4)), coarse))
    ((1, 48, 64), True)
    """
    first = frames.peek(1)
    if not first:
        return
    model = _model(first[0], factor, height, width, 0.0 if isinstance(blur, str) else float(blur))
    yield from ordered(partial(_single, model), frames)


def _model(frame: Array, factor: float | None, height: int | None, width: int | None, blur: float) -> PixelModel:
    """Return the model of the pixels of frames."""
    if (factor is None) == (height is None) or (height is None) != (width is None):
        raise ParameterError(
            f"factor is {factor}, height {height}, width {width}; give the factor, or height and width, and no more"
        )
    rows, columns = frame.shape[:2]
    if height is None or width is None:
        assert factor is not None
        height, width = (int(factor * n + 0.5) for n in (rows, columns))
    inside = rows <= height <= _LARGEST * rows and columns <= width <= _LARGEST * columns
    if not inside or (rows, columns) == (height, width):
        raise ParameterError(
            f"height and width are {height} × {width}, those of the video {rows} × {columns}; each must be 1 to "
            f"{_LARGEST} times as many, and not both the same: {_ELSE}"
        )
    if height * width > MOST_PIXELS:
        raise InputError(
            f"frames would have {height} × {width} pixels, and the most is {MOST_PIXELS:,}: crop them before"
        )
    return pixel_model((rows, columns), (height, width), blur, frame.dtype)


def _single(model: PixelModel, frame: Array) -> Array:
    """Return a frame with finer pixels, from itself alone."""
    planes = to_planes(frame, -1)
    return from_planes(model.fitted(along_edges(model.up(planes), model), planes), -1)
