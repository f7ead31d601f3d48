"""Recipes: what a plain description builds, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import pde_video as pv
from pde_video.errors import ParameterError
from pde_video.filters.declarations import declared
from pde_video.filters.evolving import STEPS
from pde_video.jobs.recipes import build, from_toml, json_schema
from pde_video.jobs.registry import filter_called, names


def applied(video, *recipe, report=None):
    return pv.pipeline(*build(recipe))(video, report=report)


@pytest.fixture
def eight_bit(rng):
    return rng.integers(0, 256, (5, 24, 32, 3)).astype(np.uint8)


def cosine(t: int = 2) -> tuple[np.ndarray, float]:
    """An eigenvector of the discrete heat equation on 16 × 16, and its eigenvalue."""
    wave = np.cos(np.pi * 3 * (np.arange(16) + 0.5) / 16)
    return np.tile(0.5 + 0.25 * wave, (t, 16, 1)), -4 * np.sin(np.pi * 3 / 32) ** 2


@pytest.mark.parametrize(
    ("step", "factor"),
    [
        ("explicit-euler", lambda z: 1 + z),
        ("implicit-euler", lambda z: 1 / (1 - z)),
        ("crank-nicolson", lambda z: (1 + z / 2) / (1 - z / 2)),
        ("heun", lambda z: 1 + z + z * z / 2),
    ],
)
def test_heat_multiplies_an_eigenvector_by_the_factor_of_its_step(step, factor):
    video, eigenvalue = cosine()
    found = applied(video, {"filter": "heat", "time": 1.0, "dt": 0.25, "step": step})
    np.testing.assert_allclose(found - 0.5, factor(0.25 * eigenvalue) ** 4 * (video - 0.5), atol=1e-12)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_by_its_name(step):
    video, eigenvalue = cosine()
    found = applied(video, {"filter": "heat", "time": 0.5, "step": step})
    np.testing.assert_allclose(found - 0.5, np.exp(0.5 * eigenvalue) * (video - 0.5), atol=0.01)


def test_total_variation_moves_each_side_by_time_over_length():
    edge = np.tile([0.0, 0, 0, 100, 100], (1, 6, 1))
    found = applied(edge, {"filter": "tv", "time": 30.0, "epsilon": 0.1})
    np.testing.assert_allclose(found, np.tile([10.0, 10, 10, 85, 85], (1, 6, 1)), atol=0.3)


def steps(term, time, ndim=2):
    return pv.uniform(float(time), 0.8 * term.stable_dt(ndim))


@pytest.mark.parametrize(
    ("name", "options", "term", "time"),
    [
        (
            "perona-malik",
            {"kappa": 12, "conductance": "rational"},
            pv.PeronaMalik(12 / 255, "rational", smoothing=0.7),
            2,
        ),
        ("eed", {"kappa": 12.0}, pv.EdgeEnhancing(12 / 255), 5),
        ("ced", {"kappa": 12.0, "integration": 2}, pv.CoherenceEnhancing((12 / 255) ** 4, integration=2.0), 5),
        ("tv", {"epsilon": 2, "time": 8}, pv.TotalVariation(2 / 255), 8 / 255),
    ],
)
def test_contrasts_are_in_units_of_the_input(eight_bit, name, options, term, time):
    found = applied(eight_bit, {"filter": name, **options})
    np.testing.assert_array_equal(found, pv.framewise(term, steps(term, time))(eight_bit))


@pytest.mark.parametrize("name", ["perona-malik", "tv", "eed", "ced"])
def test_contrast_that_is_not_told_is_estimated_and_scales_with_the_input(rng, name):
    video = rng.normal(0, 1, (2, 24, 32)).cumsum(axis=2).astype(np.float32)
    reports = [{}, {}]
    found = [
        applied(np.float32(scale) * video, {"filter": name}, report=report)
        for scale, report in zip((1, 1024), reports, strict=True)
    ]
    np.testing.assert_allclose(found[1], 1024 * found[0], rtol=1e-6, atol=1e-6 * np.abs(found[1]).max())
    key = "epsilon" if name == "tv" else "kappa"
    kappa = pv.estimate_kappa(video[:1])
    assert reports[0][key] == pytest.approx(0.1 * kappa if name == "tv" else kappa)
    assert reports[1][key] == pytest.approx(1024 * reports[0][key])


@pytest.mark.parametrize("name", ["perona-malik", "tv", "eed", "ced"])
def test_a_flat_video_stays_as_it_is(name):
    video = np.full((3, 16, 16), 77, np.uint8)
    np.testing.assert_array_equal(applied(video, {"filter": name}), video)


@pytest.mark.parametrize("name", ["perona-malik", "tv", "eed", "ced"])
def test_contrast_is_estimated_from_the_first_frame_that_is_not_flat(rng, name):
    lively = rng.random((3, 16, 16), np.float32)
    faded_in = np.concatenate([np.zeros((5, 16, 16), np.float32), lively])
    np.testing.assert_array_equal(applied(faded_in, {"filter": name})[5:], applied(lively, {"filter": name}))


def test_spacetime_diffuses_the_volume(rng):
    video = rng.random((6, 8, 9))
    found = applied(video, {"filter": "heat", "time": 0.5, "spacetime": True})
    np.testing.assert_array_equal(found, pv.spacetime(pv.Heat(), steps(pv.Heat(), 0.5, 3))(video))
    assert not np.allclose(found, applied(video, {"filter": "heat", "time": 0.5}))


def test_filters_come_one_after_the_other(eight_bit):
    recipe = [
        {"filter": "crop", "top": 2, "left": 3, "height": 10, "width": 12},
        {"filter": "to-gray"},
        {"filter": "extrapolate", "frames": 2},
    ]
    found = applied(eight_bit, *recipe)
    assert found.shape == (7, 10, 12)
    np.testing.assert_array_equal(found[:5], pv.to_gray(eight_bit[:, 2:12, 3:15]))


def test_noise_is_the_same_for_the_same_seed(eight_bit):
    first, same, other = (
        applied(eight_bit, {"filter": "gaussian-noise", "sigma": 5, "seed": seed}) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_denoise_takes_a_line_of_noise_as_a_list(eight_bit):
    found = applied(eight_bit, {"filter": "denoise", "noise": [2.0, 3.0], "radius": 1})
    np.testing.assert_array_equal(found, pv.denoise(eight_bit, noise=(2.0, 3.0), radius=1))


@pytest.mark.parametrize(
    ("one", "says"),
    [
        ({"filter": "blur"}, "no filter 'blur'; there are blend, ced, clip, crop, deflicker, denoise"),
        ({}, "no filter None"),
        ({"filter": "heat", "tine": 1.0}, "no option 'tine'; it has time, dt, step, spacetime"),
        ({"filter": "heat", "time": "long"}, "must be of type number"),
        ({"filter": "heat", "time": True}, "must be of type number"),
        ({"filter": "heat", "spacetime": 1}, "true or false"),
        ({"filter": "denoise", "radius": 1.5}, "whole number"),
        ({"filter": "denoise", "noise": [1.0]}, "pair of numbers"),
        ({"filter": "denoise", "hooks": []}, "no option 'hooks'"),
        ({"filter": "denoise", "denoiser": "x"}, "no option 'denoiser'"),
        ({"filter": "crop", "top": 1}, "crop needs left and height and width"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(one, says):
    with pytest.raises(ParameterError, match=says.replace("(", r"\(")):
        build([one])


@pytest.mark.parametrize("recipe", ["heat", {"filter": "heat"}, ["heat"]])
def test_a_recipe_is_a_list_of_tables(recipe):
    with pytest.raises(ParameterError, match="a recipe is a list"):
        build(recipe)


@pytest.mark.parametrize(
    ("one", "says"),
    [
        ({"filter": "heat", "dt": -1.0}, "dt is -1"),
        ({"filter": "heat", "time": float("nan")}, "time is nan"),
        ({"filter": "heat", "step": "leapfrog"}, "it must be one of explicit-euler, heun"),
        ({"filter": "eed", "step": "aos"}, "must be one of explicit-euler"),
        ({"filter": "heat", "time": 3.0, "dt": 1.0}, "above|stable"),
        ({"filter": "heat", "spacetime": True, "step": "aos"}, "explicit-euler"),
        ({"filter": "perona-malik", "kappa": 0}, "kappa is 0"),
        ({"filter": "tv", "epsilon": -1.0}, "epsilon is -1"),
        ({"filter": "tv", "time": 0}, "time is 0"),
    ],
)
def test_numbers_out_of_range_are_refused_by_the_library(eight_bit, one, says):
    with pytest.raises(ParameterError, match=says):
        applied(eight_bit, one)


def test_toml(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('[[filter]]\nname = "denoise"\npreset = "best"\n[[filter]]\nname = "crop"\ntop = 1\n')
    assert from_toml(path) == [{"filter": "denoise", "preset": "best"}, {"filter": "crop", "top": 1}]
    path.write_text("# nothing\n")
    assert from_toml(path) == []
    assert build([]) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[filter]\n", "not a TOML file"),
        ("[filter]\nname = 'heat'\n", "one table"),
        ("[[filter]]\ntime = 1.0\n", "filter 1 has no name"),
        ("[[filters]]\nname = 'heat'\n", "filters is not understood"),
        ("filter = ['heat']\n", "one table"),
        ("\xff", "not a TOML file"),
    ],
)
def test_toml_that_is_not_understood(tmp_path, text, says):
    path = tmp_path / "recipe.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ParameterError, match=says):
        from_toml(path)


SECOND = (
    ("fuse", "guide", (1, 32, 36)),
    ("blend", "foreground", (3, 16, 18)),
    ("join", "following", (9, 16, 18)),
    ("stitch", "other", (3, 48, 64)),
)
NEEDED = {
    "crop": {"top": 1, "left": 1, "height": 9, "width": 9},
    "resize": {"height": 9, "width": 9},
    "superres": {"factor": 2},
    "clip": {"low": 0.2, "high": 0.7},
    "gaussian-noise": {"sigma": 0.1},
    "inpaint": {"mask": "nan"},
    "mask": {"detect": "dust"},
    "poisson-gaussian-noise": {"slope": 0.1},
}


@pytest.mark.parametrize("name", names())
def test_a_recipe_with_every_default_said_is_the_recipe_with_none(name, rng, tmp_path):
    needed = dict(NEEDED)
    for file, option, shape in SECOND:
        np.save(tmp_path / f"{option}.npy", rng.random(shape))
        needed[file] = {option: str(tmp_path / f"{option}.npy")}
    np.save(tmp_path / "mask.npy", np.uint8(255 * (rng.random((1, 16, 18)) < 0.5)))
    needed["blend"] |= {"mask": str(tmp_path / "mask.npy")}
    video = rng.random((9 if name == "join" else 3, 16, 18), np.float32)
    if name == "stitch":  # With itself.
        video = np.load(tmp_path / "other.npy").astype(np.float32)
    options = declared(filter_called(name).function).values()
    said = {one.name: one.default for one in options if not one.required and one.default is not None}
    few = {"filter": name, **needed.get(name, {})}
    np.testing.assert_array_equal(applied(video, few | said), applied(video, few))


ONES = [
    {"name": "heat", "time": 2.0},
    {"name": "heat", "time": 2, "step": "fed", "spacetime": False},
    {"name": "denoise", "noise": [1.0, 2.0], "radius": 3},
    {"name": "denoise", "noise": "gaussian", "sigma": 3},
    {"name": "gaussian-noise", "sigma": 5, "seed": 2},
    {"name": "to-gray"},
    {"name": "blur"},
    {"time": 2.0},
    {"name": "heat", "tine": 2.0},
    {"name": "heat", "time": "long"},
    {"name": "heat", "time": -1.0},
    {"name": "heat", "spacetime": 1},
    {"name": "heat", "step": "leapfrog"},
    {"name": "denoise", "radius": 1.5},
    {"name": "denoise", "radius": -1},
    {"name": "denoise", "noise": [1.0]},
    {"name": "crop", "top": 1},
    {"name": "eed", "step": "aos"},
    {"name": "eed", "least": 2.0},
]


@pytest.mark.parametrize("one", ONES, ids=str)
def test_the_schema_allows_what_can_be_built(one):
    try:
        build([{"filter": one.get("name"), **{key: value for key, value in one.items() if key != "name"}}])
        fits = True
    except ParameterError:
        fits = False
    assert Draft202012Validator(json_schema()).is_valid({"filter": [one]}) == fits


def test_the_schema_is_a_schema_that_tells_each_option():
    Draft202012Validator.check_schema(json_schema())
    for one in json_schema()["properties"]["filter"]["items"]["oneOf"]:
        assert all(told.get("description") for name, told in one["properties"].items() if name != "name"), one
