"""Training steps: against the plain implementation, against each other, against the machine.

python -m pytest tests/bench/coconut/test_training.py -s -c tests/bench/pytest.ini
"""

import pytest
import torch

from engine.coconut.gpt2 import from_hugging_face
from engine.coconut.layout import Row, buckets, collate, labels
from engine.coconut.model import Coconut
from engine.coconut.parity import source_layout
from engine.coconut.tokens import Tokens, Words
from tests.bench.coconut import plain
from tests.bench.coconut.setting import (
    HEADS,
    LAYERS,
    ROWS,
    TOKENS,
    VOCABULARY,
    WIDTH,
    best_of,
    cpu_s,
    fast_model,
    problems,
    rows_at,
    say,
    step,
)

FINE = 8  # parts; what a CPU likes best


def times_faster(stage: int, rounds: int) -> tuple[float, float, float]:
    rows = rows_at(problems(), stage)
    source = plain.gpt2(VOCABULARY, WIDTH, LAYERS, HEADS)
    model = Coconut(from_hugging_face(source), "continuous", TOKENS.latent, TOKENS.plain.like)
    batch = source_layout(rows, TOKENS)
    (ours,) = best_of(rounds, lambda: step(model, rows, FINE))
    theirs = cpu_s(lambda: plain.step(source, batch, TOKENS.latent))
    return theirs / ours, theirs, ours


def test_the_plain_implementation_has_our_loss():
    rows = rows_at(problems(4), 3)
    source = plain.gpt2(VOCABULARY, 64, 2, 4)
    model = Coconut(from_hugging_face(source), "continuous", TOKENS.latent, TOKENS.plain.like)
    ours = model(collate(rows, TOKENS.eos)) / labels(rows)
    theirs = plain.loss(source, source_layout(rows, TOKENS), TOKENS.latent)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_stage_6_costs_little_more_than_stage_0():
    model = fast_model()
    first, last = rows_at(problems(), 0), rows_at(problems(), 6)
    at_0, at_6 = best_of(4, lambda: step(model, first, FINE), lambda: step(model, last, FINE))
    say("stage 6 over stage 0", at_6 / at_0, 1.2, 1.08, f"{at_0:.2f} s, {at_6:.2f} s", higher=False)
    assert at_6 / at_0 <= 1.2


def test_stage_1_against_the_plain_implementation():
    ratio, theirs, ours = times_faster(1, rounds=2)
    say("stage 1, plain over ours", ratio, 8, 12, f"{theirs:.1f} s, {ours:.2f} s")
    assert ratio >= 8


def test_stage_6_against_the_plain_implementation():
    ratio, theirs, ours = times_faster(6, rounds=2)
    say("stage 6, plain over ours", ratio, 30, 50, f"{theirs:.1f} s (once), {ours:.2f} s")
    assert ratio >= 30


@pytest.mark.parametrize("mode", ["frozen", "learned_shared"])
def test_a_pause_costs_less_than_a_thought(mode):
    rows = rows_at(problems(), 6)
    thinking, pausing = fast_model(), fast_model(mode)
    thought, pause = best_of(3, lambda: step(thinking, rows, FINE), lambda: step(pausing, rows, FINE))
    say(
        f"{mode} over continuous at stage 6",
        pause / thought,
        0.85,
        0.75,
        f"{thought:.2f} s, {pause:.2f} s",
        higher=False,
    )
    assert pause / thought <= 0.85


class LikeGpt2(Words):
    """ProsQA's words with as many rows as GPT-2's vocabulary: what the head costs, not what the words are."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 50257


def test_logits_where_labels_are_at_gpt2_s_vocabulary():
    tokens = Tokens(LikeGpt2())
    rows = rows_at(problems(4, tokens), 0, tokens=tokens)
    source = plain.gpt2(tokens.size, WIDTH, LAYERS, HEADS)
    model = Coconut(from_hugging_face(source), "continuous", tokens.latent, tokens.plain.like)
    batch = source_layout(rows, tokens)
    ours, theirs = best_of(3, lambda: step(model, rows, 1, tokens), lambda: plain.step(source, batch, tokens.latent))
    say("stage 0 at 50,260 rows, logits everywhere over ours", theirs / ours, 3.5, 4.5, f"{theirs:.2f} s, {ours:.2f} s")
    assert theirs / ours >= 3.5


@pytest.mark.parametrize(("stage", "parts"), [(0, 8), (6, 8), (0, 16), (6, 16)])
def test_length_sorted_parts_hold_little_padding(stage, parts):
    rows = rows_at(problems(320), stage)
    real = padded = 0
    for start in range(0, len(rows), ROWS):
        batches = [collate(part, TOKENS.eos) for part in buckets(rows[start : start + ROWS], parts)]
        real, padded = real + sum(b.real for b in batches), padded + sum(b.padded for b in batches)
    say(f"real over padded, stage {stage}, {parts} parts of 32 rows", real / padded, 0.93, 0.97)
    assert real / padded >= 0.93


def useful_flops(rows: list[Row]) -> float:
    """Multiplications and additions that the loss of these rows needs, forward and twice back, without padding."""
    total = 0
    for row in rows:
        after = row.length - len(row.prefix)
        whole_layers = (LAYERS - 1) * (12 * WIDTH**2 * row.length + WIDTH * row.length**2)
        last_layer = 2 * WIDTH**2 * len(row.prefix) + 12 * WIDTH**2 * after + 2 * WIDTH * after * row.length
        total += whole_layers + last_layer + VOCABULARY * WIDTH * labels([row])
    return 2.0 * 3 * total


@pytest.mark.parametrize(("stage", "floor", "stretch"), [(0, 0.55, 0.70), (6, 0.45, 0.60)])
def test_the_machine_does_little_else_than_multiply(stage, floor, stretch):
    rows = rows_at(problems(), stage)
    model = fast_model()
    left, right = torch.randn(2048, WIDTH), torch.randn(WIDTH, 4 * WIDTH)

    def multiply() -> None:
        for _ in range(100):
            left @ right

    peak_s, ours = best_of(5, multiply, lambda: step(model, rows, FINE))
    peak = 100 * 2 * 2048 * WIDTH * 4 * WIDTH / peak_s
    share = useful_flops(rows) / ours / peak
    say(f"share of measured matmul peak at stage {stage}", share, floor, stretch, f"peak {peak / 1e9:.0f} GFLOP/s")
    assert share >= floor
