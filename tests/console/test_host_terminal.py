"""`sync`, `pull` and `hosts` from the command line: what is printed, what for programs, and how it ends."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest

from console.errors import UserError
from console.hosts import reached
from console.store import Store
from console.verbs import hosts as verbs
from engine.protocol.layout import Root
from engine.protocol.spec import Output
from engine.protocol.status import Status
from remote.mirrors import begin
from remote.ssh.host import SshHost
from tests.live import Specs
from tests.polling import until
from tests.remote.box import Box


@pytest.fixture
def at_home(box: Box, root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    """A console whose host `box` is the machine behind the test's server, with a project and a root of its own."""
    home = Root(tmp_path / "home")
    home.path.mkdir()
    monkeypatch.setenv("FRACTAL_ROOT", str(home.path))
    project = tmp_path / "project"
    (project / "configs" / "phases").mkdir(parents=True)
    (project / "train.py").write_text("print(1)\n")
    monkeypatch.chdir(project)
    (home.path / "hosts.yaml").write_text("hosts: {box: {ssh: box}}")
    real = reached.desk
    for module in (verbs, reached):
        monkeypatch.setattr(
            module, "desk", lambda *given: replace(real(*given), open=lambda named, desk: box.host(root.path))
        )
    return home


def said(**more: object) -> argparse.Namespace:
    return argparse.Namespace(
        **{"json": False, "path": None, "dry_run": False, "required": False, "host": "box", **more}
    )


def test_a_dry_run_lists_what_sync_then_sends(at_home: Root, root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    verbs.sync(said(dry_run=True))
    shown = capsys.readouterr().out
    assert "train.py" in shown
    assert "1 of 1 files" in shown
    assert not root.trees.exists()
    assert verbs.sync(said(json=True)) == 0
    done = json.loads(capsys.readouterr().out)
    assert (Path(done["path"]) / "train.py").read_text() == "print(1)\n"
    assert done["sent"] == [["train.py", 9]]


def test_a_folder_that_is_none_and_a_host_that_nobody_named_are_said(at_home: Root) -> None:
    with pytest.raises(UserError, match="is no folder"):
        verbs.sync(said(path="nowhere"))
    with pytest.raises(UserError, match="hosts add boks"):
        verbs.sync(said(host="boks"))


def test_the_hosts_are_listed_for_programs(at_home: Root, capsys: pytest.CaptureFixture[str]) -> None:
    verbs.hosts(said(json=True, host_verb=None))
    assert [h["name"] for h in json.loads(capsys.readouterr().out)] == ["box"]


def test_pull_brings_what_the_run_made(
    at_home: Root, ssh_host: SshHost, specs: Specs, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = replace(specs.sh("echo weights > model.bin"), outputs=[Output("model.bin")], host="box")
    begin(at_home, spec, ssh_host.launch(spec))
    until(lambda: ssh_host.observe(spec.run_id).final, "the end")
    assert verbs.pull(said(run=spec.run_id)) == 0
    work = at_home.work(spec.project, spec.phase, spec.variant)
    assert (work / "model.bin").read_text() == "weights\n"
    assert "model.bin" in capsys.readouterr().out


def test_a_required_file_that_is_not_here_is_an_exit_code(
    at_home: Root, ssh_host: SshHost, specs: Specs, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = replace(specs.sh("true"), outputs=[Output("model.bin")], host="box")
    begin(at_home, spec, ssh_host.launch(spec))
    until(lambda: ssh_host.observe(spec.run_id).final, "the end")
    assert verbs.pull(said(run=spec.run_id)) == 1
    assert "model.bin: the run did not make it" in capsys.readouterr().err


def test_a_run_of_this_machine_has_nothing_to_pull(at_home: Root, specs: Specs) -> None:
    begin(at_home, specs.sh("true", run_id="20260101-000000-a-aaaaa"), Status("queued"))
    Store(at_home.path / "console.db").close()
    with pytest.raises(UserError, match="ran on this machine"):
        verbs.pull(said(run="20260101-000000-a-aaaaa"))
