"""Tier T2: is this the operation, and are these the numbers, that the question asks for? Only the question can tell.

Two kinds of quads, both balanced as those of T1 are (every question and every step stands once in each class):
- operator: a problem and its twin, which has the same numbers and one relation turned round ("gives", "receives");
- operand: a problem and the same with two of its numbers exchanged in the question, so that the step takes the other one.

The arithmetic of every item is right, so tier T1 sees nothing wrong with any of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from engine.data.gsm8k import Problem, tokens
from engine.ouroboros.equations import OPERATORS, Equations, Ints, from_expression
from engine.ouroboros.split import Split

OPERATOR, OPERAND = 0, 1
TASKS = ("operator", "operand")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True)
class Choices:
    """N steps that a question is to be held against; fields as in Items, `text` is the row of the context."""

    task: Ints
    op: Ints
    a: Ints
    b: Ints
    wrong: NDArray[np.bool_]
    group: Ints
    problem: Ints
    text: Ints

    def __len__(self) -> int:
        return len(self.op)

    def __getitem__(self, index: NDArray[np.bool_] | Ints | slice) -> Choices:
        return Choices(**{name: value[index] for name, value in vars(self).items()})

    @property
    def equations(self) -> Equations:
        return Equations(self.op, self.a, self.b)


@dataclass(frozen=True)
class Quad:
    """Two contexts, and the step that is right in each; each step is wrong in the other's context."""

    task: int
    contexts: tuple[str, str]
    steps: tuple[tuple[int, int, int], tuple[int, int, int]]
    problem: int


def context(question: str, before: Sequence[str]) -> str:
    """What the model reads before a step: the question, and the equations so far."""
    return "\n".join([question, *before])


def operator_quads(problems: Sequence[Problem], most: int) -> Iterator[Quad]:
    """One for every problem with a twin, at the step where they part."""
    row_of = {p.id: i for i, p in enumerate(problems)}
    for twin in problems:
        own = row_of.get(twin.twin_of or "")
        if own is None or twin.twin_step is None:
            continue
        problem, at = problems[own], twin.twin_step
        pair = tuple(from_expression(p.steps[at].expression) for p in (problem, twin))
        if pair[0] is None or pair[1] is None or max(max(p[1:]) for p in pair if p) > most:
            continue
        before = [f"{s.expression}={s.claimed}" for s in problem.steps[:at]]
        yield Quad(
            OPERATOR, (context(problem.question, before), context(twin.question, before)), (pair[0], pair[1]), own
        )


def operand_quads(problems: Sequence[Problem], most: int, seed: int) -> Iterator[Quad]:
    """One for a step whose second number stands once in the question, beside another number to exchange it with."""
    rng = np.random.default_rng([seed, 9])
    for row, problem in enumerate(problems):
        candidates = [(at, other) for at in range(len(problem.steps)) for other in _exchangeable(problem, at, most)]
        if candidates:
            at, other = candidates[int(rng.integers(len(candidates)))]
            quad = _exchange(problem, at, other, row, most)
            if quad is not None:
                yield quad


def _mentions(question: str) -> list[str]:
    return [m[0].rstrip(",").replace(",", "") for m in _NUMBER.finditer(question)]


def _exchangeable(problem: Problem, at: int, most: int) -> list[int]:
    """Numbers of the question that could be taken by mistake for the second number of step `at`."""
    step = from_expression(problem.steps[at].expression)
    said = _mentions(problem.question)
    if step is None or said.count(str(step[2])) != 1 or step[1] == step[2]:
        return []
    return [
        int(n) for n in said if n.isdigit() and said.count(n) == 1 and int(n) not in step[1:] and 0 < int(n) <= most
    ]


