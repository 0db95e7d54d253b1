from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.ouroboros import checkpoint, leak_probe, prepare, train
from engine.ouroboros.errors import CheckpointError, Refused
from tests.engine.ouroboros.tiny import tiny


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return checkpoint.load(folder / "best.pt")["model"]


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal that a stop sends, from inside the loop."""
    rate = train.rate

    def rate_and_signal(cfg: Any, at: int) -> float:
        if at == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return rate(cfg, at)

    monkeypatch.setattr(train, "rate", rate_and_signal)


@pytest.mark.parametrize("kind", ["generative", "mse", "bce"])
def test_a_resumed_run_ends_with_the_same_bits(prepared: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = tiny(train={"energy": kind}, model={"dropout": 0.1})
    assert train.train(cfg, prepared) == 0
    whole = weights(prepared)
    (prepared / "ckpt.pt").unlink()
    interrupt_at(5, monkeypatch)
    assert train.train(cfg, prepared) == 130
    monkeypatch.undo()
    assert checkpoint.load(prepared / "ckpt.pt")["step"] == 6
    assert train.train(cfg, prepared) == 0
    assert all(torch.equal(whole[name], value) for name, value in weights(prepared).items())


def test_a_run_asked_for_a_checkpoint_writes_it_and_goes_on(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda path, value: (written.append((path.name, value["step"])), save(path, value))
    )
    rate = train.rate
    monkeypatch.setattr(
        train, "rate", lambda cfg, at: (os.kill(os.getpid(), signal.SIGUSR2) if at == 3 else None, rate(cfg, at))[1]
    )
    assert train.train(tiny(), prepared) == 0
    assert ("ckpt.pt", 4) in written


def test_training_refuses_data_that_was_not_probed(prepared: Path) -> None:
    (prepared / "leak_probe.json").unlink()
    with pytest.raises(Refused, match="run the step `leak_probe`"):
        train.train(tiny(), prepared)


def test_training_refuses_data_that_leaks(tmp_path: Path) -> None:
    cfg = tiny(data={"negatives": "naive", "problems": 1500}, probe={"low": 0.47, "high": 0.53, "rows": 6000})
    prepare.prepare(cfg, tmp_path)
    assert not leak_probe.probe(cfg, tmp_path)
    with pytest.raises(Refused, match="the data leaks"):
        train.train(cfg, tmp_path)


def test_training_refuses_a_probe_of_other_data(prepared: Path) -> None:
    prepare.prepare(tiny(seed=1), prepared)
    with pytest.raises(Refused, match="speaks of other data"):
        train.train(tiny(seed=1), prepared)


def test_a_loss_that_is_no_number_ends_the_run_and_names_the_step(prepared: Path) -> None:
    with pytest.raises(Refused, match=r"the loss is nan at step \d+: lower the learning rate"):
        train.train(tiny(train={"lr": 1e30, "muon_lr": 1e30, "clip": None, "eval_every": 1}), prepared)


def test_early_stop_ends_where_validation_no_longer_gets_better(prepared: Path) -> None:
    cfg = tiny(train={"iters": 60, "eval_every": 1, "patience": 2, "lr": 0.5, "muon_lr": 0.5})
    assert train.train(cfg, prepared) == 0
    told = json.loads((prepared / "train.json").read_text())
    assert told["stopped_early"]
    assert told["steps"] < 60


def test_a_checkpoint_of_another_config_is_left_behind_and_said(
    prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.train(tiny(), prepared) == 0
    assert train.train(tiny(seed=5), prepared) == 0
    assert "is of another config: training begins anew" in capsys.readouterr().out


def test_a_broken_checkpoint_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_bytes(b"no checkpoint at all")
    with pytest.raises(CheckpointError, match=r"best\.pt can't be read"):
        checkpoint.load(tmp_path / "best.pt")


def test_the_rate_warms_up_stays_and_falls() -> None:
    cfg = tiny(train={"iters": 100, "warmup": 10, "flat_share": 0.5, "min_lr_share": 0.1}).train
    shares = [train.rate(cfg, step) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert shares[9:51] == [1.0] * 42
    assert shares[75] == pytest.approx(0.5)
    assert shares[99] == pytest.approx(0.1)
