"""Noise as it is in footage: named scenarios with parameters, each a noisy clip and what a denoiser should return."""

import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from pde_video.errors import ParameterError
from pde_video.filters.declarations import Option as Range
from pde_video.filters.declarations import checked, declared
from pde_video.protocols import Array
from pde_video.video.files import read, write

_FRAME, _ROW, _COLUMN = range(3)  # Axes of a clip.
Level = Annotated[float, Range(least=0)]  # Of 255.
Share = Annotated[float, Range(above=0, most=1)]
Pair = tuple[Array, Array]  # The noisy clip, and the reference.

SCENARIOS: dict[str, Callable[..., Pair]] = {}
_HEADINGS: dict[str, str] = {}


@dataclass(frozen=True)
class Scene:
    """A clean clip (T, H, W) or (T, H, W, C), float64 in [0, 1], and where random numbers come from."""

    clean: Array
    rng: np.random.Generator

    def noise(self, sigma: float) -> Array:
        """Return white noise of standard deviation `sigma`, of 255."""
        return np.multiply(sigma / 255, self.rng.standard_normal(self.clean.shape))

    def along(self, *axes: int) -> tuple[int, ...]:
        """Return the shape of what differs along some axes only, and broadcasts."""
        return tuple(n if axis in axes else 1 for axis, n in enumerate(self.clean.shape))

    def lit(self, gain: Array, sigma: float) -> Pair:
        """Return the scene under other light, which is not to be undone, with white noise, and without."""
        reference = np.clip(gain * self.clean, 0, 1)
        return reference + self.noise(sigma), reference


def _scenario(heading: str) -> Callable[[Callable[..., Pair]], Callable[..., Pair]]:
    def named(function: Callable[..., Pair]) -> Callable[..., Pair]:
        SCENARIOS[function.__name__], _HEADINGS[function.__name__] = function, heading
        return function

    return named


@_scenario("σ = {sigma:g}")
def white(scene: Scene, *, sigma: Annotated[float, Range(above=0)] = 20.0) -> Pair:
    """White Gaussian noise of standard deviation σ, of 255."""
    return scene.clean + scene.noise(sigma), scene.clean


@_scenario("Poisson, peak {peak:g}, σ = {sigma:g}")
def poisson(scene: Scene, *, peak: Annotated[float, Range(above=0, most=1e15)] = 10.0, sigma: Level = 0.0) -> Pair:
    """Photon noise, Poisson(peak · value) / peak where white is 1, plus white Gaussian noise of σ, of 255."""
    return scene.rng.poisson(scene.clean * peak) / peak + scene.noise(sigma), scene.clean


@_scenario("blurred by {radius:g} pixels, σ = {sigma:g}")
def blurred(scene: Scene, *, radius: Annotated[float, Range(above=0)] = 0.7, sigma: Level = 20.0) -> Pair:
    """Noise, not the clip, smoothed in space by a Gaussian of some radius, then of standard deviation σ."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(scene.noise(1), radius, mode="wrap", axes=(_ROW, _COLUMN))
    return scene.clean + sigma / 255 * noise / noise.std(), scene.clean


@_scenario("enlarged by {factor:g}, σ = {sigma:g} before")
def enlarged(scene: Scene, *, factor: Annotated[float, Range(least=1, most=8)] = 1.5, sigma: Level = 20.0) -> Pair:
    """White noise, then clip and noise enlarged by cubic splines; the reference is the enlarged clean clip."""
    from scipy.ndimage import zoom

    one = partial(zoom, zoom=factor, order=3, mode="nearest", grid_mode=True)
    every = np.vectorize(one, signature="(h,w)->(i,j)")  # Of all axes at once, `zoom` takes 4 to 16 times as long.

    def larger(video: Array) -> Array:
        return np.moveaxis(every(np.moveaxis(video, (_ROW, _COLUMN), (-2, -1))), (-2, -1), (_ROW, _COLUMN))

    return larger(scene.clean + scene.noise(sigma)), np.clip(larger(scene.clean), 0, 1)


@_scenario("demosaiced, σ = {sigma:g} before")
def demosaiced(scene: Scene, *, sigma: Level = 20.0) -> Pair:
    """White noise, then a Bayer mosaic (RGGB) interpolated bilinearly; the reference is the demosaiced clean clip."""
    if scene.clean.shape[3:] != (3,):
        raise ParameterError("demosaiced needs clips of three colours; leave --gray out, or this noise")
    return _bilinear(scene.clean + scene.noise(sigma)), _bilinear(scene.clean)


def _bilinear(video: Array) -> Array:
    """Return what is left of a video behind a Bayer mosaic: means of the nearest pixels that have the colour."""
    from scipy.ndimage import convolve1d

    row, column = np.ogrid[: video.shape[_ROW], : video.shape[_COLUMN]]
    kept = np.stack([(row | column) % 2 == 0, (row + column) % 2 == 1, (row & column) % 2 == 1], axis=-1)

    def spread(planes: Array) -> Array:
        for axis in (-3, -2):
            planes = convolve1d(planes, [0.5, 1, 0.5], axis=axis, mode="mirror")
        return planes

    return np.where(kept, video, spread(video * kept) / spread(kept.astype(float)))


@_scenario("JPEG quality {quality}, σ = {sigma:g} before")
def jpeg(scene: Scene, *, quality: Annotated[int, Range(least=1, most=100)] = 75, sigma: Level = 20.0) -> Pair:
    """White noise, rounded to 8 bits, each frame compressed as JPEG (colour at half the size)."""
    from PIL import Image  # Pillow comes with imageio.

    def coded(frame: Array) -> Array:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))

    return np.stack([coded(frame) for frame in _eight_bits(scene.clean + scene.noise(sigma))]) / 255, scene.clean


@_scenario("H.264 crf {crf}, σ = {sigma:g} before")
def h264(scene: Scene, *, crf: Annotated[int, Range(least=0, most=51)] = 23, sigma: Level = 20.0) -> Pair:
    """White noise, rounded to 8 bits, compressed as H.264 (x264, preset medium, colour at half the size)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "noisy.mp4")
        write(path, _eight_bits(scene.clean + scene.noise(sigma)), crf=crf)
        return np.stack(list(read(path))) / 255, scene.clean


