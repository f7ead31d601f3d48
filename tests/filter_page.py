"""The page docs/filters.md, written from the filters' declarations: ``python -m tests.filter_page``."""

import inspect
from collections.abc import Iterator

from pde_video.filters.declarations import Declared, declared
from pde_video.filters.extent import Extent
from pde_video.jobs.registry import filter_called, names

_HEAD = """\
# Filters

Every filter with its options, for users of the command line, of recipes and of Python. One name serves all three, but
where a table gives another for Python: the command `pde-video perona-malik --kappa 8`, the recipe with
`name = "perona-malik"` and `kappa = 8`, and the function `pv.perona_malik(video, kappa=8)`. Without a video,
`pv.perona_malik(kappa=8)` is the filter with that option, for `pv.run` and `pv.pipeline`. Units of the input are of 255
for 8 bits, of 65535 for 16 bits, and as stored for floats.

This page is made by `python -m tests.filter_page > docs/filters.md`; a test compares them.
"""


def page() -> str:
    """Return the page."""
    return _HEAD + "".join(_section(name) for name in names())


def _section(name: str) -> str:
    a_filter = filter_called(name)
    text = inspect.cleandoc(a_filter.__doc__ or "").partition("\n\nParameters\n")[0]
    rows = "".join(map(_row, declared(a_filter.function).values()))
    table = f"\n| option | value | default | meaning |\n|---|---|---|---|\n{rows}" if rows else ""
    other = a_filter.__name__ if a_filter.__name__.replace("_", "-") != name else ""
    heading = f"{name}; in Python `{other}`" if other else name
    return f"\n## {heading}\n\n{text}\n{table}\n{_looked(a_filter.extent)}\n"


def _row(one: Declared) -> str:
    default = "required" if one.required else "" if one.default is None else f"`{one.default}`".lower()
    meaning = f"{one.help} {one.standard}".strip().replace("|", "\\|")
    name = f"`{one.name}`" if one.name == one.parameter else f"`{one.name}`; in Python `{one.parameter}`"
    return f"| {name} | {', '.join(_value(one))} | {default} | {meaning} |\n"


def _value(one: Declared) -> Iterator[str]:
    option = one.option
    yield " or ".join(kind for kind in one.kinds if kind != "text" or not option.choices) or (
        "names, separated by commas" if option.several else "name"
    )
    if option.unit:
        yield f"in units of the {option.unit}" if option.unit.startswith("input") else f"in {option.unit}"
    for sign, bound in ((">", option.above), ("≥", option.least), ("≤", option.most)):
        if bound is not None:
            yield f"{sign} {bound:g}"
    if option.choices:
        yield ", ".join(f"`{choice}`" for choice in option.choices)


def _looked(extent: Extent) -> str:
    """Return in words what a result depends on."""
    sides = [(extent.before, "before"), (extent.after, "after")]
    told = [f"{'all frames' if n is None else _frames(n)} {side} it" for n, side in sides if n != 0]
    cells = (
        "the whole frame"
        if extent.cells is None
        else f"the pixels at most {extent.cells} away"
        if extent.cells
        else "its pixel"
    )
    first = "" if not extent.first else "; estimates use the first frame"
    if extent.first > 1:
        first = f"; estimates use some of the first {extent.first} frames"
    return f"With the defaults a value depends on {' and '.join([cells, *told])}{first}."


def _frames(n: int) -> str:
    return "1 frame" if n == 1 else f"{n} frames"


if __name__ == "__main__":
    print(page(), end="")
