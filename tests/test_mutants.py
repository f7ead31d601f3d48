"""The list of mutants fits the library, and its runner tells killed from survived."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from tests.mutants import ROOT, Mutant, load
from tests.mutants.__main__ import outcome_of, users_of, verdict

MUTANTS = load()


def test_every_mutant_applies():
    for one in MUTANTS:
        one.applied_to((ROOT / "pde_video" / one.file).read_text(encoding="utf-8"))


def test_there_are_many_and_none_is_called_as_another():
    assert len(MUTANTS) >= 125
    assert len({one.id for one in MUTANTS}) == len({(one.file, one.old, one.new) for one in MUTANTS}) == len(MUTANTS)


def test_the_tests_concerned_are_there():
    files = {test.partition("::")[0] for one in MUTANTS for test in one.tests}
    trees = {file: ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8")) for file in files}
    functions = {(file, node.name) for file, tree in trees.items() for node in tree.body if hasattr(node, "name")}
    for one in MUTANTS:
        for test in one.tests:
            file, _, function = test.partition("::")
            assert not function or (file, function) in functions, f"{one.id}: there is no {test}"


@pytest.mark.parametrize(
    ("source", "new"), [("x / 2 + x / 2", "x / 3"), ("x * 2", "x / 3"), ("x / 2", "x / 2"), ("x / 2", "x /")]
)
def test_a_change_that_does_not_fit_is_refused(source, new):
    with pytest.raises((ValueError, SyntaxError)):
        Mutant("area/name", "half.py", "x / 2", new, ()).applied_to(source)


def test_killed_is_told_from_survived(tmp_path):
    library, tests = tmp_path / "pde_video", tmp_path / "tests"
    library.mkdir()
    tests.mkdir()
    (library / "__init__.py").write_text("")
    (library / "half.py").write_text("def half(x):\n    return x / 2\n")
    (tests / "test_half.py").write_text(
        "from pde_video.half import half\n\n\ndef test_half():\n    assert half(6) == 3\n"
    )
    for new, killed in (("x / 3", True), ("x * 0.5", False)):
        mutant = Mutant("area/name", "half.py", "x / 2", new, ("test_half.py",))
        outcome = outcome_of(mutant, tmp_path, kernels=tmp_path, suite="default", timeout=60)
        assert outcome.killed is killed
        assert verdict(mutant, outcome) == ("killed" if killed else "SURVIVED")
        equivalent = replace(mutant, equivalent="a half is 0.5")
        assert verdict(equivalent, outcome) == ("NOT EQUAL" if killed else "equivalent")


def test_kernels_that_use_a_changed_one_are_compiled_anew(tmp_path):
    uses = {"a": "", "b": "from pde_video.kernels.a import x", "c": "from .b import y", "d": ""}
    for name, source in (uses | {"e": "from pde_video.kernels import a"}).items():
        (tmp_path / f"{name}.py").write_text(source)
    assert users_of("a", tmp_path) == {"a", "b", "c", "e"}
    assert users_of("d", tmp_path) == {"d"}
