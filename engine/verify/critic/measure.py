"""How well scores tell passing from failing, counted per problem: knowing which problems are hard must not help."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean over problems with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    n: int


def auc_of(score: np.ndarray, failed: np.ndarray) -> float | None:
    """Share of (passing, failing) pairs in the right order, ties a half; None where one kind is missing."""
    good, bad = score[~failed], score[failed]
    if not len(good) or not len(bad):
        return None
    difference = good[:, None] - bad[None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def auc_within_problems(
    tasks: list[str], score: np.ndarray, failed: np.ndarray, seed: int, draws: int = 2000
) -> Interval:
    """Mean AUC over mixed problems."""
    names = np.array(tasks)
    found = [a for task in sorted(set(tasks)) if (a := auc_of(score[names == task], failed[names == task])) is not None]
    return interval_of(np.array(found), seed, draws)


def interval_of(per_problem: np.ndarray, seed: int, draws: int) -> Interval:
    """The mean and where it would fall with other problems of the kind."""
    if not len(per_problem):
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    rng = np.random.default_rng(seed)
    means = per_problem[rng.integers(0, len(per_problem), (draws, len(per_problem)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(per_problem.mean()), float(low), float(high), len(per_problem))


def accuracy(energy: np.ndarray, failed: np.ndarray) -> float:
    """At the fixed threshold one half."""
    return float(((energy > 0.5) == failed).mean()) if len(failed) else float("nan")


def gain_of_pick(tasks: list[str], score: np.ndarray, failed: np.ndarray) -> float:
    """Mean over problems: the pick's chance of passing less a random one's."""
    names = np.array(tasks)
    gains = []
    for task in sorted(set(tasks)):
        here = names == task
        best = here & (score == score[here].max())
        gains.append(failed[here].mean() - failed[best].mean())
    return float(np.mean(gains)) if gains else float("nan")
