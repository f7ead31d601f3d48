"""Names of numbered sequences of pictures, such as ``frame_%04d.png``."""

import os
import re
from functools import cache
from pathlib import Path

SUFFIXES: tuple[str, ...] = (".png", ".jpg", ".jpeg")
_NUMBER = re.compile(r"%0?(\d{0,2})d")


def is_pattern(path: Path) -> bool:
    """Tell whether `path` is a numbered sequence such as `frame_%04d.png`, and not the name of one file."""
    return is_pattern_name(path.name) and not os.path.exists(path)


def is_pattern_name(name: str) -> bool:
    """Tell whether a name is that of a numbered sequence, unless a file has exactly that name."""
    return Path(name).suffix.lower() in SUFFIXES and len(_NUMBER.findall(name)) == 1


def numbered(pattern: Path) -> dict[int, Path]:
    """Return the files of a numbered sequence by their numbers, in order, which may start anywhere."""
    found = {}
    for path in pattern.parent.iterdir() if os.path.isdir(pattern.parent) else ():
        if (number := number_in(path.name, pattern.name)) is not None:
            found[number] = path
    return dict(sorted(found.items()))


def number_in(name: str, pattern: str) -> int | None:
    """Return the number of the member of a sequence that has this name, or None if none has."""
    match = _names_like(pattern).fullmatch(name)
    if match is None:
        return None
    number = int(match[1])
    return number if member_name(Path(pattern), number) == name else None


@cache
def _names_like(pattern: str) -> re.Pattern[str]:
    head, _, tail = map(re.escape, _NUMBER.split(pattern))
    return re.compile(f"{head}([0-9]+){tail}")


def member_name(pattern: Path, number: int) -> str:
    """Return the name of the file with that number in a sequence."""
    return _NUMBER.sub(lambda match: str(number).zfill(int(match[1] or 0)), pattern.name)


def may_share(one: str, other: str) -> bool:
    """Tell whether two patterns, or names, may have a member in common.

    ``a1%d.png`` and ``a%02d.png`` have ``a10.png``; ``a1%d.png`` and ``a2%d.png`` have none.
    """
    if not (is_pattern_name(one) and is_pattern_name(other)):
        return one == other
    (head, _, tail), (other_head, _, other_tail) = map(_NUMBER.split, (one, other))
    return _may_begin_alike(head, other_head) and _may_begin_alike(tail[::-1], other_tail[::-1])


def _may_begin_alike(one: str, other: str) -> bool:
    """Tell whether one text begins with the other, and goes on as a number may."""
    shorter, longer = sorted((one, other), key=len)
    return longer.startswith(shorter) and longer[len(shorter) :][:1] in "0123456789"