@_scenario("impulses on {share:g} of the pixels, σ = {sigma:g}")
def impulse(scene: Scene, *, share: Share = 0.05, sigma: Level = 5.0) -> Pair:
    """White noise, and a share of the pixels, new ones in every frame, black or white."""
    noisy, pixels = scene.clean + scene.noise(sigma), scene.along(_FRAME, _ROW, _COLUMN)
    return np.where(scene.rng.random(pixels) < share, scene.rng.integers(0, 2, pixels), noisy), scene.clean


@_scenario("hot pixels, {share:g} of all, σ = {sigma:g}")
def hot(scene: Scene, *, share: Share = 0.002, sigma: Level = 5.0) -> Pair:
    """White noise, and a share of the pixels white in every frame."""
    noisy, pixels = scene.clean + scene.noise(sigma), scene.along(_ROW, _COLUMN)
    return np.where(scene.rng.random(pixels) < share, 1.0, noisy), scene.clean


@_scenario("row noise of {amplitude:g}, σ = {sigma:g}")
def rows(scene: Scene, *, amplitude: Level = 8.0, sigma: Level = 10.0) -> Pair:
    """White noise, and an offset of every row, new in every frame, with a standard deviation, of 255."""
    noisy = scene.clean + scene.noise(sigma)
    return noisy + amplitude / 255 * scene.rng.standard_normal(scene.along(_FRAME, _ROW)), scene.clean


@_scenario("fixed columns of {amplitude:g}, σ = {sigma:g}")
def columns(scene: Scene, *, amplitude: Level = 8.0, sigma: Level = 10.0) -> Pair:
    """White noise, and an offset of every column, the same in all frames, with a standard deviation, of 255."""
    noisy = scene.clean + scene.noise(sigma)
    return noisy + amplitude / 255 * scene.rng.standard_normal(scene.along(_COLUMN)), scene.clean


@_scenario("each frame {copies} times, ± {change}, σ = {sigma:g}")
def duplicates(
    scene: Scene,
    *,
    copies: Annotated[int, Range(least=2)] = 2,
    change: Annotated[int, Range(least=0, most=255)] = 1,
    sigma: Level = 20.0,
) -> Pair:
    """Frames that repeat, clean and noise alike, but for whole steps of 255 up to `change` in the repetitions."""
    frame = np.arange(len(scene.clean))
    first = frame - frame % copies
    noisy = (scene.clean + scene.noise(sigma))[first]
    steps = scene.rng.integers(-change, change, noisy.shape, endpoint=True)
    return noisy + (frame > first).reshape(scene.along(_FRAME)) * steps / 255, scene.clean[first]


