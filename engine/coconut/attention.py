"""Attention of a few late queries over a long prefix that many others attend too.

The thoughts of a row come one after another, and each attends the whole prefix. Plain autograd adds a gradient of the prefix's
size for every one of them. Here each leaves its small factors with the prefix, and the prefix's gradient is one matrix
product over all of them when the backward pass arrives there.

Guarantees: values and gradients of ordinary softmax attention; one backward pass.
Does not guarantee second derivatives.

    B batch   H heads   P prefix keys   S late keys   R queries   E head width
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass
class Prefix:
    """Keys and values of a prefix in one layer, outside autograd, and what late queries left for its gradient."""

    key_BHPE: Tensor
    value_BHPE: Tensor
    mask_B11P: Tensor | None
    """0 where a key is real, -inf where it is padding; None when all are real."""
    ticket: Tensor = field(default_factory=lambda: torch.zeros(()))
    """Ties late queries to the prefix in autograd's graph, so that the prefix's gradient is taken after all of theirs."""
    left: list[tuple[Tensor, Tensor, Tensor, Tensor]] = field(default_factory=list)


def offer(key_BHPE: Tensor, value_BHPE: Tensor, mask_B11P: Tensor | None) -> Prefix:
    """Make a prefix ready to be attended."""
    prefix = Prefix(key_BHPE.detach().contiguous(), value_BHPE.detach().contiguous(), mask_B11P)
    prefix.ticket = _Offer.apply(key_BHPE, value_BHPE, prefix.left)
    return prefix


class _Offer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, key, value, left):  # type: ignore[no-untyped-def]
        ctx.left = left
        return key.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx, _):  # type: ignore[no-untyped-def]
        score_grad, query, weight, out_grad = (torch.cat(parts, 2) for parts in zip(*ctx.left, strict=True))
        ctx.left.clear()
        return score_grad.transpose(-1, -2) @ query, weight.transpose(-1, -2) @ out_grad, None


def attend(
    query_BHRE: Tensor, prefix: Prefix, key_BHSE: Tensor, value_BHSE: Tensor, mask: Tensor | None, dropout: float = 0.0
) -> Tensor:
    """Attention over the prefix and the late keys; `mask` is added to the late keys' scores."""
    return _Attend.apply(query_BHRE, prefix.ticket, key_BHSE, value_BHSE, mask, prefix, dropout)


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx, query, ticket, key, value, mask, prefix, dropout):  # type: ignore[no-untyped-def]
        columns = prefix.key_BHPE.shape[2]
        query = query * (1 / math.sqrt(query.shape[-1]))
        # Whole products put together, not products into slices of one tensor: those are done head by head on a CPU.
        early, late = query @ prefix.key_BHPE.transpose(-1, -2), query @ key.transpose(-1, -2)
        if prefix.mask_B11P is not None:
            early += prefix.mask_B11P
        if mask is not None:
            late += mask
        weight = torch.softmax(torch.cat([early, late], -1), -1)
        kept = torch.nn.functional.dropout(weight, dropout) if dropout else weight
        ctx.prefix, ctx.dropout = prefix, dropout
        ctx.save_for_backward(query, key, value, weight, kept)
        return kept[..., :columns] @ prefix.value_BHPE + kept[..., columns:] @ value

    @staticmethod
    @once_differentiable
    def backward(ctx, out_grad):  # type: ignore[no-untyped-def]
        query, key, value, weight, kept = ctx.saved_tensors
        prefix = ctx.prefix
        columns = prefix.key_BHPE.shape[2]
        to_early, to_late = out_grad @ prefix.value_BHPE.transpose(-1, -2), out_grad @ value.transpose(-1, -2)
        weight_grad = torch.cat([to_early, to_late], -1)
        if ctx.dropout:
            weight_grad = torch.where(kept != 0, weight_grad / (1 - ctx.dropout), 0.0)
        score_grad = weight * (weight_grad - (weight_grad * weight).sum(-1, keepdim=True))
        to_prefix, to_late = score_grad[..., :columns], score_grad[..., columns:]
        prefix.left.append((to_prefix, query, kept[..., :columns], out_grad))
        query_grad = (to_prefix @ prefix.key_BHPE + to_late @ key) * (1 / math.sqrt(query.shape[-1]))
        key_grad = to_late.transpose(-1, -2) @ query
        value_grad = kept[..., columns:].transpose(-1, -2) @ out_grad
        return query_grad, out_grad.new_zeros(()), key_grad, value_grad, None, None, None
