"""Random steps: their numbers, threads and streams, what is filled in; and the time grids."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_reverse import Gaussian

import pde_video as pv

LINEAR = pv.Schedule.linear()
TIMES = pv.karras(6, sigma_max=1.0)
KNOWN = np.linspace(0, 1, 8 * 9 * 3).reshape(8, 9, 3)
MASK = np.arange(72).reshape(8, 9) % 3 == 0


def blur(y, sigma):
    """Any denoiser that looks at its neighbours."""
    return (y + np.roll(y, 1, 0) + np.roll(y, 1, 1)) / (3 + sigma)


def replacing(rng, shape, **kwargs):
    known, mask = np.broadcast_to(KNOWN, shape), np.broadcast_to(MASK, shape[:-1])
    return pv.replacement(known, mask, rng, resample=2, channel_axis=-1, **kwargs)


MAKE = {
    "ancestral": lambda rng, shape: pv.ancestral(rng),
    "large": lambda rng, shape: pv.ancestral(rng, "large"),
    "ddim": lambda rng, shape: pv.ddim(0.7, rng),
    "replacement": replacing,
    "replacement, other step": lambda rng, shape: replacing(rng, shape, step=pv.posterior_mean),
}
STEPS = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)


@STEPS
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_video_has_the_same_bytes_for_any_number_of_threads_and_as_a_stream(make, dtype, threads, rng):
    video = (rng.random((7, 8, 9, 3)) * (255 if dtype == np.uint8 else 1)).astype(dtype)
    results = []
    for n in (1, 2, 3):
        threads(n)
        results.append(pv.framewise(pv.Reverse(blur), TIMES, step=make(0, (8, 9, 3)))(video))
        a_filter = pv.framewise(pv.Reverse(blur), TIMES, step=make(0, (8, 9, 3)))
        results.append(a_filter(video))
        results.append(np.stack(list(a_filter(frame for frame in video))))  # An int gives the same again.
    for result in results:
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, results[0])


@STEPS
def test_every_frame_has_numbers_of_its_own(make):
    still = np.full((4, 8, 9, 3), 0.5)
    out = pv.framewise(pv.Reverse(blur), TIMES[:-1], step=make(0, (8, 9, 3)))(still)
    away = (out - out.mean(axis=0))[:, MASK]  # Of independent frames, each two have the correlation −1/3.
    for a in range(4):
        for b in range(a):
            assert -0.8 < np.corrcoef(away[a].ravel(), away[b].ravel())[0, 1] < 0.2
    other = pv.framewise(pv.Reverse(blur), TIMES[:-1], step=make(1, (8, 9, 3)))(still)
    assert not np.array_equal(out, other)


@STEPS
@pytest.mark.parametrize("shape", [(8, 9, 3), (4, 8, 9, 3)])
def test_the_same_seed_gives_the_same_bytes_and_a_generator_goes_on(make, shape, rng):
    y = rng.random(shape).astype(np.float32)

    def run(step):
        return pv.evolve(pv.Reverse(blur), y, TIMES, step=step, channel_axis=-1)

    first = run(make(3, shape))
    assert (first.shape, first.dtype) == (shape, np.float32)
    np.testing.assert_array_equal(first, run(make(3, shape)))
    assert not np.array_equal(first, run(make(4, shape)))
    step = make(3, shape)
    np.testing.assert_array_equal(first, run(step))
    assert not np.array_equal(first, run(step))
    np.testing.assert_array_equal(
        run(make(np.random.default_rng(5), shape)), run(make(np.random.default_rng(5), shape))
    )


def test_a_generator_serves_frames_too_and_another_object_does_not(rng):
    video = np.full((3, 8, 9, 3), 0.5)
    results = [
        pv.framewise(pv.Reverse(blur), TIMES, step=pv.ancestral(np.random.default_rng(5)))(video) for _ in range(2)
    ]
    np.testing.assert_array_equal(*results)

    class Zeros:
        def standard_normal(self, shape, dtype):
            return np.zeros(shape, dtype)

    with pytest.raises(pv.ParameterError, match="needs a seed"):
        pv.framewise(pv.Reverse(blur), TIMES, step=pv.ancestral(Zeros()))(video)


def test_steps_of_two_kinds_with_one_seed_draw_different_numbers():
    drawn = []

    def step(term, t0, t1, y):
        return pv.ancestral(0)(term, t0, t1, y)

    nothing = pv.Reverse(lambda y, sigma: 0 * y)
    y = np.zeros((1, 50, 50))
    drawn.append(step(nothing, 2.0, 1.0, y))
    known = np.zeros((50, 50))
    drawn.append(pv.replacement(known, known == 0, 0)(nothing, 2.0, 1.0, y))
    assert abs(np.corrcoef(drawn[0].ravel(), drawn[1].ravel())[0, 1]) < 4 / 50


@pytest.mark.parametrize("step", [pv.posterior_mean, pv.ancestral(0), pv.ancestral(0, "large"), pv.ddim(0.5)])
def test_the_last_step_is_the_estimate_without_noise(step, rng):
    y = rng.random((8, 9, 3))
    np.testing.assert_allclose(
        pv.evolve(pv.Reverse(blur), y, [0.3, 0.0], step=step, channel_axis=-1), blur(y, 0.3), rtol=0, atol=1e-15
    )


def test_ddim_with_all_its_noise_is_ancestral_and_with_none_euler(rng):
    y, term = rng.random((1, 8, 9)), pv.Reverse(blur)
    for t0, t1 in ((2.0, 1.9), (1.0, 0.1), (0.5, 0.0)):
        np.testing.assert_allclose(
            pv.ddim(1.0, np.random.default_rng(1))(term, t0, t1, y),
            pv.ancestral(np.random.default_rng(1))(term, t0, t1, y),
            rtol=0,
            atol=1e-14,
        )
        np.testing.assert_array_equal(pv.ddim()(term, t0, t1, y), pv.explicit_euler(term, t0, t1, y))
        np.testing.assert_array_equal(pv.posterior_mean(term, t0, t1, y), pv.explicit_euler(term, t0, t1**2 / t0, y))


@pytest.mark.parametrize("eta", [0.3, 0.8])
def test_ddim_adds_its_share_of_noise_and_goes_as_much_less_far(eta):
    class Ones:
        def standard_normal(self, shape, dtype):
            return np.ones(shape, dtype)

    t0, t1, x = 2.0, 0.7, 0.25
    knows, y = pv.Reverse(lambda y, sigma: np.full_like(y, x)), np.full((1, 1, 1), 3.0)
    s = eta * t1 * math.sqrt(1 - t1**2 / t0**2)
    noise = (3.0 - x) / t0  # Of the state: what is left of it, and what is drawn, have the variance t1² together.
    assert pv.ddim(eta, Ones())(knows, t0, t1, y).item() == pytest.approx(x + math.sqrt(t1**2 - s**2) * noise + s)


# Filling in.


def test_what_is_known_is_as_noisy_as_the_rest_and_exact_at_the_end(rng):
    known, mask = np.full((100, 100), 0.7), np.zeros((100, 100), bool)
    mask[:60] = True
    y, times = rng.normal(0, 3, (100, 100)), pv.karras(5, sigma_max=3.0)
    step = pv.replacement(known, mask, 1, resample=3)
    before = None
    for t, state in list(pv.evolution(pv.Reverse(lambda y, sigma: 0.9 * y), y, times, step=step))[1:]:
        noise = state[mask] - 0.7
        if t == 0:
            np.testing.assert_array_equal(noise, 0)
            break
        n = noise.size
        assert abs(noise.mean()) < 4 * t / math.sqrt(n)
        assert abs(noise.var() / t**2 - 1) < 4 * math.sqrt(2 / n)
        if before is not None:
            assert abs(np.corrcoef(noise, before)[0, 1]) < 4 / math.sqrt(n)  # Fresh at each level.
        before = noise


@pytest.mark.parametrize("resample", [1, 2, 8])
def test_replacement_on_correlated_gaussians_has_the_law_of_its_matrices(resample, rng):
    # Pairs of values with correlation ρ, one of each pair known.
    rho, value, n = 0.9, 1.5, 40_000
    covariance = np.array([[1, rho], [rho, 1]])
    times = pv.karras(12, sigma_max=8.0)

    def denoiser(y, sigma):
        matrix = covariance @ np.linalg.inv(covariance + sigma**2 * np.eye(2))
        return np.einsum("ij,njc->nic", matrix, y)

    # By hand: y = (first, second), mean m, covariance p; the first is known.
    m, p = np.zeros(2), np.eye(2) * times[0] ** 2
    keep = np.diag([0.0, 1.0])
    for t0, t1 in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        share = 1 - t1**2 / t0**2
        step = share * covariance @ np.linalg.inv(covariance + t0**2 * np.eye(2)) + (1 - share) * np.eye(2)
        for again in range(resample if t1 else 1):
            if again:
                p = p + (t0**2 - t1**2) * np.eye(2)
            m = keep @ step @ m + np.array([value, 0])
            p = keep @ (step @ p @ step.T + t1**2 * share * np.eye(2)) @ keep + np.diag([t1**2, 0])
    y = times[0] * rng.standard_normal((n, 2))
    known, mask = np.full((n, 2), value), np.tile([True, False], (n, 1))
    known[:, 1] = np.nan  # Never looked at.
    step = pv.replacement(known, mask, 4, resample=resample)
    second = pv.evolve(pv.Reverse(denoiser), y, times, step=step)[:, 1]
    assert abs(second.mean() - m[1]) < 4 * math.sqrt(p[1, 1] / n)
    assert abs(second.var() / p[1, 1] - 1) < 4 * math.sqrt(2 / n)
    # The best is ρ · value; once down is short of it, and resampling brings both parts together.
    if resample == 1:
        assert m[1] < 0.8 * rho * value
    if resample == 8:
        assert m[1] > 0.9 * rho * value


def test_at_the_last_level_replacement_goes_down_once_and_draws_nothing(rng):
    asked, drawn = [], []

    class Counting:
        def standard_normal(self, shape, dtype):
            drawn.append(shape)
            return rng.standard_normal(shape, dtype)

    term = pv.Reverse(lambda y, sigma: asked.append(sigma) or 0 * y)
    known, y = rng.random((8, 9)), rng.random((1, 8, 9))
    step = pv.replacement(known, MASK, Counting(), step=pv.posterior_mean, resample=3)
    step(term, 1.0, 0.5, y)
    assert (asked, len(drawn)) == ([1.0, 1.0, 1.0], 5)  # Down three times and up twice.
    asked.clear()
    drawn.clear()
    np.testing.assert_array_equal(step(term, 0.5, 0.0, y)[0], np.where(MASK, known, 0))
    assert (asked, drawn) == ([0.5], [])


def test_replacement_leaves_the_rest_to_its_step(rng):
    known, mask = rng.random((8, 9)), MASK
    step = pv.replacement(known, mask, 0, step=pv.posterior_mean)
    y, term = rng.random((1, 8, 9)), pv.Reverse(blur)
    out = step(term, 1.0, 0.5, y)
    np.testing.assert_array_equal(out[0][~mask], pv.posterior_mean(term, 1.0, 0.5, y)[0][~mask])
    assert not np.isclose(out[0][mask], pv.posterior_mean(term, 1.0, 0.5, y)[0][mask]).any()


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_replacement_keeps_to_the_layout(axis, rng):
    y, known = np.moveaxis(rng.random((8, 9, 3)), -1, axis), np.moveaxis(KNOWN, -1, axis)
    whole = np.broadcast_to(np.expand_dims(MASK, axis), known.shape)
    for mask in (MASK, np.expand_dims(MASK, axis), whole):
        step = pv.replacement(known, mask, 0, channel_axis=axis)
        out = pv.evolve(pv.Reverse(blur), y, TIMES, step=step, channel_axis=axis)
        np.testing.assert_array_equal(out[whole], known[whole])
        assert not np.isclose(out[~whole], known[~whole]).all()


# Time grids.


def test_ddpm_visits_every_level_or_evenly_spaced_ones():
    np.testing.assert_allclose(pv.ddpm(LINEAR), [*LINEAR.sigma(np.arange(999, -1, -1)), 0], rtol=1e-14)
    np.testing.assert_allclose(pv.ddpm(LINEAR, 4), [*LINEAR.sigma(np.array([999, 666, 333, 0])), 0], rtol=1e-14)
    np.testing.assert_array_equal(pv.ddpm(LINEAR, 1), [LINEAR.sigma(999), 0])
    np.testing.assert_allclose(pv.ddpm(LINEAR, 50, value_range=(-1, 1)), pv.ddpm(LINEAR, 50) / 2, rtol=1e-15)


@pytest.mark.parametrize("sigma", [5, 15, 25, 50])
def test_ddpm_starts_at_the_noise_of_the_video(sigma):
    start = sigma / 255
    t = {5: 7.7076, 15: 31.9004, 25: 56.1791, 50: 114.3617}[sigma]  # By bisection of σ(t), log σ linear in between.
    every = pv.ddpm(LINEAR, start=start, value_range=(-1, 1))
    assert every[0] == pytest.approx(start, rel=1e-12)
    np.testing.assert_allclose(every[1:-1], LINEAR.sigma(np.arange(int(t), -1, -1)) / 2, rtol=1e-14)
    five = pv.ddpm(LINEAR, 5, start=start, value_range=(-1, 1))
    np.testing.assert_allclose(LINEAR.timestep(2 * five[:-1]), np.linspace(t, 0, 5), rtol=0, atol=1e-4)
    assert five[-1] == 0
    np.testing.assert_allclose(pv.ddpm(LINEAR, 1, start=start), [start, 0], rtol=1e-12)


def test_ddpm_from_a_level_of_the_table_does_not_visit_it_twice():
    for schedule in (LINEAR, pv.Schedule.cosine(200)):
        for level in range(0, len(schedule), 3):
            times = pv.ddpm(schedule, start=np.nextafter(schedule.sigma(level), 1e9))  # As rounding may have it.
            assert len(times) == level + 2
            assert (np.diff(times) < 0).all()


def test_ddpm_of_zero_terminal_snr_starts_at_infinity():
    times = pv.ddpm(LINEAR.zero_terminal_snr(), 10)
    assert times[0] == math.inf
    assert np.isfinite(times[1:]).all()
    with pytest.raises(pv.ParameterError, match="finite"):
        pv.evolve(pv.Reverse(blur), np.ones((4, 4)), times)


def test_karras_levels_are_even_in_their_root():
    times = pv.karras(9, sigma_min=0.02, sigma_max=5.0, rho=3.0)
    assert times[0] == 5.0
    assert times[-1] == 0
    np.testing.assert_allclose(np.diff(times[:-1] ** (1 / 3), n=2), 0, atol=1e-14)
    assert times[-2] == pytest.approx(0.02)
    np.testing.assert_array_equal(pv.karras(1), [80.0, 0])
    np.testing.assert_allclose(pv.karras(5, sigma_min=1.0, sigma_max=5.0, rho=1.0), [5, 4, 3, 2, 1, 0])


def test_karras_levels_are_by_default_those_of_the_article():
    # Karras et al. (2022), (5): σ from 80 to 0.002 with ρ = 7.
    k = np.arange(18) / 17
    expected = (80 ** (1 / 7) + k * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    np.testing.assert_allclose(pv.karras(18), [*expected, 0], rtol=1e-12)


BLANK = np.zeros((4, 4))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: pv.ddpm(LINEAR, 0),
        lambda: pv.ddpm(LINEAR, 2.5),
        lambda: pv.ddpm(LINEAR, 1001),
        lambda: pv.ddpm(LINEAR, start=0.001),
        lambda: pv.ddpm(LINEAR, start=-1.0),
        lambda: pv.ddpm(LINEAR, value_range=(1, 0)),
        lambda: pv.karras(0),
        lambda: pv.karras(3, sigma_min=1.0, sigma_max=0.5),
        lambda: pv.karras(3, rho=0.0),
        lambda: pv.ancestral(0, "medium"),
        lambda: pv.ancestral(-1),
        lambda: pv.ancestral(0.5),
        lambda: pv.ancestral(0, value_range=(0, 0)),
        lambda: pv.ddim(1.5),
        lambda: pv.ddim(math.nan),
        lambda: pv.replacement(BLANK, BLANK, 0),
        lambda: pv.replacement(BLANK, np.zeros((4, 5), bool), 0),
        lambda: pv.replacement(BLANK, np.zeros(4, bool), 0),
        lambda: pv.replacement(BLANK, BLANK == 0, 0, resample=0),
        lambda: pv.evolve(pv.Reverse(blur), BLANK, [0.5, 1.0], step=pv.posterior_mean),
        lambda: pv.evolve(pv.Reverse(blur), BLANK, [0.5, 1.0], step=pv.ancestral()),
        lambda: pv.evolve(pv.Reverse(blur), BLANK, [0.5, -1.0], step=pv.ddim()),
        lambda: pv.evolve(pv.Reverse(blur), BLANK, [0.5, 1.0], step=pv.replacement(BLANK, BLANK == 0)),
    ],
)
def test_what_is_out_of_range_is_refused(wrong):
    with pytest.raises(pv.ParameterError):
        wrong()


def test_replacement_of_another_shape_is_refused():
    with pytest.raises(pv.InputError, match=r"known has shape \(1, 4, 4\)"):
        pv.evolve(pv.Reverse(blur), np.zeros((4, 5)), [1.0, 0.5], step=pv.replacement(BLANK, BLANK == 0))


def test_a_reverse_process_in_a_pipeline_answers_in_kind():
    video = np.full((3, 8, 9), 100, np.uint8)
    restored = pv.framewise(pv.Reverse(Gaussian(100 / 255, 0.01)), pv.ddpm(LINEAR, 3, start=0.1), pv.posterior_mean)
    both = pv.pipeline(pv.framewise(pv.Heat(), pv.uniform(1.0)), restored)
    np.testing.assert_array_equal(both(video), video)
