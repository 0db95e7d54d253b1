"""One SSH connection to one host, with its key verified and its login done.

Guarantees: a host key that nobody has agreed to is never accepted, and one that changed stops everything with the command
that mends it; every step has a time limit; a server that hangs up after too many keys is called again for the rest; the end
of a command without an exit code is told apart from a lost connection, and neither counts as success.
Does not guarantee: to notice a frozen peer. Paramiko's keepalive can't; whoever keeps a connection needs a heartbeat.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from paramiko.channel import Channel
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    IncompatiblePeer,
    SSHException,
)
from paramiko.transport import Transport

from remote.ssh.config import Target, resolve
from remote.ssh.connection import STEP_S, Closeable, Connection
from remote.ssh.errors import BadSshConfig, HostKeyChanged, HostKeyUnknown, LoginRefused, NoWay, TooOld
from remote.ssh.keys import Agent, Candidate, Offered, candidates
from remote.ssh.known_hosts import KnownKey, Verdict, fingerprint, known_keys
from remote.ssh.pins import INJECTED
from remote.ssh.trust import Person, Presented, Trust
from remote.ssh.wire import ProxyProcess, open_tcp

# A server allows six tries a connection (MaxAuthTries); one is left in reserve.
_KEYS_A_CONNECTION = 5

# Jumps through jumps: beyond this somebody has made a circle.
_MOST_HOPS = 8


Resolve = Callable[[str], Target]


def connect(
    target: Target,
    trust: Trust,
    person: Person | None = None,
    resolve_hop: Resolve = resolve,
    step_s: float = STEP_S,
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
        """Offer keys; call again where the server hung up although keys are left.

        A key that got no answer before the line went dead was not refused: it is offered once more, first on a new line. A
        server that hangs up on the same key twice means it.
        """
        left = next(keys, None)
        unanswered: Candidate | None = None
        while True:
            connection = self._greet(target, seen)
            try:
                offered = 0
                while left is not None and offered < _KEYS_A_CONNECTION and connection.is_active:
                    offered += 1
                    if _accepted(connection, left, notes):
                        return connection
                    if not connection.is_active and left is not unanswered:
                        unanswered = left
                        notes.words.pop()
                        break
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
        _prefer_one_pass(transport)
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
                f"Try: ssh -v {target.typed}"
            ) from None
        if not transport.initial_kex_done:
            raise NoWay(
                f"{target.alias}: {target.hostname} port {target.port} takes the connection and says nothing for "
                f"{self.step_s:g} s. Try: ssh -v {target.typed}"
            )
        self._verify(target, transport)

    def _known(self, target: Target) -> list[KnownKey]:
        return known_keys([self.trust.own_file, *target.known_hosts], target.known_as)

    def _verify(self, target: Target, transport: Transport) -> None:
        key = transport.get_remote_server_key()
        verdict = self.trust.verdict(target, key.asbytes())
        if verdict.kind == "known":
            if verdict.because and verdict.because.comment == INJECTED:
                self.trust.agree(target, key.get_name(), key.get_base64())
            return
        known = verdict.because
        is_unmet = verdict.kind == "changed" and known is not None and known.comment == INJECTED
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
                f"or log in once with: ssh {target.typed}"
            )
        self.trust.agree(target, key.get_name(), key.get_base64())


def _prefer_one_pass(transport: Transport) -> None:
    """AES-GCM where both sides have it: encrypted and signed in one pass, a quarter less of this machine's time in a pull."""
    options = transport.get_security_options()
    options.ciphers = sorted(options.ciphers, key=lambda name: "gcm" not in name)


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
        notes.words[-1] += f" ({str(error) or type(error).__name__})"
        connection.transport.join(0.5)  # or the line broke: its thread looks ten times a second
        return False
    if more:
        raise LoginRefused(
            f"{target.alias}: {target.hostname} wants {', '.join(more)} besides the key, which needs a person. "
            f"Open a connection that is shared (ControlMaster) with: ssh {target.typed}"
        )
    return True


def _refused(target: Target, notes: Offered) -> LoginRefused:
    return LoginRefused(
        f"{target.alias}: {target.user}@{target.hostname} refused every key. Offered: {notes}. "
        f"Check the user and IdentityFile in ~/.ssh/config, or add the key: ssh-copy-id {target.typed}"
    )


def _close_all(parts: Sequence[Closeable]) -> None:
    for part in reversed(parts):
        part.close()
