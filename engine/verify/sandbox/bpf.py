"""The system calls a candidate may make, as a seccomp program. Pure: bytes out, nothing installed.

An allow-list: what is not named fails with EPERM. What a Python program needs to compute stays; what reaches other
processes, the network, the file system's content or new programs is not there. Over-blocked on purpose, and documented:
asyncio (wants a socketpair) and tempfile (wants to write).
"""

from __future__ import annotations

import platform
import struct
from dataclasses import dataclass

EPERM, ENOTTY, ENOSYS = 1, 25, 38

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN, _COPY_TO_X = 0x20, 0x15, 0x35, 0x45, 0x06, 0x07
_NR, _ARCH, _ARGS = 0, 4, 16  # offsets in struct seccomp_data
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000
# F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC. Not F_SETOWN: with O_ASYNC it sends signals to other processes.
_FCNTL = (0, 1, 2, 3, 1030)


@dataclass(frozen=True)
class Arch:
    """The numbers of one processor family."""

    audit: int
    free: dict[str, int]
    clone: int
    clone3: int
    fcntl: int
    ioctl: int
    prlimit64: int
    x32: bool = False


# Ordered by how often a Python program calls them: the list is searched from the top.
X86_64 = Arch(
    audit=0xC000003E,
    free={
        "write": 1, "read": 0, "futex": 202, "mmap": 9, "munmap": 11, "brk": 12, "newfstatat": 262, "openat": 257,
        "close": 3, "fstat": 5, "lseek": 8, "exit_group": 231, "mprotect": 10, "mremap": 25, "madvise": 28, "stat": 4,
        "lstat": 6, "open": 2, "access": 21, "faccessat": 269, "faccessat2": 439, "poll": 7, "rt_sigaction": 13,
        "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17, "readv": 19, "writev": 20, "select": 23,
        "sched_yield": 24, "dup": 32, "dup2": 33, "dup3": 292, "nanosleep": 35, "getpid": 39, "exit": 60, "uname": 63,
        "getcwd": 79, "readlink": 89, "readlinkat": 267, "gettimeofday": 96, "getrlimit": 97, "getrusage": 98,
        "sysinfo": 99, "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110,
        "sigaltstack": 131, "gettid": 186, "time": 201, "sched_getaffinity": 204, "getdents64": 217,
        "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "pselect6": 270, "ppoll": 271,
        "set_robust_list": 273, "getrandom": 318, "membarrier": 324, "statx": 332, "rseq": 334,
    },
    clone=56, clone3=435, fcntl=72, ioctl=16, prlimit64=302, x32=True,
)  # fmt: skip
AARCH64 = Arch(
    audit=0xC00000B7,
    free={
        "write": 64, "read": 63, "futex": 98, "mmap": 222, "munmap": 215, "brk": 214, "newfstatat": 79, "openat": 56,
        "close": 57, "fstat": 80, "lseek": 62, "exit_group": 94, "mprotect": 226, "mremap": 216, "madvise": 233,
        "faccessat": 48, "faccessat2": 439, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139,
        "pread64": 67, "readv": 65, "writev": 66, "sched_yield": 124, "dup": 23, "dup3": 24, "nanosleep": 101,
        "getpid": 172, "exit": 93, "uname": 160, "getcwd": 17, "readlinkat": 78, "gettimeofday": 169, "getrlimit": 163,
        "getrusage": 165, "sysinfo": 179, "times": 153, "getuid": 174, "geteuid": 175, "getgid": 176, "getegid": 177,
        "getppid": 173, "sigaltstack": 132, "gettid": 178, "sched_getaffinity": 123, "getdents64": 61,
        "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "pselect6": 72, "ppoll": 73,
        "set_robust_list": 99, "getrandom": 278, "membarrier": 283, "statx": 291, "rseq": 293,
    },
    clone=220, clone3=435, fcntl=25, ioctl=29, prlimit64=261,
)  # fmt: skip

_ARCHS = {"x86_64": X86_64, "amd64": X86_64, "aarch64": AARCH64, "arm64": AARCH64}


def arch_here() -> Arch | None:
    return _ARCHS.get(platform.machine().lower())


def program(arch: Arch) -> bytes:
    """The filter for `arch`, ready for seccomp(2)."""
    # The copy to X changes nothing, but the kernel then gives up its table of always-allowed calls, whose making costs more
    # than a short-lived child ever saves by it.
    code = [_op(_LOAD, _ARCH), _op(_COPY_TO_X, 0), _op(_EQUAL, arch.audit, 1, 0), _op(_RETURN, _KILL), _op(_LOAD, _NR)]
    if arch.x32:
        code += [_op(_AT_LEAST, _X32, 0, 1), _op(_RETURN, _KILL)]
    for number in arch.free.values():
        code += [_op(_EQUAL, number, 0, 1), _op(_RETURN, _ALLOW)]
    code += _when(arch.clone, [_op(_LOAD, _ARGS), _op(_ANY_BIT, _CLONE_THREAD, 0, 1), _op(_RETURN, _ALLOW), _no(EPERM)])
    code += _when(arch.clone3, [_no(ENOSYS)])  # glibc falls back to clone, whose flags can be looked at
    code += _when(arch.ioctl, [_no(ENOTTY)])
    code += _when(arch.fcntl, [_op(_LOAD, _ARGS + 8), *_one_of(_FCNTL), _no(EPERM)])
    code += _when(arch.prlimit64, _only_reading())
    code.append(_no(EPERM))
    return b"".join(code)


def _op(kind: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", kind, if_true, if_false, value)


def _no(errno: int) -> bytes:
    return _op(_RETURN, _ERRNO | errno)


def _when(number: int, then: list[bytes]) -> list[bytes]:
    """`then` must end in a return: it may overwrite the loaded number."""
    return [_op(_EQUAL, number, 0, len(then)), *then]


def _one_of(values: tuple[int, ...]) -> list[bytes]:
    return [op for value in values for op in (_op(_EQUAL, value, 0, 1), _op(_RETURN, _ALLOW))]


def _only_reading() -> list[bytes]:
    """prlimit64 with a null pointer for the new limits."""
    low, high = _ARGS + 16, _ARGS + 20
    return [
        _op(_LOAD, low),
        _op(_EQUAL, 0, 0, 3),
        _op(_LOAD, high),
        _op(_EQUAL, 0, 0, 1),
        _op(_RETURN, _ALLOW),
        _no(EPERM),
    ]
