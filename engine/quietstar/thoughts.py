"""Sampling thoughts at many places of a text at once: the text is read once, its keys are shared, no graph is kept.

    thoughts_BNT = sample(reader, ids_BL, at_BN, length=12, start_id=think, temperature=1.0, generator=g)

Guarantees: every row and every place gets its own thought, all of them are returned; a thought sees the text up to its place
and itself, never another thought and nothing of what comes after (`tests` compare with one sequence a thought).

    B rows   L tokens of the text   N thoughts a row   T tokens of a thought   V vocabulary   K own keys so far
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.quietstar.errors import ThoughtError
from engine.quietstar.packed import shared_attention


class Decoder(Protocol):
    """A text that was read, and the thoughts that go on from it, one token each at a call."""

    def step(self, ids_BN: Tensor) -> Tensor:
        """The logits after one more token of every thought, (B, N, V)."""
        ...


class SharedCache:
    """Keys and values of a text, shared, and of every thought, its own. Its `attend` is what a body is given."""

    def __init__(self, at_BN: Tensor, length: int) -> None:
        self.sees_text = (torch.arange(length, device=at_BN.device) <= at_BN[..., None])[:, :, None]
        self.text: list[tuple[Tensor, Tensor]] = []
        self.own: list[tuple[Tensor, Tensor]] = []

    def read(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.text.append((k, v))
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

    def step(self, layer: int, q_BHNC: Tensor, k_BGNC: Tensor, v_BGNC: Tensor) -> Tensor:
        new = (k_BGNC[:, :, :, None], v_BGNC[:, :, :, None])
        if layer == len(self.own):
            self.own.append(new)
        else:
            old = self.own[layer]
            self.own[layer] = (torch.cat([old[0], new[0]], dim=3), torch.cat([old[1], new[1]], dim=3))
        mixed = shared_attention(q_BHNC[:, :, :, None], *self.text[layer], *self.own[layer], self.sees_text, None)
        return mixed[:, :, :, 0]


@torch.no_grad()
def sample(
    decoder: Decoder,
    at_BN: Tensor,
    length: int,
    start_id: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """`length` tokens of every thought, (B, N, T); `temperature` 0 takes the likeliest."""
    ids_BN = torch.full_like(at_BN, start_id)
    found = []
    for _ in range(length):
        ids_BN = _drawn(decoder.step(ids_BN), temperature, generator)
        found.append(ids_BN)
    return torch.stack(found, dim=-1)


def _drawn(logits_BNV: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    if temperature == 0:
        return logits_BNV.argmax(dim=-1)
    shares = (logits_BNV.float() / temperature).softmax(dim=-1)
    return torch.multinomial(shares.flatten(0, 1), 1, generator=generator).view(logits_BNV.shape[:2])


def must_fit(last_place: int, block: int, context: int) -> None:
    """A block of a thought must end inside the context."""
    if last_place + 1 + block > context:
        raise ThoughtError(
            f"a thought of {block} tokens (with its edges and the tokens after it) from position {last_place + 1} goes over"
            f" the context of {context}: lower rl.thought_tokens or rl.ahead, or use shorter texts (rl.span)"
        )


def places(entropy_BL: Tensor, choice: str, share: float, random_share: float, generator: torch.Generator) -> Tensor:
    """Where to think, (B, J), rising. `all`, or `entropy`: the share of highest entropy and a random share of the others.

    `entropy_BL` covers the places that may be chosen, and holds minus infinity where none may be.
    """
    batch, length = entropy_BL.shape
    allowed = torch.isfinite(entropy_BL)
    if choice == "all":
        count = int(allowed.sum(dim=1).min())
        return entropy_BL.isfinite().int().topk(count, dim=1).indices.sort(dim=1).values
    usable = int(allowed.sum(dim=1).min())
    top, random = max(1, round(usable * share)), round(usable * random_share)
    chance = torch.rand(batch, length, generator=generator).to(entropy_BL.device)
    chance = chance.masked_fill(~allowed, -1.0).scatter(1, entropy_BL.topk(top, dim=1).indices, 2.0)
    return chance.topk(min(usable, top + random), dim=1).indices.sort(dim=1).values
