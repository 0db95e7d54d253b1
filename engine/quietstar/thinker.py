"""A body that thinks: it samples thoughts after places of a text, and mixes them into what it predicts there.

    thinker = Thinker(body, start_id, end_id)
    thoughts_BNT = thinker.think(ids_BL, at_BN, length=4, generator=g)        # no graph
    talk = thinker.talk(ids_BL, at_BN, thoughts_BNT, ahead=2)                 # one packed forward, with a graph

Guarantees: a prediction of token j + 1 + i sees the text up to j, the thought, and the i true tokens between: never the token
that it predicts nor one after it. Thoughts of all rows and places take part.

    B rows   L tokens of the text   N thoughts a row   T tokens of a thought   A predicted tokens   V vocabulary   D width
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.quietstar.errors import ThoughtError
from engine.quietstar.mixing import Edges, Mixing
from engine.quietstar.packed import Layout
from engine.quietstar.reader import reader_of
from engine.quietstar.thoughts import must_fit, sample


@dataclass(frozen=True)
class Talk:
    """What one packed forward says."""

    thought_logits_BNTV: Tensor
    """Before each token of the thoughts: the policy."""
    plain_logits_BNAV: Tensor
    """Of the tokens after the place, without the thought."""
    after_logits_BNAV: Tensor
    """The same after the thought, unmixed."""
    logits_BNAV: Tensor
    """The mixture: what the model says."""
    plain_share_BNA: Tensor


TalkOf = Callable[[Tensor, Tensor, Tensor, int], Talk]
"""Texts, places, thoughts, tokens ahead."""


class Thinker(nn.Module):
    def __init__(self, body: nn.Module, start_id: int, end_id: int) -> None:
        super().__init__()
        self.body, self.start_id, self.end_id = body, start_id, end_id
        self.reader = reader_of(body)
        self.must_know_its_edges()
        weight = self.reader.table.weight
        self.mixing = Mixing(self.reader.width).to(weight.device)
        self.edges = Edges(self.reader.width, start_id, end_id).to(weight.device)
        self.edges.install(self.reader.table)

    def must_know_its_edges(self) -> None:
        size = self.reader.table.num_embeddings
        if not 0 <= self.start_id < size or not 0 <= self.end_id < size or self.start_id == self.end_id:
            raise ThoughtError(
                f"the baked model has no thinking tokens: <think> is {self.start_id} and </think> {self.end_id} in a table"
                f" of {size} rows. Bake it first (python -m engine.quietstar.bake)"
            )

    def think(
        self,
        ids_BL: Tensor,
        at_BN: Tensor,
        length: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        must_fit(int(at_BN.max()), length + 2, self.reader.context)
        with torch.no_grad():
            decoder = self.reader.decoder(ids_BL, at_BN)
        return sample(decoder, at_BN, length, self.start_id, temperature, generator)

    def talk(self, ids_BL: Tensor, at_BN: Tensor, thoughts_BNT: Tensor, ahead: int) -> Talk:
        length = thoughts_BNT.shape[-1]
        blocks = blocks_of(ids_BL, at_BN, thoughts_BNT, ahead, self.start_id, self.end_id)
        layout = Layout(at_BN, ids_BL.shape[1], blocks.shape[-1])
        must_fit(int(at_BN.max()), blocks.shape[-1], self.reader.context)
        hidden_BSD = self.reader.packed(layout.pack(ids_BL, blocks), layout)
        inside_BNTD = layout.blocks(hidden_BSD)
        after_BNAD = inside_BNTD[:, :, length + 1 :]
        plain_BNAD = _gather(hidden_BSD, at_BN[..., None] + torch.arange(ahead, device=at_BN.device))
        plain_logits, after_logits = self.reader.logits(plain_BNAD), self.reader.logits(after_BNAD)
        mixed = self.mixing(plain_BNAD, after_BNAD, plain_logits, after_logits)
        return Talk(
            thought_logits_BNTV=self.reader.logits(inside_BNTD[:, :, :length]),
            plain_logits_BNAV=plain_logits,
            after_logits_BNAV=after_logits,
            logits_BNAV=mixed.logits,
            plain_share_BNA=mixed.weight,
        )

    def thinking_state(self) -> dict[str, Tensor]:
        """The parameters that are not the body's."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith("body.")}


def blocks_of(ids_BL: Tensor, at_BN: Tensor, thoughts_BNT: Tensor, ahead: int, start_id: int, end_id: int) -> Tensor:
    """Start, thought, end, and the true tokens that stand between the place and the last prediction."""
    edge = torch.ones_like(at_BN)[..., None]
    parts = [edge * start_id, thoughts_BNT, edge * end_id]
    if ahead > 1:
        parts.append(truth(ids_BL, at_BN, ahead - 1))
    return torch.cat(parts, dim=-1)


def truth(ids_BL: Tensor, at_BN: Tensor, ahead: int) -> Tensor:
    """The tokens after each place, (B, N, A)."""
    at_BNA = at_BN[..., None] + 1 + torch.arange(ahead, device=at_BN.device)
    return ids_BL.gather(1, at_BNA.flatten(1)).view(at_BNA.shape)


def _gather(hidden_BSD: Tensor, at_BNA: Tensor) -> Tensor:
    rows = torch.arange(len(hidden_BSD), device=hidden_BSD.device)[:, None, None]
    return hidden_BSD[rows, at_BNA]
