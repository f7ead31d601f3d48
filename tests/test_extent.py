"""Filters as values: they pickle, print as what was written, and pieces with the halo of their extent are the whole."""

from __future__ import annotations

import functools
import inspect
import math
import pickle
from itertools import pairwise
from typing import Annotated

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import pde_video as pv
from pde_video.filters.declarations import declared
from pde_video.filters.extent import EVERYTHING
from pde_video.filters.filter import as_filter
from pde_video.jobs.registry import filter_called, names

NOISE = pv.NoiseEstimate(0.0, 0.01)
ALL_BEFORE = pv.Extent(before=None)
ON_FRAMES = {
    "heat": (pv.heat, pv.Extent(cells=5)),  # Five explicit steps of 0.2, each of which looks one cell away.
    "heat in space and time": (pv.heat(spacetime=True), pv.Extent(8, 8, 1, None)),  # Eight of at most 0.8/6.
    "heat, implicit": (pv.heat(step="implicit-euler"), pv.Extent(cells=None)),
    "heun": (pv.heat(step="heun"), pv.Extent(cells=10)),
    "heat, around": (pv.framewise(pv.Heat(boundary="periodic"), pv.uniform(1.0)), pv.Extent(cells=None)),
    "heat, zero outside": (pv.framewise(pv.Heat(boundary="dirichlet"), pv.uniform(1.0)), pv.Extent(cells=4)),
    "random steps": (
        pv.framewise(pv.Reverse(pv.cosine_diffusion), [0.1, 0.0], pv.ancestral(rng=0)),
        pv.Extent(None, cells=None),
    ),
    "Perona-Malik": (pv.perona_malik(kappa=0.2, smoothing=0), pv.Extent(cells=10)),
    "Perona-Malik, smoothed": (pv.perona_malik(kappa=0.2), pv.Extent(cells=30)),
    "Perona-Malik, estimated": (pv.perona_malik(smoothing=0), pv.Extent(cells=10, first=40)),
    "Perona-Malik, step by kappa": (pv.perona_malik(kappa=0.2, conductance="tv"), pv.Extent(cells=None)),
    "total variation": (pv.tv(time=0.1, epsilon=0.1), pv.Extent(cells=5)),
    "total variation, estimated": (pv.tv, pv.Extent(cells=None, first=40)),
    "edge-enhancing": (pv.eed(kappa=0.2), pv.Extent(cells=None)),
    "difference": (pv.frame_difference(alpha=0.5), pv.Extent(before=1)),
    "recursive difference": (pv.frame_difference(alpha=-0.5, kappa=0.1), ALL_BEFORE),
    "crop": (pv.crop(top=1, left=2, height=9, width=8), pv.Extent(cells=None)),
    "resize": (pv.resize(height=9, width=8), pv.Extent(cells=None)),
    "superresolve": (pv.superresolve(factor=2, radius=2), pv.Extent(2, 2, 1, None)),
    "grey": (pv.to_gray, pv.Extent()),
    "normalize": (pv.normalize(low=0, high=0.5), pv.Extent()),
    "normalize, estimated": (pv.normalize, pv.Extent(cells=None, first=1)),
    "clip": (pv.clip(low=0.2, high=0.7), pv.Extent()),
    "noise": (pv.gaussian_noise(sigma=0.1), ALL_BEFORE),
    "extrapolate": (pv.extrapolate(frames=2), pv.Extent(None, None)),
    "extrapolate the motion": (pv.extrapolate(method="motion"), EVERYTHING),
    "interpolate": (pv.interpolate(rate="60000/1001"), EVERYTHING),
    "masking": (pv.masking(pv.frame_difference), pv.Extent(None, 0, 1, None)),
    "denoise": (pv.denoise, pv.Extent(18, 18, 1, None, 40)),
    "denoise, causal": (pv.denoise(causal=True, noise=(0.0, 0.01)), pv.Extent(18, 0, 1, None)),
    "best": (pv.denoise(preset="best", noise=(0.0, 0.01)), pv.Extent(36, 36, 1, None, 40)),
    "radius": (pv.denoise(radius=2, noise=(0.0, 0.01)), pv.Extent(6, 6, 1, None, 40)),
    "fast": (pv.denoise(preset="fast"), pv.Extent(None, 0, 1, None, 40)),
    "denoise by heat": (pv.denoise(method="heat", sigma=0.1), pv.Extent(0, 0, 25, None)),
    "learned": (pv.denoise(method="learned"), pv.Extent(None, 0, 1, None, 40)),
    "model": (pv.denoise(denoiser=pv.load_denoiser()), EVERYTHING),
    "denoise, measured": (pv.denoise(noise=NOISE), pv.Extent(18, 18, 1, None)),
    "best, measured": (pv.denoise(preset="best", noise=NOISE), pv.Extent(36, 36, 1, None)),
    "radius, measured": (pv.denoise(radius=2, noise=NOISE), pv.Extent(6, 6, 1, None)),
    "deflicker": (pv.deflicker(width=2), pv.Extent(4, 4, 1, None)),
    "deflicker in tiles": (pv.deflicker(width=1, local=True), pv.Extent(2, 2, 1, None)),
    "stabilize": (pv.stabilize(smoothing=2), pv.Extent(4, 4, 1, None)),
    "ddpm": (pv.denoise(method="ddpm", noise=NOISE), pv.Extent(cells=None)),
    "reverse": (pv.reverse(pv.cosine_diffusion, [0.1, 0.0]), pv.Extent(cells=None)),
    "reverse, drawn": (pv.reverse(pv.cosine_diffusion, [0.1, 0.0], pv.ancestral(rng=0)), pv.Extent(None, 0, 1, None)),
    "own": (functools.partial(lambda frames: frames), EVERYTHING),
    "partial": (functools.partial(pv.frame_difference, alpha=0.5), pv.Extent(before=1)),
    "pipeline": (
        pv.pipeline(pv.frame_difference, pv.denoise(radius=2), pv.denoise(method="tv", sigma=0.1), pv.normalize),
        pv.Extent(31, 6, 25, None, 40),
    ),
}


