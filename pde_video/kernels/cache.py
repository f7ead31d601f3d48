"""Compiled kernels on disk: one file for each kernel and signature, in a folder named by a digest of their sources.

Numba's own cache does not suffice: it names an entry after the one file that defines a function, so that a kernel goes
stale unnoticed when another one that it inlines changes; processes that start together on a cold cache can overwrite
each other's index; and a damaged file stops the program. Here the digest covers every file of `pde_video.kernels` and
the versions that compile them, each file is written under a temporary name and renamed, and a file that cannot be read
or written only costs a compilation. A checksum of its name and content precedes each entry, so that none is loaded that
is damaged or has the name of another.

An entry is a pickle around machine code. Other serialisation would not make it harmless, since the machine code is run;
so what counts is who can write it, which `guarded` checks.
"""

import contextlib
import functools
import hashlib
import logging
import os
import pickle
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from numba.core import serialize
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys

from pde_video.access.guarded import FOLDER_MODE, GuardedFolder, NotOursError, check_owner

_log = logging.getLogger(__name__)
_PATIENCE = 1.0  # Seconds of compilation after which it is logged.
_KEPT = 8  # Folders that are kept, as they may belong to other environments; the present one is one of them.
_HERE = Path(__file__).parent


def digest(folder: Path) -> str:
    """Return a digest of the sources in `folder` and of the versions that compile them.

    NumPy is one of these, since kernels hold constants that it computed.
    """
    total = hashlib.sha256(f"{sys.version} {numba.__version__} {llvmlite.__version__} {np.__version__}".encode())
    for path in sorted(folder.rglob("*.py")):
        if path.stem.isidentifier():  # Not an editor's lock file.
            content = path.read_bytes()
            total.update(f"{path.relative_to(folder).as_posix()} {len(content)} ".encode() + content)
    return total.hexdigest()[:20]


# Computed when the first kernel is defined: this process does not run what is edited later.
_NAME = f"pde_video-kernels-{digest(_HERE)}"


@functools.cache
def places() -> list[Path]:
    """Return the folders to search, in order: NUMBA_CACHE_DIR, or else the package's and the user's.

    All are read, so that a cache filled by root serves users who may not write it. The first writable one is written;
    if there is none, a temporary folder is appended.
    """
    chosen = getattr(numba.config, "CACHE_DIR", "")  # NUMBA_CACHE_DIR
    if chosen:
        found = [Path(chosen).absolute() / _NAME]
    else:
        users = _users_cache()
        found = [_HERE / "__pycache__" / _NAME, *([users / "pde_video" / _NAME] if users else [])]
    if not any(map(_is_writable, found)):
        with contextlib.suppress(OSError):
            found.append(_own_temporary() / _NAME)
    return found


def _users_cache() -> Path | None:
    named = {"win32": "LOCALAPPDATA", "darwin": ""}.get(sys.platform, "XDG_CACHE_HOME")
    path = os.environ.get(named, "") or os.path.expanduser("~/Library/Caches" if named == "" else "~/.cache")
    return Path(path) if os.path.isabs(path) else None  # Without a home, "~" stays as it is.


