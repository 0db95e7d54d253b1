"""What thinking asks of a language model, and the two that answer: our own body and Hugging Face's causal models.

    reader = reader_of(model)
    hidden_BSD = reader.packed(ids_BS, layout)         # one forward over a text and all its thoughts
    decoder = reader.decoder(ids_BL, at_BN)            # thoughts sampled from shared keys
    logits = reader.logits(hidden)

Guarantees: both give the numbers of one plain forward a thought. Our body shares keys by its `attend`; Hugging Face's get a
4-D mask over one cache, which costs memory for N*T keys and reads nothing twice either.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from engine.quietstar.body import Body
from engine.quietstar.packed import Layout
from engine.quietstar.thoughts import Decoder, SharedCache


class Reader(Protocol):
    """A causal language model, as thinking sees it."""

    width: int
    context: int

    @property
    def table(self) -> nn.Embedding: ...
    def plain(self, ids_BT: Tensor) -> Tensor: ...
    def packed(self, ids_BS: Tensor, layout: Layout) -> Tensor: ...
    def decoder(self, ids_BL: Tensor, at_BN: Tensor) -> Decoder: ...
    def logits(self, hidden: Tensor) -> Tensor: ...


class OwnReader:
    def __init__(self, body: Body) -> None:
        self.body, self.width, self.context = body, body.size.width, body.context

    @property
    def table(self) -> nn.Embedding:
        return self.body.tokens

    def plain(self, ids_BT: Tensor) -> Tensor:
        return self.body(ids_BT).hidden

    def packed(self, ids_BS: Tensor, layout: Layout) -> Tensor:
        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            if self.body.watch is not None:
                layout.show(self.body.watch, layer, q, k)
            return layout.attend(layer, q, k, v)

        return self.body(ids_BS, layout.positions(), attend=attend).hidden

    def decoder(self, ids_BL: Tensor, at_BN: Tensor) -> Decoder:
        return _OwnDecoder(self.body, ids_BL, at_BN)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.body.logits(hidden)


class _OwnDecoder:
    @torch.no_grad()
    def __init__(self, body: Body, ids_BL: Tensor, at_BN: Tensor) -> None:
        self.body, self.at_BN, self.done = body, at_BN, 0
        self.cache = SharedCache(at_BN, ids_BL.shape[1])
        body(ids_BL, attend=self.cache.read)

    @torch.no_grad()
    def step(self, ids_BN: Tensor) -> Tensor:
        self.done += 1
        return self.body(ids_BN, self.at_BN + self.done, attend=self.cache.step).logits


class HfReader:
    """A causal model of transformers."""

    def __init__(self, model: Any) -> None:
        self.model, self.width = model, int(model.config.hidden_size)
        self.context = int(model.config.max_position_embeddings)

    @property
    def table(self) -> nn.Embedding:
        return self.model.get_input_embeddings()

    def plain(self, ids_BT: Tensor) -> Tensor:
        return self.model.base_model(input_ids=ids_BT, use_cache=False).last_hidden_state

    def packed(self, ids_BS: Tensor, layout: Layout) -> Tensor:
        mask = _additive(layout.mask(), self.model.dtype)
        read = self.model.base_model(
            input_ids=ids_BS, position_ids=layout.positions(), attention_mask=mask, use_cache=False
        )
        return read.last_hidden_state

    def decoder(self, ids_BL: Tensor, at_BN: Tensor) -> Decoder:
        return _HfDecoder(self, ids_BL, at_BN)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.model.get_output_embeddings()(hidden)


class _HfDecoder:
    """One cache: the text's keys, then N keys a step, of which a thought may see its own column only."""

    @torch.no_grad()
    def __init__(self, reader: HfReader, ids_BL: Tensor, at_BN: Tensor) -> None:
        self.reader, self.at_BN, self.done = reader, at_BN, 0
        self.sees_text = torch.arange(ids_BL.shape[1], device=ids_BL.device) <= at_BN[..., None]
        self.own = torch.eye(at_BN.shape[1], dtype=torch.bool, device=ids_BL.device).expand(len(at_BN), -1, -1)
        self.cache = reader.model.base_model(input_ids=ids_BL, use_cache=True).past_key_values

    @torch.no_grad()
    def step(self, ids_BN: Tensor) -> Tensor:
        self.done += 1
        mask = torch.cat([self.sees_text, *[self.own] * self.done], dim=-1)[:, None]
        read = self.reader.model.base_model(
            input_ids=ids_BN,
            position_ids=self.at_BN + self.done,
            attention_mask=_additive(mask, self.reader.model.dtype),
            past_key_values=self.cache,
            use_cache=True,
        )
        self.cache = read.past_key_values
        return self.reader.logits(read.last_hidden_state)


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, torch.finfo(dtype).min)


def reader_of(model: nn.Module) -> Reader:
    return OwnReader(model) if isinstance(model, Body) else HfReader(model)
