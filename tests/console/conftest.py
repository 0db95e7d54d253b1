"""A tiny project of shell steps, and the headless console on it as a function call."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from console import cli
from engine.protocol.layout import Root

PHASE = """\
phase: phase1-tiny
title: Two shell steps and a gate
goal: Show that a phase goes from its first step to its gate.
steps:
  - step: make
    run: "echo loss 0.9; echo loss 0.4; echo one > {work}/made.txt"
    outputs: [made.txt]
    log_metrics:
      - {name: loss, pattern: 'loss (?P<value>[0-9.]+)'}
  - step: use
    run: "cat {work}/made.txt"
    inputs: [made.txt]
gates:
  - gate: data
    title: It was made
    after: make
    checks:
      - step make succeeded
      - metric loss < 0.5
      - artifact made.txt exists
  - gate: result
    after: use
    checks:
      - step use succeeded
"""

JUDGED = """\
phase: phase2-judged
title: A gate that a person ticks
goal: Show ticks and overrides.
steps:
  - step: say
    run: "echo hello"
gates:
  - gate: read
    after: say
    checks:
      - "manual: the words read well"
      - metric words > 3
"""


@dataclass(frozen=True)
class Answer:
    """What a verb said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """The one line of a clear refusal: on stderr, without a traceback."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


Console = Callable[..., Answer]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of a user, in which the console is typed."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("FRACTAL_PROJECT", raising=False)
    return folder


@pytest.fixture
def project(folder: Path, root: Root) -> Path:
    """The folder as a project with two phases."""
    phases = folder / "configs" / "phases"
    phases.mkdir(parents=True)
    (phases / "phase1-tiny.yaml").write_text(PHASE)
    (phases / "phase2-judged.yaml").write_text(JUDGED)
    return folder


@pytest.fixture
def console(root: Root, capfd: pytest.CaptureFixture[str]) -> Console:
    """`console("runs", "--json")` as a user types it."""

    def typed(*words: str) -> Answer:
        capfd.readouterr()
        try:
            code = cli.main(words)
        except SystemExit as stop:  # argparse
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return Answer(code, out, err)

    return typed
