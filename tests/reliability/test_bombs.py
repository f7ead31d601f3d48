"""Small files that claim or unfold to far more: a clear error of every command, soon, in bounded memory."""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import matroska
import numpy as np
import pytest
from bombs import BOMBS, FRAGMENTED, ZARR, avi, box, file_of, fragment, full, jpeg, movie, numbers, png, track
from cases import slow
from container_bombs import COMPRESSED, SIZE, TEXTS, compression, tag, tags
from stream_bombs import NOT_DECODED

import pde_video as pv
from pde_video.video import untrusted
from pde_video.video.boxes import check_tables

MEMORY, SECONDS = 512 * 2**20, 5
LATER = ("second_deep.avi", "second_scans.avi")  # `info` decodes one frame.
# These take about a second each, in any command: one must do.
HEAVY = {"nested.mp4", "undeclared_few.ts", "boxes.mp4", "second_scans.avi", "entries.mkv", "deep.avi"}
SMALL = fragment(1, more=full(b"tfdt", numbers(0))) + box(b"mdat", bytes(50))  # As FFmpeg writes each frame of a still.
WORKER = Path(__file__).with_name("bomb_worker.py")


def outcomes(folder: Path, bombs) -> list:
    for name, write in bombs.items():
        write(folder / name)
    files = [f"{'last' if name in HEAVY else 'all'}:{folder / name}" for name in bombs]
    found = subprocess.run([sys.executable, str(WORKER), *files], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-3000:]
    return [json.loads(line) for line in found.stdout.splitlines()]


def ends_well(name: str, command: str, code: int, said: str) -> bool:
    if name in TEXTS or name in NOT_DECODED or (name in LATER and command == "info"):
        return code == 0
    return code == 4 and name in said


needs_zarr = pytest.mark.skipif(not importlib.util.find_spec("zarr"), reason="install the extra zarr")


LIGHT, HEAVIER = ({name: BOMBS[name] for name in BOMBS if (name in HEAVY) is heavy} for heavy in (False, True))
SETS = [*slow(LIGHT, HEAVIER), pytest.param(ZARR, marks=needs_zarr)]


@pytest.mark.parametrize("bombs", SETS, ids=["files", "heavy", "zarr"])
def test_a_bomb_ends_in_a_clear_error_soon_and_in_bounded_memory(tmp_path, bombs):
    found = outcomes(tmp_path, bombs)
    assert len(found) == 3 * len(bombs) - 2 * len(HEAVY & bombs.keys())
    wrong = [
        f"{name} {command}: exit code {code}, {seconds:.1f} s, {memory / 2**20:.0f} MB, {said[-300:]!r}"
        for name, command, code, seconds, memory, said in found
        if not ends_well(name, command, code, said) or seconds > SECONDS or memory > MEMORY
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("name", "content", "size"),
    [
        ("blank_8k.avi", lambda: avi(7680, 4320, jpeg(7680, 4320)), (4320, 7680)),
        ("deep_uhd.avi", lambda: avi(3840, 2160, png(3840, 2160, depth=16, colour=2)), (2160, 3840)),
        ("blank.png", lambda: png(11_000, 9_200), (9_200, 11_000)),
        ("black_and_white.png", lambda: png(8_000, 8_000, depth=1), (8_000, 8_000)),
        ("still.mp4", lambda: movie(track(1, len(jpeg()))), (24, 32)),
        ("long.mp4", lambda: movie(track(1_000_000)), None),
        ("each_frame.mp4", lambda: file_of(FRAGMENTED, SMALL * 24_000), None),
    ],
)
def test_good_files_that_unfold_to_much_are_read(tmp_path, name, content, size):
    (tmp_path / name).write_bytes(content())
    if size is None:  # Only the first of its samples is there.
        check_tables(tmp_path / name)
    else:
        assert pv.read(tmp_path / name).size == size


def test_matroska_is_read_as_its_programs_write_it(tmp_path):
    """Subtitles in zlib, statistics of many tracks, and frames whose first bytes, all alike, are left out."""
    many = b"".join(matroska.track(3 + index, 17, b"S_TEXT/UTF8") for index in range(90))
    of_each = tags(*(b"".join(map(tag, range(7))) for _ in range(90)))
    text = matroska.block(2, 0, zlib.compress(b"Said"), 40)
    path = matroska.write(tmp_path / "v.mkv", COMPRESSED + many, text, tags=of_each)
    video = pv.read(path)
    assert len(video.details["other_streams"]) == 91
    report = pv.run(path, tmp_path / "w.mkv")
    assert not report.get("not_copied")
    with av.open(tmp_path / "w.mkv") as file:
        assert bytes(next(file.demux(subtitles=0))) == b"Said"
    picture = jpeg(64, 48)
    stripped = matroska.track(2, 1, b"V_MJPEG", SIZE, compression(3, settings=picture[:2]))
    path = matroska.write(tmp_path / "s.mkv", stripped, matroska.block(2, 0, picture[2:]), frames=1, picture=picture)
    np.testing.assert_array_equal(np.stack([*pv.read(path, stream=1)]), np.stack([*pv.read(path)]))


