"""The types of the values in a video's `details`, by key: checked where they come from an isolated reader.

Writers rely on these types. Keys without one here are only displayed.
"""

import math
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from pde_video.video import y4m

DATE = re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d", re.ASCII)
_MOST_AXES, _MOST_BITS = 64, 64


def check_kinds(details: dict[str, Any]) -> None:
    """Raise ValueError, with its key, for a value of the wrong type."""
    for key, value in details.items():
        if key in _KINDS and not _KINDS[key](value):
            raise ValueError(f"invalid {key}")


def _text(value: Any) -> bool:
    return isinstance(value, str) and value.encode() is not None  # Surrogates raise UnicodeEncodeError.


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _number(value: Any) -> bool:
    return type(value) in (int, float, Fraction) and math.isfinite(value)


def _positive(value: Any) -> bool:
    return _number(value) and value > 0


def _whole(value: Any, most: int = 2**32) -> bool:
    return type(value) is int and 0 <= value < most


def _short(value: Any) -> bool:
    return _whole(value, 2**16)


def _list_of(kind: Callable[[Any], bool], length: int | None = None) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, list | tuple) and (length is None or len(value) == length) and all(map(kind, value))
    )


def _ratio(value: Any) -> bool:
    return _list_of(_whole, 2)(value) and min(value) > 0


def _geotiff(value: Any) -> bool:
    kinds = {"GeoAsciiParams": _text, "GeoKeyDirectory": _list_of(_short)}
    numbers = _list_of(lambda one: type(one) in (int, float))
    return isinstance(value, dict) and all(kinds.get(key, numbers)(one) for key, one in value.items())


def _texts_by_key(value: Any) -> bool:
    return isinstance(value, dict) and all(_text(key) and _text(one) for key, one in value.items())


_KINDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("codec", "pixel_format", "matrix", "range", "primaries", "transfer", "comment", "tiff"), _text),
    **dict.fromkeys(("resolution_unit", "photometric", "compression", "unit", "description", "software"), _text),
    **dict.fromkeys(("document_name", "make", "model", "page_name", "artist", "host_computer", "copyright"), _text),
    **dict.fromkeys(("gdal_metadata", "no_data"), _text),
    **dict.fromkeys(("other_streams", "side_data", "warnings", "not_kept"), _texts),
    **dict.fromkeys(("stream_index", "video_streams"), _short),
    "bits": lambda value: _whole(value, _MOST_BITS + 1) and value > 0,
    **dict.fromkeys(("duration", "spacing"), _number),
    "interval": _positive,
    "aspect": lambda value: value is None or isinstance(value, Fraction),
    "time_base": lambda value: value is None or (isinstance(value, Fraction) and value > 0),
    "axes": lambda value: _text(value) and 0 < len(value) <= _MOST_AXES,
    "date_time": lambda value: _text(value) and DATE.fullmatch(value) is not None,
    "dpi": _list_of(lambda side: type(side) in (int, float), 2),
    "pixel_size": _list_of(_positive, 2),
    "resolution": _list_of(_ratio, 2),
    "extra_samples": _list_of(_short),
    "icc_profile": lambda value: isinstance(value, bytes),
    "imagej": _texts_by_key,
    "geotiff": _geotiff,
    "made": lambda value: isinstance(value, dict),
    "y4m": lambda value: isinstance(value, y4m.Header),
}
