"""A plan executed in this process: a clock that sleeping moves on, runs that end as told, a machine that a command ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.protocol.durable import write_json
from engine.protocol.layout import Root
from engine.protocol.plan import EndPolicy, Plan, Progress
from engine.protocol.spec import Output, RunSpec
from engine.supervisor.execute import Executor
from engine.supervisor.ops import prepare
from tests.live import Specs


class Crash(BaseException):
    """kill -9, as seen from inside."""


class World:
    """A clock that sleeping moves on, runs that end as the test says, and a machine that a command ends."""

    def __init__(self, root: Root, specs: Specs, safe: Path) -> None:
        self.root, self.specs, self.safe = root, specs, safe
        self.now = 1_000_000.0
        self.started: list[str] = []
        self.ends: dict[str, str] = {}
        self.on_start: Callable[[RunSpec], None] = lambda spec: None
        self.patience = 5000

    def spec(self, name: str, **more: Any) -> RunSpec:
        return self.specs.sh("true", step=name, outputs=[Output(f"{name}.pt")], **more)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.patience -= 1
        assert self.patience, "the plan never came to its end"

    def start(self, spec: RunSpec) -> None:
        self.started.append(spec.step)
        prepare(self.root, spec)
        paths = self.root.run(spec.run_id)
        write_json(paths.claim, {"pid": os.getpid(), "start": "0", "boot": ""})
        self.on_start(spec)
        (self.specs.folder / f"{spec.step}.pt").write_bytes(spec.step.encode() * 1000)
        write_json(paths.artifacts, {"artifacts": [{"path": f"{spec.step}.pt", "required": True}]})
        write_json(paths.result, {"state": self.ends.get(spec.step, "succeeded"), "reason": "as told"})

    def end(self, **more: Any) -> EndPolicy:
        given = {
            "save_to": str(self.safe),
            "terminate": ["sh", "-c", f"echo x >> {self.ended}"],
            "grace_s": 60.0,
            **more,
        }
        return EndPolicy(**given)

    @property
    def ended(self) -> Path:
        return self.safe.parent / "ended"

    def times_ended(self) -> int:
        return len(self.ended.read_bytes().split()) if self.ended.exists() else 0

    def executor(self, plan: Plan) -> Executor:
        paths = self.root.plan(plan.plan_id)
        paths.folder.mkdir(parents=True, exist_ok=True)
        return Executor(self.root, plan, self.start, self.clock, self.sleep)

    def execute(self, plan: Plan) -> Progress:
        return self.executor(plan).execute()

    def is_safe(self, name: str) -> bool:
        path = self.safe / "phase0" / "cpu" / f"{name}.pt"
        return path.exists() and path.read_bytes() == name.encode() * 1000
