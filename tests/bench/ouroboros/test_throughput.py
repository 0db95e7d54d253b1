"""Real tokens of text a CPU-second in training: our batches against a nanoGPT-style padded loop, on the same pairs.

    make bench        or        FRACTAL_DATA=… .venv/bin/python -m pytest -c tests/bench/pytest.ini tests/bench/ouroboros -s

One thread, fp32, forward, backward and AdamW of 4 layers of 256. The texts are question and solution of each problem:
GSM8K's where $FRACTAL_DATA has them, else the project's own. The padded loop is the published layout: every text in a frame
of 512, padding attended, no mask, gradients of 16 texts at a time added up. Ours sorts the same batch (as many texts as the a100
preset has in one) by length and cuts it by a token budget. Both step once a batch. Rounds alternate, because the machine is
shared.
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch

from engine.config.ouroboros import Model
from engine.data import arithmetic, gsm8k
from engine.ouroboros import texts, tokenizers
from engine.ouroboros.equations import Ints
from engine.ouroboros.losses import mse
from engine.ouroboros.model import Batch, Ouroboros, Text

FRAME, PART, BUDGET, TEXTS, ROUNDS = 512, 16, 1024, 128, 3


@dataclass(frozen=True)
class Corpus:
    name: str
    encoded: texts.Texts
    vocabulary: int


def corpus() -> Corpus:
    rows: list[dict[str, object]]
    folder = gsm8k.data_folder()
    if folder and (folder / "gsm8k_train.jsonl").exists():
        name, rows = "GSM8K train", gsm8k.read_jsonl(folder / "gsm8k_train.jsonl")[:2000]
    else:
        name, rows = "generated", [json.loads(arithmetic.to_json(p)) for p in arithmetic.problems(0, 2000)]
    lines = [f"{row['question']}\n{row['answer']}" for row in rows]
    bpe = tokenizers.train_bpe(lines, 4096)
    return Corpus(name, texts.encode(lines, bpe, FRAME), bpe.size)


def batch_of(encoded: texts.Texts, rows: Ints, frame: int | None) -> Batch:
    """`frame`: pad to it and attend everything, as the published loop does."""
    padded = texts.pad(encoded, rows)
    ids, length = padded.ids_BS, padded.length_B
    if frame is not None:
        ids = np.pad(ids, ((0, 0), (0, frame - ids.shape[1])))
        length = np.full(len(rows), frame)
    ids_BS = torch.from_numpy(ids)
    blank = torch.zeros_like(ids_BS)
    columns = torch.zeros(len(rows), 4, dtype=torch.long)
    wrong = torch.arange(len(rows)) % 2 == 1
    text = Text(ids_BS, blank - 1, blank, torch.from_numpy(length))
    return Batch(columns[:, 0], columns, columns, columns, wrong, "operator", text)


class Loop:
    def __init__(self, vocabulary: int) -> None:
        torch.manual_seed(0)
        self.model = Ouroboros(Model(dim=256, layers=4, heads=8), 4, generative=False, vocabulary=vocabulary)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)

    def step(self, batches: list[Batch]) -> None:
        for batch in batches:
            mse(self.model(batch), batch).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def real_tokens_per_cpu_s(loop: Loop, encoded: texts.Texts, rows: Ints, padded: bool) -> float:
    begun = time.process_time()
    if padded:
        loop.step([batch_of(encoded, part, FRAME) for part in np.split(rows, len(rows) // PART)])
    else:
        loop.step([batch_of(encoded, rows[part], None) for part in texts.budgeted(encoded.lengths[rows], BUDGET)])
    return float(encoded.lengths[rows].sum()) / (time.process_time() - begun)


def test_real_tokens_a_second_against_a_padded_loop() -> None:
    torch.set_num_threads(1)
    found = corpus()
    loop = Loop(found.vocabulary)
    rng = np.random.default_rng(0)
    rates: dict[bool, list[float]] = {True: [], False: []}
    for padded in (True, False):
        real_tokens_per_cpu_s(loop, found.encoded, rng.permutation(2000)[:TEXTS], padded)
    for _ in range(ROUNDS):
        for padded in (True, False):
            rates[padded].append(real_tokens_per_cpu_s(loop, found.encoded, rng.permutation(2000)[:TEXTS], padded))
    ours, theirs = (statistics.median(rates[p]) for p in (False, True))
    ratios = sorted(o / t for o, t in zip(rates[False], rates[True], strict=True))
    print(
        f"\n{found.name}, {found.encoded.lengths.mean():.0f} tokens a text: padded {theirs:,.0f} real tokens a CPU-second, "
        f"ours {ours:,.0f}, ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f}), {ROUNDS} rounds"
    )
    assert statistics.median(ratios) >= 3
