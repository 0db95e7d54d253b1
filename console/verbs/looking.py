"""Verbs that look at phases and change nothing: phases, show, gates, config."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from console.verbs.common import chosen, print_json, up_to_date, workspace
from console.words import STYLES, coloured, command_name, duration, shown_state, sign, table, usd
from engine.protocol.gates import open_gate

if TYPE_CHECKING:
    from console.standing import GateStanding, PhaseStanding, StepStanding
    from engine.config.phase import Phase


def phases(arguments: argparse.Namespace) -> int:
    space = up_to_date()
    tree = space.tree(with_git=False)
    standings = [space.standing(p, space.choose(p), tree) for p in space.project.phases.phases.values()]
    if arguments.json:
        spent = {name: s.__dict__ for name, s in space.spent().items()}
        told = [_phase_json(s) | {"spent": spent.get(s.phase.phase)} for s in standings]
        print_json({"phases": told, "problems": space.project.phases.problems})
        return 0
    _print_phases(standings)
    for problem in space.project.phases.problems:
        print(coloured(f"✗ {problem}", "red"))
    return 2 if space.project.phases.problems else 0


def _print_phases(standings: list[PhaseStanding]) -> None:
    rows = [
        [sign(s.state), s.phase.phase, s.preset, f"{s.checks_passed}/{s.checks} checks", s.phase.title]
        for s in standings
    ]
    print(table(rows, ["state", "phase", "preset", "gates", "title"], [STYLES.get(s.state) for s in standings]))


def without_terminal() -> int:
    """What `make run` prints where there is no terminal to open the console on."""
    space = workspace()
    space.refresh()
    tree = space.tree(with_git=False)
    standings = [space.standing(p, space.choose(p), tree) for p in space.project.phases.phases.values()]
    _print_phases(standings)
    for problem in space.project.phases.problems:
        print(f"✗ {problem}")
    me = command_name()
    print("\nNo terminal here, so the console stays shut. Type next:")
    if standings:
        first = min(standings, key=_effort)
        words = f"{first.phase.phase} --preset {first.preset}"
        print(f"  {me} run {words}      # every step in order, gates between, live progress")
        print(f"  {me} gates {words}    # each check, its verdict and its because")
    print(f"  {me} --help")
    return 0


def _effort(standing: PhaseStanding) -> tuple[bool, float]:
    """What a newcomer tries first: a phase that can start, the quickest one by its own estimates."""
    estimates = [s.step.estimate.get(standing.preset) for s in standing.steps if not s.step.optional]
    minutes = sum(math.inf if e is None else e.minutes for e in estimates)
    return standing.steps[0].blocked is not None if standing.steps else True, minutes


def _phase_json(s: PhaseStanding) -> dict[str, Any]:
    return {
        "phase": s.phase.phase,
        "title": s.phase.title,
        "preset": s.preset,
        "state": s.state,
        "steps": [_step_json(s, x) for x in s.steps],
        "gates": [_gate_json(g) for g in s.gates],
    }


def _step_json(s: PhaseStanding, x: StepStanding) -> dict[str, Any]:
    estimate = x.step.estimate.get(s.preset)
    return {
        "step": x.step.step,
        "state": x.state,
        "why": x.why,
        "blocked": x.blocked,
        "run": x.run and x.run.run_id,
        "needs": s.phase.needs_of(x.step),
        "inputs": x.step.inputs,
        "outputs": [o.path for o in x.step.outputs],
        "estimate": estimate and {"minutes": estimate.minutes, "usd": estimate.usd},
        "seconds": x.run and x.run.seconds,
        "usd": x.usd,
    }


def _gate_json(g: GateStanding) -> dict[str, Any]:
    return {"gate": g.gate.gate, "state": g.state, "checks": [v.to_json() for v in g.verdicts]}


def show(arguments: argparse.Namespace) -> int:
    space = up_to_date()
    phase, resolved = chosen(space, arguments)
    standing = space.standing(phase, resolved, space.tree(with_git=False))
    if arguments.json:
        print_json(_phase_json(standing) | {"goal": phase.goal, "config": resolved.config})
        return 0
    print(
        coloured(f"{phase.phase} — {phase.title}", "bold") + f"   {shown_state(standing.state)} at {resolved.variant}\n"
    )
    print(phase.goal.strip() + "\n")
    _print_steps(standing)
    print()
    _print_gates(standing)
    _print_reference(phase)
    return 0


def _print_steps(standing: PhaseStanding) -> None:
    rows, styles = [], []
    for s in standing.steps:
        estimate = s.step.estimate.get(standing.preset)
        guess = f"~{duration(estimate.minutes * 60)} {usd(estimate.usd)}" if estimate else ""
        took = duration(s.run.seconds) if s.run else ""
        rows.append([sign(s.state), s.step.step, took, guess, s.step.title or s.step.run, s.why])
        styles.append(STYLES.get(s.state))
    print(table(rows, ["step", "", "took", "estimate", "what", "because"], styles))


def gates(arguments: argparse.Namespace) -> int:
    space = up_to_date()
    phase, resolved = chosen(space, arguments)
    standing = space.standing(phase, resolved, space.tree(with_git=False))
    if arguments.json:
        print_json({"phase": phase.phase, "preset": resolved.preset, "gates": [_gate_json(g) for g in standing.gates]})
    else:
        print(f"{phase.phase} at {resolved.variant}: {shown_state(standing.state)}\n")
        _print_gates(standing)
        _print_reference(phase)
    return 0 if all(open_gate(g.state) for g in standing.gates) else 1


def _print_gates(standing: PhaseStanding) -> None:
    for gate in standing.gates:
        title = f" — {gate.gate.title}" if gate.gate.title else ""
        head = f"gate {gate.gate.gate}{title}"
        print(f"{coloured(head, 'bold')}  {shown_state(gate.state)} ({gate.passed} of {len(gate.verdicts)})")
        rows = [[f"  {sign(v.state)}", v.text, v.because, v.check_id] for v in gate.verdicts]
        print(table(rows, (), [STYLES.get(v.state) for v in gate.verdicts]))
    if not standing.gates:
        print("this phase has no gates")


def _print_reference(phase: Phase) -> None:
    if phase.reference:
        print(coloured("\npublished figures, for comparison (never evidence)", "dim"))
        print(
            table(
                [[f"  {r.name}", str(r.value), r.source] for r in phase.reference], (), ["dim"] * len(phase.reference)
            )
        )


def config(arguments: argparse.Namespace) -> int:
    phase, resolved = chosen(workspace(), arguments)
    if arguments.json:
        print_json(resolved.config)
        return 0
    import yaml

    print(f"# {phase.phase} at {resolved.variant}, hash {resolved.config_hash}")
    print(yaml.safe_dump(resolved.config, sort_keys=False, allow_unicode=True).rstrip())
    return 0
