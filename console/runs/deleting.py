"""Deleting a run with care: what would go, what speaks against it, and the doing.

Guarantees: a live run is never deleted. One that a gate stands on, whose model is a champion or was handed on, whose files
were not brought here or exist nowhere else, is deleted only with a reason. The deletion is written down among the notes
first; then the folder leaves the list of runs by one rename, so that a `kill -9` leaves a run whole or gone.
Does not touch: what lies on another host, and files in the folder of a project.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from console.errors import UserError
from console.launch.resolved import whoami
from console.runs.again import resolved_as
from console.words import size
from engine.protocol.durable import read_json
from engine.protocol.plan_status import plan_said
from engine.protocol.spec import RunSpec, read_spec
from engine.protocol.status import LOST

if TYPE_CHECKING:
    from console.store import RunRow
    from console.workspace import Workspace
    from engine.protocol.layout import RunPaths
    from engine.registry.model import Model

_DOOMED = ".deleted-"
_CLOCK_S = 5.0  # a file's time stamp may be later than the end of its run by so much


@dataclass(frozen=True)
class OwnFile:
    """A file in the work folder that this run made and no later one has replaced."""

    path: Path
    size: int


@dataclass(frozen=True)
class Doomed:
    """What deleting a run would take, and what speaks against it."""

    run_id: str
    state: str
    folder_size: int
    files: list[OwnFile] = field(default_factory=list)
    against: list[str] = field(default_factory=list)
    """Each asks for a reason."""
    against_files: list[str] = field(default_factory=list)
    """The same, only if its files are to go as well."""
    live: bool = False

    def objections(self, with_files: bool) -> list[str]:
        return [*self.against, *(self.against_files if with_files else [])]

    def words(self, with_files: bool) -> str:
        """What goes and what stays, in a line."""
        total = size(sum(f.size for f in self.files))
        said = f"its folder with log, events and evidence ({size(self.folder_size)})"
        if not self.files:
            return f"goes: {said}"
        names = ", ".join(f.path.name for f in self.files[:4]) + (" …" if len(self.files) > 4 else "")
        files = f"{len(self.files)} file(s) of the work folder ({total}: {names})"
        return f"goes: {said} and {files}" if with_files else f"goes: {said}; stay: {files}"


def weigh(space: Workspace, run_id: str) -> Doomed:
    """Look at a run from all sides."""
    row, paths = space.store.run(run_id), space.paths(run_id)
    if row is None:
        raise UserError(f"there is no run {run_id!r}. Type: fractal-console runs")
    status = space.state(run_id) if paths.spec.exists() else None
    state = row.state if status is None else status.state
    spec = None if row.unreadable else read_spec(paths.spec)
    files = _own_files(space, spec, row, paths) if spec is not None else []
    against = [] if spec is None else _against(space, spec, row, paths)
    return Doomed(
        *(run_id, state, _size_of(paths.folder), files, against, _only_copies(space, run_id, files)),
        live=status is not None and not status.final and status.state != LOST,
    )


def _against(space: Workspace, spec: RunSpec, row: RunRow, paths: RunPaths) -> list[str]:
    models = [m for m in space.registry.models() if m.session_id == spec.run_id]
    return [*_gates_on(space, spec), *_plan_on(space, spec), *_models_on(space, models), *_unpulled(row, paths)]


def refusal(doomed: Doomed, with_files: bool, reason: str | None) -> str | None:
    """Why it can't be deleted now; None where it can."""
    if doomed.live:
        return f"{doomed.run_id} is {doomed.state}: stop it first (fractal-console stop {doomed.run_id})"
    objections = doomed.objections(with_files)
    if objections and not (reason or "").strip():
        return f"{doomed.run_id}: {'; '.join(objections)}. To delete it all the same give a reason: --force '…'"
    return None


def delete(space: Workspace, doomed: Doomed, with_files: bool, reason: str | None) -> str:
    """Delete it, or UserError with what speaks against it; says what went."""
    problem = refusal(doomed, with_files, reason)
    if problem is not None:
        raise UserError(problem)
    row, folder = space.store.run(doomed.run_id), space.paths(doomed.run_id).folder
    _sweep(folder.parent)
    if row is not None:
        said = "; ".join([reason.strip()] if reason else []) or "no reason given"
        body = f"{row.step} at {row.variant}, {row.state}: {said}. {doomed.words(with_files)}"
        space.store.notes.add("deleted", row.project, row.phase, row.run_id, body, whoami(), time.time())
    gone = folder.with_name(_DOOMED + folder.name)
    if folder.exists():
        os.replace(folder, gone)
    space.store.forget(doomed.run_id)
    for file in doomed.files if with_files else []:
        _remove(file.path)
    _remove(gone)
    return f"{doomed.run_id} deleted; {doomed.words(with_files).replace('goes: ', 'gone: ', 1)}"


