"""What a model's words say, and how sure a share of right ones is. Pure; the source's rules to the letter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random


def answer_of(text: str) -> str:
    """What stands after the last number sign, without commas."""
    return text.split("#")[-1].replace(",", "").strip()


def is_right(text: str, answer: str) -> bool:
    return answer_of(text) == answer.replace(",", "").strip()


def chain_matches(text: str, steps: tuple[str, ...]) -> bool:
    """Whether the words before the answer are the labelled chain; says something only of models that write one."""
    return text.split("#")[0].strip() == "\n".join(steps)


@dataclass(frozen=True)
class Interval:
    """A share and where it may truly lie, 95 % (Wilson: right also near 0 and 1)."""

    value: float
    low: float
    high: float
    n: int


def interval(right: int, n: int) -> Interval:
    if n == 0:
        return Interval(math.nan, 0.0, 1.0, 0)
    z, p = 1.96, right / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return Interval(p, max(0.0, middle - half), min(1.0, middle + half), n)


def difference(ours: Sequence[bool], theirs: Sequence[bool], seed: int = 0, draws: int = 2000) -> Interval:
    """How much oftener we are right than they on the same problems: the mean and its 95 % interval over redrawn problems."""
    gaps = [int(a) - int(b) for a, b in zip(ours, theirs, strict=True)]
    n = len(gaps)
    if n == 0:
        return Interval(math.nan, -1.0, 1.0, 0)
    rng = Random(seed)
    means = sorted(sum(rng.choices(gaps, k=n)) / n for _ in range(draws))
    return Interval(sum(gaps) / n, means[round(0.025 * (draws - 1))], means[round(0.975 * (draws - 1))], n)
