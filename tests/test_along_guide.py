"""`fuse` with a mask and a radius: known values of other frames, along the motion of the guide."""

import numpy as np
import pytest
from scipy import ndimage

import pde_video as pv
from pde_video.restoration.along_guide import Seen, _change, _gathered, _landed, _numbered, _worth, sight
from pde_video.restoration.fuse import _Guide
from pde_video.restoration.known_values import completed

SIDE = (64, 80)


def texture(seed=0, side=(128, 160)):
    """Something to follow, from about 0 to 1."""
    found = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(side), 2.5)
    return 0.5 + 0.15 * found / found.std()


def moving(frames=6, shift=2, seed=0):
    """A guide that moves by whole pixels, and values that are not those of the guide."""
    guide, values = texture(seed), 10 + 5 * texture(seed + 10)
    parts = [np.s_[20 : 20 + SIDE[0], 40 - shift * k : 40 - shift * k + SIDE[1]] for k in range(frames)]
    return np.stack([values[part] for part in parts]), np.stack([guide[part] for part in parts])


def holes(shape, known=0.15, seed=0):
    return np.random.default_rng(seed).random(shape) >= known


def error(found, truth, mask):
    return float(np.sqrt(np.square(found.astype(float) - truth)[mask].mean()))


def both(values, guide, mask, radius=2, **report):
    """Return what is found on its own and along the motion, and the report of that."""
    given = np.where(mask, values.dtype.type(0), values)
    found = pv.fuse(given, guide, mask=mask), pv.fuse(given, guide, mask=mask, radius=radius, report=report)
    np.testing.assert_array_equal(found[1][~mask], given[~mask])
    return *found, report


def test_what_is_known_of_a_still_scene_is_known_in_the_frames_around():
    values, guide = (np.repeat(one, 5, axis=0) for one in moving(1))
    mask = holes(values.shape)
    alone, along, report = both(values, guide, mask)
    for k in range(5):
        known = ~mask[max(0, k - 2) : k + 3].all(axis=0)
        np.testing.assert_allclose(along[k][known], values[k][known], rtol=1e-8)
    assert error(along, values, mask) < 0.6 * error(alone, values, mask)
    assert (report["along_motion"], report["cuts"]) == (1.0, [])
    np.testing.assert_allclose(pv.fuse(np.where(mask, 0, values), guide[:1], mask=mask, radius=2), along, rtol=1e-8)


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_values_land_where_the_guide_moves_to(shift):
    values, guide = moving(shift=shift)
    mask = holes(values.shape)
    alone, along, report = both(values, guide, mask)
    landed = np.zeros_like(mask)
    landed[1:, :, shift:] |= ~mask[:-1, :, :-shift]
    landed[:-1, :, :-shift] |= ~mask[1:, :, shift:]
    landed &= mask
    landed[:, :, :8] = landed[:, :, -8:] = False
    assert error(along, values, landed) < 0.2 * error(alone, values, landed)
    assert error(along, values, mask) < 0.6 * error(alone, values, mask)
    assert report["along_motion"] == 1.0


def seen(values, guide, mask, number=0):
    picture = _Guide(guide, "the guide", None)
    one = completed(values[..., np.newaxis], mask, picture.whole(), picture.name)
    return Seen(one, picture.sight(), picture.whole(), number)


