"""Warps and occlusions, held to closed forms and to SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

import pde_video as pv


def constant(shape, rows, columns, dtype=np.float64):
    return np.stack([np.full(shape, rows, dtype), np.full(shape, columns, dtype)])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_quadratic_pictures_are_reproduced(dtype, rng):
    y, x = np.mgrid[:20, :24].astype(float)
    quadratic = lambda y, x: 1 + 2 * y - x + 0.5 * y * y - 0.25 * x * y + 0.1 * x * x + 0.01 * x * x * y * y  # noqa: E731
    flow = rng.uniform(-2, 2, (2, 20, 24)).astype(dtype)
    wanted = quadratic(y + flow[0], x + flow[1])[4:-4, 4:-4]
    out = pv.warp(quadratic(y, x).astype(dtype), flow)
    assert out.dtype == dtype
    np.testing.assert_allclose(out[4:-4, 4:-4], wanted, rtol=1e-12 if dtype == np.float64 else 3e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_whole_shifts_are_exact(dtype, channels, rng):
    frame = rng.random((15, 17, *channels)).astype(dtype)
    for rows, columns in ((0, 0), (2, -3), (-4, 1), (100, 0), (-1e9, 3e9)):
        out = pv.warp(frame, constant((15, 17), rows, columns))
        shift = (-max(-50, min(50, rows)), -max(-50, min(50, columns))) + (0,) * len(channels)
        np.testing.assert_array_equal(out, ndimage.shift(frame, shift, order=0, mode="nearest"))
        assert out.dtype == dtype


def test_constant_pictures_stay(rng):
    out = pv.warp(np.full((9, 11, 3), 0.7), rng.normal(0, 5, (2, 9, 11)))
    np.testing.assert_allclose(out, 0.7, rtol=1e-15 * 8)


def test_a_square_hides_what_it_moves_over():
    """A square moves 6 to the right over a still ground: what it is going to cover is lost, and no more."""
    forward, backward = np.zeros((2, 2, 40, 60), np.float32)
    forward[1, 10:30, 10:30] = 6
    backward[1, 10:30, 16:36] = -6
    wanted = np.zeros((40, 60), bool)
    wanted[10:30, 30:36] = True
    np.testing.assert_array_equal(pv.occluded(forward, backward), wanted)


def test_the_tolerance_is_in_squared_pixels_and_grows_with_them():
    still = constant((9, 9), 0, 0)
    assert not pv.occluded(constant((9, 9), 0.5, 0.5), still)[:-1, :-1].any()  # 0.5 ≤ 0.005 + 0.5.
    assert pv.occluded(constant((9, 9), 0.5, 0.52), still).all()  # 0.5204 > 0.005204 + 0.5.
    fast = constant((99, 99), 0, 40)  # Of 1600 a hundredth is forgiven.
    assert not pv.occluded(fast, -0.87 * fast)[:, :50].any()  # 27.04 ≤ 28.11 + 0.5.
    assert pv.occluded(fast, -0.86 * fast)[:, :50].all()  # 31.36 > 27.83 + 0.5.


def test_what_leaves_the_frame_is_lost():
    for rows, columns in ((-2, 0), (2, 0), (0, -2), (0, 2)):
        forward = constant((8, 9), rows, columns)
        y, x = np.indices((8, 9))
        wanted = (y + rows < 0) | (y + rows > 7) | (x + columns < 0) | (x + columns > 8)
        np.testing.assert_array_equal(pv.occluded(forward, -forward), wanted)


def test_bad_inputs_are_refused():
    frame, flow = np.ones((4, 5)), np.zeros((2, 4, 5))
    with pytest.raises(pv.InputError, match="int64"):
        pv.warp(frame.astype(np.int64), flow)
    with pytest.raises(pv.InputError, match=r"\(2, 4, 4\); it must be \(2, 4, 5\)"):
        pv.warp(frame, flow[..., 1:])
    with pytest.raises(pv.InputError, match=r"it must be float32 or float64, \(H, W\)"):
        pv.warp(frame[0], flow)
    with pytest.raises(pv.InputError, match=r"backward has shape \(2, 4, 4\)"):
        pv.occluded(flow, flow[..., 1:])
    with pytest.raises(pv.InputError, match="forward has shape"):
        pv.occluded(flow[0], flow[0])
    for call in (lambda w: pv.warp(frame, w), lambda w: pv.occluded(flow, w), lambda w: pv.occluded(w, flow)):
        with pytest.raises(pv.InputError, match="NaN"):
            call(np.full((2, 4, 5), np.nan))
