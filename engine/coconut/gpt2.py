"""GPT-2 in three movements: read a prefix, think one column at a time, finish with the words after.

Guarantees: the function of Hugging Face's GPT-2 for the same weights (tests compare), every column computed once, and nothing
computed that nobody reads: in the last layer a prefix gives its keys and values only, plus the one column a thought starts from.

    B rows   T columns   D width   H heads   E head width (D = H * E)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.coconut.attention import Prefix, attend, offer


@dataclass
class Memory:
    """What later columns attend: the prefix, and the late columns so far."""

    prefixes: list[Prefix] = field(default_factory=list)
    late: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    """Keys and values of late columns, a pair for each layer."""
    late_real_BS: Tensor | None = None
    """Which late columns are real; None while there are none."""

    def keep(self, rows: Tensor) -> Memory:
        """The memory of some of the rows, for an evaluation that goes on without the finished ones."""
        prefixes = [
            Prefix(p.key_BHPE[rows], p.value_BHPE[rows], None if p.mask_B11P is None else p.mask_B11P[rows])
            for p in self.prefixes
        ]
        real = None if self.late_real_BS is None else self.late_real_BS[rows]
        return Memory(prefixes, [(k[rows], v[rows]) for k, v in self.late], real)


class Block(nn.Module):
    """One layer, its attention left to the caller."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def split(self, x: Tensor) -> Tensor:
        """[B, T, n * D] as n tensors [B, H, T, E]."""
        rows, columns, _ = x.shape
        parts = x.view(rows, columns, -1, self.heads, self.qkv.in_features // self.heads)
        return parts.permute(2, 0, 3, 1, 4)

    def queries_keys_values(self, x_BTD: Tensor) -> Tensor:
        return self.split(_linear(self.ln_1(x_BTD), self.qkv.weight, self.qkv.bias))

    def keys_values(self, x_BTD: Tensor) -> Tensor:
        width = self.qkv.in_features
        return self.split(_linear(self.ln_1(x_BTD), self.qkv.weight[width:], self.qkv.bias[width:]))

    def queries(self, x_BTD: Tensor) -> Tensor:
        width = self.qkv.in_features
        return self.split(_linear(self.ln_1(x_BTD), self.qkv.weight[:width], self.qkv.bias[:width]))[0]

    def rest(self, x_BTD: Tensor, heard_BHTE: Tensor) -> Tensor:
        """What follows attention: mix the heads, then the two-layer part."""
        heard = heard_BHTE.transpose(1, 2).reshape(x_BTD.shape)
        if _fuses(x_BTD) and not self.attention_dropout:
            x_BTD = _FUSED.binary(heard, x_BTD, self.mix.weight, self.mix.bias, "add")
            inner = _FUSED(self.ln_2(x_BTD), self.up.weight, self.up.bias, "gelu", [], "tanh")
            return _FUSED.binary(inner, x_BTD, self.down.weight, self.down.bias, "add")
        x_BTD = x_BTD + self._drop(self.mix(heard))
        inner = F.gelu(self.up(self.ln_2(x_BTD)), approximate="tanh")
        return x_BTD + self._drop(self.down(inner))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x

    @property
    def attention_dropout(self) -> float:
        return self.dropout if self.training else 0.0


class GPT2(nn.Module):
    """The body: embeddings in, hidden states after the last norm out."""

    def __init__(
        self,
        rows: int,
        width: int,
        layers: int,
        heads: int,
        context: int = 1024,
        dropout: float = 0.0,
        std: float = 0.02,
    ) -> None:
        super().__init__()
        self.width, self.context, self.dropout = width, context, dropout
        self.tokens = nn.Embedding(rows, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self._start(layers, std)

    def _start(self, layers: int, std: float) -> None:
        """GPT-2's own start (its std is 0.02): normal weights, paths back into the stream scaled by depth."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=std)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=std)
        for block in self.blocks:
            for layer in (block.mix, block.down):
                nn.init.normal_(layer.weight, std=std / math.sqrt(2 * layers))

    def table(self) -> Tensor:
        """The embedding of every token; the head uses the same."""
        return self.tokens.weight

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden @ self.table().T

    def _enter(self, x_BTD: Tensor, positions_BT: Tensor) -> Tensor:
        return F.dropout(x_BTD + self.positions(positions_BT), self.dropout, self.training)

    def begin(self, x_BPD: Tensor, positions_BP: Tensor, length_B: Tensor, think: bool) -> tuple[Memory, Tensor | None]:
        """Read a prefix padded on the right; with `think`, also the hidden state of each row's last column."""
        columns = x_BPD.shape[1]
        real = torch.arange(columns, device=length_B.device) < length_B[:, None]
        x = self._enter(x_BPD, positions_BP)
        mask = None if bool(real.all()) else _additive(real, x)[:, None, None]
        memory = Memory()
        for block in self.blocks[:-1]:
            query, key, value = block.queries_keys_values(x)
            memory.prefixes.append(offer(key, value, mask))
            x = block.rest(
                x, F.scaled_dot_product_attention(query, key, value, None, block.attention_dropout, is_causal=True)
            )
        last = self.blocks[-1]
        key, value = last.keys_values(x)
        memory.prefixes.append(offer(key, value, mask))
        return memory, self._last_column(last, x, length_B, memory.prefixes[-1]) if think else None

    def _last_column(self, block: Block, x_BPD: Tensor, length_B: Tensor, prefix: Prefix) -> Tensor:
        """The last layer at each row's last column alone."""
        at = (length_B - 1)[:, None, None].expand(-1, 1, x_BPD.shape[-1])
        x = x_BPD.gather(1, at)
        query = block.queries(x)
        heard = attend(query, prefix, query[:, :, :0], query[:, :, :0], None, block.attention_dropout)
        return self.norm(block.rest(x, heard))[:, 0]

    def whole(
        self,
        x_BPD: Tensor,
        positions_BP: Tensor,
        length_B: Tensor,
        x_BRD: Tensor,
        positions_BR: Tensor,
        real_BR: Tensor,
    ) -> tuple[Memory, Tensor]:
        """`begin` and `extend` in one go, for columns that are all known: the same values, fewer and larger products."""
        columns = x_BPD.shape[1]
        real = torch.arange(columns, device=length_B.device) < length_B[:, None]
        x = self._enter(torch.cat([x_BPD, x_BRD], 1), torch.cat([positions_BP, positions_BR], 1))
        mask = None if bool(real.all()) else _additive(real, x)[:, None, None]
        late_mask = _late_mask(real_BR, x_BRD.shape[1], x)
        memory = Memory(late_real_BS=real_BR)
        for block in self.blocks[:-1]:
            # Split once, not sliced thrice: the gradient of a split is one concatenation.
            early, late = block.queries_keys_values(x).split([columns, x_BRD.shape[1]], 3)
            memory.prefixes.append(offer(early[1], early[2], mask))
            memory.late.append((late[1], late[2]))
            first = F.scaled_dot_product_attention(
                early[0], early[1], early[2], None, block.attention_dropout, is_causal=True
            )
            second = attend(late[0], memory.prefixes[-1], late[1], late[2], late_mask, block.attention_dropout)
            x = block.rest(x, torch.cat([first, second], 2))
        last = self.blocks[-1]
        early, late = last.keys_values(x).split([columns, x_BRD.shape[1]], 3)
        memory.prefixes.append(offer(early[0], early[1], mask))
        memory.late.append((late[0], late[1]))
        x = x[:, columns:]
        heard = attend(last.queries(x), memory.prefixes[-1], *memory.late[-1], late_mask, last.attention_dropout)
        return memory, self.norm(last.rest(x, heard))

    def extend(self, x_BRD: Tensor, positions_BR: Tensor, real_BR: Tensor, memory: Memory) -> Tensor:
        """More columns, causal among themselves, after all that the memory holds; they are remembered."""
        x = self._enter(x_BRD, positions_BR)
        past = memory.late_real_BS
        real = real_BR if past is None else torch.cat([past, real_BR], 1)
        mask = _late_mask(real, x_BRD.shape[1], x)
        late: list[tuple[Tensor, Tensor]] = []
        for at, block in enumerate(self.blocks):
            query, key, value = block.queries_keys_values(x)
            if past is not None:
                key, value = torch.cat([memory.late[at][0], key], 2), torch.cat([memory.late[at][1], value], 2)
            late.append((key, value))
            x = block.rest(x, attend(query, memory.prefixes[at], key, value, mask, block.attention_dropout))
        memory.late, memory.late_real_BS = late, real
        return self.norm(x)


# oneDNN's linear layer with what follows it in the same pass; torch.compile calls it too. Where it is built in, a prompt is read
# in four fifths of the time.
_FUSED: Any = torch.ops.mkldnn._linear_pointwise if torch.backends.mkldnn.is_available() else None


def _fuses(x: Tensor) -> bool:
    """Without gradients, on a CPU."""
    return _FUSED is not None and x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled()


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return _FUSED(x, weight, bias, "none", [], "") if _fuses(x) else F.linear(x, weight, bias)


def _additive(real: Tensor, like: Tensor) -> Tensor:
    return torch.zeros(real.shape, dtype=like.dtype, device=like.device).masked_fill_(~real, -torch.inf)


def _late_mask(real_BS: Tensor, queries: int, like: Tensor) -> Tensor | None:
    """For each of the last `queries` columns what it may attend among the late ones; None where that is all."""
    late = real_BS.shape[1]
    column = torch.arange(late, device=real_BS.device)
    causal = column <= column[late - queries :, None]
    seen = causal & real_BS[:, None]
    return None if bool(seen.all()) else _additive(seen, like)[:, None]


def load_pretrained(name: str, dropout: float) -> GPT2:
    """GPT-2's weights from a folder or the hub, in our module."""
    from transformers import GPT2LMHeadModel

    source = GPT2LMHeadModel.from_pretrained(name)
    return from_hugging_face(source, dropout)


def from_hugging_face(source: nn.Module, dropout: float = 0.0) -> GPT2:
    """A copy of a Hugging Face GPT-2."""
    config = source.config
    body = GPT2(config.vocab_size, config.n_embd, config.n_layer, config.n_head, config.n_positions, dropout)
    body.load_state_dict(renamed(source.state_dict(), config.n_layer))
    return body


_NAMES = {
    "attn.c_attn": "qkv",
    "attn.c_proj": "mix",
    "mlp.c_fc": "up",
    "mlp.c_proj": "down",
    "ln_1": "ln_1",
    "ln_2": "ln_2",
}


def renamed(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Hugging Face's names as ours; its Conv1D keeps weights as [in, out], a Linear as [out, in]."""
    ours = {
        "tokens.weight": state["transformer.wte.weight"],
        "positions.weight": state["transformer.wpe.weight"],
        "norm.weight": state["transformer.ln_f.weight"],
        "norm.bias": state["transformer.ln_f.bias"],
    }
    for layer in range(layers):
        for theirs, name in _NAMES.items():
            weight = state[f"transformer.h.{layer}.{theirs}.weight"]
            ours[f"blocks.{layer}.{name}.weight"] = weight if name.startswith("ln") else weight.T
            ours[f"blocks.{layer}.{name}.bias"] = state[f"transformer.h.{layer}.{theirs}.bias"]
    return {name: tensor.contiguous() for name, tensor in ours.items()}


def widen(body: GPT2, rows: int, like: int | None) -> None:
    """Give the table more rows, each a copy of the row `like` (or drawn, where there is none)."""
    old = body.tokens.weight.data
    fresh = torch.empty(rows - old.shape[0], old.shape[1]).normal_(std=0.02) if like is None else None
    more = fresh if fresh is not None else old[like].expand(rows - old.shape[0], -1)
    body.tokens = nn.Embedding(rows, old.shape[1], _weight=torch.cat([old, more]).contiguous())
