"""`checkpoints_critic/critic_e{n}/`: weights first, the manifest last; a folder without a manifest is no checkpoint."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from engine.protocol.durable import read_json, write_json
from engine.verify.step import StepFailed

FOLDER = "checkpoints_critic"
_INTERRUPTED = "interrupted"


def folder_of(work: Path, epoch: int) -> Path:
    return work / FOLDER / f"critic_e{epoch}"


def save(work: Path, epoch: int, state: dict[str, Any], manifest: dict[str, Any]) -> Path:
    """Everything that going on needs; whole or absent."""
    place = _write(folder_of(work, epoch), state, manifest)
    shutil.rmtree(work / FOLDER / _INTERRUPTED, ignore_errors=True)
    return place


def save_interrupted(work: Path, state: dict[str, Any], manifest: dict[str, Any]) -> Path:
    """The place inside an epoch, until the epoch is whole."""
    return _write(work / FOLDER / _INTERRUPTED, state, manifest)


def latest(work: Path) -> Path | None:
    """Where to go on: inside an epoch, after one, or nowhere."""
    if (work / FOLDER / _INTERRUPTED / "manifest.json").exists():
        return work / FOLDER / _INTERRUPTED
    saved = epochs_saved(work)
    return folder_of(work, saved[-1]) if saved else None


def _write(place: Path, state: dict[str, Any], manifest: dict[str, Any]) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    with open(place / "state.pt", "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    write_json(place / "manifest.json", manifest)
    return place


def epochs_saved(work: Path) -> list[int]:
    """Whole checkpoints, in order."""
    found = []
    for place in (work / FOLDER).glob("critic_e*"):
        match = re.fullmatch(r"critic_e(\d+)", place.name)
        if match and (place / "manifest.json").exists():
            found.append(int(match.group(1)))
    return sorted(found)


def load(place: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """The state of a checkpoint that fits `identity`, or one line that says what doesn't."""
    manifest = read_json(place / "manifest.json")
    if manifest is None:
        raise StepFailed(f"{place} is no whole checkpoint (no manifest.json); run train_critic again")
    kept = manifest.get("identity", {})
    differ = [key for key in identity if kept.get(key) != identity[key]]
    if differ:
        shown = "; ".join(f"{k}: {kept.get(k)!r} there, {identity[k]!r} here" for k in differ)
        raise StepFailed(
            f"{place} belongs to another critic or training ({shown}). "
            "Use those, or move checkpoints_critic away and train again."
        )
    state: dict[str, Any] = torch.load(place / "state.pt", map_location="cpu", weights_only=True)
    return state
