"""From stored items to tensors, and which rows the batch of a step holds.

The rows of step n follow from (seed, n) alone: nothing has to be saved for training to go on where it stopped.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.ouroboros.equations import Ints, digits
from engine.ouroboros.model import Batch
from engine.ouroboros.pairs import Items


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
