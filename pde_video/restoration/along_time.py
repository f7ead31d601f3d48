"""Frames in their scenes, along which something is diffused in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import chain
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from pde_video.integrators.cycles import fsi
from pde_video.integrators.loop import evolve
from pde_video.protocols import Array
from pde_video.terms.heat import Heat


class InScene(Protocol):
    """A named tuple with the number of its scene."""

    @property
    def scene(self) -> int:
        """The number of its scene."""

    def _replace(self, *, scene: int) -> Self: ...


Look = TypeVar("Look", bound=InScene)


def pairs(
    looks: Iterable[Look], is_cut: Callable[[Look, Look], bool], report: dict[str, Any]
) -> Iterator[tuple[Look | None, Look]]:
    """Yield each frame after the one before it, if that is of the same scene, with the numbers of their scenes."""
    cuts: list[int] = []
    report["cuts"] = cuts
    before: Look | None = None
    for number, look in enumerate(looks):
        if before is not None and is_cut(before, look):
            cuts.append(number)
        look = look._replace(scene=len(cuts))
        yield before if before is not None and before.scene == look.scene else None, look
        before = look


def windows(
    looks: Iterable[Look], reach: int, passed: Callable[[Look], Look], kept: int = 0
) -> Iterator[tuple[int, list[Look]]]:
    """Yield for each frame its place among those of its scene up to `reach` frames away, and these.

    Of frames that had their turn before the last `kept` ones, there is what `passed` leaves of them.
    """
    held: list[Look] = []
    at = 0
    for one in chain(looks, [None]):
        held += [one] if one is not None else []
        while at < len(held) and (one is None or at + reach < len(held)):
            first = max(0, at - reach)
            scene = [k for k in range(first, min(at + reach + 1, len(held))) if held[k].scene == held[at].scene]
            yield at - scene[0], [held[k] for k in scene]
            if at >= kept:
                held[at - kept] = passed(held[at - kept])
            held, at = held[first:], at + 1 - first


@lru_cache(maxsize=256)
def heat_kernel(before: int, after: int, width: int) -> Array:
    """Return what each frame of a window counts at one of them: the impulse there, diffused within the scene.

    It has a standard deviation of about `width` frames, and reaches twice as far.
    """
    impulse = np.zeros(before + after + 1)
    impulse[before] = 1
    time = width * (width + 1) / 6  # Two cycles of so many steps: each is a mean of 2 · width + 1 frames.
    found = evolve(Heat(), impulse, [0.0, time, 2 * time], step=fsi)
    found.flags.writeable = False
    return found
