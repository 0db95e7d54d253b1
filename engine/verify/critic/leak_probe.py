"""What a critic could get without reading the program: length, leftovers of fences, truncation, and the bag of its tokens.

A logistic regression on those, trained and measured as the critic is. A critic that isn't above it has learned surface.
"""

from __future__ import annotations

import collections
import math

import numpy as np
import torch
import torch.nn.functional as F

from engine.verify.critic.items import Item
from engine.verify.critic.measure import Interval, auc_within_problems
from engine.verify.critic.tokens import code_tokens


def probe_auc(train: list[Item], val: list[Item], seed: int, most_words: int = 400) -> Interval:
    """AUC within problems of the probe's scores on the validation side."""
    counts = collections.Counter(word for item in train for word in set(code_tokens(item.code)))
    words = {word: at for at, (word, _) in enumerate(counts.most_common(most_words))}
    x, mean, deviation = _scaled(_features(train, words))
    weights = _fit(x, torch.tensor([float(i.failed) for i in train]))
    seen = (_features(val, words) - mean) / deviation
    logit = (seen @ weights[:-1] + weights[-1]).numpy()
    return auc_within_problems([i.task_id for i in val], -logit, np.array([i.failed for i in val]), seed)


def _features(items: list[Item], words: dict[str, int]) -> torch.Tensor:
    rows = np.zeros((len(items), 5 + len(words)), dtype=np.float32)
    for at, item in enumerate(items):
        tokens = code_tokens(item.code)
        lines = item.code.count("\n")
        rows[at, :5] = [math.log1p(len(item.code)), math.log1p(len(tokens)), lines, item.truncated, item.fenced]
        for word, n in collections.Counter(tokens).items():
            if word in words:
                rows[at, 5 + words[word]] = math.log1p(n)
    return torch.from_numpy(rows)


def _scaled(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    mean, deviation = x.mean(0), x.std(0).clamp(min=1e-3)
    return (x - mean) / deviation, mean, deviation


def _fit(x: torch.Tensor, y: torch.Tensor, strength: float = 1e-2) -> torch.Tensor:
    """Logistic regression with an L2 penalty, by a fixed number of LBFGS steps."""
    weights = torch.zeros(x.shape[1] + 1, requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        solver.zero_grad()
        logit = x @ weights[:-1] + weights[-1]
        loss = F.binary_cross_entropy_with_logits(logit, y) + strength * (weights[:-1] ** 2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)
    return weights.detach()
