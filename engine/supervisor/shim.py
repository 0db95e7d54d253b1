"""The thin process around a command: starts it, waits for it, writes its exit code.

It exists so that a killed supervisor loses nothing. The supervisor forks it; it makes its own session, so it is neither in
the supervisor's nor in the command's process group, and it ignores the polite signals. The command writes its output to the
log itself. If the supervisor is gone when the command ends, the shim finishes the run in its place.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.protocol.durable import disk_full, write_json
from engine.protocol.identity import identify
from engine.protocol.layout import RunPaths
from engine.protocol.spec import RunSpec
from engine.protocol.version import VERSION

_PR_SET_CHILD_SUBREAPER = 36
_RESULT_POLL_S = 0.05  # the shim costs nothing while it waits, and is gone soon after the result
_LEFT_BEHIND_GRACE_S = 2.0  # what a command leaves running gets this long to end by itself


def adopt_orphans() -> None:
    """Grandchildren whose parent dies become ours, so that their end is seen (Linux; elsewhere nothing happens)."""
    try:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (OSError, AttributeError):
        pass


def run(
    paths: RunPaths, spec: RunSpec, env: dict[str, str], slots: list[int], tell: int, finish: Callable[[], object]
) -> None:
    """The shim's whole life; never returns to the supervisor's code."""
    supervisor = os.getppid()
    os.setsid()
    adopt_orphans()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)
    me = {"v": VERSION, "shim": identify().to_json()}
    write_started(paths, me)
    if os.getppid() != supervisor:  # killed before anybody could know of us: nothing may start unseen
        return
    try:
        command = start(paths, spec, env, slots, me)
    except OSError as error:
        write_exit(paths, {"code": 127, "error": start_error(spec, error), "ended": time.time()})
        os.write(tell, json.dumps({"error": start_error(spec, error)}).encode() + b"\n")
        return
    message = {**me, "command": identify_or_gone(command.pid)}
    os.write(tell, json.dumps(message).encode() + b"\n")
    write_exit(paths, wait(command.pid))
    for fd in (*slots, tell):
        os.close(fd)
    # The supervisor records the end; should it be killed before it has, we do.
    while os.getppid() == supervisor:
        if (
            paths.result.exists() or not paths.folder.exists()
        ):  # the supervisor waits for us: no folder, nothing to wait for
            return
        time.sleep(_RESULT_POLL_S)
    if not paths.result.exists():
        finish()


def write_started(paths: RunPaths, value: dict[str, Any]) -> None:
    """started.json; a full disk loses it, not the run (the supervisor tells the same in status.json)."""
    try:
        write_json(paths.started, value)
    except OSError as error:
        if not disk_full(error):
            raise


def identify_or_gone(pid: int) -> dict[str, Any]:
    """The command's identity; one that has already ended keeps its pid with a start that matches nothing."""
    try:
        return identify(pid).to_json()
    except ProcessLookupError:
        return {"pid": pid, "start": "ended", "boot": ""}


def start(
    paths: RunPaths, spec: RunSpec, env: dict[str, str], slots: list[int], me: dict[str, Any]
) -> subprocess.Popen[bytes]:
    """Start the command in its own session with its output appended to the log."""
    shim = os.getpid()
    log = os.open(paths.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        return subprocess.Popen(
            spec.argv,
            cwd=spec.cwd,
            env=env,
            stdin=nothing,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=slots,
            preexec_fn=lambda: _as_a_command(paths, me, shim),
        )
    finally:
        os.close(log)
        os.close(nothing)


def _as_a_command(paths: RunPaths, me: dict[str, Any], shim: int) -> None:
    """In the child, before it becomes the command: it tells who it is, so that it never runs unknown."""
    write_started(paths, {**me, "command": identify().to_json()})
    if os.getppid() != shim:
        os._exit(126)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2, signal.SIGPIPE):
        signal.signal(signum, signal.SIG_DFL)
    try:  # when memory runs out the command is to die, not its supervisor
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        os.write(fd, b"500")
        os.close(fd)
    except OSError:
        pass


def start_error(spec: RunSpec, error: OSError) -> str:
    """Why the command could not be started, and what to do."""
    program = spec.argv[0]
    if not Path(spec.cwd).is_dir():
        return f"the folder {spec.cwd} is not there"
    if error.errno == errno.ENOENT:
        return f"{program}: no such command on this host; install it, or mend `run:` of step {spec.step}"
    if error.errno == errno.EACCES:
        return f"{program}: not executable"
    return f"{program} could not be started: {error.strerror or error}"


def wait(pid: int) -> dict[str, Any]:
    """Wait for the command, end what it left behind in its group, and return how it ended."""
    while True:
        seen = os.waitid(
            os.P_ALL, 0, os.WEXITED | os.WNOWAIT
        )  # look first: the group's name is kept until it is reaped
        if seen is not None and seen.si_pid == pid:
            break
        if seen is not None:
            os.waitpid(seen.si_pid, 0)
    end_left_behind(pid)
    _, status, usage = os.wait4(pid, 0)
    signum = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    return {
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": signal_name(signum) if signum else None,
        "ended": time.time(),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "max_rss_kb": usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1),
    }


def signal_name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:  # real-time signals have no names
        return f"signal {signum}"


def end_left_behind(group: int) -> None:
    """A run ends with its command: processes that it left in its group get SIGTERM, then SIGKILL; so do a dead torchrun's."""
    from engine.supervisor.ladder import adopted_ranks, members, send_to_group

    for rank in adopted_ranks(os.getpid()):
        send_to_group(rank, signal.SIGKILL)
    if not [p for p in members(group) if p != group]:
        return
    send_to_group(group, signal.SIGTERM)
    limit = time.monotonic() + _LEFT_BEHIND_GRACE_S
    while time.monotonic() < limit and [p for p in members(group) if p != group]:
        time.sleep(0.02)
    send_to_group(group, signal.SIGKILL)


def write_exit(paths: RunPaths, value: dict[str, Any]) -> None:
    """exit.json, with the reserve freed if the disk is full."""
    write_last(paths, paths.exit, {"v": VERSION, **value})


def write_last(paths: RunPaths, path: Path, value: dict[str, Any]) -> None:
    """Write what must not be lost: on a full disk the reserve makes room for it."""
    for attempt in range(2):
        try:
            write_json(path, value)
            return
        except OSError as error:
            if not disk_full(error) or attempt:
                raise
            paths.reserve.unlink(missing_ok=True)
