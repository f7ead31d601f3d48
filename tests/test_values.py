"""What filters are built from: frozen, picklable, comparable, and printed as the call that makes it."""

from __future__ import annotations

import dataclasses
import pickle
from functools import partial
from itertools import combinations

import numpy as np
import pytest
from cases import marked_slow

import pde_video as pv
from pde_video.arrays.values import Value, call_repr, times_as_code
from pde_video.denoisers.network import FORMAT, shapes
from pde_video.filters import FrozenFilter
from pde_video.protocols import Term, satisfies

PUBLIC = {name: getattr(pv, name) for name in pv.__all__}


def smaller(x, t):
    return x / 2


def with_variance(x, t):
    return np.concatenate([x / 2, np.clip(x, -1, 1)], axis=-1)


def middle(window, sigma):
    return window[len(window) // 2]


def halved(frame, state, sigma):
    estimate = frame if state is None else (frame + state) / 2
    return estimate, estimate


def ramp(t):
    return np.full((1, 4, 5), t)


def growing(sigma):
    return 3 * sigma


def heat_of(sigma):
    return pv.Heat(1 + sigma)


def averaged(z):
    return z.mean(keepdims=True)


def spread(v):
    return np.full((4, 5, 1), v.item() / 20)


def network(**changes):
    config = {"format": FORMAT, "cell": "gru", "width": 4, "encoder": 0, "decoder": 0, "deviation": 0.25} | changes
    draw = np.random.default_rng(4).normal
    tensors = {name: draw(0, 0.2, shape).astype(np.float32) for name, shape in shapes(config).items()}
    return pv.Network(config, tensors)


DATA = "np.linspace(-1, 1, 20).reshape(4, 5)"
MASK = "np.arange(20).reshape(4, 5) % 3 == 0"
CODES = [
    "Heat()",
    "Heat(0.5, spacing=(1, 2.5), boundary='periodic')",
    "Heat(np.float32(0.1))",
    "PeronaMalik(0.02)",
    "PeronaMalik(0.02, 'tukey', smoothing=0.7)",
    "TotalVariation(1e-3)",
    "EdgeEnhancing(0.1, conductance='weickert', least=0.05)",
    "CoherenceEnhancing(1e-9, alpha=0.01)",
    "Shock()",
    "Shock(smoothing=1.5)",
    f"FrameDifference({DATA})",
    f"FrameDifference({DATA}.astype('float32'), kappa=0.1)",
    f"Fidelity({DATA}, weight=2.0)",
    f"Fidelity({DATA}, weight=({MASK}).astype('uint8'))",
    f"Source({DATA})",
    "Source(ramp)",
    f"Masked(Heat(), {MASK}, {DATA})",
    f"Masked(Heat(), {MASK}, np.where({MASK}, np.nan, 1.0))",
    f"Sum(Heat(), Fidelity({DATA}), PeronaMalik(0.1))",
    "Sum(Heat())",
    "Reverse(cosine_diffusion)",
    "Reverse(SmoothPrior(), [clip_estimate(), guidance(smaller, 0.5)])",
    "explicit_euler",
    "fed",
    "posterior_mean",
    "ancestral()",
    "ancestral(3, 'large', value_range=(-1, 1))",
    "ddim(0.5, rng=1)",
    f"replacement({DATA}, {MASK}, 2)",
    f"replacement(({DATA})[..., np.newaxis], {MASK}, step=ddim(0.3), resample=2, channel_axis=-1)",
    "uniform(2.0)",
    "uniform(2.5)",
    "clip_estimate()",
    "clip_estimate(-0.5, 0.9)",
    "dynamic_threshold()",
    "dynamic_threshold(0.9, -1, 1)",
    "guidance(smaller)",
    "guidance(smaller, 2.0)",
    f"data_consistency(({DATA})[..., np.newaxis], mask=({MASK})[..., np.newaxis], noise=0.1)",
    "data_consistency(np.ones((1, 1, 1)), averaged, spread, tolerance=1e-9)",
    "classifier_free(cosine_diffusion, SmoothPrior(), 3.0)",
    "Schedule.linear()",
    "Schedule.linear(100, beta_end=0.01)",
    "Schedule.scaled_linear(50)",
    "Schedule.cosine(10).zero_terminal_snr()",
    "Schedule.sigmoid(tau=0.9)",
    "Schedule.from_betas([0.1, 0.2])",
    "Schedule([0.9, 1 / 3, 0.1])",
    "cosine_diffusion",
    "SmoothPrior(mean=0.25)",
    "as_denoiser(Heat(), gamma=0.01)",
    "as_denoiser(heat_of, time=growing, step=explicit_euler)",
    "from_eps(smaller, Schedule.linear())",
    "from_eps(with_variance, Schedule.linear(), value_range=(-1, 1), learned_variance=True)",
    "from_x0(smaller, Schedule.cosine(), whole_timesteps=True)",
    "from_v(smaller, Schedule.linear().zero_terminal_snr())",
    "windowed(middle)",
    "windowed(middle, 1, 3, pad='reflect')",
    "recurrent(halved)",
    f"recurrent(halved, start=({DATA})[..., np.newaxis])",
    "load_denoiser()",
    "network()",
    "network(cell='rnn')",
]
NAMES = PUBLIC | {
    "np": np,
    **{f.__name__: f for f in (smaller, with_variance, middle, halved, ramp, growing, heat_of, averaged, spread)},
}


def made(code):
    return eval(code, NAMES | {"network": network})


def written(value):
    """As the argument of a call, in which functions stand by their names."""
    return call_repr("", value)[1:-1]


def result(value):
    """What the value does with a small picture."""
    y = np.random.default_rng(7).random((4, 5, 1))
    state = y[..., 0][np.newaxis]
    if isinstance(value, (pv.EdgeEnhancing, pv.CoherenceEnhancing)):
        state = state.astype(np.float32)  # They take long to compile; the fast tests have them in one precision.
    if satisfies(value, Term):
        return value.aligned(None, (4, 5)).rate(0.5, state) if isinstance(value, AS_GIVEN) else value.rate(0.5, state)
    if isinstance(value, pv.Schedule):
        return value.abar
    code = written(value).partition("(")[0]
    if code == "uniform":
        return value(0.25)
    if code in ("explicit_euler", "fed"):
        return value(pv.Heat(), 0.0, 0.5, state)
    if code in ("posterior_mean", "ancestral", "ddim", "replacement"):
        return value(pv.Reverse(pv.SmoothPrior()), 0.5, 0.25, state)
    if code in ("clip_estimate", "dynamic_threshold", "guidance", "data_consistency"):
        return value(4 * y - 1.5, y, 0.5)
    return value(y, 0.2)


AS_GIVEN = (pv.FrameDifference, pv.Fidelity, pv.Masked, pv.Sum)  # Their fields have the layout of what is evolved.


# What takes long to compile, and differs in a name.
SOME = marked_slow(CODES, "EdgeEnhancing(0.1, conductance='weickert', least=0.05)")


@pytest.mark.parametrize("code", SOME)
def test_the_repr_makes_an_equal_value(code):
    value = made(code)
    again = eval(written(value), NAMES)
    assert again == value
    assert written(again) == written(value)
    assert np.array_equal(result(again), result(made(code)))


@pytest.mark.parametrize("code", SOME)
def test_pickles_are_equal_and_do_the_same(code):
    value = made(code)
    again = pickle.loads(pickle.dumps(value))
    assert again == value
    assert written(again) == written(value)
    assert np.array_equal(result(again), result(value))


@pytest.mark.parametrize("code", [code for code in CODES if isinstance(made(code), Value)])
def test_nothing_can_be_set(code):
    value = made(code)
    for name in [field.name for field in dataclasses.fields(value)] + ["anything"]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 1)


