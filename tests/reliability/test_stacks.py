"""TIFF stacks: axes, resolution and calibration are kept, and what is damaged or claims too much is refused."""

from __future__ import annotations

import json
import os
import struct
import sys
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
import tifffile

import pde_video as pv
from pde_video.video import tiff

FRAMES, HEIGHT, WIDTH = 7, 20, 30
SIZES = {"PhysicalSizeX": 0.325, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm"}


def stack(dtype="uint16", frames=FRAMES) -> np.ndarray:
    values = np.random.default_rng(0).random((frames, HEIGHT, WIDTH))
    return values.astype(dtype) if np.dtype(dtype).kind == "f" else (values * np.iinfo(dtype).max).astype(dtype)


def load(path, **options) -> np.ndarray:
    return np.stack(list(pv.read(path, **options)))


def write_imagej(path, video, axes="TYX", **metadata) -> None:
    metadata = {"axes": axes, "unit": "um", "spacing": 2.5, "finterval": 0.04, **metadata}
    tifffile.imwrite(path, video, imagej=True, resolution=(40 / 13, 4.0), metadata=metadata)


def directories(path) -> list[int]:
    """The places of the directories of a classic, little-endian TIFF."""
    data, places = path.read_bytes(), []
    (place,) = struct.unpack_from("<I", data, 4)
    while place:
        places.append(place)
        (tags,) = struct.unpack_from("<H", data, place)
        (place,) = struct.unpack_from("<I", data, place + 2 + 12 * tags)
    return places


@pytest.mark.parametrize("smooth", [pv.denoise, pv.framewise(pv.Heat(), pv.uniform(1.0))], ids=["denoise", "heat"])
def test_a_16_bit_imagej_stack_keeps_axes_and_calibration_and_equals_filtering_the_array(tmp_path, smooth):
    video = stack()
    write_imagej(tmp_path / "in.tif", video)
    pv.run(tmp_path / "in.tif", tmp_path / "out.tif", smooth)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        said, series, tags = file.imagej_metadata, file.series[0], file.pages[0].tags
        assert series.axes == "TYX"
        assert {"unit": "um", "spacing": 2.5, "finterval": 0.04, "frames": FRAMES}.items() <= said.items()
        assert tags["XResolution"].value == (40, 13)
        assert tags["YResolution"].value == (4, 1)
        assert series.dtype == np.uint16
        assert np.array_equal(series.asarray(), smooth(video))
    assert not np.array_equal(load(tmp_path / "out.tif"), video)
    read = pv.read(tmp_path / "out.tif")
    assert read.rate == 25
    assert read.details["axes"] == "TYX"
    assert (read.details["unit"], read.details["spacing"], read.details["interval"]) == ("µm", 2.5, 0.04)
    assert read.details["pixel_size"] == [0.325, 0.25]


@pytest.mark.parametrize("axes", ["TYX", "ZYX"])
@pytest.mark.parametrize(
    ("source", "target"), [("a.ome.tif", "b.ome.tiff"), ("a.ome.tif", "b.tif"), ("a.tif", "b.ome.tif")]
)
def test_an_ome_stack_keeps_axes_and_calibration(tmp_path, axes, source, target):
    video = stack("int16")
    if ".ome" in source:
        times = {"TimeIncrement": 40, "TimeIncrementUnit": "ms", "PhysicalSizeZ": 2.5, "PhysicalSizeZUnit": "µm"}
        tifffile.imwrite(tmp_path / source, video, metadata={"axes": axes, **SIZES, **times})
    else:
        video = stack()
        write_imagej(tmp_path / source, video, axes)
    pv.run(tmp_path / source, tmp_path / target)
    with tifffile.TiffFile(tmp_path / target) as file:
        assert file.series[0].axes == axes
        assert np.array_equal(file.asarray(), video)
        if ".ome" in target:
            said = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
            assert said | SIZES | {"PhysicalSizeZ": 2.5, "TimeIncrement": 0.04, f"Size{axes[0]}": FRAMES} == said
    read = pv.read(tmp_path / target)
    assert read.rate == (25 if axes == "TYX" else None)
    assert read.details["axes"] == axes
    assert read.details["interval"] == 0.04
    assert (read.details["unit"], read.details["spacing"]) == ("µm", 2.5)
    assert read.details["pixel_size"] == [0.325, 0.25]
    assert np.array_equal(np.stack(list(read)), video)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_colour_ome_stack_has_frames_of_three_channels(tmp_path, dtype, rng):
    video = rng.integers(0, 256, (4, 16, 24, 3)).astype(dtype)
    pv.write(tmp_path / "a.ome.tif", video)
    read = pv.read(tmp_path / "a.ome.tif")
    assert (read.count, read.channels) == (4, 3)
    np.testing.assert_array_equal(list(read), video)


@pytest.mark.parametrize(("room", "version"), [(0, 42), (1, 43)])
def test_a_stack_that_may_outgrow_32_bits_with_twice_its_frames_has_64(tmp_path, monkeypatch, room, version):
    video = stack("uint16")
    monkeypatch.setattr(tiff, "_CLASSIC_LIMIT", 2 * video.nbytes - room)
    pv.write(tmp_path / "a.tif", video)
    assert int.from_bytes((tmp_path / "a.tif").read_bytes()[2:4], sys.byteorder) == version


def test_an_ome_description_is_the_same_for_the_same_frames(tmp_path):
    for name in ("a.ome.tif", "b.ome.tif"):
        pv.write(tmp_path / name, stack())
    assert (tmp_path / "a.ome.tif").read_bytes() == (tmp_path / "b.ome.tif").read_bytes()


def test_a_plain_stack_keeps_resolution_rate_and_the_letter_of_its_axis(tmp_path):
    options = {"resolution": (300.0, Fraction(601, 2)), "resolutionunit": "INCH"}
    tifffile.imwrite(tmp_path / "in.tif", stack("float64"), metadata={"axes": "QYX", "fps": 12.5}, **options)
    pv.run(tmp_path / "in.tif", tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        tags = file.pages[-1].tags
        assert [tags[name].value for name in ("XResolution", "YResolution")] == [(300, 1), (601, 2)]
        assert tags["ResolutionUnit"].value == 2
        assert file.series[0].axes == "QYX"
    assert pv.read(tmp_path / "out.tif").rate == Fraction(25, 2)


def test_the_rate_of_a_film_is_kept_in_a_stack_exactly(tmp_path):
    pv.write(tmp_path / "in.avi", stack("uint8"), rate=Fraction(24000, 1001))
    pv.run(tmp_path / "in.avi", tmp_path / "out.tif")
    assert pv.read(tmp_path / "out.tif").rate == Fraction(24000, 1001)
    assert len(load(tmp_path / "out.tif", start=0.1)) == FRAMES - 3


def test_frames_of_another_size_lose_the_resolution_and_it_is_reported(tmp_path):
    write_imagej(tmp_path / "in.tif", stack())
    report = pv.run(tmp_path / "in.tif", tmp_path / "out.tif", lambda frames: pv.crop(frames, 0, 0, 8, 8))
    assert report["not_copied"] == ["pixel size and units"]
    assert not {"pixel_size", "resolution", "unit", "spacing"} & set(pv.read(tmp_path / "out.tif").details)
    assert pv.read(tmp_path / "out.tif").rate == 25


def test_labels_of_imagej_are_reported_as_not_kept(tmp_path):
    write_imagej(tmp_path / "in.tif", stack(), Labels=[f"frame {k}" for k in range(FRAMES)])
    assert "labels" in pv.run(tmp_path / "in.tif", tmp_path / "out.tif")["not_copied"][0]


@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif"])
def test_how_a_stack_was_made_is_in_its_software_tag(tmp_path, name):
    write_imagej(tmp_path / "in.tif", stack())
    pv.run(tmp_path / "in.tif", tmp_path / name, pv.denoise)
    made = pv.read(tmp_path / name).details["made"]
    assert made["input"] == "in.tif"
    assert made["filters"] == ["denoise"]
    assert "made" not in pv.read(tmp_path / "in.tif").details


def test_a_stack_of_unknown_length_is_a_bigtiff_with_the_right_number_of_frames(tmp_path):
    write_imagej(tmp_path / "in.tif", stack())
    source = pv.read(tmp_path / "in.tif")
    source.count = None
    pv.write(tmp_path / "out.tif", (frame for frame in source), like=source)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.is_bigtiff
        assert file.imagej_metadata["frames"] == FRAMES == len(file.pages)


@pytest.mark.parametrize("name", ["v.tif", "v.ome.tif"])
def test_truncated_tiff(tmp_path, name):
    path = tmp_path / name
    video = stack()
    pv.write(path, video)
    data, places = path.read_bytes(), directories(path)
    for length in (len(data) - 1, places[5] + 10, places[5], places[5] - 5, places[1] + 1, 9, 3):
        path.write_bytes(data[:length])
        whole = sum(place + 100 < length for place in places)
        with pytest.raises(pv.InputError, match=str(path)):
            load(path)
        if whole > 1:
            part = pv.read(path, keep_partial=True)
            kept = np.stack(list(part))
            assert len(kept) in (whole, whole - 1)
            assert np.array_equal(kept, video[: len(kept)])
            assert f"page {len(kept)}" in part.lost


@pytest.mark.parametrize("imagej", [True, False])
def test_a_tiff_cut_between_two_pages_does_not_read_as_a_shorter_one(tmp_path, imagej):
    path = tmp_path / "v.tif"
    write_imagej(tmp_path / "in.tif", stack())
    pv.run(tmp_path / "in.tif", path) if imagej else pv.write(path, stack())
    data = bytearray(path.read_bytes())
    places = directories(path)
    (tags,) = struct.unpack_from("<H", data, places[3])
    struct.pack_into("<I", data, places[3] + 2 + 12 * tags, 0 if imagej else len(data))
    path.write_bytes(data)
    with pytest.raises(pv.InputError, match="page 4"):
        load(path)
    assert len(load(path, keep_partial=True)) == 4


def write_one_directory(path, shape, size=None) -> None:
    """As ImageJ does beyond 4 GB: one directory, then all frames, here a sparse file of zeros with a last frame."""
    frame = np.zeros(shape[1:], ">u2")
    tifffile.imwrite(path, frame, imagej=True, byteorder=">", metadata={"Info": f"{'x' * 200}"})
    with tifffile.TiffFile(path, mode="r+b") as file:
        (offset,) = file.pages[0].dataoffsets
        text = f"ImageJ=1.54f\nimages={shape[0]}\nframes={shape[0]}\nhyperstack=true\nfinterval=0.5\n"
        file.pages[0].tags["ImageDescription"].overwrite(text[: 10**4])
    with path.open("r+b") as data:
        start = data.seek(0, os.SEEK_END)
        moved = start + start % 2
        data.seek(moved + (shape[0] - 1) * frame.nbytes)
        data.write(np.full(shape[1:], 7, ">u2").tobytes())
        if size is not None:
            data.truncate(moved + size)
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["StripOffsets"].overwrite(moved)
    assert offset


def test_imagej_tiff_over_4_gb(tmp_path):
    frames = 2100
    write_one_directory(tmp_path / "v.tif", (frames, 1024, 1024))
    assert (tmp_path / "v.tif").stat().st_size > 2**32
    video = pv.read(tmp_path / "v.tif", frames=(frames - 2, None))
    assert (video.count, video.rate) == (2, 2)
    assert [int(frame.max()) for frame in video] == [0, 7]
    assert video.timestamps == [Fraction(frames - 2, 2), Fraction(frames - 1, 2)]


def test_an_imagej_tiff_with_one_directory_that_is_cut_off_names_the_page(tmp_path):
    write_one_directory(tmp_path / "v.tif", (9, 8, 10), size=160 * 6 + 50)
    with pytest.raises(pv.InputError, match="page 6 is truncated"):
        load(tmp_path / "v.tif")
    assert len(load(tmp_path / "v.tif", keep_partial=True)) == 6


def test_an_imagej_tiff_with_one_directory_that_becomes_shorter_while_it_is_read_names_the_page(tmp_path):
    write_one_directory(tmp_path / "v.tif", (90, 8, 10))
    frames = iter(pv.read(tmp_path / "v.tif"))
    next(frames)
    os.truncate(tmp_path / "v.tif", 4000)
    with pytest.raises(pv.InputError, match=r"page \d+ cannot be read .*(truncated|beyond)"):
        list(frames)


@pytest.mark.parametrize(
    "pages",
    [
        [np.zeros((4, 5), np.uint8), np.zeros((6, 5), np.uint8)],
        [np.zeros((4, 5), np.uint8), np.zeros((6, 5), np.uint8), np.zeros((4, 5), np.uint8)],
        [np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint16)],
        [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.uint8)],
    ],
    ids=["two", "back and forth", "dtypes", "grey and colour"],
)
def test_tiff_with_mixed_shapes(tmp_path, pages):
    with tifffile.TiffWriter(tmp_path / "v.tiff") as file:
        for page in pages:
            file.write(page, metadata=None, photometric="rgb" if page.ndim == 3 else "minisblack")
    with pytest.raises(pv.InputError, match=r"v\.tiff: .*shape"):
        load(tmp_path / "v.tiff")