@pytest.mark.parametrize("name", ON_FRAMES)
def test_extent(name):
    a_filter, expected = ON_FRAMES[name]
    assert pv.extent(a_filter) == expected


def test_extents_add_up():
    one, other = pv.Extent(1, 2, 4, 3, 5), pv.Extent(10, 20, 6, 30, 40)
    # What the second sees first needs two frames more; what it chooses every six frames, up to five.
    assert one.then(other) == pv.Extent(16, 22, 12, 33, 42)
    assert one.then(EVERYTHING) == pv.Extent(None, None, 4, None, 5)
    assert one.then(pv.Extent()) == pv.Extent().then(one) == one


FINITE = [
    name
    for name, (a_filter, looked) in ON_FRAMES.items()
    if None not in (looked.before, looked.after) and not looked.first
]


def in_pieces(a_filter, video, cuts):
    """Filter a video in pieces, each with as many frames more as the extent says."""
    looked = pv.extent(a_filter)
    results = []
    for start, stop in pairwise([0, *cuts, len(video)]):
        first = max(0, start - looked.before) // looked.period * looked.period
        results.append(a_filter(video[first : stop + looked.after])[start - first : stop - first])
    return np.concatenate(results)


def scene(rng, dtype):
    """Frames that have enough in common to be one scene."""
    return (rng.random((16, 18)) + rng.normal(0, 0.1, (26, 16, 18))).astype(dtype)


@pytest.mark.parametrize("cuts", [(9,), (4, 17, 18)])
@pytest.mark.parametrize("name", FINITE)
def test_pieces_with_the_halo_of_the_extent_are_the_whole(name, cuts, rng):
    a_filter = ON_FRAMES[name][0]
    video = scene(rng, np.float32)
    np.testing.assert_array_equal(in_pieces(a_filter, video, cuts), a_filter(video))


STAGES = [
    pv.to_gray,
    pv.frame_difference(alpha=0.5),
    pv.heat(time=0.5, spacetime=True),
    pv.denoise(method="heat", sigma=0.1),
    pv.spacetime(pv.Heat(), pv.uniform(0.5)),
    pv.denoise(radius=1, noise=NOISE),
]


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from(STAGES), min_size=2, max_size=3), st.lists(st.integers(1, 59), max_size=2, unique=True))
@example([pv.frame_difference(alpha=0.5), pv.denoise(method="heat", sigma=0.1)], [27])
def test_pieces_are_the_whole_whatever_follows_what(stages, cuts):
    rng = np.random.default_rng(0)
    strength = np.linspace(0.05, 0.2, 60)[:, np.newaxis, np.newaxis]  # So that not all frames want the same time.
    video = (np.sin(np.arange(11) / 2) + strength * rng.normal(0, 1, (60, 10, 11))).astype(np.float32)
    a_filter = pv.pipeline(*stages)
    np.testing.assert_array_equal(in_pieces(a_filter, video, sorted(cuts)), a_filter(video))


