"""The noise of a video as a value: measured once, kept, and the same for every piece of the video."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import FrozenInstanceError, replace
from functools import cache

import numpy as np
import pytest
from cases import marked_slow, slow
from hypothesis import given, settings
from hypothesis import strategies as st

import pde_video as pv
from pde_video.denoisers.network import shipped
from pde_video.denoising.channels import stronger
from pde_video.denoising.other_methods import PERIOD
from pde_video.motion.neighbours import REACH

NOISE = pv.NoiseEstimate(0.5, 30.0, 0.25, (1.5, 0.6, 0.7), 255.0)
SIGMA = 0.08
DTYPES = ["uint8", "float32", *slow("uint16", "float64")]

positive = st.floats(1e-30, 1e30)
estimates = st.builds(
    pv.NoiseEstimate,
    slope=st.just(0.0) | positive,
    offset=positive,
    fixed=st.floats(0, 1),
    colours=st.none() | st.lists(positive, min_size=1, max_size=5),
    unit=st.sampled_from([1.0, 127.0, 255.0, 65535.0]),
    spectra=st.none() | st.lists(st.lists(positive, min_size=64, max_size=64), min_size=1, max_size=3),
    channels=st.sampled_from([None, (0.5,), (2.0, 0.1, 1.0)]),
)


@given(estimates)
def test_a_value_comes_back_from_everything_it_is_written_as(noise):
    assert eval(repr(noise), {"NoiseEstimate": pv.NoiseEstimate}) == noise
    assert pv.NoiseEstimate.from_dict(noise.to_dict()) == noise
    assert pv.NoiseEstimate.from_json(noise.to_json()) == noise
    assert pickle.loads(pickle.dumps(noise)) == noise
    assert json.loads(noise.to_json()) == noise.to_dict()
    assert len({noise, replace(noise)}) == 1
    assert noise != replace(noise, offset=2 * noise.offset)
    with pytest.raises(FrozenInstanceError):
        noise.slope = 1.0


def test_numbers_of_any_kind_become_plain_ones():
    noise = pv.NoiseEstimate(np.float32(0.5), 30, np.float64(0.25), [1, np.float32(0.5), 2], np.int64(255))
    assert (
        repr(noise)
        == "NoiseEstimate(slope=0.5, offset=30.0, fixed=0.25, colours=(1.0, 0.5, 2.0), unit=255.0, spectra=None, "
        "impulses=0.0, hot=0.0, rows=0.0, columns=0.0, photons=None, copied=0.0, channels=None)"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slope": -0.1}, "slope is -0.1; it must be ≥ 0"),
        ({"slope": 0, "offset": -1}, "offset is -1.0 and slope 0"),
        ({"offset": math.nan}, "offset is nan; it must be finite"),
        ({"offset": 10**400}, "offset is inf; it must be finite"),
        ({"offset": None}, "offset is None; it must be a number"),
        ({"slope": "0.5"}, "slope is '0.5'; it must be a number"),
        ({"slope": True}, "slope is True; it must be a number"),
        ({"fixed": 1.1}, "fixed is 1.1; it must be from 0 to 1"),
        ({"fixed": -0.1}, "fixed is -0.1; it must be from 0 to 1"),
        ({"copied": 1.0}, "copied is 1.0; it must be from 0 to below 1"),
        ({"unit": 0}, "unit is 0.0; it must be positive"),
        ({"unit": -255}, "unit is -255.0; it must be positive"),
        ({"colours": []}, "a standard deviation for each channel, or None"),
        ({"colours": 1.5}, "a standard deviation for each channel, or None"),
        ({"colours": "abc"}, "a standard deviation for each channel, or None"),
        ({"colours": [1, 0, 1]}, "each must be positive"),
        ({"colours": [1, math.inf, 1]}, "colours is inf; it must be finite"),
        ({"channels": []}, r"channels is \[\]; it must be a standard deviation for each channel, or None"),
        ({"channels": [1, 1e-50, 1]}, "channels is .*; each must be at least 0.001"),
        ({"spectra": []}, r"spectra is \[\]; it must be a sequence of 64 variances for each plane, or None"),
        ({"spectra": "white"}, "spectra is 'white'; it must be a sequence"),
        ({"spectra": [[1.0] * 63]}, "each plane must have a sequence of 64 variances"),
        ({"spectra": [1.0] * 64}, "spectra has 1.0; each plane must have"),
        ({"spectra": [[1.0] * 63 + [0.0]]}, "spectra has a variance that is not positive"),
        ({"spectra": [[1.0] * 63 + [math.nan]]}, "spectra is nan; it must be finite"),
    ],
)
def test_what_is_no_estimate_is_refused(changes, message):
    with pytest.raises(pv.ParameterError, match=message):
        pv.NoiseEstimate.from_dict(NOISE.to_dict() | changes)


def test_a_file_of_an_earlier_version_has_white_noise():
    earlier = {name: value for name, value in NOISE.to_dict().items() if name != "spectra"}
    assert pv.NoiseEstimate.from_dict(earlier) == NOISE


def test_a_dict_has_the_defaults_of_the_class_and_what_is_wrong_with_others_is_said():
    assert pv.NoiseEstimate.from_dict({"slope": 0, "offset": 400, "unit": 255}) == pv.NoiseEstimate(0, 400, unit=255)
    with pytest.raises(
        pv.ParameterError, match=r"noise: offset, unit is missing and sigma, 3 is unknown; it has slope"
    ):
        pv.NoiseEstimate.from_dict({"slope": 0, "sigma": 3, 3: 4})
    with pytest.raises(pv.ParameterError, match=r"noise: unit is missing; it has slope"):
        pv.NoiseEstimate.from_json('{"slope": 0, "offset": 400}')


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "3", '{"slope": 1}', "{", "[" * 100_000),
        NOISE.to_json().replace("30.0", "NaN"),
        json.dumps(NOISE.to_dict() | {"sigma": 3.0}),
    ],
)
def test_json_that_is_no_estimate_is_refused(text):
    with pytest.raises(pv.ParameterError, match=r"not an estimate of noise|must be finite"):
        pv.NoiseEstimate.from_json(text)


@cache
def scene(dtype="float32", colour=False, kind="gaussian", frames=14):
    """A moving pattern with a cut before frame 6 and frames 3 and 9 shown three and two times, under noise."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:26, :34]
    k = np.arange(frames)[:, None, None]
    video = 0.5 + 0.3 * np.sin((columns + 1.5 * k) / 4) * np.cos((rows + k) / 3)
    video[6:] = 0.5 + 0.3 * np.sin((rows - k[6:]) / 5) * np.sign(np.cos(columns / 6))
    if colour:
        video = video[..., None] * [1.0, 0.8, 0.6]
    deviation = SIGMA if kind == "gaussian" else np.sqrt(0.01 * video + 0.001)
    shared = rng.standard_normal(video.shape[:3]).reshape(*video.shape[:3], *[1] * colour)  # Alike in all colours.
    noise = 0.8 * rng.standard_normal(video.shape) + 0.6 * shared
    noisy = video + deviation * (0.9 * noise + 0.4 * rng.standard_normal(video.shape[1:]))
    noisy[4:6], noisy[10] = noisy[3], noisy[9]
    if np.dtype(dtype).kind == "u":
        return np.rint(np.clip(noisy, 0, 1) * np.iinfo(dtype).max).astype(dtype)
    return noisy.astype(dtype)


