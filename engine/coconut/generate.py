"""A model's own words for many problems at once: read, think, then words with everything remembered.

Guarantees: for each problem the greedy words that it would get alone and without any cache (tests compare token for token);
finished problems leave the batch. `pick` chooses otherwise, by chance for instance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from engine.coconut.layout import Row, collate
from engine.coconut.model import Coconut

Change = Callable[[int, Tensor], Tensor]
Pick = Callable[[Tensor], Tensor]
"""From logits [B, V] a token for each row."""


def likeliest(logits_BV: Tensor) -> Tensor:
    return logits_BV.argmax(-1)


def drawn(generator: torch.Generator, temperature: float) -> Pick:
    """Tokens by chance, each as likely as the model holds it at this temperature."""

    def pick(logits_BV: Tensor) -> Tensor:
        return torch.multinomial(torch.softmax(logits_BV / temperature, -1), 1, generator=generator)[:, 0]

    return pick


@torch.no_grad()
def generate(
    model: Coconut,
    prompts: Sequence[Row],
    eos: int,
    most_new: int,
    batch_size: int,
    end_at_once: bool,
    change: Change | None = None,
    device: torch.device | str = "cpu",
    pick: Pick = likeliest,
) -> list[list[int]]:
    """Words for every prompt, in the prompts' order, each with its end token where it came to one.

    `end_at_once` False: an end token as the very first word ends nothing, as in the source's own loop.
    """
    was_training = model.training
    model.eval()
    order = sorted(range(len(prompts)), key=lambda i: prompts[i].length)
    said: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        words = _batch(model, [prompts[i] for i in chosen], eos, most_new, end_at_once, change, device, pick)
        for i, line in zip(chosen, words, strict=True):
            said[i] = line
    model.train(was_training)
    return said


def _batch(
    model: Coconut,
    prompts: list[Row],
    eos: int,
    most_new: int,
    end_at_once: bool,
    change: Change | None,
    device: torch.device | str,
    pick: Pick,
) -> list[list[int]]:
    batch = collate(prompts, eos, model.body.context).to(device)
    state = model.think(batch, change)
    table = model.body.table()
    last = (batch.tail_len_B - 1)[:, None, None].expand(-1, 1, state.hidden_BTD.shape[-1])
    word = pick(model.body.logits(state.hidden_BTD.gather(1, last)[:, 0]))
    position = batch.prefix_len_B + batch.thoughts_B + batch.tail_len_B
    memory = state.memory
    lines: list[list[int]] = [[] for _ in prompts]
    active = list(range(len(prompts)))
    room = min(most_new, model.body.context - max(p.length for p in prompts))
    for at in range(room):
        for i, token in zip(active, word.tolist(), strict=True):
            lines[i].append(token)
        going = (word != eos) if at or end_at_once else torch.ones_like(word, dtype=torch.bool)
        if at == room - 1 or not bool(going.any()):
            break
        if not bool(going.all()):
            rows = going.nonzero()[:, 0]
            memory, word, position = memory.keep(rows), word[rows], position[rows]
            active = [active[i] for i in rows.tolist()]
        x = torch.nn.functional.embedding(word, table)[:, None]
        real = torch.ones_like(word, dtype=torch.bool)[:, None]
        hidden = model.body.extend(x, position[:, None], real, memory)
        word = pick(model.body.logits(hidden[:, 0]))
        position = position + 1
    return lines
