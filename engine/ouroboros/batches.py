"""From stored items to tensors, and which rows the batch of a step holds.

The rows of step n follow from (seed, n) alone: nothing has to be saved for training to go on where it stopped.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.ouroboros.choices import TASKS, Choices
from engine.ouroboros.equations import Ints, digits
from engine.ouroboros.model import Batch, Text
from engine.ouroboros.pairs import Items
from engine.ouroboros.texts import Texts, budgeted, pad


class Table:
    """All items of a split as tensors on one device."""

    def __init__(self, items: Items, width: int, device: torch.device) -> None:
        self.size = len(items)
        self.group_size = int((items.group == items.group[0]).sum())
        self.correct = np.flatnonzero(~items.wrong)
        self._op = _tensor(items.op, device)
        self._a = _tensor(digits(items.a, width), device)
        self._b = _tensor(digits(items.b, width), device)
        self._claimed = _tensor(digits(items.claimed, width), device)
        self._wrong = torch.from_numpy(items.wrong).to(device)
        self.device = device

    def batch(self, rows: Ints) -> Batch:
        at = _tensor(rows, self.device)
        return Batch(self._op[at], self._a[at], self._b[at], self._claimed[at], self._wrong[at])


class ChoiceTable:
    """The choices of a split, for a model that reads their contexts."""

    def __init__(self, choices: Choices, texts: Texts, width: int, device: torch.device) -> None:
        self.choices, self.texts, self.width, self.device = choices, texts, width, device
        self.group_size = 4
        self.tasks = [i for i in range(len(TASKS)) if (choices.task == i).any()]

    def batch(self, rows: Ints) -> Batch:
        """Rows of one task."""
        c = self.choices[rows]
        task = TASKS[c.task[0]]
        padded = pad(self.texts, c.text)
        mention = (padded.values_BS == c.a[:, None]).astype(np.int64)
        if task == "operator":  # where the second number is what must be found, it is not pointed at
            mention += 2 * (padded.values_BS == c.b[:, None])
        text = Text(*(_tensor(v, self.device) for v in (padded.ids_BS, padded.places_BS, mention, padded.length_B)))
        numbers = (c.a, c.b, c.equations.result)
        columns = (_tensor(digits(n, self.width), self.device) for n in numbers)
        wrong = torch.from_numpy(c.wrong).to(self.device)
        return Batch(_tensor(c.op, self.device), *columns, wrong, "operator" if task == "operator" else "operand", text)

    def micro_batches(self, rows: Ints, budget: int, group: int) -> list[Ints]:
        """The rows cut so that each part, padded, holds at most `budget` tokens; groups stay whole."""
        lengths = self.texts.lengths[self.choices.text[rows]].reshape(-1, group)
        parts = budgeted(lengths.max(axis=1) * group, budget)
        return [rows.reshape(-1, group)[part].ravel() for part in parts]


def training_choices(table: ChoiceTable, energy: str, count: int, seed: int, step: int) -> Ints:
    """As `training_rows`; the two tasks take turns."""
    rng = np.random.default_rng([seed, 10, step])
    of_task = np.flatnonzero(table.choices.task == table.tasks[step % len(table.tasks)])
    if energy == "generative":
        correct = of_task[~table.choices.wrong[of_task]]
        return correct[rng.integers(0, len(correct), count)]
    firsts = of_task[:: table.group_size]
    chosen = firsts[rng.integers(0, len(firsts), max(1, count // table.group_size))]
    return (chosen[:, None] + np.arange(table.group_size)).ravel()


def _tensor(values: Ints, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)


def training_rows(table: Table, energy: str, batch: int, seed: int, step: int) -> Ints:
    """Correct items for the generative energy, whole groups for the others, which learn from both classes."""
    rng = np.random.default_rng([seed, 3, step])
    if energy == "generative":
        return table.correct[rng.integers(0, len(table.correct), batch)]
    groups = rng.integers(0, table.size // table.group_size, max(1, batch // table.group_size))
    return (groups[:, None] * table.group_size + np.arange(table.group_size)).ravel()


def share_of(rows: Ints, rank: int, world: int, group_size: int) -> Ints:
    """The rows of one process among several: equal parts, groups whole."""
    units = len(rows) // group_size // world
    return rows[rank * units * group_size : (rank + 1) * units * group_size]


def some_rows(table: Table, count: int, seed: int) -> Ints:
    """The same sample of whole groups each time: what validation during training looks at."""
    groups = table.size // table.group_size
    chosen = np.random.default_rng([seed, 4]).permutation(groups)[: max(1, count // table.group_size)]
    return (np.sort(chosen)[:, None] * table.group_size + np.arange(table.group_size)).ravel()
