"""What the figures are measured on: 32 problems, a 4 x 256 GPT-2, one thread, CPU time."""

import time
from collections.abc import Callable
from random import Random

import torch

from engine.coconut.gpt2 import GPT2
from engine.coconut.layout import Row, buckets, collate, labels, training_row
from engine.coconut.model import Coconut
from engine.coconut.tokens import Encoded, Tokens, Words, encode_sample
from engine.config.coconut import Variant
from engine.data.prosqa_generator import generate

torch.set_num_threads(1)

WIDTH, LAYERS, HEADS, ROWS = 256, 4, 8, 32
VOCABULARY = 71
TOKENS = Tokens(Words())


def problems(count: int = ROWS, tokens: Tokens = TOKENS, seed: int = 16) -> list[Encoded]:
    return [encode_sample(tokens, s) for s in generate(count, seed)]


def rows_at(samples: list[Encoded], stage: int, mode: str = "continuous", tokens: Tokens = TOKENS) -> list[Row]:
    variant = Variant(name="bench", coconut=True, feedback_mode=mode)
    return [training_row(s, tokens, variant, stage, Random(0)) for s in samples]


def fast_model(mode: str = "continuous", vocabulary: int = VOCABULARY, tokens: Tokens = TOKENS) -> Coconut:
    torch.manual_seed(0)
    return Coconut(GPT2(vocabulary, WIDTH, LAYERS, HEADS, 1024), mode, tokens.latent, tokens.plain.like)


def step(model: Coconut, rows: list[Row], parts: int, tokens: Tokens = TOKENS) -> None:
    """A micro-batch's forward and backward, as training does it, collation included."""
    count = labels(rows)
    for part in buckets(rows, parts):
        (model(collate(part, tokens.eos)) / count).backward()
    model.zero_grad(set_to_none=True)


def cpu_s(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def best_of(rounds: int, *works: Callable[[], None]) -> list[float]:
    """The least CPU seconds of each, taken in turns: a neighbour's load hits all alike."""
    for work in works:
        work()
    times = [[cpu_s(work) for work in works] for _ in range(rounds)]
    return [min(column) for column in zip(*times, strict=True)]


def say(what: str, value: float, floor: float, stretch: float, detail: str = "", higher: bool = True) -> None:
    reached = value >= stretch if higher else value <= stretch
    print(f"\n{what}: {value:.3f}  (floor {floor}, stretch {stretch}{', reached' if reached else ''})  {detail}")
