"""MBPP, full (974) and sanitized (427), with the official splits, never mixed.

Full: prompt 1-10, test 11-510, validation 511-600, train 601-974; two of them (none in sanitized) are marked `set_aside`.
Sanitized keeps the ids but has edited prompts and tests, so its problems are called `sanitized/…`.
Reads `$FRACTAL_DATA/mbpp.jsonl` and `sanitized-mbpp.json`, else the hub.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.verify.problems import files
from engine.verify.problems.problem import SLOW_S, BadData, Problem, called_in, plain
from engine.verify.sandbox.verdict import Tests

HUB = "google-research-datasets/mbpp"
_SPLITS = (("prompt", 1, 10), ("test", 11, 510), ("validation", 511, 600), ("train", 601, 974))


def split_of(number: int) -> str:
    """The official split of a task number."""
    for name, first, last in _SPLITS:
        if first <= number <= last:
            return name
    raise BadData(f"MBPP has no task {number}")


def load(which: str, folder: Path | None) -> list[Problem]:
    """All problems of `full` or `sanitized`."""
    rows = _from_folder(which, folder) if folder is not None else _from_hub(which)
    return [problem_of(row, which, f"MBPP {which} row {at}") for at, row in enumerate(rows, 1)]


def _from_folder(which: str, folder: Path) -> list[dict[str, Any]]:
    if which == "sanitized":
        return files.json_list(folder / "sanitized-mbpp.json")
    return files.json_lines(folder / "mbpp.jsonl")


def _from_hub(which: str) -> list[dict[str, Any]]:
    import datasets

    parts = datasets.load_dataset(HUB, which)
    return [dict(row) for part in parts.values() for row in part]


def problem_of(row: dict[str, Any], which: str, where: str) -> Problem:
    """One row as a problem."""
    number = files.field(row, "task_id", where)
    asserts = tuple(files.field(row, "test_list", where))
    if not asserts:
        raise BadData(f"{where} (task {number}) has no tests; leave it out or fetch the file again")
    code = plain(files.field(row, "code", where))
    tests = Tests(
        asserts=asserts,
        imports=tuple(row.get("test_imports") or ()),
        setup=row.get("test_setup_code") or "",
        reference=code,
        cpu_s=SLOW_S.get(str(number), 2.0),
    )
    name = "sanitized" if which == "sanitized" else "mbpp"
    text = row.get("prompt") or files.field(row, "text", where)
    entry = called_in(asserts)
    return Problem(f"{name}/{number}", split_of(number), text, entry, tests, code, asserts)
