"""Every pattern that is proposed reads back, on a host, the numbers of the log it came from."""

from __future__ import annotations

import math
import re

import pytest

from console.adoption.logscan import scan, split_lines
from engine.supervisor.logmetrics import match

NANOGPT = """\
tokens per iteration will be: 491,520
number of parameters: 10.65M
step 0: train loss 4.2874, val loss 4.2823
iter 0: loss 4.2654, time 3512.10ms, mfu -100.00%
iter 10: loss 3.1402, time 36.03ms, mfu 5.10%
step 20: train loss 2.1044, val loss 2.2001
iter 20: loss 2.9001, time 30.11ms, mfu 5.20%
"""
TRAINER = """\
{'loss': 0.91, 'grad_norm': 1.5, 'learning_rate': 4e-05, 'epoch': 1.0}
{'loss': 0.41, 'grad_norm': 1.2, 'learning_rate': 3e-05, 'epoch': 2.0}
{'eval_loss': 0.5, 'eval_runtime': 1.2, 'epoch': 2.0}
{'train_runtime': 10.5, 'train_loss': 0.66, 'epoch': 2.0}
"""
BARS = "".join(f"\r {n}%|█▌   | {n}/100 [00:10<00:12,  4.49it/s, loss={1 / n:.3g}]" for n in (10, 20, 30))
MNIST = """\
Train Epoch: 1 [0/60000 (0%)]\tLoss: 2.29
Train Epoch: 1 [640/60000 (1%)]\tLoss: 1.29
Train Epoch: 1 [1280/60000 (2%)]\tLoss: 0.90
Test set: Average loss: 0.0483, Accuracy: 9847/10000 (98%)
"""


def read(text: str) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """What a host reads with the proposed patterns: the values of each metric, and the steps that they stand at."""
    lines = split_lines(text)
    patterns = [(re.compile(m.pattern), m.name) for m in scan(lines).patterns]
    values: dict[str, list[float]] = {}
    steps: dict[str, list[float]] = {}
    step: float | None = None
    for line in lines:
        found, step = match(patterns, line, step)
        for name, value in found.items():
            values.setdefault(name, []).append(value)
            if step is not None:
                steps.setdefault(name, []).append(step)
    return values, steps


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("loss 0.9\nloss 0.41\n", "loss", [0.9, 0.41]),
        ("loss: 0.9\nloss: 0.41\n", "loss", [0.9, 0.41]),
        ("loss=0.9\nloss=0.41\n", "loss", [0.9, 0.41]),
        ("loss   -1.5e-03\nloss   +2E4", "loss", [-0.0015, 20000.0]),
        ("acc: 50%\nacc: 91.2%\n", "acc", [50.0, 91.2]),
        ("Epoch 1 done, val_acc=0.7\nEpoch 2 done, val_acc=0.9\n", "val_acc", [0.7, 0.9]),
        ("{'loss': '0.9', 'epoch': '1'}\n{'loss': '0.41', 'epoch': '2'}", "loss", [0.9, 0.41]),
        ("{'loss': np.float64(0.9)}\n{'loss': np.float64(0.41)}", "loss", [0.9, 0.41]),
        ("loss: tensor(0.9, device='cuda:0')\nloss: tensor(0.41, device='cuda:0')", "loss", [0.9, 0.41]),
        ('{"step": 1, "train/loss": 0.9}\n{"step": 2, "train/loss": 0.41}', "train/loss", [0.9, 0.41]),
        ("tokens: 1,024 loss 2\ntokens: 2,048 loss 1", "tokens", [1024.0, 2048.0]),
        ("final accuracy 0.93", "final/accuracy", [0.93]),
        ("Train Loss: 0.9\nTrain Loss: 0.4", "train/loss", [0.9, 0.4]),
        (TRAINER, "learning_rate", [4e-05, 3e-05]),
        (TRAINER, "train_loss", [0.66]),
        (NANOGPT, "val/loss", [4.2823, 2.2001]),
        (NANOGPT, "mfu", [-100.0, 5.1, 5.2]),
        (MNIST, "accuracy", [98.0]),
        (BARS, "loss", [0.1, 0.05, 0.0333]),
    ],
)
def test_a_metric_is_found_and_read_back(text: str, name: str, expected: list[float]) -> None:
    assert read(text)[0][name] == expected


def test_nan_and_infinities_are_read_as_what_they_are() -> None:
    nan, inf = read("loss nan\nloss -inf\n")[0]["loss"]
    assert math.isnan(nan)
    assert inf == -math.inf


def test_a_name_is_not_read_out_of_a_longer_one() -> None:
    values, _ = read(NANOGPT)
    assert values["loss"] == [4.2654, 3.1402, 2.9001]
    assert values["train/loss"] == [4.2874, 2.1044]


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("step 10/30 loss 3\nstep 20/30 loss 2\nstep 30/30 loss 1\n", "loss", [10, 20, 30]),
        (NANOGPT, "loss", [0, 10, 20]),
        (NANOGPT, "val/loss", [0, 20]),
        (BARS, "loss", [10, 20, 30]),
        (TRAINER, "loss", [1, 2]),
        ("[0]\ttrain-logloss:0.6\n[1]\ttrain-logloss:0.5\n", "train-logloss", [0, 1]),
    ],
)
def test_metrics_stand_at_their_steps(text: str, name: str, expected: list[float]) -> None:
    assert read(text)[1][name] == expected


def test_a_counter_that_begins_again_is_no_step() -> None:
    text = "".join(f"batch {b} loss {9 - 3 * e - b}\n" for e in (0, 1) for b in (0, 1, 2))
    assert scan(split_lines(text)).step is None


def test_an_epoch_that_stands_still_is_no_step() -> None:
    assert scan(split_lines(MNIST)).step is None


def test_what_is_no_metric_is_left_alone() -> None:
    noise = """\
Namespace(lr=0.1, batch_size=32, seed=1)
Using device cuda:0 on port 29500
version: 2.13.0, commit: 3f2a, date: 2026-11-20 10:00:00
see http://localhost:6006
Loaded 100 samples in 2.5s
Loaded 200 samples in 3.5s
File "train.py", line 10
"""
    assert scan(split_lines(noise)).metrics == []


def test_a_constant_beside_the_metrics_is_none() -> None:
    text = "".join(f"[00:0{n}, v_num=1, loss={n}]\n" for n in range(5))
    assert [m.name for m in scan(split_lines(text)).metrics] == ["loss"]
