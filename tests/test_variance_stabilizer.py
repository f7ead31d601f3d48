"""Stabilised noise, against sums and integrals of the laws themselves."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from cases import CLIPS, slow
from scipy import stats

import pde_video as pv
from pde_video.estimate.variance_stabilizer import _unbiased

LIGHT = np.concatenate([[0.0], np.logspace(-1, 3, 25)])  # Photons.


def anscombe(y, slope, offset):
    """The transform as it is in the literature, without the constant."""
    return 2 / slope * np.sqrt(np.maximum(slope * y + 3 / 8 * slope**2 + offset, 0))


def moments(light, slope, readout, black=0.0):
    """Mean and variance of the transformed value, summed over Poisson's law and integrated over the normal one."""
    offset = readout**2 - slope * black
    counts = np.arange(stats.poisson.isf(1e-14, light) + 2)
    chance = stats.poisson.pmf(counts, light)

    if readout == 0:
        values = anscombe(slope * counts + black, slope, offset)
        return chance @ values, chance @ values**2 - (chance @ values) ** 2
    # Gauss-Legendre in t, y = edge + t², from the edge below which the transform is 0: there is no root in it.
    edge = black - 3 / 8 * slope - readout**2 / slope
    at = (slope * counts + black)[:, None]
    low, high = (np.sqrt(np.maximum(at + d * readout - edge, 0)) for d in (-10, 10))
    node, weight = np.polynomial.legendre.leggauss(300)
    t = low + (high - low) * (node + 1) / 2
    weight = weight * (high - low) / 2 * 2 * t * stats.norm.pdf(edge + t**2, at, readout)
    first, second = (chance @ (weight * anscombe(edge + t**2, slope, offset) ** power).sum(1) for power in (1, 2))
    return first, second - first**2


@pytest.mark.parametrize("readout", [0.0, 1.0, *slow(0.02, 0.3, 3.0)])
def test_the_inverse_takes_the_mean_of_the_transform_to_the_mean(readout):
    slope, black = 0.25, 5.0
    stabiliser = pv.VarianceStabilizer(slope, (slope * readout) ** 2 - slope * black, black)
    constant = anscombe(black, slope, stabiliser.offset)
    means = np.array([moments(photons, slope, slope * readout, black)[0] - constant for photons in LIGHT])
    photons = (stabiliser.inverse(means) - black) / slope
    np.testing.assert_allclose(photons, LIGHT, atol=5e-5)


@pytest.mark.parametrize("readout", [9.9, 10.1, 40.0])
def test_the_series_takes_over_from_the_table(readout):
    stabiliser = pv.VarianceStabilizer(1.0, readout**2)
    for photons in (0.0, 1.0, 30.0):
        # By Gauss-Hermite quadrature of the normal law: the root begins 10 deviations off.
        z, weight = np.polynomial.hermite_e.hermegauss(80)
        counts = np.arange(200)
        values = stabiliser.forward(counts[:, None] + readout * z) @ (weight / weight.sum())
        mean = stats.poisson.pmf(counts, photons) @ values
        assert stabiliser.inverse(np.array([mean]))[0] == pytest.approx(photons, abs=5e-5)


@pytest.mark.parametrize("readout", [0.0, 0.7, 5.0, 9.9])
def test_the_table_joins_the_series(readout):
    stabiliser = pv.VarianceStabilizer(1.0, readout**2)
    first, step, photons = _unbiased(readout)
    top = first + (len(photons) - 1) * step
    below, above = stabiliser.inverse(np.array([top - 1e-9, top + 1e-9]))
    assert above - below == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("readout", [0.0, 3.0, *slow(0.5)])
