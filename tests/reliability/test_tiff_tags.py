"""Tags of a TIFF besides its pixels: kept where they still hold, and otherwise named."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

import pde_video as pv

PICTURE = np.random.default_rng(0).integers(0, 256, (20, 36)).astype(np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (20, 36, 3)).astype(np.uint8)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TEXTS = {269: "Zelle 5", 271: "Maker", 272: "Model 7", 285: "page", 315: "Jörg", 316: "host", 33432: "© 2026"}
GEO = {
    33550: (12, [2.5, 2.5, 0.0]),
    33922: (12, [0.0, 0.0, 0.0, 350000.25, 5200000.5, 0.0]),
    34735: (3, [1, 1, 0, 2, 1024, 0, 1, 1, 1026, 34737, 5, 0]),
    34736: (12, [6378137.0, 298.257223563]),
    34737: (2, "UTM 32|"),
}


def tagged(tags: dict[int, tuple[int, object]]) -> list[tuple[int, int, int, object, bool]]:
    made = []
    for code, (kind, value) in tags.items():
        value = value.encode() if isinstance(value, str) else value
        count = 0 if kind == 2 else len(value)
        made.append((code, kind, count, value if isinstance(value, bytes) else tuple(value), True))
    return made


def tags_of(path) -> dict[int, object]:
    with tifffile.TiffFile(path) as file:
        return {tag.code: tag.value for tag in file.pages[0].tags}


def test_texts_are_kept_as_they_are(tmp_path):
    tags = tagged({code: (2, text) for code, text in TEXTS.items()})
    tifffile.imwrite(tmp_path / "in.tif", PICTURE, extratags=tags, metadata=None, datetime="2024:05:06 07:08:09")
    report = pv.run(tmp_path / "in.tif", tmp_path / "out.tif", lambda frames: pv.crop(frames, 0, 0, 8, 8))
    assert "not_copied" not in report
    kept = tags_of(tmp_path / "out.tif")
    assert {code: kept[code] for code in TEXTS} == TEXTS
    assert kept[306] == "2024:05:06 07:08:09"


def test_places_on_the_ground_are_kept_where_the_size_is(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", PICTURE, extratags=tagged(GEO), metadata=None)
    assert "not_copied" not in pv.run(tmp_path / "in.tif", tmp_path / "out.tif")
    before, after = tags_of(tmp_path / "in.tif"), tags_of(tmp_path / "out.tif")
    assert {code: after[code] for code in GEO} == {code: before[code] for code in GEO}
    report = pv.run(tmp_path / "in.tif", tmp_path / "cut.tif", lambda frames: pv.crop(frames, 0, 0, 8, 8))
    assert report["not_copied"] == ["GeoTIFF tags"]
    assert not set(GEO) & set(tags_of(tmp_path / "cut.tif"))
    turned = [*tagged(GEO), (274, 3, 1, 3, True)]
    tifffile.imwrite(tmp_path / "turned.tif", PICTURE, extratags=turned, metadata=None)
    assert len(pv.run(tmp_path / "turned.tif", tmp_path / "upright.tif")["not_copied"]) == len(GEO)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_a_value_for_no_data_is_kept_where_values_are(tmp_path, photometric):
    tags = tagged({42112: (2, "<GDALMetadata><Item name='x'>1</Item></GDALMetadata>"), 42113: (2, "255")})
    tifffile.imwrite(tmp_path / "in.tif", PICTURE, extratags=tags, photometric=photometric, metadata=None)
    report = pv.run(tmp_path / "in.tif", tmp_path / "out.tif")
    kept = tags_of(tmp_path / "out.tif")
    assert "GDALMetadata" in kept[42112]
    if photometric == "minisblack":
        assert "not_copied" not in report
        assert kept[42113] == "255"
        source, report = pv.read(tmp_path / "in.tif"), {}
        pv.write(tmp_path / "wide.tif", [frame * 1.0 for frame in source], like=source, report=report)
        assert report["not_copied"] == ["value for no data (GDAL)"]
    else:
        assert ["GDAL_NODATA" in said for said in report["not_copied"]] == [True]


@pytest.mark.parametrize("names", [("in.tif", "out.tif"), ("in.png", "out.tif"), ("in.tif", "out.png")])
def test_a_colour_profile_and_a_resolution_go_from_picture_to_picture(tmp_path, names):
    source, target = (tmp_path / name for name in names)
    Image.fromarray(COLOUR).save(source, icc_profile=PROFILE, dpi=(300, 300))
    report = pv.run(source, target)
    assert "ICC profile" not in report.get("not_copied", ())
    with Image.open(target) as image:
        assert image.info["icc_profile"] == PROFILE
        if names[1] == "out.tif":
            assert image.info["dpi"] == pytest.approx((300, 300), rel=1e-4)
    video, report = pv.read(source), {}
    pv.write(tmp_path / "grey.tif", [frame[..., 0] for frame in video], like=video, report=report)
    assert "ICC profile" in report["not_copied"]
    assert 34675 not in tags_of(tmp_path / "grey.tif")


def test_other_tags_are_named(tmp_path):
    others = [330, 700, 33723, 34377, 34665, 34853, 65000]
    tags = [(65100 + k, 4, 1, 8, True) for k in range(len(others))]  # The library writes no such tags.
    tifffile.imwrite(tmp_path / "in.tif", COLOUR, extratags=tags, metadata=None)
    data = (tmp_path / "in.tif").read_bytes()
    for (written, *_), code in zip(tags, others, strict=True):
        data = data.replace(np.array([written, 4], "<u2").tobytes(), np.array([code, 4], "<u2").tobytes())
    (tmp_path / "in.tif").write_bytes(data)
    said = pv.run(tmp_path / "in.tif", tmp_path / "out.tif")["not_copied"]
    names = ["further pictures (SubIFDs)", "XMP data", "IPTC data", "Photoshop data", "EXIF data", "GPS data"]
    assert said == [*names, "tag 65000"]
    assert pv.read(tmp_path / "in.tif").details["not_kept"] == said


def test_many_other_tags_are_counted(tmp_path):
    tags = [(65000 + k, 3, 1, k, True) for k in range(50)]
    tifffile.imwrite(tmp_path / "in.tif", PICTURE, extratags=tags, metadata=None)
    said = pv.run(tmp_path / "in.tif", tmp_path / "out.tif")["not_copied"]
    assert (len(said), said[-1]) == (21, "30 further tags")


def test_tags_of_later_pages_that_differ_are_named(tmp_path):
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        for second in range(3):
            tags = tagged(
                {33432: (2, "the same everywhere"), 65000: (3, [second]), 42112: (2, "<a/>" * 50 + str(second))}
            )
            file.write(PICTURE, datetime=f"2024:05:06 07:08:0{second}", extratags=tags, metadata=None)
    said = pv.run(tmp_path / "in.tif", tmp_path / "out.tif")["not_copied"]
    assert sorted(said) == [
        "tag 306 (DateTime) of later pages",
        "tag 42112 (GDAL_METADATA) of later pages",
        "tag 65000",
        "tag 65000 of later pages",
    ]


def test_tags_are_reported_where_there_is_no_room_for_them(tmp_path):
    tags = [*tagged(GEO), *tagged({code: (2, text) for code, text in TEXTS.items()})]
    tifffile.imwrite(tmp_path / "in.tif", COLOUR, extratags=tags, iccprofile=PROFILE, metadata=None)
    said = pv.run(tmp_path / "in.tif", tmp_path / "out.npy")["not_copied"]
    assert {"GeoTIFF tags", "ICC profile", "copyright", "artist", "model of the device"} <= set(said)


def test_what_samples_beyond_the_colours_mean_is_kept(tmp_path):
    four = np.concatenate([COLOUR, PICTURE[..., None]], axis=2)
    for meaning in ("assocalpha", "unassalpha", "unspecified"):
        tifffile.imwrite(tmp_path / "in.tif", four, photometric="rgb", extrasamples=[meaning], metadata=None)
        pv.run(tmp_path / "in.tif", tmp_path / "out.tif", force=True)
        assert tags_of(tmp_path / "out.tif")[338] == tags_of(tmp_path / "in.tif")[338]
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), four)
    tifffile.imwrite(tmp_path / "bands.tif", four, photometric="minisblack", planarconfig="contig", metadata=None)
    pv.run(tmp_path / "bands.tif", tmp_path / "again.tif")
    assert tags_of(tmp_path / "again.tif")[262] == 1


def test_a_damaged_tag_is_named_and_the_picture_is_read(tmp_path):
    tags = tagged({33432: (2, "a copyright"), 65000: (2, "a private text")})
    tifffile.imwrite(tmp_path / "in.tif", PICTURE, extratags=tags, metadata=None)
    data = bytearray((tmp_path / "in.tif").read_bytes())
    for code in (33432, 65000):
        at = data.index(np.array([code, 2], "<u2").tobytes())
        data[at + 8 : at + 12] = b"\xff\xff\xff\x7f"  # Where its text is.
    (tmp_path / "in.tif").write_bytes(data)
    video = pv.read(tmp_path / "in.tif")
    np.testing.assert_array_equal(list(video), [PICTURE])
    assert video.details["not_kept"] == ["tag 33432 (Copyright)", "tag 65000"]


def test_info_shows_tags(tmp_path, capsys):
    from pde_video.cli import main

    tags = [*tagged(GEO), *tagged({33432: (2, "© 2026")})]
    tifffile.imwrite(tmp_path / "in.tif", COLOUR, extratags=tags, iccprofile=PROFILE, metadata=None)
    with pytest.raises(SystemExit, match="0"):
        main(["info", str(tmp_path / "in.tif")])
    shown = capsys.readouterr().out
    assert "© 2026" in shown
    assert f"{len(PROFILE):,} bytes" in shown
