"""The folder of segments of a long job: whose it is, what is in it, and what its notes say, is never taken on trust."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from interrupted import Stop, changed_notes, notes_in, stopping_after, write_notes

import pde_video as pv
from pde_video.jobs import resuming
from pde_video.jobs.notes import Notes, Segment, parsed
from pde_video.jobs.recipes import planned
from pde_video.jobs.resuming import run_in_segments
from pde_video.jobs.run import prepared
from pde_video.jobs.segment_folder import CONTEXT, Segments, finished_frames, folder_of, opened
from pde_video.tools import doctor
from pde_video.video.locks import Lock
from pde_video.video.provenance import fingerprint
from pde_video.video.seal import own_digits, seal, sealed
from pde_video.video.staging import Staging

posix = pytest.mark.skipif(os.name != "posix", reason="owners and permissions as POSIX has them")
FRAMES = 10


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch):
    monkeypatch.setattr(resuming, "LENGTH", 3)
    monkeypatch.setattr(doctor, "_FRAMES", (2, 8, 9))  # On which it measures speed, for a quarter of a second.


def stop(*arguments):
    raise Stop


noisy = partial(pv.gaussian_noise, sigma=90.0)  # Many values are saturated, and counted.


@pytest.fixture
def source(tmp_path, rng):
    np.save(tmp_path / "in.npy", rng.integers(0, 255, (FRAMES, 8, 9), np.uint8))
    return tmp_path / "in.npy"


def go_on(source, target, progress=None, made=None, **options):
    return run_in_segments(prepared(source, target, noisy, made=made or {}, resume=True, **options), progress)


def interrupted(source, target, frames=8, **options):
    """Leave finished segments: two of three frames after 8."""
    with pytest.raises(Stop):
        go_on(source, target, stopping_after(frames), **options)
    return folder_of(target)


def at_once(source, target):
    return pv.run(source, target, noisy), target.read_bytes()


def state_of(folder):
    files = [folder, *sorted(folder.rglob("*"))] if folder.is_dir() else [folder]
    return {path: (path.lstat().st_mode, path.read_bytes() if path.is_file() else None) for path in files}


def a_file(folder):
    folder.write_bytes(b"of somebody")


def a_link(folder):
    elsewhere = folder.with_name("elsewhere")
    elsewhere.mkdir()
    (elsewhere / "kept.txt").write_bytes(b"of somebody")
    folder.symlink_to(elsewhere)


def a_link_to_nothing(folder):
    folder.symlink_to("nothing")


def of_somebody(folder):
    (folder / "2024").mkdir(parents=True)
    (folder / "2024" / "holiday.mp4").write_bytes(b"of somebody")


def of_names_like_ours(folder):
    folder.mkdir()
    (folder / "000000.npy").write_bytes(b"of somebody")
    (folder / "job.json").write_text('{"version": "1", "input": null, "parameters": {}}')


def with_notes_of_somebody(folder):
    folder.mkdir()
    (folder / "notes.json").write_text('{"shopping": ["milk"]}')


def with_a_hidden_folder(folder):
    (folder / ".pde-video-0123456789abcdef").mkdir(parents=True)
    (folder / ".pde-video-0123456789abcdef" / "thesis.txt").write_bytes(b"years of work")


def with_an_unfinished_folder(folder):
    (folder / "unfinished-0123456789abcdef").mkdir(parents=True)


def with_a_file_called_like_a_part(folder):
    folder.mkdir()
    (folder / "notes.part").write_bytes(b"of somebody")


def with_a_lock_of_somebody(folder):
    folder.mkdir()
    (folder / "lock").write_bytes(b"of somebody")


def with_a_link_for_notes(folder):
    folder.mkdir()
    notes = folder.with_name("notes.json")
    notes.write_text("{}")
    (folder / "notes.json").symlink_to(notes)


def writable_by_the_group(folder):
    folder.mkdir()
    folder.chmod(0o770)


def writable_by_all(folder):
    folder.mkdir()
    folder.chmod(0o777)


def of_another_user(folder):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    folder.mkdir()
    os.chown(folder, 65534, 65534)


STRANGERS = [a_file, of_somebody, of_names_like_ours, with_notes_of_somebody, with_a_hidden_folder]
STRANGERS += [with_an_unfinished_folder, with_a_file_called_like_a_part, with_a_lock_of_somebody]
STRANGERS += [pytest.param(one, marks=posix) for one in (a_link, a_link_to_nothing, with_a_link_for_notes)]
STRANGERS += [pytest.param(one, marks=posix) for one in (writable_by_the_group, writable_by_all, of_another_user)]


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_folder_that_is_not_ours_is_refused_and_kept(tmp_path, source, stranger):
    target = tmp_path / "out.npy"
    stranger(folder_of(target))
    before = state_of(tmp_path)
    with pytest.raises(FileExistsError, match=r"out\.npy\.segments") as refused:
        go_on(source, target)
    assert refused.value.strerror
    assert state_of(tmp_path) == before
    assert finished_frames(target) == 0


@posix
def test_only_this_user_may_use_the_folder(tmp_path, source):
    mask = os.umask(0)
    try:
        folder = interrupted(source, tmp_path / "out.npy")
    finally:
        os.umask(mask)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)  # Since then, anybody may have changed what is in it.
    with pytest.raises(FileExistsError, match="can be written by other users"):
        go_on(source, tmp_path / "out.npy")


@pytest.mark.parametrize("step", ["empty", "without notes", "with a part of them", "with a hidden folder"])
def test_a_folder_that_a_killed_run_has_just_made_is_used(tmp_path, source, monkeypatch, step):
    target = tmp_path / "out.npy"
    with monkeypatch.context() as patch:
        patch.setattr(Segments, "begin" if step == "empty" else "note", stop)
        with pytest.raises(Stop):
            go_on(source, target)
    assert not (folder_of(target) / "notes.json").exists()
    if step == "with a part of them":
        (folder_of(target) / f"notes.json.{own_digits()}").write_text('{"form')
    if step == "with a hidden folder":
        Staging.beside(folder_of(target) / "000000.avi").lock.give_back()
    assert "warnings" not in go_on(source, target)
    assert not folder_of(target).exists()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of its own, with another key than that of the other tests."""

    def move(name):
        monkeypatch.setenv("LOCALAPPDATA" if os.name == "nt" else "XDG_STATE_HOME", str(tmp_path / name))

    return move


