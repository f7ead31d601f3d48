"""Denoisers: equations, windows, and models of a diffusion process, against closed forms."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import fft

import pde_video as pv


@pytest.mark.parametrize("sigma", [0.05, 0.3, 4.0])
def test_one_implicit_heat_step_is_the_exact_denoiser_cosine_by_cosine(rng, sigma):
    # Prior exp(-|grad x|²/2γ): the coefficient of a cosine with eigenvalue -l has the variance γ/l, so it shrinks by
    # Wiener's factor (γ/l)/(γ/l + σ²).
    y, gamma = rng.normal(size=(13, 10, 2)), 0.02
    i, j = np.mgrid[:13, :10]
    eigenvalue = 4 * np.sin(np.pi * i / 26) ** 2 + 4 * np.sin(np.pi * j / 20) ** 2
    factor = 1 / (1 + eigenvalue * sigma**2 / gamma)
    expected = fft.idctn(fft.dctn(y, axes=(0, 1), norm="ortho") * factor[..., None], axes=(0, 1), norm="ortho")
    np.testing.assert_allclose(pv.as_denoiser(pv.Heat(), gamma=gamma)(y, sigma), expected, rtol=0, atol=1e-12)


def test_the_heat_denoiser_is_the_gaussian_posterior_mean_by_dense_linear_algebra(rng):
    gamma, sigma, y = 0.05, 0.4, rng.normal(size=(4, 5, 1))
    pixels = np.eye(20).reshape(20, 4, 5)  # Differences of neighbours, one row for each pixel.
    differences = np.hstack([np.diff(pixels, axis=1).reshape(20, -1), np.diff(pixels, axis=2).reshape(20, -1)])
    precision = differences @ differences.T / gamma
    mean = np.linalg.solve(precision + np.eye(20) / sigma**2, y.ravel() / sigma**2)
    np.testing.assert_allclose(pv.as_denoiser(pv.Heat(), gamma=gamma)(y, sigma).ravel(), mean, rtol=0, atol=1e-12)


def test_an_equation_as_denoiser_runs_in_the_plane_or_in_space_and_time(rng):
    video = rng.normal(size=(4, 6, 5, 2)).astype(np.float32)
    denoiser = pv.as_denoiser(pv.Heat(), gamma=0.1)
    for y in (video, video[0]):
        expected = pv.evolve(pv.Heat(), y, [0, 0.9], step=pv.implicit_euler, channel_axis=-1)
        assert expected.dtype == np.float32
        np.testing.assert_allclose(denoiser(y, 0.3), expected, rtol=0, atol=1e-6)
    assert not np.allclose(denoiser(video, 0.3)[0], denoiser(video[0], 0.3), atol=1e-2)


def test_an_equation_may_follow_sigma_and_take_any_step(rng):
    y = rng.normal(size=(6, 5, 1))
    follows = pv.as_denoiser(lambda sigma: pv.PeronaMalik(2 * sigma), time=lambda sigma: 10 * sigma, step=pv.heun)
    expected = pv.evolve(pv.PeronaMalik(0.4), y, pv.uniform(2.0), step=pv.heun, channel_axis=-1)
    np.testing.assert_array_equal(follows(y, 0.2), expected)
    explicit = pv.as_denoiser(pv.Heat(), gamma=0.01, step=pv.explicit_euler)  # Eight times the stable step and more.
    expected = pv.evolve(pv.Heat(), y, pv.uniform(1.0), channel_axis=-1)
    np.testing.assert_allclose(explicit(y, 0.1), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("step", [pv.implicit_euler, pv.explicit_euler])
def test_without_noise_an_equation_does_nothing(rng, step):
    y = rng.normal(size=(6, 5, 1)).astype(np.float32)
    same = pv.as_denoiser(pv.Heat(), gamma=0.1, step=step)(y, 0.0)
    np.testing.assert_array_equal(same, y)
    assert not np.may_share_memory(same, y)
    assert same.dtype == np.float32


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "give either gamma"),
        ({"gamma": 1.0, "time": float}, "give either gamma"),
        ({"gamma": -1.0}, "gamma is -1.0; it must be positive"),
        ({"gamma": True}, "must be a number"),
    ],
)
def test_an_equation_needs_to_know_how_long(options, words):
    with pytest.raises(pv.ParameterError, match=words):
        pv.as_denoiser(pv.Heat(), **options)


def test_an_equation_refuses_what_is_no_term_or_no_level():
    with pytest.raises(pv.ParameterError, match="term is 3; it must be a term, or a function"):
        pv.as_denoiser(3, gamma=1.0)
    y = np.zeros((2, 2, 1))
    for sigma in (-1.0, np.nan, np.inf, np.ones(2)):
        with pytest.raises(pv.ParameterError, match="it must be one number, the noise level"):
            pv.as_denoiser(pv.Heat(), gamma=1.0)(y, sigma)
    with pytest.raises(pv.ParameterError):
        pv.as_denoiser(pv.Heat(), time=lambda sigma: -sigma)(y, 1.0)


def weighted(window, sigma):
    """The middle of a window by weights that tell every place from every other."""
    return np.tensordot(np.arange(1.0, len(window) + 1), window, 1).astype(window.dtype) * sigma


@pytest.mark.parametrize(("pad", "mode"), [("repeat", "edge"), ("reflect", "reflect")])
@pytest.mark.parametrize(("before", "after"), [(2, 2), (0, 0), (3, 1), (0, 2), (2, 0)])
@pytest.mark.parametrize("length", [1, 2, 3, 9])
def test_windows_are_those_of_the_padded_video(rng, before, after, pad, mode, length):
    video = rng.normal(size=(length, 2, 3, 1))
    padded = np.pad(video, [(before, after), (0, 0), (0, 0), (0, 0)], mode=mode)
    n = before + 1 + after
    expected = np.stack([weighted(padded[k : k + n], 0.5) for k in range(length)])
    denoiser = pv.windowed(weighted, before, after, pad=pad)
    np.testing.assert_array_equal(denoiser(video, 0.5), expected)
    np.testing.assert_array_equal(np.stack(list(denoiser.along(iter(video), 0.5))), expected)
    if length == 1:
        np.testing.assert_array_equal(denoiser(video[0], 0.5), expected[0])


def test_a_window_reads_no_further_ahead_than_it_sees():
    drawn = []
    source = (drawn.append(k) or np.full((1, 1, 1), float(k)) for k in range(10**9))
    estimates = pv.windowed(weighted, 2, 1).along(source, 1.0)
    assert next(estimates).item() == 0 * 1 + 0 * 2 + 0 * 3 + 1 * 4
    assert drawn == [0, 1]
    for _ in range(100):
        last = next(estimates).item()
    assert last == 98 * 1 + 99 * 2 + 100 * 3 + 101 * 4
    assert drawn[-1] == 101


def test_a_state_is_carried_along_and_every_stream_starts_afresh(rng):
    def running(frame, state, sigma):
        state["sum"] += frame
        state["n"] += 1
        return state["sum"] / state["n"], state

    video = rng.normal(size=(5, 2, 3, 1))
    denoiser = pv.recurrent(running, {"sum": np.zeros((2, 3, 1)), "n": 0})
    expected = np.cumsum(video, axis=0) / np.arange(1, 6).reshape(5, 1, 1, 1)
    for _ in range(2):
        np.testing.assert_allclose(denoiser(video, 0.5), expected, rtol=0, atol=1e-15)
        np.testing.assert_array_equal(np.stack(list(denoiser.along(iter(video), 0.5))), denoiser(video, 0.5))
    np.testing.assert_array_equal(denoiser(video[3], 0.5), video[3])
    states = []
    pv.recurrent(lambda frame, state, sigma: (frame, states.append(state) or len(states)))(video, 0.5)
    assert states == [None, 1, 2, 3, 4]


def broken_at(k, how):
    """A model that does `how` to the frame of the value `k`."""

    def broken(frame, *rest):
        middle = frame if frame.ndim == 3 else frame[len(frame) // 2]
        return how(middle) if middle.flat[0] == k else middle

    return broken


def fails(frame):
    raise KeyError("weights")


FAULTS = {
    "exception": (fails, pv.SolverError, "KeyError: 'weights'"),
    "NaN": (lambda frame: frame * np.nan, pv.InputError, "NaN or infinite values in the frame"),
    "shape": (lambda frame: frame[:1], pv.InputError, r"returned the shape \(1, 3, 1\); it must return \(2, 3, 1\)"),
    "dtype": (lambda frame: frame.astype(int), pv.InputError, "dtype int64; it must return floats"),
    "type": (lambda frame: frame.tolist(), TypeError, "returned a list; it must return a NumPy array"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["windowed", "recurrent"])
def test_a_fault_along_a_stream_names_frame_model_and_level(fault, kind):
    how, error, words = FAULTS[fault]
    model = broken_at(3.0, how)
    denoiser = pv.windowed(model, 1, 1) if kind == "windowed" else pv.recurrent(lambda *a: (model(*a), None))
    name = "broken" if kind == "windowed" else "<lambda>"
    video = np.arange(5.0).reshape(5, 1, 1, 1) * np.ones((2, 3, 1))
    good = denoiser.along(video, 0.25)
    assert [next(good).flat[0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(error, match=f"^frame 3 at sigma = 0.25: {name}: .*{words}") as caught:
        next(good)
    assert (caught.value.__cause__.__class__ is KeyError) == (fault == "exception")


def test_streams_refuse_frames_that_do_not_fit():
    same = pv.windowed(weighted, 0, 0)
    for frames, words in (
        ([np.zeros((2, 2, 1)), np.zeros((2, 3, 1))], r"frame 1: the shape is \(2, 3, 1\); every frame"),
        ([np.zeros((2, 2, 1)), np.zeros((2, 2, 2, 1))], "frame 1: the shape"),
        ([np.zeros((2, 2, 1)), np.full((2, 2, 1), np.inf)], "frame 1: the frame holds NaN or infinite"),
        ([np.zeros((2, 2))], r"frame 0: the shape is \(2, 2\); a denoiser takes a frame \(H, W, C\)"),
    ):
        with pytest.raises(pv.InputError, match=words):
            list(same.along(frames, 0.1))
    with pytest.raises(TypeError, match="frames have dtype uint8"):
        same(np.zeros((2, 2, 1), np.uint8), 0.1)
    video = np.zeros((4, 2, 2, 1))
    video[2, 0, 0] = np.nan
    with pytest.raises(pv.InputError, match="frame 2 holds NaN"):
        same(video, 0.1)
    for sigma in (-1, np.inf):
        with pytest.raises(pv.ParameterError, match=f"sigma is {sigma}"):
            same(np.zeros((4, 2, 2, 1)), sigma)


def test_windows_refuse_bad_parameters():
    for options, words in (
        ({"before": -1}, "before is -1"),
        ({"after": 0.5}, "after is 0.5"),
        ({"pad": "zero"}, "pad is 'zero'; it must be one of repeat, reflect"),
        ({"model": 3}, "model is 3; it must be a function"),
    ):
        with pytest.raises(pv.ParameterError, match=words):
            pv.windowed(**{"model": weighted, **options})
    with pytest.raises(pv.ParameterError, match="cell is None"):
        pv.recurrent(None)


def test_a_recurrent_cell_must_return_a_pair():
    with pytest.raises(pv.InputError, match=r"frame 0 .*returned a ndarray; it must return a pair"):
        pv.recurrent(lambda frame, state, sigma: frame)(np.zeros((2, 2, 1)), 0.1)


# A model of a diffusion process: every pixel is 0.45 + 0.2 or 0.45 - 0.2, each with a spread of 0.05 around it.
MIDDLE, HALF, SPREAD = 0.45, 0.2, 0.05
LINEAR = pv.Schedule.linear()


def log_density(y, sigma):
    """Log density of y = x + sigma·noise, up to a constant."""
    variance = SPREAD**2 + sigma**2
    parts = [-((y - MIDDLE - sign * HALF) ** 2) / (2 * variance) for sign in (-1, 1)]
    return np.logaddexp(*parts).sum()


def mean_of_clean(y, sigma, scale=1.0, low=0.0):
    """The exact denoiser, in a range where low and low + scale stand for 0 and 1."""
    middle, half, spread = low + scale * MIDDLE, scale * HALF, scale * SPREAD
    total = spread**2 + sigma**2
    return (spread**2 * y + sigma**2 * (middle + half * np.tanh(half * (y - middle) / total))) / total


def exact_model(kind, schedule, value_range=(0, 1)):
    """What an ideal network says of x_t at level t, in its own range."""
    low, high = value_range

    def ideal(x, t):
        a = schedule.alpha_bar(t)
        x0 = mean_of_clean(x / a**0.5, ((1 - a) / a) ** 0.5, high - low, low)
        noise = (x - a**0.5 * x0) / (1 - a) ** 0.5
        return {"x0": x0, "eps": noise, "v": a**0.5 * noise - (1 - a) ** 0.5 * x0}[kind]

    return ideal


MAKERS = {"eps": pv.from_eps, "x0": pv.from_x0, "v": pv.from_v}


def check_score(denoiser, sigma, shape=(2, 3, 1), tolerance=1e-6):
    """Tweedie: (D(y, σ) − y)/σ² is the gradient of log p_σ, here by central differences."""
    rng = np.random.default_rng(3)
    y = MIDDLE + HALF * rng.choice([-1, 1], shape) + np.hypot(SPREAD, sigma) * rng.normal(size=shape)
    score, h = (denoiser(y, sigma) - y) / sigma**2, 1e-4 * np.hypot(SPREAD, sigma)
    expected = np.empty(shape)
    for place in np.ndindex(shape):
        step = np.zeros(shape)
        step[place] = h
        expected[place] = (log_density(y + step, sigma) - log_density(y - step, sigma)) / (2 * h)
    np.testing.assert_allclose(score, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("sigma", [0.02, 0.15, 1.0, 20.0])
@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1), (-0.5, 2.5)])
@pytest.mark.parametrize("schedule", [LINEAR, pv.Schedule.cosine(200)], ids=["linear", "cosine"])
@pytest.mark.parametrize("kind", MAKERS)
def test_the_score_is_the_gradient_of_the_log_density(kind, schedule, value_range, sigma):
    check_score(MAKERS[kind](exact_model(kind, schedule, value_range), schedule, value_range=value_range), sigma)


def test_the_score_of_a_mixture_passes_windows_and_states():
    check_score(pv.windowed(lambda window, sigma: mean_of_clean(window[2], sigma)), 0.2, (4, 2, 3, 1))
    check_score(pv.recurrent(lambda frame, state, sigma: (mean_of_clean(frame, sigma), None)), 0.2, (4, 2, 3, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sigma", [0.01, np.float64(0.3)])
@pytest.mark.parametrize("kind", MAKERS)
def test_the_range_trap(rng, kind, sigma, dtype):
    # A model that knows the clean picture, in [-1, 1]: it must be asked at the level of 2σ, with x_t in its own range.
    clean, noise = rng.random((3, 4, 2)).astype(dtype), rng.normal(size=(3, 4, 2)).astype(dtype)
    seen = []

    def knows(x, t):
        assert x.dtype == dtype
        a = LINEAR.alpha_bar(t)
        seen.append(t)
        np.testing.assert_allclose(x, LINEAR.add_noise(2 * clean - 1, t, noise), rtol=0, atol=2e-6)
        return {"x0": 2 * clean - 1, "eps": noise, "v": a**0.5 * noise - (1 - a) ** 0.5 * (2 * clean - 1)}[kind]

    estimate = MAKERS[kind](knows, LINEAR, value_range=(-1, 1))(clean + float(sigma) * noise, sigma)
    assert estimate.dtype == dtype
    np.testing.assert_allclose(estimate, clean, rtol=0, atol=1e-6 if dtype == np.float32 else 1e-12)
    assert LINEAR.sigma(seen[0]) == pytest.approx(2 * float(sigma), rel=1e-12)


def test_levels_are_those_of_the_design_whole_on_request():
    levels = []

    def model(x, t):
        levels.append(t)
        return x * 0

    y = np.zeros((2, 2, 1))
    for sigma in (5, 15, 25, 50):
        pv.from_eps(model, LINEAR, value_range=(-1, 1))(y, sigma / 255)
    assert levels == pytest.approx([7.7, 31.9, 56.2, 114.4], abs=0.05)
    pv.from_eps(model, LINEAR, value_range=(-1, 1), whole_timesteps=True)(y, 5 / 255)
    assert levels[-1] == 8.0
    assert isinstance(levels[-1], float)


def test_below_the_first_level_the_scaling_is_the_true_one(rng):
    y, seen = rng.random((2, 2, 1)), []

    def model(x, t):
        seen.append((x, t))
        return np.ones_like(x)

    sigma = 0.001
    assert sigma < LINEAR.sigma(0)
    np.testing.assert_allclose(pv.from_eps(model, LINEAR)(y, sigma), y - sigma, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(pv.from_eps(model, LINEAR)(y, 0.0), y)
    (x, t), (clean, _) = seen
    assert t == 0
    np.testing.assert_allclose(x, y / np.sqrt(1 + sigma**2), rtol=0, atol=1e-15)
    np.testing.assert_array_equal(clean, y)


def test_above_the_last_level_the_error_says_how_far_it_reaches():
    denoiser = pv.from_x0(exact_model("x0", LINEAR), LINEAR, value_range=(-1, 1))
    reached = LINEAR.sigma(999) / 2
    y = np.zeros((2, 2, 1))
    assert denoiser(y, reached).shape == y.shape
    for sigma in (1.001 * reached, np.inf):
        with pytest.raises(pv.ParameterError, match=f"sigma is .*; the schedule of ideal reaches {reached:g}, in"):
            denoiser(y, sigma)


def test_noise_alone_has_a_level_for_v_and_x0_but_not_for_the_noise(rng):
    schedule = LINEAR.zero_terminal_snr()
    with pytest.raises(pv.ParameterError, match=r"pure noise .*use from_v or from_x0"):
        pv.from_eps(exact_model("eps", LINEAR), schedule)
    noise, clean, seen = rng.normal(size=(2, 3, 1)), rng.random((2, 3, 1)), []
    for maker, said in ((pv.from_v, -(2 * clean - 1)), (pv.from_x0, 2 * clean - 1)):
        estimate = maker(lambda x, t, said=said: seen.append((x, t)) or said, schedule, value_range=(-1, 1))
        np.testing.assert_allclose(estimate(noise, np.inf), clean, rtol=0, atol=1e-15)
        x, t = seen[-1]
        np.testing.assert_array_equal(x, noise)
        assert t == 999
        # What the last level is the limit of; a finite level of any size is no overflow.
        np.testing.assert_allclose(estimate(noise * 1e200, 1e200), clean, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_learned_variance_comes_with_the_estimate(rng, kind):
    plain = exact_model(kind, LINEAR)
    y, v = rng.random((2, 3, 4, 2)), rng.uniform(-1, 1, (2, 3, 4, 2))
    denoiser = MAKERS[kind](lambda x, t: np.concatenate([plain(x, t), v], axis=-1), LINEAR, learned_variance=True)
    estimate, fraction = denoiser.with_fraction(y, 0.2)
    np.testing.assert_array_equal(fraction, (v + 1) / 2)
    np.testing.assert_array_equal(estimate, denoiser(y, 0.2))
    without = MAKERS[kind](plain, LINEAR)
    np.testing.assert_array_equal(estimate, without(y, 0.2))
    assert not hasattr(without, "with_fraction")
    with pytest.raises(pv.InputError, match=r"it returned the shape \(2, 3, 4, 2\); it must return \(2, 3, 4, 4\)"):
        MAKERS[kind](plain, LINEAR, learned_variance=True)(y, 0.2)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_model_names_model_frame_and_level(fault):
    how, error, words = FAULTS[fault]

    class Net:
        def __call__(self, x, t):
            return how(x)

    with pytest.raises(error, match=f"^Net at sigma = 0.25, level t = {LINEAR.timestep(0.25):g}: .*{words}") as caught:
        pv.from_eps(Net(), LINEAR)(np.ones((2, 3, 1)), 0.25)
    assert (caught.value.__cause__.__class__ is KeyError) == (fault == "exception")


def test_nan_in_one_of_many_frames_is_found():
    def model(x, t):
        x = x.copy()
        x[3, 0, 0] = np.nan
        return x

    with pytest.raises(pv.InputError, match=r"^model at sigma = 0.25, level t = .* infinite values in frame 3"):
        pv.from_v(model, LINEAR)(np.ones((5, 2, 3, 1)), 0.25)


def test_adapters_refuse_bad_parameters():
    for options, words in (
        ({"model": "net.onnx"}, "model is 'net.onnx'; it must be a function"),
        ({"schedule": None}, "schedule is None; it must be a Schedule"),
        ({"value_range": (1, -1)}, r"value_range is \(1, -1\); it must be the model's values for 0 and 1"),
        ({"value_range": 255}, "value_range is 255"),
        ({"value_range": (0, np.inf)}, "value_range is"),
    ):
        with pytest.raises(pv.ParameterError, match=words):
            pv.from_eps(**{"model": np.abs, "schedule": LINEAR, **options})


def test_denoisers_of_numpy_models_load_neither_torch_nor_onnxruntime():
    code = """
