"""GSM8K's rows and their calculator annotations `<<12*4=48>>`, parsed and evaluated again.

Guarantees: an expression is read by a small grammar (numbers, + - * /, parentheses, %), never by `eval`; arithmetic is
exact (fractions); a row that can't be used is counted with its reason and never dropped in silence.
Does not guarantee: that the solution's text agrees with its annotations.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

_ANNOTATION = re.compile(r"<<([^<>]*)>>")
_TOKEN = re.compile(r"\s*(\d[\d,]*\.?\d*|\.\d+|[-+*/()%])")


class BadAnnotation(ValueError):
    """An annotation, an expression or a row that can't be read. The message quotes it."""


@dataclass(frozen=True)
class Step:
    """One annotation: what was computed and what was claimed."""

    expression: str
    claimed: Fraction
    text: str
    """The solution's text up to this annotation, from the end of the one before."""

    @property
    def true(self) -> bool:
        return evaluate(self.expression) == self.claimed


@dataclass(frozen=True)
class Problem:
    """One row, read."""

    id: str
    question: str
    steps: tuple[Step, ...]
    final: Fraction
    template: str
    """The chain of operations for a real row, the generator's template for a generated one."""
    twin_of: str | None = None
    twin_step: int | None = None

    @property
    def ends_in_last_step(self) -> bool:
        return bool(self.steps) and self.steps[-1].claimed == self.final


@dataclass(frozen=True)
class Parsed:
    """What a file held."""

    problems: tuple[Problem, ...]
    refused: Counter[str]
    """Rows that can't be used, by reason."""


def evaluate(expression: str) -> Fraction:
    """The exact value of an arithmetic expression."""
    value, rest = _sum(tokens(expression), expression)
    if rest:
        raise BadAnnotation(f"{expression!r}: nothing may follow, found {rest[0]!r}")
    return value


def tokens(expression: str) -> list[str]:
    """The numbers, operators and parentheses of an expression."""
    found, at = [], 0
    text = expression.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadAnnotation(f"{expression!r}: {text[at:].strip()[:1]!r} is no arithmetic")
        found.append(match[1].replace(",", ""))
        at = match.end()
    return found


def _sum(left: list[str], whole: str) -> tuple[Fraction, list[str]]:
    value, left = _product(left, whole)
    while left and left[0] in "+-":
        op = left[0]
        other, left = _product(left[1:], whole)
        value = value + other if op == "+" else value - other
    return value, left


def _product(left: list[str], whole: str) -> tuple[Fraction, list[str]]:
    value, left = _factor(left, whole)
    while left and left[0] in "*/":
        op = left[0]
        other, left = _factor(left[1:], whole)
        if op == "/" and other == 0:
            raise BadAnnotation(f"{whole!r} divides by zero")
        value = value * other if op == "*" else value / other
    return value, left


def _factor(left: list[str], whole: str) -> tuple[Fraction, list[str]]:
    if not left:
        raise BadAnnotation(f"{whole!r} ends too early")
    head, rest = left[0], left[1:]
    if head in "+-":
        value, rest = _factor(rest, whole)
        return (-value if head == "-" else value), rest
    if head == "(":
        value, rest = _sum(rest, whole)
        if not rest or rest[0] != ")":
            raise BadAnnotation(f"{whole!r}: a parenthesis stays open")
        rest = rest[1:]
    elif head[0].isdigit() or head[0] == ".":
        value = Fraction(head)
    else:
        raise BadAnnotation(f"{whole!r}: a number is expected, found {head!r}")
    if rest and rest[0] == "%":
        value, rest = value / 100, rest[1:]
    return value, rest


def parse_row(row: dict[str, object], name: str) -> Problem:
    """One row; BadAnnotation says why it can't be used."""
    question, answer = row.get("question"), row.get("answer")
    if not isinstance(question, str) or not isinstance(answer, str):
        raise BadAnnotation("question or answer is missing")
    body, mark, final = answer.rpartition("####")
    if not mark:
        raise BadAnnotation("no final answer (####)")
    steps = tuple(_steps(body))
    if not steps:
        raise BadAnnotation("no annotation")
    template, twin_of, twin_step = row.get("template"), row.get("twin_of"), row.get("twin_step")
    return Problem(
        id=str(row.get("id", name)),
        question=question,
        steps=steps,
        final=evaluate(final.strip().lstrip("$")),
        template=template if isinstance(template, str) else "ops " + " ".join(operators(s.expression) for s in steps),
        twin_of=twin_of if isinstance(twin_of, str) else None,
        twin_step=twin_step if isinstance(twin_step, int) else None,
    )


def _steps(body: str) -> Iterable[Step]:
    at = 0
    for match in _ANNOTATION.finditer(body):
        expression, equals, claimed = match[1].partition("=")
        if not equals:
            raise BadAnnotation(f"<<{match[1]}>> has no '='")
        yield Step(expression.strip(), evaluate(claimed), body[at : match.start()])
        at = match.end()


def operators(expression: str) -> str:
    return "".join(c for c in expression if c in "+-*/%")


def parse_rows(rows: Iterable[dict[str, object]], prefix: str) -> Parsed:
    """Every row whose annotations all read and hold."""
    problems, refused = [], Counter[str]()
    for index, row in enumerate(rows):
        try:
            problem = parse_row(row, f"{prefix}-{index}")
            if not all(step.true for step in problem.steps):
                raise BadAnnotation("an annotation is not exactly true")
        except BadAnnotation as error:
            refused[_reason(str(error))] += 1
        else:
            problems.append(problem)
    return Parsed(tuple(problems), refused)


def _reason(message: str) -> str:
    """The message without the row's own text, so that reasons can be counted."""
    return re.sub(r"<<.*>>|'[^']*'", "…", message)


def read_jsonl(path: Path) -> list[dict[str, object]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise BadAnnotation(f"{path}:{number} is no JSON: {error.msg}") from None
    return rows


def data_folder() -> Path | None:
    """$FRACTAL_DATA, where it is set and there."""
    folder = os.environ.get("FRACTAL_DATA")
    return Path(folder) if folder and Path(folder).is_dir() else None


def load(split: str) -> Parsed | None:
    """The real `train` or `test` split from $FRACTAL_DATA; None where it is not there."""
    folder = data_folder()
    path = folder / f"gsm8k_{split}.jsonl" if folder else None
    return parse_rows(read_jsonl(path), f"gsm8k-{split}") if path and path.exists() else None
