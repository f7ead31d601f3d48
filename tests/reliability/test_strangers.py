"""What strangers write: sidecars, recipes, estimates of noise; `rerun` of their files looks nowhere else."""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pde_video as pv
from pde_video.cli import main
from pde_video.filters.declarations import declared
from pde_video.jobs.again import repetition, rerun, verify
from pde_video.jobs.json_and_toml import json_in, toml_in
from pde_video.jobs.recipes import build, from_toml, planned
from pde_video.jobs.recorded import _MOST, recorded
from pde_video.jobs.registry import filter_called, names
from pde_video.video.provenance import fingerprint
from pde_video.video.source import MOST_PIXELS

MODEL = Path(pv.__file__).parent / "denoisers" / "shipped.safetensors"
HEAT = [{"filter": "heat", "time": 0.5}]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A stranger's folder: an input, and an array that its sidecar says is made of it; beside it the user's own."""
    there = tmp_path / "theirs"
    there.mkdir()
    np.save(there / "in.npy", np.random.default_rng(0).integers(0, 256, (3, 8, 12), np.uint8))
    planned(there / "in.npy", there / "out.npy", HEAT, sidecar=True).run()
    np.save(tmp_path / "mine.npy", np.load(there / "in.npy"))
    shutil.copy(MODEL, tmp_path / "mine.safetensors")
    (tmp_path / "mine.json").write_text(pv.NoiseEstimate(slope=0.0, offset=400.0).to_json())
    return there


def told(folder: Path, **changes: Any) -> None:
    """Change what the sidecar says."""
    path = folder / "out.npy.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def again(folder: Path, **options: Any) -> dict[str, Any]:
    return rerun(folder / "out.npy", target=folder.parent / "again.npy", **options)


def refused(folder: Path, match: str, **options: Any) -> None:
    with pytest.raises(pv.InputError, match=match):
        again(folder, **options)
    assert not (folder.parent / "again.npy").exists()


@pytest.mark.parametrize(
    "name",
    ["../mine.npy", "{parent}/mine.npy", "link.npy", "inner/../../mine.npy", "up/mine.npy", "../theirs too/mine.npy"],
)
def test_an_input_outside_the_folder_is_not_looked_at(folder, monkeypatch, name):
    (folder / "link.npy").symlink_to("../mine.npy")
    (folder / "inner").mkdir()
    (folder / "up").symlink_to("..")
    (folder.parent / "theirs too").mkdir()
    shutil.copy(folder.parent / "mine.npy", folder.parent / "theirs too")
    told(folder, input=name.format(parent=folder.parent))
    with monkeypatch.context() as watching:
        watching.setattr("pde_video.jobs.again.fingerprint_of_input", lambda path: pytest.fail(f"{path} was read"))
        refused(folder, r"is outside its folder.*--input.*--trust")
    assert again(folder, trust=True)["identical"]
    (folder.parent / "again.npy").unlink()
    assert again(folder, source=folder.parent / "mine.npy")["identical"]


def test_what_is_outside_is_not_even_asked_for(folder, monkeypatch):
    """A look at the name alone may wake an automounter, which asks a server."""
    told(folder, input="../../net/server/mine.npy")
    resolve = os.path.realpath

    def watched(path, **options):
        assert "server" not in str(path)
        return resolve(path, **options)

    monkeypatch.setattr("os.path.realpath", watched)
    refused(folder, "is outside its folder")


def test_what_was_made_from_a_sequence_of_pictures_is_not_repeated_and_the_reason_is_told(folder):
    pv.write(folder / "f_%04d.png", np.zeros((3, 8, 9), np.uint8))
    planned(folder / "f_%04d.png", folder / "of_pictures.npy", HEAT, sidecar=True).run()
    with pytest.raises(pv.InputError, match=r"made from a sequence of pictures.*cannot be repeated"):
        rerun(folder / "of_pictures.npy", target=folder.parent / "again.npy")


@pytest.mark.parametrize("moved", [False, True])
def test_an_input_in_the_folder_is_found_by_any_name_of_the_folder(folder, monkeypatch, moved):
    (folder.parent / "other").symlink_to(folder.name)
    monkeypatch.chdir(folder if moved else folder.parent)
    out = Path("out.npy") if moved else Path("other") / "out.npy"
    told(folder, input=str(folder / "in.npy"))
    assert rerun(out, target=folder.parent / "again.npy")["identical"]


@pytest.mark.parametrize(
    "recipe",
    [
        [{"filter": "denoise", "model": "{mine}.safetensors"}],
        [{"filter": "denoise", "noise": "{mine}.json"}],
        [{"filter": "denoise", "noise_from": "{mine}.npy"}],
    ],
)
def test_no_file_outside_the_folder_is_read_for_a_recipe(folder, monkeypatch, recipe):
    mine = str(folder.parent / "mine")
    recipe = json.loads(json.dumps(recipe).replace("{mine}", mine))
    path = Path(next(value for value in recipe[0].values() if value.startswith(mine)))
    for files in ({}, {str(path): fingerprint(path)}):
        told(folder, recipe=recipe, files=files)
        with monkeypatch.context() as watching:
            watching.setattr(
                "pde_video.jobs.recorded.fingerprint_of_input", lambda path: pytest.fail(f"{path} was read")
            )
            refused(folder, "is outside its folder.*--trust")
    told(folder, recipe=recipe, files={})
    refused(folder, "SHA-256", trust=True)  # Trust does not mean that it may be another.


def test_a_model_in_the_folder_is_read_if_it_is_the_one_of_before(folder):
    shutil.copy(MODEL, folder)
    recipe = [{"filter": "denoise", "model": str(folder / MODEL.name)}]
    told(folder, recipe=recipe, files={str(folder / MODEL.name): fingerprint(MODEL)})
    assert again(folder)["frames"] == 3
    (folder.parent / "again.npy").unlink()
    told(folder, files={})
    refused(folder, "SHA-256")


def test_a_sidecar_outside_the_folder_is_not_read(folder):
    (folder / "out.npy.json").rename(folder.parent / "elsewhere.json")
    (folder / "out.npy.json").symlink_to("../elsewhere.json")
    refused(folder, "sidecar.*is outside its folder")
    assert again(folder, trust=True)["identical"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")
@pytest.mark.parametrize("what", ["sidecar", "input", "model", "noise"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(folder, what, kind):
    ending = {"sidecar": "npy.json", "input": "npy", "model": "safetensors", "noise": "json"}[what]
    path = folder / ("out.npy.json" if what == "sidecar" else f"odd.{ending}")
    if what == "input":
        told(folder, input=path.name)
    elif what != "sidecar":
        told(folder, recipe=[{"filter": "denoise", what: str(path)}])
    path.unlink(missing_ok=True)
    if kind == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path) if kind == "pipe" else path.mkdir()
    begun = time.monotonic()
    for trust in (False, True):
        refused(folder, "not a file|is outside its folder", trust=trust)
    if what == "sidecar":
        with pytest.raises(pv.InputError, match="not a file"):
            verify(folder / "out.npy")
    assert time.monotonic() - begun < 2


def test_what_a_sidecar_holds_is_bounded(folder):
    path = folder / "out.npy.json"
    for content, match in (
        (b"[" * 100_000, "nested"),
        (b'{"a": ' * 20 + b"1" + b"}" * 20, "nested more than 16"),
        (b'{"a": 1' + b"0" * 4000 + b"}", "bits"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[]", "does not say"),
    ):
        path.write_bytes(content)
        refused(folder, match)
        with pytest.raises(pv.InputError, match=match):
            verify(folder / "out.npy")
    with path.open("wb") as file:
        file.truncate(2**33)
    refused(folder, "larger than")


ENDLESS = [
    {"reading": {"max_pixels": MOST_PIXELS + 1}},
    {"recipe": HEAT * 21},
    {"recipe": [{"filter": "heat", "time": 1e300}]},
    {"recipe": [{"filter": "heat", "time": 1e5}]},
    {"recipe": [{"filter": "heat", "time": 1.0, "dt": 1e-9}]},
    {"recipe": [{"filter": "heat", "dt": 1e-320}]},
    {"recipe": [{"filter": "heat", "time": 500, "spacetime": True}]},
    {"recipe": [{"filter": "tv", "epsilon": 1e-9}]},
    {"recipe": [{"filter": "tv", "time": 10, "epsilon": 1e-6}]},
    {"recipe": [{"filter": "perona-malik", "conductance": "tv", "kappa": 1e-9}]},
    {"recipe": [{"filter": "perona-malik", "smoothing": 1e9}]},
    {"recipe": [{"filter": "ced", "integration": 1e9}]},
    {"recipe": [{"filter": "denoise", "radius": 1000}]},
    {"recipe": [{"filter": "denoise", "method": "ddpm", "steps": 10**12}]},
    {"recipe": [{"filter": "extrapolate", "count": 10**12}]},
    {"recipe": [{"filter": "extrapolate", "frames": 10**12}]},
    {"recipe": [{"filter": "resize", "height": 10**6, "width": 8}]},
    {"recipe": [{"filter": "interpolate", "factor": 8}] * 3},
]


@pytest.mark.parametrize("changes", ENDLESS, ids=str)
def test_numbers_that_would_make_a_run_endless_are_refused_without_trust(folder, changes):
    told(folder, **changes)
    refused(folder, "limit without --trust")
    if "reading" in changes:
        assert again(folder, trust=True)["identical"]


NONSENSE = [
    {"reading": {"frames": [-1, None]}},
    {"reading": {"frames": [0, "9"]}},
    {"reading": {"frames": [5, 2]}},
    {"reading": {"frames": [1]}},
    {"reading": {"frames": 3}},
    {"reading": {"stream": -1}},
    {"reading": {"stream": True}},
    {"reading": {"max_pixels": 0}},
    {"reading": {"max_pixels": "1"}},
    {"reading": {"max_pixels": 1e30}},
    {"reading": {"start": "1e999999999"}},
    {"reading": {"start": "1/1e400"}},
    {"reading": {"start": "1/0"}},
    {"reading": {"start": -1}},
    {"reading": {"start": 1e400}},
    {"reading": {"end": float("nan")}},
    {"reading": {"keep_partial": 1}},
    {"reading": {"opener": "x"}},
    {"encoding": {"crf": "5"}},
    {"encoding": {"codec": 5}},
    {"nan": 7},
    {"nan": "zero"},
    {"input": ["in.npy"]},
    {"input": "a\0b.npy"},
    {"input": "x" * 300 + ".npy"},
    {"input": "."},
    {"recipe": [{"filter": ["heat"]}]},
    {"recipe": [{"filter": "heat", "time": -1}]},
    {"recipe": [{"filter": "heat", "tme": 1}]},
    {"recipe": [{"filter": "heat", "time": [1]}]},
    {"recipe": [{"filter": "denoise", "model": "a\0b.safetensors"}]},
    {"recipe": [{"filter": "denoise", "noise_from": "-"}]},
    {"recipe": {"filter": "heat"}},
    {"recipe": 5},
    {"files": 5},
]


@pytest.mark.parametrize("changes", NONSENSE, ids=lambda changes: str(changes)[:60])
def test_nonsense_is_bad_input_and_not_a_fault_of_usage(folder, changes):
    told(folder, **changes)
    begun = time.monotonic()
    with pytest.raises((pv.InputError, FileNotFoundError)):
        again(folder, trust=True)
    assert time.monotonic() - begun < 2


def test_the_command_says_what_it_repeats_and_trusts_on_request(folder, capsys):
    told(folder, input="../mine.npy", command="pde-video \x1b]0;rm -rf\x07 heat")
    command = ["rerun", str(folder / "out.npy"), str(folder.parent / "again.npy")]
    for options, code in (([], 4), (["--trust"], 0)):
        with pytest.raises(SystemExit) as ended:
            main([*command, *options])
        assert (ended.value.code or 0) == code
    err = capsys.readouterr().err
    assert f"repeating: {folder}/../mine.npy, heat(time=0.5)\n" in err
    assert "\x1b" not in err


def test_every_number_that_multiplies_work_has_a_limit():
    """A new option is either bounded here, or known to change no more than values."""
    harmless = {"kappa", "alpha", "least", "low", "high", "top", "left", "sigma", "order", "slope", "readout", "seed"}
    harmless |= {
        "mask_tolerance",
        "margin",
        "threshold",
        "dt",
        "epsilon",
        "noise",
        "blur",
    }  # Three of them are held against the time.
    harmless |= {"factor", "rate", "slow"}  # 8 frames of one at most, says the filter; interpolations are counted.
    found = set()
    for name in names():
        options = declared(filter_called(name).function).values()
        found |= {one.name for one in options if {"number", "whole number", "pair of numbers"} & set(one.kinds)}
    assert found <= harmless | set(_MOST)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("a" + ".a" * 100_000 + " = 1", "dots"),
        ("a = " + "[" * 5000, "nested"),
        ("[[filter]]\nname = 'heat'\ntime" + ".a" * 900 + " = 1", "nested more than 16"),
        ("[[filter]]\nname = 'heat'\ntime = 0x" + "f" * 100_000, "bits"),
        ("a = " + "9" * 5000, "not a TOML file"),
        ("#" * 300_000, "larger than"),
    ],
)
def test_what_a_recipe_holds_is_bounded(tmp_path, content, match):
    (tmp_path / "recipe.toml").write_text(content)
    with pytest.raises((pv.ParameterError, pv.InputError), match=match):
        from_toml(tmp_path / "recipe.toml")


@pytest.mark.parametrize(
    "content",
    ["[" * 60_000, '{"slope": ' + "[" * 900 + "]" * 900 + "}", '{"slope": 1' + "0" * 400 + "}", "\xff", "[]", "{}"],
    ids=lambda content: content[:12],
)
def test_an_estimate_of_noise_that_is_none_names_its_file(tmp_path, content):
    (tmp_path / "noise.json").write_text(content, encoding="latin-1")
    with pytest.raises(pv.ParameterError, match=r"noise\.json"):
        build([{"filter": "denoise", "noise": str(tmp_path / "noise.json")}])
    (tmp_path / "noise.json").write_text("0" * 100_000)
    with pytest.raises(pv.InputError, match="larger than"):
        build([{"filter": "denoise", "noise": str(tmp_path / "noise.json")}])


VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    10**30,
    10**400,
    1e300,
    -1e-300,
    float("nan"),
    float("inf"),
    "",
]
VALUES += [
    "1/3",
    "1e999999999",
    "-",
    ".",
    "..",
    "/",
    "/dev/zero",
    "/dev/stdin",
    "~",
    "a\0b",
    "x" * 5000,
    "\udcff",
    "\x1b[m",
]
VALUES += ["heat", "mask", [], {}, [[]], [1, 2], {"a": {}}, [None], *names()]
KEYS = [
    "filter",
    "time",
    "dt",
    "model",
    "noise",
    "noise_from",
    "reading",
    "frames",
    "start",
    "max_pixels",
    "crf",
    "input",
]


def mutated(value: Any, rng: random.Random) -> Any:
    """Return plain values of which one or some are others."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        place, parent, key = value, None, None
        while isinstance(place, dict | list) and place and rng.random() < 0.8:
            parent, key = place, rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
            place = parent[key]
        new = rng.choice([*VALUES, place, [place] * rng.randint(0, 30)])
        if parent is None:
            value = new if rng.random() < 0.1 else value
        elif rng.random() < 0.15:
            del parent[key]
        else:
            parent[key] = copy.deepcopy(new)
        if isinstance(place, dict) and rng.random() < 0.5:
            place[rng.choice(KEYS)] = copy.deepcopy(rng.choice(VALUES))
    return value


