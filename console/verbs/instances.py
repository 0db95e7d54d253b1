"""The verb `instances`: rented machines from the command line."""

from __future__ import annotations

import argparse

from console.rental.terminal import run_verb
from console.store import Store
from engine.protocol.layout import Root, default_root
from remote.cloud.ledger import Entry


def instances(arguments: argparse.Namespace) -> int:
    return run_verb(arguments, unverified)


def sweep(arguments: argparse.Namespace) -> int:
    """`fractal-console sweep` for cron: the same as `instances sweep`."""
    return run_verb(argparse.Namespace(**vars(arguments), instance_verb="sweep"), unverified)


def unverified(entry: Entry, root: Root | None = None) -> list[str]:
    """Required files of the machine's runs that are not verified here."""
    from console.rental.saving import left_on

    root = root or Root(default_root())
    store = Store(root.path / "console.db")
    try:
        store.refresh(root)
        return left_on(store, root, entry.name)
    finally:
        store.close()
