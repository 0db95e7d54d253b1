"""What a thought earns, and what the model learns from it. Pure.

The reward of a thought is how likely it makes the true tokens after it, relative to the mean over the thoughts of its place;
only thoughts better than that mean are learned from, by REINFORCE on the log-probabilities of their own tokens. Beside it
stand the loss of the mixed prediction, the exact KL to the frozen baked model over the whole vocabulary, and the entropy.

    B rows   J places   R thoughts a place   N = J*R   T tokens of a thought   A predicted tokens   V vocabulary
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Weights:
    """What each part of the loss counts."""

    policy: float
    kl: float
    entropy: float


@dataclass(frozen=True)
class Loss:
    total: Tensor
    prediction: Tensor
    policy: Tensor
    kl: Tensor
    entropy: Tensor
    reward_BN: Tensor


def log_likelihood(logits_BNAV: Tensor, true_BNA: Tensor) -> Tensor:
    """log p of the true tokens of every thought, summed, (B, N)."""
    return (
        -F.cross_entropy(logits_BNAV.flatten(0, 2).float(), true_BNA.flatten(), reduction="none")
        .view(true_BNA.shape)
        .sum(dim=-1)
    )


def advantage(reward_BN: Tensor, thoughts: int) -> Tensor:
    """Reward above the mean of the thoughts at the same place; what lies below counts nothing."""
    reward_BJR = reward_BN.detach().unflatten(1, (-1, thoughts))
    return (reward_BJR - reward_BJR.mean(dim=-1, keepdim=True)).clamp_min(0).flatten(1)


def exact_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p || q) over the whole vocabulary, the mean over tokens."""
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean()


def loss_of(
    thought_logits_BNTV: Tensor,
    thoughts_BNT: Tensor,
    logits_BNAV: Tensor,
    true_BNA: Tensor,
    baked_log_p_BNTV: Tensor,
    thoughts: int,
    weights: Weights,
) -> Loss:
    """The whole loss of one packed forward."""
    reward_BN = log_likelihood(logits_BNAV, true_BNA)
    log_p = thought_logits_BNTV.float().log_softmax(dim=-1)
    said_BN = log_p.gather(-1, thoughts_BNT[..., None])[..., 0].sum(dim=-1)
    policy = -(advantage(reward_BN, thoughts) * said_BN).mean()
    kl = exact_kl(log_p, baked_log_p_BNTV)
    entropy = -(log_p.exp() * log_p).sum(dim=-1).mean()
    prediction = -reward_BN.mean() / true_BNA.shape[-1]
    total = prediction + weights.policy * policy + weights.kl * kl - weights.entropy * entropy
    return Loss(total, prediction, policy, kl, entropy, reward_BN.detach())


@torch.no_grad()
def diversity(thoughts_BNT: Tensor, thoughts: int) -> float:
    """The share of tokens in which two thoughts of one place differ; 0 where there is one thought only."""
    if thoughts == 1:
        return 0.0
    apart = thoughts_BNT.unflatten(1, (-1, thoughts))
    differ = (apart[:, :, :, None] != apart[:, :, None]).float().mean(dim=-1)
    pairs = thoughts * (thoughts - 1)
    return float(differ.sum(dim=(2, 3)).mean() / pairs)
