"""The screens that are one key away: ONE table of names and classes, each imported when it is first shown.

A new screen is a line here and a `Key` in `console.keys.EVERYWHERE`; its class derives from `ConsoleScreen`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.screen import Screen

    from console.screens.frame import ConsoleScreen

FIRST = "phases"

SCREENS: dict[str, str] = {
    "phases": "console.screens.phases:PhasesScreen",
    "runs": "console.screens.runs:RunsScreen",
    "instances": "console.screens.instances:InstancesScreen",
    "compare": "console.screens.compare:CompareScreen",
    "registry": "console.screens.registry:RegistryScreen",
}


def load(name: str) -> ConsoleScreen:
    """A new screen of this name."""
    module, _, kind = SCREENS[name].partition(":")
    screen: ConsoleScreen = getattr(importlib.import_module(module), kind)()
    return screen


MODES: dict[str, str | Callable[[], Screen[Any]]] = {name: partial(load, name) for name in SCREENS}
"""As Textual wants them."""
