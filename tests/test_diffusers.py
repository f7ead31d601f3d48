"""Step by step the same as diffusers' schedulers, given the same noise: no weights, no network."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import pde_video as pv

REASON = "not installed: pip install '.[diffusers]'"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Of theirs, at import.
    torch = pytest.importorskip("torch", reason=f"PyTorch is {REASON}")
    diffusers = pytest.importorskip("diffusers", reason=f"diffusers is {REASON}")
    from diffusers.schedulers import scheduling_ddpm

SHAPE = (3, 4, 5)  # Channels first, as both see states.
SCHEDULES = {
    "linear": (pv.Schedule.linear(), {"beta_schedule": "linear"}),
    "cosine": (pv.Schedule.cosine(), {"beta_schedule": "squaredcos_cap_v2"}),
}
ON = pytest.mark.parametrize("schedule", SCHEDULES)
PREDICTIONS = pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
CLIPS = pytest.mark.parametrize("clip", [False, True])


def scheduler(kind, name, steps, **config):
    """Theirs, with tables in double precision."""
    table, theirs = SCHEDULES[name]
    made = kind(num_train_timesteps=1000, **theirs, **config)
    made.alphas_cumprod = torch.tensor(table.abar.copy())
    made.alphas = torch.tensor(table.abar / np.append(1.0, table.abar[:-1]))
    made.betas = 1 - made.alphas
    made.one = made.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    made.set_timesteps(steps)
    return made


class Model:
    """What a network would say, as a smooth function of x_t and t: more than a range so that clips do something."""

    def __init__(self, prediction, abar):
        self.prediction, self.abar = prediction, abar

    def output(self, x, t):
        return 1.4 * np.sin(3 * x + t / 300) + 0.2 * np.cos(7 * x)

    def fraction(self, x, t):
        return 0.5 + 0.5 * np.cos(5 * x + t)

    def estimate(self, x, t):
        a, out = self.abar[t], self.output(x, t)
        if self.prediction == "epsilon":
            return (x - math.sqrt(1 - a) * out) / math.sqrt(a)
        return out if self.prediction == "sample" else math.sqrt(a) * x - math.sqrt(1 - a) * out


class Denoiser:
    """The same model in the noise level, on frames whose 0 and 1 are `low` and `high` of the model."""

    def __init__(self, model, levels, low, high):
        self.model, self.levels, self.low, self.width = model, levels, low, high - low

    def _seen(self, y, sigma):
        t = min(self.levels, key=lambda t: abs(self.levels[t] / self.width - sigma))
        return math.sqrt(self.model.abar[t]) * (self.low + self.width * y), t

    def __call__(self, y, sigma):
        return (self.model.estimate(*self._seen(y, sigma)) - self.low) / self.width

    def with_fraction(self, y, sigma):
        return self(y, sigma), self.model.fraction(*self._seen(y, sigma))


class Recorded:
    """The noise of each step in turn."""

    def __init__(self, noises):
        self.noises = iter(noises)

    def standard_normal(self, shape, dtype):
        return next(self.noises).reshape(shape)


def largest_differences(made, their_step, table, prediction, hooks, our_step, low=0.0, high=1.0):
    """Run both chains from the same start with the same noise; how far apart they ever are, in x_t."""
    rng = np.random.default_rng(11)
    model = Model(prediction, table.abar)
    timesteps = [int(t) for t in made.timesteps]
    noises = rng.standard_normal((len(timesteps), *SHAPE))
    levels = {t: table.sigma(t) for t in timesteps}
    times = np.array([*levels.values(), 0.0]) / (high - low)
    term = pv.Reverse(Denoiser(model, levels, low, high), hooks)
    x = rng.standard_normal(SHAPE)
    a = table.abar[timesteps[0]]
    y = (x / math.sqrt(a) - low) / (high - low)
    ours = [state for _, state in pv.evolution(term, y, times, step=our_step(Recorded(noises)), channel_axis=0)]
    differences = []
    sample = torch.tensor(x)[None]
    for k, t in enumerate(timesteps):
        output = model.output(sample.numpy(), t)
        if getattr(made, "variance_type", "") == "learned_range":
            output = np.concatenate([output, 2 * model.fraction(sample.numpy(), t) - 1], axis=1)
        sample = their_step(torch.tensor(output), t, sample, torch.tensor(noises[k])[None])
        after = table.abar[timesteps[k + 1]] if k + 1 < len(timesteps) else 1.0
        mine = math.sqrt(after) * (low + (high - low) * ours[k + 1])
        differences.append(np.abs(sample[0].numpy() - mine).max())
    return max(differences)


@ON
@PREDICTIONS
@CLIPS
@pytest.mark.parametrize(
    ("theirs", "variance"), [("fixed_small", "small"), ("fixed_large", "large"), ("learned_range", "learned")]
)
@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1)])
@pytest.mark.parametrize("steps", [10, 50])
def test_ancestral_is_their_ddpm(schedule, prediction, clip, theirs, variance, low, high, steps, monkeypatch):
    made = scheduler(
        diffusers.DDPMScheduler, schedule, steps, prediction_type=prediction, clip_sample=clip, variance_type=theirs
    )

    def their_step(output, t, sample, noise):
        monkeypatch.setattr(scheduling_ddpm, "randn_tensor", lambda *args, **kwargs: noise)
        return made.step(output, t, sample).prev_sample

    # Theirs are clipped to −1 and 1, in units of the model.
    hooks = [pv.clip_estimate((-1 - low) / (high - low), (1 - low) / (high - low))] if clip else []
    difference = largest_differences(
        made,
        their_step,
        SCHEDULES[schedule][0],
        prediction,
        hooks,
        lambda noise: pv.ancestral(noise, variance, value_range=(low, high)),
        low,
        high,
    )
    assert difference <= 1e-9


@ON
@PREDICTIONS
@CLIPS
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("steps", [10, 50])
def test_ddim_is_their_ddim(schedule, prediction, clip, eta, steps):
    made = scheduler(diffusers.DDIMScheduler, schedule, steps, prediction_type=prediction, clip_sample=clip)

    def their_step(output, t, sample, noise):
        kwargs = {"variance_noise": noise} if eta else {}
        return made.step(output, t, sample, eta, use_clipped_model_output=True, **kwargs).prev_sample

    hooks = [pv.clip_estimate(-1, 1)] if clip else []
    table = SCHEDULES[schedule][0]
    assert largest_differences(made, their_step, table, prediction, hooks, lambda noise: pv.ddim(eta, noise)) <= 1e-9
    if eta == 0:
        assert largest_differences(made, their_step, table, prediction, hooks, lambda noise: pv.explicit_euler) <= 1e-9


def test_dynamic_threshold_is_theirs():
    config = {"thresholding": True, "dynamic_thresholding_ratio": 0.8, "sample_max_value": 1e6}
    made = scheduler(diffusers.DDIMScheduler, "linear", 20, prediction_type="sample", **config)

    def their_step(output, t, sample, noise):
        return made.step(output, t, sample, use_clipped_model_output=True).prev_sample

    hooks, table = [pv.dynamic_threshold(0.8, -1, 1)], SCHEDULES["linear"][0]
    assert largest_differences(made, their_step, table, "sample", hooks, lambda noise: pv.ddim()) <= 1e-9


@pytest.mark.parametrize(
    ("ours", "config"),
    [
        (pv.Schedule.linear(), {"beta_schedule": "linear"}),
        (pv.Schedule.scaled_linear(), {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}),
        (pv.Schedule.cosine(), {"beta_schedule": "squaredcos_cap_v2"}),
        (pv.Schedule.linear().zero_terminal_snr(), {"beta_schedule": "linear", "rescale_betas_zero_snr": True}),
    ],
    ids=["linear", "scaled", "cosine", "zero snr"],
)
def test_tables_are_theirs_to_single_precision(ours, config):
    theirs = diffusers.DDIMScheduler(num_train_timesteps=1000, **config).alphas_cumprod.numpy()
    np.testing.assert_allclose(ours.abar, theirs, rtol=1e-3, atol=2e-7)


def test_noise_is_added_as_they_add_it():
    made, rng = scheduler(diffusers.DDPMScheduler, "linear", 1000), np.random.default_rng(3)
    x, noise = rng.standard_normal((2, *SHAPE))
    theirs = made.add_noise(torch.tensor(x)[None], torch.tensor(noise)[None], torch.tensor([321]))[0].numpy()
    np.testing.assert_allclose(SCHEDULES["linear"][0].add_noise(x, 321, noise), theirs, rtol=0, atol=1e-12)
