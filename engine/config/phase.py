"""A phase as people write it: `configs/phases/<id>.yaml`. Checked whole before anything starts.

Errors name the file, the key and the nearest good key; a file that can't be used never hides the others.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from engine.config.load import ConfigError, check, nearest, read_yaml
from engine.protocol.checks import Check, CheckError, compile_check, steps_of
from engine.protocol.layout import safe_id

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class OutputFile(BaseModel):
    """A file that a step promises; a bare path is a required one."""

    model_config = _FROZEN

    path: str
    required: bool = True


class Pattern(BaseModel):
    """A regular expression that turns lines of the log into a metric."""

    model_config = _FROZEN

    name: str
    pattern: str

    @model_validator(mode="after")
    def _compiles(self) -> Pattern:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"the pattern of {self.name} is no regular expression: {error}") from None
        return self


class Estimate(BaseModel):
    """What a step is thought to cost, and where the thought comes from."""

    model_config = _FROZEN

    minutes: float
    usd: float = 0.0
    source: str = ""


def _bare_path(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Step(BaseModel):
    """One command executed on a host."""

    model_config = _FROZEN

    step: str
    title: str = ""
    run: str
    """The command. `{work}`, `{preset}`, `{seed}` and any key of the config in braces are filled in."""
    needs: list[str] | None = None
    """Steps that must have succeeded; the one before by default."""
    inputs: list[str] = []
    """Files that must be in the work folder before it starts."""
    outputs: list[Annotated[OutputFile, BeforeValidator(_bare_path)]] = []
    estimate: dict[str, Estimate] = {}
    """Per preset."""
    gpus: int | dict[str, int] = 0
    """On each node. A command that begins with `torchrun` gets one rank for each (see `engine.config.torchrun`)."""
    nodes: int | dict[str, int] = 1
    """More than one: torchrun meets across the nodes of a `slurm` host."""
    env: dict[str, str] = {}
    log_metrics: list[Pattern] = []
    grace_s: float = 10.0
    timeout_hours: float | None = None
    optional: bool = False
    """Left out of the whole phase's plan unless it is named."""
    presets: list[str] | None = None
    """Where it belongs to some presets only."""

    def gpus_at(self, preset: str) -> int:
        return self.gpus.get(preset, 0) if isinstance(self.gpus, dict) else self.gpus

    def nodes_at(self, preset: str) -> int:
        return self.nodes.get(preset, 1) if isinstance(self.nodes, dict) else self.nodes


class CheckLine(BaseModel):
    """One line of a gate; a bare sentence holds at every preset."""

    model_config = _FROZEN

    check: str
    presets: list[str] | None = None


def _bare_check(value: Any) -> Any:
    if isinstance(value, str):
        return {"check": value}
    if isinstance(value, dict) and "manual" in value and "check" not in value:
        return {"check": f"manual: {value['manual']}", **{k: v for k, v in value.items() if k != "manual"}}
    return value


class Gate(BaseModel):
    """A checklist between steps; until it is passed, what comes after it is blocked."""

    model_config = _FROZEN

    gate: str
    title: str = ""
    after: Annotated[list[str], BeforeValidator(_one_or_more), Field(min_length=1)]
    checks: list[Annotated[CheckLine, BeforeValidator(_bare_check)]] = Field(min_length=1)

    def compiled(self, preset: str) -> list[Check]:
        """The checks that hold at a preset."""
        default = self.after[0] if len(self.after) == 1 else None
        return [compile_check(c.check, default) for c in self.checks if c.presets is None or preset in c.presets]


class Reference(BaseModel):
    """A published figure to stand beside ours; never evidence."""

    model_config = _FROZEN

    name: str
    value: float | str
    source: str


class Phase(BaseModel):
    """One chapter of the research."""

    model_config = _FROZEN

    phase: str
    title: str
    goal: str
    needs: list[str] = []
    """Phases whose gates must be passed first."""
    config: str | None = None
    """`module:Class` of the model that checks this phase's config, such as `engine.config.ouroboros:OuroborosConfig`."""
    presets: dict[str, dict[str, Any]] = {}
    """Presets stated here; those with a file in `configs/<phase>/` need no mention."""
    default_preset: str | None = None
    environment: str | None = None
    """The extra of pyproject.toml that its steps need, such as `engine`; None for a command of the user's own."""
    runs_in: str = Field(default="snapshot", pattern="^(snapshot|project)$")
    """`snapshot`: an immutable copy of the source (a later edit can't change a running run). `project`: the folder itself,
    which is then the work folder too: outputs are looked for where the command leaves them."""
    code: list[str] = []
    """What its steps depend on (globs or folders); by default everything but docs, tests and configs."""
    reference: list[Reference] = []
    steps: list[Step] = Field(min_length=1)
    gates: list[Gate] = []

    @model_validator(mode="after")
    def _holds_together(self) -> Phase:
        safe_id(self.phase)
        ids = [s.step for s in self.steps]
        _unique("step", ids)
        _unique("gate", [g.gate for g in self.gates])
        for at, step in enumerate(self.steps):
            safe_id(step.step)
            for need in step.needs or []:
                _known("step", need, ids[:at], f"step {step.step} needs {need!r}, which does not stand before it")
        for gate in self.gates:
            _check_gate(gate, ids)
        return self

    def step_named(self, name: str) -> Step:
        found = next((s for s in self.steps if s.step == name), None)
        if found is None:
            known = [s.step for s in self.steps]
            raise ConfigError(f"{self.phase} has no step {name!r}{nearest(name, known)}. It has: {', '.join(known)}")
        return found

    def needs_of(self, step: Step) -> list[str]:
        """The steps that must have succeeded before this one."""
        if step.needs is not None:
            return list(step.needs)
        before = [s.step for s in self.steps[: self.steps.index(step)] if not s.optional]
        return before[-1:]

    def gates_before(self, step: Step) -> list[Gate]:
        """The gates that stand between the start of the phase and this step; one behind an optional step blocks nobody."""
        before = {s.step for s in self.steps[: self.steps.index(step)]}
        return [g for g in self.gates if set(g.after) <= before and not self.is_optional(g)]

    def is_optional(self, gate: Gate) -> bool:
        """Does it stand only after steps that a whole phase leaves out?"""
        return all(self.step_named(name).optional for name in gate.after)

    def steps_at(self, preset: str) -> list[Step]:
        return [s for s in self.steps if s.presets is None or preset in s.presets]


