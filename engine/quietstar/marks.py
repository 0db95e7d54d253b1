"""What must be the same for a checkpoint to be gone on from: settings, seed, hashes of inputs, each by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.quietstar import model_file
from engine.quietstar.errors import ModelFileError, ResumeError


def flat(value: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Nested settings under dotted names."""
    found: dict[str, Any] = {}
    for key, inner in value.items():
        name = f"{prefix}.{key}"
        found |= flat(inner, name) if isinstance(inner, dict) else {name: inner}
    return found


def save(path: Path, marks: dict[str, Any], state: dict[str, Any]) -> None:
    model_file.write(path, {"marks": marks, "state": state})


def read(path: Path, here: dict[str, Any]) -> dict[str, Any] | None:
    """The state to go on from; None where there is no file. Of other settings: refused, naming every one that differs."""
    if not path.exists():
        return None
    try:
        found = model_file.read(path, "delete it to begin anew")
    except ModelFileError as error:
        raise ResumeError(str(error)) from None
    if not isinstance(found, dict) or "marks" not in found:
        raise ResumeError(f"{path} is no checkpoint of this step: delete it to begin anew")
    there = found["marks"]
    names = sorted(n for n in {*there, *here} if there.get(n) != here.get(n))
    if names:
        differ = "; ".join(f"{n} was {there.get(n)!r}, is {here.get(n)!r}" for n in names)
        raise ResumeError(f"{path} is of other settings: {differ}. Use those, or delete it to begin anew")
    state: dict[str, Any] = found["state"]
    return state
