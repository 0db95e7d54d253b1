"""Gradient-boosted trees for two classes, small: numpy, histogram splits, logistic loss.

Enough to find a leak in a dozen shallow features; does not replace a library (no missing values, no sampling).
Letters: N rows, F features, K bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tree:
    """A full binary tree: node i has children 2i+1 and 2i+2; a leaf's value lies in `value`."""

    feature: Ints
    """-1 marks a leaf."""
    at_most: Ints
    value: Floats

    def __call__(self, bins_NF: Ints) -> Floats:
        node = np.zeros(len(bins_NF), dtype=np.int64)
        rows = np.arange(len(bins_NF))
        while (inner := self.feature[node] >= 0).any():
            goes_right = bins_NF[rows, np.maximum(self.feature[node], 0)] > self.at_most[node]
            node = np.where(inner, 2 * node + 1 + goes_right, node)
        return self.value[node]


@dataclass(frozen=True)
class Boosted:
    edges: list[Floats]
    trees: list[Tree]
    rate: float

    def logits(self, features_NF: Floats) -> Floats:
        bins = _bin(features_NF, self.edges)
        return self.rate * np.sum([tree(bins) for tree in self.trees], axis=0)


def fit(
    features_NF: Floats, wrong_N: Floats, seed: int, trees: int = 80, depth: int = 4, rate: float = 0.15, bins: int = 24
) -> Boosted:
    """Every tree sees a random half of the rows: on balanced data no first split gains anything, and without that noise
    the interactions behind it would never be looked at."""
    edges = [np.unique(np.quantile(column, np.linspace(0, 1, bins + 1)[1:-1])) for column in features_NF.T]
    binned = _bin(features_NF, edges)
    rng = np.random.default_rng([seed, 8])
    grown: list[Tree] = []
    logits = np.zeros(len(wrong_N))
    for _ in range(trees):
        half = np.flatnonzero(rng.random(len(wrong_N)) < 0.5)
        p = 1 / (1 + np.exp(-logits))
        tree = _grow(binned[half], (wrong_N - p)[half], (p * (1 - p))[half], depth, bins)
        grown.append(tree)
        logits += rate * tree(binned)
    return Boosted(edges, grown, rate)


def _bin(features_NF: Floats, edges: list[Floats]) -> Ints:
    return np.stack([np.searchsorted(e, c, side="left") for e, c in zip(edges, features_NF.T, strict=True)], axis=1)


def _grow(bins_NF: Ints, residual_N: Floats, weight_N: Floats, depth: int, bins: int) -> Tree:
    size = 2 ** (depth + 1) - 1
    feature, at_most, value = np.full(size, -1), np.zeros(size, dtype=np.int64), np.zeros(size)
    rows_of = {0: np.arange(len(bins_NF))}
    for node in range(size):
        rows = rows_of.pop(node, None)
        if rows is None:
            continue
        value[node] = residual_N[rows].sum() / (weight_N[rows].sum() + 1.0)
        split = _best_split(bins_NF[rows], residual_N[rows], weight_N[rows], bins) if node < size // 2 else None
        if split is not None:
            feature[node], at_most[node] = split
            right = bins_NF[rows, split[0]] > split[1]
            rows_of[2 * node + 1], rows_of[2 * node + 2] = rows[~right], rows[right]
    return Tree(feature, at_most, value)


def _best_split(bins_NF: Ints, residual_N: Floats, weight_N: Floats, bins: int) -> tuple[int, int] | None:
    """The feature and bin with the largest gain; None where nothing gains or a side would be tiny."""
    best, where = 1e-6, None
    total, mass = residual_N.sum(), weight_N.sum()
    for f in range(bins_NF.shape[1]):
        left = np.bincount(bins_NF[:, f], residual_N, bins).cumsum()[:-1]
        left_mass = np.bincount(bins_NF[:, f], weight_N, bins).cumsum()[:-1]
        right_mass = mass - left_mass
        gain = left**2 / (left_mass + 1) + (total - left) ** 2 / (right_mass + 1) - total**2 / (mass + 1)
        gain[(left_mass < 5) | (right_mass < 5)] = 0  # a leaf of a few rows learns their noise
        if gain.max() > best:
            best, where = float(gain.max()), (f, int(gain.argmax()))
    return where
