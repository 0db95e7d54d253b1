from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from remote.ssh.config import Spec, parse_g, parse_spec, resolve, target_of
from remote.ssh.errors import BadSshConfig

needs_ssh = pytest.mark.skipif(not shutil.which("ssh"), reason="no OpenSSH client here")

CONFIG = """\
Host gpu
  HostName 203.0.113.7
  User ubuntu
  Port 2222
  IdentityFile ~/.ssh/lambda
  IdentitiesOnly yes
  ProxyJump me@gate:2200,inner
  HostKeyAlias fractal-u1
Host *
  ConnectTimeout 7
"""


@pytest.fixture(params=["ssh -G", "Paramiko's parser"])
def config(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "ssh -G":
        if not shutil.which("ssh"):
            pytest.skip("no OpenSSH client here")
    else:
        monkeypatch.setattr(shutil, "which", lambda name: None)
    file = tmp_path / "config"
    file.write_text(CONFIG)
    return file


def test_an_alias_is_read_in_full(config: Path) -> None:
    target = resolve("gpu", config)
    assert (target.hostname, target.port, target.user) == ("203.0.113.7", 2222, "ubuntu")
    assert target.identity_files == (Path("~/.ssh/lambda").expanduser(),)
    assert target.identities_only
    assert target.proxy_jump == ("me@gate:2200", "inner")
    assert target.known_as == "fractal-u1"
    assert target.connect_timeout_s == 7


def test_a_host_that_no_block_names_is_itself(config: Path) -> None:
    target = resolve("203.0.113.9", config)
    assert (target.hostname, target.port) == ("203.0.113.9", 22)
    assert Path("~/.ssh/id_ed25519").expanduser() in target.identity_files


def test_user_and_port_in_the_name_win(config: Path) -> None:
    target = resolve("root@gpu:2022", config)
    assert (target.user, target.port) == ("root", 2022)


def test_the_agent_of_the_environment_is_used_unless_the_file_says_none(config: Path) -> None:
    environ = {"SSH_AUTH_SOCK": "/tmp/agent"}
    assert resolve("gpu", config, environ).agent_socket == "/tmp/agent"
    config.write_text("Host gpu\n  IdentityAgent none\n")
    assert resolve("gpu", config, environ).agent_socket is None


@needs_ssh
def test_include_and_match_are_followed(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Host gpu\n  HostName 203.0.113.8\n")
    file = tmp_path / "config"
    file.write_text(f"Include {tmp_path}/more\nMatch host 203.0.113.8\n  User matched\n")
    target = resolve("gpu", file)
    assert (target.hostname, target.user) == ("203.0.113.8", "matched")


@needs_ssh
def test_a_mistake_in_the_file_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("Host gpu\n  Prot 22\n")
    with pytest.raises(BadSshConfig, match="line 2"):
        resolve("gpu", file)


@pytest.mark.parametrize(
    "name", ["-oProxyCommand=touch /tmp/x", "", "a b", "user@-oProxyCommand=x", "-l@host", "host:99999", "a;b c"]
)
def test_what_is_no_host_is_refused(name: str) -> None:
    with pytest.raises(BadSshConfig):
        parse_spec(name)


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert parse_spec("me@[2001:db8::1]:2222") == Spec("2001:db8::1", "me", 2222)


def test_a_port_other_than_22_is_part_of_the_known_name() -> None:
    assert target_of(Spec("Box"), parse_g("hostname Box.Example\nport 2222\n"), {}).known_as == "[box.example]:2222"


def test_tokens_and_environment_in_paths_are_filled() -> None:
    options = parse_g("hostname h\nuser u\nidentityfile ${KEYS}/%r-%h\n")
    assert target_of(Spec("h"), options, {"KEYS": "/keys"}).identity_files == (Path("/keys/u-h"),)


def test_dev_null_as_known_hosts_knows_nothing() -> None:
    options = parse_g("userknownhostsfile /dev/null\nglobalknownhostsfile /dev/null\n")
    assert target_of(Spec("h"), options, {}).known_hosts == ()


@pytest.mark.parametrize(
    ("named", "typed", "hop"),
    [
        ("box", "box", "box"),
        ("root@box", "root@box", "root@box"),
        ("box:2222", "-p 2222 box", "box:2222"),
        ("root@box:2222", "-p 2222 root@box", "root@box:2222"),
    ],
)
def test_what_is_typed_to_try_it_has_the_user_and_port_that_were_given(named: str, typed: str, hop: str) -> None:
    target = target_of(parse_spec(named), parse_g("hostname 10.0.0.7\nport 22\n"), {})
    assert (target.typed, target.as_hop) == (typed, hop)
