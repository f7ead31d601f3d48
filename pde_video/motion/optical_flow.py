"""Optical flow: the motion between two frames."""

import math

import numpy as np

from pde_video.arrays.grid import all_finite
from pde_video.errors import InputError, ParameterError
from pde_video.motion.averaging import EXACT, inconsistent, padded, warped
from pde_video.motion.clean_flow import flow_at
from pde_video.protocols import Array

_MEDIAN = 0.6745  # Of the absolute value of a Gaussian variable, in standard deviations.


def optical_flow(
    first: Array, second: Array, *, at: float = 0.0, noise: float | None = None, smoothness: float = 10.0
) -> Array:
    """Dense optical flow: first(x − s w(x)) ≈ second(x + (1 − s) w(x)), with s = `at`.

    w minimises Σ Ψ(r) + γ Ψ(|∇r|) + smoothness · Ψ(|∇w|), r = second(x + (1 − s) w) − first(x − s w),
    Ψ(q) = c² √(1 + q²/c²), from coarse to fine, with data smoothed over 5 × 5 pixels, by accelerated (fast
    semi-iterative) steps of diffusion. On a coarse level, windows that it does not explain are searched for within a
    quarter of the frame. Noise is estimated from what remains, and makes the flow smoother.

    Parameters
    ----------
    first, second : ndarray, shape (H, W) or (H, W, C)
        Frames of the same shape. The mean over the channels is used.
    at : float
        0 to 1: where between the frames the flow is. 0: at the pixels of `first`, so that second(x + w) ≈ first(x). ½:
        in the middle, where exchanging the frames only changes the sign of w.
    noise : float, optional
        ≥ 0: standard deviation of the noise, in units of the frames. Default: estimated.
    smoothness : float
        > 0: weight of the smoothness of the flow.

    Returns
    -------
    ndarray of float32, shape (2, H, W)
        w, in pixels: along rows, then along columns.

    Raises
    ------
    InputError
        If shapes differ or are not those of frames, or values are not finite.
    ParameterError
        If an option is out of range, or leaves the range of single precision with these frames.

    References
    ----------
    Brox, Bruhn, Papenberg & Weickert (2004), doi:10.1007/978-3-540-24673-2_3, for the equation. Bruhn, Weickert &
    Schnörr (2005), doi:10.1023/B:VISI.0000045324.43199.43, for the windows. Hafner, Ochs, Weickert, Reißel &
    Grewenig (2016), doi:10.1007/978-3-319-45886-1_8, for the steps.

    Examples
    --------
    >>> rows, columns = np.mgrid[:48, :64]
    >>> def waves(shift):
    ...     return np.sin((columns - shift) / 4) * np.cos(rows / 5)
    >>> flow = optical_flow(waves(0), waves(1.5))
    >>> bool(abs(np.median(flow[1]) - 1.5) < 0.02)
    True
    """
    both = [_gray(frame) for frame in (first, second)]
    if both[0].shape != both[1].shape:
        raise InputError(f"the frames have shapes {np.shape(first)} and {np.shape(second)}; they must be equal")
    if not 0 <= at <= 1:
        raise ParameterError(f"at is {at}; it must be from 0, at the first frame, to 1, at the second")
    if not (noise is None or (math.isfinite(noise) and noise >= 0)):
        raise ParameterError(f"noise is {noise}; it must be a finite number of at least 0, or None")
    if not (math.isfinite(smoothness) and smoothness > 0):
        raise ParameterError(f"smoothness is {smoothness}; it must be a positive, finite number")
    old, new, unit = in_units(*both)
    if not (old.any() and new.any()):
        return np.zeros((2, *both[0].shape), np.float32)  # Nothing tells where it went.
    with np.errstate(all="ignore"):
        expected = None if noise is None else _MEDIAN * math.sqrt(2) * noise / unit
        flow = flow_at(old, new, at, smoothness, expected)
    if not all_finite(flow):
        raise ParameterError(
            f"smoothness is {smoothness:g}; with these frames, that leaves the range of single precision; choose a "
            "value nearer to the default (10)"
        )
    return flow


