"""Reading, writing and running: what goes in comes out, or nothing is written."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
import tifffile

import pde_video as pv

FRAMES, HEIGHT, WIDTH = 7, 45, 61
NTSC = Fraction(30000, 1001)
NAMES = (
    "v.mp4",
    "v.mov",
    "v.mkv",
    "v.webm",
    "v.avi",
    "v.gif",
    "f_%03d.png",
    "f_%03d.jpg",
    "v.tiff",
    "v.npy",
)
ALL = {"uint8", "uint16", "float32"}
HELD = {"avi": {"uint8", "uint16"}, "mkv": {"uint8", "uint16"}, "png": {"uint8", "uint16"}, "tiff": ALL, "npy": ALL}
LOSSLESS = {("mkv", "uint16")} | {(ending, dtype) for ending in ("avi", "png", "tiff", "npy") for dtype in ALL}
# Of 255, on a smooth picture: halved chroma, 8-bit YUV and a palette of 256 colours cost about this much.
LOSSY_MEAN, LOSSY_MAX = 2.0, 12.0
VARIABLE = [Fraction(t, 1000) for t in (0, 40, 100, 130, 300, 340, 700)]


def smooth(dtype: str = "uint8", colour: bool = False, frames: int = FRAMES) -> np.ndarray:
    t, row, column = np.mgrid[:frames, :HEIGHT, :WIDTH]
    video = 0.5 + 0.3 * np.sin((column + 2 * t) / 17) * np.cos(row / 13)
    if colour:
        video = np.stack([video, 0.5 + 0.2 * np.cos((column + row) / 25 + t / 9), 0.6 - 0.4 * video], axis=-1)
    return video.astype(dtype) if dtype == "float32" else np.rint(video * np.iinfo(dtype).max).astype(dtype)


def random(dtype: str = "uint8", colour: bool = True, frames: int = FRAMES) -> np.ndarray:
    shape = (frames, HEIGHT, WIDTH, 3) if colour else (frames, HEIGHT, WIDTH)
    values = np.random.default_rng(0).random(shape)
    return values.astype(dtype) if dtype == "float32" else (values * np.iinfo(dtype).max).astype(dtype)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def load(path: Path) -> np.ndarray:
    return np.stack(list(pv.read(path)))


def ending(name: str) -> str:
    return Path(name).suffix[1:]


def write_variable(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, stamp in enumerate(VARIABLE):
            pixels = np.full((48, 64, 3), 20 + 30 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = int(stamp * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_audio(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 44100, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def fails_midway(frames):
    yield from islice(frames, 3)
    raise RuntimeError("midway")


@pytest.fixture
def working_folder(tmp_path, monkeypatch) -> Path:
    """An empty current folder, apart from the outputs, where stray files would show."""
    folder = tmp_path / "current"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
@pytest.mark.parametrize("dtype", sorted(ALL))
@pytest.mark.parametrize("name", NAMES)
def test_a_format_keeps_the_frames_or_refuses_them(tmp_path, working_folder, name, dtype, colour):
    folder = tmp_path / "out"
    folder.mkdir()
    original = smooth(dtype, colour)
    if dtype not in HELD.get(ending(name), {"uint8"}):
        with pytest.raises(pv.ParameterError, match=r"\.tiff|\.npy"):
            pv.write(folder / name, original)
        assert os.listdir(folder) == []
        return
    assert pv.write(folder / name, original) == FRAMES
    assert os.listdir(working_folder) == []
    video = pv.read(folder / name)
    restored = np.stack(list(video))
    if ending(name) == "gif" and not colour:
        original = np.repeat(original[..., np.newaxis], 3, axis=-1)
    assert video.size == (HEIGHT, WIDTH)
    assert video.channels == (1 if original.ndim == 3 else 3)
    assert video.dtype == original.dtype == restored.dtype
    assert video.count in (FRAMES, None)
    assert restored.shape == original.shape
    if (ending(name), dtype) in LOSSLESS:
        assert np.array_equal(restored, original)
    else:
        error = np.abs(restored.astype(float) - original)
        assert error.mean() <= LOSSY_MEAN
        assert error.max() <= LOSSY_MAX


@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
@pytest.mark.parametrize(
    ("name", "dtype"), [("v.avi", "uint8"), ("v.avi", "uint16"), ("v.mkv", "uint16"), ("v.npy", "uint16")]
)
def test_lossless_formats_keep_noise_bit_for_bit(tmp_path, name, dtype, colour):
    original = random(dtype, colour)
    pv.write(tmp_path / name, original)
    assert np.array_equal(load(tmp_path / name), original)


@pytest.mark.parametrize("name", ["v.mp4", "v.mov", "v.webm", "v.gif"])
@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
def test_black_stays_black_and_white_white(tmp_path, name, colour):
    original = np.zeros((2, 48, 64, 3) if colour else (2, 48, 64), np.uint8)
    original[1] = 255
    pv.write(tmp_path / name, original)
    restored = load(tmp_path / name)
    assert restored[0].max() <= 2
    assert restored[1].min() >= 253


@pytest.mark.parametrize("name", ["v.mp4", "v.mov", "v.avi"])
def test_the_rate_is_kept_exactly(tmp_path, name):
    pv.write(tmp_path / name, smooth(frames=30), rate=NTSC)
    assert pv.read(tmp_path / name).rate == NTSC
    pv.run(tmp_path / name, tmp_path / f"again.{ending(name)}")
    assert pv.read(tmp_path / f"again.{ending(name)}").rate == NTSC


@pytest.mark.parametrize("name", ["v.mp4", "v.mov", "v.mkv", "v.webm", "v.avi", "v.gif"])
def test_a_constant_video_keeps_all_its_frames(tmp_path, name):
    assert pv.write(tmp_path / name, np.full((10, HEIGHT, WIDTH, 3), 77, np.uint8), rate=25) == 10
    video = pv.read(tmp_path / name)
    restored = np.stack(list(video))
    assert len(restored) == 10
    assert np.abs(restored.astype(int) - 77).max() <= 2
    assert video.timestamps[-1] == Fraction(9, 25)


@pytest.mark.parametrize("target", ["out.mkv", "out.mp4", "out.mov", "out.webm"])
@pytest.mark.parametrize("source", ["in.mkv", "in.mp4"])
def test_run_keeps_the_timestamps_of_a_variable_rate(tmp_path, source, target):
    write_variable(tmp_path / source)
    assert pv.run(tmp_path / source, tmp_path / target)["frames"] == len(VARIABLE)
    video = pv.read(tmp_path / target)
    levels = [frame.mean() for frame in video]
    assert video.timestamps == VARIABLE
    assert np.allclose(levels, 20 + 30 * np.arange(len(VARIABLE)), atol=3)


@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_run_on_a_tiff_equals_filtering_the_array(tmp_path, dtype, colour):
    original = random(dtype, colour)
    tifffile.imwrite(tmp_path / "in.tiff", original, photometric="rgb" if colour else "minisblack")
    diffuse = pv.framewise(pv.PeronaMalik(kappa=0.1), pv.uniform(1.0))
    pv.run(tmp_path / "in.tiff", tmp_path / "out.tiff", diffuse)
    expected, stored = diffuse(original), tifffile.imread(tmp_path / "out.tiff")
    assert stored.dtype == original.dtype
    assert np.array_equal(stored, expected)
    assert not np.array_equal(stored, original)


def test_run_reports_what_the_filters_did(tmp_path):
    pv.write(tmp_path / "in.npy", random())
    report = pv.run(tmp_path / "in.npy", tmp_path / "out.avi", pv.denoise)
    assert report["frames"] == FRAMES
    assert report["sigma"] > 10
    assert report["preset"] == "balanced"


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_that_fails_leaves_no_file(tmp_path, name):
    source, folder = tmp_path / "in.npy", tmp_path / "out"
    folder.mkdir()
    pv.write(source, smooth())
    with pytest.raises(RuntimeError, match="midway"):
        pv.run(source, folder / name, fails_midway)
    assert os.listdir(folder) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_filter_that_fails_leaves_an_existing_output_as_it_was(tmp_path, name):
    source, folder = tmp_path / "in.npy", tmp_path / "out"
    folder.mkdir()
    pv.write(source, smooth())
    pv.write(folder / name, smooth())
    before = content(folder)
    with pytest.raises(RuntimeError, match="midway"):
        pv.run(source, folder / name, fails_midway, force=True)
    assert content(folder) == before


@pytest.mark.parametrize("name", ["v.avi", "f_%03d.png", "v.tiff", "v.npy"])
def test_frames_that_differ_are_refused_and_leave_no_file(tmp_path, name):
    frames = [*smooth()[:2], smooth()[2][1:]]
    with pytest.raises(pv.InputError, match="frame 2"):
        pv.write(tmp_path / name, frames)
    assert os.listdir(tmp_path) == []


def test_no_frames_are_refused_and_leave_no_file(tmp_path):
    with pytest.raises(pv.InputError, match="no frame"):
        pv.write(tmp_path / "v.avi", [])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_an_existing_output_is_refused_without_force_and_replaced_with_it(tmp_path, name):
    pv.write(tmp_path / name, smooth())
    before = content(tmp_path)
    with pytest.raises(FileExistsError):
        pv.write(tmp_path / name, 255 - smooth())
    assert content(tmp_path) == before
    assert pv.write(tmp_path / name, 255 - smooth()[:3], force=True) == 3
    restored = load(tmp_path / name)
    assert len(restored) == 3
    assert np.abs(restored[..., 0].mean() - (255 - smooth()[:3])[..., 0].mean()) < 3


def test_a_sequence_is_refused_if_any_member_exists(tmp_path):
    (tmp_path / "f_042.png").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"f_042\.png"):
        pv.write(tmp_path / "f_%03d.png", smooth())
    assert content(tmp_path) == {"f_042.png": b"mine"}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("link", [None, Path.symlink_to, Path.hardlink_to], ids=["same", "symlink", "hardlink"])
def test_input_as_output_is_refused_and_unchanged(tmp_path, link, force):
    source = tmp_path / "in.avi"
    pv.write(source, smooth())
    target = source
    if link is not None:
        target = tmp_path / "link.avi"
        link(target, source)
    before = content(tmp_path)
    with pytest.raises(FileExistsError, match="same file"):
        pv.run(source, target, force=force)
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("source", "target"),
    [("f_%03d.png", "f_%03d.png"), ("f_002.png", "f_%03d.png")],
)
def test_input_as_output_of_a_sequence_is_refused_even_with_force(tmp_path, source, target):
    pv.write(tmp_path / "f_%03d.png", smooth())
    before = content(tmp_path)
    with pytest.raises(FileExistsError):
        pv.run(tmp_path / source, tmp_path / target, force=True)
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", [name for name in NAMES if "%" not in name] + ["p.png", "p_%d.png"])
def test_a_missing_file_is_not_found(tmp_path, name):
    with pytest.raises(FileNotFoundError):
        pv.read(tmp_path / name)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "gif", "png", "jpg", "tiff", "npy"])
@pytest.mark.parametrize("data", [None, b"", b"Only text, on many lines.\n" * 50], ids=["folder", "empty", "text"])
def test_what_is_no_video_is_bad_input(tmp_path, suffix, data):
    path = tmp_path / f"v.{suffix}"
    if data is None:
        path.mkdir()
    else:
        path.write_bytes(data)
    with pytest.raises(pv.InputError) as caught:
        pv.read(path)
    assert str(path) in str(caught.value)


def test_a_file_without_a_video_stream_is_bad_input(tmp_path):
    write_audio(tmp_path / "audio.mp4")
    with pytest.raises(pv.InputError, match="no video stream"):
        pv.read(tmp_path / "audio.mp4")


@pytest.mark.parametrize("suffix", ["mp4", "mov", "avi", "mkv", "webm", "tiff", "npy"])
def test_a_file_cut_in_half_is_bad_input(tmp_path, suffix):
    whole, half = tmp_path / f"whole.{suffix}", tmp_path / f"half.{suffix}"
    pv.write(whole, random(frames=30))
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(pv.InputError):
        load(half)


def test_a_cut_input_leaves_no_output(tmp_path):
    pv.write(tmp_path / "in.avi", random(frames=30))
    data = (tmp_path / "in.avi").read_bytes()
    (tmp_path / "in.avi").write_bytes(data[: len(data) // 2])
    with pytest.raises(pv.InputError):
        pv.run(tmp_path / "in.avi", tmp_path / "out.avi")
    assert os.listdir(tmp_path) == ["in.avi"]


@pytest.mark.parametrize("shape", [(), (5,), (4, 5), (1, 2, 4, 5, 3), (0, 4, 5)])
def test_an_array_that_is_no_video_is_bad_input(tmp_path, shape):
    np.save(tmp_path / "v.npy", np.zeros(shape, np.uint8))
    with pytest.raises(pv.InputError, match="shape"):
        pv.read(tmp_path / "v.npy")


def test_pictures_of_mixed_shapes_are_bad_input(tmp_path):
    pv.write(tmp_path / "f_1.png", smooth()[:1])
    pv.write(tmp_path / "f_2.png", smooth()[:1, 1:])
    with pytest.raises(pv.InputError, match=r"f_2\.png"):
        load(tmp_path / "f_%d.png")


def test_a_sequence_is_read_in_the_order_of_its_numbers(tmp_path):
    for number in (9, 10, 11):
        pv.write(tmp_path / f"f_{number}.png", np.full((1, 4, 5), number, np.uint8))
    (tmp_path / "f_x.png").write_bytes(b"another file")
    assert [frame[0, 0] for frame in pv.read(tmp_path / "f_%d.png")] == [9, 10, 11]


def test_a_sequence_is_numbered_as_its_pattern_says(tmp_path):
    pv.write(tmp_path / "f_%03d.png", smooth()[:2])
    assert sorted(os.listdir(tmp_path)) == ["f_001.png", "f_002.png"]


def test_many_frames_in_one_picture_are_refused(tmp_path):
    with pytest.raises(pv.ParameterError, match="one frame"):
        pv.write(tmp_path / "one.png", smooth())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["v.xyz", "v", "v.mp4.txt"])
def test_an_unknown_ending_is_refused(tmp_path, name):
    (tmp_path / name).write_text("text")
    with pytest.raises(pv.ParameterError, match=r"cannot be read; these can: .*\.mxf"):
        pv.read(tmp_path / name)
    with pytest.raises(pv.ParameterError, match="cannot be written; these can"):
        pv.write(tmp_path / name, smooth(), force=True)
    assert content(tmp_path) == {name: b"text"}


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(tmp_path, rate):
    with pytest.raises(pv.ParameterError, match="rate"):
        pv.write(tmp_path / "v.avi", smooth(), rate=rate)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("rate", [100, 240, 2000])
@pytest.mark.parametrize("name", ["v.gif", "v.avi", "v.mkv", "v.webm", "v.mp4"])
def test_a_very_high_rate_keeps_all_frames_or_is_refused(tmp_path, name, rate):
    # GIF counts hundredths of a second, Matroska thousandths.
    try:
        pv.write(tmp_path / name, random(), rate=rate)
    except pv.ParameterError:
        assert os.listdir(tmp_path) == []
    else:
        assert len(load(tmp_path / name)) == FRAMES


@pytest.mark.parametrize("suffix", ["avi", "tiff", "npy", "png"])
@pytest.mark.parametrize("stem", ["a:b", "http:x", "file:x", "50%", "%d%03d", "a b", "-x", "--force", "a[1]*?#'é"])
def test_a_name_is_taken_literally(working_folder, stem, suffix):
    name, original = f"{stem}.{suffix}", random(frames=1)
    pv.write(name, original)
    assert os.listdir(working_folder) == [name]
    assert np.array_equal(load(Path(name)), original)


@pytest.mark.parametrize("suffix", ["avi", "mp4", "gif", "tiff", "npy"])
def test_a_percent_pattern_is_a_plain_name_where_there_are_no_sequences(working_folder, suffix):
    name = f"p%03dq.{suffix}"
    pv.write(name, smooth())
    assert os.listdir(working_folder) == [name]
    assert len(load(Path(name))) == FRAMES


def test_frames_of_a_container_are_decoded_when_asked_for(tmp_path):
    whole, half = tmp_path / "whole.avi", tmp_path / "half.avi"
    original = random(frames=30)
    pv.write(whole, original)
    # Cut off: decoding all of it raises, so what can be read before shows that not all was decoded.
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    video = pv.read(half, keep_partial=True)
    assert video.timestamps == []
    assert np.array_equal(next(iter(video)), original[0])
    assert len(video.timestamps) == 1


@pytest.mark.parametrize("name", ["f_%03d.png", "v.tiff"])
def test_frames_of_a_stack_are_read_when_asked_for(tmp_path, name):
    original = random()
    pv.write(tmp_path / name, original)
    last = sorted(tmp_path.iterdir())[-1]
    last.write_bytes(last.read_bytes()[:-2000])
    frames = iter(pv.read(tmp_path / name))
    assert np.array_equal(next(frames), original[0])
    with pytest.raises(pv.InputError):
        list(frames)


def test_run_takes_no_more_frames_than_it_is_asked_for(tmp_path):
    pv.write(tmp_path / "in.avi", random(frames=30))
    video = pv.read(tmp_path / "in.avi")
    heat = pv.framewise(pv.Heat(), pv.uniform(0.5))
    assert len(list(islice(heat(video), 2))) == 2
    assert 2 <= len(video.timestamps) <= 2 + pv.num_threads() + 1  # What filters have under way.


@pytest.mark.parametrize("name", NAMES)
def test_a_video_can_be_read_twice(tmp_path, name):
    pv.write(tmp_path / name, smooth())
    video = pv.read(tmp_path / name)
    first, second = np.stack(list(video)), np.stack(list(video))
    assert len(first) == FRAMES
    assert np.array_equal(first, second)
    assert len(video.timestamps) in (0, FRAMES)


@pytest.mark.parametrize("name", NAMES)
def test_two_readings_at_once_do_not_disturb_one_another(tmp_path, name):
    pv.write(tmp_path / name, smooth())
    expected = load(tmp_path / name)
    video = pv.read(tmp_path / name)
    ahead, behind = iter(video), iter(video)
    leading, trailing = list(islice(ahead, 2)), []
    for frame in ahead:
        leading.append(frame)
        trailing.append(next(behind))
    trailing.extend(behind)
    assert np.array_equal(np.stack(leading), expected)
    assert np.array_equal(np.stack(trailing), expected)
    assert video.timestamps == sorted(set(video.timestamps))


def test_a_frame_can_be_changed_without_changing_the_file(tmp_path):
    original = random()
    pv.write(tmp_path / "v.npy", original)
    for frame in pv.read(tmp_path / "v.npy"):
        frame[:] = 0
    assert np.array_equal(np.load(tmp_path / "v.npy"), original)


def test_an_output_folder_that_is_missing_is_an_output_fault(tmp_path):
    with pytest.raises(pv.OutputError, match="does not exist"):
        pv.write(tmp_path / "no" / "v.avi", smooth())
    assert os.listdir(tmp_path) == []


def test_a_real_clip_has_the_size_rate_and_frames_it_declares(clips, tmp_path):
    shutil.copy(clips["carphone_pristine"], tmp_path / "clip.mp4")
    video = pv.read(tmp_path / "clip.mp4")
    frames = list(video)
    assert (video.size, video.channels, video.rate) == ((144, 176), 3, NTSC)
    assert len(frames) == video.count == 120
    assert all(frame.shape == (144, 176, 3) and frame.dtype == np.uint8 for frame in frames)
    assert video.timestamps == [video.timestamps[0] + index / NTSC for index in range(120)]


@pytest.mark.parametrize("name", ["out.mp4", "out.avi", "out.gif", "out.tiff", "out.npy"])
def test_one_channel_is_grey(tmp_path, name):
    video = np.tile(np.arange(32, dtype=np.uint8) * 8, (3, 16, 1))
    pv.write(tmp_path / name, video[..., np.newaxis])
    read = np.stack(list(pv.read(tmp_path / name))).reshape(3, 16, 32, -1)
    assert np.abs(read[..., 0].astype(int) - video).max() <= (3 if name == "out.mp4" else 0)


def test_the_former_name_of_the_rate_is_deprecated(tmp_path):
    with pytest.warns(DeprecationWarning, match="called rate") as caught:
        pv.write(tmp_path / "v.avi", smooth(), fps=NTSC)
    assert caught[0].filename == __file__
    assert pv.read(tmp_path / "v.avi").rate == NTSC


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda path: pv.write(smooth(), path), r"ndarray \(7, 45, 61\).*path first, then the frames"),
        (lambda path: pv.write(path, str(path)), "write\\('out.mp4', read\\('in.mp4'\\)\\)"),
        (lambda path: pv.write(path, 3), "frames are 3"),
        (lambda path: pv.read(smooth()), "is given to filters as it is"),
        (lambda path: pv.run(smooth(), path), r"src is of type ndarray.*call the filter: denoise\(video\)"),
        (lambda path: pv.run(path, pv.denoise), "dst is of type"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused_with_what_to_do(tmp_path, call, told):
    with pytest.raises(TypeError, match=told):
        call(tmp_path / "v.avi")
    assert content(tmp_path) == {}


def test_an_output_is_checked_once_before_the_work_and_once_at_the_rename(tmp_path, monkeypatch):
    from pde_video.video import formats, outputs

    events, check = [], outputs.check_output

    def counted(*arguments):
        events.append("check")
        check(*arguments)

    def noted(frames):
        events.append("work")
        yield from frames

    pv.write(tmp_path / "in.avi", smooth())
    for module in (formats, outputs):
        monkeypatch.setattr(module, "check_output", counted)
    pv.run(tmp_path / "in.avi", tmp_path / "out.avi", noted)
    assert events == ["check", "work", "check"]


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.avi", "v.y4m", "v.tif"])
def test_the_duration_is_known_where_the_rate_is(tmp_path, name):
    pv.write(tmp_path / name, smooth(), rate=20)
    assert pv.read(tmp_path / name).details["duration"] == pytest.approx(FRAMES / 20, abs=1e-3)


def test_verify_says_what_it_compared_the_frames_with(tmp_path):
    from pde_video.jobs.again import verify

    for name, declared in (("v.mp4", {"declared": FRAMES}), ("v.mkv", {"declared_seconds": FRAMES / 20})):
        pv.write(tmp_path / name, smooth(), rate=20)
        found = verify(tmp_path / name)
        assert {key: value for key, value in found.items() if key.startswith("declared")} == declared


@pytest.mark.parametrize("kind", ["range", "matrix", "primaries", "transfer"])
def test_every_colour_tag_has_a_name_that_stands_for_it(kind):
    from pde_video.video.yuv_planes import tag_name, tag_number

    assert [tag_number(kind, tag_name(kind, number)) for number in range(256)] == list(range(256))


def test_a_time_is_the_decimal_number_that_it_looks_like(tmp_path):
    path = tmp_path / "ten_fps.avi"
    pv.write(path, np.arange(20, dtype=np.uint8)[:, None, None] * np.ones((1, 16, 16), np.uint8), rate=10)
    for k in range(1, 19):
        assert int(next(iter(pv.read(path, start=k / 10)))[0, 0]) == k  # 0.1 in binary is above one tenth.
        assert sum(1 for _ in pv.read(path, end=k / 10)) == k


def test_options_of_a_filter_go_to_the_filter():
    with pytest.raises(TypeError, match=r"run\(src, dst, denoise\(preset='fast'\)\)"):
        pv.run("in.mp4", "out.mp4", pv.denoise, preset="fast")
