"""The teaching scripts run, draw, and find what the mathematics says."""

from __future__ import annotations

import ast
import importlib.util
import math
import struct
from pathlib import Path

import numpy as np
import pytest
from cases import marked_slow

FOLDER = Path(__file__).parent.parent / "docs" / "teaching"
SCRIPTS = sorted(FOLDER.glob("[0-9]*.py"))
TENSORS = FOLDER / "05_tensors.py"  # Takes kernels that no other fast test compiles.
PICTURES = FOLDER.parent / "pictures" / "teaching"
_found: dict[str, dict] = {}


def size_of(png: Path) -> tuple[int, int]:
    head = png.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """What a script's main returns; each runs once."""

    def of(name: str) -> dict:
        if name not in _found:
            if name.startswith("10"):
                pytest.importorskip("torch", reason="the extra torch is not installed: training is left out")
            folder = tmp_path_factory.mktemp(name)
            spec = importlib.util.spec_from_file_location(f"teaching_{name}", FOLDER / f"{name}.py")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            _found[name] = module.main(folder)
            assert [path.name for path in folder.iterdir()] == [f"{name}.png"]
            width, height = size_of(folder / f"{name}.png")
            assert 400 <= width <= 1200
            assert 200 <= height <= 800
            assert 10_000 < (folder / f"{name}.png").stat().st_size <= 150_000
        return _found[name]

    return of


def test_no_number_is_left_out():
    assert [int(path.name[:2]) for path in SCRIPTS] == list(range(1, len(SCRIPTS) + 1))
    assert len(SCRIPTS) == 10


@pytest.mark.parametrize("script", marked_slow(SCRIPTS, TENSORS), ids=lambda path: path.stem)
def test_a_script_draws_its_picture_and_has_exercises(script, numbers):
    assert numbers(script.stem)
    doc = ast.get_docstring(ast.parse(script.read_text()))
    exercises = doc.split("Exercises\n---------\n")[1]
    assert exercises.startswith("1. ")
    assert "\n2. " in exercises
    assert "\n3. " not in exercises
    assert len(script.read_text().splitlines()) < 120


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_page_shows_every_picture(script):
    page = (FOLDER / "README.md").read_text()
    assert f"]({script.name})" in page
    assert f"](../pictures/teaching/{script.stem}.png)" in page
    assert size_of(PICTURES / f"{script.stem}.png")[0] >= 400


def test_heat_spreads_by_two_tau_and_keeps_the_mass(numbers):
    found = numbers("01_heat")
    assert found["variance_per_step"] == pytest.approx(2 * found["tau"], abs=1e-12)
    assert found["mass"] == pytest.approx(1, abs=1e-12)
    assert found["cosine_error"] < 1e-14


def test_the_chessboard_grows_by_its_factor(numbers):
    found = numbers("02_stability")
    eigenvalue = -8 * math.cos(math.pi / 96) ** 2
    assert found["eigenvalue"] == pytest.approx(eigenvalue, rel=1e-12)
    assert found["below"] == pytest.approx(abs(1 + 0.245 * eigenvalue), abs=1e-10)
    assert found["above"] == pytest.approx(abs(1 + 0.255 * eigenvalue), abs=1e-10)
    assert found["below"] < 1 < found["above"]
    assert found["below_spread"] < 0.1 < 1 < found["above_spread"]
    assert found["refused"]


def test_implicit_schemes_have_their_orders_and_artefacts(numbers):
    found = numbers("03_implicit")
    assert found["explicit Euler"] == pytest.approx(1, abs=0.1)
    assert found["implicit Euler"] == pytest.approx(1, abs=0.1)
    assert found["Crank–Nicolson"] == pytest.approx(2, abs=0.1)
    assert found["implicit Euler centre"] == pytest.approx(1 / math.sqrt(41), abs=1e-4)
    assert found["Crank–Nicolson centre"] == pytest.approx(-1 + 2 / math.sqrt(21), abs=1e-4)
    steps = np.arange(1, 9)
    # Half is left by the axis along the stripe; the other axis adds a little that vanishes with τ → ∞.
    assert found["AOS stripe"] == pytest.approx(0.5**steps, rel=0.02)
    assert np.all(np.array(found["AOS stripe"]) >= 0.5**steps)
    assert np.all(np.array(found["implicit Euler stripe"]) < 1e-3)


