"""The connection layer against a real OpenSSH server that the test starts."""

from __future__ import annotations

import getpass
import os
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from paramiko import Transport

from remote.ssh.config import Target, resolve
from remote.ssh.connect import connect
from remote.ssh.connection import Completed, Connection
from remote.ssh.errors import (
    BadSshConfig,
    ConnectionLost,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    NoWay,
)
from remote.ssh.pins import INJECTED, Pins, alias_of, new_host_key
from remote.ssh.trust import Person, Presented, Trust
from tests.remote.sshd import Sshd, free_port, make_key, needs_sshd

pytestmark = needs_sshd


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    return {
        "good": make_key(folder / "good"),
        "locked": make_key(folder / "locked", passphrase="open sesame"),
        "bad": make_key(folder / "bad"),
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Path]) -> Iterator[Sshd]:
    users = [keys["good"], keys["locked"]]
    with Sshd(tmp_path_factory.mktemp("sshd"), users, ("ed25519", "ecdsa", "rsa")) as server:
        yield server


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return Trust(tmp_path / "own_known_hosts")


@pytest.fixture
def target(server: Sshd, keys: dict[str, Path], tmp_path: Path) -> Target:
    """The server with its key known."""
    known = tmp_path / "known_hosts"
    known.write_text(f"{server.known_as} {server.host_public()}\n")
    return Target(
        "box", "127.0.0.1", server.port, getpass.getuser(), (keys["good"],), known_hosts=(known,), agent_socket=None
    )


@pytest.fixture
def connection(target: Target, trust: Trust) -> Iterator[Connection]:
    with connect(target, trust) as connection:
        yield connection


# Commands


def test_a_command_gives_its_code_and_both_its_outputs(connection: Connection) -> None:
    done = connection.run("cat; echo oops >&2; exit 3", stdin=b"hello")
    assert done == Completed(3, b"hello", b"oops\n")


def test_much_on_both_outputs_at_once_does_not_block(connection: Connection) -> None:
    done = connection.run("head -c 5000000 /dev/zero >&2 & head -c 5000000 /dev/zero; wait")
    assert (done.exit_code, len(done.stdout), len(done.stderr)) == (0, 5_000_000, 5_000_000)


def test_a_command_that_does_not_read_its_input_ends_all_the_same(connection: Connection) -> None:
    assert connection.run("true", stdin=b"x" * 8_000_000).exit_code == 0


def test_a_command_ended_by_a_signal_has_no_code(connection: Connection) -> None:
    assert connection.run("kill -9 $$").exit_code is None


def test_a_command_that_takes_too_long_says_so(connection: Connection) -> None:
    with pytest.raises(NoWay, match="`sleep 60` did not end within 0 s"):
        connection.run("sleep 60", timeout_s=0.3)


def test_a_connection_cut_under_a_command_is_lost_and_not_finished(connection: Connection) -> None:
    pid = int(connection.run("echo $PPID").stdout)
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(ConnectionLost):
        connection.run("echo begun; sleep 30")


def test_the_cipher_is_one_that_signs_in_the_same_pass(connection: Connection) -> None:
    assert connection.transport.remote_cipher == "aes128-gcm@openssh.com"


def test_a_server_without_it_is_entered_with_what_it_has(
    tmp_path: Path, target: Target, trust: Trust, keys: dict[str, Path]
) -> None:
    with Sshd(tmp_path / "old", [keys["good"]], options=["Ciphers aes256-ctr"]) as server:
        known = tmp_path / "known"
        known.write_text(f"{server.known_as} {server.host_public()}\n")
        old = replace(target, port=server.port, known_hosts=(known,), host_key_alias=server.known_as)
        with connect(old, trust) as connection:
            assert connection.run("echo in").stdout == b"in\n"


def test_the_socket_is_tuned(connection: Connection) -> None:
    sock = connection.transport.sock
    assert isinstance(sock, socket.socket)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000


# Host keys


def test_an_unknown_host_key_is_not_accepted_when_nobody_is_asked(target: Target, trust: Trust) -> None:
    with pytest.raises(HostKeyUnknown, match="SHA256:"):
        connect(replace(target, known_hosts=()), trust)
    assert not trust.own_file.exists()


