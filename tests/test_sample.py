"""Drawing: from a prior that is known exactly, from a video, and after its last frame."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.fft import dctn

import pde_video as pv
from pde_video.denoisers.pde import SmoothPrior


def minus_laplacian(n):
    """Of a line of n pixels with nothing through its ends, as a matrix."""
    a = np.diag([1.0, *[2.0] * (n - 2), 1.0])
    return a - np.eye(n, k=1) - np.eye(n, k=-1)


@pytest.mark.parametrize("shape", [(7, 9), (3, 4, 5)])
@pytest.mark.parametrize("sigma", [0.03, 1.0, 50.0])
def test_the_smooth_prior_is_the_exact_denoiser_by_linear_algebra(shape, sigma):
    prior = SmoothPrior(mean=0.3, deviation=0.2, length=2.0)
    size = np.prod(shape)
    operator = np.eye(size) / 4
    for axis, n in enumerate(shape):
        before, after = (int(np.prod(part)) for part in (shape[:axis], shape[axis + 1 :]))
        operator += np.kron(np.kron(np.eye(before), minus_laplacian(n)), np.eye(after))
    precision = operator @ operator @ operator
    precision *= np.trace(np.linalg.inv(precision)) / size / 0.2**2  # So that the mean variance is 0.2².
    y = np.random.default_rng(0).normal(0, 1, (*shape, 1))
    wanted = 0.3 + np.linalg.solve(np.eye(size) + sigma**2 * precision, y.ravel() - 0.3)
    np.testing.assert_allclose(prior(y, sigma).ravel(), wanted, atol=1e-9)


def test_what_is_drawn_has_the_variances_of_the_chain():
    prior, shape, n, steps = SmoothPrior(mean=0.5, deviation=1.0, length=1.5), (8, 8), 300, 50
    drawn = [pv.sample((*shape, 1), prior, rng=k, steps=steps)[..., 0].astype(np.float64) for k in range(n)]
    c, times = prior.variances(shape), pv.ddpm(pv.Schedule.linear(), steps)
    expected = np.full(shape, times[0] ** 2)
    for before, after in pairwise(times):  # To (1 − r) D(y) + r y with r = (σ₁/σ₀)², then noise.
        r = (after / before) ** 2
        expected = ((1 - r) * c / (c + before**2) + r) ** 2 * expected + after**2 * (1 - r)
    assert np.all(expected < c)  # The small variance falls short, the more the finer.
    assert np.all(expected > 0.3 * c)
    cosines = np.stack([dctn(x - 0.5, norm="ortho") for x in drawn]) / np.sqrt(expected)
    assert abs(cosines.mean()) < 5 / np.sqrt(cosines.size)
    assert abs(cosines.var() - 1) < 5 * np.sqrt(2 / cosines.size)


def test_the_same_seed_draws_the_same_video():
    first, again, other = (pv.sample((3, 8, 8, 1), rng=seed, steps=10) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_what_is_known_stays_and_the_rest_follows_it():
    known, mask = np.full((24, 24, 1), 0.9, np.float32), np.zeros((24, 24), bool)
    mask[:12] = True
    drawn = pv.sample((24, 24, 1), SmoothPrior(deviation=0.2, length=8.0), rng=0, known=known, mask=mask, resample=3)
    np.testing.assert_array_equal(drawn[:12], known[:12])
    assert drawn[12].mean() > 0.8  # Next to it; without it the mean would be 0.5.
    assert drawn[12].std() > 0.001


def test_infinite_noise_to_begin_with():
    # Zero terminal SNR: the state is the noise alone. The best guess at pure noise is the mean.
    schedule = pv.Schedule.linear(100).zero_terminal_snr()
    asked = []

    def denoiser(y, sigma):
        asked.append((sigma, y.std()))
        return np.full_like(y, 0.25) if np.isinf(sigma) else 0.25 + (y - 0.25) / (1 + sigma**2)

    drawn = pv.sample((64, 64, 1), denoiser, schedule, rng=0, steps=100)
    assert asked[0] == (np.inf, pytest.approx(1, rel=0.05))
    assert asked[1][1] == pytest.approx(asked[1][0], rel=0.05)
    assert np.isfinite(asked[1:]).all()
    assert drawn.mean() == pytest.approx(0.25, abs=0.1)
    assert drawn.std() == pytest.approx(1, rel=0.1)


def test_what_is_known_is_known_at_infinite_noise_too():
    schedule, known = pv.Schedule.linear(100).zero_terminal_snr(), np.full((8, 8, 1), 0.7)
    mask = np.arange(64).reshape(8, 8) < 30
    drawn = pv.sample((8, 8, 1), lambda y, s: np.full(y.shape, 0.5), schedule, steps=1, known=known, mask=mask)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn[..., 0], np.where(mask, 0.7, 0.5), rtol=1e-6)


def test_a_step_that_draws_forgets_infinite_noise():
    schedule, states = pv.Schedule.linear(100).zero_terminal_snr(), {}
    for name, step in (("draws", None), ("flows", pv.explicit_euler)):

        def denoiser(y, sigma, name=name):
            states.setdefault(name, []).append(y.copy())
            return np.zeros_like(y)

        pv.sample((64, 64, 1), denoiser, schedule, steps=2, step=step)
    assert abs(np.corrcoef(*(y.ravel() for y in states["draws"][:2]))[0, 1]) < 0.1
    assert np.corrcoef(*(y.ravel() for y in states["flows"][:2]))[0, 1] > 0.99


def test_a_network_says_that_it_knows_no_pure_noise():
    from pde_video.denoisers.network import shipped

    with pytest.raises(pv.ParameterError, match="trained with noise up to"):
        pv.sample((2, 8, 8, 1), shipped(), steps=2)


def test_estimates_can_be_clipped_while_drawing():
    drawn = pv.sample((16, 16, 1), pv.SmoothPrior(deviation=3.0), steps=10, hooks=[pv.clip_estimate(0, 1)])
    assert 0 <= drawn.min() < drawn.max() <= 1


def test_the_range_of_the_model_shifts_where_it_starts():
    schedule, states = pv.Schedule.from_betas(np.full(4, 0.02)), []
    pv.sample(
        (40, 40, 1),
        lambda y, s: y,
        schedule=schedule,
        rng=0,
        steps=1,
        value_range=(-1, 1),
        callback=lambda t, y: states.append((t, y)),
    )
    sigma, start = states[0]
    assert sigma == pytest.approx(schedule.sigma(3) / 2)
    assert start.mean() == pytest.approx(0.5, abs=5 * sigma / 40)


def test_refining_keeps_what_is_coarser_than_the_noise():
    video = np.full((3, 32, 32), 128, np.uint8)
    video[:, :, 16:] = 160
    np.testing.assert_array_equal(pv.refine(video, 0.0), video)
    weak, strong = (pv.refine(video, s, denoiser=SmoothPrior(length=3.0), steps=15).astype(float) for s in (0.03, 0.6))
    assert np.abs(weak - video).mean() < 12 < np.abs(strong - video).mean()
    assert not np.array_equal(weak[0], weak[1])
    np.testing.assert_array_equal(
        np.stack(list(pv.refine(iter(video), 0.03, denoiser=SmoothPrior(length=3.0), steps=15))), weak
    )


def test_one_frame_is_enough_to_go_by():
    ramp = np.linspace(0.2, 0.8, 16)[None, :, None] * np.ones((1, 1, 16))
    longer = pv.predict(ramp, count=1, steps=100, resample=3)
    assert np.corrcoef(longer[1].mean(axis=1), ramp[0].mean(axis=1))[0, 1] > 0.9


def test_frames_that_follow_go_on_from_the_last():
    ramp = np.linspace(0.2, 0.8, 16)[None, :, None] * np.ones((4, 1, 16))
    longer = pv.predict(ramp, count=2, steps=100, resample=3)
    np.testing.assert_array_equal(longer[:4], ramp)
    assert longer.shape == (6, 16, 16)
    assert np.corrcoef(longer[4].mean(axis=1), ramp[0].mean(axis=1))[0, 1] > 0.9
    np.testing.assert_array_equal(np.stack(list(pv.predict(iter(ramp), count=2, steps=100, resample=3))), longer)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pv.sample((8, 8)), r"\(T, H, W, C\)"),
        (lambda: pv.sample((0, 8, 8, 1)), "must be"),
        (lambda: pv.sample((8, 8, 1), steps=0), "steps is 0"),
        (lambda: pv.sample((8, 8, 1), known=np.zeros((8, 8, 1))), "together"),
        (lambda: pv.sample((8, 8, 1), known=np.zeros((8, 8, 3)), mask=np.ones((8, 8), bool)), "shape"),
        (lambda: pv.sample((8, 8, 1), value_range=(1, 0)), "value_range"),
        (lambda: pv.refine(np.zeros((2, 8, 8)), 1.5), "strength is 1.5"),
        (lambda: pv.refine(np.zeros((2, 8, 8)), 1.0, schedule=pv.Schedule.linear().zero_terminal_snr()), "infinite"),
        (lambda: pv.predict(np.zeros((2, 8, 8)), count=-1), "count is -1"),
        (lambda: pv.predict(np.zeros((2, 8, 8)), given=0), "given is 0"),
    ],
)
def test_bad_values_are_refused(call, message):
    with pytest.raises(pv.ParameterError, match=message):
        call()
