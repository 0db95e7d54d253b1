"""The baked model as it was before anything was learned: what the KL is taken to, and what coherence is judged by.

`Frozen` is a copy of its own. `Switched` is the learning model itself with its adapters and edges off: the same numbers, and no
second copy of a large model. Guarantees: neither moves while the other learns, and neither keeps a graph.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from engine.quietstar.lora import Lora
from engine.quietstar.thinker import Talk, Thinker


class Reference(Protocol):
    def talk(self, ids_BL: Tensor, at_BN: Tensor, thoughts_BNT: Tensor, ahead: int) -> Talk: ...
    def as_it_was(self) -> AbstractContextManager[Thinker]:
        """A thinker with the baked weights, while the context lasts. Its mixture means nothing: it never learned to mix."""
        ...


class Frozen:
    def __init__(self, body: nn.Module, start_id: int, end_id: int) -> None:
        self.thinker = Thinker(copy.deepcopy(body), start_id, end_id).eval().requires_grad_(False)

    @torch.no_grad()
    def talk(self, ids_BL: Tensor, at_BN: Tensor, thoughts_BNT: Tensor, ahead: int) -> Talk:
        return self.thinker.talk(ids_BL, at_BN, thoughts_BNT, ahead)

    @contextmanager
    def as_it_was(self) -> Iterator[Thinker]:
        yield self.thinker


class Switched:
    def __init__(self, thinker: Thinker, lora: Lora) -> None:
        self._learning, self._lora = thinker, lora

    @torch.no_grad()
    def talk(self, ids_BL: Tensor, at_BN: Tensor, thoughts_BNT: Tensor, ahead: int) -> Talk:
        with self.as_it_was() as thinker:
            return thinker.talk(ids_BL, at_BN, thoughts_BNT, ahead)

    @contextmanager
    def as_it_was(self) -> Iterator[Thinker]:
        with self._lora.off(), self._learning.edges.off():
            yield self._learning
