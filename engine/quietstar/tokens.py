"""The thinking tokens, and room for them in a model's table.

New rows are drawn from N(mean, deviation) of the rows that are there, dimension by dimension; a head's bias starts at 0. A
tokenizer or model that has a token already keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.quietstar.body import Body
from engine.quietstar.errors import PromptError

THINKING = ("<think>", "</think>", "<step>", "<reason>", "<mece>", "<falsify>", "<expert>", "<doubt>")
EXTENDED = ("<bayesian>", "<multidomain>", "<correct>", "<uncertain>")


@dataclass(frozen=True)
class Added:
    ids: list[int]
    """Of all thinking tokens, in order."""
    fresh: list[int]
    """Of those that the tokenizer did not have: their rows mean nothing yet, also where the table has spare ones."""


def add_to_tokenizer(tokenizer: Any, words: tuple[str, ...] = THINKING) -> Added:
    """The thinking tokens, added where they are missing."""
    known = tokenizer.get_vocab()
    missing = [w for w in words if w not in known]
    tokenizer.add_special_tokens({"additional_special_tokens": missing}, False)
    ids = {word: int(tokenizer.convert_tokens_to_ids(word)) for word in words}
    return Added(list(ids.values()), [ids[word] for word in missing])


def make_room(
    model: nn.Module,
    rows: int,
    generator: torch.Generator | None = None,
    may_grow: bool = True,
    fresh: Sequence[int] = (),
) -> int:
    """Let the table have at least so many rows, and draw those of fresh tokens; how many it had. PromptError where it can't."""
    had = _table(model).shape[0]
    _draw_spare(model, [at for at in fresh if at < had], generator)
    if rows <= had:
        return had
    if not may_grow:
        raise PromptError(
            f"the vocabulary needs {rows} rows with the thinking tokens, the model's table has {had} and may not grow: "
            "allow it (bake.grow_vocabulary: true), or take a model with spare rows"
        )
    if isinstance(model, Body):
        _grow_body(model, rows, generator)
    else:
        _grow_hugging_face(model, rows, generator)
    return had


@torch.no_grad()
def _draw_spare(model: nn.Module, spare: list[int], generator: torch.Generator | None) -> None:
    for table_VD in tables_of(model) if spare else ():
        others = torch.ones(len(table_VD), dtype=torch.bool)
        others[spare] = False
        table_VD[spare] = new_rows(table_VD[others.to(table_VD.device)], len(spare), generator)


def _table(model: Any) -> Tensor:
    weight: Tensor = model.tokens.weight if isinstance(model, Body) else model.get_input_embeddings().weight
    return weight


def tables_of(model: Any) -> list[Tensor]:
    """The embedding, and the head where it is not tied."""
    if isinstance(model, Body):
        return [model.tokens.weight]
    tables = (_table(model), model.get_output_embeddings().weight)
    return list({id(t): t for t in tables}.values())


@torch.no_grad()
def new_rows(table_VD: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Rows as the table's own are, in each dimension."""
    drawn = torch.randn(count, table_VD.shape[1], generator=generator)
    rows = table_VD.float().cpu()
    return (rows.mean(dim=0) + drawn * rows.std(dim=0)).to(table_VD)


def _grow_body(body: Body, rows: int, generator: torch.Generator | None) -> None:
    if body.size.room is not None and rows > body.size.room:
        raise PromptError(
            f"the vocabulary needs {rows} rows with the thinking tokens, and this model has room for {body.size.room}: "
            "take a champion with room, or fewer tokens"
        )
    old = body.tokens.weight.detach()
    grown = torch.cat([old, new_rows(old, rows - len(old), generator)])
    body.tokens = nn.Embedding.from_pretrained(grown, freeze=False)
    body.size = type(body.size)(**{**body.size.to_dict(), "vocabulary": rows})


def _grow_hugging_face(model: Any, rows: int, generator: torch.Generator | None) -> None:
    had = _table(model).shape[0]
    try:
        model.resize_token_embeddings(rows, mean_resizing=False)
    except (NotImplementedError, ValueError, RuntimeError) as error:
        raise PromptError(f"the table of a {type(model).__name__} can't get {rows - had} more rows: {error}") from None
    head = model.get_output_embeddings()
    with torch.no_grad():
        for table in tables_of(model):
            table[had:] = new_rows(table[:had], rows - had, generator)
        if getattr(head, "bias", None) is not None:
            head.bias[had:] = 0
