"""Hidden folders of runs that were killed: the next run in their folder removes those of this user, and no others."""

from __future__ import annotations

import itertools
import os
import shutil

import numpy as np
import pytest
from test_outputs import (
    ASIDE,
    BEFORE,
    PATTERN,
    PLACING,
    another_array,
    content,
    fill,
    hidden,
    killed_at,
    longer_sequence,
    posix,
    states,
    unfinished,
    written,
)

import pde_video as pv
from pde_video.video import disk, seal
from pde_video.video.files import write_checked
from pde_video.video.formats import checked_output
from pde_video.video.leftovers import clean_up
from pde_video.video.outputs import check_output, warning_if_killed, whole
from pde_video.video.staging import Staging


def write_another(folder) -> None:
    pv.write(folder / "another.npy", np.zeros((1, 2, 2), np.uint8), force=True)
    (folder / "another.npy").unlink()


@pytest.fixture
def no_key(tmp_path_factory, monkeypatch):
    """No place for a key, as in a container without a home."""
    nowhere = tmp_path_factory.mktemp("state") / "file"
    nowhere.touch()
    monkeypatch.setenv("LOCALAPPDATA" if os.name == "nt" else "XDG_STATE_HOME", str(nowhere))


@pytest.mark.parametrize("before", BEFORE)
def test_the_next_run_removes_what_a_run_left_that_was_killed_at_any_step(tmp_path, before):
    name, allowed = states(tmp_path, before)
    for number in itertools.count(1):
        folder = tmp_path / str(number)
        folder.mkdir()
        before(folder)
        if not killed_at(number, written(folder, name)):
            break
        write_another(folder)
        assert all((folder / left / "journal.json").exists() for left in hidden(folder)), number
        check_output(folder / name, force=True)  # What has a journal is settled where its output is written.
        assert hidden(folder) == [], number
        assert content(folder) in allowed, number
    assert number > 8


def left_by_a_dead_run(folder) -> Staging:
    staging = Staging.beside(folder / "out.npy")
    (staging.new / "out.npy").write_bytes(b"a part")
    staging.lock.give_back()
    return staging


def test_without_a_key_hidden_folders_stay_until_they_are_cleaned(tmp_path, no_key):
    staging = left_by_a_dead_run(tmp_path)
    assert not staging.is_own()
    write_another(tmp_path)
    assert (staging.new / "out.npy").read_bytes() == b"a part"


def test_folders_that_are_not_of_this_user_stay(tmp_path, monkeypatch):
    staging = left_by_a_dead_run(tmp_path)
    other = staging.folder.with_name(".pde-video-0123456789abcdef")
    shutil.copytree(staging.folder, other)
    monkeypatch.setenv("LOCALAPPDATA" if os.name == "nt" else "XDG_STATE_HOME", str(tmp_path / "of another"))
    write_another(tmp_path)
    assert sorted(hidden(tmp_path)) == sorted([staging.folder.name, other.name])
    monkeypatch.undo()
    write_another(tmp_path)
    assert hidden(tmp_path) == [other.name]


@posix
def test_a_folder_that_others_can_write_to_stays(tmp_path):
    staging = left_by_a_dead_run(tmp_path)
    staging.folder.chmod(0o777)
    write_another(tmp_path)
    assert (staging.new / "out.npy").exists()


def test_the_folder_of_a_run_at_work_stays(tmp_path):
    with whole(tmp_path / "out.npy", force=False) as temporary:
        temporary.write_bytes(b"new")
        write_another(tmp_path)
        assert temporary.read_bytes() == b"new"
    assert content(tmp_path) == {"out.npy": b"new"}


def test_what_cannot_be_removed_does_not_concern_the_next_run(tmp_path, monkeypatch):
    staging = left_by_a_dead_run(tmp_path)

    def fail(self):
        raise PermissionError("no")

    monkeypatch.setattr(Staging, "content", fail)
    write_another(tmp_path)
    assert hidden(tmp_path) == [staging.folder.name]


def test_an_output_costs_one_look_into_its_folder(tmp_path, monkeypatch):
    looks = []

    def noted(function):
        def look(path="."):
            looks.append(str(path))
            return function(path)

        return look

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, noted(getattr(os, name)))
    pv.write(tmp_path / "another.npy", np.zeros((1, 2, 2), np.uint8))
    assert looks.count(str(tmp_path)) == 1


