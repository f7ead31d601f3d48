"""Start-up, `warmup` and `doctor`: what is loaded, compiled and told. How fast it is, the benchmarks say."""

from __future__ import annotations

import ast
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import slow

import pde_video as pv
from pde_video.tools import doctor
from pde_video.video.staging import Journal, Staging

MAIN = [sys.executable, "-m", "pde_video"]
# Other sizes than `warm_up` uses: kernels may not depend on them.
CLIPS = """
import sys, numpy as np, pde_video as pv
from pde_video.kernels.cache import tally
rng = np.random.default_rng(1)
for shape in ((7, 170, 181), (4, 37, 50, 3)):
    clip = rng.random(shape, np.float32)
    for method in ("perona-malik", "heat", "tv"):
        pv.denoise(clip, method=method)
        pv.denoise((255 * clip).astype(np.uint8), method=method)
"""


def python(code: str, **variables: str) -> str:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    ).stdout.strip()


WARMED = """
import importlib, json, pkgutil, pde_video.kernels as rooms
from pde_video.kernels.cache import tally
from pde_video.tools.doctor import warm_up
warm = warm_up()
used = set()
for room in pkgutil.iter_modules(rooms.__path__):
    for name, thing in vars(importlib.import_module(f"pde_video.kernels.{room.name}")).items():
        if getattr(thing, "signatures", None) and thing.__module__.endswith(f".{room.name}"):
            used.add(name)
"""


@pytest.mark.slow
def test_warmup_uses_every_kernel_and_no_other_is_compiled_or_loaded_later():
    clips = CLIPS.replace("import sys, ", "import ")
    code = (
        f"{WARMED}{clips}print(json.dumps([warm, sorted(used), tally.compiled, tally.loaded, warm_up()['compiled']]))"
    )
    warm, used, compiled, loaded, again = json.loads(python(code))
    assert warm["compiled"] + warm["loaded"] > 60
    assert (compiled, loaded, again) == (warm["compiled"], warm["loaded"], 0)
    assert _called_outside_of_kernels() <= set(used)


def _called_outside_of_kernels() -> set[str]:
    """Return the kernels that other modules import, or name as attributes of a module of kernels."""
    package = Path(pv.__file__).parent
    made = [re.findall(r"^@kernel\ndef ([a-z]\w*)", one.read_text(), re.M) for one in package.glob("kernels/*.py")]
    used: set[str] = set()
    for path in package.rglob("*.py"):
        nodes = [] if path.parent.name == "kernels" else list(ast.walk(ast.parse(path.read_text())))
        taken = [one for one in nodes if isinstance(one, ast.ImportFrom) and "kernels" in (one.module or "")]
        used |= {alias.name for one in taken for alias in one.names}
        modules = {alias.asname or alias.name for one in taken for alias in one.names}
        attributes = [one for one in nodes if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name)]
        used |= {one.attr for one in attributes if one.value.id in modules}
    return used & set(itertools.chain(*made))


def test_warmup_tells_what_it_did(call, monkeypatch):
    monkeypatch.setattr(
        doctor, "_use_every_kernel", lambda: pv.evolve(pv.Heat(), np.ones((8, 9), np.float32), [0, 0.1])
    )
    warm = json.loads(call("warmup", "--json"))
    assert warm["compiled"] + warm["loaded"] <= 12  # Those of `Heat`, with the parts of each.
    assert warm["seconds"] > 0
    assert "/pde_video-kernels-" in warm["cache"]


@pytest.mark.parametrize("code", [*slow("pv.evolve(pv.PeronaMalik(0.1), clip, pv.uniform(1.0))"), "pv.denoise(clip)"])
def test_a_first_result_loads_neither_scipy_nor_the_compiler(code):
    code = f"""
import sys, numpy as np, pde_video as pv
clip = np.random.default_rng(0).random((3, 40, 50), np.float32)
{code}
heavy = ("scipy.linalg", "scipy.special", "scipy.ndimage", "numba.np.linalg", "av", "imageio", "click")
print([name for name in heavy if name in sys.modules])
"""
    python(code)  # What is not in the cache yet is now.
    assert python(code) == "[]"


def test_help_loads_nothing_heavy():
    code = """
import sys
from pathlib import Path
from pde_video.cli import main
try:
    main(["--help"])
finally:
    print([name for name in ("numpy", "numba", "scipy", "av", "tqdm") if name in sys.modules])
"""
    assert python(code).endswith("[]")


@pytest.mark.slow
def test_denoise_says_what_a_first_run_waits_for_and_later_runs_say_nothing(tmp_path):
    pv.write(tmp_path / "in.avi", np.random.default_rng(0).integers(0, 255, (3, 30, 40), np.uint8))
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [*MAIN, "denoise", str(tmp_path / "in.avi"), str(tmp_path / "out.avi"), "--force", "--method", "heat"]
    first, second = (subprocess.run(command, capture_output=True, text=True, env=environment) for _ in range(2))
    compiling, *progress = first.stderr.splitlines()
    assert compiling.startswith("pde-video: compiling kernels for this machine (once; cached in ")
    assert all(re.fullmatch(r"pde-video: \d of 3 frames", line) for line in progress)  # Once a minute.
    assert second.stderr == ""
    assert first.stdout == second.stdout