def _own_temporary() -> Path:
    """Return a temporary folder that only this user can write, as its content is executed."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir(), f"pde_video-{user}")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    with GuardedFolder(folder):
        return folder


def writable_place() -> Path | None:
    """Return the folder that compiled kernels are written to, or None if none is writable."""
    return next(filter(_is_writable, places()), None)


def _is_writable(folder: Path) -> bool:
    try:
        _make(folder)
        with _entered(folder):
            return os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


def _make(folder: Path) -> None:
    """Make `folder`, which no other user can write, and remove the oldest such folders beside it."""
    if folder.is_dir():
        return
    for path in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        with contextlib.suppress(FileExistsError):
            path.mkdir(FOLDER_MODE)
    with contextlib.suppress(OSError):  # Another process may remove them too.
        others = [p for p in folder.parent.iterdir() if re.fullmatch(r"pde_video-kernels-[0-9a-f]{20}", p.name)]
        others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in others[_KEPT:]:
            with contextlib.suppress(NotOursError):
                check_owner(path, path.lstat())
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _entered(folder: Path) -> Iterator[GuardedFolder]:
    """Open a folder of kernels; warn once if it, or a file in it, is not used as others can write to it."""
    try:
        with GuardedFolder(folder) as opened:
            yield opened
    except NotOursError as fault:
        if folder not in _warned:
            _warned.add(folder)
            _log.warning("%s: kernels are not loaded from there, as that could run any program; remove it", fault)
        raise


_warned: set[Path] = set()


class _Tally:
    """How many kernels this process has compiled and loaded; logs a line if compilation takes long."""

    def __init__(self) -> None:
        self.compiled = self.loaded = 0
        self.seconds = 0.0
        self._begun: list[float] = []  # Nested where a kernel calls another one.
        self._announced = False

    def begin(self) -> None:
        """Record that a compilation begins."""
        self._begun.append(time.perf_counter())
        if len(self._begun) == 1 and not self._announced and _log.isEnabledFor(logging.INFO):
            # The time is not known beforehand, and many short compilations add up.
            timer = threading.Timer(max(0.0, _PATIENCE - self.seconds), self._announce)
            timer.daemon = True
            timer.start()

    def end(self) -> None:
        """Record that a compilation has ended."""
        self.compiled += 1
        begun = self._begun.pop() if self._begun else time.perf_counter()
        if not self._begun:
            self.seconds += time.perf_counter() - begun

    def _announce(self) -> None:
        now = self.seconds + (time.perf_counter() - self._begun[0] if self._begun else 0.0)
        if now < 0.9 * _PATIENCE or self._announced:
            return  # The timer of a compilation that has ended.
        self._announced = True
        folder = writable_place()
        where = (
            f"once; cached in {folder}; pde-video warmup compiles all kernels at once"
            if folder
            else "in every process, as no cache folder can be written"
        )
        _log.info("compiling kernels for this machine (%s) ...", where)


tally = _Tally()


class KernelCache:
    """The cache of one kernel: what its Numba dispatcher calls to load and to save."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._name = re.sub(r"[^\w.]", "", f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}")

    @property
    def cache_path(self) -> str | None:
        """The folder that is written."""
        folder = writable_place()
        return None if folder is None else str(folder)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Return the compiled kernel for a signature, or None."""
        name = self._file(signature, target)
        for folder in places():
            try:
                with _entered(folder) as opened:
                    content = opened.read(name)
                checksum, payload = content[:32], content[32:]
                if _checksum(folder / name, payload) != checksum:
                    raise ValueError("the checksum does not match")
                needs, reduced = pickle.loads(payload)
                _prepare(target, needs)
                result = CompileResult._rebuild(target, *reduced)
            except OSError:
                continue
            except Exception as fault:  # A damaged file can raise anything in pickle and in LLVM.
                _log.info("%s is damaged (%s): compiling again", folder / name, fault)
                continue
            tally.loaded += 1
            return result
        target.refresh()
        tally.begin()
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Write the compiled kernel for a signature; a kernel that cannot be written runs all the same."""
        tally.end()
        if result.lifted or result.library.has_dynamic_globals:
            return
        try:
            payload = serialize.dumps((_needs(result), result._reduce()))
            self._write(self._file(signature, result.target_context), payload)
        except Exception as fault:  # Serialisation raises many types: PicklingError, TypeError, RecursionError, ...
            _log.info("%s is not cached, and is compiled in every process: %r", self._name, fault)

    def _write(self, name: str, payload: bytes) -> None:
        for folder in places():
            try:
                _make(folder)
                with _entered(folder) as opened:
                    opened.write(name, _checksum(folder / name, payload) + payload)
                return
            except OSError as fault:
                _log.debug("cannot cache in %s: %s", folder, fault)

    def _file(self, signature: Any, target: Any) -> str:
        options = [getattr(numba.config, name, None) for name in ("OPT", "BOUNDSCHECK", "DEBUGINFO_DEFAULT")]
        processor = target.codegen().magic_tuple()
        key = repr((signature, processor, options, _identity(self._function)))
        return f"{self._name}-{hashlib.sha256(key.encode()).hexdigest()[:20]}.nbc"


def _checksum(path: Path, payload: bytes) -> bytes:
    """Return the checksum of an entry, which holds for this kernel and these sources only."""
    return hashlib.sha256(f"{path.parent.name}/{path.name}\n".encode() + payload).digest()


def _needs(result: Any) -> list[str]:
    """Return the external functions that compiled code calls."""
    functions = result.library._final_module.functions
    return [f.name for f in functions if f.is_declaration and not f.name.startswith("llvm.")]


def _prepare(target: Any, needs: list[str]) -> None:
    """Make the functions that compiled code calls known to LLVM, which would abort the process at an unknown name.

    Numba's runtime suffices for all present kernels; `refresh` loads the whole compiler, for a quarter of a second.
    """
    rtsys.initialize(target)
    if any(llvmlite.binding.address_of_symbol(name) is None for name in needs):
        target.refresh()


def _identity(function: Callable[..., Any]) -> tuple[Any, ...]:
    """Return what distinguishes functions of the same sources: where they are defined, and what they enclose."""
    enclosed = [cell.cell_contents for cell in function.__closure__ or ()]
    inner = [_identity(thing.py_func) if hasattr(thing, "py_func") else repr(thing) for thing in enclosed]
    return (function.__module__, function.__qualname__, function.__code__.co_firstlineno, *inner)
