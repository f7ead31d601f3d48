"""Messages of an isolated reader (`worker`) to the process that asked for it (`isolation`): JSON, then bytes of frames.

JSON, and not pickle, since the reader may have been taken over by the file it reads. What JSON lacks is tagged: an
object with one key, the type's name.
"""

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from pde_video.errors import DtypeError, InputError, ParameterError
from pde_video.video import y4m

SIZE = 4  # Bytes of the length that precedes each message.
MOST = 2**22  # Bytes of a message without its frame: what a file says of itself.
_PLAIN = (bool, int, float, str)
# What readers raise; a class derived from one of these arrives as that one.
_FAULTS = {
    kind.__name__: kind
    for kind in (
        DtypeError,
        InputError,
        ParameterError,
        FileNotFoundError,
        IsADirectoryError,
        NotADirectoryError,
        PermissionError,
        OSError,
        ImportError,
        MemoryError,
    )
}


def encoded(message: dict[str, Any]) -> bytes:
    """Return the bytes of a message, with their length before them."""
    content = json.dumps({key: _packed(value) for key, value in message.items()}).encode()
    if len(content) > MOST:
        raise ValueError(f"{len(content)} bytes of metadata, of which {MOST} are allowed")
    return len(content).to_bytes(SIZE, "big") + content


def decoded(content: bytes) -> dict[str, Any]:
    """Return a message; raise ValueError, or another exception of bad data, if it is none."""
    message = json.loads(content)
    if not isinstance(message, dict):
        raise ValueError("not a message")
    return {key: _unpacked(value) for key, value in message.items()}


def _packed(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, list):
        return [_packed(one) for one in value]
    if isinstance(value, tuple):
        return {"tuple": [_packed(one) for one in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _packed(one) for key, one in value.items()}}
    if isinstance(value, Fraction):
        return {"fraction": [value.numerator, value.denominator]}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, y4m.Header):
        return {"y4m": str(value), "rate": _packed(value.rate)}
    raise TypeError(f"{type(value).__name__} is not sent")


def _unpacked(value: Any) -> Any:
    match value:
        case list():
            return [_unpacked(one) for one in value]
        case {"tuple": [*items]}:
            return tuple(map(_unpacked, items))
        case {"dict": {} as items}:
            return {key: _unpacked(one) for key, one in items.items()}
        case {"fraction": [int(numerator), int(denominator)]}:
            return Fraction(numerator, denominator)
        case {"bytes": str(digits)}:
            return bytes.fromhex(digits)
        case {"y4m": str(line), "rate": rate}:
            header = y4m.parsed(f"{line}\n".encode(), "y4m", np.iinfo(np.int64).max)
            return replace(header, rate=_unpacked(rate))
        case dict():
            raise ValueError("an object of unknown type")
    return value


def as_fault(fault: BaseException) -> dict[str, Any]:
    """Return an exception of a reader as a message."""
    kind = next((base.__name__ for base in type(fault).__mro__ if _FAULTS.get(base.__name__) is base), None)
    if kind is None:
        return {"fault": None, "arguments": [f"{type(fault).__name__}: {fault}"], "file": None}
    arguments = [one if isinstance(one, int) else str(one) for one in fault.args]
    file = getattr(fault, "filename", None)
    return {"fault": kind, "arguments": arguments, "file": None if file is None else str(file)}


def raised(message: dict[str, Any], name: object) -> Exception:
    """Return the exception that a message of `as_fault` stands for; `name` is that of the file."""
    arguments = message["arguments"]
    if not isinstance(arguments, list) or not all(isinstance(one, int | str) for one in arguments):
        raise ValueError("invalid arguments of an exception")
    if message["fault"] is None:
        return InputError(f"{name}: its decoder failed ({' '.join(map(str, arguments))})")
    if isinstance(message["file"], str):
        arguments = [*arguments, message["file"]]
    return _FAULTS[message["fault"]](*arguments)