def _exchange(problem: Problem, at: int, other: int, row: int, most: int) -> Quad | None:
    """The problem with two numbers exchanged; None where a step no longer comes out whole."""
    step = from_expression(problem.steps[at].expression)
    assert step is not None
    op, _, b = step
    swap = {str(b): str(other), str(other): str(b)}
    followed = _follow(problem, at, swap)
    if followed is None:
        return None
    before, exchanged = followed
    own = from_expression(problem.steps[at].expression)
    new = from_expression(exchanged)
    if own is None or new is None or new[0] != op or new[1] != own[1] or max(new[1:]) > most:
        return None  # where the first number changes too, the two steps differ in more than the choice
    question = _NUMBER.sub(
        lambda m: swap.get(m[0].rstrip(","), m[0].rstrip(",")) + "," * m[0].endswith(","), problem.question
    )
    own_before = [f"{s.expression}={s.claimed}" for s in problem.steps[:at]]
    return Quad(OPERAND, (context(problem.question, own_before), context(question, before)), (own, new), row)


def _follow(problem: Problem, at: int, swap: dict[str, str]) -> tuple[list[str], str] | None:
    """The equations before step `at`, and its expression, after the exchange; results are carried on."""
    changed = dict(swap)
    before: list[str] = []
    for index, step in enumerate(problem.steps[: at + 1]):
        expression = "".join(changed.get(t, t) for t in tokens(step.expression))
        if index == at:
            return before, expression
        equation = from_expression(expression)
        result = _result(equation) if equation else None
        if result is None:
            return None
        before.append(f"{expression}={result}")
        if Fraction(result) != step.claimed:
            changed[str(step.claimed)] = str(result)
    return None


def _result(equation: tuple[int, int, int]) -> int | None:
    op, a, b = equation
    if OPERATORS[op] == "/":
        return a // b if b and a % b == 0 else None
    result = {"+": a + b, "-": a - b, "*": a * b}[OPERATORS[op]]
    return result if result > 0 else None


@dataclass(frozen=True)
class Made:
    """Items of one split with their contexts."""

    choices: Choices
    texts: list[str]


def make(
    problems: Sequence[Problem], splits: Sequence[Split], wanted: Split, max_operand: int, max_result: int, seed: int
) -> Made:
    """Both kinds of quads of one split, as far as their steps stay inside the limits."""
    quads = [*operator_quads(problems, max_operand), *operand_quads(problems, max_operand, seed)]
    inside = [q for q in quads if all(_inside(step, max_operand, max_result) for step in q.steps)]
    return _items([q for q in inside if splits[q.problem] == wanted])


def every_step(
    problems: Sequence[Problem], splits: Sequence[Split], wanted: Split, max_operand: int, max_result: int
) -> Made:
    """Every step of a split in its own context, all correct, once for each task: what a generative energy learns from.

    Quads hold only the steps that can be turned round or exchanged; a model that saw no others would doubt the rest.
    """
    rows, texts = [], []
    for row, problem in enumerate(problems):
        if splits[row] != wanted:
            continue
        for at, step in enumerate(problem.steps):
            equation = from_expression(step.expression)
            if equation is None or not _inside(equation, max_operand, max_result):
                continue
            for task in (OPERATOR, OPERAND):
                rows.append((task, *equation, False, len(rows), row, len(texts)))
            texts.append(context(problem.question, [f"{s.expression}={s.claimed}" for s in problem.steps[:at]]))
    return Made(_columns(rows), texts)


def _inside(equation: tuple[int, int, int], max_operand: int, max_result: int) -> bool:
    return max(equation[1:]) <= max_operand and 0 < (_result(equation) or 0) <= max_result


def _items(quads: Sequence[Quad]) -> Made:
    """Four items a quad, the two correct ones first."""
    rows, texts = [], []
    for group, quad in enumerate(quads):
        for wrong in (False, True):
            for side in (0, 1):
                op, a, b = quad.steps[1 - side if wrong else side]
                rows.append((quad.task, op, a, b, wrong, group, quad.problem, 2 * group + side))
        texts.extend(quad.contexts)
    return Made(_columns(rows), texts)


def _columns(rows: Sequence[tuple[int, ...]]) -> Choices:
    task, op, a, b, wrong, group, problem, text = np.array(rows, dtype=np.int64).reshape(-1, 8).T
    return Choices(task, op, a, b, wrong.astype(bool), group, problem, text)
