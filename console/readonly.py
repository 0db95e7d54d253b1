"""Looking without touching: which verbs only look. Everything that is not listed is refused under `--readonly`.

A new verb is refused until somebody writes it down here: the safe side.
"""

from __future__ import annotations

from argparse import Namespace

from console.errors import UserError

# Verb → None, or the sub-verbs that only look and the argument that holds the sub-verb.
LOOKING: dict[str, tuple[str, tuple[str | None, ...]] | None] = {
    "phases": None,
    "show": None,
    "gates": None,
    "config": None,
    "runs": None,
    "notes": ("withdraw", (None,)),
    "compare": None,
    "report": None,
    "context": None,
    "status": None,
    "logs": None,
    "events": None,
    "queue": None,
    "plans": None,
    "plan": None,
    "models": ("action", ("list", "show", "compare", "verify")),
    "hosts": ("host_verb", (None, "list", "ps")),
    "instances": ("instance_verb", ("types", "list", "ps")),
    "doctor": None,
    "settings": None,
    "why": None,
}


def only_looks(verb: str, arguments: Namespace) -> bool:
    """Does this call change nothing?"""
    if verb not in LOOKING:
        return False
    parts = LOOKING[verb]
    return parts is None or getattr(arguments, parts[0], None) in parts[1]


def refuse_changes(verb: str, arguments: Namespace) -> None:
    """A clear line for a verb that would change something."""
    if not only_looks(verb, arguments):
        part = LOOKING.get(verb)
        said = f"{verb} {getattr(arguments, part[0], '')}".strip() if part else verb
        raise UserError(f"`{said}` changes something, and --readonly only looks. Leave --readonly out to do it")
