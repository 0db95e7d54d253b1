"""Many thoughts after one text in one forward: the text once, then a block for every thought, each blind to the others.

    layout = Layout(at_BN, length=256, block=16)             # the thought n of row b comes after token at_BN[b, n]
    ids_BS = layout.pack(ids_BL, blocks_BNT)
    body(ids_BS, layout.positions(), attend=layout.attend)   # or mask=layout.mask(), the same by a dense mask

A block sees the text up to its own place, and itself up to the token that asks; its positions go on from that place. The text
sees nothing but itself. Guarantees: the numbers are those of one forward a thought over its text and its block (float64:
1e-12), and a block's cost is N*T*(L+T), not (N*T)^2, in time and in memory.

    B rows   L tokens of the text   N thoughts a row   T tokens of a block   S = L + N*T   H heads   G key heads   C channels
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Watch = Callable[[int, Tensor, Tensor, Tensor | None], None]


@dataclass(frozen=True)
class Layout:
    """Where the blocks stand and what they may see."""

    at_BN: Tensor
    length: int
    block: int

    def pack(self, ids_BL: Tensor, blocks_BNT: Tensor) -> Tensor:
        return torch.cat([ids_BL, blocks_BNT.flatten(1)], dim=1)

    def positions(self) -> Tensor:
        device = self.at_BN.device
        text = torch.arange(self.length, device=device).expand(len(self.at_BN), -1)
        block = self.at_BN[..., None] + 1 + torch.arange(self.block, device=device)
        return torch.cat([text, block.flatten(1)], dim=1)

    def blocks(self, packed_BSD: Tensor) -> Tensor:
        """The part of something packed that belongs to the blocks, (B, N, T, …)."""
        return packed_BSD[:, self.length :].unflatten(1, (-1, self.block))

    def mask(self) -> Tensor:
        """(B, 1, S, S), true where a token may look: for bodies that take a mask only, and for tests."""
        batch, thoughts = self.at_BN.shape
        device, size = self.at_BN.device, self.length + thoughts * self.block
        owner = torch.arange(thoughts, device=device).repeat_interleave(self.block)
        order = torch.arange(self.block, device=device).repeat(thoughts)
        allowed = torch.zeros(batch, size, size, dtype=torch.bool, device=device)
        allowed[:, : self.length, : self.length] = _causal(self.length, device)
        allowed[:, self.length :, : self.length] = self._sees_text().repeat_interleave(self.block, dim=1)
        own = (owner[:, None] == owner) & (order[:, None] >= order)
        allowed[:, self.length :, self.length :] = own
        return allowed[:, None]

    def _sees_text(self) -> Tensor:
        """(B, N, L): the tokens of the text up to the place of each thought."""
        return torch.arange(self.length, device=self.at_BN.device) <= self.at_BN[..., None]

    def show(self, watch: Watch, layer: int, q_BHSC: Tensor, k_BGSC: Tensor) -> None:
        """Show somebody (QK-clip) the same pairs of queries and keys, in three parts whose masks stay small."""
        cut = self.length
        q_BHNTC, k_BGNTC = (x[:, :, cut:].unflatten(2, (-1, self.block)) for x in (q_BHSC, k_BGSC))
        watch(layer, q_BHSC[:, :, :cut], k_BGSC[:, :, :cut], None)
        sees_text = self._sees_text().repeat_interleave(self.block, dim=1)[:, None]
        watch(layer, q_BHSC[:, :, cut:], k_BGSC[:, :, :cut], sees_text)
        watch(layer, q_BHNTC.transpose(1, 2).flatten(0, 1), k_BGNTC.transpose(1, 2).flatten(0, 1), None)

    def attend(self, layer: int, q_BHSC: Tensor, k_BGSC: Tensor, v_BGSC: Tensor) -> Tensor:
        """Attention of text and blocks, the keys of the text shared by all blocks."""
        cut = self.length
        text = F.scaled_dot_product_attention(
            q_BHSC[:, :, :cut], k_BGSC[:, :, :cut], v_BGSC[:, :, :cut], is_causal=True, enable_gqa=True
        )
        own_k, own_v = (x[:, :, cut:].unflatten(2, (-1, self.block)) for x in (k_BGSC, v_BGSC))
        q_BHNTC = q_BHSC[:, :, cut:].unflatten(2, (-1, self.block))
        sees = _causal(self.block, q_BHSC.device)
        blocks = shared_attention(
            q_BHNTC, k_BGSC[:, :, :cut], v_BGSC[:, :, :cut], own_k, own_v, self._sees_text()[:, :, None], sees
        )
        return torch.cat([text, blocks.flatten(2, 3)], dim=2)


def shared_attention(
    q_BHNTC: Tensor,
    k_BGLC: Tensor,
    v_BGLC: Tensor,
    own_k_BGNKC: Tensor,
    own_v_BGNKC: Tensor,
    sees_text: Tensor,
    sees_own: Tensor | None,
) -> Tensor:
    """One softmax over the text's keys, which all thoughts share, and each thought's own; nothing is copied per thought.

    `sees_text` broadcasts to (B, N, T, L), `sees_own` to (T, K); None where every own key may be seen.
    """
    batch, heads, thoughts, tokens, channels = q_BHNTC.shape
    groups, length = k_BGLC.shape[1:3]
    # the query heads of a key head stand beside each other, as in grouped-query attention
    q = q_BHNTC.reshape(batch, groups, -1, channels) * channels**-0.5
    to_text = (q @ k_BGLC.transpose(-1, -2)).view(batch, heads, thoughts, tokens, length)
    q_BGNRC = q.view(batch, groups, heads // groups, thoughts, tokens, channels).transpose(2, 3).flatten(3, 4)
    to_own = (q_BGNRC @ own_k_BGNKC.transpose(-1, -2)).unflatten(3, (-1, tokens)).transpose(2, 3).flatten(1, 2)
    to_text = to_text.masked_fill(~sees_text[:, None], -torch.inf)
    if sees_own is not None:
        to_own = to_own.masked_fill(~sees_own, -torch.inf)
    share = torch.cat([to_text, to_own], dim=-1).softmax(dim=-1)
    from_text, from_own = share.split([length, to_own.shape[-1]], dim=-1)
    text = (from_text.reshape(batch, groups, -1, length) @ v_BGLC).view(q_BHNTC.shape)
    from_own = from_own.unflatten(1, (groups, -1)).transpose(2, 3).flatten(3, 4)
    own = (from_own @ own_v_BGNKC).unflatten(3, (-1, tokens)).transpose(2, 3).flatten(1, 2)
    return text + own


def _causal(size: int, device: torch.device) -> Tensor:
    return torch.ones(size, size, dtype=torch.bool, device=device).tril()
