"""Where another camera sees, from frame to frame: the homography is followed when one of them turns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pde_video.motion.averaging import halved
from pde_video.protocols import Array
from pde_video.restoration.homography import PROJECTIVE, SIMILARITY, Details, Homography, Refined, Whole
from pde_video.restoration.registration import BENT, registered

_SMALL, _LARGE = 80**2, 360**2  # Pixels of the pictures on which a search begins, and of those on which it ends.
_SHORTEST = 16  # Pixels of the shortest side of halved pictures, at least.
_MOST = 2**15  # Pixels that are compared, at most.
_FIRST, _ROUNDS = 16, 4  # Iterations on the smallest pictures, and on others.
_LOST = 0.8  # Correlation, relative to that in the first frame, below which the place is lost.
_MOVED, _SIDE = 0.25, 9  # Median displacement in pixels, over so many points along each side,
_FAVOURED = 0.6  # and mean vote of the parts of both pictures, from which on the camera is said to move.
_STEP = 2.0**-24  # Of the entries of a matrix, in units of half a side: rounding differs from machine to machine.


class Place(NamedTuple):
    """Where the other video is."""

    homography: Homography
    first: Homography  # At the beginning; the place again wherever details agree there as well.
    before: Array  # The matrix of the frame before.
    usual: float = -1.0  # Agreement of details in the first frame.
    moves: bool = False
    missed: int = 0  # Frames for which nothing tells the place.

    @classmethod
    def of(cls, homography: Homography) -> Place:
        """Return the place that was found at the beginning."""
        return cls(homography, homography, homography.matrix)

    def to(self, matrix: Array, before: Array) -> Place:
        """Return the place at the next matrix."""
        homography = Homography(np.rint(matrix / _STEP) * _STEP, self.first.size, self.first.other)
        return self._replace(homography=homography, before=before, moves=True, missed=0)

    def back(self) -> Place:
        """Return the first place."""
        return self._replace(homography=self.first, before=self.first.matrix, missed=0)

    def lost(self) -> Place:
        """Return the same place where nothing tells the next."""
        return self._replace(before=self.homography.matrix, missed=self.missed + 1)


def levels(first: Array, second: Array) -> list[Details]:
    """Return the details of two pictures (H, W) at several sizes, the smallest last."""
    found: list[Details] = []
    whole = Whole(first.shape, second.shape)
    while True:
        size = max(first.size, second.size)
        last = size <= _SMALL or min(*first.shape, *second.shape) < 2 * _SHORTEST
        if size <= _LARGE or last:
            found.append(Details(first, second, most=_MOST, whole=whole))
        if last:
            return found
        first, second = (halved(one[np.newaxis])[0] for one in (first, second))
        whole = whole._replace(step=2 * whole.step)


def followed(place: Place, first: Array, second: Array, compared: list[Details]) -> Place:
    """Return the place of the other picture in the next frame, from that in the frame before.

    It goes on as it did, or stays, and from there to where details agree best. Where they do not agree, it is searched
    for as at the beginning. It is the first place wherever details do not tell otherwise for certain.
    """
    finest, matrix = compared[0], place.homography.matrix
    seen, found = finest.at(place.first.matrix), _onward(place, compared)
    if place.usual < 0:
        place = place._replace(usual=max(seen.agreement, found.agreement))
    least = _LOST * place.usual
    if found.agreement >= least and _moved(seen, found, place, finest):
        if not place.moves:
            found = _onward(place._replace(moves=True), compared)
        return place.to(found.homography.matrix, matrix)
    if seen.agreement >= least:
        return place.back()
    if place.missed & (place.missed - 1) == 0:  # At once, and after 1, 2, 4, 8 frames: this takes long.
        fit = registered(first, second)
        again = fit.homography.matrix
        if fit.no_chance and _moved(seen, finest.at(again), place, finest):
            return place.to(again, again if place.missed else matrix)
    return place.lost()


def _onward(place: Place, compared: list[Details]) -> Refined:
    """Return the place at which details agree best near to where it is expected."""
    matrix = place.homography.matrix
    onward = matrix @ np.linalg.inv(place.before) @ matrix
    starts = [matrix, onward / onward[2, 2]][: 1 + place.moves]
    tried = (compared[-1].refined(one, SIMILARITY, rounds=_FIRST) for one in starts)
    found = max(tried, key=lambda one: one.certain)
    for one in compared[-2::-1] or compared:
        model = PROJECTIVE if place.moves and found.overlap > BENT else SIMILARITY
        found = one.refined(found.homography.matrix, model, rounds=_ROUNDS)
    return found


def _moved(seen: Refined, found: Refined, place: Place, compared: Details) -> bool:
    """Return whether another place was found where details agree better for certain in most parts."""
    grid = np.meshgrid(*(np.linspace(0, n - 1, _SIDE) for n in place.first.size), indexing="ij")
    there = np.stack(place.first(*grid))
    ends = np.reshape(place.first.other, (2, 1, 1)) - 1
    both = ((there >= 0) & (there <= ends)).all(axis=0)
    apart = np.hypot(*(np.stack(found.homography(*grid)) - there))[both if both.any() else ...]
    if np.median(apart) < _MOVED:
        return False
    return compared.favours(found.homography.matrix, seen.homography.matrix) > _FAVOURED
