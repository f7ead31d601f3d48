"""Averages along motion, held to SciPy and to plain NumPy, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pde_video.kernels import motion_averages as kernels
from pde_video.motion import averaging
from pde_video.motion.averaging import (
    EXACT,
    GuidedFrame,
    averaged,
    blended,
    doubled,
    halved,
    inconsistent,
    padded,
    warped,
    warped_at,
    zero_where_static,
)

SHARP = -0.75
SHAPES = [(1, 1), (1, 8), (8, 1), (2, 2), (3, 5), (14, 19), (20, 26)]
BINOMIAL = {2: np.array([1, 4, 6, 4, 1]) / 16, 4: np.array([1, 8, 28, 56, 70, 56, 28, 8, 1]) / 256}


def keys(frame, flow, a):
    """Keys's interpolation from its kernel as he writes it, pixel by pixel, the border replicated."""

    def kernel(s):
        s = abs(s)
        return ((a + 2) * s - (a + 3)) * s * s + 1 if s < 1 else ((a * s - 5 * a) * s + 8 * a) * s - 4 * a

    out = np.zeros(frame.shape)
    height, width = frame.shape
    for i, j in np.ndindex(frame.shape):
        y = min(max(i + float(flow[0, i, j]), 0), height - 1)
        x = min(max(j + float(flow[1, i, j]), 0), width - 1)
        for m in range(int(y) - 1, int(y) + 3):
            for n in range(int(x) - 1, int(x) + 3):
                value = float(frame[min(max(m, 0), height - 1), min(max(n, 0), width - 1)])
                out[i, j] += kernel(y - m) * kernel(x - n) * value
    return out


def twice(plane, height, width):
    """Linear interpolation between centres of pixels that are twice as large."""
    rows, columns = np.meshgrid((np.arange(height) - 0.5) / 2, (np.arange(width) - 0.5) / 2, indexing="ij")
    return ndimage.map_coordinates(plane.astype(float), [rows, columns], order=1, mode="nearest")