FORGERIES = ["of no seal", "of no text for a seal", "of another home", "changed", "of another kind"]


@pytest.mark.parametrize("kind", FORGERIES)
def test_notes_that_no_run_of_this_user_has_sealed_are_never_believed(tmp_path, source, home, kind):
    """As an archive brings them, that is unpacked beside the output: its frames would be those of somebody else."""
    target = tmp_path / "out.npy"
    folder = interrupted(source, target)
    pv.write(folder / "000000.avi", np.zeros((3, 8, 9), np.uint8), force=True)
    notes = notes_in(folder)
    notes["segments"][0]["sha256"] = hashlib.sha256((folder / "000000.avi").read_bytes()).hexdigest()
    if kind == "of no seal":
        (folder / "notes.json").write_text(json.dumps(notes))
    elif kind == "of no text for a seal":
        (folder / "notes.json").write_bytes(json.dumps(notes).encode() + b"\n\xff\xfe")
    elif kind == "of another home":
        home("of somebody else")
        write_notes(folder, notes)
        home("here")
    elif kind == "changed":
        seal = (folder / "notes.json").read_text().splitlines()[1]
        (folder / "notes.json").write_text(f"{json.dumps(notes)}\n{seal}")
    else:
        (folder / "notes.json").write_text(sealed(json.dumps(notes), "journal"))
    before = state_of(folder)
    with pytest.raises(FileExistsError, match=r"not sealed with the key of your runs, .*XDG_STATE_HOME"):
        go_on(source, target)
    assert state_of(folder) == before
    assert finished_frames(target) == 0
    assert not target.exists()


