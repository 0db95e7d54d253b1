"""From a phase's step and its resolved config to a run or a plan. Decides; starts nothing."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.errors import UserError
from console.launch.resolved import Resolved, whoami
from engine.config.phase import Phase, Step, command_of
from engine.config.torchrun import is_distributed, torchrun_line
from engine.protocol.plan import EndPolicy, Item, Plan
from engine.protocol.spec import LogMetric, Output, RunSpec, new_id

if TYPE_CHECKING:
    from console.project import Project
    from engine.protocol.layout import Root
    from remote.tree import Tree


@dataclass(frozen=True)
class Placement:
    """Where on a host a run is put."""

    host: str
    root: Root
    tree_path: str
    path_prefix: list[str] = field(default_factory=list)


def capped(step: Step, max_hours: float | None, max_usd: float | None, price_usd_per_h: float) -> Step:
    """A step with its time limit brought down to the caps: at a cap it is stopped by the ladder."""
    hours = EndPolicy(max_hours=max_hours, max_usd=max_usd, price_usd_per_h=price_usd_per_h).seconds_allowed()
    limits = [h for h in (step.timeout_hours, None if hours is None else hours / 3600) if h is not None]
    return replace(step, timeout_hours=min(limits)) if limits else step


def work_folder(root: Root, project: Project, phase: Phase, resolved: Resolved) -> Path:
    """Where a step's outputs are: the project itself for a command that runs (and so writes) there."""
    if phase.runs_in == "project":
        return project.folder
    return root.work(project.name, phase.phase, resolved.variant)


def build_run(
    project: Project,
    phase: Phase,
    step: Step,
    resolved: Resolved,
    tree: Tree,
    place: Placement,
    plan: str | None = None,
) -> RunSpec:
    """The run, ready to be launched."""
    work = work_folder(place.root, project, phase, resolved)
    values = {**resolved.config, "work": str(work), "preset": resolved.preset, "seed": resolved.seed or 0}
    run_id = new_id(_short(phase.phase), step.step)
    return RunSpec(
        run_id=run_id,
        project=project.name,
        phase=phase.phase,
        step=step.step,
        preset=resolved.preset,
        variant=resolved.variant,
        argv=launcher_line(step, resolved.preset, command_of(step, values), run_id),
        cwd=place.tree_path if phase.runs_in == "snapshot" else str(project.folder),
        work=str(work),
        plan=plan,
        tree=tree.hash,
        code=tree.code_hash(tuple(phase.code)),
        git=tree.git,
        config=resolved.config,
        config_hash=resolved.config_hash,
        family=resolved.family,
        seed=resolved.seed,
        env={**step.env, **_wandb_env(resolved, phase, step)},
        path_prefix=place.path_prefix,
        gpus=step.gpus_at(resolved.preset),
        nodes=step.nodes_at(resolved.preset),
        grace_s=step.grace_s,
        timeout_s=None if step.timeout_hours is None else step.timeout_hours * 3600,
        inputs=list(step.inputs),
        outputs=[Output(o.path, o.required, _unique_keys(phase, step, resolved.preset, o.path)) for o in step.outputs],
        log_metrics=[LogMetric(m.pattern, m.name) for m in step.log_metrics],
        created=time.time(),
        created_by=whoami(),
        host=place.host,
    )


def launcher_line(step: Step, preset: str, argv: list[str], run_id: str) -> list[str]:
    """The command, completed where torchrun starts it."""
    nodes = step.nodes_at(preset)
    if is_distributed(argv):
        return torchrun_line(argv, step.gpus_at(preset), nodes, run_id)
    if nodes > 1:
        raise UserError(
            f"step {step.step} asks for {nodes} nodes: its `run:` must begin with `torchrun`, in one plain line"
        )
    return argv


def _short(phase: str) -> str:
    """`phase7` of `phase7-ouroboros`: enough to recognise a run by."""
    return phase.split("-")[0]


def _unique_keys(phase: Phase, step: Step, preset: str, path: str) -> list[str]:
    """The keys that this phase's gates want counted in a file."""
    checks = [c for gate in phase.gates for c in gate.compiled(preset)]
    return [c["key"] for c in checks if c.get("must") == "unique" and c["step"] == step.step and c["path"] == path]


def _wandb_env(resolved: Resolved, phase: Phase, step: Step) -> dict[str, str]:
    """What the run log's W&B sink is told, where the config asks for it."""
    asked = resolved.config.get("wandb")
    if not isinstance(asked, dict) or asked.get("mode", "off") == "off":
        return {}
    settings = {
        "project": asked.get("project", "fractal"),
        "name": asked.get("name") or f"{phase.phase}-{step.step}",
        "tags": [phase.phase, step.step, *asked.get("tags", [])],
        "mode": asked["mode"],
        "config": resolved.config,
    }
    return {"FRACTAL_WANDB": json.dumps(settings)}


def plan_items(phase: Phase, preset: str, steps: list[Step], runs: dict[str, RunSpec]) -> list[Item]:
    """The chosen steps in order, each gate behind the last step that it stands after."""
    chosen = [s.step for s in steps]
    items: list[Item] = []
    gates_done: set[str] = set()
    for at, step in enumerate(steps):
        items.append(Item("step", step.step, run=runs[step.step]))
        for gate in phase.gates:
            concerned = [s for s in gate.after if s in chosen]
            if concerned and gate.gate not in gates_done and set(concerned) <= set(chosen[: at + 1]):
                gates_done.add(gate.gate)
                checks = gate.compiled(preset)
                if checks:
                    items.append(Item("gate", gate.gate, checks=checks))
    return items


def build_plan(
    project: Project,
    phase: Phase,
    resolved: Resolved,
    steps: list[Step],
    tree: Tree,
    place: Placement,
    end: EndPolicy,
    earlier: dict[str, str],
    beside: dict[str, list[str]],
    ticks: dict[str, Any],
    overrides: dict[str, Any],
) -> Plan:
    """A plan over the given steps with the phase's gates between them."""
    plan_id = new_id("plan", _short(phase.phase))
    runs = {s.step: build_run(project, phase, s, resolved, tree, place, plan_id) for s in steps}
    return Plan(
        plan_id=plan_id,
        project=project.name,
        phase=phase.phase,
        preset=resolved.preset,
        variant=resolved.variant,
        items=plan_items(phase, resolved.preset, steps, runs),
        end=end,
        earlier={k: v for k, v in earlier.items() if k not in runs},
        beside=beside,
        ticks=ticks,
        overrides=overrides,
        created=time.time(),
        created_by=whoami(),
    )
