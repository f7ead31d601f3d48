"""Commands that show, measure and prepare: each parses, calls one function of the library, and prints the result."""

from __future__ import annotations

from pathlib import Path

import click

from pde_video import __version__
from pde_video.cli.options import force_option, json_option, show
from pde_video.cli.progress import shown_progress

_place = click.option(
    "--crop",
    "place",
    type=int,
    nargs=4,
    metavar="TOP LEFT HEIGHT WIDTH",
    help="Pixels to enlarge.  [default: 96 × 96, where there is most texture]",
)


@click.command("demo")
@click.argument("clip", required=False, type=click.Path(path_type=Path))
@click.option("--sigma", type=float, default=20.0, show_default=True, help="Noise to add, in units of the clip.")
@click.option(
    "--output",
    "-o",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("pde-video-demo"),
    show_default=True,
    help="Folder for the results.",
)
@click.option("--preset", metavar="NAME", help="As for `denoise`.")
@click.option("--method", metavar="NAME", help="As for `denoise`.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the noise.")
@_place
@force_option
@json_option
def demo(
    clip: Path | None,
    sigma: float,
    folder: Path,
    preset: str | None,
    method: str | None,
    seed: int,
    place: tuple[int, int, int, int] | None,
    force: bool,
    as_json: bool,
) -> None:
    """Add noise to CLIP (default: a synthetic moving scene), denoise it, and measure the gain.

    Writes the noisy and the denoised video, clean, noisy and denoised side by side, and two labelled pictures of the
    middle frame: the same three, and a place enlarged with the noise added, what was removed, and the error left.

    \b
    Example: pde-video demo
             pde-video demo clip.mp4 --sigma 20 -o results
    """
    from pde_video.tools.demo import demonstrate

    figures = demonstrate(
        clip, sigma, folder, preset=preset, method=method, seed=seed, place=place, force=force, progress=shown_progress
    )
    show(figures, as_json)


@click.command("info")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def info(file: Path, as_json: bool) -> None:
    """Tell what FILE holds.

    \b
    Example: pde-video info clip.mp4
    """
    import pde_video as pv

    video = pv.read(file)
    facts = {
        "file": str(file),
        "height": video.size[0],
        "width": video.size[1],
        "channels": video.channels,
        "dtype": str(video.dtype),
        "rate": video.rate,
        "frames": video.count,
        **video.details,
    }
    show(facts, as_json)


@click.command("compare")
@click.argument("reference", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write a video of both side by side.")
@click.option("--picture", type=click.Path(path_type=Path), help="Write a place of the middle frame, enlarged.")
@_place
@force_option
@json_option
def compare(
    reference: Path,
    file: Path,
    output: Path | None,
    picture: Path | None,
    place: tuple[int, int, int, int] | None,
    force: bool,
    as_json: bool,
) -> None:
    """Measure FILE against REFERENCE: PSNR over all frames in dB, mean SSIM, and whiteness of the difference.

    The whiteness is 1 if REFERENCE − FILE is like white noise: of a noisy REFERENCE and a denoised FILE, if nothing
    but noise was taken away. The picture shows REFERENCE, FILE, and their difference around mid-grey.

    \b
    Example: pde-video compare clean.mp4 denoised.mp4
             pde-video compare noisy.mp4 denoised.mp4 -o both.mp4 --picture crop.png
    """
    from pde_video.tools.pictures import compare_files

    figures = compare_files(
        reference, file, video=output, picture=picture, place=place, force=force, progress=shown_progress
    )
    show({"reference": str(reference), "file": str(file), **figures}, as_json)


@click.command("warmup")
@json_option
def warmup(as_json: bool) -> None:
    """Compile what is not compiled yet, so that no later run has to wait for it.

    \b
    Example: pde-video warmup
    """
    from pde_video.tools.doctor import warm_up

    show(warm_up(), as_json)


@click.command("doctor")
@click.option("--seconds", type=click.FloatRange(min=0), default=10.0, show_default=True, help="Time to measure for.")
@json_option
def doctor(seconds: float, as_json: bool) -> None:
    """Tell versions, threads, cache and processor, and how fast a step is: 1 is as fast as copying memory.

    \b
    Example: pde-video doctor --json
    """
    from pde_video.tools.doctor import examine, measure

    show({"version": __version__, **examine(), **measure(seconds)}, as_json)