def test_fluxes_peak_where_they_should_and_edges_are_kept(numbers):
    found = numbers("04_perona_malik")
    expected = {
        "exponential": 1 / math.sqrt(2),
        "rational": 1.0,
        "charbonnier": 3.0,  # Rises to the end of the curve.
        "weickert": 1.0,
        "tukey": 1 / math.sqrt(5),
        "tv": 3.0,
    }
    assert found["peaks"] == pytest.approx(expected, abs=0.011)
    # d(s)/dt = Φ(left) − 2Φ(middle) + Φ(right), for 0.01, in units of the slope.
    for name, slope in (("gentle", 0.3), ("steep", 1.2)):
        flux = [s * math.exp(-(s**2)) for s in (slope, 1.1 * slope)]
        assert found["middle"][name] == pytest.approx(1.1 + 0.01 * 2 * (flux[0] - flux[1]) / slope, abs=1e-12)
    assert found["middle"]["gentle"] < 1.1 < found["middle"]["steep"]
    assert found["gain"]["Perona–Malik"] > found["gain"]["heat"] + 6


@pytest.mark.slow
def test_tensors_follow_edges_and_lines(numbers):
    found = numbers(TENSORS.stem)
    assert found["heat_error"] < 1e-12
    assert found["edge_error"]["EED"] < 0.7 * found["edge_error"]["Perona–Malik"] < 0.1
    assert found["gap"]["Perona–Malik"] < 0.1
    assert 0.5 < found["gap"]["CED"] < 1


def test_time_helps_and_the_update_amplifies_as_it_must(numbers):
    found = numbers("06_space_and_time")
    theory = (1 + found["alphas"]) ** 2 + found["alphas"] ** 2
    np.testing.assert_allclose(found["gains"], theory, rtol=0.02)
    assert found["alphas"][found["gains"].argmin()] == pytest.approx(-0.5)
    assert found["psnr"]["space and time"] > found["psnr"]["space"] + 3
    assert found["psnr"]["κ_t far too large"] < found["psnr"]["space"]
    assert found["cuts"] == [24]
    assert found["leak"] == 0


def test_parameters_come_from_the_noise(numbers):
    found = numbers("07_parameters")
    for sigma, estimate in found["estimated"].items():
        assert estimate == pytest.approx(sigma, rel=0.05)
    assert max(found["best_multiple"].values()) <= 2 * min(found["best_multiple"].values())
    assert all(0 <= loss < 0.2 for loss in found["loss"].values())


def test_the_reverse_chain_keeps_the_variance_and_means_are_best(numbers):
    found = numbers("08_forward_and_reverse")
    abar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[found["levels"]]
    np.testing.assert_allclose(found["forward"], abar * 1.0 + (1 - abar), rtol=0.04)
    np.testing.assert_allclose(found["same"][0], found["same"][1], rtol=0, atol=1e-12)
    assert found["chains"]["ancestral, large"][-1] == pytest.approx(1, rel=0.03)
    assert found["chains"]["heun"][-1] == pytest.approx(1, rel=0.15)  # Fifty steps from 157.
    assert found["chains"]["ancestral, small"][-1] < 0.9
    assert found["orders"]["explicit_euler"] == pytest.approx(1, abs=0.1)
    assert found["orders"]["heun"] == pytest.approx(2, abs=0.1)
    assert found["loss"]["posterior_mean"] == pytest.approx([0] * 5, abs=1e-9)
    assert found["loss"]["heun"][-1] == pytest.approx(10 * math.log10(2 / (1 + math.sqrt(0.5))), abs=0.06)
    assert found["loss"]["ancestral"][-1] == pytest.approx(10 * math.log10(2), abs=0.12)


def test_heat_is_the_exact_denoiser_of_its_prior_and_means_beat_samples(numbers):
    found = numbers("09_pde_as_denoiser")
    assert found["cosine error"] < 1e-12
    assert found["posterior mean error"] < 1e-12
    assert found["Euler error"] < 1e-12
    assert found["mean is one step"] < 1e-12
    for name, expected in found["theory"].items():
        assert found["psnr"][name] == pytest.approx(expected, abs=0.4)  # One draw of many cosines, but few large ones.
    theory = found["theory"]
    assert theory["posterior mean"] - theory["ancestral"] == pytest.approx(10 * math.log10(2), abs=0.15)
    assert theory["ancestral"] < theory["Euler"] < theory["posterior mean"] - 1
    assert found["inside"] >= found["alone"] > found["psnr"]["seen"] + 10


def test_a_network_learns_and_is_plugged_in(numbers):
    found = numbers("10_train_and_plug_in")
    assert np.mean(found["losses"][-3:]) < 0.95 * np.mean(found["losses"][:3])
    assert found["psnr"]["with the network"] > found["psnr"]["the PDE alone"] + 0.5 > found["psnr"]["noisy"] + 5