def test_an_ome_stack_with_a_page_of_another_shape_names_it(tmp_path):
    text = tifffile.OmeXml()
    text.addimage("uint8", (3, 4, 5), (3, 1, 1, 4, 5, 1), axes="TYX")
    with tifffile.TiffWriter(tmp_path / "v.ome.tif") as file:
        for number, rows in enumerate((4, 4, 6)):
            told = text.tostring() if number == 0 else None
            file.write(np.zeros((rows, 5), np.uint8), metadata=None, photometric="minisblack", description=told)
    with pytest.raises(pv.InputError, match=r"page 2 has shape \(6, 5\)"):
        load(tmp_path / "v.ome.tif")


def claim(path, height, width, **tags) -> None:
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), metadata=None, rowsperstrip=8)
    with tifffile.TiffFile(path, mode="r+b") as file:
        page = file.pages[0]
        for name, value in {"ImageLength": height, "ImageWidth": width, "RowsPerStrip": height, **tags}.items():
            page.tags[name].overwrite(value)


@pytest.mark.parametrize(
    ("height", "width"), [(60000, 60000), (2**31, 2**31), (2**32 - 1, 1)], ids=["large", "very large", "high"]
)
def test_tiff_claiming_a_huge_size(tmp_path, height, width):
    claim(tmp_path / "v.tif", height, width)
    with pytest.raises(pv.InputError, match="max_pixels"):
        pv.read(tmp_path / "v.tif")


