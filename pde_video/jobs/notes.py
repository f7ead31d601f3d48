"""Notes on the finished segments of a run, as JSON: written by this program, but read as data of others."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pde_video.video.provenance import check_plain, values_in

COUNTED = ("saturated", "missing")  # What reports add up over the frames.
_FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST = 2**62  # Frames, or values that are counted.


@dataclass(frozen=True)
class Segment:
    """A file of frames: its name, their number, its SHA-256, and what was counted up to its end."""

    name: str
    frames: int
    sha256: str
    counted: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Notes:
    """What is known of a run."""

    job: dict[str, Any]  # What it was asked to do, with which version.
    segments: tuple[Segment, ...] = ()
    first: dict[str, Any] = field(default_factory=dict)  # What was reported before the first frame,
    report: dict[str, Any] = field(default_factory=dict)  # and since.
    ended: bool = False  # There are no more segments.
    output: str | None = None  # The fingerprint of the complete output, before it is put in place,
    full_report: dict[str, Any] = field(default_factory=dict)  # and what will be reported of it.
    pending: str | None = None  # The SHA-256 of the next segment, before it is put in place.

    @property
    def done(self) -> int:
        """The number of frames in finished segments."""
        return sum(segment.frames for segment in self.segments)

    def before_segment(self, index: int) -> "Notes":
        """Return the notes as they were before that segment."""
        if index == 0:
            return Notes(self.job)
        kept = self.segments[:index]
        report = {name: value for name, value in self.report.items() if name not in COUNTED} | kept[-1].counted
        return Notes(self.job, kept, self.first, report)

    def with_segment(self, segment: Segment, report: dict[str, Any], ended: bool) -> "Notes":
        """Return the notes with one more segment, and the report on all frames up to its end."""
        segment = replace(segment, counted={name: report[name] for name in COUNTED if name in report})
        return replace(self, segments=(*self.segments, segment), report=report, pending=None, ended=ended)

    def as_text(self) -> str:
        """Return the notes as JSON in one line."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, default=str)


def parsed(data: bytes) -> Notes:
    """Return the notes in a file, or raise ValueError."""
    found = values_in(data)
    _check(isinstance(found, dict) and found.pop("format", None) == _FORMAT, "not notes of this version")
    _check(set(found) == set(Notes.__dataclass_fields__), "fields are missing, or unknown")
    _check(isinstance(found["job"], dict), "`job` is not a table")
    _check(isinstance(found["segments"], list), "`segments` is not a list")
    segments = tuple(_segment(number, one) for number, one in enumerate(found["segments"]))
    for report in (found["first"], found["report"], found["full_report"]):
        _check_report(report)
    _check(isinstance(found["ended"], bool), "`ended` is neither true nor false")
    _check(found["pending"] is None or _is_sha256(found["pending"]), "`pending` is not a SHA-256")
    _check(found["output"] is None or _is_sha256(found["output"]), "`output` is not a SHA-256")
    return Notes(**found | {"segments": segments})


def _segment(number: int, found: Any) -> Segment:
    _check(isinstance(found, dict) and set(found) == set(Segment.__dataclass_fields__), "a segment is not described")
    _check(found["name"] in (f"{number:06d}.avi", f"{number:06d}.npy"), "a segment has another name")
    _check(_is_count(found["frames"]) and found["frames"] > 0, "a segment has no number of frames")
    _check(_is_sha256(found["sha256"]), "a segment has no SHA-256")
    counted = found["counted"]
    known = isinstance(counted, dict) and set(counted) <= set(COUNTED) and all(map(_is_count, counted.values()))
    _check(known, "a segment's counts are not whole numbers >= 0")
    return Segment(**found)


def _check_report(found: Any) -> None:
    _check(isinstance(found, dict), "a report is not a table")
    check_plain(found)
    try:
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        raise ValueError("a report holds NaN, an infinite value or half of a character") from None
    _check(all(_is_count(found.get(name, 0)) for name in COUNTED), "a report's counts are not whole numbers >= 0")
    _check(_is_list(found.get("cuts", []), _is_count), "`cuts` is not a list of whole numbers >= 0")
    for name in ("not_copied", "warnings"):
        _check(_is_list(found.get(name, []), _is_text), f"`{name}` is not a list of texts")
    sizes = [value for name, value in found.items() if name.endswith(("_bytes", "_seconds"))]
    _check(
        all(value is None or isinstance(value, int | float) for value in sizes),
        "a size or time of a report is not a number",
    )
    _check(not {"files", "made", "closed_early"} & set(found), "a report is that of another command")


def _check(condition: bool, fault: str) -> None:
    if not condition:
        raise ValueError(fault)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST


def _is_sha256(value: Any) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _is_list(value: Any, is_right: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(map(is_right, value))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
