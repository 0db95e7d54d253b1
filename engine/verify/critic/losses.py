"""What a critic is taught by. Logits are of failing; a score is the logit turned round.

Ranking losses look at problems with both verdicts; the others feed calibration alone. Letters: B items.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.config.verify import Critic as CriticConfig


def loss_of(logit_B: Tensor, failed_B: Tensor, group_B: Tensor, cfg: CriticConfig) -> Tensor:
    """The loss of the config's name, with its share of calibration."""
    bce = F.binary_cross_entropy_with_logits(logit_B, failed_B)
    if cfg.loss == "bce":
        return bce
    if cfg.loss == "contrastive":
        return contrastive(logit_B, failed_B)
    ranked = {"listwise": listwise, "pairwise": pairwise}.get(cfg.loss)
    ranking = margin(logit_B, failed_B, group_B, cfg.margin) if ranked is None else ranked(logit_B, failed_B, group_B)
    return ranking + cfg.calibration * bce


def fault_loss(fault_BT: Tensor, differs_BT: Tensor) -> Tensor:
    """Each position's own verdict, where something is known; faults weigh as much as all the rest."""
    known = differs_BT >= 0
    if not known.any():
        return fault_BT.sum() * 0.0
    target = differs_BT[known]
    rare = (1 - target).sum() / target.sum().clamp(min=1)
    return F.binary_cross_entropy_with_logits(fault_BT[known], target, pos_weight=rare.clamp(1, 20))


def contrastive(logit_B: Tensor, failed_B: Tensor) -> Tensor:
    """Energy to 0 for what passes, to 1 for what fails, in squares: the published form."""
    return ((logit_B.sigmoid() - failed_B) ** 2).mean()


def listwise(logit_B: Tensor, failed_B: Tensor, group_B: Tensor) -> Tensor:
    """-log of the share of a problem's softmax that falls on passing programs, mean over mixed problems."""
    losses = []
    for group in group_B.unique():
        here = group_B == group
        score, failed = -logit_B[here], failed_B[here] > 0.5
        if failed.any() and not failed.all():
            losses.append(score.logsumexp(0) - score[~failed].logsumexp(0))
    return torch.stack(losses).mean() if losses else logit_B.sum() * 0.0


def pairwise(logit_B: Tensor, failed_B: Tensor, group_B: Tensor) -> Tensor:
    """Softplus over all pairs of one problem."""
    gap, pairs = _gaps(logit_B, failed_B, group_B)
    return (F.softplus(-gap) * pairs).sum() / pairs.sum().clamp(min=1)


def margin(logit_B: Tensor, failed_B: Tensor, group_B: Tensor, by: float) -> Tensor:
    """A failing program's logit should stand above a passing one's of the same problem by a margin."""
    gap, pairs = _gaps(logit_B, failed_B, group_B)
    return (F.relu(by - gap) * pairs).sum() / pairs.sum().clamp(min=1)


def _gaps(logit_B: Tensor, failed_B: Tensor, group_B: Tensor) -> tuple[Tensor, Tensor]:
    """Logit of failing minus logit of passing for every pair, and which pairs count."""
    gap_BB = logit_B[:, None] - logit_B[None, :]
    same_BB = group_B[:, None] == group_B[None, :]
    pairs_BB = same_BB & (failed_B[:, None] > 0.5) & (failed_B[None, :] < 0.5)
    return gap_BB, pairs_BB.float()
