"""The last stage of a curriculum to fewer thought tokens: the prediction without a thought learns from the one with it.

Fast Quiet-STaR's way to keep what thinking taught and pay nothing for it at answering. The teacher is the thinker's own mixture
after a greedy thought, without gradient; the student is the same body without a thought; forward KL over the whole vocabulary.
It changes what the answers rest on: a distilled model is no thinker any more, and the tests for theatre say so.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from engine.quietstar.learner import Batch
from engine.quietstar.reward import exact_kl
from engine.quietstar.thinker import Thinker


def distil(
    thinker: Thinker,
    batch_of: Callable[[int], Batch],
    optimizer: torch.optim.Optimizer,
    steps: int,
    thought_tokens: int,
    ahead: int,
) -> list[float]:
    """The KL of every step."""
    seen = []
    for step in range(steps):
        batch = batch_of(step)
        thoughts = thinker.think(batch.ids_BL, batch.at_BJ, thought_tokens, temperature=0.0)
        talk = thinker.talk(batch.ids_BL, batch.at_BJ, thoughts, ahead)
        teacher = talk.logits_BNAV.detach().float().log_softmax(dim=-1)
        loss = exact_kl(teacher, talk.plain_logits_BNAV.float().log_softmax(dim=-1))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seen.append(float(loss.detach()))
    return seen