def test_places_values_and_weights_are_those_of_the_motion():
    values, guide = moving(2, shift=2)
    masks = holes(values.shape)
    here, there = (seen(*one) for one in zip(values, guide, masks, strict=True))
    w = np.zeros((2, SIDE[0] // 2, SIDE[1] // 2), np.float32)
    w[1] = 1.0  # Two pixels, at half the size.
    places, (same, _), weight = _landed(here, there, w, -w)
    rows, columns = np.nonzero(~masks[1])
    inside = columns >= 2
    np.testing.assert_array_equal(places, (rows * SIDE[1] + columns - 2)[inside])
    np.testing.assert_allclose(same[0] * float(here.one.unit), values[1][~masks[1]][inside], rtol=1e-12)
    middle = (columns[inside] > 8) & (columns[inside] < SIDE[1] - 8)
    assert weight[middle].min() > 0.95
    *_, wrong = _landed(here, there, 0 * w, 0 * w)
    assert np.median(wrong) < 0.3
    assert not len(_landed(here, there, w, w)[0])  # The flow back does not lead back.


def test_frames_further_away_count_less():
    """By the root of the distance, as errors of the motion add up."""
    guide, nothing, all_of_it = texture()[: SIDE[0], : SIDE[1]], np.ones(SIDE, bool), np.zeros(SIDE, bool)
    still = np.zeros((2, SIDE[0] // 2, SIDE[1] // 2), np.float32)
    here = seen(np.zeros(SIDE), guide, nothing)
    others = [seen(np.full(SIDE, value), guide, all_of_it, k) for k, value in ((1, 1.0), (2, 4.0))]
    ahead = [one._replace(links={0: (still, still)}) for one in others]
    moved = _gathered((0, [here, *ahead]))
    found = moved.shown.values * moved.one.unit
    np.testing.assert_allclose(found, (1 + 4 / np.sqrt(2)) / (1 + 1 / np.sqrt(2)), rtol=1e-6)
    np.testing.assert_allclose(moved.shown.weight, 1e6 * (1 + 1 / np.sqrt(2)), rtol=1e-6)


def test_weights_fall_with_what_differs_around_and_at_a_pixel():
    """1 / ((1 + a²) (1 + (b / 0.7)²))², in quarters of the standard deviation of the guide."""
    guide = texture()[: SIDE[0], : SIDE[1]].astype(np.float32)
    here, step = sight(guide[np.newaxis], 0.0, 1.0), guide.std() / 4
    still = np.zeros((2, SIDE[0] // 2, SIDE[1] // 2), np.float32)
    place = np.array([32]), np.array([40])
    for a, b in ((0.0, 0.0), (1.5, 1.5), (0.0, 1.5), (1.5, 0.0)):
        other = guide + np.float32(a * step)
        other[place] += np.float32((b - a) * step)
        there = sight(other[np.newaxis], 0.0, 1.0)
        expected = ((1 + a**2) * (1 + (b / 0.7) ** 2)) ** -2
        assert _worth(here, there, still, place, place)[0] == pytest.approx(expected, rel=0.15)


def test_between_pixels_values_follow_their_slope():
    rows, columns = np.mgrid[: SIDE[0], : SIDE[1]].astype(float)
    values = 3 + 0.5 * rows + 0.25 * columns
    mask = holes(SIDE, 0.5)
    here = there = seen(values, np.zeros(SIDE), mask)
    w = np.zeros((2, SIDE[0] // 2, SIDE[1] // 2), np.float32)
    w[0], w[1] = 0.2, -0.1
    places, (same, _), _ = _landed(here, there, w, -w)
    y, x = np.divmod(places, SIDE[1])
    middle = (y > 8) & (y < SIDE[0] - 8) & (x > 8) & (x < SIDE[1] - 8)
    expected = 3 + 0.5 * (y + 0.4) + 0.25 * (x - 0.2)
    assert np.abs(same[0] * float(here.one.unit) - expected)[middle].mean() < 0.02


def test_the_change_along_the_motion_is_that_of_known_pixels_around():
    """(Σ d + 20 mean) / (n + 20) for a difference d at n known pixels of 256, in means over about as many."""
    values, guide = moving(1)
    mask = holes(SIDE, 0.5)
    here = seen(values[0], guide[0], mask).one
    still = np.zeros((2, SIDE[0] // 2, SIDE[1] // 2), np.float32)
    np.testing.assert_allclose(_change(here, here.planes - 0.25, still, still, 1.0), 0.25, rtol=1e-12)
    step = np.where(np.arange(SIDE[1]) < SIDE[1] // 2, 0.0, 0.25)
    found = _change(here, here.planes - step, still, still, 1.0)[0]
    known = ~(mask | here.left_out)
    mean, n = (step * known).sum() / known.sum(), 256 * known.mean()
    assert found[:, :8].mean() == pytest.approx(20 * mean / (n + 20), rel=0.1)
    assert found[:, -8:].mean() == pytest.approx((0.25 * n + 20 * mean) / (n + 20), rel=0.1)


@pytest.mark.parametrize("known", [0.05, 0.3])
def test_what_approaches_is_no_worse_than_alone(known):
    rows, columns = np.mgrid[:96, :128].astype(float)
    guides, depths = [], []
    for k in range(8):
        near = 0.97**k
        y, x = (rows - 48) * near, (columns - 64) * near
        there = (abs(y) < 24) & (abs(x) < 34)
        near_texture = ndimage.map_coordinates(texture(1), [y + 64, x + 80], order=3)
        guides.append(np.where(there, 0.6 * near_texture + 0.5, 0.6 * texture(2)[:96, :128]))
        depths.append(np.where(there, 100 * near + 0.1 * x, 200 + 0.1 * columns))
    values, guide = np.stack(depths), np.stack(guides)
    mask = holes(values.shape, known)
    alone, along, _ = both(values, guide, mask, radius=3)
    assert error(along, values, mask) < 1.01 * error(alone, values, mask)


def test_a_change_of_light_is_followed():
    values, guide = moving()
    values = values * np.array([1, 1.3, 0.9, 1.2, 1, 1.4])[:, np.newaxis, np.newaxis]
    mask = holes(values.shape)
    alone, along, _ = both(values, guide, mask)
    assert error(along, values, mask) < 0.9 * error(alone, values, mask)


def test_values_that_do_not_follow_the_motion_are_left():
    """As they are smooth where they stay, other frames show something else."""
    _, guide = moving()
    values = 40 + 10 * np.sin(np.arange(6) ** 2)[:, np.newaxis, np.newaxis] * np.linspace(-1, 1, SIDE[1]) ** 3
    mask = holes(np.broadcast_to(values, guide.shape).shape)
    alone, along, report = both(np.broadcast_to(values, guide.shape), guide, mask)
    np.testing.assert_array_equal(along, alone)
    assert report["along_motion"] == 0.0


@pytest.mark.parametrize("guide", ["flat", "noise", "other"])
def test_a_guide_of_something_else_costs_nothing(guide, rng):
    values, _ = moving(shift=3)
    other = {
        "flat": np.zeros((6, *SIDE)),
        "noise": rng.random((6, *SIDE)),
        "other": moving(shift=-3, seed=3)[1],
    }[guide]
    mask = holes(values.shape)
    alone, along, _ = both(values, other, mask)
    assert error(along, values, mask) < 1.02 * error(alone, values, mask)


def test_frames_of_which_nothing_is_known_are_those_around():
    """As of depth at a lower rate than that of the colours."""
    values, guide = moving(6)
    mask = holes(values.shape, 0.3)
    mask[1::2] = True
    given, report = np.where(mask, np.nan, values), {}
    found = pv.fuse(given, guide, mask="nan", radius=1, report=report)
    within = np.broadcast_to(np.pad(np.ones(np.subtract(SIDE, 16), bool), 8), values.shape)
    alone = pv.fuse(given[::2], guide[::2], mask="nan")
    assert error(found[1::2], values[1::2], within[1::2]) < error(alone, values[::2], mask[::2] & within[::2])
    np.testing.assert_array_equal(pv.fuse(np.where(mask, 5, values), guide, mask=mask, radius=1), found)
    for unit in (2.0**-1000, 2.0**1000):
        np.testing.assert_array_equal(pv.fuse(unit * given, guide, mask="nan", radius=1), unit * found)
    mask[2] = True
    with pytest.raises(pv.InputError, match=r"frame 2 is masked .* all of them may be masked, or a cut of the guide"):
        pv.fuse(values, guide, mask=mask, radius=1)


def test_a_cut_leaks_nothing():
    (values, guide), (after, other) = moving(4), moving(4, seed=5)
    mask = holes((8, *SIDE))
    _, along, report = both(np.concatenate([values, after + 7]), np.concatenate([guide, other]), mask, radius=3)
    assert report["cuts"] == [4]
    for part in (np.s_[:4], np.s_[4:]):
        one = both(
            np.concatenate([values, after + 7])[part], np.concatenate([guide, other])[part], mask[part], radius=3
        )
        np.testing.assert_array_equal(along[part], one[1])
        assert not np.array_equal(one[0], one[1])


def test_scenes_are_told_by_the_guide_in_common_units():
    _, guide = moving(3)
    for factor in (1.0, 7.0, 1e-200, 1e200):
        planes = [factor * (one + 0.1 * k)[np.newaxis] for k, one in enumerate(guide)]
        ranges = [(float(one.min()), float(np.ptp(one))) for one in planes]
        sights = [sight(((one - a) / b).astype(np.float32), a, b) for one, (a, b) in zip(planes, ranges, strict=True)]
        for a, one in zip(planes, sights, strict=True):
            level = one.levels_in(sights[0])[0].astype(float) * sights[0].unit * sights[0].contrast + sights[0].least
            blocks = a[0].reshape(SIDE[0] // 2, 2, -1, 2).mean(axis=(1, 3))
            np.testing.assert_allclose(level / factor, blocks / factor, atol=1e-5)
        report = {}
        assert [one.scene for one in _numbered([Seen(None, one, None) for one in sights], report)] == [0, 0, 0]


def test_arrays_streams_threads_and_pieces_agree(threads):
    values, guide = moving(9)
    values = np.stack([values, 2 * values], axis=-1)[..., [0, 1, 0]].astype(np.float32)
    mask = holes(values.shape[:3])
    given = np.where(mask[..., np.newaxis], np.float32(0), values)
    whole = pv.fuse(given, guide, mask=mask, radius=2)
    np.testing.assert_array_equal(whole[..., 0], whole[..., 2])
    for n in (1, 3):
        threads(n)
        streamed = pv.fuse(iter(given), iter(guide), mask=iter(mask), radius=2)
        np.testing.assert_array_equal(np.stack(list(streamed)), whole)
    assert pv.extent(pv.fuse(guide=guide, mask="nan", radius=2)) == pv.Extent(None, 2, 1, None)
    assert pv.extent(pv.fuse(guide=guide, mask="nan")) == pv.Extent(None, 0, 1, None)
    np.testing.assert_array_equal(pv.fuse(given[:7], guide[:7], mask=mask[:7], radius=2)[:5], whole[:5])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_any_dtype_is_kept(dtype):
    values, guide = moving()
    values = np.rint(10 * values).astype(dtype)
    mask = holes(values.shape)
    alone, along, _ = both(values, guide, mask)
    assert along.dtype == dtype
    assert error(along, values.astype(float), mask) < 0.7 * error(alone, values.astype(float), mask)


@pytest.mark.parametrize("unit", [2.0**-1000, 2.0**1000])
def test_any_unit_gives_the_same(unit):
    values, guide = moving(4)
    mask = holes(values.shape)
    expected = pv.fuse(np.where(mask, 0, values), guide, mask=mask, radius=2)
    np.testing.assert_array_equal(
        pv.fuse(np.where(mask, 0, unit * values), guide, mask=mask, radius=2), unit * expected
    )


@pytest.mark.parametrize("factors", [[1e-300, 1e300, 1e-300, 1], [0, 1e300, 0, 1], [1, 1e3, 1e5, 1e10]])
def test_frames_of_other_units_tell_nothing(factors):
    """However far they are apart, values or guide; a frame may pay a little for the tests of those before it."""
    values, guide = moving(4)
    factors = np.array(factors)[:, np.newaxis, np.newaxis]
    mask = holes(values.shape)
    alone, along, _ = both(factors * values, guide, mask)
    for a, b, truth, where, factor in zip(alone, along, factors * values, mask, factors.ravel(), strict=True):
        if factor:
            assert error(b / factor, truth / factor, where) < 1.1 * error(a / factor, truth / factor, where)
    assert np.isfinite(pv.fuse(values, factors * guide, mask=mask, radius=2)).all()


@pytest.mark.parametrize("side", [(1, 12), (3, 4), (7, 9)])
def test_small_frames_and_few_known_pixels(side, rng):
    values = rng.random((4, *side))
    mask = np.ones(values.shape, bool)
    mask[:, 0, 1] = False
    mask[2] = False
    _, along, _ = both(values, rng.random(values.shape), mask, radius=3)
    assert np.isfinite(along).all()


def test_coarse_videos_are_refused():
    with pytest.raises(pv.ParameterError, match="radius is 2, but without a mask nothing is taken from other frames"):
        pv.fuse(np.zeros((2, 8, 8)), np.zeros((2, 16, 16)), radius=2)
    for radius in (-1, 33):
        with pytest.raises(pv.ParameterError, match=f"radius is {radius}"):
            pv.fuse(np.zeros((2, 8, 8)), np.zeros((2, 8, 8)), mask="nan", radius=radius)
