"""What every verb begins with."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from console.project import find_project
from console.workspace import Workspace
from engine.config.layers import parse_overrides

if TYPE_CHECKING:
    from console.launch.resolved import Resolved
    from engine.config.phase import Phase


def workspace() -> Workspace:
    """The user's own; under `--readonly` a glance that writes nothing."""
    space = Workspace(find_project(), readonly=os.environ.get("FRACTAL_READONLY") == "1")
    space.tell = lambda line: print(f"fractal-console: {line}", file=sys.stderr, flush=True)
    return space


def up_to_date() -> Workspace:
    """The same after hearing what goes on on other hosts: for verbs that show how things stand."""
    space = workspace()
    space.refresh()
    space.catch_up()
    return space


def chosen(space: Workspace, arguments: argparse.Namespace) -> tuple[Phase, Resolved]:
    """The phase and its preset with overrides, as the arguments name them."""
    phase = space.phase(arguments.phase)
    return phase, space.choose(phase, arguments.preset, parse_overrides(arguments.set))


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, default=str))


def tell(arguments: argparse.Namespace, words: str, **data: Any) -> None:
    """What was done: a sentence for people, data for programs."""
    print_json(data) if arguments.json else print(words)
