"""Judging 10,000 pairs with the cpu preset's model: CPU time, one thread.

.venv/bin/python -m pytest -c tests/bench/pytest.ini tests/bench/ouroboros/test_evaluation.py -s
"""

from __future__ import annotations

import time

import numpy as np
import torch

from engine.config.ouroboros import OuroborosConfig
from engine.ouroboros import pairs
from engine.ouroboros.equations import Equations, renumber
from engine.ouroboros.metrics import Scored, measure
from engine.ouroboros.model import Ouroboros
from engine.ouroboros.scorer import Scorer


def test_ten_thousand_pairs_are_judged_and_measured_in_seconds() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    like = Equations(np.arange(4), np.full(4, 2), np.full(4, 1))
    true = renumber(like, 5_200, rng, 999, 9999)
    items = pairs.counterbalanced(true, np.arange(len(true)) // 4, rng, 999, 9999)[slice(0, 20_000)]
    config = OuroborosConfig(preset="bench")
    model = Ouroboros(config.model, 4, generative=True).eval()
    scorer = Scorer(model, {"result": 1.0}, torch.device("cpu"), config, "none", None)
    begun = time.process_time()
    energies = scorer.energies(items)
    judged = time.process_time() - begun
    measure(Scored(energies, items.wrong, items.group, items.problem), 0.5, 1000, 0)
    whole = time.process_time() - begun
    print(f"\n10,000 pairs: {judged:.2f} CPU-s to judge, {whole:.2f} CPU-s with 1,000 bootstrap resamples")
    assert whole < 20
