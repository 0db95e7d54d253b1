"""Starting a step or a plan: what stands before it is looked at, its place on the host is laid, then the host has it.

Refused with a `UserError` that says what to do first; nothing is half started.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from console.errors import UserError
from console.hosts.placing import place_here, place_there
from console.launch.specs import Placement, build_plan, build_run
from engine.protocol.status import SUCCEEDED, Status
from remote.environment import Missing, missing_extra
from remote.host import LOCAL, Host, HostError, LaunchError

if TYPE_CHECKING:
    from console.launch.resolved import Resolved
    from console.standing import PhaseStanding
    from console.workspace import Workspace
    from engine.config.phase import Phase, Step
    from engine.protocol.plan import EndPolicy, Plan
    from engine.protocol.spec import RunSpec
    from remote.tree import Tree


@dataclass(frozen=True)
class Choice:
    """What the user chose to run."""

    phase: Phase
    resolved: Resolved
    host: str = "local"


def missing_part(space: Workspace, phase: Phase) -> Missing | None:
    """What must be installed before a step of this phase can run here."""
    return missing_extra(_bin(space) / "python", phase.environment, space.project.folder)


def _bin(space: Workspace) -> Path:
    return space.project.bin or Path(sys.executable).parent


def _placed(space: Workspace, host: Host, tree: Tree, phase: Phase) -> Placement:
    """Lay the tree on the host, unless the phase runs in the project itself, and say where."""
    if host is space.local:
        prefix = [str(_bin(space))] if space.project.bin or _is_own_project(space) else []
        return place_here(host, tree, phase, space.project.folder, prefix)
    return place_there(space.ssh(host.name), tree, phase, space.project.folder, lambda line: space.tell(line))


def _is_own_project(space: Workspace) -> bool:
    """Is the project this very checkout, so that its environment is the one we run in?"""
    return Path(__file__).resolve().parents[2] == space.project.folder


def start_step(space: Workspace, choice: Choice, step: Step, force: str | None = None) -> tuple[RunSpec, Status]:
    """Launch one step; refused with the reason while something stands before it."""
    tree = space.tree()
    _may_start(space, choice, step, tree, force)
    host = space.host(choice.host)
    place = _placed(space, host, tree, choice.phase)
    spec = build_run(space.project, choice.phase, step, choice.resolved, tree, place)
    spec_status = _launched(host, spec)
    space.store.put_run(spec, spec_status)
    space.attach(spec.run_id)
    return spec, spec_status


def _launched(host: Host, spec: RunSpec) -> Status:
    try:
        return host.launch(spec)
    except HostError as error:
        raise UserError(str(error)) from error


def _may_start(space: Workspace, choice: Choice, step: Step, tree: Tree, force: str | None) -> None:
    space.refresh()
    standing = space.standing(choice.phase, choice.resolved, tree, choice.host)
    mine = next((s for s in standing.steps if s.step.step == step.step), None)
    if mine is None:
        raise UserError(f"step {step.step} does not belong to preset {choice.resolved.preset}")
    if mine.blocked and (force is None or "not written" in mine.blocked):
        where = "" if choice.host == LOCAL else f" on {choice.host}"
        raise UserError(f"{choice.phase.phase} {step.step} can't start{where}: {mine.blocked}")


def steps_for_plan(phase: Phase, resolved: Resolved, first: str | None = None) -> list[Step]:
    """The steps of a whole phase, or from one on; optional ones are left out."""
    steps = [s for s in phase.steps_at(resolved.preset) if not s.optional]
    if first is not None:
        at = phase.steps.index(phase.step_named(first))
        steps = [s for s in steps if phase.steps.index(s) >= at]
    return steps


def make_plan(
    space: Workspace, choice: Choice, steps: list[Step], end: EndPolicy, stop_at_manual: bool = False
) -> Plan:
    """The plan, checked: every step's code is there, what it builds on has succeeded, manual checks are settled."""
    tree = space.tree()
    phase, resolved = choice.phase, choice.resolved
    space.refresh()
    unwritten = space.unwritten(phase)
    for step in steps:
        if step.step in unwritten:
            raise UserError(f"{phase.phase} {step.step} can't start: {unwritten[step.step]} does not exist yet")
    standing = space.standing(phase, resolved, tree, choice.host)
    _first_may_start(standing, steps, choice.host)
    host = space.host(choice.host)
    key = (space.project.name, phase.phase, resolved.preset)
    ticks, overrides = space.store.words("tick", *key), space.store.words("override", *key)
    earlier = {s.step.step: s.run.run_id for s in standing.steps if s.run is not None and s.state == SUCCEEDED}
    place = _placed(space, host, tree, phase)
    beside = _other_seeds(space, phase, resolved, choice.host)
    plan = build_plan(space.project, phase, resolved, steps, tree, place, end, earlier, beside, ticks, overrides)
    waiting = [c["text"] for i in plan.items for c in i.checks if c["kind"] == "manual" and c["id"] not in ticks]
    if waiting and not stop_at_manual:
        raise UserError(
            f"this plan would stop at a check that only you can tick: `{waiting[0]}`. Tick it first "
            f"(fractal-console tick {phase.phase} …), or let the plan stop there: --stop-at-manual"
        )
    return plan


def _other_seeds(space: Workspace, phase: Phase, resolved: Resolved, host: str) -> dict[str, list[str]]:
    """Per step the runs of the same experiment with other seeds that lie on the host, newest first."""
    found: dict[str, list[str]] = {}
    for row in space.store.runs(space.project.name, phase.phase):
        ours = row.preset == resolved.preset and row.family == resolved.family and row.host == host
        if ours and row.variant != resolved.variant:
            found.setdefault(row.step, []).append(row.run_id)
    return found


def _first_may_start(standing: PhaseStanding, steps: list[Step], host: str) -> None:
    if not steps:
        raise UserError(f"{standing.phase.phase} has no step at preset {standing.preset}")
    first = next(s for s in standing.steps if s.step.step == steps[0].step)
    if first.blocked:
        where = "" if host == LOCAL else f" on {host}"
        raise UserError(f"{standing.phase.phase} {first.step.step} can't start{where}: {first.blocked}")


def start_plan(space: Workspace, choice: Choice, plan: Plan) -> str:
    """Have the host execute the plan; it goes on without this console."""
    host = space.host(choice.host)
    if host is not space.local:
        space.far.begin_plan(plan)
    try:
        said = host.launch_plan(plan)
        space.far.hear_plan(plan)
    except LaunchError as error:
        if host is not space.local:
            space.far.forget_plan(plan)
        raise UserError(str(error)) from error
    except HostError as error:
        raise UserError(f"{error}. Whether it has begun: fractal-console plan {plan.plan_id}") from error
    return said
