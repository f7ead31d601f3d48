"""The inter-frame update: exact."""

from __future__ import annotations

import numpy as np
import pytest

import pde_video as pv


@pytest.mark.parametrize("alpha", [-1.0, -0.5, 0.0, 0.7, 3.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_explicit_step_is_the_update(alpha, dtype, rng):
    newer, older = rng.random((2, 6, 7, 3)).astype(dtype)
    if alpha:
        updated = pv.evolve(pv.FrameDifference(older), newer, [0, alpha], channel_axis=-1)
        np.testing.assert_array_equal(updated, newer + dtype(alpha) * (newer - older))
    video = np.stack([older, newer])
    filtered = pv.frame_difference(video, alpha)
    np.testing.assert_array_equal(filtered, np.stack([older, newer + dtype(alpha) * (newer - older)]))


def test_each_frame_uses_the_unfiltered_predecessor(rng):
    video = rng.random((5, 4, 4))
    expected = video.copy()
    expected[1:] += -0.5 * (video[1:] - video[:-1])
    np.testing.assert_array_equal(pv.frame_difference(video, -0.5), expected)


def test_with_kappa_the_update_is_recursive_and_stops_at_motion(rng):
    video = rng.random((5, 4, 4, 3)).astype(np.float64)
    expected = [video[0]]
    for frame in video[1:]:
        difference = frame - expected[-1]
        g = np.exp(-(difference**2).sum(axis=-1, keepdims=True) / 0.4**2)
        expected.append(frame - 0.6 * g * difference)
    np.testing.assert_allclose(pv.frame_difference(video, -0.6, kappa=0.4), expected, rtol=0, atol=1e-14)


def test_kappa_is_in_units_of_the_input(rng):
    video = rng.integers(0, 256, (4, 9, 9)).astype(np.uint8)
    wide = pv.frame_difference(video.astype(np.float32) / 255, -0.5, kappa=30 / 255)
    np.testing.assert_array_equal(pv.frame_difference(video, -0.5, kappa=30), np.rint(wide * 255).astype(np.uint8))


def test_noise_gain_is_as_theory_says(rng):
    video = rng.normal(size=(2, 400, 400))
    for alpha in (-0.5, 0.5, 1.0):
        gain = pv.frame_difference(video, alpha)[1].var() / video.var()
        assert abs(gain - ((1 + alpha) ** 2 + alpha**2)) < 0.02 * (1 + alpha**2)


@pytest.mark.parametrize("alpha", [-2.0, 0.5])
def test_video_diffusion_is_the_articles_loop(alpha, rng):
    video = rng.random((4, 5, 6)).astype(np.float32)
    frames = list(video)
    for _ in range(3):
        frames.append(frames[-2] + np.float32(alpha) * (frames[-2] - frames[-1]))
    result = pv.video_diffusion(video, alpha, 3)
    assert len(result) == 7
    np.testing.assert_array_equal(result, np.stack(frames))
    np.testing.assert_array_equal(pv.video_diffusion(video, alpha, 0), video)


def test_extrapolate_continues_the_last_change(rng):
    video = rng.random((3, 5, 6))
    result = pv.extrapolate(video, alpha=0.5, frames=2)
    first = video[2] + 0.5 * (video[2] - video[1])
    np.testing.assert_array_equal(result, np.concatenate([video, [first, first + 0.5 * (first - video[2])]]))
    repeated = pv.video_diffusion(video, -1.5, 1)
    np.testing.assert_allclose(repeated[3], result[3], atol=1e-15)  # The loop with α = −1 − β is extrapolation by β.


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda v: pv.frame_difference(v, float("nan")), pv.ParameterError, "alpha is nan"),
        (lambda v: pv.frame_difference(v, 1.0, kappa=0), pv.ParameterError, "kappa is 0"),
        (lambda v: pv.extrapolate(v, alpha=float("inf")), pv.ParameterError, "alpha is inf"),
        (
            lambda v: pv.extrapolate(v, frames=-1),
            pv.ParameterError,
            "frames is -1; it must be a whole",
        ),
        (lambda v: pv.extrapolate(v[:1]), pv.InputError, "one frame; .* needs two"),
        (lambda v: pv.video_diffusion(v, 1.0, 1.5), pv.ParameterError, r"num_iterations is 1\.5"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(np.zeros((3, 4, 4)))


def test_a_previous_frame_of_another_shape_is_refused():
    with pytest.raises(pv.ParameterError, match=r"previous has shape \(3, 4\), but the state has \(4, 3\)"):
        pv.evolve(pv.FrameDifference(np.zeros((3, 4))), np.zeros((4, 3)), [0, 1])


def test_the_dtype_of_the_state_is_kept():
    assert pv.evolve(pv.FrameDifference(np.zeros(3)), np.ones(3, np.float32), [0, 1]).dtype == np.float32
