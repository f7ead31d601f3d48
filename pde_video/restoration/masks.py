"""What is to be filled: masks of arrays, streams and files, by a colour, or where values are missing."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, tee
from typing import Any, TypeVar

import numpy as np

from pde_video.arrays.dtypes import as_float, scale_of
from pde_video.errors import InputError, ParameterError
from pde_video.filters import Frames
from pde_video.protocols import Array
from pde_video.restoration.beside import beside
from pde_video.terms.structure import unit_of

_BETWEEN = 0.05  # Distance from 0 and 1, of values that are neither.
_FEW = 0.01  # Share of such values that a lossy codec leaves; above it, the picture is no mask.
_ROUNDED = 1e-6  # Between integers as floats, of white = 1.
NAN = "nan"
_AHEAD = 40  # Frames that tell the unit of values that single precision cannot square.
_MUCH = 0.03  # Share of the pixels above which it is said.
Item = TypeVar("Item")
Result = TypeVar("Result")
Marked = tuple[Array, Array]  # A frame (H, W, C), finite, and what of it is to be filled, (H, W).


def marked(
    frames: Frames, mask: Any, key: str | None, tolerance: float, detected: Iterator[Marked] | None = None
) -> Iterator[Marked]:
    """Yield each frame with its mask; report how much is masked, and warn of masks that look wrong."""
    given = sum(one is not None for one in (mask, key, detected))
    if given != 1:
        said = "inpaint needs a mask: give one of" if not given else "inpaint takes one mask: give only one of"
        raise ParameterError(f"{said} mask, mask_key and detect")
    most = 0.5  # What is missing is no mask that may be inverted.
    if detected is not None:
        pairs = detected
    elif key is not None:
        pairs = _by_colour(frames, _colour(key), tolerance)
    elif isinstance(mask, str) and mask == NAN:
        pairs, most = _missing(frames), 1.0
    else:
        pairs = _paired(frames, mask)
    return watched(pairs, frames.report, "filled", most)


def watched(
    pairs: Iterable[tuple[Item, Array]], report: dict[str, Any], white: str, most: float = 0.5
) -> Iterator[tuple[Item, Array]]:
    """Yield pairs of which the second is a mask; report how much is masked, and warn of masks that look wrong.

    These are of more than a share of a frame, `most`, or the whole.
    """
    total = seen = 0
    warned = False
    for number, (frame, mask) in enumerate(pairs):
        seen, total = seen + mask.size, total + int(np.count_nonzero(mask))
        report["masked"] = total / seen
        share = np.count_nonzero(mask) / mask.size
        if (share > most or share == 1) and not warned:
            warned = True
            inverted = ": is the mask inverted?" if share < 1 else " as a whole"
            warn_in(report, f"{share:.0%} of frame {number} is masked, and {white}{inverted}")
        yield frame, mask
    if not total:
        warn_in(report, "nothing is masked: the video is unchanged")


def counted(pairs: Iterable[Marked], report: dict[str, Any]) -> Iterator[Marked]:
    """Yield what detectors marked; report the share of the pixels that is, and warn if that is much of any frame."""
    marked = whole = seen = 0
    for frame, mask in pairs:
        here = int(np.count_nonzero(mask))
        marked, whole, seen = marked + here, whole + mask.size * (here == mask.size), seen + mask.size
        report["marked"] = marked / seen
        yield frame, mask
    if marked - whole > _MUCH * (seen - whole):
        warn_in(
            report,
            f"{(marked - whole) / (seen - whole):.1%} of the pixels are marked: look at the mask; much of it may be "
            "scene, as what moves too fast to be followed; raise the threshold then, or correct the mask",
        )


def found(finder: Callable[[Frames], Iterator[Marked]], frames: Frames) -> Iterator[Marked]:
    """Yield the frames with what a detector marks; see `in_units` and `counted`."""

    def masks(pairs: Iterator[Marked]) -> Iterator[Array]:
        return (mask for _, mask in finder(Frames((frame for frame, _ in pairs), frames.scale, frames.report)))

    nothing = ((frame, np.zeros(frame.shape[:2], bool)) for frame in frames)
    return counted(((frame, mask) for frame, _, _, mask in in_units(nothing, masks)), frames.report)


def as_video(finder: Callable[[Frames], Iterator[Marked]], frames: Frames) -> Iterator[Array]:
    """Yield what a detector marks as frames (H, W, 1), in black and white; see `found`."""
    for frame, mask in found(finder, frames):
        yield mask[..., np.newaxis].astype(frame.dtype)


def in_units(
    pairs: Iterable[Marked], work: Callable[[Iterator[Marked]], Iterator[Result]]
) -> Iterator[tuple[Array, Array, float, Result]]:
    """Yield each frame, its mask, a unit, and what `work` makes of it, which gets all frames in this unit.

    It is a power of two, so that nothing is rounded, and 1 unless single precision could not hold squares.
    """
    every, copies = tee(_with_unit(pairs))
    results = work((frame if unit == 1 else _divided(frame, mask, unit), mask) for frame, mask, unit in copies)
    return ((*one, result) for one, result in zip(every, results, strict=True))


def _divided(frame: Array, mask: Array, unit: float) -> Array:
    return np.where(mask[..., np.newaxis], 0, frame) / frame.dtype.type(unit)  # What is masked may be far too large.


def _with_unit(pairs: Iterable[Marked]) -> Iterator[tuple[Array, Array, float]]:
    unit, pairs = 0.0, iter(pairs)  # Not known yet: what is 0 is so in any.
    for pair in pairs:
        ahead = [pair]
        if not unit and (unit := _unit_of(*pair)) not in (0.0, 1.0):  # The first may be far fainter than others.
            ahead += islice(pairs, _AHEAD)
            unit = max(_unit_of(*one) for one in ahead)
        yield from ((*one, unit or 1.0) for one in ahead)


def _unit_of(frame: Array, mask: Array) -> float:
    known = frame[~mask]
    return unit_of(known, dtype=np.float32) if known.any() else 0.0


def warn_in(report: dict[str, Any], text: str) -> None:
    """Add a warning to a report."""
    report.setdefault("warnings", []).append(text)


def _missing(frames: Frames) -> Iterator[Marked]:
    """Yield the frames with what is not finite in any channel masked, and 0 there."""
    for _, frame in frames.numbered():
        finite = np.isfinite(frame)
        yield np.where(finite, frame, frame.dtype.type(0)), np.logical_not(finite.all(axis=2))


def _colour(key: str) -> Array:
    digits = key.removeprefix("#")
    if len(digits) not in (2, 6) or not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        raise ParameterError(
            f"mask_key is {key!r}; it must be a colour as RRGGBB in hexadecimal, such as ff00ff, or a grey value as 00"
        )
    return np.frombuffer(bytes.fromhex(digits), np.uint8) / 255


def _by_colour(frames: Frames, colour: Array, tolerance: float) -> Iterator[Marked]:
    for frame in frames:
        if frame.shape[2] not in (1, len(colour)) or (frame.shape[2] == 1 and np.ptp(colour)):
            raise InputError(
                f"mask_key has {len(colour)} channels, the video {frame.shape[2]}; give a colour of as many"
            )
        apart = np.abs(frame - colour[: frame.shape[2]].astype(frame.dtype)).max(axis=2)
        yield frame, apart <= tolerance / frames.scale + _ROUNDED


def _paired(frames: Frames, mask: Any) -> Iterator[Marked]:
    for frame, found in with_masks(frames, mask, frames.report):
        must_fit(frame, found)
        yield frame, found


def with_masks(frames: Iterable[Item], mask: Any, report: dict[str, Any]) -> Iterator[tuple[Item, Array]]:
    """Yield each frame with the mask beside it."""
    if isinstance(mask, np.ndarray) and mask.dtype.kind in "iu" and mask.size and not mask.min():
        labels = mask > 0  # 0 and 1, or another number.
        mask = labels if (mask[labels] == mask.max()).all() else mask
    once = iter([partial(warn_in, report)])
    return beside(frames, mask, "mask", partial(binary, warnings=once))


def must_fit(frame: Array, mask: Array) -> None:
    """Refuse a mask (H, W) of another size than its frame."""
    if mask.shape != frame.shape[:2]:
        raise InputError(
            f"the mask has frames of {mask.shape[0]} × {mask.shape[1]} pixels, the video of {frame.shape[0]} × "
            f"{frame.shape[1]}; they must be equal"
        )


def binary(mask: Array, name: str, warnings: Iterator[Callable[[str], None]]) -> Array:
    """Return a mask (H, W) of bool: values of at least half of white, in the mean of the channels."""
    if mask.dtype == bool and mask.ndim == 2:
        return mask
    if mask.ndim not in (2, 3) or mask.dtype.kind not in "buif" or not mask.size:
        raise InputError(
            f"{name} has a frame of shape {mask.shape} and dtype {mask.dtype}; it must be (H, W), true where to fill"
        )
    values = mask.astype(float) if mask.dtype == bool else as_float(mask, np.float32, scale_of(mask.dtype))
    values = values if values.ndim == 2 else values.mean(axis=2)
    if mask.dtype.kind in "ui" and values.max() <= 1 / 255 and values.max() > 0:
        values = values / values.max()  # 0 and 1, as of labels.
    if not np.isfinite(values).all():
        raise InputError(f"{name} has NaN or infinite values; it must be two-valued, white where to fill")
    between = float(np.mean((values > _BETWEEN) & (values < 1 - _BETWEEN)))
    if between > _FEW or values.min() < -_BETWEEN or values.max() > 1 + _BETWEEN:
        raise InputError(
            f"{name} has values from {values.min():g} to {values.max():g} of white ({between:.0%} of them grey), "
            "neither black nor white: it must be two-valued, white where to fill; threshold it first"
        )
    if between:
        for warn in islice(warnings, 1):
            warn(f"{name} has grey values, as lossy codecs leave them; those from half of white on are filled")
    return values >= 0.5