@pytest.mark.parametrize("kind", ["sequence", "array", "array that is exchanged"])
def test_what_is_replaced_step_by_step_without_a_key_is_warned_of_first(tmp_path, monkeypatch, no_key, call, kind):
    target = tmp_path / (PATTERN if kind == "sequence" else "v.zarr")
    monkeypatch.setattr(disk, "_renameat2", lambda: None if kind == "array" else print)
    np.save(tmp_path / "in.npy", np.zeros((2, 8, 9), np.uint8))
    assert warning_if_killed(target, force=True) is None  # There is nothing yet.
    another_array(tmp_path)
    longer_sequence(tmp_path)
    line = warning_if_killed(target, force=True)
    if kind == "array that is exchanged":
        assert line is None
        return
    assert line.startswith(f"if this run is killed while it replaces {target}, you must repair it by hand, because")
    assert line.endswith("cannot be written: set XDG_STATE_HOME to a folder of yours that lasts)")
    assert warning_if_killed(target, force=False) is None
    if kind == "sequence":
        _, _, said = call("heat", tmp_path / "in.npy", target, "--force", "--dry-run")
        assert said.splitlines()[0] == line
        report = pv.run(tmp_path / "in.npy", target, pv.heat, force=True)
        assert report["warnings"] == [line]
        report = {}
        pv.write(target, np.zeros((2, 8, 9), np.uint8), force=True, report=report)
        assert report["warnings"] == [line]


def test_with_a_key_there_is_nothing_to_warn_of(tmp_path):
    longer_sequence(tmp_path)
    assert warning_if_killed(tmp_path / PATTERN, force=True) is None
    report = {}
    pv.write(tmp_path / PATTERN, np.zeros((2, 8, 9), np.uint8), force=True, report=report)
    assert report == {}


# What is of a run, and what is not though it lies there, by the name of the output.
OURS = {
    "out.npy": {"new/out.npy"},
    "f_%03d.png": {"new/f_001.png", "new/f_1000.png", "old/f_002.png"},
    "v.zarr": {"new/v.zarr/zarr.json", "new/v.zarr/c/1/0/0", f"new/v.zarr/c/1/0/0.{'a' * 32}.partial", "journal.part"},
}
FOREIGN = {
    "out.npy": {
        "new/thesis.txt",
        "new/out.npy.bak",
        "new/out/out.npy",
        "old/thesis.txt",
        "thesis.txt",
        "journal.part/a",
    },
    "f_%03d.png": {"new/f_01.png", "new/f_0001.png", "new/g_001.png", "new/f_003.png/f_003.png", "old/f_001.jpg"},
    "v.zarr": {"new/v.zarr/thesis.txt", "new/v.zarr/c/1/0/1/0", "new/v.zarr/c/2/a", "new/w.zarr/zarr.json", "old/v"},
}


HEADER = '{"node_type": "array", "shape": [9, 9, 9], "chunk_key_encoding": "default"}'


def made_by_hand(staging: Staging, names) -> None:
    for name in names:
        path = staging.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        is_header = path.name == "zarr.json"
        path.write_text(
            '{"node_type": "array", "shape": [9, 9, 9], "chunk_key_encoding": "default"}' if is_header else "a"
        )


@pytest.mark.parametrize("way", ["the next run", "doctor --clean"])
@pytest.mark.parametrize("name", OURS)
def test_only_what_its_run_has_made_is_removed_with_a_hidden_folder(tmp_path, name, way):
    staging = Staging.beside(tmp_path / name)
    made_by_hand(staging, OURS[name])
    made_by_hand(staging, FOREIGN[name])
    staging.lock.give_back()
    if way == "the next run":
        write_another(tmp_path)
        left = clean_up(tmp_path)[1]
    else:
        done, left = clean_up(tmp_path)
        assert len(done) == 1
        assert "thesis" not in done[0]
    stays = f"{staging.folder}: it stays, since it holds what is not known to be of its run: "
    assert left == [stays + ", ".join(sorted(FOREIGN[name]))]
    files = {str(path.relative_to(staging.folder)) for path in staging.folder.rglob("*") if path.is_file()}
    assert files == FOREIGN[name]
    shutil.rmtree(staging.folder / "new")
    assert clean_up(tmp_path)[0] == []


@pytest.mark.parametrize("name", OURS)
def test_what_its_run_has_made_is_removed_with_a_hidden_folder(tmp_path, name):
    staging = Staging.beside(tmp_path / name)
    made_by_hand(staging, OURS[name])
    staging.lock.give_back()
    write_another(tmp_path)
    assert hidden(tmp_path) == []


def test_without_the_name_of_the_output_nothing_in_a_hidden_folder_is_removed(tmp_path):
    staging = left_by_a_dead_run(tmp_path)
    for lost in ("", "..", "/etc/passwd", "new/out.npy", "\0"):
        staging.lock.path.write_text(lost)
        assert "new/out.npy" in clean_up(tmp_path)[1][0]
        assert (staging.new / "out.npy").read_bytes() == b"a part"


