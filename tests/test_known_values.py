"""`fuse` with a mask: known values spread along the edges of a guide, held to a direct solver and to what is exact."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

import pde_video as pv
from pde_video.restoration import known_values
from pde_video.restoration.fuse import _Guide

SIDE = (40, 56)


def scene(frames=2):
    """Depth in steps and slopes, and a guide with the same edges and texture of its own."""
    rows, columns = np.mgrid[: SIDE[0], : SIDE[1]].astype(float)
    depths, guides = [], []
    for k in range(frames):
        disc = (rows - 20) ** 2 + (columns - 25 - 2 * k) ** 2 < 120
        depths.append(5 + 0.02 * columns + 6 * disc)
        guides.append(0.3 + 0.4 * disc + 0.02 * np.sin(rows / 3) * np.cos(columns / 4))
    return np.stack(depths), np.stack(guides)


def holes(shape, known=0.15, seed=0):
    return np.random.default_rng(seed).random(shape) >= known


def error(found, truth, mask):
    return float(np.sqrt(np.square(found.astype(float) - truth)[mask].mean()))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_what_is_known_stays_and_edges_are_those_of_the_guide(dtype):
    depth, guide = scene()
    depth = np.rint(20 * depth).astype(dtype) if np.dtype(dtype).kind == "u" else (20 * depth).astype(dtype)
    mask, report = holes(depth.shape), {}
    found = pv.fuse(np.where(mask, dtype(0), depth), guide, mask=mask, report=report)
    assert (found.dtype, found.shape) == (depth.dtype, depth.shape)
    np.testing.assert_array_equal(found[~mask], depth[~mask])
    without = pv.inpaint(np.where(mask, dtype(0), depth), mask, method="heat")
    assert error(found, depth, mask) < 0.3 * error(without, depth, mask)
    assert report["guided"] == 1
    assert report["masked"] == mask.mean()


def test_the_state_is_that_of_a_direct_solver(rng):
    mask, guide = holes((9, 11), 0.3), _Guide(rng.random((9, 11)), "guide", 0.3)
    planes = rng.random((2, 9, 11))
    diffusion = guide.whole()
    number = np.arange(99).reshape(9, 11)
    pairs = [
        (number[:-1], number[1:], diffusion.faces[1, 0, :-1]),
        (number[:, :-1], number[:, 1:], diffusion.faces[2, 0, :, :-1]),
    ]
    matrix = sparse.lil_array((99, 99))
    for ones, others, conductances in pairs:
        for a, b, g in zip(ones.ravel(), others.ravel(), np.maximum(conductances, 1e-3).ravel(), strict=True):
            for here, there in ((a, b), (b, a)):
                matrix[here, here] += g
                matrix[here, there] -= g
    matrix, unknown = matrix.tocsr(), mask.ravel()
    for expected, found in zip(planes.copy(), known_values.spread(planes, mask, diffusion), strict=True):
        known = expected[~mask]
        expected[mask] = spsolve(matrix[unknown][:, unknown], -matrix[unknown][:, ~unknown] @ known)
        np.testing.assert_allclose(found, expected, atol=2e-3)


def test_an_unrelated_guide_does_not_count(rng):
    depth, _ = scene()
    mask, report = holes(depth.shape), {}
    found = pv.fuse(np.where(mask, 0, depth), rng.random((1, *SIDE)), mask=mask, report=report)
    without = pv.inpaint(np.where(mask, 0, depth), mask, method="heat")
    np.testing.assert_array_equal(found[0], without[0])
    assert error(found, depth, mask) < 1.05 * error(without, depth, mask)
    assert any("the guide had a share of" in one for one in report["warnings"])


def test_frames_without_holes_do_not_end_the_test_of_the_guide(rng):
    depth, _ = scene(4)
    mask, guide, report = holes(depth.shape), rng.random((4, *SIDE)), {}
    mask[[0, 2]] = False
    found = pv.fuse(np.where(mask, 0, depth), guide, mask=mask, report=report)
    np.testing.assert_array_equal(found, pv.inpaint(np.where(mask, 0, depth), mask, method="heat"))
    assert report["guided"] == 0.25  # Of the first frame, in which nothing is to be filled.


@pytest.mark.parametrize("apart", [(1, 1), (2, 2), (4, 4), (5, 5), (1, 5), (5, 1), (10, 10)])
def test_pixels_known_on_a_grid_test_the_guide(apart):
    known = np.zeros((200, 300), bool)
    known[:: apart[0], :: apart[1]] = True
    left_out = known_values._left_out(known)
    assert not (left_out & ~known).any()
    for part in (np.s_[:100, :150], np.s_[:100, 150:], np.s_[100:, :150], np.s_[100:, 150:]):
        assert left_out[part].sum() == pytest.approx(0.2 * known[part].sum(), rel=0.1)


@pytest.mark.parametrize(
    ("unit", "dtype"), [(2.0**-1000, float), (2.0**1000, float), (2.0**-100, "f4"), (2.0**123, "f4")]
)
def test_any_unit_gives_the_same(unit, dtype, rng):
    depth, guide = (one.astype(dtype) for one in scene())
    mask = holes(depth.shape)
    for one in (guide, rng.random(guide.shape)):
        expected = pv.fuse(np.where(mask, 0, depth), one, mask=mask)
        np.testing.assert_array_equal(pv.fuse(np.where(mask, 0, unit * depth), one, mask=mask), unit * expected)


def test_missing_values_are_no_inverted_mask():
    depth, guide = scene()
    mask = holes(depth.shape)
    for options, warned in (({"mask": "nan"}, 0), ({"mask": mask}, 1)):
        report = {}
        found = pv.fuse(np.where(mask, np.nan, depth) if not warned else depth, guide, report=report, **options)
        assert np.isfinite(found).all()
        assert len([one for one in report.get("warnings", []) if "inverted" in one]) == warned


def test_streams_threads_and_colours_agree(threads):
    depth, guide = scene(4)
    depth = np.stack([depth, 2 * depth], axis=-1)[..., [0, 1, 0]].astype(np.float32)
    mask = holes(depth.shape[:3])
    whole = pv.fuse(depth, guide, mask=mask)
    np.testing.assert_array_equal(whole[..., 0], whole[..., 2])
    for n in (1, 3):
        threads(n)
        np.testing.assert_array_equal(np.stack(list(pv.fuse(iter(depth), iter(guide), mask=iter(mask)))), whole)


def test_what_does_not_fit_is_refused():
    depth, guide = scene()
    with pytest.raises(
        pv.InputError, match="the guide has 20 × 28 pixels, the video 40 × 56; with a mask they must be eq"
    ):
        pv.fuse(depth, guide[:, ::2, ::2], mask=holes(depth.shape))
    with pytest.raises(pv.InputError, match=r"56 × 3 pixels.*picture in colour is an array"):
        pv.fuse(depth, np.stack([guide[0]] * 3, axis=2), mask=holes(depth.shape))
    with pytest.raises(pv.InputError, match="frame 1 is masked as a whole, and nothing of it is known"):
        pv.fuse(depth, guide, mask=np.stack([holes(SIDE), np.ones(SIDE, bool)]))
    with pytest.raises(pv.InputError, match="NaN"):
        pv.fuse(np.where(holes(depth.shape), np.nan, depth), guide, mask=np.zeros(SIDE, bool))


def test_on_the_command_line(call, tmp_path):
    depth, guide = scene()
    sparse_depth = np.where(holes(depth.shape), np.nan, depth)
    np.save(tmp_path / "depth.npy", sparse_depth)
    np.save(tmp_path / "guide.npy", guide)
    code, _, _ = call(
        "fuse", tmp_path / "depth.npy", tmp_path / "full.npy", "--guide", tmp_path / "guide.npy", "--mask", "nan"
    )
    assert code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "full.npy"), pv.fuse(sparse_depth, guide, mask="nan"))
