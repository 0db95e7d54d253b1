"""The verb `delete`: what goes is said first, and nothing goes without a yes."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict

from console.errors import UserError
from console.runs.deleting import Doomed, refusal, weigh
from console.runs.deleting import delete as really
from console.verbs.common import print_json, workspace


def delete(arguments: argparse.Namespace) -> int:
    space = workspace()
    every = [weigh(space, space.find_run(word).run_id) for word in arguments.runs]
    if arguments.dry_run:
        _show(every, arguments)
        return 0
    refused = [problem for d in every if (problem := refusal(d, arguments.files, arguments.force)) is not None]
    if refused:
        raise UserError(refused[0] + (f" ({len(refused)} of {len(every)} runs refused)" if len(refused) > 1 else ""))
    if not arguments.yes:
        _ask(every, arguments.files)
    said = [really(space, d, arguments.files, arguments.force) for d in every]
    if arguments.json:
        print_json({"deleted": [d.run_id for d in every]})
    else:
        print("\n".join(said))
    return 0


def _show(every: list[Doomed], arguments: argparse.Namespace) -> None:
    if arguments.json:
        print_json([asdict(d) for d in every])
        return
    for d in every:
        print(f"{d.run_id}  {d.words(arguments.files)}")
        for objection in ["it is live", *d.objections(arguments.files)] if d.live else d.objections(arguments.files):
            print(f"  ✗ {objection}")


def _ask(every: list[Doomed], with_files: bool) -> None:
    """Have the end of the id, or the number of runs, typed."""
    if not sys.stdin.isatty():
        raise UserError("nobody is there to say yes: look with --dry-run, then add --yes")
    for d in every:
        print(f"{d.run_id}  {d.words(with_files)}")
    word = every[0].run_id[-5:] if len(every) == 1 else str(len(every))
    if input(f"type {word} to delete: ").strip() != word:
        raise UserError("not deleted")
