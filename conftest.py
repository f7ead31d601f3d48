"""What all of the tests' processes share, the names in examples, and what cannot be collected without PyTorch."""

import gc
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent

# The workers of pytest-xdist and the programs that tests start inherit these: they run this source, find kernels that
# another of them has compiled, and do not compete for processors with threads of their own.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
os.environ.setdefault("NUMBA_CACHE_DIR", str(ROOT / "pde_video" / "kernels" / "__pycache__"))
os.environ.setdefault("PDE_VIDEO_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # PyTorch's.

# Where the key of journals is kept: not the user's.
_state = tempfile.TemporaryDirectory(prefix="pde-video-tests-")
os.environ["XDG_STATE_HOME"] = _state.name

_left_out = os.environ.pop("PDE_VIDEO_LEFT_OUT", None)  # Not for the pytest that a test starts.
collect_ignore_glob = [] if find_spec("torch") else ["pde_video/learn/[a-z]*.py"]


@pytest.fixture(autouse=True, scope="session")
def _names_in_examples(doctest_namespace):
    import numpy as np

    import pde_video as pv

    doctest_namespace.update(np=np, pv=pv)


def pytest_collection_finish():
    """Leave what was collected out of later searches for garbage: imageio makes four for a PNG of 16 bits."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter):
    """Tell of what is left out without PyTorch; list what was skipped in the file PDE_VIDEO_LEFT_OUT, if given."""
    if collect_ignore_glob:
        terminalreporter.write_line("left out: the modules of pde_video/learn, which need the extra torch")
    if _left_out:
        skipped = {report.nodeid for report in terminalreporter.stats.get("skipped", [])}
        Path(_left_out).write_text("".join(f"{name}\n" for name in sorted(skipped)), encoding="utf-8")
