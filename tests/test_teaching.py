"""The teaching scripts run, draw, and find what the mathematics says."""

from __future__ import annotations

import ast
import importlib.util
import math
import struct
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from cases import marked_slow

FOLDER = Path(__file__).parent.parent / "docs" / "teaching"
SCRIPTS = sorted(FOLDER.glob("[0-9]*.py"))
# The first two take kernels that no other fast test compiles.
EDGES, TENSORS, TRAINING = (FOLDER / f"{name}.py" for name in ("04_perona_malik", "05_tensors", "10_train_and_plug_in"))
PICTURES = FOLDER.parent / "pictures" / "teaching"
_found: dict[str, dict] = {}


def size_of(png: Path) -> tuple[int, int]:
    head = png.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"teaching_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """What a script's main returns; each runs once."""

    def of(name: str) -> dict:
        if name not in _found:
            if name == TRAINING.stem:
                pytest.importorskip("torch", reason="the extra torch is not installed: training is left out")
            folder, script = tmp_path_factory.mktemp(name), load(name)
            if name == TRAINING.stem:
                script.STEPS = 400  # Enough to see that it learns.
            _found[name] = script.main(folder)
            assert [path.name for path in folder.iterdir()] == [f"{name}.png"]
            width, height = size_of(folder / f"{name}.png")
            assert 400 <= width <= 1200
            assert 200 <= height <= 800
            assert 10_000 < (folder / f"{name}.png").stat().st_size <= 150_000
        return _found[name]

    return of


def test_no_number_is_left_out():
    assert [int(path.name[:2]) for path in SCRIPTS] == list(range(1, len(SCRIPTS) + 1))
    assert len(SCRIPTS) == 12


@pytest.mark.parametrize("script", marked_slow(SCRIPTS, *SCRIPTS[1:]), ids=lambda path: path.stem)
def test_a_script_draws_its_picture_and_has_exercises(script, numbers):
    assert numbers(script.stem)
    doc = ast.get_docstring(ast.parse(script.read_text()))
    exercises = doc.split("Exercises\n---------\n")[1]
    assert exercises.startswith("1. ")
    assert "\n2. " in exercises
    assert "\n3. " not in exercises
    assert len(script.read_text().splitlines()) < 120
    assert script.read_text().endswith("\n    run(main, __file__)\n")


def test_a_page_prints_its_figures_and_where_its_picture_is(tmp_path, capsys):
    def main(folder):
        assert folder == tmp_path / "docs" / "pictures" / "teaching"
        return {"order": {"heun": 2.0}, "loss for σ": {5.0: 0.25}, "cuts": [24, 48], "refused": True}

    load("printing").run(main, tmp_path / "docs" / "teaching" / "01_page.py")
    picture = tmp_path / "docs" / "pictures" / "teaching" / "01_page.png"
    assert capsys.readouterr().out.splitlines() == [
        *("order, heun: 2", "loss for σ = 5: 0.25", "cuts: 24, 48", "refused: True"),
        f"picture: {picture}",
    ]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_page_shows_every_picture(script):
    page = (FOLDER / "README.md").read_text()
    assert f"]({script.name})" in page
    assert f"](../pictures/teaching/{script.stem}.png)" in page
    assert size_of(PICTURES / f"{script.stem}.png")[0] >= 400


def test_heat_spreads_by_two_tau_and_keeps_the_mass(numbers):
    found = numbers("01_heat")
    assert found["variance gained per step"] == pytest.approx(found["2τ"], abs=1e-12)
    assert found["sum of all pixels"] == pytest.approx(1, abs=1e-12)
    assert found["largest error of a cosine's factor"] < 1e-14


def test_the_chessboard_grows_by_its_factor(numbers):
    found = numbers("02_stability")
    eigenvalue = -8 * math.cos(math.pi / 96) ** 2
    assert found["eigenvalue of the chessboard"] == pytest.approx(eigenvalue, rel=1e-12)
    assert found["growth per step below the limit"] == pytest.approx(abs(1 + 0.245 * eigenvalue), abs=1e-10)
    assert found["growth per step above the limit"] == pytest.approx(abs(1 + 0.255 * eigenvalue), abs=1e-10)
    assert found["growth per step below the limit"] < 1 < found["growth per step above the limit"]
    assert found["range after 150 steps below"] < 0.1 < 1 < found["range after 150 steps above"]
    assert found["a step above the limit is refused"]


