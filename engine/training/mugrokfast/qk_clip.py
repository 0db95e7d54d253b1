"""QK-clip: after a step, heads whose attention logits grew above a threshold get smaller query and key maps.

    clip = QKClip(heads_by_layer, threshold=30.0)
    body.watch = clip.see                                    # shown queries and keys of the passes that learn
    MuGrokfast(groups, config, after_step=clip)

S of a head is its largest q.k/sqrt(channels) over the allowed pairs since the last step; gamma = threshold / S where S is above
it. Queries and keys are scaled by sqrt(gamma) each; where query heads share a key head, or only one of the two maps learns, that
one takes all of gamma. A frozen map is never touched; an adapter scales what the student sees and leaves its base, the teacher,
as it is.

Guarantees: with the weights it saw, the largest logit after a clip is at most the threshold. S is exact where it matters: the
bound max|q| max|k| is taken first, and scores are computed for heads whose bound is above the threshold.
Letters: B rows, H heads, G key heads, T queries, K keys, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Rows:
    """The rows of a map that make queries, or keys; `first` is not 0 where q, k and v are joined."""

    module: nn.Module
    first: int = 0

    @property
    def learns(self) -> bool:
        return any(p.requires_grad for p in self.module.parameters())

    @torch.no_grad()
    def scale(self, first: int, end: int, factor: Tensor) -> None:
        first, end = self.first + first, self.first + end
        if hasattr(self.module, "scale_rows"):
            self.module.scale_rows(first, end, factor)
            return
        weight, bias = self.module.weight, getattr(self.module, "bias", None)
        (weight[:, first:end] if type(self.module).__name__ == "Conv1D" else weight[first:end]).mul_(factor)
        if bias is not None:
            bias[first:end].mul_(factor)


@dataclass(frozen=True)
class Heads:
    """One layer's query and key maps."""

    q: Rows
    k: Rows
    heads: int
    key_heads: int
    channels: int


class QKClip:
    """Watches and clips the layers that it was given; `last_largest` and `clipped` say what it saw and did."""

    def __init__(self, layers: Mapping[int, Heads], threshold: float) -> None:
        self.layers, self.threshold = dict(layers), threshold
        self.last_largest = 0.0
        self.clipped = 0
        """Heads clipped so far, one counted every time."""
        self._seen: dict[int, Tensor] = {}

    @torch.no_grad()
    def see(self, layer: int, q_BHTC: Tensor, k_BGKC: Tensor, mask: Tensor | None, scale: float | None = None) -> None:
        """Note the largest logit of every head. Passes without gradients are the teacher's or an evaluation's: not counted."""
        if not q_BHTC.requires_grad and not k_BGKC.requires_grad:
            return
        largest_H = largest_logits(q_BHTC, k_BGKC, mask, self.threshold, scale)
        before = self._seen.get(layer)
        self._seen[layer] = largest_H if before is None else torch.maximum(before, largest_H)

    @torch.no_grad()
    def __call__(self) -> None:
        """Clip what was seen since the last call."""
        for layer, largest_H in self._seen.items():
            self.last_largest = float(largest_H.max())
            if self.last_largest > self.threshold:
                gamma_H = (self.threshold / largest_H).clamp_max(1.0)
                self.clipped += int((gamma_H < 1).sum())
                _clip(self.layers[layer], gamma_H)
        self._seen = {}


def _clip(layer: Heads, gamma_H: Tensor) -> None:
    q_learns, k_learns = layer.q.learns, layer.k.learns
    share = layer.heads != layer.key_heads
    on_q = gamma_H if share or not k_learns else gamma_H.sqrt()
    for head in torch.nonzero(gamma_H < 1).flatten().tolist():
        first, end = head * layer.channels, (head + 1) * layer.channels
        if q_learns:
            layer.q.scale(first, end, on_q[head])
        if k_learns and not share:
            layer.k.scale(first, end, gamma_H[head].sqrt() if q_learns else gamma_H[head])


def largest_logits(
    q_BHTC: Tensor, k_BGKC: Tensor, mask: Tensor | None, threshold: float, scale: float | None = None
) -> Tensor:
    """S of each head; a bound that is not above the threshold stands as it is. `mask` None: causal."""
    heads, groups, channels = q_BHTC.shape[1], k_BGKC.shape[1], q_BHTC.shape[-1]
    scale = channels**-0.5 if scale is None else scale
    longest_q_H = torch.linalg.vector_norm(q_BHTC.float(), dim=-1).amax(dim=(0, 2))
    longest_k_G = torch.linalg.vector_norm(k_BGKC.float(), dim=-1).amax(dim=(0, 2))
    largest_H = longest_q_H * longest_k_G.repeat_interleave(heads // groups) * scale
    for head in torch.nonzero(largest_H > threshold).flatten().tolist():
        found = _exact(q_BHTC[:, head], k_BGKC[:, head * groups // heads], _of_head(mask, head))
        largest_H[head] = found * scale
    return largest_H


def _exact(q_BTC: Tensor, k_BKC: Tensor, mask: Any) -> Tensor:
    """The largest q.k over allowed pairs, a row of the batch at a time: scores of the whole batch may not fit."""
    new, keys = q_BTC.shape[1], k_BKC.shape[1]
    if mask is None:
        mask = torch.ones(new, keys, dtype=torch.bool, device=q_BTC.device).tril(keys - new)
    best = q_BTC.new_zeros((), dtype=torch.float32)
    for row, (q_TC, k_KC) in enumerate(zip(q_BTC.float(), k_BKC.float(), strict=True)):
        allowed = mask if mask.ndim == 2 else mask[min(row, len(mask) - 1)]
        best = torch.maximum(best, (q_TC @ k_KC.T).masked_fill(~allowed, 0.0).max())
    return best


def _of_head(mask: Tensor | None, head: int) -> Tensor | None:
    """(T, K) or (B, T, K) of booleans, from what attention was given."""
    if mask is None:
        return None
    allowed = mask if mask.dtype == torch.bool else mask >= 0  # an additive mask holds 0 or a very negative number
    return allowed[:, min(head, allowed.shape[1] - 1)] if allowed.ndim == 4 else allowed
