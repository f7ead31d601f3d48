"""Drawing: from a prior that is known exactly, from a video, and after its last frame."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dctn

import pde_video as pv
from pde_video.denoisers.prior import SmoothPrior


def variances(prior, shape):
    """The prior's variance of each cosine of a grid: γ/(λ + 1/length²)."""
    lines = [2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in shape]
    return prior.gamma(len(shape)) / (sum(np.meshgrid(*lines, indexing="ij")) + 1 / prior.length**2)


@pytest.mark.parametrize("shape", [(12, 14), (5, 8, 9)])
@pytest.mark.parametrize("sigma", [0.03, 1.0, 50.0])
def test_the_smooth_prior_is_the_exact_denoiser_cosine_by_cosine(shape, sigma):
    prior = SmoothPrior(mean=0.3, deviation=0.2, length=5.0)
    y = np.random.default_rng(0).normal(0, 1, (*shape, 1))
    c = variances(prior, shape)
    found = dctn(prior(y, sigma)[..., 0] - 0.3, norm="ortho")
    np.testing.assert_allclose(found, c / (c + sigma**2) * dctn(y[..., 0] - 0.3, norm="ortho"), atol=1e-9)


def test_the_smooth_prior_has_the_deviation_that_it_says():
    prior = SmoothPrior(deviation=0.2, length=4.0)
    for shape in ((256, 256), (64, 64, 64)):
        assert np.sqrt(variances(prior, shape).mean()) == pytest.approx(0.2, rel=0.03)


def test_what_is_drawn_has_the_prior_s_variances():
    prior, shape, n = SmoothPrior(mean=0.5, deviation=0.2, length=3.0), (16, 16), 200
    drawn = [pv.sample((*shape, 1), prior, rng=k, steps=150)[..., 0].astype(np.float64) for k in range(n)]
    whitened = np.stack([dctn(x - 0.5, norm="ortho") for x in drawn]) / np.sqrt(variances(prior, shape))
    # Every cosine of every draw is N(0, 1); 5 deviations of the mean and of the variance of n·256 of them, and what
    # 150 levels leave out.
    assert abs(whitened.mean()) < 5 / np.sqrt(whitened.size)
    assert abs(whitened.var() - 1) < 5 * np.sqrt(2 / whitened.size) + 0.02


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
        asked.append(sigma)
        return np.full_like(y, 0.25) if np.isinf(sigma) else 0.25 + (y - 0.25) / (1 + sigma**2)

    drawn = pv.sample((64, 64, 1), denoiser, schedule, rng=0, steps=100)
    assert np.isinf(asked[0])
    assert np.isfinite(asked[1:]).all()
    assert drawn.mean() == pytest.approx(0.25, abs=0.1)
    assert drawn.std() == pytest.approx(1, rel=0.1)


def test_the_range_of_the_model_shifts_where_it_starts():
    states = []
    pv.sample(
        (40, 40, 1), lambda y, s: y, rng=0, steps=1, value_range=(-1, 1), callback=lambda t, y: states.append((t, y))
    )
    sigma, start = states[0]
    assert sigma == pytest.approx(pv.Schedule.linear().sigma(999) / 2)
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
