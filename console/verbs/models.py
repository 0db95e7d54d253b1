"""The verb `models`: the registry from the command line. Decides nothing; the registry does."""

from __future__ import annotations

import argparse

from console.errors import UserError
from console.launch.resolved import differing, whoami
from console.standing import asked_gates
from console.verbs.common import print_json, workspace
from console.verbs.model_tables import ACTIONS, Table
from console.words import table
from console.workspace import Workspace
from engine.config.errors import nearest
from engine.registry.model import GateFinding

# How many models each action takes: least and most.
_TAKES = {"list": (0, 0), "show": (1, 1), "compare": (2, 2), "promote": (1, 1), "verify": (0, 1), "handoff": (0, 1)}


def models(arguments: argparse.Namespace) -> int:
    space = workspace()
    space.refresh()
    shown = act(space, arguments)
    if arguments.json:
        print_json(shown.data)
    else:
        print(table(shown.rows, shown.columns if any(shown.columns) else ()))
        if shown.note:
            print(shown.note)
    return shown.code


def act(space: Workspace, arguments: argparse.Namespace) -> Table:
    """One action on the registry, as typed here or asked for by the screen: `action`, `names`, `to`, `reason`."""
    action, names = arguments.action, arguments.names
    if action not in ACTIONS:
        raise UserError(f"there is no action {action!r}{nearest(action, list(ACTIONS))}. Actions: {', '.join(ACTIONS)}")
    least, most = _TAKES[action]
    if not least <= len(names) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise UserError(f"models {action} takes {wanted} model(s), {len(names)} given. Type: fractal-console models")
    arguments.phase, arguments.model_type = None, None
    arguments.model = names[0] if names else None
    arguments.other = names[1] if len(names) > 1 else None
    arguments.by = whoami()
    arguments.gates = _findings(space, arguments.model) if action in ("promote", "handoff") and arguments.model else []
    return ACTIONS[action](space.registry, arguments)


def _findings(space: Workspace, word: str) -> list[GateFinding]:
    """How the gates of the model's phase stand now, at the preset and overrides that made it."""
    model = space.registry.model(word)
    if model.phase not in space.project.phases.phases:
        return []
    phase = space.phase(model.phase)
    resolved = space.choose(phase, model.preset or None)
    if model.variant not in ("", model.preset):
        resolved = space.choose(phase, model.preset, differing(resolved.config, space.registry.config(model.model_id)))
    standing = space.standing(phase, resolved, space.tree())
    shut = {g.gate.gate: next((v.because for v in g.verdicts if v.state == g.state), "") for g in standing.gates}
    asked = asked_gates(standing.steps, standing.gates)
    findings = [GateFinding(g.gate.gate, g.state, shut[g.gate.gate]) for g in asked]
    judged = next((s.run.run_id for s in standing.steps if s.step.step == model.step and s.run is not None), None)
    if findings and judged != model.session_id:
        because = f"the gates judge {judged or 'no run'} of step {model.step}, this model is of {model.session_id}"
        findings.append(GateFinding("its own run", "failed", because))
    return findings
