"""One way to run our own body and Hugging Face's causal models: rows of unequal length, read whole or written token by token.

    reader = causal_of(model)
    hidden_BTD = reader.hidden(ids_BT, real_BT)                 # padded on the right
    said_BR = sample(reader, rows, most=128, eos=eos, pad=pad, temperature=1.0, generator=generator)

Guarantees: padding changes nothing that is read at real positions; sampling keeps no graph; at temperature 1 with top_p 1 tokens
come from the model's own distribution, unchanged. Letters: B rows, T tokens, R tokens of a response, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from engine.quietstar.body import Body, Cache, causal


class Causal(Protocol):
    model: nn.Module
    context: int

    def hidden(self, ids_BT: Tensor, real_BT: Tensor) -> Tensor: ...
    def logits(self, hidden: Tensor) -> Tensor: ...
    def begin(self, ids_BT: Tensor, real_BT: Tensor) -> tuple[Any, Tensor]: ...
    def extend(self, state: Any, ids_B: Tensor) -> tuple[Any, Tensor]: ...


class OwnCausal:
    """Our body. A response's tokens follow each other without gaps, so positions count real tokens."""

    def __init__(self, body: Body) -> None:
        self.model, self.context = body, body.context

    def hidden(self, ids_BT: Tensor, real_BT: Tensor) -> Tensor:
        return self.model(ids_BT).hidden  # padding stands on the right, where causal attention never looks

    def logits(self, hidden: Tensor) -> Tensor:
        return self.model.logits(hidden)

    def begin(self, ids_BT: Tensor, real_BT: Tensor) -> tuple[Any, Tensor]:
        cache, T = Cache(), ids_BT.shape[1]
        mask = None if bool(real_BT.all()) else _left_padded_mask(real_BT, T)
        out = self.model(ids_BT, _positions(real_BT), mask, cache)
        return (cache, real_BT), out.logits[:, -1]

    def extend(self, state: Any, ids_B: Tensor) -> tuple[Any, Tensor]:
        cache, real_BT = state
        real_BT = torch.cat([real_BT, torch.ones_like(real_BT[:, :1])], 1)
        mask = None if bool(real_BT.all()) else real_BT[:, None, None]
        out = self.model(ids_B[:, None], _positions(real_BT)[:, -1:], mask, cache)
        return (cache, real_BT), out.logits[:, -1]


class HfCausal:
    """A causal model of transformers, through its cache."""

    def __init__(self, model: Any) -> None:
        self.model, self.context = model, int(model.config.max_position_embeddings)

    def hidden(self, ids_BT: Tensor, real_BT: Tensor) -> Tensor:
        return self.model.base_model(input_ids=ids_BT, attention_mask=real_BT.long(), use_cache=False).last_hidden_state

    def logits(self, hidden: Tensor) -> Tensor:
        return self.model.get_output_embeddings()(hidden)

    def begin(self, ids_BT: Tensor, real_BT: Tensor) -> tuple[Any, Tensor]:
        return self._read(ids_BT, _positions(real_BT), real_BT, None)

    def extend(self, state: Any, ids_B: Tensor) -> tuple[Any, Tensor]:
        cache, real_BT = state
        real_BT = torch.cat([real_BT, torch.ones_like(real_BT[:, :1])], 1)
        return self._read(ids_B[:, None], _positions(real_BT)[:, -1:], real_BT, cache)

    def _read(self, ids: Tensor, positions: Tensor, real_BT: Tensor, cache: Any) -> tuple[Any, Tensor]:
        out = self.model.base_model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=real_BT.long(),
            past_key_values=cache,
            use_cache=True,
        )
        return (out.past_key_values, real_BT), self.logits(out.last_hidden_state[:, -1])


def causal_of(model: nn.Module) -> Causal:
    return OwnCausal(model) if isinstance(model, Body) else HfCausal(model)


def _positions(real_BT: Tensor) -> Tensor:
    return (real_BT.long().cumsum(1) - 1).clamp_min(0)


def _left_padded_mask(real_BT: Tensor, T: int) -> Tensor:
    """(B, 1, T, T); a padding token sees itself, so that its softmax is a number."""
    device = real_BT.device
    return (causal(T, T, device) & real_BT[:, None, None]) | torch.eye(T, dtype=torch.bool, device=device)


def padded(rows: Sequence[Sequence[int]], pad: int, left: bool, device: Any = None) -> tuple[Tensor, Tensor]:
    """Rows as one tensor, and which of it is real."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), pad)
    real = torch.zeros(len(rows), longest, dtype=torch.bool)
    for at, row in enumerate(rows):
        here = slice(longest - len(row), None) if left else slice(None, len(row))
        ids[at, here] = torch.tensor(row)
        real[at, here] = True
    return ids.to(device), real.to(device)


@torch.no_grad()
def sample(
    reader: Causal,
    rows: Sequence[Sequence[int]],
    most: int,
    eos: int,
    pad: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    generator: torch.Generator | None = None,
) -> list[list[int]]:
    """A response to each row, with its end token where it came to one. Temperature 0 takes the likeliest token."""
    device = next(reader.model.parameters()).device
    ids_BT, real_BT = padded(rows, pad, left=True, device=device)
    state, logits_BV = reader.begin(ids_BT, real_BT)
    said, ended_B = [], torch.zeros(len(rows), dtype=torch.bool, device=device)
    for at in range(most):
        token_B = torch.where(ended_B, pad, draw(logits_BV, temperature, top_p, generator))
        said.append(token_B)
        ended_B |= token_B == eos
        if at + 1 == most or bool(ended_B.all()):
            break
        state, logits_BV = reader.extend(state, token_B)
    return [_to_end(row, eos) for row in torch.stack(said, 1).tolist()]


def draw(logits_BV: Tensor, temperature: float, top_p: float, generator: torch.Generator | None) -> Tensor:
    """One token a row."""
    if temperature == 0:
        return logits_BV.argmax(-1)
    p_BV = torch.softmax(logits_BV.float() / temperature, -1)
    if top_p < 1:
        sorted_BV, order_BV = p_BV.sort(-1, descending=True)
        beyond = sorted_BV.cumsum(-1) - sorted_BV >= top_p
        p_BV = torch.zeros_like(p_BV).scatter(-1, order_BV, sorted_BV.masked_fill(beyond, 0.0))
    return torch.multinomial(p_BV, 1, generator=generator)[:, 0]


def _to_end(row: list[int], eos: int) -> list[int]:
    return row[: row.index(eos) + 1] if eos in row else row
