"""Share of a GPU's peak in training at the a100 preset's size: 12 layers of 512, bf16, real tokens only.

    FRACTAL_DATA=… .venv/bin/python -m pytest -c tests/bench/pytest.ini tests/bench/ouroboros/test_gpu.py -s

Counts what the loss needs: 6 times the blocks' weights for each real token, and attention over each text's own length; padding
and the embedding's look-up count as nothing. Skips where there is no CUDA device.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from engine.config.ouroboros import Model
from engine.ouroboros import texts
from engine.ouroboros.losses import mse
from engine.ouroboros.model import Ouroboros
from tests.bench.ouroboros.test_throughput import batch_of, corpus

LAYERS, DIM, TEXTS, BUDGET, ROUNDS = 12, 512, 512, 65_536, 8
# Dense bf16 without sparsity, from the makers' data sheets, by a word of the device's name.
PEAK_TFLOPS = {"A100": 312.0, "H100": 989.0, "H200": 989.0, "A10": 125.0, "L4": 121.0}


def useful_flops(lengths: np.ndarray) -> float:
    """Forward and twice back."""
    weights = 12 * DIM**2 * LAYERS
    return float(6 * weights * lengths.sum() + 12 * LAYERS * DIM * (lengths.astype(float) ** 2).sum())


def peak() -> float:
    name = torch.cuda.get_device_name()
    known = [tflops for word, tflops in PEAK_TFLOPS.items() if word in name]
    if not known:
        pytest.skip(f"the peak of {name} is not in the table")
    return max(known) * 1e12


@pytest.mark.parametrize("compiled", [False, True])
def test_share_of_the_peak(compiled: bool) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    found, device = corpus(), torch.device("cuda")
    torch.manual_seed(0)
    model = Ouroboros(Model(dim=DIM, layers=LAYERS, heads=8), 4, generative=False, vocabulary=found.vocabulary).to(
        device
    )
    stepped = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    rows = np.random.default_rng(0).permutation(2000)[:TEXTS]
    parts = [
        batch_of(found.encoded, rows[p], None).to(device) for p in texts.budgeted(found.encoded.lengths[rows], BUDGET)
    ]

    def step() -> None:
        for batch in parts:
            with torch.autocast("cuda", torch.bfloat16):
                mse(stepped(batch), batch).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _ in range(3):
        step()
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(ROUNDS):
        step()
    torch.cuda.synchronize()
    seconds = (time.perf_counter() - begun) / ROUNDS
    tokens = float(found.encoded.lengths[rows].sum())
    share = useful_flops(found.encoded.lengths[rows]) / seconds / peak()
    print(f"\n{torch.cuda.get_device_name()}, compile {compiled}: {tokens / seconds:,.0f} real tokens/s, "
          f"MFU {share:.1%} (goal 45 %), {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")  # fmt: skip
    if compiled:
        assert share >= 0.45
