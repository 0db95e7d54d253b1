"""How coherent a thought is, judged by the frozen baked model and not by the one that is learning. No head is trained for it.

- semantic (40 %): does it speak of this text? How much likelier its tokens are here than after another text of the batch, sigmoid
  of the mean difference of log-probabilities. (The cosine of hidden states says nothing, see docs/LOG.md.)
- syntactic (30 %): does it read as a thought? The baked model's geometric mean probability of its tokens.
- predictive (30 %): does it tell what comes? The geometric mean probability of the true tokens after it. (Not their gain over no
  thought: a baked model without its thought says <think>, and every thought gains everything.)

All lie in 0..1, one value a thought. Predictive looks at true tokens, as reward does: it is for judging, never for answering.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.quietstar.reward import log_likelihood
from engine.quietstar.thinker import Talk, TalkOf, truth

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
def coherence(
    baked: TalkOf, ids_BL: Tensor, at_BN: Tensor, thoughts_BNT: Tensor, ahead: int, here: Talk | None = None
) -> Coherence:
    """`here`: what the baked model says of these thoughts, where that is known already."""
    here = here or baked(ids_BL, at_BN, thoughts_BNT, ahead)
    elsewhere = baked(ids_BL.roll(1, dims=0), at_BN.roll(1, dims=0), thoughts_BNT, 1)
    said, said_elsewhere = (_said(talk, thoughts_BNT) for talk in (here, elsewhere))
    true_BNA = truth(ids_BL, at_BN, ahead)
    comes = log_likelihood(here.after_logits_BNAV, true_BNA) / ahead
    return Coherence((said - said_elsewhere).sigmoid(), said.exp(), comes.exp())


def _said(talk: Talk, thoughts_BNT: Tensor) -> Tensor:
    """The mean log-probability of a thought's tokens, (B, N)."""
    log_p = talk.thought_logits_BNTV.float().log_softmax(dim=-1)
    return log_p.gather(-1, thoughts_BNT[..., None])[..., 0].mean(dim=-1)
