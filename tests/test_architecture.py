"""Imports go down only, and only what is used is loaded."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pde_video
from pde_video import protocols

PACKAGE = Path(pde_video.__file__).parent
# Lowest first; a room may import from itself, from its own floor and from every floor below.
FLOORS = [
    {"errors", "protocols", "access"},
    {"checks", "threads", "kernels", "arrays"},
    {"solvers", "video"},
    {"motion", "terms", "integrators", "reverse_process"},
    {"estimate", "denoisers", "metrics"},
    {"filters"},
    {"denoising", "resampling", "restoration"},
    {"jobs"},
    {"tools", "bench", "learn"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Rooms of this package that a module imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the floor"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    # `import pde_video as pv` reaches every room: only the command line may.
    return {[*name.split("."), "*"][1] for name in names if name.split(".")[0] == "pde_video"}


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    room = room_of(path)
    assert room in LEVEL, f"{room} has no floor: add it to FLOORS and docs/architecture.md"
    for other in imports_of(path) - {"__version__"}:
        if other == "*":
            assert room in ("cli",), f"{path} imports the whole package"
        else:
            assert LEVEL[other] <= LEVEL[room], f"{path} imports {other}, which is a floor above it"


def test_the_diagram_in_the_docs_shows_the_floors():
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()
    shown = re.findall(r"^ +(\d+) +│(.*)│$", page, re.MULTILINE)
    assert {int(floor): {room.strip() for room in rooms.split("│")} for floor, rooms in shown} == dict(
        enumerate(FLOORS)
    )
    assert set(re.findall(r"`(\w+)/?`", "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)))) == set(LEVEL)


def test_kernels_use_nothing_but_kernels():
    # The disk cache is named after the sources of that room: what they inline from elsewhere could go stale.
    for path in (PACKAGE / "kernels").rglob("*.py"):
        assert imports_of(path) <= {"kernels", *(["access"] if path.stem == "cache" else [])}, path


def test_the_import_checker_sees_an_upward_import(tmp_path, monkeypatch):
    bad = tmp_path / "terms.py"
    bad.write_text("def f():\n    from pde_video.filters.lift import Frames\n")
    assert {LEVEL[name] > LEVEL["terms"] for name in imports_of(bad)} == {True}


def test_optional_methods_are_looked_for_in_one_place():
    optional = {
        name
        for protocol in vars(protocols).values()
        if isinstance(protocol, type) and {protocols.Term, protocols.Step, protocols.Denoiser} & set(protocol.__bases__)
        for name in vars(protocol)
        if not name.startswith("_")
    }
    assert {"stable_dt", "walk", "for_frames", "along"} <= optional
    for path in MODULES:
        probes = {
            node.args[1].value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hasattr", "getattr")
            if isinstance(node.args[1], ast.Constant)
        }
        if path.name != "protocols.py":
            assert not probes & (optional | {"linear", "stable_multiple", "undefined_at", "sees_several"}), path


def test_every_public_name_loads_and_has_a_docstring():
    for name in pde_video.__all__:
        thing = getattr(pde_video, name)
        assert thing.__doc__, name
    assert {"evolve", "Heat", "denoise", "run"} <= set(dir(pde_video))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pde_video.nonsense


def test_importing_the_package_loads_nothing_heavy():
    heavy = ("numba", "scipy", "av", "imageio", "tifffile", "matplotlib", "safetensors", "torch", "onnxruntime")
    code = f"import sys, pde_video; print([m for m in {heavy} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_the_lobby_is_short():
    modules = sorted(path.stem for path in PACKAGE.glob("*.py"))
    assert len(modules) <= 6, f"modules directly under the package: {modules}; house the new one in a room"


def test_no_two_modules_share_a_name():
    names = [path.stem for path in MODULES if path.stem != "__init__"]
    assert {name for name in names if names.count(name) > 1} == set()


def test_no_room_hides_a_public_name():
    # A room that is imported becomes an attribute of the package, in place of what has its name.
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert rooms & set(pde_video.__all__) == set()


def test_files_stay_small():
    long = {str(path): n for path in MODULES if (n := len(path.read_text().splitlines())) > 350}
    assert not long, "a file past about 350 lines is two things"