# Averages follow only frames that look alike: tests/test_noise_estimate.py shows how far `denoise` looks.
@pytest.mark.parametrize("name", [n for n in FINITE if ON_FRAMES[n][1].before and n[:4] in ("heat", "diff")])
def test_a_frame_less_is_not_enough(name, rng):
    # Otherwise more is computed than is needed.
    a_filter, looked = ON_FRAMES[name]
    video = scene(rng, np.float64)
    short = a_filter(video[13 - looked.before + 1 :])[looked.before - 1]
    assert not np.array_equal(short, a_filter(video)[13])


CELLS = [name for name in FINITE if ON_FRAMES[name][1].cells and not math.isnan(ON_FRAMES[name][1].cells)]


@pytest.mark.parametrize("name", CELLS)
def test_parts_of_frames_with_the_halo_of_the_extent_are_the_whole(name, rng):
    a_filter, looked = ON_FRAMES[name]
    video = rng.random((2, 80, 90)).astype(np.float32)
    n = looked.cells
    whole, part = a_filter(video), a_filter(video[:, 30 - n : 39 + n, 35 - n : 46 + n])
    np.testing.assert_array_equal(part[:, n : n + 9, n : n + 11], whole[:, 30:39, 35:46])
    if name.startswith("heat"):
        narrow = a_filter(video[:, 30 - n + 1 : 39 + n, 35 - n : 46 + n])
        assert not np.array_equal(narrow[:, n - 1 : n + 8, n : n + 11], whole[:, 30:39, 35:46])


VALUES = [as_filter(a_filter) for name, (a_filter, _) in ON_FRAMES.items() if name != "own"]
VALUES += [
    pv.framewise(pv.Heat(), [0, 0.1, 0.25], pv.heun, check=False),
    pv.framewise(pv.PeronaMalik(kappa=0.02), pv.uniform(2.0, dt=0.2)),
    pv.spacetime(pv.Heat(), pv.uniform(0.5, dt=0.125), cuts=[3]),
    pv.poisson_gaussian_noise(slope=2.0, readout=1.0, rng=3),
    pv.refine(strength=0.1),
    pv.predict(count=2),
    pv.video_diffusion(alpha=0.5, num_iterations=2),
    pv.ced,
    pv.pipeline(),
    pv.denoise(noise_from=np.ones((2, 3, 4)), noise=[1.0, 0.5]),
    pv.denoise(method="ddpm", hooks=[pv.clip_estimate(0, 1)]),
]


@pytest.mark.parametrize("a_filter", VALUES, ids=repr)
def test_filters_pickle_and_print_as_what_was_written(a_filter):
    again = pickle.loads(pickle.dumps(a_filter))
    assert again == a_filter
    assert hash(again) == hash(a_filter)
    names = {name: getattr(pv, name) for name in pv.__all__}
    assert eval(repr(a_filter), {"np": np, **names}) == a_filter


def test_a_partial_that_takes_the_report_stays_as_it_is(rng):
    report = {}
    counting = functools.partial(pv.normalize, report=report)
    assert pv.extent(counting) == EVERYTHING
    video = rng.random((2, 4, 5))
    np.testing.assert_array_equal(pv.pipeline(counting)(video), pv.normalize(video))
    np.testing.assert_array_equal(counting(video), pv.normalize(video))
    assert report["low"] == video[0].min()


