"""The walls: namespaces, no-new-privileges, Landlock, dropped capabilities, resource limits, seccomp.

The first four are put up once, around the zygote; every child inherits them and adds its own CPU limit and the seccomp
filter, which is narrower than what a zygote needs. Everything through ctypes: no dependency, no compiler.
Each function says whether it worked; deciding what is enough is `tier.py`'s work.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
import sysconfig

from engine.verify.sandbox import bpf

_libc = ctypes.CDLL(None, use_errno=True)
_quick = ctypes.PyDLL(None)  # without releasing and retaking Python's lock: fewer pages touched in a child
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP = 1, 4, 38, 24
_SIGKILL = 9

_NEWUSER, _NEWPID, _NEWNET, _NEWNS = 0x10000000, 0x20000000, 0x40000000, 0x00020000
_NEWIPC, _NEWUTS, _NEWCGROUP = 0x08000000, 0x04000000, 0x02000000
_ALL_BUT_USER = _NEWPID | _NEWNET | _NEWNS | _NEWIPC | _NEWUTS | _NEWCGROUP

# The same three numbers on x86-64 and aarch64; seccomp's differ.
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_READ_FILE, _READ_DIR, _WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
_FS_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}


def enter_namespaces() -> bool:
    """New user, pid, network, mount, ipc, uts and cgroup namespaces; the pid one holds for the next child."""
    uid, gid = os.getuid(), os.getgid()
    if _libc.unshare(_NEWUSER | _ALL_BUT_USER) == 0:
        try:
            _write("/proc/self/setgroups", "deny")
            _write("/proc/self/uid_map", f"{uid} {uid} 1")
            _write("/proc/self/gid_map", f"{gid} {gid} 1")
        except OSError:
            return False
        return True
    return bool(uid == 0 and _libc.unshare(_ALL_BUT_USER) == 0)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)


def no_new_privileges() -> bool:
    return bool(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)


def drop_capabilities() -> None:
    """All of them, from the bounding set too: what an escape from seccomp would find is nothing."""
    for capability in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    header = struct.pack("=Ii", 0x20080522, 0)
    _libc.capset(header, bytes(24))
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def landlock_version() -> int:
    """The kernel's Landlock ABI, 0 where it has none."""
    return max(0, int(_libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)))


def readable_paths() -> list[str]:
    """What a candidate may read: the interpreter's library, shared libraries, time zones. No data set, no home."""
    paths = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), f"{sys.base_prefix}/lib", "/lib", "/lib64"]
    paths += ["/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/dev/urandom"]
    return [p for p in dict.fromkeys(os.path.realpath(p) for p in paths if p) if os.path.exists(p) and p != "/"]


def restrict_files() -> bool:
    """Landlock: reading `readable_paths()`, writing nothing but /dev/null; no TCP; signals stay inside where known."""
    version = landlock_version()
    if version < 1:
        return False
    rights = _FS_RIGHTS.get(version, _FS_RIGHTS[5])
    attribute = struct.pack("=QQQ", rights, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _libc.syscall(_LANDLOCK_CREATE, attribute, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        for path in readable_paths():
            _allow(ruleset, path, _READ_FILE | _READ_DIR if os.path.isdir(path) else _READ_FILE)
        _allow(ruleset, "/dev/null", _READ_FILE | _WRITE_FILE)
        return bool(_libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _libc.syscall(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)


def limit_zygote(memory_bytes: int) -> None:
    """Limits that children inherit: no core, no file content, few descriptors, bounded memory."""
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):  # a lower hard limit stands already
            pass


def limit_cpu(seconds: int) -> None:
    """Soft and hard alike: SIGKILL by the kernel, which no program can catch."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


class SeccompFilter:
    """The filter, built once; `install` is one system call in the child."""

    def __init__(self) -> None:
        arch = bpf.arch_here()
        self.known = arch is not None
        code = bpf.program(arch) if arch is not None else b""
        self._code = ctypes.create_string_buffer(code, len(code) or 1)
        self._prog = ctypes.create_string_buffer(
            struct.pack("=HxxxxxxQ", len(code) // 8, ctypes.addressof(self._code)), 16
        )
        self._number = _SECCOMP["aarch64" if arch is bpf.AARCH64 else "x86_64"]

    def install(self) -> bool:
        return bool(self.known and _quick.syscall(self._number, 1, 0, self._prog) == 0)
