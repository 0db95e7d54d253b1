"""A log that stands still because its host is away says so, once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from console.verbs.following import Told
from console.workspace import Workspace


def test_a_host_that_is_away_is_said_once_and_again_when_it_is_back() -> None:
    said: list[str] = []
    problems: dict[str, str] = {}
    mirrors = SimpleNamespace(problems=lambda: dict(problems))
    space: Any = SimpleNamespace(far=SimpleNamespace(mirrors=mirrors), tell=said.append)
    told = Told(cast(Workspace, space))
    told.look()
    assert said == []
    problems["box"] = "box: no route"
    told.look()
    told.look()
    assert len(said) == 1
    assert said[0].startswith("box: no route. Shown is what is here")
    problems.clear()
    told.look()
    assert said[1:] == ["box is heard again"]
