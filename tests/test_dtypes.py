"""Values to floating point and back: as NumPy's expressions have them, bit for bit, in every layout."""

from __future__ import annotations

import numpy as np
import pytest
from cases import slow

import pde_video as pv
from pde_video.arrays.dtypes import as_dtype, as_float, scale_of

DTYPES = ("uint8", "uint16", "int8", "int16", "float16", "float32", "float64", ">u2", ">f4")
INTEGERS = ("uint8", "uint16", "int8", "int16", ">u2")
PAIRS = [(dtype, work) for work in (np.float32, np.float64) for dtype in INTEGERS]  # Each is another kernel.
SHAPES = ((13, 37), (13, 37, 1), (13, 37, 2), (13, 37, 3), (13, 37, 4))


def values(dtype: str, shape: tuple[int, ...], rng) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return rng.normal(0.5, 1, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)


def layouts(frame: np.ndarray):
    read_only = frame.copy()
    read_only.flags.writeable = False
    planar = np.moveaxis(np.ascontiguousarray(np.moveaxis(frame, -1, 0)), 0, -1)
    return frame, frame[::-1, ::2], np.asfortranarray(frame), planar, read_only


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_to_floating_point(dtype, shape, rng):
    work = np.float64 if dtype == "float64" else np.float32
    scale = scale_of(np.dtype(dtype))
    for frame in layouts(values(dtype, shape, rng)):
        expected = frame.astype(work) / work(scale)
        found = as_float(frame, work, scale)
        assert found.dtype == work
        assert np.array_equal(found, expected if frame.ndim == 3 else expected[..., np.newaxis])
        assert found.flags.writeable
        assert not np.shares_memory(found, frame)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("pair", [*PAIRS[:-3], *slow(*PAIRS[-3:])], ids=str)
def test_back_to_integers(pair, shape, rng):
    dtype, work = pair
    limits, scale = np.iinfo(dtype), scale_of(np.dtype(dtype))
    wanted = values(dtype, shape, rng).astype(work) + rng.choice([-0.5, -0.2, 0, 0.3, 0.5], shape).astype(work)
    wanted.flat[:4] = limits.min - 0.5, limits.max + 0.5, 2.0 * limits.min - 9, 2.0 * limits.max  # Half, and far, out.
    for frame in layouts((wanted / work(scale)).astype(work)):
        rounded = np.rint(frame * work(scale))
        expected = np.clip(rounded, limits.min, limits.max)
        report = {"saturated": 5}
        found = as_dtype(frame, np.dtype(dtype), scale, report)
        assert found.dtype == np.dtype(dtype)
        assert np.array_equal(found, expected)
        assert found.flags.c_contiguous
        assert report == {"saturated": 5 + np.count_nonzero(rounded != expected)}


def test_halves_go_to_the_even_integer():
    halves = np.array([[0.5, 1.5, 2.5, 3.5, 126.5, 127.5]])
    assert as_dtype(halves, np.dtype(np.uint8), 1.0, {}).tolist() == [[0, 2, 2, 4, 126, 128]]
    assert as_dtype(-halves, np.dtype(np.int8), 1.0, {}).tolist() == [[0, -2, -2, -4, -126, -128]]


@pytest.mark.parametrize("place", [0, 17, -1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_integers_refuse_what_is_not_finite(bad, shape, place):
    frame = np.zeros(shape, np.float32)
    frame.flat[place] = bad  # The last one is finite, but not in units of the input.
    for layout in layouts(frame)[2:]:
        with pytest.raises(pv.InputError, match="NaN or infinite"):
            as_dtype(layout, np.dtype(np.uint8), 255.0, {})


@pytest.mark.parametrize("returned", ["float16", "int64", "bool"])
def test_a_filter_may_return_other_dtypes(returned):
    frame = np.arange(2)[:, np.newaxis].astype(returned)
    assert as_dtype(frame, np.dtype(np.uint8), 255.0, {}).tolist() == [[0], [1 if returned == "bool" else 255]]


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_pipeline_of_nothing_changes_nothing(dtype, colour, rng):
    video = values(dtype, (3, 9, 11, 3) if colour else (3, 9, 11), rng)
    report = {}
    assert np.array_equal(pv.pipeline()(video, report=report), video)
    assert report == {"saturated": 0}