def told_of(video, kind):
    """Return an estimate with everything in it that there can be."""
    unit = float(np.iinfo(video.dtype).max) if video.dtype.kind == "u" else 1.0
    colours = (1.4, 0.7, 0.8) if video.ndim == 4 else None
    slope, offset = (0.0, SIGMA**2) if kind == "gaussian" else (0.01, 0.001)
    spectra = [np.linspace(1.8, 0.2, 64).tolist()] * (3 if video.ndim == 4 else 1)
    return pv.NoiseEstimate(slope * unit, offset * unit**2, 0.2, colours, unit, spectra)


@cache
def whole(dtype, colour, kind, **options):
    video = scene(dtype, colour, kind)
    return pv.denoise(video, noise=told_of(video, kind), **options)


OPTIONS = [
    {"preset": preset, "causal": causal, **({} if radius is None else {"radius": radius})}
    for preset in ("balanced", "best")
    for radius in (0, 1, 3, None)
    for causal in (False, True)
]


@pytest.mark.parametrize("dtypes", [("uint8", "uint16", "float32"), *slow(("float64",))], ids=len)
@settings(max_examples=6, deadline=None)
@given(
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from(["gaussian", "poisson-gaussian"]),
    st.sampled_from(OPTIONS),
    st.lists(st.integers(1, 13), max_size=3, unique=True).map(sorted),
)
def test_pieces_with_their_halo_are_the_whole_bit_for_bit(dtypes, which, colour, kind, options, borders):
    dtype = dtypes[which % len(dtypes)]
    video = scene(dtype, colour, kind)
    noise = told_of(video, kind)
    expected = whole(dtype, colour, kind, **options)
    looked = pv.extent(pv.denoise(noise=noise, **options))
    assert looked.first == 0
    before, after = looked.before, looked.after
    for first, last in zip([0, *borders], [*borders, len(video)], strict=True):
        begin = max(0, first - before)
        piece = pv.denoise(video[begin : last + after], noise=noise, **options)[first - begin : last - begin]
        np.testing.assert_array_equal(piece, expected[first:last])


