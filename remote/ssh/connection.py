"""An open, verified, authenticated connection: commands on it, and channels through it.

Guarantees: stdout, stderr and stdin of a command are moved side by side under one deadline, so none can block the others; the
end of a command without an exit code is told apart from a lost connection, and neither counts as success.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from paramiko.channel import Channel
from paramiko.ssh_exception import ChannelException, SSHException
from paramiko.transport import Transport

from remote.ssh.config import Target
from remote.ssh.errors import ConnectionLost, NoWay

# One step of the way: the address, the greeting, the key exchange, one key, a channel.
STEP_S = 15.0


@dataclass(frozen=True)
class Completed:
    """A command that ended."""

    exit_code: int | None
    """None: ended by a signal, or the server gave none."""
    stdout: bytes
    stderr: bytes


class Closeable(Protocol):
    """A part of the way that has to be let go."""

    def close(self) -> None: ...


class Connection:
    """An open, verified, authenticated connection. `close()` closes its jumps too."""

    def __init__(self, target: Target, transport: Transport, below: Sequence[Closeable]) -> None:
        self.target = target
        self.transport = transport
        self._below = below

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_active(self) -> bool:
        return self.transport.is_active()

    def close(self) -> None:
        self.transport.close()
        for part in reversed(self._below):
            part.close()

    def open_session(self, timeout_s: float = STEP_S, window_size: int | None = None) -> Channel:
        """A channel for one command; a large window for bulk, the default for the rest."""
        try:
            return self.transport.open_session(window_size=window_size, timeout=timeout_s)
        except (SSHException, EOFError, OSError) as error:
            raise self._lost(error) from None

    def run(self, command: str, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """Run a short command to its end; stdout and stderr are drained side by side, so neither can block the other."""
        channel = self.open_session()
        deadline = time.monotonic() + timeout_s
        stderr: list[bytes] = []
        try:
            channel.exec_command(command)
            channel.settimeout(timeout_s)
            threads = [
                threading.Thread(target=_drain, args=(channel.recv_stderr, stderr), daemon=True),
                threading.Thread(target=_feed, args=(channel, stdin), daemon=True),
            ]
            for thread in threads:
                thread.start()
            stdout = _read_all(channel, deadline)
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            return self._completed(channel, deadline, stdout, b"".join(stderr))
        except TimeoutError:
            raise NoWay(f"{self.target.alias}: `{_short(command)}` did not end within {timeout_s:.0f} s") from None
        except (SSHException, EOFError, OSError) as error:
            raise self._lost(error) from None
        finally:
            channel.close()

    def _completed(self, channel: Channel, deadline: float, stdout: bytes, stderr: bytes) -> Completed:
        channel.status_event.wait(max(0.1, deadline - time.monotonic()))
        code = channel.exit_status
        if code < 0 and not self.transport.is_active():
            raise ConnectionLost(f"{self.target.alias}: the connection was lost; what ran there goes on")
        return Completed(None if code < 0 else code, stdout, stderr)

    def through(self, target: Target, timeout_s: float) -> Channel:
        """A channel from this host to another one: what a jump is."""
        there = f"{target.hostname} port {target.port}"
        try:
            return self.transport.open_channel(
                "direct-tcpip", (target.hostname, target.port), ("127.0.0.1", 0), timeout=timeout_s
            )
        except ChannelException as error:
            raise NoWay(f"{self.target.alias} can't reach {there} for {target.alias} ({error.text})") from None
        except (SSHException, EOFError, OSError):
            raise NoWay(
                f"the jump over {self.target.alias} to {there} gave no answer in {timeout_s:.0f} s. "
                f"Try: ssh -v -J {self.target.as_hop} {target.typed}"
            ) from None

    def _lost(self, error: BaseException) -> ConnectionLost:
        return ConnectionLost(f"{self.target.alias}: the connection was lost ({str(error) or type(error).__name__})")


def _drain(read: Callable[[int], bytes], into: list[bytes]) -> None:
    with contextlib.suppress(OSError, SSHException):
        while data := read(1 << 16):
            into.append(data)


def _feed(channel: Channel, data: bytes) -> None:
    # A command may end without reading its input.
    with contextlib.suppress(OSError, SSHException):
        channel.sendall(data)
        channel.shutdown_write()


def _read_all(channel: Channel, deadline: float) -> bytes:
    parts: list[bytes] = []
    while True:
        channel.settimeout(max(0.01, deadline - time.monotonic()))
        data = channel.recv(1 << 16)
        if not data:
            return b"".join(parts)
        parts.append(data)


def _short(command: str) -> str:
    return command if len(command) <= 60 else command[:57] + "…"
