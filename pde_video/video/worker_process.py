"""The program's side of the server `worker`, which is started once and gets a request for each isolated reader."""

import atexit
import contextlib
import os
import socket
import subprocess
import sys
import threading

from pde_video.video import messages

PATIENCE = 5.0  # Seconds to wait for a process that was told to end.
_PIPE = 2**20  # Bytes that a pipe holds.
_SET_PIPE_SIZE = 1031  # Of fcntl, on Linux.
_START = "import sys; sys.path[:] = sys.argv[1:]; from pde_video.video.worker import main; main()"
_NEEDED = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE", "XDG_CACHE_HOME", "LD_LIBRARY_PATH")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


class Server:
    """The server that forks the readers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        flags = ["-E", "-P", *(["-s"] if sys.flags.no_user_site else []), "-X", f"utf8={sys.flags.utf8_mode}"]
        kept = {name: text for name, text in os.environ.items() if name in _NEEDED or name.startswith("NUMBA_")}
        self._requests, theirs = socket.socketpair()
        with contextlib.ExitStack() as if_it_fails:
            if_it_fails.enter_context(self._requests)
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, *flags, "-c", _START, *map(str, sys.path)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env={**kept, **_ONE_THREAD},
                    start_new_session=True,  # Ctrl-C goes to this process, which then ends the server.
                )
            if_it_fails.pop_all()
        atexit.register(self.close)

    @property
    def runs(self) -> bool:
        """Whether the process is still alive."""
        return self._process.poll() is None

    def ask(self, request: bytes) -> tuple[int, socket.socket]:
        """Send a request; return the descriptor of the answer, and the socket that ends the child when it is closed."""
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            reply, sent_reply = os.pipe()
            ours.callback(os.close, reply)
            theirs.callback(os.close, sent_reply)
            control, sent_control = socket.socketpair()
            ours.enter_context(control)
            theirs.enter_context(sent_control)
            with self._lock, contextlib.suppress(BrokenPipeError):  # It has ended: no answer will come.
                socket.send_fds(self._requests, [request[: messages.SIZE]], [sent_reply, sent_control.fileno()])
                self._requests.sendall(request[messages.SIZE :])
            if sys.platform == "linux":
                import fcntl

                with contextlib.suppress(OSError):  # The user's limit for pipes may be reached.
                    fcntl.fcntl(reply, _SET_PIPE_SIZE, _PIPE)
            ours.pop_all()
        return reply, control

    def code(self) -> int | None:
        """Return the exit code of the process if it has ended, or is about to."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(PATIENCE)
        return None

    def disown(self) -> None:
        """In a fork of the process that started it: release it without ending it."""
        self._requests.close()
        atexit.unregister(self.close)

    def close(self) -> None:
        """End the process."""
        atexit.unregister(self.close)
        self._requests.close()
        if self.code() is None:
            self._process.kill()
            self._process.wait()


class _State:
    """The server in use."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.server: Server | None = None
        self.forgotten: Server | None = None  # Kept: Python waits for a child whose object is deleted.

    def forget(self) -> None:
        """Leave the server to the process that this one was forked from."""
        if self.server is not None:
            self.server.disown()
        self.lock, self.forgotten, self.server = threading.Lock(), self.server, None


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _state.forget())


def running() -> Server:
    """Return the server; start one if there is none, or if it has ended."""
    with _state.lock:
        if _state.server is not None and not _state.server.runs:
            _state.server.close()
            _state.server = None
        if _state.server is None:
            _state.server = Server()
        return _state.server