def test_segments_may_be_moved_with_their_output_and_key(tmp_path, source, home):
    home("node 1")
    folder = interrupted(source, tmp_path / "out.npy")
    (tmp_path / "scratch").mkdir()
    shutil.copytree(folder, tmp_path / "scratch" / folder.name)
    shutil.copytree(tmp_path / "node 1", tmp_path / "node 2")
    home("node 2")
    assert finished_frames(tmp_path / "scratch" / "out.npy") == 6
    assert "warnings" not in go_on(source, tmp_path / "scratch" / "out.npy")


@posix
def test_where_no_key_can_be_kept_resume_is_refused_before_the_work(tmp_path, source, home):
    (tmp_path / "state").write_bytes(b"")  # Neither root can make a folder here.
    home("state")
    before = state_of(tmp_path)
    with pytest.raises(pv.OutputError, match=r"pde_video.key cannot be written: .*XDG_STATE_HOME"):
        go_on(source, tmp_path / "out.npy")
    assert state_of(tmp_path) == before


@pytest.mark.parametrize("begun", [False, True])
def test_where_no_locks_are_known_segments_are_refused(tmp_path, source, monkeypatch, begun):
    if begun:
        interrupted(source, tmp_path / "out.npy")
    before = state_of(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Lock, "take", lambda self, **options: None)
        with pytest.raises(FileExistsError, match=r"does not tell whether another process .* one that has locks"):
            go_on(source, tmp_path / "out.npy")
        assert finished_frames(tmp_path / "out.npy") == 0
    assert state_of(tmp_path) == before


def test_a_hidden_folder_of_somebody_among_the_segments_stays(tmp_path, source):
    folder = interrupted(source, tmp_path / "out.npy")
    kept = folder / ".pde-video-0123456789abcdef" / "new" / "thesis.txt"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"years of work")
    report = go_on(source, tmp_path / "out.npy")
    assert kept.read_bytes() == b"years of work"
    assert "not of this run" in report["warnings"][0]


def test_files_of_others_among_the_segments_stay_and_are_reported(tmp_path, source):
    target = tmp_path / "out.npy"
    folder = interrupted(source, target)
    kept = {folder / "keep.txt": b"mine", folder / "sub" / "000000.npy": b"mine", folder / "1.npy": b"mine"}
    kept |= {folder / "20240731.avi": b"mine", folder / "000099.npy": b"mine"}
    (folder / "sub").mkdir()
    for path, data in kept.items():
        path.write_bytes(data)
    report = go_on(source, target)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == kept
    assert [str(folder) in line and "not of this run" in line for line in report["warnings"]] == [True]
    assert target.read_bytes() == at_once(source, tmp_path / "other.npy")[1]


@pytest.mark.parametrize("name", ["000002.avi", "000003.avi"])
def test_a_file_of_somebody_that_has_the_name_of_the_next_segment_is_refused_and_kept(tmp_path, source, name):
    target = tmp_path / "out.npy"
    path = interrupted(source, target) / name
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=f"{name}.*not of this run; move it away"):
        go_on(source, target)
    assert path.read_bytes() == b"mine"
    path.unlink()
    assert "warnings" not in go_on(source, target)
    assert target.read_bytes() == at_once(source, tmp_path / "other.npy")[1]


def test_a_segment_that_a_killed_run_had_not_noted_yet_is_removed(tmp_path, source, monkeypatch):
    target = tmp_path / "out.npy"
    with monkeypatch.context() as patch:
        patch.setattr(Notes, "with_segment", stop)
        with pytest.raises(Stop):
            go_on(source, target)
    assert (folder_of(target) / "000000.avi").exists()
    assert "warnings" not in go_on(source, target)
    assert not folder_of(target).exists()


def flipped(path):
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-50])


def planted(path):
    pv.write(path, np.zeros((3, 8, 9), np.uint8), force=True)


def linked(path):
    path.rename(path.with_name("elsewhere.avi"))
    path.symlink_to("elsewhere.avi")


