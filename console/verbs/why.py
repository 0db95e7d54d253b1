"""The verb `why`: what went wrong with a run, or keeps the gates of a phase shut, and the way out."""

from __future__ import annotations

import argparse

from console.errors import UserError
from console.standing import PhaseStanding
from console.verbs.common import print_json, workspace
from console.whatnow.advice import Advice
from console.whatnow.gather import advice_for
from console.whatnow.rules import rules_of
from console.whatnow.shortfall import shortfalls, words
from console.words import coloured, shown_state, sign, table
from console.workspace import Workspace
from engine.config.errors import ConfigError
from engine.config.layers import parse_overrides
from engine.protocol.layout import RunPaths
from engine.protocol.status import Status


def why(arguments: argparse.Namespace) -> int:
    space = workspace()
    try:
        phase = space.phase(arguments.what)
    except ConfigError:
        return _run(space, arguments)
    resolved = space.choose(phase, arguments.preset, parse_overrides(arguments.set))
    space.refresh()
    return _phase(space.standing(phase, resolved, space.tree()), arguments.json)


def _run(space: Workspace, arguments: argparse.Namespace) -> int:
    try:
        row = space.find_run(arguments.what)
    except UserError as error:
        raise UserError(f"no phase begins like {arguments.what!r}, and {error}") from None
    status = space.state(row.run_id)
    advice = advice_for(space.paths(row.run_id), rules_of(space.project.configs), status)
    if arguments.json:
        print_json({"run": row.run_id, "status": status.to_json(), "advice": advice and advice.to_json()})
        return 0
    print(f"{row.run_id}  {shown_state(status.state)}  {status.reason}")
    print(advice_text(advice) if advice is not None else "nothing is wrong with it")
    return 0


def advice_text(advice: Advice) -> str:
    """A cause and its ways out, one a line."""
    ways = "".join(f"\n  → {way}" for way in advice.do)
    return f"{coloured('what now:', 'bold')} {advice.says}{ways}"


def print_advice(space: Workspace, paths: RunPaths, status: Status) -> None:
    """What `status` adds to a run that went wrong; a broken table is said, and hides nothing else."""
    try:
        advice = advice_for(paths, rules_of(space.project.configs), status)
    except ConfigError as error:
        print(coloured(f"✗ {error}", "red"))
        return
    if advice is not None:
        print(advice_text(advice))


def _phase(standing: PhaseStanding, as_json: bool) -> int:
    found = shortfalls(standing)
    if as_json:
        body = {"phase": standing.phase.phase, "preset": standing.preset, "state": standing.state}
        print_json(body | {"shortfalls": [s.to_json() for s in found]})
        return 0
    print(f"{standing.phase.phase} at {standing.preset}: {shown_state(standing.state)}")
    if not found:
        print("no check keeps a gate shut")
    for s in found:
        print(table([[f"  {sign(s.state)}", f"{s.gate}: {s.text}"]]))
        print(f"      {words(s)}" + (f"   (run {s.run_id})" if s.run_id else ""))
        print(coloured(f"      → {s.do}", "dim"))
    return 0
