"""One SSH connection to one host, with its key verified and its login done.

Guarantees: a host key that nobody has agreed to is never accepted, and one that changed stops everything with the command
that mends it; every step has a time limit; a server that hangs up after too many keys is called again for the rest; the end
of a command without an exit code is told apart from a lost connection, and neither counts as success.
Does not guarantee: to notice a frozen peer. Paramiko's keepalive can't; whoever keeps a connection needs a heartbeat.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from paramiko.channel import Channel
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    ChannelException,
    IncompatiblePeer,
    SSHException,
)
from paramiko.transport import Transport

from engine.protocol.durable import write_bytes
from remote.known_hosts import KnownKey, Verdict, fingerprint, judge, known_keys
from remote.ssh_config import Target, resolve
from remote.ssh_errors import BadSshConfig, ConnectionLost, HostKeyChanged, HostKeyUnknown, LoginRefused, NoWay, TooOld
from remote.ssh_keys import Agent, AskPassphrase, Candidate, Offered, candidates
from remote.ssh_socket import ProxyProcess, open_tcp

# One step of the way: the address, the greeting, the key exchange, one key.
_STEP_S = 15.0

# A server allows six tries a connection (MaxAuthTries); one is left in reserve.
_KEYS_A_CONNECTION = 5

# Jumps through jumps: beyond this somebody has made a circle.
_MOST_HOPS = 8


@dataclass(frozen=True)
class Presented:
    """A host key that nobody has agreed to yet: what a person has to be shown."""

    alias: str
    known_as: str
    address: str
    key_type: str
    fingerprint: str
    note: str = ""


def _refuse(shown: Presented) -> bool:
    return False


def _no_passphrase(file: Path) -> None:
    return None


@dataclass(frozen=True)
class Person:
    """Who is asked; by default nobody is there, and the answer is no."""

    accept_host_key: Callable[[Presented], bool] = _refuse
    passphrase: AskPassphrase = _no_passphrase


@dataclass(frozen=True)
class Trust:
    """Where agreed host keys are kept besides the user's own known_hosts, which is only read."""

    own_file: Path
    """Ours; keys of launched machines stand here too, under `fractal-<uuid>` (see `remote.host_pins`)."""

    def verdict(self, target: Target, blob: bytes) -> Verdict:
        return judge(known_keys([self.own_file, *target.known_hosts], target.known_as), blob)

    def agree(self, target: Target, key_type: str, base64_key: str) -> None:
        """From now on this key is known; what our file said of the name before is replaced."""
        lines = self._lines_without(target.known_as)
        self.own_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = "\n".join([*lines, f"{target.known_as} {key_type} {base64_key} confirmed"]) + "\n"
        write_bytes(self.own_file, text.encode())

    def _lines_without(self, name: str) -> list[str]:
        try:
            lines = self.own_file.read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines if line.split()[:1] != [name]]


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

    def open_session(self, timeout_s: float = _STEP_S, window_size: int | None = None) -> Channel:
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
                f"Try: ssh -v -J {self.target.alias} {target.alias}"
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


Resolve = Callable[[str], Target]


def connect(
    target: Target,
    trust: Trust,
    person: Person | None = None,
    resolve_hop: Resolve = resolve,
    step_s: float = _STEP_S,
) -> Connection:
    """Connect through whatever lies between, verify the host's key, log in."""
    return _Way(trust, person or Person(), resolve_hop, target.connect_timeout_s or step_s).to(target, ())


@dataclass(frozen=True)
class _Below:
    """What a connection stands on: a socket, a command, or a channel of a jump."""

    pipe: socket.socket | Channel
    parts: list[Closeable]


