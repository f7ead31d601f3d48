"""Pages of letters without noise are told from noise, and faint light from pages."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

import pde_video as pv
from pde_video.estimate.drawings import is_drawn


def page(rng, size=12, ink=0.0, paper=255.0, height=160, width=192):
    """Letters of strokes one seventh of their height wide, with smooth edges, in lines."""
    rows, columns = height // size, width * 5 // (4 * size)
    strokes = rng.random((rows, 7, columns, 5)) < 0.4
    strokes[:, -2:] = False
    strokes[..., -1] = False
    shape = rows * 7, columns * 5
    letters = zoom(strokes.reshape(shape).astype(float), (height / shape[0], width / shape[1]), order=0)
    letters = np.clip(1.4 * gaussian_filter(letters, 0.6) - 0.2, 0, 1)
    return np.rint(np.clip(paper + (ink - paper) * letters, min(ink, paper), max(ink, paper)))


def drawing(rng, strokes=40, height=160, width=192):
    """Straight lines, one pixel wide, with smooth edges, all over white paper."""
    y, x = np.mgrid[:height, :width]
    ink = np.zeros((height, width))
    for _ in range(strokes):
        angle = rng.uniform(0, np.pi)
        across = (x - rng.uniform(0, width)) * np.sin(angle) - (y - rng.uniform(0, height)) * np.cos(angle)
        ink = np.maximum(ink, np.clip(1.2 - np.abs(across), 0, 1))
    return np.rint(255 * (1 - ink))


def printed(size, spacing):
    """Lines of a real font."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (320, 240), 255)
    text = "the quick brown fox jumps over the lazy dog 0123456789"
    for k, top in enumerate(range(4, 240 - size, int(spacing * size))):
        ImageDraw.Draw(picture).text((4, top), text[k:] + text, fill=0, font=ImageFont.load_default(size))
    return np.asarray(picture, np.float64)


PAGES = [(14, 0, 255), (16, 40, 235), (20, 255, 0), (28, 230, 20), (28, 0, 128)]


@pytest.mark.parametrize(("size", "ink", "paper"), PAGES)
def test_a_page_without_noise_stays_as_it_is(rng, size, ink, paper):
    tall = page(rng, size, ink, paper, height=14 * size)
    for step in (0, 3, size):
        video = np.stack([tall[step * k : step * k + 9 * size] for k in range(6)]).astype(np.uint8)
        report = {}
        np.testing.assert_array_equal(pv.denoise(video, report=report), video)
        assert report["sigma"] == 0


@pytest.mark.parametrize(("ink", "paper"), [(10, 240), (230, 30)])
@pytest.mark.parametrize("crf", [18, 28])
def test_a_still_page_that_a_codec_has_touched_stays_as_it_is(rng, tmp_path, ink, paper, crf):
    video = np.repeat(page(rng, 18, ink, paper)[np.newaxis], 10, axis=0).astype(np.uint8)
    pv.write(tmp_path / "page.mp4", video, codec="h264", crf=crf)
    coded = np.stack(list(pv.read(tmp_path / "page.mp4")))
    assert not is_drawn(pv.to_gray(coded[:1])[0, ..., np.newaxis].astype(np.float32) / 255)
    report = {}
    np.testing.assert_array_equal(pv.denoise(coded, report=report), coded)
    assert report["sigma"] == 0


def test_a_still_page_with_noise_and_a_noisy_picture_that_repeats_are_denoised(rng, clips):
    for size, sigma in ((18, 5), (8, 1)):  # Much weaker than the letters, but it changes all blocks.
        clean = page(rng, size, 40, 200)
        video = clean + rng.normal(0, sigma, (8, *clean.shape))
        assert pv.measure_noise(video).sigma == pytest.approx(sigma, rel=0.1)
    picture = next(iter(pv.read(clips["bikes"])))[:200, :300].mean(axis=2)
    repeated = np.repeat((picture + rng.normal(0, 10, picture.shape))[np.newaxis], 6, axis=0)
    assert pv.measure_noise(repeated).sigma == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("step", [0, 3])
@pytest.mark.parametrize("colours", [(1, 1, 1), (1, 0.3, 0.7)])
def test_a_page_in_colour_stays_as_it_is(rng, colours, step):
    tall = (page(rng, 20, height=280)[..., None] * np.array(colours)).astype(np.uint8)
    video = np.stack([tall[step * k : step * k + 160] for k in range(6)])
    report = {}
    np.testing.assert_array_equal(pv.denoise(video, report=report), video)
    assert report["sigma"] == 0


def test_line_drawings_and_printed_pages_stay_as_they_are(rng):
    for picture in (drawing(rng, 15), drawing(rng, 40), printed(16, 2), printed(12, 1.3), printed(24, 1.5)):
        for step in (0, 2):
            video = np.stack([picture[step * k : step * k + 140] for k in range(6)]).astype(np.uint8)
            assert pv.measure_noise(video).sigma == 0


def test_a_page_that_is_mostly_empty_is_drawn(rng):
    short = page(rng)
    short[48:] = 255
    assert is_drawn(short[..., None])


def test_colours_of_a_page_are_drawn_too(rng):
    colours = np.array([[200, 30, 90]]) + page(rng, 20, 1, 0)[..., None] * np.array([[-150, 200, 100]])
    assert is_drawn(colours)
    assert not is_drawn(colours + rng.normal(0, 1, colours.shape))


@pytest.mark.parametrize("mean", [0.05, 0.2, 0.5, 1, 3])
def test_faint_light_is_not_drawn(rng, mean):
    light = mean * np.exp(gaussian_filter(rng.standard_normal((128, 160)), 6) * 10)
    for counts in (rng.poisson(mean, (128, 160, 1)), rng.poisson(light)[..., None]):
        assert not is_drawn(counts.astype(float))


def test_noise_above_a_black_level_and_beside_letters_is_not_drawn(rng):
    spots = gaussian_filter(rng.standard_normal((128, 160)), 2)  # Some in every tile.
    cells = np.where(spots > 0.05, np.rint(60 + 300 * spots + rng.normal(0, 4, spots.shape)), 0)
    assert not is_drawn(cells[..., None])
    partly = np.full((160, 384, 1), 255.0)
    partly[:64, :96] = 128 + rng.normal(0, 10, (64, 96, 1))
    partly[:32, np.flatnonzero(np.arange(96) % 16 < 8)] = 255  # As many tiles have some paper as have none.
    assert not is_drawn(partly)
    inset = np.full((160, 192, 1), 255.0)
    inset[:32, :48] = 128 + rng.normal(0, 10, (32, 48, 1))
    assert not is_drawn(inset)
    both = page(rng)
    both[:, :60] = 128 + rng.normal(0, 10, (160, 60))
    assert not is_drawn(both[..., None])
    assert not is_drawn(np.full((64, 64, 1), 7.0))
    assert not is_drawn(np.zeros((8, 8, 1)))


def test_clean_clips_and_clipped_noise_are_not_drawn(real_frames, rng):
    for frames in real_frames.values():
        grey = pv.to_gray(frames[:1])[0].astype(float)
        assert not is_drawn(grey[..., None])
        assert not is_drawn(np.rint(np.clip(grey + rng.normal(0, 40, grey.shape), 60, 190))[..., None])
