"""One temperature, fitted on validation items, before any threshold is applied to an energy."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from engine.ouroboros.model import Batch


def temperature(output: Tensor, batch: Batch) -> float:
    """The temperature with the least negative log-likelihood: a fine grid, since the curve is cheap and one-humped."""
    grid = np.geomspace(0.25, 4.0, 81)
    return float(grid[int(np.argmin([_nll(output, batch, float(t)) for t in grid]))])


def _nll(output: Tensor, batch: Batch, at: float) -> float:
    if output.ndim == 1:
        return float(F.binary_cross_entropy_with_logits(output.float() / at, batch.wrong_B.float()))
    right = ~batch.wrong_B
    return float(F.cross_entropy(output[right].float().flatten(0, 1) / at, batch.claimed_BW[right].flatten()))