def test_a_person_is_asked_once_and_shown_the_fingerprint_that_openssh_shows(
    target: Target, trust: Trust, server: Sshd
) -> None:
    shown: list[Presented] = []

    def agree(presented: Presented) -> bool:
        shown.append(presented)
        return True

    for _ in range(2):
        connect(replace(target, known_hosts=()), trust, Person(agree)).close()
    listed = subprocess.run(
        ["ssh-keygen", "-lf", str(server.folder / "host_ed25519.pub")], capture_output=True, text=True, check=True
    )
    assert [p.fingerprint for p in shown] == [listed.stdout.split()[1]]


def test_a_key_known_to_the_user_asks_nobody_and_writes_nothing(target: Target, trust: Trust) -> None:
    connect(target, trust).close()
    assert not trust.own_file.exists()


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_server_with_several_keys_is_known_by_any_of_them(
    target: Target, trust: Trust, server: Sshd, kind: str
) -> None:
    target.known_hosts[0].write_text(f"{server.known_as} {server.host_public(kind)}\n")
    connect(target, trust).close()


def test_a_changed_key_stops_and_names_the_command_that_mends_it(target: Target, trust: Trust, server: Sshd) -> None:
    target.known_hosts[0].write_text(f"{server.known_as} {new_host_key().public}\n")
    with pytest.raises(HostKeyChanged, match="ANOTHER host key") as caught:
        connect(target, trust, Person(lambda shown: True))
    command = str(caught.value).rpartition(": ")[2]
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    with pytest.raises(HostKeyUnknown):
        connect(target, trust)


def test_a_revoked_key_is_refused_even_if_it_is_also_known(target: Target, trust: Trust, server: Sshd) -> None:
    with target.known_hosts[0].open("a") as file:
        file.write(f"@revoked * {server.host_public()}\n")
    with pytest.raises(HostKeyChanged, match="REVOKED"):
        connect(target, trust)


def test_a_reused_address_is_neither_an_alarm_nor_a_hole(target: Target, trust: Trust, server: Sshd) -> None:
    pins = Pins(trust.own_file)
    pins.put("new", server.host_public(), INJECTED)
    pins.put("old", new_host_key().public, "confirmed")
    connect(replace(target, host_key_alias=alias_of("new")), trust).close()
    with pytest.raises(HostKeyChanged, match="fractal-old"):
        connect(replace(target, host_key_alias=alias_of("old")), trust)


def test_an_injected_key_is_confirmed_by_the_first_connection(target: Target, trust: Trust, server: Sshd) -> None:
    pins = Pins(trust.own_file)
    pins.put("u1", server.host_public(), INJECTED)
    connect(replace(target, host_key_alias=alias_of("u1")), trust).close()
    pin = pins.get("u1")
    assert pin
    assert pin.origin == "confirmed"


def test_an_image_that_did_not_take_the_injected_key_is_asked_about_once(target: Target, trust: Trust) -> None:
    Pins(trust.own_file).put("u1", new_host_key().public, INJECTED)
    shown: list[Presented] = []

    def agree(presented: Presented) -> bool:
        shown.append(presented)
        return True

    there = replace(target, host_key_alias=alias_of("u1"))
    with pytest.raises(HostKeyUnknown, match="did not take the key"):
        connect(there, trust)
    connect(there, trust, Person(agree)).close()
    connect(there, trust).close()
    assert ["did not take" in p.note for p in shown] == [True]


def test_openssh_itself_trusts_the_pin_file(target: Target, trust: Trust, server: Sshd) -> None:
    Pins(trust.own_file).put("u1", server.host_public(), INJECTED)
    options = {
        "UserKnownHostsFile": trust.own_file, "GlobalKnownHostsFile": "/dev/null", "HostKeyAlias": alias_of("u1"),
        "StrictHostKeyChecking": "yes", "IdentitiesOnly": "yes", "IdentityFile": target.identity_files[0],
        "BatchMode": "yes",
    }  # fmt: skip
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    done = subprocess.run(["ssh", "-F", "none", *flags, "-p", str(server.port), "127.0.0.1", "exit 7"])
    assert done.returncode == 7


# Keys


