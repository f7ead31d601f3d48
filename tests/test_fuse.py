"""Refining a coarse video by a fine one: means, edges, guides that do not belong, and what is refused."""

import numpy as np
import pytest
from scipy import ndimage, sparse

import pde_video as pv
from pde_video.restoration.fuse import _Guide, _guided, _Tried
from pde_video.restoration.trust import with_shares


def means(video, factor):
    frames, height, width = video.shape[:3]
    return video.reshape(frames, height // factor, factor, width // factor, factor, *video.shape[3:]).mean((2, 4))


def scene(frames=2, height=96, width=120, shift=0.0):
    """Depth in steps and slopes, and colours that change where it does, with texture of their own."""
    rows, columns = np.mgrid[:height, :width].astype(float)
    depths, colours = [], []
    for k in range(frames):
        disc = (rows - 40) ** 2 + (columns - 50 - 3 * k - shift) ** 2 < 500
        corner = rows + 0.6 * columns > 110
        depth = 10 + 0.02 * columns + 6 * disc - 3 * corner
        texture = 0.02 * np.sin(rows / 3) * np.cos(columns / 4)
        colours.append(np.stack([0.3 + 0.4 * disc + texture, 0.6 - 0.3 * corner + texture, 0.5 + texture], axis=2))
        depths.append(depth)
    return np.stack(depths), np.stack(colours)


def error(found, truth):
    return float(np.sqrt(np.square(found - truth).mean()))


def interpolated(coarse, factor):
    return ndimage.zoom(coarse, (1, factor, factor), order=3, mode="nearest", grid_mode=True)


@pytest.mark.parametrize("factor", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_means_are_those_of_the_coarse_video_and_edges_those_of_the_guide(factor, dtype):
    depth, colour = scene()
    coarse = means(depth, factor).astype(dtype)
    report = {}
    fine = pv.fuse(coarse, colour, report=report)
    assert (fine.shape, fine.dtype) == (depth.shape, dtype)
    assert report["guided"] == pytest.approx(1)
    np.testing.assert_allclose(means(fine.astype(float), factor), coarse, rtol=1e-6)
    assert error(fine, depth) < 0.4 * error(interpolated(coarse, factor), depth)


def test_channels_are_refined_alike(rng):
    depth, colour = scene()
    video = np.stack([depth, 3 - depth, 0 * depth], axis=3)
    fine = pv.fuse(means(video, 4), colour)
    np.testing.assert_allclose(fine[..., 0] + fine[..., 1], 3, atol=1e-9)
    np.testing.assert_array_equal(fine[..., 2], 0)


def test_a_constant_stays_to_the_bit(rng):
    report = {}
    fine = pv.fuse(np.full((2, 12, 16), 0.3, np.float32), rng.random((2, 48, 64)), report=report)
    np.testing.assert_array_equal(fine, np.float32(0.3))
    assert report == {"guided": 1.0}  # It tests nothing.


def test_gain_and_offset_of_the_guide_do_not_matter():
    depth, colour = scene()
    coarse = means(depth, 4)
    one = pv.fuse(coarse, colour.astype(np.float32))
    np.testing.assert_allclose(pv.fuse(coarse, (40 * colour + 7).astype(np.float32)), one, atol=2e-3)
    assert error(pv.fuse(coarse, np.rint(255 * colour).astype(np.uint8)), one) < 0.03 * depth.std()


@pytest.mark.parametrize("factor", [4, 8])
@pytest.mark.parametrize("guide", ["noise", "constant", "elsewhere", "stripes"])
def test_a_guide_of_something_else_costs_little_and_is_said(factor, guide, rng):
    depth, colour = scene()
    other = {
        "noise": rng.random(colour.shape),
        "constant": np.full(colour.shape, 0.5),
        "elsewhere": np.roll(colour, (30, 40), axis=(1, 2)),
        "stripes": np.broadcast_to((np.arange(120) // 5 % 2.0)[:, np.newaxis], colour.shape),
    }[guide]
    coarse = means(depth, factor)
    report = {}
    fine = pv.fuse(coarse, other, report=report)
    assert error(fine, depth) < 1.05 * error(interpolated(coarse, factor), depth)
    np.testing.assert_allclose(means(fine, factor), coarse, rtol=1e-6)
    assert report["guided"] < 0.5
    assert "does not" in report["warnings"][0] or "do not predict" in report["warnings"][0]


def test_steps_are_implicit_euler_along_one_axis_after_the_other(rng):
    """Against sparse matrices, for one channel and a factor of 2."""
    coarse, picture = rng.random((1, 5, 6)), rng.random((10, 12)).astype(np.float32)
    guide = _Guide(picture, "the guide", 0.3)
    guide.for_frames(5, 6)
    found = _guided(coarse, guide.steps, guide.diffusions)[0]

    def along(size, axis):
        contrast = np.square(np.diff(picture.astype(float), axis=axis)) / 0.3**2
        g = (1 + contrast) ** -1.5
        index = np.arange(size).reshape(picture.shape)
        before, after = (np.delete(index, end, axis).ravel() for end in (-1, 0))
        g = sparse.diags(g.ravel())
        edges = sparse.csr_matrix((np.ones(len(before)), (range(len(before)), after)), (len(before), size))
        edges -= sparse.csr_matrix((np.ones(len(before)), (range(len(before)), before)), (len(before), size))
        return sparse.linalg.splu(sparse.csc_matrix(sparse.eye(size) + 8 * edges.T @ g @ edges))

    solvers = along(picture.size, 0), along(picture.size, 1)

    def adjusted(u):
        return u + (coarse[0] - means(u[np.newaxis], 2)[0]).repeat(2, axis=0).repeat(2, axis=1)

    u = adjusted(ndimage.zoom(coarse[0], 2, order=1, mode="nearest", grid_mode=True))
    for k in range(6):
        for axis in (k % 2, 1 - k % 2):
            u = solvers[axis].solve(u.ravel()).reshape(u.shape)
        u = adjusted(u)
    np.testing.assert_allclose(found, u, atol=1e-6)


def test_steps_stop_at_the_edges_of_a_guide_of_even_areas():
    """As of labels, whose median contrast is 0."""
    guide = np.zeros((1, 32, 40))
    guide[:, 9:, 13:] = 1.0
    rows, columns = np.mgrid[:32, :40]
    depth = 0.05 * columns + 0.02 * rows + 4 * guide
    fine = pv.fuse(means(depth, 4), guide)
    assert error(fine, depth) < 0.1
    assert np.abs(fine[0, 16, 18:36] - depth[0, 16, 18:36]).max() < 0.05


@pytest.mark.parametrize("kappa", [1e-300, 1e-30, 1e-3, 1e30, 1e300])
def test_any_contrast_gives_finite_results(kappa):
    depth, colour = scene(height=24, width=24)
    assert np.isfinite(pv.fuse(means(depth, 4), colour, kappa=kappa)).all()


def test_arrays_streams_threads_and_one_guide_for_all_agree(threads):
    depth, colour = scene(frames=3)
    coarse = means(depth, 4).astype(np.float32)
    whole = pv.fuse(coarse, colour)
    streamed = np.stack(list(pv.fuse(iter(coarse), iter(colour))))
    np.testing.assert_array_equal(streamed, whole)
    threads(1)
    np.testing.assert_array_equal(pv.fuse(coarse, colour), whole)
    np.testing.assert_array_equal(pv.fuse(coarse, colour[:1]), pv.fuse(coarse, np.stack([colour[0]] * 3)))


@pytest.mark.parametrize(
    ("shape", "guide", "said"),
    [
        ((2, 12, 16), np.zeros((2, 48, 60)), "48 × 60 pixels, the video 12 × 16"),
        ((2, 12, 16), np.zeros((2, 24, 64)), "same whole multiple"),
        ((2, 12, 16), np.zeros((12, 16)), "at least 2"),
        ((2, 12, 16), np.zeros((2, 6, 8)), "6 × 8 pixels"),
        ((2, 12, 16), np.zeros((2, 12, 16)), "or say with `mask` what of the video is not known"),
        ((2, 12, 16), np.zeros((48, 64, 3)), "picture in colour is an array"),
        ((2, 12, 16), np.zeros((48, 64), np.int32), "the guide: frames have dtype int32"),
        ((3, 12, 16), np.zeros((2, 48, 64)), "the guide has 2 frames, and the video more"),
        ((2, 12, 16), np.zeros((3, 48, 64)), "the video has 2 frames, and the guide more"),
        ((2, 12, 16), np.full((48, 64), np.nan), "NaN"),
        ((2, 12, 16), np.zeros((0, 48, 64)), "no frame"),
        ((2, 12, 16), np.zeros((2, 48, 64), bool), "bool"),
    ],
)
def test_guides_that_do_not_fit_are_refused(shape, guide, said):
    with pytest.raises(pv.InputError, match=said):
        pv.fuse(np.zeros(shape), guide)


@pytest.mark.parametrize("unit", [1e-25, 1e20, 1e160, 1e306])
def test_any_range_of_values_is_refined_alike(unit):
    depth, colour = scene()
    coarse = means(depth, 4)
    expected = pv.fuse(coarse, colour)
    np.testing.assert_allclose(pv.fuse(unit * coarse, colour), unit * expected, rtol=1e-12)
    np.testing.assert_allclose(pv.fuse(coarse, unit * colour), expected, rtol=1e-4)
    np.testing.assert_allclose(pv.fuse(coarse, colour + 1e7), expected, rtol=1e-3)


def test_the_share_of_a_guide_is_that_of_several_frames_and_of_both_tests():
    guided = np.array([[0.9, 0.5], [1.05, 0.5], [0.96, 0.985], [1.0, 1.0], [0.98, 0.98], [0.985, 0.9]])
    tried = [_Tried(*[np.zeros((1, 4, 4))] * 3, None, [(3 * one**2, 3.0) for one in both]) for both in guided]
    found = [share for _, share in with_shares(tried)]
    for k, share in enumerate(found):
        weights = 0.8 ** np.arange(k, -1, -1)
        worst = np.sqrt((weights[:, np.newaxis] * guided[: k + 1] ** 2).sum(axis=0) / weights.sum()).max()
        assert share == pytest.approx(np.clip((1 - worst) / 0.03, 0, 1))
    assert 0 < min(found[1:]) < max(found[1:]) < 1
    for errors, shares in (([], [1, 0]), ([(0.0, 0.0)], [1, 0]), ([(1.0, 0.0)], [0, 0]), ([(0.0, 1.0)], [1, 1])):
        one = _Tried(*[np.zeros((1, 4, 4))] * 3, None, errors)
        assert [share for untested in (True, False) for _, share in with_shares([one], untested)] == shares


@pytest.mark.parametrize(("size", "tests"), [((7, 40), 0), ((8, 8), 1), ((15, 40), 1), ((16, 16), 2), ((17, 19), 2)])
def test_frames_of_any_size_have_the_tests_that_they_allow(size, tests, rng):
    guide = _Guide(rng.random((3 * size[0], 3 * size[1])), "the guide", None)
    guide.for_frames(*size)
    parts = [[one.faces.shape[2:] for one in diffusions] for diffusions in guide.tests]
    even, fourth = tuple(n // 2 * 2 for n in size), tuple(n // 4 * 4 for n in size)
    half = tuple(n // 2 for n in fourth)
    assert parts == [[even], [half, fourth]][:tests]


def test_texture_in_some_rows_alone_is_seen_for_what_it_is():
    """However regular they are."""
    rows, columns = np.mgrid[:96, :120]
    step = np.where(columns > 61, 1.0, 0.0)
    guide = step + 0.06 * np.sin(1.7 * columns) * (rows % 16 >= 3)
    found = _Guide(guide, "the guide", None)._kappa * np.ptp(guide)
    assert found == pytest.approx(0.6 * pv.estimate_kappa(guide[np.newaxis]), rel=0.3)


def test_integers_round_and_small_frames_need_no_test():
    depth, colour = scene(height=24, width=40)
    coarse = np.rint(10 * means(depth, 4)).astype(np.uint16)
    fine = pv.fuse(coarse, colour)
    assert fine.dtype == np.uint16
    np.testing.assert_allclose(means(fine.astype(float), 4), coarse, atol=0.5)
    assert pv.fuse(coarse[:, :1, :1], colour[:, :4, :4]).shape == (2, 4, 4)
