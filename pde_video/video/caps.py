"""What a file may ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pde_video.errors import InputError

_SAMPLES = 4  # Of a pixel: more count as further pixels.


def refuse_huge(name: object, shape: Sequence[int], most_pixels: int) -> None:
    """Raise for a frame (H, W) or (H, W, C) that is larger than allowed, before there is memory for it."""
    pixels = math.prod(shape[:2]) * max(1, -(-math.prod(shape[2:]) // _SAMPLES))
    if pixels > most_pixels:
        raise InputError(
            f"{name}: a frame of {' × '.join(map(str, shape))} is larger than the {most_pixels} pixels that are "
            "allowed; if the file is to be trusted, pass a larger max_pixels"
        )