DAMAGE = [flipped, cut, planted, Path.unlink, pytest.param(linked, marks=posix)]


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_segment_and_all_after_it_are_made_again(tmp_path, source, damage, index):
    target = tmp_path / "out.avi"
    folder = interrupted(source, target, 9)
    report, wanted = at_once(source, tmp_path / "at_once.avi")
    damage(folder / f"00000{index}.avi")
    resumed = go_on(source, target)
    assert target.read_bytes() == wanted
    line = resumed.pop("warnings")[0]
    assert f"00000{index}.avi" in line
    assert f"frames from {3 * index} on were made again" in line
    assert resumed.pop("continued", "after frame 0 of 10") == f"after frame {3 * index} of 10"
    assert resumed == report  # Nothing is counted twice.
    assert report["saturated"] > 10


def test_a_segment_that_is_damaged_while_frames_are_encoded_is_noticed(tmp_path, source, monkeypatch):
    target = tmp_path / "out.npy"
    folder, verify = interrupted(source, target), Segments.verify

    def verified(self):
        said = verify(self)
        flipped(self.folder / "000001.avi")
        return said

    with monkeypatch.context() as patch:
        patch.setattr(Segments, "verify", verified)
        patch.setattr(resuming, "_filtered", lambda plan, kept, progress: dict(kept.notes.report))
        with pytest.raises(pv.OutputError, match=r"000001\.avi was damaged"):
            go_on(source, target)
    assert not target.exists()
    assert any("000001.avi" in line for line in go_on(source, target)["warnings"])
    assert not folder.exists()


def test_segments_of_another_number_of_frames_are_made_again(tmp_path, source):
    target = tmp_path / "out.npy"
    folder = interrupted(source, target)
    changed_notes(folder, lambda notes: notes["segments"][1].update(frames=2))
    assert "another number of frames" in go_on(source, target)["warnings"][0]
    assert target.read_bytes() == at_once(source, tmp_path / "other.npy")[1]


@pytest.mark.parametrize("more", [2, 5])
def test_more_frames_than_the_run_has_are_refused(tmp_path, source, more):
    target = tmp_path / "out.npy"
    folder = interrupted(source, target)

    def planted(notes):
        for number in range(2, 2 + more):
            shutil.copy(folder / "000001.avi", folder / f"{number:06d}.avi")
            notes["segments"].append(notes["segments"][1] | {"name": f"{number:06d}.avi"})

    changed_notes(folder, planted)
    with pytest.raises(FileExistsError, match="more than this run produces"):
        go_on(source, target)
    assert not target.exists()


def test_killed_after_the_last_segment_there_is_something_left_to_filter(tmp_path, source, monkeypatch):
    target = tmp_path / "out.npy"
    note = Segments.note
    for last in range(1, 12):  # Killed after each time that notes were written.
        written = []

        def noted(self, notes, written=written, last=last):
            note(self, notes)
            written.append(notes)
            if len(written) == last:
                raise Stop

        with monkeypatch.context() as patch:
            patch.setattr(Segments, "note", noted)
            try:
                go_on(source, target)
            except Stop:
                continue
        break
    assert target.read_bytes() == at_once(source, tmp_path / "other.npy")[1]


def test_killed_when_the_last_segment_is_noted_nothing_is_filtered_again(tmp_path, source, monkeypatch):
    target, note = tmp_path / "out.npy", Segments.note

    def noted(self, notes):
        note(self, notes)
        if notes.done == FRAMES:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(Segments, "note", noted)
        with pytest.raises(Stop):
            go_on(source, target)
    go_on(source, target)
    assert target.read_bytes() == at_once(source, tmp_path / "other.npy")[1]


def killed_before_removal(source, target, monkeypatch, **options):
    def killed(self):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(Segments, "remove", killed)
        with pytest.raises(Stop):
            go_on(source, target, **options)


class Killed(BaseException):
    """Ends a run as if its process were killed: nothing of it cleans up."""


