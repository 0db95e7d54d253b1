"""Every preset of the phase goes through its own data, probe and training, a few steps at a tiny size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.config.layers import merge, resolve
from engine.config.load import check
from engine.config.ouroboros import OuroborosConfig
from engine.data import arithmetic
from engine.ouroboros import checkpoint, leak_probe, prepare, train

CONFIGS = Path(__file__).parents[3] / "configs"
SMALL: dict[str, Any] = {
    "data": {"problems": 500, "templates": 80, "renumbered": 500, "vocabulary": 400},
    "probe": {"rows": 1000, "low": 0.3, "high": 0.7},
    "model": {"dim": 32, "layers": 2, "heads": 2},
    "train": {"iters": 3, "batch": 32, "choices_batch": 8, "token_budget": 1024, "eval_every": 1, "eval_items": 32}
    | {"checkpoint_every": 2, "device": "cpu", "threads": 1},
}


@pytest.fixture(scope="module")
def gsm8k_s_format(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our own stories under GSM8K's names."""
    folder = tmp_path_factory.mktemp("data")
    rows = [json.loads(arithmetic.to_json(p)) for p in arithmetic.problems(3, 500, 80)]
    for name, part in (("train", rows[:400]), ("test", rows[400:])):
        lines = (json.dumps({"question": row["question"], "answer": row["answer"]}) for row in part)
        (folder / f"gsm8k_{name}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("preset", ["m2", "a100", "h100", "cpu", "cpu-text"])
def test_a_preset_trains_a_few_steps_at_a_tiny_size(
    preset: str, tmp_path: Path, gsm8k_s_format: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRACTAL_DATA", str(gsm8k_s_format))
    cfg = check(OuroborosConfig, merge(resolve(CONFIGS, "phase7-ouroboros", preset), SMALL), preset)
    prepare.prepare(cfg, tmp_path)
    leak_probe.probe(cfg, tmp_path)
    told = json.loads((tmp_path / "leak_probe.json").read_text())
    (tmp_path / "leak_probe.json").write_text(json.dumps(told | {"passed": True}))  # so few rows prove nothing
    assert train.train(cfg, tmp_path) == 0
    weights = checkpoint.load(tmp_path / "best.pt")["model"]
    assert all(bool(torch.isfinite(w).all()) for w in weights.values())
    reads = cfg.data.context == "problem"
    assert ("text.weight" in weights) == reads
