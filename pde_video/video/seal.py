"""A seal on what one run writes for a later one, which nobody else can forge and no unpacked archive can contain.

seal = HMAC-SHA256(key, data), with a random key that this user's runs share, in a file that only this user can read.
"""

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
import sys
from pathlib import Path

from pde_video.access.opening import open_regular
from pde_video.access.owners import why_not_ours
from pde_video.errors import InputError
from pde_video.video.disk import write_durably

_NBYTES = 32  # Of a key.
_NAMED = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_STATE_HOME"
DIGITS, _CHOSEN = 16, 6  # Of a name that tells who gave it; those that are not of the seal.


def sealed(text: str, context: str) -> str:
    """Return a text with its seal after it, which holds in this context alone."""
    return f"{text}\n{seal(_in_context(text.encode(), context))}"


def unsealed(content: bytes, context: str) -> tuple[bytes, bool]:
    """Return the text that `sealed` was given, and whether the seal after it is by a run of this user."""
    text, _, found = content.rpartition(b"\n")
    if not text:
        return found, False
    return text, is_sealed(_in_context(text, context), found)


def _in_context(text: bytes, context: str) -> bytes:
    return f"{context}\n".encode() + text


def place_of_key() -> str:
    """Return where the key is kept, for people."""
    return str(_place() or "~/.local/state/pde_video/key")


def why_no_key() -> str | None:
    """Return why there is no key, nor one can be made, and what to do; None if there is one."""
    if _key() or _new_key():
        return None
    place, given = _place(), os.environ.get(_NAMED, "")
    if place is None and given:
        return f"{_NAMED} is {given!r}; it must be an absolute path"
    remedy = f"set {_NAMED} to a folder of yours that lasts"
    try:
        facts = place.lstat() if place else None
    except OSError:
        facts = None
    if facts is None:
        return f"{place_of_key()} cannot be written: {remedy}"
    if not stat.S_ISREG(facts.st_mode) or (hasattr(os, "geteuid") and facts.st_uid != os.geteuid()):
        return f"{place} is not a file of yours: {remedy}"
    if hasattr(os, "geteuid") and facts.st_mode & 0o077:
        return f"others can read or write {place}: chmod 600 it"
    return f"{place} is damaged: remove it"


def seal(data: bytes) -> str:
    """Return the seal on `data`; it is empty where no key can be kept."""
    key = _key() or _new_key()
    return hmac.new(key, data, hashlib.sha256).hexdigest() if key else ""


def is_sealed(data: bytes, found: bytes) -> bool:
    """Tell whether `found` is the seal on `data` by a run of this user."""
    key = _key()
    return key is not None and hmac.compare_digest(hmac.new(key, data, hashlib.sha256).hexdigest().encode(), found)


def own_digits() -> str:
    """Return 16 hexadecimal digits for a name: 6 random ones, and 10 of the seal on them; all random without a key."""
    chosen = secrets.token_hex(_CHOSEN // 2)
    return chosen + (seal(_of_name(chosen)) or secrets.token_hex(DIGITS // 2))[: DIGITS - _CHOSEN]


def are_own_digits(digits: str) -> bool:
    """Tell whether `own_digits` has made them in a run of this user."""
    key = _key()
    if key is None or len(digits) != DIGITS:
        return False
    made = hmac.new(key, _of_name(digits[:_CHOSEN]), hashlib.sha256).hexdigest()[: DIGITS - _CHOSEN]
    return hmac.compare_digest(made.encode(), os.fsencode(digits[_CHOSEN:]))


def _of_name(chosen: str) -> bytes:
    return b"name " + os.fsencode(chosen)


def _place() -> Path | None:
    """Return where the key is kept."""
    folder = os.environ.get(_NAMED, "") or os.path.expanduser("~/.local/state")
    return Path(folder, "pde_video", "key") if os.path.isabs(folder) else None  # Without a home, "~" stays as it is.


def _key() -> bytes | None:
    """Return the key, if there is one that only this user can read."""
    place = _place()
    with contextlib.suppress(OSError, InputError):
        if place is not None:
            with open_regular(place, follow=False) as file:
                facts, key = os.fstat(file.fileno()), file.read(_NBYTES + 1)
            readable = hasattr(os, "geteuid") and facts.st_mode & 0o077  # By others.
            return key if not readable and why_not_ours(facts) is None and len(key) == _NBYTES else None
    return None


def _new_key() -> bytes | None:
    """Make a key, unless another run has just made one, and return it; None where it cannot be written."""
    place = _place()
    if place is None:
        return None
    part = place.with_name(f"key.{secrets.token_hex(8)}")
    with contextlib.suppress(OSError):
        place.parent.mkdir(0o700, parents=True, exist_ok=True)
        write_durably(place, secrets.token_bytes(_NBYTES), part, replace=False, mode=0o600)
    return _key()
