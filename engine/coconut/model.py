"""COCONUT: between question and words a model's last hidden state is its next input, a few times over.

    loss = model(batch)          # the sum of cross-entropies over the batch's labels

Guarantees: the source's mathematics (its multi-pass forward, feedback through the final norm, gradients through everything, one
computation of every column), loss and gradients within 1e-5 of a slow obvious version that the tests keep. A mode whose thoughts
are known beforehand needs no passes: thoughts and words go through together, which is the same function.

    B rows   T columns   D width
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.coconut.layout import NO_LABEL, Batch
from engine.config.coconut import FeedbackMode

PAUSE_KEY = "pause_embedding"


class Memory(Protocol):
    def keep(self, rows: Tensor) -> Any: ...


class Body(Protocol):
    """What thoughts need of a transformer; `engine.coconut.gpt2` and `engine.coconut.hf_body` are such."""

    width: int
    context: int

    def table(self) -> Tensor: ...
    def logits(self, hidden: Tensor) -> Tensor: ...
    def begin(
        self, x_BPD: Tensor, positions_BP: Tensor, length_B: Tensor, think: bool
    ) -> tuple[Any, Tensor | None]: ...
    def extend(self, x_BRD: Tensor, positions_BR: Tensor, real_BR: Tensor, memory: Any) -> Tensor: ...
    def whole(
        self,
        x_BPD: Tensor,
        positions_BP: Tensor,
        length_B: Tensor,
        x_BRD: Tensor,
        positions_BR: Tensor,
        real_BR: Tensor,
    ) -> tuple[Any, Tensor]: ...


@dataclass
class Thinking:
    """Where a forward pass stands after its words: what it remembers, said and thought."""

    hidden_BTD: Tensor
    memory: Any
    thoughts: list[Tensor] = field(default_factory=list)
    """What was put at each latent position, [B, D] each."""


@dataclass(frozen=True)
class Late:
    """Columns after the prefix."""

    x: Tensor
    positions: Tensor
    real: Tensor


class Coconut(nn.Module):
    """A body and what stands at its latent positions."""

    def __init__(
        self, body: Any, mode: FeedbackMode = "continuous", latent: int | None = None, like: int | None = None
    ) -> None:
        super().__init__()
        self.body: Any = body
        self.mode = mode
        self.latent = latent
        if mode in ("frozen", "learned_shared"):
            start = body.table().detach()[like if like is not None else latent].clone()
            if mode == "frozen":
                self.register_buffer(PAUSE_KEY, start)
            else:
                self.register_parameter(PAUSE_KEY, nn.Parameter(start))

    def fixed_thought(self) -> Tensor | None:
        """What every latent position holds in a mode that knows it beforehand."""
        if self.mode == "continuous":
            return None
        if self.mode == "token":
            thought: Tensor = self.body.table()[self.latent]
            return thought
        pause: Tensor = getattr(self, PAUSE_KEY)
        return pause

    def forward(self, batch: Batch) -> Tensor:
        """The sum of cross-entropies over the labels; logits are computed where there is a label and nowhere else."""
        hidden = self.think(batch).hidden_BTD
        wanted = batch.targets_BT != NO_LABEL
        return F.cross_entropy(self.body.logits(hidden[wanted]).float(), batch.targets_BT[wanted], reduction="sum")

    def think(self, batch: Batch, change: Any = None) -> Thinking:
        """Read, think, and compute the hidden states of the words after.

        `change(at, thought_BD)` may replace what is put at latent position `at`: how thoughts are corrupted or swapped.
        """
        table = self.body.table()
        prefix, tail = F.embedding(batch.prefix_BP, table), F.embedding(batch.tail_BT, table)
        if batch.most_thoughts and self.mode == "continuous":
            return self._one_by_one(prefix, tail, batch, change)
        return self._at_once(prefix, tail, batch, change)

    def _one_by_one(self, prefix_BPD: Tensor, tail_BTD: Tensor, batch: Batch, change: Any) -> Thinking:
        """Each thought is the hidden state before it; the last goes together with the words."""
        memory, hidden = self.body.begin(prefix_BPD, batch.prefix_positions_BP, batch.prefix_len_B, True)
        thoughts: list[Tensor] = []
        for at in range(batch.most_thoughts):
            thoughts.append(hidden if change is None else change(at, hidden))
            if at < batch.most_thoughts - 1:
                hidden = self._think_once(thoughts[-1], at, batch, memory)
        late = self._late(thoughts[-1:], tail_BTD, batch)
        return Thinking(self.body.extend(late.x, late.positions, late.real, memory)[:, 1:], memory, thoughts)

    def _think_once(self, thought_BD: Tensor, at: int, batch: Batch, memory: Any) -> Tensor:
        real = (batch.thoughts_B > at)[:, None]
        positions = torch.where(real, batch.thought_positions_B(at)[:, None], 0)
        hidden: Tensor = self.body.extend(thought_BD[:, None], positions, real, memory)
        return hidden[:, 0]

    def _at_once(self, prefix_BPD: Tensor, tail_BTD: Tensor, batch: Batch, change: Any) -> Thinking:
        """No thoughts, or thoughts that are known beforehand."""
        fixed = self.fixed_thought() if batch.most_thoughts else None
        thoughts = [] if fixed is None else [fixed.expand(prefix_BPD.shape[0], -1)] * batch.most_thoughts
        if change is not None:
            thoughts = [change(at, thought) for at, thought in enumerate(thoughts)]
        late = self._late(thoughts, tail_BTD, batch)
        memory, hidden = self.body.whole(
            prefix_BPD, batch.prefix_positions_BP, batch.prefix_len_B, late.x, late.positions, late.real
        )
        return Thinking(hidden[:, len(thoughts) :], memory, thoughts)

    def _late(self, waiting: list[Tensor], tail_BTD: Tensor, batch: Batch) -> Late:
        """The thoughts that nobody has read yet and the words, together."""
        first = batch.most_thoughts - len(waiting)
        at = torch.arange(first, batch.most_thoughts, device=tail_BTD.device)
        positions = torch.cat([batch.prefix_len_B[:, None] + at, batch.tail_positions_BT], 1)
        columns = torch.arange(tail_BTD.shape[1], device=tail_BTD.device)
        real = torch.cat([batch.thoughts_B[:, None] > at, columns < batch.tail_len_B[:, None]], 1)
        x = torch.cat([*(thought[:, None] for thought in waiting), tail_BTD], 1)
        # A thought that a row doesn't have, or padding, may stand beyond the context; nobody reads it.
        return Late(x, torch.where(real, positions, 0), real)


@dataclass(frozen=True)
class Size:
    """Parameters, as Gate 0 counts them: a frozen vector is a buffer and counts as neither."""

    total: int
    trainable: int


def size_of(model: nn.Module) -> Size:
    parameters = list(model.parameters())
    return Size(sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad))
