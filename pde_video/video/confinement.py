"""The sandbox of a process that decodes an untrusted file: POSIX resource limits, and on Linux a seccomp filter.

The filter needs the extra ``isolation``. It is a deny list, since the system calls that decoders, Python and the C
library make change with their versions.
"""

import contextlib
import ctypes
import functools
import os
import signal
import sys
from typing import Any

_SET_PDEATHSIG, _SET_NO_NEW_PRIVS = 1, 38  # Of prctl.
_CLONE_THREAD = 0x10000
# Commands that inject terminal input, or send signals to another process: TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP;
# F_SETOWN, F_SETSIG, F_SETOWN_EX.
_COMMANDS = {"ioctl": (0x5412, 0x541C, 0x8901, 0x8902), "fcntl": (8, 10, 15)}
_INT = 0xFFFFFFFF  # The kernel does not look at the upper half of an int.
_PERMISSION, _MISSING = 1, 38  # EPERM and ENOSYS of Linux; a C library that lacks a call takes an older one.
_REFUSED = {
    "network": "socket connect bind listen accept accept4",
    "programs and processes": "execve execveat fork vfork",
    "other processes": "ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp tkill "
    "rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_getfd pidfd_send_signal setpriority ioprio_set "
    "sched_setscheduler sched_setparam sched_setattr move_pages migrate_pages",
    "memory and queues of several processes": "shmget shmat msgget msgsnd msgrcv semget semop mq_open mq_unlink",
    "files": "creat truncate ftruncate fallocate rename renameat renameat2 link linkat symlink symlinkat unlink "
    "unlinkat mkdir mkdirat rmdir mknod mknodat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat "
    "setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat utime utimes "
    "utimensat futimesat open_by_handle_at file_setattr",
    "limits": "setrlimit",
    "system": "mount umount umount2 mount_setattr move_mount open_tree fsopen fsconfig fsmount fspick pivot_root "
    "chroot setns unshare bpf keyctl add_key request_key perf_event_open userfaultfd fanotify_init init_module "
    "finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff quotactl acct settimeofday "
    "clock_settime clock_adjtime adjtimex sethostname setdomainname iopl ioperm personality syslog vhangup",
}
_WITH_A_SUBSTITUTE = "clone3 openat2 io_uring_setup io_uring_enter io_uring_register"


# Without the filter files can be changed by other calls than `write`: memory-mapped, truncated, renamed.
UNFILTERED = (
    "isolated reading ran without a seccomp filter of system calls, so an exploited decoder could change your files "
    "and use the network: on Linux, install the extra isolation"
)


def confine(memory: int, processor: int, descriptors: int, parent: int) -> None:
    """Sandbox this process for good: bytes of memory, seconds of processor time, descriptors; on Linux see `_REFUSED`.

    It ends with its parent. Limits that the system does not have are left out.
    """
    import resource  # Not on Windows.

    limits = {"RLIMIT_AS": memory, "RLIMIT_NOFILE": descriptors, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
    limits["RLIMIT_CPU"] = processor
    for name, most in limits.items():
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        last = most + (name == "RLIMIT_CPU" and most != hard)  # SIGXCPU, which says why, a second before SIGKILL.
        with contextlib.suppress(ValueError, OSError):  # macOS does not limit the address space.
            resource.setrlimit(kind, (most, last))
    if sys.platform != "linux":
        return
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    _prctl(_SET_NO_NEW_PRIVS, 1)
    if os.getppid() != parent:
        os._exit(1)
    if library := confining():
        _filter(library).load()


@functools.cache
def confining() -> Any:
    """Return the library that makes seccomp filters, or None where there is none."""
    if sys.platform != "linux":
        return None
    try:
        import pyseccomp
    except (ImportError, RuntimeError):  # The latter without the C library.
        return None
    return pyseccomp


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        raise OSError(ctypes.get_errno(), f"prctl {option} failed")


def _filter(library: Any) -> Any:
    """Return a filter that refuses the system calls with which a process reaches beyond its memory and open files."""
    made = library.SyscallFilter(library.ALLOW)

    def refuse(name: str, *arguments: Any, code: int = _PERMISSION) -> None:
        with contextlib.suppress(OSError, ValueError):  # Not every machine has every call.
            made.add_rule(library.ERRNO(code), name, *arguments)

    def has(place: int, mask: int, value: int) -> Any:
        return library.Arg(place, library.MASKED_EQ, mask, value)

    for name in " ".join(_REFUSED.values()).split():
        refuse(name)
    for name in _WITH_A_SUBSTITUTE.split():
        refuse(name, code=_MISSING)
    refuse("clone", has(0, _CLONE_THREAD, 0))
    for name in ("kill", "tgkill"):
        refuse(name, library.Arg(0, library.NE, os.getpid()))
    for name in ("prlimit64", "sched_setaffinity"):
        refuse(name, library.Arg(0, library.NE, 0))
    refuse("prlimit64", library.Arg(2, library.NE, 0))  # To read a limit is all right; root could raise one.
    for name, commands in _COMMANDS.items():
        for command in commands:
            refuse(name, has(1, _INT, command))
    for name, place in (("open", 1), ("openat", 2)):
        for flag in (os.O_CREAT, os.O_TRUNC):
            refuse(name, has(place, flag, flag))
        for writing in (os.O_WRONLY, os.O_RDWR):
            refuse(name, has(place, os.O_ACCMODE, writing))
    return made
