"""This machine as a host passes the contract, and the few things that only hold here."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.protocol.layout import default_root
from remote.local_host import LocalHost
from tests.contracts.host import HostContract
from tests.live import Specs, log_of, wait_final


class TestLocalHost(HostContract):
    """The contract suite, on this machine."""


def test_a_relative_root_works_from_any_folder(
    tmp_path: Path, shipped: Path, specs: Specs, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "bin").symlink_to(shipped.parent)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRACTAL_ROOT", "here")
    host = LocalHost()
    spec = specs.sh("echo on")
    host.launch(spec)
    assert wait_final(host.root.run(spec.run_id)).state == "succeeded"
    assert log_of(host.root.run(spec.run_id)) == b"on\n"
    assert default_root().is_absolute()