@dataclass(frozen=True)
class _Way:
    """How to get to a host: passed along the chain of jumps."""

    trust: Trust
    person: Person
    resolve_hop: Resolve
    step_s: float

    def to(self, target: Target, seen: tuple[str, ...]) -> Connection:
        agent = Agent(target.agent_socket)
        try:
            notes = Offered([agent.problem] if agent.problem else [])
            queue = candidates(target, agent, self.person.passphrase, notes)
            return self._log_in(target, seen, queue, notes)
        finally:
            agent.close()

    def _log_in(self, target: Target, seen: tuple[str, ...], keys: Iterator[Candidate], notes: Offered) -> Connection:
        """Offer keys; call again where the server hung up although keys are left."""
        left = next(keys, None)
        while True:
            connection = self._greet(target, seen)
            try:
                offered = 0
                while left is not None and offered < _KEYS_A_CONNECTION and connection.is_active:
                    offered += 1
                    if _accepted(connection, left, notes):
                        return connection
                    left = next(keys, None)
                if left is None:
                    raise _refused(target, notes)
                connection.close()
            except BaseException:
                connection.close()
                raise

    def _greet(self, target: Target, seen: tuple[str, ...]) -> Connection:
        """The connection up to the verified host key."""
        below = self._below(target, seen)
        _keep_paramiko_off_the_screen()
        try:
            transport = Transport(below.pipe)
        except SSHException as error:
            _close_all(below.parts)
            raise NoWay(f"{target.alias}: {error}") from None
        connection = Connection(target, transport, below.parts)
        try:
            self._exchange_keys(target, transport)
        except BaseException:
            connection.close()
            raise
        return connection

    def _below(self, target: Target, seen: tuple[str, ...]) -> _Below:
        if target.proxy_command:
            process = ProxyProcess(target.proxy_command)
            return _Below(process.sock, [process])
        if not target.proxy_jump:
            sock = open_tcp(target, self.step_s)
            return _Below(sock, [sock])
        jump = self._jump(target, (*seen, target.alias))
        try:
            channel = jump.through(target, self.step_s)
        except BaseException:
            jump.close()
            raise
        return _Below(channel, [jump, channel])

    def _jump(self, target: Target, seen: tuple[str, ...]) -> Connection:
        """The last hop, reached through the hops before it; the first one by its own configuration."""
        if len(seen) > _MOST_HOPS:
            raise BadSshConfig(f"ProxyJump goes in a circle: {' → '.join(seen)}. Mend it in ~/.ssh/config")
        *before, last = target.proxy_jump
        hop = self.resolve_hop(last)
        if before:
            hop = replace(hop, proxy_jump=tuple(before), proxy_command=None)
        return self.to(hop, seen)

    def _exchange_keys(self, target: Target, transport: Transport) -> None:
        transport.auth_timeout = self.step_s
        # Longer than the time limit below, so that it is always that one which ends a silence.
        transport.banner_timeout = transport.handshake_timeout = 2 * self.step_s
        _prefer_known_types(transport, [k.key_type for k in self._known(target)])
        try:
            transport.start_client(timeout=self.step_s)
        except IncompatiblePeer as error:
            raise TooOld(
                f"{target.alias} offers nothing that is still safe ({error}). "
                "Its SSH server has to be updated; SHA-1 is not spoken here"
            ) from None
        except (SSHException, EOFError, OSError) as error:
            said = str(error) or "it hung up"
            raise NoWay(
                f"{target.alias}: {target.hostname} port {target.port} answers, but not as an SSH server ({said}). "
                f"Try: ssh -v {target.alias}"
            ) from None
        if not transport.initial_kex_done:
            raise NoWay(
                f"{target.alias}: {target.hostname} port {target.port} takes the connection and says nothing for "
                f"{self.step_s:g} s. Try: ssh -v {target.alias}"
            )
        self._verify(target, transport)

    def _known(self, target: Target) -> list[KnownKey]:
        return known_keys([self.trust.own_file, *target.known_hosts], target.known_as)

    def _verify(self, target: Target, transport: Transport) -> None:
        key = transport.get_remote_server_key()
        verdict = self.trust.verdict(target, key.asbytes())
        if verdict.kind == "known":
            if verdict.because and verdict.because.comment == "injected":
                self.trust.agree(target, key.get_name(), key.get_base64())
            return
        known = verdict.because
        is_unmet = verdict.kind == "changed" and known is not None and known.comment == "injected"
        if verdict.kind != "unknown" and not is_unmet:
            raise _changed(target, verdict, key.get_name(), key.asbytes())
        note = "the image did not take the key made for it, or something stands in between" if is_unmet else ""
        shown = Presented(
            target.alias, target.known_as, f"{target.hostname}:{target.port}", key.get_name(),
            fingerprint(key.asbytes()), note,
        )  # fmt: skip
        if not self.person.accept_host_key(shown):
            raise HostKeyUnknown(
                f"{target.alias}: nobody has agreed to its host key {shown.key_type} {shown.fingerprint}"
                f"{f' ({note})' if note else ''}. Compare it with the machine's own, then agree on screen, "
                f"or log in once with: ssh {target.alias}"
            )
        self.trust.agree(target, key.get_name(), key.get_base64())


