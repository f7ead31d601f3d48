"""Files that are decoded in a confined process: the same frames, times, details and errors."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from cases import marked_slow, slow
from test_containers_sound import make

import pde_video as pv
from pde_video.cli import main
from pde_video.jobs.again import verify
from pde_video.video import facts, messages, worker_process, y4m

REAL = Path(__file__).parents[3] / "shared" / "corpus"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="isolated reading needs fork")


def outcome(path, **options) -> object:
    """Return all that reading a file gives, or its error."""
    frames, video = [], None
    try:
        video = pv.read(path, **options)
        frames = list(video)
        fault = None
    except Exception as error:
        fault = (type(error), str(error), getattr(error, "filename", None), getattr(error, "errno", None))
    told = [(frame.shape, frame.dtype, frame.tobytes()) for frame in frames]
    if video is None:
        return fault
    assert set(video.details) <= set(facts._KINDS)  # A new key needs its kind.
    said = (video.path, video.size, video.channels, video.dtype, video.rate, video.count, video.details, video.lost)
    return fault, told, video.timestamps, said, [type(one) for one in video.details.values()]


def check_equal(path, **options) -> object:
    plain, isolated = (outcome(path, isolated=alone, **options) for alone in (False, True))
    assert isolated == plain
    return plain


COLOUR = np.random.default_rng(3).integers(0, 256, (5, 24, 32, 3), np.uint8)
GREY = COLOUR[..., 0]
FILES = {
    "in.mp4": COLOUR,
    "in.mkv": COLOUR.astype(np.uint16) * 257,
    "in.avi": COLOUR,
    "in.webm": GREY,
    "in.gif": COLOUR,
    "in_%03d.png": COLOUR.astype(np.uint16) * 257,
    "in.jpg": COLOUR[:1],
    "in.tiff": GREY.astype(np.float32),
    "big-endian.npy": GREY.astype(">f8"),
    "one-channel.npy": GREY[..., None],
    "true.npy": GREY > 128,
    "in.y4m": COLOUR,
    "deep.y4m": GREY.astype(np.uint16) * 257,
    **({"in.zarr": COLOUR.astype(np.int16)} if importlib.util.find_spec("zarr") else {}),
}


@pytest.mark.parametrize("name", marked_slow(FILES, "in.webm", "in.gif", "in.jpg", "true.npy", "deep.y4m", "in.avi"))
def test_isolated_reading_gives_the_same_frames_times_and_details(tmp_path, name):
    path, frames = tmp_path / name, FILES[name]
    pv.write(path, frames, rate=Fraction(30000, 1001))
    fault, told, _, _, _ = check_equal(path)
    assert (fault, len(told)) == (None, len(frames))
    check_equal(path, frames=(1, 3), max_pixels=24 * 32)
    check_equal(path, start=Fraction(1, 20), end=Fraction(1, 8))
    check_equal(path, max_pixels=24 * 32 - 1)
    check_equal(path, frames=(7, None), keep_partial=True)


def test_isolated_reading_of_metadata_and_several_passes(tmp_path):
    from PIL import Image, ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(COLOUR[0]).save(tmp_path / "in.png", dpi=(300, 72), icc_profile=profile)
    Image.fromarray(COLOUR[0]).save(tmp_path / "in.jpg", dpi=(300, 72), icc_profile=profile, comment=b"a comment")
    exif = Image.Exif()
    exif[0x128], exif[0x11A], exif[0x11B] = 2, 72.5, 72.5  # A resolution in inches.
    Image.fromarray(COLOUR[0]).save(tmp_path / "exif.jpg", exif=exif)
    assert check_equal(tmp_path / "exif.jpg")[3][6]["dpi"] == (72.5, 72.5)
    check_equal(tmp_path / "in.png")
    check_equal(tmp_path / "in.jpg")
    check_equal(make(tmp_path / "in.mov"))
    pv.run(tmp_path / "in.mov", tmp_path / "out.mkv", pv.heat(time=1.0))  # It says how it was made.
    video = pv.read(tmp_path / "out.mkv", isolated=True)
    assert video.details["made"]["filters"] == ["heat"]
    assert video.details["time_base"] == Fraction(1, 1000)
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(list(video)), np.stack(list(pv.read(tmp_path / "out.mkv"))))


@pytest.mark.parametrize(
    "name", ["in.mp4", "in.tiff", "in_%03d.png", *slow("in.avi", "in.gif", "in.jpg", "true.npy", "in.y4m")]
)
def test_isolated_reading_of_damaged_files_gives_the_same_errors(tmp_path, name):
    path = tmp_path / name
    pv.write(path, FILES[name])
    file = tmp_path / "in_003.png" if "%" in name else path
    content = file.read_bytes()
    for damaged in (content[: len(content) * 2 // 3], b"", b"This is no video. " * 50):
        file.write_bytes(damaged)
        check_equal(path)
        check_equal(path, keep_partial=True)
    file.unlink()
    check_equal(path)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the corpus of real files is not beside this checkout")
def test_isolated_reading_of_real_files_is_plain_reading():
    for path in sorted(path for path in REAL.iterdir() if path.suffix != ".md"):
        check_equal(path, frames=(0, 12))


def test_isolated_reading_of_names(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.npy")
    names = ["folder.mp4", "pipe.npy", "http://example.org/in.mp4", "in.xyz", "none.npy", Path("-")]
    monkeypatch.chdir(tmp_path)
    for name in names:
        check_equal(name)
    odd = "größe \udcff:\n%d.npy" if sys.platform == "linux" else "größe.npy"
    monkeypatch.chdir(tmp_path / "folder")  # The process that decodes was started elsewhere.
    pv.write(odd, GREY)
    assert check_equal(odd)[0] is None
    with pytest.raises(pv.ParameterError, match="standard input"):
        pv.read("-", isolated=True)


def test_sound_of_an_isolated_file_is_reported_not_copied(tmp_path):
    path = make(tmp_path / "in.mkv")
    report = pv.run(path, tmp_path / "out.mkv", reading={"isolated": True})
    assert [line.partition(":")[0] for line in report["not_copied"]] == [
        "tags and chapters, if it has any",
        "audio stream",
    ]
    one, other = pv.read(tmp_path / "out.mkv"), pv.read(path)
    assert (len(list(one)), one.timestamps) == (len(list(other)), other.timestamps)
    assert "other_streams" not in one.details
    pv.run(path, tmp_path / "part.mp4", reading={"isolated": True, "frames": (2, 5)})
    assert (
        pv.run(path, tmp_path / "out.npy", reading={"isolated": True})["not_copied"][-1]
        == "audio stream: .npy gets frames alone"
    )


def test_a_run_without_a_filter_of_system_calls_says_so(tmp_path, monkeypatch):
    pv.write(tmp_path / "in.npy", GREY)
    for isolated, library, warnings in ((True, None, 1), (True, object(), 0), (False, None, 0)):
        monkeypatch.setattr("pde_video.jobs.run.confining", lambda library=library: library)
        report = pv.run(tmp_path / "in.npy", tmp_path / "out.npy", force=True, reading={"isolated": isolated})
        assert len([line for line in report.get("warnings", []) if "system calls" in line]) == warnings


def call(*arguments) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code or 0


def test_commands_take_isolated(tmp_path, capsys):
    path = make(tmp_path / "in.mov")
    assert call("heat", path, tmp_path / "out.mkv", "--isolated", "--time", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 8
    for command in (["info"], ["verify"], ["compare", path]):
        assert call(*command, path, "--isolated", "--json") == 0
        one = json.loads(capsys.readouterr().out)
        assert call(*command, path, "--json") == 0
        assert one == json.loads(capsys.readouterr().out)
    assert call("rerun", tmp_path / "out.mkv", tmp_path / "again.mkv", "--json") == 0
    assert json.loads(capsys.readouterr().out)["identical"]
    path.write_bytes(path.read_bytes()[:-3000])
    assert call("info", path, "--isolated") == 4
    assert call("heat", path, tmp_path / "no.mkv", "--isolated") == 4
    assert not (tmp_path / "no.mkv").exists()
    with pytest.raises(pv.InputError):
        verify(path, isolated=True)


def test_isolated_reading_where_it_is_not_possible(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_process, "_state", worker_process._State())
    pv.write(tmp_path / "in.npy", GREY)
    monkeypatch.setattr(worker_process, "_START", "raise SystemExit(3)")
    with pytest.raises(RuntimeError, match=r"could not be started \(it ended with code 3\)"):
        pv.read(tmp_path / "in.npy", isolated=True)
    monkeypatch.delattr(socket, "send_fds")
    with pytest.raises(pv.ParameterError, match="needs Linux or macOS"):
        pv.read(tmp_path / "in.npy", isolated=True)


def test_messages_come_back_as_they_were():
    header = y4m.Header((4, 6), None, "420", 8, "420mpeg2", full=True, interlacing="t", aspect="4:3")
    told = {
        "plain": [None, True, 3, 2.5, "größe \udcff\0", []],
        "tuple": (1, (2, [3])),
        "exact": Fraction(30000, 1001),
        "bytes": b"\0\xff",
        "dictionary": {"fraction": {"tuple": 1}, "": {}},
        "y4m": header,
        "number": np.float32(0.5),
    }
    content = messages.encoded(told)
    found = messages.decoded(content[messages.SIZE :])
    assert found == told
    assert [type(found["tuple"]), type(found["number"])] == [tuple, float]
    with pytest.raises(TypeError):
        messages.encoded({"object": object()})
    for senseless in (
        b"[1]",
        b'{"a": {"b": 1}}',
        b'{"a": {"fraction": [1, 0]}}',
        b'{"a": {"fraction": ["1", 2]}}',
        b"\xff",
    ):
        with pytest.raises((ValueError, ZeroDivisionError)):
            messages.decoded(senseless)
