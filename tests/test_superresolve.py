"""Super-resolution: what its pixel model sees stays as given; what it does not see is found in other frames."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import pde_video as pv
from pde_video.jobs.recipes import build
from pde_video.kernels import banded, scattered
from pde_video.motion.averaging import EXACT, padded
from pde_video.resampling import superresolve as module
from pde_video.resampling.other_frames import helpful, other_frame, refined
from pde_video.resampling.pixel_model import PixelModel, pixel_model
from pde_video.resampling.unseen import Unseen

ROOT = Path(__file__).parents[1]
BLURS = ["box", 0.35, 0.5]


def coarser(fine: np.ndarray, factor: int, blur: float | str) -> np.ndarray:
    """Return what the documentation says that a video (T, H, W) is given as."""
    if blur != "box":
        fine = ndimage.gaussian_filter(fine, (0, blur * factor, blur * factor), mode="reflect", truncate=4)
    frames, height, width = fine.shape
    return fine.reshape(frames, height // factor, factor, width // factor, factor).mean(axis=(2, 4))


def waves(shortest: float, frames: int = 9, shape: tuple[int, int] = (96, 112), seed: int = 0) -> np.ndarray:
    """Return sums of waves of at least so many pixels, moved by quarters of two pixels, as float64 in [0, 1]."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(-1, 1, (200, 2))
    waves = 2 * np.pi / shortest * waves[np.hypot(*waves.T) < 1]
    phases, sizes = rng.uniform(0, 2 * np.pi, len(waves)), 1 / (0.2 + np.hypot(*waves.T))
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    video = np.zeros((frames, *shape))
    for t, (down, right) in enumerate(moves(frames)):
        for (p, q), phase, size in zip(waves, phases, sizes, strict=True):
            video[t] += size * np.cos(phase + p * (rows - down) + q * (columns - right))
    return 0.5 + 0.45 * video / abs(video).max()


