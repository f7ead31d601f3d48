"""TIFF tags that do not concern the pixels: which are kept, and the names of the others."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tifffile

from pde_video.video.source import Target
from pde_video.video.tiff_directory import Directory, Source

_ICC = 34675
_TEXTS = {
    269: "document_name",
    271: "make",
    272: "model",
    285: "page_name",
    315: "artist",
    316: "host_computer",
    33432: "copyright",
    42112: "gdal_metadata",
    42113: "no_data",
}
_GEO = {
    33550: "ModelPixelScale",
    33922: "ModelTiepoint",
    34264: "ModelTransformation",
    34735: "GeoKeyDirectory",
    34736: "GeoDoubleParams",
    34737: "GeoAsciiParams",
}
KEYS = (*_TEXTS.values(), "icc_profile", "geotiff")  # Of `details`.
# What describes the storage of the pixels, or is read elsewhere.
_STORAGE = {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 270, 273, 274, 277, 278, 279, 280, 281, 282, 283}
_STORAGE |= {284, 288, 289, 292, 293, 296, 297, 305, 306, 317, 320, 321, 322, 323, 324, 325, 326, 327, 328, 332, 338}
_STORAGE |= {339, 340, 341, 347, *range(512, 522), 529, 530, 531, 532, 32997}
_COMPARED = {270, 282, 283, 296, 306}  # Of these, those of the first page are kept.
_CALLED = {
    330: "further pictures (SubIFDs)",
    700: "XMP data",
    33723: "IPTC data",
    34377: "Photoshop data",
    34665: "EXIF data",
    34853: "GPS data",
    50838: "ImageJ's labels, regions and colour tables",
    50839: "ImageJ's labels, regions and colour tables",
}
# Vendors' tags that say along which axes the pages lie.
_AXES = {33471: "Olympus SIS", 33560: "Olympus SIS", 33628: "MetaMorph", 33629: "MetaMorph", 34361: "Olympus FluoView"}
_AXES |= {34362: "Olympus FluoView", 34412: "Zeiss LSM", 65420: "Hamamatsu NDPI"}
_MOST_NAMED = 20
# How much of later pages is compared with the first.
_MOST_COMPARED, _MOST_TAGS, _MOST_BYTES = 1000, 50_000, 2**24


def vendor_of_axes(page: Directory) -> str | None:
    """Return the vendor whose tags, which are not read, say along which axes the pages lie."""
    return next((vendor for code, vendor in _AXES.items() if code in page), None)


def found(page: Directory, upright: bool, as_stored: bool) -> tuple[dict[str, Any], list[str]]:
    """Return the tags that are kept, and the names of the others.

    Georeferences count the rows and columns as stored, and the no-data value is one as stored.
    """
    facts: dict[str, Any] = {}
    others = dict[str, None]()
    for code in page.tags:
        if code in _STORAGE:
            continue
        kept = (code not in _GEO or upright) and (code != 42113 or as_stored)
        try:
            if kept and code in _TEXTS:
                facts[_TEXTS[code]] = page.text(code).strip()
            elif kept and code in _GEO:
                value = page.text(code) if code == 34737 else page.numbers(code).tolist()
                facts.setdefault("geotiff", {})[_GEO[code]] = value
            elif code == _ICC:
                facts["icc_profile"] = page.raw(code)
            else:
                others[name(code)] = None
        except ValueError:  # Too long, or beyond the end of the file.
            others[name(code)] = None
    return {key: value for key, value in facts.items() if value}, _bounded(list(others))


def _bounded(names: list[str]) -> list[str]:
    more = len(names) - _MOST_NAMED
    return names if more <= 0 else [*names[:_MOST_NAMED], f"{more} further tags"]


def name(code: int) -> str:
    """Return how a tag is called."""
    return _CALLED.get(code) or f"tag {code}" + (f" ({tifffile.TIFF.TAGS[code]})" if code in tifffile.TIFF.TAGS else "")


def of_later_pages(source: Source, first: Directory, offsets: Sequence[int]) -> list[str]:
    """Name the tags of later pages that differ from those of the first one, which alone are kept."""
    differing: dict[str, None] = {}
    tags = nbytes = 0
    for offset in offsets[1:_MOST_COMPARED]:
        try:
            page = Directory(source, offset)
            tags += len(page.tags)
            nbytes += sum(tag.nbytes for tag in page.tags.values())
            if tags > _MOST_TAGS or nbytes > _MOST_BYTES:
                break
            compared = page.tags.keys() - (_STORAGE - _COMPARED)
            codes = sorted(code for code in compared if not page.is_like(first, (code,)))
        except ValueError:  # A damaged page is found when it is decoded.
            continue
        differing |= dict.fromkeys(f"{name(code)} of later pages" for code in codes)
    return _bounded(list(differing))


def written(target: Target, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the tags of the source that still hold, as options of the writer, and report the others."""
    like = target.like
    same_size = like is not None and target.size == like.size
    fits = {
        "geotiff": same_size,
        "no_data": like is not None and target.first.dtype == like.dtype,
        "icc_profile": facts.get("icc_profile", b"")[16:20] == (b"GRAY" if target.channels < 3 else b"RGB "),
    }
    target.omit(*(key for key, fit in fits.items() if key in facts and not fit))
    kept = {key: value for key, value in facts.items() if fits.get(key, True)}
    tags: list[tuple[Any, ...]] = [
        (code, 2, 0, str(kept[key]).encode(), True) for code, key in _TEXTS.items() if kept.get(key)
    ]
    for code, key in _GEO.items():
        value = kept.get("geotiff", {}).get(key)
        if isinstance(value, str):
            tags.append((code, 2, 0, value.encode(), True))
        elif value:
            array = np.asarray(value, np.uint16 if code == 34735 else np.float64)
            tags.append((code, 3 if code == 34735 else 12, len(array), tuple(array.tolist()), True))
    profile = {"iccprofile": kept["icc_profile"]} if "icc_profile" in kept else {}
    return {"extratags": tags, **profile}
