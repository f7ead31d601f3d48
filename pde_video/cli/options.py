"""What the commands share: options, how far it is, and what is printed at the end."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from typing import Any

import click

from pde_video import __version__

json_option = click.option("--json", "as_json", is_flag=True, help="Print what was estimated and done as JSON.")
force_option = click.option("--force", is_flag=True, help="Overwrite existing outputs.")


def shown_progress(frames: Iterable[Any], count: int | None, unit: str = " frames") -> Iterable[Any]:
    """Pass on what comes, with a bar on a terminal."""
    if not sys.stderr.isatty():
        return frames
    from tqdm import tqdm

    return tqdm(frames, total=count, unit=unit, leave=False)


def show(facts: dict[str, Any], as_json: bool) -> None:
    """Print figures under their names, or as JSON."""
    if as_json:
        # JSON has no infinity: the PSNR of a video with itself becomes null.
        finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in facts.items()}
        click.echo(json.dumps({**finite, "version": __version__}, default=str, allow_nan=False))
        return
    flat = {name: value for name, value in facts.items() if name != "files"} | facts.get("files", {})
    width = max(map(len, flat))
    for name, value in flat.items():
        unit = " dB" if name == "gain" or name.startswith("psnr") else ""
        text = f"{value:.4g}" if isinstance(value, float) else "unknown" if value is None else value
        click.echo(f"{name.replace('_', ' '):<{width}}  {text}{unit}")
