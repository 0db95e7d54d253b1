"""MuGrokfast by its definition: one parameter at a time, float64, nothing in place. Slow and obvious."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.config.mugrokfast import MuGrokfastConfig


def newton_schulz(u: Tensor, steps: int) -> Tensor:
    x = u.double()
    if x.norm() < 1e-7:
        return torch.zeros_like(x)
    x = x / x.norm()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    return x.T if tall else x


@dataclass
class Slow:
    """One parameter's own optimizer."""

    config: MuGrokfastConfig
    kind: str
    decay: float
    parts: int = 1
    parts_dim: int = 0
    memory: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0

    def step(self, w: Tensor, g: Tensor, lr: float) -> Tensor:
        self.steps += 1
        c, kept = self.config, self.memory
        if c.grokfast_lambda:
            kept["ema"] = c.grokfast_alpha * kept["ema"] + (1 - c.grokfast_alpha) * g if "ema" in kept else g
            g = g + c.grokfast_lambda * kept["ema"]
        if self.kind == "adamw":
            (b1, b2), zero = c.betas, torch.zeros_like(g)
            kept["m"] = b1 * kept.get("m", zero) + (1 - b1) * g
            kept["v"] = b2 * kept.get("v", zero) + (1 - b2) * g * g
            m, v = kept["m"] / (1 - b1**self.steps), kept["v"] / (1 - b2**self.steps)
            return w * (1 - lr * self.decay) - lr * m / (v.sqrt() + c.eps)
        m = kept.get("momentum", torch.zeros_like(g))
        kept["momentum"] = m = m + (1 - c.momentum) * (g - m)
        u = g + c.momentum * (m - g) if c.nesterov else m
        orthogonal = torch.cat(
            [newton_schulz(part, c.ns_steps) for part in u.chunk(self.parts, self.parts_dim)], self.parts_dim
        )
        rows, columns = w.chunk(self.parts, self.parts_dim)[0].shape
        return w * (1 - lr * self.decay) - lr * 0.2 * max(rows, columns) ** 0.5 * orthogonal
