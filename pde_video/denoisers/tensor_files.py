"""The content of safetensors files: tensors and texts, no code."""

import json

from pde_video.errors import InputError, in_short
from pde_video.protocols import Array

_LONGEST = 2**20  # Bytes of a header; those of this library have less than 2**16.


def unpacked(data: bytes) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the tensors and the metadata in the content of a safetensors file, or raise InputError."""
    import safetensors.numpy

    length = int.from_bytes(data[:8], "little")
    if length > _LONGEST:
        raise InputError(f"not a safetensors file: its header has {length} bytes; the limit is {_LONGEST}")
    try:
        tensors = safetensors.numpy.load(data)
        header = json.loads(data[8 : 8 + length])
        return tensors, dict(header.get("__metadata__") or {})
    except Exception as fault:  # Damaged files raise errors of many types.
        said = in_short(fault).removeprefix("Error while deserializing: ")
        raise InputError(f"not a safetensors file, or damaged or cut off (safetensors: {said})") from fault
