"""What happened during an evolution: figures along time, and which properties of diffusion held."""

from dataclasses import dataclass, field

import numpy as np

from pde_video.arrays.grid import to_planes
from pde_video.errors import ParameterError
from pde_video.protocols import Array


@dataclass
class History:
    """A callback for `evolve` that records figures of the state at every time.

    ============  =====================================================================
    time          t
    mean          Σ y / N
    minimum       min y
    maximum       max y
    energy        ½ Σ y² / N
    entropy       −Σ p ln p with p = y / Σ y; NaN where a value is negative
    residual      √(Σ (y − y₀)² / N), the distance from the first state
    gradient      ½ Σ |∇y|² / N, by forward differences at unit spacing
    ============  =====================================================================

    Parameters
    ----------
    channel_axis : int, optional
        As for `evolve`.

    References
    ----------
    Weickert (1998), Anisotropic Diffusion in Image Processing, chapter 2.

    Examples
    --------
    >>> history = pv.History()
    >>> _ = pv.evolve(pv.Heat(), np.array([0.0, 1.0, 0.0]), [0, 0.25, 0.5], callback=history)
    >>> history.maximum
    [1.0, 0.5, 0.375]
    >>> pv.certificate(history).holds
    True
    """

    channel_axis: int | None = None
    time: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    minimum: list[float] = field(default_factory=list)
    maximum: list[float] = field(default_factory=list)
    energy: list[float] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)
    residual: list[float] = field(default_factory=list)
    gradient: list[float] = field(default_factory=list)
    precision: float = 0.0
    _first: Array | None = field(default=None, repr=False)

    def __call__(self, t: float, y: Array) -> None:
        """Record the state `y` at time `t`."""
        z = to_planes(np.asarray(y, np.float64), self.channel_axis)
        if self._first is None:
            self._first, self.precision = z.copy(), float(np.finfo(y.dtype).eps)
        self.time.append(float(t))
        self.mean.append(float(z.mean()))
        self.minimum.append(float(z.min()))
        self.maximum.append(float(z.max()))
        self.energy.append(float(0.5 * (z * z).mean()))
        has_entropy = z.min() >= 0 and z.sum() > 0
        p = z[z > 0] / z.sum() if has_entropy else np.array(np.nan)
        self.entropy.append(float(-(p * np.log(p)).sum()))
        self.residual.append(float(np.sqrt(((z - self._first) ** 2).mean())))
        squares = sum((np.diff(z, axis=axis) ** 2).sum() for axis in range(1, z.ndim))
        self.gradient.append(float(0.5 * squares / z.size))


@dataclass(frozen=True)
class Certificate:
    """Which properties of a diffusion held at every recorded step, and the largest violation of each.

    Parameters
    ----------
    mean_kept, extrema_kept, energy_decreasing, entropy_increasing, gradient_decreasing : bool
        Whether the property held at every step; ``entropy_increasing`` is None where values are negative.
    worst : dict
        For each property the largest violation, 0 if none, in units of the data (energies: squared; entropy: nats).
    """

    mean_kept: bool
    extrema_kept: bool
    energy_decreasing: bool
    entropy_increasing: bool | None
    gradient_decreasing: bool
    worst: dict[str, float]

    @property
    def holds(self) -> bool:
        """Whether all held but for the gradient energy, which edge-enhancing diffusion need not lower."""
        return self.mean_kept and self.extrema_kept and self.energy_decreasing and self.entropy_increasing is not False


def certificate(history: History, *, tolerance: float | None = None) -> Certificate:
    """Tell whether an evolution kept the mean, the extremum principle and the Lyapunov functionals.

    mean = mean₀; min and max never expand; ½ Σ y² never grows; −Σ p ln p never falls; ½ Σ |∇y|² never grows.

    Parameters
    ----------
    history : History
        The callback of an evolution, with at least one state.
    tolerance : float, optional
        Violation per step that counts as rounding, ≥ 0, relative to the largest magnitude. Default: 32 roundings.

    Returns
    -------
    Certificate

    References
    ----------
    Weickert (1998), Anisotropic Diffusion in Image Processing, chapter 4.

    Examples
    --------
    Crank–Nicolson above its limit violates the extremum principle:

    >>> history = pv.History()
    >>> impulse = np.zeros(9); impulse[4] = 1
    >>> _ = pv.evolve(pv.Heat(), impulse, [0, 10.0], step=pv.crank_nicolson, callback=history)
    >>> pv.certificate(history).extrema_kept, pv.certificate(history).mean_kept
    (False, True)
    """
    if not history.time:
        raise ParameterError("the history is empty; pass it as callback to evolve first")
    if tolerance is None:
        tolerance = 32 * history.precision
    if not tolerance >= 0:
        raise ParameterError(f"tolerance is {tolerance}; it must be 0 or positive")
    size = max(abs(history.minimum[0]), abs(history.maximum[0]), np.finfo(float).tiny)
    positive = not np.isnan(history.entropy).any()
    drift = np.abs(np.array(history.mean) - history.mean[0])
    growth = {
        "mean": float(drift.max()) if np.isfinite(drift).all() else float("inf"),
        "extrema": max(_rise(history.maximum), _rise([-m for m in history.minimum])),
        "energy": _rise(history.energy),
        "entropy": _rise([-e for e in history.entropy]) if positive else 0.0,
        "gradient": _rise(history.gradient),
    }
    steps = len(history.time)
    return Certificate(
        mean_kept=growth["mean"] <= steps * tolerance * size,
        extrema_kept=growth["extrema"] <= tolerance * size,
        energy_decreasing=growth["energy"] <= tolerance * size**2,
        entropy_increasing=growth["entropy"] <= tolerance * 100 if positive else None,
        gradient_decreasing=growth["gradient"] <= tolerance * size**2,
        worst=growth if positive else {name: value for name, value in growth.items() if name != "entropy"},
    )


def _rise(values: list[float]) -> float:
    """Return the largest rise from one value to the next, infinite where a value is not finite."""
    if not np.isfinite(values).all():
        return float("inf")
    return float(max(0.0, *np.diff(values))) if len(values) > 1 else 0.0
