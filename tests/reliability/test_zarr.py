"""Zarr arrays: a checksum for every frame, nothing that reads as zeros, nothing that is run."""

from __future__ import annotations

import json
import os
import signal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from bombs import FIRST, array, zstd

import pde_video as pv

zarr = pytest.importorskip("zarr", minversion="3", reason="install the extra: pip install '.[zarr]'")

DTYPES = ["uint8", "uint16", "int16", "float32", "float64", "bool", ">u2"]


def video(dtype="uint16", colour=False, frames=5) -> np.ndarray:
    shape = (frames, 9, 11, 3) if colour else (frames, 9, 11)
    return (np.random.default_rng(0).random(shape) * 200).astype(dtype)


def load(path, **options) -> np.ndarray:
    return np.stack(list(pv.read(path, **options)))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_zarr_array_keeps_every_value(tmp_path, dtype, colour):
    original = video(dtype, colour)
    original[2] = 0  # A frame of zeros is there as well.
    assert pv.write(tmp_path / "v.zarr", iter(original)) == 5
    assert np.array_equal(load(tmp_path / "v.zarr"), original)
    other = zarr.open_array(str(tmp_path / "v.zarr"), mode="r")
    assert np.array_equal(other[:], original)
    assert other.chunks == (1, *original.shape[1:])
    assert "crc32c" in json.dumps(json.loads((tmp_path / "v.zarr" / "zarr.json").read_text())["codecs"])


def test_a_zarr_array_keeps_rate_and_how_it_was_made(tmp_path):
    pv.write(tmp_path / "in.avi", video("uint8"), rate=Fraction(24000, 1001))
    pv.run(tmp_path / "in.avi", tmp_path / "out.zarr", pv.denoise)
    read = pv.read(tmp_path / "out.zarr")
    assert (read.rate, read.count, read.size) == (Fraction(24000, 1001), 5, (9, 11))
    assert read.details["made"]["filters"] == ["denoise"]
    assert np.array_equal(np.stack(list(read)), pv.denoise(video("uint8")))
    assert read.timestamps[1] == Fraction(1001, 24000)


def test_a_long_zarr_array_has_all_frames_and_no_more(tmp_path):
    original = video("uint8", frames=300)
    assert pv.write(tmp_path / "v.zarr", iter(original)) == 300
    assert np.array_equal(load(tmp_path / "v.zarr"), original)
    assert np.array_equal(load(tmp_path / "v.zarr", frames=(290, 295)), original[290:295])


def test_zarr_missing_chunk(tmp_path):
    pv.write(tmp_path / "v.zarr", video())
    (tmp_path / "v.zarr" / "c" / "3" / "0" / "0").unlink()
    with pytest.raises(pv.InputError, match=r"frame 3 .*c/3/0/0 is missing"):
        load(tmp_path / "v.zarr")
    part = pv.read(tmp_path / "v.zarr", keep_partial=True)
    assert np.array_equal(np.stack(list(part)), video()[:3])
    assert "c/3/0/0" in part.lost


@pytest.mark.parametrize("fill", [7, 0])
def test_absent_chunks_of_other_programs_are_the_fill_value(tmp_path, fill):
    original = video("uint8")
    original[1], original[4, 8, 10] = fill, fill  # The last chunk is one value.
    path = tmp_path / "v.zarr"
    array = zarr.create_array(str(path), shape=(5, 9, 11), chunks=(1, 4, 5), dtype="uint8", fill_value=fill)
    array[:] = original
    assert not (path / "c" / "1").exists()
    assert np.array_equal(load(path), original)
    assert pv.read(path).details["warnings"] == [f"10 of 45 chunks are absent, and read as the fill value {fill}"]
    report = pv.run(path, tmp_path / "out.npy")
    assert np.array_equal(np.load(tmp_path / "out.npy"), original)
    assert "fill value" in report["warnings"][0]


