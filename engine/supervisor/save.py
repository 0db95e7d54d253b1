"""What must not be lost, copied to a folder that outlives the machine and verified there by hash.

    python3 -S -m engine.supervisor save ROOT FOLDER      every run of this host; exit code 0: all of it is verified there

The executor of a plan uses it at the plan's end, the guard on a rented machine before it ends the machine.
Guarantees: an interrupted copy is never taken for a whole one; what differs is named.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.protocol.durable import read_json
from engine.protocol.events import every_event
from engine.protocol.files import describe, shown_path
from engine.protocol.layout import Root, RunPaths
from engine.protocol.spec import RunSpec, read_spec
from engine.protocol.status import SUCCEEDED, observe
from engine.supervisor.finish import matches
from engine.supervisor.ladder import ask

# A program that was asked for a checkpoint gets so long before what is there is copied.
_CHECKPOINT_S = 60.0
_GOING = ("starting", "running", "stalled")


@dataclass(frozen=True)
class Kept:
    """One file or folder and where its copy lies."""

    source: Path
    target: Path


def kept_of(paths: RunPaths, spec: RunSpec, state: str, folder: Path) -> list[Kept]:
    """What of a run must not be lost: its required outputs; where it did not succeed, its last checkpoint too."""
    below = folder / spec.phase / spec.variant
    return [Kept(path, below / shown_path(path, spec.work).lstrip("/")) for path in _promised(paths, spec, state)]


def _promised(paths: RunPaths, spec: RunSpec, state: str) -> list[Path]:
    work = Path(spec.work)
    recorded = read_json(paths.artifacts)
    if recorded is not None:
        entries = recorded.get("artifacts", [])
        found = [work / a["path"] for a in entries if a.get("required") and not a.get("missing")]
    else:  # nobody was left to record them: what the patterns name now
        found = [path for output in spec.outputs if output.required for path in matches(work, output)]
    if state != SUCCEEDED:
        checkpoints = [work / str(e.get("path")) for e in every_event(paths.events) if e.get("kind") == "checkpoint"]
        found += [path for path in checkpoints[-1:] if path.exists()]
    return found


def copy(kept: Kept) -> dict[str, str]:
    """Beside its place, then renamed."""
    source, target = kept.source, kept.target
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part)
        shutil.rmtree(target, ignore_errors=True)
    else:
        shutil.copyfile(source, part)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
    os.replace(part, target)
    return {"from": str(source), "to": str(target)}


def differing(kept: Iterable[Kept]) -> list[str]:
    """Hash both sides; what is not the same there."""
    wrong = []
    for one in kept:
        try:
            if describe(one.target)["sha256"] != describe(one.source)["sha256"]:
                wrong.append(str(one.target))
        except OSError as error:
            wrong.append(f"{one.target} ({error.strerror})")
    return wrong


def save(
    root: Root, folder: Path, sleep: Callable[[float], None] = time.sleep, patience_s: float = _CHECKPOINT_S
) -> int:
    """Everything of this host, live runs asked for a checkpoint first; says what is not safe. The exit code."""
    _ask_for_checkpoints(root, sleep, patience_s)
    problems: list[str] = []
    for run_id in root.run_ids():
        paths = root.run(run_id)
        spec = read_spec(paths.spec)
        if spec is None:
            continue
        kept = [one for one in kept_of(paths, spec, observe(paths).state, folder) if differing([one])]
        try:
            for one in kept:
                copy(one)
            problems += differing(kept)
        except OSError as error:
            problems.append(f"{run_id}: copying failed: {error}")
    for problem in problems:
        print(f"not saved: {problem}")
    return 1 if problems else 0


def _ask_for_checkpoints(root: Root, sleep: Callable[[float], None], patience_s: float) -> None:
    live = [root.run(run_id) for run_id in root.run_ids() if observe(root.run(run_id)).state in _GOING]
    before = {paths.run_id: _checkpoints(paths) for paths in live}
    for paths in live:
        ask(paths.requests, "checkpoint", "the guard", "the machine is about to end", time.time())
    waited = 0.0
    while waited < patience_s and any(_may_still_save(paths, before[paths.run_id]) for paths in live):
        sleep(0.5)
        waited += 0.5


def _may_still_save(paths: RunPaths, before: int) -> bool:
    """It goes on, has written none since, and was not found to be unable to."""
    asked = [e for e in every_event(paths.supervisor_events) if e.get("kind") == "checkpoint-asked"]
    if any(e.get("by") == "the guard" and e.get("told") == 0 for e in asked[-1:]):
        return False
    return observe(paths).live and _checkpoints(paths) <= before


def _checkpoints(paths: RunPaths) -> int:
    return sum(e.get("kind") == "checkpoint" for e in every_event(paths.events))