def in_units(first: Array, second: Array) -> tuple[Array, Array, float]:
    """Return two pictures less their mean, in units of a quarter of their standard deviation, and that unit.

    One that is flat is all 0.
    """
    largest = max(float(np.abs(one).max()) for one in (first, second)) or 1.0
    scaled = [one.astype(np.float64) / largest for one in (first, second)]
    middle = (scaled[0].mean() + scaled[1].mean()) / 2
    deviations = [float(one.std()) if one.min() < one.max() else 0.0 for one in scaled]
    unit = 0.25 * math.hypot(*deviations) / math.sqrt(2) or 1.0
    old, new = (
        (((one - middle) / unit) if deviation else np.zeros_like(one)).astype(np.float32)
        for one, deviation in zip(scaled, deviations, strict=True)
    )
    return old, new, unit * largest


def warp(frame: Array, flow: Array) -> Array:
    """Return the frame warped by a flow: out(x) = frame(x + w(x)).

    Between pixels by Keys's cubic convolution, which is exact for polynomials of degree 2; edges are replicated.

    Parameters
    ----------
    frame : ndarray of float, shape (H, W) or (H, W, C)
        The picture to sample.
    flow : ndarray of float, shape (2, H, W)
        w, in pixels: along rows, then along columns.

    Returns
    -------
    ndarray
        Of the shape and dtype of `frame`.

    Raises
    ------
    InputError
        If shapes do not fit, or the flow is not finite.

    References
    ----------
    Keys (1981), doi:10.1109/TASSP.1981.1163711.

    Examples
    --------
    >>> warp(np.arange(12.0).reshape(3, 4), np.stack([np.zeros((3, 4)), np.full((3, 4), 0.5)]))[0].tolist()
    [0.4375, 1.5, 2.5625, 3.0]
    """
    if frame.ndim not in (2, 3) or frame.dtype not in (np.float32, np.float64):
        raise InputError(
            f"frame is {frame.dtype} of shape {frame.shape}; it must be float32 or float64, (H, W) or (H, W, C)"
        )
    _check_flow(flow, frame.shape[:2], "flow")
    planes = np.ascontiguousarray(np.moveaxis(np.atleast_3d(frame), -1, 0))
    moved = warped(padded(planes), np.ascontiguousarray(flow, planes.dtype), EXACT)
    return np.moveaxis(moved, 0, -1).reshape(frame.shape)


def occluded(forward: Array, backward: Array) -> Array:
    """Tell where a frame shows what is occluded in the other: the flow and the flow back are inconsistent.

    |w + w'(x + w)|² > 0.01 (|w|² + |w'(x + w)|²) + 0.5, or x + w lies outside the frame.

    Parameters
    ----------
    forward, backward : ndarray of float, shape (2, H, W)
        The flow w from this frame to the other, and w' from the other to this.

    Returns
    -------
    ndarray of bool, shape (H, W)

    Raises
    ------
    InputError
        If shapes do not fit.

    References
    ----------
    Sundaram, Brox & Keutzer (2010), doi:10.1007/978-3-642-15549-9_32.

    Examples
    --------
    >>> right = np.stack([np.zeros((4, 6)), np.ones((4, 6))])
    >>> occluded(right, -right)[0].tolist()
    [False, False, False, False, False, True]
    """
    shape = forward.shape[1:]
    for flow, name in ((forward, "forward"), (backward, "backward")):
        _check_flow(flow, shape, name)
    forward, backward = (np.ascontiguousarray(flow, np.float32) for flow in (forward, backward))
    rows, columns = np.indices(shape, np.float32) + forward
    inside = (rows >= 0) & (rows <= shape[0] - 1) & (columns >= 0) & (columns <= shape[1] - 1)
    return np.asarray(inconsistent(forward, backward) | ~inside)


def _gray(frame: Array) -> Array:
    frame = np.asarray(frame)
    if frame.ndim not in (2, 3) or frame.size == 0:
        raise InputError(f"a frame has shape {frame.shape}; it must be (H, W) or (H, W, C), none of them 0")
    if frame.dtype.kind not in "biuf":
        raise InputError(f"a frame is {frame.dtype}; it must hold real numbers")
    gray = frame if frame.ndim == 2 else frame.mean(axis=2)
    if not all_finite(gray):
        raise InputError("a frame holds NaN or infinite values; replace them first")
    return np.asarray(gray)


def _check_flow(flow: Array, shape: tuple[int, ...], name: str) -> None:
    if flow.shape != (2, *shape):
        raise InputError(f"{name} has shape {flow.shape}; it must be {(2, *shape)}: two displacements for every pixel")
    if not all_finite(flow):
        raise InputError(f"{name} holds NaN or infinite values")
