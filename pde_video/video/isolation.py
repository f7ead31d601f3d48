"""Isolated reading: a file is decoded in a sandboxed process, which sends its frames.

A child of `worker_process` makes each pass over a file. Its messages are untrusted input: types and sizes are checked
before memory is allocated.
"""

import contextlib
import os
import select
import signal
import socket
import time
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pde_video.errors import InputError, ParameterError
from pde_video.protocols import Array
from pde_video.video import facts, messages, worker_process
from pde_video.video.source import Choice, Decoded, FileVideo
from pde_video.video.untrusted import refuse_huge, untrusted

MEMORY = 4 * 2**30  # Bytes of address space. A reader of 4K video takes 1 GiB of them.
SECONDS = 60.0  # For a frame, or for all before the first.
SKIPPING = 3600.0  # For all frames that are not wanted, before one that is.
PROCESSOR = 360_000  # Seconds of processor time, of all threads, for a pass.
STARTING = 120.0  # Seconds until a reader is confined; the first one waits for the start of the server too.
_DESCRIPTORS = 64
_PERHAPS = "the file may be damaged or malicious"


def read(path: Path, choice: Choice) -> FileVideo:
    """Return a video that is decoded in a sandbox, with the frames, properties and errors of one that is read here."""
    if not hasattr(socket, "send_fds") or not hasattr(os, "fork"):
        raise ParameterError(f"{path}: isolated reading needs Linux or macOS; leave it out, or use your own sandbox")
    with contextlib.closing(_Reader(path, choice, frames=False)) as reader:
        return reader.video()


def _decode(video: FileVideo) -> Decoded:
    with contextlib.closing(_Reader(video.path, video.choice, frames=True)) as reader:
        reader.video()  # Each frame is compared with what was told when the file was opened.
        while not (said := reader.message()).get("end"):
            yield reader.frame(said, video)


class _NoAnswer(InputError):
    """A child did not answer in time."""


class _Ended(InputError):
    """A child ended before it answered."""

    def __init__(self, path: Path, how: str) -> None:
        super().__init__(f"{path}: its decoder ended {how}; {_PERHAPS}")
        self.how = how


class _Reader:
    """A child that reads one file."""

    def __init__(self, path: Path, choice: Choice, *, frames: bool) -> None:
        self._path, self._choice = path, choice
        wanted = {field.name: getattr(choice, field.name) for field in fields(choice)}
        part = (wanted.pop("first"), wanted.pop("last"))
        request = {
            "path": os.fsencode(path),
            "folder": None if path.is_absolute() else os.fsencode(os.getcwd()),
            "choice": {**wanted, "frames": part},
            "frames": frames,
            "memory": MEMORY,
            "processor": PROCESSOR,
            "descriptors": _DESCRIPTORS,
        }
        self._skipping_since: float | None = None
        self._server = worker_process.running()
        self._reply, self._control = self._server.ask(messages.encoded(request))

    def video(self) -> FileVideo:
        """Return what the child says of the file."""
        self._wait_until_confined()
        said = self.message()
        with self._checked():
            (height, width), channels, dtype = said["size"], said["channels"], np.dtype(said["dtype"])
            rate, count, details = said["rate"], said["count"], said["details"]
            numbers = [height, width, channels, *([] if count is None else [count])]
            if not all(type(number) is int and number >= 0 for number in numbers) or dtype.kind not in "biufc":
                raise ValueError("invalid size or dtype")
            if not (rate is None or (isinstance(rate, Fraction) and rate > 0)) or not isinstance(details, dict):
                raise ValueError("invalid rate or details")
            facts.check_kinds(details)
            refuse_huge(self._path, (height, width, channels), self._choice.max_pixels)
        video = FileVideo(self._path, (height, width), channels, dtype, _decode, rate, count, details=details)
        video.choice, video.isolated = self._choice, True
        return video

    def _wait_until_confined(self) -> None:
        """Raise RuntimeError unless a child runs with its limits in force; until then it does not open the file."""
        try:
            fault = self._next(STARTING).get("unconfined")
        except _NoAnswer:
            fault = f"it was not ready after {STARTING:g} s"
        except _Ended as ended:
            code = self._server.code()
            fault = f"it ended {ended.how}" if code is None else f"it ended with code {code}"
        if fault is not None:
            raise RuntimeError(f"the process for isolated reading could not be started ({fault})")

    def frame(self, said: dict[str, Any], video: FileVideo) -> tuple[Array | None, Fraction | None]:
        """Return a frame that the child announced, or None for one that is not wanted, and its time."""
        with self._checked():
            shown, shape = said["time"], said["shape"]
            if not (shown is None or isinstance(shown, Fraction)):
                raise ValueError("invalid time")
            if shape is None:
                self._check_skipping()
                return None, shown
            self._skipping_since = None
            dtype = np.dtype(said["dtype"])
            shapes = {(*video.size, video.channels), video.size if video.channels == 1 else None}
            if shape not in shapes or dtype.newbyteorder("=") != video.dtype.newbyteorder("="):
                raise ValueError("unexpected shape or dtype")
        pixels = np.empty(shape, dtype)
        self._fill(pixels.reshape(-1).view(np.uint8).data)
        return pixels, shown

    def _check_skipping(self) -> None:
        now = time.monotonic()
        self._skipping_since = self._skipping_since or now
        if now - self._skipping_since > SKIPPING:
            raise InputError(f"{self._path}: its decoder skipped frames for {SKIPPING:g} s; {_PERHAPS}")

    def message(self) -> dict[str, Any]:
        """Return the child's next message; raise the fault that it tells."""
        with self._checked():
            said = self._next(SECONDS)
            fault = messages.raised(said, self._path) if "fault" in said else None
        if isinstance(fault, MemoryError):
            needs = f"decoding it needs more than the {MEMORY / 2**30:g} GiB of memory that an isolated reader may use"
            raise InputError(f"{self._path}: {needs}; {_PERHAPS}")
        if fault is not None:
            raise fault
        return said

    def _checked(self) -> contextlib.AbstractContextManager[None]:
        return untrusted(f"{self._path}: its decoder sent a malformed message; {_PERHAPS}")

    def _next(self, seconds: float) -> dict[str, Any]:
        self._deadline = time.monotonic() + seconds
        size = int.from_bytes(self._taken(messages.SIZE), "big")
        if size > messages.MOST:
            raise ValueError("message too long")
        return messages.decoded(self._taken(size))

    def _taken(self, size: int) -> bytes:
        content = bytearray(size)
        self._fill(memoryview(content))
        return bytes(content)

    def _fill(self, rest: memoryview) -> None:
        poll = select.poll()
        poll.register(self._reply, select.POLLIN)
        while rest:
            left = self._deadline - time.monotonic()
            if left <= 0 or not poll.poll(1000 * left):
                raise _NoAnswer(f"{self._path}: its decoder returned no frame within {SECONDS:g} s; {_PERHAPS}")
            got = os.readv(self._reply, [rest])
            if not got:
                raise _Ended(self._path, self._end())
            rest = rest[got:]

    def _end(self) -> str:
        """Return how the child ended."""
        with contextlib.suppress(OSError):
            self._control.settimeout(worker_process.PATIENCE)
            status = self._control.recv(messages.SIZE)
            if status:
                code = os.waitstatus_to_exitcode(int.from_bytes(status, "big"))
                return f"with signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"with code {code}"
        return "without an answer"

    def close(self) -> None:
        """End the child, and wait for its end."""
        os.close(self._reply)
        with self._control, contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)
            self._control.settimeout(worker_process.PATIENCE)
            while self._control.recv(messages.SIZE):
                pass