@pytest.mark.parametrize("times", [1, *slow(REACH)])
@pytest.mark.parametrize("options", marked_slow(OPTIONS, *(one for one in OPTIONS if one.get("radius") != 1)), ids=str)
def test_a_result_depends_on_the_frames_within_reach_and_on_all_of_them(options, times):
    rng = np.random.default_rng(0)
    video = 0.5 + np.float32(SIGMA) * rng.standard_normal((26, 18, 22), np.float32)  # No cut, nothing moves.
    noise, changed = told_of(video, "gaussian"), video.copy()
    changed[13] = changed[13, ::-1]
    one, other = (pv.denoise(y.repeat(times, axis=0), noise=noise, **options) for y in (video, changed))
    looked = pv.extent(pv.denoise(noise=noise, **options))
    before, after = looked.before // REACH, looked.after // REACH
    differ = np.flatnonzero((one != other).any((1, 2)))
    assert differ.tolist() == list(range(times * max(0, 13 - after), times * (min(25, 13 + before) + 1)))


@pytest.mark.parametrize(
    "options", [{"preset": "fast"}, {"method": "learned"}, {"method": "ddpm", "denoiser": shipped()}], ids=str
)
def test_what_goes_from_frame_to_frame_needs_all_frames_before_it(options):
    video = scene()
    noise = told_of(video, "gaussian")
    looked = pv.extent(pv.denoise(noise=noise, **options))
    assert looked.before is None
    assert looked.after == (None if "denoiser" in options else 0)  # Of a denoiser that is given, unknown.
    expected = pv.denoise(video, noise=noise, **options)
    for last in (5, 9):
        np.testing.assert_array_equal(pv.denoise(video[:last], noise=noise, **options), expected[:last])
    assert (pv.denoise(video[6:], noise=noise, **options)[3:] != expected[9:]).any() == ("method" in options)


@pytest.mark.parametrize("method", ["heat", "tv", "perona-malik", "ddpm"])
def test_methods_that_treat_frames_alone_are_cut_at_their_period(method):
    video = scene(frames=60)
    noise = told_of(video, "gaussian")
    assert pv.extent(pv.denoise(noise=noise, method=method)) == pv.Extent(0, 0, 1 if method == "ddpm" else 25, None)
    pieces = [pv.denoise(video[k : k + PERIOD], noise=noise, method=method) for k in range(0, 60, PERIOD)]
    np.testing.assert_array_equal(np.concatenate(pieces), pv.denoise(video, noise=noise, method=method))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("colour", "kind"), [(False, "gaussian"), (True, "poisson-gaussian")])
def test_the_estimate_is_what_denoise_measures_itself(dtype, colour, kind):
    video = scene(dtype, colour, kind)[:7]
    unit = told_of(video, kind).unit
    for told in ({}, {"noise": kind}, {"sigma": SIGMA * unit}, {"noise": (0.01 * unit, 0.001 * unit**2)}):
        noise = pv.measure_noise(video, **told)
        assert noise.unit == unit
        told_variance = "sigma" in told or isinstance(told.get("noise"), tuple)
        assert (noise.colours is not None) == (colour and not told_variance)
        for options in ({"radius": 1}, {"preset": "fast"}):
            report, again = {}, {}
            measured = pv.denoise(video, report=report, **told, **options)
            given = pv.denoise(iter(video), report=again, noise=noise, **options)
            np.testing.assert_array_equal(np.stack(list(given)), measured)
            assert again == report
    noise = pv.measure_noise(video, noise="gaussian")
    for method in ("heat", "ddpm"):
        given = pv.denoise(video[:3], noise=noise, method=method)
        np.testing.assert_array_equal(given, pv.denoise(video[:3], sigma=noise.sigma, method=method))


