"""``pde-video bench``: clips, noise and methods in, tables out."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from pde_video.cli.options import Numbers, Range


@click.command("bench")
@click.argument("clips", nargs=-1, type=click.Path(path_type=Path))
@click.option("--frames", type=Range(), default="0:16", show_default=True, metavar="START:END", help="END is left out.")
@click.option("--scale", type=float, default=1.0, show_default=True, help="Reduce clips by area averaging, e.g. 0.5.")
@click.option("--gray", is_flag=True, help="Make clips grey.")
@click.option("--sigma", type=Numbers(), default="10,20,40", show_default=True, help="Gaussian noise, of 255.")
@click.option("--peak", type=Numbers(), default="", help="Poisson–Gaussian noise, photons for white: 10,50.")
@click.option("--clipped", is_flag=True, help="Also every noise rounded and cut to 8 bits.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of the noise.")
@click.option(
    "--method", "methods", multiple=True, metavar="NAME", help="Only methods with NAME in their name; repeatable."
)
@click.option(
    "--output",
    "-o",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="md, csv, json or tex; repeatable.",
)
@click.option("--force", is_flag=True, help="Overwrite existing outputs.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(
    clips: tuple[Path, ...],
    frames: tuple[int, int],
    scale: float,
    gray: bool,
    sigma: list[float],
    peak: list[float],
    clipped: bool,
    seed: int,
    methods: tuple[str, ...],
    outputs: tuple[Path, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Put noise on clean CLIPS (default: a made-up moving scene) and compare what removes it.

    Measures the methods of this library, which are told nothing, and those of other programs that are installed, each
    at the best of several strengths. Without --output, Markdown is printed.

    \b
    Example: pde-video bench --sigma 20 --method denoise
             pde-video bench clip.mp4 --frames 100:116 --gray --peak 10,50 -o table.md -o table.json
    """
    from pde_video.bench import clips as clean
    from pde_video.bench import measuring, tables
    from pde_video.bench.clips import Noise
    from pde_video.bench.methods import chosen
    from pde_video.errors import ParameterError

    tables.check(outputs, force)
    picked = chosen(list(methods))
    laws = [("gaussian", level) for level in sigma] + [("poisson", level) for level in peak]
    noises = [Noise(kind, level, cut) for cut in (False, True)[: 1 + clipped] for kind, level in laws]
    if not noises:
        raise ParameterError("no noise was asked for: give --sigma, --peak or both")
    loaded = clean.load_all(clips or [None], frames=frames, scale=scale, gray=gray)
    found = measuring.run(loaded, noises, picked, seed=seed, progress=_progress)
    found.facts["command"] = shlex.join(["pde-video", *sys.argv[1:]])
    if as_json or not outputs:
        click.echo(tables.as_json(found) if as_json else tables.markdown(found), nl=False)
    tables.write(found, outputs, force)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(text, err=True)
