"""How much of a prediction comes from the thought, and the two tokens that open and close it.

`Mixing`: w = sigmoid(MLP([hidden without | hidden with])), one weight for each predicted token; logits = w * without +
(1 - w) * with. It begins at w = 1/2 everywhere. `Edges`: an offset for the start and the end token's embedding, parameters of
their own so that they can have a rate of their own (a factor on the gradient would be divided out again by Adam).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Mixed:
    logits: Tensor
    weight: Tensor
    """Of the prediction without the thought, one a predicted token."""


class Mixing(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(2 * width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )
        nn.init.zeros_(self.mlp[-1].weight)
        nn.init.zeros_(self.mlp[-1].bias)

    def forward(self, hidden: Tensor, thought_hidden: Tensor, logits: Tensor, thought_logits: Tensor) -> Mixed:
        weight = self.mlp(torch.cat([hidden, thought_hidden], dim=-1)).sigmoid()
        return Mixed(weight * logits + (1 - weight) * thought_logits, weight[..., 0])


class Edges(nn.Module):
    """Installed on an embedding, it adds its offsets where the start or the end token is read."""

    def __init__(self, width: int, start_id: int, end_id: int) -> None:
        super().__init__()
        self.start_id, self.end_id, self.active = start_id, end_id, True
        self.offset_2D = nn.Parameter(torch.zeros(2, width))

    def install(self, table: nn.Embedding) -> None:
        self._hook = table.register_forward_hook(self._add)

    @contextmanager
    def off(self) -> Iterator[None]:
        """The table as it is, while the context lasts."""
        before, self.active = self.active, False
        try:
            yield
        finally:
            self.active = before

    def remove(self) -> None:
        self._hook.remove()

    def _add(self, module: nn.Module, inputs: tuple[Tensor], embedded: Tensor) -> Tensor:
        if not self.active:
            return embedded
        ids = inputs[0][..., None]
        start, end = self.offset_2D.to(embedded.dtype)
        return embedded + (ids == self.start_id) * start + (ids == self.end_id) * end
