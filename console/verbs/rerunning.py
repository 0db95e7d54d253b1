"""The verb `rerun`: the same step with the same config, on the source as it is today."""

from __future__ import annotations

import argparse

from console.launch.starting import Choice, start_step
from console.reading.follow import follow_run
from console.runs.again import again
from console.verbs.common import print_json, workspace
from console.verbs.running import install_missing
from console.words import shown_state
from engine.config.layers import merge, parse_overrides


def rerun(arguments: argparse.Namespace) -> int:
    space = workspace()
    what = again(space, space.find_run(arguments.run).run_id)
    overrides = merge(what.overrides, parse_overrides(arguments.set))
    choice = Choice(what.phase, space.choose(what.phase, what.preset, overrides), arguments.host or what.host)
    if choice.host == space.local.name:
        install_missing(space, what.phase)
    spec, status = start_step(space, choice, what.step, arguments.force)
    if arguments.json:
        print_json({"run": spec.run_id, "status": status.to_json()})
    else:
        print(f"{shown_state(status.state)} {spec.run_id}: {what.words}")
    if arguments.detach:
        return 0
    checks = [c for gate in what.phase.gates for c in gate.compiled(choice.resolved.preset)]
    return follow_run(space, spec.run_id, checks)
