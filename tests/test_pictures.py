"""Whiteness against closed forms, pictures against indexing, and several files written in one pass."""

from __future__ import annotations

import itertools
import math
import os
import signal
import threading

import numpy as np
import pytest
from cases import CLIPS
from scipy.ndimage import gaussian_filter

import pde_video as pv
from pde_video.tools.demo import demonstrate
from pde_video.tools.pictures import compare_files, enlarged, labelled, most_textured, side_by_side
from pde_video.video.files import write_together
from pde_video.video.overlap import all_behind

BAND = 16  # Height of a label.
LAGS = [d for d in itertools.product((-1, 0, 1), range(-3, 4), range(-3, 4)) if any(d)]


def whiteness(residual: np.ndarray) -> float:
    return pv.whiteness(residual, np.zeros_like(residual))


def summed_directly(residual: np.ndarray) -> float:
    """The definition, product by product."""
    times, height, width, channels = residual.shape
    total = 0.0
    for dt, dy, dx in LAGS:
        products = [
            residual[t, y, x, c] * residual[t + dt, y + dy, x + dx, c]
            for t, y, x, c in np.ndindex(times, height, width, channels)
            if 0 <= t + dt < times and 0 <= y + dy < height and 0 <= x + dx < width
        ]
        if products:
            total += (np.mean(products) / np.mean(residual**2)) ** 2 - 1 / len(products)
    return 1 / (1 + max(total, 0))


@pytest.mark.parametrize("shape", [(3, 6, 5, 2), (1, 9, 7, 1), (4, 2, 8, 1), (2, 1, 5, 3), (3, 4, 1, 1)])
def test_whiteness_is_the_sum_of_its_definition(rng, shape):
    residual = rng.random(shape) + 0.3  # Far from white, so that the sum is far from its bound 0.
    expected = summed_directly(residual)
    assert 0 < expected < 0.9
    assert whiteness(residual) == pytest.approx(expected, rel=1e-12)
    if shape[-1] == 1:
        assert whiteness(residual[..., 0]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 40, 50), (6, 90, 110), (2, 50, 60, 3)])
def test_white_noise_is_white_up_to_its_standard_error(rng, shape):
    # Each of m pairs of lags ±d adds 2 (ρ² − 1/n), of mean 0 and variance 8/n²; below 0 the sum is cut off, which
    # leaves the mean of a normal variable's positive part, 0.4 deviations.
    pairs = 24 if shape[0] == 1 else 73
    deviation = math.sqrt(8 * pairs) / np.prod(shape)
    excess = [1 / whiteness(rng.normal(3e-5, 7.0, shape)) - 1 for _ in range(20)]
    part = 0.4 * deviation
    assert np.mean(excess) == pytest.approx(part, abs=4 * 0.6 * 1.1 * deviation / math.sqrt(20))
    assert max(excess) < 6 * deviation


@pytest.mark.parametrize(("axes", "expected"), [((2,), 2 / 3), ((0,), 2 / 3), ((1, 2), 4 / 9), ((0, 1, 2), 8 / 27)])
def test_pairwise_sums_of_noise_have_the_closed_form(rng, axes, expected):
    # The sum of two neighbours correlates by ½ at lags ±1: 1 + 2/4 along each axis, and their product over axes.
    figures = []
    for _ in range(20):
        noise = rng.normal(size=(9, 70, 80))
        for axis in axes:
            noise = noise + np.roll(noise, 1, axis)
        figures.append(whiteness(noise[1:, 1:, 1:]))
    error = np.std(figures) / math.sqrt(len(figures))
    assert error < 0.005
    assert np.mean(figures) == pytest.approx(expected, abs=4 * error)


def test_white_noise_of_varying_deviation_is_white(rng):
    residual = rng.normal(size=(8, 120, 160)) * np.linspace(0.2, 3, 160)
    assert whiteness(residual) == pytest.approx(1, abs=0.001)


