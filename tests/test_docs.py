"""Every Python block of README and docs runs."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from filter_page import page

import pde_video as pv

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHER_PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "docs" / "teaching" / "README.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pv.write("in.mp4", np.zeros((9, 16, 16, 3), np.uint8))
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        module = ModuleType("example")
        monkeypatch.setitem(sys.modules, "example", module)
        exec(compile(block, str(page), "exec", dont_inherit=True), module.__dict__)
    if page.name == "README.md":
        assert pv.read("out.mp4").count == 9
        assert next(iter(pv.read("smooth.mkv"))).shape == (16, 16)


@pytest.mark.parametrize("page", PAGES + OTHER_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(page):
    for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_the_version_is_in_one_place():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in settings["project"]
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "pde_video.__version__"}
    assert f"## [{pv.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def rows_of(page: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| case", "| input"))]


def test_every_case_of_reliability_and_security_names_tests_that_exist():
    reliability = rows_of((ROOT / "docs" / "reliability.md").read_text().partition("## Figures")[0])
    security = rows_of((ROOT / "docs" / "security.md").read_text().partition("## Who may")[0])
    assert len(reliability) > 55
    assert len(security) >= 7
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for row in reliability + security:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        for name in named:
            assert f"\ndef {name}(" in tests, name


def test_the_page_of_filters_is_what_the_declarations_say():
    assert (ROOT / "docs" / "filters.md").read_text() == page(), "run python -m tests.filter_page > docs/filters.md"
