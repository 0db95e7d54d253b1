"""The chain of a model that reads the question: prepared, probed, trained, measured, correcting."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.ouroboros import checkpoint, correct, evaluate, leak_probe, prepare, scorer, train
from engine.ouroboros.dataset import open_dataset
from engine.ouroboros.errors import CheckpointError
from engine.ouroboros.judge import judge_of
from engine.ouroboros.tokenizers import train_bpe
from tests.engine.ouroboros.tiny import tiny

CFG = tiny(
    data={"context": "problem", "vocabulary": 400},
    train={"iters": 8, "choices_batch": 16, "token_budget": 1024},
    evaluate={"solutions": 10},
)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reading")
    prepare.prepare(CFG, out)
    assert leak_probe.probe(CFG, out)
    assert train.train(CFG, out) == 0
    return out


def test_training_that_reads_resumes_with_the_same_bits(reading: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = checkpoint.load(reading / "best.pt")["model"]
    (reading / "ckpt.pt").unlink()
    rate = train.rate

    def stop_at_four(cfg: object, at: int) -> float:
        if at == 4:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)
        return rate(cfg, at)  # type: ignore[arg-type]

    monkeypatch.setattr(train, "rate", stop_at_four)
    assert train.train(CFG, reading) == 130
    monkeypatch.undo()
    torch.set_num_threads(1)
    assert train.train(CFG, reading) == 0
    again = checkpoint.load(reading / "best.pt")["model"]
    assert all(torch.equal(whole[name], value) for name, value in again.items())


def test_both_tasks_of_t2_are_measured_and_solutions_judged(reading: Path) -> None:
    report = evaluate.evaluate(CFG, open_dataset(reading), scorer.load(reading / "best.pt", torch.device("cpu")))
    by_prefix = {s.prefix: s for s in report.sections}
    for task in ("operator", "operand"):
        assert by_prefix[f"eval/t2_{task}_"].items > 0
        assert not by_prefix[f"eval/t2_{task}_"].note
    assert by_prefix["eval/solution_operator_"].problems <= 10


def test_correction_reports_every_kind(reading: Path) -> None:
    data = open_dataset(reading)
    judge = judge_of(scorer.load(reading / "best.pt", torch.device("cpu")), data)
    told = correct.report(judge, data, CFG)
    assert {"correct/false_corrections", "correct/T1_slip_corrected", "correct/T2_operator_corrected"} <= set(told)
    assert {"best_of_n/random", "best_of_n/energy", "best_of_n/majority", "best_of_n/oracle"} <= set(told)


def test_another_tokenizer_is_refused(reading: Path, tmp_path: Path) -> None:
    for file in reading.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    train_bpe(["other words altogether"] * 9, 300).save(tmp_path / "tokenizer.json")
    data = open_dataset(reading)
    moved = type(data)(tmp_path, data.meta)
    with pytest.raises(CheckpointError, match="was trained with tokenizer"):
        judge_of(scorer.load(tmp_path / "best.pt", torch.device("cpu")), moved)
