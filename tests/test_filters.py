"""Every filter answers in kind: array for array, stream for stream, dtype for dtype."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from cases import slow
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import pde_video as pv

FILTERS = {
    "denoise": pv.denoise,
    "denoise heat": partial(pv.denoise, method="heat"),
    "denoise tv": partial(pv.denoise, method="tv"),
    "denoise ddpm": partial(pv.denoise, method="ddpm"),
    "denoise learned": partial(pv.denoise, method="learned"),
    "reverse process": pv.reverse(pv.SmoothPrior(), pv.karras(3, sigma_max=0.2), pv.ddim(0.5, rng=1)),
    "refine": partial(pv.refine, strength=0.05, steps=3),
    "predict": partial(pv.predict, count=1, steps=5),
    "framewise": pv.framewise(pv.PeronaMalik(0.1), pv.uniform(1.0)),
    "reverse": pv.framewise(pv.Reverse(lambda y, sigma: y / (1 + sigma)), pv.karras(3, sigma_max=0.3), pv.ancestral(0)),
    "frame_difference": partial(pv.frame_difference, alpha=-0.5),
    "recursive": partial(pv.frame_difference, alpha=-0.5, kappa=0.5),
    "extrapolate": partial(pv.extrapolate, frames=2),
    "extrapolate the motion": partial(pv.extrapolate, frames=2, method="motion"),
    "interpolate": partial(pv.interpolate, factor="3/2", cuts="ignore"),
    "video_diffusion": partial(pv.video_diffusion, alpha=0.5, num_iterations=2),
    "deflicker": partial(pv.deflicker, width=2),
    "deflicker in tiles": partial(pv.deflicker, width=1, local=True, colour=True),
    "stabilize": partial(pv.stabilize, smoothing=2),
    "crop": partial(pv.crop, top=1, left=2, height=3, width=4),
    "resize": partial(pv.resize, height=13, width=5),
    "superresolve": partial(pv.superresolve, factor=1.5),
    "to_gray": pv.to_gray,
    "normalize": pv.normalize,
    "clip": partial(pv.clip, low=0.2, high=0.7),
    "gaussian_noise": partial(pv.gaussian_noise, sigma=0.1),
    "poisson_gaussian_noise": partial(pv.poisson_gaussian_noise, slope=0.1, readout=0.1),
    "pipeline": pv.pipeline(pv.denoise, partial(pv.extrapolate, frames=1)),
}
SHAPES = {"grey": (6, 8, 9), "colour": (6, 8, 9, 3), "one channel": (6, 8, 9, 1)}


def some_video(shape, dtype, seed=5):
    rng = np.random.default_rng(seed)
    video = np.clip(rng.normal(0.5, 0.15, shape), 0, 1)
    return (video * np.iinfo(dtype).max if np.dtype(dtype).kind in "iu" else video).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, *slow(np.uint16, np.int16, np.float16, np.float64)])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", FILTERS)
def test_a_stream_equals_an_array_bit_for_bit(name, shape, dtype, threads):
    a_filter, video = FILTERS[name], some_video(shape, dtype)
    before = video.copy()
    threads(3)
    whole = a_filter(video)
    assert isinstance(whole, np.ndarray)
    assert whole.dtype == dtype
    threads(1)
    stream = a_filter(frame for frame in video)
    assert not isinstance(stream, np.ndarray)
    frames = list(stream)
    assert all(frame.dtype == dtype for frame in frames)
    np.testing.assert_array_equal(np.stack(frames), whole)
    np.testing.assert_array_equal(video, before)


@pytest.mark.parametrize(
    "name", ["denoise", "denoise heat", "denoise tv", "framewise", "frame_difference", "recursive"]
)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_shape_is_kept(name, shape):
    assert FILTERS[name](some_video(shape, np.uint8)).shape == shape


def test_a_stream_is_filtered_as_it_comes():
    drawn = []

    def camera():
        for i in range(100):
            drawn.append(i)
            yield np.full((4, 4), i, np.uint8)

    frames = pv.frame_difference(camera(), -0.5)
    next(frames), next(frames)
    assert len(drawn) <= 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int8])
def test_integers_survive_the_way_in_and_out(dtype):
    limits = np.iinfo(dtype)
    everything = np.arange(limits.min, limits.max + 1, dtype=dtype).reshape(1, 1, -1)
    report = {}
    np.testing.assert_array_equal(pv.pipeline()(everything, report=report), everything)
    assert report["saturated"] == 0


def test_integers_saturate_once_and_are_counted():
    report = {}
    video = np.array([[[250, 251]]], np.uint8)
    there_and_back = pv.pipeline(
        partial(pv.clip, low=0, high=255), lambda f: (x + 0.5 for x in f), lambda f: (x - 0.5 for x in f)
    )
    np.testing.assert_array_equal(there_and_back(video), video)  # Above white in between, and nothing is lost.
    result = pv.extrapolate(np.array([[[100, 0]], [[200, 0]]], np.uint8), report=report)
    assert result[2].tolist() == [[255, 0]]
    assert report["saturated"] == 1


def test_floats_keep_their_range():
    video = np.linspace(-1000, 5000, 60).reshape(3, 4, 5)
    np.testing.assert_allclose(pv.framewise(pv.Heat(), [0, 1e-9])(video), video, rtol=1e-6)


def test_results_do_not_depend_on_the_range_of_the_data(rng):
    video = rng.random((3, 16, 16)).astype(np.float32)
    for method in ("perona-malik", "tv", "heat"):
        small = pv.denoise(video, method=method)
        np.testing.assert_allclose(pv.denoise(video * 4096, method=method), small * 4096, rtol=1e-4)


@pytest.mark.parametrize("dtypes", [(np.uint8, np.uint16, np.float32), *slow((np.float64,))], ids=len)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)),
    channels=st.sampled_from([None, 1, 2, 3, 4]),
    which=st.integers(0, 2),
    method=st.sampled_from(["perona-malik", "tv", "heat"]),
    seed=st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_denoise_keeps_shape_mean_and_range_of_anything(dtypes, shape, channels, which, method, seed):
    dtype = dtypes[which % len(dtypes)]
    video = some_video(shape if channels is None else (*shape, channels), dtype, seed)
    result = pv.denoise(video, method=method)
    assert result.shape == video.shape
    assert result.dtype == video.dtype
    full = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1.0
    rounding = 0.5 if np.dtype(dtype).kind == "u" else 0.0
    slack = 1e-5 * full + rounding
    assert abs(result.mean(dtype=float) - video.mean(dtype=float)) <= slack
    assert result.min() >= video.min() - slack
    assert result.max() <= video.max() + slack


@pytest.mark.parametrize(
    ("video", "error", "message"),
    [
        (np.zeros((4, 4)), pv.InputError, "2 dimensions"),
        (np.zeros((2, 2, 2, 2, 2)), pv.InputError, "5 dimensions"),
        (np.zeros((0, 4, 4)), pv.InputError, "no frame"),
        (np.zeros((3, 0, 4)), pv.InputError, r"frame 0 has shape \(0, 4\)"),
        (iter([]), pv.InputError, "no frame"),
        (iter([np.zeros(4)]), pv.InputError, r"frame 0 has shape \(4,\)"),
        (iter([np.zeros((4, 4)), np.zeros((4, 5))]), pv.InputError, "frame 1 has shape"),
        (iter([np.zeros((4, 4)), np.zeros((4, 4), np.float32)]), pv.InputError, r"frame 1 .* dtype float32"),
        (np.full((2, 4, 4), np.nan), pv.InputError, "frame 0 holds NaN"),
        (np.full((2, 4, 4), np.inf), pv.InputError, "frame 0 holds NaN or infinite"),
        (np.zeros((2, 4, 4), complex), TypeError, "dtype complex128; convert them to one of uint8"),
        (np.zeros((2, 4, 4), np.int64), TypeError, "dtype int64"),
        (np.zeros((2, 4, 4), bool), TypeError, "dtype bool"),
        (np.zeros((2, 4, 4), object), TypeError, "dtype object"),
        ("clip.mp4", TypeError, r"got str; .* read\(path\)"),
        (7, TypeError, "got int"),
    ],
)
def test_unusable_videos_are_refused(video, error, message):
    with pytest.raises(error, match=message):
        list(pv.denoise(video))


def test_filters_of_users_are_checked():
    video = np.zeros((2, 4, 4), np.uint8)
    with pytest.raises(pv.InputError, match="a filter returned a frame of shape"):
        pv.pipeline(lambda frames: (frame[..., 0] for frame in frames))(video)
    with pytest.raises(pv.InputError, match="a filter returned NaN"):
        pv.pipeline(lambda frames: (frame * np.nan for frame in frames))(video)
    with pytest.raises(pv.InputError, match="returned no frame"):
        pv.pipeline(lambda frames: iter(()))(video)
    with pytest.raises(TypeError, match="not a filter"):
        pv.pipeline(pv.denoise, 3)


def test_a_value_that_is_not_finite_is_named_by_its_frame_however_it_is_looked_at():
    video = [np.ones((4, 4)), np.ones((4, 4)), np.ones((4, 4)), np.full((4, 4), np.nan)]

    @pv.video_filter
    def looking_ahead(frames):
        while frames.peek(2):
            yield next(frames)

    with pytest.raises(pv.InputError, match="frame 3 holds NaN"):
        list(looking_ahead(iter(video)))


def test_framewise_refuses_an_unstable_step():
    with pytest.raises(pv.UnstableStepError, match=r"a step of 0\.3 is above 0\.25"):
        pv.framewise(pv.Heat(), [0, 0.3])(np.zeros((2, 4, 4)))


@pytest.mark.parametrize("options", [{}, {"step": "heun"}])
def test_white_noise_fades_as_the_heat_equation_says(options, rng):
    t, noise = 4.0, rng.standard_normal((2, 160, 160)).astype(np.float32)
    # Along each axis, frequencies are damped by exp(−(2 − 2 cos θ) t): the mean square over θ is exp(−4t) I₀(4t).
    left = float(special.ive(0, 4 * t))
    assert pv.heat(noise, time=t, **options).std() == pytest.approx(left, rel=0.05)


def test_crop_is_slicing(rng):
    video = rng.random((2, 7, 9, 3))
    np.testing.assert_array_equal(pv.crop(video, 2, 3, 4, 5), video[:, 2:6, 3:8])
    for bad in ((-1, 0, 2, 2), (0, 0, 0, 2), (0, 0, 8, 2), (0, 8, 2, 2), (0.5, 0, 2, 2), (None, 0, 2, 2)):
        with pytest.raises(pv.ParameterError):
            pv.crop(video, *bad)


def test_resize_samples_the_same_picture_at_other_points():
    y, x = np.mgrid[:40, :60]
    picture = np.sin(x / 9) + np.cos(y / 7)
    for height, width in ((80, 120), (20, 30), (55, 41)):
        resized = pv.resize(picture[None], height, width)[0]
        assert resized.shape == (height, width)
        rows, columns = (np.arange(height) + 0.5) * 40 / height - 0.5, (np.arange(width) + 0.5) * 60 / width - 0.5
        expected = np.sin(columns / 9)[None] + np.cos(rows / 7)[:, None]
        assert np.abs(resized - expected)[4:-4, 4:-4].max() < 0.02
    np.testing.assert_allclose(pv.resize(picture[None], 40, 60)[0], picture, atol=1e-12)
    fine = np.sin(np.pi * (x + 0.5) * 0.8)[None]  # Finer than a third of the pixels can show: it must go.
    assert np.abs(pv.resize(fine, 40, 20)[0, :, 3:-3]).max() < 0.1
    assert pv.resize(np.full((1, 5, 5), 9, np.uint8), 3, 11, order=0).tolist() == np.full((1, 3, 11), 9).tolist()
    for bad in ({"height": 0, "width": 5}, {"height": 5.5, "width": 5}, {"height": 5, "width": 5, "order": 6}):
        with pytest.raises(pv.ParameterError):
            pv.resize(picture[None], **bad)


def test_grey_normalize_and_clip_follow_their_formulas(rng):
    video = rng.random((2, 4, 5, 3))
    np.testing.assert_allclose(pv.to_gray(video), video @ [0.299, 0.587, 0.114])
    np.testing.assert_array_equal(pv.to_gray(video[..., 0]), video[..., 0])
    with pytest.raises(pv.InputError, match="2 channels"):
        pv.to_gray(video[..., :2])
    report = {}
    stretched = pv.normalize(video * 50 - 7, report=report)
    first = video[0] * 50 - 7
    np.testing.assert_allclose(stretched, (video * 50 - 7 - first.min()) / np.ptp(first))
    assert (report["low"], report["high"]) == pytest.approx((first.min(), first.max()))
    with pytest.raises(pv.ParameterError, match="low must be below high"):
        pv.normalize(np.ones((1, 3, 3)))
    np.testing.assert_array_equal(pv.clip(np.array([[[10, 100, 200]]], np.uint8), 50, 150), [[[50, 100, 150]]])
    with pytest.raises(pv.ParameterError):
        pv.clip(video, 1, 0)


def test_split_and_merge_are_inverse(rng):
    video = rng.random((7, 3, 4))
    for length in (1, 3, 7, 10):
        segments = list(pv.split(video, length))
        assert [len(s) for s in segments] == [min(length, 7 - k) for k in range(0, 7, length)]
        np.testing.assert_array_equal(pv.merge(segments), video)
        streamed = list(pv.split(iter(video), length))
        np.testing.assert_array_equal(np.stack(list(pv.merge(iter(streamed)))), video)
    with pytest.raises(pv.ParameterError, match="length is 0"):
        pv.split(video, 0)
    with pytest.raises(pv.InputError, match="differ in frame shape"):
        pv.merge([video, video[:, :2]])


def test_noise_has_the_asked_deviation_and_seed():
    video = np.full((3, 200, 200), 0.5)
    noisy = pv.gaussian_noise(video, 0.1, rng=3)
    assert abs((noisy - video).std() - 0.1) < 0.001
    np.testing.assert_array_equal(noisy, pv.gaussian_noise(video, 0.1, rng=3))
    assert (noisy != pv.gaussian_noise(video, 0.1, rng=4)).any()
    with pytest.raises(pv.ParameterError, match="sigma is -1"):
        pv.gaussian_noise(video, -1)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_poisson_gaussian_noise_has_the_moments_of_its_law(dtype):
    for level, slope, readout in ((100, 5.0, 3.0), (60, 10.0, 0.0), (0, 10.0, 0.0)):
        noisy = pv.poisson_gaussian_noise(np.full((4, 200, 200), level, dtype), slope, readout, rng=3).astype(float)
        variance = slope * level + readout**2
        assert noisy.mean() == pytest.approx(level, abs=4 * np.sqrt(variance / noisy.size))
        assert noisy.var() == pytest.approx(variance + (readout > 0) * (dtype == np.uint8) / 12, rel=0.02)
        third = np.mean((noisy - noisy.mean()) ** 3)
        assert third == pytest.approx(slope**2 * level, rel=0.15)  # That of Poisson's law; a normal one has none.
        if readout == 0:
            np.testing.assert_allclose(noisy % slope, 0, atol=1e-4)


def test_poisson_gaussian_noise_below_black_and_beyond_counting():
    below = np.full((1, 50, 50), -3.0)
    np.testing.assert_array_equal(pv.poisson_gaussian_noise(below, 0.5), 0)
    report = {}
    pv.poisson_gaussian_noise(np.full((1, 100, 100), 250, np.uint8), 10.0, report=report)
    assert 3000 < report["saturated"] < 7000
    for parameters, message in (
        ((0.0,), "slope is 0"),
        ((1.0, -1.0), "readout is -1"),
        ((1e-300,), "too many to draw; give a larger slope"),
    ):
        with pytest.raises(pv.ParameterError, match=message):
            pv.poisson_gaussian_noise(np.ones((1, 4, 4)), *parameters)
