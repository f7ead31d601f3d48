"""Detectors of dead pixels and damaged frames, and several detectors at once: what they mark, and what not."""

from __future__ import annotations

import numpy as np
import pytest
from cases import slow
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.errors import ParameterError
from pde_video.restoration.detectors import DETECTORS

SIDE = (64, 88)


def moving(frames: int = 12, speed: int = 2, seed: int = 2) -> np.ndarray:
    """A texture that moves to the left, (T, H, W), in [0, 1]."""
    ground = gaussian_filter(np.random.default_rng(seed).standard_normal((SIDE[0], SIDE[1] + speed * frames)), 2.5)
    ground = 0.5 + 0.08 * ground / ground.std()
    return np.stack([ground[:, speed * t : speed * t + SIDE[1]] for t in range(frames)])


def with_noise(video: np.ndarray, sigma: float, dtype: type = np.uint8) -> np.ndarray:
    noisy = np.clip(video + sigma / 255 * np.random.default_rng(1).standard_normal(video.shape), 0, 1)
    return np.rint(255 * noisy).astype(dtype) if dtype == np.uint8 else noisy.astype(dtype)


PLACES = ((5, 7), (20, 40), (20, 43), (0, 30), (63, 87), (40, 41))
VALUES = (0.0, 1.0, 1.0, 1.0, 0.0, 0.95)


