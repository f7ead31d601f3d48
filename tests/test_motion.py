"""Motion: one level of the flow held to NumPy and SciPy, and known motions found."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from cases import slow
from scipy import ndimage

import pde_video as pv
from pde_video.kernels.flow import refine
from pde_video.motion.noisy_flow import flow_between, pyramid

H, W = 160, 200
INSIDE = np.s_[:, 32:-32, 32:-32]
WINDOW = np.array([1, 4, 6, 4, 1]) / 16


def texture(rows, columns, seed: int = 3):
    """A sum of waves of 8 to 60 pixels, at any place: sampled, not interpolated."""
    rng = np.random.default_rng(seed)
    total = np.zeros(np.broadcast(rows, columns).shape)
    for _ in range(40):
        length, angle, phase = 8 * 7.5 ** rng.random(), np.pi * rng.random(), 2 * np.pi * rng.random()
        k = 2 * np.pi / length
        total += length / 60 * np.sin(k * (np.cos(angle) * rows + np.sin(angle) * columns) + phase)
    return total


def pair(matrix, shift, height=H, width=W):
    """Frames with second(x + w(x)) = first(x), for w an affine map of x around the middle."""
    middle = np.reshape([(height - 1) / 2, (width - 1) / 2], (2, 1, 1))
    place = np.mgrid[:height, :width] - middle
    shift = np.reshape(shift, (2, 1, 1))
    back = np.tensordot(np.linalg.inv(np.eye(2) + matrix), place - shift, 1)
    return texture(*place), texture(*back), np.tensordot(np.asarray(matrix), place, 1) + shift


def moved(shift, height=H, width=W):
    return pair(np.zeros((2, 2)), shift, height, width)


def assert_near(flow, true, inside=INSIDE, atol=0.1):
    """Within `atol` at 99 of 100 pixels, for some lie where the texture is flat, and within a third on average."""
    error = np.abs(flow - true)[inside]
    assert np.quantile(error, 0.99) < atol
    assert error.mean() < atol / 3


# One level, held to plain NumPy.


def neighbours(a):
    """North, south, west and east of every pixel, the edge replicated."""
    b = np.pad(a, 1, mode="edge")
    return b[:-2, 1:-1], b[2:, 1:-1], b[1:-1, :-2], b[1:-1, 2:]


def system(first, second, flow, alpha, contrast, floor, tear, shares=None):
    """The tensor 11, 12, 22 with the right side 13, 23, gathered and divided by its trace, and the diffusivity."""
    height, width = first.shape
    places = np.indices(first.shape) + flow
    warped = ndimage.map_coordinates(second, places, order=1, mode="nearest")
    bounds = np.reshape([height - 1, width - 1], (2, 1, 1))
    known = ((places >= 0) & (places <= bounds)).all(axis=0)
    if shares is not None:
        known = known * shares[0] * ndimage.map_coordinates(shares[1], places, order=1, mode="nearest")
    north, south, west, east = neighbours((first + warped) / 2)
    gy, gx, r = (south - north) / 2, (east - west) / 2, warped - first
    weight = known / np.sqrt(1 + (r / contrast) ** 2)
    rest = r - gy * flow[0] - gx * flow[1]
    j = np.stack([weight * t for t in (gy * gy, gy * gx, gx * gx, gy * rest, gx * rest)])
    for axis in (1, 2):
        j = ndimage.correlate1d(j, WINDOW, axis, mode="nearest")
    j /= j[0] + j[2] + floor
    squares = np.zeros(first.shape)
    for part in flow:
        north, south, west, east = neighbours(part)
        squares += (south - north) ** 2 + (east - west) ** 2
    d = alpha / np.sqrt(1 + squares / tear**2)
    if width > 2:
        d[:, 0], d[:, -1] = d[:, 1], d[:, -2]
    else:
        d[:] = alpha
    return j, d


def relaxed(j, d, flow, sweeps):
    """Fast semi-iterative Jacobi steps towards (J − div d ∇) w = −b, d of a face being the mean of its sides."""
    faces = [(d + other) / 2 for other in neighbours(d)]
    now, before = flow, flow
    for k in range(sweeps):
        omega = (4 * k + 2) / (2 * k + 3)
        su, sv = (sum(f * n for f, n in zip(faces, neighbours(part), strict=True)) for part in now)
        m0, m2, m1 = j[0] + sum(faces), j[2] + sum(faces), j[1]
        right = su - j[3], sv - j[4]
        solved = np.stack([m2 * right[0] - m1 * right[1], m0 * right[1] - m1 * right[0]]) / (m0 * m2 - m1 * m1)
        now, before = omega * solved + (1 - omega) * before, now
    return now


LEVELS = [(1, 1), (1, 7), (7, 1), (2, 2), (4, 3), (12, 17), (30, 41)]


@pytest.mark.parametrize("dtype", [np.float32, *slow(np.float64)])
@pytest.mark.parametrize("shape", LEVELS, ids=str)
@pytest.mark.parametrize("known", [False, True])
def test_a_level_is_linearised_gathered_and_diffused(known, shape, dtype, rng):
    shares = rng.random((2, *shape)) ** 2 if known else None
    first, second = rng.normal(size=(2, *shape))
    start = rng.normal(0, 1, (2, *shape))
    start[:, ::2] = np.round(start[:, ::2])  # Some of it leads to the edge exactly.
    for warps, sweeps, numbers in (
        (1, 1, (3.0, 0.4, 0.1, 0.5)),
        (1, 4, (0.7, 0.9, 0.01, 2.0)),
        (2, 3, (3.0, 0.4, 0.1, 0.5)),
    ):
        wanted = start
        for _ in range(warps):
            wanted = relaxed(*system(first, second, wanted, *numbers, shares), wanted, sweeps)
        flow = start.astype(dtype)
        given = [a.astype(dtype) for a in (first, second)]
        refine(
            *given,
            shares if shares is None else shares.astype(dtype),
            flow,
            warps,
            sweeps,
            *np.array(numbers, dtype),
            WINDOW.astype(dtype),
        )
        np.testing.assert_allclose(flow, wanted, atol=1e-9 if dtype == np.float64 else 2e-3)


@pytest.mark.parametrize("dtype", [np.float32, *slow(np.float64)])
def test_the_steps_lead_to_the_solution_of_the_equation(dtype, rng):
    """Assembled as a sparse matrix and solved directly."""
    shape, numbers = (9, 12), (0.5, 0.4, 0.1, 0.5)
    first, second, start = rng.normal(size=shape), rng.normal(size=shape), rng.normal(size=(2, *shape))
    j, d = system(first, second, start, *numbers)
    n = d.size
    index, flat = np.arange(n).reshape(shape), d.ravel()
    laplacian = sp.lil_array((n, n))
    for a, b in ((index[:-1].ravel(), index[1:].ravel()), (index[:, :-1].ravel(), index[:, 1:].ravel())):
        for p, q in zip(a, b, strict=True):
            g = (flat[p] + flat[q]) / 2
            laplacian[p, q] += g
            laplacian[q, p] += g
            laplacian[p, p] -= g
            laplacian[q, q] -= g
    j0, j1, j2, j3, j4 = (part.ravel() for part in j)
    left = sp.block_array(
        [[sp.diags_array(j0) - laplacian, sp.diags_array(j1)], [sp.diags_array(j1), sp.diags_array(j2) - laplacian]]
    )
    exact = sp.linalg.spsolve(left.tocsc(), -np.concatenate([j3, j4])).reshape(2, *shape)
    flow = start.astype(dtype)
    given = [a.astype(dtype) for a in (first, second)]
    refine(*given, None, flow, 1, 100_000, *np.array(numbers, dtype), WINDOW.astype(dtype))
    np.testing.assert_allclose(flow, exact, atol=1e-4)
    assert np.abs(flow - start).max() > 0.5


@pytest.mark.parametrize("shape", [(1, 1), (15, 40), (16, 16), (37, 90)])
def test_a_pyramid_halves_while_eight_pixels_are_left(shape, rng):
    levels = pyramid(rng.random(shape))
    assert levels[0].shape == shape
    assert levels[0].dtype == np.float32
    for fine, coarse in itertools.pairwise(levels):
        assert coarse.shape == tuple((n + 1) // 2 for n in fine.shape)
        assert min(coarse.shape) >= 8
    assert min(levels[-1].shape) < 16


# Known motions.


def quick_flow(first, second, smoothness=5.0):
    """The flow that noisy pictures get, in units of a quarter of their standard deviation."""
    pictures = [pyramid(4 * frame / first.std()) for frame in (first, second)]
    return flow_between(*pictures, smoothness)


FLOWS = pytest.mark.parametrize("find", [pv.optical_flow, quick_flow])


@FLOWS
@pytest.mark.parametrize("shift", [(0.5, 0), (0, -0.25), (1.3, -2.7), (-6, 9), (7.5, 3), (-0.1, 10), (0, 0)])
def test_a_translation_is_found(shift, find):
    first, second, true = moved(shift)
    assert_near(find(first, second), true)


@FLOWS
@pytest.mark.parametrize("matrix", [[[0, -0.05], [0.05, 0]], [[0.06, 0], [0, 0.06]], [[0.02, 0.04], [0, -0.03]]])
def test_a_rotation_a_zoom_and_a_shear_are_found(matrix, find):
    first, second, true = pair(matrix, (0.5, -1))
    assert_near(find(first, second), true)


@FLOWS
def test_two_motions_are_kept_apart(find):
    rows, columns = np.mgrid[:H, :W]
    left = columns < W / 2
    first, second = texture(rows, columns), np.where(left, texture(rows - 1, columns), texture(rows + 1, columns))
    flow = find(first, second)
    assert_near(flow[0], 1, np.s_[32:-32, 32 : W // 2 - 10])
    assert_near(flow[0], -1, np.s_[32:-32, W // 2 + 10 : -32])
    inner = flow[0, 32:-32, W // 2 - 4 : W // 2 + 4]
    assert np.median(inner[:, 0] - inner[:, -1]) > 1.5  # Torn: a quadratic regulariser would glide.


@FLOWS
def test_noise_does_not_spoil_it(find):
    first, second, true = moved((1.5, -3.25))
    rng = np.random.default_rng(0)
    noisy = [frame + rng.normal(0, 0.3 * frame.std(), frame.shape) for frame in (first, second)]
    found = find(*(ndimage.gaussian_filter(frame, 1.2) for frame in noisy), smoothness=20)
    assert np.abs(found - true)[INSIDE].mean() < 0.25


@FLOWS
def test_more_smoothness_smooths(find):
    first, second, _ = pair([[0, -0.05], [0.05, 0]], (0.5, -1))
    rough = [np.abs(np.diff(find(first, second, smoothness=s), 2)).sum() for s in (0.5, 5, 50)]
    assert rough[0] > rough[1] > rough[2]


@pytest.mark.parametrize("value", [0.0, 0.1, -3.5, 1e20])
def test_flat_frames_do_not_move(value, rng):
    flat = np.full((20, 30), value)
    for noise in (None, 1.0):
        assert not pv.optical_flow(flat, flat, noise=noise).any()
    assert not pv.optical_flow(flat, rng.random((20, 30))).any()  # Nothing tells where it went.
    assert not pv.optical_flow(flat, flat + 1, noise=1.0).any()


def test_equal_frames_do_not_move(rng):
    for shape in ((1, 1), (40, 41), (100, 64)):
        frame = rng.random(shape)
        for settings in ({}, {"noise": 0.05, "smoothness": 20.0}):
            assert np.abs(pv.optical_flow(frame, frame, **settings)).max() < 1e-5


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (1, 40), (40, 1), (2, 2), (3, 5), (17, 33), (41, 67)])
def test_any_size_works(shape, rng):
    first, second = rng.random((2, *shape))
    flow = pv.optical_flow(first, second)
    assert flow.shape == (2, *shape)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()


@pytest.mark.parametrize("size", [(96, 128), (64, 160)])
def test_flips_and_quarter_turns_commute(size):
    first, second, _ = pair([[0.01, 0.02], [-0.02, 0.01]], (1.2, 0.4), *size)
    flow = pv.optical_flow(first, second)
    down = pv.optical_flow(first[::-1], second[::-1])[:, ::-1] * np.reshape([-1, 1], (2, 1, 1))
    across = pv.optical_flow(first[:, ::-1], second[:, ::-1])[..., ::-1] * np.reshape([1, -1], (2, 1, 1))
    turned = pv.optical_flow(first.T, second.T)[::-1].transpose(0, 2, 1)
    for other in (down, across):
        np.testing.assert_allclose(other, flow, atol=2e-3)
    # The diffusivity at the left and right edge is that of the pixel beside it, at the others its own.
    np.testing.assert_allclose(turned[:, 8:-8, 8:-8], flow[:, 8:-8, 8:-8], atol=2e-2)


def test_units_brightness_and_dtype_do_not_matter():
    first, second, _ = moved((1.2, 0.4))
    flow = pv.optical_flow(first, second)
    for scale, level, dtype in ((1000, 0, np.float64), (1e-6, 0, np.float32), (1e6, 0, np.float32), (1, 7, np.float64)):
        scaled = [(scale * (frame + level)).astype(dtype) for frame in (first, second)]
        np.testing.assert_allclose(pv.optical_flow(*scaled), flow, atol=2e-3)
    np.testing.assert_array_equal(pv.optical_flow(1024 * first, 1024 * second), flow)
    noisy = pv.optical_flow(first, second, noise=0.1)
    np.testing.assert_array_equal(pv.optical_flow(1024 * first, 1024 * second, noise=102.4), noisy)
    eight = [np.rint(120 + 15 * frame).astype(np.uint8) for frame in (first, second)]
    assert np.abs(pv.optical_flow(*eight) - flow).mean() < 0.02


def test_of_channels_the_mean_counts(rng):
    first, second, _ = moved((1.2, 0.4), 60, 70)
    shares = np.array([0.5, 1.5, 1.0])
    colours = [frame[..., np.newaxis] * shares for frame in (first, second)]
    np.testing.assert_allclose(pv.optical_flow(*colours), pv.optical_flow(first, second), atol=1e-3)
    one = [frame[..., np.newaxis] for frame in (first, second)]
    np.testing.assert_array_equal(pv.optical_flow(*one), pv.optical_flow(first, second))


def test_threads_change_nothing(threads, rng):
    first, second = rng.random((2, 203, 150))
    results = []
    for n in (1, 2, 3):
        threads(n)
        flow = pv.optical_flow(first, second)
        results.append((flow, pv.warp(second, flow), pv.occluded(flow, flow)))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_inputs_are_not_written_to():
    first, second, _ = moved((1, 0), 30, 40)
    flow = np.ones((2, 30, 40), np.float32)
    arrays = (first, second, flow)
    before = [array.copy() for array in arrays]
    pv.optical_flow(first, second)
    pv.warp(first, flow)
    pv.occluded(flow, flow)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_flow_leads_back_to_the_first_frame():
    first, second, true = pair([[0, -0.05], [0.05, 0]], (0.5, -1))
    back = pv.warp(second, pv.optical_flow(first, second))
    assert np.abs(back - first)[32:-32, 32:-32].mean() < 0.02 * first.std()
    assert np.abs(pv.warp(second, true) - first)[32:-32, 32:-32].max() < 0.05 * first.std()


def test_bad_inputs_are_refused():
    frame = np.ones((4, 5))
    with pytest.raises(pv.InputError, match=r"\(4, 5\) and \(4, 6\)"):
        pv.optical_flow(frame, np.ones((4, 6)))
    for bad in (np.nan, np.inf):
        spoiled = np.where(np.eye(4, 5), bad, frame)
        for frames in ((frame, spoiled), (spoiled, frame)):
            with pytest.raises(pv.InputError, match="NaN"):
                pv.optical_flow(*frames)
    with pytest.raises(pv.InputError, match="real numbers"):
        pv.optical_flow(frame.astype(complex), frame)
    for shape in ((5,), (0, 5), (2, 3, 4, 5)):
        with pytest.raises(pv.InputError, match=r"\(H, W\) or \(H, W, C\)"):
            pv.optical_flow(np.ones(shape), np.ones(shape))
    for number in (-1, np.nan, np.inf):
        with pytest.raises(pv.ParameterError, match="noise is"):
            pv.optical_flow(frame, frame, noise=number)
    for number in (-0.1, 1.1, np.nan):
        with pytest.raises(pv.ParameterError, match="at is"):
            pv.optical_flow(frame, frame, at=number)
    for number in (0, -1, np.nan, np.inf):
        with pytest.raises(pv.ParameterError, match="smoothness is"):
            pv.optical_flow(frame, frame, smoothness=number)


@pytest.mark.parametrize("smoothness", [1e-50, 1e38, 1e300])
def test_what_single_precision_cannot_hold_is_refused(smoothness, rng):
    first, second = rng.random((2, 40, 50))
    with pytest.raises(pv.ParameterError, match="the range of single precision"):
        pv.optical_flow(first, second, smoothness=smoothness)