def test_a_line_that_breaks_while_a_key_is_shown_is_no_refusal(
    target: Target, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Transport] = []
    show = Transport.auth_publickey

    def breaks_at_first(self: Transport, *given: Any, **more: Any) -> Any:
        shown.append(self)
        if len(shown) == 1:
            self.sock.close()
        return show(self, *given, **more)

    monkeypatch.setattr(Transport, "auth_publickey", breaks_at_first)
    with connect(target, trust) as connection:
        assert connection.run("echo in").stdout == b"in\n"
    assert len(shown) == 2


def test_a_key_with_a_passphrase_is_asked_for(target: Target, trust: Trust, keys: dict[str, Path]) -> None:
    asked: list[Path] = []

    def passphrase(file: Path) -> str:
        asked.append(file)
        return "wrong" if len(asked) == 1 else "open sesame"

    connect(replace(target, identity_files=(keys["locked"],)), trust, Person(passphrase=passphrase)).close()
    assert asked == [keys["locked"]] * 2


def test_nobody_is_asked_for_a_passphrase_while_another_key_works(
    target: Target, trust: Trust, keys: dict[str, Path]
) -> None:
    def passphrase(file: Path) -> str:
        raise AssertionError("asked")

    files = (keys["locked"], keys["good"])
    connect(replace(target, identity_files=files), trust, Person(passphrase=passphrase)).close()


def test_a_refused_login_says_what_was_offered_and_what_to_do(
    target: Target, trust: Trust, keys: dict[str, Path]
) -> None:
    files = (keys["bad"], keys["locked"])
    with pytest.raises(LoginRefused, match=r"Offered: .*bad, .*ssh-add .*locked.*ssh-copy-id box"):
        connect(replace(target, identity_files=files), trust)


