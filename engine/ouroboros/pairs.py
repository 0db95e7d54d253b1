"""Correct and wrong steps from true equations, made so that nothing on the surface tells them apart.

A *quad* is the 2x2 swap of a true equation (p, r) and its neighbour (p', r'): correct are (p, r) and (p', r'), wrong are
(p, r') and (p', r). Every premise and every result stands once in each class, so no feature of a premise alone, of a
result alone, or any sum of both, carries signal; what is left is whether they belong together.

The naive corruption of the published line of work (the result changed by a little) stays here under its own name, for
the leak probe to catch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.ouroboros.equations import Equations, Ints, concatenate, neighbours

QUAD_TYPES = ("own", "neighbour", "wrong: neighbour's result", "wrong: neighbour's premise")
NAIVE_TYPES = ("own", "wrong: result changed")


@dataclass(frozen=True)
class Items:
    """N steps, correct or wrong: what is stored in train.npz, val.npz and test.npz, one array a field."""

    op: Ints
    a: Ints
    b: Ints
    claimed: Ints
    wrong: NDArray[np.bool_]
    kind: Ints
    """Index into the kinds named in meta.json."""
    group: Ints
    """The quad (or pair) that an item belongs to: its other members are what it is ranked against."""
    problem: Ints
    """Row of problems.jsonl; -1 for a renumbered step, which belongs to no problem."""

    def __len__(self) -> int:
        return len(self.op)

    def __getitem__(self, index: NDArray[np.bool_] | Ints | slice) -> Items:
        return Items(**{name: value[index] for name, value in vars(self).items()})

    @property
    def equations(self) -> Equations:
        return Equations(self.op, self.a, self.b)


def counterbalanced(
    true: Equations, problem: Ints, rng: np.random.Generator, max_operand: int, max_result: int
) -> Items:
    """One quad for every true equation that has a neighbour; four items each, in the order of QUAD_TYPES."""
    other = neighbours(true, rng, max_operand, max_result)
    usable = other.result != true.result
    return quads(true[usable], other[usable], problem[usable])


def quads(own: Equations, other: Equations, problem: Ints) -> Items:
    premises = concatenate([own, other, own, other])
    claimed = np.concatenate([own.result, other.result, other.result, own.result])
    count = len(own)
    kind = np.repeat(np.arange(4), count)
    return _by_group(
        Items(
            op=premises.op,
            a=premises.a,
            b=premises.b,
            claimed=claimed,
            wrong=kind >= 2,
            kind=kind,
            group=np.tile(np.arange(count), 4),
            problem=np.tile(problem, 4),
        )
    )


def naive(true: Equations, problem: Ints, rng: np.random.Generator) -> Items:
    """The published way: a correct step, and the same step with its result moved by 1 to 10."""
    count = len(true)
    moved = true.result + rng.integers(1, 11, count) * np.where(rng.random(count) < 0.5, -1, 1)
    moved = np.where(moved <= 0, true.result + 1, moved)
    premises = concatenate([true, true])
    return _by_group(
        Items(
            op=premises.op,
            a=premises.a,
            b=premises.b,
            claimed=np.concatenate([true.result, moved]),
            wrong=np.repeat([False, True], count),
            kind=np.repeat([0, 1], count),
            group=np.tile(np.arange(count), 2),
            problem=np.tile(problem, 2),
        )
    )


def _by_group(items: Items) -> Items:
    """The members of a group next to each other."""
    return items[np.argsort(items.group, kind="stable")]
