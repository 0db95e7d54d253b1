"""Verbs by which a person speaks on a gate: tick, override. What is said is kept with who, when and why."""

from __future__ import annotations

import argparse

from console.errors import UserError
from console.verbs.common import chosen, tell, workspace
from engine.protocol.checks import is_manual


def tick(arguments: argparse.Namespace) -> int:
    space = workspace()
    space.refresh()
    phase, resolved = chosen(space, arguments)
    standing = space.standing(phase, resolved)
    _, check, text = space.check_named(standing.gates, arguments.check)
    if not is_manual(text):
        raise UserError(f"`{text}` is measured, not ticked. To accept it as it is: fractal-console override … --reason")
    space.say("tick", phase, resolved, check, not arguments.undo, arguments.note)
    done = "tick taken back" if arguments.undo else "ticked"
    tell(arguments, f"{done}: {text}", check=check, text=text, done=done)
    return 0


def override(arguments: argparse.Namespace) -> int:
    space = workspace()
    space.refresh()
    phase, resolved = chosen(space, arguments)
    standing = space.standing(phase, resolved, space.tree())
    _, check, text = space.check_named(standing.gates, arguments.check)
    if not arguments.undo and not (arguments.reason or "").strip():
        raise UserError("an override needs a reason that others will read: --reason '…'")
    space.say("override", phase, resolved, check, not arguments.undo, (arguments.reason or "").strip())
    done = "override taken back" if arguments.undo else "overridden"
    tell(arguments, f"{done}: {text}", check=check, text=text, done=done)
    return 0
