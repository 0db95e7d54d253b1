"""How coherent a thought is, judged by the frozen baked model and not by the one that is learning. No head is trained for it.

- semantic (40 %): does it speak of this text? The cosine of the thought's mean hidden state and the text's, brought to 0..1.
- syntactic (30 %): does it read as a thought? The baked model's geometric mean probability of its tokens.
- predictive (30 %): does it tell what comes? How much likelier the true tokens after it are, sigmoid of the mean gain.

All lie in 0..1, one value a thought. Predictive looks at true tokens, as reward does: it is for judging, never for answering.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.quietstar.reward import log_likelihood
from engine.quietstar.thinker import Talk

SHARES = {"semantic": 0.4, "syntactic": 0.3, "predictive": 0.3}


@dataclass(frozen=True)
class Coherence:
    """One value a thought, (B, N)."""

    semantic: Tensor
    syntactic: Tensor
    predictive: Tensor

    @property
    def composite(self) -> Tensor:
        parts: Tensor = sum(share * getattr(self, name) for name, share in SHARES.items())
        return parts

    def means(self) -> dict[str, float]:
        return {name: float(getattr(self, name).mean()) for name in (*SHARES, "composite")}


@torch.no_grad()
def coherence(baked: Talk, thoughts_BNT: Tensor, true_BNA: Tensor) -> Coherence:
    """`baked`: what the frozen baked model says of these thoughts."""
    cosine = F.cosine_similarity(baked.plain_hidden_BND, baked.thought_hidden_BND, dim=-1)
    said = baked.thought_logits_BNTV.float().log_softmax(dim=-1).gather(-1, thoughts_BNT[..., None])[..., 0]
    gain = log_likelihood(baked.after_logits_BNAV, true_BNA) - log_likelihood(baked.plain_logits_BNAV, true_BNA)
    return Coherence((1 + cosine) / 2, said.mean(dim=-1).exp(), (gain / true_BNA.shape[-1]).sigmoid())
