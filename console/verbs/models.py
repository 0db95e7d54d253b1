"""The verb `models`: the registry from the command line. Decides nothing; the registry does."""

from __future__ import annotations

import argparse

from console.errors import UserError
from console.model_verbs import ACTIONS
from console.specs import whoami
from console.verbs.common import print_json, workspace
from console.words import table
from console.workspace import Workspace
from engine.config.load import nearest
from engine.registry_model import GateFinding

# How many models each action takes: least and most.
_TAKES = {"list": (0, 0), "show": (1, 1), "compare": (2, 2), "promote": (1, 1), "verify": (0, 1), "handoff": (0, 1)}


def models(arguments: argparse.Namespace) -> int:
    action, names = arguments.action, arguments.names
    if action not in ACTIONS:
        raise UserError(f"there is no action {action!r}{nearest(action, list(ACTIONS))}. Actions: {', '.join(ACTIONS)}")
    least, most = _TAKES[action]
    if not least <= len(names) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise UserError(f"models {action} takes {wanted} model(s), {len(names)} given. Type: fractal-console models")
    space = workspace()
    space.refresh()
    arguments.phase, arguments.model_type = None, None
    arguments.model = names[0] if names else None
    arguments.other = names[1] if len(names) > 1 else None
    arguments.by = whoami()
    arguments.gates = _findings(space, arguments.model) if action in ("promote", "handoff") and arguments.model else []
    shown = ACTIONS[action](space.registry, arguments)
    if arguments.json:
        print_json(shown.data)
    else:
        print(table(shown.rows, shown.columns if any(shown.columns) else ()))
        if shown.note:
            print(shown.note)
    return shown.code


def _findings(space: Workspace, model: str) -> list[GateFinding]:
    """How the gates of the model's phase stand now, at the preset that made it."""
    about = space.registry.model(model)
    if about.phase not in space.project.phases.phases:
        return []
    phase = space.phase(about.phase)
    standing = space.standing(phase, space.choose(phase, about.preset or None), space.tree())
    shut = {g.gate.gate: next((v.because for v in g.verdicts if v.state == g.state), "") for g in standing.gates}
    return [GateFinding(g.gate.gate, g.state, shut[g.gate.gate]) for g in standing.gates]
