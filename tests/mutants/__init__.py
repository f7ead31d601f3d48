"""Single changes to the library that its tests must notice, in one table for each area; `__main__` runs them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

TABLES = Path(__file__).parent
ROOT = TABLES.parents[1]


@dataclass(frozen=True)
class Mutant:
    """One change of one file of the library, and the tests concerned.

    A `test` is a file of ``tests/``, or one function of it as ``file.py::function``. `equivalent` says why no test
    can tell the changed library from the original.
    """

    id: str  # The table's name, a slash, and its own.
    file: str  # Below pde_video/.
    old: str  # Occurs exactly once in that file.
    new: str
    tests: tuple[str, ...]
    equivalent: str = ""

    def applied_to(self, source: str) -> str:
        """Return the changed source; raise ValueError if the change does not fit, or is no Python."""
        found = source.count(self.old)
        if found != 1 or self.new == self.old:
            raise ValueError(f"{self.id}: the old text occurs {found} times in {self.file}; change it in one place")
        changed = source.replace(self.old, self.new)
        compile(changed, self.file, "exec")
        return changed


def load(folder: Path = TABLES) -> list[Mutant]:
    """Return the mutants of every table, a TOML file with one [[mutant]] for each."""
    found = []
    for path in sorted(folder.glob("*.toml")):
        for one in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]:
            found.append(Mutant(**one | {"id": f"{path.stem}/{one['id']}", "tests": tuple(one["tests"])}))
    return found
