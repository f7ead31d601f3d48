"""TIFF pages however they are stored: depths, predictors, palettes, orientation, codecs of the extra `tiff`."""

from __future__ import annotations

import builtins
import importlib.util
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

import pde_video as pv

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 36, 3)).astype(np.uint8)
PAGES = {"photometric": "minisblack", "metadata": None}
WIDE = PICTURE.astype(np.uint16) * 200 + 5


def frame_of(path) -> np.ndarray:
    (frame,) = pv.read(path)
    return frame


def store(path, rows: np.ndarray, tags: dict[int, tuple[int, list[int]]], order: str = "<") -> None:
    """Write bytes as the one strip of a classic TIFF whose tags are given as (type, values)."""
    formats = {1: "u1", 3: "u2", 4: "u4"}
    data = rows.tobytes()
    tags = {273: (4, [8]), 279: (4, [len(data)]), **tags}
    place, entries, values = 8 + len(data), b"", b""
    after = place + 2 + 12 * len(tags) + 4
    for code, (kind, numbers) in sorted(tags.items()):
        value = np.array(numbers).astype(order + formats[kind]).tobytes()
        field = value.ljust(4, b"\0") if len(value) <= 4 else np.array(after + len(values), order + "u4").tobytes()
        values += value if len(value) > 4 else b""
        entries += np.array([code, kind], order + "u2").tobytes()
        entries += np.array(len(numbers), order + "u4").tobytes() + field
    header = {"<": b"II*\0", ">": b"MM\0*"}[order] + np.array(place, order + "u4").tobytes()
    count = np.array(len(tags), order + "u2").tobytes()
    path.write_bytes(header + data + count + entries + bytes(4) + values)


def grey_tags(height: int, width: int, bits: int, photometric: int = 1) -> dict[int, tuple[int, list[int]]]:
    return {256: (4, [width]), 257: (4, [height]), 258: (3, [bits]), 262: (3, [photometric])}


def packed(values: np.ndarray, bits: int) -> np.ndarray:
    """Rows of numbers of so many bits, one after another, each row from a byte of its own on."""
    of_each = (values[..., None].astype(np.uint32) >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(of_each.reshape(len(values), -1).astype(np.uint8), axis=1)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 7, 9, 10, 12, 14, 15, 24, 31])
def test_any_number_of_bits_is_read(tmp_path, bits, order):
    values = np.random.default_rng(bits).integers(0, 2**bits, (13, 21))
    store(tmp_path / "v.tif", packed(values, bits), grey_tags(13, 21, bits), order)
    expected = np.rint(values * 255 / (2**bits - 1)) if bits < 8 else values
    frame = frame_of(tmp_path / "v.tif")
    assert frame.dtype == (np.uint8 if bits < 8 else np.uint16 if bits < 16 else np.uint32)
    np.testing.assert_array_equal(frame, expected)
    store(tmp_path / "w.tif", packed(values, bits), grey_tags(13, 21, bits, photometric=0), order)
    most = 255 if bits < 8 else 2**bits - 1
    np.testing.assert_array_equal(frame_of(tmp_path / "w.tif"), most - expected)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 10, 12, 14])
def test_any_number_of_bits_is_read_in_colour(tmp_path, bits, planar):
    values = np.random.default_rng(bits).integers(0, 2**bits, (13, 21, 3))
    tags = grey_tags(13, 21, bits, photometric=2) | {258: (3, [bits] * 3), 277: (3, [3]), 284: (3, [1 + planar])}
    rows = packed(values.reshape(13, -1), bits)
    if planar:
        rows = np.stack([packed(values[..., plane], bits) for plane in range(3)])
        size = rows[0].size
        tags |= {273: (4, [8, 8 + size, 8 + 2 * size]), 279: (4, [size] * 3)}
    store(tmp_path / "v.tif", rows, tags)
    expected = np.rint(values * 255 / (2**bits - 1)) if bits < 8 else values
    np.testing.assert_array_equal(frame_of(tmp_path / "v.tif"), expected)


