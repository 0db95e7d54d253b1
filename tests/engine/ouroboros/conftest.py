from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.ouroboros import leak_probe, prepare
from tests.engine.ouroboros.tiny import tiny


@pytest.fixture(autouse=True)
def _outside_of_any_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FRACTAL_EVENTS", "FRACTAL_SPEC", "FRACTAL_WORK", "FRACTAL_DATA"):
        monkeypatch.delenv(name, raising=False)
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def _prepared_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    cfg = tiny()
    prepare.prepare(cfg, out)
    assert leak_probe.probe(cfg, out)
    return out


@pytest.fixture
def prepared(_prepared_once: Path, tmp_path: Path) -> Path:
    """A folder of its own with data that the probe passed."""
    for file in _prepared_once.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path
