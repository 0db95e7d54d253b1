"""Which problem goes where: by problem and by template, so that neither is seen twice.

A template is held out as a whole: no problem of a validation or test template is trained on. Twins share a template by
construction, so they stay together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from engine.data.gsm8k import Problem
from engine.ouroboros.errors import SplitError

Split = Literal["train", "val", "test"]


def assign(problems: Sequence[Problem], val_share: float, test_share: float, seed: int) -> list[Split]:
    """The split of each problem: templates in an order that hashing decides, the first of them to test, then to val."""
    templates = sorted({p.template for p in problems}, key=lambda t: hashlib.sha256(f"{seed} {t}".encode()).digest())
    test, val = round(test_share * len(templates)), round(val_share * len(templates))
    split_of: dict[str, Split] = dict.fromkeys(templates, "train")
    split_of |= dict.fromkeys(templates[:test], "test")
    split_of |= dict.fromkeys(templates[test : test + val], "val")
    return [split_of[p.template] for p in problems]


def verify(problems: Sequence[Problem], splits: Sequence[Split], templates_too: bool = True) -> None:
    """Refuse a question, an id or (unless told otherwise) a template that stands in two splits, and an empty split."""
    for name, value_of in {"question": _question, "problem": _id, "template": _template}.items():
        if name == "template" and not templates_too:
            continue
        seen: dict[str, Split] = {}
        for problem, split in zip(problems, splits, strict=True):
            value = value_of(problem)
            if seen.setdefault(value, split) != split:
                raise SplitError(f"the {name} {value[:80]!r} stands in {seen[value]} and in {split}")
    for split in ("train", "val", "test"):
        if split not in splits:
            raise SplitError(f"the split {split!r} is empty: more problems or templates are needed")


def in_two_splits(problems: Sequence[Problem], splits: Sequence[Split]) -> int:
    """How many questions stand in more than one split: counted, so that a gate leans on a count and not on a promise."""
    where: dict[str, set[Split]] = {}
    for problem, split in zip(problems, splits, strict=True):
        where.setdefault(_question(problem), set()).add(split)
    return sum(len(found) > 1 for found in where.values())


def _question(problem: Problem) -> str:
    return " ".join(problem.question.split())


def _id(problem: Problem) -> str:
    return problem.id


def _template(problem: Problem) -> str:
    return problem.template
