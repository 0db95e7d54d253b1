"""Labelled rows as a critic's items, and the split by problem.

Training knows each program once: programs of a problem that are equal up to names count as one. No problem stands on both
sides, and what the label could be read from (the generator's note, the raw answer) never reaches an item.
"""

from __future__ import annotations

import collections
import random
from dataclasses import dataclass
from typing import Any

from engine.verify.critic.tokens import normal_form
from engine.verify.step import StepFailed


@dataclass(frozen=True)
class Item:
    """A program with its verdict."""

    key: str
    task_id: str
    text: str
    code: str
    failed: bool
    truncated: bool = False
    fenced: bool = False


@dataclass(frozen=True)
class Sides:
    """Training and validation items."""

    train: list[Item]
    val: list[Item]

    def in_two_splits(self) -> int:
        return len({i.task_id for i in self.train} & {i.task_id for i in self.val})


def items_of(rows: list[dict[str, Any]]) -> list[Item]:
    """Every row that counts."""
    return [
        Item(
            key=row["key"],
            task_id=row["task_id"],
            text=row["text"],
            code=row["code"],
            failed=not row["passed"],
            truncated=row["finish_reason"] == "length",
            fenced="```" in row["code"],
        )
        for row in rows
        if not row.get("set_aside")
    ]


def distinct(items: list[Item]) -> list[Item]:
    """The first of every group of equal programs of a problem."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for item in items:
        name = (item.task_id, normal_form(item.code))
        if name not in seen:
            seen.add(name)
            kept.append(item)
    return kept


def split_by_problem(items: list[Item], val_share: float, seed: int) -> Sides:
    """Whole problems to one side or the other."""
    tasks = sorted({item.task_id for item in items})
    if len(tasks) < 2:
        raise StepFailed(f"a critic needs at least two problems to learn and validate on; there are {len(tasks)}")
    random.Random(seed).shuffle(tasks)
    held_out = set(tasks[: max(1, round(val_share * len(tasks)))])
    return Sides([i for i in items if i.task_id not in held_out], [i for i in items if i.task_id in held_out])


def by_problem(items: list[Item]) -> dict[str, list[Item]]:
    groups: dict[str, list[Item]] = collections.defaultdict(list)
    for item in items:
        groups[item.task_id].append(item)
    return dict(groups)


def require_both_kinds(items: list[Item]) -> None:
    """Zero passing (or failing) samples teach nothing: say so before training starts."""
    failed = sum(item.failed for item in items)
    if not items or failed in (0, len(items)):
        kind = "fails" if items and failed else "passes"
        raise StepFailed(
            f"all {len(items)} training programs have one verdict (every one {kind}): nothing to learn. "
            "Change the generator's temperature or model, or look at the labels' reasons."
        )
