"""A run again: the phase, step, preset and overrides that made it, held against the project as it is today. Starts nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from console.errors import UserError
from console.launch.resolved import Resolved, all_presets, differing
from engine.protocol.spec import RunSpec, read_spec

if TYPE_CHECKING:
    from console.workspace import Workspace
    from engine.config.phase import Phase, Step


_RECENT = 50  # runs that are looked through for one whose config today's files can still make


@dataclass(frozen=True)
class Again:
    """What would run."""

    phase: Phase
    step: Step
    preset: str
    overrides: dict[str, Any]
    host: str

    @property
    def words(self) -> str:
        said = " ".join(f"{key}={value}" for key, value in flat_overrides(self.overrides).items())
        return f"{self.phase.phase} {self.step.step} at {self.preset}{' with ' + said if said else ''} on {self.host}"


def flat_overrides(overrides: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """As they are typed: `train.lr=0.1`."""
    found: dict[str, Any] = {}
    for key, value in overrides.items():
        found |= flat_overrides(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def again(space: Workspace, run_id: str) -> Again:
    """The same step with the same config; UserError where the project of today can't make it."""
    spec = read_spec(space.paths(run_id).spec)
    if spec is None:
        raise UserError(f"{run_id} has no spec.json any more, so nobody knows what it ran")
    if spec.project != space.project.name:
        raise UserError(f"{run_id} is of the project {spec.project}; open the console there to run it again")
    phase = space.phase(spec.phase)
    return Again(phase, phase.step_named(spec.step), *_choice(space, phase, spec), spec.host)


def _choice(space: Workspace, phase: Phase, spec: RunSpec) -> tuple[str, dict[str, Any]]:
    presets = all_presets(space.project, phase)
    if spec.preset not in presets:
        raise UserError(f"{spec.run_id} ran at preset {spec.preset}, which {phase.phase} has no more")
    base = space.choose(phase, spec.preset)
    return spec.preset, differing(base.config, spec.config)


def newest_variant(space: Workspace, phase: Phase, preset: str | None = None) -> Resolved:
    """The variant that a phase ran at last (at a preset): what a page about it is about; its plain preset if it never ran."""
    name = space.project.name
    runs = space.store.runs(name, phase.phase, limit=_RECENT)
    for row in (r for r in runs if preset in (None, r.preset)):
        spec = None if row.unreadable else read_spec(space.paths(row.run_id).spec)
        found = resolved_as(space, spec) if spec is not None else None
        if found is not None and found[1].variant == row.variant:
            return found[1]
    return space.choose(phase, preset)


def resolved_as(space: Workspace, spec: RunSpec) -> tuple[Phase, Resolved] | None:
    """The phase at the variant that a run is of, as far as today's files still have them."""
    if spec.project != space.project.name or spec.phase not in space.project.phases.phases:
        return None
    phase = space.phase(spec.phase)
    try:
        preset, overrides = _choice(space, phase, spec)
        return phase, space.choose(phase, preset, overrides)
    except UserError:
        return None
