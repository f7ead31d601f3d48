"""Joining two videos in time: what is kept, passages along the motion, fades, sound, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import pde_video as pv

SIDE = (64, 96)


def moving(frames=12, speed=2.0, seed=2):
    """A texture that moves to the left, (T, H, W), in [0, 1]."""
    wide = SIDE[1] + int(speed * frames) + 1
    ground = gaussian_filter(np.random.default_rng(seed).standard_normal((SIDE[0], wide)), 2.5)
    ground = 0.5 + 0.1 * ground / ground.std()
    return np.stack([ground[:, int(speed * t) : int(speed * t) + SIDE[1]] for t in range(frames)])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("over", [0, 1, 5])
def test_a_film_that_was_cut_in_two_is_whole_again(over, dtype):
    film = np.stack([moving(), 1 - moving()], axis=-1)[..., [0, 1, 0]]
    film = film.astype(dtype) if dtype == np.float32 else np.rint(film * np.iinfo(dtype).max).astype(dtype)
    report = {}
    found = pv.join(film[:7], film[7 - over :], over=over, report=report)
    assert (found.dtype, found.shape) == (dtype, film.shape)
    np.testing.assert_allclose(found, film, rtol=0, atol=1e-6 if dtype == np.float32 else 0)
    assert report["joined"] == 7 - over
    assert report.get("along_motion", 1) == 1


def test_frames_outside_of_the_overlap_are_those_of_both_bit_for_bit():
    one, other = moving().astype(np.float32), moving(9, 1.0, seed=5).astype(np.float32)
    found = pv.join(one, other, over=4)
    assert len(found) == 17
    np.testing.assert_array_equal(found[:8], one[:8])
    np.testing.assert_array_equal(found[12:], other[4:])
    np.testing.assert_array_equal(np.stack(list(pv.join(iter(one), iter(other), over=4))), found)


def test_what_is_displaced_moves_to_its_new_place_evenly():
    ground = moving(1, 0.0)[0]
    wide = np.concatenate([ground, ground[:, ::-1]], axis=1)
    one, other = (np.repeat(wide[np.newaxis, :, at : at + SIDE[1]], 5, axis=0) for at in (0, 4))
    found = pv.join(one, other, over=3)
    for k in (1, 2, 3):
        np.testing.assert_allclose(found[1 + k, 8:-8, 8:-12], wide[8:-8, 8 + k : SIDE[1] - 12 + k], atol=0.02)
    faded = 0.5 * (one[0] + other[0])
    apart = [np.abs(shown[8:-8, 8:-12] - wide[8:-8, 10 : SIDE[1] - 10]).mean() for shown in (found[3], faded)]
    assert apart[0] < 0.1 * apart[1]


def test_other_scenes_fade():
    one, other = moving(), 1 - moving(12, 2.0, seed=7)[:, ::-1] ** 2
    report = {}
    found = pv.join(one, other, over=3, report=report)
    for k in (1, 2, 3):
        np.testing.assert_allclose(found[8 + k], one[8 + k] + k / 4 * (other[k - 1] - one[8 + k]), atol=1e-12)
    assert report["along_motion"] == 0


@pytest.mark.parametrize("other", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("one", ["uint8", "uint16", "float32"])
def test_white_is_white_whatever_the_dtypes_and_conversions_are_said(one, other):
    white, report = {"uint8": 255, "uint16": 65535, "float32": 1}, {}
    first, second = (np.full((3, 8, 8), white[dtype], dtype) for dtype in (one, other))
    for over in (0, 2):
        found = pv.join(first, second, over=over, report=report)
        assert found.dtype == one
        np.testing.assert_array_equal(found, np.full((6 - over, 8, 8), white[one]))
        warnings = report.get("warnings", [])
        assert [said.split(":")[0] for said in warnings] == [
            f"white is {white[other]} in the following video and {white[one]} in the first"
        ] * (one != other)
        assert ("rounded" in str(warnings)) == (not np.can_cast(other, one))


@pytest.mark.parametrize("scale", [np.float32(2.0**-80), np.float64(2.0**400)])
def test_the_unit_of_floats_does_not_matter(scale):
    one, other = moving().astype(scale.dtype), moving(9, 1.0, seed=2).astype(scale.dtype)
    np.testing.assert_array_equal(pv.join(scale * one, scale * other, over=4), scale * pv.join(one, other, over=4))


def test_threads_change_nothing(threads):
    one, other = moving(), moving(12, 2.0, seed=2) + 0.05
    whole = pv.join(one, other, over=6)
    threads(1)
    np.testing.assert_array_equal(pv.join(one, other, over=6), whole)


@pytest.mark.parametrize(
    ("following", "over", "said"),
    [
        (np.zeros((9, 64, 90)), 4, "64 × 96 pixels and 1 channels, the following one of 64 × 90"),
        (np.zeros((9, 64, 96, 3)), 4, "and 3 channels; they must be equal"),
        (np.zeros((3, 64, 96)), 4, "the following video has 3 frames, and the overlap 4"),
        (np.zeros((20, 64, 96)), 13, "the video has 12 frames, and the overlap 13"),
        (np.zeros((0, 64, 96)), 0, "the following video has no frame"),
        (np.full((9, 64, 96), np.nan), 4, "NaN"),
    ],
)
def test_what_does_not_fit_is_refused(following, over, said):
    with pytest.raises(pv.InputError, match=said):
        pv.join(moving(), following, over=over)


def test_later_frames_of_another_size_and_what_is_no_video_are_refused():
    frames = [moving(1)[0]] * 6
    for at in (2, 5):
        others = [*frames[:at], frames[0][:50], *frames[at:]]
        with pytest.raises(pv.InputError, match="the following one of 50 × 96"):
            pv.join(np.stack(frames), others, over=4)
    with pytest.raises(pv.ParameterError, match="it must be an array, frames, or the name of a file"):
        pv.join(moving(), 3)


def with_sound(path, frames, rate=25):
    """Write a video with a stream of sound that lasts as long."""
    with av.open(str(path), "w") as container:
        picture, sound = container.add_stream("ffv1", rate=rate), container.add_stream("pcm_s16le", rate=8000)
        picture.height, picture.width, picture.pix_fmt = *frames.shape[1:], "gray"
        for frame in frames:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000 * len(frames) // rate), np.int16), layout="mono")
        samples.sample_rate = 8000
        container.mux(sound.encode(samples))
        for stream in (picture, sound):
            container.mux(stream.encode(None))


def test_files_keep_the_sound_of_the_first_and_what_is_left_out_is_said(tmp_path, call):
    one, other = (np.rint(255 * moving(10, 2.0, seed)).astype(np.uint8) for seed in (2, 3))
    with_sound(tmp_path / "one.mkv", one)
    with_sound(tmp_path / "two.mkv", other)
    options = ("--following", tmp_path / "two.mkv", "--over", "3", "--codec", "ffv1")
    code, _, error = call("join", tmp_path / "one.mkv", tmp_path / "out.mkv", *options)
    assert code == 0, error
    assert "audio of the following video" in error
    silent = np.rint(255 * moving(10)).astype(np.uint8)
    pv.write(tmp_path / "silent.mkv", silent, codec="ffv1", rate=25)
    code, _, error = call("join", tmp_path / "one.mkv", tmp_path / "third.mkv", "--following", tmp_path / "silent.mkv")
    assert (code, error) == (0, "")
    found = pv.read(tmp_path / "out.mkv")
    np.testing.assert_array_equal(np.stack(list(found)), pv.join(one, other, over=3))
    assert found.rate == 25
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert len(container.streams.audio) == 1
    with_sound(tmp_path / "slow.mkv", other, rate=10)
    slow = ("--following", tmp_path / "slow.mkv")
    code, _, error = call("join", tmp_path / "one.mkv", tmp_path / "other.mkv", *slow)
    assert code == 4
    assert "slow.mkv has 10 frames per second, the video 25" in error
    assert not (tmp_path / "other.mkv").exists()


def test_times_of_the_second_file_that_vary_are_said_not_to_be_kept(tmp_path):
    frames = np.rint(255 * moving(6)).astype(np.uint8)
    # Six frames in 0.2 s + the 0.04 s that the last one is shown: 25 per second on average.
    for name, times in (("even.mkv", range(0, 240, 40)), ("uneven.mkv", (0, 40, 90, 120, 160, 200))):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.height, stream.width, stream.pix_fmt = *SIDE, "gray"
            stream.codec_context.time_base = Fraction(1, 1000)
            for frame, time in zip(frames, times, strict=True):
                picture = av.VideoFrame.from_ndarray(frame, format="gray")
                picture.pts, picture.time_base = time, Fraction(1, 1000)
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
    even, uneven = tmp_path / "even.mkv", tmp_path / "uneven.mkv"
    report = pv.run(even, tmp_path / "out.mkv", pv.join(following=uneven, over=0))
    assert [said.split("uneven.mkv")[1] for said in report["warnings"]] == [
        ", which differ from 25 frames/s by up to 0.01 s, are not kept"
    ]
    assert "warnings" not in pv.run(uneven, tmp_path / "again.mkv", pv.join(following=even, over=0))
    for name, times in (("out.mkv", range(0, 480, 40)), ("again.mkv", (0, 40, 90, 120, 160, *range(200, 480, 40)))):
        found = pv.read(tmp_path / name)
        assert len(list(found)) == 12
        assert [1000 * time for time in found.timestamps] == list(times)
