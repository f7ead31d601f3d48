"""Filters of geometry: crop and resample."""

from collections.abc import Iterator
from typing import Annotated

import numpy as np

from pde_video.errors import ParameterError
from pde_video.filters import Extent, Frames, Option, video_filter
from pde_video.protocols import Array

Place = Annotated[int, Option(unit="pixels", least=0)]
Size = Annotated[int, Option(unit="pixels", least=1)]
NewSize = Annotated[int, Option(unit="pixels", least=1, most=1_000_000)]


@video_filter(extent=Extent(cells=None), examples=("in.mp4 out.mp4 --top 40 --left 60 --height 360 --width 640",))
def crop(frames: Frames, top: Place, left: Place, height: Size, width: Size) -> Iterator[Array]:
    """Crop every frame to a rectangle.

    out[i, j] = frame[top + i, left + j]

    Parameters
    ----------
    top : int
        First row, ≥ 0.
    left : int
        First column, ≥ 0.
    height : int
        Rows, ≥ 1; the rectangle must lie inside the frame.
    width : int
        Columns, ≥ 1.

    Returns
    -------
    Video of the same kind and dtype, with frames of `height` × `width`.

    Examples
    --------
    >>> pv.crop(np.arange(12, dtype=np.uint8).reshape(1, 3, 4), 1, 2, 2, 2).tolist()
    [[[6, 7], [10, 11]]]
    """
    for frame in frames:
        if top + height > frame.shape[0] or left + width > frame.shape[1]:
            raise ParameterError(
                f"rows {top}:{top + height}, columns {left}:{left + width} do not lie inside a frame of "
                f"{frame.shape[0]} × {frame.shape[1]} (height × width)"
            )
        yield frame[top : top + height, left : left + width]


@video_filter(extent=Extent(cells=None), examples=("in.mp4 out.mp4 --height 360 --width 640",))
def resize(
    frames: Frames, height: NewSize, width: NewSize, *, order: Annotated[int, Option(least=0, most=5)] = 3
) -> Iterator[Array]:
    """Resample every frame to another size by splines, with an anti-aliasing blur where it shrinks.

    A side that shrinks by a factor f > 1 is first blurred by a Gaussian of standard deviation (f − 1)/2 pixels. Cubic
    splines overshoot at edges; integers then saturate, and the report counts how many did.

    Parameters
    ----------
    height : int
        New number of rows, 1 to 1,000,000.
    width : int
        New number of columns, 1 to 1,000,000.
    order : int
        Order of the spline, 0 (nearest) to 5.

    Returns
    -------
    Video of the same kind and dtype, with frames of `height` × `width`.

    References
    ----------
    Unser (1999), Splines: a perfect fit for signal and image processing, doi:10.1109/79.799930.

    Examples
    --------
    >>> pv.resize(np.full((2, 45, 61), 7, np.uint8), 90, 122)[0, :2, :3].tolist()
    [[7, 7, 7], [7, 7, 7]]
    """
    from scipy import ndimage  # Here, so that filters load without it.

    mode = "grid-constant" if order == 0 else "nearest"
    for frame in frames:
        shrink = (frame.shape[0] / height, frame.shape[1] / width)
        sigma = [max(0.0, (factor - 1) / 2) for factor in shrink]
        if any(sigma):
            frame = ndimage.gaussian_filter(frame, (*sigma, 0.0), mode="nearest")
        # Factors are new / old sizes; zoom rounds their product with the old size, which gives the new size back.
        factors = (height / frame.shape[0], width / frame.shape[1], 1.0)
        yield np.ascontiguousarray(ndimage.zoom(frame, factors, order=order, mode=mode, grid_mode=True))
