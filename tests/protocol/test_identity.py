"""A process is named by pid, start time and boot, so that a reused pid is never mistaken for it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from engine.protocol.identity import Identity, alive, boot_id, identify
from tests.polling import until


def test_this_process_is_alive() -> None:
    assert alive(identify())
    assert identify().pid == os.getpid()


def test_an_identity_survives_json() -> None:
    assert Identity.from_json(identify().to_json()) == identify()


def test_a_reused_pid_is_another_process() -> None:
    assert not alive(replace(identify(), start="1"))


def test_a_process_of_before_a_reboot_is_gone() -> None:
    assert not alive(replace(identify(), boot="another boot"))


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["sleep", "60"])
    who = identify(child.pid)
    assert alive(who)
    child.kill()
    until(lambda: not alive(who), "the zombie to count as dead")
    assert child.wait() == -9


def test_a_pid_that_is_not_there_has_no_identity() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(ProcessLookupError):
        identify(child.pid)


def test_a_name_with_spaces_and_parentheses_does_not_mislead(tmp_path: Path) -> None:
    link = f"{tmp_path}/a ) S 1 (b"
    os.symlink("/bin/sleep", link)
    child = subprocess.Popen([link, "60"])
    try:
        until(lambda: Path(f"/proc/{child.pid}/comm").read_text().startswith("a )"), "the new name")
        assert alive(identify(child.pid))
        assert identify(child.pid) == identify(child.pid)
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("value", [None, 3, "x", [], {}, {"pid": "3"}, {"pid": None}])
def test_what_is_no_identity_reads_as_none(value: object) -> None:
    assert Identity.from_json(value) is None
    assert not alive(Identity.from_json(value))


def test_the_boot_id_does_not_change_between_looks() -> None:
    assert boot_id()
    assert boot_id() == boot_id()
