"""A gate over seeds inside a plan: the host judges it with the runs of other seeds that lie beside the plan's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.cli import main
from engine.protocol.layout import Root

PHASE = """
phase: toy
title: A toy
goal: To be judged over seeds.
presets: {cpu: {seed: 0}}
steps:
  - {step: train, run: "sh train.sh {seed}"}
  - {step: use, run: "true"}
gates:
  - {gate: steady, after: train, checks: [fact acc >= 0.8 in 2 of 3 seeds]}
"""

TRAIN = """
[ "$1" = 1 ] && acc=0.1 || acc=0.9
printf '{"kind":"fact","name":"acc","value":%s}\\n' $acc >> "$FRACTAL_EVENTS"
"""


@pytest.fixture
def project(tmp_path: Path, root: Root, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "toys"
    (folder / "configs" / "phases").mkdir(parents=True)
    (folder / "configs" / "phases" / "toy.yaml").write_text(PHASE)
    (folder / "train.sh").write_text(TRAIN)
    monkeypatch.setenv("FRACTAL_PROJECT", str(folder))
    return folder


def run_of_phase(seed: int) -> int:
    return main(["run", "toy", "--set", f"seed={seed}"])


def test_the_plan_of_the_last_seed_that_was_needed_passes_its_gate(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_of_phase(0) == 1
    assert "1 of 1 meet it (seeds 0)" in capsys.readouterr().out
    assert run_of_phase(1) == 1, "one of two is not yet two of three"
    assert run_of_phase(2) == 0
    assert "2 of 3 meet it (seeds 0, 1, 2)" in capsys.readouterr().out


def test_the_run_of_another_code_does_not_count(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of_phase(0)
    (project / "train.sh").write_text(TRAIN + "# edited\n")
    assert run_of_phase(2) == 1
    assert "1 of 1 meet it (seeds 2)" in capsys.readouterr().out
