"""The commands that filter: each turns its options into a recipe."""

from __future__ import annotations

import os
from typing import Any

import click

from pde_video.cli.options import EXISTING, one_of
from pde_video.cli.running import filter_command

Recipe = list[dict[str, Any]]
_CONDUCTANCES = ("exponential", "rational", "charbonnier", "weickert", "tukey", "tv")
_STEPS = ("explicit-euler", "heun", "implicit-euler", "crank-nicolson", "aos", "fed", "fsi", "rkl2")
preset_option = click.option(
    "--preset",
    metavar="NAME",
    shell_complete=one_of("fast", "balanced", "best"),
    help="fast, balanced or best.  [default: balanced]",
)
method_option = click.option(
    "--method",
    metavar="NAME",
    shell_complete=one_of("perona-malik", "tv", "heat", "ddpm", "learned"),
    help="In place of a preset: perona-malik, tv or heat, every frame alone; ddpm; learned.",
)
_dt = click.option("--dt", type=float, metavar="T", help="Longest step.  [default: the largest that is stable, or T/5]")
_step = click.option(
    "--step",
    metavar="NAME",
    shell_complete=one_of(*_STEPS),
    help=f"Integrator: {', '.join(_STEPS)}.  [default: explicit-euler]",
)
_spacetime = click.option("--spacetime", is_flag=True, help="Diffuse in time as well, but not across cuts.")
_kappa = click.option(
    "--kappa",
    type=float,
    metavar="K",
    help="Edge contrast in units of the input (of 255 for 8 bits). Default: estimated.",
)
_conductance = click.option(
    "--conductance", metavar="NAME", shell_complete=one_of(*_CONDUCTANCES), help=", ".join(_CONDUCTANCES) + "."
)


def _smoothing(default: float) -> Any:
    return click.option("--smoothing", type=float, metavar="PIXELS", help=f"Of gradients.  [default: {default}]")


def _time(default: float) -> Any:
    return click.option("--time", type=float, metavar="T", help=f"Diffusion time in pixels².  [default: {default}]")


@filter_command("denoise")
@preset_option
@click.option(
    "--sigma", type=float, help="Noise deviation in units of the input (of 255 for 8 bits). Default: estimated."
)
@click.option(
    "--noise",
    metavar="MODEL",
    shell_complete=one_of("auto", "gaussian", "poisson-gaussian"),
    help="gaussian (the same everywhere), poisson-gaussian (grows with brightness), auto, or SLOPE,OFFSET.  "
    "[default: auto]",
)
@click.option("--radius", type=int, metavar="N", help="Frames to use on each side; 0 treats every frame alone.")
@click.option("--causal", is_flag=True, help="Use only frames before each, and look at none after it.")
@method_option
@click.option("--model", type=EXISTING, help="A network's .safetensors or .onnx file, for `learned`.")
@click.option("--steps", type=int, metavar="N", help="Noise levels that `ddpm` or `learned` visits.")
def denoise(**options: Any) -> Recipe:
    """Remove noise from the video IN and write OUT.

    Frames are averaged along the motion, and then diffused by what noise is left. Nothing need be chosen.

    \b
    Example: pde-video denoise noisy.mp4 clean.mp4
             pde-video denoise stack.tiff clean.tiff --preset best
             pde-video denoise stack.tiff clean.tiff --sigma 300
             pde-video denoise noisy.mp4 clean.mp4 --method learned
             pde-video denoise a.mp4 b.mp4 c.tiff results/
             ffmpeg -i in.mov -f yuv4mpegpipe - | pde-video denoise - - | ffmpeg -i - out.mp4
    """
    if "model" in options:
        options["model"] = os.path.abspath(options["model"])  # For whoever repeats it from somewhere else.
    if "," in options.get("noise", ""):
        options["noise"] = _numbers(options["noise"])
    return [{"filter": "denoise", **options}]


@filter_command("heat")
@_time(1.0)
@_dt
@_step
@_spacetime
def heat(**options: Any) -> Recipe:
    """Blur the video IN by the heat equation and write OUT: ∂I/∂t = ∇²I.

    After a time t that is a bell of variance 2t pixels².

    \b
    Example: pde-video heat in.mp4 out.mp4 --time 2
             pde-video heat in.mp4 out.mp4 --time 50 --step implicit-euler
    """
    return [{"filter": "heat", **options}]


