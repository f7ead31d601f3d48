"""Noise that is added to clean clips."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pde_video.errors import ParameterError
from pde_video.filters.synthetic_noise import gaussian_noise
from pde_video.protocols import Array

READOUT = 0.01  # Standard deviation of the Gaussian part of Poisson–Gaussian noise, of a range of 1.


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of standard deviation `level`/255, or Poisson–Gaussian noise with `level` photons for white.

    With ``clipped``, noisy values are rounded to 8 bits, as in files.
    """

    kind: str
    level: float
    clipped: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.level) and self.level > 0):
            name = "sigma" if self.kind == "gaussian" else "peak"
            raise ParameterError(f"{name} is {self.level}; it must be positive and finite")

    @property
    def label(self) -> str:
        """The name in headings."""
        law = f"σ = {self.level:g}" if self.kind == "gaussian" else f"Poisson–Gaussian, peak {self.level:g}"
        return law + ", clipped to 8 bits" * self.clipped

    def on(self, clean: Array, seed: int) -> Array:
        """Return the noisy clip; each has its own generator, so that clips do not depend on each other."""
        values, rng = clean.astype(np.float64), np.random.default_rng(seed)
        if self.kind == "gaussian":
            values = gaussian_noise(values, self.level / 255, rng=rng)
        else:
            values = rng.poisson(values * self.level) / self.level + rng.normal(0, READOUT, values.shape)
        if self.clipped:
            values = np.rint(255 * np.clip(values, 0, 1)) / 255
        return values.astype(np.float32)