def _keep_paramiko_off_the_screen() -> None:
    """Without any handler Python prints the tracebacks that Paramiko logs; what they mean is in our errors."""
    log = logging.getLogger("paramiko")
    if not log.handlers:
        log.addHandler(logging.NullHandler())


def _prefer_known_types(transport: Transport, known: list[str]) -> None:
    """Ask first for the type of key that is known, or a server with several would look changed."""
    options = transport.get_security_options()
    wanted = {"rsa-sha2-512", "rsa-sha2-256"} if "ssh-rsa" in known else set()
    wanted |= set(known)
    options.key_types = sorted(options.key_types, key=lambda name: name not in wanted)


def _changed(target: Target, verdict: Verdict, key_type: str, blob: bytes) -> HostKeyChanged:
    known = verdict.because
    assert known is not None
    if verdict.kind == "revoked":
        return HostKeyChanged(
            f"{target.alias}: its host key {fingerprint(blob)} is REVOKED by {known.file} line {known.line}. Do not connect"
        )
    return HostKeyChanged(
        f"{target.alias}: ANOTHER host key than the one agreed to. {target.known_as} was {known.key_type} "
        f"{fingerprint(known.blob)} ({known.file} line {known.line}) and is now {key_type} {fingerprint(blob)}. "
        f"Nothing was sent. If you know why (a reinstalled machine): ssh-keygen -R '{target.known_as}' -f '{known.file}'"
    )


def _accepted(connection: Connection, candidate: Candidate, notes: Offered) -> bool:
    target = connection.target
    notes.words.append(candidate.words)
    try:
        more = connection.transport.auth_publickey(target.user, candidate.key)
    except BadAuthenticationType as error:
        raise LoginRefused(
            f"{target.alias}: {target.user}@{target.hostname} takes no keys, only: {', '.join(error.allowed_types)}. "
            f"Allow keys in its sshd_config: PubkeyAuthentication yes"
        ) from None
    except AuthenticationException:
        return False
    except (SSHException, EOFError, OSError, AttributeError) as error:
        # An agent that went away or a key type that the agent signs in a way of its own: the next key may do.
        notes.words[-1] += f" ({error or type(error).__name__})"
        return False
    if more:
        raise LoginRefused(
            f"{target.alias}: {target.hostname} wants {', '.join(more)} besides the key, which needs a person. "
            f"Open a connection that is shared (ControlMaster) with: ssh {target.alias}"
        )
    return True


def _refused(target: Target, notes: Offered) -> LoginRefused:
    return LoginRefused(
        f"{target.alias}: {target.user}@{target.hostname} refused every key. Offered: {notes}. "
        f"Check the user and IdentityFile in ~/.ssh/config, or add the key: ssh-copy-id {target.alias}"
    )


def _close_all(parts: Sequence[Closeable]) -> None:
    for part in reversed(parts):
        part.close()
