"""The noise of a video, as a value that can be stored and passed on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from pde_video.errors import ParameterError
from pde_video.estimate.variance_stabilizer import VarianceStabilizer
from pde_video.video.provenance import values_in

_SHARES, _OFFSETS = ("impulses", "hot"), ("rows", "columns")
_LEAST = 1e-3  # Relative deviation of a channel, which is divided by it in single precision.
_REQUIRED = ("slope", "offset", "unit")  # Of a file. Without the unit, 400 could be of 255 or of 1.


@dataclass(frozen=True)
class NoiseEstimate:
    """The noise of a video: what `measure_noise` returns and ``denoise(video, noise=...)`` takes.

    variance = slope · brightness + offset, of which the share `fixed` is the same in every frame.

    Parameters
    ----------
    slope : float
        ≥ 0, in units of the video: increase of the variance with brightness. 0: Gaussian noise, the same everywhere.
    offset : float
        In squared units of the video: the variance at brightness 0. ≥ 0 if `slope` is 0.
    fixed : float
        In [0, 1]: share of the variance that is the same in all frames, a fixed pattern.
    colours : sequence of floats, optional
        > 0, one for each plane: standard deviation of the noise relative to that above. The planes of three channels
        are brightness (the orthonormal mean of red, green and blue) and two orthonormal colour differences; otherwise
        they are the channels. Default: 1 for all of them, and for frames with any number of channels.
    unit : float
        > 0: the full-scale value of the video: 255 for uint8, 65535 for uint16, 1 for floats.
    spectra : sequence of sequences of 64 floats, optional
        > 0, one for each plane: variances of the noise in the cosine coefficients of 8 × 8 pixels, row by row, relative
        to their mean. Default: 1, white noise. That is different where neighbouring pixels share noise.
    impulses, hot : float
        In [0, 1]: shares of pixels that are replaced: those far from all their neighbours in single frames, as impulses
        are, and those in all frames, hot and dead pixels. Default: 0.
    rows, columns : float
        ≥ 0, in units of the video: standard deviation of offsets that all pixels of a row, or of a column, share, and
        that are subtracted. Default: 0.
    photons : float, optional
        ≥ 0: photons per pixel at the median brightness, as variance / slope², which includes read-out noise. Below 2,
        frames are compared by the photons of 4 × 4 pixels together. Default: many.
    copied : float
        In [0, 1): share of the variance that a frame has in common with the next one along the motion, as codecs copy
        it. Averages keep more of such noise. Default: 0.
    channels : sequence of floats, optional
        ≥ 0.001, one for each channel: standard deviation of the noise relative to that above, by which outliers are
        judged. Default: 1.

    Raises
    ------
    ParameterError
        If a number is out of range, or something else is not a number.

    Examples
    --------
    >>> noise = pv.NoiseEstimate(slope=0.0, offset=400.0, unit=255.0)
    >>> noise.sigma, pv.NoiseEstimate.from_json(noise.to_json()) == noise
    (20.0, True)
    >>> video = np.random.default_rng(0).normal(128, 20, (4, 32, 32)).astype(np.uint8)
    >>> bool(np.array_equal(pv.denoise(video, noise=noise), pv.denoise(video, sigma=20.0)))
    True
    """

    slope: float
    offset: float
    fixed: float = 0.0
    colours: tuple[float, ...] | None = None
    unit: float = 1.0
    spectra: tuple[tuple[float, ...], ...] | None = None
    impulses: float = 0.0
    hot: float = 0.0
    rows: float = 0.0
    columns: float = 0.0
    photons: float | None = None
    copied: float = 0.0
    channels: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("slope", "offset", "fixed", "unit", "copied", *_SHARES, *_OFFSETS):
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        if self.slope < 0:
            raise ParameterError(f"slope is {self.slope}; it must be ≥ 0: noise does not shrink with light")
        if self.slope == 0 and self.offset < 0:
            raise ParameterError(f"offset is {self.offset} and slope 0, a variance below 0; it must be ≥ 0")
        if not 0 <= self.fixed <= 1:
            raise ParameterError(f"fixed is {self.fixed}; it must be from 0 to 1, a share of the variance")
        if not 0 <= self.copied < 1:
            raise ParameterError(f"copied is {self.copied}; it must be from 0 to below 1, a share of the variance")
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be from 0 to 1, a share of the pixels")
        for name in _OFFSETS:
            if getattr(self, name) < 0:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be ≥ 0, a standard deviation")
        if self.unit <= 0:
            raise ParameterError(f"unit is {self.unit}; it must be positive: 255 for uint8, 1 for floats")
        for name in ("colours", "channels"):
            given = getattr(self, name)
            if given is None:
                continue
            if not isinstance(given, (tuple, list)) or not given:
                raise ParameterError(f"{name} is {given!r}; it must be a standard deviation for each channel, or None")
            given = tuple(_number(name, one) for one in given)
            object.__setattr__(self, name, given)
            if min(given) <= 0 or (name == "channels" and min(given) < _LEAST):
                least = f"at least {_LEAST}" if name == "channels" else "positive"
                raise ParameterError(f"{name} is {given!r}; each must be {least}")
        if self.spectra is not None:
            object.__setattr__(self, "spectra", _spectra(self.spectra))
        if self.photons is not None:
            object.__setattr__(self, "photons", _number("photons", self.photons))
            if self.photons < 0:
                raise ParameterError(f"photons is {self.photons}; it must be ≥ 0, or None")

    @property
    def sigma(self) -> float:
        """Standard deviation at brightness 0, in units of the video; for Gaussian noise, at any brightness."""
        return math.sqrt(max(self.offset, 0.0))

    @property
    def correlation(self) -> tuple[float, ...]:
        """Side in pixels of squares that share their noise, as far as means over 8 pixels tell; 1 for white noise.

        √S for the variance S of such means relative to that of white noise, of each plane in `spectra`.
        """
        return tuple(math.sqrt((one[1] + one[8]) / 2) for one in self.spectra or ((1.0,) * 64,))

    def to_unit(self, unit: float) -> NoiseEstimate:
        """Return the noise of the same video rescaled to the full-scale value `unit`.

        For a uint8 video, ``to_unit(1.0)`` is the noise of the video divided by 255.
        """
        ratio = self.unit / replace(self, unit=unit).unit
        offsets = {name: getattr(self, name) / ratio for name in _OFFSETS}
        return replace(self, slope=self.slope / ratio, offset=self.offset / ratio**2, unit=unit, **offsets)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers by name, as `from_dict` takes them, in types of JSON."""
        lists = {name: one and list(one) for name, one in (("colours", self.colours), ("channels", self.channels))}
        return {**asdict(self), **lists, "spectra": self.spectra and [list(one) for one in self.spectra]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NoiseEstimate:
        """Return the estimate in such a dict; anything missing, unknown or of another type is a ParameterError.

        `slope`, `offset` and `unit` must be there. The others have the defaults above: without ``spectra`` and what
        follows it, as in files of earlier versions, the noise is white, and nothing else.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping):
            raise ParameterError(f"not an estimate of noise: got {values!r:.80}; it has {', '.join(names)}")
        missing = ", ".join(name for name in _REQUIRED if name not in values)
        unknown = ", ".join(str(name) for name in values if name not in names)
        if missing or unknown:
            lacks, has = f"{missing} is missing" if missing else "", f"{unknown:.80} is unknown" if unknown else ""
            raise ParameterError(
                f"not an estimate of noise: {' and '.join(one for one in (lacks, has) if one)}; "
                f"it has {', '.join(names)}, of which {', '.join(_REQUIRED)} must be there"
            )
        return cls(**values)

    def to_json(self) -> str:
        """Return the estimate as JSON, in full precision."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> NoiseEstimate:
        """Return the estimate that `to_json` wrote; other JSON, or none, is a ParameterError."""
        try:
            return cls.from_dict(values_in(text))
        except ParameterError:
            raise
        except (TypeError, ValueError) as fault:
            reason = fault if isinstance(text, str | bytes) else f"it is {text!r:.80}, and no text"
            raise ParameterError(f"not an estimate of noise in JSON ({reason})") from None

    def stabiliser(self) -> VarianceStabilizer | None:
        """Return the transform that makes this noise uniform, of values divided by `unit`; None without noise."""
        relative = self.to_unit(1.0)
        return VarianceStabilizer(relative.slope, relative.offset) if relative.slope or relative.offset else None


def _spectra(values: Any) -> tuple[tuple[float, ...], ...]:
    if not isinstance(values, (tuple, list)) or not values:
        raise ParameterError(
            f"spectra is {values!r:.80}; it must be a sequence of 64 variances for each plane, or None"
        )
    for one in values:
        if not isinstance(one, (tuple, list)) or len(one) != 64:
            raise ParameterError(f"spectra has {one!r:.80}; each plane must have a sequence of 64 variances")
    found = tuple(tuple(_number("spectra", value) for value in one) for one in values)
    if min(map(min, found)) <= 0:
        raise ParameterError("spectra has a variance that is not positive; each must be")
    return found


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ParameterError(f"{name} is {value!r}; it must be a number")
    try:
        number = float(value)
    except OverflowError:  # An integer that no float holds.
        number = math.inf
    if not math.isfinite(number):
        raise ParameterError(f"{name} is {number}; it must be finite")
    return number
