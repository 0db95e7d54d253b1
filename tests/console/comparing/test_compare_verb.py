"""The verb `compare`: for people, programs and plotters."""

from __future__ import annotations

from pathlib import Path

from engine.protocol.layout import Root
from tests.console.conftest import Console
from tests.console.made_runs import lay_sweep


def test_the_verb_tells_people_programs_and_plotters(console: Console, project: Path, root: Root) -> None:
    lay_sweep(root)
    shown = console("compare", "--query", "cfg.lr:*", "--baseline", "run-0").out
    assert "lr=0.1 ×2 (baseline)" in shown
    assert "(+0.1)" in shown
    assert len(console("compare", "run-0", "run-1", "--each", "--json").json["sides"]) == 2
    assert console("compare", "run-0", "run-2", "--csv").out.count("\n") == 3
    assert console("compare", "run-0", "--points").out.count("\n") == 6
    assert console("compare", "run-0", "run-1", "--svg", "train/loss", "--time").out.startswith("<svg")
    assert "5 files in out" in console("compare", "-q", "cfg.lr:*", "--out", "out").out


def test_the_verb_says_what_can_not_be_compared(console: Console, project: Path, root: Root) -> None:
    lay_sweep(root)
    assert "compare what?" in console("compare").line
    assert "no run meets this query" in console("compare", "-q", "nothing").line
    assert "did you mean 'train/loss'?" in console("compare", "run-0", "--svg", "loss").line
    assert "is not among the compared runs" in console("compare", "run-0", "--baseline", "run-1").line
