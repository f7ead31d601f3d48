"""The flow between frames of little noise: one level held to NumPy, known motions, far and small ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from test_motion import WINDOW, neighbours, relaxed, texture

import pde_video as pv
from pde_video.kernels import gradient_flow, matching
from pde_video.motion.clean_flow import _searched

H, W = 144, 192
MIDDLE = np.reshape([(H - 1) / 2, (W - 1) / 2], (2, 1, 1))
PLACE = np.mgrid[:H, :W] - MIDDLE


def derivatives(a):
    north, south, west, east = neighbours(a)
    return (south - north) / 2, (east - west) / 2


def system(first, second, known, flow, alpha, c, strength, d, floor, tear, edge):
    """The tensor 11, 12, 22 with the right side 13, 23, gathered and divided by its trace, and the diffusivity."""
    gy, gx = derivatives((first + second) / 2)
    ry, rx = derivatives(second - first)
    r, yy, (yx, xx) = second - first, derivatives(gy)[0], (derivatives(gy)[1], derivatives(gx)[1])
    j = np.zeros((5, *first.shape))
    of_gradient = strength * known / np.sqrt(1 + (ry**2 + rx**2) / d**2)
    for weight, y, x, rest in (
        (known / np.sqrt(1 + (r / c) ** 2), gy, gx, r),
        (of_gradient, yy, yx, ry),
        (of_gradient, yx, xx, rx),
    ):
        left = rest - y * flow[0] - x * flow[1]
        j += np.stack([weight * t for t in (y * y, y * x, x * x, y * left, x * left)])
    for axis in (1, 2):
        j = ndimage.correlate1d(j, WINDOW, axis, mode="nearest")
    j /= j[0] + j[2] + floor
    squares = sum(t**2 for part in flow for t in (2 * s for s in derivatives(part)))
    return j, alpha / np.sqrt(1 + squares / tear**2) / (1 + edge * np.hypot(gy, gx))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (2, 2), (12, 17), (30, 41)], ids=str)
def test_a_level_is_linearised_gathered_and_diffused(shape, rng):
    first, second, known = *rng.normal(size=(2, *shape)), np.round(rng.random(shape))
    start = rng.normal(0, 1, (2, *shape))
    for sweeps, numbers in ((1, (3.0, 0.4, 5.0, 0.7, 0.1, 0.5, 0.3)), (4, (0.7, 0.9, 1.0, 0.2, 0.01, 2.0, 2.0))):
        wanted = relaxed(*system(first, second, known, start, *numbers), start, sweeps)
        flow = start.copy()
        gradient_flow.refine(first, second, known, flow, sweeps, *numbers, WINDOW)
        np.testing.assert_allclose(flow, wanted, atol=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_what_leaves_either_frame_is_not_inside(share):
    flow = np.random.default_rng(1).normal(0, 3, (2, 9, 11))
    flow[:, ::2] = np.round(flow[:, ::2])
    known, bounds = np.empty((9, 11)), np.reshape([8, 10], (2, 1, 1))
    gradient_flow.inside(flow, share, known)
    starts = np.indices((9, 11)) - share * flow
    both = [((place >= 0) & (place <= bounds)).all(axis=0) for place in (starts, starts + flow)]
    np.testing.assert_array_equal(known, both[0] & both[1])


def test_the_median_of_differences():
    first, second = np.random.default_rng(2).normal(0, 2, (2, 50, 61))
    true = np.median(np.abs(second - first))
    assert gradient_flow.median_difference(first, second) == pytest.approx(true, abs=2 / 256)
    assert gradient_flow.median_difference(first, first) == 0
    assert gradient_flow.median_difference(first, first + 100) == 8


def moving(matrix, shift, share):
    """Frames around a middle picture, with first(x − s w) = second(x + (1 − s) w), w affine."""
    matrix, shift = np.asarray(matrix, float), np.reshape(shift, (2, 1, 1))

    def at(time):  # The picture in which x has moved by time · w(x).
        back = np.linalg.inv(np.eye(2) + time * matrix)
        return texture(*np.tensordot(back, PLACE - time * shift, 1))

    return at(-share), at(1 - share), np.tensordot(matrix, PLACE, 1) + shift


def error(flow, true, margin=20):
    inner = np.s_[margin:-margin, margin:-margin]
    return np.hypot(*(flow - true))[inner]


MOTIONS = {
    "a quarter of a pixel": (np.zeros((2, 2)), (0.25, -0.4)),
    "pixels": (np.zeros((2, 2)), (3.3, -5.6)),
    "turn": ([[0, -0.03], [0.03, 0]], (0.5, -1)),
    "zoom": ([[0.04, 0], [0, 0.04]], (0.2, 0)),
    "shear": ([[0.02, 0.04], [0, -0.03]], (-0.5, 0.5)),
}


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("motion", MOTIONS.values(), ids=list(MOTIONS))
def test_smooth_motions_are_found_to_a_fiftieth_of_a_pixel(motion, share):
    first, second, true = moving(*motion, share)
    off = error(pv.optical_flow(first, second, at=share), true)
    assert off.mean() < 0.02
    assert np.quantile(off, 0.99) < 0.1


@pytest.mark.parametrize("far", [(30, -42), (-33, 0), (0, 46)])
def test_a_frame_that_moves_by_a_quarter_is_found(far):
    noise = ndimage.gaussian_filter(np.random.default_rng(4).normal(size=(2 * H, 2 * W)), 4, mode="wrap")
    first = noise[50 : 50 + H, 60 : 60 + W]
    second = noise[50 - far[0] : 50 - far[0] + H, 60 - far[1] : 60 - far[1] + W]
    off = np.hypot(*(pv.optical_flow(first, second, at=0.5) - np.reshape(far, (2, 1, 1))))
    seen = np.s_[abs(far[0]) // 2 + 20 : H - abs(far[0]) // 2 - 20, abs(far[1]) // 2 + 20 : W - abs(far[1]) // 2 - 20]
    assert np.median(off[seen]) < 0.5
    assert off[seen].mean() < 2


def discs(radius, shift, time):
    """A textured disc before another texture that stands still, `time` from −½ to ½ of its way."""
    rows, columns = PLACE
    y, x = (time * s for s in shift)
    share = np.clip(radius + 0.5 - np.hypot(rows - y, columns - x), 0, 1)
    return texture(rows, columns, 5) * (1 - share) + share * texture(rows - y, columns - x, 6), share > 0.5


@pytest.mark.parametrize("shift", [(3, 6), (10, 18)])
def test_a_disc_moves_before_what_stands_still(shift):
    first, second = (discs(26, shift, time)[0] for time in (-0.5, 0.5))
    flow, disc = pv.optical_flow(first, second, at=0.5), discs(26, shift, 0)[1]
    inner, outer = ndimage.binary_erosion(disc, iterations=6), ndimage.binary_dilation(disc, iterations=24)
    assert np.median(np.hypot(*(flow - np.reshape(shift, (2, 1, 1))))[inner]) < 0.2
    assert np.hypot(*flow)[~outer].mean() < 0.1


@pytest.mark.parametrize(("sigma", "most", "gain"), [(0.1, 0.25, 1.2), (0.4, 0.4, 2)])
def test_noise_is_noticed(sigma, most, gain):
    first, second, true = moving(*MOTIONS["zoom"], 0.5)
    rng = np.random.default_rng(7)
    first, second = (frame + rng.normal(0, sigma * frame.std(), frame.shape) for frame in (first, second))
    off = [error(pv.optical_flow(first, second, at=0.5, noise=noise), true).mean() for noise in (0, None)]
    assert gain * off[1] < off[0]
    assert off[1] < most


def test_exchanging_the_frames_turns_the_flow_in_the_middle_round(rng):
    frames = [discs(26, (10, 18), time)[0] for time in (-0.5, 0.5)]
    blocks = (rng.random((10, 14)) > 0.5).repeat(16, axis=0).repeat(16, axis=1)  # Whose windows look alike.
    drawn = []
    for shift in ((32, -48), (40, 56)):
        second = np.roll(blocks, shift, (0, 1))
        second[:30] = blocks[:30]
        drawn.append((blocks, second))
    for first, second in (frames, moving(*MOTIONS["turn"], 0.5)[:2], *drawn):
        forth, back = pv.optical_flow(first, second, at=0.5), pv.optical_flow(second, first, at=0.5)
        np.testing.assert_array_equal(forth, -back)


@pytest.mark.parametrize("shape", [(128, 128), (5, 1), (2, 7)])
def test_quarter_turns_commute_at_the_edges_too(shape, rng):
    first, second = ndimage.gaussian_filter(rng.normal(size=(2, *shape)), (0, 2, 2))
    flow, turned = pv.optical_flow(first, second), pv.optical_flow(first.T, second.T)
    np.testing.assert_allclose(turned.transpose(0, 2, 1)[::-1], flow, atol=2e-3)


@pytest.mark.parametrize(("factor", "offset"), [(1e-200, 0), (1e200, 0), (1e-40, 0), (1.0, 1e6), (1.0, -1e9)])
def test_units_and_offsets_beyond_single_precision_do_not_matter(factor, offset):
    first, second, _ = moving(*MOTIONS["pixels"], 0.5)
    flow = pv.optical_flow(first, second, at=0.5)
    other = pv.optical_flow(factor * first + offset, factor * second + offset, at=0.5)
    np.testing.assert_allclose(other, flow, atol=1e-3)


# Windows that are searched for.


def plain_match(first, second, wrong, wrong_there, bad, gain, clearly, share, down, across):
    """By brute force, all distances at once."""
    n = matching.REACH
    inner = [np.array(range(n, size - n)) for size in first.shape]
    centres = [(i, j) for i in inner[0] for j in inner[1]]
    cut = lambda a, i, j: a[i - n : i + n + 1, j - n : j + n + 1]  # noqa: E731
    old, new = (np.stack([cut(a, *c).ravel() for c in centres]) for a in (first, second))
    apart = np.square(old[:, None] - new[None]).sum(axis=2)
    steps = np.array(centres)[None] - np.array(centres)[:, None]
    apart[(np.abs(steps[..., 0]) > down) | (np.abs(steps[..., 1]) > across)] = np.inf
    found = {}
    for a, (i, j) in enumerate(centres):
        b = int(apart[a].argmin())
        p, q = centres[b]
        limit = gain * (2 * n + 1) ** 2 * min(wrong[i, j], wrong_there[p, q])
        near = lambda line, c: line[np.abs(np.array(centres) - c).max(axis=1) > 2].min(initial=np.inf)  # noqa: E731
        clear = min(near(apart[a], (p, q)), near(apart[:, b], (i, j)))
        good = wrong[i, j] > bad and wrong_there[p, q] > bad and apart[a, b] < limit
        if good and apart[:, b].argmin() == a and apart[a, b] / clearly <= clear:
            y, x = int(np.floor(i + share * (p - i) + 0.5)), int(np.floor(j + share * (q - j) + 0.5))
            if apart[a, b] < found.get((y, x), (np.inf,))[0]:
                found[y, x] = apart[a, b], p - i, q - j
    return {place: motion for place, (_, *motion) in found.items()}


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_windows_are_matched_as_by_brute_force(share):
    rng = np.random.default_rng(8)
    first = 3 * ndimage.gaussian_filter(rng.normal(size=(14, 26)), 1)
    second = np.roll(first, (2, -3), (0, 1)) + rng.normal(0, 0.25, first.shape)
    first[:8, :9], second[:8, 18:] = first[4:12, 4:13] + rng.normal(0, 0.5, (8, 9)), second[4:12, 6:14]  # Seen twice.
    wrong, wrong_there = rng.random((2, *first.shape)) * 2
    settings = 0.4, 0.5, 0.5, share, 4, 5
    wanted = plain_match(first, second, wrong, wrong_there, *settings)
    flow, found = np.full((2, *first.shape), 7.0), np.zeros(first.shape, np.uint8)
    matching.match(first, second, wrong, wrong_there, *settings, flow, found)
    assert len(wanted) > 10
    assert {(int(y), int(x)) for y, x in np.argwhere(found)} == set(wanted)
    for (y, x), motion in wanted.items():
        assert flow[:, y, x].tolist() == motion
    assert (flow[:, found == 0] == 7).all()


def test_what_is_found_spreads_over_what_moves_alike():
    rng = np.random.default_rng(9)
    still, moves = ndimage.gaussian_filter(rng.normal(size=(2, 40, 50)), (0, 1.5, 1.5))
    disc = np.hypot(*(np.indices((40, 50)) - np.reshape([20, 22], (2, 1, 1)))) < 9
    first = np.where(disc, moves, still)
    second = np.where(np.roll(disc, (3, 5), (0, 1)), np.roll(moves, (3, 5), (0, 1)), still)
    flow, found = np.zeros((2, 40, 50)), np.zeros((40, 50), np.uint8)
    flow[:, 20, 22], found[20, 22] = (3, 5), 1
    matching.spread(first, second, found, 1e-4, 0.7, 0.0, 2, flow)
    taken = (flow[0] == 3) & (flow[1] == 5)
    assert (taken == (found > 0)).all()
    inner = ndimage.binary_erosion(disc, iterations=2)
    assert taken[inner].mean() > 0.9
    near = ndimage.binary_dilation(disc | np.roll(disc, (3, 5), (0, 1)), iterations=3)
    assert not taken[~near].any()
    flow[:], found[:] = 0, 0
    flow[:, 20, 22], found[20, 22] = (3, 5), 1
    matching.spread(first, second, found, 1e9, 0.7, 0.0, 2, flow)
    assert np.count_nonzero(found) == 1  # Nothing else is so wrong.


def test_what_is_found_does_not_spread_where_it_leads_out_of_the_frame():
    first, second, flow, found = np.zeros((9, 20)), np.zeros((9, 20)), np.zeros((2, 9, 20)), np.zeros((9, 20), np.uint8)
    first[:, 14:], second[:, 18:] = 1, 1  # Beyond the edge, replicated, the second is 1 as well.
    flow[1, 4, 14], found[4, 14] = 4, 1
    matching.spread(first, second, found, 1e-4, 0.7, 0.0, 2, flow)
    assert found[4, 15] == 1
    assert not found[:, 16:].any()


def test_what_is_wrong_is_seen_where_it_came_from_and_where_it_goes(monkeypatch):
    """`match` gets the squared differences at the places of each frame, and none of what leaves a frame."""
    given = []
    monkeypatch.setattr(matching, "match", lambda *arguments: given.append(arguments))
    first = np.zeros((40, 60), np.float32)
    first[18:23, 28:33], first[18:23, 55:] = 3, 3
    flow = np.broadcast_to(np.float32([[[0]], [[8]]]), (2, 40, 60)).copy()
    assert not _searched(flow, (first, np.zeros_like(first)), 0.25)
    wrong, wrong_there = given[0][2:4]
    assert np.unravel_index(wrong.argmax(), wrong.shape)[1] == pytest.approx(30, abs=2)
    assert np.unravel_index(wrong_there.argmax(), wrong.shape)[1] == pytest.approx(38, abs=2)
    assert wrong[:, 55:].max() < 0.1 * wrong.max()
