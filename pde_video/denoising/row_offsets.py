"""Offsets of rows that are new in every frame, told along the motion: there the scene is the same, and cancels.

What `estimate.stripes` finds in a frame alone lacks what offsets have in common over many lines, and has the scene's
share of that instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pde_video.estimate.light import Light, closer
from pde_video.estimate.stripes import ROUGHEST
from pde_video.kernels.linear_systems import thomas
from pde_video.motion.averaging import EXACT, halved, luma_of, padded, warped, zero_where_static
from pde_video.motion.noisy_flow import flow_between
from pde_video.protocols import Array

_LEVEL, _ROUNDS = 1, 2  # Of the pyramids, on which motion and offsets are found in turn first, and how often.
_APART = 8  # Columns, of the places to which the motion leads.


class Rows(NamedTuple):
    """What is known of a picture whose rows had offsets, at half its size."""

    luma: Array  # (h, w), not smoothed, without those that were found.
    found: Array  # (h,)

    def lit(self, light: Light) -> Rows:
        """Return the same in another light."""
        return self._replace(luma=light.of_levels([self.luma])[0])


class Link(NamedTuple):
    """The flow from one picture to another, and how much higher the rows of the other are along it, if they differ."""

    flow: Array
    rows: Array | None = None  # At half the size, as the flow.


def shifted(rows: Array) -> Light:
    """Return the offsets of rows as a change of light."""
    return Light(np.ones(len(rows)), rows)


def rows_of(planes: Array, found: Array) -> Rows:
    """Return what is known of planes (C, H, W) from whose luma offsets (H,) were subtracted."""
    luma, column = luma_of(planes)[np.newaxis], found[np.newaxis, :, np.newaxis]
    return Rows(halved(luma)[0], halved(np.ascontiguousarray(column))[0, :, 0])


def linked(here: list[Array], rows: Rows, there: list[Array], others: Rows, smoothness: float) -> Link:
    """Return the link between two pictures by their pyramids, and their rows.

    Offsets look like motion across the rows, and motion like offsets: both are found in turn. Their mean is left to the
    light. Where both pictures had the same offsets, it is not the motion that tells what is left of them.
    """
    apart = (_white(rows.found) + _white(others.found)) / 2
    rounds = _ROUNDS if _white(rows.found - others.found) > apart else 0  # Twice that if they are independent.
    level = min(_LEVEL, len(here) - 1)
    higher = np.zeros(len(here[level]))
    for _ in range(rounds):
        flow = flow_between(shifted(higher).of_levels(here[level:]), there[level:], smoothness)
        higher = _higher(here[level], there[level], flow, higher)
    seen = shifted(higher).of_levels(here)
    flow = zero_where_static(flow_between(seen, there, smoothness), seen[0], there[0])
    higher = np.zeros(len(rows.luma))
    if rounds:
        higher = _higher(rows.luma, others.luma, flow, higher)
    return Link(flow, higher - higher.mean())


def _higher(here: Array, there: Array, flow: Array, rows: Array) -> Array:
    """Return how much higher there(x + w) is than here(x), row by row, near what is known of it."""
    moved, light = warped(padded(there[np.newaxis]), flow, EXACT)[0], shifted(rows)
    for _ in range(_ROUNDS + 1):
        light = closer(here, moved, light)
    return light.offset


def common(rows: Sequence[Rows], links: Sequence[Link]) -> Light:
    """Return what makes the rows of a frame as high as the mean of it and of others to which there are `links`.

    `rows` are those of the frame, and of each of the others. If offsets have n times the variance of their mean, the λ
    of `estimate.stripes` is n times as large for it: less of the mean r of what was found is theirs, more the scene's.
    Of this, b is given back, n λ b − ∂²b = (n − 1) λ r. Offsets that are always the same have n = 1.
    """
    found = np.stack([one.found for one in rows])
    count, lines = len(found), np.arange(found.shape[1])
    mean, higher = found[0] / count, np.zeros(len(lines))
    for one, link in zip(found[1:], links, strict=True):
        assert link.rows is not None
        mean += np.interp(lines[:, np.newaxis] + link.flow[0, :, ::_APART], lines, one).mean(axis=1) / count
        higher += link.rows / count
    apart, together = _white(found), _white(found.mean(axis=0))
    n = min(max(apart / max(together, apart / count), 1.0), float(count)) if apart > 0 else 1.0
    none, coupling = np.zeros(1), np.full((len(mean) - 1, 1), 1 / (4 * n * ROUGHEST))  # Rows are two lines apart.
    back = thomas(none, coupling, none, ((n - 1) / n * mean)[:, np.newaxis].copy())[:, 0]
    return shifted(higher + back - back.mean())


def _white(rows: Array) -> float:
    """Return the variance of independent offsets: neighbouring steps of theirs are correlated, the scene's are not."""
    steps = np.diff(rows)
    return -float((steps[..., 1:] * steps[..., :-1]).mean())
