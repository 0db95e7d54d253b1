"""Energies of the steps of whole solutions, and what follows from them for a solution.

A step's energy is the largest of what the model can judge: its arithmetic and, for a model that reads the question, its
operator and its second number. A solution's energy is that of its worst step, or 1 where the final answer is not the
last step's result (T0, decided by comparing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.ouroboros.choices import OPERAND, OPERATOR, Choices, context
from engine.ouroboros.dataset import TOKENIZER, Dataset, StoredChoices
from engine.ouroboros.errors import CheckpointError
from engine.ouroboros.pairs import Items
from engine.ouroboros.scorer import Scorer
from engine.ouroboros.solutions import Solution, Step
from engine.ouroboros.texts import encode
from engine.ouroboros.tokenizers import Gpt2, Tokenizer, load_bpe

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Placed:
    """A step where it stands: what a model that reads text is shown before it."""

    question: str
    before: tuple[Step, ...]
    step: Step


@dataclass(frozen=True)
class Judge:
    """`tokenizer` None: the model reads no question, and only arithmetic is judged."""

    scorer: Scorer
    tokenizer: Tokenizer | None = None

    def energies(self, placed: Sequence[Placed]) -> Floats:
        """One energy for each step."""
        items = items_of([p.step for p in placed])
        found = self.scorer.energies(items)
        if self.tokenizer is None or not len(placed):
            return found
        texts = [context(p.question, [str(s) for s in p.before]) for p in placed]
        encoded = encode(texts, self.tokenizer, self.scorer.config.data.max_context)
        count = np.arange(len(placed))
        for task in (OPERATOR, OPERAND):
            asked = Choices(np.full(len(placed), task), items.op, items.a, items.b, items.wrong, count, count, count)
            found = np.maximum(found, self.scorer.choice_energies(StoredChoices(asked, encoded)))
        return found

    def steps(self, solutions: Sequence[Solution]) -> list[Floats]:
        """The energies of each solution's steps."""
        placed = [Placed(s.question, s.steps[:at], step) for s in solutions for at, step in enumerate(s.steps)]
        ends = np.cumsum([len(s.steps) for s in solutions])[:-1]
        return np.split(self.energies(placed), ends)


def items_of(steps: Sequence[Step]) -> Items:
    op, a, b, claimed = np.array([(s.op, s.a, s.b, s.claimed) for s in steps], dtype=np.int64).reshape(-1, 4).T
    zeros = np.zeros(len(steps), dtype=np.int64)
    return Items(op, a, b, claimed, zeros.astype(bool), zeros, np.arange(len(steps)), zeros)


def judge_of(model: Scorer, data: Dataset) -> Judge:
    """The judge with the tokenizer that the model was trained with."""
    if model.model.text is None:
        return Judge(model)
    if model.config.data.tokenizer == "gpt2":
        tokenizer: Tokenizer = Gpt2()
    else:
        tokenizer = load_bpe(data.folder / TOKENIZER)
    if tokenizer.fingerprint != model.tokenizer:
        raise CheckpointError(
            f"the model was trained with tokenizer {model.tokenizer}, here is {tokenizer.fingerprint}: "
            "prepare and train again, or put its own tokenizer.json here"
        )
    return Judge(model, tokenizer)


def solution_energy(solution: Solution, step_energies: Floats) -> float:
    copied = solution.final == solution.steps[-1].claimed
    return float(step_energies.max()) if copied else 1.0


def located(solution: Solution, step_energies: Floats, threshold: float) -> int | None:
    """The first step above the threshold; the last one where only the final answer is off; None: nothing to object."""
    above = np.flatnonzero(step_energies > threshold)
    if len(above):
        return int(above[0])
    return None if solution.final == solution.steps[-1].claimed else len(solution.steps) - 1