def half(shape):
    return tuple((n + 1) // 2 for n in shape)


def some_flow(shape, rng, dtype=np.float64):
    """A flow with jumps, whole numbers and runs of equal values, some of it leading out of the frame."""
    flow = rng.normal(0, 3, (2, *shape))
    flow[:, : shape[0] // 2] = np.round(flow[:, : shape[0] // 2])
    flow[:, shape[0] // 2 :, shape[1] // 2 :] = [[[0.25]], [[-1.5]]]
    flow[:, -1:] *= 1000
    return flow.astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_warps_are_those_of_keys(shape, dtype, rng):
    planes, flow = rng.random((2, *shape)).astype(dtype), some_flow(shape, rng, dtype)
    for a in (EXACT, SHARP):
        out = warped(padded(planes), flow, a)
        wanted = [keys(plane, flow, a) for plane in planes]
        np.testing.assert_allclose(out, wanted, atol=1e-12 if dtype == np.float64 else 5e-5)
    assert out.dtype == dtype


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_warps_by_a_flow_of_half_the_size(shape, rng):
    planes, flow = rng.random((2, *shape)), some_flow(half(shape), rng)
    wide = np.stack([2 * twice(plane, *shape) for plane in flow])
    np.testing.assert_allclose(warped(padded(planes), flow), [keys(plane, wide, SHARP) for plane in planes], atol=1e-10)


def test_a_sharp_warp_keeps_more_of_the_finest_detail():
    stripes = np.cos(np.pi * np.arange(32) / 2) * np.ones((8, 1))
    flow = np.stack([np.zeros((8, 32)), np.full((8, 32), 0.5)])
    soft, sharp = (np.ptp(warped(padded(stripes[np.newaxis]), flow, a)[0, :, 8:-8]) for a in (EXACT, SHARP))
    assert soft < sharp < np.ptp(stripes)


@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_of_a_mask_are_warped_as_all_are(shape, rng):
    planes, flow = rng.random((2, *shape)), some_flow(half(shape), rng)
    for mask in (rng.random(shape) < 0.4, np.ones(shape, bool), np.zeros(shape, bool)):
        np.testing.assert_array_equal(
            warped_at(mask, padded(planes), flow, EXACT), warped(padded(planes), flow, EXACT)[:, mask]
        )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [*SHAPES, (66, 131)], ids=str)
def test_halves_are_means_over_blocks(shape, dtype, rng):
    planes = rng.random((3, *shape)).astype(dtype)
    padded = np.pad(planes, ((0, 0), (0, shape[0] % 2), (0, shape[1] % 2)), mode="edge").astype(float)
    wanted = padded.reshape(3, half(shape)[0], 2, half(shape)[1], 2).mean(axis=(2, 4))
    out = halved(planes)
    assert out.dtype == dtype
    np.testing.assert_allclose(out, wanted, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [*SHAPES, (66, 131)], ids=str)
def test_doubles_are_linear_interpolation(shape, dtype, rng):
    plane = rng.random(half(shape)).astype(dtype)
    out = doubled(plane, *shape)
    assert out.dtype == dtype
    np.testing.assert_allclose(out, twice(plane, *shape), atol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("shape", [*SHAPES, (40, 70)], ids=str)
@pytest.mark.parametrize("reach", [2, 4])
def test_smoothing_is_correlation_along_both_axes(shape, reach, rng):
    plane, out = rng.random(shape), np.empty(shape)
    weights = rng.random(2 * reach + 1)  # Not symmetric: a kernel turned round would show.
    wanted = plane
    for axis in (0, 1):
        wanted = ndimage.correlate1d(wanted, weights, axis, mode="nearest")
    kernels.smoothed(plane, weights, 0.3, 0, shape[0], out)
    np.testing.assert_allclose(out, 0.3 * wanted, rtol=1e-12)
    out[:] = -1
    kernels.smoothed(plane, weights, 0.3, shape[0] // 2, shape[0], out)
    np.testing.assert_allclose(out[shape[0] // 2 :], 0.3 * wanted[shape[0] // 2 :], rtol=1e-12)
    assert (out[: shape[0] // 2] == -1).all()


def pair(shape, rng, channels=3, dtype=np.float64, coarse=False):
    """Two frames with their guides, of the same or half the size, and a flow between them on the grid of the guides."""
    frames = []
    for _ in range(2):
        planes = rng.normal(size=(channels, *shape)).astype(dtype)
        size = half(shape) if coarse else shape
        guide, noise = 0.3 * rng.normal(size=(channels, *size)), rng.random((channels, *size))
        frames.append(GuidedFrame(planes, guide.astype(dtype), noise.astype(dtype)))
    return (*frames, some_flow(frames[0].guide.shape[1:], rng, dtype))


@pytest.mark.parametrize("coarse", [False, True], ids=["same", "half"])
def test_what_is_kept_of_a_frame(coarse, rng):
    here, _, _ = pair((21, 30), rng, coarse=coarse)
    pad = ((0, 0), (2, 2), (2, 2))
    np.testing.assert_array_equal(here.padded, np.pad(here.planes, pad, mode="edge"))
    np.testing.assert_array_equal(here.padded_guide, np.pad(here.guide, pad, mode="edge"))
    np.testing.assert_array_equal(here.luma, here.guide[0] if coarse else halved(here.guide)[0])


def test_a_guide_has_the_mean_noise_of_its_channels_or_none(rng):
    planes, noise = rng.normal(size=(3, 20, 30)), rng.random((3, 20, 30))
    np.testing.assert_allclose(GuidedFrame(planes, planes, noise).noise, noise.mean(axis=0))
    assert not GuidedFrame(planes, planes).noise.any()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_luma_of_channels_has_the_noise_of_one(channels, rng):
    noise = rng.normal(size=(channels, 60, 70))
    assert GuidedFrame(rng.random((channels, 120, 140)), noise).luma.std() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("coarse", [False, True], ids=["same", "half"])
@pytest.mark.parametrize("kappa", [0.3, 2.0])
def test_conductance_is_an_exponential_of_smoothed_squares(coarse, kappa, dtype, rng):
    here, there, flow = pair((22, 31), rng, dtype=dtype, coarse=coarse)
    moved = np.stack([keys(plane, flow, SHARP) for plane in there.guide])
    squares = ((moved - here.guide) ** 2).mean(axis=0)
    for axis in (0, 1):
        squares = ndimage.correlate1d(squares, BINOMIAL[2 if coarse else 4], axis, mode="nearest")
    wanted = np.exp(-squares / (kappa**2 + 2 * here.noise))
    out = averaging.conductance(here, there, flow, None, kappa)
    assert out.dtype == dtype
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-12 if dtype == np.float64 else 1e-5)
    lost = rng.random(wanted.shape) < 0.3
    np.testing.assert_array_equal(averaging.conductance(here, there, flow, lost, kappa), np.where(lost, 0, out))


def test_conductance_on_the_fine_grid_with_a_coarse_flow(rng):
    """In a second pass the guides are as large as the frames, the flow is half as large."""
    here, there, _ = pair((22, 31), rng)
    flow = some_flow((11, 16), rng)
    wide = np.stack([2 * twice(plane, 22, 31) for plane in flow])
    lost = rng.random((11, 16)) < 0.3
    wanted = averaging.conductance(here, there, wide, None, 0.5)
    wanted[lost.repeat(2, axis=0).repeat(2, axis=1)[:22, :31]] = 0
    np.testing.assert_allclose(averaging.conductance(here, there, flow, lost, 0.5), wanted, atol=1e-10)


@pytest.mark.parametrize("coarse", [False, True], ids=["same", "half"])
@pytest.mark.parametrize("channels", [1, 3])
def test_averages_and_what_is_left_of_the_noise(coarse, channels, rng):
    here, there, flow = pair((16, 23), rng, channels, coarse=coarse)
    third = pair((16, 23), rng, channels, coarse=coarse)[1]
    others, weighted, weights, squares = [], here.planes.copy(), np.ones((16, 23)), np.ones((16, 23))
    for k, other in enumerate((there, third)):
        g, w = rng.random(flow.shape[1:]), flow + k
        others.append((other, w, g))
        if coarse:
            g, w = twice(g, 16, 23), np.stack([2 * twice(plane, 16, 23) for plane in w])
        weighted += g * np.stack([keys(plane, w, SHARP) for plane in other.planes])
        weights += g
        squares += g**2
    mean, left, changed = averaged(here, others)
    np.testing.assert_allclose(mean, weighted / weights, atol=1e-12)
    np.testing.assert_allclose(left, squares / weights**2, rtol=1e-12)
    # Of u − ū: (1 − 1/Σ)² of the noise of u, and the shares of the others.
    np.testing.assert_allclose(changed, (1 - 1 / weights) ** 2 + (squares - 1) / weights**2, rtol=1e-12)


def test_averages_with_a_coarse_flow_and_a_fine_conductance(rng):
    here, there, _ = pair((16, 23), rng, 2)
    flow, g = some_flow((8, 12), rng), rng.random((16, 23))
    wide = np.stack([2 * twice(plane, 16, 23) for plane in flow])
    moved = np.stack([keys(plane, wide, SHARP) for plane in there.planes])
    mean, left, changed = averaged(here, [(there, flow, g)])
    np.testing.assert_allclose(mean, (here.planes + g * moved) / (1 + g), atol=1e-12)
    np.testing.assert_allclose(left, (1 + g**2) / (1 + g) ** 2, rtol=1e-12)
    np.testing.assert_allclose(changed, 2 * g**2 / (1 + g) ** 2, rtol=1e-9, atol=1e-15)


def test_averages_of_none_and_of_many(rng):
    here = pair((40, 30), rng, dtype=np.float32)[0]
    mean, left, changed = averaged(here, [])
    np.testing.assert_array_equal(mean, here.planes)
    np.testing.assert_array_equal(left, np.ones((40, 30), np.float32))
    np.testing.assert_array_equal(changed, np.zeros((40, 30), np.float32))
    still, full = np.zeros((2, 40, 30), np.float32), np.ones((40, 30), np.float32)
    frames = [pair((40, 30), rng, dtype=np.float32)[0] for _ in range(4)]
    mean, left, changed = averaged(here, ((frame, still, full) for frame in frames))
    np.testing.assert_allclose(mean, np.mean([f.planes for f in (here, *frames)], axis=0), atol=1e-6)
    np.testing.assert_allclose(left, 1 / 5, rtol=1e-6)
    np.testing.assert_allclose(changed, 4 / 5, rtol=1e-6)
    mean, left, changed = averaged(here, [(frames[0], still, 0 * full)])
    np.testing.assert_array_equal(mean, here.planes)
    np.testing.assert_array_equal(left, full)
    np.testing.assert_array_equal(changed, 0 * full)


def test_a_step_toward_another_frame(rng):
    here, there, flow = pair((14, 19), rng, 2)
    share = rng.random((14, 19))
    before = here.planes.copy()
    moved = np.stack([keys(plane, flow, SHARP) for plane in there.planes])
    out = blended(here.planes, there.padded, flow, share)
    np.testing.assert_allclose(out, before + share * (moved - before), atol=1e-12)
    np.testing.assert_array_equal(here.planes, before)


def test_flows_that_do_not_lead_back(rng):
    flow, back = some_flow((20, 26), rng), some_flow((20, 26), rng)
    flow[:, :12] = np.reshape([2, -4.5], (2, 1, 1)) + 0.4 * rng.normal(size=(2, 12, 26))
    back[:, :14] = -np.reshape([2, -4.5], (2, 1, 1)) + 0.4 * rng.normal(size=(2, 14, 26))
    there = np.stack([keys(plane, flow, EXACT) for plane in back])
    apart = ((flow + there) ** 2).sum(axis=0) - 0.01 * ((flow**2).sum(axis=0) + (there**2).sum(axis=0))
    assert np.abs(apart - 0.5).min() > 1e-6
    out = inconsistent(flow, back)
    np.testing.assert_array_equal(out, apart > 0.5)
    assert 0.2 < out.mean() < 0.8


def test_the_flow_is_zero_where_no_motion_explains_as_much(rng):
    """The left half stands still, the right moves by two pixels; a flow that trembles is stilled on the left alone."""
    large = ndimage.gaussian_filter(rng.normal(size=(64, 100)), 1.5)
    large /= large.std()
    first, second = large[:, :96].copy(), large[:, :96].copy()
    second[:, 48:] = large[:, 46:94]  # second(x + 2) = first(x).
    flow = 0.05 * rng.normal(size=(2, 64, 96))
    flow[1, :, 48:] += 2
    before = flow.copy()
    assert zero_where_static(flow, first, second) is flow
    assert not flow[:, :, :20].any()
    np.testing.assert_array_equal(flow[:, :, 72:92], before[:, :, 72:92])


@pytest.mark.parametrize("shape", [*SHAPES, (37, 41)], ids=str)
def test_static_parts_are_found_in_blocks_of_four(shape, rng):
    first, second, flow = rng.normal(size=shape), rng.normal(size=shape), rng.normal(0, 0.3, (2, *shape))
    second[:, : shape[1] // 2] = first[:, : shape[1] // 2]

    def explained(w):
        out = (keys(second, w, SHARP) - first) ** 2
        for _ in range(2):
            out = halved(out[np.newaxis])[0]
        for axis in (0, 1):
            out = ndimage.correlate1d(out, BINOMIAL[4], axis, mode="nearest")
        return out

    still, off = explained(np.zeros_like(flow)), explained(flow)
    limit = 1.1 * off + 0.003
    assert np.abs(still - limit).min() > 1e-9
    where = np.kron(still <= limit, np.ones((4, 4)))[: shape[0], : shape[1]] > 0
    np.testing.assert_array_equal(zero_where_static(flow.copy(), first, second), np.where(where, 0, flow))


def test_threads_change_nothing(threads, rng):
    here, there, _ = pair((203, 66), rng, dtype=np.float32, coarse=False)
    flow = some_flow((102, 33), rng, np.float32)
    back, lost = some_flow((102, 33), rng, np.float32), rng.random((102, 33)) < 0.5

    def everything() -> list[np.ndarray]:
        g = averaging.conductance(here, there, flow, lost, 0.9)
        return [
            g,
            *averaged(here, [(there, flow, g)]),
            inconsistent(flow, back),
            zero_where_static(flow.copy(), here.luma, there.luma),
            halved(here.planes),
            doubled(flow[0], 203, 66),
            warped(here.padded, flow),
            blended(here.planes, there.padded, flow, g),
        ]

    results = []
    for n in (1, 2, 3, 5):
        threads(n)
        results.append(everything())
    for result in results[1:]:
        for one, two in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(one, two)


def test_nothing_beyond_a_plane_is_read(rng):
    """Channels lie one after the other: what a NaN in the next would spoil, has read too far."""
    for shape in SHAPES:
        planes = rng.random((3, *shape))
        planes[[0, 2]] = np.nan
        out = warped(padded(planes), some_flow(shape, rng))
        assert np.isfinite(out[1]).all()


def test_a_place_that_is_no_number_is_no_index(rng):
    planes = rng.random((1, 20, 30), np.float32)
    out = warped(padded(planes), np.full((2, 20, 30), np.nan, np.float32))
    np.testing.assert_array_equal(out, np.broadcast_to(planes[:, :1, :1], planes.shape))
