"""Shrinkage of cosine coefficients, held to SciPy's transform, window by window, in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dctn, idctn

from pde_video.kernels import dct_shrinkage as kernels
from pde_video.solvers.shrinkage import diffuse, excess, shrink

THRESHOLD = 2.7
FOUND, SHARE, LOW = 3.0, 0.12, 4
SHAPES = [(1, 1), (1, 19), (19, 1), (3, 5), (8, 8), (9, 17), (20, 300)]


def windows(picture, step):
    """All windows (m, n, 8, 8) that hold a pixel and begin at multiples of `step`, the picture reflected around it."""
    height, width = picture.shape
    around = np.pad(picture.astype(float), 8, mode="symmetric")
    return np.lib.stride_tricks.sliding_window_view(around, (8, 8))[step : height + 8 : step, step : width + 8 : step]


def coefficients(picture, step):
    return dctn(windows(picture, step), axes=(-2, -1), norm="ortho")


def by_hand(plane, variance, step, pilot=None, spectrum=None, left=False):
    """Every window transformed, shrunk, transformed back, and all of them averaged; or the noise that is left."""
    z = coefficients(plane, step)
    spectrum = np.ones((8, 8)) if spectrum is None else spectrum
    v = windows(variance, step).mean(axis=(-2, -1))[..., np.newaxis, np.newaxis] * spectrum
    if pilot is None:
        gain = (z**2 > THRESHOLD**2 * v).astype(float)
    else:
        p = coefficients(pilot, step)
        gain = p**2 / (p**2 + v)
    gain[..., 0, 0] = 1
    back = idctn(gain * z, axes=(-2, -1), norm="ortho")
    weights = np.outer(np.kaiser(8, 2), np.kaiser(8, 2)) / (gain**2 * v).sum(axis=(-2, -1), keepdims=True)
    height, width = plane.shape
    total, weight = np.zeros((2, height + 16, width + 16))
    for m, n in np.ndindex(back.shape[:2]):
        at = np.s_[step * (m + 1) : step * (m + 1) + 8, step * (n + 1) : step * (n + 1) + 8]
        total[at] += weights[m, n] * back[m, n]
        weight[at] += weights[m, n]
    if left:
        return (np.kaiser(8, 2).sum() / step) ** 2 / 64 / weight[8:-8, 8:-8]
    return total[8:-8, 8:-8] / weight[8:-8, 8:-8]


def undecided(plane, variance, step, spectrum):
    """How close a coefficient comes to the threshold: nearer than rounding, it may fall on either side."""
    z, v = coefficients(plane, step), windows(variance, step).mean(axis=(-2, -1))
    ratio = z**2 / (THRESHOLD**2 * v[..., np.newaxis, np.newaxis] * spectrum)
    ratio[..., 0, 0] = 0
    return np.abs(ratio - 1).min()


def case(shape, step=1, dtype=np.float64, spectrum=1.0):
    """A texture with noise, a varying variance and a pilot, no coefficient of which lies at the threshold."""
    rows, columns = np.indices(shape)
    apart = 1e-9 if dtype == np.float64 else 3e-6
    for seed in range(100):
        rng = np.random.default_rng(seed)
        clean = 6 * np.sin(rows / 3) * np.cos(columns / 5) + 0.1 * columns
        variance = (0.2 + rng.random(shape) * (1 + (columns > 4))).astype(dtype)
        plane = (clean + np.sqrt(variance) * rng.normal(size=shape)).astype(dtype)
        if undecided(plane, variance, step, spectrum) > apart:
            return plane, variance, clean.astype(dtype)
    raise AssertionError("no case is clear")


def one(plane, variance, pilot=None, *, step=2):
    return shrink(plane[np.newaxis], variance, None if pilot is None else pilot[np.newaxis], step=step)[0]


@pytest.mark.parametrize("guided", [False, True], ids=["alone", "guided"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("step", [1, 2, 4])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_is_the_shrinkage_of_every_window(shape, step, dtype, guided):
    plane, variance, pilot = case(shape, step, dtype)
    pilot = pilot if guided else None
    out = one(plane, variance, pilot, step=step)
    wanted = by_hand(plane, variance, step, pilot)
    assert out.dtype == dtype
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-12 if dtype == np.float64 else 2e-5)
    assert np.abs(wanted - plane).max() > 0.05 or plane.size == 1


@pytest.mark.parametrize("guided", [False, True], ids=["alone", "guided"])
@pytest.mark.parametrize("step", [1, 2])
def test_noise_with_a_spectrum_has_a_variance_in_each_coefficient(step, guided):
    spectra = np.random.default_rng(5).uniform(0.1, 3, (2, 8, 8))
    plane, variance, pilot = case((20, 33), step, spectrum=spectra[:, np.newaxis, np.newaxis])
    planes, pilots = np.stack([plane, plane]), np.stack([pilot, pilot])
    out = shrink(planes, variance, pilots if guided else None, step=step, spectra=spectra)
    twice = diffuse(planes, variance, step=step, spectra=spectra)
    for c, spectrum in enumerate(spectra):
        wanted = by_hand(plane, variance, step, pilot if guided else None, spectrum)
        np.testing.assert_allclose(out[c], wanted, atol=1e-12)
        once = by_hand(plane, variance, step, spectrum=spectrum)
        np.testing.assert_allclose(twice[c], by_hand(plane, variance, step, once, spectrum), atol=1e-12)


def test_a_flat_spectrum_is_white_noise_bit_for_bit():
    plane, variance, pilot = case((20, 150), 2, np.float32)
    flat = np.ones((1, 8, 8))
    for given in (None, pilot[np.newaxis]):
        with_it, without = (shrink(plane[np.newaxis], variance, given, spectra=one) for one in (flat, None))
        np.testing.assert_array_equal(with_it, without)


@pytest.mark.parametrize("width", [*range(120, 140), 257])
def test_every_width_around_that_of_a_chunk(width):
    for step in (1, 2, 4, 8):
        plane, variance, pilot = case((3, width), step)
        for p in (None, pilot):
            np.testing.assert_allclose(
                one(plane, variance, p, step=step), by_hand(plane, variance, step, p), atol=1e-12
            )


@pytest.mark.parametrize("step", [1, 2])
def test_the_variance_of_the_noise_that_is_left(step):
    spectrum = np.random.default_rng(5).uniform(0.1, 3, (8, 8))
    plane, variance, _ = case((20, 33), step, spectrum=spectrum)
    left = np.empty((2, 20, 33))
    diffuse(np.stack([plane, plane]), variance, step=step, spectra=np.stack([spectrum, spectrum]), left=left)
    wanted = by_hand(plane, variance, step, by_hand(plane, variance, step, None, spectrum), spectrum, left=True)
    np.testing.assert_allclose(left, [wanted, wanted], rtol=1e-12)


def test_white_noise_leaves_its_mean_only(rng):
    left = np.empty((1, 64, 64))
    shrink(np.zeros((1, 64, 64)), np.full((64, 64), 3.0), left=left)
    np.testing.assert_allclose(left, 3 / 64, rtol=0.1)  # Weights of windows 2 pixels apart do not sum to a constant.


def test_diffuse_takes_the_first_result_as_pilot():
    plane, variance, _ = case((24, 40), 2)
    wanted = by_hand(plane, variance, 2, by_hand(plane, variance, 2))
    np.testing.assert_allclose(diffuse(plane[np.newaxis], variance)[0], wanted, atol=1e-12)


def above_noise_by_hand(plane, variance, spectrum, pilot=None):
    """As `by_hand`, of all coefficients what is above the noise; high ones tell whether there is more of it."""
    z, p = coefficients(plane, 2), coefficients(plane if pilot is None else pilot, 2)
    v = windows(variance, 2).mean(axis=(-2, -1), keepdims=True)
    low = np.arange(8) < LOW
    low = low[:, np.newaxis] & low
    local = np.maximum(v, (z**2 / spectrum)[..., ~low].mean(axis=-1)[..., np.newaxis, np.newaxis])
    gain = low * (z**2 > FOUND**2 * spectrum * local) if pilot is None else p**2 / (p**2 + SHARE * spectrum * v)
    back = idctn(gain * z, axes=(-2, -1), norm="ortho")
    weights = np.outer(np.kaiser(8, 2), np.kaiser(8, 2)) / v
    height, width = plane.shape
    total, weight = np.zeros((2, height + 16, width + 16))
    for m, n in np.ndindex(back.shape[:2]):
        at = np.s_[2 * (m + 1) : 2 * (m + 1) + 8, 2 * (n + 1) : 2 * (n + 1) + 8]
        total[at] += weights[m, n] * back[m, n]
        weight[at] += weights[m, n]
    return total[8:-8, 8:-8] / weight[8:-8, 8:-8]


def test_what_is_above_the_noise_is_found_and_then_kept_by_its_size(rng):
    spectra = rng.uniform(0.3, 3, (2, 8, 8))
    bar = np.where(np.abs(np.arange(70) - 33) < 5, 1.5, 0) * np.where(np.arange(40) < 30, 1, 0)[:, np.newaxis]
    planes, variance = bar + rng.normal(size=(2, 40, 70)), rng.uniform(0.5, 1.5, (40, 70))
    planes[:, 12:25, 50:] *= 3  # More noise than is told.
    known = 0.3 * rng.normal(size=planes.shape)
    out, seen = (excess(planes, variance, spectra=spectra, known=one) for one in (None, known))
    for axis in (0, 1):  # At the edges.
        n = variance.shape[axis]
        variance *= np.expand_dims(1 + ((np.arange(n) < 3) | (np.arange(n) >= n - 3)), 1 - axis)
    for c, spectrum in enumerate(spectra):
        pilot = above_noise_by_hand(planes[c], variance, spectrum)
        np.testing.assert_allclose(out[c], above_noise_by_hand(planes[c], variance, spectrum, pilot), atol=1e-12)
        np.testing.assert_allclose(seen[c], above_noise_by_hand(planes[c], variance, spectrum, pilot + known[c]))


def test_nothing_of_noise_is_above_it_and_faint_bars_are(rng):
    noise, variance = rng.normal(size=(1, 128, 128)).astype(np.float32), np.ones((128, 128), np.float32)
    assert np.square(excess(noise, variance)).mean() < 0.02
    bar = np.zeros((128, 128), np.float32)
    bar[40:80, 60:68] = 1
    found = (excess(noise + bar, variance) - excess(noise, variance))[0]
    assert 0.7 < (found * bar).sum() / bar.sum() < 1.1
    none = np.zeros((1, 40, 50), np.float32)
    np.testing.assert_array_equal(excess(none, variance[:40, :50]), none)
    np.testing.assert_array_equal(excess(none, none[0]), none)


def test_noise_is_no_more_likely_to_be_above_itself_at_the_edges(rng):
    noise, variance = rng.normal(size=(150, 48, 48)).astype(np.float32), np.ones((48, 48), np.float32)
    found = np.square(excess(noise, variance)).mean(axis=0)
    inside, rim = found[8:-8, 8:-8].mean(), np.concatenate([found[:4], found[-4:]]).mean()
    assert inside < 0.004
    assert rim < 2 * inside + 0.001  # Eight times as much, were they not told apart.


def test_channels_are_treated_alike_and_on_their_own():
    plane, variance, pilot = case((20, 33), 2)
    planes, pilots = np.stack([plane, 3 * plane[::-1], plane * plane]), np.stack([pilot, pilot[::-1], pilot + plane])
    for given in (None, pilots):
        out = shrink(planes, variance, given)
        for c in range(3):
            alone = one(planes[c], variance, None if given is None else given[c])
            np.testing.assert_array_equal(out[c], alone)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (21, 150)], ids=str)
def test_constant_planes_stay_exactly(shape, dtype, rng):
    variance = rng.uniform(0.1, 3, shape).astype(dtype)
    for value in (0, 1 / 3, -12345.678):
        plane = np.full(shape, value, dtype)
        np.testing.assert_array_equal(one(plane, variance), plane)
        np.testing.assert_array_equal(one(plane, variance, plane), plane)
        np.testing.assert_array_equal(one(plane, variance, rng.normal(size=shape).astype(dtype)), plane)


def test_what_is_far_above_the_noise_stays():
    plane, variance, _ = case((20, 140), 2)
    np.testing.assert_array_equal(one(plane, 1e-20 * variance), plane)
    np.testing.assert_allclose(one(plane, 1e-20 * variance, plane), plane, rtol=0, atol=1e-12)


def test_a_wave_of_the_window_is_kept_or_damped_by_its_own_size():
    """cos(π(x + ½)/8), reflected, has in windows that begin at multiples of 8 a single coefficient, 4√2."""
    wave = np.cos(np.pi * (np.arange(32) + 0.5) / 8) * np.ones((16, 1))
    above, below = (np.full(wave.shape, factor * 32 / THRESHOLD**2) for factor in (1.01, 0.99))
    np.testing.assert_allclose(one(wave, below, step=8), wave, atol=1e-12)
    np.testing.assert_allclose(one(wave, above, step=8), 0, atol=1e-12)
    np.testing.assert_allclose(one(wave, np.full(wave.shape, 8.0), wave, step=8), wave * 32 / 40, atol=1e-12)


@pytest.mark.parametrize("guided", [False, True])
def test_brightness_and_contrast_do_not_matter(guided):
    plane, variance, pilot = case((20, 40), 2)
    p = pilot if guided else None
    out = one(plane, variance, p)
    scaled = one(4 * plane, 16 * variance, None if p is None else 4 * p)
    np.testing.assert_array_equal(scaled, 4 * out)
    np.testing.assert_allclose(one(plane + 100, variance, None if p is None else p - 7), out + 100, atol=1e-11)


@pytest.mark.parametrize("step", [1, 2, 4])
def test_flips_and_turns_commute(step):
    plane, variance, pilot = case((24, 132), step)
    for p in (None, pilot):
        out = one(plane, variance, p, step=step)
        for turn in (np.flipud, np.fliplr, np.transpose):
            turned = [None if a is None else np.ascontiguousarray(turn(a)) for a in (plane, variance, p)]
            np.testing.assert_allclose(one(*turned, step=step), turn(out), atol=1e-12)


def test_it_denoises():
    """White noise of deviation 1 on a flat ground: hardly a hundredth of its power is left, of a ramp's little more."""
    rng = np.random.default_rng(3)
    noise, variance = rng.normal(size=(96, 128)), np.ones((96, 128))
    ramp = np.add.outer(np.arange(96), np.arange(128)) / 8
    flat = one(noise, variance)
    assert (flat**2).mean() < 0.06
    assert ((diffuse((noise + ramp)[np.newaxis], variance)[0] - ramp) ** 2).mean() < 0.1
    assert abs(flat.mean() - noise.mean()) < 0.01


