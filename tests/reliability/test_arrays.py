"""NumPy files and arrays as they come: cut, pickled, strided, of any dtype, with values missing or out of range."""

from __future__ import annotations

import struct
import subprocess
import sys
import warnings
from functools import partial
from itertools import islice

import numpy as np
import pytest
from cases import marked_slow, slow
from scipy.ndimage import distance_transform_edt

import pde_video as pv
from pde_video.filters import equations
from pde_video.jobs.recipes import planned

HEAT = pv.framewise(pv.Heat(), pv.uniform(1.0))
SHAPE = (6, 14, 17)
FILTERS = {
    "denoise": pv.denoise,
    "fast": partial(pv.denoise, preset="fast"),
    "best": partial(pv.denoise, preset="best"),
    "perona-malik": partial(pv.denoise, method="perona-malik"),
    "tv": partial(pv.denoise, method="tv"),
    "heat": partial(pv.denoise, method="heat"),
    "ddpm": partial(pv.denoise, method="ddpm"),
    "learned": partial(pv.denoise, method="learned"),
    "framewise": HEAT,
    "eed": pv.framewise(pv.EdgeEnhancing(0.05), pv.uniform(0.4)),
    "ced": pv.framewise(pv.CoherenceEnhancing(contrast=0.01), pv.uniform(0.4)),
    "spacetime": pv.spacetime(pv.Heat(), pv.uniform(0.5)),
    "frame-difference": partial(pv.frame_difference, alpha=-0.5, kappa=0.1),
}
EXTREMA = (
    "perona-malik",
    "heat",
    "framewise",
    "spacetime",
    "frame-difference",
)  # With a maximum principle.


def noisy(dtype="float32", shape=SHAPE) -> np.ndarray:
    rng = np.random.default_rng(0)
    smooth = 0.5 + 0.3 * np.sin(np.arange(shape[2]) / 5) * np.ones(shape[:3])[..., :]
    if len(shape) == 4:
        smooth = smooth[..., np.newaxis] * np.ones(shape[3])
    values = smooth + 0.05 * rng.normal(size=shape)
    return values.astype(dtype) if np.dtype(dtype).kind == "f" else np.rint(values * np.iinfo(dtype).max).astype(dtype)


def load(path, **options) -> np.ndarray:
    return np.stack(list(pv.read(path, **options)))


def header(descr="'<u2'", order="False", shape="(6, 14, 17)", version=1) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text


def test_truncated_or_pickled_npy(tmp_path):
    path, original = tmp_path / "v.npy", noisy()
    np.save(path, original)
    data, page = path.read_bytes(), original[0].nbytes
    for cut in (1, page, 2 * page + 7):
        path.write_bytes(data[:-cut])
        whole = 6 - -(-cut // page)
        with pytest.raises(pv.InputError, match=f"frame {whole} is truncated"):
            load(path)
        part = pv.read(path, keep_partial=True)
        assert np.array_equal(np.stack(list(part)), original[:whole])
        assert f"frame {whole}" in part.lost
    for length in (0, 3, 9, 40, 128, 130):
        path.write_bytes(data[:length])
        with pytest.raises(pv.InputError, match=r"v\.npy"):
            pv.read(path, keep_partial=True)
    np.save(path, np.full(SHAPE, {"a": 1}, object), allow_pickle=True)
    with pytest.raises(pv.InputError, match="pickled"):
        pv.read(path)
    path.write_bytes(b"\x80\x04cos\nsystem\n(S'touch harmed'\ntR.")
    with pytest.raises(pv.InputError, match="not a NumPy array"):
        pv.read(path)


@pytest.mark.parametrize(
    "claim",
    [
        header(shape="(1000000000000, 14, 17)"),
        header(shape="(4294967296, 4294967296, 4294967296)"),
        header(shape="(1, 60000, 60000)"),
        header(shape="(6, -14, 17)"),
        header(shape="(6, 14.0, 17)"),
        header(shape="'6'"),
        header(descr="[('a', '<u2'), ('b', '<u2')]"),
        header(descr="'<V2'"),
        header(descr="'<M8[s]'"),
        header(descr="__import__('os').system('touch harmed')"),
        header(descr="(" * 3000),
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
    ],
)
def test_a_npy_header_that_claims_what_is_not_there_is_refused(tmp_path, claim):
    (tmp_path / "v.npy").write_bytes(claim + bytes(100))
    with pytest.raises(pv.InputError, match=r"v\.npy"):
        pv.read(tmp_path / "v.npy")


@pytest.mark.parametrize(("version", "length"), [(1, 9000), (1, 10_000), (2, 10_000), (1, 11_000), (2, 200_000)])
def test_a_npy_header_is_as_long_as_numpy_allows_or_its_length_is_named(tmp_path, version, length):
    text = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 4)}".ljust(length - 1) + "\n"
    start = b"\x93NUMPY" + bytes([version, 0]) + length.to_bytes(2 * version, "little")
    (tmp_path / "v.npy").write_bytes(start + text.encode() + bytes(24))
    if length <= 10_000:
        assert pv.read(tmp_path / "v.npy").size == np.load(tmp_path / "v.npy").shape[1:]
        return
    with pytest.raises(ValueError, match="large"):
        np.load(tmp_path / "v.npy")
    with pytest.raises(pv.InputError, match=rf"a header of {length:,} characters; the limit is 10,000"):
        pv.read(tmp_path / "v.npy")


