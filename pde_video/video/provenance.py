"""Provenance: how an output was made, as JSON in its metadata."""

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

from pde_video import __version__
from pde_video.access.opening import reading
from pde_video.video.sequences import is_pattern, numbered

MARK = "pde_video "  # Precedes the JSON in a file's comment or description.
LONGEST_COMMENT = 10_000  # Letters; longer ones are reported, not kept. A JPEG holds 65,533 bytes.
DEEPEST = 16  # Tables or lists inside each other.
_LONGEST = 2**20  # Letters of what is said in a file of how it was made.
_BITS = 1000  # Of whole numbers; larger ones are no floats, and cannot be shown.


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of all files of a sequence or in a folder."""
    digest = hashlib.sha256()
    many, folder = is_pattern(path), path.parent if is_pattern(path) else path
    files = [path] if path.is_file() else sorted(numbered(path).values() if many else folder.rglob("*"))
    for file in filter(Path.is_file, files):
        if many or path.is_dir():
            name = os.fsencode(file.relative_to(folder).as_posix())  # Which need not be UTF-8.
            digest.update(name + f"\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            hashlib.file_digest(content, lambda: digest)
    return digest.hexdigest()


def fingerprint_of_input(path: Path) -> str:
    """Return the same of an input; raise InputError if it cannot be read to its end."""
    with reading(path):
        return fingerprint(path)


def as_text(facts: dict[str, Any]) -> str:
    """Return facts and the version as JSON in one line; values that JSON lacks become text."""
    return json.dumps(plain({"version": __version__, **facts}), default=str, allow_nan=False, ensure_ascii=True)


def plain(value: Any) -> Any:
    """Return a value for JSON: NumPy's numbers as Python's, infinite values and NaN as text."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    value = value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def found_in(text: str | None) -> dict[str, Any] | None:
    """Return the facts that `as_text` put into a comment after MARK, if there are any."""
    begin = (text or "").find(MARK + "{")
    if text is None or begin < 0:
        return None
    begin += len(MARK)
    try:
        found, _ = json.JSONDecoder().raw_decode(text[begin : begin + _LONGEST])
    except (ValueError, RecursionError):
        return None
    return believed(found)


def believed(found: Any) -> dict[str, Any] | None:
    """Return facts from a file, which anyone may have written, if they are such as `as_text` writes."""
    if not isinstance(found, dict) or "version" not in found:
        return None
    try:
        check_plain(found)
        json.dumps(found, allow_nan=False)
    except (ValueError, TypeError):
        return None
    return found


def values_in(data: str | bytes) -> Any:
    """Return the values in JSON; raise ValueError, with a reason in plain words, if it holds none that are taken."""
    try:
        return json.loads(data.decode() if isinstance(data, bytes) else data)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} deep") from None
    except json.JSONDecodeError as fault:
        raise ValueError(f"it is no JSON at line {fault.lineno}, column {fault.colno}") from None
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    except ValueError:
        raise ValueError("a number has too many digits") from None


def check_plain(values: Any) -> None:
    """Raise ValueError for values that are nested too deep, or whole numbers that are too large."""
    level, depth = [values], 0
    while level:
        if any(isinstance(one, int) and one.bit_length() > _BITS for one in level):
            raise ValueError(f"a whole number of more than {_BITS} bits")
        if depth > DEEPEST:
            raise ValueError(f"nested more than {DEEPEST} deep")
        inside = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level, depth = [one for several in inside for one in several], depth + 1