@pytest.mark.parametrize("place", [Staging, Segments], ids=["before the hidden folder", "before the segments"])
def test_killed_after_the_output_was_put_in_place_the_same_command_says_that_it_is_done(
    tmp_path, source, monkeypatch, call, place
):
    target, remove = tmp_path / "out.npy", place.remove
    command = ["heat", str(source), str(target), "--resume"]

    def killed(self):
        if target.exists():
            raise Killed
        return remove(self)

    with monkeypatch.context() as patch:
        patch.setattr(place, "remove", killed)
        with pytest.raises(Killed):
            call(*command)
    written = target.read_bytes()
    assert (folder_of(target) / "notes.json").exists()
    Staging.beside(target).lock.give_back()  # What a process that is killed leaves; this one still has its lock.
    hidden = set(tmp_path.glob(".pde-video-*"))
    code, _, said = call(*command)
    assert code == 0
    assert "the output was already complete" in said
    assert target.read_bytes() == written
    assert not folder_of(target).exists()
    assert len(set(tmp_path.glob(".pde-video-*"))) == len(hidden) - 1


@pytest.mark.parametrize("name", ["out.avi", "out.npy", "out_%03d.png"])
@pytest.mark.parametrize("force", [False, True])
def test_killed_before_the_segments_were_removed_the_same_command_says_that_it_is_done(
    tmp_path, source, monkeypatch, name, force
):
    target = tmp_path / name
    killed_before_removal(source, target, monkeypatch, force=force, sidecar=True)
    before = state_of(tmp_path)
    changed = {path: path.stat().st_mtime_ns for path in before}
    report = go_on(source, target, force=force, sidecar=True)
    assert not folder_of(target).exists()
    assert state_of(tmp_path).items() <= before.items()
    kept = [path for path in before if path.exists() and path != tmp_path]
    assert all(path.stat().st_mtime_ns == changed[path] for path in kept)
    assert "already complete" in report.pop("warnings")[0]
    assert report == pv.run(source, tmp_path / "other.avi", noisy)


def test_killed_before_the_output_was_put_in_place_nothing_is_reported_twice(tmp_path, source, monkeypatch):
    video, target = tmp_path / "in.avi", tmp_path / "out.npy"
    pv.write(video, np.load(source), rate=10)  # The rate has no room in the output, which is reported.
    note = Segments.note

    def killed(self, notes):
        note(self, notes)
        if notes.output is not None:
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(Segments, "note", killed)
        with pytest.raises(Stop):
            go_on(video, target)
    assert not target.exists()
    report = go_on(video, target)
    assert report["not_copied"]
    assert report.pop("continued") == "after frame 10 of 10"
    assert report == pv.run(video, tmp_path / "other.npy", noisy)


def test_a_run_that_goes_on_says_after_which_frame(tmp_path, source, call):
    target = tmp_path / "out.npy"
    command = ["heat", str(source), str(target), "--resume"]
    _, said, _ = call(*command)
    assert "continued" not in said
    target.unlink()
    with pytest.raises(Stop):
        run_in_segments(planned(source, target, [{"filter": "heat"}], resume=True), stopping_after(8))
    _, said, _ = call(*command)
    assert "continued  after frame 6 of 10\n" in said


@pytest.mark.parametrize("name", ["out.npy", "out_%03d.png"])
def test_doctor_says_of_finished_frames_what_the_same_command_would_do(tmp_path, source, call, monkeypatch, name):
    target = tmp_path / name
    folder = interrupted(source, target)

    def told(*options):
        return json.loads(call("doctor", "--json", "--seconds", "0", "--folder", tmp_path, *options)[1])["leftovers"]

    begin = f"{folder}: 6 finished frames of a run"
    assert told() == told("--clean") == [f"{begin}; the same command with --resume continues from there"]
    pv.write(target, np.zeros((2, 8, 9), np.uint8))
    assert told()[0].startswith(f"{begin} that has not written {name}, which is there; the same command with --resume")
    assert told()[0].endswith("continues from there, and needs --force to replace it")
    killed_before_removal(source, target, monkeypatch, force=True)
    begin = f"{folder}: 10 finished frames of a run"
    line = f"{begin} whose output is complete; the same command with --resume says so and removes them"
    assert told() == told("--clean") == [line]
    with opened(folder, notes_in(folder)["job"]):
        assert told() == []  # At work.
    write_notes(folder, {"shopping": ["milk"]})
    assert "notes.json cannot be used" in told()[0]


