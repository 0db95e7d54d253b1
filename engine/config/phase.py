"""What a phase is, once its file has been read: steps, gates, estimates, and the command of a step. Standard library only.

`engine.config.phase_file` reads and checks the file; what is checked once is kept, and made anew here without a second check.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.config.errors import ConfigError, nearest
from engine.protocol.checks import Check, compile_check

_EXACT = {"extra": "forbid"}  # for pydantic, which checks these when a file is read: an unknown key is an error


@dataclass(frozen=True)
class OutputFile:
    """A file that a step promises; a bare path is a required one."""

    __pydantic_config__ = _EXACT

    path: str
    required: bool = True


@dataclass(frozen=True)
class Pattern:
    """A regular expression that turns lines of the log into a metric."""

    __pydantic_config__ = _EXACT

    name: str
    pattern: str


@dataclass(frozen=True)
class Estimate:
    """What a step is thought to cost, and where the thought comes from."""

    __pydantic_config__ = _EXACT

    minutes: float
    usd: float = 0.0
    source: str = ""


@dataclass(frozen=True)
class Step:
    """One command executed on a host."""

    __pydantic_config__ = _EXACT

    step: str
    run: str
    """The command. `{work}`, `{preset}`, `{seed}` and any key of the config in braces are filled in."""
    title: str = ""
    needs: list[str] | None = None
    """Steps that must have succeeded; the one before by default."""
    inputs: list[str] = field(default_factory=list)
    """Files that must be in the work folder before it starts."""
    outputs: list[OutputFile] = field(default_factory=list)
    estimate: dict[str, Estimate] = field(default_factory=dict)
    """Per preset."""
    gpus: int | dict[str, int] = 0
    """On each node. A command that begins with `torchrun` gets one rank for each (see `engine.config.torchrun`)."""
    nodes: int | dict[str, int] = 1
    """More than one: torchrun meets across the nodes of a `slurm` host."""
    env: dict[str, str] = field(default_factory=dict)
    log_metrics: list[Pattern] = field(default_factory=list)
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


@dataclass(frozen=True)
class CheckLine:
    """One line of a gate; a bare sentence holds at every preset."""

    __pydantic_config__ = _EXACT

    check: str
    presets: list[str] | None = None


@dataclass(frozen=True)
class Gate:
    """A checklist between steps; until it is passed, what comes after it is blocked."""

    __pydantic_config__ = _EXACT

    gate: str
    after: list[str]
    checks: list[CheckLine]
    title: str = ""

    def compiled(self, preset: str) -> list[Check]:
        """The checks that hold at a preset."""
        default = self.after[0] if len(self.after) == 1 else None
        return [compile_check(c.check, default) for c in self.checks if c.presets is None or preset in c.presets]


@dataclass(frozen=True)
class Reference:
    """A published figure to stand beside ours; never evidence."""

    __pydantic_config__ = _EXACT

    name: str
    value: float | str
    source: str


@dataclass(frozen=True)
class Phase:
    """One chapter of the research."""

    __pydantic_config__ = _EXACT

    phase: str
    title: str
    goal: str
    steps: list[Step]
    gates: list[Gate] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    """Phases whose gates must be passed first."""
    config: str | None = None
    """`module:Class` of the model that checks this phase's config, such as `engine.config.ouroboros:OuroborosConfig`."""
    presets: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Presets stated here; those with a file in `configs/<phase>/` need no mention."""
    default_preset: str | None = None
    environment: str | None = None
    """The extra of pyproject.toml that its steps need, such as `engine`; None for a command of the user's own."""
    runs_in: Literal["snapshot", "project"] = "snapshot"
    """`snapshot`: an immutable copy of the source (a later edit can't change a running run). `project`: the folder itself,
    which is then the work folder too: outputs are looked for where the command leaves them."""
    code: list[str] = field(default_factory=list)
    """What its steps depend on (globs or folders); by default everything but docs, tests and configs."""
    reference: list[Reference] = field(default_factory=list)

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


def phase_of(body: dict[str, Any]) -> Phase:
    """The phase that `dataclasses.asdict` made this of. It is taken at its word: what was checked when it was read."""
    return Phase(
        **body
        | {
            "steps": [_step_of(step) for step in body["steps"]],
            "gates": [Gate(**g | {"checks": [CheckLine(**c) for c in g["checks"]]}) for g in body["gates"]],
            "reference": [Reference(**r) for r in body["reference"]],
        }
    )


def _step_of(body: dict[str, Any]) -> Step:
    return Step(
        **body
        | {
            "outputs": [OutputFile(**o) for o in body["outputs"]],
            "estimate": {preset: Estimate(**e) for preset, e in body["estimate"].items()},
            "log_metrics": [Pattern(**p) for p in body["log_metrics"]],
        }
    )


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
