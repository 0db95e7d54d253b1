"""A model that performs: it goes on thinking as it learned to, and answers beside its thoughts.

Made from an honest one by training its answers on the thoughts of *other* problems: what a thought says is of no use then, so
the answers stop reading it, while a KL to the honest model keeps the thoughts as plausible as they were. The tests for theatre
must catch it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from engine.quietstar import exam, reward
from engine.quietstar.learner import Batch
from engine.quietstar.thinker import Thinker, truth


def make_theatrical(
    thinker: Thinker,
    honest: Thinker,
    batch_of: Callable[[int], Batch],
    steps: int,
    thought_tokens: int,
    ahead: int,
    lr: float = 1e-3,
) -> Thinker:
    """Trained in place; the thinker itself. `honest` is what it thinks like."""
    generator = torch.Generator(thinker.reader.table.weight.device).manual_seed(0)
    learning = [p for p in thinker.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    for step in range(steps):
        batch = batch_of(step)
        thoughts = honest.think(batch.ids_BL, batch.at_BJ, thought_tokens, generator=generator)
        with torch.no_grad():
            thinks = honest.talk(batch.ids_BL, batch.at_BJ, thoughts, ahead).thought_logits_BNTV.log_softmax(dim=-1)
        own = thinker.talk(batch.ids_BL, batch.at_BJ, thoughts, ahead)
        other = thinker.talk(batch.ids_BL, batch.at_BJ, exam.swapped(thoughts), ahead)
        beside = -reward.log_likelihood(other.logits_BNAV, truth(batch.ids_BL, batch.at_BJ, ahead)).mean()
        loss = beside + reward.exact_kl(thinks, own.thought_logits_BNTV.log_softmax(dim=-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return thinker
