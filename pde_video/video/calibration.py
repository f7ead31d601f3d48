"""Axes and calibration in the descriptions of TIFF files, as ImageJ, OME and tifffile write them."""

import contextlib
import json
import uuid
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from pde_video.errors import InputError, ParameterError
from pde_video.video.tiff_directory import MOST_BYTES, Directory

_DESCRIPTION = 270  # The number of that tag.
_LONGEST_OME, _AT_ONCE = 2**25, 2**20
_MOST_ELEMENTS, _DEEPEST, _MOST_PICTURES = 500_000, 50, 1000
_MOST_AXES = 16
_MICRON = "µm"
_NAMES = {"micron": _MICRON, "microns": _MICRON, "um": _MICRON, "\\u00B5m": _MICRON, "μm": _MICRON, "inch": "in"}
_OME_UNITS = ("pm", "nm", _MICRON, "mm", "cm", "m", "in")
_IMAGEJ = ("uint8", "uint16", "float32")
_PER_SECOND = {"ns": 10**9, "µs": 10**6, "ms": 10**3, "s": 1}
_COUNTS = ("ImageJ", "SCIFIO", "images", "channels", "slices", "frames", "hyperstack", "order")


@dataclass
class Described:
    """The content of a description: the leading axes with their lengths, and their calibration."""

    kind: str = "plain"
    leading: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)  # unit, pixel_size (x, y), spacing, interval (seconds).
    text: str = ""  # Of a description in none of these formats.


def described(page: Directory, samples: int, where: str) -> Described:
    """Return the content of the first page's descriptions, of which there may be two."""
    longest = _LONGEST_OME if page.raw(_DESCRIPTION, _LONGEST_OME)[:1] == b"<" else MOST_BYTES
    texts = [page.text(_DESCRIPTION, longest), page.text(_DESCRIPTION, repeated=True)]
    if texts[0][-10:].strip().endswith("OME>"):
        return _from_ome(texts[0], samples, where)
    for text in texts:
        if text.startswith(("ImageJ=", "SCIFIO=")):
            return _from_imagej(text, page, samples)
        if text.startswith("{") and '"shape":' in text:
            return _from_shaped(text, 2 if samples == 1 else 3)
        if text.startswith("shape="):
            return Described()
    return Described(text=texts[0].strip())


def _from_imagej(text: str, page: Directory, samples: int) -> Described:
    said = dict(line.strip().split("=", 1) for line in text.splitlines() if "=" in line)
    counts = {axis: _whole(said.get(key)) for axis, key in {"T": "frames", "Z": "slices", "C": "channels"}.items()}
    counts["C"] = 1 if counts["C"] == samples else counts["C"]
    leading = {axis: count for axis, count in counts.items() if count > 1}
    leading = leading or {"I": _whole(said.get("images"))}
    unit, sides = said.get("unit"), resolution_of(page)
    facts = _known(
        imagej={key: text for key, text in said.items() if key not in _COUNTS},
        unit=unit and _NAMES.get(unit, unit),
        pixel_size=[length / pixels for pixels, length in sides] if unit and sides else None,
        spacing=_float(said.get("spacing")),
        interval=_interval(said),
    )
    return Described("imagej", leading, facts)


def _known(**facts: Any) -> dict[str, Any]:
    return {name: fact for name, fact in facts.items() if fact}


def resolution_of(page: Directory) -> list[list[int]] | None:
    """Return the resolution along x and y, each as a numerator and a denominator, if the page tells it."""
    sides = [page.numbers(code).tolist() for code in (282, 283)]
    return sides if all(len(side) == 2 and min(side) > 0 for side in sides) else None


