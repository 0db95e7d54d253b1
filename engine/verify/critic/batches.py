"""Batches in which samples of one problem stand together, of similar length, within a budget of tokens.

A ranking loss compares programs of one problem, so a batch is made of groups, and where a problem has both verdicts every group
gets some of each: rare passing programs are dealt out, and dealt again, to meet sampled failing ones. Padding counts: the budget
is rows × longest.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from engine.verify.critic.differences import differing
from engine.verify.critic.items import Item, by_problem
from engine.verify.critic.tokens import PAD


@dataclass(frozen=True)
class Encoded:
    """An item in numbers."""

    ids: list[int]
    failed: bool
    task: int
    differs: list[int] | None = None
    """Positions that tell a failing program from the nearest passing one; None where there is none to compare with."""


@dataclass(frozen=True)
class Batch:
    """B items on one device; `group_B` says which belong to one problem."""

    ids_BT: Tensor
    length_B: Tensor
    failed_B: Tensor
    group_B: Tensor
    differs_BT: Tensor
    """1 where a failing program differs from the nearest passing one, 0 where it doesn't, -1 where nothing is known."""

    @property
    def tokens(self) -> int:
        return int(self.length_B.sum())


def encode_all(items: list[Item], encode) -> list[list[Encoded]]:  # type: ignore[no-untyped-def]
    """Items by problem."""
    return [
        with_differences([Encoded(encode(i.text, i.code), i.failed, task) for i in group])
        for task, (_, group) in enumerate(sorted(by_problem(items).items()))
    ]


def with_differences(group: list[Encoded]) -> list[Encoded]:
    """Where each failing program of a problem parts from the nearest passing one; passing ones part nowhere."""
    good = [item.ids for item in group if not item.failed]
    return [replace(i, differs=(differing(i.ids, good) if i.failed else [])) for i in group] if good else group


def epoch_batches(
    problems: list[list[Encoded]], group: int, token_budget: int, rng: random.Random
) -> list[list[Encoded]]:
    """An epoch in a fresh order: every item once, those of a problem's rarer verdict again where a group would lack it."""
    groups = [dealt for members in problems for dealt in groups_of(members, group, rng)]
    rng.shuffle(groups)
    groups.sort(key=lambda g: longest(g) // 16)  # similar lengths together, otherwise as shuffled
    batches: list[list[Encoded]] = []
    for members in groups:
        for part in _fitting(members, token_budget):
            if batches and fits(batches[-1] + part, token_budget):
                batches[-1] = batches[-1] + part
            else:
                batches.append(part)
    rng.shuffle(batches)
    return batches


def groups_of(members: list[Encoded], group: int, rng: random.Random) -> list[list[Encoded]]:
    """A problem's items, both verdicts in every group as evenly as they go."""
    count = -(-len(members) // group)
    good = rng.sample(kept := [m for m in members if not m.failed], len(kept))
    bad = rng.sample(kept := [m for m in members if m.failed], len(kept))
    mixed = good and bad
    dealt: list[list[Encoded]] = [[] for _ in range(count)]
    for at, member in enumerate([*good, *bad]):
        dealt[at % count].append(member)
    if mixed:
        rare = good if len(good) < len(bad) else bad
        for at, members_of_group in enumerate(dealt):
            if all(m.failed != rare[0].failed for m in members_of_group):
                members_of_group.append(rare[at % len(rare)])
    return dealt


def longest(items: list[Encoded]) -> int:
    return max(len(item.ids) for item in items)


def fits(items: list[Encoded], token_budget: int) -> bool:
    return longest(items) * len(items) <= token_budget


def _fitting(members: list[Encoded], token_budget: int) -> list[list[Encoded]]:
    """A group that alone is over the budget is cut in halves; a single item always goes."""
    if len(members) == 1 or fits(members, token_budget):
        return [members]
    half = len(members) // 2
    return _fitting(members[:half], token_budget) + _fitting(members[half:], token_budget)


def collate(items: list[Encoded], device: str = "cpu") -> Batch:
    ids_BT = torch.full((len(items), longest(items)), PAD, dtype=torch.long)
    differs_BT = torch.full((len(items), longest(items)), -1.0)
    for at, item in enumerate(items):
        ids_BT[at, : len(item.ids)] = torch.tensor(item.ids)
        if item.differs is not None:
            differs_BT[at, : len(item.ids)] = 0.0
            differs_BT[at, item.differs] = 1.0
    return Batch(
        ids_BT.to(device),
        torch.tensor([len(i.ids) for i in items], device=device),
        torch.tensor([float(i.failed) for i in items], device=device),
        torch.tensor([i.task for i in items], device=device),
        differs_BT.to(device),
    )