def test_a_filter_with_options_is_the_filter_called_with_them(rng):
    video = rng.integers(0, 256, (3, 16, 18), np.uint8)
    np.testing.assert_array_equal(pv.heat(time=0.5)(video), pv.heat(video, time=0.5))
    with pytest.raises(AttributeError):
        pv.heat(time=0.5).options = ()
    with pytest.raises(pv.ParameterError, match="crop needs left and width"):
        pv.crop(top=1, height=2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"time": -1.0}, "time is -1.0; it must be a finite number above 0"),
        ({"time": math.nan}, "time is nan; it must be a finite number above 0"),
        ({"time": "long"}, "time is 'long'; it must be a finite number above 0"),
        ({"time": True}, "time is True; it must be a finite number"),
        ({"time": None}, "time is None; it must be a finite number above 0"),
        ({"time": [1.0]}, r"time is \[1.0\]; it must be a finite number above 0"),
        ({"step": "leapfrog"}, "step is 'leapfrog'; it must be one of explicit-euler, heun"),
        ({"step": pv.heun}, "step is <function heun.*; it must be one of explicit-euler, heun"),
        ({"spacetime": "no"}, "spacetime is 'no'; it must be True or False"),
        ({"tine": 0.5}, "heat has no option 'tine'; it has time, dt, step, spacetime"),
    ],
)
def test_options_are_checked_before_the_first_frame(options, says):
    for call in (lambda: pv.heat(**options), lambda: pv.heat(iter([np.zeros((4, 4))]), **options)):
        with pytest.raises(pv.ParameterError, match=says):
            call()


@pytest.mark.parametrize(
    ("a_filter", "options", "says"),
    [
        (pv.denoise, {"preset": 1}, "preset is 1; it must be one of fast, balanced, best"),
        (pv.denoise, {"radius": 2.5}, "radius is 2.5; it must be a whole number of at least 0"),
        (
            pv.denoise,
            {"noise": "n.json"},
            "it must be one of auto, gaussian, poisson-gaussian, or a pair of numbers, or NoiseEst",
        ),
        (pv.denoise, {"sigma": "much"}, "sigma is 'much'; it must be a finite number of at least 0, or auto"),
        (pv.normalize, {"high": math.inf}, "high is inf; it must be a finite number"),
        (pv.gaussian_noise, {"sigma": 1.0, "rng": "luck"}, "rng is 'luck'; it must be a whole number .*, or Generator"),
        (pv.clip, {"low": math.nan, "high": 1}, "low is nan; it must be a number"),
    ],
)
def test_what_an_option_may_be_is_said(a_filter, options, says):
    for call in (lambda: a_filter(**options), lambda: a_filter(np.zeros((2, 4, 4)), **options)):
        with pytest.raises(pv.ParameterError, match=says):
            call()


def test_whole_numbers_may_come_as_floats_and_options_by_position(rng):
    video = rng.random((2, 6, 7))
    assert pv.resize(height=3.0, width=np.float64(4), order=1.0)(video).shape == (2, 3, 4)
    assert pv.denoise(radius=2.0) == pv.denoise(radius=2)
    assert repr(pv.denoise(radius=2.0)) == "denoise(radius=2)"
    np.testing.assert_array_equal(pv.clip(video, 0.2, 0.5), pv.clip(video, low=0.2, high=0.5))
    np.testing.assert_array_equal(pv.clip(video, -math.inf, 0.5), np.minimum(video, 0.5))
    for call in (lambda: pv.denoise(video, 20), lambda: pv.clip(video, 0.2, low=0.2)):
        with pytest.raises(TypeError, match="by position"):
            call()


def test_declarations_that_cannot_be_used_are_refused():
    @pv.video_filter
    def f(frames, *, size: Annotated[tuple[int, int], pv.Option(unit="pixels")] = (1, 1)):
        return frames

    with pytest.raises(TypeError, match="size of f has an Option, but no plain value"):
        f(size=(2, 2))
    with pytest.raises(TypeError, match="unexpected keyword argument 'size'"):

        @pv.video_filter(extent=lambda: pv.Extent())
        def g(frames, *, size: int = 1):
            return frames


def test_every_option_of_a_command_is_declared():
    for name in names():
        function = filter_called(name).function
        undeclared = {*inspect.signature(function).parameters} - {"frames", "video"} - declared(function).keys()
        assert undeclared <= {"hooks"}, name  # Those are functions.


def test_an_extent_of_an_estimated_contrast_knows_no_number_of_steps():
    assert pv.extent(pv.perona_malik(conductance="tv")) == pv.Extent(cells=None, first=40)


@pytest.mark.parametrize(
    ("options", "bound"), [({"dt": 0.2502}, "0.25:"), ({"dt": 0.1668, "spacetime": True}, "0.1666")]
)
def test_a_step_above_the_bound_names_the_option(options, bound):
    with pytest.raises(pv.UnstableStepError, match=f"dt is {options['dt']}; the largest stable one .* is {bound}"):
        pv.heat(np.zeros((4, 6, 7)), time=12 * options["dt"], **options)