class _Ome:
    """What of an OME description is used, gathered element by element, so that a long one needs no memory."""

    def __init__(self, where: str) -> None:
        self.where, self.path = where, list[str]()
        self.elements = self.events = 0
        self.pixels, self.files, self.lost = list[dict[str, str]](), set[str](), dict[str, None]()
        self.elsewhere = self.out_of_order = False

    def start(self, tag: str, said: dict[str, str]) -> None:
        """Take note of an element that begins."""
        name = tag.rpartition("}")[2]
        self.path.append(name)
        self.events += 1
        self.elements += 1
        if self.elements > _MOST_ELEMENTS or len(self.path) > _DEEPEST:
            raise InputError(
                f"{self.where}: the OME description has more than {_MOST_ELEMENTS:,} elements, or is nested deeper "
                f"than {_DEEPEST}"
            )
        inside = self.path[1:]
        if inside == ["Image", "Pixels"] and len(self.pixels) < _MOST_PICTURES:
            self.pixels.append(dict(said))
        elif name == "UUID" and said.get("FileName") and len(self.files) < 2:
            self.files.add(said["FileName"])
        elif inside == ["BinaryOnly"]:
            self.elsewhere = True
        elif inside == ["Image", "Pixels", "TiffData"] and "IFD" in said:
            self.out_of_order |= said["IFD"] != said.get(f"First{_along(self.pixels[-1])}", said["IFD"])
        elif inside == ["Image", "Pixels", "Channel"] and said.get("Name"):
            self.lost["the names of channels"] = None
        elif inside == ["Image", "Pixels", "Plane"] and said.get("DeltaT"):
            self.lost["the times of planes (DeltaT)"] = None

    def data(self, text: str) -> None:
        """Take note of text."""
        self.events += 1
        if text.strip() and self.path[1:] in (["Image", "Description"], ["Description"]):
            self.lost["the description of OME"] = None

    def end(self, tag: str) -> None:
        """Take note of an element that ends."""
        self.path.pop()

    def close(self) -> None:
        """End the description."""


def _sizes(said: dict[str, str]) -> dict[str, int]:
    return {axis: _whole(said.get(f"Size{axis}")) for axis in "TZC"}


def _along(said: dict[str, str]) -> str:
    return next((axis for axis, count in _sizes(said).items() if count > 1), "T")


def _read_ome(text: str, where: str) -> _Ome:
    if "<!DOCTYPE" in text:  # Entities, by which a few bytes can fill the memory, need one.
        raise InputError(f"{where}: the OME description holds a document type, which is refused")
    found = _Ome(where)
    parser = ElementTree.XMLParser(target=found)
    try:
        for place in range(0, len(text), _AT_ONCE):
            before = found.events
            parser.feed(text[place : place + _AT_ONCE])
            if place and found.events == before:
                raise InputError(f"{where}: the OME description has an element or comment of over {_AT_ONCE:,} letters")
        parser.close()
    except (ElementTree.ParseError, ValueError) as fault:
        if isinstance(fault, InputError):
            raise
        raise InputError(f"{where}: the OME description is damaged ({fault})") from fault
    return found


