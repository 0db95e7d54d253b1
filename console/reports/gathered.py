"""What a report stands on, read once: the phase as it stands, the runs that count, their evidence, curves, sisters and notes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from console.comparing.load import Loader
from console.comparing.sides import Member
from console.launch.resolved import Resolved
from console.runs.index import RunIndex
from console.runs.notes import Note
from console.runs.spending import Spent
from console.standing import PhaseStanding
from engine.config.phase import Phase
from engine.protocol.evidence import Evidence
from engine.protocol.spec import RunSpec, read_spec

if TYPE_CHECKING:
    from console.workspace import Workspace


@dataclass(frozen=True)
class StepGround:
    """One step that has run: the run that counts, and those of its family with other seeds."""

    step: str
    spec: RunSpec
    evidence: Evidence
    own: Member
    family: list[Member] = field(default_factory=list)
    """All of one configuration, the counting run among them, by seed; one run a seed."""


@dataclass(frozen=True)
class Gathered:
    """Everything that one phase's report says."""

    phase: Phase
    resolved: Resolved
    standing: PhaseStanding
    steps: list[StepGround]
    notes: list[Note]
    spent: Spent
    """All runs of the phase, also those that failed."""


def gather(space: Workspace, phase: Phase, resolved: Resolved) -> Gathered:
    """Read it; costs the curves of the runs that count."""
    standing = space.standing(phase, resolved, space.tree())
    index = RunIndex(space.store)
    loader = Loader(space.root, index)
    rows = space.store.runs_of(space.project.name, phase.phase, resolved.preset, resolved.variant, resolved.family)
    families = {s.step.step: _family_ids(s.run, rows) for s in standing.steps if s.run is not None}
    members = {m.row.run_id: m for m in loader.members([i for ids in families.values() for i in ids])}
    steps = []
    for s in standing.steps:
        ground = s.run and _ground(
            space, s.step.step, s.run.run_id, [members[i] for i in families[s.step.step] if i in members]
        )
        if ground:
            steps.append(ground)
    notes = space.store.notes.find(project=space.project.name, phase=phase.phase)
    spent = space.store.money.spent(space.project.name, time.time()).get(phase.phase, Spent())
    index.close()
    return Gathered(phase, resolved, standing, steps, notes, spent)


def _family_ids(run: Any, rows: list[Any]) -> list[str]:
    """The counting run, and the newest success of each other seed on the same code."""
    by_seed = {run.seed: run.run_id}
    for row in rows:  # newest first
        same = row.step == run.step and row.family == run.family and row.code == run.code and row.state == "succeeded"
        if same and row.seed not in by_seed:
            by_seed[row.seed] = row.run_id
    return [by_seed[seed] for seed in sorted(by_seed, key=lambda s: (s is None, s or 0))]


def _ground(space: Workspace, step: str, run_id: str, family: list[Member]) -> StepGround | None:
    row, spec = space.store.run(run_id), read_spec(space.paths(run_id).spec)
    evidence = None if row is None else space.store.evidence(space.root, row)
    own = next((m for m in family if m.row.run_id == run_id), None)
    if spec is None or evidence is None or own is None:
        return None
    return StepGround(step, spec, evidence, own, family)