@filter_command("perona-malik")
@_kappa
@_time(2.0)
@_dt
@_conductance
@_smoothing(0.7)
@_step
@_spacetime
def perona_malik(**options: Any) -> Recipe:
    """Smooth the video IN but for its edges, and write OUT: ∂I/∂t = div(g(|∇I|²) ∇I).

    \b
    Example: pde-video perona-malik in.mp4 out.mp4
             pde-video perona-malik in.mp4 out.mp4 --kappa 12 --time 5 --conductance tukey
    """
    return [{"filter": "perona-malik", **options}]


@filter_command("tv")
@click.option(
    "--time", type=float, metavar="T", help="In units of the input, times pixels. Default: as the contrast estimated."
)
@click.option(
    "--epsilon", type=float, metavar="E", help="Gradient that counts as flat. Default: a tenth of the contrast."
)
@_dt
@_step
@_spacetime
def tv(**options: Any) -> Recipe:
    """Flatten the video IN by total variation flow and write OUT: ∂I/∂t = div(∇I / |∇I|).

    A bump of contrast c and radius r is gone after the time c·r/2: noise early, objects late.

    \b
    Example: pde-video tv in.mp4 out.mp4
             pde-video tv in.mp4 out.mp4 --time 20 --epsilon 1
    """
    return [{"filter": "tv", **options}]


@filter_command("eed")
@_kappa
@_time(5.0)
@_dt
@_conductance
@_smoothing(1.0)
@click.option("--integration", type=float, metavar="PIXELS", help="Over which directions are averaged.  [default: 0]")
@_step
def eed(**options: Any) -> Recipe:
    """Smooth the video IN along its edges and write OUT: edge-enhancing diffusion.

    \b
    Example: pde-video eed in.mp4 out.mp4
             pde-video eed in.mp4 out.mp4 --kappa 8 --time 10 --dt 1 --step fed
    """
    return [{"filter": "eed", **options}]


@filter_command("ced")
@_kappa
@_time(5.0)
@_dt
@click.option("--alpha", type=float, help="Diffusivity across lines.  [default: 0.001]")
@_smoothing(0.5)
@click.option("--integration", type=float, metavar="PIXELS", help="Over which directions are averaged.  [default: 4]")
@_step
def ced(**options: Any) -> Recipe:
    """Smooth the video IN along its lines, closing gaps, and write OUT: coherence-enhancing diffusion.

    \b
    Example: pde-video ced in.tiff out.tiff
             pde-video ced in.tiff out.tiff --time 20 --integration 6
    """
    return [{"filter": "ced", **options}]


@filter_command("frame-difference")
@click.option("--alpha", type=float, default=-0.5, show_default=True, help="Above 0 sharpens in time, below smooths.")
@click.option("--kappa", type=float, metavar="K", help="Change that counts as motion, in units of the input.")
def frame_difference(**options: Any) -> Recipe:
    """Update every frame of IN by its difference to the one before, and write OUT: F + α (F − F before).

    \b
    Example: pde-video frame-difference in.mp4 out.mp4
             pde-video frame-difference in.mp4 out.mp4 --alpha -0.7 --kappa 20
    """
    return [{"filter": "frame-difference", **options}]


@filter_command("extrapolate")
@click.option("--count", type=int, default=1, show_default=True, metavar="N", help="Frames to append.")
@click.option("--alpha", type=float, default=1.0, show_default=True, help="Pace at which the last change goes on.")
def extrapolate(count: int, alpha: float) -> Recipe:
    """Append frames to IN that continue its last change, and write OUT.

    \b
    Example: pde-video extrapolate in.mp4 out.mp4 --count 5
    """
    return [{"filter": "extrapolate", "frames": count, "alpha": alpha}]


@filter_command("pipeline")
@click.argument("recipe", metavar="FILE.toml", type=EXISTING)
def pipeline(recipe: str) -> Recipe:
    """Apply the filters listed in FILE.toml to IN and write OUT; none of them copies the video.

    \b
    FILE.toml:  [[filter]]
                name = "denoise"
                preset = "best"
                [[filter]]
                name = "resize"
                height = 360
                width = 640
    \b
    Example: pde-video pipeline FILE.toml in.mp4 out.mp4
             pde-video pipeline FILE.toml in.mp4 out.mkv --lossless
    """
    from pde_video.jobs.recipes import from_toml

    return from_toml(recipe)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise click.BadParameter(f"{text!r} is no pair of numbers SLOPE,OFFSET", param_hint="--noise") from None


COMMANDS = (denoise, heat, perona_malik, tv, eed, ced, frame_difference, extrapolate, pipeline)
