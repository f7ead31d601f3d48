"""What the commands share: options, and what is printed at the end."""

import functools
import json
import math
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from pde_video import __version__
from pde_video.cli.text import echo, put

force_option = click.option("--force", is_flag=True, help="Overwrite existing outputs.")
quiet_option = click.option("--quiet", is_flag=True, help="Print errors only (and JSON, if requested).")
isolated_option = click.option("--isolated", is_flag=True, help="Decode untrusted files in a sandboxed process.")
place_option = click.option(
    "--crop",
    "place",
    type=int,
    nargs=4,
    metavar="TOP LEFT HEIGHT WIDTH",
    help="Detail to enlarge, in pixels.  [default: 96 × 96, where texture is strongest]",
)
EXISTING = click.Path(path_type=str)  # Completed by the shell as a file; "-" stays what it is.
PATH = click.Path(path_type=Path)
_MODEST = re.compile(r"[^eE]*([eE][-+]?\d{1,2})?")  # Fraction("1e999999999") would allocate all its digits.
_NO_RANGE = "{!r} is not a range START:END such as 100:116"


def reporting(command: Callable[..., dict[str, Any]]) -> Callable[..., None]:
    """Print the figures that a command returns, under their names, or as JSON with the option that is added.

    With the option `quiet` a command prints no text but what was lost of an input.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @functools.wraps(command)
    def printing(as_json: bool, **options: Any) -> None:
        facts = command(**options)
        if as_json or not options.get("quiet"):
            show(facts, as_json)
        elif facts.get("lost"):
            show_lost(facts["lost"])

    return printing


def show_lost(reason: str) -> None:
    """Say that an input was damaged, of which a part was kept: even with --quiet."""
    echo(f"only a part was kept: {reason}", err=True)


def numbers(text: str) -> list[float]:
    """Return the numbers between commas."""
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of numbers such as 10,20,40") from None


def closed_range(text: str) -> tuple[int, int]:
    """Return the two numbers of START:END."""
    try:
        start, end = map(int, text.split(":"))
    except ValueError:
        raise click.BadParameter(_NO_RANGE.format(text)) from None
    return start, end


def open_range(text: str) -> tuple[int, int | None]:
    """Return the two numbers of START:END, of which either may be missing."""
    try:
        start, end = text.split(":")
        return int(start or 0), int(end) if end else None
    except ValueError:
        raise click.BadParameter(_NO_RANGE.format(text)) from None


def seconds(text: str) -> Fraction:
    """Return the exact seconds of a time: seconds, or [HH:]MM:SS[.fraction]."""
    *hours_and_minutes, last = text.split(":")
    try:
        if not _MODEST.fullmatch(last):
            raise ValueError
        time = Fraction(last)
        if len(hours_and_minutes) > 2 or not all(part.isdecimal() for part in hours_and_minutes):
            raise ValueError
        if hours_and_minutes and not 0 <= time < 60:
            raise ValueError
    except (ValueError, ZeroDivisionError):
        raise click.BadParameter(f"{text!r} is not a time; write seconds, or [HH:]MM:SS[.fraction]") from None
    for part, unit in zip(reversed(hours_and_minutes), (60, 3600), strict=False):
        time += unit * int(part)
    return time


def one_of(*names: str) -> Callable[..., list[str]]:
    """Return the completion of an option that takes one of `names`; the library itself refuses others."""
    return lambda context, param, incomplete: [name for name in names if name.startswith(incomplete)]


# The labels of figures in text; None for those that are of use in JSON only.
_WORDS = {
    "noise": "kind of noise",
    "sigma": "noise level (sigma)",
    "slope": "noise variance per unit of brightness",
    "offset": "offset of the noise's variance",
    "fixed": "fixed share of the noise",
    "copied": "noise that the next frame has too",
    "correlation": "pixels over which neighbours share noise",
    "photons": "photons per pixel",
    "impulses": "share of impulses, replaced",
    "hot": "share of hot or dead pixels, replaced",
    "offsets": "offsets of pixels (sigma), subtracted",
    "gains": "gains of pixels (sigma), evened out",
    "noisy_pixels": "share of noisy pixels",
    "rows": "offsets of rows (sigma), subtracted",
    "columns": "offsets of columns (sigma), subtracted",
    "kappa": "edge contrast (kappa)",
    "time": "diffusion time",
    "cuts": "scenes begin at frames",
    "repeated": "frames that repeat others",
    "originals": "frames of the video",
    "new": "frames made anew",
    "at_cuts": "frames repeated at cuts",
    "replaced": "repeats replaced",
    "reliable": "share of pixels whose motion was found",
    "relit": "frames in another light",
    "low": "becomes black",
    "high": "becomes white",
    "saturated": "values clipped to the range",
    "missing": "values missing (NaN)",
    "psnr_noisy": "PSNR of noisy",
    "psnr_denoised": "PSNR of denoised",
    "whiteness": "whiteness of what was removed (1: pure noise)",
    "sigma_added": "noise level added",
    "crop_place": "detail enlarged (top, left, height, width)",
    "crop_gain": "differences amplified by",
    "tried": "frames tried",
    "expected_seconds": "expected time",
    "expected_bytes": "expected size",
    "free_bytes": "free space",
    "peak_bytes": "memory needed",
    "leftovers": "left by interrupted runs",
    **dict.fromkeys(("colours", "conductance", "contrast", "criterion", "latency", "smoothing")),
}
_A_LINE_EACH = ("cleaned", "leftovers")
_UNLESS_ZERO = ("fixed", "repeated", "at_cuts", "replaced", "relit", "saturated", "missing")


def show(facts: dict[str, Any], as_json: bool, *, err: bool = False) -> None:
    """Print figures as JSON; or as text, without empty ones and those that are of use in JSON only."""
    if as_json:
        # JSON has no infinity: the PSNR of a video with itself becomes null.
        put(json.dumps(_finite({**facts, "version": __version__}), default=str, allow_nan=False), err=err)
        return
    flat = {name: value for name, value in facts.items() if name != "files"} | facts.get("files", {})
    if isinstance(flat.get("made"), dict):
        flat["made"] = flat["made"].get("command") or "by this library"
    labels = {name: _WORDS.get(name, name.replace("_", " ")) for name in flat}
    empty = {name for name, value in flat.items() if value == [] or (name in _UNLESS_ZERO and value == 0)}
    lines = {name: label for name, label in labels.items() if label is not None and name not in empty}
    width = max(map(len, lines.values()))
    for name, label in lines.items():
        value, unit = flat[name], " dB" if name == "gain" or name.startswith("psnr") else ""
        if value is not None and name.endswith(("_seconds", "_bytes")):
            value, unit = (value, " s") if name.endswith("_seconds") else (f"{value / 1e6:,.2f}", " MB")
        for part in value if name in _A_LINE_EACH else [value]:
            echo(f"{label:<{width}}  {_text(part)}{unit}", err=err)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else "unknown" if value is None else str(value)
