"""Frames between two: known motions, exchange of both, what only one shows, and kernels held to plain Python."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_clean_flow import PLACE, discs, moving
from test_motion import texture

import pde_video as pv
from pde_video.kernels import visibility
from pde_video.motion.passage import Passage, _fits


def unit(*pictures):
    """Around ½ with a standard deviation of 0.1, (H, W, 1)."""
    spread = pictures[0].std()
    return [(0.5 + 0.1 * picture / spread)[..., np.newaxis].astype(np.float32) for picture in pictures]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.75])
@pytest.mark.parametrize("shift", [(0.25, -0.5), (1.5, 2.25), (-3.3, 5.7)])
def test_a_scene_that_moves_by_parts_of_pixels_is_exact_to_50_db(shift, share):
    places = (1.4 * (PLACE - np.reshape(t * np.array(shift), (2, 1, 1))) for t in (0, 1, share))
    first, second, true = unit(*(texture(*place) for place in places))  # Waves of 6 to 43 pixels.
    found = Passage(first, second).at(share)
    inner = np.s_[8:-8, 8:-8]
    assert pv.psnr(found[inner], true[inner]) > 50
    if np.hypot(*shift) > 1:
        assert pv.psnr((first + share * (second - first))[inner], true[inner]) < 48


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_turn_is_followed(share):
    turn = [[0, -0.1], [0.1, 0]], (0.5, -1)
    (first, second, _), middle = moving(*turn, share), moving(*turn, 0.0)[0]  # What lies at the share.
    first, second, middle = unit(first, second, middle)
    inner = np.s_[16:-16, 16:-16]
    assert pv.psnr(Passage(first, second).at(share)[inner], middle[inner]) > 85


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("shift", [(3, 6), (10, 18)])
def test_exchanging_the_frames_turns_time_round(shift, share):
    first, second = unit(*(discs(26, shift, time)[0] for time in (-0.5, 0.5)))
    forth, back = Passage(first, second), Passage(second, first)
    np.testing.assert_allclose(forth.at(share), back.at(1 - share), atol=1e-6)
    assert forth.reliable == pytest.approx(back.reliable, abs=1e-6)


@pytest.mark.parametrize(("shift", "gain"), [((3, 6), 5), ((6, 12), 2.9), ((10, 18), 2.2)])
def test_the_rim_of_a_disc_is_neither_torn_nor_doubled(shift, gain):
    first, second, true = unit(*(discs(26, shift, time)[0] for time in (-0.5, 0.5, 0)))
    rim = np.abs(np.hypot(*PLACE) - 26) < 8
    found = Passage(first, second).at(0.5)
    miss, faded = (np.sqrt(np.square(one - true)[rim].mean()) for one in (found, (first + second) / 2))
    assert gain * miss < faded


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_the_rim_is_in_its_place_nearer_to_one_frame_too(share):
    shift = np.array([6, 12])
    first, second, true = unit(*(discs(26, shift, time)[0] for time in (-0.5, 0.5, share - 0.5)))
    rim = np.abs(np.hypot(*(PLACE - np.reshape((share - 0.5) * shift, (2, 1, 1)))) - 26) < 8
    found = Passage(first, second).at(share)
    miss, faded = (np.sqrt(np.square(one - true)[rim].mean()) for one in (found, first + share * (second - first)))
    assert 2.4 * miss < faded


def test_what_leaves_the_frame_is_taken_from_the_frame_that_shows_it():
    shift = (0, 9)
    first, second, true = unit(*(texture(*(PLACE - np.reshape(t * np.array(shift), (2, 1, 1)))) for t in (0, 1, 0.5)))
    found = Passage(first, second).at(0.5)
    for border in (np.s_[8:-8, :4], np.s_[8:-8, -4:]):
        assert pv.psnr(found[border], true[border]) > 35


def test_where_the_motion_fits_worse_than_none_it_is_a_fade(rng):
    frames = list(rng.random((2, 3, 64, 80), np.float32) * 0.1)
    moved = [frame.copy() for frame in frames]
    moved[1][:, :, :40] = moved[0][:, :, :40]  # Agrees on the left,
    moved[1][:, :, 40:] += 1  # and not on the right.
    shown = np.ones((2, 64, 80), np.float32)
    fits, missed = _fits(frames, moved, shown)
    assert missed[:, :16].max() < 1e-6
    apart = np.square(frames[1] - frames[0]).mean()
    np.testing.assert_allclose(missed[:, 64:], apart, rtol=0.3)  # Without motion, as that is less.
    assert fits[:, :16].min() > 0.99
    assert fits[:, 64:].max() < 0.01
    half = _fits(frames, moved, 0.5 * shown)[1]
    np.testing.assert_allclose(half[:, 64:], missed[:, 64:], rtol=1e-4)  # Of what is shown by half, too.
    shown[1, :, 40:] = 0  # Of what one frame alone shows nothing tells whether it fits.
    assert _fits(frames, moved, shown)[0][:, 64:].min() > 0.75


def test_what_is_still_stays_as_it_is(rng):
    for shape in ((40, 50, 1), (64, 80, 3), (1, 1, 1), (1, 9, 2), (3, 5, 1)):
        frame = rng.random(shape).astype(np.float32)
        passage = Passage(frame, frame)
        for share in (0.3, 0.5):
            np.testing.assert_allclose(passage.at(share), frame, atol=1e-6)
        np.testing.assert_allclose(passage.beyond(1.0), frame, atol=1e-5)
        assert passage.reliable == 1


@pytest.mark.parametrize("value", [0.0, 0.7, -3.0])
def test_flat_frames_fade(value):
    first, second = np.full((2, 20, 30, 1), value), np.full((20, 30, 1), value + 0.2)
    np.testing.assert_allclose(Passage(first[0], second).at(0.25), np.full((20, 30, 1), value + 0.05), atol=1e-7)


def test_colours_move_with_their_mean():
    first, second, true = unit(*(texture(*(PLACE - np.reshape((0, t * 4), (2, 1, 1)))) for t in (0, 1, 0.5)))
    tints = np.array([0.5, 1.5, 1.0], np.float32)
    found = Passage(first * tints, second * tints).at(0.5)
    np.testing.assert_allclose(found[8:-8, 8:-8], (true * tints)[8:-8, 8:-8], atol=0.02)


def test_values_stay_within_those_of_both_frames():
    steps = np.where(texture(*PLACE) > 0, 1.0, 0.0)[..., np.newaxis]
    first, second = steps, np.roll(steps, (2, -3), (0, 1))
    passage = Passage(first, second)
    for frame in (passage.at(0.4), passage.beyond(0.3)):
        assert (frame.min(), frame.max()) == (0, 1)


def test_double_precision_stays(rng):
    first, second = rng.random((2, 32, 40, 1))
    assert Passage(first, second).at(0.5).dtype == np.float64


def test_a_translation_goes_on_beyond_the_second_frame():
    first, second, true = unit(*(texture(*(PLACE - np.reshape((t * 2.5, t * -4), (2, 1, 1)))) for t in (0, 1, 1.5)))
    found = Passage(first, second).beyond(0.5)
    inner = np.s_[16:-16, 16:-16]
    assert pv.psnr(found[inner], true[inner]) > 50


def test_threads_change_nothing(threads):
    first, second = unit(*(discs(26, (6, 12), time)[0] for time in (-0.5, 0.5)))
    results = []
    for n in (1, 2, 3):
        threads(n)
        results.append(Passage(first, second).at(0.3))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


# The kernels, held to plain Python.


def plain_claims(flow, missed, trusted, share):
    _, height, width = flow.shape
    owner, least = np.full((height, width), -1), np.full((height, width), np.inf)
    for i in range(height):
        for j in range(width):
            y, x = (math.floor(p + share * w + 0.5) for p, w in zip((i, j), flow[:, i, j], strict=True))
            if trusted[i, j] and 0 <= y < height and 0 <= x < width and missed[i, j] < least[y, x]:
                owner[y, x], least[y, x] = i * width + j, missed[i, j]
    return owner


def bilinear(picture, y, x):
    p, q = math.floor(y), math.floor(x)
    rows, columns = (np.clip([n, n + 1], 0, size - 1) for n, size in zip((p, q), picture.shape, strict=True))
    return np.array([p + 1 - y, y - p]) @ picture[np.ix_(rows, columns)] @ np.array([q + 1 - x, x - q])


def plain_resolve(first, second, flow, doubtful, steady, owners, share, reach, apart, limit):
    _, height, width = flow.shape
    out, seen = flow.copy(), np.zeros((height, width), int)

    def missed(i, j, w):
        at = [(i + way * w[0], j + way * w[1]) for way in (-share, 1 - share)]
        return (bilinear(first, *at[0]) - bilinear(second, *at[1])) ** 2

    def state(owner, i, j, w, way):
        y, x = math.floor(i + way * w[0] + 0.5), math.floor(j + way * w[1] + 0.5)
        if not (0 <= y < height and 0 <= x < width):
            return "out"
        if owner[y, x] < 0:
            return "free"
        other = flow[:, owner[y, x] // width, owner[y, x] % width]
        return "hidden" if np.hypot(*(other - w)) > apart else "free"

    for i, j in np.argwhere(doubtful):
        candidates = []
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            for n in range(1, reach + 1):
                y, x = i + n * dy, j + n * dx
                if not (0 <= y < height and 0 <= x < width):
                    break
                if steady[y, x]:
                    candidates.append((n, flow[:, y, x]))
                    break
        states = [[state(owners[k], i, j, w, (-share, 1 - share)[k]) for k in range(2)] for _, w in candidates]
        own = min(missed(i, j, flow[:, i, j]), limit)
        agree = [(missed(i, j, w), w) for (_, w), both in zip(candidates, states, strict=True) if "out" not in both]
        agree = [one for one in agree if one[0] < own]
        alone = [
            (n, k, w)
            for k, ((n, w), both) in enumerate(zip(candidates, states, strict=True))
            if both.count("free") == 1
        ]
        if agree:
            out[:, i, j] = min(agree, key=lambda one: one[0])[1]
        elif alone:
            _, k, w = min(alone, key=lambda one: one[:2])
            out[:, i, j], seen[i, j] = w, 1 if states[k][0] == "free" else 2
        else:
            seen[i, j] = 3
    return out, seen


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_visibility_is_found_as_by_plain_python(share, rng):
    first, second = rng.normal(size=(2, 13, 17))
    flow = np.where(rng.random((13, 17)) < 0.6, 0.0, np.reshape([2.0, -3.0], (2, 1, 1))) + rng.normal(
        0, 0.2, (2, 13, 17)
    )
    missed, trusted = rng.random((13, 17)), rng.random((13, 17)) < 0.6
    steady = trusted & (rng.random((13, 17)) < 0.4)
    owners, least = np.empty((2, 13, 17), np.int64), np.empty((13, 17))
    for owner, way in zip(owners, (-share, 1 - share), strict=True):
        visibility.claims(flow, missed, trusted, way, owner, least)
        np.testing.assert_array_equal(owner, plain_claims(flow, missed, trusted, way))
    settings = share, 5, 1.0, 0.02
    wanted, labels = plain_resolve(first, second, flow, ~trusted, steady, owners, *settings)
    out, seen = np.empty_like(flow), np.empty((13, 17), np.uint8)
    for rows in ((0, 6), (6, 13)):
        visibility.resolve(first, second, flow, ~trusted, steady, owners, *settings, *rows, out, seen)
    np.testing.assert_array_equal(seen, labels)
    np.testing.assert_array_equal(out, wanted)
    assert set(np.unique(labels)) == {0, 1, 2, 3}