def damaged(text: bytes, rng: random.Random) -> bytes:
    """Return bytes of which some are others, missing, or there several times."""
    content = bytearray(text)
    for _ in range(rng.randint(1, 4)):
        begin, end = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        kind = rng.randrange(4)
        if kind == 0:
            content[begin : begin + 1] = bytes([rng.randrange(256)])
        elif kind == 1:
            del content[begin : min(end, begin + 20)]
        elif kind == 2:
            content[begin:begin] = content[begin : min(end, begin + 200)] * rng.randint(1, 100)
        else:
            content[begin:begin] = rng.choice(
                [b"[" * 3000, b"9" * 5000, b".a" * 3000, b"\0", b'"', b"{", b"-", b"\xff"]
            )
    return bytes(content)


def sidecars(folder: Path, rng: random.Random, raw: bool) -> None:
    path, before = folder / "out.npy.json", (folder / "out.npy.json").read_bytes()
    facts = json.loads(before) | {"reading": {"frames": [0, 2], "max_pixels": 9999}, "encoding": {"lossless": True}}
    facts |= {"files": {}, "recipe": [{"filter": rng.choice(names()), "time": 1.0, "radius": 1, "count": 2}]}
    if rng.random() < 0.5:
        facts |= {"recipe": HEAT, "encoding": {}}
    text = json.dumps(mutated(facts, rng)).encode()
    path.write_bytes(damaged(text, rng) if raw else text)
    try:
        for trust in (False, True):
            try:
                repetition(folder / "out.npy", target=folder.parent / "again.npy", trust=trust)
            except (pv.InputError, FileNotFoundError):
                continue
        try:
            verify(folder / "out.npy")
        except pv.InputError:
            return
    finally:
        path.write_bytes(before)


