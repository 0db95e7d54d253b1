"""Supervised fine-tuning on labelled reasoning: a mode of its own (`bake.mode: sft`), and the warm-up before baking.

It teaches by cross-entropy and bakes no prompt. As a warm-up the *prompt* stands in front: a champion whose thinking tokens are
new can't write them however it is prompted, so there would be nothing to bake. Adapters learn, and the thinking tokens' rows do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.quietstar.causal import Causal
from engine.quietstar.dataset import ReasoningDataset, collate, shifted_accuracy, shifted_loss
from engine.quietstar.tokens import tables_of


@dataclass(frozen=True)
class Lesson:
    loss: Tensor
    token_accuracy: float


def lesson(reader: Causal, data: ReasoningDataset, rows: Sequence[int]) -> Lesson:
    """Loss and token accuracy of some examples, both shifted and without padding."""
    batch: dict[str, Any] = collate([data[at] for at in rows])
    device = next(reader.model.parameters()).device
    ids, real, labels = (batch[name].to(device) for name in ("input_ids", "attention_mask", "labels"))
    logits = reader.logits(reader.hidden(ids, real.bool()))
    return Lesson(shifted_loss(logits, labels), shifted_accuracy(logits.detach(), labels))


def let_rows_learn(model: nn.Module, rows: Sequence[int]) -> Callable[[], None]:
    """These rows of the table get gradients, the others none; what is returned freezes them all again."""
    hooks = []
    for table in tables_of(model):
        table.requires_grad_(True)
        hooks.append(table.register_hook(lambda grad: _only(grad, rows)))

    def freeze() -> None:
        for hook in hooks:
            hook.remove()
        for table in tables_of(model):
            table.requires_grad_(False)

    return freeze


def _only(grad_VD: Tensor, rows: Sequence[int]) -> Tensor:
    kept = torch.zeros_like(grad_VD)
    kept[rows] = grad_VD[rows]
    return kept
