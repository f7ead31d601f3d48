"""Compiled kernels on disk: never stale, never in the way."""

from __future__ import annotations

import errno
import json
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numba
import pytest
from cases import slow

import pde_video
from pde_video.access.guarded import GuardedFolder, NotOursError
from pde_video.kernels import cache
from pde_video.kernels.jit import kernel

# Two kernels in two files, one of which inlines the other: quick to compile.
INNER = "from pde_video.kernels.jit import kernel\n\n\n@kernel\ndef inner(x):\n    return x + 1\n"
OUTER = """
from pde_video.kernels.inner import inner
from pde_video.kernels.jit import kernel


@kernel
def outer(x):
    return 10 * inner(x)


def times(factor):
    @kernel
    def enclosing(x):
        return factor * x

    return enclosing
"""
USE = "from pde_video.kernels.outer import outer; from pde_video.kernels.cache import tally; "
SAY = "print(outer(1), tally.compiled, tally.loaded)"


@pytest.fixture
def package(tmp_path) -> Path:
    """A copy of the package, with the two kernels in it, that may be edited."""
    copy = tmp_path / "copy" / "pde_video"
    shutil.copytree(pde_video.__path__[0], copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "kernels" / "inner.py").write_text(INNER)
    (copy / "kernels" / "outer.py").write_text(OUTER)
    return copy


