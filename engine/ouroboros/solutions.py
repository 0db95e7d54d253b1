"""Whole solutions: correct ones, and the same with one error of a known kind at a known step.

Only solutions whose every step is a binary whole-number equation inside the limits take part (`usable` counts the rest).

Kinds of errors, each of one tier:
- T0 `answer`: the final answer is not the last step's result. Decided by comparing, no model needed.
- T1 `slip`: a result is wrong and later steps go on from the right one; `carried slip`: they go on from the wrong one.
- T2 `operator`, `operand`: another operation, or another number of the question, computed correctly and carried on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.ouroboros.equations import OPERATORS, Equations, from_expression, neighbours

KINDS = {"answer": "T0", "slip": "T1", "carried slip": "T1", "operator": "T2", "operand": "T2"}
_NUMBER = re.compile(r"\d[\d,]*")


@dataclass(frozen=True)
class Step:
    """`a op b = claimed`; `a_from` and `b_from` name the earlier step whose result the number is, if any."""

    op: int
    a: int
    b: int
    claimed: int
    a_from: int | None = None
    b_from: int | None = None

    @property
    def true(self) -> int | None:
        return result_of(self.op, self.a, self.b)

    def __str__(self) -> str:
        return f"{self.a}{OPERATORS[self.op]}{self.b}={self.claimed}"


@dataclass(frozen=True)
class Solution:
    """Steps in order and the final answer. `first_error` None: a correct solution."""

    problem: int
    question: str
    steps: tuple[Step, ...]
    final: int
    kind: str = "correct"
    first_error: int | None = None


@dataclass(frozen=True)
class Limits:
    operand: int
    result: int

    def hold(self, steps: Sequence[Step]) -> bool:
        return all(0 < s.a <= self.operand and 0 < s.b <= self.operand and 0 < s.claimed <= self.result for s in steps)


def result_of(op: int, a: int, b: int) -> int | None:
    """The positive whole result, or None."""
    if OPERATORS[op] == "/":
        return a // b if b and a % b == 0 else None
    value = {"+": a + b, "-": a - b, "*": a * b}[OPERATORS[op]]
    return value if value > 0 else None


def parse(row: dict[str, object], index: int, limits: Limits) -> Solution | None:
    """A row of problems.jsonl as a solution; None where a step can't be judged."""
    steps: list[Step] = []
    rows, final = row["steps"], str(row["final"])
    assert isinstance(rows, list)
    for _, expression, claimed in rows:
        equation = from_expression(expression)
        if equation is None or not str(claimed).isdigit():
            return None
        op, a, b = equation
        steps.append(Step(op, a, b, int(claimed), _source(a, steps), _source(b, steps)))
    if not final.isdigit() or not limits.hold(steps) or steps[-1].claimed != int(final):
        return None
    return Solution(index, str(row["question"]), tuple(steps), int(final))


def _source(number: int, before: Sequence[Step]) -> int | None:
    """The latest earlier step with this result."""
    return next((at for at in reversed(range(len(before))) if before[at].claimed == number), None)


def carry(steps: Sequence[Step], start: int, limits: Limits) -> tuple[Step, ...] | None:
    """Steps from `start` on, recomputed from the results that they build on; None where one no longer comes out whole."""
    done = list(steps[:start])
    for step in steps[start:]:
        a = step.a if step.a_from is None else done[step.a_from].claimed
        b = step.b if step.b_from is None else done[step.b_from].claimed
        result = result_of(step.op, a, b)
        if result is None:
            return None
        done.append(replace(step, a=a, b=b, claimed=result))
    return tuple(done) if limits.hold(done) else None


def corrupt(solution: Solution, kind: str, rng: np.random.Generator, limits: Limits) -> Solution | None:
    """The solution with one error; None where none of a few tries gives one.

    Every kind but a slip that is not carried changes the final answer too.
    """
    for _ in range(8):
        at = int(rng.integers(len(solution.steps)))
        found = _corrupt_at(solution, kind, at, rng, limits)
        if found is not None and (kind == "slip" or found.final != solution.final):
            return found
    return None


def _corrupt_at(solution: Solution, kind: str, at: int, rng: np.random.Generator, limits: Limits) -> Solution | None:
    steps, last = solution.steps, len(solution.steps) - 1
    if kind == "answer":
        wrong = _slipped(steps[last], rng, limits)
        return None if wrong is None else replace(solution, final=wrong, kind=kind, first_error=last)
    changed: tuple[Step, ...] | None
    if kind in ("slip", "carried slip"):
        wrong = _slipped(steps[at], rng, limits)
        if wrong is None:
            return None
        changed = (*steps[:at], replace(steps[at], claimed=wrong), *steps[at + 1 :])
        if kind == "carried slip":
            changed = carry(changed, at + 1, limits)
    else:
        other = _other_choice(solution, kind, at, rng)
        changed = None if other is None else carry((*steps[:at], other, *steps[at + 1 :]), at, limits)
    return None if changed is None else _with(solution, changed, kind, at)


def _with(solution: Solution, steps: tuple[Step, ...], kind: str, at: int) -> Solution:
    return replace(solution, steps=steps, final=steps[-1].claimed, kind=kind, first_error=at)


def _slipped(step: Step, rng: np.random.Generator, limits: Limits) -> int | None:
    """The result of a neighbouring equation: as T1's wrong items have it."""
    own = Equations(*(np.array([v]) for v in (step.op, step.a, step.b)))
    other = int(neighbours(own, rng, limits.operand, limits.result).result[0])
    return None if other == step.claimed else other


def numbers_of(question: str) -> list[int]:
    """The whole numbers that a question names, each once."""
    return sorted({int(m[0].replace(",", "")) for m in _NUMBER.finditer(question)})


def _other_choice(solution: Solution, kind: str, at: int, rng: np.random.Generator) -> Step | None:
    step = solution.steps[at]
    if kind == "operator":
        ops = [o for o in range(len(OPERATORS)) if o != step.op and result_of(o, step.a, step.b)]
        return replace(step, op=int(rng.choice(ops))) if ops else None
    numbers = [n for n in numbers_of(solution.question) if n not in (step.a, step.b) and result_of(step.op, step.a, n)]
    return replace(step, b=int(rng.choice(numbers)), b_from=None) if numbers else None


def held_out(problems: Path, split: str, most: int | None, limits: Limits) -> list[Solution]:
    """The correct solutions of a split of problems.jsonl that can be judged."""
    found = []
    with open(problems, encoding="utf-8") as file:
        for index, line in enumerate(file):
            row = json.loads(line)
            solution = parse(row, index, limits) if row["split"] == split else None
            if solution is not None:
                found.append(solution)
    return found[:most]


def corrupted(correct_ones: Sequence[Solution], seed: int, limits: Limits) -> dict[str, list[Solution]]:
    """For each kind of error the solutions that it could be made in."""
    found: dict[str, list[Solution]] = {}
    for index, kind in enumerate(KINDS):
        rng = np.random.default_rng([seed, 11, index])
        made = (corrupt(s, kind, rng, limits) for s in correct_ones)
        found[kind] = [s for s in made if s is not None]
    return found
