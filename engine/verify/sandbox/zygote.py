"""The zygote: a clean process that holds no secret and forks one child a sample.

    <base python> -I -S engine/verify/sandbox/zygote.py CONTROL_FD MEMORY_BYTES WALLS

Started by exec, never forked from the judge: a fork would inherit tests, data sets, tokens and descriptors. Walls that
children inherit are put up here once. The judge drives everything: `S` starts a child (its descriptors come along), `E`
kills and reaps it and answers with status, CPU time and memory. One child at a time, and no child can fork: ending it is
complete. Standard library only, and it runs as a file, so that nothing of the project is on a candidate's path.
"""

from __future__ import annotations

import os
import sys

_HERE = os.path.abspath(__file__)
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(_HERE))))

# What answers to MBPP, HumanEval and APPS import most, loaded once here instead of in every child. Not more: each shared
# library costs every fork about 10 microseconds, so hashlib, decimal and statistics are left to the few that want them.
PRELOAD = (
    "array bisect cmath collections collections.abc contextlib copy dataclasses datetime enum functools heapq io itertools "
    "json math operator random re string threading types typing"
)


def main() -> None:
    control_fd, memory_bytes, walls = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    sys.path.insert(0, _ROOT)
    from engine.verify.sandbox import jail

    jail.die_with_parent()
    in_namespaces = walls == "all" and jail.enter_namespaces()
    if in_namespaces and (inner := os.fork()):
        os.close(control_fd)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]) & 0xFF)
    jail.die_with_parent()
    serve(control_fd, memory_bytes, walls, in_namespaces)


def serve(control_fd: int, memory_bytes: int, walls: str, in_namespaces: bool) -> None:
    """Put up the inherited walls, say which stand, then fork on demand until the judge is gone."""
    import ctypes
    import gc
    import importlib
    import json
    import socket

    from engine.verify.sandbox import child, jail

    for name in PRELOAD.split():
        importlib.import_module(name)
    _offer_exit()
    child.rehearse()
    filter_ = jail.SeccompFilter()
    control = socket.socket(fileno=control_fd)
    jail.limit_zygote(memory_bytes)
    jail.drop_capabilities()
    private = jail.no_new_privileges()
    files = walls != "none" and private and jail.restrict_files()
    _forget_the_project()
    _silence()
    standing = {
        "namespaces": in_namespaces,
        "landlock": files,
        "seccomp": private and walls != "none" and filter_.known,
    }
    control.sendall(json.dumps(standing).encode())
    # fork(2) itself: one thread, so none of Python's hooks are needed, and a `random` that starts alike in every child
    # makes labels reproducible. PyDLL keeps the lock that a ctypes call would otherwise release.
    fork = ctypes.PyDLL(None).fork
    gc.collect()
    gc.freeze()
    gc.disable()
    _fork_on_demand(control, fork, filter_ if standing["seccomp"] else None, child, jail)


def _fork_on_demand(control, fork, filter_, child, jail) -> None:  # type: ignore[no-untyped-def]
    import array
    import signal
    import socket
    import struct

    head, report = struct.Struct("=cB"), struct.Struct("=iddQ")
    room = socket.CMSG_SPACE(12)
    kill, wait4, close, SIGKILL = os.kill, os.wait4, os.close, int(signal.SIGKILL)
    pid = 0
    while True:
        message, ancillary, _, _ = control.recvmsg(head.size, room)
        if not message:
            os._exit(0)
        what, cpu_s = head.unpack(message)
        if what == b"S":
            fds = array.array("i", ancillary[0][2])
            pid = fork()
            if pid == 0:
                control.close()

                def put_up_walls(cpu_s=cpu_s, filter_=filter_, jail=jail) -> bool:  # type: ignore[no-untyped-def]
                    jail.limit_cpu(cpu_s)
                    return filter_ is None or filter_.install()

                child.run(fds[0], put_up_walls, (fds[1], fds[2]) if len(fds) > 1 else None)
            for fd in fds:
                close(fd)
        elif pid > 0:
            # A zombie until we wait: its number can't belong to somebody else.
            kill(pid, SIGKILL)
            _, status, used = wait4(pid, 0)
            pid = 0
            control.sendall(report.pack(status, used.ru_utime, used.ru_stime, used.ru_maxrss))
        else:
            control.sendall(report.pack(-1, 0.0, 0.0, 0))


def _offer_exit() -> None:
    """`exit()` and `quit()` are the site module's, which -S left out; programs call them."""
    import _sitebuiltins
    import builtins

    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D")


def _forget_the_project() -> None:
    """A candidate imports the standard library and nothing else."""
    sys.path.remove(_ROOT)
    for name in [n for n in sys.modules if n == "engine" or n.startswith("engine.")]:
        del sys.modules[name]
    sys.argv = ["candidate.py"]


def _silence() -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    os.chdir("/")


if __name__ == "__main__":
    main()
