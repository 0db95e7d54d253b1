"""Muon: momentum whose update is made orthogonal, for the matrices of the encoder; AdamW keeps the rest.

An update with equal singular values moves every direction of a matrix, also those that a few loud gradients would drown;
on these small models it needs about half of the steps. Matrices of one shape are orthogonalised together, because on a
CPU the many small products would otherwise cost more than the model.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def orthogonal(stack_NRC: Tensor, rounds: int = 5) -> Tensor:
    """Newton-Schulz towards U V^T of each matrix: singular values end between about 0.7 and 1.2, near enough."""
    a, b, c = 3.4445, -4.7750, 2.0315  # the quintic's slope at zero is as steep as it may be while it stays bounded
    x = stack_NRC / (stack_NRC.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    for _ in range(rounds):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """For matrices only. A (3D, D) matrix is taken for the joined q, k and v and split, since each is its own map."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.01) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[tuple[Tensor, Tensor]]] = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                update = self._momentum(p, group["momentum"])
                for part, part_update in zip(_parts(p), _parts(update), strict=True):
                    by_shape.setdefault(tuple(part.shape), []).append((part, part_update))
            for (rows, columns), members in by_shape.items():
                stack = orthogonal(torch.stack([u for _, u in members]))
                size = group["lr"] * max(1.0, rows / columns) ** 0.5
                for (part, _), update in zip(members, stack, strict=True):
                    part.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-size)

    def _momentum(self, p: Tensor, momentum: float) -> Tensor:
        state = self.state[p]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(p)
        assert p.grad is not None
        state["momentum"].lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(state["momentum"], momentum)


def _parts(matrix: Tensor) -> tuple[Tensor, ...]:
    rows, columns = matrix.shape
    return matrix.split(columns) if rows == 3 * columns else (matrix,)
