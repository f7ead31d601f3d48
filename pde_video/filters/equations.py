"""Equations as filters with plain options, numbers in units of the input: each is a function that makes its term."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pde_video.filters.declarations import Option
from pde_video.filters.evolving import STEPS, equation, estimated_contrast, evolving, tell_unchanged, unknown
from pde_video.filters.extent import Extent
from pde_video.filters.filter import video_filter
from pde_video.filters.frames import Frames
from pde_video.protocols import Array
from pde_video.terms.heat import Heat
from pde_video.terms.perona_malik import CONDUCTANCES, PeronaMalik
from pde_video.terms.tensor import CoherenceEnhancing, EdgeEnhancing
from pde_video.terms.total_variation import TotalVariation

Kappa = Annotated[float | None, Option(unit="input", above=0)]
Conductance = Annotated[str, Option(choices=CONDUCTANCES)]
Width = Annotated[float, Option(unit="pixels", least=0)]
Share = Annotated[float, Option(above=0, most=1)]
_TENSOR_STEPS = tuple(name for name in STEPS if name != "aos")  # AOS needs an operator that splits along the axes.


@equation(time=1.0, examples=("in.mp4 out.mp4 --time 2", "in.mp4 out.mp4 --time 50 --step implicit-euler"))
def heat() -> Heat:
    """Blur by the heat equation, ∂I/∂t = ∇²I.

    Equivalent to a Gaussian blur of variance 2t pixels².

    See Also
    --------
    Heat : The equation as a term.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> impulse = np.zeros((1, 3, 3))
    >>> impulse[0, 1, 1] = 1
    >>> pv.heat(impulse, time=0.25)[0].round(2).tolist()
    [[0.0, 0.25, 0.0], [0.25, 0.0, 0.25], [0.0, 0.25, 0.0]]
    """
    return Heat()


@equation(time=2.0, examples=("in.mp4 out.mp4", "in.mp4 out.mp4 --kappa 12 --time 5 --conductance tukey"))
def perona_malik(
    *, kappa: Kappa = None, conductance: Conductance = "exponential", smoothing: Width = 0.7
) -> PeronaMalik:
    """Smooth everything but edges by Perona–Malik diffusion, ∂I/∂t = div(g(|∇I|²) ∇I).

    Parameters
    ----------
    kappa : float, optional
        Edge contrast in units of the input (of 255 for uint8), > 0. Default: estimated.
    conductance : str
        Formula of the conductance g.
    smoothing : float
        Standard deviation in pixels of the Gaussian that smooths gradients, ≥ 0.

    See Also
    --------
    PeronaMalik : The equation as a term, with the formulas of the conductances.

    References
    ----------
    Perona & Malik (1990), doi:10.1109/34.56205. Catté et al. (1992), doi:10.1137/0729012.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> report = {}
    >>> smooth = pv.perona_malik(np.eye(8)[None] * 200, kappa=10, report=report)
    >>> report
    {'kappa': 10.0}
    """
    return PeronaMalik(kappa, conductance, smoothing=smoothing)  # type: ignore[arg-type]


@equation(
    time=5.0,
    steps=_TENSOR_STEPS,
    spacetime=False,
    examples=("in.mp4 out.mp4", "in.mp4 out.mp4 --kappa 8 --time 10 --dt 1 --step fed"),
)
def eed(
    *,
    kappa: Kappa = None,
    smoothing: Width = 1.0,
    integration: Width = 0.0,
    conductance: Conductance = "rational",
    least: Share = 0.01,
) -> EdgeEnhancing:
    """Smooth along edges by edge-enhancing diffusion, ∂I/∂t = div(D ∇I).

    Parameters
    ----------
    kappa : float, optional
        Edge contrast in units of the input (of 255 for uint8), > 0. Default: estimated.
    smoothing : float
        Standard deviation in pixels of the Gaussian that smooths gradients, ≥ 0.
    integration : float
        Standard deviation in pixels of the Gaussian that averages directions, ≥ 0.
    conductance : str
        Formula of the conductance across edges.
    least : float
        Smallest conductance across edges, > 0 and ≤ 1.

    See Also
    --------
    EdgeEnhancing : The equation as a term.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> pv.eed(np.eye(8)[None] * 200, kappa=10, time=1.0).shape
    (1, 8, 8)
    """
    options: dict[str, Any] = {"smoothing": smoothing, "integration": integration, "least": least}
    return EdgeEnhancing(kappa, conductance=conductance, **options)  # type: ignore[arg-type]


@equation(
    time=5.0,
    steps=_TENSOR_STEPS,
    spacetime=False,
    examples=("in.tiff out.tiff", "in.tiff out.tiff --time 20 --integration 6"),
)
def ced(
    *, kappa: Kappa = None, smoothing: Width = 0.5, integration: Width = 4.0, alpha: Share = 0.001
) -> CoherenceEnhancing:
    """Smooth along lines and close their gaps by coherence-enhancing diffusion, ∂I/∂t = div(D ∇I).

    Parameters
    ----------
    kappa : float, optional
        Contrast of lines in units of the input per pixel, > 0. Default: estimated.
    smoothing : float
        Standard deviation in pixels of the Gaussian that smooths gradients, ≥ 0.
    integration : float
        Standard deviation in pixels of the Gaussian that averages directions, ≥ 0.
    alpha : float
        Diffusivity across lines, > 0 and ≤ 1.

    See Also
    --------
    CoherenceEnhancing : The equation as a term.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> pv.ced(np.eye(8)[None] * 200, kappa=10, time=1.0).shape
    (1, 8, 8)
    """
    assert kappa is not None
    return CoherenceEnhancing(kappa**4, smoothing=smoothing, integration=integration, alpha=alpha)


def _tv_extent(time: float | None, epsilon: float | None, **options: Any) -> Extent:
    if time is None or epsilon is None:
        return unknown(options["spacetime"])
    return evolving(TotalVariation(epsilon), time, **options).extent


@video_filter(extent=_tv_extent, examples=("in.mp4 out.mp4", "in.mp4 out.mp4 --time 20 --epsilon 1"))
def tv(
    frames: Frames,
    *,
    time: Annotated[float | None, Option(unit="input · pixels", above=0)] = None,
    epsilon: Annotated[float | None, Option(unit="input", above=0)] = None,
    dt: Annotated[float | None, Option(unit="input · pixels", above=0)] = None,
    step: Annotated[str, Option(choices=tuple(STEPS))] = "explicit-euler",
    spacetime: bool = False,
) -> Iterable[Array]:
    """Flatten by total variation flow, ∂I/∂t = div(∇I / |∇I|).

    A bump of contrast c and radius r vanishes at the time c·r/2: noise early, objects late.

    Parameters
    ----------
    time : float, optional
        Diffusion time in units of the input times pixels, > 0. Default: the contrast that `estimate_kappa` finds.
    epsilon : float, optional
        Gradient that counts as flat, in units of the input per pixel, > 0. Default: a tenth of that contrast.
    dt : float, optional
        Longest step in the units of time, > 0. Default: the largest stable one, or a fifth of the time if any is.
    step : str
        Integrator.
    spacetime : bool
        Diffuse in time as well, but not across cuts.
    report : dict, optional
        Receives ``time`` and ``epsilon``.

    Raises
    ------
    ParameterError
        If an option is out of range, or a step is not stable.

    See Also
    --------
    TotalVariation : The equation as a term.

    References
    ----------
    Rudin, Osher & Fatemi (1992), doi:10.1016/0167-2789(92)90242-F.

    Examples
    --------
    >>> import numpy as np, pde_video as pv
    >>> edge = np.tile([0.0, 0, 0, 100, 100], (1, 6, 1))
    >>> pv.tv(edge, time=30, epsilon=0.1)[0, 0].round().tolist()
    [10.0, 10.0, 10.0, 85.0, 85.0]
    """
    scale = frames.scale
    contrast = estimated_contrast(frames) if time is None or epsilon is None else 0.0
    time = contrast if time is None else time / scale
    epsilon = 0.1 * contrast if epsilon is None else epsilon / scale
    frames.report.update(time=time * scale, epsilon=epsilon * scale)
    if time == 0 or epsilon == 0:
        tell_unchanged(frames, "time and epsilon (--time, --epsilon) tell how far to go")
        return frames
    return evolving(TotalVariation(epsilon), time, None if dt is None else dt / scale, step, spacetime, scale)(frames)