@pytest.mark.parametrize("name", ["decoders.mkv", "tracks.mov", "undeclared.ts"])
def test_more_streams_than_are_read_are_counted(tmp_path, name):
    BOMBS[name](tmp_path / name)
    with pytest.raises(pv.InputError, match=r"has \d+ streams; at most 256 are read"):
        pv.read(tmp_path / name)


def test_much_sound_is_not_decoded_for_a_copy(tmp_path):
    """Without a decoder the format of samples is not known."""
    head = b"OpusHead\x01\2\0\0" + struct.pack("<I", 48_000) + bytes(3)
    channels = matroska.element("E1", matroska.number("9F", 2), matroska.element("B5", struct.pack(">d", 48_000)))

    def decoded(codec: bytes, count: int, private: bytes = b"") -> int:
        parts = channels, matroska.element("63A2", private)
        sound = b"".join(matroska.track(2 + k, 2, codec, *parts) for k in range(count))
        path = matroska.write(tmp_path / "v.mkv", sound)
        with untrusted.opened(path, with_sound=True) as container:
            return sum(stream.format is not None for stream in container.streams.audio)

    assert decoded(b"A_MPEG/L3", 16) == 16
    assert decoded(b"A_MPEG/L3", 17) == 0
    assert decoded(b"A_OPUS", 1, head) == 0


def test_a_large_frame_from_a_small_file_is_read_if_more_pixels_are_allowed(tmp_path):
    path = tmp_path / "v.png"
    path.write_bytes(png(11_600, 11_600, depth=1))
    with pytest.raises(pv.InputError, match=f"134560000 bytes is stored in .*max_pixels above {2**28}"):
        pv.read(path)
    assert pv.read(path, max_pixels=2**28 + 1).size == (11_600, 11_600)


@pytest.mark.parametrize(
    ("pixel", "nbytes"),
    [("gray", 1), ("gray12le", 2), ("pal8", 3), ("yuv420p10le", 3), ("ya16be", 4), ("rgba64be", 8), (None, 3)],
)
def test_a_pixel_of_a_container_counts_with_its_bytes_and_values(pixel, nbytes):
    assert untrusted.of_a_pixel(pixel and av.VideoFormat(pixel, 8, 8)) == nbytes


def test_what_a_run_has_written_is_no_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(untrusted, "_SMALL", 2**10)
    monkeypatch.setattr(untrusted, "_RATIO", 0)
    text = matroska.track(2, 17, b"S_TEXT/UTF8")
    path = matroska.write(tmp_path / "v.mkv", text, matroska.block(2, 0, b"Said", 40))
    with pytest.raises(pv.InputError, match="is stored in"):
        pv.read(path)
    report = pv.run(path, tmp_path / "again.mkv", reading={"max_pixels": 2**28 + 1})
    assert not report.get("not_copied")


def test_what_follows_the_end_of_a_png_is_not_read(tmp_path):
    path = tmp_path / "v.png"
    path.write_bytes(png(32, 24, depth=16, colour=2))
    before = pv.read(path).details
    os.truncate(path, 2**40)  # It takes no room on the disk.
    assert pv.read(path).details == before


def test_a_pattern_for_numbers_of_too_many_digits_is_no_pattern(tmp_path):
    (tmp_path / "f_1.png").write_bytes(png(32, 24))
    with pytest.raises(FileNotFoundError):
        pv.read(tmp_path / "f_%099999999999d.png")
    assert pv.read(tmp_path / "f_%01d.png").count == 1


def test_boxes_are_followed_as_ffmpeg_does(tmp_path):
    """Also a size of 64 bits, one of 0 to the end, and a box that is cut off."""
    path = tmp_path / "v.mp4"
    table = full(b"stsz", numbers(1, 3_000_000))
    for moov in (numbers(1) + b"moov" + struct.pack(">Q", 16 + len(table)) + table, numbers(0) + b"moov" + table):
        path.write_bytes(box(b"ftyp", b"isom") + moov)
        with pytest.raises(pv.InputError, match="3000000 samples"):
            check_tables(path)
    path.write_bytes(box(b"ftyp", b"isom") + numbers(10**6) + b"moov" + table)
    with pytest.raises(pv.InputError, match="3000000 samples"):
        check_tables(path)
    path.write_bytes(numbers(10**6) + b"moov" + table)
    assert not check_tables(path)


def test_hours_of_uncompressed_sound_are_no_bomb(tmp_path):
    """FFmpeg joins its samples; QuickTime names a kind of data besides the kind of media."""
    path = tmp_path / "v.mov"
    chunks, samples = 3600, 3600 * 48_000
    sound = track(samples, 4, sound=True, per_chunk=48_000, chunks=chunks)
    data_handler = full(b"hdlr", b"dhlr", b"alis", bytes(13))
    path.write_bytes(movie(track(1), sound, data_handler))
    os.truncate(path, 4 * samples)  # It takes no room on the disk.
    assert check_tables(path)


def test_a_loop_of_links_in_an_array_is_bad_input(tmp_path):
    pytest.importorskip("zarr")
    ZARR["number.zarr"](tmp_path / "v.zarr")
    (tmp_path / "v.zarr" / "zarr.json").unlink()
    (tmp_path / "v.zarr" / "zarr.json").symlink_to("zarr.json")
    with pytest.raises(pv.InputError, match=r"zarr\.json"):
        pv.read(tmp_path / "v.zarr")
