"""Equations as filters with plain options in units of the input: each is a function that returns its term."""

from typing import Annotated, Any

from pde_video.filters import Option
from pde_video.filters.evolving import equation
from pde_video.terms.heat import Heat
from pde_video.terms.perona_malik import CONDUCTANCES, PeronaMalik
from pde_video.terms.tensor import CoherenceEnhancing, EdgeEnhancing
from pde_video.terms.total_variation import TotalVariation

Kappa = Annotated[
    float | None,
    Option(
        unit="input", above=0, text="Edge contrast in units of the input (of 255 for uint8), > 0. Default: estimated."
    ),
]
Conductance = Annotated[str, Option(choices=CONDUCTANCES, text="Formula of the conductance g, as in `PeronaMalik`.")]
Smoothing = Annotated[
    float,
    Option(unit="pixels", least=0, text="Standard deviation in pixels of the Gaussian that smooths gradients, ≥ 0."),
]
Integration = Annotated[
    float,
    Option(unit="pixels", least=0, text="Standard deviation in pixels of the Gaussian that averages directions, ≥ 0."),
]
Share = Annotated[float, Option(above=0, most=1)]


@equation(time=1.0, examples=("in.mp4 out.mp4 --time 2", "in.mp4 out.mp4 --time 50 --step implicit-euler"))
def heat() -> Heat:
    """Blur by the heat equation, ∂I/∂t = ∇²I.

    Equivalent to a Gaussian blur of variance 2t pixels².

    Examples
    --------
    >>> impulse = np.zeros((1, 3, 3))
    >>> impulse[0, 1, 1] = 1
    >>> pv.heat(impulse, time=0.25, dt=0.25)[0].round(2).tolist()
    [[0.0, 0.25, 0.0], [0.25, 0.0, 0.25], [0.0, 0.25, 0.0]]
    """
    return Heat()


@equation(time=2.0, examples=("in.mp4 out.mp4", "in.mp4 out.mp4 --kappa 12 --time 5 --conductance tukey"))
def perona_malik(
    *, kappa: Kappa = None, conductance: Conductance = "exponential", smoothing: Smoothing = 0.7
) -> PeronaMalik:
    """Smooth, but preserve edges, by Perona–Malik diffusion, ∂I/∂t = div(g(|∇I|²) ∇I).

    References
    ----------
    Perona & Malik (1990), doi:10.1109/34.56205. Catté et al. (1992), doi:10.1137/0729012.

    Examples
    --------
    >>> report = {}
    >>> smooth = pv.perona_malik(np.eye(8)[None] * 200, kappa=10, report=report)
    >>> report
    {'kappa': 10.0}
    """
    return PeronaMalik(kappa, conductance, smoothing=smoothing)  # type: ignore[arg-type]


@equation(time=5.0, tensor=True, examples=("in.mp4 out.mp4", "in.mp4 out.mp4 --kappa 8 --time 10 --dt 1 --step fed"))
def eed(
    *,
    kappa: Kappa = None,
    smoothing: Smoothing = 1.0,
    integration: Integration = 0.0,
    conductance: Conductance = "rational",
    least: Share = 0.01,
) -> EdgeEnhancing:
    """Smooth along edges by edge-enhancing diffusion, ∂I/∂t = div(D ∇I).

    Parameters
    ----------
    conductance : str
        Formula of the conductance across edges.
    least : float
        Smallest conductance across edges, > 0 and ≤ 1.

    Examples
    --------
    >>> pv.eed(np.eye(8, dtype=np.float32)[None] * 200, kappa=10, time=1.0).shape
    (1, 8, 8)
    """
    options: dict[str, Any] = {"smoothing": smoothing, "integration": integration, "least": least}
    return EdgeEnhancing(kappa, conductance=conductance, **options)  # type: ignore[arg-type]


@equation(time=5.0, tensor=True, examples=("in.tiff out.tiff", "in.tiff out.tiff --time 20 --integration 6"))
def ced(
    *, kappa: Kappa = None, smoothing: Smoothing = 0.5, integration: Integration = 4.0, alpha: Share = 0.001
) -> CoherenceEnhancing:
    """Smooth along lines and close their gaps by coherence-enhancing diffusion, ∂I/∂t = div(D ∇I).

    Parameters
    ----------
    kappa : float, optional
        Contrast of lines in units of the input per pixel, > 0. Default: estimated.
    alpha : float
        Diffusivity across lines, > 0 and ≤ 1.

    Examples
    --------
    >>> pv.ced(np.eye(8, dtype=np.float32)[None] * 200, kappa=10, time=1.0).shape
    (1, 8, 8)
    """
    assert kappa is not None
    return CoherenceEnhancing(kappa**4, smoothing=smoothing, integration=integration, alpha=alpha)


@equation(
    time=None,
    unit="input · pixels",
    estimated={"time": 1.0, "epsilon": 0.1},
    remedy="set time and epsilon (--time, --epsilon)",
    examples=("in.mp4 out.mp4", "in.mp4 out.mp4 --time 20 --epsilon 1"),
)
def tv(*, epsilon: Annotated[float | None, Option(unit="input", above=0)] = None) -> TotalVariation:
    """Flatten by total variation flow, ∂I/∂t = div(∇I / |∇I|).

    A bump of contrast c and radius r vanishes at the time c·r/2: noise early, objects late.

    Parameters
    ----------
    epsilon : float, optional
        Gradient that counts as flat, in units of the input per pixel, > 0. Default: a tenth of the contrast.
    time : float, optional
        Diffusion time in units of the input times pixels, > 0. Default: the contrast that `estimate_kappa` finds.
    dt : float, optional
        Longest step in the units of time, > 0; an unstable one is refused. Default: 0.8 of the largest stable step, or
        a fifth of the time for unconditionally stable steps.
    report : dict, optional
        Receives ``time`` and ``epsilon``.

    References
    ----------
    Rudin, Osher & Fatemi (1992), doi:10.1016/0167-2789(92)90242-F.

    Examples
    --------
    >>> edge = np.tile([0.0, 0, 0, 100, 100], (1, 6, 1))
    >>> pv.tv(edge, time=30, epsilon=0.1)[0, 0].round().tolist()
    [10.0, 10.0, 10.0, 85.0, 85.0]
    """
    assert epsilon is not None
    return TotalVariation(epsilon)
