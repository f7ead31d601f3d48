"""Single pixels that stand out: found, replaced, left out of averages; details are not."""

from typing import Any

import numpy as np
import pytest
from cases import marked_slow, slow

import pde_video as pv
from pde_video.bench.scenarios import Noise
from pde_video.denoising.denoise import PRESETS
from pde_video.estimate.outliers import LIKELY, SURE, _filled, _predicted, shares, standing_out, without_outliers
from pde_video.motion.averaging import GuidedFrame, averaged


def scene(frames: int = 6, shift: int = 1) -> Any:
    """A textured scene that moves by whole pixels, of uint8 range."""
    y, x = np.mgrid[:96, :128]
    wide = [
        128 + 50 * np.sin((x + shift * k) / 5) * np.cos(y / 7) + 20 * ((x + shift * k) // 16 % 2) for k in range(frames)
    ]
    return np.stack(wide)


def noisy(clean: Any, sigma: Any = 5.0) -> Any:
    return np.clip(np.rint(clean + np.random.default_rng(1).normal(0, sigma, clean.shape)), 0, 255).astype(np.uint8)


def with_impulses(video: Any, share: float) -> Any:
    rng = np.random.default_rng(2)
    where = rng.random(video.shape[:3]) < share
    out = video.copy()
    out[where] = 255 * rng.integers(0, 2, (np.count_nonzero(where), *video.shape[3:]))
    return out


def marked_by_definition(plane: Any, rule: Any, around: Any, again: bool) -> Any:
    """Sort the neighbours of every pixel, as the docstring of the kernel says."""
    seen = np.sort(plane[::4, ::4], axis=None)
    unit = max(1.0, 0.01 * float(seen[len(seen) * 49 // 50] - seen[len(seen) // 50]))
    out = np.zeros(plane.shape, np.int8)
    for i, j in np.ndindex(plane.shape):
        value = plane[i, j]
        for reach, rank in ((1, 2), (2, 4)):
            square = np.pad(around, 2, mode="reflect")[i + 2 - reach : i + 3 + reach, j + 2 - reach : j + 3 + reach]
            others = np.sort(square if again else np.delete(square, square.size // 2), axis=None)
            low, high = others[rank - 1], others[-rank]
            share = 0 if value in (plane.min(), plane.max()) else rule.share * reach
            far = rule.threshold * unit + share * max(high - low - 2 * unit, 0)
            if value - high > far:
                out[i, j] = 1
            elif low - value > far:
                out[i, j] = -1
    return out


@pytest.mark.parametrize(("rule", "again"), [(LIKELY, False), (SURE, False), (LIKELY, True)])
def test_outliers_are_those_of_the_definition(rule: Any, again: bool) -> None:
    rng = np.random.default_rng(0)
    plane = rng.normal(0, 1, (23, 31)).astype(np.float32)
    plane[rng.random(plane.shape) < 0.1] += 12
    plane[rng.random(plane.shape) < 0.1] -= 9
    plane[8:, 12:] += 20 * np.sin(np.arange(19))
    around = rng.normal(0, 1, plane.shape).astype(np.float32) if again else plane
    found = standing_out(plane[np.newaxis], around[np.newaxis], rule, again=again)[0]
    assert np.array_equal(found, marked_by_definition(plane, rule, around, again))
    assert (found == 1).any()
    assert (found == -1).any()


def test_an_outlier_becomes_the_median_of_its_neighbours_that_are_none() -> None:
    plane = np.arange(30, dtype=np.float32).reshape(5, 6)
    bad = np.zeros((5, 6), bool)
    bad[2, 2] = bad[2, 3] = bad[0, 0] = bad[0, 1] = bad[1, 0] = bad[1, 1] = True
    out = _filled(plane[np.newaxis], bad[np.newaxis])[0]
    assert out[2, 2] == np.median([8, 9, 13, 19, 20, 21])
    assert out[2, 3] == np.median([8, 9, 10, 16, 20, 21, 22])
    assert out[0, 0] == np.median([2, 8, 12, 13])  # None of its 8 neighbours is good: of the 24.
    assert np.array_equal(out[~bad], plane[~bad])


def test_two_waves_are_predicted_exactly() -> None:
    y, x = np.mgrid[:40, :50]
    plane = np.cos(0.9 * x + 0.4 * y) + 0.7 * np.cos(0.3 * x - 1.1 * y)
    inside = np.zeros(plane.shape, bool)
    inside[1:-1, 1:-1] = True
    bad = inside & ((y * 7 + x) % 23 == 0)
    np.testing.assert_allclose(_predicted(np.where(inside, plane, 0), bad)[2:-2, 2:-2], plane[2:-2, 2:-2], atol=0.05)
    whole = _predicted(plane, bad)
    np.testing.assert_array_equal(whole[~bad], plane[~bad])
    assert np.abs(whole - plane).max() < 0.02  # 0.3 by the median.
    for flat in (np.full((5, 6), 3.0), np.full((1, 6), 3.0), np.full((1, 1), 3.0)):
        np.testing.assert_array_equal(_predicted(flat, flat > 0), flat)


def test_impulses_of_two_values_leave_details_alone() -> None:
    rng = np.random.default_rng(4)
    plane = rng.normal(50, 1, (96, 128))
    details = np.zeros(plane.shape, bool)
    details[4::8, 4::8] = True
    impulses = (rng.random(plane.shape) < 0.02) & ~details
    plane[details] += 7
    low, high = plane.min() - 2, plane.max() + 8
    plane[impulses] = np.where(rng.random(plane.shape) < 0.5, low, high)[impulses]
    _, replaced = without_outliers(plane[..., np.newaxis], plane[..., np.newaxis], LIKELY)
    assert replaced[impulses].mean() > 0.8
    assert replaced[details].mean() < 0.05
    plane[impulses] = rng.uniform(low - 20, high + 20, plane.shape)[impulses]  # Of any value: details look like them.
    assert without_outliers(plane[..., np.newaxis], plane[..., np.newaxis], LIKELY)[1][details].mean() > 0.3


def test_impulses_of_two_values_are_found_in_crowds_but_lines_of_these_values_stay() -> None:
    rng = np.random.default_rng(5)
    plane = rng.normal(50, 1, (160, 192))
    impulses = rng.random(plane.shape) < 0.15
    impulses[80:] = impulses[80:] & (rng.random((80, 192)) < 0.01)
    impulses[86:95] = impulses[:, 80:89] = False
    kept = np.zeros(plane.shape, bool)
    kept[90, 10:70] = kept[94:140, 84] = True
    plane[impulses] = plane[90, 6:74] = plane[90:144, 84] = 90  # Of lines, four pixels at the ends are lost.
    _, replaced = without_outliers(plane[..., np.newaxis], plane[..., np.newaxis], LIKELY)
    assert replaced[impulses].mean() > 0.94
    assert not replaced[kept].any()


def test_details_beside_impulses_of_two_values_stay() -> None:
    """What stands out only once an impulse beside it is gone may be part of something larger."""
    plane = np.random.default_rng(6).normal(50, 1, (96, 128))
    plane[::12, ::12] = 120
    plane[20:22, 20:22] = 80
    plane[22, 22] = 120  # An impulse hides the fifth pixel.
    _, replaced = without_outliers(plane[..., np.newaxis], plane[..., np.newaxis], LIKELY)
    assert replaced[22, 22]
    assert not replaced[20:22, 20:22].any()


def test_lines_edges_corners_and_noise_stay() -> None:
    frame = np.zeros((40, 40, 1), np.float32)
    frame[:, 10] = frame[20, :] = 60.0
    y, x = np.mgrid[:40, :40]
    frame[abs(y - 16) + abs(x - 24) == 9] = 60.0  # A diamond of single pixels.
    frame[28:, 28:] = 90.0
    frame += np.random.default_rng(0).normal(0, 1, frame.shape).astype(np.float32)
    kept, where = without_outliers(frame, frame, LIKELY)
    assert not where.any()
    assert np.array_equal(kept, frame)


def test_shares_tell_impulses_from_hot_pixels_and_both_from_details() -> None:
    clean = scene() / 5  # In units of the noise of `noisy`.
    seen = (clean + np.random.default_rng(3).normal(0, 1, clean.shape)).astype(np.float32)
    frames = [one[..., np.newaxis] for one in seen]
    assert shares(frames) == (0.0, 0.0)
    few = [np.where(np.arange(12288).reshape(96, 128, 1) == 6000, 80.0, frame) for frame in seen[..., np.newaxis]]
    assert shares(few) == (0.0, 0.0)  # One of 12,288 may be a star.
    moving = [frame.copy() for frame in frames]
    for k, frame in enumerate(moving):
        frame[np.random.default_rng(k).random(frame.shape) < 0.03] = 80.0
    impulses, hot = shares(moving)
    assert abs(impulses - 0.03) < 0.004
    assert hot == 0
    where = np.random.default_rng(0).random((96, 128)) < 0.003
    for frame in frames:
        frame[where] = 80.0
    impulses, hot = shares(frames)
    assert impulses == 0
    assert 0.5 * where.mean() < hot <= where.mean()


@pytest.mark.parametrize("preset", marked_slow(PRESETS, "best", "fast"))
def test_impulses_cost_little(preset: str) -> None:
    clean = scene()
    sigma = pv.measure_noise(noisy(clean)).sigma
    without = pv.psnr(clean / 255, pv.denoise(noisy(clean), preset=preset) / 255)
    for share in (0.01, 0.05):
        report: dict[str, Any] = {}
        found = pv.denoise(with_impulses(noisy(clean), share), preset=preset, report=report)
        assert pv.psnr(clean / 255, found / 255) > without - 1.5
        assert abs(report["impulses"] - share) < 0.2 * share
        assert report["sigma"] == pytest.approx(sigma, rel=0.05)


def test_hot_and_dead_pixels_go_and_nothing_is_reported_without() -> None:
    clean, where = scene(), np.random.default_rng(5).random((96, 128)) < 0.003
    video = noisy(clean)
    report: dict[str, Any] = {}
    pv.denoise(video, report=report)
    assert "hot" not in report
    assert "impulses" not in report
    video[:, where] = 255
    error = np.abs(pv.denoise(video, report=report).astype(float) - clean)[:, where]
    assert report["hot"] > 0.001
    assert error.mean() < 6


def test_impulses_without_noise_and_in_colour() -> None:
    clean = np.rint(scene()).astype(np.uint8)
    assert pv.measure_noise(clean).impulses == 0
    report: dict[str, Any] = {}
    found = pv.denoise(with_impulses(clean, 0.02), report=report)
    assert report["impulses"] > 0.01
    assert pv.psnr(clean / 255, found / 255) > 38
    colour = np.stack([clean, clean[:, ::-1], clean[:, :, ::-1]], axis=-1)[:4]
    damaged = with_impulses(colour, 0.02)
    assert pv.psnr(colour / 255, pv.denoise(damaged) / 255) > pv.psnr(colour / 255, damaged / 255) + 15


def in_colour(frames: int = 5) -> Any:
    clean = scene(frames)
    return np.stack([clean, clean[:, ::-1], clean[:, :, ::-1]], axis=-1)


@pytest.mark.parametrize("sigma", [(0, 0, 20), *slow((20, 0, 0), (2, 2, 30))])
def test_noise_of_one_channel_is_no_impulses(sigma: tuple[float, ...]) -> None:
    clean, strength = in_colour(), np.array(sigma)
    whole = float(np.sqrt(np.square(strength).mean()))
    video = noisy(clean, strength)
    report: dict[str, Any] = {}
    found = pv.denoise(video, report=report)
    assert not {"impulses", "hot"} & set(report)
    assert report["sigma"] == pytest.approx(whole, rel=0.1)
    noise = pv.measure_noise(video)
    assert np.sqrt(np.mean(np.square(noise.colours))) == pytest.approx(1)
    assert noise.channels == pytest.approx(np.maximum(strength / whole, 0.1), rel=0.1, abs=0.05)
    assert pv.psnr(clean / 255, found / 255) > pv.psnr(clean / 255, video / 255) + 6


def test_impulses_beside_noise_of_one_channel_are_judged_by_it() -> None:
    clean = in_colour()
    video = noisy(clean, np.array([2, 2, 20]))
    without = pv.psnr(clean / 255, pv.denoise(video) / 255)
    damaged = with_impulses(video, 0.02)
    noise = pv.measure_noise(damaged)
    assert noise.impulses == pytest.approx(0.02, rel=0.2)
    assert noise.sigma == pytest.approx(np.sqrt((4 + 4 + 400) / 3), rel=0.1)
    assert pv.psnr(clean / 255, pv.denoise(damaged) / 255) > without - 1.5


def test_faint_impulses_of_a_channel_are_found_beside_noise_of_another() -> None:
    clean = in_colour()
    video = noisy(clean, np.array([2, 2, 20]))
    where = np.random.default_rng(6).random(video.shape[:3]) < 0.01
    video[where, 0] = np.minimum(video[where, 0].astype(int) + 45, 255)
    report: dict[str, Any] = {}
    found = pv.denoise(video, report=report)
    assert report["impulses"] == pytest.approx(0.01 / 3, rel=0.3)  # Of all channels.
    assert np.abs(found.astype(float) - clean)[where, 0].mean() < 8


def test_sigma_is_the_strength_of_all_planes() -> None:
    """Brightness alone has noise, the same in all channels: √3 of it in its plane, at least a tenth in the others."""
    noise = pv.measure_noise(np.repeat(noisy(scene(5))[..., np.newaxis], 3, axis=-1))
    assert noise.sigma == pytest.approx(5, rel=0.1)
    assert noise.colours == pytest.approx([np.sqrt(3), 0.1, 0.1], rel=0.1, abs=0.1)
    assert np.sqrt(np.mean(np.square(noise.colours))) == pytest.approx(1)
    rng = np.random.default_rng(1)  # Noise shared by 2 × 2 pixels counts as that of which their mean has a quarter.
    shared = rng.normal(0, 5, (1, 48, 64, 3)).repeat(2, axis=1).repeat(2, axis=2)
    noise = pv.measure_noise(128 + rng.normal(0, 1, (1, 96, 128, 3)) + shared)
    assert noise.sigma * noise.colours[1] == pytest.approx(10, rel=0.15)


def test_photon_noise_of_one_channel_has_its_line() -> None:
    light = np.stack([np.linspace(20, 200, 128) * np.ones((5, 96, 1))] * 3, axis=-1)
    rng = np.random.default_rng(3)
    light[..., 2] += np.sqrt(2 * light[..., 2]) * rng.normal(0, 1, light.shape[:3])
    noise = pv.measure_noise(light + rng.normal(0, 0.5, light.shape))
    assert noise.slope == pytest.approx(2, rel=0.1)
    assert noise.channels is not None
    assert noise.channels[2] == pytest.approx(1, rel=0.05)
    assert noise.impulses == noise.hot == 0


def test_what_was_replaced_has_a_sixteenth_of_the_weight() -> None:
    planes = [(np.full((1, 8, 8), value, np.float32), np.full((1, 4, 4), value, np.float32)) for value in (1, 5)]
    here, there = (GuidedFrame(*both) for both in planes)
    flow, one = np.zeros((2, 4, 4), np.float32), np.ones((4, 4), np.float32)
    replaced = np.zeros((8, 8), bool)
    replaced[3, 3] = True
    mean, left = averaged(here, [(there, flow, one)], replaced)[:2]
    assert mean[0, 0, 0] == 3
    assert left[0, 0] == 0.5
    assert mean[0, 3, 3] == pytest.approx((1 / 16 + 5) / (1 / 16 + 1))
    assert left[3, 3] == pytest.approx((1 / 16 + 1) / (1 / 16 + 1) ** 2)


def test_a_piece_and_a_stream_are_as_the_whole() -> None:
    video = with_impulses(noisy(scene(12)[:, :64, :96]), 0.03)
    noise = pv.measure_noise(video)
    assert noise.impulses > 0
    assert pv.NoiseEstimate.from_json(noise.to_json()) == noise
    whole = pv.denoise(video, noise=noise)
    assert np.array_equal(pv.denoise(video), whole)
    assert np.array_equal(pv.denoise(video[4:], noise=noise)[6:], whole[10:])
    assert np.array_equal(np.stack(list(pv.denoise(iter(video)))), whole)


def test_demosaiced_noise_is_no_impulses() -> None:
    """Pixels that a colour filter saw have all of their noise, those between are means of them."""
    colour = np.stack([scene(), scene()[:, ::-1], scene()[:, :, ::-1]], axis=-1)
    video, _ = Noise("demosaiced:sigma=20").on(colour / 255, 1)
    assert pv.measure_noise(np.rint(255 * np.clip(video, 0, 1)).astype(np.uint8)).impulses == 0


def test_noise_with_heavy_tails_is_denoised_without_its_outliers() -> None:
    """Student's t of three degrees of freedom has finite variance, and one value in a hundred beyond 3.4 σ."""
    clean = scene()
    noise = 10 / np.sqrt(3) * np.random.default_rng(8).standard_t(3, clean.shape)
    video = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    found, left = (pv.psnr(clean / 255, pv.denoise(video, repair=repair) / 255) for repair in ("auto", "none"))
    assert found > left + 0.5


def spots(deviation: float, frames: int = 5, *, still: bool = False) -> Any:
    """Gaussian spots of random places and height, new ones in every frame unless `still`, over noise of variance 1."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:96, :128]
    out = rng.normal(0, 1, (frames, 96, 128))
    for frame in out if not still else [np.zeros((96, 128))]:
        for _ in range(60):
            down, across, height = rng.uniform(3, 93), rng.uniform(3, 125), rng.uniform(20, 80)
            frame += height * np.exp(-((y - down) ** 2 + (x - across) ** 2) / (2 * deviation**2))
        if still:
            out += frame
    return out[..., np.newaxis]


def strokes(*, blurred: bool, frames: int = 5, kinds: Any = (0, 1, 2, 3)) -> Any:
    """Letters of lines that are one pixel wide, some oblique and with dots, the same in all frames, over noise."""
    rng = np.random.default_rng(8)
    page = np.zeros((96, 128))
    for top, left in np.ndindex(9, 15):
        letter = page[4 + 10 * top : 11 + 10 * top, 4 + 8 * left : 10 + 8 * left]
        kind = rng.choice(kinds)
        if kind == 0:
            letter[:5, 2] = 1  # A vertical line with a dot below.
            letter[6, 2] = 1
        elif kind == 1:
            letter[range(6), range(6)] = letter[range(6), range(5, -1, -1)] = 1
        elif kind == 2:
            letter[0, 1:5] = letter[3, 1:4] = letter[:6, 1] = 1
        else:
            letter[range(6), range(5, -1, -1)] = 1
    if blurred:
        page = 0.6 * page + 0.2 * (np.roll(page, 1, axis=1) + np.roll(page, -1, axis=1))
    return 40 * page[np.newaxis, ..., np.newaxis] + rng.normal(0, 1, (frames, 96, 128, 1))


def test_spots_stars_and_letters_are_no_outliers() -> None:
    for deviation in (0.5, 0.6, 0.7):
        for still in (False, True):
            assert shares(list(spots(deviation, still=still))) == (0.0, 0.0)
    for blurred in (False, True):
        assert shares(list(strokes(blurred=blurred))) == (0.0, 0.0)
    assert shares(list(strokes(blurred=False, kinds=(1, 3)))) == (0.0, 0.0)  # Which go on in corners only.
    where = np.random.default_rng(9).random((96, 128)) < 0.002
    for single in (np.zeros((5, 96, 128, 1)), spots(0.9)):  # Wider spots stand out from no ring.
        frames = list(single + np.random.default_rng(3).normal(0, 1, single.shape) + 60 * where[..., np.newaxis])
        assert shares(frames)[1] > 0.5 * where.mean()


@pytest.mark.parametrize("told", [None, 5.0])
def test_letters_over_noise_keep_their_strokes(told: float | None) -> None:
    clean = scene(shift=0)[:5]
    clean[:, :24] = 40 + 200 * (strokes(blurred=False)[:1, :24, :, 0] > 20)
    report: dict[str, Any] = {}
    found = pv.denoise(noisy(clean), sigma=told, report=report)
    assert not {"hot", "impulses"} & set(report)
    assert pv.psnr(clean / 255, found / 255) > pv.psnr(clean / 255, noisy(clean) / 255) + 3


def test_nothing_is_mended_without_repair() -> None:
    clean = scene()[:, :64, :80]
    video = with_impulses(noisy(clean), 0.03)
    video = np.clip(video + np.rint(np.random.default_rng(5).normal(0, 8, (6, 64, 1))), 0, 255).astype(np.uint8)
    found = pv.measure_noise(video)
    assert found.impulses > 0
    for told in ({}, {"sigma": 5.0}, {"noise": found}, {"noise": (0.0, 25.0)}, {"noise_from": video}):
        report: dict[str, Any] = {}
        kept = pv.denoise(video, radius=1, repair="none", report=report, **told)
        assert not {"impulses", "hot", "rows", "columns"} & set(report)
        assert not np.array_equal(kept, pv.denoise(video, radius=1, **told))
    without = pv.measure_noise(video, repair="none")
    assert without.impulses == without.hot == without.rows == without.columns == 0
    expected = pv.denoise(video, repair="none")
    assert np.array_equal(pv.denoise(video, noise=without), expected)
    assert np.array_equal(np.stack(list(pv.denoise(iter(video), repair="none"))), expected)
    plain = noisy(clean)
    assert np.array_equal(pv.denoise(plain, repair="none"), pv.denoise(plain))
    with pytest.raises(pv.ParameterError, match="'tv' mends no outliers or stripes"):
        pv.denoise(video, method="tv", repair="none")
    with pytest.raises(pv.ParameterError, match="repair"):
        pv.denoise(video, repair="some")
    with pytest.raises(pv.ParameterError, match="repair"):
        pv.measure_noise(video, repair="some")
