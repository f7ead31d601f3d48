"""Provenance: how an output was made, as JSON in its metadata."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from pde_video import __version__

MARK = "pde_video "  # Precedes the JSON in a file's comment or description.


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of all files in a folder."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    for file in files:
        if path.is_dir():
            digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            hashlib.file_digest(content, lambda: digest)
    return digest.hexdigest()


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
    _, mark, facts = (text or "").partition(MARK + "{")
    if not mark:
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode("{" + facts)
    except ValueError:
        return None
    return found