def test_the_stabilised_deviation_is_one(readout):
    for photons in (4.0, 10.0, 50.0):
        assert math.sqrt(moments(photons, 0.1, 0.1 * readout)[1]) == pytest.approx(1, abs=0.03)
    assert math.sqrt(moments(1000.0, 0.1, 0.1 * readout)[1]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("black", [0.0, 7.0])
def test_forward_is_anscombes_formula_from_black_on(black, rng):
    slope, readout = 0.3, 0.2
    stabiliser = pv.VarianceStabilizer(slope, readout**2 - slope * black, black)
    values = rng.uniform(black - 3, black + 50, (9, 8, 3))
    expected = anscombe(values, slope, stabiliser.offset) - anscombe(black, slope, stabiliser.offset)
    np.testing.assert_allclose(stabiliser.forward(values), expected, atol=1e-12)
    assert stabiliser.readout == pytest.approx(readout)


def test_black_is_where_the_variance_ends_unless_it_is_given():
    assert pv.VarianceStabilizer(0.5, -10.0) == pv.VarianceStabilizer(0.5, -10.0, None)
    np.testing.assert_array_equal(pv.VarianceStabilizer(0.5, -10.0).forward(np.array([20.0])), [0])
    assert pv.VarianceStabilizer(0.5, -10.0).readout == 0
    np.testing.assert_array_equal(pv.VarianceStabilizer(0.5, 10.0).forward(np.array([0.0])), [0])
    assert pv.VarianceStabilizer(0.5, 9.0).readout == 3


def test_without_slope_it_is_a_scaling_and_little_slope_is_near_it(rng):
    values = rng.normal(3, 5, (7, 5, 1))
    scaling = pv.VarianceStabilizer(0.0, 4.0)
    np.testing.assert_allclose(scaling.forward(values), values / 2, rtol=1e-15)
    np.testing.assert_allclose(scaling.inverse(values), values * 2, rtol=1e-15)
    for slope in (1e-3, 1e-6, 1e-12, 1e-40, 1e-300):
        near = pv.VarianceStabilizer(slope, 4.0)
        for dtype, rounding in ((np.float64, 1e-13), (np.float32, 1e-5)):
            np.testing.assert_allclose(near.forward(values.astype(dtype)), values / 2, atol=20 * slope + rounding)
            np.testing.assert_allclose(near.inverse(values.astype(dtype)), values * 2, atol=100 * slope + rounding)


@pytest.mark.parametrize("readout", [0.0, 1e-4, 0.7, 5.0, 9.99, 10.01, 300.0])
def test_both_ways_increase_and_below_black_goes_on(readout):
    stabiliser = pv.VarianceStabilizer(1.0, readout**2)
    ends = stabiliser.forward(np.array([-1.0, 400.0]))
    values = np.linspace(*ends, 200_001)
    back = stabiliser.inverse(values)
    assert (np.diff(back) > 0).all()
    assert np.diff(back).max() < 3 * np.diff(back)[-1000:].max()  # No jump where table and series meet.
    assert (np.diff(stabiliser.forward(np.linspace(-0.3, 400, 10_001))) > 0).all()


def test_dtype_shape_and_layout_are_kept(rng):
    stabiliser = pv.VarianceStabilizer(0.05, 1e-4)
    planes = rng.random((3, 6, 7)).astype(np.float32)
    before = planes.copy()
    for frame in (np.moveaxis(planes, 0, -1), planes[0], planes[:, ::2, 1:], planes[:, :, ::-1], planes[0, 0, 0]):
        for way in (stabiliser.forward, stabiliser.inverse):
            for dtype in (np.float32, np.float64):
                given = frame.astype(dtype, order="K")
                result = way(given)
                assert result.dtype == dtype
                assert result.shape == frame.shape
                expected = [way(value.reshape(1))[0] for value in np.ravel(given)]
                np.testing.assert_array_equal(np.ravel(result), expected)
    planes.flags.writeable = False
    stabiliser.inverse(stabiliser.forward(planes))
    np.testing.assert_array_equal(planes, before)
    assert stabiliser.forward(np.moveaxis(planes, 0, -1)).strides == np.moveaxis(planes, 0, -1).strides
    assert np.isnan(stabiliser.forward(np.array([np.nan]))).all()
    assert np.isnan(stabiliser.inverse(np.array([np.nan]))).all()
    with pytest.raises(TypeError, match="dtype uint8"):
        stabiliser.forward(np.zeros((2, 2, 1), np.uint8))


def test_single_precision_is_near_double():
    for readout in (0.0, 0.5, 20.0):
        stabiliser = pv.VarianceStabilizer(1 / 50, (readout / 50) ** 2)
        values = np.linspace(-0.01, 1.2, 5001)
        there = stabiliser.forward(values)
        np.testing.assert_allclose(stabiliser.forward(values.astype(np.float32)), there, atol=2e-5)
        np.testing.assert_allclose(stabiliser.inverse(there.astype(np.float32)), stabiliser.inverse(there), atol=2e-6)


@pytest.mark.parametrize("peak", [10, 50])
@pytest.mark.parametrize("readout", [0.0, 0.02])
@pytest.mark.parametrize("name", CLIPS)
def test_the_mean_intensity_is_kept_with_the_noise_as_estimated(name, readout, peak, real_frames):
    clean = pv.to_gray(real_frames[name].astype(np.float32) / 255)
    stabiliser = pv.VarianceStabilizer(*pv.estimate_noise(pv.poisson_gaussian_noise(clean, 1 / peak, readout, rng=1)))
    frame, draws = clean[:1, :150, :200], 100
    many = pv.poisson_gaussian_noise(np.repeat(frame, draws, axis=0), 1 / peak, readout, rng=2)
    averaged = stabiliser.forward(many).mean(axis=0)  # What a perfect denoiser returns.
    assert stabiliser.inverse(averaged).mean() == pytest.approx(many.mean(), rel=0.005)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((-1.0, 1.0), "slope is -1"),
        ((0.0, 0.0), "offset is 0.0 and slope 0"),
        ((0.0, -1.0), "offset is -1.0 and slope 0"),
        ((math.nan, 1.0), "slope is nan"),
        ((1.0, math.inf), "offset is inf"),
        ((1.0, 1.0, math.nan), "black is nan"),
        ((2.0, -10.0, 4.0), "black is 4.0, .* at least 5.0"),
    ],
)
def test_parameters_that_are_no_noise_are_refused(parameters, message):
    with pytest.raises(pv.ParameterError, match=message):
        pv.VarianceStabilizer(*parameters)


def test_the_former_name_is_deprecated():
    with pytest.warns(DeprecationWarning, match="Stabiliser is now called VarianceStabilizer") as caught:
        former = pv.Stabiliser
    assert caught[0].filename == __file__
    assert former is pv.VarianceStabilizer
    assert "Stabiliser" not in dir(pv)
    one = former(0.5, 2.0)
    assert repr(one) == "VarianceStabilizer(slope=0.5, offset=2.0, black=None)"
    assert pickle.loads(pickle.dumps(one)) == one