def told_by_doctor(call, folder, *options):
    facts = json.loads(call("doctor", "--json", "--seconds", "0", "--folder", folder, *options)[1])
    return facts.get("cleaned"), facts["leftovers"]


@pytest.mark.parametrize("step", ["empty", "without notes", "with a part of them", "with a hidden folder"])
def test_a_folder_of_a_killed_run_that_holds_no_frames_is_listed_and_cleaned(tmp_path, call, step):
    folder = tmp_path / "out.npy.segments"
    folder.mkdir(0o700)
    lock = Lock(folder / "lock")
    if step != "empty":
        assert lock.take()
        before = state_of(folder)
        assert told_by_doctor(call, tmp_path) == (None, [])  # At work.
        assert told_by_doctor(call, tmp_path, "--clean") == ([], [])
        assert state_of(folder) == before
        lock.give_back()
    if step == "with a part of them":
        (folder / f"notes.json.{own_digits()}").write_text('{"form')
    if step == "with a hidden folder":
        Staging.beside(folder / "000000.avi").lock.give_back()
    before = state_of(folder)
    line = f"{folder}: no finished frames of a run that was killed; --clean removes it"
    assert told_by_doctor(call, tmp_path) == (None, [line])
    assert state_of(folder) == before
    assert told_by_doctor(call, tmp_path, "--clean") == ([f"{folder}: removed; it held no finished frames"], [])
    assert not folder.exists()


def with_a_lock_of_somebody(folder):
    folder.mkdir()
    (folder / "lock").write_text("the number of my bicycle lock")


def with_a_link_for_a_lock(folder):
    folder.mkdir()
    (folder / "lock").symlink_to("nothing")


def with_a_file_beside_the_lock(folder):
    folder.mkdir()
    (folder / "lock").touch()
    (folder / "thesis.txt").touch()


OTHERS = [with_a_lock_of_somebody, with_a_file_beside_the_lock, pytest.param(with_a_link_for_a_lock, marks=posix)]


@pytest.mark.parametrize("stranger", [*STRANGERS, *OTHERS])
def test_a_folder_that_is_not_ours_is_not_cleaned(tmp_path, call, stranger):
    stranger(tmp_path / "out.npy.segments")
    before = state_of(tmp_path)
    done, _ = told_by_doctor(call, tmp_path, "--clean")
    assert done == []
    assert state_of(tmp_path) == before


def test_without_locks_an_empty_folder_of_segments_stays(tmp_path, call, monkeypatch):
    folder = tmp_path / "out.npy.segments"
    folder.mkdir(0o700)
    monkeypatch.setattr(Lock, "take", lambda self, **options: None)
    for options in ((), ("--clean",)):
        done, left = told_by_doctor(call, tmp_path, *options)
        assert not done
        assert "does not tell whether another process" in left[0]
        assert folder.is_dir()


def test_a_run_beside_finished_frames_that_does_not_use_them_says_so_first(tmp_path, source, call):
    target = tmp_path / "out.npy"
    folder = interrupted(source, target)
    finished = f"6 finished frames of an interrupted run are in {folder}"
    line = f"{finished}; the same command with --resume continues from there"
    for more in (["--dry-run"], [], ["--force", "--json"]):
        _, out, said = call("heat", str(source), str(target), *more)
        assert said.splitlines()[0] == line
        assert said.count(line) == 1
    assert json.loads(out)["warnings"] == [line]
    assert call("heat", str(source), str(target), "--force", "--quiet")[2] == ""
    target.unlink()
    assert "continued" in go_on(source, target)
    assert call("heat", str(source), str(target), "--force")[2] == ""


