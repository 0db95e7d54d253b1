from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import runlog
from engine.ouroboros import evaluate, prepare, scorer, train
from engine.ouroboros.dataset import open_dataset
from engine.ouroboros.metrics import Scored
from engine.ouroboros.report import energy_histogram, markdown
from tests.engine.ouroboros.tiny import tiny

CPU = torch.device("cpu")


@pytest.fixture
def trained(prepared: Path) -> Path:
    assert train.train(tiny(), prepared) == 0
    return prepared


def test_the_headline_is_measured_on_test_problems_and_has_every_gate_metric(trained: Path) -> None:
    cfg, data = tiny(), open_dataset(trained)
    report = evaluate.evaluate(cfg, data, scorer.load(trained / "best.pt", CPU))
    headline = report.sections[0]
    assert headline.prefix == "eval/"
    assert headline.items == len(data.items("test"))
    assert {"energy_correct", "energy_wrong", "separation", "accuracy", "pair_rank", "auroc", "ece"} <= set(
        headline.metrics
    )


def test_novel_items_are_those_whose_equation_no_training_item_has(trained: Path) -> None:
    cfg, data = tiny(), open_dataset(trained)
    report = evaluate.evaluate(cfg, data, scorer.load(trained / "best.pt", CPU))
    by_prefix = {s.prefix: s.items for s in report.sections}
    assert by_prefix["eval/novel_"] == data.meta["novel"]["test"]
    assert by_prefix["eval/novel_"] + by_prefix["eval/seen_"] == by_prefix["eval/"]


def test_facts_carry_interval_count_and_pool(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {}
    monkeypatch.setattr(runlog, "fact", lambda name, value, **about: told.update({name: (value, about)}))
    report = evaluate.evaluate(tiny(), open_dataset(trained), scorer.load(trained / "best.pt", CPU))
    evaluate.publish(report, pool="test-x")
    value, about = told["eval/energy_correct"]
    assert about["low"] <= value <= about["high"]
    assert about["pool"] == "test-x"
    assert about["n"] > 0


def test_the_report_is_json_and_markdown(trained: Path) -> None:
    report = evaluate.evaluate(tiny(), open_dataset(trained), scorer.load(trained / "best.pt", CPU))
    assert json.loads(json.dumps(report.to_json()))["sections"]
    text = markdown(report)
    assert "| energy_correct |" in text
    assert "0.95-1.00" in text


def test_a_model_of_other_data_is_refused(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare.prepare(tiny(seed=1), trained)
    monkeypatch.setattr(evaluate, "load_config", lambda *_, **__: tiny(seed=1))
    monkeypatch.setattr(evaluate, "work_dir", lambda *_: trained)
    assert evaluate.edges.run(evaluate.main, []) == 2
    assert "was trained on other data" in capsys.readouterr().err


def test_the_histogram_shows_every_item() -> None:
    wrong = np.array([False] * 30 + [True] * 10)
    s = Scored(np.where(wrong, 0.97, 0.02), wrong, np.arange(40), np.arange(40))
    rows = energy_histogram(s).splitlines()
    assert rows[1].startswith("0.00-0.05")
    assert rows[1].endswith(" 30")
    assert rows[-1].endswith(" 10")
