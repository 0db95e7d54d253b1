"""A sample as the model sees it: words before the thoughts, thoughts, words after; and batches of such rows.

The source lays a batch out so that first thoughts share a column, padding questions on the left. Here the three segments
are padded on the right, each for itself, and positions say where a token really stands. That is the same mathematics (real tokens
never see padding), keeps the long first segment plainly causal, and no label ever lies in the first two segments.

    B rows   P prefix columns   L most thoughts in a row   T tail columns
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from engine.coconut.curriculum import prompt_thoughts, training_cut
from engine.coconut.tokens import Encoded, Tokens
from engine.config.coconut import Variant

NO_LABEL = -100


class LayoutError(Exception):
    """A sample that the model can't hold. The message says how long it is and what to change."""


@dataclass(frozen=True)
class Row:
    """One sample. `targets[t]` is what tail column t is to predict, or NO_LABEL."""

    prefix: tuple[int, ...]
    thoughts: int
    tail: tuple[int, ...]
    targets: tuple[int, ...]

    @property
    def length(self) -> int:
        return len(self.prefix) + self.thoughts + len(self.tail)


def training_row(sample: Encoded, tokens: Tokens, variant: Variant, stage: int, rng: Random) -> Row:
    """The sample as training at this stage sees it."""
    cut = training_cut(len(sample.steps), stage, variant, rng)
    said = [i for step in sample.steps[cut.steps :] for i in step][cut.tokens :]
    said += sample.answer
    return _row(sample.question, cut.thoughts, said, tokens, variant)


def prompt_row(sample: Encoded, tokens: Tokens, variant: Variant, stage: int) -> Row:
    """The sample as an evaluation at this stage sees it: all that stands before the model's own words."""
    return _row(sample.question, prompt_thoughts(len(sample.steps), stage, variant), [], tokens, variant)


def _row(question: Sequence[int], thoughts: int, said: Sequence[int], tokens: Tokens, variant: Variant) -> Row:
    """The last token before the model's own words opens the tail: the end marker, or the question's last token."""
    if variant.coconut:
        prefix, opening = (*question, tokens.start), tokens.end
    else:
        prefix, opening = tuple(question[:-1]), question[-1]
    return Row(prefix, thoughts, (opening, *said), (*said, NO_LABEL))


@dataclass(frozen=True)
class Batch:
    """Rows as tensors, each segment padded on the right."""

    prefix_BP: Tensor
    prefix_len_B: Tensor
    thoughts_B: Tensor
    tail_BT: Tensor
    tail_len_B: Tensor
    targets_BT: Tensor
    most_thoughts: int
    real: int
    """Tokens and thoughts without padding."""

    def to(self, device: torch.device | str) -> Batch:
        moved = (t.to(device, non_blocking=True) for t in (self.prefix_BP, self.prefix_len_B, self.thoughts_B))
        later = (t.to(device, non_blocking=True) for t in (self.tail_BT, self.tail_len_B, self.targets_BT))
        return Batch(*moved, *later, self.most_thoughts, self.real)

    @property
    def padded(self) -> int:
        """Columns that are computed."""
        return self.prefix_BP.numel() + self.tail_BT.numel() + self.most_thoughts * self.prefix_BP.shape[0]

    @property
    def prefix_positions_BP(self) -> Tensor:
        columns = torch.arange(self.prefix_BP.shape[1], device=self.prefix_BP.device)
        return columns.expand(self.prefix_BP.shape)

    def thought_positions_B(self, at: int) -> Tensor:
        return self.prefix_len_B + at

    @property
    def tail_positions_BT(self) -> Tensor:
        columns = torch.arange(self.tail_BT.shape[1], device=self.tail_BT.device)
        return (self.prefix_len_B + self.thoughts_B)[:, None] + columns


def collate(rows: Sequence[Row], pad: int, context: int | None = None) -> Batch:
    """Rows as one batch; a row longer than the context is refused."""
    if context is not None and (longest := max(row.length for row in rows)) > context:
        most = max(row.thoughts for row in rows)
        raise LayoutError(
            f"a sample of {longest} tokens ({most} of them thoughts at most) does not fit a context of {context}; "
            f"lower max_latent_stage or c_thought, or take a body with a longer context"
        )
    return Batch(
        prefix_BP=_padded([row.prefix for row in rows], pad),
        prefix_len_B=torch.tensor([len(row.prefix) for row in rows]),
        thoughts_B=torch.tensor([row.thoughts for row in rows]),
        tail_BT=_padded([row.tail for row in rows], pad),
        tail_len_B=torch.tensor([len(row.tail) for row in rows]),
        targets_BT=_padded([row.targets for row in rows], NO_LABEL),
        most_thoughts=max(row.thoughts for row in rows),
        real=sum(row.length for row in rows),
    )


def _padded(lists: Sequence[Sequence[int]], pad: int) -> Tensor:
    width = max(len(one) for one in lists)
    return torch.tensor([[*one, *[pad] * (width - len(one))] for one in lists])


def labels(rows: Sequence[Row]) -> int:
    """How many predictions a set of rows is trained on."""
    return sum(target != NO_LABEL for row in rows for target in row.targets)


def buckets(rows: Sequence[Row], parts: int) -> list[list[Row]]:
    """The rows in so many parts of like lengths. Losses summed over parts and divided by all labels are the whole's mean."""
    ordered = sorted(rows, key=lambda row: (len(row.prefix), len(row.tail)))
    parts = min(parts, len(ordered))
    ends = [round(len(ordered) * (at + 1) / parts) for at in range(parts)]
    return [ordered[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
