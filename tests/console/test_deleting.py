"""Deleting with care: what goes is said, what others stand on stays, a kill leaves a run whole or gone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from console.errors import UserError
from console.project import Project
from console.runs import deleting
from console.runs.deleting import delete, refusal, weigh
from console.workspace import Workspace
from engine.protocol.durable import write_json
from engine.protocol.files import describe
from engine.protocol.layout import Root
from tests.console.conftest import Console
from tests.console.made_runs import BEGAN, lay_run


def with_model(root: Root, run_id: str, name: str = "best", **more: Any) -> Path:
    """A run that has made a model in its variant's work folder."""
    work = root.work("tiny", "phase1-tiny", "default")
    work.mkdir(parents=True, exist_ok=True)
    file = work / f"{name}.pt"
    file.write_bytes(run_id.encode() * 100)
    os.utime(file, (BEGAN, BEGAN))
    about = {"path": file.name, "name": name, "model_type": "net", **describe(file)}
    paths = lay_run(root, run_id, events=[{"kind": "model", **about}], preset="default", variant="default", **more)
    write_json(paths.artifacts, {"artifacts": [{**about, "required": True}]})
    return file


@pytest.fixture
def space(project: Path, root: Root) -> Workspace:
    return Workspace(Project(project), root)


def test_the_folder_the_rows_and_the_tags_go_and_a_note_stays(console: Console, project: Path, root: Root) -> None:
    lay_run(root, "a", {"lr": 1}, {"loss": [1.0]})
    console("tag", "a", "--add", "x")
    answer = console("delete", "a", "--yes")
    assert answer.code == 0, answer
    assert "a deleted; gone: its folder with log, events and evidence" in answer.out
    assert not root.run("a").folder.exists()
    assert console("runs", "--json").json == []
    note = console("notes", "--json").json[0]
    assert (note["kind"], note["run_id"]) == ("deleted", "a")
    assert "no reason given" in note["body"]
    assert "there is no run 'a'" in console("delete", "a", "--yes").line


def test_nothing_goes_without_a_yes(console: Console, project: Path, root: Root) -> None:
    lay_run(root, "a")
    answer = console("delete", "a")
    assert answer.code == 2
    assert "look with --dry-run, then add --yes" in answer.line
    assert "goes: its folder" in console("delete", "a", "--dry-run").out
    assert console("delete", "a", "--dry-run", "--json").json[0]["against"] == []
    assert root.run_ids() == ["a"]


def test_a_live_run_is_never_deleted_with_no_reason_at_all(console: Console, project: Path, root: Root) -> None:
    phase = project / "configs/phases/phase3-slow.yaml"
    phase.write_text("phase: phase3-slow\ntitle: t\ngoal: g\nsteps:\n  - step: go\n    run: sleep 60\n")
    run_id = console("run", "phase3-slow", "go", "--detach", "--json").json["run"]
    answer = console("delete", run_id, "--yes", "--force", "because")
    assert answer.code == 2
    assert f"stop it first (fractal-console stop {run_id})" in answer.line
    assert console("stop", run_id, "--now").code == 0


def test_a_run_that_a_passed_gate_stands_on_asks_for_a_reason(console: Console, project: Path, root: Root) -> None:
    assert console("run", "phase1-tiny", "make").code == 0
    run_id = console("runs", "--json").json[0]["run_id"]
    answer = console("delete", run_id, "--yes")
    assert answer.code == 2
    assert "gate data of phase1-tiny stands on it" in answer.line
    assert console("delete", run_id, "--yes", "--force", "made anew").code == 0
    assert "made anew" in console("notes").out
    assert console("gates", "phase1-tiny").code == 1


def test_files_that_only_this_run_made_stay_unless_asked_for(space: Workspace, root: Root) -> None:
    file = with_model(root, "a")
    space.refresh()
    doomed = weigh(space, "a")
    assert doomed.objections(False) == []
    assert doomed.objections(True) == ["its model best exists nowhere else that is known"]
    assert "stay: 1 file(s) of the work folder (100 B: best.pt)" in doomed.words(False)
    with pytest.raises(UserError, match="exists nowhere else"):
        delete(space, doomed, True, None)
    delete(space, doomed, True, "superseded")
    assert not file.exists()


def test_a_file_that_a_later_run_replaced_is_not_this_runs(space: Workspace, root: Root) -> None:
    file = with_model(root, "a")
    os.utime(file, (BEGAN + 1e6, BEGAN + 1e6))
    space.refresh()
    assert weigh(space, "a").files == []


def test_a_copy_elsewhere_lets_a_model_go(space: Workspace, root: Root, tmp_path: Path) -> None:
    file = with_model(root, "a")
    copy = tmp_path / "copy.pt"
    copy.write_bytes(file.read_bytes())
    space.refresh()
    space.registry.register_model("phase1-tiny", "make", "net", copy, session="by-hand")
    assert weigh(space, "a").against_files == []


def test_a_champions_run_and_one_whose_model_others_build_on_ask_for_a_reason(space: Workspace, root: Root) -> None:
    with_model(root, "a", "base")
    with_model(root, "b", "child", at=10)
    space.refresh()
    model = next(m for m in space.registry.models() if m.session_id == "a")
    space.registry.promote(model.model_id, [], "ann")
    assert weigh(space, "a").against == ["its model base is the champion of phase1-tiny"]


def test_files_on_another_host_that_were_not_brought_here_ask_for_a_reason(space: Workspace, root: Root) -> None:
    paths = lay_run(root, "far", host="gpu")
    write_json(paths.artifacts, {"artifacts": [{"path": "m.pt", "required": True, "sha256": "x", "size": 1}]})
    space.refresh()
    row = space.store.run("far")
    assert row is not None
    assert deleting._unpulled(row, paths) == ["m.pt lies on gpu only (fractal-console pull far)"]
    write_json(paths.pulled, {"verified": {"m.pt": "x"}})
    assert deleting._unpulled(row, paths) == []


def test_a_kill_after_the_rename_leaves_nothing_half(
    space: Workspace, root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_run(root, "a")
    lay_run(root, "b")
    space.refresh()

    def killed(run_id: str) -> None:
        raise SystemExit

    monkeypatch.setattr(space.store, "forget", killed)
    with pytest.raises(SystemExit):
        delete(space, weigh(space, "a"), False, None)
    monkeypatch.undo()
    assert root.run_ids() == ["b"], "gone from the runs by one rename"
    doomed = weigh(space, "a")
    assert refusal(doomed, False, None) is None
    delete(space, doomed, False, None)
    assert space.store.run("a") is None
    assert [p.name for p in root.runs.iterdir()] == ["b"], "what the killed one left is swept"
