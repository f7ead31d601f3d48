"""Scenarios of the benchmark: each noise as it says, its reference, seeds, headings, and refusals."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

import pde_video as pv
from pde_video.bench import measuring
from pde_video.bench.clips import Clip
from pde_video.bench.methods import OURS, Method
from pde_video.bench.scenarios import SCENARIOS, Noise
from pde_video.errors import ParameterError

PAGE = Path(__file__).parent.parent / "docs" / "scenarios.md"
SHAPE = (6, 48, 64)


def scene(channels: int = 0) -> np.ndarray:
    frame, row, column = np.mgrid[:6, :48, :64]
    grey = 0.5 + 0.2 * np.sin((column + frame) / 9) * np.cos(row / 7)
    return (np.stack([grey, 1 - grey, grey**2][:channels], axis=-1) if channels else grey).astype(np.float32)


def gray(value: float = 0.5, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.full(shape, value, np.float32)


def added(text: str, clean: np.ndarray, white: float) -> np.ndarray:
    """Return what a scenario does besides the white noise that it draws first, of 255."""
    noisy = Noise(text).on(clean, 1)[0]
    return 255.0 * (noisy.astype(np.float64) - Noise(f"white:sigma={white}").on(clean, 1)[0])


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("channels", [0, 3])
def test_every_scenario_is_seeded_noisy_and_keeps_its_clip(name, channels):
    clean = scene(channels)
    before, noise = clean.copy(), Noise(name)
    if name == "demosaiced" and not channels:
        with pytest.raises(ParameterError, match="three colours"):
            noise.on(clean, 1)
        return
    noisy, reference = noise.on(clean, 1)
    assert (noisy.dtype, reference.dtype, noisy.shape) == (np.float32, np.float32, reference.shape)
    np.testing.assert_array_equal(noisy, noise.on(clean, 1)[0])
    assert not np.array_equal(noisy, noise.on(clean, 2)[0])
    assert 3 < 255 * np.std(noisy - reference, dtype=np.float64) < 70
    assert reference.min() >= 0
    assert reference.max() <= 1
    np.testing.assert_array_equal(clean, before)


def test_blurred_noise_has_its_level_and_the_correlation_of_a_gaussian():
    noise = np.subtract(*Noise("blurred:radius=1,sigma=12").on(gray(shape=(4, 160, 160)), 1)).astype(np.float64)
    assert 255 * noise.std() == pytest.approx(12, rel=1e-5)
    for lagged in (noise[:, 1:] * noise[:, :-1], noise[:, :, 1:] * noise[:, :, :-1]):
        assert lagged.mean() / noise.var() == pytest.approx(np.exp(-1 / 4), abs=0.02)
    assert (noise[1:] * noise[:-1]).mean() / noise.var() == pytest.approx(0, abs=0.02)


def test_enlarged_is_the_clip_between_its_pixels():
    ramp = np.broadcast_to(np.linspace(0.2, 0.7, 51, dtype=np.float32)[:, None], (3, 51, 40))
    noisy, reference = Noise("enlarged:factor=2").on(ramp, 1)
    assert noisy.shape == reference.shape == (3, 102, 80)
    place = (np.arange(102) + 0.5) / 2 - 0.5
    np.testing.assert_allclose(reference[1, 20:80, 7], (0.2 + 0.01 * place)[20:80], atol=1e-6)
    noise = (noisy - reference).astype(np.float64)
    assert (noise[:, :, 1:] * noise[:, :, :-1]).mean() > 0.6 * noise.var()


def test_demosaicing_keeps_what_the_mosaic_saw_and_fills_with_means():
    clean = scene(3)
    noisy, reference = Noise("demosaiced").on(clean, 1)
    white = Noise("white").on(clean, 1)[0]
    for made, of in ((noisy, white), (reference, clean)):
        red, green, blue = np.moveaxis(of.astype(np.float64), -1, 0)
        close = {"rtol": 0, "atol": 1e-6}
        np.testing.assert_allclose(made[:, ::2, ::2, 0], red[:, ::2, ::2], **close)
        np.testing.assert_allclose(made[:, ::2, 1::2, 1], green[:, ::2, 1::2], **close)
        np.testing.assert_allclose(made[:, 1::2, ::2, 1], green[:, 1::2, ::2], **close)
        np.testing.assert_allclose(made[:, 1::2, 1::2, 2], blue[:, 1::2, 1::2], **close)
        beside = red[2, 4, 6] + red[2, 4, 8], red[2, 4, 6] + red[2, 6, 6]
        np.testing.assert_allclose([made[2, 4, 7, 0], made[2, 5, 6, 0]], np.divide(beside, 2), **close)
        np.testing.assert_allclose(made[2, 5, 7, 0], red[2, [4, 4, 6, 6], [6, 8, 6, 8]].mean(), **close)
        np.testing.assert_allclose(made[2, 4, 6, 1], green[2, [3, 5, 4, 4], [6, 6, 5, 7]].mean(), **close)


@pytest.mark.parametrize("channels", [0, 3])
def test_jpeg_is_what_another_writer_makes_of_the_noisy_frames(channels):
    clean = scene(channels)
    eight = np.rint(255 * Noise("white", clipped=True).on(clean, 1)[0]).astype(np.uint8)
    noisy = Noise("jpeg:quality=40").on(clean, 1)[0]
    coded = [iio.imread(iio.imwrite("<bytes>", frame, extension=".jpg", quality=40)) for frame in eight]
    np.testing.assert_array_equal(np.rint(255 * noisy), coded)
    assert not np.array_equal(coded, eight)


def test_h264_loses_more_at_a_higher_crf_and_next_to_nothing_at_0():
    clean = scene()
    white = Noise("white", clipped=True).on(clean, 1)[0]
    lost = [255 * np.abs(Noise(f"h264:crf={crf}").on(clean, 1)[0] - white).mean() for crf in (0, 18, 35)]
    assert lost[0] < 0.6  # Rounding to the levels of a limited range.
    assert 2 * lost[0] < lost[1] < lost[2]


def test_impulses_are_a_share_of_the_pixels_in_all_channels_and_nothing_else_changes():
    clean = gray(shape=(8, 60, 70, 3))
    noisy, white = Noise("impulse:share=0.1,sigma=5").on(clean, 1)[0], Noise("white:sigma=5").on(clean, 1)[0]
    struck = noisy != white
    assert (struck == struck[..., :1]).all()
    assert set(np.unique(noisy[struck])) == {0, 1}
    count = struck[..., 0].size
    assert struck.mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / count))
    assert noisy[struck].mean() == pytest.approx(0.5, abs=0.1)
    assert not (struck[1:] == struck[:-1]).all()


def test_hot_pixels_are_white_in_every_frame():
    clean = gray(shape=(4, 100, 120, 3))
    noisy, white = Noise("hot:share=0.01").on(clean, 1)[0], Noise("white:sigma=5").on(clean, 1)[0]
    struck = noisy != white
    assert (struck == struck[:1, ..., :1]).all()
    assert (noisy[struck] == 1).all()
    assert struck[0, ..., 0].mean() == pytest.approx(0.01, abs=4 * np.sqrt(0.01 / 12000))


@pytest.mark.parametrize(("name", "fixed"), [("rows", (2,)), ("columns", (0, 1))])
def test_stripes_are_offsets_of_their_size_of_rows_or_columns(name, fixed):
    stripes = added(f"{name}:amplitude=6,sigma=10", gray(shape=(5, 300, 400)), 10)
    for axis in fixed:
        np.testing.assert_allclose(np.diff(stripes, axis=axis), 0, atol=1e-4)
    for axis in {0, 1, 2} - {*fixed}:
        assert np.diff(stripes, axis=axis).std() == pytest.approx(6 * np.sqrt(2), rel=0.15)
    assert stripes.std() == pytest.approx(6, rel=0.15)


def test_duplicates_repeat_clip_and_noise_but_for_single_steps():
    noisy, reference = Noise("duplicates:copies=3,change=1").on(scene(), 1)
    white = Noise("white").on(scene(), 1)[0]
    for first in (0, 3):
        np.testing.assert_array_equal(noisy[first], white[first])
        for k in range(first, first + 3):
            np.testing.assert_array_equal(reference[k], scene()[first])
            steps = 255 * (noisy[k] - noisy[first])
            np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
            assert {*np.unique(np.rint(steps))} == ({0} if k == first else {-1, 0, 1})


def test_changes_of_light_stay_in_the_reference_and_the_noise_is_white():
    for text in ("flicker", "bands", "fade"):
        clean = scene(3)
        noisy, reference = Noise(text).on(clean, 1)
        noise = 255 * (noisy - reference)
        assert noise.std() == pytest.approx(20, rel=0.03)
        assert (reference != clean).any()


def test_gains_are_those_of_the_scenario():
    clean = gray()
    flicker = Noise("flicker:amount=0.05").on(clean, 1)[1] / clean
    np.testing.assert_array_equal(flicker, np.broadcast_to(flicker[:, :1, :1], clean.shape))
    assert 0.01 < np.abs(flicker - 1).max() <= 0.05 + 1e-6
    assert len(np.unique(flicker)) == len(clean)
    fade = Noise("fade:least=0.25").on(clean, 1)[1] / clean
    np.testing.assert_allclose(fade[:, 3, 5], [0.25, 0.4, 0.55, 0.7, 0.85, 1], rtol=1e-6)
    bands = Noise("bands:amount=0.2,cycles=1.25").on(clean, 1)[1] / clean  # 48 rows: a cycle has 38.4 rows.
    lines = bands[..., 0].ravel()
    np.testing.assert_allclose(lines, 1 + 0.2 * np.sin(np.arange(lines.size) * 2 * np.pi / 38.4), rtol=1e-5)
    assert np.clip(bands, 0.8, 1.2) == pytest.approx(bands, rel=1e-6)


def test_light_saturates_at_white():
    noisy, reference = Noise("flicker:amount=0.5,sigma=0").on(gray(0.9), 1)
    assert reference.max() == noisy.max() == 1


def test_headings_tell_every_option_and_pages_tell_what_it_means():
    for name in SCENARIOS:
        noise = Noise(name)
        for key, value in noise.options.items():
            if key != "cycles":
                assert f"{value:g}" in noise.label, (name, key)
    assert Noise("h264:sigma=3,crf=30").label == "H.264 crf 30, σ = 3 before"
    assert Noise("blurred", clipped=True).label == "blurred by 0.7 pixels, σ = 20, clipped to 8 bits"
    labels = {Noise(name).label for name in SCENARIOS}
    assert len(labels) == len(SCENARIOS)


def test_the_page_and_the_help_list_every_scenario_with_its_options(call):
    page, said = PAGE.read_text(encoding="utf-8"), call("bench", "--help")[1]
    listed = said.partition("Scenarios are ")[2]
    for name in SCENARIOS:
        noise = Noise(name)
        defaults = ", ".join(f"{key}={value:g}" for key, value in noise.options.items())
        assert f"| `{name}` | {defaults} | {noise.meaning} |" in page
        assert name in listed


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("snow", "no noise 'snow'; choose from: white:sigma=20; .*h264:crf=23,sigma=20; .*rows:amplitude=8,sigma=10"),
        ("", "no noise ''"),
        ("blurred:share=1", "the noise blurred has no option 'share'; it has radius, sigma"),
        ("blurred:0.7", "no option '0.7'"),
        ("blurred:radius", "radius is ''"),
        ("blurred:radius=wide", "radius is 'wide'; it must be a finite number above 0"),
        ("blurred:radius=0", "radius is 0"),
        ("white:sigma=nan", "sigma is nan"),
        ("white:sigma=0", "above 0"),
        ("rows:amplitude=-1", "amplitude is -1"),
        ("impulse:share=1.5", "share is 1.5"),
        ("enlarged:factor=0.5", "factor is 0.5"),
        ("h264:crf=52", "crf is 52"),
        ("h264:crf=22.5", "whole number"),
        ("jpeg:quality=0", "quality is 0"),
        ("duplicates:copies=1", "copies is 1"),
        ("white:sigma=1,sigma=2", "twice"),
    ],
)
def test_unknown_names_options_and_ranges_are_refused(text, fault):
    with pytest.raises(ParameterError, match=fault):
        Noise(text)


def test_methods_are_measured_against_the_reference_of_the_scenario(monkeypatch):
    monkeypatch.setattr(measuring, "first_call", lambda method, video: 1.0)
    monkeypatch.setattr("pde_video.bench.ffmpeg.lacks", lambda name: "taken away")
    clip, noise = Clip("scene", scene(), "made up"), Noise("enlarged:factor=1.5")
    noisy, reference = noise.on(clip.frames, 1)
    same, told = Method("same", OURS, lambda video: video), Method("told", "numpy", lambda v, s: v, (1.0,), "s")
    found = measuring.run([clip], [noise, Noise("white")], [same, told])
    psnr = np.mean([pv.psnr(*pair) for pair in zip(reference, noisy, strict=True)])
    assert [row.psnr for row in found.rows[:4]] == [None, *3 * [pytest.approx(psnr)]]
    assert found.rows[3].strength == f"s = {np.sqrt(np.square(noisy - reference).mean()):.3g}"
    assert found.rows[5].psnr == pytest.approx(-20 * np.log10(20 / 255), abs=0.1)
    assert found.facts["noise"] == {noise.label: noise.meaning, "σ = 20": Noise("white").meaning}


def test_a_scenario_that_a_clip_cannot_have_is_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(measuring, "first_call", lambda method, video: pytest.fail("something was measured"))
    with pytest.raises(ParameterError, match="three colours"):
        measuring.run([Clip("grey", scene(), "made up")], [Noise("white"), Noise("demosaiced")], [])