# A process that has imported Numba, which is half of what a fresh one does, and runs code in forks of itself.
FORKING = """
import json, os, sys, traceback
import numba

for line in sys.stdin:
    code, folder, environment, said = json.loads(line)
    child = os.fork()
    if not child:
        ended = 1
        try:
            for number, path in zip((1, 2), said):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            sys.path.insert(0, environment["PYTHONPATH"])
            numba.config.reload_config()
            exec(code, {"__name__": "__main__"})
            ended = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture(scope="module")
def forking() -> Iterator[subprocess.Popen[str] | None]:
    """The process above, or None where there is no fork."""
    if not hasattr(os, "fork"):
        yield None
        return
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    # With -B: Python's own cache would not notice an edit that keeps time and size.
    with subprocess.Popen([sys.executable, "-B", "-c", FORKING], text=True, **pipes) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def call(forking, package, tmp_path, tmp_path_factory) -> Callable[..., str]:
    """Run Python code on that copy in a process of its own; return what it prints, once it has ended in silence."""
    said = [str(tmp_path_factory.mktemp("said") / name) for name in ("out", "err")]

    def run(code: str, **variables: str | None) -> str:
        chosen = {"PYTHONPATH": str(package.parent), "NUMBA_CACHE_DIR": str(tmp_path / "cache"), **variables}
        kept = {name: value for name, value in os.environ.items() if name not in chosen}
        environment = kept | {name: value for name, value in chosen.items() if value is not None}
        code = textwrap.dedent(code)
        if forking is None:
            command = [sys.executable, "-B", "-c", code]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
            ended, out, err = done.returncode, done.stdout, done.stderr
        else:
            print(json.dumps([code, str(tmp_path), environment, said]), file=forking.stdin, flush=True)
            ended = int(forking.stdout.readline())
            out, err = (Path(path).read_text() for path in said)
        assert (ended, err) == (0, "")
        return out.strip()

    return run


def compiled_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.nbc"))


def test_a_second_process_compiles_nothing(call, tmp_path):
    assert call(USE + SAY) == "20 2 0"
    assert len(compiled_files(tmp_path / "cache")) == 2
    assert call(USE + SAY) == "20 0 1"


def test_an_edit_in_another_file_is_noticed(call, package):
    edited = package / "kernels" / "inner.py"
    facts = edited.stat()
    assert call(USE + SAY) == "20 2 0"
    edited.write_text(INNER.replace("x + 1", "x + 2"))
    os.utime(edited, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # Same time, same size.
    assert call(USE + SAY) == "30 2 0"
    edited.write_text(INNER)
    assert call(USE + SAY) == "20 0 1"  # What was compiled for these sources is still there.


@pytest.mark.slow
def test_functions_that_enclose_different_values_are_different(call):
    code = """
        from pde_video.kernels.outer import times
        from pde_video.kernels.cache import tally
        print(times(3)(2), times(4)(2), tally.loaded)
    """
    assert call(code) == "6 8 0"
    assert call(code) == "6 8 2"


def test_nothing_is_compiled_or_loaded_by_importing(call, package):
    modules = [path.stem for path in (package / "kernels").glob("*.py") if path.stem != "__init__"]
    assert {"diffusion", "anisotropic", "outer"} <= set(modules)
    imports = "; ".join(f"import pde_video.kernels.{name}" for name in modules)
    code = f"{imports}; from pde_video.kernels.cache import tally; print(tally.compiled, tally.loaded)"
    assert call(code) == "0 0"


@pytest.mark.parametrize("place", ["file", *slow("file/below", "/proc/nowhere", "/dev/null")])
def test_a_cache_directory_that_cannot_be_falls_back_to_a_temporary_one(call, tmp_path, place):
    (tmp_path / "file").touch()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    where = {"NUMBA_CACHE_DIR": str(tmp_path / place), "TMPDIR": str(temporary)}
    assert call(USE + SAY, **where) == "20 2 0"
    assert call(USE + SAY, **where) == "20 0 1"
    assert len(compiled_files(temporary)) == 2
    (folder,) = temporary.iterdir()
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.slow
@pytest.mark.parametrize("home", ["/dev/null", "/proc/nobody", "~"])
def test_a_read_only_installation_without_a_home(call, package, tmp_path, home):
    (package / "kernels" / "__pycache__").touch()  # For root nothing is read-only, but a file is no folder.
    nowhere = {"NUMBA_CACHE_DIR": None, "HOME": home, "XDG_CACHE_HOME": None}
    before = sorted(path for path in tmp_path.rglob("*") if path.name != "temporary")
    (tmp_path / "temporary").mkdir()
    code = "import tempfile; tempfile.tempdir = '/dev/null'; "
    for _ in range(2):
        assert call(code + USE + SAY + "; print(outer._cache.cache_path)", **nowhere) == "20 2 0\nNone"
    assert call(USE + SAY, **nowhere, TMPDIR=str(tmp_path / "temporary")) == "20 2 0"
    assert call(USE + SAY, **nowhere, TMPDIR=str(tmp_path / "temporary")) == "20 0 1"
    left = {path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts}
    assert {path for path in left if tmp_path / "temporary" not in [path, *path.parents]} == {
        path for path in before if "__pycache__" not in path.parts
    }


@pytest.mark.slow
def test_without_a_choice_it_is_beside_the_package_and_then_in_the_users_cache(call, package, tmp_path):
    free = {"NUMBA_CACHE_DIR": None, "HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": None}
    assert call(USE + SAY, **free) == "20 2 0"
    assert len(compiled_files(package / "kernels" / "__pycache__")) == 2
    shutil.rmtree(package / "kernels" / "__pycache__")
    (package / "kernels" / "__pycache__").touch()
    assert call(USE + SAY, **free) == "20 2 0"
    assert len(compiled_files(tmp_path / "home")) == 2


@pytest.mark.slow
def test_a_warm_cache_that_can_only_be_read_is_read(call, package, tmp_path):
    free = {"NUMBA_CACHE_DIR": None, "XDG_CACHE_HOME": str(tmp_path / "user")}
    assert call(USE + SAY, **free) == "20 2 0"
    refuse = """
        import os
        from pathlib import Path
        from pde_video.kernels import cache
        writable = cache._is_writable
        cache._is_writable = lambda folder: "__pycache__" not in folder.parts and writable(folder)
    """
    assert call(textwrap.dedent(refuse) + USE + SAY, **free) == "20 0 1"


@pytest.mark.parametrize(
    "damage", ["one bit", *slow("empty", "short", "other bytes", "no pickle", "other pickle", "folder")]
)
def test_a_damaged_file_is_compiled_anew(call, tmp_path, damage):
    assert call(USE + SAY) == "20 2 0"
    for path in compiled_files(tmp_path / "cache"):
        content = path.read_bytes()
        broken = {
            "empty": b"",
            "short": content[: len(content) // 2],
            "one bit": content[:500] + bytes([content[500] ^ 1]) + content[501:],
            "other bytes": bytes(range(256)),
            "no pickle": cache._checksum(path, b"no pickle") + b"no pickle",
        }
        other = pickle.dumps(([], ("no", "kernel")))
        broken["other pickle"] = cache._checksum(path, other) + other
        path.unlink()
        path.mkdir() if damage == "folder" else path.write_bytes(broken[damage])
    assert call(USE + SAY) == "20 2 0"
    if damage != "folder":  # It is in the way for good: that costs time, no more.
        assert call(USE + SAY) == "20 0 1"


TOGETHER = """
import os, sys
from pathlib import Path
from pde_video.kernels.outer import outer

