"""How far a plan is, read from its folder: written by its executor on the host, told by that host in a mirror.

    said = plan_said(root.plan(plan_id))      # said.progress, said.verdicts, said.executing

Guarantees: whether somebody executes it is concluded on the machine it runs on; a mirror repeats that and says when.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.protocol.durable import read_json, write_json
from engine.protocol.identity import Identity, alive
from engine.protocol.layout import PlanPaths


@dataclass(frozen=True)
class PlanSaid:
    """The last word on a plan."""

    progress: dict[str, Any] = field(default_factory=dict)
    verdicts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    executing: bool = False
    heard_at: float | None = None
    """When its host said so; None where it is read on its host."""

    @property
    def states(self) -> list[str]:
        return list(self.progress.get("states", []))

    @property
    def is_done(self) -> bool:
        return self.progress.get("stage") == "done"

    @property
    def outcome(self) -> str:
        """`passed`, `failed`, … or, while there is none, `running` or `interrupted`."""
        return str(self.progress.get("outcome") or ("running" if self.executing else "interrupted"))


def status_on_host(paths: PlanPaths) -> dict[str, Any] | None:
    """The executor's status.json, and whether that executor still is."""
    said = read_json(paths.status)
    return None if said is None else {**said, "executing": alive(Identity.from_json(said.get("executor")))}


def note_heard(paths: PlanPaths, status: dict[str, Any] | None, host: str, now: float) -> None:
    """In a mirror: what the host has just said."""
    write_json(paths.observed, {"status": status, "host": host, "at": now})


def plan_said(paths: PlanPaths) -> PlanSaid:
    """From a mirror what was heard last, else what is concluded here."""
    told = read_json(paths.observed)
    said = status_on_host(paths) if told is None else told.get("status")
    heard_at = None if told is None else told.get("at")
    if said is None:  # it never reached its host, or its folder there is gone
        return PlanSaid(heard_at=heard_at)
    return PlanSaid(said.get("progress") or {}, said.get("verdicts") or {}, bool(said.get("executing")), heard_at)