def moves(frames: int) -> np.ndarray:
    """Return how far the waves have moved in each frame, in fine pixels: quarters of a coarse one."""
    return np.array([(t % 4 - 1.5, (t // 4 + 2 * t) % 4 - 1.5) for t in range(frames)]) / 2


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Return the PSNR without the rim, of which other frames know less."""
    return float(-10 * np.log10(np.square(one - other)[..., 8:-8, 8:-8].mean()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("blur", BLURS)
@pytest.mark.parametrize("factor", [2, 3, 8])
def test_the_result_made_coarse_again_is_the_input(rng, factor, blur, dtype):
    video = rng.random((2, 20, 31)).astype(dtype)
    found = pv.superresolve(video, factor, blur=blur)
    assert found.dtype == dtype
    assert found.shape == (2, 20 * factor, 31 * factor)
    assert abs(coarser(found.astype(float), factor, blur) - video).max() < (1e-6 if dtype == np.float32 else 1e-11)


@pytest.mark.parametrize(("coarse", "fine"), [(20, 30), (21, 32), (9, 10), (4, 31), (1, 2), (7, 7)])
def test_means_weigh_by_area_and_keep_lines(coarse, fine):
    down = pixel_model((coarse, 3), (fine, 6), 0.0, np.dtype(float)).rows.down.toarray()
    cells = np.arange(coarse + 1) * fine / coarse
    area = np.diff(np.clip(cells[:, None, None], np.arange(fine), np.arange(fine) + 1), axis=0).sum(axis=1)
    np.testing.assert_allclose(down.sum(axis=1), 1)
    np.testing.assert_allclose(down @ (np.arange(fine) + 0.5), (cells[1:] + cells[:-1]) / 2)
    assert down.min() >= 0
    assert abs(down - area * coarse / fine).max() < 0.15  # Half the distance of the pixels' centres from those cut off.
    assert ((down > 0) <= (area > 1e-9)).all()


@pytest.mark.parametrize("factor", [2, 3, 1.5, 2.4])
@pytest.mark.parametrize("slopes", [(0.0, 0.0), (3.0, -2.0)])
def test_constant_and_linear_pictures_are_reproduced(factor, slopes):
    def linear(rows, columns, unit):
        return 5 + np.add.outer(slopes[0] * (np.arange(rows) + 0.5), slopes[1] * (np.arange(columns) + 0.5)) * unit

    found = pv.superresolve(linear(20, 30, 1.0)[None], factor)
    np.testing.assert_allclose(found[0], linear(*found.shape[1:], 1 / factor), atol=1e-10)


def test_the_spline_has_the_least_second_differences_of_all_that_fit(rng):
    model = pixel_model((7, 5), (17, 10), 0.3, np.dtype(float))
    down, up = model.rows.down.toarray(), model.rows.up.toarray()
    np.testing.assert_allclose(down @ up, np.eye(7), atol=1e-12)
    energy = np.diff(np.eye(17), 2, axis=0)
    unseen = np.linalg.svd(down)[2][7:]  # What K does not see.
    assert abs(unseen @ energy.T @ energy @ up).max() < 1e-9


@pytest.mark.parametrize(("coarse", "fine", "blur"), [(1, 5, 0.0), (2, 16, 0.7), (300, 450, 0.35), (280, 560, 0.7)])
def test_the_spline_solves_its_equations(coarse, fine, blur):
    down, up = (one.toarray() for one in pixel_model((coarse, 3), (fine, 6), blur, np.dtype(float)).rows[:2])
    energy = np.diff(np.eye(fine), min(2, coarse), axis=0)
    system = np.block([[energy.T @ energy, down.T], [down, np.zeros((coarse, coarse))]])
    expected = np.linalg.solve(system, np.eye(fine + coarse)[:, fine:])[:fine]
    np.testing.assert_allclose(up, expected, atol=1e-12)


def test_banded_systems_are_solved_as_by_numpy(rng):
    coefficients = rng.random((9, 3))
    coefficients[:, 0] += 4
    matrix = sum(np.diag(coefficients[d:, d], -d) for d in range(3))
    matrix = matrix + np.tril(matrix, -1).T
    z, values = rng.random((2, 9, 4))
    z[:] = matrix @ values
    banded.factorise(coefficients)
    banded.substitute(coefficients, z)
    np.testing.assert_allclose(z, values, atol=1e-13)


_SAME = """
import hashlib, sys
import numpy as np
import pde_video as pv
from tests.test_superresolve import coarser, waves
given = np.rint(200 * coarser(waves(4, 3), 2, "box"))
digest = hashlib.sha256()
for dtype in (np.float32, np.float64):
    for factor, options in ((2, {}), (1.5, {"blur": 0.5}), (3, {"radius": 0, "blur": 0.35})):
        digest.update(pv.superresolve(given.astype(dtype), factor, **options).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_results_are_the_same_on_other_processors():
    older = {"OPENBLAS_CORETYPE": "Nehalem", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL"}
    found = set()
    for settings in ({}, {"OPENBLAS_CORETYPE": "SkylakeX"}, older):
        run = [sys.executable, "-W", "ignore", "-c", _SAME]
        found.add(subprocess.run(run, env=os.environ | settings, check=True, capture_output=True, cwd=ROOT).stdout)
    assert len(found) == 1


def test_flips_and_transposes_commute(rng):
    video = ndimage.gaussian_filter(rng.random((1, 16, 22)), (0, 1, 1))
    found = pv.superresolve(video, 2, blur=0.35)
    for turned in (np.flipud, np.fliplr, np.transpose):
        again = pv.superresolve(turned(video[0])[None], 2, blur=0.35)[0]
        np.testing.assert_allclose(again, turned(found[0]), atol=1e-9)


def test_flips_and_the_direction_of_time_commute_with_several_frames():
    video = coarser(waves(4), 2, "box")
    found = pv.superresolve(video, 2)
    for turned in (lambda v: v[::-1], lambda v: v[:, ::-1], lambda v: v[:, :, ::-1]):
        np.testing.assert_allclose(turned(pv.superresolve(turned(video), 2)), found, atol=1e-4)


def test_sixteen_bits_and_colour(rng):
    video = (rng.random((1, 12, 14, 3)) * 9000 + 30000).astype(np.uint16)
    found = pv.superresolve(video, 2)
    assert found.dtype == np.uint16
    assert found.shape == (1, 24, 28, 3)
    again = np.moveaxis([coarser(found[..., c].astype(float), 2, "box") for c in range(3)], 0, -1)
    assert abs(again - video).max() <= 0.5


def test_edges_are_sharper_than_by_the_spline():
    rows, columns = np.mgrid[:96, :96]
    truth = np.where((rows - 40.3) * 0.8 + (columns - 51.7) * 0.6 > 0, 1.0, 0.0)[None]
    given = coarser(truth, 3, "box")
    found = pv.superresolve(given, 3)
    spline = pixel_model((32, 32), (96, 96), 0.0, np.dtype(float)).up(given)
    assert np.square(found - truth).mean() < 0.85 * np.square(spline - truth).mean()


def test_a_size_may_take_the_place_of_the_factor(rng):
    video = rng.random((2, 10, 12))
    np.testing.assert_array_equal(pv.superresolve(video, height=20, width=24), pv.superresolve(video, 2))
    assert pv.superresolve(video, height=10, width=18).shape == (2, 10, 18)


@pytest.mark.parametrize("factor", ["3/2", "1.5", Fraction(3, 2)])
def test_factors_may_be_fractions(rng, factor):
    video = rng.random((1, 10, 12))
    np.testing.assert_array_equal(pv.superresolve(video, factor), pv.superresolve(video, 1.5))


def test_sizes_are_rounded_exactly():
    assert int(1.005 * 100 + 0.5) == 100  # In binary numbers; but 100.5 pixels are 101.
    assert pv.superresolve(np.zeros((1, 100, 3)), 1.005).shape == (1, 101, 3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "nothing is given; give the factor alone, or height and width"),
        ({"factor": 2, "height": 20}, "a factor and a height is given; give the factor alone"),
        ({"width": 20}, "a width is given; give the factor alone, or height and width"),
        ({"factor": 1}, "above 1 .*`resize`"),
        ({"factor": 8.5}, "at most 8"),
        ({"factor": "17/2"}, "factor is 17/2; it must be above 1 and at most 8: below, `resize`"),
        ({"factor": "1"}, "factor is 1; it must be above 1"),
        ({"factor": Fraction(9)}, "at most 8"),
        ({"factor": "twice"}, "factor is 'twice'; it must be a number such as 2.5, 5/2"),
        ({"factor": 1.01}, "factor 1.01 changes no size of 10 × 12"),
        ({"height": 9, "width": 24}, "10 × 12; each must be 1 to 8 times"),
        ({"height": 10, "width": 12}, "10 × 12; each must be 1 to 8 times"),
        ({"height": 10, "width": 97}, "10 × 12; each must be 1 to 8 times"),
        ({"factor": 2, "blur": "auto"}, "a wrong blur"),
        ({"factor": 2, "blur": None}, "a wrong blur"),
        ({"factor": 2, "blur": 0.8}, "a wrong blur"),
    ],
)
def test_what_cannot_be_known_is_refused(options, says):
    with pytest.raises(pv.ParameterError, match=says):
        pv.superresolve(np.zeros((1, 10, 12)), **options)


def test_a_frame_beyond_the_largest_is_refused():
    with pytest.raises(pv.InputError, match="16400 × 16400 pixels, and the most is 268,435,456"):
        pv.superresolve(np.zeros((1, 2050, 2050), np.uint8), 8)


def test_the_command_has_a_short_name(tmp_path, call):
    np.save(tmp_path / "in.npy", np.zeros((2, 8, 9), np.uint8))
    assert call("superres", tmp_path / "in.npy", tmp_path / "out.npy", "--factor", "2")[0] == 0
    assert np.load(tmp_path / "out.npy").shape == (2, 16, 18)
    assert call("superres", tmp_path / "in.npy", tmp_path / "finer.npy", "--factor", "5/2")[0] == 0
    assert np.load(tmp_path / "finer.npy").shape == (2, 20, 23)
    (recipe,) = build([{"filter": "superres", "factor": "5/2"}])
    assert recipe(np.load(tmp_path / "in.npy")).shape == (2, 20, 23)


def test_the_rate_keeps_what_is_seen(rng):
    model = pixel_model((9, 10), (18, 20), 0.35, np.dtype(float))
    rate = Unseen(pv.Heat(), model).rate(0.0, rng.random((2, 18, 20)))
    assert abs(model.down(rate)).max() < 1e-12 < abs(rate).max()


def others_of(video: np.ndarray, at: int, model: PixelModel, flows: np.ndarray) -> list:
    """Return the other frames of a coarse video along given motion (T, 2), in coarse pixels, towards one of them."""
    full = [np.tile(flow.astype(video.dtype)[:, None, None], (1, *video.shape[1:])) for flow in flows]
    return [other_frame(video[k : k + 1], full[k], -full[k], model) for k in range(len(video)) if k != at]


@pytest.mark.parametrize("known", [True, False])
def test_waves_shorter_than_two_pixels_are_recovered_from_frames_at_quarters_of_a_pixel(known):
    truth = waves(3.7)  # 1.85 of the pixels given.
    given = coarser(truth, 2, "box")
    alone = pv.superresolve(given, 2, radius=0)
    assert psnr(alone[4], truth[4]) < 35
    if known:
        model = pixel_model(given.shape[1:], truth.shape[1:], 0.0, given.dtype)
        found = refined(alone[4:5], others_of(given, 4, model, (moves(9)[4] - moves(9)) / 2), model)
        assert psnr(found, truth[4]) > 45
    else:
        assert psnr(pv.superresolve(given, 2)[4], truth[4]) > 45


@pytest.mark.parametrize("blur", ["box", 0.35])
@pytest.mark.parametrize("factor", [2, 3, 1.5])
def test_several_frames_made_coarse_again_are_the_input(factor, blur):
    given = coarser(waves(4, 5, (48, 60)), 2, "box").astype(np.float32)
    report: dict = {}
    found = pv.superresolve(given, factor, blur=blur, radius=2, report=report)
    assert 2 <= report["other_frames"] <= 4
    model = pixel_model((24, 30), found.shape[1:], 0.0 if blur == "box" else blur, np.dtype(float))
    assert abs(model.down(found.astype(float)) - given).max() < 1e-6
    assert abs(found - pv.superresolve(given, factor, blur=blur, radius=0)).max() > 1e-3


def test_a_still_clip_is_as_its_first_frame_alone(rng):
    frame = ndimage.gaussian_filter(rng.random((30, 36)), 1)
    found = pv.superresolve(np.stack([frame] * 4), 2)
    np.testing.assert_allclose(found, np.tile(pv.superresolve(frame[None], 2), (4, 1, 1)), atol=1e-9)


def test_a_frame_that_does_not_tell_the_pixels_held_out_has_no_weight(rng):
    given = coarser(waves(4), 2, "box")
    model = pixel_model(given.shape[1:], (96, 112), 0.0, given.dtype)
    flows = (moves(9)[4] - moves(9)) / 2
    right, wrong = others_of(given, 4, model, flows), others_of(given, 4, model, flows + 1.0)
    assert helpful(given[4:5], right, model) == right
    # Weights of what fits nowhere are small: let them be large, so that the test has to find it.
    wrong = [one._replace(kappa2=1e6 * one.kappa2) for one in wrong]
    assert helpful(given[4:5], [*wrong[:4], right[0], *wrong[4:]], model) == [right[0]]


def test_frames_of_other_scenes_and_of_noise_change_nothing_for_the_worse(rng):
    truth = waves(4)
    given = coarser(truth, 2, "box")
    given[1::3] = rng.random(given[1::3].shape)
    report: dict = {}
    found, alone = pv.superresolve(given, 2, report=report), pv.superresolve(given, 2, radius=0)
    assert report["cuts"] == [1, 2, 4, 5, 7, 8]
    for k in (2, 3, 5, 6):
        assert psnr(found[k], truth[k]) > psnr(alone[k], truth[k]) + 0.5


def test_around_a_disc_before_a_texture_other_frames_still_help():
    truth = waves(3.7, 5)
    rows, columns = np.mgrid[:96, :112]
    for t, frame in enumerate(truth):
        cover = np.clip(18.5 - np.hypot(rows - 48, columns - 32 - 12 * t), 0, 1)  # Other frames show what it hides.
        frame += cover * (0.5 - frame)
    given = coarser(truth, 2, "box")
    found, alone = (pv.superresolve(given, 2, radius=radius)[2] for radius in (2, 0))
    rim = ndimage.binary_dilation(abs(np.hypot(rows - 48, columns - 56) - 18.5) < 8)
    errors = [np.square(one - truth[2])[rim].mean() for one in (found, alone)]
    assert errors[0] < 0.5 * errors[1]


def test_light_that_changes_costs_little():
    truth = waves(3.5, 5, (184, 192))
    given = coarser(truth, 2, "box")
    gains = np.linspace(1.0, 0.7, 5)[:, None, None]
    report: dict = {}
    found = pv.superresolve(gains * given, 2, report=report)
    assert report["relit"] > 0
    assert psnr(found[2] / gains[2], truth[2]) > psnr(pv.superresolve(given, 2, radius=0)[2], truth[2]) + 4


def test_all_channels_gain_from_other_frames_and_so_do_sixteen_bits():
    truth = waves(3.5)
    given = coarser(truth, 2, "box")
    colour = np.stack([given, 1 - given, 0.5 * given], axis=-1)
    sixteen = pv.superresolve(np.rint(60000 * colour).astype(np.uint16), 2)[4] / 60000
    for channel, scene in enumerate((truth, 1 - truth, 0.5 * truth)):
        assert psnr(sixteen[..., channel], scene[4]) > 42


def test_noise_is_removed_before(rng):
    truth = waves(6, 4)
    noisy = coarser(truth, 2, "box") + rng.normal(0, 0.05, (4, 48, 56))
    found = pv.superresolve(noisy, 2, noise=0.05)
    np.testing.assert_array_equal(found, pv.superresolve(pv.denoise(noisy, sigma=0.05), 2))
    assert pv.extent(pv.superresolve(factor=2, noise="auto")).first > 0
    assert pv.extent(pv.superresolve(factor=2, radius=3)) == pv.Extent(3, 3, 1, None)


def test_memory_beyond_what_there_is_is_refused(monkeypatch):
    monkeypatch.setattr(module.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}[name])
    with pytest.raises(pv.InputError, match=r"800 × 800 pixels would need about .* GB .* this machine has 0\.0"):
        pv.superresolve(np.zeros((1, 100, 100), np.uint8), 8)


def keys(x: np.ndarray) -> np.ndarray:
    """Return Keys's cubic kernel."""
    x, a = abs(x), EXACT
    inner = (a + 2) * x**3 - (a + 3) * x**2 + 1
    return np.where(x < 1, inner, np.where(x < 2, a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a, 0))


def weights_at(places: np.ndarray, n: int, kernel) -> np.ndarray:
    """Return the weights (..., n) of the pixels of an axis at places; those beyond its ends count as the end."""
    at = np.clip(places, 0, n - 1)[..., None]
    wide = kernel(at - np.arange(-2, n + 2))
    inner = wide[..., 2:-2].copy()
    inner[..., 0] += wide[..., :2].sum(axis=-1)
    inner[..., -1] += wide[..., -2:].sum(axis=-1)
    return inner


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_and_their_means_are_those_of_plain_numpy(rng, dtype):
    planes, values = rng.random((2, 9, 11)).astype(dtype), rng.random((2, 4, 5)).astype(dtype)
    places = np.stack([rng.uniform(-2, 11, (4, 5)), rng.uniform(-2, 13, (4, 5))]).astype(dtype)
    g = rng.random((4, 5)).astype(dtype)
    out = np.empty_like(values)
    scattered.differences(values, padded(planes), places, dtype(EXACT), 0, 4, out)
    rows, columns = weights_at(places[0], 9, keys), weights_at(places[1], 11, keys)
    np.testing.assert_allclose(out, values - np.einsum("hwi,cij,hwj->chw", rows, planes, columns), atol=1e-5)

    def hat(x):
        return np.maximum(1 - abs(x), 0)

    rows, columns = weights_at(places[0], 9, hat), weights_at(places[1], 11, hat)
    total, weights = np.zeros_like(planes), np.ones_like(planes[0])
    scattered.spread(values, g, places, total, weights)
    np.testing.assert_allclose(weights, 1 + np.einsum("hw,hwi,hwj->ij", g, rows, columns), atol=1e-5)
    np.testing.assert_allclose(total, np.einsum("chw,hw,hwi,hwj->cij", values, g, rows, columns), atol=1e-5)
    products = np.empty((5, 4, 5), dtype)
    scattered.slopes(values, g, padded(planes), places, 0, 4, products)
    wide = np.pad(planes, [(0, 0), (1, 1), (1, 1)], mode="edge")
    p, q = (wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]) / 2, (wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]) / 2
    p, q = (np.einsum("hwi,cij,hwj->chw", rows, one, columns) for one in (p, q))
    expected = np.stack([p * p, p * q, q * q, p * values, q * values]).sum(axis=1) * g
    np.testing.assert_allclose(products, expected, atol=1e-5)


def test_a_motion_that_is_a_little_wrong_is_corrected():
    truth = waves(6)
    given = coarser(truth, 2, "box")
    model = pixel_model(given.shape[1:], (96, 112), 0.0, given.dtype)
    flows = (moves(9)[4] - moves(9)) / 2
    right = others_of(given, 4, model, flows)
    seen = padded(model.anywhere(truth[4:5]))
    for one, wrong in zip(right, others_of(given, 4, model, flows + np.array([0.15, -0.1])), strict=True):
        off = [abs(found.places - one.places)[:, 4:-4, 4:-4].mean() for found in (wrong, wrong.aligned(seen, model))]
        assert off[1] < 0.2 * off[0]


@pytest.mark.parametrize(("factor", "size"), [(1.5, (60, 81)), (2, (60, 80)), (3, (60, 81)), (4, (60, 80))])
def test_a_frame_along_its_motion_lacks_nothing(factor, size):
    truth = waves(10, 2, size)
    model = pixel_model((round(size[0] / factor), round(size[1] / factor)), size, 0.35, truth.dtype)
    given = model.down(truth)
    (other,) = others_of(given, 0, model, (moves(2)[0] - moves(2)) / factor)
    r, g = other.missed(padded(model.anywhere(truth[:1])))
    most = 0.004 if factor % 1 else 0.002  # Cells that cut pixels differ from place to place.
    assert abs(r)[:, 3:-3, 3:-3].max() < most < 0.01 < np.ptp(given[1] - given[0])
    assert g[5:-5, 5:-5].mean() > 0.95


@pytest.mark.parametrize("radius", [0, 1])
@pytest.mark.parametrize(
    ("dtype", "powers"), [(np.float32, (-83, 83)), (np.float64, (-660, -330, -150, -100, 100, 150, 330, 660))]
)
def test_units_may_be_of_any_size(dtype, powers, radius):
    given = coarser(waves(4, 3, (24, 32)), 2, "box").astype(dtype)
    report: dict = {}
    found = pv.superresolve(given, 2, radius=radius, report=report)
    for unit in (dtype(2.0) ** power for power in powers):
        again: dict = {}
        np.testing.assert_array_equal(pv.superresolve(given * unit, 2, radius=radius, report=again), found * unit)
        assert again == report


def test_a_large_offset_changes_nothing():
    given = coarser(waves(4, 3), 2, "box")
    found = pv.superresolve(given, 2, radius=1)
    assert abs(found - pv.superresolve(given, 2, radius=0)).max() > 0.02
    np.testing.assert_allclose(pv.superresolve(given + 1e6, 2, radius=1) - 1e6, found, atol=1e-5)
