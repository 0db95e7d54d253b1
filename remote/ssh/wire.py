"""The socket under an SSH connection: direct, through jumps' channels (`remote.ssh.connect`), or behind a ProxyCommand.

Our own socket, because Paramiko's has neither of these: TCP_NODELAY (a small request is 19 times faster on a near host),
SO_KEEPALIVE, and TCP_USER_TIMEOUT, so that what was sent and never acknowledged ends the connection instead of hanging it.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess

from remote.ssh.config import Target
from remote.ssh.errors import NoWay

# Unacknowledged data for this long means that the way is gone; a mobile network's pause is shorter.
_USER_TIMEOUT_MS = 20_000
_KEEPALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4}


def open_tcp(target: Target, timeout_s: float) -> socket.socket:
    """A tuned connection to the first of the host's addresses that answers."""
    errors: list[str] = []
    for family, kind, protocol, _, address in _addresses(target):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(timeout_s)
            sock.connect(address)
        except OSError as error:
            sock.close()
            errors.append(f"{address[0]}: {_reason(error, timeout_s)}")
            continue
        tune(sock)
        return sock
    raise NoWay(
        f"{target.alias}: {target.hostname} port {target.port} does not answer ({'; '.join(errors)}). "
        f"Is it running, and is this network allowed to reach it? Try: ssh -v {target.typed}"
    )


def _addresses(target: Target) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]]:
    try:
        found = socket.getaddrinfo(target.hostname, target.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        said = error.strerror if isinstance(error, socket.gaierror) else "no host name"
        raise NoWay(
            f"{target.alias}: no address for {target.hostname!r} ({said}). "
            "Check the name in ~/.ssh/config, and whether this computer is online"
        ) from None
    return found  # type: ignore[return-value]


def _reason(error: OSError, timeout_s: float) -> str:
    return (
        f"no answer in {timeout_s:.0f} s" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
    )


def tune(sock: socket.socket) -> None:
    """Set what this system knows of the options above."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {**_KEEPALIVE, "TCP_USER_TIMEOUT": _USER_TIMEOUT_MS}.items():
        option = getattr(socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, option, value)


class ProxyProcess:
    """A ProxyCommand: a shell command whose stdin and stdout are the connection."""

    def __init__(self, command: str) -> None:
        self.sock, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                f"exec {command}",
                shell=True,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
            )
        finally:
            theirs.close()

    def close(self) -> None:
        self.sock.close()
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
