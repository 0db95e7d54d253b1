"""Verbs that start and end things: run, stop, checkpoint, resume. Nothing starts, resumes or ends silently."""

from __future__ import annotations

import argparse
import sys
import time

from console.errors import UserError
from console.launch.specs import capped
from console.launch.starting import Choice, make_plan, missing_part, start_plan, start_step, steps_for_plan
from console.reading.follow import follow_plan, follow_run
from console.rental.ending import Wanted, ending_words, policy
from console.rental.hosting import rented
from console.verbs.common import chosen, print_json, tell, workspace
from console.verbs.going import find_plan
from console.words import coloured, duration, shown_state, table
from console.workspace import Workspace
from engine.config.phase import Phase, Step
from engine.protocol.durable import read_json
from engine.protocol.layout import PlanPaths
from engine.protocol.plan import Plan
from remote.environment import Missing, install
from remote.host import HostError


def run(arguments: argparse.Namespace) -> int:
    space = workspace()
    phase, resolved = chosen(space, arguments)
    choice = Choice(phase, resolved, arguments.host)
    space.host(arguments.host)
    if arguments.step is not None:
        return _run_step(space, choice, phase.step_named(arguments.step), arguments)
    return _run_phase(space, choice, arguments)


def _run_step(space: Workspace, choice: Choice, step: Step, arguments: argparse.Namespace) -> int:
    if arguments.dry_run:
        return _dry_run(space, choice, [step], arguments.json)
    if choice.host == space.local.name:
        install_missing(space, choice.phase)
    step = capped(step, arguments.max_hours, arguments.max_usd, _price(space, choice, arguments.max_usd))
    spec, status = start_step(space, choice, step, arguments.force)
    if arguments.json:
        print_json({"run": spec.run_id, "status": status.to_json()})
    else:
        print(f"{shown_state(status.state)} {spec.run_id} on {choice.host}  ({' '.join(spec.argv)})")
    if arguments.detach:
        if not arguments.json:
            print(f"it goes on by itself. Follow it: fractal-console logs {spec.run_id} -f")
        return 0
    checks = [c for gate in choice.phase.gates for c in gate.compiled(choice.resolved.preset)]
    return follow_run(space, spec.run_id, checks)


def _run_phase(space: Workspace, choice: Choice, arguments: argparse.Namespace) -> int:
    steps = steps_for_plan(choice.phase, choice.resolved, arguments.first)
    if arguments.force:
        raise UserError("--force starts one step: name it. A whole phase goes through its gates")
    if arguments.dry_run:
        return _dry_run(space, choice, steps, arguments.json)
    entry = None if choice.host == space.local.name else rented(space.root.path / "cloud", choice.host)
    asked = Wanted(arguments.save_to, arguments.on_cap, arguments.max_hours, arguments.max_usd, arguments.keep)
    end = policy(asked, entry, time.time(), _price(space, choice, arguments.max_usd))
    plan = make_plan(space, choice, steps, end, arguments.stop_at_manual)
    if choice.host == space.local.name:
        install_missing(space, choice.phase)
    start_plan(space, choice, plan)
    if arguments.json:
        print_json({"plan": plan.plan_id, "runs": {i.name: i.run.run_id for i in plan.items if i.run}})
    else:
        _announce(plan, choice)
        print("".join(f"{line}\n" for line in [ending_words(end, entry)] if line), end="")
    if arguments.detach:
        if not arguments.json:
            print(f"it goes on by itself. Look at it: fractal-console plan {plan.plan_id}")
        return 0
    return follow_plan(space, plan)


def _price(space: Workspace, choice: Choice, max_usd: float | None) -> float:
    """What the host costs an hour; a cap in dollars needs to know."""
    from console.launch.rehearsal import price_of

    price = price_of(space.root.path, choice.host)
    if max_usd is not None and not price:
        raise UserError(f"--max-usd: what {choice.host} costs an hour is not known here; cap it with --max-hours")
    return price


