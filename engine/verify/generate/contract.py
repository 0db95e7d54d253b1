"""What every generator is: work units in, completions out.

A unit is a chunk of samples of one problem with its own seed: one seed for a whole batch gives correlated noise, and a
restarted engine would repeat itself. What was generated is the truth, not the seed: no engine promises to repeat itself bit
by bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from engine.verify.problems.problem import Problem


@dataclass(frozen=True)
class Unit:
    """`n` samples of one problem."""

    problem: Problem
    prompt: str
    """What the user says; the tokenizer's own chat template goes around it."""
    chunk: int
    first: int
    """The number of the first sample."""
    n: int
    seed: int
    attempt: str = ""
    """In a second round: the program to do better than. A model finds it in the prompt."""
    greedy: bool = False
    """The most probable answer instead of a sample."""

    @property
    def name(self) -> str:
        return f"{self.problem.task_id}#{self.chunk}"


@dataclass(frozen=True)
class Completion:
    """One answer, as it came."""

    text: str
    finish_reason: str
    """`stop`, `length` (cut at the limit: told apart, never silently a wrong answer), or `made` for offline programs."""
    tokens: int
    logprob: float | None = None
    """Summed log-probability of the tokens; None where the backend doesn't say."""
    note: str = ""
    """How an offline program was made. Never shown to a critic."""


@dataclass(frozen=True)
class Sampling:
    """How to sample."""

    temperature: float
    top_p: float
    max_tokens: int
    stop: tuple[str, ...] = ()
    """An answer ends before the first of these; they are not part of it."""

    def of(self, unit: Unit) -> Sampling:
        """For this unit."""
        return replace(self, temperature=0.0, top_p=1.0) if unit.greedy else self

    def cut(self, text: str) -> str | None:
        """The answer up to the first stop word, or None where there is none."""
        places = [at for word in self.stop if (at := text.find(word)) >= 0]
        return text[: min(places)] if places else None


class Generator(Protocol):
    """A backend."""

    name: str

    def generate(self, units: list[Unit]) -> Iterator[tuple[Unit, list[Completion]]]:
        """Every unit with its `n` completions, in any order, as they get ready."""
        ...


def unit_seed(run_seed: int, task_id: str, chunk: int) -> int:
    digest = hashlib.sha256(f"{run_seed}|{task_id}|{chunk}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 2**63


def greedy_units(problems: list[Problem], prompts: dict[str, str]) -> list[Unit]:
    """One greedy answer a problem."""
    return [Unit(p, prompts[p.task_id], 0, 0, 1, 0, greedy=True) for p in problems]


def units_of(problems: list[Problem], prompts: dict[str, str], n: int, chunk: int, run_seed: int) -> list[Unit]:
    """The work of a step: every problem, `n` samples, at most `chunk` at a time."""
    units = []
    for problem in problems:
        for number, first in enumerate(range(0, n, chunk)):
            size = min(chunk, n - first)
            seed = unit_seed(run_seed, problem.task_id, number)
            units.append(Unit(problem, prompts[problem.task_id], number, first, size, seed))
    return units
