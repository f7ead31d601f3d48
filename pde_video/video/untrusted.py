"""Guards for data that may be damaged or malicious."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

from pde_video.errors import InputError

_SAMPLES = 4  # Per pixel; further samples count as further pixels.


@contextlib.contextmanager
def untrusted(message: str) -> Iterator[None]:
    """Raise InputError, with `message` and the reason, for whatever a library raises while it reads untrusted data."""
    try:
        yield
    except InputError:
        raise
    except Exception as fault:
        reason = [*str(fault).splitlines(), type(fault).__name__][0]
        raise InputError(f"{message} ({reason:.200})") from fault


def refuse_huge(name: object, shape: Sequence[int], most_pixels: int) -> None:
    """Raise for a frame (H, W) or (H, W, C) larger than allowed, before memory is allocated for it."""
    pixels = math.prod(shape[:2]) * max(1, -(-math.prod(shape[2:]) // _SAMPLES))
    if pixels > most_pixels:
        raise InputError(
            f"{name}: a frame of {' × '.join(map(str, shape))} is larger than the {most_pixels} pixels that are "
            "allowed; if you trust the file, pass a larger max_pixels"
        )
