"""`why`: a failed run tells its cause and the way out; a shut gate the evidence that is missing or short."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.protocol.layout import Root
from tests.console.conftest import Console

PHASE = """\
phase: phase1-wrong
title: Everything that goes wrong
goal: Fail well.
steps:
  - step: train
    run: "sh -c 'echo torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB; exit 1'"
  - step: judge
    needs: []
    run: "sh judge.sh"
gates:
  - gate: result
    after: judge
    checks:
      - metric eval/accuracy > 0.9
      - metric eval/never > 0.5
      - fact eval/wrong > fact eval/right + 0.1
      - "manual: it reads well"
"""
JUDGE = r"""
printf '{"kind":"metric","step":1,"values":{"eval/accuracy":0.84}}\n' >> "$FRACTAL_EVENTS"
printf '{"kind":"fact","name":"eval/wrong","value":0.5}\n' >> "$FRACTAL_EVENTS"
printf '{"kind":"fact","name":"eval/right","value":0.45}\n' >> "$FRACTAL_EVENTS"
"""


@pytest.fixture
def wrong(folder: Path, root: Root) -> Path:
    (folder / "configs" / "phases").mkdir(parents=True)
    (folder / "configs" / "phase1-wrong").mkdir()
    (folder / "configs" / "phases" / "phase1-wrong.yaml").write_text(PHASE)
    (folder / "configs" / "phase1-wrong" / "cpu.yaml").write_text("train: {batch: 64}\n")
    (folder / "judge.sh").write_text(JUDGE)
    return folder


def test_a_failed_run_tells_its_cause_and_the_value_to_lower(wrong: Path, console: Console) -> None:
    assert console("run", "phase1", "train").code == 1
    answer = console("why", "last")
    assert answer.code == 0
    assert "what now: The GPU ran out of memory." in answer.out
    assert "Lower train.batch (now 64)" in answer.out
    assert "--set train.batch=32" in answer.out
    assert console("why", "last", "--json").json["advice"]["rule"] == "cuda-oom"
    assert "The GPU ran out of memory." in console("status", "last").out
    assert console("status", "last", "--json").json["advice"]["rule"] == "cuda-oom"


def test_a_shut_gate_tells_which_evidence_is_missing_or_short_and_by_how_much(wrong: Path, console: Console) -> None:
    assert console("run", "phase1", "judge").code == 0
    short, never, relative, manual = console("why", "phase1", "--json").json["shortfalls"]
    assert (short["kind"], short["measures"], round(short["off"], 6)) == ("short", "eval/accuracy", 0.06)
    assert (never["kind"], never["measures"]) == ("missing", "eval/never")
    assert (relative["kind"], round(relative["off"], 6)) == ("short", 0.05)
    assert (manual["kind"], manual["state"]) == ("manual", "waiting")
    run = short["run_id"]
    page = console("why", "phase1").out
    assert f"off by 0.06   (run {run})" in page
    assert "eval/never was never measured" in page
    assert f"fractal-console tick phase1-wrong {manual['check_id']}" in page


def test_a_gate_that_nothing_has_run_for_says_what_to_run(wrong: Path, console: Console) -> None:
    found = console("why", "phase1", "--json").json["shortfalls"]
    assert found[0]["kind"] == "waiting"
    assert found[0]["do"] == "fractal-console run phase1-wrong judge --preset cpu"


def test_nothing_wrong_is_said_so(wrong: Path, console: Console) -> None:
    console("run", "phase1", "judge")
    assert "nothing is wrong with it" in console("why", "last").out


def test_a_word_that_names_neither_run_nor_phase_is_told(wrong: Path, console: Console) -> None:
    answer = console("why", "nothing")
    assert answer.code == 2
    assert "no phase begins like 'nothing', and there is no run 'nothing'" in answer.line


def test_a_broken_table_is_named_and_hides_no_state(wrong: Path, console: Console) -> None:
    console("run", "phase1", "train")
    (wrong / "configs" / "what-now.yaml").write_text("rules: [{name: x}]\n")
    answer = console("status", "last")
    assert answer.code == 0
    assert "what-now.yaml" in answer.out
    assert "✗ failed" in answer.out
