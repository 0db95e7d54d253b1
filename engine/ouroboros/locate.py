"""Whole solutions: is there an error, and where does it begin?

Energies of clean solutions and of the same with one error; the share of errors whose first wrong step is found, and
ProcessBench's F1: the harmonic mean of that share and of the share of clean solutions that are left in peace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.ouroboros.judge import Judge, located, solution_energy
from engine.ouroboros.metrics import Estimate, Scored, mean, measure
from engine.ouroboros.solutions import Solution

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """One pool of solutions: their energies, and whether the verdict on each was exactly right."""

    energy: Floats
    exact: Floats
    """1 where the first step above the threshold is the first error; for a clean solution, where there is none."""
    problem: NDArray[np.int64]


def judge_all(judge: Judge, solutions: Sequence[Solution], threshold: float) -> Judged:
    energies = judge.steps(solutions)
    pairs = list(zip(solutions, energies, strict=True))
    return Judged(
        np.array([solution_energy(s, e) for s, e in pairs]),
        np.array([float(located(s, e, threshold) == s.first_error) for s, e in pairs]),
        np.array([s.problem for s in solutions]),
    )


def metrics(clean: Judged, wrong: Judged, threshold: float, resamples: int, seed: int) -> dict[str, Estimate]:
    """The usual metrics of the two pools, each erroneous solution beside its own clean one, and the two of location."""
    own = clean_of(clean, wrong)
    both = Scored(
        np.concatenate([own.energy, wrong.energy]),
        np.repeat([False, True], len(wrong.energy)),
        np.tile(wrong.problem, 2),
        np.tile(wrong.problem, 2),
    )
    found = measure(both, threshold, resamples, seed)
    found["first_error"] = mean(wrong.exact, resamples, seed)
    found["f1"] = f1(own.exact, wrong.exact, resamples, seed)
    return found


def clean_of(clean: Judged, wrong: Judged) -> Judged:
    """The clean solutions of the problems that the erroneous ones come from, in their order."""
    row_of = {int(p): i for i, p in enumerate(clean.problem)}
    rows = np.array([row_of[int(p)] for p in wrong.problem], dtype=np.int64)
    return Judged(clean.energy[rows], clean.exact[rows], clean.problem[rows])


def f1(clean_exact: Floats, wrong_exact: Floats, resamples: int, seed: int) -> Estimate:
    """Of pairs (a problem's clean solution, the same with an error), resampled together."""
    rng = np.random.default_rng([seed, 13])
    rows = rng.integers(0, len(wrong_exact), (resamples, len(wrong_exact)))
    drawn = _harmonic(clean_exact[rows].mean(axis=1), wrong_exact[rows].mean(axis=1))
    value = _harmonic(np.array([clean_exact.mean()]), np.array([wrong_exact.mean()]))[0]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(float(value), float(low), float(high))


def _harmonic(left: Floats, right: Floats) -> Floats:
    total = left + right
    return np.divide(2 * left * right, total, out=np.zeros_like(total), where=total > 0)