@pytest.mark.parametrize("change", ["another output", "no sidecar", "another sidecar", "another job"])
def test_an_output_is_done_only_if_it_is_that_of_the_same_command(tmp_path, source, monkeypatch, change):
    target = tmp_path / "out.npy"
    killed_before_removal(source, target, monkeypatch, sidecar=True)
    sidecar = target.with_name("out.npy.json")
    if change == "another output":
        flipped(target)
    if change == "no sidecar":
        text = sidecar.read_bytes()
        sidecar.unlink()
        go_on(source, target, sidecar=True)
        assert sidecar.read_bytes() == text
        return
    if change == "another sidecar":
        sidecar.write_bytes(b"{}")
    before = state_of(tmp_path)
    with pytest.raises(FileExistsError, match="other parameters" if change == "another job" else "exists"):
        go_on(source, target, sidecar=True, made={"a": 1} if change == "another job" else {})
    assert state_of(tmp_path) == before


def test_another_sequence_of_pictures_is_another_input(tmp_path, rng):
    source, target = tmp_path / "in_%d.png", tmp_path / "out.npy"
    pv.write(source, rng.integers(0, 255, (FRAMES, 8, 9), np.uint8))
    interrupted(source, target)
    pv.write(tmp_path / "in_3.png", np.zeros((1, 8, 9), np.uint8), force=True)
    with pytest.raises(FileExistsError, match="another input"):
        go_on(source, target)


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8")
def test_a_sequence_whose_name_is_not_utf_8_is_resumed(tmp_path, rng):
    source, target = tmp_path / "in_\udcff_%d.png", tmp_path / "out_\udcff_%d.png"
    pv.write(source, rng.integers(0, 255, (FRAMES, 8, 9), np.uint8))
    interrupted(source, target)
    assert "warnings" not in go_on(source, target)
    assert len(list(pv.read(target))) == FRAMES


@pytest.mark.parametrize("changed", [False, True])
def test_the_fingerprint_of_a_sequence_is_that_of_its_names_and_contents(tmp_path, changed):
    for name, content in {"f_é_1.png": b"one", "f_é_2.png": b"another" if changed else b"two"}.items():
        (tmp_path / name).write_bytes(content)
    members = "f_é_1.png\0003\0onef_é_2.png\0003\0two"
    assert (fingerprint(tmp_path / "f_é_%d.png") == hashlib.sha256(members.encode()).hexdigest()) is not changed


def mutated(value, rng):
    """Return JSON with one of its values replaced by something else."""
    strange = [
        None,
        True,
        -1,
        0,
        2**70,
        1.5,
        "x",
        "\ud800",
        "../../etc/passwd",
        [],
        {},
        [[[[[[[[[[1]]]]]]]]]],
        {"a": {}},
    ]
    if isinstance(value, dict | list) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        key = rng.choice(keys)
        changed = value.copy()
        if isinstance(value, dict) and rng.random() < 0.2:
            changed[rng.choice(["cuts", "saturated", "missing", "warnings", "not_copied", "x_bytes", "files"])] = (
                rng.choice(strange)
            )
        elif rng.random() < 0.1:
            del changed[key]
        else:
            changed[key] = mutated(value[key], rng)
        return changed
    return rng.choice(strange)


def notes_text():
    segments = tuple(Segment(f"{k:06d}.avi", 3, 64 * "a", {"saturated": 5}) for k in range(3))
    report = {"saturated": 5, "cuts": [2], "sigma": 1.5, "warnings": ["a"], "not_copied": ["sound"]}
    job = {"version": "1", "input": None, "parameters": {}}
    return Notes(job, segments, {"sigma": 1.5}, report, False, 64 * "b", report).as_text()


