"""What snapshots leave behind goes away, with care for who stands in it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from engine.protocol.layout import Root
from engine.supervisor.tree_leftovers import clear
from tests.polling import until

LATER = time.time() + 7200


def aside(root: Root, name: str) -> Path:
    folder = root.trees / name / "tree"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text("x")
    return folder


def test_a_tree_set_aside_goes_after_an_hour_and_snapshots_stay(root: Root) -> None:
    aside(root, ".old-a")
    aside(root, ".tree-b")
    aside(root, "0123abcd")
    assert clear(root) == []
    assert sorted(clear(root, LATER)) == [".old-a", ".tree-b"]
    assert [p.name for p in root.trees.iterdir()] == ["0123abcd"]


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="no /proc here")
def test_a_tree_that_a_run_stands_in_stays(root: Root) -> None:
    folder = aside(root, ".old-a")
    process = subprocess.Popen(["sleep", "60"], cwd=folder)
    try:
        until(lambda: os.readlink(f"/proc/{process.pid}/cwd") == str(folder.resolve()), "it to stand there")
        assert clear(root, LATER) == []
        assert (folder / "train.py").exists()
    finally:
        process.kill()
        process.wait()
    assert clear(root, LATER) == [".old-a"]


def test_without_a_look_at_processes_only_the_very_old_goes(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    aside(root, ".old-a")
    monkeypatch.setattr("engine.supervisor.tree_leftovers._places_in_use", lambda: (set(), False))
    assert clear(root, LATER) == []
    assert clear(root, LATER + 8 * 86400) == [".old-a"]
