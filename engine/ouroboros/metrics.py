"""What energies are worth, with intervals from resampling problems.

Letters: N items, P problems, R resamples.

Guarantees: accuracy is of single items at one fixed threshold (never of pairs); a group's items are ranked only against
each other; an interval resamples whole problems, because items of one problem are not independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_ECE_BINS = 15
_RANK_BINS = 400  # for the interval of the AUROC only: finer bins change its third digit no more


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; NaN where there is nothing to measure."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Scored:
    """N items with their energies."""

    energy: Floats
    wrong: Bools
    group: Ints
    problem: Ints

    def __getitem__(self, index: Bools) -> Scored:
        return Scored(self.energy[index], self.wrong[index], self.group[index], self.problem[index])

    def __len__(self) -> int:
        return len(self.energy)


def measure(scored: Scored, threshold: float, resamples: int, seed: int) -> dict[str, Estimate]:
    """Every metric of the phase's gate and those beside it."""
    if not len(scored):
        return {}
    problems, row = np.unique(scored.problem, return_inverse=True)
    weights_RP = _weights(len(problems), resamples, seed)
    found = {}
    for name, (top, bottom) in _ratios(scored, threshold).items():
        found[name] = _ratio_estimate(top, bottom, row, weights_RP)
    found["separation"] = _separation(scored, row, weights_RP)
    found["auroc"] = _with_interval(auroc(scored.energy, scored.wrong), _auroc_resampled(scored, row, weights_RP))
    found["ece"] = _with_interval(ece(scored.energy, scored.wrong), _ece_resampled(scored, row, weights_RP))
    return found


def mean(one_a_problem: Floats, resamples: int, seed: int = 0) -> Estimate:
    """The mean of one value a problem."""
    if not len(one_a_problem):
        return Estimate(float("nan"), float("nan"), float("nan"))
    weights_RP = _weights(len(one_a_problem), resamples, seed) / len(one_a_problem)
    return _with_interval(float(one_a_problem.mean()), weights_RP @ one_a_problem)


def _weights(problems: int, resamples: int, seed: int) -> Floats:
    rng = np.random.default_rng([seed, 5])
    return rng.multinomial(problems, np.full(problems, 1 / problems), resamples).astype(float)


def _ratios(s: Scored, threshold: float) -> dict[str, tuple[Floats, Floats]]:
    """Metrics that are a sum over items divided by another."""
    one = np.ones(len(s))
    wins, pairs = ranked_pairs(s)
    return {
        "energy_correct": (s.energy * ~s.wrong, one * ~s.wrong),
        "energy_wrong": (s.energy * s.wrong, one * s.wrong),
        "accuracy": (one * ((s.energy > threshold) == s.wrong), one),
        "pair_rank": (wins, pairs),
    }


def ranked_pairs(s: Scored) -> tuple[Floats, Floats]:
    """For each wrong item: how many correct ones of its group lie below it (a tie is half), and how many there are."""
    wins, pairs = np.zeros(len(s)), np.zeros(len(s))
    order = np.argsort(s.group, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(s.group[order])) + 1):
        correct, wrong = members[~s.wrong[members]], members[s.wrong[members]]
        gap = s.energy[wrong][:, None] - s.energy[correct][None]
        wins[wrong] = (gap > 0).sum(axis=1) + 0.5 * (gap == 0).sum(axis=1)
        pairs[wrong] = len(correct)
    return wins, pairs


def _ratio_estimate(top: Floats, bottom: Floats, row: Ints, weights_RP: Floats) -> Estimate:
    value = _divide(top.sum(), bottom.sum())
    tops, bottoms = np.bincount(row, top), np.bincount(row, bottom)
    return _with_interval(float(value), _divide(weights_RP @ tops, weights_RP @ bottoms))


def _separation(s: Scored, row: Ints, weights_RP: Floats) -> Estimate:
    def means(weights: Floats) -> Floats:
        wrong = _divide(weights @ np.bincount(row, s.energy * s.wrong), weights @ np.bincount(row, s.wrong))
        right = _divide(weights @ np.bincount(row, s.energy * ~s.wrong), weights @ np.bincount(row, ~s.wrong))
        return wrong - right

    return _with_interval(float(means(np.ones((1, weights_RP.shape[1])))[0]), means(weights_RP))


def _divide(top: Floats, bottom: Floats) -> Floats:
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=np.asarray(bottom) > 0)


def _with_interval(value: float, resampled: Floats) -> Estimate:
    usable = resampled[~np.isnan(resampled)]
    if not len(usable):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(usable, [0.025, 0.975])
    return Estimate(value, float(low), float(high))


def auroc(energy: Floats, wrong: Bools) -> float:
    """The chance that a wrong item lies above a correct one; ties count half."""
    n_wrong, n_right = int(wrong.sum()), int((~wrong).sum())
    if not n_wrong or not n_right:
        return float("nan")
    _, inverse, counts = np.unique(energy, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    return float((mean_rank[inverse][wrong].sum() - n_wrong * (n_wrong + 1) / 2) / (n_wrong * n_right))


def _auroc_resampled(s: Scored, row: Ints, weights_RP: Floats) -> Floats:
    edges = np.unique(np.quantile(s.energy, np.linspace(0, 1, _RANK_BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, s.energy)
    wrong = weights_RP @ _table(row, bins, s.wrong.astype(float), len(edges) + 1)
    right = weights_RP @ _table(row, bins, (~s.wrong).astype(float), len(edges) + 1)
    below = right.cumsum(axis=1) - right / 2
    return _divide((wrong * below).sum(axis=1), wrong.sum(axis=1) * right.sum(axis=1))


def ece(energy: Floats, wrong: Bools) -> float:
    """How far E, read as the probability of being wrong, lies from the share that is wrong, averaged over bins of E."""
    bins = _ece_bin(energy)
    gap = np.bincount(bins, energy - wrong, _ECE_BINS)
    return float(np.abs(gap).sum() / len(energy))


def _ece_bin(energy: Floats) -> Ints:
    return np.minimum((energy * _ECE_BINS).astype(np.int64), _ECE_BINS - 1)


def _ece_resampled(s: Scored, row: Ints, weights_RP: Floats) -> Floats:
    gaps = weights_RP @ _table(row, _ece_bin(s.energy), s.energy - s.wrong, _ECE_BINS)
    return _divide(np.abs(gaps).sum(axis=1), weights_RP @ np.bincount(row).astype(float))


def _table(row: Ints, bins: Ints, value: Floats, width: int) -> Floats:
    """Sums of `value` by problem and bin, (P, width)."""
    rows = int(row.max()) + 1
    return np.bincount(row * width + bins, value, rows * width).reshape(rows, width)


def histogram(energy: Floats, bins: int = 20) -> Ints:
    return np.histogram(energy, bins=bins, range=(0.0, 1.0))[0].astype(np.int64)
