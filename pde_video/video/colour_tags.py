"""Colour tags of a video: the numbers of ITU-T H.273, and FFmpeg's names for them."""

from __future__ import annotations

UNKNOWN = "unknown"
LIMITED, FULL = "limited", "full"
# A name's place is its number; numbers without a meaning stand for themselves.
_NAMES = {
    "range": f"{UNKNOWN} {LIMITED} {FULL}",
    "matrix": "gbr bt709 unknown 3 fcc bt470bg smpte170m smpte240m ycgco bt2020nc bt2020c smpte2085",
    "primaries": "0 bt709 unknown 3 bt470m bt470bg smpte170m smpte240m film bt2020 smpte428 smpte431 smpte432",
    "transfer": "0 bt709 unknown 3 bt470m bt470bg smpte170m smpte240m linear log100 log316 iec61966-2-4 bt1361e "
    "iec61966-2-1 bt2020-10 bt2020-12 smpte2084 smpte428 arib-std-b67",
}


def tag_name(kind: str, number: int) -> str:
    """Return the name of a range, matrix, primaries or transfer."""
    names = _NAMES[kind].split()
    return names[number] if 0 <= number < len(names) else str(number)


def tag_number(kind: str, name: str) -> int:
    """Return the number of a name that `tag_name` gave."""
    names = _NAMES[kind].split()
    return names.index(name) if name in names else int(name)
