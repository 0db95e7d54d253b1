"""Programs without a model: references in other styles, and references with slips. Labelled synthetic, row by row.

Each problem has its own difficulty, drawn from its name: some are nearly always solved, some nearly never, as with a model.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from engine.verify.generate.contract import Completion, Unit, unit_seed
from engine.verify.generate.extract import parses
from engine.verify.generate.mutate import restyle, slip

# A model's wrong program is seldom one token away from a right one.
_SLIPS, _HOW_OFTEN = (1, 2, 3), (0.35, 0.4, 0.25)


class OfflineGenerator:
    """Needs a reference for every problem."""

    name = "offline"

    def generate(self, units: list[Unit]) -> Iterator[tuple[Unit, list[Completion]]]:
        for unit in units:
            rng = random.Random(unit.seed)
            yield unit, [_one(unit, rng) for _ in range(unit.n)]


def chance_of_no_slip(task_id: str) -> float:
    """Between 0.05 and 0.65, fixed for a problem."""
    return 0.05 + 0.6 * random.Random(unit_seed(0, task_id, -1)).random()


def _one(unit: Unit, rng: random.Random) -> Completion:
    if unit.attempt:  # a second round is a search around the attempt: another edit may undo the fault
        code, made = slip(unit.attempt, rng, 1) if parses(unit.attempt) else (unit.attempt, [])
        return Completion(f"```python\n{code}```", "made", len(code.split()), note=f"edit: {', '.join(made)}")
    styled = restyle(unit.problem.reference, rng)
    slips = 0 if rng.random() < chance_of_no_slip(unit.problem.task_id) else rng.choices(_SLIPS, _HOW_OFTEN)[0]
    code, made = slip(styled, rng, slips)
    return Completion(f"```python\n{code}```", "made", len(code.split()), note=", ".join(made) or "reference")
