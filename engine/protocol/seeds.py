"""Several runs of one experiment that differ in their seed: which of them count, and what their mean says.

Counted are the first n seeds by their number, one run each, of the code and config of the run that stands for the step.
So neither a lucky seed that is repeated, nor ten seeds of which the best five are shown, nor a run of older code helps.
Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.protocol.evidence import Evidence


@dataclass(frozen=True)
class Seeds:
    """The runs that count, by rising seed."""

    runs: list[Evidence]
    ran: int
    """How many seeds there are to choose from."""

    def __str__(self) -> str:
        more = f", the first {len(self.runs)} of {self.ran}" if self.ran > len(self.runs) else ""
        return f"seeds {', '.join(seed_of(run) for run in self.runs)}{more}"


def seed_of(run: Evidence) -> str:
    return "none" if run.seed is None else str(run.seed)


def first_seeds(runs: Sequence[Evidence], n: int) -> Seeds:
    """The runs of the first n seeds; `runs` begins with the one that stands for the step."""
    of_seed: dict[int | None, list[Evidence]] = {}
    for run in runs:
        if _same_ground(run, runs[0]):
            of_seed.setdefault(run.seed, []).append(run)
    in_order = sorted(of_seed, key=lambda seed: -math.inf if seed is None else seed)
    return Seeds([_of_one_seed(of_seed[seed]) for seed in in_order[:n]], len(in_order))


def _same_ground(run: Evidence, standing: Evidence) -> bool:
    return run.code == standing.code and run.family == standing.family


def _of_one_seed(runs: Sequence[Evidence]) -> Evidence:
    """The newest success, else the newest that goes on, else the newest."""
    done = [run for run in runs if run.succeeded]
    live = [run for run in runs if not run.over]
    return (done or live or list(runs))[0]


def run_of_seed(runs: Sequence[Evidence], seed: int | None) -> Evidence | None:
    """Another step's run with this seed, on the ground of the run that stands for that step."""
    same = [run for run in runs if run.seed == seed and _same_ground(run, runs[0])]
    return _of_one_seed(same) if same else None


# Two-sided 95 % quantiles of Student's t for 1 … 30 degrees of freedom.
_T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_Z95 = 1.959964


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half width of its 95 % interval; one value has no interval (infinite)."""
    n = len(values)
    mean = sum(values) / n
    if n < 2:
        return mean, math.inf
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    return mean, _t95(n - 1) * spread / math.sqrt(n)


def _t95(freedom: int) -> float:
    """From the table; beyond it by the expansion around the normal quantile (right to three decimals there)."""
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = _Z95
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
