"""Tags, comments and what a file says of how it was made: text by anyone, of any length, in any encoding."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest
from matroska import chapter, element, number, write

import pde_video as pv
from pde_video.cli.main import main
from pde_video.video.provenance import LONGEST_COMMENT, MARK, as_text, found_in


def tag(name: bytes, text: bytes, track: int | None = None) -> bytes:
    target = element("63C0", *([] if track is None else [number("63C5", track)]))
    return element("1254C367", element("7373", target, element("67C8", element("45A3", name), element("4487", text))))


def test_tags_that_are_not_utf_8_are_read_with_a_warning(tmp_path):
    path = write(tmp_path / "in.mkv", tags=tag(b"TITLE", b"caf\xe9"), chapters=chapter(0, 10**8, b"\xfcber"))
    video = pv.read(path)
    assert len(list(video)) == 5
    assert "not valid UTF-8" in video.details["warnings"][0]
    pv.run(path, tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.metadata["title"] == "caf\ufffd"
        assert container.chapters()[0]["metadata"]["title"] == "\ufffdber"


def test_a_gif_with_a_comment_in_latin_1_is_read(tmp_path):
    pv.write(tmp_path / "v.gif", np.zeros((3, 8, 8, 3), np.uint8))
    data = (tmp_path / "v.gif").read_bytes()
    (tmp_path / "said.gif").write_bytes(data[:-1] + b"!\xfe\x04\xa8\xa9ab\0;")
    assert len(list(pv.read(tmp_path / "said.gif"))) == 3


@pytest.mark.parametrize("clock", [b"9" * 400 + b":00:00.0", b"9" * 5000 + b":00:00", "٣:00:01".encode(), b"1:2:3.x"])
def test_a_duration_that_is_no_time_is_ignored(tmp_path, clock):
    path = write(tmp_path / "in.mkv", tags=tag(b"DURATION", clock, 1))
    assert len(list(pv.read(path))) == 5


@pytest.mark.parametrize(
    "value",
    [
        "[" * 100_000,
        "[" * 900 + "]" * 900,
        '{"a":' * 50 + "1" + "}" * 50,
        "9" * 100_000,
        "9" * 4000,
        *("NaN", "-Infinity", "1e999", "{", ""),
        '"' + "x" * 2**20 + '"',
    ],
    ids=lambda value: value[:9],
)
def test_facts_that_this_library_does_not_write_are_not_believed(value):
    assert found_in(f'{MARK}{{"version":"1","x":{value}') is None
    assert found_in(f'{MARK}{{"version":"1","x":{value}}}') is None


def test_facts_that_this_library_writes_are_believed():
    facts = {"recipe": [{"filter": "heat", "dt": 0.1, "seed": 2**64, "grid": [[1.0, [2]]]}], "nan": float("nan")}
    assert found_in(f"A remark {MARK}{as_text(facts)} and more")["recipe"] == facts["recipe"]
    assert found_in(MARK + '{"made": "elsewhere"}') is None
    assert found_in("pde_video") is found_in(None) is None


@pytest.mark.parametrize("suffix", ["mkv", "png", "jpg", "tif"])
@pytest.mark.parametrize("facts", ['"x":' + "[" * 3000 + "]" * 3000, '"command":[{}]'], ids=["deep", "list"])
def test_info_of_a_file_with_strange_facts_ends_well(tmp_path, capsys, suffix, facts):
    path, said = tmp_path / f"v.{suffix}", f'{MARK}{{"version":"1",{facts}}}'
    if suffix == "mkv":
        write(path, tags=tag(b"COMMENT", said.encode()))
    elif suffix == "tif":
        tifffile = pytest.importorskip("tifffile")
        tifffile.imwrite(path, np.zeros((3, 8, 8), np.uint8), software=said, photometric="minisblack")
    else:
        from PIL import Image, PngImagePlugin

        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", said)
        Image.new("L", (8, 8)).save(path, **({"pnginfo": text} if suffix == "png" else {"comment": said.encode()}))
    for options in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            main(["info", str(path), *options])
        assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert ("made" in told) == ("command" in facts)


def test_a_long_comment_is_reported_not_copied(tmp_path):
    path = write(tmp_path / "in.mkv", tags=tag(b"COMMENT", b"x" * (LONGEST_COMMENT + 1)))
    assert pv.run(path, tmp_path / "out.mkv")["not_copied"] == ["comment"]
    assert "comment" not in pv.read(tmp_path / "out.mkv").details


def test_a_remark_on_this_library_is_no_mark(tmp_path):
    path = write(tmp_path / "in.mkv", tags=tag(b"COMMENT", b"Try pde_video too"))
    pv.run(path, tmp_path / "out.mkv")
    assert pv.read(tmp_path / "out.mkv").details["comment"] == "Try pde_video too"
