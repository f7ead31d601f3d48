"""Optical flow: the motion between two frames."""

import math

import numpy as np

from pde_video.arrays.grid import all_finite
from pde_video.errors import InputError, ParameterError
from pde_video.kernels import flow as kernels
from pde_video.motion.averaging import EXACT, doubled, halved, inconsistent, padded, warped
from pde_video.protocols import Array

_COARSEST = 8  # The shortest side of the coarsest level, at least, in pixels.
_WARPS, _SWEEPS = 2, 10  # On every level: linearisations, and steps of diffusion after each.
_RELAXED = 0.7  # Factor of the smoothness per level: the motion of large structures is far above the noise.
_LAMBDA = 0.02  # Difference of the flow across two pixels, in pixels, above which it counts as a discontinuity.
_C = 0.4  # Residual, in units of `noise`, above which it is penalised linearly.
_FLOOR = 0.1  # Squared gradient, in the same units, below which there is no structure.
_WINDOW = np.array([1, 4, 6, 4, 1]) / 16  # Weights, along rows and columns, that smooth the data terms.


def optical_flow(first: Array, second: Array, *, noise: float | None = None, smoothness: float = 5.0) -> Array:
    """Dense optical flow: second(x + w(x)) ≈ first(x).

    w minimises Σ Ψ(second(x + w) − first(x)) + smoothness · Ψ(|∇w|), Ψ(s) = c² √(1 + s²/c²), from coarse to fine, with
    data smoothed over 5 × 5 pixels, by accelerated (fast semi-iterative) steps of diffusion.

    Parameters
    ----------
    first, second : ndarray, shape (H, W) or (H, W, C)
        Frames of the same shape, best with little noise. The mean over the channels is used.
    noise : float, optional
        > 0, in units of the frames: differences due to noise or light. Default: ¼ of the standard deviation of `first`.
    smoothness : float
        > 0: weight of the smoothness of the flow; about 20 for noisy frames.

    Returns
    -------
    ndarray of float32, shape (2, H, W)
        w, in pixels: along rows, then along columns.

    Raises
    ------
    InputError
        If shapes differ or are not those of frames, or values are not finite.
    ParameterError
        If `noise` or `smoothness` is out of range, or leaves the range of single precision with these frames.

    References
    ----------
    Bruhn, Weickert & Schnörr (2005), doi:10.1023/B:VISI.0000045324.43199.43. Brox, Bruhn, Papenberg & Weickert (2004),
    doi:10.1007/978-3-540-24673-2_3. Hafner, Ochs, Weickert, Reißel & Grewenig (2016),
    doi:10.1007/978-3-319-45886-1_8 for the steps.

    Examples
    --------
    >>> rows, columns = np.mgrid[:48, :64]
    >>> def waves(shift):
    ...     return np.sin((columns - shift) / 4) * np.cos(rows / 5)
    >>> flow = optical_flow(waves(0), waves(1.5))
    >>> bool(abs(np.median(flow[1]) - 1.5) < 0.1)
    True
    """
    a, b = (_gray(frame) for frame in (first, second))
    if a.shape != b.shape:
        raise InputError(f"the frames have shapes {first.shape} and {second.shape}; they must be equal")
    unit = 0.25 * float(a.std(dtype=np.float64)) if noise is None else noise
    if not (math.isfinite(unit) and (unit > 0 or noise is None)):
        raise ParameterError(f"noise is {noise}; it must be a positive, finite number, or None")
    if not (math.isfinite(smoothness) and smoothness > 0):
        raise ParameterError(f"smoothness is {smoothness}; it must be a positive, finite number")
    if unit == 0:
        return np.zeros((2, *a.shape), np.float32)
    with np.errstate(all="ignore"):
        flow = flow_between(pyramid(a / np.float32(unit)), pyramid(b / np.float32(unit)), smoothness)
    if not all_finite(flow):
        raise ParameterError(
            f"noise is {unit:g} and smoothness {smoothness:g}; with these frames, that leaves the range of single "
            "precision; choose values nearer to the defaults (noise None, smoothness 5)"
        )
    return flow


def flow_between(
    first: list[Array], second: list[Array], smoothness: float, shares: list[Array] | None = None
) -> Array:
    """Return the flow between two pyramids, finest level first, of pictures (H, W) in units of the noise.

    If of their pixels only `shares` (2, H, W) on each level are known, it is smooth where the others are.
    """
    flow = np.zeros((2, *first[-1].shape), np.float32)
    for level in reversed(range(len(first))):
        shape = first[level].shape
        if flow.shape[1:] != shape:
            flow = np.stack([doubled(plane, *shape) for plane in flow]) * np.float32(2)
        numbers = np.array([smoothness * _RELAXED**level, _C, _FLOOR, _LAMBDA], np.float32)
        known = None if shares is None else shares[level]
        kernels.refine(first[level], second[level], known, flow, _WARPS, _SWEEPS, *numbers, _WINDOW.astype(np.float32))
    return flow


def pyramid(picture: Array) -> list[Array]:
    """Return a picture (H, W) and versions of it, each of half the size of the one before."""
    levels = [np.ascontiguousarray(picture, np.float32)]
    while min(levels[-1].shape) >= 2 * _COARSEST:
        levels.append(halved(levels[-1][np.newaxis])[0])
    return levels


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
    if frame.ndim not in (2, 3) or frame.size == 0:
        raise InputError(f"a frame has shape {frame.shape}; it must be (H, W) or (H, W, C), none of them 0")
    with np.errstate(all="ignore"):
        gray = (frame if frame.ndim == 2 else frame.mean(axis=2)).astype(np.float32)
    if not all_finite(gray):
        raise InputError("a frame holds NaN or values infinite in single precision; replace them first")
    return gray


def _check_flow(flow: Array, shape: tuple[int, ...], name: str) -> None:
    if flow.shape != (2, *shape):
        raise InputError(f"{name} has shape {flow.shape}; it must be {(2, *shape)}: two displacements for every pixel")
    if not all_finite(flow):
        raise InputError(f"{name} holds NaN or infinite values")