def recipes(folder: Path, rng: random.Random, raw: bool) -> None:
    path = folder / "recipe.toml"
    text = "[[filter]]\nname = 'heat'\ntime = 1.5\n\n[[filter]]\nname = 'resize'\nheight = 4\nwidth = 6\n"
    text = text if raw else text.replace(rng.choice(["1.5", "'heat'", "4", "6"]), json.dumps(rng.choice(VALUES[1:])))
    path.write_bytes(damaged(text.encode(), rng) if raw else text.encode(errors="surrogateescape"))
    try:
        planned(folder / "in.npy", folder.parent / "again.npy", from_toml(path))
    except (pv.ParameterError, pv.InputError, FileNotFoundError):
        return


def noises(folder: Path, rng: random.Random, raw: bool) -> None:
    path = folder / "noise.json"
    facts = pv.NoiseEstimate(slope=0.5, offset=400.0, colours=(1.0, 2.0, 3.0), unit=255.0).to_dict()
    text = json.dumps(facts if raw else mutated(facts, rng)).encode()
    path.write_bytes(damaged(text, rng) if raw else text)
    try:
        build([{"filter": "denoise", "noise": str(path)}])
    except (pv.ParameterError, pv.InputError):
        return


@pytest.mark.parametrize("what", [sidecars, recipes, noises], ids=lambda what: what.__name__)
@pytest.mark.parametrize("count", [70, pytest.param(700, marks=pytest.mark.slow)])
def test_mutations_end_in_a_result_or_a_clean_error(folder, what, count):
    for seed in range(count):
        begun = time.monotonic()
        what(folder, random.Random(seed), raw=seed % 3 == 0)
        assert time.monotonic() - begun < 5, seed
    assert {path.name for path in folder.parent.iterdir()} == {"theirs", "mine.npy", "mine.safetensors", "mine.json"}


def test_values_of_a_file_reach_a_run_exactly(folder):
    """No limit changes what is within it."""
    reading = {"frames": (1, 3), "max_pixels": MOST_PIXELS}
    path = folder / "other.npy"
    planned(folder / "in.npy", path, HEAT, reading=reading, encoding={"lossless": True}, sidecar=True).run()
    found = recorded(path)
    assert (found.reading, found.encoding, found.recipe) == (reading, {"lossless": True}, HEAT)
    facts = json.loads(Path(f"{path}.json").read_text())
    facts["reading"] = {"start": str(Fraction(1, 3)), "end": 2.5}
    Path(f"{path}.json").write_text(json.dumps(facts))
    assert recorded(path).reading == {"start": Fraction(1, 3), "end": Fraction(5, 2)}
    (folder / "recipe.toml").write_text("[[filter]]\nname = 'heat'\ntime = 0.5\n")
    assert toml_in(folder / "recipe.toml") == {"filter": [{"name": "heat", "time": 0.5}]}
    assert json_in(Path(f"{path}.json")) == facts
