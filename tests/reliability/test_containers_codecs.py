"""The choice of a codec: what is asked for is done, or refused with what is allowed."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

import pde_video as pv

FRAMES, HEIGHT, WIDTH = 4, 45, 61
M_PERTURB = -6  # Of glibc: fill memory with a byte when it is allocated or freed.


def noise(dtype: str = "uint8", colour: bool = True) -> np.ndarray:
    shape = (FRAMES, HEIGHT, WIDTH, 3) if colour else (FRAMES, HEIGHT, WIDTH)
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("v.mp4", None),
        ("v.m4v", None),
        ("v.mov", None),
        ("v.mkv", None),
        ("v.mkv", "h264"),
        ("v.mkv", "vp9"),
        ("v.webm", None),
        ("v.avi", None),
    ],
)
def test_lossless_keeps_every_value(tmp_path, name, codec, colour):
    frames = noise(colour=colour)
    pv.write(tmp_path / name, frames, lossless=True, codec=codec)
    assert np.array_equal(np.stack(list(pv.read(tmp_path / name))), frames)


@pytest.mark.parametrize("name", ["v.mkv", "v.avi"])
def test_lossless_keeps_16_bits(tmp_path, name):
    pv.write(tmp_path / name, noise("uint16"), lossless=True)
    assert np.array_equal(np.stack(list(pv.read(tmp_path / name))), noise("uint16"))


@pytest.mark.parametrize(
    ("name", "dtype", "options", "says"),
    [
        ("v.mp4", "uint16", {"lossless": True}, r"\.mkv"),
        ("v.gif", "uint8", {"lossless": True}, r"\.mkv"),
        ("v.mp4", "uint8", {"lossless": True, "codec": "hevc"}, r"\.mkv"),
        ("v.webm", "uint8", {"lossless": True, "codec": "av1"}, r"\.mkv"),
        ("v.mp4", "uint8", {"lossless": True, "crf": 3}, "one of them"),
        ("v.mp4", "uint8", {"crf": 52}, "from 0 .* to 51"),
        ("v.webm", "uint8", {"crf": 64}, "from 0 .* to 63"),
        ("v.mp4", "uint8", {"crf": -1}, "from 0"),
        ("v.mp4", "uint8", {"crf": 2.5}, "whole numbers"),
        ("v.avi", "uint8", {"crf": 20}, "ffv1 takes none"),
        ("v.gif", "uint8", {"crf": 20}, "gif takes none"),
        ("v.webm", "uint8", {"codec": "h264"}, r"vp9, av1; h264 goes into \.mp4"),
        ("v.mov", "uint8", {"codec": "ffv1"}, r"h264, hevc; ffv1 goes into \.mkv, \.avi"),
        ("v.mp4", "uint8", {"codec": "mpeg2"}, "h264, hevc, vp9, av1"),
        ("v.webm", "uint16", {}, r"\.mkv"),
        ("v.gif", "uint16", {}, r"\.mkv"),
        ("v_%03d.jpg", "uint8", {"lossless": True}, r"\.png or \.tiff"),
        ("v.tiff", "uint8", {"codec": "ffv1"}, r"codec is 'ffv1'; it is for \.mp4.*\.mkv"),
        ("v.npy", "uint8", {"crf": 20}, r"crf is 20; it is for \.mp4"),
    ],
)
def test_what_a_container_or_codec_does_not_do_is_refused(tmp_path, name, dtype, options, says):
    with pytest.raises(pv.ParameterError, match=says):
        pv.write(tmp_path / name, noise(dtype), **options)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "codec"),
    [("v.mp4", "hevc"), ("v.mkv", "hevc"), ("v.mp4", "vp9"), ("v.webm", "av1"), ("v.mp4", "av1"), ("v.mkv", "ffv1")],
)
def test_a_codec_that_is_asked_for_is_used(tmp_path, name, codec):
    row, column = np.mgrid[:HEIGHT, :WIDTH]
    frames = np.stack([128 + 80 * np.sin(row / 9 + t) * np.cos(column / 11) for t in range(FRAMES)])
    frames = np.repeat(frames[..., np.newaxis], 3, axis=-1).astype(np.uint8)
    assert pv.write(tmp_path / name, frames, codec=codec) == FRAMES
    video = pv.read(tmp_path / name)
    assert {"hevc": "hevc", "vp9": "vp9", "ffv1": "ffv1"}.get(codec, "av1") in video.details["codec"] + "av1" * (
        "dav1d" in video.details["codec"]
    )
    assert np.abs(np.stack(list(video)).astype(int) - frames).max() <= 12


@pytest.mark.parametrize("name", ["v.mp4", "v.webm", "v.mkv"])
def test_a_lower_crf_makes_a_larger_file(tmp_path, name):
    pv.write(tmp_path / name, noise(), crf=40)
    small = (tmp_path / name).stat().st_size
    pv.write(tmp_path / name, noise(), crf=10, force=True)
    assert (tmp_path / name).stat().st_size > 1.2 * small


_MALLOC_DEBUG = "libc_malloc_debug.so.0"  # Of glibc: ends a process that wrote beyond what it had allocated.
_NARROW = """
import sys, numpy as np, pde_video as pv
for width in map(int, sys.argv[2:]):
    frames = np.random.default_rng(1).integers(0, 256, (4, 32, width, 3), dtype=np.uint8)
    pv.write(f"{sys.argv[1]}/{width}.mp4", frames, codec="hevc")
print("done")
"""


def test_hevc_of_narrow_frames_writes_within_its_memory(tmp_path):
    try:
        ctypes.CDLL(_MALLOC_DEBUG)
    except OSError:
        pytest.skip(f"there is no {_MALLOC_DEBUG}")
    checked = {**os.environ, "LD_PRELOAD": _MALLOC_DEBUG, "MALLOC_CHECK_": "3"}
    command = [sys.executable, "-c", _NARROW, str(tmp_path), "16", "47"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, env=checked)
    assert ended.stdout == "done\n", ended.stderr
    assert len(list(pv.read(tmp_path / "47.mp4"))) == 4


@pytest.mark.parametrize("codec", ["h264", "vp9", "av1", "ffv1"])
@pytest.mark.parametrize("size", [(64, 64), (120, 34)], ids=str)
def test_a_file_does_not_depend_on_what_memory_held_before(tmp_path, codec, size):
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("only glibc fills memory on request")
    waves = np.sin(np.mgrid[: size[0], : size[1]].sum(0) / 5 + np.arange(12)[:, None, None])[..., None]
    noisy = 128 + 60 * waves + np.random.default_rng(1).normal(0, 8, (*waves.shape[:3], 3))
    frames, found = np.clip(noisy, 0, 255).astype(np.uint8), set()
    for filler in (85, 165, 255):
        try:
            ctypes.CDLL(None).mallopt(M_PERTURB, filler)
            pv.write(tmp_path / "v.mkv", frames, codec=codec, force=True)
        finally:
            ctypes.CDLL(None).mallopt(M_PERTURB, 0)
        found.add((tmp_path / "v.mkv").read_bytes())
    assert len(found) == 1
