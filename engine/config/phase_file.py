"""A phase as people write it: `configs/phases/<id>.yaml`. Checked whole before anything starts.

Errors name the file, the key and the nearest good key; a file that can't be used never hides the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.config.errors import ConfigError, nearest
from engine.config.phase import Gate, Phase, Phases, Step
from engine.protocol.checks import CheckError, compile_check, steps_of
from engine.protocol.layout import safe_id


def load_phase(path: Path) -> Phase:
    """One phase file; its id must be its file's name."""
    from engine.config.load import check
    from engine.config.yaml_file import read_yaml

    where = f"configs/phases/{path.name}"
    phase = check(Phase, spelled_out(read_yaml(path)), where)
    try:
        _hold_together(phase)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None
    if phase.phase != path.stem:
        raise ConfigError(f"{path}: `phase: {phase.phase}` must be the file's name, {path.stem}")
    return phase


def load_phases(configs: Path, load: Callable[[Path], Phase] = load_phase) -> Phases:
    """Every phase file of a project, in the order of their numbers. `load`: how one is read, such as from what is kept."""
    found: dict[str, Phase] = {}
    problems = []
    for path in sorted((configs / "phases").glob("*.yaml"), key=_by_number):
        try:
            found[path.stem] = load(path)
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


# The short forms that people write


def spelled_out(value: dict[str, Any]) -> dict[str, Any]:
    """A bare path is an output, a bare name what a gate stands after, a bare sentence a check. What is no short form stays."""
    return value | {
        name: _each(value[name], spell)
        for name, spell in (("steps", _step_spelled_out), ("gates", _gate_spelled_out))
        if name in value
    }


def _each(values: Any, spell: Callable[[Any], Any]) -> Any:
    return [spell(value) for value in values] if isinstance(values, list) else values


def _step_spelled_out(step: Any) -> Any:
    if not isinstance(step, dict) or "outputs" not in step:
        return step
    return step | {"outputs": _each(step["outputs"], lambda o: {"path": o} if isinstance(o, str) else o)}


def _gate_spelled_out(gate: Any) -> Any:
    if not isinstance(gate, dict):
        return gate
    after = {"after": [gate["after"]]} if isinstance(gate.get("after"), str) else {}
    checks = {"checks": _each(gate["checks"], _check_spelled_out)} if "checks" in gate else {}
    return gate | after | checks


def _check_spelled_out(value: Any) -> Any:
    if isinstance(value, str):
        return {"check": value}
    if isinstance(value, dict) and "manual" in value and "check" not in value:
        return {"check": f"manual: {value['manual']}", **{k: v for k, v in value.items() if k != "manual"}}
    return value


# What belongs together


def _hold_together(phase: Phase) -> None:
    """ValueError where names point to nothing, or to what comes too late."""
    safe_id(phase.phase)
    if not phase.steps:
        raise ValueError("steps: at least one is needed")
    ids = [s.step for s in phase.steps]
    _unique("step", ids)
    _unique("gate", [g.gate for g in phase.gates])
    for at, step in enumerate(phase.steps):
        safe_id(step.step)
        _check_patterns(step)
        for need in step.needs or []:
            _known(need, ids[:at], f"step {step.step} needs {need!r}, which does not stand before it")
    for gate in phase.gates:
        _check_gate(gate, ids)


def _check_patterns(step: Step) -> None:
    for metric in step.log_metrics:
        try:
            re.compile(metric.pattern)
        except re.error as error:
            raise ValueError(
                f"step {step.step}: the pattern of {metric.name} is no regular expression: {error}"
            ) from None


def _unique(kind: str, names: list[str]) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"the {kind} {twice[0]!r} stands twice")


def _known(name: str, good: list[str], problem: str) -> None:
    if name not in good:
        raise ValueError(f"{problem}{nearest(name, good)}")


def _check_gate(gate: Gate, steps: list[str]) -> None:
    if not gate.after:
        raise ValueError(f"gate {gate.gate}: after: at least one step is needed")
    if not gate.checks:
        raise ValueError(f"gate {gate.gate}: checks: at least one is needed")
    for name in gate.after:
        _known(name, steps, f"gate {gate.gate} stands after {name!r}, which is no step")
    for line in gate.checks:
        try:
            compiled = compile_check(line.check, gate.after[0] if len(gate.after) == 1 else None)
        except CheckError as error:
            raise ValueError(f"gate {gate.gate}: {error}") from None
        for step in steps_of(compiled):
            _known(step, steps, f"gate {gate.gate}: `{line.check}` asks step {step!r}, which does not exist")
            if steps.index(step) > max(steps.index(name) for name in gate.after):
                raise ValueError(f"gate {gate.gate}: `{line.check}` asks step {step!r}, which the gate itself blocks")