def _from_ome(text: str, samples: int, where: str) -> Described:
    found = _read_ome(text, where)
    if len(found.files) > 1 or found.elsewhere:
        raise InputError(f"{where}: the video is spread over several files; join them into one first")
    if len(found.pixels) != 1:
        raise InputError(
            f"{where}: the file holds {len(found.pixels)} pictures or series; split them into files of their own"
        )
    if found.out_of_order:
        raise InputError(f"{where}: the pages are not in the order of the frames; save the file in order")
    said = found.pixels[0]
    counts = _sizes(said)
    counts["C"] = max(1, counts["C"] // samples)
    leading = {axis: count for axis, count in counts.items() if count > 1}
    leading = leading or {"T" if said.get("SizeT") else "I": 1}
    x, y, z = (_float(said.get(f"PhysicalSize{axis}")) for axis in "XYZ")
    unit, *others = (said.get(f"PhysicalSize{axis}Unit", _MICRON) for axis in "XYZ")
    sides, spacing = [x, y] if x and y and others[0] == unit else None, z if others[1] == unit else None
    interval = positive(said.get("TimeIncrement"))
    per_second = _PER_SECOND.get(said.get("TimeIncrementUnit", "s"))
    facts = _known(
        unit=_NAMES.get(unit, unit) if sides or spacing else None,
        pixel_size=sides,
        spacing=spacing,
        interval=interval / per_second if interval and per_second else None,
        not_kept=sorted(found.lost),
    )
    return Described("ome", leading, facts)


def _from_shaped(text: str, ndim: int) -> Described:
    said: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        said = json.loads(text)
    shape = said.get("shape") if isinstance(said, dict) else None
    if not isinstance(shape, list) or len(shape) > _MOST_AXES or not all(isinstance(n, int) and n > 0 for n in shape):
        return Described()
    lengths, axes = shape[: len(shape) - ndim], said.get("axes")
    if not isinstance(axes, str) or len(axes) != len(shape):
        axes = "TZC"[: len(lengths)] if len(lengths) > 1 else "I" * len(lengths)
    unit, sides = said.get("unit"), said.get("pixel_size")
    sides = [_float(side) for side in sides] if isinstance(sides, list) and len(sides) == 2 else [None]
    facts = _known(
        unit=unit if isinstance(unit, str) else None,
        spacing=_float(said.get("spacing")),
        pixel_size=sides if all(sides) else None,
        interval=_interval(said),
    )
    lost = [name for name in ("unit", "spacing", "pixel_size") if said.get(name) and name not in facts]
    facts |= _known(not_kept=[f"{name} of the description, which is not understood" for name in lost])
    leading = {axis: n for axis, n in zip(axes, lengths, strict=False) if n > 1}
    leading = leading or dict(zip(axes, lengths, strict=False)) or {"I": 1}
    return Described("shaped", leading, facts)


def _interval(said: dict[str, Any]) -> Fraction | None:
    """Return the seconds between two frames."""
    rate = positive(said.get("fps"))
    return positive(said.get("interval")) or positive(said.get("finterval")) or (1 / rate if rate else None)


def _whole(text: str | None) -> int:
    number = int(text) if text and text.strip().isascii() and text.strip().isdigit() and len(text) < 20 else 1
    return max(1, number)


def positive(value: Any) -> Fraction | None:
    """Return a positive number exactly as written, or None."""
    try:
        number = Fraction(str(value)) if len(str(value)) < 40 else None
    except (ValueError, ZeroDivisionError):
        return None
    return number if number and Fraction(1, 10**9) < number < 10**9 else None


def _float(value: Any) -> float | None:
    return float(number) if (number := positive(value)) else None


def fits_imagej(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Tell whether ImageJ supports such frames."""
    colour = len(shape) == 3
    return dtype.name == "uint8" if colour and shape[2] == 3 else not colour and dtype.name in _IMAGEJ


def imagej_text(axis: str, count: int, facts: dict[str, Any]) -> str:
    """Return a description as ImageJ writes it."""
    said = dict(facts.get("imagej", {}))
    interval = facts.get("interval")
    if not said:
        unit = facts.get("unit")
        said = {"unit": "micron" if unit == _MICRON else unit, "spacing": facts.get("spacing")}
    if interval and not {"finterval", "fps"} & set(said):
        said["finterval"] = float(interval)
    named = {"T": "frames", "Z": "slices"}.get(axis)
    counts = {"ImageJ": "1.54f", "images": count, **({named: count, "hyperstack": "true"} if named else {})}
    return "".join(f"{key}={value}\n" for key, value in {**counts, **said}.items() if value is not None)


def ome_text(axis: str, count: int, first: np.ndarray[Any, Any], facts: dict[str, Any]) -> str:
    """Return a description as OME-TIFF has it."""
    said: dict[str, Any] = {}
    unit = facts.get("unit")
    if unit in _OME_UNITS:
        sides = dict(zip("XY", facts.get("pixel_size", ()), strict=False)) | {"Z": facts.get("spacing")}
        for side, size in sides.items():
            if size:
                said |= {f"PhysicalSize{side}": size, f"PhysicalSize{side}Unit": unit}
    if interval := facts.get("interval"):
        said |= {"TimeIncrement": float(interval), "TimeIncrementUnit": "s"}
    samples = first.shape[2] if first.ndim == 3 else 1
    axes = (axis if axis in "TZ" else "T") + ("YXS" if first.ndim == 3 else "YX")
    # Equal files for equal contents.
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{first.shape}{axes}{said}")
    document = tifffile.OmeXml(Creator="pde_video", UUID=str(name))
    stored = (count, 1, 1, first.shape[0], first.shape[1], samples)
    try:
        document.addimage(first.dtype, (count, *first.shape), stored, axes=axes, **said)
    except tifffile.OmeXmlError as fault:
        raise ParameterError(f"OME-TIFF does not hold {first.dtype} frames ({fault}); write .tiff") from fault
    return str(document.tostring(declaration=True))


def shaped_text(axis: str, count: int, shape: tuple[int, ...], facts: dict[str, Any]) -> str:
    """Return a description as tifffile writes it: JSON."""
    said: dict[str, Any] = {key: facts[key] for key in ("unit", "pixel_size", "spacing") if key in facts}
    if facts.get("interval"):
        said["interval"] = str(facts["interval"])
    axes = axis + ("YXS" if len(shape) == 3 else "YX")
    return json.dumps({"shape": [count, *shape], "axes": axes, **said})
