"""The server behind isolated readers: for each request it forks a child, which sandboxes itself and reads one file.

The server reads no file itself, so that each child starts clean, and has a single thread, so that it may fork. It ends
with the program that started it, and a child ends when that program closes its socket.
"""

import contextlib
import gc
import os
import selectors
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import av
import numpy as np

from pde_video.video import files, messages
from pde_video.video.confinement import confine, confining
from pde_video.video.source import FileVideo
from pde_video.video.yuv_planes import to_rgb

_REPLY = 1  # The descriptor that a child answers on: its standard output.


def main() -> None:
    """Serve requests that come on standard input, a socket, until it is closed."""
    for pixel in ("yuv420p", "yuv420p10le"):
        to_rgb(av.VideoFrame(16, 16, pixel), 1, False)  # Kernels are compiled and cached here: a child writes nothing.
    confining()
    gc.freeze()
    with socket.socket(fileno=os.dup(0)) as requests, contextlib.closing(_Children(requests)) as children:
        while True:
            children.tend()
            head, descriptors, _, _ = socket.recv_fds(requests, messages.SIZE, 2)
            size = int.from_bytes(head, "big")
            content = requests.recv(size, socket.MSG_WAITALL) if size else b""
            if len(descriptors) != 2 or len(content) < size:
                break
            with socket.socket(fileno=descriptors[1]) as control:
                children.fork(messages.decoded(content), descriptors[0], control)


class _Children:
    """The running children, each with the socket over which the program ends it and learns how it ended."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._controls: dict[int, socket.socket] = {}
        self._events = selectors.DefaultSelector()
        self._woken, waking = os.pipe()
        os.set_blocking(waking, False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        for source in (self._woken, requests):
            self._events.register(source, selectors.EVENT_READ)

    def tend(self) -> None:
        """End and reap children until there is a request, or the socket for requests is closed."""
        while True:
            ready = [key.fileobj for key, _ in self._events.select()]
            for pid in [pid for pid, control in self._controls.items() if control in ready]:
                self._events.unregister(self._controls[pid])
                os.kill(pid, signal.SIGKILL)  # The program has closed its reader.
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._bury()
            if self._requests in ready:
                return

    def fork(self, request: dict[str, Any], reply: int, control: socket.socket) -> None:
        """Fork a child that answers a request."""
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError:  # The program sees the end of the reply.
            os.close(reply)
            return
        if pid == 0:
            _answer(request, reply, server)
        os.close(reply)
        self._controls[pid] = control.dup()
        self._events.register(self._controls[pid], selectors.EVENT_READ)

    def _bury(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                with self._controls.pop(pid) as control, contextlib.suppress(OSError):
                    if control in self._events.get_map():
                        self._events.unregister(control)
                    control.sendall(status.to_bytes(messages.SIZE, "big"))

    def close(self) -> None:
        """End all children."""
        for pid in self._controls:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _answer(request: dict[str, Any], reply: int, server: int) -> NoReturn:
    """In a child: read a file and send its content to `reply`; every other descriptor is closed."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for own, other in ((0, nothing), (_REPLY, reply), (2, nothing)):
            os.dup2(other, own)
        _close_all_from(3)
        with contextlib.suppress(BrokenPipeError):
            _write(messages.encoded({"unconfined": (fault := _confine(request, server))}))
            for piece in _pieces(request) if fault is None else ():
                _write(piece)
        code = 0
    finally:
        os._exit(code)


def _close_all_from(first: int) -> None:
    """Close the open descriptors from `first` on, by their list: the limit may be infinite, or lower than some."""
    for name in os.listdir("/dev/fd"):
        if int(name) >= first:
            with contextlib.suppress(OSError):  # That of the list.
                os.close(int(name))


def _confine(request: dict[str, Any], server: int) -> str | None:
    """Sandbox this process; return why that failed, which does not blame the file."""
    try:
        if request["folder"] is not None:
            os.chdir(os.fsdecode(request["folder"]))
        confine(request["memory"], request["processor"], request["descriptors"], server)
    except Exception as fault:
        return f"{type(fault).__name__}: {fault}"
    return None


def _pieces(request: dict[str, Any]) -> Iterator[Any]:
    """Yield the messages about a file, and the bytes of its frames if they are asked for."""
    try:
        video = files.read(Path(os.fsdecode(request["path"])), **request["choice"])
        said = {name: getattr(video, name) for name in ("size", "channels", "rate", "count", "details")}
        yield messages.encoded({**said, "dtype": video.dtype.str})
        if request["frames"]:
            yield from _frames(video)
        yield messages.encoded({"end": True})
    except Exception as fault:
        yield messages.encoded(messages.as_fault(fault))


def _frames(video: FileVideo) -> Iterator[Any]:
    begun = None
    for index, (frame, time) in enumerate(video.decode(video)):
        begun = time if begun is None else begun
        after = None if time is None or begun is None else time - begun
        if frame is None or not video.choice.wants(index, after):
            yield messages.encoded({"time": time, "shape": None})
            continue
        frame = np.ascontiguousarray(frame)
        yield messages.encoded({"time": time, "shape": frame.shape, "dtype": frame.dtype.str})
        yield frame.reshape(-1).view(np.uint8).data


def _write(piece: Any) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(_REPLY, rest) :]
