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


def described(page: Any, where: str) -> Described:
    """Return the content of the first page's description."""
    text = page.description
    if text[-10:].strip().endswith("OME>"):
        return _from_ome(text, page.samplesperpixel, where)
    if page.imagej_description:
        return _from_imagej(page.imagej_description, page)
    if page.shaped_description:
        return _from_shaped(page.shaped_description, page)
    return Described(text=text.strip())


def _from_imagej(text: str, page: Any) -> Described:
    said = dict(line.strip().split("=", 1) for line in text.splitlines() if "=" in line)
    counts = {axis: _whole(said.get(key)) for axis, key in {"T": "frames", "Z": "slices", "C": "channels"}.items()}
    counts["C"] = 1 if counts["C"] == page.samplesperpixel else counts["C"]
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


def resolution_of(page: Any) -> list[list[int]] | None:
    """Return the resolution along x and y, each as a numerator and a denominator, if the page tells it."""
    sides = [page.tags.valueof(name, default=()) for name in ("XResolution", "YResolution")]
    return [list(side) for side in sides] if all(len(side) == 2 and min(side) > 0 for side in sides) else None


def _from_ome(text: str, samples: int, where: str) -> Described:
    if "<!DOCTYPE" in text:  # Entities, by which a few bytes can fill the memory, need one.
        raise InputError(f"{where}: the OME description holds a document type, which is refused")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as fault:
        raise InputError(f"{where}: the OME description is damaged ({fault})") from fault
    pixels = root.findall("{*}Image/{*}Pixels")
    names = {one.get("FileName") for one in root.iter() if one.tag.endswith("}UUID") and one.get("FileName")}
    if len(names) > 1 or root.find("{*}BinaryOnly") is not None:
        raise InputError(f"{where}: the video is spread over several files ({len(names)}); join them into one first")
    if len(pixels) != 1:
        raise InputError(
            f"{where}: the file holds {len(pixels)} pictures or series; split them into files of their own"
        )
    said = pixels[0].attrib
    counts = {axis: _whole(said.get(f"Size{axis}")) for axis in "TZC"}
    counts["C"] = max(1, counts["C"] // samples)
    leading = {axis: count for axis, count in counts.items() if count > 1}
    along = next(iter(leading), "T")
    for data in pixels[0].findall("{*}TiffData"):
        if data.get("IFD") is not None and data.get("IFD") != data.get(f"First{along}", data.get("IFD")):
            raise InputError(f"{where}: the pages are not in the order of the frames; save the file in order")
    leading = leading or {"T" if said.get("SizeT") else "I": 1}
    x, y, z = (_float(said.get(f"PhysicalSize{axis}")) for axis in "XYZ")
    unit, *others = (said.get(f"PhysicalSize{axis}Unit", _MICRON) for axis in "XYZ")
    sides, spacing = [x, y] if x and y and others[0] == unit else None, z if others[1] == unit else None
    interval = positive(said.get("TimeIncrement"))
    per_second = _PER_SECOND.get(said.get("TimeIncrementUnit", "s"))
    lost = {
        "the description of OME": root.findtext("{*}Image/{*}Description") or root.findtext("{*}Description"),
        "the names of channels": [one for one in pixels[0].findall("{*}Channel") if one.get("Name")],
        "the times of planes (DeltaT)": [one for one in pixels[0].findall("{*}Plane") if one.get("DeltaT")],
    }
    facts = _known(
        unit=_NAMES.get(unit, unit) if sides or spacing else None,
        pixel_size=sides,
        spacing=spacing,
        interval=interval / per_second if interval and per_second else None,
        not_kept=[name for name, value in lost.items() if value],
    )
    return Described("ome", leading, facts)


def _from_shaped(text: str, page: Any) -> Described:
    said: Any = None
    with contextlib.suppress(ValueError):
        said = json.loads(text)
    shape = said.get("shape") if isinstance(said, dict) else None
    if not isinstance(shape, list) or not all(isinstance(n, int) and n > 0 for n in shape):
        return Described()
    lengths, axes = shape[: len(shape) - len(page.shape)], said.get("axes")
    if not isinstance(axes, str) or len(axes) != len(shape):
        axes = "TZC"[: len(lengths)] if len(lengths) > 1 else "I" * len(lengths)
    unit, sides = said.get("unit"), said.get("pixel_size")
    facts = _known(
        unit=unit if isinstance(unit, str) else None,
        spacing=_float(said.get("spacing")),
        pixel_size=sides if isinstance(sides, list) and len(sides) == 2 and all(map(positive, sides)) else None,
        interval=_interval(said),
    )
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
