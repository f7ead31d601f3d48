"""Pictures by which people judge: videos side by side, a place enlarged, and what the difference looks like."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.errors import ParameterError
from pde_video.filters.geometry import crop
from pde_video.metrics.quality import Comparison
from pde_video.protocols import Array
from pde_video.video.files import read, write_together
from pde_video.video.outputs import check_distinct, check_output

Place = tuple[int, int, int, int]  # Top, left, height and width, in pixels.
Progress = Callable[[Iterable[Array], int | None], Iterable[Array]]

_SIDE = 96  # Pixels of the place that is enlarged,
_TIMES = 4  # and how many times.
_LINE = 2  # Pixels between frames side by side,
_GAP = 8  # and between enlarged panels,
_COLUMNS = 3  # of which so many are in a row.
_GREY = 128 / 255  # No difference. Those of 8-bit grey levels are then shown without rounding.


def side_by_side(*frames: Array) -> Array:
    """Return frames of one shape beside each other, a white line between them.

    Sides are even, as codecs of halved colour want them: a row or column of white is added where they are not.
    """
    height, width = frames[0].shape[:2]
    step, white = width + _LINE, _white(frames[0].dtype)
    total = len(frames) * step - _LINE
    joined = np.full((height + height % 2, total + total % 2, *frames[0].shape[2:]), white, frames[0].dtype)
    for k, frame in enumerate(frames):
        joined[:height, k * step : k * step + width] = frame
    return joined


def most_textured(frame: Array, side: int = _SIDE) -> Place:
    """Return the place of `side` × `side` pixels (the frame's own side, where less) with the most change in brightness.

    It is where the mean of |∂x I| + |∂y I| is largest: many small edges count for more than one great one.
    """
    grey = frame if frame.ndim == 2 else frame[..., :3].mean(axis=2)
    height, width = (min(side, n) for n in grey.shape)
    change = np.zeros(grey.shape)
    for axis in (0, 1):
        change += np.abs(np.diff(grey.astype(np.float64), axis=axis, append=np.take(grey, [-1], axis=axis)))
    sums = np.pad(change, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return int(top), int(left), height, width


def cut(frame: Array, place: Place) -> Array:
    """Return the pixels of a place, or refuse one that is not inside the frame."""
    return crop(frame[np.newaxis], *place)[0]


def enlarged(pictures: Sequence[Array], pairs: Sequence[tuple[int, int]]) -> tuple[Array, int]:
    """Return a picture of pictures and of their differences, every pixel as a square, and the gain of the latter.

    First come the pictures: 8 bits as they are, anything else from the darkest to the brightest value of the first
    one. Then the differences a − b of `pairs`, as mid-grey + gain · (a − b), a mean over the channels, since noise in
    many colours hides what is below. The gain, one for all, is the largest power of two at which two standard
    deviations of the first difference are within black and white. Three are in a row.
    """
    if pictures[0].ndim == 3 and pictures[0].shape[2] == 4:
        pictures = [picture[..., :3] for picture in pictures]  # Half transparent differences would be hard to see.
    low, high = 0.0, 255.0
    if pictures[0].dtype != np.uint8:
        low, high = float(pictures[0].min()), float(pictures[0].max())
    shown = [(picture.astype(np.float64) - low) / (high - low or 1.0) for picture in pictures]
    axes = tuple(range(2, shown[0].ndim))
    differences = [
        np.broadcast_to((shown[a] - shown[b]).mean(axis=axes, keepdims=True), shown[a].shape) for a, b in pairs
    ]
    deviation = math.sqrt(np.mean(differences[0] ** 2))
    gain = 2 ** max(0, math.floor(-math.log2(4 * deviation))) if deviation else 1
    panels = [*shown, *(_GREY + gain * difference for difference in differences)]
    height, width = (_TIMES * n + _GAP for n in pictures[0].shape[:2])
    rows, columns = math.ceil(len(panels) / _COLUMNS), min(len(panels), _COLUMNS)
    sheet = np.full((rows * height - _GAP, columns * width - _GAP, *pictures[0].shape[2:]), 255, np.uint8)
    for k, panel in enumerate(panels):
        pixels = np.rint(np.clip(panel, 0, 1) * 255).astype(np.uint8).repeat(_TIMES, axis=0).repeat(_TIMES, axis=1)
        top, left = height * (k // _COLUMNS), width * (k % _COLUMNS)
        sheet[top : top + height - _GAP, left : left + width - _GAP] = pixels
    return sheet, gain


def _white(dtype: np.dtype[Any]) -> float:
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def compare_files(
    reference: Path,
    file: Path,
    *,
    video: Path | None = None,
    picture: Path | None = None,
    place: Place | None = None,
    force: bool = False,
    progress: Progress = lambda frames, count: frames,
) -> dict[str, Any]:
    """Measure a file against its reference, and write what was asked for: both side by side, and a place enlarged.

    The picture is of the middle frame: reference, file, and reference − file.
    """
    if place is not None and picture is None:
        raise ParameterError("a place was given, but no picture in which to show it")
    expected, actual = read(reference), read(file)
    outputs = [path for path in (video, picture) if path is not None]
    for path in outputs:
        check_output(path, force)
        check_distinct(reference, path)
        check_distinct(file, path)
    meter, report, middle = Comparison(), dict[str, Any](), (expected.count or 1) // 2

    def rows(pairs: Iterable[tuple[Array, Array]]) -> Iterator[list[Array | None]]:
        for number, pair in enumerate(pairs):
            if number == 0 and place is not None:
                cut(pair[0], place)  # Refused here, rather than after half of the video.
            row: list[Array | None] = [side_by_side(*pair)] if video is not None else []
            if picture is not None:
                row.append(None)
                if number == middle:
                    report["crop_place"] = place or most_textured(pair[0])
                    row[-1], report["crop_gain"] = enlarged(
                        [cut(frame, report["crop_place"]) for frame in pair], [(0, 1)]
                    )
            yield row

    with contextlib.closing(iter(expected)) as one, contextlib.closing(iter(actual)) as other:
        written = rows(meter.watch(progress(one, expected.count), other))
        if outputs:
            write_together(outputs, written, like=expected, force=force)
        else:
            for _ in written:
                pass
    names = {"video": video, "picture": picture}
    files = {name: str(path) for name, path in names.items() if path is not None}
    return {**meter.figures(), **report, **({"files": files} if files else {})}
