"""`fractal-console models promote` after real runs: a model is judged by the gates of its own run, at its own preset and seed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from console.cli import main
from console.launch.resolved import differing
from engine.protocol.layout import Root

PROGRAM = """
import json, os
config = json.load(open(os.environ["FRACTAL_SPEC"]))["config"]
open(os.path.join(os.environ["FRACTAL_WORK"], "m.pt"), "w").write(str(config))
with open(os.environ["FRACTAL_EVENTS"], "a") as events:
    print(json.dumps({"kind": "fact", "name": "acc", "value": 0.5 + config["seed"] / 10}), file=events)
    print(json.dumps({"kind": "model", "name": "toy", "path": "m.pt", "metadata": {}}), file=events)
"""

PHASE = f"""
phase: toy
title: A toy
goal: To be judged.
presets: {{cpu: {{seed: 0}}}}
steps:
  - {{step: train, run: "{sys.executable} train.py"}}
  - {{step: extra, run: "{sys.executable} train.py", optional: true}}
gates:
  - {{gate: good, after: train, checks: [fact acc > 0.8]}}
  - {{gate: extra, after: extra, checks: [step extra succeeded]}}
"""


@pytest.fixture
def project(tmp_path: Path, root: Root, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "toys"
    (folder / "configs" / "phases").mkdir(parents=True)
    (folder / "configs" / "phases" / "toy.yaml").write_text(PHASE)
    (folder / "train.py").write_text(PROGRAM)
    monkeypatch.setenv("FRACTAL_PROJECT", str(folder))
    return folder


def models(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = main(["models", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_model_is_judged_by_the_gates_of_its_own_run(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "toy", "train"])
    main(["run", "toy", "train", "--set", "seed=5"])
    _, found = models(capsys, "list")
    bad, good = (next(m["model_id"] for m in found if m["seed"] == seed) for seed in (0, 5))

    code, said = models(capsys, "promote", bad)
    assert code == 1
    assert "gate good is failed (acc is 0.5, needs > 0.8)" in said["refused"]
    assert models(capsys, "promote", good)[0] == 0

    main(["run", "toy", "train", "--set", "seed=5"])
    code, said = models(capsys, "promote", good)
    assert code == 1
    assert "gate its own run is failed (the gates judge" in said["refused"]


def test_differing_configs_are_told_as_overrides() -> None:
    base = {"preset": "cpu", "seed": 0, "model": {"width": 4, "depth": 2}, "layers": [1]}
    made = {"preset": "cpu", "seed": 1, "model": {"width": 8, "depth": 2}, "layers": [1, 2]}
    assert differing(base, made) == {"seed": 1, "model": {"width": 8}, "layers": [1, 2]}
    assert differing(base, base) == {}