def test_2000_mutated_notes_are_read_or_refused():
    rng, text = random.Random(5), notes_text()
    assert parsed(text.encode()).as_text() == text
    outcomes = {"read": 0, "refused": 0}
    for number in range(2000):
        data = bytearray(json.dumps(mutated(json.loads(text), rng)).encode())
        if number % 2:
            at = rng.randrange(len(data))
            data[at : at + rng.randrange(4)] = rng.randbytes(rng.randrange(4))
        try:
            notes = parsed(bytes(data))
        except ValueError:
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
            assert notes.done >= 0
            assert notes.as_text()
    assert outcomes["read"] > 20
    assert outcomes["refused"] > 1000


NOT_PLAIN = {"NaN": float("nan"), "infinity": float("inf"), "half a character": "\ud800", "2**1001": 2**1001}
NOT_PLAIN["nested"] = json.loads("[" * 40 + "]" * 40)


@pytest.mark.parametrize("value", NOT_PLAIN.values(), ids=NOT_PLAIN)
@pytest.mark.parametrize("report", ["first", "report", "full_report"])
def test_reports_in_notes_hold_nothing_that_cannot_be_shown(report, value):
    notes = json.loads(notes_text())
    notes[report]["sigma"] = value
    with pytest.raises(ValueError, match=r"deep|bits|a report holds NaN"):
        parsed(json.dumps(notes).encode())


WRONG = {
    "output": ("x", "`output` is not a SHA-256"),
    "pending": (1, "`pending` is not a SHA-256"),
    "ended": (None, "`ended` is neither true nor false"),
    "report": ({"cuts": [-1]}, "`cuts` is not a list of whole numbers >= 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_notes_is_said(name):
    value, told = WRONG[name]
    with pytest.raises(ValueError, match=told):
        parsed(json.dumps(json.loads(notes_text()) | {name: value}).encode())


@pytest.mark.parametrize(
    "data", [b"", b"[" * 100_000, b"1" * 10_000, b"\xff", b"null", b'{"format": 1}', b" " * (2**24 + 1)]
)
def test_notes_that_cannot_be_used_are_refused_with_a_reason(tmp_path, source, data):
    target = tmp_path / "out.npy"
    folder = interrupted(source, target)
    mark = seal(f"{CONTEXT}\n".encode() + data)
    (folder / "notes.json").write_bytes(data + f"\n{mark}".encode())
    before = state_of(folder)
    told = "cannot be used" if data else "is not sealed"  # Of nothing, the seal is the first line.
    with pytest.raises(FileExistsError, match=rf"notes\.json {told} .*remove that folder"):
        go_on(source, target)
    assert state_of(folder) == before


def test_runs_with_mutated_notes_end_in_a_result_or_a_clean_error(tmp_path, source):
    target, rng = tmp_path / "out.npy", random.Random(6)
    folder = interrupted(source, target)
    saved, wanted = state_of(folder), at_once(source, tmp_path / "other.npy")[1]
    original = notes_in(folder)
    for _ in range(60):
        shutil.rmtree(folder, ignore_errors=True)
        target.unlink(missing_ok=True)
        for path, (mode, data) in saved.items():
            path.mkdir(mode & 0o777) if data is None else path.write_bytes(data)
        write_notes(folder, mutated(original, rng))
        try:
            go_on(source, target)
        except (FileExistsError, pv.OutputError, pv.InputError):
            assert not target.exists()
        else:
            assert target.read_bytes() == wanted


def test_the_lock_is_given_back_before_it_is_removed(tmp_path, source, monkeypatch):
    """Windows removes no file that is open."""
    unlink, held = Path.unlink, []

    def noted(path, **options):
        if path.name == "lock" and path.parent.suffix == ".segments":
            held.append(Lock(path).take())
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", noted)
    assert "warnings" not in go_on(source, tmp_path / "out.npy")
    assert held == [True]
    assert not folder_of(tmp_path / "out.npy").exists()


def test_segments_are_those_of_one_process(tmp_path):
    job = {"version": "1", "input": None, "parameters": {}}
    with opened(tmp_path / "out.npy.segments", job):
        with pytest.raises(FileExistsError, match="another process"), opened(tmp_path / "out.npy.segments", job):
            pass
        assert finished_frames(tmp_path / "out.npy") == 0
