"""Change the library in one place at a time and see whether its tests notice: ``python -m tests.mutants``."""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import pytest

from pde_video.kernels import cache
from tests.mutants import ROOT, Mutant, load

SUITES = {"default": (), "full": ("-m", "")}  # What pytest is told: by default slow tests are left out.
PYTEST = (sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-rfE", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant, or of the tests of the library as it is."""

    killed: bool
    why: str  # The test that failed first, or what else happened.
    seconds: float
    by_slow_tests_alone: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen mutants, print what became of each, and return 1 if a test is missing, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", default=["*"], metavar="GLOB", help="ids, as in 'terms/*'; default: all")
    parser.add_argument("--suite", choices=SUITES, default="default", help="full: survivors meet the slow tests too")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="mutants at a time")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS", help="of one run of pytest")
    options = parser.parse_args(arguments)
    mutants = [one for one in load() if any(fnmatch(one.id, glob) for glob in options.only)]
    if not mutants:
        parser.error(f"no mutant is called {' or '.join(options.only)}")
    with tempfile.TemporaryDirectory() as folder:
        base, kernels = Path(folder, "base"), compiled_kernels()
        copy_checkout(base)
        tests = sorted({test for one in mutants for test in one.tests})
        outcome = tested(base, tests, SUITES[options.suite], kernels, timeout=60 * options.timeout)
        if outcome.killed:
            print(f"the tests fail without any change: {outcome.why}")
            return 1
        print(f"{'unchanged':10} {outcome.seconds:6.1f} s")
        with ThreadPoolExecutor(options.jobs) as pool:
            run = partial(outcome_of, base=base, kernels=kernels, suite=options.suite, timeout=options.timeout)
            outcomes = []
            for mutant, outcome in zip(mutants, pool.map(run, mutants), strict=True):
                outcomes.append(outcome)
                print(f"{verdict(mutant, outcome):10} {outcome.seconds:6.1f} s  {mutant.id}  {outcome.why}", flush=True)
    return summary(mutants, outcomes)


def verdict(mutant: Mutant, outcome: Outcome) -> str:
    """Return what is printed of a mutant; what is in capitals wants something done."""
    if mutant.equivalent:
        return "NOT EQUAL" if outcome.killed else "equivalent"
    return "SLOW ONLY" if outcome.by_slow_tests_alone else "killed" if outcome.killed else "SURVIVED"


def summary(mutants: list[Mutant], outcomes: list[Outcome]) -> int:
    """Print the totals; return 1 if a verdict is in capitals, else 0."""
    verdicts = [verdict(mutant, outcome) for mutant, outcome in zip(mutants, outcomes, strict=True)]
    counts = {name: verdicts.count(name) for name in dict.fromkeys(["killed", "SURVIVED", *verdicts])}
    different = len(verdicts) - counts.get("equivalent", 0)
    print(
        f"{len(verdicts)} mutants in {sum(one.seconds for one in outcomes):.0f} s: "
        + ", ".join(f"{count} {name}" for name, count in counts.items())
        + (f"; {counts['killed'] / different:.1%} of those that are not equivalent are killed" if different else "")
    )
    return int(any(name.isupper() for name in verdicts))


def outcome_of(mutant: Mutant, base: Path, kernels: Path, suite: str, timeout: float) -> Outcome:
    """Run the tests concerned on a copy of `base` with the mutant in it."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        shutil.copytree(base, tree)  # With times, so that what Python compiled stays valid, but for one module.
        changed = tree / "pde_video" / mutant.file
        changed.write_text(mutant.applied_to(changed.read_text(encoding="utf-8")), encoding="utf-8")
        if changed.parent.name == "kernels":
            kernels = unaffected(base, tree, changed.stem, kernels, Path(folder, "kernels"))
        outcome = tested(tree, mutant.tests, (), kernels, timeout)
        if suite == "full" and not outcome.killed:
            more = tested(tree, mutant.tests, SUITES["full"], kernels, timeout)
            seconds = outcome.seconds + more.seconds
            outcome = Outcome(more.killed, more.why, seconds, by_slow_tests_alone=more.killed)
    return outcome


def tested(tree: Path, tests: Sequence[str], options: Sequence[str], kernels: Path, timeout: float) -> Outcome:
    """Run pytest in `tree`. What fails, crashes or takes too long is killed."""
    environment = os.environ | {"PYTHONPATH": str(tree), "NUMBA_CACHE_DIR": str(kernels)}
    command = [*PYTEST, *options, *(f"tests/{test}" for test in tests)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    begun = time.monotonic()
    # A session of its own, so that processes that tests start end with it.
    with subprocess.Popen(command, cwd=tree, env=environment, text=True, start_new_session=True, **pipes) as process:
        try:
            said, _ = process.communicate(timeout=timeout)
        except BaseException as fault:
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(fault, subprocess.TimeoutExpired):
                raise
            return Outcome(True, f"took longer than {timeout:g} s", time.monotonic() - begun)
    seconds, code = time.monotonic() - begun, process.returncode
    failed = next((line for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))), "")
    if code == pytest.ExitCode.OK:
        return Outcome(False, "", seconds)
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        return Outcome(False, "no test was selected", seconds)
    if code < 0:
        return Outcome(True, f"crashed: {signal.Signals(-code).name}", seconds)
    if code > pytest.ExitCode.INTERRUPTED or not failed:
        raise RuntimeError(f"pytest could not be run ({code}):\n{said}")
    return Outcome(True, failed.split(" - ")[0].split(" ", 1)[1], seconds)


def copy_checkout(target: Path) -> None:
    """Copy the files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def compiled_kernels() -> Path:
    """Return where compiled kernels are kept, in a folder named after their sources: changes elsewhere reuse them."""
    place = cache.writable_place()
    if place is None:
        raise SystemExit(
            "compiled kernels cannot be kept anywhere: set NUMBA_CACHE_DIR to a folder that can be written"
        )
    return place.parent


def unaffected(base: Path, tree: Path, changed: str, kernels: Path, target: Path) -> Path:
    """Give a tree with a changed module of kernels what is compiled of modules that do not use it, in `target`."""
    before, after = (f"pde_video-kernels-{cache.digest(one / 'pde_video' / 'kernels')}" for one in (base, tree))
    affected = users_of(changed, base / "pde_video" / "kernels")
    (target / after).mkdir(parents=True)
    for path in (kernels / before).glob("*.nbc"):
        if path.name.split(".")[0] not in affected:
            shutil.copy(path, target / after)
    return target


def users_of(module: str, folder: Path) -> set[str]:
    """Return the modules of a folder that import one of them, at one remove or more, and itself."""
    imports = {
        path.stem: {
            name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom) and node.module  # The module itself may be imported, or names in it.
            for name in (node.module.rpartition(".")[2], *(alias.name for alias in node.names))
        }
        for path in folder.glob("*.py")
    }
    found = {module}
    while more := {name for name, used in imports.items() if used & found} - found:
        found |= more
    return found


if __name__ == "__main__":
    sys.exit(main())
