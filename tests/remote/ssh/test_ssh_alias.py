from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from remote.ssh.alias import Alias, add_include, is_included, put_alias, remove_alias
from remote.ssh.config import resolve


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "cloud" / "ssh_config"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    file = tmp_path / "config"
    file.write_text("# mine\nHost a100\n  HostName 192.0.2.1\nHost *\n  User me\n")
    file.chmod(0o640)
    return file


def alias(name: str, address: str = "203.0.113.5") -> Alias:
    return Alias(name, address, "ubuntu", f"fractal-{name}", Path("/x/known hosts"), Path("/keys/lambda"))


@pytest.mark.skipif(not shutil.which("ssh"), reason="no OpenSSH client here")
def test_ssh_itself_reads_the_alias_before_an_older_block_of_the_user(own: Path, users: Path) -> None:
    put_alias(own, alias("a100"))
    add_include(users, own)
    target = resolve("a100", users)
    assert (target.hostname, target.user, target.host_key_alias) == ("203.0.113.5", "ubuntu", "fractal-a100")
    assert target.identities_only
    assert target.identity_files[0] == Path("/keys/lambda")


def test_a_new_address_replaces_the_old_one_and_leaves_the_others(own: Path) -> None:
    put_alias(own, alias("a100"))
    put_alias(own, alias("h100"))
    put_alias(own, alias("a100", "203.0.113.9"))
    text = own.read_text()
    assert text.count("Host a100\n") == 1
    assert "203.0.113.9" in text
    assert "Host h100\n" in text


def test_a_removed_alias_is_gone_and_a_missing_one_is_no_error(own: Path) -> None:
    put_alias(own, alias("a100"))
    put_alias(own, alias("h100"))
    remove_alias(own, "a100")
    remove_alias(own, "never")
    assert "a100" not in own.read_text()


def test_the_users_file_changes_by_one_line_once_and_keeps_its_mode(own: Path, users: Path) -> None:
    before = users.read_text()
    add_include(users, own)
    add_include(users, own)
    assert users.read_text() == f"Include {own}\n{before}"
    assert users.stat().st_mode & 0o777 == 0o640
    assert is_included(users, own)


def test_a_linked_users_file_stays_a_link(own: Path, users: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(users)
    add_include(link, own)
    assert link.is_symlink()
    assert users.read_text().startswith("Include")


def test_a_missing_users_file_is_made_closed(own: Path, tmp_path: Path) -> None:
    add_include(tmp_path / ".ssh" / "config", own)
    assert (tmp_path / ".ssh" / "config").stat().st_mode & 0o777 == 0o600
