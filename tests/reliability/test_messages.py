"""What goes wrong is told in plain words, not in those of Python and of the libraries."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import pde_video as pv
from pde_video.jobs.again import rerun
from pde_video.jobs.notes import parsed
from pde_video.jobs.recipes import from_toml
from pde_video.jobs.run import sidecar_of
from pde_video.video.staging import Journal

INTERNAL = re.compile(
    r"Expect|codec|object|iterab|unpack|embedded|Errno|set_int_max|element #|Fraction|convert|'str'|'int'|None|Error|^'"
)
BROKEN = {
    "nothing": (b"", "it is no JSON at line 1, column 1"),
    "a name without quotes": (b'{"a": 1,\n b: 2}', "it is no JSON at line 2, column 2"),
    "bytes": (b'{"a": "\xff"}', "it is no text in UTF-8"),
    "digits": (b'{"a": ' + b"1" * 5000 + b"}", "a number has too many digits"),
    "depth": (b"[" * 100_000, "nested more than 16 deep"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_json_is_told_with_its_place(tmp_path, kind):
    data, said = BROKEN[kind]
    np.save(tmp_path / "out.npy", np.zeros((2, 8, 8), np.uint8))
    sidecar_of(tmp_path / "out.npy").write_bytes(data)
    readers = [parsed, Journal.parsed, lambda data: rerun(tmp_path / "out.npy", target=tmp_path / "again.npy")]
    readers += [] if kind == "bytes" else [lambda data: pv.NoiseEstimate.from_json(data.decode())]
    for reader in readers:
        with pytest.raises(ValueError, match=said) as refused:
            reader(data)
        assert not INTERNAL.search(str(refused.value))


TOML = {
    "a bracket": ("[[filter]\n", r"it is no TOML at line 1, column 9"),
    "an end": ("a = ", r"it is no TOML at (end of document|line 1, column 5)"),
    "digits": ("a = " + "1" * 5000, "a number has too many digits"),
    "bytes": ("a = '\xff'", "it is no text in UTF-8"),
    "depth": ("a = " + "[" * 100_000, "nested more than 16 deep"),
}


@pytest.mark.parametrize("kind", TOML)
def test_what_is_no_toml_is_told_with_its_place(tmp_path, kind):
    text, said = TOML[kind]
    (tmp_path / "recipe.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(pv.ParameterError, match=said) as refused:
        from_toml(tmp_path / "recipe.toml")
    assert not INTERNAL.search(str(refused.value).removeprefix(str(tmp_path)))


MADE = {
    "no list": ({"recipe": 3}, "its recipe is 3, and no list"),
    "no tables": ({"recipe": ["heat"]}, "a filter is 'heat', and no table"),
    "no reading": ({"reading": [1]}, r"reading is \[1\], and no table"),
    "unknown reading": ({"reading": {"speed": 1}}, "reading has 'speed', which is not known"),
    "unknown encoding": ({"encoding": {"speed": 1}}, "encoding has 'speed', which is not known"),
    "a time": ({"reading": {"start": [1]}}, r"\[1\] is not a time in seconds"),
    "a time without end": ({"reading": {"start": "1/0"}}, "'1/0' is not a time in seconds"),
    "one frame": ({"reading": {"frames": 3}}, "3 is not a range of frames"),
    "three frames": ({"reading": {"frames": [1, 2, 3]}}, r"\[1, 2, 3\] is not a range of frames"),
    "no files": ({"files": "model"}, "files is 'model', and no table"),
    "a name": ({"input": "a\0b"}, "is called '.*a.*b', which no file can be"),
}


@pytest.mark.parametrize("kind", MADE)
def test_what_a_file_says_wrongly_of_how_it_was_made_is_told(tmp_path, kind):
    change, said = MADE[kind]
    out = tmp_path / "out.npy"
    np.save(out, np.zeros((2, 8, 8), np.uint8))
    sidecar_of(out).write_text(json.dumps({"version": "1", "input": "in.npy", "recipe": [], "sha256": None} | change))
    with pytest.raises(pv.InputError, match=said) as refused:
        rerun(out, target=tmp_path / "again.npy")
    assert not INTERNAL.search(str(refused.value).removeprefix(str(tmp_path)).partition(str(change))[0])


def test_a_name_that_no_file_can_have_is_told(tmp_path):
    said = "the name holds a character that no name can"
    with pytest.raises(pv.InputError, match=said):
        pv.read(tmp_path / "a\0.npy")
    with pytest.raises(pv.OutputError, match=said):
        pv.write(tmp_path / "a\0.npy", np.zeros((2, 8, 8), np.uint8))


@pytest.mark.parametrize("change", [b"", b"descr", b"|u1", b"False", b"8)", b"(2"])
def test_a_damaged_header_of_a_numpy_file_is_told(tmp_path, change):
    np.save(tmp_path / "in.npy", np.zeros((2, 8, 8), np.uint8))
    data = (tmp_path / "in.npy").read_bytes()
    (tmp_path / "in.npy").write_bytes(data.replace(change, b"-" * len(change)) if change else b"hello" + data[5:])
    with pytest.raises(pv.InputError, match=r"\(it(s header is damaged or cut off| does not begin as one)\)$"):
        pv.read(tmp_path / "in.npy")


CHANGES = {"data_type": "x9", "shape": "x", "chunk_grid": {}, "fill_value": "q", "chunk_key_encoding": {"name": "z"}}


@pytest.mark.parametrize("name", CHANGES)
def test_a_damaged_zarr_array_is_told(tmp_path, name):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "in.zarr"
    pv.write(path, np.ones((2, 8, 8), np.uint8))
    chunk, header = path / "c" / "1" / "0" / "0", json.loads((path / "zarr.json").read_text())
    chunk.write_bytes(b"2" + chunk.read_bytes()[1:])
    with pytest.raises(
        pv.InputError, match=r"frame 1 .*\(a chunk does not match its checksum, or cannot be decoded\)$"
    ):
        list(pv.read(path))
    (path / "zarr.json").write_text(json.dumps({**header, name: CHANGES[name]}))
    said = rf"its zarr\.json does not describe one that zarr {re.escape(zarr.__version__)} opens"
    with pytest.raises(pv.InputError, match=rf"\({said}\)$"):
        pv.read(path)