def test_an_absent_chunk_of_a_long_array_is_told_when_it_is_read(tmp_path):
    array = zarr.create_array(str(tmp_path / "v.zarr"), shape=(1001, 1, 1), chunks=(1, 1, 1), dtype="uint8")
    array[:3] = 1
    read = pv.read(tmp_path / "v.zarr", frames=(0, 5))
    assert "warnings" not in read.details
    assert np.stack(list(read)).ravel().tolist() == [1, 1, 1, 0, 0]
    assert read.details["warnings"] == ["chunks of frame 3 are absent, and read as the fill value 0"]


def test_absent_chunks_may_be_nan(tmp_path):
    zarr.create_array(str(tmp_path / "v.zarr"), shape=(2, 3, 4), chunks=(1, 3, 4), dtype="f4", fill_value=np.nan)
    assert np.isnan(load(tmp_path / "v.zarr")).all()


def test_an_array_without_its_origin_misses_no_chunk_either(tmp_path):
    """What `write` wrote is known by an attribute, also where it does not know how the frames were made."""
    pv.write(tmp_path / "v.zarr", np.zeros((3, 4, 5), np.uint8))
    (tmp_path / "v.zarr" / "c" / "0" / "0" / "0").unlink()
    with pytest.raises(pv.InputError, match=r"frame 0 .*c/0/0/0 is missing"):
        pv.read(tmp_path / "v.zarr")


@pytest.mark.parametrize("place", ["zarr.json", "c/1/0/0", "c/1", "c"])
@pytest.mark.parametrize("target", ["outside", "inside"])
def test_links_within_an_array_are_not_followed(tmp_path, place, target):
    pv.write(tmp_path / "v.zarr", video())
    pv.write(tmp_path / "other.zarr", video() + 1)
    linked = tmp_path / "v.zarr" / place
    elsewhere = (tmp_path / "other.zarr" / place) if target == "outside" else linked.with_name("moved")
    linked.rename(linked.with_name("moved"))
    linked.symlink_to(elsewhere)
    with pytest.raises(pv.InputError, match="a symlink"):
        load(tmp_path / "v.zarr")


def test_an_array_behind_a_link_is_read(tmp_path):
    pv.write(tmp_path / "v.zarr", video())
    (tmp_path / "link.zarr").symlink_to("v.zarr")
    assert np.array_equal(load(tmp_path / "link.zarr"), video())


@pytest.mark.parametrize("place", ["zarr.json", "c/1/0/0"])
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_only_files_are_read_within_an_array(tmp_path, place, kind):
    pv.write(tmp_path / "v.zarr", video())
    path = tmp_path / "v.zarr" / place
    path.unlink()
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    with pytest.raises(pv.InputError, match=r"v\.zarr"):
        load(tmp_path / "v.zarr")


@pytest.mark.parametrize(
    "codecs",
    [
        [zarr.codecs.Crc32cCodec(), zarr.codecs.ZstdCodec()],
        [zarr.codecs.ZstdCodec(checksum=True), zarr.codecs.Crc32cCodec()],
        [zarr.codecs.GzipCodec(), zarr.codecs.Crc32cCodec()],
        [zarr.codecs.Crc32cCodec(), zarr.codecs.BloscCodec()],
    ],
    ids=["zstd", "zstd-before", "gzip-before", "blosc"],
)
def test_a_checksum_before_or_after_the_compressor_is_taken_into_account(tmp_path, codecs):
    zarr.create_array(str(tmp_path / "v.zarr"), data=video(), chunks=(2, 5, 11), compressors=codecs)
    assert np.array_equal(load(tmp_path / "v.zarr"), video())


