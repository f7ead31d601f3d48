"""Faults of the system."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from faulty import Worker


@pytest.fixture(scope="session")
def worker(tmp_path_factory):
    worker = Worker(tmp_path_factory.mktemp("faults"))
    with worker.process:
        yield worker
    assert worker.process.returncode == 0


@pytest.fixture
def folder_in_memory(tmp_path):
    """A folder in memory where there is one: syncing takes longer than all else."""
    memory = Path("/dev/shm", f"faults-{os.getpid()}-{tmp_path.name}")
    folder = memory if os.access(memory.parent, os.W_OK) else tmp_path
    folder.mkdir(exist_ok=True)
    yield folder
    shutil.rmtree(folder)
