"""Pictures for visual comparison: videos side by side, enlarged details, and differences."""

import contextlib
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.arrays.dtypes import scale_of
from pde_video.errors import ParameterError
from pde_video.filters.geometry import crop
from pde_video.jobs.run import Progress
from pde_video.metrics.quality import Comparison
from pde_video.protocols import Array
from pde_video.video.files import read, write_together
from pde_video.video.outputs import check_distinct

Place = tuple[int, int, int, int]  # Top, left, height and width, in pixels.
_SIDE = 96  # Side of the enlarged detail, in pixels.
_TIMES = 4  # Magnification.
_LINE = 2  # Pixels between frames side by side.
_GAP = 8  # Pixels between enlarged panels.
_COLUMNS = 3  # Enlarged panels in a row.
_BAND = 16  # Height of a label in pixels.
_GREY = 128 / 255  # Shown for no difference; differences of 8-bit values then need no rounding.


def side_by_side(*frames: Array) -> Array:
    """Return frames of one shape beside each other with a white line between them, padded to even sides for codecs."""
    height, width = frames[0].shape[:2]
    step, white = width + _LINE, scale_of(frames[0].dtype)
    total = len(frames) * step - _LINE
    joined = np.full((height + height % 2, total + total % 2, *frames[0].shape[2:]), white, frames[0].dtype)
    for k, frame in enumerate(frames):
        joined[:height, k * step : k * step + width] = frame
    return joined


def most_textured(frame: Array, side: int = _SIDE) -> Place:
    """Return the place, at most `side` × `side` pixels, where the mean of |∂x I| + |∂y I| is largest."""
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
    """Return the pixels of a place; raise if it is not inside the frame."""
    return crop(frame[np.newaxis], *place)[0]


def labelled(picture: Array, label: str) -> Array:
    """Return a picture with a white band above it that holds a label."""
    from PIL import Image, ImageDraw  # Pillow comes with imageio.

    band = Image.new("1", (picture.shape[1], _BAND), 1)
    ImageDraw.Draw(band).text((2, 2), label, fill=0)
    shape = (_BAND, *picture.shape[1:])
    white = np.asarray(band).reshape(shape[:2] + (1,) * (picture.ndim - 2)) * scale_of(picture.dtype)
    return np.concatenate([np.broadcast_to(white, shape).astype(picture.dtype), picture])


def enlarged(
    pictures: Sequence[Array], pairs: Sequence[tuple[int, int]], labels: Sequence[str] = ()
) -> tuple[Array, int]:
    """Return a sheet of enlarged pictures and of the differences a − b of `pairs`, and the gain of the differences.

    8-bit pictures are shown as they are, others from the darkest to the brightest value of the first. Differences are
    means over the channels, shown as mid-grey + gain · (a − b). The gain is the largest power of two at which two
    standard deviations of the first difference stay between black and white.
    """
    if pictures[0].ndim == 3 and pictures[0].shape[2] == 4:
        pictures = [picture[..., :3] for picture in pictures]  # Differences are not shown half transparent.
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
    values = [*shown, *(_GREY + gain * difference for difference in differences)]
    panels = [np.rint(np.clip(panel, 0, 1) * 255).astype(np.uint8) for panel in values]
    panels = [panel.repeat(_TIMES, axis=0).repeat(_TIMES, axis=1) for panel in panels]
    if labels:
        panels = [labelled(panel, label) for panel, label in zip(panels, labels, strict=True)]
    height, width = (n + _GAP for n in panels[0].shape[:2])
    rows, columns = math.ceil(len(panels) / _COLUMNS), min(len(panels), _COLUMNS)
    sheet = np.full((rows * height - _GAP, columns * width - _GAP, *panels[0].shape[2:]), 255, np.uint8)
    for k, panel in enumerate(panels):
        top, left = height * (k // _COLUMNS), width * (k % _COLUMNS)
        sheet[top : top + height - _GAP, left : left + width - _GAP] = panel
    return sheet, gain


def compare_files(
    reference: Path,
    file: Path,
    *,
    video: Path | None = None,
    picture: Path | None = None,
    place: Place | None = None,
    force: bool = False,
    isolated: bool = False,
    progress: Progress = lambda frames, count: frames,
) -> dict[str, Any]:
    """Measure a file against its reference; write both side by side, and an enlarged detail of the middle frame."""
    if place is not None and picture is None:
        raise ParameterError("a detail to enlarge is given, but no picture to show it in; give both")
    expected, actual = (read(path, isolated=isolated) for path in (reference, file))
    outputs = {name: path for name, path in (("video", video), ("picture", picture)) if path is not None}
    for path in outputs.values():
        check_distinct(path, [reference, file])
    meter, report, middle = Comparison(), dict[str, Any](), (expected.count or 1) // 2

    def rows(pairs: Iterable[tuple[Array, Array]]) -> Iterator[list[Array | None]]:
        for number, pair in enumerate(pairs):
            if number == 0 and place is not None:
                cut(pair[0], place)  # Checked here, not in the middle of the video.
            row: list[Array | None] = [side_by_side(*pair)] if video is not None else []
            if picture is not None:
                row.append(None)
                if number == middle:
                    report["crop_place"] = shown = place or most_textured(pair[0])
                    row[-1], report["crop_gain"] = enlarged([cut(frame, shown) for frame in pair], [(0, 1)])
            yield row

    with contextlib.closing(iter(expected)) as one, contextlib.closing(iter(actual)) as other:
        written = rows(meter.watch(progress(one, expected.count), other))
        if outputs:
            write_together(list(outputs.values()), written, like=expected, force=force)
        else:
            deque(written, maxlen=0)
    files = {"files": {name: str(path) for name, path in outputs.items()}} if outputs else {}
    return {**meter.figures(), **report, **files}
