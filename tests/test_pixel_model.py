"""The parts of super-resolution one by one: widths of pixels, the time of diffusion, weights of other frames."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pde_video.motion.averaging import padded
from pde_video.resampling import unseen
from pde_video.resampling.other_frames import other_frame
from pde_video.resampling.pixel_model import pixel_model


def shares(width: float, reach: int, *, between: bool = False) -> np.ndarray:
    """Return the area of pixels within a box that is centred on a pixel, or between two."""
    pixels = np.arange(-reach, reach + 1) + 0.5 * between
    return np.clip(np.minimum(pixels + 0.5, width / 2) - np.maximum(pixels - 0.5, -width / 2), 0, 1) / width


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_the_spline_nothing_is_left_out_but_what_rounding_loses(dtype):
    least = np.finfo(dtype).eps / 8
    found = pixel_model((120, 2), (300, 4), 0.5, np.dtype(dtype)).rows.up.toarray()
    full = pixel_model((120, 2), (300, 4), 0.5, np.dtype(np.float64)).rows.up.toarray()
    assert (found == 0).any()
    assert abs(full[found == 0]).max() <= least
    assert abs(found[found != 0]).min() >= least


@pytest.mark.parametrize(("coarse", "fine"), [(30, 36), (20, 30), (20, 40), (20, 48), (20, 60), (10, 80), (30, 30)])
def test_coarse_pixels_anywhere_are_means_over_their_width(coarse, fine):
    width = fine / coarse
    anywhere = pixel_model((coarse, 3), (fine, 6), 0.0, np.dtype(float)).rows.anywhere.toarray()
    between = anywhere.shape[0] > fine
    expected = shares(width, 5, between=between)
    np.testing.assert_allclose(anywhere[fine // 2, fine // 2 - 5 : fine // 2 + 6], expected, atol=1e-14)
    np.testing.assert_allclose(anywhere.sum(axis=1), 1)


@pytest.mark.parametrize(("rows", "columns"), [(20, 24), (30, 40), (15, 48), (80, 16), (25, 36)])
def test_what_is_shown_is_spread_over_the_width_of_a_coarse_pixel(rows, columns):
    model = pixel_model((10, 10), (rows, columns), 0.0, np.dtype(float))
    plane = np.zeros((1, rows, columns))
    plane[0, rows // 2, columns // 2] = 1
    around = [np.flatnonzero(plane[0].any(axis=axis))[0] + np.arange(-5, 6) for axis in (1, 0)]
    # Bilinear samples are a pixel wide already.
    expected = np.multiply.outer(*(shares(max(n / 10 - 1, 1), 5) for n in (rows, columns)))
    np.testing.assert_allclose(model.widened(plane)[0][np.ix_(*around)], expected, atol=1e-14)


@pytest.mark.parametrize(("factor", "time"), [(2, 1.0), (3, 2.25), (4, 4.0), (8, 4.0)])
def test_diffusion_takes_a_quarter_of_the_area_of_a_pixel_and_no_more_than_four(rng, monkeypatch, factor, time):
    took = []
    monkeypatch.setattr(unseen, "evolve", lambda term, planes, times, **others: took.append(times) or planes)
    model = pixel_model((9, 9), (9 * factor, 9 * factor), 0.0, np.dtype(float))
    unseen.along_edges(rng.random((1, 9 * factor, 9 * factor)), model)
    assert abs(took[0][-1] - time) <= took[0][1] / 2


def scene(rng, dtype=np.float64) -> np.ndarray:
    return ndimage.gaussian_filter(rng.random((1, 40, 40)), (0, 1, 1)).astype(dtype)


def test_what_is_hidden_has_no_weight(rng):
    frame, still = scene(rng), np.zeros((2, 40, 40))
    model = pixel_model((40, 40), (80, 80), 0.0, np.dtype(float))
    back = still.copy()
    back[1, 10:20, 10:20] = 3.0  # There the motion does not lead back: something has come before it.
    seen = padded(model.anywhere(model.up(frame)))
    g = other_frame(frame, still, back, model).missed(seen)[1]
    hidden = np.zeros((40, 40), bool)
    hidden[10:20, 10:20] = True
    assert not g[hidden].any()
    assert g[~hidden].min() > 0.9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_where_a_frame_has_no_detail_the_smallest_misfit_still_counts_little(rng, dtype):
    frame, still = scene(rng, dtype), np.zeros((2, 40, 40), dtype)
    frame[:, :, 15:] = 0.5
    model = pixel_model((40, 40), (80, 80), 0.0, np.dtype(dtype))
    floor = np.square(0.002 * frame.std(dtype=np.float64))
    other = other_frame(frame, still, still, model)
    np.testing.assert_allclose(other.kappa2[:, 25:], floor, rtol=1e-5)
    assert other.kappa2.min() >= 0.999 * floor
    # A misfit as large as the floor has the weight 1/e.
    seen = padded(model.anywhere(model.up(frame + dtype(np.sqrt(floor)))))
    np.testing.assert_allclose(other.missed(seen)[1][10:30, 32:36], np.exp(-1), rtol=1e-3)
    flat = other_frame(np.full_like(frame, 0.5), still, still, model)
    np.testing.assert_array_equal(flat.kappa2, 1)


def test_weights_are_exponentials_of_the_misfit(rng):
    frame, still = scene(rng), np.zeros((2, 40, 40))
    model = pixel_model((40, 40), (80, 80), 0.0, np.dtype(float))
    other = other_frame(frame, still, still, model)
    noise = rng.normal(0, 0.1 * frame.std(), (1, 80, 80)) * np.linspace(0, 8, 80)
    r, g = other.missed(padded(model.anywhere(model.up(frame) + noise)))
    binomial = np.poly1d([0.5, 0.5]) ** 8
    q = np.square(r[0])
    for axis in (0, 1):
        q = ndimage.correlate1d(q, binomial.coeffs, axis, mode="constant")
    inner = (slice(5, -5), slice(5, -5))
    np.testing.assert_allclose(g[inner], np.exp(-q / other.kappa2)[inner], atol=2e-6)
    assert g.min() < 0.05 < 0.8 < g.max()


def test_a_correction_of_the_motion_is_at_most_half_a_pixel(rng):
    frame = ndimage.gaussian_filter(rng.random((1, 40, 40)), (0, 3, 3))
    model = pixel_model((40, 40), (80, 80), 0.0, np.dtype(float))
    seen = padded(model.anywhere(model.up(frame)))
    wrong = other_frame(frame, np.full((2, 40, 40), 1.0), np.full((2, 40, 40), -1.0), model)
    wrong = wrong._replace(kappa2=np.full((40, 40), np.square(wrong.missed(seen)[0]).mean()))
    change = abs(wrong.aligned(seen, model).places - wrong.places)
    assert change.max() == 1.0  # Of finer pixels.
    assert (change == 1.0).mean() > 0.1