def test_what_is_measured_is_what_there_is():
    rng = np.random.default_rng(1)
    light = np.linspace(20, 200, 96) * np.ones((8, 96, 1))
    pattern = 6 * rng.standard_normal((96, 96))
    noisy = light + pattern + 8 * rng.standard_normal(light.shape)
    noise = pv.measure_noise(noisy)
    assert (noise.slope, noise.colours, noise.unit) == (0.0, None, 1.0)
    assert noise.sigma == pytest.approx(10, rel=0.03)
    assert noise.fixed == pytest.approx(0.36, abs=0.04)
    told = pv.measure_noise(noisy, sigma=12.0)
    assert (told.sigma, told.slope) == (12.0, 0.0)
    assert told.fixed == pytest.approx(0.36, abs=0.04)
    assert pv.measure_noise(noisy, noise=(0.01, 100.0)).offset == 100.0
    counts = pv.measure_noise(0.5 * rng.poisson(light / 0.5))
    assert counts.slope == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(("side", "frames"), [(16, 32), (300, 11), (500, 5)])
def test_only_the_first_frames_are_read(side, frames, rng):
    drawn = []

    def film():
        for k in range(100):
            drawn.append(k)
            yield rng.random((side, side), np.float32)

    pv.measure_noise(film())
    assert max(drawn) == frames - 1


def test_with_an_estimate_no_frame_is_waited_for():
    video, drawn = scene(), []

    def camera():
        for k, frame in enumerate(video):
            drawn.append(k)
            yield frame

    for preset in ("balanced", "best", "fast"):
        drawn.clear()
        report = {}
        results = pv.denoise(camera(), preset=preset, causal=True, noise=told_of(video, "gaussian"), report=report)
        first = next(results)
        assert drawn == [0]
        assert report["fixed"] == 0.2
        alone = pv.denoise(video[:1], preset=preset, noise=told_of(video, "gaussian"))
        np.testing.assert_array_equal(first, alone[0])


@pytest.mark.parametrize("preset", ["balanced", "fast"])
def test_every_number_of_an_estimate_counts(preset):
    video = scene(colour=True)
    noise = told_of(video, "poisson-gaussian")
    expected = pv.denoise(video, preset=preset, noise=noise)
    for changes in ({"slope": 0.02}, {"offset": 0.002}, {"fixed": 0.3}, {"colours": None}):
        other = pv.denoise(video, preset=preset, noise=replace(noise, **changes))
        assert (other != expected).mean() > 0.5, changes