def _unique(kind: str, names: list[str]) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"the {kind} {twice[0]!r} stands twice")


def _known(kind: str, name: str, good: list[str], problem: str) -> None:
    if name not in good:
        raise ValueError(f"{problem}{nearest(name, good)}")


def _check_gate(gate: Gate, steps: list[str]) -> None:
    for name in gate.after:
        _known("step", name, steps, f"gate {gate.gate} stands after {name!r}, which is no step")
    for line in gate.checks:
        try:
            compiled = compile_check(line.check, gate.after[0] if len(gate.after) == 1 else None)
        except CheckError as error:
            raise ValueError(f"gate {gate.gate}: {error}") from None
        for step in steps_of(compiled):
            _known("step", step, steps, f"gate {gate.gate}: `{line.check}` asks step {step!r}, which does not exist")
            if steps.index(step) > max(steps.index(name) for name in gate.after):
                raise ValueError(f"gate {gate.gate}: `{line.check}` asks step {step!r}, which the gate itself blocks")


@dataclass(frozen=True)
class Phases:
    """Every phase of a project, and what is wrong with the files that are none."""

    phases: dict[str, Phase]
    problems: list[str]

    def named(self, name: str) -> Phase:
        """The phase with this id, or one that begins with it and no other does."""
        if name in self.phases:
            return self.phases[name]
        begins = [p for p in self.phases if p.startswith(name)]
        if len(begins) == 1:
            return self.phases[begins[0]]
        broken = [p for p in self.problems if f"/{name}.yaml" in p]
        if broken:
            raise ConfigError(broken[0])
        raise ConfigError(f"there is no phase {name!r}{nearest(name, list(self.phases))}. Type: fractal-console phases")


def load_phase(path: Path) -> Phase:
    """One phase file; its id must be its file's name."""
    phase = check(Phase, read_yaml(path), f"configs/phases/{path.name}")
    if phase.phase != path.stem:
        raise ConfigError(f"{path}: `phase: {phase.phase}` must be the file's name, {path.stem}")
    return phase


def load_phases(configs: Path) -> Phases:
    """Every phase file of a project, in the order of their numbers."""
    found: dict[str, Phase] = {}
    problems = []
    for path in sorted((configs / "phases").glob("*.yaml"), key=_by_number):
        try:
            found[path.stem] = load_phase(path)
        except ConfigError as error:
            problems.append(str(error))
    for stray in sorted((configs / "phases").glob("*.yml")):
        problems.append(f"{stray}: phase files end in .yaml; rename it to {stray.stem}.yaml")
    for phase in found.values():
        if phase.phase in _all_needs(phase.phase, found):
            problems.append(f"{configs}/phases/{phase.phase}.yaml: it needs itself, so it can never start")
        for need in phase.needs:
            if need not in found and not any(f"/{need}.yaml" in p for p in problems):
                hint = nearest(need, list(found))
                problems.append(f"{configs}/phases/{phase.phase}.yaml: needs {need!r}, which is no phase{hint}")
    return Phases(found, problems)


def _all_needs(phase: str, found: dict[str, Phase]) -> set[str]:
    """The phases that a phase needs, and those that they need."""
    needed: set[str] = set()
    waiting = list(found[phase].needs)
    while waiting:
        name = waiting.pop()
        if name not in needed and name in found:
            waiting += found[name].needs
        needed.add(name)
    return needed


def _by_number(path: Path) -> tuple[int, str]:
    number = re.search(r"\d+", path.stem)
    return (int(number.group()) if number else 1 << 30, path.stem)


_SHELL = re.compile(r"[|&;<>()$`*?\[\]~#]|\n")


def command_of(step: Step, values: dict[str, Any]) -> list[str]:
    """The step's command as argv: through `sh` only where it uses the shell's characters. A value stays one word."""
    if _SHELL.search(step.run):
        return ["/bin/sh", "-c", fill(step.run, values, shlex.quote)]
    return [fill(word, values) for word in shlex.split(step.run)]


def fill(text: str, values: dict[str, Any], quoted: Callable[[str], str] = str) -> str:
    """`{key}` or `{key.inner}` replaced by its value; braces around anything else stay."""

    def one(match: re.Match[str]) -> str:
        here: Any = values
        for part in match.group(1).split("."):
            if not isinstance(here, dict) or part not in here:
                return match.group(0)
            here = here[part]
        return quoted(str(here))

    return re.sub(r"\{([A-Za-z_][\w.]*)\}", one, text)