def test_no_two_of_them_are_equal():
    values = {code: made(code) for code in CODES}
    for (code, value), (other, another) in combinations(values.items(), 2):
        assert value != another, (code, other)


def test_equal_values_have_equal_hashes():
    for code in CODES:
        if isinstance(value := made(code), Value):
            assert hash(value) == hash(made(code)), code


def test_every_public_value_is_among_them():
    classes = {name for name, thing in PUBLIC.items() if isinstance(thing, type) and issubclass(thing, Value)}
    kinds = {repr(made(code)).partition("(")[0].partition(".")[0] for code in CODES}
    filters = {name for name in classes if issubclass(PUBLIC[name], FrozenFilter)}  # In test_extent.py.
    # test_models.py has those of optional packages.
    assert classes <= kinds | filters | {"Network", "Option", "from_torch", "from_onnx"}
    public_terms = {name for name, thing in PUBLIC.items() if isinstance(thing, type) and hasattr(thing, "rate")}
    assert public_terms - {"Term", "Video"} <= classes


def test_a_value_prints_what_was_written():
    for code in (
        "PeronaMalik(kappa=0.02)",
        "Heat(spacing=(1.0, 2.0))",
        "Schedule.linear(100)",
        "Schedule.cosine(10).zero_terminal_snr()",
        "uniform(2.0)",
        "ancestral()",
        "replacement(known=np.array([1.0, 2.0]), mask=np.array([True, False]), step=ddim(eta=0.5))",
        "as_denoiser(term=Heat(), gamma=0.01)",
        "from_eps(model=smaller, schedule=Schedule.linear(), value_range=(-1.0, 1.0))",
        "Sum(Heat(), Fidelity(data=np.array([0.5], dtype='float32')))",
        "load_denoiser()",
    ):
        assert repr(made(code)) == code


