"""Where another camera sees, from frame to frame: the homography is followed when one of them turns."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pde_video.motion.averaging import halved
from pde_video.protocols import Array
from pde_video.restoration.homography import (
    CORRELATED,
    PROJECTIVE,
    SIMILARITY,
    Details,
    Homography,
    Prior,
    Refined,
    Whole,
)
from pde_video.restoration.registration import Fit, registered

_SMALL, _LARGE = 80**2, 360**2  # Pixels of the pictures on which a search begins, and of those on which it ends.
_MOST = 2**15  # Pixels that are compared, at most.
_FIRST, _ROUNDS = 16, 4  # Iterations on the smallest pictures, and on others.
_LOST = 0.8  # Correlation, relative to that of the beginning, below which the place is lost.
_MOVED, _CERTAIN = 0.5, 4.0  # Pixels, and deviations of chance by which that agrees better, from which on it moves.
_SIDE = 9  # Points along each side at which that is measured.
_UNKNOWN = 2.0  # Pixels at the border by which the first place may be wrong.
# Pixels at the border by which entries of a matrix change in a frame: those of linear maps, displacements, and bends.
_CHANGES = np.array([1, 1, 3, 1, 1, 3, 0.3, 0.3])
_STEP = 2.0**-24  # Of the entries of a matrix, in units of half a side: rounding differs from machine to machine.


class Place(NamedTuple):
    """Where the other video is, and how well that is known."""

    homography: Homography
    before: Array  # The matrix of the frame before.
    information: Array  # On the entries of the matrix, (8, 8).
    agreement: float  # Of details, at the beginning.
    moves: bool = False
    missed: int = 0  # Frames for which nothing tells the place.

    @classmethod
    def of(cls, fit: Fit) -> Place:
        """Return the place that was found at the beginning."""
        unit = fit.homography.unit
        information = np.diag(np.full(8, (unit / _UNKNOWN) ** 2))
        return cls(fit.homography, fit.homography.matrix, information, (fit.correlation + fit.weakest) / 2)

    def to(self, matrix: Array, information: Array, before: Array) -> Place:
        """Return the place at the next matrix."""
        homography = Homography(np.rint(matrix / _STEP) * _STEP, self.homography.size, self.homography.other)
        return self._replace(homography=homography, before=before, information=information, moves=True, missed=0)

    def lost(self) -> Place:
        """Return the same place where nothing tells the next."""
        return self._replace(before=self.homography.matrix, missed=self.missed + 1)


def levels(first: Array, second: Array) -> list[Details]:
    """Return the details of two pictures (H, W) at several sizes, the smallest last."""
    found: list[Details] = []
    whole = Whole(first.shape, second.shape)
    while True:
        size = max(first.size, second.size)
        if size <= _LARGE:
            found.append(Details(first, second, most=_MOST, whole=whole))
        if size <= _SMALL:
            return found
        first, second = (halved(one[np.newaxis])[0] for one in (first, second))
        whole = whole._replace(step=2 * whole.step)


def followed(place: Place, first: Array, second: Array, compared: list[Details]) -> Place:
    """Return the place of the other picture in the next frame, from that in the frame before.

    It goes on as it did, but for changes that are expected, and so that details agree (Kalman's filter). Where they do
    not, it is searched for as at the beginning. Cameras stand still until details tell otherwise for certain.
    """
    matrix = place.homography.matrix
    seen = compared[0].refined(matrix, SIMILARITY, rounds=1)
    found, information = _onward(place, compared)
    if not place.moves and _moved(seen, found, place):
        place = place._replace(moves=True)
        found, information = _onward(place, compared)
    if place.moves and _agrees(found, place):
        return place.to(found.homography.matrix, information, matrix)
    if _agrees(seen, place) and not place.moves:
        return place._replace(missed=0)
    if place.missed & (place.missed - 1) == 0:  # At once, and after 1, 2, 4, 8 frames: this takes long.
        fit = registered(first, second)
        again = fit.homography.matrix
        if fit.no_chance and _moved(seen, compared[0].refined(again, SIMILARITY, rounds=1), place):
            return place.to(again, Place.of(fit).information, again if place.missed else matrix)
    return place.lost()


def _onward(place: Place, compared: list[Details]) -> tuple[Refined, Array]:
    """Return the place at which details agree best near to where it is expected, with the information on it."""
    matrix = place.homography.matrix
    onward = matrix @ np.linalg.inv(place.before) @ matrix
    starts = [matrix, onward / onward[2, 2]][: 1 + place.moves]
    tried = [(compared[-1].refined(one, SIMILARITY, rounds=_FIRST), one) for one in starts]
    found, start = max(tried, key=lambda one: one[0].certain)
    spread = np.diag(np.square(_CHANGES / place.homography.unit))
    prior = Prior(start, np.linalg.inv(np.linalg.inv(place.information) + spread))
    model = PROJECTIVE if place.moves else SIMILARITY
    for one in compared[-2::-1] or compared:
        found = one.refined(found.homography.matrix, model, rounds=_ROUNDS, prior=prior)
    return found, prior.information + found.told


def _agrees(found: Refined, place: Place) -> bool:
    return (found.correlation + found.weakest) / 2 >= _LOST * place.agreement


def _moved(seen: Refined, found: Refined, place: Place) -> bool:
    """Return whether details agree better for certain where another place was found."""
    rows, columns = (np.linspace(0, n - 1, _SIDE) for n in place.homography.size)
    grid = np.meshgrid(rows, columns, indexing="ij")
    there = np.stack(place.homography(*grid))
    ends = np.reshape(place.homography.other, (2, 1, 1)) - 1
    both = ((there >= 0) & (there <= ends)).all(axis=0)
    apart = np.hypot(*(np.stack(found.homography(*grid)) - there))[both if both.any() else ...]
    certain = (found.certain - seen.certain) * math.sqrt(found.used / CORRELATED)
    return bool(np.median(apart) >= _MOVED and certain > _CERTAIN)