def child(k, argument):
    if process := os.fork():
        return process
    code = 1
    try:
        Path(f"said{k}").write_text(str(outer(argument)))
        code = 0
    finally:
        os._exit(code)

processes = [child(k, argument) for k, argument in enumerate([1, 1.5, True, 1j] * 5)]
print([os.waitpid(process, 0)[1] for process in processes])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, by which processes begin in the same moment")
def test_twenty_processes_on_a_cold_cache(call, tmp_path):
    # Of four signatures, which in Numba's own cache share an index that the last one writes.
    values = {"1": "20", "1.5": "25.0", "True": "20", "1j": "(10+10j)"}
    assert call(TOGETHER) == str([0] * 20)
    assert [(tmp_path / f"said{k}").read_text() for k in range(20)] == [*values.values()] * 5
    names = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(names) == 8
    assert all(name.endswith(".nbc") for name in names)
    code = USE + "print(" + ", ".join(f"outer({argument})" for argument in values) + ", tally.compiled)"
    assert call(code) == " ".join(values.values()) + " 0"


@pytest.mark.slow
def test_a_disk_that_fills_up_is_no_error(call):
    code = """
        from pde_video.kernels import cache
        def full(folder, name, content):
            raise OSError(28, "No space left on device")
        cache.GuardedFolder.write = full
    """
    assert call(textwrap.dedent(code) + USE + SAY) == "20 2 0"


@pytest.mark.parametrize(
    "fault", ["TypeError('cannot pickle')", *slow("pickle.PicklingError('no')", "RecursionError()", "MemoryError()")]
)
def test_a_kernel_that_cannot_be_serialised_runs_and_says_so_on_the_log(call, tmp_path, fault):
    code = f"""
        import logging, pickle, sys, types
        logging.basicConfig(level="INFO", stream=sys.stdout, format="%(levelname)s %(message)s")
        from pde_video.kernels import cache
        def broken(payload):
            raise {fault}
        cache.serialize = types.SimpleNamespace(dumps=broken)  # Numba itself uses the real one.
    """
    *lines, result = call(textwrap.dedent(code) + USE + SAY).splitlines()
    assert result == "20 2 0"
    assert len([line for line in lines if re.match(r"INFO (inner|outer)\S* is not cached", line)]) == 2, lines
    assert not compiled_files(tmp_path)


def test_whatever_goes_wrong_while_writing_a_kernel_it_runs(call, tmp_path):
    code = """
        from pde_video.kernels import cache
        def broken(folder, name, content):
            raise UnicodeEncodeError("ascii", "", 0, 1, "no such character in a path")
        cache.GuardedFolder.write = broken
    """
    assert call(textwrap.dedent(code) + USE + SAY) == "20 2 0"
    assert not compiled_files(tmp_path)