def _sweep(runs: Path) -> None:
    """What an earlier deletion left when it was killed."""
    for left in runs.glob(_DOOMED + "*"):
        _remove(left)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size_of(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(f.lstat().st_size for f in path.rglob("*") if f.is_file())


def _own_files(space: Workspace, spec: RunSpec, row: RunRow, paths: RunPaths) -> list[OwnFile]:
    """The recorded artifacts that are still as this run left them, under our own root only."""
    work = space.root.work(spec.project, spec.phase, spec.variant)
    found = []
    for about in (read_json(paths.artifacts) or {}).get("artifacts", []):
        path = work / about["path"]
        if about.get("missing") or not path.exists() or work not in path.resolve().parents:
            continue
        if _size_of(path) == about.get("size") and path.stat().st_mtime <= (row.ended or 0) + _CLOCK_S:
            found.append(OwnFile(path, about["size"]))
    return found


def _gates_on(space: Workspace, spec: RunSpec) -> list[str]:
    """Gates that stand open by what this run has shown."""
    found = resolved_as(space, spec)
    if found is None:
        return []
    standing = space.standing(*found, space.tree())
    said = []
    for gate in standing.gates:
        if gate.state not in ("passed", "overridden", "stale"):
            continue
        held = [
            v
            for v in gate.verdicts
            if v.state in ("passed", "stale") and _leans_on(v.run_id, v.text, spec, gate.gate.after)
        ]
        if held:
            said.append(f"gate {gate.gate.gate} of {spec.phase} stands on it (`{held[0].text}`)")
    return said


def _leans_on(verdict_run: str | None, text: str, spec: RunSpec, after: list[str]) -> bool:
    """A check over seeds leans on every run of the family, not only on the one that it names."""
    return verdict_run == spec.run_id or (" seeds" in text and spec.seed is not None and spec.step in after)


def _plan_on(space: Workspace, spec: RunSpec) -> list[str]:
    """A plan that goes on judges by its earlier runs."""
    if (
        spec.plan is None
        or not space.root.plan(spec.plan).plan.exists()
        or plan_said(space.root.plan(spec.plan)).is_done
    ):
        return []
    return [f"its plan {spec.plan} is not over"]


def _models_on(space: Workspace, models: list[Model]) -> list[str]:
    """Models that this run made and others build on."""
    handed = {h.source_model_id for h in space.registry.hand_offs() if h.status == "accepted"}
    said = []
    for model in models:
        newest = next(iter(space.registry.promotions(model.phase)), None)
        if newest is not None and newest.model_id == model.model_id:
            said.append(f"its model {model.name} is the champion of {model.phase}")
        if model.model_id in handed:
            said.append(f"its model {model.name} was handed to another phase")
        if space.registry.children(model.model_id):
            said.append(f"other models were made of its model {model.name}")
    return said


def _only_copies(space: Workspace, run_id: str, files: list[OwnFile]) -> list[str]:
    """Models of which no second file is known."""
    going = {f.path.resolve() for f in files}
    if not going:
        return []
    models = [(m, Path(m.path).resolve()) for m in space.registry.models()]
    elsewhere = {m.sha256 for m, path in models if path not in going and path.exists()}
    mine = [m for m, path in models if m.session_id == run_id and path in going and m.sha256 not in elsewhere]
    return [f"its model {m.name} exists nowhere else that is known" for m in mine]


def _unpulled(row: RunRow, paths: RunPaths) -> list[str]:
    """Required files that exist on the host only: with the copy of the run goes the knowledge of them."""
    if row.host == "local":
        return []
    verified = (read_json(paths.pulled) or {}).get("verified", {})
    recorded = (read_json(paths.artifacts) or {}).get("artifacts", [])
    missing = [a["path"] for a in recorded if a.get("required") and not a.get("missing") and a["path"] not in verified]
    return [f"{', '.join(missing[:3])} lies on {row.host} only (fractal-console pull {row.run_id})"] if missing else []