def test_a_tiff_that_claims_more_than_it_has_is_refused_before_there_is_memory_for_it(tmp_path):
    claim(tmp_path / "v.tif", 16000, 16000)  # Within the cap, and 256 MB.
    with pytest.raises(pv.InputError, match="a frame of 256000000 bytes is stored in"):
        next(iter(pv.read(tmp_path / "v.tif")))
    with pytest.raises(pv.InputError, match="max_pixels"):
        pv.read(tmp_path / "v.tif", max_pixels=10**6)


STRANGE = [["x", 1], [True, True], [0.5], [0.5, -1], [0.5, 1e-12], [0.5, [1]], "0.5", {"x": 1}, [0.5, "1e999"]]


@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif"])
@pytest.mark.parametrize("size", [["0.5", "0.25"], *STRANGE], ids=str)
def test_a_pixel_size_is_two_lengths_or_is_named_and_left_out(tmp_path, size, name):
    said = {"shape": [6, 14, 17], "axes": "TYX", "unit": "mm", "pixel_size": size}
    options = {"photometric": "minisblack", "metadata": None, "description": json.dumps(said)}
    tifffile.imwrite(tmp_path / "in.tif", np.zeros((6, 14, 17), np.uint8), **options)
    report = pv.run(tmp_path / "in.tif", tmp_path / name)
    if size in STRANGE:
        assert report["not_copied"] == ["pixel_size of the description, which is not understood"]
        assert "pixel_size" not in pv.read(tmp_path / name).details
    else:
        assert "not_copied" not in report
        assert pv.read(tmp_path / name).details["pixel_size"] == [0.5, 0.25]