def test_compilation_can_be_switched_off_as_numba_says(call):
    assert call(USE + SAY, NUMBA_DISABLE_JIT="1") == "20 0 0"


@pytest.mark.slow
def test_only_who_turns_logging_on_hears_of_compilation(call):
    quick = "from pde_video.kernels import cache; cache._PATIENCE = 0.01; "
    logged = "import logging, sys; logging.basicConfig(level='INFO', stream=sys.stdout, format='%(message)s'); "
    assert call(quick + USE + SAY) == "20 2 0"  # In silence, as `call` checks.
    assert call(quick + logged + USE + SAY) == "20 0 1"
    (line, result) = call(quick + logged + USE + SAY, NUMBA_CACHE_DIR="another").splitlines()
    assert line.startswith("compiling kernels for this machine (once; cached in /")
    assert "another/pde_video-kernels-" in line
    assert result == "20 2 0"
    assert call(logged + USE + SAY, NUMBA_CACHE_DIR="third") == "20 2 0"  # Too short to be worth a word.


@pytest.mark.slow
def test_names_that_nothing_knows_load_the_whole_compiler(call):
    code = """
        refreshed = []
        outer.targetctx.__class__.refresh = lambda self, before=outer.targetctx.__class__.refresh: (
            refreshed.append(1), before(self))
        from pde_video.kernels import cache
        if needed: cache._needs = lambda result: ["no_such_function"]
        outer(1)
        print(len(refreshed) > 0)
    """
    code = USE + "\n" + textwrap.dedent(code)
    assert call("needed = True\n" + code) == "True"  # Compiled.
    assert call("needed = True\n" + code) == "True"  # Loaded, but something is missing.
    assert call("needed = False\n" + code, NUMBA_CACHE_DIR="another") == "True"
    assert call("needed = False\n" + code, NUMBA_CACHE_DIR="another") == "False"


def test_somebody_elses_temporary_folder_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    own = cache._own_temporary()
    assert own.parent == tmp_path
    own.chmod(0o777)
    with pytest.raises(NotOursError):
        cache._own_temporary()
    own.rmdir()
    (tmp_path / "trap").mkdir()
    own.symlink_to(tmp_path / "trap")
    with pytest.raises(OSError, match="pde_video-"):  # Of which kind depends on the system.
        cache._own_temporary()