def with_dead(video: np.ndarray, *, row: int | None = None, column: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The video with dead pixels, and where they are."""
    video, mask = video.copy(), np.zeros(SIDE, bool)
    for (i, j), value in zip(PLACES, VALUES, strict=True):
        mask[i, j], video[:, i, j] = True, value
    if row is not None:
        mask[row], video[:, row] = True, 0.0
    if column is not None:
        mask[:, column : column + 2], video[:, :, column : column + 2] = True, 0.9
    return video, mask


@pytest.mark.parametrize("dtype", [np.uint8, *slow(np.float32)])
@pytest.mark.parametrize("sigma", [3, *slow(0)])
@pytest.mark.parametrize("colour", [False, True])
def test_dead_pixels_and_lines_are_marked_and_nothing_else(colour, sigma, dtype):
    # One after the other: what stays where it is must not be marked because it is stuck, nor be missed.
    video, mask = with_dead(moving(), row=50, column=60)
    video = with_noise(np.stack([video, moving(seed=3), moving(seed=4)], axis=-1) if colour else video, sigma, dtype)
    report: dict[str, object] = {}
    found = pv.detect_dead_pixels(video, report=report)
    assert (found.shape, found.dtype) == (video.shape[:3], dtype)
    assert set(np.unique(found)) == {0, 255 if dtype == np.uint8 else 1}
    for frame in found > 0:
        np.testing.assert_array_equal(frame, mask)
    assert report["marked"] == pytest.approx(mask.mean())


@pytest.mark.parametrize("sigma", [0, 5, *slow(20)])
@pytest.mark.parametrize("speed", [0, *slow(2)])
def test_a_sound_sensor_has_no_dead_pixels(sigma, speed):
    assert not pv.detect_dead_pixels(with_noise(moving(speed=speed), sigma)).any()
    assert not pv.detect_dead_pixels(np.full((3, *SIDE), 7, np.uint8)).any()


def test_stars_bars_and_edges_across_the_frame_are_no_dead_pixels(rng):
    y, x = np.mgrid[: SIDE[0], : SIDE[1]]
    sky = np.full(SIDE, 0.1)
    for i, j in rng.uniform(4, 60, (12, 2)):
        sky += 0.8 * np.exp(-((y - i) ** 2 + (x - j) ** 2) / (2 * 0.6**2))
    assert not pv.detect_dead_pixels(with_noise(np.repeat(sky[np.newaxis], 8, axis=0), 3)).any()
    barred = moving()
    barred[:, :9], barred[:, -1], barred[:, :, :2] = 0.0, 0.0, 0.0  # Black bars and rims.
    barred[:, 30:] += 0.2
    assert not pv.detect_dead_pixels(with_noise(barred, 2)).any()


@pytest.mark.parametrize("towards", [(0, 1), (1, 0), (1, 1), (1, -1)])
@pytest.mark.parametrize("sigma", [0, *slow(5)])
def test_two_dead_pixels_that_touch_are_marked_and_two_of_a_star_are_not(towards, sigma):
    video, mask = moving(), np.zeros(SIDE, bool)
    for (i, j), values in (((15, 30), (1.0, 0.95)), ((40, 60), (0.0, 0.0))):
        for k, value in enumerate(values):
            i, j = i + k * towards[0], j + k * towards[1]
            mask[i, j], video[:, i, j] = True, value
    np.testing.assert_array_equal(pv.detect_dead_pixels(with_noise(video, sigma))[0] > 0, mask)
    y, x = np.mgrid[: SIDE[0], : SIDE[1]] - np.array([20, 40])[:, np.newaxis, np.newaxis]
    star = np.exp(-((y - towards[0] / 2) ** 2 + (x - towards[1] / 2) ** 2) / (2 * 0.52**2))
    sky = np.repeat(0.1 + 0.8 * star[np.newaxis] / star.max(), 8, axis=0)
    assert not pv.detect_dead_pixels(with_noise(sky, sigma)).any()


def test_many_that_touch_and_few_single_ones_are_dots_of_letters():
    page = np.full((8, *SIDE), 0.9)
    for j in range(8, 80, 12):
        page[:, 20:22, j] = page[:, 40, j : j + 2] = 0.1
    assert not pv.detect_dead_pixels(with_noise(page, 2)).any()


def test_what_passes_is_not_dead():
    video = moving(20)
    for t in range(20):
        video[t, 30, 20 + 3 * t] = 1.0
    video[:6, 10, 10] = 1.0  # Dust on the lens for a while.
    assert not pv.detect_dead_pixels(with_noise(video, 3)).any()


def test_faint_hot_pixels_are_seen_in_the_mean():
    video = moving(40, speed=1)
    video[:, 12, 33] += 0.2
    noisy = with_noise(video, 12, np.float32)
    assert pv.detect_dead_pixels(noisy)[0, 12, 33]
    assert not pv.detect_dead_pixels(noisy[:1])[0, 12, 33]


def test_a_stream_in_pieces_is_the_whole_and_the_first_frames_decide(threads):
    video = with_noise(with_dead(moving(44, speed=1), row=9)[0], 3)
    whole, looked = pv.detect_dead_pixels(video), pv.extent(pv.detect_dead_pixels)
    assert (looked.before, looked.after, looked.first) == (0, 0, 40)
    later = video.copy()
    later[40:, 30, 30] = 255
    np.testing.assert_array_equal(pv.detect_dead_pixels(later), whole)
    threads(1)
    np.testing.assert_array_equal(np.stack(list(pv.detect_dead_pixels(iter(video)))), whole)


def test_a_threshold_is_in_units_of_the_noise():
    video = moving(1).repeat(8, axis=0) * 0 + 0.5
    video[:, 20, 20] += 12 * 5 / 255
    noisy = with_noise(video, 5, np.float64)
    assert pv.detect_dead_pixels(noisy, threshold=8)[0, 20, 20]
    assert not pv.detect_dead_pixels(noisy[:4:4], threshold=18).any()


DAMAGE = {
    "black": lambda frame: 0 * frame,
    "static": lambda frame: np.random.default_rng(5).random(frame.shape),
    "torn": lambda frame: np.where(np.arange(SIDE[0])[:, np.newaxis] < 40, frame, 0.2),
    "another": lambda frame: moving(1, seed=9)[0],
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("sigma", [8, *slow(0)])
def test_a_damaged_frame_is_marked_as_a_whole(kind, sigma):
    video = moving(9)
    video[4] = DAMAGE[kind](video[4])
    found = pv.detect_damaged_frames(with_noise(video, sigma))
    assert found.shape == video.shape
    assert [frame.min() for frame in found] == [frame.max() for frame in found] == [0] * 4 + [255] + [0] * 4


def test_cuts_motion_flicker_lamps_and_the_ends_are_no_damage():
    cut = np.concatenate([moving(4), moving(4, seed=7)])
    lamp = moving(8)
    lamp[3, 10:18, 20:30] = 1.0
    flicker = moving(8) * np.where(np.arange(8) % 2, 1.0, 0.6)[:, np.newaxis, np.newaxis]
    ends = moving(6)
    ends[0], ends[-1] = 0.0, 0.0
    for video in (cut, lamp, flicker, ends, moving(6, speed=9), moving(2), np.repeat(moving(4), 2, axis=0)):
        assert not pv.detect_damaged_frames(with_noise(video, 4)).any()
        assert not pv.detect_damaged_frames(video).any()


def test_pieces_of_a_film_with_damage_are_the_whole(threads):
    video = moving(12)
    video[[3, 8]] = 0.0
    whole, looked = pv.detect_damaged_frames(video), pv.extent(pv.detect_damaged_frames)
    assert np.flatnonzero(whole.any(axis=(1, 2))).tolist() == [3, 8]
    np.testing.assert_array_equal(pv.detect_damaged_frames(video[1:11])[looked.before : -looked.after], whole[3:9])
    threads(1)
    np.testing.assert_array_equal(np.stack(list(pv.detect_damaged_frames(iter(video)))), whole)


def scratched(
    video: np.ndarray, places: tuple[float, ...] = (20.0, 60.0), *, tilt: float = 0.0, trembles: int = 1, seed: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The video with scratches two or three columns wide, bright and dark in turn, and where they are."""
    rng, mask, video = np.random.default_rng(seed), np.zeros(video.shape, bool), video.copy()
    rows, columns = np.mgrid[: SIDE[0], : SIDE[1]]
    for t in range(len(video)):
        for k, place in enumerate(places):
            first = place + rng.integers(-trembles, trembles + 1) + np.rint(tilt * (rows - SIDE[0] / 2))
            where = (columns >= first) & (columns < first + rng.integers(2, 4))
            mask[t] |= where
            video[t][where] = (0.95, 0.05)[k % 2]
    return video, mask


@pytest.mark.parametrize("sigma", [0, 6])
@pytest.mark.parametrize(
    ("speed", "tilt", "colour"), [(2, 0.0, False), (0, 0.0, False), (2, 0.01, True), (0, -0.01, False)]
)
def test_scratches_are_marked_and_nothing_else(speed, tilt, colour, sigma):
    clean = moving(speed=speed)
    video, mask = scratched(clean, tilt=tilt)
    noisy = with_noise(np.stack([video] * 3, axis=-1) if colour else video, sigma)
    report: dict[str, object] = {}
    found = pv.detect_scratches(noisy, report=report) > 0
    # Where the scene is still, trembling alone tells them from posts.
    assert np.count_nonzero(found & mask) > (0.9 if speed else 0.85) * np.count_nonzero(mask)
    assert np.count_nonzero(found & mask) > 0.9 * np.count_nonzero(found)
    assert report["marked"] == found.mean()
    assert not pv.detect_scratches(with_noise(clean, sigma)).any()


@pytest.mark.parametrize("tilt", [0.018, *slow(-0.018)])
def test_tilted_scratches_are_followed(tilt):
    video = moving()
    tall = np.concatenate([video, video[:, ::-1], video, video[:, ::-1]], axis=1)
    rows, columns = np.mgrid[:256, : SIDE[1]]
    first = 40 + np.rint(tilt * (rows - 128))
    where = (columns >= first) & (columns < first + 3)
    tall[:, where] = 0.95
    found = pv.detect_scratches(with_noise(tall, 3)) > 0
    assert np.count_nonzero(found & where) > 0.9 * len(video) * np.count_nonzero(where)
    assert np.count_nonzero(found & where) > 0.8 * np.count_nonzero(found)


def test_scratches_that_do_not_tremble_are_seen_while_the_scene_moves():
    video, mask = scratched(moving(), trembles=0)
    found = pv.detect_scratches(with_noise(video, 3)) > 0
    assert np.count_nonzero(found & mask) > 0.9 * np.count_nonzero(mask)


@pytest.mark.parametrize("speed", [0, 2, *slow(1, 5)])
@pytest.mark.parametrize("sigma", [6, *slow(0)])
def test_posts_that_stand_still_or_move_with_the_scene_are_no_scratches(speed, sigma):
    video = moving(speed=speed)
    for t, frame in enumerate(video):
        frame[:, 70 - speed * t : 73 - speed * t] = 0.05
        frame[:, 30 - speed * t + 90 * (speed * t > 30) :][:, :2] = 0.95
    assert not pv.detect_scratches(with_noise(video, sigma)).any()


def test_short_lines_wide_bars_and_lines_of_single_frames_are_no_scratches():
    short, wide, single = moving(), moving(), moving()
    short[:, :28, 30:32] = 0.95
    wide[:, :, 30:44] = 0.95
    single[5, :, 30:32] = 0.95
    for video in (short, wide, single, moving(1), moving()[:, :5], moving()[:, :, :9]):
        assert not pv.detect_scratches(with_noise(video, 3)).any()


def test_what_two_scratches_leave_between_them_is_none():
    video, mask = scratched(moving(), (30.0, 10.0, 36.0), trembles=0)
    found = pv.detect_scratches(with_noise(video, 3)) > 0
    assert not found[:, :, 33:36].any()
    assert np.count_nonzero(found & mask) > 0.9 * np.count_nonzero(mask)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_lines_fainter_than_a_step_of_8_bits_are_none(scale):
    for contrast, marked in ((0.4 / 255, False), (8 / 255, True)):
        video = 0.9 + 0.01 * moving()
        video[:, :, 40:42] += contrast
        video[:, 0, 0] = 0  # The range of values counts.
        assert pv.detect_scratches(scale * video).any() == marked


def test_pieces_of_a_scratched_film_are_the_whole(threads):
    video = with_noise(scratched(moving(14))[0], 3)
    whole, looked = pv.detect_scratches(video), pv.extent(pv.detect_scratches)
    assert (looked.before, looked.after, looked.first) == (3, 2, 0)
    np.testing.assert_array_equal(pv.detect_scratches(video[2:12])[3:-2], whole[5:10])
    threads(1)
    np.testing.assert_array_equal(np.stack(list(pv.detect_scratches(iter(video)))), whole)
    cut = np.concatenate([video, 255 - video[:, ::-1]])
    np.testing.assert_array_equal(pv.detect_scratches(cut)[:14], whole)


def film() -> tuple[np.ndarray, np.ndarray]:
    """A film with everything, and where it is."""
    video, dead = with_dead(moving())
    mask = np.repeat(dead[np.newaxis], 12, axis=0)
    video[3, 30:34, 50:56], mask[3, 30:34, 50:56] = 1.0, True
    video[6], mask[6] = 0.5 * np.random.default_rng(5).random(SIDE), True
    return with_noise(video, 2), mask


def test_a_mask_of_several_detectors_has_what_any_of_them_marks():
    video, mask = film()
    report: dict[str, object] = {}
    found = pv.mask(video, detect="dust,dead-pixels,damaged-frames", report=report) > 0
    assert np.count_nonzero(found != mask) < 4
    assert report["marked"] == found.mean()
    each = (pv.detect_dust(video), pv.detect_dead_pixels(video), pv.detect_damaged_frames(video))
    np.testing.assert_array_equal(found, np.any(each, axis=0))
    np.testing.assert_array_equal(np.stack(list(pv.mask(iter(video), detect="dust"))), each[0])


def test_inpaint_fills_what_several_detectors_mark():
    video, mask = film()
    clean, report = moving(), {}
    found = pv.inpaint(video, detect="dust,dead-pixels,damaged-frames", report=report)
    np.testing.assert_array_equal(found[~mask], video[~mask])
    assert report["marked"] == report["masked"] == pytest.approx(mask.mean(), abs=2e-4)
    small = mask.copy()
    small[6] = False
    assert np.abs(found / 255 - clean)[small].mean() < 0.02


@pytest.mark.parametrize("method", ["eed", *slow("auto")])
def test_pieces_of_a_film_that_is_mended_are_the_whole(method):
    video = film()[0]
    video[6] = video[5] if method == "eed" else video[6]  # No frame is lost.
    options = {"detect": "dust,damaged-frames", "method": method}
    looked, whole = pv.extent(pv.inpaint(**options)), pv.inpaint(video, **options)
    assert looked.after == 4 + 6 * (method == "auto")
    if method == "eed":
        assert looked.before == 4
        np.testing.assert_array_equal(pv.inpaint(video[1:], **options)[4:], whole[5:])
    else:
        assert looked.before is None
    assert pv.extent(pv.inpaint(detect="dead-pixels", method=method)).first == 40
    np.testing.assert_array_equal(np.stack(list(pv.inpaint(iter(video), **options))), whole)


def with_everything() -> np.ndarray:
    """A film of which each detector but that of logos marks something, after a black frame."""
    video = scratched(with_dead(moving(14))[0])[0]
    video[4, 30:34, 50:56], video[9], video[0] = 1.0, np.random.default_rng(5).random(SIDE), 0.0
    return with_noise(video, 2, np.float32)


@pytest.mark.parametrize("scale", [np.float32(2.0**-75), np.float64(2.0**1023), *slow(np.float32(2.0**75))])
def test_the_unit_of_floats_does_not_matter(scale):
    # A power of two rounds nothing, so that all of the arithmetic is the same.
    video = with_everything().astype(scale.dtype)
    for name in (one for one in DETECTORS if one != "logo"):
        found = pv.mask(video, detect=name)
        assert found.any()
        np.testing.assert_array_equal(pv.mask(scale * video, detect=name), found)
    found, scaled = (pv.inpaint(one, detect="scratches,damaged-frames") for one in (video, scale * video))
    np.testing.assert_array_equal(scaled, scale * found)


@pytest.mark.parametrize("scale", [np.float32(1e-20), np.float64(1e100), *slow(np.float32(255), np.float64(1e-100))])
def test_nor_does_a_unit_that_rounds(scale):
    video = with_everything().astype(scale.dtype)
    for name in (one for one in DETECTORS if one != "logo"):
        np.testing.assert_array_equal(pv.mask(scale * video, detect=name), pv.mask(video, detect=name))


@pytest.mark.parametrize("names", ["", "dirt", "dust,dirt", "dust,", "dust dead-pixels", "Dust", None])
def test_what_is_no_detector_is_refused(names):
    with pytest.raises(
        ParameterError, match=r"detect is .*one or several, separated by commas, of dust, scratches, dead-pixels"
    ):
        pv.mask(np.zeros((3, 8, 8)), detect=names)


def test_the_command_makes_a_mask_that_inpaint_takes(tmp_path, call):
    video, mask = film()
    pv.write(tmp_path / "in.tif", video)
    code, _, error = call(
        "mask", tmp_path / "in.tif", tmp_path / "mask.tif", "--detect", "dust,dead-pixels,damaged-frames"
    )
    assert (code, error) == (0, "")
    found = np.stack(list(pv.read(tmp_path / "mask.tif")))
    assert np.count_nonzero((found > 0) != mask) < 4
    code, _, error = call("inpaint", tmp_path / "in.tif", tmp_path / "out.tif", "--mask", tmp_path / "mask.tif")
    assert code == 0
    both = {"detect": "dust,dead-pixels,damaged-frames"}
    np.testing.assert_array_equal(np.stack(list(pv.read(tmp_path / "out.tif"))), pv.inpaint(video, **both))
    code, _, error = call("mask", tmp_path / "in.tif", tmp_path / "other.tif", "--detect", "dust,dirt")
    assert code == 2
    assert "dust,dirt" in error
    assert not (tmp_path / "other.tif").exists()


@pytest.mark.parametrize("offset", [0.0, 290.0, 1000.0])
def test_scratches_in_floats_with_an_offset_are_found(offset):
    video, mask = scratched(moving(8))
    found = pv.detect_scratches(offset + 10 * video.astype(float) / 255) > 0
    assert (found & mask).sum() > 0.8 * mask.sum()
    assert (found & mask).sum() > 0.8 * found.sum()