def test_directories_that_go_round_in_a_circle_are_refused(tmp_path):
    path = tmp_path / "v.tif"
    pv.write(path, stack(frames=120))
    data, places = bytearray(path.read_bytes()), directories(path)
    (tags,) = struct.unpack_from("<H", data, places[-1])
    struct.pack_into("<I", data, places[-1] + 2 + 12 * tags, places[110])
    path.write_bytes(data)
    with pytest.raises(pv.InputError, match="back to an earlier page"):
        pv.read(path)


def ome_with(path, change) -> None:
    """Write an OME stack whose description is changed."""
    document = tifffile.OmeXml()
    document.addimage("uint16", (FRAMES, HEIGHT, WIDTH), (FRAMES, 1, 1, HEIGHT, WIDTH, 1), axes="TYX")
    with tifffile.TiffWriter(path) as file:
        text = change(document.tostring())
        file.write(stack(), photometric="minisblack", metadata=None, description=text)


@pytest.mark.parametrize("size", ["SizeT", "SizeZ", "SizeC"])
def test_an_ome_stack_claiming_endless_frames_is_refused(tmp_path, size):
    count = FRAMES if size == "SizeT" else 1
    ome_with(tmp_path / "v.ome.tif", lambda text: text.replace(f'{size}="{count}"', f'{size}="{10**12}"'))
    with pytest.raises(pv.InputError, match="page 7 is missing" if size == "SizeT" else str(10**12)):
        load(tmp_path / "v.ome.tif")