def test_a_constant_is_as_far_from_white_as_can_be():
    residual = np.full((5, 30, 20), -2.0)
    pairs = sum(1 - 1 / ((5 - abs(t)) * (30 - abs(y)) * (20 - abs(x))) for t, y, x in LAGS)
    assert whiteness(residual) == pytest.approx(1 / (1 + pairs), rel=1e-12)
    assert whiteness(residual) == pytest.approx(1 / 147, rel=0.02)


def test_a_pattern_below_noise_has_the_closed_form(rng):
    # A chequered pattern of amplitude a correlates by ±1 at all 146 lags; noise of deviation 1 dilutes that.
    shape, a = (6, 120, 160), 0.3
    pattern = a * (-1.0) ** np.indices(shape).sum(axis=0)
    figures = [whiteness(rng.normal(size=shape) + pattern) for _ in range(10)]
    expected = 1 / (1 + 146 * (a**2 / (1 + a**2)) ** 2)
    assert np.mean(figures) == pytest.approx(expected, abs=4 * np.std(figures) / math.sqrt(10))
    assert expected == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("name", CLIPS)
def test_edges_in_the_residual_show(name, real_frames):
    clean = real_frames[name]
    noisy = pv.gaussian_noise(clean.astype(np.float32) / 255, 20 / 255, rng=3)
    truth = (clean / 255).astype(np.float32)
    blurred = gaussian_filter(noisy, (0, 1.5, 1.5, 0))
    lacks = [1 - pv.whiteness(noisy, other) for other in (truth, pv.denoise(noisy), blurred)]
    assert lacks[0] < 0.005
    assert lacks[1] < 0.1
    assert lacks[2] > 2 * lacks[1]


def test_whiteness_does_not_depend_on_scale_flips_or_kind(rng):
    noisy = rng.integers(0, 256, (4, 20, 30, 3), np.uint8)
    denoised = gaussian_filter(noisy, (0, 1, 1, 0))
    expected = pv.whiteness(noisy, denoised)
    assert pv.whiteness(iter(noisy), iter(denoised)) == expected
    assert pv.compare(noisy, denoised)["whiteness"] == expected
    assert pv.whiteness(noisy / 255, denoised / 255) == pytest.approx(expected, rel=1e-10)
    assert pv.whiteness(denoised[::-1, ::-1, ::-1], noisy[::-1, ::-1, ::-1]) == pytest.approx(expected, rel=1e-10)


def test_whiteness_of_nothing_and_of_what_does_not_match():
    frames = np.ones((3, 8, 8))
    assert math.isnan(pv.whiteness(frames, frames))
    with pytest.raises(pv.InputError, match="no frame"):
        pv.whiteness([], [])
    with pytest.raises(pv.InputError, match=r"\(8, 8\).*\(8, 7\)"):
        pv.whiteness(frames, frames[..., 1:])
    with pytest.raises(pv.InputError, match="one shape"):
        pv.whiteness([frames[0], frames[0, 1:]], [frames[0], frames[0, 1:]])
    with pytest.raises(pv.InputError, match="length"):
        pv.whiteness(frames, frames[1:])


@pytest.mark.parametrize("shape", [(6, 8), (5, 8), (6, 7, 3), (5, 7, 3)])
@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_side_by_side_keeps_every_pixel_and_has_even_sides(rng, shape, number, dtype):
    frames = [(200 * rng.random(shape)).astype(dtype) for _ in range(number)]
    joined = side_by_side(*frames)
    white = 1 if dtype == "float32" else np.iinfo(dtype).max
    assert joined.dtype == dtype
    assert joined.shape[0] % 2 == joined.shape[1] % 2 == 0
    rest = np.ones(joined.shape[:2], bool)
    for k, frame in enumerate(frames):
        left = k * (shape[1] + 2)
        assert np.array_equal(joined[: shape[0], left : left + shape[1]], frame)
        rest[: shape[0], left : left + shape[1]] = False
    assert (joined[rest] == white).all()


