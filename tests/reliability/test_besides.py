"""Files that filters read besides the source: the same limits, the same isolation, the same part."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from cases import slow

import pde_video as pv
from pde_video.video import isolation

SHAPE = (12, 16, 20)


@pytest.fixture
def files(tmp_path, rng):
    """A video, and a mask and a guide for each of its frames, as names."""
    pv.write(tmp_path / "in.tif", rng.integers(0, 256, SHAPE, np.uint8))
    pv.write(tmp_path / "mask.tif", np.uint8(255 * (rng.random(SHAPE) < 0.2)))
    pv.write(tmp_path / "guide.tif", rng.integers(0, 256, (12, 32, 40), np.uint8))
    pv.write(tmp_path / "one.tif", rng.integers(0, 256, (1, 32, 40), np.uint8))
    return tmp_path


def read(path):
    return np.stack(list(pv.read(path)))


@pytest.mark.parametrize("wanted", [(3, 9), *slow((0, 5), (7, None))], ids=str)
@pytest.mark.parametrize("resumed", [False, True])
def test_a_part_of_a_video_has_that_part_of_its_masks_and_guides(files, wanted, resumed, call):
    first, last = wanted
    part = ("--frames", f"{first}:{'' if last is None else last}", *(("--resume",) if resumed else ()))
    for command, option in (("inpaint", "mask"), ("fuse", "guide")):
        code, _, error = call(
            command, files / "in.tif", files / "out.tif", f"--{option}", files / f"{option}.tif", *part
        )
        assert code == 0, error
        whole = getattr(pv, command)(read(files / "in.tif")[first:last], read(files / f"{option}.tif")[first:last])
        np.testing.assert_array_equal(read(files / "out.tif"), whole)
        (files / "out.tif").unlink()
    pv.run(files / "in.tif", files / "out.tif", pv.fuse(guide=files / "one.tif"), reading={"frames": wanted})
    np.testing.assert_array_equal(
        read(files / "out.tif"), pv.fuse(read(files / "in.tif")[first:last], read(files / "one.tif"))
    )


@pytest.mark.parametrize("name", ["short.tif", "short.mkv"])
@pytest.mark.parametrize(
    ("first", "last", "said"),
    [(3, 9, "the mask has 3 frames from number 3 on, and the video more"), (7, 12, "it has 5 frames, 0 to 4")],
)
def test_what_is_cut_already_is_refused_for_a_part_and_the_remedy_said(files, first, last, said, name):
    codec = {"codec": "ffv1"} if name.endswith("mkv") else {}
    pv.write(files / name, read(files / "mask.tif")[first:last], **codec)
    said += ".*; its frames are counted as those of the whole video: give all of them, or cut the video beforehand"
    with pytest.raises(pv.InputError, match=said):
        pv.run(files / "in.tif", files / "out.tif", pv.inpaint(mask=files / name), reading={"frames": (first, last)})
    assert not (files / "out.tif").exists()


def test_a_part_by_times_is_refused_for_several_frames(files):
    pv.write(files / "in.mkv", read(files / "in.tif"), codec="ffv1", rate=25)
    for part in ({"start": 0.1}, {"end": 0.2}):
        with pytest.raises(pv.InputError, match=r"mask.tif has several frames.*give --frames"):
            pv.run(files / "in.mkv", files / "out.tif", pv.inpaint(mask=files / "mask.tif"), reading=part, force=True)
        pv.run(files / "in.mkv", files / "out.tif", pv.fuse(guide=files / "one.tif"), reading=part, force=True)


def test_limits_of_the_source_are_those_of_other_files(files):
    for a_filter in (
        pv.fuse(guide=files / "guide.tif"),
        pv.denoise(dark=files / "guide.tif"),
        pv.denoise(noise_from=files / "guide.tif"),
    ):
        with pytest.raises(pv.InputError, match=r"guide.tif: .*(400|max_pixels)"):
            pv.run(files / "in.tif", files / "out.tif", a_filter, reading={"max_pixels": 400})
    assert not (files / "out.tif").exists()
    assert pv.fuse(read(files / "in.tif"), files / "guide.tif").shape == (12, 32, 40)  # Without a run.


@pytest.mark.skipif(sys.platform == "win32", reason="isolated reading needs Linux or macOS")
def test_other_files_are_isolated_as_the_source_is(files, monkeypatch):
    seen = []

    def noted(path, choice, plain=isolation.read):
        seen.append(path.name)
        return plain(path, choice)

    monkeypatch.setattr(isolation, "read", noted)
    pv.run(files / "in.tif", files / "out.tif", pv.inpaint(mask=files / "mask.tif"), reading={"isolated": True})
    assert seen == ["in.tif", "mask.tif"]
    np.testing.assert_array_equal(read(files / "out.tif"), pv.inpaint(read(files / "in.tif"), read(files / "mask.tif")))
    list(pv.inpaint(pv.read(files / "in.tif"), files / "mask.tif"))
    assert seen == ["in.tif", "mask.tif"]  # The run is over.