def test_sizes_of_strips_may_be_left_out(tmp_path):
    options = {"metadata": None, "photometric": "rgb"}
    for name, more in {"many": {"rowsperstrip": 3}, "one": {"compression": "zlib"}}.items():
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, PICTURE, **options, **more)
        data = path.read_bytes()
        path.write_bytes(data.replace(np.array([279, 4], "<u2").tobytes(), np.array([65000, 4], "<u2").tobytes(), 1))
        np.testing.assert_array_equal(frame_of(path), PICTURE)


def test_bits_from_the_lowest_on_are_read(tmp_path):
    values = np.random.default_rng(1).integers(0, 2, (9, 19))
    tags = grey_tags(9, 19, 1) | {266: (3, [2])}
    store(tmp_path / "v.tif", np.packbits(values.astype(np.uint8), axis=1, bitorder="little"), tags)
    np.testing.assert_array_equal(frame_of(tmp_path / "v.tif"), 255 * values)


@pytest.mark.parametrize("options", [{}, {"planarconfig": "separate"}, {"tile": (16, 16)}, {"rowsperstrip": 3}])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_not_written(tmp_path, orientation, options):
    # Where the first row and the first column of the stored picture are: each letter's side.
    rows, columns = "TTBBLRRL"[orientation - 1], "LRRLTTBB"[orientation - 1]
    stored = PICTURE.transpose(2, 0, 1) if "planarconfig" in options else PICTURE
    tifffile.imwrite(
        tmp_path / "in.tif", stored, photometric="rgb", extratags=[(274, 3, 1, orientation, True)], **options
    )
    expected = PICTURE if rows in "TB" else PICTURE.transpose(1, 0, 2)
    expected = expected[::-1] if "B" in (rows, columns) else expected
    expected = expected[:, ::-1] if "R" in (rows, columns) else expected
    np.testing.assert_array_equal(frame_of(tmp_path / "in.tif"), expected)
    assert pv.read(tmp_path / "in.tif").size == expected.shape[:2]
    assert "not_copied" not in pv.run(tmp_path / "in.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert 274 not in file.pages[0].tags
        np.testing.assert_array_equal(file.asarray(), expected)


def test_the_resolution_of_a_turned_picture_is_turned(tmp_path):
    options = {"resolution": (100, 200), "resolutionunit": "INCH", "extratags": [(274, 3, 1, 6, True)]}
    tifffile.imwrite(tmp_path / "in.tif", PICTURE, **options)
    pv.run(tmp_path / "in.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        tags = file.pages[0].tags
        assert [tags[name].value for name in ("XResolution", "YResolution")] == [(200, 1), (100, 1)]


@pytest.mark.parametrize(
    ("scale", "dtype"), [(1, "uint8"), (256, "uint8"), (257, "uint8"), (250, "uint16")], ids=["8", "256", "257", "16"]
)
def test_a_palette_becomes_its_colours(tmp_path, scale, dtype):
    colours = np.random.default_rng(2).integers(0, 256, (3, 256))
    table = (colours * scale).astype(np.uint16)
    indices = PICTURE[..., 0]
    tifffile.imwrite(tmp_path / "in.tif", indices, photometric="palette", colormap=table, metadata=None)
    frame = frame_of(tmp_path / "in.tif")
    assert frame.dtype == dtype
    np.testing.assert_array_equal(frame, (colours if dtype == "uint8" else table).T[indices])


def test_the_palette_of_a_measured_stack_is_for_display(tmp_path):
    table = np.stack([np.zeros(256), np.arange(256) * 257, np.zeros(256)]).astype(np.uint16)
    options = {"description": "ImageJ=1.54f\nimages=1\n", "metadata": None}
    tifffile.imwrite(tmp_path / "in.tif", PICTURE[..., 0], photometric="palette", colormap=table, **options)
    report = pv.run(tmp_path / "in.tif", tmp_path / "out.tif")
    np.testing.assert_array_equal(frame_of(tmp_path / "out.tif"), PICTURE[..., 0])
    assert any("palette" in said for said in report["not_copied"])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16", "F"])
@pytest.mark.parametrize("compression", ["raw", "packbits", "tiff_adobe_deflate", "tiff_lzw"])
def test_pictures_of_another_program_are_read_as_it_reads_them(tmp_path, mode, compression):
    if compression == "tiff_lzw":
        pytest.importorskip("imagecodecs", reason="needs the extra tiff")
    image = Image.fromarray(WIDE[..., 0]) if mode == "I;16" else Image.fromarray(PICTURE).convert(mode)
    image.save(tmp_path / "v.tif", compression=compression)
    shown = image.convert({"1": "L", "P": "RGB"}.get(mode, mode))
    np.testing.assert_array_equal(frame_of(tmp_path / "v.tif"), np.asarray(shown))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("shape", ["strips", "tiles"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_predictors_are_undone_without_a_package(tmp_path, dtype, shape, order):
    values = (WIDE[..., 0] / 255 if dtype[0] == "f" else WIDE[..., 0] // 250).astype(dtype)
    floating = dtype[0] == "f"
    size = (20, 36) if shape == "strips" else (32, 48)
    padded = np.zeros(size, dtype)
    padded[:20, :36] = values
    if floating:  # Bytes of a row, the highest of all samples first; then differences.
        planes = np.moveaxis(padded.astype(f">{dtype[0]}{padded.itemsize}").view(np.uint8).reshape(*size, -1), 2, 1)
        stored = planes.reshape(size[0], -1).copy()
    else:
        stored = padded.copy()
    stored[:, 1:] -= stored[:, :-1].copy()
    data = np.frombuffer(zlib.compress(stored.astype(stored.dtype.newbyteorder(order)).tobytes()), np.uint8)
    tags = grey_tags(20, 36, 8 * padded.itemsize) | {259: (3, [8]), 317: (3, [3 if floating else 2])}
    tags[339] = (3, [{"u": 1, "i": 2, "f": 3}[dtype[0]]])
    if shape == "tiles":
        tags |= {322: (3, [48]), 323: (3, [32]), 324: (4, [8]), 325: (4, [len(data)])}
    store(tmp_path / "v.tif", data, tags, order)
    np.testing.assert_array_equal(frame_of(tmp_path / "v.tif"), values)
    if importlib.util.find_spec("imagecodecs"):  # Another reader agrees that this is how it is stored.
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "v.tif"), values)


@pytest.mark.parametrize("compression", ["lzw", "zstd", "jpeg", "packbits", "zlib", "lzma"])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"rowsperstrip": 8}, {"predictor": True}])
def test_codecs_are_read_as_another_reader_does(tmp_path, compression, options):
    pytest.importorskip("imagecodecs", reason="needs the extra tiff")
    if "predictor" in options and compression in ("jpeg", "packbits"):
        pytest.skip("no predictor with this codec")
    colour, apart = {"photometric": "rgb"}, {"photometric": "rgb", "planarconfig": "separate"}
    pictures = {
        "colour": (PICTURE, colour),
        "grey": (PICTURE[..., 0], {}),
        "apart": (PICTURE.transpose(2, 0, 1), apart),
    }
    for name, (picture, meaning) in pictures.items():
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, picture, compression=compression, **meaning, **options)
        expected = tifffile.imread(path)
        np.testing.assert_array_equal(frame_of(path), expected.transpose(1, 2, 0) if name == "apart" else expected)


