"""The reverse process on video: posterior means denoise, samples do not; networks and equations in one pipeline."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from cases import CLIP_SETS, slow
from scipy.fft import dctn, idctn

import pde_video as pv
from pde_video.denoising.other_methods import levels


def heat(gamma=0.002):
    return pv.as_denoiser(pv.Heat(), gamma=gamma)


def averaging(frame, state, sigma):
    """A cell: the mean of all frames so far."""
    total, n = (np.zeros_like(frame), 0) if state is None else state
    return (total + frame) / (n + 1), (total + frame, n + 1)


def some_video(shape=(6, 16, 18, 1), dtype=np.float32, seed=3):
    return np.random.default_rng(seed).normal(0.5, 0.1, shape).astype(dtype)


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
def test_means_with_an_exact_denoiser_are_the_best_estimate_however_many_steps(steps):
    # For a Gaussian prior, cosine by cosine: c/(c + σ²) y, whatever the levels in between.
    gamma, sigma, video = 0.002, 0.1, some_video(dtype=np.float64)
    means = pv.reverse(heat(gamma), levels(sigma, steps))(video)
    k, j = (2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in video.shape[1:3])
    factor = 1 / (1 + sigma**2 / gamma * (k[:, None] + j))
    expected = np.stack([idctn(factor * dctn(f[..., 0], norm="ortho"), norm="ortho") for f in video])
    np.testing.assert_allclose(means[..., 0], expected, atol=1e-12)


def test_a_denoiser_along_the_stream_equals_the_plain_one_where_frames_do_not_matter():
    cell = pv.recurrent(lambda frame, state, sigma: (heat()(frame, sigma), None))
    times, video = pv.karras(6, sigma_max=0.1, sigma_min=0.01), some_video()
    for step in (pv.posterior_mean, pv.explicit_euler, pv.ancestral(4), pv.ddim(0.5, 4)):
        plain, along = (pv.reverse(one, times, step)(video) for one in (heat(), cell))
        np.testing.assert_allclose(along, plain, atol=1e-6)


def test_every_level_runs_along_the_whole_stream_with_a_state_of_its_own():
    video, times = some_video(dtype=np.float64), [0.2, 0.1, 0.0]
    result = pv.reverse(pv.recurrent(averaging), times)(video)
    means = [np.cumsum(video, axis=0) / np.arange(1, len(video) + 1)[:, None, None, None]]
    half = means[0] + 0.25 * (video - means[0])
    expected = np.cumsum(half, axis=0) / np.arange(1, len(video) + 1)[:, None, None, None]
    np.testing.assert_allclose(result, expected, atol=1e-12)


def test_a_window_that_looks_ahead_belongs_to_its_frame():
    video = some_video(dtype=np.float64)
    result = pv.reverse(pv.windowed(lambda window, sigma: window.mean(0), 0, 2), [0.2, 0.1])(video)
    ahead = np.concatenate([video, video[-1:], video[-1:]])
    means = (ahead[:-2] + ahead[1:-1] + ahead[2:]) / 3
    np.testing.assert_allclose(result, means + 0.25 * (video - means), atol=1e-12)


@pytest.mark.parametrize("denoiser", [heat(), pv.recurrent(averaging), pv.windowed(lambda w, s: w.mean(0), 1, 1)])
@pytest.mark.parametrize("step", [pv.posterior_mean, pv.ancestral(7), pv.ddim(1.0, 7)], ids=["mean", "ddpm", "ddim"])
def test_same_seed_same_bytes_for_streams_arrays_and_threads(denoiser, step, threads):
    a_filter, video = pv.reverse(denoiser, pv.karras(4, sigma_max=0.2), step), some_video()
    whole = a_filter(video)
    np.testing.assert_array_equal(np.stack(list(a_filter(frame for frame in video))), whole)
    for n in (1, 3):
        threads(n)
        np.testing.assert_array_equal(a_filter(video), whole)


def test_frames_get_random_numbers_of_their_own():
    same = np.repeat(some_video((1, 16, 16, 1)), 3, axis=0)
    drawn = pv.reverse(pv.recurrent(lambda f, s, sigma: (f, None)), [0.2, 0.1], pv.ancestral(1))(same)
    assert abs(np.corrcoef(drawn[0].ravel() - same[0].ravel(), drawn[1].ravel() - same[0].ravel())[0, 1]) < 0.3


def test_a_learned_variance_is_that_of_the_evolution():
    model = pv.from_eps(
        lambda x, t: np.concatenate([x / 2, np.clip(x, -1, 1)], axis=-1), pv.Schedule.linear(), learned_variance=True
    )
    video, times, step = some_video(), [0.2, 0.1, 0.05], pv.ancestral(3, "learned")
    own = step.for_frames()
    for k, frame in enumerate(pv.reverse(model, times, step)(video)):
        expected = pv.evolve(pv.Reverse(model), video[k], times, step=own(k), channel_axis=-1)
        np.testing.assert_array_equal(frame, expected)


def test_a_window_is_all_that_is_held():
    drawn = []

    def camera():
        for k in range(100):
            drawn.append(k)
            yield np.full((8, 8, 1), k / 100, np.float32)

    frames = pv.reverse(pv.windowed(lambda w, s: w.mean(0), 1, 1), [0.3, 0.2, 0.1, 0.0])(camera())
    next(frames), next(frames)
    assert len(drawn) <= 6  # Two frames, one ahead for each of three levels, and the one that tells shape and dtype.


def test_steps_that_look_twice_are_refused_along_a_stream():
    with pytest.raises(pv.ParameterError, match="on its way from"):
        pv.reverse(pv.recurrent(averaging), [0.2, 0.1, 0.0], pv.heun)(some_video())


@pytest.mark.parametrize("times", [[0.1], [0.1, 0.2], [0.2, 0.2], [np.inf, 0.1], [0.1, -0.1], [[0.2, 0.1]]])
def test_levels_must_fall(times):
    with pytest.raises(pv.ParameterError):
        pv.reverse(heat(), times)


def test_hooks_reach_every_estimate():
    for denoiser in (heat(), pv.recurrent(averaging)):
        result = pv.reverse(denoiser, [0.2, 0.1, 0.0], hooks=[pv.clip_estimate(0.45, 0.55)])(some_video())
        assert result.min() >= 0.45 - 1e-6
        assert result.max() <= 0.55 + 1e-6


def test_an_equation_and_a_network_in_one_pipeline_one_stream_one_progress_bar(tmp_path):
    network = pv.from_x0(lambda x, t: 0.9 * x + 0.05, pv.Schedule.linear())
    seen = []

    def progress(frames, count):
        for frame in frames:
            seen.append(count)
            yield frame

    pipe = pv.pipeline(
        pv.framewise(pv.PeronaMalik(0.1), pv.uniform(1.0)),
        pv.reverse(network, pv.karras(3, sigma_max=0.1, sigma_min=0.02)),
        partial(pv.denoise, method="learned", sigma=5 / 255),
    )
    video = (255 * some_video((7, 16, 18))).astype(np.uint8)
    pv.write(tmp_path / "in.avi", video)
    report = pv.run(tmp_path / "in.avi", tmp_path / "out.avi", pipe, progress=progress)
    assert report["frames"] == 7
    assert seen == [7] * 7
    read = np.stack(list(pv.read(tmp_path / "in.avi")))
    np.testing.assert_array_equal(np.stack(list(pv.read(tmp_path / "out.avi"))), pipe(read))


# denoise(method="ddpm")


def test_ddpm_starts_at_the_noise_of_the_video_and_adds_none():
    asked = []

    def denoiser(y, sigma):
        asked.append((sigma, y.copy()))
        return heat()(y, sigma)

    video, report = some_video((1, 32, 32, 1)), {}
    pv.denoise(video, method="ddpm", denoiser=denoiser, sigma=0.1, steps=3, report=report)
    assert [level for level, _ in asked] == pytest.approx([0.1, 0.1 / 8**0.5, 0.1 / 8])
    np.testing.assert_array_equal(asked[0][1], video[0])
    assert report["steps"] == 3
    assert report["denoiser"] == "denoiser"


def test_ddpm_sees_integers_as_floats_and_sigma_in_units_of_the_input():
    asked = []
    pv.denoise(
        np.full((1, 16, 16), 100, np.uint8),
        method="ddpm",
        denoiser=lambda y, sigma: asked.append((sigma, y.max())) or y,
        sigma=25.5,
        steps=1,
    )
    assert asked == [(pytest.approx(0.1), pytest.approx(100 / 255))]


@pytest.mark.parametrize("sigma", [25, *slow(10, 50)])
@pytest.mark.parametrize("names", CLIP_SETS, ids=len)
def test_means_beat_samples_and_lose_nothing_to_the_equation_alone(real_frames, names, sigma):
    gains, losses = [], []
    for name in names:
        clean = pv.to_gray(real_frames[name][:2, -256:, -256:].astype(np.float32) / 255)
        noisy = pv.gaussian_noise(clean, sigma / 255, rng=1)
        means = pv.denoise(noisy, method="ddpm")
        times = pv.ddpm(pv.Schedule.linear(), start=sigma / 255, value_range=(-1, 1))
        samples = pv.reverse(pv.cosine_diffusion, times, pv.ancestral(2))(noisy)
        alone = pv.denoise(noisy, radius=0)
        gains.append(pv.psnr(clean, means) - pv.psnr(clean, samples))
        losses.append(pv.psnr(clean, alone) - pv.psnr(clean, means))
        assert gains[-1] >= 1.5, name  # 3 dB with an exact denoiser; of these, least where texture is finest.
        assert losses[-1] <= 0.05, name
    assert np.mean(gains) >= 2
    assert np.mean(losses) <= 0


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"preset": "fast", "denoiser": heat()}, "leave out one"),
        ({"method": "tv", "denoiser": heat()}, "give one"),
        ({"method": "ddpm", "denoiser": 3}, r"\(y, sigma\)"),
        ({"method": "ddpm", "steps": 0}, "steps is 0"),
        ({"method": "heat", "steps": 2}, "steps are for"),
        ({"method": "ddpm", "radius": 2}, "radius"),
        ({"method": "nonsense"}, "ddpm, learned"),
    ],
)
def test_what_contradicts_itself_is_refused(kwargs, message):
    with pytest.raises(pv.ParameterError, match=message):
        pv.denoise(some_video(), **kwargs)


def nothing(x, t):
    return np.full_like(x, np.nan)


def of_another_shape(x, t):
    return x[:-1]


def broken(x, t):
    raise ZeroDivisionError("by zero")


@pytest.mark.parametrize("adapt", [lambda model: model, lambda model: pv.from_x0(model, pv.Schedule.linear())])
@pytest.mark.parametrize(
    ("faulty", "error"), [(nothing, pv.InputError), (of_another_shape, pv.InputError), (broken, pv.SolverError)]
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_fails_is_named_with_frame_and_level(adapt, faulty, error, stream):
    def culprit(y, level):
        return faulty(y, level) if abs(y.mean() - 3) < 0.5 else y

    video = np.arange(5.0)[:, None, None, None] + np.zeros((5, 8, 8, 1))
    with pytest.raises(error, match=r"^frame 3: culprit at sigma = 0\.1"):
        list(pv.denoise(iter(video) if stream else video, method="ddpm", denoiser=adapt(culprit), sigma=0.1))


def test_a_network_of_many_frames_is_not_given_one():
    class Video:
        sees_several = True

        def __call__(self, y, sigma):
            return y

    with pytest.raises(pv.ParameterError, match="windowed"):
        pv.reverse(Video(), [0.2, 0.1])
    pv.reverse(pv.windowed(lambda window, sigma: Video()(window, sigma)[1], 1, 1), [0.2, 0.1])(some_video())


def test_hooks_of_denoise():
    result = pv.denoise(some_video(), method="ddpm", sigma=0.1, hooks=[pv.clip_estimate(0.49, 0.51)])
    assert result.min() >= 0.49 - 1e-6
    assert result.max() <= 0.51 + 1e-6
    with pytest.raises(pv.ParameterError, match="hooks are for"):
        pv.denoise(some_video(), hooks=[pv.clip_estimate()])
