"""Small TIFF files that would take gigabytes or minutes end at once, in a clear error, within little memory."""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import tiff_bombs

import pde_video as pv
from pde_video.video.tiff_codecs import tables_of
from pde_video.video.tiff_directory import Directory, Source
from pde_video.video.tiff_picture import layout_of

SECONDS, MEMORY, ADDRESSES = 5, 512 * 2**20, 3 * 2**30


@pytest.mark.skipif(sys.platform == "win32", reason="limits of a process are those of POSIX")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["light", "heavy"])
def test_small_tiffs_that_claim_much_end_at_once(tmp_path, kind):
    worker = Path(__file__).with_name("tiff_bombs.py")
    run = subprocess.run(
        [sys.executable, str(worker), str(tmp_path), str(ADDRESSES), kind], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    said = json.loads(run.stdout.splitlines()[-1])
    for name, ends in said["results"].items():
        codes, seconds = zip(*ends.values(), strict=True)
        expected = 0 if name.endswith("read") else 4
        assert codes[-1] == codes[1] == expected, (name, ends)
        assert codes[0] in (0, expected), (name, ends)
        assert max(seconds) < SECONDS, (name, ends)
    assert said["peak"] < MEMORY
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(("ratio", "allowed"), [(64, True), (66, False)])
def test_a_large_frame_of_a_tiff_may_be_64_times_its_file_as_of_any_other(tmp_path, ratio, allowed):
    path, side = tmp_path / "v.tif", 2**14
    tiff_bombs.tiff(path, tiff_bombs.page(side, side, t259=(tiff_bombs.SHORT, 1, 8)), size=side**2 // ratio)
    if allowed:
        assert pv.read(path).size == (side, side)
    else:
        with pytest.raises(pv.InputError, match="is stored in"):
            pv.read(path)
    assert pv.read(path, max_pixels=2**28 + 1).size == (side, side)


FLOATS = {"t258": (tiff_bombs.SHORT, 1, 32), "t317": (tiff_bombs.SHORT, 1, 3), "t339": (tiff_bombs.SHORT, 1, 3)}
WORDS = {"t258": (tiff_bombs.SHORT, 1, 32), "t317": (tiff_bombs.SHORT, 1, 2), "t262": (tiff_bombs.SHORT, 1, 0)}


@pytest.mark.parametrize("tags", [FLOATS, WORDS, {"t258": (tiff_bombs.SHORT, 1, 1)}], ids=["floats", "words", "bits"])
def test_a_page_takes_twice_its_bytes_to_decode(tmp_path, tags):
    path, side = tmp_path / "v.tif", 2048
    turned = {"t274": (tiff_bombs.SHORT, 1, 6)}
    tiff_bombs.compressed(path, 8, zlib.compress(bytes(side**2 * tags["t258"][2] // 8)), side, side, **tags | turned)
    video = pv.read(path)
    tracemalloc.start()
    (frame,) = video
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * frame.nbytes + 2**22
    assert np.unique(frame).tolist() == [2**32 - 1 if tags is WORDS else 0]


@pytest.mark.parametrize(("length", "allowed"), [(600, True), (2048, True), (2**20, False)])
def test_tables_of_jpeg_are_not_read_for_each_strip_without_end(tmp_path, length, allowed):
    tables, strips = (tiff_bombs.BYTE, length, 8), 2**17  # The most strips that are read.
    tags = {"t259": (tiff_bombs.SHORT, 1, 7), "t278": (tiff_bombs.LONG, 1, 8), "t347": tables}
    tiff_bombs.tiff(tmp_path / "v.tif", tiff_bombs.page(8 * strips, 8, **tags), bytes(length))
    with Source(tmp_path / "v.tif") as source:
        page = Directory(source, source.pages()[0].offsets[0])
        with contextlib.nullcontext() if allowed else pytest.raises(ValueError, match=r"1,048,576 bytes .* 131,072"):
            assert tables_of(page, layout_of(page)) == bytes(length)


def test_directories_that_lie_on_one_another_are_refused(tmp_path):
    spacing, tags, pages = 12, 100, 5000  # Each begins within the one before.
    data = bytearray(spacing * pages + 12 * tags + 6)
    for index in range(pages):
        struct.pack_into("<H", data, spacing * index, tags)
        struct.pack_into("<I", data, spacing * index + 2 + 12 * tags, 8 + spacing * (index + 1))
    (tmp_path / "v.tif").write_bytes(b"II*\0\x08\0\0\0" + data)
    with pytest.raises(pv.InputError, match="directories of its pages overlap"):
        pv.read(tmp_path / "v.tif")