def test_another_dtype_is_refused_and_full_scale_converts_exactly():
    video = scene("uint8", True, "poisson-gaussian")
    noise = told_of(video, "poisson-gaussian")
    floats = video.astype(np.float32) / np.float32(255)
    wide = video.astype(np.uint16) * 257
    for other, unit in ((floats, 1.0), (wide, 65535.0)):
        with pytest.raises(pv.ParameterError, match=f"full scale 255; .* {unit:g} .*give noise.to_unit"):
            pv.denoise(other, noise=noise)
        assert noise.to_unit(unit).unit == unit
    expected = pv.denoise(video, noise=noise)
    converted = pv.denoise(floats, noise=noise.to_unit(1.0))
    np.testing.assert_array_equal(np.rint(np.clip(converted, 0, 1) * np.float32(255)), expected)
    assert noise.to_unit(1.0).stabiliser() == noise.stabiliser()
    assert noise.to_unit(65535.0).slope == pytest.approx(noise.slope * 257)
    assert noise.to_unit(65535.0).offset == pytest.approx(noise.offset * 257**2)
    with pytest.raises(pv.ParameterError, match="unit is 0"):
        noise.to_unit(0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"noise": NOISE.to_unit(1.0)}, "3 numbers in colours, but the video has 1 channels"),
        ({"noise": replace(NOISE, unit=1.0, colours=None), "sigma": 0.1}, "give one of them"),
        ({"noise": replace(NOISE, unit=1.0, colours=None), "method": "tv"}, "grows with brightness"),
        ({"noise": replace(NOISE, unit=1.0, colours=None), "method": "learned"}, "grows with brightness"),
    ],
)
def test_an_estimate_that_does_not_fit_is_refused(arguments, message):
    with pytest.raises(pv.ParameterError, match=message):
        pv.denoise(np.random.default_rng(0).random((2, 8, 8)), **arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"sigma": -1.0}, pv.ParameterError, "sigma is -1.0"),
        ({"noise": "salt"}, pv.ParameterError, "noise is 'salt'"),
        ({"sigma": 1.0, "noise": (0.1, 0.0)}, pv.ParameterError, "give one of them"),
        ({"noise": (0.1, -1.0)}, pv.ParameterError, "a variance below 0"),
        ({"video": "clip.mp4"}, TypeError, "give an array"),
        ({"video": []}, pv.InputError, "no frame"),
        ({"video": np.full((2, 4, 4), np.nan)}, pv.InputError, "frame 0 holds NaN"),
        ({"video": np.ones((1, 4, 4)), "still": True}, pv.InputError, "only one frame"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        pv.measure_noise(**{"video": np.random.default_rng(0).random((2, 8, 8))} | arguments)


def test_a_recording_of_one_frame_is_named(tmp_path, rng):
    path = tmp_path / "one.tif"
    pv.write(path, rng.random((1, 8, 8)).astype(np.float32))
    for recording, name in ((path, f"noise_from {path}: "), (rng.random((1, 8, 8)), "noise_from: ")):
        with pytest.raises(pv.InputError) as caught:
            pv.denoise(rng.random((2, 8, 8)), noise_from=recording)
        assert str(caught.value).startswith(f"{name}there is only one frame")
        assert "at least two" in str(caught.value)


def test_no_noise_and_less_than_rounding_are_none(rng):
    video = rng.random((3, 24, 24)).astype(np.float32)
    none = pv.NoiseEstimate(0.0, 0.0)
    assert pv.measure_noise(np.full((3, 8, 8), 0.3)) == none
    assert pv.measure_noise(video, sigma=1e-9) == none
    report = {}
    for options in ({}, {"preset": "fast"}, {"method": "tv"}):
        np.testing.assert_array_equal(pv.denoise(video, noise=none, report=report, **options), video)
        assert report["sigma"] == 0


def temporal(frames):
    """Return the unbiased variance of every pixel over time, its mean, and that of what is fixed."""
    new = frames.var(axis=0, ddof=1).mean()
    return new, frames.mean(axis=0).var() - new / len(frames)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_dark_recording_tells_the_temporal_variance_and_what_is_fixed(dtype, rng):
    dark = 400 + 4 * rng.standard_normal((16, 96, 96)) + 3 * rng.standard_normal((96, 96))
    dark = np.rint(dark).astype(dtype)
    new, fixed = temporal(dark.astype(float))
    noise = pv.measure_noise(dark, still=True)
    assert noise.slope == 0
    assert noise.offset == pytest.approx(new + fixed, rel=0.03)
    assert noise.fixed == pytest.approx(fixed / (new + fixed), abs=0.03)
    assert noise.unit == (65535 if dtype == "uint16" else 1)


def test_noise_that_neighbours_share_counts_where_nothing_moves(rng):
    white = rng.standard_normal((12, 64, 64, 3))
    shared = 100 + 2.5 * (white + np.roll(white, 1, 1) + np.roll(white, 1, 2) + np.roll(white, (1, 1), (1, 2)))
    assert pv.measure_noise(shared, still=True).sigma == pytest.approx(5, rel=0.02)
    assert pv.measure_noise(shared).sigma == pytest.approx(5, rel=0.05)
    assert pv.estimate_sigma(shared) < 3
    assert pv.measure_noise(shared[..., 0], still=True).fixed == 0


def test_noise_that_is_stronger_as_a_whole_is_as_strong_in_each_channel():
    noise = pv.NoiseEstimate(slope=0.0, offset=4.0, unit=255.0, channels=(1.0, 2.0, 0.5))
    more = stronger(noise, 9.0)
    assert more.sigma == 3 * noise.sigma
    np.testing.assert_allclose(more.sigma * np.array(more.channels), noise.sigma * np.array(noise.channels))
    assert stronger(pv.NoiseEstimate(slope=2.0, offset=4.0, unit=255.0), 9.0).slope == 18
