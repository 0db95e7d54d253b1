"""HumanEval: 164 problems, all of them test. Reads `$FRACTAL_DATA/HumanEval.jsonl.gz`, else the hub.

The prompt is trusted code: helpers that its tests use (32, 38, 50) are taken from it, never from a candidate.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.verify.problems import files
from engine.verify.problems.problem import Problem, plain
from engine.verify.sandbox.verdict import Tests

HUB = "openai/openai_humaneval"


def load(folder: Path | None) -> list[Problem]:
    if folder is not None:
        rows = files.json_lines(folder / "HumanEval.jsonl.gz")
    else:
        import datasets

        rows = [dict(row) for row in datasets.load_dataset(HUB, split="test")]
    return [problem_of(row, f"HumanEval row {at}") for at, row in enumerate(rows, 1)]


def problem_of(row: dict[str, Any], where: str) -> Problem:
    prompt = files.field(row, "prompt", where)
    entry = files.field(row, "entry_point", where)
    tests = Tests(check=files.field(row, "test", where), entry_point=entry, prelude=prompt)
    number = files.field(row, "task_id", where).split("/")[-1]
    reference = plain(prompt + files.field(row, "canonical_solution", where))
    return Problem(f"humaneval/{number}", "test", prompt, entry, tests, reference)