def test_colour_in_jpeg_becomes_rgb(tmp_path):
    pytest.importorskip("imagecodecs", reason="needs the extra tiff")
    smooth = np.add.outer(np.arange(0, 160, 5), np.arange(0, 96, 2))[..., None] * [1.0, 0.5, 0.25]
    picture = smooth.astype(np.uint8)
    options = {"compression": "jpeg", "compressionargs": {"level": 98}}
    tifffile.imwrite(tmp_path / "v.tif", picture, photometric="rgb", **options)
    assert np.abs(frame_of(tmp_path / "v.tif").astype(int) - picture).max() <= 6
    Image.fromarray(picture).save(tmp_path / "w.tif", compression="jpeg", quality=98)
    with Image.open(tmp_path / "w.tif") as image:
        assert np.abs(frame_of(tmp_path / "w.tif").astype(int) - np.asarray(image.convert("RGB"))).max() <= 2


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_fax_is_read_as_another_reader_does(tmp_path, compression):
    pytest.importorskip("imagecodecs", reason="needs the extra tiff")
    image = Image.fromarray(np.kron(np.eye(9, dtype=bool), np.ones((4, 5), bool)))
    image.save(tmp_path / "v.tif", compression=compression)
    np.testing.assert_array_equal(frame_of(tmp_path / "v.tif"), np.asarray(image.convert("L")))


