"""What every verb begins with."""

from __future__ import annotations

import argparse
import json
from typing import Any

from console.project import find_project
from console.specs import Resolved
from console.workspace import Workspace
from engine.config.load import parse_overrides
from engine.config.phase import Phase


def workspace() -> Workspace:
    return Workspace(find_project())


def chosen(space: Workspace, arguments: argparse.Namespace) -> tuple[Phase, Resolved]:
    """The phase and its preset with overrides, as the arguments name them."""
    phase = space.phase(arguments.phase)
    return phase, space.choose(phase, arguments.preset, parse_overrides(arguments.set))


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, default=str))
