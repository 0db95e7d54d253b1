"""Verbs that look at what goes on and change nothing: status, queue, plans, plan."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from console.errors import UserError
from console.meters.lines import meter_words
from console.verbs.common import print_json, up_to_date, workspace
from console.verbs.why import print_advice
from console.whatnow.gather import advice_for
from console.whatnow.rules import rules_of
from console.words import coloured, duration, shown_state, sign, size, table
from engine.protocol.durable import read_json
from engine.protocol.events import parse
from engine.protocol.plan_status import plan_said
from engine.supervisor.cause import log_tail

if TYPE_CHECKING:
    from console.workspace import Workspace
    from engine.protocol.layout import PlanPaths, RunPaths


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
