"""The encoder with its energies.

Letters: B items, T positions, W columns of digits, S tokens of text, D width, H heads.

An item is one step: W columns (place value and one digit of each operand in every column, ones first), with the operator
on all of them, and the text before the step behind the columns where the model reads text. Attention goes both ways, RoPE
gives the distances, padding is never attended.

Two energies, by config:
- generative: the result is not shown; each column predicts its digit; E = 1 - p(claimed digits);
- discriminative (`mse`, `bce`): the claimed digits are shown, a marker position [E] feeds an MLP D -> D/2 -> 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.config.ouroboros import Model as ModelConfig

MASKED_DIGIT = 10
MASKED_OP = 4


@dataclass(frozen=True)
class Batch:
    """B items on one device."""

    op_B: Tensor
    a_BW: Tensor
    b_BW: Tensor
    claimed_BW: Tensor
    wrong_B: Tensor
    text_BS: Tensor | None = None
    text_length_B: Tensor | None = None

    def __len__(self) -> int:
        return len(self.op_B)


class Rotary(nn.Module):
    """Turns pairs of a head's channels by an angle that grows with the position; made longer when a batch needs it."""

    def __init__(self, head_dim: int, base: float = 10_000.0) -> None:
        super().__init__()
        self.register_buffer("speed", base ** (-torch.arange(0, head_dim, 2) / head_dim), persistent=False)
        self.register_buffer("cos_TC", torch.empty(0, head_dim), persistent=False)
        self.register_buffer("sin_TC", torch.empty(0, head_dim), persistent=False)

    def grow(self, length: int) -> None:
        if len(self.cos_TC) < length:
            angle = torch.outer(torch.arange(length, device=self.speed.device, dtype=self.speed.dtype), self.speed)
            angle = torch.cat([angle, angle], dim=-1)
            self.cos_TC, self.sin_TC = angle.cos(), angle.sin()

    def forward(self, x_BHTC: Tensor) -> Tensor:
        length = x_BHTC.size(-2)
        left, right = x_BHTC.chunk(2, dim=-1)
        turned = torch.cat([-right, left], dim=-1)
        cos, sin = self.cos_TC[:length].to(x_BHTC.dtype), self.sin_TC[:length].to(x_BHTC.dtype)
        return x_BHTC * cos + turned * sin


class Block(nn.Module):
    """Attention and MLP, each normed before and added to the stream."""

    def __init__(self, cfg: ModelConfig, rotary: Rotary) -> None:
        super().__init__()
        self.heads, self.dropout, self.rotary = cfg.heads, cfg.dropout, rotary
        self.norm_attention, self.norm_mlp = nn.RMSNorm(cfg.dim), nn.RMSNorm(cfg.dim)
        self.qkv = nn.Linear(cfg.dim, 3 * cfg.dim, bias=False)
        self.mix = nn.Linear(cfg.dim, cfg.dim, bias=False)
        self.up = nn.Linear(cfg.dim, 4 * cfg.dim, bias=False)
        self.down = nn.Linear(4 * cfg.dim, cfg.dim, bias=False)
        for matrix in (self.mix, self.down):  # a fresh block changes nothing, so depth costs no warm-up
            nn.init.zeros_(matrix.weight)

    def forward(self, x_BTD: Tensor, attend_B11T: Tensor | None) -> Tensor:
        B, T, D = x_BTD.shape
        qkv = self.qkv(self.norm_attention(x_BTD)).view(B, T, 3, self.heads, D // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(self.rotary(q), self.rotary(k), v, attend_B11T, dropout)
        x_BTD = x_BTD + self._drop(self.mix(mixed.transpose(1, 2).reshape(B, T, D)))
        return x_BTD + self._drop(self.down(F.gelu(self.up(self.norm_mlp(x_BTD)))))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class Ouroboros(nn.Module):
    """`vocabulary` None: the model reads no text."""

    def __init__(self, cfg: ModelConfig, width: int, generative: bool, vocabulary: int | None = None) -> None:
        super().__init__()
        self.width, self.generative = width, generative
        dim = cfg.dim
        self.digit_a = nn.Embedding(11, dim)
        self.digit_b = nn.Embedding(11, dim)
        self.operator = nn.Embedding(5, dim)
        self.place = nn.Embedding(width + 1, dim)
        """The last place is the marker [E]."""
        self.claimed = None if generative else nn.Embedding(10, dim)
        self.text = None if vocabulary is None else nn.Embedding(vocabulary, dim)
        self.rotary = Rotary(dim // cfg.heads)
        self.blocks = nn.ModuleList(Block(cfg, self.rotary) for _ in range(cfg.layers))
        self.norm = nn.RMSNorm(dim)
        self.result = nn.Linear(dim, 10) if generative else None
        self.energy = None if generative else nn.Sequential(nn.Linear(dim, dim // 2), nn.GELU(), nn.Linear(dim // 2, 1))
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.5)

    def forward(self, batch: Batch) -> Tensor:
        """Generative: logits of the result's digits (B, W, 10). Else: the logit of being wrong (B,)."""
        hidden_BTD, attend = self._embed(batch)
        self.rotary.grow(hidden_BTD.size(1))
        for block in self.blocks:
            hidden_BTD = block(hidden_BTD, attend)
        if self.result is not None:
            return self.result(self.norm(hidden_BTD[:, : self.width]))
        assert self.energy is not None
        return self.energy(self.norm(hidden_BTD[:, self.width]))[:, 0]

    def _embed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        columns = self.digit_a(batch.a_BW) + self.digit_b(batch.b_BW) + self.place.weight[: self.width]
        operator_B1D = self.operator(batch.op_B)[:, None]
        columns = columns + operator_B1D
        parts = [columns]
        if self.claimed is not None:
            parts[0] = columns + self.claimed(batch.claimed_BW)
            parts.append(self.place.weight[self.width] + operator_B1D)
        if self.text is None or batch.text_BS is None:
            return torch.cat(parts, dim=1), None
        before = sum(p.size(1) for p in parts)
        hidden_BTD = torch.cat([*parts, self.text(batch.text_BS)], dim=1)
        assert batch.text_length_B is not None
        position_T = torch.arange(hidden_BTD.size(1), device=hidden_BTD.device)
        attend_BT = position_T[None] < (batch.text_length_B + before)[:, None]
        return hidden_BTD, None if bool(attend_BT.all()) else attend_BT[:, None, None]


def energy(output: Tensor, batch: Batch, temperature: float = 1.0) -> Tensor:
    """E of each item in [0, 1] from what the model gave for the batch."""
    if output.ndim == 1:
        return torch.sigmoid(output / temperature)
    log_p_BW = torch.log_softmax(output.float() / temperature, dim=-1).gather(2, batch.claimed_BW[..., None])[..., 0]
    return -torch.expm1(log_p_BW.sum(dim=1))
