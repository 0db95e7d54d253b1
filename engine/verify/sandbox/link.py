"""The judge's end of a zygote: start one, start and end children in it, talk to the child.

A zygote that dies, answers nonsense or cannot put its walls up is `SandboxBroken`, always.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from engine.verify.sandbox import frames
from engine.verify.sandbox.verdict import SandboxBroken

_ZYGOTE = Path(__file__).with_name("zygote.py")
_HEAD, _REPORT = struct.Struct("=cB"), struct.Struct("=iddQ")
_START_S = 60.0  # a zygote starts in 0.2 s; sixty on a box that is swamped
_ANSWER_S = 60.0


@dataclass(frozen=True)
class Standing:
    """The walls that stand around a zygote and its children."""

    namespaces: bool
    landlock: bool
    seccomp: bool


@dataclass(frozen=True)
class Report:
    """How a child ended."""

    status: int
    cpu_s: float
    maxrss_kb: int

    @property
    def signal(self) -> int:
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else 0

    @property
    def exit_code(self) -> int | None:
        return os.WEXITSTATUS(self.status) if os.WIFEXITED(self.status) else None


class Zygote:
    """One zygote process. Use it from one thread."""

    def __init__(self, memory_bytes: int, walls: str = "all") -> None:
        """`walls`: `all`, `landlock` (no namespaces) or `none` (the user's explicit --unsafe)."""
        ours, theirs = socket.socketpair()
        ours.settimeout(_START_S)
        self._control = ours
        self._process = subprocess.Popen(
            [_base_python(), "-I", "-S", "-W", "ignore", str(_ZYGOTE), str(theirs.fileno()), str(memory_bytes), walls],
            pass_fds=[theirs.fileno()],
            env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
        )
        theirs.close()
        self.standing = self._await_ready()
        self._running = False

    def _await_ready(self) -> Standing:
        try:
            said = self._control.recv(4096)
        except TimeoutError:
            said = b""
        if not said:
            self._process.kill()
            _, errors = self._process.communicate()
            last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise SandboxBroken(f"the sandbox's zygote did not start: {last[0]}")
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._control.settimeout(_ANSWER_S)
        return Standing(**json.loads(said))

    def start(self, cpu_s: int, most: int, script_fds: tuple[int, ...] = ()) -> Child:
        """Fork a child; it waits for its request. `script_fds`: standard input and output of a program that prints."""
        if self._running:
            self.end()
        ours, theirs = socket.socketpair()
        fds = [theirs.fileno(), *script_fds]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        try:
            self._control.sendmsg([_HEAD.pack(b"S", min(cpu_s, 255))], rights)
        except OSError as error:
            ours.close()
            raise self._broken(error) from None
        finally:
            theirs.close()
        self._running = True
        return Child(ours, most)

    def end(self) -> Report:
        """Kill the child if it still runs; how it ended."""
        self._running = False
        try:
            self._control.sendall(_HEAD.pack(b"E", 0))
            data = self._control.recv(_REPORT.size, socket.MSG_WAITALL)
        except OSError as error:
            raise self._broken(error) from None
        if len(data) < _REPORT.size:
            raise self._broken(None)
        status, user, system, maxrss = _REPORT.unpack(data)
        if status == -1:
            raise SandboxBroken("the zygote could not fork: is the machine out of processes or memory?")
        return Report(status, user + system, maxrss)

    def _broken(self, error: OSError | None) -> SandboxBroken:
        code = self._process.poll()
        state = f"it ended with {code}" if code is not None else "it still runs"
        return SandboxBroken(f"the sandbox's zygote stopped answering ({state}{f'; {error}' if error else ''})")

    def close(self) -> None:
        """The zygote ends when its line is cut; one that doesn't is killed, and its namespace with it."""
        self._control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Child:
    """The conversation with one child."""

    def __init__(self, sock: socket.socket, most: int) -> None:
        self._sock = sock
        self._reader = frames.Reader(sock.fileno(), most)

    def send(self, payload: bytes, deadline: float) -> None:
        """A request; frames.Late when a child takes no more of it in time."""
        if len(payload) < 100_000:  # fits into an empty socket buffer: no need for a timer
            frames.send(self._sock.fileno(), payload)
            return
        self._sock.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            self._sock.sendall(struct.pack("!I", len(payload)) + payload)
        except TimeoutError:
            raise frames.Late from None
        except (BrokenPipeError, ConnectionResetError):
            raise frames.Closed from None
        finally:
            self._sock.setblocking(True)

    def receive(self, deadline: float) -> bytes:
        return self._reader.next(deadline)

    def close(self) -> None:
        self._sock.close()


def _base_python() -> str:
    """The interpreter beneath a virtual environment: its path holds no site-packages of ours."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)