def test_less_of_a_noise_that_varies_is_left_where_it_is_known():
    """Windows with little noise count more: beside a noisy half, the clean half stays as it is."""
    rng = np.random.default_rng(4)
    deviation = np.where(np.arange(64) < 32, 1e-4, 1.0) * np.ones((32, 1))
    plane = deviation * rng.normal(size=deviation.shape)
    out = one(plane, deviation**2)
    assert np.abs(out[:, :31]).max() < 1e-3  # Windows across the border count next to nothing.
    assert (out[:, 33:] ** 2).mean() < 0.2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_noise_at_all_changes_nothing(dtype, rng):
    plane, none = rng.normal(size=(20, 30)).astype(dtype), np.zeros((20, 30), dtype)
    tiny = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(one(plane, none), plane, rtol=0, atol=tiny)
    np.testing.assert_allclose(one(plane, none, plane), plane, rtol=0, atol=tiny)
    flat = np.ones_like(plane)
    np.testing.assert_array_equal(one(flat, none), flat)
    np.testing.assert_array_equal(one(flat, none, flat), flat)
    half = none.copy()
    half[:, 15:] = 1
    assert np.isfinite(one(plane, half)).all()
    assert np.isfinite(one(plane, half, flat)).all()
    np.testing.assert_array_equal(one(plane, half)[:, :8], plane[:, :8])


@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_band_of_rows_is_what_it_is_of_the_whole_and_no_more(step):
    plane, variance, _ = case((23, 30), step)
    whole = one(plane, variance, step=step)
    for first, last in ((0, 5), (1, 2), (3, 16), (8, 23), (22, 23)):
        out = np.zeros_like(plane)
        numbers = (np.ones(64), np.float64(THRESHOLD), step, np.kaiser(8, 2.0), kernels.CONSTANTS)
        kernels.shrink(plane, plane, False, False, variance, *numbers, first, last, out, np.empty((0, 0)))
        np.testing.assert_array_equal(out[first:last], whole[first:last])
        assert not out[:first].any()
        assert not out[last:].any()


@pytest.mark.parametrize("step", [1, 2, 4])
def test_threads_change_nothing(step, threads):
    plane, variance, _ = case((203, 70), step, np.float32)
    planes = np.stack([plane, plane[::-1]])
    results = []
    for n in (1, 2, 3, 5):
        threads(n)
        results.append((shrink(planes, variance, step=step), diffuse(planes, variance, step=step)))
    for result in results[1:]:
        np.testing.assert_array_equal(result[0], results[0][0])
        np.testing.assert_array_equal(result[1], results[0][1])
