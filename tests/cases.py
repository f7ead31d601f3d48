"""Which cases of a test only `pytest -m slow` runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow(*values: Any) -> list[Any]:
    """Return values of a parameter that only the slow tests take."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def marked_slow(values: Iterable[Any], *chosen: Any) -> list[Any]:
    """Return all values of a parameter, of which only the slow tests take those that are `chosen`."""
    return [pytest.param(value, marks=pytest.mark.slow) if value in chosen else value for value in values]


# The smallest real clip shows most faults.
NAMES = ("carphone_pristine", "bikes", "bigbuckbunny")
CLIPS = [NAMES[0], *slow(*NAMES[1:])]
CLIP_SETS = [NAMES[:1], *slow(NAMES)]  # For means over clips.
