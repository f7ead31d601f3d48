"""The worked examples of docs/architecture.md, made in a copy of the package, and run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pde_video as pv

PAGE = (Path(__file__).parent.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
END = "@@ at the end of the file @@"


def blocks(section: str) -> dict[str, str]:
    """Return the content of the blocks of a section that name a file."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^```(?:python|diff) (\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def changed(source: str, change: str) -> str:
    """Return a file without the lines marked -, and with those marked + before the line that follows them."""
    lines, added = source.splitlines(), []
    at = 0
    for line in change.splitlines():
        if line == END:
            at = len(lines)
        elif line.startswith("+"):
            added.append(line[1:])
        elif line.startswith("-"):
            at = lines.index(line[1:], at)
            del lines[at]
        else:
            found = lines.index(line[1:], at)
            lines[found:found] = added
            at, added = found + len(added) + 1, []
    return "\n".join(lines + added) + "\n"


@pytest.fixture
def with_changes(tmp_path):
    """Make the changes of a section in a copy of the package; return a function that runs Python there."""

    def make(section: str, files: int):
        shutil.copytree(Path(pv.__file__).parent, tmp_path / "pde_video", ignore=shutil.ignore_patterns("__pycache__"))
        found = blocks(section)
        assert len(found) == files
        for name, content in found.items():
            path = tmp_path / name
            path.write_text(changed(path.read_text(), content) if path.exists() else content)

        def run(*arguments: str) -> str:
            environment = os.environ | {"PYTHONPATH": str(tmp_path)}
            done = subprocess.run(
                [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        return run

    return make


@pytest.mark.slow
def test_an_equation_with_its_command_touches_three_files(with_changes, tmp_path):
    run = with_changes("Add an equation", files=3)
    np.save(tmp_path / "in.npy", np.full((2, 4, 5), 3.0))
    assert "--lifetime" in run("-m", "pde_video", "decay", "--help")
    run("-m", "pde_video", "decay", "in.npy", "out.npy", "--lifetime", "2", "--dt", "1", "--step", "implicit-euler")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), 3 / 1.5)
    code = "import numpy as np, pde_video as pv; print(pv.evolve(pv.Decay(2.0), np.ones(2), [0, 1.0])"
    assert run("-c", f"{code}, pv.extent(pv.decay).cells)") == "[0.5 0.5] 0\n"


def test_a_filter_with_its_command_touches_two_files(with_changes, tmp_path):
    run = with_changes("Add a filter", files=2)
    np.save(tmp_path / "in.npy", np.ones((3, 4, 5)))
    run("-m", "pde_video", "fade", "in.npy", "out.npy", "--rate", "0.5")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy")[:, 0, 0], np.exp([0, -0.5, -1]), rtol=1e-6)
    assert run("-c", "import pde_video as pv; print(pv.pipeline(pv.fade(rate=0.1)))") == "pipeline(fade(rate=0.1))\n"


@pytest.mark.slow
def test_a_conductance_touches_two_files(with_changes, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_OPT", "0")  # Every kernel is compiled anew, which takes less time so.
    run = with_changes("Add a conductance", files=2)
    code = "from pde_video.kernels.conductance import evaluate; import numpy as np"
    found = run("-c", f"{code}; print(*evaluate('huber', np.array([0.0, 4.0, 16.0, 64.0]), 4.0))")
    np.testing.assert_allclose([float(g) for g in found.split()], [1, 1, 1, 0.5])
    np.save(tmp_path / "in.npy", np.eye(5)[None])
    run("-m", "pde_video", "perona-malik", "in.npy", "out.npy", "--kappa", "0.5", "--conductance", "huber")
    assert np.load(tmp_path / "out.npy").sum() == pytest.approx(5)
