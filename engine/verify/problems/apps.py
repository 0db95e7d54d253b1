"""APPS: one folder a problem (`question.txt`, `solutions.json`, `input_output.json`, …), call-based or standard input.

`fn_name` in `input_output.json` makes a problem call-based; without it programs read and print. Reads
`$FRACTAL_DATA/apps/<split>/*/` or any folder of problem folders.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.verify.problems.problem import BadData, Problem, plain
from engine.verify.sandbox.verdict import Tests

_CPU_S = 4.0  # APPS' own limit


def load(folder: Path, split: str) -> list[Problem]:
    """The problems below `folder`, in the order of their numbers."""
    found = sorted(p.parent for p in folder.glob("*/input_output.json"))
    if not found:
        raise BadData(f"{folder} holds no APPS problems (folders with an input_output.json)")
    return [problem_of(place, split) for place in found]


def problem_of(place: Path, split: str) -> Problem:
    cases = _json(place / "input_output.json")
    if not cases.get("inputs"):
        raise BadData(f"{place}: input_output.json has no inputs; a problem without tests can't be judged")
    pairs = list(zip(cases["inputs"], cases["outputs"], strict=True))
    name = cases.get("fn_name") or ""
    if name:
        calls = tuple((json.dumps(i), json.dumps(o)) for i, o in pairs)
        tests = Tests(calls=calls, entry_point=name, cpu_s=_CPU_S)
    else:
        tests = Tests(stdin=tuple((_text(i), _text(o)) for i, o in pairs), cpu_s=_CPU_S)
    solutions = _json(place / "solutions.json") if (place / "solutions.json").exists() else []
    text = (place / "question.txt").read_text(encoding="utf-8")
    starter = place / "starter_code.py"
    if starter.exists():
        text += "\n\n" + starter.read_text(encoding="utf-8")
    return Problem(f"apps/{place.name}", split, text, name, tests, plain(solutions[0]) if solutions else "")


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadData(f"{path} is cut or damaged ({error}); fetch it again") from None
