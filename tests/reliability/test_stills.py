"""PNG and JPEG pictures: a stated policy for every kind, nothing larger than allowed, nothing that is damaged."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

import pde_video as pv

GREY = (np.arange(20 * 30).reshape(20, 30) % 251).astype(np.uint8)
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)


def first(path, **options) -> np.ndarray:
    return next(iter(pv.read(path, **options)))


def test_palette_alpha_grey_and_one_bit_have_a_stated_policy(tmp_path):
    """A palette becomes its colours, one bit black and white, transparency of any kind a fourth channel."""
    palette = Image.fromarray(COLOUR).quantize(16)
    alpha = np.dstack([COLOUR, GREY])
    cases = {
        "palette": (palette, {}, np.asarray(palette.convert("RGB"))),
        "palette with alpha": (palette, {"transparency": 3}, None),
        "grey": (Image.fromarray(GREY), {}, GREY),
        "grey, one value transparent": (
            Image.fromarray(GREY),
            {"transparency": 7},
            np.dstack([GREY, GREY, GREY, np.where(GREY == 7, 0, 255).astype(np.uint8)]),
        ),
        "grey with alpha": (
            Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(255 - GREY)]),
            {},
            np.dstack([GREY, GREY, GREY, 255 - GREY]),
        ),
        "alpha": (Image.fromarray(alpha), {}, alpha),
        "one bit": (Image.fromarray(GREY > 100), {}, np.where(GREY > 100, 255, 0).astype(np.uint8)),
        "16 bits": (Image.fromarray(GREY.astype(np.uint16) * 250), {}, GREY.astype(np.uint16) * 250),
    }
    for name, (picture, options, expected) in cases.items():
        picture.save(tmp_path / f"{name}.png", **options)
        read = first(tmp_path / f"{name}.png")
        if expected is None:
            assert read.shape == (20, 30, 4)
            assert set(np.unique(read[..., 3])) == {0, 255}
        else:
            assert read.dtype == expected.dtype, name
            assert np.array_equal(read, expected), name
        pv.run(tmp_path / f"{name}.png", tmp_path / f"{name} again.png")
        assert np.array_equal(first(tmp_path / f"{name} again.png"), read)


def png(kind: int, bits: int, width: int, height: int, rows: bytes) -> bytes:
    """The bytes of a PNG, by its specification."""
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": zlib.compress(rows), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (4, 2), (2, 3), (6, 4)], ids=["grey", "alpha", "RGB", "RGBA"])
def test_16_bits_are_kept_with_colour_and_alpha(tmp_path, kind, channels):
    values = np.random.default_rng(0).integers(0, 2**16, (5, 7, channels)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    (tmp_path / "v.png").write_bytes(png(kind, 16, 7, 5, rows))
    read = first(tmp_path / "v.png")
    expected = {1: values[..., 0], 2: values[..., [0, 0, 0, -1]]}.get(channels, values)
    assert read.dtype == np.uint16
    assert np.array_equal(read, expected)


def test_a_cmyk_picture_is_refused(tmp_path):
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "v.jpg")
    with pytest.raises(pv.InputError, match="CMYK"):
        pv.read(tmp_path / "v.jpg")


def test_an_animated_png_is_refused(tmp_path):
    pictures = [Image.fromarray(GREY + k) for k in range(3)]
    pictures[0].save(tmp_path / "v.png", save_all=True, append_images=pictures[1:])
    with pytest.raises(pv.InputError, match="animated"):
        pv.read(tmp_path / "v.png")


@pytest.mark.parametrize("kind", ["grey", "colour", "wide"])
@pytest.mark.parametrize("name", ["v.png", "v.jpg"])
def test_a_picture_cut_off_is_bad_input(tmp_path, name, kind):
    picture = {"grey": GREY, "colour": COLOUR, "wide": COLOUR.astype(np.uint16) * 257}[kind]
    picture = picture.astype(np.uint8) if name == "v.jpg" else picture
    pv.write(tmp_path / name, picture[None])
    data = (tmp_path / name).read_bytes()
    for share in (0.02, 0.3, 0.7, 0.9):
        (tmp_path / name).write_bytes(data[: int(share * len(data))])
        with pytest.raises(pv.InputError, match=name):
            first(tmp_path / name)


@pytest.mark.parametrize("wide", [False, True])
def test_a_flipped_bit_in_a_png_is_bad_input(tmp_path, wide):
    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint16 if wide else np.uint8)
    pv.write(tmp_path / "v.png", picture[None])
    data = bytearray((tmp_path / "v.png").read_bytes())
    data[data.index(b"IDAT") + 60] ^= 8
    (tmp_path / "v.png").write_bytes(data)
    with pytest.raises(pv.InputError, match=r"v\.png"):
        pv.read(tmp_path / "v.png")


def large_png(width: int, height: int) -> bytes:
    return png(2, 8, width, height, bytes(100))


def large_jpeg(width: int, height: int) -> bytes:
    components = bytes([1, 17, 0, 2, 17, 1, 3, 17, 1])
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + components
    return b"\xff\xd8" + frame + b"\xff\xda" + bytes(20)


@pytest.mark.parametrize(("name", "header"), [("v.png", large_png), ("v.jpg", large_jpeg)])
def test_a_picture_claiming_a_huge_size_is_refused_before_it_is_decoded(tmp_path, name, header):
    (tmp_path / name).write_bytes(header(60000, 60000))
    with pytest.raises(pv.InputError, match="max_pixels"):
        pv.read(tmp_path / name)


def test_the_cap_holds_for_every_picture_of_a_sequence(tmp_path):
    pv.write(tmp_path / "f_1.png", GREY[None])
    (tmp_path / "f_2.png").write_bytes(large_png(60000, 60000))
    with pytest.raises(pv.InputError, match=r"f_2\.png.*max_pixels"):
        list(pv.read(tmp_path / "f_%d.png"))
    with pytest.raises(pv.InputError, match="max_pixels"):
        pv.read(tmp_path / "f_1.png", max_pixels=599)
    assert pv.read(tmp_path / "f_1.png", max_pixels=600).size == (20, 30)


def test_a_large_picture_within_the_cap_brings_no_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # What Pillow warns of, at any size above.
    pv.write(tmp_path / "v.png", GREY[None])
    assert np.array_equal(first(tmp_path / "v.png"), GREY)


@pytest.mark.parametrize(("name", "dtype"), [("v.png", "u1"), ("v.png", "u2"), ("v.jpg", "u1"), ("v_%d.png", "u2")])
@pytest.mark.parametrize("filters", [[], [pv.to_gray]], ids=["colour", "grey"])
def test_how_a_picture_was_made_is_in_its_text(tmp_path, name, dtype, filters):
    pv.write(tmp_path / "in.png", COLOUR[None].astype(dtype))
    pv.run(tmp_path / "in.png", tmp_path / name, *filters)
    made = pv.read(tmp_path / name).details["made"]
    assert (made["input"], made["filters"]) == ("in.png", ["to_gray"] * len(filters))
    assert first(tmp_path / name).dtype == dtype


def test_a_png_named_jpg_is_read_as_what_it_is(tmp_path):
    pv.write(tmp_path / "v.png", GREY[None])
    (tmp_path / "v.png").rename(tmp_path / "v.jpg")
    assert np.array_equal(first(tmp_path / "v.jpg"), GREY)


def profile(space: bytes) -> bytes:
    """What an ICC profile begins with: its length, and at byte 16 what colours it is of; the rest is of no concern."""
    return struct.pack(">I12x4s108x", 128, space)


@pytest.mark.parametrize(("source", "target"), [("a.png", "b.png"), ("a.jpg", "b.jpg"), ("a.png", "b_%d.jpg")])
def test_resolution_icc_profile_and_comment_of_a_picture_are_kept(tmp_path, source, target):
    text = "Ö, mine, «my own»" + " €" * (source == "a.png")
    told = PngImagePlugin.PngInfo()
    told.add_itxt("Comment", text)
    options = {"pnginfo": told} if source == "a.png" else {"comment": text.encode()}
    Image.fromarray(COLOUR).save(tmp_path / source, dpi=(300, 72), icc_profile=profile(b"RGB "), **options)
    assert "not_copied" not in pv.run(tmp_path / source, tmp_path / target)
    out = tmp_path / target.replace("%d", "1")
    with Image.open(out) as picture:
        assert np.round(picture.info["dpi"]).tolist() == [300, 72]
        assert picture.info["icc_profile"] == profile(b"RGB ")
        comment = picture.info.get("Comment") or picture.info["comment"].decode()
    assert comment.startswith(f"{text} pde_video {{")
    again = pv.read(out).details
    assert again["comment"] == text
    assert again["made"]["input"] == source


def test_resolution_icc_profile_and_comment_are_kept_with_16_bits_and_colour(tmp_path):
    pv.write(tmp_path / "a.png", COLOUR[None].astype(np.uint16) * 257)
    data = (tmp_path / "a.png").read_bytes()
    chunks = [b"iCCPmine\0\0" + zlib.compress(profile(b"RGB ")), b"pHYs" + struct.pack(">IIB", 11811, 2835, 1)]
    framed = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    (tmp_path / "a.png").write_bytes(data[:33] + framed + data[33:])
    pv.run(tmp_path / "a.png", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as picture:
        assert np.round(picture.info["dpi"]).tolist() == [300, 72]
        assert picture.info["icc_profile"] == profile(b"RGB ")
    assert np.array_equal(first(tmp_path / "b.png"), COLOUR.astype(np.uint16) * 257)


def test_what_a_picture_loses_is_reported(tmp_path):
    told, exif = PngImagePlugin.PngInfo(), Image.Exif()
    told.add_text("Author", "J")
    exif[306] = "2024:05:06 07:08:09"
    options = {"dpi": (300, 72), "icc_profile": profile(b"RGB "), "pnginfo": told, "exif": exif}
    Image.fromarray(COLOUR).save(tmp_path / "a.png", **options)
    assert pv.run(tmp_path / "a.png", tmp_path / "b.png")["not_copied"] == ["Author", "EXIF data"]
    cut_grey = pv.run(tmp_path / "a.png", tmp_path / "c.png", lambda f: pv.to_gray(pv.crop(f, 0, 0, 8, 8)))
    assert cut_grey["not_copied"] == ["resolution", "ICC profile", "Author", "EXIF data"]
    assert pv.run(tmp_path / "a.png", tmp_path / "d.npy")["not_copied"] == cut_grey["not_copied"]
    assert pv.run(tmp_path / "a.png", tmp_path / "d.tif")["not_copied"] == ["Author", "EXIF data"]


def test_a_comment_too_long_for_a_jpeg_is_reported(tmp_path):
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", "x" * 70_000)
    Image.fromarray(COLOUR).save(tmp_path / "a.png", pnginfo=told)
    assert pv.run(tmp_path / "a.png", tmp_path / "b.jpg")["not_copied"] == ["comment"]
    (tmp_path / "c.jpg").write_bytes((tmp_path / "b.jpg").read_bytes().replace(b"pde_video", b"\0de_video"))
    assert pv.run(tmp_path / "c.jpg", tmp_path / "d.mkv")["frames"] == 1  # Metadata of containers end at a 0.


def test_a_gap_in_a_numbered_sequence_is_bad_input(tmp_path):
    frames = np.arange(9 * 20, dtype=np.uint8).reshape(9, 4, 5)
    pv.write(tmp_path / "f_%03d.png", frames)
    (tmp_path / "f_005.png").unlink()
    with pytest.raises(pv.InputError, match=r"f_005\.png, is missing"):
        pv.read(tmp_path / "f_%03d.png")
    assert len(list(pv.read(tmp_path / "f_%03d.png", frames=(1, 4)))) == 3
    with pytest.raises(pv.InputError, match=r"f_005\.png"):
        pv.read(tmp_path / "f_%03d.png", frames=(1, 5))
    part = pv.read(tmp_path / "f_%03d.png", keep_partial=True)
    assert np.array_equal(np.stack(list(part)), frames[:4])
    assert "f_005.png" in part.lost
    for number in (1, 2, 3, 4):
        (tmp_path / f"f_{number:03d}.png").unlink()
    assert np.array_equal(np.stack(list(pv.read(tmp_path / "f_%03d.png"))), frames[5:])  # It may begin anywhere.


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_what_is_wrong_with_a_picture_is_said_in_plain_words(tmp_path, name):
    path = tmp_path / name
    pv.write(path, np.random.default_rng(0).integers(0, 256, (1, 24, 32, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(pv.InputError) as refused:
        pv.read(path)
    plain = "not a picture that can be read: damaged, cut off, or of a kind that is not supported"
    assert str(refused.value).startswith(f"{path}: {plain} (Pillow: ")