@pytest.mark.parametrize("size", [5, 200, 300, 70_000, 300_000])
@pytest.mark.parametrize("known", [True, False])
def test_zstd_with_and_without_its_size(tmp_path, size, known):
    """Other libraries write frames that do not say how much they hold."""
    array(tmp_path / "v.zarr", {FIRST: zstd(size, known)}, "zstd", shape=(1, 1, size), sides=(1, 1, size))
    assert np.array_equal(load(tmp_path / "v.zarr"), np.zeros((1, 1, size), np.uint8))


@pytest.mark.parametrize(
    "method",
    [zarr.codecs.ZstdCodec(), zarr.codecs.GzipCodec(), zarr.codecs.BloscCodec()],
    ids=["zstd", "gzip", "blosc"],
)
@pytest.mark.parametrize("longer", [1, -1])
def test_a_chunk_that_holds_more_or_less_than_a_chunk_is_refused(tmp_path, method, longer):
    for name, side in (("v.zarr", 11), ("other.zarr", 11 + longer)):
        data = np.resize(video("uint8"), (2, 9, side))
        zarr.create_array(str(tmp_path / name), data=data, chunks=(1, 9, side), compressors=[method])
    place = Path("c/0/0/0")
    (tmp_path / "v.zarr" / place).write_bytes((tmp_path / "other.zarr" / place).read_bytes())
    with pytest.raises(pv.InputError, match=r"c/0/0/0 declares \d+ bytes of data; a chunk has 99"):
        pv.read(tmp_path / "v.zarr")


def test_a_flipped_bit_in_a_zarr_chunk_names_the_frame(tmp_path):
    pv.write(tmp_path / "v.zarr", video())
    chunk = tmp_path / "v.zarr" / "c" / "2" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[7] ^= 4
    chunk.write_bytes(data)
    with pytest.raises(pv.InputError, match=r"frame 2 .*checksum"):
        load(tmp_path / "v.zarr")


@pytest.mark.parametrize("cut", [0, 3, 100])
def test_a_zarr_chunk_cut_off_names_the_frame(tmp_path, cut):
    pv.write(tmp_path / "v.zarr", video())
    chunk = tmp_path / "v.zarr" / "c" / "2" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:cut])
    with pytest.raises(pv.InputError, match="frame 2"):
        load(tmp_path / "v.zarr")


@pytest.mark.parametrize("compressor", [zarr.codecs.ZstdCodec(), zarr.codecs.GzipCodec(), zarr.codecs.BloscCodec()])
def test_zarr_arrays_of_other_programs_are_read(tmp_path, compressor):
    zarr.create_array(str(tmp_path / "v.zarr"), data=video(), chunks=(2, 9, 11), compressors=[compressor])
    assert np.array_equal(load(tmp_path / "v.zarr"), video())


CHANGES = {
    "text": lambda header: "no JSON",
    "list": lambda header: [],
    "group": lambda header: {"zarr_format": 3, "node_type": "group"},
    "pickle": lambda header: header | {"codecs": [{"name": "numcodecs.pickle"}, *header["codecs"]]},
    "storage": lambda header: header | {"storage_transformers": [{"name": "x"}]},
    "format": lambda header: header | {"zarr_format": 2},
    "shards": lambda header: header | {"codecs": [{"name": "sharding_indexed", "configuration": {}}]},
    "codec": lambda header: header | {"codecs": [{"name": "bytes", "configuration": {"endian": "none"}}]},
    "dtype": lambda header: header | {"data_type": "string"},
    "nested": lambda header: header | {"data_type": {"name": ["x"]}},
    "shape": lambda header: header | {"shape": [5, 9]},
    "negative": lambda header: header | {"shape": [5, -9, 11]},
    "huge frames": lambda header: header | {"shape": [5, 10**6, 10**6]},
    "huge chunks": lambda header: (
        header | {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [10**6, 9, 10**4]}}}
    ),
    "more frames": lambda header: header | {"shape": [10**12, 9, 11]},
    "wider": lambda header: header | {"shape": [5, 9, 12]},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_zarr_header_that_cannot_be_followed_is_refused(tmp_path, change):
    pv.write(tmp_path / "v.zarr", video())
    path = tmp_path / "v.zarr" / "zarr.json"
    header = CHANGES[change](json.loads(path.read_text()))
    path.write_text(header if isinstance(header, str) else json.dumps(header))
    with pytest.raises(pv.InputError, match=r"v\.zarr"):
        for _ in pv.read(tmp_path / "v.zarr"):
            pass