@pytest.fixture
def call(call, monkeypatch):
    monkeypatch.setattr(doctor, "_FRAMES", (2, 32, 48))

    def run(*arguments: str) -> str:
        code, out, _ = call(*arguments)
        assert code == 0
        return out

    return run


def test_doctor_tells_what_is_there(call):
    facts = json.loads(call("doctor", "--json", "--seconds", "0"))
    assert facts["version"] == pv.__version__
    assert facts["numpy"] == np.__version__
    assert {"python", "scipy", "numba", "llvmlite", "av", "ffmpeg", "imageio", "system", "cpu", "cache"} <= set(facts)
    assert not [name for name, value in facts.items() if "cannot be imported" in str(value)]
    assert facts["simd_bits"] in (0, 128, 256, 512)
    assert facts["threads"] == pv.num_threads()
    assert all(facts[f"{name}_{n}_per_step"] > 0 for name in ("heat", "perona_malik") for n in (1, 8))
    assert facts["copy_gb_per_s"] > 0
    text = dict(line.split("  ", 1) for line in call("doctor", "--seconds", "0").splitlines())
    assert text["numpy"].strip() == np.__version__


@pytest.mark.parametrize(("variable", "source"), [("3", "PDE_VIDEO_NUM_THREADS"), ("", "the CPUs that")])
def test_doctor_says_where_the_number_of_threads_comes_from(variable, source):
    code = (
        "from pde_video.tools.doctor import examine as e; facts = e(); print(facts['threads'], facts['threads_from'])"
    )
    number, text = python(code, PDE_VIDEO_NUM_THREADS=variable).split(" ", 1)
    assert text.startswith(source)
    assert number == variable or not variable


def test_doctor_survives_what_is_broken():
    code = "import sys; sys.modules['av'] = None; from pde_video.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "doctor", "--json", "--seconds", "0"]
    facts = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert facts["av"].startswith("cannot be imported")
    assert facts["ffmpeg"].startswith("cannot be imported")
    assert facts["numpy"] == np.__version__


def test_doctor_says_when_there_is_no_place_for_a_cache(call, monkeypatch):
    monkeypatch.setattr("pde_video.kernels.cache.places", list)
    assert json.loads(call("doctor", "--json", "--seconds", "0"))["cache"].startswith("none: no folder can be written")


def test_doctor_lists_what_interrupted_runs_left_and_cleans_it(call, tmp_path):
    sequence, output = (tmp_path / f".pde-video-{digit * 16}" for digit in "01")
    for folder in (sequence, output):
        folder.mkdir(0o755)
        (folder / "new").mkdir()
    (sequence / "new" / "f_2.png").touch()
    (tmp_path / "f_1.png").touch()
    times = {1: (tmp_path / "f_1.png").stat().st_mtime_ns, 2: 0}
    (sequence / "old").mkdir()
    (sequence / "old" / "f_2.png").touch()
    Staging(sequence).begin(Journal("f_%d.png", times, {2: 0}))
    (output / "new" / "out.mkv").touch()
    (output / "lock").write_text("out.mkv")
    (tmp_path / "out.mkv.segments").mkdir()
    (tmp_path / "out.mkv.segments" / "notes.json").touch()
    (tmp_path / ".pde-video-0123456789abcdef.mkv").touch()
    (tmp_path / ".pde-video-notes").mkdir()
    others = [".pde-video-0123456789abcdef.mkv", "out.mkv.segments"]

    (output / "thesis.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    facts = json.loads(call("doctor", "--json", "--seconds", "0", "--folder", str(tmp_path)))
    assert sorted(tmp_path.rglob("*")) == before
    told = [
        "f_%d.png is only partly in place",
        "an unfinished output",
        "of a run of an earlier version",
        "is not sealed",
    ]
    assert all(text in line for text, line in zip(told, facts["leftovers"], strict=True))
    assert (output / "new" / "out.mkv").exists()

    facts = json.loads(call("doctor", "--json", "--clean", "--folder", str(tmp_path)))
    assert facts["cleaned"] == [
        f"{sequence}: f_%d.png was finished",
        f"{sequence}: removed what it replaced: f_2.png",
        f"{output}: removed an unfinished output: out.mkv",
    ]
    stays = f"{output}: it stays, since it holds what is not known to be of its run: thesis.txt"
    assert [line.split(":")[0] for line in facts["leftovers"][1:]] == [str(tmp_path / name) for name in others]
    assert facts["leftovers"][0] == stays
    facts = json.loads(call("doctor", "--json", "--clean", "--folder", str(tmp_path)))
    assert (facts["cleaned"], facts["leftovers"][0]) == ([], stays)
    (output / "thesis.txt").unlink()
    facts = json.loads(call("doctor", "--json", "--clean", "--folder", str(tmp_path)))
    assert facts["cleaned"] == [f"{output}: removed; it was empty"]
    left = [".pde-video-0123456789abcdef.mkv", ".pde-video-notes", "f_1.png", "f_2.png", "out.mkv.segments"]
    assert sorted(os.listdir(tmp_path)) == left
    lines = call("doctor", "--clean", "--folder", str(tmp_path)).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["folders", *["left by interrupted runs"] * 2]
