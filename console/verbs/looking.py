"""Verbs that look and change nothing: phases, show, gates, config, status, queue, plans, plan."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from console.errors import UserError
from console.meters.lines import meter_words
from console.verbs.common import chosen, print_json, up_to_date, workspace
from console.verbs.why import print_advice
from console.whatnow.gather import advice_for
from console.whatnow.rules import rules_of
from console.words import STYLES, coloured, command_name, duration, shown_state, sign, size, table, usd
from engine.protocol.durable import read_json
from engine.protocol.events import parse
from engine.protocol.gates import open_gate
from engine.protocol.plan_status import plan_said
from engine.supervisor.cause import log_tail

if TYPE_CHECKING:
    from console.standing import GateStanding, PhaseStanding, StepStanding
    from console.workspace import Workspace
    from engine.config.phase import Phase
    from engine.protocol.layout import PlanPaths, RunPaths


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


def status(arguments: argparse.Namespace) -> int:
    space = workspace()
    row = space.find_run(arguments.run)
    state = space.state(row.run_id)
    paths = space.paths(row.run_id)
    result = read_json(paths.result) or {}
    artifacts = (read_json(paths.artifacts) or {}).get("artifacts", [])
    if arguments.json:
        advice = advice_for(paths, rules_of(space.project.configs), state)
        about = {"run": row.__dict__, "status": state.to_json(), "result": result, "artifacts": artifacts}
        print_json(about | {"advice": advice and advice.to_json(), "meters": _newest_meters(paths)})
        return 0
    print(f"{row.run_id}  {shown_state(state.state)}  {state.reason}")
    print_advice(space, paths, state)
    if state.stopping:
        print(f"stopping: {state.stopping}")
    print(
        table(
            [
                ["phase", f"{row.phase} / {row.step} at {row.variant}"],
                ["host", row.host],
                ["code", f"tree {row.tree}, code {row.code}, config {row.config_hash}"],
                ["took", duration(row.seconds)],
                ["cpu", duration(result.get("cpu_s"))],
                *map(list, meter_words(_newest_meters(paths) or {})),
                ["folder", str(paths.folder)],
            ]
        )
    )
    for about in artifacts:
        shown = "missing" if about.get("missing") else f"{size(about['size'])}  {about['sha256'][:16]}"
        rows = f"  {about['rows']} rows" if "rows" in about else ""
        print(f"  {about['path']}  {shown}{rows}")
    return 0


def _newest_meters(paths: RunPaths) -> dict[str, Any] | None:
    """The last sample that its supervisor has told."""
    tail = parse(log_tail(paths.supervisor_events, 1 << 16)).events
    return next((event for event in reversed(tail) if event.get("kind") == "meters"), None)


def queue(arguments: argparse.Namespace) -> int:
    rows = workspace().host(arguments.host).queue()
    if arguments.json:
        print_json(rows)
    elif not rows:
        print("nothing runs or waits on this host")
    else:
        cells = [[f"on {r['slot']}" if r["slot"] else f"{r['position']} for {r['kind']}", r["run_id"]] for r in rows]
        print(table(cells, ["place", "run"]))
    return 0


def find_plan(space: Workspace, word: str) -> PlanPaths:
    """A plan by its id, a unique part of it, or `last`."""
    ids = space.root.plan_ids()
    if word == "last" and ids:
        return space.root.plan(ids[-1])
    found = [i for i in ids if i == word] or [i for i in ids if word in i]
    if len(found) != 1:
        problem = f"{word!r} names {len(found)} plans" if found else f"there is no plan {word!r}"
        raise UserError(f"{problem}. Type: fractal-console plans")
    return space.root.plan(found[0])


def plan_line(paths: PlanPaths) -> dict[str, Any]:
    """What a plan's files say of it."""
    plan_, said = read_json(paths.plan) or {}, plan_said(paths)
    names = [f"{i['kind']} {i['name']}" for i in plan_.get("items", [])]
    hosts = [i["run"].get("host", "local") for i in plan_.get("items", []) if i.get("run")]
    return {
        "plan": paths.plan_id,
        "host": hosts[0] if hosts else "local",
        "phase": plan_.get("phase", "?"),
        "preset": plan_.get("variant", "?"),
        "outcome": said.outcome,
        "reason": said.progress.get("reason", ""),
        "stage": said.progress.get("stage", ""),
        "problem": said.progress.get("problem", ""),
        "heard_at": said.heard_at,
        "items": [
            {"item": n, "state": s, "reason": r}
            for n, s, r in zip(names, said.states, said.progress.get("reasons", []), strict=False)
        ],
    }


def plans(arguments: argparse.Namespace) -> int:
    space = up_to_date()
    lines = [plan_line(space.root.plan(i)) for i in reversed(space.root.plan_ids()[-arguments.n :])]
    if arguments.json:
        print_json(lines)
    elif not lines:
        print("no plans yet. Start one: fractal-console run PHASE")
    else:
        print(table([[sign(p["outcome"]), p["plan"], p["phase"], p["preset"], p["host"], p["reason"]] for p in lines]))
    return 0


def plan(arguments: argparse.Namespace) -> int:
    line = plan_line(find_plan(up_to_date(), arguments.plan))
    if arguments.json:
        print_json(line)
        return 0
    print(f"{line['plan']}  {shown_state(line['outcome'])}  {line['reason']}")
    if line["outcome"] == "interrupted":
        print(f"its executor was killed; go on with: fractal-console resume {line['plan']}")
    if line["problem"]:
        print(coloured(f"{line['stage']}: {line['problem']}", "yellow"))
    print(table([[f"  {sign(i['state'])}", i["item"], i["reason"]] for i in line["items"]]))
    return 0
