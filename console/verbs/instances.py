"""The verb `instances`: rented machines from the command line."""

from __future__ import annotations

import argparse

from console.rental.terminal import run_verb
from console.store import Store
from engine.protocol.layout import Root, default_root
from remote.cloud.ledger import Entry


def instances(arguments: argparse.Namespace) -> int:
    return run_verb(arguments, unverified)


def unverified(entry: Entry, root: Root | None = None) -> list[str]:
    """Runs of the machine whose required files nobody has verified here."""
    store = Store((root or Root(default_root())).path / "console.db")
    try:
        return [f"{row.run_id}: not pulled" for row in store.runs() if row.host == entry.name]
    finally:
        store.close()