def test_implicit_schemes_have_their_orders_and_artefacts(numbers):
    order, centre, stripe = numbers("03_implicit").values()
    assert order["explicit Euler"] == pytest.approx(1, abs=0.1)
    assert order["implicit Euler"] == pytest.approx(1, abs=0.1)
    assert order["Crank–Nicolson"] == pytest.approx(2, abs=0.1)
    assert centre["implicit Euler"] == pytest.approx(1 / math.sqrt(41), abs=1e-4)
    assert centre["Crank–Nicolson"] == pytest.approx(-1 + 2 / math.sqrt(21), abs=1e-4)
    steps = np.arange(1, 9)
    # Half is left by the axis along the stripe; the other axis adds a little that vanishes with τ → ∞.
    assert stripe["AOS"] == pytest.approx(0.5**steps, rel=0.02)
    assert np.all(np.array(stripe["AOS"]) >= 0.5**steps)
    assert np.all(np.array(stripe["implicit Euler"]) < 1e-3)


@pytest.mark.slow
def test_fluxes_peak_where_they_should_and_edges_are_kept(numbers):
    found = numbers(EDGES.stem)
    expected = {
        "exponential": 1 / math.sqrt(2),
        "rational": 1.0,
        "charbonnier": 3.0,  # Rises to the end of the curve.
        "weickert": 1.0,
        "tukey": 1 / math.sqrt(5),
        "tv": 3.0,
    }
    assert found["s/κ of the largest flux"] == pytest.approx(expected, abs=0.011)
    # d(s)/dt = Φ(left) − 2Φ(middle) + Φ(right), for 0.01, in units of the slope.
    for name, slope in (("gentle", 0.3), ("steep", 1.2)):
        flux = [s * math.exp(-(s**2)) for s in (slope, 1.1 * slope)]
        assert found["middle difference of a ramp, before 1.1"][name] == pytest.approx(
            1.1 + 0.01 * 2 * (flux[0] - flux[1]) / slope, abs=1e-12
        )
    assert (
        found["middle difference of a ramp, before 1.1"]["gentle"]
        < 1.1
        < found["middle difference of a ramp, before 1.1"]["steep"]
    )
    assert found["gain, dB"]["Perona–Malik"] > found["gain, dB"]["heat"] + 6


@pytest.mark.slow
def test_tensors_follow_edges_and_lines(numbers):
    heat_error, edge_error, gap = numbers(TENSORS.stem).values()
    assert heat_error < 1e-12
    assert edge_error["EED"] < 0.7 * edge_error["Perona–Malik"] < 0.1
    assert gap["Perona–Malik"] < 0.1
    assert 0.5 < gap["CED"] < 1


def test_time_helps_and_the_update_amplifies_as_it_must(numbers):
    found = numbers("06_space_and_time")
    theory = (1 + found["α"]) ** 2 + found["α"] ** 2
    np.testing.assert_allclose(found["noise gain"], theory, rtol=0.02)
    assert found["α"][found["noise gain"].argmin()] == pytest.approx(-0.5)
    assert found["PSNR, dB"]["space and time"] > found["PSNR, dB"]["space"] + 3
    assert found["PSNR, dB"]["κ_t far too large"] < found["PSNR, dB"]["space"]
    assert found["cuts at frame"] == [24]
    assert found["leak across the cut"] == 0


def test_parameters_come_from_the_noise(numbers):
    found = numbers("07_parameters")
    for sigma, estimate in found["noise found for σ"].items():
        assert estimate == pytest.approx(sigma, rel=0.05)
    assert max(found["best κ/σ for σ"].values()) <= 2 * min(found["best κ/σ for σ"].values())
    assert all(0 <= loss < 0.2 for loss in found["dB below the best time for σ"].values())