def test_a_network_from_a_file_prints_as_reading_it(tmp_path):
    from importlib import resources

    path = tmp_path / "model.safetensors"
    path.write_bytes(resources.files("pde_video.denoisers").joinpath("shipped.safetensors").read_bytes())
    read = pv.load_denoiser(path)
    assert repr(read) == f"load_denoiser({str(path)!r})"
    assert eval(repr(read), NAMES) == read == pickle.loads(pickle.dumps(read))
    assert read.name == "model.safetensors"


def test_a_schedule_stays_locked_in_a_pickle():
    with pytest.raises(ValueError, match="read-only"):
        pickle.loads(pickle.dumps(pv.Schedule.linear())).abar[0] = 0.5


def test_a_step_with_a_generator_goes_on_drawing_from_it():
    generator, same = np.random.default_rng(5), np.random.default_rng(5)
    step, term, y = pv.ancestral(generator), pv.Reverse(pv.SmoothPrior()), np.zeros((1, 4, 5))
    mean = pv.posterior_mean(term, 0.5, 0.25, y)
    for _ in range(2):
        drawn = (step(term, 0.5, 0.25, y) - mean) / (0.25 * np.sqrt(0.75))
        assert np.allclose(drawn, same.standard_normal(y.shape), atol=1e-12)


def test_messages_leave_out_the_numbers_of_large_arrays():
    term = pv.Fidelity(np.zeros((200, 300)), weight=4.0)
    assert str(term) == "Fidelity(data=<float64 array of shape (200, 300)>, weight=4.0)"
    assert str(pv.Fidelity(np.zeros(2))) == repr(pv.Fidelity(np.zeros(2))) == "Fidelity(data=np.array([0.0, 0.0]))"
    with pytest.raises(pv.UnstableStepError) as fault:
        pv.evolve(pv.Sum(pv.Heat(), term), np.zeros((200, 300)), [0, 1.0])
    assert len(str(fault.value)) < 400


@pytest.mark.parametrize(
    "array",
    [
        np.random.default_rng(0).random((3, 700)).astype(np.float32),
        np.array([[np.nan, np.inf], [-np.inf, -0.0]]),
        np.array(2.5),
        np.zeros((0, 3), np.float32),
        np.arange(3, dtype=">f8"),
        np.arange(5, dtype=np.uint16),
        np.array([True, False]),
        np.array([1 / 3, 1e-300, 2**53 + 1.0]),
        np.array([5e-324, np.finfo(np.float32).tiny], np.float64),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_arrays_are_written_exactly(array):
    again = eval(written(array), NAMES)
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert again.tobytes() == array.tobytes()


def test_arguments_are_written_by_their_public_names():
    text = call_repr("f", np.sin, pv.heun, pv.Heat, np.float32, (1,), [1, (2, 3)], {"a": np.inf}, None, b="c")
    assert text == "f(np.sin, heun, Heat, np.float32, (1,), [1, (2, 3)], {'a': np.inf}, None, b='c')"
    assert call_repr("f", np.float32(0.1), -np.inf, np.float64(np.nan)) == "f(np.float32(0.1), -np.inf, np.nan)"
    assert call_repr("f", partial(pv.extrapolate, alpha=0.5)) == "f(partial(extrapolate, alpha=0.5))"
    assert call_repr("f", lambda x: x, partial) == "f(<lambda>, partial)"


@pytest.mark.parametrize("t_end", [0.3, 2.0, 7, 1 / 3])
@pytest.mark.parametrize("steps", [2, 3, 10, 49])
def test_equal_steps_are_written_as_such_and_give_the_same_bits(t_end, steps):
    times = pv.uniform(t_end, steps=steps)
    text = written(times_as_code(times))
    assert text == f"uniform({float(t_end)!r}, steps={steps})"
    assert eval(text, NAMES).tobytes() == times.tobytes()


def test_other_times_are_written_as_a_list():
    for times in ([0.0, 0.1], [0, 0.1, 0.3], pv.karras(3, sigma_max=1.0), [0.0, 0.1, np.nextafter(0.2, 1)], [5.0]):
        text = written(times_as_code(times))
        assert text.startswith("[")
        assert eval(text, NAMES) == [float(t) for t in times]
    assert str(times_as_code(pv.uniform(2.0))) == "uniform(2.0)"