def test_a_missing_package_is_named_before_any_pixel_is_read(tmp_path, monkeypatch, capsys):
    from pde_video.cli import main

    Image.fromarray(PICTURE).save(tmp_path / "v.tif", compression="tiff_lzw")
    found = builtins.__import__

    def without(name, *rest):
        if name == "imagecodecs":
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(pv.InputError, match=r"LZW: imagecodecs is not installed; .*\[tiff\]"):
        pv.read(tmp_path / "v.tif")
    with pytest.raises(SystemExit, match="4"):
        main(["info", str(tmp_path / "v.tif")])
    assert "imagecodecs" in capsys.readouterr().err


def test_reduced_pictures_and_masks_are_left_out_and_named(tmp_path):
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        for frame in (PICTURE, WIDE):
            small = frame[::2, ::2]
            options = {"metadata": None, "photometric": "rgb"}
            file.write(PICTURE if frame is PICTURE else PICTURE[::-1].copy(), **options)
            file.write(small, subfiletype=1, **options)
    video = pv.read(tmp_path / "in.tif")
    assert video.count == 2
    np.testing.assert_array_equal(list(video), [PICTURE, PICTURE[::-1]])
    assert pv.run(tmp_path / "in.tif", tmp_path / "out.tif")["not_copied"] == ["2 pictures of reduced size, or masks"]


def test_a_lone_picture_that_calls_itself_reduced_is_read(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", PICTURE, subfiletype=1)
    np.testing.assert_array_equal(frame_of(tmp_path / "in.tif"), PICTURE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"photometric": "separated", "data": np.zeros((8, 8, 4), np.uint8)}, "CMYK"),
        ({"photometric": "ycbcr", "data": PICTURE}, "YCBCR"),
        ({"photometric": "cielab", "data": PICTURE}, "CIELAB"),
        ({"photometric": "miniswhite", "data": np.zeros((8, 8), np.float32)}, "MINISWHITE"),
        ({"photometric": "minisblack", "data": np.zeros((2, 16, 16), np.uint8), "volumetric": True}, "2 deep"),
    ],
    ids=["cmyk", "ycbcr", "lab", "inverted floats", "depth"],
)
def test_what_is_not_read_is_refused_with_its_name(tmp_path, options, message):
    data = options["data"]
    tifffile.imwrite(tmp_path / "v.tif", data, **{key: one for key, one in options.items() if key != "data"})
    with pytest.raises(pv.InputError, match=message):
        pv.read(tmp_path / "v.tif")


def test_pages_of_several_channels_of_scanimage_are_not_taken_for_frames(tmp_path):
    for channels, refused in (("[1;2]", True), ("[1]", False)):
        software = f"SI.VERSION_MAJOR = 5\nSI.hChannels.channelSave = {channels}\n"
        tifffile.imwrite(tmp_path / "v.tif", np.zeros((4, 8, 8), np.int16), software=software, **PAGES)
        if refused:
            with pytest.raises(pv.InputError, match="several channels"):
                pv.read(tmp_path / "v.tif")
        else:
            assert pv.read(tmp_path / "v.tif").count == 4


def test_pages_along_axes_that_a_vendors_tags_tell_are_not_taken_for_frames(tmp_path):
    for frames in (1, 3):
        tags = [(34412, 7, 8, b"CZ LSM 1", True)]
        tifffile.imwrite(tmp_path / "v.tif", np.zeros((frames, 8, 8), np.uint8), extratags=tags, **PAGES)
        if frames > 1:
            with pytest.raises(pv.InputError, match="Zeiss LSM"):
                pv.read(tmp_path / "v.tif")
        else:
            assert pv.read(tmp_path / "v.tif").count == 1


def test_a_stack_that_becomes_shorter_while_it_is_read_names_the_page(tmp_path):
    path = tmp_path / "v.tif"
    pv.write(path, np.zeros((50, 40, 40), np.uint16))
    frames = iter(pv.read(path))
    next(frames)
    with path.open("r+b") as file:
        file.truncate(40_000)
    with pytest.raises(pv.InputError, match=r"page \d+ cannot be read .*truncated"):
        list(frames)
