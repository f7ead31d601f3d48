"""Hidden folders of runs that were killed: the next run in their folder removes those of this user, and no others."""

from __future__ import annotations

import itertools
import os
import shutil

import numpy as np
import pytest
from test_outputs import BEFORE, content, hidden, killed_at, states, written

import pde_video as pv
from pde_video.video import seal
from pde_video.video.outputs import check_output, whole
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


@pytest.mark.skipif(os.name == "nt", reason="owners and permissions as POSIX has them")
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
