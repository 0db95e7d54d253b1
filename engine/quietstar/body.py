"""The small transformer of phase 3: decoder only, RoPE, every matrix an `nn.Linear` of its own, the head tied to the table.

    body = Body(Size(vocabulary=21, width=64, layers=2, heads=4))
    hidden_BTD, logits_BTV = body(ids_BT)                              # causal
    hidden_BTD, logits_BTV = body(ids_BT, positions_BT, mask, cache)   # bool, True = may attend; (T, K) or (B, 1, T, K)

- `cache` is a `Cache()`; a call appends the keys and values of its tokens (after RoPE), `cache.keys[layer]` is (B, G, K, C).
  Positions default to what the cache's length says. With a cache, a mask has one column for every cached key and every new one.
- `attend(layer, q_BHTC, k_BGTC, v_BGTC) -> mixed_BHTC` replaces attention altogether (mask and cache are then its own affair):
  thoughts that share the base's keys and keep their own are decoded that way.
- `body.watch(layer, q, k, mask)`, where set, is shown queries and keys of every pass without such an `attend`: QK-clip's place.
- `body.table()` is the embedding, `body.logits(hidden)` the head, `body.context` the longest sequence that it was made for.

Guarantees: a cached, a masked and a whole forward give the same numbers (float64: 1e-12). It does not mask padding unless told.

    B rows   T tokens   K keys   D width   H heads   G key heads   C channels of a head   V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


class Output(NamedTuple):
    hidden: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Size:
    """What a body is built from; a checkpoint keeps it."""

    vocabulary: int
    width: int = 64
    layers: int = 2
    heads: int = 4
    key_heads: int | None = None
    """Fewer than `heads`: grouped-query attention. None: as many."""
    context: int = 512
    room: int | None = None
    """The most rows that the table may ever have; None sets no limit."""

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} does not divide into {self.heads} heads of even width")
        if self.heads % self.groups:
            raise ValueError(f"{self.heads} heads can't share {self.groups} key heads")

    @property
    def groups(self) -> int:
        return self.key_heads or self.heads

    @property
    def channels(self) -> int:
        return self.width // self.heads

    def to_dict(self) -> dict[str, int | None]:
        return asdict(self)


@dataclass
class Cache:
    """Keys and values of what was read so far, one pair a layer."""

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    @property
    def length(self) -> int:
        return self.keys[0].shape[2] if self.keys else 0

    def append(self, layer: int, k_BGTC: Tensor, v_BGTC: Tensor) -> tuple[Tensor, Tensor]:
        """Keep them; all keys and values of the layer."""
        if layer == len(self.keys):
            self.keys.append(k_BGTC)
            self.values.append(v_BGTC)
        else:
            self.keys[layer] = torch.cat([self.keys[layer], k_BGTC], dim=2)
            self.values[layer] = torch.cat([self.values[layer], v_BGTC], dim=2)
        return self.keys[layer], self.values[layer]


def rotate(x_BHTC: Tensor, positions: Tensor, base: float = 10_000.0) -> Tensor:
    """RoPE. Positions are (T,) or (B, T); they may repeat or jump, as a thought's do."""
    half = x_BHTC.shape[-1] // 2
    at = torch.arange(half, device=x_BHTC.device, dtype=torch.float64 if x_BHTC.dtype == torch.float64 else torch.float)
    angle = positions[..., None].to(at.dtype) * base ** (-at / half)
    if positions.ndim == 2:
        angle = angle[:, None]
    cos, sin = angle.cos().to(x_BHTC.dtype), angle.sin().to(x_BHTC.dtype)
    left, right = x_BHTC.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


class Block(nn.Module):
    """Attention and MLP, each normed before and added to the stream."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.channels = size.channels
        kv = size.groups * size.channels
        self.norm_attention, self.norm_mlp = nn.RMSNorm(size.width, eps=1e-6), nn.RMSNorm(size.width, eps=1e-6)
        self.q = nn.Linear(size.width, size.width, bias=False)
        self.k = nn.Linear(size.width, kv, bias=False)
        self.v = nn.Linear(size.width, kv, bias=False)
        self.o = nn.Linear(size.width, size.width, bias=False)
        self.up = nn.Linear(size.width, 4 * size.width, bias=False)
        self.down = nn.Linear(4 * size.width, size.width, bias=False)

    def project(self, x_BTD: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, C) and keys (B, G, T, C) at their positions, and values (B, G, T, C)."""
        normed = self.norm_attention(x_BTD)
        q, k, v = (self._heads(matrix(normed)) for matrix in (self.q, self.k, self.v))
        return rotate(q, positions), rotate(k, positions), v

    def _heads(self, x_BTE: Tensor) -> Tensor:
        return x_BTE.unflatten(-1, (-1, self.channels)).transpose(1, 2)

    def finish(self, x_BTD: Tensor, mixed_BHTC: Tensor) -> Tensor:
        """The stream after attention's result and the MLP."""
        x_BTD = x_BTD + self.o(mixed_BHTC.transpose(1, 2).flatten(2))
        return x_BTD + self.down(F.gelu(self.up(self.norm_mlp(x_BTD))))


class Body(nn.Module):
    """The transformer. `blocks[i].project` and `.finish` are there for those who attend in a way of their own."""

    def __init__(self, size: Size, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.size = size
        self.tokens = nn.Embedding(size.vocabulary, size.width)
        self.blocks = nn.ModuleList(Block(size) for _ in range(size.layers))
        self.norm = nn.RMSNorm(size.width, eps=1e-6)
        self.watch: Callable[[int, Tensor, Tensor, Tensor | None], None] | None = None
        for name, p in self.named_parameters():
            if p.ndim == 2:  # a tied head wants rows of length one; what adds to the stream starts small
                deep = 1 / (2 * size.layers) ** 0.5 if name.endswith(("o.weight", "down.weight")) else 1.0
                nn.init.normal_(p, std=deep * p.shape[1] ** -0.5, generator=generator)

    @property
    def context(self) -> int:
        return self.size.context

    def table(self) -> Tensor:
        return self.tokens.weight

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.tokens.weight)

    def forward(
        self,
        ids_BT: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: Cache | None = None,
        attend: Attend | None = None,
    ) -> Output:
        past = cache.length if cache is not None else 0
        if positions is None:
            positions = torch.arange(past, past + ids_BT.shape[1], device=ids_BT.device)
        attend = attend or plain_attention(mask, cache, self.watch)
        x_BTD = self.tokens(ids_BT)
        for layer, block in enumerate(self.blocks):
            q, k, v = block.project(x_BTD, positions)
            x_BTD = block.finish(x_BTD, attend(layer, q, k, v))
        hidden_BTD = self.norm(x_BTD)
        return Output(hidden_BTD, self.logits(hidden_BTD))


def plain_attention(mask: Tensor | None, cache: Cache | None, watch: Any = None) -> Attend:
    """Attention over the cache and the new tokens: masked as told, else causal."""

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if cache is not None:
            k, v = cache.append(layer, k, v)
        if watch is not None:
            watch(layer, q, k, mask)
        grouped = q.shape[1] != k.shape[1]
        if mask is None and q.shape[2] == k.shape[2]:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
        allowed = mask if mask is not None else causal(q.shape[2], k.shape[2], q.device)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, enable_gqa=grouped)

    return attend


def causal(new: int, keys: int, device: torch.device | None = None) -> Tensor:
    """(new, keys): the new tokens are the last of the keys and see all up to themselves."""
    return torch.ones(new, keys, dtype=torch.bool, device=device).tril(keys - new)
