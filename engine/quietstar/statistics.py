"""Means with paired bootstrap intervals, and correlation within problems. Pure numpy.

A problem is the unit that is drawn again; what was measured on one problem stays together, so a difference is paired.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float
    problems: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def mean(values_B: Floats, draws: int, seed: int) -> Estimate:
    """The mean over problems; of differences, when differences are given."""
    values = np.asarray(values_B, dtype=np.float64)
    means = np.array([values[rows].mean() for rows in _draws(len(values), draws, seed)])
    return Estimate(float(values.mean()), *_edges(means), len(values))


def within(x_BK: Floats, y_BK: Floats, draws: int, seed: int) -> Estimate:
    """Pearson's correlation of x and y around each problem's own mean; 0 where either does not vary."""
    x, y = (np.asarray(v, dtype=np.float64) - np.mean(v, axis=1, keepdims=True) for v in (x_BK, y_BK))
    # the sums of each problem are all that a draw needs
    xy, xx, yy = (x * y).sum(axis=1), (x * x).sum(axis=1), (y * y).sum(axis=1)
    again = [_ratio(xy[rows].sum(), xx[rows].sum(), yy[rows].sum()) for rows in _draws(len(x), draws, seed)]
    return Estimate(_ratio(xy.sum(), xx.sum(), yy.sum()), *_edges(np.array(again)), len(x))


def ranks(values_BK: Floats) -> Floats:
    """Each value's place among those of its problem, 0 to 1, equals sharing theirs."""
    values = np.asarray(values_BK, dtype=np.float64)
    below = (values[:, :, None] > values[:, None]).sum(axis=2)
    same = (values[:, :, None] == values[:, None]).sum(axis=2) - 1
    return (below + same / 2) / max(1, values.shape[1] - 1)


def _ratio(xy: float, xx: float, yy: float) -> float:
    return float(xy / np.sqrt(xx * yy)) if xx > 0 and yy > 0 else 0.0


def _draws(count: int, draws: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, count]).integers(count, size=(draws, count))


def _edges(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
