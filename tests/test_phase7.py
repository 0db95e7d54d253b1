"""The whole of a real phase, as a user starts it: every step, gates between, evidence, registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.cli import main
from console.project import Project
from console.workspace import Workspace
from engine.protocol.layout import Root

pytest.importorskip("torch", reason="the engine part is not installed")

_PROJECT = Path(__file__).resolve().parent.parent


def test_phase_7_runs_at_smoke_with_its_gates_and_registers_its_model(
    root: Root, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FRACTAL_PROJECT", str(_PROJECT))
    assert main(["run", "phase7-ouroboros", "--preset", "smoke"]) == 0
    said = capsys.readouterr().out
    assert "gate data" in said
    assert "every step succeeded and every gate is passed" in said

    assert main(["gates", "phase7-ouroboros", "--preset", "smoke", "--json"]) == 0
    gates = json.loads(capsys.readouterr().out)["gates"]
    checks = [c for g in gates for c in g["checks"]]
    assert {c["state"] for c in checks} == {"passed"}
    assert all(c["because"] and c["run_id"] for c in checks)

    space = Workspace(Project(_PROJECT), root)
    models = space.registry.models("phase7-ouroboros")
    assert len(models) == 1
    assert space.registry.verify(models[0].model_id).ok
    space.close()