def test_most_textured_finds_the_texture_and_not_one_great_edge(rng):
    frame = np.zeros((200, 300, 3), np.uint8)
    frame[:, :20] = 255
    frame[70:110, 200:240] = 60 * (np.indices((40, 40)).sum(axis=0) % 2)[..., np.newaxis]
    top, left, height, width = most_textured(frame, 40)
    assert (height, width) == (40, 40)
    assert abs(top - 70) <= 1
    assert abs(left - 200) <= 1
    assert most_textured(frame[:30, :50, 0], 96) == (0, 0, 30, 50)


def test_enlarged_shows_every_pixel_as_a_square_and_differences_around_grey():
    first = np.full((5, 7), 100, np.uint8)
    second = first.copy()
    second[2, 3] = 110
    sheet, gain = enlarged([first, second], [(1, 0)])
    # One pixel of 35 differs, by 10: a deviation of 10/√35/255, of which two are to reach half of the range.
    assert gain == 2 ** math.floor(math.log2(0.5 * 255 * math.sqrt(35) / 20))
    panels = [sheet[:, left : left + 28] for left in (0, 36, 72)]
    assert sheet.shape == (20, 3 * 28 + 2 * 8)
    assert (sheet[:, 28:36] == 255).all()
    assert np.array_equal(panels[0][::4, ::4], first)
    assert np.array_equal(panels[1], np.kron(second, np.ones((4, 4))))
    expected = np.full((5, 7), 128)
    expected[2, 3] = min(255, round(128 + gain * 10))
    assert np.array_equal(panels[2], np.kron(expected, np.ones((4, 4))))


def test_enlarged_takes_the_range_of_the_first_where_white_is_not_255(rng):
    first = (1000 + 200 * rng.random((6, 6, 3))).astype(np.uint16)
    sheet, _ = enlarged([first, first + np.uint16(50), first], [(1, 0), (1, 2), (2, 0)])
    assert sheet.shape == (2 * 24 + 8, 3 * 24 + 2 * 8, 3)
    panel = sheet[:24:4, :24:4].astype(float)
    span = float(np.ptp(first))
    assert np.abs(panel - 255 * (first - first.min()) / span).max() <= 0.5
    assert (sheet[32::4, :24:4] == min(255, round(128 + 255 * 50 / span))).all()
    assert (sheet[32::4, 64::4] == 128).all()


def test_enlarged_of_equal_pictures_is_grey(rng):
    picture = rng.integers(0, 255, (4, 4, 4), np.uint8)  # With transparency, which is left out.
    sheet, gain = enlarged([picture, picture], [(0, 1)])
    assert gain == 1
    assert sheet.shape == (16, 3 * 16 + 2 * 8, 3)
    assert (sheet[:, 48:] == 128).all()


@pytest.mark.parametrize(("dtype", "white"), [("uint8", 255), ("uint16", 65535), ("float32", 1.0)])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_a_label_is_a_band_above_with_its_own_text(rng, dtype, white, channels):
    picture = (100 * rng.random((20, 60, *channels))).astype(dtype)
    clean, noisy = labelled(picture, "clean"), labelled(picture, "noisy")
    assert (clean.shape, clean.dtype) == ((BAND + 20, 60, *channels), dtype)
    assert np.array_equal(clean[BAND:], picture)
    assert set(np.unique(clean[:BAND])) == {0, white}
    assert not np.array_equal(clean[:BAND], noisy[:BAND])


def test_write_together_gives_each_file_its_column(rng, tmp_path):
    video = rng.integers(0, 255, (7, 10, 12), np.uint8)
    rows = ([frame, 255 - frame, frame if number == 3 else None] for number, frame in enumerate(video))
    paths = [tmp_path / name for name in ("a.avi", "b.npy", "c.png")]
    assert write_together(paths, rows) == [7, 7, 1]
    first, second, third = (np.stack(list(pv.read(path))) for path in paths)
    assert np.array_equal(first, video)
    assert np.array_equal(second, 255 - video)
    assert np.array_equal(third, video[3:4])