def _announce(plan: Plan, choice: Choice) -> None:
    names = " → ".join(f"gate {i.name}" if i.kind == "gate" else i.name for i in plan.items)
    print(coloured(f"{plan.phase} at {plan.variant} on {choice.host}", "bold") + f"   plan {plan.plan_id}")
    print(names)
    cap = plan.end.seconds_allowed()
    if cap is not None:
        print(f"cap: {duration(cap)}, then {plan.end.on_cap}")


def _dry_run(space: Workspace, choice: Choice, steps: list[Step], as_json: bool) -> int:
    """What would run and where, what would be sent and what it would cost; nothing is started, copied or sent."""
    from console.launch.rehearsal import look_there, rehearse, words

    there = None
    if choice.host != space.local.name:
        try:
            there = look_there(space.ssh(choice.host), space.tree())
        except HostError as error:
            raise UserError(str(error)) from error
    rehearsal = rehearse(space, choice, steps, there)
    if as_json:
        print_json(rehearsal.to_json())
        return 0
    print(f"would run on {choice.host}, in {rehearsal.work}:")
    print(table([[f"  {s.step}", " ".join(s.argv)] for s in rehearsal.steps]))
    for name, line in words(rehearsal)[1:]:
        warns = name == "!" or line.startswith("! ")
        print(coloured(f"{line if warns and name != '!' else f'{name}  {line}'}", "yellow" if warns else None))
    return 0


def install_missing(space: Workspace, phase: Phase) -> None:
    """The engine is large: say so, then install it, with pip's own words passing by."""
    missing = missing_part(space, phase)
    if missing is not None:
        install_shown(missing)


def install_shown(missing: Missing) -> None:
    print(missing.words(), file=sys.stderr)
    print(f"Installing it: {' '.join(missing.argv)}   (ctrl-c stops; nothing else has started)", file=sys.stderr)
    try:
        for line in install(missing):
            print(f"  {line[:160]}", file=sys.stderr)
    except RuntimeError as error:
        raise UserError(str(error)) from error


def stop(arguments: argparse.Namespace) -> int:
    space = workspace()
    plan_ids = [p for p in space.root.plan_ids() if arguments.run in p and "-plan-" in arguments.run]
    if len(plan_ids) == 1:
        space.host(_read_plan(space.root.plan(plan_ids[0])).host).stop_plan(plan_ids[0], _me(), arguments.why)
        words = f"asked plan {plan_ids[0]} to stop: what runs is checkpointed, stopped and saved"
        tell(arguments, words, plan=plan_ids[0], asked=True)
        return 0
    row = space.find_run(arguments.run)
    status = space.state(row.run_id)
    if status.final:
        words = f"{row.run_id} is over already: {shown_state(status.state)} {status.reason}"
        tell(arguments, words, run=row.run_id, asked=False, state=status.state, reason=status.reason)
        return 0
    space.stop(row.run_id, arguments.why, 0.0 if arguments.now else None)
    ladder = "SIGKILL" if arguments.now else "SIGINT, then SIGTERM, then SIGKILL"
    words = f"asked {row.run_id} to stop ({ladder}). See: fractal-console status {row.run_id}"
    tell(arguments, words, run=row.run_id, asked=True)
    return 0


def _me() -> str:
    from console.launch.resolved import whoami

    return whoami()


def checkpoint(arguments: argparse.Namespace) -> int:
    space = workspace()
    row = space.find_run(arguments.run)
    status = space.checkpoint(row.run_id)
    if status.final:
        raise UserError(f"{row.run_id} is over ({status.state}); there is nothing to checkpoint")
    words = f"asked {row.run_id} for a checkpoint. See: fractal-console events {row.run_id} --kind checkpoint"
    tell(arguments, words, run=row.run_id, asked=True)
    return 0


def _read_plan(paths: PlanPaths) -> Plan:
    value = read_json(paths.plan)
    if value is None:
        raise UserError(f"{paths.plan} can't be read")
    return Plan.from_json(value, str(paths.plan))


def resume(arguments: argparse.Namespace) -> int:
    space = workspace()
    plan = _read_plan(find_plan(space, arguments.plan))
    answer = space.host(plan.host).launch_plan(plan)
    tell(arguments, f"{plan.plan_id}: {answer}", plan=plan.plan_id, answer=answer)
    return 0 if arguments.detach else follow_plan(space, plan)
