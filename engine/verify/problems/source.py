"""One door to all problem sets, and the file that a run keeps of what it used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.verify.problems import apps, files, humaneval, mbpp, own
from engine.verify.problems.problem import BadData, Problem
from engine.verify.sandbox.verdict import Tests

SOURCES = ("own", "mbpp", "sanitized", "humaneval", "apps")


def load(source: str, folder: Path | None) -> list[Problem]:
    """Every problem of a source: from `folder` where it is given, else from the hub; `own` needs neither."""
    if source == "own":
        return own.load()
    if source in ("mbpp", "sanitized"):
        return mbpp.load("full" if source == "mbpp" else "sanitized", folder)
    if source == "humaneval":
        return humaneval.load(folder)
    if source == "apps":
        if folder is None:
            raise BadData("APPS is read from a folder: set FRACTAL_DATA to the one that holds apps/test/*/")
        return [
            p
            for split in ("train", "test")
            if (folder / "apps" / split).exists()
            for p in apps.load(folder / "apps" / split, split)
        ]
    raise BadData(f"no problem source {source!r}; there are: {', '.join(SOURCES)}")


def write(path: Path, problems: list[Problem]) -> None:
    """One problem a line, whole or not at all."""
    from engine.protocol.durable import write_bytes

    write_bytes(path, b"".join(json.dumps(_row(p), sort_keys=True).encode() + b"\n" for p in problems))


def read(path: Path) -> list[Problem]:
    """The problems of a file that `write` made."""
    return [_from_row(row, f"{path}:{at}") for at, row in enumerate(files.json_lines(path), 1)]


def _row(problem: Problem) -> dict[str, Any]:
    tests = {name: value for name, value in vars(problem.tests).items() if value}
    return {**vars(problem), "tests": tests}


def _from_row(row: dict[str, Any], where: str) -> Problem:
    tests = {n: _tuples(v) for n, v in files.field(row, "tests", where).items()}
    rest = {n: _tuples(v) for n, v in row.items() if n != "tests"}
    return Problem(tests=Tests(**tests), **rest)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