class Harm:
    """A pickle that leaves a trace when it is loaded, or an entry of the cache that does."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)

    def write(self, path: Path) -> None:
        payload = pickle.dumps(self)
        path.write_bytes(cache._checksum(path, payload) + payload)


needs_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
NOBODY = 65534


def give_away(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY)


def open_to_all(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o002)


def open_to_the_group(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o020)


def lead_elsewhere(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


@pytest.fixture
def planted(tmp_path, monkeypatch) -> types.SimpleNamespace:
    """An entry for a kernel in the one folder that there is, what loads it, and the trace that it then leaves."""
    folder, trace = tmp_path / "cache", tmp_path / "harmed"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(cache, "places", lambda: [folder])
    monkeypatch.setattr(cache.KernelCache, "_file", lambda *_: "kernel.nbc")
    Harm(trace).write(folder / "kernel.nbc")
    (folder / "kernel.nbc").chmod(0o644)

    def load() -> object:
        return cache.KernelCache(load).load_overload(None, types.SimpleNamespace(refresh=lambda: None))

    return types.SimpleNamespace(load=load, entry=folder / "kernel.nbc", trace=trace)


def test_an_entry_of_our_own_is_loaded(planted):
    planted.load()
    assert planted.trace.exists()


def test_an_entry_with_a_flipped_bit_or_cut_off_anywhere_is_not_loaded(planted):
    good = planted.entry.read_bytes()
    flipped = (good[:k] + bytes([good[k] ^ 1 << k % 8]) + good[k + 1 :] for k in range(len(good)))
    for broken in (*flipped, *(good[:length] for length in range(len(good)))):
        planted.entry.write_bytes(broken)
        assert planted.load() is None
    assert not planted.trace.exists()


@pytest.mark.parametrize("other", ["cache/other.nbc", "elsewhere/kernel.nbc"])
def test_an_entry_of_another_kernel_or_of_other_sources_is_not_loaded(planted, tmp_path, other):
    (tmp_path / "elsewhere").mkdir()
    Harm(planted.trace).write(tmp_path / other)
    (tmp_path / other).replace(planted.entry)
    assert planted.load() is None
    assert not planted.trace.exists()


MADE_UP = "pde_video.kernels.made_up"  # Only what is in that room is cached.


def times(factor: int):
    def product(x):
        return factor * x

    product.__module__ = MADE_UP
    return kernel(product)


def spoilt(entry: Path, other: bytes, rng: random.Random) -> None:
    """Spoil an entry in one of the ways in which disks, copies and other users do."""
    data = bytearray(entry.read_bytes())
    place, length = rng.randrange(len(data)), rng.randrange(1, 100)
    match rng.randrange(10):
        case 0 | 1 | 2:
            data[place] ^= 1 << rng.randrange(8)
        case 3:
            del data[place:]
        case 4:
            data[place : place + length] = b""
        case 5:
            data[place : place + length] = bytes(length)
        case 6:
            data += rng.randbytes(length)
        case 7:
            data[:] = other
        case 8:
            data[:32] = other[:32]
        case 9:
            entry.chmod(rng.choice([0o646, 0o664, 0o666, 0o622]))
            return
    changed = data != entry.read_bytes()
    entry.write_bytes(data if changed else data[:-1])


@pytest.mark.slow
def test_500_mutated_entries_are_compiled_anew_and_no_wrong_kernel_is_run(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "places", lambda: [tmp_path])
    monkeypatch.setattr(cache, "tally", cache._Tally())
    monkeypatch.setitem(sys.modules, MADE_UP, types.ModuleType(MADE_UP))
    tmp_path.chmod(0o755)
    rng, signature = random.Random(8), (numba.int64,)
    assert (times(3)(2), times(4)(2)) == (6, 8)
    entries = {path: path.read_bytes() for path in compiled_files(tmp_path)}
    assert len(entries) == 2
    for number in range(500):
        (entry, good), (_, other) = rng.sample(list(entries.items()), 2)
        spoilt(entry, other, rng)
        dispatchers = [times(3), times(4)]
        found = [one._cache.load_overload(signature, one.targetctx) for one in dispatchers]
        assert sum(one is None for one in found) == 1, number
        assert next(one for one in found if one is not None).entry_point(2) == (6 if found[1] is None else 8)
        if number % 125 == 0:
            assert (times(3)(2), times(4)(2)) == (6, 8)
        entry.write_bytes(good)
        entry.chmod(0o644)
    loaded = cache.tally.loaded
    assert (times(3)(2), times(4)(2)) == (6, 8)
    assert cache.tally.loaded == loaded + 2


@pytest.mark.parametrize("what", ["file", "folder"])
@pytest.mark.parametrize(
    "spoil", [open_to_all, open_to_the_group, lead_elsewhere, pytest.param(give_away, marks=needs_root)]
)
def test_an_entry_that_others_can_write_is_not_loaded(planted, spoil, what, caplog):
    spoilt = planted.entry if what == "file" else planted.entry.parent
    spoil(spoilt)
    for _ in range(2):
        assert planted.load() is None
    assert not planted.trace.exists()
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    if spoil is not lead_elsewhere:
        (line,) = warned  # Once.
        assert re.fullmatch(rf"{spoilt} (can be written by|belongs to) (other users|another user).*; remove it.*", line)


@needs_root
def test_an_entry_of_root_is_loaded_by_other_users(planted, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
    planted.load()
    assert planted.trace.exists()


def test_a_folder_is_not_exchanged_between_check_and_use(planted, tmp_path):
    entry = planted.entry
    with GuardedFolder(entry.parent) as folder:
        entry.parent.rename(tmp_path / "moved")
        entry.parent.mkdir()
        entry.write_bytes(b"of somebody else")
        assert folder.read(entry.name) == (tmp_path / "moved" / entry.name).read_bytes()
        folder.write("new", b"content")
    assert (tmp_path / "moved" / "new").read_bytes() == b"content"
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]


def test_what_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with GuardedFolder(tmp_path) as folder, pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        folder.write("name", b"content")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_what_we_make_is_ours_whatever_the_umask(tmp_path, mask):
    folder = tmp_path / "a" / "b"
    before = os.umask(mask)
    try:
        cache._make(folder)
        with GuardedFolder(folder) as opened:
            opened.write("name", b"content")
    finally:
        os.umask(before)
    assert (folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (0o755 & ~mask, 0o755 & ~mask)
    assert (folder / "name").stat().st_mode & 0o777 == 0o644 & ~mask
    with GuardedFolder(folder) as opened:
        assert opened.read("name") == b"content"


def test_a_chosen_folder_may_be_shared_but_the_one_in_it_is_ours(tmp_path, monkeypatch):
    shared, temporary = tmp_path / "shared", tmp_path / "temporary"
    shared.mkdir()
    shared.chmod(0o777)
    temporary.mkdir()
    monkeypatch.setattr(cache.numba.config, "CACHE_DIR", str(shared))
    monkeypatch.setattr(cache.tempfile, "tempdir", str(temporary))
    (chosen,) = cache.places.__wrapped__()
    assert chosen.parent == shared
    assert chosen.stat().st_mode & 0o022 == 0
    chosen.chmod(0o777)
    first, second = cache.places.__wrapped__()
    assert (first, second.parent.parent) == (chosen, temporary)
    assert not cache._is_writable(first)
    assert cache._is_writable(second)


@needs_root
def test_old_folders_of_other_users_stay(tmp_path):
    folders = [tmp_path / f"pde_video-kernels-{k:020x}" for k in range(12)]
    for k, folder in enumerate(folders):
        folder.mkdir()
        os.utime(folder, (k, k))
    give_away(folders[0])
    cache._make(tmp_path / ("pde_video-kernels-" + "f" * 20))
    assert set(tmp_path.iterdir()) >= {folders[0], *folders[-7:]}
    assert not folders[1].exists()


def test_folders_of_old_sources_go_and_other_folders_stay(tmp_path):
    folders = [tmp_path / f"pde_video-kernels-{k:020x}" for k in range(12)]
    for k, folder in enumerate(folders):
        folder.mkdir()
        os.utime(folder, (k, k))
    (tmp_path / "pde_video-kernels-mine").mkdir()
    new = tmp_path / ("pde_video-kernels-" + "f" * 20)
    cache._make(new)
    assert set(tmp_path.iterdir()) == {new, tmp_path / "pde_video-kernels-mine", *folders[-7:]}
    cache._make(folders[0] / "deeper")


def test_every_source_counts(tmp_path):
    (tmp_path / "a.py").write_text("1")
    names = {cache.digest(tmp_path)}
    (tmp_path / "b.py").write_text("")
    names.add(cache.digest(tmp_path))
    (tmp_path / "a.py").write_text("2")
    names.add(cache.digest(tmp_path))
    (tmp_path / "a.py").rename(tmp_path / "c.py")
    names.add(cache.digest(tmp_path))
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.py").write_text("")
    names.add(cache.digest(tmp_path))
    assert len(names) == 5
    (tmp_path / ".#c.py").symlink_to("an editor's lock")
    assert cache.digest(tmp_path) in names
