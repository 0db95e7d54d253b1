"""The project's own problems: 144 small tasks in MBPP's style, written by hand, with references and tests.

They need no download, so every step runs for real on a laptop. Synthetic: no result on them says anything of MBPP. The split
is fixed by a hash of the name: a new problem moves no old one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from engine.verify.problems.problem import Problem, called_in
from engine.verify.sandbox.verdict import Tests

_FILE = Path(__file__).with_name("own.txt")
# Of a hundred buckets: the test share is large because an interval over problems needs many of them.
_TRAIN, _VALIDATION = 48, 60


def split_of(name: str) -> str:
    """The split of a problem, by its name alone."""
    bucket = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 100
    return "train" if bucket < _TRAIN else "validation" if bucket < _VALIDATION else "test"


def load() -> list[Problem]:
    """All problems, in the file's order."""
    blocks = _FILE.read_text(encoding="utf-8").split("### ")[1:]
    return [_problem(block) for block in blocks]


def _problem(block: str) -> Problem:
    head, code, asserts = block.strip().split("\n---\n")
    name, text = head.split("\n", 1)
    lines = tuple(asserts.strip().split("\n"))
    tests = Tests(asserts=lines, reference=code + "\n", cpu_s=1.0)
    return Problem(f"own/{name}", split_of(name), text.strip(), called_in(lines), tests, code + "\n", lines)
