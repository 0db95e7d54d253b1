"""Checkpoints: everything that the next step depends on, written whole or not at all.

Guarantees: training that goes on from a checkpoint ends, on a CPU with one thread, with the same bits as training that was
never interrupted; a checkpoint of other data, another config or another tokenizer is refused with one line.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from engine.ouroboros.errors import CheckpointError

VERSION = 1


def save(path: Path, value: dict[str, Any]) -> None:
    beside = path.with_name(path.name + ".part")
    torch.save({"version": VERSION, **value}, beside)
    os.replace(beside, path)


def load(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    if not path.exists():
        raise CheckpointError(f"{path} is not there: run the step `train` first (python -m engine.ouroboros.train)")
    try:
        value = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path} can't be read ({type(error).__name__}); train again or copy it again") from None
    if not isinstance(value, dict) or value.get("version") != VERSION:
        raise CheckpointError(f"{path} is no checkpoint of this version ({VERSION})")
    return value


def must_match(path: Path, saved: dict[str, Any], here: dict[str, Any]) -> None:
    """Refuse a checkpoint whose named properties differ from those here."""
    for name, value in here.items():
        if saved.get(name) != value:
            raise CheckpointError(
                f"{path} has {name} {saved.get(name)!r}, here it is {value!r}; use its own, or train again"
            )