@pytest.mark.parametrize("last", ["raises", "does not fit", "never comes", "exists by then"])
def test_write_together_leaves_all_or_nothing(rng, tmp_path, last):
    video = rng.integers(0, 255, (9, 10, 12), np.uint8)
    threads = threading.active_count()

    def rows():
        for number, frame in enumerate(video):
            yield [
                frame,
                frame[:-1] if last == "does not fit" and number == 6 else None if last == "never comes" else frame,
            ]
        if last == "raises":
            raise pv.InputError("the end is missing")
        if last == "exists by then":
            (tmp_path / "a.avi").write_bytes(b"mine")  # The first, which gets its name last.

    fault = FileExistsError if last == "exists by then" else pv.InputError
    with pytest.raises(fault):
        write_together([tmp_path / "a.avi", tmp_path / "b.npy"], rows())
    assert os.listdir(tmp_path) == (["a.avi"] if last == "exists by then" else [])
    assert threading.active_count() == threads


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_no_signal_comes_between_files_that_are_written_together(rng, tmp_path, monkeypatch):
    frames, paths = rng.integers(0, 255, (3, 10, 12), np.uint8), [tmp_path / "a.npy", tmp_path / "b.npy"]
    monkeypatch.setattr("pde_video.video.commit.flush_all", lambda path: signal.raise_signal(signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_together(paths, ([frame, frame] for frame in frames))
    finally:
        signal.signal(signal.SIGINT, before)
    assert [len(np.load(path)) for path in paths] == [3, 3]
    assert sorted(os.listdir(tmp_path)) == ["a.npy", "b.npy"]


def test_write_together_refuses_one_name_for_two(tmp_path):
    with pytest.raises(pv.ParameterError, match=r"one name.*a\.npy"):
        write_together([tmp_path / "a.npy", tmp_path / "." / "a.npy"], [])


def test_all_behind_holds_few_items_however_slow_one_consumer_is():
    drawn, seen = [], []

    def rows():
        for number in range(50):
            drawn.append(number)
            yield number, -number

    def slow(items):
        for item in items:
            seen.append(len(drawn) - len(items_taken))
            items_taken.append(item)
        return items_taken

    items_taken: list[int] = []
    fast, taken = all_behind([list, slow], rows(), 3)
    assert fast == list(range(50))
    assert taken == [-number for number in range(50)]
    assert max(seen) <= 3 + 2  # The room, one in hand, one drawn and waiting.


def test_all_behind_ends_for_all_when_one_leaves():
    drawn = []

    def rows():
        for number in range(1000):
            drawn.append(number)
            yield number, number

    def failing(items):
        next(items)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        all_behind([list, failing], rows(), 3)
    assert len(drawn) < 1000


class Counted:
    """A clip, and how often it was decoded."""

    def __init__(self, video):
        self.video, self.times = video, 0

    def __iter__(self):
        self.times += 1
        return iter(self.video)

    def __getattr__(self, name):
        return getattr(self.video, name)


@pytest.fixture
def clip(tmp_path):
    t, row, column = np.mgrid[:7, :61, :83]
    frames = 128 + 60 * np.sin((column + t) / 6) + 30 * np.cos(row / 5)
    pv.write(tmp_path / "clip.avi", np.repeat(frames[..., np.newaxis], 3, axis=3).astype(np.uint8))
    return tmp_path / "clip.avi"


def test_demo_decodes_once_and_writes_what_it_measured(clip, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("pde_video.tools.demo.read", lambda path: opened.append(Counted(pv.read(path))) or opened[-1])
    figures = demonstrate(clip, 20.0, tmp_path / "out")
    assert [video.times for video in opened] == [1]
    clean = np.stack(list(pv.read(clip)))
    noisy = pv.gaussian_noise(clean, 20.0, rng=0)
    denoised = np.stack(list(pv.denoise(iter(noisy))))  # A stream estimates from its first frames.
    assert figures["frames"] == 7
    assert figures["psnr_noisy"] == pytest.approx(pv.psnr(clean, noisy), abs=1e-9)
    assert figures["psnr_denoised"] == pytest.approx(pv.psnr(clean, denoised), abs=1e-9)
    assert figures["whiteness"] == pv.whiteness(noisy, denoised)
    (picture,) = pv.read(figures["files"]["picture"])
    assert np.array_equal(picture[BAND:], np.concatenate([clean[3], noisy[3], denoised[3]], axis=1))
    together = list(pv.read(figures["files"]["side_by_side"]))
    assert len(together) == 7
    assert together[0].shape == (62, 3 * 83 + 2 * 2 + 1, 3)
    (crop,) = pv.read(figures["files"]["crop"])
    top, left, height, width = figures["crop_place"]
    assert (height, width) == (61, 83)
    assert np.array_equal(crop[BAND : BAND + 244 : 4, :332:4], clean[3, top : top + height, left : left + width])


def test_demo_shows_the_place_it_is_told(clip, tmp_path):
    figures = demonstrate(clip, 20.0, tmp_path / "out", place=(10, 20, 30, 40))
    (crop,) = pv.read(figures["files"]["crop"])
    assert crop.shape == (2 * (BAND + 120) + 8, 3 * 160 + 2 * 8, 3)
    clean = np.stack(list(pv.read(clip)))[3, 10:40, 20:60]
    noisy = pv.gaussian_noise(np.stack(list(pv.read(clip))), 20.0, rng=0)[3, 10:40, 20:60]
    assert np.array_equal(crop[BAND : BAND + 120 : 4, 168:328:4], noisy)
    added = (noisy.astype(float) - clean).mean(axis=2)
    expected = np.clip(np.rint(128 + figures["crop_gain"] * added), 0, 255)
    assert np.array_equal(crop[2 * BAND + 128 :: 4, :160:4, 0], expected)


def test_a_place_outside_the_frame_leaves_nothing(clip, tmp_path):
    with pytest.raises(pv.ParameterError, match=r"rows 50:90.*61 × 83"):
        demonstrate(clip, 20.0, tmp_path / "out", place=(50, 0, 40, 40))
    with pytest.raises(pv.ParameterError, match=r"rows 50:90.*61 × 83"):
        compare_files(clip, clip, picture=tmp_path / "crop.png", place=(50, 0, 40, 40))
    with pytest.raises(pv.ParameterError, match="no picture"):
        compare_files(clip, clip, place=(0, 0, 8, 8))
    assert os.listdir(tmp_path) == ["clip.avi"]


def test_compare_files_writes_what_is_asked_for(clip, tmp_path):
    frames = np.stack(list(pv.read(clip)))
    pv.write(tmp_path / "other.avi", frames // 2)
    plain = compare_files(clip, tmp_path / "other.avi")
    assert plain == pv.compare(frames, frames // 2)
    video, picture = tmp_path / "both.avi", tmp_path / "crop.png"
    figures = compare_files(clip, tmp_path / "other.avi", video=video, picture=picture, place=(0, 1, 20, 30))
    assert figures | plain == figures
    assert figures["files"] == {"video": str(video), "picture": str(picture)}
    both = list(pv.read(video))
    assert len(both) == 7
    assert all(np.array_equal(one, side_by_side(a, a // 2)) for one, a in zip(both, frames, strict=True))
    (crop,) = pv.read(picture)
    assert crop.shape == (80, 3 * 120 + 2 * 8, 3)
    assert np.array_equal(crop[::4, :120:4], frames[3, :20, 1:31])
    assert np.array_equal(crop[::4, 128:248:4], frames[3, :20, 1:31] // 2)


@pytest.mark.parametrize("which", ["video", "picture"])
def test_compare_files_overwrites_nothing(clip, tmp_path, which):
    target = tmp_path / {"video": "both.avi", "picture": "crop.png"}[which]
    target.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        compare_files(clip, clip, video=tmp_path / "both.avi", picture=tmp_path / "crop.png")
    assert sorted(os.listdir(tmp_path)) == sorted(["clip.avi", target.name])
    assert target.read_bytes() == b"mine"
    compare_files(clip, clip, video=tmp_path / "both.avi", picture=tmp_path / "crop.png", force=True)
    with pytest.raises(FileExistsError, match="same file"):
        compare_files(clip, clip, video=clip, force=True)