ELSEWHERE = '<UUID FileName="/etc/hostname">urn:uuid:0</UUID>'


MORE = '<TiffData IFD="1"><UUID FileName="b.ome.tif">urn:uuid:1</UUID></TiffData>'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<TiffData", f'<TiffData IFD="0">{ELSEWHERE}</TiffData>{MORE}<TiffData', "several files"),
        ("<Image", '<BinaryOnly MetadataFile="m.xml" UUID="urn:uuid:0"/><Image', "several files"),
        ('IFD="0"', 'IFD="3" FirstT="0"', "order"),
        ("</Pixels>", "</Pixel>", "damaged"),
        ("<OME", '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]><OME', "document type"),
    ],
    ids=["files", "binary only", "order", "damaged", "entities"],
)
def test_an_ome_description_that_cannot_be_followed_is_refused(tmp_path, old, new, message):
    ome_with(tmp_path / "v.ome.tif", lambda text: text.replace(old, new, 1))
    with pytest.raises(pv.InputError, match=message):
        load(tmp_path / "v.ome.tif")


def test_a_renamed_ome_stack_is_read(tmp_path):
    said = f'PlaneCount="7">{ELSEWHERE}</TiffData>'
    ome_with(tmp_path / "v.ome.tif", lambda text: text.replace('PlaneCount="7"/>', said))
    assert np.array_equal(load(tmp_path / "v.ome.tif"), stack())


@pytest.mark.parametrize("imagej", [True, False])
def test_channels_are_not_taken_for_frames(tmp_path, imagej):
    options = {"imagej": imagej, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "v.tif", stack(frames=3), metadata={"axes": "CYX"}, **options)
    with pytest.raises(pv.InputError, match=r"C \(3\)"):
        pv.read(tmp_path / "v.tif")
    both = stack(frames=6).reshape(2, 3, HEIGHT, WIDTH)
    tifffile.imwrite(tmp_path / "w.tif", both, metadata={"axes": "TZYX"}, **options)
    with pytest.raises(pv.InputError, match=r"T \(2\), Z \(3\)"):
        pv.read(tmp_path / "w.tif")


@pytest.mark.parametrize(
    "options", [{"compression": "zlib"}, {"tile": (16, 16)}, {"byteorder": ">"}, {"bigtiff": True}]
)
def test_stacks_of_other_programs_are_read(tmp_path, options):
    tifffile.imwrite(tmp_path / "v.tif", stack(), **options)
    assert np.array_equal(load(tmp_path / "v.tif"), stack())
    chosen = [frame for frame in islice(pv.read(tmp_path / "v.tif", frames=(2, 5)), 10)]
    assert np.array_equal(chosen, stack()[2:5])