@posix
@pytest.mark.parametrize("part", ["new", "old"])
def test_a_link_in_place_of_a_folder_is_not_followed(tmp_path, part):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "out.npy").write_bytes(b"years of work")
    staging = Staging.beside(tmp_path / "out.npy")
    if part == "new":
        staging.new.rmdir()
    (staging.folder / part).symlink_to(elsewhere)
    staging.lock.give_back()
    write_another(tmp_path)
    done, left = clean_up(tmp_path)
    assert done == []
    assert left == [f"{staging.folder}: it stays, since it holds what is not known to be of its run: {part}"]
    assert (elsewhere / "out.npy").read_bytes() == b"years of work"


@posix
@pytest.mark.parametrize("part", ["new", "old"])
@pytest.mark.parametrize("step", [ASIDE, PLACING])
def test_nothing_is_moved_through_a_link_in_place_of_a_folder(tmp_path, part, step):
    (tmp_path / "x").mkdir()
    folder = unfinished(tmp_path / "x", step)
    (folder / part).rename(tmp_path / "elsewhere")
    (folder / part).symlink_to(tmp_path / "elsewhere")
    before = content(tmp_path / "x"), content(tmp_path / "elsewhere")
    told = f"its subfolder {part}/ is a link or a file, so nothing was done; its old/ holds"
    with pytest.raises(pv.OutputError, match=told):
        check_output(tmp_path / "x" / PATTERN, force=True)
    assert clean_up(tmp_path / "x")[0] == []
    assert (content(tmp_path / "x"), content(tmp_path / "elsewhere")) == before


@posix
def test_of_a_link_among_what_was_replaced_only_the_link_is_removed(tmp_path):
    (tmp_path / "kept.png").write_bytes(b"years of work")
    (tmp_path / "f_001.png").symlink_to("kept.png")
    written(tmp_path, PATTERN)()
    assert (tmp_path / "kept.png").read_bytes() == b"years of work"
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("late", [False, True], ids=["during the run", "right before the commit"])
@pytest.mark.parametrize("name", ["out.npy", PATTERN])
def test_what_is_put_into_the_hidden_folder_of_a_run_at_work_stays_and_is_named(tmp_path, name, late):
    def put(new):
        (new / "thesis.txt").write_bytes(b"years of work")
        if os.name == "posix":
            (new / ".#f_001.png").symlink_to("editor@host:1")  # As Emacs locks a file.

    def frames():
        yield from np.zeros((3, 2, 2), np.uint8)
        if not late:
            put(tmp_path / hidden(tmp_path)[0] / "new")

    output = checked_output(tmp_path / name)
    with pytest.raises(pv.OutputError, match=r"is complete, but .* not known to be of its run: new/.*thesis\.txt"):
        write_checked(output, frames(), before_commit=lambda made: late and put(made.parent))
    assert len(list(pv.read(tmp_path / name))) == 3
    new = tmp_path / hidden(tmp_path)[0] / "new"
    assert (new / "thesis.txt").read_bytes() == b"years of work"
    assert sorted(os.listdir(new)) == sorted({"thesis.txt", *([".#f_001.png"] if os.name == "posix" else [])})


@pytest.mark.parametrize("name", [PATTERN, "v.zarr"])
def test_what_is_removed_from_the_hidden_folder_of_a_run_at_work_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setattr(disk, "_renameat2", lambda: None)
    another_array(tmp_path)
    longer_sequence(tmp_path)
    before = content(tmp_path)

    def write():
        with whole(tmp_path / name, force=True) as temporary:
            fill(temporary)
            gone = temporary.parent / name.replace("%03d", "002")
            shutil.rmtree(gone) if gone.is_dir() else gone.unlink()

    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("there is no other run to wait for"))
    with pytest.raises(pv.OutputError, match=rf"could not be written: .*new.{name.replace('%03d', '002')}"):
        write()
    assert content(tmp_path) == before
    assert hidden(tmp_path) == []


def test_names_that_a_run_of_this_user_gives_are_known_again(tmp_path, monkeypatch):
    made = {seal.own_digits() for _ in range(50)}
    assert len(made) == 50
    assert all(map(seal.are_own_digits, made))
    one = made.pop()
    other = f"{(int(one, 16) + 1) % 2**64:016x}"
    for digits in (other, one[:-1], one + "0", "", "ü" * 16, "\udcff" * 16):
        assert not seal.are_own_digits(digits)
    monkeypatch.setenv("LOCALAPPDATA" if os.name == "nt" else "XDG_STATE_HOME", str(tmp_path))
    assert not seal.are_own_digits(one)