@_scenario("gain flickers by ± {amount:g}, σ = {sigma:g}")
def flicker(scene: Scene, *, amount: Share = 0.03, sigma: Level = 20.0) -> Pair:
    """Light that changes from frame to frame, uniformly within 1 ± amount, and stays in the reference."""
    return scene.lit(1 + amount * scene.rng.uniform(-1, 1, scene.along(_FRAME)), sigma)


@_scenario("rolling bands of ± {amount:g}, σ = {sigma:g}")
def bands(
    scene: Scene,
    *,
    amount: Share = 0.1,
    cycles: Annotated[float, Range(above=0)] = 3.337,  # Lamps at 100 Hz, 29.97 frames a second.
    sigma: Level = 20.0,
) -> Pair:
    """Light with some sinusoidal cycles a frame, read row by row, which stays in the reference."""
    frame, row = np.ix_(*map(np.arange, scene.clean.shape[: _ROW + 1]))
    time = (frame + row / scene.clean.shape[_ROW]).reshape(scene.along(_FRAME, _ROW))
    return scene.lit(1 + amount * np.sin(2 * np.pi * cycles * time), sigma)


@_scenario("fade-in from {least:g}, σ = {sigma:g}")
def fade(scene: Scene, *, least: Annotated[float, Range(least=0, most=1)] = 0.0, sigma: Level = 20.0) -> Pair:
    """Light that rises evenly to 1 over the clip, and stays in the reference; the noise does not fade."""
    return scene.lit(np.linspace(least, 1, len(scene.clean)).reshape(scene.along(_FRAME)), sigma)


def _eight_bits(video: Array) -> Array:
    return np.rint(255 * np.clip(video, 0, 1)).astype(np.uint8)


@dataclass(frozen=True)
class Noise:
    """A scenario and its parameters, as in ``blurred:radius=0.7``; those that are left out have their defaults.

    With ``clipped``, noisy values are rounded to 8 bits, as in files.
    """

    text: str
    clipped: bool = False
    name: str = field(init=False)
    options: dict[str, Any] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        name, _, rest = self.text.partition(":")
        if name not in SCENARIOS:
            known = "; ".join(f"{one}:{','.join(_defaults(one))}" for one in SCENARIOS)
            raise ParameterError(f"there is no noise {name!r}; choose from: {known}")
        parts = [part.partition("=") for part in rest.split(",") if part]
        given = {key: _number(value) for key, _, value in parts}
        if len(given) < len(parts):
            raise ParameterError(f"the noise {self.text!r} has an option twice; give each once")
        defaults = {key: one.default for key, one in declared(SCENARIOS[name]).items()}
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "options", defaults | checked(SCENARIOS[name], given, f"the noise {name}"))

    @property
    def label(self) -> str:
        """The name in headings, with all parameters."""
        return _HEADINGS[self.name].format(**self.options) + ", clipped to 8 bits" * self.clipped

    @property
    def meaning(self) -> str:
        """What is done to the clip, in a sentence."""
        return (SCENARIOS[self.name].__doc__ or "") + " Values are rounded to 8 bits." * self.clipped

    def on(self, clean: Array, seed: int) -> Pair:
        """Return the noisy clip and the reference; each clip has its own generator, so that none depends on others."""
        scene = Scene(clean.astype(np.float64), np.random.default_rng(seed))
        noisy, reference = SCENARIOS[self.name](scene, **self.options)
        if self.clipped:
            noisy = _eight_bits(noisy) / 255
        return noisy.astype(np.float32), clean if reference is scene.clean else reference.astype(np.float32)


def chosen(named: Sequence[str], sigma: Sequence[float] | None, peak: Sequence[float], clipped: bool) -> list[Noise]:
    """Return white noise of each level, photon noise of each peak, and the scenarios named, once each; then clipped.

    Without levels (None), and if no scenario is named, those of white noise are 10, 20 and 40.
    """
    levels = sigma if sigma is not None else () if named else (10, 20, 40)
    white, photons = [f"white:sigma={one}" for one in levels], [f"poisson:peak={one},sigma=2.55" for one in peak]
    every = [Noise(text, cut) for cut in (False, True)[: 1 + clipped] for text in (*white, *photons, *named)]
    if not every:
        raise ParameterError("no noise is given: pass --noise, --sigma or --peak")
    return list({noise.label: noise for noise in every}.values())


def _number(text: str) -> float | str:
    """Return the number, or the text, which the check of the options then refuses."""
    try:
        return float(text)
    except ValueError:
        return text


def _defaults(name: str) -> list[str]:
    return [f"{key}={one.default:g}" for key, one in declared(SCENARIOS[name]).items()]
