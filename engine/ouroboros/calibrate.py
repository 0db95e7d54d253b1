"""One temperature, fitted on validation items, before any threshold is applied to an energy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from engine.ouroboros import losses
from engine.ouroboros.model import Batch


def temperature(judged: Sequence[tuple[Tensor, Batch]]) -> float:
    """The temperature with the least negative log-likelihood: a fine grid, since the curve is cheap and one-humped."""
    grid = np.geomspace(0.25, 4.0, 81)
    items = sum(len(b) for _, b in judged)
    nll = [sum(_nll(output, b, float(t)) * len(b) for output, b in judged) / items for t in grid]
    return float(grid[int(np.argmin(nll))])


def _nll(output: Tensor, batch: Batch, at: float) -> float:
    if output.ndim == 1:
        return float(F.binary_cross_entropy_with_logits(output.float() / at, batch.wrong_B.float()))
    right = batch[~batch.wrong_B]
    return float(losses.generative(output[~batch.wrong_B] / at, right))
