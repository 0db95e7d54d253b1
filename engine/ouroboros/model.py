"""The encoder with its energies.

Letters: B items, T positions, W columns of digits, S tokens of text, D width, H heads.

An item is one step: W columns (place value and one digit of each operand in every column, ones first), with the operator
on all of them, and the text before the step behind the columns where the model reads text. Attention goes both ways, RoPE
gives the distances, padding is never attended.

Two energies, by config:
- generative: what is claimed is not shown but predicted, and E = 1 - p(claimed). The claim is the result's digits (tier
  T1), or, with the question as context, the operator or the second number (tier T2); the result is shown to neither;
- discriminative (`mse`, `bce`): the whole step is shown, a marker position [E] feeds an MLP D -> D/2 -> 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.config.ouroboros import Model as ModelConfig

MASKED_DIGIT = 10
MASKED_OP = 4
Task = Literal["result", "operator", "operand"]


@dataclass(frozen=True)
class Batch:
    """B items on one device, all of one task."""

    op_B: Tensor
    a_BW: Tensor
    b_BW: Tensor
    claimed_BW: Tensor
    wrong_B: Tensor
    task: Task = "result"
    text: Text | None = None

    def __len__(self) -> int:
        return len(self.op_B)

    def __getitem__(self, rows_B: Tensor) -> Batch:
        text = None if self.text is None else self.text[rows_B]
        fields = (self.op_B, self.a_BW, self.b_BW, self.claimed_BW, self.wrong_B)
        return Batch(*(field[rows_B] for field in fields), self.task, text)

    def to(self, device: torch.device) -> Batch:
        text = None if self.text is None else self.text.to(device)
        fields = (self.op_B, self.a_BW, self.b_BW, self.claimed_BW, self.wrong_B)
        return Batch(*(field.to(device) for field in fields), self.task, text)

    @property
    def positions(self) -> int:
        """Real positions, padding not counted."""
        return self.a_BW.numel() + (int(self.text.length_B.sum()) if self.text is not None else 0)


@dataclass(frozen=True)
class Text:
    """The contexts of a batch, padded with zeros."""

    ids_BS: Tensor
    place_BS: Tensor
    """Place value of a digit, ones are 0; -1 for what is no digit."""
    mention_BS: Tensor
    """1 where the token is of a number that equals the first operand, 2 for the second (where it is shown), 3 for both."""
    length_B: Tensor

    def to(self, device: torch.device) -> Text:
        return Text(*(field.to(device) for field in (self.ids_BS, self.place_BS, self.mention_BS, self.length_B)))

    def __getitem__(self, rows_B: Tensor) -> Text:
        return Text(self.ids_BS[rows_B], self.place_BS[rows_B], self.mention_BS[rows_B], self.length_B[rows_B])


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
        self.mention = None if vocabulary is None else nn.Embedding(4, dim)
        self.rotary = Rotary(dim // cfg.heads)
        self.blocks = nn.ModuleList(Block(cfg, self.rotary) for _ in range(cfg.layers))
        self.norm = nn.RMSNorm(dim)
        self.result = nn.Linear(dim, 10) if generative else None
        self.operand = nn.Linear(dim, 10) if generative and vocabulary is not None else None
        self.operation = nn.Linear(dim, 4) if generative and vocabulary is not None else None
        self.energy = None if generative else nn.Sequential(nn.Linear(dim, dim // 2), nn.GELU(), nn.Linear(dim // 2, 1))
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.5)

    def forward(self, batch: Batch) -> Tensor:
        """Generative: logits of the claim, digits (B, W, 10) or operator (B, 4). Else: the logit of being wrong (B,)."""
        hidden_BTD, attend = self._embed(batch)
        self.rotary.grow(hidden_BTD.size(1))
        for block in self.blocks:
            hidden_BTD = block(hidden_BTD, attend)
        if self.energy is not None:
            return self.energy(self.norm(hidden_BTD[:, self.width]))[:, 0]
        columns_BWD = self.norm(hidden_BTD[:, : self.width])
        head = {"result": self.result, "operand": self.operand, "operator": self.operation}[batch.task]
        if head is None:
            raise ValueError(f"this model reads no text and can't judge the {batch.task} of a step")
        return head(columns_BWD.mean(dim=1) if batch.task == "operator" else columns_BWD)

    def _embed(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        op_B, b_BW = batch.op_B, batch.b_BW
        if self.generative and batch.task == "operator":
            op_B = torch.full_like(op_B, MASKED_OP)
        if self.generative and batch.task == "operand":
            b_BW = torch.full_like(b_BW, MASKED_DIGIT)
        operator_B1D = self.operator(op_B)[:, None]
        parts = [self.digit_a(batch.a_BW) + self.digit_b(b_BW) + self.place.weight[: self.width] + operator_B1D]
        if self.claimed is not None:
            parts[0] = parts[0] + self.claimed(batch.claimed_BW)
            parts.append(self.place.weight[self.width] + operator_B1D)
        if self.text is None or batch.text is None:
            return torch.cat(parts, dim=1), None
        before = sum(p.size(1) for p in parts)
        hidden_BTD = torch.cat([*parts, self._embed_text(batch.text)], dim=1)
        position_T = torch.arange(hidden_BTD.size(1), device=hidden_BTD.device)
        attend_BT = position_T[None] < (batch.text.length_B + before)[:, None]
        return hidden_BTD, None if bool(attend_BT.all()) else attend_BT[:, None, None]

    def _embed_text(self, text: Text) -> Tensor:
        """A digit in the text shares its place's embedding with the columns."""
        assert self.text is not None
        assert self.mention is not None
        has_place = (text.place_BS >= 0) & (text.place_BS < self.width)
        place_BSD = self.place(text.place_BS.clamp(0, self.width - 1)) * has_place[..., None]
        return self.text(text.ids_BS) + place_BSD + self.mention(text.mention_BS)


def energy(output: Tensor, batch: Batch, temperature: float = 1.0) -> Tensor:
    """E of each item in [0, 1] from what the model gave for the batch."""
    if output.ndim == 1:
        return torch.sigmoid(output.float() / temperature)
    log_p = torch.log_softmax(output.float() / temperature, dim=-1)
    claim = claim_of(batch)
    return -torch.expm1(log_p.gather(-1, claim[..., None])[..., 0].reshape(len(batch), -1).sum(dim=1))


def claim_of(batch: Batch) -> Tensor:
    """What a generative energy predicts: (B, W) digits or (B,) operators."""
    return {"result": batch.claimed_BW, "operand": batch.b_BW, "operator": batch.op_B}[batch.task]
