"""The same optimizer written the obvious way, twice: what MuGrokfast is measured against. Written from the algorithms.

plain: gradients filtered in a loop, Muon in a loop over matrices in bfloat16, AdamW in a loop: what the algorithms' pages show.
hooked: gradients filtered in a loop, then torch's own Muon and its fused AdamW.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def filter_gradients(model: nn.Module, averages: dict[str, Tensor], alpha: float, weight: float) -> None:
    """Grokfast, by its definition: an average of every gradient is kept, and a multiple of it added."""
    for name, p in model.named_parameters():
        if p.grad is None:
            continue
        if name not in averages:
            averages[name] = p.grad.detach().clone()
        else:
            averages[name] = averages[name] * alpha + p.grad.detach() * (1 - alpha)
        p.grad = p.grad + averages[name] * weight


def newton_schulz(u: Tensor, steps: int = 5) -> Tensor:
    x = u.bfloat16()
    if u.size(0) > u.size(1):
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        factor = -4.7750 * gram + 2.0315 * gram @ gram
        x = 3.4445 * x + factor @ x
    return x.T if u.size(0) > u.size(1) else x


class PlainMuon:
    """Momentum and Newton-Schulz for matrices, AdamW by hand for the rest."""

    def __init__(self, matrices: list[Tensor], others: list[Tensor], lr: float, decay: float) -> None:
        self.matrices, self.others, self.lr, self.decay = matrices, others, lr, decay
        self.momentum = [torch.zeros_like(p) for p in matrices]
        self.first = [torch.zeros_like(p) for p in others]
        self.second = [torch.zeros_like(p) for p in others]
        self.steps = 0

    @torch.no_grad()
    def step(self) -> None:
        self.steps += 1
        for p, momentum in zip(self.matrices, self.momentum, strict=True):
            momentum.lerp_(p.grad, 1 - 0.95)
            update = newton_schulz(p.grad.lerp(momentum, 0.95))
            p.mul_(1 - self.lr * self.decay)
            p.add_(update.to(p.dtype), alpha=-self.lr * 0.2 * max(p.shape) ** 0.5)
        for p, first, second in zip(self.others, self.first, self.second, strict=True):
            first.lerp_(p.grad, 1 - 0.9)
            second.lerp_(p.grad.square(), 1 - 0.95)
            direction = (first / (1 - 0.9**self.steps)) / ((second / (1 - 0.95**self.steps)).sqrt() + 1e-8)
            p.mul_(1 - self.lr * self.decay)
            p.add_(direction, alpha=-self.lr)
