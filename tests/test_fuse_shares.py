"""`fuse` with a radius: the share that other frames have in each, by tests of what they show."""

import numpy as np
import pytest
from test_along_guide import SIDE, both, error, holes, moving, seen, texture

from pde_video.restoration import along_guide
from pde_video.restoration.along_guide import _weighed
from pde_video.restoration.known_values import even, spread


@pytest.mark.parametrize("share", [0.0, 0.4, 0.6, 1.0])
def test_what_others_show_is_tested_as_it_is_used(share, rng):
    """By edges of the guide if that has half of the result, whatever this frame alone tells of it."""
    values, guide = moving(1)
    mask = holes(SIDE)
    for picture in (guide[0], rng.random(SIDE)):
        here = seen(values[0], picture, mask)._replace(guided=share)
        one, diffusion = here.one, here.diffusion if share >= 0.5 else even(here.diffusion)
        means = np.stack([values / one.unit + 0.05, values / one.unit + 9])
        moved = _weighed(here, means, np.ones(SIDE))
        np.testing.assert_array_equal(moved.shown.diffusion.faces, diffusion.faces)
        odds = one.missed[int(share < 0.5)].sum() / np.square(means[0] - one.planes)[:, one.left_out].sum()
        np.testing.assert_allclose(moved.shown.weight, 0.6 * odds, rtol=1e-6)
        found = spread(one.planes, mask | one.left_out, diffusion, moved.shown)
        missed = np.square(found - one.planes)[:, one.left_out].sum()
        assert moved.errors == [(pytest.approx(missed), pytest.approx(one.missed.sum(axis=(1, 2)).min()))]
        along = spread(one.planes, mask, diffusion, moved.shown) * one.unit
        shown = one._replace(shown=moved.shown._replace(share=1.0))
        np.testing.assert_allclose(shown.result(share)[..., 0], np.where(mask, along[0], values[0]))


def test_what_is_far_worse_than_nothing_is_left():
    values, guide = moving(1)
    here = seen(values[0], guide[0], holes(SIDE))
    for off, taken in ((0.01, True), (100.0, False)):
        moved = _weighed(here, np.stack([values / here.one.unit + off] * 2), np.ones(SIDE))
        assert (moved.shown is not None, len(moved.errors)) == (taken, int(taken))


def test_a_frame_that_others_make_much_worse_takes_nothing_whatever_they_did_before():
    values, guide = moving(6, seed=2)
    values[4] = 10 + 5 * texture(35)[20 : 20 + SIDE[0], 20 : 20 + SIDE[1]]
    mask = holes(values.shape, 0.05, seed=1)
    alone, along, report = both(values, guide, mask)
    assert report["cuts"] == []
    assert error(along[3], values[3], mask[3]) < error(alone[3], values[3], mask[3])
    np.testing.assert_array_equal(along[4], alone[4])


def test_frames_that_take_nothing_have_no_share_and_those_without_holes_are_not_asked():
    values, guide = (np.repeat(one, 8, axis=0) for one in moving(1))
    mask = holes(values.shape)
    for k in range(4, 8):
        values[k] += k
        guide[k] = texture(k + 20)[: SIDE[0], : SIDE[1]]
    *_, report = both(values, guide, mask)
    assert (report["cuts"], report["along_motion"]) == ([4, 5, 6, 7], 0.5)
    mask[2], mask[2, 10, 20] = True, False  # Too little to test anything.
    assert both(values, guide, mask)[2]["along_motion"] == 3 / 8
    mask[[1, 5, 6]] = False
    assert both(values, guide, mask)[2]["along_motion"] == 2 / 5
    assert both(values, guide, 0 * mask > 0)[2]["along_motion"] == 0.0


def test_the_tests_of_a_scene_say_nothing_of_the_next(rng, monkeypatch):
    """Even if its values are rough, and still, and those of the next move where the guide does not."""
    rows, columns = np.mgrid[: SIDE[0], : SIDE[1]]
    rough, still = np.stack([rng.random(SIDE)] * 5), np.stack([texture()[: SIDE[0], : SIDE[1]]] * 5)
    move = np.stack([0.9 + 0.02 * np.sin((columns + 9 * k) / 6) * np.cos(rows / 7) for k in range(5)])
    other = np.stack([texture(5)[: SIDE[0], : SIDE[1]]] * 5)
    mask = holes((10, *SIDE))
    monkeypatch.setattr(along_guide, "_SLACK", 1e9)  # Else the frames' own tests tell as much.
    alone, along, report = both(np.concatenate([rough, move]), np.concatenate([still, other]), mask)
    assert report["cuts"] == [5]
    assert 0.45 < report["along_motion"] <= 0.5
    np.testing.assert_array_equal(along[5:], alone[5:])


def test_a_frame_that_tests_nothing_and_is_shown_nothing_is_as_it_is_alone(rng):
    values, guide = moving(7)
    guide = np.concatenate([guide[:5], texture(8)[: SIDE[0], : SIDE[1]][np.newaxis], guide[6:]])
    mask = holes(values.shape)
    mask[5] = True
    mask[5, 10, 20] = mask[5, 50, 60] = False
    alone, along, report = both(values, guide, mask)
    assert report["cuts"] == [5, 6]
    assert not np.array_equal(along[4], alone[4])
    np.testing.assert_array_equal(along[5:], alone[5:])