import sys
import numpy as np, pde_video as pv
y = np.ones((4, 4, 1))
pv.as_denoiser(pv.Heat(), gamma=0.1)(y, 0.1)
pv.from_eps(lambda x, t: 0 * x, pv.Schedule.linear())(y, 0.1)
pv.windowed(lambda window, sigma: window[2])(y, 0.1)
pv.from_torch, pv.from_onnx
print([m for m in ("torch", "onnxruntime", "onnx", "safetensors") if m in sys.modules])
"""
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1)])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_whole_chain_visits_the_levels_of_the_schedule(rng, kind, value_range):
    schedule, levels = pv.Schedule.linear(60), []
    ideal = exact_model(kind, schedule, value_range)

    def model(x, t):
        levels.append(t)
        return np.concatenate([ideal(x, t), 0 * x], axis=-1)

    denoiser = MAKERS[kind](model, schedule, value_range=value_range, learned_variance=True)
    times = pv.ddpm(schedule, value_range=value_range)
    y = times[0] * rng.normal(size=(40, 50, 1))
    step = pv.ancestral(5, "learned", value_range=value_range)
    drawn = pv.evolve(pv.Reverse(denoiser), y, times, step=step, channel_axis=-1)
    assert levels == pytest.approx(range(59, -1, -1), abs=1e-9)
    # Samples of the mixture: two heaps of equal weight, and the spread of each.
    upper = drawn > MIDDLE
    assert upper.mean() == pytest.approx(0.5, abs=5 * 0.5 / 2000**0.5)
    for heap, sign in ((drawn[upper], 1), (drawn[~upper], -1)):
        assert heap.mean() == pytest.approx(MIDDLE + sign * HALF, abs=0.02)
        assert heap.std() == pytest.approx(SPREAD, rel=0.25)
