"""From phase, step, preset and overrides to a resolved run or plan. Decides; starts nothing."""

from __future__ import annotations

import getpass
import importlib
import json
import re
import shlex
import socket
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from console.errors import UserError
from console.project import Project
from engine.config.errors import ConfigError, nearest
from engine.config.layers import files_of, merge, presets_of, resolve
from engine.config.phase import Phase, Step, command_of
from engine.config.torchrun import is_distributed, torchrun_line
from engine.protocol.layout import Root
from engine.protocol.plan import EndPolicy, Item, Plan
from engine.protocol.spec import LogMetric, Output, RunSpec, hash_of, new_id
from remote.tree import Tree


@dataclass(frozen=True)
class Resolved:
    """One phase at one preset with its overrides: the config, and what names and identifies it."""

    preset: str
    overrides: dict[str, Any]
    config: dict[str, Any]
    variant: str

    @property
    def config_hash(self) -> str:
        return hash_of(self.config)

    @property
    def family(self) -> str:
        """What the runs of one experiment with several seeds share."""
        return hash_of({k: v for k, v in self.config.items() if k != "seed"})

    @property
    def seed(self) -> int | None:
        seed = self.config.get("seed")
        return seed if isinstance(seed, int) else None


@dataclass(frozen=True)
class Placement:
    """Where on a host a run is put."""

    host: str
    root: Root
    tree_path: str
    path_prefix: list[str] = field(default_factory=list)


def all_presets(project: Project, phase: Phase) -> list[str]:
    """Presets with a file and those stated in the phase file; smoke and cpu first."""
    names = dict.fromkeys([*presets_of(project.configs, phase.phase), *phase.presets]) or {"default": None}
    return sorted(names, key=lambda n: {"smoke": 0, "cpu": 1}.get(n, 2))


def default_preset(project: Project, phase: Phase) -> str:
    """What the phase says, else `cpu`, else its first."""
    names = all_presets(project, phase)
    if phase.default_preset in names:
        return str(phase.default_preset)
    return "cpu" if "cpu" in names else names[0]


def resolve_config(project: Project, phase: Phase, preset: str, overrides: dict[str, Any] | None = None) -> Resolved:
    """The checked config of a phase at a preset, or one clear error."""
    overrides = overrides or {}
    names = all_presets(project, phase)
    if preset not in names:
        raise UserError(f"{phase.phase} has no preset {preset!r}{nearest(preset, names)}. It has: {', '.join(names)}")
    try:
        if overrides:
            config = _made_config(project, phase, preset, overrides)
        else:
            config = _kept_config(project, phase, preset)
    except ConfigError as error:
        raise UserError(str(error)) from None
    return Resolved(preset, overrides, config, variant_name(preset, overrides))


def _kept_config(project: Project, phase: Phase, preset: str) -> dict[str, Any]:
    """The config of a preset as it is, made once for the same files. A model of the project's own is asked each time: what it
    depends on is not known here."""

    def make() -> dict[str, Any]:
        return _made_config(project, phase, preset, {})

    if phase.config is not None and not phase.config.startswith("engine.config."):
        return make()
    about = ("config", phase.phase, phase.config, preset, phase.presets.get(preset))
    config: dict[str, Any] = project.checked.of(about, files_of(project.configs, phase.phase, preset), make)
    return config


def _made_config(project: Project, phase: Phase, preset: str, overrides: dict[str, Any]) -> dict[str, Any]:
    where = f"configs/{phase.phase} at {preset}"
    raw = _raw_config(project, phase, preset, overrides)
    if phase.config is None:
        _no_slip(phase, _raw_config(project, phase, preset, {}), overrides, where)
    return _checked(phase, raw, where)


def _raw_config(project: Project, phase: Phase, preset: str, overrides: dict[str, Any]) -> dict[str, Any]:
    stated = phase.presets.get(preset, {})
    if preset in presets_of(project.configs, phase.phase):
        return merge(merge(resolve(project.configs, phase.phase, preset), stated), overrides)
    return merge(stated, overrides) | {"preset": preset}


def _no_slip(phase: Phase, raw: dict[str, Any], overrides: dict[str, Any], where: str) -> None:
    """Without a model any key may be new, as a program may read it; one that is nearly a known key is a slip."""
    used = {word for step in phase.steps for word in re.findall(r"\{([A-Za-z_][\w.]*)\}", step.run)}
    known = {key for key, _ in _flat(raw)} | used | {"seed", "wandb.mode", "wandb.project", "wandb.name", "wandb.tags"}
    for key, _ in _flat(overrides):
        hint = "" if key in known or any(k.startswith(f"{key}.") for k in known) else nearest(key, sorted(known))
        if hint:
            raise ConfigError(f"{where}: unknown key {key!r}{hint}")


def _checked(phase: Phase, raw: dict[str, Any], where: str) -> dict[str, Any]:
    if phase.config is None:
        return raw

    from engine.config.load import check

    module, _, name = phase.config.partition(":")
    try:
        model = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"configs/phases/{phase.phase}.yaml: `config: {phase.config}` can't be loaded ({error})"
        ) from None
    value: dict[str, Any] = json.loads(check(model, raw, where).model_dump_json())
    return value


def variant_name(preset: str, overrides: dict[str, Any]) -> str:
    """`cpu`, or `cpu+lr=0.001,seed=1`: other overrides, another work folder, so that files never mix."""
    if not overrides:
        return preset
    words = ",".join(sorted(f"{k}={v}" for k, v in _flat(overrides)))
    if len(words) > 60 or re.search(r"[^A-Za-z0-9._=,-]", words) or ".." in words:
        words = hash_of(overrides)
    return f"{preset}+{words}"


def _flat(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, inner in value.items():
        found += _flat(inner, f"{prefix}{key}.") if isinstance(inner, dict) else [(f"{prefix}{key}", inner)]
    return found


def differing(base: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """The overrides that lead from one resolved config to another."""
    found: dict[str, Any] = {}
    for key, value in made.items():
        below = base.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            if inner := differing(below, value):
                found[key] = inner
        elif key not in base or below != value:
            found[key] = value
    return found


def missing_code(step: Step, folder: Path) -> str | None:
    """Which file of the project this step would run and does not exist; None where it does or can't be told."""
    try:
        words = shlex.split(step.run)
    except ValueError:
        return None
    while words and "=" in words[0]:
        words = words[1:]
    if len(words) < 2 or not re.fullmatch(r"(\S*/)?(python[\d.]*|torchrun)", words[0]):
        return None
    if words[1] == "-m" and len(words) > 2:
        path = words[2].replace(".", "/")
        package = (folder / path.split("/")[0]).is_dir()
        exists = (folder / f"{path}.py").exists() or (folder / path / "__main__.py").exists()
        return f"{path}.py" if package and not exists else None
    script = next((w for w in words[1:] if w.endswith(".py")), None)
    return script if script and not Path(script).is_absolute() and not (folder / script).exists() else None


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


def whoami() -> str:
    """Who says so: `user@machine`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


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
