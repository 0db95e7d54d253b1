"""What training makes small, one function an energy.

`generative` sees correct items only: what is wrong follows from what is right. `mse` is the source's loss: E(correct) to
0, E(wrong) to 1. `bce` is the same aim without the flat ends of the sigmoid, with ranking inside each quad.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.ouroboros.model import Batch, claim_of


def generative(logits: Tensor, batch: Batch) -> Tensor:
    return F.cross_entropy(logits.float().reshape(-1, logits.size(-1)), claim_of(batch).reshape(-1))


def mse(wrong_logit_B: Tensor, batch: Batch) -> Tensor:
    return F.mse_loss(torch.sigmoid(wrong_logit_B.float()), batch.wrong_B.float())


def bce(wrong_logit_B: Tensor, batch: Batch, group_size: int, rank_weight: float) -> Tensor:
    """Items come in whole groups, correct ones first: the first half is ranked against the second."""
    loss = F.binary_cross_entropy_with_logits(wrong_logit_B.float(), batch.wrong_B.float())
    if rank_weight:
        groups = wrong_logit_B.float().view(-1, group_size)
        correct, wrong = groups[:, : group_size // 2], groups[:, group_size // 2 :]
        loss = loss + rank_weight * F.softplus(correct[:, :, None] - wrong[:, None, :]).mean()
    return loss


def loss_of(name: str, output: Tensor, batch: Batch, group_size: int, rank_weight: float) -> Tensor:
    if name == "generative":
        return generative(output, batch)
    return mse(output, batch) if name == "mse" else bce(output, batch, group_size, rank_weight)


def finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value))