def test_a_page_whose_data_are_left_out_does_not_read_as_zeros(tmp_path):
    tifffile.imwrite(tmp_path / "v.tif", stack(), compression="zlib", metadata=None)
    with tifffile.TiffFile(tmp_path / "v.tif", mode="r+b") as file:
        file.pages[4].tags["StripByteCounts"].overwrite(0)
    with pytest.raises(pv.InputError, match="page 4"):
        load(tmp_path / "v.tif")
    assert len(load(tmp_path / "v.tif", keep_partial=True)) == 4


def test_a_damaged_compressed_page_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "v.tif", stack(), compression="zlib", metadata=None)
    with tifffile.TiffFile(tmp_path / "v.tif") as file:
        offset = file.pages[4].dataoffsets[0]
    data = bytearray((tmp_path / "v.tif").read_bytes())
    data[offset : offset + 40] = bytes(40)
    (tmp_path / "v.tif").write_bytes(data)
    with pytest.raises(pv.InputError, match="page 4"):
        load(tmp_path / "v.tif")


NOTES = {"datetime": "2024:05:06 07:08:09", "extratags": [(315, 2, 0, "Jörg".encode(), True)]}


@pytest.mark.parametrize("frames", [1, FRAMES])
def test_date_artist_program_and_free_text_of_a_tiff_are_kept(tmp_path, frames):
    options = {"description": "Zelle 5, 37 °C".encode(), "software": "Microscope 7", "metadata": None, **NOTES}
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        for frame in stack(frames=frames):
            file.write(frame, **options)
    for _ in range(2):  # Also of what was written here.
        report = pv.run(tmp_path / "in.tif", tmp_path / "out.tif", force=True)
        assert "not_copied" not in report
        assert np.array_equal(load(tmp_path / "out.tif"), stack(frames=frames))
        with tifffile.TiffFile(tmp_path / "out.tif") as file:
            tags = {tag.name: tag.value for tag in file.pages[0].tags}
        assert (tags["ImageDescription"], tags["Artist"]) == ("Zelle 5, 37 °C", "Jörg")
        assert tags["DateTime"] == NOTES["datetime"]
        assert tags["Software"].startswith("Microscope 7 pde_video {")
        assert tags["Software"].count("pde_video {") == 1
        (tmp_path / "out.tif").rename(tmp_path / "in.tif")


def test_free_text_that_gives_way_to_ome_is_reported(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", stack(), description="cell 5", metadata=None)
    report = pv.run(tmp_path / "in.tif", tmp_path / "out.ome.tif")
    assert report["not_copied"] == ["description"]
    write_imagej(tmp_path / "other.tif", stack())
    assert "not_copied" not in pv.run(tmp_path / "other.tif", tmp_path / "again.ome.tif")  # Its text is no free one.


def test_what_of_ome_is_not_kept_is_reported(tmp_path):
    planes = {"DeltaT": [0.0, 0.1, 0.3, 0.4, 0.5, 0.6, 0.7]}
    told = {"axes": "TYX", "Description": "cell 5", "Channel": {"Name": "DAPI"}, "Plane": planes}
    tifffile.imwrite(tmp_path / "in.ome.tif", stack(), metadata=told)
    report = pv.run(tmp_path / "in.ome.tif", tmp_path / "out.ome.tif")
    assert [name.split()[1] for name in report["not_copied"]] == ["description", "names", "times"]
    assert "not_copied" not in pv.run(tmp_path / "out.ome.tif", tmp_path / "again.tif")


def test_calibration_that_a_format_has_no_room_for_is_reported(tmp_path):
    write_imagej(tmp_path / "in.tif", stack())
    for name in ("out.npy", "out.mkv"):
        report = pv.run(tmp_path / "in.tif", tmp_path / name)
        assert {"resolution", "pixel size and units"} <= set(report["not_copied"])
        assert "warnings" not in report


def test_a_rate_that_is_given_is_in_the_stack(tmp_path):
    pv.write(tmp_path / "v.tif", stack(), rate=Fraction(24000, 1001))
    assert pv.read(tmp_path / "v.tif").rate == Fraction(24000, 1001)
    pv.write(tmp_path / "w.tif", stack())
    assert pv.read(tmp_path / "w.tif").rate is None