def test_zarr_2_with_its_pickles_is_refused(tmp_path):
    zarr.create_array(str(tmp_path / "v.zarr"), data=video(), zarr_format=2)
    with pytest.raises(pv.InputError, match="zarr 3"):
        pv.read(tmp_path / "v.zarr")


def test_a_header_of_zarr_2_beside_that_of_zarr_3_is_not_followed(tmp_path):
    pv.write(tmp_path / "v.zarr", video())
    shapes = {"shape": [5, 9, 11], "chunks": [1, 9, 11], "dtype": "<u2", "fill_value": 0, "order": "C"}
    pickles = {"zarr_format": 2, "filters": [{"id": "pickle"}], "compressor": None}
    (tmp_path / "v.zarr" / ".zarray").write_text(json.dumps(shapes | pickles))
    assert np.array_equal(load(tmp_path / "v.zarr"), video())


@pytest.mark.parametrize("kind", ["empty folder", "file"])
def test_what_is_no_zarr_array_is_bad_input(tmp_path, kind):
    path = tmp_path / "v.zarr"
    path.mkdir() if kind == "empty folder" else path.write_bytes(b"text")
    with pytest.raises(pv.InputError, match="zarr 3 array"):
        pv.read(path)


def test_force_replaces_a_zarr_array_and_a_failure_leaves_it(tmp_path):
    path = tmp_path / "v.zarr"
    pv.write(path, video())
    before = content(tmp_path)
    with pytest.raises(FileExistsError):
        pv.write(path, video()[:2])

    def failing():
        yield from video()[:2]
        raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        pv.write(path, failing(), force=True)
    assert content(tmp_path) == before
    assert pv.write(path, video()[:2] + 1, force=True) == 2
    assert os.listdir(tmp_path) == ["v.zarr"]
    assert np.array_equal(load(path), video()[:2] + 1)
    with pytest.raises(FileExistsError, match="same file"):
        pv.run(path, path, force=True)


@pytest.mark.parametrize("name", ["http:x.zarr", "a b.zarr", "memory:.zarr", "%d.zarr"])
def test_the_name_of_a_zarr_array_is_taken_literally(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    pv.write(name, video())
    assert os.listdir(tmp_path) == [name]
    assert np.array_equal(load(name), video())


@pytest.mark.parametrize("dtype", ["datetime64[s]", "U4", "V8", "O"])
def test_what_is_no_number_is_not_written_to_zarr(tmp_path, dtype):
    with pytest.raises(pv.ParameterError, match="numbers"):
        pv.write(tmp_path / "v.zarr", np.zeros((2, 3, 4), dtype))
    assert os.listdir(tmp_path) == []


def test_a_rate_that_is_given_is_in_the_array(tmp_path):
    pv.write(tmp_path / "v.zarr", video(), rate=Fraction(24000, 1001))
    assert pv.read(tmp_path / "v.zarr").rate == Fraction(24000, 1001)


def test_a_signal_waits_while_threads_of_zarr_write(tmp_path, monkeypatch):
    """They went on after the exception, and made anew what had been removed."""
    create, created = zarr.create_array, []

    def signalled(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        created.append(create(*arguments, **options))
        return created[0]

    def stop(number, frame):
        raise KeyboardInterrupt

    monkeypatch.setattr(zarr, "create_array", signalled)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            pv.write(tmp_path / "out.zarr", np.zeros((3, 8, 9), np.uint8))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(created) == 1
    assert list(tmp_path.iterdir()) == []