def test_the_reverse_chain_keeps_the_variance_and_means_are_best(numbers):
    found = numbers("08_forward_and_reverse")
    abar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[found["level"]]
    np.testing.assert_allclose(found["variance there, of data of variance 1"], abar * 1.0 + (1 - abar), rtol=0.04)
    np.testing.assert_allclose(*found["the chain by hand and by the library"], rtol=0, atol=1e-12)
    assert found["variance along the chain"]["ancestral, large"][-1] == pytest.approx(1, rel=0.03)
    assert found["variance along the chain"]["heun"][-1] == pytest.approx(1, rel=0.15)  # Fifty steps from 157.
    assert found["variance along the chain"]["ancestral, small"][-1] < 0.9
    assert found["order"]["explicit_euler"] == pytest.approx(1, abs=0.1)
    assert found["order"]["heun"] == pytest.approx(2, abs=0.1)
    assert found["dB short of the best, 1 to 100 steps"]["posterior_mean"] == pytest.approx([0] * 5, abs=1e-9)
    assert found["dB short of the best, 1 to 100 steps"]["heun"][-1] == pytest.approx(
        10 * math.log10(2 / (1 + math.sqrt(0.5))), abs=0.06
    )
    assert found["dB short of the best, 1 to 100 steps"]["ancestral"][-1] == pytest.approx(10 * math.log10(2), abs=0.12)


def test_heat_is_the_exact_denoiser_of_its_prior_and_means_beat_samples(numbers):
    found = numbers("09_pde_as_denoiser")
    assert found["Wiener's factors: error"] < 1e-12
    assert found["posterior mean: error"] < 1e-12
    assert found["Euler: error"] < 1e-12
    assert found["posterior mean, one step: error"] < 1e-12
    for name, expected in found["PSNR by theory, dB"].items():
        assert found["PSNR, dB"][name] == pytest.approx(
            expected, abs=0.4
        )  # One draw of many cosines, but few large ones.
    theory = found["PSNR by theory, dB"]
    assert theory["posterior mean"] - theory["ancestral"] == pytest.approx(10 * math.log10(2), abs=0.15)
    assert theory["ancestral"] < theory["Euler"] < theory["posterior mean"] - 1
    assert found["Perona–Malik, dB"]["inside"] >= found["Perona–Malik, dB"]["alone"] > found["PSNR, dB"]["seen"] + 10


@pytest.mark.slow
def test_a_network_learns_and_is_plugged_in(numbers):
    found = numbers(TRAINING.stem)
    assert np.mean(found["loss"][-3:]) < 0.95 * np.mean(found["loss"][:3])
    assert (
        found["PSNR, dB"]["with the network"]
        > found["PSNR, dB"]["the PDE alone"] + 0.5
        > found["PSNR, dB"]["noisy"] + 5
    )


@pytest.mark.slow
def test_holes_are_filled_as_harmonic_functions_and_multigrid_does_not_slow_down(numbers):
    factors, worst, iterations, missed = numbers("11_filling_in").values()
    for n, found in factors.items():
        assert found["Jacobi"] == pytest.approx(1 - 2 / 3 * (1 - math.cos(math.pi / (n + 1))), abs=1e-9)
        assert found["V-cycle"] < 0.2
    assert worst < 1e-6
    assert max(iterations.values()) < 15
    assert missed["edge-enhancing"] < 0.7 * missed["harmonic"]


@pytest.mark.slow
def test_motion_is_estimated_as_theory_says_and_quantile_functions_stay_in_order(numbers):
    error, kept, fade, psnr, flicker, least, bent = numbers("12_time_as_an_axis").values()
    assert error < 1e-12
    assert kept["a fade"] == pytest.approx(fade, abs=1e-9)
    assert kept["along the motion"] == pytest.approx(1, abs=0.01)
    assert psnr["along the motion"] > psnr["a fade"] + 20
    assert flicker["after"] < 0.3 * flicker["before"]
    assert least >= 0
    assert bent < 1e-6