def test_a_key_file_that_is_none_is_named_and_passed_over(target: Target, trust: Trust, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_text("not a key\n")
    connect(replace(target, identity_files=(junk, *target.identity_files)), trust).close()
    with pytest.raises(LoginRefused, match="junk"):
        connect(replace(target, identity_files=(junk,)), trust)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield path
    process.terminate()
    process.wait()
    process.stdout.close()


def add_to(agent: str, *files: Path) -> None:
    argv = ["ssh-add", "-q", *map(str, files)]
    subprocess.run(argv, env={**os.environ, "SSH_AUTH_SOCK": agent}, check=True)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("many")
    return [make_key(folder / f"k{n:02d}") for n in range(11)]


def test_a_full_agent_does_not_use_up_the_patience_of_the_server(
    target: Target, trust: Trust, agent: str, many: list[Path], keys: dict[str, Path], server: Sshd
) -> None:
    add_to(agent, *many, keys["good"])
    before = server.log.read_text()
    connect(replace(target, identity_files=(), agent_socket=agent), trust).close()
    log = server.log.read_text().removeprefix(before)
    assert log.count("Accepted publickey") == 1
    assert "Too many authentication failures" not in log  # what a ban on a rude client would look for


def test_identities_only_offers_the_named_key_alone(
    target: Target, trust: Trust, agent: str, many: list[Path], keys: dict[str, Path]
) -> None:
    add_to(agent, *many, keys["good"])
    only = replace(target, identity_files=(keys["bad"],), agent_socket=agent, identities_only=True)
    with pytest.raises(LoginRefused) as caught:
        connect(only, trust)
    assert "k00" not in str(caught.value)


def test_a_key_that_lives_in_the_agent_is_named_by_its_public_half(
    target: Target, trust: Trust, agent: str, keys: dict[str, Path], tmp_path: Path
) -> None:
    add_to(agent, keys["good"])
    half = tmp_path / "token.pub"
    half.write_text(keys["good"].with_name("good.pub").read_text())
    only = replace(target, identity_files=(half,), agent_socket=agent, identities_only=True)
    connect(only, trust).close()


def test_an_agent_that_is_gone_leaves_the_files(target: Target, trust: Trust, tmp_path: Path) -> None:
    connect(replace(target, agent_socket=str(tmp_path / "gone")), trust).close()


def test_a_server_that_takes_no_keys_says_what_it_takes(tmp_path: Path, trust: Trust, keys: dict[str, Path]) -> None:
    with Sshd(tmp_path / "sshd", [keys["good"]], options=["PubkeyAuthentication no"]) as server:
        there = Target("box", "127.0.0.1", server.port, getpass.getuser(), (keys["good"],))
        with pytest.raises(LoginRefused, match=r"takes no keys, only: .*PubkeyAuthentication yes"):
            connect(there, trust, Person(lambda shown: True))


# The way


@pytest.fixture
def config(tmp_path: Path, server: Sshd, keys: dict[str, Path]) -> Path:
    known = tmp_path / "known_hosts"
    known.write_text(f"{server.known_as} {server.host_public()}\n")
    common = (f"UserKnownHostsFile {known}", "IdentityAgent none", "IdentitiesOnly yes")
    closed = f"Host closed\n  HostName 127.0.0.1\n  Port {free_port()}\n  ProxyJump one\n"
    file = tmp_path / "config"
    file.write_text(
        server.config_entry("one", keys["good"], *common)
        + server.config_entry("two", keys["good"], "ProxyJump one", *common)
        + server.config_entry("three", keys["good"], "ProxyJump two", *common)
        + server.config_entry("listed", keys["good"], "ProxyJump one,two", *common)
        + server.config_entry("piped", keys["good"], f"ProxyCommand ssh -F {file} -W %h:%p one", *common)
        + server.config_entry("circle", keys["good"], "ProxyJump circle2", *common)
        + server.config_entry("circle2", keys["good"], "ProxyJump circle", *common)
        + closed
    )
    return file


@pytest.mark.parametrize("alias", ["two", "three", "listed", "piped"])
def test_a_host_behind_others_is_reached(config: Path, trust: Trust, alias: str) -> None:
    read = partial(resolve, config=config)
    with connect(read(alias), trust, resolve_hop=read) as connection:
        assert connection.run("echo there").stdout == b"there\n"


def test_jumps_in_a_circle_are_named(config: Path, trust: Trust) -> None:
    read = partial(resolve, config=config)
    with pytest.raises(BadSshConfig, match="circle → circle2 → circle"):
        connect(read("circle"), trust, resolve_hop=read)


def test_a_host_that_the_jump_can_not_reach_is_named_with_the_jump(config: Path, trust: Trust) -> None:
    read = partial(resolve, config=config)
    with pytest.raises(NoWay, match=r"one can't reach 127\.0\.0\.1 port \d+ for closed"):
        connect(read("closed"), trust, resolve_hop=read)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(5)
        yield sock.getsockname()[1]


def test_a_host_that_hangs_is_given_up(silent: int, trust: Trust) -> None:
    with pytest.raises(NoWay, match="says nothing for"):
        connect(Target("mute", "127.0.0.1", silent, "me"), trust, step_s=0.4)


def test_a_jump_that_hangs_is_given_up(silent: int, target: Target, trust: Trust) -> None:
    mute = Target("mute", "127.0.0.1", silent, "me")
    with pytest.raises(NoWay, match="mute"):
        connect(replace(target, proxy_jump=("mute",)), trust, resolve_hop=lambda name: mute, step_s=0.4)


def test_something_else_than_ssh_on_the_port_is_said(trust: Trust) -> None:
    from remote.cloud.fake_lambda import FakeLambda

    with FakeLambda() as web:
        port = int(web.url.rpartition(":")[2])
        with pytest.raises(NoWay, match="not as an SSH server"):
            connect(Target("web", "127.0.0.1", port, "me"), trust, step_s=2)


def test_a_closed_port_says_which(trust: Trust) -> None:
    port = free_port()
    with pytest.raises(NoWay, match=rf"port {port} does not answer \(127\.0\.0\.1: connection refused\)"):
        connect(Target("off", "127.0.0.1", port, "me"), trust)


def test_a_name_without_an_address_says_so(trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_dns(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_dns)
    with pytest.raises(NoWay, match=r"no address for 'gpu\.example' \(Name or service not known\)"):
        connect(Target("gpu", "gpu.example", 22, "me"), trust)


def test_a_name_that_is_none_says_so(trust: Trust) -> None:
    with pytest.raises(NoWay, match="no host name"):
        connect(Target("long", "x" * 70 + ".example", 22, "me"), trust)


def test_a_failed_connection_leaves_no_thread_behind(target: Target, trust: Trust) -> None:
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(HostKeyUnknown):
            connect(replace(target, known_hosts=()), trust)
    for thread in threading.enumerate():
        if type(thread).__name__ == "Transport":
            thread.join(5)
    assert threading.active_count() <= before
