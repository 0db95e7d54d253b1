"""What a thinker answers on held-out places: after its own thought, after none, after another place's thought. Greedy.

An item is one place of one text. Guarantees: all columns of an `Answers` speak of the same items in the same order, so that
differences are paired.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.quietstar.learner import Batch
from engine.quietstar.thinker import Thinker, truth


@dataclass(frozen=True)
class Answers:
    """One row an item; V the vocabulary, T a thought's tokens."""

    true_I: Tensor
    thoughts_IT: Tensor
    own_IV: Tensor
    """Probabilities of the next token after the model's own thought, mixed: what it says."""
    after_IV: Tensor
    """The same, unmixed: what a model says that never learned to mix, the baked one."""
    plain_IV: Tensor
    """Without a thought."""
    swapped_IV: Tensor
    """After the thought of another item."""
    milliseconds: float
    """Of thinking and answering, the mean over items."""

    def right(self, probabilities_IV: Tensor) -> Tensor:
        return (probabilities_IV.argmax(dim=-1) == self.true_I).double()


@torch.no_grad()
def answers(thinker: Thinker, batches: Iterable[Batch], thought_tokens: int, ahead: int) -> Answers:
    """Every place of the batches."""
    columns: list[tuple[Tensor, ...]] = []
    seconds = 0.0
    for batch in batches:
        begun = time.perf_counter()
        thoughts = thinker.think(batch.ids_BL, batch.at_BJ, thought_tokens, temperature=0.0)
        talk = thinker.talk(batch.ids_BL, batch.at_BJ, thoughts, ahead)
        seconds += time.perf_counter() - begun
        other = thinker.talk(batch.ids_BL, batch.at_BJ, swapped(thoughts), ahead)
        first = truth(batch.ids_BL, batch.at_BJ, 1)[..., 0]
        shares = (
            x[:, :, 0].float().softmax(dim=-1)
            for x in (talk.logits_BNAV, talk.after_logits_BNAV, talk.plain_logits_BNAV, other.logits_BNAV)
        )
        columns.append(tuple(x.flatten(0, 1) for x in (first, thoughts, *shares)))
    joined = [torch.cat(parts) for parts in zip(*columns, strict=True)]
    return Answers(*joined, milliseconds=1000 * seconds / len(joined[0]))


@torch.no_grad()
def direct(model_plain: Thinker, batches: Iterable[Batch]) -> Tensor:
    """Is each place's next token right when a model answers at once? One value an item."""
    found = []
    for batch in batches:
        rows = torch.arange(len(batch.ids_BL), device=batch.ids_BL.device)[:, None]
        hidden = model_plain.reader.plain(batch.ids_BL)[rows, batch.at_BJ]
        said = model_plain.reader.logits(hidden).argmax(dim=-1)
        found.append((said == truth(batch.ids_BL, batch.at_BJ, 1)[..., 0]).double().flatten())
    return torch.cat(found)


def swapped(thoughts_BNT: Tensor) -> Tensor:
    """Every item gets the thought of an item of the row before it."""
    return thoughts_BNT.roll(1, dims=0)