def test_a_npy_header_of_another_version_is_named(tmp_path):
    (tmp_path / "v.npy").write_bytes(header(version=3) + bytes(100))
    with pytest.raises(pv.InputError, match=r"v\.npy: .*version 3\.0; 1\.0 and 2\.0 are supported"):
        pv.read(tmp_path / "v.npy")


def test_a_npy_frame_larger_than_allowed_is_refused(tmp_path):
    np.save(tmp_path / "v.npy", noisy())
    with pytest.raises(pv.InputError, match="max_pixels"):
        pv.read(tmp_path / "v.npy", max_pixels=14 * 17 - 1)
    assert len(load(tmp_path / "v.npy", max_pixels=14 * 17)) == 6


@pytest.mark.parametrize("dtype", ["u1", ">u2", "<u2", ">f4", "f2", "f8", "?", "i8", ">c16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_order_and_byte_order_is_read_as_numpy_reads_it(tmp_path, dtype, order):
    original = np.asarray(noisy("uint16").astype(dtype), order=order)
    np.save(tmp_path / "v.npy", original)
    video = pv.read(tmp_path / "v.npy")
    assert video.dtype == original.dtype
    assert np.array_equal(np.stack(list(video)), original)
    assert all(frame.flags.c_contiguous and frame.flags.writeable for frame in video)
    if np.dtype(dtype).kind == "f" or np.dtype(dtype).name in ("uint8", "uint16"):
        pv.run(tmp_path / "v.npy", tmp_path / "out.npy", HEAT)
        written = np.load(tmp_path / "out.npy")
        assert written.dtype == original.dtype
        assert np.array_equal(written, HEAT(original))


def test_nan_and_inf_are_refused(tmp_path):
    for bad in (np.nan, np.inf, -np.inf):
        video = noisy()
        video[3, 4, 5] = bad
        np.save(tmp_path / "v.npy", video)
        for a_filter in (pv.denoise, HEAT, pv.spacetime(pv.Heat(), pv.uniform(0.5))):
            with pytest.raises(pv.InputError, match="frame 3 holds NaN or infinite"):
                pv.run(tmp_path / "v.npy", tmp_path / "out.npy", a_filter)
        assert not (tmp_path / "out.npy").exists()


@pytest.mark.parametrize("channels", [(), (2,)])
@pytest.mark.parametrize("stream", [False, True])
def test_masked_values_are_filled_from_the_nearest_and_missing_again_in_the_output(stream, channels):
    video = noisy("float64", SHAPE + channels)
    holes = np.random.default_rng(1).random(video.shape) < 0.2
    holes[4] = False
    broken = np.where(holes, np.random.default_rng(2).choice([np.nan, np.inf, -np.inf], video.shape), video)
    seen = []

    def watching(frames):
        for frame in frames:
            seen.append(frame.copy())
            frame += 1
            yield frame

    report = {}
    result = pv.masking(watching)(iter(broken) if stream else broken, report=report)
    result = np.stack(list(result))
    assert np.array_equal(np.isnan(result), holes)
    assert np.array_equal(result[~holes], video[~holes] + 1)
    assert report["missing"] == holes.sum()
    row, column = np.mgrid[: SHAPE[1], : SHAPE[2]]
    for t, frame in enumerate(seen):
        for c in range(frame.shape[2]):
            hole = holes[t].reshape(*SHAPE[1:], -1)[..., c]
            plane = video[t].reshape(*SHAPE[1:], -1)[..., c]
            assert np.array_equal(frame[..., c][~hole], plane[~hole])
            for i, j in zip(*np.nonzero(hole), strict=True):
                distance = np.where(hole, np.inf, (row - i) ** 2 + (column - j) ** 2)
                assert frame[i, j, c] in plane[distance == distance.min()]


def test_masking_a_filter_equals_filling_by_hand(tmp_path):
    video = noisy()
    video[2, 3:6, 4:8] = np.nan
    nearest = distance_transform_edt(np.isnan(video[2]), return_distances=False, return_indices=True)
    whole = video.copy()
    whole[2] = video[2][tuple(nearest)]
    np.save(tmp_path / "v.npy", video)
    for a_filter in (pv.denoise, HEAT, pv.spacetime(pv.Heat(), pv.uniform(0.5)), pv.pipeline(HEAT, pv.denoise)):
        expected = np.where(np.isnan(video), np.float32(np.nan), a_filter(whole))
        assert np.array_equal(pv.masking(a_filter)(video), expected, equal_nan=True)
        pv.run(tmp_path / "v.npy", tmp_path / "out.npy", pv.masking(a_filter), force=True)
        assert np.array_equal(np.load(tmp_path / "out.npy"), expected, equal_nan=True)
    assert np.isnan(video[2, 3, 4])


def test_a_frame_without_any_value_is_that_before_it_and_missing_in_the_output():
    video = noisy()
    video[0], video[3] = np.nan, np.inf
    seen = []

    def watching(frames):
        for frame in frames:
            seen.append(frame[..., 0].copy())
            frame += 1
            yield frame

    result = pv.masking(watching)(video)
    assert not seen[0].any()
    assert np.array_equal(seen[3], video[2])
    assert np.isnan(result[[0, 3]]).all()
    assert np.array_equal(result[[1, 2, 4, 5]], video[[1, 2, 4, 5]] + 1)


def test_masking_changes_nothing_where_nothing_is_missing():
    for dtype in ("uint8", "uint16", "float32"):
        video, report = noisy(dtype), {}
        assert np.array_equal(pv.masking(pv.denoise)(video, report=report), pv.denoise(video))
        assert report["missing"] == 0
        assert report["preset"] == "balanced"


@pytest.mark.parametrize(
    "a_filter",
    [partial(pv.extrapolate, frames=2), lambda frames: islice(frames, 3), partial(pv.resize, height=7, width=8)],
    ids=["more", "fewer", "smaller"],
)
def test_masking_refuses_a_filter_that_does_not_return_a_frame_for_each(a_filter):
    with pytest.raises(pv.InputError, match="one frame of the same size for each"):
        pv.masking(a_filter)(noisy(shape=(*SHAPE, 3)))
    with pytest.raises(TypeError, match="not a filter"):
        pv.masking(3)


@pytest.mark.parametrize("name", FILTERS)
def test_constant_or_zero_video(name):
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        for level in (0, 77, 255):
            video = np.full(SHAPE, level, np.uint8)
            assert np.array_equal(FILTERS[name](video), video), level
        for level in (0.0, 0.3, -7.5, 1e6):
            video = np.full(SHAPE, level, np.float32)
            np.testing.assert_allclose(FILTERS[name](video), video, rtol=2e-6, atol=0)


@pytest.mark.parametrize("name", ["framewise", "spacetime", *slow("denoise")])
def test_floats_outside_0_to_1_and_negative_ones_keep_their_range(name):
    video = noisy("float64")
    level = FILTERS[name](video).mean(axis=(1, 2))
    for scale, shift in ((1000.0, 0.0), (200.0, -100.0), (1e-3, -5.0)):
        result = FILTERS[name](video * scale + shift)
        # One frame is not stretched differently from the next: no flicker.
        np.testing.assert_allclose(
            [frame.mean() for frame in result], level * scale + shift, rtol=1e-3, atol=1e-3 * scale
        )
        assert result.min() >= video.min() * scale + shift - 1e-6 * scale
        assert result.max() <= video.max() * scale + shift + 1e-6 * scale


@pytest.mark.parametrize("name", marked_slow(FILTERS, "best", "ddpm", "ced"))
def test_big_endian_strided_and_read_only_arrays(name):
    for dtype in ("uint16", "float32"):
        video = noisy(dtype)
        expected = FILTERS[name](video.copy())
        wide = np.repeat(video, 2, axis=2)[:, :, ::2]
        backwards = video[:, ::-1].copy()[:, ::-1]
        locked = video.copy()
        locked.flags.writeable = False
        for given in (video.astype(video.dtype.newbyteorder(">")), np.asfortranarray(video), wide, backwards, locked):
            before = given.copy()
            result = FILTERS[name](given)
            assert result.dtype == given.dtype
            assert np.array_equal(result, expected)
            assert np.array_equal(np.stack(list(FILTERS[name](iter(given)))), expected)
            assert np.array_equal(given, before)


@pytest.mark.parametrize("dtype", [bool, np.int64, np.uint32, complex, object, "U1"])
def test_bool_int64_complex_and_object_are_a_type_error_that_says_what_to_do(tmp_path, dtype):
    video = np.zeros(SHAPE, dtype)
    for name in ("denoise", "framewise", "spacetime"):
        for given in (video, iter(video)):
            with pytest.raises(TypeError, match=r"dtype .*; convert them to one of uint8.*astype"):
                list(FILTERS[name](given))
    if np.dtype(dtype).kind in "biuc":
        np.save(tmp_path / "v.npy", video)
        with pytest.raises(TypeError, match="convert them to one of uint8"):
            pv.run(tmp_path / "v.npy", tmp_path / "out.npy", pv.denoise)
        assert not (tmp_path / "out.npy").exists()


def test_3_channels_versus_3_frames():
    """Three axes are frames, rows, columns; four have channels last. No length is a hint."""
    video = noisy("float32", (3, 14, 17))
    for name in ("denoise", "framewise", "spacetime"):
        assert FILTERS[name](video).shape == (3, 14, 17)
        assert np.array_equal(FILTERS[name](video)[..., np.newaxis], FILTERS[name](video[..., np.newaxis]))
        assert FILTERS[name](noisy(shape=(14, 17, 3))).shape == (14, 17, 3)
    colour = noisy("float32", (1, 14, 17, 3))
    assert np.array_equal(HEAT(colour)[0], np.moveaxis(HEAT(np.moveaxis(colour[0], -1, 0)), 0, -1))
    with pytest.raises(pv.InputError, match=r"a single frame is frame\[None\]"):
        pv.denoise(video[0])


BAD = {
    "dt over bound": (lambda: pv.framewise(pv.Heat(), [0, 0.26]), r"0\.26 is above 0\.25"),
    "dt over bound in space and time": (lambda: pv.spacetime(pv.Heat(), [0, 0.2]), r"is above 0\.16"),
    "dt 0": (lambda: pv.framewise(pv.Heat(), pv.uniform(1, dt=0)), "dt"),
    "dt negative": (lambda: pv.framewise(pv.Heat(), pv.uniform(1, dt=-0.1)), "dt"),
    "dt NaN": (lambda: pv.framewise(pv.Heat(), pv.uniform(1, dt=np.nan)), "dt"),
    "time NaN": (lambda: pv.framewise(pv.Heat(), pv.uniform(np.nan)), "t_end"),
    "times NaN": (lambda: pv.framewise(pv.Heat(), [0, np.nan]), "times"),
    "times backwards": (lambda: pv.framewise(pv.Heat(), [1, 0.9]), "times"),
    "kappa 0": (lambda: pv.PeronaMalik(kappa=0), "kappa is 0"),
    "kappa negative": (lambda: pv.PeronaMalik(kappa=-1), "kappa is -1"),
    "kappa NaN": (lambda: pv.PeronaMalik(kappa=np.nan), "kappa is nan"),
    "kappa 0 of a tensor": (lambda: pv.EdgeEnhancing(0), "kappa is 0"),
    "sigma negative": (lambda: partial(pv.denoise, sigma=-1), "sigma is -1"),
    "sigma NaN": (lambda: partial(pv.denoise, sigma=np.nan), "sigma is nan"),
    "noise negative": (lambda: partial(pv.gaussian_noise, sigma=-1), "sigma"),
    "noise NaN": (lambda: partial(pv.gaussian_noise, sigma=np.nan), "sigma"),
    "spacing 0": (lambda: pv.Heat(spacing=(0, 1)), "spacing"),
    "spacing NaN": (lambda: pv.Heat(spacing=(np.nan, 1)), "spacing"),
}


@pytest.mark.parametrize("case", BAD)
def test_dt_over_bound_dt_of_0_or_less_kappa_0_sigma_negative_and_nan_parameters(case):
    make, words = BAD[case]
    with pytest.raises(pv.ParameterError, match=words):
        for _ in make()(iter(noisy())):
            pass


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize("name", marked_slow(FILTERS, "best"))
def test_a_halo_larger_than_the_array_is_right(name, frames):
    """Videos shorter than the window of a filter, and frames smaller than its stencil."""
    for shape in ((frames, 14, 17), (frames, 1, 1), (frames, 1, 9), (frames, 2, 2)):
        video = noisy(shape=shape)
        result = FILTERS[name](video)
        assert result.shape == video.shape
        assert np.isfinite(result).all()
        assert np.array_equal(np.stack(list(FILTERS[name](iter(video)))), result)
        slack = 1e-6 if name in EXTREMA else 0.25  # An estimate of what is under the noise may lie beyond it.
        assert result.min() >= video.min() - slack
        assert result.max() <= video.max() + slack


@pytest.mark.parametrize("length", [1, 2, 5, 50])
def test_a_chunk_smaller_than_the_halo_is_right(length):
    """Chunks that are filtered alone differ at their ends; those that are merged first, however short, do not."""
    video = noisy(shape=(11, 14, 17))
    for a_filter in (pv.denoise, pv.spacetime(pv.Heat(), pv.uniform(2.0))):
        merged = pv.merge(iter(pv.split(video, length)))
        assert np.array_equal(np.stack(list(a_filter(merged))), a_filter(video))
    chunks = [HEAT(chunk) for chunk in pv.split(video, length)]
    assert np.array_equal(pv.merge(chunks), HEAT(video))


EXTRAS = {
    "torch": ("torch", "pv.from_torch(lambda x, t: x)"),
    "onnxruntime": ("onnx", "pv.from_onnx('m.onnx')"),
    "matplotlib": ("plot", "pv.plot_conductances()"),
    "zarr": ("zarr", "pv.write('v.zarr', np.zeros((2, 3, 4), np.uint8))"),
}


@pytest.mark.parametrize("package", EXTRAS)
def test_an_optional_package_that_is_missing_names_the_extra(tmp_path, package):
    extra, call = EXTRAS[package]
    code = f"import sys; sys.modules[{package!r}] = None; import numpy as np, pde_video as pv; {call}"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert f'pip install ".[{extra}]"' in ran.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda frame: frame[:-1], r"returned the shape \(13, 17, 1\)"),
        (lambda frame: np.where(frame > 2, np.nan, frame), "returned NaN"),
        (lambda frame: frame.astype(int), "dtype int64"),
        (lambda frame: None, "NoneType"),
    ],
    ids=["shape", "NaN", "dtype", "nothing"],
)
@pytest.mark.parametrize("method", ["denoise", "reverse", "windowed"])
def test_a_denoiser_returning_a_wrong_shape_or_nan_is_named_with_the_frame(spoil, words, method):
    def faulty(y, sigma):
        frame = y if y.ndim == 3 else y[len(y) // 2]
        return spoil(frame) if frame.max() > 2 else frame

    video = noisy("float64")
    video[4, 2, 3] = 3.0  # Only there does it go wrong.
    a_filter = {
        "denoise": partial(pv.denoise, method="ddpm", denoiser=faulty, sigma=0.1),
        "reverse": pv.reverse(faulty, [0.1, 0.0]),
        "windowed": pv.reverse(pv.windowed(faulty, 1, 1), [0.1, 0.0]),
    }[method]
    with pytest.raises(pv.InputError, match=rf"^frame 4\b.*{words}"):
        list(a_filter(iter(video)))


def test_masking_without_a_filter_leaves_values_missing(tmp_path):
    video = np.ones((2, 3, 4), np.float32)
    video[1, 1] = np.nan
    np.save(tmp_path / "in.npy", video)
    report = planned(tmp_path / "in.npy", tmp_path / "out.npy", nan="mask").run()
    assert report["missing"] == 4
    assert np.array_equal(np.load(tmp_path / "out.npy"), video, equal_nan=True)


@pytest.mark.parametrize("equation", [equations.perona_malik, equations.tv, equations.eed, equations.ced])
def test_a_film_that_begins_black_for_long_is_unchanged_with_a_warning(equation):
    video = np.zeros((45, 6, 7), np.uint8)
    video[-1, 2:4, 3:5] = 200
    report: dict = {}
    assert np.array_equal(equation(video, report=report), video)
    assert "first frames (up to 40 are examined) are constant" in report["warnings"][0]
    report = {}
    equation(video[10:], report=report)
    assert "warnings" not in report
