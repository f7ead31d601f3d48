"""A sequence that is replaced by a shorter one: only pictures of this program are removed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pde_video as pv


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def frames(count: int) -> np.ndarray:
    return np.zeros((count, 8, 8), np.uint8)


@pytest.mark.parametrize("name", ["IMG_%04d.jpg", "IMG_%04d.png"])
def test_pictures_of_others_are_not_removed_with_a_sequence_that_is_replaced(tmp_path, name):
    photographs = {f"IMG_{number:04d}{name[-4:]}": b"a photograph" for number in range(20)}
    for member, data in photographs.items():
        (tmp_path / member).write_bytes(data)
    pv.write(tmp_path / "in.npy", frames(5))
    before = content(tmp_path)
    said = "has 5 pictures; the folder has 15 more .* such as IMG_0000.* name another output"
    begun = []
    with pytest.raises(FileExistsError, match=said):
        pv.run(tmp_path / "in.npy", tmp_path / name, pv.heat, force=True, progress=lambda *_: begun.append(True))
    assert not begun
    for source in (frames(5), iter(frames(5))):
        with pytest.raises(FileExistsError, match=said):
            pv.write(tmp_path / name, source, force=True)
    assert content(tmp_path) == before
    assert not list(tmp_path.glob(".pde-video-*"))


@pytest.mark.parametrize("name", ["f_%03d.jpg", "f_%03d.png"])
@pytest.mark.parametrize("change", [None, "pixels", "comment", "link", "another program"])
def test_of_a_longer_sequence_only_pictures_as_this_program_wrote_them_are_removed(tmp_path, name, change):
    pv.write(tmp_path / name, frames(4))
    last = tmp_path / name.replace("%03d", "004")
    data = last.read_bytes()
    if change == "pixels":
        last.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    elif change == "comment":
        last.write_bytes(data.replace(b"pde_video {", b"pde_video ["))
    elif change == "link":
        last.rename(tmp_path / "kept")
        last.symlink_to("kept")
    elif change == "another program":
        with Image.open(io.BytesIO(data)) as picture:
            picture.save(last, comment=picture.info.get("comment"))
    if change is None:
        pv.write(tmp_path / name, frames(3), force=True)
        assert pv.read(tmp_path / name).count == 3
        return
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match=r"1 more .* such as f_004"):
        pv.write(tmp_path / name, iter(frames(3)), force=True)
    assert content(tmp_path) == before
    pv.write(tmp_path / name, frames(4), force=True)  # What has the same name is replaced.
    assert pv.read(tmp_path / name).count == 4
